//! `POST /v1/features/online/search`.

use axum::{body::Body, extract::State, http::HeaderMap, response::Response};
use trivium_api::{ApiError, read_body};
use trivium_codec::ValueRef;
use trivium_model::{
    DataType, Value,
    json::{key_to_json, value_from_json},
};

use super::{
    filter,
    search::{Answer, FRESHNESS, Near, Question, check_k},
};
use crate::{
    Serving,
    answer_json::{answer_too_large, write_row_values},
    bodies::{Fields, array, entity, expected, text},
    entity::{cells_of_json, row_key},
    json_buffer::JsonBuffer,
    json_out::{write_instant, write_integer, write_rev, write_string, write_value},
    json_text::{Node, parse},
    limits,
    plan::{KeySet, ReadPlan},
    rest::json,
};

pub(crate) async fn search(
    State(serving): State<Serving>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let body = read_body(&headers, body, limits::READ_BODY_BYTES_MAX).await?;
    let _entered = serving.enter("http")?;
    let question = question(&serving, &body)?;
    let (keys, plan) = (KeySet::of_view(&question.place.view), question.plan.clone());
    let answer = serving.search(question).await?;
    write(&keys, plan.as_deref(), &answer).map(json)
}

fn question(serving: &Serving, body: &[u8]) -> Result<Question, ApiError> {
    const KNOWN: [&str; 7] =
        ["feature", "vector", "entity", "k", "filter", "min_score", "features"];
    let mut fields = Fields::new(parse(body)?, None, &KNOWN)?;
    let feature = text(fields.required("feature")?, || "feature".to_owned())?;
    let place = serving.place(&feature)?;
    let k = match fields.required("k")? {
        Node::Number(number) => match number.parse() {
            Ok(k) => check_k(k)?,
            Err(_) => {
                return Err(expected("a whole number", &Node::Number(number), "k".to_owned()));
            }
        },
        other => return Err(expected("a whole number", &other, "k".to_owned())),
    };
    let near = match (fields.take("vector"), fields.take("entity")) {
        (Some(_), Some(_)) => {
            return Err(ApiError::invalid("both a vector and an entity are given")
                .at("entity")
                .help("give one of the two"));
        }
        (None, None) => {
            return Err(ApiError::invalid("neither a vector nor an entity is given")
                .at("vector")
                .help("give one of the two: what is to be near, or an entity to be like"));
        }
        (Some(vector), None) => {
            let value = vector.to_json().and_then(|json| value_from_json(place.data_type(), &json));
            match value.map_err(|message| ApiError::invalid(message).at("vector"))? {
                Value::Embedding(vector) => Near::Vector(vector),
                _ => return Err(expected("an array", &Node::Null, "vector".to_owned())),
            }
        }
        (None, Some(node)) => {
            let path = || "entity".to_owned();
            let entries = entity(node, path)?;
            let mut cells = Vec::new();
            cells_of_json(&KeySet::of_view(&place.view), &entries, &mut cells, path)?;
            Near::Entity(row_key(&place.view, &cells, path)?)
        }
    };
    let filter = fields.take("filter").map(|node| filter::of_json(&place, node, "filter"));
    let score_min = match fields.take("min_score") {
        None => None,
        Some(node) => {
            let wrong = |message: String| ApiError::invalid(message).at("min_score");
            let json = node.to_json().map_err(wrong)?;
            match value_from_json(&DataType::Float32, &json).map_err(wrong)? {
                Value::Float32(least) if !least.is_nan() => Some(least),
                _ => return Err(expected("a number", &node, "min_score".to_owned())),
            }
        }
    };
    let features = match fields.take("features") {
        None => Vec::new(),
        Some(node) => {
            let features = array(node, "features")?.into_iter().enumerate();
            let features = features.map(|(n, node)| text(node, || format!("features[{n}]")));
            features.collect::<Result<_, _>>()?
        }
    };
    let plan = serving.shown(&place, k, features)?;
    Ok(Question { near, k, filter: filter.transpose()?, score_min, plan, place })
}

/// `{"features":[…],"hits":[{"entity":{…},"score":…,"rev":…,"event_time":…,"values":[…]}],…}`
fn write(keys: &KeySet, plan: Option<&ReadPlan>, answer: &Answer) -> Result<Vec<u8>, ApiError> {
    let states = plan.map(|plan| answer.rows.states(plan));
    let mut out = JsonBuffer::with_capacity(answer.hits.len() * 128 + 256);
    out.append(|out| {
        out.extend_from_slice(b"{\"features\":[");
        for (index, name) in plan.map_or(&[][..], |plan| &plan.names).iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            write_string(out, name);
        }
        out.extend_from_slice(b"],\"hits\":[");
    });
    for (index, hit) in answer.hits.iter().enumerate() {
        out.append(|out| {
            out.extend_from_slice(if index > 0 { b",{\"entity\":{" } else { b"{\"entity\":{" });
            for (at, ((name, _), key)) in keys.as_slice().iter().zip(&hit.entity).enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                write_string(out, name);
                out.push(b':');
                out.extend_from_slice(key_to_json(key).to_string().as_bytes());
            }
            out.extend_from_slice(b"},\"score\":");
            write_value(out, ValueRef::Float32(hit.score), &DataType::Float32);
            out.extend_from_slice(b",\"rev\":");
            write_rev(out, hit.rev);
            out.extend_from_slice(b",\"event_time\":");
            write_instant(out, hit.event_time);
        });
        if let (Some(plan), Some(states)) = (plan, &states)
            && let Some(state) = states.get(index)
        {
            out.append(|out| out.extend_from_slice(b",\"values\":["));
            write_row_values(&mut out, plan, std::slice::from_ref(state));
        }
        out.append(|out| out.push(b'}'));
        if out.len() > limits::RESPONSE_BYTES_MAX {
            return Err(answer_too_large());
        }
    }
    out.append(|out| {
        out.extend_from_slice(b"],\"dropped\":");
        write_integer(out, answer.dropped);
        out.extend_from_slice(b",\"is_cut_off\":");
        out.extend_from_slice(if answer.is_cut_off { b"true" } else { b"false" });
        out.extend_from_slice(b",\"freshness\":");
        write_string(out, FRESHNESS);
        out.push(b'}');
    });
    Ok(out.into_bytes())
}
