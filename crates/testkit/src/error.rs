//! Why a server could not be had.

use std::{fmt, io};

/// What went wrong, in words for whoever runs the tests.
#[derive(Debug)]
pub struct Error(String);

impl Error {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
    pub(crate) fn io(doing: &str, error: &io::Error) -> Self {
        Self(format!("{doing}: {error}"))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Error {}
