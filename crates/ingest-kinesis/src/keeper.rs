//! The thread that has the history's sink. Files are written by it and by nobody else, and no async worker
//! waits for them.
//!
//! It takes one batch of a shard at a time, and the next is not read on before that: while the lake cannot
//! be written, it keeps as many bytes as it may, takes nothing more, and the readers wait.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError},
    },
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use tokio::sync::oneshot;
use trivium_ingest::port::{Partition, Record};
use trivium_ingest_history::{Definitions, Sink, SinkOptions, SinkParts};

use crate::{lanes::Shared, reader::Mark};

/// How long the thread waits to be asked before it looks at anything else.
const POLL: Duration = Duration::from_millis(100);
/// How long after a failed commit the next is tried.
const RETRY: Duration = Duration::from_secs(1);

/// What the thread is asked. Each time that a shard is begun has a number, its run.
pub(crate) enum Ask {
    /// A shard is read from its lease's checkpoint on. Where `again` is dropped it has to be begun anew.
    Begin { run: u64, shared: Arc<Shared>, again: oneshot::Sender<()> },
    /// A batch of it.
    Take(Taking),
    /// It is read no more: given back with what was taken of it, or others' already.
    End { run: u64, shared: Arc<Shared>, done: oneshot::Sender<()> },
    /// Where the logs say that a shard was left off.
    LeftOff { partition: Partition, found: oneshot::Sender<Result<Vec<(u64, String)>, String>> },
    /// Nobody waits for anything any more.
    Stop,
}

/// A shard's next messages.
pub(crate) struct Taking {
    pub run: u64,
    pub shared: Arc<Shared>,
    pub records: Vec<Record>,
    /// The record of the last message, and its position.
    pub last: Option<(Mark, u64)>,
    /// The shard has no more.
    pub ended: bool,
    pub taken: oneshot::Sender<()>,
}

/// A shard that is read.
struct Shard {
    run: u64,
    shared: Arc<Shared>,
    /// Up to here it was taken, and may not be in the logs.
    last: Option<(Mark, u64)>,
    /// It was taken to its end, and its lease is not told.
    ended: bool,
    /// Dropped, it says that the shard has to be begun anew.
    _again: oneshot::Sender<()>,
}

/// The sink, and the shards that it is given.
pub(crate) struct Keeper {
    sink: Sink,
    /// What the sink may keep before nothing more is taken.
    bytes_max: usize,
    known: Arc<Definitions>,
    definitions: Arc<ArcSwap<Definitions>>,
    shards: BTreeMap<Partition, Shard>,
    /// One batch a shard, at most.
    waiting: VecDeque<Taking>,
    /// When a commit has failed.
    failed: Option<Instant>,
}

impl Keeper {
    /// Opens the logs; an error says what ends it.
    pub fn open(
        options: SinkOptions,
        parts: SinkParts,
        definitions: Arc<ArcSwap<Definitions>>,
    ) -> Result<Self, String> {
        let bytes_max = options.commit_bytes.saturating_mul(2);
        let known = definitions.load_full();
        let sink = Sink::open(options, parts, Arc::clone(&known)).map_err(|error| chain(&error))?;
        Ok(Self {
            sink,
            bytes_max,
            known,
            definitions,
            shards: BTreeMap::new(),
            waiting: VecDeque::new(),
            failed: None,
        })
    }

    /// Works until it is asked to stop.
    pub fn work(&mut self, asked: &Receiver<Ask>) -> Result<(), String> {
        loop {
            let mut ask = match asked.recv_timeout(POLL) {
                Ok(ask) => Some(ask),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            };
            while let Some(one) = ask {
                if matches!(one, Ask::Stop) {
                    return Ok(());
                }
                self.hear(one)?;
                ask = asked.try_recv().ok();
            }
            self.define()?;
            self.take();
            metrics::gauge!("trivium_history_waiting_bytes", "system" => "kinesis")
                .set(self.sink.bytes() as f64);
            let may_try = self.failed.is_none_or(|at| at.elapsed() >= RETRY);
            if self.sink.is_due() && may_try {
                self.commit();
            }
            if let Err(error) = self.sink.tend() {
                tracing::warn!(error = chain(&error), "the history was not tended");
            }
        }
    }

