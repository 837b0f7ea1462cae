//! Requests to the door: several under way, outcomes counted.
//!
//! **A store that cannot keep up** answers that it is throttled, or not in time. What it did not take
//! is sent again after a pause, and requests become half as large, which is what lowers their load: a
//! DynamoDB table writes rows one by one. Each success makes them a little larger again. Rows are
//! written at their stamps, so one that was taken though nobody heard of it is met as unchanged.

use std::{
    num::NonZeroU32,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{sync::Mutex, task::JoinSet, time::Instant};
use trivium_model::{FeatureView, KeyValue, Lane};
use trivium_store::{DoorError, DoorRequest, DoorRow, Order, WriteDoor, WriteOutcome};

use super::{MaterializeOptions, MaterializeProgress, patience::Patience};
use crate::{
    Error,
    entity::{row_name, shown},
};

/// Of a full request: what each success adds to the size of the next.
const RECOVERY: usize = 16;
/// The fewest rows that a struggling store is sent at once, where a request may have that many.
const FEWEST_ROWS: usize = 20;

/// How writes ended.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Tally {
    pub(super) applied: u64,
    pub(super) unchanged: u64,
    pub(super) superseded: u64,
    pub(super) retracted: u64,
    pub(super) erased: u64,
}

/// Keeps requests apart, so that no second sees more rows than it may; rows that are sent again count
/// again.
#[derive(Debug)]
struct Pace {
    rows_per_second: NonZeroU32,
    /// When the next request may be sent. Held by the one that waits for it; the others queue up.
    next: Mutex<Instant>,
}

impl Pace {
    fn new(rows_per_second: NonZeroU32) -> Self {
        Self { rows_per_second, next: Mutex::new(Instant::now()) }
    }

    /// Waits until so many rows may be sent. What was not used up is not saved for later.
    async fn wait(&self, rows: usize) {
        let mut next = self.next.lock().await;
        tokio::time::sleep_until(*next).await;
        let rows = u32::try_from(rows).unwrap_or(u32::MAX);
        let span = Duration::from_secs(1) * rows / self.rows_per_second.get();
        *next = Instant::now() + span;
    }
}

/// Rows in a request, as the store bears them; shared by all requests of a run.
#[derive(Debug)]
struct Size {
    most: usize,
    now: AtomicUsize,
}

impl Size {
    fn new(most: usize) -> Self {
        Self { most, now: AtomicUsize::new(most) }
    }
    fn now(&self) -> usize {
        self.now.load(Ordering::Relaxed)
    }
    /// Half of a request, or the least that one has.
    fn half(&self, of: usize) -> usize {
        (of / 2).max(FEWEST_ROWS.min(self.most))
    }
    fn shrink(&self, to: usize) {
        self.now.fetch_min(to, Ordering::Relaxed);
    }
    fn grow(&self) {
        let more = (self.most / RECOVERY).max(1);
        // Lost updates of other requests do no harm.
        self.now.store(self.now().saturating_add(more).min(self.most), Ordering::Relaxed);
    }
}

/// What all requests share. Cheap to clone.
#[derive(Clone)]
struct Sender {
    door: Arc<dyn WriteDoor>,
    view: Arc<FeatureView>,
    size: Arc<Size>,
    pace: Option<Arc<Pace>>,
    patience: Patience,
    progress: Arc<dyn MaterializeProgress>,
}

