//! The shards whose leases are this worker's, each with its reader and what takes its messages.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use aws_sdk_kinesis::Client;
use tokio::{
    runtime::Handle,
    sync::{Notify, mpsc},
    task::JoinHandle,
};
use trivium_ingest::{Lag, LaneHealth, Tended, port::Partition};
use trivium_model::Timestamp;
use trivium_runtime::Shutdown;

use crate::{
    KinesisOptions,
    leases::{After, Checkpoint, Lease},
    reader::{Mark, Reader, may_have_expired, pause},
    taker::{Names, Next, Taker, place},
};

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
    /// What it is counted by.
    pub names: &'static Names,
    /// The bytes of all shards together, and how many shards there are.
    waiting_bytes: usize,
    lanes: Arc<AtomicUsize>,
    /// Nothing that arrived before is still to be done; in microseconds.
    done_until: AtomicI64,
    progress: Mutex<Progress>,
    /// Messages wait no more, and are not done with either.
    unsettled: AtomicBool,
    /// The lease is given back once the messages' taker has ended.
    gives_back: AtomicBool,
    trouble: Mutex<Option<String>>,
    held: Mutex<Option<String>>,
    /// Rung when it has been read to its end.
    ended: Arc<Notify>,
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
        // In this order: what waits no more is unsettled before that.
        let none_waits = self.waiting.load(Ordering::Acquire) == 0;
        if none_waits && !self.unsettled.load(Ordering::Acquire) {
            self.done_until.fetch_max(until.0, Ordering::AcqRel);
        }
    }

    /// Why it is not read.
    pub fn trouble(&self, why: Option<String>) {
        *locked(&self.trouble) = why;
    }

    /// Why its messages are not taken.
    pub fn held(&self, why: Option<String>) {
        *locked(&self.held) = why;
    }

    /// Messages that were taken are not done with yet.
    pub fn unsettled(&self) {
        self.unsettled.store(true, Ordering::Release);
    }

    /// So many bytes of messages wait no more.
    pub fn freed(&self, bytes: usize) {
        self.waiting.fetch_sub(bytes, Ordering::AcqRel);
        self.room.notify_one();
    }

    /// What was taken is done with, up to this record.
    pub fn done_with(&self, last: Option<(Mark, u64)>, ended: bool) {
        {
            let mut progress = locked(&self.progress);
            if let Some((mark, position)) = last {
                self.done_until.fetch_max(mark.arrived.0, Ordering::AcqRel);
                progress.sequence = Some(mark.sequence);
                progress.position = position;
            }
            progress.ended |= ended;
        }
        self.unsettled.store(false, Ordering::Release);
        if ended {
            self.ended.notify_one();
        }
    }

    /// Whether its lease is given back: what was taken is brought to its end then, if that can be.
    pub fn gives_back(&self) -> bool {
        self.gives_back.load(Ordering::Acquire)
    }

    /// Nobody has anything of it any more: it is read from what is done with.
    fn begin(&self) -> Checkpoint {
        self.waiting.store(0, Ordering::Release);
        self.unsettled.store(false, Ordering::Release);
        self.held(None);
        self.checkpoint().0
    }

    /// How far it is behind.
    fn tell_lag(&self, seconds: f64) {
        let partition = self.tended.partition();
        let labels =
            [("topic", partition.topic.to_string()), ("partition", partition.name.to_string())];
        metrics::gauge!(self.names.lag, &labels).set(seconds);
    }

    /// It has come, or gone.
    fn tell(&self, what: &'static str) {
        metrics::counter!(self.names.rebalances, "what" => what).increment(1);
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
    taker: Arc<dyn Taker>,
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
    pub fn new(
        taker: Arc<dyn Taker>,
        options: KinesisOptions,
        client: Client,
        handle: Handle,
    ) -> Self {
        Self {
            taker,
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
        let shared = Arc::new(Shared {
            tended: Tended::new(partition.clone()),
            epoch,
            stop: Shutdown::new(),
            waiting: AtomicUsize::new(0),
            room: Notify::new(),
            names: self.taker.names(),
            waiting_bytes: self.options.waiting_bytes,
            lanes: Arc::clone(&self.count),
            done_until: AtomicI64::new(checkpoint.read_until.0),
            progress: Mutex::new(Progress {
                sequence: checkpoint.sequence.clone(),
                position,
                ended: false,
            }),
            unsettled: AtomicBool::new(false),
            gives_back: AtomicBool::new(false),
            trouble: Mutex::default(),
            held: Mutex::default(),
            ended: Arc::clone(&self.ended),
        });
        shared.tell("assigned");
        let work = Work {
            taker: Arc::clone(&self.taker),
            shared: Arc::clone(&shared),
            client: self.client.clone(),
            options: self.options.clone(),
            look: Arc::clone(&self.look),
            retention,
        };
        let (died, handle, name) =
            (Arc::clone(&self.died), self.handle.clone(), partition.to_string());
        let task = self.handle.spawn(async move {
            if let Err(error) = handle.spawn(work.run()).await {
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
        let now = self.taker.clock().now_micros();
        let mut due = Vec::new();
        for lane in locked(&self.running).values() {
            let (checkpoint, ended) = lane.shared.checkpoint();
            let behind = now.saturating_sub(checkpoint.read_until.0).max(0);
            lane.shared.tell_lag(behind as f64 / 1e6);
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

    /// Ends a lane whose lease is not this worker's any more. What it is writing is superseded, or refused.
    pub fn lose(&self, shared: &Arc<Shared>) {
        shared.stop.trigger();
        let mut running = locked(&self.running);
        let partition = shared.tended.partition();
        if running.get(partition).is_some_and(|lane| Arc::ptr_eq(&lane.shared, shared)) {
            running.remove(partition);
            // Its lag is told by whoever has it now.
            shared.tell_lag(0.0);
            shared.tell("revoked");
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
            lane.shared.gives_back.store(true, Ordering::Release);
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
            lane.shared.tell_lag(0.0);
            lane.shared.tell("revoked");
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
        let now = self.taker.clock().now_micros();
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
                stopped: shared
                    .tended
                    .stopped()
                    .or_else(|| locked(&shared.trouble).clone())
                    .or_else(|| locked(&shared.held).clone()),
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

/// What a shard's task does.
struct Work {
    taker: Arc<dyn Taker>,
    shared: Arc<Shared>,
    client: Client,
    options: KinesisOptions,
    look: Arc<Notify>,
    /// How long the stream keeps messages.
    retention: Duration,
}

impl Work {
    async fn run(self) {
        loop {
            let Some(at) = self.begins().await else { return };
            let (feed, fed) = mpsc::unbounded_channel();
            let reader = Reader {
                client: self.client.clone(),
                options: self.options.clone(),
                clock: Arc::clone(self.taker.clock()),
                shared: Arc::clone(&self.shared),
                feed,
                retention: self.retention,
                look: Arc::clone(&self.look),
                at,
                average: 1 << 10,
            };
            // The reader may come to its end first, and what it has read is still to be taken.
            let reading = async {
                reader.run().await;
                std::future::pending::<Infallible>().await
            };
            let next = tokio::select! {
                next = self.taker.take(&self.shared, fed) => next,
                never = reading => match never {},
            };
            if next == Next::Stop {
                return;
            }
        }
    }

    /// From where it is read; none: it was asked to stop.
    async fn begins(&self) -> Option<Checkpoint> {
        let (from, clock) = (self.shared.begin(), self.taker.clock());
        if !may_have_expired(from.read_until, clock.now_micros(), self.retention) {
            return Some(from);
        }
        let partition = self.shared.tended.partition();
        for failures in 1.. {
            let placed = tokio::select! {
                placed = place(&self.client, &*self.taker, partition, from.clone()) => placed,
                () = self.shared.stop.wait() => return None,
            };
            let why = match placed {
                Ok(at) => return Some(at),
                Err(why) => why,
            };
            tracing::warn!(%partition, why, "where it was left off is not known; tried again");
            tokio::select! {
                () = tokio::time::sleep(pause(failures)) => {}
                () = self.shared.stop.wait() => return None,
            }
        }
        None
    }
}
