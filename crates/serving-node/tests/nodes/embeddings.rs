//! Nodes whose embeddings live in a real OpenSearch: what one was told, another reads and finds, whatever dies.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use serde_json::{Value as Json, json};
use trivium_testkit::OpenSearch;

use crate::support::{Node, PATIENCE, SESSION, World};

/// What a reader compares: `price`, the first component of `picture`.
pub const PRODUCT: &str = r#"{
  "namespace": "shop", "name": "product", "version": 1, "lane": "direct",
  "description": "What is sold.", "owner": { "team": "shop", "contact": "shop@example.com" },
  "urgency_tier": 1, "entities": [ { "name": "sku", "type": "int64" } ],
  "event_timestamp": "event_ts", "subject": "sku",
  "features": [
    { "name": "price", "type": "int64", "description": "X." },
    { "name": "label", "type": "string", "description": "X." },
    { "name": "tags", "type": { "list": "string" }, "description": "X." },
    { "name": "picture", "type": { "embedding": { "dimension": 2, "metric": "l2" } }, "description": "X." }
  ],
  "online": true
}"#;

fn config(world: &World, name: &str, search: &OpenSearch) -> PathBuf {
    let more = format!(
        "\n[opensearch]\nendpoint = \"{}\"\nreplicas = 0\nrefresh_ms = 200\nattempt_timeout_ms = 20000\n\n\
         [sweep]\nevery_ms = 300\nage_min_ms = 10001\n",
        search.endpoint()
    );
    world.config(name, &more)
}

async fn put(node: &Node, sku: i64, values: Json, more: Json) -> Json {
    let mut row = json!({ "entity": { "sku": sku }, "values": values });
    row.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let body = json!({ "view": "shop/product@1", "rows": [row], "wait_for_search": false });
    let (status, mut answer) = node.send("/v1/features/online/put", &body).await;
    assert_eq!(status, 200, "{answer}");
    answer["results"][0].take()
}

/// Price and picture of each, as one row has them.
async fn read(node: &Node, skus: &[i64]) -> Vec<Json> {
    let entities: Vec<Json> = skus.iter().map(|sku| json!({ "sku": sku })).collect();
    let features = ["shop/product@1:price", "shop/product@1:picture"];
    let body = json!({ "features": features, "entities": entities });
    let (status, answer) = node.send("/v1/features/online/get", &body).await;
    assert_eq!(status, 200, "{answer}");
    let rows = answer["rows"].as_array().unwrap();
    for row in rows {
        let (price, picture) = (&row["values"][0], &row["values"][1][0]);
        assert_eq!(price.as_f64(), picture.as_f64(), "parts of two writes: {row}");
        assert!(!row["statuses"].to_string().contains("ERROR"), "{row}");
    }
    rows.clone()
}

pub async fn found(node: &Node, near: f64, k: u32, more: Json) -> Vec<i64> {
    let mut body = json!({ "feature": "shop/product@1:picture", "vector": [near, 1.0], "k": k,
        "features": ["shop/product@1:price", "shop/product@1:picture"] });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let (status, answer) = node.send("/v1/features/online/search", &body).await;
    assert_eq!(status, 200, "{answer}");
    let hits = answer["hits"].as_array().unwrap().iter();
    hits.map(|hit| {
        assert_eq!(hit["values"][0].as_f64(), hit["values"][1][0].as_f64(), "{hit}");
        hit["entity"]["sku"].as_i64().unwrap()
    })
    .collect()
}

pub fn values(number: i64) -> Json {
    json!({ "price": number, "label": format!("n{}", number % 3), "picture": [number, 1] })
}

/// How many documents OpenSearch holds.
async fn documents(search: &OpenSearch) -> u64 {
    let http = crate::support::http();
    let url = format!("{}/trivium-shop.product.1.picture", search.endpoint());
    http.post(format!("{url}/_refresh")).send().await.unwrap();
    let answer: Json =
        http.get(format!("{url}/_count")).send().await.unwrap().json().await.unwrap();
    answer["count"].as_u64().unwrap()
}

