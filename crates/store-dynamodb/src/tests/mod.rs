//! Against a real DynamoDB API: DynamoDB Local, one for all tests, a table of its own for most.

mod erasing;
mod faults;
mod fences;
mod fresh;
mod held;
mod layout;
mod moving;
mod pairs;
mod people;
mod races;
mod support;
mod tables;

use std::sync::Arc;

use crate::DynamoStore;

async fn make() -> Arc<DynamoStore> {
    Arc::new(support::shared_table().await)
}
trivium_store::conformance_tests!(make);
trivium_store::subject_conformance_tests!(make);

async fn make_own() -> Arc<DynamoStore> {
    Arc::new(support::new_table().await)
}
trivium_store::authority_conformance_tests!(make_own);
