//! What can fail.

use std::path::{Path, PathBuf};

use trivium_model::Diagnostic;
use trivium_runtime::Kind;

/// An error of the generator.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or folder cannot be read or written.
    #[error("cannot {doing} {path}: {source}")]
    Io {
        /// What was tried.
        doing: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// What somebody wrote cannot be.
    #[error("{place}: {message}; {help}")]
    Invalid {
        /// The file, line and field.
        place: String,
        /// What is wrong.
        message: String,
        /// What to do.
        help: String,
    },
    /// The configs are wrong.
    #[error("the configs have errors")]
    Findings(Vec<Diagnostic>),
    /// There is no Flink, or no Java.
    #[error("{message}; {help}")]
    Missing {
        /// What is not there.
        message: String,
        /// What to do.
        help: String,
    },
    /// Flink refused the job, or the job failed.
    #[error("{0}")]
    Flink(String),
    /// A fault of Trivium's.
    #[error("{0}")]
    Internal(String),
}

impl Error {
    pub(crate) fn io<'a>(
        doing: &'static str,
        path: &'a Path,
    ) -> impl FnOnce(std::io::Error) -> Self + use<'a> {
        move |source| Self::Io { doing, path: path.to_owned(), source }
    }

    /// The row of the error table.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Io { source, .. } => match source.kind() {
                std::io::ErrorKind::NotFound => Kind::NotFound,
                std::io::ErrorKind::PermissionDenied => Kind::PermissionDenied,
                std::io::ErrorKind::StorageFull => Kind::ResourceExhausted,
                // Something else stands where a file or a folder of ours belongs.
                std::io::ErrorKind::NotADirectory | std::io::ErrorKind::IsADirectory => {
                    Kind::FailedPrecondition
                }
                _ => Kind::Internal,
            },
            Self::Invalid { .. } | Self::Findings(_) => Kind::InvalidArgument,
            Self::Missing { .. } | Self::Flink(_) => Kind::FailedPrecondition,
            Self::Internal(_) => Kind::Internal,
        }
    }
}
