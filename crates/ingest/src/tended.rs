//! What a lane's task and whoever asks after it share, whatever system brings its messages.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio::sync::Notify;
use trivium_model::ViewRef;
use trivium_runtime::Shutdown;

use crate::{
    Lane, Stopped,
    port::{Partition, Record},
};

/// How a partition's lane is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaneHealth {
    /// The partition.
    pub partition: Partition,
    /// Whose windows are computed of it; none: its messages are rows.
    pub view: Option<ViewRef>,
    /// Behind the last message that is done with; none yet. In Kafka the next offset.
    pub progress: Option<u64>,
    /// Bytes of messages that wait.
    pub waiting_bytes: usize,
    /// For how long what is being written has been.
    pub busy: Option<Duration>,
    /// What is still to be done with; none where that is not known yet.
    pub lag: Option<Lag>,
    /// Why it does not go on, if it does not.
    pub stopped: Option<String>,
}

/// How far a partition's lane is behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lag {
    /// Messages, where the system counts them.
    pub records: Option<u64>,
    /// The age of the oldest of them, of which something is known.
    pub age: Duration,
}

/// A worker's partitions, for people: of whatever system they are.
pub trait Partitions: Send + Sync {
    /// How each lane is, sorted.
    fn health(&self) -> Vec<LaneHealth>;

    /// Lets a partition go on that a flood has stopped: of the next so many messages those that cannot
    /// become rows are dead-lettered. False: it is none of this worker's, or it is not stopped.
    fn let_pass(&self, partition: &str, messages: u64) -> bool;
}

#[derive(Debug, Default)]
struct State {
    busy: Option<Instant>,
    stopped: Option<String>,
    is_flood: bool,
    /// Messages that may pass whatever they are, once somebody has said so of this flood.
    passing: u64,
}

/// A lane as it is seen from outside, and what it is told from there.
#[derive(Debug)]
pub struct Tended {
    partition: Partition,
    state: Mutex<State>,
    pass: Notify,
}

impl Tended {
    /// Of this partition's lane.
    pub fn new(partition: Partition) -> Self {
        Self { partition, state: Mutex::default(), pass: Notify::new() }
    }

    /// The partition.
    pub fn partition(&self) -> &Partition {
        &self.partition
    }

    /// For how long the batch under way has been; none is.
    pub fn busy(&self) -> Option<Duration> {
        self.state().busy.map(|since| since.elapsed())
    }

    /// Why it does not go on.
    pub fn stopped(&self) -> Option<String> {
        self.state().stopped.clone()
    }

    /// Only a flood that is there may be let pass: said beforehand, it would let one of next week pass.
    pub fn let_pass(&self, messages: u64) -> bool {
        let mut state = self.state();
        let passes = messages > 0 && state.is_flood;
        if passes {
            state.passing = messages;
            self.pass.notify_one();
        }
        passes
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a batch to its end, however long a flood lasts; false: it was asked to stop. What a flood
    /// has stopped is looked at again so often.
    pub async fn take(
        &self,
        lane: &mut Lane,
        batch: &[Record],
        flood_retry: Duration,
        stop: &Shutdown,
    ) -> bool {
        metrics::histogram!("trivium_ingest_batch_records").record(batch.len() as f64);
        self.state().busy = Some(Instant::now());
        loop {
            match lane.take(batch, stop).await {
                Ok(_) => {
                    *self.state() = State::default();
                    return true;
                }
                Err(Stopped::Asked) => return false,
                Err(stopped) => {
                    let again = self.tell(&stopped, flood_retry);
                    tokio::select! {
                        () = stop.wait() => return false,
                        () = self.pass.notified() => {
                            let messages = std::mem::take(&mut self.state().passing);
                            // None: it was said of a flood that ended by itself meanwhile.
                            if messages > 0 {
                                lane.let_pass(messages);
                            }
                        }
                        // A mended config needs nobody to say so.
                        () = tokio::time::sleep(again) => {}
                    }
                }
            }
        }
    }

    /// Says why it is stopped, and how long until it is tried again.
    fn tell(&self, stopped: &Stopped, flood_retry: Duration) -> Duration {
        let (why, partition) = (stopped.to_string(), &self.partition);
        let before = {
            let mut state = self.state();
            state.is_flood = matches!(stopped, Stopped::Flood { .. });
            if !state.is_flood {
                state.passing = 0;
            }
            state.stopped.replace(why.clone())
        };
        if before.as_deref() != Some(&why) {
            tracing::error!(%partition, why, "the partition is stopped");
        }
        match stopped {
            Stopped::Flood { .. } => {
                let topic = partition.topic.to_string();
                metrics::counter!("trivium_ingest_floods_total", "topic" => topic).increment(1);
                flood_retry
            }
            _ => flood_retry.min(Duration::from_secs(1)),
        }
    }
}
