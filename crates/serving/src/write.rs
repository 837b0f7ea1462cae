//! Writing rows, whoever writes them.
//!
//! A whole row or a delete is one conditional write. A put that names some features is a
//! read-modify-write: the row is read, merged and written on the condition that it still is the one
//! that was read, again until it holds. The first try takes no lock; later ones of a busy row queue
//! up, so that writers of one process do not chase each other.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Instant,
};

use tokio::sync::{Mutex, MutexGuard};
use trivium_codec::{Row, RowEncoder, RowKey, ValueRef};
use trivium_model::{Lane, Value};
use trivium_store::{
    Condition, DoorError, DoorOutcome, Order, ReadOptions, RowWrite, Stamp, WriteId, WriteOp,
    WriteOutcome, embedding::Visible,
};

use crate::{
    Serving,
    definitions::ViewDefinition,
    erase,
    limits::{MERGE_ATTEMPTS_MAX, ROW_BYTES_MAX},
    metrics::RowWritten,
    traced,
};

/// Locks for busy rows: more than any sensible number of rows that are busy at once.
const STRIPES: usize = 256;

/// One row to write, checked.
#[derive(Debug, Clone)]
pub(crate) struct Write {
    pub(crate) key: RowKey,
    pub(crate) op: Op,
    pub(crate) order: Order,
    pub(crate) condition: Condition,
    pub(crate) write_id: WriteId,
}

/// What to do with a row.
#[derive(Debug, Clone)]
pub(crate) enum Op {
    /// Sets these fields of the current schema; none twice.
    Values(Vec<(usize, Value)>),
    /// The whole row.
    Row(Row),
    Delete,
}

/// Queues for rows that are written by several at once.
#[derive(Debug)]
pub(crate) struct BusyRows(Vec<Mutex<()>>);

impl Default for BusyRows {
    fn default() -> Self {
        Self((0..STRIPES).map(|_| Mutex::new(())).collect())
    }
}

impl BusyRows {
    /// The locks of these rows, taken in one order by everybody.
    pub(crate) async fn lock<'a>(
        &'a self,
        keys: impl Iterator<Item = &'a RowKey>,
    ) -> Vec<MutexGuard<'a, ()>> {
        let mut stripes: Vec<usize> =
            keys.map(|key| (key.stable_hash() % STRIPES as u64) as usize).collect();
        stripes.sort_unstable();
        stripes.dedup();
        let mut guards = Vec::with_capacity(stripes.len());
        for stripe in stripes {
            guards.push(self.0[stripe].lock().await);
        }
        guards
    }
}

impl Serving {
    /// Writes each row in its own atomic step; outcomes in the order given. Writes of one row take
    /// effect in their order.
    pub(crate) async fn execute(
        &self,
        view: &Arc<ViewDefinition>,
        lane: Lane,
        writes: Vec<Write>,
        visible: Visible,
        deadline: Option<Instant>,
    ) -> Vec<DoorOutcome> {
        traced::write(view, lane, writes.len());
        let fields = view.layouts.current().len();
        let merges =
            |write: &Write| matches!(&write.op, Op::Values(values) if values.len() < fields);
        let outcomes = if let Some(indexes) = self.indexes().filter(|_| view.stored.is_some()) {
            self.execute_named(indexes, view, lane, &writes, visible, deadline).await
        } else if writes.iter().any(merges) {
            self.execute_merging(view, lane, &writes, deadline).await
        } else {
            self.execute_whole(view, lane, writes, deadline).await
        };
        let mut rows = [0; 5];
        for outcome in &outcomes {
            let written = match outcome {
                Ok(WriteOutcome::Applied(_)) => RowWritten::Applied,
                Ok(WriteOutcome::Superseded(_)) => RowWritten::Superseded,
                Ok(WriteOutcome::Conflict(_)) => RowWritten::Conflict,
                Ok(WriteOutcome::Erased(_)) => RowWritten::Erased,
                Err(_) => RowWritten::Failed,
            };
            rows[written as usize] += 1;
        }
        view.metrics.written(rows);
        outcomes
    }

