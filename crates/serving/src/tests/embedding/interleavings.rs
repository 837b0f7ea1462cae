//! Nodes that race, die in the middle, retry each other's writes, read and sweep, over stores that fail:
//! no reader ever sees the parts of two writes, and the last sweep leaves exactly what rows name.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use trivium_codec::{Row, RowKey, ValueRef};
use trivium_model::{KeyValue, Lane, Name, Timestamp, Value};
use trivium_proto::v1::Status;
use trivium_store::{
    Condition, Consistency, DoorError, DoorOp, DoorRequest, DoorRow, MemoryIndex, MemoryStore,
    OnlineRead as _, Order, ReadOptions, WriteDoor as _, WriteId, WriteOutcome,
    embedding::{DocumentId, EmbeddingIndex as _, Filter, Listing, MetaValue},
};

use super::{
    PRODUCT,
    faulty::{Dice, Faulty, Ticking},
    settle,
};
use crate::{
    Definitions, Options, Serving, Stores,
    definitions::Selection,
    embedding::{Near, Question},
    read::{Rows, Shown, cell},
    tests::fixture::{NOW, TestClock, WALL, snapshot},
};

const SKUS: [&str; 2] = ["a", "b"];

struct World {
    rows: Arc<Faulty<MemoryStore>>,
    index: Arc<Faulty<MemoryIndex>>,
    nodes: Vec<Serving>,
    dice: Arc<Dice>,
    is_on: Arc<AtomicBool>,
    /// What a reader must never see, as it saw it.
    violations: Mutex<Vec<String>>,
}

/// What readers of the whole row ask for.
const ASKED: [&str; 3] = ["shop/product@1:price", "shop/product@1:picture", "shop/product@1:sound"];

impl World {
    fn new(seed: u64, one_in: u64) -> Arc<Self> {
        let dice = Arc::new(Dice(Mutex::new(seed)));
        let is_on = Arc::new(AtomicBool::new(true));
        let rows = Arc::new(Faulty::new(MemoryStore::new(), &dice, one_in, &is_on));
        let index = Arc::new(Faulty::new(MemoryIndex::new(), &dice, one_in, &is_on));
        let clock = Arc::new(Ticking(AtomicI64::new(WALL)));
        let node = || {
            let definitions = Definitions::from_snapshot(&snapshot(1, &[&[PRODUCT]])).unwrap();
            Serving::new(
                Stores::of(Arc::clone(&rows)).with_embeddings(index.clone()),
                Arc::new(ArcSwap::from_pointee(definitions)),
                Arc::new(TestClock(AtomicI64::new(NOW))),
                clock.clone(),
                Options::default(),
            )
        };
        let nodes = vec![node(), node()];
        Arc::new(Self { rows, index, nodes, dice, is_on, violations: Mutex::default() })
    }

    fn node(&self) -> &Serving {
        &self.nodes[self.dice.below(2) as usize]
    }

    fn key(&self, sku: &str) -> RowKey {
        let definitions = self.nodes[0].definitions();
        let view = definitions.view("shop/product@1", "").unwrap();
        view.keys.encode(&entity(sku)).unwrap()
    }

    fn saw(&self, what: String) {
        self.violations.lock().unwrap().push(what);
    }

    /// Writes until it is done, by whichever node; each attempt may die anywhere.
    async fn write(&self, sku: &str, op: DoorOp, write_id: u128) {
        for _ in 0..200 {
            let row = DoorRow {
                entity: entity(sku),
                op: op.clone(),
                order: Order::Now { now: Timestamp(NOW) },
                condition: Condition::None,
                write_id: WriteId(write_id),
            };
            let request = DoorRequest {
                view: "shop/product@1".parse().unwrap(),
                lane: Lane::Direct,
                rows: vec![row],
                deadline: None,
            };
            let writing = self.node().write(request);
            let outcome = if self.dice.below(6) == 0 {
                match polled(writing, self.dice.below(40)).await {
                    Some(outcome) => outcome,
                    // Dead. Nobody takes it up, or somebody does.
                    None if self.dice.below(2) == 0 => return,
                    None => continue,
                }
            } else {
                writing.await
            };
            match outcome.unwrap().remove(0) {
                Ok(WriteOutcome::Applied(_)) => return,
                Ok(other) => return self.saw(format!("{other:?} of a put without a condition")),
                Err(DoorError::Store(error)) if error.is_retryable() => {}
                Err(error) => return self.saw(error.to_string()),
            }
        }
        self.saw("a write that never came through".to_owned());
    }

