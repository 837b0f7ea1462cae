//! A value on its way through an expression.

use std::{borrow::Cow, cmp::Ordering};

use trivium_codec::ValueRef;
use trivium_model::{KeyValue, Timestamp, Value};

/// A value, borrowed where it can be.
#[derive(Debug, Clone, PartialEq)]
pub enum Datum<'v> {
    /// Nothing: null, or unset.
    Null,
    /// True or false.
    Bool(bool),
    /// 32-bit signed integer.
    Int32(i32),
    /// 64-bit signed integer.
    Int64(i64),
    /// Single precision.
    Float32(f32),
    /// Double precision.
    Float64(f64),
    /// Text.
    String(Cow<'v, str>),
    /// Bytes.
    Bytes(Cow<'v, [u8]>),
    /// An instant.
    Timestamp(Timestamp),
    /// Days since 1970-01-01.
    Date(i32),
    /// `unscaled × 10^-scale`; the scale is the type's.
    Decimal(i128),
    /// A list or an embedding: expressions only ask whether it is there.
    Opaque,
}

impl<'v> Datum<'v> {
    /// The same value, borrowed from this one.
    pub fn borrowed(&self) -> Datum<'_> {
        match self {
            Self::Null => Datum::Null,
            Self::Bool(value) => Datum::Bool(*value),
            Self::Int32(value) => Datum::Int32(*value),
            Self::Int64(value) => Datum::Int64(*value),
            Self::Float32(value) => Datum::Float32(*value),
            Self::Float64(value) => Datum::Float64(*value),
            Self::String(text) => Datum::String(Cow::Borrowed(text)),
            Self::Bytes(bytes) => Datum::Bytes(Cow::Borrowed(bytes)),
            Self::Timestamp(at) => Datum::Timestamp(*at),
            Self::Date(day) => Datum::Date(*day),
            Self::Decimal(unscaled) => Datum::Decimal(*unscaled),
            Self::Opaque => Datum::Opaque,
        }
    }

    /// Whether it is nothing.
    pub const fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// The value of a column, borrowed.
    pub fn of(value: &'v Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(value) => Self::Bool(*value),
            Value::Int32(value) => Self::Int32(*value),
            Value::Int64(value) => Self::Int64(*value),
            Value::Float32(value) => Self::Float32(*value),
            Value::Float64(value) => Self::Float64(*value),
            Value::String(text) => Self::String(Cow::Borrowed(text)),
            Value::Bytes(bytes) => Self::Bytes(Cow::Borrowed(bytes)),
            Value::Timestamp(at) => Self::Timestamp(*at),
            Value::Date(day) => Self::Date(*day),
            Value::Decimal(unscaled) => Self::Decimal(*unscaled),
            Value::List(_) | Value::Embedding(_) => Self::Opaque,
        }
    }

    /// The value of a join key, borrowed.
    pub fn of_key(value: &'v KeyValue) -> Self {
        match value {
            KeyValue::String(text) => Self::String(Cow::Borrowed(text)),
            KeyValue::Int64(value) => Self::Int64(*value),
            KeyValue::Bool(value) => Self::Bool(*value),
            KeyValue::Bytes(bytes) => Self::Bytes(Cow::Borrowed(bytes)),
            KeyValue::Date(day) => Self::Date(*day),
            KeyValue::Timestamp(at) => Self::Timestamp(*at),
        }
    }

    /// The value of a row, borrowed from its bytes.
    pub const fn of_row(value: ValueRef<'v>) -> Self {
        match value {
            ValueRef::Null => Self::Null,
            ValueRef::Bool(value) => Self::Bool(value),
            ValueRef::Int32(value) => Self::Int32(value),
            ValueRef::Int64(value) => Self::Int64(value),
            ValueRef::Float32(value) => Self::Float32(value),
            ValueRef::Float64(value) => Self::Float64(value),
            ValueRef::String(text) => Self::String(Cow::Borrowed(text)),
            ValueRef::Bytes(bytes) => Self::Bytes(Cow::Borrowed(bytes)),
            ValueRef::Timestamp(at) => Self::Timestamp(at),
            ValueRef::Date(day) => Self::Date(day),
            ValueRef::Decimal(unscaled) => Self::Decimal(unscaled),
            ValueRef::List(_) | ValueRef::Embedding(_) => Self::Opaque,
        }
    }

    /// The value as that of a row. No expression gives [`Datum::Opaque`]; it would be null.
    pub fn as_row(&self) -> ValueRef<'_> {
        match self {
            Self::Null | Self::Opaque => ValueRef::Null,
            Self::Bool(value) => ValueRef::Bool(*value),
            Self::Int32(value) => ValueRef::Int32(*value),
            Self::Int64(value) => ValueRef::Int64(*value),
            Self::Float32(value) => ValueRef::Float32(*value),
            Self::Float64(value) => ValueRef::Float64(*value),
            Self::String(text) => ValueRef::String(text),
            Self::Bytes(bytes) => ValueRef::Bytes(bytes),
            Self::Timestamp(at) => ValueRef::Timestamp(*at),
            Self::Date(day) => ValueRef::Date(*day),
            Self::Decimal(unscaled) => ValueRef::Decimal(*unscaled),
        }
    }

    /// The value, owned. No expression gives [`Datum::Opaque`]; it would be null.
    pub fn into_value(self) -> Value {
        match self {
            Self::Null | Self::Opaque => Value::Null,
            Self::Bool(value) => Value::Bool(value),
            Self::Int32(value) => Value::Int32(value),
            Self::Int64(value) => Value::Int64(value),
            Self::Float32(value) => Value::Float32(value),
            Self::Float64(value) => Value::Float64(value),
            Self::String(text) => Value::String(text.into_owned()),
            Self::Bytes(bytes) => Value::Bytes(bytes.into_owned()),
            Self::Timestamp(at) => Value::Timestamp(at),
            Self::Date(day) => Value::Date(day),
            Self::Decimal(unscaled) => Value::Decimal(unscaled),
        }
    }

    /// How two values of one type stand; `None` if either is nothing. NaN is NaN and above all else, one zero is the
    /// other.
    pub(crate) fn order(&self, other: &Self) -> Option<Ordering> {
        Some(match (self, other) {
            (Self::Bool(left), Self::Bool(right)) => left.cmp(right),
            (Self::Int32(left), Self::Int32(right)) => left.cmp(right),
            (Self::Int64(left), Self::Int64(right)) => left.cmp(right),
            (Self::Float32(left), Self::Float32(right)) => {
                float_order(f64::from(*left), f64::from(*right))
            }
            (Self::Float64(left), Self::Float64(right)) => float_order(*left, *right),
            (Self::String(left), Self::String(right)) => left.as_bytes().cmp(right.as_bytes()),
            (Self::Bytes(left), Self::Bytes(right)) => left.cmp(right),
            (Self::Timestamp(left), Self::Timestamp(right)) => left.cmp(right),
            (Self::Date(left), Self::Date(right)) => left.cmp(right),
            (Self::Decimal(left), Self::Decimal(right)) => left.cmp(right),
            _ => return None,
        })
    }

    pub(crate) const fn truth(&self) -> Option<bool> {
        match self {
            Self::Bool(value) => Some(*value),
            _ => None,
        }
    }
    pub(crate) const fn int(&self) -> Option<i32> {
        match self {
            Self::Int32(value) => Some(*value),
            _ => None,
        }
    }
    pub(crate) const fn double(&self) -> Option<f64> {
        match self {
            Self::Float64(value) => Some(*value),
            _ => None,
        }
    }
    pub(crate) const fn at(&self) -> Option<Timestamp> {
        match self {
            Self::Timestamp(at) => Some(*at),
            _ => None,
        }
    }
    pub(crate) const fn day(&self) -> Option<i32> {
        match self {
            Self::Date(day) => Some(*day),
            _ => None,
        }
    }
    pub(crate) fn text(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }
    /// `None` is null.
    pub(crate) fn from_truth(value: Option<bool>) -> Self {
        value.map_or(Self::Null, Self::Bool)
    }
}

fn float_order(left: f64, right: f64) -> Ordering {
    left.partial_cmp(&right).unwrap_or_else(|| left.is_nan().cmp(&right.is_nan()))
}
