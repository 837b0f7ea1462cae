//! The lanes of the shards whose leases are this worker's.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicI64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use aws_sdk_kinesis::Client;
use tokio::{
    runtime::Handle,
    sync::{Notify, mpsc},
    task::JoinHandle,
};
use trivium_ingest::{
    Lag, Lane, LaneHealth, Parts, Tended,
    port::{Partition, Record},
};
use trivium_model::Timestamp;
use trivium_runtime::Shutdown;

use crate::{
    KinesisOptions,
    leases::{After, Checkpoint, Lease},
    reader::{Item, Mark, Reader},
};

/// How far a shard is behind.
fn tell_lag(partition: &Partition, seconds: f64) {
    let labels =
        [("topic", partition.topic.to_string()), ("partition", partition.name.to_string())];
    metrics::gauge!("trivium_ingest_lag_seconds", &labels).set(seconds);
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a shard's reader, its lane and the worker share.
pub(crate) struct Shared {
    pub tended: Tended,
    /// The lease's, when it was taken.
    pub epoch: u64,
    pub stop: Shutdown,
    /// Bytes of messages that were read and are not done with.
    pub waiting: AtomicUsize,
    /// Rung when that has become less.
    pub room: Notify,
    /// The bytes of all shards together, and how many shards there are.
    waiting_bytes: usize,
    lanes: Arc<AtomicUsize>,
    /// Nothing that arrived before is still to be done; in microseconds.
    done_until: AtomicI64,
    progress: Mutex<Progress>,
    trouble: Mutex<Option<String>>,
}

struct Progress {
    sequence: Option<String>,
    position: u64,
    ended: bool,
}

impl Shared {
    /// How much more may wait.
    pub fn room_bytes(&self) -> usize {
        let share = self.waiting_bytes / self.lanes.load(Ordering::Relaxed).max(1);
        share.saturating_sub(self.waiting.load(Ordering::Acquire))
    }

    /// Whether it is worth a request: answers of few messages cost as much as those of many.
    pub fn has_room(&self) -> bool {
        self.waiting.load(Ordering::Acquire) <= self.room_bytes()
    }

    /// An answer without messages: nothing came before this instant that was not read.
    pub fn caught_up(&self, until: Timestamp) {
        if self.waiting.load(Ordering::Acquire) == 0 {
            self.done_until.fetch_max(until.0, Ordering::AcqRel);
        }
    }

    /// Why it is not read.
    pub fn trouble(&self, why: Option<String>) {
        *locked(&self.trouble) = why;
    }

    fn checkpoint(&self) -> (Checkpoint, bool) {
        let progress = locked(&self.progress);
        let checkpoint = Checkpoint {
            sequence: progress.sequence.clone(),
            position: progress.position,
            read_until: Timestamp(self.done_until.load(Ordering::Acquire)),
        };
        (checkpoint, progress.ended)
    }

    /// What is to be written when the lane has ended.
    pub fn last(&self) -> (Checkpoint, After) {
        let (checkpoint, ended) = self.checkpoint();
        (checkpoint, if ended { After::End } else { After::Release })
    }
}

struct Running {
    shared: Arc<Shared>,
    task: JoinHandle<()>,
    /// The position that the lease has, and when that was written.
    kept: (u64, Instant),
}

/// What a lease is to be told.
pub(crate) struct ToKeep {
    pub shared: Arc<Shared>,
    pub checkpoint: Checkpoint,
    pub after: After,
}

/// The lanes.
pub(crate) struct Lanes {
    parts: Parts,
    options: KinesisOptions,
    client: Client,
    handle: Handle,
    running: Mutex<BTreeMap<Partition, Running>>,
    count: Arc<AtomicUsize>,
    died: Arc<Mutex<Option<String>>>,
    /// Rung when a shard has been read to its end.
    pub ended: Arc<Notify>,
    /// Rung when streams should be looked at.
    pub look: Arc<Notify>,
}

impl Lanes {
    pub fn new(parts: Parts, options: KinesisOptions, client: Client, handle: Handle) -> Self {
        Self {
            parts,
            options,
            client,
            handle,
            running: Mutex::default(),
            count: Arc::default(),
            died: Arc::default(),
            ended: Arc::default(),
            look: Arc::default(),
        }
    }

    /// Begins the lane of a lease that has become this worker's.
    pub fn begin(&self, lease: Lease, retention: Duration) {
        let Lease { partition, epoch, checkpoint, .. } = lease;
        let (position, after) = (checkpoint.position, checkpoint.sequence.as_deref());
        tracing::info!(%partition, epoch, position, after, "a shard has come");
        metrics::counter!("trivium_ingest_rebalances_total", "what" => "assigned").increment(1);
        let shared = Arc::new(Shared {
            tended: Tended::new(partition.clone()),
            epoch,
            stop: Shutdown::new(),
            waiting: AtomicUsize::new(0),
            room: Notify::new(),
            waiting_bytes: self.options.waiting_bytes,
            lanes: Arc::clone(&self.count),
            done_until: AtomicI64::new(checkpoint.read_until.0),
            progress: Mutex::new(Progress {
                sequence: checkpoint.sequence.clone(),
                position,
                ended: false,
            }),
            trouble: Mutex::default(),
        });
        let (feed, fed) = mpsc::unbounded_channel();
        let reader = Reader {
            client: self.client.clone(),
            options: self.options.clone(),
            clock: Arc::clone(&self.parts.clock),
            shared: Arc::clone(&shared),
            feed,
            retention,
            look: Arc::clone(&self.look),
            at: checkpoint,
            average: 1 << 10,
        };
        let work = Work {
            lane: Lane::new(partition.clone(), self.parts.clone()),
            shared: Arc::clone(&shared),
            options: self.options.clone(),
            ended: Arc::clone(&self.ended),
        };
        let (died, handle, name) =
            (Arc::clone(&self.died), self.handle.clone(), partition.to_string());
        let task = self.handle.spawn(async move {
            let both = async { tokio::join!(reader.run(), work.run(fed)) };
            if let Err(error) = handle
                .spawn(async {
                    both.await;
                })
                .await
            {
                locked(&died).get_or_insert(format!("the lane of {name} died: {error}"));
            }
        });
        let mut running = locked(&self.running);
        let lane = Running { shared, task, kept: (position, Instant::now()) };
        if let Some(before) = running.insert(partition, lane) {
            before.shared.stop.trigger();
        }
        self.count.store(running.len(), Ordering::Relaxed);
    }

    /// Why the worker cannot go on, if it cannot.
    pub fn died(&self) -> Option<String> {
        locked(&self.died).clone()
    }

    /// Whether a lane works under this lease.
    pub fn works_on(&self, lease: &Lease) -> bool {
        let running = locked(&self.running);
        running.get(&lease.partition).is_some_and(|lane| lane.shared.epoch == lease.epoch)
    }

    /// Leases that are to be written: those with progress, and those that were not for so long.
    pub fn to_keep(&self, renewed_every: Duration) -> Vec<ToKeep> {
        let now = self.parts.clock.now_micros();
        let mut due = Vec::new();
        for (partition, lane) in &*locked(&self.running) {
            let (checkpoint, ended) = lane.shared.checkpoint();
            let behind = now.saturating_sub(checkpoint.read_until.0).max(0);
            tell_lag(partition, behind as f64 / 1e6);
            let (position, at) = lane.kept;
            if ended || checkpoint.position != position || at.elapsed() >= renewed_every {
                let after = if ended { After::End } else { After::Keep };
                due.push(ToKeep { shared: Arc::clone(&lane.shared), checkpoint, after });
            }
        }
        due
    }

    /// A lease was written.
    pub fn kept(&self, what: &ToKeep) {
        if let Some(lane) = locked(&self.running).get_mut(what.shared.tended.partition())
            && lane.shared.epoch == what.shared.epoch
        {
            lane.kept = (what.checkpoint.position, Instant::now());
        }
    }

    /// Ends a lane whose lease is not this worker's any more. What it is writing is superseded.
    pub fn lose(&self, shared: &Arc<Shared>) {
        shared.stop.trigger();
        let mut running = locked(&self.running);
        let partition = shared.tended.partition();
        if running.get(partition).is_some_and(|lane| Arc::ptr_eq(&lane.shared, shared)) {
            running.remove(partition);
            // Its lag is told by whoever has it now.
            tell_lag(partition, 0.0);
            metrics::counter!("trivium_ingest_rebalances_total", "what" => "revoked").increment(1);
        }
        self.count.store(running.len(), Ordering::Relaxed);
    }

    /// Ends the lanes that are meant and waits for them, for as long as that may take; gives those that
    /// have ended, or not in time: their rows are superseded by those of whoever has the shard then.
    pub async fn end(&self, meant: impl Fn(&Partition) -> bool) -> Vec<Arc<Shared>> {
        let ending: Vec<Running> = {
            let mut running = locked(&self.running);
            let ids: Vec<Partition> = running.keys().filter(|id| meant(id)).cloned().collect();
            let ending = ids.iter().filter_map(|id| running.remove(id)).collect();
            self.count.store(running.len(), Ordering::Relaxed);
            ending
        };
        for lane in &ending {
            lane.shared.stop.trigger();
        }
        let until = tokio::time::Instant::now() + self.options.release_time;
        let mut ended = Vec::with_capacity(ending.len());
        for lane in ending {
            let partition = lane.shared.tended.partition();
            if tokio::time::timeout_at(until, lane.task).await.is_err() {
                tracing::warn!(%partition, "its last batch is still being written");
            }
            tracing::info!(%partition, "a shard has gone");
            tell_lag(partition, 0.0);
            metrics::counter!("trivium_ingest_rebalances_total", "what" => "revoked").increment(1);
            ended.push(lane.shared);
        }
        ended
    }

    /// Asks all lanes to stop, and waits for none.
    pub fn stop(&self) {
        for lane in locked(&self.running).values() {
            lane.shared.stop.trigger();
        }
    }

    /// How each lane is, sorted.
    pub fn health(&self) -> Vec<LaneHealth> {
        let now = self.parts.clock.now_micros();
        let health = |lane: &Running| {
            let shared = &lane.shared;
            let (checkpoint, _) = shared.checkpoint();
            let behind = now.saturating_sub(checkpoint.read_until.0).max(0);
            LaneHealth {
                partition: shared.tended.partition().clone(),
                view: None,
                progress: checkpoint.sequence.is_some().then_some(checkpoint.position),
                waiting_bytes: shared.waiting.load(Ordering::Acquire),
                busy: shared.tended.busy(),
                lag: Some(Lag { records: None, age: Duration::from_micros(behind.unsigned_abs()) }),
                stopped: shared.tended.stopped().or_else(|| locked(&shared.trouble).clone()),
            }
        };
        locked(&self.running).values().map(health).collect()
    }

    /// Lets a shard go on that a flood has stopped.
    pub fn let_pass(&self, partition: &str, messages: u64) -> bool {
        let running = locked(&self.running);
        let mut lanes = running.values().map(|lane| &lane.shared.tended);
        lanes.any(|lane| lane.partition().to_string() == partition && lane.let_pass(messages))
    }
}

/// A lane's work.
struct Work {
    lane: Lane,
    shared: Arc<Shared>,
    options: KinesisOptions,
    ended: Arc<Notify>,
}

impl Work {
    async fn run(mut self, mut fed: mpsc::UnboundedReceiver<Item>) {
        let stop = self.shared.stop.clone();
        let (mut items, mut records) = (Vec::new(), Vec::new());
        loop {
            tokio::select! {
                biased;
                () = stop.wait() => return,
                _ = fed.recv_many(&mut items, self.options.batch_records) => {}
            }
            if items.is_empty() {
                return;
            }
            let (mut last, mut ended): (Option<(Mark, u64)>, bool) = (None, false);
            for item in items.drain(..) {
                match item {
                    Item::End => ended = true,
                    Item::Message(record, mark) => {
                        // Progress stands between records: in the middle of an aggregate it waits.
                        if let Some(mark) = mark {
                            last = Some((mark, record.offset));
                        }
                        records.push(record);
                    }
                }
            }
            let (tended, retry) = (&self.shared.tended, self.options.flood_retry);
            if !records.is_empty() && !tended.take(&mut self.lane, &records, retry, &stop).await {
                return;
            }
            self.done_with(&records, last, ended);
            records.clear();
        }
    }

    fn done_with(&self, records: &[Record], last: Option<(Mark, u64)>, ended: bool) {
        let shared = &self.shared;
        {
            let mut progress = locked(&shared.progress);
            if let Some((mark, position)) = last {
                shared.done_until.fetch_max(mark.arrived.0, Ordering::AcqRel);
                progress.sequence = Some(mark.sequence);
                progress.position = position;
            }
            progress.ended |= ended;
        }
        let bytes: usize = records.iter().map(Record::bytes).sum();
        shared.waiting.fetch_sub(bytes, Ordering::AcqRel);
        shared.room.notify_one();
        if ended {
            self.ended.notify_one();
        }
    }
}
