//! API keys, over REST and gRPC.

use std::{
    process::Output,
    time::{Duration, Instant},
};

use serde_json::json;

use crate::support::{Node, PATIENCE, World, http};

fn new_key(world: &World, name: &str) -> (String, String) {
    let config = world.config("keys", "");
    let Output { stdout, status, .. } = world.command(&config, &["keys", "new", name]);
    assert!(status.success());
    let text = String::from_utf8(stdout).unwrap();
    let mut lines = text.lines().map(|line| line.split_once(": ").unwrap().1.to_owned());
    (lines.next().unwrap(), lines.next().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_callers_with_a_key_are_served() {
    let world = World::without_cache("keys").await;
    let ((one, one_line), (two, two_line)) = (new_key(&world, "model"), new_key(&world, "loader"));
    let file = world.folder.path().join("keys.txt");
    std::fs::write(&file, format!("{one_line}\n")).unwrap();
    let node =
        Node::start(&world.config("a", "[auth]\nkeys_file = \"keys.txt\"\nreload_ms = 20\n"));
    let url = format!("{}/v1/features/online/get", node.http);
    let body = json!({ "features": ["shop/session@1"], "entities": [{ "user_id": 1 }] });
    let ask = async |key: Option<&str>| {
        let mut request = http().post(&url).json(&body);
        if let Some(key) = key {
            request = request.bearer_auth(key);
        }
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.json::<serde_json::Value>().await.unwrap())
    };
    for key in [None, Some("nonsense"), Some(two.as_str())] {
        let (status, answer) = ask(key).await;
        assert_eq!((status, &answer["code"]), (401, &json!("UNAUTHENTICATED")), "{answer}");
        assert!(answer["help"].as_str().unwrap().contains("Bearer"), "{answer}");
    }
    assert_eq!(ask(Some(&one)).await.0, 200);
    for path in ["/healthz", "/readyz"] {
        assert_eq!(node.fetch(path).await.0, 200, "{path}");
    }
    assert_eq!(node.grpc_health().await, 1, "open to everybody");
    // gRPC: on its own address and on the other.
    for address in [&node.grpc, &node.http] {
        let connect = async |key: Option<String>| {
            let options = trivium_client::Options { api_key: key, ..Default::default() };
            trivium_client::Client::connect_with(address, options).await.unwrap()
        };
        let request = trivium_client::v1::GetRequest::default();
        let error = connect(None).await.get(request.clone()).await.unwrap_err();
        assert!(format!("{error:?}").contains("Unauthenticated"), "{error:?}");
        let error = connect(Some(one.clone())).await.get(request).await.unwrap_err();
        assert!(format!("{error:?}").contains("InvalidArgument"), "let through: {error:?}");
    }
    // Changed while it runs.
    std::fs::write(&file, format!("{two_line}\n")).unwrap();
    let began = Instant::now();
    while ask(Some(&two)).await.0 != 200 {
        assert!(began.elapsed() < PATIENCE, "{}", node.log());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(ask(Some(&one)).await.0, 401);
    std::fs::write(&file, "oops\n").unwrap();
    node.until_health("the broken file is told", |health| !health["keys"]["problem"].is_null())
        .await;
    assert_eq!(ask(Some(&two)).await.0, 200, "a broken file locks nobody out");
    let page = node.page("/metrics").await;
    for series in [
        "trivium_caller_requests_total{caller=\"loader\",surface=\"http\",code=\"200\"}",
        "trivium_unauthenticated_requests_total{surface=\"grpc\"}",
    ] {
        assert!(page.contains(series), "{series}: {page}");
    }
    assert!(!page.contains(&one) && !node.log().contains(&two), "keys are told nobody");
}
