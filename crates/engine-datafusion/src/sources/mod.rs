//! Tables: read, normalised to the engine's types, and kept decoded in memory while they fit, because
//! a local run asks the same files once a period.

mod csv;
mod heard;
mod stream;

use std::{
    collections::HashMap,
    fs::File,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::SystemTime,
};

use arrow::{
    array::{Array, ArrayRef, AsArray, RecordBatch, TimestampMicrosecondArray},
    compute::cast,
    datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit, TimestampMicrosecondType},
};
use chrono::{DateTime, Duration, NaiveDateTime, Offset, TimeZone};
use chrono_tz::Tz;
use datafusion::datasource::{MemTable, TableProvider};
use parquet::{
    arrow::arrow_reader::ParquetRecordBatchReaderBuilder, errors::ParquetError,
    file::reader::ChunkReader,
};
use trivium_engine::{Error, Source, Table};

use self::heard::{Heard, Refusal};
use crate::{
    error::from_datafusion,
    types::{normalised, timestamp_type},
};

/// A file as it was when it was read: another time or size is another file.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Stamp {
    path: PathBuf,
    modified: Option<SystemTime>,
    bytes: u64,
}

/// What the rows of a table depend on.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    files: Vec<Stamp>,
    /// The null marker of CSV files; `None` for Parquet.
    csv: Option<Option<String>>,
    zone: Option<Tz>,
}

/// A table that has been read.
#[derive(Debug)]
struct Loaded {
    schema: SchemaRef,
    /// Absent if it is too large to keep.
    batches: Option<Vec<RecordBatch>>,
    bytes: usize,
}

#[derive(Debug, Default)]
struct Cache {
    tables: HashMap<Key, (Arc<Loaded>, u64)>,
    bytes: usize,
    /// Counts uses, so that the table unused for longest goes first.
    clock: u64,
}

/// Reads tables and remembers them.
#[derive(Debug)]
pub struct Sources {
    cache: Mutex<Cache>,
    bytes_max: usize,
}

impl Sources {
    /// Keeps at most `bytes_max` of decoded rows.
    pub fn new(bytes_max: usize) -> Self {
        Self { cache: Mutex::new(Cache::default()), bytes_max }
    }

    /// A table for one query. Blocks on files.
    pub fn provider(
        &self,
        source: &Source,
        zone: Option<&str>,
    ) -> Result<Arc<dyn TableProvider>, Error> {
        let zone = zone.map(parse_zone).transpose()?;
        let (paths, null, is_csv) = match source {
            Source::Batches { schema, batches } => return memory_table(schema, batches, zone),
            Source::Parquet(paths) => (paths, None, false),
            Source::Csv { paths, null } => (paths, null.clone(), true),
        };
        if paths.is_empty() {
            return Err(Error::Source {
                path: "the table".to_owned(),
                message: "it has no files".to_owned(),
            });
        }
        let files = paths.iter().map(|path| stamp(path)).collect::<Result<Vec<_>, _>>()?;
        let key = Key { files, csv: is_csv.then(|| null.clone()), zone };
        let loaded = match self.cached(&key) {
            Some(loaded) => loaded,
            None => {
                let loaded = Arc::new(if is_csv {
                    self.load_csv(paths, null.as_deref(), zone)?
                } else {
                    self.load_parquet(paths, zone)?
                });
                self.keep(key, &loaded);
                loaded
            }
        };
        match &loaded.batches {
            Some(batches) => {
                let table = MemTable::try_new(Arc::clone(&loaded.schema), vec![batches.clone()])
                    .map_err(from_datafusion)?;
                Ok(Arc::new(table))
            }
            None => stream::table(paths.clone(), is_csv, null, zone, Arc::clone(&loaded.schema)),
        }
    }

    fn cached(&self, key: &Key) -> Option<Arc<Loaded>> {
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        cache.clock += 1;
        let now = cache.clock;
        cache.tables.get_mut(key).map(|(loaded, used)| {
            *used = now;
            Arc::clone(loaded)
        })
    }

    fn keep(&self, key: Key, loaded: &Arc<Loaded>) {
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        while cache.bytes + loaded.bytes > self.bytes_max {
            let Some(oldest) =
                cache.tables.iter().min_by_key(|(_, (_, used))| *used).map(|(key, _)| key.clone())
            else {
                break;
            };
            if let Some((gone, _)) = cache.tables.remove(&oldest) {
                cache.bytes -= gone.bytes;
            }
        }
        cache.clock += 1;
        let now = cache.clock;
        cache.bytes += loaded.bytes;
        if let Some((gone, _)) = cache.tables.insert(key, (Arc::clone(loaded), now)) {
            cache.bytes -= gone.bytes;
        }
    }

