//! Writing partitions: stage files, make a group of them durable, switch their pointers.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::{ErrorKind, Write},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use arrow::{
    array::{AsArray, RecordBatch},
    compute::{concat_batches, max, min},
    datatypes::TimestampMicrosecondType,
};
use parquet::{arrow::ArrowWriter, basic::Compression, file::properties::WriterProperties};
use trivium_model::{FeatureView, Timestamp, ViewRef};
use uuid::Uuid;

use super::{
    Lake, Layer, Origin, POINTER_FILE, Partition, Pointer, PointerColumn, RunSource, read_batches,
    revise::{Before, revise},
};
use crate::{
    Error, Period, canonical, columns::align, quality::CheckResult, sequence::REVISION_MAX,
    statistics,
};

/// Waits for the disk at once: a journaling file system settles many of them in one go.
const SYNC_THREADS: usize = 8;
/// Rows of one row group: the unit in which readers skip.
const ROW_GROUP_ROWS: usize = 131_072;
const DATA_FILE: &str = "part-0.parquet";
/// Readers that take a folder for a table leave out names with an underscore.
const RETIRED_FILE: &str = "_retired.parquet";
/// Written by whoever makes a lake anew.
const REVISIONS_AFTER_FILE: &str = "_revisions_after";
const POINTER_NEW_FILE: &str = "_current.json.new";

/// The right to write one view version; given back when dropped or when the process dies.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

/// A partition whose files are written and whose pointer is not switched yet.
#[derive(Debug)]
pub struct Staged {
    partition: Partition,
}

impl Staged {
    /// The partition as it will be.
    pub const fn partition(&self) -> &Partition {
        &self.partition
    }
}

/// Rows to stage.
#[derive(Debug)]
pub struct Staging<'a> {
    /// The view.
    pub view: &'a FeatureView,
    /// Which rows.
    pub layer: Layer,
    /// Which period.
    pub period: Period,
    /// The rows in canonical order, in the columns of the layer; published ones without `_sequence`.
    pub rows: &'a RecordBatch,
    /// The quality checks.
    pub quality: Vec<CheckResult>,
    /// What made them.
    pub source: RunSource,
}

impl Lake {
    /// Takes the right to write a view version; fails at once where another process has it.
    pub fn lock(&self, view: &FeatureView) -> Result<Lock, Error> {
        let reference = view.reference();
        let folder = self.view_folder(&reference);
        fs::create_dir_all(&folder).map_err(Error::io("create", &folder))?;
        let path = folder.join("_lock");
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(Error::io("write", &path))?;
        match file.try_lock() {
            Ok(()) => Ok(Lock { _file: file }),
            Err(fs::TryLockError::WouldBlock) => Err(Error::Locked { view: reference, path }),
            Err(fs::TryLockError::Error(error)) => Err(Error::io("lock", path)(error)),
        }
    }

