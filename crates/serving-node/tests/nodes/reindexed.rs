//! The index of embeddings is replaced under callers who notice nothing: forth, and back, while nodes and the
//! copier are killed. The two are indexes of one OpenSearch, with prefixes and shards of their own.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

use serde_json::{Value as Json, json};
use tokio::task::JoinHandle;
use trivium_testkit::OpenSearch;

use crate::{
    embeddings::{PRODUCT, until, values},
    replaced::{LATE_MAX, Nodes, WRITTEN_MIN, refused, succeeds},
    support::{Node, World, http},
};

/// Products that nobody writes again: more than a page of a copying.
const STILL: std::ops::Range<i64> = 100..800;
/// Products that are written all the while; their embeddings are far from the others.
const RESTLESS: std::ops::Range<i64> = 0..3;
const K: usize = 5;

/// The first section, and what it is moving to: both by their prefixes.
fn config(
    world: &World,
    name: &str,
    search: &OpenSearch,
    prefix: &str,
    moving_to: Option<(&str, bool)>,
) -> PathBuf {
    let endpoint = search.endpoint();
    let second = moving_to.map_or_else(String::new, |(prefix, complete)| {
        format!(
            "[opensearch.moving_to]\nendpoint = \"{endpoint}\"\nprefix = \"{prefix}\"\nshards = 2\n\
             complete = {complete}\n\n"
        )
    });
    let more = format!(
        "\n[opensearch]\nendpoint = \"{endpoint}\"\nprefix = \"{prefix}\"\nreplicas = 0\nrefresh_ms = 200\n\
         attempt_timeout_ms = 20000\n\n{second}[sweep]\nevery_ms = 500\nage_min_ms = 10001\n"
    );
    world.config(name, &more)
}

/// All over a square: on a line the graph itself would miss neighbours, which it may.
fn picture(sku: i64) -> [f64; 2] {
    [sku as f64, (sku * 389 % 701) as f64]
}

fn still(sku: i64) -> Json {
    json!({ "price": sku, "label": "n", "picture": picture(sku) })
}

/// What is nearest among those that nobody writes, looked for one by one.
fn brute_force(near: [f64; 2]) -> Vec<i64> {
    let mut all: Vec<i64> = STILL.collect();
    all.sort_by(|one, two| {
        let far = |sku: &i64| {
            let [x, y] = picture(*sku);
            (x - near[0]).powi(2) + (y - near[1]).powi(2)
        };
        far(one).total_cmp(&far(two))
    });
    all.truncate(K);
    all
}

/// Places beside the products, so that no two are equally near.
fn places() -> impl Iterator<Item = [f64; 2]> {
    (0_i64..).map(|turn| {
        let [x, y] = picture(STILL.start + turn * 37 % (STILL.end - STILL.start));
        [x + 0.137, y + 0.291]
    })
}

async fn found(node: &Node, near: [f64; 2]) -> Vec<i64> {
    let body = json!({ "feature": "shop/product@1:picture", "vector": near, "k": K });
    let (status, answer) = node.send("/v1/features/online/search", &body).await;
    assert_eq!(status, 200, "{answer}");
    let hits = answer["hits"].as_array().unwrap().iter();
    hits.map(|hit| hit["entity"]["sku"].as_i64().unwrap()).collect()
}

/// Puts, deletes, gets and searches, through whichever nodes there are.
struct Load {
    stop: Arc<AtomicBool>,
    searches: Arc<AtomicU64>,
    clients: Vec<JoinHandle<u64>>,
    searching: JoinHandle<()>,
}

impl Load {
    fn start(nodes: &Nodes) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let searches = Arc::new(AtomicU64::new(0));
        let addresses = &nodes.addresses;
        let clients = RESTLESS
            .map(|sku| tokio::spawn(client(sku, Arc::clone(addresses), Arc::clone(&stop))))
            .collect();
        let searching =
            tokio::spawn(searcher(Arc::clone(addresses), Arc::clone(&stop), Arc::clone(&searches)));
        Self { stop, searches, clients, searching }
    }

    /// Waits until a search or two were answered by what there is now.
    async fn searched(&self) {
        let before = self.searches.load(SeqCst);
        until("searches", async || self.searches.load(SeqCst) > before + 4).await;
    }

    async fn stop(self) {
        self.stop.store(true, SeqCst);
        for client in self.clients {
            assert!(client.await.unwrap() > WRITTEN_MIN, "hardly anything was written");
        }
        self.searching.await.unwrap();
    }
}

fn address(addresses: &Mutex<Vec<String>>, turn: i64) -> String {
    let addresses = addresses.lock().unwrap();
    addresses[usize::try_from(turn).unwrap() % addresses.len()].clone()
}

/// The answer, whole; `None`: the node died.
async fn ask(url: String, body: &Json) -> Option<Json> {
    let answer = http().post(url).json(body).send().await.ok()?;
    let status = answer.status();
    let answer = answer.json::<Json>().await.ok()?;
    assert_eq!(status, 200, "{answer}");
    Some(answer)
}

