//! `trivium-ingest`: a worker in a process of its own, which works until SIGTERM.

use std::{io::Write as _, sync::Arc};

use axum::Router;
use serde_json::json;
use tokio::{net::TcpListener, task::JoinSet};
use trivium_api::{ApiError, Readiness, ServeOptions, ops_router};
use trivium_client::{Client, Options as ClientOptions};
use trivium_node::Followed;
use trivium_runtime::{Kind, Shutdown, telemetry};

use crate::{config::Config, worker::Worker};

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
    let door = Arc::new(door(&config)?);
    let worker = Worker::open(config.work, watch.clone(), door, readiness.clone())?;

    let mut tasks = JoinSet::new();
    tasks.spawn(telemetry::keep_metrics(metrics.clone(), shutdown.clone()));
    tasks.spawn(watch.run(shutdown.clone()));
    tasks.spawn(definitions.keep_on(shutdown.clone()));
    let router = Router::new().merge(worker.router()).merge(ops_router(readiness, Some(metrics)));
    announce(&http)?;
    let serving = trivium_api::serve::serve_http(
        http,
        trivium_api::finish(router),
        ServeOptions::default(),
        shutdown.clone(),
    );
    let served = tokio::spawn(serving);
    let worked = worker.run(shutdown).await;
    let _ = served.await;
    while tasks.join_next().await.is_some() {}
    tracing::info!("stopped");
    worked
}

/// Serving, which may be away: the first write connects.
fn door(config: &Config) -> Result<Client, ApiError> {
    Client::connect_lazily(&config.serving, client_options(config)?)
        .map_err(|error| ApiError::invalid(error.to_string()).at("serving.url"))
}

/// How serving is talked to.
pub(crate) fn client_options(config: &Config) -> Result<ClientOptions, ApiError> {
    let request_timeout = config.work.lane.request_time;
    let mut options = ClientOptions { request_timeout, ..ClientOptions::default() };
    if let Some(file) = &config.key_file {
        let key = std::fs::read_to_string(file).map_err(|error| {
            ApiError::new(Kind::FailedPrecondition, format!("the key cannot be read: {error}"))
                .at(file.display().to_string())
        })?;
        options.api_key = Some(key.trim().to_owned());
    }
    Ok(options)
}

/// One line on standard output, for whoever started the worker: the port may have been a free one.
fn announce(http: &TcpListener) -> Result<(), ApiError> {
    let http = http.local_addr().map_err(|error| ApiError::internal(error.to_string()))?;
    tracing::info!(%http, "working");
    // Nobody has to read it.
    let _ = writeln!(std::io::stdout(), "{}", json!({ "http": format!("http://{http}") }));
    Ok(())
}
