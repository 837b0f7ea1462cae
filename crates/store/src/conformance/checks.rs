//! The checks.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures::future::join_all;
use trivium_codec::Row;
use trivium_model::Timestamp;

use super::{
    Store,
    support::{
        Keys, SEED, applied, at, conflict, delete, live, must, number, put, read, read_one, row,
        superseded, write_one,
    },
};
use crate::{
    Condition, Error, Order, ReadOptions, RowWrite, Stamp, WriteId, WriteOp, WriteOutcome,
};

/// Results stand in the order of the request, as many as it has; what is missing is `None`.
pub async fn order_and_length_are_kept(store: Arc<impl Store>) {
    let keys = Keys::new();
    for number in [3, 1, 2] {
        applied(&*store, put(keys.numbered(number), number as i64, at(1, 0))).await;
    }
    let asked = [2, 9, 1, 3, 1, 8].map(|number| keys.numbered(number));
    let found: Vec<Option<i64>> =
        read(&*store, &asked).await.iter().map(|row| row.as_ref().map(number)).collect();
    assert_eq!(found, [Some(2), None, Some(1), Some(3), Some(1), None]);
    assert!(read(&*store, &[]).await.is_empty());
    assert!(store.write(Vec::new(), SEED, None).await.is_empty());
}

/// The later event time wins, whichever comes first; what loses is told what stands there. The
/// stored row carries the stamp that was answered.
pub async fn newer_wins(store: Arc<impl Store>) {
    let keys = Keys::new();
    let key = keys.key("a");
    let first = applied(&*store, put(key.clone(), 1, at(100, 0))).await;
    assert_eq!(first.rev, SEED, "the first rev comes from the clock");
    let second = applied(&*store, put(key.clone(), 2, at(200, 0))).await;
    assert_eq!(second.rev, SEED + 1);
    assert_eq!(superseded(&*store, put(key.clone(), 3, at(150, 99))).await, second);
    assert_eq!(superseded(&*store, delete(key.clone(), at(150, 99))).await, second);
    let stored = read_one(&*store, &key).await;
    assert_eq!(stored.as_ref().map(Stamp::of), Some(second));
    assert_eq!(stored.as_ref().map(number), Some(2));
    // Before 1970, and at both ends of time.
    let key = keys.key("b");
    applied(&*store, put(key.clone(), 1, at(i64::MIN, 0))).await;
    applied(&*store, put(key.clone(), 2, at(-5, 0))).await;
    superseded(&*store, put(key.clone(), 3, at(-6, 0))).await;
    applied(&*store, put(key.clone(), 4, at(i64::MAX, u64::MAX - 1))).await;
    applied(&*store, put(key.clone(), 5, at(i64::MAX, u64::MAX))).await;
    assert_eq!(live(&*store, &key).await, Some(5));
}

/// At one event time the higher sequence is a correction, the same one a repetition; without a
/// sequence the later call wins.
pub async fn ties_and_sequences(store: Arc<impl Store>) {
    let keys = Keys::new();
    let key = keys.key("a");
    let first = applied(&*store, put(key.clone(), 1, at(100, 7))).await;
    assert_eq!(superseded(&*store, put(key.clone(), 2, at(100, 7))).await, first);
    assert_eq!(superseded(&*store, put(key.clone(), 2, at(100, 6))).await, first);
    applied(&*store, put(key.clone(), 3, at(100, 8))).await;
    let open = |event_time| Order::At { event_time: Timestamp(event_time), sequence: None };
    let fourth = applied(&*store, put(key.clone(), 4, open(100))).await;
    assert_eq!((fourth.event_time, fourth.sequence), (Timestamp(100), 9));
    let fifth = applied(&*store, put(key.clone(), 5, open(101))).await;
    assert_eq!(fifth.sequence, 0);
    superseded(&*store, put(key.clone(), 6, open(100))).await;
    assert_eq!(live(&*store, &key).await, Some(5));
}

/// Without an event time a write takes the clock's, or just after the row's: it wins.
pub async fn now_always_wins(store: Arc<impl Store>) {
    let keys = Keys::new();
    let key = keys.key("a");
    let now = Order::Now { now: Timestamp(1_000) };
    assert_eq!(applied(&*store, put(key.clone(), 1, now)).await.event_time, Timestamp(1_000));
    assert_eq!(applied(&*store, put(key.clone(), 2, now)).await.event_time, Timestamp(1_001));
    assert_eq!(applied(&*store, delete(key.clone(), now)).await.event_time, Timestamp(1_002));
    let last = applied(&*store, put(key.clone(), 3, now)).await;
    assert_eq!((last.event_time, last.sequence), (Timestamp(1_003), 0));
    applied(&*store, put(key.clone(), 4, at(i64::MAX, 5))).await;
    let end = applied(&*store, put(key.clone(), 5, now)).await;
    assert_eq!((end.event_time, end.sequence), (Timestamp(i64::MAX), 6));
    assert_eq!(live(&*store, &key).await, Some(5));
}

