//! A sink: all views' rows of the partitions that it has.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::runtime::Handle;
use trivium_ingest::{
    LaneOptions, Schemas, Stopped,
    port::{Partition, Record},
    read_rows,
};
use trivium_lake_log::{CompactOptions, Error, VacuumOptions};
use trivium_model::{Timestamp, ViewRef};
use trivium_runtime::{Clock, Shutdown};

use crate::{Definitions, view::ViewSink};

/// How a sink works.
#[derive(Debug, Clone)]
pub struct SinkOptions {
    /// The lake's folder.
    pub lake: PathBuf,
    /// How old rows get before they are committed.
    pub commit_every: Duration,
    /// How many bytes of rows are kept before they are committed.
    pub commit_bytes: usize,
    /// How far in the future an event time may lie, as serving takes them, microseconds.
    pub future_micros_max: i64,
    /// How often files are put together and swept.
    pub tend_every: Duration,
    /// Which files are put together.
    pub compact: CompactOptions,
    /// For how long what nobody needs is kept.
    pub vacuum: VacuumOptions,
}

impl Default for SinkOptions {
    fn default() -> Self {
        Self {
            lake: PathBuf::from("lake"),
            commit_every: Duration::from_secs(60),
            commit_bytes: 64 << 20,
            future_micros_max: 86_400_000_000,
            tend_every: Duration::from_secs(300),
            compact: CompactOptions::default(),
            vacuum: VacuumOptions::default(),
        }
    }
}

/// What a sink works with.
#[derive(Clone)]
pub struct SinkParts {
    /// What Avro's messages were written under.
    pub schemas: Arc<Schemas>,
    /// How schemas are asked for.
    pub lane: LaneOptions,
    /// The wall clock.
    pub clock: Arc<dyn Clock>,
    /// Where schemas are asked for.
    pub handle: Handle,
}

/// From where a partition is to be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seek {
    /// Which.
    pub partition: Partition,
    /// The first message; none: the oldest there is.
    pub to: Option<u64>,
}

/// What came of a commit.
#[derive(Debug)]
#[must_use]
pub struct Committed {
    /// Partitions that turned out to be others': where they are read from, if they are not. Nothing else of
    /// them may be taken before that.
    pub seeks: Vec<Seek>,
    /// Why rows are still to be committed.
    pub failed: Option<Error>,
}

/// All views' rows of some partitions.
pub struct Sink {
    pub(crate) options: SinkOptions,
    parts: SinkParts,
    definitions: Arc<Definitions>,
    pub(crate) views: BTreeMap<ViewRef, ViewSink>,
    assigned: BTreeSet<Partition>,
    /// What the rows that are not committed take of memory.
    bytes: usize,
    /// Since when there is anything to commit.
    since: Option<Instant>,
    tended: Instant,
}

impl Sink {
    /// Opens the logs of all views.
    pub fn open(
        options: SinkOptions,
        parts: SinkParts,
        definitions: Arc<Definitions>,
    ) -> Result<Self, Error> {
        let mut sink = Self {
            options,
            parts,
            definitions: Arc::default(),
            views: BTreeMap::new(),
            assigned: BTreeSet::new(),
            bytes: 0,
            since: None,
            tended: Instant::now(),
        };
        sink.open_views(definitions)?;
        Ok(sink)
    }

    fn open_views(&mut self, definitions: Arc<Definitions>) -> Result<(), Error> {
        let mut views = BTreeMap::new();
        for (view, shape) in &definitions.shapes {
            let mut sink = ViewSink::open(&self.options.lake, shape.clone())?;
            for partition in &self.assigned {
                if definitions.routes.views_of(&partition.topic).contains(view) {
                    sink.assign(partition);
                }
            }
            views.insert(view.clone(), sink);
        }
        self.views = views;
        self.definitions = definitions;
        self.bytes = 0;
        self.since = None;
        Ok(())
    }

    /// Takes other definitions into force: what was read is committed under those before them, and what
    /// cannot be is read again under the new ones. Returns from where each partition is to be read.
    pub fn define(&mut self, definitions: Arc<Definitions>) -> Result<Vec<Seek>, Error> {
        if let Some(error) = self.commit().failed {
            tracing::warn!(%error, "rows are read again under the new definitions");
        }
        self.open_views(definitions)?;
        Ok(self.seeks(self.assigned.iter().cloned().collect()))
    }

    /// Takes partitions over. Returns from where each is to be read.
    pub fn assign(&mut self, partitions: &[Partition]) -> Result<Vec<Seek>, Error> {
        for view in self.views.values_mut() {
            view.refresh()?;
        }
        for partition in partitions {
            for view in self.definitions.routes.views_of(&partition.topic) {
                if let Some(view) = self.views.get_mut(&view) {
                    view.assign(partition);
                }
            }
            self.assigned.insert(partition.clone());
        }
        Ok(self.seeks(partitions.to_vec()))
    }

    /// Gives partitions away: what was read of them is committed, if that can be; whoever has them next goes
    /// on from where the logs stand, and does it again otherwise. Returns where others are to be read from,
    /// which turned out not to be this sink's.
    pub fn revoke(&mut self, partitions: &[Partition]) -> Vec<Seek> {
        let done = self.commit();
        if let Some(error) = done.failed {
            tracing::warn!(%error, "rows of partitions that are given away are not committed");
        }
        self.forget(partitions);
        done.seeks.into_iter().filter(|seek| !partitions.contains(&seek.partition)).collect()
    }

