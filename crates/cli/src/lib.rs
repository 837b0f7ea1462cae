//! The `trivium` command, and `trivium dev`: every part in one process.
//!
//! One file a verb. Verbs that ask or change definitions and rows speak REST, either over the
//! network (`--server`) or to the same router in this process, opened on the project's data: what
//! is printed is what a server would answer. Runs, materialization and training sets work on the
//! lake directly.

mod accepted;
mod args;
mod args_author;
mod args_dags;
mod args_dlq;
mod args_record;
mod args_search;
mod args_step;
mod args_streams;
mod catalog;
mod codes;
mod configs;
mod entity;
mod failure;
mod frame;
mod grpc;
mod grpc_search;
mod lineage;
mod lint;
mod openapi;
mod output;
mod parts;
mod project;
mod sources;
mod target;
mod verbs;
mod version_rule;

#[cfg(test)]
mod tests;

use std::{ffi::OsString, process::ExitCode};

use clap::{CommandFactory, Parser};
use trivium_api::ApiError;
use trivium_runtime::{
    Kind,
    telemetry::{LogFormat, init_logs},
};

use crate::failure::Failure;

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
        if !error.use_stderr() {
            output::written(error.print(), args::Output::Table);
            return ExitCode::SUCCESS;
        }
        // Nothing better can be done where standard error is closed.
        let _ = error.print();
        return ExitCode::from(Kind::InvalidArgument.exit());
    }
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let asks_json = |argument: &OsString| {
        ["json", "--output=json", "-ojson"].iter().any(|json| argument == json)
    };
    let json = arguments.iter().any(asks_json);
    let output = if json { args::Output::Json } else { args::Output::Table };
    if error.kind() == ErrorKind::InvalidUtf8 {
        return output::report(&not_utf8(&arguments), output);
    }
    // What clap says in paragraphs: the message, tips, the usage, a word about --help.
    let text = error.to_string();
    let line = |paragraph: &str| paragraph.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut paragraphs = text.split("\n\n").map(line).filter(|paragraph| !paragraph.is_empty());
    let message = paragraphs.next().unwrap_or_default();
    let mut message = message.strip_prefix("error: ").unwrap_or(&message).to_owned();
    let mut help: Vec<String> = paragraphs
        .filter(|paragraph| !paragraph.starts_with("For more information"))
        .map(|paragraph| paragraph.replace("Usage: ", "usage: ").replace("tip: ", ""))
        .collect();
    if error.kind() == ErrorKind::ValueValidation
        && let Some((wrong, write)) = message.split_once(": write ")
    {
        // Our own parsers say what to do, and clap what is wrong.
        help.insert(0, format!("write {write}"));
        message = wrong.to_owned();
    }
    if help.is_empty() {
        let command = Cli::command();
        let mut verbs = command.get_subcommands().map(clap::Command::get_name);
        let verb = verbs.find(|verb| arguments.iter().any(|argument| argument == verb));
        help.push(format!("`trivium help {}` says what can be typed", verb.unwrap_or("VERB")));
    }
    output::report(&ApiError::invalid(message).help(help.join("; ")).into(), output)
}

/// Which argument is no text. Paths may be any bytes; everything else is UTF-8.
fn not_utf8(arguments: &[OsString]) -> Failure {
    let argument = arguments.iter().skip(1).find(|argument| argument.to_str().is_none());
    match argument {
        Some(argument) => ApiError::invalid("an argument is not UTF-8 text")
            .at(argument.to_string_lossy())
            .help("names, keys and values are UTF-8: type it anew, or convert it"),
        None => ApiError::invalid("an environment variable of Trivium's is not UTF-8 text")
            .help("look at the variables that begin with TRIVIUM_"),
    }
    .into()
}
