//! The online store's ports, the write door, the memory store and the conformance suite.
//!
//! Two levels. A *store* ([`OnlineRead`], [`OnlineWrite`]) moves row bytes by key and knows nothing
//! of views; adapters implement it. The *door* ([`WriteDoor`]) knows views, features and lanes; the
//! serving wrapper implements it in process, the Rust client over gRPC, and every producer
//! (materializer, ingest worker, DAG steps) writes through it alone.
//!
//! This crate never names a backend, a registry or a wire format.

pub mod authority;
pub mod conformance;
pub mod decide;
pub mod door;
pub mod embedding;
pub mod erase;
pub mod error;
pub mod memory;
pub mod memory_cache;
mod memory_subjects;
pub mod metered;
pub mod port;
pub mod row_cache;
pub mod together;

pub use authority::{Authority, Barrier, CacheState, EpochRecord, FencedOutcome};
pub use decide::{Decision, Step, apply, decide};
pub use door::{DoorError, DoorOp, DoorOutcome, DoorRequest, DoorRow, WriteDoor};
pub use embedding::{EmbeddingIndex, MemoryIndex};
pub use erase::{Bar, OpenPage, SubjectRow, SubjectStore, SubjectTombstone};
pub use error::Error;
pub use memory::MemoryStore;
pub use memory_cache::MemoryCache;
pub use metered::Metered;
pub use port::{
    Checkpoints, Condition, Consistency, OnlineRead, OnlineWrite, Order, ReadOptions, RowWrite,
    Stamp, SubjectPage, Subjects, WriteId, WriteOp, WriteOutcome, check_deadline,
};
pub use row_cache::{
    CacheEntry, CacheEpoch, CacheError, CacheServer, EVICTION_POLICY, FenceId, FencePage,
    LeaseToken, RowCache,
};
pub use together::Together;

#[cfg(test)]
mod tests;
