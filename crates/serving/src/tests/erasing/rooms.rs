//! Many erasures at once: those that wait for the index's lag keep nobody else waiting. Time is tokio's,
//! paused, so that what is measured is waiting, and nothing of the machine.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use serde_json::json;
use tokio::time::{Instant, sleep};
use trivium_model::Timestamp;
use trivium_runtime::{Clock, Shutdown};
use trivium_store::{SubjectStore, SubjectTombstone};

use super::world::{Node, Shared, ordered};
use crate::{ErasureOptions, erase::job::Job, tests::fixture::NOW};

const LAG: Duration = Duration::from_secs(60);

fn options(at_once_max: usize, in_hand_max: usize) -> ErasureOptions {
    ErasureOptions {
        index_lag_ms: 60_000,
        wait_ms_max: 20_000,
        lease_ms: 30_000,
        resume_every_ms: 10_000,
        at_once_max,
        in_hand_max,
    }
}

/// Erasures of so many persons, begun by nodes that died.
async fn left_behind(shared: &Arc<Shared>, persons: i64) {
    let node = shared.node();
    for user in 0..persons {
        node.fill(user, 2).await;
        let dying = shared.node_with(options(4, 512));
        dying.dies_after(4);
        tokio::spawn(async move { dying.erase(user, "first").await });
    }
    sleep(Duration::from_secs(1)).await;
    assert_eq!(open(shared).await.len(), persons.unsigned_abs() as usize);
    // Their leases are over.
    sleep(Duration::from_secs(31)).await;
    assert_eq!(held(shared).await, 0);
}

/// The records of the erasures that are open.
async fn open(shared: &Shared) -> Vec<Job> {
    let (mut jobs, mut after) = (Vec::new(), None);
    loop {
        let page = shared.store.open_tombstones(after.as_deref()).await.unwrap();
        for subject in page.subjects {
            let tombstone = shared.store.tombstone(&subject).await.unwrap().unwrap();
            jobs.push(Job::of(&tombstone).unwrap());
        }
        after = page.next;
        if after.is_none() {
            return jobs;
        }
    }
}

/// How many of them are held by somebody.
async fn held(shared: &Shared) -> usize {
    let now = shared.now_micros();
    open(shared).await.iter().filter(|job| job.is_held(now)).count()
}

fn keep_on(node: &Node, shutdown: &Shutdown) -> tokio::task::JoinHandle<()> {
    tokio::spawn(node.serving.clone().resume_erasures(shutdown.clone()))
}

#[tokio::test(start_paused = true)]
async fn those_left_behind_wait_for_the_lag_together() {
    let shared = Shared::new(&[]);
    left_behind(&shared, 120).await;
    let (node, shutdown) = (shared.node_with(options(4, 512)), Shutdown::new());
    let going_on = keep_on(&node, &shutdown);
    let began = Instant::now();
    while !open(&shared).await.is_empty() {
        sleep(Duration::from_secs(1)).await;
        assert!(began.elapsed() < 2 * LAG, "{} are open yet", open(&shared).await.len());
    }
    assert!(began.elapsed() > LAG, "nobody waited for the index");
    shutdown.trigger();
    going_on.await.unwrap();
    assert_eq!(ordered(&shared).await.len(), 120);
    assert!(shared.live().keys().all(|name| name.contains("plain")));
    assert!(!node.ports.has_lost.load(Ordering::SeqCst));
}

/// What a node holds is bounded, so that others have their part.
#[tokio::test(start_paused = true)]
async fn a_node_holds_so_many_and_leaves_the_others() {
    let shared = Shared::new(&[]);
    left_behind(&shared, 100).await;
    let shutdown = Shutdown::new();
    let nodes = [(); 2].map(|()| shared.node_with(options(4, 10)));
    let going_on = nodes.each_ref().map(|node| keep_on(node, &shutdown));
    let (began, mut most) = (Instant::now(), 0);
    while !open(&shared).await.is_empty() {
        sleep(Duration::from_secs(1)).await;
        most = most.max(held(&shared).await);
        assert!(began.elapsed() < 8 * LAG, "{} are open yet", open(&shared).await.len());
    }
    assert_eq!(most, 20, "ten on each node");
    assert!(began.elapsed() > 5 * LAG);
    shutdown.trigger();
    for task in going_on {
        task.await.unwrap();
    }
    assert_eq!(ordered(&shared).await.len(), 100);
}

