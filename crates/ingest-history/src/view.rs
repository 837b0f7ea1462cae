//! One view's rows on their way into its history.

use std::collections::BTreeMap;

use trivium_ingest::{StreamRow, port::Partition};
use trivium_lake_log::{
    Advance, Change, CompactOptions, Error, HistoryRow, Outcome, Shape, State, StreamLog,
    VacuumOptions,
};
use trivium_model::Timestamp;

/// A partition's messages that are read and without rows of the view are committed after so many: who
/// begins anew reads them again, and no commit says nothing but that.
const ROWLESS_MAX: u64 = 10_000;

/// What a view has of one partition.
#[derive(Debug, Default)]
struct Part {
    /// Where the log stands.
    from: Option<u64>,
    /// The first message that is not read.
    next: Option<u64>,
    /// What the source calls the message before it, where it has such names.
    mark: Option<String>,
    /// What is read and not in the log.
    rows: Vec<HistoryRow>,
}

/// A view's rows that are not in its log yet.
#[derive(Debug)]
pub(crate) struct ViewSink {
    shape: Shape,
    log: StreamLog,
    state: State,
    parts: BTreeMap<Partition, Part>,
}

impl ViewSink {
    pub(crate) fn open(lake: &std::path::Path, shape: Shape) -> Result<Self, Error> {
        let log = StreamLog::new(lake, shape.view());
        let state = log.load()?;
        Ok(Self { shape, log, state, parts: BTreeMap::new() })
    }

    /// Brings the log's state up to date, for partitions that come from others.
    pub(crate) fn refresh(&mut self) -> Result<(), Error> {
        self.log.refresh(&mut self.state)
    }

    /// Takes a partition over from where the log stands.
    pub(crate) fn assign(&mut self, partition: &Partition) {
        let from = self.state.positions.get(&partition.to_string()).copied();
        self.parts.insert(partition.clone(), Part { from, next: from, ..Part::default() });
    }

    pub(crate) fn has(&self, partition: &Partition) -> bool {
        self.parts.contains_key(partition)
    }

    /// The first message of a partition that the view does not have; none: it has none of it.
    pub(crate) fn next(&self, partition: &Partition) -> Option<u64> {
        self.parts.get(partition).and_then(|part| part.next)
    }

    /// Forgets a partition; rows of it that are not in the log are whoever's it is now.
    pub(crate) fn revoke(&mut self, partition: &Partition) {
        self.parts.remove(partition);
    }

    /// Takes rows of messages that it does not have yet; returns what they take of memory.
    pub(crate) fn take(&mut self, partition: &Partition, events: Vec<StreamRow>) -> usize {
        let Some(part) = self.parts.get_mut(partition) else { return 0 };
        let mut bytes = 0;
        for event in events {
            if part.next.is_some_and(|next| event.offset < next) {
                continue;
            }
            let StreamRow { entity, event_time, sequence, row, .. } = event;
            let row = HistoryRow { entity, event_time, sequence, row };
            bytes += row.bytes();
            part.rows.push(row);
        }
        bytes
    }

    /// The messages before this one are read.
    pub(crate) fn advance(&mut self, partition: &Partition, to: u64) {
        let Some(part) = self.parts.get_mut(partition) else { return };
        if part.next < Some(to) {
            *part = Part { next: Some(to), mark: None, ..std::mem::take(part) };
        }
    }

    /// What the source calls the last message before this one, where it is the next.
    pub(crate) fn mark(&mut self, partition: &Partition, to: u64, mark: &str) {
        if let Some(part) = self.parts.get_mut(partition).filter(|part| part.next == Some(to)) {
            part.mark = Some(mark.to_owned());
        }
    }

    /// The position in the log of a partition, and what the source calls the message before it.
    pub(crate) fn known(&self, partition: &Partition) -> Option<(u64, String)> {
        let source = partition.to_string();
        let (to, mark) = (self.state.positions.get(&source)?, self.state.marks.get(&source)?);
        Some((*to, mark.clone()))
    }

    /// Whether rows of a partition are not in the log yet.
    pub(crate) fn holds(&self, partition: &Partition) -> bool {
        self.parts.get(partition).is_some_and(|part| !part.rows.is_empty())
    }

    /// What its rows take of memory.
    pub(crate) fn bytes(&self) -> usize {
        self.parts.values().flat_map(|part| &part.rows).map(HistoryRow::bytes).sum()
    }

