//! Shards' messages into their history: every row of them, and not only the newest of an entity.
//!
//! The leases are a table of their own, so that the history waits for no lane, and no lane for it. A shard's
//! messages go to the [`Keeper`](crate::keeper), a thread that has the sink; a lease's checkpoint follows
//! what is in the views' logs.
//!
//! The logs say themselves how far each shard was read, by position and by Kinesis' number: what is read
//! again is passed over, and a lease that has to be made anew begins where the logs stand.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc as std_mpsc,
    },
    thread,
};

use arc_swap::ArcSwap;
use async_trait::async_trait;
use tokio::sync::{mpsc, oneshot};
use trivium_ingest::{LaneHealth, port::Partition};
use trivium_ingest_history::{Definitions, SinkOptions, SinkParts};
use trivium_runtime::{Clock, Shutdown};

use crate::{
    Error, KinesisOptions,
    keeper::{Ask, Keeper, Taking},
    lanes::{Lanes, Shared},
    reader::Item,
    taker::{Names, Next, Taker},
    worker::Worker,
};

const NAMES: Names = Names {
    lag: "trivium_history_lag_seconds",
    rebalances: "trivium_history_rebalances_total",
    expired: "trivium_history_expired_total",
};

/// Brings every row of the streams into their history.
pub struct KinesisHistory {
    worker: Worker,
    asks: std_mpsc::Sender<Ask>,
    asked: std_mpsc::Receiver<Ask>,
    sink: SinkOptions,
    parts: SinkParts,
    definitions: Arc<ArcSwap<Definitions>>,
}

/// The shards of a history, for people.
#[derive(Clone)]
pub struct HistoryShards(Arc<Lanes>);

impl HistoryShards {
    /// How each shard is, sorted.
    pub fn health(&self) -> Vec<LaneHealth> {
        self.0.health()
    }
}

/// Tells the thread that nobody waits for it any more.
struct Stops(std_mpsc::Sender<Ask>);

impl Drop for Stops {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.send(Ask::Stop);
    }
}

impl KinesisHistory {
    /// Asks nobody yet. The table of leases must not be that of the lanes: each has all messages.
    pub fn new(
        options: KinesisOptions,
        sink: SinkOptions,
        parts: SinkParts,
        definitions: Arc<ArcSwap<Definitions>>,
    ) -> Result<Self, Error> {
        // A shard has one `Taking` and one `End` in it at most.
        let (asks, asked) = std_mpsc::channel();
        let taker = Takes {
            asks: asks.clone(),
            runs: AtomicU64::new(0),
            clock: Arc::clone(&parts.clock),
            definitions: Arc::clone(&definitions),
            batch_records: options.batch_records,
        };
        let worker = Worker::new(Arc::new(taker), options, parts.handle.clone())?;
        Ok(Self { worker, asks, asked, sink, parts, definitions })
    }

    /// Its shards.
    pub fn shards(&self) -> HistoryShards {
        HistoryShards(Arc::clone(&self.worker.lanes))
    }

    /// Works until the shutdown; then what was read is committed, and the leases are given back. Where it
    /// is dropped instead, what was read is left to be read again.
    pub async fn run(self, shutdown: Shutdown) -> Result<(), Error> {
        let Self { worker, asks, asked, sink, parts, definitions } = self;
        let (ended, mut end) = oneshot::channel();
        let spawned = thread::Builder::new().name("kinesis-history".to_owned()).spawn(move || {
            let kept = Keeper::open(sink, parts, definitions);
            let kept = kept.and_then(|mut keeper| keeper.work(&asked));
            // Nobody waits for it any more: then nobody is told.
            let _ = ended.send(kept.map_err(Error::Failed));
        });
        spawned.map_err(|error| Error::Failed(format!("no thread for the history: {error}")))?;
        let died = || Error::Failed("the history's thread died".to_owned());
        let stops = Stops(asks);
        // Without the thread nothing is read, and the leases are others' to have.
        let stop = Shutdown::new();
        let watching = async {
            let kept = tokio::select! {
                kept = &mut end => Some(kept.unwrap_or_else(|_| Err(died()))),
                () = shutdown.wait() => None,
            };
            stop.trigger();
            kept
        };
        let (worked, kept) = {
            let working = worker.run(stop.clone());
            tokio::pin!(working, watching);
            tokio::select! {
                worked = &mut working => (worked, None),
                kept = &mut watching => (working.await, kept),
            }
        };
        drop(stops);
        let kept = match kept {
            Some(kept) => kept,
            None => end.await.unwrap_or_else(|_| Err(died())),
        };
        kept.and(worked)
    }
}

