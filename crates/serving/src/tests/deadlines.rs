//! Callers that say how long they wait: over every surface they are told in time that it was too long,
//! and stores are not asked for longer.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use async_trait::async_trait;
use axum::{body::Body, http::Request};
use bytes::Bytes;
use http_body_util::BodyExt as _;
use prost::Message as _;
use tower::ServiceExt as _;
use trivium_codec::{Row, RowKey};
use trivium_proto::v1::BatchGetRequest;
use trivium_store::{
    Checkpoints, Error, MemoryStore, OnlineRead, OnlineWrite, ReadOptions, RowWrite, WriteOutcome,
};

use super::fixture::Fixture;
use crate::Options;

const GET: &str = r#"{"features":["flights/carrier_daily@1:flights"],"entities":[{"carrier":"AA","origin":"JFK"}]}"#;
const PUT: &str = r#"{"view":"flights/carrier_daily@1","rows":[{"entity":{"carrier":"AA","origin":"JFK"},"values":{"flights":1,"avg_dep_delay":1.0,"note":"x"}}]}"#;
const AN_HOUR: Duration = Duration::from_secs(3_600);

/// Hears until when it may take its time; takes for ever if it is told to.
#[derive(Default)]
struct Hearing {
    rows: MemoryStore,
    heard: Mutex<Vec<Option<Instant>>>,
    hangs: AtomicBool,
}

impl Hearing {
    async fn hear(&self, deadline: Option<Instant>) {
        self.heard.lock().unwrap().push(deadline);
        if self.hangs.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
    }
    /// How long it has at most, counted from then; of all that was asked.
    fn longest_since(&self, then: Instant) -> Duration {
        let heard = std::mem::take(&mut *self.heard.lock().unwrap());
        heard.into_iter().map(|deadline| deadline.unwrap() - then).max().unwrap()
    }
}

#[async_trait]
impl OnlineRead for Hearing {
    async fn get(&self, keys: &[RowKey], options: &ReadOptions) -> Vec<Result<Option<Row>, Error>> {
        self.hear(options.deadline).await;
        self.rows.get(keys, options).await
    }
}

#[async_trait]
impl OnlineWrite for Hearing {
    async fn write(
        &self,
        writes: Vec<RowWrite>,
        seed_micros: u64,
        deadline: Option<Instant>,
    ) -> Vec<Result<WriteOutcome, Error>> {
        self.hear(deadline).await;
        self.rows.write(writes, seed_micros, deadline).await
    }
}

#[async_trait]
impl Checkpoints for Hearing {
    async fn load(&self, name: &str) -> Result<Option<Bytes>, Error> {
        self.rows.load(name).await
    }
    async fn store(
        &self,
        name: &str,
        expected: Option<&[u8]>,
        value: Bytes,
    ) -> Result<bool, Error> {
        self.rows.store(name, expected, value).await
    }
}

fn patient() -> (Arc<Hearing>, Fixture) {
    let store = Arc::new(Hearing::default());
    let options = Options { store_time_ms_max: 3_600_000, ..Options::default() };
    (store.clone(), Fixture::with_options(store, options))
}

fn rest(verb: &str, body: &'static str, timeout: Option<&str>) -> Request<Body> {
    let path = format!("/v1/features/online/{verb}");
    let mut request = Request::post(path).header("content-type", "application/json");
    if let Some(timeout) = timeout {
        request = request.header("grpc-timeout", timeout);
    }
    request.body(body.into()).unwrap()
}

fn message() -> BatchGetRequest {
    use trivium_proto::v1::{FeatureSelection, KeyColumn, StringList, key_column::Values};
    let column = |name: &str, value: &str| KeyColumn {
        name: name.to_owned(),
        values: Some(Values::Strings(StringList { values: vec![value.to_owned()] })),
    };
    BatchGetRequest {
        selection: Some(FeatureSelection {
            features: vec!["flights/carrier_daily@1:flights".to_owned()],
            service: String::new(),
        }),
        entities: vec![column("carrier", "AA"), column("origin", "JFK")],
        ..BatchGetRequest::default()
    }
}

#[tokio::test]
async fn stores_are_not_asked_for_longer_than_the_caller_waits() {
    let (store, fixture) = patient();
    for (verb, body) in [("get", GET), ("put", PUT)] {
        let then = Instant::now();
        let (status, answer) = fixture.send(rest(verb, body, None)).await;
        assert_eq!(status, 200, "{answer}");
        assert!(store.longest_since(then) >= AN_HOUR, "{verb}");
        for (timeout, seconds) in [("2M", 120), ("99S", 99), ("9H", 3_700)] {
            let (status, answer) = fixture.send(rest(verb, body, Some(timeout))).await;
            assert_eq!(status, 200, "{answer}");
            let longest = store.longest_since(Instant::now());
            assert!(longest <= Duration::from_secs(seconds), "{verb} {timeout}: {longest:?}");
        }
    }
    let mut request = tonic::Request::new(message());
    request.set_timeout(Duration::from_secs(60));
    fixture.online().batch_get(request).await.unwrap();
    assert!(store.longest_since(Instant::now()) <= Duration::from_secs(60));
}

#[tokio::test]
async fn whoever_has_waited_for_so_long_is_told_by_every_surface() {
    let (store, fixture) = patient();
    store.hangs.store(true, Ordering::Relaxed);
    for (verb, body) in [("get", GET), ("put", PUT)] {
        let (status, answer) = fixture.send(rest(verb, body, Some("30m"))).await;
        assert_eq!(status, 504, "{answer}");
        assert!(answer.contains(r#""code":"DEADLINE_EXCEEDED""#), "{answer}");
    }
    let mut request = tonic::Request::new(message());
    request.set_timeout(Duration::from_millis(30));
    let status = fixture.online().batch_get(request).await.unwrap_err();
    assert_eq!(status.code(), tonic::Code::DeadlineExceeded, "{status:?}");
    assert_eq!(
        trivium_api::ApiError::from_status(&status).kind,
        trivium_runtime::Kind::DeadlineExceeded
    );
    // By the Connect protocol.
    let services = trivium_api::grpc::finish_grpc(fixture.serving.grpc()).into_axum_router();
    let router = trivium_api::finish(fixture.serving.router());
    let request = Request::post("/trivium.v1.OnlineService/BatchGet")
        .header("content-type", "application/proto")
        .header("connect-timeout-ms", "30")
        .body(Body::from(message().encode_to_vec()))
        .unwrap();
    let answer = trivium_api::grpc::with_grpc(router, services).oneshot(request).await.unwrap();
    assert_eq!(answer.status(), 504);
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(body["code"], "deadline_exceeded", "{body}");
}

#[tokio::test]
async fn a_time_out_that_is_none_is_refused() {
    let (_, fixture) = patient();
    for timeout in ["", "soon", "5", "-1S", "123456789m"] {
        let (status, answer) = fixture.send(rest("get", GET, Some(timeout))).await;
        assert_eq!(status, 400, "{timeout}: {answer}");
        assert!(answer.contains(r#""field":"grpc-timeout""#), "{answer}");
    }
}
