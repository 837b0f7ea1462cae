//! Limits of the history surfaces.

/// Joins that run at once in a process.
pub const JOINS_MAX: usize = 4;
/// Rows of an entity frame in JSON. Larger frames go by gRPC or `trivium history`.
pub const JSON_ROWS_MAX: usize = 10_000;
/// Values (rows × features) of an answer in JSON: some tens of megabytes.
pub const JSON_VALUES_MAX: usize = 1_000_000;
/// The largest JSON request, in bytes.
pub const JSON_BODY_BYTES_MAX: usize = 8 << 20;
/// The largest gRPC request, in bytes: a frame of some million rows.
pub const GRPC_MESSAGE_BYTES_MAX: usize = 64 << 20;
/// The most that a frame may take once decompressed, in bytes: IPC batches may be compressed.
pub const FRAME_BYTES_MAX: usize = 512 << 20;
/// Bytes of one message of the answer's stream: well below what gRPC clients take by default.
pub const PIECE_BYTES: usize = 1 << 20;
/// Pieces that wait for a slow reader; the join waits with them.
pub const PIECES_AHEAD: usize = 4;