/// A delete leaves a tombstone that is read as one and keeps older writes away.
pub async fn deletes_leave_tombstones(store: Arc<impl Store>) {
    let keys = Keys::new();
    let key = keys.key("a");
    let first = applied(&*store, put(key.clone(), 1, at(100, 0))).await;
    let deleted = applied(&*store, delete(key.clone(), at(200, 0))).await;
    assert_eq!((deleted.deleted, deleted.rev), (true, first.rev + 1));
    let stored = read_one(&*store, &key).await;
    assert_eq!(stored.as_ref().map(Stamp::of), Some(deleted));
    assert_eq!(stored.map(|row| row.is_deleted()), Some(true));
    assert_eq!(superseded(&*store, put(key.clone(), 2, at(150, 0))).await, deleted);
    let again = applied(&*store, put(key.clone(), 3, at(201, 0))).await;
    assert_eq!((again.deleted, again.rev), (false, deleted.rev + 1));
    // Of a row that never was: the order is kept all the same.
    let key = keys.key("b");
    assert!(applied(&*store, delete(key.clone(), at(100, 0))).await.deleted);
    superseded(&*store, put(key.clone(), 1, at(99, 0))).await;
    assert_eq!(live(&*store, &key).await, None);
}

/// `Condition::Rev`: the live row's rev, 0 for none (a tombstone is none).
pub async fn conditions(store: Arc<impl Store>) {
    let keys = Keys::new();
    let key = keys.key("a");
    let when = |rev, write: RowWrite| RowWrite { condition: Condition::Rev(rev), ..write };
    assert_eq!(conflict(&*store, when(5, put(key.clone(), 1, at(1, 0)))).await, None);
    let first = applied(&*store, when(0, put(key.clone(), 1, at(1, 0)))).await;
    assert_eq!(conflict(&*store, when(0, put(key.clone(), 2, at(2, 0)))).await, Some(first));
    let second = applied(&*store, when(first.rev, put(key.clone(), 2, at(2, 0)))).await;
    // The condition comes first, then the order.
    assert_eq!(
        conflict(&*store, when(first.rev, put(key.clone(), 3, at(1, 0)))).await,
        Some(second)
    );
    superseded(&*store, when(second.rev, put(key.clone(), 3, at(1, 0)))).await;
    let gone = applied(&*store, when(second.rev, delete(key.clone(), at(3, 0)))).await;
    assert_eq!(conflict(&*store, when(gone.rev, put(key.clone(), 4, at(4, 0)))).await, Some(gone));
    let back = applied(&*store, when(0, put(key.clone(), 5, at(5, 0)))).await;
    assert_eq!(back.rev, gone.rev + 1);
    assert_eq!(live(&*store, &key).await, Some(5));
}

/// `Condition::ExactRev`: the row's rev, tombstone or not; 0 for nothing at all.
pub async fn exact_conditions(store: Arc<impl Store>) {
    let keys = Keys::new();
    let key = keys.key("a");
    let when = |rev, write: RowWrite| RowWrite { condition: Condition::ExactRev(rev), ..write };
    assert_eq!(conflict(&*store, when(1, delete(key.clone(), at(1, 0)))).await, None);
    let gone = applied(&*store, when(0, delete(key.clone(), at(1, 0)))).await;
    assert_eq!(conflict(&*store, when(0, put(key.clone(), 1, at(2, 0)))).await, Some(gone));
    applied(&*store, when(gone.rev, put(key.clone(), 2, at(2, 0)))).await;
    assert_eq!(live(&*store, &key).await, Some(2));
}

/// A retraction takes the place of exactly the row it names, even by something older.
pub async fn replacing(store: Arc<impl Store>) {
    let keys = Keys::new();
    let key = keys.key("a");
    let replace = |event_time, sequence, new_event_time, new_sequence| Order::Replacing {
        event_time: Timestamp(event_time),
        sequence,
        new_event_time: Timestamp(new_event_time),
        new_sequence,
    };
    assert_eq!(conflict(&*store, put(key.clone(), 1, replace(1, 0, 2, 0))).await, None);
    let first = applied(&*store, put(key.clone(), 1, at(100, 3))).await;
    assert_eq!(superseded(&*store, put(key.clone(), 2, replace(100, 2, 50, 0))).await, first);
    assert_eq!(superseded(&*store, put(key.clone(), 2, replace(99, 3, 50, 0))).await, first);
    let older = applied(&*store, put(key.clone(), 3, replace(100, 3, 50, 1))).await;
    assert_eq!((older.event_time, older.sequence), (Timestamp(50), 1));
    assert_eq!(older.rev, first.rev + 1);
    let gone = applied(&*store, delete(key.clone(), replace(50, 1, 40, 0))).await;
    assert!(gone.deleted);
    applied(&*store, put(key.clone(), 4, at(41, 0))).await;
    assert_eq!(live(&*store, &key).await, Some(4));
}

