//! Messages in Avro: frames, places, change events.

use apache_avro::{types::Value as Datum, writer::datum::GenericDatumWriter};
use serde_json::{Value as Json, json};
use trivium_model::{FeatureView, KeyValue, Timestamp, Value};

use super::{event as event_of, feature, poisoned, view};
use crate::{AvroSchemas, Decoder, Event, Message, Poison, Reason, Unread};

pub(super) const AVRO: &str = r#"{ "format": "avro", "topic": "t" }"#;

/// The value that JSON would have.
pub(super) fn datum(json: &Json) -> Datum {
    match json {
        Json::Null => Datum::Null,
        Json::Bool(value) => Datum::Boolean(*value),
        Json::Number(number) => match number.as_i64() {
            Some(whole) => Datum::Long(whole),
            None => Datum::Double(number.as_f64().unwrap()),
        },
        Json::String(text) => Datum::String(text.clone()),
        Json::Array(items) => Datum::Array(items.iter().map(datum).collect()),
        Json::Object(fields) => {
            Datum::Map(fields.iter().map(|(name, value)| (name.clone(), datum(value))).collect())
        }
    }
}

/// What a serializer writes under a schema of this id: by Apache's own writer.
pub(super) fn framed(id: u32, schema: &str, json: &Json) -> Vec<u8> {
    let parsed = apache_avro::Schema::parse_str(schema).unwrap();
    framed_value(id, schema, datum(json).resolve(&parsed).unwrap())
}

pub(super) fn framed_value(id: u32, schema: &str, value: Datum) -> Vec<u8> {
    let schema = apache_avro::Schema::parse_str(schema).unwrap();
    let writer = GenericDatumWriter::builder(&schema).build().unwrap();
    let datum = writer.write_value_to_vec(value).unwrap();
    [&[0][..], &id.to_be_bytes(), &datum].concat()
}

pub(super) fn schemas(texts: &[&str]) -> AvroSchemas {
    let schemas = AvroSchemas::new();
    for (id, text) in (1..).zip(texts) {
        schemas.insert(id, text).unwrap();
    }
    schemas
}

pub(super) fn read(
    view: &FeatureView,
    message: &Message<'_>,
    schemas: &AvroSchemas,
) -> Result<Option<Event>, Poison> {
    Decoder::new(view).unwrap().reader().read(message, schemas).map_err(poisoned)
}

pub(super) fn message(value: &[u8]) -> Message<'_> {
    Message { key: None, value: Some(value), headers: &[], time: Some(Timestamp(77)) }
}

const ROW: &str = r#"{ "type": "record", "name": "Live", "namespace": "flights", "fields": [
    { "name": "other", "type": { "type": "map", "values": { "type": "array", "items": "string" } } },
    { "name": "tail", "type": "string" },
    { "name": "leg", "type": "int" },
    { "name": "event_ts", "type": { "type": "long", "logicalType": "timestamp-millis" } },
    { "name": "delay", "type": ["null", "double"], "default": null },
    { "name": "seen", "type": ["null", { "type": "long", "logicalType": "timestamp-micros" }] },
    { "name": "stops", "type": { "type": "array", "items": ["null", "string"] } }
] }"#;

fn row() -> Json {
    json!({
        "other": { "a": ["b", "c"] }, "tail": "N1", "leg": 7, "event_ts": 1_356_998_400_000_i64,
        "delay": -1.5, "seen": null, "stops": ["a", null],
    })
}

#[test]
fn a_record_is_a_row() {
    let view = view(AVRO);
    let schemas = schemas(&[ROW]);
    let bytes = framed(1, ROW, &row());
    let event = read(&view, &message(&bytes), &schemas).unwrap().unwrap();
    assert_eq!(event.entity, [KeyValue::Int64(7), KeyValue::String("N1".into())]);
    assert_eq!(event.event_time, Timestamp::parse("2013-01-01").unwrap());
    assert_eq!(event.sequence, None);
    assert_eq!(feature(&view, &event, "delay"), Some(Value::Float64(-1.5)));
    assert_eq!(feature(&view, &event, "seen"), Some(Value::Null));
    assert_eq!(feature(&view, &event, "day"), None, "the writer's schema lacks it: it is unset");
    let stops = Value::List(vec![Value::String("a".into()), Value::Null]);
    assert_eq!(feature(&view, &event, "stops"), Some(stops));
}

