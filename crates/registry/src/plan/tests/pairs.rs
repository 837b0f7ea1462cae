//! Pairs of texts and the class of the change between them.

use super::{NEW_COLUMN, NEW_FEATURE, change};
use crate::{Change, Class};

type Edits = &'static [(&'static str, &'static str)];

/// What is expected, what was edited in the JSON, what in the SQL.
fn check_rows(expected: Option<Class>, rows: &[(&str, Edits, Edits)]) -> usize {
    let mut wrong = Vec::new();
    for (label, json, sql) in rows {
        let found = change(json, sql);
        let class = found.as_ref().map(|change| change.class);
        let allowed = found.as_ref().is_none_or(Change::is_allowed);
        let may = matches!(expected, None | Some(Class::Cosmetic | Class::Compatible));
        if class != expected || allowed != may {
            let reasons = found.map(|change| change.reasons).unwrap_or_default();
            wrong.push(format!("{label}: {class:?}, allowed {allowed}: {reasons:?}"));
        } else if let Some(change) = found {
            assert!(!change.reasons.is_empty() && !change.diff.is_empty(), "{label}");
        }
    }
    assert!(wrong.is_empty(), "expected {expected:?}:\n{}", wrong.join("\n"));
    rows.len()
}

const NONE: Edits = &[];
#[test]
fn cosmetic_changes_are_allowed_in_place() {
    let json: &[(&str, Edits, Edits)] = &[
        ("spacing", &[("\"version\": 1", "\"version\":    1")], NONE),
        ("a newline at the end", &[("[\"punctuality\"]\n}", "[\"punctuality\"]\n}\n\n")], NONE),
        (
            "the schema's line",
            &[("  \"$schema\": \"../../schemas/feature-view.v1.json\",\n", "")],
            NONE,
        ),
        ("the description", &[("by day.", "by calendar day.")], NONE),
        ("a feature's description", &[("Departures.", "Scheduled departures.")], NONE),
        ("the owner", &[("ops-ml@example.com", "ops@example.com")], NONE),
        ("a tag more", &[("[\"punctuality\"]", "[\"punctuality\", \"daily\"]")], NONE),
        ("the urgency tier", &[("\"urgency_tier\": 2", "\"urgency_tier\": 1")], NONE),
        ("a check's severity", &[("\"max\": 3000", "\"max\": 3000, \"severity\": \"warn\"")], NONE),
        (
            "the order of the entities",
            &[(
                r#"{ "name": "carrier", "type": "string" }, { "name": "origin", "type": "string" }"#,
                r#"{ "name": "origin", "type": "string" }, { "name": "carrier", "type": "string" }"#,
            )],
            NONE,
        ),
        (
            "the order of fields",
            &[(
                r#""urgency_tier": 2, "event_timestamp": "event_ts","#,
                r#""event_timestamp": "event_ts", "urgency_tier": 2,"#,
            )],
            NONE,
        ),
        ("a comment", NONE, &[("-- By carrier", "-- One row by carrier")]),
        ("a comment of the other kind", NONE, &[("count(*)", "count(/* all */ *)")]),
        ("line breaks", NONE, &[("AS f\nLEFT JOIN", "AS f LEFT\n  JOIN")]),
        ("the case of keywords", NONE, &[("SELECT\n  f.carrier", "select\n  f.carrier")]),
        ("the case of a function", NONE, &[("avg(", "AVG(")]),
        ("both files", &[("by day.", "by date.")], &[("-- By carrier", "-- by carrier")]),
        (
            "a table's alias",
            NONE,
            &[
                ("JOIN airports AS a ON a.faa", "JOIN airports AS b ON b.faa"),
                ("a.lat > 10", "b.lat > 10"),
            ],
        ),
        (
            "the order of predicates",
            NONE,
            &[("a.lat > 10 AND f.carrier <> 'XX'", "f.carrier <> 'XX' AND a.lat > 10")],
        ),
        (
            "the order of predicates and words",
            &[("by day.", "by date.")],
            &[("a.lat > 10 AND f.carrier <> 'XX'", "f.carrier <> 'XX' AND a.lat > 10 -- north")],
        ),
    ];
    assert_eq!(check_rows(Some(Class::Cosmetic), json), 20);
}

