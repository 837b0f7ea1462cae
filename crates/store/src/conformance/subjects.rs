//! What every store that can erase must do. An adapter's tests are one line:
//! `trivium_store::subject_conformance_tests!(make);`, where `make` is an async function that gives an
//! `Arc<impl Store + SubjectStore>`. Subjects and keys are each check's own.

use std::sync::Arc;

use futures::future::join_all;
use trivium_codec::RowKey;
use trivium_model::Timestamp;

use super::{
    Store,
    support::{
        Keys, Random, applied, at, conflict, delete, live, must, put, read_one, superseded,
        write_one,
    },
};
use crate::{
    Condition, Error, Order, RowWrite, SubjectRow, SubjectStore, SubjectTombstone, WriteId,
    WriteOutcome,
};

/// A store with subjects.
pub trait PeopleStore: Store + SubjectStore {}
impl<T: Store + SubjectStore> PeopleStore for T {}

/// One `#[tokio::test]` for each check of a store that can erase.
#[macro_export]
macro_rules! subject_conformance_tests {
    ($make:path) => {
        mod subject_conformance {
            use super::*;
            $crate::subject_conformance_tests!(@each $make:
                a_subject_is_found_by_its_name, older_puts_are_refused, puts_of_now_go_above,
                rows_of_before_are_told_from_later_ones, merges_of_erased_rows_are_refused,
                erased_retries_are_recognised, tombstones_only_go_forward,
                open_tombstones_are_found, subjects_have_bounds, erasing_and_writing_race);
        }
    };
    (@each $make:path: $($check:ident),*) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $check() {
            $crate::conformance::subjects::$check($make().await).await;
        }
    )*};
}

fn of(subject: &str, write: RowWrite) -> RowWrite {
    RowWrite { subject: Some(Arc::from(subject)), ..write }
}

const fn now(micros: i64) -> Order {
    Order::Now { now: Timestamp(micros) }
}

/// Everything that the index knows of.
async fn keys_of(store: &(impl PeopleStore + ?Sized), subject: &str) -> Vec<RowKey> {
    let mut keys = Vec::new();
    let mut after: Option<String> = None;
    loop {
        let page = must(store.keys_of(subject, after.as_deref()).await);
        keys.extend(page.keys);
        after = page.next;
        if after.is_none() {
            keys.sort();
            return keys;
        }
    }
}

async fn row_of(
    store: &(impl PeopleStore + ?Sized),
    subject: &str,
    key: &RowKey,
) -> Option<SubjectRow> {
    let mut rows = store.rows_of(subject, std::slice::from_ref(key)).await;
    rows.pop().and_then(must)
}

/// Begins the subject's next erasure.
async fn bar(store: &(impl PeopleStore + ?Sized), subject: &str, up_to: i64) -> SubjectTombstone {
    loop {
        let old = must(store.tombstone(subject).await);
        let new = SubjectTombstone {
            up_to: Timestamp(up_to).max(old.as_ref().map_or(Timestamp(up_to), |old| old.up_to)),
            erasure: old.as_ref().map_or(1, |old| old.erasure + 1),
            version: old.as_ref().map_or(1, |old| old.version + 1),
            is_open: true,
            job: bytes::Bytes::from_static(b"job"),
        };
        if must(store.swap_tombstone(subject, old.as_ref(), &new).await) {
            return new;
        }
    }
}

async fn erased(store: &(impl PeopleStore + ?Sized), write: RowWrite) -> i64 {
    match write_one(store, write).await {
        WriteOutcome::Erased(up_to) => up_to.0,
        other => unreachable!("expected the write to be refused as erased, it was {other:?}"),
    }
}

/// Only live rows that were last put for the subject, over as many pages as it takes.
pub async fn a_subject_is_found_by_its_name(store: Arc<impl PeopleStore>) {
    let keys = Keys::new();
    let (anna, ben) = (keys.name("anna"), keys.name("ben"));
    let writes = (0..620).map(|number| of(&anna, put(keys.numbered(number), 1, at(1, 0))));
    for outcome in store.write(writes.collect(), super::support::SEED, None).await {
        assert!(matches!(outcome, Ok(WriteOutcome::Applied(_))), "{outcome:?}");
    }
    applied(&*store, of(&ben, put(keys.key("b"), 1, at(1, 0)))).await;
    applied(&*store, put(keys.key("nobody"), 1, at(1, 0))).await;
    // Deleted, taken over by another, by nobody, and put again.
    applied(&*store, of(&anna, delete(keys.numbered(3), at(2, 0)))).await;
    applied(&*store, of(&ben, put(keys.numbered(4), 1, at(2, 0)))).await;
    applied(&*store, put(keys.numbered(5), 1, at(2, 0))).await;
    applied(&*store, of(&anna, put(keys.numbered(6), 2, at(2, 0)))).await;
    let mut expected: Vec<RowKey> =
        (0..620).filter(|n| !(3..=5).contains(n)).map(|n| keys.numbered(n)).collect();
    expected.sort();
    assert_eq!(keys_of(&*store, &anna).await, expected);
    let mut of_ben = vec![keys.key("b"), keys.numbered(4)];
    of_ben.sort();
    assert_eq!(keys_of(&*store, &ben).await, of_ben);
    assert!(keys_of(&*store, &keys.name("carl")).await.is_empty());
    for number in [3, 4, 5, 5_000] {
        assert_eq!(row_of(&*store, &anna, &keys.numbered(number)).await, None, "{number}");
    }
    let row = row_of(&*store, &anna, &keys.numbered(6)).await;
    assert_eq!(row.map(|row| (row.stamp.event_time, row.erasure)), Some((Timestamp(2), 0)));
}

