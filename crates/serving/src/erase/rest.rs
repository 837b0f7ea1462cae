//! REST: `POST /v1/subjects/erase` and `POST /v1/subjects/erasure`.

use axum::{Extension, Json as JsonAnswer, Router, extract::State, routing::post};
use serde::Deserialize;
use serde_json::{Map, Value as Json};
use trivium_api::{ApiError, Json as JsonBody, auth::Caller};
use trivium_model::{KeyValue, json::key_from_json};
use utoipa::ToSchema;

use super::{job::Asked, report::Report};
use crate::Serving;

/// A person and a few words.
const BODY_BYTES_MAX: usize = 64 << 10;

/// Whom to erase, and why.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = EraseSubject, example = json!({
    "namespace": "shop", "subject": { "user_id": 7 }, "reason": "asked by mail on May 2",
    "requested_by": "privacy@example.com", "request_id": "case-1042"
}))]
pub(crate) struct EraseBody {
    /// The namespace.
    namespace: String,
    /// The one join key that names the person in this namespace, and its value.
    #[schema(value_type = std::collections::BTreeMap<String, Json>)]
    subject: Map<String, Json>,
    /// Why, for the report.
    #[serde(default)]
    reason: String,
    /// For whom you ask, for the report.
    #[serde(default)]
    requested_by: String,
    /// Names this request, 64 bytes at most: sent again, it goes on with the same erasure. Without one every call is a request of its own, up to its own time.
    #[serde(default)]
    request_id: String,
}

/// Whose erasure to look at.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = GetErasure, example = json!({ "namespace": "shop", "subject": { "user_id": 7 } }))]
pub(crate) struct GetErasureBody {
    /// The namespace.
    namespace: String,
    /// The one join key that names the person in this namespace, and its value.
    #[schema(value_type = std::collections::BTreeMap<String, Json>)]
    subject: Map<String, Json>,
}

/// The routes of erasures.
pub(crate) fn routes() -> Router<Serving> {
    Router::new()
        .route("/v1/subjects/erase", post(erase))
        .route("/v1/subjects/erasure", post(get_erasure))
}

async fn erase(
    State(serving): State<Serving>,
    caller: Option<Extension<Caller>>,
    JsonBody(body): JsonBody<EraseBody, BODY_BYTES_MAX>,
) -> Result<JsonAnswer<Report>, ApiError> {
    let _entered = serving.enter("http")?;
    let (join_key, value) = subject(&serving, &body.namespace, &body.subject)?;
    let asked = Asked {
        request_id: body.request_id,
        by: caller.map_or_else(String::new, |Extension(Caller(name))| name.to_string()),
        requested_by: body.requested_by,
        reason: body.reason,
    };
    serving.erase(&body.namespace, (join_key, &value), asked).await.map(JsonAnswer)
}

async fn get_erasure(
    State(serving): State<Serving>,
    JsonBody(body): JsonBody<GetErasureBody, BODY_BYTES_MAX>,
) -> Result<JsonAnswer<Report>, ApiError> {
    let _entered = serving.enter("http")?;
    let (join_key, value) = subject(&serving, &body.namespace, &body.subject)?;
    serving.erasure(&body.namespace, (join_key, &value)).await.map(JsonAnswer)
}

fn subject<'b>(
    serving: &Serving,
    namespace: &str,
    subject: &'b Map<String, Json>,
) -> Result<(&'b str, KeyValue), ApiError> {
    let mut keys = subject.iter();
    let (Some((join_key, value)), None) = (keys.next(), keys.next()) else {
        return Err(super::not_one_key(subject.len()));
    };
    let key_type = serving.definitions().subject_type(namespace, join_key)?;
    let value = key_from_json(key_type, value)
        .map_err(|message| ApiError::invalid(message).at(format!("subject.{join_key}")))?;
    Ok((join_key, value))
}
