//! How to reach a server.

use std::time::Duration;

/// Limits of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// How long to wait for a connection.
    pub connect_timeout: Duration,
    /// How long to wait for an answer; streams: for its beginning.
    pub request_timeout: Duration,
    /// The largest answer that is taken, in bytes.
    pub response_bytes_max: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(5),
            request_timeout: Duration::from_secs(60),
            // Twice what serving answers with at most.
            response_bytes_max: 128 << 20,
        }
    }
}
