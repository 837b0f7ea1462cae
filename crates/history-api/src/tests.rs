//! The surfaces, on an engine that answers the number of each row.

use std::{collections::BTreeMap, sync::Arc};

use arrow::{
    array::{Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray},
    datatypes::{DataType as Arrow, Field, Schema},
    ipc::{reader::StreamReader, writer::StreamWriter},
};
use async_trait::async_trait;
use axum::{
    body::Body,
    http::{Request, StatusCode, header},
};
use futures::{StreamExt, stream};
use http_body_util::BodyExt;
use tower::ServiceExt;
use trivium_engine::{BatchStream, HistoryEngine, HistoryRequest, Source};
use trivium_model::config::{parse_service, parse_view};
use trivium_offline::Lake;
use trivium_proto::v1::{
    FeatureSelection, GetHistoricalRequest, history_service_server::HistoryService,
};
use trivium_registry::{Revision, Snapshot, StoredService, StoredView};

use crate::{HistoryApi, limits};

struct Engine;

#[async_trait]
impl HistoryEngine for Engine {
    async fn point_in_time(
        &self,
        request: HistoryRequest,
    ) -> Result<BatchStream, trivium_engine::Error> {
        let Source::Batches { schema, batches } = request.frame else { panic!("a file") };
        let out: Vec<_> = batches
            .into_iter()
            .map(|batch| {
                let mut fields: Vec<Field> =
                    schema.fields().iter().map(|field| field.as_ref().clone()).collect();
                let mut columns = batch.columns().to_vec();
                for (_, column) in request.views.iter().flat_map(|view| &view.features) {
                    fields.push(Field::new(column, Arrow::Int64, true));
                    let numbers = (0..batch.num_rows() as i64).map(|row| (row != 1).then_some(row));
                    columns.push(Arc::new(Int64Array::from_iter(numbers)));
                }
                Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap())
            })
            .collect();
        Ok(Box::pin(stream::iter(out)))
    }
}

const VIEW: &str = r#"{
    "namespace": "flights", "name": "daily", "version": 1, "lane": "batch",
    "description": "A view.", "owner": { "team": "t", "contact": "t@example.com" }, "urgency_tier": 3,
    "entities": [ { "name": "carrier", "type": "string" }, { "name": "number", "type": "int64" } ],
    "event_timestamp": "event_ts",
    "features": [ { "name": "flights", "type": "int64", "description": "Departures." } ],
    "schedule": { "every": "1d", "start": "2013-01-01" }, "online": true
}"#;

const SERVICE: &str = r#"{
    "namespace": "flights", "name": "quote", "version": 1, "description": "Quotes.",
    "owner": { "team": "t", "contact": "t@example.com" }, "features": [ "daily@1:flights" ],
    "inputs": [
        { "name": "seats", "type": "int32", "description": "Seats." },
        { "name": "price", "type": { "decimal": { "precision": 8, "scale": 2 } }, "description": "USD." }
    ],
    "derived": [
        { "name": "all", "type": "int64", "description": "All seats.", "sql": "seats * flights" },
        { "name": "paid", "type": { "decimal": { "precision": 8, "scale": 2 } }, "description": "X.", "sql": "price" }
    ]
}"#;

fn api() -> (HistoryApi, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let view = parse_view("configs/flights/daily.v1.json", VIEW).unwrap();
    let reference = view.reference();
    let stored = StoredView {
        view,
        config_text: VIEW.to_owned(),
        sql_text: None,
        revision: Revision(1),
        author: String::new(),
        at: trivium_model::Timestamp(0),
        reason: String::new(),
    };
    let service = parse_service("configs/flights/quote.v1.service.json", SERVICE).unwrap();
    let computing = StoredService {
        config_text: SERVICE.to_owned(),
        revision: Revision(1),
        author: String::new(),
        at: trivium_model::Timestamp(0),
        reason: String::new(),
        service,
    };
    let snapshot = Arc::new(Snapshot {
        services: BTreeMap::from([(computing.service.reference(), Arc::new(computing))]),
        views: BTreeMap::from([(reference, Arc::new(stored))]),
        ..Snapshot::default()
    });
    let lake = Lake::new(folder.path());
    (HistoryApi::new(Arc::new(Engine), lake, move || Arc::clone(&snapshot)), folder)
}