/// From the moment at which the tombstone is there; others are left alone, and deletes pass.
pub async fn older_puts_are_refused(store: Arc<impl PeopleStore>) {
    let keys = Keys::new();
    let (anna, ben) = (keys.name("anna"), keys.name("ben"));
    let before = applied(&*store, of(&anna, put(keys.key("a"), 1, at(50, 0)))).await;
    bar(&*store, &anna, 100).await;
    for time in [99, 100] {
        assert_eq!(erased(&*store, of(&anna, put(keys.key("a"), 2, at(time, 7)))).await, 100);
        assert_eq!(erased(&*store, of(&anna, put(keys.key("new"), 2, at(time, 7)))).await, 100);
    }
    let retract = Order::Replacing {
        event_time: before.event_time,
        sequence: before.sequence,
        new_event_time: Timestamp(60),
        new_sequence: 1,
    };
    assert_eq!(erased(&*store, of(&anna, put(keys.key("a"), 2, retract))).await, 100);
    assert_eq!(read_one(&*store, &keys.key("new")).await, None);
    assert_eq!(live(&*store, &keys.key("a")).await, Some(1));
    // Another's, and nobody's.
    applied(&*store, of(&ben, put(keys.key("b"), 3, at(50, 0)))).await;
    applied(&*store, put(keys.key("n"), 3, at(50, 0))).await;
    // A delete brings nothing back.
    superseded(&*store, of(&anna, delete(keys.key("a"), at(40, 0)))).await;
    applied(&*store, of(&anna, delete(keys.key("a"), at(60, 0)))).await;
    applied(&*store, of(&anna, put(keys.key("a"), 4, at(101, 0)))).await;
    assert_eq!(live(&*store, &keys.key("a")).await, Some(4));
}

/// A put without event time of an earlier moment is late; a later one goes above tombstone and row.
pub async fn puts_of_now_go_above(store: Arc<impl PeopleStore>) {
    let keys = Keys::new();
    let anna = keys.name("anna");
    bar(&*store, &anna, 100).await;
    assert_eq!(erased(&*store, of(&anna, put(keys.key("a"), 1, now(99)))).await, 100);
    let stamp = applied(&*store, of(&anna, put(keys.key("a"), 2, now(100)))).await;
    assert_eq!(stamp.event_time, Timestamp(101));
    let stamp = applied(&*store, of(&anna, put(keys.key("a"), 3, now(100)))).await;
    assert_eq!(stamp.event_time, Timestamp(102));
    let stamp = applied(&*store, of(&anna, put(keys.key("a"), 4, now(500)))).await;
    assert_eq!(stamp.event_time, Timestamp(500));
}

/// By the count of erasures, whatever their event times.
pub async fn rows_of_before_are_told_from_later_ones(store: Arc<impl PeopleStore>) {
    let keys = Keys::new();
    let anna = keys.name("anna");
    applied(&*store, of(&anna, put(keys.key("future"), 1, at(900, 0)))).await;
    applied(&*store, of(&anna, put(keys.key("both"), 1, at(50, 0)))).await;
    bar(&*store, &anna, 100).await;
    applied(&*store, of(&anna, put(keys.key("later"), 1, at(200, 0)))).await;
    applied(&*store, of(&anna, put(keys.key("both"), 2, at(200, 0)))).await;
    let erasure = |row: Option<SubjectRow>| row.map(|row| row.erasure);
    for (entity, expected) in [("future", 0), ("later", 1), ("both", 1)] {
        let row = row_of(&*store, &anna, &keys.key(entity)).await;
        assert_eq!(erasure(row), Some(expected), "{entity}");
    }
    assert_eq!(bar(&*store, &anna, 300).await.erasure, 2);
    applied(&*store, of(&anna, put(keys.key("both"), 3, now(300)))).await;
    for (entity, expected) in [("future", 0), ("later", 1), ("both", 2)] {
        let row = row_of(&*store, &anna, &keys.key(entity)).await;
        assert_eq!(erasure(row), Some(expected), "{entity}");
    }
}

