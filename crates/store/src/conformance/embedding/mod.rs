//! What every embedding index must do. An adapter's tests are one line:
//! `trivium_store::embedding_conformance_tests!(make);`, where `make` is an async function that gives an
//! `Arc<impl EmbeddingIndex>` (and may hand out the same one again): every check makes indexes of its own.

mod documents;
mod fixtures;
mod indexes;
mod lists;
mod search;

pub use documents::{
    documents_come_back_bit_by_bit, ids_are_decided_once, long_keys, nonsense_is_refused,
    one_bad_document_harms_no_other, puts_can_wait_to_be_seen, racing_puts_decide_once,
};
pub use fixtures::{document, key_of, unique_spec};
pub use indexes::{
    fields_are_added, indexes_are_ensured, late_embedding_work_is_refused, missing_indexes,
    other_indexes_are_refused, survives_a_restart,
};
pub use lists::{deletes_are_seen, listings_are_complete, subjects_are_deleted};
pub use search::{
    equal_scores_are_ordered, filtered_recall, filters_are_exact, least_scores,
    recall_is_near_exact, scores_are_the_definition,
};

/// One `#[tokio::test]` for each check of an embedding index.
#[macro_export]
macro_rules! embedding_conformance_tests {
    ($make:path) => {
        mod embedding_conformance {
            use super::*;
            $crate::embedding_conformance_tests!(@each $make:
                indexes_are_ensured, other_indexes_are_refused, fields_are_added,
                documents_come_back_bit_by_bit, ids_are_decided_once, racing_puts_decide_once,
                nonsense_is_refused, one_bad_document_harms_no_other, scores_are_the_definition,
                recall_is_near_exact, filters_are_exact, filtered_recall, equal_scores_are_ordered,
                least_scores, deletes_are_seen, subjects_are_deleted, listings_are_complete,
                puts_can_wait_to_be_seen, long_keys, missing_indexes,
                late_embedding_work_is_refused);
        }
    };
    (@each $make:path: $($check:ident),*) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $check() {
            $crate::conformance::embedding::$check($make().await).await;
        }
    )*};
}
