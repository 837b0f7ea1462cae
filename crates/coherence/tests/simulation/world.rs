//! Nodes, their clients, and what befalls them.

use std::{
    cell::RefCell,
    rc::Rc,
    sync::{
        Arc, LazyLock, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::{
    task::LocalSet,
    time::{Instant as SimInstant, sleep, timeout},
};
use trivium_codec::{KeyShape, Row, RowEncoder, RowKey, Schema, ValueRef};
use trivium_coherence::{CoherentStore, Environment, Options};
use trivium_model::{DataType, KeyType, KeyValue, Lane, Name, Timestamp, ViewRef};
use trivium_runtime::Shutdown;
use trivium_store::{
    Authority, Condition, Error, MemoryCache, MemoryStore, OnlineRead, OnlineWrite, Order,
    ReadOptions, RowWrite, Together, WriteId, WriteOp, WriteOutcome,
};

use crate::{
    faults::{Dice, FaultyAuthority, FaultyCache, Link, SimClock},
    history::{History, Told},
};

/// Which guard is broken on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Broken {
    Nothing,
    /// Fences are not placed.
    NoFences,
    /// Fences are placed on rows, not on their entities.
    NoEntityFences,
    /// The cache evicts fences too.
    FencesEvicted,
    /// Raising a barrier raises nothing.
    NoBarriers,
    /// One node's clock hardly moves: its lease does not end.
    SlowClock,
    /// A server that comes back from a snapshot is believed.
    AnyServer,
    /// Requests are repeated behind the node's back.
    SentTwice,
}

/// What a run went through.
#[derive(Debug, Default)]
pub struct Seen {
    pub reads: u64,
    pub hits: u64,
    pub entity_hits: u64,
    pub barred: u64,
    pub applied: u64,
    pub refused: u64,
    pub unknown: u64,
    pub failed: u64,
    pub epochs: u64,
    pub crashes: u64,
}

impl Seen {
    fn collect(&mut self, link: &Link) {
        self.hits += link.hits.load(Relaxed);
        self.entity_hits += link.entity_hits.load(Relaxed);
        self.barred += link.barred.load(Relaxed);
    }

    pub fn add(&mut self, other: &Self) {
        self.reads += other.reads;
        self.hits += other.hits;
        self.entity_hits += other.entity_hits;
        self.barred += other.barred;
        self.applied += other.applied;
        self.refused += other.refused;
        self.unknown += other.unknown;
        self.failed += other.failed;
        self.epochs += other.epochs;
        self.crashes += other.crashes;
    }
}

const NODES: usize = 3;
const CLIENTS: usize = 3;
const ROWS: u64 = 5;
const RUN: Duration = Duration::from_secs(15);

static SCHEMA: LazyLock<Schema> =
    LazyLock::new(|| Schema::new([(Name::new("number").unwrap(), DataType::Int64)]).unwrap());

/// Two views of each entity.
fn key(row: u64) -> RowKey {
    let name = |text| Name::new(text).unwrap();
    let view = if row.is_multiple_of(2) { "v" } else { "w" };
    let view = ViewRef { namespace: name("n"), view: name(view), version: 1 };
    KeyShape::from_parts(&view, [(name("k"), KeyType::Int64)])
        .encode(&[KeyValue::Int64(row as i64 / 2)])
        .unwrap()
}

static TOGETHER: LazyLock<Arc<Together>> =
    LazyLock::new(|| Arc::new(Together::new([("n#k", "v#1"), ("n#k", "w#1")])));

fn row(number: i64) -> Row {
    RowEncoder::new(&SCHEMA).encode(Lane::Direct, &[Some(ValueRef::Int64(number))]).unwrap()
}

fn number(row: &Row) -> i64 {
    if row.is_deleted() {
        return 0;
    }
    match row.reader(&SCHEMA).unwrap().get(0).unwrap() {
        Some(ValueRef::Int64(number)) => number,
        other => panic!("a row reads as {other:?}"),
    }
}

type Store = CoherentStore<FaultyAuthority, FaultyCache>;

/// One process.
struct Process {
    store: Store,
    link: Arc<Link>,
    shutdown: Shutdown,
}

struct World {
    dice: Dice,
    broken: Broken,
    start: SimInstant,
    authority: Arc<MemoryStore>,
    cache: Arc<MemoryCache>,
    nodes: RefCell<Vec<Rc<Process>>>,
    history: RefCell<History>,
    seen: RefCell<Seen>,
    next_number: AtomicU64,
    is_over: AtomicBool,
}

/// One run; everything in it follows from the seed.
pub fn run(seed: u64, broken: Broken) -> (History, Seen) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    let local = LocalSet::new();
    let world = local.block_on(&runtime, async move {
        let world = Rc::new(World {
            dice: Dice::new(seed),
            broken,
            start: SimInstant::now(),
            authority: Arc::new(MemoryStore::new()),
            cache: Arc::new(MemoryCache::new()),
            nodes: RefCell::default(),
            history: RefCell::default(),
            seen: RefCell::default(),
            next_number: AtomicU64::new(1),
            is_over: AtomicBool::new(false),
        });
        for index in 0..NODES {
            let process = world.boot(index);
            world.nodes.borrow_mut().push(process);
        }
        let mut clients = Vec::new();
        for index in 0..NODES * CLIENTS {
            let client = Rc::clone(&world);
            clients
                .push(tokio::task::spawn_local(async move { client.client(index % NODES).await }));
        }
        let fate = Rc::clone(&world);
        let fate = tokio::task::spawn_local(async move { fate.befall().await });
        sleep(RUN).await;
        world.is_over.store(true, Relaxed);
        for client in clients {
            client.await.unwrap();
        }
        fate.await.unwrap();
        let number = world.authority.epoch().await.unwrap().map_or(0, |record| record.number);
        world.seen.borrow_mut().epochs = number;
        for process in world.nodes.borrow().iter() {
            process.shutdown.trigger();
            world.seen.borrow_mut().collect(&process.link);
        }
        world
    });
    drop(local);
    drop(runtime);
    let history = world.history.take();
    let seen = world.seen.take();
    (history, seen)
}

