//! Entity frames and answers in JSON.

use std::{collections::BTreeMap, sync::Arc};

use arrow::{
    array::{
        ArrayRef, BinaryBuilder, BooleanBuilder, Date32Builder, Int64Builder, StringBuilder,
        TimestampMicrosecondArray, TimestampMicrosecondBuilder,
    },
    datatypes::{Field, Schema},
    record_batch::RecordBatch,
};
use serde::Deserialize;
use serde_json::{Map, Value as Json};
use trivium_api::{ApiError, suggest};
use trivium_engine::Source;
use trivium_model::{
    DataType, FeatureRef, KeyType, KeyValue, Timestamp, Value, ViewRef,
    json::{key_from_json, value_from_json, value_to_json},
};
use trivium_offline::{ValueColumn, columns::arrow_type, history::column_of};
use trivium_registry::Snapshot;

/// A request, as it is sent.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct HistoricalRequest {
    /// `flights/carrier_daily@1:flights`, or `flights/carrier_daily@1` for all of a view.
    #[serde(default)]
    pub features: Option<Vec<String>>,
    /// `flights/delay_model@1`, in place of `features`.
    #[serde(default)]
    pub service: Option<String>,
    /// The entity frame: objects with the join keys, the event time and the service's inputs.
    #[schema(value_type = Vec<Object>)]
    pub entities: Vec<Map<String, Json>>,
    /// The event time's name in the entities; `event_timestamp` if absent.
    #[serde(default)]
    pub event_timestamp: Option<String>,
    /// Name columns of an Arrow answer `namespace/view@version:feature`.
    #[serde(default)]
    pub full_names: bool,
}

/// The join keys that the features need, with their types and a view that needs them.
pub(crate) fn join_keys(
    snapshot: &Snapshot,
    features: &[FeatureRef],
) -> BTreeMap<String, (KeyType, ViewRef)> {
    let mut keys = BTreeMap::new();
    for feature in features {
        let Some(stored) = snapshot.views.get(&feature.view) else { continue };
        for entity in &stored.view.entities {
            keys.entry(entity.name.to_string())
                .or_insert_with(|| (entity.key_type, feature.view.clone()));
        }
    }
    keys
}

/// The frame of a request. An input that an entity does not have is null, as in an online read.
pub(crate) fn frame(
    entities: &[Map<String, Json>],
    keys: &BTreeMap<String, (KeyType, ViewRef)>,
    inputs: &[(String, DataType)],
    event_timestamp: &str,
) -> Result<Source, ApiError> {
    let mut times = Vec::with_capacity(entities.len());
    for (index, entity) in entities.iter().enumerate() {
        let is_known = |name: &str| {
            name == event_timestamp
                || keys.contains_key(name)
                || inputs.iter().any(|(input, _)| input == name)
        };
        if let Some(name) = entity.keys().find(|name| !is_known(name)) {
            let inputs = inputs.iter().map(|(input, _)| input.as_str());
            let known = keys.keys().map(String::as_str).chain([event_timestamp]).chain(inputs);
            return Err(ApiError::invalid(format!("no feature asked for is joined by `{name}`"))
                .at(format!("entities[{index}].{name}"))
                .help(suggest::hint(name, known)));
        }
        let at = || format!("entities[{index}].{event_timestamp}");
        let Some(json) = entity.get(event_timestamp) else {
            return Err(ApiError::invalid(format!("the entity has no `{event_timestamp}`"))
                .at(at())
                .help("give every entity the time that its features are wanted for"));
        };
        match value_from_json(&DataType::Timestamp, json) {
            Ok(Value::Timestamp(time)) => times.push(time.0),
            Ok(_) => {
                return Err(ApiError::invalid("expected timestamp, found null").at(at()));
            }
            Err(message) => return Err(ApiError::invalid(message).at(at())),
        }
    }
    let mut fields = Vec::new();
    let mut arrays: Vec<ArrayRef> = Vec::new();
    for (name, (key_type, view)) in keys {
        let mut values = Vec::with_capacity(entities.len());
        for (index, entity) in entities.iter().enumerate() {
            let at = || format!("entities[{index}].{name}");
            let json = entity.get(name).ok_or_else(|| {
                ApiError::invalid(format!("the entity has no `{name}`, which {view} is joined by"))
                    .at(at())
            })?;
            values.push(
                key_from_json(*key_type, json)
                    .map_err(|message| ApiError::invalid(message).at(at()))?,
            );
        }
        fields.push(Field::new(name, arrow_type(&key_type.data_type()), true));
        arrays.push(key_array(*key_type, values));
    }
    // A key may have the event time's name only if a view is joined by it: then it is there once.
    if !keys.contains_key(event_timestamp) {
        fields.push(Field::new(event_timestamp, arrow_type(&DataType::Timestamp), true));
        arrays.push(Arc::new(TimestampMicrosecondArray::from(times).with_timezone("UTC")));
    }
    for (name, data_type) in inputs.iter().filter(|(name, _)| name != event_timestamp) {
        let mut values = Vec::with_capacity(entities.len());
        for (index, entity) in entities.iter().enumerate() {
            let value = value_from_json(data_type, entity.get(name).unwrap_or(&Json::Null));
            values.push(value.map_err(|message| {
                ApiError::invalid(message).at(format!("entities[{index}].{name}"))
            })?);
        }
        fields.push(Field::new(name, arrow_type(data_type), true));
        arrays.push(column_of(data_type, &values).map_err(ApiError::internal)?);
    }
    let schema = Arc::new(Schema::new(fields));
    let batch = RecordBatch::try_new(Arc::clone(&schema), arrays)
        .map_err(|error| ApiError::internal(error.to_string()))?;
    Ok(Source::Batches { schema, batches: vec![batch] })
}

