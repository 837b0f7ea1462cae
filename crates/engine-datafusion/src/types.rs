//! Spark's types as Arrow types, and Spark's rules for the type two values have in common.
//!
//! Normalised: text is `Utf8`, instants are microseconds UTC, integers narrower than 32 bits are `int`.

use std::sync::Arc;

use arrow::datatypes::{DECIMAL128_MAX_PRECISION, DataType, Field, TimeUnit};

/// The one timestamp type inside the engine.
pub fn timestamp_type() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some(Arc::from("UTC")))
}

/// A list whose items may be null.
pub fn list_type(item: DataType) -> DataType {
    DataType::List(Arc::new(Field::new("item", item, true)))
}

/// Whether Spark calls it numeric.
pub fn is_numeric(data_type: &DataType) -> bool {
    matches!(
        data_type,
        DataType::Int32
            | DataType::Int64
            | DataType::Float32
            | DataType::Float64
            | DataType::Decimal128(..)
    )
}

/// Whether it is a float or double.
pub fn is_float(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Float32 | DataType::Float64)
}

/// The decimal type that holds every value of an integer type.
pub fn decimal_of(data_type: &DataType) -> Option<(u8, i8)> {
    match data_type {
        DataType::Int32 => Some((10, 0)),
        DataType::Int64 => Some((20, 0)),
        DataType::Decimal128(precision, scale) => Some((*precision, *scale)),
        _ => None,
    }
}

/// Spark's `DecimalType.adjustPrecisionScale`: what is left of a decimal type wider than 38 digits.
pub fn adjust_decimal(precision: i32, scale: i32) -> DataType {
    let most = i32::from(DECIMAL128_MAX_PRECISION);
    let (precision, scale) = if precision <= most {
        (precision, scale)
    } else {
        let integral = precision - scale;
        let least_scale = scale.min(6);
        (most, (most - integral).max(least_scale))
    };
    // Both fit: precision is at most 38, scale at most precision.
    DataType::Decimal128(
        u8::try_from(precision).unwrap_or(DECIMAL128_MAX_PRECISION),
        i8::try_from(scale).unwrap_or(0),
    )
}

/// The type that both have in comparisons, CASE, coalesce, arrays and set operations, or `None` if
/// Spark has none or this engine leaves the cast to the author (text with anything else).
pub fn common_type(left: &DataType, right: &DataType) -> Option<DataType> {
    use DataType::{Date32, Decimal128, Float32, Float64, Int32, Int64, List, Null, Timestamp};
    if left == right {
        return Some(left.clone());
    }
    match (left, right) {
        (Null, other) | (other, Null) => Some(other.clone()),
        (Int32, Int64) | (Int64, Int32) => Some(Int64),
        (Float64, other) | (other, Float64) if is_numeric(other) => Some(Float64),
        // An integer or decimal beside a float would lose digits in a float.
        (Float32, other) | (other, Float32) if is_numeric(other) => Some(Float64),
        (Decimal128(..), other) | (other, Decimal128(..)) if is_numeric(other) => {
            let (p1, s1) = decimal_of(left)?;
            let (p2, s2) = decimal_of(right)?;
            let scale = i32::from(s1.max(s2));
            let integral = (i32::from(p1) - i32::from(s1)).max(i32::from(p2) - i32::from(s2));
            // Beyond 38 digits Spark bounds each part on its own; that is not proven here.
            (integral + scale <= 38).then(|| adjust_decimal(integral + scale, scale))
        }
        (Date32, Timestamp(..)) | (Timestamp(..), Date32) => Some(timestamp_type()),
        (List(left), List(right)) => {
            Some(list_type(common_type(left.data_type(), right.data_type())?))
        }
        _ => None,
    }
}

/// The name of the type in Spark SQL.
pub fn spark_name(data_type: &DataType) -> String {
    match data_type {
        DataType::Null => "void".to_owned(),
        DataType::Boolean => "boolean".to_owned(),
        DataType::Int32 => "int".to_owned(),
        DataType::Int64 => "bigint".to_owned(),
        DataType::Float32 => "float".to_owned(),
        DataType::Float64 => "double".to_owned(),
        DataType::Utf8 => "string".to_owned(),
        DataType::Binary => "binary".to_owned(),
        DataType::Date32 => "date".to_owned(),
        DataType::Timestamp(..) => "timestamp".to_owned(),
        DataType::Decimal128(precision, scale) => format!("decimal({precision},{scale})"),
        DataType::List(item) => format!("array<{}>", spark_name(item.data_type())),
        other => other.to_string(),
    }
}

/// The same type as the engine holds it, or `None` if no value of it can be held.
pub fn normalised(data_type: &DataType) -> Option<DataType> {
    use DataType::*;
    Some(match data_type {
        Null | Boolean | Int32 | Int64 | Float32 | Float64 | Date32 => data_type.clone(),
        Int8 | Int16 | UInt8 | UInt16 => Int32,
        UInt32 => Int64,
        UInt64 => Decimal128(20, 0),
        Float16 => Float32,
        Utf8 | LargeUtf8 | Utf8View => Utf8,
        Binary | LargeBinary | BinaryView | FixedSizeBinary(_) => Binary,
        Date64 => Date32,
        Timestamp(..) => timestamp_type(),
        Decimal128(precision, scale) if *scale >= 0 => Decimal128(*precision, *scale),
        Decimal32(precision, scale) | Decimal64(precision, scale) if *scale >= 0 => {
            Decimal128(*precision, *scale)
        }
        List(item) | LargeList(item) | FixedSizeList(item, _) | ListView(item) => {
            list_type(normalised(item.data_type())?)
        }
        Dictionary(_, value) => normalised(value)?,
        _ => return None,
    })
}
