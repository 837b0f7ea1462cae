//! Commands of a request that is followed, as spans: the command, the script's step, how many keys. No key.

use trivium_runtime::trace::{self, Call, Value};
use trivium_store::CacheError;

/// Sends a command, and tells of it. `step`: which of a script's, if it is one.
pub(crate) async fn told<T>(
    operation: &'static str,
    step: &'static str,
    keys: usize,
    command: impl Future<Output = Result<T, CacheError>>,
) -> Result<T, CacheError> {
    let mut span = trace::call(|| Call { system: "valkey", operation, collection: "" });
    span.tell("db.operation.batch.size", || Value::I64(i64::try_from(keys).unwrap_or(i64::MAX)));
    if !step.is_empty() {
        span.tell("db.stored_procedure.name", || step.into());
    }
    let answer = command.await;
    if let Err(error) = &answer {
        span.failed(|| kind_of(error).to_owned());
    }
    answer
}

const fn kind_of(error: &CacheError) -> &'static str {
    match error {
        CacheError::NotMarked => "not_marked",
        CacheError::Refused { is_full: true, .. } => "full",
        CacheError::Refused { .. } => "refused",
        CacheError::Unknown(_) => "unknown",
    }
}
