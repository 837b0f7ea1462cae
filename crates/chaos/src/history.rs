//! What clients asked and were told, row by row.
//!
//! Every operation stands in the history from before it is sent, so that the history can be checked
//! at any moment: what is still under way then is an operation of unknown outcome. Times are
//! nanoseconds of the one monotonic clock of this process, which all clients share.

use std::{
    collections::BTreeSet,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use crate::rows::person_of;

/// The end of an operation that has none: it may take effect at any time.
pub const NEVER: u64 = u64::MAX;

/// What an operation on one row came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// Nothing can be said of it: a read under way, or one that failed.
    Nothing,
    /// A read saw this row: its number, and the number that its text is made of (0: no text).
    Saw { rev: u64, number: i64, page: i64 },
    /// A read saw no row.
    Absent,
    /// A conditional write named this rev and was told that another one stands there (0: none). It
    /// cannot be the one that the same write made earlier: `not` is its number.
    Conflict { if_rev: u64, rev: u64, not: Option<i64> },
    /// A put of this number (nobody else puts it), or a delete. A put that is not `whole` leaves the
    /// text as it was.
    Write { put: Option<i64>, whole: bool, if_rev: Option<u64>, outcome: Outcome },
    /// An answer that no row can have given.
    Broken(&'static str),
    /// The row's person is erased: it is gone by the end, if it was there at the beginning.
    Erase,
}

/// How a write ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The row has this rev since.
    Applied(u64),
    /// It may have been applied, may still be, or never; not twice.
    Unknown,
    /// It certainly never was and never will be.
    Refused,
}

/// One operation on one row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Op {
    pub row: u32,
    pub client: u16,
    pub node: u8,
    /// Of a read that may be answered by a copy: as much earlier as its bound allows. What it saw must have
    /// been so at some moment from then on.
    pub began: u64,
    pub ended: u64,
    pub what: What,
}

/// All operations of a run.
#[derive(Debug)]
pub struct History {
    clock: Instant,
    ops: Mutex<Vec<Op>>,
}

/// Where an operation stands in the history.
#[derive(Debug, Clone, Copy)]
pub struct Place(usize);

impl Default for History {
    fn default() -> Self {
        Self { clock: Instant::now(), ops: Mutex::default() }
    }
}

impl History {
    fn ops(&self) -> MutexGuard<'_, Vec<Op>> {
        // Whole before and after every change.
        self.ops.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nanoseconds since the beginning.
    pub fn now(&self) -> u64 {
        u64::try_from(self.clock.elapsed().as_nanos()).unwrap_or(NEVER - 1)
    }

    /// An operation is about to be sent. A write counts as unknown from now on.
    pub fn begin(&self, row: u32, client: u16, node: u8, what: What) -> Place {
        self.begin_stale(row, client, node, what, Duration::ZERO)
    }

    /// The same, of a read whose answer may be so old.
    pub fn begin_stale(
        &self,
        row: u32,
        client: u16,
        node: u8,
        what: What,
        staleness: Duration,
    ) -> Place {
        // The time is taken first: a begin that is too early forbids nothing that happened.
        let nanos = u64::try_from(staleness.as_nanos()).unwrap_or(NEVER);
        let began = self.now().saturating_sub(nanos);
        let op = Op { row, client, node, began, ended: NEVER, what };
        let mut ops = self.ops();
        ops.push(op);
        Place(ops.len() - 1)
    }

    /// A row has been seen that nobody asked for by its key, by a question that began then.
    pub fn saw(&self, row: u32, client: u16, node: u8, began: u64, what: What) {
        let ended = self.now();
        self.ops().push(Op { row, client, node, began, ended, what });
    }

    /// Its answer has come. An unknown outcome has no end.
    pub fn end(&self, place: Place, what: What) {
        let ended = self.now();
        if let Some(op) = self.ops().get_mut(place.0) {
            let is_open = matches!(
                what,
                What::Nothing | What::Write { outcome: Outcome::Unknown | Outcome::Refused, .. }
            );
            (op.what, op.ended) = (what, if is_open { NEVER } else { ended });
        }
    }

    /// The operations up to now, each row's together, in the order in which they began; of a person's row
    /// with the person's erasures.
    pub fn by_row(&self) -> Vec<Vec<Op>> {
        let mut ops = self.ops().clone();
        ops.retain(|op| op.what != What::Nothing);
        ops.sort_by_key(|op| (op.row, op.began));
        let (erasures, ops): (Vec<Op>, Vec<Op>) =
            ops.into_iter().partition(|op| op.what == What::Erase);
        let with_erasures = |ops: &[Op]| {
            let row = ops.first().map_or(0, |op| op.row);
            let mut ops = ops.to_vec();
            if let Some(person) = person_of(row) {
                let theirs = erasures.iter().filter(|op| person_of(op.row) == Some(person));
                ops.extend(theirs.map(|op| Op { row, ..*op }));
                ops.sort_by_key(|op| op.began);
            }
            ops
        };
        ops.chunk_by(|one, other| one.row == other.row).map(with_erasures).collect()
    }

    /// All rows that anybody asked for.
    pub fn rows(&self) -> BTreeSet<u32> {
        self.ops().iter().map(|op| op.row).collect()
    }

    /// How many operations there are, whatever became of them.
    pub fn len(&self) -> usize {
        self.ops().len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
