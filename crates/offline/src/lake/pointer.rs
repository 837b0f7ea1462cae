//! `_current.json`: which run of a partition counts, and what is known of its rows.

use serde::{Deserialize, Serialize};
use trivium_model::{ColumnStatistics, Timestamp};

use crate::quality::CheckResult;

/// The pointer's format; a reader refuses others.
const FORMAT: u32 = 1;

/// What `_current.json` holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Pointer {
    /// 1.
    pub format: u32,
    /// The folder of the run, beside the pointer.
    pub run: String,
    /// Its files with rows.
    pub files: Vec<String>,
    /// Its file with rows that earlier revisions said and this one does not, if there are any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retired: Option<String>,
    /// The run that this one replaced; its folder stays until the next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaced_run: Option<String>,
    /// Rows in all files.
    pub rows: u64,
    /// SHA-256 over the rows in canonical order.
    pub content_hash: String,
    /// The partition's revision: 1, and one more with each change of its rows.
    pub sequence: u64,
    /// Where the revisions began; pointers of older releases lack it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
    /// First instant of the period.
    pub period_start_micros: Timestamp,
    /// First instant after the period.
    pub period_end_micros: Timestamp,
    /// Oldest event time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_time_min_micros: Option<Timestamp>,
    /// Newest event time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_time_max_micros: Option<Timestamp>,
    /// The files' columns.
    pub schema: Vec<PointerColumn>,
    /// The quality checks, for published partitions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub quality: Vec<CheckResult>,
    /// What is known of the columns of a published partition; pointers of older releases lack it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub statistics: Vec<ColumnStatistics>,
    /// What made it.
    pub source: RunSource,
}

/// The first revision of a partition in this lake. A lake that is made anew has others, and lists no
/// rows of the revisions before them as retired.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The run that made it, of which no other lake has one.
    pub run: String,
    /// The revision.
    pub revision: u64,
}

/// One column of a partition's files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PointerColumn {
    /// Its name.
    pub name: String,
    /// Its type, as Arrow words it.
    #[serde(rename = "type")]
    pub data_type: String,
}

/// What made a partition.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RunSource {
    /// SHA-256 of the author's SQL.
    pub sql_sha256: String,
    /// The engine: `datafusion`, `spark`.
    pub engine: String,
    /// Of a published partition: SHA-256 over the publish SQL and the raw partitions' hashes.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub inputs_sha256: String,
}

impl Pointer {
    /// Reads a pointer's text; refuses what would lead out of its folder.
    pub(super) fn parse(text: &[u8]) -> Result<Self, String> {
        let pointer: Self = serde_json::from_slice(text).map_err(|error| error.to_string())?;
        if pointer.format != FORMAT {
            return Err(format!("format {} is not known to this version", pointer.format));
        }
        let names = pointer.files.iter().chain(&pointer.retired).chain([&pointer.run]);
        for name in names {
            if name.is_empty() || name.starts_with('.') || name.contains(['/', '\\']) {
                return Err(format!("`{name}` is no plain file name"));
            }
        }
        Ok(pointer)
    }

    pub(super) const fn current_format() -> u32 {
        FORMAT
    }
}
