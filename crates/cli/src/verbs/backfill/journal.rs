//! Which periods a backfill has finished: one file for each view, range and definition, a line of
//! JSON a period.
//!
//! A line is written after its period's partitions are durable and names the raw rows' hash, and
//! whoever reads it holds that against the lake: a line too few makes a period run again (which
//! changes nothing), a line too many cannot be. A kill leaves at most half a line at the end, which
//! the next backfill cuts off. The file is locked while a backfill runs.

use std::{
    collections::BTreeMap,
    fs::{self, File, TryLockError},
    io::{ErrorKind, Write},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use trivium_api::ApiError;
use trivium_runtime::Kind;

use crate::failure::{self, Failure};

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
enum Line {
    Done { period: String, raw_sha256: String },
    Complete { complete: bool },
    Again { again: bool },
}

/// What a journal says.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Finished {
    /// Finished periods, by folder: the hash of their raw rows.
    pub periods: BTreeMap<String, String>,
    /// Whether the backfill came to its end, what is behind the range included.
    pub is_complete: bool,
    /// Whether it was begun by `--again`.
    pub is_again: bool,
    /// How many bytes are whole lines.
    whole: u64,
}

impl Finished {
    /// Reads a journal; an empty one where there is none.
    pub fn read(path: &Path) -> Result<Self, Failure> {
        let damaged = |message: String| -> Failure {
            ApiError::new(Kind::DataLoss, message)
                .at(path.display().to_string())
                .help("remove the journal: the periods are run again")
                .into()
        };
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) if error.kind() == ErrorKind::InvalidData => {
                return Err(damaged("the journal is no UTF-8 text".to_owned()));
            }
            Err(error) => return Err(failure::file(path, &error)),
        };
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        let mut finished = Self { whole: whole as u64, ..Self::default() };
        for line in text.get(..whole).unwrap_or_default().lines() {
            match serde_json::from_str(line) {
                Ok(Line::Done { period, raw_sha256 }) => {
                    finished.periods.insert(period, raw_sha256);
                }
                Ok(Line::Complete { complete }) => finished.is_complete = complete,
                Ok(Line::Again { again }) => finished.is_again = again,
                Err(error) => return Err(damaged(error.to_string())),
            }
        }
        Ok(finished)
    }
}

/// A journal that is written.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: File,
}

impl Journal {
    /// Opens the journal behind its last whole line, or begins it anew (`--again`). Fails at once where another
    /// backfill of the same has it.
    pub fn open(path: &Path, is_new: bool) -> Result<Self, Failure> {
        let failed = |error: std::io::Error| failure::file(path, &error);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(|error| failure::file(folder, &error))?;
        }
        let file = File::options().create(true).append(true).open(path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(ApiError::new(
                    Kind::FailedPrecondition,
                    "the same backfill is under way in another process",
                )
                .at(path.display().to_string())
                .help("wait for it to end")
                .into());
            }
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        // Under the lock: what was read for the plan may have grown since.
        let before = if is_new { Finished::default() } else { Finished::read(path)? };
        file.set_len(before.whole).map_err(failed)?;
        let mut journal = Self { path: path.to_owned(), file };
        if is_new {
            journal.write(&Line::Again { again: true })?;
        }
        if before.is_complete {
            // Something was found wanting: it ends anew.
            journal.write(&Line::Complete { complete: false })?;
        }
        Ok(journal)
    }

    /// A period is durable.
    pub fn note(&mut self, period: &str, raw_sha256: &str) -> Result<(), Failure> {
        self.write(&Line::Done { period: period.to_owned(), raw_sha256: raw_sha256.to_owned() })
    }

    /// All is.
    pub fn complete(&mut self) -> Result<(), Failure> {
        self.write(&Line::Complete { complete: true })
    }

    fn write(&mut self, line: &Line) -> Result<(), Failure> {
        let mut text = serde_json::to_vec(line)
            .map_err(|error| ApiError::internal(format!("a line of the journal: {error}")))?;
        text.push(b'\n');
        self.file.write_all(&text).map_err(|error| failure::file(&self.path, &error))
    }
}
