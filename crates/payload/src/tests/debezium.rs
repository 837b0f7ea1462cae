//! Change events in JSON.

use trivium_model::{KeyValue, Timestamp, Value};

use super::{event, feature, poison, read_with, value, view};
use crate::{Message, Reason};

#[test]
fn change_events_put_and_delete() {
    let source = r#"{ "format": "debezium_json", "topic": "t", "time_unit": "ms",
        "columns": { "event_ts": "$event.source.ts_ms" } }"#;
    let view = view(source);
    let row = r#"{ "tail": "N1", "leg": 7, "delay": 2.5, "day": 15706 }"#;
    let change = |op: &str, before: &str, after: &str| {
        format!(
            r#"{{ "before": {before}, "after": {after}, "source": {{ "ts_ms": 5 }}, "op": "{op}" }}"#
        )
    };
    let wrapped = |event: String| format!(r#"{{ "schema": {{ "op": "c" }}, "payload": {event} }}"#);
    for text in [change("c", "null", row), change("u", row, row), wrapped(change("r", "null", row))]
    {
        let event = event(&view, &value(&text));
        assert_eq!(event.event_time, Timestamp(5_000), "{text}");
        assert_eq!(event.entity[0], KeyValue::Int64(7));
        assert_eq!(feature(&view, &event, "delay"), Some(Value::Float64(2.5)));
        assert_eq!(feature(&view, &event, "day"), Some(Value::Date(15_706)));
    }
    for text in [change("d", row, "null"), wrapped(change("d", row, "null"))] {
        let event = event(&view, &value(&text));
        assert!(event.row.is_none(), "{text}");
        assert_eq!(event.entity[1], KeyValue::String("N1".into()));
    }
    // What is about no row: a message of the log, a tombstone with and without a schema.
    let nothing = |message: &Message<'_>| read_with(&view, message).unwrap().is_none();
    assert!(nothing(&value(&change("m", "null", "null"))));
    assert!(nothing(&value(r#"{ "schema": null, "payload": null }"#)));
    assert!(nothing(&Message { value: None, ..value("") }));
    for (text, reason) in [
        (change("c", row, "null"), Reason::Missing),
        (change("t", "null", "null"), Reason::Undecodable),
        (change("x", row, row), Reason::Undecodable),
        (row.to_owned(), Reason::Undecodable),
    ] {
        assert_eq!(poison(&view, &value(&text)).0, reason, "{text}");
    }
}
