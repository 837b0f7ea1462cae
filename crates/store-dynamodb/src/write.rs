//! Writing rows: see the crate's header for the atomic step.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue};
use futures::{StreamExt as _, stream};
use trivium_codec::{Row, RowKey};
use trivium_store::{
    Barrier, Condition, Decision, Error, FencedOutcome, OnlineWrite, Order, RowWrite, Stamp,
    WriteOp, WriteOutcome, check_deadline, decide,
    erase::{check_subject, meets_tombstone},
};

use crate::{
    DynamoStore,
    expression::{Expression, number},
    fence::when_above_barrier,
    item::{
        self, BARRIER_EPOCH, DEAD, EVENT_TIME, EXPIRES_AT, Item, REV, ROW_BYTES, SEQ, SUBJECT,
        Stored, WRITE_ID, binary, check_size, row_key,
    },
    people::ERASURES,
    step::{Change, Step, Updated},
    store::Inner,
};

/// A write that is refused so often, each time for another reason, has met more writers than a row
/// can bear. Each refusal was definite.
pub(crate) const ATTEMPTS_MAX: usize = 64;

#[async_trait]
impl OnlineWrite for DynamoStore {
    async fn write(
        &self,
        writes: Vec<RowWrite>,
        seed_micros: u64,
        deadline: Option<Instant>,
    ) -> Vec<Result<WriteOutcome, Error>> {
        if let Err(error) = check_deadline(deadline) {
            return vec![Err(error); writes.len()];
        }
        let count = writes.len();
        // Writes of one key go one after the other, in their order; keys go side by side.
        let mut lines: Vec<Vec<(usize, RowWrite)>> = Vec::with_capacity(count);
        let mut line_of: HashMap<RowKey, usize> = HashMap::with_capacity(count);
        for (place, write) in writes.into_iter().enumerate() {
            let line = *line_of.entry(write.key.clone()).or_insert(lines.len());
            match lines.get_mut(line) {
                Some(line) => line.push((place, write)),
                None => lines.push(vec![(place, write)]),
            }
        }
        let mut outcomes: Vec<Result<WriteOutcome, Error>> =
            vec![Err(Error::Unavailable("the write was not tried".to_owned())); count];
        let mut done = stream::iter(
            lines.into_iter().map(|line| self.0.write_line(line, seed_micros, deadline)),
        )
        .buffer_unordered(self.0.options.requests_in_flight_max);
        while let Some(line) = done.next().await {
            for (place, outcome) in line {
                outcomes[place] = outcome;
            }
        }
        outcomes
    }
}

impl Inner {
    /// Writes of one key, in their order.
    async fn write_line(
        &self,
        line: Vec<(usize, RowWrite)>,
        seed_micros: u64,
        deadline: Option<Instant>,
    ) -> Vec<(usize, Result<WriteOutcome, Error>)> {
        let mut outcomes = Vec::with_capacity(line.len());
        let mut is_in_doubt = false;
        for (place, write) in line {
            if is_in_doubt {
                // The doubtful one may still come to be applied, after this one: not their order.
                let why = "an earlier write of the same row in this batch is in doubt";
                outcomes.push((place, Err(Error::Unavailable(why.to_owned()))));
                continue;
            }
            let outcome = self.write_row(write, None, seed_micros, deadline).await;
            is_in_doubt = matches!(outcome, Err(Error::Unknown(_)));
            let outcome = outcome.and_then(|outcome| match outcome {
                FencedOutcome::Done(outcome, _) => Ok(outcome),
                FencedOutcome::Barred(_) => {
                    Err(Error::Unavailable("a write without a fence was barred".to_owned()))
                }
            });
            outcomes.push((place, outcome));
        }
        outcomes
    }

