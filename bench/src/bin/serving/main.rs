//! Online reads over REST and gRPC on the embedded store, against a handler that returns the same
//! bytes precomputed and against the bare engine's multi-get.
//!
//! Servers are processes of their own, so that the CPU of a request is the server's alone; clients
//! and servers share the machine, as `docs` of every figure must say. All of a case's contestants
//! run in turns, for several rounds, in one run: what the machine does meanwhile hits all of them.

mod child;
mod load;
mod report;

use std::{path::PathBuf, time::Duration};

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};

use trivium_bench_serving::{
    figures::Sample,
    load::{Protocol, once},
};

use crate::{
    child::{Server, ServerArgs},
    load::{Case, Engine},
};

/// As in the `trivium` command.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Entities of a request.
const ENTITIES: [usize; 3] = [1, 10, 100];
/// Connections, one request under way on each.
const CONNECTIONS: [usize; 3] = [1, 8, 32];
/// Rows in the store.
pub(crate) const ROWS: usize = 20_000;

#[derive(Debug, Parser)]
struct Args {
    #[command(subcommand)]
    role: Option<Role>,
    /// Length of one turn, in milliseconds.
    #[arg(long, default_value_t = 500)]
    turn_ms: u64,
    /// Turns of each contestant and case.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Only cases whose name holds this.
    #[arg(long, default_value = "")]
    only: String,
    /// Where one line a case is appended.
    #[arg(long, default_value = "bench/out/embedded.jsonl")]
    out: PathBuf,
}

#[derive(Debug, Subcommand)]
enum Role {
    /// A server process of this bench.
    Serve(ServerArgs),
}

fn main() -> Result<()> {
    let args = Args::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    match args.role {
        Some(Role::Serve(server)) => runtime.block_on(child::serve(server)),
        None => runtime.block_on(compare(args)),
    }
}

async fn compare(args: Args) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let ours = Server::start("ours", folder.path())?;
    for entities in ENTITIES {
        for protocol in [Protocol::Rest, Protocol::Grpc] {
            let answer = once(&load::requests(&ours, protocol, entities, false)).await?;
            let name = format!("{}-{entities}", protocol.word());
            std::fs::write(folder.path().join(name), answer)?;
        }
    }
    let precomputed = Server::start("precomputed", folder.path())?;

    let bare = Engine::open(folder.path())?;
    let mut cases = Vec::new();
    for protocol in [Protocol::Rest, Protocol::Grpc] {
        for entities in ENTITIES {
            for connections in CONNECTIONS {
                cases.push(Case { protocol, entities, connections });
            }
        }
    }
    cases.retain(|case| case.name().contains(&args.only));
    let turn = Duration::from_millis(args.turn_ms);
    let mut results: Vec<(Sample, Sample)> = cases.iter().map(|_| Default::default()).collect();
    let mut engine: Vec<Sample> = cases.iter().map(|_| Sample::default()).collect();
    for round in 0..args.rounds {
        for (index, case) in cases.iter().enumerate() {
            let (own, floor) = &mut results[index];
            // Who goes first changes, so that neither always finds the caches of the other.
            if round % 2 == 0 {
                own.add(load::run(&ours, case, turn, false).await?);
                floor.add(load::run(&precomputed, case, turn, true).await?);
            } else {
                floor.add(load::run(&precomputed, case, turn, true).await?);
                own.add(load::run(&ours, case, turn, false).await?);
            }
            engine[index].add(load::run_engine(&bare, case, turn)?);
        }
        eprintln!("round {} of {}", round + 1, args.rounds);
    }
    report::print(&cases, &results, &engine, &args.out).context("writing the report")?;
    Ok(())
}
