//! What every authority must do. An adapter's tests are one line:
//! `trivium_store::authority_conformance_tests!(make);`, where `make` is an async function that
//! gives an `Arc<impl Authority>`. Checks write under keys of their own; the one on the epoch
//! record wants an authority whose record nobody else moves.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures::future::join_all;
use trivium_codec::{Row, RowKey};
use trivium_model::Timestamp;

use super::support::{Keys, SEED, at, delete, must, number, put};
use crate::{
    Authority, Barrier, CacheState, Condition, EpochRecord, Error, FencedOutcome, Order,
    ReadOptions, RowWrite, Stamp, WriteId, WriteOutcome,
};

/// One `#[tokio::test]` for each check of an authority.
#[macro_export]
macro_rules! authority_conformance_tests {
    ($make:path) => {
        mod authority_conformance {
            use super::*;
            $crate::authority_conformance_tests!(@each $make:
                fenced_writes_follow_the_rule, barriers_refuse, writes_raise_the_epoch,
                barriers_only_rise, absent_rows_keep_barriers, tombstones_keep_barriers,
                retries_give_no_unprotected_row, refusals_give_no_row, barriers_and_writes_race,
                batches_of_barriers, late_fenced_work_is_refused, the_epoch_is_swapped);
        }
    };
    (@each $make:path: $($check:ident),*) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $check() {
            $crate::conformance::authority::$check($make().await).await;
        }
    )*};
}

const fn barrier(epoch: u64, deadline: u64) -> Barrier {
    Barrier { epoch, deadline }
}

async fn fenced(
    authority: &(impl Authority + ?Sized),
    write: RowWrite,
    fence: Barrier,
) -> FencedOutcome {
    must(authority.write_fenced(write, fence, SEED, None).await)
}

async fn applied(
    authority: &(impl Authority + ?Sized),
    write: RowWrite,
    fence: Barrier,
) -> (Stamp, Option<Row>) {
    match fenced(authority, write, fence).await {
        FencedOutcome::Done(WriteOutcome::Applied(stamp), row) => (stamp, row),
        other => unreachable!("expected the write to be applied, it was {other:?}"),
    }
}

async fn barred(authority: &(impl Authority + ?Sized), write: RowWrite, fence: Barrier) -> Barrier {
    match fenced(authority, write, fence).await {
        FencedOutcome::Barred(barrier) => barrier,
        other => unreachable!("expected the barrier to refuse the write, it was {other:?}"),
    }
}

/// The row and its barrier, which plain reads agree with.
async fn seen(authority: &(impl Authority + ?Sized), key: &RowKey) -> (Option<Row>, Barrier) {
    let keys = std::slice::from_ref(key);
    let mut rows = authority.get_with_barrier(keys, None).await;
    assert_eq!(rows.len(), 1, "one answer for one key");
    let Some(row) = rows.pop() else { unreachable!("one answer for one key") };
    let (row, barrier) = must(row);
    let mut plain = authority.get(keys, &ReadOptions::default()).await;
    let Some(plain) = plain.pop() else { unreachable!("one answer for one key") };
    assert_eq!(must(plain), row, "both ways to read see the same row");
    (row, barrier)
}

async fn raise(authority: &(impl Authority + ?Sized), key: &RowKey, to: Barrier) -> Option<Row> {
    must(authority.raise_barrier(key, to, SEED, None).await)
}

/// A fenced write that its barrier lets through does what any write does, and gives back the row as
/// it stands.
pub async fn fenced_writes_follow_the_rule(authority: Arc<impl Authority>) {
    let keys = Keys::new();
    let key = keys.key("a");
    let fence = barrier(1, 10);
    let (first, row) = applied(&*authority, put(key.clone(), 1, at(100, 0)), fence).await;
    assert_eq!(first.rev, SEED, "the first rev comes from the clock");
    assert_eq!(row.as_ref().map(|row| (Stamp::of(row), number(row))), Some((first, 1)));
    let outcome = fenced(&*authority, put(key.clone(), 2, at(50, 0)), fence).await;
    assert!(
        matches!(outcome, FencedOutcome::Done(WriteOutcome::Superseded(stamp), _) if stamp == first),
        "{outcome:?}"
    );
    let when = |rev, write: RowWrite| RowWrite { condition: Condition::Rev(rev), ..write };
    let outcome = fenced(&*authority, when(7, put(key.clone(), 2, at(200, 0))), fence).await;
    assert!(
        matches!(outcome, FencedOutcome::Done(WriteOutcome::Conflict(Some(stamp)), _) if stamp == first),
        "{outcome:?}"
    );
    let write = when(first.rev, put(key.clone(), 3, at(200, 0)));
    let (second, row) = applied(&*authority, write, fence).await;
    assert_eq!(second.rev, first.rev + 1);
    assert_eq!(row.as_ref().map(number), Some(3));
    assert_eq!(seen(&*authority, &key).await.0.as_ref().map(number), Some(3));
}

