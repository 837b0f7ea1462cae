//! What an erasure does, is told, and costs.

use std::{sync::atomic::Ordering, time::Duration};

use serde_json::{Value as Json, json};
use trivium_model::Timestamp;
use trivium_proto::v1;

use super::world::{Shared, ordered};
use crate::{ErasureOptions, tests::fixture::NOW};

fn text(json: &Json) -> &str {
    json.as_str().unwrap()
}

fn put_at(user: i64, event_time: i64, values: Json) -> Json {
    json!({ "entity": { "user_id": user }, "values": values,
            "event_time": Timestamp(event_time).to_string() })
}

#[tokio::test(start_paused = true)]
async fn a_person_goes_and_everybody_else_stays() {
    let shared = Shared::new(&[]);
    let node = shared.node();
    for user in [7, 8] {
        node.fill(user, 130).await;
    }
    // A row dated in the future is of before the request all the same.
    let future = put_at(7, NOW + 3_600_000_000, json!({ "a": 1, "b": 2 }));
    assert_eq!(node.put("cart", vec![future]).await, ["APPLIED"]);
    let before = shared.live();
    let report = node.erase(7, "r1").await;
    assert_eq!(report["state"], "DONE", "{report}");
    assert_eq!(report["views"]["shop/visit@1"], json!({ "deleted": 130, "newer": 0 }));
    assert_eq!(report["views"]["shop/profile@1"]["deleted"], 1);
    assert_eq!(report["views"]["shop/cart@1"]["deleted"], 1);
    assert_eq!(report["rows_verified"], 132);
    assert_eq!(
        (&report["offline_order_left"], text(&report["requested_by"])),
        (&json!(true), "dpo")
    );
    assert_eq!(text(&report["up_to"]), Timestamp(NOW).to_string());
    let mut expected = before;
    expected.retain(|name, _| !name.contains("i:7 ") || name.contains("plain"));
    assert!(shared.live() == expected, "all of the other, and what is nobody's");
    assert_eq!(expected.len(), 134);
    assert_eq!(node.report(7).await, report);
    assert_eq!(ordered(&shared).await, [7].into());

    // What was true up to then is refused, what is newer is not.
    let late = put_at(7, NOW, json!({ "a": 1, "b": 2 }));
    assert_eq!(node.put("profile", vec![late.clone()]).await, ["ERASED"]);
    let body = json!({ "view": "shop/profile@1", "rows": [late] });
    let (_, answer) = node.send("/v1/features/online/put", body).await;
    assert_eq!(text(&answer["results"][0]["event_time"]), Timestamp(NOW).to_string());
    let newer = put_at(7, NOW + 1, json!({ "a": 5 }));
    assert_eq!(node.put("profile", vec![newer]).await, ["APPLIED"]);
    // Without an event time: now.
    let now = json!({ "entity": { "user_id": 7 }, "values": { "a": 6, "b": 6 } });
    assert_eq!(node.put("cart", vec![now]).await, ["APPLIED"]);
    let live = shared.live();
    let of_7: Vec<_> = live.iter().filter(|(name, _)| name.contains("i:7 ")).collect();
    assert_eq!(of_7.len(), 3, "{of_7:?}");
    // And stays, where the same request comes again; a new request takes it too.
    assert_eq!(node.erase(7, "r1").await["erasure"], report["erasure"]);
    assert!(shared.live() == live);
    shared.data_now.fetch_add(10, Ordering::SeqCst);
    let second = node.erase(7, "r2").await;
    assert_eq!((&second["state"], &second["rows_verified"]), (&json!("DONE"), &json!(2)));
    assert_eq!(second["earlier"][0]["erasure"], report["erasure"]);
    assert_eq!(second["earlier"][0]["done"], true);
    assert!(shared.live() == expected);
    // An id that is known is never begun again.
    assert_eq!(node.erase(7, "r1").await["erasure"], second["erasure"]);
}