fn options() -> Options {
    Options {
        lease: Duration::from_millis(200),
        renew_every: Duration::from_millis(40),
        write_window: Duration::from_millis(1_500),
        pause_max: Duration::from_secs(2),
        hold_off: Duration::from_millis(150),
        hold_off_max: Duration::from_millis(600),
        breaker_pause_max: Duration::from_millis(400),
        janitor_every: Duration::from_millis(500),
        clock_skew_max: Duration::from_secs(3),
        // Few, so that work is also done in the foreground.
        followups_max: 3,
        ..Options::default()
    }
}

impl World {
    fn boot(&self, index: usize) -> Rc<Process> {
        let slow = self.broken == Broken::SlowClock && index == 0;
        let link = Arc::new(Link {
            dice: self.dice.clone(),
            broken: self.broken,
            is_slow: slow,
            cut_off: AtomicBool::new(false),
            dead: AtomicBool::new(false),
            stalled_until: Mutex::new(self.start),
            hits: AtomicU64::new(0),
            entity_hits: AtomicU64::new(0),
            barred: AtomicU64::new(0),
        });
        let clock = |offset| {
            Arc::new(SimClock {
                start: self.start,
                offset,
                rate: if slow { 20 } else { 970 + self.dice.below(60) },
            })
        };
        // Steady clocks have nothing to do with each other; wall clocks differ by up to a second.
        let environment = Environment {
            steady: clock(self.dice.below(1 << 40)),
            wall: clock(1_700_000_000_000_000 + self.dice.below(1_000_000)),
            random: Arc::new(self.dice.clone()),
        };
        let store = CoherentStore::in_environment(
            FaultyAuthority { inner: Arc::clone(&self.authority), link: Arc::clone(&link) },
            FaultyCache { inner: Arc::new(self.cache.connect()), link: Arc::clone(&link) },
            options(),
            environment,
        );
        let shutdown = Shutdown::new();
        let (kept, until) = (store.clone(), shutdown.clone());
        tokio::spawn(async move { kept.run(&until).await });
        Rc::new(Process { store, link, shutdown })
    }

    async fn client(self: Rc<Self>, node: usize) {
        while !self.is_over.load(Relaxed) {
            let process = Rc::clone(&self.nodes.borrow()[node]);
            // A client gives up sometimes; always where its server has died.
            let patience = if self.dice.one_in(20) { 20 } else { 4_000 };
            let work = async {
                if self.dice.below(20) < 17 {
                    self.read(&process.store).await;
                } else {
                    self.write(&process.store).await;
                }
            };
            if timeout(Duration::from_millis(patience), work).await.is_err() {
                self.seen.borrow_mut().unknown += 1;
            }
            let pause = if self.dice.one_in(8) { 100 } else { 6 };
            sleep(self.dice.millis(pause)).await;
        }
    }

    async fn read(&self, store: &Store) {
        let rows: Vec<u64> = (0..=self.dice.below(3)).map(|_| self.dice.below(ROWS)).collect();
        let keys: Vec<RowKey> = rows.iter().map(|row| key(*row)).collect();
        let together = self.dice.one_in(2).then(|| Arc::clone(&TOGETHER));
        let began = self.history.borrow_mut().tick();
        let found = store.get(&keys, &ReadOptions { together, ..ReadOptions::default() }).await;
        assert_eq!(found.len(), keys.len());
        for (row, found) in rows.into_iter().zip(found) {
            if let Ok(found) = found {
                self.seen.borrow_mut().reads += 1;
                let told = Told::Saw {
                    rev: found.as_ref().map_or(0, Row::rev),
                    number: found.as_ref().map_or(0, number),
                };
                self.history.borrow_mut().record(row as usize, began, told);
            }
        }
    }