/// Who is asked for now does not stand in line behind all that others left behind.
#[tokio::test(start_paused = true)]
async fn who_is_asked_for_here_does_not_wait_for_those_left_behind() {
    for at_once_max in [1, 2, 4] {
        let shared = Shared::new(&[]);
        left_behind(&shared, 300).await;
        let mut options = options(at_once_max, 512);
        options.wait_ms_max = 600_000;
        let (node, shutdown) = (shared.node_with(options), Shutdown::new());
        node.fill(1_000, 2).await;
        *shared.call_time.lock().unwrap() = Duration::from_millis(50);
        let going_on = keep_on(&node, &shutdown);
        for _ in 0..40 {
            sleep(Duration::from_secs(1)).await;
            if held(&shared).await >= 150 {
                break;
            }
        }
        let began = Instant::now();
        let report = node.erase(1_000, "now").await;
        assert_eq!(report["state"], "DONE", "{report}");
        let time = began.elapsed();
        assert!(time < LAG + Duration::from_secs(12), "{at_once_max} at once: {time:?}");
        assert!(open(&shared).await.len() > 50, "there was nobody to wait for");
        shutdown.trigger();
        going_on.await.unwrap();
    }
}

/// However many are held, so many work at a time.
#[tokio::test(start_paused = true)]
async fn so_many_work_at_a_time() {
    for at_once_max in [1, 3] {
        let shared = Shared::new(&[]);
        left_behind(&shared, 30).await;
        let (node, shutdown) =
            (Arc::new(shared.node_with(options(at_once_max, 512))), Shutdown::new());
        *shared.call_time.lock().unwrap() = Duration::from_millis(50);
        let going_on = keep_on(&node, &shutdown);
        for user in 100..130 {
            let node = Arc::clone(&node);
            tokio::spawn(async move { node.erase(user, "now").await });
        }
        sleep(2 * LAG).await;
        assert!(open(&shared).await.is_empty());
        assert_eq!(shared.asking_most.load(Ordering::SeqCst), at_once_max as u64);
        shutdown.trigger();
        going_on.await.unwrap();
    }
}

/// Who waits for the lag keeps nobody's rows there.
#[tokio::test(start_paused = true)]
async fn rows_go_while_others_wait_for_the_lag() {
    let shared = Shared::new(&[]);
    let node = Arc::new(shared.node_with(options(2, 512)));
    for user in 0..20 {
        node.fill(user, 2).await;
        let node = Arc::clone(&node);
        tokio::spawn(async move { node.erase(user, "now").await });
    }
    sleep(Duration::from_secs(5)).await;
    assert!(shared.live().keys().all(|name| name.contains("plain")));
    assert_eq!(held(&shared).await, 20);
    sleep(LAG).await;
    assert!(open(&shared).await.is_empty());
}

