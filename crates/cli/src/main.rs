//! The `trivium` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    trivium_cli::main()
}
