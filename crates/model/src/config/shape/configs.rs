//! The shapes of views and services.

use super::checks::{CARRYOVERS, CHECKS};
use super::jobs::{INPUT, INPUTS_EXAMPLE, JOB};
use super::sources::SOURCES;
use super::types::{DATA_TYPE, KEY_TYPES};
use super::windows::WINDOW;
use super::{
    COLUMN, DESCRIPTION, Kind, NameOf, REFERENCE, SHORT_TEXT, Shape, TAGS, VERSION, Word, optional,
    required, word,
};
use crate::config::limits::{
    ENTITIES_MAX, EXPRESSION_CHARACTERS_MAX, FEATURES_MAX, INPUTS_MAX, QUALITY_CHECKS_MAX,
    ROLLUP_WINDOWS_MAX, SERVICE_DERIVED_MAX, SERVICE_FEATURES_MAX, SERVICE_INPUTS_MAX,
};

pub(in crate::config) static VIEW: Shape = Shape {
    what: "a feature view",
    description: "A feature view of Trivium: a named, versioned group of features of one entity, produced together by one lane. The file is `configs/<namespace>/<name>.v<version>.json`.",
    fields: &[
        optional(
            "$schema",
            SHORT_TEXT,
            "The schema of this file, for editors.",
            r#""../../schemas/feature-view.v1.json""#,
        ),
        required(
            "namespace",
            Kind::Name(NameOf::Namespace),
            "The tenant; the file's folder.",
            r#""flights""#,
        ),
        required("name", Kind::Name(NameOf::Unit), "The view's name.", r#""carrier_daily""#),
        required("version", VERSION, "From 1; a change of behaviour demands the next one.", "1"),
        required("lane", Kind::Word(LANES), "How rows arrive.", r#""batch""#),
        required(
            "description",
            DESCRIPTION,
            "What the view is about.",
            r#""Punctuality of a carrier, by day.""#,
        ),
        required("owner", Kind::Object(&OWNER), "Who answers for it.", OWNER_EXAMPLE),
        required(
            "urgency_tier",
            Kind::Integer { min: 0, max: 3 },
            "How fast a break must be answered: 0 (at once) to 3.",
            "2",
        ),
        required(
            "entities",
            Kind::List { item: &Kind::Object(&ENTITY), min: 1, max: ENTITIES_MAX },
            "The join keys of what the features describe.",
            r#"[{ "name": "carrier", "type": "string" }]"#,
        ),
        required(
            "event_timestamp",
            COLUMN,
            "The column that says when the fact was true.",
            r#""event_ts""#,
        ),
        optional(
            "created_timestamp",
            COLUMN,
            "The column that says when the row became known; breaks ties.",
            r#""created_ts""#,
        ),
        optional(
            "subject",
            REFERENCE,
            "The join key that names the person whose data a row is.",
            r#""user_id""#,
        ),
        optional(
            "time_zone",
            Kind::Zone,
            "IANA zone of zone-less times in the data; UTC if absent. Periods are cut in UTC.",
            r#""America/New_York""#,
        ),
        required(
            "features",
            Kind::List { item: &Kind::Object(&FEATURE), min: 1, max: FEATURES_MAX },
            "The typed columns of the view.",
            r#"[{ "name": "flights", "type": "int64", "description": "Departures." }]"#,
        ),
        optional(
            "source",
            Kind::Tagged { tag: "format", variants: SOURCES },
            "Where a stream view's rows come from; without it they come as envelopes in a payload topic.",
            r#"{ "format": "json", "topic": "flights.departures" }"#,
        ),
        optional(
            "inputs",
            Kind::List { item: &Kind::Object(&INPUT), min: 1, max: INPUTS_MAX },
            "The tables of a stream view's SQL: topics whose messages its Flink job reads.",
            INPUTS_EXAMPLE,
        ),
        optional(
            "job",
            Kind::Object(&JOB),
            "How a stream view's Flink job runs; all has defaults.",
            r#"{ "parallelism": 2, "state_ttl": "2h" }"#,
        ),
        optional(
            "window",
            Kind::Object(&WINDOW),
            "Windows over the source's messages, which then are events: rows are computed from them.",
            r#"{ "size": "1h", "columns": [{ "name": "delay", "type": "float64" }], "features": { "departures": "count" }, "payload_topic": "flights.payloads" }"#,
        ),
        optional(
            "schedule",
            Kind::Object(&SCHEDULE),
            "When a batch view runs; only batch views have one.",
            r#"{ "every": "1d", "start": "2013-01-01" }"#,
        ),
        optional(
            "ttl",
            Kind::Span,
            "How long a row counts after its event time; unlimited if absent.",
            r#""14d""#,
        ),
        optional(
            "carryover",
            Kind::Tagged { tag: "mode", variants: CARRYOVERS },
            "What an entity keeps when a period brings no new row for it; `none` if absent.",
            r#"{ "mode": "last_value", "max_periods": 7 }"#,
        ),
        optional(
            "rollup",
            Kind::Object(&ROLLUP),
            "Windows merged from the periods' values.",
            r#"{ "windows": ["7d"], "features": { "flights": "sum" } }"#,
        ),
        optional(
            "online",
            Kind::Flag,
            "Whether the features are served online; true if absent.",
            "true",
        ),
        optional(
            "quality",
            Kind::List {
                item: &Kind::Tagged { tag: "check", variants: CHECKS },
                min: 0,
                max: QUALITY_CHECKS_MAX,
            },
            "What must hold of a partition before it is published.",
            r#"[{ "check": "row_count", "min": 1 }]"#,
        ),
        optional("tags", TAGS, "Words to find it by.", r#"["punctuality"]"#),
    ],
};

pub(in crate::config) static SERVICE: Shape = Shape {
    what: "a feature service",
    description: "A feature service of Trivium: the named, versioned list of features that one model reads. The file is `configs/<namespace>/<name>.v<version>.service.json`.",
    fields: &[
        optional(
            "$schema",
            SHORT_TEXT,
            "The schema of this file, for editors.",
            r#""../../schemas/feature-service.v1.json""#,
        ),
        required(
            "namespace",
            Kind::Name(NameOf::Namespace),
            "The tenant; the file's folder.",
            r#""flights""#,
        ),
        required("name", Kind::Name(NameOf::Unit), "The service's name.", r#""delay_model""#),
        required("version", VERSION, "From 1; another list of features demands the next one.", "1"),
        required(
            "description",
            DESCRIPTION,
            "Which model reads it, for what.",
            r#""Inputs of the delay model.""#,
        ),
        required("owner", Kind::Object(&OWNER), "Who answers for it.", OWNER_EXAMPLE),
        required(
            "features",
            Kind::List { item: &Kind::FeaturePath, min: 1, max: SERVICE_FEATURES_MAX },
            "The features in the order of the model's input, each `view@version:feature`.",
            r#"["carrier_daily@1:flights"]"#,
        ),
        optional(
            "inputs",
            Kind::List { item: &Kind::Object(&SERVICE_INPUT), min: 0, max: SERVICE_INPUTS_MAX },
            "What only the caller knows: sent with a read, a column of a training set's frame. Null where it is not sent.",
            r#"[{ "name": "seats", "type": "int32", "description": "Seats of the plane." }]"#,
        ),
        optional(
            "derived",
            Kind::List { item: &Kind::Object(&DERIVED), min: 0, max: SERVICE_DERIVED_MAX },
            "Features that are computed when the service is read, from the inputs and the features above; they come after these.",
            r#"[{ "name": "is_late", "type": "bool", "description": "Late by a quarter of an hour on average.", "sql": "avg_delay > 15" }]"#,
        ),
        optional(
            "precomputed",
            Kind::Flag,
            "Whether what it reads of an entity, from several views, is kept as one in the cache: reads cost less, writes a little more work for the next reader. False if absent.",
            "true",
        ),
        optional("tags", TAGS, "Words to find it by.", r#"["delays"]"#),
    ],
};

static SERVICE_INPUT: Shape = Shape {
    what: "an input",
    description: "A value that the caller sends.",
    fields: &[
        required(
            "name",
            COLUMN,
            "Its name in requests, frames and expressions: no join key's and no listed feature's.",
            r#""seats""#,
        ),
        required("type", DATA_TYPE, "Its type: no list and no embedding.", r#""int32""#),
        required(
            "description",
            DESCRIPTION,
            "What it means, with the unit.",
            r#""Seats of the plane.""#,
        ),
    ],
};

static DERIVED: Shape = Shape {
    what: "a derived feature",
    description: "A feature that is computed when the service is read.",
    fields: &[
        required("name", COLUMN, "Its name; `service@version:name` in answers.", r#""is_late""#),
        required("type", DATA_TYPE, "Its type, which is that of the expression.", r#""bool""#),
        required(
            "description",
            DESCRIPTION,
            "What it means, with the unit.",
            r#""Late by a quarter of an hour on average.""#,
        ),
        required(
            "sql",
            Kind::Text { characters_max: EXPRESSION_CHARACTERS_MAX },
            "An expression over inputs, by name, and listed features, as `view.feature` or by a name that only one has: docs/expressions.md.",
            r#""carrier_daily.avg_delay > 15""#,
        ),
    ],
};

const OWNER_EXAMPLE: &str = r#"{ "team": "ops-ml", "contact": "ops-ml@example.com" }"#;

static OWNER: Shape = Shape {
    what: "an owner",
    description: "Who answers for it.",
    fields: &[
        required("team", SHORT_TEXT, "The team.", r#""ops-ml""#),
        required(
            "contact",
            SHORT_TEXT,
            "Where to reach it: an address or a channel.",
            r#""ops-ml@example.com""#,
        ),
    ],
};

static ENTITY: Shape = Shape {
    what: "an entity",
    description: "One join key. One name has one type in a namespace.",
    fields: &[
        required("name", COLUMN, "The join key's name.", r#""carrier""#),
        required("type", Kind::Word(KEY_TYPES), "Its type.", r#""string""#),
        optional(
            "description",
            DESCRIPTION,
            "What it identifies.",
            r#""IATA code of the carrier.""#,
        ),
    ],
};

static FEATURE: Shape = Shape {
    what: "a feature",
    description: "One typed column of the view.",
    fields: &[
        required("name", COLUMN, "The feature's name.", r#""flights""#),
        required("type", DATA_TYPE, "Its type.", r#""int64""#),
        required("description", DESCRIPTION, "What it means, with the unit.", r#""Departures.""#),
        optional(
            "default",
            Kind::Any,
            "Shown where there is no row, where the feature is unset or where the row has expired; a value of the feature's type; null if absent.",
            "0",
        ),
        optional(
            "owner",
            Kind::Object(&OWNER),
            "Who answers for it, where it is not the view's owner.",
            OWNER_EXAMPLE,
        ),
        optional("tags", TAGS, "Words to find it by.", r#"["punctuality"]"#),
    ],
};

static SCHEDULE: Shape = Shape {
    what: "a schedule",
    description: "Periods `[start + k × every, start + (k + 1) × every)`, cut in UTC.",
    fields: &[
        required(
            "every",
            Kind::Span,
            "Length of a period: at least a minute; divides a day evenly, or is whole days.",
            r#""1d""#,
        ),
        required(
            "start",
            Kind::Instant,
            "First instant of the first period: a day, or RFC 3339; without zone it is UTC.",
            r#""2013-01-01""#,
        ),
    ],
};

static ROLLUP: Shape = Shape {
    what: "a rollup",
    description: "Windows merged from the periods' values. `flights` over `7d` is the feature `flights_7d`.",
    fields: &[
        required(
            "windows",
            Kind::List { item: &Kind::Span, min: 1, max: ROLLUP_WINDOWS_MAX },
            "Lengths, each a multiple of the period.",
            r#"["7d", "30d"]"#,
        ),
        required(
            "features",
            Kind::Map { key: NameOf::Reference, value: &AGGREGATE, max: FEATURES_MAX },
            "What each feature is merged by.",
            r#"{ "flights": "sum" }"#,
        ),
    ],
};

const AGGREGATE: Kind = Kind::Choice {
    what: "an aggregate",
    words: &[
        word("sum", "Sum of the periods' values."),
        word("count", "Sum of the periods' counts; the result is int64."),
        word("min", "Smallest."),
        word("max", "Largest."),
    ],
    fields: &[
        required(
            "mean",
            Kind::Object(&MEAN),
            "Sum over count: a mean of means would be wrong.",
            r#"{ "sum": "delay_sum", "count": "flights" }"#,
        ),
        required(
            "approx_distinct",
            Kind::Object(&APPROX_DISTINCT),
            "About how many distinct values, from sketches: counts of distinct values cannot be added. The result is int64.",
            r#"{ "sketch": "planes_sketch" }"#,
        ),
    ],
    example: r#""sum""#,
};

static APPROX_DISTINCT: Shape = Shape {
    what: "an approximate distinct count",
    description: "Which feature holds each period's sketch.",
    fields: &[required(
        "sketch",
        REFERENCE,
        "The feature of type bytes that `hll_sketch_agg` makes.",
        r#""planes_sketch""#,
    )],
};

static MEAN: Shape = Shape {
    what: "a mean",
    description: "Which features hold each period's sum and count.",
    fields: &[
        required("sum", REFERENCE, "The feature that holds each period's sum.", r#""delay_sum""#),
        required("count", REFERENCE, "The feature that holds each period's count.", r#""flights""#),
    ],
};

pub(in crate::config) const LANES: &[Word] = &[
    word("batch", "SQL over the lake, by period."),
    word("stream", "From Kafka or Kinesis."),
    word("direct", "Put by services."),
];
