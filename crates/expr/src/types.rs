//! Spark's rules for the type that values have in common, and its names of types.

use trivium_model::{DataType, types::DECIMAL_PRECISION_MAX};

pub(crate) const fn is_integer(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Int32 | DataType::Int64)
}
pub(crate) const fn is_float(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Float32 | DataType::Float64)
}
pub(crate) const fn is_decimal(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Decimal { .. })
}
pub(crate) const fn is_numeric(data_type: &DataType) -> bool {
    is_integer(data_type) || is_float(data_type) || is_decimal(data_type)
}
/// Lists and embeddings can only be asked whether they are there.
pub(crate) const fn is_opaque(data_type: &DataType) -> bool {
    matches!(data_type, DataType::List(_) | DataType::Embedding { .. })
}

/// The digits of the decimal that holds every value of the type.
fn digits(data_type: &DataType) -> Option<(u8, u8)> {
    match data_type {
        DataType::Int32 => Some((10, 0)),
        DataType::Int64 => Some((20, 0)),
        DataType::Decimal { precision, scale } => Some((*precision, *scale)),
        _ => None,
    }
}

/// The scale of a decimal, 0 of anything else.
pub(crate) const fn scale(data_type: &DataType) -> u8 {
    match data_type {
        DataType::Decimal { scale, .. } => *scale,
        _ => 0,
    }
}

/// The type that both are compared as, or that a CASE gives; `None` leaves the cast to the author.
pub(crate) fn common(left: &DataType, right: &DataType) -> Option<DataType> {
    use DataType::{Date, Float32, Float64, Int64, Timestamp};
    if left == right {
        return Some(left.clone());
    }
    match (left, right) {
        (a, b) if is_integer(a) && is_integer(b) => Some(Int64),
        // An integer or a decimal beside a float would lose digits in a float.
        (Float64 | Float32, other) | (other, Float64 | Float32) if is_numeric(other) => {
            Some(Float64)
        }
        (a, b) if is_numeric(a) && is_numeric(b) => {
            let ((p1, s1), (p2, s2)) = (digits(a)?, digits(b)?);
            let scale = s1.max(s2);
            let precision = (p1 - s1).max(p2 - s2) + scale;
            (precision <= DECIMAL_PRECISION_MAX).then_some(DataType::Decimal { precision, scale })
        }
        (Date, Timestamp) | (Timestamp, Date) => Some(Timestamp),
        _ => None,
    }
}

/// The type's name in Spark.
pub(crate) fn spark_name(data_type: &DataType) -> String {
    match data_type {
        DataType::Bool => "BOOLEAN".to_owned(),
        DataType::Int32 => "INT".to_owned(),
        DataType::Int64 => "BIGINT".to_owned(),
        DataType::Float32 => "FLOAT".to_owned(),
        DataType::Float64 => "DOUBLE".to_owned(),
        DataType::String => "STRING".to_owned(),
        DataType::Bytes => "BINARY".to_owned(),
        DataType::Timestamp => "TIMESTAMP".to_owned(),
        DataType::Date => "DATE".to_owned(),
        DataType::Decimal { precision, scale } => format!("DECIMAL({precision}, {scale})"),
        DataType::List(item) => format!("ARRAY<{}>", spark_name(item)),
        DataType::Embedding { .. } => "ARRAY<FLOAT>".to_owned(),
    }
}

/// Whether there is a cast from one type to the other. Floats are not written as text: Java writes them its own way.
pub(crate) fn can_cast(from: &DataType, to: &DataType) -> bool {
    use DataType::{Bool, Date, String, Timestamp};
    if from == to {
        return !is_opaque(from);
    }
    match to {
        to if is_integer(to) => is_numeric(from) || matches!(from, String | Bool | Timestamp),
        to if is_numeric(to) => is_numeric(from) || matches!(from, String | Bool),
        Bool => is_numeric(from) || *from == String,
        String => is_integer(from) || is_decimal(from) || matches!(from, Bool | Date | Timestamp),
        Date => matches!(from, String | Timestamp),
        Timestamp => is_integer(from) || matches!(from, String | Date),
        _ => false,
    }
}