    /// Partitions that are others' already.
    pub fn forget(&mut self, partitions: &[Partition]) {
        for partition in partitions {
            self.assigned.remove(partition);
            for view in self.views.values_mut() {
                view.revoke(partition);
            }
        }
        self.count();
    }

    fn seeks(&self, partitions: Vec<Partition>) -> Vec<Seek> {
        let seek = |partition: Partition| {
            let readers = self.views.values().filter(|view| view.has(&partition));
            // None is the least: the oldest message.
            let to = readers.map(|view| view.next(&partition)).min().flatten();
            Seek { partition, to }
        };
        partitions.into_iter().map(seek).collect()
    }

    /// Takes messages of a partition, in their order; those of partitions that it does not have are passed
    /// over. Waits for schemas that they name.
    pub fn take(
        &mut self,
        partition: &Partition,
        records: &[Record],
        stop: &Shutdown,
    ) -> Result<(), Stopped> {
        let Some(last) = records.last() else { return Ok(()) };
        if !self.assigned.contains(partition) {
            return Ok(());
        }
        let SinkParts { schemas, lane, clock, handle } = &self.parts;
        let routes = &self.definitions.routes;
        let read = read_rows(routes, schemas, lane, &partition.topic, records, stop);
        let read = handle.block_on(read)?;
        let latest = Timestamp(clock.now_micros().saturating_add(self.options.future_micros_max));
        for (name, mut events) in read.views {
            let Some(view) = self.views.get_mut(&name) else { continue };
            let all = events.len();
            events.retain(|event| event.event_time <= latest);
            rejected(&name, "refused", all - events.len());
            self.bytes += view.take(partition, events);
        }
        for (offset, view, poison) in read.poisoned {
            let is_new = |view: &ViewSink| view.next(partition).is_none_or(|next| next <= offset);
            // The lanes dead-letter it and tell.
            if let Some(name) = view
                && self.views.get(&name).is_some_and(is_new)
            {
                rejected(&name, poison.reason.word(), 1);
            }
        }
        for view in self.views.values_mut() {
            view.advance(partition, last.offset.saturating_add(1));
        }
        self.since.get_or_insert_with(Instant::now);
        Ok(())
    }

    /// What the source itself calls the last message that was taken of a partition, where positions are
    /// counted by who reads it: whoever has lost the count goes on behind it.
    pub fn mark(&mut self, partition: &Partition, last: u64, mark: &str) {
        for view in self.views.values_mut() {
            view.mark(partition, last.saturating_add(1), mark);
        }
    }

    /// Of each log that knows a partition's last message by a mark, the message and its mark, the oldest
    /// first: from there it is read on by whoever knows nothing else.
    pub fn marks(&mut self, partition: &Partition) -> Result<Vec<(u64, String)>, Error> {
        let mut marks = Vec::new();
        for name in self.definitions.routes.views_of(&partition.topic) {
            let Some(view) = self.views.get_mut(&name) else { continue };
            view.refresh()?;
            marks.extend(view.known(partition).map(|(to, mark)| (to.saturating_sub(1), mark)));
        }
        marks.sort();
        Ok(marks)
    }

    /// Whether rows of a partition are still to be committed. If not, all that was taken of it is in the
    /// logs, or was no row.
    pub fn holds(&self, partition: &Partition) -> bool {
        self.views.values().any(|view| view.holds(partition))
    }

    /// Whether it is time to commit.
    pub fn is_due(&self) -> bool {
        self.bytes >= self.options.commit_bytes
            || self.since.is_some_and(|since| since.elapsed() >= self.options.commit_every)
    }

    /// Bytes of rows that are not committed.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Commits what was read, view by view. An error is of one view; it is tried again, and nothing is lost.
    pub fn commit(&mut self) -> Committed {
        let at = Timestamp(self.parts.clock.now_micros());
        let mut lost = BTreeSet::new();
        let mut failed = None;
        for view in self.views.values_mut() {
            let (partitions, done) = view.commit(at);
            lost.extend(partitions);
            failed = failed.or(done.err());
        }
        self.count();
        Committed { seeks: self.seeks(lost.into_iter().collect()), failed }
    }

    fn count(&mut self) {
        self.bytes = self.views.values().map(ViewSink::bytes).sum();
        self.since = (self.bytes > 0).then(Instant::now);
    }

    /// Puts files together and sweeps, where it is time for that.
    pub fn tend(&mut self) -> Result<(), Error> {
        if self.tended.elapsed() < self.options.tend_every {
            return Ok(());
        }
        self.tended = Instant::now();
        let at = Timestamp(self.parts.clock.now_micros());
        // One view's trouble keeps no other from being tended.
        let mut failed = None;
        let topics = self.definitions.topics();
        for view in self.views.values_mut() {
            let tended = view.tend(&self.options.compact, &self.options.vacuum, &topics, at);
            failed = failed.or(tended.err());
        }
        failed.map_or(Ok(()), Err)
    }
}

fn rejected(view: &ViewRef, reason: &'static str, rows: usize) {
    if rows > 0 {
        metrics::counter!(
            "trivium_history_rejected_total", "view" => view.to_string(), "reason" => reason
        )
        .increment(rows as u64);
    }
}
