//! Stream views with SQL: what of it may change in place.

use crate::plan;

use super::{accepted, project};

const STREAM: &str = r#"{
  "namespace": "flights", "name": "departed", "version": 1, "lane": "stream",
  "description": "Departures.", "owner": { "team": "ops", "contact": "ops@example.com" }, "urgency_tier": 1,
  "entities": [{ "name": "origin", "type": "string" }], "event_timestamp": "event_ts",
  "features": [{ "name": "departures", "type": "int64", "description": "Departures." }],
  "inputs": [{
    "name": "departed", "format": "json", "topic": "flights.departed", "event_time": "at",
    "columns": [{ "name": "origin", "type": "string" }, { "name": "at", "type": "timestamp" }]
  }],
  "source": { "format": "json", "topic": "trivium.departed" }
}"#;
const SQL: &str = "SELECT origin, `at` AS event_ts, 1 AS departures FROM departed";

#[test]
fn blanks_change_nothing_and_all_else_changes_rows() {
    let of = |json: &str, sql: &str| {
        project(&[("flights/departed.v1.json", json), ("flights/departed.v1.sql", sql)])
    };
    let current = accepted(&[of(STREAM, SQL)]);
    let stored = current.views.values().next().unwrap();
    assert_eq!(stored.sql_text.as_deref(), Some(SQL));
    let told = |json: &str, sql: &str| -> Vec<String> {
        let changes = plan(&current, &of(json, sql)).changes;
        changes.iter().flat_map(|of| &of.reasons).map(ToString::to_string).collect()
    };
    assert!(told(STREAM, SQL).is_empty());
    let written = SQL.replace(", ", ",\n  ") + "; -- All of them.\n";
    assert_eq!(told(STREAM, &written), ["cosmetic: sql: only its writing changed"]);
    let meant = SQL.replace("1 AS", "2 AS");
    let what = "behaviour: sql: the query changed: rows mean something else";
    assert_eq!(told(STREAM, &meant), [what]);
    let moved = STREAM.replace("flights.departed", "departed");
    let told = told(&moved, &meant);
    assert_eq!(told[0], what);
    assert!(told[1].starts_with("compatible: inputs.departed.topic: "), "{told:?}");
}
