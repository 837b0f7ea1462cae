//! `[history]`: every row of the streams into the lake, beside the lanes, which never wait for it. Each
//! system has readers of its own for it.

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use arc_swap::ArcSwap;
use serde::Deserialize;
use tokio::runtime::Handle;
use trivium_api::{ApiError, Readiness};
use trivium_ingest::{LaneOptions, Schemas};
use trivium_ingest_history::{Definitions, SinkOptions, SinkParts};
use trivium_ingest_kafka::{KafkaHistory, KafkaOptions};
use trivium_ingest_kinesis::{
    Error as KinesisError, HistoryShards, KinesisHistory, KinesisOptions,
};
use trivium_model::{FeatureView, Lane, StreamSystem, ViewRef};
use trivium_node::config::wrong;
use trivium_registry::{Snapshot, SnapshotWatch};
use trivium_runtime::{Shutdown, SystemClock};

/// How long after an error the history is begun anew.
const PAUSE: Duration = Duration::from_secs(10);

/// A shard gives its messages five times a second to all who read it together: lanes ask four times.
const READ_EVERY: Duration = Duration::from_secs(1);

/// The config's section.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Section {
    lake: Option<PathBuf>,
    group: String,
    lease_table: Option<String>,
    read_ms: u64,
    commit_ms: u64,
    commit_bytes: usize,
    keep_ms: u64,
}

fn ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

impl Default for Section {
    fn default() -> Self {
        let options = SinkOptions::default();
        Self {
            lake: None,
            group: "trivium-history".to_owned(),
            lease_table: None,
            read_ms: ms(READ_EVERY),
            commit_ms: ms(options.commit_every),
            commit_bytes: options.commit_bytes,
            keep_ms: ms(options.vacuum.removed),
        }
    }
}

/// Where rows go, and who reads them.
#[derive(Debug, Clone)]
pub struct History {
    pub(crate) sink: SinkOptions,
    /// Of Kafka's topics, where there is a `[kafka]`.
    pub(crate) kafka: Option<KafkaOptions>,
    /// Of Kinesis' streams, where there is a `[kinesis]`.
    pub(crate) kinesis: Option<KinesisOptions>,
}

impl Section {
    /// None: no history is kept. Relative paths are beside the file; the options are those of the lanes.
    pub(crate) fn check(
        self,
        file: &Path,
        kafka: Option<&KafkaOptions>,
        kinesis: Option<&KinesisOptions>,
    ) -> Result<Option<History>, ApiError> {
        for (field, value) in [
            ("history.read_ms", self.read_ms),
            ("history.commit_ms", self.commit_ms),
            ("history.commit_bytes", self.commit_bytes as u64),
            ("history.keep_ms", self.keep_ms),
        ] {
            if value == 0 {
                return Err(wrong(file, field, "it is 0", "give at least 1"));
            }
        }
        if self.group.trim().is_empty() {
            return Err(wrong(file, "history.group", "it is empty", "name it"));
        }
        if kafka.is_some_and(|kafka| kafka.group == self.group) {
            let message = format!("`{}` is the group of the lanes, too", self.group);
            let help = "take another: two consumers of one group share what each must have whole";
            return Err(wrong(file, "history.group", message, help));
        }
        let kafka = kafka.map(|kafka| KafkaOptions { group: self.group.clone(), ..kafka.clone() });
        let kinesis = kinesis.filter(|_| self.lake.is_some());
        let kinesis = kinesis.map(|kinesis| self.of_kinesis(file, kinesis)).transpose()?;
        let base = file.parent().unwrap_or_else(|| Path::new(""));
        let default = SinkOptions::default();
        let mut vacuum = default.vacuum;
        vacuum.removed = Duration::from_millis(self.keep_ms);
        Ok(self.lake.map(|lake| History {
            kafka,
            kinesis,
            sink: SinkOptions {
                lake: base.join(lake),
                commit_every: Duration::from_millis(self.commit_ms),
                commit_bytes: self.commit_bytes,
                vacuum,
                ..default
            },
        }))
    }

    /// The lanes' way to Kinesis, with leases of its own.
    fn of_kinesis(&self, file: &Path, lanes: &KinesisOptions) -> Result<KinesisOptions, ApiError> {
        let own = || format!("{}-history", lanes.lease_table);
        let options = KinesisOptions {
            lease_table: self.lease_table.clone().unwrap_or_else(own),
            read_every: Duration::from_millis(self.read_ms),
            // As much again as is kept of rows before they are committed.
            waiting_bytes: self.commit_bytes,
            ..lanes.clone()
        };
        if options.lease_table == lanes.lease_table {
            let message = format!("`{}` has the leases of the lanes, too", options.lease_table);
            let help = "take another: two readers of one table share what each must have whole";
            return Err(wrong(file, "history.lease_table", message, help));
        }
        options.check().map_err(|error| match error {
            KinesisError::Option { option, why } => {
                wrong(file, &format!("history.{option}"), why, "change it")
            }
            error => wrong(file, "history", error.to_string(), "change it"),
        })?;
        Ok(options)
    }
}

/// Who reads a system's messages for the history.
pub(crate) enum Reader {
    Kafka(KafkaOptions),
    Kinesis(KinesisOptions),
}

impl Reader {
    pub(crate) fn system(&self) -> StreamSystem {
        match self {
            Self::Kafka(_) => StreamSystem::Kafka,
            Self::Kinesis(_) => StreamSystem::Kinesis,
        }
    }
}

