//! One order and one hash for the rows of a partition, so that a rerun can be told from a change.
//!
//! Rows are sorted by join keys, event time, created time (null lowest), then every other column.
//! So the newest row of an entity is the last one of its run of rows, and two partitions of a view
//! can be merged entity by entity, reading each once.

use arrow::{
    array::{Array, ArrayRef, AsArray, RecordBatch, UInt32Array},
    compute::take_record_batch,
    datatypes::{
        DataType as Arrow, Date32Type, Decimal128Type, Float32Type, Float64Type, Int32Type,
        Int64Type, TimestampMicrosecondType,
    },
    row::{RowConverter, Rows, SortField},
};
use sha2::{Digest, Sha256};

use crate::Error;

/// Turns the first `count` columns into bytes that compare as the rows do.
pub fn row_converter(batch: &RecordBatch, count: usize) -> Result<RowConverter, Error> {
    let fields = batch.columns()[..count]
        .iter()
        .map(|column| SortField::new(column.data_type().clone()))
        .collect();
    Ok(RowConverter::new(fields)?)
}

/// The comparable bytes of the first `count` columns.
pub fn rows(converter: &RowConverter, batch: &RecordBatch, count: usize) -> Result<Rows, Error> {
    Ok(converter.convert_columns(&batch.columns()[..count])?)
}

/// The batch in canonical order. Its columns must be in the lake's order.
pub fn sort(batch: &RecordBatch) -> Result<RecordBatch, Error> {
    let converter = row_converter(batch, batch.num_columns())?;
    let rows = rows(&converter, batch, batch.num_columns())?;
    if (1..rows.num_rows()).all(|index| rows.row(index - 1) <= rows.row(index)) {
        return Ok(batch.clone());
    }
    let count = u32::try_from(batch.num_rows())
        .map_err(|_| Error::Internal("more than 2^32 rows in a partition".to_owned()))?;
    let mut order: Vec<u32> = (0..count).collect();
    // Equal rows are equal in every column: unstable is as good.
    order.sort_unstable_by(|a, b| rows.row(*a as usize).cmp(&rows.row(*b as usize)));
    Ok(take_record_batch(batch, &UInt32Array::from(order))?)
}

/// The hash of a sorted batch: names, types and values, whatever the file format or the library.
pub fn content_hash(batch: &RecordBatch) -> Result<String, Error> {
    let mut hasher = Sha256::new();
    hasher.update((batch.num_rows() as u64).to_le_bytes());
    for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
        text(&mut hasher, field.name());
        text(&mut hasher, &field.data_type().to_string());
        let mut buffer = Vec::with_capacity(column.len() * 9);
        values(&mut buffer, column)?;
        hasher.update(&buffer);
    }
    Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

fn text(hasher: &mut Sha256, text: &str) {
    hasher.update((text.len() as u64).to_le_bytes());
    hasher.update(text.as_bytes());
}

/// Appends each value as a marker and, if it is not null, its bytes; what varies in length has it before it.
fn values(buffer: &mut Vec<u8>, array: &ArrayRef) -> Result<(), Error> {
    macro_rules! fixed {
        ($array:expr, $bytes:expr) => {{
            let array = $array;
            for index in 0..array.len() {
                if array.is_null(index) {
                    buffer.push(0);
                } else {
                    buffer.push(1);
                    buffer.extend_from_slice(&$bytes(array.value(index)));
                }
            }
        }};
    }
    match array.data_type() {
        Arrow::Boolean => fixed!(array.as_boolean(), |v: bool| [u8::from(v)]),
        Arrow::Int32 => fixed!(array.as_primitive::<Int32Type>(), i32::to_le_bytes),
        Arrow::Int64 => fixed!(array.as_primitive::<Int64Type>(), i64::to_le_bytes),
        Arrow::Float32 => fixed!(array.as_primitive::<Float32Type>(), f32::to_le_bytes),
        Arrow::Float64 => fixed!(array.as_primitive::<Float64Type>(), f64::to_le_bytes),
        Arrow::Date32 => fixed!(array.as_primitive::<Date32Type>(), i32::to_le_bytes),
        Arrow::Timestamp(..) => {
            fixed!(array.as_primitive::<TimestampMicrosecondType>(), i64::to_le_bytes);
        }
        Arrow::Decimal128(..) => fixed!(array.as_primitive::<Decimal128Type>(), i128::to_le_bytes),
        Arrow::Utf8 => {
            let array = array.as_string::<i32>();
            for value in array {
                variable(buffer, value.map(str::as_bytes));
            }
        }
        Arrow::Binary => {
            let array = array.as_binary::<i32>();
            for value in array {
                variable(buffer, value);
            }
        }
        Arrow::List(_) => {
            let array = array.as_list::<i32>();
            for index in 0..array.len() {
                if array.is_null(index) {
                    buffer.push(0);
                } else {
                    let items = array.value(index);
                    buffer.push(1);
                    buffer.extend_from_slice(&(items.len() as u64).to_le_bytes());
                    values(buffer, &items)?;
                }
            }
        }
        other => {
            return Err(Error::Internal(format!("{other} is no type of the lake")));
        }
    }
    Ok(())
}

fn variable(buffer: &mut Vec<u8>, value: Option<&[u8]>) {
    match value {
        None => buffer.push(0),
        Some(bytes) => {
            buffer.push(1);
            buffer.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
            buffer.extend_from_slice(bytes);
        }
    }
}

/// Where runs of equal rows end: for each run, the index after its last row.
pub fn run_ends(rows: &Rows) -> Vec<usize> {
    let count = rows.num_rows();
    (1..=count).filter(|end| *end == count || rows.row(*end) != rows.row(*end - 1)).collect()
}
