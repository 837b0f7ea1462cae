//! Values as tiles hold them.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};
use trivium_model::{Timestamp, Value};

/// A value that is not null, as it is stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) enum Scalar {
    Bool(bool),
    Int32(i32),
    Int64(i64),
    Float32(f32),
    Float64(f64),
    Text(String),
    Bytes(Vec<u8>),
    Instant(i64),
    Day(i32),
    Decimal(i128),
}

impl Scalar {
    /// None of null, and of what no column of events has.
    pub fn of(value: &Value) -> Option<Self> {
        Some(match value {
            Value::Null | Value::List(_) | Value::Embedding(_) => return None,
            Value::Bool(value) => Self::Bool(*value),
            Value::Int32(value) => Self::Int32(*value),
            Value::Int64(value) => Self::Int64(*value),
            Value::Float32(value) => Self::Float32(*value),
            Value::Float64(value) => Self::Float64(*value),
            Value::String(text) => Self::Text(text.clone()),
            Value::Bytes(bytes) => Self::Bytes(bytes.clone()),
            Value::Timestamp(at) => Self::Instant(at.0),
            Value::Date(day) => Self::Day(*day),
            Value::Decimal(unscaled) => Self::Decimal(*unscaled),
        })
    }

    pub fn value(self) -> Value {
        match self {
            Self::Bool(value) => Value::Bool(value),
            Self::Int32(value) => Value::Int32(value),
            Self::Int64(value) => Value::Int64(value),
            Self::Float32(value) => Value::Float32(value),
            Self::Float64(value) => Value::Float64(value),
            Self::Text(text) => Value::String(text),
            Self::Bytes(bytes) => Value::Bytes(bytes),
            Self::Instant(at) => Value::Timestamp(Timestamp(at)),
            Self::Day(day) => Value::Date(day),
            Self::Decimal(unscaled) => Value::Decimal(unscaled),
        }
    }

    /// SQL's order, and Spark's of floats: one NaN, above all numbers, and one zero.
    pub fn compare(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Bool(a), Self::Bool(b)) => a.cmp(b),
            (Self::Int32(a), Self::Int32(b)) | (Self::Day(a), Self::Day(b)) => a.cmp(b),
            (Self::Int64(a), Self::Int64(b)) | (Self::Instant(a), Self::Instant(b)) => a.cmp(b),
            (Self::Float32(a), Self::Float32(b)) => floats(f64::from(*a), f64::from(*b)),
            (Self::Float64(a), Self::Float64(b)) => floats(*a, *b),
            (Self::Text(a), Self::Text(b)) => a.cmp(b),
            (Self::Bytes(a), Self::Bytes(b)) => a.cmp(b),
            (Self::Decimal(a), Self::Decimal(b)) => a.cmp(b),
            // A column has one type.
            _ => Ordering::Equal,
        }
    }
}

fn floats(a: f64, b: f64) -> Ordering {
    let plain = |value: f64| if value.is_nan() { f64::NAN } else { value + 0.0 };
    plain(a).total_cmp(&plain(b))
}
