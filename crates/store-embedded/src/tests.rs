use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use tempfile::TempDir;
use trivium_codec::{KeyShape, Row, RowEncoder, RowKey, Schema, ValueRef};
use trivium_model::{DataType, KeyType, KeyValue, Lane, Name, Timestamp, ViewRef};
use trivium_store::{
    Checkpoints, OnlineRead, OnlineWrite, Order as RowOrder, ReadOptions, RowWrite,
    SubjectStore as _, SubjectTombstone, WriteOp, WriteOutcome,
};

use crate::{Durability, EmbeddedStore, Error, Options, flush::GroupFlush};

/// The store's folder goes with the process, not with the test: the suite wants only the store.
fn kept_folder() -> std::path::PathBuf {
    static FOLDER: std::sync::LazyLock<TempDir> =
        std::sync::LazyLock::new(|| TempDir::new().unwrap());
    static NEXT: AtomicU64 = AtomicU64::new(0);
    FOLDER.path().join(NEXT.fetch_add(1, Ordering::Relaxed).to_string())
}

mod by_default {
    use super::*;
    async fn make() -> Arc<EmbeddedStore> {
        Arc::new(EmbeddedStore::open(Options::new(kept_folder())).unwrap())
    }
    trivium_store::conformance_tests!(make);
    trivium_store::subject_conformance_tests!(make);
}

/// Nothing stays in the cache for long, so that every path to the engine is taken.
mod with_a_tiny_cache {
    use super::*;
    async fn make() -> Arc<EmbeddedStore> {
        let options = Options { row_cache_bytes: 20_000, ..Options::new(kept_folder()) };
        Arc::new(EmbeddedStore::open(options).unwrap())
    }
    trivium_store::conformance_tests!(make);
    trivium_store::subject_conformance_tests!(make);
}

mod against_power_failures {
    use super::*;
    async fn make() -> Arc<EmbeddedStore> {
        let options = Options { durability: Durability::Power, ..Options::new(kept_folder()) };
        Arc::new(EmbeddedStore::open(options).unwrap())
    }
    async fn counter() {
        trivium_store::conformance::counters_are_linearizable(make().await).await;
    }
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn counters_and_retries() {
        counter().await;
        trivium_store::conformance::retries_are_recognised(make().await).await;
        trivium_store::conformance::checkpoints_contend(make().await).await;
    }
}

fn schema() -> Schema {
    Schema::new([(Name::new("f").unwrap(), DataType::Int64)]).unwrap()
}

fn key(number: i64) -> RowKey {
    let view =
        ViewRef { namespace: Name::new("n").unwrap(), view: Name::new("v").unwrap(), version: 1 };
    KeyShape::from_parts(&view, [(Name::new("k").unwrap(), KeyType::Int64)])
        .encode(&[KeyValue::Int64(number)])
        .unwrap()
}

fn put(number: i64, event_time: i64) -> RowWrite {
    let schema = schema();
    let row = RowEncoder::new(&schema).encode(Lane::Batch, &[Some(ValueRef::Int64(event_time))]);
    let order = RowOrder::At { event_time: Timestamp(event_time), sequence: Some(0) };
    RowWrite::new(key(number), WriteOp::Put(row.unwrap()), order)
}

async fn read(store: &EmbeddedStore, number: i64) -> Option<Row> {
    store.get(&[key(number)], &ReadOptions::default()).await.pop().unwrap().unwrap()
}

#[tokio::test]
async fn everything_is_there_after_reopening() {
    let folder = TempDir::new().unwrap();
    for round in 0..3 {
        let store = EmbeddedStore::open(Options::new(folder.path())).unwrap();
        for number in 0..round * 100 {
            assert!(read(&store, number).await.is_some());
        }
        let writes = (round * 100..(round + 1) * 100).map(|number| put(number, 1)).collect();
        for outcome in store.write(writes, 7, None).await {
            assert!(matches!(outcome, Ok(WriteOutcome::Applied(_))));
        }
        let expected = (round > 0).then(|| (round - 1).to_string());
        let expected = expected.as_deref().map(str::as_bytes);
        assert!(store.store("round", expected, round.to_string().into()).await.unwrap());
    }
}

