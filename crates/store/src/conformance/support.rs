//! Short spellings for the checks.

use std::sync::{
    LazyLock,
    atomic::{AtomicU64, Ordering},
};

use trivium_codec::{KeyShape, Row, RowEncoder, RowKey, Schema, ValueRef};
use trivium_model::{DataType, KeyType, KeyValue, Lane, Name, Timestamp, ViewRef};

use super::Store;
use crate::{Error, Order, ReadOptions, RowWrite, Stamp, WriteOp, WriteOutcome};

/// The wall clock of the checks, for first revs.
pub(super) const SEED: u64 = 1_700_000_000_000_000;

pub(super) fn name(text: &str) -> Name {
    match Name::new(text) {
        Ok(name) => name,
        Err(error) => unreachable!("{error}"),
    }
}

static SCHEMA: LazyLock<Schema> = LazyLock::new(|| {
    let fields = [(name("number"), DataType::Int64), (name("text"), DataType::String)];
    match Schema::new(fields) {
        Ok(schema) => schema,
        Err(error) => unreachable!("{error}"),
    }
});

/// Keys that no other check uses, in this process or (by the clock) an earlier one.
#[derive(Debug)]
pub(super) struct Keys {
    shape: KeyShape,
}

impl Keys {
    pub(super) fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let process = u64::from(std::process::id());
        let started = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .map_or(0, |since| since.as_micros());
        let own = NEXT.fetch_add(1, Ordering::Relaxed);
        let view = ViewRef {
            namespace: name("conformance"),
            view: name(&format!("check_{process}_{started}_{own}")),
            version: 1,
        };
        Self { shape: KeyShape::from_parts(&view, [(name("entity"), KeyType::String)]) }
    }

    pub(super) fn key(&self, entity: &str) -> RowKey {
        match self.shape.encode(&[KeyValue::String(entity.to_owned())]) {
            Ok(key) => key,
            Err(error) => unreachable!("{error}"),
        }
    }
    pub(super) fn numbered(&self, number: usize) -> RowKey {
        self.key(&number.to_string())
    }
    /// A name for checkpoints that no other check uses.
    pub(super) fn name(&self, rest: &str) -> String {
        format!("{}/{rest}", self.key("checkpoint").sort())
    }
}

pub(super) fn row(number: i64, text: &str) -> Row {
    let values = [Some(ValueRef::Int64(number)), Some(ValueRef::String(text))];
    match RowEncoder::new(&SCHEMA).encode(Lane::Batch, &values) {
        Ok(row) => row,
        Err(error) => unreachable!("{error}"),
    }
}

/// The number in a row that `row` made.
pub(super) fn number(row: &Row) -> i64 {
    let value = row.reader(&SCHEMA).and_then(|reader| reader.get(0));
    match value {
        Ok(Some(ValueRef::Int64(number))) => number,
        other => unreachable!("a stored row reads as {other:?}"),
    }
}

pub(super) const fn at(event_time: i64, sequence: u64) -> Order {
    Order::At { event_time: Timestamp(event_time), sequence: Some(sequence) }
}

pub(super) fn put(key: RowKey, value: i64, order: Order) -> RowWrite {
    RowWrite::new(key, WriteOp::Put(row(value, "")), order)
}

pub(super) fn delete(key: RowKey, order: Order) -> RowWrite {
    RowWrite { op: WriteOp::Delete, ..put(key, 0, order) }
}

pub(super) async fn write_one(store: &(impl Store + ?Sized), write: RowWrite) -> WriteOutcome {
    let mut outcomes = store.write(vec![write], SEED, None).await;
    assert_eq!(outcomes.len(), 1, "one outcome for one write");
    match outcomes.pop() {
        Some(Ok(outcome)) => outcome,
        other => unreachable!("a plain write ended with {other:?}"),
    }
}

pub(super) async fn applied(store: &(impl Store + ?Sized), write: RowWrite) -> Stamp {
    match write_one(store, write).await {
        WriteOutcome::Applied(stamp) => stamp,
        other => unreachable!("expected the write to be applied, it was {other:?}"),
    }
}

pub(super) async fn superseded(store: &(impl Store + ?Sized), write: RowWrite) -> Stamp {
    match write_one(store, write).await {
        WriteOutcome::Superseded(stamp) => stamp,
        other => unreachable!("expected the write to be superseded, it was {other:?}"),
    }
}

pub(super) async fn conflict(store: &(impl Store + ?Sized), write: RowWrite) -> Option<Stamp> {
    match write_one(store, write).await {
        WriteOutcome::Conflict(stamp) => stamp,
        other => unreachable!("expected the write to conflict, it was {other:?}"),
    }
}

pub(super) async fn read(store: &(impl Store + ?Sized), keys: &[RowKey]) -> Vec<Option<Row>> {
    let rows = store.get(keys, &ReadOptions::default()).await;
    assert_eq!(rows.len(), keys.len(), "as many results as keys");
    rows.into_iter()
        .map(|row| match row {
            Ok(row) => row,
            Err(error) => unreachable!("a plain read failed: {error}"),
        })
        .collect()
}

pub(super) async fn read_one(store: &(impl Store + ?Sized), key: &RowKey) -> Option<Row> {
    read(store, std::slice::from_ref(key)).await.pop().flatten()
}

/// The number of the live row.
pub(super) async fn live(store: &(impl Store + ?Sized), key: &RowKey) -> Option<i64> {
    read_one(store, key).await.filter(|row| !row.is_deleted()).map(|row| number(&row))
}

pub(super) fn must<T>(result: Result<T, Error>) -> T {
    match result {
        Ok(value) => value,
        Err(error) => unreachable!("a plain call failed: {error}"),
    }
}

/// SplitMix64: enough randomness for a test, from a seed that can be printed.
#[derive(Debug)]
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
    pub(super) fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }
}
