//! Options of the embedded store.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// What an acknowledged write survives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Durability {
    /// The death of the process, at any moment (`kill -9`, a panic, out of memory). A failure of
    /// the machine may lose the last seconds. No fsync on the way of a write.
    #[default]
    Process,
    /// The failure of the machine too: every acknowledgement waits for an fsync, which writes that
    /// come at the same time share.
    Power,
}

/// Where the store is, and what it may use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// Its directory; made if it is not there. One process at a time.
    pub path: PathBuf,
    /// What an acknowledged write survives.
    #[serde(default)]
    pub durability: Durability,
    /// Memory for decoded-ready rows, in bytes; reads of cached rows do not reach the engine.
    #[serde(default = "Options::default_row_cache_bytes")]
    pub row_cache_bytes: u64,
    /// Memory for the engine's blocks, in bytes.
    #[serde(default = "Options::default_block_cache_bytes")]
    pub block_cache_bytes: u64,
    /// Memory for rows that are in the journal but not yet in a table, in bytes: more means fewer,
    /// larger tables and a longer recovery.
    #[serde(default = "Options::default_write_buffer_bytes")]
    pub write_buffer_bytes: u64,
}

impl Options {
    /// The smallest write buffer that makes sense.
    pub const WRITE_BUFFER_BYTES_MIN: u64 = 1 << 20;

    /// A store in this directory, everything else by default.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            durability: Durability::default(),
            row_cache_bytes: Self::default_row_cache_bytes(),
            block_cache_bytes: Self::default_block_cache_bytes(),
            write_buffer_bytes: Self::default_write_buffer_bytes(),
        }
    }

    const fn default_row_cache_bytes() -> u64 {
        128 << 20
    }
    const fn default_block_cache_bytes() -> u64 {
        64 << 20
    }
    const fn default_write_buffer_bytes() -> u64 {
        64 << 20
    }
}
