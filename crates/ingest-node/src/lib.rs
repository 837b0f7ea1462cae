//! The `trivium-ingest` command: a worker that brings streams' messages to serving. Any number of
//! workers share the partitions of a group; each can be killed at any moment. This crate wires parts
//! together; what they do is theirs.

mod admin;
mod args;
mod config;
mod history;
pub mod letters;
mod run;
mod schema_registry;
mod windows;
mod worker;

use std::process::ExitCode;

use clap::Parser as _;
use trivium_api::ApiError;
use trivium_node::command::{self, say};
use trivium_runtime::Kind;

use crate::args::{Cli, Verb};

pub use config::{Config, SAMPLE, Work};
pub use worker::Worker;

/// Parses the command line, does what it says, and turns a failure into an exit code.
pub fn main() -> ExitCode {
    match Cli::try_parse() {
        Ok(cli) => command::run(perform(cli)),
        Err(error) => {
            let _ = error.print();
            let is_wrong = error.use_stderr();
            ExitCode::from(if is_wrong { Kind::InvalidArgument.exit() } else { 0 })
        }
    }
}

async fn perform(cli: Cli) -> Result<(), ApiError> {
    match &cli.verb {
        None | Some(Verb::Run) => run::run(cli.config()?).await,
        Some(Verb::SampleConfig) => say(SAMPLE.trim_end()),
    }
}
