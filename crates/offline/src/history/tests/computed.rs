//! Training sets of services that compute.

use arrow::{
    array::{BooleanArray, Decimal128Array, TimestampMillisecondArray},
    datatypes::{Date32Type, Float64Type, Int32Type},
};
use trivium_model::{FeatureService, config::parse_service};
use trivium_registry::StoredService;

use super::*;

const QUOTE: &str = r#"{
  "namespace": "tests", "name": "quote", "version": 2, "description": "Quotes.",
  "owner": { "team": "t", "contact": "t@example.com" },
  "features": [ "daily@1:delay", "daily@1:flights" ],
  "inputs": [
    { "name": "seats", "type": "int32", "description": "Seats." },
    { "name": "departure", "type": "timestamp", "description": "Departure." },
    { "name": "price", "type": { "decimal": { "precision": 8, "scale": 2 } }, "description": "USD." },
    { "name": "raw", "type": "bytes", "description": "Bytes." },
    { "name": "unread", "type": "string", "description": "Nothing reads it." }
  ],
  "derived": [
    { "name": "d_int64", "type": "int64", "description": "X.", "sql": "seats * daily.flights" },
    { "name": "d_float64", "type": "float64", "description": "X.", "sql": "seats / flights" },
    { "name": "d_bool", "type": "bool", "description": "X.", "sql": "delay IS NULL AND flights IS NULL" },
    { "name": "d_string", "type": "string", "description": "X.", "sql": "concat('a', CAST(flights AS STRING))" },
    { "name": "d_timestamp", "type": "timestamp", "description": "X.", "sql": "departure" },
    { "name": "d_date", "type": "date", "description": "X.", "sql": "CAST(departure AS DATE)" },
    { "name": "d_decimal", "type": { "decimal": { "precision": 8, "scale": 2 } }, "description": "X.", "sql": "price" },
    { "name": "d_bytes", "type": "bytes", "description": "X.", "sql": "raw" },
    { "name": "d_int32", "type": "int32", "description": "X.", "sql": "hour(departure)" },
    { "name": "d_float32", "type": "float32", "description": "X.", "sql": "CAST(seats AS FLOAT)" }
  ]
}"#;

fn computing() -> Fixture {
    let mut fixture = fixture(3);
    let mut snapshot = Snapshot::clone(&fixture.history.snapshot);
    let service: FeatureService = parse_service("tests/quote.v2.service.json", QUOTE).unwrap();
    let stored = StoredService {
        config_text: QUOTE.to_owned(),
        revision: Revision(1),
        author: String::new(),
        at: Timestamp(0),
        reason: String::new(),
        service,
    };
    snapshot.services.insert(stored.service.reference(), Arc::new(stored));
    fixture.history.snapshot = Arc::new(snapshot);
    fixture
}

fn quote(fixture: &Fixture, frame: Source, full_names: bool) -> Result<RecordBatch, Error> {
    let query = HistoryQuery {
        selection: Selection { features: Vec::new(), service: Some("tests/quote@2".to_owned()) },
        frame,
        event_timestamp: "at".to_owned(),
        full_names,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let set = fixture.history.join(query).await?;
        assert_eq!(set.types.len(), set.features.len());
        assert_eq!(set.features[2].to_string(), "tests/quote@2:d_int64");
        assert_eq!(set.frame_columns + set.types.len(), set.schema.fields().len());
        let schema = Arc::clone(&set.schema);
        let batches: Vec<RecordBatch> = set.rows.try_collect().await.unwrap();
        assert!(batches.len() > 1, "in pieces");
        Ok(arrow::compute::concat_batches(&schema, &batches).unwrap())
    })
}

/// AA at 5.0 has 4 flights, at 0.5 none; UA has a row at 4.0 only.
fn columns() -> Vec<(&'static str, ArrayRef)> {
    let instants = [Some(90_061_001), None, Some(-1), Some(0)];
    let prices = [Some(950), Some(1), None, Some(-5)];
    let prices = Decimal128Array::from(prices.to_vec()).with_precision_and_scale(8, 2).unwrap();
    vec![
        ("seats", Arc::new(Int32Array::from(vec![Some(150), None, Some(0), Some(7)]))),
        ("departure", Arc::new(TimestampMillisecondArray::from(instants.to_vec()))),
        ("at", times(&[5.0, 4.99, 0.5, 4.0])),
        ("price", Arc::new(prices)),
        ("carrier", carriers(&["AA", "AA", "AA", "UA"])),
        (
            "raw",
            Arc::new(arrow::array::BinaryArray::from(vec![
                Some(&b"\x00\xff"[..]),
                None,
                None,
                None,
            ])),
        ),
    ]
}

