mod bad_requests;
mod partitions;

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use axum::{
    Router,
    body::{Body, to_bytes},
    http::{Request, StatusCode, header},
};
use expect_test::{Expect, expect};
use serde_json::{Value as Json, json};
use tonic::Code;
use tower::Service;
use trivium_api::ApiError;
use trivium_model::{ServiceRef, ViewRef};
use trivium_proto::v1::{self as wire, registry_service_server::RegistryService};
use trivium_registry::{
    Apply, AuditEntry, AuditFilter, Error, MemoryRegistry, Registry, Revision, Snapshot,
    SnapshotWatch, StoredService, StoredView, WatchOptions,
};
use trivium_runtime::FixedClock;

use crate::RegistryApi;

const LIVE: &str = r#"{
  "namespace": "flights", "name": "live", "version": 1, "lane": "direct",
  "description": "Live.", "owner": { "team": "ops", "contact": "ops@example.com" }, "urgency_tier": 2,
  "entities": [ { "name": "carrier", "type": "string" } ], "event_timestamp": "event_ts",
  "features": [ { "name": "delay", "type": "int64", "description": "Minutes." } ], "online": true
}"#;
const MODEL: &str = r#"{ "namespace": "flights", "name": "model", "version": 1, "description": "A model.",
  "owner": { "team": "ops", "contact": "ops@example.com" }, "features": ["live@1:delay"] }"#;

/// 2014-01-01T00:00:00.000001Z
const NOW: FixedClock = FixedClock(1_388_534_400_000_001);

fn api(registry: Arc<dyn Registry>) -> RegistryApi {
    RegistryApi::new(registry, Arc::new(NOW))
}

fn router(api: &RegistryApi) -> Router {
    trivium_api::finish(api.router())
}

fn files(live: &str) -> Json {
    json!([
        { "path": "flights/live.v1.json", "text": live },
        { "path": "flights/model.v1.service.json", "text": MODEL },
    ])
}

fn apply_body(live: &str, base: u64) -> Json {
    json!({ "files": files(live), "base_revision": base, "author": "Ann", "reason": "because" })
}

async fn send(router: &Router, request: Request<Body>) -> (StatusCode, Json) {
    let response = router.clone().call(request).await.unwrap();
    let status = response.status();
    let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
    (status, serde_json::from_slice(&body).unwrap())
}

async fn get(router: &Router, path: &str) -> (StatusCode, Json) {
    send(router, Request::get(path).body(Body::empty()).unwrap()).await
}

async fn post(router: &Router, path: &str, body: &Json) -> (StatusCode, Json) {
    let request = Request::post(path)
        .header(header::CONTENT_TYPE, "application/json")
        .body(Body::from(body.to_string()))
        .unwrap();
    send(router, request).await
}

fn check_json(found: &Json, expected: Expect) {
    expected.assert_eq(&serde_json::to_string_pretty(found).unwrap());
}

