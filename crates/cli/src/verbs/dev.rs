//! `trivium dev`: registry, serving, history and, where asked for, a worker of streams in one process.

use std::{sync::Arc, time::Instant};

use axum::Router;
use serde_json::json;
use tokio::net::TcpListener;
use trivium_api::{
    ApiError, Readiness, ServeOptions,
    docs::docs_router,
    grpc::{finish_grpc, with_grpc},
    ops_router,
};
use trivium_ingest_node::{Work, Worker};
use trivium_registry::{SnapshotWatch, WatchOptions};
use trivium_registry_api::RegistryApi;
use trivium_runtime::{Shutdown, SystemClock, telemetry};
use trivium_serving::SweepOptions;

use crate::{
    args::{DevArgs, Global, Output},
    failure::{self, Failure},
    openapi, output, parts,
    project::Project,
};

/// Serves until SIGTERM or Ctrl-C.
pub async fn run(global: &Global, args: &DevArgs) -> Result<(), Failure> {
    let started = Instant::now();
    if global.server.is_some() {
        return Err(ApiError::invalid("dev is a server itself")
            .at("--server")
            .help("leave it out")
            .into());
    }
    let project = Project::find(global)?;
    let shutdown = Shutdown::on_signals().map_err(|error| failure::io("signals", &error))?;
    let work = args.ingest.as_deref().map(Work::read).transpose()?;
    // The addresses first: a port that is taken is known before anything is opened.
    let http = bind(args.http).await?;
    let grpc = bind(args.grpc).await?;

    let registry_path = parts::registry_path(&project);
    let registry = Arc::new(parts::registry(&project).await?);
    let watch = SnapshotWatch::new(registry.clone(), WatchOptions::default())
        .await
        .map_err(|error| failure::registry(&error, &registry_path))?;
    let store = parts::store(&project)?;
    let lifetime = parts::Lifetime::Long;
    let orders = Some(registry.clone());
    let serving = parts::serving(&project, &watch.current(), Arc::clone(&store), lifetime, orders)?;
    let registry_api = RegistryApi::new(registry.clone(), Arc::new(SystemClock))
        .with_watch(watch.clone())
        .with_orders(registry.clone())
        .with_partitions(registry.clone());
    let history = parts::history_api(&project, &watch)?;

    let readiness = Readiness::new();
    let watched = Arc::clone(&store);
    readiness.probe("online store", move || {
        watched.failure().map(|why| format!("{why}; start the server again"))
    });
    let indexed = serving.clone();
    readiness.report("embeddings", move || indexed.embeddings_report());
    let metrics =
        telemetry::init_metrics().map_err(|error| ApiError::internal(error.to_string()))?;
    let worker = work.map(|work| {
        Worker::open(work, watch.clone(), Arc::new(serving.clone()), readiness.clone())
    });
    let worker = worker.transpose()?;
    let services = serving.grpc().add_service(registry_api.grpc()).add_service(history.grpc());
    let services = finish_grpc(services);
    let router = Router::new()
        .merge(serving.router())
        .merge(registry_api.router())
        .merge(history.router())
        .merge(ops_router(readiness, Some(metrics.clone())))
        .merge(docs_router(openapi::document()))
        .merge(worker.as_ref().map(Worker::router).unwrap_or_default());
    let router = with_grpc(trivium_api::finish(router), services.clone().into_axum_router());

    let sweep = SweepOptions::default();
    let keeping = tokio::spawn(serving.clone().keep_embeddings(sweep, shutdown.clone()));
    let following = tokio::spawn(serving.clone().follow(watch.subscribe(), shutdown.clone()));
    let watching = tokio::spawn(watch.run(shutdown.clone()));
    let measuring = tokio::spawn(telemetry::keep_metrics(metrics, shutdown.clone()));
    let erasing = tokio::spawn(serving.clone().resume_erasures(shutdown.clone()));
    announce(global, &project, &http, &grpc, started)?;
    let working = tokio::spawn({
        let shutdown = shutdown.clone();
        async move {
            match worker {
                Some(worker) => worker.run(shutdown).await,
                None => Ok(()),
            }
        }
    });
    let served =
        trivium_api::serve(http, router, grpc, services, ServeOptions::default(), shutdown.clone())
            .await;
    shutdown.trigger();
    // All end with the shutdown; one that panicked has said so already.
    let _ = tokio::join!(keeping, following, watching, measuring, erasing);
    let worked = working.await;
    registry.close().await;
    drop((serving, store));
    served.map_err(|error| failure::io("serving", &error))?;
    // What ended a worker has ended the rest.
    worked.unwrap_or_else(|error| Err(ApiError::internal(error.to_string())))?;
    Ok(())
}

async fn bind(address: std::net::SocketAddr) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).await.map_err(|error| {
        let mut failure = failure::io(&address.to_string(), &error);
        failure.error =
            failure.error.help("choose another with --http and --grpc; port 0 is a free one");
        failure
    })
}

fn announce(
    global: &Global,
    project: &Project,
    http: &TcpListener,
    grpc: &TcpListener,
    started: Instant,
) -> Result<(), Failure> {
    let local = |listener: &TcpListener| {
        listener.local_addr().map_err(|error| failure::io("address", &error))
    };
    let (http, grpc) = (local(http)?, local(grpc)?);
    project.announce_clock();
    match global.output {
        Output::Json => output::json(&json!({
            "http": format!("http://{http}"),
            "grpc": format!("grpc://{grpc}"),
            "data_dir": project.data_dir.display().to_string(),
            "started_ms": u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
        })),
        Output::Table => {
            output::line(format!(
                "{} {} in {} ms",
                output::paint(output::GOOD, "serving"),
                project.data_dir.display(),
                started.elapsed().as_millis()
            ));
            output::line(format!("  REST  http://{http}  (documentation: http://{http}/docs)"));
            output::line(format!("  gRPC  grpc://{grpc}"));
            output::line("  stop with Ctrl-C");
        }
    }
    Ok(())
}
