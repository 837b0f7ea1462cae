//! Values and join keys in JSON: requests, answers and the defaults in configs.
//!
//! One spelling for each value, so that a type error is never read as another value: int64 beyond
//! 2^53 and every decimal are strings, NaN and the infinities are `"NaN"`, `"Infinity"` and
//! `"-Infinity"`, bytes are standard base64, instants RFC 3339, days `YYYY-MM-DD`. Instants and
//! days lie in the years 0001 to 9999.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Number, Value as Json};

use crate::{DataType, KeyType, KeyValue, Timestamp, Value};

/// The largest integer up to which every integer is a double of its own: 2^53. Beyond it int64
/// values are written as strings, because many JSON readers would round them.
pub const EXACT_INTEGER_MAX: i64 = 1 << 53;

/// The value of a feature of this type. The error names the expected type and what was given.
pub fn value_from_json(data_type: &DataType, json: &Json) -> Result<Value, String> {
    let wrong = || wrong(data_type, json);
    Ok(match (data_type, json) {
        (_, Json::Null) => Value::Null,
        (DataType::Bool, Json::Bool(value)) => Value::Bool(*value),
        (DataType::Int32, Json::Number(number)) => {
            let value = number.as_i64().ok_or_else(wrong)?;
            Value::Int32(i32::try_from(value).map_err(|_| wrong())?)
        }
        (DataType::Int64, _) => Value::Int64(int64_from_json(json).ok_or_else(wrong)?),
        (DataType::Float32, _) => {
            let value = float_from_json(json).ok_or_else(wrong)?;
            #[allow(clippy::cast_possible_truncation)]
            let narrow = value as f32;
            if narrow.is_infinite() && value.is_finite() {
                return Err(wrong());
            }
            Value::Float32(narrow)
        }
        (DataType::Float64, _) => Value::Float64(float_from_json(json).ok_or_else(wrong)?),
        (DataType::String, Json::String(text)) => Value::String(text.clone()),
        (DataType::Bytes, Json::String(text)) => {
            Value::Bytes(STANDARD.decode(text).map_err(|_| wrong())?)
        }
        (DataType::Timestamp, Json::String(text)) => {
            Value::Timestamp(Timestamp::parse(text).ok_or_else(wrong)?)
        }
        (DataType::Date, Json::String(text)) => Value::Date(day_from_text(text).ok_or_else(wrong)?),
        (DataType::Decimal { precision, scale }, _) => {
            let text = match json {
                Json::String(text) => text.clone(),
                // Whole numbers are exact in JSON; fractions have gone through a double.
                Json::Number(number) if number.is_i64() || number.is_u64() => number.to_string(),
                _ => return Err(wrong()),
            };
            Value::Decimal(decimal_from_text(&text, *precision, *scale).ok_or_else(wrong)?)
        }
        (DataType::List(item), Json::Array(items)) => {
            let values = items.iter().enumerate().map(|(index, value)| {
                value_from_json(item, value).map_err(|error| format!("item {index}: {error}"))
            });
            Value::List(values.collect::<Result<_, _>>()?)
        }
        (DataType::Embedding { dimension, .. }, Json::Array(items)) => {
            if items.len() != *dimension as usize {
                return Err(format!(
                    "expected {data_type}, found an array of {} numbers",
                    items.len()
                ));
            }
            let components =
                items.iter().enumerate().map(|(index, component)| {
                    match value_from_json(&DataType::Float32, component) {
                        Ok(Value::Float32(value)) if value.is_finite() => Ok(value),
                        _ => Err(format!(
                            "component {index}: expected a finite float32, found {}",
                            shown(component)
                        )),
                    }
                });
            Value::Embedding(components.collect::<Result<_, _>>()?)
        }
        _ => return Err(wrong()),
    })
}

