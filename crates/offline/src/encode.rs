//! From the lake's columns to keys and row bytes, without a value object in between (lists excepted).

use arrow::{
    array::{
        Array, ArrayRef, AsArray, BinaryArray, BooleanArray, Date32Array, Decimal128Array,
        Float32Array, Float64Array, Int32Array, Int64Array, ListArray, RecordBatch, StringArray,
        TimestampMicrosecondArray,
    },
    datatypes::{
        Date32Type, Decimal128Type, Float32Type, Float64Type, Int32Type, Int64Type,
        TimestampMicrosecondType,
    },
};
use trivium_codec::{EmbeddingRef, ListRef, Row, RowEncoder, Schema, ValueRef};
use trivium_model::{DataType, FeatureView, KeyType, KeyValue, Lane, Timestamp, Value};

use crate::{
    Error,
    columns::{SEQUENCE_COLUMN, arrow_type, cast_exact},
    entity::{row_name, shown},
};

/// Columns of one batch of a published partition, typed once for all of its rows.
pub(crate) struct PublishedBatch {
    keys: Vec<KeyColumn>,
    features: Vec<Typed>,
    event_times: TimestampMicrosecondArray,
    sequences: Int64Array,
    key_arrays: Vec<ArrayRef>,
}

enum KeyColumn {
    String(StringArray),
    Int64(Int64Array),
    Bool(BooleanArray),
    Bytes(BinaryArray),
    Date(Date32Array),
    Timestamp(TimestampMicrosecondArray),
}

/// A column of the lake or of a training set, typed once for all of its rows.
pub struct ValueColumn(Typed);

enum Typed {
    /// The file is older than the feature: unset, so that readers show the default.
    Missing,
    Bool(BooleanArray),
    Int32(Int32Array),
    Int64(Int64Array),
    Float32(Float32Array),
    Float64(Float64Array),
    String(StringArray),
    Bytes(BinaryArray),
    Timestamp(TimestampMicrosecondArray),
    Date(Date32Array),
    Decimal(Decimal128Array),
    /// The codec takes lists as values.
    List(Vec<Option<Vec<Value>>>),
    Embedding {
        lists: ListArray,
        components: Float32Array,
    },
}

/// What a value has where it should have another type; says which column.
fn typed(
    batch: &RecordBatch,
    name: &str,
    data_type: &DataType,
) -> Result<Option<ArrayRef>, String> {
    match batch.column_by_name(name) {
        None => Ok(None),
        Some(array) => cast_exact(array, &arrow_type(data_type))
            .map(Some)
            .map_err(|message| format!("column `{name}`: {message}")),
    }
}

impl PublishedBatch {
    /// Types the columns. `schema` is the one rows are encoded under; columns that an older file
    /// lacks are unset.
    pub(crate) fn new(
        view: &FeatureView,
        schema: &Schema,
        batch: &RecordBatch,
    ) -> Result<Self, String> {
        let need = |name: &str, data_type: &DataType| {
            typed(batch, name, data_type)?.ok_or_else(|| format!("column `{name}` is missing"))
        };
        let mut keys = Vec::new();
        let mut key_arrays = Vec::new();
        for entity in view.sorted_entities() {
            let array = need(&entity.name, &entity.key_type.data_type())?;
            keys.push(match entity.key_type {
                KeyType::String => KeyColumn::String(array.as_string::<i32>().clone()),
                KeyType::Int64 => KeyColumn::Int64(array.as_primitive::<Int64Type>().clone()),
                KeyType::Bool => KeyColumn::Bool(array.as_boolean().clone()),
                KeyType::Bytes => KeyColumn::Bytes(array.as_binary::<i32>().clone()),
                KeyType::Date => KeyColumn::Date(array.as_primitive::<Date32Type>().clone()),
                KeyType::Timestamp => {
                    KeyColumn::Timestamp(array.as_primitive::<TimestampMicrosecondType>().clone())
                }
            });
            key_arrays.push(array);
        }
        let event_times = need(&view.event_timestamp, &DataType::Timestamp)?
            .as_primitive::<TimestampMicrosecondType>()
            .clone();
        let sequences =
            need(SEQUENCE_COLUMN, &DataType::Int64)?.as_primitive::<Int64Type>().clone();
        let features = schema
            .fields()
            .iter()
            .map(|field| {
                Ok(match typed(batch, &field.name, &field.data_type)? {
                    None => Typed::Missing,
                    Some(array) => Typed::new(&array, &field.data_type),
                })
            })
            .collect::<Result<_, String>>()?;
        Ok(Self { keys, features, event_times, sequences, key_arrays })
    }

    /// The join key columns, sorted by name.
    pub(crate) fn key_arrays(&self) -> &[ArrayRef] {
        &self.key_arrays
    }
    pub(crate) fn len(&self) -> usize {
        self.event_times.len()
    }
    pub(crate) fn event_time(&self, row: usize) -> Timestamp {
        Timestamp(self.event_times.value(row))
    }
    pub(crate) fn sequence(&self, row: usize) -> i64 {
        self.sequences.value(row)
    }

