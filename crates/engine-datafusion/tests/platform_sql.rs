//! The platform's own SQL (publishing, quality) and the example's views go through the same door.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{path::PathBuf, sync::Arc};

use arrow::{
    array::{
        Array, ArrayRef, AsArray, BinaryArray, Int64Array, StringArray, TimestampMicrosecondArray,
    },
    datatypes::{DataType as Arrow, Field, Int64Type, Schema, SchemaRef, TimeUnit},
    record_batch::RecordBatch,
};
use futures::TryStreamExt;
use trivium_engine::{QueryEngine, Source, Table};
use trivium_engine_datafusion::{DataFusionEngine, Options};
use trivium_model::{DataType, FeatureView, Timestamp, config};
use trivium_sql::{
    AuthorQuery, Period,
    publish::{self, publish_sql},
    quality::{self, quality_sql},
};

fn arrow(data_type: &DataType) -> Arrow {
    match data_type {
        DataType::Bool => Arrow::Boolean,
        DataType::Int32 => Arrow::Int32,
        DataType::Int64 => Arrow::Int64,
        DataType::Float32 => Arrow::Float32,
        DataType::Float64 => Arrow::Float64,
        DataType::String => Arrow::Utf8,
        DataType::Bytes => Arrow::Binary,
        DataType::Timestamp => Arrow::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        DataType::Date => Arrow::Date32,
        DataType::Decimal { precision, scale } => {
            Arrow::Decimal128(*precision, i8::try_from(*scale).unwrap())
        }
        DataType::List(item) => Arrow::List(Arc::new(Field::new("item", arrow(item), true))),
        DataType::Embedding { .. } => {
            Arrow::List(Arc::new(Field::new("item", Arrow::Float32, true)))
        }
    }
}

fn columns(view: &FeatureView) -> Vec<(String, DataType)> {
    let mut columns: Vec<(String, DataType)> = view
        .entities
        .iter()
        .map(|entity| (entity.name.to_string(), entity.key_type.data_type()))
        .collect();
    columns.push((view.event_timestamp.to_string(), DataType::Timestamp));
    columns
        .extend(view.created_timestamp.iter().map(|name| (name.to_string(), DataType::Timestamp)));
    columns.extend(
        view.features.iter().map(|feature| (feature.name.to_string(), feature.data_type.clone())),
    );
    columns
}

fn table(name: &str, columns: &[(String, DataType)]) -> Table {
    let fields: Vec<Field> =
        columns.iter().map(|(name, data_type)| Field::new(name, arrow(data_type), true)).collect();
    let schema: SchemaRef = Arc::new(Schema::new(fields));
    // A row of nothing but nulls.
    let nulls = schema
        .fields()
        .iter()
        .map(|field| arrow::array::new_null_array(field.data_type(), 1))
        .collect();
    let batch = RecordBatch::try_new(Arc::clone(&schema), nulls).unwrap();
    Table {
        name: name.to_owned(),
        source: Source::Batches { schema, batches: vec![batch] },
        time_zone: None,
    }
}

async fn runs(engine: &DataFusionEngine, sql: &str, tables: &[Table]) -> Vec<(String, Arrow)> {
    let described =
        engine.describe(sql, tables).await.unwrap_or_else(|error| panic!("{error}\n{sql}"));
    let stream = engine.query(sql, tables).await.unwrap_or_else(|error| panic!("{error}\n{sql}"));
    let batches: Vec<RecordBatch> =
        stream.try_collect().await.unwrap_or_else(|error| panic!("{error}\n{sql}"));
    for batch in batches {
        assert_eq!(batch.schema().fields(), described.fields());
    }
    described
        .fields()
        .iter()
        .map(|field| (field.name().clone(), field.data_type().clone()))
        .collect()
}

