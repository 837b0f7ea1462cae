//! What the worker asks of a broker.

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use trivium_model::{Timestamp, ViewRef};
use trivium_payload::Poison;

/// A partition of a topic, or a shard of a Kinesis stream.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Partition {
    /// The topic or stream.
    pub topic: Arc<str>,
    /// Its name there: a number in Kafka.
    pub name: Arc<str>,
}

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.topic, self.name)
    }
}

/// A message as it stands in its partition. Cheap to clone.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// Its place; greater than that of the message before it.
    pub offset: u64,
    /// The key, where it has one.
    pub key: Option<Bytes>,
    /// The value; none: a tombstone.
    pub value: Option<Bytes>,
    /// Headers, in their order; some have no value.
    pub headers: Vec<(String, Option<Bytes>)>,
    /// When it was made, as the broker says.
    pub time: Option<Timestamp>,
    /// What of it could not even be taken over from the broker; such a message is a dead letter.
    pub broken: Option<String>,
}

impl Record {
    /// What it takes of memory.
    pub fn bytes(&self) -> usize {
        const BESIDE: usize = 128;
        let of = |bytes: &Option<Bytes>| bytes.as_ref().map_or(0, Bytes::len);
        let headers: usize = self.headers.iter().map(|(name, value)| name.len() + of(value)).sum();
        BESIDE + of(&self.key) + of(&self.value) + headers
    }
}

/// A message that cannot become a row, with all that it takes to read it again.
#[derive(Debug, Clone, PartialEq)]
pub struct Letter {
    /// Where it came from.
    pub partition: Partition,
    /// The message, as it was.
    pub record: Record,
    /// The view that it is not a row of; none where that is not known.
    pub view: Option<ViewRef>,
    /// What is wrong with it.
    pub poison: Poison,
    /// When it was met first.
    pub first_seen: Timestamp,
}

/// Why a writer's schema was not given.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SchemaError {
    /// There is none of this id: who wrote the message is to blame.
    #[error("{0}")]
    Unknown(String),
    /// Nobody says; it is asked for again.
    #[error("{0}")]
    Away(String),
}

/// Who knows the schemas that messages were written under.
#[async_trait]
pub trait SchemaSource: Send + Sync {
    /// The schema of this id, in JSON.
    async fn schema(&self, id: u32) -> Result<String, SchemaError>;
}

/// Why dead letters could not be put away.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the dead letters are not taken: {0}")]
pub struct LetterError(pub String);

/// Where dead letters go.
#[async_trait]
pub trait DeadLetters: Send + Sync {
    /// Returns when all of them are durable. A letter may be put twice, and is then there twice: its
    /// position names it.
    async fn put(&self, letters: Vec<Letter>) -> Result<(), LetterError>;
}
