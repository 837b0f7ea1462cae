use std::sync::Arc;

use axum::{
    body::Body,
    http::{Method, Request, header},
};
use expect_test::expect;
use serde_json::{Value as Json, json};
use trivium_registry::{MemoryRegistry, Registry, Revision};

use super::{LIVE, api, apply_body, post, router, send};

/// Every answer to a bad request: a status below 500, the one shape, and nothing changed.
#[tokio::test]
async fn bad_requests() {
    let registry = Arc::new(MemoryRegistry::new());
    let router = router(&api(registry.clone()));
    post(&router, "/v1/apply", &apply_body(LIVE, 0)).await;
    let long = "a".repeat(5000);
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let with = |key: &str, value: Json| {
        let mut body = apply_body(&LIVE.replace("Live.", "Alive."), 1);
        body[key] = value;
        body.to_string()
    };
    let without = |key: &str| {
        let mut body = apply_body(LIVE, 1);
        body.as_object_mut().unwrap().remove(key);
        body.to_string()
    };
    let json_type = Some("application/json");
    let posts: Vec<(&str, Option<&str>, String)> = vec![
        ("/v1/plan", json_type, String::new()),
        ("/v1/plan", json_type, "{".to_owned()),
        ("/v1/plan", json_type, "[]".to_owned()),
        ("/v1/plan", json_type, "null".to_owned()),
        ("/v1/plan", json_type, "{}".to_owned()),
        ("/v1/plan", json_type, r#"{"files": []}"#.to_owned()),
        ("/v1/plan", json_type, r#"{"files": {}}"#.to_owned()),
        ("/v1/plan", json_type, r#"{"files": [1]}"#.to_owned()),
        ("/v1/plan", json_type, r#"{"files": [{"path": "a"}]}"#.to_owned()),
        ("/v1/plan", json_type, r#"{"files": [{"path": 1, "text": ""}]}"#.to_owned()),
        ("/v1/plan", json_type, r#"{"files": [{"path": "", "text": ""}]}"#.to_owned()),
        ("/v1/plan", json_type, r#"{"files": [{"path": "a\u0000b", "text": ""}]}"#.to_owned()),
        ("/v1/plan", json_type, r#"{"files": [{"path": "a", "text": "", "mode": 1}]}"#.to_owned()),
        ("/v1/plan", json_type, r#"{"file": []}"#.to_owned()),
        ("/v1/plan", json_type, r#"{"files": [], "files": []}"#.to_owned()),
        ("/v1/plan", json_type, r#"{"files": []} x"#.to_owned()),
        ("/v1/plan", json_type, deep),
        ("/v1/plan", None, r#"{"files": []}"#.to_owned()),
        ("/v1/plan", Some("text/plain"), r#"{"files": []}"#.to_owned()),
        ("/v1/plan", json_type, " ".repeat(crate::limits::REQUEST_BYTES_MAX + 1)),
        ("/v1/plan?dry=1", json_type, r#"{"files": []}"#.to_owned()),
        ("/v1/apply", json_type, without("files")),
        ("/v1/apply", json_type, without("base_revision")),
        ("/v1/apply", json_type, without("author")),
        ("/v1/apply", json_type, with("files", json!([]))),
        ("/v1/apply", json_type, with("base_revision", json!(-1))),
        ("/v1/apply", json_type, with("base_revision", json!("1"))),
        ("/v1/apply", json_type, with("base_revision", json!(1.5))),
        ("/v1/apply", json_type, with("base_revision", json!(u64::MAX))),
        ("/v1/apply", json_type, with("author", json!(""))),
        ("/v1/apply", json_type, with("author", json!("a\nb"))),
        ("/v1/apply", json_type, with("author", json!(long.clone()))),
        ("/v1/apply", json_type, with("author", json!(null))),
        ("/v1/apply", json_type, with("reason", json!(long))),
        ("/v1/apply", json_type, with("reasn", json!("typo"))),
        ("/v1/apply", json_type, with("files", json!([{ "path": "stray.txt", "text": "" }]))),
    ];
    let gets = [
        "/v1/feature-views?namespace=Flights",
        "/v1/feature-views?namespace=",
        "/v1/feature-views?namspace=flights",
        "/v1/feature-views?namespace=a&namespace=b",
        "/v1/feature-views/flights/live/2",
        "/v1/feature-views/flights/none/1",
        "/v1/feature-views/flights/live/0",
        "/v1/feature-views/flights/live/01",
        "/v1/feature-views/flights/live/one",
        "/v1/feature-views/flights/live/99999999999",
        "/v1/feature-views/Flights/live/1",
        "/v1/feature-views/flights/li%20ve/1",
        "/v1/feature-views/flights/%ff/1",
        "/v1/feature-views/flights/li%2Fve/1",
        "/v1/feature-views/flights/live/1?at=1",
        "/v1/feature-views/flights/live",
        "/v1/feature-services/flights/model/9",
        "/v1/feature-services/flights/model/x",
        "/v1/feature-services?name=x",
        "/v1/audit?subject=live",
        "/v1/audit?subject=flights/live",
        "/v1/audit?since=-1",
        "/v1/audit?since=x",
        "/v1/audit?since=",
        "/v1/audit?since=99999999999999999999",
        "/v1/audit?limit=0",
        "/v1/audit?limit=1001",
        "/v1/audit?limit=+5",
        "/v1/audit?limit=5&limit=6",
        "/v1/audit?sinse=1",
        "/v1/plan",
        "/v1/nothing",
    ];
    let mut table = String::new();
    let mut cases = Vec::new();
    for (path, content_type, body) in posts {
        let mut request = Request::builder().method(Method::POST).uri(path);
        if let Some(content_type) = content_type {
            request = request.header(header::CONTENT_TYPE, content_type);
        }
        let shown = if body.len() > 90 { format!("{} bytes", body.len()) } else { body.clone() };
        cases.push((format!("POST {path} {shown}"), request.body(Body::from(body)).unwrap()));
    }
    for path in gets {
        cases.push((format!("GET {path}"), Request::get(path).body(Body::empty()).unwrap()));
    }
    assert!(cases.len() >= 60);
    for (label, request) in cases {
        let (status, answer) = send(&router, request).await;
        assert!(status.is_client_error(), "{label}: {status} {answer}");
        let keys: Vec<&String> = answer.as_object().unwrap().keys().collect();
        assert_eq!(keys, ["code", "message", "field", "help"], "{label}");
        let text = |key: &str| answer[key].as_str().unwrap().to_owned();
        assert!(!text("message").is_empty(), "{label}");
        let field =
            if text("field").is_empty() { String::new() } else { format!(" at {}", text("field")) };
        table.push_str(&format!(
            "{label}\n  {} {}{field}: {}\n",
            status.as_u16(),
            text("code"),
            text("message")
        ));
    }
    assert_eq!(registry.head().await.unwrap(), Revision(1));
    expect![[r#"
        POST /v1/plan 
          400 INVALID_ARGUMENT: the request body is empty
        POST /v1/plan {
          400 INVALID_ARGUMENT: the request body is not JSON: EOF while parsing an object at line 1 column 1
        POST /v1/plan []
          400 INVALID_ARGUMENT: invalid length 0, expected struct PlanRequest with 1 element at line 1 column 2
        POST /v1/plan null
          400 INVALID_ARGUMENT: invalid type: null, expected struct PlanRequest at line 1 column 4
        POST /v1/plan {}
          400 INVALID_ARGUMENT at files: missing field `files` at line 1 column 2
        POST /v1/plan {"files": []}
          400 INVALID_ARGUMENT at files: no files are given
        POST /v1/plan {"files": {}}
          400 INVALID_ARGUMENT at files: invalid type: map, expected a sequence at line 1 column 10
        POST /v1/plan {"files": [1]}
          400 INVALID_ARGUMENT at files[0]: invalid type: integer `1`, expected struct ConfigFile at line 1 column 12
        POST /v1/plan {"files": [{"path": "a"}]}
          400 INVALID_ARGUMENT at files[0].text: missing field `text` at line 1 column 24
        POST /v1/plan {"files": [{"path": 1, "text": ""}]}
          400 INVALID_ARGUMENT at files[0].path: invalid type: integer `1`, expected a string at line 1 column 21
        POST /v1/plan {"files": [{"path": "", "text": ""}]}
          400 INVALID_ARGUMENT at files[0].path: the path is empty or holds a control character
        POST /v1/plan {"files": [{"path": "a\u0000b", "text": ""}]}
          400 INVALID_ARGUMENT at files[0].path: the path is empty or holds a control character
        POST /v1/plan {"files": [{"path": "a", "text": "", "mode": 1}]}
          400 INVALID_ARGUMENT at files[0].mode: unknown field `mode` at line 1 column 43
        POST /v1/plan {"file": []}
          400 INVALID_ARGUMENT at file: unknown field `file` at line 1 column 7
        POST /v1/plan {"files": [], "files": []}
          400 INVALID_ARGUMENT at files: field `files` stands twice at line 1 column 21
        POST /v1/plan {"files": []} x
          400 INVALID_ARGUMENT: the request body is not JSON: trailing characters at line 1 column 15
        POST /v1/plan 200000 bytes
          400 INVALID_ARGUMENT at [0][0][0]: invalid type: sequence, expected a string at line 1 column 3
        POST /v1/plan {"files": []}
          415 INVALID_ARGUMENT at content-type: the request has no content type
        POST /v1/plan {"files": []}
          415 INVALID_ARGUMENT at content-type: the content type `text/plain` is not taken here
        POST /v1/plan 16777217 bytes
          413 TOO_LARGE: the request body is larger than 16777216 bytes
        POST /v1/plan?dry=1 {"files": []}
          400 INVALID_ARGUMENT at dry: unknown query parameter `dry`
        POST /v1/apply {"reason":"because","base_revision":1,"author":"Ann"}
          400 INVALID_ARGUMENT at files: missing field `files` at line 1 column 53
        POST /v1/apply 774 bytes
          400 INVALID_ARGUMENT at base_revision: missing field `base_revision` at line 1 column 774
        POST /v1/apply 777 bytes
          400 INVALID_ARGUMENT at author: missing field `author` at line 1 column 777
        POST /v1/apply {"files":[],"base_revision":1,"author":"Ann","reason":"because"}
          400 INVALID_ARGUMENT at files: no files are given
        POST /v1/apply 794 bytes
          400 INVALID_ARGUMENT at base_revision: invalid value: integer `-1`, expected u64 at line 1 column 759
        POST /v1/apply 795 bytes
          400 INVALID_ARGUMENT at base_revision: invalid type: string "1", expected u64 at line 1 column 760
        POST /v1/apply 795 bytes
          400 INVALID_ARGUMENT at base_revision: invalid type: floating point `1.5`, expected u64 at line 1 column 760
        POST /v1/apply 812 bytes
          409 CONFLICT at base_revision: planned against revision 18446744073709551615 but the registry is at 1: plan again
        POST /v1/apply 790 bytes
          400 INVALID_ARGUMENT at author: the author is missing
        POST /v1/apply 794 bytes
          400 INVALID_ARGUMENT at author: the author holds a control character
        POST /v1/apply 5790 bytes
          400 INVALID_ARGUMENT at author: the author is longer than 256 bytes
        POST /v1/apply 792 bytes
          400 INVALID_ARGUMENT at author: invalid type: null, expected a string at line 1 column 772
        POST /v1/apply 5786 bytes
          400 INVALID_ARGUMENT at reason: the reason is longer than 4096 bytes
        POST /v1/apply 808 bytes
          400 INVALID_ARGUMENT at reasn: unknown field `reasn` at line 1 column 800
        POST /v1/apply 94 bytes
          400 INVALID_ARGUMENT at files: stray.txt:1:1: error[unknown-file]: the file lies in no namespace's folder, a configs folder holds `<namespace>/<view>.v<N>.json`, `<namespace>/<view>.v<N>.sql` and `<namespace>/<name>.v<N>.service.json`
        GET /v1/feature-views?namespace=Flights
          400 INVALID_ARGUMENT at namespace: `Flights` is not a name: use a lower-case letter, then lower-case letters, digits and `_`, at most 63 in all
        GET /v1/feature-views?namespace=
          400 INVALID_ARGUMENT at namespace: `` is not a name: use a lower-case letter, then lower-case letters, digits and `_`, at most 63 in all
        GET /v1/feature-views?namspace=flights
          400 INVALID_ARGUMENT at namspace: unknown query parameter `namspace`
        GET /v1/feature-views?namespace=a&namespace=b
          400 INVALID_ARGUMENT at namespace: the query parameter `namespace` stands twice
        GET /v1/feature-views/flights/live/2
          404 NOT_FOUND: feature view `flights/live@2` is not in the registry
        GET /v1/feature-views/flights/none/1
          404 NOT_FOUND: feature view `flights/none@1` is not in the registry
        GET /v1/feature-views/flights/live/0
          400 INVALID_ARGUMENT at version: `0` is not a version
        GET /v1/feature-views/flights/live/01
          400 INVALID_ARGUMENT at version: `01` is not a version
        GET /v1/feature-views/flights/live/one
          400 INVALID_ARGUMENT at version: `one` is not a version
        GET /v1/feature-views/flights/live/99999999999
          400 INVALID_ARGUMENT at version: `99999999999` is not a version
        GET /v1/feature-views/Flights/live/1
          400 INVALID_ARGUMENT at namespace: `Flights` is not a name: use a lower-case letter, then lower-case letters, digits and `_`, at most 63 in all
        GET /v1/feature-views/flights/li%20ve/1
          400 INVALID_ARGUMENT at view: `li ve` is not a name: use a lower-case letter, then lower-case letters, digits and `_`, at most 63 in all
        GET /v1/feature-views/flights/%ff/1
          400 INVALID_ARGUMENT: Invalid URL: Invalid UTF-8 in `view`
        GET /v1/feature-views/flights/li%2Fve/1
          400 INVALID_ARGUMENT at view: `li/ve` is not a name: use a lower-case letter, then lower-case letters, digits and `_`, at most 63 in all
        GET /v1/feature-views/flights/live/1?at=1
          400 INVALID_ARGUMENT at at: unknown query parameter `at`
        GET /v1/feature-views/flights/live
          404 NOT_FOUND: there is nothing at `/v1/feature-views/flights/live`
        GET /v1/feature-services/flights/model/9
          404 NOT_FOUND: feature service `flights/model@9` is not in the registry
        GET /v1/feature-services/flights/model/x
          400 INVALID_ARGUMENT at version: `x` is not a version
        GET /v1/feature-services?name=x
          400 INVALID_ARGUMENT at name: unknown query parameter `name`
        GET /v1/audit?subject=live
          400 INVALID_ARGUMENT at subject: `live` is not a view reference: write `namespace/view@version`, as in `flights/carrier_daily@1`
        GET /v1/audit?subject=flights/live
          400 INVALID_ARGUMENT at subject: `flights/live` is not a view reference: write `namespace/view@version`, as in `flights/carrier_daily@1`
        GET /v1/audit?since=-1
          400 INVALID_ARGUMENT at since: `-1` is not a whole number in range
        GET /v1/audit?since=x
          400 INVALID_ARGUMENT at since: `x` is not a whole number in range
        GET /v1/audit?since=
          400 INVALID_ARGUMENT at since: `` is not a whole number in range
        GET /v1/audit?since=99999999999999999999
          400 INVALID_ARGUMENT at since: `99999999999999999999` is not a whole number in range
        GET /v1/audit?limit=0
          400 INVALID_ARGUMENT at limit: 0 is not a limit from 1 to 1000
        GET /v1/audit?limit=1001
          400 INVALID_ARGUMENT at limit: 1001 is not a limit from 1 to 1000
        GET /v1/audit?limit=+5
          400 INVALID_ARGUMENT at limit: ` 5` is not a whole number in range
        GET /v1/audit?limit=5&limit=6
          400 INVALID_ARGUMENT at limit: the query parameter `limit` stands twice
        GET /v1/audit?sinse=1
          400 INVALID_ARGUMENT at sinse: unknown query parameter `sinse`
        GET /v1/plan
          405 INVALID_ARGUMENT: `/v1/plan` does not take GET
        GET /v1/nothing
          404 NOT_FOUND: there is nothing at `/v1/nothing`
    "#]].assert_eq(&table);
}