#[test]
fn items_may_come_in_blocks() {
    let view = view(AVRO);
    let schemas = schemas(&[ROW]);
    let whole = framed(1, ROW, &row());
    // Each item a block of its own, with the count negative and the bytes behind it.
    let other = [2, 2, 97, 4, 2, 98, 2, 99, 0, 0];
    let in_blocks = [1, 22, 2, 97, 1, 4, 2, 98, 1, 4, 2, 99, 0, 0];
    assert_eq!(whole[5..15], other);
    let stops = [4, 2, 2, 97, 0, 0];
    assert!(whole.ends_with(&stops));
    let between = &whole[15..whole.len() - stops.len()];
    let blocks = [&whole[..5], &in_blocks, between, &[1, 6, 2, 2, 97, 1, 2, 0, 0]].concat();
    let read = |bytes: &[u8]| read(&view, &message(bytes), &schemas).unwrap().unwrap();
    assert_eq!(read(&whole), read(&blocks));
}

#[test]
fn a_schema_that_is_not_at_hand_is_asked_for() {
    let view = view(r#"{ "format": "avro", "topic": "t", "columns": { "leg": "$key.leg" } }"#);
    let key =
        r#"{ "type": "record", "name": "Key", "fields": [{ "name": "leg", "type": "long" }] }"#;
    let key_bytes = framed(0x0102_0304, key, &json!({ "leg": 8 }));
    let bytes = framed(9, ROW, &row());
    let message = Message { key: Some(&key_bytes), ..message(&bytes) };
    let schemas = AvroSchemas::new();
    let decoder = Decoder::new(&view).unwrap();
    let mut reader = decoder.reader();
    for (id, text) in [(9, ROW), (0x0102_0304, key)] {
        assert_eq!(reader.read(&message, &schemas), Err(Unread::SchemaNeeded(id)));
        schemas.insert(id, text).unwrap();
    }
    let event = reader.read(&message, &schemas).unwrap().unwrap();
    assert_eq!(event.entity[0], KeyValue::Int64(8));
}

#[test]
fn what_is_no_datum_of_its_schema_is_poison() {
    let view = view(AVRO);
    let schemas = schemas(&[ROW]);
    let bytes = framed(1, ROW, &row());
    assert!(read(&view, &message(&bytes), &schemas).unwrap().is_some());
    let told = |bytes: &[u8]| {
        let poison = read(&view, &message(bytes), &schemas).unwrap_err();
        assert_eq!(poison.reason, Reason::Undecodable, "{poison}");
        poison.to_string()
    };
    // Cut short anywhere it is refused, and not filled up.
    for length in 0..bytes.len() {
        let wrong = told(&bytes[..length]);
        let expected = if length < 5 { "does not begin with" } else { "it is cut short" };
        assert!(wrong.contains(expected), "{length}: {wrong}");
    }
    assert!(told(&[&bytes[..], &[0]].concat()).contains("1 bytes are left over"));
    assert!(told(b"{\"tail\": \"N1\"}").contains("does not begin with"));
    assert!(told(&[&[1], &bytes[1..]].concat()).contains("see the source's format"));

    let case = |schema: &str, datum: &[u8]| {
        let schemas = super::avro::schemas(&[schema]);
        let bytes = [&[0, 0, 0, 0, 1], datum].concat();
        let poison = read(&view, &message(&bytes), &schemas).unwrap_err();
        assert_eq!(poison.reason, Reason::Undecodable, "{schema}: {poison}");
        poison.message
    };
    let of = |field: &str| {
        format!(
            r#"{{ "type": "record", "name": "R", "fields": [{{ "name": "tail", "type": {field} }}] }}"#
        )
    };
    let symbols = r#"{ "type": "enum", "name": "E", "symbols": ["A"] }"#;
    for (field, datum, expected) in [
        ("\"boolean\"", &[2][..], "neither 0 nor 1"),
        ("\"int\"", &[0xff, 0xff, 0xff, 0xff, 0x1f], "more than 32 bits"),
        ("\"long\"", &[0xff; 11], "more than 64 bits"),
        (
            "\"long\"",
            &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2],
            "more than 64 bits",
        ),
        ("\"string\"", &[1], "negative"),
        ("\"bytes\"", &[0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1], "cut short"),
        (symbols, &[2], "no such symbol"),
        (symbols, &[1], "no such symbol"),
        ("[\"null\"]", &[2], "no such branch"),
        ("[]", &[0], "no such branch"),
        (r#"{ "type": "fixed", "name": "F", "size": 2 }"#, &[0], "cut short"),
    ] {
        let wrong = case(&of(field), datum);
        assert!(wrong.contains(expected), "{field}: {wrong}");
    }
    assert!(case("\"long\"", &[0]).contains("a long stands where a record was expected"));
}

#[test]
fn values_of_nothing_have_an_end() {
    let view = view(AVRO);
    let nulls = r#"{ "type": "record", "name": "R", "fields": [
        { "name": "stops", "type": { "type": "array", "items": "null" } } ] }"#;
    let huge = [0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1];
    // Records within records, each twice: 2 to the 50th of them in no byte.
    let mut twice = r#"{ "type": "record", "name": "R", "fields": [ { "name": "r", "type":
        { "type": "record", "name": "R0", "fields": [] } }"#
        .to_owned();
    for level in 1..50 {
        let of = level - 1;
        twice += &format!(
            r#", {{ "name": "r{level}", "type": {{ "type": "record", "name": "R{level}", "fields": [
                {{ "name": "a", "type": "R{of}" }}, {{ "name": "b", "type": "R{of}" }} ] }} }}"#
        );
    }
    twice += "] }";
    let endless =
        r#"{ "type": "record", "name": "R", "fields": [{ "name": "tail", "type": "R" }] }"#;
    let linked = r#"{ "type": "record", "name": "R", "fields": [
        { "name": "next", "type": ["null", "R"] }] }"#;
    for (schema, datum, expected) in [
        (nulls, &huge[..], "no bytes"),
        (&twice, &[], "no bytes"),
        (endless, &[], "nested deeper"),
        (linked, &[2; 100], "nested deeper"),
    ] {
        let bytes = [&[0, 0, 0, 0, 1], datum].concat();
        let poison = read(&view, &message(&bytes), &schemas(&[schema])).unwrap_err();
        assert_eq!(poison.reason, Reason::Undecodable, "{poison}");
        assert!(poison.message.contains(expected), "{poison}");
    }
    // So many are taken.
    for (last, reason) in [(0xa0, Reason::Missing), (0xa2, Reason::Undecodable)] {
        let bytes = [0, 0, 0, 0, 1, last, 0x9c, 1, 0];
        let poison = read(&view, &message(&bytes), &schemas(&[nulls])).unwrap_err();
        assert_eq!(poison.reason, reason, "{poison}");
    }
    let bytes = [0, 0, 0, 0, 1, 2, 2, 0];
    let poison = read(&view, &message(&bytes), &schemas(&[linked])).unwrap_err();
    assert_eq!(poison.reason, Reason::Missing, "{poison}");
}

