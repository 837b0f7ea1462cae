//! What encoding and decoding can fail with.

use crate::Fingerprint;

/// An error of the codec.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The list of fields is no schema.
    #[error("these fields make no row schema: {0}")]
    Schema(String),
    /// The number of values is not the number of fields.
    #[error(
        "{given} values were given for {expected} fields; give one for each field, `None` where it is unset"
    )]
    ValueCount {
        /// Values given.
        given: usize,
        /// Fields of the schema.
        expected: usize,
    },
    /// A value does not fit its field.
    #[error("`{field}` is {expected}, but the value is {given}")]
    ValueType {
        /// The field.
        field: String,
        /// Its type.
        expected: String,
        /// What was given.
        given: String,
    },
    /// The encoded row would be larger than [`ROW_BYTES_MAX`](crate::ROW_BYTES_MAX).
    #[error("the row would take {bytes} bytes, more than the limit of {limit}; shorten its strings, bytes or lists", limit = crate::ROW_BYTES_MAX)]
    RowTooLarge {
        /// What it would take.
        bytes: usize,
    },
    /// No field has this number.
    #[error("the schema has {fields} fields, none with index {index}")]
    NoSuchField {
        /// What was asked for.
        index: usize,
        /// How many there are.
        fields: usize,
    },
    /// The row was written under another schema: read it through [`Layouts`](crate::Layouts).
    #[error("the row was written under schema {row}, not {schema}")]
    OtherSchema {
        /// The row's.
        row: Fingerprint,
        /// The one it was to be read with.
        schema: Fingerprint,
    },
    /// A tombstone has no values.
    #[error("the row is a tombstone and has no values")]
    Deleted,
    /// A newer Trivium wrote the row.
    #[error("row format version {0} is not known here; upgrade this process")]
    FormatVersion(u8),
    /// The bytes are not what an encoder wrote.
    #[error("the row's bytes are corrupt: {0}")]
    Corrupt(&'static str),
    /// No value of the old type can always stand for the new one.
    #[error("`{field}` was written as {written} and cannot be read as {current}")]
    NotWidened {
        /// The field.
        field: String,
        /// Type of the row's schema.
        written: String,
        /// Type of the current schema.
        current: String,
    },
    /// The number of join key values is not the entity's.
    #[error("{given} join key values were given, but the entity has {expected}: {names}")]
    KeyCount {
        /// Values given.
        given: usize,
        /// Join keys of the entity.
        expected: usize,
        /// Their names.
        names: String,
    },
    /// A join key value has the wrong type.
    #[error("join key `{key}` is {expected}, but the value is {given}")]
    KeyType {
        /// The join key.
        key: String,
        /// Its type.
        expected: &'static str,
        /// Type of the value given.
        given: &'static str,
    },
    /// The escaped entity is longer than [`PARTITION_BYTES_MAX`](crate::PARTITION_BYTES_MAX).
    #[error("the entity key takes {bytes} bytes, more than the limit of {limit}; use shorter join key values", limit = crate::PARTITION_BYTES_MAX)]
    KeyTooLong {
        /// What it takes.
        bytes: usize,
    },
    /// The bytes are no row key.
    #[error("these bytes are no row key: {0}")]
    KeyMalformed(&'static str),
}