/// Only what is above the barrier is let through: not what is level with it. What it refuses
/// changes nothing, and is told the barrier.
pub async fn barriers_refuse(authority: Arc<impl Authority>) {
    let keys = Keys::new();
    let key = keys.key("a");
    applied(&*authority, put(key.clone(), 1, at(1, 0)), barrier(1, 10)).await;
    let row = raise(&*authority, &key, barrier(3, 50)).await;
    assert_eq!(row.as_ref().map(number), Some(1), "raising returns the row");
    for (epoch, deadline) in [(0, u64::MAX), (1, 60), (2, 1_000), (3, 0), (3, 49), (3, 50)] {
        let write = put(key.clone(), 2, at(9, 0));
        assert_eq!(barred(&*authority, write, barrier(epoch, deadline)).await, barrier(3, 50));
        let write = delete(key.clone(), at(9, 0));
        assert_eq!(barred(&*authority, write, barrier(epoch, deadline)).await, barrier(3, 50));
    }
    assert_eq!(seen(&*authority, &key).await.0.as_ref().map(number), Some(1));
    applied(&*authority, put(key.clone(), 3, at(9, 0)), barrier(3, 51)).await;
    assert_eq!(seen(&*authority, &key).await.1, barrier(3, 50), "an epoch's writes raise nothing");
    applied(&*authority, put(key.clone(), 4, at(10, 0)), barrier(4, 1)).await;
}

/// An accepted write raises the barrier's epoch to its own, and no further; a refused one nothing.
pub async fn writes_raise_the_epoch(authority: Arc<impl Authority>) {
    let keys = Keys::new();
    let key = keys.key("a");
    applied(&*authority, put(key.clone(), 1, at(5, 0)), barrier(5, 70)).await;
    assert_eq!(seen(&*authority, &key).await.1, barrier(5, 0));
    barred(&*authority, put(key.clone(), 2, at(6, 0)), barrier(4, 90)).await;
    // Level in the epoch and above it: the deadline of the one before does not stand in the way.
    applied(&*authority, put(key.clone(), 3, at(7, 0)), barrier(5, 1)).await;
    let outcome = fenced(&*authority, put(key.clone(), 4, at(1, 0)), barrier(6, 1)).await;
    assert!(matches!(outcome, FencedOutcome::Done(WriteOutcome::Superseded(_), _)), "{outcome:?}");
    assert_eq!(number_of(&*authority, &key).await, Some(3));
}

async fn number_of(authority: &(impl Authority + ?Sized), key: &RowKey) -> Option<i64> {
    seen(authority, key).await.0.as_ref().map(number)
}

/// Raising never lowers, in either part.
pub async fn barriers_only_rise(authority: Arc<impl Authority>) {
    let keys = Keys::new();
    let key = keys.key("a");
    applied(&*authority, put(key.clone(), 1, at(1, 0)), barrier(1, 1)).await;
    for (to, stands) in [
        (barrier(2, 30), barrier(2, 30)),
        (barrier(2, 0), barrier(2, 30)),
        (barrier(2, 29), barrier(2, 30)),
        (barrier(1, 99), barrier(2, 30)),
        (barrier(2, 31), barrier(2, 31)),
        (barrier(3, 0), barrier(3, 0)),
        (barrier(2, 99), barrier(3, 0)),
        (barrier(u64::MAX >> 1, u64::MAX >> 1), barrier(u64::MAX >> 1, u64::MAX >> 1)),
    ] {
        assert_eq!(raise(&*authority, &key, to).await.as_ref().map(number), Some(1));
        assert_eq!(seen(&*authority, &key).await.1, stands, "after raising to {to:?}");
    }
}

/// A barrier can stand where no row does. It stays absent to every reader and every condition, and
/// its first rev lies above the seed that came with the barrier.
pub async fn absent_rows_keep_barriers(authority: Arc<impl Authority>) {
    let keys = Keys::new();
    let key = keys.key("a");
    let later = SEED + 1_000;
    let row = must(authority.raise_barrier(&key, barrier(2, 20), later, None).await);
    assert!(row.is_none(), "{row:?}");
    assert_eq!(seen(&*authority, &key).await, (None, barrier(2, 20)));
    assert!(raise(&*authority, &key, barrier(2, 25)).await.is_none());
    assert_eq!(
        barred(&*authority, put(key.clone(), 1, at(1, 0)), barrier(2, 25)).await,
        barrier(2, 25)
    );
    let write =
        RowWrite { condition: Condition::ExactRev(0), ..put(key.clone(), 2, at(i64::MIN, 0)) };
    let (stamp, row) = applied(&*authority, write, barrier(2, 26)).await;
    assert!(stamp.rev > later, "{} is not above {later}", stamp.rev);
    assert_eq!(row.as_ref().map(number), Some(2));
    assert_eq!(seen(&*authority, &key).await.1, barrier(2, 25));
    // Never seen: no row, no barrier.
    assert_eq!(seen(&*authority, &keys.key("b")).await, (None, Barrier::default()));
}

