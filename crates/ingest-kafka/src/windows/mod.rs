//! Windows over the events of a topic: one worker a view.
//!
//! A worker is in a consumer group of its own, with the view's other workers. What it takes of all its
//! partitions at once becomes one transaction of Kafka: the rows, as payloads; the changes of each
//! partition's state, in the partition of the same number of the view's changelog, which is compacted;
//! dead letters; and the group's offsets. Only then does the state in the worker's own folder follow,
//! in one batch with the changelog's offset. So, whoever dies when:
//!
//! - before the transaction is committed, it never was: its messages are read again, on the state from
//!   before;
//! - between the transaction and the folder, the folder is behind, which the group's offset tells: its
//!   metadata counts the steps. What is missing is read from the changelog;
//! - a worker whose partitions went to others while it was away cannot commit any more: the
//!   transaction names the group's generation, and is refused (KIP-447).
//!
//! A partition that comes to a worker brings its state along: if the folder's is not that of the
//! group's offset, it is read from the changelog, as far as the folder's mark allows, or whole.
//!
//! Everything happens on one thread, which polls only between transactions: when partitions are taken
//! away, none is under way.

mod assigned;
mod changelog;
mod session;
mod transaction;

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use tokio::runtime::Handle;
use trivium_ingest::{LaneHealth, LaneOptions, Schemas, events::Events, port::Partition};
use trivium_model::{FeatureView, StreamSystem, ViewRef};
use trivium_runtime::{Clock, Shutdown};
use trivium_windows::Plan;
use trivium_windows_embedded::Folder;

use self::session::Session;
use crate::{Error, KafkaOptions, unowned::Unowned};

/// How long it waits after a failure.
const PAUSE: Duration = Duration::from_secs(1);

/// What workers of windows share. Cheap to clone.
#[derive(Clone)]
pub struct WindowsParts {
    /// Where the state is.
    pub folder: Folder,
    /// What Avro's messages were written under.
    pub schemas: Arc<Schemas>,
    /// The topic of dead letters.
    pub dead_letters: String,
    /// For the times of dead letters.
    pub clock: Arc<dyn Clock>,
    /// How Kafka is talked to. The group's name is the beginning of the groups' names.
    pub kafka: KafkaOptions,
    /// How schemas are waited for.
    pub options: LaneOptions,
}

/// What one worker is made of.
pub(crate) struct Job {
    pub view: FeatureView,
    pub plan: Plan,
    pub events: Events,
    pub topic: String,
    pub payload_topic: String,
    pub changelog: String,
    pub group: String,
    pub transactional_id: String,
    pub parts: WindowsParts,
    pub health: Arc<Mutex<WindowsHealth>>,
    /// Messages of each partition that may be dead letters, now that somebody has looked at the flood.
    pub passes: Mutex<BTreeMap<i32, u64>>,
    /// Since when it has been at the same messages, or bringing states.
    busy: Mutex<Option<Instant>>,
    pub handle: Handle,
}

impl Job {
    fn is_busy(&self, is_busy: bool) {
        let since = is_busy.then(Instant::now);
        *self.busy.lock().unwrap_or_else(PoisonError::into_inner) = since;
    }

    /// A partition of the topic, by its name.
    fn partition(&self, number: i32) -> Partition {
        Partition { topic: self.topic.as_str().into(), name: number.to_string().into() }
    }
}

/// How a view's windows are doing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WindowsHealth {
    /// Each partition that this worker has.
    pub partitions: Vec<LaneHealth>,
    /// Why it does not go on, if it does not.
    pub failing: Option<String>,
}

/// A worker of one view. Cheap to clone.
#[derive(Clone)]
pub struct WindowsWorker(Arc<Job>);

impl fmt::Debug for WindowsWorker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WindowsWorker").field("view", self.view()).finish_non_exhaustive()
    }
}

/// A view's name as topics and groups can bear it.
fn spelled(view: &ViewRef) -> String {
    format!("{}.{}.v{}", view.namespace, view.view, view.version)
}

/// The topic in which a view's states are: compacted, with as many partitions as the source.
pub fn changelog_topic(view: &ViewRef) -> String {
    format!("trivium-windows.{}", spelled(view))
}

