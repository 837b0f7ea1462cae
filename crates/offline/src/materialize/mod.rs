//! Materialization: published partitions into the online store, through the write door.
//!
//! **What is online afterwards** is a pure function of the published partitions up to the cut-off:
//! for each entity its newest row by (event time, [`crate::sequence`]), every row of every partition
//! counted. In a view with carryover `last_value` a partition lists every entity that still counts,
//! so there only entities of the newest partition (the *head*) are online: who is past `max_periods`
//! goes. Writes of others (a direct Put, say) stand under the door's order and are left alone.
//!
//! # The algorithm
//! Row versions are named by their *stamp*, (event time, sequence): it is in the file and in the
//! online row's header, and two versions never share one, because a sequence holds the period and
//! the revision in which the entity's rows last changed. The checkpoint holds, per partition, the
//! revision that was loaded.
//!
//! *Forward.* Without carryover: of each changed partition, oldest first, the last row of each
//! entity, if it changed since the loaded revision, is written at its stamp (`Order::At`: newer wins,
//! so late partitions need nothing more). Files are sorted by entity: one pass, one batch in memory.
//! With carryover: only the head's rows, whose event times are newer than all before them; for a row
//! that is not (`late`), the newest over all partitions is looked up and written.
//!
//! *Retract.* What a rewrite took away stands in the partition's `_retired.parquet`, with its stamp.
//! For each such row since the loaded revision the newest row that still counts is looked up
//! (partitions from the newest back, until nothing older can be newer) and put in place of exactly
//! the retired stamp (`Order::Replacing`); where there is none, a tombstone at the lowest order, so
//! that the row is as if it had never been written. Where the store has another stamp, nothing
//! changes. With carryover, entities of the former head that are not in the new one are removed the
//! same way: their row of that head, and newer rows of others, which may have been looked up for it.
//!
//! *Checkpoint.* Moved by compare-and-set when all of a partition's writes were acknowledged; it is
//! durable after them. Former heads stay in it until their entities are retracted. What a run is about
//! to load is noted before its first write, so that a lake that is made anew after it died is held
//! against that, too.
//!
//! # What a crash leaves
//! Rows that are newer than the checkpoint says, each of them right. The next run repeats the
//! partitions whose checkpoint was not moved: forward writes meet their own stamps and change
//! nothing, retractions meet another stamp and change nothing. A partition that is rewritten between
//! crash and rerun lists all versions since the loaded one as retired, so what the dead run wrote is
//! found too.
//!
//! # Limits
//! Memory: some batches of rows, and at most [`KEYS_MAX`] keys of retractions at a time. A cut-off
//! before what is loaded already moves nothing back. One materialization of a view at a time: a
//! second one loses the compare-and-set and says so.

mod checkpoint;
mod lookup;
mod patience;
mod scan;
mod write;

use std::{collections::HashMap, num::NonZeroU32, sync::Arc, time::Duration};

use trivium_codec::Schema;
use trivium_model::{Carryover, FeatureView, Lane, Timestamp};
use trivium_runtime::Shutdown;
use trivium_store::{Checkpoints, DoorOp, DoorRow, Order, WriteDoor};

use crate::{Error, Lake, Layer, Partition, run::blocking};
use checkpoint::Saved;
use lookup::{Found, Key, Stamp, Want};
use patience::Patience;
use write::Writer;

/// Keys of retractions looked up in one pass over the partitions: some tens of megabytes.
pub const KEYS_MAX: usize = 50_000;
/// Rows written between two moves of the checkpoint, so that a move's wait for the disk is rare.
const CHECKPOINT_ROWS: u64 = 200_000;

/// How to materialize.
#[derive(Debug, Clone)]
pub struct MaterializeOptions {
    /// Rows in one request to the door, at most the door's limit.
    pub batch_rows: usize,
    /// Requests under way at once.
    pub in_flight: usize,
    /// How often in a row the store may take none of a request's rows before the run fails.
    pub tries: u32,
    /// Rows sent in a second, at most; as fast as the door takes them if absent.
    pub rows_per_second: Option<NonZeroU32>,
    /// Count what would be written, write nothing.
    pub dry_run: bool,
    /// Ends the run between batches.
    pub shutdown: Shutdown,
}

