//! The store port: rows by key, one atomic step a row.
//!
//! * Batches keep order and length; missing is `None`; every row has its own result.
//! * A read is linearizable with the writes of its row, unless [`ReadOptions`] says otherwise.
//! * A write is one atomic step on one row: [`decide`](crate::decide) says what it does, whatever
//!   the store. There is no atomicity across rows.
//! * A write that was acknowledged survives the death of the process.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use bytes::Bytes;
use trivium_codec::{Row, RowKey};
use trivium_model::Timestamp;

use crate::{Error, Together};

/// How fresh an answer must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Consistency {
    /// Every row as the newest acknowledged write left it.
    #[default]
    Strong,
    /// A row that was the newest at some moment within this time before the read began, or later. A
    /// store that keeps no copies answers as for `Strong`.
    Cached {
        /// The bound.
        max_staleness: Duration,
    },
}

/// How to read.
#[derive(Debug, Clone, Default)]
pub struct ReadOptions {
    /// How fresh the rows must be.
    pub consistency: Consistency,
    /// Rows that are commonly asked for with each other: a cache may keep them so.
    pub together: Option<Arc<Together>>,
    /// Give up then; `None`: the store's own limit.
    pub deadline: Option<Instant>,
}

/// Names one attempt to write, so that a retry of an applied one is told success. Zero: none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct WriteId(pub u128);

/// Which of two rows is newer, and which life of the row this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Stamp {
    /// Grows with every applied write of the row; a first one is seeded from the server's clock.
    pub rev: u64,
    /// When the fact was true.
    pub event_time: Timestamp,
    /// Orders rows of one event time: source position, run or write counter.
    pub sequence: u64,
    /// The write that made the row.
    pub write_id: WriteId,
    /// Whether the row is a tombstone.
    pub deleted: bool,
}

/// Where a write stands in the row's order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// At an event time. Applies where it is newer by (event time, sequence). Without a sequence it
    /// takes the row's own + 1 where the event times are equal, else 0: the later call wins.
    At {
        /// When the fact was true.
        event_time: Timestamp,
        /// Orders rows of that event time.
        sequence: Option<u64>,
    },
    /// At max(`now`, the row's event time + 1 µs): a later acknowledged call always wins.
    Now {
        /// The server's data clock.
        now: Timestamp,
    },
    /// Takes the place of exactly the row with this event time and sequence, whatever the new
    /// row's own: a retraction by a materialization. Anything else there: `Superseded`.
    Replacing {
        /// Event time of the row to replace.
        event_time: Timestamp,
        /// Sequence of the row to replace.
        sequence: u64,
        /// Event time of the new row (or tombstone).
        new_event_time: Timestamp,
        /// Sequence of the new row (or tombstone).
        new_sequence: u64,
    },
}

/// What must hold for a write to be tried at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Condition {
    /// Nothing.
    #[default]
    None,
    /// The live row has this rev; 0: there is no live row.
    Rev(u64),
    /// The row, tombstone or not, has exactly this rev; 0: there is none at all. For
    /// read-modify-write, where a tombstone that came in between must be seen.
    ExactRev(u64),
}

/// What a write leaves.
#[derive(Debug, Clone)]
pub enum WriteOp {
    /// A row as `trivium_codec::RowEncoder` made it. The store sets rev, event time, sequence and
    /// write id in its header in the atomic step.
    Put(Row),
    /// A tombstone, which keeps the order: what is older than the delete stays away.
    Delete,
}

/// One write.
#[derive(Debug, Clone)]
pub struct RowWrite {
    /// Which row.
    pub key: RowKey,
    /// What it becomes.
    pub op: WriteOp,
    /// Where it stands.
    pub order: Order,
    /// What must hold.
    pub condition: Condition,
    /// Which attempt it is.
    pub write_id: WriteId,
    /// How long a reader may see the row, so that the store may forget it well after that (write
    /// time + ttl + a grace above every deadline and cache ttl); `None`: for ever. Only space depends
    /// on it: what is expired is the reader's business. Stores without physical expiry ignore it.
    pub ttl: Option<Duration>,
    /// Whose data the row is, as [`Subjects::keys_of`] will be asked for it. A delete drops it. A put
    /// that has one meets the subject's tombstone in its atomic step: [`admit`](crate::erase::admit).
    pub subject: Option<Arc<str>>,
}

impl RowWrite {
    /// A write without condition, name, ttl or subject.
    pub const fn new(key: RowKey, op: WriteOp, order: Order) -> Self {
        Self {
            key,
            op,
            order,
            condition: Condition::None,
            write_id: WriteId(0),
            ttl: None,
            subject: None,
        }
    }
}

/// How a write ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriteOutcome {
    /// The row is now this one (also told to a retry whose first attempt was applied).
    Applied(Stamp),
    /// A row at least as new stands there; nothing changed. Not an error.
    Superseded(Stamp),
    /// The condition does not hold; nothing changed. The row as it is, if there is any.
    Conflict(Option<Stamp>),
    /// The row's subject has been erased up to this event time, and the write is not newer, or was merged
    /// with what is to be erased; nothing changed. Not an error: the person is to stay away.
    Erased(Timestamp),
}

/// Reading rows.
#[async_trait]
pub trait OnlineRead: Send + Sync {
    /// Rows in the order of the keys. Tombstones are returned as rows: see [`Row::is_deleted`].
    async fn get(&self, keys: &[RowKey], options: &ReadOptions) -> Vec<Result<Option<Row>, Error>>;
}

/// Writing rows.
#[async_trait]
pub trait OnlineWrite: Send + Sync {
    /// Writes each row in its own atomic step; results in the order given. Two writes of one key in
    /// a batch take effect in their order. `seed_micros` is the server's wall clock, for the rev of
    /// a row that is not there yet.
    async fn write(
        &self,
        writes: Vec<RowWrite>,
        seed_micros: u64,
        deadline: Option<Instant>,
    ) -> Vec<Result<WriteOutcome, Error>>;
}

/// Small values kept with the online store that they describe, such as how far a materialization
/// came: lost with the store, they are never ahead of it.
#[async_trait]
pub trait Checkpoints: Send + Sync {
    /// The value under `name`.
    async fn load(&self, name: &str) -> Result<Option<Bytes>, Error>;
    /// Replaces the value if it still is `expected`; tells whether it did. Durable after every row
    /// write that was acknowledged before the call.
    async fn store(&self, name: &str, expected: Option<&[u8]>, value: Bytes)
    -> Result<bool, Error>;
}

/// Some of a subject's rows.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SubjectPage {
    /// Keys of live rows, in no order.
    pub keys: Vec<RowKey>,
    /// Where to go on; `None`: that was all.
    pub next: Option<String>,
}

/// Finding the rows of a person.
#[async_trait]
pub trait Subjects: Send + Sync {
    /// Keys of live rows whose last put named this subject, a page at a time; `after` is the `next`
    /// of the page before. It costs what the subject's own rows cost, whatever the table's size. The
    /// index may lag behind the rows: whoever erases asks again until nothing is found.
    async fn keys_of(&self, subject: &str, after: Option<&str>) -> Result<SubjectPage, Error>;
}

/// Refuses work whose deadline has passed, before any of it is done.
pub fn check_deadline(deadline: Option<Instant>) -> Result<(), Error> {
    match deadline {
        Some(deadline) if deadline <= Instant::now() => {
            Err(Error::Unavailable("the deadline had passed before the store was asked".to_owned()))
        }
        _ => Ok(()),
    }
}
