//! Many persons in real stores, some of them erased by nodes that are killed all the time, beside reruns of
//! history and newer puts; then all that the stores hold is looked through.
//!
//! `make erasure`: 10,000 persons. Else as many as fit a test.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{Read as _, Write as _},
    net::TcpStream,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use reqwest::Client;
use serde_json::{Value as Json, json};
use trivium_registry::ErasureOrders as _;
use trivium_store::SubjectStore as _;
use trivium_testkit::OpenSearch;

use crate::{
    raw::{Item, attribute, documents, load, renamed, row_bytes, scan, words_in},
    support::{CART, Node, SESSION, World, http},
};

const VISIT: &str = r#"{
  "namespace": "shop", "name": "visit", "version": 1, "lane": "direct",
  "description": "Pages that a person saw.", "owner": { "team": "shop", "contact": "shop@example.com" },
  "urgency_tier": 1,
  "entities": [ { "name": "user_id", "type": "int64" }, { "name": "page", "type": "string" } ],
  "event_timestamp": "event_ts", "subject": "user_id",
  "features": [ { "name": "secret", "type": "string", "description": "What was read." } ],
  "online": true
}"#;

const TASTE: &str = r#"{
  "namespace": "shop", "name": "taste", "version": 1, "lane": "direct",
  "description": "What a person likes.", "owner": { "team": "shop", "contact": "shop@example.com" },
  "urgency_tier": 1, "entities": [ { "name": "user_id", "type": "int64" } ],
  "event_timestamp": "event_ts", "subject": "user_id",
  "features": [
    { "name": "label", "type": "string", "description": "In words." },
    { "name": "v", "type": { "embedding": { "dimension": 2, "metric": "l2" } }, "description": "V." }
  ],
  "online": true
}"#;

/// Whoever is left goes on within seconds.
const OPTIONS: &str = "\n[erasure]\nindex_lag_ms = 500\nwait_ms_max = 1000\nlease_ms = 2000\nresume_every_ms = 300\nat_once_max = 32\n\n[limits]\nstore_time_ms_max = 4000\n";
/// Names of persons have one length: the first is the pattern of all.
const FIRST: i64 = 100_000;
const CLICKS: i64 = 7_777_777;
/// How long all may take at most; nothing is said about speed.
const PATIENCE: Duration = Duration::from_secs(900);

/// How much of it.
#[derive(Clone, Copy)]
struct Size {
    persons: i64,
    erased: i64,
    deaths: u64,
}

fn size() -> Size {
    let given = std::env::var("TRIVIUM_ERASURE_PERSONS").ok().map(|text| text.parse().unwrap());
    match given {
        Some(persons) => Size { persons, erased: 300, deaths: 20 },
        None => Size { persons: 400, erased: 24, deaths: 3 },
    }
}

/// Three nodes, one of which may be dead.
struct Nodes {
    world: World,
    search: OpenSearch,
    bases: Mutex<Vec<String>>,
    nodes: Mutex<Vec<Option<Node>>>,
    client: Client,
    stop: AtomicBool,
    /// Random, of nothing that matters.
    turn: AtomicU64,
}

impl Nodes {
    fn config(&self, number: usize) -> std::path::PathBuf {
        let more = format!(
            "{OPTIONS}\n[opensearch]\nendpoint = \"{}\"\nreplicas = 0\nrefresh_ms = 200\nattempt_timeout_ms = 20000\n",
            self.search.endpoint()
        );
        self.world.config(&format!("node{number}"), &more)
    }

    /// Kills the one if it is there, and starts it.
    fn start(&self, number: usize) {
        if let Some(node) = self.nodes.lock().unwrap()[number].take() {
            node.signal("KILL");
        }
        let node = Node::start(&self.config(number));
        // As who spreads callers over nodes would: one that cannot prove fences yet ends the cache's epoch.
        let began = Instant::now();
        while !node_uses_the_cache(&node.http) {
            assert!(began.elapsed() < PATIENCE, "{}", node.log());
            std::thread::sleep(Duration::from_millis(20));
        }
        self.bases.lock().unwrap()[number].clone_from(&node.http);
        self.nodes.lock().unwrap()[number] = Some(node);
    }

