//! Streams, leases, a door that remembers, and workers between them.

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
use aws_credential_types::{Credentials, provider::SharedCredentialsProvider};
use aws_sdk_kinesis::{
    Client, Config,
    config::Region,
    primitives::Blob,
    types::{PutRecordsRequestEntry, ShardIteratorType, StreamStatus},
};
use tokio::{runtime::Handle, task::JoinHandle};
use trivium_ingest::{
    FloodOptions, LaneHealth, LaneOptions, Partitions as _, Parts, Schemas, routes::Routes,
};
use trivium_ingest_kinesis::{DeadLetterStream, Error, KinesisOptions, KinesisWorker};
use trivium_model::{FeatureView, KeyValue, StreamSystem, Timestamp, config::parse_view};
use trivium_payload::{Decoder, Message};
use trivium_registry::{Revision, Snapshot, StoredView};
use trivium_runtime::{Shutdown, SystemClock};
use trivium_store::{
    DoorError, DoorOp, DoorOutcome, DoorRequest, Error as StoreError, Order, Stamp, WriteDoor,
    WriteId, WriteOutcome,
};
use trivium_testkit::{DynamoDb, Kinesis, Proxy};

pub const SHARDS: usize = 4;
pub const ENTITIES: i64 = 50;
pub const LEASE: Duration = Duration::from_secs(3);
const PATIENCE: Duration = Duration::from_secs(180);
const TABLE: &str = "leases";

