//! Loading rows online, by the commands that a pipeline runs.
//!
//! `embedded`: `trivium materialize` into the embedded store, beside `feast materialize` of the same
//! Parquet file into SQLite. `dynamodb`: `trivium materialize` through a serving node into a DynamoDB API
//! behind Valkey, beside a tight client's conditional UpdateItems of the same rows, as many under way, to
//! the same DynamoDB Local.
//!
//! Contestants run in turns, each into a fresh store, in one run. A figure counts only when the store that
//! was filled has been read: all rows, and their values.

mod dynamodb;
mod embedded;
mod feast;
mod project;
mod raw;
mod report;
mod rows;
mod table;

use std::path::PathBuf;

use anyhow::Result;
use clap::{Parser, ValueEnum};

use crate::{
    project::{Project, View},
    report::Report,
};

#[derive(Debug, Parser)]
struct Args {
    /// Rows for the embedded store, one an entity, 10 features (float64) each.
    #[arg(long, default_value_t = 1_000_000)]
    rows: usize,
    /// Rows for the DynamoDB API.
    #[arg(long, default_value_t = 50_000)]
    table_rows: usize,
    /// Turns of ours before Feast's, and after it; turns of each contestant at the DynamoDB API.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Only this half.
    #[arg(long)]
    only: Option<Half>,
    /// Feast's Python (`scripts/bench-env` makes its environment); without it Feast is left out, and the
    /// report says so.
    #[arg(long)]
    feast: Option<PathBuf>,
    /// Seconds after which Feast is stopped; its rate is then below rows by this time.
    #[arg(long, default_value_t = 1_800)]
    feast_seconds_max: u64,
    /// UpdateItems that the tight client has under way. As many as ours: the materializer has 4 requests
    /// under way, and the node 64 rows of each.
    #[arg(long, default_value_t = 256)]
    in_flight: usize,
    /// Where one line a case is appended.
    #[arg(long, default_value = "bench/out/online-write.jsonl")]
    out: PathBuf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Half {
    /// Into the embedded store.
    Embedded,
    /// Into the DynamoDB API.
    Dynamodb,
}

#[tokio::main]
async fn main() -> Result<()> {
    let args = Args::parse();
    let wanted = |half| args.only.is_none_or(|only| only == half);
    let mut views = Vec::new();
    if wanted(Half::Embedded) {
        views.push(View { name: embedded::VIEW, rows: args.rows });
    }
    if wanted(Half::Dynamodb) {
        views.push(View { name: dynamodb::VIEW, rows: args.table_rows });
    }
    let project = Project::make(&views)?;
    let mut report = Report::begin(&args.out)?;
    if wanted(Half::Embedded) {
        let compared = embedded::compare(&project, &args).await?;
        report.embedded(args.rows, &compared)?;
    }
    if wanted(Half::Dynamodb) {
        let compared = dynamodb::compare(&project, &args).await?;
        report.dynamodb(args.table_rows, &compared)?;
    }
    Ok(())
}
