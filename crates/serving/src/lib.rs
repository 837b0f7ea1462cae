//! The serving wrapper: the one door to the online stores, for all three lanes, over REST, gRPC and
//! in process.
//!
//! A request is checked as a whole against one set of [`Definitions`]; then rows are read or written
//! by key, each with its own outcome. This crate names no backend: it works on the store's ports.
//! Answers of reads are written straight from row bytes.

mod answer_grpc;
mod answer_json;
mod answer_wire;
mod bodies;
pub mod definitions;
mod door;
mod embedding;
mod entity;
mod erase;
mod error;
mod json_buffer;
mod json_out;
mod json_text;
pub mod limits;
mod metrics;
mod on_demand;
mod openapi;
mod options;
pub mod plan;
mod read;
mod request;
mod rest;
mod rpc;
mod rpc_batch;
mod rpc_in;
mod serving;
mod stores;
mod traced;
mod write;

#[cfg(test)]
mod tests;

pub use definitions::{DefinitionError, Definitions, EmbeddingFeature, Selection, ViewDefinition};
pub use embedding::{IndexProblem, SweepOptions};
pub use erase::ErasureOptions;
pub use openapi::openapi;
pub use options::Options;
pub use rpc::GrpcHealth;
pub use serving::{DefinitionsHandle, Serving};
pub use stores::Stores;
