use std::sync::Arc;

use arrow::array::{
    ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use trivium_model::{Aggregate, DataType, QualityCheck, QualityRule, Rollup, Severity, TimeSpan};

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

/// What may be one person's row stays in the lake, where an erasure reaches it.
#[test]
fn edges_of_persons_stay_in_the_lake() {
    let folder = tempfile::tempdir().unwrap();
    let lake = Lake::volatile(folder.path());
    let mut view = view();
    view.features.push(crate::testing::feature("note", DataType::String));
    view.features.push(crate::testing::feature("same", DataType::Int64));
    let rows =
        |count: i64| Arc::new(Int64Array::from_iter_values((0..count).map(|n| 770 + 20 * n)));
    let instants = || TimestampMicrosecondArray::from(vec![777_001, 777_002]).with_timezone("UTC");
    let columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from(vec!["7", "8"])),
        Arc::new(instants()),
        rows(2),
        Arc::new(Float64Array::from(vec![77.25, 79.75])),
        Arc::new(StringArray::from(vec!["secretly".repeat(77), "so".to_owned()])),
        Arc::new(Int64Array::from(vec![99_077, 99_077])),
        Arc::new(instants()),
    ];
    let schema = arrow_schema(&published_columns(&view));
    // Every kind of check, as the platform words them.
    let column = || name("delay");
    let rules = [
        QualityRule::RowCount { min: Some(1), max: None },
        QualityRule::NotNull { column: column() },
        QualityRule::Unique { columns: vec![column()] },
        QualityRule::AcceptedValues { column: column(), values: vec![] },
        QualityRule::NullFraction { column: column(), max: 0.5 },
        QualityRule::Between { column: column(), min: Some(0.0), max: None },
        QualityRule::Freshness { max_age: TimeSpan::DAY },
    ];
    view.quality =
        rules.map(|rule| QualityCheck { rule, severity: Severity::Warn }).into_iter().collect();
    let period = Period { start: Timestamp(0), end: Timestamp(DAY) };
    let within = trivium_sql::Period::new(period.start, period.end, None).unwrap();
    let query = trivium_sql::quality_sql(&view, &within);
    let row = vec![Some(trivium_sql::quality::Number::Integer(5)); 3 * query.checks.len()];
    let quality = trivium_sql::evaluate(&query, &row).unwrap();
    let staged = lake
        .stage(Staging {
            view: &view,
            layer: Layer::Published,
            period,
            rows: &RecordBatch::try_new(schema, columns).unwrap(),
            quality: quality.iter().map(CheckResult::from).collect(),
            source: RunSource { sql_sha256: sql_sha256(SQL), ..RunSource::default() },
        })
        .unwrap()
        .unwrap();
    let mut partition = lake.commit(vec![staged]).unwrap().remove(0);

    let told = |view: &FeatureView, partition: &Partition| {
        let record = record_of(view, None, partition, &RunFacts::default()).unwrap();
        let quiet = record.quality.into_iter().filter(|check| check.found.is_none());
        (quiet.map(|check| check.check).collect::<Vec<_>>(), record.statistics)
    };
    let (quiet, open) = told(&view, &partition);
    assert_eq!(quiet, [""; 0]);
    assert_eq!(open, partition.pointer.statistics, "flights have no persons");

    view.subject = Some(name("carrier"));
    let (quiet, kept) = told(&view, &partition);
    assert_eq!(quiet, ["between(delay)", "freshness"], "they find edges");
    for one in &kept {
        assert_eq!((&one.min, &one.max, &one.lengths), (&None, &None, &None), "{}", one.column);
        assert!(one.quantiles.is_empty(), "{}", one.column);
    }
    let text = serde_json::to_string(&kept).unwrap();
    for value in ["770", "790", "77.25", "79.75", "777", "99077", "616"] {
        assert!(!text.contains(value), "{value} in {text}");
    }
    let [_, _, flights, delay, note, same, _] = &kept[..] else { panic!("{kept:?}") };
    assert_eq!((flights.mean.clone(), delay.mean.clone()), (Some(780.0.into()), Some(78.5.into())));
    assert_eq!((same.mean.clone(), same.distinct.unwrap().count), (None, 1), "all have that one");
    assert_eq!((note.count, note.null_fraction, note.distinct.unwrap().count), (2, 0.0, 2));

    // The same where the statistics are made anew, from the files.
    partition.pointer.statistics.clear();
    assert_eq!(told(&view, &partition), (quiet, kept));
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