#[test]
fn nothing_changed_is_no_change() {
    assert_eq!(check_rows(None, &[("the same texts", NONE, NONE)]), 1);
}

#[test]
fn compatible_changes_are_allowed_in_place() {
    let rows: &[(&str, Edits, Edits)] = &[
        ("a feature with its column", &[NEW_FEATURE], &[NEW_COLUMN]),
        ("the same with a comment", &[NEW_FEATURE], &[NEW_COLUMN, ("-- By", "-- by")]),
        ("the same with other words", &[NEW_FEATURE, ("by day.", "by date.")], &[NEW_COLUMN]),
        (
            "the same with predicates reordered",
            &[NEW_FEATURE],
            &[NEW_COLUMN, ("a.lat > 10 AND f.carrier <> 'XX'", "f.carrier <> 'XX' AND a.lat > 10")],
        ),
        (
            "a wider integer",
            &[("\"max_delay\", \"type\": \"int32\"", "\"max_delay\", \"type\": \"int64\"")],
            NONE,
        ),
        (
            "a wider integer and a comment",
            &[("\"max_delay\", \"type\": \"int32\"", "\"max_delay\", \"type\": \"int64\"")],
            &[("-- By carrier", "-- by carrier")],
        ),
        ("a window", &[("[\"7d\"]", "[\"7d\", \"30d\"]")], NONE),
        (
            "a rollup feature",
            &[("\"flights\": \"sum\"", "\"flights\": \"sum\", \"max_delay\": \"max\"")],
            NONE,
        ),
        (
            "a window and a feature",
            &[("[\"7d\"]", "[\"7d\", \"30d\"]"), NEW_FEATURE],
            &[NEW_COLUMN],
        ),
        ("a check's bound", &[("\"max\": 3000", "\"max\": 4000")], NONE),
        (
            "a check more",
            &[(
                "{ \"check\": \"row_count\"",
                "{ \"check\": \"not_null\", \"column\": \"flights\" }, { \"check\": \"row_count\"",
            )],
            NONE,
        ),
        ("a check less", &[("{ \"check\": \"row_count\", \"min\": 1 },", "")], NONE),
    ];
    assert_eq!(check_rows(Some(Class::Compatible), rows), 12);
}

