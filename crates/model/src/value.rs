//! Owned values, for configs, requests and tests. The read path uses the codec's borrowed ones.

use serde::{Deserialize, Serialize};

use crate::{DataType, KeyType, Timestamp};

/// A value of a feature. Unset is the absence of a `Value`; null is a value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Value {
    /// Known to be nothing.
    Null,
    /// See [`DataType::Bool`].
    Bool(bool),
    /// See [`DataType::Int32`].
    Int32(i32),
    /// See [`DataType::Int64`].
    Int64(i64),
    /// See [`DataType::Float32`].
    Float32(#[serde(with = "float32_text")] f32),
    /// See [`DataType::Float64`].
    Float64(#[serde(with = "float64_text")] f64),
    /// See [`DataType::String`].
    String(String),
    /// See [`DataType::Bytes`].
    Bytes(Vec<u8>),
    /// See [`DataType::Timestamp`].
    Timestamp(Timestamp),
    /// Days since 1970-01-01.
    Date(i32),
    /// `unscaled × 10^-scale`; the scale is the feature type's.
    Decimal(#[serde(with = "decimal_text")] i128),
    /// Items are scalars of the list's item type, or null.
    List(Vec<Value>),
    /// Components.
    Embedding(Vec<f32>),
}

impl Value {
    /// Whether every surface can spell the instants and days in it: years 0001 to 9999.
    pub fn in_calendar(&self) -> bool {
        match self {
            Self::Timestamp(at) => at.in_calendar(),
            Self::Date(days) => crate::time::CALENDAR_DAYS.contains(days),
            Self::List(items) => items.iter().all(Self::in_calendar),
            _ => true,
        }
    }
    /// Whether the value may stand in a feature of this type (null may everywhere).
    pub fn fits(&self, data_type: &DataType) -> bool {
        match (self, data_type) {
            (Self::Null, _)
            | (Self::Bool(_), DataType::Bool)
            | (Self::Int32(_), DataType::Int32)
            | (Self::Int64(_), DataType::Int64)
            | (Self::Float32(_), DataType::Float32)
            | (Self::Float64(_), DataType::Float64)
            | (Self::String(_), DataType::String)
            | (Self::Bytes(_), DataType::Bytes)
            | (Self::Timestamp(_), DataType::Timestamp)
            | (Self::Date(_), DataType::Date) => true,
            (Self::Decimal(unscaled), DataType::Decimal { precision, .. }) => {
                unscaled.unsigned_abs() < 10u128.pow(u32::from(*precision))
            }
            (Self::List(items), DataType::List(item)) => items.iter().all(|value| value.fits(item)),
            (Self::Embedding(components), DataType::Embedding { dimension, .. }) => {
                components.len() == *dimension as usize
            }
            _ => false,
        }
    }
}

/// The value of one join key. Never null.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyValue {
    /// See [`KeyType::String`].
    String(String),
    /// See [`KeyType::Int64`].
    Int64(i64),
    /// See [`KeyType::Bool`].
    Bool(bool),
    /// See [`KeyType::Bytes`].
    Bytes(Vec<u8>),
    /// Days since 1970-01-01.
    Date(i32),
    /// See [`KeyType::Timestamp`].
    Timestamp(Timestamp),
}

impl KeyValue {
    /// The type this value has.
    pub const fn key_type(&self) -> KeyType {
        match self {
            Self::String(_) => KeyType::String,
            Self::Int64(_) => KeyType::Int64,
            Self::Bool(_) => KeyType::Bool,
            Self::Bytes(_) => KeyType::Bytes,
            Self::Date(_) => KeyType::Date,
            Self::Timestamp(_) => KeyType::Timestamp,
        }
    }
}

/// JSON has no NaN and no infinities: without this a stored NaN would come back as an error.
macro_rules! float_text {
    ($module:ident, $float:ty) => {
        mod $module {
            use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

            #[derive(Deserialize)]
            #[serde(untagged)]
            enum Written {
                Number($float),
                Text(String),
            }

            pub fn serialize<S: Serializer>(
                value: &$float,
                serializer: S,
            ) -> Result<S::Ok, S::Error> {
                if value.is_finite() {
                    value.serialize(serializer)
                } else {
                    serializer.collect_str(value)
                }
            }

            pub fn deserialize<'de, D: Deserializer<'de>>(
                deserializer: D,
            ) -> Result<$float, D::Error> {
                match Written::deserialize(deserializer)? {
                    Written::Number(value) => Ok(value),
                    Written::Text(text) => text.parse().map_err(D::Error::custom),
                }
            }
        }
    };
}
float_text!(float32_text, f32);
float_text!(float64_text, f64);

/// As text: JSON readers, and serde's own buffers, do not hold 128 bits.
mod decimal_text {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub fn serialize<S: Serializer>(value: &i128, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(value)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i128, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}
