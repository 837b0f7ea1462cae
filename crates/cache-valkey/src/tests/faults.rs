//! What may happen to a server and to the way there.

use std::time::{Duration, Instant};

use trivium_store::{CacheError, RowCache as _};
use trivium_testkit::{Proxy, Valkey, Verdict};

use super::support::{
    EPOCH, connected, fence, fill, lease, look, marked, options, ready, row, unfence, write,
};
use crate::{Error, Options};

#[tokio::test]
async fn a_flush_and_a_restart_are_noticed_by_every_step() {
    let mut server = Valkey::start(&[]).unwrap();
    let cache = marked(options(server.address())).await;
    ready(&cache).await;
    fence(&cache, 1, write(1, 100)).await;
    let commands: [&[&str]; 2] = [&["FLUSHALL"], &["SCRIPT", "FLUSH"]];
    for command in commands {
        server.command(command).unwrap();
        // Without scripts nothing can be changed; what is there is as it was, and may be read.
        let read = if command[0] == "SCRIPT" { "fence 1:100" } else { "not marked" };
        assert_eq!(look(&cache, 1).await, read, "{command:?}");
        assert_eq!(lease(&cache, 1, 1).await, "not marked");
        assert_eq!(fill(&cache, 1, 1, row(1, "")).await, "not marked");
        assert_eq!(fence(&cache, 1, write(2, 100)).await, "not marked");
        assert_eq!(unfence(&cache, 1, write(1, 100), None).await, "not marked");
        cache.mark(EPOCH).await.unwrap();
        fence(&cache, 1, write(1, 100)).await;
        assert_eq!(look(&cache, 1).await, "fence 1:100");
    }
    server.restart().unwrap();
    let restarted = Instant::now();
    let mut seen = look(&cache, 1).await;
    while seen != "not marked" && restarted.elapsed() < Duration::from_secs(20) {
        assert!(seen == "refused" || seen == "unknown", "{seen}");
        tokio::time::sleep(Duration::from_millis(20)).await;
        seen = look(&cache, 1).await;
    }
    assert_eq!(seen, "not marked");
}

/// The snapshot has the marker and older rows: only the scripts tell that the server is another.
#[tokio::test]
async fn a_server_back_from_an_old_snapshot_is_not_the_one_that_was_marked() {
    for read_connections in [0, 64] {
        back_from_an_old_snapshot(read_connections).await;
    }
}

async fn back_from_an_old_snapshot(read_connections: usize) {
    let mut server = Valkey::start(&[]).unwrap();
    let cache = marked(Options { read_connections, ..options(server.address()) }).await;
    if read_connections > 0 {
        ready(&cache).await;
    }
    lease(&cache, 1, 1).await;
    fill(&cache, 1, 1, row(5, "")).await;
    assert_eq!(look(&cache, 1).await, "value 5");
    server.command(&["SAVE"]).unwrap();
    let snapshot = server.server().folder().join("dump.rdb");
    assert!(snapshot.exists());
    let kept = std::fs::read(&snapshot).unwrap();
    fence(&cache, 1, write(1, 100)).await;
    unfence(&cache, 1, write(1, 100), Some(row(6, ""))).await;
    assert_eq!(look(&cache, 1).await, "value 6");
    server.restart_from(&kept).unwrap();
    let marker = String::from_utf8(crate::keys::marker(EPOCH, 0).to_vec()).unwrap();
    assert_ne!(server.command(&["GET", &marker]).unwrap(), "(nil)", "the marker came back");
    let restarted = Instant::now();
    let mut seen = look(&cache, 1).await;
    while seen != "not marked" && restarted.elapsed() < Duration::from_secs(20) {
        assert!(seen == "refused" || seen == "unknown", "{seen}");
        tokio::time::sleep(Duration::from_millis(20)).await;
        seen = look(&cache, 1).await;
    }
    assert_eq!(seen, "not marked");
    if read_connections > 0 {
        // Whoever reads over a new connection is told the same.
        ready(&cache).await;
        assert_eq!(look(&cache, 1).await, "not marked");
        assert_eq!(look(&cache, 1).await, "not marked");
    }
    assert_eq!(fence(&cache, 1, write(2, 100)).await, "not marked");
}