#[tokio::test(start_paused = true)]
async fn what_names_nobody_is_refused() {
    let shared = Shared::new(&[]);
    let node = shared.node();
    for (namespace, subject, status, words) in [
        ("shop", json!({ "user": 7 }), 404, "user_id"),
        ("shops", json!({ "user_id": 7 }), 404, "shop"),
        ("shop", json!({}), 400, "one join key"),
        ("shop", json!({ "user_id": 7, "page": "p" }), 400, "one join key"),
        ("shop", json!({ "user_id": "7" }), 400, "int64"),
        ("shop", json!({ "page": "p" }), 404, "user_id"),
    ] {
        for path in ["/v1/subjects/erase", "/v1/subjects/erasure"] {
            let body = json!({ "namespace": namespace, "subject": subject });
            let (found, answer) = node.send(path, body).await;
            assert_eq!(found, status, "{answer}");
            assert!(answer.to_string().contains(words), "{words}: {answer}");
        }
    }
    let body = json!({ "namespace": "shop", "subject": { "user_id": 7 } });
    let (status, answer) = node.send("/v1/subjects/erasure", body).await;
    assert_eq!(status, 404, "{answer}");
    let body =
        json!({ "namespace": "shop", "subject": { "user_id": 7 }, "request_id": "x".repeat(65) });
    assert_eq!(node.send("/v1/subjects/erase", body).await.0, 400);
    let body = json!({ "namespace": "shop", "subject": { "user_id": 7 }, "nosuch": 1 });
    assert_eq!(node.send("/v1/subjects/erase", body).await.0, 400);
    assert!(ordered(&shared).await.is_empty());
    let plain = crate::tests::fixture::Fixture::new();
    let body = r#"{"namespace": "shop", "subject": {"user_id": 7}}"#;
    let (status, answer) = plain.post_text("/v1/subjects/erase", body).await;
    assert_eq!(status.as_u16(), 501, "{answer}");
}

#[tokio::test(start_paused = true)]
async fn over_grpc_it_is_the_same() {
    let shared = Shared::new(&[]);
    let node = shared.node();
    node.fill(7, 3).await;
    let services = trivium_api::grpc::finish_grpc(node.serving.grpc());
    let mut client = v1::online_service_client::OnlineServiceClient::new(services);
    let subject = || {
        let kind = Some(v1::key_value::Kind::Int64(7));
        [("user_id".to_owned(), v1::KeyValue { kind })].into()
    };
    let request = v1::EraseSubjectRequest {
        namespace: "shop".to_owned(),
        subject: subject(),
        reason: "asked".to_owned(),
        ..v1::EraseSubjectRequest::default()
    };
    let report = client.erase_subject(request).await.unwrap().into_inner().report.unwrap();
    assert_eq!(report.state(), v1::erasure_report::State::Done);
    assert_eq!(report.views["shop/visit@1"].deleted, 3);
    assert_eq!((report.rows_verified, report.up_to_micros), (5, NOW));
    let request = v1::GetErasureRequest { namespace: "shop".to_owned(), subject: subject() };
    let again = client.get_erasure(request).await.unwrap().into_inner().report.unwrap();
    assert_eq!(again, report);
    let late = v1::PutRequest {
        view: "shop/profile@1".to_owned(),
        row: Some(v1::PutRow {
            entity: subject(),
            event_time_micros: Some(NOW - 1),
            ..v1::PutRow::default()
        }),
        ..v1::PutRequest::default()
    };
    let mut late = late;
    if let Some(row) = &mut late.row {
        let kind = Some(v1::value::Kind::Int64(1));
        row.values.insert("a".to_owned(), v1::Value { kind });
    }
    let result = client.put(late).await.unwrap().into_inner().result.unwrap();
    assert_eq!(result.outcome(), v1::write_result::Outcome::Erased);
    assert_eq!(result.event_time_micros, NOW);
}

/// A row that the index does not show yet is found by the sweep that begins after its worst lag.
#[tokio::test(start_paused = true)]
async fn the_index_lags() {
    let shared = Shared::new(&[]);
    *shared.index_lag.lock().unwrap() = Duration::from_millis(1_900);
    let node = shared.node();
    node.fill(7, 5).await;
    let report = node.erase(7, "").await;
    assert_eq!(
        (&report["state"], &report["rows_verified"]),
        (&json!("DONE"), &json!(7)),
        "{report}"
    );
    assert!(shared.live().keys().all(|name| name.contains("plain")));
}

