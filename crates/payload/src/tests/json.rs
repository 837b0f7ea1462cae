//! Messages in JSON.

use trivium_model::{KeyValue, Timestamp, Value, config::parse_view};

use super::{JSON, VIEW, event, feature, poison, value, view};
use crate::{Message, Reason};

#[test]
fn a_json_object_is_a_row() {
    let view = view(JSON);
    let text = r#"{
        "tail": "N1", "leg": 7, "event_ts": "2013-01-01T00:00:00Z", "delay": -1.5,
        "seen": null, "fare": "12.5", "stops": ["a", null], "other": { "deep": [1, 2] }
    }"#;
    let event = event(&view, &value(text));
    // Keys are sorted by name.
    assert_eq!(event.entity, [KeyValue::Int64(7), KeyValue::String("N1".into())]);
    assert_eq!(event.event_time, Timestamp::parse("2013-01-01").unwrap());
    assert_eq!(event.sequence, None);
    assert_eq!(feature(&view, &event, "delay"), Some(Value::Float64(-1.5)));
    assert_eq!(feature(&view, &event, "seen"), Some(Value::Null));
    assert_eq!(feature(&view, &event, "day"), None, "it is unset, and not null");
    assert_eq!(feature(&view, &event, "fare"), Some(Value::Decimal(1250)));
    let stops = Value::List(vec![Value::String("a".into()), Value::Null]);
    assert_eq!(feature(&view, &event, "stops"), Some(stops));
}

#[test]
fn columns_stand_where_the_source_says() {
    let source = r#"{ "format": "json", "topic": "t", "time_unit": "ms", "columns": {
        "tail": "$key.plane.tail", "leg": "$header.leg", "event_ts": "at.off", "delay": "minutes",
        "seen": "$time", "day": "at.day" } }"#;
    let view = view(source);
    let text =
        r#"{ "at": { "off": 1357002000123, "day": "2013-01-01" }, "minutes": 3, "delay": 4 }"#;
    let message = Message {
        key: Some(br#"{"plane":{"tail":"N2"}}"#),
        headers: &[("leg", b"1"), ("leg", b"8")],
        ..value(text)
    };
    let event = event(&view, &message);
    assert_eq!(event.entity, [KeyValue::Int64(8), KeyValue::String("N2".into())]);
    assert_eq!(event.event_time, Timestamp(1_357_002_000_123_000));
    assert_eq!(feature(&view, &event, "delay"), Some(Value::Float64(3.0)));
    assert_eq!(feature(&view, &event, "seen"), Some(Value::Timestamp(Timestamp(77))));
    assert_eq!(feature(&view, &event, "day"), Some(Value::Date(15_706)));
    // What stands below null is null, what stands below nothing is unset.
    let text = r#"{ "at": null, "minutes": 3 }"#;
    let message = Message { value: Some(text.as_bytes()), ..message };
    assert_eq!(poison(&view, &message).0, Reason::Missing);
}

#[test]
fn a_place_may_lie_within_another() {
    let source = r#"{ "format": "json", "topic": "t", "columns": {
        "stops": "stops.all", "tail": "stops.all_of.tail", "leg": "stops.all_of.leg",
        "event_ts": "stops.at" } }"#;
    let view = view(source);
    let text = r#"{ "stops": { "all": ["x"], "all_of": { "leg": 1, "tail": "a", "tail": "b" },
        "at": "2013-01-01" } }"#;
    let read = event(&view, &value(text));
    assert_eq!(read.entity[1], KeyValue::String("b".into()), "the last of two counts");
    // A second `stops` takes the place of the first as a whole.
    let text = text.replace("\"2013-01-01\" } }", "\"2013-01-01\" }, \"stops\": {} }");
    assert_eq!(poison(&view, &value(&text)).0, Reason::Missing);
}