#[tokio::test]
async fn a_full_cache_refuses_fences_and_still_takes_them_away() {
    let server = Valkey::start(&[]).unwrap();
    let cache = marked(options(server.address())).await;
    lease(&cache, 1, 1).await;
    fill(&cache, 1, 1, row(5, "")).await;
    fence(&cache, 1, write(1, 100)).await;
    // Less than it already has, none of which has a TTL: there is nothing that could be evicted.
    server.command(&["CONFIG", "SET", "maxmemory", "100kb"]).unwrap();
    assert_eq!(fence(&cache, 2, write(2, 100)).await, "full");
    assert_eq!(lease(&cache, 2, 2).await, "full");
    assert_eq!(look(&cache, 1).await, "fence 1:100");
    assert_eq!(unfence(&cache, 1, write(1, 100), None).await, "true");
}

#[tokio::test]
async fn values_are_evicted_and_fences_are_not() {
    let server = Valkey::start(&["--maxmemory", "8mb"]).unwrap();
    let cache = marked(options(server.address())).await;
    for number in 0..10 {
        assert_eq!(fence(&cache, -number, write(1, 100)).await, "fenced");
    }
    for number in 100..200 {
        assert_eq!(lease(&cache, number, 1).await, "missing");
        // Now and then it is the lease that had to go.
        let filled = fill(&cache, number, 1, row(1, &"x".repeat(100_000))).await;
        assert!(filled == "true" || filled == "false", "{filled}");
    }
    let mut values = 0;
    for number in 100..200 {
        values += usize::from(look(&cache, number).await == "value 1");
    }
    assert!((1..100).contains(&values), "{values} values of 10 MB are in 8 MB");
    for number in 0..10 {
        assert_eq!(look(&cache, -number).await, "fence 1:100");
    }
}

