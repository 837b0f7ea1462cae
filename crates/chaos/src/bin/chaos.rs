//! `make chaos`: faults for a while, then what was found.

use std::{
    path::PathBuf,
    process::ExitCode,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::{Context as _, Result};
use clap::Parser;
use trivium_chaos::{Plan, run, spoilt::Spoilt};
use trivium_testkit::OpenSearch;

/// Serving nodes under faults: is every row linearizable?
#[derive(Debug, Parser)]
struct Arguments {
    /// How long faults go on.
    #[arg(long, default_value_t = 120)]
    seconds: u64,
    /// Where chance comes from; left out: from the clock. It is printed.
    #[arg(long)]
    seed: Option<u64>,
    /// Nodes that break the protocol in this way; then a violation is what is asked for.
    #[arg(long)]
    spoilt: Option<Spoilt>,
    /// The node's program; beside this one, where it is left out.
    #[arg(long)]
    node: Option<PathBuf>,
}

fn main() -> ExitCode {
    match begin(Arguments::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn begin(arguments: Arguments) -> Result<bool> {
    let program = match arguments.node {
        Some(program) => program,
        None => std::env::current_exe()?.with_file_name("chaos-node"),
    };
    let clock = SystemTime::now().duration_since(UNIX_EPOCH).context("the clock")?.as_secs();
    let index = match arguments.spoilt {
        None | Some(Spoilt::Vectors) => Some(Arc::new(OpenSearch::start()?)),
        Some(_) => None,
    };
    let plan = Plan {
        index,
        seconds: arguments.seconds,
        seed: arguments.seed.unwrap_or(clock),
        spoilt: arguments.spoilt,
        program,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let report = runtime.block_on(run(&plan))?;
    println!("{report}");
    Ok(if plan.spoilt.is_none() { report.is_clean() } else { !report.violations.is_empty() })
}
