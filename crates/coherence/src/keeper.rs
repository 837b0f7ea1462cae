//! Who may use the cache: reads the epoch record, renews the lease, and moves the record on,
//! `enabled → draining → disabled → enabled`, each step a compare-and-set.
//!
//! The number grows on the way into `disabled` and again into `enabled`: a write that was sent under
//! any earlier number is refused by the barrier of whoever has filled since. `disabled` is set only
//! once `T` has passed since this node came to know of `draining`: no lease that was given before
//! is alive then, on whichever node.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use metrics::{counter, gauge};
use tracing::{debug, info, warn};
use trivium_runtime::Shutdown;
use trivium_store::{
    Authority, CacheEpoch, CacheServer, CacheState, EVICTION_POLICY, EpochRecord, Error, RowCache,
};

use crate::{
    Environment, Options,
    epoch::{Lease, Phase, View, epoch_of},
    options::micros,
};

/// One node's part in it.
#[derive(Debug)]
pub(crate) struct Keeper<A, C> {
    authority: Arc<A>,
    cache: Arc<C>,
    options: Arc<Options>,
    environment: Environment,
    view: Mutex<View>,
    /// One read of the record at a time; who waits here uses the answer of whoever asked after it.
    reading: tokio::sync::Mutex<()>,
    /// The epoch that somebody found without its marker since the last round; 0: none.
    unmarked: AtomicU64,
    rounds: tokio::sync::Mutex<Rounds>,
}

/// What the rounds remember of each other.
#[derive(Debug, Default)]
struct Rounds {
    /// Rounds in a row that found the cache unfit.
    unfit: u32,
    /// Outages that have not been followed by a long calm.
    outages: u32,
    /// The number that `outages` counts up to.
    counted: u64,
    /// The epoch whose predecessors have been swept away.
    swept: u64,
    /// When the cache may be enabled again, and the number this was settled for.
    enable_at: Option<(u64, u64)>,
}

/// Rounds in a row that must find the cache unfit before this node asks everybody to leave it.
const UNFIT_ROUNDS: u32 = 2;

impl<A: Authority, C: RowCache> Keeper<A, C> {
    pub(crate) fn new(
        authority: Arc<A>,
        cache: Arc<C>,
        options: Arc<Options>,
        environment: Environment,
    ) -> Self {
        Self {
            authority,
            cache,
            options,
            environment,
            view: Mutex::default(),
            reading: tokio::sync::Mutex::default(),
            unmarked: AtomicU64::new(0),
            rounds: tokio::sync::Mutex::default(),
        }
    }

    fn view(&self) -> MutexGuard<'_, View> {
        // Every change of the view is whole before anything can panic.
        self.view.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> u64 {
        self.environment.steady.now_micros()
    }

    /// The right to read the cache, checked now.
    pub(crate) fn lease(&self) -> Option<Lease> {
        let now = self.now();
        self.view().lease(now)
    }

    /// Whether an answer of the cache that has just come counts: a lease of the same epoch, the one
    /// it was asked under or a newer one, is alive at this moment. Since the question was sent after
    /// the request began, so was this check.
    pub(crate) fn still_holds(&self, epoch: CacheEpoch) -> bool {
        self.lease().is_some_and(|lease| lease.epoch == epoch)
    }

    /// What a writer has to do. It may be out of date: then a barrier refuses the write.
    pub(crate) async fn phase(&self) -> Result<Phase, Error> {
        let known = self.view().phase();
        match known {
            Some(phase) => Ok(phase),
            None => {
                self.read_record().await?;
                self.view().phase().ok_or_else(|| unavailable("the epoch record is not known"))
            }
        }
    }

    /// Whether writers still have to fence in that epoch, as far as this node knows.
    pub(crate) fn is_fenced_in(&self, epoch: CacheEpoch) -> bool {
        self.view().phase() == Some(Phase::Fenced(epoch))
    }

    /// Somebody found the epoch without its marker.
    pub(crate) fn suspect(&self, epoch: CacheEpoch) {
        self.unmarked.fetch_max(epoch.number, Ordering::Relaxed);
    }

    /// Reads the record, after the call began.
    pub(crate) async fn read_record(&self) -> Result<(), Error> {
        let asked_at = self.now();
        let _one = self.reading.lock().await;
        let already = {
            let view = self.view();
            // Strictly: a read that was sent at the same microsecond may have been sent before.
            view.is_known() && view.sent_at() > asked_at
        };
        if !already {
            self.read_now().await?;
        }
        Ok(())
    }

