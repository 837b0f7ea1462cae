//! The shapes of what a stream view's Flink job reads, and how it runs.

use super::sources::{SYSTEM, TIME_UNITS, TOPIC};
use super::types::DATA_TYPE;
use super::{COLUMN, Kind, NameOf, Shape, Word, optional, required, word};
use crate::config::limits::{FEATURES_MAX, PARALLELISM_MAX};

pub(super) const INPUTS_EXAMPLE: &str = r#"[{ "name": "departures", "format": "json", "topic": "flights.departures", "columns": [{ "name": "origin", "type": "string" }, { "name": "at", "type": "timestamp" }], "event_time": "at" }]"#;

pub(super) static INPUT: Shape = Shape {
    what: "an input",
    description: "A table of the view's SQL: the messages of a topic.",
    fields: &[
        required("name", Kind::Name(NameOf::Unit), "The table's name.", r#""departures""#),
        required("format", Kind::Word(FORMATS), "How messages are read.", r#""json""#),
        TOPIC,
        SYSTEM,
        required(
            "columns",
            Kind::List { item: &Kind::Object(&INPUT_COLUMN), min: 1, max: FEATURES_MAX },
            "The fields of a message that the SQL may name.",
            r#"[{ "name": "at", "type": "timestamp" }]"#,
        ),
        required(
            "event_time",
            COLUMN,
            "The column that says when the fact was true; messages without one are passed over.",
            r#""at""#,
        ),
        optional(
            "watermark",
            Kind::Span,
            "How late a message may be, by event time, and still count in a window; `10s` if absent.",
            r#""1m""#,
        ),
        optional(
            "time_unit",
            Kind::Word(TIME_UNITS),
            "What whole numbers in columns of instants count since 1970-01-01T00:00:00Z; without it instants are text in RFC 3339 that ends in `Z`.",
            r#""ms""#,
        ),
    ],
};

static INPUT_COLUMN: Shape = Shape {
    what: "a column of an input",
    description: "A field of a message.",
    fields: &[
        required("name", COLUMN, "Its name in the SQL.", r#""carrier""#),
        required("type", DATA_TYPE, "Its type.", r#""string""#),
        optional(
            "path",
            Kind::MessagePath,
            "Where it stands in the value, if not under its own name at the top.",
            r#""departure.carrierCode""#,
        ),
    ],
};

pub(super) static JOB: Shape = Shape {
    what: "a job",
    description: "How a stream view's Flink job runs.",
    fields: &[
        optional(
            "parallelism",
            Kind::Integer { min: 1, max: PARALLELISM_MAX },
            "Tasks beside each other; 1 if absent.",
            "2",
        ),
        optional(
            "checkpoint",
            Kind::Span,
            "How often the job's state is saved; what it has written becomes readable then. At most a day; `30s` if absent.",
            r#""10s""#,
        ),
        optional(
            "state_ttl",
            Kind::Span,
            "After so long without use, state that no window clears is forgotten; never if absent.",
            r#""2h""#,
        ),
        optional(
            "idle_timeout",
            Kind::Span,
            "After so long without a message, a partition does not hold up event time any more. At most a day; `1m` if absent.",
            r#""30s""#,
        ),
    ],
};

const FORMATS: &[Word] = &[word("json", "Messages whose value is a JSON object.")];
