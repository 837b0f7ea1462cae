use trivium_model::{Aggregate, DataType, Rollup, Severity, TimeSpan};

use super::*;
use crate::{
    CheckResult, Lake, Layer, Period,
    lake::{RunSource, Staging},
    testing::{name, view},
};

const DAY: i64 = 86_400_000_000;
const SQL: &str = "SELECT f.Carrier, TIMESTAMP '{{ period_end }}' AS event_ts, count(*) AS flights,
    avg(f.dep_delay - w.expected) AS delay
  FROM raw.flights f JOIN weather w ON f.day = w.day WHERE f.day = '{{ ds }}' GROUP BY f.carrier";

fn published(lake: &Lake) -> Partition {
    let view = view();
    let schema = arrow_schema(&published_columns(&view));
    let staged = lake
        .stage(Staging {
            view: &view,
            layer: Layer::Published,
            period: Period { start: Timestamp(0), end: Timestamp(DAY) },
            rows: &arrow::array::RecordBatch::new_empty(schema),
            quality: vec![CheckResult {
                check: "row_count".to_owned(),
                severity: Severity::Warn,
                passed: false,
                found: Some("0".to_owned()),
                expected: "at least 1".to_owned(),
            }],
            source: RunSource {
                sql_sha256: sql_sha256(SQL),
                engine: "datafusion".to_owned(),
                inputs_sha256: sql_sha256("inputs"),
            },
        })
        .unwrap()
        .unwrap();
    lake.commit(vec![staged]).unwrap().remove(0)
}

#[test]
fn a_partition_becomes_a_record() {
    let folder = tempfile::tempdir().unwrap();
    let lake = Lake::volatile(folder.path());
    let before = chrono::Utc::now().timestamp_millis() * 1_000;
    let mut partition = published(&lake);
    let query = AuthorQuery::parse("x.sql", SQL).unwrap();
    let record = record_of(&view(), Some(&query), &partition, &RunFacts::default()).unwrap();
    record.check().unwrap();
    assert_eq!((record.revision, record.rows, record.start), (1, 0, Timestamp(0)));
    assert_eq!(record.run, partition.pointer.run);
    assert!(record.finished.0 >= before, "{}", record.finished);
    assert!(record.finished.0 <= chrono::Utc::now().timestamp_micros());
    assert_eq!(record.tables, ["raw.flights", "weather"]);
    assert_eq!(record.quality[0].check, "row_count");
    assert_eq!(record.statistics, partition.pointer.statistics);
    assert_eq!(record.statistics.len(), 5);

    // A pointer of an older release: the same from the files, which have one column more.
    partition.pointer.statistics.clear();
    let facts = RunFacts {
        run: Some("scheduled__2013-01-02".to_owned()),
        started: Some(Timestamp(1)),
        finished: Some(Timestamp(2)),
    };
    let again = record_of(&view(), None, &partition, &facts).unwrap();
    assert_eq!(again.statistics, record.statistics);
    assert_eq!((again.lineage, again.tables), (vec![], vec![]));
    assert_eq!((again.started, again.finished), (Some(Timestamp(1)), Timestamp(2)));
    assert_eq!(again.run, "scheduled__2013-01-02");
}

#[test]
fn windows_come_from_what_their_feature_does() {
    let mut view = view();
    view.rollup = Some(Rollup {
        windows: vec![TimeSpan::from_days(7)],
        features: [
            (name("flights"), Aggregate::Sum),
            (name("delay"), Aggregate::Mean { sum: name("minutes"), count: name("flights") }),
            (name("planes"), Aggregate::ApproxDistinct { sketch: name("planes_sketch") }),
        ]
        .into_iter()
        .collect(),
    });
    for (name, data_type) in [
        ("minutes", DataType::Int64),
        ("planes", DataType::Int64),
        ("planes_sketch", DataType::Bytes),
    ] {
        view.features.push(crate::testing::feature(name, data_type));
    }
    let sql = "SELECT carrier, period AS event_ts, sum(n) AS flights, avg(m) AS delay, sum(m) AS \
               minutes, count(DISTINCT p) AS planes, hll_sketch_agg(p, 10) AS planes_sketch FROM (SELECT * FROM f) x JOIN g ON true GROUP BY carrier, period";
    let query = AuthorQuery::parse("x.sql", sql).unwrap();
    let found: Vec<String> = lineage(&view, &query)
        .into_iter()
        .map(|one| {
            let table = |source: &SourceColumn| {
                format!("{}.{}", source.table.as_deref().unwrap_or("?"), source.column)
            };
            let sources: Vec<String> = one.sources.iter().map(table).collect();
            format!("{}: {}", one.column, sources.join(", "))
        })
        .collect();
    let expected = [
        "carrier: ?.carrier",
        "event_ts: ?.period",
        "flights: ?.n",
        "delay: ?.m",
        "minutes: ?.m",
        "planes: ?.p",
        "planes_sketch: ?.p",
        "flights_7d: ?.n",
        "delay_7d: ?.m, ?.n",
        "planes_7d: ?.p",
    ];
    assert_eq!(found, expected);
}

#[test]
fn columns_come_from_tables() {
    let query = AuthorQuery::parse("x.sql", SQL).unwrap();
    let lineage = lineage(&view(), &query);
    let delay = lineage.iter().find(|one| one.column == "delay").unwrap();
    let source = |table: &str, column: &str| SourceColumn {
        table: Some(table.to_owned()),
        column: column.to_owned(),
    };
    assert_eq!(delay.sources, [source("raw.flights", "dep_delay"), source("weather", "expected")]);
    assert_eq!(lineage[0].sources, [source("raw.flights", "carrier")]);
    assert_eq!(lineage[1].sources, []);
}
