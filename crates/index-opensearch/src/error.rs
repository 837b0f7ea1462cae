//! Why the adapter cannot be made.

/// Nothing was asked of OpenSearch yet.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An option that cannot work.
    #[error("the OpenSearch option `{option}` cannot work: {why}")]
    Option {
        /// Which.
        option: &'static str,
        /// Why, and what would.
        why: String,
    },
    /// The client cannot be made.
    #[error("no OpenSearch client can be made here: {0}")]
    Client(String),
}