#[test]
fn each_row_is_computed_from_its_own_inputs_and_features() {
    let fixture = computing();
    let set = quote(&fixture, frame(columns()), false).unwrap();
    let names: Vec<&str> =
        set.schema_ref().fields().iter().map(|field| field.name().as_str()).collect();
    assert_eq!(
        names[6..10],
        ["daily__delay", "daily__flights", "quote__d_int64", "quote__d_float64"]
    );
    let column = |name: &str| set.column_by_name(&format!("quote__{name}")).unwrap();
    let numbers: Vec<Option<i64>> = column("d_int64").as_primitive::<Int64Type>().iter().collect();
    // UA at 4.0 is day 0, with 0 flights: no quotient.
    assert_eq!(numbers, [Some(600), None, None, Some(0)]);
    let quotients: Vec<_> = column("d_float64").as_primitive::<Float64Type>().iter().collect();
    assert_eq!(quotients, [Some(37.5), None, None, None]);
    let unknown: &BooleanArray = column("d_bool").as_boolean();
    let unknown: Vec<Option<bool>> = unknown.iter().collect();
    assert_eq!(unknown, [Some(false), Some(false), Some(true), Some(false)]);
    let texts: Vec<Option<&str>> = column("d_string").as_string::<i32>().iter().collect();
    assert_eq!(texts, [Some("a4"), Some("a3"), None, Some("a0")]);
    let instants = column("d_timestamp").as_primitive::<TimestampMicrosecondType>();
    assert_eq!(
        instants.iter().collect::<Vec<_>>(),
        [Some(90_061_001_000), None, Some(-1_000), Some(0)]
    );
    let days: Vec<_> = column("d_date").as_primitive::<Date32Type>().iter().collect();
    assert_eq!(days, [Some(1), None, Some(-1), Some(0)]);
    let prices: Vec<_> = column("d_decimal").as_primitive::<Decimal128Type>().iter().collect();
    assert_eq!(prices, [Some(950), Some(1), None, Some(-5)]);
    assert_eq!(column("d_bytes").as_binary::<i32>().iter().next().unwrap(), Some(&b"\x00\xff"[..]));
    let hours: Vec<_> = column("d_int32").as_primitive::<Int32Type>().iter().collect();
    assert_eq!(hours, [Some(1), None, Some(23), Some(0)]);
    assert_eq!(column("d_float32").null_count(), 1);
    let set = quote(&fixture, frame(columns()), true).unwrap();
    assert_eq!(set.schema_ref().field(8).name(), "tests/quote@2:d_int64");
}

#[test]
fn a_frame_without_an_input_or_with_another_type_is_refused() {
    let fixture = computing();
    let without = |name: &str| {
        let columns = columns();
        columns.into_iter().filter(|(column, _)| *column != name).collect::<Vec<_>>()
    };
    let told = |columns| quote(&fixture, frame(columns), false).unwrap_err().to_string();
    assert!(told(without("seats")).contains("no column `seats`, an input of the service"));
    let mut columns = without("seats");
    columns.push(("seats", Arc::new(Int64Array::from(vec![1; 4]))));
    let message = told(columns);
    assert!(
        message.contains("the frame's `seats` is int64, but the service's input is int32"),
        "{message}"
    );
    let mut columns = without("departure");
    let nanos = TimestampNanosecondArray::from(vec![1_000, 1_001, 0, 0]);
    columns.push(("departure", Arc::new(nanos)));
    assert!(told(columns).contains("finer than a microsecond"));
    let mut columns = without("price");
    columns.push(("quote__d_bool", carriers(&["x"; 4])));
    columns.push(("price", new_null_array(&Arrow::Null, 4)));
    assert!(told(columns).contains("`quote__d_bool` already"));
    // Nothing but nulls has no type of its own.
    let mut columns = without("departure");
    columns.push(("departure", new_null_array(&Arrow::Null, 4)));
    let set = quote(&fixture, frame(columns), false).unwrap();
    assert_eq!(set.column_by_name("quote__d_int32").unwrap().null_count(), 4);
}

#[test]
fn an_input_may_be_the_event_time() {
    let mut fixture = computing();
    let mut snapshot = Snapshot::clone(&fixture.history.snapshot);
    let text = QUOTE.replace("departure", "at");
    let stored = snapshot.services.values_mut().next().unwrap();
    let mut service = StoredService::clone(stored);
    service.service = parse_service("tests/quote.v2.service.json", &text).unwrap();
    *stored = Arc::new(service);
    fixture.history.snapshot = Arc::new(snapshot);
    let set = quote(&fixture, frame(columns()), false).unwrap();
    let hours = set.column_by_name("quote__d_int32").unwrap().as_primitive::<Int32Type>().clone();
    assert_eq!(hours.iter().collect::<Vec<_>>(), [Some(0), Some(23), Some(12), Some(0)]);
}
