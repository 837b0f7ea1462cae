//! What fuzzing checks, shared by the `cargo fuzz` targets and an ordinary test over their corpus.
//! Not for anybody else.

use std::{collections::HashMap, sync::LazyLock};

use trivium_codec::{KeyShape, Schema};
use trivium_model::{FeatureView, PayloadFormat, Timestamp, config::parse_view};
use trivium_store::door::ROW_BYTES_MAX;

use crate::{AvroSchemas, Decoder, Event, Message, Unread};

/// Every way in which messages are read, and the folder of its corpus.
pub const FORMATS: [(PayloadFormat, &str); 5] = [
    (PayloadFormat::Envelope, "payload-envelope"),
    (PayloadFormat::Json, "payload-json"),
    (PayloadFormat::Avro, "payload-avro"),
    (PayloadFormat::DebeziumJson, "payload-debezium-json"),
    (PayloadFormat::DebeziumAvro, "payload-debezium-avro"),
];

/// Columns of every type, in the value and in the key, below each other and at the top.
const VIEW: &str = r#"{
  "namespace": "n", "name": "v", "version": 1, "lane": "stream", "time_zone": "America/New_York",
  "description": "d", "owner": { "team": "t", "contact": "c" }, "urgency_tier": 1,
  "entities": [{ "name": "k", "type": "string" }, { "name": "n", "type": "int64" }],
  "event_timestamp": "at",
  "features": [
    { "name": "bool", "type": "bool", "description": "d" },
    { "name": "int32", "type": "int32", "description": "d" },
    { "name": "int64", "type": "int64", "description": "d" },
    { "name": "float32", "type": "float32", "description": "d" },
    { "name": "float64", "type": "float64", "description": "d" },
    { "name": "string", "type": "string", "description": "d" },
    { "name": "bytes", "type": "bytes", "description": "d" },
    { "name": "seen", "type": "timestamp", "description": "d" },
    { "name": "day", "type": "date", "description": "d" },
    { "name": "fare", "type": { "decimal": { "precision": 20, "scale": 4 } }, "description": "d" },
    { "name": "strings", "type": { "list": "string" }, "description": "d" },
    { "name": "times", "type": { "list": "timestamp" }, "description": "d" },
    { "name": "fares", "type": { "list": { "decimal": { "precision": 9, "scale": 2 } } }, "description": "d" },
    { "name": "place", "type": { "embedding": { "dimension": 2, "metric": "cosine" } }, "description": "d" },
    { "name": "deep", "type": "float64", "description": "d" }
  ]SOURCE
}"#;

/// The schemas of Avro messages, by their ids from 1 on: a row, what has itself as a part, a change event.
pub static AVRO: LazyLock<[String; 3]> = LazyLock::new(|| {
    let row = ROW.to_owned();
    let change = format!(
        r#"{{ "type": "record", "name": "Change", "fields": [
            {{ "name": "before", "type": ["null", {ROW}] }},
            {{ "name": "after", "type": ["null", "Row"] }},
            {{ "name": "n", "type": "long" }},
            {{ "name": "op", "type": "string" }} ] }}"#
    );
    [row, LINKED.to_owned(), change]
});

const ROW: &str = r#"{ "type": "record", "name": "Row", "fields": [
    { "name": "k", "type": "string" },
    { "name": "n", "type": "long" },
    { "name": "at", "type": ["null", "long"] },
    { "name": "bool", "type": ["null", "boolean"] },
    { "name": "int32", "type": ["null", "long", { "type": "int", "logicalType": "time-millis" }] },
    { "name": "int64", "type": "int" },
    { "name": "float32", "type": ["float", "double", "long"] },
    { "name": "float64", "type": ["double", "float", "int"] },
    { "name": "string", "type": ["null", "string", { "type": "enum", "name": "E", "symbols": ["A", "B"] },
        { "type": "fixed", "name": "U", "size": 16, "logicalType": "uuid" }] },
    { "name": "bytes", "type": ["bytes", { "type": "fixed", "name": "F", "size": 2 }] },
    { "name": "seen", "type": ["string", { "type": "long", "logicalType": "local-timestamp-micros" }] },
    { "name": "day", "type": ["string", { "type": "int", "logicalType": "date" }] },
    { "name": "fare", "type": [{ "type": "bytes", "logicalType": "decimal", "precision": 30, "scale": 6 },
        "string", "long"] },
    { "name": "strings", "type": { "type": "array", "items": ["null", "string"] } },
    { "name": "times", "type": { "type": "array", "items": { "type": "long", "logicalType": "timestamp-millis" } } },
    { "name": "fares", "type": ["null", { "type": "array", "items": { "type": "bytes", "logicalType": "decimal",
        "precision": 9, "scale": 1 } }] },
    { "name": "place", "type": { "type": "array", "items": "double" } },
    { "name": "a", "type": ["null", { "type": "map", "values": ["null", { "type": "record", "name": "B",
        "fields": [{ "name": "deep", "type": "double" }] }] }] },
    { "name": "rest", "type": { "type": "array", "items": { "type": "map", "values": "bytes" } } }
] }"#;

const LINKED: &str = r#"{ "type": "record", "name": "a", "fields": [
    { "name": "k", "type": "string" }, { "name": "n", "type": "int" }, { "name": "at", "type": "long" },
    { "name": "strings", "type": { "type": "array", "items": "null" } },
    { "name": "a", "type": ["null", "a", { "type": "map", "values": "a" }] }
] }"#;

