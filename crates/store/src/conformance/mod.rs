//! What every store must do, as functions that panic where one does not. An adapter's tests are one
//! line: `trivium_store::conformance_tests!(make_store);`, where `make_store` is an async function
//! that gives an `Arc<impl Store>`. Every check writes under keys of its own, so that one store (a
//! remote table, say) may serve them all.

pub mod authority;
mod checks;
pub mod embedding;
mod model;
pub mod row_cache;
pub mod subjects;
mod support;

pub use checks::*;
pub use model::agrees_with_the_model;

use crate::{Checkpoints, OnlineRead, OnlineWrite};

/// All of a store's ports.
pub trait Store: OnlineRead + OnlineWrite + Checkpoints {}
impl<T: OnlineRead + OnlineWrite + Checkpoints> Store for T {}

/// One `#[tokio::test]` for each check of the suite; the argument is an async function without
/// parameters that gives an `Arc` of the store (and may hand out the same one again).
#[macro_export]
macro_rules! conformance_tests {
    ($make:path) => {
        mod conformance {
            use super::*;
            $crate::conformance_tests!(@each $make:
                order_and_length_are_kept, newer_wins, ties_and_sequences, now_always_wins,
                deletes_leave_tombstones, conditions, exact_conditions, replacing,
                retries_are_recognised, duplicates_in_a_batch, one_bad_write_harms_no_other,
                large_values, many_keys, tricky_keys, counters_are_linearizable,
                concurrent_batches_do_not_block_each_other, reads_never_go_back,
                deadlines_in_the_past, checkpoints_compare_and_set, checkpoints_contend);
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn agrees_with_the_model() {
                for seed in 1..=20 {
                    $crate::conformance::agrees_with_the_model(&*$make().await, seed).await;
                }
            }
        }
    };
    (@each $make:path: $($check:ident),*) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $check() {
            $crate::conformance::$check($make().await).await;
        }
    )*};
}
