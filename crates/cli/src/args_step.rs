//! What can be typed after `trivium step`: what the tasks of a generated DAG run.

use std::{path::PathBuf, str::FromStr};

use clap::{Args, Subcommand};

use crate::{args::Instant, args_record::RegistryArgs};

/// See [`crate::args::Verb::Step`].
#[derive(Debug, Args)]
pub struct StepArgs {
    /// Which step.
    #[command(subcommand)]
    pub step: Step,
}

/// The steps that are not Spark's own, in order.
#[derive(Debug, Subcommand)]
pub enum Step {
    /// Look whether everything that the view reads is there for the period; exit code 7 if it is not yet.
    Wait(Which),
    /// Begin a run: prints its folder, with the job of the author's SQL and its checks in `extract/job.json`.
    Start(Which),
    /// Judge what Spark made of it: columns, values, quality checks. Nothing is published.
    Check(Run),
    /// Switch the raw partition, and write the job of carryover and rollup, `publish/job.json`.
    Raw(Run),
    /// Switch the published partitions; with `[airflow] tables`, write the job of the metastore's table,
    /// `table/job.json`.
    Publish(Run),
    /// Tell the owner of a failed task: reads what happened, as JSON, from standard input.
    Alert,
    /// Take the run's folder away.
    Finish(Run),
}

/// Which period of which view.
#[derive(Debug, Args)]
pub struct Which {
    /// The folder with the view's two files, as a generated DAG brings it along.
    #[arg(long, value_name = "DIR")]
    pub definition: PathBuf,
    /// An instant of the period: its first day or instant, as Airflow's logical date.
    #[arg(long, value_name = "DATE", value_parser = Instant::from_str)]
    pub at: Instant,
    /// Where the views that the SQL reads are looked up.
    #[command(flatten)]
    pub registry: RegistryArgs,
}

/// Which run.
#[derive(Debug, Args)]
pub struct Run {
    /// The folder that `trivium step start` printed.
    #[arg(long, value_name = "DIR")]
    pub run: PathBuf,
}
