//! Brings Kafka's messages to the ingest lanes, and takes dead letters.
//!
//! One consumer a worker, on a thread of its own; each assigned partition is a lane, a task that takes
//! its messages in their order. A lane that has too much waiting has its partition paused, and its own
//! alone. Progress is committed from time to time, and for good when a partition is given away: first
//! its lane ends, then its progress is committed, then somebody else gets it.

mod consumer;
mod dead_letters;
mod ends;
mod history;
mod lanes;
mod letter_box;
mod options;
mod unowned;
pub mod windows;

pub use consumer::KafkaWorker;
pub use dead_letters::{DeadLetterTopic, HEADER_PREFIX};
pub use history::KafkaHistory;
pub use letter_box::{Heads, LetterBox, Mark, Original, Place, Stored, Waiting};
pub use options::KafkaOptions;

/// What ends a worker, or keeps it from beginning.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// An option that librdkafka does not take.
    #[error("the options of Kafka are wrong: {0}")]
    Options(String),
    /// Another worker has taken this one's place in the group, or the group is closed to it.
    #[error("the worker cannot go on in its group: {0}")]
    Fenced(String),
    /// Anything else that ends it.
    #[error("{0}")]
    Failed(String),
}