/// Waits until it is so; a test that waits in vain fails.
pub async fn until(mut so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !so() {
        assert!(begun.elapsed() < PATIENCE, "it never came to be so");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[derive(Debug, Clone, Copy)]
pub struct Event {
    pub id: i64,
    pub at: i64,
    pub x: i64,
}

impl Event {
    fn text(&self) -> String {
        format!(r#"{{ "id": {}, "at": {}, "x": {} }}"#, self.id, self.at, self.x)
    }
}

pub struct Streams {
    kinesis: Kinesis,
    dynamodb: DynamoDb,
    client: Client,
    leases: aws_sdk_dynamodb::Client,
}

fn credentials() -> SharedCredentialsProvider {
    SharedCredentialsProvider::new(Credentials::new("a", "b", None, None, "test"))
}

impl Streams {
    pub async fn start() -> Self {
        let (kinesis, dynamodb) = (Kinesis::start().unwrap(), DynamoDb::start().unwrap());
        let http = || aws_smithy_http_client::Builder::new().build_http();
        let config = Config::builder()
            .region(Region::new("us-east-1"))
            .credentials_provider(credentials())
            .endpoint_url(kinesis.endpoint())
            .http_client(http());
        let leases = aws_sdk_dynamodb::Config::builder()
            .region(Region::new("us-east-1"))
            .credentials_provider(credentials())
            .endpoint_url(dynamodb.endpoint())
            .http_client(http());
        let client = Client::from_conf(config.build());
        let leases = aws_sdk_dynamodb::Client::from_conf(leases.build());
        let streams = Self { kinesis, dynamodb, client, leases };
        streams.make("events", SHARDS).await;
        streams.make("dead", 1).await;
        streams
    }

    async fn make(&self, name: &str, shards: usize) {
        let (client, shards) = (&self.client, i32::try_from(shards).unwrap());
        client.create_stream().stream_name(name).shard_count(shards).send().await.unwrap();
        loop {
            let summary = client.describe_stream_summary().stream_name(name).send().await;
            let summary = summary.unwrap().stream_description_summary.unwrap();
            if summary.stream_status.as_str() == "ACTIVE" {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Another stream of the same name, empty.
    pub async fn make_anew(&self) {
        self.client.delete_stream().stream_name("events").send().await.unwrap();
        while self.client.describe_stream_summary().stream_name("events").send().await.is_ok() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        self.make("events", SHARDS).await;
    }

    /// How these are talked to, with leases in a table of this name.
    pub fn options(&self, table: &str) -> KinesisOptions {
        KinesisOptions {
            endpoint: Some(self.kinesis.endpoint()),
            lease_endpoint: Some(self.dynamodb.endpoint()),
            lease_table: table.to_owned(),
            credentials: Some(credentials()),
            lease: LEASE,
            commit_every: Duration::from_millis(200),
            shards_every: Duration::from_secs(2),
            ..KinesisOptions::default()
        }
    }

    pub fn kinesis_proxy(&self) -> Proxy {
        Proxy::http(self.kinesis.server().port()).unwrap()
    }
    pub fn dynamodb_proxy(&self) -> Proxy {
        Proxy::http(self.dynamodb.server().port()).unwrap()
    }

    pub async fn send(&self, events: &[Event]) {
        for some in events.chunks(500) {
            let entry = |event: &Event| {
                PutRecordsRequestEntry::builder()
                    .partition_key(event.id.to_string())
                    .data(Blob::new(event.text()))
                    .build()
                    .unwrap()
            };
            let request = self.client.put_records().stream_name("events");
            let answer = request.set_records(Some(some.iter().map(entry).collect())).send().await;
            assert_eq!(answer.unwrap().failed_record_count.unwrap_or(0), 0);
        }
    }

    pub async fn send_raw(&self, key: &str, data: &[u8]) {
        let request = self.client.put_record().stream_name("events").partition_key(key);
        request.data(Blob::new(data)).send().await.unwrap();
    }

    /// The open shards, by their first hash key.
    pub async fn open(&self) -> Vec<(String, u128, u128)> {
        let answer = self.client.list_shards().stream_name("events").send().await.unwrap();
        let mut open = Vec::new();
        for shard in answer.shards.unwrap() {
            if shard.sequence_number_range.unwrap().ending_sequence_number.is_none() {
                let range = shard.hash_key_range.unwrap();
                let from = range.starting_hash_key.parse().unwrap();
                open.push((shard.shard_id, from, range.ending_hash_key.parse().unwrap()));
            }
        }
        open.sort_by_key(|(_, from, _)| *from);
        open
    }

    /// While a stream is changed, it takes no other change.
    async fn until_active(&self) {
        loop {
            let asked = self.client.describe_stream_summary().stream_name("events").send().await;
            let summary = asked.unwrap().stream_description_summary.unwrap();
            if summary.stream_status == StreamStatus::Active {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    pub async fn split(&self, (shard, from, to): &(String, u128, u128)) {
        self.until_active().await;
        let middle = from + (to - from) / 2;
        let request = self.client.split_shard().stream_name("events").shard_to_split(shard);
        request.new_starting_hash_key(middle.to_string()).send().await.unwrap();
    }

    pub async fn merge(&self, first: &str, second: &str) {
        self.until_active().await;
        let request = self.client.merge_shards().stream_name("events").shard_to_merge(first);
        request.adjacent_shard_to_merge(second).send().await.unwrap();
    }

    /// The dead letters, at least so many.
    pub async fn dead_letters(&self, expected: usize) -> Vec<serde_json::Value> {
        let request = self.client.get_shard_iterator().stream_name("dead");
        let request = request.shard_id("shardId-000000000000");
        let answer = request.shard_iterator_type(ShardIteratorType::TrimHorizon).send().await;
        let mut iterator = answer.unwrap().shard_iterator.unwrap();
        let (mut found, begun) = (Vec::new(), Instant::now());
        loop {
            let answer = self.client.get_records().shard_iterator(iterator).send().await.unwrap();
            let letters = answer.records.iter();
            found.extend(letters.map(|one| serde_json::from_slice(one.data.as_ref()).unwrap()));
            let letters: &Vec<serde_json::Value> = &found;
            if answer.records.is_empty() && letters.len() >= expected {
                return found;
            }
            assert!(begun.elapsed() < PATIENCE, "{} of {expected} dead letters", found.len());
            iterator = answer.next_shard_iterator.unwrap();
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Each lease: its owner, its position, and whether it has ended.
    pub async fn leases(&self) -> HashMap<String, (Option<String>, u64, bool)> {
        self.leases_in(TABLE).await
    }

    pub async fn leases_in(&self, table: &str) -> HashMap<String, (Option<String>, u64, bool)> {
        let answer = self.leases.scan().table_name(table).consistent_read(true).send().await;
        let lease = |item: &HashMap<String, aws_sdk_dynamodb::types::AttributeValue>| {
            let owner = item.get("owner").map(|owner| owner.as_s().unwrap().clone());
            let position = item["position"].as_n().unwrap().parse().unwrap();
            (item["shard"].as_s().unwrap().clone(), (owner, position, item.contains_key("ended")))
        };
        answer.unwrap().items().iter().map(lease).collect()
    }
}

/// Newest wins; remembers what it was asked.
#[derive(Default)]
pub struct Door {
    rows: Mutex<HashMap<Vec<KeyValue>, (i64, u64, DoorOp)>>,
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
    pub fn is_deleted(&self, id: i64) -> bool {
        let rows = self.rows.lock().unwrap();
        rows.get(&vec![KeyValue::Int64(id)]).is_some_and(|row| matches!(row.2, DoorOp::Delete))
    }
    /// Whether the entity's row is this message's.
    pub fn has(&self, event: &Event) -> bool {
        let decoder = Decoder::new(&view()).unwrap();
        let text = event.text();
        let message = Message { key: None, value: Some(text.as_bytes()), headers: &[], time: None };
        let read = decoder.reader().read(&message, &trivium_payload::AvroSchemas::default());
        let expected = read.ok().flatten().unwrap();
        let rows = self.rows.lock().unwrap();
        rows.get(&expected.entity).is_some_and(|(at, _, op)| {
            let DoorOp::PutRow { row, .. } = op else { return false };
            *at == event.at && Some(row) == expected.row.as_ref()
        })
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
            match rows.get(&row.entity).map(|(at, sequence, _)| (*at, *sequence)) {
                Some(old) if old >= new => Ok(WriteOutcome::Superseded(stamp)),
                _ => {
                    rows.insert(row.entity, (new.0, new.1, row.op));
                    Ok(WriteOutcome::Applied(stamp))
                }
            }
        };
        Ok(request.rows.into_iter().map(outcome).collect())
    }
}

fn config(name: &str) -> String {
    serde_json::json!({
        "namespace": "n", "name": name, "version": 1, "lane": "stream", "description": "d",
        "owner": { "team": "t", "contact": "c" }, "urgency_tier": 1,
        "entities": [{ "name": "id", "type": "int64" }], "event_timestamp": "at",
        "features": [{ "name": "x", "type": "int64", "description": "d" }],
        "source": { "system": "kinesis", "format": "json", "topic": "events", "time_unit": "us" },
    })
    .to_string()
}

fn view() -> FeatureView {
    parse_view("configs/n/a.v1.json", &config("a")).unwrap()
}

/// Views of these names, all of the one stream.
pub fn snapshot(names: &[&str]) -> Snapshot {
    let mut snapshot = Snapshot::default();
    for name in names {
        let stored = StoredView {
            view: parse_view(&format!("configs/n/{name}.v1.json"), &config(name)).unwrap(),
            config_text: config(name),
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
    Routes::of(&snapshot(&["a"]), StreamSystem::Kinesis, &[])
}

/// One of the workers.
pub struct Member {
    worker: KinesisWorker,
    shutdown: Shutdown,
    task: JoinHandle<Result<(), Error>>,
}

impl Member {
    pub fn start(
        streams: &Streams,
        door: &Arc<Door>,
        set: impl FnOnce(&mut KinesisOptions),
    ) -> Self {
        let mut options = streams.options(TABLE);
        set(&mut options);
        let direct =
            KinesisOptions { endpoint: Some(streams.kinesis.endpoint()), ..options.clone() };
        let parts = Parts {
            routes: Arc::new(ArcSwap::from_pointee(routes())),
            door: Arc::clone(door) as _,
            letters: Arc::new(DeadLetterStream::new(&direct, "dead").unwrap()),
            clock: Arc::new(SystemClock),
            schemas: Arc::new(Schemas::new(None)),
            options: LaneOptions {
                pause_first: Duration::from_millis(2),
                pause_most: Duration::from_millis(20),
                flood: FloodOptions { share: 0.5, among: 10, least: 10 },
                ..LaneOptions::default()
            },
        };
        let worker = KinesisWorker::new(parts, options, Handle::current()).unwrap();
        let shutdown = Shutdown::new();
        let task = tokio::spawn(worker.clone().run(shutdown.clone()));
        Self { worker, shutdown, task }
    }
    pub fn shards(&self) -> usize {
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
    /// Ends its tasks where they are: nothing is given back.
    pub async fn kill(self) {
        self.task.abort();
        assert!(self.task.await.unwrap_err().is_cancelled());
    }
}
