//! Values that may not be published, though their types are right: instants and days that not every
//! surface can spell, and, in views that are served, keys, values and rows that the online store
//! does not take. Found here, an error names column, entity and period; found by a materialization,
//! such a row would stand before every later one.

use arrow::{
    array::{Array, ArrayRef, AsArray, RecordBatch},
    datatypes::{DataType as Arrow, Date32Type, TimestampMicrosecondType},
};
use trivium_codec::{HEADER_BYTES, KeyShape, RowEncoder, Schema};
use trivium_model::{FeatureView, Timestamp, json, time::CALENDAR_DAYS};
use trivium_store::door::{ROW_BYTES_MAX, VALUE_BYTES_MAX};

use crate::{
    Error, Period,
    columns::Column,
    encode::ValueColumn,
    entity::{entity_of, shown},
};

/// What a feature takes in a row beside its value, at most.
const FEATURE_BYTES: usize = 16;
/// What a join key's value takes beside its text: two letters and a separator; numbers are short.
const KEY_PART_BYTES: usize = 32;

/// Rows of one period, in the lake's columns.
pub(super) struct Values<'a> {
    pub(super) view: &'a FeatureView,
    pub(super) period: Period,
    pub(super) columns: &'a [Column],
    pub(super) rows: &'a RecordBatch,
}

impl Values<'_> {
    /// Refuses the period for the first value that may not be published.
    pub(super) fn check(&self) -> Result<(), Error> {
        for (column, array) in self.columns.iter().zip(self.rows.columns()) {
            self.check_calendar(column, array)?;
        }
        if self.view.online {
            self.check_keys()?;
            self.check_sizes()?;
            self.check_rows()?;
        }
        Ok(())
    }

    fn refused(&self, message: String, help: &str) -> Error {
        Error::Rows {
            view: self.view.reference(),
            period: self.period.folder(),
            message,
            help: help.to_owned(),
        }
    }

    fn entity(&self, row: usize) -> String {
        shown(self.view, &entity_of(self.view, self.rows, row))
    }

    fn check_calendar(&self, column: &Column, array: &ArrayRef) -> Result<(), Error> {
        let Some((at, text)) = outside_calendar(array) else { return Ok(()) };
        Err(self.refused(
            format!(
                "column `{}` is {text} for entity {}, outside of the years 0001 to 9999",
                column.name,
                self.entity(at)
            ),
            "no surface could show it: is the unit right? Filter such rows out in the SQL, or make \
             the value null",
        ))
    }

    fn check_keys(&self) -> Result<(), Error> {
        let keys = &self.rows.columns()[..self.view.entities.len()];
        // A character may take three bytes when it is escaped.
        let most: usize = keys.iter().map(|key| longest(key) * 3 + KEY_PART_BYTES).sum();
        let shape = KeyShape::new(self.view);
        let names: usize = self.view.entities.iter().map(|key| key.name.len() + 1).sum();
        if most + names + self.view.namespace.len() + 2 <= trivium_codec::PARTITION_BYTES_MAX {
            return Ok(());
        }
        for row in 0..self.rows.num_rows() {
            let entity = entity_of(self.view, self.rows, row);
            if let Err(error) = shape.encode(&entity) {
                return Err(self.refused(
                    format!("entity {}: {error}", shown(self.view, &entity)),
                    "the online store takes no such key: filter such rows out in the SQL, or join by \
                     something shorter, such as a hash",
                ));
            }
        }
        Ok(())
    }

    /// The features' columns: all but the join keys.
    fn features(&self) -> impl Iterator<Item = (&Column, &ArrayRef)> {
        self.columns.iter().zip(self.rows.columns()).skip(self.view.entities.len())
    }

    fn check_sizes(&self) -> Result<(), Error> {
        for (column, array) in self.features() {
            if longest(array) <= VALUE_BYTES_MAX {
                continue;
            }
            let Some(row) = (0..array.len()).find(|row| bytes(array, *row) > VALUE_BYTES_MAX)
            else {
                continue;
            };
            return Err(self.refused(
                format!(
                    "feature `{}` takes {} bytes for entity {}, more than the limit of \
                     {VALUE_BYTES_MAX} for one value",
                    column.name,
                    bytes(array, row),
                    self.entity(row)
                ),
                "the online store takes no such value: shorten it in the SQL, or set `online` to \
                 false",
            ));
        }
        Ok(())
    }

    fn check_rows(&self) -> Result<(), Error> {
        // Not exact: what comes near the limit is encoded.
        let near = ROW_BYTES_MAX / 2;
        let beside = HEADER_BYTES + FEATURE_BYTES * self.columns.len();
        if beside + self.features().map(|(_, array)| longest(array)).sum::<usize>() <= near {
            return Ok(());
        }
        let failed =
            |message: String| Error::Encode { view: self.view.reference(), row: None, message };
        let schema = Schema::of_view(self.view).map_err(|error| failed(error.to_string()))?;
        let mut encoder = RowEncoder::new(&schema);
        let mut typed = Vec::with_capacity(schema.fields().len());
        for field in schema.fields() {
            // Raw rows have no windows yet.
            let array = self.rows.column_by_name(&field.name);
            let array = array.map(|array| ValueColumn::new(array, &field.data_type)).transpose();
            typed.push(array.map_err(failed)?);
        }
        for row in 0..self.rows.num_rows() {
            let about: usize = self.features().map(|(_, array)| bytes(array, row)).sum();
            if beside + about <= near {
                continue;
            }
            let values: Vec<_> =
                typed.iter().map(|column| column.as_ref().and_then(|one| one.value(row))).collect();
            let said = match encoder.encode(trivium_model::Lane::Batch, &values) {
                Ok(encoded) if encoded.as_bytes().len() <= ROW_BYTES_MAX => continue,
                Ok(encoded) => format!(
                    "the row takes {} bytes, more than the limit of {ROW_BYTES_MAX}",
                    encoded.as_bytes().len()
                ),
                Err(error) => error.to_string(),
            };
            let widest = self.features().max_by_key(|(_, array)| bytes(array, row));
            let widest = widest.map_or(String::new(), |(column, array)| {
                format!("; `{}` has the most, {}", column.name, bytes(array, row))
            });
            return Err(self.refused(
                format!("entity {}: {said}{widest}", self.entity(row)),
                "the online store takes no such row: shorten its values in the SQL, split the view, \
                 or set `online` to false",
            ));
        }
        Ok(())
    }
}

