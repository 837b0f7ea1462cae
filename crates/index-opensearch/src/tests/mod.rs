//! Against a real OpenSearch with k-NN: one node for all tests, but for those that kill theirs.

mod faults;
mod layout;
mod support;

use std::sync::Arc;

use crate::OpenSearchIndex;

async fn make() -> Arc<OpenSearchIndex> {
    Arc::new(support::shared().await)
}
trivium_store::embedding_conformance_tests!(make);
