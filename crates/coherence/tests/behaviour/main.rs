//! What the store does with its authority and its cache, step by step, on tokio's paused time.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod probe;
mod together;

use std::{
    sync::{Arc, LazyLock, atomic::Ordering::Relaxed},
    time::Duration,
};

use probe::{Answers, Calls, Cells, Counter, PausedClock, Rows, Writes};
use tokio::time::{Instant, sleep};
use trivium_codec::{KeyShape, Row, RowEncoder, RowKey, Schema, ValueRef};
use trivium_coherence::{CoherentStore, Environment, Options};
use trivium_model::{DataType, KeyType, KeyValue, Lane, Name, Timestamp, ViewRef};
use trivium_runtime::Shutdown;
use trivium_store::{
    Authority, CacheEntry, CacheEpoch, CacheState, Error, MemoryCache, OnlineRead, OnlineWrite,
    Order, ReadOptions, RowCache, RowWrite, SubjectStore as _, WriteId, WriteOp, WriteOutcome,
};

static SCHEMA: LazyLock<Schema> =
    LazyLock::new(|| Schema::new([(Name::new("number").unwrap(), DataType::Int64)]).unwrap());

const SEED: u64 = 1_700_000_000_000_000;

fn key(row: i64) -> RowKey {
    let name = |text| Name::new(text).unwrap();
    let view = ViewRef { namespace: name("n"), view: name("v"), version: 1 };
    KeyShape::from_parts(&view, [(name("k"), KeyType::Int64)])
        .encode(&[KeyValue::Int64(row)])
        .unwrap()
}

fn number(row: &Row) -> i64 {
    match row.reader(&SCHEMA).unwrap().get(0).unwrap() {
        Some(ValueRef::Int64(number)) => number,
        other => panic!("a row reads as {other:?}"),
    }
}

fn put(row: i64, number: i64) -> RowWrite {
    let values = [Some(ValueRef::Int64(number))];
    let op = WriteOp::Put(RowEncoder::new(&SCHEMA).encode(Lane::Direct, &values).unwrap());
    let write = RowWrite::new(key(row), op, Order::Now { now: Timestamp(0) });
    RowWrite { write_id: WriteId(number.unsigned_abs().into()), ..write }
}

/// A node, and what it stands on.
#[derive(Clone)]
struct Node {
    store: CoherentStore<Rows, Cells>,
    rows: Rows,
    cells: Cells,
    calls: Calls,
}

/// Nodes on one authority and one cache, which is enabled.
async fn nodes<const COUNT: usize>() -> [Node; COUNT] {
    let (cache, rows) = (MemoryCache::new(), Rows::default());
    let started = Instant::now();
    let random = Arc::new(Counter::default());
    let nodes = [(); COUNT].map(|()| {
        let calls = Calls::default();
        let rows = Rows { inner: Arc::clone(&rows.inner), calls: calls.clone(), ..Rows::default() };
        let cells = Cells::new(cache.connect(), calls.clone());
        let environment = Environment {
            steady: Arc::new(PausedClock(started)),
            wall: Arc::new(PausedClock(started)),
            random: Arc::clone(&random) as _,
        };
        let store = CoherentStore::in_environment(
            rows.clone(),
            cells.clone(),
            Options::default(),
            environment,
        );
        Node { store, rows, cells, calls }
    });
    for _ in 0..2 {
        for node in &nodes {
            node.store.keep().await.unwrap();
        }
        pass(1).await;
    }
    for node in &nodes {
        assert!(node.store.has_lease());
        node.calls.take();
    }
    nodes
}

/// Time passes, and what was left to do is done.
async fn pass(millis: u64) {
    sleep(Duration::from_millis(millis)).await;
}

impl Node {
    async fn read(&self, rows: &[i64]) -> Vec<Option<i64>> {
        let keys: Vec<RowKey> = rows.iter().map(|row| key(*row)).collect();
        let found = self.store.get(&keys, &ReadOptions::default()).await;
        found.into_iter().map(|row| row.unwrap().as_ref().map(number)).collect()
    }

    async fn write(&self, writes: Vec<RowWrite>) -> Vec<Result<WriteOutcome, Error>> {
        self.store.write(writes, SEED, None).await
    }

