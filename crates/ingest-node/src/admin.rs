//! What operators ask a worker: how its partitions are, and to let one go on that a flood has stopped.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::State,
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use serde::Deserialize;
use serde_json::{Value, json};
use trivium_api::ApiError;
use trivium_ingest::{LaneHealth, Partitions};
use trivium_runtime::Kind;

/// The workers of this process: one a system, and the windows.
pub type Workers = Arc<[Arc<dyn Partitions>]>;

/// How the partitions of all of them are.
pub fn health(workers: &Workers) -> Vec<LaneHealth> {
    workers.iter().flat_map(|worker| worker.health()).collect()
}

/// `GET /v1/streams/partitions` and `POST /v1/streams/partitions/pass`.
pub fn router(workers: Workers) -> Router {
    Router::new()
        .route("/v1/streams/partitions", get(partitions))
        .route("/v1/streams/partitions/pass", post(pass))
        .with_state(workers)
}

/// A partition, for people and programs.
pub fn shown(lane: &LaneHealth) -> Value {
    json!({
        "partition": lane.partition.to_string(),
        "view": lane.view.as_ref().map(ToString::to_string),
        "progress": lane.progress,
        "waiting_bytes": lane.waiting_bytes,
        "busy_seconds": lane.busy.map(|busy| busy.as_secs_f64()),
        "stopped": lane.stopped,
        "lag_records": lane.lag.and_then(|lag| lag.records),
        "lag_seconds": lane.lag.map(|lag| lag.age.as_secs_f64()),
    })
}

async fn partitions(State(workers): State<Workers>) -> Json<Value> {
    let partitions: Vec<Value> = health(&workers).iter().map(shown).collect();
    Json(json!({ "partitions": partitions }))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Pass {
    partition: String,
    messages: u64,
}

async fn pass(
    State(workers): State<Workers>,
    trivium_api::Json(pass): trivium_api::Json<Pass>,
) -> Response {
    // All of them: several views may have windows over one topic.
    let passed: Vec<bool> =
        workers.iter().map(|worker| worker.let_pass(&pass.partition, pass.messages)).collect();
    if passed.contains(&true) {
        return Json(json!({})).into_response();
    }
    let message =
        format!("`{}` is no partition of this worker that a flood has stopped", pass.partition);
    ApiError::new(Kind::NotFound, message)
        .at("partition")
        .help("`GET /v1/streams/partitions` lists its partitions, as `topic/number` or `stream/shard`")
        .into_response()
}
