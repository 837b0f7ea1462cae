//! The `trivium-streamgen` command.

use std::process::ExitCode;

use clap::Parser;
use trivium_streamgen::command::{Cli, run};

fn main() -> ExitCode {
    let cli = Cli::parse();
    ExitCode::from(run(&cli, &mut std::io::stdout().lock(), &mut std::io::stderr().lock()))
}
