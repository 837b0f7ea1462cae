//! Bad requests over gRPC: each has its own error, in the details too, and none is a fault of ours.

use std::{collections::BTreeMap, sync::Arc};

use expect_test::expect_file;
use tonic::{Code, Status};
use trivium_api::ApiError;
use trivium_proto::v1::{
    BatchGetRequest, BatchPutRequest, BoolList, DeleteRequest, DeleteRow, Embedding, EncodedRow,
    FeatureSelection, GetRequest, KeyColumn, KeyValue, ListValue, LoadCheckpointRequest,
    PutRequest, PutRow, PutRows, StoreCheckpointRequest, Value, batch_put_request::Rows,
    key_column, key_value, value::Kind,
};
use trivium_store::MemoryStore;

use super::{
    fixture::{Fixture, NOW},
    grpc::{
        carrier, encoded, encoded_put, features, int_column, put_row, text_column, text_key, value,
    },
};
use crate::limits;

fn user(kind: Option<key_value::Kind>) -> BTreeMap<String, KeyValue> {
    BTreeMap::from([("user_id".to_owned(), KeyValue { kind })])
}

fn puts() -> Vec<(&'static str, PutRequest)> {
    let good_user = || user(Some(key_value::Kind::Int64(1)));
    let put = |row: PutRow| PutRequest {
        view: "shop/every_type@1".to_owned(),
        row: Some(row),
        ..Default::default()
    };
    let set = |feature: &str, kind: Kind| put(put_row(good_user(), &[(feature, kind)]));
    let list =
        |items: Vec<Kind>| Kind::List(ListValue { items: items.into_iter().map(value).collect() });
    let with = |change: &dyn Fn(&mut PutRow)| {
        let mut row = put_row(good_user(), &[("f_int64", Kind::Int64(1))]);
        change(&mut row);
        put(row)
    };
    vec![
        (
            "no row",
            PutRequest { view: "shop/every_type@1".to_owned(), row: None, ..Default::default() },
        ),
        (
            "no view",
            PutRequest { view: String::new(), row: Some(PutRow::default()), ..Default::default() },
        ),
        (
            "unknown view",
            PutRequest {
                view: "shop/every_tipe@1".to_owned(),
                row: Some(PutRow::default()),
                ..Default::default()
            },
        ),
        (
            "not online",
            PutRequest {
                view: "flights/offline_only@1".to_owned(),
                row: Some(PutRow::default()),
                ..Default::default()
            },
        ),
        ("empty row", put(PutRow::default())),
        ("no values", put(put_row(good_user(), &[]))),
        ("unknown feature", set("f_int46", Kind::Int64(1))),
        ("int32 for int64", set("f_int64", Kind::Int32(1))),
        ("float64 for float32", set("f_float32", Kind::Float64(1.0))),
        ("string for date", set("f_date", Kind::String("2013-01-01".to_owned()))),
        ("decimal of another scale", set("f_decimal", Kind::Decimal("1.234".to_owned()))),
        ("list item of another type", set("f_list", list(vec![Kind::Int64(1), Kind::Bool(true)]))),
        ("short vector", set("f_vector", Kind::Embedding(Embedding { components: vec![1.0] }))),
        (
            "vector with NaN",
            set("f_vector", Kind::Embedding(Embedding { components: vec![1.0, f32::NAN] })),
        ),
        (
            "value without kind",
            with(&|row| {
                row.values.insert("f_bool".to_owned(), Value { kind: None });
            }),
        ),
        ("key without kind", put(put_row(user(None), &[("f_int64", Kind::Int64(1))]))),
        (
            "key of another type",
            put(put_row(
                user(Some(key_value::Kind::String("1".to_owned()))),
                &[("f_int64", Kind::Int64(1))],
            )),
        ),
        (
            "extra key",
            with(&|row| {
                row.entity.insert("usr_id".to_owned(), text_key("x"));
            }),
        ),
        ("far future", with(&|row| row.event_time_micros = Some(NOW + 86_400_000_001))),
        ("before year 1", with(&|row| row.event_time_micros = Some(i64::MIN))),
        ("sequence without time", with(&|row| row.sequence = Some(1))),
        ("long idempotency key", with(&|row| row.idempotency_key = vec![1; 65].into())),
        ("long value", set("f_string", Kind::String("x".repeat(limits::VALUE_BYTES_MAX + 1)))),
    ]
}

