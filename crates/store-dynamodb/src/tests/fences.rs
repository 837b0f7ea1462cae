//! Barriers and the epoch record.

use trivium_codec::Row;
use trivium_store::{
    Authority as _, Barrier, CacheState, Condition, EpochRecord, Error, FencedOutcome,
    OnlineRead as _, OnlineWrite as _, Order, ReadOptions, RowWrite, Stamp, WriteOutcome,
};

use super::support::{SEED, delete, key, new_table, number, put};
use crate::DynamoStore;

const fn barrier(epoch: u64, deadline: u64) -> Barrier {
    Barrier { epoch, deadline }
}

async fn fenced(store: &DynamoStore, write: RowWrite, fence: Barrier) -> FencedOutcome {
    store.write_fenced(write, fence, SEED, None).await.unwrap()
}

fn applied(outcome: FencedOutcome) -> Row {
    match outcome {
        FencedOutcome::Done(WriteOutcome::Applied(stamp), Some(row)) => {
            assert_eq!(Stamp::of(&row), stamp, "the row has the stamp that is told");
            row
        }
        other => panic!("{other:?}"),
    }
}

async fn read(store: &DynamoStore, number: i64) -> (Option<Row>, Barrier) {
    store.get_with_barrier(&[key("v", number)], None).await.pop().unwrap().unwrap()
}

#[tokio::test]
async fn writes_below_the_barrier_are_barred() {
    let store = new_table().await;
    let key = key("v", 1);
    let first = applied(fenced(&store, put(&key, 1, 11), barrier(5, 100)).await);
    assert_eq!((first.rev(), number(&first)), (SEED, 1));
    let (row, seen) = read(&store, 1).await;
    assert_eq!((row, seen), (Some(first), barrier(5, 0)), "only the epoch is raised by a write");
    // The same epoch again, whatever its deadline; an older epoch never.
    applied(fenced(&store, put(&key, 2, 12), barrier(5, 1)).await);
    for late in [barrier(4, u64::MAX), barrier(5, 0)] {
        match fenced(&store, put(&key, 3, 13), late).await {
            FencedOutcome::Barred(seen) => assert_eq!(seen, barrier(5, 0)),
            other => panic!("{other:?}"),
        }
    }
    let raised = store.raise_barrier(&key, barrier(5, 300), SEED, None).await.unwrap().unwrap();
    assert_eq!(number(&raised), 2, "raising returns the row");
    match fenced(&store, put(&key, 3, 13), barrier(5, 300)).await {
        FencedOutcome::Barred(seen) => assert_eq!(seen, barrier(5, 300)),
        other => panic!("{other:?}"),
    }
    applied(fenced(&store, put(&key, 3, 13), barrier(5, 301)).await);
    assert_eq!(read(&store, 1).await.1, barrier(5, 300), "a write leaves its epoch's deadline");
    // A newer epoch forgets the deadline of the older one.
    applied(fenced(&store, put(&key, 4, 14), barrier(6, 1)).await);
    assert_eq!(read(&store, 1).await.1, barrier(6, 0));
    applied(fenced(&store, put(&key, 5, 15), barrier(6, 1)).await);
    // Lowering is not possible, and still tells the row.
    let same = store.raise_barrier(&key, barrier(5, 999), SEED, None).await.unwrap().unwrap();
    assert_eq!((number(&same), read(&store, 1).await.1), (5, barrier(6, 0)));
    // Ours is told success though it is barred by now: it was applied. The row, which nothing
    // protects at this fence any more, is not told.
    store.raise_barrier(&key, barrier(9, 0), SEED, None).await.unwrap();
    let again = fenced(&store, put(&key, 5, 15), barrier(6, 1)).await;
    assert!(matches!(again, FencedOutcome::Done(WriteOutcome::Applied(_), None)), "{again:?}");
    // The barrier is looked at before condition and order.
    let conflicting = RowWrite { condition: Condition::Rev(1), ..put(&key, 1, 16) };
    let barred = fenced(&store, conflicting.clone(), barrier(9, 0)).await;
    assert!(matches!(barred, FencedOutcome::Barred(_)), "{barred:?}");
    let refused = fenced(&store, conflicting, barrier(9, 1)).await;
    assert!(
        matches!(refused, FencedOutcome::Done(WriteOutcome::Conflict(Some(_)), None)),
        "{refused:?}"
    );
    // A write without a fence asks no barrier, and leaves it.
    let write = store.write(vec![put(&key, 6, 17)], SEED, None).await.pop().unwrap().unwrap();
    assert!(matches!(write, WriteOutcome::Applied(_)), "{write:?}");
    assert_eq!(read(&store, 1).await.1, barrier(9, 0));
    let zero = store.write_fenced(put(&key, 7, 0), barrier(0, 0), SEED, None).await;
    assert!(matches!(zero, Err(Error::Invalid(_))), "{zero:?}");
}

