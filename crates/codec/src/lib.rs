//! Row and key bytes: the contract between languages. docs/row-format.md describes every byte, and
//! `testdata/vectors` holds rows and keys that every implementation must read and write alike.
//!
//! Nothing here panics on bytes from outside: what no encoder wrote is an [`Error`]. Reading one
//! feature touches that feature's bytes only. No I/O, and no knowledge of stores.

mod encode;
mod error;
#[doc(hidden)]
pub mod fuzzing;
mod key;
mod layouts;
mod row;
mod schema;
mod value;

pub use encode::RowEncoder;
pub use error::Error;
pub use key::{KeyShape, KeyValueRef, PARTITION_BYTES_MAX, RowKey};
pub use layouts::{FixedSlot, LayoutReader, Layouts, Projection};
pub use row::{FORMAT_VERSION, HEADER_BYTES, Header, ROW_BYTES_MAX, Row, RowReader};
pub use schema::{FIELDS_MAX, Field, Fingerprint, Schema};
pub use value::{EmbeddingRef, ListRef, ValueRef};

#[cfg(test)]
mod tests;
