//! Serving on the memory store, through its real surfaces: REST by one-shot requests, gRPC by a
//! client in process.

mod deadlines;
mod described;
mod embedding;
mod erasing;
mod failing;
mod fixture;
mod grpc;
mod json;
mod limits_doc;
mod on_demand;
mod random;
mod refusals;
mod refusals_grpc;
mod semantics;
mod told;
mod writes;
