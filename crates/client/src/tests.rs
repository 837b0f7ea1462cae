//! Against a server that keeps what it is sent and answers from a script. The real one is met in
//! the integration tests.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use expect_test::{Expect, expect};
use prost::Message;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status, transport::Server};
use trivium_codec::{RowEncoder, Schema, ValueRef};
use trivium_model::{DataType, KeyValue, Lane, Name, Timestamp, Value};
use trivium_proto::v1::{
    self,
    batch_put_request::Rows,
    online_service_server::{OnlineService, OnlineServiceServer},
    pipeline_service_server::{PipelineService, PipelineServiceServer},
    registry_service_server::{RegistryService, RegistryServiceServer},
    write_result::Outcome,
};
use trivium_runtime::Kind;
use trivium_store::{
    Checkpoints, Condition, DoorError, DoorOp, DoorRequest, DoorRow, MemoryStore, Order, WriteDoor,
    WriteId, WriteOutcome,
};

use crate::{Client, Error, Options, wire};

#[derive(Debug, Clone, Default)]
struct Fake {
    puts: Arc<Mutex<Vec<v1::BatchPutRequest>>>,
    deletes: Arc<Mutex<Vec<v1::DeleteRequest>>>,
    /// What every call that writes answers instead.
    refusal: Arc<Mutex<Option<Status>>>,
    checkpoints: Arc<MemoryStore>,
}

impl Fake {
    fn results(&self, count: usize) -> Result<Vec<v1::WriteResult>, Status> {
        if let Some(status) = &*self.refusal.lock().unwrap() {
            return Err(status.clone());
        }
        let outcomes = [Outcome::Applied, Outcome::Superseded, Outcome::Conflict, Outcome::Failed];
        let result = |index: usize| {
            let outcome = outcomes[index % 4];
            v1::WriteResult {
                outcome: outcome as i32,
                rev: if outcome == Outcome::Failed { 0 } else { 40 + index as u64 },
                event_time_micros: 7,
                error: (outcome == Outcome::Failed).then(|| v1::ErrorDetail {
                    code: "DEADLINE_EXCEEDED".to_owned(),
                    message: "slow".to_owned(),
                    ..v1::ErrorDetail::default()
                }),
            }
        };
        Ok((0..count).map(result).collect())
    }
}

#[tonic::async_trait]
impl OnlineService for Fake {
    async fn erase_subject(
        &self,
        _: Request<v1::EraseSubjectRequest>,
    ) -> Result<Response<v1::EraseSubjectResponse>, Status> {
        Err(Status::unimplemented("not asked here"))
    }
    async fn get_erasure(
        &self,
        _: Request<v1::GetErasureRequest>,
    ) -> Result<Response<v1::GetErasureResponse>, Status> {
        Err(Status::unimplemented("not asked here"))
    }
    async fn get(&self, _: Request<v1::GetRequest>) -> Result<Response<v1::GetResponse>, Status> {
        Err(Status::unimplemented(""))
    }
    async fn batch_get(
        &self,
        _: Request<v1::BatchGetRequest>,
    ) -> Result<Response<v1::BatchGetResponse>, Status> {
        std::future::pending().await
    }
    async fn put(&self, _: Request<v1::PutRequest>) -> Result<Response<v1::PutResponse>, Status> {
        let result = self.results(1)?.pop();
        Ok(Response::new(v1::PutResponse { result }))
    }
    async fn batch_put(
        &self,
        request: Request<v1::BatchPutRequest>,
    ) -> Result<Response<v1::BatchPutResponse>, Status> {
        let request = request.into_inner();
        let count = match &request.rows {
            Some(Rows::Values(rows)) => rows.rows.len(),
            Some(Rows::Encoded(rows)) => rows.rows.len(),
            None => 0,
        };
        self.puts.lock().unwrap().push(request);
        Ok(Response::new(v1::BatchPutResponse { results: self.results(count)? }))
    }
    async fn delete(
        &self,
        request: Request<v1::DeleteRequest>,
    ) -> Result<Response<v1::DeleteResponse>, Status> {
        let request = request.into_inner();
        let results = self.results(request.rows.len())?;
        self.deletes.lock().unwrap().push(request);
        Ok(Response::new(v1::DeleteResponse { results }))
    }
    async fn search_nearest(
        &self,
        _: Request<v1::SearchNearestRequest>,
    ) -> Result<Response<v1::SearchNearestResponse>, Status> {
        Err(Status::unimplemented(""))
    }
}

