//! What the registry accepted, for verbs that only compare with it: nothing is made, not even a file.

use axum::http::Method;
use trivium_api::ApiError;
use trivium_registry::{Registry, Snapshot};
use trivium_registry_sql::SqlRegistry;
use trivium_runtime::Kind;

use crate::{
    args::Global,
    args_record::RegistryArgs,
    failure::{self, Failure},
    parts,
    project::Project,
    target::{Need, Target},
};

/// The registry's current definitions: the server's if one is named, else the project's; `None`
/// where the project has no registry yet.
pub async fn snapshot(
    global: &Global,
    project: Option<&Project>,
) -> Result<Option<Snapshot>, Failure> {
    if global.server.is_some() {
        let target = Target::open_quietly(global, Need::Registry).await?;
        let text = target.call(Method::GET, "/v1/snapshot", None).await?;
        let snapshot = Snapshot::from_text(&String::from_utf8_lossy(&text));
        return snapshot.map(Some).map_err(|error| {
            ApiError::new(Kind::Internal, error.to_string())
                .help("is the server another version of Trivium?")
                .into()
        });
    }
    match project {
        Some(project) => of_project(project).await,
        None => Ok(None),
    }
}

/// What is run and loaded: as the named registry has it, else the project's own. A --server is not asked: it
/// may be a node that only takes rows.
pub async fn definitions(
    global: &Global,
    registry: &RegistryArgs,
    project: &Project,
) -> Result<Snapshot, Failure> {
    match registry.named() {
        Some(_) => {
            snapshot(&registry.over(global), Some(project)).await.map(Option::unwrap_or_default)
        }
        None => parts::snapshot(project).await,
    }
}

/// The project's own registry, if it has one.
pub async fn of_project(project: &Project) -> Result<Option<Snapshot>, Failure> {
    let path = parts::registry_path(project);
    // Without a file nothing was ever accepted. Anything else that stands there is a mistake to tell.
    if std::fs::metadata(&path).is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound) {
        return Ok(None);
    }
    if path.is_dir() {
        return Err(failure::file(&path, &std::io::ErrorKind::IsADirectory.into()));
    }
    let failed = |error: trivium_registry::Error| failure::registry(&error, &path);
    let registry = SqlRegistry::read_sqlite(&path).await.map_err(failed)?;
    let snapshot = registry.snapshot(None).await.map_err(failed);
    registry.close().await;
    snapshot.map(Some)
}
