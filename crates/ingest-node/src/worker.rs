//! A worker's parts, joined: lanes, windows and the history of what its config names. Whoever runs one
//! gives it the definitions and the door: the `trivium-ingest` program, or `trivium dev`, which is both.

use std::sync::Arc;

use arc_swap::ArcSwap;
use axum::Router;
use tokio::{runtime::Handle, task::JoinSet};
use trivium_api::{ApiError, Readiness};
use trivium_ingest::{
    Partitions, Parts, Schemas,
    port::{DeadLetters, SchemaSource},
    routes::Routes,
};
use trivium_ingest_kafka::{DeadLetterTopic, Error as KafkaError, KafkaWorker};
use trivium_ingest_kinesis::{DeadLetterStream, Error as KinesisError, KinesisWorker};
use trivium_model::StreamSystem;
use trivium_registry::{Snapshot, SnapshotWatch};
use trivium_runtime::{Kind, Shutdown, SystemClock};
use trivium_store::WriteDoor;

use crate::{
    admin,
    config::Work,
    history::{self, History, Keeping, Reader},
    schema_registry::HttpSchemas,
    windows::{self, Windows},
};

/// A worker that is opened, and does not work yet.
pub struct Worker {
    lanes: Vec<Lanes>,
    windows: Windows,
    work: Work,
    schemas: Arc<Schemas>,
    watch: SnapshotWatch,
    readiness: Readiness,
}

/// The lanes of one system's partitions.
struct Lanes {
    system: StreamSystem,
    /// Topics whose messages name their views.
    payloads: Vec<String>,
    routes: Arc<ArcSwap<Routes>>,
    worker: System,
}

enum System {
    Kafka(KafkaWorker),
    Kinesis(KinesisWorker),
}

impl System {
    fn partitions(&self) -> Arc<dyn Partitions> {
        match self {
            Self::Kafka(worker) => Arc::new(worker.clone()),
            Self::Kinesis(worker) => Arc::new(worker.clone()),
        }
    }

    async fn run(self, shutdown: Shutdown) -> Result<(), ApiError> {
        match self {
            Self::Kafka(worker) => worker.run(shutdown).await.map_err(of_kafka),
            Self::Kinesis(worker) => worker.run(shutdown).await.map_err(of_kinesis),
        }
    }
}

impl Worker {
    /// Opens what the config names. Rows go through the door, by the definitions as they change; readiness
    /// hears how partitions, windows and the history are.
    pub fn open(
        work: Work,
        watch: SnapshotWatch,
        door: Arc<dyn WriteDoor>,
        readiness: Readiness,
    ) -> Result<Self, ApiError> {
        let schemas = Arc::new(Schemas::new(schemas(&work)?));
        let windows = Windows::new(&work, &schemas)?;
        let mut lanes = Vec::new();
        for (system, payloads) in systems(&work) {
            let now = routes(system, &payloads, &watch.current());
            let routes = Arc::new(ArcSwap::from_pointee(now));
            let parts = Parts {
                routes: Arc::clone(&routes),
                schemas: Arc::clone(&schemas),
                door: Arc::clone(&door),
                letters: letters(&work, system)?,
                clock: Arc::new(SystemClock),
                options: work.lane.clone(),
            };
            let worker = if let (StreamSystem::Kafka, Some(kafka)) = (system, &work.kafka) {
                System::Kafka(KafkaWorker::new(parts, kafka.options.clone(), Handle::current()))
            } else if let Some(kinesis) = &work.kinesis {
                let options = kinesis.options.clone();
                let worker = KinesisWorker::new(parts, options, Handle::current());
                System::Kinesis(worker.map_err(of_kinesis)?)
            } else {
                continue;
            };
            lanes.push(Lanes { system, payloads, routes, worker });
        }
        let worker = Self { lanes, windows, work, schemas, watch, readiness };
        worker.report();
        Ok(worker)
    }

    fn partitions(&self) -> admin::Workers {
        let windows: Arc<dyn Partitions> = Arc::new(self.windows.clone());
        let lanes = self.lanes.iter().map(|lanes| lanes.worker.partitions());
        lanes.chain([windows]).collect::<Vec<_>>().into()
    }

    fn report(&self) {
        let readiness = &self.readiness;
        let shown = self.partitions();
        readiness.report("partitions", move || {
            admin::health(&shown).iter().map(admin::shown).collect::<Vec<_>>().into()
        });
        let floods = self.partitions();
        readiness.probe("partitions", move || {
            let lanes = admin::health(&floods);
            let stopped =
                lanes.iter().find_map(|lane| lane.stopped.as_ref().map(|why| (lane, why)));
            stopped.map(|(lane, why)| format!("{}: {why}", lane.partition))
        });
        let shown = self.windows.clone();
        readiness.report("windows", move || {
            shown.views().iter().map(windows::shown).collect::<Vec<_>>().into()
        });
        let failing = self.windows.clone();
        readiness.probe("windows", move || {
            let all = failing.views();
            let failing =
                all.iter().find_map(|(view, one)| one.failing.as_ref().map(|why| (view, why)));
            failing.map(|(view, why)| format!("{view}: {why}"))
        });
    }

    /// What operators ask it: `GET /v1/streams/partitions` and `POST /v1/streams/partitions/pass`.
    pub fn router(&self) -> Router {
        admin::router(self.partitions())
    }

