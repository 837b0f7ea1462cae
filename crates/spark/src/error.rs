//! What can fail around a job.

use std::path::{Path, PathBuf};

use trivium_runtime::Kind;

/// An error of the Spark side.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The lake, the config or the rows say no.
    #[error(transparent)]
    Offline(#[from] trivium_offline::Error),
    /// The job has not been run to its end.
    #[error("{job} has no result: the Spark job did not run to its end")]
    NotDone {
        /// The job's file.
        job: PathBuf,
    },
    /// A file cannot be read or written.
    #[error("cannot {doing} {path}")]
    Io {
        /// What was tried.
        doing: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A file is not what was written there.
    #[error("{path} is not what was written there: {message}")]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// How it shows.
        message: String,
    },
    /// The request can never work.
    #[error("{message}")]
    Invalid {
        /// What is wrong.
        message: String,
        /// What to do.
        help: String,
    },
    /// Spark ended with an error.
    #[error("{job}: spark-submit ended with {status}: {last}")]
    Failed {
        /// The job's name.
        job: String,
        /// How it ended.
        status: String,
        /// The last that it said.
        last: String,
    },
}

impl Error {
    pub(crate) fn io<'a>(
        doing: &'static str,
        path: &'a Path,
    ) -> impl FnOnce(std::io::Error) -> Self + use<'a> {
        move |source| Self::Io { doing, path: path.to_owned(), source }
    }

    pub(crate) fn corrupt(path: &Path, message: impl ToString) -> Self {
        Self::Corrupt { path: path.to_owned(), message: message.to_string() }
    }

    /// The row of the error table.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Offline(error) => error.kind(),
            Self::Invalid { .. } => Kind::InvalidArgument,
            Self::Corrupt { .. } => Kind::DataLoss,
            Self::Io { .. } => Kind::Internal,
            Self::NotDone { .. } => Kind::Unavailable,
            Self::Failed { .. } => Kind::FailedPrecondition,
        }
    }

    /// What to do, if that can be said.
    pub fn help(&self) -> &str {
        match self {
            Self::Invalid { help, .. } => help,
            Self::NotDone { .. } => "run the Spark task again",
            Self::Corrupt { .. } => "begin the run again",
            Self::Failed { .. } => "Spark's own output above says why",
            Self::Offline(_) | Self::Io { .. } => "",
        }
    }
}
