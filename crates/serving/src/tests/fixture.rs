//! A project small enough to read, served from memory.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use arc_swap::ArcSwap;
use axum::{
    body::Body,
    http::{Request, StatusCode},
};
use http_body_util::BodyExt;
use tonic::service::Routes;
use tower::ServiceExt;
use trivium_model::{FeatureService, FeatureView, Timestamp, config};
use trivium_proto::v1::{
    online_service_client::OnlineServiceClient, pipeline_service_client::PipelineServiceClient,
};
use trivium_registry::{Revision, Snapshot, StoredService, StoredView};
use trivium_runtime::Clock;
use trivium_store::MemoryStore;

use crate::{Definitions, Options, Serving, Stores};

/// 2014-01-01T00:00:00Z, the data clock of every test.
pub(crate) const NOW: i64 = 1_388_534_400_000_000;
/// The wall clock: revs are seeded from it.
pub(crate) const WALL: i64 = 1_700_000_000_000_000;

#[derive(Debug)]
pub(crate) struct TestClock(pub(crate) AtomicI64);

impl Clock for TestClock {
    fn now_micros(&self) -> i64 {
        self.0.load(Ordering::SeqCst)
    }
}

pub(crate) const CARRIER_DAILY: &str = r#"{
  "namespace": "flights", "name": "carrier_daily", "version": 1, "lane": "batch",
  "description": "Punctuality.", "owner": { "team": "ops", "contact": "ops@example.com" },
  "urgency_tier": 2,
  "entities": [ { "name": "carrier", "type": "string" }, { "name": "origin", "type": "string" } ],
  "event_timestamp": "event_ts",
  "features": [
    { "name": "flights", "type": "int64", "description": "Departures.", "default": 0 },
    { "name": "avg_dep_delay", "type": "float64", "description": "Mean delay." },
    { "name": "note", "type": "string", "description": "Remark.", "default": "none" }
  ],
  "schedule": { "every": "1d", "start": "2013-01-01" },
  "ttl": "14d", "online": true
}"#;

pub(crate) const ORIGIN_WEATHER: &str = r#"{
  "namespace": "flights", "name": "origin_weather", "version": 2, "lane": "direct",
  "description": "Weather.", "owner": { "team": "ops", "contact": "ops@example.com" },
  "urgency_tier": 2,
  "entities": [ { "name": "origin", "type": "string" } ],
  "event_timestamp": "event_ts",
  "features": [ { "name": "wind", "type": "float32", "description": "Wind, m/s.", "default": 1.5 } ],
  "online": true
}"#;

pub(crate) const OFFLINE_ONLY: &str = r#"{
  "namespace": "flights", "name": "offline_only", "version": 1, "lane": "direct",
  "description": "Not served.", "owner": { "team": "ops", "contact": "ops@example.com" },
  "urgency_tier": 3,
  "entities": [ { "name": "origin", "type": "string" } ],
  "event_timestamp": "event_ts",
  "features": [ { "name": "x", "type": "int64", "description": "X." } ],
  "online": false
}"#;

pub(crate) const EVERY_TYPE: &str = r#"{
  "namespace": "shop", "name": "every_type", "version": 1, "lane": "direct",
  "description": "Every type.", "owner": { "team": "shop", "contact": "shop@example.com" },
  "urgency_tier": 3,
  "entities": [ { "name": "user_id", "type": "int64" } ],
  "event_timestamp": "event_ts",
  "features": [
    { "name": "f_bool", "type": "bool", "description": "X." },
    { "name": "f_int32", "type": "int32", "description": "X." },
    { "name": "f_int64", "type": "int64", "description": "X." },
    { "name": "f_float32", "type": "float32", "description": "X." },
    { "name": "f_float64", "type": "float64", "description": "X." },
    { "name": "f_string", "type": "string", "description": "X." },
    { "name": "f_bytes", "type": "bytes", "description": "X." },
    { "name": "f_timestamp", "type": "timestamp", "description": "X." },
    { "name": "f_date", "type": "date", "description": "X." },
    { "name": "f_decimal", "type": { "decimal": { "precision": 10, "scale": 2 } }, "description": "X." },
    { "name": "f_list", "type": { "list": "int64" }, "description": "X." },
    { "name": "f_texts", "type": { "list": "string" }, "description": "X." },
    { "name": "f_vector", "type": { "embedding": { "dimension": 2, "metric": "cosine" } }, "description": "X." }
  ],
  "online": true
}"#;