#[tokio::test]
async fn a_second_opening_is_refused_with_advice() {
    let folder = TempDir::new().unwrap();
    let store = EmbeddedStore::open(Options::new(folder.path())).unwrap();
    let error = EmbeddedStore::open(Options::new(folder.path())).unwrap_err();
    assert!(matches!(error, Error::Locked { .. }), "{error}");
    let text = error.to_string();
    assert!(
        text.contains(folder.path().to_str().unwrap()) && text.contains("--data-dir"),
        "{text}"
    );
    drop(store);
    EmbeddedStore::open(Options::new(folder.path())).unwrap();
}

#[tokio::test]
async fn rows_stay_within_the_cache_and_are_read_past_it() {
    let folder = TempDir::new().unwrap();
    let options = Options { row_cache_bytes: 100_000, ..Options::new(folder.path()) };
    let store = EmbeddedStore::open(options).unwrap();
    let writes = (0..5_000).map(|number| put(number, 1)).collect();
    store.write(writes, 7, None).await;
    assert!(store.cache_stats().bytes <= 100_000, "{:?}", store.cache_stats());
    let keys: Vec<RowKey> = (0..5_000).map(key).collect();
    for row in store.get(&keys, &ReadOptions::default()).await {
        assert!(row.unwrap().is_some());
    }
    assert!(store.cache_stats().bytes <= 100_000, "{:?}", store.cache_stats());
}

#[tokio::test]
async fn a_second_read_is_served_from_memory() {
    let folder = TempDir::new().unwrap();
    let store = EmbeddedStore::open(Options::new(folder.path())).unwrap();
    store.write(vec![put(1, 1)], 7, None).await;
    drop(store);
    let store = EmbeddedStore::open(Options::new(folder.path())).unwrap();
    read(&store, 1).await.unwrap();
    let before = store.cache_stats();
    read(&store, 1).await.unwrap();
    let after = store.cache_stats();
    assert_eq!((after.hits - before.hits, after.misses - before.misses), (1, 0));
}

/// Rows that readers want are changed by a load, and stay; what it brings takes no room, what it changes
/// takes what room is left.
#[tokio::test]
async fn a_load_changes_cached_rows_and_takes_no_room_of_theirs() {
    let folder = TempDir::new().unwrap();
    let store = EmbeddedStore::open(Options::new(folder.path())).unwrap();
    store.write(vec![put(1, 1)], 7, None).await;
    store.write((0..1_000).map(|number| put(number, 2)).collect(), 7, None).await;
    assert_eq!(store.cache_stats().rows, 1);
    store.write((0..1_000).map(|number| put(number, 3)).collect(), 7, None).await;
    assert_eq!(store.cache_stats().rows, 1_000);
    let before = store.cache_stats();
    assert_eq!(read(&store, 1).await.unwrap().header().event_time, Timestamp(3));
    assert_eq!(read(&store, 2).await.unwrap().header().event_time, Timestamp(3));
    assert_eq!(store.cache_stats().hits - before.hits, 2);

    let folder = TempDir::new().unwrap();
    let options = Options { row_cache_bytes: 100_000, ..Options::new(folder.path()) };
    let store = EmbeddedStore::open(options).unwrap();
    store.write(vec![put(1, 1)], 7, None).await;
    read(&store, 1).await.unwrap();
    for event_time in 1..3 {
        for load in 0..20 {
            let writes = (100..1_100).map(|n| put(load * 1_000 + n, event_time));
            store.write(writes.collect(), 7, None).await;
        }
    }
    store.write((0..100).map(|number| put(number, 2)).collect(), 7, None).await;
    let before = store.cache_stats();
    assert_eq!(read(&store, 1).await.unwrap().header().event_time, Timestamp(2));
    assert_eq!(store.cache_stats().hits - before.hits, 1);
}

