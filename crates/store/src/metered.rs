//! How long a store takes and how it fails, as metrics: `trivium_store_seconds` by store and
//! operation, and `trivium_store_errors_total` by kind too. One layer around an adapter, so that no
//! adapter counts by itself. A call counts once, its errors row by row.

mod embedding;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use bytes::Bytes;
use metrics::{Histogram, counter, histogram};
use trivium_codec::{Row, RowKey};

use crate::{
    Authority, Barrier, CacheEntry, CacheEpoch, CacheError, CacheServer, Checkpoints, EpochRecord,
    Error, FenceId, FencePage, FencedOutcome, LeaseToken, OnlineRead, OnlineWrite, OpenPage,
    ReadOptions, RowCache, RowWrite, SubjectPage, SubjectRow, SubjectStore, SubjectTombstone,
    Subjects, WriteOutcome,
};

/// A store or a cache, measured under a name.
#[derive(Debug, Clone)]
pub struct Metered<T> {
    inner: T,
    store: &'static str,
    timers: Arc<Timers>,
}

/// One handle an operation: looking it up by its labels would cost more than recording.
struct Timers(Vec<(&'static str, Histogram)>);

impl std::fmt::Debug for Timers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(operation, _)| operation)).finish()
    }
}

const OPERATIONS: [&str; 29] = [
    "get",
    "write",
    "write_fenced",
    "raise_barrier",
    "get_with_barrier",
    "epoch",
    "swap_epoch",
    "checkpoint",
    "look",
    "lease",
    "fill",
    "fence",
    "unfence",
    "servers",
    "fences",
    "sweep",
    "ensure",
    "remove",
    "put",
    "put_and_wait",
    "delete",
    "nearest",
    "list",
    "refresh",
    "keys_of",
    "rows_of",
    "tombstone",
    "swap_tombstone",
    "open_tombstones",
];

impl<T> Metered<T> {
    /// Measures `inner` under the name of its kind: `dynamodb`, `valkey`, `opensearch`. Make it after the process's
    /// metrics have been started.
    pub fn new(store: &'static str, inner: T) -> Self {
        let timer = |operation: &'static str| {
            (
                operation,
                histogram!("trivium_store_seconds", "store" => store, "operation" => operation),
            )
        };
        Self { inner, store, timers: Arc::new(Timers(OPERATIONS.map(timer).into())) }
    }

    /// What is measured.
    pub const fn inner(&self) -> &T {
        &self.inner
    }

    /// Times one call; `failures` finds the kinds of the errors in its answer.
    async fn timed<R>(
        &self,
        operation: &'static str,
        call: impl Future<Output = R>,
        failures: impl FnOnce(&R, &mut dyn FnMut(&'static str)),
    ) -> R {
        let began = Instant::now();
        let answer = call.await;
        self.record(operation, began.elapsed());
        failures(&answer, &mut |kind| {
            let labels = [("store", self.store), ("operation", operation), ("kind", kind)];
            counter!("trivium_store_errors_total", &labels).increment(1);
        });
        answer
    }

    fn record(&self, operation: &'static str, took: Duration) {
        if let Some((_, timer)) = self.timers.0.iter().find(|(known, _)| *known == operation) {
            timer.record(took.as_secs_f64());
        }
    }
}

fn kind_of(error: &Error) -> &'static str {
    match error {
        Error::Invalid(_) => "invalid",
        Error::Throttled(_) => "throttled",
        Error::Unavailable(_) => "unavailable",
        Error::Failed(_) => "failed",
        Error::Unknown(_) => "unknown",
        Error::Corrupt(_) => "corrupt",
    }
}

fn kind_of_cache(error: &CacheError) -> &'static str {
    match error {
        CacheError::NotMarked => "not_marked",
        CacheError::Refused { is_full: true, .. } => "full",
        CacheError::Refused { .. } => "refused",
        CacheError::Unknown(_) => "unknown",
    }
}

