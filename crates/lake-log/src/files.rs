//! Files of rows: written durably, read, put in order.

use std::{
    fs::{self, File},
    io::{BufWriter, Write},
    path::Path,
    sync::Arc,
};

use arrow::{
    array::{AsArray, RecordBatch, UInt32Array},
    compute::{concat_batches, max, min, take_record_batch},
    datatypes::{SchemaRef, TimestampMicrosecondType},
    row::{RowConverter, Rows, SortField},
};
use chrono::NaiveDate;
use parquet::{
    arrow::{ArrowWriter, arrow_reader::ParquetRecordBatchReaderBuilder},
    basic::Compression,
    file::properties::WriterProperties,
};
use sha2::{Digest, Sha256};
use trivium_model::Timestamp;
use uuid::Uuid;

use crate::{Error, FileEntry, Shape, StreamLog, shape::columns_id, state::day_folder, types};

/// Rows of one row group: the unit in which readers skip.
const ROW_GROUP_ROWS: usize = 131_072;
/// Rows of a batch that is read.
const BATCH_ROWS: usize = 8_192;

/// Passes bytes on, and knows their hash and how many they are.
struct Hashing {
    file: BufWriter<File>,
    hasher: Sha256,
    bytes: u64,
}

impl Write for Hashing {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        self.bytes += written as u64;
        Ok(written)
    }
    fn flush(&mut self) -> std::io::Result<()> {
        self.file.flush()
    }
}

impl StreamLog {
    /// Writes rows of one day into a file of their own, sorted by entity, event time and sequence. It is
    /// durable when this returns, and counts when a commit names it.
    pub fn write(
        &self,
        shape: &Shape,
        day: NaiveDate,
        rows: &RecordBatch,
    ) -> Result<FileEntry, Error> {
        let rows = take_sorted(rows, shape.keys(), false)?;
        self.write_sorted(shape, &day_folder(day), &rows)
    }

    pub(crate) fn write_sorted(
        &self,
        shape: &Shape,
        day: &str,
        rows: &RecordBatch,
    ) -> Result<FileEntry, Error> {
        let folder = self.folder().join(day);
        fs::create_dir_all(&folder).map_err(Error::io("create", &folder))?;
        let name = format!("{}.parquet", Uuid::new_v4());
        let path = folder.join(&name);
        self.step("before a file")?;
        let file = File::create_new(&path).map_err(Error::io("write", &path))?;
        let unfinished = Unfinished(Some(&path));
        let properties = WriterProperties::builder()
            .set_compression(Compression::SNAPPY)
            .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
            .set_created_by("trivium".to_owned())
            .build();
        let to = Hashing { file: BufWriter::new(file), hasher: Sha256::new(), bytes: 0 };
        let mut writer = ArrowWriter::try_new(to, rows.schema(), Some(properties))
            .map_err(Error::parquet("write", &path))?;
        writer.write(rows).map_err(Error::parquet("write", &path))?;
        let mut to = writer.into_inner().map_err(Error::parquet("write", &path))?;
        to.flush().map_err(Error::io("write", &path))?;
        self.step("within a file")?;
        self.sync_file(to.file.get_ref(), &path)?;
        // Up to the lake's root a new folder is named in its parent by whoever made the log.
        self.sync_folder(&folder)?;
        self.sync_folder(self.folder())?;
        let times = rows.column(shape.keys()).as_primitive_opt::<TimestampMicrosecondType>();
        let (Some(first), Some(last)) = (times.and_then(min), times.and_then(max)) else {
            return Err(Error::Form("a file without rows".to_owned()));
        };
        self.step("after a file")?;
        unfinished.done();
        Ok(FileEntry {
            path: format!("{day}/{name}"),
            rows: rows.num_rows() as u64,
            bytes: to.bytes,
            sha256: to.hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect(),
            event_time_min_micros: Timestamp(first),
            event_time_max_micros: Timestamp(last),
            columns: columns_id(&rows.schema()),
        })
    }

    /// A file's rows, brought to these columns: those that it lacks are null, others are left out.
    pub fn read(&self, file: &FileEntry, columns: &SchemaRef) -> Result<Vec<RecordBatch>, Error> {
        let path = self.folder().join(&file.path);
        read(&path, columns)
    }

    /// The columns that a file has.
    pub(crate) fn columns(&self, file: &FileEntry) -> Result<SchemaRef, Error> {
        let path = self.folder().join(&file.path);
        let file = File::open(&path).map_err(Error::io("read", &path))?;
        let builder = ParquetRecordBatchReaderBuilder::try_new(file)
            .map_err(|error| Error::corrupt(&path, error))?;
        Ok(Arc::clone(builder.schema()))
    }
}

/// A file that is removed again unless it is done: a full disk would be kept full by what was tried.
struct Unfinished<'p>(Option<&'p Path>);

impl Unfinished<'_> {
    fn done(mut self) {
        self.0 = None;
    }
}

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        if let Some(path) = self.0 {
            // What cannot be removed is swept later, as what killed writers leave.
            let _ = fs::remove_file(path);
        }
    }
}

fn read(path: &Path, columns: &SchemaRef) -> Result<Vec<RecordBatch>, Error> {
    let file = File::open(path).map_err(Error::io("read", path))?;
    let reader = ParquetRecordBatchReaderBuilder::try_new(file)
        .and_then(|builder| builder.with_batch_size(BATCH_ROWS).build())
        .map_err(|error| Error::corrupt(path, error))?;
    reader
        .map(|batch| {
            let batch = batch.map_err(|error| Error::corrupt(path, error))?;
            types::align(&batch, columns).map_err(|message| Error::corrupt(path, message))
        })
        .collect()
}

/// By entity, event time, sequence; then by whatever else there is.
fn order(rows: &RecordBatch, keys: usize) -> Result<Rows, Error> {
    // The last column is the sequence; before it, what tells nothing of the order.
    let sequence = rows.num_columns() - 1;
    let keys_and_time = keys + 1;
    let columns: Vec<_> = (0..keys_and_time)
        .chain([sequence])
        .chain(keys_and_time..sequence)
        .map(|index| Arc::clone(rows.column(index)))
        .collect();
    let fields = columns.iter().map(|column| SortField::new(column.data_type().clone())).collect();
    Ok(RowConverter::new(fields)?.convert_columns(&columns)?)
}

/// In order, and of rows that are the same in everything one.
pub(crate) fn merged(shape: &Shape, batches: &[RecordBatch]) -> Result<RecordBatch, Error> {
    take_sorted(&concat_batches(shape.columns(), batches)?, shape.keys(), true)
}

fn take_sorted(batch: &RecordBatch, keys: usize, each_once: bool) -> Result<RecordBatch, Error> {
    let rows = order(batch, keys)?;
    let count = u32::try_from(batch.num_rows())
        .map_err(|_| Error::Form("more than 2^32 rows at once".to_owned()))?;
    let mut order: Vec<u32> = (0..count).collect();
    order.sort_unstable_by(|a, b| rows.row(*a as usize).cmp(&rows.row(*b as usize)));
    if each_once {
        order.dedup_by(|a, b| rows.row(*a as usize) == rows.row(*b as usize));
    }
    Ok(take_record_batch(batch, &UInt32Array::from(order))?)
}