/// Loads look for their rows before they have the locks: what another one commits meanwhile must not
/// be lost, nor counted twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn loads_of_the_same_rows_lose_no_write() {
    let folder = TempDir::new().unwrap();
    let store = EmbeddedStore::open(Options::new(folder.path())).unwrap();
    let (rows, loads) = (200, 8);
    for round in 0..30 {
        let mut loading = Vec::new();
        for load in 0..loads {
            // The youngest first, last, or between; and a row that comes twice in its load.
            let event_time = round * loads + (load + round) % loads + 1;
            let writes: Vec<RowWrite> =
                (0..rows).chain([7]).map(|number| put(number, event_time)).collect();
            let store = store.clone();
            loading.push(tokio::spawn(async move { store.write(writes, 1, None).await }));
        }
        let mut revs = vec![Vec::new(); rows as usize];
        for outcomes in loading {
            for (number, outcome) in (0..rows as usize).zip(outcomes.await.unwrap()) {
                if let WriteOutcome::Applied(stamp) = outcome.unwrap() {
                    revs[number].push(stamp.rev);
                }
            }
        }
        for (number, mut revs) in revs.into_iter().enumerate() {
            let row = read(&store, number as i64).await.unwrap();
            assert_eq!(row.header().event_time, Timestamp((round + 1) * loads), "row {number}");
            revs.sort_unstable();
            let applied = revs.len();
            revs.dedup();
            assert_eq!(revs.len(), applied, "row {number}: a rev was given twice");
            assert_eq!(revs.last(), Some(&row.rev()), "row {number}");
        }
    }
}

#[tokio::test]
async fn checkpoint_limits_are_errors() {
    let folder = TempDir::new().unwrap();
    let store = EmbeddedStore::open(Options::new(folder.path())).unwrap();
    let value = || bytes::Bytes::from_static(b"x");
    for name in ["", &"n".repeat(1025)] {
        assert!(matches!(store.load(name).await, Err(trivium_store::Error::Invalid(_))));
        let stored = store.store(name, None, value()).await;
        assert!(matches!(stored, Err(trivium_store::Error::Invalid(_))));
    }
    assert!(store.store(&"n".repeat(1024), None, value()).await.unwrap());
}

#[test]
fn options_are_read_strictly() {
    let options: Options = serde_json::from_str(r#"{"path": "p", "durability": "power"}"#).unwrap();
    assert_eq!(options, Options { durability: Durability::Power, ..Options::new("p") });
    assert!(serde_json::from_str::<Options>(r#"{"path": "p", "durable": true}"#).is_err());
    let tiny = Options { write_buffer_bytes: 1, ..Options::new(kept_folder()) };
    assert!(matches!(EmbeddedStore::open(tiny), Err(Error::Option { .. })));
}

#[test]
fn flushes_are_shared_and_failures_stay() {
    let group = GroupFlush::default();
    let count = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                group.flush(|| {
                    count.fetch_add(1, Ordering::Relaxed);
                    Ok(())
                })
            });
        }
    });
    assert!((1..=16).contains(&count.load(Ordering::Relaxed)));
    assert_eq!(group.flush(|| Err("no disk".to_owned())), Err("no disk".to_owned()));
    assert_eq!(group.flush(|| Ok(())), Err("no disk".to_owned()));
}

/// A batch looks at the tombstone for each of its rows and commits later: a tombstone comes before all of
/// that or after it. What is not there when the tombstone is acknowledged never comes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tombstone_and_a_batch_do_not_overlap() {
    let folder = TempDir::new().unwrap();
    let store = EmbeddedStore::open(Options::new(folder.path())).unwrap();
    let rows = 3_000;
    for round in 0..20_i64 {
        let subject: Arc<str> = format!("anna{round}").into();
        let writes = (0..rows).map(|number| RowWrite {
            subject: Some(Arc::clone(&subject)),
            ..put(round * rows + number, 50)
        });
        let (writer, writes) = (store.clone(), writes.collect());
        let writing = tokio::spawn(async move { writer.write(writes, 1, None).await });
        // At some moment of the batch: each round later.
        tokio::time::sleep(std::time::Duration::from_micros(round.unsigned_abs() * 400)).await;
        let tombstone = SubjectTombstone {
            up_to: Timestamp(100),
            erasure: 1,
            version: 1,
            is_open: true,
            job: bytes::Bytes::new(),
        };
        assert!(store.swap_tombstone(&subject, None, &tombstone).await.unwrap());
        let mut there = 0;
        for number in 0..rows {
            there += u32::from(read(&store, round * rows + number).await.is_some());
        }
        let outcomes = writing.await.unwrap();
        let applied = |outcome: &&Result<_, _>| matches!(outcome, Ok(WriteOutcome::Applied(_)));
        let applied = outcomes.iter().filter(applied).count();
        assert_eq!(applied, there as usize, "round {round}: rows came after the tombstone");
    }
}