    /// The highest revision that a lake before this one gave; 0 where nothing is said of one.
    fn revisions_after(&self, view: &ViewRef) -> Result<u64, Error> {
        let path = self.view_folder(view).join(REVISIONS_AFTER_FILE);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(0),
            // No text is no number.
            Err(error) if error.kind() == ErrorKind::InvalidData => String::new(),
            Err(error) => return Err(Error::io("read", path)(error)),
        };
        text.trim().parse::<u64>().map_err(|_| {
            Error::invalid(
                path.display().to_string(),
                format!("{REVISIONS_AFTER_FILE} holds no revision, which is a whole number"),
                "write the highest revision that the registry has of the view, or remove the file",
            )
        })
    }

    /// Writes the files of a partition, without making them durable; `None` where the partition
    /// already says exactly this.
    pub fn stage(&self, staging: Staging<'_>) -> Result<Option<Staged>, Error> {
        let Staging { view, layer, period, rows, quality, source } = staging;
        let content_hash = canonical::content_hash(rows)?;
        let reference = view.reference();
        let folder = self.layer_folder(&reference, layer).join(period.folder());
        let current = super::read_partition(&folder)?;
        if let Some(current) = &current
            && current.pointer.content_hash == content_hash
            && current.period == period
        {
            return Ok(None);
        }
        if let Some(current) = &current
            && current.period != period
        {
            return Err(Error::Precondition {
                message: format!(
                    "{} holds the period from {} to {}, not from {} to {}",
                    folder.display(),
                    current.period.start,
                    current.period.end,
                    period.start,
                    period.end
                ),
                help: "a changed schedule needs a new version of the view".to_owned(),
            });
        }
        sweep(&folder, current.as_ref())?;

        let before = match (&current, layer) {
            (Some(current), _) => current.pointer.sequence,
            (None, Layer::Published) => self.revisions_after(&reference)?,
            (None, Layer::Raw) => 0,
        };
        let revision = before.saturating_add(1);
        if revision > REVISION_MAX {
            return Err(Error::Precondition {
                message: format!(
                    "{} would have revision {revision}, more than {REVISION_MAX}",
                    folder.display()
                ),
                help: "make a new version of the view".to_owned(),
            });
        }
        let run = format!("run-{}", Uuid::now_v7().simple());
        let origin = Origin { run: run.clone(), revision };
        let run_folder = folder.join(&run);
        fs::create_dir_all(&run_folder).map_err(Error::io("create", &run_folder))?;

        let keys = view.entities.len();
        let mut retired_file = None;
        let statistics = match layer {
            Layer::Raw => Vec::new(),
            Layer::Published => statistics::of(view, rows)?,
        };
        let written = match layer {
            Layer::Raw => rows.clone(),
            Layer::Published => {
                let before =
                    current.as_ref().map(|current| read_before(current, keys)).transpose()?;
                let revised = revise(rows, keys, period, revision, before.as_ref())?;
                if revised.retired.num_rows() > 0 {
                    write_parquet(&run_folder.join(RETIRED_FILE), &revised.retired)?;
                    retired_file = Some(RETIRED_FILE.to_owned());
                }
                revised.rows
            }
        };
        write_parquet(&run_folder.join(DATA_FILE), &written)?;

        let times = written.column(keys).as_primitive_opt::<TimestampMicrosecondType>();
        let pointer = Pointer {
            format: Pointer::current_format(),
            run,
            files: vec![DATA_FILE.to_owned()],
            retired: retired_file,
            origin: match &current {
                None => Some(origin),
                Some(current) => current.pointer.origin.clone(),
            },
            replaced_run: current.map(|current| current.pointer.run),
            rows: written.num_rows() as u64,
            content_hash,
            sequence: revision,
            period_start_micros: period.start,
            period_end_micros: period.end,
            event_time_min_micros: times.and_then(min).map(Timestamp),
            event_time_max_micros: times.and_then(max).map(Timestamp),
            schema: written
                .schema()
                .fields()
                .iter()
                .map(|field| PointerColumn {
                    name: field.name().clone(),
                    data_type: field.data_type().to_string(),
                })
                .collect(),
            quality,
            statistics,
            source,
        };
        Ok(Some(Staged { partition: Partition { period, folder, pointer } }))
    }

    /// Makes staged partitions durable and switches their pointers, in the order given. After an
    /// error some may be switched and others not; each is whole either way.
    pub fn commit(&self, staged: Vec<Staged>) -> Result<Vec<Partition>, Error> {
        let partitions: Vec<Partition> = staged.into_iter().map(|one| one.partition).collect();
        let mut files = Vec::new();
        let mut folders = BTreeSet::new();
        for partition in &partitions {
            let path = partition.folder.join(POINTER_NEW_FILE);
            let text = serde_json::to_vec_pretty(&partition.pointer)
                .map_err(|error| Error::Internal(format!("pointer: {error}")))?;
            let mut file = File::create(&path).map_err(Error::io("write", &path))?;
            file.write_all(&text).map_err(Error::io("write", &path))?;
            files.push(path);
            files.extend(partition.files());
            files.extend(partition.retired_file());
            folders.insert(partition.folder.join(&partition.pointer.run));
            // New folders up to the root are named in their parents.
            let up = partition.folder.ancestors().take_while(|path| path.starts_with(&*self.root));
            folders.extend(up.map(Path::to_owned));
        }
        self.sync(files)?;
        self.sync(folders.iter().cloned().collect())?;
        for partition in &partitions {
            let path = partition.folder.join(POINTER_FILE);
            fs::rename(partition.folder.join(POINTER_NEW_FILE), &path)
                .map_err(Error::io("switch", &path))?;
        }
        self.sync(partitions.iter().map(|partition| partition.folder.clone()).collect())?;
        Ok(partitions)
    }
}

