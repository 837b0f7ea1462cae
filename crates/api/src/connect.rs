//! Unary calls by the Connect protocol (<https://connectrpc.com/docs/protocol>): the messages of gRPC
//! as bodies of plain HTTP/1.1 requests and answers. No frames, no trailers, no HTTP/2: the cheapest
//! way to read many features, and one that any HTTP client can go.
//!
//! A call is handed to the gRPC services as they are; only what is around the message changes.

use axum::{
    Router,
    body::Body,
    extract::Request,
    http::{HeaderMap, HeaderValue, Method, StatusCode, Version, header},
    response::{IntoResponse, Response},
};
use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use http_body_util::BodyExt as _;
use prost::Message as _;
use serde::Serialize;
use tonic::{Code, Status};
use tower::ServiceExt as _;
use trivium_runtime::Kind;

use crate::{ApiError, body::read_whole, error::RETRY_AFTER_SECONDS};

/// What the body of a call is.
pub const CONTENT_TYPE: &str = "application/proto";
/// The service that is served this way. All of its methods are unary.
pub(crate) const SERVICE: &str = "/trivium.v1.OnlineService/";
/// As of a gRPC message.
const BODY_BYTES_MAX: usize = 32 << 20;
/// Before a message: whether it is compressed, and its length.
const PREFIX_BYTES: usize = 5;
/// gRPC has eight digits for a time-out; more than a day is none.
const TIMEOUT_MS_MAX: u64 = 99_999_999;

/// Whether it is such a call, however badly made: nothing else is served there. (Of gRPC's content type
/// it is one of gRPC.)
pub(crate) fn is_call(request: &Request) -> bool {
    request.uri().path().starts_with(SERVICE)
}

/// Answers a call. `services` have been through [`crate::grpc::finish_grpc`].
pub(crate) async fn answer(services: Router, request: Request) -> Response {
    if let Some(misfit) = misfit(&request) {
        return misfit;
    }
    match call(services, request).await {
        Ok(response) => response,
        Err(error) => refusal(&Status::from(error)),
    }
}

/// What has a status of HTTP's own.
fn misfit(request: &Request) -> Option<Response> {
    let (error, status) = if request.method() != Method::POST {
        let message = format!("{} is not the method of a call", request.method());
        let error = ApiError::new(Kind::Unimplemented, message).help("send it with POST");
        (error, StatusCode::METHOD_NOT_ALLOWED)
    } else {
        let given = request.headers().get(header::CONTENT_TYPE);
        let essence = given.and_then(|given| given.as_bytes().split(|&byte| byte == b';').next());
        if essence.is_some_and(|essence| {
            essence.trim_ascii().eq_ignore_ascii_case(CONTENT_TYPE.as_bytes())
        }) {
            return None;
        }
        let error = ApiError::new(
            Kind::Unimplemented,
            "a call's message is not taken in this content type",
        )
        .at("content-type")
        .help("send protobuf with `content-type: application/proto`; JSON goes to REST");
        (error, StatusCode::UNSUPPORTED_MEDIA_TYPE)
    };
    let mut response = refusal(&Status::from(error));
    *response.status_mut() = status;
    if status == StatusCode::METHOD_NOT_ALLOWED {
        response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("POST"));
    }
    Some(response)
}

async fn call(services: Router, request: Request) -> Result<Response, ApiError> {
    let (mut parts, body) = request.into_parts();
    check(&parts.headers)?;
    let timeout = timeout(&parts.headers)?;
    let message = read_whole(&parts.headers, body, BODY_BYTES_MAX).await?;
    for name in [header::CONTENT_LENGTH, header::CONTENT_ENCODING, header::TRANSFER_ENCODING] {
        parts.headers.remove(name);
    }
    // gRPC's own say nothing about this message.
    for name in ["grpc-encoding", "grpc-accept-encoding", "grpc-timeout"] {
        parts.headers.remove(name);
    }
    parts.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    parts.headers.insert(header::TE, HeaderValue::from_static("trailers"));
    if let Some(timeout) = timeout {
        parts.headers.insert("grpc-timeout", timeout);
    }
    parts.version = Version::HTTP_2;
    let request = Request::from_parts(parts, Body::from(framed(&message)));
    let (mut parts, body) = services
        .oneshot(request)
        .await
        .map(Response::into_parts)
        .map_err(|never| match never {})?;
    if let Some(status) = Status::from_header_map(&parts.headers)
        && status.code() != Code::Ok
    {
        return Ok(refusal(&status));
    }
    let broken = |what: &str| ApiError::internal(format!("an answer {what}"));
    let whole = body.collect().await.map_err(|_| broken("broke off"))?;
    let ended = whole.trailers().and_then(Status::from_header_map);
    if let Some(status) = ended
        && status.code() != Code::Ok
    {
        return Ok(refusal(&status));
    }
    let mut message = whole.to_bytes();
    let Some((0, length)) = message.split_first_chunk::<PREFIX_BYTES>().map(|(prefix, _)| {
        let [flag, length @ ..] = *prefix;
        (flag, u32::from_be_bytes(length) as usize)
    }) else {
        return Err(broken("is no message"));
    };
    message.advance(PREFIX_BYTES);
    if message.len() != length {
        return Err(broken("is not one message"));
    }
    parts.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE));
    parts.version = Version::HTTP_11;
    Ok(Response::from_parts(parts, Body::from(message)))
}

