//! Linearizability under faults, on the real code: serving nodes as processes, a real Valkey, a real
//! DynamoDB API behind a proxy; random clients; everything killed, stopped, cut off, throttled,
//! restarted from old snapshots. What clients saw is checked row by row (`check`). `docs/chaos.md`.
#![expect(missing_docs, reason = "a harness: its parts are for each other")]

pub mod calls;
pub mod check;
pub mod clients;
pub mod erasers;
pub mod history;
pub mod nemesis;
pub mod node;
pub mod report;
pub mod rows;
pub mod settle;
pub mod spoilt;
pub mod watch;
pub mod world;

use std::{
    path::PathBuf,
    sync::{Arc, atomic::Ordering::SeqCst},
    time::{Duration, Instant},
};

use anyhow::Result;
use trivium_testkit::OpenSearch;

use crate::{
    check::{Violation, check_row},
    clients::{Caller, Shared},
    erasers::Eraser,
    report::Report,
    spoilt::Spoilt,
    watch::Watched,
    world::{World, locked},
};

/// What to run.
#[derive(Debug, Clone)]
pub struct Plan {
    /// How long faults go on.
    pub seconds: u64,
    /// Where chance comes from. Processes run as they please, so a seed gives the same order of
    /// faults and the same choices, not the same run.
    pub seed: u64,
    /// Nodes that break the protocol.
    pub spoilt: Option<Spoilt>,
    /// Where embeddings are; `None`: no row has one.
    pub index: Option<Arc<OpenSearch>>,
    /// `chaos-node`.
    pub program: PathBuf,
}

impl Plan {
    fn how(&self) -> String {
        self.spoilt.map_or_else(
            || "as it is to be".to_owned(),
            |spoilt| format!("SPOILT: {}", spoilt.name()),
        )
    }
}

const CLIENTS: u16 = 24;
/// Those who erase persons, beside them.
const ERASERS: u16 = 2;
/// A run with less shows nothing.
const HITS_MIN: f64 = 200.0;
const APPLIED_MIN: u64 = 200;
const ERASED_MIN: u64 = 3;
/// A busy machine with an OpenSearch beside the nodes comes to a few.
const JOINED_MIN: f64 = 1.0;

/// Runs the servers, nodes, clients and faults, until the time is over or a violation is found.
pub async fn run(plan: &Plan) -> Result<Report> {
    let began = Instant::now();
    println!("seed {}, {} s, {}", plan.seed, plan.seconds, plan.how());
    let world = World::start(plan).await?;
    let shared = Arc::new(Shared::default());
    let watched = Arc::new(Watched::default());
    settle::fill(&world, &shared).await?;
    world.say("all rows are there");
    let watching = watched.run(&world);
    let lanes = nemesis::start(&world, plan.seed);
    let mut callers: Vec<_> = (0..CLIENTS)
        .map(|number| Caller::new(Arc::clone(&world), Arc::clone(&shared), number, plan.seed))
        .map(|caller| tokio::spawn(caller.run()))
        .collect();
    callers.extend((0..ERASERS).map(|number| {
        let eraser = Eraser::new(&world, &shared, CLIENTS + number, plan.seed);
        tokio::spawn(eraser.run())
    }));
    let mut violations = until_found(&shared, Duration::from_secs(plan.seconds)).await;
    world.stopping.store(true, SeqCst);
    for caller in callers {
        caller.await?;
    }
    let (healing, looking) = (Arc::clone(&world), Arc::clone(&watched));
    let healed = tokio::task::spawn_blocking(move || {
        for thread in lanes.into_iter().chain([watching]) {
            if thread.join().is_err() {
                healing.problem("a thread of the harness panicked".to_owned());
            }
        }
        healing.heal()?;
        healing.note_evictions();
        looking.look(&healing);
        anyhow::Ok(())
    });
    healed.await??;
    if violations.is_empty() && plan.spoilt.is_none() {
        world.say("healed");
        if let Err(error) = settle::settle(&world, &shared).await {
            world.problem(format!("{error:#}"));
        }
        violations = check_all(&shared).await;
    }
    enough(&world, &shared, &watched);
    let mut report = Report {
        plan: plan.clone(),
        took: began.elapsed(),
        counts: locked(&shared.counts).clone(),
        reasons: locked(&shared.reasons.0).clone(),
        faults: locked(&world.faults).clone(),
        cache: watched.totals(),
        evicted: world.evicted.load(SeqCst),
        problems: locked(&world.problems).clone(),
        violations,
        kept: None,
    };
    world.keep(&mut report, &shared.history)?;
    Ok(report)
}

/// Checks now and then, so that a run ends where something is found.
async fn until_found(shared: &Arc<Shared>, time: Duration) -> Vec<Violation> {
    let until = Instant::now() + time;
    let mut pause = Duration::from_secs(2);
    loop {
        let left = until.saturating_duration_since(Instant::now());
        tokio::time::sleep(left.min(pause)).await;
        let began = Instant::now();
        let violations = check_all(shared).await;
        if !violations.is_empty() || Instant::now() >= until {
            return violations;
        }
        // The whole of it every time: seldom, where it takes long.
        pause = pause.max(began.elapsed() * 10);
    }
}

async fn check_all(shared: &Arc<Shared>) -> Vec<Violation> {
    let shared = Arc::clone(shared);
    let check = move || {
        let rows = shared.history.by_row();
        rows.iter().filter_map(|ops| check_row(ops).err()).collect()
    };
    let broken =
        |_| vec![Violation { row: 0, what: "the check panicked".to_owned(), ops: Vec::new() }];
    tokio::task::spawn_blocking(check).await.unwrap_or_else(broken)
}

fn enough(world: &World, shared: &Shared, watched: &Watched) {
    let applied = shared.total("applied");
    if applied < APPLIED_MIN {
        world.problem(format!("only {applied} writes were applied: this shows nothing"));
    }
    if world.plan().spoilt.is_none() && watched.hits() < HITS_MIN {
        world.problem(format!("only {} reads were answered by the cache", watched.hits()));
    }
    for (of, word, least) in [
        ("erase", "done", ERASED_MIN),
        ("put past", "refused", 1),
        ("put past", "applied", 1),
        ("get cached", "row", 20),
        ("batch service", "row", 20),
        ("search", "row", 20),
    ] {
        let count = locked(&shared.counts).get(&(of, word)).copied().unwrap_or(0);
        let least = if of == "search" && !world.has_index() { 0 } else { least };
        if world.plan().spoilt.is_none() && count < least {
            world.problem(format!("only {count} times `{of}` was told `{word}`"));
        }
    }
    if world.plan().spoilt.is_none() && watched.joined() < JOINED_MIN {
        world.problem(format!("only {} rows came out of entities' keys", watched.joined()));
    }
    if world.plan().spoilt.is_none() && world.evicted.load(SeqCst) == 0 {
        world.problem("nothing was evicted".to_owned());
    }
}
