//! What is online against the oracle, through rewrites, late partitions, cut-offs and crashes.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{
        Mutex,
        atomic::{AtomicI64, Ordering},
    },
};

use arrow::array::{Float64Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use async_trait::async_trait;
use bytes::Bytes;
use proptest::prelude::*;
use trivium_codec::{Row, ValueRef};
use trivium_model::KeyValue;
use trivium_store::{
    Decision, DoorError, DoorOutcome, DoorRequest, RowWrite, WriteOp, WriteOutcome, decide,
};

use super::*;
use crate::{
    Period, canonical, columns,
    lake::{RunSource, Staging},
    run::Silent,
    testing::view,
};

const DAY: i64 = 86_400_000_000;

type Online = HashMap<Vec<KeyValue>, (trivium_store::Stamp, Option<Row>)>;

/// A door over a map, and the checkpoints beside it. Dies after `lives` rows.
struct Store {
    rows: Mutex<Online>,
    checkpoints: Mutex<HashMap<String, Bytes>>,
    lives: AtomicI64,
    /// So many rows and checkpoints are not taken for now; of every other one it is not known.
    hiccups: AtomicI64,
    writes: AtomicI64,
    /// An entity that the door refuses.
    refused: Mutex<Option<&'static str>>,
}

impl Default for Store {
    fn default() -> Self {
        Self {
            rows: Mutex::default(),
            checkpoints: Mutex::default(),
            lives: AtomicI64::new(i64::MAX),
            hiccups: AtomicI64::new(0),
            writes: AtomicI64::new(0),
            refused: Mutex::default(),
        }
    }
}

fn dead() -> trivium_store::Error {
    trivium_store::Error::Failed("dead".to_owned())
}

/// What a store that cannot keep up does with a write.
enum Hiccup {
    Refused,
    /// It is written, and nobody hears of it.
    Unheard,
}

impl Store {
    fn hiccup(&self) -> Option<Hiccup> {
        let left = self.hiccups.load(Ordering::Relaxed);
        if left <= 0 {
            return None;
        }
        self.hiccups.store(left - 1, Ordering::Relaxed);
        Some(if left % 2 == 0 { Hiccup::Refused } else { Hiccup::Unheard })
    }
}

impl Hiccup {
    fn error(&self) -> trivium_store::Error {
        match self {
            Self::Refused => trivium_store::Error::Throttled("slower".to_owned()),
            Self::Unheard => trivium_store::Error::Unknown("too late".to_owned()),
        }
    }
}

#[async_trait]
impl WriteDoor for Store {
    async fn write(&self, request: DoorRequest) -> Result<Vec<DoorOutcome>, DoorError> {
        let mut online = self.rows.lock().unwrap();
        let mut outcomes = Vec::new();
        for row in request.rows {
            if self.lives.fetch_sub(1, Ordering::Relaxed) <= 0 {
                outcomes.push(Err(dead().into()));
                continue;
            }
            let refused =
                self.refused.lock().unwrap().map(|text| KeyValue::String(text.to_owned()));
            if refused.is_some_and(|refused| row.entity == [refused]) {
                outcomes.push(Err(DoorError::Invalid {
                    message: "no such row".to_owned(),
                    field: "rows[0].row".to_owned(),
                    help: String::new(),
                }));
                continue;
            }
            let hiccup = self.hiccup();
            if let Some(hiccup @ Hiccup::Refused) = &hiccup {
                outcomes.push(Err(hiccup.error().into()));
                continue;
            }
            self.writes.fetch_add(1, Ordering::Relaxed);
            let (op, bytes) = match row.op {
                DoorOp::PutRow { row, .. } => (WriteOp::Put(row.clone()), Some(row)),
                DoorOp::Delete => (WriteOp::Delete, None),
                DoorOp::PutValues(_) => panic!("pipelines write whole rows"),
            };
            let key = trivium_codec::KeyShape::new(&view()).encode(&row.entity).unwrap();
            let write = RowWrite {
                key,
                op,
                order: row.order,
                condition: row.condition,
                write_id: row.write_id,
                ttl: None,
                subject: None,
            };
            let existing = online.get(&row.entity).map(|(stamp, _)| *stamp);
            let outcome = match decide(existing.as_ref(), &write, 1) {
                Decision::Answer(answer) => answer,
                Decision::Apply(stamp) => {
                    online.insert(row.entity, (stamp, bytes));
                    WriteOutcome::Applied(stamp)
                }
            };
            outcomes.push(hiccup.map_or(Ok(outcome), |hiccup| Err(hiccup.error().into())));
        }
        Ok(outcomes)
    }
}

#[async_trait]
impl Checkpoints for Store {
    async fn load(&self, name: &str) -> Result<Option<Bytes>, trivium_store::Error> {
        if let Some(hiccup) = self.hiccup() {
            return Err(hiccup.error());
        }
        Ok(self.checkpoints.lock().unwrap().get(name).cloned())
    }
    async fn store(
        &self,
        name: &str,
        expected: Option<&[u8]>,
        value: Bytes,
    ) -> Result<bool, trivium_store::Error> {
        if self.lives.fetch_sub(1, Ordering::Relaxed) <= 0 {
            return Err(dead());
        }
        let hiccup = self.hiccup();
        if let Some(hiccup @ Hiccup::Refused) = &hiccup {
            return Err(hiccup.error());
        }
        let mut checkpoints = self.checkpoints.lock().unwrap();
        if checkpoints.get(name).map(|bytes| &**bytes) != expected {
            return Ok(false);
        }
        checkpoints.insert(name.to_owned(), value);
        hiccup.map_or(Ok(true), |hiccup| Err(hiccup.error()))
    }
}

/// Entity, event time in days before the period's end (in tenths), value.
type TestRow = (u8, u8, Option<i64>);

fn period(number: u8) -> Period {
    let start = Timestamp(i64::from(number) * DAY);
    Period { start, end: Timestamp(start.0 + DAY) }
}

fn event_time(number: u8, back: u8) -> i64 {
    period(number).end.0 - i64::from(back) * DAY / 10
}

fn publish(lake: &Lake, view: &FeatureView, number: u8, rows: &[TestRow]) {
    let schema = columns::arrow_schema(&columns::published_columns(view));
    let batch = RecordBatch::try_new(
        schema,
        vec![
            Arc::new(StringArray::from_iter_values(rows.iter().map(|row| row.0.to_string()))),
            Arc::new(
                TimestampMicrosecondArray::from_iter_values(
                    rows.iter().map(|row| event_time(number, row.1)),
                )
                .with_timezone("UTC"),
            ),
            Arc::new(Int64Array::from_iter(rows.iter().map(|row| row.2))),
            Arc::new(Float64Array::from_iter(rows.iter().map(|_| None::<f64>))),
            Arc::new(
                TimestampMicrosecondArray::from_iter(rows.iter().map(|_| None::<i64>))
                    .with_timezone("UTC"),
            ),
        ],
    )
    .unwrap();
    let staged = lake
        .stage(Staging {
            view,
            layer: Layer::Published,
            period: period(number),
            rows: &canonical::sort(&batch).unwrap(),
            quality: Vec::new(),
            source: RunSource::default(),
        })
        .unwrap();
    lake.commit(staged.into_iter().collect()).unwrap();
}

/// Entity → event time and value of the newest row.
type State = BTreeMap<String, (i64, Option<i64>)>;

fn oracle(published: &BTreeMap<u8, Vec<TestRow>>, carryover: bool) -> State {
    let mut state: BTreeMap<u8, (i64, u8, Option<i64>)> = BTreeMap::new();
    for (number, rows) in published {
        for (entity, back, value) in rows {
            let row = (event_time(*number, *back), *number, *value);
            let newest = state.entry(*entity).or_insert(row);
            // Equal but for the value: canonical order decides, null lowest.
            *newest = (*newest).max(row);
        }
    }
    let head: Option<BTreeSet<u8>> = published
        .last_key_value()
        .filter(|_| carryover)
        .map(|(_, rows)| rows.iter().map(|row| row.0).collect());
    state
        .into_iter()
        .filter(|(entity, _)| head.as_ref().is_none_or(|head| head.contains(entity)))
        .map(|(entity, (at, _, value))| (entity.to_string(), (at, value)))
        .collect()
}

fn online(store: &Store, view: &FeatureView) -> State {
    let schema = Schema::of_view(view).unwrap();
    let rows = store.rows.lock().unwrap();
    rows.iter()
        .filter_map(|(entity, (stamp, row))| {
            let row = row.as_ref()?;
            let value = match row.reader(&schema).unwrap().get(0).unwrap().unwrap() {
                ValueRef::Int64(value) => Some(value),
                ValueRef::Null => None,
                other => panic!("{other:?}"),
            };
            let KeyValue::String(entity) = &entity[0] else { panic!("{entity:?}") };
            Some((entity.clone(), (stamp.event_time.0, value)))
        })
        .collect()
}

#[derive(Debug, Clone)]
enum Step {
    Publish(u8, Vec<TestRow>),
    /// The partition's folder is moved away and its period run again, as it was; its revisions go on
    /// or begin anew.
    Anew {
        number: u8,
        goes_on: bool,
    },
    Materialize {
        to: u8,
        lives: Option<u8>,
        hiccups: u8,
    },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let row = (0..5u8, prop_oneof![3 => Just(0u8), 1 => 0..40u8], proptest::option::of(0..3i64));
    let publish =
        (0..6u8, proptest::collection::vec(row, 0..6)).prop_map(|(n, rows)| Step::Publish(n, rows));
    let load = (0..6u8, proptest::option::weighted(0.4, 0..8u8), 0..6u8)
        .prop_map(|(to, lives, hiccups)| Step::Materialize { to, lives, hiccups });
    let anew = (0..6u8, any::<bool>()).prop_map(|(number, goes_on)| Step::Anew { number, goes_on });
    proptest::collection::vec(prop_oneof![6 => publish, 5 => load, 1 => anew], 1..24)
}

fn materializer(lake: &Lake, store: &Arc<Store>) -> Materializer {
    let options = MaterializeOptions { batch_rows: 2, ..MaterializeOptions::default() };
    Materializer::new(lake.clone(), Arc::clone(store) as _, Arc::clone(store) as _, options)
}

/// Pauses take no time.
fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap()
}

