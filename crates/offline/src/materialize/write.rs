//! Requests to the door: several under way, outcomes counted.

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use tokio::{task::JoinSet, time::Instant};
use trivium_model::{FeatureView, KeyValue, Lane};
use trivium_store::{DoorRequest, DoorRow, Order, WriteDoor, WriteOutcome};

use super::{MaterializeOptions, MaterializeProgress};
use crate::{
    Error,
    entity::{row_name, shown},
};

/// How writes ended.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Tally {
    pub(super) applied: u64,
    pub(super) unchanged: u64,
    pub(super) superseded: u64,
    pub(super) retracted: u64,
    pub(super) erased: u64,
}

/// Keeps requests apart, so that no second sees more rows than it may.
#[derive(Debug)]
struct Pace {
    rows_per_second: NonZeroU32,
    /// When the next request may be sent.
    next: Instant,
}

impl Pace {
    fn new(rows_per_second: NonZeroU32) -> Self {
        Self { rows_per_second, next: Instant::now() }
    }

    /// Waits until so many rows may be sent. What was not used up is not saved for later.
    async fn wait(&mut self, rows: usize) {
        tokio::time::sleep_until(self.next).await;
        let rows = u32::try_from(rows).unwrap_or(u32::MAX);
        let span = Duration::from_secs(1) * rows / self.rows_per_second.get();
        self.next = Instant::now() + span;
    }
}

/// Sends rows; each request on its own task, so that the store and the reader both have a core.
pub(super) struct Writer {
    door: Arc<dyn WriteDoor>,
    view: Arc<FeatureView>,
    in_flight: usize,
    batch_rows: usize,
    dry_run: bool,
    pace: Option<Pace>,
    tasks: JoinSet<Result<Tally, Error>>,
    /// Rows that do not fill a request yet: partitions may be small.
    waiting: Vec<DoorRow>,
    tally: Tally,
    progress: Arc<dyn MaterializeProgress>,
}

impl Writer {
    pub(super) fn new(
        door: Arc<dyn WriteDoor>,
        view: Arc<FeatureView>,
        options: &MaterializeOptions,
        progress: Arc<dyn MaterializeProgress>,
    ) -> Self {
        Self {
            door,
            view,
            in_flight: options.in_flight.max(1),
            // A request is at most what may be sent in a second.
            batch_rows: options
                .rows_per_second
                .map_or(options.batch_rows, |rate| options.batch_rows.min(rate.get() as usize))
                .max(1),
            dry_run: options.dry_run,
            pace: options.rows_per_second.map(Pace::new),
            tasks: JoinSet::new(),
            waiting: Vec::new(),
            tally: Tally::default(),
            progress,
        }
    }

    pub(super) const fn tally(&self) -> Tally {
        self.tally
    }

    /// Sends rows, waiting while too many requests are under way.
    pub(super) async fn send(&mut self, rows: Vec<DoorRow>) -> Result<(), Error> {
        if self.waiting.is_empty() {
            self.waiting = rows;
        } else {
            self.waiting.extend(rows);
        }
        while self.waiting.len() >= self.batch_rows {
            let rest = self.waiting.split_off(self.batch_rows);
            let batch = std::mem::replace(&mut self.waiting, rest);
            self.request(batch).await?;
        }
        Ok(())
    }

    /// Waits until everything that was sent is acknowledged.
    pub(super) async fn settle(&mut self) -> Result<(), Error> {
        let batch = std::mem::take(&mut self.waiting);
        if !batch.is_empty() {
            self.request(batch).await?;
        }
        while !self.tasks.is_empty() {
            self.take_one().await?;
        }
        Ok(())
    }

    async fn request(&mut self, batch: Vec<DoorRow>) -> Result<(), Error> {
        if self.dry_run {
            for row in &batch {
                match row.order {
                    Order::Replacing { .. } => self.tally.retracted += 1,
                    _ => self.tally.applied += 1,
                }
            }
            return Ok(());
        }
        while self.tasks.len() >= self.in_flight {
            self.take_one().await?;
        }
        if let Some(pace) = &mut self.pace {
            pace.wait(batch.len()).await;
        }
        self.tasks.spawn(write(Arc::clone(&self.door), Arc::clone(&self.view), batch));
        Ok(())
    }

    async fn take_one(&mut self) -> Result<(), Error> {
        let Some(done) = self.tasks.join_next().await else { return Ok(()) };
        let tally =
            done.map_err(|error| Error::Internal(format!("a write task died: {error}")))??;
        self.tally.applied += tally.applied;
        self.tally.unchanged += tally.unchanged;
        self.tally.superseded += tally.superseded;
        self.tally.retracted += tally.retracted;
        self.tally.erased += tally.erased;
        self.progress.rows(
            tally.applied + tally.unchanged + tally.superseded + tally.retracted + tally.erased,
        );
        Ok(())
    }
}

async fn write(
    door: Arc<dyn WriteDoor>,
    view: Arc<FeatureView>,
    rows: Vec<DoorRow>,
) -> Result<Tally, Error> {
    // Copies, to name a row that is refused: little beside its trip to the store.
    let sent: Vec<(Vec<KeyValue>, Order)> =
        rows.iter().map(|row| (row.entity.clone(), row.order)).collect();
    let reference = view.reference();
    let request = DoorRequest { view: reference.clone(), lane: Lane::Batch, rows, deadline: None };
    let failed =
        |source, row| Error::Door { view: reference.clone(), row, source: Box::new(source) };
    let outcomes = door.write(request).await.map_err(|source| failed(source, None))?;
    if outcomes.len() != sent.len() {
        return Err(Error::Internal("the door answered for another number of rows".to_owned()));
    }
    let mut tally = Tally::default();
    for (outcome, (entity, order)) in outcomes.into_iter().zip(sent) {
        let outcome =
            outcome.map_err(|source| failed(source, Some(named(&view, &entity, order))))?;
        match (outcome, order) {
            (WriteOutcome::Applied(_), Order::Replacing { .. }) => tally.retracted += 1,
            (WriteOutcome::Applied(_), _) => tally.applied += 1,
            (WriteOutcome::Superseded(row), Order::At { event_time, sequence })
                if row.event_time == event_time && Some(row.sequence) == sequence =>
            {
                tally.unchanged += 1;
            }
            // The person asked to be forgotten: a rerun of history does not bring anybody back.
            (WriteOutcome::Erased(_), _) => tally.erased += 1,
            // What a retraction does not meet is gone already, or somebody wrote over it.
            (_, Order::Replacing { .. }) => tally.unchanged += 1,
            (WriteOutcome::Superseded(_) | WriteOutcome::Conflict(_), _) => tally.superseded += 1,
        }
    }
    Ok(tally)
}

/// Period and entity of a row.
fn named(view: &FeatureView, entity: &[KeyValue], order: Order) -> String {
    let sequence = match order {
        Order::At { sequence, .. } => sequence,
        Order::Replacing { sequence, .. } => Some(sequence),
        Order::Now { .. } => None,
    };
    let entity = shown(view, entity);
    match sequence {
        None => format!("entity {entity}"),
        Some(sequence) => row_name(view, sequence.cast_signed(), &entity),
    }
}

#[cfg(test)]
mod tests;