#[test]
fn columns_stand_where_the_source_says() {
    let source = r#"{ "format": "avro", "topic": "t", "time_unit": "s", "columns": {
        "tail": "$key.plane.tail", "leg": "$header.leg", "event_ts": "at.off", "delay": "at.facts.delay",
        "stops": "at.facts.stops.all", "seen": "$time" } }"#;
    let view = view(source);
    let key = r#"{ "type": "record", "name": "Key", "fields": [ { "name": "plane", "type":
        { "type": "record", "name": "Plane", "fields": [{ "name": "tail", "type": "string" }] } } ] }"#;
    let text = r#"{ "type": "record", "name": "V", "namespace": "x.y", "fields": [
        { "name": "before", "type": { "type": "record", "name": "Facts", "fields": [
            { "name": "delay", "type": ["null", "float"] },
            { "name": "stops", "type": ["null", { "type": "map", "values":
                { "type": "array", "items": "string" } }] } ] } },
        { "name": "at", "type": ["null", { "type": "record", "name": "At", "fields": [
            { "name": "off", "type": "long" }, { "name": "facts", "type": "x.y.Facts" } ] }] } ] }"#;
    let schemas = schemas(&[text, key]);
    let key_bytes = framed(2, key, &json!({ "plane": { "tail": "N2" } }));
    let facts = |delay: f32| json!({ "delay": delay, "stops": { "all": ["x"], "some": ["y"] } });
    let bytes =
        framed(1, text, &json!({ "before": facts(1.0), "at": { "off": 5, "facts": facts(2.5) } }));
    let message = Message {
        key: Some(&key_bytes),
        headers: &[("leg", b"1"), ("leg", b"8")],
        ..message(&bytes)
    };
    let event = read(&view, &message, &schemas).unwrap().unwrap();
    assert_eq!(event.entity, [KeyValue::Int64(8), KeyValue::String("N2".into())]);
    assert_eq!(event.event_time, Timestamp(5_000_000));
    assert_eq!(feature(&view, &event, "delay"), Some(Value::Float64(2.5)));
    assert_eq!(feature(&view, &event, "seen"), Some(Value::Timestamp(Timestamp(77))));
    let stops = Value::List(vec![Value::String("x".into())]);
    assert_eq!(feature(&view, &event, "stops"), Some(stops));

    // What stands below null is null: the event time is missing, a feature is null.
    let none = framed(1, text, &json!({ "before": facts(1.0), "at": null }));
    let poison = read(&view, &Message { value: Some(&none), ..message }, &schemas).unwrap_err();
    assert_eq!((poison.reason, poison.field.as_str()), (Reason::Missing, "event_ts"));
    let no_stops = json!({ "before": facts(1.0), "at": { "off": 5, "facts": { "delay": null, "stops": null } } });
    let bytes = framed(1, text, &no_stops);
    let event =
        read(&view, &Message { value: Some(&bytes), ..message }, &schemas).unwrap().unwrap();
    assert_eq!(feature(&view, &event, "stops"), Some(Value::Null));
    assert_eq!(feature(&view, &event, "delay"), Some(Value::Null));

    // The key is under its own schema; what is wrong with it is told of it.
    let wrong = Message { key: Some(b"N2"), ..message };
    let poison = read(&view, &wrong, &schemas).unwrap_err();
    assert_eq!((poison.reason, poison.field.as_str()), (Reason::Undecodable, "$key"));
}

