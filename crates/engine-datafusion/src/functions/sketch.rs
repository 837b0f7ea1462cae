//! Sketches of distinct values, row by row.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, AsArray, BinaryArray, Int64Array},
    datatypes::DataType,
};
use datafusion::{common::Result, error::DataFusionError, logical_expr::ScalarUDF};
use trivium_sketch::{Error, Sketch, Union};

use super::{SparkFunction, Takes, room::Room};
use crate::error::{data_error, invalid_error};

/// The engine's error for one of a sketch's, naming the function that met it.
pub fn sketch_error(function: &str, error: Error) -> DataFusionError {
    match error {
        Error::Spoiled(_) => data_error(format!(
            "`{function}`: {error}; only what `hll_sketch_agg` and `hll_union_agg` give can be merged"
        )),
        Error::LgK(_) => invalid_error(format!("`{function}`: {error}")),
        Error::DifferentLgK(..) => data_error(format!(
            "`{function}`: {error}; make all of one size, or allow it with a last argument of true"
        )),
    }
}

fn estimate(args: &[ArrayRef], _: &DataType) -> Result<ArrayRef> {
    let failed = |error| sketch_error("hll_sketch_estimate", error);
    let estimates: Result<Int64Array> = args[0]
        .as_binary::<i32>()
        .iter()
        .map(|bytes| {
            bytes.map(|bytes| Ok(Sketch::read(bytes).map_err(failed)?.estimate())).transpose()
        })
        .collect();
    Ok(Arc::new(estimates?))
}

fn union(args: &[ArrayRef], _: &DataType) -> Result<ArrayRef> {
    let failed = |error| sketch_error("hll_union", error);
    let (first, second) = (args[0].as_binary::<i32>(), args[1].as_binary::<i32>());
    // An array's offsets end at 2 GiB, and a sketch may have two million bytes.
    let mut room = Room::new("hll_union");
    let allowed = args.get(2).map(|allowed| allowed.as_boolean());
    let unions: Result<BinaryArray> = first
        .iter()
        .zip(second)
        .enumerate()
        .map(|(row, pair)| {
            let (Some(first), Some(second)) = pair else { return Ok(None) };
            let allowed = match allowed {
                Some(allowed) if allowed.is_null(row) => return Ok(None),
                Some(allowed) => allowed.value(row),
                None => false,
            };
            let first = Sketch::read(first).map_err(failed)?;
            let second = Sketch::read(second).map_err(failed)?;
            if !allowed && first.lg_k() != second.lg_k() {
                return Err(failed(Error::DifferentLgK(first.lg_k(), second.lg_k())));
            }
            // Spark's has the size of the smaller one, where `hll_union_agg` begins with the first.
            let mut union = Union::with_lg_k(first.lg_k().min(second.lg_k())).map_err(failed)?;
            union.add(&first, true).map_err(failed)?;
            union.add(&second, true).map_err(failed)?;
            let bytes = union.sketch().bytes();
            room.take(bytes.len())?;
            Ok(Some(bytes))
        })
        .collect();
    Ok(Arc::new(unions?))
}

/// This module's functions.
pub fn functions() -> Vec<Arc<ScalarUDF>> {
    use Takes::{Binary, Flag};
    vec![
        SparkFunction::fixed("hll_sketch_estimate", &[Binary], 0, DataType::Int64, estimate),
        SparkFunction::fixed("hll_union", &[Binary, Binary, Flag], 1, DataType::Binary, union),
    ]
}
