//! What this crate can fail with.

use std::path::{Path, PathBuf};

/// An error of a view's log or its files.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Files cannot be read or written: tried again later, it may work.
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
    /// What is there is not what was written there.
    #[error("{path} is corrupt: {message}")]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// How it shows.
        message: String,
    },
    /// The view or a row has not the form that the files have.
    #[error("{0}")]
    Form(String),
    /// Arrow refused what this crate gave it: a fault of Trivium's.
    #[error("arrow: {0}")]
    Arrow(#[from] arrow::error::ArrowError),
    /// A test ended the writer here, as a crash would.
    #[cfg(test)]
    #[error("killed at {0}")]
    Killed(&'static str),
}

impl Error {
    pub(crate) fn io(
        doing: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { doing, path, source }
    }

    pub(crate) fn corrupt(path: &Path, message: impl ToString) -> Self {
        Self::Corrupt { path: path.to_owned(), message: message.to_string() }
    }

    pub(crate) fn parquet(
        doing: &'static str,
        path: &Path,
    ) -> impl FnOnce(parquet::errors::ParquetError) -> Self {
        let path = path.to_owned();
        move |error| Self::Io { doing, path, source: std::io::Error::other(error) }
    }
}
