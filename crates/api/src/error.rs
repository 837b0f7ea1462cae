//! The one shape of errors: `code`, `message`, `field`, `help`, over REST and gRPC.

use std::fmt;

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use prost::Message;
use serde::{Deserialize, Serialize};
use trivium_proto::v1::ErrorDetail;
use trivium_runtime::Kind;

/// When to come again after too much at once: what is under way is answered within moments. gRPC
/// clients with a retry policy obey the pushback; HTTP has whole seconds.
pub(crate) const RETRY_AFTER_SECONDS: &str = "1";
const RETRY_AFTER_MS: &str = "1000";

/// An error as a caller sees it. The kind decides HTTP status, gRPC code and exit code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiError {
    /// What kind, by the one table.
    pub kind: Kind,
    /// What is wrong, naming the value that is.
    pub message: String,
    /// Where, as a path into the request: `rows[3].values.flights`. Empty where there is none.
    pub field: String,
    /// What to do. Empty where there is nothing to say.
    pub help: String,
    /// An HTTP status more specific than the kind's (405, 415).
    status: Option<u16>,
}

/// The error's JSON.
#[derive(Debug, Serialize, Deserialize)]
pub struct ErrorBody {
    /// See [`Kind::code`].
    pub code: String,
    /// See [`ApiError::message`].
    pub message: String,
    /// See [`ApiError::field`].
    pub field: String,
    /// See [`ApiError::help`].
    pub help: String,
}

impl ApiError {
    /// An error of any kind.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            field: String::new(),
            help: String::new(),
            status: None,
        }
    }
    /// The request can never work as it is.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(Kind::InvalidArgument, message)
    }
    /// What it names does not exist.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(Kind::NotFound, message)
    }
    /// Larger than a limit.
    pub fn too_large(message: impl Into<String>) -> Self {
        Self::new(Kind::TooLarge, message)
    }
    /// A fault of ours. The message must not tell what only logs may say.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(Kind::Internal, message)
    }
    /// Says where.
    pub fn at(mut self, field: impl Into<String>) -> Self {
        self.field = field.into();
        self
    }
    /// Says what to do.
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = help.into();
        self
    }
    /// Answers with this HTTP status instead of the kind's.
    pub fn with_http_status(mut self, status: StatusCode) -> Self {
        self.status = Some(status.as_u16());
        self
    }
    /// The HTTP status.
    pub fn http_status(&self) -> StatusCode {
        StatusCode::from_u16(self.status.unwrap_or_else(|| self.kind.http()))
            .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }
    /// The error's JSON, as a struct.
    pub fn body(&self) -> ErrorBody {
        ErrorBody {
            code: self.kind.code().to_owned(),
            message: self.message.clone(),
            field: self.field.clone(),
            help: self.help.clone(),
        }
    }
    /// From an HTTP answer that is not a success: our shape if it is, else a plain wording of it.
    pub fn from_http(status: u16, body: &[u8]) -> Self {
        if let Ok(body) = serde_json::from_slice::<ErrorBody>(body)
            && let Some(kind) = Kind::from_code(&body.code)
        {
            return Self {
                kind,
                message: body.message,
                field: body.field,
                help: body.help,
                status: (kind.http() != status).then_some(status),
            };
        }
        let kind = Kind::ALL
            .into_iter()
            .find(|kind| kind.http() == status)
            .unwrap_or(if status >= 500 { Kind::Internal } else { Kind::InvalidArgument });
        Self::new(kind, format!("the server answered with HTTP status {status}"))
    }
    /// The error as the protobuf that gRPC carries in its status details.
    pub fn detail(&self) -> ErrorDetail {
        ErrorDetail {
            code: self.kind.code().to_owned(),
            message: self.message.clone(),
            field: self.field.clone(),
            help: self.help.clone(),
        }
    }
    /// From that protobuf; an unknown code becomes `INTERNAL`.
    pub fn from_detail(detail: ErrorDetail) -> Self {
        Self {
            kind: Kind::from_code(&detail.code).unwrap_or(Kind::Internal),
            message: detail.message,
            field: detail.field,
            help: detail.help,
            status: None,
        }
    }
    /// From a gRPC status: its details if they are ours, else its code and message.
    pub fn from_status(status: &tonic::Status) -> Self {
        if let Ok(detail) = ErrorDetail::decode(status.details())
            && Kind::from_code(&detail.code).is_some()
        {
            return Self::from_detail(detail);
        }
        let code = status.code() as i32;
        // What the transport itself says, which is not in the table.
        let kind = match status.code() {
            tonic::Code::Unknown => Kind::Unavailable,
            tonic::Code::Cancelled => Kind::DeadlineExceeded,
            tonic::Code::OutOfRange => Kind::TooLarge,
            tonic::Code::Aborted => Kind::Conflict,
            _ => Kind::ALL.into_iter().find(|kind| kind.grpc() == code).unwrap_or(Kind::Internal),
        };
        Self::new(kind, status.message())
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.field.is_empty() {
            write!(f, "{}: ", self.field)?;
        }
        f.write_str(&self.message)?;
        if !self.help.is_empty() {
            write!(f, "; {}", self.help)?;
        }
        Ok(())
    }
}
impl std::error::Error for ApiError {}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let status = self.http_status();
        if status.is_server_error() {
            tracing::error!(code = self.kind.code(), field = self.field, "{}", self.message);
        }
        // Four strings always serialise.
        let body = serde_json::to_vec(&self.body()).unwrap_or_default();
        let mut response = (status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if self.kind == Kind::ResourceExhausted {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER_SECONDS));
        }
        if self.kind == Kind::Unauthenticated {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

impl From<ApiError> for tonic::Status {
    fn from(error: ApiError) -> Self {
        let details = error.detail().encode_to_vec();
        let mut metadata = tonic::metadata::MetadataMap::new();
        if error.kind == Kind::ResourceExhausted {
            let pause = tonic::metadata::MetadataValue::from_static(RETRY_AFTER_MS);
            metadata.insert("grpc-retry-pushback-ms", pause);
        }
        Self::with_details_and_metadata(
            tonic::Code::from_i32(error.kind.grpc()),
            error.message,
            bytes::Bytes::from(details),
            metadata,
        )
    }
}
