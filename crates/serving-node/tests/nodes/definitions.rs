//! Definitions: followed while the registry is there, kept while it is not.

use std::sync::Arc;

use serde_json::json;

use crate::support::{CART, Node, RegistryServer, SESSION, World, free_port};

async fn knows_cart(node: &Node) -> bool {
    let body = json!({ "features": ["shop/cart@1"], "entities": [{ "user_id": 1 }] });
    node.send("/v1/features/online/get", &body).await.0 == 200
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_outlives_its_registry() {
    let world = World::without_cache("definitions").await;
    let registry = Arc::new(world.open_registry().await);
    let server = RegistryServer::start(Arc::clone(&registry), free_port()).await;
    let (base, port) = (server.base.clone(), server.port());
    let config = world.config_with("a", &base, "");
    let node = Node::start(&config);
    assert!(!knows_cart(&node).await);
    // Applied elsewhere, served here.
    world.apply(&[("shop/session.v1.json", SESSION), ("shop/cart.v1.json", CART)]).await;
    node.until_health("the new revision", |health| health["definitions"]["revision"] == 2).await;
    assert!(knows_cart(&node).await);
    // Away: it says so, serves on, and is ready.
    server.stop().await;
    let problem = |health: &serde_json::Value| !health["definitions"]["problem"].is_null();
    node.until_health("the problem is told", problem).await;
    assert!(knows_cart(&node).await);
    assert_eq!(node.fetch("/readyz").await.0, 200);
    // Started again all the same.
    drop(node);
    let node = Node::start(&config);
    let (_, health) = node.fetch("/healthz").await;
    let definitions = &health["definitions"];
    assert_eq!((&definitions["from"], &definitions["revision"]), (&json!("state file"), &json!(2)));
    assert!(definitions["age_seconds"].is_u64(), "{health}");
    assert!(knows_cart(&node).await);
    assert_eq!(node.put(1, json!({ "clicks": 3 }), json!({})).await["outcome"], "APPLIED");
    assert_eq!(node.fetch("/readyz").await.0, 200);
    // Back.
    let server = RegistryServer::start(registry, port).await;
    node.until_health("the registry is read", |health| health["definitions"]["from"] == "registry")
        .await;
    server.stop().await;
    // Without anything to begin with there is no node.
    let config = world.config_with("b", &base, "");
    let refused = world.command(&config, &["run"]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(7), "{said}");
    assert!(said.contains("registry.url") && said.contains("state file"), "{said}");
}

/// A database file on this machine.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_file_is_followed_too() {
    let world = World::without_cache("file").await;
    let node = Node::start(&world.config("a", ""));
    world.apply(&[("shop/session.v1.json", SESSION), ("shop/cart.v1.json", CART)]).await;
    node.until_health("the new revision", |health| health["definitions"]["revision"] == 2).await;
    assert!(knows_cart(&node).await);
    let away = world.folder.path().join("away.db");
    std::fs::rename(world.registry(), &away).unwrap();
    let problem = |health: &serde_json::Value| !health["definitions"]["problem"].is_null();
    node.until_health("the problem is told", problem).await;
    assert!(!world.registry().exists(), "a node makes no registry");
    assert!(knows_cart(&node).await);
}
