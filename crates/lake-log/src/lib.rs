//! The history of stream views: rows in files, and a log of which files count.
//!
//! ```text
//! <root>/<namespace>/<view>/v<N>/_commits/00000000000000000042.json             a commit
//! <root>/<namespace>/<view>/v<N>/_commits/00000000000000000064.checkpoint.json  what the log says after one
//! <root>/<namespace>/<view>/v<N>/ds=2026-11-23/<id>.parquet                     rows of a day
//! ```
//!
//! **The atomic step** is the hard link that gives a commit its number: it fails where another writer has
//! the number. A commit names the files that count from now on and, in the same step, how far each source's
//! messages have become rows; it says where each source stood before, so of two writers that read the same
//! messages one is refused. So a message's rows are in the history once, whoever dies, and whoever else
//! believes that the messages are theirs. Files are durable before the commit that names them; the commit
//! before it has its number, and the number before the writer goes on.
//!
//! **A reader** takes the state after one commit, and reads the files that it names: always the same rows.
//!
//! **A crash leaves** files that no commit names, and a commit without a number. [`StreamLog::vacuum`]
//! *condemns* such files by a commit of its own before it deletes them: a writer that was only slow is
//! then refused, and begins again.
//!
//! **Old commits** are deleted some time after a checkpoint that stands for them. A writer that slept for so
//! long finds its number free; it looks for a newer checkpoint after it has linked, and finds that it has
//! lost. Nobody reads commits below a checkpoint.
//!
//! Knows no broker, no engine, no clock: the time is given to it.

mod compact;
mod error;
mod files;
mod log;
mod shape;
mod state;
pub mod types;
mod vacuum;

pub use compact::CompactOptions;
pub use error::Error;
pub use log::{Outcome, StreamLog};
pub use shape::{DELETED_COLUMN, HistoryRow, SEQUENCE_COLUMN, Shape};
pub use state::{Advance, Change, FileEntry, State};
pub use vacuum::{VacuumOptions, Vacuumed};

#[cfg(test)]
mod tests;