#[test]
fn what_is_wrong_is_told() {
    let view = view(JSON);
    let good = r#"{ "tail": "N1", "leg": 7, "event_ts": "2013-01-01" }"#;
    event(&view, &value(good));
    let cases = [
        ("\"N1\"", "5", Reason::WrongType, "tail"),
        ("\"N1\"", "null", Reason::Missing, "tail"),
        ("\"tail\"", "\"tale\"", Reason::Missing, "tail"),
        ("7", "\"7\"", Reason::WrongType, "leg"),
        ("7", "7.5", Reason::WrongType, "leg"),
        ("\"2013-01-01\"", "null", Reason::Missing, "event_ts"),
        ("\"2013-01-01\"", "1357002000", Reason::WrongType, "event_ts"),
        ("\"2013-01-01\"", "\"yesterday\"", Reason::WrongType, "event_ts"),
        ("7", "7, \"day\": 15706", Reason::WrongType, "day"),
        ("7", "7, \"fare\": \"1.234\"", Reason::WrongType, "fare"),
        ("7", "7, \"stops\": \"a\"", Reason::WrongType, "stops"),
        ("{", "[", Reason::Undecodable, ""),
        ("}", "", Reason::Undecodable, ""),
        ("}", "} {}", Reason::Undecodable, ""),
    ];
    for (old, new, reason, field) in cases {
        let text = good.replacen(old, new, 1);
        let (found, at, message) = poison(&view, &value(&text));
        assert_eq!((found, at.as_str()), (reason, field), "{text}: {message}");
    }
    for text in ["", "5", "null", "\"x\"", "[]", "\u{0}", &"[".repeat(100_000)] {
        let (reason, _, message) = poison(&view, &value(text));
        assert!(matches!(reason, Reason::Undecodable | Reason::Missing), "{text}: {message}");
    }
    let huge = format!(
        r#"{{ "tail": "N1", "leg": 7, "event_ts": "2013-01-01", "stops": ["{}"] }}"#,
        "x".repeat(5 << 20)
    );
    assert_eq!(poison(&view, &value(&huge)).0, Reason::TooLarge);
    let unit = self::view(r#"{ "format": "json", "topic": "t", "time_unit": "s" }"#);
    let at = |seconds: &str| good.replace("\"2013-01-01\"", seconds);
    assert_eq!(event(&unit, &value(&at("1"))).event_time, Timestamp(1_000_000));
    assert_eq!(poison(&unit, &value(&at("9223372036854"))).0, Reason::OutOfBounds);
    assert_eq!(poison(&unit, &value(&at("9223372036855"))).0, Reason::WrongType);
    assert_eq!(poison(&unit, &value(&at("1.5"))).0, Reason::WrongType);
}

#[test]
fn a_message_without_a_value_deletes_what_its_key_names() {
    let source = r#"{ "format": "json", "topic": "t", "columns": { "tail": "$key.tail", "leg": "$key.leg" } }"#;
    let view = view(source);
    let message = Message {
        key: Some(br#"{ "tail": "N1", "leg": 7 }"#),
        value: None,
        headers: &[],
        time: Some(Timestamp(9)),
    };
    let event = event(&view, &message);
    assert_eq!((event.event_time, event.row.is_none()), (Timestamp(9), true));
    assert_eq!(event.entity, [KeyValue::Int64(7), KeyValue::String("N1".into())]);
    assert_eq!(poison(&view, &Message { time: None, ..message }).0, Reason::Missing);
    let no_key = self::view(JSON);
    assert_eq!(poison(&no_key, &message).0, Reason::Missing);
    let bad_key = Message { key: Some(b"N1"), ..message };
    assert_eq!(poison(&view, &bad_key).0, Reason::Undecodable);
}

#[test]
fn times_without_a_zone_are_in_the_views() {
    let zoned = VIEW
        .replace("SOURCE", &format!(",\n  \"source\": {JSON}"))
        .replace("\"urgency_tier\"", "\"time_zone\": \"America/New_York\", \"urgency_tier\"");
    let view = parse_view("configs/flights/live.v1.json", &zoned).unwrap();
    let cases = [
        ("2013-01-01", "2013-01-01T05:00:00Z"),
        ("2013-07-01T12:00:00.25", "2013-07-01T16:00:00.25Z"),
        ("2013-07-01T12:00:00Z", "2013-07-01T12:00:00Z"),
        ("2013-07-01T12:00:00+01:00", "2013-07-01T11:00:00Z"),
        // In the gap, and of the two the earlier.
        ("2013-03-10 02:30:00", "2013-03-10T07:30:00Z"),
        ("2013-11-03 01:30:00", "2013-11-03T05:30:00Z"),
    ];
    for (given, expected) in cases {
        let text = format!(r#"{{ "tail": "N1", "leg": 7, "event_ts": "{given}" }}"#);
        let expected = Timestamp::parse(expected).unwrap();
        assert_eq!(event(&view, &value(&text)).event_time, expected, "{given}");
    }
}

#[test]
fn items_of_lists_are_read_as_columns_are() {
    let zoned = VIEW
        .replace(
            "SOURCE",
            ",\n  \"source\": { \"format\": \"json\", \"topic\": \"t\", \"time_unit\": \"s\" }",
        )
        .replace("\"list\": \"string\"", "\"list\": \"timestamp\"")
        .replace("\"urgency_tier\"", "\"time_zone\": \"America/New_York\", \"urgency_tier\"");
    let view = parse_view("configs/flights/live.v1.json", &zoned).unwrap();
    let text = r#"{ "tail": "N1", "leg": 7, "event_ts": 5, "stops": [5, "2013-01-01", null] }"#;
    let at = |text: &str| Value::Timestamp(Timestamp::parse(text).unwrap());
    let expected = vec![at("1970-01-01T00:00:05Z"), at("2013-01-01T05:00:00Z"), Value::Null];
    let read = event(&view, &value(text));
    assert_eq!(feature(&view, &read, "stops"), Some(Value::List(expected)));
    let (reason, _, message) = poison(&view, &value(&text.replace("[5,", "[5.5,")));
    assert_eq!(reason, Reason::WrongType);
    assert!(message.contains("item 0: expected a whole number of s"), "{message}");
}
