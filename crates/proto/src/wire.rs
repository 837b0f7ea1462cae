//! Between the messages' values and the model's.

use std::collections::BTreeMap;

use crate::v1::{self, key_value, value::Kind};
use bytes::Bytes;
use trivium_model::{
    DataType, KeyValue, Lane, Name, Timestamp, Value,
    json::{decimal_from_text, decimal_to_text},
};

/// A join key's value as a message.
pub fn key_to_wire(value: &KeyValue) -> v1::KeyValue {
    v1::KeyValue {
        kind: Some(match value {
            KeyValue::String(value) => key_value::Kind::String(value.clone()),
            KeyValue::Int64(value) => key_value::Kind::Int64(*value),
            KeyValue::Bool(value) => key_value::Kind::Bool(*value),
            KeyValue::Bytes(value) => key_value::Kind::Bytes(Bytes::copy_from_slice(value)),
            KeyValue::Date(value) => key_value::Kind::Date(*value),
            KeyValue::Timestamp(value) => key_value::Kind::TimestampMicros(value.0),
        }),
    }
}

/// A join key's value of a message; `None`: it has none.
pub fn key_from_wire(value: &v1::KeyValue) -> Option<KeyValue> {
    Some(match value.kind.as_ref()? {
        key_value::Kind::String(value) => KeyValue::String(value.clone()),
        key_value::Kind::Int64(value) => KeyValue::Int64(*value),
        key_value::Kind::Bool(value) => KeyValue::Bool(*value),
        key_value::Kind::Bytes(value) => KeyValue::Bytes(value.to_vec()),
        key_value::Kind::Date(value) => KeyValue::Date(*value),
        key_value::Kind::TimestampMicros(value) => KeyValue::Timestamp(Timestamp(*value)),
    })
}

/// An entity as a message: join key values by name.
pub fn entity_to_wire<'a>(
    entity: impl IntoIterator<Item = (&'a Name, &'a KeyValue)>,
) -> BTreeMap<String, v1::KeyValue> {
    entity.into_iter().map(|(name, value)| (name.to_string(), key_to_wire(value))).collect()
}

/// A feature's value as a message; the type says the scale of a decimal. The server checks whether
/// the value is of the type.
pub fn value_to_wire(data_type: &DataType, value: &Value) -> v1::Value {
    let scale = match data_type {
        DataType::Decimal { scale, .. } => *scale,
        _ => 0,
    };
    let kind = match value {
        Value::Null => Kind::Null(v1::NullValue::NullValue as i32),
        Value::Bool(value) => Kind::Bool(*value),
        Value::Int32(value) => Kind::Int32(*value),
        Value::Int64(value) => Kind::Int64(*value),
        Value::Float32(value) => Kind::Float32(*value),
        Value::Float64(value) => Kind::Float64(*value),
        Value::String(value) => Kind::String(value.clone()),
        Value::Bytes(value) => Kind::Bytes(Bytes::copy_from_slice(value)),
        Value::Timestamp(value) => Kind::TimestampMicros(value.0),
        Value::Date(value) => Kind::Date(*value),
        Value::Decimal(unscaled) => Kind::Decimal(decimal_to_text(*unscaled, scale)),
        Value::List(items) => {
            let item_type = match data_type {
                DataType::List(item) => item,
                other => other,
            };
            let items = items.iter().map(|item| value_to_wire(item_type, item)).collect();
            Kind::List(v1::ListValue { items })
        }
        Value::Embedding(components) => {
            Kind::Embedding(v1::Embedding { components: components.clone() })
        }
    };
    v1::Value { kind: Some(kind) }
}

/// A feature's value out of a message; `None` where it is not of this type.
pub fn value_from_wire(data_type: &DataType, value: v1::Value) -> Option<Value> {
    Some(match (data_type, value.kind?) {
        (_, Kind::Null(_)) => Value::Null,
        (DataType::Bool, Kind::Bool(value)) => Value::Bool(value),
        (DataType::Int32, Kind::Int32(value)) => Value::Int32(value),
        (DataType::Int64, Kind::Int64(value)) => Value::Int64(value),
        (DataType::Float32, Kind::Float32(value)) => Value::Float32(value),
        (DataType::Float64, Kind::Float64(value)) => Value::Float64(value),
        (DataType::String, Kind::String(value)) => Value::String(value),
        (DataType::Bytes, Kind::Bytes(value)) => Value::Bytes(value.to_vec()),
        (DataType::Timestamp, Kind::TimestampMicros(value)) => Value::Timestamp(Timestamp(value)),
        (DataType::Date, Kind::Date(value)) => Value::Date(value),
        (DataType::Decimal { precision, scale }, Kind::Decimal(text)) => {
            Value::Decimal(decimal_from_text(&text, *precision, *scale)?)
        }
        (DataType::List(item), Kind::List(list)) => {
            let items = list.items.into_iter().map(|value| value_from_wire(item, value));
            Value::List(items.collect::<Option<_>>()?)
        }
        (DataType::Embedding { dimension, .. }, Kind::Embedding(vector))
            if vector.components.len() == *dimension as usize =>
        {
            Value::Embedding(vector.components)
        }
        _ => return None,
    })
}

/// A lane as a message.
pub const fn lane_to_wire(lane: Lane) -> v1::Lane {
    match lane {
        Lane::Batch => v1::Lane::Batch,
        Lane::Stream => v1::Lane::Stream,
        Lane::Direct => v1::Lane::Direct,
    }
}
