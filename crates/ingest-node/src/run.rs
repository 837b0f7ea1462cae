//! Working until SIGTERM: parts are opened, joined, and taken down again in the other order.

use std::{io::Write as _, sync::Arc};

use arc_swap::ArcSwap;
use axum::Router;
use serde_json::json;
use tokio::{net::TcpListener, runtime::Handle, task::JoinSet};
use trivium_api::{ApiError, Readiness, ServeOptions, ops_router};
use trivium_client::{Client, Options as ClientOptions};
use trivium_ingest::{Parts, Schemas, port::SchemaSource, routes::Routes};
use trivium_ingest_kafka::{DeadLetterTopic, Error as KafkaError, KafkaWorker};
use trivium_model::StreamSystem;
use trivium_node::Followed;
use trivium_registry::{Snapshot, SnapshotWatch};
use trivium_runtime::{Kind, Shutdown, SystemClock, telemetry};

use crate::{admin, config::Config, schema_registry::HttpSchemas};

/// Works until a signal, then ends its lanes.
pub async fn run(config: Config) -> Result<(), ApiError> {
    telemetry::init_logs("info", config.log);
    let metrics =
        telemetry::init_metrics().map_err(|error| ApiError::internal(error.to_string()))?;
    let shutdown = Shutdown::on_signals()
        .map_err(|error| ApiError::internal(format!("signals cannot be heard: {error}")))?;
    let http = TcpListener::bind(config.http).await.map_err(|error| {
        let message = format!("{} cannot be listened on: {error}", config.http);
        ApiError::new(Kind::Unavailable, message)
            .at("listen.http")
            .help("choose another; port 0 is a free one")
    })?;
    let readiness = Readiness::new();
    let definitions = Followed::begin(&config.registry).await?;
    definitions.report(&readiness);
    let watch = definitions.watch();
    let routes = Arc::new(ArcSwap::from_pointee(routes(&config, &watch.current())));
    let parts = Parts {
        routes: Arc::clone(&routes),
        schemas: Arc::new(Schemas::new(schemas(&config)?)),
        door: Arc::new(door(&config)?),
        letters: Arc::new(
            DeadLetterTopic::new(&config.kafka, &config.dead_letters).map_err(of_kafka)?,
        ),
        clock: Arc::new(SystemClock),
        options: config.lane.clone(),
    };
    let worker = KafkaWorker::new(parts, config.kafka.clone(), Handle::current());
    let shown = worker.clone();
    readiness.report("partitions", move || {
        shown.health().iter().map(admin::shown).collect::<Vec<_>>().into()
    });
    let floods = worker.clone();
    readiness.probe("partitions", move || {
        let lanes = floods.health();
        let stopped = lanes.iter().find_map(|lane| lane.stopped.as_ref().map(|why| (lane, why)));
        stopped.map(|(lane, why)| format!("{}: {why}", lane.partition))
    });

    let mut tasks = JoinSet::new();
    tasks.spawn(telemetry::keep_metrics(metrics.clone(), shutdown.clone()));
    tasks.spawn(watch.clone().run(shutdown.clone()));
    tasks.spawn(definitions.keep_on(shutdown.clone()));
    tasks.spawn(follow(config.clone(), watch, routes, shutdown.clone()));
    let router = Router::new()
        .merge(admin::router(worker.clone()))
        .merge(ops_router(readiness, Some(metrics)));
    announce(&http)?;
    let serving = trivium_api::serve::serve_http(
        http,
        trivium_api::finish(router),
        ServeOptions::default(),
        shutdown.clone(),
    );
    let served = tokio::spawn(serving);
    let worked = worker.run(shutdown.clone()).await;
    // A worker that cannot go on is started anew by whoever watches it.
    shutdown.trigger();
    let _ = served.await;
    while tasks.join_next().await.is_some() {}
    tracing::info!("stopped");
    worked.map_err(of_kafka)
}

pub(crate) fn routes(config: &Config, snapshot: &Snapshot) -> Routes {
    let routes = Routes::of(snapshot, StreamSystem::Kafka, &config.payload_topics);
    for (view, why) in routes.unread() {
        tracing::error!(%view, why, "a view's messages cannot be read");
    }
    routes
}

/// Takes changes of views into force, between batches.
async fn follow(
    config: Config,
    watch: SnapshotWatch,
    into: Arc<ArcSwap<Routes>>,
    shutdown: Shutdown,
) {
    let mut snapshots = watch.subscribe();
    loop {
        tokio::select! {
            changed = snapshots.changed() => if changed.is_err() { return },
            () = shutdown.wait() => return,
        }
        let snapshot = Arc::clone(&snapshots.borrow_and_update());
        tracing::info!(revision = snapshot.revision.0, "definitions have changed");
        into.store(Arc::new(routes(&config, &snapshot)));
    }
}

pub(crate) fn schemas(config: &Config) -> Result<Option<Arc<dyn SchemaSource>>, ApiError> {
    let Some(url) = &config.schema_registry else { return Ok(None) };
    let source = HttpSchemas::new(url)
        .map_err(|error| ApiError::invalid(error).at("schema_registry.url"))?;
    Ok(Some(Arc::new(source)))
}

/// Serving, which may be away: the first write connects.
fn door(config: &Config) -> Result<Client, ApiError> {
    Client::connect_lazily(&config.serving, client_options(config)?)
        .map_err(|error| ApiError::invalid(error.to_string()).at("serving.url"))
}

/// How serving is talked to.
pub(crate) fn client_options(config: &Config) -> Result<ClientOptions, ApiError> {
    let mut options =
        ClientOptions { request_timeout: config.lane.request_time, ..ClientOptions::default() };
    if let Some(file) = &config.key_file {
        let key = std::fs::read_to_string(file).map_err(|error| {
            ApiError::new(Kind::FailedPrecondition, format!("the key cannot be read: {error}"))
                .at(file.display().to_string())
        })?;
        options.api_key = Some(key.trim().to_owned());
    }
    Ok(options)
}

pub(crate) fn of_kafka(error: KafkaError) -> ApiError {
    let kind = match &error {
        KafkaError::Options(_) => Kind::InvalidArgument,
        KafkaError::Fenced(_) => Kind::FailedPrecondition,
        KafkaError::Failed(_) => Kind::Unavailable,
    };
    ApiError::new(kind, error.to_string()).at("kafka")
}

/// One line on standard output, for whoever started the worker: the port may have been a free one.
fn announce(http: &TcpListener) -> Result<(), ApiError> {
    let http = http.local_addr().map_err(|error| ApiError::internal(error.to_string()))?;
    tracing::info!(%http, "working");
    // Nobody has to read it.
    let _ = writeln!(std::io::stdout(), "{}", json!({ "http": format!("http://{http}") }));
    Ok(())
}
