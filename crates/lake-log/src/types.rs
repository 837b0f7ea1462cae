//! The types of the lake's files, and which of them become which.
//!
//! A column becomes one of another type only where every value stays exactly what it is (int32 to int64, a
//! decimal with room to one with more).

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, RecordBatch, new_null_array},
    compute::{CastOptions, cast_with_options},
    datatypes::{DataType as Arrow, Field, SchemaRef, TimeUnit},
};
use trivium_model::DataType;

/// The zone of every timestamp in the lake.
pub const ZONE: &str = "UTC";

/// The Arrow type of instants in the lake.
pub fn timestamp_type() -> Arrow {
    Arrow::Timestamp(TimeUnit::Microsecond, Some(ZONE.into()))
}

/// The Arrow type of a feature type.
pub fn arrow_type(data_type: &DataType) -> Arrow {
    match data_type {
        DataType::Bool => Arrow::Boolean,
        DataType::Int32 => Arrow::Int32,
        DataType::Int64 => Arrow::Int64,
        DataType::Float32 => Arrow::Float32,
        DataType::Float64 => Arrow::Float64,
        DataType::String => Arrow::Utf8,
        DataType::Bytes => Arrow::Binary,
        DataType::Timestamp => timestamp_type(),
        DataType::Date => Arrow::Date32,
        DataType::Decimal { precision, scale } => {
            Arrow::Decimal128(*precision, i8::try_from(*scale).unwrap_or(i8::MAX))
        }
        DataType::List(item) => {
            Arrow::List(Arc::new(Field::new_list_field(arrow_type(item), true)))
        }
        DataType::Embedding { .. } => {
            Arrow::List(Arc::new(Field::new_list_field(Arrow::Float32, true)))
        }
    }
}

/// Decimal digits that hold every value of an integer type.
fn integer_digits(from: &Arrow) -> Option<u8> {
    Some(match from {
        Arrow::Int8 | Arrow::UInt8 => 3,
        Arrow::Int16 | Arrow::UInt16 => 5,
        Arrow::Int32 | Arrow::UInt32 => 10,
        Arrow::Int64 => 19,
        Arrow::UInt64 => 20,
        _ => return None,
    })
}

/// Whether every value of the first type is one of the second.
pub fn is_exact(from: &Arrow, to: &Arrow) -> bool {
    use Arrow::{
        Binary, BinaryView, Date32, Decimal128, Dictionary, FixedSizeBinary, FixedSizeList,
        Float32, Float64, Int8, Int16, Int32, Int64, LargeBinary, LargeList, LargeUtf8, List, Null,
        Timestamp, UInt8, UInt16, UInt32, Utf8, Utf8View,
    };
    match (from, to) {
        (Null, _) => true,
        (from, to) if from == to => true,
        (Dictionary(_, values), to) => is_exact(values, to),
        (Int8 | UInt8 | Int16 | UInt16, Int32 | Int64 | Float32 | Float64) => true,
        (Int32 | UInt32, Int64 | Float64) | (Float32, Float64) => true,
        (LargeUtf8 | Utf8View, Utf8) => true,
        (LargeBinary | BinaryView | FixedSizeBinary(_), Binary) => true,
        // A zone is only how a timestamp is shown; engines answer in UTC.
        (Timestamp(unit, _), Timestamp(TimeUnit::Microsecond, _)) => {
            !matches!(unit, TimeUnit::Nanosecond)
        }
        (Date32, Timestamp(..)) => false,
        (Decimal128(p, s), Decimal128(to_p, to_s)) => {
            s <= to_s && i16::from(*p) - i16::from(*s) <= i16::from(*to_p) - i16::from(*to_s)
        }
        (from, Decimal128(p, s)) => integer_digits(from)
            .is_some_and(|digits| i16::from(digits) <= i16::from(*p) - i16::from(*s)),
        (List(item) | LargeList(item) | FixedSizeList(item, _), List(to_item)) => {
            is_exact(item.data_type(), to_item.data_type())
        }
        _ => false,
    }
}

/// The word for an Arrow type in messages: the config's where there is one.
pub fn type_word(arrow: &Arrow) -> String {
    use Arrow::{
        Binary, Boolean, Date32, Decimal128, FixedSizeList, Float32, Float64, Int32, Int64,
        LargeList, LargeUtf8, List, Null, Timestamp, Utf8, Utf8View,
    };
    match arrow {
        Boolean => "bool".to_owned(),
        Int32 => "int32".to_owned(),
        Int64 => "int64".to_owned(),
        Float32 => "float32".to_owned(),
        Float64 => "float64".to_owned(),
        Utf8 | LargeUtf8 | Utf8View => "string".to_owned(),
        Binary => "bytes".to_owned(),
        Timestamp(TimeUnit::Microsecond, _) => "timestamp".to_owned(),
        Date32 => "date".to_owned(),
        Decimal128(precision, scale) => format!("decimal({precision}, {scale})"),
        List(item) | LargeList(item) | FixedSizeList(item, _) => {
            format!("list<{}>", type_word(item.data_type()))
        }
        Null => "null".to_owned(),
        other => other.to_string().to_lowercase(),
    }
}

/// Casts where [`is_exact`] holds.
pub fn cast_exact(array: &ArrayRef, to: &Arrow) -> Result<ArrayRef, String> {
    if array.data_type() == to {
        return Ok(Arc::clone(array));
    }
    if !is_exact(array.data_type(), to) {
        return Err(format!(
            "{} does not become {} without loss",
            type_word(array.data_type()),
            type_word(to)
        ));
    }
    if array.data_type() == &Arrow::Null {
        return Ok(new_null_array(to, array.len()));
    }
    // Without a zone the instants are UTC already: only the label changes, so label first.
    if let (Arrow::Timestamp(unit, None), Arrow::Timestamp(..)) = (array.data_type(), to) {
        let labelled = Arrow::Timestamp(*unit, Some(ZONE.into()));
        let array = cast_with_options(array, &labelled, &SAFE_OFF).map_err(|e| e.to_string())?;
        return cast_with_options(&array, to, &SAFE_OFF).map_err(|e| e.to_string());
    }
    cast_with_options(array, to, &SAFE_OFF).map_err(|e| e.to_string())
}

/// An overflow is an error, never a null.
const SAFE_OFF: CastOptions<'static> =
    CastOptions { safe: false, format_options: arrow::util::display::FormatOptions::new() };

/// Whether every value of a file with these columns has its place in a schema.
pub fn fits(columns: &SchemaRef, schema: &SchemaRef) -> bool {
    columns.fields().iter().all(|field| {
        schema
            .field_with_name(field.name())
            .is_ok_and(|to| is_exact(field.data_type(), to.data_type()))
    })
}

/// Brings a batch from a file of an older revision of the view to the present schema: columns that
/// it lacks are null, widened ones are cast, others are left out.
pub fn align(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, String> {
    if batch.schema().fields() == schema.fields() {
        return Ok(batch.clone());
    }
    let arrays: Result<Vec<ArrayRef>, String> = schema
        .fields()
        .iter()
        .map(|field| match batch.column_by_name(field.name()) {
            Some(array) => cast_exact(array, field.data_type())
                .map_err(|message| format!("column `{}`: {message}", field.name())),
            None => Ok(new_null_array(field.data_type(), batch.num_rows())),
        })
        .collect();
    RecordBatch::try_new(Arc::clone(schema), arrays?).map_err(|error| error.to_string())
}
