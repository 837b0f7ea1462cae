//! Spark's ANSI casts, one function per target type: `cast int`, `try_cast decimal(10,2)`.
//!
//! Not proven and therefore refused: floats to text (Java writes them its own way), anything with
//! maps, structs or intervals.

use std::sync::Arc;

use arrow::{
    array::{
        Array, ArrayRef, AsArray, BinaryArray, BooleanArray, PrimitiveArray, StringArray,
        StringBuilder, new_null_array,
    },
    datatypes::{
        ArrowPrimitiveType, DataType, Date32Type, Decimal128Type, Float32Type, Float64Type,
        Int32Type, Int64Type, TimestampMicrosecondType, i256,
    },
};
use datafusion::{
    common::{Result, ScalarValue},
    logical_expr::ScalarUDF,
};

use super::{SparkFunction, datetime, decimal, format};
use crate::{
    error::{data_error, invalid_error, unsupported_error},
    types::{spark_name, timestamp_type},
};

/// The internal name of the cast to a type.
pub fn name(target: &DataType, lenient: bool) -> String {
    format!("{} {}", if lenient { "try_cast" } else { "cast" }, spark_name(target))
}

/// The function behind [`name`], or `None` if the name is no cast's.
pub fn function(name: &str) -> Option<Arc<ScalarUDF>> {
    let (target, lenient) = match name.strip_prefix("try_cast ") {
        Some(target) => (target, true),
        None => (name.strip_prefix("cast ")?, false),
    };
    let target = parse_target(target)?;
    let kernel = if lenient { try_cast } else { cast };
    let typing = if lenient { type_try_cast } else { type_cast };
    Some(SparkFunction::targeted(name, typing, target, kernel))
}

fn parse_target(text: &str) -> Option<DataType> {
    Some(match text {
        "int" => DataType::Int32,
        "bigint" => DataType::Int64,
        "float" => DataType::Float32,
        "double" => DataType::Float64,
        "string" => DataType::Utf8,
        "binary" => DataType::Binary,
        "boolean" => DataType::Boolean,
        "date" => DataType::Date32,
        "timestamp" => timestamp_type(),
        _ => {
            let inner = text.strip_prefix("decimal(")?.strip_suffix(')')?;
            let (precision, scale) = inner.split_once(',')?;
            DataType::Decimal128(precision.parse().ok()?, scale.parse().ok()?)
        }
    })
}

/// Whether the cast is one that this engine knows; the pair is looked up in the allow-list as well.
pub fn is_known(from: &DataType, to: &DataType) -> bool {
    use DataType::{
        Binary, Boolean, Date32, Decimal128, Float32, Float64, Int32, Int64, Null, Timestamp, Utf8,
    };
    if from == to || *from == Null {
        return true;
    }
    match to {
        Int32 | Int64 => matches!(
            from,
            Int32 | Int64 | Float32 | Float64 | Decimal128(..) | Utf8 | Boolean | Timestamp(..)
        ),
        Float32 | Float64 => {
            matches!(from, Int32 | Int64 | Float32 | Float64 | Decimal128(..) | Utf8 | Boolean)
        }
        Decimal128(..) => {
            matches!(from, Int32 | Int64 | Float32 | Float64 | Decimal128(..) | Utf8 | Boolean)
        }
        Boolean => matches!(from, Int32 | Int64 | Float32 | Float64 | Decimal128(..) | Utf8),
        Utf8 => matches!(
            from,
            Binary | Int32 | Int64 | Decimal128(..) | Boolean | Date32 | Timestamp(..)
        ),
        Date32 => matches!(from, Utf8 | Timestamp(..)),
        Timestamp(..) => matches!(from, Utf8 | Date32 | Int32 | Int64),
        Binary => matches!(from, Utf8),
        _ => false,
    }
}

/// The word for a type in the allow-list: decimals without their digits.
pub fn word(data_type: &DataType) -> String {
    match data_type {
        DataType::Decimal128(..) => "decimal".to_owned(),
        other => spark_name(other),
    }
}

fn type_cast(
    name: &str,
    given: &[DataType],
    _: &[Option<&ScalarValue>],
) -> Result<(Vec<DataType>, DataType)> {
    let target = name.split_once(' ').and_then(|(_, target)| parse_target(target));
    let ([from], Some(to)) = (given, target) else {
        return Err(invalid_error("CAST takes one value and a type"));
    };
    if !is_known(from, &to) {
        return Err(unsupported_error(format!(
            "CAST of {} to {}",
            spark_name(from),
            spark_name(&to)
        )));
    }
    Ok((vec![from.clone()], to))
}

