//! The shapes of carryovers and quality checks, which a word tells apart.

use super::{Field, Kind, REFERENCE, Shape, Word, optional, required, word};
use crate::config::limits::{
    ACCEPTED_VALUES_MAX, CARRYOVER_PERIODS_MAX, FEATURES_MAX, ROW_COUNT_MAX,
};

pub(super) static CARRYOVERS: &[(&str, Shape)] = &[
    (
        "none",
        Shape {
            what: "a carryover of mode `none`",
            description: "Nothing: the entity is absent from that period.",
            fields: &[],
        },
    ),
    (
        "last_value",
        Shape {
            what: "a carryover of mode `last_value`",
            description: "Its newest row, marked with the period it came from.",
            fields: &[required(
                "max_periods",
                Kind::Integer { min: 1, max: CARRYOVER_PERIODS_MAX as u64 },
                "Periods without a row until the entity goes.",
                "7",
            )],
        },
    ),
];

const SEVERITY: Field = optional(
    "severity",
    Kind::Word(SEVERITIES),
    "What a failure does; `error` if absent.",
    r#""warn""#,
);

pub(in crate::config) const SEVERITIES: &[Word] =
    &[word("error", "Nothing is published."), word("warn", "Published, and recorded.")];

const CHECKED_COLUMN: Field =
    required("column", REFERENCE, "A join key, a timestamp column or a feature.", r#""flights""#);

pub(super) static CHECKS: &[(&str, Shape)] = &[
    (
        "row_count",
        Shape {
            what: "a `row_count` check",
            description: "The number of rows lies in [min, max].",
            fields: &[
                optional("min", Kind::Integer { min: 0, max: ROW_COUNT_MAX }, "At least.", "1"),
                optional(
                    "max",
                    Kind::Integer { min: 0, max: ROW_COUNT_MAX },
                    "At most.",
                    "1000000",
                ),
                SEVERITY,
            ],
        },
    ),
    (
        "not_null",
        Shape {
            what: "a `not_null` check",
            description: "No null in the column.",
            fields: &[CHECKED_COLUMN, SEVERITY],
        },
    ),
    (
        "unique",
        Shape {
            what: "a `unique` check",
            description: "No two rows have the same values in these columns.",
            fields: &[
                required(
                    "columns",
                    Kind::List { item: &REFERENCE, min: 1, max: FEATURES_MAX },
                    "The columns.",
                    r#"["carrier"]"#,
                ),
                SEVERITY,
            ],
        },
    ),
    (
        "between",
        Shape {
            what: "a `between` check",
            description: "Every value that is not null lies in [min, max]; NaN does not.",
            fields: &[
                CHECKED_COLUMN,
                optional("min", Kind::Number, "At least.", "0"),
                optional("max", Kind::Number, "At most.", "3000"),
                SEVERITY,
            ],
        },
    ),
    (
        "accepted_values",
        Shape {
            what: "an `accepted_values` check",
            description: "Every value that is not null is one of these.",
            fields: &[
                CHECKED_COLUMN,
                required(
                    "values",
                    Kind::List { item: &Kind::Any, min: 1, max: ACCEPTED_VALUES_MAX },
                    "The values, of the column's type.",
                    r#"["JFK", "LGA", "EWR"]"#,
                ),
                SEVERITY,
            ],
        },
    ),
    (
        "freshness",
        Shape {
            what: "a `freshness` check",
            description: "The newest event time is at most this much before the period's end.",
            fields: &[required("max_age", Kind::Span, "How old it may be.", r#""2d""#), SEVERITY],
        },
    ),
    (
        "null_fraction",
        Shape {
            what: "a `null_fraction` check",
            description: "The share of nulls in the column is at most this.",
            fields: &[
                CHECKED_COLUMN,
                required("max", Kind::Fraction, "From 0 to 1.", "0.05"),
                SEVERITY,
            ],
        },
    ),
];
