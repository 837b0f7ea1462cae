//! Starting, refusing to start, stopping.

use std::time::{Duration, Instant};

use serde_json::json;

use trivium_testkit::{Proxy, Verdict};

use crate::support::{DYNAMODB, Node, PATIENCE, World};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopped_node_says_so_and_ends_well() {
    let world = World::without_cache("stopped").await;
    let mut node = Node::start(&world.config("a", "announce_ms = 5000\n"));
    node.put(1, json!({ "clicks": 1 }), json!({})).await;
    node.signal("TERM");
    let began = Instant::now();
    while node.fetch("/readyz").await.0 != 503 {
        assert!(began.elapsed() < PATIENCE);
    }
    assert_eq!(node.grpc_health().await, 2);
    // Who had not noticed yet is served.
    assert_eq!(node.get(&[1]).await[0]["values"][0], 1);
    while !node.has_ended() {
        assert!(began.elapsed() < PATIENCE, "{}", node.log());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(node.wait(), Some(0), "{}", node.log());
    assert!(node.log().contains("stopped"), "{}", node.log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_right_is_said_at_the_start() {
    let world = World::without_cache("right").await;
    let refused = |more: &str, arguments: &[&str], code: i32, words: &[&str]| {
        let output = world.command(&world.config("a", more), arguments);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{said}");
        for word in words {
            assert!(said.contains(word), "`{word}`: {said}");
        }
    };
    let checked = world.command(&world.config("a", ""), &["stores", "check"]);
    assert!(checked.status.success(), "{checked:?}");
    // Another's table, no table, nobody there, no config.
    let endpoint = DYNAMODB.endpoint();
    let other = World { folder: tempfile::tempdir().unwrap(), table: "nosuch", valkey: None };
    for arguments in [&["run"][..], &["stores", "check"]] {
        let output = other.command(&other.config("a", ""), arguments);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(5), "{said}");
        assert!(said.contains("`nosuch` does not exist") && said.contains("stores init"), "{said}");
    }
    let text = std::fs::read_to_string(world.config("a", "")).unwrap();
    let path = world.folder.path().join("b.toml");
    std::fs::write(&path, text.replace(&endpoint, "http://127.0.0.1:1").replace("60000", "500"))
        .unwrap();
    let output = world.command(&path, &["stores", "check"]);
    assert_eq!(output.status.code(), Some(7), "{output:?}");
    refused("[auth]\nkeys_file = \"nosuch\"\n", &[], 5, &["nosuch", "API keys"]);
    refused("[limits]\nnosuch = 1\n", &[], 2, &["a.toml:", "unknown field `nosuch`"]);
    refused("announce = 1\n", &[], 2, &["unknown field `announce`", "announce_ms"]);
}

/// Its first write would end the cache's epoch for everybody.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_finds_the_cache_before_it_serves() {
    let world = World::new("found").await;
    let first = Node::start(&world.config("a", ""));
    first.until_cached().await;
    let drains = |node: &Node| node.log().matches("leave the cache").count();
    let own = world.valkey.as_ref().unwrap().lock().unwrap().server().port();
    let proxy = Proxy::tcp(own).unwrap();
    proxy.judge(|_, _| Verdict::PassLate(Duration::from_millis(150)));
    let late = world.config("b", "");
    let text = std::fs::read_to_string(&late).unwrap();
    let (own, through) = (format!(":{own}\""), format!(":{}\"", proxy.port()));
    assert!(text.contains(&own));
    std::fs::write(&late, text.replace(&own, &through)).unwrap();
    let second = Node::start(&late);
    second.put(1, json!({ "clicks": 1 }), json!({})).await;
    assert_eq!(first.get(&[1]).await[0]["values"][0], 1);
    assert_eq!((drains(&first), drains(&second)), (0, 0), "{}", second.log());
}