fn type_try_cast(
    name: &str,
    given: &[DataType],
    literals: &[Option<&ScalarValue>],
) -> Result<(Vec<DataType>, DataType)> {
    type_cast(name, given, literals)
}

fn cast(args: &[ArrayRef], gives: &DataType) -> Result<ArrayRef> {
    convert(&args[0], gives, false)
}

fn try_cast(args: &[ArrayRef], gives: &DataType) -> Result<ArrayRef> {
    convert(&args[0], gives, true)
}

/// A cast that failed, or `None` if failures are nulls.
fn outcome<T>(value: Option<T>, lenient: bool, what: impl Fn() -> String) -> Result<Option<T>> {
    match value {
        Some(value) => Ok(Some(value)),
        None if lenient => Ok(None),
        None => Err(data_error(what())),
    }
}

fn from_numbers<S: ArrowPrimitiveType, O: ArrowPrimitiveType>(
    array: &ArrayRef,
    to: &DataType,
    lenient: bool,
    apply: impl Fn(S::Native) -> Option<O::Native>,
) -> Result<ArrayRef>
where
    S::Native: std::fmt::Debug,
{
    let result: PrimitiveArray<O> = array
        .as_primitive::<S>()
        .iter()
        .map(|value| match value {
            Some(value) => outcome(apply(value), lenient, || {
                format!("CAST of {value:?} to {}: out of range", spark_name(to))
            }),
            None => Ok(None),
        })
        .collect::<Result<_>>()?;
    Ok(Arc::new(result.with_data_type(to.clone())))
}

fn from_text<O: ArrowPrimitiveType>(
    array: &ArrayRef,
    to: &DataType,
    lenient: bool,
    apply: impl Fn(&str) -> Option<O::Native>,
) -> Result<ArrayRef> {
    let result: PrimitiveArray<O> = array
        .as_string::<i32>()
        .iter()
        .map(|value| match value {
            Some(text) => outcome(apply(trim(text)), lenient, || malformed(text, to)),
            None => Ok(None),
        })
        .collect::<Result<_>>()?;
    Ok(Arc::new(result.with_data_type(to.clone())))
}

fn malformed(text: &str, to: &DataType) -> String {
    format!("CAST of '{text}' to {}: malformed; use `try_cast` for a null instead", spark_name(to))
}

fn from_booleans<O: ArrowPrimitiveType>(
    array: &ArrayRef,
    to: &DataType,
    no: O::Native,
    yes: O::Native,
) -> ArrayRef {
    let result: PrimitiveArray<O> = array
        .as_boolean()
        .iter()
        .map(|value| value.map(|value| if value { yes } else { no }))
        .collect();
    Arc::new(result.with_data_type(to.clone()))
}

/// Cuts what Spark cuts before it reads a value: white space and control characters.
pub fn trim(text: &str) -> &str {
    text.trim_matches(|c: char| c <= ' ' || c == '\u{7f}')
}

fn text_to_long(text: &str) -> Option<i64> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

/// Reads a double as Java does, but without its `1.0d` and hexadecimal forms.
pub fn text_to_double(text: &str) -> Option<f64> {
    let lower = text.to_ascii_lowercase();
    match lower.as_str() {
        "nan" => return Some(f64::NAN),
        "inf" | "+inf" | "infinity" | "+infinity" => return Some(f64::INFINITY),
        "-inf" | "-infinity" => return Some(f64::NEG_INFINITY),
        _ => {}
    }
    if lower.is_empty() || !lower.bytes().all(|b| b.is_ascii_digit() || b"+-.e".contains(&b)) {
        return None;
    }
    lower.parse().ok()
}

/// Whether Java reads it as a number though [`text_to_double`] does not: `1.0d`, `1f`, `0x1p3`.
fn is_java_number(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    lower.strip_suffix(['d', 'f']).is_some_and(|number| text_to_double(number).is_some())
        || lower.contains("0x")
}

fn text_to_boolean(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "t" | "true" | "y" | "yes" | "1" => Some(true),
        "f" | "false" | "n" | "no" | "0" => Some(false),
        _ => None,
    }
}

/// A float cut to an integer, if the integer fits.
fn float_to_long(value: f64, least: i64, most: i64) -> Option<i64> {
    // As Spark: the value between floor and ceiling must fit. 2^63 as a float is just above i64::MAX.
    let fits = value.floor() <= most as f64 && value.ceil() >= least as f64;
    fits.then(|| (value.trunc() as i64).clamp(least, most))
}