fn batches() -> Vec<(&'static str, BatchGetRequest)> {
    let request = |selection: Option<FeatureSelection>, entities: Vec<KeyColumn>| BatchGetRequest {
        selection,
        entities,
        ..BatchGetRequest::default()
    };
    let flights = || features(&["flights/carrier_daily@1:flights"]);
    let bools = KeyColumn {
        name: "carrier".to_owned(),
        values: Some(key_column::Values::Bools(BoolList { values: vec![true] })),
    };
    vec![
        ("no selection", request(None, vec![])),
        (
            "two selections",
            request(
                Some(FeatureSelection { features: vec!["a".to_owned()], service: "b".to_owned() }),
                vec![],
            ),
        ),
        (
            "unknown service",
            request(
                Some(FeatureSelection {
                    features: vec![],
                    service: "flights/delay_modl@1".to_owned(),
                }),
                vec![],
            ),
        ),
        ("no columns", request(flights(), vec![])),
        ("missing column", request(flights(), vec![text_column("origin", &["JFK"])])),
        ("unknown column", request(flights(), vec![text_column("orgin", &["JFK"])])),
        (
            "column twice",
            request(
                flights(),
                vec![text_column("origin", &["JFK"]), text_column("origin", &["JFK"])],
            ),
        ),
        (
            "lengths differ",
            request(
                flights(),
                vec![text_column("origin", &["JFK"]), text_column("carrier", &["AA", "UA"])],
            ),
        ),
        ("wrong type", request(flights(), vec![text_column("origin", &["JFK"]), bools])),
        (
            "no values",
            request(flights(), vec![KeyColumn { name: "origin".to_owned(), values: None }]),
        ),
        (
            "too many entities",
            request(
                features(&["shop/every_type@1:f_bool"]),
                vec![int_column("user_id", &vec![1; limits::ENTITIES_MAX + 1])],
            ),
        ),
        (
            "long key",
            request(
                features(&["flights/origin_weather@2"]),
                vec![text_column("origin", &["x".repeat(3000).as_str()])],
            ),
        ),
    ]
}

/// Told in the status and, the same, in its details.
fn shown(status: &Status) -> String {
    let error = ApiError::from_status(status);
    assert!(!status.details().is_empty(), "{status:?}");
    assert_eq!(status.message(), error.message);
    assert_eq!(status.code() as i32, error.kind.grpc());
    assert!(
        !matches!(
            status.code(),
            Code::Internal | Code::Unknown | Code::Unavailable | Code::DataLoss
        ),
        "{status:?}"
    );
    let head = format!("{} {}", error.kind.code(), error.field);
    let lines = [head.trim_end(), &error.message, &error.help];
    lines.into_iter().filter(|line| !line.is_empty()).collect::<Vec<_>>().join("\n  ")
}