async fn check(view: &FeatureView) {
    let engine = DataFusionEngine::new(&Options::default()).unwrap();
    let period = Period::containing(view, Timestamp(1_359_000_000_000_000)).unwrap();
    let mut raw = columns(view);
    raw.push((publish::PERIOD.to_owned(), DataType::Timestamp));
    let published = runs(&engine, &publish_sql(view, &period), &[table(publish::RAW, &raw)]).await;
    for (name, data_type) in columns(view) {
        assert!(published.contains(&(name.clone(), arrow(&data_type))), "{name} in {published:?}");
    }
    for feature in view.served_features() {
        let column = (feature.name.to_string(), arrow(&feature.data_type));
        assert!(published.contains(&column), "{column:?} in {published:?}");
    }
    assert!(published.iter().any(|(name, _)| name == publish::CARRIED_FROM));
    let mut staged = columns(view);
    staged.push((publish::CARRIED_FROM.to_owned(), DataType::Timestamp));
    runs(&engine, &quality_sql(view, &period).sql, &[table(quality::STAGED, &staged)]).await;
}

const EVERY_TYPE: &str = r#"{
  "namespace": "test", "name": "every_type", "version": 1, "lane": "batch", "description": "Every type.",
  "owner": { "team": "t", "contact": "t@example.com" }, "urgency_tier": 2,
  "entities": [ { "name": "a", "type": "string" }, { "name": "b", "type": "int64" }, { "name": "c", "type": "bool" },
    { "name": "d", "type": "bytes" }, { "name": "e", "type": "date" }, { "name": "f", "type": "timestamp" } ],
  "event_timestamp": "event_ts", "created_timestamp": "created_ts",
  "features": [
    { "name": "yes", "type": "bool", "description": "x" }, { "name": "small", "type": "int32", "description": "x" },
    { "name": "large", "type": "int64", "description": "x" }, { "name": "distinct", "type": "int64", "description": "x" }, { "name": "single", "type": "float32", "description": "x" },
    { "name": "double", "type": "float64", "description": "x" }, { "name": "text", "type": "string", "description": "x" },
    { "name": "blob", "type": "bytes", "description": "x" }, { "name": "at", "type": "timestamp", "description": "x" },
    { "name": "day", "type": "date", "description": "x" },
    { "name": "money", "type": { "decimal": { "precision": 18, "scale": 2 } }, "description": "x" },
    { "name": "words", "type": { "list": "string" }, "description": "x" },
    { "name": "place", "type": { "embedding": { "dimension": 3, "metric": "cosine" } }, "description": "x" }
  ],
  "schedule": { "every": "1d", "start": "2013-01-01" }, "ttl": "14d",
  "carryover": { "mode": "last_value", "max_periods": 3 },
  "rollup": { "windows": ["3d", "7d"], "features": { "small": "sum", "double": "sum", "single": "max", "large": "count", "money": "sum", "distinct": { "approx_distinct": { "sketch": "blob" } } } },
  "online": true,
  "quality": [
    { "check": "row_count", "min": 1, "max": 100 }, { "check": "not_null", "column": "small" },
    { "check": "unique", "columns": ["a", "b"] }, { "check": "between", "column": "double", "min": -1.5, "max": 3000 },
    { "check": "between", "column": "large", "min": 0 }, { "check": "between", "column": "money", "min": 0, "max": 0.5 },
    { "check": "accepted_values", "column": "text", "values": ["x", "it's", "back\\slash"] },
    { "check": "accepted_values", "column": "small", "values": [1, -2] },
    { "check": "accepted_values", "column": "day", "values": ["2013-01-01"] },
    { "check": "freshness", "max_age": "2d" }, { "check": "null_fraction", "column": "text", "max": 0.5 }
  ]
}"#;

