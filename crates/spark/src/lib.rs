//! A view's runs on Spark: jobs for the runner, and what comes of their results.
//!
//! The runner ([`trivium_spark_runner`]) is shipped to Spark as it is and decides nothing: a
//! [`Job`] names tables, queries and statements, all of them written here or by
//! [`trivium_offline::run::steps`]. So the SQL that Spark runs is the text that the local engine runs, and rows,
//! checks and switches of partitions are judged and made by one code.
//!
//! * [`job`]: what the runner reads and what it leaves.
//! * [`jobs`]: the jobs of a run: extraction, publication, the table in the metastore.
//! * [`folder`]: the folder of a run, which the tasks of a DAG pass on to each other.
//! * [`submit`]: `spark-submit`, for runs without Airflow; [`scratch`]: their folders.

mod error;
pub mod folder;
pub mod job;
pub mod jobs;
pub mod scratch;
pub mod submit;
mod types;

#[cfg(test)]
mod tests;

pub use error::Error;
pub use folder::RunFolder;
pub use job::{Job, JobResult};
pub use types::{NoSparkType, spark_schema};
