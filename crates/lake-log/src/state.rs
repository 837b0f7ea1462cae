//! Commits, and the state that they add up to.

use std::collections::{BTreeMap, BTreeSet};

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};
use trivium_model::Timestamp;
use uuid::Uuid;

/// The format of commits and checkpoints; a reader refuses others.
pub(crate) const FORMAT: u32 = 1;

/// A file of rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileEntry {
    /// Below the view's folder: `ds=2026-11-23/<id>.parquet`.
    pub path: String,
    /// Its rows, deletes among them.
    pub rows: u64,
    /// Its length.
    pub bytes: u64,
    /// SHA-256 of its bytes.
    pub sha256: String,
    /// Oldest event time.
    pub event_time_min_micros: Timestamp,
    /// Newest event time.
    pub event_time_max_micros: Timestamp,
    /// Stands for its columns' names and types; files with the same one have the same columns.
    pub columns: String,
}

impl FileEntry {
    /// The day that its rows are of, as the folder is named.
    pub fn day(&self) -> &str {
        self.path.split('/').next().unwrap_or_default()
    }
}

/// How far a source's messages have become rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Advance {
    /// The first that this commit is about; none: no commit before it was about the source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<u64>,
    /// The first that it is not about any more.
    pub to: u64,
}

/// What a commit changes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// Files that count from now on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub added: Vec<FileEntry>,
    /// Files that count no more; they stay for those who still read them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub removed: Vec<String>,
    /// Files that never counted, and may not any more: their writer is gone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub condemned: Vec<String>,
    /// Removed and condemned files that are deleted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub forgotten: Vec<String>,
    /// By source: `topic/partition`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub positions: BTreeMap<String, Advance>,
    /// Of sources among these whose positions are counted by who reads them: what the source itself calls
    /// the last message before `to`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub marks: BTreeMap<String, String>,
}

/// One commit, as its file holds it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Commit {
    /// 1.
    pub format: u32,
    /// Its place in the log, from 1.
    pub number: u64,
    /// Of which no other commit has the same.
    pub id: String,
    /// When it was made, as its writer's clock says.
    pub at_micros: Timestamp,
    /// What it changes.
    pub change: Change,
}

/// What the log says after a commit: which files count, and up to where.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    /// 1; 0 before the first commit.
    pub(crate) format: u32,
    /// The last commit's place; 0 before the first.
    pub number: u64,
    /// The files that count, by path.
    pub files: BTreeMap<String, FileEntry>,
    /// The first message of each source that has not become a row.
    pub positions: BTreeMap<String, u64>,
    /// What sources call the last message before their position, where a commit says so.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub marks: BTreeMap<String, String>,
    /// Files that do not count and may still be on disk, and since when.
    pub leaving: BTreeMap<String, Timestamp>,
}

impl State {
    /// The rows of all files, deletes among them.
    pub fn rows(&self) -> u64 {
        self.files.values().map(|file| file.rows).sum()
    }

    /// Why a change does not follow from this state; it never will then.
    pub(crate) fn misfit(&self, change: &Change) -> Option<String> {
        for (source, advance) in &change.positions {
            let known = self.positions.get(source).copied();
            if known != advance.from {
                return Some(format!("{source} stands at {known:?}, not at {:?}", advance.from));
            }
            if advance.from.is_some_and(|from| advance.to < from) {
                return Some(format!("{source} would go back to {}", advance.to));
            }
        }
        if let Some(source) = change.marks.keys().find(|it| !change.positions.contains_key(*it)) {
            return Some(format!("{source} has a mark and no position"));
        }
        let mut new = BTreeSet::new();
        for file in &change.added {
            let path = &file.path;
            if !new.insert(path) || self.files.contains_key(path) {
                return Some(format!("`{path}` counts already"));
            }
            if self.leaving.contains_key(path) {
                return Some(format!("`{path}` was swept"));
            }
        }
        if let Some(gone) = change.removed.iter().find(|path| !self.files.contains_key(*path)) {
            return Some(format!("`{gone}` does not count any more"));
        }
        let counts = |path: &&String| self.files.contains_key(*path) || new.contains(path);
        if let Some(path) = change.condemned.iter().find(counts) {
            return Some(format!("`{path}` counts"));
        }
        if let Some(path) = change.forgotten.iter().find(|path| !self.leaving.contains_key(*path)) {
            return Some(format!("`{path}` is not about to be deleted"));
        }
        None
    }

    /// The state after a commit.
    pub(crate) fn apply(&mut self, commit: Commit) -> Result<(), String> {
        if commit.number != self.number + 1 {
            return Err(format!("it is commit {}, in the place of another", commit.number));
        }
        if let Some(misfit) = self.misfit(&commit.change) {
            return Err(misfit);
        }
        let Change { added, removed, condemned, forgotten, positions, mut marks } = commit.change;
        for path in removed.into_iter().chain(condemned) {
            self.files.remove(&path);
            self.leaving.insert(path, commit.at_micros);
        }
        for path in forgotten {
            self.leaving.remove(&path);
        }
        self.files.extend(added.into_iter().map(|file| (file.path.clone(), file)));
        for (source, advance) in positions {
            // One of before would name another place.
            match marks.remove(&source) {
                Some(mark) => self.marks.insert(source.clone(), mark),
                None => self.marks.remove(&source),
            };
            self.positions.insert(source, advance.to);
        }
        self.number = commit.number;
        self.format = FORMAT;
        Ok(())
    }

    pub(crate) fn parse(text: &[u8]) -> Result<Self, String> {
        let state: Self = serde_json::from_slice(text).map_err(|error| error.to_string())?;
        check_format(state.format)?;
        state.files.keys().chain(state.leaving.keys()).try_for_each(|path| check_path(path))?;
        if let Some((path, file)) = state.files.iter().find(|(path, file)| **path != file.path) {
            return Err(format!("`{path}` is called `{}`", file.path));
        }
        Ok(state)
    }
}

impl Commit {
    pub(crate) fn parse(text: &[u8]) -> Result<Self, String> {
        let commit: Self = serde_json::from_slice(text).map_err(|error| error.to_string())?;
        check_format(commit.format)?;
        let Change { added, removed, condemned, forgotten, .. } = &commit.change;
        let added = added.iter().map(|file| &file.path);
        let mut paths = added.chain(removed).chain(condemned).chain(forgotten);
        paths.try_for_each(|path| check_path(path))?;
        Ok(commit)
    }
}

fn check_format(format: u32) -> Result<(), String> {
    if format == FORMAT {
        Ok(())
    } else {
        Err(format!("format {format} is not known to this version"))
    }
}

/// The folder of a day's files.
pub(crate) fn day_folder(day: NaiveDate) -> String {
    format!("ds={}", day.format("%Y-%m-%d"))
}

/// Whether a folder is one of a day's files.
pub(crate) fn is_day(folder: &str) -> bool {
    folder.strip_prefix("ds=").is_some_and(|day| NaiveDate::parse_from_str(day, "%Y-%m-%d").is_ok())
}

/// Whether a name is one that data files have.
pub(crate) fn is_data_file(name: &str) -> bool {
    name.strip_suffix(".parquet").is_some_and(|id| Uuid::try_parse(id).is_ok())
}

/// Refuses what would lead out of the view's folder.
fn check_path(path: &str) -> Result<(), String> {
    let fits = path.split_once('/').is_some_and(|(day, name)| is_day(day) && is_data_file(name));
    if fits { Ok(()) } else { Err(format!("`{path}` is no file of a day's rows")) }
}
