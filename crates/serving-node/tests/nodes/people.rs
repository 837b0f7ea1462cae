//! Persons are erased while the table that holds their rows is replaced, and whoever works on either is killed;
//! then both tables are looked through past all nodes.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::{Value as Json, json};
use tokio::task::JoinHandle;

use crate::{
    erasing::{ERASURE, VISIT, person, read_visits, until, visits},
    replaced::{Nodes, succeeds},
    support::{DYNAMODB, Node, PATIENCE, RegistryServer, SESSION, World, http},
};

const PAGES: i64 = 120;
const REGION: &str = "eu-central-1";

fn config(
    world: &World,
    server: &RegistryServer,
    name: &str,
    table: &str,
    moving_to: Option<&str>,
) -> PathBuf {
    let path = world.config_with(name, &server.base, ERASURE);
    let text = std::fs::read_to_string(&path).unwrap();
    let endpoint = DYNAMODB.endpoint();
    let section = moving_to.map_or_else(String::new, |table| {
        format!(
            "\n[dynamodb.moving_to]\ntable = \"{table}\"\nregion = \"{REGION}\"\nendpoint = \"{endpoint}\"\n"
        )
    });
    let own = format!("table = \"{}\"", world.table);
    let text = text.replace(&own, &format!("table = \"{table}\""));
    let text = text.replace("limit_ms = 60000\n", &format!("limit_ms = 60000\n{section}"));
    std::fs::write(&path, text).unwrap();
    path
}

/// Reruns a person's history through whichever nodes there are, all the time; how much of it was refused.
fn history(
    user: i64,
    addresses: &Arc<Mutex<Vec<String>>>,
    stop: &Arc<AtomicBool>,
) -> JoinHandle<u64> {
    let (addresses, stop) = (Arc::clone(addresses), Arc::clone(stop));
    tokio::spawn(async move {
        let mut refused = 0;
        for turn in 0_i64.. {
            if stop.load(SeqCst) {
                break;
            }
            let url = {
                let addresses = addresses.lock().unwrap();
                let place = usize::try_from(turn).unwrap() % addresses.len();
                format!("{}/v1/features/online/put", addresses[place])
            };
            let row = |n: i64| {
                let page = format!("p{}", (turn * 7 + n) % (PAGES + 20));
                json!({ "entity": { "user_id": user, "page": page }, "event_time": "2020-01-01T00:00:00Z",
                        "values": { "secret": format!("secret-of-{user}") } })
            };
            let rows: Vec<Json> = (0..5).map(row).collect();
            let body = json!({ "view": "shop/visit@1", "rows": rows });
            // A node that was killed says nothing.
            let Ok(answer) = http().post(url).json(&body).send().await else { continue };
            let Ok(answer) = answer.json::<Json>().await else { continue };
            for result in answer["results"].as_array().into_iter().flatten() {
                refused += u64::from(result["outcome"] == "ERASED");
            }
        }
        refused
    })
}

/// What the table holds of each of these users: how many rows with a value, by the bytes themselves.
async fn values_in(table: &str, users: &[i64]) -> Vec<usize> {
    let mut counts = vec![0; users.len()];
    let mut start = Json::Null;
    loop {
        let mut body = json!({ "TableName": table, "ConsistentRead": true });
        if !start.is_null() {
            body["ExclusiveStartKey"] = start;
        }
        let credential = format!(
            "AWS4-HMAC-SHA256 Credential=local/20260101/{REGION}/dynamodb/aws4_request, SignedHeaders=host, Signature=0"
        );
        let answer = http()
            .post(DYNAMODB.endpoint())
            .header("x-amz-target", "DynamoDB_20120810.Scan")
            .header("content-type", "application/x-amz-json-1.0")
            .header("authorization", credential)
            .body(body.to_string())
            .send()
            .await
            .unwrap();
        let mut answer: Json = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
        for item in answer["Items"].as_array().unwrap() {
            let Some(bytes) = item["row_bytes"]["B"].as_str() else { continue };
            let bytes = BASE64_STANDARD.decode(bytes).unwrap();
            for (user, count) in users.iter().zip(&mut counts) {
                let secret = format!("secret-of-{user}");
                *count +=
                    usize::from(bytes.windows(secret.len()).any(|part| part == secret.as_bytes()));
            }
        }
        start = answer["LastEvaluatedKey"].take();
        if start.is_null() {
            return counts;
        }
    }
}

/// Kills a step of the migration after a while.
async fn killed(world: &World, config: &Path, verb: &str) {
    let mut migrator = world.spawn(config, &["stores", "migrate", verb, "--rows-per-second", "60"]);
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    migrator.kill().unwrap();
    migrator.wait().unwrap();
}

/// Moves until nothing is left: rows that are about to be erased move when they are gone.
async fn finished(world: &World, config: &Path, verb: &str) {
    let began = Instant::now();
    loop {
        succeeds(world, config, &["stores", "migrate", verb]);
        if world.command(config, &["stores", "migrate", "finish"]).status.success() {
            return;
        }
        assert!(began.elapsed() < PATIENCE, "it does not come to its end");
    }
}