#[tokio::test]
async fn a_stopped_server_leaves_it_unknown_and_an_absent_one_refuses() {
    let server = Valkey::start(&[]).unwrap();
    let quick = Options { command_timeout_ms: 200, ..options(server.address()) };
    let cache = marked(quick).await;
    server.server().signal("STOP").unwrap();
    assert_eq!(fence(&cache, 1, write(1, 100)).await, "unknown");
    assert_eq!(look(&cache, 1).await, "unknown");
    server.server().signal("CONT").unwrap();
    let since = Instant::now();
    while look(&cache, 1).await != "fence 1:100" && since.elapsed() < Duration::from_secs(20) {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // It may have been done: here it was, when the server went on.
    assert_eq!(look(&cache, 1).await, "fence 1:100");
    drop(server);
    tokio::time::sleep(Duration::from_millis(300)).await;
    let asked = Instant::now();
    assert_eq!(look(&cache, 1).await, "refused");
    assert_eq!(fence(&cache, 1, write(2, 100)).await, "refused");
    assert!(asked.elapsed() < Duration::from_millis(100), "it does not wait for a connection");
    assert!(matches!(cache.servers().await, Err(CacheError::Refused { .. })));
}

#[tokio::test]
async fn a_lost_answer_is_unknown_and_nothing_is_sent_twice() {
    let server = Valkey::start(&[]).unwrap();
    let proxy = Proxy::tcp(server.server().port()).unwrap();
    let one = Options { connections: 1, ..options(format!("127.0.0.1:{}", proxy.port())) };
    let cache = marked(one).await;
    proxy.judge(|_, piece| {
        let is_step = piece.windows(7).any(|word| word == b"EVALSHA");
        if is_step { Verdict::LoseAnswer } else { Verdict::Pass }
    });
    assert_eq!(fence(&cache, 1, write(1, 100)).await, "unknown");
    let since = Instant::now();
    while look(&cache, 1).await != "fence 1:100" && since.elapsed() < Duration::from_secs(20) {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(look(&cache, 1).await, "fence 1:100", "it was done all the same");
    let stats = server.command(&["INFO", "commandstats"]).unwrap();
    let steps: Vec<&str> = stats.lines().filter(|line| line.contains("evalsha")).collect();
    assert!(matches!(steps[..], [line] if line.contains("calls=1,")), "{steps:?}");
}

#[tokio::test]
async fn a_server_that_is_not_there_yet_is_connected_to_later() {
    let server = Valkey::start(&[]).unwrap();
    let proxy = Proxy::tcp(server.server().port()).unwrap();
    proxy.judge(|_, _| Verdict::Silence(Duration::from_millis(50)));
    let impatient =
        Options { connect_timeout_ms: 100, ..options(format!("127.0.0.1:{}", proxy.port())) };
    let cache = crate::ValkeyCache::connect(impatient).unwrap();
    assert_eq!(look(&cache, 1).await, "refused");
    assert!(!cache.wait(Duration::from_millis(200)).await);
    proxy.judge(|_, _| Verdict::Pass);
    assert!(cache.wait(Duration::from_secs(20)).await);
    assert_eq!(look(&cache, 1).await, "not marked");
}

/// Without a word of it, a node would be slow for ever and nobody would know why.
#[tokio::test]
async fn a_server_that_wants_a_password_is_told_of() {
    let mut server = Valkey::start(&[]).unwrap();
    let cache = connected(options(server.address())).await;
    assert_eq!(cache.problem(), None);
    server.command(&["CONFIG", "SET", "requirepass", "secret"]).unwrap();
    let shut_out = crate::ValkeyCache::connect(options(server.address())).unwrap();
    let since = Instant::now();
    while !shut_out.problem().is_some_and(|problem| problem.contains("NOAUTH")) {
        assert!(since.elapsed() < Duration::from_secs(20), "{:?}", shut_out.problem());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // Back without a password, and all is well.
    server.restart().unwrap();
    let since = Instant::now();
    while shut_out.problem().is_some() || cache.problem().is_some() {
        assert!(since.elapsed() < Duration::from_secs(20), "{:?}", shut_out.problem());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(look(&shut_out, 1).await, "not marked");
}

#[tokio::test]
async fn replicas_and_policies_are_told_and_refused() {
    let server = Valkey::start(&[]).unwrap();
    let cache = connected(options(server.address())).await;
    let [alone] = <[_; 1]>::try_from(cache.servers().await.unwrap()).unwrap();
    assert!(!alone.is_replicated);
    assert_eq!(alone.policy, "volatile-lru");
    cache.check().await.unwrap();
    assert_eq!(cache.servers().await.unwrap()[0].run_id, alone.run_id);

    let port = server.server().port().to_string();
    let replica = Valkey::start(&["--replicaof", &format!("127.0.0.1 {port}")]).unwrap();
    let since = Instant::now();
    while !cache.servers().await.unwrap()[0].is_replicated {
        assert!(since.elapsed() < Duration::from_secs(30), "the replica did not attach");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let error = cache.check().await.unwrap_err();
    assert!(
        matches!(error, Error::Server { .. }) && error.to_string().contains("replica"),
        "{error}"
    );
    let of_replica = connected(options(replica.address())).await;
    assert!(of_replica.servers().await.unwrap()[0].is_replicated);
    // It is gone, and the server is another all the same: it may have been demoted in between.
    drop(replica);
    let since = Instant::now();
    while cache.servers().await.unwrap()[0].is_replicated {
        assert!(since.elapsed() < Duration::from_secs(30), "the replica did not go");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_ne!(cache.servers().await.unwrap()[0].run_id, alone.run_id);

    server.command(&["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"]).unwrap();
    let error = cache.check().await.unwrap_err().to_string();
    assert!(error.contains("allkeys-lru") && error.contains("volatile-lru"), "{error}");
}

/// A promoted replica has every key of its primary, the marker too.
#[tokio::test]
async fn a_promoted_replica_is_not_the_one_that_was_marked() {
    let server = Valkey::start(&[]).unwrap();
    let cache = marked(options(server.address())).await;
    let port = server.server().port().to_string();
    let replica = Valkey::start(&["--replicaof", &format!("127.0.0.1 {port}")]).unwrap();
    fence(&cache, 1, write(1, 100)).await;
    server.command(&["WAIT", "1", "10000"]).unwrap();
    replica.command(&["REPLICAOF", "NO", "ONE"]).unwrap();
    let promoted = connected(options(replica.address())).await;
    assert_eq!(look(&cache, 1).await, "fence 1:100");
    assert_eq!(look(&promoted, 1).await, "not marked");
    assert_eq!(fence(&promoted, 1, write(2, 100)).await, "not marked");
}

#[test]
fn options_are_read_strictly_and_checked() {
    let read = |text| serde_json::from_str::<Options>(text);
    assert_eq!(read(r#"{"servers": ["a:1"]}"#).unwrap(), Options::new("a:1"));
    assert!(read(r#"{"servers": ["a:1"], "password": "x"}"#).is_err());
    let wrong = [
        Options::new("a"),
        Options { servers: Vec::new(), ..Options::new("a:1") },
        Options { servers: vec!["a:1".to_owned(), "b:1".to_owned()], ..Options::new("a:1") },
        Options { connections: 0, ..Options::new("a:1") },
        Options { read_connections: usize::MAX, ..Options::new("a:1") },
    ];
    for options in wrong {
        let error = crate::ValkeyCache::connect(options).unwrap_err();
        assert!(matches!(error, Error::Option { .. }), "{error}");
    }
}
