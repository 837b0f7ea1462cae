//! What failures mean to the caller, and what survives them.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use trivium_model::Distance;
use trivium_store::{
    Error,
    conformance::embedding::{document, survives_a_restart, unique_spec},
    embedding::{
        Document, DocumentId, EmbeddingIndex as _, IndexSpec, Listing, Nearest, PutOutcome, Visible,
    },
};
use trivium_testkit::{Proxy, Verdict};

use super::support::{endpoint, index, options, own, port, shared, with};
use crate::OpenSearchIndex;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_survives_a_kill() {
    let server = own().await;
    let address = with(&server, |server| server.endpoint()).await;
    survives_a_restart(index(address), async |index| {
        with(&server, |server| server.restart().unwrap()).await;
        index
    })
    .await;
}

/// Killed in the middle of many bulks: what was acknowledged is there, the rest is put again, and in
/// the end every document is there once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_killed_in_the_middle_of_bulks() {
    const BATCHES: usize = 60;
    const EACH: usize = 40;
    let server = own().await;
    let index = Arc::new(index(with(&server, |server| server.endpoint()).await));
    let spec = unique_spec(32, Distance::L2);
    index.ensure(&spec, None).await.unwrap();
    let documents: Vec<Document> =
        (0..BATCHES * EACH).map(|n| document(&spec, &n.to_string(), 1, &[n as f32; 32])).collect();
    let (done, mut seen) = tokio::sync::mpsc::channel(BATCHES);
    let writer = {
        let (index, spec, documents) = (Arc::clone(&index), spec.clone(), documents.clone());
        tokio::spawn(async move {
            let mut outcomes = Vec::new();
            for batch in documents.chunks(EACH) {
                outcomes.extend(index.put(&spec, batch.to_vec(), Visible::Later, None).await);
                // Nobody listens any more once it was killed.
                let _ = done.send(()).await;
            }
            outcomes
        })
    };
    for _ in 0..BATCHES / 3 {
        seen.recv().await.unwrap();
    }
    drop(seen);
    with(&server, |server| server.kill().unwrap()).await;
    let outcomes = writer.await.unwrap();
    with(&server, |server| server.restart().unwrap()).await;

    let mut stored = Vec::new();
    let mut open = Vec::new();
    for (outcome, document) in outcomes.iter().zip(&documents) {
        match outcome {
            Ok(PutOutcome::Stored) => stored.push(document.id.clone()),
            Ok(PutOutcome::Taken) => panic!("nobody else writes"),
            Err(error) => {
                assert!(matches!(error, Error::Unknown(_) | Error::Unavailable(_)), "{error}");
                assert!(error.to_string().contains("OpenSearch"), "{error}");
                open.push(document.clone());
            }
        }
    }
    assert!(stored.len() >= BATCHES / 3 * EACH);
    assert!(!open.is_empty(), "the server died too late to show anything");
    let found = index.get(&spec, &stored, None).await;
    assert!(found.into_iter().all(|found| found.unwrap().is_some()), "an acknowledged one is lost");
    for outcome in index.put(&spec, open, Visible::Later, None).await {
        assert_eq!(outcome.unwrap(), PutOutcome::Stored);
    }
    index.refresh(&spec, None).await.unwrap();
    let ids: Vec<DocumentId> = documents.iter().map(|document| document.id.clone()).collect();
    let found = index.get(&spec, &ids, None).await;
    assert!(
        found.into_iter().zip(&documents).all(|(found, put)| found.unwrap().unwrap().is_same(put))
    );
    assert_eq!(count(&index, &spec).await, documents.len());
}

async fn count(index: &OpenSearchIndex, spec: &IndexSpec) -> usize {
    let mut count = 0;
    let mut after: Option<String> = None;
    loop {
        let page = index.list(spec, &Listing::default(), after.as_deref(), None).await.unwrap();
        count += page.ids.len();
        after = page.next;
        if after.is_none() {
            return count;
        }
    }
}

/// An index through a proxy, with its feature's index made.
async fn behind_a_proxy() -> (Proxy, OpenSearchIndex, IndexSpec) {
    let proxy = Proxy::http(port().await).unwrap();
    let spec = unique_spec(2, Distance::L2);
    shared().await.ensure(&spec, None).await.unwrap();
    let index = index(format!("http://127.0.0.1:{}", proxy.port()));
    (proxy, index, spec)
}