#[tonic::async_trait]
impl PipelineService for Fake {
    async fn load_checkpoint(
        &self,
        request: Request<v1::LoadCheckpointRequest>,
    ) -> Result<Response<v1::LoadCheckpointResponse>, Status> {
        let value = self.checkpoints.load(&request.into_inner().name).await.unwrap();
        Ok(Response::new(v1::LoadCheckpointResponse { value }))
    }
    async fn store_checkpoint(
        &self,
        request: Request<v1::StoreCheckpointRequest>,
    ) -> Result<Response<v1::StoreCheckpointResponse>, Status> {
        let v1::StoreCheckpointRequest { name, expected, value } = request.into_inner();
        let stored = self.checkpoints.store(&name, expected.as_deref(), value).await.unwrap();
        Ok(Response::new(v1::StoreCheckpointResponse { stored }))
    }
}

const CONFIG: &str = r#"{
  "namespace": "shop", "name": "cart", "version": 1, "lane": "direct",
  "description": "A cart.", "owner": { "team": "t", "contact": "t@example.com" },
  "urgency_tier": 2,
  "entities": [ { "name": "shop", "type": "int64" }, { "name": "person", "type": "string" } ],
  "event_timestamp": "at",
  "features": [
    { "name": "total", "type": { "decimal": { "precision": 9, "scale": 2 } }, "description": "Sum." },
    { "name": "items", "type": { "list": "string" }, "description": "What." }
  ],
  "online": true
}"#;

#[tonic::async_trait]
impl RegistryService for Fake {
    async fn leave_erasure_order(
        &self,
        _: Request<v1::LeaveErasureOrderRequest>,
    ) -> Result<Response<v1::LeaveErasureOrderResponse>, Status> {
        Err(Status::unimplemented("not asked here"))
    }
    async fn list_erasure_orders(
        &self,
        _: Request<v1::ListErasureOrdersRequest>,
    ) -> Result<Response<v1::ListErasureOrdersResponse>, Status> {
        Err(Status::unimplemented("not asked here"))
    }
    async fn record_partitions(
        &self,
        _: Request<v1::RecordPartitionsRequest>,
    ) -> Result<Response<v1::RecordPartitionsResponse>, Status> {
        Err(Status::unimplemented("not asked here"))
    }
    async fn list_partitions(
        &self,
        _: Request<v1::ListPartitionsRequest>,
    ) -> Result<Response<v1::ListPartitionsResponse>, Status> {
        Err(Status::unimplemented("not asked here"))
    }
    async fn get_view(
        &self,
        request: Request<v1::GetViewRequest>,
    ) -> Result<Response<v1::GetViewResponse>, Status> {
        let reference = request.into_inner().reference;
        let config = CONFIG.to_owned();
        let record = v1::ViewRecord { reference, config, ..v1::ViewRecord::default() };
        Ok(Response::new(v1::GetViewResponse { revisions: vec![record] }))
    }
    async fn plan(
        &self,
        _: Request<v1::PlanRequest>,
    ) -> Result<Response<v1::PlanResponse>, Status> {
        Err(Status::unimplemented(""))
    }
    async fn apply(
        &self,
        _: Request<v1::ApplyRequest>,
    ) -> Result<Response<v1::ApplyResponse>, Status> {
        Err(Status::unimplemented(""))
    }
    async fn list_views(
        &self,
        _: Request<v1::ListViewsRequest>,
    ) -> Result<Response<v1::ListViewsResponse>, Status> {
        Err(Status::unimplemented(""))
    }
    async fn list_services(
        &self,
        _: Request<v1::ListServicesRequest>,
    ) -> Result<Response<v1::ListServicesResponse>, Status> {
        Err(Status::unimplemented(""))
    }
    async fn get_service(
        &self,
        _: Request<v1::GetServiceRequest>,
    ) -> Result<Response<v1::GetServiceResponse>, Status> {
        Err(Status::unimplemented(""))
    }
    async fn list_audit(
        &self,
        _: Request<v1::ListAuditRequest>,
    ) -> Result<Response<v1::ListAuditResponse>, Status> {
        Err(Status::unimplemented(""))
    }
}

async fn serve() -> (Fake, Client) {
    let fake = Fake::default();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let server = Server::builder()
        .add_service(OnlineServiceServer::new(fake.clone()))
        .add_service(PipelineServiceServer::new(fake.clone()))
        .add_service(RegistryServiceServer::new(fake.clone()));
    tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
    let client = Client::connect(&address).await.unwrap();
    (fake, client)
}

