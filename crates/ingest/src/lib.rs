//! From streams' messages to rows behind the write door.
//!
//! A partition's messages are taken in their order by one [`Lane`], a batch at a time: read
//! ([`routes`]), of each entity the newest kept, written, and only then is the partition's progress
//! moved. What cannot become a row goes to the dead letters first. So, whatever dies:
//!
//! - **nothing is lost**: progress stands behind what is durable or dead-lettered;
//! - **nothing counts twice**: a row that is written again has the same event time and sequence, which
//!   is its message's position, and the store keeps what it has;
//! - **order holds**: of an entity the newest wins in the store, also against a worker that wakes up
//!   after its partitions moved on.
//!
//! Names no broker: what brings messages and takes dead letters stands behind [`port`].

mod batch;
pub mod events;
mod flood;
mod lane;
pub mod port;
mod replay;
pub mod routes;
mod rows;
mod schemas;
mod tended;
mod write;

pub use flood::{Flood, FloodOptions};
pub use lane::{Lane, LaneOptions, LaneReport, Parts, Stopped};
pub use replay::{Replayed, replay};
pub use rows::{StreamRow, StreamRows, read_rows};
pub use schemas::Schemas;
pub use tended::{Lag, LaneHealth, Partitions, Tended};
pub use trivium_payload::{Poison, Reason};

#[cfg(test)]
mod tests;
