//! A node that has no cache, beside others that may have one.
//!
//! It must not write past them: so it takes part in the protocol with a cache that never answers. Where
//! nobody has a cache that costs nothing but a look at the epoch record now and then; where others
//! have one, this node's first write finds that it cannot fence, and asks them to leave it. Mixed
//! nodes are slower, then, and right.

use async_trait::async_trait;
use trivium_codec::{Row, RowKey};
use trivium_store::{
    CacheEntry, CacheEpoch, CacheError, CacheServer, FenceId, LeaseToken, RowCache,
};

/// Refuses every step.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoCache;

fn refused() -> CacheError {
    CacheError::Refused { message: "this node has no cache".to_owned(), is_full: false }
}

fn all<T>(count: usize) -> Vec<Result<T, CacheError>> {
    (0..count).map(|_| Err(refused())).collect()
}

#[async_trait]
impl RowCache for NoCache {
    async fn look(&self, _: CacheEpoch, keys: &[RowKey]) -> Vec<Result<CacheEntry, CacheError>> {
        all(keys.len())
    }
    async fn lease(
        &self,
        _: CacheEpoch,
        keys: &[(RowKey, LeaseToken)],
    ) -> Vec<Result<CacheEntry, CacheError>> {
        all(keys.len())
    }
    async fn fill(
        &self,
        _: CacheEpoch,
        rows: &[(RowKey, LeaseToken, Row)],
    ) -> Vec<Result<bool, CacheError>> {
        all(rows.len())
    }
    async fn fence(
        &self,
        _: CacheEpoch,
        fences: &[(RowKey, FenceId)],
    ) -> Vec<Result<(), CacheError>> {
        all(fences.len())
    }
    async fn unfence(
        &self,
        _: CacheEpoch,
        fences: &[(RowKey, FenceId, Option<Row>)],
    ) -> Vec<Result<bool, CacheError>> {
        all(fences.len())
    }
    async fn mark(&self, _: CacheEpoch) -> Result<(), CacheError> {
        Err(refused())
    }
    async fn servers(&self) -> Result<Vec<CacheServer>, CacheError> {
        Err(refused())
    }
    async fn sweep(&self, _: u64) -> Result<bool, CacheError> {
        Ok(false)
    }
}
