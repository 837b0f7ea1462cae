//! Why a cache cannot be used.

use trivium_store::CacheError;

/// Setting up, or looking at the servers, failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An option that cannot work.
    #[error("the Valkey cache's option `{option}` cannot work: {why}")]
    Option {
        /// Which.
        option: &'static str,
        /// Why, and what would.
        why: String,
    },
    /// A server is one that could lose or go back on what a cache of rows relies on.
    #[error("the Valkey server {run_id} cannot be used: {why}")]
    Server {
        /// What it calls itself.
        run_id: String,
        /// Why, and what to change.
        why: String,
    },
    /// The servers could not be asked.
    #[error("the Valkey cache could not be asked")]
    Cache {
        /// Why.
        #[from]
        source: CacheError,
    },
}
