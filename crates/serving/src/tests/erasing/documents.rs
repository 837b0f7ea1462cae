//! Embeddings of the erased: documents that no row names.

use std::sync::Arc;

use serde_json::{Value as Json, json};
use trivium_codec::RowKey;
use trivium_model::{Name, Timestamp};
use trivium_store::{
    EmbeddingIndex, MemoryIndex,
    embedding::{Document, DocumentId, Listing, Visible},
};

use super::world::{Node, Shared};
use crate::tests::fixture::{NOW, WALL};

const TASTE: &str = r#"{
  "namespace": "shop", "name": "taste", "version": 1, "lane": "direct",
  "description": "D.", "owner": { "team": "shop", "contact": "shop@example.com" },
  "urgency_tier": 3, "entities": [ { "name": "user_id", "type": "int64" } ],
  "event_timestamp": "event_ts", "subject": "user_id",
  "features": [ { "name": "a", "type": "int64", "description": "A." },
                { "name": "v", "type": { "embedding": { "dimension": 2, "metric": "cosine" } }, "description": "V." } ],
  "online": true
}"#;

#[tokio::test(start_paused = true)]
async fn documents_go_with_the_person() {
    let shared = Shared::new(&[TASTE]);
    let index = Arc::new(MemoryIndex::new());
    *shared.embeddings.lock().unwrap() = Some(Arc::clone(&index) as Arc<dyn EmbeddingIndex>);
    let node = shared.node();
    let definitions = node.serving.definitions();
    let view = definitions.view("shop/taste@1", "").unwrap();
    let spec = view.embeddings[0].spec.clone();
    index.ensure(&spec, None).await.unwrap();
    let key = |user: i64| -> RowKey {
        view.keys.encode(&[trivium_model::KeyValue::Int64(user)]).unwrap()
    };
    let document = |user: i64, rev: u64| Document {
        id: DocumentId { key: key(user), rev },
        vector: Arc::from([1.0_f32, 2.0]),
        subject: view.subject_of(&key(user)),
        metadata: Vec::<(Name, _)>::new(),
        event_time: Timestamp(1),
        written: Timestamp(1),
    };
    // One that a writer left before its row came, one of a row, and somebody else's.
    let documents = vec![document(7, 5), document(7, WALL.unsigned_abs() + 3), document(8, 5)];
    for stored in index.put(&spec, documents, Visible::Now, None).await {
        stored.unwrap();
    }
    node.fill(7, 1).await;
    let report = node.erase(7, "").await;
    assert_eq!(report["state"], "DONE", "{report}");
    assert_eq!(report["embeddings"]["shop/taste@1:v"], 2, "{report}");
    let left = index.list(&spec, &Listing::default(), None, None).await.unwrap();
    assert_eq!(left.ids, [DocumentId { key: key(8), rev: 5 }]);
}

/// What is told of a put of user 7, at so many microseconds after now, under a condition.
async fn told(
    node: &Node,
    view: &str,
    values: &Json,
    after: i64,
    condition: Option<u64>,
) -> String {
    let mut row = json!({ "entity": { "user_id": 7 }, "values": values,
                          "event_time": Timestamp(NOW + after).to_string() });
    if let Some(rev) = condition {
        row["if_rev"] = json!(rev);
    }
    node.put(view, vec![row]).await.remove(0)
}

/// A put of the erased past is told so, whatever stands in its place, whether serving or the store looks first.
#[tokio::test(start_paused = true)]
async fn of_the_erased_past_is_told_of_every_kind_of_put() {
    let (whole, some) = (json!({ "a": 1, "b": 2 }), json!({ "a": 1 }));
    let (both, vector) = (json!({ "a": 1, "v": [1.0, 2.0] }), json!({ "v": [2.0, 1.0] }));
    for (view, values) in [
        ("profile", &whole),
        ("profile", &some),
        ("taste", &both),
        ("taste", &vector),
        ("taste", &some),
    ] {
        let shared = Shared::new(&[TASTE]);
        *shared.embeddings.lock().unwrap() = Some(Arc::new(MemoryIndex::new()));
        let node = shared.node();
        let put = async |after, condition| told(&node, view, values, after, condition).await;
        let said = |what| format!("{view} {values}: {what}");
        assert_eq!(put(-20, None).await, "APPLIED");
        // Older than the row, and nobody has been erased yet.
        assert_eq!(put(-30, None).await, "SUPERSEDED");
        assert_eq!(put(-10, Some(5)).await, "CONFLICT");
        assert_eq!(node.erase(7, "").await["state"], "DONE");
        // Where the row was stands a tombstone.
        assert_eq!(put(-30, None).await, "ERASED", "{}", said("older than the row was"));
        assert_eq!(put(-10, None).await, "ERASED", "{}", said("newer than the row was"));
        assert_eq!(put(-10, Some(5)).await, "ERASED", "{}", said("conditional"));
        assert_eq!(put(0, None).await, "ERASED", "{}", said("at the request"));
        // The person comes back; the past does not.
        assert_eq!(put(20, None).await, "APPLIED", "{}", said("newer"));
        assert_eq!(put(-10, None).await, "ERASED", "{}", said("past a newer row"));
        assert_eq!(put(-10, Some(5)).await, "ERASED", "{}", said("conditional, past a newer row"));
        assert_eq!(put(10, None).await, "SUPERSEDED", "{}", said("later, and older than the row"));
        assert_eq!(put(30, Some(5)).await, "CONFLICT", "{}", said("later, conditional"));
    }
}