fn schema() -> Schema {
    Schema::new([(Name::new("total").unwrap(), DataType::Int64)]).unwrap()
}

fn put_row(order: Order) -> DoorRow {
    let schema = schema();
    let row = RowEncoder::new(&schema).encode(Lane::Batch, &[Some(ValueRef::Int64(1))]).unwrap();
    DoorRow {
        entity: vec![KeyValue::String("ann".into()), KeyValue::Int64(5)],
        op: DoorOp::PutRow { row, schema: schema.fingerprint() },
        order,
        condition: Condition::None,
        write_id: WriteId(0x0102),
    }
}

fn values(order: Order) -> DoorRow {
    let values = vec![
        (Name::new("total").unwrap(), Value::Decimal(-1250)),
        (Name::new("items").unwrap(), Value::List(vec![Value::String("x".into()), Value::Null])),
    ];
    DoorRow { op: DoorOp::PutValues(values), ..put_row(order) }
}

fn delete(order: Order) -> DoorRow {
    DoorRow { op: DoorOp::Delete, ..put_row(order) }
}

fn at(event_time: i64, sequence: u64) -> Order {
    Order::At { event_time: Timestamp(event_time), sequence: Some(sequence) }
}

fn request(rows: Vec<DoorRow>) -> DoorRequest {
    DoorRequest { view: "shop/cart@1".parse().unwrap(), lane: Lane::Batch, rows, deadline: None }
}

#[tokio::test]
async fn rows_travel_encoded_and_come_back_as_outcomes() {
    let (fake, client) = serve().await;
    let replacing = Order::Replacing {
        event_time: Timestamp(3),
        sequence: 4,
        new_event_time: Timestamp(7),
        new_sequence: 9,
    };
    let rows = vec![
        delete(at(7, 1)),
        put_row(at(7, 2)),
        put_row(replacing),
        put_row(at(7, 3)),
        put_row(replacing),
    ];
    let outcomes = client.write(request(rows)).await.unwrap();
    let puts = fake.puts.lock().unwrap();
    let [v1::BatchPutRequest { view, rows: Some(Rows::Encoded(encoded)), .. }] = &puts[..] else {
        panic!("{puts:?}");
    };
    assert_eq!(view, "shop/cart@1");
    assert_eq!(encoded.schema_fingerprint, schema().fingerprint().0);
    assert_eq!(encoded.lane(), v1::Lane::Batch);
    assert_eq!(encoded.rows[0].row, None);
    assert_eq!(encoded.rows[1].sequence, 2);
    assert_eq!(encoded.rows[1].write_id.len(), 16);
    assert_eq!(encoded.rows[1].write_id[..3], [2, 1, 0]);
    assert_eq!(
        encoded.rows[2].replacing,
        Some(v1::Replacing { event_time_micros: 3, sequence: 4 })
    );
    assert_eq!((encoded.rows[2].event_time_micros, encoded.rows[2].sequence), (7, 9));
    let Ok(WriteOutcome::Applied(stamp)) = &outcomes[0] else { panic!("{outcomes:?}") };
    assert_eq!((stamp.rev, stamp.sequence, stamp.deleted), (40, 1, true));
    assert_eq!(stamp.write_id, WriteId(0x0102));
    assert!(matches!(&outcomes[1], Ok(WriteOutcome::Superseded(stamp)) if stamp.rev == 41));
    assert!(matches!(&outcomes[2], Ok(WriteOutcome::Conflict(Some(stamp))) if stamp.rev == 42));
    assert!(matches!(&outcomes[3], Err(DoorError::Store(trivium_store::Error::Unknown(_)))));
    let Ok(WriteOutcome::Applied(stamp)) = &outcomes[4] else { panic!("{outcomes:?}") };
    assert_eq!((stamp.sequence, stamp.deleted), (9, false));
}

