//! What is remembered of published partitions: kept beside the definitions, so that whoever knows
//! the way to the registry finds what a view's data are like, where they come from and who made them.
//!
//! Every revision of a partition that was the newest when it was recorded is kept for ever, with who
//! recorded it and when: the records are their own audit log. No revision of the definitions knows of
//! them.

use std::str::FromStr;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use trivium_model::{ColumnStatistics, Severity, Timestamp, ViewRef};

use crate::{Error, port::AUTHOR_BYTES_MAX};

/// The most records in one call.
pub const RECORDS_MAX: usize = 100;
/// The most records in one answer.
pub const PARTITIONS_LIMIT_MAX: u32 = 100;
/// The longest record, in bytes of its JSON: statistics of a thousand columns.
pub const RECORD_BYTES_MAX: usize = 1 << 20;
/// The longest name: an engine, a run.
const NAME_BYTES_MAX: usize = 256;

/// How one quality check of a partition ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CheckOutcome {
    /// The rule and its columns, as the config words it.
    pub check: String,
    /// What a failure does.
    pub severity: Severity,
    /// Whether it held.
    pub passed: bool,
    /// What was found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub found: Option<String>,
    /// What was asked for.
    pub expected: String,
}

/// A column of a table that a column of the view is calculated from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceColumn {
    /// The table, as the author's SQL names it; absent where the text does not tell which.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table: Option<String>,
    /// Its column; `*` where it may be any.
    pub column: String,
}

/// Where a column of the view comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ColumnLineage {
    /// The view's column.
    pub column: String,
    /// What it is calculated from.
    pub sources: Vec<SourceColumn>,
}

/// A published partition, as it is to be recorded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PartitionRecord {
    /// The view version.
    pub view: ViewRef,
    /// First instant of the period.
    pub start: Timestamp,
    /// First instant after it.
    pub end: Timestamp,
    /// The partition's revision, from 1: grows with each change of its rows.
    pub revision: u64,
    /// SHA-256 over its rows.
    pub content_hash: String,
    /// Rows.
    pub rows: u64,
    /// What ran the SQL.
    pub engine: String,
    /// SHA-256 of the author's SQL.
    pub sql_sha256: String,
    /// SHA-256 over what it was published from.
    pub inputs_sha256: String,
    /// The quality checks.
    pub quality: Vec<CheckOutcome>,
    /// Its columns.
    pub statistics: Vec<ColumnStatistics>,
    /// The tables that the SQL reads.
    pub tables: Vec<String>,
    /// Where its columns come from.
    pub lineage: Vec<ColumnLineage>,
    /// When its run began, if that is known.
    pub started: Option<Timestamp>,
    /// When it was published.
    pub finished: Timestamp,
    /// The run that made it, as its scheduler or the lake names it.
    pub run: String,
}

/// A record, by whom and when.
#[derive(Debug, Clone, PartialEq)]
pub struct Recorded {
    /// What.
    pub partition: PartitionRecord,
    /// Who recorded it.
    pub author: String,
    /// When, by the registry's wall clock.
    pub at: Timestamp,
}

/// What became of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordOutcome {
    /// Kept: it is the partition's newest.
    Recorded,
    /// This revision was known already.
    Unchanged,
    /// A newer revision is known: nothing changed.
    Superseded,
}

/// A place in the list of records: newest period first, of one period the newest revision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The period's first instant.
    pub start: Timestamp,
    /// The partition's revision.
    pub revision: u64,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.start.0, self.revision)
    }
}

impl FromStr for Place {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let read = || {
            let (start, revision) = text.split_once('.')?;
            let place =
                Self { start: Timestamp(start.parse().ok()?), revision: revision.parse().ok()? };
            (place.to_string() == text).then_some(place)
        };
        read().ok_or_else(|| format!("`{text}` is no place in a list of partitions"))
    }
}

