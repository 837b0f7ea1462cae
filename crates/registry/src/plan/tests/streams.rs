//! Stream views with SQL: what of it may change in place.

use crate::plan::{Class, plan};

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
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[0].starts_with("behaviour: inputs.departed.topic: "), "{told:?}");
    assert_eq!(told[1], what);
}

/// A job goes on from the state of the one before: what it reads, and what it writes, stays.
#[test]
fn in_place_a_job_may_run_otherwise_and_write_elsewhere() {
    let of = |edits: &[(&str, &str)]| {
        let json = edits.iter().fold(STREAM.to_owned(), |json, (from, to)| {
            assert!(json.contains(from), "{from}");
            json.replace(from, to)
        });
        project(&[("flights/departed.v1.json", json.as_str()), ("flights/departed.v1.sql", SQL)])
    };
    let inputs = r#""inputs": [{"#;
    let job = |settings: &str| format!(r#""job": {{ {settings} }}, {inputs}"#);
    let current = accepted(&[of(&[(inputs, &job(""))])]);
    let class = |edits: &[(&str, &str)]| plan(&current, &of(edits)).changes[0].class;
    for settings in [r#""parallelism": 4"#, r#""checkpoint": "5s""#, r#""idle_timeout": "2m""#] {
        assert_eq!(class(&[(inputs, &job(settings))]), Class::Compatible, "{settings}");
    }
    let written = ("trivium.departed", "trivium.elsewhere");
    assert_eq!(class(&[(inputs, &job("")), written]), Class::Compatible);
    for settings in [r#""state_ttl": "1h""#, r#""idle_timeout": "30s""#] {
        assert_eq!(class(&[(inputs, &job(settings))]), Class::Behaviour, "{settings}");
    }
    for (from, to) in [
        (r#""topic": "flights.departed""#, r#""topic": "departed""#),
        (r#""topic": "flights.departed""#, r#""topic": "flights.departed", "system": "kinesis""#),
        (r#""event_time": "at""#, r#""event_time": "at", "watermark": "1m""#),
        (
            r#""name": "origin", "type": "string" }, {"#,
            r#""name": "origin", "type": "string", "path": "a.b" }, {"#,
        ),
        (r#""type": "int64", "description""#, r#""type": "float64", "description""#),
    ] {
        let told = class(&[(inputs, &job("")), (from, to)]);
        assert!(matches!(told, Class::Behaviour | Class::Breaking), "{to}: {told:?}");
    }
}
