//! Embeddings in an index beside the rows, through the real surfaces, in memory.

mod basics;
mod faults;
mod faulty;
mod interleavings;
mod layouts;
mod refusals;

use std::sync::Arc;

use trivium_store::{
    EmbeddingIndex, MemoryIndex, MemoryStore,
    embedding::{DocumentId, IndexSpec, Listing},
};

use super::fixture::Fixture;
use crate::{Options, Stores};

/// Scalars and two embeddings of somebody, for a week.
pub(super) const PRODUCT: &str = r#"{
  "namespace": "shop", "name": "product", "version": 1, "lane": "direct",
  "description": "What is sold.", "owner": { "team": "shop", "contact": "shop@example.com" },
  "urgency_tier": 3,
  "entities": [ { "name": "seller", "type": "int64" }, { "name": "sku", "type": "string" } ],
  "event_timestamp": "event_ts", "subject": "seller", "ttl": "7d",
  "features": [
    { "name": "price", "type": "float64", "description": "X." },
    { "name": "stock", "type": "int32", "description": "X.", "default": -1 },
    { "name": "label", "type": "string", "description": "X." },
    { "name": "is_new", "type": "bool", "description": "X." },
    { "name": "since", "type": "date", "description": "X." },
    { "name": "tags", "type": { "list": "string" }, "description": "X." },
    { "name": "picture", "type": { "embedding": { "dimension": 2, "metric": "cosine" } }, "description": "X." },
    { "name": "sound", "type": { "embedding": { "dimension": 3, "metric": "l2" } }, "description": "X." }
  ],
  "online": true
}"#;

/// The same before it had `since` and `sound`.
pub(super) fn product_before() -> String {
    let without = |text: &str, name: &str| {
        let at = text.find(&format!("    {{ \"name\": \"{name}\"")).unwrap();
        let end = at + text[at..].find('\n').unwrap() + 1;
        format!("{}{}", &text[..at], &text[end..])
    };
    without(&without(PRODUCT, "since"), "sound").replace("\"X.\" },\n  ],", "\"X.\" }\n  ],")
}

pub(super) struct World {
    pub(super) fixture: Fixture,
    pub(super) index: Arc<MemoryIndex>,
}

impl World {
    pub(super) fn new() -> Self {
        let (rows, index) = (Arc::new(MemoryStore::new()), Arc::new(MemoryIndex::new()));
        let stores = Stores::of(rows).with_embeddings(index.clone());
        let fixture = Fixture::on_stores(stores, &[&[PRODUCT]], Options::default());
        Self { fixture, index }
    }

    /// Sets values of one entity; the outcome as text.
    pub(super) async fn put(&self, sku: &str, values: &str) -> String {
        self.put_with(sku, values, "").await
    }

    /// `more`: fields of the row, each with a comma before.
    pub(super) async fn put_with(&self, sku: &str, values: &str, more: &str) -> String {
        let body = format!(
            r#"{{"view":"shop/product@1","rows":[{{"entity":{{"seller":7,"sku":"{sku}"}},"values":{values}{more}}}]}}"#
        );
        self.fixture.call("put", &body).await
    }

    pub(super) async fn delete(&self, sku: &str) -> String {
        let body = format!(
            r#"{{"view":"shop/product@1","rows":[{{"entity":{{"seller":7,"sku":"{sku}"}}}}]}}"#
        );
        self.fixture.call("delete", &body).await
    }

    /// Values and statuses of features of one entity.
    pub(super) async fn get(&self, sku: &str, features: &[&str]) -> serde_json::Value {
        let features: Vec<String> =
            features.iter().map(|name| format!("\"shop/product@1:{name}\"")).collect();
        let body = format!(
            r#"{{"features":[{}],"entities":[{{"seller":7,"sku":"{sku}"}}]}}"#,
            features.join(",")
        );
        let answer: serde_json::Value =
            serde_json::from_str(&self.fixture.call("get", &body).await).unwrap();
        answer["rows"][0].clone()
    }

    /// Searches with this body.
    pub(super) async fn search(&self, body: &str) -> serde_json::Value {
        serde_json::from_str(&self.fixture.call("search", body).await).unwrap()
    }

    /// Which entities a search finds, nearest first.
    pub(super) async fn found(&self, rest: &str) -> Vec<String> {
        let body = format!(r#"{{"feature":"shop/product@1:picture",{rest}}}"#);
        let answer = self.search(&body).await;
        let hits = answer["hits"].as_array().unwrap();
        hits.iter().map(|hit| hit["entity"]["sku"].as_str().unwrap().to_owned()).collect()
    }

    pub(super) fn spec(&self, feature: &str) -> IndexSpec {
        let definitions = self.fixture.serving.definitions();
        definitions.indexes().find(|spec| *spec.feature == *feature).unwrap().clone()
    }

    /// The documents of a feature.
    pub(super) async fn documents(&self, feature: &str) -> Vec<DocumentId> {
        documents(&self.index, &self.spec(feature)).await
    }

    /// Lets deletions of leftovers end, which run beside requests.
    pub(super) async fn settle(&self) {
        settle().await;
    }
}

pub(super) async fn documents(index: &MemoryIndex, spec: &IndexSpec) -> Vec<DocumentId> {
    match index.list(spec, &Listing::default(), None, None).await {
        Ok(page) => page.ids,
        // Nothing was put yet.
        Err(_) => Vec::new(),
    }
}

pub(super) async fn settle() {
    for _ in 0..64 {
        tokio::task::yield_now().await;
    }
}
