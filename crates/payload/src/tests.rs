//! What messages mean.

use proptest::prelude::*;
use trivium_codec::{LayoutReader, Layouts, Row, Schema};
use trivium_model::{FeatureView, KeyValue, Name, Timestamp, Value, config::parse_view};

use crate::{Decoder, Event, Message, Poison, Reason, payload, view_of};

const VIEW: &str = r#"{
  "namespace": "flights", "name": "live", "version": 1, "lane": "stream",
  "description": "Live.", "owner": { "team": "t", "contact": "c" }, "urgency_tier": 1,
  "entities": [{ "name": "tail", "type": "string" }, { "name": "leg", "type": "int64" }],
  "event_timestamp": "event_ts",
  "features": [
    { "name": "delay", "type": "float64", "description": "d" },
    { "name": "seen", "type": "timestamp", "description": "d" },
    { "name": "day", "type": "date", "description": "d" },
    { "name": "fare", "type": { "decimal": { "precision": 9, "scale": 2 } }, "description": "d" },
    { "name": "stops", "type": { "list": "string" }, "description": "d" }
  ]SOURCE
}"#;

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

/// The view with a source, as a file has it; empty: none.
fn view(source: &str) -> FeatureView {
    let source =
        if source.is_empty() { String::new() } else { format!(",\n  \"source\": {source}") };
    parse_view("configs/flights/live.v1.json", &VIEW.replace("SOURCE", &source))
        .unwrap_or_else(|found| panic!("{found:?}"))
}

const JSON: &str = r#"{ "format": "json", "topic": "t" }"#;

fn read_with(view: &FeatureView, message: &Message<'_>) -> Result<Option<Event>, Poison> {
    Decoder::new(view).unwrap().reader().read(message)
}

fn value(value: &str) -> Message<'_> {
    Message { key: None, value: Some(value.as_bytes()), headers: &[], time: Some(Timestamp(77)) }
}

fn event(view: &FeatureView, message: &Message<'_>) -> Event {
    read_with(view, message).unwrap().unwrap()
}

/// A row's features, by the schema's order: none is unset.
fn features(view: &FeatureView, row: &Row) -> Vec<(String, Option<Value>)> {
    let schema = Schema::of_view(view).unwrap();
    let names: Vec<String> = schema.fields().iter().map(|field| field.name.to_string()).collect();
    let layouts = Layouts::new(schema, []).unwrap();
    let reader: LayoutReader<'_> = layouts.reader(row).unwrap();
    let get = |index| reader.get(index).unwrap().map(trivium_codec::ValueRef::to_owned);
    names.into_iter().enumerate().map(|(index, name)| (name, get(index))).collect()
}

fn feature(view: &FeatureView, event: &Event, name: &str) -> Option<Value> {
    let row = event.row.as_ref().unwrap();
    features(view, row).into_iter().find(|(other, _)| other == name).unwrap().1
}

fn poison(view: &FeatureView, message: &Message<'_>) -> (Reason, String, String) {
    let Poison { reason, field, message, .. } = read_with(view, message).unwrap_err();
    (reason, field, message)
}

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
}

proptest! {
    #[test]
    fn bytes_that_mean_nothing_are_poison_or_an_event(
        bytes in prop::collection::vec(any::<u8>(), 0..200), at in any::<prop::sample::Index>(),
        new in any::<u8>(),
    ) {
        let change = r#"{ "format": "debezium_json", "topic": "t", "time_unit": "ms" }"#;
        for source in ["", JSON, change] {
            let view = view(source);
            let decoder = Decoder::new(&view).unwrap();
            let good: Vec<u8> = match source {
                "" => payload(&view, &[(name("tail"), KeyValue::String("N".into())), (name("leg"), KeyValue::Int64(7))],
                    Timestamp(5), Some(&[(name("stops"), Value::List(vec![Value::Null]))])),
                JSON => br#"{ "tail": "N1", "leg": 7, "event_ts": "2013-01-01", "fare": "1.5", "stops": [null, "a"] }"#.to_vec(),
                _ => br#"{ "op": "u", "after": { "tail": "N1", "leg": 7, "event_ts": 5, "day": 7 }, "before": {} }"#.to_vec(),
            };
            let mut mutated = good.clone();
            let place = at.index(mutated.len());
            mutated[place] = new;
            let mut spliced = good.clone();
            spliced.splice(place..place, bytes.iter().copied());
            let read = |bytes: &[u8]| {
                let message = Message { key: Some(bytes), value: Some(bytes), headers: &[], time: None };
                decoder.reader().read(&message)
            };
            prop_assert!(read(&good).unwrap().is_some());
            for bytes in [&bytes, &mutated, &spliced] {
                // The same bytes are the same event.
                prop_assert_eq!(read(bytes), read(bytes));
            }
        }
    }
}
