//! The Rust client: everything that Trivium's servers do, over gRPC.
//!
//! [`Client`] takes and gives the messages of `trivium.v1` as they are (re-exported as [`v1`]), with
//! [`wire`] for the step between them and the values of `trivium_model`. It is also a
//! [`trivium_store::WriteDoor`] and a [`trivium_store::Checkpoints`], so that what writes through
//! the door in process writes through a server just the same.
//!
//! It never retries: whether a lost answer may be asked for again is for the caller to say, who
//! knows whether the write had a name.

mod calls;
mod door;
mod error;
mod options;

pub use calls::Client;
pub use error::Error;
pub use options::Options;
pub use trivium_proto::{v1, wire};

#[cfg(test)]
mod tests;
