//! Erasing a person while nodes write, read and die, and the registry is away; then the table and the
//! cache themselves are looked through.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use reqwest::StatusCode;
use serde_json::{Value as Json, json};
use trivium_store::{OnlineRead as _, ReadOptions, Subjects as _};

use crate::support::{Node, PATIENCE, RegistryServer, World, free_port, http};

pub const VISIT: &str = r#"{
  "namespace": "shop", "name": "visit", "version": 1, "lane": "direct",
  "description": "Pages that a person saw.", "owner": { "team": "shop", "contact": "shop@example.com" },
  "urgency_tier": 1,
  "entities": [ { "name": "user_id", "type": "int64" }, { "name": "page", "type": "string" } ],
  "event_timestamp": "event_ts", "subject": "user_id",
  "features": [ { "name": "secret", "type": "string", "description": "What was read." } ],
  "online": true
}"#;

pub const ERASURE: &str = "\n[erasure]\nindex_lag_ms = 1500\nwait_ms_max = 20000\nlease_ms = 2000\nresume_every_ms = 300\n";

pub async fn visits(node: &Node, user: i64, pages: i64, when: Option<&str>) -> Vec<String> {
    let row = |page: i64| {
        let mut row = json!({ "entity": { "user_id": user, "page": format!("p{page}") },
                              "values": { "secret": format!("secret-of-{user}") } });
        if let Some(when) = when {
            row["event_time"] = when.into();
        }
        row
    };
    let rows: Vec<Json> = (0..pages).map(row).collect();
    let body = json!({ "view": "shop/visit@1", "rows": rows });
    let (status, answer) = node.send("/v1/features/online/put", &body).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    let results = answer["results"].as_array().unwrap();
    results.iter().map(|result| result["outcome"].as_str().unwrap().to_owned()).collect()
}

pub async fn read_visits(node: &Node, user: i64, pages: i64) -> Vec<Json> {
    let entities: Vec<Json> =
        (0..pages).map(|page| json!({ "user_id": user, "page": format!("p{page}") })).collect();
    let body = json!({ "features": ["shop/visit@1"], "entities": entities });
    let (status, answer) = node.send("/v1/features/online/get", &body).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    let rows = answer["rows"].as_array().unwrap();
    rows.iter().map(|row| row["values"][0].clone()).collect()
}

pub fn person(user: i64) -> Json {
    json!({ "namespace": "shop", "subject": { "user_id": user } })
}

