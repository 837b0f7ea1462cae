//! Clients that do at random what clients do, and write down what they were told.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

use crate::{
    calls::{self, Reasons, Told, Write},
    history::{History, Outcome, What},
    world::{COLD, HOT, World, locked},
};

/// What all clients of a run share.
#[derive(Debug, Default)]
pub struct Shared {
    pub history: History,
    /// Why writes failed.
    pub reasons: Reasons,
    numbers: AtomicI64,
    /// How many rows were asked for how, and told what.
    pub counts: Mutex<BTreeMap<(&'static str, &'static str), u64>>,
}

impl Shared {
    /// A number that nobody else puts.
    pub fn number(&self) -> i64 {
        self.numbers.fetch_add(1, Relaxed) + 1
    }

    pub fn count(&self, operation: &'static str, what: What) {
        let word = match what {
            What::Nothing => "failed",
            What::Saw { .. } => "row",
            What::Absent => "no row",
            What::Conflict { .. } => "conflict",
            What::Write { outcome: Outcome::Applied(_), .. } => "applied",
            What::Write { outcome: Outcome::Unknown, .. } => "unknown",
            What::Write { outcome: Outcome::Refused, .. } => "refused",
            What::Broken(_) => "broken",
        };
        *locked(&self.counts).entry((operation, word)).or_default() += 1;
    }

    pub fn total(&self, of: &str) -> u64 {
        let counts = locked(&self.counts);
        counts.iter().filter(|((_, word), _)| *word == of).map(|(_, count)| count).sum()
    }
}

/// One client.
pub struct Caller {
    world: Arc<World>,
    shared: Arc<Shared>,
    number: u16,
    random: StdRng,
    /// What it last saw of each hot row: a rev, 0 for none.
    known: HashMap<u32, u64>,
    /// Until when it mostly leaves a node alone that did not answer.
    avoided: HashMap<usize, Instant>,
}

/// So many of the cold rows are not that cold.
const WARM: u32 = 60;
/// An answer that took so long is the work of a fault.
const SLOW: Duration = Duration::from_millis(600);
const AVOIDED: Duration = Duration::from_secs(1);

impl Caller {
    pub fn new(world: Arc<World>, shared: Arc<Shared>, number: u16, seed: u64) -> Self {
        let random = StdRng::seed_from_u64(seed.wrapping_mul(1_000_003) ^ u64::from(number));
        Self { world, shared, number, random, known: HashMap::new(), avoided: HashMap::new() }
    }

