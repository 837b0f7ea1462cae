//! The lake: partitions as folders of Parquet files, replaced as a whole.
//!
//! ```text
//! <root>/<namespace>/<view>/v<N>/ds=2013-01-01/_current.json            published, the pointer
//! <root>/<namespace>/<view>/v<N>/ds=2013-01-01/run-<id>/part-0.parquet  its rows
//! <root>/<namespace>/<view>/v<N>/ds=2013-01-01/run-<id>/_retired.parquet what it no longer says
//! <root>/<namespace>/<view>/v<N>/_raw/ds=2013-01-01/…                   what the author's SQL gave
//! ```
//! Below a day it is `period=2013-01-01T05` instead of `ds=…`. All names are checked names, so no
//! path leaves the root.
//!
//! **The atomic step** is the rename of `_current.json`. A run writes a new folder, makes it durable
//! (files, then folders), writes the pointer beside the old one, makes that durable and renames it
//! over. A reader opens the pointer once and reads the files that it names: it never sees half of a
//! partition. Pointers of one run are switched in groups, so that a year of days costs some dozens
//! of waits for the disk, not thousands; each partition is still switched on its own.
//!
//! **A crash leaves** the old pointer, and perhaps a folder that none names and a `_current.json.new`;
//! the next run of the view sweeps both. Who stages and switches partitions of a view holds `_lock`
//! meanwhile (released by the system when its process dies).
//!
//! **A rerun that gives the same rows changes nothing**: the pointer holds a hash of the rows in
//! canonical order ([`crate::canonical`]) and is not touched. Otherwise the partition's `sequence`
//! (its revision) grows by one.
//!
//! **A lake made anew** goes on with the revisions of the one before it: where `_revisions_after` in a
//! view's folder holds a number, the first revision of a published partition is the next one. Else
//! the registry would refuse them, and the online store would take its older rows for newer.
//!
//! **Old folders**: the one before the current stays until the next change of the partition, so a
//! reader under way is not disturbed; one that needs longer than two rewrites of one partition gets
//! a missing file, and an error, never other rows.
//!
//! **Other tools** read the pointer and then the files it names, relative to the partition's folder
//! (`run` + `/` + each of `files`). A glob over `ds=*/run-*/part-*.parquet` is *not* right: it also
//! sees the previous run.

mod commit;
mod pointer;
mod read;
mod revise;

pub use commit::{Lock, Staged, Staging, read_whole};
pub use pointer::{Origin, Pointer, PointerColumn, RunSource};
pub use read::read_batches;
pub use revise::{RETIRED_AT_COLUMN, Revised, retired_schema};

use std::{
    fs,
    io::ErrorKind,
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
};

use trivium_model::{Timestamp, ViewRef};

use crate::{Error, Period};

/// The pointer's file name.
pub const POINTER_FILE: &str = "_current.json";

/// Which rows of a view.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Layer {
    /// What the author's SQL gave.
    Raw,
    /// With carryover and rollup, checked: what everybody reads.
    Published,
}

/// The lake under one folder. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Lake {
    root: Arc<Path>,
    /// Whether a switch waits for the disk; only tests do without.
    is_durable: bool,
    /// How many pointers it and its clones have looked for, but to write them.
    #[cfg(test)]
    pointers_read: Arc<std::sync::atomic::AtomicUsize>,
}

/// One partition as it was when its pointer was read.
#[derive(Debug, Clone)]
pub struct Partition {
    /// Its period.
    pub period: Period,
    /// Its folder.
    pub folder: PathBuf,
    /// What the pointer said.
    pub pointer: Pointer,
}

impl Partition {
    /// The files with its rows.
    pub fn files(&self) -> Vec<PathBuf> {
        let run = self.folder.join(&self.pointer.run);
        self.pointer.files.iter().map(|file| run.join(file)).collect()
    }
    /// The file with the rows that earlier revisions said and this one does not.
    pub fn retired_file(&self) -> Option<PathBuf> {
        let run = self.folder.join(&self.pointer.run);
        self.pointer.retired.as_ref().map(|file| run.join(file))
    }
}

impl Lake {
    /// The lake under this folder, which need not exist yet.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self {
            root: Arc::from(root.into()),
            is_durable: true,
            #[cfg(test)]
            pointers_read: Arc::default(),
        }
    }

    /// A lake that does not outlive the machine's power.
    #[cfg(test)]
    pub(crate) fn volatile(root: impl Into<PathBuf>) -> Self {
        Self { is_durable: false, ..Self::new(root) }
    }

    /// How many pointers were read.
    #[cfg(test)]
    pub(crate) fn pointers_read(&self) -> usize {
        self.pointers_read.load(std::sync::atomic::Ordering::Relaxed)
    }

    fn read_partition(&self, folder: &Path) -> Result<Option<Partition>, Error> {
        #[cfg(test)]
        self.pointers_read.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        read_partition(folder)
    }

    /// Its folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The folder of a view version.
    pub fn view_folder(&self, view: &ViewRef) -> PathBuf {
        self.root
            .join(view.namespace.as_str())
            .join(view.view.as_str())
            .join(format!("v{}", view.version))
    }

    fn layer_folder(&self, view: &ViewRef, layer: Layer) -> PathBuf {
        let folder = self.view_folder(view);
        match layer {
            Layer::Raw => folder.join("_raw"),
            Layer::Published => folder,
        }
    }

    /// The partition of a period, if there is one.
    pub fn partition(
        &self,
        view: &ViewRef,
        layer: Layer,
        period: Period,
    ) -> Result<Option<Partition>, Error> {
        self.read_partition(&self.layer_folder(view, layer).join(period.folder()))
    }

    /// The partitions whose periods begin in the range, oldest first.
    pub fn partitions(
        &self,
        view: &ViewRef,
        layer: Layer,
        starts: Range<Timestamp>,
    ) -> Result<Vec<Partition>, Error> {
        let folder = self.layer_folder(view, layer);
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(Error::io("read", folder)(error)),
        };
        let mut found = Vec::new();
        for entry in entries {
            let path = entry.map_err(Error::io("read", &folder))?.path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if !(name.starts_with("ds=") || name.starts_with("period=")) {
                continue;
            }
            // By name: a view has a pointer for every period that there ever was.
            if Period::starts_of_folder(name)
                .is_some_and(|named| named.end <= starts.start || named.start >= starts.end)
            {
                continue;
            }
            if let Some(partition) = self.read_partition(&path)?
                && starts.contains(&partition.period.start)
            {
                found.push(partition);
            }
        }
        found.sort_by_key(|partition| partition.period);
        Ok(found)
    }

    /// All partitions of a layer, oldest first.
    pub fn all_partitions(&self, view: &ViewRef, layer: Layer) -> Result<Vec<Partition>, Error> {
        self.partitions(view, layer, Timestamp(i64::MIN)..Timestamp(i64::MAX))
    }
}

/// Reads a folder's pointer; `None` where there is none (never written, or a crash before the first switch).
fn read_partition(folder: &Path) -> Result<Option<Partition>, Error> {
    let path = folder.join(POINTER_FILE);
    let text = match fs::read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::io("read", path)(error)),
    };
    let pointer = Pointer::parse(&text).map_err(|message| Error::corrupt(&path, message))?;
    let period = Period { start: pointer.period_start_micros, end: pointer.period_end_micros };
    Ok(Some(Partition { period, folder: folder.to_owned(), pointer }))
}

#[cfg(test)]
mod tests;
