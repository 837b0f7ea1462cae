//! What can be typed.

use std::path::PathBuf;

use clap::{Parser, Subcommand};
use trivium_api::ApiError;

use crate::Config;

/// Brings streams' messages to serving: `trivium-ingest --config ingest.toml`.
#[derive(Debug, Parser)]
#[command(
    name = "trivium-ingest",
    version,
    after_help = "Every field of the config: docs/streams.md"
)]
pub struct Cli {
    /// The config file. Every field of it can be set by TRIVIUM_INGEST_<SECTION>_<FIELD> too.
    #[arg(long, global = true, value_name = "FILE", env = "TRIVIUM_INGEST_CONFIG")]
    config: Option<PathBuf>,
    /// What to do; work, where it is left out.
    #[command(subcommand)]
    pub verb: Option<Verb>,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Work until SIGTERM or Ctrl-C (the same as no verb).
    Run,
    /// Print a config with every field and what it means.
    SampleConfig,
}

impl Cli {
    /// The config, read and checked.
    pub fn config(&self) -> Result<Config, ApiError> {
        let Some(file) = &self.config else {
            return Err(ApiError::invalid("no config is named").at("--config").help(
                "name one; `trivium-ingest sample-config > ingest.toml` writes one to begin with",
            ));
        };
        Config::read(file)
    }
}
