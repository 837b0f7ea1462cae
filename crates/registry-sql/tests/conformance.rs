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

/// Reading leaves the folder as it was, whether or not the last writer closed the file.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reading_writes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("registry.db");
    let files = || -> std::collections::BTreeMap<String, Vec<u8>> {
        std::fs::read_dir(folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().path())
            // How those who share the log find their way in it: no data.
            .filter(|path| !path.to_string_lossy().ends_with("-shm"))
            .map(|path| (path.display().to_string(), std::fs::read(&path).unwrap()))
            .collect()
    };
    assert!(SqlRegistry::read_sqlite(&path).await.is_err());
    assert!(files().is_empty(), "a registry was made");

    let writer = SqlRegistry::open_sqlite(&path, &SqliteOptions::default()).await.unwrap();
    let first =
        || conformance::change(0, vec![conformance::view("a", 1, &[("x", "\"int64\"", None)])]);
    writer.apply(first()).await.unwrap();
    // Beside the writer: what only the log has is seen.
    let open = files();
    assert_eq!(open.len(), 2, "{:?}", open.keys());
    let expected = writer.snapshot(None).await.unwrap();
    let reader = SqlRegistry::read_sqlite(&path).await.unwrap();
    assert_eq!(reader.snapshot(None).await.unwrap(), expected);
    assert!(reader.apply(first()).await.is_err());
    reader.close().await;
    assert_eq!(files(), open);

    writer.close().await;
    let closed = files();
    assert_eq!(closed.len(), 1, "{:?}", closed.keys());
    let before = std::fs::metadata(folder.path()).unwrap().modified().unwrap();
    let reader = SqlRegistry::read_sqlite(&path).await.unwrap();
    assert_eq!(reader.snapshot(None).await.unwrap(), expected);
    reader.close().await;
    assert_eq!(files(), closed);
    let after = std::fs::metadata(folder.path()).unwrap().modified().unwrap();
    assert_eq!(before, after, "files came and went");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn partitions_are_kept() {
    use trivium_registry::{
        MemoryRegistry, PartitionFilter, Partitions as _,
        conformance::{
            change,
            partitions::{keeps_partitions, record},
            view,
        },
    };
    let daily = || change(0, vec![view("daily", 1, &[("delay", "\"float64\"", None)])]);
    let memory = MemoryRegistry::new();
    memory.apply(daily()).await.unwrap();
    keeps_partitions(&memory).await.unwrap();

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("registry.db");
    let registry = SqlRegistry::open_sqlite(&path, &SqliteOptions::default()).await.unwrap();
    registry.apply(daily()).await.unwrap();
    keeps_partitions(&registry).await.unwrap();
    registry.close().await;
    let again = SqlRegistry::open_sqlite(&path, &SqliteOptions::default()).await.unwrap();
    let filter = PartitionFilter {
        view: record(1, 1).view,
        from: None,
        to: None,
        after: None,
        all_revisions: true,
        limit: 100,
    };
    assert_eq!(again.partitions(&filter).await.unwrap().len(), 4);
}

/// Many writers of one period at once: the newest revision is recorded, and each is told the truth.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writers_of_partitions_take_turns() {
    use trivium_model::Timestamp;
    use trivium_registry::{
        PartitionFilter, Partitions as _, RecordOutcome,
        conformance::{change, partitions::record, view},
    };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("registry.db");
    let registry = SqlRegistry::open_sqlite(&path, &SqliteOptions::default()).await.unwrap();
    let daily = view("daily", 1, &[("delay", "\"float64\"", None)]);
    registry.apply(change(0, vec![daily])).await.unwrap();
    let writers: Vec<_> = (1..=20)
        .map(|revision| {
            let registry = registry.clone();
            tokio::spawn(async move {
                let one = [record(1, revision)];
                registry.record(&one, "anna", Timestamp(1)).await.unwrap()[0]
            })
        })
        .collect();
    let mut recorded = 0;
    for writer in writers {
        let outcome = writer.await.unwrap();
        assert_ne!(outcome, RecordOutcome::Unchanged);
        recorded += usize::from(outcome == RecordOutcome::Recorded);
    }
    let filter = PartitionFilter {
        view: record(1, 1).view,
        from: None,
        to: None,
        after: None,
        all_revisions: true,
        limit: 100,
    };
    let found = registry.partitions(&filter).await.unwrap();
    assert_eq!(found.len(), recorded);
    assert_eq!(found[0].partition.revision, 20);
}