/// The call answers when its time is over, and the erasure goes on.
#[tokio::test(start_paused = true)]
async fn a_call_waits_for_so_long() {
    let shared = Shared::new(&[]);
    let node = shared.node_with(ErasureOptions {
        index_lag_ms: 60_000,
        wait_ms_max: 1_000,
        lease_ms: 5_000,
        ..ErasureOptions::default()
    });
    node.fill(7, 5).await;
    let report = node.erase(7, "r").await;
    assert_eq!((&report["state"], &report["rows_verified"]), (&json!("IN_PROGRESS"), &json!(7)));
    // Another node leaves it to whom it belongs to.
    let other = shared.node();
    other.resume().await;
    assert_eq!(other.erase(7, "r").await["state"], "IN_PROGRESS");
    tokio::time::sleep(Duration::from_secs(60)).await;
    let done = other.report(7).await;
    assert_eq!((&done["state"], &done["erasure"]), (&json!("DONE"), &report["erasure"]));
}

#[tokio::test(start_paused = true)]
async fn the_registry_may_be_away() {
    let shared = Shared::new(&[]);
    let node = shared.node();
    node.fill(7, 5).await;
    shared.registry_is_away.store(true, Ordering::SeqCst);
    let report = node.erase(7, "").await;
    assert_eq!(report["state"], "AWAITING_REGISTRY", "{report}");
    assert!(text(&report["problem"]).contains("away"), "{report}");
    assert!(shared.live().keys().all(|name| name.contains("plain")));
    let other = shared.node();
    other.resume().await;
    assert_eq!(other.report(7).await["state"], "AWAITING_REGISTRY");
    shared.registry_is_away.store(false, Ordering::SeqCst);
    other.resume().await;
    let report = node.report(7).await;
    assert_eq!((&report["state"], &report["problem"]), (&json!("DONE"), &json!("")), "{report}");
    assert_eq!(ordered(&shared).await, [7].into());
}

/// A put of some features, newer than the request, comes by a row that is still to be erased: nothing of
/// that row may live on in it.
#[tokio::test(start_paused = true)]
async fn a_merge_carries_nothing_over() {
    for calls in 1..14 {
        let shared = Shared::new(&[]);
        let (dying, node) = (shared.node(), shared.node());
        node.fill(7, 2).await;
        dying.dies_after(calls);
        let erasing = tokio::spawn(async move { dying.erase(7, "r").await });
        tokio::time::sleep(Duration::from_millis(500)).await;
        let newer = put_at(7, NOW + 5, json!({ "a": 100 }));
        let is_barred = node.send(
            "/v1/subjects/erasure",
            json!({ "namespace": "shop", "subject": { "user_id": 7 } }),
        );
        let is_barred = is_barred.await.0 == 200;
        assert_eq!(node.put("profile", vec![newer]).await, ["APPLIED"]);
        if is_barred {
            let live = shared.live();
            let profile = live.iter().find(|(name, _)| name.contains("profile")).unwrap();
            assert_eq!(profile.1, &(NOW + 5, vec![Some(100), None]), "died after {calls}");
        }
        tokio::time::sleep(Duration::from_secs(12)).await;
        node.resume().await;
        erasing.abort();
        if is_barred {
            let report = node.report(7).await;
            assert_eq!(report["state"], "DONE", "died after {calls}: {report}");
            assert_eq!(report["views"]["shop/profile@1"]["newer"], 1, "{report}");
            let live = shared.live();
            let left: Vec<_> = live.keys().filter(|name| !name.contains("plain")).collect();
            assert_eq!(left.len(), 1, "{left:?}");
        }
    }
}

/// Counted, not timed: calls grow with the person's rows, and with nothing else.
#[tokio::test(start_paused = true)]
async fn the_cost_is_linear_in_the_persons_rows() {
    let mut per_row = Vec::new();
    for (rows, others) in [(10, 0), (100, 0), (1_000, 0), (100, 20), (100, 200)] {
        let shared = Shared::new(&[]);
        let node = shared.node();
        node.fill(7, rows - 2).await;
        for other in 0..others {
            node.fill(1_000 + other, 20).await;
        }
        let before = shared.calls();
        let report = node.erase(7, "").await;
        assert_eq!(report["rows_verified"], rows, "{report}");
        let after = shared.calls();
        let (index, items) = (after.0 - before.0, after.1 - before.1);
        per_row.push((rows, others, index, items));
    }
    // Two sweeps that find nothing, and one that finds all, 40 to a page; each row is looked at, looked at
    // again, deleted, looked at again, and read; and a few steps for each page, and for the erasure itself.
    for (rows, _, index, items) in &per_row {
        let rows = rows.unsigned_abs();
        assert!(*index <= rows / 40 + 1 + 2, "{per_row:?}");
        assert!(*items >= 5 * rows && *items <= 5 * rows + rows / 10 + 30, "{per_row:?}");
    }
    let of_hundred: Vec<_> = per_row.iter().filter(|case| case.0 == 100).collect();
    assert!(of_hundred.iter().all(|case| (case.2, case.3) == (of_hundred[0].2, of_hundred[0].3)));
}

