//! Recorded events, payloads as the worker reads them, and what Flink says: without a Flink.
//! `integration/test_flink.py` has one.

use expect_test::expect;
use serde_json::json;

use crate::{
    Error,
    local::{events, failure, read},
};

use super::{SQL, generator, view};

#[test]
fn events_are_messages_of_their_inputs() {
    let loaded = view(&[], SQL);
    let text = "{\"input\": \"clicks\", \"value\": {\"page\": \"a\"}, \"key\": 1}\n\n{\"value\": \"garbage\"}\n{\"value\": null}\n";
    let found = events(&loaded.view, "e.jsonl", text).unwrap();
    assert_eq!(found["clicks"], "{\"page\":\"a\"}\ngarbage\nnull\n");
    let refused = |text: &str| events(&loaded.view, "e.jsonl", text).unwrap_err().to_string();
    expect![[r#"e.jsonl:2: this is no JSON object: expected ident at line 1 column 2; write `{"input": "NAME", "value": {…}}` on each line"#]].assert_eq(&refused("{\"value\": 1}\nnothing"));
    expect!["e.jsonl:1: the view has no input `click`; the view's inputs: clicks"]
        .assert_eq(&refused("{\"input\": \"click\", \"value\": 1}"));
    expect![[
        r#"e.jsonl:1: it has no value; write `{"input": "NAME", "value": {…}}` on each line"#
    ]]
    .assert_eq(&refused("{\"input\": \"clicks\"}"));
    expect![[r#"e.jsonl:1: there is no field `inputs` in events; write `{"input": "NAME", "value": {…}}` on each line"#]].assert_eq(&refused("{\"inputs\": \"clicks\", \"value\": 1}"));
    expect!["e.jsonl:1: a message of several lines; write it on one"]
        .assert_eq(&refused("{\"value\": \"a\\nb\"}"));
}

#[test]
fn payloads_are_read_as_the_worker_reads_them() {
    let loaded = view(&[], SQL);
    let lines = [
        json!({ "user_id": 2, "event_ts": "2013-01-01T00:00:01Z", "page": "b" }),
        json!({ "user_id": 1, "event_ts": "2013-01-01T00:00:00Z", "page": null }),
        json!({ "user_id": null, "event_ts": "2013-01-01T00:00:00Z", "page": "c" }),
    ]
    .map(|line| line.to_string());
    let rows = read(&loaded.view, &lines).unwrap();
    let seen: Vec<_> = rows.rows.iter().map(|row| row["user_id"].clone()).collect();
    assert_eq!(seen, [json!(1), json!(2)]);
    assert_eq!(rows.refused.len(), 1);
    assert_eq!(rows.refused[0].0, lines[2]);
    assert!(rows.refused[0].1.contains("user_id"), "{}", rows.refused[0].1);
}

#[test]
fn what_flink_says_is_told_at_its_place() {
    let loaded = view(&[], "-- Clicks.\nSELECT user_id,\n  `at` AS event_ts, page FROM clicks");
    let script = generator().local(&loaded, "/x").unwrap().unwrap();
    let lines: Vec<&str> = script.text.lines().collect();
    assert_eq!(lines[script.query_line as usize - 1], "-- Clicks.");
    let at = |line: u32| {
        let said = format!(
            "Caused by: org.apache.flink.table.api.ValidationException: SQL validation failed. From line {line}, column 3 to line {line}, column 4: no\n\tat x\nCaused by: org.apache.calcite.sql.validate.SqlValidatorException: Column 'att' not found in any table\n"
        );
        match failure(&loaded, &script, &said) {
            Error::Findings(found) => found[0].to_string(),
            other => other.to_string(),
        }
    };
    expect!["shop/clicks.v3.sql:3:3: error[sql-flink]: Column 'att' not found in any table, Flink refused the query, or failed in it"].assert_eq(&at(script.query_line + 2));
    // Of a line that is not the author's, the file alone is named.
    expect!["shop/clicks.v3.sql:1:1: error[sql-flink]: Column 'att' not found in any table, Flink refused the query, or failed in it"].assert_eq(&at(2));
    let Error::Findings(found) = failure(
        &loaded,
        &script,
        "Caused by: org.apache.flink.table.api.TableException: Table sink 'x' doesn't support consuming update changes which is produced by node GroupAggregate(…)",
    ) else {
        panic!("no findings");
    };
    assert!(found[0].help.contains("windows"), "{}", found[0]);
}
