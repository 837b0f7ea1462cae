//! Serving nodes as an operator runs them: processes, on a real table and a real cache.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a whole file of tests")]

mod admission;
mod collector;
mod definitions;
mod embeddings;
mod erasing;
mod erasing_costs;
mod erasing_many;
mod keys;
mod life;
mod people;
mod precomputed;
mod raw;
mod reindexed;
mod replaced;
mod secrecy;
mod support;
mod together;
mod traces;
