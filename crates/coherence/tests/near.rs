//! Copies in the process: never older than asked for, never looked at by strong reads.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a whole file of tests")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

use trivium_codec::{KeyShape, Row, RowEncoder, RowKey, Schema, ValueRef};
use trivium_coherence::{NearCopies, SteadyClock};
use trivium_model::{DataType, KeyType, KeyValue, Lane, Name, Timestamp, ViewRef};
use trivium_store::{
    Consistency, MemoryStore, OnlineRead, OnlineWrite, Order, ReadOptions, RowWrite, WriteOp,
};

#[derive(Debug, Default)]
struct Hands(AtomicU64);

impl SteadyClock for Hands {
    fn now_micros(&self) -> u64 {
        self.0.load(SeqCst)
    }
}

fn key(number: i64) -> RowKey {
    let name = |text| Name::new(text).unwrap();
    let view = ViewRef { namespace: name("n"), view: name("v"), version: 1 };
    KeyShape::from_parts(&view, [(name("k"), KeyType::Int64)])
        .encode(&[KeyValue::Int64(number)])
        .unwrap()
}

fn schema() -> Schema {
    Schema::new([(Name::new("x").unwrap(), DataType::Int64)]).unwrap()
}

async fn put<S: OnlineWrite>(store: &S, number: i64, value: i64) {
    let schema = schema();
    let values = [Some(ValueRef::Int64(value))];
    let row = RowEncoder::new(&schema).encode(Lane::Direct, &values).unwrap();
    let order = Order::Now { now: Timestamp(1) };
    let write = RowWrite::new(key(number), WriteOp::Put(row), order);
    for outcome in store.write(vec![write], 1, None).await {
        outcome.unwrap();
    }
}

fn value(row: &Option<Row>) -> Option<i64> {
    let schema = schema();
    let value = row.as_ref()?.reader(&schema).unwrap().get(0).unwrap();
    match value {
        Some(ValueRef::Int64(value)) => Some(value),
        other => panic!("{other:?}"),
    }
}

async fn read<S: OnlineRead>(store: &S, numbers: &[i64], ms: Option<u64>) -> Vec<Option<i64>> {
    let consistency = ms.map_or(Consistency::Strong, |ms| Consistency::Cached {
        max_staleness: Duration::from_millis(ms),
    });
    let options = ReadOptions { consistency, ..ReadOptions::default() };
    let keys: Vec<RowKey> = numbers.iter().copied().map(key).collect();
    store.get(&keys, &options).await.iter().map(|row| value(row.as_ref().unwrap())).collect()
}

#[tokio::test]
async fn a_copy_is_never_older_than_asked_for() {
    let (below, clock) = (Arc::new(MemoryStore::new()), Arc::new(Hands::default()));
    let near = NearCopies::with_clock(Below(below.clone()), 1 << 20, clock.clone());
    clock.0.store(10_000_000, SeqCst);
    put(&*below, 1, 1).await;
    assert_eq!(read(&near, &[1, 2], Some(500)).await, [Some(1), None]);
    // Written behind its back, as another node would.
    put(&*below, 1, 2).await;
    put(&*below, 2, 2).await;
    clock.0.store(10_500_000, SeqCst);
    assert_eq!(read(&near, &[2, 1, 1], Some(500)).await, [None, Some(1), Some(1)], "old enough");
    assert_eq!(read(&near, &[1], Some(499)).await, [Some(2)], "too old for this one");
    assert_eq!(read(&near, &[1], Some(500)).await, [Some(2)], "it brought a newer copy");
    assert_eq!(read(&near, &[2], None).await, [Some(2)], "strong reads do not look at copies");
    assert_eq!(read(&near, &[2], Some(500)).await, [None], "nor leave any");
    clock.0.store(10_500_001, SeqCst);
    assert_eq!(read(&near, &[2], Some(500)).await, [Some(2)]);
    // Through this one, the copy goes.
    put(&near, 1, 3).await;
    assert_eq!(read(&near, &[1], Some(500)).await, [Some(3)]);
}

#[tokio::test]
async fn without_room_every_read_is_strong() {
    let below = Arc::new(MemoryStore::new());
    let near = NearCopies::new(Below(below.clone()), 0);
    put(&near, 1, 1).await;
    assert_eq!(read(&near, &[1], Some(60_000)).await, [Some(1)]);
    put(&*below, 1, 2).await;
    assert_eq!(read(&near, &[1], Some(60_000)).await, [Some(2)]);
}

/// The store that another node shares.
struct Below(Arc<MemoryStore>);

#[async_trait::async_trait]
impl OnlineRead for Below {
    async fn get(
        &self,
        keys: &[RowKey],
        options: &ReadOptions,
    ) -> Vec<Result<Option<Row>, trivium_store::Error>> {
        self.0.get(keys, options).await
    }
}

#[async_trait::async_trait]
impl OnlineWrite for Below {
    async fn write(
        &self,
        writes: Vec<RowWrite>,
        seed_micros: u64,
        deadline: Option<std::time::Instant>,
    ) -> Vec<Result<trivium_store::WriteOutcome, trivium_store::Error>> {
        self.0.write(writes, seed_micros, deadline).await
    }
}
