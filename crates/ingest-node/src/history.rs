//! `[history]`: every row of the streams into the lake, beside the lanes, which never wait for it.

use std::{
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
use trivium_ingest_kafka::{Error, KafkaHistory, KafkaOptions};
use trivium_model::StreamSystem;
use trivium_node::config::wrong;
use trivium_registry::{Snapshot, SnapshotWatch};
use trivium_runtime::{Shutdown, SystemClock};

use crate::config::Source;

/// How long after an error the history is begun anew.
const PAUSE: Duration = Duration::from_secs(10);

/// The config's section.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Section {
    lake: Option<PathBuf>,
    group: String,
    commit_ms: u64,
    commit_bytes: usize,
    keep_ms: u64,
}

impl Default for Section {
    fn default() -> Self {
        let options = SinkOptions::default();
        let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        Self {
            lake: None,
            group: "trivium-history".to_owned(),
            commit_ms: ms(options.commit_every),
            commit_bytes: options.commit_bytes,
            keep_ms: ms(options.vacuum.removed),
        }
    }
}

/// Where rows go, and who reads them.
#[derive(Debug, Clone)]
pub struct History {
    pub(crate) group: String,
    pub(crate) sink: SinkOptions,
}

impl Section {
    /// None: no history is kept. Relative paths are beside the file.
    pub(crate) fn check(
        self,
        file: &Path,
        lanes_group: Option<&str>,
    ) -> Result<Option<History>, ApiError> {
        for (field, value) in [
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
        if self.lake.is_some() && lanes_group.is_none() {
            let message = "the history is of Kafka's topics, and there is no `[kafka]`";
            return Err(wrong(file, "history.lake", message, "add it, or leave the history out"));
        }
        if lanes_group == Some(&self.group) {
            let message = format!("`{}` is the group of the lanes, too", self.group);
            let help = "take another: two consumers of one group share what each must have whole";
            return Err(wrong(file, "history.group", message, help));
        }
        let base = file.parent().unwrap_or_else(|| Path::new(""));
        let default = SinkOptions::default();
        let mut vacuum = default.vacuum;
        vacuum.removed = Duration::from_millis(self.keep_ms);
        Ok(self.lake.map(|lake| History {
            group: self.group,
            sink: SinkOptions {
                lake: base.join(lake),
                commit_every: Duration::from_millis(self.commit_ms),
                commit_bytes: self.commit_bytes,
                vacuum,
                ..default
            },
        }))
    }
}

fn definitions(payloads: &[String], snapshot: &Snapshot) -> Arc<Definitions> {
    let definitions = Definitions::of(snapshot, StreamSystem::Kafka, payloads);
    for (view, why) in definitions.unread() {
        tracing::error!(%view, why, "a view has no history");
    }
    Arc::new(definitions)
}

/// Keeps the history until the shutdown; begins anew after an error, of which readiness tells meanwhile.
pub(crate) async fn keep(
    kafka: Source<KafkaOptions, String>,
    lane: LaneOptions,
    history: History,
    watch: SnapshotWatch,
    schemas: Arc<Schemas>,
    readiness: Readiness,
    shutdown: Shutdown,
) {
    let failed: Arc<Mutex<Option<String>>> = Arc::default();
    let shown = Arc::clone(&failed);
    readiness
        .probe("history", move || shown.lock().unwrap_or_else(PoisonError::into_inner).clone());
    let known = Arc::new(ArcSwap::new(definitions(&kafka.payload_topics, &watch.current())));
    let following = follow(&kafka.payload_topics, watch, Arc::clone(&known), shutdown.clone());
    let working = async {
        while !shutdown.is_triggered() {
            let worker = KafkaHistory {
                kafka: KafkaOptions { group: history.group.clone(), ..kafka.options.clone() },
                sink: history.sink.clone(),
                parts: SinkParts {
                    schemas: Arc::clone(&schemas),
                    lane: lane.clone(),
                    clock: Arc::new(SystemClock),
                    handle: Handle::current(),
                },
                definitions: Arc::clone(&known),
            };
            let tell = |error: Option<&Error>| {
                let mut failed = failed.lock().unwrap_or_else(PoisonError::into_inner);
                *failed = error.map(ToString::to_string);
            };
            let Err(error) = worker.run(shutdown.clone()).await else { return };
            tracing::error!(%error, "the history is begun anew");
            tell(Some(&error));
            tokio::select! {
                () = tokio::time::sleep(PAUSE) => tell(None),
                () = shutdown.wait() => return,
            }
        }
    };
    tokio::join!(working, following);
}

async fn follow(
    payloads: &[String],
    watch: SnapshotWatch,
    into: Arc<ArcSwap<Definitions>>,
    shutdown: Shutdown,
) {
    let mut snapshots = watch.subscribe();
    // What has changed since the first were read would be heard of with the next change only.
    into.store(definitions(payloads, &watch.current()));
    loop {
        tokio::select! {
            changed = snapshots.changed() => if changed.is_err() { return },
            () = shutdown.wait() => return,
        }
        let snapshot = Arc::clone(&snapshots.borrow_and_update());
        into.store(definitions(payloads, &snapshot));
    }
}
