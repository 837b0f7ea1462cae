//! Serving nodes as an operator runs them: processes, on a real table and a real cache.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a whole file of tests")]

mod admission;
mod definitions;
mod embeddings;
mod erasing;
mod keys;
mod life;
mod people;
mod precomputed;
mod reindexed;
mod replaced;
mod support;
mod together;
