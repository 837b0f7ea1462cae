//! Messages that say themselves what they are.

use trivium_model::{FeatureView, KeyValue, Timestamp, Value, config::parse_view};

use super::{VIEW, event, feature, name, poison, read_with, view};
use crate::{Message, Reason, payload, view_of};

#[test]
fn an_envelope_is_what_a_producer_made() {
    let view = view("");
    let entity = [(name("tail"), KeyValue::String("N1".into())), (name("leg"), KeyValue::Int64(7))];
    let values = [(name("fare"), Value::Decimal(1250)), (name("delay"), Value::Null)];
    let bytes = payload(&view, &entity, Timestamp(5), Some(&values));
    let message = |bytes| Message { key: None, value: Some(bytes), headers: &[], time: None };
    let read = event(&view, &message(&bytes));
    assert_eq!(read.event_time, Timestamp(5));
    assert_eq!(read.entity, [KeyValue::Int64(7), KeyValue::String("N1".into())]);
    assert_eq!(feature(&view, &read, "fare"), Some(Value::Decimal(1250)));
    assert_eq!(feature(&view, &read, "delay"), Some(Value::Null));
    assert_eq!(feature(&view, &read, "day"), None);
    let gone = payload(&view, &entity, Timestamp(6), None);
    assert!(event(&view, &message(&gone)).row.is_none());

    assert_eq!(view_of(None, Some(&bytes)).unwrap(), view.reference());
    let header = view_of(Some(b"a/b@2"), Some(&bytes)).unwrap();
    assert_eq!(header.to_string(), "a/b@2");
    for (header, value) in [(Some(&b"a"[..]), &bytes[..]), (None, &b""[..])] {
        assert_eq!(view_of(header, Some(value)).unwrap_err().reason, Reason::UnknownView);
    }
    assert_eq!(view_of(None, Some(b"\xff")).unwrap_err().reason, Reason::Undecodable);

    let other = FeatureView { version: 2, ..view.clone() };
    assert_eq!(poison(&other, &message(&bytes)).0, Reason::UnknownView);
    let one_key = payload(&view, &entity[..1], Timestamp(5), None);
    assert_eq!(poison(&view, &message(&one_key)).0, Reason::Missing);
    let wrong = [entity[0].clone(), (name("leg"), KeyValue::Bool(true))];
    let wrong = payload(&view, &wrong, Timestamp(5), None);
    assert_eq!(poison(&view, &message(&wrong)).0, Reason::WrongType);
    let more = [entity[0].clone(), entity[1].clone(), (name("gate"), KeyValue::Int64(1))];
    let more = payload(&view, &more, Timestamp(5), None);
    assert_eq!(poison(&view, &message(&more)).0, Reason::WrongType);
    let wide = [(name("delay"), Value::String("x".into()))];
    let wide = payload(&view, &entity, Timestamp(5), Some(&wide));
    assert_eq!(poison(&view, &message(&wide)).0, Reason::WrongType);
    let far = payload(&view, &entity, Timestamp(i64::MAX), None);
    assert_eq!(poison(&view, &message(&far)).0, Reason::OutOfBounds);
    assert_eq!(poison(&view, &Message { value: None, ..message(b"") }).0, Reason::Undecodable);

    // What no store could hold as a key.
    let long = [(name("tail"), KeyValue::String("x".repeat(3_000))), entity[1].clone()];
    let long = payload(&view, &long, Timestamp(5), None);
    assert_eq!(poison(&view, &message(&long)).0, Reason::TooLarge);
}

#[test]
fn an_embedding_in_an_envelope_is_finite() {
    let config = VIEW.replace("SOURCE", "").replace(
        r#"{ "list": "string" }"#,
        r#"{ "embedding": { "dimension": 2, "metric": "cosine" } }"#,
    );
    let view = parse_view("configs/flights/live.v1.json", &config).unwrap();
    let entity = [(name("tail"), KeyValue::String("N1".into())), (name("leg"), KeyValue::Int64(7))];
    let read = |components: Vec<f32>| {
        let values = [(name("stops"), Value::Embedding(components))];
        let bytes = payload(&view, &entity, Timestamp(5), Some(&values));
        read_with(&view, &Message { key: None, value: Some(&bytes), headers: &[], time: None })
    };
    assert!(read(vec![1.0, 2.0]).unwrap().is_some());
    for wrong in [vec![1.0], vec![1.0, f32::NAN], vec![f32::INFINITY, 0.0]] {
        assert!(read(wrong).is_err());
    }
}
