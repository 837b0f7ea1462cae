//! Clients that do at random what clients do, and write down what they were told.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, AtomicU32, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

use crate::{
    calls::{self, Reasons, Told, Write},
    history::{History, Outcome, What},
    rows::{COLD, FRESH, HOT, PAGES, PAST, PERSONS, TWIN, TWINS, VECTOR, VECTORS, WARM, of_person},
    spoilt::Spoilt,
    world::{World, locked},
};

/// What all clients of a run share.
#[derive(Debug, Default)]
pub struct Shared {
    pub history: History,
    /// Why writes failed.
    pub reasons: Reasons,
    numbers: AtomicI64,
    /// How many rows of history persons were given.
    history_rows: AtomicU32,
    /// How many persons of those who are erased once were.
    pub fresh: AtomicU32,
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
            What::Erase => "done",
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

/// How old an answer may be, where a copy will do.
const BOUNDS: [Duration; 3] =
    [Duration::from_millis(40), Duration::from_millis(400), Duration::from_secs(3)];
/// What nodes are asked for instead, where they are to ignore the bound.
const BOUNDLESS: Duration = Duration::from_secs(3_600);
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
                0..26 => {
                    let row = self.hot();
                    self.get(node, row, None).await;
                }
                26..34 => {
                    let row = self.hot();
                    let bound = BOUNDS[self.random.random_range(0..BOUNDS.len())];
                    self.get(node, row, Some(bound)).await;
                }
                34..38 => self.get_both(node).await,
                38..44 => self.batch_get_both(node).await,
                44..47 if self.world.has_index() => self.search(node).await,
                44..58 => self.batch_get(node).await,
                58..67 => {
                    let row = self.hot();
                    self.put(node, "put", row, None).await;
                }
                67..70 => {
                    let row = self.cold();
                    self.put(node, "put", row, None).await;
                }
                70..72 => self.put_past(node).await,
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

    /// One that everybody writes, of some view.
    fn hot(&mut self) -> u32 {
        if self.world.has_index() && self.random.random_range(0..4) == 0 {
            return self.vector();
        }
        match self.random.random_range(0..10) {
            0..6 => self.random.random_range(0..HOT),
            6..8 => TWIN + self.random.random_range(0..HOT),
            _ => {
                let person = self.random.random_range(0..PERSONS);
                of_person(person, self.random.random_range(0..PAGES))
            }
        }
    }

    /// One with an embedding; few of them mostly.
    fn vector(&mut self) -> u32 {
        let count = if self.random.random() { 3 } else { VECTORS };
        VECTOR + self.random.random_range(0..count)
    }

    fn vectors(&mut self) -> Vec<u32> {
        let mut rows: Vec<u32> = (0..4).map(|_| self.vector()).collect();
        rows.sort_unstable();
        rows.dedup();
        rows
    }

    /// Near a number of late. What it finds are reads of rows.
    async fn search(&mut self, node: usize) {
        let Some(client) = self.world.places[node].client() else { return };
        let near = (self.shared.numbers.load(Relaxed) - self.random.random_range(0..200)).max(1);
        let (k, began) = (self.random.random_range(1..=VECTORS), self.shared.history.now());
        let Some(found) = calls::search(&client, near, k).await else {
            self.shared.count("search", What::Nothing);
            return;
        };
        for (row, seen) in found {
            self.shared.history.saw(row, self.number, node as u8, began, seen);
            self.shared.count("search", seen);
        }
    }

    /// Some of them are asked for often, and hardly ever written: they stay in the cache.
    fn cold(&mut self) -> u32 {
        let count = if self.random.random() { WARM } else { COLD };
        HOT + self.random.random_range(0..count)
    }

    /// Cold ones, some of them hot, of one view.
    fn some(&mut self, cold: u32, hot: u32) -> Vec<u32> {
        let mut rows: Vec<u32> = (0..cold).map(|_| self.cold()).collect();
        rows.extend((0..hot).map(|_| self.random.random_range(0..HOT)));
        rows.sort_unstable();
        rows.dedup();
        rows
    }

    async fn get(&mut self, node: usize, row: u32, bound: Option<Duration>) {
        let Some(client) = self.world.places[node].client() else { return };
        let (history, allowed) = (&self.shared.history, bound.unwrap_or_default());
        let place = history.begin_stale(row, self.number, node as u8, What::Nothing, allowed);
        let seen = calls::get(&client, row, asked(&self.world, bound)).await;
        self.shared.history.end(place, seen);
        self.learn(row, seen);
        self.shared.count(if bound.is_some() { "get cached" } else { "get" }, seen);
    }

