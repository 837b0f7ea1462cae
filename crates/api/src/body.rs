//! Request bodies: limited, JSON only, strict, with errors that say where.

use std::time::Duration;

use axum::{
    body::{Body, Bytes},
    extract::{FromRequest, Request},
    http::{HeaderMap, StatusCode, header},
};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::{Deserialize, de::DeserializeOwned};

use crate::{ApiError, admission::shed_of, suggest};

/// The largest request body of an endpoint that names no other limit: 1 MiB.
pub const BODY_BYTES_MAX: usize = 1 << 20;

/// How long a client may take to send a body, as long as for the head of a request.
const BODY_READ_TIME_MAX: Duration = Duration::from_secs(30);

/// A JSON body of at most `LIMIT` bytes. What does not fit is answered in the one error shape.
#[derive(Debug, Clone, Copy)]
pub struct Json<T, const LIMIT: usize = BODY_BYTES_MAX>(pub T);

impl<S: Send + Sync, T: DeserializeOwned, const LIMIT: usize> FromRequest<S> for Json<T, LIMIT> {
    type Rejection = ApiError;
    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        let (parts, body) = request.into_parts();
        let bytes = read_body(&parts.headers, body, LIMIT).await?;
        decode_json(&bytes).map(Self)
    }
}

/// Reads a JSON body: checks its content type (415) and its length (413). For handlers that
/// borrow from the bytes; the others take [`Json`].
pub async fn read_body(
    headers: &HeaderMap,
    body: Body,
    bytes_max: usize,
) -> Result<Bytes, ApiError> {
    read_body_within(headers, body, bytes_max, BODY_READ_TIME_MAX).await
}

pub(crate) async fn read_body_within(
    headers: &HeaderMap,
    body: Body,
    bytes_max: usize,
    time_max: Duration,
) -> Result<Bytes, ApiError> {
    check_content_type(headers)?;
    read_whole_within(headers, body, bytes_max, time_max).await
}

/// The same for a body of whatever type.
pub(crate) async fn read_whole(
    headers: &HeaderMap,
    body: Body,
    bytes_max: usize,
) -> Result<Bytes, ApiError> {
    read_whole_within(headers, body, bytes_max, BODY_READ_TIME_MAX).await
}

async fn read_whole_within(
    headers: &HeaderMap,
    body: Body,
    bytes_max: usize,
    time_max: Duration,
) -> Result<Bytes, ApiError> {
    let declared = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.parse::<u64>().ok());
    if declared.is_some_and(|length| length > bytes_max as u64) {
        return Err(body_too_large(bytes_max));
    }
    let read = Limited::new(body, bytes_max).collect();
    let Ok(read) = tokio::time::timeout(time_max, read).await else {
        return Err(ApiError::invalid(format!(
            "the request body did not arrive within {} s",
            time_max.as_secs()
        ))
        .help("send it at once, or less of it in one request")
        .with_http_status(StatusCode::REQUEST_TIMEOUT));
    };
    match read {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.downcast_ref::<LengthLimitError>().is_some() => {
            Err(body_too_large(bytes_max))
        }
        Err(error) => Err(shed_of(&*error).unwrap_or_else(|| {
            ApiError::invalid(format!("the request body could not be read: {error}"))
        })),
    }
}

fn body_too_large(bytes_max: usize) -> ApiError {
    ApiError::too_large(format!("the request body is larger than {bytes_max} bytes"))
        .help("send fewer rows in one request")
}

fn check_content_type(headers: &HeaderMap) -> Result<(), ApiError> {
    let given = headers.get(header::CONTENT_TYPE).map_or("", |value| value.to_str().unwrap_or("?"));
    let essence = given.split(';').next().unwrap_or("").trim();
    let is_json = essence.eq_ignore_ascii_case("application/json")
        || (essence.len() > 5
            && essence.is_char_boundary(essence.len() - 5)
            && essence[essence.len() - 5..].eq_ignore_ascii_case("+json"));
    if is_json {
        return Ok(());
    }
    let message = if given.is_empty() {
        "the request has no content type".to_owned()
    } else {
        format!("the content type `{given}` is not taken here")
    };
    Err(ApiError::invalid(message)
        .at("content-type")
        .help("send JSON with `content-type: application/json`")
        .with_http_status(StatusCode::UNSUPPORTED_MEDIA_TYPE))
}

/// Decodes JSON; an error says line and column, and the nearest name of an unknown field.
pub fn decode_json<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, ApiError> {
    if bytes.is_empty() {
        return Err(ApiError::invalid("the request body is empty").help("send a JSON object"));
    }
    serde_json::from_slice(bytes).map_err(|error| {
        // Read again for the path, which costs allocations that good requests need not pay.
        let mut reader = serde_json::Deserializer::from_slice(bytes);
        let found = serde_path_to_error::deserialize::<_, T>(&mut reader).err();
        describe(&error, &found.map(|found| found.path().to_string()).unwrap_or_default())
    })
}

/// Words a JSON error for the one who wrote the request; `path` is where it was found.
fn describe(error: &serde_json::Error, path: &str) -> ApiError {
    use serde_json::error::Category;
    let text = error.to_string();
    match error.classify() {
        Category::Syntax | Category::Eof => {
            ApiError::invalid(format!("the request body is not JSON: {text}"))
        }
        // `.` is the path of the whole body.
        Category::Data => describe_data(&text, if path == "." { "" } else { path }),
        // Never from a slice.
        Category::Io => ApiError::invalid(format!("the request body could not be read: {text}")),
    }
}

/// serde words an unknown field as "unknown field `x`, expected one of `a`, `b` at line …".
fn describe_data(text: &str, path: &str) -> ApiError {
    let quoted: Vec<&str> = text.split('`').skip(1).step_by(2).collect();
    let place = text.rfind(" at line ").map_or("", |start| &text[start..]);
    if let Some((field, known)) = quoted.split_first() {
        if text.starts_with("unknown field") {
            return ApiError::invalid(format!("unknown field `{field}`{place}"))
                .at(member(path, field))
                .help(suggest::hint(field, known.iter().copied()));
        }
        if text.starts_with("missing field") {
            return ApiError::invalid(format!("missing field `{field}`{place}"))
                .at(member(path, field));
        }
        if text.starts_with("duplicate field") {
            return ApiError::invalid(format!("field `{field}` stands twice{place}"))
                .at(member(path, field));
        }
    }
    ApiError::invalid(text).at(path)
}

/// The path of an object's field, where the path may name the field already, or not know it (`?`).
fn member(path: &str, field: &str) -> String {
    let parent = path.strip_suffix('?').unwrap_or(path);
    let parent = parent.strip_suffix(field).unwrap_or(parent).trim_end_matches('.');
    if parent.is_empty() { field.to_owned() } else { format!("{parent}.{field}") }
}
