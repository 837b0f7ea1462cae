//! The authority behind a shared cache: a store whose rows carry a *barrier*, so that a writer that
//! stalled, died or was cut off cannot change a row behind the back of a reader that has filled the
//! cache since. See `docs/decisions/0006-consistent-reads-through-a-cache.md`.

use std::time::Instant;

use async_trait::async_trait;
use trivium_codec::{Row, RowKey};

use crate::{Error, OnlineRead, RowWrite, WriteOutcome};

/// What a write must be above to be taken: (epoch of the cache, deadline of the write). Deadlines
/// are chosen by writers and only compared with each other, never with a clock, for safety.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Barrier {
    /// The cache's epoch number; 0: never behind a cache.
    pub epoch: u64,
    /// Microseconds since 1970, by the clock of the writer that chose it.
    pub deadline: u64,
}

/// How a fenced write ended.
#[derive(Debug, Clone)]
pub enum FencedOutcome {
    /// As an unfenced write ends. Where it is `Applied`, the row (or tombstone) as it now stands,
    /// with its stamp. The row goes into the cache, so it comes only from a step that has raised
    /// the barrier's epoch to the writer's: a recognised retry that raised nothing answers `None`.
    /// Without a row, nothing is remembered in the cache, which is always safe.
    Done(WriteOutcome, Option<Row>),
    /// The row's barrier is at or above the writer's: nothing changed, and this attempt can never
    /// be applied. Try again with a deadline above it, fenced anew.
    Barred(Barrier),
}

/// The state of the cache that all nodes agree on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CacheState {
    /// Nodes with a lease read the cache; every write is fenced.
    Enabled,
    /// Somebody could not prove a fence: nobody may read the cache; writes are still fenced.
    Draining,
    /// Nobody reads the cache, nobody fences.
    Disabled,
}

/// The one record of the cache's epoch, kept in the authority.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EpochRecord {
    /// Grows on the way into `Disabled` and again into `Enabled`.
    pub number: u64,
    /// What nodes may do.
    pub state: CacheState,
    /// Random, stands in the cache under this epoch: a cache without it is another one, or empty.
    pub marker: u128,
    /// The cache servers' run ids, sorted.
    pub servers: Vec<String>,
}

/// A store that can stand behind a shared cache.
#[async_trait]
pub trait Authority: OnlineRead {
    /// One atomic step: where the row's barrier is below `fence`, does what
    /// [`decide`](crate::decide()) says; an applied write raises the barrier's epoch to its own.
    /// Never re-sent by the adapter on its own: [`Error::Unknown`] where the answer was lost, unless
    /// the row's write id shows that it was applied.
    async fn write_fenced(
        &self,
        write: RowWrite,
        fence: Barrier,
        seed_micros: u64,
        deadline: Option<Instant>,
    ) -> Result<FencedOutcome, Error>;

    /// Raises the row's barrier to at least `to`, and returns the row as that step saw it (a
    /// tombstone included). An absent row keeps the barrier too, with a rev seeded from
    /// `seed_micros`, and is still `None` to every reader.
    async fn raise_barrier(
        &self,
        key: &RowKey,
        to: Barrier,
        seed_micros: u64,
        deadline: Option<Instant>,
    ) -> Result<Option<Row>, Error>;

    /// The row's barrier, for readers that may skip raising it.
    async fn get_with_barrier(
        &self,
        keys: &[RowKey],
        deadline: Option<Instant>,
    ) -> Vec<Result<(Option<Row>, Barrier), Error>>;

    /// The epoch record, read strongly; `None`: there has never been a cache.
    async fn epoch(&self) -> Result<Option<EpochRecord>, Error>;

    /// Replaces the epoch record if it still is `expected`; tells whether it did.
    async fn swap_epoch(
        &self,
        expected: Option<&EpochRecord>,
        new: &EpochRecord,
    ) -> Result<bool, Error>;
}
