//! The registry port's conformance suite against SQLite.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::sync::Arc;

use trivium_registry::{Registry, conformance};
use trivium_registry_sql::{SqlRegistry, SqliteOptions};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_is_a_registry() {
    let folder = tempfile::tempdir().unwrap();
    let mut count = 0;
    conformance::run_all(|| {
        count += 1;
        let path = folder.path().join(format!("case {count}?#%41/registry é.db"));
        async move {
            let registry =
                SqlRegistry::open_sqlite(&path, &SqliteOptions::default()).await.unwrap();
            assert!(path.is_file(), "the file is where it was asked for");
            Arc::new(registry) as Arc<dyn Registry>
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_is_a_registry() {
    conformance::run_all(async || {
        Arc::new(trivium_registry::MemoryRegistry::new()) as Arc<dyn Registry>
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orders_of_erasures_are_kept() {
    use trivium_registry::{conformance::orders::keeps_orders, erasure::ErasureOrders as _};
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("registry.db");
    let registry = SqlRegistry::open_sqlite(&path, &SqliteOptions::default()).await.unwrap();
    keeps_orders(&registry).await.unwrap();
    registry.close().await;
    let again = SqlRegistry::open_sqlite(&path, &SqliteOptions::default()).await.unwrap();
    assert_eq!(again.orders(0, 10).await.unwrap().len(), 5);
    keeps_orders(&trivium_registry::MemoryRegistry::new()).await.unwrap();
}
