//! The embedding index in OpenSearch, by its k-NN plugin.
//!
//! # Layout
//! One index a feature and view version, `trivium-<namespace>.<view>.<version>.<feature>-000001`, spoken to
//! by an alias without the number. Every write demands the alias: OpenSearch makes an index, with guessed
//! types, for a write that names none.
//!
//! | field | type | what |
//! | --- | --- | --- |
//! | `vector` | `knn_vector` | the embedding, of unit length under cosine; left out of `_source` |
//! | `bits` | `binary` | the embedding as it was put: little-endian float32, base64 |
//! | `key` | `keyword` | the row key's partition; the rest of the key is the index's view |
//! | `rev`, `event_time`, `written` | `long` | see [`Document`](trivium_store::embedding::Document) |
//! | `subject` | `keyword` | left out where there is none |
//! | `meta.<feature>` | `boolean`, `long`, `double`, `keyword` | what searches filter by |
//!
//! A document's id is `<partition>#<rev>`, or `~<sha-256 of the partition>#<rev>` where that would be
//! longer than OpenSearch takes. `_reindex` loses `vector`, which `_source` lacks: copy through the port.
//!
//! # The atomic step
//! Each put is a `create` of its id, decided by the shard that owns it. What was there already is read
//! back, and is the same document (`Stored`) or another one (`Taken`).
//!
//! # What a crash leaves
//! Every acknowledged document is in the shard's translog. A bulk may be stored in part: each of its
//! documents has its own result, and one whose result is unknown may be put again.
//!
//! Nothing is sent twice from here, and nothing is retried: every call may be repeated by its caller.

mod client;
mod document;
mod error;
mod failure;
mod index;
mod mapping;
mod moved;
mod names;
mod options;
mod query;
mod traced;

pub use error::Error;
pub use index::OpenSearchIndex;
pub use opensearch::auth::Credentials;
pub use options::{Engine, MovingTo, Options};

#[cfg(test)]
mod tests;
