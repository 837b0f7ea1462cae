//! The gRPC surface says what REST says.

use std::collections::BTreeMap;

use prost::Message;
use trivium_codec::{Row, RowEncoder, ValueRef};
use trivium_model::{Lane, Timestamp};
use trivium_proto::v1::{
    BatchGetRequest, BatchPutRequest, DeleteRequest, DeleteRow, EncodedRow, EncodedRows,
    FeatureSelection, GetRequest, Int64List, KeyColumn, KeyValue, Lane as WireLane,
    LoadCheckpointRequest, PutRequest, PutRow, PutRows, Status, StoreCheckpointRequest, StringList,
    Value, WriteResult, batch_put_request::Rows, feature_column::Values, key_column, key_value,
    value::Kind, write_result::Outcome,
};

use super::fixture::{Fixture, NOW, WALL};

pub(super) fn features(names: &[&str]) -> Option<FeatureSelection> {
    let features = names.iter().map(|name| (*name).to_owned()).collect();
    Some(FeatureSelection { features, service: String::new() })
}

pub(super) fn text_key(text: &str) -> KeyValue {
    KeyValue { kind: Some(key_value::Kind::String(text.to_owned())) }
}

pub(super) fn carrier(carrier: &str, origin: &str) -> BTreeMap<String, KeyValue> {
    BTreeMap::from([
        ("carrier".to_owned(), text_key(carrier)),
        ("origin".to_owned(), text_key(origin)),
    ])
}

pub(super) fn text_column(name: &str, values: &[&str]) -> KeyColumn {
    let values = values.iter().map(|value| (*value).to_owned()).collect();
    KeyColumn {
        name: name.to_owned(),
        values: Some(key_column::Values::Strings(StringList { values })),
    }
}

pub(super) fn int_column(name: &str, values: &[i64]) -> KeyColumn {
    let values = key_column::Values::Int64s(Int64List { values: values.to_vec() });
    KeyColumn { name: name.to_owned(), values: Some(values) }
}

pub(super) fn value(kind: Kind) -> Value {
    Value { kind: Some(kind) }
}

pub(super) fn put_row(entity: BTreeMap<String, KeyValue>, values: &[(&str, Kind)]) -> PutRow {
    PutRow {
        entity,
        values: values
            .iter()
            .map(|(name, kind)| ((*name).to_owned(), value(kind.clone())))
            .collect(),
        ..PutRow::default()
    }
}

fn outcomes(results: &[WriteResult]) -> Vec<Outcome> {
    results.iter().map(WriteResult::outcome).collect()
}

#[tokio::test]
async fn put_get_delete_of_one_entity() {
    let fixture = Fixture::new();
    let mut online = fixture.online();
    let row = put_row(carrier("AA", "JFK"), &[("flights", Kind::Int64(38))]);
    let put = PutRequest {
        view: "flights/carrier_daily@1".to_owned(),
        row: Some(row),
        ..Default::default()
    };
    let result = online.put(put).await.unwrap().into_inner().result.unwrap();
    assert_eq!(result.outcome(), Outcome::Applied);
    assert_eq!((result.rev, result.event_time_micros), (WALL as u64, NOW));

    let get = GetRequest {
        selection: features(&["flights/carrier_daily@1"]),
        entity: carrier("AA", "JFK"),
        ..GetRequest::default()
    };
    let answer = online.get(get.clone()).await.unwrap().into_inner();
    assert_eq!(answer.values[0], value(Kind::Int64(38)));
    assert_eq!(answer.values[1], value(Kind::Null(0)));
    assert_eq!(answer.values[2], value(Kind::String("none".to_owned())));
    assert_eq!(
        answer.statuses,
        [Status::Present as i32, Status::NotFound as i32, Status::NotFound as i32]
    );
    assert_eq!(answer.rows[0].event_time_micros, Some(NOW));
    assert_eq!(answer.rows[0].rev, WALL as u64);

    let delete = DeleteRequest {
        view: "flights/carrier_daily@1".to_owned(),
        rows: vec![DeleteRow {
            entity: carrier("AA", "JFK"),
            if_rev: Some(WALL as u64),
            ..DeleteRow::default()
        }],
    };
    let deleted = online.delete(delete.clone()).await.unwrap().into_inner();
    assert_eq!(outcomes(&deleted.results), [Outcome::Applied]);
    let again = online.delete(delete).await.unwrap().into_inner();
    assert_eq!(outcomes(&again.results), [Outcome::Conflict]);
    assert_eq!(again.results[0].rev, 0);

    let answer = online.get(get).await.unwrap().into_inner();
    assert_eq!(answer.rows[0].event_time_micros, None);
    assert_eq!(answer.rows[0].rev, 0);
    assert!(answer.statuses.iter().all(|status| *status == Status::NotFound as i32));
}

