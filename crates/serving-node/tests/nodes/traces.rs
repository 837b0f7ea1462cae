//! Requests followed down to the stores, by a collector that speaks the wire's protocol.

use std::{
    io::Read as _,
    net::TcpListener,
    path::PathBuf,
    time::{Duration, Instant},
};

use opentelemetry_proto::tonic::trace::v1::Span;
use serde_json::{Value as Json, json};
use trivium_client::v1::{
    BatchGetRequest, FeatureSelection, GetRequest, Int64List, KeyColumn, KeyValue, PutRequest,
    PutRow, Value, key_column, key_value, online_service_client::OnlineServiceClient, value,
};

use crate::{
    collector::{Collector, attributes, call, hex},
    support::{Node, PATIENCE, RegistryServer, World, free_port, http},
};

/// Of the request that called us.
const PARENT: &str = "00f067aa0ba902b7";
const GET: &str = "/v1/features/online/get";
const PUT: &str = "/v1/features/online/put";

/// A caller's trace, by its number.
fn trace(number: u8) -> String {
    format!("{number:032x}")
}

fn parent(number: u8, flags: &str) -> String {
    format!("00-{}-{PARENT}-{flags}", trace(number))
}

fn config(world: &World, endpoint: &str, more: &str) -> PathBuf {
    world.config("a", &format!("\n[traces]\notlp_endpoint = \"{endpoint}\"\n{more}"))
}

async fn send(node: &Node, path: &str, parent: &str, body: &Json) -> Json {
    let request = http().post(format!("{}{path}", node.http)).header("traceparent", parent);
    let answer = request.json(body).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    answer.json().await.unwrap()
}

fn get_body(users: &[i64]) -> Json {
    let entities: Vec<Json> = users.iter().map(|user| json!({ "user_id": user })).collect();
    json!({ "features": ["shop/session@1"], "entities": entities })
}

fn put_body(user: i64) -> Json {
    let row = json!({ "entity": { "user_id": user }, "values": { "clicks": 1, "page": "p" } });
    json!({ "view": "shop/session@1", "rows": [row] })
}

fn with_parent<T>(message: T, parent: &str) -> tonic::Request<T> {
    let mut request = tonic::Request::new(message);
    request.metadata_mut().insert("traceparent", parent.parse().unwrap());
    request.metadata_mut().insert("tracestate", "vendor=opaque".parse().unwrap());
    request
}

fn of_trace(spans: &[Span], number: u8) -> Vec<Span> {
    spans.iter().filter(|span| hex(&span.trace_id) == trace(number)).cloned().collect()
}

