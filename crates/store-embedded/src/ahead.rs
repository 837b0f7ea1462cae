//! Rows of a load, read before it has the locks.
//!
//! Loads take nearly all locks, one load after the other; what can be done before is done beside the
//! commit of another. What was seen holds while no commit of the row's stripe came since; else the row
//! is read again under the locks.
//!
//! A load's rows are mostly neighbours in the engine: it brings them sorted. So they are looked for in
//! one pass over what lies between the first and the last, not each by itself; if too much of others
//! lies there, the rest is looked for one by one. What is cached is not looked for at all.

use std::iter::Peekable;

use fjall::{Guard, KvPair};
use trivium_codec::{Row, RowKey};
use trivium_store::{Error, RowWrite};

use crate::{
    cache::{Before, LOAD_ROWS, Locked},
    store::{Inner, stored_row},
};

/// Rows of others that are passed before it is found that too much of them lies there.
const PATIENCE: usize = 64;

type Stored = fjall::Result<KvPair>;

/// A row as it stood before its batch held the locks.
pub(crate) struct Seen {
    before: Before,
    row: Result<Option<Row>, Error>,
}

impl Seen {
    /// The row, if it still stands like that.
    pub(crate) fn under(
        self,
        locked: &Locked<'_>,
        key: &RowKey,
    ) -> Option<Result<Option<Row>, Error>> {
        locked.is_current(key, self.before).then_some(self.row)
    }
}

impl Inner {
    /// For each write of a load, in its order; nothing for a smaller batch, which holds few locks.
    pub(crate) fn look_ahead(&self, writes: &[RowWrite]) -> Vec<Seen> {
        if writes.len() <= LOAD_ROWS {
            return Vec::new();
        }
        // All counts before the first look.
        let nothing =
            |write: &RowWrite| Seen { before: self.cache.before(&write.key), row: Ok(None) };
        let mut seen: Vec<Seen> = writes.iter().map(nothing).collect();
        let mut order: Vec<usize> = (0..writes.len()).collect();
        // Next to nothing for what is sorted.
        order.sort_by(|&a, &b| writes[a].key.cmp(&writes[b].key));
        // What streams change is what they changed before, and cached.
        order.retain(|&index| {
            let cached = self.cache.peek(&writes[index].key);
            let is_cached = cached.is_some();
            seen[index].row = Ok(cached);
            !is_cached
        });
        let mut pass = Pass::over(self, order.iter().map(|&index| &writes[index].key));
        for &index in &order {
            seen[index].row = pass.row(&writes[index].key);
        }
        seen
    }
}

/// One pass over the engine's rows.
struct Pass<'s> {
    store: &'s Inner,
    /// Of what lies between the first key and the last, what is not below the last key that was asked
    /// for; `None`: given up.
    between: Option<Peekable<Box<dyn Iterator<Item = Stored>>>>,
    /// Rows that may still be passed: the load's own, as many of others, and some to begin with.
    patience: usize,
}

impl<'s> Pass<'s> {
    fn over<'k>(store: &'s Inner, mut sorted: impl DoubleEndedIterator<Item = &'k RowKey>) -> Self {
        let between = sorted.next().map(|first| {
            let last = sorted.next_back().unwrap_or(first);
            let rows = store.rows.range(first.as_bytes()..=last.as_bytes());
            let rows: Box<dyn Iterator<Item = Stored>> = Box::new(rows.map(Guard::into_inner));
            rows.peekable()
        });
        Self { store, between, patience: PATIENCE }
    }

    /// Keys are asked for in their order; the same again is found again.
    fn row(&mut self, key: &RowKey) -> Result<Option<Row>, Error> {
        let Some(between) = &mut self.between else { return self.store.current(key) };
        self.patience += 2;
        let is_below = |stored: &Stored| matches!(stored, Ok((at, _)) if **at < *key.as_bytes());
        while self.patience > 0 && between.next_if(is_below).is_some() {
            self.patience -= 1;
        }
        match between.peek() {
            None => Ok(None),
            Some(Ok((at, value))) if **at == *key.as_bytes() => stored_row(key, value).map(Some),
            Some(Ok((at, _))) if **at > *key.as_bytes() => Ok(None),
            // Too much of others, or what cannot be read: one by one, each with its own error.
            Some(_) => {
                self.between = None;
                self.store.current(key)
            }
        }
    }
}
