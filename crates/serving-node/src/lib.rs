//! The `trivium-serving` command: a stateless serving node on DynamoDB, with Valkey in front if it is
//! configured. Any number of nodes serve the same table; each keeps what its reads promise.
//!
//! The node itself holds nothing that another one needs: rows are in the table, definitions in the
//! registry. What it keeps on disk, if it is told to, is the last definitions it saw, to start by
//! while the registry is away. This crate wires parts together; what they do is theirs.

mod args;
mod config;
mod index;
mod keys;
mod migrate;
mod mirror;
mod run;
mod store;

use std::process::ExitCode;

use clap::Parser as _;
use trivium_api::ApiError;
use trivium_node::command::{self, say};
use trivium_runtime::Kind;

use crate::args::{Cli, KeysVerb, StoresVerb, Verb};

pub use config::{Config, SAMPLE};
pub use run::run_with;

/// Parses the command line, does what it says, and turns a failure into an exit code.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            let is_wrong = error.use_stderr();
            return ExitCode::from(if is_wrong { Kind::InvalidArgument.exit() } else { 0 });
        }
    };
    command::run(perform(cli))
}

async fn perform(cli: Cli) -> Result<(), ApiError> {
    match &cli.verb {
        None | Some(Verb::Run) => run::run(cli.config()?).await,
        Some(Verb::Stores { verb }) => {
            let config = cli.config()?;
            match verb {
                StoresVerb::Init => say(&store::init(&config).await?),
                StoresVerb::Check => say(&store::check(&config).await?),
                StoresVerb::Migrate { verb } => migrate::run(&config, verb).await,
            }
        }
        Some(Verb::Keys { verb: KeysVerb::New { name } }) => say(&keys::new(name)?),
        Some(Verb::SampleConfig) => say(SAMPLE.trim_end()),
    }
}