async fn post(body: &str, accept: &str) -> (StatusCode, Vec<u8>) {
    let (api, _folder) = api();
    let request = Request::post("/v1/features/historical")
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::ACCEPT, accept)
        .body(Body::from(body.to_owned()))
        .unwrap();
    let response = api.router().oneshot(request).await.unwrap();
    let status = response.status();
    (status, response.into_body().collect().await.unwrap().to_bytes().to_vec())
}

const BODY: &str = r#"{ "features": ["flights/daily@1:flights"], "entities": [
    { "carrier": "AA", "number": 1, "event_timestamp": "2013-02-01T00:00:00Z" },
    { "carrier": "ZZ", "number": 2, "event_timestamp": "2013-02-01" },
    { "carrier": "UA", "number": 3, "event_timestamp": "2013-02-02T12:00:00+01:00" } ] }"#;

#[tokio::test]
async fn rest_answers_one_row_for_each_entity() {
    let (status, body) = post(BODY, "*/*").await;
    assert_eq!(status, 200);
    expect_test::expect![[
        r#"{"features":["flights/daily@1:flights"],"rows":[{"values":[0]},{"values":[null]},{"values":[2]}]}"#
    ]]
    .assert_eq(std::str::from_utf8(&body).unwrap());
    let (status, body) = post(BODY, super::rest::ARROW_STREAM).await;
    assert_eq!(status, 200);
    let batches: Vec<_> =
        StreamReader::try_new(&*body, None).unwrap().map(|batch| batch.unwrap()).collect();
    assert_eq!(batches[0].num_rows(), 3);
    assert!(batches[0].column_by_name("daily__flights").is_some());
}

