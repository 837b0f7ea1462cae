//! What lies between a node and what it talks to.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use async_trait::async_trait;
use tokio::time::{Instant as SimInstant, sleep, sleep_until};
use trivium_codec::{Row, RowKey};
use trivium_coherence::{Random, SteadyClock};
use trivium_runtime::Clock;
use trivium_store::{
    Authority, Barrier, CacheEntry, CacheEpoch, CacheError, CacheServer, EpochRecord, Error,
    FenceId, FencePage, FencedOutcome, LeaseToken, MemoryCache, MemoryStore, OnlineRead,
    ReadOptions, RowCache, RowWrite,
};

use crate::world::Broken;

/// Chance, from a seed. One for the whole world: it runs on one thread.
#[derive(Debug, Clone)]
pub struct Dice(Arc<Mutex<u64>>);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(seed.wrapping_mul(0x2545_f491_4f6c_dd1d))))
    }
    pub fn next(&self) -> u64 {
        let mut state = self.0.lock().unwrap();
        *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = *state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
    pub fn below(&self, limit: u64) -> u64 {
        self.next() % limit
    }
    pub fn one_in(&self, limit: u64) -> bool {
        self.below(limit) == 0
    }
    pub fn millis(&self, limit: u64) -> Duration {
        Duration::from_micros(self.below(limit * 1_000))
    }
}

impl Random for Dice {
    fn next(&self) -> u128 {
        (u128::from(Dice::next(self)) << 64) | u128::from(Dice::next(self))
    }
}

/// A node's clocks: both start somewhere else than the others' and run a little faster or slower.
#[derive(Debug)]
pub struct SimClock {
    pub start: SimInstant,
    pub offset: u64,
    /// Per mille of true time.
    pub rate: u64,
}

impl SimClock {
    fn micros(&self) -> u64 {
        self.offset + self.start.elapsed().as_micros() as u64 * self.rate / 1_000
    }
}

impl SteadyClock for SimClock {
    fn now_micros(&self) -> u64 {
        self.micros()
    }
}

impl Clock for SimClock {
    fn now_micros(&self) -> i64 {
        self.micros() as i64
    }
}

/// One node's connections.
#[derive(Debug)]
pub struct Link {
    pub dice: Dice,
    pub broken: Broken,
    /// The node with the clock that hardly moves.
    pub is_slow: bool,
    /// Cannot reach the cache.
    pub cut_off: AtomicBool,
    /// The process is gone: nothing it does goes on.
    pub dead: AtomicBool,
    /// The process stands still until then.
    pub stalled_until: Mutex<SimInstant>,
    pub hits: AtomicU64,
    /// Of them, those of whole entities.
    pub entity_hits: AtomicU64,
    /// Barriers raised to a deadline: repairs, and writes settled.
    pub barred: AtomicU64,
}

/// What becomes of a request.
enum Fate {
    Done,
    /// Carried out, but the answer is lost.
    Lost,
    /// Given up by the client, carried out later.
    Late(Duration),
    /// Carried out now and once more later.
    Twice(Duration),
}

impl Link {
    /// The process, wherever it is, may stand still here.
    async fn stall(&self) {
        if self.dead.load(Relaxed) {
            std::future::pending::<()>().await;
        }
        let until = *self.stalled_until.lock().unwrap();
        if until > SimInstant::now() {
            sleep_until(until).await;
        }
    }

    async fn way(&self) {
        self.stall().await;
        let delay = match self.dice.below(100) {
            0 => self.dice.millis(600),
            1..=5 => self.dice.millis(60),
            _ => self.dice.millis(2),
        };
        sleep(delay).await;
        self.stall().await;
    }

    fn fate(&self) -> Fate {
        match self.dice.below(150) {
            0 | 1 => Fate::Lost,
            2 => Fate::Late(self.dice.millis(3_000)),
            3..=12 if self.broken == Broken::SentTwice => Fate::Twice(self.dice.millis(400)),
            _ => Fate::Done,
        }
    }
}

