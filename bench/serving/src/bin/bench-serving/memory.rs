//! What a node holds: with 10,000 definitions, and over many requests.

use std::path::Path;

use anyhow::{Result, ensure};
use std::time::Duration;
use trivium_bench_serving::{
    figures::Lines,
    load::{self, Protocol},
};

use crate::{
    cases::{Keys, Shape, node},
    world::World,
};

const DEFINITIONS: usize = 10_000;
/// The most that the node may hold.
const RSS_AIM: f64 = 200.0;
/// How often it is looked at.
const STEPS: u64 = 20;

/// Sends so many requests, mixed in size, and looks at the node's memory on the way.
pub async fn watch(rows: usize, requests: u64, out: &Path) -> Result<()> {
    let world = World::start(rows, DEFINITIONS).await?;
    let megabytes = || -> Result<f64> { Ok(world.node.rss()? as f64 / 1e6) };
    println!("{DEFINITIONS} definitions, {rows} rows loaded through it: {:.0} MB", megabytes()?);
    let shape =
        |protocol, entities| Shape { protocol, keys: Keys::Zipf, entities, connections: 32 };
    let turns = [
        node(&world, &shape(Protocol::Grpc, 1)),
        node(&world, &shape(Protocol::Rest, 1)),
        node(&world, &shape(Protocol::Grpc, 10)),
    ];
    let (mut sent, mut seen) = (0, Vec::new());
    while sent < requests {
        let goal = sent + requests.div_ceil(STEPS);
        for turn in turns.iter().cycle() {
            let sample = load::drive(turn, 32, Duration::from_millis(500), || Ok(0.0)).await?;
            sent += sample.requests;
            if sent >= goal {
                break;
            }
        }
        let now = megabytes()?;
        println!("{sent:>9} requests: {now:.0} MB");
        seen.push(now);
    }
    // The first quarter warms up: allocator pages, connections, plans.
    let warm = &seen[seen.len() / 4..];
    ensure!(warm.len() >= 2, "too few requests to see anything");
    let (first, last) = (warm[0], warm[warm.len() - 1]);
    let most = seen.iter().copied().fold(0.0, f64::max);
    let mut lines = Lines::append("serving", out)?;
    lines.line("rss after / before the last three quarters", "itself", last, first, "MB")?;
    lines.line("rss with 10,000 definitions", "aim", most, RSS_AIM, "MB")?;
    println!(
        "after warm-up {first:.0} MB, at the end {last:.0} MB, most {most:.0} MB (aim: flat, below {RSS_AIM:.0})"
    );
    Ok(())
}
