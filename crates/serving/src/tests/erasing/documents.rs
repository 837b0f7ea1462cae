//! Embeddings of the erased: documents that no row names.

use std::sync::Arc;

use trivium_codec::RowKey;
use trivium_model::{Name, Timestamp};
use trivium_store::{
    EmbeddingIndex, MemoryIndex,
    embedding::{Document, DocumentId, Listing, Visible},
};

use super::world::Shared;
use crate::tests::fixture::WALL;

const TASTE: &str = r#"{
  "namespace": "shop", "name": "taste", "version": 1, "lane": "direct",
  "description": "D.", "owner": { "team": "shop", "contact": "shop@example.com" },
  "urgency_tier": 3, "entities": [ { "name": "user_id", "type": "int64" } ],
  "event_timestamp": "event_ts", "subject": "user_id",
  "features": [ { "name": "v", "type": { "embedding": { "dimension": 2, "metric": "cosine" } }, "description": "V." } ],
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
