//! The port of a shared cache of rows: what a key may hold, and the atomic steps on one key. Which
//! step is safe when is the protocol's business, not the cache's.
//!
//! A key holds nothing, or one of `VALUE(row)`, `LEASE(token)`, `FENCE{(write id, deadline)…, newest}`.
//! Every step names the epoch; it does nothing where the epoch's marker does not stand in the
//! cache ([`CacheError::NotMarked`]): the cache restarted empty, was flushed, or is another one.

use async_trait::async_trait;
use trivium_codec::{Row, RowKey};

use crate::WriteId;

/// Which life of the cache is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CacheEpoch {
    /// The epoch record's number: keys in the cache start with it.
    pub number: u64,
    /// The epoch record's marker.
    pub marker: u128,
}

/// The right of one reader to fill a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LeaseToken(pub u128);

/// A write that is under way, as its fence names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FenceId {
    /// The attempt; a fresh one for every try.
    pub id: WriteId,
    /// When its writer gives up, microseconds since 1970 by the writer's clock.
    pub deadline: u64,
}

/// What a key holds.
#[derive(Debug, Clone)]
pub enum CacheEntry {
    /// Nothing.
    Missing,
    /// The row, tombstones included.
    Value(Row),
    /// Somebody is about to fill it.
    Lease,
    /// Writes are under way, or died: read the authority.
    Fence(Vec<FenceId>),
}

/// What a cache can fail with.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CacheError {
    /// The epoch's marker is not there: this is not the cache that the epoch means.
    #[error("the cache does not hold this epoch's marker: it restarted or was flushed")]
    NotMarked,
    /// Certainly not done: not connected, refused, or out of memory (`is_full`).
    #[error("the cache refused: {message}")]
    Refused {
        /// What it said.
        message: String,
        /// Out of memory: a fence that cannot be placed is no outage.
        is_full: bool,
    },
    /// No answer: done or not, nobody knows.
    #[error("the cache did not answer: {0}")]
    Unknown(String),
}

/// The eviction policy that a cache must have: fences carry no TTL, so it never evicts them.
pub const EVICTION_POLICY: &str = "volatile-lru";

/// What a cache server says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheServer {
    /// Its run id: another one after a restart.
    pub run_id: String,
    /// Whether it is a replica, or has replicas: it must not be used then.
    pub is_replicated: bool,
    /// Its eviction policy: only `volatile-lru` never evicts a fence.
    pub policy: String,
}

/// Fenced keys with the writes in their fences, and the cursor of the next page.
pub type FencePage = (Vec<(RowKey, Vec<FenceId>)>, u64);

/// Atomic steps on single keys of a shared cache.
#[async_trait]
pub trait RowCache: Send + Sync {
    /// What the keys hold, in their order, in one round trip together with the marker.
    async fn look(&self, epoch: CacheEpoch, keys: &[RowKey])
    -> Vec<Result<CacheEntry, CacheError>>;

    /// Leaves a lease where the key is missing; what stands there otherwise. Keys in their order.
    /// `Ok(Missing)`: the lease is ours.
    async fn lease(
        &self,
        epoch: CacheEpoch,
        keys: &[(RowKey, LeaseToken)],
    ) -> Vec<Result<CacheEntry, CacheError>>;

    /// Turns that lease into the row; does nothing (`false`) where it is gone.
    async fn fill(
        &self,
        epoch: CacheEpoch,
        rows: &[(RowKey, LeaseToken, Row)],
    ) -> Vec<Result<bool, CacheError>>;

    /// Adds a write to the key's fence, whatever was there; remembers the row of a `VALUE`, except
    /// that of a whole entity ([`RowKey::entity`]): a write of any of its rows makes it wrong. No TTL.
    /// Never sent again by the adapter or its client library: a copy that came after the id was
    /// taken out would be taken out a second time, with an old row. Who wants to try again fences
    /// under a fresh id. The same goes for [`lease`](RowCache::lease).
    async fn fence(
        &self,
        epoch: CacheEpoch,
        fences: &[(RowKey, FenceId)],
    ) -> Vec<Result<(), CacheError>>;

    /// Takes a write out of the key's fence, and with it remembers `newest` (by rev) as a row seen.
    /// When the last write goes, the key becomes `VALUE(newest)` or, with none, disappears. Does
    /// nothing (`false`) where that write is not in the fence. Works in a full cache.
    async fn unfence(
        &self,
        epoch: CacheEpoch,
        fences: &[(RowKey, FenceId, Option<Row>)],
    ) -> Vec<Result<bool, CacheError>>;

    /// Puts the epoch's marker onto every server. Sent once: a copy that arrives later would make a
    /// cache trusted that has forgotten fences since. Markers of one number do not replace each
    /// other: of two nodes that try to enable, the one that loses must not spoil the winner's.
    async fn mark(&self, epoch: CacheEpoch) -> Result<(), CacheError>;

    /// Only these servers (run ids) may answer from now on. An adapter that connects again on its
    /// own asks the server who it is first, and answers every step with
    /// [`NotMarked`](CacheError::NotMarked) while it is not one of these: a server that came back
    /// from an old snapshot holds the marker, and lost what was fenced since. Nothing to do for a
    /// cache that cannot come back as another.
    fn admit(&self, servers: &[String]) {
        let _ = servers;
    }

    /// What the servers (shards) say of themselves, sorted by run id.
    async fn servers(&self) -> Result<Vec<CacheServer>, CacheError>;

    /// Rows' keys (no entities') that are fenced in this epoch, a page at a time, so that a janitor finds those of dead
    /// writers that nobody reads. `cursor` is what the page before gave, 0 to begin; with the page
    /// comes the next one's, 0 where it was the last. A page may be empty, a key may come twice, and
    /// one that was fenced meanwhile may be missing. An adapter that cannot tell lists nothing:
    /// such fences then stay until the next epoch.
    async fn fences(&self, epoch: CacheEpoch, cursor: u64) -> Result<FencePage, CacheError> {
        let _ = (epoch, cursor);
        Ok((Vec::new(), 0))
    }

    /// Removes what epochs before this one left, a bounded number of keys a call; whether more is
    /// left.
    async fn sweep(&self, before: u64) -> Result<bool, CacheError>;
}