/// A delete leaves the barrier in force, and raising returns the tombstone.
pub async fn tombstones_keep_barriers(authority: Arc<impl Authority>) {
    let keys = Keys::new();
    let key = keys.key("a");
    applied(&*authority, put(key.clone(), 1, at(1, 0)), barrier(1, 5)).await;
    raise(&*authority, &key, barrier(1, 9)).await;
    let (gone, row) = applied(&*authority, delete(key.clone(), at(2, 0)), barrier(1, 10)).await;
    assert_eq!(row.as_ref().map(Stamp::of), Some(gone));
    assert!(row.is_some_and(|row| row.is_deleted()));
    barred(&*authority, put(key.clone(), 2, at(3, 0)), barrier(1, 9)).await;
    let row = raise(&*authority, &key, barrier(1, 11)).await;
    assert_eq!(row.as_ref().map(Stamp::of), Some(gone), "raising returns tombstones");
    assert_eq!(seen(&*authority, &key).await.1, barrier(1, 11));
    let (back, _) = applied(&*authority, put(key.clone(), 3, at(3, 0)), barrier(1, 12)).await;
    assert_eq!((back.rev, back.deleted), (gone.rev + 1, false));
    assert_eq!(seen(&*authority, &key).await.1, barrier(1, 11), "and a put keeps it too");
}

/// A recognised retry is told success; the row comes with it only if the barrier's epoch has been
/// raised to the writer's, since whoever gets the row may put it into the cache.
pub async fn retries_give_no_unprotected_row(authority: Arc<impl Authority>) {
    let keys = Keys::new();
    let key = keys.key("a");
    let write = RowWrite {
        write_id: WriteId(u128::MAX - 5),
        ..put(key.clone(), 1, Order::Now { now: Timestamp(10) })
    };
    let (first, _) = applied(&*authority, write.clone(), barrier(1, 10)).await;
    let (again, row) = applied(&*authority, write.clone(), barrier(3, 10)).await;
    assert_eq!(again, first);
    if let Some(row) = row {
        assert_eq!(Stamp::of(&row), first);
        assert_eq!(seen(&*authority, &key).await.1.epoch, 3, "a row without protection");
    }
    // Below the barrier the fence may be gone: told success or refused, but no row.
    raise(&*authority, &key, barrier(4, 0)).await;
    let outcome = fenced(&*authority, write, barrier(3, 11)).await;
    assert!(
        matches!(
            outcome,
            FencedOutcome::Barred(_) | FencedOutcome::Done(WriteOutcome::Applied(_), None)
        ),
        "{outcome:?}"
    );
}

/// A write that was refused by the rule contributes nothing to the cache.
pub async fn refusals_give_no_row(authority: Arc<impl Authority>) {
    let keys = Keys::new();
    let key = keys.key("a");
    applied(&*authority, put(key.clone(), 1, at(10, 0)), barrier(1, 1)).await;
    let write = put(key.clone(), 2, at(5, 0));
    let outcome = fenced(&*authority, write, barrier(2, 1)).await;
    assert!(
        matches!(outcome, FencedOutcome::Done(WriteOutcome::Superseded(_), None)),
        "a refusal came with a row: {outcome:?}"
    );
}

/// Barriers and writes of one row are one sequence: once a barrier has been raised, what it refuses
/// does not come after the row that raising returned.
pub async fn barriers_and_writes_race(authority: Arc<impl Authority + 'static>) {
    const ROUNDS: u64 = 20;
    let keys = Keys::new();
    for round in 1..=ROUNDS {
        let key = keys.numbered(round as usize);
        applied(&*authority, put(key.clone(), 0, at(0, 0)), barrier(round, 1)).await;
        let writers = (1..=4_i64).map(|value| {
            let (authority, key) = (Arc::clone(&authority), key.clone());
            tokio::spawn(async move {
                fenced(&*authority, put(key, value, at(value, 0)), barrier(round, 10)).await
            })
        });
        let writers: Vec<_> = writers.collect();
        let row = raise(&*authority, &key, barrier(round, 10)).await;
        for outcome in join_all(writers).await {
            match outcome {
                Ok(FencedOutcome::Done(..) | FencedOutcome::Barred(_)) => {}
                Err(error) => unreachable!("a writer panicked: {error}"),
            }
        }
        assert_eq!(seen(&*authority, &key).await.0, row, "a write slipped past its barrier");
    }
}

