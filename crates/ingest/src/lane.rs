//! One partition's messages, a batch at a time.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use rand::RngExt as _;
use trivium_model::{Timestamp, ViewRef};
use trivium_payload::{Poison, Reason};
use trivium_runtime::{Clock, Shutdown};
use trivium_store::WriteDoor;

use crate::{
    Flood, FloodOptions, Schemas,
    batch::{self, Batch},
    port::{DeadLetters, Letter, Partition, Record},
    routes::Routes,
    write::{Unwritten, Writer, Written},
};

/// How a lane works.
#[derive(Debug, Clone)]
pub struct LaneOptions {
    /// Rows of one request to the door.
    pub request_rows: usize,
    /// How long a request may take.
    pub request_time: Duration,
    /// The longest pause after a first failure; each further one doubles it.
    pub pause_first: Duration,
    /// The longest pause of all.
    pub pause_most: Duration,
    /// When dead letters are too many.
    pub flood: FloodOptions,
    /// How long a view that is not known here is waited for: longer than definitions need to come.
    pub patience: Duration,
}

impl Default for LaneOptions {
    fn default() -> Self {
        Self {
            request_rows: 1_000,
            request_time: Duration::from_secs(10),
            pause_first: Duration::from_millis(50),
            pause_most: Duration::from_secs(10),
            flood: FloodOptions::default(),
            patience: Duration::from_secs(10),
        }
    }
}

impl LaneOptions {
    /// The pause after so many failures in a row: at random below a bound that doubles, so that
    /// workers that failed together do not come back together.
    pub(crate) fn pause(&self, failures: u32) -> Duration {
        self.pause_asked(failures, Duration::ZERO)
    }

    /// The same where the other side asked to stay away for so long: not shorter than that, and up to half
    /// of it longer, since it has told all the others the same. Never longer than the longest pause.
    pub(crate) fn pause_asked(&self, failures: u32, asked: Duration) -> Duration {
        let longest = self.pause_most.max(Duration::from_millis(1));
        let doubled = self.pause_first.saturating_mul(1 << failures.saturating_sub(1).min(20));
        let most = doubled.clamp(Duration::from_millis(1), longest);
        let least = asked.max(most / 2).min(longest);
        rand::rng().random_range(least..=most.max(least.saturating_add(least / 2)).min(longest))
    }
}

/// What became of a batch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LaneReport {
    /// Messages.
    pub records: u64,
    /// Rows that are now the newest.
    pub applied: u64,
    /// Rows behind newer ones.
    pub superseded: u64,
    /// Rows of erased persons.
    pub erased: u64,
    /// Dead letters.
    pub letters: u64,
}

/// Why a batch was not taken to its end. Its progress must not be moved; part of it may be written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Stopped {
    /// It was asked to.
    #[error("it was asked to stop")]
    Asked,
    /// Too many messages could not become rows: nothing was dead-lettered. The first of them says why.
    #[error(
        "{bad} of {all} messages cannot become rows, which is more than may be dead-lettered; {first}"
    )]
    Flood {
        /// How many of this batch.
        bad: usize,
        /// Of how many.
        all: usize,
        /// What is wrong with the first, and where it stands.
        first: String,
    },
    /// A view of the topic cannot be read by this worker, or none reads it: its messages wait.
    #[error("the topic is not read: {0}")]
    Unread(String),
}

/// What all lanes of a worker share. Cheap to clone.
#[derive(Clone)]
pub struct Parts {
    /// Which messages are which views' rows.
    pub routes: Arc<ArcSwap<Routes>>,
    /// What Avro's messages were written under.
    pub schemas: Arc<Schemas>,
    /// Where rows go.
    pub door: Arc<dyn WriteDoor>,
    /// Where what cannot become a row goes.
    pub letters: Arc<dyn DeadLetters>,
    /// The wall clock.
    pub clock: Arc<dyn Clock>,
    /// How each lane works.
    pub options: LaneOptions,
}

/// A partition's messages on their way.
pub struct Lane {
    partition: Partition,
    parts: Parts,
    flood: Flood,
    /// Since when messages have named views that these definitions do not have.
    unknown: Option<(Arc<Routes>, Instant)>,
}

impl Lane {
    /// Of this partition.
    pub fn new(partition: Partition, parts: Parts) -> Self {
        let flood = Flood::new(parts.options.flood);
        Self { partition, parts, flood, unknown: None }
    }

    /// The partition.
    pub fn partition(&self) -> &Partition {
        &self.partition
    }

    /// After a flood somebody has looked: of the next messages, at least so many may be dead-lettered.
    pub fn let_pass(&mut self, messages: u64) {
        self.flood.let_pass(messages);
    }

    /// Takes messages to their end: when it returns well, each is durable in the store or among the
    /// dead letters, and progress may be moved behind the last.
    pub async fn take(
        &mut self,
        records: &[Record],
        stop: &Shutdown,
    ) -> Result<LaneReport, Stopped> {
        loop {
            if let Some(report) = self.try_to_take(records, stop).await? {
                return Ok(report);
            }
        }
    }