/// Sends a request: `$call` is what it does, `$lost` the answer where none comes.
macro_rules! send {
    ($self:ident, $call:expr, $lost:expr) => {{
        $self.link.way().await;
        let fate = $self.link.fate();
        let call = $call;
        // Futures do nothing until they are awaited.
        let work = || call(Arc::clone(&$self.inner));
        match fate {
            Fate::Done => {
                let answer = work().await;
                $self.link.way().await;
                answer
            }
            Fate::Lost => {
                let _ = work().await;
                $self.link.way().await;
                $lost
            }
            Fate::Late(after) => {
                let late = work();
                tokio::spawn(async move {
                    sleep(after).await;
                    let _ = late.await;
                });
                sleep(Duration::from_millis(50)).await;
                $self.link.way().await;
                $lost
            }
            Fate::Twice(after) => {
                let answer = work().await;
                let again = work();
                tokio::spawn(async move {
                    sleep(after).await;
                    let _ = again.await;
                });
                $self.link.way().await;
                answer
            }
        }
    }};
}

#[derive(Debug)]
pub struct FaultyAuthority {
    pub inner: Arc<MemoryStore>,
    pub link: Arc<Link>,
}

fn lost() -> Error {
    Error::Unknown("the answer was lost".to_owned())
}

#[async_trait]
impl OnlineRead for FaultyAuthority {
    async fn get(&self, keys: &[RowKey], options: &ReadOptions) -> Vec<Result<Option<Row>, Error>> {
        self.link.way().await;
        if matches!(self.link.fate(), Fate::Lost) {
            return vec![Err(lost()); keys.len()];
        }
        let rows = self.inner.get(keys, options).await;
        self.link.way().await;
        rows
    }
}

#[async_trait]
impl Authority for FaultyAuthority {
    async fn write_fenced(
        &self,
        write: RowWrite,
        fence: Barrier,
        seed: u64,
        _deadline: Option<Instant>,
    ) -> Result<FencedOutcome, Error> {
        send!(
            self,
            |inner: Arc<MemoryStore>| {
                let write = write.clone();
                async move { inner.write_fenced(write, fence, seed, None).await }
            },
            Err(lost())
        )
    }

    async fn raise_barrier(
        &self,
        key: &RowKey,
        to: Barrier,
        seed: u64,
        _deadline: Option<Instant>,
    ) -> Result<Option<Row>, Error> {
        self.link.barred.fetch_add(u64::from(to.deadline > 0), Relaxed);
        let key = key.clone();
        let broken = self.link.broken == Broken::NoBarriers;
        send!(
            self,
            |inner: Arc<MemoryStore>| {
                let key = key.clone();
                async move {
                    if broken {
                        let mut rows =
                            inner.get(std::slice::from_ref(&key), &ReadOptions::default()).await;
                        return rows.pop().unwrap_or_else(|| Err(lost()));
                    }
                    inner.raise_barrier(&key, to, seed, None).await
                }
            },
            Err(lost())
        )
    }

    async fn get_with_barrier(
        &self,
        keys: &[RowKey],
        deadline: Option<Instant>,
    ) -> Vec<Result<(Option<Row>, Barrier), Error>> {
        self.link.way().await;
        if matches!(self.link.fate(), Fate::Lost) {
            return vec![Err(lost()); keys.len()];
        }
        let rows = self.inner.get_with_barrier(keys, deadline).await;
        self.link.way().await;
        rows
    }

    async fn epoch(&self) -> Result<Option<EpochRecord>, Error> {
        self.link.way().await;
        if self.link.is_slow {
            // Or a node would hear of the end of its lease in time, whatever its clock says.
            sleep(self.link.dice.millis(2_000)).await;
        }
        let record = self.inner.epoch().await;
        self.link.way().await;
        record
    }

    async fn swap_epoch(
        &self,
        expected: Option<&EpochRecord>,
        new: &EpochRecord,
    ) -> Result<bool, Error> {
        let (expected, new) = (expected.cloned(), new.clone());
        send!(
            self,
            |inner: Arc<MemoryStore>| {
                let (expected, new) = (expected.clone(), new.clone());
                async move { inner.swap_epoch(expected.as_ref(), &new).await }
            },
            Err(lost())
        )
    }
}

#[derive(Debug)]
pub struct FaultyCache {
    pub inner: Arc<MemoryCache>,
    pub link: Arc<Link>,
}

impl FaultyCache {
    fn refused<T>(&self, count: usize) -> Option<Vec<Result<T, CacheError>>> {
        let refused =
            || Err(CacheError::Refused { message: "not connected".to_owned(), is_full: false });
        self.link.cut_off.load(Relaxed).then(|| (0..count).map(|_| refused()).collect())
    }
}

fn unknown<T>(count: usize) -> Vec<Result<T, CacheError>> {
    (0..count).map(|_| Err(CacheError::Unknown("no answer".to_owned()))).collect()
}