#[tokio::test]
async fn each_bad_request_has_its_own_error() {
    let store = Arc::new(MemoryStore::new());
    let fixture = Fixture::on(store.clone());
    let mut golden = String::new();
    for (name, request) in puts() {
        let status = fixture.online().put(request.clone()).await.unwrap_err();
        golden.push_str(&format!("put: {name}\n  {}\n", shown(&status)));
        if let (Some(row), "shop/every_type@1") = (request.row, request.view.as_str()) {
            let batch = BatchPutRequest {
                view: request.view,
                rows: Some(Rows::Values(PutRows { rows: vec![row] })),
                ..Default::default()
            };
            let batch = fixture.online().batch_put(batch).await.unwrap_err();
            assert_eq!(batch.message(), status.message());
        }
    }
    for (name, request) in batches() {
        let status = fixture.online().batch_get(request).await.unwrap_err();
        golden.push_str(&format!("batch get: {name}\n  {}\n", shown(&status)));
    }
    let get =
        GetRequest { selection: features(&["flights/carrier_daily@1"]), ..GetRequest::default() };
    let status = fixture.online().get(get).await.unwrap_err();
    golden.push_str(&format!("get: no entity\n  {}\n", shown(&status)));

    let (fingerprint, row) = encoded(&fixture, 1);
    let row = row.into_bytes();
    let good = EncodedRow {
        entity: vec![text_key("AA"), text_key("JFK")],
        row: Some(row.clone()),
        event_time_micros: NOW,
        ..EncodedRow::default()
    };
    let with = |change: &dyn Fn(&mut EncodedRow)| {
        let mut row = good.clone();
        change(&mut row);
        encoded_put(fingerprint, vec![row])
    };
    let mut other_lane = encoded_put(fingerprint, vec![good.clone()]);
    if let Some(Rows::Encoded(rows)) = &mut other_lane.rows {
        rows.lane = 2;
    }
    let mut no_lane = other_lane.clone();
    if let Some(Rows::Encoded(rows)) = &mut no_lane.rows {
        rows.lane = 0;
    }
    let cases = [
        (
            "no rows",
            BatchPutRequest {
                view: "flights/carrier_daily@1".to_owned(),
                rows: None,
                ..Default::default()
            },
        ),
        ("unknown schema", encoded_put(1, vec![good.clone()])),
        ("cut row", with(&|r| r.row = Some(row.slice(..row.len() - 1)))),
        ("no row at all", with(&|r| r.row = Some(bytes::Bytes::new()))),
        ("short entity", with(&|r| r.entity.truncate(1))),
        ("far future", with(&|r| r.event_time_micros = i64::MAX)),
        ("other lane", other_lane),
        ("no lane", no_lane),
        ("long write id", with(&|r| r.write_id = vec![0; 70].into())),
    ];
    for (name, request) in cases {
        let status = fixture.online().batch_put(request).await.unwrap_err();
        golden.push_str(&format!("encoded put: {name}\n  {}\n", shown(&status)));
    }

    let delete = DeleteRequest {
        view: "flights/carrier_daily@1".to_owned(),
        rows: vec![DeleteRow {
            entity: carrier("AA", "JFK"),
            sequence: Some(1),
            ..DeleteRow::default()
        }],
    };
    let status = fixture.online().delete(delete).await.unwrap_err();
    golden.push_str(&format!("delete: sequence without time\n  {}\n", shown(&status)));
    let load = LoadCheckpointRequest { name: String::new() };
    let status = fixture.pipeline().load_checkpoint(load).await.unwrap_err();
    golden.push_str(&format!("checkpoint: no name\n  {}\n", shown(&status)));
    let large = StoreCheckpointRequest {
        name: "x".to_owned(),
        expected: None,
        value: vec![0; limits::CHECKPOINT_BYTES_MAX + 1].into(),
    };
    let status = fixture.pipeline().store_checkpoint(large).await.unwrap_err();
    golden.push_str(&format!("checkpoint: too large\n  {}\n", shown(&status)));
    // Found by the transport, told in our shape all the same.
    let row = put_row(
        user(None),
        &[("f_string", Kind::String("x".repeat(limits::GRPC_MESSAGE_BYTES_MAX)))],
    );
    let request =
        PutRequest { view: "shop/every_type@1".to_owned(), row: Some(row), ..Default::default() };
    let status = fixture.online().put(request).await.unwrap_err();
    golden.push_str(&format!("put: message too large\n  {}\n", shown(&status)));

    assert!(store.is_empty(), "a refused request changed something");
    expect_file!["./refusals_grpc.txt"].assert_eq(&golden);
}
