//! What operators ask a worker: how its partitions are, and to let one go on that a flood has stopped.

use axum::{
    Json, Router,
    extract::State,
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use serde::Deserialize;
use serde_json::{Value, json};
use trivium_api::ApiError;
use trivium_ingest_kafka::{KafkaWorker, LaneHealth};
use trivium_runtime::Kind;

/// `GET /v1/partitions` and `POST /v1/partitions/pass`.
pub fn router(worker: KafkaWorker) -> Router {
    Router::new()
        .route("/v1/partitions", get(partitions))
        .route("/v1/partitions/pass", post(pass))
        .with_state(worker)
}

/// A partition, for people and programs.
pub fn shown(lane: &LaneHealth) -> Value {
    json!({
        "partition": lane.partition.to_string(),
        "progress": lane.progress,
        "waiting_bytes": lane.waiting_bytes,
        "busy_seconds": lane.busy.map(|busy| busy.as_secs_f64()),
        "stopped": lane.stopped,
        "lag_records": lane.lag.map(|lag| lag.records),
        "lag_seconds": lane.lag.map(|lag| lag.age.as_secs_f64()),
    })
}

async fn partitions(State(worker): State<KafkaWorker>) -> Json<Value> {
    let partitions: Vec<Value> = worker.health().iter().map(shown).collect();
    Json(json!({ "partitions": partitions }))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Pass {
    partition: String,
    messages: u64,
}

async fn pass(
    State(worker): State<KafkaWorker>,
    trivium_api::Json(pass): trivium_api::Json<Pass>,
) -> Response {
    if worker.let_pass(&pass.partition, pass.messages) {
        return Json(json!({})).into_response();
    }
    ApiError::new(Kind::NotFound, format!("`{}` is no partition of this worker", pass.partition))
        .at("partition")
        .help("`GET /v1/partitions` lists them, as `topic/number`")
        .into_response()
}
