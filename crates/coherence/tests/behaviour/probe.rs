//! Ports that count what they are asked, and fail as they are told.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use async_trait::async_trait;
use trivium_codec::{Row, RowKey};
use trivium_coherence::{Random, SteadyClock};
use trivium_runtime::Clock;
use trivium_store::{
    Authority, Barrier, CacheEntry, CacheEpoch, CacheError, CacheServer, EpochRecord, Error,
    FenceId, FencePage, FencedOutcome, LeaseToken, MemoryCache, MemoryStore, OnlineRead, OpenPage,
    ReadOptions, RowCache, RowWrite, SubjectPage, SubjectRow, SubjectStore, SubjectTombstone,
    Subjects,
};

/// Calls by name since the last [`Calls::take`].
#[derive(Debug, Clone, Default)]
pub struct Calls(Arc<Mutex<BTreeMap<&'static str, usize>>>);

impl Calls {
    fn note(&self, name: &'static str) {
        *self.0.lock().unwrap().entry(name).or_default() += 1;
    }
    /// `name count` of each, in the order of the alphabet.
    pub fn take(&self) -> String {
        let calls = std::mem::take(&mut *self.0.lock().unwrap());
        let words: Vec<String> =
            calls.iter().map(|(name, count)| format!("{name} {count}")).collect();
        words.join(", ")
    }
}

/// How fenced writes go wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Writes {
    #[default]
    Fine,
    /// Applied, and the answer is lost.
    Lost,
    /// Never arrives, and nobody knows.
    Gone,
    /// The process dies before it can send.
    Dies,
}

#[derive(Debug, Clone, Default)]
pub struct Rows {
    pub inner: Arc<MemoryStore>,
    pub calls: Calls,
    pub writes: Arc<Mutex<Writes>>,
    pub raises_fail: Arc<AtomicBool>,
}

#[async_trait]
impl Subjects for Rows {
    async fn keys_of(&self, subject: &str, after: Option<&str>) -> Result<SubjectPage, Error> {
        self.inner.keys_of(subject, after).await
    }
}

#[async_trait]
impl SubjectStore for Rows {
    async fn rows_of(
        &self,
        subject: &str,
        keys: &[RowKey],
    ) -> Vec<Result<Option<SubjectRow>, Error>> {
        self.inner.rows_of(subject, keys).await
    }
    async fn tombstone(&self, subject: &str) -> Result<Option<SubjectTombstone>, Error> {
        self.inner.tombstone(subject).await
    }
    async fn swap_tombstone(
        &self,
        subject: &str,
        expected: Option<&SubjectTombstone>,
        new: &SubjectTombstone,
    ) -> Result<bool, Error> {
        self.inner.swap_tombstone(subject, expected, new).await
    }
    async fn open_tombstones(&self, after: Option<&str>) -> Result<OpenPage, Error> {
        self.inner.open_tombstones(after).await
    }
}

#[async_trait]
impl OnlineRead for Rows {
    async fn get(&self, keys: &[RowKey], options: &ReadOptions) -> Vec<Result<Option<Row>, Error>> {
        self.calls.note("get");
        tokio::task::yield_now().await;
        self.inner.get(keys, options).await
    }
}

#[async_trait]
impl Authority for Rows {
    async fn write_fenced(
        &self,
        write: RowWrite,
        fence: Barrier,
        seed: u64,
        deadline: Option<Instant>,
    ) -> Result<FencedOutcome, Error> {
        self.calls.note("write");
        let lost = || Err(Error::Unknown("the answer was lost".to_owned()));
        let writes = *self.writes.lock().unwrap();
        match writes {
            Writes::Fine => self.inner.write_fenced(write, fence, seed, deadline).await,
            Writes::Lost => {
                self.inner.write_fenced(write, fence, seed, deadline).await?;
                lost()
            }
            Writes::Gone => lost(),
            Writes::Dies => std::future::pending().await,
        }
    }

    async fn raise_barrier(
        &self,
        key: &RowKey,
        to: Barrier,
        seed: u64,
        deadline: Option<Instant>,
    ) -> Result<Option<Row>, Error> {
        self.calls.note("raise");
        if self.raises_fail.load(Relaxed) {
            return Err(Error::Unavailable("cut off".to_owned()));
        }
        self.inner.raise_barrier(key, to, seed, deadline).await
    }

    async fn get_with_barrier(
        &self,
        keys: &[RowKey],
        deadline: Option<Instant>,
    ) -> Vec<Result<(Option<Row>, Barrier), Error>> {
        self.calls.note("get with barrier");
        self.inner.get_with_barrier(keys, deadline).await
    }

    async fn epoch(&self) -> Result<Option<EpochRecord>, Error> {
        self.inner.epoch().await
    }

    async fn swap_epoch(
        &self,
        expected: Option<&EpochRecord>,
        new: &EpochRecord,
    ) -> Result<bool, Error> {
        self.inner.swap_epoch(expected, new).await
    }
}

/// What the cache answers to everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Answers {
    #[default]
    Fine,
    /// Not connected.
    Refused,
    /// Out of memory, for fences.
    Full,
    /// The first answer to a fence is lost, though the fence is placed.
    FenceLostOnce,
}

