//! The Flink job of a stream view that has SQL, or windows that Flink computes: what it reads, and how it runs.

use serde::{Deserialize, Serialize};

use crate::{DataType, FieldPath, Name, StreamSystem, TimeSpan, TimeUnit};

/// The job that writes a stream view's payloads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamJob {
    /// What the SQL may name as tables; at least one, and none where the job computes windows.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inputs: Vec<StreamInput>,
    /// How many tasks work beside each other.
    pub parallelism: u32,
    /// How often its state is saved, and with it what it has written becomes readable.
    pub checkpoint: TimeSpan,
    /// After so long without use, state that no window clears is forgotten; without it never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state_ttl: Option<TimeSpan>,
    /// After so long without a message, a partition does not hold up event time any more.
    pub idle_timeout: TimeSpan,
}

/// A table of the SQL: the messages of a topic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamInput {
    /// The table's name.
    pub name: Name,
    /// How messages are read.
    pub format: InputFormat,
    /// Who keeps them.
    #[serde(default)]
    pub system: StreamSystem,
    /// The topic, or Kinesis' stream.
    pub topic: String,
    /// The fields of a message that the SQL may name; at least the event time.
    pub columns: Vec<InputColumn>,
    /// The column that says when the fact was true.
    pub event_time: Name,
    /// How late a message may be, by event time, and still count in a window.
    pub watermark: TimeSpan,
    /// What whole numbers in columns of instants count; without it they are text in RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_unit: Option<TimeUnit>,
}

/// One field of a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputColumn {
    /// Its name in the SQL.
    pub name: Name,
    /// Its type.
    #[serde(rename = "type")]
    pub data_type: DataType,
    /// Where it stands in the value; absent: under its own name, at the top.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<FieldPath>,
}

impl InputColumn {
    /// The steps to it from the top of the value.
    pub fn steps(&self) -> Vec<&str> {
        match &self.path {
            Some(FieldPath::Value(steps)) => steps.iter().map(String::as_str).collect(),
            _ => vec![self.name.as_str()],
        }
    }
}

/// How the messages of an input are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InputFormat {
    /// A JSON object.
    Json,
}

impl InputFormat {
    /// The word used in configs.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Json => "json",
        }
    }
}

impl StreamJob {
    /// Tasks beside each other, where the config does not say how many.
    pub const PARALLELISM: u32 = 1;
    /// Between two checkpoints, where the config does not say.
    pub const CHECKPOINT: TimeSpan = TimeSpan::from_micros(30_000_000);
    /// Until a partition is idle, where the config does not say.
    pub const IDLE_TIMEOUT: TimeSpan = TimeSpan::from_micros(60_000_000);

    /// The input of that name.
    pub fn input(&self, name: &str) -> Option<&StreamInput> {
        self.inputs.iter().find(|input| input.name == *name)
    }
}

impl StreamInput {
    /// How late messages may be, where the config does not say.
    pub const WATERMARK: TimeSpan = TimeSpan::from_micros(10_000_000);
}