/// The errors of a store's answers, one for each row.
#[expect(clippy::ptr_arg, reason = "the answer of a call, as it is")]
fn rows<R>(answers: &Vec<Result<R, Error>>, note: &mut dyn FnMut(&'static str)) {
    answers
        .iter()
        .filter_map(|answer| answer.as_ref().err())
        .for_each(|error| note(kind_of(error)));
}
fn one<R>(answer: &Result<R, Error>, note: &mut dyn FnMut(&'static str)) {
    answer.as_ref().err().into_iter().for_each(|error| note(kind_of(error)));
}
#[expect(clippy::ptr_arg, reason = "the answer of a call, as it is")]
fn keys<R>(answers: &Vec<Result<R, CacheError>>, note: &mut dyn FnMut(&'static str)) {
    let errors = answers.iter().filter_map(|answer| answer.as_ref().err());
    errors.for_each(|error| note(kind_of_cache(error)));
}
fn step<R>(answer: &Result<R, CacheError>, note: &mut dyn FnMut(&'static str)) {
    answer.as_ref().err().into_iter().for_each(|error| note(kind_of_cache(error)));
}

#[async_trait]
impl<T: OnlineRead> OnlineRead for Metered<T> {
    async fn get(&self, keys: &[RowKey], options: &ReadOptions) -> Vec<Result<Option<Row>, Error>> {
        self.timed("get", self.inner.get(keys, options), rows).await
    }
}

#[async_trait]
impl<T: OnlineWrite> OnlineWrite for Metered<T> {
    async fn write(
        &self,
        writes: Vec<RowWrite>,
        seed_micros: u64,
        deadline: Option<Instant>,
    ) -> Vec<Result<WriteOutcome, Error>> {
        self.timed("write", self.inner.write(writes, seed_micros, deadline), rows).await
    }
}

#[async_trait]
impl<T: Checkpoints> Checkpoints for Metered<T> {
    async fn load(&self, name: &str) -> Result<Option<Bytes>, Error> {
        self.timed("checkpoint", self.inner.load(name), one).await
    }
    async fn store(
        &self,
        name: &str,
        expected: Option<&[u8]>,
        value: Bytes,
    ) -> Result<bool, Error> {
        self.timed("checkpoint", self.inner.store(name, expected, value), one).await
    }
}

#[async_trait]
impl<T: Subjects> Subjects for Metered<T> {
    async fn keys_of(&self, subject: &str, after: Option<&str>) -> Result<SubjectPage, Error> {
        self.timed("keys_of", self.inner.keys_of(subject, after), one).await
    }
}

#[async_trait]
impl<T: SubjectStore> SubjectStore for Metered<T> {
    async fn rows_of(
        &self,
        subject: &str,
        keys: &[RowKey],
    ) -> Vec<Result<Option<SubjectRow>, Error>> {
        self.timed("rows_of", self.inner.rows_of(subject, keys), rows).await
    }
    async fn tombstone(&self, subject: &str) -> Result<Option<SubjectTombstone>, Error> {
        self.timed("tombstone", self.inner.tombstone(subject), one).await
    }
    async fn swap_tombstone(
        &self,
        subject: &str,
        expected: Option<&SubjectTombstone>,
        new: &SubjectTombstone,
    ) -> Result<bool, Error> {
        let call = self.inner.swap_tombstone(subject, expected, new);
        self.timed("swap_tombstone", call, one).await
    }
    async fn open_tombstones(&self, after: Option<&str>) -> Result<OpenPage, Error> {
        self.timed("open_tombstones", self.inner.open_tombstones(after), one).await
    }
    async fn are_forgotten(&self, keys: &[RowKey]) -> bool {
        self.inner.are_forgotten(keys).await
    }
}

#[async_trait]
impl<T: Authority> Authority for Metered<T> {
    async fn write_fenced(
        &self,
        write: RowWrite,
        fence: Barrier,
        seed_micros: u64,
        deadline: Option<Instant>,
    ) -> Result<FencedOutcome, Error> {
        let call = self.inner.write_fenced(write, fence, seed_micros, deadline);
        self.timed("write_fenced", call, one).await
    }
    async fn raise_barrier(
        &self,
        key: &RowKey,
        to: Barrier,
        seed_micros: u64,
        deadline: Option<Instant>,
    ) -> Result<Option<Row>, Error> {
        let call = self.inner.raise_barrier(key, to, seed_micros, deadline);
        self.timed("raise_barrier", call, one).await
    }
    async fn get_with_barrier(
        &self,
        keys: &[RowKey],
        deadline: Option<Instant>,
    ) -> Vec<Result<(Option<Row>, Barrier), Error>> {
        let call = self.inner.get_with_barrier(keys, deadline);
        self.timed("get_with_barrier", call, rows).await
    }
    async fn epoch(&self) -> Result<Option<EpochRecord>, Error> {
        self.timed("epoch", self.inner.epoch(), one).await
    }
    async fn swap_epoch(
        &self,
        expected: Option<&EpochRecord>,
        new: &EpochRecord,
    ) -> Result<bool, Error> {
        self.timed("swap_epoch", self.inner.swap_epoch(expected, new), one).await
    }
}

#[async_trait]
impl<T: RowCache> RowCache for Metered<T> {
    async fn look(
        &self,
        epoch: CacheEpoch,
        wanted: &[RowKey],
    ) -> Vec<Result<CacheEntry, CacheError>> {
        self.timed("look", self.inner.look(epoch, wanted), keys).await
    }
    async fn lease(
        &self,
        epoch: CacheEpoch,
        wanted: &[(RowKey, LeaseToken)],
    ) -> Vec<Result<CacheEntry, CacheError>> {
        self.timed("lease", self.inner.lease(epoch, wanted), keys).await
    }
    async fn fill(
        &self,
        epoch: CacheEpoch,
        filled: &[(RowKey, LeaseToken, Row)],
    ) -> Vec<Result<bool, CacheError>> {
        self.timed("fill", self.inner.fill(epoch, filled), keys).await
    }
    async fn fence(
        &self,
        epoch: CacheEpoch,
        fences: &[(RowKey, FenceId)],
    ) -> Vec<Result<(), CacheError>> {
        self.timed("fence", self.inner.fence(epoch, fences), keys).await
    }
    async fn unfence(
        &self,
        epoch: CacheEpoch,
        fences: &[(RowKey, FenceId, Option<Row>)],
    ) -> Vec<Result<bool, CacheError>> {
        self.timed("unfence", self.inner.unfence(epoch, fences), keys).await
    }
    async fn mark(&self, epoch: CacheEpoch) -> Result<(), CacheError> {
        self.inner.mark(epoch).await
    }
    fn admit(&self, servers: &[String]) {
        self.inner.admit(servers);
    }
    async fn servers(&self) -> Result<Vec<CacheServer>, CacheError> {
        self.timed("servers", self.inner.servers(), step).await
    }
    async fn fences(&self, epoch: CacheEpoch, cursor: u64) -> Result<FencePage, CacheError> {
        self.timed("fences", self.inner.fences(epoch, cursor), step).await
    }
    async fn sweep(&self, before: u64) -> Result<bool, CacheError> {
        self.timed("sweep", self.inner.sweep(before), step).await
    }
}
