//! Services with inputs and derived features.

use std::{collections::BTreeMap, sync::Arc};

use axum::http::StatusCode;
use expect_test::{Expect, expect};
use serde_json::{Value as Json, json};
use trivium_proto::v1::{
    BatchGetRequest, FeatureSelection, GetRequest, InputColumn, Status, Value,
    feature_column::Values, value::Kind,
};
use trivium_store::MemoryStore;

use super::{
    failing::Failing,
    fixture::{Fixture, VIEWS, add_service, snapshot},
    grpc::{carrier, text_column, value},
};
use crate::Definitions;

/// One derived feature of every type.
const QUOTE: &str = r#"{
  "namespace": "flights", "name": "quote", "version": 1, "description": "Quotes.",
  "owner": { "team": "ops", "contact": "ops@example.com" },
  "features": [ "carrier_daily@1:flights", "carrier_daily@1:avg_dep_delay", "carrier_daily@1:note",
                "origin_weather@2:wind" ],
  "inputs": [
    { "name": "seats", "type": "int32", "description": "Seats." },
    { "name": "departure", "type": "timestamp", "description": "Departure." },
    { "name": "price", "type": { "decimal": { "precision": 8, "scale": 2 } }, "description": "USD." },
    { "name": "label", "type": "string", "description": "Label." },
    { "name": "raw", "type": "bytes", "description": "Bytes." }
  ],
  "derived": [
    { "name": "d_float64", "type": "float64", "description": "X.", "sql": "avg_dep_delay / carrier_daily.flights" },
    { "name": "d_bool", "type": "bool", "description": "X.", "sql": "seats > 100 OR flights IS NULL" },
    { "name": "d_int32", "type": "int32", "description": "X.", "sql": "seats + 1" },
    { "name": "d_int64", "type": "int64", "description": "X.", "sql": "flights * seats" },
    { "name": "d_float32", "type": "float32", "description": "X.", "sql": "CAST(wind AS FLOAT)" },
    { "name": "d_string", "type": "string", "description": "X.", "sql": "concat(label, ':', coalesce(note, '?'))" },
    { "name": "d_bytes", "type": "bytes", "description": "X.", "sql": "raw" },
    { "name": "d_timestamp", "type": "timestamp", "description": "X.", "sql": "departure" },
    { "name": "d_date", "type": "date", "description": "X.", "sql": "CAST(departure AS DATE)" },
    { "name": "d_decimal", "type": { "decimal": { "precision": 8, "scale": 2 } }, "description": "X.", "sql": "price" }
  ]
}"#;

fn serve(fixture: &Fixture, service: &str) {
    let mut snapshot = snapshot(2, &VIEWS);
    add_service(&mut snapshot, service);
    fixture.serving.swap(Definitions::from_snapshot(&snapshot).unwrap());
}

/// AA from JFK has a row of both views; UA from JFK has the weather only.
async fn quotes() -> Fixture {
    let fixture = Fixture::new();
    serve(&fixture, QUOTE);
    fill(&fixture).await;
    fixture
}