/// Wherever the node died, each row is counted, and once.
#[tokio::test(start_paused = true)]
async fn deaths_do_not_change_what_is_counted() {
    for calls in 1..30 {
        let shared = Shared::new(&[]);
        let (dying, node) = (shared.node(), shared.node());
        node.fill(7, 2).await;
        dying.dies_after(calls);
        let erasing = tokio::spawn(async move { dying.erase(7, "r").await });
        tokio::time::sleep(Duration::from_secs(30)).await;
        node.resume().await;
        erasing.abort();
        let report = node.erase(7, "r").await;
        assert_eq!(report["state"], "DONE", "died after {calls}: {report}");
        assert_eq!(report["rows_verified"], 4, "died after {calls}: {report}");
    }
}

/// Who stalled, and finds another node's record in the place of its own, does nothing any more.
#[tokio::test(start_paused = true)]
async fn who_has_lost_an_erasure_stops() {
    let mut lost = 0;
    for calls in 2..40 {
        let shared = Shared::new(&[]);
        let (slow, node) = (shared.node(), shared.node());
        node.fill(7, 130).await;
        slow.dies_after(calls);
        let slow = std::sync::Arc::new(slow);
        let stalling = std::sync::Arc::clone(&slow);
        tokio::spawn(async move { stalling.erase(7, "r").await });
        tokio::time::sleep(Duration::from_secs(30)).await;
        node.resume().await;
        let report = node.report(7).await;
        assert_eq!(report["state"], "DONE", "stalled after {calls}: {report}");
        assert_eq!(report["rows_verified"], 132, "stalled after {calls}: {report}");
        slow.revive();
        tokio::time::sleep(Duration::from_secs(120)).await;
        lost += u32::from(slow.ports.has_lost.load(Ordering::SeqCst));
        let more = slow.ports.calls_after.load(Ordering::SeqCst);
        assert_eq!(more, 0, "stalled after {calls}: it went on with what was another's");
        assert_eq!(node.report(7).await, report, "stalled after {calls}");
        assert_eq!(ordered(&shared).await, [7].into());
    }
    assert!(lost > 20, "{lost}");
}

/// What a cache may keep of a deleted row counts as there; who cannot see the cache leaves it to others.
#[tokio::test(start_paused = true)]
async fn it_is_not_done_while_the_cache_may_keep_something() {
    let shared = Shared::new(&[]);
    let node = shared.node();
    node.fill(7, 5).await;
    shared.remembers.store(12, Ordering::SeqCst);
    let began = tokio::time::Instant::now();
    let report = node.erase(7, "r1").await;
    assert_eq!(report["state"], "DONE", "{report}");
    assert_eq!(report["rows_verified"], 7, "{report}");
    assert!(shared.remembers.load(Ordering::SeqCst) < 0);
    assert!(began.elapsed() > Duration::from_secs(3), "it waited for nothing");
    // For good.
    node.fill(8, 5).await;
    shared.remembers.store(i64::MAX, Ordering::SeqCst);
    node.erase(8, "r2").await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    let report = node.report(8).await;
    assert_eq!((&report["state"], &report["rows_verified"]), (&json!("IN_PROGRESS"), &json!(0)));
    assert!(text(&report["problem"]).contains("cache"), "{report}");
    shared.remembers.store(0, Ordering::SeqCst);
    let other = shared.node();
    other.resume().await;
    let report = other.report(8).await;
    assert_eq!((&report["state"], &report["rows_verified"]), (&json!("DONE"), &json!(7)));
}
