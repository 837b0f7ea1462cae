//! The online store in one directory of this machine, on the fjall key-value engine.
//!
//! # Layout
//! Four keyspaces (LSM trees) that share one journal:
//! `rows` (key: [`RowKey`](trivium_codec::RowKey) bytes, value: row bytes), `checkpoints` (name →
//! value), `subjects` (whose rows there are, and subjects' tombstones: see `people`) and `meta` (the
//! layout's own version, and since when subjects are kept).
//!
//! # The atomic step
//! Locks are sharded by key hash. A batch takes the locks of all of its shards in ascending order
//! (so batches cannot deadlock), reads each row as it stands (row cache, else engine), lets
//! [`trivium_store::apply`] decide, commits what changed as one engine batch, brings the row cache
//! up to date, and unlocks. Readers take no lock: they ask the cache, then the engine, and may leave
//! what they found in the cache only if no write came in between. That is told by counts of commits,
//! one a stripe of keys. By the same counts a load reads its rows before it takes the locks (see
//! `ahead`).
//!
//! # What a crash leaves
//! A commit is in the operating system's hands before it is acknowledged, so that killing the
//! process loses nothing; with [`Durability::Power`] it is on the disk. A batch is found again whole
//! or not at all. An unacknowledged one may be either: its caller was told nothing, and a retry with
//! the same write id is recognised.
//!
//! With [`Durability::Power`] a reader may see a row in the moment between its commit and its fsync;
//! a power failure in that moment takes the row back although it was seen.

mod ahead;
mod cache;
mod error;
mod flush;
mod options;
mod people;
mod store;
mod subjects;

pub use error::Error;
pub use options::{Durability, Options};
pub use store::{CacheStats, EmbeddedStore};

#[cfg(test)]
mod tests;
