//! How the registry's errors are told to callers.

use trivium_api::ApiError;
use trivium_model::Diagnostic;
use trivium_registry::{Error, plan::Refused};
use trivium_runtime::Kind;

use crate::limits::ERROR_LINES_MAX;

/// A registry's error, as a caller sees it.
pub(crate) fn of_registry(error: &Error) -> ApiError {
    let (kind, field, help) = match error {
        Error::Conflict { .. } => (
            Kind::Conflict,
            "base_revision",
            "plan again, look at what changed, apply the new plan",
        ),
        Error::NotFound(_) => (
            Kind::NotFound,
            "",
            "`GET /v1/feature-views` and `GET /v1/feature-services` list what there is",
        ),
        Error::Invalid(_) => (Kind::InvalidArgument, "", ""),
        Error::Unavailable(_) => (
            Kind::Unavailable,
            "",
            "retry; an apply that was accepted is answered with a conflict then",
        ),
        Error::Corrupt(_) => {
            (Kind::DataLoss, "", "the operator has to look at the registry's database")
        }
    };
    ApiError::new(kind, error.to_string()).at(field).help(help)
}

/// Files that are wrong in themselves.
pub(crate) fn of_diagnostics(found: &[Diagnostic]) -> ApiError {
    let errors: Vec<String> =
        found.iter().filter(|one| one.is_error()).map(ToString::to_string).collect();
    ApiError::invalid(lines(&errors)).at("files").help("nothing was applied; correct the files")
}

/// Changes that are not allowed.
pub(crate) fn of_refused(refused: &Refused) -> ApiError {
    ApiError::new(Kind::FailedPrecondition, lines(&refused.0))
        .at("files")
        .help("nothing was applied; the plan says what each change is")
}

fn lines(all: &[String]) -> String {
    let mut text = all.iter().take(ERROR_LINES_MAX).cloned().collect::<Vec<_>>().join("\n");
    if let Some(more) = all.len().checked_sub(ERROR_LINES_MAX).filter(|more| *more > 0) {
        text.push_str(&format!("\nand {more} more"));
    }
    text
}