    /// No write needs the row as it stands: one batch.
    async fn execute_whole(
        &self,
        view: &ViewDefinition,
        lane: Lane,
        writes: Vec<Write>,
        deadline: Option<Instant>,
    ) -> Vec<DoorOutcome> {
        let mut encoder = RowEncoder::new(view.layouts.current());
        let mut outcomes: Vec<Option<DoorOutcome>> = Vec::with_capacity(writes.len());
        let mut batch = Vec::with_capacity(writes.len());
        for write in writes {
            let op = match write.op {
                Op::Delete => Ok(WriteOp::Delete),
                Op::Row(row) => Ok(WriteOp::Put(row)),
                Op::Values(values) => {
                    merge(&mut encoder, view, lane, None, &values).map(WriteOp::Put)
                }
            };
            match op {
                Ok(op) => {
                    outcomes.push(None);
                    batch.push(RowWrite {
                        subject: view.subject_of(&write.key),
                        key: write.key,
                        op,
                        order: write.order,
                        condition: write.condition,
                        write_id: write.write_id,
                        ttl: view.row_ttl(),
                    });
                }
                Err(error) => outcomes.push(Some(Err(error))),
            }
        }
        let mut written = self.store_write(batch, deadline).await.into_iter();
        let missing = || Err(DoorError::Store(no_answer()));
        outcomes
            .into_iter()
            .map(|outcome| outcome.unwrap_or_else(|| written.next().unwrap_or_else(missing)))
            .collect()
    }

    async fn execute_merging(
        &self,
        view: &ViewDefinition,
        lane: Lane,
        writes: &[Write],
        deadline: Option<Instant>,
    ) -> Vec<DoorOutcome> {
        let mut outcomes: Vec<Option<DoorOutcome>> = vec![None; writes.len()];
        let mut attempts = vec![0_u32; writes.len()];
        let mut pending: Vec<usize> = (0..writes.len()).collect();
        while !pending.is_empty() {
            // The first of each row; what comes after it waits for the next round.
            let mut seen = HashSet::with_capacity(pending.len());
            let (round, mut later): (Vec<usize>, Vec<usize>) =
                pending.iter().partition(|index| seen.insert(&writes[**index].key));
            let busy = round.iter().filter(|index| attempts[**index] > 0);
            let guards = self.busy_rows().lock(busy.map(|index| &writes[*index].key)).await;
            for (index, outcome) in self.round(view, lane, writes, &round, deadline).await {
                match outcome {
                    Some(outcome) => outcomes[index] = Some(outcome),
                    None if attempts[index] + 1 >= MERGE_ATTEMPTS_MAX => {
                        outcomes[index] = Some(Err(DoorError::Store(too_busy())));
                    }
                    None => {
                        attempts[index] += 1;
                        view.metrics.merge_retried();
                        later.push(index);
                    }
                }
            }
            drop(guards);
            later.sort_unstable();
            pending = later;
        }
        outcomes
            .into_iter()
            .map(|outcome| outcome.unwrap_or_else(|| Err(DoorError::Store(no_answer()))))
            .collect()
    }

    /// One try of writes of different rows; `None`: the row changed in between.
    async fn round(
        &self,
        view: &ViewDefinition,
        lane: Lane,
        writes: &[Write],
        round: &[usize],
        deadline: Option<Instant>,
    ) -> Vec<(usize, Option<DoorOutcome>)> {
        let is_merge = |index: usize| matches!(writes[index].op, Op::Values(_));
        let keys: Vec<RowKey> = round
            .iter()
            .filter(|index| is_merge(**index))
            .map(|index| writes[*index].key.clone())
            .collect();
        let mut rows = self
            .store_read(&keys, &ReadOptions { deadline, ..ReadOptions::default() })
            .await
            .into_iter();
        let mut encoder = RowEncoder::new(view.layouts.current());
        let mut done = Vec::with_capacity(round.len());
        let mut sent = Vec::with_capacity(round.len());
        let mut bases: HashMap<usize, Stamp> = HashMap::new();
        let mut batch = Vec::with_capacity(round.len());
        for &index in round {
            let write = &writes[index];
            let prepared = match &write.op {
                Op::Delete => Prepared::Write(WriteOp::Delete, write.condition),
                Op::Row(row) => Prepared::Write(WriteOp::Put(row.clone()), write.condition),
                Op::Values(values) => match rows.next().unwrap_or_else(|| Err(no_answer())) {
                    Err(error) => Prepared::Done(Err(error.into())),
                    Ok(row) => {
                        if let Some(row) = row.as_ref().filter(|row| !row.is_deleted()) {
                            bases.insert(index, Stamp::of(row));
                        }
                        prepare_merge(&mut encoder, view, lane, write, values, row.as_ref())
                    }
                },
            };
            match prepared {
                Prepared::Done(outcome) => done.push((index, Some(outcome))),
                Prepared::Write(op, condition) => {
                    sent.push(index);
                    batch.push(RowWrite {
                        subject: view.subject_of(&write.key),
                        key: write.key.clone(),
                        op,
                        order: write.order,
                        condition,
                        write_id: write.write_id,
                        ttl: view.row_ttl(),
                    });
                }
            }
        }
        drop(encoder);
        self.tell_erased(view, writes, &mut done, deadline).await;
        let mut erased = Vec::new();
        for (index, outcome) in sent.into_iter().zip(self.store_write(batch, deadline).await) {
            let mut changed = is_merge(index) && matches!(outcome, Ok(WriteOutcome::Conflict(_)));
            let write = &writes[index];
            if let (Ok(WriteOutcome::Erased(up_to)), Some(base)) = (&outcome, bases.get(&index))
                && erase::is_newer(write.order, *up_to)
            {
                // The person has come back before the erasure came by this row: nothing of it may be
                // merged with. It goes, as it would have gone, and the put begins with none.
                let subject = view.subject_of(&write.key);
                let delete = erase::delete_of(&write.key, base, *up_to);
                erased.push(RowWrite { subject, ..delete });
                changed = true;
            }
            done.push((index, (!changed).then_some(outcome)));
        }
        // However it ends: the next try reads the row again.
        self.store_write(erased, deadline).await;
        done
    }
}

