//! The short form of `make chaos`: nothing may be found; where nodes break the protocol, something must be.

use std::{
    path::PathBuf,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use trivium_chaos::{Plan, run, spoilt::Spoilt};
use trivium_testkit::OpenSearch;

/// Together with starting, settling and the spoilt runs some two minutes.
const SECONDS: u64 = 45;
/// What is broken is found within a few.
const SECONDS_SPOILT: u64 = 60;

/// One test, since two at once would take each other's processors: times count here.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_row_is_linearizable_under_faults_and_what_is_spoilt_is_found() {
    let given = std::env::var("TRIVIUM_CHAOS_SEED").ok().and_then(|seed| seed.parse().ok());
    let clock = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let seed = given.unwrap_or(clock);
    let program = PathBuf::from(env!("CARGO_BIN_EXE_chaos-node"));
    // One for all runs: it takes longer to start than anything else.
    let index = Some(Arc::new(OpenSearch::start().unwrap()));
    let on = Plan { seconds: SECONDS, seed, spoilt: None, index, program };
    let report = run(&on).await.unwrap();
    println!("{report}");
    assert!(report.is_clean(), "seed {seed}: {report}");
    for spoilt in Spoilt::ALL {
        let index = on.index.clone().filter(|_| spoilt == Spoilt::Vectors);
        let plan = Plan { seconds: SECONDS_SPOILT, spoilt: Some(spoilt), index, ..on.clone() };
        let report = run(&plan).await.unwrap();
        println!("{report}");
        assert!(!report.violations.is_empty(), "seed {seed}: nothing was found of {spoilt:?}");
    }
}
