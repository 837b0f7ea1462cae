//! `trivium.v1.Payload`: the contract with producers.

use prost::Message as _;
use trivium_codec::{KeyShape, Schema};
use trivium_model::{FeatureView, KeyValue, Name, Timestamp, Value, ViewRef};
use trivium_proto::{v1, wire};

use crate::{Poison, Reason};

/// The message's header that names its view: `flights/airport_live@1`.
pub const VIEW_HEADER: &str = "trivium-view";

/// The bytes of a payload, for producers: the whole row, or its removal.
pub fn payload(
    view: &FeatureView,
    entity: &[(Name, KeyValue)],
    event_time: Timestamp,
    values: Option<&[(Name, Value)]>,
) -> Vec<u8> {
    ordered_payload(view, entity, event_time, None, values)
}

/// The same with a sequence of its own, which orders rows of one event time; without one the message's
/// position does.
pub fn ordered_payload(
    view: &FeatureView,
    entity: &[(Name, KeyValue)],
    event_time: Timestamp,
    sequence: Option<u64>,
    values: Option<&[(Name, Value)]>,
) -> Vec<u8> {
    let op = match values {
        None => v1::payload::Op::Delete(v1::PayloadDelete {}),
        Some(values) => {
            let typed = values.iter().filter_map(|(name, value)| {
                let feature = view.feature(name)?;
                Some((name.to_string(), wire::value_to_wire(&feature.data_type, value)))
            });
            v1::payload::Op::Put(v1::PayloadRow { values: typed.collect() })
        }
    };
    v1::Payload {
        view: view.reference().to_string(),
        entity: wire::entity_to_wire(entity.iter().map(|(name, value)| (name, value))),
        event_time_micros: event_time.0,
        op: Some(op),
        sequence,
    }
    .encode_to_vec()
}

fn decode(bytes: &[u8]) -> Result<v1::Payload, Poison> {
    v1::Payload::decode(bytes).map_err(|error| {
        Poison::new(Reason::Undecodable, format!("the value is no trivium.v1.Payload: {error}"))
    })
}

/// The view that a payload in a topic of many views is for: by its header, or by itself.
pub fn view_of(header: Option<&[u8]>, value: Option<&[u8]>) -> Result<ViewRef, Poison> {
    let named = match header {
        Some(name) => String::from_utf8_lossy(name).into_owned(),
        None => decode(value.unwrap_or_default())?.view,
    };
    let unknown = |message: String| {
        Poison::new(Reason::UnknownView, message).at("view").help(format!(
            "write `namespace/view@version` into it, or into the header `{VIEW_HEADER}`"
        ))
    };
    if named.is_empty() {
        return Err(unknown("the payload names no view".to_owned()));
    }
    named.parse().map_err(|_| {
        let named: String = named.chars().take(200).collect();
        unknown(format!("`{named}` is no view's name"))
    })
}

/// A payload's parts, of this view's types.
pub(crate) struct Parts {
    pub entity: Vec<KeyValue>,
    pub event_time: Timestamp,
    pub sequence: Option<u64>,
    /// In the order of the schema; none: delete.
    pub values: Option<Vec<Option<Value>>>,
}

pub(crate) fn read(
    bytes: Option<&[u8]>,
    view: &ViewRef,
    keys: &KeyShape,
    schema: &Schema,
) -> Result<Parts, Poison> {
    let Some(bytes) = bytes else {
        return Err(Poison::new(Reason::Undecodable, "the message has no value")
            .help("a removal is a payload with `delete`"));
    };
    let v1::Payload { view: named, entity, event_time_micros, op, sequence } = decode(bytes)?;
    if !named.is_empty() && named != view.to_string() {
        let named: String = named.chars().take(200).collect();
        let message = format!("the payload is for `{named}`, and came for {view}");
        return Err(Poison::new(Reason::UnknownView, message).at("view"));
    }
    let mut values = Vec::with_capacity(keys.key_names().len());
    for (name, key_type) in keys.key_names().iter().zip(keys.key_types()) {
        let field = || format!("entity.{name}");
        let value = entity.get(name.as_str()).and_then(wire::key_from_wire).ok_or_else(|| {
            Poison::new(Reason::Missing, format!("the join key `{name}` is missing")).at(field())
        })?;
        if value.key_type() != *key_type {
            let message = format!("expected {key_type}, found {}", value.key_type());
            return Err(Poison::new(Reason::WrongType, message).at(field()));
        }
        values.push(value);
    }
    if let Some(name) = entity.keys().find(|name| !values_has(keys, name)) {
        let name: String = name.chars().take(80).collect();
        return Err(
            Poison::new(Reason::WrongType, format!("{view} has no join key `{name}`")).at("entity")
        );
    }
    let row = match op {
        None => {
            return Err(Poison::new(
                Reason::Undecodable,
                "the payload says neither put nor delete",
            )
            .at("op"));
        }
        Some(v1::payload::Op::Delete(_)) => None,
        Some(v1::payload::Op::Put(row)) => Some(features(row, view, schema)?),
    };
    Ok(Parts { entity: values, event_time: Timestamp(event_time_micros), sequence, values: row })
}

fn values_has(keys: &KeyShape, name: &str) -> bool {
    keys.key_names().iter().any(|known| known.as_str() == name)
}

fn features(
    row: v1::PayloadRow,
    view: &ViewRef,
    schema: &Schema,
) -> Result<Vec<Option<Value>>, Poison> {
    let mut values = vec![None; schema.len()];
    for (name, value) in row.values {
        let Some(index) = schema.index_of(&name) else {
            let name: String = name.chars().take(80).collect();
            return Err(Poison::new(Reason::WrongType, format!("{view} has no feature `{name}`"))
                .at("put.values")
                .help("leave it out, or send it to the version that has it"));
        };
        let data_type = &schema.fields()[index].data_type;
        let value = wire::value_from_wire(data_type, value).map_err(|wrong| {
            Poison::new(Reason::WrongType, wrong).at(format!("put.values.{name}"))
        })?;
        values[index] = Some(value);
    }
    Ok(values)
}
