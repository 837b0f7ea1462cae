//! What messages mean.

mod avro;
mod avro_schemas;
mod avro_values;

mod debezium;
mod envelope;
mod filter;
mod json;

use trivium_codec::{LayoutReader, Layouts, Row, Schema};
use trivium_model::{FeatureView, Name, Timestamp, Value, config::parse_view};

use crate::{AvroSchemas, Decoder, Event, Message, Poison, Reason, Unread, fuzzing::FORMATS};

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
    let read = Decoder::new(view).unwrap().reader().read(message, &AvroSchemas::new());
    read.map_err(poisoned)
}

fn poisoned(unread: Unread) -> Poison {
    match unread {
        Unread::Poison(poison) => poison,
        needed @ Unread::SchemaNeeded(_) => panic!("{needed}"),
    }
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
fn every_format_and_reason_is_in_the_documents() {
    let text = include_str!("../../../../docs/streams.md");
    for word in Reason::ALL.map(Reason::word).into_iter().chain(FORMATS.map(|(f, _)| f.word())) {
        assert!(text.contains(&format!("\n| `{word}` | ")), "docs/streams.md lacks `{word}`");
    }
}
