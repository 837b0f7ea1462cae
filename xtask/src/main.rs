//! Repository chores: `cargo run -p xtask -- <chore>`.

use std::path::Path;

use anyhow::{Context, Result, bail};

const USAGE: &str = "usage: cargo run -p xtask -- codegen [--check]";

fn main() -> Result<()> {
    let root =
        Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("xtask has no parent folder")?;
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["codegen"] => xtask::codegen::run(root, false),
        ["codegen", "--check"] => xtask::codegen::run(root, true),
        _ => bail!(USAGE),
    }
}
