//! Rows of the lake as people and programs read them.

use arrow::{array::ArrayRef, record_batch::RecordBatch};
use serde_json::Value as Json;
use trivium_api::ApiError;
use trivium_model::{DataType, json::value_to_json};
use trivium_offline::{ValueColumn, columns::Column};

use crate::failure::Failure;

/// A cell of a table for people is cut after so many characters.
const CELL_CHARS_MAX: usize = 32;

/// Rows in columns whose types are known.
#[derive(Debug)]
pub struct Frame {
    /// The columns, in order.
    pub columns: Vec<FrameColumn>,
    /// How many rows.
    pub rows: usize,
}

/// One column.
#[derive(Debug)]
pub struct FrameColumn {
    /// Its name.
    pub name: String,
    /// Its type.
    pub data_type: DataType,
    /// Its values as Arrow has them.
    pub array: ArrayRef,
    values: ValueColumn,
}

impl Frame {
    /// The batch's columns of these names and types; one that the batch lacks is left out.
    pub fn new(batch: &RecordBatch, columns: &[Column]) -> Result<Self, Failure> {
        let columns = columns
            .iter()
            .filter_map(|column| Some((column, batch.column_by_name(&column.name)?)))
            .map(|(column, array)| {
                let values = ValueColumn::new(array, &column.data_type).map_err(|message| {
                    ApiError::internal(format!("column `{}`: {message}", column.name))
                })?;
                Ok(FrameColumn {
                    name: column.name.clone(),
                    data_type: column.data_type.clone(),
                    array: array.clone(),
                    values,
                })
            })
            .collect::<Result<_, Failure>>()?;
        Ok(Self { columns, rows: batch.num_rows() })
    }

    /// The column of this name.
    pub fn column(&self, name: &str) -> Option<&FrameColumn> {
        self.columns.iter().find(|column| column.name == name)
    }
}

impl FrameColumn {
    /// A value as REST would show it.
    pub fn json(&self, row: usize) -> Json {
        self.values
            .value(row)
            .map_or(Json::Null, |value| value_to_json(&self.data_type, &value.to_owned()))
    }

    /// A value in a table for people.
    pub fn cell(&self, row: usize) -> String {
        shortened(&plain(&self.json(row)))
    }
}

/// Text without quotes, everything else as JSON.
pub fn plain(json: &Json) -> String {
    match json {
        Json::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// At most a cell's length.
pub fn shortened(text: &str) -> String {
    match text.char_indices().nth(CELL_CHARS_MAX) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or(text)),
        None => text.to_owned(),
    }
}