fn check(steps: Vec<Step>, carryover: Carryover) {
    let runtime = runtime();
    let folder = tempfile::tempdir().unwrap();
    let lake = Lake::volatile(folder.path());
    let view = Arc::new(FeatureView { carryover, ..view() });
    let store = Arc::new(Store::default());
    let loader = materializer(&lake, &store);
    let mut published: BTreeMap<u8, Vec<TestRow>> = BTreeMap::new();
    let mut loaded: BTreeSet<u8> = BTreeSet::new();
    let mut furthest = 0;
    let mut publications = 0_u64;
    let mut is_anew = false;
    let last = Step::Materialize { to: 6, lives: None, hiccups: 0 };
    for step in steps.into_iter().chain([last]) {
        match step {
            Step::Publish(number, rows) => {
                publish(&lake, &view, number, &rows);
                publications += 1;
                published.insert(number, rows);
            }
            Step::Anew { number, goes_on } => {
                let Some(rows) = published.get(&number) else { continue };
                is_anew = true;
                let folder = lake.view_folder(&view.reference());
                std::fs::remove_dir_all(folder.join(period(number).folder())).unwrap();
                let after = folder.join("_revisions_after");
                if goes_on {
                    // More than any had.
                    std::fs::write(after, publications.to_string()).unwrap();
                } else {
                    drop(std::fs::remove_file(after));
                }
                publish(&lake, &view, number, rows);
                publications += 1;
            }
            Step::Materialize { to, lives, hiccups } => {
                // A dead run may have loaded up to its cut-off.
                furthest = furthest.max(to);
                store.lives.store(lives.map_or(i64::MAX, i64::from), Ordering::Relaxed);
                store.hiccups.store(hiccups.into(), Ordering::Relaxed);
                let before = online(&store, &view);
                let run =
                    loader.run(Arc::clone(&view), Some(period(furthest).end), Arc::new(Silent));
                let outcome = runtime.block_on(run);
                store.hiccups.store(0, Ordering::Relaxed);
                if let (Err(Error::Precondition { .. }), true) = (&outcome, is_anew) {
                    // It cannot know what is online, says so, and leaves it alone.
                    assert_eq!(online(&store, &view), before);
                    return;
                }
                if lives.is_none() {
                    outcome.as_ref().unwrap();
                }
                if outcome.is_err() {
                    continue;
                }
                loaded.extend(published.keys().filter(|number| **number <= furthest));
                let seen: BTreeMap<u8, Vec<TestRow>> =
                    loaded.iter().map(|number| (*number, published[number].clone())).collect();
                let carries = !matches!(carryover, Carryover::None);
                assert_eq!(online(&store, &view), oracle(&seen, carries));
                let writes = store.writes.load(Ordering::Relaxed);
                store.lives.store(i64::MAX, Ordering::Relaxed);
                let again =
                    loader.run(Arc::clone(&view), Some(period(furthest).end), Arc::new(Silent));
                runtime.block_on(again).unwrap();
                assert_eq!(store.writes.load(Ordering::Relaxed), writes, "a second run wrote");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn online_is_the_newest_row_of_each_entity(steps in steps()) {
        check(steps, Carryover::None);
    }

    #[test]
    fn with_carryover_online_are_the_entities_of_the_newest_partition(steps in steps()) {
        check(steps, Carryover::LastValue { max_periods: 3 });
    }
}

/// The entity's newest row is of a partition that was made anew, and is no head.
#[test]
fn what_left_the_head_goes_under_a_former_lakes_stamp_too() {
    let load = |to| Step::Materialize { to, lives: None, hiccups: 0 };
    let steps = vec![
        Step::Publish(4, vec![]),
        load(3),
        Step::Publish(1, vec![(4, 0, None)]),
        Step::Publish(2, vec![(4, 11, None)]),
        load(0),
        Step::Anew { number: 1, goes_on: true },
        Step::Publish(2, vec![]),
    ];
    check(steps, Carryover::LastValue { max_periods: 3 });
}

fn load(
    loader: &Materializer,
    view: &FeatureView,
    to: Option<u8>,
) -> Result<MaterializeReport, Error> {
    let runtime = runtime();
    let to = to.map(|number| period(number).end);
    runtime.block_on(loader.run(Arc::new(view.clone()), to, Arc::new(Silent)))
}

#[test]
fn only_what_changed_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let lake = Lake::volatile(folder.path());
    let view = view();
    let store = Arc::new(Store::default());
    let loader = materializer(&lake, &store);
    publish(&lake, &view, 0, &[(1, 0, Some(1)), (2, 0, Some(1))]);
    publish(&lake, &view, 1, &[(1, 0, Some(2))]);
    let first = load(&loader, &view, Some(0)).unwrap();
    assert_eq!((first.partitions, first.rows_written), (1, 2));
    let second = load(&loader, &view, None).unwrap();
    assert_eq!((second.partitions_changed, second.rows_written), (1, 1));
    publish(&lake, &view, 0, &[(1, 0, Some(1)), (2, 0, Some(7))]);
    let third = load(&loader, &view, None).unwrap();
    assert_eq!((third.rows_written, third.superseded, third.unchanged), (1, 0, 0));
    publish(&lake, &view, 0, &[(1, 0, Some(1))]);
    let fourth = load(&loader, &view, None).unwrap();
    assert_eq!((fourth.rows_written, fourth.retracted), (0, 1));
    assert_eq!(load(&loader, &view, Some(0)).unwrap().partitions_changed, 0);
}

#[test]
fn a_dry_run_counts_and_writes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let lake = Lake::volatile(folder.path());
    let view = view();
    let store = Arc::new(Store::default());
    let mut loader = materializer(&lake, &store);
    loader.options.dry_run = true;
    publish(&lake, &view, 0, &[(1, 0, Some(1)), (2, 0, Some(1))]);
    assert_eq!(load(&loader, &view, None).unwrap().rows_written, 2);
    assert_eq!(load(&loader, &view, None).unwrap().rows_written, 2);
    assert_eq!(store.writes.load(Ordering::Relaxed), 0);
}

#[test]
fn another_lake_is_refused() {
    let store = Arc::new(Store::default());
    let view = view();
    let first = tempfile::tempdir().unwrap();
    let lake = Lake::volatile(first.path());
    publish(&lake, &view, 0, &[(1, 0, Some(1))]);
    publish(&lake, &view, 1, &[(1, 0, Some(1))]);
    assert_eq!(load(&materializer(&lake, &store), &view, None).unwrap().rows_written, 2);

    let second = tempfile::tempdir().unwrap();
    let lake = Lake::volatile(second.path());
    for value in [2, 3, 4] {
        // Its second and third revision are not those of the lake before it.
        publish(&lake, &view, 0, &[(1, 0, Some(value))]);
        publish(&lake, &view, 1, &[(1, 0, Some(value))]);
        let outcome = load(&materializer(&lake, &store), &view, None);
        assert!(matches!(outcome, Err(Error::Precondition { .. })), "{outcome:?}");
    }
}

#[test]
fn an_older_copy_of_the_lake_is_refused() {
    let store = Arc::new(Store::default());
    let view = view();
    let folder = tempfile::tempdir().unwrap();
    let lake = Lake::volatile(folder.path());
    publish(&lake, &view, 0, &[(1, 0, Some(1))]);
    let pointer = lake.view_folder(&view.reference()).join("ds=1970-01-01/_current.json");
    let old = std::fs::read(&pointer).unwrap();
    publish(&lake, &view, 0, &[(1, 0, Some(2))]);
    load(&materializer(&lake, &store), &view, None).unwrap();
    std::fs::write(&pointer, old).unwrap();
    let error = load(&materializer(&lake, &store), &view, None).unwrap_err();
    assert!(error.to_string().contains("which this lake does not have"), "{error}");
}

/// Publishes two days and loads them; then a lake made anew, whose revisions go on after `after`,
/// with these rows on the first day.
fn made_anew(
    carryover: Carryover,
    after: u64,
    rows: &[TestRow],
) -> (Arc<Store>, FeatureView, Lake, tempfile::TempDir) {
    let store = Arc::new(Store::default());
    let view = FeatureView { carryover, ..view() };
    let first = tempfile::tempdir().unwrap();
    let lake = Lake::volatile(first.path());
    publish(&lake, &view, 0, &[(1, 0, Some(1))]);
    publish(&lake, &view, 0, &[(1, 0, Some(1)), (2, 0, Some(1))]);
    publish(&lake, &view, 1, &[(1, 0, Some(2)), (2, 10, Some(1))]);
    load(&materializer(&lake, &store), &view, None).unwrap();

    let second = tempfile::tempdir().unwrap();
    let lake = Lake::volatile(second.path());
    let folder = lake.view_folder(&view.reference());
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("_revisions_after"), after.to_string()).unwrap();
    publish(&lake, &view, 0, rows);
    publish(&lake, &view, 1, &[(1, 0, Some(2)), (2, 10, Some(1))]);
    (store, view, lake, second)
}

