//! What can be set.

use serde::{Deserialize, Serialize};

use crate::{ErasureOptions, limits};

/// Options of serving.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// How long the store may take for one request, in milliseconds.
    pub store_time_ms_max: u64,
    /// How far an event time may lie after the data clock, in microseconds.
    pub future_micros_max: i64,
    /// Requests under way at once; more are refused.
    pub requests_under_way_max: usize,
    /// Of erasures.
    pub erasure: ErasureOptions,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            store_time_ms_max: 10_000,
            future_micros_max: limits::FUTURE_MICROS_MAX,
            requests_under_way_max: limits::REQUESTS_UNDER_WAY_MAX,
            erasure: ErasureOptions::default(),
        }
    }
}
