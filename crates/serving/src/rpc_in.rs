//! Keys of protobuf requests, their types checked: nothing is converted.

use trivium_api::ApiError;
use trivium_codec::KeyValueRef;
use trivium_model::{KeyType, Timestamp};
use trivium_proto::v1::{self as wire, key_column::Values, key_value};

use crate::plan::KeySet;

/// A join key value as it stands in the message.
pub(crate) fn key_ref_of_proto(value: &wire::KeyValue) -> Result<KeyValueRef<'_>, String> {
    Ok(match &value.kind {
        Some(key_value::Kind::String(value)) => KeyValueRef::String(value),
        Some(key_value::Kind::Int64(value)) => KeyValueRef::Int64(*value),
        Some(key_value::Kind::Bool(value)) => KeyValueRef::Bool(*value),
        Some(key_value::Kind::Bytes(value)) => KeyValueRef::Bytes(value),
        Some(key_value::Kind::Date(value)) => KeyValueRef::Date(*value),
        Some(key_value::Kind::TimestampMicros(value)) => KeyValueRef::Timestamp(Timestamp(*value)),
        None => return Err("the join key has no value".to_owned()),
    })
}

/// The entities of a batch, by column, checked: every join key is there once, with its own type and
/// the same number of values.
pub(crate) struct KeyColumns<'a> {
    /// How many entities.
    pub(crate) entities: usize,
    columns: Vec<Column<'a>>,
}

#[derive(Clone, Copy)]
enum Column<'a> {
    Strings(&'a [String]),
    Int64s(&'a [i64]),
    Bools(&'a [bool]),
    Bytes(&'a [bytes::Bytes]),
    Dates(&'a [i32]),
    Timestamps(&'a [i64]),
}

impl<'a> Column<'a> {
    fn of(values: &'a Values) -> Self {
        match values {
            Values::Strings(list) => Self::Strings(&list.values),
            Values::Int64s(list) => Self::Int64s(&list.values),
            Values::Bools(list) => Self::Bools(&list.values),
            Values::Bytes(list) => Self::Bytes(&list.values),
            Values::Dates(list) => Self::Dates(&list.values),
            Values::TimestampsMicros(list) => Self::Timestamps(&list.values),
        }
    }
    fn len(&self) -> usize {
        match self {
            Self::Strings(values) => values.len(),
            Self::Int64s(values) | Self::Timestamps(values) => values.len(),
            Self::Bools(values) => values.len(),
            Self::Bytes(values) => values.len(),
            Self::Dates(values) => values.len(),
        }
    }
    fn key_type(&self) -> KeyType {
        match self {
            Self::Strings(_) => KeyType::String,
            Self::Int64s(_) => KeyType::Int64,
            Self::Bools(_) => KeyType::Bool,
            Self::Bytes(_) => KeyType::Bytes,
            Self::Dates(_) => KeyType::Date,
            Self::Timestamps(_) => KeyType::Timestamp,
        }
    }
}

impl<'a> KeyColumns<'a> {
    pub(crate) fn new(keys: &KeySet, given: &'a [wire::KeyColumn]) -> Result<Self, ApiError> {
        let mut columns: Vec<Option<Column<'a>>> = vec![None; keys.len()];
        let mut entities = None;
        for (position, column) in given.iter().enumerate() {
            let field = || format!("entities[{position}]");
            let name = column.name.as_str();
            let Some(index) = keys.index_of(name) else { return Err(keys.unknown(name, field())) };
            if columns[index].is_some() {
                return Err(
                    ApiError::invalid(format!("join key `{name}` stands twice")).at(field())
                );
            }
            let Some(values) = &column.values else {
                return Err(
                    ApiError::invalid(format!("join key `{name}` has no values")).at(field())
                );
            };
            let values = Column::of(values);
            let (_, key_type) = &keys.as_slice()[index];
            if values.key_type() != *key_type {
                return Err(ApiError::invalid(format!(
                    "join key `{name}`: expected {key_type}, found {}",
                    values.key_type()
                ))
                .at(field()));
            }
            let count = *entities.get_or_insert(values.len());
            if values.len() != count {
                return Err(ApiError::invalid(format!(
                    "join key `{name}` has {} values, the first has {count}",
                    values.len()
                ))
                .at(field())
                .help("give one value for each entity"));
            }
            columns[index] = Some(values);
        }
        if let Some(index) = columns.iter().position(Option::is_none) {
            return Err(keys.missing(index, "entities"));
        }
        let columns = columns.into_iter().flatten().collect();
        Ok(Self { entities: entities.unwrap_or(0), columns })
    }

    /// The value of one join key of one entity; both in range.
    pub(crate) fn value(&self, key: usize, entity: usize) -> KeyValueRef<'a> {
        match self.columns[key] {
            Column::Strings(values) => KeyValueRef::String(&values[entity]),
            Column::Int64s(values) => KeyValueRef::Int64(values[entity]),
            Column::Bools(values) => KeyValueRef::Bool(values[entity]),
            Column::Bytes(values) => KeyValueRef::Bytes(&values[entity]),
            Column::Dates(values) => KeyValueRef::Date(values[entity]),
            Column::Timestamps(values) => KeyValueRef::Timestamp(Timestamp(values[entity])),
        }
    }
}