fn double_to_decimal(value: f64, to: &DataType) -> Option<i128> {
    if !value.is_finite() {
        return None;
    }
    // Java's text of a double is the value that Spark rounds.
    let (unscaled, scale) = decimal::parse(&format!("{value:e}"))?;
    decimal::fit(Some(unscaled), scale, to, "").ok()
}

fn refuse_java_numbers(array: &ArrayRef) -> Result<()> {
    match array.as_string::<i32>().iter().flatten().find(|text| is_java_number(trim(text))) {
        Some(text) => {
            Err(unsupported_error(format!("CAST of '{text}' to a float (Java's number suffixes)")))
        }
        None => Ok(()),
    }
}

/// Spark reads more than we do where there is a colon: times of today, zones by name.
fn refuse_unread_times(array: &ArrayRef) -> Result<()> {
    let unread = |text: &&str| {
        let text = trim(text);
        text.contains(':') && format::read_timestamp(text).is_none()
    };
    match array.as_string::<i32>().iter().flatten().find(unread) {
        Some(text) => Err(unsupported_error(format!("CAST of '{text}' to timestamp"))),
        None => Ok(()),
    }
}

/// Casts an array; `lenient` makes a null of what cannot be cast.
pub fn convert(array: &ArrayRef, to: &DataType, lenient: bool) -> Result<ArrayRef> {
    use DataType::{
        Binary, Boolean, Date32, Decimal128, Float32, Float64, Int32, Int64, Null, Timestamp, Utf8,
    };
    let from = array.data_type();
    if from == to {
        return Ok(Arc::clone(array));
    }
    let int = |value: i64| i32::try_from(value).ok();
    let unit =
        |scale: i8| 10i128.checked_pow(u32::try_from(scale).unwrap_or(0)).unwrap_or(i128::MAX);
    let (low, high) = (i64::from(i32::MIN), i64::from(i32::MAX));
    Ok(match (from, to) {
        (Null, _) => new_null_array(to, array.len()),
        // To int and bigint.
        (Int64, Int32) => from_numbers::<Int64Type, Int32Type>(array, to, lenient, int)?,
        (Int32, Int64) => {
            from_numbers::<Int32Type, Int64Type>(array, to, lenient, |v| Some(i64::from(v)))?
        }
        (Float32, Int32) => from_numbers::<Float32Type, Int32Type>(array, to, lenient, |v| {
            float_to_long(f64::from(v), low, high).and_then(int)
        })?,
        (Float64, Int32) => from_numbers::<Float64Type, Int32Type>(array, to, lenient, |v| {
            float_to_long(v, low, high).and_then(int)
        })?,
        (Float32, Int64) => from_numbers::<Float32Type, Int64Type>(array, to, lenient, |v| {
            float_to_long(f64::from(v), i64::MIN, i64::MAX)
        })?,
        (Float64, Int64) => from_numbers::<Float64Type, Int64Type>(array, to, lenient, |v| {
            float_to_long(v, i64::MIN, i64::MAX)
        })?,
        (Decimal128(_, scale), Int32) => {
            from_numbers::<Decimal128Type, Int32Type>(array, to, lenient, |v| {
                i32::try_from(v / unit(*scale)).ok()
            })?
        }
        (Decimal128(_, scale), Int64) => {
            from_numbers::<Decimal128Type, Int64Type>(array, to, lenient, |v| {
                i64::try_from(v / unit(*scale)).ok()
            })?
        }
        (Utf8, Int32) => {
            from_text::<Int32Type>(array, to, lenient, |v| text_to_long(v).and_then(int))?
        }
        (Utf8, Int64) => from_text::<Int64Type>(array, to, lenient, text_to_long)?,
        (Boolean, Int32) => from_booleans::<Int32Type>(array, to, 0, 1),
        (Boolean, Int64) => from_booleans::<Int64Type>(array, to, 0, 1),
        (Timestamp(..), Int64) => {
            from_numbers::<TimestampMicrosecondType, Int64Type>(array, to, lenient, |v| {
                Some(v.div_euclid(1_000_000))
            })?
        }
        (Timestamp(..), Int32) => {
            from_numbers::<TimestampMicrosecondType, Int32Type>(array, to, lenient, |v| {
                int(v.div_euclid(1_000_000))
            })?
        }
        // To float and double.
        (Int32, Float32) => {
            from_numbers::<Int32Type, Float32Type>(array, to, lenient, |v| Some(v as f32))?
        }
        (Int64, Float32) => {
            from_numbers::<Int64Type, Float32Type>(array, to, lenient, |v| Some(v as f32))?
        }
        (Float64, Float32) => {
            from_numbers::<Float64Type, Float32Type>(array, to, lenient, |v| Some(v as f32))?
        }
        (Int32, Float64) => {
            from_numbers::<Int32Type, Float64Type>(array, to, lenient, |v| Some(f64::from(v)))?
        }
        (Int64, Float64) => {
            from_numbers::<Int64Type, Float64Type>(array, to, lenient, |v| Some(v as f64))?
        }
        (Float32, Float64) => {
            from_numbers::<Float32Type, Float64Type>(array, to, lenient, |v| Some(f64::from(v)))?
        }
        // Read back from text: correctly rounded, as Java's BigDecimal does it.
        (Decimal128(_, scale), Float64) => {
            from_numbers::<Decimal128Type, Float64Type>(array, to, lenient, |v| {
                decimal::to_text(v, *scale).parse().ok()
            })?
        }
        (Decimal128(_, scale), Float32) => {
            from_numbers::<Decimal128Type, Float32Type>(array, to, lenient, |v| {
                decimal::to_text(v, *scale).parse().ok()
            })?
        }
        (Utf8, Float64) => {
            refuse_java_numbers(array)?;
            from_text::<Float64Type>(array, to, lenient, text_to_double)?
        }
        (Utf8, Float32) => {
            refuse_java_numbers(array)?;
            from_text::<Float32Type>(array, to, lenient, |v| {
                text_to_double(v).and_then(|double| {
                    if double.is_finite() { v.parse().ok() } else { Some(double as f32) }
                })
            })?
        }
        (Boolean, Float32) => from_booleans::<Float32Type>(array, to, 0.0, 1.0),
        (Boolean, Float64) => from_booleans::<Float64Type>(array, to, 0.0, 1.0),
        // To decimal.
        (Int32, Decimal128(..)) => {
            from_numbers::<Int32Type, Decimal128Type>(array, to, lenient, |v| {
                decimal::fit(Some(i256::from_i128(i128::from(v))), 0, to, "").ok()
            })?
        }
        (Int64, Decimal128(..)) => {
            from_numbers::<Int64Type, Decimal128Type>(array, to, lenient, |v| {
                decimal::fit(Some(i256::from_i128(i128::from(v))), 0, to, "").ok()
            })?
        }
        (Decimal128(_, scale), Decimal128(..)) => {
            from_numbers::<Decimal128Type, Decimal128Type>(array, to, lenient, |v| {
                decimal::fit(Some(i256::from_i128(v)), i32::from(*scale), to, "").ok()
            })?
        }
        (Float32, Decimal128(..)) => {
            from_numbers::<Float32Type, Decimal128Type>(array, to, lenient, |v| {
                double_to_decimal(f64::from(v), to)
            })?
        }
        (Float64, Decimal128(..)) => {
            from_numbers::<Float64Type, Decimal128Type>(array, to, lenient, |v| {
                double_to_decimal(v, to)
            })?
        }
        (Utf8, Decimal128(..)) => from_text::<Decimal128Type>(array, to, lenient, |v| {
            decimal::parse(v)
                .and_then(|(unscaled, scale)| decimal::fit(Some(unscaled), scale, to, "").ok())
        })?,
        (Boolean, Decimal128(_, scale)) => {
            from_booleans::<Decimal128Type>(array, to, 0, unit(*scale))
        }
        // To boolean.
        (Int32, Boolean) => Arc::new(
            array
                .as_primitive::<Int32Type>()
                .iter()
                .map(|v| v.map(|v| v != 0))
                .collect::<BooleanArray>(),
        ),
        (Int64, Boolean) => Arc::new(
            array
                .as_primitive::<Int64Type>()
                .iter()
                .map(|v| v.map(|v| v != 0))
                .collect::<BooleanArray>(),
        ),
        (Float32, Boolean) => Arc::new(
            array
                .as_primitive::<Float32Type>()
                .iter()
                .map(|v| v.map(|v| v != 0.0))
                .collect::<BooleanArray>(),
        ),
        (Float64, Boolean) => Arc::new(
            array
                .as_primitive::<Float64Type>()
                .iter()
                .map(|v| v.map(|v| v != 0.0))
                .collect::<BooleanArray>(),
        ),
        (Decimal128(..), Boolean) => Arc::new(
            array
                .as_primitive::<Decimal128Type>()
                .iter()
                .map(|v| v.map(|v| v != 0))
                .collect::<BooleanArray>(),
        ),
        (Utf8, Boolean) => {
            let values: BooleanArray = array
                .as_string::<i32>()
                .iter()
                .map(|value| match value {
                    Some(text) => {
                        outcome(text_to_boolean(trim(text)), lenient, || malformed(text, to))
                    }
                    None => Ok(None),
                })
                .collect::<Result<Vec<_>>>()?
                .into_iter()
                .collect();
            Arc::new(values)
        }
        // To text and binary.
        (Binary, Utf8) => {
            let texts = array
                .as_binary::<i32>()
                .iter()
                .map(|bytes| match bytes.map(std::str::from_utf8) {
                    None => Ok(None),
                    Some(Ok(text)) => Ok(Some(text)),
                    Some(Err(_)) => {
                        Err(unsupported_error("CAST of bytes that are not UTF-8 to string"))
                    }
                })
                .collect::<Result<Vec<_>>>()?;
            Arc::new(StringArray::from(texts))
        }
        (_, Utf8) => to_text(array)?,
        (Utf8, Binary) => Arc::new(
            array.as_string::<i32>().iter().map(|v| v.map(str::as_bytes)).collect::<BinaryArray>(),
        ),
        // To date and timestamp.
        (Timestamp(..), Date32) => {
            from_numbers::<TimestampMicrosecondType, Date32Type>(array, to, lenient, |v| {
                i32::try_from(v.div_euclid(datetime::DAY_MICROS)).ok()
            })?
        }
        (Utf8, Date32) => from_text::<Date32Type>(array, to, lenient, format::read_date)?,
        (Date32, Timestamp(..)) => {
            from_numbers::<Date32Type, TimestampMicrosecondType>(array, to, lenient, |v| {
                i64::from(v).checked_mul(datetime::DAY_MICROS)
            })?
        }
        (Int32, Timestamp(..)) => {
            from_numbers::<Int32Type, TimestampMicrosecondType>(array, to, lenient, |v| {
                i64::from(v).checked_mul(1_000_000)
            })?
        }
        (Int64, Timestamp(..)) => {
            from_numbers::<Int64Type, TimestampMicrosecondType>(array, to, lenient, |v| {
                v.checked_mul(1_000_000)
            })?
        }
        (Utf8, Timestamp(..)) => {
            refuse_unread_times(array)?;
            from_text::<TimestampMicrosecondType>(array, to, lenient, format::read_timestamp)?
        }
        _ => {
            return Err(unsupported_error(format!(
                "CAST of {} to {}",
                spark_name(from),
                spark_name(to)
            )));
        }
    })
}

