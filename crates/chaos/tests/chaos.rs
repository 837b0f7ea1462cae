//! The short form of `make chaos`: with fences nothing may be found, without them something must be.

use std::{
    path::PathBuf,
    time::{SystemTime, UNIX_EPOCH},
};

use trivium_chaos::{Plan, run};

/// Together with starting, settling and the run without fences some two minutes.
const SECONDS: u64 = 70;
/// Without fences a violation is found within a few.
const SECONDS_OFF: u64 = 60;

/// One test, since two at once would take each other's processors: times count here.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_row_is_linearizable_under_faults_and_without_fences_is_not() {
    let given = std::env::var("TRIVIUM_CHAOS_SEED").ok().and_then(|seed| seed.parse().ok());
    let clock = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let seed = given.unwrap_or(clock);
    let program = PathBuf::from(env!("CARGO_BIN_EXE_chaos-node"));
    let on = Plan { seconds: SECONDS, seed, fencing: true, program };
    let report = run(&on).await.unwrap();
    println!("{report}");
    assert!(report.is_clean(), "seed {seed}: {report}");
    let off = Plan { seconds: SECONDS_OFF, fencing: false, ..on };
    let report = run(&off).await.unwrap();
    println!("{report}");
    assert!(!report.violations.is_empty(), "seed {seed}: nothing was found without fences");
}