#[async_trait]
impl RowCache for FaultyCache {
    async fn look(
        &self,
        epoch: CacheEpoch,
        keys: &[RowKey],
    ) -> Vec<Result<CacheEntry, CacheError>> {
        if let Some(refused) = self.refused(keys.len()) {
            return refused;
        }
        self.link.way().await;
        if matches!(self.link.fate(), Fate::Lost) {
            return unknown(keys.len());
        }
        let found = self.inner.look(epoch, keys).await;
        self.link.way().await;
        for (key, _) in
            keys.iter().zip(&found).filter(|(_, found)| matches!(found, Ok(CacheEntry::Value(_))))
        {
            self.link.hits.fetch_add(1, Relaxed);
            self.link.entity_hits.fetch_add(u64::from(key.is_entity()), Relaxed);
        }
        found
    }

    async fn lease(
        &self,
        epoch: CacheEpoch,
        keys: &[(RowKey, LeaseToken)],
    ) -> Vec<Result<CacheEntry, CacheError>> {
        if let Some(refused) = self.refused(keys.len()) {
            return refused;
        }
        let keys = keys.to_vec();
        let count = keys.len();
        send!(
            self,
            |inner: Arc<MemoryCache>| {
                let keys = keys.clone();
                async move { inner.lease(epoch, &keys).await }
            },
            unknown(count)
        )
    }

    async fn fill(
        &self,
        epoch: CacheEpoch,
        rows: &[(RowKey, LeaseToken, Row)],
    ) -> Vec<Result<bool, CacheError>> {
        if let Some(refused) = self.refused(rows.len()) {
            return refused;
        }
        let rows = rows.to_vec();
        let count = rows.len();
        send!(
            self,
            |inner: Arc<MemoryCache>| {
                let rows = rows.clone();
                async move { inner.fill(epoch, &rows).await }
            },
            unknown(count)
        )
    }

    async fn fence(
        &self,
        epoch: CacheEpoch,
        fences: &[(RowKey, FenceId)],
    ) -> Vec<Result<(), CacheError>> {
        if self.link.broken == Broken::NoFences {
            return fences.iter().map(|_| Ok(())).collect();
        }
        if self.link.broken == Broken::NoEntityFences {
            let rows: Vec<_> = fences.iter().filter(|(key, _)| !key.is_entity()).cloned().collect();
            let mut placed = self.inner.fence(epoch, &rows).await.into_iter();
            let of = |(key, _): &(RowKey, FenceId)| {
                if key.is_entity() { Some(Ok(())) } else { placed.next() }
            };
            return fences.iter().filter_map(of).collect();
        }
        if let Some(refused) = self.refused(fences.len()) {
            return refused;
        }
        let fences = fences.to_vec();
        let count = fences.len();
        send!(
            self,
            |inner: Arc<MemoryCache>| {
                let fences = fences.clone();
                async move { inner.fence(epoch, &fences).await }
            },
            unknown(count)
        )
    }

    async fn unfence(
        &self,
        epoch: CacheEpoch,
        fences: &[(RowKey, FenceId, Option<Row>)],
    ) -> Vec<Result<bool, CacheError>> {
        if let Some(refused) = self.refused(fences.len()) {
            return refused;
        }
        let fences = fences.to_vec();
        let count = fences.len();
        send!(
            self,
            |inner: Arc<MemoryCache>| {
                let fences = fences.clone();
                async move { inner.unfence(epoch, &fences).await }
            },
            unknown(count)
        )
    }

    async fn mark(&self, epoch: CacheEpoch) -> Result<(), CacheError> {
        send!(
            self,
            |inner: Arc<MemoryCache>| async move { inner.mark(epoch).await },
            Err(CacheError::Unknown("no answer".to_owned()))
        )
    }

    fn admit(&self, servers: &[String]) {
        if self.link.broken != Broken::AnyServer {
            self.inner.admit(servers);
        }
    }

    async fn servers(&self) -> Result<Vec<CacheServer>, CacheError> {
        if self.link.cut_off.load(Relaxed) {
            return Err(CacheError::Unknown("not connected".to_owned()));
        }
        self.link.way().await;
        let servers = self.inner.servers().await;
        self.link.way().await;
        servers
    }

    async fn fences(&self, epoch: CacheEpoch, cursor: u64) -> Result<FencePage, CacheError> {
        self.link.way().await;
        self.inner.fences(epoch, cursor).await
    }

    async fn sweep(&self, before: u64) -> Result<bool, CacheError> {
        self.inner.sweep(before).await
    }
}
