//! Precomputed services: what they read of an entity is one key of the cache, and always right.

use serde_json::{Value as Json, json};

use crate::support::{CART, Node, PATIENCE, SESSION, World};

const SERVICE: &str = r#"{
  "namespace": "shop", "name": "ranking", "version": 1, "description": "Inputs of ranking.",
  "owner": { "team": "shop", "contact": "shop@example.com" },
  "features": [ "session@1:clicks", "cart@1:items" ], "precomputed": true
}"#;

async fn ranking(node: &Node, users: &[i64]) -> Vec<Json> {
    let entities: Vec<Json> = users.iter().map(|user| json!({ "user_id": user })).collect();
    let body = json!({ "service": "shop/ranking@1", "entities": entities });
    let (status, answer) = node.send("/v1/features/online/get", &body).await;
    assert_eq!(status, 200, "{answer}");
    let rows = answer["rows"].as_array().unwrap();
    rows.iter().map(|row| row["values"].clone()).collect()
}

async fn put_items(node: &Node, user: i64, items: i64) {
    let row = json!({ "entity": { "user_id": user }, "values": { "items": items } });
    let body = json!({ "view": "shop/cart@1", "rows": [row] });
    let (_, answer) = node.send("/v1/features/online/put", &body).await;
    assert_eq!(answer["results"][0]["outcome"], "APPLIED", "{answer}");
}

/// Rows that were answered out of what is kept of their entities.
async fn joined(node: &Node) -> f64 {
    let page = node.page("/metrics").await;
    let name = "trivium_cache_reads_total{answered_by=\"entity\"} ";
    let line = page.lines().find_map(|line| line.strip_prefix(name));
    line.map_or(0.0, |count| count.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_precomputed_service_is_read_as_one_and_never_stale() {
    let world = World::new("precomputed").await;
    let nodes = [Node::start(&world.config("a", "")), Node::start(&world.config("b", ""))];
    let files = [
        ("shop/session.v1.json", SESSION),
        ("shop/cart.v1.json", CART),
        ("shop/ranking.v1.service.json", SERVICE),
    ];
    world.apply(&files).await;
    for node in &nodes {
        node.until_cached().await;
        node.until_health("the service is known", |health| health["definitions"]["revision"] == 2)
            .await;
    }
    for user in 1..=20 {
        nodes[0].put(user, json!({ "clicks": user }), json!({})).await;
        put_items(&nodes[1], user, user * 10).await;
    }
    let users: Vec<i64> = (1..=20).collect();
    let all: Vec<Json> = users.iter().map(|user| json!([user, user * 10])).collect();
    let began = std::time::Instant::now();
    while joined(&nodes[0]).await < 40.0 || joined(&nodes[1]).await < 40.0 {
        for node in &nodes {
            assert_eq!(ranking(node, &users).await, all);
        }
        assert!(began.elapsed() < PATIENCE, "the rows of an entity were never joined");
    }
    for turn in 0..30_i64 {
        let user = turn % 3 + 1;
        let (writer, reader) = if turn % 2 == 0 { (0, 1) } else { (1, 0) };
        put_items(&nodes[writer], user, 1_000 + turn).await;
        let clicks = if turn % 5 == 0 { turn } else { continue };
        nodes[reader].put(user, json!({ "clicks": clicks }), json!({})).await;
        for node in &nodes {
            assert_eq!(ranking(node, &[user]).await, [json!([clicks, 1_000 + turn])], "{turn}");
        }
    }
    // An entity without one of the rows, and one without any.
    nodes[0].put(77, json!({ "clicks": 7 }), json!({})).await;
    for node in &nodes {
        for _ in 0..3 {
            assert_eq!(ranking(node, &[77, 78]).await, [json!([7, null]), json!([0, null])]);
        }
    }
}