#[tokio::test]
async fn a_barrier_needs_no_row_and_outlives_it() {
    let store = new_table().await;
    let key = key("v", 1);
    assert!(store.raise_barrier(&key, barrier(3, 50), SEED, None).await.unwrap().is_none());
    assert_eq!(read(&store, 1).await, (None, barrier(3, 50)));
    let plain = store.get(std::slice::from_ref(&key), &ReadOptions::default()).await.pop().unwrap();
    assert!(plain.unwrap().is_none(), "to every reader it is no row");
    let raised = store.raise_barrier(&key, barrier(3, 60), SEED + 9, None).await.unwrap();
    assert!(raised.is_none());
    let barred = fenced(&store, put(&key, 1, 1), barrier(3, 60)).await;
    assert!(matches!(barred, FencedOutcome::Barred(seen) if seen == barrier(3, 60)), "{barred:?}");
    // To conditions it is no row either; its rev goes on from the barrier's.
    let only_new = |write| RowWrite { condition: Condition::ExactRev(0), ..write };
    let first = applied(fenced(&store, only_new(put(&key, 1, 1)), barrier(3, 61)).await);
    assert_eq!(first.rev(), SEED + 1);
    let replacing = Order::Replacing {
        event_time: trivium_model::Timestamp(1),
        sequence: 0,
        new_event_time: trivium_model::Timestamp(0),
        new_sequence: 0,
    };
    let write = RowWrite { order: replacing, ..delete(&key, 0) };
    let gone = applied(fenced(&store, write, barrier(3, 61)).await);
    assert!(gone.is_deleted());
    assert_eq!(read(&store, 1).await, (Some(gone.clone()), barrier(3, 60)));
    let seen = store.raise_barrier(&key, barrier(4, 0), SEED, None).await.unwrap();
    assert_eq!(seen, Some(gone), "tombstones are rows here");
}

/// A barrier that is about to expire with its row is kept, and so is the row.
#[tokio::test]
async fn raising_puts_off_expiry() {
    let store = new_table().await;
    let key = key("v", 1);
    let grace = store.options().grace_seconds;
    store.write(vec![delete(&key, 1)], SEED, None).await;
    let expires_at = async || {
        store
            .0
            .read(std::slice::from_ref(&key), None)
            .await
            .pop()
            .unwrap()
            .unwrap()
            .expires_at
            .unwrap()
    };
    let first = expires_at().await;
    let later = |seconds| SEED + seconds * 1_000_000;
    store.raise_barrier(&key, barrier(1, 0), later(10), None).await.unwrap();
    assert_eq!(expires_at().await, first, "not yet worth a write");
    store.raise_barrier(&key, barrier(2, 0), later(grace - 10), None).await.unwrap();
    assert_eq!(expires_at().await, first + grace - 10);
    // Also where the barrier is high enough already.
    store.raise_barrier(&key, barrier(2, 0), later(2 * grace - 20), None).await.unwrap();
    assert_eq!(expires_at().await, first + 2 * grace - 20);
    assert_eq!(read(&store, 1).await.1, barrier(2, 0));
}

/// Writers of one row and a reader who raises its barrier, all at once: an attempt is applied or
/// barred, and whoever was barred is seen by nobody.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writers_and_raisers_contend() {
    let store = new_table().await;
    let key = key("v", 1);
    let raise = {
        let (store, key) = (store.clone(), key.clone());
        tokio::spawn(async move {
            for deadline in 0..50 {
                store.raise_barrier(&key, barrier(1, deadline * 10), SEED, None).await.unwrap();
            }
        })
    };
    let writers: Vec<_> = (0..4_u64)
        .map(|writer| {
            let (store, key) = (store.clone(), key.clone());
            tokio::spawn(async move {
                let mut revs = Vec::new();
                for turn in 0..50 {
                    let now = Order::Now { now: trivium_model::Timestamp(0) };
                    let id = u128::from(writer * 1_000 + turn + 1);
                    let write = RowWrite { order: now, ..put(&key, id as i64, id) };
                    match fenced(&store, write, barrier(1, turn * 10 + 5)).await {
                        FencedOutcome::Done(WriteOutcome::Applied(stamp), _) => {
                            revs.push(stamp.rev)
                        }
                        FencedOutcome::Barred(_) => {}
                        other => panic!("{other:?}"),
                    }
                }
                revs
            })
        })
        .collect();
    let mut revs = Vec::new();
    for writer in writers {
        revs.extend(writer.await.unwrap());
    }
    raise.await.unwrap();
    revs.sort_unstable();
    let count = revs.len();
    revs.dedup();
    assert_eq!(revs.len(), count, "two writes got one rev");
    let (row, seen) = read(&store, 1).await;
    assert_eq!(row.map(|row| row.rev()), revs.last().copied());
    assert_eq!(seen, barrier(1, 490));
}

#[tokio::test]
async fn the_epoch_record_is_compared_and_set() {
    let store = new_table().await;
    let record = |number, state, servers: &[&str]| EpochRecord {
        number,
        state,
        marker: u128::MAX - 3,
        servers: servers.iter().map(|&server| server.to_owned()).collect(),
    };
    assert_eq!(store.epoch().await.unwrap(), None);
    let first = record(1, CacheState::Disabled, &[]);
    assert!(!store.swap_epoch(Some(&first), &first).await.unwrap());
    assert!(store.swap_epoch(None, &first).await.unwrap());
    assert!(!store.swap_epoch(None, &first).await.unwrap());
    assert_eq!(store.epoch().await.unwrap().as_ref(), Some(&first));
    let second = record(2, CacheState::Enabled, &["a/1", "b/2"]);
    for wrong in [
        record(1, CacheState::Draining, &[]),
        record(2, CacheState::Disabled, &[]),
        record(1, CacheState::Disabled, &["a/1"]),
        EpochRecord { marker: 1, ..first.clone() },
    ] {
        assert!(!store.swap_epoch(Some(&wrong), &second).await.unwrap(), "{wrong:?}");
    }
    assert!(store.swap_epoch(Some(&first), &second).await.unwrap());
    assert!(!store.swap_epoch(Some(&first), &second).await.unwrap());
    assert_eq!(store.epoch().await.unwrap(), Some(second));
}
