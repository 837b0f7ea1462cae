//! Airflow DAGs from feature views.
//!
//! A batch view's two files become one Python file that Airflow runs as it is, and beside it, out of Airflow's
//! sight, what its tasks need: the two files unchanged, named by their content, and the runner for Spark.
//!
//! * [`python`]: values as Python literals; the only way by which one gets into a file.
//! * [`dag`]: one view's file.
//! * [`settings`]: `[airflow]` and `[spark]` of trivium.toml.
//! * [`lines`]: where in that file a setting stands.
//! * `circles`: which nodes of a graph are in circles.
//! * [`reads`]: which views read which by that file, and what is wrong with it.
//! * [`source`]: the configs, from a folder or a git ref.
//! * [`tree`]: the DAGs folder: what is there, what should be, the difference, written file by file as wholes.
//! * [`watch`]: the cron service.
//!
//! It runs no SQL, asks no server, and what it writes depends on nothing but the configs, the settings and
//! its own version.

mod circles;
pub mod command;
pub mod dag;
mod error;
pub mod lines;
pub mod python;
pub mod reads;
pub mod settings;
pub mod source;
pub mod tree;
pub mod watch;

#[cfg(test)]
mod tests;

pub use error::Error;
pub use settings::Settings;
pub use tree::{Change, Plan};