/// The request's span of a trace, once the calls below it are there too, in this order.
async fn followed(collector: &Collector, number: u8, calls: &[&str]) -> (Span, Vec<Span>) {
    let whole = |spans: &[Span]| {
        let spans = of_trace(spans, number);
        spans.iter().any(|span| hex(&span.parent_span_id) == PARENT)
            && calls.iter().all(|wanted| spans.iter().any(|span| call(span) == *wanted))
    };
    let spans = of_trace(&collector.until(&calls.join(", "), whole).await, number);
    let roots: Vec<&Span> =
        spans.iter().filter(|span| hex(&span.parent_span_id) == PARENT).collect();
    let [root] = roots[..] else { panic!("one span of the request: {roots:#?}") };
    assert_eq!(root.kind, 2, "a server's");
    let mut below: Vec<Span> = spans.iter().filter(|span| *span != root).cloned().collect();
    below.sort_by_key(|span| span.start_time_unix_nano);
    for span in &below {
        assert_eq!(span.parent_span_id, root.span_id, "{span:#?}");
        assert_eq!(span.kind, 3, "a client's: {span:#?}");
        assert!(span.events.is_empty() && span.end_time_unix_nano >= span.start_time_unix_nano);
    }
    let mut order = below.iter().map(call);
    for wanted in calls {
        assert!(order.any(|call| call == *wanted), "{wanted} in its turn: {below:#?}");
    }
    (root.clone(), below)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_is_one_trace_down_to_the_stores() {
    let (world, collector) = (World::new("traces").await, Collector::start().await);
    let keys = world.command(&world.config("keys", ""), &["keys", "new", "ranking"]);
    let keys = String::from_utf8(keys.stdout).unwrap();
    let mut keys = keys.lines().map(|line| line.split_once(": ").unwrap().1);
    let (key, line) = (keys.next().unwrap(), keys.next().unwrap());
    std::fs::write(world.folder.path().join("keys.txt"), line).unwrap();
    let more = "sample_ratio = 0\n\n[auth]\nkeys_file = \"keys.txt\"\n";
    let node = Node::start(&config(&world, &collector.endpoint, more));
    node.until_cached().await;

    // A write: fenced in the cache, into the table, out of its fence.
    let ask = async |path: &str, number: u8, body: &Json| {
        let request = http().post(format!("{}{path}", node.http)).bearer_auth(key);
        let request = request.header("traceparent", parent(number, "01")).json(body);
        let answer = request.send().await.unwrap();
        let status = answer.status();
        assert_eq!(status, 200, "{:?}", answer.text().await);
    };
    ask(PUT, 1, &put_body(1)).await;
    let steps = ["valkey EVALSHA", "aws.dynamodb TransactWriteItems", "valkey EVALSHA"];
    let (root, below) = followed(&collector, 1, &steps).await;
    assert_eq!(root.name, format!("POST {PUT}"));
    let of_root = attributes(&root);
    for (name, value) in [
        ("http.request.method", "POST"),
        ("http.route", PUT),
        ("http.response.status_code", "200"),
        ("trivium.views", "shop/session@1"),
        ("trivium.entities", "1"),
        ("trivium.lane", "direct"),
        ("trivium.caller", "ranking"),
    ] {
        assert_eq!(of_root.get(name).map(String::as_str), Some(value), "{name}: {of_root:?}");
    }
    let fence = attributes(below.iter().find(|span| call(span) == steps[0]).unwrap());
    assert_eq!(fence["db.stored_procedure.name"], "fence");
    let write = below.iter().find(|span| call(span) == steps[1]).unwrap();
    assert_eq!(write.name, "TransactWriteItems traces");
    assert_eq!(attributes(write)["db.collection.name"], "traces");

    // A read: past the cache, to the table.
    ask(GET, 2, &get_body(&[1, 2, 3])).await;
    let steps = ["valkey MGET", "aws.dynamodb BatchGetItem"];
    let (root, _) = followed(&collector, 2, &steps).await;
    assert_eq!(root.name, format!("POST {GET}"));
    let of_root = attributes(&root);
    assert_eq!(of_root["trivium.entities"], "3");
    assert_eq!(of_root["trivium.consistency"], "strong");
    assert_eq!(root.status.unwrap_or_default().code, 0);

    // The same over gRPC, on both addresses.
    let mut number = 3;
    for address in [&node.grpc, &node.http] {
        let mut client = OnlineServiceClient::connect(address.clone()).await.unwrap();
        let user = 10 + i64::from(number);
        let bearer: tonic::metadata::MetadataValue<_> = format!("Bearer {key}").parse().unwrap();
        let users = key_column::Values::Int64s(Int64List { values: vec![user, user + 1] });
        let column = KeyColumn { name: "user_id".to_owned(), values: Some(users) };
        let features = vec!["shop/session@1".to_owned()];
        let selection = Some(FeatureSelection { features, service: String::new() });
        let read =
            BatchGetRequest { selection, entities: vec![column], ..BatchGetRequest::default() };
        let mut request = with_parent(read, &parent(number, "01"));
        request.metadata_mut().insert("authorization", bearer.clone());
        client.batch_get(request).await.unwrap();
        let (root, _) = followed(&collector, number, &steps).await;
        assert_eq!(root.name, "trivium.v1.OnlineService/BatchGet");
        assert_eq!(root.trace_state, "vendor=opaque");
        let of_root = attributes(&root);
        for (name, value) in [
            ("rpc.system", "grpc"),
            ("rpc.service", "trivium.v1.OnlineService"),
            ("rpc.method", "BatchGet"),
            ("rpc.grpc.status_code", "0"),
            ("trivium.entities", "2"),
            ("trivium.caller", "ranking"),
        ] {
            assert_eq!(of_root.get(name).map(String::as_str), Some(value), "{name}: {of_root:?}");
        }
        let entity = KeyValue { kind: Some(key_value::Kind::Int64(user)) };
        let clicks = Value { kind: Some(value::Kind::Int64(1)) };
        let row = PutRow {
            entity: [("user_id".to_owned(), entity)].into(),
            values: [("clicks".to_owned(), clicks)].into(),
            ..PutRow::default()
        };
        let put =
            PutRequest { view: "shop/session@1".to_owned(), row: Some(row), ..Default::default() };
        let mut request = with_parent(put, &parent(number + 1, "01"));
        request.metadata_mut().insert("authorization", bearer.clone());
        client.put(request).await.unwrap();
        let written = ["valkey EVALSHA", "aws.dynamodb TransactWriteItems", "valkey EVALSHA"];
        let (root, _) = followed(&collector, number + 1, &written).await;
        assert_eq!(root.name, "trivium.v1.OnlineService/Put");
        // A mistake of the caller's is none of ours, and says its code.
        let mut wrong = with_parent(GetRequest::default(), &parent(number + 2, "01"));
        wrong.metadata_mut().insert("authorization", bearer.clone());
        client.get(wrong).await.unwrap_err();
        let (root, _) = followed(&collector, number + 2, &[]).await;
        assert_eq!(attributes(&root)["rpc.grpc.status_code"], "3");
        assert_eq!(root.status.unwrap_or_default().code, 0);
        number += 3;
    }
    let sent = "trivium_trace_spans_total{outcome=\"exported\"}";
    assert!(node.page("/metrics").await.contains(sent));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_followed_is_decided_by_the_caller_or_by_the_share() {
    let (world, collector) = (World::new("sampled").await, Collector::start().await);
    std::fs::write(world.folder.path().join("headers"), "x-key: sesame\n").unwrap();
    let registry = std::sync::Arc::new(world.open_registry().await);
    let server = RegistryServer::start(registry, free_port()).await;
    let all = format!(
        "\n[traces]\notlp_endpoint = \"{}\"\nprotocol = \"http/protobuf\"\nsample_ratio = 1\n\
         service_name = \"shop-serving\"\nheaders_file = \"headers\"\n",
        collector.endpoint
    );
    let node = Node::start(&world.config_with("a", &server.base, &all));
    // Followed without being asked to; what its caller does not want followed is not.
    send(&node, GET, &parent(1, "00"), &get_body(&[1])).await;
    send(&node, PUT, &parent(1, "00"), &put_body(1)).await;
    node.get(&[2]).await;
    // Not well-formed: as if it were not there.
    send(&node, GET, "00-nonsense", &get_body(&[3])).await;
    let roots = |spans: &[Span], name: &str| {
        let is_root = |span: &&Span| span.parent_span_id.is_empty() && span.name == name;
        spans.iter().filter(is_root).count()
    };
    let gets = format!("POST {GET}");
    let spans = collector
        .until("requests and polls", |spans| {
            roots(spans, &gets) == 2 && roots(spans, "registry poll") > 1
        })
        .await;
    assert!(of_trace(&spans, 1).is_empty(), "{spans:#?}");
    // Whoever looks after the node is not followed, nor is what it does by itself.
    node.fetch("/healthz").await;
    node.grpc_health().await;
    send(&node, GET, &parent(2, "01"), &get_body(&[4])).await;
    let spans = collector.until("the last", |spans| !of_trace(spans, 2).is_empty()).await;
    let names = spans.iter().filter(|span| span.parent_span_id.is_empty());
    assert!(
        names.clone().all(|span| span.name == gets || span.name == "registry poll"),
        "{names:?}"
    );
    let sender = ("shop-serving".to_owned(), "sesame".to_owned());
    assert!(collector.senders().iter().all(|one| *one == sender), "{:?}", collector.senders());
    server.stop().await;
}

/// A collector that is not there, and one that takes connections and never answers.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_that_is_lost_costs_spans_and_nothing_else() {
    let world = World::new("lost").await;
    let hanging = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", hanging.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in hanging.incoming() {
            let mut stream = stream.unwrap();
            std::thread::spawn(move || stream.read_to_end(&mut Vec::new()));
        }
    });
    for endpoint in [format!("http://127.0.0.1:{}", free_port()), endpoint] {
        // An export alone would take longer than the test has patience.
        let more =
            "sample_ratio = 1\nqueue_spans_max = 8\nexport_ms_max = 600000\nflush_ms_max = 300\n";
        let mut node = Node::start(&config(&world, &endpoint, more));
        node.until_cached().await;
        let began = Instant::now();
        let dropped = async || {
            let page = node.page("/metrics").await;
            let line = page.lines().find(|line| line.contains("outcome=\"dropped\"")).unwrap();
            line.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap()
        };
        for user in 0.. {
            assert_eq!(node.get(&[user]).await.as_array().unwrap().len(), 1);
            if dropped().await > 20.0 {
                break;
            }
            assert!(began.elapsed() < PATIENCE, "nothing is dropped: {}", node.log());
        }
        assert_eq!(node.fetch("/readyz").await.0, 200);
        node.signal("TERM");
        while !node.has_ended() {
            assert!(began.elapsed() < 2 * PATIENCE, "{}", node.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(node.wait(), Some(0), "{}", node.log());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_spans_are_sent_before_the_end() {
    let (world, collector) = (World::without_cache("flushed").await, Collector::start().await);
    let more = "sample_ratio = 0\nflush_ms_max = 60000\n";
    let mut node = Node::start(&config(&world, &collector.endpoint, more));
    send(&node, GET, &parent(1, "01"), &get_body(&[1])).await;
    node.signal("TERM");
    let began = Instant::now();
    while !node.has_ended() {
        assert!(began.elapsed() < PATIENCE, "{}", node.log());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(node.wait(), Some(0), "{}", node.log());
    let spans = of_trace(&collector.spans(), 1);
    assert!(spans.iter().any(|span| hex(&span.parent_span_id) == PARENT), "{spans:#?}");
}