/// A value in JSON. A value that does not fit the type is written by its own kind.
pub fn value_to_json(data_type: &DataType, value: &Value) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Bool(value) => Json::Bool(*value),
        Value::Int32(value) => Json::from(*value),
        Value::Int64(value) => int64_to_json(*value),
        Value::Float32(value) => float32_to_json(*value),
        Value::Float64(value) => float64_to_json(*value),
        Value::String(text) => Json::String(text.clone()),
        Value::Bytes(bytes) => Json::String(STANDARD.encode(bytes)),
        Value::Timestamp(at) => Json::String(at.to_string()),
        Value::Date(days) => Json::String(day_to_text(*days)),
        Value::Decimal(unscaled) => {
            let scale = if let DataType::Decimal { scale, .. } = data_type { *scale } else { 0 };
            Json::String(decimal_to_text(*unscaled, scale))
        }
        Value::List(items) => {
            let item = if let DataType::List(item) = data_type { item } else { data_type };
            Json::Array(items.iter().map(|value| value_to_json(item, value)).collect())
        }
        Value::Embedding(components) => {
            Json::Array(components.iter().map(|value| float32_to_json(*value)).collect())
        }
    }
}

/// The value of a join key of this type. `5`, `"5"` and `1.5` are three different things: only
/// the one that the type asks for is taken.
pub fn key_from_json(key_type: KeyType, json: &Json) -> Result<KeyValue, String> {
    let data_type = key_type.data_type();
    Ok(match value_from_json(&data_type, json)? {
        Value::String(text) => KeyValue::String(text),
        Value::Int64(value) => KeyValue::Int64(value),
        Value::Bool(value) => KeyValue::Bool(value),
        Value::Bytes(bytes) => KeyValue::Bytes(bytes),
        Value::Date(days) => KeyValue::Date(days),
        Value::Timestamp(at) => KeyValue::Timestamp(at),
        _ => return Err(wrong(&data_type, json)),
    })
}

/// A join key in JSON.
pub fn key_to_json(key: &KeyValue) -> Json {
    match key {
        KeyValue::String(text) => Json::String(text.clone()),
        KeyValue::Int64(value) => int64_to_json(*value),
        KeyValue::Bool(value) => Json::Bool(*value),
        KeyValue::Bytes(bytes) => Json::String(STANDARD.encode(bytes)),
        KeyValue::Date(days) => Json::String(day_to_text(*days)),
        KeyValue::Timestamp(at) => Json::String(at.to_string()),
    }
}

/// A day as `YYYY-MM-DD`; outside the calendar's range the day count, as `12345d`.
pub fn day_to_text(days: i32) -> String {
    match chrono::NaiveDate::from_epoch_days(days) {
        Some(day) => day.format("%Y-%m-%d").to_string(),
        None => format!("{days}d"),
    }
}

/// Days since 1970-01-01 of `YYYY-MM-DD`, years 0001 to 9999.
pub fn day_from_text(text: &str) -> Option<i32> {
    if text.len() != 10 || text.starts_with("0000") || text.starts_with(['+', '-']) {
        return None;
    }
    Some(chrono::NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?.to_epoch_days())
}