    /// Calls until the run ends.
    pub async fn run(mut self) {
        while !self.world.is_stopping() {
            let node = self.random.random_range(0..self.world.places.len());
            if self.world.places[node].client().is_none() {
                tokio::time::sleep(Duration::from_millis(20)).await;
                continue;
            }
            let began = Instant::now();
            if self.avoided.get(&node).is_some_and(|until| *until > began)
                && self.random.random_range(0..10) > 0
            {
                tokio::time::sleep(Duration::from_millis(2)).await;
                continue;
            }
            match self.random.random_range(0..100) {
                0..37 => {
                    let row = self.hot();
                    self.get(node, row).await;
                }
                37..57 => self.batch_get(node).await,
                57..68 => {
                    let row = self.hot();
                    self.put(node, "put", row, None).await;
                }
                68..72 => {
                    let row = self.cold();
                    self.put(node, "put", row, None).await;
                }
                72..86 => self.conditional(node).await,
                86..92 => self.delete(node).await,
                _ => self.batch_put(node).await,
            }
            if began.elapsed() > SLOW {
                self.avoided.insert(node, Instant::now() + AVOIDED);
            }
            let pause = self.random.random_range(0..8);
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
    }

    fn hot(&mut self) -> u32 {
        self.random.random_range(0..HOT)
    }

    /// Some of them are asked for often, and hardly ever written: they stay in the cache.
    fn cold(&mut self) -> u32 {
        let count = if self.random.random() { WARM } else { COLD };
        HOT + self.random.random_range(0..count)
    }

    async fn get(&mut self, node: usize, row: u32) {
        let Some(client) = self.world.places[node].client() else { return };
        let place = self.shared.history.begin(row, self.number, node as u8, What::Nothing);
        let seen = calls::get(&client, row).await;
        self.shared.history.end(place, seen);
        self.learn(row, seen);
        self.shared.count("get", seen);
    }

    async fn batch_get(&mut self, node: usize) {
        let mut rows: Vec<u32> =
            (0..self.random.random_range(1..=12)).map(|_| self.cold()).collect();
        rows.extend((0..self.random.random_range(0..=2)).map(|_| self.hot()));
        rows.sort_unstable();
        rows.dedup();
        read_rows(&self.world, &self.shared, self.number, node, &rows).await;
    }

    /// What a conditional write of this row may name.
    fn learn(&mut self, row: u32, what: What) {
        let rev = match what {
            What::Saw { rev, .. }
            | What::Conflict { rev, .. }
            | What::Write { put: Some(_), outcome: Outcome::Applied(rev), .. } => rev,
            What::Absent | What::Write { put: None, outcome: Outcome::Applied(_), .. } => 0,
            _ => return,
        };
        self.known.insert(row, rev);
    }

    /// Half of the writes bear a name.
    fn name(&mut self) -> Vec<u8> {
        if self.random.random() { self.random.random::<[u8; 16]>().to_vec() } else { Vec::new() }
    }

    async fn put(&mut self, node: usize, word: &'static str, row: u32, if_rev: Option<u64>) {
        let (whole, name) = (self.random.random_range(0..3) > 0, self.name());
        let write = Write { row, put: Some(self.shared.number()), whole, if_rev, name };
        let word = if whole { word } else { "merge" };
        self.write(node, word, write).await;
    }

    async fn conditional(&mut self, node: usize) {
        let row = self.hot();
        let mut if_rev = self.known.get(&row).copied();
        if if_rev.is_none() || self.random.random_range(0..3) == 0 {
            self.get(node, row).await;
            if_rev = self.known.get(&row).copied();
        }
        self.put(node, "put if", row, if_rev).await;
    }

    async fn delete(&mut self, node: usize) {
        let row = self.hot();
        let known = self.known.get(&row).copied().filter(|rev| *rev > 0);
        let if_rev = known.filter(|_| self.random.random_range(0..4) > 0);
        let word = if if_rev.is_some() { "delete if" } else { "delete" };
        let write = Write { row, put: None, whole: true, if_rev, name: self.name() };
        self.write(node, word, write).await;
    }

    async fn write(&mut self, node: usize, word: &'static str, write: Write) {
        let Some(client) = self.world.places[node].client() else { return };
        let history = &self.shared.history;
        let place = history.begin(write.row, self.number, node as u8, write.pending());
        let mut told = calls::write(&client, &write, &self.shared.reasons).await;
        // A retry under the same name. Without a condition it may be applied once more, if another
        // write came in between; so only those are retried that name a rev, which comes but once.
        let may_retry = write.if_rev.is_some_and(|rev| rev > 0) && !write.name.is_empty();
        if told == Told::Unknown && may_retry && self.random.random() {
            let other = self.random.random_range(0..self.world.places.len());
            if let Some(client) = self.world.places[other].client() {
                let again = history.begin(write.row, self.number, other as u8, What::Nothing);
                let second = calls::write(&client, &write, &self.shared.reasons).await;
                match second {
                    // The first may have been applied.
                    Told::Conflict(_) => history.end(again, write.what(second)),
                    Told::Applied(_) | Told::Broken(_) => told = second,
                    Told::Refused | Told::Unknown => {}
                }
                self.shared.count("again", write.what(second));
            }
        }
        let what = write.what(told);
        self.shared.history.end(place, what);
        self.learn(write.row, what);
        self.shared.count(word, what);
    }

    async fn batch_put(&mut self, node: usize) {
        let mut rows: Vec<u32> =
            (0..self.random.random_range(1..=5)).map(|_| self.cold()).collect();
        rows.push(self.hot());
        rows.sort_unstable();
        rows.dedup();
        write_rows(&self.world, &self.shared, self.number, node, &rows).await;
    }
}

/// Reads rows in one request; how many could be read.
pub async fn read_rows(
    world: &World,
    shared: &Shared,
    caller: u16,
    node: usize,
    rows: &[u32],
) -> Vec<What> {
    let Some(client) = world.places[node].client() else {
        return vec![What::Nothing; rows.len()];
    };
    let begin = |row: &u32| shared.history.begin(*row, caller, node as u8, What::Nothing);
    let places: Vec<_> = rows.iter().map(begin).collect();
    let seen = calls::batch_get(&client, rows).await;
    for (place, seen) in places.into_iter().zip(&seen) {
        shared.history.end(place, *seen);
        shared.count("batch get", *seen);
    }
    seen
}

/// Puts rows in one request; what became of each.
pub async fn write_rows(
    world: &World,
    shared: &Shared,
    caller: u16,
    node: usize,
    rows: &[u32],
) -> Vec<What> {
    let Some(client) = world.places[node].client() else {
        return vec![What::Nothing; rows.len()];
    };
    let writes: Vec<Write> = rows
        .iter()
        .map(|row| Write {
            row: *row,
            put: Some(shared.number()),
            whole: true,
            if_rev: None,
            name: Vec::new(),
        })
        .collect();
    let begin =
        |write: &Write| shared.history.begin(write.row, caller, node as u8, write.pending());
    let places: Vec<_> = writes.iter().map(begin).collect();
    let told = calls::batch_put(&client, &writes, &shared.reasons).await;
    let end = |((place, write), told): ((_, &Write), Told)| {
        let what = write.what(told);
        shared.history.end(place, what);
        shared.count("batch put", what);
        what
    };
    places.into_iter().zip(&writes).zip(told).map(end).collect()
}
