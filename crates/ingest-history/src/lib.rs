//! Every row of the streams into their history, once: files and progress in one commit.
//!
//! A [`Sink`] is given the messages of the partitions that are assigned to it, in their order. It keeps the
//! rows of each view until they are many or old, writes them as files, and commits the files together with
//! how far each partition has been read (`trivium_lake_log`). Nobody else keeps its progress: what is
//! assigned to it is read from where the views' logs stand. So
//!
//! - **every row is there once**: rows that were read and not committed are read again, by whoever has the
//!   partition then; what is committed is not;
//! - **a sink that lost a partition without hearing of it** has its commit refused, and is told to go on from
//!   where the log stands.
//!
//! A view that is new to a topic begins with the oldest message that the broker has.
//!
//! Names no broker. All calls wait for files: a sink has a thread of its own.

mod definitions;
mod sink;
mod view;

pub use definitions::Definitions;
pub use sink::{Committed, Seek, Sink, SinkOptions, SinkParts};

#[cfg(test)]
mod tests;