    /// None: definitions have changed in the middle, and what was read may mean something else now.
    /// Rows that are written already are written again as what they are.
    async fn try_to_take(
        &mut self,
        records: &[Record],
        stop: &Shutdown,
    ) -> Result<Option<LaneReport>, Stopped> {
        let routes = self.parts.routes.load_full();
        if let Some(why) = routes.waiting(&self.partition.topic) {
            return Err(Stopped::Unread(why));
        }
        let batch = self.read(&routes, records, stop).await?;
        let mut poisoned = batch.poisoned;
        if self.should_wait_for_views(&routes, &poisoned) {
            tokio::select! {
                () = tokio::time::sleep(self.parts.options.pause_first) => return Ok(None),
                () = stop.wait() => return Err(Stopped::Asked),
            }
        }
        self.check_flood(records, &poisoned)?;
        let writer = Writer { parts: &self.parts, routes: &routes, stop };
        let mut report = LaneReport { records: records.len() as u64, ..LaneReport::default() };
        for (view, entities) in batch.views {
            let mut written = Written::default();
            let ended = writer.write(&view, entities, &mut written).await;
            self.tell(&view, &written);
            match ended {
                Ok(()) => {}
                Err(Unwritten::Asked) => return Err(Stopped::Asked),
                Err(Unwritten::Changed) => return Ok(None),
            }
            report.applied += written.applied;
            report.superseded += written.superseded;
            report.erased += written.erased;
            let refused = written.refused.into_iter();
            poisoned.extend(refused.map(|(record, poison)| (record, Some(view.clone()), poison)));
        }
        // What serving refused counts as well, now that it is known.
        self.check_flood(records, &poisoned)?;
        self.flood.count(records.len(), messages(&poisoned));
        report.letters = poisoned.len() as u64;
        self.put_away(records, poisoned, stop).await?;
        for (view, messages) in batch.passed {
            metrics::counter!("trivium_ingest_passed_over_total", "view" => view.to_string())
                .increment(messages);
        }
        Ok(Some(report))
    }

    /// The messages, read; schemas that they name are brought first.
    async fn read(
        &self,
        routes: &Routes,
        records: &[Record],
        stop: &Shutdown,
    ) -> Result<Batch, Stopped> {
        let Parts { schemas, options, .. } = &self.parts;
        batch::bring_and_read(routes, schemas, options, &self.partition.topic, records, stop).await
    }

    /// Whether messages name views that may only not be known here yet. So they are waited for, once
    /// for each state of the definitions.
    fn should_wait_for_views(
        &mut self,
        routes: &Arc<Routes>,
        poisoned: &[(usize, Option<ViewRef>, Poison)],
    ) -> bool {
        if !poisoned.iter().any(|(_, _, poison)| poison.reason == Reason::UnknownView) {
            return false;
        }
        let since = match &self.unknown {
            Some((seen, since)) if Arc::ptr_eq(seen, routes) => *since,
            _ => {
                let now = Instant::now();
                self.unknown = Some((Arc::clone(routes), now));
                now
            }
        };
        since.elapsed() < self.parts.options.patience
    }

    fn check_flood(
        &self,
        records: &[Record],
        poisoned: &[(usize, Option<ViewRef>, Poison)],
    ) -> Result<(), Stopped> {
        let Some((number, _, poison)) = poisoned.first() else { return Ok(()) };
        self.flood.check(records.len(), messages(poisoned), || {
            format!("{} at {}: {poison}", self.partition, records[*number].offset)
        })
    }

    /// Puts letters away, and tries until they are.
    async fn put_away(
        &self,
        records: &[Record],
        mut poisoned: Vec<(usize, Option<ViewRef>, Poison)>,
        stop: &Shutdown,
    ) -> Result<(), Stopped> {
        if poisoned.is_empty() {
            return Ok(());
        }
        poisoned.sort_by_key(|(number, ..)| *number);
        let first_seen = Timestamp(self.parts.clock.now_micros());
        let letters: Vec<Letter> = poisoned
            .into_iter()
            .map(|(number, view, poison)| {
                let record = records[number].clone();
                Letter { partition: self.partition.clone(), record, view, poison, first_seen }
            })
            .collect();
        let mut failures = 0;
        loop {
            let put = tokio::select! {
                put = self.parts.letters.put(letters.clone()) => put,
                // They may be put away all the same, and are there twice then.
                () = stop.wait() => return Err(Stopped::Asked),
            };
            let Err(error) = put else { break };
            failures += 1;
            let pause = self.parts.options.pause(failures);
            tracing::warn!(partition = %self.partition, letters = letters.len(), %error, "tried again");
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = stop.wait() => return Err(Stopped::Asked),
            }
        }
        for letter in &letters {
            let (topic, reason) = (self.partition.topic.to_string(), letter.poison.reason.word());
            metrics::counter!("trivium_ingest_dead_letters_total", "topic" => topic, "reason" => reason)
                .increment(1);
        }
        Ok(())
    }

    fn tell(&self, view: &ViewRef, written: &Written) {
        let view = view.to_string();
        let count = |outcome: &'static str, rows: u64| {
            if rows > 0 {
                metrics::counter!(
                    "trivium_ingest_rows_total", "view" => view.clone(), "outcome" => outcome
                )
                .increment(rows);
            }
        };
        count("applied", written.applied);
        count("superseded", written.superseded);
        count("erased", written.erased);
        let now = self.parts.clock.now_micros();
        let freshness =
            metrics::histogram!("trivium_ingest_freshness_seconds", "view" => view.clone());
        for event_time in &written.fresh {
            freshness.record(now.saturating_sub(event_time.0).max(0) as f64 / 1e6);
        }
    }
}

/// A message counts once, however many views cannot take it.
fn messages(poisoned: &[(usize, Option<ViewRef>, Poison)]) -> usize {
    let mut numbers: Vec<usize> = poisoned.iter().map(|(number, ..)| *number).collect();
    numbers.sort_unstable();
    numbers.dedup();
    numbers.len()
}
