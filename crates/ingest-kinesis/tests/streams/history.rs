//! The history: every message is one row of it, whoever reads the shards, dies, or believes to have them.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use arrow::{
    array::AsArray,
    datatypes::{Int64Type, UInt64Type},
};
use tokio::{runtime::Handle, task::JoinHandle};
use trivium_ingest::{LaneHealth, LaneOptions, Schemas};
use trivium_ingest_history::{Definitions, SinkOptions, SinkParts};
use trivium_ingest_kinesis::{Error, HistoryShards, KinesisHistory, KinesisOptions};
use trivium_lake_log::{CompactOptions, Shape, StreamLog};
use trivium_model::StreamSystem;
use trivium_runtime::{Shutdown, SystemClock};
use trivium_testkit::{Proxy, Verdict};

use crate::fixture::{ENTITIES, Event, LEASE, SHARDS, Streams, snapshot, until};

const TABLE: &str = "history";
/// Longer than any test.
const NEVER: Duration = Duration::from_secs(100_000);

fn definitions(names: &[&str]) -> Arc<Definitions> {
    Arc::new(Definitions::of(&snapshot(names), StreamSystem::Kinesis, &[]))
}

/// A worker of the history.
struct Sink {
    shards: HistoryShards,
    definitions: Arc<ArcSwap<Definitions>>,
    shutdown: Shutdown,
    task: JoinHandle<Result<(), Error>>,
}

impl Sink {
    fn start(
        streams: &Streams,
        lake: &Path,
        set: impl FnOnce(&mut KinesisOptions, &mut SinkOptions),
    ) -> Self {
        let mut options = streams.options(TABLE);
        let mut sink = SinkOptions {
            lake: lake.to_owned(),
            commit_every: Duration::from_millis(50),
            tend_every: Duration::from_millis(200),
            compact: CompactOptions { files_min: 4, ..CompactOptions::default() },
            ..SinkOptions::default()
        };
        set(&mut options, &mut sink);
        let parts = SinkParts {
            schemas: Arc::new(Schemas::new(None)),
            lane: LaneOptions::default(),
            clock: Arc::new(SystemClock),
            handle: Handle::current(),
        };
        let definitions = Arc::new(ArcSwap::new(definitions(&["a"])));
        let history = KinesisHistory::new(options, sink, parts, Arc::clone(&definitions)).unwrap();
        let (shards, shutdown) = (history.shards(), Shutdown::new());
        let task = tokio::spawn(history.run(shutdown.clone()));
        Self { shards, definitions, shutdown, task }
    }
    fn health(&self) -> Vec<LaneHealth> {
        self.shards.health()
    }
    fn count(&self) -> usize {
        self.health().len()
    }
    async fn stop(self) {
        self.shutdown.trigger();
        self.task.await.unwrap().unwrap();
    }
    /// Ends its tasks where they are: nothing is committed, nothing is given back.
    async fn kill(self) {
        self.task.abort();
        assert!(self.task.await.unwrap_err().is_cancelled());
    }
}

/// Events that are told apart by their `x`.
struct Sent(i64);

impl Sent {
    async fn more(&mut self, streams: &Streams, count: i64) {
        let event = |x| Event { id: x % ENTITIES, at: 1_000_000 + x, x };
        streams.send(&(self.0..self.0 + count).map(event).collect::<Vec<_>>()).await;
        self.0 += count;
    }
    /// Each is there, and once.
    fn are_in(&self, lake: &Path, name: &str) -> bool {
        let mut found = rows(lake, name);
        found.sort_by_key(|(.., x)| *x);
        let twice: Vec<_> = found.windows(2).filter(|pair| pair[0].2 == pair[1].2).collect();
        assert!(twice.is_empty(), "{twice:?}");
        found.into_iter().map(|(.., x)| x).eq(0..self.0)
    }
}

/// The entity, the sequence and the `x` of each row.
fn rows(lake: &Path, name: &str) -> Vec<(i64, u64, i64)> {
    let snapshot = snapshot(&[name]);
    let shape = Shape::new(&snapshot.views.values().next().unwrap().view).unwrap();
    let log = StreamLog::new(lake, shape.view());
    let mut found = Vec::new();
    for file in log.load().unwrap().files.values() {
        for batch in log.read(file, shape.columns()).unwrap() {
            let ids = batch.column(0).as_primitive::<Int64Type>();
            let xs = batch.column(2).as_primitive::<Int64Type>();
            let sequences = batch.column(batch.num_columns() - 1).as_primitive::<UInt64Type>();
            let rows = ids.values().iter().zip(sequences.values()).zip(xs.values());
            found.extend(rows.map(|((id, sequence), x)| (*id, *sequence, *x)));
        }
    }
    found
}

