//! Why an index directory cannot be opened.

use std::path::PathBuf;

/// Opening failed; nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another process has it open.
    #[error(
        "the embedding directory {} is in use by another process; stop that one (a running `trivium dev`, for example), or choose another `--data-dir`",
        path.display()
    )]
    Locked {
        /// The directory.
        path: PathBuf,
    },
    /// A newer Trivium made it.
    #[error(
        "the embedding directory {} has layout {found}, this build knows layout {known}; use the Trivium that wrote it, or a newer one",
        path.display()
    )]
    Layout {
        /// The directory.
        path: PathBuf,
        /// What it says.
        found: String,
        /// What we know.
        known: &'static str,
    },
    /// What is stored is not what was written.
    #[error("the embedding directory {} is damaged: {what}; restore a copy or load it again", path.display())]
    Corrupt {
        /// The directory.
        path: PathBuf,
        /// Where and how.
        what: String,
    },
    /// The directory cannot be made or read.
    #[error("the embedding directory {} cannot be used; check that it exists and is writable", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The engine cannot read what is there.
    #[error("the embedding directory {} cannot be opened; if its files are damaged, restore a copy or load it again", path.display())]
    Engine {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: fjall::Error,
    },
}
