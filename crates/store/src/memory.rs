//! A store in memory, for tests and for trying things out. It passes the same conformance suites as
//! every other store and authority; it keeps everything, and nothing survives it.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use async_trait::async_trait;
use bytes::Bytes;
use trivium_codec::{Row, RowKey};

use crate::{
    Authority, Barrier, Checkpoints, EpochRecord, Error, FencedOutcome, OnlineRead, OnlineWrite,
    ReadOptions, RowWrite, Stamp, WriteOutcome, apply, erase::admit, memory_subjects::People,
    port::check_deadline,
};

/// Rows and checkpoints behind one lock: a batch is seen whole or not at all, which is more than
/// the port promises. Do not rely on it.
#[derive(Debug, Default)]
pub struct MemoryStore {
    pub(crate) rows: Mutex<Rows>,
    checkpoints: Mutex<HashMap<String, Bytes>>,
    epoch: Mutex<Option<EpochRecord>>,
}

#[derive(Debug, Default)]
pub(crate) struct Rows {
    pub(crate) rows: HashMap<RowKey, Row>,
    /// Only keys that have one: a store that never stands behind a cache pays nothing.
    barriers: HashMap<RowKey, Guard>,
    pub(crate) people: People,
}

/// What keeps late writes of a row away.
#[derive(Debug, Clone, Copy, Default)]
struct Guard {
    barrier: Barrier,
    /// The rev that an absent row got with its first barrier: the first write goes above it.
    seed: u64,
}

impl Rows {
    fn barrier(&self, key: &RowKey) -> Barrier {
        self.barriers.get(key).map_or(Barrier::default(), |guard| guard.barrier)
    }

    fn raise(&mut self, key: &RowKey, to: Barrier, seed: u64) {
        let guard =
            self.barriers.entry(key.clone()).or_insert(Guard { barrier: Barrier::default(), seed });
        guard.barrier = guard.barrier.max(to);
    }

    /// The step of a plain write and of a fenced one.
    fn step(&mut self, mut write: RowWrite, seed_micros: u64) -> Result<WriteOutcome, Error> {
        let key = write.key.clone();
        let seed = self.barriers.get(&key).map_or(0, |guard| guard.seed.saturating_add(1));
        let bar = self.people.bar(&write)?;
        let existing = self.rows.get(&key);
        let stamp = existing.map(Stamp::of);
        match admit(bar, stamp.as_ref(), self.people.written_under(&key), &write) {
            Ok(order) => write.order = order,
            Err(outcome) => return Ok(outcome),
        }
        let subject = write.subject.clone();
        let step = apply(existing, write, seed_micros.max(seed))?;
        if let Some(row) = step.store {
            let subject = subject.filter(|_| !row.is_deleted());
            self.people.put(&key, subject.map(|subject| (subject, bar)));
            self.rows.insert(key, row);
        }
        Ok(step.outcome)
    }
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }
    /// How many rows there are, tombstones included.
    pub fn len(&self) -> usize {
        lock(&self.rows).rows.len()
    }
    /// Every row, tombstones included, in no order: for tests that look past all doors.
    pub fn scan(&self) -> Vec<(RowKey, Row)> {
        lock(&self.rows).rows.iter().map(|(key, row)| (key.clone(), row.clone())).collect()
    }
    /// Whether there is no row, not even a tombstone.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A panic elsewhere leaves each map whole: every change is a single insert.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[async_trait]
impl OnlineRead for MemoryStore {
    async fn get(&self, keys: &[RowKey], options: &ReadOptions) -> Vec<Result<Option<Row>, Error>> {
        if let Err(error) = check_deadline(options.deadline) {
            return vec![Err(error); keys.len()];
        }
        let rows = lock(&self.rows);
        keys.iter().map(|key| Ok(rows.rows.get(key).cloned())).collect()
    }
}

#[async_trait]
impl OnlineWrite for MemoryStore {
    async fn write(
        &self,
        writes: Vec<RowWrite>,
        seed_micros: u64,
        deadline: Option<Instant>,
    ) -> Vec<Result<WriteOutcome, Error>> {
        if let Err(error) = check_deadline(deadline) {
            return vec![Err(error); writes.len()];
        }
        let mut rows = lock(&self.rows);
        writes.into_iter().map(|write| rows.step(write, seed_micros)).collect()
    }
}

#[async_trait]
impl Checkpoints for MemoryStore {
    async fn load(&self, name: &str) -> Result<Option<Bytes>, Error> {
        Ok(lock(&self.checkpoints).get(name).cloned())
    }

    async fn store(
        &self,
        name: &str,
        expected: Option<&[u8]>,
        value: Bytes,
    ) -> Result<bool, Error> {
        let mut checkpoints = lock(&self.checkpoints);
        if checkpoints.get(name).map(|stored| stored.as_ref()) != expected {
            return Ok(false);
        }
        checkpoints.insert(name.to_owned(), value);
        Ok(true)
    }
}

#[async_trait]
impl Authority for MemoryStore {
    async fn write_fenced(
        &self,
        write: RowWrite,
        fence: Barrier,
        seed_micros: u64,
        deadline: Option<Instant>,
    ) -> Result<FencedOutcome, Error> {
        check_deadline(deadline)?;
        let mut rows = lock(&self.rows);
        let key = write.key.clone();
        let barrier = rows.barrier(&key);
        if barrier >= fence {
            return Ok(FencedOutcome::Barred(barrier));
        }
        let outcome = rows.step(write, seed_micros)?;
        let row = match outcome {
            // A recognised retry raises it too: whoever gets the row may put it into the cache, and
            // then no write of an earlier epoch may come after.
            WriteOutcome::Applied(_) => {
                rows.raise(&key, Barrier { epoch: fence.epoch, deadline: 0 }, 0);
                rows.rows.get(&key).cloned()
            }
            WriteOutcome::Superseded(_) | WriteOutcome::Conflict(_) | WriteOutcome::Erased(_) => {
                None
            }
        };
        Ok(FencedOutcome::Done(outcome, row))
    }

    async fn raise_barrier(
        &self,
        key: &RowKey,
        to: Barrier,
        seed_micros: u64,
        deadline: Option<Instant>,
    ) -> Result<Option<Row>, Error> {
        check_deadline(deadline)?;
        let mut rows = lock(&self.rows);
        rows.raise(key, to, seed_micros);
        Ok(rows.rows.get(key).cloned())
    }

    async fn get_with_barrier(
        &self,
        keys: &[RowKey],
        deadline: Option<Instant>,
    ) -> Vec<Result<(Option<Row>, Barrier), Error>> {
        if let Err(error) = check_deadline(deadline) {
            return vec![Err(error); keys.len()];
        }
        let rows = lock(&self.rows);
        keys.iter().map(|key| Ok((rows.rows.get(key).cloned(), rows.barrier(key)))).collect()
    }

    async fn epoch(&self) -> Result<Option<EpochRecord>, Error> {
        Ok(lock(&self.epoch).clone())
    }

    async fn swap_epoch(
        &self,
        expected: Option<&EpochRecord>,
        new: &EpochRecord,
    ) -> Result<bool, Error> {
        let mut epoch = lock(&self.epoch);
        if epoch.as_ref() != expected {
            return Ok(false);
        }
        *epoch = Some(new.clone());
        Ok(true)
    }
}
