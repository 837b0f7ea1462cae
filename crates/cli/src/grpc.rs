//! The same questions over gRPC, answered as the JSON that REST gives.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Map, Value as Json, json};
use trivium_api::ApiError;
use trivium_client::{
    v1::{self, Status, value::Kind, write_result::Outcome},
    wire::{key_to_wire, value_to_wire},
};
use trivium_model::{
    DataType, FeatureView, KeyType, ServiceInput, Timestamp, Value, json as model_json,
};

use crate::{
    args::Global,
    catalog::{Catalog, Selected},
    failure::{self, Failure},
    target,
};

/// A server, over gRPC.
pub struct Client(pub(crate) trivium_client::Client);

impl Client {
    /// Connects.
    pub async fn connect(base: &str, global: &Global) -> Result<Self, Failure> {
        let options = target::client_options(global);
        let client = trivium_client::Client::connect_with(base, options).await;
        Ok(Self(client.map_err(|error| failure::client(&error))?))
    }

    /// What the server's registry holds.
    pub async fn catalog(&self) -> Result<Catalog, Failure> {
        let views = self.0.list_views("").await.map_err(|error| failure::client(&error))?;
        let services = self.0.list_services("").await.map_err(|error| failure::client(&error))?;
        Catalog::read(
            views.views.iter().map(|view| (view.reference.as_str(), view.config.as_str())),
            services
                .services
                .iter()
                .map(|service| (service.reference.as_str(), service.config.as_str())),
        )
    }

    /// Reads one entity; the answer is REST's.
    pub async fn get(
        &self,
        selected: &Selected,
        catalog: &Catalog,
        entity: &Map<String, Json>,
        inputs: &Map<String, Json>,
    ) -> Result<Vec<u8>, Failure> {
        let service = match selected {
            Selected::Features(_) => None,
            Selected::Service(service) => catalog.services.get(service),
        };
        let declared = service.map_or(&[][..], |service| &service.inputs);
        let selection = match selected {
            Selected::Features(features) => {
                v1::FeatureSelection { features: features.clone(), ..Default::default() }
            }
            Selected::Service(service) => {
                v1::FeatureSelection { service: service.to_string(), ..Default::default() }
            }
        };
        let request = v1::GetRequest {
            selection: Some(selection),
            entity: keys(entity, catalog.views.values())?,
            inputs: input_values(inputs, declared)?,
            ..Default::default()
        };
        let answer = self.0.get(request).await.map_err(|error| failure::client(&error))?;
        let mut row = Map::new();
        let values: Vec<Json> = answer.values.into_iter().map(json_of).collect();
        row.insert("values".into(), values.into());
        if !answer.statuses.is_empty() {
            let statuses: Vec<&str> = answer
                .statuses
                .iter()
                .map(|status| Status::try_from(*status).unwrap_or(Status::Error).as_str_name())
                .collect();
            row.insert("statuses".into(), statuses.into());
        }
        let mut event_times = Map::new();
        let mut revs = Map::new();
        for info in answer.rows {
            if let Some(micros) = info.event_time_micros {
                event_times.insert(info.view.clone(), Timestamp(micros).to_string().into());
                revs.insert(info.view, unsigned(info.rev));
            }
        }
        if !event_times.is_empty() {
            row.insert("event_times".into(), event_times.into());
            row.insert("revs".into(), revs.into());
        }
        bytes(&json!({ "features": answer.features, "rows": [row] }))
    }

    /// A point-in-time join: an Arrow IPC stream for another.
    pub async fn history(
        &self,
        selection: trivium_offline::Selection,
        frame: Vec<u8>,
        event_timestamp: &str,
    ) -> Result<Vec<u8>, Failure> {
        let request = v1::GetHistoricalRequest {
            selection: Some(v1::FeatureSelection {
                features: selection.features,
                service: selection.service.unwrap_or_default(),
            }),
            frame: frame.into(),
            event_timestamp: event_timestamp.to_owned(),
        };
        let failed = |error: trivium_client::Error| failure::client(&error);
        let mut stream = self.0.get_historical(request).await.map_err(failed)?;
        let mut answer = Vec::new();
        while let Some(piece) = stream.next().await.map_err(failed)? {
            answer.extend_from_slice(&piece);
        }
        Ok(answer)
    }

    /// Sends the REST request of a put or delete; the answer is REST's.
    pub async fn write(
        &self,
        path: &str,
        catalog: &Catalog,
        request: &Json,
    ) -> Result<Vec<u8>, Failure> {
        let name = request["view"].as_str().unwrap_or_default();
        let view = catalog.view(name)?;
        let row = &request["rows"][0];
        let empty = Map::new();
        let entity = keys(row["entity"].as_object().unwrap_or(&empty), std::iter::once(view))?;
        let event_time_micros = match &row["event_time"] {
            Json::Null => None,
            json => match model_json::value_from_json(&DataType::Timestamp, json) {
                Ok(Value::Timestamp(at)) => Some(at.0),
                _ => return Err(ApiError::invalid("this is no instant").at("--event-time").into()),
            },
        };
        let if_rev = row["if_rev"].as_str().and_then(|rev| rev.parse().ok());
        let idempotency_key: bytes::Bytes =
            row["idempotency_key"].as_str().unwrap_or_default().to_owned().into();
        let results = if path.ends_with("/put") {
            let values = values(row["values"].as_object().unwrap_or(&empty), view)?;
            let row = v1::PutRow {
                entity,
                values,
                event_time_micros,
                if_rev,
                idempotency_key,
                sequence: None,
            };
            let request = v1::PutRequest {
                view: name.to_owned(),
                row: Some(row),
                wait_for_search: request["wait_for_search"] == true,
            };
            vec![self.0.put(request).await.map_err(|error| failure::client(&error))?]
        } else {
            let row = v1::DeleteRow {
                entity,
                event_time_micros,
                if_rev,
                idempotency_key,
                sequence: None,
            };
            let request = v1::DeleteRequest { view: name.to_owned(), rows: vec![row] };
            self.0.delete(request).await.map_err(|error| failure::client(&error))?
        };
        let results: Vec<Json> = results.into_iter().map(result).collect();
        bytes(&json!({ "results": results }))
    }
}