fn definitions(system: StreamSystem, payloads: &[String], snapshot: &Snapshot) -> Arc<Definitions> {
    let definitions = Definitions::of(snapshot, system, payloads);
    for (view, why) in definitions.unread() {
        tracing::error!(%view, why, "a view has no history");
    }
    Arc::new(definitions)
}

/// How the history of one system is, for readiness.
#[derive(Clone, Default)]
struct State(Arc<Mutex<(Option<String>, Option<HistoryShards>)>>);

impl State {
    fn failed(&self, error: Option<&dyn fmt::Display>) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.0 = error.map(ToString::to_string);
    }

    fn shards(&self, shards: Option<HistoryShards>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).1 = shards;
    }

    fn trouble(&self) -> Option<String> {
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (failed, shards) = &*state;
        let stopped = || {
            let shards = shards.as_ref()?.health();
            shards
                .into_iter()
                .find_map(|shard| Some(format!("{}: {}", shard.partition, shard.stopped?)))
        };
        failed.clone().or_else(stopped)
    }
}

/// What a system's history is kept with.
pub(crate) struct Keeping {
    pub reader: Reader,
    /// Topics whose messages name their views.
    pub payloads: Vec<String>,
    pub sink: SinkOptions,
    pub lane: LaneOptions,
    pub schemas: Arc<Schemas>,
}

impl Keeping {
    /// Keeps the history until the shutdown; begins anew after an error, of which readiness tells
    /// meanwhile.
    pub(crate) async fn keep(self, watch: SnapshotWatch, readiness: Readiness, shutdown: Shutdown) {
        let (state, system) = (State::default(), self.reader.system());
        let shown = state.clone();
        readiness.probe("history", move || shown.trouble());
        let known = definitions(system, &self.payloads, &watch.current());
        let known = Arc::new(ArcSwap::new(known));
        let following = follow(system, &self.payloads, watch, Arc::clone(&known), &shutdown);
        let working = async {
            while !shutdown.is_triggered() {
                let Err(error) = self.work(&known, &state, &shutdown).await else { return };
                tracing::error!(error, "the history is begun anew");
                state.failed(Some(&error));
                tokio::select! {
                    () = tokio::time::sleep(PAUSE) => state.failed(None),
                    () = shutdown.wait() => return,
                }
            }
        };
        tokio::join!(working, following);
    }

    async fn work(
        &self,
        known: &Arc<ArcSwap<Definitions>>,
        state: &State,
        shutdown: &Shutdown,
    ) -> Result<(), String> {
        let definitions = Arc::clone(known);
        let parts = SinkParts {
            schemas: Arc::clone(&self.schemas),
            lane: self.lane.clone(),
            clock: Arc::new(SystemClock),
            handle: Handle::current(),
        };
        match &self.reader {
            Reader::Kafka(options) => {
                let (kafka, sink) = (options.clone(), self.sink.clone());
                let worker = KafkaHistory { kafka, sink, parts, definitions };
                worker.run(shutdown.clone()).await.map_err(|error| error.to_string())
            }
            Reader::Kinesis(options) => {
                let (options, sink) = (options.clone(), self.sink.clone());
                let worker = KinesisHistory::new(options, sink, parts, definitions)
                    .map_err(|error| error.to_string())?;
                state.shards(Some(worker.shards()));
                let worked = worker.run(shutdown.clone()).await;
                state.shards(None);
                worked.map_err(|error| error.to_string())
            }
        }
    }
}

/// Tells, whenever they change, of views that nobody here keeps a history of.
pub(crate) async fn tell_others(
    systems: Vec<StreamSystem>,
    watch: SnapshotWatch,
    shutdown: Shutdown,
) {
    let mut told = BTreeMap::new();
    let mut tell = |snapshot: &Snapshot| {
        let others = others(snapshot, &systems);
        for (view, system) in others.iter().filter(|(view, _)| !told.contains_key(*view)) {
            let (system, section) = (system.word(), format!("[{}]", system.word()));
            tracing::warn!(
                %view, system, section,
                "this worker keeps no history of the view, as its config does not have that section: \
                 training sets have its rows only where another worker keeps them"
            );
        }
        told = others;
    };
    let mut snapshots = watch.subscribe();
    tell(&watch.current());
    loop {
        tokio::select! {
            changed = snapshots.changed() => if changed.is_err() { return },
            () = shutdown.wait() => return,
        }
        let snapshot = Arc::clone(&snapshots.borrow_and_update());
        tell(&snapshot);
    }
}

/// Views whose messages are in other systems than these.
fn others(snapshot: &Snapshot, systems: &[StreamSystem]) -> BTreeMap<ViewRef, StreamSystem> {
    let views = snapshot.views.values().map(|stored| &stored.view);
    let of = |view: &FeatureView| Some((view.reference(), view.row_source()?.system));
    let streams = views.filter(|view| view.lane == Lane::Stream).filter_map(of);
    streams.filter(|(_, system)| !systems.contains(system)).collect()
}

async fn follow(
    system: StreamSystem,
    payloads: &[String],
    watch: SnapshotWatch,
    into: Arc<ArcSwap<Definitions>>,
    shutdown: &Shutdown,
) {
    let mut snapshots = watch.subscribe();
    // What has changed since the first were read would be heard of with the next change only.
    into.store(definitions(system, payloads, &watch.current()));
    loop {
        tokio::select! {
            changed = snapshots.changed() => if changed.is_err() { return },
            () = shutdown.wait() => return,
        }
        let snapshot = Arc::clone(&snapshots.borrow_and_update());
        into.store(definitions(system, payloads, &snapshot));
    }
}