impl WindowsWorker {
    /// Of a view with windows over a topic of Kafka; says why there cannot be one. Asks nobody yet.
    pub fn new(view: &FeatureView, parts: WindowsParts, handle: Handle) -> Result<Self, String> {
        let (Some(source), Some(window)) = (&view.source, &view.window) else {
            return Err("the view has no `window` over a `source`".to_owned());
        };
        if window.job.is_some() {
            return Err("a Flink job computes the view's windows".to_owned());
        }
        if source.system != StreamSystem::Kafka {
            return Err(format!("windows are not computed over {}", source.system.word()));
        }
        let reference = view.reference();
        let group = format!("{}.windows.{}", parts.kafka.group, spelled(&reference));
        let member = match &parts.kafka.instance {
            Some(instance) => instance.clone(),
            None => uuid::Uuid::new_v4().to_string(),
        };
        Ok(Self(Arc::new(Job {
            plan: Plan::new(view)?,
            events: Events::new(view)?,
            topic: source.topic.clone(),
            payload_topic: window.payload_topic.clone(),
            changelog: changelog_topic(&reference),
            transactional_id: format!("{group}.{member}"),
            group,
            view: view.clone(),
            parts,
            health: Arc::default(),
            passes: Mutex::default(),
            busy: Mutex::default(),
            handle,
        })))
    }

    /// The view.
    pub fn view(&self) -> &ViewRef {
        self.0.events.view()
    }

    /// How it is doing.
    pub fn health(&self) -> WindowsHealth {
        let job = &self.0;
        let since = *job.busy.lock().unwrap_or_else(PoisonError::into_inner);
        let mut health = job.health.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for partition in &mut health.partitions {
            partition.busy = since.map(|since| since.elapsed());
        }
        health
    }

    /// Lets a partition go on that a flood has stopped: of the next so many messages those that are no
    /// events are dead-lettered. False: it is none of this worker's, or it is not stopped.
    pub fn let_pass(&self, partition: &str, messages: u64) -> bool {
        let is_stopped =
            |one: &LaneHealth| one.stopped.is_some() && one.partition.to_string() == partition;
        let health = self.health();
        let stopped = health.partitions.iter().find(|one| is_stopped(one));
        let number = stopped.and_then(|one| one.partition.name.parse().ok());
        let (Some(number), true) = (number, messages > 0) else { return false };
        self.0.passes.lock().unwrap_or_else(PoisonError::into_inner).insert(number, messages);
        true
    }

    /// Works until the shutdown, on a thread of its own. What fails is begun anew.
    pub async fn run(self, shutdown: Shutdown) -> Result<(), Error> {
        let (ended, end) = tokio::sync::oneshot::channel();
        let name = format!("windows {}", self.view());
        let health = Arc::clone(&self.0.health);
        let spawned = std::thread::Builder::new().name(name).spawn(move || {
            // Nobody waits for it any more: then nobody is told.
            let _ = ended.send(self.work(&shutdown));
        });
        let end = match spawned {
            Ok(_) => end.await.map_err(|_| "the windows' thread died".to_owned()),
            Err(error) => Err(format!("no thread for windows: {error}")),
        };
        end.unwrap_or_else(|why| {
            health.lock().unwrap_or_else(PoisonError::into_inner).failing = Some(why.clone());
            Err(Error::Failed(why))
        })
    }

    fn work(&self, shutdown: &Shutdown) -> Result<(), Error> {
        let job = &self.0;
        let unowned = Unowned::watch(&job.parts.kafka, &job.group, shutdown);
        while !shutdown.is_triggered() {
            // One that cannot keep a state joins no group: it would take partitions from those that can.
            let writes = job.parts.folder.check().map_err(|error| {
                Error::Failed(format!("{error}; once it can be written, begin the worker anew"))
            });
            let session = writes.and_then(|()| Session::begin(job, unowned.as_ref()));
            let worked = session.and_then(|session| session.work(shutdown));
            let mut health = job.health.lock().unwrap_or_else(PoisonError::into_inner);
            health.partitions.clear();
            match worked {
                Ok(()) => return Ok(()),
                Err(wrong @ Error::Options(_)) => {
                    health.failing = Some(wrong.to_string());
                    return Err(wrong);
                }
                Err(why) => {
                    tracing::warn!(view = %self.view(), %why, "windows are begun anew");
                    health.failing = Some(why.to_string());
                }
            }
            drop(health);
            let stopped = shutdown.clone();
            job.handle.block_on(async {
                tokio::select! {
                    () = stopped.wait() => {}
                    () = tokio::time::sleep(PAUSE) => {}
                }
            });
        }
        Ok(())
    }
}
