//! What a call can fail with.

use std::time::Duration;

use prost::Message;
use tonic::{Code, Status};
use trivium_model::ViewRef;
use trivium_proto::v1::ErrorDetail;
use trivium_runtime::Kind;
use trivium_store::DoorError;

/// A call's error.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// The address is none.
    #[error("`{address}` is no server address: {why}; write it as `http://127.0.0.1:7401`")]
    Address {
        /// What was given.
        address: String,
        /// What is wrong with it.
        why: String,
    },
    /// Nobody answers there.
    #[error(
        "no server answers at {address}: {why}; start one with `trivium dev`, or check the address"
    )]
    Connect {
        /// Where.
        address: String,
        /// What the network said.
        why: String,
    },
    /// The API key is none.
    #[error("the API key holds characters that cannot be sent: give it as it was printed")]
    ApiKey,
    /// The server said no.
    #[error("{}{message}{}", prefix(field), suffix(help))]
    Refused {
        /// What kind of error: decides exit codes and whether to retry.
        kind: Kind,
        /// What is wrong.
        message: String,
        /// Where, as a path into the request; may be empty.
        field: String,
        /// What to do; may be empty.
        help: String,
        /// How long the server wants the call to stay away, where it says so: it sheds.
        pause: Option<Duration>,
    },
    /// The connection broke, or no answer came in time: what the server did is not known.
    #[error("the call's outcome is unknown: {0}")]
    Unknown(String),
}

/// Where a server that sheds says how long to stay away, in milliseconds (gRPC's A6, retries).
const PUSHBACK: &str = "grpc-retry-pushback-ms";

/// A number below zero asks never to come again, and what is none means the same. That is for calls that
/// may be given up; what has to be sent in the end goes by pauses of its own then.
fn pushback(status: &Status) -> Option<Duration> {
    let millis = status.metadata().get(PUSHBACK)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_millis(millis))
}

fn prefix(field: &str) -> String {
    if field.is_empty() { String::new() } else { format!("{field}: ") }
}

fn suffix(help: &str) -> String {
    if help.is_empty() { String::new() } else { format!("; {help}") }
}

impl Error {
    /// The row of the table of kinds that this error belongs to.
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Address { .. } | Self::ApiKey => Kind::InvalidArgument,
            Self::Connect { .. } => Kind::Unavailable,
            Self::Refused { kind, .. } => *kind,
            Self::Unknown(_) => Kind::DeadlineExceeded,
        }
    }

    /// Whether the same call may succeed later. A write whose outcome is unknown should only be
    /// sent again under the same idempotency key or condition.
    pub const fn is_retryable(&self) -> bool {
        matches!(self.kind(), Kind::Unavailable | Kind::ResourceExhausted | Kind::DeadlineExceeded)
    }

    pub(crate) fn from_detail(detail: ErrorDetail) -> Self {
        // Codes of a newer server are told as they are.
        match Kind::from_code(&detail.code) {
            Some(kind) => Self::Refused {
                kind,
                message: detail.message,
                field: detail.field,
                help: detail.help,
                pause: None,
            },
            None => Self::Refused {
                kind: Kind::Internal,
                message: format!("{}: {}", detail.code, detail.message),
                field: detail.field,
                help: detail.help,
                pause: None,
            },
        }
    }

    /// From a status: our details where the server sent them, else what gRPC itself says.
    pub(crate) fn from_status(status: &Status) -> Self {
        if !status.details().is_empty()
            && let Ok(detail) = ErrorDetail::decode(status.details())
            && !detail.code.is_empty()
        {
            let mut error = Self::from_detail(detail);
            if let Self::Refused { pause, .. } = &mut error {
                *pause = pushback(status);
            }
            return error;
        }
        let message = status.message().to_owned();
        let kind = match status.code() {
            // The transport's own words: the request may have been carried out. `ResourceExhausted` is
            // what it makes of a server that closes the connection with ENHANCE_YOUR_CALM, as one does
            // that stalled and then finds many calls given up; a server's own refusals have details.
            Code::Unavailable
            | Code::ResourceExhausted
            | Code::Unknown
            | Code::Cancelled
            | Code::DeadlineExceeded
            | Code::Internal => return Self::Unknown(format!("{message} ({})", status.code())),
            Code::OutOfRange => Kind::TooLarge,
            code => Kind::ALL
                .into_iter()
                .find(|kind| kind.grpc() == code as i32)
                .unwrap_or(Kind::Internal),
        };
        let (field, help) = (String::new(), String::new());
        // Only what sheds asks to stay away, and has details.
        Self::Refused { kind, message, field, help, pause: None }
    }

    /// What the door's callers are told.
    pub(crate) fn into_door(self, view: &ViewRef) -> DoorError {
        use trivium_store::Error as Store;
        let told = self.to_string();
        match self {
            Self::Unknown(_) => DoorError::Store(Store::Unknown(told)),
            Self::Connect { .. } => DoorError::Store(Store::Unavailable(told)),
            Self::Address { .. } | Self::ApiKey => DoorError::Store(Store::Invalid(told)),
            Self::Refused { kind, message, field, help, pause } => match kind {
                Kind::NotFound if field == "view" => DoorError::UnknownView(view.clone()),
                Kind::ResourceExhausted => match pause {
                    Some(pause) => DoorError::Shed { message: told, pause },
                    None => DoorError::Store(Store::Throttled(told)),
                },
                Kind::Unavailable => DoorError::Store(Store::Unavailable(told)),
                // A fault of the server's says nothing of what came before it.
                Kind::DeadlineExceeded | Kind::Internal => DoorError::Store(Store::Unknown(told)),
                Kind::DataLoss => DoorError::Store(Store::Corrupt(told)),
                Kind::InvalidArgument
                | Kind::NotFound
                | Kind::Conflict
                | Kind::FailedPrecondition
                | Kind::Unauthenticated
                | Kind::PermissionDenied
                | Kind::TooLarge
                | Kind::Unimplemented
                | Kind::QualityFailed => DoorError::Invalid { message, field, help },
            },
        }
    }

    /// What the callers of checkpoints are told.
    pub(crate) fn into_store(self) -> trivium_store::Error {
        use trivium_store::Error as Store;
        let told = self.to_string();
        match self.kind() {
            Kind::ResourceExhausted => Store::Throttled(told),
            Kind::Unavailable => Store::Unavailable(told),
            Kind::DeadlineExceeded | Kind::Internal => Store::Unknown(told),
            Kind::DataLoss => Store::Corrupt(told),
            _ => Store::Invalid(told),
        }
    }
}