/// Passes shards' messages on to the thread.
struct Takes {
    asks: std_mpsc::Sender<Ask>,
    /// Counts how often a shard was begun: what is left of one time is nothing to the next.
    runs: AtomicU64,
    clock: Arc<dyn Clock>,
    definitions: Arc<ArcSwap<Definitions>>,
    batch_records: usize,
}

#[async_trait]
impl Taker for Takes {
    fn names(&self) -> &'static Names {
        &NAMES
    }

    fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    fn topics(&self) -> Vec<String> {
        self.definitions.load().topics()
    }

    async fn left_off(&self, partition: &Partition) -> Result<Vec<(u64, String)>, String> {
        let (found, is_found) = oneshot::channel();
        let asked = self.asks.send(Ask::LeftOff { partition: partition.clone(), found });
        let ended = || "the history's thread has ended".to_owned();
        asked.map_err(|_| ended())?;
        is_found.await.map_err(|_| ended())?
    }

    async fn take(&self, shared: &Arc<Shared>, fed: mpsc::UnboundedReceiver<Item>) -> Next {
        let run = self.runs.fetch_add(1, Ordering::Relaxed);
        let (again, is_again) = oneshot::channel();
        let begin = Ask::Begin { run, shared: Arc::clone(shared), again };
        if self.asks.send(begin).is_err() {
            return Next::Stop;
        }
        let next = self.pass_on(run, shared, fed, is_again).await;
        if next == Next::Stop {
            let (done, is_done) = oneshot::channel();
            let end = Ask::End { run, shared: Arc::clone(shared), done };
            if self.asks.send(end).is_ok() {
                let _ = is_done.await;
            }
        }
        next
    }
}

impl Takes {
    /// Whole records alone are passed on: logs stand between records, never within an aggregate.
    async fn pass_on(
        &self,
        run: u64,
        shared: &Arc<Shared>,
        mut fed: mpsc::UnboundedReceiver<Item>,
        mut is_again: oneshot::Receiver<()>,
    ) -> Next {
        let (mut items, mut records) = (Vec::new(), Vec::new());
        loop {
            let mut ended = false;
            tokio::select! {
                biased;
                () = shared.stop.wait() => return Next::Stop,
                _ = &mut is_again => return Next::Again,
                read = fed.recv_many(&mut items, self.batch_records), if !fed.is_closed() || !fed.is_empty() => {
                    // The reader has come to the shard's end: what it read may not be committed yet.
                    if read == 0 {
                        continue;
                    }
                }
            }
            let (mut whole, mut last) = (0, None);
            for item in items.drain(..) {
                match item {
                    Item::End => ended = true,
                    Item::Message(record, mark) => {
                        let position = record.offset;
                        records.push(record);
                        if let Some(mark) = mark {
                            (whole, last) = (records.len(), Some((mark, position)));
                        }
                    }
                }
            }
            let rest = records.split_off(whole);
            let given = std::mem::replace(&mut records, rest);
            if last.is_none() && !ended {
                continue;
            }
            let (taken, is_taken) = oneshot::channel();
            let shared = Arc::clone(shared);
            let taking =
                Taking { run, shared: Arc::clone(&shared), records: given, last, ended, taken };
            if self.asks.send(Ask::Take(taking)).is_err() {
                return Next::Stop;
            }
            tokio::select! {
                biased;
                () = shared.stop.wait() => return Next::Stop,
                _ = &mut is_again => return Next::Again,
                // Where nobody takes it, the shard is stopped or read again.
                taken = is_taken => if taken.is_err() {
                    tokio::select! {
                        biased;
                        () = shared.stop.wait() => return Next::Stop,
                        _ = &mut is_again => return Next::Again,
                    }
                }
            }
        }
    }
}
