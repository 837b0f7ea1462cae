//! What every HTTP and gRPC surface of Trivium shares: one error shape, strict request bodies,
//! request ids and metrics, health, admission of bodies, and a server that drains before it stops.
//!
//! This crate knows no view, no store and no registry.

pub mod admission;
pub mod auth;
pub mod body;
pub mod connect;
pub mod deadline;
pub mod docs;
pub mod error;
mod follow;
mod gathered;
pub mod grpc;
pub mod http;
pub mod ops;
pub mod serve;
pub mod suggest;

#[cfg(test)]
mod tests;

pub use auth::{ApiKeys, Caller};
pub use body::{Json, decode_json, read_body};
pub use error::ApiError;
pub use http::finish;
pub use ops::{Readiness, ops_router};
pub use serve::{ServeOptions, serve};
pub use suggest::nearest;
