//! The row cache and the locks that keep it true.

use std::sync::{
    Mutex, MutexGuard, PoisonError,
    atomic::{AtomicU32, AtomicU64, Ordering},
};

use bytes::Bytes;
use indexmap::IndexMap;
use quick_cache::{Weighter, sync::Cache};
use trivium_codec::{Row, RowKey};

use crate::store::Changed;

/// Shards of the locks. Enough that two small batches seldom meet; few enough that a large one
/// takes them all in microseconds.
const SHARDS: usize = 256;
/// Stripes of the counts of commits. Enough that two loads seldom meet in one of them: 256 KiB.
const STRIPES: usize = 1 << 16;
/// What an entry takes beside its key and row, roughly.
const ENTRY_BYTES: u64 = 160;
/// A batch of more rows is a load: it changes rows that are cached, and those that it changes take what
/// room is left; it does not push out what readers want.
pub(crate) const LOAD_ROWS: usize = 64;
/// A row larger than this part of the cache is not cached.
const LARGEST_PART: u64 = 64;

#[derive(Debug, Clone)]
struct Weigh;

fn weight(key: &RowKey, row: &Row) -> u64 {
    (key.as_bytes().len() + row.as_bytes().len()) as u64 + ENTRY_BYTES
}

impl Weighter<RowKey, Row> for Weigh {
    fn weight(&self, key: &RowKey, row: &Row) -> u64 {
        weight(key, row)
    }
}

/// Rows as they stand in the engine, or nothing.
pub(crate) struct RowCache {
    shards: Vec<Mutex<()>>,
    /// Each grows, under the lock of its shard, when one of its rows has been committed.
    commits: Vec<AtomicU32>,
    /// Loads meet in nearly every shard: they queue up here, not at one shard after the other.
    load: Mutex<()>,
    rows: Cache<RowKey, Row, Weigh>,
    largest: u64,
    hits: AtomicU64,
    misses: AtomicU64,
}

/// What the count of commits was before the engine was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Before(u32);

/// The locks of a batch: nobody else writes rows of its shards.
pub(crate) struct Locked<'c> {
    cache: &'c RowCache,
    _guards: Vec<MutexGuard<'c, ()>>,
    // Dropped last.
    _load: Option<MutexGuard<'c, ()>>,
}

impl RowCache {
    pub(crate) fn new(bytes: u64) -> Self {
        let expected_rows = usize::try_from(bytes / 512).unwrap_or(usize::MAX).clamp(64, 1 << 20);
        Self {
            shards: std::iter::repeat_with(Mutex::default).take(SHARDS).collect(),
            commits: std::iter::repeat_with(AtomicU32::default).take(STRIPES).collect(),
            load: Mutex::default(),
            rows: Cache::with_weighter(expected_rows, bytes, Weigh),
            largest: bytes / LARGEST_PART,
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
        }
    }

    fn stripe(key: &RowKey) -> usize {
        // Not the low bits: the cache takes those for its own.
        (key.stable_hash() >> 48) as usize % STRIPES
    }

    /// All keys of a stripe are of one shard.
    fn shard(key: &RowKey) -> usize {
        Self::stripe(key) % SHARDS
    }

    #[inline]
    pub(crate) fn get(&self, key: &RowKey) -> Option<Row> {
        self.rows.get(key)
    }

    /// Not for a reader: it makes the row none of those that are wanted.
    pub(crate) fn peek(&self, key: &RowKey) -> Option<Row> {
        self.rows.peek(key)
    }

    pub(crate) fn before(&self, key: &RowKey) -> Before {
        Before(self.commits[Self::stripe(key)].load(Ordering::Acquire))
    }

    /// Keeps a row that a reader found in the engine after `before`, unless a writer holds its
    /// shard now or has committed since: the row might be the one before that write. Never waits.
    pub(crate) fn keep(&self, key: &RowKey, row: &Row, before: Before) {
        let Ok(_guard) = self.shards[Self::shard(key)].try_lock() else { return };
        if self.before(key) == before {
            self.set(key, row);
        }
    }

    fn set(&self, key: &RowKey, row: &Row) {
        if weight(key, row) > self.largest {
            self.rows.remove(key);
        } else {
            self.rows.insert(key.clone(), row.clone());
        }
    }

    /// Bytes that are free, but for some: what is free in all together may not be where a row belongs.
    fn room(&self) -> u64 {
        let capacity = self.rows.capacity();
        (capacity - capacity / 16).saturating_sub(self.rows.weight())
    }

    /// Takes the locks of these keys, in one order for everybody.
    pub(crate) fn lock<'k>(&self, keys: impl Iterator<Item = &'k RowKey>) -> Locked<'_> {
        let mut shards: Vec<usize> = keys.map(Self::shard).collect();
        let load = (shards.len() > LOAD_ROWS)
            .then(|| self.load.lock().unwrap_or_else(PoisonError::into_inner));
        shards.sort_unstable();
        shards.dedup();
        // What a panic under the lock leaves is as good as any: the cache is only changed after a
        // commit, and then by whole entries.
        let guards = shards
            .iter()
            .map(|&shard| self.shards[shard].lock().unwrap_or_else(PoisonError::into_inner))
            .collect();
        Locked { cache: self, _guards: guards, _load: load }
    }

    /// Counts a read of several rows, once for all of them.
    pub(crate) fn count(&self, hits: usize, misses: usize) {
        self.hits.fetch_add(hits as u64, Ordering::Relaxed);
        self.misses.fetch_add(misses as u64, Ordering::Relaxed);
    }
    pub(crate) fn hits(&self) -> u64 {
        self.hits.load(Ordering::Relaxed)
    }
    pub(crate) fn misses(&self) -> u64 {
        self.misses.load(Ordering::Relaxed)
    }
    pub(crate) fn bytes(&self) -> u64 {
        self.rows.weight()
    }
    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }
}

impl Locked<'_> {
    /// Whether what was read of a row of this batch after `before` is what there is.
    pub(crate) fn is_current(&self, key: &RowKey, before: Before) -> bool {
        self.cache.before(key) == before
    }

    /// Takes over rows that have just been committed.
    pub(crate) fn committed(&self, changed: &IndexMap<RowKey, Changed>) {
        let is_load = changed.len() > LOAD_ROWS;
        let mut room = if is_load { self.cache.room() } else { u64::MAX };
        for (key, Changed { row, is_new }) in changed {
            let bytes = weight(key, row);
            // What a load changes a stream may change again; what it brings nobody has asked for yet.
            let has_room = bytes <= room && !(is_load && *is_new);
            if has_room || self.cache.rows.contains_key(key) {
                self.take_over(key, row);
                room = room.saturating_sub(bytes);
            }
            // Last: who sees the count sees the row.
            self.cache.commits[RowCache::stripe(key)].fetch_add(1, Ordering::Release);
        }
    }

    fn take_over(&self, key: &RowKey, row: &Row) {
        // A copy of its own: the row may be a slice of a request many times its size.
        match Row::from_bytes(Bytes::copy_from_slice(row.as_bytes())) {
            Ok(row) => self.cache.set(key, &row),
            Err(_) => {
                self.cache.rows.remove(key);
            }
        }
    }
}