    /// One row's atomic step, tried until its answer is known.
    pub(crate) async fn write_row(
        &self,
        write: RowWrite,
        fence: Option<Barrier>,
        seed_micros: u64,
        deadline: Option<Instant>,
    ) -> Result<FencedOutcome, Error> {
        check_deadline(deadline)?;
        let row = match &write.op {
            WriteOp::Put(row) if row.is_deleted() => {
                return Err(Error::Invalid(
                    "a tombstone was put; ask for a delete instead".to_owned(),
                ));
            }
            WriteOp::Put(row) => Some(row),
            WriteOp::Delete => None,
        };
        let row_bytes = row.map_or(0, |row| row.as_bytes().len());
        check_size(&write.key, row_bytes, write.subject.as_deref())?;

        let end = self.end_of(deadline);
        if let Some(subject) = write.subject.clone() {
            check_subject(&subject)?;
            if meets_tombstone(&write) {
                let step = self.write_of_subject(write, &subject, fence, seed_micros, end);
                return Box::pin(step).await;
            }
        }
        Box::pin(self.write_plain(write, fence, seed_micros, end)).await
    }

    /// The step of a write that meets no tombstone.
    pub(crate) async fn write_plain(
        &self,
        write: RowWrite,
        fence: Option<Barrier>,
        seed_micros: u64,
        end: Instant,
    ) -> Result<FencedOutcome, Error> {
        // What the last refusal showed; the first attempt knows nothing.
        let mut known: Option<Stored> = None;
        for _ in 0..ATTEMPTS_MAX {
            let (step, fresh) = self.step(&write, known.as_ref(), fence, seed_micros);
            let stored = match self.perform(&step, end).await {
                Ok(Updated::Done(item)) => {
                    let stamp = match fresh {
                        Some(stamp) => stamp,
                        None => {
                            let deleted = matches!(write.op, WriteOp::Delete);
                            // It is applied; only what it became cannot be told.
                            item::updated_stamp(&item, write.write_id, deleted)
                                .map_err(|error| Error::Unknown(error.to_string()))?
                        }
                    };
                    self.fresh.saw(stamp.rev == first_rev(seed_micros));
                    return Ok(done(stamp, write.op, fence));
                }
                Ok(Updated::Refused(mut item)) => {
                    self.fresh.saw(false);
                    Stored::parse(item.as_mut())?
                }
                Err(Error::Unknown(why)) => return self.settle(write, why, fence, end).await,
                Err(error) => return Err(error),
            };
            if let Some(stamp) = stored.stamp
                && stamp.write_id == write.write_id
                && write.write_id.0 != 0
            {
                // Ours, by an earlier attempt, whatever has been raised since.
                return Ok(FencedOutcome::Done(
                    WriteOutcome::Applied(stamp),
                    row_if(fence, stored)?,
                ));
            }
            if fence.is_some_and(|fence| stored.barrier >= fence) {
                return Ok(FencedOutcome::Barred(stored.barrier));
            }
            match decide(stored.stamp.as_ref(), &write, seed_micros) {
                Decision::Answer(outcome) => return Ok(FencedOutcome::Done(outcome, None)),
                Decision::Apply(_) => known = Some(stored),
            }
        }
        Err(Error::Throttled(format!(
            "other writers of the row were faster {ATTEMPTS_MAX} times; nothing was changed"
        )))
    }

    /// The next attempt, and where it is a put the stamp that the row then has.
    fn step(
        &self,
        write: &RowWrite,
        known: Option<&Stored>,
        fence: Option<Barrier>,
        seed_micros: u64,
    ) -> (Step, Option<Stamp>) {
        if known.is_none()
            && self.fresh.is_likely()
            && let Some((step, stamp)) = self.fresh(write, fence, seed_micros)
        {
            return (step, Some(stamp));
        }
        let seen = known.and_then(|stored| stored.stamp);
        let expression = self.expression(write, seen, fence, seed_micros);
        let change = Change::Update(expression, ReturnValue::UpdatedNew);
        let stub = self.stub(&write.key, seed_micros);
        (Step { key: row_key(&write.key), change, stub }, None)
    }

