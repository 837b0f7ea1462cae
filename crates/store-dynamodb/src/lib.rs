//! The online store in one DynamoDB table.
//!
//! # Layout
//! A row is one item: partition key `pk` = `namespace#entity-type#entity-id`, sort key `sk` =
//! `view#version` ([`RowKey`](trivium_codec::RowKey)), so that one entity's views are neighbours.
//!
//! | attribute | type | what |
//! | --- | --- | --- |
//! | `row_bytes` | B | the row as its producer encoded it. **The stamp in its header is not the row's**: the attributes below are, and are patched in on the way out. Only so can one update number the row |
//! | `rev` | N | grows with every applied write; stands in barrier-only items too |
//! | `event_time`, `seq` | N | the row's order. An item with `event_time` has a row (or tombstone) |
//! | `write_id` | B | 16 bytes, little-endian; left out where it is zero |
//! | `dead` | BOOL | there, and true: a tombstone |
//! | `barrier_epoch`, `barrier_deadline`, `barrier_raised` | N | see [`item::Stored::barrier`]; the deadline counts only in the epoch `barrier_raised` |
//! | `subject` | S | whose data; partition key of the index `subject` (keys only) |
//! | `erasures` | N | how many times the subject had been erased when the row was put; left out where never |
//! | `expires_at` | N | seconds since 1970: DynamoDB's TTL. Write time + ttl + grace, never event time |
//!
//! Beside the rows, under partition keys that no row has (a row's has two `#` and starts with a name):
//! `#subject/` and a subject / `t/`, the subject's tombstone (see `people`);
//! `#cache` / `epoch`, the cache's epoch record; `#checkpoint` / name, a checkpoint, whose parts, where
//! it is too large for one item, are `#checkpoint-part` / generation and number; `#migration`, what a
//! migration keeps.
//!
//! # The atomic step
//! One conditional `UpdateItem`, which says what [`decide`](trivium_store::decide()) says as far as a
//! condition can: in the common case one round trip. Where it is refused, DynamoDB hands over the item
//! that refused it, and `decide` itself says whether that is the answer or the write has to be put
//! another way. A load into an empty table is a `PutItem` a row, where nothing stands yet (`fresh`): what
//! both leave is the same item. The SDK's retries are off: an attempt is sent again only after a definite refusal.
//!
//! # Two tables
//! A store may know a second table, which rows move to one by one. `moving` decides in which of the two an
//! item is, `migrate` moves them, `marks` says what stands in items meanwhile. Every write carries the
//! conditions of `step::when_here`: an item that has moved is written by nobody here.
//!
//! A put that names a subject is a transaction of that update with a look at the subject's tombstone, pinned
//! to the row and the tombstone as they were read just before (`guarded`): two trips, and twice the units. In a store
//! of two tables the two are brought into one of them first (`beside`).
//!
//! # What a crash leaves
//! Every item is whole. A checkpoint's parts that no head names cost space and nothing else.
//!
//! # What is not filtered
//! DynamoDB deletes an expired item hours late. Until then it is read, and refuses writes, as if it
//! were not expired: the reader decides what is expired by event time, and a store that hid an item
//! which it still compares writes with would contradict itself.

mod batch_get;
mod beside;
mod checkpoints;
mod client;
mod error;
mod expression;
mod failure;
mod fence;
mod fresh;
mod guarded;
mod guards;
mod item;
mod marks;
mod migrate;
mod moving;
mod options;
mod people;
mod read;
mod step;
mod store;
mod subjects;
mod table;
mod traced;
mod write;

pub use aws_credential_types::{Credentials, provider::SharedCredentialsProvider};
pub use error::Error;
pub use migrate::{Copied, Migrator, Pace, Stage, State, Verified};
pub use options::{MovingTo, Options};
pub use store::DynamoStore;

#[cfg(test)]
mod tests;
