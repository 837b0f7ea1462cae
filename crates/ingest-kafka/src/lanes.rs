//! The lanes of a worker's partitions: begun, fed, paused and ended.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicI64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use rdkafka::statistics;
use tokio::{runtime::Handle, sync::mpsc};
use trivium_ingest::{
    Lag, Lane, LaneHealth, Parts, Tended,
    port::{Partition, Record},
};
use trivium_runtime::Shutdown;

use crate::{KafkaOptions, ends::End};

/// What the consumer's thread and a lane's task share.
struct Shared {
    tended: Tended,
    waiting: AtomicUsize,
    /// The next offset to read; below zero: unknown.
    progress: AtomicI64,
    /// What was committed last.
    committed: AtomicI64,
    /// Where the lane began; below zero: unknown.
    begin: AtomicI64,
    end: Mutex<End>,
    /// Behind the last message that came; below zero: none has.
    fed: AtomicI64,
    /// When the oldest message was made that is not done with, or else the last that is; 0: unknown.
    made: AtomicI64,
    paused: Mutex<bool>,
    stop: Shutdown,
}

impl Shared {
    fn lag(&self, now: i64) -> Option<Lag> {
        let end = locked(&self.end).get()?;
        let progress = self.progress.load(Ordering::Acquire);
        let at = if progress >= 0 { progress } else { self.begin.load(Ordering::Acquire) };
        if at < 0 {
            return None;
        }
        let records = u64::try_from(end - at).unwrap_or_default();
        let made = self.made.load(Ordering::Acquire);
        let age = if records == 0 || made == 0 { 0 } else { now.saturating_sub(made) };
        Some(Lag {
            records: Some(records),
            age: Duration::from_micros(u64::try_from(age).unwrap_or_default()),
        })
    }

    fn tell_lag(&self, lag: Lag) {
        let labels = [
            ("topic", self.tended.partition().topic.to_string()),
            ("partition", self.tended.partition().name.to_string()),
        ];
        if let Some(records) = lag.records {
            metrics::gauge!("trivium_ingest_lag_records", &labels).set(records as f64);
        }
        metrics::gauge!("trivium_ingest_lag_seconds", &labels).set(lag.age.as_secs_f64());
    }

    /// A message is the oldest that is not done with, or the last that is.
    fn stands_at(&self, record: &Record) {
        self.made.store(record.time.map_or(0, |time| time.0), Ordering::Release);
    }
}

/// The offset behind a message.
pub(crate) fn behind(record: &Record) -> i64 {
    i64::try_from(record.offset).map_or(i64::MAX, |offset| offset.saturating_add(1))
}

struct Running {
    shared: Arc<Shared>,
    feed: mpsc::UnboundedSender<Record>,
    done: std::sync::mpsc::Receiver<()>,
    flow: Arc<dyn Flow>,
}

/// A partition by topic and number.
pub(crate) type PartitionId = (String, i32);

/// Stops and starts the flow of a partition's messages.
pub(crate) trait Flow: Send + Sync {
    fn pause(&self, partition: &PartitionId);
    fn resume(&self, partition: &PartitionId);
}

