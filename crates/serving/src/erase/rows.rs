//! Deleting a subject's rows.
//!
//! A row is deleted where it was put under an earlier count of erasures, whatever its event time, and on
//! the condition that it still is the very row that was looked at: what was written since the request is
//! never touched. The delete is an ordinary write, so that the shared cache is fenced and told.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant as StdInstant},
};

use tokio::time::Instant;
use trivium_codec::RowKey;
use trivium_model::Timestamp;
use trivium_store::{
    Condition, Error, Order, ReadOptions, RowWrite, Stamp, SubjectPage, SubjectRow, WriteOp,
    WriteOutcome,
};

use super::run::{Held, Patience, Stopped};
use crate::Serving;

/// Rows read, deleted and counted at a time: their keys stand in the record meanwhile.
const AT_A_TIME: usize = 100;

/// How long rows that are gone may stay in the cache before that is a problem, in leases of an erasure.
const FORGOTTEN_WITHIN_LEASES: u32 = 4;
const FORGOTTEN_PAUSE_FIRST: Duration = Duration::from_millis(5);
const FORGOTTEN_PAUSE_MAX: Duration = Duration::from_secs(1);

/// The delete of a row of before the erasure: where it still has this stamp. What takes its place stands
/// at the tombstone's event time, so that every later write is newer.
pub(crate) fn delete_of(key: &RowKey, row: &Stamp, up_to: Timestamp) -> RowWrite {
    let order = Order::Replacing {
        event_time: row.event_time,
        sequence: row.sequence,
        new_event_time: up_to,
        new_sequence: u64::MAX,
    };
    RowWrite {
        condition: Condition::ExactRev(row.rev),
        ..RowWrite::new(key.clone(), WriteOp::Delete, order)
    }
}

/// Whether a write of this order is newer than the erasure: where it was refused all the same, it was merged
/// with a row that is to be erased.
pub(crate) fn is_newer(order: Order, up_to: Timestamp) -> bool {
    match order {
        Order::At { event_time, .. } => event_time > up_to,
        Order::Now { now } => now >= up_to,
        Order::Replacing { new_event_time, .. } => new_event_time > up_to,
    }
}

/// `namespace/view@version`
fn view_of(key: &RowKey) -> String {
    let namespace = key.partition().split('#').next().unwrap_or_default();
    // A name has no `#`, and the version comes last.
    format!("{namespace}/{}", key.sort().replace('#', "@"))
}

impl Serving {
    /// Sweeps until one that began at `settled` or later finds nothing.
    pub(super) async fn delete_rows(
        &self,
        held: &mut Held,
        settled: Instant,
    ) -> Result<(), Stopped> {
        loop {
            let began = Instant::now();
            let found = self.sweep(held).await?;
            if found > 0 {
                continue;
            }
            if began >= settled {
                return Ok(());
            }
            self.wait_holding(held, settled).await?;
        }
    }

