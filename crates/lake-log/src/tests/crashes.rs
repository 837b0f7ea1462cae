//! A writer that dies between any two steps, and one that comes after it.

use std::time::Duration;

use trivium_model::Timestamp;

use super::{DAY, all_rows, append, files_on_disk, killed_at, log, row, shape};
use crate::{CompactOptions, Error, HistoryRow, Outcome, State, StreamLog, VacuumOptions};

const MESSAGES: u64 = 24;
/// Far behind whatever a file's time is.
const LATER: Timestamp = Timestamp(100_000 * DAY);

/// Message `n` of the source: three entities, two days.
fn message(n: u64) -> HistoryRow {
    let at = (n % 2).cast_signed() * DAY + n.cast_signed();
    row((n % 3).cast_signed(), at, n, n.cast_signed() * 10)
}

fn expected() -> Vec<(i64, i64, u64, i64)> {
    let mut rows: Vec<_> = (0..MESSAGES)
        .map(|n| {
            let at = (n % 2).cast_signed() * DAY + n.cast_signed();
            ((n % 3).cast_signed(), at, n, n.cast_signed() * 10)
        })
        .collect();
    rows.sort_unstable();
    rows
}

const SOON: VacuumOptions =
    VacuumOptions { removed: Duration::ZERO, unnamed: Duration::ZERO, commits: Duration::ZERO };
const EAGER: CompactOptions = CompactOptions {
    files_min: 3,
    small_bytes: u64::MAX,
    at_once_bytes: u64::MAX,
    memory_bytes: usize::MAX,
};

/// What a process does until all messages are in the history: it goes on where the log stands.
fn work(log: &StreamLog) -> Result<State, Error> {
    let mut state = log.load()?;
    loop {
        let from = state.positions.get("t/0").copied();
        let begin = from.unwrap_or(0);
        if begin >= MESSAGES {
            log.vacuum(&mut state, &SOON, LATER)?;
            return Ok(state);
        }
        let end = (begin + 3).min(MESSAGES);
        let rows: Vec<HistoryRow> = (begin..end).map(message).collect();
        assert_eq!(append(log, &mut state, &rows, &[("t/0", from, end)])?, Outcome::Done);
        log.compact(&mut state, &shape(), &EAGER, LATER)?;
        log.vacuum(&mut state, &SOON, LATER)?;
    }
}

#[test]
fn a_row_is_there_once_wherever_the_writer_dies() {
    let mut deaths = 0;
    for step in 0.. {
        let folder = tempfile::tempdir().unwrap();
        let log = log(folder.path());
        let died = work(&killed_at(&log, step));
        let done = died.is_ok();
        if let Err(error) = died {
            assert!(matches!(error, Error::Killed(_)), "{error}");
            deaths += 1;
        }
        // Whoever reads in between sees a beginning of the messages, each once.
        let state = log.load().unwrap();
        let seen: Vec<u64> = {
            let mut seen: Vec<u64> = all_rows(&log, &state).iter().map(|row| row.2).collect();
            seen.sort_unstable();
            seen
        };
        let until = state.positions.get("t/0").copied().unwrap_or(0);
        assert_eq!(seen, (0..until).collect::<Vec<_>>(), "killed at step {step}");

        let mut state = work(&log).unwrap();
        assert_eq!(all_rows(&log, &state), expected(), "killed at step {step}");
        // Nothing is left of the dead one.
        log.vacuum(&mut state, &SOON, LATER).unwrap();
        log.vacuum(&mut state, &SOON, LATER).unwrap();
        assert_eq!(files_on_disk(&log), state.files.keys().cloned().collect::<Vec<_>>());
        assert!(state.leaving.is_empty());
        assert!(log.names().unwrap().iter().all(|name| !name.ends_with(".new") || done));
        if done {
            break;
        }
    }
    assert!(deaths > 100, "{deaths}");
}

#[test]
fn checkpoints_stand_for_the_commits_before_them() {
    let folder = tempfile::tempdir().unwrap();
    let log = log(folder.path());
    let mut state = State::default();
    for n in 0..150 {
        let from = (n > 0).then_some(n);
        let rows = [message(n)];
        let done = append(&log, &mut state, &rows, &[("t/0", from, n + 1)]).unwrap();
        assert_eq!(done, Outcome::Done);
    }
    assert_eq!(log.newest_checkpoint().unwrap(), Some(128));
    let done = log.vacuum(&mut state, &SOON, LATER).unwrap();
    // Commits 1 to 127 and the checkpoint of 64.
    assert_eq!(done.commits, 128);
    let after = log.load().unwrap();
    assert_eq!(after, state);
    assert_eq!((after.number, after.rows()), (150, 150));
    // Who knew the log long ago finds the way.
    let mut old = State::default();
    log.refresh(&mut old).unwrap();
    assert_eq!(old, state);
}