/// Batches keep order and length, with keys asked twice.
pub async fn batches_of_barriers(authority: Arc<impl Authority>) {
    let keys = Keys::new();
    for index in 1..=120 {
        let write = put(keys.numbered(index), index as i64, at(1, 0));
        applied(&*authority, write, barrier(index as u64, 1)).await;
    }
    let asked: Vec<usize> = (0..=130).chain([7, 7, 500]).rev().collect();
    let wanted: Vec<RowKey> = asked.iter().map(|index| keys.numbered(*index)).collect();
    let found = authority.get_with_barrier(&wanted, None).await;
    assert_eq!(found.len(), asked.len());
    for (index, found) in asked.into_iter().zip(found) {
        let (row, barrier) = must(found);
        let expected = (1..=120).contains(&index).then_some(index as i64);
        assert_eq!(row.as_ref().map(number), expected);
        assert_eq!(barrier.epoch, expected.map_or(0, |index| index as u64));
    }
    assert!(authority.get_with_barrier(&[], None).await.is_empty());
}

/// Work whose deadline has passed is not begun.
pub async fn late_fenced_work_is_refused(authority: Arc<impl Authority>) {
    let keys = Keys::new();
    let key = keys.key("a");
    let past = Instant::now().checked_sub(Duration::from_secs(1));
    assert!(past.is_some());
    let write = put(key.clone(), 1, at(1, 0));
    let refused = authority.write_fenced(write, barrier(1, 1), SEED, past).await;
    assert!(matches!(refused, Err(Error::Unavailable(_))), "{refused:?}");
    let refused = authority.raise_barrier(&key, barrier(1, 1), SEED, past).await;
    assert!(matches!(refused, Err(Error::Unavailable(_))), "{refused:?}");
    let refused = authority.get_with_barrier(std::slice::from_ref(&key), past).await;
    assert!(matches!(refused.as_slice(), [Err(Error::Unavailable(_))]), "{refused:?}");
    assert_eq!(seen(&*authority, &key).await, (None, Barrier::default()));
}

/// The epoch record is replaced only as a whole and only where it is the expected one; of many who
/// try at once, one wins.
pub async fn the_epoch_is_swapped(authority: Arc<impl Authority + 'static>) {
    let before = must(authority.epoch().await);
    let base = before.as_ref().map_or(0, |record| record.number);
    let record = |above: u64, state, marker| EpochRecord {
        number: base + above,
        state,
        marker,
        servers: vec!["a".to_owned(), "b".to_owned()],
    };
    let first = record(1, CacheState::Enabled, u128::MAX);
    assert!(must(authority.swap_epoch(before.as_ref(), &first).await));
    assert_eq!(must(authority.epoch().await), Some(first.clone()));
    assert!(!must(
        authority.swap_epoch(before.as_ref(), &record(2, CacheState::Disabled, 1)).await
    ));
    // Every part counts.
    for other in [
        record(1, CacheState::Draining, u128::MAX),
        record(1, CacheState::Enabled, u128::MAX - 1),
        record(2, CacheState::Enabled, u128::MAX),
        EpochRecord { servers: vec!["a".to_owned()], ..first.clone() },
    ] {
        let new = record(9, CacheState::Disabled, 1);
        assert!(!must(authority.swap_epoch(Some(&other), &new).await), "{other:?} is not there");
    }
    assert!(!must(authority.swap_epoch(None, &record(9, CacheState::Disabled, 1)).await));
    assert_eq!(must(authority.epoch().await), Some(first.clone()));

    let mut known = first;
    for round in 0..5_u64 {
        let tries = (0..6_u128).map(|own| {
            let (authority, known) = (Arc::clone(&authority), known.clone());
            let new = record(2 + round, CacheState::Draining, own);
            tokio::spawn(async move { authority.swap_epoch(Some(&known), &new).await.ok() })
        });
        let tries: Vec<_> = tries.collect();
        let won: Vec<usize> = join_all(tries)
            .await
            .into_iter()
            .enumerate()
            .filter(|(_, won)| matches!(won, Ok(Some(true))))
            .map(|(own, _)| own)
            .collect();
        assert_eq!(won.len(), 1, "round {round}: {won:?} won");
        let Some(now) = must(authority.epoch().await) else { unreachable!("the record is gone") };
        assert_eq!(Some(now.marker), won.first().map(|own| *own as u128));
        known = now;
    }
}
