use std::time::{Duration, Instant};

use trivium_codec::{KeyShape, Row, RowEncoder, RowKey, Schema, ValueRef};
use trivium_model::{DataType, KeyType, KeyValue, Lane, Name, Timestamp, ViewRef};
use trivium_store::{
    CacheEntry, CacheEpoch, CacheError, FenceId, LeaseToken, RowCache as _, WriteId,
};

use crate::{Options, ValkeyCache};

pub(super) const EPOCH: CacheEpoch = CacheEpoch { number: 7, marker: 0xfeed_0000_0000_0000_0000 };

/// Patient: the machine may be busy with other tests.
pub(super) fn options(address: impl Into<String>) -> Options {
    Options { command_timeout_ms: 5_000, connect_timeout_ms: 5_000, ..Options::new(address) }
}

pub(super) async fn connected(options: Options) -> ValkeyCache {
    let cache = ValkeyCache::connect(options).unwrap();
    assert!(cache.wait(Duration::from_secs(30)).await, "not connected");
    cache
}

/// Connected and marked.
pub(super) async fn marked(options: Options) -> ValkeyCache {
    let cache = connected(options).await;
    cache.mark(EPOCH).await.unwrap();
    cache
}

/// Waits for a connection for reads: until then reads go the other way.
pub(super) async fn ready(cache: &ValkeyCache) {
    let readers = cache.0.connections.readers().unwrap();
    let since = Instant::now();
    while readers.idle_count() == 0 {
        assert!(since.elapsed() < Duration::from_secs(20), "no connection for reads");
        cache.look(EPOCH, &[key(0)]).await;
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

pub(super) fn key(number: i64) -> RowKey {
    let name = |text: &str| Name::new(text).unwrap();
    let view = ViewRef { namespace: name("n"), view: name("v"), version: 1 };
    KeyShape::from_parts(&view, [(name("k"), KeyType::Int64)])
        .encode(&[KeyValue::Int64(number)])
        .unwrap()
}

pub(super) fn row(rev: u64, text: &str) -> Row {
    let name = Name::new("text").unwrap();
    let schema = Schema::new([(name, DataType::String)]).unwrap();
    let row = RowEncoder::new(&schema).encode(Lane::Batch, &[Some(ValueRef::String(text))]);
    row.unwrap().with_stamp(rev, Timestamp(1), 2, 3)
}

pub(super) fn write(id: u128, deadline: u64) -> FenceId {
    FenceId { id: WriteId(id), deadline }
}

/// What the key holds, in short.
pub(super) async fn look(cache: &ValkeyCache, number: i64) -> String {
    show(cache.look(EPOCH, &[key(number)]).await.pop().unwrap())
}

pub(super) fn show(entry: Result<CacheEntry, CacheError>) -> String {
    match entry {
        Ok(CacheEntry::Missing) => "missing".to_owned(),
        Ok(CacheEntry::Value(row)) => format!("value {}", row.rev()),
        Ok(CacheEntry::Lease) => "lease".to_owned(),
        Ok(CacheEntry::Fence(writes)) => {
            let writes = writes.iter().map(|write| format!(" {}:{}", write.id.0, write.deadline));
            format!("fence{}", writes.collect::<String>())
        }
        Err(error) => failed(&error),
    }
}

pub(super) fn failed(error: &CacheError) -> String {
    match error {
        CacheError::NotMarked => "not marked".to_owned(),
        CacheError::Refused { is_full: true, .. } => "full".to_owned(),
        CacheError::Refused { .. } => "refused".to_owned(),
        CacheError::Unknown(_) => "unknown".to_owned(),
    }
}

pub(super) async fn lease(cache: &ValkeyCache, number: i64, token: u128) -> String {
    show(cache.lease(EPOCH, &[(key(number), LeaseToken(token))]).await.pop().unwrap())
}
pub(super) async fn fill(cache: &ValkeyCache, number: i64, token: u128, row: Row) -> String {
    let filled = cache.fill(EPOCH, &[(key(number), LeaseToken(token), row)]).await.pop().unwrap();
    filled.map_or_else(|error| failed(&error), |filled| filled.to_string())
}
pub(super) async fn fence(cache: &ValkeyCache, number: i64, write: FenceId) -> String {
    let fenced = cache.fence(EPOCH, &[(key(number), write)]).await.pop().unwrap();
    fenced.map_or_else(|error| failed(&error), |()| "fenced".to_owned())
}
pub(super) async fn unfence(
    cache: &ValkeyCache,
    number: i64,
    write: FenceId,
    newest: Option<Row>,
) -> String {
    let done = cache.unfence(EPOCH, &[(key(number), write, newest)]).await.pop().unwrap();
    done.map_or_else(|error| failed(&error), |done| done.to_string())
}
