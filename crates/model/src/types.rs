//! Types of features and of entity keys.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The most dimensions of an embedding (OpenSearch's own limit).
pub const EMBEDDING_DIMENSION_MAX: u32 = 16_000;
/// The most digits of a decimal.
pub const DECIMAL_PRECISION_MAX: u8 = 38;

/// The type of a feature. In JSON: `"int64"`, `{"decimal": {"precision": 18, "scale": 2}}`,
/// `{"list": "string"}`, `{"embedding": {"dimension": 384, "metric": "cosine"}}`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum DataType {
    /// True or false.
    Bool,
    /// 32-bit signed integer.
    Int32,
    /// 64-bit signed integer.
    Int64,
    /// IEEE 754 single precision.
    Float32,
    /// IEEE 754 double precision.
    Float64,
    /// UTF-8 text.
    String,
    /// Bytes.
    Bytes,
    /// An instant, microseconds UTC.
    Timestamp,
    /// A day, without zone.
    Date,
    /// An exact decimal number.
    Decimal {
        /// Digits in all, 1 to 38.
        precision: u8,
        /// Digits after the point, at most `precision`.
        scale: u8,
    },
    /// A list of scalars, each of which may be null.
    List(Box<DataType>),
    /// A vector for nearest-neighbour search.
    Embedding {
        /// Number of components, 1 to 16,000.
        dimension: u32,
        /// How the distance of two vectors is measured.
        metric: Distance,
    },
}

/// How the distance of two embeddings is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Distance {
    /// Cosine distance.
    Cosine,
    /// Euclidean distance.
    L2,
    /// Inner product, larger is nearer.
    Dot,
}

/// The type of one join key of an entity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyType {
    /// UTF-8 text.
    String,
    /// 64-bit signed integer.
    Int64,
    /// True or false.
    Bool,
    /// Bytes.
    Bytes,
    /// A day.
    Date,
    /// An instant, microseconds UTC.
    Timestamp,
}

impl KeyType {
    /// The word used in configs.
    pub const fn word(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::Int64 => "int64",
            Self::Bool => "bool",
            Self::Bytes => "bytes",
            Self::Date => "date",
            Self::Timestamp => "timestamp",
        }
    }
    /// The feature type with the same values.
    pub const fn data_type(self) -> DataType {
        match self {
            Self::String => DataType::String,
            Self::Int64 => DataType::Int64,
            Self::Bool => DataType::Bool,
            Self::Bytes => DataType::Bytes,
            Self::Date => DataType::Date,
            Self::Timestamp => DataType::Timestamp,
        }
    }
}
impl fmt::Display for KeyType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}
impl fmt::Display for Distance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cosine => "cosine",
            Self::L2 => "l2",
            Self::Dot => "dot",
        })
    }
}
impl fmt::Display for DataType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool => f.write_str("bool"),
            Self::Int32 => f.write_str("int32"),
            Self::Int64 => f.write_str("int64"),
            Self::Float32 => f.write_str("float32"),
            Self::Float64 => f.write_str("float64"),
            Self::String => f.write_str("string"),
            Self::Bytes => f.write_str("bytes"),
            Self::Timestamp => f.write_str("timestamp"),
            Self::Date => f.write_str("date"),
            Self::Decimal { precision, scale } => write!(f, "decimal({precision}, {scale})"),
            Self::List(item) => write!(f, "list<{item}>"),
            Self::Embedding { dimension, metric } => write!(f, "embedding({dimension}, {metric})"),
        }
    }
}
