//! A preview says what a run would leave, and leaves nothing.

use trivium_model::{QualityCheck, QualityRule, Severity};

use super::*;

fn day(day: i64) -> Period {
    Period { start: Timestamp(day * DAY), end: Timestamp((day + 1) * DAY) }
}

impl Fixture {
    fn preview(&self, view: &FeatureView, period: Period) -> Result<Preview, Error> {
        let runner =
            Runner::new(Arc::clone(&self.engine) as _, self.lake.clone(), RunOptions::default());
        let request = RunRequest {
            view: Arc::new(view.clone()),
            query: Arc::new(AuthorQuery::parse("daily.v1.sql", SQL).unwrap()),
            tables: Vec::new(),
            from: Timestamp(0),
            to: Timestamp(0),
        };
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(runner.preview(&request, period))
    }

    fn files(&self) -> usize {
        fn count(folder: &std::path::Path) -> usize {
            let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
            entries.map(|path| 1 + if path.is_dir() { count(&path) } else { 0 }).sum()
        }
        count(self._folder.path())
    }
}

#[test]
fn it_is_what_a_run_publishes() {
    let fixture = Fixture::new(Engine::default(), LAST_VALUE);
    fixture.day(0, &[(Some("AA"), 0, 1)]);
    fixture.day(1, &[(Some("UA"), 0, 2), (Some("DL"), 0, 3)]);
    fixture.run(0, 1).unwrap();
    let (before, files) = (fixture.published(), fixture.files());
    let preview = fixture.preview(&fixture.view, day(1)).unwrap();
    assert_eq!((preview.raw_rows, preview.looked_back_on), (2, 1));
    assert_eq!((fixture.published(), fixture.files()), (before, files));

    fixture.run(1, 2).unwrap();
    let partition = fixture.lake.partition(&fixture.view.reference(), Layer::Published, day(1));
    let rows = read_whole(&partition.unwrap().unwrap().files()).unwrap();
    assert_eq!(rows.num_rows(), 3, "AA is carried over");
    let schema = columns::arrow_schema(&columns::published_columns(&fixture.view));
    assert_eq!(preview.published, columns::align(&rows, &schema).unwrap());
}

#[test]
fn failed_checks_do_not_end_it_and_rows_that_may_not_be_do() {
    let mut fixture = Fixture::new(Engine::default(), Carryover::None);
    fixture.day(0, &[(Some("AA"), 0, 1)]);
    let mut view = FeatureView::clone(&fixture.view);
    view.quality.push(QualityCheck {
        rule: QualityRule::RowCount { min: Some(7), max: None },
        severity: Severity::Error,
    });
    fixture.view = Arc::new(view);
    let checks = fixture.preview(&fixture.view, day(0)).unwrap().quality.len();
    *fixture.engine.failing.lock().unwrap() = Some(checks - 1);
    assert_eq!(fixture.run(0, 1).unwrap_err().kind(), Kind::QualityFailed);
    let preview = fixture.preview(&fixture.view, day(0)).unwrap();
    assert_eq!((preview.raw_rows, preview.published.num_rows()), (1, 1));
    assert_eq!(preview.quality.iter().filter(|check| !check.passed).count(), 1);

    fixture.day(0, &[(Some("AA"), -1, 1)]);
    let error = fixture.preview(&fixture.view, day(0)).unwrap_err();
    assert!(error.to_string().contains("after the period's end"), "{error}");
}
