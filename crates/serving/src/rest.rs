//! REST: `POST /v1/features/online/{get,put,delete,search}`.

use std::sync::Arc;

use axum::{
    Router,
    body::Body,
    extract::State,
    http::{HeaderMap, HeaderValue, header},
    response::{IntoResponse, Response},
    routing::post,
};
use serde_json::Value as Json;
use trivium_api::{ApiError, read_body};
use trivium_codec::RowKey;
use trivium_model::{DataType, Lane, Timestamp, Value, json::value_from_json};
use trivium_store::{DoorOutcome, Stamp, WriteOutcome, embedding::Visible};

use crate::{
    Serving,
    answer_json::write_answer,
    bodies::{ReadBody, RowBody, WriteBody},
    definitions::{Selection, ViewDefinition},
    embedding::search,
    entity::{cells_beside, cells_of_json, push_row_keys, row_key},
    erase,
    error::of_door,
    json_out::{write_instant, write_rev, write_string},
    limits,
    on_demand::Inputs,
    plan::{KeySet, ReadPlan},
    request::{
        RowMeta, RowPath, check_row_count, check_value_count, check_values, delete_id, write_id,
    },
    write::{Op, Write},
};

impl Serving {
    /// The REST surface, without the layers that [`trivium_api::finish`] adds.
    pub fn router(&self) -> Router {
        Router::new()
            .route("/v1/features/online/get", post(get))
            .route("/v1/features/online/put", post(put))
            .route("/v1/features/online/delete", post(delete))
            .route("/v1/features/online/search", post(search))
            .merge(erase::routes())
            .with_state(self.clone())
    }
}