#[tokio::test]
async fn a_batch_is_answered_by_column_in_order() {
    let fixture = Fixture::new();
    let mut online = fixture.online();
    let rows = vec![
        put_row(
            carrier("AA", "JFK"),
            &[("flights", Kind::Int64(1)), ("note", Kind::String("x".to_owned()))],
        ),
        put_row(
            carrier("UA", "JFK"),
            &[("flights", Kind::Null(0)), ("avg_dep_delay", Kind::Float64(2.5))],
        ),
    ];
    let put = BatchPutRequest {
        view: "flights/carrier_daily@1".to_owned(),
        rows: Some(Rows::Values(PutRows { rows })),
        ..Default::default()
    };
    let put = online.batch_put(put).await.unwrap().into_inner();
    assert_eq!(outcomes(&put.results), [Outcome::Applied, Outcome::Applied]);

    let request = BatchGetRequest {
        selection: features(&[
            "flights/carrier_daily@1:avg_dep_delay",
            "flights/carrier_daily@1:flights",
            "flights/carrier_daily@1:note",
            "flights/origin_weather@2:wind",
        ]),
        entities: vec![
            text_column("origin", &["JFK", "JFK", "LGA"]),
            text_column("carrier", &["UA", "AA", "AA"]),
        ],
        ..BatchGetRequest::default()
    };
    let answer = online.batch_get(request).await.unwrap().into_inner();
    assert_eq!(answer.features[3], "flights/origin_weather@2:wind");
    let [delay, flights, note, wind] = &answer.columns[..] else { panic!("{answer:?}") };
    let (present, null, not_found) =
        (Status::Present as u8, Status::Null as u8, Status::NotFound as u8);
    assert!(
        matches!(&delay.values, Some(Values::Float64s(list)) if list.values == [2.5, 0.0, 0.0])
    );
    assert_eq!(delay.statuses[..], [present, not_found, not_found]);
    assert_eq!(delay.nulls[..], [0, 1, 1]);
    assert!(matches!(&flights.values, Some(Values::Int64s(list)) if list.values == [0, 1, 0]));
    assert_eq!(flights.statuses[..], [null, present, not_found]);
    assert_eq!(flights.nulls[..], [1, 0, 0]);
    assert!(
        matches!(&note.values, Some(Values::Strings(list)) if list.values == ["none", "x", "none"])
    );
    assert_eq!(note.statuses[..], [not_found, present, not_found]);
    assert!(note.nulls.is_empty());
    assert!(matches!(&wind.values, Some(Values::Float32s(list)) if list.values == [1.5; 3]));
    assert_eq!(answer.rows[0].view, "flights/carrier_daily@1");
    assert_eq!(answer.rows[0].event_times_micros, [NOW, NOW, 0]);
    assert_eq!(answer.rows[0].revs, [WALL as u64, WALL as u64, 0]);
    assert_eq!(answer.rows[1].revs, [0, 0, 0]);
}

