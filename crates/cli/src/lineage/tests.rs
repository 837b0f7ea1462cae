use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use axum::{Router, http::StatusCode, routing::post};
use serde_json::json;

use super::*;

fn read(text: &str) -> Result<Lineage, String> {
    let section: LineageSection =
        toml::from_str(text).map_err(|error| error.message().to_owned())?;
    let read = section.read(Path::new("p/trivium.toml"), Path::new("p"));
    read.map_err(|failure| format!("{}: {}", failure.error.field, failure.error.message))
}

#[test]
fn sections() {
    let sink = |text: &str| read(text).unwrap().sink;
    assert_eq!(read("").unwrap(), Lineage { namespace: "trivium".to_owned(), sink: None });
    assert_eq!(sink("openlineage = 'file:l/x.jsonl'"), Some(Sink::File("p/l/x.jsonl".into())));
    assert_eq!(sink("openlineage = 'file:/x'"), Some(Sink::File("/x".into())));
    let http = |url: &str| Some(Sink::Http(url.to_owned()));
    assert_eq!(sink("openlineage = 'http://h:5000'"), http("http://h:5000/api/v1/lineage"));
    assert_eq!(sink("openlineage = 'http://h:5000/'"), http("http://h:5000/api/v1/lineage"));
    assert_eq!(sink("openlineage = 'http://h/x/y'"), http("http://h/x/y"));
    assert_eq!(read("namespace = 'prod'").unwrap().namespace, "prod");
    for (text, field) in [
        ("openlineage = 'https://h'", "openlineage"),
        ("openlineage = 'file:'", "openlineage"),
        ("openlineage = 'x'", "openlineage"),
        ("openlineage = 'http://'", "openlineage"),
        ("openlineage = 'http://u@h'", "openlineage"),
        ("namespace = ''", "namespace"),
        ("namespace = 'a b'", "namespace"),
    ] {
        let error = read(text).unwrap_err();
        assert!(error.starts_with(&format!("p/trivium.toml: lineage.{field}: ")), "{error}");
    }
    assert!(read("url = 'x'").unwrap_err().contains("unknown field"));
}

#[test]
fn lines_are_whole_whoever_writes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("new/events.jsonl");
    const WRITERS: usize = 8;
    const EVENTS: usize = 40;
    let event = |n: usize| json!({ "n": n, "text": "x".repeat(20_000) });
    let start = std::sync::Barrier::new(WRITERS);
    std::thread::scope(|scope| {
        for writer in 0..WRITERS {
            let (path, start) = (&path, &start);
            scope.spawn(move || {
                let events = vec![event(writer); EVENTS];
                start.wait();
                append(path, &events).unwrap();
            });
        }
    });
    let lines = |path: &Path| -> Vec<Result<Json, _>> {
        let text = std::fs::read_to_string(path).unwrap();
        text.lines().map(serde_json::from_str).collect()
    };
    let found: Vec<Json> = lines(&path).into_iter().map(Result::unwrap).collect();
    assert_eq!(found.len(), WRITERS * EVENTS);
    for together in found.chunks(EVENTS) {
        let whole = together.iter().all(|one| one == &together[0]);
        assert!(whole, "what was appended together stays together");
    }

    // Who died in the middle of a line.
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, &text[..text.len() - 100]).unwrap();
    append(&path, &[event(9)]).unwrap();
    let found = lines(&path);
    assert_eq!(found.len(), WRITERS * EVENTS + 1);
    assert_eq!(found.iter().filter(|line| line.is_err()).count(), 1);
    assert_eq!(found[WRITERS * EVENTS].as_ref().unwrap()["n"], 9);
}

/// Answers with these, then with 200; keeps what it got.
async fn server(answers: Vec<u16>) -> (String, Arc<AtomicUsize>, Arc<Mutex<Vec<Json>>>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let got = Arc::new(Mutex::new(Vec::new()));
    let (count, keep) = (Arc::clone(&asked), Arc::clone(&got));
    let handler = move |axum::Json(event): axum::Json<Json>| async move {
        let index = count.fetch_add(1, Ordering::SeqCst);
        let status = answers.get(index).copied().unwrap_or(200);
        if status == 200 {
            keep.lock().unwrap().push(event);
        }
        StatusCode::from_u16(status).unwrap()
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}{PATH}", listener.local_addr().unwrap());
    tokio::spawn(async { axum::serve(listener, Router::new().route(PATH, post(handler))).await });
    (url, asked, got)
}

#[tokio::test]
async fn events_are_sent_again_where_that_may_help() {
    let events = [json!({ "n": 1 }), json!({ "n": 2 })];
    let (url, asked, got) = server(vec![503, 429, 200, 500]).await;
    Sink::Http(url).send(&events).await.unwrap();
    assert_eq!(asked.load(Ordering::SeqCst), 5);
    assert_eq!(*got.lock().unwrap(), events);

    let (url, asked, _) = server(vec![503; 9]).await;
    let failure = Sink::Http(url).send(&events).await.unwrap_err();
    assert_eq!(failure.error.message, "the server answered 503");
    assert_eq!(asked.load(Ordering::SeqCst), 3, "tries are bounded, and the second event waits");

    let (url, asked, _) = server(vec![404]).await;
    Sink::Http(url).send(&events).await.unwrap_err();
    assert_eq!(asked.load(Ordering::SeqCst), 1, "what is wrong stays wrong");
}
