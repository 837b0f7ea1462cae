//! Explores a world, all of it or up to the first violation.

use std::time::{Duration, Instant};

use stateright::{Checker, HasDiscoveries, Model};

use super::{Action, Bounds, Guards, Protocol};

/// What exploring came to.
#[derive(Debug)]
pub struct Found {
    pub states: usize,
    pub elapsed: Duration,
    /// The steps to a stale answer, as few as there are.
    pub violation: Option<Vec<Action>>,
    /// Whether the cache ever answered in the last epoch after a write: else nothing was tested.
    pub is_live: bool,
}

/// Explores breadth first: every state, or up to the first violation.
pub fn check(mut bounds: Bounds, guards: Guards, threads: usize) -> Found {
    if !guards.grows_into_disabled() {
        // As many lives of the cache with half the numbers.
        bounds.number_max = bounds.number_max.div_ceil(2);
    }
    let started = Instant::now();
    let checker = Protocol { bounds, guards }
        .checker()
        .threads(threads)
        .finish_when(HasDiscoveries::AnyFailures)
        .spawn_bfs()
        .join();
    let violation = checker.discovery("reads are linearizable").map(|path| path.into_actions());
    Found {
        states: checker.unique_state_count(),
        elapsed: started.elapsed(),
        violation,
        is_live: checker.discovery("the cache answers after a write").is_some(),
    }
}

/// Worlds by name, the smallest first.
pub fn worlds() -> Vec<(&'static str, Bounds)> {
    let smallest = Bounds {
        writers: 1,
        readers: 1,
        writes: 1,
        attempts: 2,
        number_max: 3,
        restarts: 1,
        expiries: 0,
        deadlines_tie: false,
        row_exists: true,
        forget_ended: false,
    };
    let two_writers = Bounds { writers: 2, ..smallest };
    let two_readers = Bounds { readers: 2, ..smallest };
    let both =
        Bounds { writers: 2, readers: 2, attempts: 1, number_max: 1, restarts: 0, ..smallest };
    vec![
        ("1 writer, 1 reader", smallest),
        ("1 writer, 2 readers", two_readers),
        ("2 writers, 1 reader, 1 epoch", Bounds { number_max: 1, ..two_writers }),
        ("2 writers, 2 readers, 1 epoch", both),
        (
            "2 writers, 1 reader, 1 epoch, expiry",
            Bounds { number_max: 1, expiries: 1, ..two_writers },
        ),
        ("2 writers, 1 reader", two_writers),
        ("2 writers, 1 reader, deadlines tie", Bounds { deadlines_tie: true, ..two_writers }),
        ("2 writers, 1 reader, no row at first", Bounds { row_exists: false, ..two_writers }),
        ("2 writers, 2 readers, 1 attempt", Bounds { number_max: 3, restarts: 1, ..both }),
        ("2 writers, 2 readers, 1 epoch, 2 attempts", Bounds { attempts: 2, restarts: 1, ..both }),
        ("1 writer, 2 readers, 3 epochs", Bounds { number_max: 5, restarts: 1, ..two_readers }),
        (
            "2 writers, 2 readers, ended epochs forgotten",
            Bounds { attempts: 2, number_max: 3, restarts: 1, forget_ended: true, ..both },
        ),
        (
            "2 writers of 2 writes, 1 reader, ended epochs forgotten",
            Bounds { writes: 2, forget_ended: true, ..two_writers },
        ),
    ]
}