/// `unscaled × 10^-scale` as text, with exactly `scale` digits after the point.
pub fn decimal_to_text(unscaled: i128, scale: u8) -> String {
    let sign = if unscaled < 0 { "-" } else { "" };
    let scale = usize::from(scale);
    let digits = format!("{:0>width$}", unscaled.unsigned_abs(), width = scale + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    if scale == 0 { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") }
}

/// The unscaled number of a decimal text; `None` if it is no decimal or does not fit exactly:
/// nothing is ever rounded. Zeros at the end of the fraction do not count.
pub fn decimal_from_text(text: &str, precision: u8, scale: u8) -> Option<i128> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (whole, fraction) = match digits.split_once('.') {
        Some((_, "")) => return None,
        Some(parts) => parts,
        None => (digits, ""),
    };
    if whole.is_empty() || !whole.bytes().chain(fraction.bytes()).all(|b| b.is_ascii_digit()) {
        return None;
    }
    let fraction = fraction.trim_end_matches('0');
    let scale = usize::from(scale);
    if fraction.len() > scale {
        return None;
    }
    let unscaled: i128 = format!("{whole}{fraction:0<scale$}").parse().ok()?;
    let limit = 10i128.checked_pow(u32::from(precision))?;
    (unscaled < limit).then_some(if negative { -unscaled } else { unscaled })
}

fn int64_from_json(json: &Json) -> Option<i64> {
    match json {
        Json::Number(number) => number.as_i64(),
        Json::String(text) => {
            let value: i64 = text.parse().ok()?;
            // Below 2^53 a number is the only spelling, so that `"5"` is never taken for `5`.
            let large = value.unsigned_abs() >= EXACT_INTEGER_MAX.unsigned_abs();
            (large && value.to_string() == *text).then_some(value)
        }
        _ => None,
    }
}

fn int64_to_json(value: i64) -> Json {
    if value.unsigned_abs() > EXACT_INTEGER_MAX.unsigned_abs() {
        Json::String(value.to_string())
    } else {
        Json::from(value)
    }
}

fn float_from_json(json: &Json) -> Option<f64> {
    match json {
        Json::Number(number) => number.as_f64(),
        Json::String(text) => match text.as_str() {
            "NaN" => Some(f64::NAN),
            "Infinity" => Some(f64::INFINITY),
            "-Infinity" => Some(f64::NEG_INFINITY),
            _ => None,
        },
        _ => None,
    }
}

fn float64_to_json(value: f64) -> Json {
    match Number::from_f64(value) {
        Some(number) => Json::Number(number),
        None => Json::String(not_finite(value).to_owned()),
    }
}

fn float32_to_json(value: f32) -> Json {
    // The shortest digits that give this float32 back, not those of the float64 nearest to it.
    match value.to_string().parse() {
        Ok(shortest) if value.is_finite() => float64_to_json(shortest),
        _ => Json::String(not_finite(f64::from(value)).to_owned()),
    }
}

fn not_finite(value: f64) -> &'static str {
    if value.is_nan() {
        "NaN"
    } else if value > 0.0 {
        "Infinity"
    } else {
        "-Infinity"
    }
}

fn wrong(data_type: &DataType, json: &Json) -> String {
    let found = shown(json);
    let hint = match data_type {
        DataType::Int64 => " (a number without fraction; beyond 2^53 as a string)".to_owned(),
        DataType::Int32 => " (a number without fraction, 32 bits)".to_owned(),
        DataType::Float32 | DataType::Float64 => {
            " (a number, \"NaN\", \"Infinity\" or \"-Infinity\")".to_owned()
        }
        DataType::Bytes => " (a string of standard base64)".to_owned(),
        DataType::Timestamp => " (a string such as \"2014-01-01T00:00:00Z\")".to_owned(),
        DataType::Date => " (a string such as \"2014-01-01\")".to_owned(),
        DataType::Decimal { precision, scale } => format!(
            " (a string such as \"1.5\" with at most {} digits before and {scale} after the point)",
            precision.saturating_sub(*scale)
        ),
        DataType::List(_) => " (an array)".to_owned(),
        DataType::Embedding { .. } => " (an array of numbers)".to_owned(),
        DataType::Bool | DataType::String => String::new(),
    };
    format!("expected {data_type}{hint}, found {found}")
}

/// What was found, short enough for one line.
fn shown(json: &Json) -> String {
    const SHOWN_CHARACTERS_MAX: usize = 40;
    match json {
        Json::Null => "null".to_owned(),
        Json::Bool(value) => format!("the boolean {value}"),
        Json::Number(number) => format!("the number {number}"),
        Json::String(text) if text.chars().count() <= SHOWN_CHARACTERS_MAX => {
            format!("the string {}", Json::String(text.clone()))
        }
        Json::String(text) => {
            let start: String = text.chars().take(SHOWN_CHARACTERS_MAX).collect();
            format!("a string starting with {}", Json::String(start))
        }
        Json::Array(_) => "an array".to_owned(),
        Json::Object(_) => "an object".to_owned(),
    }
}

#[cfg(test)]
mod tests;
