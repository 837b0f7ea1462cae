//! One store that fails, at each step: what readers see, who is said to have failed, what a retry by another
//! node does, what the sweeper leaves.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use serde_json::{Value as Json, json};
use trivium_model::Timestamp;
use trivium_store::{
    EmbeddingIndex, MemoryIndex, MemoryStore, OnlineRead as _, ReadOptions,
    embedding::{Document, DocumentId, Visible},
};

use super::{
    PRODUCT, World as Plain, documents,
    faulty::{Dice, Fault, Faulty},
    settle,
};
use crate::{Options, Stores, tests::fixture::Fixture};

/// Two nodes on stores whose next writes fail as told.
struct World {
    rows: Arc<Faulty<MemoryStore>>,
    index: Arc<Faulty<MemoryIndex>>,
    nodes: [Plain; 2],
    is_on: Arc<AtomicBool>,
}

impl World {
    /// With `one_in` 1 every call fails while the faults are on.
    fn new(one_in_rows: u64, one_in_index: u64) -> Self {
        let dice = Arc::new(Dice(std::sync::Mutex::new(1)));
        let is_on = Arc::new(AtomicBool::new(false));
        let rows = Arc::new(Faulty::new(MemoryStore::new(), &dice, one_in_rows, &is_on));
        let index = Arc::new(Faulty::new(MemoryIndex::new(), &dice, one_in_index, &is_on));
        let node = || {
            let stores = Stores::of(Arc::clone(&rows)).with_embeddings(index.clone());
            let fixture = Fixture::on_stores(stores, &[&[PRODUCT]], Options::default());
            Plain { fixture, index: Arc::default() }
        };
        let nodes = [node(), node()];
        Self { rows, index, nodes, is_on }
    }

    async fn pictures(&self) -> usize {
        settle().await;
        documents(&self.index.inner, &self.nodes[0].spec("picture")).await.len()
    }

    /// What both nodes read.
    async fn read(&self) -> Json {
        let features = ["price", "picture"];
        let read = self.nodes[0].get("lamp", &features).await;
        assert_eq!(read, self.nodes[1].get("lamp", &features).await);
        read["values"].clone()
    }

    async fn sweep(&self) -> usize {
        // Documents written in this very microsecond are not older than it.
        for node in &self.nodes {
            node.fixture.wall_clock.0.fetch_add(1, Ordering::SeqCst);
        }
        self.nodes[1].fixture.serving.sweep_embeddings(std::time::Duration::ZERO).await;
        self.pictures().await
    }
}

