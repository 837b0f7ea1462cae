//! A store in memory, for tests and for trying things out. It passes the same conformance suite as
//! every other store; it keeps everything, and nothing survives it.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use async_trait::async_trait;
use bytes::Bytes;
use trivium_codec::{Row, RowKey};

use crate::{
    Checkpoints, Error, OnlineRead, OnlineWrite, ReadOptions, RowWrite, WriteOutcome, apply,
    port::check_deadline,
};

/// Rows and checkpoints behind one lock: a batch is seen whole or not at all, which is more than
/// the port promises. Do not rely on it.
#[derive(Debug, Default)]
pub struct MemoryStore {
    rows: Mutex<HashMap<RowKey, Row>>,
    checkpoints: Mutex<HashMap<String, Bytes>>,
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }
    /// How many rows there are, tombstones included.
    pub fn len(&self) -> usize {
        lock(&self.rows).len()
    }
    /// Whether there is no row, not even a tombstone.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A panic elsewhere leaves each map whole: every change is a single insert.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[async_trait]
impl OnlineRead for MemoryStore {
    async fn get(&self, keys: &[RowKey], options: &ReadOptions) -> Vec<Result<Option<Row>, Error>> {
        if let Err(error) = check_deadline(options.deadline) {
            return vec![Err(error); keys.len()];
        }
        let rows = lock(&self.rows);
        keys.iter().map(|key| Ok(rows.get(key).cloned())).collect()
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
        let one = |write: RowWrite| {
            let key = write.key.clone();
            let step = apply(rows.get(&key), write, seed_micros)?;
            if let Some(row) = step.store {
                rows.insert(key, row);
            }
            Ok(step.outcome)
        };
        writes.into_iter().map(one).collect()
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