#[derive(Debug, Clone)]
pub struct Cells {
    pub inner: Arc<MemoryCache>,
    pub calls: Calls,
    pub answers: Arc<Mutex<Answers>>,
    /// How long the answer to a look is under way.
    pub slow: Arc<Mutex<Duration>>,
}

impl Cells {
    pub fn new(inner: MemoryCache, calls: Calls) -> Self {
        Self { inner: Arc::new(inner), calls, answers: Arc::default(), slow: Arc::default() }
    }

    fn ask(&self, name: &'static str) -> Result<(), CacheError> {
        self.calls.note(name);
        if *self.answers.lock().unwrap() == Answers::Refused {
            return Err(CacheError::Refused {
                message: "not connected".to_owned(),
                is_full: false,
            });
        }
        Ok(())
    }
}

fn all<T>(count: usize, error: &CacheError) -> Vec<Result<T, CacheError>> {
    (0..count).map(|_| Err(error.clone())).collect()
}

#[async_trait]
impl RowCache for Cells {
    async fn look(
        &self,
        epoch: CacheEpoch,
        keys: &[RowKey],
    ) -> Vec<Result<CacheEntry, CacheError>> {
        match self.ask("look") {
            Ok(()) => {
                let found = self.inner.look(epoch, keys).await;
                let slow = *self.slow.lock().unwrap();
                if slow > Duration::ZERO {
                    tokio::time::sleep(slow).await;
                }
                found
            }
            Err(error) => all(keys.len(), &error),
        }
    }

    async fn lease(
        &self,
        epoch: CacheEpoch,
        keys: &[(RowKey, LeaseToken)],
    ) -> Vec<Result<CacheEntry, CacheError>> {
        match self.ask("lease") {
            Ok(()) => self.inner.lease(epoch, keys).await,
            Err(error) => all(keys.len(), &error),
        }
    }

    async fn fill(
        &self,
        epoch: CacheEpoch,
        rows: &[(RowKey, LeaseToken, Row)],
    ) -> Vec<Result<bool, CacheError>> {
        match self.ask("fill") {
            Ok(()) => self.inner.fill(epoch, rows).await,
            Err(error) => all(rows.len(), &error),
        }
    }

    async fn fence(
        &self,
        epoch: CacheEpoch,
        fences: &[(RowKey, FenceId)],
    ) -> Vec<Result<(), CacheError>> {
        if let Err(error) = self.ask("fence") {
            return all(fences.len(), &error);
        }
        let answers = *self.answers.lock().unwrap();
        match answers {
            Answers::Full => {
                let full = CacheError::Refused { message: "OOM".to_owned(), is_full: true };
                all(fences.len(), &full)
            }
            Answers::FenceLostOnce => {
                *self.answers.lock().unwrap() = Answers::Fine;
                self.inner.fence(epoch, fences).await;
                all(fences.len(), &CacheError::Unknown("lost".to_owned()))
            }
            Answers::Fine | Answers::Refused => self.inner.fence(epoch, fences).await,
        }
    }

    async fn unfence(
        &self,
        epoch: CacheEpoch,
        fences: &[(RowKey, FenceId, Option<Row>)],
    ) -> Vec<Result<bool, CacheError>> {
        match self.ask("unfence") {
            Ok(()) => self.inner.unfence(epoch, fences).await,
            Err(error) => all(fences.len(), &error),
        }
    }

    async fn mark(&self, epoch: CacheEpoch) -> Result<(), CacheError> {
        self.ask("mark")?;
        self.inner.mark(epoch).await
    }

    fn admit(&self, servers: &[String]) {
        self.inner.admit(servers);
    }

    async fn servers(&self) -> Result<Vec<CacheServer>, CacheError> {
        if *self.answers.lock().unwrap() == Answers::Refused {
            return Err(CacheError::Unknown("not connected".to_owned()));
        }
        self.inner.servers().await
    }

    async fn fences(&self, epoch: CacheEpoch, cursor: u64) -> Result<FencePage, CacheError> {
        self.ask("fences")?;
        self.inner.fences(epoch, cursor).await
    }

    async fn sweep(&self, before: u64) -> Result<bool, CacheError> {
        self.inner.sweep(before).await
    }
}

/// Both clocks, on tokio's time.
#[derive(Debug)]
pub struct PausedClock(pub tokio::time::Instant);

impl SteadyClock for PausedClock {
    fn now_micros(&self) -> u64 {
        self.0.elapsed().as_micros() as u64 + 1
    }
}

impl Clock for PausedClock {
    fn now_micros(&self) -> i64 {
        1_700_000_000_000_000 + self.0.elapsed().as_micros() as i64
    }
}

/// Counts up: all names are different, and jitter is nothing.
#[derive(Debug, Default)]
pub struct Counter(Mutex<u128>);

impl Random for Counter {
    fn next(&self) -> u128 {
        let mut last = self.0.lock().unwrap();
        // Multiples of a large power of two: no remainder, hence no jitter.
        *last += 1 << 96;
        *last
    }
}