#[tokio::test]
async fn plan_apply_and_read_back() {
    let registry = Arc::new(MemoryRegistry::new());
    let watch = SnapshotWatch::new(registry.clone(), WatchOptions::default()).await.unwrap();
    let router = router(&api(registry.clone()).with_watch(watch.clone()));

    let (status, planned) = post(&router, "/v1/plan", &json!({ "files": files(LIVE) })).await;
    assert_eq!(status, 200);
    check_json(
        &planned,
        expect![[r#"
        {
          "base_revision": 0,
          "changes": [
            {
              "subject": "flights/live@1",
              "class": "new",
              "reasons": [],
              "allowed": true,
              "refusal": "",
              "diff": ""
            },
            {
              "subject": "flights/model@1",
              "class": "new",
              "reasons": [],
              "allowed": true,
              "refusal": "",
              "diff": ""
            }
          ],
          "errors": [],
          "notices": []
        }"#]],
    );
    assert_eq!(registry.head().await.unwrap(), Revision(0), "a plan changes nothing");

    let (status, applied) = post(&router, "/v1/apply", &apply_body(LIVE, 0)).await;
    assert_eq!((status.as_u16(), applied["revision"].as_u64()), (200, Some(1)));
    assert_eq!(applied["changes"].as_array().unwrap().len(), 2);
    assert_eq!(watch.current().revision, Revision(1), "served before the apply is answered");

    let live = LIVE.replace("Minutes.", "Whole minutes.");
    let (status, applied) = post(&router, "/v1/apply", &apply_body(&live, 1)).await;
    assert_eq!(status, 200);
    check_json(
        &applied,
        expect![[r#"
        {
          "revision": 2,
          "changes": [
            {
              "subject": "flights/live@1",
              "class": "cosmetic",
              "reasons": [
                "cosmetic: features.delay.description: the text changed"
              ],
              "allowed": true,
              "refusal": "",
              "diff": "--- flights/live.v1.json\n+++ flights/live.v1.json\n@@ -2,5 +2,5 @@\n   \"namespace\": \"flights\", \"name\": \"live\", \"version\": 1, \"lane\": \"direct\",\n   \"description\": \"Live.\", \"owner\": { \"team\": \"ops\", \"contact\": \"ops@example.com\" }, \"urgency_tier\": 2,\n   \"entities\": [ { \"name\": \"carrier\", \"type\": \"string\" } ], \"event_timestamp\": \"event_ts\",\n-  \"features\": [ { \"name\": \"delay\", \"type\": \"int64\", \"description\": \"Minutes.\" } ], \"online\": true\n+  \"features\": [ { \"name\": \"delay\", \"type\": \"int64\", \"description\": \"Whole minutes.\" } ], \"online\": true\n }\n\\ No newline at end of file\n"
            }
          ]
        }"#]],
    );

    let (_, views) = get(&router, "/v1/feature-views?namespace=flights").await;
    assert_eq!(views["views"][0]["config"], live);
    let (_, none) = get(&router, "/v1/feature-views?namespace=none").await;
    assert_eq!(none, json!({ "revision": 2, "views": [] }));
    let (_, history) = get(&router, "/v1/feature-views/flights/live/1").await;
    assert_eq!(history["revisions"].as_array().unwrap().len(), 2);
    assert_eq!(history["revisions"][0]["config"], LIVE);
    let (_, services) = get(&router, "/v1/feature-services").await;
    check_json(
        &services,
        expect![[r#"
        {
          "revision": 2,
          "services": [
            {
              "reference": "flights/model@1",
              "config": "{ \"namespace\": \"flights\", \"name\": \"model\", \"version\": 1, \"description\": \"A model.\",\n  \"owner\": { \"team\": \"ops\", \"contact\": \"ops@example.com\" }, \"features\": [\"live@1:delay\"] }",
              "revision": 1,
              "author": "Ann",
              "at": "2014-01-01T00:00:00.000001Z",
              "reason": "because"
            }
          ]
        }"#]],
    );
    let (_, history) = get(&router, "/v1/feature-services/flights/model/1").await;
    assert_eq!(history["revisions"][0]["config"], MODEL);
    let (_, audit) = get(&router, "/v1/audit?subject=flights/live@1&since=2&limit=1").await;
    check_json(
        &audit,
        expect![[r#"
        {
          "entries": [
            {
              "revision": 2,
              "ordinal": 0,
              "action": "update",
              "subject": "flights/live@1",
              "detail": "cosmetic: features.delay.description: the text changed",
              "author": "Ann",
              "at": "2014-01-01T00:00:00.000001Z",
              "reason": "because"
            }
          ]
        }"#]],
    );
    let (_, audit) = get(&router, "/v1/audit").await;
    assert_eq!(audit["entries"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn an_apply_is_refused_as_a_whole() {
    let registry = Arc::new(MemoryRegistry::new());
    let router = router(&api(registry.clone()));
    post(&router, "/v1/apply", &apply_body(LIVE, 0)).await;
    let before = registry.snapshot(None).await.unwrap();

    let changed = LIVE.replace("\"Minutes.\"", "\"Minutes.\", \"default\": 0");
    let refused = post(&router, "/v1/apply", &apply_body(&changed, 1)).await;
    assert_eq!(refused.0, 422);
    check_json(
        &refused.1,
        expect![[r#"
        {
          "code": "FAILED_PRECONDITION",
          "message": "flights/live@1: the change of `features.delay.default` changes what the values mean, so it needs a new version: leave version 1 as it was and write the change to `flights/live.v2.json` with \"version\": 2; version 1 is read by flights/model@1",
          "field": "files",
          "help": "nothing was applied; the plan says what each change is"
        }"#]],
    );
    let stale = post(&router, "/v1/apply", &apply_body(LIVE, 0)).await;
    assert_eq!(stale.0, 409);
    check_json(
        &stale.1,
        expect![[r#"
        {
          "code": "CONFLICT",
          "message": "planned against revision 0 but the registry is at 1: plan again",
          "field": "base_revision",
          "help": "plan again, look at what changed, apply the new plan"
        }"#]],
    );
    let ahead = post(&router, "/v1/apply", &apply_body(LIVE, 7)).await;
    assert_eq!(ahead.0, 409);
    let wrong = LIVE.replace("\"int64\"", "\"int46\"").replace("\"online\"", "\"onlin\"");
    let wrong = post(&router, "/v1/apply", &apply_body(&wrong, 1)).await;
    assert_eq!(wrong.0, 400);
    check_json(
        &wrong.1,
        expect![[r#"
        {
          "code": "INVALID_ARGUMENT",
          "message": "flights/live.v1.json:5:44: error[unknown-word]: `int46` is not a type, did you mean `int64`?\nflights/live.v1.json:5:84: error[unknown-field]: unknown field `onlin` in a feature view, did you mean `online`?",
          "field": "files",
          "help": "nothing was applied; correct the files"
        }"#]],
    );
    let nothing = post(&router, "/v1/apply", &apply_body(LIVE, 1)).await;
    assert_eq!(nothing, (StatusCode::OK, json!({ "revision": 1, "changes": [] })));

    assert_eq!(registry.snapshot(None).await.unwrap(), before);
}

#[tokio::test]
async fn a_plan_of_wrong_files_says_what_is_wrong() {
    let router = router(&api(Arc::new(MemoryRegistry::new())));
    let wrong = LIVE.replace("\"int64\"", "\"int46\"");
    let (status, planned) = post(&router, "/v1/plan", &json!({ "files": files(&wrong) })).await;
    assert_eq!(status, 200);
    check_json(
        &planned,
        expect![[r#"
        {
          "base_revision": 0,
          "changes": [],
          "errors": [
            {
              "path": "flights/live.v1.json",
              "line": 5,
              "column": 44,
              "code": "unknown-word",
              "message": "`int46` is not a type",
              "help": "did you mean `int64`?"
            }
          ],
          "notices": []
        }"#]],
    );
}

#[tokio::test]
async fn grpc_says_the_same() {
    let registry = Arc::new(MemoryRegistry::new());
    let api = api(registry.clone());
    let files = |live: &str| {
        let file = |path: &str, text: &str| wire::ConfigFile {
            path: path.to_owned(),
            text: text.to_owned(),
        };
        vec![file("flights/live.v1.json", live), file("flights/model.v1.service.json", MODEL)]
    };
    let apply = |live: &str, base| {
        tonic::Request::new(wire::ApplyRequest {
            files: files(live),
            base_revision: base,
            author: "Ann".to_owned(),
            reason: String::new(),
        })
    };
    let plan = |live: &str| tonic::Request::new(wire::PlanRequest { files: files(live) });
    let planned = api.plan(plan(LIVE)).await.unwrap().into_inner();
    assert_eq!(planned.changes.len(), 2);
    assert_eq!(planned.changes[0].class(), wire::change::Class::New);
    assert_eq!(api.apply(apply(LIVE, 0)).await.unwrap().into_inner().revision, 1);

    let changed = LIVE.replace("\"Minutes.\"", "\"Minutes.\", \"default\": 0");
    let planned = api.plan(plan(&changed)).await.unwrap().into_inner();
    assert_eq!(planned.base_revision, 1);
    assert_eq!(planned.changes[0].class(), wire::change::Class::Behaviour);
    assert!(!planned.changes[0].allowed && planned.changes[0].refusal.contains("version"));
    let wrong = api.plan(plan("{")).await.unwrap().into_inner();
    assert_eq!((wrong.changes.len(), wrong.errors[0].line), (0, 1));

    let listed =
        api.list_views(tonic::Request::new(Default::default())).await.unwrap().into_inner();
    assert_eq!((listed.revision, listed.views[0].config.as_str()), (1, LIVE));
    assert_eq!(listed.views[0].at_micros, NOW.0);
    let listed =
        api.list_services(tonic::Request::new(Default::default())).await.unwrap().into_inner();
    assert_eq!(listed.services[0].reference, "flights/model@1");
    let named = || wire::GetViewRequest { reference: "flights/live@1".to_owned() };
    let found = api.get_view(tonic::Request::new(named())).await.unwrap().into_inner();
    assert_eq!(found.revisions.len(), 1);
    let named = || wire::GetServiceRequest { reference: "flights/model@1".to_owned() };
    let found = api.get_service(tonic::Request::new(named())).await.unwrap().into_inner();
    assert_eq!(found.revisions[0].config, MODEL);
    let audit = api.list_audit(tonic::Request::new(Default::default())).await.unwrap().into_inner();
    assert_eq!(audit.entries.len(), 2);

    let code = |status: tonic::Status| {
        let error = ApiError::from_status(&status);
        (status.code(), error.kind.code().to_owned(), error.field)
    };
    let said = |code: Code, word: &str, field: &str| (code, word.to_owned(), field.to_owned());
    let refused = api.apply(apply(&changed, 1)).await.unwrap_err();
    assert_eq!(code(refused), said(Code::FailedPrecondition, "FAILED_PRECONDITION", "files"));
    let stale = api.apply(apply(LIVE, 0)).await.unwrap_err();
    assert_eq!(code(stale), said(Code::Aborted, "CONFLICT", "base_revision"));
    let wrong = api.apply(apply("{", 1)).await.unwrap_err();
    assert_eq!(code(wrong), said(Code::InvalidArgument, "INVALID_ARGUMENT", "files"));
    let none = api.plan(tonic::Request::new(Default::default())).await.unwrap_err();
    assert_eq!(code(none), said(Code::InvalidArgument, "INVALID_ARGUMENT", "files"));
    let missing = wire::GetViewRequest { reference: "flights/live@2".to_owned() };
    let missing = api.get_view(tonic::Request::new(missing)).await.unwrap_err();
    assert_eq!(code(missing), said(Code::NotFound, "NOT_FOUND", ""));
    for reference in
        ["", "live", "flights/live", "flights/live@0", "flights/live@1:delay", "a b/c@1"]
    {
        let bad = wire::GetViewRequest { reference: reference.to_owned() };
        let bad = api.get_view(tonic::Request::new(bad)).await.unwrap_err();
        assert_eq!(code(bad), said(Code::InvalidArgument, "INVALID_ARGUMENT", "reference"));
    }
    let bad = wire::ListViewsRequest { namespace: "A".to_owned() };
    let bad = api.list_views(tonic::Request::new(bad)).await.unwrap_err();
    assert_eq!(code(bad), said(Code::InvalidArgument, "INVALID_ARGUMENT", "namespace"));
    let bad = wire::ListAuditRequest { limit: 1001, ..Default::default() };
    let bad = api.list_audit(tonic::Request::new(bad)).await.unwrap_err();
    assert_eq!(code(bad), said(Code::InvalidArgument, "INVALID_ARGUMENT", "limit"));
    assert_eq!(registry.head().await.unwrap(), Revision(1));
}

/// What serving nodes ask every second.
#[tokio::test]
async fn a_snapshot_is_sent_once() {
    let registry = Arc::new(MemoryRegistry::new());
    let router = router(&api(registry.clone()));
    post(&router, "/v1/apply", &apply_body(LIVE, 0)).await;
    let ask = |tag: Option<&'static str>| {
        let mut request = Request::get("/v1/snapshot");
        if let Some(tag) = tag {
            request = request.header(header::IF_NONE_MATCH, tag);
        }
        tower::ServiceExt::oneshot(router.clone(), request.body(Body::empty()).unwrap())
    };
    for tag in [None, Some("\"7\""), Some("1")] {
        let answer = ask(tag).await.unwrap();
        assert_eq!(
            (answer.status(), answer.headers()[header::ETAG].as_bytes()),
            (StatusCode::OK, &b"\"1\""[..])
        );
        let body = to_bytes(answer.into_body(), usize::MAX).await.unwrap();
        let text = std::str::from_utf8(&body).unwrap();
        let snapshot = trivium_registry::Snapshot::from_text(text).unwrap();
        let whole = registry.snapshot(None).await.unwrap();
        assert_eq!((snapshot.views, snapshot.services), (whole.views, whole.services));
    }
    assert_eq!(ask(Some("\"1\"")).await.unwrap().status(), StatusCode::NOT_MODIFIED);
}

/// Fails every call with the error that is set.
#[derive(Default)]
struct Broken(Mutex<Option<fn() -> Error>>);

impl Broken {
    fn fail<T>(&self) -> Result<T, Error> {
        Err(self.0.lock().unwrap().unwrap()())
    }
}

#[async_trait]
impl Registry for Broken {
    async fn head(&self) -> Result<Revision, Error> {
        self.fail()
    }
    async fn snapshot(&self, _: Option<Revision>) -> Result<Snapshot, Error> {
        self.fail()
    }
    async fn apply(&self, _: Apply) -> Result<Revision, Error> {
        self.fail()
    }
    async fn view_history(&self, _: &ViewRef) -> Result<Vec<StoredView>, Error> {
        self.fail()
    }
    async fn service_history(&self, _: &ServiceRef) -> Result<Vec<StoredService>, Error> {
        self.fail()
    }
    async fn audit(&self, _: &AuditFilter) -> Result<Vec<AuditEntry>, Error> {
        self.fail()
    }
}

#[tokio::test]
async fn a_registry_that_is_away_or_damaged() {
    let broken = Arc::new(Broken::default());
    let router = router(&api(broken.clone()));
    type Case = (fn() -> Error, u16, &'static str);
    let cases: [Case; 2] = [
        (|| Error::Unavailable("locked".to_owned()), 503, "UNAVAILABLE"),
        (|| Error::Corrupt("page 7".to_owned()), 500, "DATA_LOSS"),
    ];
    for (error, status, code) in cases {
        *broken.0.lock().unwrap() = Some(error);
        for path in
            ["/v1/feature-views", "/v1/feature-views/a/b/1", "/v1/feature-services", "/v1/audit"]
        {
            let found = get(&router, path).await;
            assert_eq!(
                (found.0.as_u16(), found.1["code"].as_str()),
                (status, Some(code)),
                "{path}"
            );
        }
        let found = post(&router, "/v1/apply", &apply_body(LIVE, 0)).await;
        assert_eq!((found.0.as_u16(), found.1["code"].as_str()), (status, Some(code)));
    }
}

#[test]
fn the_description_names_every_path() {
    let described = serde_json::to_value(crate::openapi()).unwrap();
    let paths: Vec<&String> = described["paths"].as_object().unwrap().keys().collect();
    expect![[r#"
        [
            "/v1/apply",
            "/v1/audit",
            "/v1/erasure-orders",
            "/v1/feature-services",
            "/v1/feature-services/{namespace}/{service}/{version}",
            "/v1/feature-views",
            "/v1/feature-views/{namespace}/{view}/{version}",
            "/v1/partitions",
            "/v1/plan",
            "/v1/snapshot",
        ]
    "#]]
    .assert_debug_eq(&paths);
}