    /// The answer to an attempt was lost: the row's write id may tell that it was applied. That it
    /// was not, nobody can tell: it may be on its way yet.
    pub(crate) async fn settle(
        &self,
        write: RowWrite,
        why: String,
        fence: Option<Barrier>,
        end: Instant,
    ) -> Result<FencedOutcome, Error> {
        if write.write_id.0 != 0
            && let Some(Ok(stored)) =
                self.read(std::slice::from_ref(&write.key), Some(end)).await.pop()
            && let Some(stamp) = stored.stamp
            && stamp.write_id == write.write_id
        {
            return Ok(FencedOutcome::Done(WriteOutcome::Applied(stamp), row_if(fence, stored)?));
        }
        Err(Error::Unknown(why))
    }

    /// What stands for a row while it is made: the row's first rev is the one after.
    pub(crate) fn stub(&self, key: &RowKey, seed_micros: u64) -> Item {
        let mut stub = row_key(key);
        stub.insert(REV.to_owned(), number(first_rev(seed_micros) - 1));
        stub.insert(EXPIRES_AT.to_owned(), number(self.expires_at(seed_micros, Duration::ZERO)));
        stub
    }

    /// When an item that is written now and lives so long may be removed.
    pub(crate) fn expires_at(&self, seed_micros: u64, ttl: Duration) -> u64 {
        let end = (seed_micros / 1_000_000).saturating_add(ttl.as_secs());
        end.saturating_add(self.options.grace_seconds)
    }

    pub(crate) fn expression(
        &self,
        write: &RowWrite,
        known: Option<Stamp>,
        fence: Option<Barrier>,
        seed_micros: u64,
    ) -> Expression {
        let mut update = Expression::default();
        if write.write_id.0 != 0 {
            let id = update.value(item::write_id(write.write_id));
            update.when(format!("attribute_not_exists({WRITE_ID}) OR {WRITE_ID} <> {id}"));
            update.set_to(WRITE_ID, &id);
        } else {
            update.remove(WRITE_ID);
        }
        when_condition(&mut update, write.condition);
        when_order(&mut update, write.order, known);
        // A first rev is the seed; a barrier without a row goes on from its own.
        let (before, one) = (update.number(first_rev(seed_micros) - 1), update.number(1));
        update.set_to(REV, &format!("if_not_exists({REV}, {before}) + {one}"));
        if let Some(fence) = fence {
            when_above_barrier(&mut update, fence);
            update.set(BARRIER_EPOCH, number(fence.epoch));
        }
        match &write.op {
            WriteOp::Put(row) => {
                update.set(ROW_BYTES, binary(row.as_bytes().to_vec()));
                update.remove(DEAD);
                match &write.subject {
                    Some(subject) => update.set(SUBJECT, item::text(&**subject)),
                    None => {
                        update.remove(SUBJECT);
                        update.remove(ERASURES);
                    }
                }
                match write.ttl {
                    Some(ttl) => {
                        update.set(EXPIRES_AT, number(self.expires_at(seed_micros, ttl)));
                    }
                    None => update.remove(EXPIRES_AT),
                }
            }
            WriteOp::Delete => {
                update.set(DEAD, AttributeValue::Bool(true));
                update.remove(ROW_BYTES);
                update.remove(SUBJECT);
                update.remove(ERASURES);
                update.set(EXPIRES_AT, number(self.expires_at(seed_micros, Duration::ZERO)));
            }
        }
        update
    }
}

/// The rev of a row that nothing stood in for.
fn first_rev(seed_micros: u64) -> u64 {
    seed_micros.max(1)
}

pub(crate) fn done(stamp: Stamp, op: WriteOp, fence: Option<Barrier>) -> FencedOutcome {
    let row = fence.is_some().then(|| stamp.apply_to(op));
    FencedOutcome::Done(WriteOutcome::Applied(stamp), row)
}

/// The row that an earlier attempt made, for a fenced writer: it may put it into the cache, so it
/// gets it only where the barrier protects it as this writer's own step would have.
pub(crate) fn row_if(fence: Option<Barrier>, stored: Stored) -> Result<Option<Row>, Error> {
    let barrier = stored.barrier;
    match fence {
        Some(fence) if barrier < fence && barrier.epoch == fence.epoch => stored.into_row(),
        _ => Ok(None),
    }
}

