//! What the store is told beside keys and rows: how fresh, how long, whose.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use axum::{body::Body, http::Request};
use bytes::Bytes;
use trivium_codec::{Row, RowKey};
use trivium_proto::v1::{
    CachedRead, Consistency as WireConsistency, FeatureSelection, GetRequest, KeyValue,
    consistency::Mode, key_value,
};
use trivium_store::{
    Checkpoints, Consistency, Error, MemoryStore, OnlineRead, OnlineWrite, ReadOptions, RowWrite,
    WriteOutcome,
};

use super::fixture::Fixture;
use crate::Options;

#[derive(Default)]
struct Listening {
    store: MemoryStore,
    reads: Mutex<Vec<Consistency>>,
    writes: Mutex<Vec<(Option<Duration>, Option<String>)>>,
}

#[async_trait]
impl OnlineRead for Listening {
    async fn get(&self, keys: &[RowKey], options: &ReadOptions) -> Vec<Result<Option<Row>, Error>> {
        self.reads.lock().unwrap().push(options.consistency);
        self.store.get(keys, options).await
    }
}

#[async_trait]
impl OnlineWrite for Listening {
    async fn write(
        &self,
        writes: Vec<RowWrite>,
        seed_micros: u64,
        deadline: Option<Instant>,
    ) -> Vec<Result<WriteOutcome, Error>> {
        let told =
            writes.iter().map(|write| (write.ttl, write.subject.as_deref().map(str::to_owned)));
        self.writes.lock().unwrap().extend(told);
        self.store.write(writes, seed_micros, deadline).await
    }
}

#[async_trait]
impl Checkpoints for Listening {
    async fn load(&self, name: &str) -> Result<Option<Bytes>, Error> {
        self.store.load(name).await
    }
    async fn store(
        &self,
        name: &str,
        expected: Option<&[u8]>,
        value: Bytes,
    ) -> Result<bool, Error> {
        self.store.store(name, expected, value).await
    }
}

#[tokio::test]
async fn how_long_a_row_lives_and_whose_it_is() {
    let store = Arc::new(Listening::default());
    let fixture = Fixture::on(store.clone());
    let week = Some(Duration::from_secs(7 * 24 * 3600));
    let entity = r#""entity":{"user_id":7,"page":"a|b"}"#;
    // Whole, and merged with what is there.
    for values in [r#"{"x":1,"y":2}"#, r#"{"x":3}"#] {
        let row = format!(r#"{{{entity},"values":{values}}}"#);
        fixture.call("put", &format!(r#"{{"view":"shop/visit@1","rows":[{row}]}}"#)).await;
        let told = store.writes.lock().unwrap().drain(..).collect::<Vec<_>>();
        assert_eq!(told, [(week, Some("shop#user_id#i:7".to_owned()))]);
    }
    fixture
        .call(
            "put",
            r#"{"view":"flights/origin_weather@2","rows":[{"entity":{"origin":"JFK"},"values":{"wind":1}}]}"#,
        )
        .await;
    assert_eq!(*store.writes.lock().unwrap(), [(None, None)]);
}

#[tokio::test]
async fn how_fresh_an_answer_must_be() {
    let store = Arc::new(Listening::default());
    let fixture = Fixture::on(store.clone());
    let cached = Consistency::Cached { max_staleness: Duration::from_millis(500) };
    for (asked, told) in [
        ("", Consistency::Strong),
        (r#","consistency":"strong""#, Consistency::Strong),
        (r#","consistency":{"cached":{"max_staleness_ms":500}}"#, cached),
    ] {
        let body = format!(
            r#"{{"features":["flights/origin_weather@2"],"entities":[{{"origin":"JFK"}}]{asked}}}"#
        );
        fixture.call("get", &body).await;
        assert_eq!(store.reads.lock().unwrap().pop(), Some(told), "{asked}");
    }
    let mode = Mode::Cached(CachedRead { max_staleness_ms: 500 });
    for (consistency, told) in [
        (None, Consistency::Strong),
        (Some(WireConsistency { mode: None }), Consistency::Strong),
        (Some(WireConsistency { mode: Some(mode) }), cached),
    ] {
        let origin = KeyValue { kind: Some(key_value::Kind::String("JFK".to_owned())) };
        let request = GetRequest {
            selection: Some(FeatureSelection {
                features: vec!["flights/origin_weather@2".to_owned()],
                service: String::new(),
            }),
            entity: [("origin".to_owned(), origin)].into(),
            consistency,
            ..GetRequest::default()
        };
        fixture.online().get(request).await.unwrap();
        assert_eq!(store.reads.lock().unwrap().pop(), Some(told));
    }
}

#[tokio::test]
async fn who_is_shed_is_told_when_to_come_again() {
    let options = Options { requests_under_way_max: 0, ..Options::default() };
    let fixture = Fixture::with_options(Arc::new(MemoryStore::new()), options);
    let body = r#"{"features":["flights/origin_weather@2"],"entities":[]}"#;
    let request = Request::post("/v1/features/online/get")
        .header("content-type", "application/json")
        .body(Body::from(body))
        .unwrap();
    let answer = fixture.answer(request).await;
    assert_eq!(answer.status(), 429);
    assert_eq!(answer.headers()["retry-after"], "1");
    let refused = fixture.online().get(GetRequest::default()).await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::ResourceExhausted);
    assert_eq!(refused.metadata().get("grpc-retry-pushback-ms").unwrap(), "1000");
}