#[test]
fn a_lake_made_anew_takes_the_place_of_its_like() {
    for carryover in [Carryover::None, Carryover::LastValue { max_periods: 3 }] {
        let (store, view, lake, _folder) =
            made_anew(carryover, 2, &[(1, 0, Some(1)), (2, 0, Some(1))]);
        let loader = materializer(&lake, &store);
        load(&loader, &view, None).unwrap();
        // What goes from now on is taken back: online are rows of this lake.
        publish(&lake, &view, 0, &[(1, 0, Some(1))]);
        publish(&lake, &view, 1, &[(1, 10, Some(5))]);
        load(&loader, &view, None).unwrap();
        let last = BTreeMap::from([(0, vec![(1, 0, Some(1))]), (1, vec![(1, 10, Some(5))])]);
        let carries = !matches!(carryover, Carryover::None);
        assert_eq!(online(&store, &view), oracle(&last, carries));
        assert_eq!(load(&loader, &view, None).unwrap().partitions_changed, 0);
    }
}

/// A lake of one partition, which is loaded.
fn loaded_once(view: &FeatureView, rows: &[TestRow]) -> (Arc<Store>, Lake, tempfile::TempDir) {
    let store = Arc::new(Store::default());
    let folder = tempfile::tempdir().unwrap();
    let lake = Lake::volatile(folder.path());
    publish(&lake, view, 0, rows);
    load(&materializer(&lake, &store), view, None).unwrap();
    (store, lake, folder)
}