fn when_condition(update: &mut Expression, condition: Condition) {
    match condition {
        Condition::None => {}
        Condition::Rev(0) => {
            update.when(format!("attribute_not_exists({EVENT_TIME}) OR attribute_exists({DEAD})"));
        }
        Condition::Rev(rev) => {
            let rev = update.number(rev);
            update.when(format!(
                "{REV} = {rev} AND attribute_exists({EVENT_TIME}) AND attribute_not_exists({DEAD})"
            ));
        }
        Condition::ExactRev(0) => update.when(format!("attribute_not_exists({EVENT_TIME})")),
        Condition::ExactRev(rev) => {
            let rev = update.number(rev);
            update.when(format!("{REV} = {rev} AND attribute_exists({EVENT_TIME})"));
        }
    }
}

/// The order's condition, and the event time and sequence that the row takes. Where these depend on
/// the row that stands there, the first attempt takes the likely case (an older row, or none), and the
/// row that refused it says which case it is: none of them pins the row's rev, so that writers who
/// contend do not throw each other back.
fn when_order(update: &mut Expression, order: Order, known: Option<Stamp>) {
    match order {
        Order::At { event_time, sequence: Some(sequence) } => {
            let (time, seq) = (update.number(event_time.0), update.number(sequence));
            update.when(format!(
                "attribute_not_exists({EVENT_TIME}) OR {EVENT_TIME} < {time} OR \
                 ({EVENT_TIME} = {time} AND {SEQ} < {seq})"
            ));
            update.set_to(EVENT_TIME, &time);
            update.set_to(SEQ, &seq);
        }
        Order::At { event_time, sequence: None } => {
            let time = update.number(event_time.0);
            update.set_to(EVENT_TIME, &time);
            if known.is_some_and(|row| row.event_time == event_time) {
                when_next_sequence(update, &time);
            } else {
                when_older_or_none(update, &time);
            }
        }
        Order::Now { now } => match known {
            Some(row) if row.event_time.0 == i64::MAX && row.sequence == u64::MAX => {
                // The end of both: only the rev is left to grow.
                let (time, seq) = (update.number(i64::MAX), update.number(u64::MAX));
                update.when(format!("{EVENT_TIME} = {time} AND {SEQ} = {seq}"));
                update.set_to(EVENT_TIME, &time);
                update.set_to(SEQ, &seq);
            }
            Some(row) if row.event_time.0 == i64::MAX => {
                let time = update.number(i64::MAX);
                update.set_to(EVENT_TIME, &time);
                when_next_sequence(update, &time);
            }
            Some(row) if row.event_time >= now => {
                let (time, last) = (update.number(now.0), update.number(i64::MAX));
                let (zero, one) = (update.number(0), update.number(1));
                update.when(format!("{EVENT_TIME} >= {time} AND {EVENT_TIME} < {last}"));
                update.set_to(EVENT_TIME, &format!("{EVENT_TIME} + {one}"));
                update.set_to(SEQ, &zero);
            }
            _ => {
                let time = update.number(now.0);
                update.set_to(EVENT_TIME, &time);
                when_older_or_none(update, &time);
            }
        },
        Order::Replacing { event_time, sequence, new_event_time, new_sequence } => {
            let (time, seq) = (update.number(event_time.0), update.number(sequence));
            update.when(format!("{EVENT_TIME} = {time} AND {SEQ} = {seq}"));
            update.set(EVENT_TIME, number(new_event_time.0));
            update.set(SEQ, number(new_sequence));
        }
    }
}

fn when_older_or_none(update: &mut Expression, time: &str) {
    update.when(format!("attribute_not_exists({EVENT_TIME}) OR {EVENT_TIME} < {time}"));
    update.set(SEQ, number(0));
}

/// The next sequence at this event time.
fn when_next_sequence(update: &mut Expression, time: &str) {
    let (last, one) = (update.number(u64::MAX), update.number(1));
    update.when(format!("{EVENT_TIME} = {time} AND {SEQ} < {last}"));
    update.set_to(SEQ, &format!("{SEQ} + {one}"));
}