#[test]
fn a_place_may_lie_within_another() {
    let source = r#"{ "format": "avro", "topic": "t", "time_unit": "s", "columns": {
        "stops": "at", "tail": "at.tail", "leg": "at.leg", "event_ts": "at.ts" } }"#;
    let view = view(source);
    let at = r#"{ "type": "record", "name": "V", "fields": [ { "name": "at", "type": [
        { "type": "array", "items": "string" },
        { "type": "map", "values": ["int", "string"] } ] } ] }"#;
    let schemas = schemas(&[at]);
    let bytes = framed(1, at, &json!({ "at": { "tail": "N1", "leg": 7, "ts": 5 } }));
    let poison = read(&view, &message(&bytes), &schemas).unwrap_err();
    assert_eq!((poison.reason, poison.field.as_str()), (Reason::WrongType, "stops"), "{poison}");
    // An array has no fields: the list is there, and below it is nothing.
    let bytes = framed(1, at, &json!({ "at": ["x"] }));
    let poison = read(&view, &message(&bytes), &schemas).unwrap_err();
    assert_eq!((poison.reason, poison.field.as_str()), (Reason::Missing, "leg"), "{poison}");
    // The last of two of one name counts, and one that is no text is no name.
    let bytes = b"\0\0\0\0\x01\x02\x0c\x06leg\0\x02\x06leg\0\x0e\x08tail\x02\x04N1\x04ts\0\x0a\x02\xff\0\0\x04no\0\0\0";
    let poison = read(&view, &message(bytes), &schemas).unwrap_err();
    assert_eq!((poison.reason, poison.field.as_str()), (Reason::WrongType, "stops"), "{poison}");
    let only = super::view(&source.replace("\"stops\": \"at\", ", ""));
    let event = read(&only, &message(bytes), &schemas).unwrap().unwrap();
    assert_eq!(event.entity, [KeyValue::Int64(7), KeyValue::String("N1".into())]);
}