    /// Every value of a row of the asked features is of one write.
    fn check(&self, rows: &Rows, plan: &crate::plan::ReadPlan) -> Option<f64> {
        let states = rows.states(plan);
        let mut seen: Vec<Option<f64>> = Vec::new();
        for column in &plan.columns {
            let (status, shown) = cell(column, &states[0]);
            seen.push(match (status, shown) {
                (Status::Error, _) => return None,
                (Status::Present, Shown::Own(ValueRef::Float64(number))) => Some(number),
                (Status::Present, Shown::Own(ValueRef::Embedding(vector))) => {
                    vector.get(0).map(f64::from)
                }
                (Status::NotFound, _) => None,
                _ => {
                    return {
                        self.saw(format!("{status:?}"));
                        None
                    };
                }
            });
        }
        if seen.windows(2).any(|pair| pair[0] != pair[1]) {
            self.saw(format!("parts of two writes: {seen:?}"));
        }
        seen.first().copied().flatten()
    }

    async fn read(&self, sku: &str) {
        let node = self.node();
        let plan = node.definitions().plan(&Selection::Features(ASKED.to_vec())).unwrap();
        let consistency = match self.dice.below(2) {
            0 => Consistency::Strong,
            _ => Consistency::Cached { max_staleness: Duration::from_secs(1) },
        };
        let rows = node.read_rows(&plan, &[self.key(sku)], consistency).await;
        if let Err(error) = &rows.found[0]
            && matches!(error, trivium_store::Error::Corrupt(_))
        {
            self.saw(format!("{sku}: {error}"));
        }
        self.check(&rows, &plan);
    }

    /// A search of what costs `price` gives rows that cost it.
    async fn search(&self, price: f64) {
        let node = self.node();
        let place = node.place("shop/product@1:picture").unwrap();
        let plan = node.shown(&place, 3, ASKED.to_vec()).unwrap();
        let filter =
            Filter::Equals { field: Name::new("price").unwrap(), value: MetaValue::Float(price) };
        let question = Question {
            place,
            near: Near::Vector(vec![price as f32, 1.0]),
            k: 3,
            filter: Some(filter),
            score_min: None,
            plan: plan.clone(),
        };
        // A store that fails is told; nothing is found is an answer too.
        let Ok(answer) = node.search(question).await else { return };
        for row in &answer.rows.found {
            let one = Rows { entities: 1, found: vec![row.clone()], now: answer.rows.now };
            if let Some(found) = self.check(&one, plan.as_ref().unwrap())
                && found != price
            {
                self.saw(format!("asked for {price}, found {found}"));
            }
        }
    }

    async fn documents(&self, feature: &str) -> BTreeSet<DocumentId> {
        let definitions = self.nodes[0].definitions();
        let spec = definitions.indexes().find(|spec| *spec.feature == *feature).unwrap();
        let page = self.index.inner.list(spec, &Listing::default(), None, None).await.unwrap();
        page.ids.into_iter().collect()
    }

