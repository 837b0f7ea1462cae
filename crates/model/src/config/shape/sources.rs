//! The shapes of a stream view's source: one for each format.

use super::windows::EVENT_COLUMN;
use super::{Field, Kind, NameOf, SHORT_TEXT, Shape, Word, optional, required, word};
use crate::config::limits::{DESCRIPTION_CHARACTERS_MAX, FEATURES_MAX};

pub(super) const SYSTEM: Field = optional(
    "system",
    Kind::Word(SYSTEMS),
    "Who keeps the messages; `kafka` if absent.",
    r#""kinesis""#,
);

pub(super) const TOPIC: Field =
    required("topic", SHORT_TEXT, "The topic, or Kinesis' stream.", r#""flights.departures""#);

const COLUMNS: Field = optional(
    "columns",
    Kind::Map { key: NameOf::Reference, value: &Kind::MessagePath, max: FEATURES_MAX },
    "Where a column stands in a message, if not under its own name at the top of the value: `a.b` in the value, `$key` or `$key.a` in the key, `$header.name`, `$time` for the message's own, `$event.a` in a change event itself.",
    r#"{ "carrier": "$key", "event_ts": "departure.at" }"#,
);

const TIME_UNIT: Field = optional(
    "time_unit",
    Kind::Word(TIME_UNITS),
    "What whole numbers in columns of instants count since 1970-01-01T00:00:00Z; without it they are refused.",
    r#""ms""#,
);

const FILTER: Field = optional(
    "filter",
    Kind::Text { characters_max: DESCRIPTION_CHARACTERS_MAX },
    "An expression over join keys, event time, features and `filter_columns`: only messages of which it is true are the view's; the others are passed over.",
    r#""kind = 'departure' AND delay IS NOT NULL""#,
);

static FILTER_COLUMN: Kind = Kind::Object(&EVENT_COLUMN);

static MAPPED: &[Field] = &[
    TOPIC,
    SYSTEM,
    COLUMNS,
    TIME_UNIT,
    FILTER,
    optional(
        "filter_columns",
        Kind::List { item: &FILTER_COLUMN, min: 1, max: FEATURES_MAX },
        "Columns that the filter reads and rows do not have.",
        r#"[{ "name": "kind", "type": "string" }]"#,
    ),
];

pub(super) static SOURCES: &[(&str, Shape)] = &[
    (
        "envelope",
        Shape {
            what: "a source of format `envelope`",
            description: "Messages of `trivium.v1.Payload`, in protobuf, which name their columns and types themselves.",
            fields: &[TOPIC, SYSTEM],
        },
    ),
    (
        "json",
        Shape {
            what: "a source of format `json`",
            description: "Messages whose value is a JSON object.",
            fields: MAPPED,
        },
    ),
    (
        "avro",
        Shape {
            what: "a source of format `avro`",
            description: "Avro records behind the id of their schema, as Confluent's serializers write them.",
            fields: MAPPED,
        },
    ),
    (
        "debezium_json",
        Shape {
            what: "a source of format `debezium_json`",
            description: "Debezium's change events in JSON: what is created or updated is put, what is deleted is deleted.",
            fields: MAPPED,
        },
    ),
    (
        "debezium_avro",
        Shape {
            what: "a source of format `debezium_avro`",
            description: "Debezium's change events in Avro, as Confluent's serializers write them.",
            fields: MAPPED,
        },
    ),
];

pub(in crate::config) const SYSTEMS: &[Word] =
    &[word("kafka", "Apache Kafka."), word("kinesis", "Amazon Kinesis Data Streams.")];

pub(in crate::config) const TIME_UNITS: &[Word] = &[
    word("s", "Seconds."),
    word("ms", "Milliseconds."),
    word("us", "Microseconds."),
    word("ns", "Nanoseconds, cut to microseconds."),
];
