//! What a failed request means: above all, whether a write may have been applied.

use std::{error::Error as _, io, time::Duration};

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::client::{orchestrator::HttpResponse, result::ConnectorError};
use trivium_store::Error;

/// Sorts an SDK's error. Unless it is certain that nothing was done, it is `Unknown`.
pub(crate) fn sort<E>(error: &SdkError<E, HttpResponse>) -> Error
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    match error {
        SdkError::ConstructionFailure(_) => Error::Unavailable(text(error)),
        SdkError::DispatchFailure(failure) => match failure.as_connector_error() {
            Some(connector) if !was_sent(connector) => Error::Unavailable(text(error)),
            _ => Error::Unknown(text(error)),
        },
        SdkError::ServiceError(answer) => sort_answer(answer.err(), answer.raw().status().as_u16()),
        // A time-out, an answer that breaks off or cannot be read: the request was on its way.
        _ => Error::Unknown(text(error)),
    }
}

fn sort_answer(error: &impl ProvideErrorMetadata, status: u16) -> Error {
    let code = error.code().unwrap_or("an error without a code");
    let message = error.message().unwrap_or("no message");
    let text = format!("{code} ({status}): {message}");
    match code {
        "ProvisionedThroughputExceededException"
        | "ThrottlingException"
        | "Throttling"
        | "RequestLimitExceeded"
        | "LimitExceededException" => Error::Throttled(text),
        // Another writer of the item was faster inside DynamoDB: rejected, worth another try.
        "TransactionConflictException" | "ReplicatedWriteConflictException" => {
            Error::Throttled(text)
        }
        "ValidationException" | "ItemCollectionSizeLimitExceededException" => Error::Invalid(text),
        // "The operation might have succeeded or failed", say the documents of 500 and 503.
        _ if status >= 500 => Error::Unknown(text),
        // No such table, not permitted, a clock that is off: nobody's request but the operator's job.
        _ => Error::Unavailable(text),
    }
}

/// Whether a request that failed below HTTP may have reached anybody.
fn was_sent(error: &ConnectorError) -> bool {
    let mut source = error.source();
    while let Some(cause) = source {
        let refused = cause
            .downcast_ref::<io::Error>()
            .is_some_and(|error| error.kind() == io::ErrorKind::ConnectionRefused);
        let connecting = cause
            .downcast_ref::<hyper_util::client::legacy::Error>()
            .is_some_and(|error| error.is_connect());
        if refused || connecting || cause.is::<CredentialsError>() {
            return false;
        }
        source = cause.source();
    }
    true
}

fn text<E>(error: &SdkError<E, HttpResponse>) -> String
where
    E: std::error::Error + 'static,
{
    // Not `DisplayErrorContext`: it shows the answer's body, which has rows in it.
    let mut said = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        said.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    said
}

pub(crate) fn no_answer(after: Duration) -> Error {
    Error::Unknown(format!("no answer within {} ms", after.as_millis()))
}

/// Sorts the error of a read. It changed nothing: an answer that says `5xx` is no riddle.
pub(crate) fn sort_read<E>(error: &SdkError<E, HttpResponse>) -> Error
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    match (sort(error), error) {
        (Error::Unknown(text), SdkError::ServiceError(_)) => Error::Unavailable(text),
        (sorted, _) => sorted,
    }
}
