//! A shared cache in memory, for tests: every step under one lock, and knobs for what a real one
//! does to its users (evict, restart empty or from an old snapshot, become a replica).

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use tokio::time::Instant;
use trivium_codec::{Row, RowKey};

use crate::{
    CacheEntry, CacheEpoch, CacheError, CacheServer, EVICTION_POLICY, FenceId, FencePage,
    LeaseToken, RowCache,
};

/// A reader that took a lease and died keeps others from filling for so long.
const LEASE_TTL: Duration = Duration::from_secs(5);

/// One node's connection to a cache server in memory.
#[derive(Debug)]
pub struct MemoryCache {
    server: Arc<Mutex<State>>,
    /// The run ids that this node believes; any, until it says so.
    admitted: Mutex<Option<Vec<String>>>,
}

#[derive(Debug)]
struct State {
    lives: u64,
    is_replicated: bool,
    policy: String,
    content: Content,
}

/// What a snapshot keeps.
#[derive(Debug, Clone, Default)]
struct Content {
    marks: HashSet<(u64, u128)>,
    cells: Cells,
}

type Cells = HashMap<(u64, RowKey), Cell>;

#[derive(Debug, Clone)]
enum Cell {
    Value(Row),
    Lease { token: LeaseToken, until: Instant },
    Fence { ids: Vec<FenceId>, newest: Option<Row> },
}

/// What a cache held at some moment; see [`MemoryCache::snapshot`].
#[derive(Debug, Clone)]
pub struct Snapshot(Content);

impl Default for MemoryCache {
    fn default() -> Self {
        Self::new()
    }
}

impl MemoryCache {
    /// An empty cache.
    pub fn new() -> Self {
        let state = State {
            lives: 1,
            is_replicated: false,
            policy: EVICTION_POLICY.to_owned(),
            content: Content::default(),
        };
        Self { server: Arc::new(Mutex::new(state)), admitted: Mutex::new(None) }
    }

    /// Another node's connection to the same server.
    pub fn connect(&self) -> Self {
        Self { server: Arc::clone(&self.server), admitted: Mutex::new(None) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Every step leaves the state whole.
        self.server.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The server, if it is one whose answers count here.
    fn admitted(&self) -> Result<MutexGuard<'_, State>, CacheError> {
        let state = self.lock();
        match &*self.admitted.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(servers) if !servers.contains(&state.run_id()) => Err(CacheError::NotMarked),
            _ => Ok(state),
        }
    }

    /// One step for each item, all in one go.
    fn each<I, O>(
        &self,
        epoch: CacheEpoch,
        items: &[I],
        mut step: impl FnMut(&mut Cells, &I) -> O,
    ) -> Vec<Result<O, CacheError>> {
        let mut state = match self.admitted() {
            Ok(state) => state,
            Err(error) => return items.iter().map(|_| Err(error.clone())).collect(),
        };
        let content = &mut state.content;
        items
            .iter()
            .map(|item| {
                if content.marks.contains(&(epoch.number, epoch.marker)) {
                    Ok(step(&mut content.cells, item))
                } else {
                    Err(CacheError::NotMarked)
                }
            })
            .collect()
    }

    /// Everything is gone, and the run id is another.
    pub fn restart_empty(&self) {
        let mut state = self.lock();
        state.lives += 1;
        state.content = Content::default();
    }

    /// Everything is gone; the server is the same.
    pub fn flush_all(&self) {
        self.lock().content = Content::default();
    }

    /// What the cache holds, to come back to later.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot(self.lock().content.clone())
    }

    /// The server restarts with what it held then, marker included.
    pub fn restart_from(&self, snapshot: &Snapshot) {
        let mut state = self.lock();
        state.lives += 1;
        state.content = snapshot.0.clone();
    }

    /// Evicts what `picked` says of the keys with a TTL, as `volatile-lru` may; how many went.
    pub fn evict(&self, mut picked: impl FnMut(&RowKey) -> bool) -> usize {
        let cells = &mut self.lock().content.cells;
        let before = cells.len();
        cells.retain(|(_, key), cell| matches!(cell, Cell::Fence { .. }) || !picked(key));
        before - cells.len()
    }

    /// Evicts all fences, as a cache under another policy might: for showing that it must not.
    pub fn evict_fences(&self) {
        self.lock().content.cells.retain(|_, cell| !matches!(cell, Cell::Fence { .. }));
    }

    /// Whether the server is a replica, or has one, from now on.
    pub fn set_replicated(&self, is_replicated: bool) {
        self.lock().is_replicated = is_replicated;
    }

    /// The server's eviction policy from now on.
    pub fn set_policy(&self, policy: &str) {
        policy.clone_into(&mut self.lock().policy);
    }

    /// How many rows' keys hold a value, a lease, a fence.
    pub fn census(&self) -> (usize, usize, usize) {
        let state = self.lock();
        let rows = state.content.cells.iter().filter(|((_, key), _)| !key.is_entity());
        rows.fold((0, 0, 0), |(values, leases, fences), (_, cell)| match cell {
            Cell::Value(_) => (values + 1, leases, fences),
            Cell::Lease { .. } => (values, leases + 1, fences),
            Cell::Fence { .. } => (values, leases, fences + 1),
        })
    }
}

impl State {
    fn run_id(&self) -> String {
        format!("memory-{}", self.lives)
    }
}

/// The key's cell, without a lease that has run out.
fn living<'c>(cells: &'c mut Cells, at: &(u64, RowKey)) -> Option<&'c mut Cell> {
    if let Some(Cell::Lease { until, .. }) = cells.get(at)
        && *until <= Instant::now()
    {
        cells.remove(at);
    }
    cells.get_mut(at)
}

