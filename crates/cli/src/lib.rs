//! The `trivium` command, and `trivium dev`: every part in one process.
//!
//! One file a verb. Verbs that ask or change definitions and rows speak REST, either over the
//! network (`--server`) or to the same router in this process, opened on the project's data: what
//! is printed is what a server would answer. Runs, materialization and training sets work on the
//! lake directly.

mod args;
mod catalog;
mod configs;
mod entity;
mod failure;
mod grpc;
mod openapi;
mod output;
mod parts;
mod project;
mod target;
mod verbs;

#[cfg(test)]
mod tests;

use std::process::ExitCode;

use clap::Parser;
use trivium_api::ApiError;
use trivium_runtime::{
    Kind,
    telemetry::{LogFormat, init_logs},
};

pub use args::Cli;

/// Parses the command line, runs the verb, and turns its failure into an exit code.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return refused(&error),
    };
    init_logs("warn", LogFormat::Text);
    let output = cli.global.output;
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return output::report(&failure::io("the runtime", &error), output),
    };
    let outcome = runtime.block_on(verbs::run(cli));
    // Reads of files that were cut short (Ctrl-C) must not hold the exit.
    runtime.shutdown_background();
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => output::report(&error, output),
    }
}

/// Help and version go to standard output; what cannot be parsed is an error like all others.
fn refused(error: &clap::Error) -> ExitCode {
    use clap::error::ErrorKind;
    let shows_help = matches!(
        error.kind(),
        ErrorKind::DisplayHelp
            | ErrorKind::DisplayVersion
            | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
    );
    if shows_help {
        // A closed standard output (`| head`) is nothing to fail for.
        let _ = error.print();
        return ExitCode::from(u8::from(error.use_stderr()) * Kind::InvalidArgument.exit());
    }
    // What clap says in paragraphs: the message, tips, the usage, a word about --help.
    let text = error.to_string();
    let line = |paragraph: &str| paragraph.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut paragraphs = text.split("\n\n").map(line).filter(|paragraph| !paragraph.is_empty());
    let message = paragraphs.next().unwrap_or_default();
    let message = message.strip_prefix("error: ").unwrap_or(&message).to_owned();
    let help: Vec<String> = paragraphs
        .filter(|paragraph| !paragraph.starts_with("For more information"))
        .map(|paragraph| paragraph.replace("Usage: ", "usage: ").replace("tip: ", ""))
        .collect();
    let json = std::env::args()
        .any(|argument| matches!(argument.as_str(), "json" | "--output=json" | "-ojson"));
    let output = if json { args::Output::Json } else { args::Output::Table };
    output::report(&ApiError::invalid(message).help(help.join("; ")).into(), output)
}