pub(crate) const EVERY_KEY: &str = r#"{
  "namespace": "shop", "name": "every_key", "version": 1, "lane": "direct",
  "description": "Every key type.", "owner": { "team": "shop", "contact": "shop@example.com" },
  "urgency_tier": 3,
  "entities": [ { "name": "k_string", "type": "string" }, { "name": "k_int64", "type": "int64" },
                { "name": "k_bool", "type": "bool" }, { "name": "k_bytes", "type": "bytes" },
                { "name": "k_date", "type": "date" }, { "name": "k_timestamp", "type": "timestamp" } ],
  "event_timestamp": "event_ts",
  "features": [ { "name": "x", "type": "int64", "description": "X." } ],
  "online": true
}"#;

/// `origin` is an int64 here and a string in `flights`.
pub(crate) const OTHER_ORIGIN: &str = r#"{
  "namespace": "shop", "name": "other_origin", "version": 1, "lane": "direct",
  "description": "Another origin.", "owner": { "team": "shop", "contact": "shop@example.com" },
  "urgency_tier": 3,
  "entities": [ { "name": "origin", "type": "int64" } ],
  "event_timestamp": "event_ts",
  "features": [ { "name": "x", "type": "int64", "description": "X." } ],
  "online": true
}"#;

/// Somebody's data, for a week.
pub(crate) const VISIT: &str = r#"{
  "namespace": "shop", "name": "visit", "version": 1, "lane": "direct",
  "description": "A person's visits.", "owner": { "team": "shop", "contact": "shop@example.com" },
  "urgency_tier": 3,
  "entities": [ { "name": "user_id", "type": "int64" }, { "name": "page", "type": "string" } ],
  "event_timestamp": "event_ts", "subject": "user_id", "ttl": "7d",
  "features": [ { "name": "x", "type": "int64", "description": "X." },
                { "name": "y", "type": "int64", "description": "Y." } ],
  "online": true
}"#;

pub(crate) const DELAY_MODEL: &str = r#"{
  "namespace": "flights", "name": "delay_model", "version": 1, "description": "Delays.",
  "owner": { "team": "ops", "contact": "ops@example.com" },
  "features": [ "carrier_daily@1:flights", "origin_weather@2:wind" ]
}"#;

pub(crate) fn view(text: &str) -> FeatureView {
    let json: serde_json::Value = serde_json::from_str(text).unwrap();
    let path = format!(
        "{}/{}.v{}.json",
        json["namespace"].as_str().unwrap(),
        json["name"].as_str().unwrap(),
        json["version"]
    );
    config::parse_view(&path, text).unwrap_or_else(|errors| panic!("{errors:?}"))
}

fn service(text: &str) -> FeatureService {
    let json: serde_json::Value = serde_json::from_str(text).unwrap();
    let name = json["name"].as_str().unwrap();
    config::parse_service(&format!("flights/{name}.v1.service.json"), text)
        .unwrap_or_else(|errors| panic!("{errors:?}"))
}

/// A snapshot of these views; each list of layouts is the view's history, the current one last.
pub(crate) fn snapshot(revision: u64, histories: &[&[&str]]) -> Snapshot {
    let mut snapshot = Snapshot { revision: Revision(revision), ..Snapshot::default() };
    for history in histories {
        let views: Vec<FeatureView> = history.iter().map(|text| view(text)).collect();
        let current = views.last().unwrap().clone();
        let reference = current.reference();
        snapshot
            .layouts
            .insert(reference.clone(), views.iter().map(FeatureView::served_features).collect());
        let stored = StoredView {
            view: current,
            config_text: String::new(),
            sql_text: None,
            revision: Revision(revision),
            author: "test".to_owned(),
            at: Timestamp(WALL),
            reason: String::new(),
        };
        snapshot.views.insert(reference, Arc::new(stored));
    }
    add_service(&mut snapshot, DELAY_MODEL);
    snapshot
}

