//! What can be set of erasures.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Options of erasures. The defaults suit a table whose index lags.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ErasureOptions {
    /// How far the index of subjects may lag behind the rows at worst, in milliseconds. 0 where it
    /// never does.
    pub index_lag_ms: u64,
    /// How long a call waits for the end, in milliseconds; then it answers with what was done so far.
    pub wait_ms_max: u64,
    /// How long an erasure belongs to the node that works on it, in milliseconds, after its last step.
    pub lease_ms: u64,
    /// How often each node looks for erasures that nobody works on, in milliseconds; random, around it.
    pub resume_every_ms: u64,
    /// Erasures that read and write rows on one node at a time; those that only wait are not counted.
    pub at_once_max: usize,
    /// Erasures that one node holds at a time, waiting ones too: of those that it was asked for and of those
    /// that others left behind, so many each. What is beyond is left to whoever has room.
    pub in_hand_max: usize,
}

impl Default for ErasureOptions {
    fn default() -> Self {
        Self {
            index_lag_ms: 60_000,
            wait_ms_max: 10_000,
            lease_ms: 30_000,
            resume_every_ms: 10_000,
            at_once_max: 4,
            in_hand_max: 512,
        }
    }
}

impl ErasureOptions {
    /// Where the index is written together with the rows.
    pub fn without_lag() -> Self {
        Self { index_lag_ms: 0, ..Self::default() }
    }
    pub(crate) const fn index_lag(&self) -> Duration {
        Duration::from_millis(self.index_lag_ms)
    }
    pub(crate) const fn wait(&self) -> Duration {
        Duration::from_millis(self.wait_ms_max)
    }
    pub(crate) const fn lease(&self) -> Duration {
        Duration::from_millis(self.lease_ms)
    }
    pub(crate) const fn resume_every(&self) -> Duration {
        Duration::from_millis(self.resume_every_ms)
    }
}
