//! The seam between shards, which leases bring, and whoever takes their messages.

use std::sync::Arc;

use async_trait::async_trait;
use aws_sdk_kinesis::Client;
use tokio::sync::mpsc;
use trivium_ingest::port::Partition;
use trivium_runtime::Clock;

use crate::{
    lanes::Shared,
    leases::Checkpoint,
    reader::{self, Item},
};

/// What a worker's shards are counted and told by.
#[derive(Debug)]
pub(crate) struct Names {
    /// A gauge: how far a shard is behind.
    pub lag: &'static str,
    /// Shards that have come and gone.
    pub rebalances: &'static str,
    /// Shards whose messages may have expired unread.
    pub expired: &'static str,
}

/// What comes after a shard's messages were taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// Nothing: it was asked to stop.
    Stop,
    /// They are read again, from what is done with.
    Again,
}

/// Takes the messages of shards whose leases are this worker's.
#[async_trait]
pub(crate) trait Taker: Send + Sync {
    /// What its shards are counted by.
    fn names(&self) -> &'static Names;

    /// The wall clock.
    fn clock(&self) -> &Arc<dyn Clock>;

    /// The streams to read.
    fn topics(&self) -> Vec<String>;

    /// Where a shard was left off, as the taker itself knows it beside the lease: positions of messages that
    /// are done with, the oldest first, each with Kinesis' number of its record. What comes before the first
    /// is done with for all. An error says why nobody knows.
    async fn left_off(&self, _: &Partition) -> Result<Vec<(u64, String)>, String> {
        Ok(Vec::new())
    }

    /// Takes a shard's messages in their order, and says in `shared` what is done with, until it is asked
    /// to stop; all its messages may have been done with long before.
    async fn take(&self, shared: &Arc<Shared>, fed: mpsc::UnboundedReceiver<Item>) -> Next;
}

/// Where a shard is to be read from whose lease is new, or may be older than what the stream keeps: counted
/// from there, messages that are gone would be missing in the count, and what comes behind them would seem
/// to be done with. So it is gone on with at a record that the taker knows and that is still there. Where
/// there is none, all that is there is new, and counts above all that is known.
pub(crate) async fn place(
    client: &Client,
    taker: &dyn Taker,
    partition: &Partition,
    from: Checkpoint,
) -> Result<Checkpoint, String> {
    let known = taker.left_off(partition).await?;
    let is_ahead = |position: u64| from.sequence.is_none() || position > from.position;
    for (position, sequence) in known.iter().filter(|(position, _)| is_ahead(*position)) {
        if reader::has(client, partition, sequence).await? {
            tracing::info!(shard = %partition, sequence, "it was read before, and is gone on with");
            return Ok(Checkpoint {
                sequence: Some(sequence.clone()),
                position: *position,
                ..from
            });
        }
    }
    let most = known.last().map_or(0, |(position, _)| *position);
    Ok(Checkpoint { position: from.position.max(most), ..from })
}