#[tokio::test]
async fn values_travel_by_name() {
    let (fake, client) = serve().await;
    let now = Order::Now { now: Timestamp(1) };
    let conditional = DoorRow { condition: Condition::Rev(0), ..values(at(5, 6)) };
    let outcomes =
        client.write(request(vec![values(now), conditional, delete(now)])).await.unwrap();
    assert_eq!(outcomes.len(), 3);
    let puts = fake.puts.lock().unwrap();
    let [v1::BatchPutRequest { rows: Some(Rows::Values(rows)), .. }] = &puts[..] else {
        panic!("{puts:?}");
    };
    let row = &rows.rows[0];
    assert_eq!(row.entity["shop"], wire::key_to_wire(&KeyValue::Int64(5)));
    assert_eq!(row.entity["person"], wire::key_to_wire(&KeyValue::String("ann".into())));
    assert_eq!(row.values["total"].kind, Some(v1::value::Kind::Decimal("-12.50".to_owned())));
    assert_eq!((row.event_time_micros, row.sequence, row.if_rev), (None, None, None));
    let row = &rows.rows[1];
    assert_eq!((row.event_time_micros, row.sequence, row.if_rev), (Some(5), Some(6), Some(0)));
    let deletes = fake.deletes.lock().unwrap();
    assert_eq!(deletes[0].rows[0].entity.len(), 2);
}

#[tokio::test]
async fn large_requests_are_cut_in_order() {
    let (fake, client) = serve().await;
    let rows: Vec<DoorRow> = (0..12_000).map(|number| put_row(at(7, number))).collect();
    assert_eq!(client.write(request(rows)).await.unwrap().len(), 12_000);
    let mut next = 0;
    for put in fake.puts.lock().unwrap().iter() {
        let Some(Rows::Encoded(encoded)) = &put.rows else { panic!("{put:?}") };
        assert!(encoded.rows.len() <= super::door::ENCODED_ROWS_MAX);
        for row in &encoded.rows {
            assert_eq!(row.sequence, next);
            next += 1;
        }
    }
    assert_eq!(next, 12_000);
}

#[tokio::test]
async fn what_cannot_travel_is_refused_before_anything_is_sent() {
    let (fake, client) = serve().await;
    let now = Order::Now { now: Timestamp(1) };
    let exact = DoorRow { condition: Condition::ExactRev(1), ..values(now) };
    let unknown = DoorRow {
        op: DoorOp::PutValues(vec![(Name::new("other").unwrap(), Value::Null)]),
        ..values(now)
    };
    let short = DoorRow { entity: vec![KeyValue::Int64(5)], ..values(now) };
    for (row, expected) in [
        (put_row(now), "rows[1]: an encoded row travels with event time and sequence"),
        (exact, "rows[1]: a condition on the exact rev"),
        (unknown, "rows[1].values.other: the view has no feature `other`"),
        (short, "rows[1].entity: 1 join key values, expected 2"),
    ] {
        let error = client.write(request(vec![values(now), row])).await.unwrap_err();
        let DoorError::Invalid { message, field, .. } = &error else { panic!("{error:?}") };
        assert!(format!("{field}: {message}").starts_with(expected), "{field}: {message}");
    }
    assert!(fake.puts.lock().unwrap().is_empty());
    assert!(client.write(request(vec![])).await.unwrap().is_empty());
}

#[tokio::test]
async fn refusals_keep_their_kind_field_and_help() {
    let (fake, client) = serve().await;
    let refuse = |kind: Kind, field: &str| {
        let detail = v1::ErrorDetail {
            code: kind.code().to_owned(),
            message: "no".to_owned(),
            field: field.to_owned(),
            help: "do this".to_owned(),
        };
        let code = tonic::Code::from_i32(kind.grpc());
        let details = Bytes::from(detail.encode_to_vec());
        *fake.refusal.lock().unwrap() = Some(Status::with_details(code, "no", details));
    };
    refuse(Kind::TooLarge, "rows");
    let error = client.put(v1::PutRequest::default()).await.unwrap_err();
    assert_eq!(error.kind(), Kind::TooLarge);
    assert_eq!(error.to_string(), "rows: no; do this");
    let write = || client.write(request(vec![put_row(at(1, 1))]));
    assert!(matches!(write().await, Err(DoorError::Invalid { field, .. }) if field == "rows"));
    refuse(Kind::NotFound, "view");
    assert!(matches!(write().await, Err(DoorError::UnknownView(_))));
    refuse(Kind::ResourceExhausted, "");
    assert!(matches!(write().await, Err(DoorError::Store(trivium_store::Error::Throttled(_)))));
    // A server that sheds may say when to come again.
    for (said, pause) in [
        ("1000", Some(Duration::from_secs(1))),
        ("0", Some(Duration::ZERO)),
        ("-1", None),
        ("soon", None),
        ("99999999999999999999", None),
    ] {
        if let Some(status) = fake.refusal.lock().unwrap().as_mut() {
            status.metadata_mut().insert("grpc-retry-pushback-ms", said.parse().unwrap());
        }
        let error = write().await.unwrap_err();
        assert_eq!(error.pause(), pause, "{said}: {error:?}");
        assert!(error.to_string().contains("no; do this"), "{said}: {error}");
        let error = client.put(v1::PutRequest::default()).await.unwrap_err();
        assert!(matches!(error, Error::Refused { pause: told, .. } if told == pause), "{error:?}");
        assert!(error.is_retryable());
    }
    refuse(Kind::Internal, "");
    let outcomes = write().await.unwrap();
    assert!(matches!(outcomes[..], [Err(DoorError::Store(trivium_store::Error::Unknown(_)))]));
    // Not the server's words, but the transport's.
    for status in [
        Status::unavailable("broken pipe"),
        Status::resource_exhausted("h2 protocol error: http2 error"),
    ] {
        *fake.refusal.lock().unwrap() = Some(status);
        let outcomes = write().await.unwrap();
        assert!(matches!(outcomes[..], [Err(DoorError::Store(trivium_store::Error::Unknown(_)))]));
    }
}

