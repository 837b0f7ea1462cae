use std::{collections::BTreeMap, fs, path::PathBuf, sync::Arc};

use arrow::{
    array::{ArrayRef, Int64Array, RecordBatch},
    datatypes::{DataType, Field, Schema, TimeUnit},
};
use expect_test::expect;
use trivium_engine::{Source, Table};
use trivium_model::Timestamp;
use trivium_offline::{Lake, Layer, Period, columns, run::steps::Steps};
use trivium_spark_runner::FORMAT;

use crate::{
    Error, JobResult,
    job::{JOB_FILE, Job, RESULT_FILE},
    jobs,
    scratch::Scratch,
    spark_schema,
    submit::Submit,
};

#[test]
fn columns_in_sparks_words() {
    let field = |name: &str, data_type| Field::new(name, data_type, true);
    let item = |data_type| DataType::List(Arc::new(Field::new_list_field(data_type, true)));
    let schema = Schema::new(vec![
        field("a`b", DataType::Utf8),
        field("at", DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))),
        field("price", DataType::Decimal128(10, 2)),
        field("tails", item(DataType::Int64)),
    ]);
    expect!["`a``b` STRING, `at` TIMESTAMP, `price` DECIMAL(10, 2), `tails` ARRAY<BIGINT>"]
        .assert_eq(&spark_schema(&schema).unwrap());
    let error = spark_schema(&Schema::new(vec![field("odd", DataType::Null)])).unwrap_err();
    expect!["column `odd` has the type Null, which Spark has no name for"]
        .assert_eq(&error.to_string());
}

