//! A search over gRPC: REST's JSON there and back.

use serde_json::{Map, Value as Json, json};
use trivium_api::ApiError;
use trivium_client::{
    v1::{self, Status, search_nearest_request::Near},
    wire::value_to_wire,
};
use trivium_model::{DataType, FeatureView, Timestamp, Value, json as model_json};

use crate::{
    catalog::Catalog,
    failure::{self, Failure},
    grpc::{Client, bytes, json_of, keys, unsigned},
    verbs::search::view_of,
};

impl Client {
    /// Sends the REST request of a search; the answer is REST's.
    pub async fn search(&self, catalog: &Catalog, request: &Json) -> Result<Vec<u8>, Failure> {
        let feature = request["feature"].as_str().unwrap_or_default();
        let view = view_of(catalog, feature)?;
        let near = match request["entity"].as_object() {
            Some(entity) => {
                Near::Entity(v1::SearchEntity { keys: keys(entity, std::iter::once(view))? })
            }
            None => Near::Vector(v1::Embedding { components: vector(&request["vector"])? }),
        };
        let filters = request["filter"]["all"].as_array().into_iter().flatten();
        let filters = filters.map(|one| filter(one, view)).collect::<Result<Vec<_>, _>>()?;
        let features = request["features"].as_array().into_iter().flatten();
        let request = v1::SearchNearestRequest {
            feature: feature.to_owned(),
            near: Some(near),
            k: request["k"].as_u64().and_then(|k| u32::try_from(k).ok()).unwrap_or(u32::MAX),
            filter: (!filters.is_empty()).then(|| v1::SearchFilter {
                kind: Some(v1::search_filter::Kind::All(v1::SearchFilters { filters })),
            }),
            min_score: request["min_score"].as_f64().map(|score| score as f32),
            features: features.filter_map(Json::as_str).map(str::to_owned).collect(),
        };
        let answer =
            self.0.search_nearest(request).await.map_err(|error| failure::client(&error))?;
        let with_values = !answer.features.is_empty();
        let hits: Vec<Json> =
            answer.hits.into_iter().map(|hit| hit_json(hit, view, with_values)).collect();
        bytes(&json!({
            "features": answer.features,
            "hits": hits,
            "dropped": answer.dropped,
            "is_cut_off": answer.is_cut_off,
            "freshness": answer.freshness,
        }))
    }
}

fn vector(json: &Json) -> Result<Vec<f32>, Failure> {
    let wrong = |message: &str| ApiError::invalid(message).at("--vector");
    let items = json.as_array().ok_or_else(|| wrong("the vector is no array"))?;
    let component = |json: &Json| match model_json::value_from_json(&DataType::Float32, json) {
        Ok(Value::Float32(component)) => Ok(component),
        _ => Err(wrong("the vector has a component that is no number").into()),
    };
    items.iter().map(component).collect()
}

fn filter(json: &Json, view: &FeatureView) -> Result<v1::SearchFilter, Failure> {
    use v1::{search_filter::Kind, search_range};
    let wrong = || -> Failure { ApiError::internal("a condition of an unknown kind").into() };
    let typed = |name: &str, json: &Json| -> Result<v1::Value, Failure> {
        let served = view.served_features();
        let feature = served.iter().find(|feature| feature.name == *name).ok_or_else(wrong)?;
        let value = model_json::value_from_json(&feature.data_type, json);
        let value =
            value.map_err(|message| ApiError::invalid(message).at(format!("--where {name}")))?;
        Ok(value_to_wire(&feature.data_type, &value))
    };
    let only = |json: &Json| -> Option<(String, Json)> {
        json.as_object()?.iter().next().map(|(name, json)| (name.clone(), json.clone()))
    };
    let (kind, content) = only(json).ok_or_else(wrong)?;
    let (feature, compared) = only(&content).ok_or_else(wrong)?;
    let kind = if kind == "equals" {
        let value = Some(typed(&feature, &compared)?);
        Kind::Equals(v1::SearchEquals { feature, value })
    } else {
        let (bound, json) = only(&compared).ok_or_else(wrong)?;
        let value = typed(&feature, &json)?;
        let (mut from, mut to) = (None, None);
        match bound.as_str() {
            "gt" => from = Some(search_range::From::Gt(value)),
            "gte" => from = Some(search_range::From::Gte(value)),
            "lt" => to = Some(search_range::To::Lt(value)),
            _ => to = Some(search_range::To::Lte(value)),
        }
        Kind::Range(v1::SearchRange { feature, from, to })
    };
    Ok(v1::SearchFilter { kind: Some(kind) })
}

fn hit_json(hit: v1::SearchHit, view: &FeatureView, with_values: bool) -> Json {
    let mut json = Map::new();
    let entity: Map<String, Json> = view
        .entities
        .iter()
        .filter_map(|entity| {
            let key = hit.entity.get(entity.name.as_str())?;
            let key = trivium_client::wire::key_from_wire(key)?;
            Some((entity.name.as_str().to_owned(), model_json::key_to_json(&key)))
        })
        .collect();
    json.insert("entity".into(), entity.into());
    let score = model_json::value_to_json(&DataType::Float32, &Value::Float32(hit.score));
    json.insert("score".into(), score);
    json.insert("rev".into(), unsigned(hit.rev));
    json.insert("event_time".into(), Timestamp(hit.event_time_micros).to_string().into());
    if with_values {
        json.insert("values".into(), hit.values.into_iter().map(json_of).collect());
    }
    if !hit.statuses.is_empty() {
        let name = |status: &i32| {
            Json::from(Status::try_from(*status).unwrap_or(Status::Error).as_str_name())
        };
        json.insert("statuses".into(), hit.statuses.iter().map(name).collect());
    }
    json.into()
}
