//! Training sets over gRPC (`HistoryService`) and REST (`POST /v1/features/historical`).
//!
//! Both take an entity frame (Arrow IPC, or JSON objects) and answer the point-in-time join of
//! [`trivium_offline::history`]. At most [`limits::JOINS_MAX`] joins run at once: one more is
//! refused, not queued, because each may read a year of partitions. This crate knows the engine's
//! port and no adapter.

mod error;
mod json;
pub mod limits;
mod openapi;
mod rest;
mod rpc;

use std::{fmt, sync::Arc};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use trivium_api::ApiError;
use trivium_engine::HistoryEngine;
use trivium_offline::{History, Lake};
use trivium_registry::Snapshot;
use trivium_runtime::Kind;

pub use openapi::openapi;

/// The history surfaces. Cheap to clone.
#[derive(Clone)]
pub struct HistoryApi {
    engine: Arc<dyn HistoryEngine>,
    lake: Lake,
    snapshots: Arc<dyn Fn() -> Arc<Snapshot> + Send + Sync>,
    joins: Arc<Semaphore>,
}

impl HistoryApi {
    /// Joins on this engine what this lake holds; `snapshots` gives the newest definitions.
    pub fn new(
        engine: Arc<dyn HistoryEngine>,
        lake: Lake,
        snapshots: impl Fn() -> Arc<Snapshot> + Send + Sync + 'static,
    ) -> Self {
        Self {
            engine,
            lake,
            snapshots: Arc::new(snapshots),
            joins: Arc::new(Semaphore::new(limits::JOINS_MAX)),
        }
    }

    fn snapshot(&self) -> Arc<Snapshot> {
        (self.snapshots)()
    }

    fn history(&self, snapshot: Arc<Snapshot>) -> History {
        History::new(Arc::clone(&self.engine), self.lake.clone(), snapshot)
    }

    /// The right to run one join.
    fn enter(&self) -> Result<OwnedSemaphorePermit, ApiError> {
        Arc::clone(&self.joins).try_acquire_owned().map_err(|_| {
            ApiError::new(
                Kind::ResourceExhausted,
                format!("{} training sets are being made already", limits::JOINS_MAX),
            )
            .help("retry in a while")
        })
    }
}

impl fmt::Debug for HistoryApi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HistoryApi").field("lake", &self.lake).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
