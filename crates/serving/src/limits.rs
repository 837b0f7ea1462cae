//! Limits, each answered with a clear 4xx. `docs/limits.md` is printed from [`ALL`].

/// Entities of one read.
pub const ENTITIES_MAX: usize = 1_000;
/// Features of one read, views and services spelled out.
pub const FEATURES_MAX: usize = 1_000;
/// Entities × features of one read.
pub const VALUES_MAX: usize = 250_000;
/// Bytes of one answer: many long strings stay below the other limits.
pub const RESPONSE_BYTES_MAX: usize = 64 << 20;
/// Rows of one put or delete that names features.
pub const WRITE_ROWS_MAX: usize = 1_000;
/// Rows of one request of encoded rows, which pipelines write.
pub const ENCODED_ROWS_MAX: usize = 10_000;
/// Bytes of one string, bytes, list or embedding.
pub const VALUE_BYTES_MAX: usize = trivium_store::door::VALUE_BYTES_MAX;
/// Bytes of one row.
pub const ROW_BYTES_MAX: usize = trivium_store::door::ROW_BYTES_MAX;
/// Bytes of the body of a read over REST.
pub const READ_BODY_BYTES_MAX: usize = 4 << 20;
/// Bytes of the body of a put or delete over REST.
pub const WRITE_BODY_BYTES_MAX: usize = 16 << 20;
/// Bytes of a gRPC message from a client.
pub const GRPC_MESSAGE_BYTES_MAX: usize = 32 << 20;
/// Bytes of an idempotency key.
pub const IDEMPOTENCY_KEY_BYTES_MAX: usize = 64;
/// Bytes of a checkpoint's name.
pub const CHECKPOINT_NAME_BYTES_MAX: usize = 512;
/// Bytes of a checkpoint.
pub const CHECKPOINT_BYTES_MAX: usize = 4 << 20;
/// Microseconds that an event time may lie after the data clock: clocks differ, and a day's
/// aggregate carries the end of the day; what lies further would hide every later write.
pub const FUTURE_MICROS_MAX: i64 = 86_400_000_000;
/// Bytes of the bodies of all requests under way in one process, where no config says otherwise.
pub const BODY_BYTES_UNDER_WAY_MAX: u64 = trivium_api::admission::BODY_BYTES_UNDER_WAY_MAX;
/// Requests under way in one process; more are refused at once with `RESOURCE_EXHAUSTED`.
pub const REQUESTS_UNDER_WAY_MAX: usize = 4_096;
/// Tries of one read-modify-write before the row counts as too busy.
pub const MERGE_ATTEMPTS_MAX: u32 = 64;
/// Read plans kept for each set of definitions.
pub const PLANS_MAX: usize = 1_024;

/// Every limit that a caller can meet: what, how much, how it is answered.
pub const ALL: &[(&str, usize, &str)] = &[
    ("entities of one read", ENTITIES_MAX, "INVALID_ARGUMENT"),
    ("features of one read, views and services spelled out", FEATURES_MAX, "INVALID_ARGUMENT"),
    ("entities × features of one read", VALUES_MAX, "INVALID_ARGUMENT"),
    ("bytes of one answer", RESPONSE_BYTES_MAX, "TOO_LARGE"),
    ("rows of one put or delete", WRITE_ROWS_MAX, "INVALID_ARGUMENT"),
    ("rows of one request of encoded rows (gRPC)", ENCODED_ROWS_MAX, "INVALID_ARGUMENT"),
    ("hits of one search", trivium_store::embedding::K_MAX, "INVALID_ARGUMENT"),
    (
        "conditions in the filter of a search",
        trivium_store::embedding::FILTER_TERMS_MAX,
        "INVALID_ARGUMENT",
    ),
    (
        "levels of the filter of a search",
        trivium_store::embedding::FILTER_DEPTH_MAX,
        "INVALID_ARGUMENT",
    ),
    (
        "bytes of a text that searches filter by; a longer one passes no filter",
        trivium_store::embedding::METADATA_TEXT_BYTES_MAX,
        "INVALID_ARGUMENT",
    ),
    ("bytes of one value", VALUE_BYTES_MAX, "INVALID_ARGUMENT"),
    ("bytes of one row", ROW_BYTES_MAX, "INVALID_ARGUMENT"),
    ("bytes of an entity's key, escaped", trivium_codec::PARTITION_BYTES_MAX, "INVALID_ARGUMENT"),
    ("bytes of the body of a read (REST)", READ_BODY_BYTES_MAX, "TOO_LARGE"),
    ("bytes of the body of a put or delete (REST)", WRITE_BODY_BYTES_MAX, "TOO_LARGE"),
    ("bytes of a message (gRPC)", GRPC_MESSAGE_BYTES_MAX, "TOO_LARGE"),
    ("bytes of an idempotency key", IDEMPOTENCY_KEY_BYTES_MAX, "INVALID_ARGUMENT"),
    ("bytes of a checkpoint's name (gRPC)", CHECKPOINT_NAME_BYTES_MAX, "INVALID_ARGUMENT"),
    ("bytes of a checkpoint (gRPC)", CHECKPOINT_BYTES_MAX, "INVALID_ARGUMENT"),
    (
        "microseconds of an event time after the data clock",
        FUTURE_MICROS_MAX as usize,
        "INVALID_ARGUMENT",
    ),
    ("requests under way in one process", REQUESTS_UNDER_WAY_MAX, "RESOURCE_EXHAUSTED"),
    (
        "bytes of the bodies of all requests under way in one process",
        BODY_BYTES_UNDER_WAY_MAX as usize,
        "RESOURCE_EXHAUSTED",
    ),
    (
        "tries of a put that merges with the row as it stands",
        MERGE_ATTEMPTS_MAX as usize,
        "RESOURCE_EXHAUSTED",
    ),
];
