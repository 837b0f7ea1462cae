//! `trivium completions`

use clap::CommandFactory;

use crate::{
    args::{Cli, CompletionsArgs, Output},
    output,
};

/// Prints the script.
pub fn run(args: &CompletionsArgs) {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "trivium", &mut script);
    output::bytes_as(Output::Table, &script);
}