    /// Asks any node; `None`: it is dead, or died.
    async fn ask(&self, path: &str, body: &Json) -> Option<Json> {
        let turn = self.turn.fetch_add(1, SeqCst) as usize;
        let base = {
            let bases = self.bases.lock().unwrap();
            bases[turn % bases.len()].clone()
        };
        let answer = self.client.post(format!("{base}{path}")).json(body).send().await.ok()?;
        let is_well = answer.status() == 200;
        let answer: Json = answer.json().await.ok()?;
        is_well.then_some(answer)
    }

    /// Puts rows until each was told one of these.
    async fn put_until(&self, view: &str, mut rows: Vec<Json>, fine: &[&str]) {
        let began = Instant::now();
        while !rows.is_empty() {
            let body = json!({ "view": format!("shop/{view}@1"), "rows": rows });
            let Some(answer) = self.ask("/v1/features/online/put", &body).await else { continue };
            let results = answer["results"].as_array().unwrap();
            let is_left = |(_, result): &(_, &Json)| {
                !fine.contains(&result["outcome"].as_str().unwrap_or_default())
            };
            rows = rows.into_iter().zip(results).filter(is_left).map(|(row, _)| row).collect();
            assert!(began.elapsed() < PATIENCE, "{view}: {answer}");
        }
    }

    async fn values(&self, view: &str, entities: &[Json]) -> Vec<Json> {
        let began = Instant::now();
        let body = json!({ "features": [format!("shop/{view}@1")], "entities": entities });
        loop {
            if let Some(answer) = self.ask("/v1/features/online/get", &body).await
                && !answer.to_string().contains("\"ERROR\"")
            {
                let rows = answer["rows"].as_array().unwrap();
                return rows.iter().map(|row| row["values"].clone()).collect();
            }
            assert!(began.elapsed() < PATIENCE, "{view} cannot be read");
        }
    }

    /// The newest report; `None`: nobody has asked, or no answer.
    async fn report(&self, user: i64) -> Option<Json> {
        let body = json!({ "namespace": "shop", "subject": { "user_id": user } });
        self.ask("/v1/subjects/erasure", &body).await
    }

    async fn erase(&self, user: i64) -> Option<Json> {
        let body = json!({ "namespace": "shop", "subject": { "user_id": user },
                           "request_id": format!("r{user}"), "requested_by": "dpo" });
        self.ask("/v1/subjects/erase", &body).await
    }
}

fn node_uses_the_cache(base: &str) -> bool {
    let address = base.trim_start_matches("http://");
    let Ok(mut stream) = TcpStream::connect(address) else { return false };
    let mut answer = String::new();
    let asked = stream.write_all(b"GET /healthz HTTP/1.0\r\nhost: node\r\n\r\n");
    asked.is_ok()
        && stream.read_to_string(&mut answer).is_ok()
        && answer.contains("\"in_use\":true")
}

fn row(user: i64, values: Json) -> Json {
    json!({ "entity": { "user_id": user }, "values": values })
}
fn visit(user: i64, page: &str, secret: &str) -> Json {
    json!({ "entity": { "user_id": user, "page": page },
            "values": { "secret": format!("{secret}-{user}") } })
}
fn taste(user: i64) -> Json {
    row(user, json!({ "label": format!("secret-{user}"), "v": [user - FIRST, 1] }))
}

