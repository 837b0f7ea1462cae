//! Commands of a request that is followed, as spans: the command, the script's step, how many keys. No key.

use trivium_runtime::trace::{self, Call, CallSpan, Value};
use trivium_store::CacheError;

/// Begins to tell of a command. `step`: which of a script's, if it is one.
///
/// Not around the command's future: that is large, and would be copied on every read.
pub(crate) fn begin(operation: &'static str, step: &'static str, keys: usize) -> CallSpan {
    let mut span = trace::call(|| Call { system: "valkey", operation, collection: "" });
    span.tell("db.operation.batch.size", || Value::I64(i64::try_from(keys).unwrap_or(i64::MAX)));
    if !step.is_empty() {
        span.tell("db.stored_procedure.name", || step.into());
    }
    span
}

/// Tells how it ended.
pub(crate) fn end<T>(mut span: CallSpan, answer: Result<T, CacheError>) -> Result<T, CacheError> {
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
