//! Why a store cannot be opened.

use std::path::PathBuf;

/// Opening failed; nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another process has it open.
    #[error(
        "the data directory {} is in use by another process; stop that one (a running `trivium dev`, for example), write through it with `--server`, or choose another `--data-dir`",
        path.display()
    )]
    Locked {
        /// The store's directory.
        path: PathBuf,
    },
    /// A newer Trivium made it.
    #[error(
        "the data directory {} has layout {found}, this build knows layout {known}; use the Trivium that wrote it, or a newer one",
        path.display()
    )]
    Layout {
        /// The store's directory.
        path: PathBuf,
        /// What it says.
        found: String,
        /// What we know.
        known: &'static str,
    },
    /// An option that cannot work.
    #[error("the embedded store's option `{option}` cannot work: {why}")]
    Option {
        /// Which.
        option: &'static str,
        /// Why, and what would.
        why: String,
    },
    /// The directory cannot be made or read.
    #[error("the data directory {} cannot be used; check that it is writable and that its disk has room", path.display())]
    Directory {
        /// The store's directory.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The engine cannot read what is there.
    #[error("the data directory {} cannot be opened; if its files are damaged, restore a copy or load it again", path.display())]
    Engine {
        /// The store's directory.
        path: PathBuf,
        /// Why.
        source: fjall::Error,
    },
}