#[tokio::test]
async fn checkpoints_compare_and_set() {
    let (_, client) = serve().await;
    let value = Bytes::from_static;
    assert_eq!(client.load("a").await.unwrap(), None);
    assert!(client.store("a", None, value(b"")).await.unwrap());
    assert_eq!(client.load("a").await.unwrap(), Some(value(b"")));
    assert!(!client.store("a", None, value(b"1")).await.unwrap());
    assert!(client.store("a", Some(b""), value(b"1")).await.unwrap());
}

#[tokio::test]
async fn addresses_and_silence_are_told_clearly() {
    fn check(error: &Error, kind: Kind, expected: Expect) {
        assert_eq!(error.kind(), kind);
        expected.assert_eq(&error.to_string());
    }
    let error = Client::connect("https://127.0.0.1:7401").await.unwrap_err();
    check(
        &error,
        Kind::InvalidArgument,
        expect![
            "`https://127.0.0.1:7401` is no server address: `https` is not supported; write it as `http://127.0.0.1:7401`"
        ],
    );
    let error = Client::connect("127.0.0.1").await.unwrap_err();
    check(
        &error,
        Kind::InvalidArgument,
        expect![
            "`127.0.0.1` is no server address: it has no port; write it as `http://127.0.0.1:7401`"
        ],
    );
    // A port that was free a moment ago.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    drop(listener);
    let error = Client::connect(&address).await.unwrap_err();
    assert!(matches!(&error, Error::Connect { .. }), "{error}");
    assert!(
        error.to_string().contains("trivium dev") && error.to_string().contains("refused"),
        "{error}"
    );

    let (_, client) = serve().await;
    let options = Options { request_timeout: Duration::from_millis(20), ..Options::default() };
    let client = Client::connect_with(client.address(), options).await.unwrap();
    let error = client.batch_get(v1::BatchGetRequest::default()).await.unwrap_err();
    assert!(matches!(&error, Error::Unknown(_)), "{error:?}");
    assert!(error.is_retryable());
}

#[test]
fn values_come_back_from_the_wire() {
    let list = |item| DataType::List(Box::new(item));
    let decimal = DataType::Decimal { precision: 5, scale: 2 };
    for (data_type, value) in [
        (DataType::Bool, Value::Bool(true)),
        (DataType::Int32, Value::Int32(i32::MIN)),
        (DataType::Int64, Value::Int64(i64::MIN)),
        (DataType::Float32, Value::Float32(-0.0)),
        (DataType::Float64, Value::Float64(f64::INFINITY)),
        (DataType::String, Value::String("é".into())),
        (DataType::Bytes, Value::Bytes(vec![0, 255])),
        (DataType::Timestamp, Value::Timestamp(Timestamp(-1))),
        (DataType::Date, Value::Date(-1)),
        (decimal.clone(), Value::Decimal(-12_345)),
        (list(decimal), Value::List(vec![Value::Decimal(5), Value::Null])),
        (list(DataType::Int64), Value::List(vec![])),
        (DataType::Int64, Value::Null),
    ] {
        let wired = wire::value_to_wire(&data_type, &value);
        assert_eq!(wire::value_from_wire(&data_type, wired), Ok(value));
    }
    let wrong = wire::value_to_wire(&DataType::Int32, &Value::Int32(1));
    let refused = wire::value_from_wire(&DataType::Int64, wrong).unwrap_err();
    assert_eq!(refused, "expected int64, found int32");
}
