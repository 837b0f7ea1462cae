//! Three servers that share the slots.

use std::time::{Duration, Instant};

use trivium_store::{LeaseToken, RowCache as _};
use trivium_testkit::ValkeyCluster;

use super::support::{EPOCH, fence, key, look, marked, options, row, show, unfence, write};
use crate::Options;

#[tokio::test]
async fn every_step_and_a_restart_of_one_server() {
    let mut cluster = ValkeyCluster::start(3).unwrap();
    let options = Options { cluster: true, ..options(cluster.nodes()[0].address()) };
    let cache = marked(options).await;
    let servers = cache.servers().await.unwrap();
    assert_eq!(servers.len(), 3);
    assert!(servers.iter().all(|server| !server.is_replicated), "{servers:?}");
    assert!(servers.is_sorted_by(|one, other| one.run_id < other.run_id));
    cache.check().await.unwrap();

    let leases: Vec<_> = (0..300).map(|n| (key(n), LeaseToken(1))).collect();
    for lease in cache.lease(EPOCH, &leases).await {
        assert_eq!(show(lease), "missing");
    }
    let rows: Vec<_> = (0..300).map(|n| (key(n), LeaseToken(1), row(n as u64 + 1, ""))).collect();
    for filled in cache.fill(EPOCH, &rows).await {
        assert!(filled.unwrap());
    }
    let keys: Vec<_> = (0..300).map(key).collect();
    for (number, found) in cache.look(EPOCH, &keys).await.into_iter().enumerate() {
        assert_eq!(show(found), format!("value {}", number + 1));
    }
    for node in cluster.nodes() {
        let keys: u64 = node.command(&["DBSIZE"]).unwrap().parse().unwrap();
        assert!(keys > 100, "every server has its part, this one {keys}");
    }
    assert_eq!(fence(&cache, 1, write(1, 100)).await, "fenced");
    assert_eq!(look(&cache, 1).await, "fence 1:100");
    // For the janitor, whichever server they are on.
    assert_eq!(fence(&cache, 400, write(2, 200)).await, "fenced");
    let (mut listed, mut cursor) = (Vec::new(), 0);
    for page in 0.. {
        assert!(page < 100, "listing does not end");
        let (found, next) = cache.fences(EPOCH, cursor).await.unwrap();
        listed.extend(found);
        cursor = next;
        if cursor == 0 {
            break;
        }
    }
    listed.sort_by_key(|(_, writes)| writes[0].deadline);
    listed.dedup();
    assert_eq!(listed, [(key(1), vec![write(1, 100)]), (key(400), vec![write(2, 200)])]);
    assert_eq!(unfence(&cache, 400, write(2, 200), None).await, "true");
    assert_eq!(unfence(&cache, 1, write(1, 100), Some(row(1_000, ""))).await, "true");
    assert_eq!(look(&cache, 1).await, "value 1000");

    // One server is flushed: its keys are not marked, the others' are.
    cluster.nodes()[1].command(&["FLUSHALL"]).unwrap();
    let found: Vec<String> = cache.look(EPOCH, &keys).await.into_iter().map(show).collect();
    let gone = found.iter().filter(|found| *found == "not marked").count();
    let there = found.iter().filter(|found| found.starts_with("value")).count();
    assert!(gone > 50 && there > 150 && gone + there == 300, "{gone} gone, {there} there");

    let mut calls = 0;
    while cache.sweep(8).await.unwrap() {
        calls += 1;
        assert!(calls < 100);
    }
    for node in cluster.nodes() {
        assert_eq!(node.command(&["DBSIZE"]).unwrap(), "0");
    }

    // One dies: the others' keys are answered as before (here: not marked any more, by the sweep).
    cluster.nodes_mut()[2].server().signal("KILL").unwrap();
    let killed = Instant::now();
    loop {
        let found: Vec<String> = cache.look(EPOCH, &keys).await.into_iter().map(show).collect();
        let wrong = found.iter().find(|found| found.starts_with("value") || *found == "missing");
        assert_eq!(wrong, None);
        if found.iter().any(|found| found == "refused" || found == "unknown") {
            break;
        }
        assert!(killed.elapsed() < Duration::from_secs(30), "nobody noticed");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