async fn fill(fixture: &Fixture) {
    fixture
        .call("put", r#"{"view":"flights/carrier_daily@1","rows":[{"entity":{"carrier":"AA","origin":"JFK"},"values":{"flights":4,"avg_dep_delay":10.0}}]}"#)
        .await;
    fixture
        .call("put", r#"{"view":"flights/origin_weather@2","rows":[{"entity":{"origin":"JFK"},"values":{"wind":2.5}}]}"#)
        .await;
}

async fn get(fixture: &Fixture, rest: &str) -> Json {
    let body = format!(r#"{{"service":"flights/quote@1",{rest}}}"#);
    serde_json::from_str(&fixture.call("get", &body).await).unwrap()
}

#[tokio::test]
async fn each_entity_has_its_own_inputs() {
    let fixture = quotes().await;
    let answer = get(
        &fixture,
        r#""entities":[
            {"carrier":"AA","origin":"JFK","seats":150,"departure":"2013-06-01T23:30:00Z","price":"9.5","label":"x","raw":"AP8="},
            {"seats":2147483647,"carrier":"AA","origin":"JFK","price":1},
            {"carrier":"UA","origin":"JFK","seats":null,"label":"y"}]"#,
    )
    .await;
    let names: Vec<&str> =
        answer["features"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    assert_eq!(
        names[3..6],
        ["flights/origin_weather@2:wind", "flights/quote@1:d_float64", "flights/quote@1:d_bool"]
    );
    assert_eq!(names.len(), 14);
    assert_eq!(
        answer["rows"][0]["values"],
        json!([
            4,
            10.0,
            "none",
            2.5,
            2.5,
            true,
            151,
            600,
            2.5,
            "x:?",
            "AP8=",
            "2013-06-01T23:30:00Z",
            "2013-06-01",
            "9.50"
        ])
    );
    // What is unset shows its default, but is null to an expression; so is what overflows.
    assert_eq!(
        answer["rows"][0]["statuses"],
        json!([
            "PRESENT",
            "PRESENT",
            "NOT_FOUND",
            "PRESENT",
            "PRESENT",
            "PRESENT",
            "PRESENT",
            "PRESENT",
            "PRESENT",
            "PRESENT",
            "PRESENT",
            "PRESENT",
            "PRESENT",
            "PRESENT"
        ])
    );
    assert_eq!(
        answer["rows"][1]["values"],
        json!([
            4,
            10.0,
            "none",
            2.5,
            2.5,
            true,
            null,
            8_589_934_588_i64,
            2.5,
            null,
            null,
            null,
            null,
            "1.00"
        ])
    );
    // No row: `flights` shows 0 and is null.
    assert_eq!(
        answer["rows"][2]["values"],
        json!([0, null, "none", 2.5, null, true, null, null, 2.5, "y:?", null, null, null, null])
    );
    assert_eq!(answer["rows"][2]["statuses"][4], json!("NULL"));
    assert_eq!(answer["rows"][2]["statuses"][5], json!("PRESENT"));
}

#[tokio::test]
async fn an_input_may_be_said_once_for_all_entities() {
    let fixture = quotes().await;
    let answer = get(
        &fixture,
        r#""inputs":{"seats":9},"entities":[{"carrier":"AA","origin":"JFK"},{"carrier":"UA","origin":"JFK","label":"z"}]"#,
    )
    .await;
    assert_eq!(answer["rows"][0]["values"][6], json!(10));
    assert_eq!(answer["rows"][1]["values"][6], json!(10));
    assert_eq!(answer["rows"][0]["values"][9], json!(null));
    assert_eq!(answer["rows"][1]["values"][9], json!("z:?"));
    // Nothing is sent at all.
    let answer = get(&fixture, r#""entities":[{"carrier":"AA","origin":"JFK"}]"#).await;
    assert_eq!(answer["rows"][0]["values"][4], json!(2.5));
    assert_eq!(answer["rows"][0]["values"][6], json!(null));
    let answer = get(&fixture, r#""entities":[]"#).await;
    assert_eq!(answer["rows"], json!([]));
}

#[tokio::test]
async fn rows_that_all_have_their_values_have_no_statuses() {
    let fixture = quotes().await;
    fixture
        .call("put", r#"{"view":"flights/carrier_daily@1","rows":[{"entity":{"carrier":"AA","origin":"JFK"},"values":{"note":"n"}}]}"#)
        .await;
    let answer = get(
        &fixture,
        r#""inputs":{"seats":1,"departure":"2013-06-01","price":1,"label":"l","raw":""},"entities":[{"carrier":"AA","origin":"JFK"}]"#,
    )
    .await;
    assert_eq!(answer["rows"][0]["values"][9], json!("l:n"));
    assert_eq!(answer["rows"][0].get("statuses"), None, "{answer}");
}

async fn refused(fixture: &Fixture, body: &str) -> String {
    let (status, answer) = fixture.post_text("/v1/features/online/get", body.to_owned()).await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "{answer}");
    let answer: Json = serde_json::from_str(&answer).unwrap();
    let part = |name: &str| answer[name].as_str().unwrap().to_owned();
    format!("{} at {}: {} ({})\n", part("code"), part("field"), part("message"), part("help"))
}

#[tokio::test]
async fn inputs_that_are_wrong_are_refused_by_name() {
    let fixture = quotes().await;
    let mut told = String::new();
    for rest in [
        r#""entities":[{"carrier":"AA","origin":"JFK","seat":1}]"#,
        r#""entities":[{"carrier":"AA","origin":"JFK"},{"carrier":"AA","origin":"JFK","seats":"1"}]"#,
        r#""entities":[{"carrier":"AA","origin":"JFK","seats":1,"seats":2}]"#,
        r#""inputs":{"seats":1},"entities":[{"carrier":"AA","origin":"JFK","seats":1}]"#,
        r#""inputs":{"seats":1,"seats":1},"entities":[]"#,
        r#""inputs":{"seat":1},"entities":[]"#,
        r#""inputs":{"carrier":"AA"},"entities":[]"#,
        r#""inputs":{"seats":2147483648},"entities":[]"#,
        r#""inputs":{"price":"1.001"},"entities":[]"#,
        r#""inputs":[{"seats":1}],"entities":[]"#,
    ] {
        let body = format!(r#"{{"service":"flights/quote@1",{rest}}}"#);
        told.push_str(&refused(&fixture, &body).await);
    }
    let body = r#"{"service":"flights/delay_model@1","inputs":{"seats":1},"entities":[]}"#;
    told.push_str(&refused(&fixture, body).await);
    let body = r#"{"service":"flights/delay_model@1","entities":[{"carrier":"AA","origin":"JFK","seats":1}]}"#;
    told.push_str(&refused(&fixture, body).await);
    expect![[r#"
        INVALID_ARGUMENT at entities[0].seat: `seat` is neither a join key nor an input of what is asked for (did you mean `seats`?)
        INVALID_ARGUMENT at entities[1].seats: expected int32 (a number without fraction, 32 bits), found the string "1" (the service's config says the types of its inputs)
        INVALID_ARGUMENT at entities[0].seats: input `seats` stands twice ()
        INVALID_ARGUMENT at entities[0].seats: input `seats` is given for all entities, and for this one (give it in `inputs`, or in the entities)
        INVALID_ARGUMENT at inputs.seats: input `seats` stands twice ()
        INVALID_ARGUMENT at inputs.seat: `seat` is no input of what is asked for (did you mean `seats`?)
        INVALID_ARGUMENT at inputs.carrier: `carrier` is no input of what is asked for (known: `seats`, `departure`, `price`, `label`, `raw`)
        INVALID_ARGUMENT at inputs.seats: expected int32 (a number without fraction, 32 bits), found the number 2147483648 (the service's config says the types of its inputs)
        INVALID_ARGUMENT at inputs.price: expected decimal(8, 2) (a string such as "1.5" with at most 6 digits before and 2 after the point), found the string "1.001" (the service's config says the types of its inputs)
        INVALID_ARGUMENT at inputs: expected an object, found an array ()
        INVALID_ARGUMENT at inputs.seats: `seats` is no input of what is asked for (only services whose config has `inputs` take any)
        INVALID_ARGUMENT at entities[0].seats: `seats` is no join key of what is asked for (known: `carrier`, `origin`)
    "#]].assert_eq(&told);
}

fn quote() -> Option<FeatureSelection> {
    Some(FeatureSelection { features: Vec::new(), service: "flights/quote@1".to_owned() })
}

fn inputs() -> Vec<(&'static str, Vec<Kind>)> {
    vec![
        ("seats", vec![Kind::Int32(150), Kind::Int32(i32::MAX), Kind::Null(0)]),
        (
            "departure",
            vec![Kind::TimestampMicros(1_370_129_400_000_000), Kind::Null(0), Kind::Null(0)],
        ),
        (
            "price",
            vec![Kind::Decimal("9.50".to_owned()), Kind::Decimal("1".to_owned()), Kind::Null(0)],
        ),
        ("label", vec![Kind::String("x".to_owned()), Kind::Null(0), Kind::String("y".to_owned())]),
        ("raw", vec![Kind::Bytes(vec![0, 255].into()), Kind::Null(0), Kind::Null(0)]),
    ]
}

fn column(name: &str, kinds: Vec<Kind>) -> InputColumn {
    InputColumn { name: name.to_owned(), values: kinds.into_iter().map(value).collect() }
}

/// One entity's value of a column, or `None` where it is null.
fn at(values: &Values, row: usize) -> Kind {
    match values {
        Values::Float64s(list) => Kind::Float64(list.values[row]),
        Values::Float32s(list) => Kind::Float32(list.values[row]),
        Values::Int64s(list) => Kind::Int64(list.values[row]),
        Values::Int32s(list) => Kind::Int32(list.values[row]),
        Values::Bools(list) => Kind::Bool(list.values[row]),
        Values::Strings(list) => Kind::String(list.values[row].clone()),
        Values::Bytes(list) => Kind::Bytes(list.values[row].clone()),
        Values::TimestampsMicros(list) => Kind::TimestampMicros(list.values[row]),
        Values::Dates(list) => Kind::Date(list.values[row]),
        Values::Decimals(list) => Kind::Decimal(list.values[row].clone()),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn get_and_batch_get_compute_the_same() {
    let fixture = quotes().await;
    let entities = [("AA", "JFK"), ("AA", "JFK"), ("UA", "JFK")];
    let batch = BatchGetRequest {
        selection: quote(),
        entities: vec![
            text_column("carrier", &entities.map(|(carrier, _)| carrier)),
            text_column("origin", &entities.map(|(_, origin)| origin)),
        ],
        inputs: inputs().into_iter().map(|(name, kinds)| column(name, kinds)).collect(),
        ..BatchGetRequest::default()
    };
    let batch = fixture.online().batch_get(batch).await.unwrap().into_inner();
    assert_eq!(batch.features.len(), 14);
    assert_eq!(batch.columns.len(), 14);
    let mut shown = Vec::new();
    for (row, (name, origin)) in entities.into_iter().enumerate() {
        let sent: BTreeMap<String, Value> = inputs()
            .into_iter()
            .map(|(name, kinds)| (name.to_owned(), value(kinds[row].clone())))
            .collect();
        let get = GetRequest {
            selection: quote(),
            entity: carrier(name, origin),
            inputs: sent,
            ..GetRequest::default()
        };
        let one = fixture.online().get(get).await.unwrap().into_inner();
        assert_eq!(one.features, batch.features);
        for (index, column) in batch.columns.iter().enumerate() {
            let is_null = column.nulls.get(row).is_some_and(|null| *null == 1);
            let found =
                if is_null { Kind::Null(0) } else { at(column.values.as_ref().unwrap(), row) };
            assert_eq!(one.values[index].kind, Some(found.clone()), "{}", one.features[index]);
            let told = |all: Option<i32>| all.unwrap_or(Status::Present as i32);
            let status = column.statuses.get(row).map(|status| i32::from(*status));
            assert_eq!(told(status), told(one.statuses.get(index).copied()));
            shown.push(found);
        }
    }
    // Of the first entity: no column stands in another's place.
    let computed = &shown[4..14];
    assert_eq!(
        computed,
        [
            Kind::Float64(2.5),
            Kind::Bool(true),
            Kind::Int32(151),
            Kind::Int64(600),
            Kind::Float32(2.5),
            Kind::String("x:?".to_owned()),
            Kind::Bytes(vec![0, 255].into()),
            Kind::TimestampMicros(1_370_129_400_000_000),
            Kind::Date(15_857),
            Kind::Decimal("9.50".to_owned()),
        ]
    );
    assert_eq!(shown.iter().filter(|kind| **kind == Kind::Null(0)).count(), 13);
}

#[tokio::test]
async fn inputs_of_messages_are_checked() {
    let fixture = quotes().await;
    let mut told = String::new();
    let columns =
        || vec![text_column("carrier", &["AA", "UA"]), text_column("origin", &["JFK", "JFK"])];
    let one = || Kind::Int32(1);
    for inputs in [
        vec![column("seat", vec![one()])],
        vec![column("seats", vec![one()]), column("seats", vec![one()])],
        vec![column("seats", vec![one(), one(), one()])],
        vec![column("seats", Vec::new())],
        vec![column("label", vec![Kind::Null(0), one()])],
        vec![InputColumn { name: "seats".to_owned(), values: vec![Value { kind: None }] }],
        vec![column("departure", vec![Kind::TimestampMicros(i64::MAX)])],
        vec![column("label", vec![Kind::String("x".repeat(crate::limits::VALUE_BYTES_MAX + 1))])],
    ] {
        let request = BatchGetRequest {
            selection: quote(),
            entities: columns(),
            inputs,
            ..BatchGetRequest::default()
        };
        let status = fixture.online().batch_get(request).await.unwrap_err();
        told.push_str(&format!("{:?} {}\n", status.code(), status.message()));
    }
    let request = GetRequest {
        selection: quote(),
        entity: carrier("AA", "JFK"),
        inputs: [("seats".to_owned(), value(Kind::Int64(1)))].into(),
        ..GetRequest::default()
    };
    let status = fixture.online().get(request).await.unwrap_err();
    told.push_str(&format!("{:?} {}\n", status.code(), status.message()));
    expect![[r#"
        InvalidArgument `seat` is no input of what is asked for
        InvalidArgument input `seats` stands twice
        InvalidArgument input `seats` has 3 values for 2 entities
        InvalidArgument input `seats` has 0 values for 2 entities
        InvalidArgument expected string, found int32
        InvalidArgument expected int32, found no value; `null` sets null
        InvalidArgument the value lies outside of the years 0001 to 9999
        InvalidArgument the value takes 1048577 bytes, more than the limit of 1048576
        InvalidArgument expected int32, found int64
    "#]]
    .assert_eq(&told);
    // One value is for all.
    let request = BatchGetRequest {
        selection: quote(),
        entities: columns(),
        inputs: vec![column("seats", vec![one()])],
        ..BatchGetRequest::default()
    };
    let answer = fixture.online().batch_get(request).await.unwrap().into_inner();
    assert_eq!(at(answer.columns[6].values.as_ref().unwrap(), 1), Kind::Int32(2));
}

#[tokio::test]
async fn what_could_not_be_read_is_an_error_where_it_makes_a_difference() {
    let fixture = Fixture::on(Arc::new(Failing(MemoryStore::new())));
    serve(&fixture, QUOTE);
    fill(&fixture).await;
    let answer = get(
        &fixture,
        r#""inputs":{"seats":150,"label":"x"},"entities":[{"carrier":"BAD","origin":"JFK"},{"carrier":"AA","origin":"JFK"}]"#,
    )
    .await;
    let row = &answer["rows"][0];
    assert_eq!(row["statuses"][0], json!("ERROR"));
    // The quotient is not known; 150 seats are more than 100 whatever the flights are.
    assert_eq!((&row["values"][4], &row["statuses"][4]), (&json!(null), &json!("ERROR")));
    assert_eq!((&row["values"][5], &row["statuses"][5]), (&json!(true), &json!("PRESENT")));
    assert_eq!((&row["values"][6], &row["statuses"][6]), (&json!(151), &json!("PRESENT")));
    // Else the text would be "x:?", which is wrong.
    assert_eq!((&row["values"][9], &row["statuses"][9]), (&json!(null), &json!("ERROR")));
    assert_eq!(answer["rows"][1]["values"][9], json!("x:?"));
}

fn described(expected: Expect, text: &str) {
    expected.assert_eq(text);
}

/// A registry takes no such service: but a node may be older than it.
#[tokio::test]
async fn a_service_that_cannot_be_computed_says_so_and_others_are_served() {
    let fixture = Fixture::new();
    serve(&fixture, &QUOTE.replace("seats + 1", "seatz + 1"));
    fill(&fixture).await;
    let body = r#"{"service":"flights/quote@1","entities":[{"carrier":"AA","origin":"JFK"}]}"#;
    let (_, answer) = fixture.post_text("/v1/features/online/get", body).await;
    described(
        expect![[
            r#"{"code":"FAILED_PRECONDITION","message":"the service's derived features cannot be computed: `d_int32`: there is no `seatz`; did you mean `seats`?","field":"service","help":"mend its config, and apply it"}"#
        ]],
        &answer,
    );
    let other =
        r#"{"service":"flights/delay_model@1","entities":[{"carrier":"AA","origin":"JFK"}]}"#;
    fixture.call("get", other).await;
}

#[tokio::test]
async fn precomputed_services_compute_too() {
    let fixture = Fixture::new();
    serve(&fixture, &QUOTE.replace("\"version\": 1,", "\"version\": 1, \"precomputed\": true,"));
    fill(&fixture).await;
    let body = r#""entities":[{"carrier":"AA","origin":"JFK","seats":1}]"#;
    assert_eq!(get(&fixture, body).await["rows"][0]["values"][7], json!(4));
}