#[test]
fn a_second_field_of_one_name_takes_the_place_of_the_first() {
    let source = r#"{ "format": "avro", "topic": "t", "columns": {
        "tail": "at.tail", "leg": "$header.leg", "event_ts": "$time" } }"#;
    let at = r#"{ "type": "map", "values": { "type": "map", "values": "string" } }"#;
    let read = |datum: &[u8]| {
        let bytes = [&[0, 0, 0, 0, 1], datum].concat();
        let message = Message { headers: &[("leg", b"8")], ..message(&bytes) };
        read(&view(source), &message, &schemas(&[at]))
    };
    let event = read(b"\x04\x04at\0\x04at\x02\x08tail\x04N1\0\0").unwrap().unwrap();
    assert_eq!(event.entity[1], KeyValue::String("N1".into()));
    // As a whole: what the second does not have is not there.
    let poison = read(b"\x04\x04at\x02\x08tail\x04N1\0\x04at\0\0").unwrap_err();
    assert_eq!((poison.reason, poison.field.as_str()), (Reason::Missing, "tail"));
}

#[test]
fn a_message_without_a_value_deletes_what_its_key_names() {
    let source = r#"{ "format": "avro", "topic": "t", "columns": { "tail": "$key.tail", "leg": "$key.leg" } }"#;
    let view = view(source);
    let key = r#"{ "type": "record", "name": "K", "fields": [
        { "name": "leg", "type": "int" }, { "name": "tail", "type": "string" }] }"#;
    let bytes = framed(1, key, &json!({ "leg": 7, "tail": "N1" }));
    let message = Message { key: Some(&bytes), value: None, ..message(b"") };
    let event = read(&view, &message, &schemas(&[key])).unwrap().unwrap();
    assert_eq!((event.event_time, event.row.is_none()), (Timestamp(77), true));
    assert_eq!(event.entity, [KeyValue::Int64(7), KeyValue::String("N1".into())]);
    // A key as a whole is text, in whatever its fields would be.
    let source = r#"{ "format": "avro", "topic": "t", "columns": { "tail": "$key", "leg": "$header.leg" } }"#;
    let message = Message { key: Some(b"N7"), headers: &[("leg", b"8")], ..message };
    let event = read(&super::view(source), &message, &AvroSchemas::new()).unwrap().unwrap();
    assert_eq!(event.entity[1], KeyValue::String("N7".into()));
}

const CHANGE: &str = r#"{ "type": "record", "name": "Envelope", "namespace": "db.live", "fields": [
    { "name": "before", "type": ["null", { "type": "record", "name": "Value", "fields": [
        { "name": "tail", "type": "string" },
        { "name": "leg", "type": "int" },
        { "name": "delay", "type": ["null", "double"], "default": null },
        { "name": "day", "type": { "type": "int", "connect.version": 1,
            "connect.name": "io.debezium.time.Date" } },
        { "name": "seen", "type": ["null", { "type": "long", "connect.version": 1,
            "connect.name": "io.debezium.time.MicroTimestamp" }] } ] }], "default": null },
    { "name": "after", "type": ["null", "Value"], "default": null },
    { "name": "source", "type": { "type": "record", "name": "Source", "fields": [
        { "name": "ts_ms", "type": "long" } ] } },
    { "name": "op", "type": "string" }
] }"#;