    /// Deletes what the index shows; how many rows that were.
    async fn sweep(&self, held: &mut Held) -> Result<u64, Stopped> {
        let mut found = 0;
        let mut newer: BTreeMap<String, u64> = BTreeMap::new();
        let mut after: Option<String> = None;
        loop {
            let page = self.page(held, after.as_deref()).await?;
            for keys in page.keys.chunks(AT_A_TIME) {
                let mut old = Vec::new();
                for (key, row) in keys.iter().zip(self.rows_of(held, keys).await?) {
                    match row {
                        None => {}
                        Some(row) if row.erasure < held.tombstone.erasure => old.push(key),
                        Some(_) => *newer.entry(view_of(key)).or_default() += 1,
                    }
                }
                if old.is_empty() {
                    continue;
                }
                found += old.len() as u64;
                let name = |key: &&RowKey| String::from_utf8_lossy(key.as_bytes()).into_owned();
                held.job.page = old.iter().map(name).collect();
                // Before any of it goes: else a crash would leave deletions that nobody counted.
                self.save(held).await?;
                self.delete_page(held).await?;
            }
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        held.job.sweeps = held.job.sweeps.saturating_add(1);
        for rows in held.job.views.values_mut() {
            rows.newer = 0;
        }
        for (view, count) in newer {
            held.job.rows(view).newer = count;
        }
        if found > 0 {
            // For whoever asks meanwhile.
            self.save(held).await?;
        }
        Ok(found)
    }

    async fn page(&self, held: &mut Held, after: Option<&str>) -> Result<SubjectPage, Stopped> {
        let mut patience = Patience::of(self.options().erasure.lease());
        loop {
            held.job.index_calls += 1;
            match held.store.keys_of(&held.subject, after).await {
                Ok(page) => return Ok(page),
                Err(error) if patience.lasts_after(&error).await => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// What stands at these keys, read strongly.
    async fn rows_of(
        &self,
        held: &mut Held,
        keys: &[RowKey],
    ) -> Result<Vec<Option<SubjectRow>>, Stopped> {
        let mut patience = Patience::of(self.options().erasure.lease());
        loop {
            held.job.item_calls += keys.len() as u64;
            let rows = held.store.rows_of(&held.subject, keys).await;
            let count = rows.len();
            match rows.into_iter().collect::<Result<Vec<_>, Error>>() {
                Ok(rows) if count == keys.len() => return Ok(rows),
                Ok(_) => return Err(Stopped::Failed("the store left a row unanswered".to_owned())),
                Err(error) if patience.lasts_after(&error).await => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Deletes the rows of the record's page, sees that they are gone, and counts them.
    pub(super) async fn delete_page(&self, held: &mut Held) -> Result<(), Stopped> {
        let keys = held.job.page.iter().map(|key| RowKey::from_bytes(key.as_bytes()));
        let keys: Vec<RowKey> = keys
            .collect::<Result<_, _>>()
            .map_err(|error| Stopped::Failed(format!("the erasure's record: {error}")))?;
        let mut patience = Patience::of(self.options().erasure.lease());
        let gone: Vec<RowKey> = loop {
            let rows = self.rows_of(held, &keys).await?;
            let deletes: Vec<RowWrite> = keys
                .iter()
                .zip(&rows)
                .filter_map(|(key, row)| {
                    let row = row.filter(|row| row.erasure < held.tombstone.erasure)?;
                    let delete = delete_of(key, &row.stamp, held.tombstone.up_to);
                    Some(RowWrite { subject: Some(held.subject.clone()), ..delete })
                })
                .collect();
            if deletes.is_empty() && self.are_gone(held, &keys, &rows).await? {
                let is_gone = |(_, row): &(_, &Option<SubjectRow>)| row.is_none();
                break keys.iter().zip(&rows).filter(is_gone).map(|(key, _)| key.clone()).collect();
            }
            held.job.item_calls += deletes.len() as u64;
            let is_sent = !deletes.is_empty();
            let problem = self.send_deletes(deletes).await;
            // A write that came between is looked at anew at once; what failed, after a pause.
            if (problem.is_some() || !is_sent) && !patience.lasts().await {
                let why = problem.unwrap_or_else(|| "a read still shows a deleted row".to_owned());
                return Err(Stopped::Failed(why));
            }
        };
        self.await_forgotten(held, &gone).await?;
        for key in &keys {
            held.job.rows(view_of(key)).deleted += 1;
        }
        held.job.verified += keys.len() as u64;
        held.job.page.clear();
        Ok(())
    }

    /// Waits until the cache has forgotten rows that are gone. At once, as a rule; but whoever died between
    /// deleting a row and telling the cache so left its values there, where no caller reads them.
    async fn await_forgotten(&self, held: &mut Held, keys: &[RowKey]) -> Result<(), Stopped> {
        let until = Instant::now() + self.options().erasure.lease() * FORGOTTEN_WITHIN_LEASES;
        let mut pause = FORGOTTEN_PAUSE_FIRST;
        while !keys.is_empty() && !held.store.are_forgotten(keys).await {
            let now = Instant::now();
            if now >= until {
                // Another node may see the cache.
                return Err(Stopped::Failed(
                    "the cache may keep rows that were deleted".to_owned(),
                ));
            }
            self.wait_holding(held, now + pause).await?;
            pause = (pause * 2).min(FORGOTTEN_PAUSE_MAX);
        }
        Ok(())
    }

    /// What went wrong with one of them, if anything did.
    async fn send_deletes(&self, deletes: Vec<RowWrite>) -> Option<String> {
        if deletes.is_empty() {
            return None;
        }
        let seed = u64::try_from(self.wall_now().0).unwrap_or(1);
        let outcomes = self.stores().writer.write(deletes, seed, self.deadline()).await;
        outcomes.into_iter().find_map(|outcome| match outcome {
            Ok(
                WriteOutcome::Applied(_)
                | WriteOutcome::Conflict(_)
                | WriteOutcome::Superseded(_)
                | WriteOutcome::Erased(_),
            ) => None,
            Err(error) => Some(error.to_string()),
        })
    }

    /// Whether everybody reads that these rows are gone: through the cache, as any caller. `rows` is what the
    /// store itself said a moment ago.
    async fn are_gone(
        &self,
        held: &mut Held,
        keys: &[RowKey],
        rows: &[Option<SubjectRow>],
    ) -> Result<bool, Stopped> {
        held.job.item_calls += keys.len() as u64;
        let deadline: Option<StdInstant> = self.deadline();
        let options = ReadOptions { deadline, ..ReadOptions::default() };
        let read = self.stores().reader.get(keys, &options).await;
        if read.len() != keys.len() {
            return Ok(false);
        }
        for (row, known) in read.iter().zip(rows) {
            match row {
                // Tried again, after a pause.
                Err(_) => return Ok(false),
                Ok(Some(row)) if !row.is_deleted() => {
                    // Written since: never older than what was written since and seen a moment ago.
                    let is_newer = known.is_some_and(|known| row.rev() >= known.stamp.rev);
                    if !is_newer {
                        return Ok(false);
                    }
                }
                Ok(_) => {}
            }
        }
        Ok(true)
    }
}
