//! Stores that step aside, refuse, and fail to answer, by the throw of seeded dice; and a cache that gives
//! old rows.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering},
    },
    time::Instant,
};

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::Barrier;
use trivium_codec::{Row, RowKey};
use trivium_runtime::Clock;
use trivium_store::{
    Checkpoints, Consistency, EmbeddingIndex, Error, MemoryIndex, MemoryStore, OnlineRead,
    OnlineWrite, ReadOptions, RowWrite, WriteOutcome,
    embedding::{
        Document, DocumentId, Ensured, Hit, IndexSpec, ListPage, Listing, Nearest, PutOutcome,
        Visible,
    },
};

/// The runtime takes turns, so that a seed is an interleaving.
#[derive(Debug)]
pub(super) struct Dice(pub(super) Mutex<u64>);

impl Dice {
    pub(super) fn below(&self, limit: u64) -> u64 {
        let mut state = self.0.lock().unwrap();
        *state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (*state >> 33) % limit
    }
    pub(super) async fn step(&self) {
        for _ in 0..self.below(4) {
            tokio::task::yield_now().await;
        }
    }
}

/// What becomes of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    None,
    /// It is not done.
    Refused,
    /// It is done, and nobody is told.
    Unanswered,
}

/// A clock that never stands still: revs of different lives differ.
#[derive(Debug)]
pub(super) struct Ticking(pub(super) AtomicI64);

impl Clock for Ticking {
    fn now_micros(&self) -> i64 {
        self.0.fetch_add(1, Ordering::SeqCst)
    }
}

/// Rows and documents, with their faults.
#[derive(Debug)]
pub(super) struct Faulty<T> {
    pub(super) inner: T,
    pub(super) dice: Arc<Dice>,
    /// One call in so many fails, of each kind; 0: none.
    pub(super) one_in: u64,
    pub(super) is_on: Arc<AtomicBool>,
    /// The faults of the next writes, before the dice are asked.
    pub(super) planned: Mutex<Vec<Fault>>,
    /// Whether a cached read always gives the copy that an earlier one made.
    pub(super) keeps_old: AtomicBool,
    /// Puts that waited for searches, and refreshes.
    pub(super) waited: (AtomicU64, AtomicU64),
    /// Where so many reads of documents wait for each other.
    pub(super) meeting: Mutex<Option<Arc<Barrier>>>,
    /// What a cache may give.
    pub(super) copies: Mutex<HashMap<RowKey, Option<Row>>>,
}

impl<T> Faulty<T> {
    pub(super) fn new(inner: T, dice: &Arc<Dice>, one_in: u64, is_on: &Arc<AtomicBool>) -> Self {
        Self {
            inner,
            dice: Arc::clone(dice),
            one_in,
            is_on: Arc::clone(is_on),
            planned: Mutex::default(),
            keeps_old: AtomicBool::new(false),
            waited: Default::default(),
            meeting: Mutex::default(),
            copies: Mutex::default(),
        }
    }

    fn fault(&self, is_write: bool) -> Fault {
        if is_write && let Some(planned) = self.planned.lock().unwrap().pop() {
            return planned;
        }
        if self.one_in == 0 || !self.is_on.load(Ordering::SeqCst) {
            return Fault::None;
        }
        match self.dice.below(self.one_in) {
            0 => Fault::Refused,
            1 => Fault::Unanswered,
            _ => Fault::None,
        }
    }
}

fn refused(who: &str) -> Error {
    Error::Unavailable(format!("{who}: out of order"))
}
fn unanswered(who: &str) -> Error {
    Error::Unknown(format!("{who}: no answer"))
}

const ROWS: &str = "rows (test)";
const INDEX: &str = "embedding index (test)";

#[async_trait]
impl OnlineRead for Faulty<MemoryStore> {
    async fn get(&self, keys: &[RowKey], options: &ReadOptions) -> Vec<Result<Option<Row>, Error>> {
        self.dice.step().await;
        if self.fault(false) != Fault::None {
            return keys.iter().map(|_| Err(refused(ROWS))).collect();
        }
        let mut rows = self.inner.get(keys, options).await;
        for (key, row) in keys.iter().zip(&mut rows) {
            let keeps_old = self.keeps_old.load(Ordering::SeqCst);
            let is_cached = options.consistency != Consistency::Strong;
            let is_old = is_cached && (keeps_old || self.dice.below(2) == 0);
            let mut copies = self.copies.lock().unwrap();
            match copies.get(key) {
                Some(copy) if is_old => *row = Ok(copy.clone()),
                _ if keeps_old && !is_cached => {}
                _ => drop(copies.insert(key.clone(), row.clone().unwrap())),
            }
        }
        self.dice.step().await;
        rows
    }
}

