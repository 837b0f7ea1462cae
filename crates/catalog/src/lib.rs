//! What catalogues are told of feature views and their published partitions.
//!
//! * [`amundsen`]: nodes and relations for Amundsen's databuilder.
//! * [`openlineage`]: events of the runs that published partitions.
//!
//! Pure: documents are made from a view and the record of a partition; whoever calls writes and sends
//! them. Knows no clock: the same record gives the same documents, byte for byte.

pub mod amundsen;
pub mod openlineage;