pub(crate) fn bytes(json: &Json) -> Result<Vec<u8>, Failure> {
    serde_json::to_vec(json).map_err(|error| ApiError::internal(error.to_string()).into())
}

fn result(result: v1::WriteResult) -> Json {
    let outcome = result.outcome();
    if outcome == Outcome::Failed {
        let error = result.error.unwrap_or_default();
        return json!({
            "outcome": "FAILED",
            "error": { "code": error.code, "message": error.message, "field": error.field, "help": error.help },
        });
    }
    let mut json = Map::new();
    json.insert("outcome".into(), outcome.as_str_name().into());
    json.insert("rev".into(), unsigned(result.rev));
    if result.rev != 0 {
        json.insert("event_time".into(), Timestamp(result.event_time_micros).to_string().into());
    }
    json.into()
}

/// JSON's numbers are exact up to 2^53; beyond, a string.
pub(crate) fn unsigned(number: u64) -> Json {
    if number > 1 << 53 { number.to_string().into() } else { number.into() }
}

pub(crate) fn keys<'v>(
    entity: &Map<String, Json>,
    views: impl Iterator<Item = &'v FeatureView>,
) -> Result<BTreeMap<String, v1::KeyValue>, Failure> {
    let types: HashMap<&str, KeyType> = views
        .flat_map(|view| &view.entities)
        .map(|entity| (entity.name.as_str(), entity.key_type))
        .collect();
    let mut keys = BTreeMap::new();
    for (name, json) in entity {
        let at = || format!("--entity {name}");
        let Some(key_type) = types.get(name.as_str()) else {
            return Err(ApiError::invalid(format!("`{name}` is no join key here")).at(at()).into());
        };
        let value = model_json::key_from_json(*key_type, json)
            .map_err(|message| ApiError::invalid(message).at(at()))?;
        keys.insert(name.clone(), key_to_wire(&value));
    }
    Ok(keys)
}

fn input_values(
    inputs: &Map<String, Json>,
    declared: &[ServiceInput],
) -> Result<BTreeMap<String, v1::Value>, Failure> {
    let mut values = BTreeMap::new();
    for input in declared {
        let Some(json) = inputs.get(input.name.as_str()) else { continue };
        let value = model_json::value_from_json(&input.data_type, json)
            .map_err(|message| ApiError::invalid(message).at(format!("--input {}", input.name)))?;
        values.insert(input.name.to_string(), value_to_wire(&input.data_type, &value));
    }
    Ok(values)
}

fn values(
    set: &Map<String, Json>,
    view: &FeatureView,
) -> Result<BTreeMap<String, v1::Value>, Failure> {
    let served = view.served_features();
    let mut values = BTreeMap::new();
    for (name, json) in set {
        let at = || format!("--set {name}");
        let Some(feature) = served.iter().find(|feature| feature.name == *name.as_str()) else {
            return Err(ApiError::invalid(format!("there is no feature `{name}`")).at(at()).into());
        };
        let value = model_json::value_from_json(&feature.data_type, json)
            .map_err(|message| ApiError::invalid(message).at(at()))?;
        values.insert(name.clone(), value_to_wire(&feature.data_type, &value));
    }
    Ok(values)
}

/// By the rules of the model's JSON, from a value that says its own type.
pub(crate) fn json_of(value: v1::Value) -> Json {
    let Some(kind) = value.kind else { return Json::Null };
    let (data_type, value) = match kind {
        Kind::Null(_) => return Json::Null,
        Kind::Decimal(text) | Kind::String(text) => return text.into(),
        Kind::List(list) => return list.items.into_iter().map(json_of).collect(),
        Kind::Embedding(vector) => {
            return vector
                .components
                .into_iter()
                .map(|component| {
                    model_json::value_to_json(&DataType::Float32, &Value::Float32(component))
                })
                .collect();
        }
        Kind::Bool(value) => (DataType::Bool, Value::Bool(value)),
        Kind::Int32(value) => (DataType::Int32, Value::Int32(value)),
        Kind::Int64(value) => (DataType::Int64, Value::Int64(value)),
        Kind::Float32(value) => (DataType::Float32, Value::Float32(value)),
        Kind::Float64(value) => (DataType::Float64, Value::Float64(value)),
        Kind::Bytes(bytes) => (DataType::Bytes, Value::Bytes(bytes.to_vec())),
        Kind::TimestampMicros(micros) => (DataType::Timestamp, Value::Timestamp(Timestamp(micros))),
        Kind::Date(days) => (DataType::Date, Value::Date(days)),
    };
    model_json::value_to_json(&data_type, &value)
}
