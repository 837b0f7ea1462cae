//! Erasing a person.
//!
//! The subject's tombstone comes first: from then on every store refuses the subject's puts up to its
//! event time, in the atomic step of each. Then rows are looked for by the index and deleted by ordinary
//! writes, until a sweep that began after the index's worst lag finds nothing; then embeddings; then an
//! order for the offline store is left with the registry. The tombstone holds the erasure's record: a node
//! that dies leaves it to any other. See `docs/decisions/0009-erasure.md`.

mod begin;
mod embeddings;
pub(crate) mod job;
pub(crate) mod openapi;
mod options;
mod person;
mod report;
mod rest;
mod resume;
mod room;
mod rows;
mod rpc;
mod run;
mod told;

use std::{
    hash::{BuildHasher, RandomState},
    sync::atomic::{AtomicU64, Ordering},
};

pub use options::ErasureOptions;
pub(crate) use rest::routes;
pub(crate) use rows::{delete_of, is_newer};

/// What a process's erasures have in common.
#[derive(Debug)]
pub(crate) struct Erasing {
    /// Bounds those that are held and worked on here.
    rooms: room::Rooms,
    random: RandomState,
    drawn: AtomicU64,
}

impl Erasing {
    pub(crate) fn new(options: &ErasureOptions) -> Self {
        Self {
            rooms: room::Rooms::new(options),
            random: RandomState::new(),
            drawn: AtomicU64::new(0),
        }
    }

    /// Another number every time, in every process: ids and jitter, no secrets.
    fn draw(&self) -> u64 {
        let count = self.drawn.fetch_add(1, Ordering::Relaxed);
        self.random.hash_one((count, std::process::id(), std::time::SystemTime::now()))
    }
}

/// A person is named by one join key.
fn not_one_key(count: usize) -> trivium_api::ApiError {
    trivium_api::ApiError::invalid(format!("a person is named by one join key, not by {count}"))
        .at("subject")
        .help("give the join key that the views' configs call `subject`, and its value")
}
