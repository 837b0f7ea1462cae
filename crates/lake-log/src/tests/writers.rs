//! Several writers of one log: some believe that messages are theirs which are others' by now.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use trivium_model::Timestamp;

use super::{DAY, all_rows, append, files_on_disk, log, meanwhile, row, shape};
use crate::{
    CompactOptions, Error, HistoryRow, Outcome, State, StreamLog, VacuumOptions, state::FORMAT,
};

const LATER: Timestamp = Timestamp(100_000 * DAY);
const SOON: VacuumOptions =
    VacuumOptions { removed: Duration::ZERO, unnamed: Duration::ZERO, commits: Duration::ZERO };
const EAGER: CompactOptions = CompactOptions {
    files_min: 2,
    small_bytes: u64::MAX,
    at_once_bytes: u64::MAX,
    memory_bytes: usize::MAX,
};

fn one(n: u64) -> HistoryRow {
    row(1, n.cast_signed(), n, 1)
}

fn appended(log: &StreamLog, state: &mut State, source: &str, n: u64) -> Outcome {
    let from = (n > 0).then_some(n);
    append(log, state, &[one(n)], &[(source, from, n + 1)]).unwrap()
}

/// Four writers read the same two sources, all of them both; others compact and sweep. Who loses reads on
/// where the log stands.
#[test]
fn of_writers_beside_each_other_every_row_comes_once() {
    const MESSAGES: u64 = 40;
    let folder = tempfile::tempdir().unwrap();
    let log = log(folder.path());
    let lost = AtomicUsize::new(0);
    let working = AtomicUsize::new(4);
    std::thread::scope(|scope| {
        for writer in 0..4_u64 {
            let (log, lost, working) = (&log, &lost, &working);
            scope.spawn(move || {
                let mut state = log.load().unwrap();
                loop {
                    let at = |state: &State, source: &str| state.positions.get(source).copied();
                    let pick = ["t/0", "t/1"]
                        .into_iter()
                        .filter(|source| at(&state, source).unwrap_or(0) < MESSAGES)
                        .nth(usize::from(writer % 2 == 1 && at(&state, "t/0") < at(&state, "t/1")));
                    let Some(source) = pick.or_else(|| {
                        ["t/0", "t/1"]
                            .into_iter()
                            .find(|source| at(&state, source).unwrap_or(0) < MESSAGES)
                    }) else {
                        break;
                    };
                    let from = at(&state, source);
                    let begin = from.unwrap_or(0);
                    let end = (begin + 2).min(MESSAGES);
                    let id = i64::from(source == "t/1");
                    let rows: Vec<_> =
                        (begin..end).map(|n| row(id, n.cast_signed(), n, 1)).collect();
                    match append(log, &mut state, &rows, &[(source, from, end)]).unwrap() {
                        Outcome::Done => {}
                        Outcome::Lost(_) => {
                            lost.fetch_add(1, Ordering::SeqCst);
                        }
                    }
                }
                working.fetch_sub(1, Ordering::SeqCst);
            });
        }
        scope.spawn(|| {
            let mut state = log.load().unwrap();
            // Not for ever: a sweep without patience could keep every writer from its commit.
            for round in 0..60 {
                log.compact(&mut state, &shape(), &EAGER, LATER).unwrap();
                if round % 3 == 0 {
                    log.vacuum(&mut state, &SOON, LATER).unwrap();
                }
                if working.load(Ordering::SeqCst) == 0 {
                    break;
                }
            }
        });
    });
    let state = log.load().unwrap();
    let mut expected: Vec<_> =
        (0..2).flat_map(|id| (0..MESSAGES).map(move |n| (id, n.cast_signed(), n, 1))).collect();
    expected.sort_unstable();
    assert_eq!(all_rows(&log, &state), expected);
    // Else nothing was tried.
    assert!(lost.load(Ordering::SeqCst) > 0);
}

