//! The registry: what was accepted, by whom, when and why; plan and apply; snapshots.
//!
//! Every accepted version is kept for ever. A write names the revision that it was planned against
//! and fails with a conflict if another came first: no lost updates, nothing half-applied. This
//! crate holds the port and what needs no database; adapters implement [`Registry`].
//!
//! The road of a change: [`project::load_project`] reads and checks a configs folder,
//! [`plan::plan`] compares it with a [`Snapshot`] and says which changes are allowed,
//! [`plan::Plan::into_apply`] makes them one [`Apply`], and [`Registry::apply`] accepts it as one
//! new revision or not at all. No I/O here: whoever calls reads the files and tells the time.

pub mod conformance;
pub mod erasure;
pub mod history;
pub mod memory;
pub mod partition;
pub mod plan;
pub mod port;
pub mod project;
mod saved;
pub mod snapshot;
pub mod watch;

pub use erasure::{ErasureOrder, ErasureOrders};
pub use history::History;
pub use memory::MemoryRegistry;
pub use partition::{PartitionFilter, PartitionRecord, Partitions, RecordOutcome, Recorded};
pub use plan::{Change, Class, Plan, plan};
pub use port::{
    Apply, AuditAction, AuditEntry, AuditFilter, Error, Registry, Revision, StoredService,
    StoredView,
};
pub use project::{File, Project, load_project};
pub use snapshot::Snapshot;
pub use watch::{SnapshotWatch, WatchOptions};
