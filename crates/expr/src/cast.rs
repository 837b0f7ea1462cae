//! Casts, as Spark's `TRY_CAST` has them: what cannot be cast is null.

use std::borrow::Cow;

use trivium_model::{DataType, Timestamp, json};

use crate::{
    Datum,
    number::{decimal_from_text, float_to_long, plain_number, rescale, text_to_double},
    text::trim,
    time,
};

/// A cast to a type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Convert {
    /// The scale of the value, if it is a decimal.
    pub(crate) scale: u8,
    pub(crate) to: DataType,
}

impl Convert {
    pub(crate) fn apply<'v>(&self, value: Datum<'v>) -> Datum<'v> {
        match &self.to {
            DataType::Bool => Datum::from_truth(self.truth(&value)),
            DataType::Int32 => self
                .long(&value, i64::from(i32::MIN), i64::from(i32::MAX))
                .and_then(|value| i32::try_from(value).ok())
                .map_or(Datum::Null, Datum::Int32),
            DataType::Int64 => {
                self.long(&value, i64::MIN, i64::MAX).map_or(Datum::Null, Datum::Int64)
            }
            DataType::Float32 => self.single(&value).map_or(Datum::Null, Datum::Float32),
            DataType::Float64 => self.double(&value).map_or(Datum::Null, Datum::Float64),
            DataType::Decimal { precision, scale } => {
                self.decimal(&value, *precision, *scale).map_or(Datum::Null, Datum::Decimal)
            }
            DataType::String => self.written(value),
            DataType::Timestamp => instant(&value).map_or(Datum::Null, Datum::Timestamp),
            DataType::Date => day(&value).map_or(Datum::Null, Datum::Date),
            DataType::Bytes | DataType::List(_) | DataType::Embedding { .. } => value,
        }
    }

    fn truth(&self, value: &Datum<'_>) -> Option<bool> {
        match value {
            Datum::Bool(value) => Some(*value),
            Datum::Int32(value) => Some(*value != 0),
            Datum::Int64(value) => Some(*value != 0),
            Datum::Float32(value) => Some(*value != 0.0),
            Datum::Float64(value) => Some(*value != 0.0),
            Datum::Decimal(value) => Some(*value != 0),
            Datum::String(text) => match trim(text).to_ascii_lowercase().as_str() {
                "t" | "true" | "y" | "yes" | "1" => Some(true),
                "f" | "false" | "n" | "no" | "0" => Some(false),
                _ => None,
            },
            _ => None,
        }
    }

    fn long(&self, value: &Datum<'_>, least: i64, most: i64) -> Option<i64> {
        match value {
            Datum::Bool(value) => Some(i64::from(*value)),
            Datum::Int32(value) => Some(i64::from(*value)),
            Datum::Int64(value) => Some(*value),
            Datum::Float32(value) => float_to_long(f64::from(*value), least, most),
            Datum::Float64(value) => float_to_long(*value, least, most),
            Datum::Decimal(value) => {
                i64::try_from(value / 10i128.checked_pow(u32::from(self.scale))?).ok()
            }
            Datum::String(text) => {
                let text = trim(text);
                let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
                let whole = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
                whole.then(|| text.parse().ok()).flatten()
            }
            Datum::Timestamp(at) => Some(at.0.div_euclid(1_000_000)),
            _ => None,
        }
    }

    fn single(&self, value: &Datum<'_>) -> Option<f32> {
        match value {
            Datum::Bool(value) => Some(f32::from(u8::from(*value))),
            Datum::Int32(value) => Some(*value as f32),
            Datum::Int64(value) => Some(*value as f32),
            Datum::Float32(value) => Some(*value),
            Datum::Float64(value) => Some(*value as f32),
            // Read back from text, which rounds once.
            Datum::Decimal(value) => json::decimal_to_text(*value, self.scale).parse().ok(),
            Datum::String(text) => {
                let text = trim(text);
                let double = text_to_double(text)?;
                match plain_number(&text.to_ascii_lowercase()) {
                    Some(digits) if double.is_finite() => digits.parse().ok(),
                    _ => Some(double as f32),
                }
            }
            _ => None,
        }
    }

    fn double(&self, value: &Datum<'_>) -> Option<f64> {
        match value {
            Datum::Bool(value) => Some(f64::from(u8::from(*value))),
            Datum::Int32(value) => Some(f64::from(*value)),
            Datum::Int64(value) => Some(*value as f64),
            Datum::Float32(value) => Some(f64::from(*value)),
            Datum::Float64(value) => Some(*value),
            Datum::Decimal(value) => json::decimal_to_text(*value, self.scale).parse().ok(),
            Datum::String(text) => text_to_double(trim(text)),
            _ => None,
        }
    }

    fn decimal(&self, value: &Datum<'_>, precision: u8, scale: u8) -> Option<i128> {
        let whole = |value: i64| rescale(i128::from(value), 0, precision, scale);
        // Java's text of a double is the value that Spark rounds.
        let float = |value: f64| {
            value.is_finite().then(|| decimal_from_text(&format!("{value:e}"), precision, scale))?
        };
        match value {
            Datum::Bool(value) => whole(i64::from(*value)),
            Datum::Int32(value) => whole(i64::from(*value)),
            Datum::Int64(value) => whole(*value),
            Datum::Float32(value) => float(f64::from(*value)),
            Datum::Float64(value) => float(*value),
            Datum::Decimal(value) => rescale(*value, self.scale, precision, scale),
            Datum::String(text) => decimal_from_text(trim(text), precision, scale),
            _ => None,
        }
    }

    fn written<'v>(&self, value: Datum<'v>) -> Datum<'v> {
        let text = match value {
            Datum::String(text) => return Datum::String(text),
            Datum::Bool(value) => {
                return Datum::String(Cow::Borrowed(if value { "true" } else { "false" }));
            }
            Datum::Int32(value) => Some(value.to_string()),
            Datum::Int64(value) => Some(value.to_string()),
            Datum::Decimal(value) => Some(json::decimal_to_text(value, self.scale)),
            Datum::Date(day) => time::write_date(day),
            Datum::Timestamp(at) => time::write_timestamp(at),
            _ => None,
        };
        text.map_or(Datum::Null, |text| Datum::String(Cow::Owned(text)))
    }
}

fn instant(value: &Datum<'_>) -> Option<Timestamp> {
    match value {
        Datum::Timestamp(at) => Some(*at),
        Datum::Date(day) => time::instant(i64::from(*day).checked_mul(time::DAY_MICROS)?),
        Datum::Int32(seconds) => time::instant(i64::from(*seconds).checked_mul(1_000_000)?),
        Datum::Int64(seconds) => time::instant(seconds.checked_mul(1_000_000)?),
        Datum::String(text) => time::read_timestamp(trim(text)),
        _ => None,
    }
}

fn day(value: &Datum<'_>) -> Option<i32> {
    match value {
        Datum::Date(day) => Some(*day),
        Datum::Timestamp(at) => time::day_of(*at),
        Datum::String(text) => time::read_date(trim(text)),
        _ => None,
    }
}