/// Sends rows; each request on its own task, so that the store and the reader both have a core.
pub(super) struct Writer {
    sender: Sender,
    in_flight: usize,
    batch_rows: usize,
    dry_run: bool,
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
        // A request is at most what may be sent in a second.
        let batch_rows = options
            .rows_per_second
            .map_or(options.batch_rows, |rate| options.batch_rows.min(rate.get() as usize))
            .max(1);
        Self {
            sender: Sender {
                door,
                view,
                size: Arc::new(Size::new(batch_rows)),
                pace: options.rows_per_second.map(|rate| Arc::new(Pace::new(rate))),
                patience: Patience::new(options),
                progress: Arc::clone(&progress),
            },
            in_flight: options.in_flight.max(1),
            batch_rows,
            dry_run: options.dry_run,
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
        self.tasks.spawn(self.sender.clone().send(batch));
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

impl Sender {
    /// Sends rows until each is acknowledged, or one is refused, or the store had its last try.
    async fn send(self, mut rows: Vec<DoorRow>) -> Result<Tally, Error> {
        let mut tally = Tally::default();
        let mut failures = 0;
        // Since the last success.
        let mut most = usize::MAX;
        while !rows.is_empty() {
            self.patience.stop_if_asked()?;
            let size = self.size.now();
            let rest = rows.split_off(size.min(most).min(rows.len()));
            let count = rows.len();
            if let Some(pace) = &self.pace {
                self.patience.unless_stopped(pace.wait(count)).await?;
            }
            let refused = self.request(rows, &mut tally).await?;
            // What a few rows meet says nothing of full requests.
            let is_full = count >= size;
            let Some((left, error)) = refused else {
                (failures, most) = (0, usize::MAX);
                if is_full {
                    self.size.grow();
                }
                rows = rest;
                continue;
            };
            // Part of a request that was taken is an answer, too.
            failures = if left.len() < count { 1 } else { failures + 1 };
            let Some(pause) = self.patience.pause(failures) else { return Err(error) };
            most = self.size.half(count);
            if is_full {
                self.size.shrink(most);
            }
            rows = left;
            rows.extend(rest);
            self.progress.sent_again(rows.len(), pause, &error);
            self.patience.wait(pause).await?;
        }
        Ok(tally)
    }

    /// Sends rows once. What may be taken another time comes back, in its order and with the reason.
    async fn request(
        &self,
        rows: Vec<DoorRow>,
        tally: &mut Tally,
    ) -> Result<Option<(Vec<DoorRow>, Error)>, Error> {
        // Copies, to send again or to name what is refused: little beside the trip to the store, and
        // of the rows' bytes there is one copy.
        let sent = rows.clone();
        let view = self.view.reference();
        let request = DoorRequest { view, lane: Lane::Batch, rows, deadline: None };
        let outcomes = match self.door.write(request).await {
            Ok(outcomes) => outcomes,
            Err(error) if may_pass(&error) => return Ok(Some((sent, self.failed(error, None)))),
            Err(error) => return Err(self.failed(error, None)),
        };
        if outcomes.len() != sent.len() {
            return Err(Error::Internal("the door answered for another number of rows".to_owned()));
        }
        let mut left = Vec::new();
        let mut reason = None;
        for (outcome, row) in outcomes.into_iter().zip(sent) {
            match outcome {
                Ok(outcome) => tally.add(outcome, row.order),
                Err(error) => {
                    let is_final = !may_pass(&error);
                    let named = named(&self.view, &row.entity, row.order);
                    let error = self.failed(error, Some(named));
                    if is_final {
                        return Err(error);
                    }
                    reason.get_or_insert(error);
                    left.push(row);
                }
            }
        }
        Ok(reason.map(|reason| (left, reason)))
    }

    fn failed(&self, source: DoorError, row: Option<String>) -> Error {
        Error::Door { view: self.view.reference(), row, source: Box::new(source) }
    }
}

/// Whether the same rows may be taken another time.
fn may_pass(error: &DoorError) -> bool {
    match error {
        DoorError::Store(error) => error.is_retryable(),
        DoorError::Shed { .. } => true,
        DoorError::Invalid { .. } | DoorError::UnknownView(_) => false,
    }
}

impl Tally {
    fn add(&mut self, outcome: WriteOutcome, order: Order) {
        match (outcome, order) {
            (WriteOutcome::Applied(_), Order::Replacing { .. }) => self.retracted += 1,
            (WriteOutcome::Applied(_), _) => self.applied += 1,
            (WriteOutcome::Superseded(row), Order::At { event_time, sequence })
                if row.event_time == event_time && Some(row.sequence) == sequence =>
            {
                self.unchanged += 1;
            }
            // The person asked to be forgotten: a rerun of history does not bring anybody back.
            (WriteOutcome::Erased(_), _) => self.erased += 1,
            // What a retraction does not meet is gone already, or somebody wrote over it.
            (_, Order::Replacing { .. }) => self.unchanged += 1,
            (WriteOutcome::Superseded(_) | WriteOutcome::Conflict(_), _) => self.superseded += 1,
        }
    }
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
