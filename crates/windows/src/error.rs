//! Why a step cannot be taken.

/// Why a step cannot be taken. Nothing of it has happened then.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The store of the state does not answer.
    #[error("the windows' state cannot be read: {0}")]
    State(String),
    /// What stands in the state was not written by this code.
    #[error("the windows' state is spoiled: {0}")]
    Corrupt(String),
    /// It is the state of other windows.
    #[error("the state belongs to other windows than the view declares now")]
    OtherDeclaration,
}

impl Error {
    pub(crate) fn corrupt(what: impl std::fmt::Display) -> Self {
        Self::Corrupt(what.to_string())
    }
}