#[tokio::test]
async fn every_type_is_published_and_checked() {
    let view = match config::parse_view("configs/test/every_type.v1.json", EVERY_TYPE) {
        Ok(view) => view,
        Err(problems) => {
            panic!("{}", problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
        }
    };
    check(&view).await;
}

/// A few lines of each of the example's sources, as they are.
fn sources(folder: &std::path::Path) -> Vec<Table> {
    let texts = [
        (
            "flights",
            "year,month,day,dep_time,sched_dep_time,dep_delay,arr_time,sched_arr_time,arr_delay,carrier,flight,tailnum,origin,dest,air_time,distance,hour,minute,time_hour\n\
          2013,1,1,517,515,2,830,819,11,UA,1545,N14228,EWR,IAH,227,1400,5,15,2013-01-01T10:00:00Z\n\
          2013,1,1,NA,1630,NA,NA,1815,NA,EV,4308,N18120,EWR,RDU,NA,416,16,30,2013-01-01T21:00:00Z\n\
          2013,1,2,533,529,4,850,830,20,UA,1714,NA,LGA,IAH,227,1416,5,29,2013-01-02T10:00:00Z\n",
        ),
        (
            "weather",
            "origin,year,month,day,hour,temp,dewp,humid,wind_dir,wind_speed,wind_gust,precip,pressure,visib,time_hour\n\
          EWR,2013,1,1,1,39.02,26.06,59.37,270,10.357019999999999,NA,0,1012,10,2013-01-01T06:00:00Z\n",
        ),
        (
            "planes",
            "tailnum,year,type,manufacturer,model,engines,seats,speed,engine\nN14228,1999,Fixed wing multi engine,BOEING,737-824,2,149,NA,Turbo-fan\n",
        ),
        (
            "airports",
            "faa,name,lat,lon,alt,tz,dst,tzone\nIAH,George Bush Intercontinental,29.984433,-95.341442,97,-6,A,America/Chicago\n",
        ),
        ("airlines", "carrier,name\nUA,United Air Lines Inc.\n"),
    ];
    texts
        .into_iter()
        .map(|(name, text)| {
            let path = folder.join(format!("{name}.csv"));
            std::fs::write(&path, text).unwrap();
            Table {
                name: name.to_owned(),
                source: Source::Csv { paths: vec![path], null: Some("NA".to_owned()) },
                time_zone: None,
            }
        })
        .collect()
}

#[tokio::test]
async fn the_examples_views_run() {
    let configs = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../configs/flights");
    let folder = tempfile::tempdir().unwrap();
    let tables = sources(folder.path());
    let engine = DataFusionEngine::new(&Options::default()).unwrap();
    let mut checked = 0;
    for entry in std::fs::read_dir(configs).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "sql") {
            continue;
        }
        let json = path.with_extension("json");
        let name = json
            .strip_prefix(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../.."))
            .unwrap()
            .to_str()
            .unwrap()
            .to_owned();
        let view = config::parse_view(&name, &std::fs::read_to_string(&json).unwrap()).unwrap();
        let query = AuthorQuery::parse(&name, &std::fs::read_to_string(&path).unwrap()).unwrap();
        let period = Period::containing(&view, Timestamp(1_357_000_000_000_000)).unwrap();
        let found = runs(&engine, &query.render(&period), &tables).await;
        for (column, _) in columns(&view) {
            assert!(found.iter().any(|(name, _)| *name == column), "{name}: {column} in {found:?}");
        }
        check(&view).await;
        checked += 1;
    }
    assert!(checked >= 4, "{checked} views");
}

const DISTINCT: &str = r#"{
  "namespace": "test", "name": "visits", "version": 1, "lane": "batch", "description": "Visits.",
  "owner": { "team": "t", "contact": "t@example.com" }, "urgency_tier": 2,
  "entities": [ { "name": "site", "type": "string" } ], "event_timestamp": "event_ts",
  "features": [
    { "name": "visitors", "type": "int64", "description": "x" },
    { "name": "sketch", "type": "bytes", "description": "x" }
  ],
  "schedule": { "every": "1d", "start": "2013-01-01" }, "ttl": "14d",
  "carryover": { "mode": "last_value", "max_periods": 2 },
  "rollup": { "windows": ["2d", "3d"], "features": { "visitors": { "approx_distinct": { "sketch": "sketch" } } } },
  "online": true
}"#;

const DAY: i64 = 86_400_000_000;
/// 2013-01-10.
const NOW: i64 = 15_715 * DAY;

