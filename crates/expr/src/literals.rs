//! Literals: what they are when they are read.

use std::borrow::Cow;

use sqlparser::ast::{DataType as SqlType, TimezoneInfo, Value};
use trivium_model::{DataType, types::DECIMAL_PRECISION_MAX};

use crate::{Datum, Problem, node::Node, number::decimal_from_text, text::trim, time};

/// The text of a literal.
pub(crate) fn text(value: &Value, at: usize) -> Option<Result<&str, Problem>> {
    let (text, quote) = match value {
        Value::SingleQuotedString(text) => (text, '\''),
        Value::DoubleQuotedString(text) => (text, '"'),
        _ => return None,
    };
    if text.contains(quote) {
        // Spark joins 'a''b' to ab, others read a quote.
        let help = "write the text between quotes of the other kind";
        return Some(Err(Problem::new(at, "a doubled quote in a text", help)));
    }
    Some(Ok(text))
}

/// A literal, and its type if it has one.
pub(crate) fn literal(
    value: &Value,
    negative: bool,
    at: usize,
) -> Result<(Node, Option<DataType>), Problem> {
    let typed = |value: Datum<'static>, data_type: DataType| {
        Ok((Node::Literal(value, data_type.clone()), Some(data_type)))
    };
    match value {
        Value::Number(digits, long) => number(digits, *long, negative, at),
        Value::Boolean(value) => typed(Datum::Bool(*value), DataType::Bool),
        Value::Null => Ok((Node::Literal(Datum::Null, DataType::String), None)),
        other => match text(other, at) {
            Some(text) => typed(Datum::String(Cow::Owned(text?.to_owned())), DataType::String),
            None => {
                let help = "write numbers, texts in plain quotes, TRUE, FALSE, NULL, DATE '…' and TIMESTAMP '…'";
                Err(Problem::new(at, format!("the literal `{other}` has no place here"), help))
            }
        },
    }
}

/// A number with Spark's type: int, bigint, decimal or, with an exponent, double.
fn number(
    text: &str,
    long: bool,
    negative: bool,
    at: usize,
) -> Result<(Node, Option<DataType>), Problem> {
    let signed = if negative { format!("-{text}") } else { text.to_owned() };
    let wrong =
        |message: &str, help: &str| Problem::new(at, format!("`{signed}`: {message}"), help);
    let (datum, data_type) = if text.contains(['e', 'E']) {
        let value: Option<f64> = signed.parse().ok().filter(|value: &f64| value.is_finite());
        let value = value.ok_or_else(|| wrong("no double is that large", "write a smaller one"))?;
        (Datum::Float64(value), DataType::Float64)
    } else if let Some((whole, fraction)) = text.split_once('.') {
        let significant = format!("{whole}{fraction}");
        let precision = significant.trim_start_matches('0').len().max(fraction.len()).max(1);
        let parts = u8::try_from(precision).ok().zip(u8::try_from(fraction.len()).ok());
        let (precision, scale) =
            parts.filter(|(precision, _)| *precision <= DECIMAL_PRECISION_MAX).ok_or_else(
                || wrong("a decimal of more than 38 digits", "write it as a double, `1.5E0`"),
            )?;
        let value = decimal_from_text(&signed, precision, scale)
            .ok_or_else(|| wrong("this is no number", "write digits"))?;
        (Datum::Decimal(value), DataType::Decimal { precision, scale })
    } else {
        let value: i64 = signed
            .parse()
            .map_err(|_| wrong("beyond bigint", "write it as a double, with an exponent"))?;
        match i32::try_from(value) {
            Ok(value) if !long => (Datum::Int32(value), DataType::Int32),
            _ => (Datum::Int64(value), DataType::Int64),
        }
    };
    Ok((Node::Literal(datum, data_type.clone()), Some(data_type)))
}

/// `DATE '2013-01-01'` and `TIMESTAMP '2013-01-01 10:00:00'`.
pub(crate) fn typed(
    data_type: &SqlType,
    value: &Value,
    at: usize,
) -> Result<(Node, Option<DataType>), Problem> {
    let refused = || {
        let help = "write DATE '2013-01-01' or TIMESTAMP '2013-01-01 10:00:00'";
        Problem::new(at, format!("the literal `{data_type} {value}` has no place here"), help)
    };
    let text = text(value, at).ok_or_else(refused)??;
    let (datum, data_type) = match data_type {
        SqlType::Date => (time::read_date(trim(text)).map(Datum::Date), DataType::Date),
        SqlType::Timestamp(None, TimezoneInfo::None) => {
            (time::read_timestamp(trim(text)).map(Datum::Timestamp), DataType::Timestamp)
        }
        _ => return Err(refused()),
    };
    let Some(datum) = datum else {
        let help = "write a day or an instant of the years 0001 to 9999, in UTC or with an offset";
        return Err(Problem::new(at, format!("'{text}' is no {data_type}"), help));
    };
    Ok((Node::Literal(datum, data_type.clone()), Some(data_type)))
}