/// A pattern through a node, everybody's rows after it straight into the table; embeddings through nodes.
async fn fill(nodes: &Nodes, size: Size, tasteful: &[i64]) {
    let first = row(FIRST, json!({ "clicks": CLICKS, "page": format!("secret-{FIRST}") }));
    nodes.put_until("session", vec![first], &["APPLIED"]).await;
    let pages = ["p0", "p1"].map(|page| visit(FIRST, page, "secret"));
    nodes.put_until("visit", pages.to_vec(), &["APPLIED"]).await;
    nodes.put_until("cart", vec![row(FIRST, json!({ "items": 3 }))], &["APPLIED"]).await;
    let pattern: Vec<Item> = scan(nodes.world.table).await.into_values().collect();
    assert_eq!(pattern.len(), 4, "{pattern:?}");
    let from = FIRST.to_string();
    let others = (FIRST + 1..FIRST + size.persons)
        .flat_map(|user| pattern.iter().map(move |item| (user, item)))
        .map(|(user, item)| renamed(item, &from, &user.to_string()));
    load(nodes.world.table, others).await;
    for users in tasteful.chunks(100) {
        let rows = users.iter().map(|user| taste(*user)).collect();
        nodes.put_until("taste", rows, &["APPLIED", "CONFLICT"]).await;
    }
    // So that the cache holds of everybody's.
    for users in (FIRST..FIRST + size.persons.min(2_000)).collect::<Vec<_>>().chunks(250) {
        let entities: Vec<Json> = users.iter().map(|user| json!({ "user_id": user })).collect();
        let secret = |user: &i64| json!([CLICKS, format!("secret-{user}")]);
        let expected: Vec<Json> = users.iter().map(secret).collect();
        for _ in 0..3 {
            assert_eq!(nodes.values("session", &entities).await, expected);
        }
    }
}

/// History, run again, and what is newer; and readers, who fill the cache: until the end.
async fn write_beside(nodes: Arc<Nodes>, erased: Vec<i64>, seed: u64) -> u64 {
    let mut random = StdRng::seed_from_u64(seed);
    let mut refused = 0;
    while !nodes.stop.load(SeqCst) {
        let user = erased[random.random_range(0..erased.len())];
        let mut rows: Vec<Json> =
            ["p0", "p1", "p2", "p3"].map(|page| visit(user, page, "secret")).to_vec();
        for row in &mut rows {
            row["event_time"] = "2020-01-01T00:00:00Z".into();
        }
        let body = json!({ "view": "shop/visit@1", "rows": rows });
        if let Some(answer) = nodes.ask("/v1/features/online/put", &body).await {
            let results = answer["results"].as_array().unwrap().iter();
            refused += results.filter(|result| result["outcome"] == "ERASED").count() as u64;
        }
        if random.random_range(0..3) == 0 {
            // Before the request a row of before; merged with nothing of before, after it.
            let newer = row(user, json!({ "page": format!("beside-{user}") }));
            let body = json!({ "view": "shop/session@1", "rows": [newer] });
            nodes.ask("/v1/features/online/put", &body).await;
        }
        let near = (user - 5..user + 5).map(|user| json!({ "user_id": user }));
        nodes.values("session", &near.collect::<Vec<_>>()).await;
        tokio::time::sleep(Duration::from_millis(random.random_range(0..30))).await;
    }
    refused
}

/// Asks once; from when the tombstone is seen on, the person may be there again.
async fn erase_one(nodes: Arc<Nodes>, user: i64) {
    let began = Instant::now();
    while nodes.report(user).await.is_none() {
        nodes.erase(user).await;
        assert!(began.elapsed() < PATIENCE, "{user} cannot be erased");
    }
    if user % 2 == 0 {
        nodes.put_until("visit", vec![visit(user, "again", "after")], &["APPLIED"]).await;
    }
}

