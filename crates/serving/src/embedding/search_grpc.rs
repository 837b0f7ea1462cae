//! `SearchNearest`.

use trivium_api::ApiError;
use trivium_model::{KeyValue, Value};
use trivium_proto::v1::{
    self as wire, SearchHit, SearchNearestRequest, SearchNearestResponse, key_value,
    search_nearest_request::Near as WireNear, value::Kind,
};
use trivium_proto::wire::value_from_wire;

use super::{
    filter,
    search::{FRESHNESS, Near, Question, check_k},
};
use crate::{
    Serving, answer_grpc::answer_one, answer_json::answer_too_large, entity::row_key, limits,
    on_demand::Inputs, plan::KeySet, rpc::cells_of_map,
};

impl Serving {
    pub(crate) async fn search_nearest_proto(
        &self,
        request: SearchNearestRequest,
    ) -> Result<SearchNearestResponse, ApiError> {
        let _entered = self.enter("grpc")?;
        let question = self.question_of_proto(request)?;
        let (keys, plan) = (KeySet::of_view(&question.place.view), question.plan.clone());
        let answer = self.search(question).await?;
        let states = plan.as_ref().map(|plan| answer.rows.states(plan));
        let mut hits = Vec::with_capacity(answer.hits.len());
        let mut bytes = 0;
        for (index, hit) in answer.hits.into_iter().enumerate() {
            let names = keys.as_slice().iter().map(|(name, _)| name.as_str().to_owned());
            let mut told = SearchHit {
                entity: names.zip(hit.entity.into_iter().map(key_to_proto)).collect(),
                score: hit.score,
                rev: hit.rev,
                event_time_micros: hit.event_time.0,
                ..SearchHit::default()
            };
            if let (Some(plan), Some(states)) = (&plan, &states)
                && let Some(state) = states.get(index)
            {
                let row = answer_one(plan, std::slice::from_ref(state), &Inputs::default());
                (told.values, told.statuses) = (row.values, row.statuses);
            }
            bytes += prost::Message::encoded_len(&told);
            if bytes > limits::RESPONSE_BYTES_MAX {
                return Err(answer_too_large());
            }
            hits.push(told);
        }
        Ok(SearchNearestResponse {
            features: plan.map(|plan| plan.names.clone()).unwrap_or_default(),
            hits,
            dropped: answer.dropped,
            is_cut_off: answer.is_cut_off,
            freshness: FRESHNESS.to_owned(),
        })
    }

    fn question_of_proto(&self, request: SearchNearestRequest) -> Result<Question, ApiError> {
        let place = self.place(&request.feature)?;
        let k = check_k(u64::from(request.k))?;
        let near = match request.near {
            None => {
                return Err(ApiError::invalid("neither a vector nor an entity is given")
                    .at("vector")
                    .help("give one of the two: what is to be near, or an entity to be like"));
            }
            Some(WireNear::Vector(vector)) => {
                let value = wire::Value { kind: Some(Kind::Embedding(vector)) };
                match value_from_wire(place.data_type(), value) {
                    Ok(Value::Embedding(vector)) => Near::Vector(vector),
                    Ok(_) => return Err(ApiError::invalid("expected a vector").at("vector")),
                    Err(message) => return Err(ApiError::invalid(message).at("vector")),
                }
            }
            Some(WireNear::Entity(entity)) => {
                let path = || "entity".to_owned();
                let cells = cells_of_map(&KeySet::of_view(&place.view), &entity.keys, path)?;
                Near::Entity(row_key(&place.view, &cells, path)?)
            }
        };
        let filter = request.filter.map(|given| filter::of_proto(&place, given, "filter"));
        if request.min_score.is_some_and(f32::is_nan) {
            return Err(ApiError::invalid("expected a number, found NaN").at("min_score"));
        }
        let plan = self.shown(&place, k, request.features)?;
        let score_min = request.min_score;
        Ok(Question { near, k, filter: filter.transpose()?, score_min, plan, place })
    }
}

fn key_to_proto(key: KeyValue) -> wire::KeyValue {
    let kind = match key {
        KeyValue::String(value) => key_value::Kind::String(value),
        KeyValue::Int64(value) => key_value::Kind::Int64(value),
        KeyValue::Bool(value) => key_value::Kind::Bool(value),
        KeyValue::Bytes(value) => key_value::Kind::Bytes(value.into()),
        KeyValue::Date(value) => key_value::Kind::Date(value),
        KeyValue::Timestamp(value) => key_value::Kind::TimestampMicros(value.0),
    };
    wire::KeyValue { kind: Some(kind) }
}