/// The first row with an instant or a day that a calendar of four digits does not have, and how it
/// reads.
fn outside_calendar(array: &ArrayRef) -> Option<(usize, String)> {
    let valid = |row: &usize| array.is_valid(*row);
    match array.data_type() {
        Arrow::Timestamp(..) => {
            let times = array.as_primitive_opt::<TimestampMicrosecondType>()?.values();
            let row =
                (0..times.len()).filter(|row| !Timestamp(times[*row]).in_calendar()).find(valid)?;
            Some((row, Timestamp(times[row]).to_string()))
        }
        Arrow::Date32 => {
            let days = array.as_primitive::<Date32Type>().values();
            let row =
                (0..days.len()).filter(|row| !CALENDAR_DAYS.contains(&days[*row])).find(valid)?;
            Some((row, json::day_to_text(days[row])))
        }
        Arrow::List(item) if matches!(item.data_type(), Arrow::Timestamp(..) | Arrow::Date32) => {
            let lists = array.as_list::<i32>();
            // Items that no list has do not count: look at all only to see whether any is wrong.
            outside_calendar(lists.values())?;
            (0..lists.len())
                .filter(valid)
                .find_map(|row| outside_calendar(&lists.value(row)).map(|(_, text)| (row, text)))
        }
        _ => None,
    }
}

/// Bytes of a value, as the door counts them.
fn bytes(array: &dyn Array, row: usize) -> usize {
    if array.is_null(row) {
        return 0;
    }
    match array.data_type() {
        Arrow::Utf8 => array.as_string::<i32>().value_length(row).cast_unsigned() as usize,
        Arrow::Binary => array.as_binary::<i32>().value_length(row).cast_unsigned() as usize,
        Arrow::List(item) => {
            let items = array.as_list::<i32>().value(row);
            let beside = if *item.data_type() == Arrow::Float32 { 0 } else { 4 };
            (0..items.len()).map(|at| bytes(&items, at) + beside).sum()
        }
        other => other.primitive_width().unwrap_or(1),
    }
}

/// At least the bytes of the longest value of a column.
fn longest(array: &ArrayRef) -> usize {
    match array.data_type() {
        Arrow::Utf8 => most(array.as_string::<i32>().value_offsets()),
        Arrow::Binary => most(array.as_binary::<i32>().value_offsets()),
        Arrow::List(_) => {
            let lists = array.as_list::<i32>();
            most(lists.value_offsets()).saturating_mul(longest(lists.values()) + 4)
        }
        other => other.primitive_width().unwrap_or(1),
    }
}

/// The greatest distance between two neighbouring offsets.
fn most(offsets: &[i32]) -> usize {
    let lengths = offsets.windows(2).map(|pair| (pair[1] - pair[0]).cast_unsigned() as usize);
    lengths.max().unwrap_or(0)
}

#[cfg(test)]
mod tests;
