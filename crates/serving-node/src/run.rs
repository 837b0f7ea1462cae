//! Serving until SIGTERM: parts are opened in the order in which their failure says most, joined, and
//! taken down again in the other order.

use std::{io::Write as _, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use axum::Router;
use serde_json::json;
use tokio::{net::TcpListener, task::JoinSet};
use trivium_api::{
    ApiError, ApiKeys, Readiness,
    docs::docs_router,
    grpc::{finish_grpc, with_grpc},
    ops_router,
};
use trivium_cache_valkey::ValkeyCache;
use trivium_coherence::{CoherentStore, NearCopies, NoCache};
use trivium_node::Followed;
use trivium_registry_api::RegistryApi;
use trivium_runtime::{Kind, Shutdown, SystemClock, telemetry};
use trivium_serving::{Definitions, DefinitionsHandle, GrpcHealth, Serving, Stores};
use trivium_store::{
    Authority, Checkpoints, Metered, OnlineRead, OnlineWrite, RowCache, SubjectStore,
};
use trivium_store_dynamodb::DynamoStore;
use trivium_traces::Exporting;

use crate::{config::Config, index, mirror::Mirror, store};

/// Serves until a signal, then drains.
pub async fn run(config: Config) -> Result<(), ApiError> {
    Box::pin(run_with(config, |table| table, |cache| cache)).await
}

/// The same, with something around the table and the cache: how a test breaks the protocol on
/// purpose. Nothing that can be configured leads here.
pub async fn run_with<A, C>(
    config: Config,
    around_table: impl FnOnce(DynamoStore) -> A,
    around_cache: impl FnOnce(ValkeyCache) -> C,
) -> Result<(), ApiError>
where
    A: Authority + Checkpoints + SubjectStore + 'static,
    C: RowCache + 'static,
{
    telemetry::init_logs("info", config.log);
    let metrics =
        telemetry::init_metrics().map_err(|error| ApiError::internal(error.to_string()))?;
    let exporting = traces(&config)?;
    let asked = Shutdown::on_signals()
        .map_err(|error| ApiError::internal(format!("signals cannot be heard: {error}")))?;
    // The addresses first: a port that is taken is known before anything is opened.
    let http = bind("listen.http", config.http).await?;
    let grpc = bind("listen.grpc", config.grpc).await?;
    let readiness = Readiness::new();
    let keys = config.keys.as_ref().map(|keys| ApiKeys::read(&keys.file)).transpose()?;
    let table = store::table(&config)?;
    // Its options are looked at; it may be away.
    let indexes = index::open(&config)?;
    store::check_table(&table).await?;
    if let Some(indexes) = indexes {
        indexes.check_switch().await?;
    }
    let definitions = Followed::begin(&config.registry).await?;
    definitions.report(&readiness);
    if let Some(instant) = config.data_clock {
        tracing::warn!(
            micros = instant.0,
            "the data clock is fixed: ttl and default event times go by it"
        );
    }
    let watched = table.clone();
    // Unlike a table that is down: another node, with another config, serves.
    readiness.probe("table", move || watched.away());
    let node = Node { http, grpc, metrics, readiness, keys, definitions, asked };
    let table = Metered::new("dynamodb", around_table(table));
    let served = match store::cache(&config)? {
        None => Box::pin(node.serve_behind(&config, table, NoCache)).await,
        Some(cache) => {
            // A node that has to write before it has found the cache takes it for lost, and ends its
            // epoch for everybody.
            cache.wait(Duration::from_millis(cache.options().connect_timeout_ms)).await;
            let watched = cache.clone();
            node.readiness.report("valkey", move || json!({ "problem": watched.problem() }));
            let cache = Metered::new("valkey", around_cache(cache));
            Box::pin(node.serve_behind(&config, table, cache)).await
        }
    };
    if let Some(exporting) = exporting {
        exporting.finish().await;
    }
    served
}

/// The definitions to begin with.
fn begin_with(followed: &Followed) -> Result<DefinitionsHandle, ApiError> {
    let definitions = Definitions::from_snapshot(&followed.watch().current())
        .map_err(|error| ApiError::new(Kind::DataLoss, error.to_string()))?;
    Ok(Arc::new(ArcSwap::from_pointee(definitions)))
}

/// Turns traces on, if the config or the environment names a collector, which may be away.
fn traces(config: &Config) -> Result<Option<Exporting>, ApiError> {
    let target = config.traces.target(|name| std::env::var(name).ok()).map_err(of_traces)?;
    let Some(target) = target else { return Ok(None) };
    let exporting = trivium_traces::start(target, env!("CARGO_PKG_VERSION")).map_err(of_traces)?;
    Ok(Some(exporting))
}

/// What is wrong with the options of traces, or with a variable.
pub(crate) fn of_traces(error: trivium_traces::Error) -> ApiError {
    let is_variable = error.field.starts_with("OTEL_");
    let field = error.field.to_owned();
    ApiError::invalid(error.why)
        .at(if is_variable { field } else { format!("traces.{field}") })
        .help("docs/serving.md says what may stand there")
}

/// Everything but the store.
struct Node {
    http: TcpListener,
    grpc: TcpListener,
    metrics: metrics_exporter_prometheus::PrometheusHandle,
    readiness: Readiness,
    keys: Option<ApiKeys>,
    definitions: Followed,
    asked: Shutdown,
}

impl Node {
    /// Serves the table's rows, through a cache that may be none: who writes a table that others cache
    /// has to tell them.
    async fn serve_behind<A, C>(self, config: &Config, table: A, cache: C) -> Result<(), ApiError>
    where
        A: Authority + Checkpoints + SubjectStore + 'static,
        C: RowCache + 'static,
    {
        let store = CoherentStore::new(table, cache, config.coherence.clone());
        if config.valkey.is_some() {
            let watched = store.clone();
            self.readiness.report("cache", move || json!({ "in_use": watched.has_lease() }));
        }
        // Beyond the drain: requests under way need the lease too.
        let keeping = Shutdown::new();
        let keeper = {
            let (store, keeping) = (store.clone(), keeping.clone());
            tokio::spawn(async move { store.run(&keeping).await })
        };
        let served = Box::pin(self.serve(config, store)).await;
        keeping.trigger();
        // One that panicked has said so already.
        let _ = keeper.await;
        served
    }

    async fn serve<S>(self, config: &Config, store: S) -> Result<(), ApiError>
    where
        S: OnlineRead + OnlineWrite + Checkpoints + SubjectStore + 'static,
    {
        let Self { http, grpc, metrics, readiness, keys, definitions, asked } = self;
        let store = Arc::new(NearCopies::new(store, config.near_bytes_max));
        let orders = trivium_node::orders::at(&config.registry.address)
            .map_err(|error| ApiError::internal(error.to_string()))?;
        let mut stores = Stores::of(store.clone()).with_subjects(store).with_orders(orders);
        if let Some(indexes) = index::open(config)? {
            stores = stores.with_embeddings(indexes.into_port());
        }
        let serving = Serving::new(
            stores,
            begin_with(&definitions)?,
            config.data_clock(),
            Arc::new(SystemClock),
            config.serving.clone(),
        );
        if config.opensearch.is_some() {
            let indexed = serving.clone();
            readiness.report("embeddings", move || indexed.embeddings_report());
        }
        let mirror = Arc::new(Mirror(definitions.watch()));
        let registry = RegistryApi::new(mirror, Arc::new(SystemClock));
        let mut router = serving.router().merge(registry.router());
        let (services, health) = serving.grpc_with_health();
        let mut services = services.add_service(registry.grpc());
        if let Some(keys) = &keys {
            (router, services) = (keys.protect(router), keys.protect_grpc(services));
            let watched = keys.clone();
            readiness.report(
                "keys",
                move || json!({ "count": watched.count(), "problem": watched.problem() }),
            );
        }
        let services = finish_grpc(services);
        let router = Router::new()
            .merge(router)
            .merge(ops_router(readiness.clone(), Some(metrics.clone())))
            .merge(docs_router(document()));
        let router = with_grpc(trivium_api::finish(router), services.clone().into_axum_router());

        let mut tasks = JoinSet::new();
        tasks.spawn(telemetry::keep_metrics(metrics, asked.clone()));
        let watch = definitions.watch();
        tasks.spawn(serving.clone().keep_embeddings(config.sweep, asked.clone()));
        tasks.spawn(serving.clone().resume_erasures(asked.clone()));
        tasks.spawn(serving.follow(watch.subscribe(), asked.clone()));
        tasks.spawn(watch.run(asked.clone()));
        tasks.spawn(definitions.keep_on(asked.clone()));
        if let (Some(keys), Some(options)) = (keys, &config.keys) {
            tasks.spawn(reload(keys, options.reload, asked.clone()));
        }
        announce(&http, &grpc)?;
        let intake = Shutdown::new();
        tasks.spawn(leave(asked.clone(), intake.clone(), readiness, health, config.announce));
        let served =
            trivium_api::serve(http, router, grpc, services, config.serve.clone(), intake).await;
        asked.trigger();
        while tasks.join_next().await.is_some() {}
        tracing::info!("stopped");
        served.map_err(|error| ApiError::new(Kind::Unavailable, format!("serving ended: {error}")))
    }
}

/// Of the registry's API: nodes hold a mirror of it.
const NOT_SERVED: [&str; 3] = ["/v1/apply", "/v1/erasure-orders", "/v1/partitions"];

/// The OpenAPI document of what a node serves.
fn document() -> String {
    let mut document = trivium_serving::openapi();
    document.merge(trivium_registry_api::openapi());
    document.paths.paths.retain(|path, _| !NOT_SERVED.contains(&path.as_str()));
    document.to_pretty_json().unwrap_or_default()
}

/// After the signal: not ready any more, so that no new callers are sent here; then, once that has
/// been noticed, the intake stops.
async fn leave(
    asked: Shutdown,
    intake: Shutdown,
    readiness: Readiness,
    health: GrpcHealth,
    announce: Duration,
) {
    asked.wait().await;
    tracing::info!("stopping: no longer ready; requests under way are ended");
    health.stop().await;
    readiness.not_ready("process", "it is being stopped");
    tokio::time::sleep(announce).await;
    intake.trigger();
}

/// Takes changes of the keys file into force.
async fn reload(keys: ApiKeys, every: Duration, shutdown: Shutdown) {
    let mut was_well = true;
    loop {
        tokio::select! {
            () = shutdown.wait() => return,
            () = tokio::time::sleep(every) => {}
        }
        // Said once when it begins, not every time.
        match keys.reload() {
            Ok(true) => tracing::info!(count = keys.count(), "the API keys have changed"),
            Err(error) if was_well => {
                tracing::error!(%error, "the API keys that were in force stay so");
            }
            _ => {}
        }
        was_well = keys.problem().is_none();
    }
}

async fn bind(field: &str, address: std::net::SocketAddr) -> Result<TcpListener, ApiError> {
    TcpListener::bind(address).await.map_err(|error| {
        ApiError::new(Kind::Unavailable, format!("{address} cannot be listened on: {error}"))
            .at(field)
            .help("choose another; port 0 is a free one")
    })
}

/// One line on standard output, for whoever started the node: the ports may have been free ones.
fn announce(http: &TcpListener, grpc: &TcpListener) -> Result<(), ApiError> {
    let address = |listener: &TcpListener| {
        listener.local_addr().map_err(|error| ApiError::internal(error.to_string()))
    };
    let (http, grpc) = (address(http)?, address(grpc)?);
    tracing::info!(%http, %grpc, "serving");
    let line = json!({ "http": format!("http://{http}"), "grpc": format!("grpc://{grpc}") });
    // Nobody has to read it.
    let _ = writeln!(std::io::stdout(), "{line}");
    Ok(())
}