    /// Rows that are not in the log yet.
    pub(crate) fn rows(&self) -> usize {
        self.parts.values().map(|part| part.rows.len()).sum()
    }

    /// Puts what was read into the log, all of it or nothing. After an error nothing is lost, and it is
    /// tried again. Tells the partitions that turned out to be others', error or not: they must be read
    /// from where the log stands before anything else of them is taken.
    pub(crate) fn commit(&mut self, at: Timestamp) -> (Vec<Partition>, Result<(), Error>) {
        let moved = |part: &Part| {
            let by = part.next.unwrap_or(0).saturating_sub(part.from.unwrap_or(0));
            part.next != part.from && (!part.rows.is_empty() || by >= ROWLESS_MAX)
        };
        let (mut positions, mut marks) = (BTreeMap::new(), BTreeMap::new());
        for (partition, part) in self.parts.iter().filter(|(_, part)| moved(part)) {
            if let Some(to) = part.next {
                positions.insert(partition.to_string(), Advance { from: part.from, to });
                marks.extend(part.mark.clone().map(|mark| (partition.to_string(), mark)));
            }
        }
        if positions.is_empty() {
            return (Vec::new(), Ok(()));
        }
        let tried = self.try_to_commit(positions, marks, at);
        let rows = self.rows();
        // Whatever it was, the log says what is in it.
        if let Err(error) = self.refresh() {
            return (Vec::new(), Err(error));
        }
        let lost = self.settle();
        let taken = (rows - self.rows()) as u64;
        let count = |outcome: &'static str| {
            let view = self.shape.view().to_string();
            metrics::counter!("trivium_history_commits_total", "view" => view, "outcome" => outcome)
                .increment(1);
        };
        match tried {
            Ok(Outcome::Done) => {
                count("done");
                let view = self.shape.view().to_string();
                metrics::counter!("trivium_history_rows_total", "view" => view).increment(taken);
            }
            Ok(Outcome::Lost(why)) => {
                count("lost");
                tracing::warn!(view = %self.shape.view(), why, "rows are read again");
            }
            Err(error) => {
                count("failed");
                return (lost, Err(error));
            }
        }
        (lost, Ok(()))
    }

    fn try_to_commit(
        &mut self,
        positions: BTreeMap<String, Advance>,
        marks: BTreeMap<String, String>,
        at: Timestamp,
    ) -> Result<Outcome, Error> {
        let rows = self.parts.values().flat_map(|part| &part.rows);
        let mut added = Vec::new();
        for (day, batch) in self.shape.batches(rows)? {
            added.push(self.log.write(&self.shape, day, &batch)?);
        }
        let change = Change { added, positions, marks, ..Change::default() };
        self.log.commit(&mut self.state, change, at)
    }

    /// Holds each partition against the log: what is in it is let go of, what is not stays, and where
    /// somebody else was at work it is begun anew.
    fn settle(&mut self) -> Vec<Partition> {
        let mut lost = Vec::new();
        for (partition, part) in &mut self.parts {
            let stands = self.state.positions.get(&partition.to_string()).copied();
            if stands == part.from {
                continue;
            }
            if stands != part.next {
                lost.push(partition.clone());
            }
            *part = Part { from: stands, next: stands, ..Part::default() };
        }
        lost
    }

    /// Puts small files together and deletes what nobody needs. Of several sinks one does: who has the
    /// last of the partitions that the log knows. The first may be a shard that has been split long ago.
    pub(crate) fn tend(
        &mut self,
        compact: &CompactOptions,
        vacuum: &VacuumOptions,
        topics: &[String],
        at: Timestamp,
    ) -> Result<(), Error> {
        // Positions of topics that nobody reads any more stay; nobody would have such a last one.
        let is_read = |source: &&String| {
            source
                .rsplit_once('/')
                .is_some_and(|(topic, _)| topics.iter().any(|read| read == topic))
        };
        let Some(last) = self.state.positions.keys().rfind(is_read) else { return Ok(()) };
        if !self.parts.keys().any(|partition| partition.to_string() == *last) {
            return Ok(());
        }
        let compacted = self.log.compact(&mut self.state, &self.shape, compact, at);
        let swept = self.log.vacuum(&mut self.state, vacuum, at)?;
        let files = compacted?;
        if files > 0 || swept != trivium_lake_log::Vacuumed::default() {
            tracing::info!(view = %self.shape.view(), files, ?swept, "the history was tended");
        }
        Ok(())
    }
}
