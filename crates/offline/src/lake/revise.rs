//! What a new revision of a published partition changes: per entity, whether its rows are the same.
//!
//! An entity whose rows did not change keeps their sequence, so a loader that has the earlier
//! revision skips it. Where they changed or vanished, the row that was the entity's newest is
//! *retired*: remembered by key, event time and sequence in `_retired.parquet` of this and every later
//! revision. Any online store, however many revisions behind, finds there every row that it may still
//! hold and should not; no old run needs to be kept for it.

use std::{cmp::Ordering, sync::Arc};

use arrow::{
    array::{ArrayRef, AsArray, Int64Array, RecordBatch, UInt32Array},
    compute::{concat_batches, take_record_batch},
    datatypes::{DataType as Arrow, Field, Int64Type, Schema, SchemaRef},
    row::RowConverter,
};

use crate::{
    Error, canonical,
    columns::SEQUENCE_COLUMN,
    period::Period,
    sequence::{revision_of, sequence},
};

/// The column of `_retired.parquet` that says with which revision the row went.
pub const RETIRED_AT_COLUMN: &str = "_retired_at";

/// Rows with their sequences, and the rows that no longer count.
#[derive(Debug)]
pub struct Revised {
    /// The rows, `_sequence` appended.
    pub rows: RecordBatch,
    /// Keys, event time, `_sequence`, `_retired_at`.
    pub retired: RecordBatch,
}

/// The partition as it stands.
pub(super) struct Before {
    /// Its rows, `_sequence` last.
    pub rows: RecordBatch,
    /// Its retired rows.
    pub retired: Option<RecordBatch>,
}

/// Join keys, event time, sequence and revision, for rows with `keys` join keys.
pub fn retired_schema(published: &Schema, keys: usize) -> SchemaRef {
    let mut fields: Vec<Field> =
        published.fields()[..=keys].iter().map(|field| field.as_ref().clone()).collect();
    fields.push(Field::new(SEQUENCE_COLUMN, Arrow::Int64, false));
    fields.push(Field::new(RETIRED_AT_COLUMN, Arrow::Int64, false));
    Arc::new(Schema::new(fields))
}

/// Gives sorted rows their sequences for this revision. `keys` counts the join key columns; the
/// event time follows them.
pub(super) fn revise(
    rows: &RecordBatch,
    keys: usize,
    period: Period,
    revision: u64,
    before: Option<&Before>,
) -> Result<Revised, Error> {
    // One converter for both: bytes of two do not compare.
    let key_converter = canonical::row_converter(rows, keys)?;
    let key_rows = KeyRuns::new(&key_converter, rows, keys)?;
    let width = rows.num_columns();
    let retired_schema = retired_schema(&rows.schema(), keys);

    let mut revisions = vec![revision; key_rows.ends.len()];
    let mut gone: Vec<u32> = Vec::new();
    if let Some(before) = before {
        let same_columns = before.rows.num_columns() == width + 1
            && before.rows.schema().fields()[..width] == rows.schema().fields()[..];
        let old = KeyRuns::new(&key_converter, &before.rows, keys)?;
        let new = &key_rows;
        let whole = if same_columns {
            let converter = canonical::row_converter(rows, width)?;
            Some((
                canonical::rows(&converter, rows, width)?,
                canonical::rows(&converter, &before.rows, width)?,
            ))
        } else {
            None
        };
        let old_sequences =
            before.rows.column(before.rows.num_columns() - 1).as_primitive::<Int64Type>();
        let (mut i, mut j) = (0, 0);
        while j < old.ends.len() {
            let order = if i < new.ends.len() {
                new.rows.row(new.start(i)).cmp(&old.rows.row(old.start(j)))
            } else {
                Ordering::Greater
            };
            match order {
                Ordering::Less => i += 1,
                Ordering::Greater => {
                    gone.push(old.last(j)?);
                    j += 1;
                }
                Ordering::Equal => {
                    let (a, b) = (new.start(i)..new.ends[i], old.start(j)..old.ends[j]);
                    let same = whole.as_ref().is_some_and(|(new_rows, old_rows)| {
                        a.len() == b.len()
                            && a.zip(b).all(|(a, b)| new_rows.row(a) == old_rows.row(b))
                    });
                    if same {
                        revisions[i] = revision_of(old_sequences.value(old.start(j)));
                    } else {
                        gone.push(old.last(j)?);
                    }
                    i += 1;
                    j += 1;
                }
            }
        }
    }

    let sequences = key_rows.sequences(rows, keys, period, &revisions)?;
    let mut fields: Vec<Field> =
        rows.schema().fields().iter().map(|field| field.as_ref().clone()).collect();
    fields.push(Field::new(SEQUENCE_COLUMN, Arrow::Int64, false));
    let mut columns = rows.columns().to_vec();
    columns.push(Arc::new(sequences));
    let with_sequence = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?;

    let mut pieces: Vec<RecordBatch> = Vec::new();
    if let Some(before) = before {
        pieces.extend(before.retired.clone());
        if !gone.is_empty() {
            let taken = take_record_batch(&before.rows, &UInt32Array::from(gone))?;
            let mut columns: Vec<ArrayRef> = taken.columns()[..=keys].to_vec();
            columns.push(Arc::clone(taken.column(taken.num_columns() - 1)));
            columns
                .push(Arc::new(Int64Array::from(vec![revision.cast_signed(); taken.num_rows()])));
            pieces.push(RecordBatch::try_new(Arc::clone(&retired_schema), columns)?);
        }
    }
    let retired = concat_batches(&retired_schema, &pieces)?;
    Ok(Revised { rows: with_sequence, retired })
}

/// The runs of rows of one entity in a sorted batch.
struct KeyRuns {
    rows: arrow::row::Rows,
    ends: Vec<usize>,
}

impl KeyRuns {
    fn new(converter: &RowConverter, batch: &RecordBatch, keys: usize) -> Result<Self, Error> {
        let rows = canonical::rows(converter, batch, keys)?;
        let ends = canonical::run_ends(&rows);
        Ok(Self { rows, ends })
    }
    fn start(&self, run: usize) -> usize {
        if run == 0 { 0 } else { self.ends[run - 1] }
    }
    fn last(&self, run: usize) -> Result<u32, Error> {
        u32::try_from(self.ends[run] - 1)
            .map_err(|_| Error::Internal("more than 2^32 rows in a partition".to_owned()))
    }
    fn sequences(
        &self,
        batch: &RecordBatch,
        keys: usize,
        period: Period,
        revisions: &[u64],
    ) -> Result<Int64Array, Error> {
        let converter = canonical::row_converter(batch, keys + 1)?;
        let timed = canonical::rows(&converter, batch, keys + 1)?;
        let mut sequences = Vec::with_capacity(batch.num_rows());
        for (run, revision) in revisions.iter().enumerate() {
            let mut tie = 0;
            for row in self.start(run)..self.ends[run] {
                let tied = row > self.start(run) && timed.row(row) == timed.row(row - 1);
                tie = if tied { tie + 1 } else { 0 };
                sequences.push(sequence(period.start, *revision, tie));
            }
        }
        Ok(Int64Array::from(sequences))
    }
}
