//! The lake: partitions, carryover, rollup, quality, materialization, training sets.
//!
//! * [`lake`]: where partitions are and how one is replaced as a whole.
//! * [`run`]: the author's SQL by period, carryover and rollup, quality, publication.
//! * [`statistics`], [`record`]: what is known of a published partition, and told to the registry.
//! * [`materialize`]: published partitions into the online store, through the write door.
//! * [`history`]: features as they were at given times.
//!
//! This crate knows no engine and no store: SQL goes to a [`trivium_engine::QueryEngine`], rows to a
//! [`trivium_store::WriteDoor`]. It never rewrites an author's SQL and never reads the online store.

pub mod canonical;
pub mod columns;
mod encode;
mod entity;
pub mod error;
pub mod history;
pub mod lake;
pub mod materialize;
pub mod period;
pub mod quality;
pub mod record;
pub mod run;
pub mod sequence;
pub mod statistics;

#[cfg(test)]
mod testing;

pub use encode::ValueColumn;
pub use error::{Error, MALFORMED_HELP};
pub use history::{History, HistoryQuery, Selection, TrainingSet, table_of};
pub use lake::{Lake, Layer, Partition};
pub use materialize::{MaterializeOptions, MaterializeProgress, MaterializeReport, Materializer};
pub use period::{Period, periods, periods_read, schedule};
pub use quality::CheckResult;
pub use run::{RunOptions, RunProgress, RunReport, RunRequest, Runner};