/// One more service of the namespace `flights`.
pub(crate) fn add_service(snapshot: &mut Snapshot, text: &str) {
    let service = service(text);
    let stored = StoredService {
        config_text: String::new(),
        revision: snapshot.revision,
        author: "test".to_owned(),
        at: Timestamp(WALL),
        reason: String::new(),
        service,
    };
    snapshot.services.insert(stored.service.reference(), Arc::new(stored));
}

pub(crate) const VIEWS: [&[&str]; 7] = [
    &[CARRIER_DAILY],
    &[ORIGIN_WEATHER],
    &[OFFLINE_ONLY],
    &[EVERY_TYPE],
    &[EVERY_KEY],
    &[OTHER_ORIGIN],
    &[VISIT],
];

pub(crate) struct Fixture {
    pub(crate) serving: Serving,
    pub(crate) data_clock: Arc<TestClock>,
    pub(crate) wall_clock: Arc<TestClock>,
    router: axum::Router,
}

impl Fixture {
    pub(crate) fn new() -> Self {
        Self::on(Arc::new(MemoryStore::new()))
    }

    pub(crate) fn on<S>(store: Arc<S>) -> Self
    where
        S: trivium_store::OnlineRead
            + trivium_store::OnlineWrite
            + trivium_store::Checkpoints
            + 'static,
    {
        Self::with_options(store, Options::default())
    }

    pub(crate) fn with_options<S>(store: Arc<S>, options: Options) -> Self
    where
        S: trivium_store::OnlineRead
            + trivium_store::OnlineWrite
            + trivium_store::Checkpoints
            + 'static,
    {
        Self::on_stores(Stores::of(store), &VIEWS, options)
    }

    /// These views on these stores.
    pub(crate) fn on_stores(stores: Stores, views: &[&[&str]], options: Options) -> Self {
        let definitions = Definitions::from_snapshot(&snapshot(1, views)).unwrap();
        let data_clock = Arc::new(TestClock(AtomicI64::new(NOW)));
        let wall_clock = Arc::new(TestClock(AtomicI64::new(WALL)));
        let serving = Serving::new(
            stores,
            Arc::new(ArcSwap::from_pointee(definitions)),
            data_clock.clone(),
            wall_clock.clone(),
            options,
        );
        let router = trivium_api::finish(serving.router());
        Self { serving, data_clock, wall_clock, router }
    }

    /// Posts a text as JSON; the answer's body must be JSON too.
    pub(crate) async fn post_text(
        &self,
        path: &str,
        body: impl Into<Body>,
    ) -> (StatusCode, String) {
        let request = Request::post(path)
            .header("content-type", "application/json")
            .body(body.into())
            .unwrap();
        self.send(request).await
    }

    pub(crate) async fn answer(&self, request: Request<Body>) -> axum::response::Response {
        self.router.clone().oneshot(request).await.unwrap()
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> (StatusCode, String) {
        let response = self.answer(request).await;
        assert!(response.headers().contains_key("x-request-id"));
        let status = response.status();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(bytes.to_vec()).unwrap())
    }

    /// Gets, puts or deletes; the answer must be a success.
    pub(crate) async fn call(&self, verb: &str, body: &str) -> String {
        let (status, answer) =
            self.post_text(&format!("/v1/features/online/{verb}"), body.to_owned()).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        // Whatever is written by hand must be JSON.
        let _: serde_json::Value = serde_json::from_str(&answer).unwrap();
        answer
    }

    pub(crate) fn online(&self) -> OnlineServiceClient<Routes> {
        OnlineServiceClient::new(trivium_api::grpc::finish_grpc(self.serving.grpc()))
            .max_decoding_message_size(usize::MAX)
            .max_encoding_message_size(usize::MAX)
    }

    pub(crate) fn pipeline(&self) -> PipelineServiceClient<Routes> {
        PipelineServiceClient::new(trivium_api::grpc::finish_grpc(self.serving.grpc()))
    }
}
