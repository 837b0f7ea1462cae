//! The PySpark program that runs Trivium's jobs (`trivium_spark.py`), as a text to ship: DAGs bring it along,
//! and `trivium run --engine spark` writes it beside its jobs. A crate of its own, so that what only ships it
//! needs nothing of what makes jobs.

/// The program.
pub const RUNNER: &str = include_str!("trivium_spark.py");
/// The name it is shipped under.
pub const RUNNER_FILE: &str = "trivium_spark.py";
/// The format of the jobs that it reads and of the results that it leaves.
pub const FORMAT: u32 = 2;
/// Its version; a job names the one that it is for.
pub const VERSION: &str = "2";

#[cfg(test)]
mod tests;
