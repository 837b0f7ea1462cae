//! Which messages of a source are the view's.

use trivium_model::{FeatureView, KeyValue, Timestamp, Value};

use super::{event, feature, poison, read_with, value, view};
use crate::{Event, Message, Reason};

const ROW: &str = r#""tail": "N1", "leg": 7, "event_ts": "2013-01-01""#;

fn filtered(format: &str, filter: &str) -> FeatureView {
    view(&format!(
        r#"{{ "format": "{format}", "topic": "t", "columns": {{ "kind": "$header.kind" }},
           "filter": "{filter}", "filter_columns": [
             {{ "name": "kind", "type": "string" }}, {{ "name": "gate", "type": "int32" }} ] }}"#
    ))
}

fn read(view: &FeatureView, text: &str) -> Option<Event> {
    read_with(view, &value(text)).unwrap()
}

#[test]
fn only_messages_of_which_it_is_true_are_the_views() {
    let view = filtered("json", "gate > 3 AND delay IS NOT NULL AND tail <> 'N0'");
    let text = format!(r#"{{ {ROW}, "delay": 4, "gate": 5 }}"#);
    let read_one = event(&view, &value(&text));
    assert_eq!(feature(&view, &read_one, "delay"), Some(Value::Float64(4.0)));
    assert_eq!(read_one.entity, [KeyValue::Int64(7), KeyValue::String("N1".into())]);
    for other in [
        format!(r#"{{ {ROW}, "delay": 4, "gate": 3 }}"#),
        format!(r#"{{ {ROW}, "delay": null, "gate": 5 }}"#),
        format!(r#"{{ {ROW}, "delay": 4 }}"#),
        text.replace("N1", "N0"),
        // What else is in it, or is not, is none of the view's business.
        r#"{ "gate": 1 }"#.to_owned(),
        r#"{ "gate": 1, "delay": 0.5, "leg": "seven", "day": {} }"#.to_owned(),
        "{}".to_owned(),
    ] {
        assert_eq!(read(&view, &other), None, "{other}");
    }
}

#[test]
fn what_the_filter_reads_is_of_its_type() {
    let view = filtered("json", "gate > 3");
    let (reason, place, _) = poison(&view, &value(&format!(r#"{{ {ROW}, "gate": "5" }}"#)));
    assert_eq!((reason, place.as_str()), (Reason::WrongType, "gate"));
    assert_eq!(poison(&view, &value("{ \"gate\"")).0, Reason::Undecodable);
    // Which it is not asked of what is none of the view's.
    let view_of = |filter| filtered("json", filter);
    let text = format!(r#"{{ {ROW}, "delay": 0, "gate": "5" }}"#);
    assert_eq!(read(&view_of("delay > 3 AND gate > 3"), &text), None);
    assert_eq!(poison(&view_of("gate > 3 AND delay > 3"), &value(&text)).1, "gate");
    // Of what is the view's the rest is read as ever.
    let text = format!(r#"{{ {ROW}, "gate": 5, "delay": "late" }}"#);
    assert_eq!(poison(&view, &value(&text)).1, "delay");
}

#[test]
fn headers_and_the_time_may_be_asked() {
    let view =
        filtered("json", "kind = 'departure' AND event_ts >= TIMESTAMP '2013-01-01 00:00:00Z'");
    let text = format!("{{ {ROW} }}");
    let of = |kind: &'static [(&'static str, &'static [u8])], text| {
        read_with(&view, &Message { headers: kind, ..value(text) }).unwrap().is_some()
    };
    assert!(of(&[("kind", b"departure")], &text));
    assert!(!of(&[("kind", b"arrival")], &text));
    assert!(!of(&[], &text));
    assert!(!of(&[("kind", b"departure")], &text.replace("2013", "2012")));
}

#[test]
fn a_deletion_deletes_unless_the_filter_is_false() {
    let source = r#"{ "format": "json", "topic": "t", "filter": "FILTER",
        "columns": { "tail": "$key.tail", "leg": "$key.leg" } }"#;
    let deleted = |filter: &str| {
        let view = view(&source.replace("FILTER", filter));
        let message =
            Message { key: Some(br#"{ "tail": "N1", "leg": 7 }"#), value: None, ..value("") };
        read_with(&view, &message).unwrap().map(|event| event.row)
    };
    assert_eq!(deleted("delay > 3"), Some(None), "its delay is not known");
    assert_eq!(deleted("tail = 'N1' OR delay > 3"), Some(None));
    assert_eq!(deleted("tail = 'N2'"), None);
}

#[test]
fn a_row_of_a_table_leaves_the_view() {
    let view = filtered("debezium_json", "gate > 3");
    let change = |op: &str, before: &str, after: &str| {
        let of = |gate: &str| match gate {
            "" => "null".to_owned(),
            gate => format!("{{ {ROW}, \"gate\": {gate} }}"),
        };
        let (before, after) = (of(before), of(after));
        let text = format!(r#"{{ "op": "{op}", "before": {before}, "after": {after} }}"#);
        read(&view, &text).map(|event| (event.event_time, event.row.is_some()))
    };
    let at = Timestamp::parse("2013-01-01").unwrap();
    assert_eq!(change("c", "", "5"), Some((at, true)));
    assert_eq!(change("r", "", "5"), Some((at, true)));
    assert_eq!(change("u", "2", "5"), Some((at, true)));
    // What never was a row need not be deleted.
    assert_eq!(change("c", "", "2"), None);
    assert_eq!(change("r", "", "null"), None);
    assert_eq!(change("u", "5", "2"), Some((at, false)));
    assert_eq!(change("u", "5", "null"), Some((at, false)));
    assert_eq!(change("d", "5", ""), Some((at, false)));
    assert_eq!(change("d", "2", ""), None);
}
