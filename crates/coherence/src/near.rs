//! Copies of rows in this process, for readers who allow some staleness.
//!
//! A copy's age is counted from when the read that brought it *began*: that read was linearizable, so
//! the row was the newest at some moment after, and a copy that is no older than the reader's bound is
//! never staler than it. Nobody tells this node of writes on others; nobody has to. Strong reads do
//! not look here.

use std::{sync::Arc, time::Instant};

use async_trait::async_trait;
use bytes::Bytes;
use metrics::counter;
use quick_cache::{Weighter, sync::Cache};
use trivium_codec::{Row, RowKey};
use trivium_store::{
    Checkpoints, Consistency, Error, OnlineRead, OnlineWrite, ReadOptions, RowWrite, WriteOutcome,
};

use crate::{SteadyClock, SystemSteadyClock, options::micros};

/// A store whose rows are copied for those who ask for [`Consistency::Cached`].
#[derive(Debug)]
pub struct NearCopies<S> {
    store: S,
    /// `None`: no copies are kept, and every read is a strong one.
    copies: Option<Cache<RowKey, Copied, Weight>>,
    clock: Arc<dyn SteadyClock>,
}

#[derive(Debug, Clone)]
struct Copied {
    row: Option<Row>,
    /// When the read began that brought it.
    began: u64,
}

#[derive(Debug, Clone, Copy)]
struct Weight;

/// What an entry costs beside its bytes, roughly.
const ENTRY_BYTES: u64 = 128;

impl Weighter<RowKey, Copied> for Weight {
    fn weight(&self, key: &RowKey, copy: &Copied) -> u64 {
        let row = copy.row.as_ref().map_or(0, |row| row.as_bytes().len());
        ENTRY_BYTES + key.as_bytes().len() as u64 + row as u64
    }
}

impl<S> NearCopies<S> {
    /// Keeps copies of at most so many bytes; 0: none.
    pub fn new(store: S, bytes_max: u64) -> Self {
        Self::with_clock(store, bytes_max, Arc::new(SystemSteadyClock))
    }

    /// The same, by a clock that is given.
    pub fn with_clock(store: S, bytes_max: u64, clock: Arc<dyn SteadyClock>) -> Self {
        // A guess that only sizes tables: rows of some hundred bytes.
        let items = usize::try_from(bytes_max / 512).unwrap_or(usize::MAX).max(16);
        let copies = (bytes_max > 0).then(|| Cache::with_weighter(items, bytes_max, Weight));
        Self { store, copies, clock }
    }

    /// The store itself.
    pub const fn inner(&self) -> &S {
        &self.store
    }
}

#[async_trait]
impl<S: OnlineRead> OnlineRead for NearCopies<S> {
    async fn get(&self, keys: &[RowKey], options: &ReadOptions) -> Vec<Result<Option<Row>, Error>> {
        let (Consistency::Cached { max_staleness }, Some(copies)) =
            (options.consistency, &self.copies)
        else {
            return self.store.get(keys, options).await;
        };
        let began = self.clock.now_micros();
        let oldest = began.saturating_sub(micros(max_staleness));
        let mut answers: Vec<Option<Result<Option<Row>, Error>>> = Vec::with_capacity(keys.len());
        let mut asked = Vec::new();
        for key in keys {
            let copy = copies.get(key).filter(|copy| copy.began >= oldest);
            if copy.is_none() {
                asked.push(key.clone());
            }
            answers.push(copy.map(|copy| Ok(copy.row)));
        }
        counter!("trivium_cache_reads_total", "answered_by" => "process")
            .increment((keys.len() - asked.len()) as u64);
        let read =
            if asked.is_empty() { Vec::new() } else { self.store.get(&asked, options).await };
        for (key, row) in asked.into_iter().zip(&read) {
            if let Ok(row) = row {
                let row = row.as_ref().map(Row::detached);
                copies.insert(key, Copied { row, began });
            }
        }
        let mut read = read.into_iter();
        let unanswered = || Err(Error::Unavailable("the store left a row unanswered".to_owned()));
        let answer = |answer: Option<_>| answer.or_else(|| read.next()).unwrap_or_else(unanswered);
        answers.into_iter().map(answer).collect()
    }
}

#[async_trait]
impl<S: OnlineWrite> OnlineWrite for NearCopies<S> {
    async fn write(
        &self,
        writes: Vec<RowWrite>,
        seed_micros: u64,
        deadline: Option<Instant>,
    ) -> Vec<Result<WriteOutcome, Error>> {
        let Some(copies) = &self.copies else {
            return self.store.write(writes, seed_micros, deadline).await;
        };
        let keys: Vec<RowKey> = writes.iter().map(|write| write.key.clone()).collect();
        let outcomes = self.store.write(writes, seed_micros, deadline).await;
        // Not promised, but kind: who writes and reads through one node sees the own write soon.
        for key in &keys {
            copies.remove(key);
        }
        outcomes
    }
}

#[async_trait]
impl<S: Checkpoints> Checkpoints for NearCopies<S> {
    async fn load(&self, name: &str) -> Result<Option<Bytes>, Error> {
        self.store.load(name).await
    }
    async fn store(
        &self,
        name: &str,
        expected: Option<&[u8]>,
        value: Bytes,
    ) -> Result<bool, Error> {
        self.store.store(name, expected, value).await
    }
}
