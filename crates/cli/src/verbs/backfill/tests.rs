//! The journal, after deaths of every kind.

use std::sync::mpsc;

use trivium_model::Timestamp;
use trivium_offline::{Period, RunProgress as _};

use super::{
    Noted,
    journal::{Finished, Journal},
    keep,
};
use crate::verbs::run::Progress;

#[test]
fn a_journal_that_is_no_text_is_told_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.jsonl");
    for damaged in [&b"\xff\xfe\n"[..], b"no line of ours\n"] {
        std::fs::write(&path, damaged).unwrap();
        let error = Finished::read(&path).unwrap_err().error;
        assert_eq!(error.kind, trivium_runtime::Kind::DataLoss);
        assert_eq!(error.field, path.display().to_string());
        assert!(error.help.contains("remove the journal"), "{error:?}");
    }
}

#[test]
fn what_is_noted_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deep/er/a.jsonl");
    assert_eq!(Finished::read(&path).unwrap(), Finished::default());
    let mut journal = Journal::open(&path, false).unwrap();
    journal.note("ds=2013-01-01", "aa").unwrap();
    // The same in another process waits for nothing.
    assert!(Journal::open(&path, false).unwrap_err().error.message.contains("under way"));
    drop(journal);
    let found = Finished::read(&path).unwrap();
    assert_eq!(found.periods.get("ds=2013-01-01").map(String::as_str), Some("aa"));
    assert!(!found.is_complete);

    let mut journal = Journal::open(&path, false).unwrap();
    journal.complete().unwrap();
    drop(journal);
    let found = Finished::read(&path).unwrap();
    assert_eq!((found.periods.len(), found.is_complete), (1, true));
    // What is opened once more is not complete until it says so.
    drop(Journal::open(&path, false).unwrap());
    let found = Finished::read(&path).unwrap();
    assert_eq!((found.periods.len(), found.is_complete, found.is_again), (1, false, false));
    drop(Journal::open(&path, true).unwrap());
    let found = Finished::read(&path).unwrap();
    assert_eq!((found.periods.len(), found.is_complete, found.is_again), (0, false, true));
}

/// What a run tells is in the journal when nobody tells any more, and not before it can be.
#[test]
fn what_a_run_tells_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.jsonl");
    let journal = Journal::open(&path, false).unwrap();
    let (notes, to_write) = mpsc::channel();
    let noted = Noted { bar: Progress::new("tests/daily@1"), notes };
    let day = |at: i64| Timestamp(at * 86_400_000_000);
    let period = |at: i64| Period { start: day(at), end: day(at + 1) };
    for at in 0..3 {
        noted.raw_written(period(at), "aa");
        noted.period_done(period(at), 1);
    }
    assert_eq!(Finished::read(&path).unwrap().periods.len(), 0, "whoever tells waits for no disk");
    drop(noted);
    let mut journal = keep(journal, &to_write).unwrap();
    journal.complete().unwrap();
    let found = Finished::read(&path).unwrap();
    assert_eq!((found.periods.len(), found.is_complete), (3, true));
    assert_eq!(found.periods.get("ds=1970-01-03").map(String::as_str), Some("aa"));
}

#[test]
fn a_torn_line_is_cut_off_wherever_it_ends() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.jsonl");
    let mut journal = Journal::open(&path, false).unwrap();
    journal.note("ds=2013-01-01", "aa").unwrap();
    journal.note("ds=2013-01-02", "bb").unwrap();
    drop(journal);
    let text = std::fs::read(&path).unwrap();
    let first = text.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    for cut in 0..text.len() {
        std::fs::write(&path, &text[..cut]).unwrap();
        let found = Finished::read(&path).unwrap();
        assert_eq!(found.periods.len(), usize::from(cut >= first), "{cut}");
        let mut journal = Journal::open(&path, false).unwrap();
        journal.note("ds=2013-01-03", "cc").unwrap();
        drop(journal);
        let found = Finished::read(&path).unwrap();
        assert_eq!(found.periods.len(), usize::from(cut >= first) + 1, "{cut}");
    }
    // Half a line in the middle is no kill's work.
    std::fs::write(&path, "{\"period\":\n{\"complete\":true}\n").unwrap();
    assert!(Finished::read(&path).unwrap_err().error.help.contains("remove the journal"));
}
