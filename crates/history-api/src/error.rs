//! How the offline side's errors are told to callers.

use std::error::Error as _;

use trivium_api::ApiError;
use trivium_offline::Error;
use trivium_runtime::Kind;

/// An error of the offline side, as a caller sees it. Paths and causes of faults that are not the
/// caller's go to the log alone.
pub(crate) fn of_offline(error: &Error) -> ApiError {
    let kind = error.kind();
    let cause = error.source().map(|source| format!(": {source}")).unwrap_or_default();
    if matches!(kind, Kind::Internal | Kind::DataLoss | Kind::Unavailable | Kind::NotFound) {
        tracing::error!(code = kind.code(), "{error}{cause}");
        let message = match kind {
            Kind::DataLoss => "a file of the offline store is corrupt",
            Kind::Internal => "the training set could not be made",
            _ => "the offline store cannot be read now",
        };
        let kind = if kind == Kind::NotFound { Kind::Unavailable } else { kind };
        return ApiError::new(kind, message).help("the server's log says more");
    }
    let mut told = ApiError::new(kind, format!("{error}{cause}"));
    if let Error::Invalid { field: Some(field), .. } = error {
        told = told.at(field);
    }
    match error.help() {
        Some(help) => told.help(help),
        None => told,
    }
}
