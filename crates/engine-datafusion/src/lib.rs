//! The local batch engine, on DataFusion, with Spark's answers or none.
//!
//! A query's way: parsed as Spark's dialect → rewritten, node by node, refusing what is not on the
//! allow-list (`rewrite`) → planned by DataFusion with our functions alone (`provider`) → given Spark's
//! types and comparisons (`typing`) → optimised and run over tables decoded once (`sources`).
//!
//! Results are normalised: text is `Utf8`, instants are microseconds UTC, names are lower case.

mod aggregates;
mod allow;
mod engine;
mod error;
mod extremes;
mod functions;
mod history;
mod provider;
mod regex;
mod rewrite;
mod sketches;
mod sources;
mod types;
mod typing;

pub use allow::AllowList;
pub use engine::{DataFusionEngine, Options};