#[test]
fn changes_of_behaviour_need_a_version() {
    let rows: &[(&str, Edits, Edits)] = &[
        ("a longer ttl", &[("\"14d\"", "\"15d\"")], NONE),
        ("no ttl", &[("  \"ttl\": \"14d\",\n", "")], NONE),
        ("more periods carried", &[("\"max_periods\": 7", "\"max_periods\": 8")], NONE),
        (
            "no carryover",
            &[(r#"{ "mode": "last_value", "max_periods": 7 }"#, r#"{ "mode": "none" }"#)],
            NONE,
        ),
        ("another default", &[("\"default\": 0", "\"default\": 1")], NONE),
        ("no default", &[(", \"default\": 0", "")], NONE),
        (
            "a default where was none",
            &[("minutes.\" },\n", "minutes.\", \"default\": 0.0 },\n")],
            NONE,
        ),
        ("another first day", &[("\"2013-01-01\"", "\"2013-01-02\"")], NONE),
        ("not online", &[("\"online\": true", "\"online\": false")], NONE),
        ("a subject", &[("\"subject\": null", "\"subject\": \"carrier\"")], NONE),
        (
            "a time zone",
            &[("\"subject\": null", "\"subject\": null, \"time_zone\": \"Europe/Paris\"")],
            NONE,
        ),
        ("another merge of windows", &[("\"flights\": \"sum\"", "\"flights\": \"max\"")], NONE),
        ("ttl and words", &[("\"14d\"", "\"15d\""), ("by day.", "by date.")], NONE),
        ("ttl and a feature", &[("\"14d\"", "\"15d\""), NEW_FEATURE], &[NEW_COLUMN]),
        ("a literal", NONE, &[("600", "601")]),
        ("a literal and a comment", NONE, &[("600", "601"), ("-- By", "-- by")]),
        ("a literal and words", &[("by day.", "by date.")], &[("600", "601")]),
        ("a literal and a feature", &[NEW_FEATURE], &[NEW_COLUMN, ("600", "601")]),
        ("a filter less", NONE, &[(" AND dep_delay < 600", "")]),
        ("a filter more", NONE, &[("a.lat > 10", "a.lat > 10 AND a.lon < 0")]),
        ("a comparison", NONE, &[("dep_delay < 600", "dep_delay <= 600")]),
        ("AND to OR", NONE, &[("a.lat > 10 AND", "a.lat > 10 OR")]),
        ("the kind of join", NONE, &[("LEFT JOIN", "JOIN")]),
        ("the join's condition", NONE, &[("a.faa = f.dest", "a.faa = f.origin")]),
        ("the joined table", NONE, &[("JOIN airports AS", "JOIN airfields AS")]),
        ("the source table", NONE, &[("FROM flights WHERE", "FROM flights_2013 WHERE")]),
        ("an aggregate", NONE, &[("avg(f.dep_delay)", "max(f.dep_delay)")]),
        ("an aggregate's column", NONE, &[("count(*)", "count(f.dep_delay)")]),
        ("distinct", NONE, &[("count(*)", "count(DISTINCT f.dest)")]),
        ("the days that are read", NONE, &[("= DATE", "<= DATE")]),
        (
            "a limit",
            NONE,
            &[("GROUP BY f.carrier, f.origin", "GROUP BY f.carrier, f.origin HAVING count(*) > 1")],
        ),
    ];
    assert_eq!(check_rows(Some(Class::Behaviour), rows), 31);
}

#[test]
fn breaking_changes_are_refused() {
    let rows: &[(&str, Edits, Edits)] = &[
        (
            "a feature less",
            &[(
                ",\n    { \"name\": \"max_delay\", \"type\": \"int32\", \"description\": \"Longest delay, minutes.\" }",
                "",
            )],
            &[(",\n  max(f.dep_delay) AS max_delay", "")],
        ),
        (
            "a feature renamed",
            &[("\"max_delay\", \"type\"", "\"longest\", \"type\"")],
            &[("AS max_delay", "AS longest")],
        ),
        (
            "a narrower integer",
            &[("\"flights\", \"type\": \"int64\"", "\"flights\", \"type\": \"int32\"")],
            NONE,
        ),
        ("a narrower float", &[("\"type\": \"float64\"", "\"type\": \"float32\"")], NONE),
        (
            "integer to float",
            &[("\"max_delay\", \"type\": \"int32\"", "\"max_delay\", \"type\": \"float64\"")],
            NONE,
        ),
        (
            "integer to string",
            &[("\"max_delay\", \"type\": \"int32\"", "\"max_delay\", \"type\": \"string\"")],
            NONE,
        ),
        (
            "a key's type",
            &[("\"origin\", \"type\": \"string\"", "\"origin\", \"type\": \"int64\"")],
            NONE,
        ),
        (
            "a key more",
            &[(
                "{ \"name\": \"carrier\", \"type\": \"string\" },",
                "{ \"name\": \"carrier\", \"type\": \"string\" }, { \"name\": \"dest\", \"type\": \"string\" },",
            )],
            &[
                ("SELECT\n  f.carrier,", "SELECT\n  f.dest,\n  f.carrier,"),
                ("GROUP BY f.carrier", "GROUP BY f.dest, f.carrier"),
            ],
        ),
        (
            "no rollup",
            &[(
                "  \"rollup\": { \"windows\": [\"7d\"], \"features\": { \"flights\": \"sum\" } },\n",
                "",
            )],
            NONE,
        ),
        ("another window", &[("[\"7d\"]", "[\"8d\"]")], NONE),
        (
            "the event time column renamed: behaviour to the config, breaking to those who read history",
            &[("\"event_timestamp\": \"event_ts\"", "\"event_timestamp\": \"known_at\"")],
            &[("AS event_ts", "AS known_at")],
        ),
        (
            "renamed, with another ttl",
            &[("\"max_delay\", \"type\"", "\"longest\", \"type\""), ("\"14d\"", "\"15d\"")],
            &[("AS max_delay", "AS longest")],
        ),
    ];
    assert_eq!(check_rows(Some(Class::Breaking), rows), 12);
}
