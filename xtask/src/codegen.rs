//! `cargo run -p xtask -- codegen [--check]`: the protobuf contract as checked-in Rust code.
//!
//! No `protoc` is needed: protox parses `proto/`. The output is checked in, so that building
//! Trivium generates nothing; `--check` fails where it differs from what the contract gives.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};

/// Where the contract is, from the repository's root.
const PROTO_DIR: &str = "proto";
/// Where the generated code is, from the repository's root.
const GENERATED_DIR: &str = "crates/proto/src/gen";
/// The descriptors, for gRPC reflection.
const DESCRIPTOR_FILE: &str = "trivium.v1.descriptor.bin";

/// Generates, or (`check`) compares with what is checked in.
pub fn run(root: &Path, check: bool) -> Result<()> {
    // Outside of the tree: a check must leave nothing in it, even if it is killed.
    let scratch = std::env::temp_dir().join(format!("trivium-codegen-{}", std::process::id()));
    if scratch.exists() {
        fs::remove_dir_all(&scratch)?;
    }
    fs::create_dir_all(&scratch)?;
    let outcome = generate(root, &scratch).and_then(|()| {
        if check {
            compare(&scratch, &root.join(GENERATED_DIR))
        } else {
            adopt(&scratch, &root.join(GENERATED_DIR))
        }
    });
    fs::remove_dir_all(&scratch)?;
    outcome
}

/// Writes the generated files into `out`.
fn generate(root: &Path, out: &Path) -> Result<()> {
    let proto = root.join(PROTO_DIR);
    let mut files = Vec::new();
    collect(&proto, &mut files)?;
    files.sort();
    let mut compiler = protox::Compiler::new([&proto])?;
    compiler.include_source_info(true).include_imports(true);
    compiler.open_files(&files).context("the contract in proto/ does not compile")?;
    // Reflection and code need the definitions; comments in the descriptors only help the code.
    let with_comments = compiler.file_descriptor_set();
    tonic_prost_build::configure()
        .out_dir(out)
        .bytes(".")
        .btree_map(".")
        .compile_fds(with_comments)
        .context("generating code")?;
    let mut bare = protox::Compiler::new([&proto])?;
    bare.include_source_info(false).include_imports(true);
    bare.open_files(&files)?;
    fs::write(out.join(DESCRIPTOR_FILE), bare.encode_file_descriptor_set())?;
    for path in listed(out)? {
        let path = out.join(path);
        if path.extension().is_some_and(|extension| extension == "rs") {
            format(root, &path)?;
        }
    }
    Ok(())
}

/// The house format, so that `cargo fmt` and the generator never disagree.
fn format(root: &Path, path: &Path) -> Result<()> {
    let status = std::process::Command::new("rustfmt")
        .args(["--edition", "2024", "--config-path"])
        .arg(root.join("rustfmt.toml"))
        .arg(path)
        .status()
        .context("rustfmt cannot be started: install it with `rustup component add rustfmt`")?;
    if !status.success() {
        bail!("rustfmt failed on {}", path.display());
    }
    Ok(())
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "proto") {
            files.push(path);
        }
    }
    Ok(())
}

/// File names in a folder, sorted.
fn listed(folder: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    names.sort();
    Ok(names)
}

fn compare(new: &Path, old: &Path) -> Result<()> {
    let (new_names, old_names) = (listed(new)?, listed(old)?);
    if new_names != old_names {
        bail!(
            "{GENERATED_DIR} holds {old_names:?} but proto/ gives {new_names:?}: run `make codegen`"
        );
    }
    for name in new_names {
        if fs::read(new.join(&name))? != fs::read(old.join(&name))? {
            bail!("{GENERATED_DIR}/{name} is not what proto/ gives: run `make codegen`");
        }
    }
    Ok(())
}

fn adopt(new: &Path, old: &Path) -> Result<()> {
    for name in listed(old)? {
        fs::remove_file(old.join(name))?;
    }
    for name in listed(new)? {
        // Not a rename: the two may be on different file systems.
        fs::copy(new.join(&name), old.join(&name))?;
        println!("wrote {GENERATED_DIR}/{name}");
    }
    Ok(())
}
