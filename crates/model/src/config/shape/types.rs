//! The types that may be written.

use super::{Field, Kind, Shape, Word, required, word};
use crate::types::{DECIMAL_PRECISION_MAX, EMBEDDING_DIMENSION_MAX};

pub(in crate::config) const KEY_TYPES: &[Word] = &[
    word("string", "UTF-8 text."),
    word("int64", "64-bit signed integer."),
    word("bool", "True or false."),
    word("bytes", "Bytes; base64 in JSON."),
    word("date", "A day; `2013-01-01` in JSON."),
    word("timestamp", "An instant, microseconds UTC; RFC 3339 in JSON."),
];

pub(in crate::config) const SCALARS: &[Word] = &[
    word("bool", "True or false."),
    word("int32", "32-bit signed integer."),
    word("int64", "64-bit signed integer; beyond 2^53 a string in JSON."),
    word("float32", "IEEE 754 single precision."),
    word("float64", "IEEE 754 double precision."),
    word("string", "UTF-8 text."),
    word("bytes", "Bytes; base64 in JSON."),
    word("timestamp", "An instant, microseconds UTC; RFC 3339 in JSON."),
    word("date", "A day; `2013-01-01` in JSON."),
];

const DECIMAL_FIELD: Field = required(
    "decimal",
    Kind::Object(&DECIMAL),
    "An exact decimal number; a string in JSON.",
    r#"{ "precision": 18, "scale": 2 }"#,
);

pub(super) const DATA_TYPE: Kind = Kind::Choice {
    what: "a type",
    words: SCALARS,
    fields: &[
        DECIMAL_FIELD,
        required("list", ITEM_TYPE, "A list of scalars, each of which may be null.", r#""string""#),
        required(
            "embedding",
            Kind::Object(&EMBEDDING),
            "A vector for nearest-neighbour search.",
            r#"{ "dimension": 384, "metric": "cosine" }"#,
        ),
    ],
    example: r#""int64""#,
};

const ITEM_TYPE: Kind = Kind::Choice {
    what: "an item type",
    words: SCALARS,
    fields: &[DECIMAL_FIELD],
    example: r#""string""#,
};

static DECIMAL: Shape = Shape {
    what: "a decimal",
    description: "An exact decimal number.",
    fields: &[
        required(
            "precision",
            Kind::Integer { min: 1, max: DECIMAL_PRECISION_MAX as u64 },
            "Digits in all.",
            "18",
        ),
        required(
            "scale",
            Kind::Integer { min: 0, max: DECIMAL_PRECISION_MAX as u64 },
            "Digits after the point, at most `precision`.",
            "2",
        ),
    ],
};

static EMBEDDING: Shape = Shape {
    what: "an embedding",
    description: "A vector for nearest-neighbour search.",
    fields: &[
        required(
            "dimension",
            Kind::Integer { min: 1, max: EMBEDDING_DIMENSION_MAX as u64 },
            "Number of components.",
            "384",
        ),
        required(
            "metric",
            Kind::Word(DISTANCES),
            "How the distance of two vectors is measured.",
            r#""cosine""#,
        ),
    ],
};

pub(in crate::config) const DISTANCES: &[Word] = &[
    word("cosine", "Cosine distance."),
    word("l2", "Euclidean distance."),
    word("dot", "Inner product; larger is nearer."),
];
