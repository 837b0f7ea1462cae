//! What REST and gRPC have in common: from a checked request to row keys and writes.

use std::{fmt, sync::Arc};

use trivium_api::ApiError;
use trivium_model::{Timestamp, Value};
use trivium_store::{Condition, Order, WriteId};

use crate::{
    Serving,
    definitions::{ViewDefinition, feature_index},
    limits,
};

/// Where a row stands in its request; spelt only where something is wrong with it.
#[derive(Debug, Clone, Copy)]
pub(crate) enum RowPath {
    /// The request's one row.
    Only,
    /// One of its rows.
    At(usize),
}

impl fmt::Display for RowPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Only => f.write_str("row"),
            Self::At(index) => write!(f, "rows[{index}]"),
        }
    }
}

/// What a row of a put or delete says beside entity and values.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct RowMeta {
    pub(crate) event_time: Option<Timestamp>,
    pub(crate) sequence: Option<u64>,
    pub(crate) if_rev: Option<u64>,
    pub(crate) write_id: WriteId,
}

impl RowMeta {
    pub(crate) fn condition(&self) -> Condition {
        self.if_rev.map_or(Condition::None, Condition::Rev)
    }

    /// Where the write stands; refuses what would hide every later write.
    pub(crate) fn order(&self, serving: &Serving, path: RowPath) -> Result<Order, ApiError> {
        match (self.event_time, self.sequence) {
            (Some(event_time), sequence) => {
                check_event_time(serving, event_time, || format!("{path}.event_time"))?;
                Ok(Order::At { event_time, sequence })
            }
            (None, None) => Ok(Order::Now { now: serving.data_now() }),
            (None, Some(_)) => Err(ApiError::invalid("a sequence without an event time")
                .at(format!("{path}.sequence"))
                .help("a sequence orders rows of one event time: give the event time too")),
        }
    }
}

/// Refuses event times that no surface can spell, and those far in the future.
pub(crate) fn check_event_time(
    serving: &Serving,
    at: Timestamp,
    field: impl Fn() -> String,
) -> Result<(), ApiError> {
    if !at.in_calendar() {
        return Err(ApiError::invalid(format!("{}us is outside of the years 0001 to 9999", at.0))
            .at(field())
            .help("event times are microseconds since 1970-01-01T00:00:00Z"));
    }
    let latest = serving.latest_event_time();
    if at > latest {
        return Err(ApiError::invalid(format!("the event time {at} lies too far in the future"))
            .at(field())
            .help(format!(
                "at most {latest} is taken now: a row from the future would hide every later write"
            )));
    }
    Ok(())
}

/// The write id of an idempotency key: 16 bytes as they are (little-endian, as in row headers),
/// anything else by its hash. An empty key is none.
pub(crate) fn write_id(key: &[u8], field: impl Fn() -> String) -> Result<WriteId, ApiError> {
    if key.len() > limits::IDEMPOTENCY_KEY_BYTES_MAX {
        return Err(ApiError::invalid(format!(
            "the idempotency key is longer than {} bytes",
            limits::IDEMPOTENCY_KEY_BYTES_MAX
        ))
        .at(field()));
    }
    if key.is_empty() {
        return Ok(WriteId(0));
    }
    Ok(WriteId(match <[u8; 16]>::try_from(key) {
        Ok(bytes) => u128::from_le_bytes(bytes),
        // Zero would be none.
        Err(_) => xxhash_rust::xxh3::xxh3_128(key).max(1),
    }))
}

/// The write id of a delete under an idempotency key: another one than a put's under the same key,
/// or the delete would be told that it was done.
pub(crate) fn delete_id(key: WriteId) -> WriteId {
    if key.0 == 0 { key } else { WriteId((!key.0).max(1)) }
}

/// Which fields are set, each once, sorted; the values within their limits.
pub(crate) fn check_values<N: AsRef<str>, V>(
    view: &Arc<ViewDefinition>,
    given: impl IntoIterator<Item = (N, V)>,
    path: RowPath,
    convert: impl Fn(&trivium_model::DataType, V) -> Result<Value, String>,
) -> Result<Vec<(usize, Value)>, ApiError> {
    let mut values = Vec::new();
    let mut bytes = 0;
    for (name, value) in given {
        let name = name.as_ref();
        let field = || format!("{path}.values.{name}");
        let index = match view.layouts.current().index_of(name) {
            Some(index) => index,
            None => feature_index(view, name, &field())?,
        };
        let value = convert(&view.fields()[index].data_type, value).map_err(|message| {
            ApiError::invalid(message)
                .at(field())
                .help("`trivium show` lists the features of a view and their types")
        })?;
        if !value.in_calendar() {
            return Err(ApiError::invalid("the value lies outside of the years 0001 to 9999")
                .at(field())
                .help("leave the feature null where there is no such time"));
        }
        let value_bytes = value_bytes(&value);
        if value_bytes > limits::VALUE_BYTES_MAX {
            return Err(ApiError::invalid(format!(
                "the value takes {value_bytes} bytes, more than the limit of {}",
                limits::VALUE_BYTES_MAX
            ))
            .at(field()));
        }
        bytes += value_bytes;
        values.push((index, value));
    }
    if values.is_empty() {
        return Err(ApiError::invalid("the row sets no feature")
            .at(format!("{path}.values"))
            .help("name the features to set; to remove the row, delete it"));
    }
    if bytes > limits::ROW_BYTES_MAX {
        return Err(ApiError::invalid(format!(
            "the row's values take {bytes} bytes, more than the limit of {}",
            limits::ROW_BYTES_MAX
        ))
        .at(format!("{path}.values")));
    }
    values.sort_by_key(|(index, _)| *index);
    if let Some(twice) = values.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        let name = &view.fields()[twice[0].0].name;
        return Err(ApiError::invalid(format!("feature `{name}` stands twice"))
            .at(format!("{path}.values.{name}")));
    }
    Ok(values)
}

/// Bytes of a value, roughly as stored.
pub(crate) fn value_bytes(value: &Value) -> usize {
    match value {
        Value::Null => 0,
        Value::Bool(_) => 1,
        Value::Int32(_) | Value::Float32(_) | Value::Date(_) => 4,
        Value::Int64(_) | Value::Float64(_) | Value::Timestamp(_) => 8,
        Value::Decimal(_) => 16,
        Value::String(text) => text.len(),
        Value::Bytes(bytes) => bytes.len(),
        Value::Embedding(components) => components.len() * 4,
        // Each item has a bit or an end beside it.
        Value::List(items) => items.iter().map(|item| value_bytes(item) + 4).sum(),
    }
}

/// Refuses too many rows.
pub(crate) fn check_row_count(rows: usize, rows_max: usize, field: &str) -> Result<(), ApiError> {
    if rows <= rows_max {
        return Ok(());
    }
    Err(ApiError::invalid(format!("{rows} are given, at most {rows_max} are taken in one request"))
        .at(field)
        .help("split the request"))
}

/// Refuses entities × features beyond the limit.
pub(crate) fn check_value_count(entities: usize, features: usize) -> Result<(), ApiError> {
    if entities.saturating_mul(features) <= limits::VALUES_MAX {
        return Ok(());
    }
    Err(ApiError::invalid(format!(
        "{entities} entities with {features} features each are more than {} values",
        limits::VALUES_MAX
    ))
    .at("entities")
    .help("split the request"))
}