/// Asks this node, which dies in the middle, and its place is taken.
async fn erase_and_die(nodes: &mut Nodes, user: i64, config: &Path) {
    let asking = {
        let base = nodes.nodes[0].http.clone();
        let body = person(user);
        tokio::spawn(async move {
            let _ = http().post(format!("{base}/v1/subjects/erase")).json(&body).send().await;
        })
    };
    let began = Instant::now();
    while nodes.nodes[1].send("/v1/subjects/erasure", &person(user)).await.0 != 200 {
        assert!(began.elapsed() < PATIENCE, "{}", nodes.nodes[0].log());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    nodes.replace(0, config, "KILL");
    asking.await.unwrap();
}

async fn is_whole(node: &Node, user: i64) {
    let secret = format!("secret-of-{user}");
    assert!(read_visits(node, user, PAGES).await.iter().all(|value| *value == secret));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn persons_are_erased_while_their_rows_move() {
    let world = World::new("people").await;
    world.apply(&[("shop/session.v1.json", SESSION), ("shop/visit.v1.json", VISIT)]).await;
    let server = RegistryServer::start(Arc::new(world.open_registry().await), 0).await;
    let old = config(&world, &server, "old", "people", None);
    let both = config(&world, &server, "both", "people", Some("people-2"));
    let new = config(&world, &server, "new", "people-2", None);
    let mut nodes = Nodes::start(&old);
    for node in &nodes.nodes {
        node.until_cached().await;
    }
    for user in [6, 7, 8, 9, 10] {
        assert!(
            visits(&nodes.nodes[0], user, PAGES, None).await.iter().all(|told| told == "APPLIED")
        );
        is_whole(&nodes.nodes[1], user).await;
    }
    // One was erased before anything moves.
    let (status, told) = nodes.nodes[0].send("/v1/subjects/erase", &person(6)).await;
    assert_eq!(status, 200, "{told}");
    until(&nodes.nodes[1], 6, "DONE").await;
    succeeds(&world, &both, &["stores", "init"]);
    nodes.roll(&both);
    let stop = Arc::new(AtomicBool::new(false));
    let reruns = [6, 7, 9].map(|user| history(user, &nodes.addresses, &stop));

    // Forth: the migrator dies, the eraser dies, and each is followed by another.
    killed(&world, &both, "start").await;
    let moving = {
        let mut migrator =
            world.spawn(&both, &["stores", "migrate", "start", "--rows-per-second", "40"]);
        erase_and_die(&mut nodes, 7, &both).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        migrator.kill().unwrap();
        migrator.wait().unwrap();
        world.spawn(&both, &["stores", "migrate", "start", "--rows-per-second", "100"])
    };
    let report = until(&nodes.nodes[1], 7, "DONE").await;
    assert!(report["rows_verified"].as_i64().unwrap() >= PAGES, "{report}");
    let mut moving = moving;
    moving.kill().unwrap();
    moving.wait().unwrap();
    finished(&world, &both, "start").await;
    for table in ["people", "people-2"] {
        let [of_6, of_7] = values_in(table, &[6, 7]).await[..] else { unreachable!() };
        assert_eq!((of_6, of_7), (0, 0), "{table}");
    }
    assert_eq!(values_in("people", &[8, 9, 10]).await, [0, 0, 0]);
    nodes.roll(&new);
    is_whole(&nodes.nodes[0], 8).await;

    // And another way back, from a migration that was thought better of.
    let third = config(&world, &server, "third", "people-2", Some("people-3"));
    succeeds(&world, &third, &["stores", "init"]);
    nodes.roll(&third);
    killed(&world, &third, "start").await;
    let mut back = world.spawn(&third, &["stores", "migrate", "back", "--rows-per-second", "60"]);
    erase_and_die(&mut nodes, 9, &third).await;
    until(&nodes.nodes[1], 9, "DONE").await;
    back.kill().unwrap();
    back.wait().unwrap();
    finished(&world, &third, "back").await;
    nodes.roll(&new);
    stop.store(true, SeqCst);
    for rerun in reruns {
        assert!(rerun.await.unwrap() > 0, "nothing of history was refused");
    }
    for (table, whole) in
        [("people", 0), ("people-2", usize::try_from(PAGES).unwrap()), ("people-3", 0)]
    {
        assert_eq!(values_in(table, &[6, 7, 8, 9, 10]).await, [0, 0, whole, 0, whole], "{table}");
    }
    for node in &nodes.nodes {
        is_whole(node, 8).await;
        is_whole(node, 10).await;
        for user in [6, 7, 9] {
            assert!(read_visits(node, user, PAGES).await.iter().all(|value| *value == Json::Null));
            let told = visits(node, user, 5, Some("2020-01-01T00:00:00Z")).await;
            assert_eq!(told, ["ERASED"; 5]);
        }
    }
    // They may come back.
    assert_eq!(visits(&nodes.nodes[0], 7, 1, None).await, ["APPLIED"]);
    server.stop().await;
}
