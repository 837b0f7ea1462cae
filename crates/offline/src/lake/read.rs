//! Reading a partition's files, some thousand rows at a time.

use std::{fs::File, path::Path};

use arrow::record_batch::RecordBatch;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use crate::Error;

/// Rows in a batch: some megabytes of wide rows.
pub const BATCH_ROWS: usize = 8_192;

/// The file's rows; `columns` picks some by name (all if `None`; names it lacks are left out).
pub fn read_batches(
    path: &Path,
    columns: Option<&[String]>,
) -> Result<impl Iterator<Item = Result<RecordBatch, Error>> + use<>, Error> {
    let file = File::open(path).map_err(Error::io("read", path))?;
    let corrupt = |error: parquet::errors::ParquetError| Error::corrupt(path, error);
    let mut builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(corrupt)?;
    if let Some(columns) = columns {
        let picked: Vec<usize> = builder
            .schema()
            .fields()
            .iter()
            .enumerate()
            .filter(|(_, field)| columns.contains(field.name()))
            .map(|(index, _)| index)
            .collect();
        let mask = parquet::arrow::ProjectionMask::roots(builder.parquet_schema(), picked);
        builder = builder.with_projection(mask);
    }
    let reader = builder.with_batch_size(BATCH_ROWS).build().map_err(corrupt)?;
    let path = path.to_owned();
    Ok(reader.map(move |batch| batch.map_err(|error| Error::corrupt(&path, error))))
}