#[test]
fn who_was_overtaken_is_refused_and_told_where_the_log_stands() {
    let folder = tempfile::tempdir().unwrap();
    let log = log(folder.path());
    let (mut ours, mut theirs) = (State::default(), State::default());
    assert_eq!(appended(&log, &mut ours, "t/0", 0), Outcome::Done);
    log.refresh(&mut theirs).unwrap();
    assert_eq!(appended(&log, &mut theirs, "t/0", 1), Outcome::Done);
    let lost = appended(&log, &mut ours, "t/0", 1);
    assert_eq!(lost, Outcome::Lost("t/0 stands at Some(2), not at Some(1)".to_owned()));
    assert_eq!(ours, theirs);
    // Another source is nobody's business.
    assert_eq!(appended(&log, &mut ours, "t/1", 0), Outcome::Done);
    assert_eq!(appended(&log, &mut theirs, "t/0", 2), Outcome::Done);
    assert_eq!(theirs.rows(), 4);
}

#[test]
fn one_that_comes_between_is_built_upon() {
    let folder = tempfile::tempdir().unwrap();
    let log = log(folder.path());
    let mut state = State::default();
    let other = log.clone();
    let disturbed = meanwhile(&log, "before the link", move || {
        let mut state = other.load().unwrap();
        assert_eq!(appended(&other, &mut state, "t/1", 0), Outcome::Done);
    });
    assert_eq!(appended(&disturbed, &mut state, "t/0", 0), Outcome::Done);
    assert_eq!((state.number, state.rows()), (2, 2));
    assert_eq!(log.load().unwrap(), state);
}

/// Its number is free again by then, and the log has gone on without it.
#[test]
fn a_writer_that_slept_until_its_number_was_free_has_lost() {
    let folder = tempfile::tempdir().unwrap();
    let log = log(folder.path());
    let mut state = State::default();
    assert_eq!(appended(&log, &mut state, "t/0", 0), Outcome::Done);
    let other = log.clone();
    let slow = meanwhile(&log, "before the link", move || {
        let mut state = other.load().unwrap();
        for n in 1..140 {
            assert_eq!(appended(&other, &mut state, "t/0", n), Outcome::Done);
        }
        // Not what the slow one has written: then it would find out by that.
        let patient = VacuumOptions { unnamed: Duration::MAX, ..SOON };
        let is_new = |name: &String| name.ends_with(".new");
        let new = other.names().unwrap().into_iter().find(is_new).unwrap();
        let (new, beside) = (other.commits().join(new), other.folder().join("beside"));
        std::fs::rename(&new, &beside).unwrap();
        assert!(other.vacuum(&mut state, &patient, LATER).unwrap().commits > 100);
        std::fs::rename(&beside, &new).unwrap();
    });
    let lost = appended(&slow, &mut state, "t/0", 1);
    assert_eq!(lost, Outcome::Lost("the writer slept while the log went on".to_owned()));
    assert_eq!((state.number, state.rows()), (140, 140));
    // What it has linked is seen by nobody, not even by those who know the log from before.
    let mut old = State::default();
    log.refresh(&mut old).unwrap();
    assert_eq!(old, state);
    assert_eq!(log.load().unwrap(), state);
}

/// Its files are taken for those of a dead one, before and while it commits.
#[test]
fn a_writer_whose_files_were_swept_has_lost() {
    for step in ["after a file", "before a commit", "before the link"] {
        for sweeps in 1..4 {
            let folder = tempfile::tempdir().unwrap();
            let log = log(folder.path());
            let mut state = State::default();
            assert_eq!(appended(&log, &mut state, "t/0", 0), Outcome::Done);
            let other = log.clone();
            let slow = meanwhile(&log, step, move || {
                let mut state = other.load().unwrap();
                for _ in 0..sweeps {
                    other.vacuum(&mut state, &SOON, LATER).unwrap();
                }
            });
            let lost = appended(&slow, &mut state, "t/0", 1);
            assert!(matches!(&lost, Outcome::Lost(why) if why.ends_with("was swept")), "{lost:?}");
            assert_eq!(state.rows(), 1);
            // So it begins again.
            assert_eq!(appended(&log, &mut state, "t/0", 1), Outcome::Done);
            assert_eq!(all_rows(&log, &state).len(), 2);
        }
    }
}

