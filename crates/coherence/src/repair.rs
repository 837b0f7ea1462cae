//! A writer that died, or does not know how its write ended, left its id in the key's fence. The
//! key is then read from the authority: correct, only slower. Here a reader ends that.
//!
//! Two steps, in this order: raise the row's barrier to the dead writer's own deadline, from when on
//! the authority refuses its write for good; then take the id out of the fence, with the row which
//! the first step saw. (Without that row an older remembered one could hide a newer one in the
//! authority.) A crash in between leaves the id, and a barrier that harms nobody.
//!
//! That the deadline has passed matters for the writer's sake only: one that is alive is refused,
//! and tries again. So no clocks are compared for safety.

use std::{
    collections::HashSet,
    sync::{Arc, MutexGuard, PoisonError},
};

use metrics::counter;
use tracing::debug;
use trivium_codec::{Row, RowKey};
use trivium_store::{Authority, Barrier, CacheEntry, CacheEpoch, Error, FenceId, RowCache};

use crate::{epoch::Phase, options::micros, store::Node};

/// A key under repair; dropped, it is so no longer, however that ended.
struct UnderWay<A, C> {
    node: Arc<Node<A, C>>,
    key: RowKey,
}

impl<A, C> Drop for UnderWay<A, C> {
    fn drop(&mut self) {
        self.node.repairs().remove(&self.key);
    }
}

impl<A, C> Node<A, C> {
    fn repairs(&self) -> MutexGuard<'_, HashSet<RowKey>> {
        self.repairing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<A: Authority + 'static, C: RowCache + 'static> Node<A, C> {
    /// Repairs the key where a write in its fence is past its deadline; one repair of a key at a
    /// time on this node. Others may do the same elsewhere: every step may be done twice.
    pub(crate) async fn repair_overdue(
        self: &Arc<Self>,
        epoch: CacheEpoch,
        key: &RowKey,
        ids: Vec<FenceId>,
    ) {
        let now = self.environment.wall_micros();
        let window = micros(self.options.write_window);
        let far = now.saturating_add(window).saturating_add(micros(self.options.clock_skew_max));
        let overdue: Vec<FenceId> =
            ids.into_iter().filter(|id| id.deadline < now || id.deadline > far).collect();
        if overdue.is_empty() || !self.repairs().insert(key.clone()) {
            return;
        }
        let under_way = UnderWay { node: Arc::clone(self), key: key.clone() };
        let work = async move {
            if let Err(error) = under_way.node.repair(epoch, &under_way.key, &overdue).await {
                debug!(%error, "a repair failed; the next reader tries again");
            }
        };
        self.follow_up(Box::pin(work)).await;
    }

    /// Makes sure that these writes come no more, and takes them out of the fence.
    async fn repair(&self, epoch: CacheEpoch, key: &RowKey, ids: &[FenceId]) -> Result<(), Error> {
        let Some(deadline) = ids.iter().map(|id| id.deadline).max() else { return Ok(()) };
        // An absent row is left alone, fence and all. It is read from the authority anyway, a raise
        // would make a row of it, and it may be a delete whose tombstone has expired since: without
        // the row that the delete left, taking the fence down would bring back what it deleted.
        let mut seen = self.authority.get_with_barrier(std::slice::from_ref(key), None).await;
        if !matches!(seen.pop(), Some(Ok((Some(_), _)))) {
            return Ok(());
        }
        let barrier = Barrier { epoch: epoch.number, deadline };
        let Some(row) = self.bar(key, barrier, None).await? else { return Ok(()) };
        let fences: Vec<_> = ids.iter().map(|id| (key.clone(), *id, Some(row.clone()))).collect();
        for removed in self.take_out(epoch, &fences).await {
            match removed {
                Ok(true) => counter!("trivium_cache_repairs_total").increment(1),
                Ok(false) => {}
                Err(error) => debug!(%error, "a dead write stays in its fence for now"),
            }
        }
        Ok(())
    }

    /// Whether the cache holds no live row at these keys, in fences neither; repairs what is overdue.
    pub(crate) async fn has_forgotten(self: &Arc<Self>, keys: &[RowKey]) -> bool {
        let epoch = match self.keeper.phase().await {
            Ok(Phase::Fenced(epoch)) => epoch,
            // Nobody reads the cache, and the next epoch's keys are others.
            Ok(Phase::Unfenced(_)) => return true,
            Err(_) => return false,
        };
        let mut is_forgotten = true;
        for (key, entry) in keys.iter().zip(self.cache.look(epoch, keys).await) {
            match entry {
                Ok(CacheEntry::Missing | CacheEntry::Lease) => {}
                Ok(CacheEntry::Value(row)) => is_forgotten &= row.is_deleted(),
                // A write under way takes it away itself.
                Ok(CacheEntry::Fence(ids)) => {
                    is_forgotten = false;
                    self.repair_overdue(epoch, key, ids).await;
                }
                Err(_) => is_forgotten = false,
            }
        }
        is_forgotten
    }

    /// Refuses every write of the row that is not above `barrier`, from now on; the row as it stands.
    pub(crate) async fn bar(
        &self,
        key: &RowKey,
        barrier: Barrier,
        deadline: Option<std::time::Instant>,
    ) -> Result<Option<Row>, Error> {
        let seed = self.environment.wall_micros();
        self.authority.raise_barrier(key, barrier, seed, deadline).await
    }
}
