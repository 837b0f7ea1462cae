//! The protocol of `docs/decisions/0008-embeddings.md`, played by writers that race and die, readers and
//! a sweeper that takes every document for old.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use trivium_codec::{Row, RowEncoder, RowKey, Schema, ValueRef};
use trivium_model::{DataType, Distance, Lane, Name, Timestamp};

use super::{
    Document, DocumentId, DocumentRef, EmbeddingIndex, IndexSpec, Listing, MemoryIndex, Nearest,
    Owner, Owners, PutOutcome, Visible, delete_subject, nearest_named, sweep,
};
use crate::{
    Condition, Error, MemoryStore, OnlineRead as _, OnlineWrite as _, Order, ReadOptions, RowWrite,
    WriteOp, WriteOutcome,
    conformance::embedding::{key_of, unique_spec},
};

const SEED: u64 = 1_700_000_000_000_000;

/// Steps aside a random number of times: the runtime takes turns, so that a seed is an interleaving.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
    async fn step(&mut self) {
        for _ in 0..self.below(4) {
            tokio::task::yield_now().await;
        }
    }
}

struct World {
    rows: MemoryStore,
    index: MemoryIndex,
    spec: IndexSpec,
    schema: Schema,
    keys: Vec<RowKey>,
    dice: Mutex<Dice>,
    /// What a reader must never see, as it saw it.
    violations: Mutex<Vec<String>>,
}

impl World {
    async fn new(seed: u64) -> Arc<Self> {
        let name = |text| Name::new(text).unwrap();
        let fields = [(name("number"), DataType::Int64), (name("vector"), DataType::Bytes)];
        let spec = unique_spec(2, Distance::L2);
        let index = MemoryIndex::new();
        index.ensure(&spec, None).await.unwrap();
        Arc::new(Self {
            rows: MemoryStore::new(),
            index,
            keys: ["a", "b"].map(|entity| key_of(&spec, entity)).to_vec(),
            spec,
            schema: Schema::new(fields).unwrap(),
            dice: Mutex::new(Dice(seed)),
            violations: Mutex::default(),
        })
    }

    /// Dice of one task's own.
    fn dice(&self) -> Dice {
        Dice(self.dice.lock().unwrap().below(u64::MAX >> 33))
    }

    async fn row(&self, key: &RowKey) -> Option<Row> {
        let keys = std::slice::from_ref(key);
        self.rows.get(keys, &ReadOptions::default()).await.remove(0).unwrap()
    }

    /// (number, its document) of a live row.
    fn values(&self, row: &Row) -> Option<(i64, DocumentRef)> {
        if row.is_deleted() {
            return None;
        }
        let reader = row.reader(&self.schema).unwrap();
        match (reader.get(0).unwrap(), reader.get(1).unwrap()) {
            (Some(ValueRef::Int64(number)), Some(ValueRef::Bytes(bytes))) => {
                Some((number, DocumentRef::from_bytes(bytes).unwrap()))
            }
            other => panic!("a row of {other:?}"),
        }
    }

    async fn write(&self, write: RowWrite) -> Result<WriteOutcome, Error> {
        self.rows.write(vec![write], SEED, None).await.remove(0)
    }

