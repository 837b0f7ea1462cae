//! Which rows there are, by the number under which they stand in the history.

use std::collections::BTreeMap;

use trivium_client::v1::{Int64List, KeyColumn, KeyValue, StringList, key_column, key_value};

/// Rows that all clients fight over.
pub const HOT: u32 = 6;
/// Rows that only fill the cache: these and the hot ones are the rows from 0 on.
pub const COLD: u32 = 1_500;
pub const ROWS: u32 = HOT + COLD;
/// Some of the cold rows are not that cold.
pub const WARM: u32 = 60;
/// The hot and warm rows' twins: rows of another view of the same entities, which the precomputed service
/// reads together with them.
pub const TWIN: u32 = 1_000_000;
pub const TWINS: u32 = HOT + WARM;
/// Rows with an embedding, which searches find: only where there is an index.
pub const VECTOR: u32 = 2_000_000;
pub const VECTORS: u32 = 12;
/// Persons, with so many numbers each: the first ones are erased again and again, each of the others once.
pub const PERSON: u32 = 100_000_000;
pub const PERSONS: u32 = 6;
/// Of those who are erased once, so many next ones get rows.
pub const FRESH: u32 = 4;
const OF_PERSON: u32 = 100_000;
/// The first rows of a person are written again and again; each of the others once, with an event time long
/// ago: history.
pub const PAGES: u32 = 2;
/// Numbers from here on were put by such a write.
pub const PAST: i64 = 1 << 40;

pub const ROW_VIEW: &str = "chaos/row@1";
pub const TWIN_VIEW: &str = "chaos/twin@1";
pub const VECTOR_VIEW: &str = "chaos/vector@1";
pub const PERSON_VIEW: &str = "chaos/person@1";
pub const SERVICE: &str = "chaos/both@1";

/// A person's row.
pub const fn of_person(person: u32, page: u32) -> u32 {
    PERSON + person * OF_PERSON + page
}

/// Whose row it is.
pub const fn person_of(row: u32) -> Option<u32> {
    if row < PERSON { None } else { Some((row - PERSON) / OF_PERSON) }
}

pub const fn view_of(row: u32) -> &'static str {
    match row {
        PERSON.. => PERSON_VIEW,
        VECTOR.. => VECTOR_VIEW,
        TWIN.. => TWIN_VIEW,
        _ => ROW_VIEW,
    }
}

fn page_name(row: u32) -> String {
    format!("p{}", (row - PERSON) % OF_PERSON)
}

fn id_of(row: u32) -> i64 {
    match row {
        PERSON.. => i64::from((row - PERSON) / OF_PERSON),
        VECTOR.. => i64::from(row - VECTOR),
        TWIN.. => i64::from(row - TWIN),
        _ => i64::from(row),
    }
}

/// The row's join keys.
pub fn entity(row: u32) -> BTreeMap<String, KeyValue> {
    let key = |name: &str, kind| (name.to_owned(), KeyValue { kind: Some(kind) });
    let mut entity = BTreeMap::from([key("id", key_value::Kind::Int64(id_of(row)))]);
    if row >= PERSON {
        entity.extend([key("page", key_value::Kind::String(page_name(row)))]);
    }
    entity
}

/// The same of rows of one view, by column.
pub fn entities(rows: &[u32]) -> Vec<KeyColumn> {
    let values = rows.iter().map(|row| id_of(*row)).collect();
    let values = Some(key_column::Values::Int64s(Int64List { values }));
    let mut columns = vec![KeyColumn { name: "id".to_owned(), values }];
    if rows.iter().all(|row| *row >= PERSON) {
        let values = rows.iter().map(|row| page_name(*row)).collect();
        let values = Some(key_column::Values::Strings(StringList { values }));
        columns.push(KeyColumn { name: "page".to_owned(), values });
    }
    columns
}

/// What takes the place of the text in the view with an embedding.
const TEXT: &str = r#""type": "string""#;
const VECTOR_TYPE: &str = r#""type": { "embedding": { "dimension": 2, "metric": "l2" } }"#;

/// The definitions: what a registry is given.
pub fn files() -> Vec<(&'static str, String)> {
    let view = |name: &str, keys: &str, subject: &str| {
        format!(
            r#"{{
  "namespace": "chaos", "name": "{name}", "version": 1, "lane": "direct",
  "description": "Rows that everybody writes.", "owner": {{ "team": "chaos", "contact": "chaos@example.com" }},
  "urgency_tier": 1, "entities": [ {keys} ],
  "event_timestamp": "event_ts", {subject}
  "features": [
    {{ "name": "number", "type": "int64", "description": "Which write." }},
    {{ "name": "text", "type": "string", "description": "The same, at length." }}
  ],
  "online": true
}}"#
        )
    };
    let id = r#"{ "name": "id", "type": "int64" }"#;
    let id_and_page = format!(r#"{id}, {{ "name": "page", "type": "string" }}"#);
    let service = r#"{
  "namespace": "chaos", "name": "both", "version": 1, "description": "Rows and their twins.",
  "owner": { "team": "chaos", "contact": "chaos@example.com" },
  "features": [ "row@1:number", "row@1:text", "twin@1:number", "twin@1:text" ], "precomputed": true
}"#;
    vec![
        ("chaos/row.v1.json", view("row", id, "")),
        ("chaos/twin.v1.json", view("twin", id, "")),
        ("chaos/person.v1.json", view("person", &id_and_page, r#""subject": "id","#)),
        ("chaos/vector.v1.json", view("vector", id, "").replace(TEXT, VECTOR_TYPE)),
        ("chaos/both.v1.service.json", service.to_owned()),
    ]
}