#[async_trait]
impl OnlineWrite for Faulty<MemoryStore> {
    async fn write(
        &self,
        writes: Vec<RowWrite>,
        seed_micros: u64,
        deadline: Option<Instant>,
    ) -> Vec<Result<WriteOutcome, Error>> {
        self.dice.step().await;
        let fault = self.fault(true);
        let count = writes.len();
        if fault == Fault::Refused {
            return (0..count).map(|_| Err(refused(ROWS))).collect();
        }
        let outcomes = self.inner.write(writes, seed_micros, deadline).await;
        self.dice.step().await;
        if fault == Fault::Unanswered {
            return (0..count).map(|_| Err(unanswered(ROWS))).collect();
        }
        outcomes
    }
}

#[async_trait]
impl Checkpoints for Faulty<MemoryStore> {
    async fn load(&self, name: &str) -> Result<Option<Bytes>, Error> {
        self.inner.load(name).await
    }
    async fn store(
        &self,
        name: &str,
        expected: Option<&[u8]>,
        value: Bytes,
    ) -> Result<bool, Error> {
        self.inner.store(name, expected, value).await
    }
}

#[async_trait]
impl EmbeddingIndex for Faulty<MemoryIndex> {
    async fn ensure(&self, spec: &IndexSpec, deadline: Option<Instant>) -> Result<Ensured, Error> {
        self.inner.ensure(spec, deadline).await
    }
    async fn remove(&self, spec: &IndexSpec, deadline: Option<Instant>) -> Result<(), Error> {
        self.inner.remove(spec, deadline).await
    }
    async fn put(
        &self,
        spec: &IndexSpec,
        documents: Vec<Document>,
        visible: Visible,
        deadline: Option<Instant>,
    ) -> Vec<Result<PutOutcome, Error>> {
        self.dice.step().await;
        let fault = self.fault(true);
        let count = documents.len();
        self.waited.0.fetch_add(u64::from(visible == Visible::Now), Ordering::SeqCst);
        if fault == Fault::Refused {
            return (0..count).map(|_| Err(refused(INDEX))).collect();
        }
        let outcomes = self.inner.put(spec, documents, visible, deadline).await;
        self.dice.step().await;
        if fault == Fault::Unanswered {
            return (0..count).map(|_| Err(unanswered(INDEX))).collect();
        }
        outcomes
    }
    async fn get(
        &self,
        spec: &IndexSpec,
        ids: &[DocumentId],
        deadline: Option<Instant>,
    ) -> Vec<Result<Option<Document>, Error>> {
        let meeting = self.meeting.lock().unwrap().clone();
        if let Some(meeting) = meeting {
            meeting.wait().await;
        }
        self.dice.step().await;
        if self.fault(false) != Fault::None {
            return ids.iter().map(|_| Err(refused(INDEX))).collect();
        }
        let found = self.inner.get(spec, ids, deadline).await;
        self.dice.step().await;
        found
    }
    async fn delete(
        &self,
        spec: &IndexSpec,
        ids: &[DocumentId],
        deadline: Option<Instant>,
    ) -> Vec<Result<bool, Error>> {
        self.dice.step().await;
        if self.fault(false) == Fault::Refused {
            return ids.iter().map(|_| Err(refused(INDEX))).collect();
        }
        self.inner.delete(spec, ids, deadline).await
    }
    async fn nearest(
        &self,
        spec: &IndexSpec,
        query: &Nearest,
        deadline: Option<Instant>,
    ) -> Result<Vec<Hit>, Error> {
        self.dice.step().await;
        if self.fault(false) != Fault::None {
            return Err(refused(INDEX));
        }
        let hits = self.inner.nearest(spec, query, deadline).await;
        self.dice.step().await;
        hits
    }
    async fn list(
        &self,
        spec: &IndexSpec,
        listing: &Listing,
        after: Option<&str>,
        deadline: Option<Instant>,
    ) -> Result<ListPage, Error> {
        self.inner.list(spec, listing, after, deadline).await
    }
    async fn refresh(&self, spec: &IndexSpec, deadline: Option<Instant>) -> Result<(), Error> {
        self.waited.1.fetch_add(1, Ordering::SeqCst);
        if self.fault(false) != Fault::None {
            return Err(unanswered(INDEX));
        }
        self.inner.refresh(spec, deadline).await
    }
}
