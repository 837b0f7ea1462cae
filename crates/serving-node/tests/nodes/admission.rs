//! A node under more large bodies than it was told to hold.

use std::time::Instant;

use serde_json::json;

use crate::support::{Node, PATIENCE, World, http};

const GAUGE: &str = "trivium_body_bytes_under_way ";
const SHED: &str = "trivium_shed_requests_total{surface=\"http\",reason=\"body_bytes\"}";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_sheds_large_bodies_and_serves_small_requests() {
    let world = World::without_cache("shedding").await;
    let limits = "[limits]\nbody_bytes_under_way_max = 100000\n";
    let node = Node::start(&world.config("a", limits));
    node.put(1, json!({ "clicks": 1 }), json!({})).await;
    let large = format!("{}{}", " ".repeat(1 << 20), "{}");
    let url = format!("{}/v1/features/online/put", node.http);
    let mut sent = Vec::new();
    for _ in 0..24 {
        let request = http().post(&url).header("content-type", "application/json");
        sent.push(tokio::spawn(request.body(large.clone()).send()));
        assert_eq!(node.get(&[1]).await[0]["values"][0], 1);
    }
    for sent in sent {
        let answer = sent.await.unwrap().unwrap();
        assert_eq!(answer.status().as_u16(), 429);
        assert_eq!(answer.headers()["retry-after"], "1");
    }
    let mut client =
        trivium_client::v1::online_service_client::OnlineServiceClient::connect(node.grpc.clone())
            .await
            .unwrap();
    let request = trivium_client::v1::GetRequest {
        selection: Some(trivium_client::v1::FeatureSelection {
            features: Vec::new(),
            service: "x".repeat(1 << 20),
        }),
        ..Default::default()
    };
    let status = client.get(request).await.unwrap_err();
    assert_eq!(status.code(), tonic::Code::ResourceExhausted, "{status:?}");
    assert!(status.metadata().contains_key("grpc-retry-pushback-ms"));
    let began = Instant::now();
    loop {
        let page = node.page("/metrics").await;
        let shed = page.lines().find(|line| line.starts_with(SHED)).unwrap_or_default();
        if page.contains(&format!("{GAUGE}0\n")) && shed.ends_with(" 24") {
            break;
        }
        assert!(began.elapsed() < PATIENCE, "{page}");
    }
    assert_eq!(node.get(&[1]).await[0]["values"][0], 1);
}
