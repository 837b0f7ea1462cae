//! Erasing a person: the subject's *tombstone*, and what a write of that subject meets there.
//!
//! The tombstone is written before anything is deleted, and every put that names a subject meets it
//! within its own atomic step: however long a writer stalls, what it brings is refused. See
//! `docs/decisions/0009-erasure.md`.

use async_trait::async_trait;
use bytes::Bytes;
use trivium_codec::RowKey;
use trivium_model::Timestamp;

use crate::{Condition, Error, Order, RowWrite, Stamp, Subjects, WriteOp, WriteOutcome};

/// Bytes of a subject at most: DynamoDB's limit of an index's partition key.
pub const SUBJECT_BYTES_MAX: usize = 2048;
/// Bytes of an erasure's own record.
pub const JOB_BYTES_MAX: usize = 256 << 10;

/// A subject's tombstone. There is at most one for each subject, and it is kept for ever.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubjectTombstone {
    /// Puts with an event time up to this are refused.
    pub up_to: Timestamp,
    /// Counts the subject's erasures, from 1. A row remembers the count that it was written under, so
    /// that rows of before are told from later ones without any clock.
    pub erasure: u64,
    /// Grows by one with each change of the tombstone.
    pub version: u64,
    /// Whether its erasure is under way yet.
    pub is_open: bool,
    /// The erasure's own record. Stores do not look into it.
    pub job: Bytes,
}

impl SubjectTombstone {
    /// What a write meets.
    pub const fn bar(&self) -> Bar {
        Bar { up_to: self.up_to, erasure: self.erasure }
    }
}

/// As much of a tombstone as a write has to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bar {
    /// Puts with an event time up to this are refused.
    pub up_to: Timestamp,
    /// The count of erasures.
    pub erasure: u64,
}

/// A live row of a subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SubjectRow {
    /// The row's stamp.
    pub stamp: Stamp,
    /// The count of the subject's erasures when it was put.
    pub erasure: u64,
}

/// Some of the subjects whose erasure is under way.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OpenPage {
    /// The subjects, in no order.
    pub subjects: Vec<String>,
    /// Where to go on; `None`: that was all.
    pub next: Option<String>,
}

/// A store that can erase: it finds a subject's rows, and keeps subjects' tombstones.
#[async_trait]
pub trait SubjectStore: Subjects {
    /// The live rows at these keys that were put for this subject, read strongly, in the order of the
    /// keys; `None`: there is none, whatever the index says.
    async fn rows_of(
        &self,
        subject: &str,
        keys: &[RowKey],
    ) -> Vec<Result<Option<SubjectRow>, Error>>;

    /// The subject's tombstone, read strongly.
    async fn tombstone(&self, subject: &str) -> Result<Option<SubjectTombstone>, Error>;

    /// Replaces the tombstone if its version still is this one (`None`: if there is none); tells whether
    /// it did. Durable when it is acknowledged, and from then on every put of the subject meets it. One
    /// that would go back (see [`check_swap`]) is refused.
    async fn swap_tombstone(
        &self,
        subject: &str,
        expected: Option<&SubjectTombstone>,
        new: &SubjectTombstone,
    ) -> Result<bool, Error>;

    /// Subjects with an open tombstone, at a cost of these only. It may lag, as [`Subjects::keys_of`].
    async fn open_tombstones(&self, after: Option<&str>) -> Result<OpenPage, Error>;

    /// Whether nothing is kept any more, anywhere beside the store itself, of live rows that were at these
    /// keys. `false`: perhaps something is, for a while; nobody reads it.
    async fn are_forgotten(&self, _keys: &[RowKey]) -> bool {
        true
    }
}

/// Refuses names that no subject may have. `#` first is the stores' own.
pub fn check_subject(subject: &str) -> Result<(), Error> {
    if subject.is_empty() || subject.len() > SUBJECT_BYTES_MAX {
        return Err(Error::Invalid(format!(
            "a subject has 1 to {SUBJECT_BYTES_MAX} bytes, this one {}",
            subject.len()
        )));
    }
    if subject.starts_with('#') {
        return Err(Error::Invalid("a subject does not begin with `#`".to_owned()));
    }
    Ok(())
}

/// Refuses tombstones that would let come back what an earlier one keeps away.
pub fn check_swap(
    expected: Option<&SubjectTombstone>,
    new: &SubjectTombstone,
) -> Result<(), Error> {
    let goes_on = match expected {
        None => new.version == 1 && new.erasure == 1,
        Some(old) => {
            new.version == old.version.saturating_add(1)
                && new.erasure >= old.erasure
                && new.up_to >= old.up_to
                && (new.erasure > old.erasure || new.up_to == old.up_to)
        }
    };
    if !goes_on {
        return Err(Error::Invalid("a subject's tombstone only goes forward".to_owned()));
    }
    if new.job.len() > JOB_BYTES_MAX {
        return Err(Error::Invalid(format!(
            "an erasure's record takes {} bytes, more than {JOB_BYTES_MAX}",
            new.job.len()
        )));
    }
    Ok(())
}

/// The order in which a write is to be decided, given its subject's tombstone, or how it ends there.
/// `written_under` is the count of erasures that the row was put under.
///
/// * Deletes pass: they bring nothing back.
/// * A retry of the write that made the row passes, and is told success by [`decide`](crate::decide()).
/// * A put at an event time up to `up_to` is refused. One without event time, of a later moment, goes
///   above it, as it goes above the row.
/// * A put that depends on a row of before the erasure, by its rev, is refused: it was merged with what is
///   to be erased, and would carry it on.
pub fn admit(
    bar: Option<Bar>,
    existing: Option<&Stamp>,
    written_under: u64,
    write: &RowWrite,
) -> Result<Order, WriteOutcome> {
    let Some(bar) = bar.filter(|_| meets_tombstone(write)) else { return Ok(write.order) };
    if write.write_id.0 != 0 && existing.is_some_and(|row| row.write_id == write.write_id) {
        return Ok(write.order);
    }
    let refused = Err(WriteOutcome::Erased(bar.up_to));
    let order = match write.order {
        Order::At { event_time, .. } if event_time <= bar.up_to => return refused,
        Order::Replacing { new_event_time, .. } if new_event_time <= bar.up_to => return refused,
        Order::Now { now } if now < bar.up_to => return refused,
        Order::Now { now } => Order::Now { now: now.max(after(bar.up_to)) },
        order @ (Order::At { .. } | Order::Replacing { .. }) => order,
    };
    let names_a_row = matches!(write.condition, Condition::Rev(1..) | Condition::ExactRev(1..));
    let is_of_before = existing.is_some_and(|row| !row.deleted) && written_under < bar.erasure;
    if names_a_row && is_of_before { refused } else { Ok(order) }
}

/// Whether the write has to look at a subject's tombstone.
pub const fn meets_tombstone(write: &RowWrite) -> bool {
    write.subject.is_some() && matches!(write.op, WriteOp::Put(_))
}

const fn after(time: Timestamp) -> Timestamp {
    Timestamp(time.0.saturating_add(1))
}