fn is_bulk(body: &[u8]) -> bool {
    body.starts_with(b"{\"create\"") || body.starts_with(b"{\"delete\"")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_are_sorted() {
    let (proxy, index, spec) = behind_a_proxy().await;
    let one = document(&spec, "a", 1, &[1.0, 2.0]);
    let ids = [one.id.clone()];
    let query = Nearest { vector: Arc::from([1.0, 2.0]), k: 1, filter: None, score_min: None };
    let busy = r#"{"error":{"type":"rejected_execution_exception","reason":"queue"},"status":429}"#;
    let away =
        r#"{"error":{"type":"no_shard_available_action_exception","reason":null},"status":503}"#;
    for (status, body) in [(429, busy), (503, away), (502, "<html>Bad Gateway"), (500, "oops")] {
        proxy.judge(move |_, _| Verdict::Answer(status, body.to_owned()));
        let errors = [
            index.put(&spec, vec![one.clone()], Visible::Later, None).await.remove(0).map(drop),
            index.get(&spec, &ids, None).await.remove(0).map(drop),
            index.delete(&spec, &ids, None).await.remove(0).map(drop),
            index.nearest(&spec, &query, None).await.map(drop),
            index.list(&spec, &Listing::default(), None, None).await.map(drop),
            index.refresh(&spec, None).await,
            index.ensure(&spec, None).await.map(drop),
        ];
        for result in errors {
            let error = result.unwrap_err();
            assert!(error.is_retryable(), "{error}");
            match status {
                429 => assert!(matches!(error, Error::Throttled(_)), "{error}"),
                500 => assert!(matches!(error, Error::Unknown(_)), "{error}"),
                _ => assert!(matches!(error, Error::Unavailable(_)), "{error}"),
            }
        }
    }
    proxy.judge(|_, _| Verdict::Pass);
    assert!(index.get(&spec, &ids, None).await.remove(0).unwrap().is_none());
}

/// One item's trouble is one document's, and its kind is kept.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn items_are_sorted_one_by_one() {
    let (proxy, index, spec) = behind_a_proxy().await;
    let batch: Vec<Document> =
        (0..4).map(|n| document(&spec, &n.to_string(), 1, &[1.0, 2.0])).collect();
    proxy.judge(|_, body| {
        if !is_bulk(body) {
            return Verdict::Pass;
        }
        let item = |status: u16, kind: &str| {
            format!(
                r#"{{"create":{{"status":{status},"error":{{"type":"{kind}","reason":"id 'secret'"}}}}}}"#
            )
        };
        let items = [
            r#"{"create":{"status":201,"result":"created"}}"#.to_owned(),
            item(429, "rejected_execution_exception"),
            item(503, "unavailable_shards_exception"),
            item(400, "mapper_parsing_exception"),
        ];
        Verdict::Answer(200, format!(r#"{{"errors":true,"items":[{}]}}"#, items.join(",")))
    });
    let outcomes = index.put(&spec, batch.clone(), Visible::Later, None).await;
    assert!(matches!(outcomes[0], Ok(PutOutcome::Stored)), "{outcomes:?}");
    assert!(matches!(outcomes[1], Err(Error::Throttled(_))), "{outcomes:?}");
    assert!(matches!(outcomes[2], Err(Error::Unavailable(_))), "{outcomes:?}");
    assert!(matches!(outcomes[3], Err(Error::Invalid(_))), "{outcomes:?}");
    // Reasons name documents, and so persons, and show values: errors go to logs.
    assert!(!format!("{outcomes:?}").contains("secret"), "{outcomes:?}");
    // An answer with fewer items than there were documents says nothing of any of them.
    proxy.judge(|_, body| {
        let short = r#"{"errors":false,"items":[{"create":{"status":201}}]}"#;
        if is_bulk(body) { Verdict::Answer(200, short.to_owned()) } else { Verdict::Pass }
    });
    for outcome in index.put(&spec, batch, Visible::Later, None).await {
        assert!(matches!(outcome, Err(Error::Unknown(_))), "{outcome:?}");
    }
}

/// The answer to a put is lost: unknown, and the same put again is told that it is stored.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_answer_is_unknown_and_may_be_repeated() {
    let (proxy, index, spec) = behind_a_proxy().await;
    let one = document(&spec, "a", 1, &[1.0, 2.0]);
    proxy.judge(|_, body| if is_bulk(body) { Verdict::LoseAnswer } else { Verdict::Pass });
    let outcome = index.put(&spec, vec![one.clone()], Visible::Later, None).await.remove(0);
    assert!(matches!(outcome, Err(Error::Unknown(_))), "{outcome:?}");
    proxy.judge(|_, _| Verdict::Pass);
    let again = index.put(&spec, vec![one.clone()], Visible::Later, None).await.remove(0);
    assert_eq!(again.unwrap(), PutOutcome::Stored);
    let other = Document { vector: Arc::from([3.0, 4.0]), ..one };
    let outcome = index.put(&spec, vec![other], Visible::Later, None).await.remove(0);
    assert_eq!(outcome.unwrap(), PutOutcome::Taken);
}

/// The deadline ends the wait, not the server.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deadlines_end_the_wait() {
    let (proxy, index, spec) = behind_a_proxy().await;
    proxy.judge(|_, _| Verdict::Silence(Duration::from_secs(3_600)));
    let deadline = Some(Instant::now() + Duration::from_millis(200));
    let one = document(&spec, "a", 1, &[1.0, 2.0]);
    let outcome = index.put(&spec, vec![one], Visible::Later, deadline).await.remove(0);
    assert!(matches!(outcome, Err(Error::Unknown(_))), "{outcome:?}");
    // The option ends it where there is no deadline.
    let patience = crate::Options {
        attempt_timeout_ms: 100,
        ..options(format!("http://127.0.0.1:{}", proxy.port()))
    };
    let index = OpenSearchIndex::new(patience, None).unwrap();
    let refreshed = index.refresh(&spec, None).await;
    assert!(matches!(refreshed, Err(Error::Unknown(_))), "{refreshed:?}");
}

/// Nobody there: certainly not done.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_connection_is_unavailable() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let spec = unique_spec(2, Distance::L2);
    let one = document(&spec, "a", 1, &[1.0, 2.0]);
    let outcome = index(address).put(&spec, vec![one], Visible::Later, None).await.remove(0);
    assert!(matches!(outcome, Err(Error::Unavailable(_))), "{outcome:?}");
    assert!(!endpoint().await.is_empty());
}
