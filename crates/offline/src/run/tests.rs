//! Runs on a small engine that knows three queries: the author's, the quality checks, publication.

mod beside;
mod preview;
mod sketches;
mod steps;

use std::{
    collections::BTreeMap,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use arrow::{
    array::{
        ArrayRef, AsArray, Float64Array, Int32Array, Int64Array, StringArray,
        TimestampMicrosecondArray, new_null_array,
    },
    datatypes::{DataType as Arrow, Field, Int64Type, Schema, SchemaRef, TimestampMicrosecondType},
};
use async_trait::async_trait;
use trivium_engine::{BatchStream, Source};
use trivium_model::{Carryover, QualityCheck, QualityRule, Severity};
use trivium_runtime::Kind;

use super::*;
use crate::{
    columns,
    lake::{Staging, read_whole},
    testing::view,
};

const DAY: i64 = 86_400_000_000;
const SQL: &str = "SELECT carrier, TIMESTAMP '{{ period_end }}' AS event_ts, flights, delay \
                   FROM flights WHERE day = '{{ ds }}'";

/// Carrier, hours of the event time before the period's end, flights.
type Flight = (Option<&'static str>, i64, i64);

#[derive(Default)]
struct Engine {
    flights: Mutex<BTreeMap<i64, Vec<Flight>>>,
    /// The number of the quality check that finds failing rows.
    failing: Mutex<Option<usize>>,
    narrow: bool,
    publications: AtomicUsize,
    /// What somebody else does while a day's query is under way, once.
    meanwhile: Mutex<Option<(i64, Meanwhile)>>,
}

type Meanwhile = Box<dyn FnOnce() + Send>;

fn timestamps(values: Vec<Option<i64>>) -> ArrayRef {
    Arc::new(TimestampMicrosecondArray::from(values).with_timezone("UTC"))
}

impl Engine {
    fn author_schema(&self) -> SchemaRef {
        let count = if self.narrow { Arrow::Utf8 } else { Arrow::Int32 };
        Arc::new(Schema::new(vec![
            Field::new("CARRIER", Arrow::Utf8, true),
            Field::new("event_ts", columns::timestamp_type(), true),
            Field::new("flights", count, true),
            Field::new("delay", Arrow::Float64, true),
        ]))
    }

    fn author(&self, sql: &str) -> RecordBatch {
        let day = sql.rsplit('\'').nth(1).and_then(Timestamp::parse).unwrap();
        let meanwhile = self.meanwhile.lock().unwrap().take_if(|(at, _)| *at == day.0 / DAY);
        if let Some((_, meanwhile)) = meanwhile {
            meanwhile();
        }
        let flights = self.flights.lock().unwrap();
        let rows = flights.get(&(day.0 / DAY)).cloned().unwrap_or_default();
        let end = day.0 + DAY;
        RecordBatch::try_new(
            self.author_schema(),
            vec![
                Arc::new(StringArray::from_iter(rows.iter().map(|row| row.0))),
                timestamps(rows.iter().map(|row| Some(end - row.1 * DAY / 24)).collect()),
                Arc::new(Int32Array::from_iter_values(rows.iter().map(|row| row.2 as i32))),
                Arc::new(Float64Array::from_iter(rows.iter().map(|_| Some(0.5)))),
            ],
        )
        .unwrap()
    }

    fn quality(&self, sql: &str) -> RecordBatch {
        let failing = *self.failing.lock().unwrap();
        let checks = (0..).take_while(|n| sql.contains(&format!("c{n}_failing"))).count();
        let columns: Vec<(String, ArrayRef)> = (0..checks)
            .flat_map(|n| {
                let count = i64::from(failing == Some(n)) * 3;
                [
                    (format!("c{n}_failing"), Arc::new(Int64Array::from(vec![count])) as ArrayRef),
                    (format!("c{n}_low"), new_null_array(&Arrow::Int64, 1)),
                    (format!("c{n}_high"), new_null_array(&Arrow::Int64, 1)),
                ]
            })
            .collect();
        RecordBatch::try_from_iter(columns).unwrap()
    }

    /// The newest row of each carrier in the window, at the period's end where it is carried.
    fn publish(&self, sql: &str, batches: &[RecordBatch]) -> RecordBatch {
        self.publications.fetch_add(1, Ordering::Relaxed);
        let start = sql.rsplit("= TIMESTAMP '").next().unwrap().split('\'').next().unwrap();
        let start = Timestamp::parse(start).unwrap().0;
        let mut rows: BTreeMap<String, (i64, i64, i64)> = BTreeMap::new();
        for batch in batches {
            for row in 0..batch.num_rows() {
                let time = |at: usize| batch.column(at).as_primitive::<TimestampMicrosecondType>();
                let carrier = batch.column(0).as_string::<i32>().value(row).to_owned();
                let flights = batch.column(2).as_primitive::<Int64Type>().value(row);
                rows.insert(carrier, (time(4).value(row), time(1).value(row), flights));
            }
        }
        let carried = |period: i64| period < start;
        RecordBatch::try_new(
            columns::arrow_schema(&columns::published_columns(&view())),
            vec![
                Arc::new(StringArray::from_iter_values(rows.keys())),
                timestamps(
                    rows.values()
                        .map(|(from, at, _)| Some(if carried(*from) { start + DAY } else { *at }))
                        .collect(),
                ),
                Arc::new(Int64Array::from_iter_values(rows.values().map(|row| row.2))),
                Arc::new(Float64Array::from_iter(rows.values().map(|_| Some(0.5)))),
                timestamps(rows.values().map(|row| carried(row.0).then_some(row.0)).collect()),
            ],
        )
        .unwrap()
    }
}

#[async_trait]
impl QueryEngine for Engine {
    async fn describe(&self, _: &str, _: &[Table]) -> Result<SchemaRef, trivium_engine::Error> {
        Ok(self.author_schema())
    }
    async fn query(
        &self,
        sql: &str,
        tables: &[Table],
    ) -> Result<BatchStream, trivium_engine::Error> {
        let batch = match tables {
            [] => self.author(sql),
            [one] if one.name == trivium_sql::STAGED => self.quality(sql),
            [one] => {
                let Source::Batches { batches, .. } = &one.source else { panic!("{one:?}") };
                self.publish(sql, batches)
            }
            _ => panic!("{tables:?}"),
        };
        Ok(Box::pin(stream::iter([Ok(batch)])))
    }
}

struct Fixture {
    engine: Arc<Engine>,
    lake: Lake,
    view: Arc<FeatureView>,
    parallel: usize,
    _folder: tempfile::TempDir,
}

impl Fixture {
    fn new(engine: Engine, carryover: Carryover) -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self {
            engine: Arc::new(engine),
            lake: Lake::volatile(folder.path()),
            view: Arc::new(FeatureView { carryover, ..view() }),
            parallel: 3,
            _folder: folder,
        }
    }
    fn day(&self, day: i64, flights: &[Flight]) {
        self.engine.flights.lock().unwrap().insert(day, flights.to_vec());
    }
    fn run(&self, from: i64, to: i64) -> Result<RunReport, Error> {
        self.run_telling(from, to, &Silent)
    }
    fn run_telling(
        &self,
        from: i64,
        to: i64,
        progress: &dyn RunProgress,
    ) -> Result<RunReport, Error> {
        let options =
            RunOptions { parallel: self.parallel, group_periods: 2, ..RunOptions::default() };
        let runner = Runner::new(Arc::clone(&self.engine) as _, self.lake.clone(), options);
        let request = RunRequest {
            view: Arc::clone(&self.view),
            query: Arc::new(AuthorQuery::parse("daily.v1.sql", SQL).unwrap()),
            tables: Vec::new(),
            from: Timestamp(from * DAY),
            to: Timestamp(to * DAY),
        };
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
        runtime.block_on(runner.run(request, progress))
    }
    /// Folder, revision and `carrier:flights` of each published partition.
    fn published(&self) -> Vec<String> {
        let partitions =
            self.lake.all_partitions(&self.view.reference(), Layer::Published).unwrap();
        partitions
            .iter()
            .map(|one| {
                let rows = read_whole(&one.files()).unwrap();
                let carriers = rows.column(0).as_string::<i32>();
                let flights = rows.column(2).as_primitive::<Int64Type>();
                let rows: Vec<String> = (0..rows.num_rows())
                    .map(|row| format!("{}:{}", carriers.value(row), flights.value(row)))
                    .collect();
                let folder = one.period.folder();
                format!("{folder} r{} {}", one.pointer.sequence, rows.join(" "))
            })
            .collect()
    }
}

const LAST_VALUE: Carryover = Carryover::LastValue { max_periods: 2 };

#[test]
fn a_rerun_changes_nothing() {
    let fixture = Fixture::new(Engine::default(), Carryover::None);
    for day in 0..5 {
        fixture.day(day, &[(Some("UA"), 0, day), (Some("AA"), 3, 7)]);
    }
    let report = fixture.run(0, 5).unwrap();
    assert_eq!((report.periods, report.raw_rows, report.raw_changed), (5, 10, 5));
    assert_eq!((report.published_changed, report.published_rows), (5, 10));
    let before = fixture.published();
    assert_eq!(before[1], "ds=1970-01-02 r1 AA:7 UA:1");
    fixture.engine.publications.store(0, Ordering::Relaxed);
    let report = fixture.run(0, 5).unwrap();
    assert_eq!((report.raw_changed, report.published_changed, report.unchanged), (0, 0, 5));
    assert_eq!(fixture.engine.publications.load(Ordering::Relaxed), 0);
    assert_eq!(fixture.published(), before);
}

#[test]
fn a_rewritten_day_publishes_again_what_looks_back_on_it() {
    let fixture = Fixture::new(Engine::default(), LAST_VALUE);
    fixture.day(0, &[(Some("AA"), 0, 1)]);
    for day in 1..6 {
        fixture.day(day, &[(Some("UA"), 0, day)]);
    }
    fixture.run(0, 6).unwrap();
    assert_eq!(
        fixture.published(),
        [
            "ds=1970-01-01 r1 AA:1",
            "ds=1970-01-02 r1 AA:1 UA:1",
            "ds=1970-01-03 r1 AA:1 UA:2",
            "ds=1970-01-04 r1 UA:3",
            "ds=1970-01-05 r1 UA:4",
            "ds=1970-01-06 r1 UA:5",
        ]
    );
    fixture.day(0, &[(Some("AA"), 0, 9)]);
    let report = fixture.run(0, 1).unwrap();
    assert_eq!((report.raw_changed, report.published_changed), (1, 3));
    assert_eq!(fixture.published()[2..4], ["ds=1970-01-03 r2 AA:9 UA:2", "ds=1970-01-04 r1 UA:3"]);
}

#[test]
fn the_outcome_does_not_depend_on_order_or_parallelism() {
    let run = |parallel: usize, pieces: &[(i64, i64)]| {
        let mut fixture = Fixture::new(Engine::default(), LAST_VALUE);
        fixture.parallel = parallel;
        for day in 0..8 {
            let carrier = ["AA", "UA", "DL"][day as usize % 3];
            fixture.day(day, &[(Some(carrier), 0, day)]);
        }
        for (from, to) in pieces {
            fixture.run(*from, *to).unwrap();
        }
        let all = fixture.lake.all_partitions(&fixture.view.reference(), Layer::Published).unwrap();
        all.into_iter().map(|one| one.pointer.content_hash).collect::<Vec<_>>()
    };
    let expected = run(1, &[(0, 8)]);
    assert_eq!(run(8, &[(0, 8)]), expected);
    assert_eq!(run(2, &[(4, 8), (0, 4)]), expected, "a backfill in pieces, the later one first");
}

#[test]
fn a_crash_between_raw_and_published_is_mended_by_the_same_command() {
    let fixture = Fixture::new(Engine::default(), LAST_VALUE);
    fixture.day(0, &[(Some("AA"), 0, 1)]);
    fixture.day(1, &[(Some("UA"), 0, 2)]);
    fixture.run(0, 2).unwrap();
    // The raw partition of day 0 changes, and nothing else.
    fixture.day(0, &[(Some("AA"), 0, 5)]);
    let other = Fixture::new(Engine::default(), LAST_VALUE);
    other.day(0, &[(Some("AA"), 0, 5)]);
    other.run(0, 1).unwrap();
    let raw = |fixture: &Fixture| {
        let period =
            periods(schedule(&fixture.view).unwrap(), Timestamp(0), Timestamp(DAY)).unwrap();
        let raw = fixture.lake.partition(&fixture.view.reference(), Layer::Raw, period[0]);
        raw.unwrap().unwrap()
    };
    let rows = read_whole(&raw(&other).files()).unwrap();
    let staged = fixture.lake.stage(Staging {
        view: &fixture.view,
        layer: Layer::Raw,
        period: raw(&other).period,
        rows: &rows,
        quality: Vec::new(),
        source: RunSource::default(),
    });
    fixture.lake.commit(vec![staged.unwrap().unwrap()]).unwrap();
    assert_eq!(fixture.published(), ["ds=1970-01-01 r1 AA:1", "ds=1970-01-02 r1 AA:1 UA:2"]);
    let report = fixture.run(0, 1).unwrap();
    assert_eq!((report.raw_changed, report.published_changed), (0, 2));
    assert_eq!(fixture.published(), ["ds=1970-01-01 r2 AA:5", "ds=1970-01-02 r2 AA:5 UA:2"]);
}

#[test]
fn a_failed_check_publishes_nothing_and_a_warning_is_recorded() {
    let mut fixture = Fixture::new(Engine::default(), Carryover::None);
    let check = |severity| QualityCheck {
        rule: QualityRule::NotNull { column: crate::testing::name("delay") },
        severity,
    };
    let built_in = 2;
    fixture.view = Arc::new(FeatureView {
        quality: vec![check(Severity::Warn), check(Severity::Error)],
        ..view()
    });
    fixture.day(0, &[(Some("AA"), 0, 1)]);
    *fixture.engine.failing.lock().unwrap() = Some(built_in);
    let report = fixture.run(0, 1).unwrap();
    assert_eq!(report.warnings.len(), 1);
    let all = fixture.lake.all_partitions(&fixture.view.reference(), Layer::Published).unwrap();
    assert!(all[0].pointer.quality.iter().any(|one| !one.passed));

    *fixture.engine.failing.lock().unwrap() = Some(built_in + 1);
    fixture.day(0, &[(Some("AA"), 0, 2)]);
    let error = fixture.run(0, 1).unwrap_err();
    assert_eq!(error.kind(), Kind::QualityFailed);
    expect_test::expect![[
        r#"tests/daily@1, period ds=1970-01-01: not published, not_null(delay): found 3 nulls (3 rows), expected no null"#
    ]]
    .assert_eq(&error.to_string());
    assert_eq!(fixture.published(), ["ds=1970-01-01 r1 AA:1"]);
    let raw = fixture.lake.all_partitions(&fixture.view.reference(), Layer::Raw).unwrap();
    assert_eq!(raw[0].pointer.sequence, 1, "raw stays too");
}

#[test]
fn what_came_before_a_failure_is_kept() {
    let fixture = Fixture::new(Engine::default(), Carryover::None);
    for day in 0..4 {
        fixture.day(day, &[(Some("AA"), if day == 3 { -1 } else { 0 }, 1)]);
    }
    let error = fixture.run(0, 4).unwrap_err();
    expect_test::expect![[
        r#"tests/daily@1, period ds=1970-01-04: 1 rows have a `event_ts` after the period's end (1970-01-05T00:00:00Z), such as 1970-01-05T01:00:00Z"#
    ]]
    .assert_eq(&error.to_string());
    assert_eq!(fixture.published().len(), 3);
}

#[test]
fn rows_and_columns_that_do_not_fit_are_named() {
    let fixture = Fixture::new(Engine { narrow: true, ..Engine::default() }, Carryover::None);
    let error = fixture.run(0, 1).unwrap_err();
    expect_test::expect![[
        r#"tests/daily@1, period ds=1970-01-01: column `flights` is string but the config says int64"#
    ]]
    .assert_eq(&error.to_string());
    let fixture = Fixture::new(Engine::default(), Carryover::None);
    fixture.day(0, &[(None, 0, 1)]);
    let error = fixture.run(0, 1).unwrap_err();
    expect_test::expect![[r#"tests/daily@1, period ds=1970-01-01: column `carrier` has 1 nulls"#]]
        .assert_eq(&error.to_string());
    assert!(fixture.published().is_empty());
}

/// The hashes that it is told, by folder.
#[derive(Default)]
struct Hashes(Mutex<BTreeMap<String, String>>);

impl RunProgress for Hashes {
    fn started(&self, _: usize) {}
    fn raw_written(&self, period: Period, content_hash: &str) {
        self.0.lock().unwrap().insert(period.folder(), content_hash.to_owned());
    }
    fn period_done(&self, period: Period, _: u64) {
        assert!(self.0.lock().unwrap().contains_key(&period.folder()), "it comes before");
    }
    fn warned(&self, _: Period, _: &CheckResult) {}
}

#[test]
fn what_is_told_of_raw_rows_is_what_the_lake_has() {
    let fixture = Fixture::new(Engine::default(), LAST_VALUE);
    for day in 0..5 {
        fixture.day(day, &[(Some("AA"), 0, day)]);
    }
    // The second time nothing changes, and all of it is told again.
    for _ in 0..2 {
        let told = Hashes::default();
        fixture.run_telling(0, 5, &told).unwrap();
        let raw = fixture.lake.all_partitions(&fixture.view.reference(), Layer::Raw).unwrap();
        let hashes = raw.into_iter().map(|one| (one.period.folder(), one.pointer.content_hash));
        assert_eq!(told.0.into_inner().unwrap(), hashes.collect());
    }
}

#[test]
fn an_empty_day_is_a_partition() {
    let fixture = Fixture::new(Engine::default(), Carryover::None);
    fixture.run(0, 2).unwrap();
    assert_eq!(fixture.published(), ["ds=1970-01-01 r1 ", "ds=1970-01-02 r1 "]);
    assert_eq!(fixture.run(0, 2).unwrap().unchanged, 2);
}

#[test]
fn keys_that_the_online_store_does_not_take_are_not_published() {
    let long: &'static str = "x".repeat(2_100).leak();
    let mut fixture = Fixture::new(Engine::default(), Carryover::None);
    fixture.day(0, &[(Some("AA"), 0, 1)]);
    fixture.day(1, &[(Some("AA"), 0, 1), (Some(long), 0, 1)]);
    let error = fixture.run(0, 2).unwrap_err();
    assert_eq!(error.kind(), Kind::FailedPrecondition);
    expect_test::expect![[r#"tests/daily@1, period ds=1970-01-02: entity carrier "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"…: the entity key takes 2116 bytes, more than the limit of 2048; use shorter join key values"#]].assert_eq(&error.to_string());
    assert_eq!(fixture.published(), ["ds=1970-01-01 r1 AA:1"]);
    let raw = fixture.lake.all_partitions(&fixture.view.reference(), Layer::Raw).unwrap();
    assert_eq!(raw.len(), 1, "raw stays too");

    fixture.view = Arc::new(FeatureView { online: false, ..view() });
    fixture.run(0, 2).unwrap();
}
