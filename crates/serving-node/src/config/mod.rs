//! The node's config: a TOML file, and the environment over it.

mod document;
mod environment;

#[cfg(test)]
mod tests;

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use trivium_api::{ApiError, ServeOptions};
use trivium_model::{LineIndex, Timestamp};
use trivium_runtime::{Clock, FixedClock, Kind, SystemClock, telemetry::LogFormat};

use document::Document;

/// A config with every field, as `trivium-serving sample-config` prints it.
pub const SAMPLE: &str = include_str!("../../serving.toml");

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
    pub registry: RegistryAddress,
    /// How often the registry is asked.
    pub poll_ms: u64,
    /// Where the last definitions are kept.
    pub state_file: Option<PathBuf>,
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

/// Where definitions come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RegistryAddress {
    /// A registry's database file.
    Sqlite(PathBuf),
    /// A running registry.
    Http(String),
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
        let text = std::fs::read_to_string(file).map_err(|error| {
            let kind = match error.kind() {
                std::io::ErrorKind::NotFound => Kind::NotFound,
                // No text is no config.
                std::io::ErrorKind::InvalidData => Kind::InvalidArgument,
                _ => Kind::FailedPrecondition,
            };
            ApiError::new(kind, format!("the config cannot be read: {error}"))
                .at(file.display().to_string())
                .help("`trivium-serving sample-config` prints one to begin with")
        })?;
        Self::parse(file, &text, std::env::vars_os())
    }

    /// Reads a text, and variables over it.
    fn parse(
        file: &Path,
        text: &str,
        variables: impl Iterator<Item = (std::ffi::OsString, std::ffi::OsString)>,
    ) -> Result<Self, ApiError> {
        let overrides = environment::overrides(variables)?;
        let document = if overrides.is_empty() {
            toml::from_str::<Document>(text).map_err(|error| wrong_text(file, text, &error))?
        } else {
            let table = toml::from_str::<toml::Table>(text);
            let mut table = table.map_err(|error| wrong_text(file, text, &error))?;
            environment::apply(&mut table, overrides);
            table.try_into::<Document>().map_err(|error| {
                // A mistake of the text that no variable mends has its place in the text.
                match toml::from_str::<Document>(text) {
                    Err(own) if own.message() == error.message() => wrong_text(file, text, &own),
                    _ => ApiError::invalid(one_line(error.message()))
                        .at(format!("{}, with TRIVIUM_SERVING_… over it", file.display()))
                        .help("correct the file, or the variable"),
                }
            })?
        };
        document.check(file)
    }

    /// The clock of ttl and default event times.
    pub fn data_clock(&self) -> Arc<dyn Clock> {
        match self.data_clock {
            Some(instant) => Arc::new(FixedClock(instant.0)),
            None => Arc::new(SystemClock),
        }
    }
}

fn wrong_text(file: &Path, text: &str, error: &toml::de::Error) -> ApiError {
    let place = match error.span() {
        Some(span) => {
            let (line, column) = LineIndex::new(text).position(span.start);
            format!("{}:{line}:{column}", file.display())
        }
        None => file.display().to_string(),
    };
    ApiError::invalid(one_line(error.message()))
        .at(place)
        .help("correct the config; docs/serving.md lists every field")
}

fn one_line(message: &str) -> String {
    message.trim().replace('\n', ", ")
}
