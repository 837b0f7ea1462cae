//! Sinks on a real Kafka: every message is one row of the history, whoever comes and goes.

use std::{collections::BTreeMap, path::Path, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use arrow::{array::AsArray, datatypes::Int64Type};
use tokio::{runtime::Handle, task::JoinHandle};
use trivium_ingest::{LaneOptions, Schemas};
use trivium_ingest_history::{Definitions, SinkOptions, SinkParts};
use trivium_ingest_kafka::{Error, KafkaHistory, KafkaOptions};
use trivium_lake_log::{CompactOptions, Shape, StreamLog};
use trivium_model::StreamSystem;
use trivium_runtime::{Shutdown, SystemClock};

use crate::fixture::{Broker, Event, snapshot, until};

struct Sink {
    shutdown: Shutdown,
    definitions: Arc<ArcSwap<Definitions>>,
    task: JoinHandle<Result<(), Error>>,
}

fn definitions(names: &[&str]) -> Definitions {
    Definitions::of(&snapshot(names), StreamSystem::Kafka, &[])
}

impl Sink {
    fn start(broker: &Broker, lake: &Path) -> Self {
        let definitions = Arc::new(ArcSwap::from_pointee(definitions(&["a"])));
        let history = KafkaHistory {
            kafka: KafkaOptions {
                brokers: broker.bootstrap(),
                group: "history".to_owned(),
                session: Duration::from_secs(6),
                ..KafkaOptions::default()
            },
            sink: SinkOptions {
                lake: lake.to_owned(),
                commit_every: Duration::from_millis(50),
                tend_every: Duration::from_millis(200),
                compact: CompactOptions { files_min: 4, ..CompactOptions::default() },
                ..SinkOptions::default()
            },
            parts: SinkParts {
                schemas: Arc::new(Schemas::new(None)),
                lane: LaneOptions::default(),
                clock: Arc::new(SystemClock),
                handle: Handle::current(),
            },
            definitions: Arc::clone(&definitions),
        };
        let shutdown = Shutdown::new();
        let task = tokio::spawn(history.run(shutdown.clone()));
        Self { shutdown, definitions, task }
    }
    async fn stop(self) {
        self.shutdown.trigger();
        self.task.await.unwrap().unwrap();
    }
}

/// How often each `x` is there.
fn rows(lake: &Path, name: &str) -> BTreeMap<i64, usize> {
    let snapshot = snapshot(&[name]);
    let shape = Shape::new(&snapshot.views.values().next().unwrap().view).unwrap();
    let log = StreamLog::new(lake, shape.view());
    let mut found = BTreeMap::new();
    for file in log.load().unwrap().files.values() {
        for batch in log.read(file, shape.columns()).unwrap() {
            for x in batch.column(2).as_primitive::<Int64Type>().values() {
                *found.entry(*x).or_default() += 1;
            }
        }
    }
    found
}

fn once(count: i64) -> BTreeMap<i64, usize> {
    (0..count).map(|x| (x, 1)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_message_is_one_row_whoever_comes_and_goes() {
    let mut broker = Broker::start();
    let folder = tempfile::tempdir().unwrap();
    let lake = folder.path();
    let sent = std::cell::Cell::new(0);
    let send = |broker: &Broker, count: i64| {
        let from = sent.get();
        let event = |x| Event { id: x % 40, at: 1_000_000 + x, x };
        broker.send(&(from..from + count).map(event).collect::<Vec<_>>());
        sent.set(from + count);
    };
    send(&broker, 500);
    let first = Sink::start(&broker, lake);
    until(|| rows(lake, "a") == once(500)).await;

    // Another comes while more is sent; what moves is read on by whoever has it.
    let second = Sink::start(&broker, lake);
    for _ in 0..20 {
        send(&broker, 100);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let all = sent.get();
    until(|| rows(lake, "a") == once(all)).await;
    // The first goes in the middle of it.
    send(&broker, 1_000);
    first.stop().await;
    send(&broker, 1_000);
    let all = sent.get();
    until(|| rows(lake, "a") == once(all)).await;

    // The broker dies and comes back.
    broker.kill_and_restart();
    send(&broker, 500);
    let all = sent.get();
    until(|| rows(lake, "a") == once(all)).await;

    // A view is added to the topic: it begins with the oldest message, the other does not begin again.
    second.definitions.store(Arc::new(definitions(&["a", "b"])));
    until(|| rows(lake, "b") == once(all)).await;
    send(&broker, 100);
    let all = sent.get();
    until(|| rows(lake, "b") == once(all) && rows(lake, "a") == once(all)).await;
    second.stop().await;

    // Who begins after a stop goes on, and nothing is there twice.
    let third = Sink::start(&broker, lake);
    send(&broker, 100);
    let all = sent.get();
    until(|| rows(lake, "a") == once(all)).await;
    third.stop().await;
    assert_eq!(rows(lake, "a"), once(all));
}
