//! Stores are replaced under callers who notice nothing: rows move to another table, and back, and nodes to
//! another cache, while everything is killed and restarted.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::{Duration, SystemTime},
};

use serde_json::{Value as Json, json};
use tokio::task::JoinHandle;
use trivium_model::Timestamp;
use trivium_testkit::Valkey;

use crate::support::{DYNAMODB, Node, World, http};

const REGION: &str = "eu-central-1";
const LIMIT: &str = "limit_ms = 60000\n";
/// Users whose rows nobody writes again.
const STILL: std::ops::Range<i64> = 100..220;

/// A config of these tables instead of the world's own.
fn config(world: &World, name: &str, table: &str, moving_to: Option<&str>) -> PathBuf {
    let path = world.config(name, "");
    let text = std::fs::read_to_string(&path).unwrap();
    let own = format!("table = \"{}\"", world.table);
    let text = text.replace(&own, &format!("table = \"{table}\""));
    let endpoint = DYNAMODB.endpoint();
    let section = moving_to.map_or_else(String::new, |table| {
        format!(
            "\n[dynamodb.moving_to]\ntable = \"{table}\"\nregion = \"{REGION}\"\nendpoint = \"{endpoint}\"\n"
        )
    });
    std::fs::write(&path, text.replace(LIMIT, &format!("{LIMIT}{section}"))).unwrap();
    path
}

/// Two nodes behind a balancer that knows which of them takes requests.
pub struct Nodes {
    pub nodes: Vec<Node>,
    pub addresses: Arc<Mutex<Vec<String>>>,
}

impl Nodes {
    pub fn start(config: &Path) -> Self {
        let nodes = vec![Node::start(config), Node::start(config)];
        let addresses = nodes.iter().map(|node| node.http.clone()).collect();
        Self { nodes, addresses: Arc::new(Mutex::new(addresses)) }
    }

    /// A new node first, then the old one goes.
    pub fn replace(&mut self, place: usize, config: &Path, signal: &str) {
        let node = Node::start(config);
        self.addresses.lock().unwrap()[place] = node.http.clone();
        let mut old = std::mem::replace(&mut self.nodes[place], node);
        old.signal(signal);
        old.wait();
    }

    pub fn roll(&mut self, config: &Path) {
        for place in 0..2 {
            self.replace(place, config, "TERM");
        }
    }
}

/// Less than that of a client shows nothing.
pub const WRITTEN_MIN: u64 = 20;
/// Tries after the end, where it has not been reached by then.
pub const LATE_MAX: u64 = 1_000;

/// A steady load on a few rows: each value is larger than the one before it.
struct Load {
    stop: Arc<AtomicBool>,
    clients: Vec<JoinHandle<u64>>,
}

impl Load {
    fn start(nodes: &Nodes) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let clients = (0..3).map(|user| {
            tokio::spawn(client(user, Arc::clone(&nodes.addresses), Arc::clone(&stop)))
        });
        Self { stop: Arc::clone(&stop), clients: clients.collect() }
    }

    async fn stop(self) {
        self.stop.store(true, SeqCst);
        for client in self.clients {
            assert!(client.await.unwrap() > WRITTEN_MIN, "hardly anything was written");
        }
    }
}

/// How many puts were acknowledged. A request that breaks off is what a killed node leaves; whatever is
/// answered has to be right.
async fn client(user: i64, addresses: Arc<Mutex<Vec<String>>>, stop: Arc<AtomicBool>) -> u64 {
    let (mut acknowledged, mut count, mut late) = (0, 0, 0);
    let client = http();
    let entity = json!({ "user_id": user });
    for value in 1_i64.. {
        if stop.load(SeqCst) {
            // A slow machine first gets to what a fast one has done long ago.
            late += 1;
            if count > WRITTEN_MIN || late > LATE_MAX {
                return count;
            }
        }
        let url = |turn: i64, verb: &str| {
            let addresses = addresses.lock().unwrap();
            let address = &addresses[usize::try_from(turn).unwrap() % addresses.len()];
            format!("{address}/v1/features/online/{verb}")
        };
        // What a killed node had sent and comes late must not win.
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_micros();
        let event_time = Timestamp(i64::try_from(now).unwrap()).to_string();
        let body = json!({ "view": "shop/session@1", "rows": [
            { "entity": entity, "values": { "clicks": value, "page": "x" }, "event_time": event_time }] });
        match client.post(url(value, "put")).json(&body).send().await {
            Err(_) => {}
            Ok(answer) => {
                let answer: Json = answer.json().await.unwrap();
                assert_eq!(answer["results"][0]["outcome"], "APPLIED", "{answer}");
                acknowledged = value;
                count += 1;
            }
        }
        let body = json!({ "features": ["shop/session@1"], "entities": [entity] });
        if let Ok(answer) = client.post(url(value + 1, "get")).json(&body).send().await {
            let answer: Json = answer.json().await.unwrap();
            let seen = answer["rows"][0]["values"][0].as_i64().unwrap();
            assert!(
                (acknowledged..=value).contains(&seen),
                "user {user}: {seen}, acknowledged {acknowledged}, tried {value}: {answer}"
            );
        }
    }
    count
}

async fn still_there(node: &Node) {
    let users: Vec<i64> = STILL.collect();
    let rows = node.get(&users).await;
    for (user, row) in users.iter().zip(rows.as_array().unwrap()) {
        assert_eq!(row["values"][0], *user, "{row}");
    }
}