/// Of each entity, later messages have greater sequences.
fn assert_order(lake: &Path) {
    let mut rows = rows(lake, "a");
    rows.sort_unstable();
    for pair in rows.windows(2).filter(|pair| pair[0].0 == pair[1].0) {
        assert!(pair[0].1 < pair[1].1 && pair[0].2 < pair[1].2, "{pair:?}");
    }
}

/// What the leases are told, all positions together.
async fn told(streams: &Streams) -> u64 {
    streams.leases_in(TABLE).await.values().map(|(_, position, _)| position).sum()
}

async fn until_told(streams: &Streams, positions: u64) {
    let begun = std::time::Instant::now();
    while told(streams).await < positions {
        assert!(begun.elapsed() < LEASE * 60, "leases are not told");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(told(streams).await, positions);
}

/// Kinesis behind a proxy that counts what is read.
struct Counted {
    proxy: Proxy,
    reads: Arc<AtomicUsize>,
}

impl Counted {
    fn new(streams: &Streams) -> Self {
        let (proxy, reads) = (streams.kinesis_proxy(), Arc::new(AtomicUsize::new(0)));
        let counted = Arc::clone(&reads);
        proxy.judge(move |operation, _| {
            counted.fetch_add(usize::from(operation == "GetRecords"), Ordering::SeqCst);
            Verdict::Pass
        });
        Self { proxy, reads }
    }
    fn endpoint(&self) -> Option<String> {
        Some(format!("http://127.0.0.1:{}", self.proxy.port()))
    }
    /// Until every shard was asked a few times more; what is there is read then, and not only that.
    async fn reads(&self) {
        let before = self.reads.load(Ordering::SeqCst);
        until(|| self.reads.load(Ordering::SeqCst) >= before + 6 * SHARDS).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_message_is_one_row_whoever_comes_and_goes() {
    let streams = Streams::start().await;
    let folder = tempfile::tempdir().unwrap();
    let (lake, mut sent) = (folder.path(), Sent(0));
    sent.more(&streams, 500).await;
    let first = Sink::start(&streams, lake, |_, _| {});
    until(|| sent.are_in(lake, "a")).await;
    assert_eq!(first.count(), SHARDS);

    // Another comes while more is sent, until each has as many.
    let second = Sink::start(&streams, lake, |_, _| {});
    for _ in 0..10 {
        sent.more(&streams, 100).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    until(|| first.count() == SHARDS / 2 && second.count() == SHARDS / 2).await;
    sent.more(&streams, 500).await;
    until(|| sent.are_in(lake, "a")).await;

    // The first goes in the middle of it.
    sent.more(&streams, 500).await;
    first.stop().await;
    sent.more(&streams, 500).await;
    until(|| second.count() == SHARDS && sent.are_in(lake, "a")).await;

    // A view is added to the stream: it has what comes from then on, and the other is not begun anew.
    let before = sent.0;
    second.definitions.store(definitions(&["a", "b"]));
    sent.more(&streams, 200).await;
    until(|| sent.are_in(lake, "a")).await;
    let of_b = || {
        let mut xs: Vec<i64> = rows(lake, "b").into_iter().map(|(.., x)| x).collect();
        xs.sort_unstable();
        xs
    };
    until(|| of_b().into_iter().eq(before..sent.0)).await;

    // Who begins after a stop goes on, and nothing is there twice.
    second.stop().await;
    let third = Sink::start(&streams, lake, |_, _| {});
    sent.more(&streams, 100).await;
    until(|| sent.are_in(lake, "a")).await;
    third.stop().await;
    assert!(streams.leases_in(TABLE).await.values().all(|(owner, ..)| owner.is_none()));
    assert!(sent.are_in(lake, "a"));
    assert_order(lake);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_dies_between_commit_and_checkpoint_or_before_the_commit() {
    let streams = Streams::start().await;
    let folder = tempfile::tempdir().unwrap();
    let (lake, mut sent) = (folder.path(), Sent(0));
    let proxy = streams.dynamodb_proxy();
    let first = Sink::start(&streams, lake, |options, _| {
        options.lease_endpoint = Some(format!("http://127.0.0.1:{}", proxy.port()));
    });
    until(|| first.count() == SHARDS).await;
    let begun = told(&streams).await;
    sent.more(&streams, 200).await;
    until_told(&streams, begun + 200).await;
    // What is committed now no lease is told.
    proxy.judge(|_, _| Verdict::Silence(Duration::ZERO));
    sent.more(&streams, 300).await;
    until(|| sent.are_in(lake, "a")).await;
    assert_eq!(told(&streams).await, begun + 200);
    first.kill().await;

    // The next reads it again, and then what it does not come to commit.
    let counted = Counted::new(&streams);
    let second = Sink::start(&streams, lake, |options, sink| {
        options.endpoint = counted.endpoint();
        sink.commit_every = NEVER;
    });
    until(|| second.count() == SHARDS).await;
    // Leases follow what is in the log already.
    until_told(&streams, begun + 500).await;
    sent.more(&streams, 300).await;
    counted.reads().await;
    assert_eq!(told(&streams).await, begun + 500);
    assert_eq!(rows(lake, "a").len(), 500);
    second.kill().await;

    let third = Sink::start(&streams, lake, |_, _| {});
    until(|| sent.are_in(lake, "a")).await;
    third.stop().await;
    assert_eq!(told(&streams).await, begun + 800);
    assert!(sent.are_in(lake, "a"));
}

#[tokio::test(flavor = "multi_thread")]
async fn children_are_read_once_their_parents_are_committed() {
    let streams = Streams::start().await;
    let folder = tempfile::tempdir().unwrap();
    let (lake, mut sent) = (folder.path(), Sent(0));
    sent.more(&streams, 300).await;
    let counted = Counted::new(&streams);
    let first = Sink::start(&streams, lake, |options, sink| {
        options.endpoint = counted.endpoint();
        sink.commit_every = NEVER;
    });
    until(|| first.count() == SHARDS).await;
    let open = streams.open().await;
    streams.split(&open[0]).await;
    streams.merge(&open[2].0, &open[3].0).await;
    sent.more(&streams, 300).await;
    // Three parents are read to their end, and of none is a row in the log.
    tokio::time::sleep(LEASE).await;
    assert_eq!(first.count(), SHARDS);
    assert_eq!(streams.leases_in(TABLE).await.len(), SHARDS);
    assert_eq!(rows(lake, "a"), []);
    // What it has read is committed before its leases are given back, and what has ended is known.
    first.stop().await;
    let leases = streams.leases_in(TABLE).await;
    assert_eq!(leases.values().filter(|(.., ended)| *ended).count(), 3, "{leases:?}");
    assert!(leases.values().all(|(owner, ..)| owner.is_none()));
    assert!(rows(lake, "a").len() >= 300);

    let second = Sink::start(&streams, lake, |_, _| {});
    let third = Sink::start(&streams, lake, |_, _| {});
    until(|| second.count() + third.count() == 4).await;
    until(|| sent.are_in(lake, "a")).await;
    // While both read on.
    let open = streams.open().await;
    streams.split(&open[3]).await;
    sent.more(&streams, 300).await;
    streams.merge(&open[0].0, &open[1].0).await;
    sent.more(&streams, 300).await;
    until(|| sent.are_in(lake, "a")).await;
    until(|| second.count() > 0 && third.count() > 0 && second.count() + third.count() == 4).await;
    second.stop().await;
    third.stop().await;
    assert!(sent.are_in(lake, "a"));
    assert_order(lake);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_was_cut_off_brings_nothing_twice() {
    let streams = Streams::start().await;
    let folder = tempfile::tempdir().unwrap();
    let (lake, mut sent) = (folder.path(), Sent(0));
    let proxy = streams.dynamodb_proxy();
    let first = Sink::start(&streams, lake, |options, _| {
        options.lease_endpoint = Some(format!("http://127.0.0.1:{}", proxy.port()));
    });
    sent.more(&streams, 200).await;
    until(|| sent.are_in(lake, "a") && first.count() == SHARDS).await;
    // It reaches its leases no more and goes on; another has the shards, too, and both commit.
    proxy.judge(|_, _| Verdict::Silence(Duration::ZERO));
    let second = Sink::start(&streams, lake, |_, _| {});
    until(|| second.count() == SHARDS).await;
    assert_eq!(first.count(), SHARDS);
    for _ in 0..20 {
        sent.more(&streams, 50).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    until(|| sent.are_in(lake, "a")).await;
    assert_eq!((first.count(), second.count()), (SHARDS, SHARDS));
    // It hears of it.
    proxy.judge(|operation, _| match operation {
        "UpdateItem" => Verdict::Pass,
        _ => Verdict::Silence(Duration::ZERO),
    });
    until(|| first.count() == 0).await;
    sent.more(&streams, 200).await;
    until(|| sent.are_in(lake, "a")).await;
    first.stop().await;
    second.stop().await;
    assert!(sent.are_in(lake, "a"));
    assert_order(lake);
}

/// A file stands where the day's folder should be.
fn block(lake: &Path) -> std::path::PathBuf {
    let folder = lake.join("n/a/v1");
    std::fs::create_dir_all(&folder).unwrap();
    let day = folder.join("ds=1970-01-01");
    std::fs::write(&day, "").unwrap();
    day
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_lake_cannot_be_written_little_is_kept_and_nothing_is_lost() {
    const BYTES: usize = 32 << 10;
    let streams = Streams::start().await;
    let folder = tempfile::tempdir().unwrap();
    let (lake, mut sent) = (folder.path(), Sent(0));
    let day = block(lake);
    let sink = Sink::start(&streams, lake, |options, sink| {
        options.waiting_bytes = BYTES;
        sink.commit_bytes = BYTES;
    });
    until(|| sink.count() == SHARDS).await;
    let before = streams.leases_in(TABLE).await;
    sent.more(&streams, 6_000).await;
    // It is full, longer than a lease lasts, and reads nothing more.
    let waiting = || sink.health().iter().map(|shard| shard.waiting_bytes).sum::<usize>();
    until(|| waiting() > BYTES / 2).await;
    tokio::time::sleep(LEASE * 2).await;
    assert!(waiting() > BYTES / 2 && waiting() < 2 * BYTES, "{}", waiting());
    let after = streams.leases_in(TABLE).await;
    assert!(after.iter().all(|(shard, (_, at, _))| *at == before[shard].1), "{after:?}");
    assert_eq!(sink.count(), SHARDS);

    // What could not be committed under one definition is read again under the next.
    sink.definitions.store(definitions(&["a", "b"]));
    until(|| !rows(lake, "b").is_empty()).await;
    std::fs::remove_file(&day).unwrap();
    until(|| sent.are_in(lake, "a")).await;
    until(|| sent.are_in(lake, "b")).await;
    sink.stop().await;
    assert!(sent.are_in(lake, "a") && sent.are_in(lake, "b"));
}

/// What leases say the logs say, too: with another table nothing is read twice, or passed over.
#[tokio::test(flavor = "multi_thread")]
async fn a_lost_table_of_leases_costs_no_row_and_brings_none_twice() {
    let streams = Streams::start().await;
    let folder = tempfile::tempdir().unwrap();
    let (lake, mut sent) = (folder.path(), Sent(0));
    let first = Sink::start(&streams, lake, |_, _| {});
    sent.more(&streams, 300).await;
    until(|| sent.are_in(lake, "a")).await;
    first.stop().await;
    sent.more(&streams, 300).await;
    let second = Sink::start(&streams, lake, |options, _| options.lease_table = "anew".to_owned());
    until(|| sent.are_in(lake, "a")).await;
    // A child begins above its parents here, too.
    let open = streams.open().await;
    streams.split(&open[0]).await;
    sent.more(&streams, 300).await;
    until(|| sent.are_in(lake, "a")).await;
    second.stop().await;
    assert!(sent.are_in(lake, "a"));
    assert_order(lake);
}

/// Under the name of another, and with the names of its shards: nothing of it is taken for what was read.
#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_is_made_anew_is_read_where_its_leases_are_gone() {
    let streams = Streams::start().await;
    let folder = tempfile::tempdir().unwrap();
    let (lake, mut sent) = (folder.path(), Sent(0));
    let first = Sink::start(&streams, lake, |_, _| {});
    sent.more(&streams, 300).await;
    until(|| sent.are_in(lake, "a")).await;
    first.stop().await;
    streams.make_anew().await;
    sent.more(&streams, 100).await;
    let second = Sink::start(&streams, lake, |options, _| options.lease_table = "anew".to_owned());
    until(|| sent.are_in(lake, "a")).await;
    second.stop().await;
    assert!(sent.are_in(lake, "a"));
    assert_order(lake);
}