enum Prepared {
    Done(DoorOutcome),
    Write(WriteOp, Condition),
}

/// Merges values with the row as it stands and pins the write to it. What the store would answer
/// by the caller's own condition or write id is answered here, since the pin takes their place.
fn prepare_merge(
    encoder: &mut RowEncoder<'_>,
    view: &ViewDefinition,
    lane: Lane,
    write: &Write,
    values: &[(usize, Value)],
    row: Option<&Row>,
) -> Prepared {
    let stamp = row.map(Stamp::of);
    if let Some(stamp) = stamp
        && write.write_id.0 != 0
        && stamp.write_id == write.write_id
    {
        return Prepared::Done(Ok(WriteOutcome::Applied(stamp)));
    }
    let exact_rev = stamp.map_or(0, |stamp| stamp.rev);
    let live_rev = stamp.filter(|stamp| !stamp.deleted).map_or(0, |stamp| stamp.rev);
    let holds = match write.condition {
        Condition::None => true,
        Condition::Rev(rev) => rev == live_rev,
        Condition::ExactRev(rev) => rev == exact_rev,
    };
    if !holds {
        return Prepared::Done(Ok(WriteOutcome::Conflict(stamp)));
    }
    let base = row.filter(|row| !row.is_deleted());
    match merge(encoder, view, lane, base, values) {
        Ok(merged) => Prepared::Write(WriteOp::Put(merged), Condition::ExactRev(exact_rev)),
        Err(error) => Prepared::Done(Err(error)),
    }
}

/// The row with these values set. Values of a row under an older layout are read through it.
fn merge(
    encoder: &mut RowEncoder<'_>,
    view: &ViewDefinition,
    lane: Lane,
    base: Option<&Row>,
    values: &[(usize, Value)],
) -> Result<Row, DoorError> {
    let corrupt = |error: trivium_codec::Error| {
        DoorError::Store(trivium_store::Error::Corrupt(format!(
            "the row as it stands cannot be merged with: {error}"
        )))
    };
    let count = view.layouts.current().len();
    let mut slots: Vec<Option<ValueRef<'_>>> = vec![None; count];
    if let Some(base) = base {
        let reader = view.layouts.reader(base).map_err(corrupt)?;
        for (index, slot) in slots.iter_mut().enumerate() {
            *slot = reader.get(index).map_err(corrupt)?;
        }
    }
    for (index, value) in values {
        if let Some(slot) = slots.get_mut(*index) {
            *slot = Some(ValueRef::from(value));
        }
    }
    let invalid = |message: String, help: &str| DoorError::Invalid {
        message,
        field: "values".to_owned(),
        help: help.to_owned(),
    };
    let row = encoder.encode(lane, &slots).map_err(|error| invalid(error.to_string(), ""))?;
    if row.as_bytes().len() > ROW_BYTES_MAX {
        return Err(invalid(
            format!(
                "the row would take {} bytes, more than the limit of {ROW_BYTES_MAX}",
                row.as_bytes().len()
            ),
            "shorten its strings, bytes or lists",
        ));
    }
    Ok(row)
}

pub(crate) fn no_answer() -> trivium_store::Error {
    trivium_store::Error::Unknown("the store answered fewer rows than it was asked for".to_owned())
}

pub(crate) fn too_busy() -> trivium_store::Error {
    trivium_store::Error::Throttled(format!(
        "the row changed {MERGE_ATTEMPTS_MAX} times while this put was merged with it"
    ))
}