    /// Reads the record; when the read was sent.
    async fn read_now(&self) -> Result<u64, Error> {
        let sent_at = self.now();
        let record = self.authority.epoch().await?;
        self.learn(record, sent_at);
        Ok(sent_at)
    }

    fn learn(&self, record: Option<EpochRecord>, sent_at: u64) {
        let arrived_at = self.now();
        let mut view = self.view();
        if !view.learn(record, sent_at, arrived_at) {
            return;
        }
        if let Some(record) = view.record() {
            info!(number = record.number, state = ?record.state, "the cache's epoch changed");
            counter!("trivium_cache_epoch_changes_total").increment(1);
            gauge!("trivium_cache_epoch").set(record.number as f64);
            gauge!("trivium_cache_enabled").set(if record.state == CacheState::Enabled {
                1.0
            } else {
                0.0
            });
            if record.state != CacheState::Disabled {
                // Before anything is asked of the cache under this epoch.
                self.cache.admit(&record.servers);
            }
        }
    }

    /// Replaces the record `old` by `new`; whether this node did it.
    async fn swap(&self, old: Option<&EpochRecord>, new: EpochRecord) -> Result<bool, Error> {
        let sent_at = self.now();
        if self.authority.swap_epoch(old, &new).await? {
            self.learn(Some(new), sent_at);
            return Ok(true);
        }
        self.read_now().await?;
        Ok(false)
    }

    /// Asks everybody to leave the cache of that epoch.
    pub(crate) async fn drain(&self, number: u64, why: &str) -> Result<(), Error> {
        let record = self.view().record().cloned();
        if let Some(old) = record
            && old.number == number
            && old.state == CacheState::Enabled
        {
            let new = EpochRecord { state: CacheState::Draining, ..old.clone() };
            if self.swap(Some(&old), new).await? {
                counter!("trivium_cache_drains_total").increment(1);
                warn!(number, why, "asked all nodes to leave the cache");
            }
        }
        Ok(())
    }

    /// Reads the record; where the cache is draining and every lease has run out, disables it.
    /// Writers that wait for that call it themselves, so that they depend on nobody's rounds.
    pub(crate) async fn advance(&self) -> Result<(), Error> {
        self.read_record().await?;
        let (record, seen_at) = {
            let view = self.view();
            (view.record().cloned(), view.seen_at())
        };
        let lease = micros(self.options.lease);
        // A little longer than a lease: no two machines' clocks run at quite the same speed.
        let wait = lease.saturating_add(lease / 8).saturating_add(1_000);
        if let Some(old) = record
            && old.state == CacheState::Draining
            && self.now() >= seen_at.saturating_add(wait)
        {
            let number = old.number.saturating_add(1);
            let new = EpochRecord { number, state: CacheState::Disabled, ..old.clone() };
            if self.swap(Some(&old), new).await? {
                warn!(number, "the cache is disabled");
            }
        }
        Ok(())
    }

    /// Runs rounds until shutdown.
    pub(crate) async fn run(&self, shutdown: &Shutdown) {
        while !shutdown.is_triggered() {
            if let Err(error) = self.round().await {
                // The lease runs out by itself; reads go to the authority.
                debug!(%error, "a round of the cache's keeper failed");
            }
            let pause = self.environment.jittered(micros(self.options.renew_every));
            tokio::select! {
                biased;
                () = shutdown.wait() => {}
                () = tokio::time::sleep(Duration::from_micros(pause)) => {}
            }
        }
    }

    /// Reads the record, renews the lease, moves the record on where it is time.
    pub(crate) async fn round(&self) -> Result<(), Error> {
        let mut rounds = self.rounds.lock().await;
        // Its own read, not somebody's: the lease counts from when this one was sent.
        let sent_at = {
            let _one = self.reading.lock().await;
            self.read_now().await?
        };
        let record = self.view().record().cloned();
        self.count_outages(&mut rounds, record.as_ref());
        match record {
            None => self.enable(&mut rounds, None).await,
            Some(record) => match record.state {
                CacheState::Enabled => self.renew(&mut rounds, &record, sent_at).await,
                CacheState::Draining => self.advance().await,
                CacheState::Disabled => self.enable(&mut rounds, Some(record)).await,
            },
        }
    }

