//! The one table from kind of error to gRPC code, HTTP status and exit code. docs/errors.md is
//! printed from it.

/// What went wrong, as far as the caller would act differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The request can never work as it is: change it.
    InvalidArgument,
    /// What it names does not exist.
    NotFound,
    /// Somebody else came first: read again, decide again.
    Conflict,
    /// It is not allowed in the present state (a change that demands a new version, say).
    FailedPrecondition,
    /// The caller is not known.
    Unauthenticated,
    /// The caller may not do this.
    PermissionDenied,
    /// Too much at once: retry later.
    ResourceExhausted,
    /// Larger than a limit: split it.
    TooLarge,
    /// This build or profile does not do it.
    Unimplemented,
    /// Something it depends on is away: retry.
    Unavailable,
    /// No answer in time; whether a write was applied is unknown.
    DeadlineExceeded,
    /// A quality check failed: nothing was published.
    QualityFailed,
    /// Stored data is not what was written.
    DataLoss,
    /// A fault of Trivium's.
    Internal,
}

impl Kind {
    /// All kinds, in the order of the documentation.
    pub const ALL: [Self; 14] = [
        Self::InvalidArgument,
        Self::NotFound,
        Self::Conflict,
        Self::FailedPrecondition,
        Self::Unauthenticated,
        Self::PermissionDenied,
        Self::ResourceExhausted,
        Self::TooLarge,
        Self::Unimplemented,
        Self::Unavailable,
        Self::DeadlineExceeded,
        Self::QualityFailed,
        Self::DataLoss,
        Self::Internal,
    ];

    /// The row of the table: code, gRPC code, HTTP status, exit code.
    const fn row(self) -> (&'static str, i32, u16, u8) {
        match self {
            Self::InvalidArgument => ("INVALID_ARGUMENT", 3, 400, 2),
            Self::NotFound => ("NOT_FOUND", 5, 404, 3),
            Self::Conflict => ("CONFLICT", 10, 409, 4),
            Self::FailedPrecondition => ("FAILED_PRECONDITION", 9, 422, 5),
            Self::Unauthenticated => ("UNAUTHENTICATED", 16, 401, 6),
            Self::PermissionDenied => ("PERMISSION_DENIED", 7, 403, 6),
            Self::ResourceExhausted => ("RESOURCE_EXHAUSTED", 8, 429, 7),
            Self::TooLarge => ("TOO_LARGE", 3, 413, 2),
            Self::Unimplemented => ("UNIMPLEMENTED", 12, 501, 8),
            Self::Unavailable => ("UNAVAILABLE", 14, 503, 7),
            Self::DeadlineExceeded => ("DEADLINE_EXCEEDED", 4, 504, 7),
            Self::QualityFailed => ("QUALITY_FAILED", 9, 422, 9),
            Self::DataLoss => ("DATA_LOSS", 15, 500, 10),
            Self::Internal => ("INTERNAL", 13, 500, 1),
        }
    }

    /// The code in bodies and logs: `INVALID_ARGUMENT`.
    pub const fn code(self) -> &'static str {
        self.row().0
    }
    /// The gRPC status code's number.
    pub const fn grpc(self) -> i32 {
        self.row().1
    }
    /// The HTTP status.
    pub const fn http(self) -> u16 {
        self.row().2
    }
    /// The exit code of the command line.
    pub const fn exit(self) -> u8 {
        self.row().3
    }
    /// What a caller does about it, in one sentence.
    pub const fn advice(self) -> &'static str {
        match self {
            Self::InvalidArgument => "Change the request or the config: as it is, it never works.",
            Self::NotFound => "Check the name; what it names does not exist here.",
            Self::Conflict => "Somebody else came first: read again, decide again.",
            Self::FailedPrecondition => {
                "Not allowed in the present state: make a new version, or do first what the message names."
            }
            Self::Unauthenticated => "Say who you are.",
            Self::PermissionDenied => "Ask the owner for the right.",
            Self::ResourceExhausted => "Retry later, with jitter.",
            Self::TooLarge => "Split the request: the message names the limit.",
            Self::Unimplemented => {
                "This build or profile does not do it; the message says what does."
            }
            Self::Unavailable => "Retry, with jitter; nothing was changed.",
            Self::DeadlineExceeded => {
                "Retry under the same idempotency key: whether a write was applied is unknown."
            }
            Self::QualityFailed => "Look at the failing check: nothing was published.",
            Self::DataLoss => {
                "Stored bytes are not what was written: restore, or write them again."
            }
            Self::Internal => "A fault of Trivium: report it with the request id.",
        }
    }
    /// The kind with this code.
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.code() == code)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::Kind;

    /// The page that users read.
    fn page() -> String {
        let mut page = String::from(
            "# Errors\n\nEvery error of every surface has one shape: `code`, `message` (what is wrong), \
             `field` (where, as a path into the request or config) and `help` (what to do). REST sends it \
             as the body, gRPC as `trivium.v1.ErrorDetail` in the status details, the command line as text \
             on standard error. This table is printed from `crates/runtime/src/kind.rs`.\n\n\
             | code | gRPC | HTTP | exit | what to do |\n| --- | --- | --- | --- | --- |\n",
        );
        for kind in Kind::ALL {
            page.push_str(&format!(
                "| `{}` | {} | {} | {} | {} |\n",
                kind.code(),
                kind.grpc(),
                kind.http(),
                kind.exit(),
                kind.advice()
            ));
        }
        page.push_str(
            "\nWhere HTTP has a status of its own for a request that never works, it is sent beside \
             `INVALID_ARGUMENT`: 405 (method), 408 (the body did not arrive in time), 415 (content type).\n\n\
             Exit code 0 is success. gRPC numbers are those of `google.rpc.Code`. A retry is safe for 7 \
             (exit), 429, 503 and 504 where the write names an idempotency key.\n",
        );
        page
    }

    #[test]
    fn errors_page_is_up_to_date() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/errors.md");
        if std::env::var_os("UPDATE_EXPECT").is_some() {
            std::fs::write(path, page()).unwrap();
        }
        assert_eq!(std::fs::read_to_string(path).unwrap(), page(), "run with UPDATE_EXPECT=1");
    }

    #[test]
    fn codes_are_distinct_and_read_back() {
        let codes: BTreeSet<&str> = Kind::ALL.iter().map(|kind| kind.code()).collect();
        assert_eq!(codes.len(), Kind::ALL.len());
        for kind in Kind::ALL {
            assert_eq!(Kind::from_code(kind.code()), Some(kind));
        }
        assert_eq!(Kind::from_code("OK"), None);
    }

    /// Only faults of ours are 5xx that a caller cannot do anything about.
    #[test]
    fn a_callers_mistake_is_never_a_5xx() {
        for kind in [
            Kind::InvalidArgument,
            Kind::NotFound,
            Kind::Conflict,
            Kind::FailedPrecondition,
            Kind::TooLarge,
            Kind::QualityFailed,
        ] {
            assert!((400..500).contains(&kind.http()), "{kind:?}");
            assert_ne!(kind.exit(), 0, "{kind:?}");
        }
    }
}