    /// The join keys of a row, sorted by name.
    pub(crate) fn entity(&self, row: usize) -> Vec<KeyValue> {
        let value = |column: &KeyColumn| match column {
            KeyColumn::String(array) => KeyValue::String(array.value(row).to_owned()),
            KeyColumn::Int64(array) => KeyValue::Int64(array.value(row)),
            KeyColumn::Bool(array) => KeyValue::Bool(array.value(row)),
            KeyColumn::Bytes(array) => KeyValue::Bytes(array.value(row).to_vec()),
            KeyColumn::Date(array) => KeyValue::Date(array.value(row)),
            KeyColumn::Timestamp(array) => KeyValue::Timestamp(Timestamp(array.value(row))),
        };
        self.keys.iter().map(value).collect()
    }

    /// Encodes a row. `values` is scratch space, so that a row costs no allocation but its own.
    pub(crate) fn encode<'a>(
        &'a self,
        row: usize,
        encoder: &mut RowEncoder<'_>,
        values: &mut Vec<Option<ValueRef<'a>>>,
    ) -> Result<Row, String> {
        values.clear();
        values.extend(self.features.iter().map(|column| column.value(row)));
        encoder.encode(Lane::Batch, values).map_err(|error| error.to_string())
    }

    /// The error for a row that cannot be encoded.
    pub(crate) fn refused(&self, view: &FeatureView, row: usize, message: String) -> Error {
        let entity = shown(view, &self.entity(row));
        let row = Some(row_name(view, self.sequence(row), &entity));
        Error::Encode { view: view.reference(), row, message }
    }
}

impl ValueColumn {
    /// Fails where the array does not have the type's Arrow type.
    pub fn new(array: &ArrayRef, data_type: &DataType) -> Result<Self, String> {
        let array = cast_exact(array, &arrow_type(data_type))?;
        Ok(Self(Typed::new(&array, data_type)))
    }

    /// The value of a row; `None` where it is unset.
    #[inline]
    pub fn value(&self, row: usize) -> Option<ValueRef<'_>> {
        self.0.value(row)
    }
}

impl std::fmt::Debug for ValueColumn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ValueColumn").finish_non_exhaustive()
    }
}

impl Typed {
    /// The array has the type's Arrow type.
    fn new(array: &ArrayRef, data_type: &DataType) -> Self {
        match data_type {
            DataType::Bool => Self::Bool(array.as_boolean().clone()),
            DataType::Int32 => Self::Int32(array.as_primitive::<Int32Type>().clone()),
            DataType::Int64 => Self::Int64(array.as_primitive::<Int64Type>().clone()),
            DataType::Float32 => Self::Float32(array.as_primitive::<Float32Type>().clone()),
            DataType::Float64 => Self::Float64(array.as_primitive::<Float64Type>().clone()),
            DataType::String => Self::String(array.as_string::<i32>().clone()),
            DataType::Bytes => Self::Bytes(array.as_binary::<i32>().clone()),
            DataType::Timestamp => {
                Self::Timestamp(array.as_primitive::<TimestampMicrosecondType>().clone())
            }
            DataType::Date => Self::Date(array.as_primitive::<Date32Type>().clone()),
            DataType::Decimal { .. } => {
                Self::Decimal(array.as_primitive::<Decimal128Type>().clone())
            }
            DataType::List(item) => {
                let lists = array.as_list::<i32>();
                let items = Self::new(lists.values(), item);
                let bounds = lists.value_offsets();
                let list = |row: usize| {
                    let range = bounds[row] as usize..bounds[row + 1] as usize;
                    lists.is_valid(row).then(|| {
                        range
                            .map(|at| items.value(at).map_or(Value::Null, ValueRef::to_owned))
                            .collect()
                    })
                };
                Self::List((0..lists.len()).map(list).collect())
            }
            DataType::Embedding { .. } => {
                let lists = array.as_list::<i32>().clone();
                let components = lists.values().as_primitive::<Float32Type>().clone();
                Self::Embedding { lists, components }
            }
        }
    }

    #[inline]
    fn value(&self, row: usize) -> Option<ValueRef<'_>> {
        macro_rules! value {
            ($array:expr, $variant:expr) => {
                if $array.is_null(row) { ValueRef::Null } else { $variant($array.value(row)) }
            };
        }
        Some(match self {
            Self::Missing => return None,
            Self::Bool(array) => value!(array, ValueRef::Bool),
            Self::Int32(array) => value!(array, ValueRef::Int32),
            Self::Int64(array) => value!(array, ValueRef::Int64),
            Self::Float32(array) => value!(array, ValueRef::Float32),
            Self::Float64(array) => value!(array, ValueRef::Float64),
            Self::String(array) => value!(array, ValueRef::String),
            Self::Bytes(array) => value!(array, ValueRef::Bytes),
            Self::Timestamp(array) => value!(array, |at| ValueRef::Timestamp(Timestamp(at))),
            Self::Date(array) => value!(array, ValueRef::Date),
            Self::Decimal(array) => value!(array, ValueRef::Decimal),
            Self::List(lists) => match &lists[row] {
                None => ValueRef::Null,
                Some(items) => ValueRef::List(ListRef::new(items)),
            },
            Self::Embedding { lists, components } => {
                if lists.is_null(row) {
                    ValueRef::Null
                } else {
                    let bounds = lists.value_offsets();
                    let range = bounds[row] as usize..bounds[row + 1] as usize;
                    ValueRef::Embedding(EmbeddingRef::new(&components.values()[range]))
                }
            }
        })
    }
}
