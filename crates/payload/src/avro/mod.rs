//! Documents in Avro, behind the id of the schema that they were written under.
//!
//! The reader is our own. A message comes from outside, and of the crates that read Avro none refuses
//! what is cut short, bounds what nested arrays of nothing take, and keeps the names that Kafka Connect
//! gives to types; `apache-avro` is what the tests write with. Nothing is copied on the way: the bytes
//! are walked once, and of what columns are made of the place is kept.

mod datum;
mod schema;
mod schemas;
mod value;

pub use schemas::AvroSchemas;
#[cfg(test)]
pub(crate) use schemas::{SCHEMA_BYTES_MAX, SCHEMAS_MAX};

pub(crate) use datum::{Datum, read};
pub(crate) use schemas::Known;