impl Lake {
    fn sync(&self, paths: Vec<PathBuf>) -> Result<(), Error> {
        if self.is_durable { sync(paths) } else { Ok(()) }
    }
}

/// The rows and retired rows of a partition, as one batch each.
fn read_before(current: &Partition, keys: usize) -> Result<Before, Error> {
    let rows = read_whole(&current.files())?;
    let retired = match current.retired_file() {
        None => None,
        Some(path) => {
            let batch = read_whole(std::slice::from_ref(&path))?;
            let schema = super::retired_schema(&rows.schema(), keys);
            Some(align(&batch, &schema).map_err(|message| Error::corrupt(path, message))?)
        }
    };
    Ok(Before { rows, retired })
}

/// All rows of some files of one schema.
pub fn read_whole(paths: &[PathBuf]) -> Result<RecordBatch, Error> {
    let mut batches = Vec::new();
    for path in paths {
        for batch in read_batches(path, None)? {
            batches.push(batch?);
        }
        // A file without rows gives no batch, but it has columns.
        if batches.is_empty() {
            let file = File::open(path).map_err(Error::io("read", path))?;
            let builder =
                parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(file)
                    .map_err(|error| Error::corrupt(path, error))?;
            batches.push(RecordBatch::new_empty(Arc::clone(builder.schema())));
        }
    }
    let Some(first) = batches.first() else {
        return Err(Error::Internal("a partition without files".to_owned()));
    };
    Ok(concat_batches(&first.schema(), &batches)?)
}

fn write_parquet(path: &Path, rows: &RecordBatch) -> Result<(), Error> {
    let failed = |error: parquet::errors::ParquetError| Error::Io {
        doing: "write",
        path: path.to_owned(),
        source: std::io::Error::other(error),
    };
    let file = File::create(path).map_err(Error::io("write", path))?;
    let properties = WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        .set_created_by("trivium".to_owned())
        .build();
    let mut writer = ArrowWriter::try_new(file, rows.schema(), Some(properties)).map_err(failed)?;
    writer.write(rows).map_err(failed)?;
    writer.close().map_err(failed)?;
    Ok(())
}

/// Makes files or folders durable, some at a time.
fn sync(paths: Vec<PathBuf>) -> Result<(), Error> {
    let threads = SYNC_THREADS.min(paths.len());
    let queue = Mutex::new(paths.into_iter());
    let failed = Mutex::new(None);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let next = queue.lock().unwrap_or_else(PoisonError::into_inner).next();
                    let Some(path) = next else { return };
                    if let Err(error) = File::open(&path).and_then(|file| file.sync_all()) {
                        let mut failed = failed.lock().unwrap_or_else(PoisonError::into_inner);
                        *failed = Some(Error::io("make durable", path)(error));
                    }
                }
            });
        }
    });
    failed.into_inner().unwrap_or_else(PoisonError::into_inner).map_or(Ok(()), Err)
}

/// Removes what no pointer names: leftovers of a crash and runs older than the one before the current.
fn sweep(folder: &Path, current: Option<&Partition>) -> Result<(), Error> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(Error::io("read", folder)(error)),
    };
    for entry in entries {
        let path = entry.map_err(Error::io("read", folder))?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let kept = current.is_some_and(|current| current.pointer.run == name);
        if name.starts_with("run-") && !kept {
            fs::remove_dir_all(&path).map_err(Error::io("remove", &path))?;
        } else if name == POINTER_NEW_FILE {
            fs::remove_file(&path).map_err(Error::io("remove", &path))?;
        }
    }
    Ok(())
}