/// The lanes of all partitions that are this worker's.
pub(crate) struct Lanes {
    parts: Parts,
    options: KafkaOptions,
    handle: Handle,
    running: Mutex<HashMap<PartitionId, Running>>,
    /// Why the worker cannot go on: a lane's task died.
    died: Arc<Mutex<Option<String>>>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Lanes {
    pub fn new(parts: Parts, options: KafkaOptions, handle: Handle) -> Self {
        Self { parts, options, handle, running: Mutex::default(), died: Arc::default() }
    }

    /// Begins the lanes of partitions that have become this worker's.
    pub fn begin(&self, partitions: impl IntoIterator<Item = PartitionId>, flow: &Arc<dyn Flow>) {
        for id in partitions {
            let partition =
                Partition { topic: id.0.as_str().into(), name: id.1.to_string().into() };
            tracing::info!(%partition, "a partition has come");
            let shared = Arc::new(Shared {
                tended: Tended::new(partition.clone()),
                waiting: AtomicUsize::new(0),
                progress: AtomicI64::new(-1),
                committed: AtomicI64::new(-1),
                begin: AtomicI64::new(-1),
                end: Mutex::default(),
                fed: AtomicI64::new(-1),
                made: AtomicI64::new(0),
                paused: Mutex::new(false),
                stop: Shutdown::new(),
            });
            let (feed, fed) = mpsc::unbounded_channel();
            // Its other end falls when the task does, however that ends.
            let (ends, done) = std::sync::mpsc::channel();
            let lane = Lane::new(partition, self.parts.clone());
            let work = Work {
                lane,
                id: id.clone(),
                shared: Arc::clone(&shared),
                options: self.options.clone(),
                flow: Arc::clone(flow),
            };
            let (died, handle) = (Arc::clone(&self.died), self.handle.clone());
            self.handle.spawn(async move {
                let name = work.shared.tended.partition().to_string();
                if let Err(error) = handle.spawn(work.run(fed)).await {
                    locked(&died).get_or_insert(format!("the lane of {name} died: {error}"));
                }
                drop(ends);
            });
            locked(&self.running)
                .insert(id, Running { shared, feed, done, flow: Arc::clone(flow) });
        }
    }

    /// Why the worker cannot go on, if it cannot.
    pub fn died(&self) -> Option<String> {
        locked(&self.died).clone()
    }

    /// A message for a lane; one whose partition is nobody's here is dropped, and read again by its new
    /// owner.
    pub fn feed(&self, id: &PartitionId, record: Record, flow: &Arc<dyn Flow>) {
        let running = locked(&self.running);
        let share = self.options.waiting_bytes / running.len().max(1);
        let Some(lane) = running.get(id) else { return };
        let bytes = record.bytes();
        lane.shared.fed.store(behind(&record), Ordering::Release);
        let waiting = lane.shared.waiting.fetch_add(bytes, Ordering::AcqRel) + bytes;
        if lane.feed.send(record).is_err() {
            return;
        }
        if waiting > share {
            let mut paused = locked(&lane.shared.paused);
            // The lane may have caught up since.
            if !*paused && lane.shared.waiting.load(Ordering::Acquire) > share / 2 {
                flow.pause(id);
                *paused = true;
            }
        }
    }

    /// Progress that has not been committed yet.
    pub fn progress(&self) -> Vec<(PartitionId, i64)> {
        let running = locked(&self.running);
        let moved = running.iter().filter_map(|(id, lane)| {
            let progress = lane.shared.progress.load(Ordering::Acquire);
            let committed = lane.shared.committed.load(Ordering::Acquire);
            // Lower, too: a broker may have lost messages, and those that came since count from there.
            (progress >= 0 && progress != committed).then(|| (id.clone(), progress))
        });
        moved.collect()
    }

    /// Where a partition is read from, if nothing is known better, and where it ends: the broker was asked.
    pub fn ends_at(&self, id: &PartitionId, begin: i64, end: i64) {
        if let Some(lane) = locked(&self.running).get(id) {
            lane.shared.begin.fetch_max(begin, Ordering::AcqRel);
            locked(&lane.shared.end).is_at(end);
        }
    }

    /// What librdkafka knows of a partition.
    pub fn is_known_as(&self, id: &PartitionId, known: &statistics::Partition) {
        let running = locked(&self.running);
        let Some(Running { shared, .. }) = running.get(id) else { return };
        let begin = known.committed_offset.max(known.lo_offset);
        shared.begin.fetch_max(begin, Ordering::AcqRel);
        // Of what is paused it knows what was.
        if !*locked(&shared.paused) {
            let next = shared.fed.load(Ordering::Acquire).max(begin);
            locked(&shared.end).is_known_as(known, next);
        }
    }

    /// The partitions that nothing is fetched from now.
    pub fn paused(&self) -> Vec<PartitionId> {
        let running = locked(&self.running);
        let paused = running.iter().filter(|(_, lane)| *locked(&lane.shared.paused));
        paused.map(|(id, _)| id.clone()).collect()
    }

    /// Tells the metrics how far each lane is behind.
    pub fn tell_lag(&self) {
        let now = self.parts.clock.now_micros();
        for lane in locked(&self.running).values() {
            if let Some(lag) = lane.shared.lag(now) {
                lane.shared.tell_lag(lag);
            }
        }
    }

    /// What was committed.
    pub fn committed(&self, of: &[(PartitionId, i64)]) {
        let running = locked(&self.running);
        for (id, offset) in of {
            if let Some(lane) = running.get(id) {
                lane.shared.committed.store(*offset, Ordering::Release);
            }
        }
    }

    /// Ends the lanes of these partitions, or of all, and gives their progress. One that does not end in
    /// time goes on, and its rows are superseded by those of whoever has the partition then.
    pub fn end(&self, of: Option<&[PartitionId]>) -> Vec<(PartitionId, i64)> {
        let ending: Vec<(PartitionId, Running)> = {
            let mut running = locked(&self.running);
            match of {
                Some(ids) => ids.iter().filter_map(|id| running.remove_entry(id)).collect(),
                None => running.drain().collect(),
            }
        };
        for (id, lane) in &ending {
            lane.shared.stop.trigger();
            // A pause outlives the assignment: whoever gets the partition back would wait for ever.
            let mut paused = locked(&lane.shared.paused);
            if std::mem::take(&mut *paused) {
                lane.flow.resume(id);
            }
        }
        let until = Instant::now() + self.options.release_time;
        let mut progress = Vec::new();
        for (id, lane) in ending {
            let left = until.saturating_duration_since(Instant::now());
            if let Err(std::sync::mpsc::RecvTimeoutError::Timeout) = lane.done.recv_timeout(left) {
                tracing::warn!(partition = %lane.shared.tended.partition(), "its last batch is still being written");
            }
            let at = lane.shared.progress.load(Ordering::Acquire);
            // Its lag is told by whoever has it now.
            lane.shared.tell_lag(Lag { records: Some(0), age: Duration::ZERO });
            tracing::info!(partition = %lane.shared.tended.partition(), progress = at, "a partition has gone");
            if at >= 0 {
                progress.push((id, at));
            }
        }
        progress
    }

    /// How each lane is, sorted.
    pub fn health(&self) -> Vec<LaneHealth> {
        let now = self.parts.clock.now_micros();
        let mut health: Vec<LaneHealth> = locked(&self.running)
            .values()
            .map(|lane| {
                let shared = &lane.shared;
                let progress = shared.progress.load(Ordering::Acquire);
                LaneHealth {
                    partition: shared.tended.partition().clone(),
                    view: None,
                    progress: u64::try_from(progress).ok(),
                    waiting_bytes: shared.waiting.load(Ordering::Acquire),
                    busy: shared.tended.busy(),
                    lag: shared.lag(now),
                    stopped: shared.tended.stopped(),
                }
            })
            .collect();
        health.sort_by(|a, b| a.partition.cmp(&b.partition));
        health
    }

    /// Lets a partition go on that a flood has stopped: of the next so many messages those that cannot
    /// become rows are dead-lettered.
    pub fn let_pass(&self, partition: &str, messages: u64) -> bool {
        let running = locked(&self.running);
        let mut lanes = running.values().map(|lane| &lane.shared.tended);
        lanes.any(|lane| lane.partition().to_string() == partition && lane.let_pass(messages))
    }
}

/// A lane's task.
struct Work {
    lane: Lane,
    id: PartitionId,
    shared: Arc<Shared>,
    options: KafkaOptions,
    flow: Arc<dyn Flow>,
}

impl Work {
    async fn run(mut self, mut fed: mpsc::UnboundedReceiver<Record>) {
        let stop = self.shared.stop.clone();
        let mut batch = Vec::new();
        loop {
            batch.clear();
            let count = tokio::select! {
                biased;
                () = stop.wait() => return,
                count = fed.recv_many(&mut batch, self.options.batch_records) => count,
            };
            let (Some(first), Some(last)) = (batch.first(), batch.last()) else { return };
            self.shared.stands_at(first);
            debug_assert_eq!(count, batch.len());
            let next = behind(last);
            let tended = &self.shared.tended;
            if !tended.take(&mut self.lane, &batch, self.options.flood_retry, &stop).await {
                return;
            }
            self.shared.stands_at(last);
            self.shared.progress.store(next, Ordering::Release);
            self.done_with(batch.iter().map(Record::bytes).sum());
        }
    }

    fn done_with(&self, bytes: usize) {
        let waiting = self.shared.waiting.fetch_sub(bytes, Ordering::AcqRel) - bytes;
        let mut paused = locked(&self.shared.paused);
        // Whether the partition flows is its next owner's to say.
        if self.shared.stop.is_triggered() {
            return;
        }
        // What is little whatever the share is: more partitions may have come since.
        if *paused && waiting <= self.options.waiting_bytes / 64 {
            self.flow.resume(&self.id);
            *paused = false;
        }
    }
}
