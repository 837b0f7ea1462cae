//! Values borrowed from row bytes, or from whoever is about to write them.

use trivium_model::{Timestamp, Value};

use crate::{Error, schema::Scalar};

/// A value of a feature, borrowed. Unset is the absence of a `ValueRef`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ValueRef<'a> {
    /// Known to be nothing.
    Null,
    /// True or false.
    Bool(bool),
    /// 32-bit signed integer.
    Int32(i32),
    /// 64-bit signed integer.
    Int64(i64),
    /// Single precision; NaN keeps its bits.
    Float32(f32),
    /// Double precision; NaN keeps its bits.
    Float64(f64),
    /// Text.
    String(&'a str),
    /// Bytes.
    Bytes(&'a [u8]),
    /// An instant.
    Timestamp(Timestamp),
    /// Days since 1970-01-01.
    Date(i32),
    /// `unscaled × 10^-scale`; the scale is the field's.
    Decimal(i128),
    /// Scalars, each of which may be null.
    List(ListRef<'a>),
    /// Components of a vector.
    Embedding(EmbeddingRef<'a>),
}

impl<'a> ValueRef<'a> {
    /// The value, owned.
    pub fn to_owned(self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Bool(value) => Value::Bool(value),
            Self::Int32(value) => Value::Int32(value),
            Self::Int64(value) => Value::Int64(value),
            Self::Float32(value) => Value::Float32(value),
            Self::Float64(value) => Value::Float64(value),
            Self::String(value) => Value::String(value.to_owned()),
            Self::Bytes(value) => Value::Bytes(value.to_vec()),
            Self::Timestamp(value) => Value::Timestamp(value),
            Self::Date(value) => Value::Date(value),
            Self::Decimal(value) => Value::Decimal(value),
            Self::List(items) => Value::List(items.iter().map(ValueRef::to_owned).collect()),
            Self::Embedding(components) => Value::Embedding(components.iter().collect()),
        }
    }

    /// The word for the value's type in errors.
    pub fn type_word(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "bool",
            Self::Int32(_) => "int32",
            Self::Int64(_) => "int64",
            Self::Float32(_) => "float32",
            Self::Float64(_) => "float64",
            Self::String(_) => "string",
            Self::Bytes(_) => "bytes",
            Self::Timestamp(_) => "timestamp",
            Self::Date(_) => "date",
            Self::Decimal(_) => "decimal",
            Self::List(_) => "list",
            Self::Embedding(_) => "embedding",
        }
    }
}

impl<'a> From<&'a Value> for ValueRef<'a> {
    fn from(value: &'a Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(value) => Self::Bool(*value),
            Value::Int32(value) => Self::Int32(*value),
            Value::Int64(value) => Self::Int64(*value),
            Value::Float32(value) => Self::Float32(*value),
            Value::Float64(value) => Self::Float64(*value),
            Value::String(value) => Self::String(value),
            Value::Bytes(value) => Self::Bytes(value),
            Value::Timestamp(value) => Self::Timestamp(*value),
            Value::Date(value) => Self::Date(*value),
            Value::Decimal(value) => Self::Decimal(*value),
            Value::List(items) => Self::List(ListRef::new(items)),
            Value::Embedding(components) => Self::Embedding(EmbeddingRef::new(components)),
        }
    }
}

/// A list of scalars.
#[derive(Debug, Clone, Copy)]
pub struct ListRef<'a>(Items<'a>);

#[derive(Debug, Clone, Copy)]
enum Items<'a> {
    Values(&'a [Value]),
    /// Checked when it was made: every access below succeeds.
    Encoded {
        item: Scalar,
        count: usize,
        nulls: &'a [u8],
        ends: &'a [u8],
        data: &'a [u8],
    },
}

impl<'a> ListRef<'a> {
    /// A list of these values, to be written.
    pub fn new(items: &'a [Value]) -> Self {
        Self(Items::Values(items))
    }

    /// Checks a list's bytes: count, null bitmap, ends of the items if they vary in width, items.
    pub(crate) fn decode(item: Scalar, bytes: &'a [u8]) -> Result<Self, Error> {
        const SHORT: Error = Error::Corrupt("a list ends before its items do");
        let (count, rest) = bytes.split_first_chunk::<4>().ok_or(SHORT)?;
        let count = u32::from_le_bytes(*count) as usize;
        let (nulls, rest) = rest.split_at_checked(count.div_ceil(8)).ok_or(SHORT)?;
        let (ends, data) = match item.width() {
            Some(width) => {
                if count.checked_mul(width) != Some(rest.len()) {
                    return Err(Error::Corrupt("a list is longer or shorter than its items"));
                }
                (&rest[..0], rest)
            }
            None => {
                let ends_bytes = count.checked_mul(4).ok_or(SHORT)?;
                rest.split_at_checked(ends_bytes).ok_or(SHORT)?
            }
        };
        let list = Self(Items::Encoded { item, count, nulls, ends, data });
        match item {
            Scalar::String | Scalar::Bytes => {
                let mut start = 0;
                for end in ends.chunks_exact(4) {
                    let end = read_u32(end, 0).ok_or(SHORT)? as usize;
                    let value = data.get(start..end).ok_or(SHORT)?;
                    if item == Scalar::String && std::str::from_utf8(value).is_err() {
                        return Err(Error::Corrupt("a string in a list is not UTF-8"));
                    }
                    start = end;
                }
                if start != data.len() {
                    return Err(Error::Corrupt("a list is longer than its items"));
                }
            }
            Scalar::Bool if data.iter().any(|byte| *byte > 1) => {
                return Err(Error::Corrupt("a bool is neither 0 nor 1"));
            }
            _ => {}
        }
        Ok(list)
    }