pub async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let began = Instant::now();
    while !holds().await {
        assert!(began.elapsed() < PATIENCE, "{what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mixed_rows_across_nodes_and_deaths() {
    let world = World::new("embeddings").await;
    let mut search = OpenSearch::start().unwrap();
    let applied = [("shop/session.v1.json", SESSION), ("shop/product.v1.json", PRODUCT)];
    world.apply(&applied).await;
    let configs = [config(&world, "a", &search), config(&world, "b", &search)];
    let refused = world.command(&configs[0], &["stores", "check"]);
    assert!(
        String::from_utf8_lossy(&refused.stderr).contains("shop/product@1:picture"),
        "{refused:?}"
    );
    for verb in ["init", "check", "init"] {
        let done = world.command(&configs[0], &["stores", verb]);
        assert!(done.status.success(), "{done:?}");
        assert!(String::from_utf8_lossy(&done.stdout).contains("1 embedding feature"), "{done:?}");
    }
    let nodes = [Node::start(&configs[0]), Node::start(&configs[1])];
    for node in &nodes {
        node.until_cached().await;
        node.until_health("no problems", |health| health["embeddings"]["problems"] == json!({}))
            .await;
    }

    // What one was told, the other reads at once, and finds after a wait.
    let skus: Vec<i64> = (0..12).collect();
    for sku in &skus {
        let told = put(&nodes[0], *sku, values(*sku), json!({})).await;
        assert_eq!(told["outcome"], "APPLIED", "{told}");
        assert_eq!(read(&nodes[1], &[*sku]).await[0]["values"][0], *sku);
    }
    let body = json!({ "view": "shop/product@1", "wait_for_search": true, "rows": [
        { "entity": { "sku": 12 }, "values": values(12) }] });
    let (_, told) = nodes[1].send("/v1/features/online/put", &body).await;
    assert_eq!(told["results"][0]["outcome"], "APPLIED", "{told}");
    assert_eq!(found(&nodes[0], 12.0, 1, json!({})).await, [12]);
    until("all are found", async || found(&nodes[0], 5.0, 3, json!({})).await.len() == 3).await;
    let filter = json!({ "filter": { "equals": { "label": "n1" } } });
    until("the filter", async || found(&nodes[1], 0.0, 9, filter.clone()).await == [1, 4, 7, 10])
        .await;
    // A scalar that is filtered by moves the document.
    put(&nodes[1], 4, json!({ "label": "n0" }), json!({})).await;
    until("the copy", async || found(&nodes[0], 0.0, 9, filter.clone()).await == [1, 7, 10]).await;

    // Killed in the middle of puts: what was acknowledged is whole, on every node.
    let mut acknowledged: Vec<i64> = skus.clone();
    for round in 1..=2 {
        let mut victim = Node::start(&configs[1]);
        victim.until_cached().await;
        let http = victim.http.clone();
        let writing = tokio::spawn(async move {
            let mut done: Vec<(i64, i64)> = Vec::new();
            for number in round * 1_000.. {
                let sku = number % 12;
                let body = json!({ "view": "shop/product@1", "rows": [
                    { "entity": { "sku": sku }, "values": values(number) }] });
                let url = format!("{http}/v1/features/online/put");
                let answer = crate::support::http().post(url).json(&body).send().await;
                let Ok(answer) = answer else { return (done, (sku, number)) };
                let Ok(answer) = answer.json::<Json>().await else { return (done, (sku, number)) };
                assert_eq!(answer["results"][0]["outcome"], "APPLIED", "{answer}");
                done.push((sku, number));
            }
            unreachable!()
        });
        tokio::time::sleep(Duration::from_millis(700)).await;
        victim.signal("KILL");
        let (done, (last_sku, last)) = writing.await.unwrap();
        victim.wait();
        for (sku, number) in done {
            acknowledged[usize::try_from(sku).unwrap()] = number;
        }
        for (sku, row) in read(&nodes[0], &skus).await.iter().enumerate() {
            let may_be_last = i64::try_from(sku).unwrap() == last_sku && row["values"][0] == last;
            assert!(row["values"][0] == acknowledged[sku] || may_be_last, "{sku}: {row}");
        }
        let told = put(&nodes[0], last_sku, values(last + 1), json!({})).await;
        assert_eq!(told["outcome"], "APPLIED", "{told}");
        acknowledged[usize::try_from(last_sku).unwrap()] = last + 1;
    }

    // OpenSearch is away: scalars do not notice, embeddings say who is, a retry elsewhere completes.
    search.kill().unwrap();
    assert_eq!(nodes[0].put(1, json!({ "clicks": 5 }), json!({})).await["outcome"], "APPLIED");
    assert_eq!(nodes[1].get(&[1]).await[0]["values"][0], 5);
    let key = json!({ "idempotency_key": "through an outage" });
    let told = put(&nodes[0], 3, values(3_333), key.clone()).await;
    assert_eq!(told["outcome"], "FAILED");
    assert!(
        told["error"]["message"].to_string().contains("embedding index (OpenSearch)"),
        "{told}"
    );
    let body = json!({ "feature": "shop/product@1:picture", "vector": [1, 1], "k": 1 });
    let (status, told) = nodes[0].send("/v1/features/online/search", &body).await;
    assert!(status == 503 && told.to_string().contains("OpenSearch"), "{status} {told}");
    let body = json!({ "features": ["shop/product@1:price", "shop/product@1:label"], "entities": [{ "sku": 3 }] });
    let (_, answer) = nodes[1].send("/v1/features/online/get", &body).await;
    assert_eq!(answer["rows"][0]["values"][0], acknowledged[3]);
    assert_eq!(answer["rows"][0]["statuses"], json!(null));
    search.restart().unwrap();
    until("the retry", async || {
        put(&nodes[1], 3, values(3_333), key.clone()).await["outcome"] == "APPLIED"
    })
    .await;
    acknowledged[3] = 3_333;
    let prices: Vec<Json> =
        read(&nodes[0], &skus).await.iter().map(|row| row["values"][0].clone()).collect();
    assert_eq!(prices, acknowledged.iter().map(|price| json!(price)).collect::<Vec<_>>());

    // Sweeps leave what rows name: one document a row.
    until("the sweep", async || documents(&search).await == 13).await;
    read(&nodes[1], &skus).await;
    assert_eq!(found(&nodes[0], 3_333.0, 1, json!({})).await, [3]);
    let page = nodes[0].page("/metrics").await;
    for series in [
        "trivium_store_seconds_count{store=\"opensearch\",operation=\"nearest\"}",
        "trivium_embeddings_swept_total{what=\"deleted\"}",
    ] {
        assert!(page.contains(series), "{series}");
    }
}