pub async fn until(node: &Node, user: i64, state: &str) -> Json {
    let began = Instant::now();
    loop {
        let (status, report) = node.send("/v1/subjects/erasure", &person(user)).await;
        if status == 200 && report["state"] == state {
            return report;
        }
        assert!(began.elapsed() < PATIENCE, "{state}: {report}; {}", node.log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Values of the user's that are anywhere in the cache, past the nodes.
fn in_the_cache(world: &World, user: i64) -> Vec<String> {
    let valkey = world.valkey.as_ref().unwrap().lock().unwrap();
    let names = valkey.command(&["KEYS", &format!("*i:{user}*")]).unwrap();
    let names: Vec<String> = names.lines().map(str::to_owned).collect();
    names
        .into_iter()
        .filter(|name| {
            valkey.command(&["GET", name]).is_ok_and(|value| value.contains("secret-of-"))
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_node_erases_while_others_write_and_whoever_is_left_ends_it() {
    let world = World::new("erasing").await;
    world
        .apply(&[("shop/session.v1.json", crate::support::SESSION), ("shop/visit.v1.json", VISIT)])
        .await;
    let port = free_port();
    let server = RegistryServer::start(Arc::new(world.open_registry().await), port).await;
    let (a, b) = {
        let config = |name| world.config_with(name, &server.base, ERASURE);
        (Node::start(&config("a")), Node::start(&config("b")))
    };
    a.until_cached().await;
    b.until_cached().await;
    for user in [7, 8] {
        assert!(visits(&a, user, 300, None).await.iter().all(|outcome| outcome == "APPLIED"));
        assert_eq!(
            a.put(user, json!({ "clicks": 3, "page": "x" }), json!({})).await["outcome"],
            "APPLIED"
        );
        // So that the cache holds them.
        assert!(read_visits(&b, user, 300).await.iter().all(|value| *value != Json::Null));
    }
    // The registry goes, so that it cannot be over at once.
    server.stop().await;

    // One node reruns history of the person, all the time.
    let stop = Arc::new(AtomicBool::new(false));
    let b = Arc::new(b);
    let history = {
        let (b, stop) = (Arc::clone(&b), Arc::clone(&stop));
        tokio::spawn(async move {
            let mut refused = 0;
            while !stop.load(Ordering::SeqCst) {
                let outcomes = visits(&b, 7, 20, Some("2020-01-01T00:00:00Z")).await;
                refused += outcomes.iter().filter(|outcome| *outcome == "ERASED").count();
            }
            refused
        })
    };
    // The node that was asked dies in the middle.
    let asking = {
        let base = a.http.clone();
        tokio::spawn(async move {
            let body = person(7);
            let _ = http().post(format!("{base}/v1/subjects/erase")).json(&body).send().await;
        })
    };
    let began = Instant::now();
    while b.send("/v1/subjects/erasure", &person(7)).await.0 != 200 {
        assert!(began.elapsed() < PATIENCE, "{}", a.log());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    a.signal("KILL");
    asking.await.unwrap();
    let report = until(&b, 7, "AWAITING_REGISTRY").await;
    assert!(report["problem"].as_str().unwrap().contains("away"), "{report}");
    // It comes back, and all is done.
    let server = RegistryServer::start(Arc::new(world.open_registry().await), port).await;
    let report = until(&b, 7, "DONE").await;
    assert_eq!(report["views"]["shop/visit@1"]["deleted"], 300, "{report}");
    assert_eq!(report["rows_verified"], 301, "{report}");
    let answer = http().get(format!("{}/v1/erasure-orders", server.base)).send().await.unwrap();
    let orders: Json = answer.json().await.unwrap();
    assert_eq!(orders["orders"].as_array().unwrap().len(), 1, "{orders}");
    assert_eq!(orders["orders"][0]["value"], 7, "{orders}");

    stop.store(true, Ordering::SeqCst);
    assert!(history.await.unwrap() > 0, "nothing of history was refused");
    assert!(read_visits(&b, 7, 300).await.iter().all(|value| *value == Json::Null));
    assert!(read_visits(&b, 8, 300).await.iter().all(|value| *value == "secret-of-8"));
    // Past the nodes: the table by its index and by its rows, and the cache.
    let table = world.table_itself();
    assert!(table.keys_of("shop#user_id#i:7", None).await.unwrap().keys.is_empty());
    let mut of_8 = Vec::new();
    let mut after: Option<String> = None;
    loop {
        let page = table.keys_of("shop#user_id#i:8", after.as_deref()).await.unwrap();
        of_8.extend(page.keys);
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(of_8.len(), 301);
    let of_7: Vec<_> = of_8
        .iter()
        .map(|key| String::from_utf8_lossy(key.as_bytes()).replace("i:8", "i:7"))
        .map(|key| trivium_codec::RowKey::from_bytes(key.as_bytes()).unwrap())
        .collect();
    for row in table.get(&of_7, &ReadOptions::default()).await {
        assert!(row.unwrap().is_none_or(|row| row.is_deleted()));
    }
    assert_eq!(in_the_cache(&world, 7), Vec::<String>::new());
    assert!(!in_the_cache(&world, 8).is_empty(), "or the look shows nothing");
    // The person may come back.
    assert_eq!(b.put(7, json!({ "clicks": 1 }), json!({})).await["outcome"], "APPLIED");
    assert_eq!(b.get(&[7]).await[0]["values"][0], 1);
    server.stop().await;
}
