//! Puts of rows that have a subject: the atomic step is a transaction of two, the conditional update of the
//! row and a look at the subject's tombstone, so that a writer that stalls between looking and writing is
//! refused. Only these rows pay for it.
//!
//! A transaction tells nothing of what it wrote, so it is pinned to the row as it was read just before: then
//! what it becomes is known.

use std::time::Instant;

use aws_sdk_dynamodb::{
    operation::transact_write_items::TransactWriteItemsError,
    types::{CancellationReason, ConditionCheck, TransactWriteItem, Update},
};
use trivium_store::{
    Barrier, Decision, Error, FencedOutcome, RowWrite, Stamp, SubjectTombstone, WriteOutcome,
    decide, erase::admit,
};

use crate::{
    beside::{Beside, Joined},
    expression::{Expression, number},
    item::{PK, REV, Stored, row_key},
    people::{ERASURES, tombstone_in, tombstone_key, when_met},
    step::when_here,
    store::{Failure, Inner, Pauses, Table},
    write::{ATTEMPTS_MAX, done, row_if},
};

/// How a transaction that was answered ended.
enum Ended {
    Committed,
    /// One of the two is not as it was read.
    Refused,
    /// Certainly not done: others had one of the two in hand, or there was too much traffic.
    Busy(String),
}

impl Inner {
    /// The step of a put that names a subject.
    pub(crate) async fn write_of_subject(
        &self,
        write: RowWrite,
        subject: &str,
        fence: Option<Barrier>,
        seed_micros: u64,
        end: Instant,
    ) -> Result<FencedOutcome, Error> {
        let mut has_deleted = false;
        let put = self.put_of_subject(write, subject, fence, seed_micros, end, &mut has_deleted);
        match Box::pin(put).await {
            applied @ Ok(FencedOutcome::Done(WriteOutcome::Applied(_), _)) => applied,
            // The row is not what it was: whoever keeps copies must not think so.
            other if has_deleted => {
                let why = "a row of before its subject's erasure was deleted on the way";
                Err(Error::Unknown(match other {
                    Err(error) => format!("{why}: {error}"),
                    Ok(_) => why.to_owned(),
                }))
            }
            other => other,
        }
    }

    async fn put_of_subject(
        &self,
        write: RowWrite,
        subject: &str,
        fence: Option<Barrier>,
        seed_micros: u64,
        end: Instant,
        has_deleted: &mut bool,
    ) -> Result<FencedOutcome, Error> {
        let mut pauses = Pauses::until(end);
        // In a store of two tables only a put that is to be made is worth bringing anything together for.
        let mut is_wanted = self.second.is_none();
        for _ in 0..ATTEMPTS_MAX {
            let found = if is_wanted && self.second.is_some() {
                match self.join(&write.key, subject, seed_micros, end).await? {
                    Joined::Beside(found) => found,
                    Joined::RowOfBefore(row, bar) => {
                        // Whatever comes of it.
                        *has_deleted = true;
                        let deleted =
                            self.delete_of_before(&write.key, *row, bar, fence, seed_micros, end);
                        match Box::pin(deleted).await? {
                            Some(barred) => return Ok(barred),
                            None => continue,
                        }
                    }
                }
            } else {
                Box::pin(self.apart(&write.key, subject, end)).await?
            };
            let Beside { place, row, tombstone } = found;
            let stored = Stored::parse(row.map(Box::new).as_deref_mut())?;
            let bar = tombstone_in(tombstone.as_ref())?.as_ref().map(SubjectTombstone::bar);
            let seen = stored.stamp;
            if let Some(stamp) = seen
                && stamp.write_id == write.write_id
                && write.write_id.0 != 0
            {
                let row = row_if(fence, stored)?;
                return Ok(FencedOutcome::Done(WriteOutcome::Applied(stamp), row));
            }
            if fence.is_some_and(|fence| stored.barrier >= fence) {
                return Ok(FencedOutcome::Barred(stored.barrier));
            }
            let order = match admit(bar, seen.as_ref(), stored.erasure, &write) {
                Ok(order) => order,
                Err(outcome) => return Ok(FencedOutcome::Done(outcome, None)),
            };
            let attempt = RowWrite { order, ..write.clone() };
            let stamp = match decide(seen.as_ref(), &attempt, seed_micros) {
                Decision::Answer(outcome) => return Ok(FencedOutcome::Done(outcome, None)),
                Decision::Apply(stamp) => Stamp {
                    // A barrier without a row has a rev to go on from.
                    rev: stored.rev.map_or(seed_micros.max(1), |rev| rev.saturating_add(1)),
                    ..stamp
                },
            };
            if !is_wanted {
                is_wanted = true;
                continue;
            }
            let mut update = self.expression(&attempt, seen, fence, seed_micros);
            match stored.rev {
                None => update.when(format!("attribute_not_exists({PK})")),
                Some(rev) => {
                    let rev = update.number(rev);
                    update.when(format!("{REV} = {rev}"));
                }
            }
            match bar {
                None => update.remove(ERASURES),
                Some(bar) => update.set(ERASURES, number(bar.erasure)),
            }
            when_here(&mut update);
            let mut check = Expression::default();
            when_met(&mut check, tombstone.as_ref(), bar);
            is_wanted = self.second.is_none();
            match self.at(place).transact(&attempt, update, subject, check, end).await {
                Ok(Ended::Committed) => return Ok(done(stamp, write.op, fence)),
                Ok(Ended::Refused) => {}
                Ok(Ended::Busy(_)) if pauses.sleep().await => {}
                Ok(Ended::Busy(why)) => return Err(Error::Throttled(why)),
                Err(Error::Unknown(why)) => return self.settle(write, why, fence, end).await,
                Err(error) => return Err(error),
            }
        }
        Err(Error::Throttled(format!(
            "other writers of the row were faster {ATTEMPTS_MAX} times; nothing was changed"
        )))
    }
}

