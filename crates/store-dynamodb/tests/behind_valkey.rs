//! The table behind a shared cache, both real: a store with a cache in front keeps every promise of a
//! store without one. Two nodes, so that what one has cached is read by the other.
#![expect(clippy::unwrap_used, reason = "a whole file of tests")]

use std::{
    sync::{
        Arc, LazyLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use async_trait::async_trait;
use bytes::Bytes;
use trivium_cache_valkey::ValkeyCache;
use trivium_codec::{Row, RowKey};
use trivium_coherence::CoherentStore;
use trivium_runtime::Shutdown;
use trivium_store::{
    Checkpoints, Error, OnlineRead, OnlineWrite, ReadOptions, RowWrite, WriteOutcome,
};
use trivium_store_dynamodb::{Credentials, DynamoStore, Options, SharedCredentialsProvider};
use trivium_testkit::{DynamoDb, Valkey};

static DYNAMODB: LazyLock<DynamoDb> = LazyLock::new(|| DynamoDb::start().unwrap());
static VALKEY: LazyLock<Valkey> = LazyLock::new(|| Valkey::start(&[]).unwrap());

type Node = CoherentStore<DynamoStore, ValkeyCache>;

/// Two nodes; calls go to one and to the other in turn.
struct Nodes {
    nodes: [Arc<Node>; 2],
    turn: AtomicU64,
}

impl Nodes {
    fn next(&self) -> &Node {
        &self.nodes[(self.turn.fetch_add(1, Ordering::Relaxed) % 2) as usize]
    }
}

#[async_trait]
impl OnlineRead for Nodes {
    async fn get(&self, keys: &[RowKey], options: &ReadOptions) -> Vec<Result<Option<Row>, Error>> {
        self.next().get(keys, options).await
    }
}
#[async_trait]
impl OnlineWrite for Nodes {
    async fn write(
        &self,
        writes: Vec<RowWrite>,
        seed_micros: u64,
        deadline: Option<Instant>,
    ) -> Vec<Result<WriteOutcome, Error>> {
        self.next().write(writes, seed_micros, deadline).await
    }
}
#[async_trait]
impl Checkpoints for Nodes {
    async fn load(&self, name: &str) -> Result<Option<Bytes>, Error> {
        self.next().load(name).await
    }
    async fn store(
        &self,
        name: &str,
        expected: Option<&[u8]>,
        value: Bytes,
    ) -> Result<bool, Error> {
        self.next().store(name, expected, value).await
    }
}

async fn node() -> Arc<Node> {
    let options = Options {
        endpoint: Some(DYNAMODB.endpoint()),
        attempt_timeout_ms: 20_000,
        limit_ms: 60_000,
        ..Options::new("rows", "eu-central-1")
    };
    let credentials = Credentials::new("local", "local", None, None, "test");
    let credentials = SharedCredentialsProvider::new(credentials);
    let table = DynamoStore::with_credentials(options, credentials).unwrap();
    table.init().await.unwrap();
    let options = trivium_cache_valkey::Options {
        command_timeout_ms: 5_000,
        connect_timeout_ms: 5_000,
        ..trivium_cache_valkey::Options::new(VALKEY.address())
    };
    let cache = ValkeyCache::connect(options).unwrap();
    assert!(cache.wait(Duration::from_secs(30)).await, "not connected");
    let node = Arc::new(CoherentStore::new(table, cache, trivium_coherence::Options::default()));
    let kept = Arc::clone(&node);
    tokio::spawn(async move { kept.run(&Shutdown::new()).await });
    let started = Instant::now();
    while !node.has_lease() {
        assert!(started.elapsed() < Duration::from_secs(60), "the cache was not enabled");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    node
}

async fn make() -> Arc<Nodes> {
    Arc::new(Nodes { nodes: [node().await, node().await], turn: AtomicU64::new(0) })
}
trivium_store::conformance_tests!(make);
trivium_store::subject_conformance_tests!(node);

/// Or else all of the above would show nothing about the cache.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reads_come_out_of_the_cache() {
    let nodes = make().await;
    trivium_store::conformance::reads_never_go_back(Arc::clone(&nodes)).await;
    let stats = VALKEY.command(&["INFO", "commandstats"]).unwrap();
    for command in ["cmdstat_evalsha", "cmdstat_mget"] {
        assert!(stats.contains(command), "{stats}");
    }
    let names = VALKEY.command(&["KEYS", "*#*"]).unwrap();
    let values = names
        .lines()
        .filter(|name| VALKEY.command(&["GETRANGE", name, "0", "0"]).is_ok_and(|tag| tag == "V"));
    assert!(values.count() > 0, "no row is cached: {names}");
}