fn key_array(key_type: KeyType, values: Vec<KeyValue>) -> ArrayRef {
    macro_rules! build {
        ($builder:expr, $variant:path, $value:expr) => {{
            let mut builder = $builder;
            for value in &values {
                match value {
                    $variant(value) => builder.append_value($value(value)),
                    // `key_from_json` gives only the type that was asked for.
                    _ => builder.append_null(),
                }
            }
            Arc::new(builder.finish())
        }};
    }
    match key_type {
        KeyType::String => {
            build!(StringBuilder::new(), KeyValue::String, |text: &String| text.clone())
        }
        KeyType::Int64 => build!(Int64Builder::new(), KeyValue::Int64, |value: &i64| *value),
        KeyType::Bool => build!(BooleanBuilder::new(), KeyValue::Bool, |value: &bool| *value),
        KeyType::Bytes => {
            build!(BinaryBuilder::new(), KeyValue::Bytes, |value: &Vec<u8>| value.clone())
        }
        KeyType::Date => build!(Date32Builder::new(), KeyValue::Date, |value: &i32| *value),
        KeyType::Timestamp => build!(
            TimestampMicrosecondBuilder::new().with_timezone("UTC"),
            KeyValue::Timestamp,
            |value: &Timestamp| value.0
        ),
    }
}

/// Appends `{"values":[…]}` for each row of a batch; `types` are those of the columns from `first` on.
pub(crate) fn write_rows(
    out: &mut Vec<u8>,
    batch: &RecordBatch,
    first: usize,
    types: &[DataType],
) -> Result<(), String> {
    let columns: Vec<ValueColumn> = batch.columns()[first..]
        .iter()
        .zip(types)
        .map(|(array, data_type)| ValueColumn::new(array, data_type))
        .collect::<Result<_, _>>()?;
    for row in 0..batch.num_rows() {
        if out.last() == Some(&b'}') {
            out.push(b',');
        }
        out.extend_from_slice(b"{\"values\":[");
        for (index, (column, data_type)) in columns.iter().zip(types).enumerate() {
            if index > 0 {
                out.push(b',');
            }
            let value = column.value(row).map_or(Value::Null, |value| value.to_owned());
            serde_json::to_writer(&mut *out, &value_to_json(data_type, &value))
                .map_err(|error| error.to_string())?;
        }
        out.extend_from_slice(b"]}");
    }
    Ok(())
}
