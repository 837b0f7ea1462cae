//! A serving node on the real stores, beside what could stand in its place: a tight client's MGET of the
//! same row bytes from the same Valkey, a handler that returns the same bytes precomputed, and Feast's
//! Python server on the same Valkey.
//!
//! Servers are processes of their own; clients and servers share the machine. All contestants of a case
//! run in turns, for several rounds, in one run: what the machine does meanwhile hits all of them.

mod cases;
mod feast;
mod memory;
mod parts;
mod report;
mod world;

use std::{path::PathBuf, time::Duration};

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::{cases::Case, world::World};

/// As in the `trivium-serving` command.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Debug, Parser)]
struct Args {
    #[command(subcommand)]
    role: Option<Role>,
    /// Entities in the stores, 50 features each.
    #[arg(long, default_value_t = 100_000)]
    rows: usize,
    /// Length of one turn, in milliseconds.
    #[arg(long, default_value_t = 500)]
    turn_ms: u64,
    /// Turns of each contestant and case.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Only cases whose name holds this.
    #[arg(long, default_value = "")]
    only: String,
    /// Feast's Python (`scripts/bench-env` makes its environment); without it Feast is left out, and
    /// the report says so.
    #[arg(long)]
    feast: Option<PathBuf>,
    /// Instead of the cases: this many requests for one entity, watching the node's memory, with 10,000
    /// definitions.
    #[arg(long)]
    memory_requests: Option<u64>,
    /// Instead of comparing: this long the node alone is sent each case's requests, and its process id is
    /// told, for a profiler (`scripts/flamegraph`).
    #[arg(long)]
    alone_seconds: Option<u64>,
    /// Where one line a case is appended.
    #[arg(long, default_value = "bench/out/serving.jsonl")]
    out: PathBuf,
}

#[derive(Debug, Subcommand)]
enum Role {
    /// The handler that only returns bytes, as a process of this bench.
    Precomputed {
        /// Where the answers are.
        folder: PathBuf,
    },
}

fn main() -> Result<()> {
    let args = Args::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    match args.role {
        Some(Role::Precomputed { folder }) => runtime.block_on(world::precomputed(&folder)),
        None => runtime.block_on(bench(args)),
    }
}

async fn bench(args: Args) -> Result<()> {
    if let Some(requests) = args.memory_requests {
        return memory::watch(args.rows, requests, &args.out).await;
    }
    let world = World::start(args.rows, 1).await?;
    let precomputed = world.start_precomputed().await?;
    let turn = Duration::from_millis(args.turn_ms);
    let mut measured: Vec<_> =
        cases::all().into_iter().filter(|case| case.name().contains(&args.only)).collect();
    if let Some(seconds) = args.alone_seconds {
        for Case { shape, .. } in &measured {
            let node = cases::node(&world, shape);
            // The rows, out of the table.
            cases::drive(&node, shape, turn, || Ok(0.0)).await?;
            eprintln!("the node is process {}", world.node.id());
            cases::drive(&node, shape, Duration::from_secs(seconds), || Ok(0.0)).await?;
        }
        return Ok(());
    }
    for round in 0..args.rounds {
        for Case { shape, ours, mget, handler } in &mut measured {
            let node = cases::node(&world, shape);
            let raw = cases::mget(&world, shape);
            let floor = cases::handler(&precomputed, shape);
            // Who goes first changes, so that nobody always finds the caches of the same other.
            let order = if round % 2 == 0 { [0, 1, 2] } else { [2, 1, 0] };
            for contestant in order {
                match contestant {
                    0 => ours.add(cases::drive(&node, shape, turn, || world.cpu()).await?),
                    1 => mget.add(cases::drive(&raw, shape, turn, || Ok(0.0)).await?),
                    _ => {
                        handler.add(cases::drive(&floor, shape, turn, || precomputed.cpu()).await?)
                    }
                }
            }
        }
        eprintln!("round {} of {}", round + 1, args.rounds);
    }
    let share = world.hit_ratio().await?;
    let partly =
        if args.only.is_empty() { cases::with_misses(&world, turn).await? } else { Vec::new() };
    let parts = if args.only.is_empty() || args.only == "parts" {
        Some(parts::compare(&world, turn, args.rounds).await?)
    } else {
        None
    };
    let feast = match &args.feast {
        Some(python) => Some(feast::compare(&world, python, args.rows).await?),
        None => None,
    };
    report::print(&measured, &partly, share, feast.as_deref(), &args.out)?;
    match parts {
        Some(parts) => parts::print(&parts, &args.out),
        None => Ok(()),
    }
}