    async fn renew(
        &self,
        rounds: &mut Rounds,
        record: &EpochRecord,
        sent_at: u64,
    ) -> Result<(), Error> {
        let unmarked = self.unmarked.swap(0, Ordering::Relaxed) == record.number;
        let why = match self.cache.servers().await {
            // This node alone, perhaps: its lease runs out, and nobody else is bothered.
            Err(error) => {
                debug!(%error, "the cache's servers do not answer");
                None
            }
            Ok(servers) => match unfit(&servers) {
                Some(why) => Some(why),
                None if run_ids(&servers) != record.servers => Some("another server answers"),
                None if unmarked => Some("the marker is gone"),
                None => {
                    rounds.unfit = 0;
                    self.view().renew(record.number, sent_at, micros(self.options.lease));
                    return self.sweep(rounds, record.number).await;
                }
            },
        };
        let Some(why) = why else { return Ok(()) };
        // At once for this node; for everybody only if it is no passing view.
        if why != "the marker is gone" {
            self.view().drop_lease();
        }
        rounds.unfit += 1;
        if rounds.unfit >= UNFIT_ROUNDS {
            rounds.unfit = 0;
            self.drain(record.number, why).await?;
        }
        Ok(())
    }

    /// What earlier epochs left is of no use to anybody: nobody has a lease on them any more.
    async fn sweep(&self, rounds: &mut Rounds, number: u64) -> Result<(), Error> {
        if rounds.swept < number {
            match self.cache.sweep(number).await {
                Ok(true) => {}
                Ok(false) => rounds.swept = number,
                Err(error) => debug!(%error, "sweeping the cache failed; the next round goes on"),
            }
        }
        Ok(())
    }

    async fn enable(&self, rounds: &mut Rounds, old: Option<EpochRecord>) -> Result<(), Error> {
        let number = old.as_ref().map_or(0, |record| record.number);
        let seen_at = self.view().seen_at();
        let enable_at = match rounds.enable_at {
            Some((settled_for, at)) if settled_for == number => at,
            _ => {
                let at = seen_at.saturating_add(self.hold_off(rounds.outages));
                rounds.enable_at = Some((number, at));
                at
            }
        };
        if self.now() < enable_at {
            return Ok(());
        }
        let servers = match self.cache.servers().await {
            Ok(servers) => servers,
            Err(error) => {
                debug!(%error, "the cache stays disabled: it does not answer");
                return Ok(());
            }
        };
        if let Some(why) = unfit(&servers) {
            warn!(why, "the cache stays disabled");
            return Ok(());
        }
        let new = EpochRecord {
            number: number.saturating_add(1),
            state: CacheState::Enabled,
            // Fresh for every try: a marker that arrives late must belong to no epoch.
            marker: self.environment.random.next(),
            servers: run_ids(&servers),
        };
        self.cache.admit(&new.servers);
        // The marker stands before the record says so. Never after: it would vouch for a cache that
        // may have forgotten fences in between.
        if let Err(error) = self.cache.mark(epoch_of(&new)).await {
            debug!(%error, "the cache stays disabled: it could not be marked");
            return Ok(());
        }
        if self.swap(old.as_ref(), new).await? {
            info!(number = number.saturating_add(1), "the cache is enabled");
        }
        Ok(())
    }

    fn count_outages(&self, rounds: &mut Rounds, record: Option<&EpochRecord>) {
        let Some(record) = record else { return };
        if record.state == CacheState::Disabled && rounds.counted < record.number {
            rounds.counted = record.number;
            rounds.outages = rounds.outages.saturating_add(1);
        }
        let calm = self.now().saturating_sub(self.view().seen_at());
        if record.state == CacheState::Enabled && calm > micros(self.options.hold_off_max) {
            rounds.outages = 0;
        }
    }

    /// How long the cache stays disabled after so many outages.
    fn hold_off(&self, outages: u32) -> u64 {
        let Some(doublings) = outages.checked_sub(1) else { return 0 };
        let base = micros(self.options.hold_off).saturating_mul(1 << doublings.min(20));
        self.environment.jittered(base.min(micros(self.options.hold_off_max)))
    }
}

fn run_ids(servers: &[CacheServer]) -> Vec<String> {
    let mut ids: Vec<String> = servers.iter().map(|server| server.run_id.clone()).collect();
    ids.sort_unstable();
    ids
}

/// Why these servers must not be used.
fn unfit(servers: &[CacheServer]) -> Option<&'static str> {
    if servers.is_empty() {
        return Some("there is no server");
    }
    if servers.iter().any(|server| server.is_replicated) {
        // A demoted primary would answer on the same connection, under the same run id, with older
        // data.
        return Some("a server is a replica or has replicas");
    }
    if servers.iter().any(|server| server.policy != EVICTION_POLICY) {
        return Some("a server evicts by another policy than volatile-lru: it might evict a fence");
    }
    None
}

fn unavailable(message: &str) -> Error {
    Error::Unavailable(message.to_owned())
}