/// A retry of the write that made the row is told success, and does nothing again.
pub async fn retries_are_recognised(store: Arc<impl Store>) {
    let keys = Keys::new();
    let key = keys.key("a");
    let named = |id, write: RowWrite| RowWrite { write_id: WriteId(id), ..write };
    let now = Order::Now { now: Timestamp(1_000) };
    let id = u128::MAX - 1;
    let first = applied(&*store, named(id, put(key.clone(), 1, now))).await;
    assert_eq!(applied(&*store, named(id, put(key.clone(), 1, now))).await, first);
    // Even where its condition holds no longer, because of itself.
    let only_new = RowWrite { condition: Condition::Rev(0), ..named(id, put(key.clone(), 1, now)) };
    assert_eq!(applied(&*store, only_new).await, first);
    let second = applied(&*store, named(id - 1, put(key.clone(), 2, now))).await;
    assert_ne!(first.rev, second.rev);
    let third = applied(&*store, named(7, delete(key.clone(), now))).await;
    assert_eq!(applied(&*store, named(7, delete(key.clone(), now))).await, third);
    // Without a name every attempt is one of its own.
    applied(&*store, put(key.clone(), 3, now)).await;
    applied(&*store, put(key.clone(), 4, now)).await;
    assert_eq!(live(&*store, &key).await, Some(4));
}

/// Writes of one key within a batch take effect in their order.
pub async fn duplicates_in_a_batch(store: Arc<impl Store>) {
    let keys = Keys::new();
    let (a, b) = (keys.key("a"), keys.key("b"));
    let now = Order::Now { now: Timestamp(10) };
    let writes = vec![
        put(a.clone(), 1, at(5, 0)),
        put(b.clone(), 2, now),
        put(a.clone(), 3, at(4, 0)),
        delete(a.clone(), now),
        RowWrite { condition: Condition::Rev(0), ..put(a.clone(), 4, now) },
        put(b.clone(), 5, now),
    ];
    let outcomes = store.write(writes, SEED, None).await;
    let words: Vec<&str> = outcomes
        .iter()
        .map(|outcome| match outcome {
            Ok(WriteOutcome::Applied(_)) => "applied",
            Ok(WriteOutcome::Superseded(_)) => "superseded",
            Ok(WriteOutcome::Conflict(_)) => "conflict",
            Ok(WriteOutcome::Erased(_)) => "erased",
            Err(_) => "failed",
        })
        .collect();
    assert_eq!(words, ["applied", "applied", "superseded", "applied", "applied", "applied"]);
    let rows = read(&*store, &[a, b]).await;
    let found: Vec<Option<i64>> = rows.iter().map(|row| row.as_ref().map(number)).collect();
    assert_eq!(found, [Some(4), Some(5)]);
    let revs: Vec<Option<u64>> = rows.iter().map(|row| row.as_ref().map(Row::rev)).collect();
    assert_eq!(revs, [Some(SEED + 2), Some(SEED + 1)]);
}

/// Each row has its own outcome: one that is refused changes nothing for the others.
pub async fn one_bad_write_harms_no_other(store: Arc<impl Store>) {
    let keys = Keys::new();
    let (a, b, c) = (keys.key("a"), keys.key("b"), keys.key("c"));
    let tombstone = Stamp { deleted: true, ..Stamp::default() }.apply_to(WriteOp::Delete);
    let writes = vec![
        put(a.clone(), 1, at(1, 0)),
        RowWrite { op: WriteOp::Put(tombstone), ..put(b.clone(), 0, at(1, 0)) },
        put(c.clone(), 3, at(1, 0)),
    ];
    let outcomes = store.write(writes, SEED, None).await;
    assert_eq!(outcomes.len(), 3);
    assert!(matches!(outcomes[0], Ok(WriteOutcome::Applied(_))), "{:?}", outcomes[0]);
    assert!(matches!(outcomes[1], Err(Error::Invalid(_))), "{:?}", outcomes[1]);
    assert!(matches!(outcomes[2], Ok(WriteOutcome::Applied(_))), "{:?}", outcomes[2]);
    assert!(read_one(&*store, &b).await.is_none());
    assert_eq!(live(&*store, &c).await, Some(3));
}