/// A site, how many days ago, its visitors; none is no sketch.
type Visits = (&'static str, i64, Option<Vec<i64>>);

fn raw_visits(visits: &[Visits], lg_k: i64) -> Table {
    let at = |days: i64| NOW - days * DAY;
    let instants = |of: Vec<i64>| TimestampMicrosecondArray::from(of).with_timezone("UTC");
    let sketch = |visitors: &Option<Vec<i64>>| {
        visitors.as_ref().map(|visitors| {
            let mut sketch = trivium_sketch::Sketch::new(lg_k).unwrap();
            visitors.iter().for_each(|visitor| sketch.add_integer(*visitor));
            sketch.bytes()
        })
    };
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("site", Arc::new(StringArray::from_iter_values(visits.iter().map(|visit| visit.0)))),
        ("event_ts", Arc::new(instants(visits.iter().map(|visit| at(visit.1) + DAY).collect()))),
        ("visitors", Arc::new(visits.iter().map(|_| Some(1)).collect::<Int64Array>())),
        ("sketch", Arc::new(visits.iter().map(|visit| sketch(&visit.2)).collect::<BinaryArray>())),
        (publish::PERIOD, Arc::new(instants(visits.iter().map(|visit| at(visit.1)).collect()))),
    ];
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let source = Source::Batches { schema: batch.schema(), batches: vec![batch] };
    Table { name: publish::RAW.to_owned(), source, time_zone: None }
}

/// `site: 2d, 3d`, by site.
async fn windows(visits: &[Visits], lg_k: i64) -> Vec<String> {
    let view = config::parse_view("configs/test/visits.v1.json", DISTINCT).unwrap();
    let period = Period::containing(&view, Timestamp(NOW)).unwrap();
    let engine = DataFusionEngine::new(&Options::default()).unwrap();
    let sql = publish_sql(&view, &period);
    let stream = engine.query(&sql, &[raw_visits(visits, lg_k)]).await.unwrap();
    let batches: Vec<RecordBatch> = stream.try_collect().await.unwrap();
    let mut found = Vec::new();
    for batch in &batches {
        let count = |name: &str, row: usize| {
            let column = batch.column_by_name(name).unwrap().as_primitive::<Int64Type>();
            column.is_valid(row).then(|| column.value(row))
        };
        let sites = batch.column(0).as_string::<i32>();
        for row in 0..batch.num_rows() {
            let (two, three) = (count("visitors_2d", row), count("visitors_3d", row));
            found.push(format!("{}: {two:?}, {three:?}", sites.value(row)));
        }
    }
    found.sort();
    found
}

#[tokio::test]
async fn windows_of_sketches() {
    let of = |range: std::ops::Range<i64>| Some(range.collect::<Vec<i64>>());
    let mut visits: Vec<Visits> = vec![
        ("a", 2, of(0..100)),
        ("a", 1, of(50..150)),
        ("a", 0, of(100..200)),
        // Twice on one day: both count, and both rows show it.
        ("a", 0, of(300..301)),
        // Absent today: carried over, and its windows slide.
        ("carried", 2, of(0..3)),
        ("carried", 1, of(2..5)),
        ("empty", 0, of(0..0)),
        ("gone", 3, of(0..9)),
        ("null", 0, None),
        ("null", 1, None),
        ("old", 2, of(0..7)),
        ("old", 0, None),
        // Outside of the windows.
        ("a", 3, of(1000..2000)),
        ("a", -1, of(2000..3000)),
    ];
    let expected = [
        "a: Some(151), Some(201)",
        "a: Some(151), Some(201)",
        "carried: Some(3), Some(5)",
        "empty: Some(0), Some(0)",
        "null: None, None",
        "old: None, Some(7)",
    ];
    assert_eq!(windows(&visits, 12).await, expected);
    // A day of the past that is written again.
    visits[0].2 = of(0..10);
    assert_eq!(windows(&visits, 12).await[0], "a: Some(151), Some(161)");
}

#[tokio::test]
async fn a_window_does_not_depend_on_the_order_of_rows_and_values() {
    // What is merged counts registers, though no part of it does; then a small part beside a large one.
    let sizes: [&[i64]; 3] = [&[300, 300, 300], &[20, 3_000, 20], &[3_000]];
    for parts in sizes {
        let mut from = 0;
        let mut visits: Vec<Visits> = Vec::new();
        for (days, size) in parts.iter().enumerate() {
            visits.push(("a", days as i64, Some((from..from + size).collect())));
            from += size;
        }
        let once = windows(&visits, 12).await;
        visits.reverse();
        for visit in &mut visits {
            visit.2.as_mut().unwrap().reverse();
        }
        assert_eq!(windows(&visits, 12).await, once, "{parts:?}");
        visits.rotate_left(1);
        assert_eq!(windows(&visits, 12).await, once, "{parts:?}");
    }
}