pub fn succeeds(world: &World, config: &Path, arguments: &[&str]) -> String {
    let output = world.command(config, arguments);
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

pub fn refused(world: &World, config: &Path, arguments: &[&str], word: &str) {
    let output = world.command(config, arguments);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(5), "{arguments:?}: {said}");
    assert!(said.contains(word), "{said}");
}

/// Kills a step in its middle.
async fn killed(world: &World, config: &Path, verb: &str) {
    let mut migrator = world.spawn(config, &["stores", "migrate", verb, "--rows-per-second", "40"]);
    // Whatever it has done by then.
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    migrator.kill().unwrap();
    migrator.wait().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_is_replaced_and_nobody_notices() {
    let world = World::without_people("replaced").await;
    replaced(World { valkey: Some(Mutex::new(Valkey::start(&[]).unwrap())), ..world }).await;
}

/// The same with rows of persons, whose puts are transactions.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_of_persons_is_replaced_and_nobody_notices() {
    replaced(World::new("replaced-persons").await).await;
}

async fn replaced(world: World) {
    let [first, second, last] = ["", "-2", "-3"].map(|end| format!("{}{end}", world.table));
    let old = config(&world, "old", &first, None);
    let both = config(&world, "both", &first, Some(&second));
    let new = config(&world, "new", &second, None);
    let mut nodes = Nodes::start(&old);
    for node in &nodes.nodes {
        node.until_cached().await;
    }
    let rows: Vec<Json> = STILL
        .map(|user| json!({ "entity": { "user_id": user }, "values": { "clicks": user, "page": "p" } }))
        .collect();
    let body = json!({ "view": "shop/session@1", "rows": rows });
    assert_eq!(nodes.nodes[0].send("/v1/features/online/put", &body).await.0, 200);
    let load = Load::start(&nodes);

    succeeds(&world, &both, &["stores", "init"]);
    nodes.roll(&both);
    assert!(succeeds(&world, &both, &["stores", "migrate", "status"]).starts_with("prepared"));
    killed(&world, &both, "start").await;
    nodes.replace(0, &both, "KILL");
    refused(&world, &old, &["stores", "check"], "moving to");
    refused(&world, &new, &["run"], "on their way");
    refused(&world, &both, &["stores", "migrate", "finish"], "have not moved");
    succeeds(&world, &both, &["stores", "migrate", "start"]);
    still_there(&nodes.nodes[1]).await;
    let said = succeeds(&world, &both, &["stores", "migrate", "verify"]);
    assert!(said.starts_with("0 items have not moved"), "{said}");
    assert!(succeeds(&world, &both, &["stores", "migrate", "finish"]).starts_with("settled"));
    nodes.roll(&new);
    refused(&world, &old, &["run"], "have moved to");
    still_there(&nodes.nodes[0]).await;

    // A second one is begun, and thought better of.
    let third = config(&world, "third", &second, Some(&last));
    succeeds(&world, &third, &["stores", "init"]);
    nodes.roll(&third);
    killed(&world, &third, "start").await;
    killed(&world, &third, "back").await;
    nodes.replace(1, &third, "KILL");
    succeeds(&world, &third, &["stores", "migrate", "back"]);
    succeeds(&world, &third, &["stores", "migrate", "verify"]);
    succeeds(&world, &third, &["stores", "migrate", "finish"]);
    nodes.roll(&new);
    for node in &nodes.nodes {
        still_there(node).await;
    }
    load.stop().await;
}

/// A node that was forgotten when the config was rolled out answers with errors, and stops being ready.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_forgotten_node_says_so() {
    let world = World::without_people("forgotten").await;
    let old = config(&world, "old", "forgotten", None);
    let both = config(&world, "both", "forgotten", Some("forgotten-2"));
    let forgotten = Node::start(&old);
    let told = forgotten.put(1, json!({ "clicks": 1 }), json!({})).await;
    assert_eq!(told["outcome"], "APPLIED");
    succeeds(&world, &both, &["stores", "init"]);
    succeeds(&world, &both, &["stores", "migrate", "start"]);
    let row = forgotten.get(&[1]).await[0].clone();
    assert_eq!(row["statuses"][0], "ERROR", "{row}");
    let began = std::time::Instant::now();
    while forgotten.fetch("/readyz").await.0 != 503 {
        assert!(began.elapsed() < crate::support::PATIENCE, "{}", forgotten.log());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // What has never been there cannot be told from what has moved by a node that sees one table.
    assert_eq!(forgotten.get(&[2]).await[0]["statuses"][0], "ERROR");
    let right = Node::start(&both);
    assert_eq!(right.get(&[1]).await[0]["values"][0], 1);
}

/// Another Valkey is taken by rolling the nodes to it: it is a cache, and nothing is copied.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cache_is_replaced_and_nobody_notices() {
    let world = World::new("recached").await;
    let old = world.config("old", "");
    let second = Valkey::start(&[]).unwrap();
    let text = std::fs::read_to_string(&old).unwrap();
    let address = world.valkey.as_ref().unwrap().lock().unwrap().address();
    let new = world.folder.path().join("new.toml");
    std::fs::write(&new, text.replace(&address, &second.address())).unwrap();
    let mut nodes = Nodes::start(&old);
    for node in &nodes.nodes {
        node.until_cached().await;
    }
    let load = Load::start(&nodes);
    nodes.replace(0, &new, "TERM");
    // Nodes of both servers beside each other, for a while: whose cache it is changes hands.
    tokio::time::sleep(Duration::from_secs(4)).await;
    nodes.replace(1, &new, "TERM");
    for node in &nodes.nodes {
        node.until_cached().await;
    }
    load.stop().await;
}
