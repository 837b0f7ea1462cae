//! Spark literals and names, written so that nothing in a value can end them.

use trivium_model::{DataType, Timestamp, Value, json};

/// `2013-01-01 00:00:00`, with a fraction only where there is one; UTC.
pub(crate) fn instant_text(at: Timestamp) -> String {
    match at.to_utc() {
        Some(utc) if at.0.rem_euclid(1_000_000) == 0 => utc.format("%Y-%m-%d %H:%M:%S").to_string(),
        Some(utc) => utc.format("%Y-%m-%d %H:%M:%S%.6f").to_string(),
        None => String::new(),
    }
}

/// `TIMESTAMP '2013-01-01 00:00:00'`, read in UTC.
pub(crate) fn instant(at: Timestamp) -> String {
    format!("TIMESTAMP '{}'", instant_text(at))
}

/// A name between backticks.
pub(crate) fn name(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

/// A double: always with an exponent, because Spark reads `1.5` as a decimal.
pub(crate) fn double(value: f64) -> String {
    if value.is_nan() {
        "CAST('NaN' AS DOUBLE)".to_owned()
    } else if value.is_infinite() {
        format!("CAST('{}Infinity' AS DOUBLE)", if value < 0.0 { "-" } else { "" })
    } else if value.is_sign_negative() {
        format!("(-{:E})", -value)
    } else {
        format!("{value:E}")
    }
}

/// A whole number as BIGINT.
pub(crate) fn bigint(value: i64) -> String {
    format!("CAST('{value}' AS BIGINT)")
}

/// Text. What a backslash means between quotes depends on settings, so text with quotes,
/// backslashes or anything unprintable is written as its bytes.
pub(crate) fn string(text: &str) -> String {
    let plain = |c: char| !c.is_control() && !matches!(c, '\'' | '"' | '\\' | '{' | '}' | '$');
    if text.chars().all(plain) {
        format!("'{text}'")
    } else {
        format!("CAST({} AS STRING)", bytes(text.as_bytes()))
    }
}

fn bytes(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len() * 2 + 3);
    out.push_str("X'");
    for byte in bytes {
        out.push_str(&format!("{byte:02X}"));
    }
    out.push('\'');
    out
}

/// A scalar of a feature's type; `None` for null, lists and embeddings.
pub(crate) fn value(data_type: &DataType, value: &Value) -> Option<String> {
    Some(match (value, data_type) {
        (Value::Bool(value), _) => if *value { "TRUE" } else { "FALSE" }.to_owned(),
        (Value::Int32(value), _) => format!("CAST('{value}' AS INT)"),
        (Value::Int64(value), _) => bigint(*value),
        (Value::Float32(value), _) => format!("CAST({} AS FLOAT)", double(f64::from(*value))),
        (Value::Float64(value), _) => double(*value),
        (Value::String(text), _) => string(text),
        (Value::Bytes(value), _) => bytes(value),
        (Value::Timestamp(at), _) if at.in_calendar() => instant(*at),
        (Value::Date(days), _) => format!("DATE '{}'", json::day_to_text(*days)),
        (Value::Decimal(unscaled), DataType::Decimal { precision, scale }) => format!(
            "CAST('{}' AS DECIMAL({precision}, {scale}))",
            json::decimal_to_text(*unscaled, *scale)
        ),
        _ => return None,
    })
}

/// The type in SQL; embeddings are arrays of floats.
pub(crate) fn sql_type(data_type: &DataType) -> String {
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
        DataType::List(item) => format!("ARRAY<{}>", sql_type(item)),
        DataType::Embedding { .. } => "ARRAY<FLOAT>".to_owned(),
    }
}