#[tokio::test]
async fn a_put_that_one_store_refused_is_completed_by_anyone() {
    let (index, rows) = ("embedding index (test)", "rows (test)");
    for (who, at_index, at_rows) in [
        (index, Fault::Refused, Fault::None),
        (index, Fault::Unanswered, Fault::None),
        (rows, Fault::None, Fault::Refused),
        (rows, Fault::None, Fault::Unanswered),
    ] {
        for had_row in [false, true] {
            let world = World::new(0, 0);
            let before = if had_row {
                world.nodes[0].put("lamp", r#"{"price":1,"picture":[1,1]}"#).await;
                json!([1.0, [1.0, 1.0]])
            } else {
                json!([null, null])
            };
            world.index.planned.lock().unwrap().push(at_index);
            world.rows.planned.lock().unwrap().push(at_rows);
            let put = (r#"{"price":2,"picture":[2,1]}"#, r#","idempotency_key":"a""#);
            let told = world.nodes[0].put_with("lamp", put.0, put.1).await;
            let case = format!("{who} {at_index:?} {at_rows:?}: {told}");
            assert!(told.contains("FAILED") && told.contains(who), "{case}");
            // Only the rows' own silence leaves it open whether something was written.
            let is_open = at_rows == Fault::Unanswered;
            assert_eq!(told.contains("DEADLINE_EXCEEDED"), is_open, "{case}");
            let after = json!([2.0, [2.0, 1.0]]);
            let seen = if at_rows == Fault::Unanswered { after.clone() } else { before };
            assert_eq!(world.read().await, seen, "{case}");
            let told = world.nodes[1].put_with("lamp", put.0, put.1).await;
            assert!(told.contains("APPLIED"), "{case} then {told}");
            assert_eq!(world.read().await, after, "{case}");
            assert_eq!(world.sweep().await, 1, "{case}");
            assert_eq!(world.read().await, after, "{case}");
            // Once more, after the row has been moved: it was applied, and nothing is written.
            let told = world.nodes[0].put_with("lamp", put.0, put.1).await;
            assert!(told.contains("APPLIED"), "{case} then {told}");
            assert_eq!(world.pictures().await, 1, "{case}");
        }
    }
}

/// While rows cannot be written, retries of one put do not pile up documents.
#[tokio::test]
async fn retries_leave_one_document() {
    let world = World::new(0, 0);
    world.nodes[0].put("lamp", r#"{"picture":[1,1]}"#).await;
    for n in 0..5 {
        world.rows.planned.lock().unwrap().push(Fault::Refused);
        // Each has another event time.
        let clock = &world.nodes[n % 2].fixture.data_clock;
        clock.0.fetch_add(5, Ordering::SeqCst);
        world.nodes[n % 2].put("lamp", r#"{"picture":[2,1]}"#).await;
    }
    assert_eq!(world.pictures().await, 2);
    // Another vector takes the next id, and the one after it, past what others left.
    for n in 0..70 {
        world.rows.planned.lock().unwrap().push(Fault::Refused);
        world.nodes[0].put("lamp", &format!(r#"{{"picture":[3,{n}]}}"#)).await;
    }
    let told = world.nodes[0].put("lamp", r#"{"picture":[4,1]}"#).await;
    assert!(told.contains("APPLIED"), "{told}");
    let mut left = world.sweep().await;
    for _ in 0..10 {
        left = world.sweep().await;
    }
    assert_eq!(left, 1);
    assert_eq!(world.read().await[1], json!([4.0, 1.0]));
}

/// A row that the sweeper has moved is still the row of the write that made it.
#[tokio::test]
async fn a_moved_row_remembers_its_write() {
    let world = World::new(0, 0);
    let put = (r#"{"price":1,"picture":[1,1]}"#, r#","idempotency_key":"a""#);
    let first = world.nodes[0].put_with("lamp", put.0, put.1).await;
    // A writer that died between the stores.
    world.rows.planned.lock().unwrap().push(Fault::Refused);
    world.nodes[0].put("lamp", r#"{"picture":[2,1]}"#).await;
    assert_eq!(world.sweep().await, 1);
    let before = world.nodes[0].get("lamp", &["price"]).await;
    let told = world.nodes[1].put_with("lamp", put.0, put.1).await;
    assert!(told.contains("APPLIED") && told != first, "{told}");
    let rev = before["revs"]["shop/product@1"].to_string();
    assert!(told.contains(&rev), "{told}: {rev}");
    // Nothing was written again.
    assert_eq!(world.nodes[0].get("lamp", &["price"]).await, before);
    // A delete too, and under the same key it is another write.
    let delete = r#"{"view":"shop/product@1","rows":[{"entity":{"seller":7,"sku":"lamp"},"idempotency_key":"a"}]}"#;
    let deleted = world.nodes[0].fixture.call("delete", delete).await;
    assert!(deleted.contains("APPLIED"), "{deleted}");
    world.rows.planned.lock().unwrap().push(Fault::Refused);
    world.nodes[0].put("lamp", r#"{"picture":[2,1]}"#).await;
    assert_eq!(world.sweep().await, 0);
    world.nodes[0].fixture.call("delete", delete).await;
    assert_eq!(world.read().await, json!([null, null]));
}

/// What is not written leaves no document.
#[tokio::test]
async fn what_comes_to_nothing_makes_no_document() {
    let world = World::new(0, 0);
    let node = &world.nodes[0];
    node.put_with("lamp", r#"{"picture":[1,1]}"#, r#","event_time":"2013-12-01T00:00:00Z""#).await;
    for (more, outcome) in [
        (r#","event_time":"2013-11-01T00:00:00Z""#, "SUPERSEDED"),
        (r#","if_rev":5"#, "CONFLICT"),
        (r#","if_rev":0"#, "CONFLICT"),
    ] {
        let told = node.put_with("lamp", r#"{"picture":[2,1]}"#, more).await;
        assert!(told.contains(outcome), "{told}");
        assert_eq!(world.pictures().await, 1, "{outcome}");
    }
    let body = r#"{"view":"shop/product@1","rows":[
        {"entity":{"seller":7,"sku":"lamp"},"values":{"picture":[2,1],"price":2}},
        {"entity":{"seller":7,"sku":"lamp"},"values":{"price":3}},
        {"entity":{"seller":7,"sku":"lamp"},"values":{"picture":[4,1]}}]}"#;
    let told = node.fixture.call("put", body).await;
    assert_eq!(told.matches("APPLIED").count(), 3, "{told}");
    assert_eq!(world.read().await, json!([3.0, [4.0, 1.0]]));
    assert_eq!(world.pictures().await, 1);
}

/// An index that is away touches nobody who does not need it, and is named to those who do.
#[tokio::test]
async fn only_embeddings_need_the_index() {
    let world = World::new(0, 1);
    let node = &world.nodes[0];
    node.put("lamp", r#"{"price":1,"tags":["a"],"picture":[1,1]}"#).await;
    world.is_on.store(true, Ordering::SeqCst);
    assert_eq!(node.get("lamp", &["price", "tags"]).await["values"], json!([1.0, ["a"]]));
    let told = node.put("lamp", r#"{"tags":["b"]}"#).await;
    assert!(told.contains("APPLIED"), "{told}");
    let read = node.get("lamp", &["picture", "price"]).await;
    assert_eq!(read["statuses"], json!(["ERROR", "ERROR"]));
    // The price is filtered by: its document would have to be copied.
    let told = node.put("lamp", r#"{"price":2}"#).await;
    assert!(told.contains("FAILED") && told.contains("embedding index (test)"), "{told}");
    let search = r#"{"feature":"shop/product@1:picture","vector":[1,1],"k":1}"#;
    let (status, told) = node.fixture.post_text("/v1/features/online/search", search).await;
    assert!(status == 503 && told.contains("embedding index (test)"), "{status} {told}");
    // What has expired shows no embedding: nobody is asked for it.
    node.fixture.data_clock.0.fetch_add(8 * 86_400_000_000, Ordering::SeqCst);
    let read = node.get("lamp", &["picture", "price"]).await;
    assert_eq!(read["statuses"], json!(["EXPIRED", "EXPIRED"]));
    let told = node.delete("lamp").await;
    assert!(told.contains("APPLIED"), "{told}");
}

/// A cache may give a row whose document is gone: the row is read again, past the cache.
#[tokio::test]
async fn an_old_copy_of_a_row_is_no_error() {
    let world = World::new(0, 0);
    let node = &world.nodes[0];
    let cached = r#"{"features":["shop/product@1:price","shop/product@1:picture"],
        "entities":[{"seller":7,"sku":"lamp"}],
        "consistency":{"cached":{"max_staleness_ms":60000}}}"#;
    world.rows.keeps_old.store(true, Ordering::SeqCst);
    node.put("lamp", r#"{"price":1,"picture":[1,1]}"#).await;
    assert!(node.fixture.call("get", cached).await.contains("[1.0,[1.0,1.0]]"));
    node.put("lamp", r#"{"price":2,"picture":[2,1]}"#).await;
    assert_eq!(world.pictures().await, 1);
    let told = node.fixture.call("get", cached).await;
    assert!(told.contains("[2.0,[2.0,1.0]]"), "{told}");
    // Where it is there still, the copy is an answer.
    let price = cached.replace(r#","shop/product@1:picture""#, "");
    assert!(node.fixture.call("get", &price).await.contains("[1.0]"));
}

/// A named document that is really gone is an error, and a put of the whole row mends it.
#[tokio::test]
async fn a_lost_document_is_an_error_until_it_is_written_again() {
    let world = Plain::new();
    world.put("lamp", r#"{"price":1,"picture":[1,1]}"#).await;
    let ids = world.documents("picture").await;
    world.index.delete(&world.spec("picture"), &ids, None).await;
    assert_eq!(world.get("lamp", &["picture"]).await["statuses"], json!(["ERROR"]));
    let told = world.put("lamp", r#"{"price":2}"#).await;
    assert!(told.contains("DATA_LOSS"), "{told}");
    world.put("lamp", r#"{"picture":[1,1]}"#).await;
    assert_eq!(world.get("lamp", &["picture"]).await["values"], json!([[1.0, 1.0]]));
}

/// A put that waits is answered when searches see it: by the put itself, or by a refresh where the document
/// is of an earlier write.
#[tokio::test]
async fn a_put_may_wait_for_searches() {
    let world = World::new(0, 0);
    let node = &world.nodes[0];
    let waits = |values: &str, key: &str| {
        format!(
            r#"{{"view":"shop/product@1","wait_for_search":true,"rows":[{{"entity":{{"seller":7,"sku":"lamp"}},"values":{values},"idempotency_key":"{key}"}}]}}"#
        )
    };
    let counts = || {
        let waited = &world.index.waited;
        (waited.0.load(Ordering::SeqCst), waited.1.load(Ordering::SeqCst))
    };
    node.put("lamp", r#"{"picture":[1,1]}"#).await;
    assert_eq!(counts(), (0, 0));
    node.fixture.call("put", &waits(r#"{"picture":[2,1]}"#, "a")).await;
    assert_eq!(counts(), (1, 0));
    // A retry, and a put that keeps the document.
    node.fixture.call("put", &waits(r#"{"picture":[2,1]}"#, "a")).await;
    let told = counts();
    assert!(told.0 == 1 && told.1 > 0, "{told:?}");
    node.fixture.call("put", &waits(r#"{"tags":["x"]}"#, "b")).await;
    assert!(counts().1 > told.1);
}

/// One after the other they would be at it until the deadline, and leave more behind, for ever.
#[tokio::test]
async fn rows_with_leftovers_do_not_wait_for_each_other() {
    let world = World::new(0, 0);
    let node = &world.nodes[0];
    let spec = node.spec("picture");
    let skus = ["lamp", "chair", "table"];
    for sku in skus {
        node.put(sku, r#"{"price":1,"picture":[1,1]}"#).await;
    }
    settle().await;
    let of_rows = documents(&world.index.inner, &spec).await;
    assert_eq!(of_rows.len(), skus.len());
    // Of other writers, who went no further.
    for DocumentId { key, .. } in of_rows {
        let row = world
            .rows
            .inner
            .get(std::slice::from_ref(&key), &ReadOptions::default())
            .await
            .remove(0);
        let rev = row.unwrap().unwrap().rev();
        let left = (1..=3).map(|above| Document {
            id: DocumentId { key: key.clone(), rev: rev + above },
            vector: Arc::from([9.0_f32, above as f32]),
            subject: None,
            metadata: Vec::new(),
            event_time: Timestamp(1),
            written: Timestamp(1),
        });
        let put = world.index.inner.put(&spec, left.collect(), Visible::Now, None).await;
        assert!(put.iter().all(Result::is_ok), "{put:?}");
    }
    let meeting = Arc::new(tokio::sync::Barrier::new(skus.len()));
    *world.index.meeting.lock().unwrap() = Some(meeting);
    let rows: Vec<String> = skus
        .iter()
        .map(|sku| {
            format!(
                r#"{{"entity":{{"seller":7,"sku":"{sku}"}},"values":{{"price":2,"picture":[2,2]}}}}"#
            )
        })
        .collect();
    let body = format!(r#"{{"view":"shop/product@1","rows":[{}]}}"#, rows.join(","));
    let put = node.fixture.call("put", &body);
    let told = tokio::time::timeout(std::time::Duration::from_secs(30), put).await;
    let told = told.expect("they look for free places together");
    assert_eq!(told.matches("APPLIED").count(), skus.len(), "{told}");
    *world.index.meeting.lock().unwrap() = None;
    for sku in skus {
        assert_eq!(node.get(sku, &["price", "picture"]).await["values"], json!([2.0, [2.0, 2.0]]));
    }
}
