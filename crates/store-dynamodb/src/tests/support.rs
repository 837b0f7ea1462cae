use std::sync::{
    LazyLock,
    atomic::{AtomicU64, Ordering},
};

use aws_credential_types::Credentials;
use tokio::sync::OnceCell;
use trivium_codec::{KeyShape, Row, RowEncoder, RowKey, Schema, ValueRef};
use trivium_model::{DataType, KeyType, KeyValue, Lane, Name, Timestamp, ViewRef};
use trivium_store::{Order as RowOrder, RowWrite, WriteId, WriteOp};
use trivium_testkit::DynamoDb;

use crate::{DynamoStore, Options, SharedCredentialsProvider};

pub(super) const SEED: u64 = 1_700_000_000_000_000;

/// Ends with the process.
pub(super) static SERVER: LazyLock<DynamoDb> = LazyLock::new(|| DynamoDb::start().unwrap());

/// Patient: the machine may be busy with other tests.
pub(super) fn options(table: &str, port: u16) -> Options {
    Options {
        endpoint: Some(format!("http://127.0.0.1:{port}")),
        attempt_timeout_ms: 20_000,
        limit_ms: 60_000,
        ..Options::new(table, "eu-central-1")
    }
}

pub(super) fn open(options: Options) -> DynamoStore {
    let credentials = Credentials::new("local", "local", None, None, "test");
    DynamoStore::with_credentials(options, SharedCredentialsProvider::new(credentials)).unwrap()
}

pub(super) fn new_table_name() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!("table-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// A new table.
pub(super) async fn new_table() -> DynamoStore {
    let store = open(options(&new_table_name(), SERVER.server().port()));
    store.init().await.unwrap();
    store
}

/// One table for all whose keys are their own.
pub(super) async fn shared_table() -> DynamoStore {
    static TABLE: OnceCell<()> = OnceCell::const_new();
    // Each test has a runtime of its own, and connections belong to one: so does the client.
    let store = open(options("shared", SERVER.server().port()));
    TABLE.get_or_init(async || store.init().await.unwrap()).await;
    store
}

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

pub(super) fn schema() -> Schema {
    Schema::new([(name("number"), DataType::Int64), (name("text"), DataType::String)]).unwrap()
}

pub(super) fn key(view: &str, number: i64) -> RowKey {
    let view = ViewRef { namespace: name("n"), view: name(view), version: 1 };
    KeyShape::from_parts(&view, [(name("k"), KeyType::Int64)])
        .encode(&[KeyValue::Int64(number)])
        .unwrap()
}

pub(super) fn row(number: i64, text: &str) -> Row {
    let values = [Some(ValueRef::Int64(number)), Some(ValueRef::String(text))];
    RowEncoder::new(&schema()).encode(Lane::Batch, &values).unwrap()
}

pub(super) fn number(row: &Row) -> i64 {
    match row.reader(&schema()).unwrap().get(0).unwrap() {
        Some(ValueRef::Int64(number)) => number,
        other => panic!("{other:?}"),
    }
}

pub(super) fn at(event_time: i64) -> RowOrder {
    RowOrder::At { event_time: Timestamp(event_time), sequence: Some(0) }
}

pub(super) fn put(key: &RowKey, value: i64, id: u128) -> RowWrite {
    let write = RowWrite::new(key.clone(), WriteOp::Put(row(value, "")), at(value));
    RowWrite { write_id: WriteId(id), ..write }
}

pub(super) fn delete(key: &RowKey, event_time: i64) -> RowWrite {
    RowWrite::new(key.clone(), WriteOp::Delete, at(event_time))
}