pub(crate) fn json(body: Vec<u8>) -> Response {
    let mut response = body.into_response();
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

async fn get(
    State(serving): State<Serving>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    // Counted in once its body is there: who sends slowly keeps nobody else out.
    let body = read_body(&headers, body, limits::READ_BODY_BYTES_MAX).await?;
    let _entered = serving.enter("http")?;
    let request = ReadBody::parse(&body)?;
    let consistency = request.consistency;
    let (plan, keys, inputs) = prepare_get(&serving, request)?;
    let rows = serving.read_rows(&plan, &keys, consistency).await;
    let states = rows.states(&plan);
    write_answer(&plan, &states, &inputs).map(json)
}

fn prepare_get(
    serving: &Serving,
    request: ReadBody<'_>,
) -> Result<(Arc<ReadPlan>, Vec<RowKey>, Inputs), ApiError> {
    let selection = match (request.features, request.service) {
        (Some(features), None) => Selection::Features(features),
        (None, Some(service)) => Selection::Service(service),
        (Some(_), Some(_)) => {
            return Err(ApiError::invalid("both features and a service are named")
                .at("service")
                .help("name one of the two"));
        }
        (None, None) => {
            return Err(ApiError::invalid("neither features nor a service is named")
                .at("features")
                .help("name one of the two"));
        }
    };
    check_row_count(request.entities.len(), limits::ENTITIES_MAX, "entities")?;
    let plan = serving.definitions().plan(&selection)?;
    check_value_count(request.entities.len(), plan.names.len())?;
    let entities = request.entities.len();
    let mut inputs = Inputs::of_json(&plan, request.inputs)?;
    let mut keys = Vec::with_capacity(request.entities.len() * plan.views.len());
    let mut cells = Vec::new();
    for (index, entity) in request.entities.iter().enumerate() {
        let path = || format!("entities[{index}]");
        cells_beside(&plan.keys, entity, &mut cells, path, |name, node| {
            inputs.take_json(&plan, name, node, (index, entities), || format!("{}.{name}", path()))
        })?;
        push_row_keys(&plan, &cells, &mut keys, path)?;
    }
    Ok((plan, keys, inputs))
}

async fn put(
    State(serving): State<Serving>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    write(&serving, &headers, body, true).await
}

async fn delete(
    State(serving): State<Serving>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    write(&serving, &headers, body, false).await
}

async fn write(
    serving: &Serving,
    headers: &HeaderMap,
    body: Body,
    is_put: bool,
) -> Result<Response, ApiError> {
    let body = read_body(headers, body, limits::WRITE_BODY_BYTES_MAX).await?;
    let _entered = serving.enter("http")?;
    let (view, writes, visible) = prepare_write(serving, &body, is_put)?;
    let deadline = serving.deadline();
    let outcomes = serving.execute(&view, Lane::Direct, writes, visible, deadline).await;
    Ok(json(write_results(&outcomes)))
}

fn prepare_write(
    serving: &Serving,
    body: &[u8],
    is_put: bool,
) -> Result<(Arc<ViewDefinition>, Vec<Write>, Visible), ApiError> {
    let request = WriteBody::parse(body, is_put)?;
    check_row_count(request.rows.len(), limits::WRITE_ROWS_MAX, "rows")?;
    let view = serving.definitions().view(&request.view, "view")?.clone();
    let visible = serving.visible(&view, request.wait_for_search)?;
    let keys = KeySet::of_view(&view);
    let mut writes = Vec::with_capacity(request.rows.len());
    for (index, row) in request.rows.into_iter().enumerate() {
        let path = RowPath::At(index);
        let row = RowBody::new(row, path, is_put)?;
        let entity_path = || format!("{path}.entity");
        let mut cells = Vec::new();
        cells_of_json(&keys, &row.entity, &mut cells, entity_path)?;
        let meta = row_meta(row.event_time, row.if_rev, row.idempotency_key, row.sequence, path)?;
        let (op, write_id) = match row.values {
            None => (Op::Delete, delete_id(meta.write_id)),
            Some(values) => {
                let values = check_values(&view, values, path, |data_type, value| {
                    value_from_json(data_type, &value.to_json()?)
                })?;
                serving.check_embeddings(&view, &values, path)?;
                (Op::Values(values), meta.write_id)
            }
        };
        writes.push(Write {
            key: row_key(&view, &cells, entity_path)?,
            op,
            order: meta.order(serving, path)?,
            condition: meta.condition(),
            write_id,
        });
    }
    Ok((view, writes, visible))
}

fn row_meta(
    event_time: Option<Json>,
    if_rev: Option<Json>,
    idempotency_key: Option<Json>,
    sequence: Option<Json>,
    path: RowPath,
) -> Result<RowMeta, ApiError> {
    let event_time = match event_time {
        None => None,
        Some(Json::Null) => {
            return Err(ApiError::invalid("expected timestamp, found null")
                .at(format!("{path}.event_time"))
                .help("leave it out: the server's time is taken"));
        }
        Some(json) => match value_from_json(&DataType::Timestamp, &json) {
            Ok(Value::Timestamp(at)) => Some(at),
            Ok(_) => None,
            Err(message) => return Err(ApiError::invalid(message).at(format!("{path}.event_time"))),
        },
    };
    let write_id = match idempotency_key {
        None => trivium_store::WriteId(0),
        Some(Json::String(key)) if !key.is_empty() => {
            write_id(key.as_bytes(), || format!("{path}.idempotency_key"))?
        }
        Some(_) => {
            return Err(ApiError::invalid("an idempotency key is a string that is not empty")
                .at(format!("{path}.idempotency_key")));
        }
    };
    Ok(RowMeta {
        event_time,
        sequence: unsigned(sequence, || format!("{path}.sequence"))?,
        if_rev: unsigned(if_rev, || format!("{path}.if_rev"))?,
        write_id,
    })
}

/// A whole number from 0, as a number or, beyond 2^53, as a string.
fn unsigned(json: Option<Json>, field: impl Fn() -> String) -> Result<Option<u64>, ApiError> {
    let Some(json) = json else { return Ok(None) };
    let value = match &json {
        Json::Number(number) => number.as_u64(),
        Json::String(text) => text.parse().ok().filter(|value: &u64| value.to_string() == *text),
        _ => None,
    };
    match value {
        Some(value) => Ok(Some(value)),
        None => {
            Err(ApiError::invalid(format!("expected a whole number from 0, found {json}"))
                .at(field()))
        }
    }
}

/// `{"results":[{"outcome":"APPLIED","rev":…,"event_time":…}]}`
fn write_results(outcomes: &[DoorOutcome]) -> Vec<u8> {
    let mut out = Vec::with_capacity(16 + outcomes.len() * 96);
    out.extend_from_slice(b"{\"results\":[");
    for (index, outcome) in outcomes.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        match outcome {
            Ok(WriteOutcome::Applied(stamp)) => {
                write_outcome(&mut out, "APPLIED", stamp.rev, Some(stamp.event_time));
            }
            Ok(WriteOutcome::Superseded(stamp)) => {
                write_outcome(&mut out, "SUPERSEDED", live_rev(stamp), Some(stamp.event_time));
            }
            Ok(WriteOutcome::Conflict(stamp)) => {
                let rev = stamp.as_ref().map_or(0, live_rev);
                write_outcome(&mut out, "CONFLICT", rev, stamp.map(|stamp| stamp.event_time));
            }
            Ok(WriteOutcome::Erased(up_to)) => {
                write_outcome(&mut out, "ERASED", 0, Some(*up_to));
            }
            Err(error) => {
                let error = of_door(error);
                out.extend_from_slice(b"{\"outcome\":\"FAILED\",\"error\":{\"code\":");
                write_string(&mut out, error.kind.code());
                out.extend_from_slice(b",\"message\":");
                write_string(&mut out, &error.message);
                out.extend_from_slice(b",\"field\":");
                write_string(&mut out, &row_field(index, &error.field));
                out.extend_from_slice(b",\"help\":");
                write_string(&mut out, &error.help);
                out.extend_from_slice(b"}}");
            }
        }
    }
    out.extend_from_slice(b"]}");
    out
}

/// Where in the request a row's failure is.
pub(crate) fn row_field(index: usize, field: &str) -> String {
    match field {
        "" => format!("rows[{index}]"),
        field if field.starts_with("rows[") => field.to_owned(),
        field => format!("rows[{index}].{field}"),
    }
}

/// The rev that `if_rev` could name: none of a tombstone.
pub(crate) fn live_rev(stamp: &Stamp) -> u64 {
    if stamp.deleted { 0 } else { stamp.rev }
}

fn write_outcome(out: &mut Vec<u8>, outcome: &str, rev: u64, event_time: Option<Timestamp>) {
    out.extend_from_slice(b"{\"outcome\":");
    write_string(out, outcome);
    out.extend_from_slice(b",\"rev\":");
    write_rev(out, rev);
    if let Some(event_time) = event_time {
        out.extend_from_slice(b",\"event_time\":");
        write_instant(out, event_time);
    }
    out.push(b'}');
}