/// Rows of some 200 KB come back whole (DynamoDB's limit is 400 KB).
pub async fn large_values(store: Arc<impl Store>) {
    let keys = Keys::new();
    let text = "äx".repeat(70_000);
    let large =
        |key, value| RowWrite { op: WriteOp::Put(row(value, &text)), ..put(key, 0, at(value, 0)) };
    let all: Vec<_> = (0..5).map(|number| keys.numbered(number)).collect();
    let writes = all.iter().map(|key| large(key.clone(), 1)).collect();
    for outcome in store.write(writes, SEED, None).await {
        assert!(matches!(outcome, Ok(WriteOutcome::Applied(_))), "{outcome:?}");
    }
    applied(&*store, large(all[2].clone(), 2)).await;
    for (index, found) in read(&*store, &all).await.into_iter().enumerate() {
        let value = if index == 2 { 2 } else { 1 };
        let expected = row(value, &text);
        assert_eq!(
            found.map(|row| row.as_bytes().slice(trivium_codec::HEADER_BYTES..)),
            Some(expected.as_bytes().slice(trivium_codec::HEADER_BYTES..)),
        );
    }
}

/// Thousands of keys in one call each way.
pub async fn many_keys(store: Arc<impl Store>) {
    let keys = Keys::new();
    let all: Vec<_> = (0..5_000).map(|number| keys.numbered(number)).collect();
    let writes: Vec<RowWrite> =
        (0..all.len()).map(|index| put(all[index].clone(), index as i64, at(1, 0))).collect();
    for outcome in store.write(writes.clone(), SEED, None).await {
        assert!(matches!(outcome, Ok(WriteOutcome::Applied(_))), "{outcome:?}");
    }
    for outcome in store.write(writes, SEED, None).await {
        assert!(matches!(outcome, Ok(WriteOutcome::Superseded(_))), "{outcome:?}");
    }
    for (index, found) in read(&*store, &all).await.iter().enumerate() {
        assert_eq!(found.as_ref().map(number), Some(index as i64));
    }
}

/// Keys that look like each other, or like syntax, are told apart.
pub async fn tricky_keys(store: Arc<impl Store>) {
    let keys = Keys::new();
    let long = "k".repeat(1_900);
    let longer = format!("{long}k");
    let entities = [
        "",
        " ",
        "a",
        "A",
        "a|b",
        "a#b",
        "a%7Cb",
        "a\0b",
        "ä",
        "a\u{308}",
        "\u{1F600}",
        &long,
        &longer,
    ];
    for (index, entity) in entities.iter().enumerate() {
        applied(&*store, put(keys.key(entity), index as i64, at(1, 0))).await;
    }
    for (index, entity) in entities.iter().enumerate() {
        assert_eq!(live(&*store, &keys.key(entity)).await, Some(index as i64), "{entity:?}");
    }
}

/// Tasks that add one by read and compare-and-set lose no increment.
pub async fn counters_are_linearizable(store: Arc<impl Store + 'static>) {
    const TASKS: usize = 8;
    const EACH: usize = 25;
    let keys = Keys::new();
    let key = keys.key("counter");
    let tasks = (0..TASKS).map(|_| {
        let (store, key) = (store.clone(), key.clone());
        tokio::spawn(async move {
            for _ in 0..EACH {
                loop {
                    let found = read_one(&*store, &key).await;
                    let value = found.as_ref().map_or(0, number);
                    let write = RowWrite {
                        condition: Condition::ExactRev(found.as_ref().map_or(0, Row::rev)),
                        ..put(key.clone(), value + 1, Order::Now { now: Timestamp(0) })
                    };
                    match write_one(&*store, write).await {
                        WriteOutcome::Applied(_) => break,
                        WriteOutcome::Conflict(_) => {}
                        other => unreachable!("now lost to {other:?}"),
                    }
                }
            }
        })
    });
    for task in join_all(tasks).await {
        assert!(task.is_ok(), "a task failed");
    }
    assert_eq!(live(&*store, &key).await, Some((TASKS * EACH) as i64));
}