#[test]
fn change_events_put_and_delete() {
    let source = r#"{ "format": "debezium_avro", "topic": "t", "time_unit": "ms",
        "columns": { "event_ts": "$event.source.ts_ms" } }"#;
    let view = view(source);
    let schemas = schemas(&[CHANGE]);
    let row = json!({ "tail": "N1", "leg": 7, "delay": 2.5, "day": 15_706, "seen": 5_000_001 });
    let change = |op: &str, before: &Json, after: &Json| {
        let event = json!({ "before": before, "after": after, "source": { "ts_ms": 5 }, "op": op });
        framed(1, CHANGE, &event)
    };
    let null = Json::Null;
    for bytes in [change("c", &null, &row), change("u", &row, &row), change("r", &null, &row)] {
        let event = read(&view, &message(&bytes), &schemas).unwrap().unwrap();
        assert_eq!(event.event_time, Timestamp(5_000));
        assert_eq!(event.entity[0], KeyValue::Int64(7));
        assert_eq!(feature(&view, &event, "delay"), Some(Value::Float64(2.5)));
        assert_eq!(feature(&view, &event, "day"), Some(Value::Date(15_706)));
        // In microseconds, as the type's name says, whatever the unit of other numbers is.
        assert_eq!(feature(&view, &event, "seen"), Some(Value::Timestamp(Timestamp(5_000_001))));
    }
    let event = read(&view, &message(&change("d", &row, &null)), &schemas).unwrap().unwrap();
    assert!(event.row.is_none());
    assert_eq!(event.entity[1], KeyValue::String("N1".into()));
    let nothing = |message: &Message<'_>| read(&view, message, &schemas).unwrap().is_none();
    assert!(nothing(&message(&change("m", &null, &null))));
    assert!(nothing(&Message { value: None, ..message(b"") }));
    for (bytes, reason) in [
        (change("c", &row, &null), Reason::Missing),
        (change("t", &null, &null), Reason::Undecodable),
        (change("x", &row, &row), Reason::Undecodable),
    ] {
        let poison = read(&view, &message(&bytes), &schemas).unwrap_err();
        assert_eq!(poison.reason, reason, "{poison}");
    }
    // An instant is no number of days, though plain numbers are.
    let day = super::view(&source.replace("\"event_ts\"", "\"day\": \"seen\", \"event_ts\""));
    let poison = read(&day, &message(&change("c", &null, &row)), &schemas).unwrap_err();
    assert_eq!((poison.reason, poison.field.as_str()), (Reason::WrongType, "day"));
    let plain = framed(1, ROW, &self::row());
    let poison = read(&view, &message(&plain), &super::avro::schemas(&[ROW])).unwrap_err();
    assert!(poison.message.contains("no `op`"), "{poison}");
}

#[test]
fn change_events_are_the_same_in_both_languages() {
    let columns =
        r#""topic": "t", "time_unit": "ms", "columns": { "event_ts": "$event.source.ts_ms" } }"#;
    let in_json = view(&format!(r#"{{ "format": "debezium_json", {columns}"#));
    let in_avro = view(&format!(r#"{{ "format": "debezium_avro", {columns}"#));
    let schemas = schemas(&[CHANGE]);
    let row = json!({ "tail": "N1", "leg": 7, "delay": null, "day": 15_706, "seen": null });
    for op in ["c", "d"] {
        let text = json!({ "before": row, "after": row, "source": { "ts_ms": 5 }, "op": op });
        let bytes = framed(1, CHANGE, &text);
        let text = text.to_string();
        let read = read(&in_avro, &message(&bytes), &schemas).unwrap().unwrap();
        assert_eq!(read, event_of(&in_json, &super::value(&text)), "{op}");
    }
}
