//! The registry over gRPC (`RegistryService`) and REST.
//!
//! Both surfaces call the same operations and answer the same things. What a caller sends is never
//! trusted to have been planned: an apply is planned again here, against the revision that it
//! names, and refused as a whole if any change of it is. This crate knows the registry's port and no
//! adapter.

mod erasure;
mod error;
pub mod limits;
mod openapi;
mod operations;
pub mod partitions;
mod rest;
mod rpc;
pub mod shapes;

#[cfg(test)]
mod tests;

use std::{fmt, sync::Arc};

use trivium_registry::{ErasureOrders, Partitions, Registry, SnapshotWatch};
use trivium_runtime::Clock;

pub use openapi::openapi;

/// The registry's surfaces. Cheap to clone.
#[derive(Clone)]
pub struct RegistryApi {
    registry: Arc<dyn Registry>,
    wall_clock: Arc<dyn Clock>,
    watch: Option<SnapshotWatch>,
    orders: Option<Arc<dyn ErasureOrders>>,
    partitions: Option<Arc<dyn Partitions>>,
}

impl RegistryApi {
    /// Over this registry; applies are stamped by the wall clock.
    pub fn new(registry: Arc<dyn Registry>, wall_clock: Arc<dyn Clock>) -> Self {
        Self { registry, wall_clock, watch: None, orders: None, partitions: None }
    }

    /// Brings this watch up to date before an apply is answered, so that whoever applied finds the
    /// new definitions served in the same process.
    #[must_use]
    pub fn with_watch(mut self, watch: SnapshotWatch) -> Self {
        self.watch = Some(watch);
        self
    }
}

impl fmt::Debug for RegistryApi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RegistryApi").field("watch", &self.watch).finish_non_exhaustive()
    }
}