/// Each value as Spark writes it.
fn to_text(array: &ArrayRef) -> Result<ArrayRef> {
    let mut builder = StringBuilder::with_capacity(array.len(), array.len() * 8);
    macro_rules! write {
        ($values:expr, $text:expr) => {
            for value in $values.iter() {
                match value {
                    Some(value) => builder.append_value($text(value)?),
                    None => builder.append_null(),
                }
            }
        };
    }
    let out = |what: &str| data_error(format!("{what} out of range"));
    match array.data_type() {
        DataType::Int32 => {
            write!(array.as_primitive::<Int32Type>(), |v: i32| Ok::<
                String,
                datafusion::common::DataFusionError,
            >(v.to_string()))
        }
        DataType::Int64 => {
            write!(array.as_primitive::<Int64Type>(), |v: i64| Ok::<
                String,
                datafusion::common::DataFusionError,
            >(v.to_string()))
        }
        DataType::Decimal128(_, scale) => write!(array.as_primitive::<Decimal128Type>(), |v| Ok::<
            String,
            datafusion::common::DataFusionError,
        >(
            decimal::to_text(v, *scale)
        )),
        DataType::Boolean => write!(array.as_boolean(), |v: bool| Ok::<
            String,
            datafusion::common::DataFusionError,
        >(v.to_string())),
        DataType::Date32 => write!(array.as_primitive::<Date32Type>(), |v| format::write_date(v)
            .ok_or_else(|| out("date"))),
        DataType::Timestamp(..) => {
            write!(array.as_primitive::<TimestampMicrosecondType>(), |v| format::write_timestamp(v)
                .ok_or_else(|| out("timestamp")))
        }
        other => return Err(unsupported_error(format!("CAST of {} to string", spark_name(other)))),
    }
    let text: StringArray = builder.finish();
    Ok(Arc::new(text))
}
