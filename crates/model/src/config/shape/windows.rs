//! The shape of a stream view's windows.

use super::jobs::JOB;
use super::types::DATA_TYPE;
use super::{
    COLUMN, DESCRIPTION, Kind, NameOf, REFERENCE, SHORT_TEXT, Shape, optional, required, word,
};
use crate::config::limits::{DESCRIPTION_CHARACTERS_MAX, FEATURES_MAX};

pub(super) static WINDOW: Shape = Shape {
    what: "a window",
    description: "Windows `[end - size, end)` over the event times of the source's messages, whose ends are multiples of `slide` since 1970-01-01T00:00:00Z. A row's event time is its window's end.",
    fields: &[
        required("size", Kind::Span, "Length of a window: a multiple of `slide`.", r#""1h""#),
        optional(
            "slide",
            Kind::Span,
            "From a window's end to the next one's; `size` if absent: windows do not overlap.",
            r#""5m""#,
        ),
        optional(
            "allowed_lateness",
            Kind::Span,
            "How far the newest event of a partition may be beyond a window's end, and the window is still corrected by late ones; not at all if absent.",
            r#""10m""#,
        ),
        required(
            "columns",
            Kind::List { item: &Kind::Object(&EVENT_COLUMN), min: 1, max: FEATURES_MAX },
            "The events' columns, beside join keys and event time.",
            r#"[{ "name": "delay", "type": "float64" }]"#,
        ),
        optional(
            "event_id",
            REFERENCE,
            "The column that says which events are the same one: of those of an entity in one slide the first counts.",
            r#""flight_id""#,
        ),
        optional(
            "filter",
            Kind::Text { characters_max: DESCRIPTION_CHARACTERS_MAX },
            "An expression over join keys, event time and columns: only events of which it is true count.",
            r#""delay > 15 AND flight_id IS NOT NULL""#,
        ),
        required(
            "features",
            Kind::Map { key: NameOf::Reference, value: &AGGREGATE, max: FEATURES_MAX },
            "How each feature of the view is computed.",
            r#"{ "departures": "count", "mean_delay": { "mean": "delay" } }"#,
        ),
        required(
            "payload_topic",
            SHORT_TEXT,
            "The topic that rows go into as payloads, from which workers bring them online.",
            r#""flights.payloads""#,
        ),
        optional(
            "job",
            Kind::Object(&JOB),
            "How the Flink job runs that computes the windows, `{}` for all as always; if absent, workers compute them.",
            r#"{ "parallelism": 2 }"#,
        ),
    ],
};

pub(super) static EVENT_COLUMN: Shape = Shape {
    what: "an event's column",
    description: "One typed column of the events.",
    fields: &[
        required("name", COLUMN, "The column's name; a feature may have the same.", r#""delay""#),
        required("type", DATA_TYPE, "Its type: any but lists and embeddings.", r#""float64""#),
        optional("description", DESCRIPTION, "What it means, with the unit.", r#""Minutes.""#),
    ],
};

const AGGREGATE: Kind = Kind::Choice {
    what: "an aggregate of a window",
    words: &[word("count", "How many events; the result is int64.")],
    fields: &[
        required(
            "count",
            REFERENCE,
            "How many values are not null; the result is int64.",
            r#""delay""#,
        ),
        required(
            "sum",
            REFERENCE,
            "Their sum: int64 of whole numbers, float64 of floats, a decimal of 38 digits of decimals; null where it is beyond that.",
            r#""delay""#,
        ),
        required(
            "min",
            REFERENCE,
            "The smallest, of the column's type; NaN is the largest number.",
            r#""delay""#,
        ),
        required(
            "max",
            REFERENCE,
            "The largest, of the column's type; NaN is the largest number.",
            r#""delay""#,
        ),
        required("mean", REFERENCE, "Sum over count, as float64.", r#""delay""#),
        required(
            "last",
            REFERENCE,
            "The value of the newest event, of the column's type; of one time, of the last one.",
            r#""delay""#,
        ),
        required(
            "approx_distinct",
            REFERENCE,
            "About how many distinct values of int32, int64, string, bytes, timestamp or date; the result is int64.",
            r#""tail""#,
        ),
    ],
    example: r#"{ "sum": "delay" }"#,
};
