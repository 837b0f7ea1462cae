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

/// A feature's value out of a message, strictly: the error says what was expected, and what was found.
pub fn value_from_wire(data_type: &DataType, value: v1::Value) -> Result<Value, String> {
    let Some(kind) = value.kind else {
        return Err(format!("expected {data_type}, found no value; `null` sets null"));
    };
    Ok(match (data_type, kind) {
        (_, Kind::Null(_)) => Value::Null,
        (DataType::Bool, Kind::Bool(value)) => Value::Bool(value),
        (DataType::Int32, Kind::Int32(value)) => Value::Int32(value),
        (DataType::Int64, Kind::Int64(value)) => Value::Int64(value),
        (DataType::Float32, Kind::Float32(value)) => Value::Float32(value),
        (DataType::Float64, Kind::Float64(value)) => Value::Float64(value),
        (DataType::String, Kind::String(text)) => Value::String(text),
        (DataType::Bytes, Kind::Bytes(bytes)) => Value::Bytes(bytes.to_vec()),
        (DataType::Timestamp, Kind::TimestampMicros(micros)) => Value::Timestamp(Timestamp(micros)),
        (DataType::Date, Kind::Date(days)) => Value::Date(days),
        (DataType::Decimal { precision, scale }, Kind::Decimal(text)) => {
            let unscaled = decimal_from_text(&text, *precision, *scale);
            Value::Decimal(unscaled.ok_or_else(|| {
                format!("expected {data_type}, found a text that is none or does not fit exactly")
            })?)
        }
        (DataType::List(item), Kind::List(list)) => {
            let items = list.items.into_iter().enumerate().map(|(index, value)| {
                value_from_wire(item, value).map_err(|error| format!("item {index}: {error}"))
            });
            Value::List(items.collect::<Result<_, _>>()?)
        }
        (DataType::Embedding { dimension, .. }, Kind::Embedding(vector)) => {
            if vector.components.len() != *dimension as usize {
                return Err(format!(
                    "expected {data_type}, found {} components",
                    vector.components.len()
                ));
            }
            if let Some(index) = vector.components.iter().position(|value| !value.is_finite()) {
                return Err(format!("component {index}: expected a finite float32"));
            }
            Value::Embedding(vector.components)
        }
        (_, kind) => return Err(format!("expected {data_type}, found {}", word(&kind))),
    })
}

fn word(kind: &Kind) -> &'static str {
    match kind {
        Kind::Null(_) => "null",
        Kind::Bool(_) => "bool",
        Kind::Int32(_) => "int32",
        Kind::Int64(_) => "int64",
        Kind::Float32(_) => "float32",
        Kind::Float64(_) => "float64",
        Kind::String(_) => "string",
        Kind::Bytes(_) => "bytes",
        Kind::TimestampMicros(_) => "timestamp",
        Kind::Date(_) => "date",
        Kind::Decimal(_) => "decimal",
        Kind::List(_) => "list",
        Kind::Embedding(_) => "embedding",
    }
}

/// A lane as a message.
pub const fn lane_to_wire(lane: Lane) -> v1::Lane {
    match lane {
        Lane::Batch => v1::Lane::Batch,
        Lane::Stream => v1::Lane::Stream,
        Lane::Direct => v1::Lane::Direct,
    }
}
