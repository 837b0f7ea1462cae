//! The `trivium-daggen` command.

use std::{io::Write, process::ExitCode};

use clap::Parser;
use trivium_daggen::{
    Change,
    command::{Cli, GenerateArgs, Verb, generate, watch_for_ever},
};
use trivium_runtime::{Kind, telemetry};

fn main() -> ExitCode {
    match Cli::parse().verb {
        Verb::Generate(args) => run_generate(&args),
        Verb::Watch(args) => {
            telemetry::init_logs("info", telemetry::LogFormat::default());
            match watch_for_ever(&args) {
                Err(error) => refused(error.kind(), &error.to_string()),
            }
        }
    }
}

fn run_generate(args: &GenerateArgs) -> ExitCode {
    let outcome = match generate(args) {
        Ok(outcome) => outcome,
        Err(error) => return refused(error.kind(), &error.to_string()),
    };
    let mut out = std::io::stdout().lock();
    // Who closed the pipe does not want to know.
    for change in &outcome.changes {
        let sign = match change {
            Change::Add(_) => '+',
            Change::Remove(_) => '-',
            _ => '~',
        };
        let _ = writeln!(out, "{sign} {}", change.path());
    }
    let _ = writeln!(out, "{} DAGs, {} changes", outcome.dags, outcome.changes.len());
    for finding in &outcome.findings {
        let _ = writeln!(std::io::stderr(), "{finding}");
    }
    for change in &outcome.left {
        let why = match change {
            Change::Foreign(_) => "is not made by Trivium: move it away",
            _ => "was edited by hand: take the edit back, or use --force",
        };
        let _ =
            writeln!(std::io::stderr(), "{}: {why}", args.places.out.join(change.path()).display());
    }
    match outcome.kind(args.check) {
        None => ExitCode::SUCCESS,
        Some(kind) => ExitCode::from(kind.exit()),
    }
}

fn refused(kind: Kind, message: &str) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "error[{}]: {message}", kind.code());
    ExitCode::from(kind.exit())
}
