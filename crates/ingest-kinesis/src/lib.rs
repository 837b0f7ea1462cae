//! Brings Kinesis' messages to the ingest lanes, and takes dead letters.
//!
//! Any number of workers share the shards of streams by [leases](leases) in a DynamoDB table: one item a
//! shard, conditional writes, no clocks compared. Each lease is a lane: a reader that asks for messages
//! while there is room for them, and a task that takes them in their order. Progress is written to the
//! lease once it is durable. [`KinesisHistory`] has leases of its own, and takes every message into the
//! history instead. When a shard is split or merged, its children are read after it has been
//! read to its end: an entity's messages keep their order.

mod aggregate;
mod balance;
mod client;
mod dead_letters;
mod history;
mod keeper;
mod lanes;
mod leases;
mod options;
mod reader;
mod rows;
mod shards;
mod taker;
#[cfg(test)]
mod tests;
mod worker;

pub use dead_letters::DeadLetterStream;
pub use history::{HistoryShards, KinesisHistory};
pub use options::KinesisOptions;
pub use reader::SEQUENCE_HEADER;
pub use worker::KinesisWorker;

/// What ends a worker, or keeps it from beginning.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// An option that cannot work.
    #[error("the option `{option}` of Kinesis cannot work: {why}")]
    Option {
        /// Which, as the config names it.
        option: &'static str,
        /// Why, and what would.
        why: String,
    },
    /// DynamoDB is away, or refuses.
    #[error("{0}")]
    Away(String),
    /// Anything else that ends it.
    #[error("{0}")]
    Failed(String),
}
