//! REST: `POST /v1/features/historical`.

use axum::{
    Router,
    body::Body,
    extract::State,
    http::{HeaderMap, HeaderValue, header},
    response::{IntoResponse, Response},
    routing::post,
};
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use trivium_api::{ApiError, Json};
use trivium_offline::{
    HistoryQuery, Selection, TrainingSet,
    history::{EVENT_TIMESTAMP, write_ipc},
};

use crate::{
    HistoryApi,
    error::of_offline,
    json::{HistoricalRequest, frame, join_keys, write_rows},
    limits,
};

/// The content type of an Arrow answer.
pub(crate) const ARROW_STREAM: &str = "application/vnd.apache.arrow.stream";

impl HistoryApi {
    /// The REST surface, without the layers that [`trivium_api::finish`] adds.
    pub fn router(&self) -> Router {
        Router::new().route("/v1/features/historical", post(historical)).with_state(self.clone())
    }
}

/// Features as they were at the entities' times. The order and length of the request are kept; with
/// `accept: application/vnd.apache.arrow.stream` the answer is the frame with the features beside it.
#[utoipa::path(
    post, path = "/v1/features/historical", tag = "history",
    request_body = HistoricalRequest,
    responses(
        (status = 200, body = crate::openapi::HistoricalAnswer, description = "one row for each entity"),
        (status = "default", body = crate::openapi::ErrorShape, description = "an error, in the one shape"),
    ),
)]
pub(crate) async fn historical(
    State(api): State<HistoryApi>,
    headers: HeaderMap,
    Json(request): Json<HistoricalRequest, { limits::JSON_BODY_BYTES_MAX }>,
) -> Result<Response, ApiError> {
    let permit = api.enter()?;
    let as_arrow = headers
        .get_all(header::ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .any(|value| value.contains(ARROW_STREAM));
    let rows = request.entities.len();
    if rows == 0 {
        return Err(ApiError::invalid("there is no entity")
            .at("entities")
            .help("send at least one"));
    }
    if rows > limits::JSON_ROWS_MAX {
        return Err(ApiError::too_large(format!(
            "{rows} entities are more than {}",
            limits::JSON_ROWS_MAX
        ))
        .at("entities")
        .help("send fewer, or use gRPC or `trivium history` for large frames"));
    }
    let snapshot = api.snapshot();
    let history = api.history(snapshot.clone());
    let selection =
        Selection { features: request.features.unwrap_or_default(), service: request.service };
    let features = history.resolve(&selection).map_err(|error| of_offline(&error))?;
    let computed = history.computed(&selection);
    if !as_arrow && rows * (features.len() + computed) > limits::JSON_VALUES_MAX {
        return Err(ApiError::too_large(format!(
            "{rows} entities with {} features are more than {} values",
            features.len() + computed,
            limits::JSON_VALUES_MAX
        ))
        .at("entities")
        .help("send fewer entities, or ask for Arrow"));
    }
    let event_timestamp = request.event_timestamp.unwrap_or_else(|| EVENT_TIMESTAMP.to_owned());
    let keys = join_keys(&snapshot, &features);
    let inputs = history.inputs(&selection);
    let frame = frame(&request.entities, &keys, &inputs, &event_timestamp)?;
    drop(request.entities);
    let query = HistoryQuery { selection, frame, event_timestamp, full_names: request.full_names };
    let set = history.join(query).await.map_err(|error| of_offline(&error))?;
    if as_arrow {
        let (sender, receiver) =
            mpsc::channel::<Result<Bytes, std::io::Error>>(limits::PIECES_AHEAD);
        tokio::spawn(async move {
            let _permit = permit;
            let sent = write_ipc(set, |piece| {
                let sender = sender.clone();
                async move { sender.send(Ok(piece.into())).await.is_ok() }
            })
            .await;
            if let Err(error) = sent {
                // The status is sent already: cutting the stream is what is left to say.
                let told = of_offline(&error);
                drop(sender.send(Err(std::io::Error::other(told.to_string()))).await);
            }
        });
        let mut response = Body::from_stream(ReceiverStream::new(receiver)).into_response();
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(ARROW_STREAM));
        return Ok(response);
    }
    let body = json_answer(set).await?;
    let mut response = body.into_response();
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}

async fn json_answer(set: TrainingSet) -> Result<Vec<u8>, ApiError> {
    let failed = |message: String| {
        tracing::error!("{message}");
        ApiError::internal("the training set could not be written")
    };
    let names: Vec<String> = set.features.iter().map(ToString::to_string).collect();
    let mut out = b"{\"features\":".to_vec();
    serde_json::to_writer(&mut out, &names).map_err(|error| failed(error.to_string()))?;
    out.extend_from_slice(b",\"rows\":[");
    let mut rows = set.rows.map(|batch| {
        batch.map_err(|source| of_offline(&trivium_offline::Error::History { source }))
    });
    while let Some(batch) = rows.try_next().await? {
        write_rows(&mut out, &batch, set.frame_columns, &set.types).map_err(failed)?;
    }
    out.extend_from_slice(b"]}");
    Ok(out)
}
