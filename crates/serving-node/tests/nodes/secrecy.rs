//! Nothing that callers send comes out of logs and traces: marked values, entity keys, subjects and embeddings
//! go through every operation, well-formed and not, over REST and gRPC, with everything logged and followed.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use opentelemetry_proto::tonic::trace::v1::Span;
use reqwest::Method;
use serde_json::{Value as Json, json};
use trivium_client::v1::{
    BatchGetRequest, EraseSubjectRequest, FeatureSelection, GetRequest, KeyColumn, KeyValue,
    PutRequest, PutRow, StringList, Value, key_column, key_value,
    online_service_client::OnlineServiceClient, value,
};
use trivium_testkit::OpenSearch;

use crate::{
    collector::Collector,
    support::{Node, SESSION, World, http},
};

/// In every text that is sent.
const MARK: &str = "zqsentinel";
const NUMBER: i64 = 7_391_826_450_192_837;
const FRACTION: f64 = 0.739_182_645_001_9;
/// Of embeddings: rounded to float32 it begins likewise.
const COMPONENT: f64 = 0.618_03;
/// Their beginnings, however they are rounded or cut.
const DIGITS: [&str; 3] = ["73918264", "0.7391826", "0.6180"];

const DOSSIER: &str = r#"{
  "namespace": "shop", "name": "dossier", "version": 1, "lane": "direct",
  "description": "What nobody may see.", "owner": { "team": "shop", "contact": "shop@example.com" },
  "urgency_tier": 1, "entities": [ { "name": "person", "type": "string" } ],
  "event_timestamp": "event_ts", "subject": "person",
  "features": [
    { "name": "text", "type": "string", "description": "X." },
    { "name": "number", "type": "int64", "description": "X." },
    { "name": "fraction", "type": "float64", "description": "X." },
    { "name": "raw", "type": "bytes", "description": "X." },
    { "name": "tags", "type": { "list": "string" }, "description": "X." },
    { "name": "picture", "type": { "embedding": { "dimension": 2, "metric": "l2" } }, "description": "X." }
  ],
  "online": true
}"#;

fn entity(number: u32) -> Json {
    json!({ "person": format!("{MARK}-person-{number}") })
}

fn values() -> Json {
    json!({
        "text": format!("{MARK} text"), "number": NUMBER, "fraction": FRACTION,
        "raw": STANDARD.encode(format!("{MARK} raw")), "tags": [format!("{MARK} tag")],
        "picture": [COMPONENT, 1.0],
    })
}