fn check(headers: &HeaderMap) -> Result<(), ApiError> {
    if let Some(version) = headers.get("connect-protocol-version")
        && version != "1"
    {
        return Err(ApiError::invalid("another version of the Connect protocol is asked for")
            .at("connect-protocol-version")
            .help("send 1, or nothing"));
    }
    if let Some(encoding) = headers.get(header::CONTENT_ENCODING)
        && encoding != "identity"
    {
        let message = "the message is compressed; supported is `identity` alone";
        return Err(ApiError::new(Kind::Unimplemented, message)
            .at("content-encoding")
            .help("send it as it is"));
    }
    Ok(())
}

/// The caller's time-out, as gRPC says it.
fn timeout(headers: &HeaderMap) -> Result<Option<HeaderValue>, ApiError> {
    let Some(timeout) = headers.get("connect-timeout-ms") else { return Ok(None) };
    let digits = timeout.to_str().ok().filter(|text| (1..=10).contains(&text.len()));
    let digits = digits.filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    let millis: Option<u64> = digits.and_then(|text| text.parse().ok());
    let millis = millis.ok_or_else(|| {
        ApiError::invalid("the time-out is no number of milliseconds")
            .at("connect-timeout-ms")
            .help("send 1 to 10 digits")
    })?;
    Ok(HeaderValue::from_str(&format!("{}m", millis.min(TIMEOUT_MS_MAX))).ok())
}

fn framed(message: &Bytes) -> Bytes {
    let mut framed = BytesMut::with_capacity(PREFIX_BYTES + message.len());
    framed.put_u8(0);
    // Bounded by BODY_BYTES_MAX.
    framed.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
    framed.put_slice(message);
    framed.freeze()
}

/// An error's JSON, by the protocol.
#[derive(Serialize)]
struct Refusal<'a> {
    code: &'static str,
    message: &'a str,
    details: Vec<Detail>,
}

#[derive(Serialize)]
struct Detail {
    r#type: &'static str,
    value: String,
}

pub(crate) fn refusal(status: &Status) -> Response {
    let (code, http) = worded(status.code());
    let error = ApiError::from_status(status);
    let details = vec![Detail {
        r#type: "trivium.v1.ErrorDetail",
        value: STANDARD_NO_PAD.encode(error.detail().encode_to_vec()),
    }];
    // Texts always serialise.
    let body = serde_json::to_vec(&Refusal { code, message: status.message(), details })
        .unwrap_or_default();
    let mut response = (http, body).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if status.code() == Code::ResourceExhausted {
        headers.insert(header::RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER_SECONDS));
    }
    response
}

/// A code's name and HTTP status, by the protocol; but a method that is none is not found, which is
/// no fault of ours and tells clients the same.
fn worded(code: Code) -> (&'static str, StatusCode) {
    match code {
        Code::Ok | Code::Unknown => ("unknown", StatusCode::INTERNAL_SERVER_ERROR),
        // 499 has no name in HTTP's own registry.
        Code::Cancelled => {
            ("canceled", StatusCode::from_u16(499).unwrap_or(StatusCode::REQUEST_TIMEOUT))
        }
        Code::InvalidArgument => ("invalid_argument", StatusCode::BAD_REQUEST),
        Code::DeadlineExceeded => ("deadline_exceeded", StatusCode::GATEWAY_TIMEOUT),
        Code::NotFound => ("not_found", StatusCode::NOT_FOUND),
        Code::AlreadyExists => ("already_exists", StatusCode::CONFLICT),
        Code::PermissionDenied => ("permission_denied", StatusCode::FORBIDDEN),
        Code::ResourceExhausted => ("resource_exhausted", StatusCode::TOO_MANY_REQUESTS),
        Code::FailedPrecondition => ("failed_precondition", StatusCode::BAD_REQUEST),
        Code::Aborted => ("aborted", StatusCode::CONFLICT),
        Code::OutOfRange => ("out_of_range", StatusCode::BAD_REQUEST),
        Code::Unimplemented => ("unimplemented", StatusCode::NOT_FOUND),
        Code::Internal => ("internal", StatusCode::INTERNAL_SERVER_ERROR),
        Code::Unavailable => ("unavailable", StatusCode::SERVICE_UNAVAILABLE),
        Code::DataLoss => ("data_loss", StatusCode::INTERNAL_SERVER_ERROR),
        Code::Unauthenticated => ("unauthenticated", StatusCode::UNAUTHORIZED),
    }
}