/// One product's life. What was acknowledged is read, whole, by the node that is asked next.
async fn client(sku: i64, addresses: Arc<Mutex<Vec<String>>>, stop: Arc<AtomicBool>) -> u64 {
    let (mut count, mut late) = (0, 0);
    let entity = json!({ "sku": sku });
    // What may be there: a request that broke off may have been done, or come late.
    let mut may_be: BTreeSet<Option<i64>> = BTreeSet::from([None]);
    for turn in 1_i64.. {
        if stop.load(SeqCst) {
            late += 1;
            if count > WRITTEN_MIN || late > LATE_MAX {
                return count;
            }
        }
        let number = -10_000 * (sku + 1) - turn;
        let is_deletion = turn % 7 == 0;
        let (verb, body) = if is_deletion {
            ("delete", json!({ "view": "shop/product@1", "rows": [{ "entity": entity }] }))
        } else {
            let row = json!({ "entity": entity, "values": values(number) });
            ("put", json!({ "view": "shop/product@1", "rows": [row], "wait_for_search": false }))
        };
        let url = format!("{}/v1/features/online/{verb}", address(&addresses, turn));
        let wanted = (!is_deletion).then_some(number);
        match ask(url, &body).await {
            Some(answer) => {
                let outcome = &answer["results"][0]["outcome"];
                assert_eq!(outcome, "APPLIED", "{answer}");
                may_be = BTreeSet::from([wanted]);
                count += 1;
            }
            None => _ = may_be.insert(wanted),
        }
        let body = json!({ "features": ["shop/product@1:price", "shop/product@1:picture"], "entities": [entity] });
        let url = format!("{}/v1/features/online/get", address(&addresses, turn + 1));
        if let Some(answer) = ask(url, &body).await {
            let row = &answer["rows"][0];
            assert!(!row["statuses"].to_string().contains("ERROR"), "{row}");
            let (price, picture) = (row["values"][0].as_i64(), row["values"][1][0].as_f64());
            assert_eq!(price.map(|price| price as f64), picture, "parts of two writes: {row}");
            assert!(may_be.contains(&price), "{sku}: {price:?} is none of {may_be:?}");
        }
    }
    count
}

/// Searches are right all the while: every document that nobody writes is found.
async fn searcher(
    addresses: Arc<Mutex<Vec<String>>>,
    stop: Arc<AtomicBool>,
    count: Arc<AtomicU64>,
) {
    for (turn, near) in (0_i64..).zip(places()) {
        if stop.load(SeqCst) {
            return;
        }
        let url = format!("{}/v1/features/online/search", address(&addresses, turn));
        let body = json!({ "feature": "shop/product@1:picture", "vector": near, "k": K });
        if let Some(answer) = ask(url, &body).await {
            let hits = answer["hits"].as_array().unwrap().iter();
            let skus: Vec<i64> = hits.map(|hit| hit["entity"]["sku"].as_i64().unwrap()).collect();
            assert_eq!(skus, brute_force(near), "{answer}");
            count.fetch_add(1, SeqCst);
        }
    }
}

/// Every neighbour set, asked of one node while nobody writes.
async fn searched_through(node: &Node) {
    for near in places().take(30) {
        assert_eq!(found(node, near).await, brute_force(near), "{near:?}");
    }
}

/// Kills a copying in its middle: its first page is there, its last one is not.
async fn killed(world: &World, search: &OpenSearch, config: &Path, into: &str) {
    let words = ["stores", "migrate", "index", "copy", "--documents-per-second", "100"];
    let mut copier = world.spawn(config, &words);
    until("the first page", async || documents(search, into).await >= 400).await;
    copier.kill().unwrap();
    copier.wait().unwrap();
    assert!(documents(search, into).await < 700, "it was over before it was killed");
}

async fn documents(search: &OpenSearch, prefix: &str) -> u64 {
    let url = format!("{}/{prefix}shop.product.1.picture", search.endpoint());
    http().post(format!("{url}/_refresh")).send().await.unwrap();
    let answer: Json =
        http().get(format!("{url}/_count")).send().await.unwrap().json().await.unwrap();
    answer["count"].as_u64().unwrap_or(0)
}