#[test]
fn of_two_that_compact_the_same_files_one_does() {
    let folder = tempfile::tempdir().unwrap();
    let log = log(folder.path());
    let mut state = State::default();
    for n in 0..4 {
        assert_eq!(appended(&log, &mut state, "t/0", n), Outcome::Done);
    }
    let other = log.clone();
    let counted = Arc::new(Mutex::new(0));
    let count = Arc::clone(&counted);
    let slow = meanwhile(&log, "before the link", move || {
        let mut state = other.load().unwrap();
        *count.lock().unwrap() = other.compact(&mut state, &shape(), &EAGER, LATER).unwrap();
    });
    assert_eq!(slow.compact(&mut state, &shape(), &EAGER, LATER).unwrap(), 0);
    assert_eq!(*counted.lock().unwrap(), 4);
    assert_eq!((state.files.len(), all_rows(&log, &state).len()), (1, 4));
}

#[test]
fn a_reader_under_way_is_not_disturbed() {
    let folder = tempfile::tempdir().unwrap();
    let log = log(folder.path());
    let mut state = State::default();
    for n in 0..4 {
        assert_eq!(appended(&log, &mut state, "t/0", n), Outcome::Done);
    }
    let reader = state.clone();
    let at = Timestamp(5 * DAY);
    assert_eq!(log.compact(&mut state, &shape(), &EAGER, at).unwrap(), 4);
    let patient = VacuumOptions { unnamed: Duration::MAX, ..VacuumOptions::default() };
    log.vacuum(&mut state, &patient, Timestamp(6 * DAY - 1)).unwrap();
    assert_eq!(all_rows(&log, &reader), all_rows(&log, &state));
    assert_eq!(files_on_disk(&log).len(), 5);
    let done = log.vacuum(&mut state, &patient, Timestamp(6 * DAY)).unwrap();
    assert_eq!((done.deleted, files_on_disk(&log).len()), (4, 1));
}

#[test]
fn what_no_writer_wrote_is_an_error_that_names_the_file() {
    let position = r#""positions":{"t/0":{"from":7,"to":9}}"#;
    let file = |path: &str| {
        format!(
            r#""added":[{{"path":"{path}","rows":1,"bytes":1,"sha256":"","event_time_min_micros":0,
            "event_time_max_micros":0,"columns":""}}]"#
        )
    };
    let cases = [
        (FORMAT + 1, "", "format 2 is not known to this version"),
        (FORMAT, position, "t/0 stands at None, not at Some(7)"),
        (FORMAT, &file("../../x.parquet"), "is no file of a day's rows"),
        (FORMAT, &file("ds=2026-01-01/part.parquet"), "is no file of a day's rows"),
        (
            FORMAT,
            r#""removed":["ds=2026-01-01/67e55044-10b1-426f-9247-bb680e5fe0c8.parquet"]"#,
            "does not count any more",
        ),
        (FORMAT, r#""more":1"#, "corrupt"),
    ];
    for (format, change, message) in cases {
        let folder = tempfile::tempdir().unwrap();
        let log = log(folder.path());
        std::fs::create_dir_all(log.commits()).unwrap();
        let path = log.commits().join("00000000000000000001.json");
        let unknown = change.starts_with(r#""more""#);
        let (more, change) = if unknown { (",\"more\":1", "") } else { ("", change) };
        let text = format!(
            r#"{{"format":{format},"number":1,"id":"i","at_micros":0,"change":{{{change}}}{more}}}"#
        );
        std::fs::write(&path, text).unwrap();
        let error = log.load().unwrap_err();
        assert!(matches!(error, Error::Corrupt { .. }), "{error}");
        let text = error.to_string();
        assert!(text.contains(message) && text.contains("00001.json"), "{text}");
    }
}
