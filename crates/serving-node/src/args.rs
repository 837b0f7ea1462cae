//! What can be typed.

use std::{num::NonZeroU32, path::PathBuf};

use clap::{Args, Parser, Subcommand};
use trivium_api::ApiError;

use crate::Config;

/// Serves features from DynamoDB, with Valkey in front: `trivium-serving --config serving.toml`.
#[derive(Debug, Parser)]
#[command(
    name = "trivium-serving",
    version,
    after_help = "Every field of the config: docs/serving.md"
)]
pub struct Cli {
    /// The config file. Every field of it can be set by TRIVIUM_SERVING_<SECTION>_<FIELD> too.
    #[arg(long, global = true, value_name = "FILE", env = "TRIVIUM_SERVING_CONFIG")]
    config: Option<PathBuf>,
    /// What to do; serve, where it is left out.
    #[command(subcommand)]
    pub verb: Option<Verb>,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Serve until SIGTERM or Ctrl-C (the same as no verb).
    Run,
    /// The stores that the config names.
    Stores {
        /// What to do with them.
        #[command(subcommand)]
        verb: StoresVerb,
    },
    /// API keys.
    Keys {
        /// What to do with them.
        #[command(subcommand)]
        verb: KeysVerb,
    },
    /// Print a config with every field and what it means.
    SampleConfig,
}

/// What can be done with stores.
#[derive(Debug, Subcommand)]
pub enum StoresVerb {
    /// Make the table with its index and expiry, if they are not there; look at Valkey.
    Init,
    /// Look whether the table and Valkey are as they must be.
    Check,
    /// Move rows to another table, or embeddings to another index, while nodes serve: docs/serving.md, "Replacing a store".
    Migrate {
        /// What to do.
        #[command(subcommand)]
        verb: MigrateVerb,
    },
}

/// The steps of replacing a table.
#[derive(Debug, Subcommand)]
pub enum MigrateVerb {
    /// Move all rows to the table of `dynamodb.moving_to`. Every node has that in its config by then. May be
    /// stopped, and goes on when it is run again.
    Start(Pace),
    /// Say how far it is.
    Status,
    /// Walk through both tables and say what has not moved, or differs.
    Verify,
    /// Verify, then let nodes run that know the new table alone.
    Finish,
    /// Move all rows back into `dynamodb.table`, from wherever they have got to.
    Back(Pace),
    /// Copy the embeddings into the indexes of `opensearch.moving_to`.
    Index {
        /// What to do.
        #[command(subcommand)]
        verb: IndexVerb,
    },
}

/// The steps of replacing an embedding index. What the table's `start`, `finish` and `back` record, the config
/// of the nodes says here: documents never change, so that nothing has to be handed over.
#[derive(Debug, Subcommand)]
pub enum IndexVerb {
    /// Copy all documents that are not there yet. Every node has `opensearch.moving_to` in its config by then.
    /// May be stopped, and run again.
    Copy(IndexPace),
    /// Compare the two, document by document; if all are there, `opensearch.moving_to.complete` may be set.
    Verify,
    /// Say whether it may.
    Status,
}

/// How fast documents are copied.
#[derive(Debug, Clone, Args)]
pub struct IndexPace {
    /// At most so many documents a second are looked at; as fast as it goes, where it is left out.
    #[arg(long, value_name = "N")]
    pub documents_per_second: Option<NonZeroU32>,
}

/// How fast rows move.
#[derive(Debug, Clone, Args)]
pub struct Pace {
    /// At most so many rows a second are looked at; as fast as it goes, where it is left out.
    #[arg(long, value_name = "N")]
    pub rows_per_second: Option<NonZeroU32>,
}

/// What can be done with keys.
#[derive(Debug, Subcommand)]
pub enum KeysVerb {
    /// Print a fresh key, and the line for the keys file.
    New {
        /// The caller's name, as metrics will show it.
        name: String,
    },
}

impl Cli {
    /// The config, read and checked.
    pub fn config(&self) -> Result<Config, ApiError> {
        let Some(file) = &self.config else {
            return Err(ApiError::invalid("no config is named").at("--config").help(
                "name one; `trivium-serving sample-config > serving.toml` writes one to begin with",
            ));
        };
        Config::read(file)
    }
}