/// Sends a request, followed, and gives the answer's status and text.
async fn ask(node: &Node, path: &str, body: impl Into<reqwest::Body>) -> (u16, String) {
    let request = http().post(format!("{}{path}", node.http)).header("traceparent", followed());
    let request = request.header("x-request-id", format!("{MARK}-request"));
    let request = request.header("content-type", "application/json");
    let answer = request.body(body).send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

fn followed() -> String {
    format!("00-{:032x}-00f067aa0ba902b7-01", 7)
}

fn with_parent<T>(message: T) -> tonic::Request<T> {
    let mut request = tonic::Request::new(message);
    request.metadata_mut().insert("traceparent", followed().parse().unwrap());
    request
}

fn put(rows: &Json) -> String {
    json!({ "view": "shop/dossier@1", "rows": rows }).to_string()
}

fn get(entities: &Json) -> String {
    json!({ "features": ["shop/dossier@1"], "entities": entities }).to_string()
}

const GET: &str = "/v1/features/online/get";
const PUT: &str = "/v1/features/online/put";
const DELETE: &str = "/v1/features/online/delete";
const SEARCH: &str = "/v1/features/online/search";
const ERASE: &str = "/v1/subjects/erase";

async fn well_formed(node: &Node) {
    let row = |number: u32| json!({ "entity": entity(number), "values": values() });
    let (status, answer) = ask(node, PUT, put(&json!([row(1), row(2), row(3)]))).await;
    assert_eq!((status, answer.matches("APPLIED").count()), (200, 3), "{answer}");
    // Parts of a row; a condition that does not hold; one that comes too late.
    let part = json!({ "entity": entity(1), "values": { "text": format!("{MARK} other") } });
    let conflict = json!({ "entity": entity(2), "values": values(), "if_rev": 77 });
    let late = json!({ "entity": entity(3), "values": values(), "event_time": "2001-01-01T00:00:00Z",
        "idempotency_key": format!("{MARK}-key") });
    let (status, answer) = ask(node, PUT, put(&json!([part, conflict, late]))).await;
    assert!(
        status == 200 && answer.contains("CONFLICT") && answer.contains("SUPERSEDED"),
        "{answer}"
    );
    // Cold, then from the cache; and a row that is not there.
    for _ in 0..2 {
        let (status, answer) = ask(node, GET, get(&json!([entity(1), entity(2), entity(9)]))).await;
        assert!(status == 200 && answer.contains(MARK), "what is looked for is there: {answer}");
    }
    for near in [json!({ "vector": [COMPONENT, 1.0] }), json!({ "entity": entity(1) })] {
        let mut body = json!({ "feature": "shop/dossier@1:picture", "k": 5,
            "features": ["shop/dossier@1:text"],
            "filter": { "all": [{ "equals": { "text": format!("{MARK} text") } },
                                { "range": { "number": { "gte": NUMBER } } }] } });
        body.as_object_mut().unwrap().extend(near.as_object().unwrap().clone());
        let (status, answer) = ask(node, SEARCH, body.to_string()).await;
        assert_eq!(status, 200, "{answer}");
    }
    let body = json!({ "view": "shop/dossier@1", "rows": [{ "entity": entity(3) }] });
    assert_eq!(ask(node, DELETE, body.to_string()).await.0, 200);
    let erasure = json!({ "namespace": "shop", "subject": entity(2), "reason": format!("{MARK} reason"),
        "requested_by": format!("{MARK}@example.com"), "request_id": format!("{MARK}-case") });
    let (status, answer) = ask(node, ERASE, erasure.to_string()).await;
    assert_eq!(status, 200, "{answer}");
    let asked = json!({ "namespace": "shop", "subject": entity(2) });
    assert_eq!(ask(node, "/v1/subjects/erasure", asked.to_string()).await.0, 200);
}

async fn malformed(node: &Node) {
    let wrong =
        |name: &str, value: Json| put(&json!([{ "entity": entity(1), "values": { name: value } }]));
    let search = |vector: Json| {
        json!({ "feature": "shop/dossier@1:picture", "k": 5, "vector": vector }).to_string()
    };
    for (path, body) in [
        (PUT, wrong("number", json!(format!("{MARK} text")))),
        (PUT, wrong("text", json!(NUMBER))),
        (PUT, wrong("fraction", json!(MARK))),
        (PUT, wrong("raw", json!(format!("{MARK}!")))),
        (PUT, wrong("picture", json!([COMPONENT, COMPONENT, COMPONENT]))),
        (PUT, wrong(MARK, json!(NUMBER))),
        (PUT, put(&json!([{ "entity": { "person": NUMBER }, "values": {} }]))),
        (PUT, put(&json!([{ "entity": { MARK: MARK }, "values": {} }]))),
        (PUT, put(&json!([{ "entity": { "person": MARK.repeat(300) }, "values": {} }]))),
        (PUT, format!("{{ \"view\": \"shop/dossier@1\", \"rows\": [{{ \"{MARK}")),
        (PUT, json!({ "view": MARK, "rows": [] }).to_string()),
        (PUT, format!("{MARK} {NUMBER}")),
        (GET, get(&json!([{ MARK: MARK }]))),
        (GET, json!({ "features": [MARK], "entities": [entity(1)] }).to_string()),
        (GET, json!({ "service": MARK, "entities": [entity(1)] }).to_string()),
        (GET, json!({ MARK: NUMBER }).to_string()),
        (SEARCH, search(json!([COMPONENT]))),
        (SEARCH, search(json!([MARK, NUMBER]))),
        (ERASE, json!({ "namespace": "shop", "subject": { MARK: MARK } }).to_string()),
        (ERASE, json!({ "namespace": MARK, "subject": entity(1) }).to_string()),
    ] {
        let (status, answer) = ask(node, path, body.clone()).await;
        assert!((400..500).contains(&status), "{path} {body}: {status} {answer}");
    }
    // Paths, queries and methods that are not there.
    for (method, path) in [
        (Method::POST, format!("/v1/{MARK}")),
        (Method::GET, format!("{GET}?{MARK}={NUMBER}")),
        (Method::from_bytes(b"ZQSENTINEL").unwrap(), GET.to_owned()),
    ] {
        let request = http().request(method, format!("{}{path}", node.http));
        request.header("traceparent", followed()).send().await.unwrap();
    }
}

async fn over_grpc(node: &Node) {
    let mut client = OnlineServiceClient::connect(node.grpc.clone()).await.unwrap();
    let key = |number: u32| {
        let text = format!("{MARK}-person-{number}");
        [("person".to_owned(), KeyValue { kind: Some(key_value::Kind::String(text)) })].into()
    };
    let text = |text: &str| Value { kind: Some(value::Kind::String(format!("{MARK} {text}"))) };
    let row = |name: &str| PutRow {
        entity: key(1),
        values: [(name.to_owned(), text("text"))].into(),
        ..PutRow::default()
    };
    for (name, is_good) in [("text", true), ("number", false), (MARK, false)] {
        let view = "shop/dossier@1".to_owned();
        let request = PutRequest { view, row: Some(row(name)), ..PutRequest::default() };
        assert_eq!(client.put(with_parent(request)).await.is_ok(), is_good, "{name}");
    }
    for (feature, is_good) in [("shop/dossier@1", true), (MARK, false)] {
        let selection = || {
            Some(FeatureSelection { features: vec![feature.to_owned()], service: String::new() })
        };
        let request =
            GetRequest { selection: selection(), entity: key(1), ..GetRequest::default() };
        assert_eq!(client.get(with_parent(request)).await.is_ok(), is_good);
        let people = StringList { values: vec![format!("{MARK}-person-1")] };
        let column = KeyColumn {
            name: "person".to_owned(),
            values: Some(key_column::Values::Strings(people)),
        };
        let request = BatchGetRequest {
            selection: selection(),
            entities: vec![column],
            ..BatchGetRequest::default()
        };
        assert_eq!(client.batch_get(with_parent(request)).await.is_ok(), is_good);
    }
    let request = EraseSubjectRequest { namespace: MARK.to_owned(), ..Default::default() };
    client.erase_subject(with_parent(request)).await.unwrap_err();
    // A method that is not there, of a service that is.
    let call = http().post(format!("{}/trivium.v1.OnlineService/{MARK}", node.http));
    let call = call.header("content-type", "application/grpc").header("traceparent", followed());
    call.send().await.unwrap();
}

/// Says where a mark stands, if one does.
fn seek(what: &str, text: &str) {
    let text = text.to_lowercase();
    let base64 = STANDARD.encode(format!("{MARK} raw")).to_lowercase();
    let bytes = format!("{:?}", MARK.as_bytes());
    let bytes = bytes.trim_matches(['[', ']']).to_owned();
    let needles = [MARK.to_owned(), base64, bytes].into_iter();
    for needle in needles.chain(DIGITS.map(str::to_owned)) {
        if let Some(at) = text.find(&needle) {
            let from = text[..at].rfind('\n').map_or(0, |line| line + 1);
            let line = text[from..].lines().next().unwrap();
            panic!("`{needle}` in {what}: {}", &line[..line.len().min(2_000)]);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_callers_send_stays_out_of_logs_and_traces() {
    let (world, collector) = (World::new("secrecy").await, Collector::start().await);
    let search = OpenSearch::start().unwrap();
    world.apply(&[("shop/session.v1.json", SESSION), ("shop/dossier.v1.json", DOSSIER)]).await;
    let more = format!(
        "\n[opensearch]\nendpoint = \"{}\"\nreplicas = 0\nrefresh_ms = 200\nattempt_timeout_ms = 20000\n\n\
         [erasure]\nindex_lag_ms = 500\nwait_ms_max = 20000\n\n\
         [traces]\notlp_endpoint = \"{}\"\nsample_ratio = 1\nqueue_spans_max = 100000\n",
        search.endpoint(),
        collector.endpoint
    );
    let config = world.config("a", &more);
    let made = world.command(&config, &["stores", "init"]);
    assert!(made.status.success(), "{made:?}");
    let node = Node::start_with(&config, &[("TRIVIUM_LOG", "trace")]);
    node.until_cached().await;
    well_formed(&node).await;
    malformed(&node).await;
    over_grpc(&node).await;
    // The stores are lost: what is logged of failures holds nothing either.
    world.valkey.as_ref().unwrap().lock().unwrap().server().signal("KILL").unwrap();
    drop(search);
    ask(&node, PUT, put(&json!([{ "entity": entity(5), "values": values() }]))).await;
    ask(&node, GET, get(&json!([entity(1), entity(5)]))).await;
    let near = json!({ "feature": "shop/dossier@1:picture", "k": 5, "vector": [COMPONENT, 1.0] });
    ask(&node, SEARCH, near.to_string()).await;
    ask(&node, ERASE, json!({ "namespace": "shop", "subject": entity(5) }).to_string()).await;

    // The last of all, and so everything before it.
    let erasures =
        |spans: &[Span]| spans.iter().filter(|span| span.name == format!("POST {ERASE}")).count();
    let spans = collector.until("all requests", |spans| erasures(spans) == 4).await;
    for system in ["aws.dynamodb", "valkey", "opensearch"] {
        assert!(format!("{spans:?}").contains(system), "{system} is told of");
    }
    seek("the spans", &format!("{spans:#?}"));
    let log = node.log();
    // What is looked through is there: our lines, in their traces, and those of others down to their level.
    assert!(log.contains(&format!("trace{{id={:032x}}}", 7)), "{log}");
    assert!(log.contains("DEBUG ") && log.contains("trivium_"), "{log}");
    seek("the log", &log);
    for noisy in ["hyper", "h2::", "aws_", "fred", "reqwest", "sqlx", "tower"] {
        let lines = log.lines().filter(|line| line.contains(noisy));
        let low = lines.filter(|line| line.contains("DEBUG") || line.contains("TRACE"));
        assert_eq!(low.count(), 0, "{noisy}");
    }
}
