//! What this crate can fail with, split by what the caller would do.

use std::path::PathBuf;

use trivium_model::ViewRef;
use trivium_runtime::Kind;

use crate::quality::CheckResult;

/// An error of the offline side.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The request can never work: change it.
    #[error("{message}")]
    Invalid {
        /// What is wrong.
        message: String,
        /// Which part of the request, if one is.
        field: Option<String>,
        /// What to do.
        help: String,
    },
    /// The view's SQL gives other columns or types than its config names, or rows that may not be.
    #[error("{view}, period {period}: {message}")]
    Rows {
        /// The view.
        view: ViewRef,
        /// The period, as its folder is named.
        period: String,
        /// What is wrong, with the column.
        message: String,
        /// What to do.
        help: String,
    },
    /// A quality check with severity `error` failed; nothing of the period was published.
    #[error("{view}, period {period}: not published, {}", failed(.results))]
    Quality {
        /// The view.
        view: ViewRef,
        /// The period, as its folder is named.
        period: String,
        /// Every check, the passed ones too.
        results: Vec<CheckResult>,
    },
    /// The engine refused or failed.
    #[error("{view}, period {period}: {doing}")]
    Engine {
        /// The view.
        view: ViewRef,
        /// The period, as its folder is named; `-` where there is none.
        period: String,
        /// Which query.
        doing: &'static str,
        /// Why.
        #[source]
        source: Box<trivium_engine::Error>,
    },
    /// The point-in-time join failed.
    #[error("the point-in-time join failed")]
    History {
        /// Why.
        #[source]
        source: trivium_engine::Error,
    },
    /// The lake's files cannot be read or written.
    #[error("cannot {doing} {path}")]
    Io {
        /// What was tried: `write`, `read`.
        doing: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// What is in the lake is not what was written there.
    #[error("{path} is corrupt: {message}")]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// How it shows.
        message: String,
    },
    /// The online store was filled from another lake, or another run changed it meanwhile.
    #[error("{message}")]
    Precondition {
        /// What does not hold.
        message: String,
        /// What to do.
        help: String,
    },
    /// Another process writes the view.
    #[error("another run of {view} is under way")]
    Locked {
        /// The view.
        view: ViewRef,
        /// What the other has locked.
        path: PathBuf,
    },
    /// Another run changed what a period of this one is made from.
    #[error("{view}, period {period}: another run changed a period that it looks back on")]
    Overtaken {
        /// The view.
        view: ViewRef,
        /// The period, as its folder is named.
        period: String,
    },
    /// The write door refused a row or did not answer.
    #[error("{view}{}: the online store refused a row", of(.row))]
    Door {
        /// The view.
        view: ViewRef,
        /// Its period and entity; none where the whole request was refused.
        row: Option<String>,
        /// Why.
        #[source]
        source: Box<trivium_store::DoorError>,
    },
    /// The store that keeps the checkpoint failed.
    #[error("{view}: the checkpoint")]
    Checkpoint {
        /// The view.
        view: ViewRef,
        /// Why.
        #[source]
        source: trivium_store::Error,
    },
    /// A row cannot be encoded for the online store.
    #[error("{view}{}: {message}", of(.row))]
    Encode {
        /// The view.
        view: ViewRef,
        /// The row's period and entity; none where it is the view itself.
        row: Option<String>,
        /// Which value, and why.
        message: String,
    },
    /// Stopped on request; what was finished stays, and the next run goes on from there.
    #[error("stopped: run it again to go on")]
    Stopped,
    /// A fault of Trivium's.
    #[error("{0}")]
    Internal(String),
}

/// The failed checks, one after the other.
fn failed(results: &[CheckResult]) -> String {
    let failed: Vec<String> =
        results.iter().filter(|result| !result.passed).map(ToString::to_string).collect();
    failed.join("; ")
}

/// `, period ds=2013-01-01, entity carrier "AA"`.
fn of(row: &Option<String>) -> String {
    row.as_ref().map_or(String::new(), |row| format!(", {row}"))
}

