//! What an erasure asks of DynamoDB, counted on the wire.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, Ordering::SeqCst},
};

use serde_json::{Value as Json, json};
use trivium_testkit::{Proxy, Verdict};

use crate::support::{DYNAMODB, Node, World};

const VISIT: &str = r#"{
  "namespace": "shop", "name": "visit", "version": 1, "lane": "direct",
  "description": "Pages that a person saw.", "owner": { "team": "shop", "contact": "shop@example.com" },
  "urgency_tier": 1,
  "entities": [ { "name": "user_id", "type": "int64" }, { "name": "page", "type": "string" } ],
  "event_timestamp": "event_ts", "subject": "user_id",
  "features": [ { "name": "secret", "type": "string", "description": "What was read." } ],
  "online": true
}"#;

/// Looks for what others left, and renewals, come by the clock: not in this test.
const ERASURE: &str = "\n[erasure]\nindex_lag_ms = 0\nwait_ms_max = 600000\nlease_ms = 600000\nresume_every_ms = 600000\n\n[limits]\nrequest_ms_max = 610000\n";

/// Of one erasure.
#[derive(Debug, Default, Clone, Copy)]
struct Calls {
    /// Questions to the index of subjects.
    index: usize,
    /// Items read or written, in whatever kind of request.
    items: usize,
}

fn items_of(operation: &str, body: &Json) -> usize {
    match operation {
        "GetItem" | "PutItem" | "UpdateItem" | "DeleteItem" => 1,
        "BatchGetItem" => {
            let tables = body["RequestItems"].as_object().unwrap().values();
            tables.map(|table| table["Keys"].as_array().unwrap().len()).sum()
        }
        "TransactWriteItems" => body["TransactItems"].as_array().unwrap().len(),
        "Scan" | "BatchWriteItem" | "DeleteTable" => panic!("an erasure does no {operation}"),
        _ => 0,
    }
}

async fn visits(node: &Node, user: i64, pages: i64) {
    for first in (0..pages).step_by(200) {
        let row = |page: i64| json!({ "entity": { "user_id": user, "page": format!("p{page}") }, "values": { "secret": "s" } });
        let rows: Vec<Json> = (first..pages.min(first + 200)).map(row).collect();
        let body = json!({ "view": "shop/visit@1", "rows": rows });
        let (_, answer) = node.send("/v1/features/online/put", &body).await;
        let results = answer["results"].as_array().unwrap();
        assert!(results.iter().all(|result| result["outcome"] == "APPLIED"), "{answer}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_cost_is_linear_in_the_persons_rows() {
    let world = World::new("erasing-costs").await;
    let session = ("shop/session.v1.json", crate::support::SESSION);
    world.apply(&[session, ("shop/visit.v1.json", VISIT)]).await;
    let proxy = Proxy::http(DYNAMODB.server().port()).unwrap();
    let config = world.config("a", ERASURE);
    let text = std::fs::read_to_string(&config).unwrap();
    let through = format!("http://127.0.0.1:{}", proxy.port());
    let text = text.replace(&DYNAMODB.endpoint(), &through);
    assert!(text.contains(&through), "{text}");
    std::fs::write(&config, text).unwrap();
    let node = Node::start(&config);
    node.until_cached().await;

    let (calls, counts) =
        (Arc::new(Mutex::new(Calls::default())), Arc::new(AtomicBool::new(false)));
    let (noted, looks) = (Arc::clone(&calls), Arc::clone(&counts));
    proxy.judge(move |operation, body| {
        if looks.load(SeqCst) {
            let body: Json = serde_json::from_slice(body).unwrap_or_default();
            // The node's own: what it keeps of the cache's epoch.
            let is_a_persons = body.to_string().contains("shop#");
            let mut calls = noted.lock().unwrap();
            calls.index += usize::from(operation == "Query");
            calls.items += if is_a_persons { items_of(operation, &body) } else { 0 };
        }
        Verdict::Pass
    });
    let mut of = Vec::new();
    for (user, rows) in [(1, 10), (2, 100), (3, 600)] {
        visits(&node, user, rows).await;
        // Other people's cost nothing.
        visits(&node, 10 + user, 300).await;
        *calls.lock().unwrap() = Calls::default();
        counts.store(true, SeqCst);
        let body = json!({ "namespace": "shop", "subject": { "user_id": user } });
        let (status, report) = node.send("/v1/subjects/erase", &body).await;
        counts.store(false, SeqCst);
        assert_eq!((status.as_u16(), &report["state"]), (200, &json!("DONE")), "{report}");
        assert_eq!(report["rows_verified"], rows, "{report}");
        let counted = *calls.lock().unwrap();
        println!("{rows} rows: {counted:?}");
        assert_eq!(report["index_calls"], counted.index, "{report}");
        of.push((rows as usize, counted));
    }
    for (rows, counted) in &of {
        // Read, read again, deleted, read again; through the cache, which has to ask for what it has lost; and
        // the tombstone, which is written for each hundred rows, and each page, and stage.
        let (most, constant) = (rows * 5, 12 + rows / 100 * 4);
        assert!(counted.items <= most + constant, "{rows}: {counted:?}");
        assert!(counted.items >= rows * 3, "{rows}: {counted:?}: this counts nothing");
        // A page of 500 each, and a last look that finds nothing.
        assert!(counted.index <= rows / 500 + 2, "{rows}: {counted:?}");
    }
}
