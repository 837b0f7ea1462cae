//! What a store can fail with, split by what the caller would do.

/// A store's error. One row's error never stands for another row.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// The request can never work (too large, malformed); do not retry.
    #[error("invalid request to the store: {0}")]
    Invalid(String),
    /// The store asks for less traffic; retry later, with jitter.
    #[error("the store is throttling: {0}")]
    Throttled(String),
    /// The store cannot be reached or is not ready; retry. A write was certainly not applied.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
    /// No answer in time. For a write: whether it was applied is unknown.
    #[error("the store did not answer in time: {0}")]
    Unknown(String),
    /// The store cannot go on: nothing was written, and nothing will be until it is opened again.
    #[error("the store has failed: {0}")]
    Failed(String),
    /// Stored bytes are not what was written.
    #[error("stored data is corrupt: {0}")]
    Corrupt(String),
}

impl Error {
    /// Whether the same call may succeed later.
    pub const fn is_retryable(&self) -> bool {
        match self {
            Self::Throttled(_) | Self::Unavailable(_) | Self::Unknown(_) => true,
            Self::Invalid(_) | Self::Failed(_) | Self::Corrupt(_) => false,
        }
    }
}