/// Which records.
#[derive(Debug, Clone)]
pub struct PartitionFilter {
    /// Of this view version.
    pub view: ViewRef,
    /// Periods that begin at or after this.
    pub from: Option<Timestamp>,
    /// Periods that begin before this.
    pub to: Option<Timestamp>,
    /// After this place.
    pub after: Option<Place>,
    /// All revisions, not only the newest of each period.
    pub all_revisions: bool,
    /// At most so many.
    pub limit: u32,
}

impl PartitionRecord {
    /// Where it stands in a list.
    pub const fn place(&self) -> Place {
        Place { start: self.start, revision: self.revision }
    }

    /// Refuses what no partition can be.
    pub fn check(&self) -> Result<(), Error> {
        let wrong = |what: String| Err(Error::Invalid(format!("{}: {what}", self.view)));
        if self.end <= self.start || !self.start.in_calendar() || !self.end.in_calendar() {
            return wrong(format!("{} to {} is no period", self.start.0, self.end.0));
        }
        if self.revision == 0 || i64::try_from(self.revision).is_err() {
            return wrong("revisions count from 1".to_owned());
        }
        let inputs =
            (!self.inputs_sha256.is_empty()).then_some(("inputs_sha256", &self.inputs_sha256));
        let hashes = [("content_hash", &self.content_hash), ("sql_sha256", &self.sql_sha256)];
        for (field, hash) in hashes.into_iter().chain(inputs) {
            if hash.len() != 64
                || !hash.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
            {
                return wrong(format!("{field} is no SHA-256 of 64 small hexadecimal digits"));
            }
        }
        for (field, text) in [("engine", &self.engine), ("run", &self.run)] {
            if text.is_empty() || text.len() > NAME_BYTES_MAX || text.chars().any(char::is_control)
            {
                return wrong(format!("{field} is a line of 1 to {NAME_BYTES_MAX} bytes"));
            }
        }
        if self.started.is_some_and(|started| started > self.finished) {
            return wrong("it began after it ended".to_owned());
        }
        Ok(())
    }

    /// Its JSON, as adapters keep it.
    pub fn to_text(&self) -> Result<String, Error> {
        let text = serde_json::to_string(self)
            .map_err(|error| Error::Invalid(format!("{}: {error}", self.view)))?;
        if text.len() > RECORD_BYTES_MAX {
            return Err(Error::Invalid(format!(
                "{}: the record takes more than {RECORD_BYTES_MAX} bytes",
                self.view
            )));
        }
        Ok(text)
    }
}

/// Records of one call and who leaves them, checked as every registry does.
pub fn check_records(records: &[PartitionRecord], author: &str) -> Result<(), Error> {
    if records.len() > RECORDS_MAX {
        return Err(Error::Invalid(format!("more than {RECORDS_MAX} partitions in one call")));
    }
    if author.trim().is_empty()
        || author.len() > AUTHOR_BYTES_MAX
        || author.chars().any(char::is_control)
    {
        return Err(Error::Invalid(format!(
            "the author is a line of 1 to {AUTHOR_BYTES_MAX} bytes: say who records"
        )));
    }
    records.iter().try_for_each(PartitionRecord::check)
}

/// One revision of a partition has one content.
pub fn other_content(record: &PartitionRecord) -> Error {
    Error::Invalid(format!(
        "{}: revision {} of the period from {} is known with other rows: is it another lake's? in a \
         lake that was made anew, `_revisions_after` lets revisions go on (docs/catalog.md)",
        record.view, record.revision, record.start
    ))
}

/// Keeps records of partitions.
#[async_trait]
pub trait Partitions: Send + Sync {
    /// Keeps the records, all or none; what became of each. A revision that is known changes nothing,
    /// and an older one never takes a newer one's place. Views must be registered.
    async fn record(
        &self,
        records: &[PartitionRecord],
        author: &str,
        at: Timestamp,
    ) -> Result<Vec<RecordOutcome>, Error>;
    /// Records of a view, newest period first, of one period the newest revision first.
    async fn partitions(&self, filter: &PartitionFilter) -> Result<Vec<Recorded>, Error>;
}