#[tokio::test]
async fn every_type_by_column() {
    let fixture = Fixture::new();
    fixture
        .call(
            "put",
            r#"{"view":"shop/every_type@1","rows":[{"entity":{"user_id":2},"values":{"f_bool":true,"f_int32":-1,"f_int64":"9223372036854775807","f_float32":0.5,"f_float64":-0.0,"f_string":"é","f_bytes":"AP8=","f_timestamp":"1970-01-01T00:00:01Z","f_date":"1970-01-02","f_decimal":"-12.50","f_list":[1,null],"f_texts":["a"],"f_vector":[1.0,2.0]}}]}"#,
        )
        .await;
    let request = BatchGetRequest {
        selection: features(&["shop/every_type@1"]),
        entities: vec![int_column("user_id", &[1, 2, 3])],
        ..BatchGetRequest::default()
    };
    let answer = fixture.online().batch_get(request).await.unwrap().into_inner();
    let shown: Vec<String> = answer
        .columns
        .iter()
        .map(|column| format!("{:?}", column.values.as_ref().unwrap()))
        .collect();
    expect_test::expect![[r#"
        Bools(BoolList { values: [false, true, false] })
        Int32s(Int32List { values: [0, -1, 0] })
        Int64s(Int64List { values: [0, 9223372036854775807, 0] })
        Float32s(FloatList { values: [0.0, 0.5, 0.0] })
        Float64s(DoubleList { values: [0.0, -0.0, 0.0] })
        Strings(StringList { values: ["", "é", ""] })
        Bytes(BytesList { values: [b"", b"\0\xff", b""] })
        TimestampsMicros(Int64List { values: [0, 1000000, 0] })
        Dates(Int32List { values: [0, 1, 0] })
        Decimals(StringList { values: ["", "-12.50", ""] })
        Lists(ListList { values: [ListValue { items: [] }, ListValue { items: [Value { kind: Some(Int64(1)) }, Value { kind: Some(Null(NullValue)) }] }, ListValue { items: [] }] })
        Lists(ListList { values: [ListValue { items: [] }, ListValue { items: [Value { kind: Some(String("a")) }] }, ListValue { items: [] }] })
        Embeddings(EmbeddingList { dimension: 2, components: [0.0, 0.0, 1.0, 2.0, 0.0, 0.0] })"#]]
    .assert_eq(&shown.join("\n"));
    for column in &answer.columns {
        assert_eq!(column.nulls[..], [1, 0, 1]);
    }
}

pub(super) fn encoded(fixture: &Fixture, flights: i64) -> (u64, Row) {
    let definitions = fixture.serving.definitions();
    let view = definitions.view("flights/carrier_daily@1", "").unwrap();
    let schema = view.layouts.current();
    let row = RowEncoder::new(schema)
        .encode(Lane::Batch, &[Some(ValueRef::Int64(flights)), None, None])
        .unwrap();
    (schema.fingerprint().0, row)
}

pub(super) fn encoded_put(fingerprint: u64, rows: Vec<EncodedRow>) -> BatchPutRequest {
    BatchPutRequest {
        view: "flights/carrier_daily@1".to_owned(),
        rows: Some(Rows::Encoded(EncodedRows {
            schema_fingerprint: fingerprint,
            rows,
            lane: WireLane::Batch as i32,
        })),
        ..Default::default()
    }
}

#[tokio::test]
async fn pipelines_send_encoded_rows_and_retractions() {
    let fixture = Fixture::new();
    let mut online = fixture.online();
    let (fingerprint, row) = encoded(&fixture, 7);
    let id = 77_u128.to_le_bytes();
    let put = EncodedRow {
        entity: vec![text_key("AA"), text_key("JFK")],
        row: Some(row.into_bytes()),
        event_time_micros: NOW,
        sequence: 4,
        replacing: None,
        write_id: bytes::Bytes::copy_from_slice(&id),
    };
    let request = encoded_put(fingerprint, vec![put.clone(), put.clone()]);
    let answer = online.batch_put(request).await.unwrap().into_inner();
    // The second is the same write, told the same success.
    assert_eq!(outcomes(&answer.results), [Outcome::Applied, Outcome::Applied]);
    assert_eq!(answer.results[0], answer.results[1]);
    let retraction = EncodedRow {
        row: None,
        event_time_micros: NOW - 5,
        sequence: 9,
        replacing: Some(trivium_proto::v1::Replacing { event_time_micros: NOW, sequence: 4 }),
        write_id: bytes::Bytes::new(),
        ..put
    };
    let request = encoded_put(fingerprint, vec![retraction.clone(), retraction]);
    let answer = online.batch_put(request).await.unwrap().into_inner();
    assert_eq!(outcomes(&answer.results), [Outcome::Applied, Outcome::Superseded]);
    assert_eq!(answer.results[0].event_time_micros, NOW - 5);
}

#[tokio::test]
async fn checkpoints_compare_and_set() {
    let fixture = Fixture::new();
    let mut pipeline = fixture.pipeline();
    let load = LoadCheckpointRequest { name: "flights/carrier_daily@1".to_owned() };
    assert_eq!(pipeline.load_checkpoint(load.clone()).await.unwrap().into_inner().value, None);
    let store = |expected: Option<&'static [u8]>, value: &'static [u8]| StoreCheckpointRequest {
        name: "flights/carrier_daily@1".to_owned(),
        expected: expected.map(bytes::Bytes::from_static),
        value: bytes::Bytes::from_static(value),
    };
    let mut stored =
        async |request| pipeline.store_checkpoint(request).await.unwrap().into_inner().stored;
    assert!(stored(store(None, b"a")).await);
    assert!(!stored(store(None, b"b")).await);
    assert!(stored(store(Some(b"a"), b"c")).await);
    assert_eq!(
        &pipeline.load_checkpoint(load).await.unwrap().into_inner().value.unwrap()[..],
        b"c"
    );
}

/// An event time is kept to the microsecond from one surface to the other.
#[tokio::test]
async fn rest_and_grpc_see_the_same_row() {
    let fixture = Fixture::new();
    let mut row = put_row(carrier("AA", "JFK"), &[("flights", Kind::Int64(1))]);
    row.event_time_micros = Some(NOW - 1);
    row.idempotency_key = bytes::Bytes::from_static(b"order-17");
    let put = PutRequest {
        view: "flights/carrier_daily@1".to_owned(),
        row: Some(row),
        ..Default::default()
    };
    fixture.online().put(put).await.unwrap();
    let retried = fixture
        .call(
            "put",
            r#"{"view":"flights/carrier_daily@1","rows":[{"entity":{"carrier":"AA","origin":"JFK"},"values":{"flights":2},"idempotency_key":"order-17"}]}"#,
        )
        .await;
    assert!(retried.contains(&Timestamp(NOW - 1).to_string()), "{retried}");
    assert!(retried.contains("APPLIED"), "{retried}");
}

#[tokio::test]
async fn reflection_knows_the_contract() {
    let set = prost_types::FileDescriptorSet::decode(trivium_proto::v1::DESCRIPTORS).unwrap();
    let services: Vec<&str> = set
        .file
        .iter()
        .filter(|file| file.package() == "trivium.v1")
        .flat_map(|file| file.service.iter().map(|service| service.name()))
        .collect();
    assert!(services.contains(&"OnlineService"), "{services:?}");
    assert!(services.contains(&"PipelineService"), "{services:?}");
}
