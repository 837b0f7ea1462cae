//! The platform's own SQL (publishing, quality) and the example's views go through the same door.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{path::PathBuf, sync::Arc};

use arrow::{
    datatypes::{DataType as Arrow, Field, Schema, SchemaRef, TimeUnit},
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
    { "name": "large", "type": "int64", "description": "x" }, { "name": "single", "type": "float32", "description": "x" },
    { "name": "double", "type": "float64", "description": "x" }, { "name": "text", "type": "string", "description": "x" },
    { "name": "blob", "type": "bytes", "description": "x" }, { "name": "at", "type": "timestamp", "description": "x" },
    { "name": "day", "type": "date", "description": "x" },
    { "name": "money", "type": { "decimal": { "precision": 18, "scale": 2 } }, "description": "x" },
    { "name": "words", "type": { "list": "string" }, "description": "x" },
    { "name": "place", "type": { "embedding": { "dimension": 3, "metric": "cosine" } }, "description": "x" }
  ],
  "schedule": { "every": "1d", "start": "2013-01-01" }, "ttl": "14d",
  "carryover": { "mode": "last_value", "max_periods": 3 },
  "rollup": { "windows": ["3d", "7d"], "features": { "small": "sum", "double": "sum", "single": "max", "large": "count", "money": "sum" } },
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
