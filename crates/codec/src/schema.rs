//! Which fields a row has, and where in its bytes they stand.

use std::{collections::HashMap, fmt, sync::Arc};

use trivium_model::{DataType, Distance, FeatureView, Name};
use xxhash_rust::xxh3::xxh3_64;

use crate::Error;

/// The most fields of a schema. Bounds what a corrupt or hostile schema can make us allocate.
pub const FIELDS_MAX: usize = 16_384;

/// Names a schema: the xxh3 (64 bits, seed 0) of its canonical field list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Fingerprint(pub u64);

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// One field of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// The feature's name.
    pub name: Name,
    /// The feature's type.
    pub data_type: DataType,
}

/// How a field's bytes are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Bool,
    Int32,
    Int64,
    Float32,
    Float64,
    Timestamp,
    Date,
    Decimal,
    String,
    Bytes,
    List(Scalar),
    Embedding,
}

/// The type of a list's items.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scalar {
    Bool,
    Int32,
    Int64,
    Float32,
    Float64,
    Timestamp,
    Date,
    Decimal,
    String,
    Bytes,
}

impl Scalar {
    /// Bytes of one item; `None`: as long as it is.
    pub(crate) const fn width(self) -> Option<usize> {
        match self {
            Self::Bool => Some(1),
            Self::Int32 | Self::Float32 | Self::Date => Some(4),
            Self::Int64 | Self::Float64 | Self::Timestamp => Some(8),
            Self::Decimal => Some(16),
            Self::String | Self::Bytes => None,
        }
    }

    fn of(data_type: &DataType) -> Option<Self> {
        Some(match data_type {
            DataType::Bool => Self::Bool,
            DataType::Int32 => Self::Int32,
            DataType::Int64 => Self::Int64,
            DataType::Float32 => Self::Float32,
            DataType::Float64 => Self::Float64,
            DataType::Timestamp => Self::Timestamp,
            DataType::Date => Self::Date,
            DataType::Decimal { .. } => Self::Decimal,
            DataType::String => Self::String,
            DataType::Bytes => Self::Bytes,
            DataType::List(_) | DataType::Embedding { .. } => return None,
        })
    }
}

impl Kind {
    pub(crate) const fn width(self) -> Option<usize> {
        match self {
            Self::Bool => Some(1),
            Self::Int32 | Self::Float32 | Self::Date => Some(4),
            Self::Int64 | Self::Float64 | Self::Timestamp => Some(8),
            Self::Decimal => Some(16),
            Self::String | Self::Bytes | Self::List(_) | Self::Embedding => None,
        }
    }

    pub(crate) const fn is_variable(self) -> bool {
        self.width().is_none()
    }

    fn of(data_type: &DataType) -> Option<Self> {
        Some(match data_type {
            DataType::List(item) => Self::List(Scalar::of(item)?),
            DataType::Embedding { .. } => Self::Embedding,
            DataType::Bool => Self::Bool,
            DataType::Int32 => Self::Int32,
            DataType::Int64 => Self::Int64,
            DataType::Float32 => Self::Float32,
            DataType::Float64 => Self::Float64,
            DataType::Timestamp => Self::Timestamp,
            DataType::Date => Self::Date,
            DataType::Decimal { .. } => Self::Decimal,
            DataType::String => Self::String,
            DataType::Bytes => Self::Bytes,
        })
    }
}

/// Where a field stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Slot {
    pub(crate) kind: Kind,
    /// Fixed width: bytes from the start of the fixed section. Else: its number in the offset table.
    pub(crate) position: u32,
    /// Components of an embedding.
    pub(crate) dimension: u32,
}

#[derive(Debug)]
pub(crate) struct Layout {
    pub(crate) fields: Vec<Field>,
    pub(crate) slots: Vec<Slot>,
    by_name: HashMap<Name, usize>,
    pub(crate) fingerprint: Fingerprint,
    /// Bytes of each of the two bitmaps.
    pub(crate) bitmap_bytes: usize,
    /// Bytes of the fixed-width section.
    pub(crate) fixed_bytes: usize,
    /// Fields of variable width.
    pub(crate) variable_count: usize,
}

/// The fields of a row, in their order. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Schema(pub(crate) Arc<Layout>);

impl PartialEq for Schema {
    fn eq(&self, other: &Self) -> bool {
        self.0.fields == other.0.fields
    }
}
impl Eq for Schema {}