/// What depends on a row of before would carry it on; what depends on one of after, or on none, does not.
pub async fn merges_of_erased_rows_are_refused(store: Arc<impl PeopleStore>) {
    let keys = Keys::new();
    let anna = keys.name("anna");
    let key = keys.key("a");
    let when = |condition, value, time| {
        of(&anna, RowWrite { condition, ..put(key.clone(), value, at(time, 0)) })
    };
    let old = applied(&*store, of(&anna, put(key.clone(), 1, at(50, 0)))).await;
    bar(&*store, &anna, 100).await;
    for condition in [Condition::ExactRev(old.rev), Condition::Rev(old.rev)] {
        assert_eq!(erased(&*store, when(condition, 2, 200)).await, 100);
    }
    assert_eq!(live(&*store, &key).await, Some(1));
    let gone = Order::Replacing {
        event_time: old.event_time,
        sequence: old.sequence,
        new_event_time: Timestamp(100),
        new_sequence: u64::MAX,
    };
    let delete = RowWrite { condition: Condition::ExactRev(old.rev), ..delete(key.clone(), gone) };
    let tombstone = applied(&*store, of(&anna, delete)).await;
    let fresh = applied(&*store, when(Condition::ExactRev(tombstone.rev), 3, 200)).await;
    let merged = applied(&*store, when(Condition::ExactRev(fresh.rev), 4, 201)).await;
    conflict(&*store, when(Condition::ExactRev(fresh.rev), 5, 202)).await;
    applied(&*store, when(Condition::Rev(merged.rev), 6, 203)).await;
    assert_eq!(live(&*store, &key).await, Some(6));
}

/// Who was applied before the erasure is told so, as long as its row is there.
pub async fn erased_retries_are_recognised(store: Arc<impl PeopleStore>) {
    let keys = Keys::new();
    let anna = keys.name("anna");
    let id = WriteId(0xE7A5E);
    let write = RowWrite { write_id: id, ..of(&anna, put(keys.key("a"), 1, at(50, 0))) };
    let stamp = applied(&*store, write.clone()).await;
    bar(&*store, &anna, 100).await;
    assert_eq!(applied(&*store, write.clone()).await, stamp);
    applied(&*store, of(&anna, delete(keys.key("a"), at(100, u64::MAX)))).await;
    assert_eq!(erased(&*store, write).await, 100);
}

/// By compare-and-set, and never back.
pub async fn tombstones_only_go_forward(store: Arc<impl PeopleStore>) {
    let keys = Keys::new();
    let anna = keys.name("anna");
    assert_eq!(must(store.tombstone(&anna).await), None);
    let first = bar(&*store, &anna, 100).await;
    assert_eq!(must(store.tombstone(&anna).await).as_ref(), Some(&first));
    // Somebody else was first.
    assert!(!must(store.swap_tombstone(&anna, None, &first).await));
    let next = SubjectTombstone {
        version: 2,
        job: bytes::Bytes::from_static(&[0, 255, 7]),
        ..first.clone()
    };
    assert!(must(store.swap_tombstone(&anna, Some(&first), &next).await));
    assert!(!must(store.swap_tombstone(&anna, Some(&first), &next).await));
    assert_eq!(must(store.tombstone(&anna).await).as_ref(), Some(&next));
    let lower = SubjectTombstone { version: 3, up_to: Timestamp(99), ..next.clone() };
    let fewer = SubjectTombstone { version: 3, erasure: 0, ..next.clone() };
    let skipped = SubjectTombstone { version: 4, ..next.clone() };
    // A later time belongs to a further erasure, or rows of between would count as later ones.
    let stretched = SubjectTombstone { version: 3, up_to: Timestamp(101), ..next.clone() };
    let job = vec![0; crate::erase::JOB_BYTES_MAX + 1].into();
    let long = SubjectTombstone { version: 3, job, ..next.clone() };
    for wrong in [lower, fewer, skipped, stretched, long] {
        let refused = store.swap_tombstone(&anna, Some(&next), &wrong).await;
        assert!(matches!(refused, Err(Error::Invalid(_))), "{wrong:?}: {refused:?}");
    }
    assert_eq!(must(store.tombstone(&anna).await), Some(next));
    // The first begins at the beginning: what counts from further on would spare rows.
    for (version, erasure) in [(2, 1), (1, 2), (1, 0)] {
        let wrong = SubjectTombstone { version, erasure, ..first.clone() };
        let refused = store.swap_tombstone(&keys.name("ben"), None, &wrong).await;
        assert!(matches!(refused, Err(Error::Invalid(_))), "{wrong:?}: {refused:?}");
    }
    assert_eq!(must(store.tombstone(&keys.name("ben")).await), None);
    assert!(keys_of(&*store, &anna).await.is_empty(), "a tombstone is no row");
}