    fn random_write(&self, target: u64) -> (RowWrite, i64) {
        let (op, number) = if self.dice.one_in(6) {
            (WriteOp::Delete, 0)
        } else {
            let number = self.next_number.fetch_add(1, Relaxed) as i64;
            (WriteOp::Put(row(number)), number)
        };
        let now = Timestamp(self.start.elapsed().as_micros() as i64);
        let order = match self.dice.below(4) {
            0 => Order::At { event_time: Timestamp(now.0 - 500_000), sequence: None },
            1 => Order::At { event_time: now, sequence: Some(self.dice.below(3)) },
            _ => Order::Now { now },
        };
        let condition = if self.dice.one_in(8) {
            Condition::ExactRev(self.dice.below(3))
        } else {
            Condition::None
        };
        let write_id = match self.dice.below(2) {
            0 => WriteId::default(),
            _ => WriteId(u128::from(self.dice.next()) + 1),
        };
        (RowWrite { condition, write_id, ..RowWrite::new(key(target), op, order) }, number)
    }

    async fn write(&self, store: &Store) {
        let rows: Vec<u64> = (0..=self.dice.below(3)).map(|_| self.dice.below(ROWS)).collect();
        let (writes, numbers): (Vec<RowWrite>, Vec<i64>) =
            rows.iter().map(|row| self.random_write(*row)).unzip();
        let began = self.history.borrow_mut().tick();
        let seed = 1_700_000_000_000_000 + self.start.elapsed().as_micros() as u64;
        let outcomes = store.write(writes, seed, None).await;
        assert_eq!(outcomes.len(), rows.len());
        for ((row, number), outcome) in rows.into_iter().zip(numbers).zip(outcomes) {
            let mut seen = self.seen.borrow_mut();
            let told = match outcome {
                Ok(WriteOutcome::Applied(stamp)) => {
                    seen.applied += 1;
                    Told::Applied { rev: stamp.rev, number }
                }
                Ok(WriteOutcome::Superseded(stamp) | WriteOutcome::Conflict(Some(stamp))) => {
                    seen.refused += 1;
                    Told::Refused { rev: stamp.rev }
                }
                // Nobody is erased here.
                Ok(WriteOutcome::Conflict(None) | WriteOutcome::Erased(_)) => {
                    seen.refused += 1;
                    Told::Refused { rev: 0 }
                }
                Err(Error::Unknown(_)) => {
                    seen.unknown += 1;
                    continue;
                }
                Err(_) => {
                    seen.failed += 1;
                    Told::Failed { number }
                }
            };
            self.history.borrow_mut().record(row as usize, began, told);
        }
    }

    /// One misfortune after the other.
    async fn befall(self: Rc<Self>) {
        let mut snapshot = self.cache.snapshot();
        while !self.is_over.load(Relaxed) {
            sleep(self.dice.millis(700)).await;
            let index = self.dice.below(NODES as u64) as usize;
            let process = Rc::clone(&self.nodes.borrow()[index]);
            match self.dice.below(24) {
                0 => self.cache.restart_empty(),
                1 => self.cache.flush_all(),
                2..=4 => snapshot = self.cache.snapshot(),
                5 => self.cache.restart_from(&snapshot),
                6 => {
                    self.cache.set_replicated(true);
                    sleep(self.dice.millis(400)).await;
                    self.cache.set_replicated(false);
                }
                7 => {
                    self.cache.set_policy("allkeys-lru");
                    sleep(self.dice.millis(200)).await;
                    self.cache.set_policy(trivium_store::EVICTION_POLICY);
                }
                8 => {
                    process.link.cut_off.store(true, Relaxed);
                    sleep(self.dice.millis(800)).await;
                    process.link.cut_off.store(false, Relaxed);
                }
                9..=11 => {
                    let until = SimInstant::now() + self.dice.millis(2_500);
                    *process.link.stalled_until.lock().unwrap() = until;
                }
                12 => {
                    process.link.dead.store(true, Relaxed);
                    process.shutdown.trigger();
                    let mut seen = self.seen.borrow_mut();
                    seen.crashes += 1;
                    seen.collect(&process.link);
                    drop(seen);
                    let fresh = self.boot(index);
                    self.nodes.borrow_mut()[index] = fresh;
                }
                _ => {
                    let dice = self.dice.clone();
                    if self.broken == Broken::FencesEvicted && dice.one_in(2) {
                        self.cache.evict_fences();
                    }
                    // Not by dice for each: the cache has its keys in no order.
                    let salt = dice.next();
                    self.cache
                        .evict(|key| (key.stable_hash() ^ salt).count_ones().is_multiple_of(2));
                }
            }
        }
    }
}
