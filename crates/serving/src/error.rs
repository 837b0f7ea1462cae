//! How errors of the store and of the write door are told to callers. Serving's own errors are
//! [`ApiError`]s from the start: all of them are answers to a caller.

use trivium_api::ApiError;
use trivium_runtime::Kind;
use trivium_store::DoorError;

/// A store's error, as the caller of serving sees it.
pub(crate) fn of_store(error: &trivium_store::Error) -> ApiError {
    use trivium_store::Error;
    let (kind, help) = match error {
        Error::Invalid(_) => (Kind::InvalidArgument, ""),
        Error::Throttled(_) => (Kind::ResourceExhausted, "retry later, with growing pauses"),
        Error::Unavailable(_) => (Kind::Unavailable, "nothing was written; retry"),
        Error::Failed(_) => (
            Kind::Unavailable,
            "nothing was written, and retrying is of no use: the server has to be started again",
        ),
        Error::Unknown(_) => (
            Kind::DeadlineExceeded,
            "whether it was written is unknown; retry with the same idempotency key",
        ),
        Error::Corrupt(_) => (Kind::DataLoss, "write the row again as a whole"),
    };
    ApiError::new(kind, error.to_string()).help(help)
}

/// An error of the write door, as the caller of serving sees it.
pub(crate) fn of_door(error: &DoorError) -> ApiError {
    match error {
        DoorError::Invalid { message, field, help } => {
            ApiError::invalid(message.as_str()).at(field.as_str()).help(help.as_str())
        }
        DoorError::UnknownView(view) => {
            ApiError::not_found(format!("there is no feature view `{view}`")).at("view")
        }
        DoorError::Shed { message, .. } => {
            let error = ApiError::new(Kind::ResourceExhausted, message.as_str());
            error.help("retry later, with growing pauses")
        }
        DoorError::Store(error) => of_store(error),
    }
}

/// The other way round, for errors found before anything was tried.
pub(crate) fn to_door(error: ApiError) -> DoorError {
    DoorError::Invalid { message: error.message, field: error.field, help: error.help }
}