#[test]
fn a_first_revision_that_is_made_again_is_the_same() {
    for carryover in [Carryover::None, Carryover::LastValue { max_periods: 3 }] {
        let view = FeatureView { carryover, ..view() };
        let rows: &[TestRow] = &[(1, 0, Some(1)), (2, 0, Some(1))];
        let (store, lake, _folder) = loaded_once(&view, rows);
        let loader = materializer(&lake, &store);
        let writes = store.writes.load(Ordering::Relaxed);
        std::fs::remove_dir_all(lake.view_folder(&view.reference()).join("ds=1970-01-01")).unwrap();
        publish(&lake, &view, 0, rows);
        load(&loader, &view, None).unwrap();
        assert_eq!(store.writes.load(Ordering::Relaxed), writes, "the rows were there");
        // And it goes on from here.
        publish(&lake, &view, 0, &[(1, 0, Some(3))]);
        load(&loader, &view, None).unwrap();
        let last = BTreeMap::from([(0, vec![(1, 0, Some(3))])]);
        let carries = !matches!(carryover, Carryover::None);
        assert_eq!(online(&store, &view), oracle(&last, carries));
        assert_eq!(load(&loader, &view, None).unwrap().partitions_changed, 0);
    }
}

/// Who is in the former head alone stands under stamps of the lake before; the new head is all there
/// is to say that they go.
#[test]
fn who_goes_with_a_head_of_a_lake_made_anew_goes() {
    let carryover = Carryover::LastValue { max_periods: 3 };
    let (store, view, lake, _folder) = made_anew(carryover, 2, &[(1, 0, Some(1)), (2, 0, Some(1))]);
    publish(&lake, &view, 2, &[(1, 0, Some(9))]);
    load(&materializer(&lake, &store), &view, None).unwrap();
    let left = BTreeMap::from([("1".to_owned(), (event_time(2, 0), Some(9)))]);
    assert_eq!(online(&store, &view), left);
}

