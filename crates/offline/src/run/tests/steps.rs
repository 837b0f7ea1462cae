//! The steps of a run, asked of the same engine, against the run in process.

use arrow::record_batch::RecordBatch;
use trivium_model::{QualityCheck, QualityRule, Severity};
use trivium_runtime::Kind;

use super::*;
use crate::run::steps::{Publication, Steps};

pub(super) fn day(day: i64) -> Period {
    Period { start: Timestamp(day * DAY), end: Timestamp((day + 1) * DAY) }
}

impl Fixture {
    fn steps(&self) -> Steps {
        let query = Arc::new(AuthorQuery::parse("daily.v1.sql", SQL).unwrap());
        Steps::new(self.lake.clone(), Arc::clone(&self.view), query, "elsewhere").unwrap()
    }

    fn check(&self, period: Period) -> Result<crate::run::steps::Checked, Error> {
        let steps = self.steps();
        let asked = steps.extraction(period).unwrap();
        let rows = self.engine.author(&asked.sql);
        steps.check(period, &[rows], &[self.engine.quality(&asked.quality_sql)])
    }

    fn raw(&self, period: Period) -> bool {
        let checked = self.check(period).unwrap();
        self.steps().publish_raw(&checked).unwrap().is_some()
    }

    /// What an engine elsewhere makes of publications.
    fn made(&self, publications: Vec<Publication>) -> Vec<(Publication, Vec<RecordBatch>)> {
        publications
            .into_iter()
            .map(|one| {
                let raw = one.raw_files.iter().map(std::slice::from_ref);
                let raw: Vec<RecordBatch> = raw.map(|file| read_whole(file).unwrap()).collect();
                let rows = self.engine.publish(&one.sql, &raw);
                (one, vec![rows])
            })
            .collect()
    }

    pub(super) fn all(&self, period: Period) -> (usize, usize) {
        self.raw(period);
        let publications = self.steps().publications(&[period]).unwrap();
        let count = publications.len();
        let report = self.steps().publish(&[period], &self.made(publications)).unwrap();
        (count, report.changed.len())
    }
}

fn three_days() -> Fixture {
    let fixture = Fixture::new(Engine::default(), LAST_VALUE);
    fixture.day(0, &[(Some("AA"), 0, 1), (Some("UA"), 0, 2)]);
    fixture.day(1, &[(Some("AA"), 0, 3)]);
    fixture.day(2, &[(Some("UA"), 0, 4)]);
    fixture
}

#[test]
fn the_partitions_are_those_of_a_run_in_process() {
    let (one, other) = (three_days(), three_days());
    one.run(0, 3).unwrap();
    for at in 0..3 {
        assert_eq!(other.all(day(at)), (1, 1));
    }
    assert_eq!(one.published(), other.published());
    assert_eq!(other.all(day(1)), (0, 0), "once more: nothing is even asked for");
    // Whichever way it came to be, the other finds nothing to do.
    assert_eq!(other.run(0, 3).unwrap().unchanged, 3);
}

#[test]
fn what_stands_behind_is_published_again() {
    let fixture = three_days();
    fixture.run(0, 3).unwrap();
    fixture.day(0, &[(Some("AA"), 0, 1), (Some("UA"), 0, 9)]);
    assert_eq!(fixture.all(day(0)), (3, 2), "the third day has a row of its own for UA");
    let again = Fixture::new(Engine::default(), LAST_VALUE);
    for (at, flights) in fixture.engine.flights.lock().unwrap().iter() {
        again.day(*at, flights);
    }
    again.run(0, 3).unwrap();
    let content = |fixture: &Fixture| {
        fixture.published().iter().map(|one| one.replace(" r2", " r1")).collect::<Vec<_>>()
    };
    assert_eq!(content(&fixture), content(&again));
}

#[test]
fn a_run_that_comes_in_between_is_noticed() {
    let fixture = three_days();
    fixture.run(0, 3).unwrap();
    // Day 1 is run again; while its engine works, day 0 is rewritten by another run.
    fixture.day(1, &[(Some("AA"), 0, 5)]);
    fixture.raw(day(1));
    let stale = fixture.made(fixture.steps().publications(&[day(1)]).unwrap());
    fixture.day(0, &[(Some("AA"), 0, 1)]);
    fixture.run(0, 1).unwrap();
    let now = fixture.published();
    let error = fixture.steps().publish(&[day(1)], &stale).unwrap_err();
    assert_eq!(error.kind(), Kind::FailedPrecondition);
    assert!(error.to_string().contains("another run changed a period"), "{error}");
    assert_eq!(fixture.published(), now, "what it made of old rows is nowhere");

    // What only stands behind is left to the run that changed it.
    fixture.day(0, &[(Some("AA"), 0, 7)]);
    fixture.raw(day(0));
    let stale = fixture.made(fixture.steps().publications(&[day(0)]).unwrap());
    fixture.day(1, &[(Some("AA"), 0, 6)]);
    fixture.run(1, 2).unwrap();
    let report = fixture.steps().publish(&[day(0)], &stale).unwrap();
    assert_eq!(report.left, [day(1), day(2)]);
    assert_eq!(report.changed.len(), 1);
}

#[test]
fn each_raw_pointer_is_read_once() {
    let fixture = Fixture::new(Engine::default(), Carryover::LastValue { max_periods: 9 });
    for at in 0..20 {
        fixture.day(at, &[(Some("AA"), 0, at)]);
    }
    fixture.run(0, 20).unwrap();
    fixture.day(10, &[(Some("AA"), 0, 99)]);
    fixture.raw(day(10));
    let steps = fixture.steps();
    let before = fixture.lake.pointers_read();
    let publications = steps.publications(&[day(10)]).unwrap();
    assert_eq!(publications.len(), 10);
    // 10 published ones, and the raw ones of 19 days that these look back on.
    assert_eq!(fixture.lake.pointers_read() - before, 10 + 19);

    let made = fixture.made(publications);
    let before = fixture.lake.pointers_read();
    steps.publish(&[day(10)], &made).unwrap();
    assert_eq!(fixture.lake.pointers_read() - before, 19);
}

#[test]
fn a_failed_check_writes_nothing() {
    let mut fixture = Fixture::new(Engine::default(), Carryover::None);
    let rule = QualityRule::NotNull { column: crate::testing::name("delay") };
    let check = QualityCheck { rule, severity: Severity::Error };
    fixture.view = Arc::new(FeatureView { quality: vec![check], ..view() });
    fixture.day(0, &[(Some("AA"), 0, 1)]);
    assert_eq!(fixture.all(day(0)), (1, 1));
    let before = fixture.published();
    fixture.day(0, &[(Some("AA"), 0, 2)]);
    *fixture.engine.failing.lock().unwrap() = Some(2);
    let error = fixture.check(day(0)).unwrap_err();
    assert_eq!(error.kind(), Kind::QualityFailed);
    assert!(error.to_string().contains("not_null(delay): found 3 nulls (3 rows)"), "{error}");
    assert_eq!(fixture.published(), before);
}

#[test]
fn periods_that_are_none_are_refused() {
    let fixture = three_days();
    let half = Period { start: Timestamp(DAY / 2), end: Timestamp(DAY + DAY / 2) };
    let error = fixture.steps().extraction(half).unwrap_err();
    assert_eq!(error.kind(), Kind::InvalidArgument);
}
