use std::{path::PathBuf, sync::Arc};

use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use expect_test::expect;
use trivium_engine::{Source, Table};
use trivium_spark_runner::FORMAT;

use crate::{
    Error, JobResult,
    job::{JOB_FILE, Job, RESULT_FILE},
    jobs, spark_schema,
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
    let text = format!(r#"{{"format": {FORMAT}, "runner": "1", "spark": "4.2.0", "queries": []}}"#);
    std::fs::write(&result, text).unwrap();
    assert_eq!(JobResult::read(folder.path()).unwrap().engine(), "spark 4.2.0");
    // What an earlier run of the same job left does not count for the next.
    job.write(folder.path()).unwrap();
    assert!(not_done(folder.path()));
    std::fs::write(&result, r#"{"format": 9, "spark": "4", "queries": []}"#).unwrap();
    assert!(matches!(JobResult::read(folder.path()), Err(Error::Corrupt { .. })));
    std::fs::write(&result, "{").unwrap();
    assert!(matches!(JobResult::read(folder.path()), Err(Error::Corrupt { .. })));
}