impl Error {
    /// The row of the error table.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Invalid { .. } => Kind::InvalidArgument,
            Self::Rows { .. }
            | Self::Precondition { .. }
            | Self::Locked { .. }
            | Self::Overtaken { .. } => Kind::FailedPrecondition,
            Self::Quality { .. } => Kind::QualityFailed,
            Self::Engine { source, .. } => engine_kind(source),
            // Of a join the files are the lake's own: whoever asked did nothing wrong.
            Self::History { source } => match source {
                trivium_engine::Error::Malformed { .. } => Kind::DataLoss,
                source => engine_kind(source),
            },
            Self::Io { .. } | Self::Stopped => Kind::Unavailable,
            Self::Corrupt { .. } => Kind::DataLoss,
            Self::Door { source, .. } => match &**source {
                trivium_store::DoorError::Invalid { .. } => Kind::InvalidArgument,
                trivium_store::DoorError::UnknownView(_) => Kind::NotFound,
                trivium_store::DoorError::Shed { .. } => Kind::ResourceExhausted,
                trivium_store::DoorError::Store(source) => store_kind(source),
            },
            Self::Checkpoint { source, .. } => store_kind(source),
            Self::Encode { .. } => Kind::FailedPrecondition,
            Self::Internal(_) => Kind::Internal,
        }
    }

    /// What to do about it, where there is something to say.
    pub fn help(&self) -> Option<&str> {
        match self {
            Self::Invalid { help, .. }
            | Self::Rows { help, .. }
            | Self::Precondition { help, .. } => Some(help),
            Self::Locked { .. } => Some("wait for it to end, then give the same command again"),
            Self::Overtaken { .. } => Some(
                "give the same command again, best when the other run is over: it goes on from there",
            ),
            Self::Quality { .. } => {
                Some("look at the rows, mend the SQL or the check, and run the period again")
            }
            Self::Engine { source, .. } => engine_help(source),
            Self::History { source } => engine_help(source),
            Self::Door { source, .. } => match &**source {
                trivium_store::DoorError::Invalid { help, .. } if !help.is_empty() => Some(help),
                trivium_store::DoorError::Invalid { .. } => {
                    Some("mend the row's values in the SQL and run its period again")
                }
                _ => None,
            },
            _ => None,
        }
    }

    /// Where it is: a field of the request, a file, or a view's period.
    pub fn place(&self) -> Option<String> {
        match self {
            Self::Invalid { field, .. } => field.clone(),
            Self::Engine { source, .. } => source.file(),
            Self::History { source } => source.file(),
            Self::Locked { path, .. } => Some(path.display().to_string()),
            Self::Overtaken { view, period } => Some(format!("{view} {period}")),
            _ => None,
        }
    }

    pub(crate) fn io(
        doing: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { doing, path, source }
    }

    pub(crate) fn corrupt(path: impl Into<PathBuf>, message: impl ToString) -> Self {
        Self::Corrupt { path: path.into(), message: message.to_string() }
    }

    pub(crate) fn invalid(
        field: impl Into<String>,
        message: impl Into<String>,
        help: impl Into<String>,
    ) -> Self {
        Self::Invalid { message: message.into(), field: Some(field.into()), help: help.into() }
    }
}

impl From<arrow::error::ArrowError> for Error {
    /// Ours alone: what users can cause is checked before Arrow sees it.
    fn from(error: arrow::error::ArrowError) -> Self {
        Self::Internal(format!("arrow: {error}"))
    }
}

/// What is done about a file that holds something else than its format says.
pub const MALFORMED_HELP: &str =
    "mend the file, or take it out of the source (a partition of the lake: run its period again)";

const fn engine_kind(error: &trivium_engine::Error) -> Kind {
    match error {
        trivium_engine::Error::Invalid { .. } | trivium_engine::Error::Data(_) => {
            Kind::FailedPrecondition
        }
        trivium_engine::Error::Unsupported { .. } => Kind::Unimplemented,
        trivium_engine::Error::Source { .. } => Kind::NotFound,
        trivium_engine::Error::Malformed { .. } => Kind::InvalidArgument,
        trivium_engine::Error::Resources(_) => Kind::ResourceExhausted,
        trivium_engine::Error::Internal(_) => Kind::Internal,
    }
}

fn engine_help(error: &trivium_engine::Error) -> Option<&str> {
    match error {
        trivium_engine::Error::Unsupported { help, .. } => Some(help),
        trivium_engine::Error::Malformed { .. } => Some(MALFORMED_HELP),
        _ => None,
    }
}

const fn store_kind(error: &trivium_store::Error) -> Kind {
    match error {
        trivium_store::Error::Invalid(_) => Kind::InvalidArgument,
        trivium_store::Error::Throttled(_) => Kind::ResourceExhausted,
        trivium_store::Error::Unavailable(_) | trivium_store::Error::Failed(_) => Kind::Unavailable,
        trivium_store::Error::Unknown(_) => Kind::DeadlineExceeded,
        trivium_store::Error::Corrupt(_) => Kind::DataLoss,
    }
}

#[cfg(test)]
mod tests;