    async fn put(&self, row: i64, number: i64) {
        let outcomes = self.write(vec![put(row, number)]).await;
        assert!(matches!(outcomes.as_slice(), [Ok(WriteOutcome::Applied(_))]), "{outcomes:?}");
        pass(1).await;
    }

    async fn state(&self) -> (u64, CacheState) {
        let record = self.rows.inner.epoch().await.unwrap().unwrap();
        (record.number, record.state)
    }

    /// Rounds of the keeper for so long.
    async fn keep(&self, millis: u64) {
        let until = Instant::now() + Duration::from_millis(millis);
        while Instant::now() < until {
            self.store.keep().await.unwrap();
            pass(100).await;
        }
    }

    fn census(&self) -> (usize, usize, usize) {
        self.cells.inner.census()
    }
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_hits_is_one_look() {
    let [node] = nodes().await;
    for row in 0..50 {
        node.put(row, row + 1).await;
    }
    node.calls.take();
    let all: Vec<i64> = (0..50).collect();
    assert_eq!(node.read(&all).await, (1..=50).map(Some).collect::<Vec<_>>());
    assert_eq!(node.calls.take(), "look 1");
}

#[tokio::test(start_paused = true)]
async fn a_batch_of_writes_is_one_trip_to_fence_and_one_to_unfence() {
    let [node] = nodes().await;
    let writes = (0..50).map(|row| put(row, row + 1)).collect();
    assert!(node.write(writes).await.iter().all(Result::is_ok));
    pass(1).await;
    assert_eq!(node.calls.take(), "fence 1, unfence 1, write 50");
    assert_eq!(node.census(), (50, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_cold_row_is_raised_once_an_epoch() {
    let [node] = nodes().await;
    node.rows.inner.write(vec![put(1, 11), put(2, 12)], SEED, None).await;
    assert_eq!(node.read(&[1, 2, 3]).await, [Some(11), Some(12), None]);
    pass(1).await;
    assert_eq!(node.calls.take(), "fill 1, get with barrier 1, lease 1, look 1, raise 2");
    assert_eq!(node.read(&[1, 2]).await, [Some(11), Some(12)]);
    assert_eq!(node.calls.take(), "look 1");
    node.cells.inner.evict(|_| true);
    assert_eq!(node.read(&[1, 2]).await, [Some(11), Some(12)]);
    pass(1).await;
    assert_eq!(node.calls.take(), "fill 1, get with barrier 1, lease 1, look 1");
}

#[tokio::test(start_paused = true)]
async fn asking_for_what_never_was_leaves_no_rows() {
    let [node] = nodes().await;
    assert_eq!(node.read(&[1, 2]).await, [None, None]);
    assert_eq!(node.calls.take(), "get with barrier 1, lease 1, look 1");
    let barriers = node.rows.inner.get_with_barrier(&[key(1)], None).await;
    assert!(matches!(barriers.as_slice(), [Ok((None, barrier))] if barrier.epoch == 0));
    assert_eq!(node.census().0, 0, "nothing to evict useful rows for");
}

#[tokio::test(start_paused = true)]
async fn reads_that_come_together_share_a_trip() {
    let [node] = nodes().await;
    node.put(1, 11).await;
    node.store.keep().await.unwrap();
    // Fenced by a writer that never comes back: read from the authority.
    *node.rows.writes.lock().unwrap() = Writes::Dies;
    let dying = node.clone();
    let dying = tokio::spawn(async move { dying.write(vec![put(1, 12)]).await });
    pass(1).await;
    node.calls.take();
    let reads = (0..10).map(|_| {
        let node = node.clone();
        tokio::spawn(async move { node.read(&[1]).await })
    });
    for read in reads.collect::<Vec<_>>() {
        assert_eq!(read.await.unwrap(), [Some(11)]);
    }
    assert_eq!(node.calls.take(), "get 2, look 10");
    dying.abort();
}

#[tokio::test(start_paused = true)]
async fn a_dead_writers_fence_is_repaired_after_its_deadline() {
    let [one, other] = nodes().await;
    one.put(1, 11).await;
    *one.rows.writes.lock().unwrap() = Writes::Dies;
    let dying = one.clone();
    let dying = tokio::spawn(async move { dying.write(vec![put(1, 12)]).await });
    pass(1).await;
    other.keep(1_000).await;
    other.calls.take();
    assert_eq!(other.read(&[1]).await, [Some(11)]);
    pass(1).await;
    assert_eq!(other.calls.take(), "get 1, look 1");
    other.keep(16_000).await;
    other.calls.take();
    assert_eq!(other.read(&[1]).await, [Some(11)]);
    pass(1).await;
    assert_eq!(other.calls.take(), "get 1, get with barrier 1, look 1, raise 1, unfence 1");
    assert_eq!(other.read(&[1]).await, [Some(11)]);
    assert_eq!(other.calls.take(), "look 1");
    // Writes go on above the barrier.
    other.put(1, 13).await;
    assert_eq!(other.read(&[1]).await, [Some(13)]);
    dying.abort();
}

/// A fence keeps the row that it found. Who deletes it and dies leaves it there, though nobody reads it.
#[tokio::test(start_paused = true)]
async fn what_a_dead_writers_fence_keeps_is_not_forgotten_until_it_is_repaired() {
    let [one, other] = nodes().await;
    one.put(1, 11).await;
    one.put(2, 21).await;
    let forgotten = async |row| other.store.are_forgotten(&[key(row)]).await;
    assert!(!forgotten(2).await, "it is there");
    assert!(forgotten(3).await, "it never was");
    *one.rows.writes.lock().unwrap() = Writes::Dies;
    let delete = RowWrite::new(key(1), WriteOp::Delete, put(1, 12).order);
    let (dying, sent) = (one.clone(), delete.clone());
    let dying = tokio::spawn(async move { dying.write(vec![sent]).await });
    pass(1).await;
    // It had been sent.
    let deleted = one.rows.inner.write(vec![delete], 1, None).await;
    assert!(matches!(deleted.as_slice(), [Ok(WriteOutcome::Applied(_))]), "{deleted:?}");
    let is_gone = async || {
        let rows = other.store.get(&[key(1)], &ReadOptions::default()).await;
        matches!(rows.as_slice(), [Ok(Some(row))] if row.is_deleted())
    };
    assert!(is_gone().await);
    assert!(!forgotten(1).await, "the fence has it yet");
    other.keep(16_000).await;
    // It is overdue: whoever asks repairs it.
    assert!(!forgotten(1).await);
    pass(1).await;
    assert!(forgotten(1).await);
    assert!(is_gone().await);
    dying.abort();
    // Nobody reads a cache that was put aside.
    *other.cells.answers.lock().unwrap() = Answers::Refused;
    assert!(!forgotten(3).await, "who cannot look does not know");
    *one.rows.writes.lock().unwrap() = Writes::Fine;
    other.put(3, 31).await;
    assert_eq!(other.state().await, (2, CacheState::Disabled));
    assert!(forgotten(2).await);
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_is_settled() {
    let [node] = nodes().await;
    *node.rows.writes.lock().unwrap() = Writes::Lost;
    let outcomes = node.write(vec![put(1, 11)]).await;
    assert!(matches!(outcomes.as_slice(), [Ok(WriteOutcome::Applied(_))]), "{outcomes:?}");
    // Above the barrier that settling has raised, or it would be refused.
    pass(1).await;
    // Without a name of its own nobody can tell.
    let outcomes = node.write(vec![RowWrite { write_id: WriteId(0), ..put(1, 12) }]).await;
    assert!(matches!(outcomes.as_slice(), [Err(Error::Unknown(_))]), "{outcomes:?}");
    pass(1).await;
    assert_eq!(node.census(), (1, 0, 0), "and no fence is left");
    assert_eq!(node.read(&[1]).await, [Some(12)]);

    *node.rows.writes.lock().unwrap() = Writes::Gone;
    pass(1).await;
    let outcomes = node.write(vec![put(1, 13)]).await;
    assert!(matches!(outcomes.as_slice(), [Err(Error::Unknown(_))]), "{outcomes:?}");
    pass(1).await;
    assert_eq!((node.census(), node.read(&[1]).await), ((1, 0, 0), vec![Some(12)]));
}

#[tokio::test(start_paused = true)]
async fn what_is_not_settled_keeps_its_fence_and_stops_its_batch() {
    let [node] = nodes().await;
    node.put(1, 11).await;
    *node.rows.writes.lock().unwrap() = Writes::Gone;
    node.rows.raises_fail.store(true, Relaxed);
    let outcomes = node.write(vec![put(1, 12), put(2, 20), put(1, 13)]).await;
    assert!(
        matches!(
            outcomes.as_slice(),
            [Err(Error::Unknown(_)), Err(Error::Unknown(_)), Err(Error::Unavailable(_))]
        ),
        "{outcomes:?}"
    );
    pass(1).await;
    assert_eq!(node.census(), (0, 0, 2));
    assert_eq!(node.read(&[1]).await, [Some(11)]);
}

#[tokio::test(start_paused = true)]
async fn a_lost_fence_is_placed_again_under_another_id() {
    let [node] = nodes().await;
    *node.cells.answers.lock().unwrap() = Answers::FenceLostOnce;
    node.put(1, 11).await;
    assert_eq!(node.calls.take(), "fence 2, unfence 1, write 1");
    assert_eq!(node.state().await, (1, CacheState::Enabled));
    assert_eq!(node.census(), (0, 0, 1), "the first one stays until it is repaired");
    assert_eq!(node.read(&[1]).await, [Some(11)]);
}

#[tokio::test(start_paused = true)]
async fn a_full_cache_is_no_outage() {
    let [node] = nodes().await;
    *node.cells.answers.lock().unwrap() = Answers::Full;
    let outcomes = node.write(vec![put(1, 11)]).await;
    assert!(matches!(outcomes.as_slice(), [Err(Error::Throttled(_))]), "{outcomes:?}");
    assert_eq!(node.state().await, (1, CacheState::Enabled));
}

#[tokio::test(start_paused = true)]
async fn an_outage_costs_one_pause_and_the_cache_comes_back() {
    let [node] = nodes().await;
    node.put(1, 11).await;
    *node.cells.answers.lock().unwrap() = Answers::Refused;
    let before = Instant::now();
    node.put(1, 12).await;
    let pause = before.elapsed();
    assert!(pause > Duration::from_secs(1) && pause < Duration::from_millis(1_500), "{pause:?}");
    assert_eq!(node.state().await, (2, CacheState::Disabled));
    let before = Instant::now();
    node.put(1, 13).await;
    assert!(before.elapsed() < Duration::from_millis(10));
    assert_eq!(node.read(&[1]).await, [Some(13)]);
    // It stays away while it cannot be reached, and for a while after.
    node.keep(20_000).await;
    assert_eq!(node.state().await, (2, CacheState::Disabled));
    *node.cells.answers.lock().unwrap() = Answers::Fine;
    node.keep(500).await;
    assert_eq!(node.state().await, (3, CacheState::Enabled));
    assert_eq!(node.read(&[1]).await, [Some(13)]);
    // The next outage soon after costs a longer time without.
    *node.cells.answers.lock().unwrap() = Answers::Refused;
    node.put(1, 14).await;
    *node.cells.answers.lock().unwrap() = Answers::Fine;
    node.keep(8_000).await;
    assert_eq!(node.state().await, (4, CacheState::Disabled));
    node.keep(6_000).await;
    assert_eq!(node.state().await, (5, CacheState::Enabled));
}

#[tokio::test(start_paused = true)]
async fn a_restarted_cache_is_put_aside_by_readers_alone() {
    let [node] = nodes().await;
    node.put(1, 11).await;
    node.cells.inner.flush_all();
    for _ in 0..3 {
        assert_eq!(node.read(&[1]).await, [Some(11)]);
        node.store.keep().await.unwrap();
        pass(300).await;
    }
    assert_eq!(node.state().await, (1, CacheState::Draining));
    node.keep(8_000).await;
    assert_eq!(node.state().await, (3, CacheState::Enabled));
    assert_eq!(node.read(&[1]).await, [Some(11)]);
}

#[tokio::test(start_paused = true)]
async fn servers_with_replicas_or_another_policy_are_refused() {
    let [node] = nodes().await;
    node.put(1, 11).await;
    node.cells.inner.set_replicated(true);
    node.store.keep().await.unwrap();
    assert!(!node.store.has_lease(), "at once");
    node.calls.take();
    assert_eq!(node.read(&[1]).await, [Some(11)]);
    assert_eq!(node.calls.take(), "get 1");
    node.keep(10_000).await;
    assert_eq!(node.state().await, (2, CacheState::Disabled));
    node.cells.inner.set_replicated(false);
    node.cells.inner.set_policy("allkeys-lru");
    node.keep(10_000).await;
    assert_eq!(node.state().await, (2, CacheState::Disabled));
    node.cells.inner.set_policy(trivium_store::EVICTION_POLICY);
    node.keep(500).await;
    assert_eq!(node.state().await, (3, CacheState::Enabled));
}

#[tokio::test(start_paused = true)]
async fn a_node_that_only_reads_without_the_cache_bothers_nobody() {
    let [one, other] = nodes().await;
    one.put(1, 11).await;
    *other.cells.answers.lock().unwrap() = Answers::Refused;
    for _ in 0..20 {
        assert_eq!(other.read(&[1]).await, [Some(11)]);
        one.store.keep().await.unwrap();
        other.store.keep().await.unwrap();
        pass(100).await;
    }
    assert_eq!(one.state().await, (1, CacheState::Enabled));
    one.calls.take();
    assert_eq!(one.read(&[1]).await, [Some(11)]);
    assert_eq!(one.calls.take(), "look 1");
    let calls = other.calls.take();
    assert!(calls.contains("get 20") && !calls.contains("look 20"), "{calls}");
}

#[tokio::test(start_paused = true)]
async fn a_node_behind_the_times_is_barred_and_catches_up() {
    let [one, other] = nodes().await;
    one.put(1, 11).await;
    // The cache goes through an outage that the other node does not hear of.
    *one.cells.answers.lock().unwrap() = Answers::Refused;
    one.put(1, 12).await;
    *one.cells.answers.lock().unwrap() = Answers::Fine;
    one.keep(7_000).await;
    assert_eq!(one.state().await, (3, CacheState::Enabled));
    assert_eq!(one.read(&[1]).await, [Some(12)]);
    pass(1).await;
    assert_eq!(one.census().0, 1);
    other.calls.take();
    other.put(1, 13).await;
    let calls = other.calls.take();
    assert!(calls.contains("write"), "{calls}");
    assert_eq!(one.read(&[1]).await, [Some(13)]);
    assert!(!other.store.has_lease());
    assert_eq!(other.read(&[1]).await, [Some(13)]);
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_hangs_up_leaves_no_fence() {
    let [node] = nodes().await;
    let write = node.store.write(vec![put(1, 11)], SEED, None);
    let hung_up = tokio::time::timeout(Duration::ZERO, write).await;
    assert!(hung_up.is_err());
    pass(5).await;
    assert_eq!((node.census(), node.read(&[1]).await), ((1, 0, 0), vec![Some(11)]));
}

#[tokio::test(start_paused = true)]
async fn an_answer_after_the_lease_does_not_count() {
    let [node] = nodes().await;
    node.put(1, 11).await;
    node.store.keep().await.unwrap();
    node.calls.take();
    *node.cells.slow.lock().unwrap() = Duration::from_millis(900);
    assert_eq!(node.read(&[1]).await, [Some(11)]);
    assert_eq!(node.calls.take(), "look 1");
    // The same lease, further on: its second is over before the answer comes.
    assert!(node.store.has_lease());
    assert_eq!(node.read(&[1]).await, [Some(11)]);
    assert_eq!(node.calls.take(), "get 1, look 1");
    assert!(!node.store.has_lease());
    assert_eq!(node.read(&[1]).await, [Some(11)]);
    assert_eq!(node.calls.take(), "get 1");
}

#[tokio::test(start_paused = true)]
async fn the_janitor_finds_what_nobody_reads() {
    let [one, other] = nodes().await;
    for row in 0..40 {
        one.put(row, row + 100).await;
    }
    *one.rows.writes.lock().unwrap() = Writes::Dies;
    let dying = one.clone();
    let writes = (0..40).map(|row| put(row, row + 200)).collect();
    let dying = tokio::spawn(async move { dying.write(writes).await });
    pass(1).await;
    assert_eq!(one.census(), (0, 0, 40));
    let (shutdown, kept) = (Shutdown::new(), other.clone());
    let until = shutdown.clone();
    let running = tokio::spawn(async move { kept.store.run(&until).await });
    pass(200_000).await;
    assert_eq!(other.census(), (40, 0, 0));
    shutdown.trigger();
    running.await.unwrap();
    dying.abort();
}
