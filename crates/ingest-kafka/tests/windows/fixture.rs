//! A broker with events, workers in processes of their own, and what comes of them.

use std::{
    cell::Cell,
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use rand::{RngExt as _, rngs::StdRng};
use rdkafka::{
    ClientConfig, Message as _, Offset, TopicPartitionList,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    consumer::{BaseConsumer, Consumer as _},
    error::KafkaError,
    message::Timestamp as KafkaTime,
    producer::{BaseProducer, BaseRecord, Producer as _},
};
use tokio::runtime::Handle;
use trivium_ingest::{LaneOptions, Schemas, events::Events, port::Record};
use trivium_ingest_kafka::{
    KafkaOptions,
    windows::{WindowsParts, changelog_topic},
};
use trivium_model::{FeatureView, KeyValue, Name, Timestamp, Value, config::parse_view};
use trivium_payload::{AvroSchemas, Decoder, Message, ordered_payload};
use trivium_runtime::{Shutdown, SystemClock};
use trivium_testkit::Kafka;
use trivium_windows::{MemoryState, Plan, Row, Step};
use trivium_windows_embedded::Folder;

pub const PARTITIONS: usize = 3;
const PATIENCE: Duration = Duration::from_secs(120);
const CHILD: &str = "TRIVIUM_TEST_WINDOWS_CHILD";
/// Where the events' times begin, in seconds.
const BEGIN: i64 = 1_700_000_000;

/// How many times a worker is killed.
pub fn kills() -> usize {
    std::env::var("TRIVIUM_TEST_KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(20)
}

pub fn view() -> FeatureView {
    let config = serde_json::json!({
        "namespace": "n", "name": "a", "version": 1, "lane": "stream", "description": "d",
        "owner": { "team": "t", "contact": "c" }, "urgency_tier": 1,
        "entities": [{ "name": "id", "type": "int64" }], "event_timestamp": "at",
        "features": [
            { "name": "events", "type": "int64", "description": "d" },
            { "name": "sum", "type": "int64", "description": "d" },
            { "name": "mean", "type": "float64", "description": "d" },
        ],
        "source": { "format": "json", "topic": "events", "time_unit": "s" },
        "window": {
            "size": "60s", "slide": "20s", "allowed_lateness": "30s", "event_id": "event",
            "columns": [{ "name": "x", "type": "int64" }, { "name": "event", "type": "int64" }],
            "features": { "events": "count", "sum": { "sum": "x" }, "mean": { "mean": "x" } },
            "payload_topic": "rows",
        },
    });
    parse_view("configs/n/a.v1.json", &config.to_string())
        .unwrap_or_else(|found| panic!("{found:?}"))
}

/// What a child works with: `bootstrap;folder;instance`.
pub fn child_parts() -> Option<WindowsParts> {
    let told = std::env::var(CHILD).ok()?;
    let mut told = told.split(';');
    let mut next = || told.next().unwrap().to_owned();
    let (brokers, folder, instance) = (next(), next(), next());
    Some(parts(brokers, Path::new(&folder), Some(instance)))
}

pub fn parts(brokers: String, folder: &Path, instance: Option<String>) -> WindowsParts {
    WindowsParts {
        folder: Folder::open(folder).unwrap(),
        schemas: Arc::new(Schemas::new(None)),
        dead_letters: "dead".to_owned(),
        clock: Arc::new(SystemClock),
        kafka: KafkaOptions {
            brokers,
            instance,
            session: Duration::from_secs(6),
            batch_records: 50,
            ..KafkaOptions::default()
        },
        options: LaneOptions::default(),
    }
}

/// A worker in a process of its own.
pub struct Member {
    told: String,
    folder: PathBuf,
    child: Option<Child>,
}

impl Member {
    pub fn new(broker: &Broker, folder: &Path, number: usize) -> Self {
        let folder = folder.join(number.to_string());
        let told = format!("{};{};member-{number}", broker.kafka.bootstrap(), folder.display());
        Self { told, folder, child: None }
    }
    pub fn start(&mut self) {
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child", "--nocapture"])
            .env(CHILD, &self.told)
            .stdout(Stdio::null())
            .spawn();
        self.child = Some(child.unwrap());
    }
    /// With kill -9.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            assert_eq!(child.try_wait().unwrap(), None, "a worker ended by itself");
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }
    /// Stands still for so long, in the middle of whatever it does.
    pub fn sleep(&self, time: Duration) {
        let id = self.child.as_ref().unwrap().id().to_string();
        let signal = |name: &str| {
            assert!(Command::new("kill").args([name, &id]).status().unwrap().success());
        };
        signal("-STOP");
        std::thread::sleep(time);
        signal("-CONT");
    }
    pub fn lose_folder(&self) {
        std::fs::remove_dir_all(&self.folder).unwrap_or_default();
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

pub struct Broker {
    kafka: Kafka,
    producer: BaseProducer,
    sent: Cell<i64>,
}

/// A row as it stands in the payload topic: entity, window's end, sequence; and its bytes.
type Found = Vec<((i64, i64, u64), Vec<u8>)>;

impl Broker {
    pub fn start() -> Self {
        let kafka = Kafka::start().unwrap();
        let client = || {
            let mut config = ClientConfig::new();
            config.set("bootstrap.servers", kafka.bootstrap());
            config
        };
        let admin: AdminClient<DefaultClientContext> = client().create().unwrap();
        let topics =
            [("events", PARTITIONS), ("rows", 2), ("dead", 1)].map(|(name, partitions)| {
                NewTopic::new(name, partitions as i32, TopicReplication::Fixed(1))
            });
        let made = tokio::task::block_in_place(|| {
            Handle::current().block_on(admin.create_topics(&topics, &AdminOptions::new()))
        });
        for topic in made.unwrap() {
            topic.unwrap();
        }
        let producer = client().set("enable.idempotence", "true").create().unwrap();
        Self { kafka, producer, sent: Cell::new(0) }
    }

    fn send(&self, partition: i64, value: &str) {
        let record: BaseRecord<'_, [u8], str> =
            BaseRecord::to("events").partition(partition as i32).payload(value);
        self.producer.send(record).map_err(|(error, _)| error).unwrap();
    }

    /// Events whose times go on, a little up and down; some of them twice.
    pub fn send_events(&self, count: i64, random: &mut StdRng) {
        for number in self.sent.get()..self.sent.get() + count {
            let id = random.random_range(0..30_i64);
            let at = BEGIN + number / 15 + random.random_range(-25..5_i64);
            let x = random.random_range(-1_000..1_000_i64);
            let event = format!(r#"{{ "id": {id}, "at": {at}, "x": {x}, "event": {number} }}"#);
            let partition = id % PARTITIONS as i64;
            self.send(partition, &event);
            if random.random_range(0..10) == 0 {
                self.send(partition, &event);
            }
        }
        self.sent.set(self.sent.get() + count);
        self.producer.flush(PATIENCE).unwrap();
    }

    pub fn bootstrap(&self) -> String {
        self.kafka.bootstrap()
    }

    pub fn send_bad(&self) {
        self.send(0, "no json");
        self.producer.flush(PATIENCE).unwrap();
    }

    /// An event in each partition, long after all others.
    pub fn end_windows(&self) {
        for partition in 0..PARTITIONS as i64 {
            let (id, at) = (30 + partition, BEGIN + 10_000_000);
            self.send(partition, &format!(r#"{{ "id": {id}, "at": {at} }}"#));
        }
        self.producer.flush(PATIENCE).unwrap();
    }

    /// What is readable of a topic now.
    fn read(&self, topic: &str) -> Vec<(i32, Record)> {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", self.kafka.bootstrap())
            .set("group.id", "reader")
            .set("enable.auto.commit", "false")
            .set("enable.partition.eof", "true")
            .set("isolation.level", "read_committed")
            .create()
            .unwrap();
        let partitions = self.partitions(&consumer, topic);
        let mut list = TopicPartitionList::new();
        for partition in 0..partitions as i32 {
            list.add_partition_offset(topic, partition, Offset::Beginning).unwrap();
        }
        consumer.assign(&list).unwrap();
        let (mut read, mut ended, begun) = (Vec::new(), BTreeSet::new(), Instant::now());
        while ended.len() < partitions {
            assert!(begun.elapsed() < PATIENCE, "the end of {topic} is not found");
            match consumer.poll(Duration::from_millis(100)) {
                None => {}
                Some(Err(KafkaError::PartitionEOF(partition))) => drop(ended.insert(partition)),
                Some(Err(error)) => panic!("{error}"),
                Some(Ok(message)) => {
                    let time = match message.timestamp() {
                        KafkaTime::CreateTime(millis) => Some(Timestamp(millis * 1_000)),
                        _ => None,
                    };
                    let record = Record {
                        offset: message.offset() as u64,
                        key: message.key().map(|key| key.to_vec().into()),
                        value: message.payload().map(|value| value.to_vec().into()),
                        headers: Vec::new(),
                        time,
                        broken: None,
                    };
                    read.push((message.partition(), record));
                }
            }
        }
        read
    }

    fn partitions(&self, consumer: &BaseConsumer, topic: &str) -> usize {
        consumer.fetch_metadata(Some(topic), PATIENCE).unwrap().topics()[0].partitions().len()
    }

    pub fn changelog_partitions(&self) -> usize {
        let consumer: BaseConsumer =
            ClientConfig::new().set("bootstrap.servers", self.kafka.bootstrap()).create().unwrap();
        self.partitions(&consumer, &changelog_topic(&view().reference()))
    }

    pub fn dead_letters(&self) -> usize {
        self.read("dead").len()
    }

    /// The rows that can be read once it is so; a test that waits in vain fails.
    pub fn rows_until(&self, mut so: impl FnMut(&Found) -> bool) -> Found {
        let begun = Instant::now();
        loop {
            let decoder = Decoder::new(&view()).unwrap();
            let rows = self.read("rows");
            let found = rows
                .iter()
                .map(|(_, record)| row(&decoder, record.value.as_deref().unwrap()))
                .collect();
            if so(&found) {
                return found;
            }
            assert!(begun.elapsed() < PATIENCE, "of {} rows some are missing", found.len());
            std::thread::sleep(Duration::from_millis(500));
        }
    }

    /// The rows of each partition's messages, one after the other.
    pub async fn expected(&self) -> Expected {
        let view = view();
        let (events, plan) = (Events::new(&view).unwrap(), Plan::new(&view).unwrap());
        let decoder = Decoder::new(&view).unwrap();
        let mut partitions: BTreeMap<i32, Vec<Record>> = BTreeMap::new();
        for (partition, record) in tokio::task::block_in_place(|| self.read("events")) {
            partitions.entry(partition).or_default().push(record);
        }
        let mut rows = Vec::new();
        for records in partitions.into_values() {
            let schemas = Schemas::new(None);
            let options = LaneOptions::default();
            let said = events
                .read(&records, &schemas, &options, Timestamp(i64::MAX / 2), &Shutdown::new())
                .await
                .unwrap();
            let mut state = MemoryState::default();
            for (record, said) in records.iter().zip(said) {
                let mut step = Step::begin(&plan, &state).unwrap();
                assert!(step.settle().unwrap());
                step.take(record.offset, said.ok().flatten().as_ref()).unwrap();
                let output = step.finish().unwrap();
                state.apply(output.changes);
                rows.extend(output.rows.iter().map(|given| row(&decoder, &payload(&view, given))));
            }
        }
        Expected(rows)
    }
}

fn payload(view: &FeatureView, row: &Row) -> Vec<u8> {
    let entity: Vec<(Name, KeyValue)> =
        view.entities.iter().map(|key| key.name.clone()).zip(row.entity.clone()).collect();
    let names = view.features.iter().map(|feature| feature.name.clone());
    let values: Vec<(Name, Value)> = names.zip(row.values.clone()).collect();
    ordered_payload(view, &entity, row.end, Some(row.sequence), Some(&values))
}

fn row(decoder: &Decoder, payload: &[u8]) -> ((i64, i64, u64), Vec<u8>) {
    let message = Message { key: None, value: Some(payload), headers: &[], time: None };
    let event = decoder.reader().read(&message, &AvroSchemas::new()).unwrap().unwrap();
    let [KeyValue::Int64(id)] = event.entity[..] else { panic!("{event:?}") };
    let key = (id, event.event_time.0, event.sequence.unwrap());
    (key, event.row.unwrap().as_bytes().to_vec())
}

fn newest(rows: &Found) -> BTreeMap<(i64, i64), (u64, &[u8])> {
    let mut newest = BTreeMap::new();
    for ((id, end, sequence), bytes) in rows {
        let old = newest.entry((*id, *end)).or_insert((*sequence, bytes.as_slice()));
        if *sequence > old.0 {
            *old = (*sequence, bytes);
        }
    }
    newest
}

/// All rows that one worker gives that takes one message at a time.
pub struct Expected(Found);

impl Expected {
    pub fn newest_are_in(&self, found: &Found) -> bool {
        let found = newest(found);
        newest(&self.0)
            .iter()
            .all(|(key, (sequence, _))| found.get(key).is_some_and(|(given, _)| given >= sequence))
    }

    /// Each is one of these, and there once; the newest of each window are there.
    pub fn check(&self, found: &Found) {
        let all: BTreeMap<_, _> = self.0.iter().map(|(key, bytes)| (*key, bytes)).collect();
        assert_eq!(all.len(), self.0.len());
        let mut met = BTreeSet::new();
        for (key, bytes) in found {
            assert!(met.insert(*key), "{key:?} is there twice");
            assert_eq!(all.get(key), Some(&bytes), "{key:?}");
        }
        assert_eq!(newest(found), newest(&self.0));
        assert!(found.len() > 100, "{}", found.len());
    }
}
