//! Which schemas are taken, and how many.

use trivium_model::Timestamp;

use super::{
    avro::{AVRO, message, read, schemas},
    view,
};
use crate::{
    AvroSchemas, Decoder, Reason, Unread,
    avro::{SCHEMA_BYTES_MAX, SCHEMAS_MAX},
};

fn refused(text: &str) -> String {
    let poison = AvroSchemas::new().insert(5, text).unwrap_err();
    assert_eq!((poison.reason, poison.field.as_str()), (Reason::Undecodable, "schema"));
    assert!(poison.message.contains("the Avro schema 5"), "{poison}");
    poison.message
}

#[test]
fn a_schema_that_cannot_be_read_under_says_why() {
    let record = |fields: &str| {
        format!(r#"{{ "type": "record", "name": "R", "namespace": "n", "fields": {fields} }}"#)
    };
    for (text, expected) in [
        (String::new(), "no JSON"),
        ("5".to_owned(), "where a type was expected"),
        ("{}".to_owned(), "no `type`"),
        (r#"[["null"]]"#.to_owned(), "a union stands in a union"),
        (r#"{ "type": "array" }"#.to_owned(), "array has no `items`"),
        (r#"{ "type": "map" }"#.to_owned(), "map has no `values`"),
        (r#"{ "type": "fixed", "name": "F" }"#.to_owned(), "fixed has no `size`"),
        (r#"{ "type": "fixed", "name": "F", "size": -1 }"#.to_owned(), "`size`"),
        (r#"{ "type": "fixed", "size": 1 }"#.to_owned(), "no `name`"),
        (r#"{ "type": "enum", "name": "E", "symbols": [1] }"#.to_owned(), "a symbol"),
        (r#"{ "type": "record", "name": "R" }"#.to_owned(), "no `fields`"),
        (r#"{ "type": "record", "fields": [] }"#.to_owned(), "no `name`"),
        (record(r#"[{ "type": "int" }]"#), "a field has no `name`"),
        (record(r#"[{ "name": "a" }]"#), "the field `a` has no `type`"),
        (
            record(r#"[{ "name": "a", "type": "Other" }]"#),
            "the type `n.Other`, which it does not define",
        ),
        (
            record(r#"[{ "name": "a", "type": { "type": "fixed", "name": "n.R", "size": 1 } }]"#),
            "twice",
        ),
    ] {
        let wrong = refused(&text);
        assert!(wrong.contains(expected), "{text}: {wrong}");
    }
    let nested = |depth: usize| {
        let open = r#"{ "type": "array", "items": "#.repeat(depth);
        format!("{open}\"int\"{}", "}".repeat(depth))
    };
    assert!(refused(&nested(64)).contains("deeper than 64"));
    AvroSchemas::new().insert(5, &nested(63)).unwrap();
    assert!(refused(&nested(30_000)).contains("no JSON"));
    let long = format!("\"int\"{}", " ".repeat(SCHEMA_BYTES_MAX));
    assert!(refused(&long).contains("bytes"));
}

#[test]
fn a_schema_that_was_refused_is_not_asked_for_again() {
    let view = view(AVRO);
    let schemas = AvroSchemas::new();
    let poison = schemas.insert(7, "\"Other\"").unwrap_err();
    let bytes = [0, 0, 0, 0, 7];
    assert_eq!(read(&view, &message(&bytes), &schemas).unwrap_err(), poison);
    // Until it is there.
    schemas.insert(7, r#"{ "type": "record", "name": "R", "fields": [] }"#).unwrap();
    assert_eq!(read(&view, &message(&bytes), &schemas).unwrap_err().reason, Reason::Missing);
}

#[test]
fn so_many_schemas_are_kept_and_the_first_goes_first() {
    let view = view(AVRO);
    let decoder = Decoder::new(&view).unwrap();
    let schemas = AvroSchemas::new();
    let count = u32::try_from(SCHEMAS_MAX).unwrap();
    for id in 0..count {
        schemas.insert(id, "\"null\"").unwrap();
    }
    // The same one again is no more of them.
    schemas.insert(1, "\"null\"").unwrap();
    let is_there = |id: u32| {
        let bytes = [&[0][..], &id.to_be_bytes()].concat();
        let read = decoder.reader().read(&message(&bytes), &schemas);
        !matches!(read, Err(Unread::SchemaNeeded(needed)) if needed == id)
    };
    assert!(is_there(0) && is_there(count - 1));
    schemas.insert(count, "\"null\"").unwrap();
    assert!(!is_there(0) && is_there(1) && is_there(count));
}

#[test]
fn names_are_found_where_avro_looks_for_them() {
    let view = view(
        r#"{ "format": "avro", "topic": "t", "time_unit": "us", "columns": {
            "tail": "b.tail", "leg": "c.leg", "event_ts": "d" } }"#,
    );
    // `a.b.In` by its full name, by its short one within its namespace, with its own namespace, and a
    // name without a namespace; types wrapped in objects.
    let text = r#"{ "type": "record", "name": "a.b.Out", "namespace": "ignored", "fields": [
        { "name": "x", "type": { "type": { "type": "record", "name": "In", "fields": [
            { "name": "tail", "type": { "type": "string" } } ] } } },
        { "name": "b", "type": { "type": "a.b.In" } },
        { "name": "c", "type": { "type": "record", "name": "C", "namespace": "", "fields": [
            { "name": "leg", "type": { "type": "long" } }, { "name": "y", "type": "a.b.In" } ] } },
        { "name": "z", "type": ["null", "C"] },
        { "name": "w", "type": "In" },
        { "name": "d", "type": "long" } ] }"#;
    let datum = b"\0\0\0\0\x01\x02x\x04N1\x0e\x02y\0\x02w\x0a";
    let event = read(&view, &message(datum), &schemas(&[text])).unwrap().unwrap();
    assert_eq!(event.event_time, Timestamp(5));
    assert_eq!(format!("{:?}", event.entity), r#"[Int64(7), String("N1")]"#);
}
