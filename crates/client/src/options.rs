//! How to reach a server.

use std::{fmt, time::Duration};

/// Limits of a connection, and who calls.
#[derive(Clone, PartialEq, Eq)]
pub struct Options {
    /// Sent with every call, where the server asks for one.
    pub api_key: Option<String>,
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
            api_key: None,
            connect_timeout: Duration::from_secs(5),
            request_timeout: Duration::from_secs(60),
            // Twice what serving answers with at most.
            response_bytes_max: 128 << 20,
        }
    }
}

/// Without the key itself.
impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("has_api_key", &self.api_key.is_some())
            .field("connect_timeout", &self.connect_timeout)
            .field("request_timeout", &self.request_timeout)
            .field("response_bytes_max", &self.response_bytes_max)
            .finish()
    }
}