    fn hear(&mut self, ask: Ask) -> Result<(), String> {
        match ask {
            Ask::Begin { run, shared, again } => {
                let partition = shared.tended.partition().clone();
                // What is left of the time before is read again.
                self.sink.forget(std::slice::from_ref(&partition));
                // Where it is read from, its lease says. No log stands before that.
                self.sink
                    .assign(std::slice::from_ref(&partition))
                    .map_err(|error| chain(&error))?;
                let shard = Shard { run, shared, last: None, ended: false, _again: again };
                self.shards.insert(partition, shard);
            }
            Ask::Take(taking) => self.waiting.push_back(taking),
            Ask::End { run, shared, done } => {
                self.waiting.retain(|taking| taking.run != run);
                let partition = shared.tended.partition();
                let is_there = |keeper: &Self| {
                    keeper.shards.get(partition).is_some_and(|shard| shard.run == run)
                };
                if is_there(self) && shared.gives_back() && self.sink.holds(partition) {
                    self.commit();
                }
                if is_there(self) {
                    self.drop_shard(&partition.clone());
                }
                let _ = done.send(());
            }
            Ask::LeftOff { partition, found } => {
                let _ = found.send(self.sink.marks(&partition).map_err(|error| chain(&error)));
            }
            Ask::Stop => {}
        }
        Ok(())
    }

    /// What the sink has of a shard is for whoever reads it next.
    fn drop_shard(&mut self, partition: &Partition) {
        self.shards.remove(partition);
        self.sink.forget(std::slice::from_ref(partition));
    }

    /// Takes changed definitions into force. What was taken is committed under those before them; shards of
    /// which that could not be done are read again.
    fn define(&mut self) -> Result<(), String> {
        let definitions = self.definitions.load_full();
        if Arc::ptr_eq(&definitions, &self.known) {
            return Ok(());
        }
        self.commit();
        let left: Vec<Partition> =
            self.shards.keys().filter(|partition| self.sink.holds(partition)).cloned().collect();
        for partition in &left {
            self.drop_shard(partition);
        }
        self.sink.define(Arc::clone(&definitions)).map_err(|error| chain(&error))?;
        self.known = definitions;
        Ok(())
    }

    /// Takes what waits, while there is room.
    fn take(&mut self) {
        let mut held = VecDeque::new();
        while self.sink.bytes() < self.bytes_max
            && let Some(taking) = self.waiting.pop_front()
        {
            let shared = Arc::clone(&taking.shared);
            let partition = shared.tended.partition();
            let is_read = |shard: &&mut Shard| shard.run == taking.run;
            let Some(shard) = self.shards.get_mut(partition).filter(is_read) else { continue };
            // Whoever gets it now reads it again.
            if shared.stop.is_triggered() {
                continue;
            }
            let unread = self.known.unread_in(&partition.topic);
            shared.held(unread.map(str::to_owned));
            if unread.is_some() || !self.known.has_views(&partition.topic) {
                // Passed over, it would be in no history: its views may be back, or be read later.
                held.push_back(taking);
                continue;
            }
            let bytes = taking.records.iter().map(Record::bytes).sum();
            // Asked to stop while schemas are waited for: it is read again by whoever comes next.
            if self.sink.take(partition, &taking.records, &shared.stop).is_err() {
                self.drop_shard(partition);
                continue;
            }
            if let Some((mark, position)) = &taking.last {
                self.sink.mark(partition, *position, &mark.sequence);
            }
            shard.last = taking.last.or(shard.last.take());
            shard.ended |= taking.ended;
            shared.unsettled();
            shared.freed(bytes);
            if !self.sink.holds(partition) {
                shard.settle();
            }
            let _ = taking.taken.send(());
        }
        self.waiting.append(&mut held);
    }

    fn commit(&mut self) {
        let done = self.sink.commit();
        self.failed = done.failed.map(|error| {
            tracing::warn!(error = chain(&error), "rows are not in their history yet");
            Instant::now()
        });
        for seek in done.seeks {
            let partition = seek.partition;
            tracing::warn!(%partition, "others were at work on it: it is read again from its lease");
            self.drop_shard(&partition);
        }
        for (partition, shard) in &mut self.shards {
            if !self.sink.holds(partition) {
                shard.settle();
            }
        }
    }
}

impl Shard {
    /// All that was taken is in the logs: the lease may follow.
    fn settle(&mut self) {
        if self.last.is_some() || self.ended {
            self.shared.done_with(self.last.take(), std::mem::take(&mut self.ended));
        }
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text += &format!(": {cause}");
        source = cause.source();
    }
    text
}