/// Standing in line for longer than a lease lasts does not lose an erasure.
#[tokio::test(start_paused = true)]
async fn who_stands_in_line_keeps_the_erasure() {
    let shared = Shared::new(&[]);
    let mut options = options(1, 512);
    options.lease_ms = 5_000;
    let (node, other) = (Arc::new(shared.node_with(options.clone())), shared.node_with(options));
    node.fill(7, 600).await;
    node.fill(8, 2).await;
    *shared.call_time.lock().unwrap() = Duration::from_millis(300);
    let long = Arc::clone(&node);
    let long = tokio::spawn(async move { long.erase(7, "long").await });
    sleep(Duration::from_secs(2)).await;
    let short = Arc::clone(&node);
    let short = tokio::spawn(async move { short.erase(8, "short").await });
    sleep(Duration::from_secs(1)).await;
    let sweeps = |jobs: Vec<Job>| jobs.iter().map(|job| job.sweeps).collect::<Vec<_>>();
    for _ in 0..5 {
        sleep(Duration::from_secs(3)).await;
        assert_eq!(sweeps(open(&shared).await), [0, 0], "the long one is to take longer");
        other.resume().await;
    }
    long.await.unwrap();
    short.await.unwrap();
    sleep(2 * LAG).await;
    for (user, rows) in [(7, 602), (8, 4)] {
        let report = node.report(user).await;
        assert_eq!((&report["state"], &report["rows_verified"]), (&json!("DONE"), &json!(rows)));
    }
    assert!(!node.ports.has_lost.load(Ordering::SeqCst), "the other node took it");
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_does_not_wait_for_what_is_in_hand() {
    let shared = Shared::new(&[]);
    left_behind(&shared, 50).await;
    let (node, shutdown) = (shared.node_with(options(4, 20)), Shutdown::new());
    let going_on = keep_on(&node, &shutdown);
    // Twenty wait for the lag, and the look for room.
    sleep(Duration::from_secs(30)).await;
    assert_eq!(held(&shared).await, 20);
    let asked = Instant::now();
    shutdown.trigger();
    going_on.await.unwrap();
    assert_eq!(asked.elapsed(), Duration::ZERO);
    let calls = shared.calls();
    sleep(2 * LAG).await;
    assert_eq!(shared.calls(), calls, "it went on after the shutdown");
    assert_eq!((open(&shared).await.len(), held(&shared).await), (50, 0));
}

/// More than a node has room for: the tombstone stands at once, and the rest is done by whoever has room.
#[tokio::test(start_paused = true)]
async fn what_there_is_no_room_for_is_begun_and_left() {
    let shared = Shared::new(&[]);
    let node = Arc::new(shared.node_with(options(4, 1)));
    for user in [7, 8] {
        node.fill(user, 2).await;
    }
    let first = Arc::clone(&node);
    tokio::spawn(async move { first.erase(7, "first").await });
    sleep(Duration::from_secs(1)).await;
    let report = node.erase(8, "second").await;
    assert_eq!((&report["state"], &report["rows_verified"]), (&json!("IN_PROGRESS"), &json!(0)));
    let old = json!({ "entity": { "user_id": 8 }, "values": { "a": 1, "b": 2 },
                      "event_time": Timestamp(NOW).to_string() });
    assert_eq!(node.put("profile", vec![old]).await, ["ERASED"]);
    assert_eq!((open(&shared).await.len(), held(&shared).await), (2, 1));
    // Asked again, it is left as it was.
    assert_eq!(node.erase(8, "second").await["erasure"], report["erasure"]);
    assert_eq!(held(&shared).await, 1);
    // It has room for what was left, beside what it was asked for.
    node.resume().await;
    sleep(LAG).await;
    assert!(open(&shared).await.is_empty());
    assert_eq!(node.report(8).await["rows_verified"], 4);
    assert_eq!(ordered(&shared).await, [7, 8].into());
}

/// One record that cannot be read keeps nobody else waiting.
#[tokio::test(start_paused = true)]
async fn one_that_cannot_be_gone_on_with_does_not_stop_the_others() {
    let shared = Shared::new(&[]);
    left_behind(&shared, 3).await;
    let corrupt = SubjectTombstone {
        up_to: Timestamp(NOW),
        erasure: 1,
        version: 1,
        is_open: true,
        job: "not a record".into(),
    };
    assert!(shared.store.swap_tombstone("!", None, &corrupt).await.unwrap());
    shared.node_with(options(4, 512)).resume().await;
    assert_eq!(shared.store.open_tombstones(None).await.unwrap().subjects, ["!"]);
}