    /// Works until the shutdown, then ends its lanes. It ends by itself only by an error, and triggers the
    /// shutdown then.
    pub async fn run(self, shutdown: Shutdown) -> Result<(), ApiError> {
        let Self { lanes, windows, work, schemas, watch, readiness } = self;
        let mut tasks = JoinSet::new();
        if work.history.is_some() {
            let systems = systems(&work).into_iter().map(|(system, _)| system).collect();
            tasks.spawn(history::tell_others(systems, watch.clone(), shutdown.clone()));
        }
        for keeping in histories(work, &schemas) {
            let (watch, readiness) = (watch.clone(), readiness.clone());
            tasks.spawn(keeping.keep(watch, readiness, shutdown.clone()));
        }
        tasks.spawn(windows.follow(watch.clone(), shutdown.clone()));
        let mut working: JoinSet<Result<(), ApiError>> = JoinSet::new();
        for Lanes { system, payloads, routes, worker } in lanes {
            tasks.spawn(follow(system, payloads, routes, watch.clone(), shutdown.clone()));
            working.spawn(worker.run(shutdown.clone()));
        }
        let mut worked = Ok(());
        while let Some(ended) = working.join_next().await {
            let ended = ended.unwrap_or_else(|error| Err(ApiError::internal(error.to_string())));
            // The first error says why; and the other one is started anew with it, by whoever watches.
            worked = worked.and(ended);
            shutdown.trigger();
        }
        while tasks.join_next().await.is_some() {}
        worked
    }
}

/// The history of each system's views, where one is kept.
fn histories(work: Work, schemas: &Arc<Schemas>) -> Vec<Keeping> {
    let Work { lane, history, kafka, kinesis, .. } = work;
    let Some(History { sink, kafka: of_kafka, kinesis: of_kinesis }) = history else {
        return Vec::new();
    };
    let kafka = kafka.zip(of_kafka);
    let kafka = kafka.map(|(source, options)| (source.payload_topics, Reader::Kafka(options)));
    let kinesis = kinesis.zip(of_kinesis);
    let kinesis =
        kinesis.map(|(source, options)| (source.payload_topics, Reader::Kinesis(options)));
    let keeping = |(payloads, reader)| Keeping {
        reader,
        payloads,
        sink: sink.clone(),
        lane: lane.clone(),
        schemas: Arc::clone(schemas),
    };
    kafka.into_iter().chain(kinesis).map(keeping).collect()
}

pub(crate) fn systems(work: &Work) -> Vec<(StreamSystem, Vec<String>)> {
    let kafka = work.kafka.as_ref();
    let kinesis = work.kinesis.as_ref();
    let kafka = kafka.map(|kafka| (StreamSystem::Kafka, kafka.payload_topics.clone()));
    let kinesis = kinesis.map(|kinesis| (StreamSystem::Kinesis, kinesis.payload_topics.clone()));
    kafka.into_iter().chain(kinesis).collect()
}

/// Kinesis' letters go to a stream, or where Kafka's go.
fn letters(work: &Work, system: StreamSystem) -> Result<Arc<dyn DeadLetters>, ApiError> {
    if system == StreamSystem::Kinesis
        && let Some(kinesis) = &work.kinesis
        && let Some(stream) = &kinesis.dead_letters
    {
        let letters = DeadLetterStream::new(&kinesis.options, stream).map_err(of_kinesis)?;
        return Ok(Arc::new(letters));
    }
    let Some(kafka) = &work.kafka else {
        return Err(ApiError::internal("dead letters have no place to go"));
    };
    let letters = DeadLetterTopic::new(&kafka.options, &kafka.dead_letters).map_err(of_kafka)?;
    Ok(Arc::new(letters))
}

pub(crate) fn routes(system: StreamSystem, payloads: &[String], snapshot: &Snapshot) -> Routes {
    let routes = Routes::of(snapshot, system, payloads);
    for (view, why) in routes.unread() {
        tracing::error!(%view, why, "a view's messages cannot be read");
    }
    routes
}

/// Takes changes of views into force, between batches.
async fn follow(
    system: StreamSystem,
    payloads: Vec<String>,
    into: Arc<ArcSwap<Routes>>,
    watch: SnapshotWatch,
    shutdown: Shutdown,
) {
    let mut snapshots = watch.subscribe();
    // What has changed since the worker was opened would be heard of with the next change only.
    into.store(Arc::new(routes(system, &payloads, &watch.current())));
    loop {
        tokio::select! {
            changed = snapshots.changed() => if changed.is_err() { return },
            () = shutdown.wait() => return,
        }
        let snapshot = Arc::clone(&snapshots.borrow_and_update());
        tracing::info!(revision = snapshot.revision.0, "definitions have changed");
        into.store(Arc::new(routes(system, &payloads, &snapshot)));
    }
}

pub(crate) fn schemas(work: &Work) -> Result<Option<Arc<dyn SchemaSource>>, ApiError> {
    let Some(url) = &work.schema_registry else { return Ok(None) };
    let source = HttpSchemas::new(url)
        .map_err(|error| ApiError::invalid(error).at("schema_registry.url"))?;
    Ok(Some(Arc::new(source)))
}

pub(crate) fn of_kafka(error: KafkaError) -> ApiError {
    let kind = match &error {
        KafkaError::Options(_) => Kind::InvalidArgument,
        KafkaError::Fenced(_) => Kind::FailedPrecondition,
        KafkaError::Failed(_) => Kind::Unavailable,
    };
    ApiError::new(kind, error.to_string()).at("kafka")
}

fn of_kinesis(error: KinesisError) -> ApiError {
    let kind = match &error {
        KinesisError::Option { .. } => Kind::InvalidArgument,
        KinesisError::Away(_) | KinesisError::Failed(_) => Kind::Unavailable,
    };
    ApiError::new(kind, error.to_string()).at("kinesis")
}