/// Batches over the same keys in opposite orders all come to an end, and every row is whole.
pub async fn concurrent_batches_do_not_block_each_other(store: Arc<impl Store + 'static>) {
    const TASKS: i64 = 8;
    let keys = Keys::new();
    let all: Vec<_> = (0..100).map(|number| keys.numbered(number)).collect();
    let tasks = (0..TASKS).map(|task| {
        let (store, mut all) = (store.clone(), all.clone());
        if task % 2 == 1 {
            all.reverse();
        }
        tokio::spawn(async move {
            for _ in 0..20 {
                let now = Order::Now { now: Timestamp(0) };
                let writes = all.iter().map(|key| put(key.clone(), task, now)).collect();
                for outcome in store.write(writes, SEED, None).await {
                    assert!(matches!(outcome, Ok(WriteOutcome::Applied(_))), "{outcome:?}");
                }
            }
        })
    });
    for task in join_all(tasks).await {
        assert!(task.is_ok(), "a task failed");
    }
    for found in read(&*store, &all).await {
        let last = SEED + TASKS as u64 * 20 - 1;
        assert_eq!(found.map(|row| row.rev()), Some(last), "a write was lost");
    }
}

/// While a row is written, no reader sees a rev, then a lower one; after an acknowledgement nobody
/// sees less than what was acknowledged.
pub async fn reads_never_go_back(store: Arc<impl Store + 'static>) {
    let keys = Keys::new();
    let key = keys.key("a");
    applied(&*store, put(key.clone(), 0, at(0, 0))).await;
    let writer = tokio::spawn({
        let (store, key) = (store.clone(), key.clone());
        async move {
            for value in 1..=200 {
                let stamp = applied(&*store, put(key.clone(), value, at(value, 0))).await;
                let seen = read_one(&*store, &key).await;
                assert!(
                    seen.is_some_and(|row| row.rev() >= stamp.rev),
                    "an acknowledged write is missing"
                );
            }
        }
    });
    let readers = (0..3).map(|_| {
        let (store, key) = (store.clone(), key.clone());
        tokio::spawn(async move {
            let mut newest = 0;
            for _ in 0..400 {
                let rev = read_one(&*store, &key).await.map_or(0, |row| row.rev());
                assert!(rev >= newest, "a reader saw rev {newest}, then {rev}");
                newest = rev;
            }
        })
    });
    for reader in join_all(readers).await {
        assert!(reader.is_ok(), "a reader failed");
    }
    assert!(writer.await.is_ok(), "the writer failed");
}

/// Nothing is begun after its deadline.
pub async fn deadlines_in_the_past(store: Arc<impl Store>) {
    let keys = Keys::new();
    let key = keys.key("a");
    let past = Instant::now().checked_sub(Duration::from_millis(1));
    let outcomes = store.write(vec![put(key.clone(), 1, at(1, 0))], SEED, past).await;
    assert!(matches!(outcomes[..], [Err(Error::Unavailable(_))]), "{outcomes:?}");
    let late = ReadOptions { deadline: past, ..ReadOptions::default() };
    let rows = store.get(std::slice::from_ref(&key), &late).await;
    assert!(matches!(rows[..], [Err(Error::Unavailable(_))]), "{rows:?}");
    assert!(read_one(&*store, &key).await.is_none());
}

/// A checkpoint changes only from the value that was expected.
pub async fn checkpoints_compare_and_set(store: Arc<impl Store>) {
    let name = Keys::new().name("a");
    let bytes = Bytes::from_static;
    assert_eq!(must(store.load(&name).await), None);
    assert!(!must(store.store(&name, Some(b"x"), bytes(b"1")).await));
    assert!(must(store.store(&name, None, bytes(b"1")).await));
    assert!(!must(store.store(&name, None, bytes(b"2")).await));
    assert!(!must(store.store(&name, Some(b""), bytes(b"2")).await));
    assert!(must(store.store(&name, Some(b"1"), bytes(b"")).await));
    // Empty is a value, apart from none.
    assert_eq!(must(store.load(&name).await), Some(bytes(b"")));
    assert!(!must(store.store(&name, None, bytes(b"3")).await));
    let large = Bytes::from(vec![7; 100_000]);
    assert!(must(store.store(&name, Some(b""), large.clone()).await));
    assert_eq!(must(store.load(&name).await), Some(large));
    assert_eq!(must(store.load(&format!("{name}2")).await), None);
}

/// Of those who expect the same value, one wins.
pub async fn checkpoints_contend(store: Arc<impl Store + 'static>) {
    let name = Keys::new().name("a");
    let tasks = (0..16_u8).map(|task| {
        let (store, name) = (store.clone(), name.clone());
        tokio::spawn(async move { must(store.store(&name, None, Bytes::from(vec![task])).await) })
    });
    let stored = join_all(tasks).await.into_iter().filter(|won| matches!(won, Ok(true))).count();
    assert_eq!(stored, 1);
}
