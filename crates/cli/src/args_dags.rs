//! What can be typed after `trivium dags`.

use std::{ffi::OsString, path::PathBuf, str::FromStr};

use clap::{Args, Subcommand};

use crate::args::Instant;

/// See [`crate::args::Verb::Dags`].
#[derive(Debug, Args)]
pub struct DagsArgs {
    /// What to do.
    #[command(subcommand)]
    pub verb: DagsVerb,
}

/// What can be done with DAGs.
#[derive(Debug, Subcommand)]
pub enum DagsVerb {
    /// Write the DAGs of all batch views, and remove those of views that went.
    Generate(GenerateArgs),
    /// Show what `generate` would change, line by line.
    Diff(Folder),
    /// Run the generated DAG of one view for one date in a real Airflow, without a scheduler.
    Test(TestArgs),
}

/// Which DAGs folder.
#[derive(Debug, Clone, Args)]
pub struct Folder {
    /// The DAGs folder: the one that Airflow reads.
    #[arg(long, value_name = "DIR", default_value = "dags")]
    pub out: PathBuf,
}

/// See [`DagsVerb::Generate`].
#[derive(Debug, Args)]
pub struct GenerateArgs {
    /// Where to.
    #[command(flatten)]
    pub folder: Folder,
    /// Change nothing; exit code 4 where something would change.
    #[arg(long)]
    pub check: bool,
    /// Overwrite, and remove, DAGs that somebody has edited.
    #[arg(long)]
    pub force: bool,
}

/// See [`DagsVerb::Test`].
#[derive(Debug, Args)]
pub struct TestArgs {
    /// The view, such as flights/carrier_daily@1.
    #[arg(value_name = "VIEW")]
    pub view: String,
    /// The period: the day or instant that it begins.
    #[arg(long, value_name = "DATE", value_parser = Instant::from_str)]
    pub date: Instant,
    /// Where its file is.
    #[command(flatten)]
    pub folder: Folder,
    /// Airflow's command.
    #[arg(long, value_name = "COMMAND", env = "TRIVIUM_AIRFLOW", default_value = "airflow")]
    pub airflow: OsString,
}