impl Default for MaterializeOptions {
    fn default() -> Self {
        Self {
            batch_rows: 1_000,
            in_flight: 4,
            tries: 8,
            rows_per_second: None,
            dry_run: false,
            shutdown: Shutdown::new(),
        }
    }
}

/// What a materialization did. In a dry run, what it would try.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MaterializeReport {
    /// Published partitions up to the cut-off.
    pub partitions: usize,
    /// Those of them that had changed since they were last loaded.
    pub partitions_changed: usize,
    /// Rows that are new in the online store.
    pub rows_written: u64,
    /// Rows that the online store already had.
    pub unchanged: u64,
    /// Rows that lost against newer ones.
    pub superseded: u64,
    /// Rows taken back: replaced by an older row, or removed.
    pub retracted: u64,
    /// Rows of persons who have been erased since: refused, and not to be tried again.
    pub erased: u64,
}

/// Is told how a materialization comes along. Return at once.
pub trait MaterializeProgress: Send + Sync {
    /// So many partitions with so many rows in all will be read.
    fn started(&self, partitions: usize, rows: u64);
    /// So many more rows were acknowledged.
    fn rows(&self, count: u64);
    /// The store did not take so many rows, for this reason: they are sent again after the pause.
    fn sent_again(&self, rows: usize, pause: Duration, error: &Error);
    /// One more partition is done.
    fn partition_done(&self, partition: &Partition);
}

impl MaterializeProgress for crate::run::Silent {
    fn started(&self, _: usize, _: u64) {}
    fn rows(&self, _: u64) {}
    fn sent_again(&self, _: usize, _: Duration, _: &Error) {}
    fn partition_done(&self, _: &Partition) {}
}

/// Loads views. Cheap to clone.
#[derive(Clone)]
pub struct Materializer {
    lake: Lake,
    door: Arc<dyn WriteDoor>,
    checkpoints: Arc<dyn Checkpoints>,
    options: MaterializeOptions,
}

impl Materializer {
    /// Reads this lake, writes through this door, remembers in these checkpoints (those of the
    /// store behind the door).
    pub fn new(
        lake: Lake,
        door: Arc<dyn WriteDoor>,
        checkpoints: Arc<dyn Checkpoints>,
        options: MaterializeOptions,
    ) -> Self {
        Self { lake, door, checkpoints, options }
    }

    /// Loads a view: the partitions whose periods end at or before `to` (all if `None`).
    pub async fn run(
        &self,
        view: Arc<FeatureView>,
        to: Option<Timestamp>,
        progress: Arc<dyn MaterializeProgress>,
    ) -> Result<MaterializeReport, Error> {
        let reference = view.reference();
        if view.lane != Lane::Batch || !view.online {
            return Err(Error::invalid(
                "view",
                format!("{reference} is not a batch view that is served online"),
                "materialize batch views whose config says `\"online\": true`",
            ));
        }
        let schema = Schema::of_view(&view).map_err(|error| Error::Encode {
            view: reference.clone(),
            row: None,
            message: error.to_string(),
        })?;
        let all = blocking({
            let (lake, view) = (self.lake.clone(), reference.clone());
            move || lake.all_partitions(&view, Layer::Published)
        })
        .await?;
        let patience = Patience::new(&self.options);
        let saved = Saved::load(&*self.checkpoints, &reference, &patience).await?;
        let state = saved.checkpoint.clone();
        // What was loaded stays loaded: an earlier cut-off moves nothing back.
        let partitions: Vec<Partition> = all
            .into_iter()
            .filter(|one| to.is_none_or(|to| one.period.end <= to) || state.has(one))
            .collect();
        state.check_same_lake(&reference, &partitions)?;

        let changed: Vec<Change> = partitions
            .iter()
            .enumerate()
            .filter(|(_, one)| !state.is_current(one))
            .map(|(index, one)| Change { index, loaded: state.revision(one) })
            .collect();
        let is_anew = changed.iter().any(|one| state.is_of_former_lake(&partitions[one.index]));
        let view_data = Arc::new(ViewData { view, schema, partitions });
        let mut report = MaterializeReport {
            partitions: view_data.partitions.len(),
            partitions_changed: changed.len(),
            ..MaterializeReport::default()
        };
        if changed.is_empty() {
            return Ok(report);
        }
        let mut work = Work {
            writer: Writer::new(
                Arc::clone(&self.door),
                Arc::clone(&view_data.view),
                &self.options,
                Arc::clone(&progress),
            ),
            data: view_data,
            saved,
            checkpoints: &*self.checkpoints,
            options: &self.options,
            patience,
            progress,
            is_anew,
            wants: HashMap::new(),
        };
        match work.data.view.carryover {
            Carryover::None => work.load_each(&changed).await?,
            Carryover::LastValue { .. } => work.load_head(&changed).await?,
        }
        let tally = work.writer.tally();
        report.rows_written = tally.applied;
        report.unchanged = tally.unchanged;
        report.superseded = tally.superseded;
        report.retracted = tally.retracted;
        report.erased = tally.erased;
        Ok(report)
    }
}

