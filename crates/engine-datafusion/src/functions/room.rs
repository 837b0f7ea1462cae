//! How much text a function may make: a count that is a few digits of SQL must not be gigabytes of
//! memory. Room is taken before the text is made.

use arrow::{
    array::{Array, ArrayRef, AsArray, StringArray},
    datatypes::DataType,
};
use datafusion::{
    common::{Result, ScalarValue},
    logical_expr::ColumnarValue,
};

use crate::error::data_error;

/// Bytes of one text: sixteen times what serving takes, so that what is cut down later fits too.
pub const VALUE_BYTES_MAX: usize = 16 << 20;
/// Bytes of the texts of one batch (8192 rows): an array's offsets end at 2 GiB, memory before that.
pub const BATCH_BYTES_MAX: usize = 256 << 20;
/// Bytes of a text that depends on no column: it stands in every row of a batch.
pub const CONSTANT_BYTES_MAX: usize = BATCH_BYTES_MAX / 8192;

/// The room that is left in one batch of a function's results.
pub struct Room {
    function: &'static str,
    left: usize,
}

impl Room {
    /// All of it.
    pub const fn new(function: &'static str) -> Self {
        Self { function, left: BATCH_BYTES_MAX }
    }

    /// Takes the room of one text.
    pub fn take(&mut self, bytes: usize) -> Result<()> {
        if bytes > VALUE_BYTES_MAX {
            return Err(data_error(format!(
                "`{}` would make a text of {bytes} bytes, more than the limit of {VALUE_BYTES_MAX}; \
                 lower its count, or shorten what it is given",
                self.function
            )));
        }
        self.left = self.left.checked_sub(bytes).ok_or_else(|| {
            data_error(format!(
                "`{}` would make more than {BATCH_BYTES_MAX} bytes of text for one batch of rows; \
                 lower its count, or shorten what it is given",
                self.function
            ))
        })?;
        Ok(())
    }
}

/// Takes the room of each text as it is made, for functions that make little more than they are given.
pub fn gather(
    function: &'static str,
    texts: impl Iterator<Item = Option<String>>,
) -> Result<StringArray> {
    let mut room = Room::new(function);
    texts
        .map(|text| {
            if let Some(text) = &text {
                room.take(text.len())?;
            }
            Ok(text)
        })
        .collect()
}

/// Refuses arguments that would not fit when each row has its own copy.
pub fn check_argument(function: &str, argument: &ColumnarValue, rows: usize) -> Result<()> {
    let ColumnarValue::Scalar(ScalarValue::Utf8(Some(text))) = argument else { return Ok(()) };
    if text.len().saturating_mul(rows) > BATCH_BYTES_MAX {
        return Err(data_error(format!(
            "`{function}` is given a constant of {} bytes, more than the limit of {CONSTANT_BYTES_MAX}; \
             shorten it",
            text.len()
        )));
    }
    Ok(())
}

/// Refuses a constant result that would not fit in every row.
pub fn check_constant(function: &str, result: &ArrayRef) -> Result<()> {
    if *result.data_type() != DataType::Utf8 || result.is_empty() || result.is_null(0) {
        return Ok(());
    }
    let bytes = result.as_string::<i32>().value(0).len();
    if bytes > CONSTANT_BYTES_MAX {
        return Err(data_error(format!(
            "`{function}` would make a constant of {bytes} bytes, more than the limit of \
             {CONSTANT_BYTES_MAX}; lower its count, or shorten what it is given"
        )));
    }
    Ok(())
}

/// Refuses arrays whose texts would not fit together.
pub fn check_together(function: &'static str, arrays: &[ArrayRef]) -> Result<()> {
    let bytes = |array: &ArrayRef| match array.data_type() {
        DataType::Utf8 => array.as_string::<i32>().values().len(),
        _ => 0,
    };
    if arrays.iter().map(bytes).sum::<usize>() > BATCH_BYTES_MAX {
        return Err(data_error(format!(
            "`{function}` would make more than {BATCH_BYTES_MAX} bytes of text for one batch of \
             rows; shorten what it is given"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_has_room_for_some_texts_of_the_greatest_length() {
        let mut room = Room::new("repeat");
        for _ in 0..BATCH_BYTES_MAX / VALUE_BYTES_MAX {
            room.take(VALUE_BYTES_MAX).unwrap();
        }
        room.take(0).unwrap();
        let full = room.take(1).unwrap_err().to_string();
        assert!(full.contains("`repeat` would make more than 268435456 bytes of text"), "{full}");
        let long = Room::new("lpad").take(VALUE_BYTES_MAX + 1).unwrap_err().to_string();
        assert!(long.contains("`lpad` would make a text of 16777217 bytes"), "{long}");
    }

    #[test]
    fn a_constant_has_room_in_every_row() {
        let text = ScalarValue::Utf8(Some("x".repeat(CONSTANT_BYTES_MAX + 1)));
        let scalar = ColumnarValue::Scalar(text.clone());
        check_argument("concat", &scalar, 8191).unwrap();
        check_argument("concat", &scalar, 8192).unwrap_err();
        check_constant("concat", &text.to_array().unwrap()).unwrap_err();
        let many: Vec<ArrayRef> = vec![text.to_array_of_size(4096).unwrap(); 2];
        check_together("array", &many[..1]).unwrap();
        check_together("array", &many).unwrap_err();
    }
}