    /// A row and its twin, by the service that keeps them together.
    async fn get_both(&mut self, node: usize) {
        let Some(client) = self.world.places[node].client() else { return };
        let row = self.random.random_range(0..TWINS);
        let rows = [row, TWIN + row];
        let begin = |row| self.shared.history.begin(row, self.number, node as u8, What::Nothing);
        let places = rows.map(begin);
        let both = calls::get_both(&client, row).await;
        for ((place, row), seen) in places.into_iter().zip(rows).zip(both) {
            self.shared.history.end(place, seen);
            self.learn(row, seen);
            self.shared.count("service", seen);
        }
    }

    async fn batch_get_both(&mut self, node: usize) {
        let count = self.random.random_range(1..=8);
        let mut rows: Vec<u32> = (0..count).map(|_| self.random.random_range(0..TWINS)).collect();
        rows.sort_unstable();
        rows.dedup();
        read_both(&self.world, &self.shared, self.number, node, &rows).await;
    }

    async fn batch_get(&mut self, node: usize) {
        let (cold, hot) = (self.random.random_range(1..=12), self.random.random_range(0..=2));
        let mut rows = self.some(cold, hot);
        if self.world.has_index() && self.random.random_range(0..5) == 0 {
            rows = self.vectors();
        }
        let is_cached = self.random.random_range(0..4) == 0;
        let bound = is_cached.then(|| BOUNDS[self.random.random_range(0..BOUNDS.len())]);
        read_rows(&self.world, &self.shared, self.number, node, &rows, bound).await;
    }

    /// A row of history of some person: never written before.
    async fn put_past(&mut self, node: usize) {
        let person = if self.random.random() {
            self.random.random_range(0..PERSONS)
        } else {
            // The next ones to be erased, so that there is something to go.
            PERSONS + self.shared.fresh.load(Relaxed) + self.random.random_range(0..FRESH)
        };
        let page = PAGES + self.shared.history_rows.fetch_add(1, Relaxed);
        let row = of_person(person, page);
        let put = Some(PAST + self.shared.number());
        let write = Write { row, put, whole: true, if_rev: None, name: self.name() };
        self.write(node, "put past", write).await;
        self.get(node, row, None).await;
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
            self.get(node, row, None).await;
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
        let cold = self.random.random_range(1..=5);
        let mut rows = self.some(cold, 1);
        if self.random.random_range(0..3) == 0 {
            rows.retain(|row| *row < TWINS);
            rows.iter_mut().for_each(|row| *row += TWIN);
        } else if self.world.has_index() && self.random.random_range(0..4) == 0 {
            rows = self.vectors();
        }
        write_rows(&self.world, &self.shared, self.number, node, &rows).await;
    }
}

/// What a node is told of the bound.
fn asked(world: &World, bound: Option<Duration>) -> Option<Duration> {
    bound.map(|bound| match world.plan().spoilt {
        Some(Spoilt::Bounds) => BOUNDLESS,
        _ => bound,
    })
}

/// Reads rows of one view in one request; what each was.
pub async fn read_rows(
    world: &World,
    shared: &Shared,
    caller: u16,
    node: usize,
    rows: &[u32],
    bound: Option<Duration>,
) -> Vec<What> {
    let Some(client) = world.places[node].client() else {
        return vec![What::Nothing; rows.len()];
    };
    let allowed = bound.unwrap_or_default();
    let begin =
        |row: &u32| shared.history.begin_stale(*row, caller, node as u8, What::Nothing, allowed);
    let places: Vec<_> = rows.iter().map(begin).collect();
    let seen = calls::batch_get(&client, rows, asked(world, bound)).await;
    for (place, seen) in places.into_iter().zip(&seen) {
        shared.history.end(place, *seen);
        shared.count(if bound.is_some() { "batch get cached" } else { "batch get" }, *seen);
    }
    seen
}

/// Reads rows and their twins by the service, in one request.
pub async fn read_both(
    world: &World,
    shared: &Shared,
    caller: u16,
    node: usize,
    rows: &[u32],
) -> Vec<(u32, What)> {
    let Some(client) = world.places[node].client() else {
        return Vec::new();
    };
    let begin = |row: u32| shared.history.begin(row, caller, node as u8, What::Nothing);
    let twins = rows.iter().map(|row| TWIN + row);
    let places: Vec<_> = rows.iter().copied().chain(twins).map(begin).collect();
    let seen = calls::batch_get_both(&client, rows).await;
    for (place, (_, seen)) in places.into_iter().zip(&seen) {
        shared.history.end(place, *seen);
        shared.count("batch service", *seen);
    }
    seen
}

/// Puts rows of one view in one request; what became of each.
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