impl Schema {
    /// Checks the fields (at least one, at most [`FIELDS_MAX`], no name twice, lists of scalars
    /// only) and lays them out.
    pub fn new(fields: impl IntoIterator<Item = (Name, DataType)>) -> Result<Self, Error> {
        let fields: Vec<Field> =
            fields.into_iter().map(|(name, data_type)| Field { name, data_type }).collect();
        if fields.is_empty() {
            return Err(Error::Schema("there is none".to_owned()));
        }
        if fields.len() > FIELDS_MAX {
            return Err(Error::Schema(format!("{} of them, at most {FIELDS_MAX}", fields.len())));
        }
        let mut slots = Vec::with_capacity(fields.len());
        let mut by_name = HashMap::with_capacity(fields.len());
        let mut canonical = String::new();
        let (mut fixed_bytes, mut variable_count) = (0_usize, 0_usize);
        for (index, field) in fields.iter().enumerate() {
            if by_name.insert(field.name.clone(), index).is_some() {
                return Err(Error::Schema(format!("`{}` stands there twice", field.name)));
            }
            let Some(kind) = Kind::of(&field.data_type) else {
                return Err(Error::Schema(format!(
                    "`{}` is {}; a list holds scalars",
                    field.name, field.data_type
                )));
            };
            let position = match kind.width() {
                Some(width) => {
                    let position = fixed_bytes;
                    fixed_bytes += width;
                    position
                }
                None => {
                    variable_count += 1;
                    variable_count - 1
                }
            };
            let dimension = match field.data_type {
                DataType::Embedding { dimension, .. } => dimension,
                _ => 0,
            };
            let position = u32::try_from(position)
                .map_err(|_| Error::Schema("they are too wide".to_owned()))?;
            slots.push(Slot { kind, position, dimension });
            canonical.push_str(&field.name);
            canonical.push(' ');
            push_canonical_type(&mut canonical, &field.data_type);
            canonical.push('\n');
        }
        Ok(Self(Arc::new(Layout {
            bitmap_bytes: fields.len().div_ceil(8),
            fields,
            slots,
            by_name,
            fingerprint: Fingerprint(xxh3_64(canonical.as_bytes())),
            fixed_bytes,
            variable_count,
        })))
    }

    /// The schema of a view's online rows: its served features, in their order.
    pub fn of_view(view: &FeatureView) -> Result<Self, Error> {
        Self::new(
            view.served_features().into_iter().map(|feature| (feature.name, feature.data_type)),
        )
    }

    /// Names this schema in every row written under it.
    pub fn fingerprint(&self) -> Fingerprint {
        self.0.fingerprint
    }
    /// The fields, in the order of their indexes.
    pub fn fields(&self) -> &[Field] {
        &self.0.fields
    }
    /// The index of the field with this name.
    pub fn index_of(&self, name: &str) -> Option<usize> {
        self.0.by_name.get(name).copied()
    }
    /// How many fields there are; never zero.
    #[expect(clippy::len_without_is_empty, reason = "a schema is never empty")]
    pub fn len(&self) -> usize {
        self.0.fields.len()
    }
}

/// The words below are stored in every row, as part of the fingerprint: they never change, whatever
/// becomes of the types' `Display`.
fn push_canonical_type(text: &mut String, data_type: &DataType) {
    match data_type {
        DataType::Bool => text.push_str("bool"),
        DataType::Int32 => text.push_str("int32"),
        DataType::Int64 => text.push_str("int64"),
        DataType::Float32 => text.push_str("float32"),
        DataType::Float64 => text.push_str("float64"),
        DataType::String => text.push_str("string"),
        DataType::Bytes => text.push_str("bytes"),
        DataType::Timestamp => text.push_str("timestamp"),
        DataType::Date => text.push_str("date"),
        DataType::Decimal { precision, scale } => {
            text.push_str(&format!("decimal({precision},{scale})"));
        }
        DataType::List(item) => {
            text.push_str("list(");
            push_canonical_type(text, item);
            text.push(')');
        }
        DataType::Embedding { dimension, metric } => {
            let metric = match metric {
                Distance::Cosine => "cosine",
                Distance::L2 => "l2",
                Distance::Dot => "dot",
            };
            text.push_str(&format!("embedding({dimension},{metric})"));
        }
    }
}