/// The second revision was loaded in part; a first that is made again does not know of its rows.
#[test]
fn a_load_that_died_is_held_against_a_lake_made_anew() {
    for after in [None, Some("2")] {
        let view = view();
        let rows: &[TestRow] = &[(1, 0, Some(1)), (2, 0, Some(1))];
        let (store, lake, _folder) = loaded_once(&view, rows);
        let loader = materializer(&lake, &store);
        publish(&lake, &view, 0, &[(1, 0, Some(1)), (2, 0, Some(2)), (3, 0, Some(2))]);
        // Notes what it begins, writes its rows, and dies before it can say so.
        store.lives.store(3, Ordering::Relaxed);
        load(&loader, &view, None).unwrap_err();
        store.lives.store(i64::MAX, Ordering::Relaxed);
        let before = online(&store, &view);
        assert_eq!(before.len(), 3);
        let at = lake.view_folder(&view.reference());
        std::fs::remove_dir_all(at.join("ds=1970-01-01")).unwrap();
        if let Some(after) = after {
            std::fs::write(at.join("_revisions_after"), after).unwrap();
        }
        publish(&lake, &view, 0, rows);
        let error = load(&loader, &view, None).unwrap_err();
        assert!(error.to_string().contains("partly filled with revision 2"), "{error}");
        assert_eq!(online(&store, &view), before);
    }
}