/// What all passes read.
struct ViewData {
    view: Arc<FeatureView>,
    schema: Schema,
    /// Up to the cut-off, oldest first.
    partitions: Vec<Partition>,
}

/// A partition that is not at the revision that was loaded.
#[derive(Debug, Clone, Copy)]
struct Change {
    /// Its place in [`ViewData::partitions`].
    index: usize,
    /// The revision that was loaded; 0: none.
    loaded: u64,
}

/// A materialization under way.
struct Work<'a> {
    data: Arc<ViewData>,
    saved: Saved,
    checkpoints: &'a dyn Checkpoints,
    options: &'a MaterializeOptions,
    patience: Patience,
    writer: Writer,
    progress: Arc<dyn MaterializeProgress>,
    /// Whether rows may be online that a lake before this one loaded.
    is_anew: bool,
    /// Keys whose newest row is to be looked up.
    wants: HashMap<Key, Want>,
}

impl Work<'_> {
    /// Without carryover.
    async fn load_each(&mut self, changed: &[Change]) -> Result<(), Error> {
        let rows = changed.iter().map(|one| self.data.partitions[one.index].pointer.rows).sum();
        self.progress.started(changed.len(), rows);
        self.begin(changed);
        self.save().await?;
        let mut since_save = 0;
        // Partitions whose retired rows are still to be retracted.
        let mut open = Vec::new();
        for change in changed {
            let partition = self.data.partitions[change.index].clone();
            self.forward(change, None).await?;
            if self.retire(change, true).await? {
                open.push(change.index);
            } else {
                self.saved.checkpoint.set(&partition);
                since_save += partition.pointer.rows;
            }
            self.progress.partition_done(&partition);
            if since_save >= CHECKPOINT_ROWS {
                since_save = 0;
                self.save().await?;
            }
        }
        self.look_up(self.data.partitions.len()).await?;
        for index in open {
            let partition = self.data.partitions[index].clone();
            self.saved.checkpoint.set(&partition);
        }
        self.save().await
    }

    /// With carryover: the newest partition says who counts.
    async fn load_head(&mut self, changed: &[Change]) -> Result<(), Error> {
        let Some(head) = self.data.partitions.len().checked_sub(1) else { return Ok(()) };
        let partition = self.data.partitions[head].clone();
        self.progress.started(1, partition.pointer.rows);
        let loaded = self.saved.checkpoint.head() == Some(partition.period.start);
        let former: Vec<usize> = self
            .saved
            .checkpoint
            .heads()
            .iter()
            .filter(|start| **start != partition.period.start)
            .filter_map(|start| {
                self.data.partitions.iter().position(|one| one.period.start == *start)
            })
            .collect();
        let began = !self.saved.checkpoint.heads().is_empty();
        // From here on entities of this head may be online.
        self.saved.checkpoint.add_head(&partition);
        self.begin(changed);
        self.save().await?;

        // What a former head of a lake before this one left stands under that lake's stamps: here it
        // takes this one's, by which it can be removed.
        for &former in &former {
            let change = changed.iter().find(|one| one.index == former && one.loaded == 0);
            if let Some(change) = change {
                self.forward(change, self.newest_before(former)).await?;
                self.look_up(former + 1).await?;
            }
        }
        let revision = if loaded { self.saved.checkpoint.revision(&partition) } else { 0 };
        let change = Change { index: head, loaded: revision };
        self.forward(&change, self.newest_before(head)).await?;
        self.look_up(head + 1).await?;

        for change in changed {
            // Before the first load there is nothing to take back; a load that died may have looked
            // up rows in any partition.
            if began || change.loaded > 0 {
                self.retire(change, change.index == head).await?;
            }
        }
        self.look_up(head + 1).await?;
        for former in former {
            self.vanished(former, head).await?;
        }
        for change in changed {
            let partition = self.data.partitions[change.index].clone();
            self.saved.checkpoint.set(&partition);
        }
        self.saved.checkpoint.only_head(&partition);
        self.progress.partition_done(&partition);
        self.save().await
    }

    /// Notes whose rows may be online from now on.
    fn begin(&mut self, changed: &[Change]) {
        for change in changed {
            self.saved.checkpoint.begin(&self.data.partitions[change.index]);
        }
    }

    /// The newest event time of the partitions before this one.
    fn newest_before(&self, index: usize) -> Option<Timestamp> {
        let older = &self.data.partitions[..index];
        older.iter().filter_map(|one| one.pointer.event_time_max_micros).max()
    }

    /// Writes the newest row of each entity of a partition that changed since the loaded revision.
    /// Rows at or before `newest_before` are looked up instead: another partition may have a newer.
    async fn forward(
        &mut self,
        change: &Change,
        newest_before: Option<Timestamp>,
    ) -> Result<(), Error> {
        let mut stream = scan::forward(
            Arc::clone(&self.data),
            *change,
            newest_before,
            self.options.batch_rows.max(1),
        );
        while let Some(piece) = stream.recv().await {
            self.patience.stop_if_asked()?;
            let piece = piece?;
            self.writer.send(piece.rows).await?;
            for (key, want) in piece.late {
                self.wants.entry(key).or_insert(want);
            }
            if self.wants.len() >= KEYS_MAX {
                self.look_up(self.data.partitions.len()).await?;
            }
        }
        Ok(())
    }

    /// Notes the rows that went since the loaded revision; tells whether there are any to retract.
    /// With `is_loaded`, rows that the partition itself has newer were written over them.
    async fn retire(&mut self, change: &Change, is_loaded: bool) -> Result<bool, Error> {
        let mut stream = scan::retired(Arc::clone(&self.data), *change, is_loaded);
        let mut any = false;
        while let Some(piece) = stream.recv().await {
            for (key, want) in piece? {
                any = true;
                match self.wants.entry(key) {
                    std::collections::hash_map::Entry::Occupied(mut known) => {
                        known.get_mut().replaces.extend(want.replaces);
                    }
                    std::collections::hash_map::Entry::Vacant(empty) => {
                        empty.insert(want);
                    }
                }
            }
            if self.wants.len() >= KEYS_MAX {
                self.look_up(self.data.partitions.len()).await?;
            }
        }
        Ok(any)
    }

    /// Retracts the entities of a former head that the new one does not list.
    async fn vanished(&mut self, former: usize, head: usize) -> Result<(), Error> {
        let mut stream = scan::vanished(Arc::clone(&self.data), former, head);
        while let Some(piece) = stream.recv().await {
            self.patience.stop_if_asked()?;
            let wants: HashMap<Key, Want> = piece?.into_iter().collect();
            self.remove(wants, former + 1).await?;
        }
        self.writer.settle().await
    }

    /// Looks up what is wanted among the first partitions and writes what comes of it.
    async fn look_up(&mut self, partitions: usize) -> Result<(), Error> {
        if self.wants.is_empty() {
            return Ok(());
        }
        self.patience.stop_if_asked()?;
        // The rows that were sent stand in the store before anything takes their place.
        self.writer.settle().await?;
        let wants = std::mem::take(&mut self.wants);
        let in_head = !matches!(self.data.view.carryover, Carryover::None);
        let found = self.find(wants, partitions, in_head).await?;
        for pieces in found.chunks(self.options.batch_rows.max(1)) {
            let mut rows = Vec::new();
            for Found { want, row, .. } in pieces {
                for old in &want.replaces {
                    match row {
                        Some((new, _)) if new >= old => {}
                        Some((new, bytes)) => rows.push(retraction(
                            want.entity.clone(),
                            *old,
                            bytes
                                .clone()
                                .map(|bytes| (*new, bytes, self.data.schema.fingerprint())),
                        )),
                        None => rows.push(retraction(want.entity.clone(), *old, None)),
                    }
                }
                if want.write
                    && let Some((stamp, Some(bytes))) = row
                {
                    rows.push(self.put(want, *stamp, bytes));
                }
            }
            self.writer.send(rows).await?;
        }
        if in_head {
            // Entities that the head does not list (any more) may be online with a row of an older
            // partition, found when the head's own was late.
            let gone = found.into_iter().filter(|found| found.row.is_none());
            let gone = gone.map(|found| (found.key, found.want)).collect();
            self.remove(gone, partitions).await?;
        }
        self.writer.settle().await
    }

    /// Removes entities, whichever of their rows is online: those that are to be replaced, and those
    /// of the first partitions that were newer and so may have been loaded instead.
    async fn remove(&mut self, wants: HashMap<Key, Want>, partitions: usize) -> Result<(), Error> {
        if wants.is_empty() {
            return Ok(());
        }
        if self.is_anew {
            self.restamp(&wants, partitions).await?;
        }
        let data = Arc::clone(&self.data);
        let wants = blocking(move || lookup::with_newer(&data, wants, partitions)).await?;
        for want in wants.into_values() {
            let removals = want
                .replaces
                .iter()
                .map(|stamp| retraction(want.entity.clone(), *stamp, None))
                .collect();
            self.writer.send(removals).await?;
        }
        Ok(())
    }

    /// What a lake before this one loaded stands under that lake's stamps: the newest row of each entity
    /// takes this one's, by which it can be removed.
    async fn restamp(
        &mut self,
        wants: &HashMap<Key, Want>,
        partitions: usize,
    ) -> Result<(), Error> {
        let newest = |want: &Want| Want { write: true, ..want.clone() };
        let wants = wants.iter().map(|(key, want)| (key.clone(), newest(want))).collect();
        let found = self.find(wants, partitions, false).await?;
        for pieces in found.chunks(self.options.batch_rows.max(1)) {
            let rows = pieces.iter().filter_map(|Found { want, row, .. }| {
                let (stamp, bytes) = row.as_ref()?;
                // An older row than those that are to go is not online, and would not be removed.
                let floor = want.replaces.iter().min()?.event_time;
                let bytes = bytes.as_ref().filter(|_| stamp.event_time >= floor)?;
                Some(self.put(want, *stamp, bytes))
            });
            let rows = rows.collect();
            self.writer.send(rows).await?;
        }
        self.writer.settle().await
    }

    fn put(&self, want: &Want, stamp: Stamp, row: &trivium_codec::Row) -> DoorRow {
        DoorRow {
            entity: want.entity.clone(),
            op: DoorOp::PutRow { row: row.clone(), schema: self.data.schema.fingerprint() },
            order: Order::At {
                event_time: stamp.event_time,
                sequence: Some(stamp.sequence.cast_unsigned()),
            },
            condition: trivium_store::Condition::None,
            write_id: trivium_store::WriteId(0),
        }
    }

    async fn find(
        &self,
        wants: HashMap<Key, Want>,
        partitions: usize,
        in_head: bool,
    ) -> Result<Vec<Found>, Error> {
        let data = Arc::clone(&self.data);
        blocking(move || lookup::find(&data, wants, partitions, in_head)).await
    }

    async fn save(&mut self) -> Result<(), Error> {
        self.writer.settle().await?;
        if self.options.dry_run {
            return Ok(());
        }
        self.saved.save(self.checkpoints, &self.data.view.reference(), &self.patience).await
    }
}

/// Puts a row, or a tombstone as if nothing had ever been written, in place of exactly `old`.
fn retraction(
    entity: Vec<trivium_model::KeyValue>,
    old: Stamp,
    new: Option<(Stamp, trivium_codec::Row, trivium_codec::Fingerprint)>,
) -> DoorRow {
    let (op, stamp) = match new {
        Some((stamp, row, schema)) => (DoorOp::PutRow { row, schema }, stamp),
        None => (DoorOp::Delete, Stamp::LOWEST),
    };
    DoorRow {
        entity,
        op,
        order: Order::Replacing {
            event_time: old.event_time,
            sequence: old.sequence.cast_unsigned(),
            new_event_time: stamp.event_time,
            new_sequence: stamp.sequence.cast_unsigned(),
        },
        condition: trivium_store::Condition::None,
        write_id: trivium_store::WriteId(0),
    }
}

#[cfg(test)]
mod tests;
