//! The project's parts, opened on its data folder: `registry.db`, `lake/`, `online/`, `embeddings/`.

use std::{io::ErrorKind, path::PathBuf, sync::Arc};

use arc_swap::ArcSwap;
use axum::Router;
use trivium_api::ApiError;
use trivium_engine_datafusion::DataFusionEngine;
use trivium_history_api::HistoryApi;
use trivium_index_embedded::EmbeddedIndex;
use trivium_offline::Lake;
use trivium_registry::{Registry, Snapshot, SnapshotWatch, project::Project as Files};
use trivium_registry_api::RegistryApi;
use trivium_registry_sql::{SqlRegistry, SqliteOptions};
use trivium_runtime::{Kind, SystemClock};
use trivium_serving::{Definitions, ErasureOptions, Serving, Stores};
use trivium_store::{Checkpoints, WriteDoor};
use trivium_store_embedded::EmbeddedStore;

use crate::{
    accepted,
    args::Global,
    failure::{self, Failure},
    project::Project,
    sources::Upstream,
    target::Need,
};

/// Where the registry is.
pub fn registry_path(project: &Project) -> PathBuf {
    project.data_dir.join("registry.db")
}

/// Opens the registry, making it if need be.
pub async fn registry(project: &Project) -> Result<SqlRegistry, Failure> {
    std::fs::create_dir_all(&project.data_dir)
        .map_err(|error| failure::file(&project.data_dir, &error))?;
    let path = registry_path(project);
    // SQLite would only say that it cannot open it.
    if path.is_dir() {
        return Err(failure::file(&path, &ErrorKind::IsADirectory.into()));
    }
    SqlRegistry::open_sqlite(&path, &SqliteOptions::default())
        .await
        .map_err(|error| failure::registry(&error, &path))
}

/// What the registry holds now.
pub async fn snapshot(project: &Project) -> Result<Snapshot, Failure> {
    let registry = registry(project).await?;
    let snapshot = registry.snapshot(None).await;
    registry.close().await;
    snapshot.map_err(|error| failure::registry(&error, &registry_path(project)))
}

/// The lake.
pub fn lake(project: &Project) -> Lake {
    Lake::new(project.data_dir.join("lake"))
}

/// What is known of the views that the project's sources name.
pub fn upstream(project: &Project, snapshot: &Snapshot) -> Upstream {
    Upstream::of_snapshot(&project.sources, lake(project), snapshot)
}

/// The same as the files have them, and where these lack one, as it was accepted.
pub async fn upstream_of_files(
    global: &Global,
    project: &Project,
    definitions: &Files,
) -> Result<Upstream, Failure> {
    let missing = project.sources.views().any(|(_, view)| !definitions.views.contains_key(view));
    let accepted = match missing {
        true => accepted::snapshot(global, Some(project)).await?,
        false => None,
    };
    Ok(Upstream::new(&project.sources, lake(project), |view| {
        let own = definitions.views.get(view).map(|loaded| &loaded.view);
        let stored = || Some(&accepted.as_ref()?.views.get(view)?.view);
        own.or_else(stored).cloned()
    }))
}

/// What runs SQL.
pub fn engine() -> Result<Arc<DataFusionEngine>, Failure> {
    let engine = DataFusionEngine::new(&trivium_engine_datafusion::Options::default());
    engine.map(Arc::new).map_err(|error| failure::engine(&error))
}

/// Training sets, of the newest definitions.
pub fn history_api(project: &Project, watch: &SnapshotWatch) -> Result<HistoryApi, Failure> {
    let watch = watch.clone();
    Ok(HistoryApi::new(engine()?, lake(project), move || watch.current()))
}

/// Opens the online store; only one process at a time can.
pub fn store(project: &Project) -> Result<Arc<EmbeddedStore>, Failure> {
    let path = project.data_dir.join("online");
    let options = trivium_store_embedded::Options::new(&path);
    EmbeddedStore::open(options).map(Arc::new).map_err(|error| failure::store(&error, &path))
}

/// Opens the index of embeddings; only one process at a time can. Call it with the online store open: who
/// has that one has this one too.
fn embeddings(project: &Project) -> Result<Arc<EmbeddedIndex>, Failure> {
    let path = project.data_dir.join("embeddings");
    EmbeddedIndex::open(&path).map(Arc::new).map_err(|error| failure::index(&error, &path))
}

/// A server's write door and checkpoints.
pub async fn remote_door(
    base: &str,
    options: trivium_client::Options,
) -> Result<(Arc<dyn WriteDoor>, Arc<dyn Checkpoints>), Failure> {
    let client = trivium_client::Client::connect_with(base, options).await;
    let client = client.map_err(|error| failure::client(&error))?;
    let client = Arc::new(client);
    Ok((Arc::<trivium_client::Client>::clone(&client), client))
}

/// What answers a verb in this process: the registry's REST, and serving's where rows are needed.
pub async fn router(project: &Project, need: Need) -> Result<Router, Failure> {
    let registry = Arc::new(registry(project).await?);
    let api = RegistryApi::new(registry.clone(), Arc::new(SystemClock))
        .with_orders(registry.clone())
        .with_partitions(registry.clone());
    let mut router = api.router();
    if need == Need::Rows {
        let snapshot = registry
            .snapshot(None)
            .await
            .map_err(|error| failure::registry(&error, &registry_path(project)))?;
        let serving =
            serving(project, &snapshot, store(project)?, Lifetime::Short, Some(registry))?;
        router = router.merge(serving.router());
    }
    Ok(trivium_api::finish(router))
}

/// For how long serving is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lifetime {
    /// For one verb: the definitions stay as they are.
    Short,
    /// Definitions may come that have embeddings.
    Long,
}

/// Serving, on the project's clocks. Erasures leave their orders with the registry that is given.
pub fn serving(
    project: &Project,
    snapshot: &Snapshot,
    store: Arc<EmbeddedStore>,
    lifetime: Lifetime,
    orders: Option<Arc<SqlRegistry>>,
) -> Result<Serving, Failure> {
    let definitions = Definitions::from_snapshot(snapshot)
        .map_err(|error| ApiError::new(Kind::DataLoss, error.to_string()))?;
    let mut stores = Stores::of(store.clone()).with_subjects(store);
    if let Some(orders) = orders {
        stores = stores.with_orders(orders);
    }
    if lifetime == Lifetime::Long || definitions.indexes().next().is_some() {
        stores = stores.with_embeddings(embeddings(project)?);
    }
    Ok(Serving::new(
        stores,
        Arc::new(ArcSwap::from_pointee(definitions)),
        project.data_clock(),
        Arc::new(SystemClock),
        trivium_serving::Options {
            // Rows and their index are written together.
            erasure: ErasureOptions::without_lag(),
            ..trivium_serving::Options::default()
        },
    ))
}