    /// A Put, as the decision says. `dies`: after its document, before its row.
    async fn put(&self, key: &RowKey, number: i64, dies: bool, dice: &mut Dice) {
        loop {
            let rev = self.row(key).await.map_or(0, |row| row.header().rev);
            let mut own = if rev == 0 { SEED } else { rev + 1 };
            dice.step().await;
            let reference = loop {
                let document = Document {
                    id: DocumentId { key: key.clone(), rev: own },
                    vector: Arc::from([number as f32, 0.0]),
                    subject: Some(Arc::from("p")),
                    metadata: Vec::new(),
                    event_time: Timestamp(0),
                    written: Timestamp(0),
                };
                let reference = DocumentRef::of(&document);
                let put = self.index.put(&self.spec, vec![document], Visible::Later, None);
                if put.await.remove(0).unwrap() == PutOutcome::Stored {
                    break reference;
                }
                own += 1;
            };
            if dies {
                return;
            }
            dice.step().await;
            let bytes = reference.to_bytes();
            let values = [Some(ValueRef::Int64(number)), Some(ValueRef::Bytes(&bytes))];
            let row = RowEncoder::new(&self.schema).encode(Lane::Direct, &values).unwrap();
            let order = Order::Now { now: Timestamp(0) };
            let write = RowWrite::new(key.clone(), WriteOp::Put(row), order);
            let write = RowWrite { condition: Condition::ExactRev(rev), ..write };
            match self.write(write).await.unwrap() {
                WriteOutcome::Applied(_) => return,
                WriteOutcome::Conflict(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    async fn delete(&self, key: &RowKey) {
        let order = Order::Now { now: Timestamp(0) };
        self.write(RowWrite::new(key.clone(), WriteOp::Delete, order)).await.unwrap();
    }

    async fn read(&self, key: &RowKey, dice: &mut Dice, guards: Guards) {
        let mut before = None;
        loop {
            let Some(row) = self.row(key).await else { return };
            let Some((number, reference)) = self.values(&row) else { return };
            dice.step().await;
            let id = DocumentId { key: key.clone(), rev: reference.rev };
            let found = self.index.get(&self.spec, &[id], None).await.remove(0).unwrap();
            match found.filter(|document| !guards.digests || reference.names(document)) {
                Some(document) if document.vector[0] == number as f32 => return,
                Some(document) => {
                    let seen = format!("{number} with the embedding {:?}", document.vector);
                    return self.violations.lock().unwrap().push(seen);
                }
                None if before == Some(row.header().rev) => {
                    let seen = format!("{key:?} names {reference:?}, which is gone");
                    return self.violations.lock().unwrap().push(seen);
                }
                None => before = Some(row.header().rev),
            }
        }
    }

    async fn documents(&self) -> BTreeSet<DocumentId> {
        let page = self.index.list(&self.spec, &Listing::default(), None, None).await.unwrap();
        assert!(page.next.is_none());
        page.ids.into_iter().collect()
    }

    async fn named(&self) -> BTreeSet<DocumentId> {
        let mut named = BTreeSet::new();
        for key in &self.keys {
            if let Some((_, named_here)) = self.row(key).await.and_then(|row| self.values(&row)) {
                named.insert(DocumentId { key: key.clone(), rev: named_here.rev });
            }
        }
        named
    }
}

/// What the protocol rests on. Each taken away must be found out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Guards {
    /// Rows are moved up before what is above them is deleted.
    moves: bool,
    /// Readers compare the document with the row's digest.
    digests: bool,
}

const ALL: Guards = Guards { moves: true, digests: true };

/// The sweeper's view of the rows.
struct Sweeper {
    world: Arc<World>,
    dice: Mutex<Dice>,
    guards: Guards,
}

#[async_trait]
impl Owners for Sweeper {
    async fn owners(&self, keys: &[RowKey]) -> Vec<Result<Owner, Error>> {
        let mut owners = Vec::new();
        for key in keys {
            let row = self.world.row(key).await;
            let rev = row.as_ref().map_or(0, |row| row.header().rev);
            owners.push(Ok(Owner {
                rev: if self.guards.moves { rev } else { u64::MAX },
                names: row.and_then(|row| self.world.values(&row)).map(|(_, named)| named.rev),
            }));
        }
        let pause = self.dice.lock().unwrap().below(4);
        for _ in 0..pause {
            tokio::task::yield_now().await;
        }
        owners
    }

    async fn move_up(&self, key: &RowKey, rev: u64) -> Result<(), Error> {
        let (op, order) = match self.world.row(key).await {
            None => {
                let oldest = Timestamp(i64::MIN);
                (WriteOp::Delete, Order::At { event_time: oldest, sequence: Some(0) })
            }
            Some(row) => {
                let header = row.header();
                let (event_time, sequence) = (header.event_time, header.sequence);
                let order = Order::Replacing {
                    event_time,
                    sequence,
                    new_event_time: event_time,
                    new_sequence: sequence,
                };
                (if row.is_deleted() { WriteOp::Delete } else { WriteOp::Put(row) }, order)
            }
        };
        let write = RowWrite::new(key.clone(), op, order);
        let write = RowWrite { condition: Condition::ExactRev(rev), ..write };
        self.world.write(write).await.map(drop)
    }
}

/// Everybody at once; what readers saw that they must not, and the world afterwards.
async fn play(seed: u64, guards: Guards) -> (Vec<String>, Arc<World>) {
    let world = World::new(seed).await;
    let mut tasks = tokio::task::JoinSet::new();
    for writer in 0..3 {
        let (world, mut dice) = (Arc::clone(&world), world.dice());
        tasks.spawn(async move {
            for n in 0..15 {
                let key = world.keys[dice.below(2) as usize].clone();
                match dice.below(8) {
                    0 => world.delete(&key).await,
                    1 => world.put(&key, writer * 1_000 + n, true, &mut dice).await,
                    _ => world.put(&key, writer * 1_000 + n, false, &mut dice).await,
                }
                dice.step().await;
            }
        });
    }
    for _ in 0..2 {
        let (world, mut dice) = (Arc::clone(&world), world.dice());
        tasks.spawn(async move {
            for _ in 0..60 {
                let key = world.keys[dice.below(2) as usize].clone();
                world.read(&key, &mut dice, guards).await;
                dice.step().await;
            }
        });
    }
    let dice = Mutex::new(world.dice());
    let sweeper = Sweeper { world: Arc::clone(&world), dice, guards };
    tasks.spawn(async move {
        for _ in 0..15 {
            sweep(&sweeper.world.index, &sweeper.world.spec, &sweeper, Timestamp(1), None)
                .await
                .unwrap();
            tokio::task::yield_now().await;
        }
    });
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    let mut dice = world.dice();
    for key in &world.keys {
        world.read(key, &mut dice, guards).await;
    }
    let violations = std::mem::take(&mut *world.violations.lock().unwrap());
    (violations, world)
}

#[tokio::test]
async fn nobody_sees_the_parts_of_two_writes() {
    for seed in 1..=1_000 {
        let (violations, world) = play(seed, ALL).await;
        assert!(violations.is_empty(), "seed {seed}: {violations:?}");
        let dice = Mutex::new(Dice(seed));
        let sweeper = Sweeper { world: Arc::clone(&world), dice, guards: ALL };
        let swept = sweep(&world.index, &world.spec, &sweeper, Timestamp(1), None).await.unwrap();
        assert_eq!(swept.left, 0, "seed {seed}: {swept:?}");
        assert_eq!(world.documents().await, world.named().await, "seed {seed}: leftovers");
    }
}

/// The check can fail: without either guard, some interleaving shows why it is there.
#[tokio::test]
async fn each_guard_is_needed() {
    'guards: for guards in [Guards { moves: false, ..ALL }, Guards { digests: false, ..ALL }] {
        for seed in 1..=2_000 {
            if !play(seed, guards).await.0.is_empty() {
                continue 'guards;
            }
        }
        panic!("nothing went wrong with {guards:?}");
    }
}

#[tokio::test]
async fn searches_give_what_rows_name() {
    let world = World::new(1).await;
    let mut dice = Dice(1);
    let (a, b) = (world.keys[0].clone(), world.keys[1].clone());
    for number in 1..=30 {
        world.put(&a, number, false, &mut dice).await;
    }
    world.put(&a, 7, true, &mut dice).await;
    world.put(&b, 500, false, &mut dice).await;
    let dice = Mutex::new(dice);
    let sweeper = Sweeper { world: Arc::clone(&world), dice, guards: ALL };
    let query = |k| Nearest { vector: Arc::from([7.0, 0.0]), k, filter: None, score_min: None };
    let search = async |k| {
        nearest_named(&world.index, &world.spec, &sweeper, &query(k), None).await.unwrap()
    };
    // Both rows, past the thirty documents that are nearer and belong to nobody.
    let found = search(2).await;
    let keys: Vec<&RowKey> = found.hits.iter().map(|hit| &hit.id.key).collect();
    assert_eq!(keys, [&a, &b]);
    assert!(found.dropped >= 30 && !found.is_cut_off, "{found:?}");
    assert_eq!(search(50).await.hits.len(), 2);
    world.delete(&a).await;
    assert_eq!(search(2).await.hits.len(), 1);
    // Erasure: the rows first, then every document, named or not.
    world.delete(&b).await;
    assert_eq!(delete_subject(&world.index, &world.spec, "p", None).await.unwrap(), 32);
    assert!(world.documents().await.is_empty());
}
