//! The sketches that windows of `approx_distinct` are merged from.
//!
//! What two engines make of the same values differs in its bytes: by the order of rows, and by the room
//! that is left in a sketch. A raw partition has the one form of each, so its content hash says the
//! same for both, and a rerun that gives the same values changes no file.

use std::{collections::HashMap, sync::Arc};

use arrow::array::{Array, ArrayRef, AsArray, BinaryArray, RecordBatch};
use trivium_model::{FeatureView, Name};
use trivium_sketch::Sketch;

use super::RawRows;
use crate::{
    Error, Period,
    entity::{entity_of, shown},
};

const HELP: &str = "a sketch is what `hll_sketch_agg` or `hll_union_agg` gives: make the column by one of them, \
                    without touching its bytes, or make it null";

/// The columns of sketches, by their place in a batch.
fn columns<'a>(
    view: &'a FeatureView,
    rows: &'a RecordBatch,
) -> impl Iterator<Item = (&'a Name, usize)> {
    let sketches = view.rollup.iter().flat_map(|rollup| rollup.sketches());
    sketches.filter_map(|name| Some((name, rows.schema_ref().index_of(name).ok()?)))
}

/// Rows of one period with each sketch in its one form; the first that is none is an error.
pub(super) fn normalised(
    view: &FeatureView,
    period: Period,
    rows: RecordBatch,
) -> Result<RecordBatch, Error> {
    let mut arrays = rows.columns().to_vec();
    for (name, at) in columns(view, &rows) {
        let Some(sketches) = rows.column(at).as_binary_opt::<i32>() else { continue };
        let one_form: Result<BinaryArray, Error> = (0..sketches.len())
            .map(|row| {
                if sketches.is_null(row) {
                    return Ok(None);
                }
                let sketch = Sketch::read(sketches.value(row))
                    .map_err(|error| spoiled(view, period, name, &rows, row, &error))?;
                Ok(Some(sketch.canonical()))
            })
            .collect();
        arrays[at] = Arc::new(one_form?) as ArrayRef;
    }
    Ok(RecordBatch::try_new(rows.schema(), arrays)?)
}

fn spoiled(
    view: &FeatureView,
    period: Period,
    name: &Name,
    rows: &RecordBatch,
    row: usize,
    error: &trivium_sketch::Error,
) -> Error {
    Error::Rows {
        view: view.reference(),
        period: period.folder(),
        message: format!(
            "column `{name}` for entity {}: {error}",
            shown(view, &entity_of(view, rows, row))
        ),
        help: HELP.to_owned(),
    }
}

/// Why the sketches of these partitions cannot be merged, if it is they: a publication that failed looks
/// for the column and the period, which no engine names.
pub(super) fn unmergeable(view: &FeatureView, window: &[RawRows]) -> Option<Error> {
    for name in view.rollup.iter().flat_map(|rollup| rollup.sketches()) {
        let mut sizes: HashMap<String, (u8, Period)> = HashMap::new();
        for RawRows { period, rows, .. } in window {
            let column = rows.column_by_name(name).and_then(|column| column.as_binary_opt::<i32>());
            let Some(sketches) = column else { continue };
            for row in (0..sketches.len()).filter(|row| sketches.is_valid(*row)) {
                let lg_k = match Sketch::read(sketches.value(row)) {
                    Ok(sketch) => sketch.lg_k(),
                    Err(error) => return Some(spoiled(view, *period, name, rows, row, &error)),
                };
                let entity = shown(view, &entity_of(view, rows, row));
                let (other, since) = *sizes.entry(entity.clone()).or_insert((lg_k, *period));
                if other != lg_k {
                    return Some(Error::Rows {
                        view: view.reference(),
                        period: period.folder(),
                        message: format!(
                            "column `{name}` for entity {entity}: a sketch of `lgConfigK` {lg_k}, and one \
                             of {other} in period {}; a window merges sketches of one size",
                            since.folder()
                        ),
                        help:
                            "give `hll_sketch_agg` one `lgConfigK` in all periods, and run those \
                               again that have another"
                                .to_owned(),
                    });
                }
            }
        }
    }
    None
}