#[test]
fn a_lake_made_anew_says_when_it_cannot_know_what_is_online() {
    let same: &[TestRow] = &[(1, 0, Some(1)), (2, 0, Some(1))];
    let others: &[TestRow] = &[(1, 0, Some(1))];
    let cases = [(2, others, "whose rows are others"), (1, same, "which began at revision 2")];
    for (after, rows, said) in cases {
        let (store, view, lake, _folder) = made_anew(Carryover::None, after, rows);
        let before = online(&store, &view);
        let error = load(&materializer(&lake, &store), &view, None).unwrap_err();
        assert!(error.to_string().contains(said), "{error}");
        assert!(error.help().is_some());
        assert_eq!(online(&store, &view), before);
    }
}

#[test]
fn a_refused_row_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let lake = Lake::volatile(folder.path());
    let view = view();
    let store = Arc::new(Store::default());
    let loader = materializer(&lake, &store);
    publish(&lake, &view, 0, &[(1, 0, Some(1)), (2, 0, Some(1))]);
    publish(&lake, &view, 1, &[(2, 0, Some(1)), (3, 0, Some(1))]);
    load(&loader, &view, Some(0)).unwrap();
    *store.refused.lock().unwrap() = Some("3");
    let error = load(&loader, &view, None).unwrap_err();
    expect_test::expect![[
        r#"tests/daily@1, period ds=1970-01-02, entity carrier "3": the online store refused a row"#
    ]]
    .assert_eq(&error.to_string());
    assert_eq!(error.kind(), trivium_runtime::Kind::InvalidArgument);
    assert!(error.help().is_some());
    // A retraction has another order, and names the same.
    *store.refused.lock().unwrap() = Some("1");
    publish(&lake, &view, 0, &[(2, 0, Some(1))]);
    publish(&lake, &view, 1, &[(2, 0, Some(1))]);
    let error = load(&loader, &view, None).unwrap_err();
    expect_test::expect![[
        r#"tests/daily@1, period ds=1970-01-01, entity carrier "1": the online store refused a row"#
    ]]
    .assert_eq(&error.to_string());
}
