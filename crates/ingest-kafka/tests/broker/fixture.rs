//! A broker with topics, a door that remembers, and workers between them.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use async_trait::async_trait;
use rdkafka::{
    ClientConfig, Message as _,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    consumer::{BaseConsumer, Consumer as _},
    message::{Header, Headers as _, OwnedHeaders},
    producer::{BaseProducer, BaseRecord, Producer as _},
};
use tokio::{runtime::Handle, task::JoinHandle};
use trivium_ingest::{
    FloodOptions, LaneHealth, LaneOptions, Partitions as _, Parts, Schemas, routes::Routes,
};
use trivium_ingest_kafka::{DeadLetterTopic, Error, KafkaOptions, KafkaWorker};
use trivium_model::{KeyValue, StreamSystem, Timestamp, config::parse_view};
use trivium_registry::{Revision, Snapshot, StoredView};
use trivium_runtime::{Shutdown, SystemClock};
use trivium_store::{
    DoorError, DoorOutcome, DoorRequest, Error as StoreError, Order, Stamp, WriteDoor, WriteId,
    WriteOutcome,
};
use trivium_testkit::Kafka;

pub const PARTITIONS: usize = 6;
pub const ENTITIES: i64 = 50;
const PATIENCE: Duration = Duration::from_secs(120);

