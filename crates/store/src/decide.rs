//! The one rule for what a write does to a row. Every store applies it in its atomic step, as code
//! (memory, embedded: [`apply`]) or as a condition expression; the conformance suite holds them
//! together.

use trivium_codec::{Fingerprint, Header, Row};
use trivium_model::{Lane, Timestamp};

use crate::{Condition, Error, Order, RowWrite, Stamp, WriteOp, WriteOutcome};

/// What to do with a write, given the row as it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Store the row or tombstone with this stamp and answer `Applied`.
    Apply(Stamp),
    /// Change nothing and answer this.
    Answer(WriteOutcome),
}

/// Decides a write against the row as it stands (tombstones included).
///
/// In this order: a retry of the write that made the row is told success; then the condition; then
/// the order. The row remembers one write id, so a retry is recognised until another write of the
/// row is applied.
pub fn decide(existing: Option<&Stamp>, write: &RowWrite, seed_micros: u64) -> Decision {
    use WriteOutcome::{Applied, Conflict, Superseded};

    if let Some(row) = existing
        && row.write_id == write.write_id
        && write.write_id.0 != 0
    {
        return Decision::Answer(Applied(*row));
    }
    let live_rev = existing.filter(|row| !row.deleted).map_or(0, |row| row.rev);
    let exact_rev = existing.map_or(0, |row| row.rev);
    let holds = match write.condition {
        Condition::None => true,
        Condition::Rev(rev) => rev == live_rev,
        Condition::ExactRev(rev) => rev == exact_rev,
    };
    if !holds {
        return Decision::Answer(Conflict(existing.copied()));
    }

    let (event_time, sequence) = match (write.order, existing) {
        (Order::At { event_time, sequence }, None) => (event_time, sequence.unwrap_or(0)),
        (Order::Now { now }, None) => (now, 0),
        (Order::Replacing { .. }, None) => return Decision::Answer(Conflict(None)),
        (Order::At { event_time, sequence }, Some(row)) => {
            let sequence = sequence.unwrap_or_else(|| {
                if row.event_time == event_time { row.sequence.saturating_add(1) } else { 0 }
            });
            if (event_time, sequence) <= (row.event_time, row.sequence) {
                return Decision::Answer(Superseded(*row));
            }
            (event_time, sequence)
        }
        (Order::Now { now }, Some(row)) => match row.event_time.0.checked_add(1) {
            Some(after) => (now.max(Timestamp(after)), 0),
            // The end of time: only the sequence is left to grow.
            None => (row.event_time, row.sequence.saturating_add(1)),
        },
        (Order::Replacing { event_time, sequence, new_event_time, new_sequence }, Some(row)) => {
            if (row.event_time, row.sequence) != (event_time, sequence) {
                return Decision::Answer(Superseded(*row));
            }
            (new_event_time, new_sequence)
        }
    };
    Decision::Apply(Stamp {
        rev: existing.map_or(seed_micros.max(1), |row| row.rev.saturating_add(1)),
        event_time,
        sequence,
        write_id: write.write_id,
        deleted: matches!(write.op, WriteOp::Delete),
    })
}

/// What [`apply`] found.
#[derive(Debug, Clone)]
pub struct Step {
    /// The answer.
    pub outcome: WriteOutcome,
    /// What to store; `None`: nothing changes.
    pub store: Option<Row>,
}

/// The atomic step of a store that runs our code: decides, and makes the row to store. The caller
/// holds the row from before `existing` was read until the result is stored.
pub fn apply(existing: Option<&Row>, write: RowWrite, seed_micros: u64) -> Result<Step, Error> {
    if let WriteOp::Put(row) = &write.op
        && row.is_deleted()
    {
        return Err(Error::Invalid("a tombstone was put; ask for a delete instead".to_owned()));
    }
    let existing_stamp = existing.map(Stamp::of);
    match decide(existing_stamp.as_ref(), &write, seed_micros) {
        Decision::Answer(outcome) => Ok(Step { outcome, store: None }),
        Decision::Apply(stamp) => Ok(Step {
            outcome: WriteOutcome::Applied(stamp),
            store: Some(stamp.apply_to(write.op)),
        }),
    }
}

impl Stamp {
    /// The stamp in a row's header.
    pub fn of(row: &Row) -> Self {
        let header = row.header();
        Self {
            rev: header.rev,
            event_time: header.event_time,
            sequence: header.sequence,
            write_id: crate::WriteId(header.write_id),
            deleted: header.deleted,
        }
    }

    /// The row or tombstone that a write leaves, stamped.
    pub fn apply_to(&self, op: WriteOp) -> Row {
        match op {
            WriteOp::Put(row) => {
                row.with_stamp(self.rev, self.event_time, self.sequence, self.write_id.0)
            }
            // A tombstone has no values, hence no schema; its lane is of no use to anybody.
            WriteOp::Delete => Row::tombstone(&Header {
                rev: self.rev,
                event_time: self.event_time,
                sequence: self.sequence,
                write_id: self.write_id.0,
                lane: Lane::Direct,
                deleted: true,
                fingerprint: Fingerprint(0),
            }),
        }
    }
}