/// While they are open, and no longer.
pub async fn open_tombstones_are_found(store: Arc<impl PeopleStore>) {
    let keys = Keys::new();
    let names: Vec<String> = (0..120).map(|number| keys.name(&number.to_string())).collect();
    for name in &names {
        bar(&*store, name, 100).await;
    }
    let open = async || {
        let mut found = Vec::new();
        let mut after: Option<String> = None;
        loop {
            let page = must(store.open_tombstones(after.as_deref()).await);
            found.extend(page.subjects);
            after = page.next;
            if after.is_none() {
                return found;
            }
        }
    };
    let found = open().await;
    assert!(names.iter().all(|name| found.contains(name)), "{found:?}");
    let (done, left) = names.split_at(110);
    for name in done {
        let old = must(store.tombstone(name).await);
        let new = old.clone().map(|old| SubjectTombstone {
            is_open: false,
            version: old.version + 1,
            ..old
        });
        if let Some(new) = new {
            assert!(must(store.swap_tombstone(name, old.as_ref(), &new).await));
        }
    }
    let found = open().await;
    assert!(left.iter().all(|name| found.contains(name)), "{found:?}");
    assert!(!done.iter().any(|name| found.contains(name)), "{found:?}");
}

/// Names that no index could hold, and those that stores keep for themselves.
pub async fn subjects_have_bounds(store: Arc<impl PeopleStore>) {
    let keys = Keys::new();
    let long = "s".repeat(crate::erase::SUBJECT_BYTES_MAX);
    for wrong in [String::new(), format!("{long}s"), "#open".to_owned()] {
        let write = of(&wrong, put(keys.key("a"), 1, at(1, 0)));
        let mut outcomes = store.write(vec![write], super::support::SEED, None).await;
        assert!(matches!(outcomes.pop(), Some(Err(Error::Invalid(_)))), "{wrong:?}");
        assert!(matches!(store.keys_of(&wrong, None).await, Err(Error::Invalid(_))), "{wrong:?}");
        let tombstone = SubjectTombstone {
            up_to: Timestamp(1),
            erasure: 1,
            version: 1,
            is_open: false,
            job: bytes::Bytes::new(),
        };
        let refused = store.swap_tombstone(&wrong, None, &tombstone).await;
        assert!(matches!(refused, Err(Error::Invalid(_))), "{wrong:?}");
    }
    applied(&*store, of(&long, put(keys.key("a"), 1, at(1, 0)))).await;
    assert!(keys_of(&*store, &long).await.contains(&keys.key("a")));
    bar(&*store, &long, 10).await;
    assert_eq!(erased(&*store, of(&long, put(keys.key("a"), 1, at(2, 0)))).await, 10);
}

/// Whatever writers do while the tombstone comes: no row of an event time up to it counts as later, and
/// what was refused is nowhere.
pub async fn erasing_and_writing_race(store: Arc<impl PeopleStore + 'static>) {
    for round in 0..10_u64 {
        let keys = Arc::new(Keys::new());
        let anna: Arc<str> = keys.name("anna").into();
        let writers = (0..6_u64).map(|writer| {
            let (store, keys, anna) = (Arc::clone(&store), Arc::clone(&keys), Arc::clone(&anna));
            tokio::spawn(async move {
                let mut random = Random(round * 100 + writer);
                for number in 0..12 {
                    let key = keys.numbered(random.below(8) as usize);
                    let time = random.below(200) as i64;
                    let order = if random.below(3) == 0 { now(time) } else { at(time, number) };
                    write_one(&*store, of(&anna, put(key, time, order))).await;
                }
            })
        });
        let writers: Vec<_> = writers.collect();
        let eraser = {
            let (store, anna) = (Arc::clone(&store), Arc::clone(&anna));
            tokio::spawn(async move {
                for _ in 0..round {
                    tokio::task::yield_now().await;
                }
                bar(&*store, &anna, 100).await;
            })
        };
        assert!(eraser.await.is_ok(), "the eraser failed");
        for writer in join_all(writers).await {
            assert!(writer.is_ok(), "a writer failed");
        }
        for number in 0..8 {
            let Some(row) = row_of(&*store, &anna, &keys.numbered(number)).await else { continue };
            let is_late = row.erasure > 0;
            assert!(!is_late || row.stamp.event_time > Timestamp(100), "round {round}: {row:?}");
        }
    }
}
