//! API keys, over REST and gRPC.

use std::{
    process::Output,
    time::{Duration, Instant},
};

use serde_json::json;
use trivium_registry::ErasureOrders as _;

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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_erasure_says_by_whose_key_it_was_asked_for() {
    let world = World::without_cache("keys-by").await;
    let ((dpo, dpo_line), (loader, loader_line)) =
        (new_key(&world, "dpo-tool"), new_key(&world, "loader"));
    let file = world.folder.path().join("keys.txt");
    std::fs::write(&file, format!("{dpo_line}\n{loader_line}\n")).unwrap();
    let options = "[auth]\nkeys_file = \"keys.txt\"\n\n[erasure]\nindex_lag_ms = 0\n";
    let node = Node::start(&world.config("a", options));
    let ask = async |path: &str, key: &str, body: &serde_json::Value| {
        let request = http().post(format!("{}{path}", node.http)).json(body).bearer_auth(key);
        request.send().await.unwrap().json::<serde_json::Value>().await.unwrap()
    };
    let person = json!({ "namespace": "shop", "subject": { "user_id": 7 },
                         "requested_by": "somebody else", "request_id": "r1" });
    let report = ask("/v1/subjects/erase", &dpo, &person).await;
    assert_eq!((&report["by"], &report["state"]), (&json!("dpo-tool"), &json!("DONE")), "{report}");
    assert_eq!(report["requested_by"], "somebody else", "what the caller says is told apart");
    // Whoever looks, or asks for the same again: it stays who began it.
    let again = ask("/v1/subjects/erase", &loader, &person).await;
    assert_eq!((&again["by"], &again["erasure"]), (&json!("dpo-tool"), &report["erasure"]));
    let subject = json!({ "namespace": "shop", "subject": { "user_id": 7 } });
    assert_eq!(ask("/v1/subjects/erasure", &loader, &subject).await["by"], "dpo-tool");
    // A new request is its caller's, and names the earlier one's.
    let second = ask("/v1/subjects/erase", &loader, &subject).await;
    assert_eq!(
        (&second["by"], &second["earlier"][0]["by"]),
        (&json!("loader"), &json!("dpo-tool"))
    );
    // Over gRPC too.
    let channel = tonic::transport::Endpoint::from_shared(node.grpc.clone()).unwrap();
    let channel = channel.connect().await.unwrap();
    let mut endpoint = trivium_client::v1::online_service_client::OnlineServiceClient::new(channel);
    let kind = Some(trivium_client::v1::key_value::Kind::Int64(8));
    let mut request = tonic::Request::new(trivium_client::v1::EraseSubjectRequest {
        namespace: "shop".to_owned(),
        subject: [("user_id".to_owned(), trivium_client::v1::KeyValue { kind })].into(),
        ..Default::default()
    });
    let bearer = format!("Bearer {dpo}").parse().unwrap();
    request.metadata_mut().insert("authorization", bearer);
    let report = endpoint.erase_subject(request).await.unwrap().into_inner().report.unwrap();
    assert_eq!(report.by, "dpo-tool");
    // The order for the offline store says so as well.
    let orders = world.open_registry().await.orders(0, 10).await.unwrap();
    let by: Vec<&str> = orders.iter().map(|(_, order)| order.by.as_str()).collect();
    assert_eq!(by, ["dpo-tool", "loader", "dpo-tool"]);
}
