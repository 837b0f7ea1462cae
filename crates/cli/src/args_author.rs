//! What can be typed after the verbs of the author's loop: `trivium test`, `backfill`, `lint`.

use std::{ffi::OsString, num::NonZeroUsize, str::FromStr};

use clap::Args;

use crate::args::{ConfigsArgs, Engine, Instant};

/// See [`crate::args::Verb::Test`].
#[derive(Debug, Args)]
pub struct TestArgs {
    /// The batch view, such as flights/carrier_daily@2; its highest version in the configs folder if
    /// the version is left out.
    #[arg(value_name = "VIEW")]
    pub view: String,
    /// The period that this day or instant lies in; the newest that is over and has rows if absent.
    #[arg(long, value_name = "DATE", value_parser = Instant::from_str)]
    pub date: Option<Instant>,
    /// How many rows to show.
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub rows: usize,
    /// Show this share of the rows, spread evenly (at most 1000), not the first ones: `0.01`.
    #[arg(long, value_name = "F", conflicts_with = "rows", value_parser = share)]
    pub sample: Option<f64>,
}

fn share(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(share) if share > 0.0 && share <= 1.0 => Ok(share),
        _ => Err("write a share of the rows, above 0 and at most 1, such as `0.01`".to_owned()),
    }
}

/// See [`crate::args::Verb::Backfill`].
#[derive(Debug, Args)]
pub struct BackfillArgs {
    /// The batch view, such as flights/carrier_daily@1.
    #[arg(value_name = "VIEW")]
    pub view: String,
    /// First period: the day or instant it begins.
    #[arg(long, value_name = "DATE", value_parser = Instant::from_str)]
    pub from: Instant,
    /// Last period, included: the day or instant it begins.
    #[arg(long, value_name = "DATE", value_parser = Instant::from_str)]
    pub to: Instant,
    /// Periods that are run at once on the local engine; as many as there are cores if absent. Spark is given the
    /// periods of a job together.
    #[arg(long, value_name = "N")]
    pub parallel: Option<NonZeroUsize>,
    /// Print the plan, and stop.
    #[arg(long)]
    pub dry_run: bool,
    /// Run periods that the same definition has finished already, too.
    #[arg(long)]
    pub again: bool,
    /// Bring the online store up to what was published, at the end.
    #[arg(long)]
    pub materialize: bool,
    /// What runs the SQL.
    #[arg(long, value_enum, default_value_t)]
    pub engine: Engine,
    /// Let Airflow do it, by its own backfill of the view's DAG: this is its command, `airflow` if nothing follows.
    /// --parallel is how many runs are active at once.
    #[arg(
        long,
        value_name = "COMMAND",
        num_args = 0..=1,
        default_missing_value = "airflow",
        conflicts_with_all = ["materialize", "engine"]
    )]
    pub airflow: Option<OsString>,
}

/// See [`crate::args::Verb::Lint`].
#[derive(Debug, Args)]
pub struct LintArgs {
    /// Which configs.
    #[command(flatten)]
    pub configs: ConfigsArgs,
    /// Findings are errors, not warnings.
    #[arg(long)]
    pub deny: bool,
}