    fn load_csv(
        &self,
        paths: &[PathBuf],
        null: Option<&str>,
        zone: Option<Tz>,
    ) -> Result<Loaded, Error> {
        let schema = csv::infer(paths, null)?;
        let size: u64 = paths
            .iter()
            .filter_map(|path| path.metadata().ok())
            .map(|metadata| metadata.len())
            .sum();
        // Decoded rows take about as much as their text, and twice that at worst.
        if size.saturating_mul(2) > self.bytes_max as u64 {
            return Ok(Loaded { schema, batches: None, bytes: 0 });
        }
        let mut batches = Vec::new();
        for path in paths {
            for batch in csv::read(path, &schema, null, zone)? {
                batches.push(batch?);
            }
        }
        Ok(loaded(schema, batches))
    }

    fn load_parquet(&self, paths: &[PathBuf], zone: Option<Tz>) -> Result<Loaded, Error> {
        let mut schema: Option<SchemaRef> = None;
        let mut size = 0_u64;
        for path in paths {
            let (reader, _) = open_parquet(path)?;
            let own = lower_schema(reader.schema(), path)?;
            match &schema {
                Some(first) if *first != own => {
                    return Err(malformed(
                        path,
                        "its columns are not those of the files before it",
                    ));
                }
                _ => schema = Some(own),
            }
            size += reader
                .metadata()
                .row_groups()
                .iter()
                .map(|group| u64::try_from(group.total_byte_size()).unwrap_or(0))
                .sum::<u64>();
        }
        let schema = schema.unwrap_or_else(|| Arc::new(Schema::empty()));
        // Dictionaries and runs are written out in memory.
        if size.saturating_mul(4) > self.bytes_max as u64 {
            return Ok(Loaded { schema, batches: None, bytes: 0 });
        }
        let mut batches = Vec::new();
        for path in paths {
            for batch in read_parquet(path, &schema, zone)? {
                batches.push(batch?);
            }
        }
        Ok(loaded(schema, batches))
    }
}

fn loaded(schema: SchemaRef, batches: Vec<RecordBatch>) -> Loaded {
    let bytes = batches.iter().map(RecordBatch::get_array_memory_size).sum();
    Loaded { schema, batches: Some(batches), bytes }
}

fn source_error(path: &Path, message: impl ToString) -> Error {
    Error::Source { path: path.display().to_string(), message: message.to_string() }
}

/// What the file holds is wrong, wherever in it.
fn malformed(path: &Path, message: impl ToString) -> Error {
    Error::Malformed { path: path.display().to_string(), line: None, message: message.to_string() }
}

/// What the reader says: the system would not let it read, or the bytes are no such table.
fn parquet_error(path: &Path, refusal: &Refusal, error: impl ToString) -> Error {
    match refusal.take() {
        Some(refused) => source_error(path, refused),
        None => malformed(path, error),
    }
}

fn stamp(path: &Path) -> Result<Stamp, Error> {
    let metadata = path.metadata().map_err(|error| source_error(path, error))?;
    Ok(Stamp { path: path.to_owned(), modified: metadata.modified().ok(), bytes: metadata.len() })
}

fn parse_zone(name: &str) -> Result<Tz, Error> {
    name.parse().map_err(|_| Error::Invalid {
        message: format!("`{name}` is not a time zone; write an IANA name, as in `Europe/Berlin`"),
        position: None,
    })
}

fn open_parquet(
    path: &Path,
) -> Result<(ParquetRecordBatchReaderBuilder<Heard<File>>, Refusal), Error> {
    let file = File::open(path).map_err(|error| source_error(path, error))?;
    builder_of(path, file)
}

fn builder_of<R: ChunkReader + 'static>(
    path: &Path,
    reader: R,
) -> Result<(ParquetRecordBatchReaderBuilder<Heard<R>>, Refusal), Error> {
    let (heard, refusal) = Heard::new(reader);
    let builder = ParquetRecordBatchReaderBuilder::try_new(heard)
        .map_err(|error: ParquetError| parquet_error(path, &refusal, error))?;
    Ok((builder, refusal))
}

/// The batches of a file in the types of `schema`.
fn read_parquet(
    path: &Path,
    schema: &SchemaRef,
    zone: Option<Tz>,
) -> Result<impl Iterator<Item = Result<RecordBatch, Error>> + use<>, Error> {
    batches_of(path, open_parquet(path)?, schema, zone)
}