fn shown(cell: Option<&mut Cell>) -> CacheEntry {
    match cell {
        None => CacheEntry::Missing,
        Some(Cell::Value(row)) => CacheEntry::Value(row.clone()),
        Some(Cell::Lease { .. }) => CacheEntry::Lease,
        Some(Cell::Fence { ids, .. }) => CacheEntry::Fence(ids.clone()),
    }
}

fn newer(one: Option<Row>, other: Option<Row>) -> Option<Row> {
    match (one, other) {
        (Some(one), Some(other)) => Some(if other.rev() > one.rev() { other } else { one }),
        (one, other) => one.or(other),
    }
}

#[async_trait]
impl RowCache for MemoryCache {
    async fn look(
        &self,
        epoch: CacheEpoch,
        keys: &[RowKey],
    ) -> Vec<Result<CacheEntry, CacheError>> {
        self.each(epoch, keys, |cells, key| shown(living(cells, &(epoch.number, key.clone()))))
    }

    async fn lease(
        &self,
        epoch: CacheEpoch,
        keys: &[(RowKey, LeaseToken)],
    ) -> Vec<Result<CacheEntry, CacheError>> {
        self.each(epoch, keys, |cells, (key, token)| {
            let at = (epoch.number, key.clone());
            let found = shown(living(cells, &at));
            if matches!(found, CacheEntry::Missing) {
                cells.insert(at, Cell::Lease { token: *token, until: Instant::now() + LEASE_TTL });
            }
            found
        })
    }

    async fn fill(
        &self,
        epoch: CacheEpoch,
        rows: &[(RowKey, LeaseToken, Row)],
    ) -> Vec<Result<bool, CacheError>> {
        self.each(epoch, rows, |cells, (key, token, row)| {
            let Some(cell) = living(cells, &(epoch.number, key.clone())) else { return false };
            let ours = matches!(cell, Cell::Lease { token: held, .. } if held == token);
            if ours {
                *cell = Cell::Value(row.clone());
            }
            ours
        })
    }

    async fn fence(
        &self,
        epoch: CacheEpoch,
        fences: &[(RowKey, FenceId)],
    ) -> Vec<Result<(), CacheError>> {
        self.each(epoch, fences, |cells, (key, fence)| {
            let at = (epoch.number, key.clone());
            let (mut ids, newest) = match cells.remove(&at) {
                Some(Cell::Fence { ids, newest }) => (ids, newest),
                Some(Cell::Value(row)) => (Vec::new(), (!key.is_entity()).then_some(row)),
                Some(Cell::Lease { .. }) | None => (Vec::new(), None),
            };
            if !ids.contains(fence) {
                ids.push(*fence);
            }
            cells.insert(at, Cell::Fence { ids, newest });
        })
    }

    async fn unfence(
        &self,
        epoch: CacheEpoch,
        fences: &[(RowKey, FenceId, Option<Row>)],
    ) -> Vec<Result<bool, CacheError>> {
        self.each(epoch, fences, |cells, (key, fence, row)| {
            let at = (epoch.number, key.clone());
            let Some(Cell::Fence { ids, newest }) = cells.get_mut(&at) else { return false };
            let Some(place) = ids.iter().position(|id| id == fence) else { return false };
            ids.swap_remove(place);
            *newest = newer(newest.take(), row.clone());
            if ids.is_empty() {
                match newest.take() {
                    Some(row) => cells.insert(at, Cell::Value(row)),
                    None => cells.remove(&at),
                };
            }
            true
        })
    }

    async fn mark(&self, epoch: CacheEpoch) -> Result<(), CacheError> {
        self.admitted()?.content.marks.insert((epoch.number, epoch.marker));
        Ok(())
    }

    fn admit(&self, servers: &[String]) {
        *self.admitted.lock().unwrap_or_else(PoisonError::into_inner) = Some(servers.to_vec());
    }

    async fn servers(&self) -> Result<Vec<CacheServer>, CacheError> {
        let state = self.lock();
        Ok(vec![CacheServer {
            run_id: state.run_id(),
            is_replicated: state.is_replicated,
            policy: state.policy.clone(),
        }])
    }

    async fn fences(&self, epoch: CacheEpoch, cursor: u64) -> Result<FencePage, CacheError> {
        const PAGE: usize = 16;
        let state = self.admitted()?;
        if !state.content.marks.contains(&(epoch.number, epoch.marker)) {
            return Err(CacheError::NotMarked);
        }
        let mut fences: Vec<(RowKey, Vec<FenceId>)> = state
            .content
            .cells
            .iter()
            .filter_map(|((number, key), cell)| match cell {
                Cell::Fence { ids, .. } if *number == epoch.number && !key.is_entity() => {
                    Some((key.clone(), ids.clone()))
                }
                _ => None,
            })
            .collect();
        fences.sort_unstable_by(|(one, _), (other, _)| one.as_bytes().cmp(other.as_bytes()));
        let start = usize::try_from(cursor).unwrap_or(usize::MAX).min(fences.len());
        let mut page = fences.split_off(start);
        let next = if page.len() > PAGE { cursor + PAGE as u64 } else { 0 };
        page.truncate(PAGE);
        Ok((page, next))
    }

    async fn sweep(&self, before: u64) -> Result<bool, CacheError> {
        let content = &mut self.lock().content;
        content.marks.retain(|(number, _)| *number >= before);
        content.cells.retain(|(number, _), _| *number >= before);
        Ok(false)
    }
}
