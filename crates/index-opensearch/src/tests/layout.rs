//! What stands in OpenSearch, as others (Kibana, another version of this adapter) would see it.

use std::sync::Arc;

use opensearch::http::Method;
use serde_json::{Value, json};
use trivium_model::{Distance, Timestamp};
use trivium_store::{
    Error,
    conformance::embedding::{document, unique_spec},
    embedding::{Document, EmbeddingIndex as _, IndexSpec, MetaValue, Visible},
};

use super::support::{endpoint, options, shared};
use crate::{MovingTo, Options, client::Client, names};

async fn ask(method: Method, path: &str, body: Option<Value>) -> (u16, Value) {
    let client = Client::new(options(endpoint().await), None).unwrap();
    let body = body.map(|body| body.to_string().into_bytes());
    let answer = client.send(method, path, body, None).await.unwrap();
    (answer.status, answer.body)
}

fn alias(spec: &IndexSpec) -> String {
    names::alias("trivium-", spec)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_document_in_its_index() {
    let index = shared().await;
    let spec = unique_spec(2, Distance::Cosine);
    index.ensure(&spec, None).await.unwrap();
    let flag = spec.metadata[0].0.clone();
    let document = Document {
        subject: Some(Arc::from("p7")),
        metadata: vec![(flag, MetaValue::Bool(true))],
        event_time: Timestamp(5),
        written: Timestamp(6),
        ..document(&spec, "a b/ü", 12, &[3.0, 4.0])
    };
    index.put(&spec, vec![document], Visible::Now, None).await.remove(0).unwrap();
    let (status, found) =
        ask(Method::Get, &format!("/{}/_search?version=true", alias(&spec)), None).await;
    assert_eq!(status, 200);
    let hit = &found["hits"]["hits"][0];
    assert_eq!(hit["_index"], format!("{}-000001", alias(&spec)));
    assert_eq!(hit["_id"], "conformance#entity#s:a b/ü#12");
    assert_eq!(
        hit["_source"],
        json!({
            "bits": "AABAQAAAgEA=",
            "key": "conformance#entity#s:a b/ü",
            "rev": 12,
            "event_time": 5,
            "written": 6,
            "subject": "p7",
            "meta": { "flag": true },
        })
    );
}

/// A write must not make an index with guessed types.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_put_makes_no_index() {
    let index = shared().await;
    let spec = unique_spec(2, Distance::Cosine);
    let one = document(&spec, "a", 1, &[3.0, 4.0]);
    let error = index.put(&spec, vec![one], Visible::Later, None).await.remove(0).unwrap_err();
    assert!(matches!(error, Error::Unavailable(_)), "{error}");
    let (status, _) = ask(Method::Get, &format!("/{}*", alias(&spec)), None).await;
    assert!(status == 200 || status == 404);
    assert_eq!(ask(Method::Get, &format!("/{}", alias(&spec)), None).await.0, 404);
}

/// Something else under our name: said, and not touched.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_foreign_index_is_refused() {
    let index = shared().await;
    for (foreign, word) in [
        (json!({ "properties": { "title": { "type": "text" } } }), "vector"),
        (
            json!({ "properties": { "vector": { "type": "knn_vector", "dimension": 2, "method":
                { "name": "hnsw", "engine": "lucene", "space_type": "cosinesimil" } } } }),
            "_source",
        ),
    ] {
        let spec = unique_spec(2, Distance::Cosine);
        let body = json!({ "aliases": { alias(&spec): {} }, "mappings": foreign,
            "settings": { "index": { "number_of_replicas": 0, "knn": true } } });
        let path = format!("/someones-{}", spec.view.view);
        assert_eq!(ask(Method::Put, &path, Some(body)).await.0, 200);
        let error = index.ensure(&spec, None).await.unwrap_err();
        assert!(matches!(error, Error::Invalid(_)), "{error}");
        let text = error.to_string();
        assert!(text.contains(word) && text.contains("someones-"), "{text}");
        assert_eq!(ask(Method::Delete, &path, None).await.0, 200);
    }
}

#[test]
fn options_that_cannot_work() {
    let good = || Options::new("http://127.0.0.1:9200");
    let moving = |endpoint: &str, prefix: &str, shards| {
        let (endpoint, prefix) = (endpoint.to_owned(), prefix.to_owned());
        let to = MovingTo {
            endpoint,
            prefix,
            engine: None,
            shards: Some(shards),
            replicas: None,
            complete: false,
        };
        Options { moving_to: Some(to), ..good() }
    };
    assert!(good().check().is_ok());
    for good in
        [moving("http://127.0.0.1:9200", "two-", 2), moving("http://127.0.0.1:9201", "trivium-", 2)]
    {
        assert!(good.check().is_ok());
        let second = good.of_second().unwrap();
        assert_eq!((second.shards, second.replicas), (2, good.replicas));
        assert_eq!(second.moving_to, None);
    }
    for (bad, option) in [
        (Options { endpoint: "127.0.0.1:9200".to_owned(), ..good() }, "endpoint"),
        (Options { prefix: "_x".to_owned(), ..good() }, "prefix"),
        (Options { prefix: "Ab".to_owned(), ..good() }, "prefix"),
        (Options { prefix: String::new(), ..good() }, "prefix"),
        (Options { shards: 0, ..good() }, "shards"),
        (Options { refresh_ms: 0, ..good() }, "refresh_ms"),
        (Options { attempt_timeout_ms: 0, ..good() }, "attempt_timeout_ms"),
        (Options { requests_in_flight_max: 0, ..good() }, "requests_in_flight_max"),
        (moving("http://127.0.0.1:9200/", "trivium-", 1), "the indexes themselves"),
        (moving("http://127.0.0.1:9200", "Two-", 1), "its prefix"),
        (moving("http://127.0.0.1:9201", "trivium-", 0), "its shards"),
    ] {
        let error = bad.check().unwrap_err().to_string();
        assert!(error.contains(option), "{error}");
    }
    let https = Options { endpoint: "https://search.example.com".to_owned(), ..good() };
    assert_eq!(https.check().is_ok(), cfg!(feature = "tls"));
    let read: Options = serde_json::from_value(json!({ "endpoint": "http://a:1" })).unwrap();
    assert_eq!(read, Options::new("http://a:1"));
    let unknown = json!({ "endpoint": "http://a:1", "hosts": [] });
    assert!(serde_json::from_value::<Options>(unknown).is_err());
}
