//! A worker: takes leases, keeps them, and makes those of new shards.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use futures::{StreamExt as _, stream};
use rand::RngExt as _;
use tokio::runtime::Handle;
use trivium_ingest::{LaneHealth, Partitions, Parts};
use trivium_model::Timestamp;
use trivium_runtime::Shutdown;

use crate::{
    Error, KinesisOptions,
    balance::{Seen, Strays, choose},
    client,
    lanes::{Lanes, Shared},
    leases::{After, Lease, LeaseTable, PREPARE_PAUSE, TableError},
    rows::Rows,
    shards::{self, Listing},
    taker::{Taker, place},
};

/// Leases that are written at once.
const WRITES_IN_FLIGHT: usize = 16;

/// A worker whose shards' messages become rows. Cheap to clone.
#[derive(Clone)]
pub struct KinesisWorker(Worker);

impl KinesisWorker {
    /// Asks nobody yet. Lanes run on this runtime.
    pub fn new(parts: Parts, options: KinesisOptions, handle: Handle) -> Result<Self, Error> {
        let taker = Arc::new(Rows { parts, options: options.clone() });
        Worker::new(taker, options, handle).map(Self)
    }

    /// Whether it has looked at the leases, and taken what was its own.
    pub fn has_joined(&self) -> bool {
        self.0.joined.load(Ordering::Relaxed)
    }

    /// Works until the shutdown, and gives its leases back. Where it is dropped instead, its lanes end,
    /// and its leases are left to be taken.
    pub async fn run(self, shutdown: Shutdown) -> Result<(), Error> {
        self.0.run(shutdown).await
    }
}

impl Partitions for KinesisWorker {
    fn health(&self) -> Vec<LaneHealth> {
        self.0.lanes.health()
    }

    fn let_pass(&self, partition: &str, messages: u64) -> bool {
        self.0.lanes.let_pass(partition, messages)
    }
}

/// A worker: its leases and their lanes. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Worker {
    pub lanes: Arc<Lanes>,
    taker: Arc<dyn Taker>,
    table: LeaseTable,
    client: aws_sdk_kinesis::Client,
    options: KinesisOptions,
    /// Whether it has looked at the leases once, and taken what was its own.
    joined: Arc<AtomicBool>,
}

/// What a worker remembers from one look at the leases to the next.
#[derive(Default)]
struct View {
    topics: Vec<String>,
    /// When all streams were listed.
    listed: Option<Instant>,
    retention: HashMap<String, Duration>,
    seen: Seen,
    strays: Strays,
}

/// Ends the lanes of a worker that nobody runs any more.
struct Stops(Arc<Lanes>);

impl Drop for Stops {
    fn drop(&mut self) {
        self.0.stop();
    }
}

impl Worker {
    /// Asks nobody yet. Lanes run on this runtime.
    pub fn new(
        taker: Arc<dyn Taker>,
        options: KinesisOptions,
        handle: Handle,
    ) -> Result<Self, Error> {
        options.check()?;
        let client = client::kinesis(&options);
        let name = options.worker.as_deref().unwrap_or("worker");
        // A worker of the same name that is thought dead may be alive: its leases are its own.
        let me = format!("{name}/{}", uuid::Uuid::new_v4().simple());
        let table = LeaseTable::new(client::dynamodb(&options), &options.lease_table, &me);
        let lanes = Lanes::new(Arc::clone(&taker), options.clone(), client.clone(), handle);
        Ok(Self { lanes: Arc::new(lanes), taker, table, client, options, joined: Arc::default() })
    }

    /// Works until the shutdown, and gives its leases back. Where it is dropped instead, its lanes end,
    /// and its leases are left to be taken.
    pub async fn run(self, shutdown: Shutdown) -> Result<(), Error> {
        let _stops = Stops(Arc::clone(&self.lanes));
        if !self.prepare(&shutdown).await? {
            return Ok(());
        }
        let worked = tokio::select! {
            // Renewals must not wait for anything else.
            worked = self.keep_on(&shutdown) => worked,
            () = self.look_on(&shutdown) => Ok(()),
        };
        let ended = self.lanes.end(|_| true).await;
        self.give_back(ended).await;
        worked
    }