#[tokio::test]
async fn a_services_inputs_stand_in_the_entities() {
    let of = |entities: &str| {
        format!(r#"{{ "service": "flights/quote@1", "entities": [ {entities} ] }}"#)
    };
    let entity = |rest: &str| {
        format!(r#"{{ "carrier": "AA", "number": 1, "event_timestamp": "2013-02-01"{rest} }}"#)
    };
    let rows = [
        entity(r#", "seats": 9, "price": "1.5""#),
        entity(r#", "seats": 9"#),
        entity(r#", "seats": 5"#),
    ];
    let (status, body) = post(&of(&rows.join(", ")), "*/*").await;
    let body = String::from_utf8(body).unwrap();
    assert_eq!(status, 200, "{body}");
    expect_test::expect![[
        r#"{"features":["flights/daily@1:flights","flights/quote@1:all","flights/quote@1:paid"],"rows":[{"values":[0,0,"1.50"]},{"values":[null,null,null]},{"values":[2,10,null]}]}"#
    ]]
    .assert_eq(&body);
    for (rest, field) in [
        (r#", "seats": "9""#, "entities[0].seats"),
        (r#", "price": "1.234""#, "entities[0].price"),
        (r#", "seat": 9"#, "entities[0].seat"),
    ] {
        let (status, body) = post(&of(&entity(rest)), "*/*").await;
        let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!((status.as_u16(), body["field"].as_str().unwrap()), (400, field), "{body}");
    }
}

#[tokio::test]
async fn rest_says_what_is_wrong_and_where() {
    let one = |entity: &str| {
        format!(r#"{{ "features": ["flights/daily@1:flights"], "entities": [ {entity} ] }}"#)
    };
    let many = vec!["{}"; limits::JSON_ROWS_MAX + 1].join(",");
    let bodies = [
        String::new(),
        "{}".to_owned(),
        r#"{ "features": ["flights/daily@1"], "entities": [] }"#.to_owned(),
        r#"{ "entities": [ {} ] }"#.to_owned(),
        r#"{ "feature": [], "entities": [ {} ] }"#.to_owned(),
        r#"{ "features": ["flights/daily@7"], "entities": [ {} ] }"#.to_owned(),
        r#"{ "service": "flights/model@1", "entities": [ {} ] }"#.to_owned(),
        one("{}"),
        one(r#"{ "carrier": "AA", "event_timestamp": "2013-02-01" }"#),
        one(r#"{ "carrier": "AA", "number": "1", "event_timestamp": "2013-02-01" }"#),
        one(r#"{ "carrier": null, "number": 1, "event_timestamp": "2013-02-01" }"#),
        one(r#"{ "carrier": "AA", "number": 1, "event_timestamp": "yesterday" }"#),
        one(r#"{ "carrier": "AA", "number": 1, "event_timestamp": null }"#),
        one(r#"{ "carrier": "AA", "numbre": 1, "event_timestamp": "2013-02-01" }"#),
        one(&many),
    ];
    let mut told = Vec::new();
    for body in bodies {
        let (status, answer) = post(&body, "*/*").await;
        assert!(status.is_client_error(), "{body}: {status}");
        let answer: serde_json::Value = serde_json::from_slice(&answer).unwrap();
        told.push(format!(
            "{} {} {}: {}",
            status.as_u16(),
            answer["code"].as_str().unwrap(),
            answer["field"].as_str().unwrap(),
            answer["message"].as_str().unwrap()
        ));
    }
    expect_test::expect![[r#"
        400 INVALID_ARGUMENT : the request body is empty
        400 INVALID_ARGUMENT entities: missing field `entities` at line 1 column 2
        400 INVALID_ARGUMENT entities: there is no entity
        400 INVALID_ARGUMENT features: no feature is asked for
        400 INVALID_ARGUMENT feature: unknown field `feature` at line 1 column 11
        400 INVALID_ARGUMENT features[0]: flights/daily@7 is not in the registry
        400 INVALID_ARGUMENT service: flights/model@1 is not in the registry
        400 INVALID_ARGUMENT entities[0].event_timestamp: the entity has no `event_timestamp`
        400 INVALID_ARGUMENT entities[0].number: the entity has no `number`, which flights/daily@1 is joined by
        400 INVALID_ARGUMENT entities[0].number: expected int64 (a number without fraction; beyond 2^53 as a string), found the string "1"
        400 INVALID_ARGUMENT entities[0].carrier: expected string, found null
        400 INVALID_ARGUMENT entities[0].event_timestamp: expected timestamp (a string such as "2014-01-01T00:00:00Z"), found the string "yesterday"
        400 INVALID_ARGUMENT entities[0].event_timestamp: expected timestamp, found null
        400 INVALID_ARGUMENT entities[0].numbre: no feature asked for is joined by `numbre`
        413 TOO_LARGE entities: 10001 entities are more than 10000"#]].assert_eq(&told.join("\n"));
}

fn frame_bytes(carriers: &[&str]) -> Vec<u8> {
    let times = TimestampMicrosecondArray::from(vec![1_359_676_800_000_000; carriers.len()]);
    let batch = RecordBatch::try_from_iter(vec![
        ("carrier", Arc::new(StringArray::from(carriers.to_vec())) as Arc<dyn Array>),
        ("number", Arc::new(Int64Array::from(vec![1; carriers.len()]))),
        ("event_timestamp", Arc::new(times)),
    ])
    .unwrap();
    let mut writer = StreamWriter::try_new(Vec::new(), &batch.schema()).unwrap();
    writer.write(&batch).unwrap();
    writer.into_inner().unwrap()
}

async fn call(frame: Vec<u8>) -> Result<Vec<u8>, tonic::Status> {
    let (api, _folder) = api();
    let request = GetHistoricalRequest {
        selection: Some(FeatureSelection {
            features: vec!["flights/daily@1".to_owned()],
            service: String::new(),
        }),
        frame: frame.into(),
        event_timestamp: String::new(),
    };
    let mut stream = api.get_historical(tonic::Request::new(request)).await?.into_inner();
    let mut data = Vec::new();
    while let Some(piece) = stream.next().await {
        data.extend(piece?.data);
    }
    Ok(data)
}

#[tokio::test]
async fn grpc_answers_the_frame_with_the_features_beside_it() {
    let data = call(frame_bytes(&["AA", "UA"])).await.unwrap();
    let batches: Vec<_> =
        StreamReader::try_new(&*data, None).unwrap().map(|batch| batch.unwrap()).collect();
    assert_eq!((batches[0].num_rows(), batches[0].num_columns()), (2, 4));
    for wrong in [Vec::new(), b"nothing of the kind".to_vec(), frame_bytes(&["AA"])[..40].to_vec()]
    {
        let status = call(wrong).await.unwrap_err();
        assert_eq!(status.code(), tonic::Code::InvalidArgument, "{status}");
    }
}

#[test]
fn the_description_names_the_path() {
    assert!(super::openapi().paths.paths.contains_key("/v1/features/historical"));
}
