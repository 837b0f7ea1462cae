//! What a column holds, in one line.

use std::collections::HashSet;

use arrow::{
    array::{Array, AsArray},
    compute::cast,
    datatypes::{DataType as Arrow, Float64Type},
    row::{RowConverter, SortField},
};
use serde::Serialize;
use serde_json::Value as Json;
use trivium_api::ApiError;

use crate::{failure::Failure, frame::FrameColumn};

/// Statistics of one column.
#[derive(Debug, Serialize)]
pub struct Statistics {
    /// The column.
    pub name: String,
    /// Its type.
    #[serde(rename = "type")]
    pub data_type: String,
    /// Values that are not null.
    pub count: usize,
    /// Nulls.
    pub nulls: usize,
    /// The smallest value; null where there is none.
    pub min: Json,
    /// The largest; NaN is above all numbers, as in Spark.
    pub max: Json,
    /// Of numbers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mean: Option<f64>,
    /// Different values, null not counted.
    pub distinct: usize,
}

impl Statistics {
    /// Looks at every row.
    pub fn of(column: &FrameColumn) -> Result<Self, Failure> {
        let wrong = |error: arrow::error::ArrowError| -> Failure {
            ApiError::internal(format!("statistics of `{}`: {error}", column.name)).into()
        };
        let array = &column.array;
        let converter =
            RowConverter::new(vec![SortField::new(array.data_type().clone())]).map_err(wrong)?;
        let rows = converter.convert_columns(std::slice::from_ref(array)).map_err(wrong)?;
        let mut distinct = HashSet::new();
        let (mut least, mut most): (Option<usize>, Option<usize>) = (None, None);
        let nulls = array.logical_nulls();
        let mut count = 0;
        for row in 0..array.len() {
            if nulls.as_ref().is_some_and(|nulls| nulls.is_null(row)) {
                continue;
            }
            count += 1;
            distinct.insert(rows.row(row));
            if least.is_none_or(|least| rows.row(row) < rows.row(least)) {
                least = Some(row);
            }
            if most.is_none_or(|most| rows.row(row) > rows.row(most)) {
                most = Some(row);
            }
        }
        let value = |row: Option<usize>| row.map_or(Json::Null, |row| column.json(row));
        Ok(Self {
            name: column.name.clone(),
            data_type: column.data_type.to_string(),
            count,
            nulls: array.len() - count,
            min: value(least),
            max: value(most),
            mean: if is_number(array.data_type()) {
                let numbers = cast(array, &Arrow::Float64).map_err(wrong)?;
                mean(numbers.as_primitive::<Float64Type>().iter().flatten())
            } else {
                None
            },
            distinct: distinct.len(),
        })
    }
}

fn is_number(data_type: &Arrow) -> bool {
    data_type.is_numeric()
}

/// Step by step, so that a sum of large numbers does not overflow; `None` of nothing.
fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut mean = 0.0;
    let mut count = 0.0;
    for value in values {
        count += 1.0;
        mean += (value - mean) / count;
    }
    (count > 0.0).then_some(mean)
}