/// The view whose messages are read.
pub fn view(format: PayloadFormat) -> FeatureView {
    let source = match format {
        PayloadFormat::Envelope => String::new(),
        _ => format!(
            r#", "source": {{ "format": "{}", "topic": "t", "time_unit": "ms",
                "columns": {{ "n": "$key.n", "deep": "a.b.deep" }} }}"#,
            format.word()
        ),
    };
    match parse_view("configs/n/v.v1.json", &VIEW.replace("SOURCE", &source)) {
        Ok(view) => view,
        Err(found) => unreachable!("{found:?}"),
    }
}

struct Readers {
    decoder: Decoder,
    /// The same with a filter, where the format has one.
    filtered: Decoder,
    schema: Schema,
    keys: KeyShape,
}

static READERS: LazyLock<HashMap<PayloadFormat, Readers>> = LazyLock::new(|| {
    let of = |(format, _)| {
        let view = view(format);
        let mut filtered = view.clone();
        if let Some(source) = filtered.source.as_mut().filter(|_| format != PayloadFormat::Envelope)
        {
            source.filter = Some("n > 0 AND int32 IS NULL OR string LIKE 'A%'".to_owned());
        }
        match (Decoder::new(&view), Decoder::new(&filtered), Schema::of_view(&view)) {
            (Ok(decoder), Ok(filtered), Ok(schema)) => {
                (format, Readers { decoder, filtered, schema, keys: KeyShape::new(&view) })
            }
            _ => unreachable!("the view is one of a stream"),
        }
    };
    FORMATS.into_iter().map(of).collect()
});

static SCHEMAS: LazyLock<AvroSchemas> = LazyLock::new(schemas);

fn schemas() -> AvroSchemas {
    let schemas = AvroSchemas::new();
    for (id, text) in (1..).zip(AVRO.iter()) {
        if let Err(poison) = schemas.insert(id, text) {
            unreachable!("{poison}");
        }
    }
    schemas
}

/// Reads one input as a message's value and as its key. Panics where the decoder does, where it reads
/// one message in two ways, and where a row cannot be read again. In Avro, what begins with a zero is a
/// message under one of [`AVRO`]; what does not begins with a schema: two bytes of its length, its text,
/// and then a datum. Tells whether it is an event.
pub fn check(format: PayloadFormat, input: &[u8]) -> bool {
    let is_avro = matches!(format, PayloadFormat::Avro | PayloadFormat::DebeziumAvro);
    let with_schema =
        input.split_first_chunk::<3>().filter(|([mode, ..], _)| is_avro && *mode != 0);
    let Some(([_, high, low], rest)) = with_schema else {
        return check_message(format, input, &SCHEMAS);
    };
    let length = usize::from(u16::from_be_bytes([*high, *low]));
    let (text, datum) = rest.split_at(length.min(rest.len()));
    let schemas = schemas();
    let Ok(text) = std::str::from_utf8(text) else { return false };
    if let Err(poison) = schemas.insert(0, text) {
        is_short(&poison.to_string());
    }
    check_message(format, &[&[0; 5], datum].concat(), &schemas)
}

fn check_message(format: PayloadFormat, input: &[u8], schemas: &AvroSchemas) -> bool {
    let Some(Readers { decoder, filtered, schema, keys }) = READERS.get(&format) else {
        return false;
    };
    let message =
        Message { key: Some(input), value: Some(input), headers: &[], time: Some(Timestamp(5)) };
    let mut reader = decoder.reader();
    let read = reader.read(&message, schemas);
    // The same bytes are the same event: from the same reader and from another.
    assert_eq!(read, reader.read(&message, schemas));
    assert_eq!(read, decoder.reader().read(&message, schemas));
    // A filter makes no other row of it.
    if let Ok(Some(kept @ Event { row: Some(_), .. })) = filtered.reader().read(&message, schemas) {
        assert_eq!(read, Ok(Some(kept)));
    }
    // And without a value, where the key alone counts.
    let removal = Message { value: None, ..message };
    for read in [&read, &reader.read(&removal, schemas)] {
        match read {
            Ok(Some(event)) => check_event(event, schema, keys),
            Ok(None) => {}
            Err(Unread::Poison(poison)) => is_short(&poison.to_string()),
            Err(Unread::SchemaNeeded(id)) => {
                assert!(*id as usize > AVRO.len() || *id == 0, "{id} is there");
            }
        }
    }
    for named in [crate::view_of(None, Some(input)), crate::view_of(Some(input), None)] {
        if let Err(poison) = named {
            is_short(&poison.to_string());
        }
    }
    matches!(read, Ok(Some(_)))
}

fn check_event(event: &Event, schema: &Schema, keys: &KeyShape) {
    assert!(event.event_time.in_calendar());
    if let Ok(key) = keys.encode(&event.entity) {
        assert_eq!(keys.decode(&key).as_ref(), Ok(&event.entity));
    }
    let Some(row) = &event.row else { return };
    assert!(row.as_bytes().len() <= ROW_BYTES_MAX);
    let verified = row.reader(schema).map(|reader| reader.verify());
    assert!(matches!(verified, Ok(Ok(_))), "{verified:?}");
}

/// What is told of a message goes into headers and logs.
fn is_short(text: &str) {
    assert!(text.len() <= 2_000, "{} bytes: {text}", text.len());
}