/// Copies and compares until nothing is missing: what is written at the moment may count as a difference.
async fn verified(world: &World, config: &Path) {
    let complete = async || {
        succeeds(world, config, &["stores", "migrate", "index", "copy"]);
        let said = world.command(config, &["stores", "migrate", "index", "verify"]);
        said.status.success()
    };
    until("both have the same", complete).await;
    let said = succeeds(world, config, &["stores", "migrate", "index", "status"]);
    assert!(said.starts_with("complete"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_index_is_replaced_and_nobody_notices() {
    let world = World::new("reindexed").await;
    let search = OpenSearch::start().unwrap();
    world.apply(&[("shop/product.v1.json", PRODUCT)]).await;
    let old = config(&world, "old", &search, "old-", None);
    let both = config(&world, "both", &search, "old-", Some(("new-", false)));
    let switched = config(&world, "switched", &search, "old-", Some(("new-", true)));
    let new = config(&world, "new", &search, "new-", None);
    succeeds(&world, &old, &["stores", "init"]);
    let mut nodes = Nodes::start(&old);
    for node in &nodes.nodes {
        node.until_cached().await;
    }
    let all: Vec<i64> = STILL.collect();
    for skus in all.chunks(50) {
        let row = |sku: &i64| json!({ "entity": { "sku": sku }, "values": still(*sku) });
        let rows: Vec<Json> = skus.iter().map(row).collect();
        let body = json!({ "view": "shop/product@1", "rows": rows, "wait_for_search": true });
        // A busy machine may take longer than a request may.
        until("products", async || {
            let (status, told) = nodes.nodes[0].send("/v1/features/online/put", &body).await;
            status == 200 && !told.to_string().contains("FAILED")
        })
        .await;
    }
    searched_through(&nodes.nodes[1]).await;
    let load = Load::start(&nodes);
    load.searched().await;

    // 1: both are written, the old one is searched.
    refused(&world, &both, &["stores", "check"], "does not exist");
    nodes.roll(&both);
    succeeds(&world, &both, &["stores", "check"]);
    load.searched().await;
    // A switch that comes too early is refused, and so is one in the middle of a copying.
    refused(&world, &switched, &["run"], "have not been found to hold all");
    refused(&world, &both, &["stores", "migrate", "index", "verify"], "are not there");
    // 2: copied, by one that dies, and one that does not.
    killed(&world, &search, &both, "new-").await;
    refused(&world, &switched, &["stores", "check"], "have not been found to hold all");
    nodes.replace(0, &both, "KILL");
    verified(&world, &both).await;
    // 3: the new one is searched, by more and more nodes; then it is thought better of.
    nodes.replace(0, &switched, "TERM");
    load.searched().await;
    nodes.replace(1, &switched, "KILL");
    load.searched().await;
    nodes.roll(&both);
    load.searched().await;
    nodes.roll(&switched);
    load.searched().await;
    // 4: the old one is left.
    nodes.roll(&new);
    load.searched().await;
    searched_through(&nodes.nodes[0]).await;

    // All the way back: another replacement, the other way round. What is there already is of before.
    let back = config(&world, "back", &search, "new-", Some(("old-", false)));
    let back_switched = config(&world, "back-switched", &search, "new-", Some(("old-", true)));
    nodes.roll(&back);
    refused(&world, &back_switched, &["stores", "check"], "have not been found to hold all");
    verified(&world, &back).await;
    // Its own record counts no more: the first way would have to be copied again.
    refused(&world, &switched, &["stores", "check"], "have not been found to hold all");
    nodes.roll(&back_switched);
    load.searched().await;
    nodes.roll(&old);
    load.searched().await;
    load.stop().await;
    for node in &nodes.nodes {
        searched_through(node).await;
    }
    for skus in all.chunks(600) {
        let entities: Vec<Json> = skus.iter().map(|sku| json!({ "sku": sku })).collect();
        let features = ["shop/product@1:price", "shop/product@1:picture"];
        let body = json!({ "features": features, "entities": entities });
        let (_, answer) = nodes.nodes[0].send("/v1/features/online/get", &body).await;
        for (sku, row) in skus.iter().zip(answer["rows"].as_array().unwrap()) {
            assert_eq!(row["values"][0], *sku, "{row}");
            assert_eq!(row["values"][1][0].as_f64(), Some(*sku as f64), "{row}");
        }
    }
}

/// A node that was told so without reason, while OpenSearch was away, serves all but searches.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_not_compared_is_not_searched() {
    let world = World::without_cache("unsearched").await;
    let mut search = OpenSearch::start().unwrap();
    world.apply(&[("shop/product.v1.json", PRODUCT)]).await;
    let switched = config(&world, "switched", &search, "old-", Some(("new-", true)));
    let itself = config(&world, "itself", &search, "old-", Some(("old-", false)));
    let text = std::fs::read_to_string(&itself).unwrap();
    let (before, after) = text.split_once("[opensearch.moving_to]").unwrap();
    let after = after.replacen("127.0.0.1", "localhost", 1);
    std::fs::write(&itself, format!("{before}[opensearch.moving_to]{after}")).unwrap();
    refused(&world, &itself, &["stores", "migrate", "index", "copy"], "the indexes themselves");
    search.kill().unwrap();
    let node = Node::start(&switched);
    search.restart().unwrap();
    until("a put", async || {
        let row = json!({ "entity": { "sku": 1 }, "values": values(1) });
        let body = json!({ "view": "shop/product@1", "rows": [row], "wait_for_search": true });
        let (status, told) = node.send("/v1/features/online/put", &body).await;
        status == 200 && told["results"][0]["outcome"] == "APPLIED"
    })
    .await;
    let body = json!({ "feature": "shop/product@1:picture", "vector": [1, 1], "k": 1 });
    let (status, told) = node.send("/v1/features/online/search", &body).await;
    assert!(status == 503 && told.to_string().contains("opensearch.moving_to.complete"), "{told}");
    let both = config(&world, "both", &search, "old-", Some(("new-", false)));
    verified(&world, &both).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(found(&node, [1.0, 1.0]).await, [1]);
}
