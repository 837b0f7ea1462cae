//! Against a real OpenSearch with k-NN: one node for all tests, but for those that kill theirs.

mod faults;
mod layout;
mod moved;
mod support;

use std::sync::Arc;

use crate::OpenSearchIndex;

async fn make() -> Arc<OpenSearchIndex> {
    Arc::new(support::shared().await)
}
trivium_store::embedding_conformance_tests!(make);

/// Where an index has more than one shard, answers are put together from several.
mod three_shards {
    use trivium_store::conformance::embedding as checks;

    use super::*;

    async fn make() -> Arc<OpenSearchIndex> {
        let options = crate::Options { shards: 3, ..support::options(support::endpoint().await) };
        Arc::new(OpenSearchIndex::new(options, None).unwrap())
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn answers_are_put_together() {
        checks::recall_is_near_exact(make().await).await;
        checks::equal_scores_are_ordered(make().await).await;
        checks::listings_are_complete(make().await).await;
        checks::racing_puts_decide_once(make().await).await;
        checks::documents_come_back_bit_by_bit(make().await).await;
    }
}