    /// Number of items.
    pub fn len(&self) -> usize {
        match self.0 {
            Items::Values(items) => items.len(),
            Items::Encoded { count, .. } => count,
        }
    }
    /// Whether there is no item.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The item at an index; `None` past the end.
    pub fn get(&self, index: usize) -> Option<ValueRef<'a>> {
        match self.0 {
            Items::Values(items) => items.get(index).map(ValueRef::from),
            Items::Encoded { item, count, nulls, ends, data } => {
                if index >= count {
                    return None;
                }
                if nulls.get(index / 8)? >> (index % 8) & 1 == 1 {
                    return Some(ValueRef::Null);
                }
                match item.width() {
                    Some(width) => decode_fixed(item, data.get(index * width..)?),
                    None => {
                        let start = match index {
                            0 => 0,
                            _ => read_u32(ends, (index - 1) * 4)? as usize,
                        };
                        let value = data.get(start..read_u32(ends, index * 4)? as usize)?;
                        Some(match item {
                            Scalar::String => ValueRef::String(std::str::from_utf8(value).ok()?),
                            _ => ValueRef::Bytes(value),
                        })
                    }
                }
            }
        }
    }

    /// The items in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = ValueRef<'a>> + use<'a> {
        let list = *self;
        // `get` is total below `len`: the bytes were checked when the list was made.
        (0..list.len()).map(move |index| list.get(index).unwrap_or(ValueRef::Null))
    }
}

impl PartialEq for ListRef<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.iter().zip(other.iter()).all(|(a, b)| a == b)
    }
}

/// The components of an embedding.
#[derive(Debug, Clone, Copy)]
pub struct EmbeddingRef<'a>(Components<'a>);

#[derive(Debug, Clone, Copy)]
enum Components<'a> {
    Floats(&'a [f32]),
    /// Little-endian; a multiple of four bytes.
    Encoded(&'a [u8]),
}

impl<'a> EmbeddingRef<'a> {
    /// These components, to be written.
    pub fn new(components: &'a [f32]) -> Self {
        Self(Components::Floats(components))
    }
    pub(crate) fn decode(bytes: &'a [u8], dimension: u32) -> Result<Self, Error> {
        if bytes.len() != dimension as usize * 4 {
            return Err(Error::Corrupt("an embedding does not have its dimension"));
        }
        Ok(Self(Components::Encoded(bytes)))
    }
    /// Number of components.
    pub fn len(&self) -> usize {
        match self.0 {
            Components::Floats(floats) => floats.len(),
            Components::Encoded(bytes) => bytes.len() / 4,
        }
    }
    /// Whether there is no component.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// The component at an index; `None` past the end.
    pub fn get(&self, index: usize) -> Option<f32> {
        match self.0 {
            Components::Floats(floats) => floats.get(index).copied(),
            Components::Encoded(bytes) => bytes
                .get(index.checked_mul(4)?..)?
                .first_chunk()
                .map(|bits| f32::from_le_bytes(*bits)),
        }
    }
    /// The components in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = f32> + use<'a> {
        let components = *self;
        (0..components.len()).map(move |index| components.get(index).unwrap_or(f32::NAN))
    }
}

impl PartialEq for EmbeddingRef<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.iter().zip(other.iter()).all(|(a, b)| a == b)
    }
}

/// The fixed-width scalar at the start of `bytes`; `None` if they are too few.
#[inline]
fn decode_fixed<'a>(item: Scalar, bytes: &[u8]) -> Option<ValueRef<'a>> {
    Some(match item {
        Scalar::Bool => ValueRef::Bool(*bytes.first()? != 0),
        Scalar::Int32 => ValueRef::Int32(i32::from_le_bytes(*bytes.first_chunk()?)),
        Scalar::Int64 => ValueRef::Int64(i64::from_le_bytes(*bytes.first_chunk()?)),
        Scalar::Float32 => ValueRef::Float32(f32::from_le_bytes(*bytes.first_chunk()?)),
        Scalar::Float64 => ValueRef::Float64(f64::from_le_bytes(*bytes.first_chunk()?)),
        Scalar::Timestamp => {
            ValueRef::Timestamp(Timestamp(i64::from_le_bytes(*bytes.first_chunk()?)))
        }
        Scalar::Date => ValueRef::Date(i32::from_le_bytes(*bytes.first_chunk()?)),
        Scalar::Decimal => ValueRef::Decimal(i128::from_le_bytes(*bytes.first_chunk()?)),
        Scalar::String | Scalar::Bytes => return None,
    })
}

#[inline]
pub(crate) fn read_u32(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|chunk| u32::from_le_bytes(*chunk))
}