#[test]
fn sources_are_read_as_the_local_engine_reads_them() {
    let schema = Arc::new(Schema::new(vec![Field::new("carrier", DataType::Utf8, true)]));
    let table = Table {
        name: "flights".to_owned(),
        source: Source::Csv {
            paths: vec![PathBuf::from("/data/flights.csv")],
            null: Some("NA".to_owned()),
        },
        time_zone: Some("America/New_York".to_owned()),
    };
    let read = jobs::source_table(&table, Some(&schema)).unwrap();
    expect![[r#"
        {
          "name": "flights",
          "format": "csv",
          "paths": [
            "/data/flights.csv"
          ],
          "schema": "`carrier` STRING",
          "options": {
            "escape": "\"",
            "header": "true",
            "mode": "FAILFAST",
            "nullValue": "NA",
            "timeZone": "America/New_York"
          },
          "time_zone": "America/New_York"
        }"#]]
    .assert_eq(&serde_json::to_string_pretty(&read).unwrap());
    assert!(matches!(jobs::source_table(&table, None), Err(Error::Invalid { .. })));
}

#[test]
fn a_job_that_has_not_ended_has_no_result() {
    let folder = tempfile::tempdir().unwrap();
    let job = Job::new("test".to_owned(), Vec::new());
    job.write(folder.path()).unwrap();
    assert!(folder.path().join(JOB_FILE).exists());
    let not_done =
        |folder: &std::path::Path| matches!(JobResult::read(folder), Err(Error::NotDone { .. }));
    assert!(not_done(folder.path()));
    let result = folder.path().join(RESULT_FILE);
    let of = |job: &Job| {
        let id = serde_json::to_value(job).unwrap()["id"].clone();
        format!(r#"{{"format": {FORMAT}, "job": {id}, "spark": "4.2.0", "queries": []}}"#)
    };
    std::fs::write(&result, of(&job)).unwrap();
    assert_eq!(JobResult::read(folder.path()).unwrap().engine(), "spark 4.2.0");
    // What an earlier run of the same job left does not count for the next.
    job.write(folder.path()).unwrap();
    assert!(not_done(folder.path()));
    // Nor what a try of another job leaves that was given up for dead.
    std::fs::write(&result, of(&Job::new("test".to_owned(), Vec::new()))).unwrap();
    assert!(not_done(folder.path()));
    std::fs::write(&result, r#"{"format": 9, "job": "", "spark": "4", "queries": []}"#).unwrap();
    assert!(matches!(JobResult::read(folder.path()), Err(Error::Corrupt { .. })));
    std::fs::write(&result, "{").unwrap();
    assert!(matches!(JobResult::read(folder.path()), Err(Error::Corrupt { .. })));
}

fn view() -> trivium_model::FeatureView {
    trivium_model::config::parse_view(
        "daily.v2.json",
        r#"{
            "namespace": "flights", "name": "daily", "version": 2, "lane": "batch",
            "description": "D.", "owner": { "team": "ops", "contact": "ops@example.com" },
            "urgency_tier": 2,
            "entities": [ { "name": "carrier", "type": "string" } ],
            "event_timestamp": "event_ts",
            "features": [ { "name": "flights", "type": "int64", "description": "Departures." } ],
            "schedule": { "every": "1d", "start": "2013-01-01" }, "online": true
        }"#,
    )
    .unwrap()
}

#[test]
fn the_table_follows_the_pointers() {
    let folder = tempfile::tempdir().unwrap();
    let lake = Lake::new(folder.path().join("it's 100%"));
    let view = Arc::new(view());
    let sql = "SELECT carrier, TIMESTAMP '{{ period_end }}' AS event_ts, count(*) AS flights FROM f GROUP BY carrier";
    let query = Arc::new(trivium_sql::AuthorQuery::parse("daily.v2.sql", sql).unwrap());
    let steps = Steps::new(lake.clone(), Arc::clone(&view), query, "spark").unwrap();
    let day = 86_400_000_000;
    let period = |at: i64| {
        let start = Timestamp::parse("2013-01-01").unwrap().0 + at * day;
        Period { start: Timestamp(start), end: Timestamp(start + day) }
    };
    for at in 0..2 {
        publish(&steps, period(at));
    }
    let published = lake.all_partitions(&view.reference(), Layer::Published).unwrap();
    let moved = [period(1)].into();
    let root = lake.view_folder(&view.reference());
    let job = jobs::table(&view, &root, &published, &moved).unwrap();
    assert!(job.hive);
    let text = serde_json::to_string_pretty(&job.steps).unwrap();
    let text = text.replace(&folder.path().display().to_string(), "/data");
    let runs = published.iter().map(|one| one.pointer.run.as_str());
    let text =
        runs.enumerate().fold(text, |text, (at, run)| text.replace(run, &format!("run-{at}")));
    expect![[r#"
        [
          {
            "statement": "CREATE DATABASE IF NOT EXISTS `flights`"
          },
          {
            "table": "`flights`.`daily_v2`",
            "columns": [
              [
                "carrier",
                "STRING"
              ],
              [
                "event_ts",
                "TIMESTAMP"
              ],
              [
                "flights",
                "BIGINT"
              ],
              [
                "carried_from",
                "TIMESTAMP"
              ],
              [
                "_sequence",
                "BIGINT"
              ]
            ],
            "create": "CREATE EXTERNAL TABLE IF NOT EXISTS `flights`.`daily_v2` (`carrier` STRING, `event_ts` TIMESTAMP, `flights` BIGINT, `carried_from` TIMESTAMP, `_sequence` BIGINT) PARTITIONED BY (`ds` STRING) STORED AS PARQUET LOCATION 'file:///data/it\\'s 100%/flights/daily/v2'"
          },
          {
            "statement": "ALTER TABLE `flights`.`daily_v2` ADD IF NOT EXISTS PARTITION (`ds` = '2013-01-01') LOCATION 'file:///data/it\\'s 100%/flights/daily/v2/ds=2013-01-01/run-0' PARTITION (`ds` = '2013-01-02') LOCATION 'file:///data/it\\'s 100%/flights/daily/v2/ds=2013-01-02/run-1'"
          },
          {
            "statement": "ALTER TABLE `flights`.`daily_v2` PARTITION (`ds` = '2013-01-02') SET LOCATION 'file:///data/it\\'s 100%/flights/daily/v2/ds=2013-01-02/run-1'"
          }
        ]"#]].assert_eq(&text);
}

/// A partition without rows, by the steps of a run.
fn publish(steps: &Steps, period: Period) {
    let asked = steps.extraction(period).unwrap();
    let rows = RecordBatch::new_empty(Arc::new(Schema::new(vec![
        Field::new("carrier", DataType::Utf8, true),
        Field::new(
            "event_ts",
            DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            true,
        ),
        Field::new("flights", DataType::Int64, true),
    ])));
    // The platform's own two checks: no null in the join key, none in the event time.
    assert!(asked.quality_sql.contains("c1_high") && !asked.quality_sql.contains("c2_high"));
    let columns = (0..2).flat_map(|check| {
        let number = || Arc::new(Int64Array::from(vec![0])) as ArrayRef;
        ["failing", "low", "high"].map(|part| (format!("c{check}_{part}"), number()))
    });
    let quality = RecordBatch::try_from_iter(columns).unwrap();
    let checked = steps.check(period, &[rows], &[quality]).unwrap();
    steps.publish_raw(&checked).unwrap();
    let publications = steps.publications(&[period]).unwrap();
    let made = publications
        .into_iter()
        .map(|one| {
            let schema = columns::arrow_schema(&columns::published_columns(steps.view()));
            (one, vec![RecordBatch::new_empty(schema)])
        })
        .collect::<Vec<_>>();
    assert_eq!(steps.publish(&[period], &made).unwrap().changed.len(), 1);
}

#[test]
fn folders_of_killed_runs_are_taken_away_and_those_of_others_are_not() {
    let data_dir = tempfile::tempdir().unwrap();
    let killed = data_dir.path().join("runs/_local/killed");
    fs::create_dir_all(killed.join("extract")).unwrap();
    fs::write(killed.join("_lock"), "").unwrap();
    let one = Scratch::new(data_dir.path()).unwrap();
    assert!(!killed.exists());
    fs::write(one.path().join("rows"), "1").unwrap();
    let other = Scratch::new(data_dir.path()).unwrap();
    assert!(one.path().join("rows").exists(), "it is held");
    let path = other.path().to_owned();
    drop(other);
    assert!(!path.exists());
}

#[test]
fn spark_is_ended_with_the_run() {
    let folder = tempfile::tempdir().unwrap();
    let command = folder.path().join("spark-submit");
    // Says so, in bytes that are no UTF-8, and would go on for long.
    fs::write(
        &command,
        "#!/bin/sh\nprintf '\\377\\n'\necho $$ > \"$(dirname \"$0\")/pid\"\nexec sleep 600\n",
    )
    .unwrap();
    fs::set_permissions(&command, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let submit = Submit { command: command.into(), master: None, conf: BTreeMap::new() };
    let pid = folder.path().join("pid");
    let is_stopped = || fs::read_to_string(&pid).is_ok_and(|text| text.ends_with('\n'));
    let job = Job::new("test".to_owned(), Vec::new());
    let error = submit.run(&job, &folder.path().join("job"), &is_stopped).unwrap_err();
    assert!(matches!(error, Error::Offline(trivium_offline::Error::Stopped)), "{error}");
    let pid = fs::read_to_string(&pid).unwrap();
    assert!(!std::path::Path::new("/proc").join(pid.trim()).exists());
}
