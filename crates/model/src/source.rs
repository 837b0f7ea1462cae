//! Where a stream view's rows come from, and which part of a message is which column.

use std::{fmt, str::FromStr};

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use crate::{EventColumn, Name};

/// Who keeps the messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StreamSystem {
    /// Apache Kafka, or what speaks its protocol.
    #[default]
    Kafka,
    /// Amazon Kinesis Data Streams.
    Kinesis,
}

/// How a message's bytes are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PayloadFormat {
    /// `trivium.v1.Payload`, in protobuf: names its view, its columns and their types itself.
    Envelope,
    /// A JSON object.
    Json,
    /// An Avro record behind the id of its schema, as Confluent's serializers write it.
    Avro,
    /// A change event of Debezium, in JSON.
    DebeziumJson,
    /// A change event of Debezium, in Avro.
    DebeziumAvro,
}

/// What whole numbers in a column of instants count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum TimeUnit {
    /// Seconds since 1970-01-01T00:00:00Z.
    #[serde(rename = "s")]
    Seconds,
    /// Milliseconds.
    #[serde(rename = "ms")]
    Millis,
    /// Microseconds.
    #[serde(rename = "us")]
    Micros,
    /// Nanoseconds, cut to microseconds.
    #[serde(rename = "ns")]
    Nanos,
}

/// Where a stream view's rows come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamSource {
    /// How messages are read.
    pub format: PayloadFormat,
    /// Who keeps them.
    #[serde(default)]
    pub system: StreamSystem,
    /// The topic, or Kinesis' stream.
    pub topic: String,
    /// Where each column stands, if not under its own name at the top of the value.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub columns: IndexMap<Name, FieldPath>,
    /// What whole numbers in columns of instants count; without it they are refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_unit: Option<TimeUnit>,
    /// An expression over join keys, event time, features and the filter's own columns: only messages of which it is
    /// true are the view's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<String>,
    /// Columns that the filter reads and no row has.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub filter_columns: Vec<EventColumn>,
}

/// A place in a message.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum FieldPath {
    /// `a.b`: a field of the value; of a change event, of the row that it is about.
    Value(Vec<String>),
    /// `$key`: the key, as text. `$key.a.b`: a field of it.
    Key(Vec<String>),
    /// `$header.name`: the last header of that name, as text.
    Header(String),
    /// `$time`: when the message was made, as its system says.
    Time,
    /// `$event.source.ts_ms`: a field of a change event itself.
    Event(Vec<String>),
}

/// The longest path, in bytes.
pub const PATH_BYTES_MAX: usize = 500;
/// The most steps of a path.
pub const PATH_STEPS_MAX: usize = 16;

impl FieldPath {
    /// The column's own name at the top of the value.
    pub fn own(column: &Name) -> Self {
        Self::Value(vec![column.to_string()])
    }
}

fn steps(text: &str) -> Option<Vec<String>> {
    let steps: Vec<String> = text.split('.').map(ToOwned::to_owned).collect();
    let fits = |step: &String| !step.is_empty() && !step.contains(char::is_control);
    (steps.len() <= PATH_STEPS_MAX && steps.iter().all(fits)).then_some(steps)
}

impl FromStr for FieldPath {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no place in a message");
        if text.len() > PATH_BYTES_MAX {
            return Err(format!("a path of {} bytes", text.len()));
        }
        let Some(special) = text.strip_prefix('$') else {
            return steps(text).map(Self::Value).ok_or_else(wrong);
        };
        let (root, rest) = match special.split_once('.') {
            Some((root, rest)) => (root, Some(rest)),
            None => (special, None),
        };
        Ok(match (root, rest) {
            ("key", None) => Self::Key(Vec::new()),
            ("key", Some(rest)) => Self::Key(steps(rest).ok_or_else(wrong)?),
            ("time", None) => Self::Time,
            ("event", Some(rest)) => Self::Event(steps(rest).ok_or_else(wrong)?),
            // A header's name may have dots.
            ("header", Some(name)) if !name.is_empty() && !name.contains(char::is_control) => {
                Self::Header(name.to_owned())
            }
            _ => return Err(wrong()),
        })
    }
}

impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Value(steps) => f.write_str(&steps.join(".")),
            Self::Key(steps) if steps.is_empty() => f.write_str("$key"),
            Self::Key(steps) => write!(f, "$key.{}", steps.join(".")),
            Self::Header(name) => write!(f, "$header.{name}"),
            Self::Time => f.write_str("$time"),
            Self::Event(steps) => write!(f, "$event.{}", steps.join(".")),
        }
    }
}

impl TryFrom<String> for FieldPath {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<FieldPath> for String {
    fn from(path: FieldPath) -> Self {
        path.to_string()
    }
}

impl PayloadFormat {
    /// The word used in configs.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Envelope => "envelope",
            Self::Json => "json",
            Self::Avro => "avro",
            Self::DebeziumJson => "debezium_json",
            Self::DebeziumAvro => "debezium_avro",
        }
    }
    /// Whether it is about changes of a database's rows.
    pub const fn is_change_event(self) -> bool {
        matches!(self, Self::DebeziumJson | Self::DebeziumAvro)
    }
}

impl StreamSystem {
    /// The word used in configs.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Kafka => "kafka",
            Self::Kinesis => "kinesis",
        }
    }
}

impl TimeUnit {
    /// The word used in configs.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Seconds => "s",
            Self::Millis => "ms",
            Self::Micros => "us",
            Self::Nanos => "ns",
        }
    }
    /// Microseconds of so many; none beyond 64 bits.
    pub const fn micros(self, count: i64) -> Option<i64> {
        match self {
            Self::Seconds => count.checked_mul(1_000_000),
            Self::Millis => count.checked_mul(1_000),
            Self::Micros => Some(count),
            Self::Nanos => Some(count.div_euclid(1_000)),
        }
    }
}
