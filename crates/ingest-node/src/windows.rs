//! The windows of all views that have some: a worker each, as long as the view is there.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use serde_json::{Value, json};
use tokio::{runtime::Handle, task::JoinHandle};
use trivium_api::ApiError;
use trivium_ingest::{LaneHealth, Partitions, Schemas};
use trivium_ingest_kafka::KafkaOptions;
use trivium_ingest_kafka::windows::{WindowsHealth, WindowsParts, WindowsWorker};
use trivium_model::{FeatureView, Lane, ViewRef};
use trivium_registry::{Snapshot, SnapshotWatch};
use trivium_runtime::{Kind, Shutdown, SystemClock};
use trivium_windows_embedded::Folder;

use crate::{
    admin,
    config::{Source, Work},
};

struct Running {
    view: FeatureView,
    worker: Option<WindowsWorker>,
    /// Why there is no worker.
    refused: Option<String>,
    shutdown: Shutdown,
    task: Option<JoinHandle<()>>,
}

/// Workers of windows.
#[derive(Clone)]
pub struct Windows {
    /// None: this worker computes no windows.
    parts: Option<WindowsParts>,
    running: Arc<Mutex<BTreeMap<String, Running>>>,
}

impl Windows {
    /// Opens the folder, where the config names one.
    pub fn new(work: &Work, schemas: &Arc<Schemas>) -> Result<Self, ApiError> {
        let open = |(folder, kafka): (&PathBuf, &Source<KafkaOptions, String>)| {
            let folder = Folder::open(folder).map_err(|error| {
                ApiError::new(Kind::FailedPrecondition, error.to_string()).at("windows.folder")
            })?;
            Ok::<_, ApiError>(WindowsParts {
                folder,
                schemas: Arc::clone(schemas),
                dead_letters: kafka.dead_letters.clone(),
                clock: Arc::new(SystemClock),
                kafka: kafka.options.clone(),
                options: work.lane.clone(),
            })
        };
        let parts = work.windows.as_ref().zip(work.kafka.as_ref()).map(open).transpose()?;
        Ok(Self { parts, running: Arc::default() })
    }

    /// Begins and ends workers as views come and go, until the shutdown; then ends all.
    pub async fn follow(self, watch: SnapshotWatch, shutdown: Shutdown) {
        let mut snapshots = watch.subscribe();
        self.take(&watch.current()).await;
        loop {
            tokio::select! {
                changed = snapshots.changed() => if changed.is_err() { break },
                () = shutdown.wait() => break,
            }
            let snapshot = Arc::clone(&snapshots.borrow_and_update());
            self.take(&snapshot).await;
        }
        self.take(&Snapshot::default()).await;
    }

    /// One worker for each view with windows, and no others.
    async fn take(&self, snapshot: &Snapshot) {
        let views = snapshot.views.values().map(|stored| &stored.view);
        let wanted: BTreeMap<String, &FeatureView> = views
            .filter(|view| view.lane == Lane::Stream && is_computed_here(view))
            .map(|view| (view.reference().to_string(), view))
            .collect();
        let Some(parts) = &self.parts else {
            if !wanted.is_empty() {
                let views: Vec<&String> = wanted.keys().collect();
                tracing::warn!(
                    ?views,
                    "this worker has no `windows.folder`: others compute their windows"
                );
            }
            return;
        };
        let ended: Vec<Running> = {
            let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
            let is_over = |name: &String, one: &Running| {
                wanted.get(name).is_none_or(|view| is_other(&one.view, view))
            };
            let names: Vec<String> = running
                .iter()
                .filter(|(name, one)| is_over(name, one))
                .map(|(name, _)| name.clone())
                .collect();
            names.iter().filter_map(|name| running.remove(name)).collect()
        };
        ended.iter().for_each(|one| one.shutdown.trigger());
        for one in ended {
            tracing::info!(view = %one.view.reference(), "its windows are no longer computed");
            if let Some(task) = one.task {
                let _ = task.await;
            }
        }
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        for (name, view) in wanted {
            running.entry(name).or_insert_with(|| begin(view, parts));
        }
    }

    /// How each view's windows are.
    pub fn views(&self) -> Vec<(ViewRef, WindowsHealth)> {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let of = |one: &Running| {
            let health = one.worker.as_ref().map(WindowsWorker::health).unwrap_or_default();
            let failing = one.refused.clone().or(health.failing.clone());
            (one.view.reference(), WindowsHealth { failing, ..health })
        };
        running.values().map(of).collect()
    }
}

impl Partitions for Windows {
    fn health(&self) -> Vec<LaneHealth> {
        self.views().into_iter().flat_map(|(_, health)| health.partitions).collect()
    }

    fn let_pass(&self, partition: &str, messages: u64) -> bool {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let workers = running.values().filter_map(|one| one.worker.as_ref());
        let passed: Vec<bool> =
            workers.map(|worker| worker.let_pass(partition, messages)).collect();
        passed.contains(&true)
    }
}

/// Whether it has windows that no job computes.
fn is_computed_here(view: &FeatureView) -> bool {
    view.window.as_ref().is_some_and(|window| window.job.is_none())
}

/// Whether a worker has to begin anew. Words about a view change nothing.
fn is_other(old: &FeatureView, new: &FeatureView) -> bool {
    (&old.source, &old.window) != (&new.source, &new.window)
}

fn begin(view: &FeatureView, parts: &WindowsParts) -> Running {
    let reference = view.reference();
    let shutdown = Shutdown::new();
    let made = WindowsWorker::new(view, parts.clone(), Handle::current());
    let (worker, refused, task) = match made {
        Ok(worker) => {
            tracing::info!(view = %reference, "its windows are computed");
            let (run, stop) = (worker.clone(), shutdown.clone());
            let task = tokio::spawn(async move {
                if let Err(error) = run.run(stop).await {
                    tracing::error!(view = %reference, %error, "its windows are not computed");
                }
            });
            (Some(worker), None, Some(task))
        }
        Err(why) => {
            tracing::error!(view = %reference, why, "its windows cannot be computed");
            (None, Some(why), None)
        }
    };
    Running { view: view.clone(), worker, refused, shutdown, task }
}

/// A view's windows, for people and programs.
pub fn shown((view, health): &(ViewRef, WindowsHealth)) -> Value {
    json!({
        "view": view.to_string(),
        "partitions": health.partitions.iter().map(admin::shown).collect::<Vec<_>>(),
        "failing": health.failing,
    })
}
