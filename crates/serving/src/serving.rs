//! The service itself: a store, definitions, two clocks.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use tokio::sync::watch;
use trivium_api::{ApiError, admission::shed, deadline};
use trivium_codec::RowKey;
use trivium_model::Timestamp;
use trivium_registry::Snapshot;
use trivium_runtime::{Clock, Shutdown};
use trivium_store::{Checkpoints, Consistency, DoorError, DoorOutcome, ReadOptions, RowWrite};

use crate::{
    Definitions, Options, Stores, embedding::Indexes, erase::Erasing, plan::ReadPlan, read::Rows,
    traced, write::BusyRows,
};

/// The definitions in use, to be swapped as a whole.
pub type DefinitionsHandle = Arc<ArcSwap<Definitions>>;

/// Serves features online. Cheap to clone.
#[derive(Clone)]
pub struct Serving(Arc<Inner>);

struct Inner {
    stores: Stores,
    indexes: Option<Indexes>,
    definitions: DefinitionsHandle,
    data_clock: Arc<dyn Clock>,
    wall_clock: Arc<dyn Clock>,
    options: Options,
    busy_rows: BusyRows,
    under_way: AtomicUsize,
    erasing: Erasing,
}

impl std::fmt::Debug for Serving {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Serving")
            .field("revision", &self.definitions().revision())
            .field("options", &self.0.options)
            .finish_non_exhaustive()
    }
}

impl Serving {
    /// Serves what `stores` hold by what `definitions` say. The data clock decides about ttl and
    /// default event times, the wall clock about revs.
    pub fn new(
        stores: Stores,
        definitions: DefinitionsHandle,
        data_clock: Arc<dyn Clock>,
        wall_clock: Arc<dyn Clock>,
        options: Options,
    ) -> Self {
        let erasing = Erasing::new(&options.erasure);
        Self(Arc::new(Inner {
            indexes: stores.embeddings.clone().map(Indexes::new),
            stores,
            definitions,
            data_clock,
            wall_clock,
            options,
            busy_rows: BusyRows::default(),
            under_way: AtomicUsize::new(0),
            erasing,
        }))
    }

    /// The definitions in use now. A request takes them once.
    pub fn definitions(&self) -> Arc<Definitions> {
        self.0.definitions.load_full()
    }

    /// Takes new definitions into use; requests under way end with the old ones.
    pub fn swap(&self, definitions: Definitions) {
        self.0.definitions.store(Arc::new(definitions));
    }

    /// Takes every new snapshot into use until the shutdown. One that cannot be served is refused,
    /// said in the log, and the last good one stays.
    pub async fn follow(self, mut snapshots: watch::Receiver<Arc<Snapshot>>, shutdown: Shutdown) {
        loop {
            let snapshot = snapshots.borrow_and_update().clone();
            if snapshot.revision != self.definitions().revision() {
                match Definitions::from_snapshot(&snapshot) {
                    Ok(definitions) => self.swap(definitions),
                    Err(error) => {
                        tracing::error!(%error, "the registry's newest revision is not served")
                    }
                }
            }
            tokio::select! {
                changed = snapshots.changed() => if changed.is_err() { return },
                () = shutdown.wait() => return,
            }
        }
    }

    /// Where embeddings live, if not in the rows.
    pub(crate) fn indexes(&self) -> Option<&Indexes> {
        self.0.indexes.as_ref()
    }
    /// The server's wall clock, as rows seed their first rev.
    pub(crate) fn seed(&self) -> u64 {
        u64::try_from(self.0.wall_clock.now_micros()).unwrap_or(1)
    }
    pub(crate) fn checkpoints(&self) -> &dyn Checkpoints {
        &*self.0.stores.checkpoints
    }
    pub(crate) fn stores(&self) -> &Stores {
        &self.0.stores
    }
    pub(crate) fn options(&self) -> &Options {
        &self.0.options
    }
    pub(crate) fn erasing(&self) -> &Erasing {
        &self.0.erasing
    }
    pub(crate) fn wall_now(&self) -> Timestamp {
        Timestamp(self.0.wall_clock.now_micros())
    }
    pub(crate) fn busy_rows(&self) -> &BusyRows {
        &self.0.busy_rows
    }
    pub(crate) fn data_now(&self) -> Timestamp {
        Timestamp(self.0.data_clock.now_micros())
    }
    /// The latest event time that is taken.
    pub(crate) fn latest_event_time(&self) -> Timestamp {
        Timestamp(self.data_now().0.saturating_add(self.0.options.future_micros_max))
    }
    /// When the store must have answered: while the caller waits.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let time_max = Duration::from_millis(self.0.options.store_time_ms_max);
        let own = Instant::now().checked_add(time_max);
        [own, deadline::of_caller()].into_iter().flatten().min()
    }

    /// Counts a request in whose body is there (until then `trivium_api::admission` counts it); refuses
    /// it where too many are under way, instead of letting it wait.
    pub(crate) fn enter(&self, surface: &'static str) -> Result<UnderWay<'_>, ApiError> {
        let entered = UnderWay(&self.0.under_way);
        if self.0.under_way.fetch_add(1, Ordering::Relaxed) < self.0.options.requests_under_way_max
        {
            return Ok(entered);
        }
        Err(shed(surface, "requests", "too many requests are under way"))
    }

    /// The rows of a plan. A store that answers another number of rows than asked for has failed.
    pub(crate) async fn read_rows(
        &self,
        plan: &ReadPlan,
        keys: &[RowKey],
        consistency: Consistency,
    ) -> Rows {
        let entities = keys.len() / plan.views.len().max(1);
        traced::read(plan, entities, consistency);
        let together = plan.together.clone();
        let options = ReadOptions { consistency, together, deadline: self.deadline() };
        let mut rows =
            Rows { entities, found: self.store_read(keys, &options).await, now: self.data_now() };
        if !plan.embeddings.is_empty() {
            self.fetch_embeddings(plan, keys, &mut rows, &options).await;
        }
        rows
    }

    pub(crate) async fn store_read(
        &self,
        keys: &[RowKey],
        options: &ReadOptions,
    ) -> Vec<Result<Option<trivium_codec::Row>, trivium_store::Error>> {
        if keys.is_empty() {
            return Vec::new();
        }
        let mut found = self.0.stores.reader.get(keys, options).await;
        let missing = || {
            Err(trivium_store::Error::Unavailable(
                "the store did not answer for this row".to_owned(),
            ))
        };
        found.resize_with(keys.len(), missing);
        found
    }

    pub(crate) async fn store_write(
        &self,
        writes: Vec<RowWrite>,
        deadline: Option<Instant>,
    ) -> Vec<DoorOutcome> {
        if writes.is_empty() {
            return Vec::new();
        }
        let seed = self.seed();
        let count = writes.len();
        let outcomes = self.0.stores.writer.write(writes, seed, deadline).await;
        let mut outcomes: Vec<DoorOutcome> =
            outcomes.into_iter().map(|outcome| outcome.map_err(DoorError::from)).collect();
        let missing = || {
            let error =
                trivium_store::Error::Unknown("the store did not answer for this row".to_owned());
            Err(DoorError::Store(error))
        };
        outcomes.resize_with(count, missing);
        outcomes
    }
}

/// A request under way; counted out when it is dropped.
pub(crate) struct UnderWay<'a>(&'a AtomicUsize);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