fn batches_of<R: ChunkReader + 'static>(
    path: &Path,
    (builder, refusal): (ParquetRecordBatchReaderBuilder<Heard<R>>, Refusal),
    schema: &SchemaRef,
    zone: Option<Tz>,
) -> Result<impl Iterator<Item = Result<RecordBatch, Error>> + use<R>, Error> {
    let reader = builder
        .with_batch_size(8192)
        .build()
        .map_err(|error| parquet_error(path, &refusal, error))?;
    let (schema, path) = (Arc::clone(schema), path.to_owned());
    Ok(reader.map(move |batch| {
        let batch = batch.map_err(|error| parquet_error(&path, &refusal, error))?;
        normalise(&batch, &schema, zone)
    }))
}

/// The columns as the engine holds them, names in lower case.
fn lower_schema(schema: &Schema, path: &Path) -> Result<SchemaRef, Error> {
    let mut fields: Vec<Field> = Vec::with_capacity(schema.fields().len());
    for field in schema.fields() {
        let name = field.name().to_lowercase();
        let data_type = normalised(field.data_type()).ok_or_else(|| {
            malformed(
                path,
                format!(
                    "column `{name}` has the type {}, which has no place here",
                    field.data_type()
                ),
            )
        })?;
        if fields.iter().any(|other| *other.name() == name) {
            return Err(malformed(path, format!("the column `{name}` is there twice")));
        }
        fields.push(Field::new(name, data_type, true));
    }
    Ok(Arc::new(Schema::new(fields)))
}

/// Rows in the engine's types; by position.
pub fn normalise(
    batch: &RecordBatch,
    schema: &SchemaRef,
    zone: Option<Tz>,
) -> Result<RecordBatch, Error> {
    let columns = batch
        .columns()
        .iter()
        .zip(schema.fields())
        .map(|(column, field)| normalise_column(column, field.data_type(), zone))
        .collect::<Result<Vec<_>, _>>()?;
    let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)
        .map_err(|error| Error::Internal(error.to_string()))
}

fn normalise_column(column: &ArrayRef, to: &DataType, zone: Option<Tz>) -> Result<ArrayRef, Error> {
    if column.data_type() == to {
        return Ok(Arc::clone(column));
    }
    let failed = |error: arrow::error::ArrowError| Error::Data(error.to_string());
    if let (DataType::Timestamp(_, None), Some(zone)) = (column.data_type(), zone) {
        let local =
            cast(column, &DataType::Timestamp(TimeUnit::Microsecond, None)).map_err(failed)?;
        let times: TimestampMicrosecondArray = local
            .as_primitive::<TimestampMicrosecondType>()
            .iter()
            .map(|micros| micros.and_then(|micros| instant(micros, zone)))
            .collect();
        return Ok(Arc::new(times.with_data_type(timestamp_type())));
    }
    cast(column, to).map_err(failed)
}

/// The instant of a local time: the earlier of two, or moved past a gap, as Java does it.
pub fn instant(local_micros: i64, zone: Tz) -> Option<i64> {
    let local: NaiveDateTime = DateTime::from_timestamp_micros(local_micros)?.naive_utc();
    let offset_micros = |at: &NaiveDateTime| {
        let found = zone.from_local_datetime(at).earliest()?;
        Some(i64::from(found.offset().fix().local_minus_utc()) * 1_000_000)
    };
    let offset = offset_micros(&local).or_else(|| offset_micros(&(local - Duration::hours(6))))?;
    local_micros.checked_sub(offset)
}

/// Rows that are given, as a table.
fn memory_table(
    schema: &SchemaRef,
    batches: &[RecordBatch],
    zone: Option<Tz>,
) -> Result<Arc<dyn TableProvider>, Error> {
    let schema = lower_schema(schema, Path::new("the given rows"))?;
    let batches = batches
        .iter()
        .map(|batch| normalise(batch, &schema, zone))
        .collect::<Result<Vec<_>, _>>()?;
    Ok(Arc::new(MemTable::try_new(schema, vec![batches]).map_err(from_datafusion)?))
}

/// A query's tables by lower-case name.
pub fn by_name(
    sources: &Sources,
    tables: &[Table],
) -> Result<HashMap<String, Arc<dyn TableProvider>>, Error> {
    let mut found: HashMap<String, Arc<dyn TableProvider>> = HashMap::new();
    for table in tables {
        let name = table.name.to_lowercase();
        if found.contains_key(&name) {
            return Err(Error::Invalid {
                message: format!("the table `{name}` is declared twice"),
                position: None,
            });
        }
        found.insert(name, sources.provider(&table.source, table.time_zone.as_deref())?);
    }
    Ok(found)
}

#[cfg(test)]
mod tests;
