//! Linearizable reads of an authority's rows through a shared cache that may evict, restart empty,
//! be cut off or come back as another. The protocol, its model and what each guard is for:
//! `docs/decisions/0006-consistent-reads-through-a-cache.md`.
//!
//! In short: a row is in the cache only while the authority holds that very row. A writer fences
//! the key in the cache *before* it writes the authority; a reader that finds a fence asks the
//! authority; a reader fills a key only by a lease that any fence ends, after it has raised the
//! row's *barrier* in the authority so that writes of earlier lives of the cache are refused. Who may
//! use the cache at all is settled by one record in the authority (`keeper`).
//!
//! This crate knows no DynamoDB and no Valkey: only the ports of `trivium-store`. It never compares
//! the clocks of two machines for safety.

mod breaker;
mod environment;
mod epoch;
mod flights;
mod janitor;
mod keeper;
mod near;
mod no_cache;
mod options;
mod read;
mod repair;
mod store;
mod subjects;
mod together;
mod write;

pub use environment::{Environment, Random, SteadyClock, SystemRandom, SystemSteadyClock};
pub use near::NearCopies;
pub use no_cache::NoCache;
pub use options::Options;
pub use store::CoherentStore;