    async fn named(&self, feature: &str) -> BTreeSet<DocumentId> {
        let definitions = self.nodes[0].definitions();
        let view = definitions.view("shop/product@1", "").unwrap();
        let embedding = view.embeddings.iter().find(|one| *one.spec.feature == *feature).unwrap();
        let mut named = BTreeSet::new();
        for sku in SKUS {
            let key = self.key(sku);
            let keys = std::slice::from_ref(&key);
            let row: Option<Row> =
                self.rows.inner.get(keys, &ReadOptions::default()).await.remove(0).unwrap();
            if let Some(found) = row.and_then(|row| view.named(&row, embedding).unwrap()) {
                named.insert(DocumentId { key, rev: found.rev });
            }
        }
        named
    }
}

fn entity(sku: &str) -> Vec<KeyValue> {
    vec![KeyValue::Int64(7), KeyValue::String(sku.to_owned())]
}

fn values(list: &[(&str, Value)]) -> DoorOp {
    let named = list.iter().map(|(name, value)| (Name::new(name).unwrap(), value.clone()));
    DoorOp::PutValues(named.collect())
}

/// Everything that a reader looks at, of one number.
fn whole(number: i64) -> DoorOp {
    let part = number as f32;
    values(&[
        ("price", Value::Float64(number as f64)),
        ("picture", Value::Embedding(vec![part, 1.0])),
        ("sound", Value::Embedding(vec![part, 0.0, part])),
    ])
}

/// Polls so often, then lets it die.
async fn polled<F: Future>(future: F, times: u64) -> Option<F::Output> {
    let mut future = Box::pin(future);
    for _ in 0..times {
        if let std::task::Poll::Ready(output) = futures::poll!(&mut future) {
            return Some(output);
        }
        tokio::task::yield_now().await;
    }
    None
}

async fn play(seed: u64, one_in: u64) -> Vec<String> {
    let world = World::new(seed, one_in);
    let mut tasks = tokio::task::JoinSet::new();
    for writer in 0..3_i64 {
        let world = Arc::clone(&world);
        tasks.spawn(async move {
            for n in 1..=12 {
                let sku = SKUS[world.dice.below(2) as usize];
                let number = n * 3 + writer;
                let id = if world.dice.below(2) == 0 { 0 } else { (number as u128) << 64 | 5 };
                let op = match world.dice.below(8) {
                    0 => DoorOp::Delete,
                    // Nothing that a reader compares: embeddings are kept, or copied.
                    1 => values(&[("tags", Value::List(vec![Value::String("x".to_owned())]))]),
                    2 => values(&[("stock", Value::Int32(number as i32))]),
                    _ => whole(number),
                };
                world.write(sku, op, id).await;
                world.dice.step().await;
            }
        });
    }
    for _ in 0..2 {
        let world = Arc::clone(&world);
        tasks.spawn(async move {
            for _ in 0..40 {
                match world.dice.below(4) {
                    0 => world.search(world.dice.below(39) as f64).await,
                    _ => world.read(SKUS[world.dice.below(2) as usize]).await,
                }
                world.dice.step().await;
            }
        });
    }
    let sweeper = Arc::clone(&world);
    tasks.spawn(async move {
        for _ in 0..12 {
            sweeper.node().sweep_embeddings(Duration::ZERO).await;
            tokio::task::yield_now().await;
        }
    });
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    world.is_on.store(false, Ordering::SeqCst);
    settle().await;
    for sku in SKUS {
        world.read(sku).await;
    }
    let swept = world.node().sweep_embeddings(Duration::ZERO).await;
    if swept.left > 0 {
        world.saw(format!("{swept:?}"));
    }
    for feature in ["picture", "sound"] {
        let (documents, named) = (world.documents(feature).await, world.named(feature).await);
        if documents != named {
            world.saw(format!("{feature}: {documents:?} are there, {named:?} are named"));
        }
    }
    std::mem::take(&mut *world.violations.lock().unwrap())
}

#[tokio::test]
async fn nobody_sees_the_parts_of_two_writes() {
    for seed in 1..=400 {
        let violations = play(seed, if seed % 2 == 0 { 0 } else { 25 }).await;
        assert!(violations.is_empty(), "seed {seed}: {violations:?}");
    }
}