/// Waits until it is so; a test that waits in vain fails.
pub async fn until(mut so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !so() {
        assert!(begun.elapsed() < PATIENCE, "it never came to be so");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

pub struct Event {
    pub id: i64,
    pub at: i64,
    pub x: i64,
}

pub struct Broker {
    kafka: Kafka,
    producer: BaseProducer,
}

#[derive(Debug)]
pub struct DeadLetter {
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    headers: Vec<(String, String)>,
}

impl DeadLetter {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }
}

impl Broker {
    pub fn start() -> Self {
        let kafka = Kafka::start().unwrap();
        let client = || {
            let mut config = ClientConfig::new();
            config.set("bootstrap.servers", kafka.bootstrap());
            config
        };
        let admin: AdminClient<DefaultClientContext> = client().create().unwrap();
        let topics = [("events", PARTITIONS), ("dead", 1)].map(|(name, partitions)| {
            NewTopic::new(name, partitions as i32, TopicReplication::Fixed(1))
        });
        let made = tokio::task::block_in_place(|| {
            Handle::current().block_on(admin.create_topics(&topics, &AdminOptions::new()))
        });
        for topic in made.unwrap() {
            topic.unwrap();
        }
        let producer = client()
            .set("enable.idempotence", "true")
            .set("message.max.bytes", "2000000")
            .create()
            .unwrap();
        Self { kafka, producer }
    }

    pub fn bootstrap(&self) -> String {
        self.kafka.bootstrap()
    }

    pub fn send(&self, events: &[Event]) {
        for Event { id, at, x } in events {
            let value = format!(r#"{{ "id": {id}, "at": {at}, "x": {x} }}"#);
            self.send_one(&id.to_string(), value.as_bytes(), &[]);
        }
        self.flush();
    }

    /// As Flink and the windows write: behind the last message of each partition stands a mark.
    pub fn send_in_transaction(&self, events: &[Event]) {
        let producer: BaseProducer = ClientConfig::new()
            .set("bootstrap.servers", self.bootstrap())
            .set("transactional.id", "writer")
            .create()
            .unwrap();
        producer.init_transactions(PATIENCE).unwrap();
        producer.begin_transaction().unwrap();
        for Event { id, at, x } in events {
            let (key, value) =
                (id.to_string(), format!(r#"{{ "id": {id}, "at": {at}, "x": {x} }}"#));
            let record = BaseRecord::to("events").key(&key).payload(&value);
            producer.send(record).map_err(|(error, _)| error).unwrap();
        }
        producer.commit_transaction(PATIENCE).unwrap();
    }

    pub fn send_raw(&self, key: &str, value: &[u8], headers: &[(&str, &str)]) {
        self.send_one(key, value, headers);
        self.flush();
    }

    fn send_one(&self, key: &str, value: &[u8], headers: &[(&str, &str)]) {
        let mut all = OwnedHeaders::new();
        for (key, value) in headers {
            all = all.insert(Header { key, value: Some(*value) });
        }
        let mut record = BaseRecord::to("events").key(key).payload(value).headers(all);
        while let Err((_, back)) = self.producer.send(record) {
            record = back;
            self.producer.poll(Duration::from_millis(10));
        }
    }

    fn flush(&self) {
        self.producer.flush(PATIENCE).unwrap();
    }

    /// Where the topic of dead letters begins now.
    pub fn dead_letters_begin(&self) -> i64 {
        let consumer: BaseConsumer =
            ClientConfig::new().set("bootstrap.servers", self.bootstrap()).create().unwrap();
        consumer.fetch_watermarks("dead", 0, PATIENCE).unwrap().0
    }

    pub fn kill_and_restart(&mut self) {
        self.kafka.kill().unwrap();
        self.kafka.restart().unwrap();
    }

    /// All dead letters; waits for so many.
    pub fn dead_letters(&self, expected: usize) -> Vec<DeadLetter> {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", self.bootstrap())
            .set("group.id", "reader")
            .set("enable.auto.commit", "false")
            .set("auto.offset.reset", "earliest")
            .create()
            .unwrap();
        let (_, high) = consumer.fetch_watermarks("dead", 0, PATIENCE).unwrap();
        let mut list = rdkafka::TopicPartitionList::new();
        list.add_partition_offset("dead", 0, rdkafka::Offset::Beginning).unwrap();
        consumer.assign(&list).unwrap();
        let wanted = usize::try_from(high).unwrap().max(expected);
        let mut found = Vec::new();
        let begun = Instant::now();
        while found.len() < wanted {
            assert!(begun.elapsed() < PATIENCE, "{} of {wanted} dead letters", found.len());
            let Some(message) = consumer.poll(Duration::from_millis(100)) else { continue };
            let message = message.unwrap();
            let headers = message.headers().map(|headers| {
                let text =
                    |bytes: Option<&[u8]>| String::from_utf8(bytes.unwrap().to_vec()).unwrap();
                headers.iter().map(|header| (header.key.to_owned(), text(header.value))).collect()
            });
            found.push(DeadLetter {
                key: message.key().map(<[u8]>::to_vec),
                value: message.payload().map(<[u8]>::to_vec),
                headers: headers.unwrap_or_default(),
            });
        }
        found
    }
}

/// Newest wins; remembers what it was asked.
#[derive(Default)]
pub struct Door {
    rows: Mutex<HashMap<Vec<KeyValue>, (i64, u64)>>,
    away: AtomicBool,
    requests: AtomicUsize,
    rows_asked: AtomicUsize,
}

impl Door {
    pub fn new() -> Arc<Self> {
        Arc::default()
    }
    pub fn go_away(&self, away: bool) {
        self.away.store(away, Ordering::SeqCst);
    }
    pub fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
    pub fn rows_asked(&self) -> usize {
        self.rows_asked.load(Ordering::SeqCst)
    }
    pub fn entities(&self) -> usize {
        self.rows.lock().unwrap().len()
    }
    /// Whether every entity's row is the one of this event time.
    pub fn applied_all(&self, at: i64) -> bool {
        let rows = self.rows.lock().unwrap();
        (0..ENTITIES).all(|id| rows.get(&vec![KeyValue::Int64(id)]).is_some_and(|row| row.0 == at))
    }
}

#[async_trait]
impl WriteDoor for Door {
    async fn write(&self, request: DoorRequest) -> Result<Vec<DoorOutcome>, DoorError> {
        self.requests.fetch_add(1, Ordering::SeqCst);
        if self.away.load(Ordering::SeqCst) {
            return Err(DoorError::Store(StoreError::Unavailable("away".into())));
        }
        // As a store takes its time.
        tokio::time::sleep(Duration::from_millis(1)).await;
        let mut rows = self.rows.lock().unwrap();
        let outcome = |row: trivium_store::DoorRow| {
            self.rows_asked.fetch_add(1, Ordering::SeqCst);
            let Order::At { event_time, sequence: Some(sequence) } = row.order else { panic!() };
            let stamp =
                Stamp { rev: 1, event_time, sequence, write_id: WriteId(0), deleted: false };
            let new = (event_time.0, sequence);
            match rows.get(&row.entity).copied() {
                Some(old) if old >= new => Ok(WriteOutcome::Superseded(stamp)),
                _ => {
                    rows.insert(row.entity, new);
                    Ok(WriteOutcome::Applied(stamp))
                }
            }
        };
        Ok(request.rows.into_iter().map(outcome).collect())
    }
}

/// Views of these names, each with `x` of the events.
pub fn snapshot(names: &[&str]) -> Snapshot {
    let mut snapshot = Snapshot::default();
    for name in names {
        let config = serde_json::json!({
            "namespace": "n", "name": name, "version": 1, "lane": "stream", "description": "d",
            "owner": { "team": "t", "contact": "c" }, "urgency_tier": 1,
            "entities": [{ "name": "id", "type": "int64" }], "event_timestamp": "at",
            "features": [{ "name": "x", "type": "int64", "description": "d" }],
            "source": { "format": "json", "topic": "events", "time_unit": "us" },
        });
        let path = format!("configs/n/{name}.v1.json");
        let view = parse_view(&path, &config.to_string()).unwrap();
        let stored = StoredView {
            view,
            config_text: config.to_string(),
            sql_text: None,
            revision: Revision(1),
            author: "a".into(),
            at: Timestamp(0),
            reason: "r".into(),
        };
        snapshot.views.insert(stored.view.reference(), Arc::new(stored));
    }
    snapshot
}

fn routes() -> Routes {
    Routes::of(&snapshot(&["a"]), StreamSystem::Kafka, &[])
}

/// A worker of the group.
pub struct Member {
    worker: KafkaWorker,
    shutdown: Shutdown,
    task: JoinHandle<Result<(), Error>>,
}

impl Member {
    pub fn start(broker: &Broker, door: &Arc<Door>, set: impl FnOnce(&mut KafkaOptions)) -> Self {
        let mut options = KafkaOptions {
            brokers: broker.bootstrap(),
            session: Duration::from_secs(6),
            commit_every: Duration::from_millis(100),
            ..KafkaOptions::default()
        };
        set(&mut options);
        let parts = Parts {
            routes: Arc::new(ArcSwap::from_pointee(routes())),
            door: Arc::clone(door) as _,
            letters: Arc::new(DeadLetterTopic::new(&options, "dead").unwrap()),
            clock: Arc::new(SystemClock),
            schemas: Arc::new(Schemas::new(None)),
            options: LaneOptions {
                pause_first: Duration::from_millis(2),
                pause_most: Duration::from_millis(20),
                flood: FloodOptions { share: 0.5, among: 10, least: 10 },
                ..LaneOptions::default()
            },
        };
        let worker = KafkaWorker::new(parts, options, Handle::current());
        let shutdown = Shutdown::new();
        let task = tokio::spawn(worker.clone().run(shutdown.clone()));
        Self { worker, shutdown, task }
    }
    pub fn partitions(&self) -> usize {
        self.worker.health().len()
    }
    pub fn health(&self) -> Vec<LaneHealth> {
        self.worker.health()
    }
    pub fn let_pass(&self, partition: &str) -> bool {
        self.worker.let_pass(partition, 200)
    }
    pub async fn stop(self) -> Result<(), Error> {
        self.shutdown.trigger();
        self.task.await.unwrap()
    }
}