    /// Waits for the table of leases; false: it was asked to stop.
    async fn prepare(&self, shutdown: &Shutdown) -> Result<bool, Error> {
        loop {
            let pause = match self.table.prepare().await {
                Ok(true) => return Ok(true),
                Ok(false) => PREPARE_PAUSE,
                Err(Error::Away(why)) => {
                    tracing::warn!(why, "tried again");
                    PREPARE_PAUSE * 4
                }
                Err(error) => return Err(error),
            };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = shutdown.wait() => return Ok(false),
            }
        }
    }

    /// Writes leases: progress soon, and otherwise often enough.
    async fn keep_on(&self, shutdown: &Shutdown) -> Result<(), Error> {
        loop {
            tokio::select! {
                () = tokio::time::sleep(self.options.commit_every) => {}
                () = self.lanes.ended.notified() => {}
                () = shutdown.wait() => return Ok(()),
            }
            if let Some(why) = self.lanes.died() {
                return Err(Error::Failed(why));
            }
            let due = self.lanes.to_keep(self.options.lease / 3);
            let failed: Vec<TableError> = stream::iter(due)
                .map(|what| async move {
                    let shared = &what.shared;
                    let partition = shared.tended.partition();
                    match self
                        .table
                        .keep(partition, shared.epoch, &what.checkpoint, what.after)
                        .await
                    {
                        Ok(true) if what.after == After::Keep => self.lanes.kept(&what),
                        Ok(true) => {
                            tracing::info!(%partition, "a shard has been read to its end");
                            self.lanes.lose(shared);
                            self.lanes.look.notify_one();
                        }
                        Ok(false) => {
                            tracing::warn!(%partition, "its lease is not this worker's any more");
                            self.lanes.lose(shared);
                        }
                        Err(error) => return Some(error),
                    }
                    None
                })
                .buffer_unordered(WRITES_IN_FLIGHT)
                .filter_map(std::future::ready)
                .collect()
                .await;
            if let Some(error) = failed.first() {
                // Its rows are written all the same; if the leases go to others, so are theirs.
                tracing::warn!(%error, leases = failed.len(), "leases are not renewed");
            }
        }
    }

    /// Looks at the leases and at the streams, again and again.
    async fn look_on(&self, shutdown: &Shutdown) {
        let mut view = View::default();
        let often = (self.options.lease / 4).min(Duration::from_secs(5));
        loop {
            match self.look(&mut view).await {
                Ok(()) => self.joined.store(true, Ordering::Relaxed),
                Err(error) => tracing::warn!(%error, "tried again"),
            }
            let pause = rand::rng().random_range(often / 2..=often);
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.lanes.look.notified() => view.listed = None,
                () = shutdown.wait() => return,
            }
        }
    }

    async fn look(&self, view: &mut View) -> Result<(), TableError> {
        let topics = self.taker.topics();
        if topics != view.topics {
            tracing::info!(?topics, "the streams to read");
            view.listed = None;
            view.topics = topics;
            let ended = self.lanes.end(|id| !view.topics.iter().any(|topic| **topic == *id.topic));
            self.give_back(ended.await).await;
        }
        let is_due = view.listed.is_none_or(|at| at.elapsed() >= self.options.shards_every);
        let mut all_listed = true;
        let mut leases = Vec::new();
        for topic in &view.topics {
            let mut of_topic = self.table.load(topic).await?;
            if is_due || !view.retention.contains_key(topic) {
                match shards::list(&self.client, topic).await {
                    Ok(listing) => {
                        view.retention.insert(topic.clone(), listing.retention);
                        if self.settle(topic, &listing, &of_topic).await? {
                            of_topic = self.table.load(topic).await?;
                        }
                    }
                    Err(why) => {
                        all_listed = false;
                        tracing::warn!(
                            stream = topic,
                            why,
                            "its shards are not known; tried again"
                        );
                    }
                }
            }
            leases.extend(of_topic);
        }
        if is_due && all_listed {
            view.listed = Some(Instant::now());
        }
        let now = Instant::now();
        view.seen.note(&leases, now);
        let me = self.table.me();
        let begin = |lease: Lease| {
            let retention = view.retention.get(&*lease.partition.topic).copied();
            self.lanes.begin(lease, retention.unwrap_or_default());
        };
        let strays = view.strays.find(&leases, me, |lease| self.lanes.works_on(lease));
        strays.into_iter().for_each(begin);
        for lease in choose(&leases, &view.seen, me, self.options.lease, now) {
            if let Some(taken) = self.table.take(&lease).await? {
                begin(taken);
            }
        }
        Ok(())
    }

    /// Makes and ends leases as a stream's shards ask for; whether anything was to be done.
    async fn settle(
        &self,
        stream: &str,
        listing: &Listing,
        leases: &[Lease],
    ) -> Result<bool, TableError> {
        let now = Timestamp(self.taker.clock().now_micros());
        let due = shards::due(stream, listing, leases, now);
        let mut postponed = 0;
        for lease in &due.made {
            let (shard, from) = (&lease.partition, lease.checkpoint.clone());
            let checkpoint = match place(&self.client, &*self.taker, shard, from).await {
                Ok(checkpoint) => checkpoint,
                Err(why) => {
                    // Made without it, it would be read from elsewhere for ever.
                    tracing::warn!(%shard, why, "its lease is made later");
                    postponed += 1;
                    continue;
                }
            };
            let lease = Lease { checkpoint, ..lease.clone() };
            if self.table.create(&lease).await? {
                tracing::info!(shard = %lease.partition, parents = ?lease.parents, "a lease is made");
            }
        }
        for lease in &due.gone {
            if self.table.end(lease).await? {
                let expired = self.taker.names().expired;
                metrics::counter!(expired, "topic" => stream.to_owned()).increment(1);
                tracing::error!(
                    shard = %lease.partition, from = %lease.checkpoint.read_until,
                    "a shard is gone from its stream, and messages since then may not have been read: \
                     send again what has not, and let the stream keep messages longer"
                );
            }
        }
        // A child's lease takes its count from its parents'.
        for partition in due.done.iter().filter(|_| postponed == 0) {
            self.table.delete(partition).await?;
            tracing::debug!(shard = %partition, "a lease that has ended is removed");
        }
        Ok(due.made.len() > postponed || !due.gone.is_empty())
    }

    /// Gives leases back with what was done under them, as far as that works: otherwise they are taken.
    async fn give_back(&self, ended: Vec<Arc<Shared>>) {
        let writes = ended.into_iter().map(|shared| async move {
            let (checkpoint, after) = shared.last();
            let partition = shared.tended.partition();
            if let Err(error) = self.table.keep(partition, shared.epoch, &checkpoint, after).await {
                tracing::warn!(%partition, %error, "its lease is not given back");
            }
        });
        stream::iter(writes).buffer_unordered(WRITES_IN_FLIGHT).collect::<()>().await;
    }
}
