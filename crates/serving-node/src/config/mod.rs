//! The node's config: a TOML file, and the environment over it.

mod document;

#[cfg(test)]
mod tests;

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use trivium_api::{ApiError, ServeOptions};
use trivium_model::Timestamp;
use trivium_node::{Program, RegistrySource};
use trivium_runtime::{Clock, FixedClock, SystemClock, telemetry::LogFormat};

use document::{Document, FIELDS};

/// A config with every field, as `trivium-serving sample-config` prints it.
pub const SAMPLE: &str = include_str!("../../serving.toml");

/// What the config is called, and what it may say.
pub(crate) const PROGRAM: Program = Program {
    name: "trivium-serving",
    prefix: "TRIVIUM_SERVING_",
    page: "docs/serving.md",
    fields: FIELDS,
};

/// What a node is told, checked.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where REST is served (and gRPC too).
    pub http: SocketAddr,
    /// Where gRPC is served.
    pub grpc: SocketAddr,
    /// How long `/readyz` says no before the intake stops.
    pub announce: Duration,
    /// Where definitions come from.
    pub registry: RegistrySource,
    /// The table.
    pub dynamodb: trivium_store_dynamodb::Options,
    /// The cache; `None`: rows are read from the table alone.
    pub valkey: Option<trivium_cache_valkey::Options>,
    /// The index of embeddings; `None`: embeddings stand in the rows, and nothing is searched.
    pub opensearch: Option<trivium_index_opensearch::Options>,
    /// When leftovers are removed from it.
    pub sweep: trivium_serving::SweepOptions,
    /// How nodes share the cache.
    pub coherence: trivium_coherence::Options,
    /// Bytes of in-process copies of rows, for reads that allow some staleness.
    pub near_bytes_max: u64,
    /// Limits of requests.
    pub serving: trivium_serving::Options,
    /// Limits of connections.
    pub serve: ServeOptions,
    /// Who may call.
    pub keys: Option<Keys>,
    /// The instant that the data clock stands at, if it is fixed.
    pub data_clock: Option<Timestamp>,
    /// How log lines look.
    pub log: LogFormat,
    /// Where spans go, and which.
    pub traces: trivium_traces::Options,
}

/// Who may call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keys {
    /// The file of keys.
    pub file: PathBuf,
    /// How often it is looked at.
    pub reload: Duration,
}

impl Config {
    /// Reads the file, and the environment over it.
    pub fn read(file: &Path) -> Result<Self, ApiError> {
        let text = PROGRAM.text(file)?;
        Self::parse(file, &text, std::env::vars_os())
    }

    /// Reads a text, and variables over it.
    fn parse(
        file: &Path,
        text: &str,
        variables: impl Iterator<Item = (std::ffi::OsString, std::ffi::OsString)>,
    ) -> Result<Self, ApiError> {
        PROGRAM.parse::<Document>(file, text, variables)?.check(file)
    }

    /// The clock of ttl and default event times.
    pub fn data_clock(&self) -> Arc<dyn Clock> {
        match self.data_clock {
            Some(instant) => Arc::new(FixedClock(instant.0)),
            None => Arc::new(SystemClock),
        }
    }
}
