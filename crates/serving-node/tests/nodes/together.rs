//! Several nodes on one table and one cache: what one was told, all tell, whatever dies.

use std::time::Duration;

use serde_json::{Value as Json, json};
use trivium_client::v1::{BatchGetRequest, FeatureSelection, Int64List, KeyColumn, key_column};
use trivium_model::{KeyValue, Lane, Name, Timestamp, Value};
use trivium_store::{
    Checkpoints as _, Condition, DoorOp, DoorRequest, DoorRow, Order, Subjects as _,
    WriteDoor as _, WriteId, WriteOutcome,
};

use crate::support::{CART, Node, World};

async fn clicks(node: &Node, users: &[i64]) -> Vec<i64> {
    let rows = node.get(users).await;
    let clicks = |row: &Json| row["values"][0].as_i64().unwrap();
    rows.as_array().unwrap().iter().map(clicks).collect()
}

async fn clicks_by_grpc(node: &Node, users: &[i64]) -> Vec<i64> {
    let client = trivium_client::Client::connect(&node.grpc).await.unwrap();
    let request = BatchGetRequest {
        selection: Some(FeatureSelection {
            features: vec!["shop/session@1:clicks".to_owned()],
            service: String::new(),
        }),
        entities: vec![KeyColumn {
            name: "user_id".to_owned(),
            values: Some(key_column::Values::Int64s(Int64List { values: users.to_vec() })),
        }],
        ..BatchGetRequest::default()
    };
    let answer = client.batch_get(request).await.unwrap();
    match answer.columns[0].values.as_ref().unwrap() {
        trivium_client::v1::feature_column::Values::Int64s(list) => list.values.clone(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_node_was_told_the_other_tells_at_once() {
    let world = World::new("together").await;
    let nodes = [Node::start(&world.config("a", "")), Node::start(&world.config("b", ""))];
    for node in &nodes {
        node.until_cached().await;
        assert_eq!(node.fetch("/readyz").await.0, 200);
    }
    for turn in 0..30 {
        let (writer, reader) = (&nodes[turn % 2], &nodes[(turn + 1) % 2]);
        let clicks_now = i64::try_from(turn).unwrap();
        let told = writer.put(1, json!({ "clicks": clicks_now }), json!({})).await;
        assert_eq!(told["outcome"], "APPLIED");
        assert_eq!(clicks(reader, &[1]).await, [clicks_now], "turn {turn}");
        assert_eq!(clicks_by_grpc(reader, &[1]).await, [clicks_now], "turn {turn}");
        assert_eq!(clicks(writer, &[1]).await, [clicks_now], "turn {turn}");
    }
    // Many at once, some of them not there; again, out of the cache.
    let rows: Vec<Json> = (10..60)
        .map(|user| json!({ "entity": { "user_id": user }, "values": { "clicks": user, "page": "p" } }))
        .collect();
    let body = json!({ "view": "shop/session@1", "rows": rows });
    assert_eq!(nodes[0].send("/v1/features/online/put", &body).await.0, 200);
    let users: Vec<i64> = (5..65).collect();
    let wanted: Vec<i64> =
        users.iter().map(|user| if (10..60).contains(user) { *user } else { 0 }).collect();
    for _ in 0..3 {
        assert_eq!(clicks(&nodes[1], &users).await, wanted);
        assert_eq!(clicks_by_grpc(&nodes[0], &users).await, wanted);
    }
    // Conditions, deletes, retries.
    let rev = nodes[1].get(&[10]).await[0]["revs"]["shop/session@1"].clone();
    let retried = json!({ "if_rev": rev, "idempotency_key": "once" });
    for node in [&nodes[0], &nodes[1], &nodes[0]] {
        let told = node.put(10, json!({ "clicks": 11 }), retried.clone()).await;
        assert_eq!(told["outcome"], "APPLIED", "a retry is told what the first was");
    }
    let told = nodes[1].put(10, json!({ "clicks": 12 }), json!({ "if_rev": rev })).await;
    assert_eq!(told["outcome"], "CONFLICT");
    let body = json!({ "view": "shop/session@1", "rows": [{ "entity": { "user_id": 10 } }] });
    assert_eq!(nodes[0].send("/v1/features/online/delete", &body).await.0, 200);
    assert_eq!(nodes[1].get(&[10]).await[0]["statuses"], json!(["NOT_FOUND", "NOT_FOUND"]));
    let told = nodes[1].put(10, json!({ "clicks": 1 }), json!({ "if_rev": 0 })).await;
    assert_eq!(told["outcome"], "APPLIED");
    // Older than its ttl of an hour.
    let old = json!({ "event_time": "2020-01-01T00:00:00Z" });
    assert_eq!(nodes[0].put(70, json!({ "clicks": 7 }), old).await["outcome"], "APPLIED");
    let row = nodes[1].get(&[70]).await[0].clone();
    assert_eq!((&row["values"][0], &row["statuses"][0]), (&json!(0), &json!("EXPIRED")));

    // Whoever allows staleness is answered within the bound, everybody else with the newest.
    let cached = json!({ "consistency": { "cached": { "max_staleness_ms": 3_600_000 } } });
    assert_eq!(nodes[1].get_with(&[11], cached.clone()).await[0]["values"][0], 11);
    assert_eq!(nodes[0].put(11, json!({ "clicks": 12 }), json!({})).await["outcome"], "APPLIED");
    assert_eq!(nodes[1].get_with(&[11], cached).await[0]["values"][0], 11);
    assert_eq!(clicks(&nodes[1], &[11]).await, [12]);

    // Found by whose it is, as an erasure will ask.
    let found = world.table_itself().keys_of("shop#user_id#i:70", None).await.unwrap();
    assert_eq!(found.keys.len(), 1, "{found:?}");
    assert!(found.keys[0].partition().ends_with("#i:70"), "{found:?}");

    let page = nodes[1].page("/metrics").await;
    for series in [
        "trivium_store_seconds_count{store=\"dynamodb\",operation=\"get_with_barrier\"}",
        "trivium_store_seconds_count{store=\"valkey\",operation=\"look\"}",
        "trivium_cache_reads_total{answered_by=\"cache\"}",
        "trivium_cache_reads_total{answered_by=\"process\"}",
        "trivium_cache_epoch ",
    ] {
        assert!(page.contains(series), "{series}: {page}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_killed_is_not_missed() {
    let world = World::new("killed").await;
    let survivor = Node::start(&world.config("a", ""));
    survivor.until_cached().await;
    let users: Vec<i64> = (0..20).collect();
    let mut acknowledged = vec![0; users.len()];
    for round in 1..=3 {
        let mut victim = Node::start(&world.config("b", ""));
        victim.until_cached().await;
        let http = victim.http.clone();
        // Writes until it is killed in the middle of one.
        let writing = tokio::spawn(async move {
            let mut done: Vec<(i64, i64)> = Vec::new();
            for clicks in round * 1_000.. {
                let user = clicks % 20;
                let body = json!({ "view": "shop/session@1", "rows": [
                    { "entity": { "user_id": user }, "values": { "clicks": clicks, "page": "x" } }] });
                let url = format!("{http}/v1/features/online/put");
                let Ok(answer) = crate::support::http().post(url).json(&body).send().await else {
                    return (done, (user, clicks));
                };
                let answer: Json = answer.json().await.unwrap();
                assert_eq!(answer["results"][0]["outcome"], "APPLIED");
                done.push((user, clicks));
            }
            unreachable!()
        });
        tokio::time::sleep(Duration::from_millis(500)).await;
        victim.signal("KILL");
        let (done, (last_user, last)) = writing.await.unwrap();
        victim.wait();
        for (user, clicks) in done {
            acknowledged[usize::try_from(user).unwrap()] = clicks;
        }
        for _ in 0..3 {
            for (user, (read, told)) in
                clicks(&survivor, &users).await.iter().zip(&acknowledged).enumerate()
            {
                let may_be_last = i64::try_from(user).unwrap() == last_user && *read == last;
                assert!(read == told || may_be_last, "user {user}: {read}, acknowledged {told}");
            }
        }
        // What it left under way holds up nobody.
        let told = survivor.put(last_user, json!({ "clicks": last + 1 }), json!({})).await;
        assert_eq!(told["outcome"], "APPLIED", "{told}");
        acknowledged[usize::try_from(last_user).unwrap()] = last + 1;
        assert_eq!(clicks(&survivor, &users).await, acknowledged);
    }
}

/// As while a cache is added, node by node.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_with_and_without_a_cache_agree() {
    let world = World::new("mixed").await;
    let plain = Node::start(&world.config_without_cache("plain"));
    let told = plain.put(1, json!({ "clicks": 1 }), json!({})).await;
    assert_eq!(told["outcome"], "APPLIED");
    let cached = Node::start(&world.config("cached", ""));
    for round in 1..=3 {
        cached.until_cached().await;
        for turn in 0..10 {
            let value = round * 100 + turn;
            let writer = if turn % 3 == 0 { &plain } else { &cached };
            let told = writer.put(1, json!({ "clicks": value }), json!({})).await;
            assert_eq!(told["outcome"], "APPLIED", "{told}");
            for _ in 0..2 {
                assert_eq!(clicks(&cached, &[1]).await, [value]);
                assert_eq!(clicks(&plain, &[1]).await, [value]);
            }
        }
    }
}

/// What the materializer and other pipelines do: definitions, rows and checkpoints by one address.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pipelines_write_through_a_node() {
    let world = World::new("pipelines").await;
    let nodes = [Node::start(&world.config("a", "")), Node::start(&world.config("b", ""))];
    let client = trivium_client::Client::connect(&nodes[0].grpc).await.unwrap();
    let row = |user, clicks| DoorRow {
        entity: vec![KeyValue::Int64(user)],
        op: DoorOp::PutValues(vec![(Name::new("clicks").unwrap(), Value::Int64(clicks))]),
        order: Order::Now { now: Timestamp(0) },
        condition: Condition::None,
        write_id: WriteId(0),
    };
    let request = DoorRequest {
        view: "shop/session@1".parse().unwrap(),
        lane: Lane::Direct,
        rows: vec![row(1, 10), row(2, 20)],
        deadline: None,
    };
    for outcome in client.write(request).await.unwrap() {
        assert!(matches!(outcome, Ok(WriteOutcome::Applied(_))), "{outcome:?}");
    }
    assert_eq!(clicks(&nodes[1], &[1, 2]).await, [10, 20]);
    assert!(client.store("how far", None, "here".into()).await.unwrap());
    let other = trivium_client::Client::connect(&nodes[1].grpc).await.unwrap();
    assert_eq!(other.load("how far").await.unwrap().as_deref(), Some(&b"here"[..]));
    assert!(!other.store("how far", None, "there".into()).await.unwrap());
    let files = json!([{ "path": "shop/cart.v1.json", "text": CART }]);
    let apply = json!({ "files": files, "base_revision": 1, "author": "test" });
    let (status, refused) = nodes[0].send("/v1/apply", &apply).await;
    assert_eq!(status, 400, "{refused}");
    assert!(refused["message"].as_str().unwrap().contains("apply at the registry"), "{refused}");
}

/// Stopped beyond its lease in the middle of writing, and let go again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_stalls_is_not_waited_for() {
    let world = World::new("stalled").await;
    let (stalled, other) =
        (Node::start(&world.config("a", "")), Node::start(&world.config("b", "")));
    for node in [&stalled, &other] {
        node.until_cached().await;
    }
    for round in 1..=2 {
        let url = format!("{}/v1/features/online/put", stalled.http);
        let (stop, mut stopped) = tokio::sync::oneshot::channel::<()>();
        let writing = tokio::spawn(async move {
            for clicks in 1.. {
                let body = json!({ "view": "shop/session@1", "rows": [
                    { "entity": { "user_id": 1 }, "values": { "clicks": clicks, "page": "x" } }] });
                let answer = crate::support::http().post(&url).json(&body).send().await.unwrap();
                let answer: Json = answer.json().await.unwrap();
                assert_eq!(answer["results"][0]["outcome"], "APPLIED", "{answer}");
                if stopped.try_recv().is_ok() {
                    return;
                }
            }
        });
        tokio::time::sleep(Duration::from_millis(300)).await;
        stalled.signal("STOP");
        // What it had sent has arrived by then, and is answered to nobody.
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        for turn in 0..10 {
            let value = round * 1_000_000 + turn;
            let told = other.put(1, json!({ "clicks": value }), json!({})).await;
            assert_eq!(told["outcome"], "APPLIED", "{told}");
            assert_eq!(clicks(&other, &[1]).await, [value]);
        }
        stalled.signal("CONT");
        stop.send(()).unwrap();
        writing.await.unwrap();
        for turn in 10..20 {
            let value = round * 1_000_000 + turn;
            let told = other.put(1, json!({ "clicks": value }), json!({})).await;
            assert_eq!(told["outcome"], "APPLIED", "{told}");
            assert_eq!(clicks(&stalled, &[1]).await, [value], "its old lease counts no more");
        }
        stalled.until_cached().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_of_the_cache_costs_no_row() {
    let world = World::new("outage").await;
    let nodes = [Node::start(&world.config("a", "")), Node::start(&world.config("b", ""))];
    for node in &nodes {
        node.until_cached().await;
    }
    let users: Vec<i64> = (0..10).collect();
    let mut wanted = vec![0; users.len()];
    let mut turn = 0;
    // Writes on one node, reads on the other, through the whole of it.
    let mut exercise = async |rounds: usize| {
        for _ in 0..rounds {
            turn += 1;
            let (user, value) = (turn % users.len(), i64::try_from(turn).unwrap());
            let told =
                nodes[turn % 2].put(users[user], json!({ "clicks": value }), json!({})).await;
            assert_eq!(told["outcome"], "APPLIED", "{told}");
            wanted[user] = value;
            assert_eq!(clicks(&nodes[(turn + 1) % 2], &users).await, wanted);
        }
    };
    exercise(20).await;
    let valkey = world.valkey.as_ref().unwrap();
    for how in ["killed", "flushed"] {
        if how == "killed" {
            valkey.lock().unwrap().server().signal("KILL").unwrap();
            exercise(20).await;
            for node in &nodes {
                assert_eq!(node.fetch("/readyz").await.0, 200, "without the cache it is ready");
            }
            valkey.lock().unwrap().restart().unwrap();
        } else {
            valkey.lock().unwrap().command(&["FLUSHALL"]).unwrap();
        }
        exercise(20).await;
        for node in &nodes {
            node.until_cached().await;
        }
        exercise(10).await;
    }
}