/// Kills one node after the other while erasures are under way; how often.
async fn kill(nodes: Arc<Nodes>, size: Size) -> u64 {
    let mut random = StdRng::seed_from_u64(5);
    let mut deaths = 0;
    let table = nodes.world.table_itself();
    while !nodes.stop.load(SeqCst) && deaths < size.deaths {
        tokio::time::sleep(Duration::from_millis(random.random_range(100..1_500))).await;
        let open = table.open_tombstones(None).await.unwrap();
        if open.subjects.is_empty() {
            continue;
        }
        let (nodes, number) = (Arc::clone(&nodes), random.random_range(0..3));
        tokio::task::spawn_blocking(move || nodes.start(number)).await.unwrap();
        deaths += 1;
    }
    deaths
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_of_the_erased_is_left_in_any_store() {
    let size = size();
    let world = World::new("erasing-many").await;
    world
        .apply(&[
            ("shop/session.v1.json", SESSION),
            ("shop/cart.v1.json", CART),
            ("shop/visit.v1.json", VISIT),
            ("shop/taste.v1.json", TASTE),
        ])
        .await;
    let nodes = Arc::new(Nodes {
        world,
        search: OpenSearch::start().unwrap(),
        bases: Mutex::new(vec![String::new(); 3]),
        nodes: Mutex::new(vec![None, None, None]),
        client: http(),
        stop: AtomicBool::new(false),
        turn: AtomicU64::new(0),
    });
    assert!(nodes.world.command(&nodes.config(0), &["stores", "init"]).status.success());
    for number in 0..3 {
        let nodes = Arc::clone(&nodes);
        tokio::task::spawn_blocking(move || nodes.start(number)).await.unwrap();
    }
    let step = size.persons / size.erased;
    let erased: Vec<i64> = (0..size.erased).map(|number| FIRST + 1 + number * step).collect();
    // Theirs, and of as many others.
    let tasteful: Vec<i64> = erased.iter().flat_map(|user| [*user, user + 1, user + 2]).collect();
    let began = Instant::now();
    fill(&nodes, size, &tasteful).await;
    let (rows, docs) = (scan(nodes.world.table).await, taste_documents(&nodes).await);
    assert_eq!(rows.len() as i64, size.persons * 4 + tasteful.len() as i64);
    // More where a put was sent again: what no row names goes later.
    assert!(docs.len() >= tasteful.len(), "{}", docs.len());
    let cached = cached_persons(&nodes);
    println!(
        "{} rows are there after {:?}, of {} persons in the cache",
        rows.len(),
        began.elapsed(),
        cached.len()
    );
    assert!(erased.iter().filter(|user| cached.contains_key(user)).count() > erased.len() / 4);

    let mut writers = Vec::new();
    for seed in 0..3 {
        writers.push(tokio::spawn(write_beside(Arc::clone(&nodes), erased.clone(), seed)));
    }
    let killer = tokio::spawn(kill(Arc::clone(&nodes), size));
    let mut asking = tokio::task::JoinSet::new();
    for user in &erased {
        asking.spawn(erase_one(Arc::clone(&nodes), *user));
        if asking.len() >= 12 {
            asking.join_next().await.unwrap().unwrap();
        }
    }
    while let Some(asked) = asking.join_next().await {
        asked.unwrap();
    }
    let mut deleted = 0;
    for user in &erased {
        loop {
            assert!(began.elapsed() < PATIENCE, "{user}: {:?}", nodes.report(*user).await);
            match nodes.report(*user).await {
                Some(report) if report["state"] == "DONE" => {
                    assert!(report["offline_order_left"] == true, "{report}");
                    deleted += report["rows_verified"].as_u64().unwrap();
                    break;
                }
                _ => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    }
    nodes.stop.store(true, SeqCst);
    let deaths = killer.await.unwrap();
    let mut refused = 0;
    for writer in writers {
        refused += writer.await.unwrap();
    }
    println!(
        "{} persons erased, {deleted} rows, {deaths} nodes killed meanwhile, {refused} puts of history refused, {:?}",
        erased.len(),
        began.elapsed()
    );
    assert_eq!(deaths, size.deaths, "nodes were to die meanwhile");
    assert!(refused > 0 && deleted >= 4 * erased.len() as u64);
    let erased: BTreeSet<i64> = erased.into_iter().collect();
    look_through(&nodes, &erased, &rows, &docs).await;
}

/// Whose values of before stand in the cache, and where.
fn cached_persons(nodes: &Nodes) -> BTreeMap<i64, String> {
    let valkey = nodes.world.valkey.as_ref().unwrap().lock().unwrap();
    let words = words_in(&valkey, &["secret"]);
    let parts = words.iter().map(|word| word.split_once(' ').unwrap());
    parts.map(|(word, place)| (word[7..].parse().unwrap(), place.to_owned())).collect()
}

async fn taste_documents(nodes: &Nodes) -> BTreeMap<String, Json> {
    documents(&nodes.search, "trivium-shop.taste.1.v").await.into_iter().collect()
}

/// The person's number in a key, or a document's id.
fn user_in(name: &str) -> i64 {
    let (_, rest) = name.split_once("i:").unwrap();
    rest.chars().take_while(char::is_ascii_digit).collect::<String>().parse().unwrap()
}

/// What must not change: all but the barriers, which reads raise.
fn without_barriers(item: &Item) -> Item {
    let mut item = item.clone();
    item.retain(|name, _| !name.starts_with("barrier_"));
    item
}

async fn look_through(
    nodes: &Nodes,
    erased: &BTreeSet<i64>,
    rows: &BTreeMap<(String, String), Item>,
    docs: &BTreeMap<String, Json>,
) {
    // The table.
    let after = scan(nodes.world.table).await;
    let is_theirs = |key: &(String, String), item: &Item| {
        erased.contains(&user_in(&key.0))
            && (attribute(item, "subject").is_some() || !key.1.contains("cart"))
    };
    let mut again = BTreeSet::new();
    for (key, item) in &after {
        if !is_theirs(key, item) {
            let before = rows.get(key).map(without_barriers);
            assert_eq!(Some(without_barriers(item)), before, "{key:?}");
            continue;
        }
        let bytes = row_bytes(item);
        let text = String::from_utf8_lossy(&bytes);
        assert!(!text.contains("secret"), "left: {key:?}: {text}");
        let clicks = CLICKS.to_le_bytes();
        assert!(!bytes.windows(8).any(|part| part == clicks), "carried on: {key:?}");
        if text.contains("after-") {
            again.insert(user_in(&key.0));
        }
        assert!(bytes.is_empty() || text.contains("after-") || text.contains("beside-"), "{text}");
    }
    for key in rows.iter().filter(|(key, item)| !is_theirs(key, item)).map(|(key, _)| key) {
        assert!(after.contains_key(key), "somebody else lost {key:?}");
    }
    let came_back: BTreeSet<i64> = erased.iter().copied().filter(|user| user % 2 == 0).collect();
    assert_eq!(again, came_back, "what is newer stays");
    // The index.
    let left = taste_documents(nodes).await;
    for (id, document) in &left {
        assert!(!erased.contains(&user_in(id)), "left: {id}: {document}");
        assert_eq!(Some(document), docs.get(id), "{id}");
    }
    let tasteful: BTreeSet<i64> = docs.keys().map(|id| user_in(id)).collect();
    let tasteful: Vec<i64> = tasteful.difference(erased).copied().collect();
    assert_eq!(tasteful.len(), erased.len() * 2);
    for users in tasteful.chunks(100) {
        let entities: Vec<Json> = users.iter().map(|user| json!({ "user_id": user })).collect();
        let taste = |user: &i64| json!([format!("secret-{user}"), [(user - FIRST) as f64, 1.0]]);
        let expected: Vec<Json> = users.iter().map(taste).collect();
        assert_eq!(nodes.values("taste", &entities).await, expected);
    }
    // The cache: before anybody reads anything of theirs again.
    let others = (FIRST..).filter(|user| !erased.contains(user)).take(100);
    let others: Vec<Json> = others.map(|user| json!({ "user_id": user })).collect();
    for _ in 0..9 {
        // The last epoch may have begun just now.
        nodes.values("session", &others).await;
    }
    let users = cached_persons(nodes);
    let left: Vec<_> = users.iter().filter(|(user, _)| erased.contains(user)).collect();
    assert!(left.is_empty(), "{left:?}");
    assert!(users.len() > 50, "{}: this shows nothing", users.len());
    // Everybody's orders, once.
    let orders = nodes.world.open_registry().await.orders(0, 100_000).await.unwrap();
    let ordered: Vec<i64> = orders.iter().map(|(_, order)| order.value.as_i64().unwrap()).collect();
    assert_eq!(ordered.len(), erased.len());
    assert_eq!(ordered.into_iter().collect::<BTreeSet<i64>>(), *erased);
    // And as callers read.
    for user in erased {
        let entity = [json!({ "user_id": user })];
        let session = nodes.values("session", &entity).await;
        assert!(
            session == [json!([0, null])] || session == [json!([0, format!("beside-{user}")])],
            "{session:?}"
        );
        assert_eq!(nodes.values("taste", &entity).await, [json!([null, null])]);
        assert_eq!(nodes.values("cart", &entity).await, [json!([3])]);
    }
}
