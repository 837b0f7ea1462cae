//! Rows that are likely new: a load into an empty store.
//!
//! An update that makes its item costs the server more than a put of the whole item, which says only that
//! nothing may be there yet. Where something is, that was a request too many, so puts are tried only
//! after a run of writes that each made their item, and no more after the first that did not.

use std::sync::atomic::{AtomicU32, Ordering};

use trivium_store::{Barrier, Decision, RowWrite, Stamp, WriteOp, decide};

use crate::{
    expression::{Expression, number},
    item::{
        self, BARRIER_EPOCH, EVENT_TIME, EXPIRES_AT, PK, REV, ROW_BYTES, SEQ, WRITE_ID, binary,
        row_key,
    },
    step::{Change, Step},
    store::Inner,
};

/// New rows after which the next is taken for new: of random writes, few puts are in vain.
const RUN: u32 = 32;

/// Whether the next row is likely new.
#[derive(Debug, Default)]
pub(crate) struct Fresh {
    run: AtomicU32,
    /// Puts are tried whatever became of the last.
    #[cfg(test)]
    pub(crate) is_pinned: std::sync::atomic::AtomicBool,
}

impl Fresh {
    pub(crate) fn is_likely(&self) -> bool {
        #[cfg(test)]
        if self.is_pinned.load(Ordering::Relaxed) {
            return true;
        }
        self.run.load(Ordering::Relaxed) >= RUN
    }
    /// A write was applied, and made its item or did not.
    pub(crate) fn saw(&self, is_new: bool) {
        // Looked at before it is changed: nearly all writers find it as it should be, and share it.
        let run = self.run.load(Ordering::Relaxed);
        if is_new && run < RUN {
            self.run.fetch_add(1, Ordering::Relaxed);
        } else if !is_new && run > 0 {
            self.run.store(0, Ordering::Relaxed);
        }
    }
}

impl Inner {
    /// The write as a put of its whole item, where there is none, and the stamp that the row then has. `None`
    /// where an update says more: of deletes, of persons' rows, between two tables.
    pub(crate) fn fresh(
        &self,
        write: &RowWrite,
        fence: Option<Barrier>,
        seed_micros: u64,
    ) -> Option<(Step, Stamp)> {
        let WriteOp::Put(row) = &write.op else { return None };
        if self.second.is_some() || write.subject.is_some() {
            return None;
        }
        let Decision::Apply(stamp) = decide(None, write, seed_micros) else { return None };
        let key = row_key(&write.key);
        let mut item = key.clone();
        let mut set = |name: &str, value| item.insert(name.to_owned(), value);
        set(ROW_BYTES, binary(row.as_bytes().to_vec()));
        set(REV, number(stamp.rev));
        set(EVENT_TIME, number(stamp.event_time.0));
        set(SEQ, number(stamp.sequence));
        if write.write_id.0 != 0 {
            set(WRITE_ID, item::write_id(write.write_id));
        }
        if let Some(fence) = fence {
            set(BARRIER_EPOCH, number(fence.epoch));
        }
        if let Some(ttl) = write.ttl {
            set(EXPIRES_AT, number(self.expires_at(seed_micros, ttl)));
        }
        let mut absent = Expression::default();
        absent.when(format!("attribute_not_exists({PK})"));
        let stub = self.stub(&write.key, seed_micros);
        Some((Step { key, change: Change::Put(item, absent), stub }, stamp))
    }
}