impl Table {
    /// Sent once.
    async fn transact(
        &self,
        write: &RowWrite,
        update: Expression,
        subject: &str,
        check: Expression,
        end: Instant,
    ) -> Result<Ended, Error> {
        let invalid =
            |error: aws_sdk_dynamodb::error::BuildError| Error::Invalid(error.to_string());
        let row = Update::builder()
            .table_name(&self.options.table)
            .set_key(Some(row_key(&write.key)))
            .update_expression(update.update())
            .set_condition_expression(update.condition())
            .set_expression_attribute_values(update.into_values())
            .build()
            .map_err(invalid)?;
        let condition = check.condition();
        let tombstone = ConditionCheck::builder()
            .table_name(&self.options.table)
            .set_key(Some(tombstone_key(subject)))
            .set_condition_expression(condition)
            .set_expression_attribute_values(check.into_values())
            .build()
            .map_err(invalid)?;
        let request = self
            .client
            .transact_write_items()
            .transact_items(TransactWriteItem::builder().update(row).build())
            .transact_items(TransactWriteItem::builder().condition_check(tombstone).build());
        match self.send(end, request.send()).await {
            Ok(_) => Ok(Ended::Committed),
            Err(Failure::Sdk(error)) => match error.as_service_error() {
                Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) => {
                    sort(cancelled.cancellation_reasons())
                }
                _ => Err(Failure::Sdk(error).of_write()),
            },
            Err(failure) => Err(failure.of_write()),
        }
    }
}

/// A cancelled transaction has done nothing; why, its reasons tell, one for each of the two.
fn sort(reasons: &[CancellationReason]) -> Result<Ended, Error> {
    let codes = || reasons.iter().filter_map(CancellationReason::code);
    let said = || {
        let messages = reasons.iter().filter_map(CancellationReason::message);
        let messages: Vec<&str> = messages.collect();
        format!("the transaction was cancelled: {}", messages.join("; "))
    };
    if codes().any(|code| code == "ConditionalCheckFailed") {
        return Ok(Ended::Refused);
    }
    if codes().any(|code| matches!(code, "ValidationError" | "ItemCollectionSizeLimitExceeded")) {
        return Err(Error::Invalid(said()));
    }
    Ok(Ended::Busy(said()))
}
