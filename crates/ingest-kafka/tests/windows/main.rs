//! Windows on a real Kafka: workers are killed at random moments, lose their folders, lose their
//! partitions to each other, and every row is there once.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a whole file of tests")]

mod fixture;

use std::time::Duration;

use fixture::{Broker, Member, PARTITIONS, kills};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use tokio::runtime::Handle;
use trivium_ingest::{FloodOptions, LaneHealth};
use trivium_ingest_kafka::windows::WindowsWorker;
use trivium_runtime::Shutdown;

/// Not a test by itself: what the children of the others do.
#[tokio::test(flavor = "multi_thread")]
async fn child() {
    let Some(parts) = fixture::child_parts() else { return };
    let worker = WindowsWorker::new(&fixture::view(), parts, Handle::current()).unwrap();
    worker.run(Shutdown::new()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn every_row_is_there_once_whoever_is_killed() {
    let broker = Broker::start();
    let seed: u64 = rand::rng().random();
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let folder = tempfile::tempdir().unwrap();
    let mut members: Vec<Member> = (0..2).map(|n| Member::new(&broker, folder.path(), n)).collect();
    members.iter_mut().for_each(Member::start);
    let (mut killed, mut bad) = (0, 0);
    for round in 0.. {
        if killed == kills() {
            break;
        }
        broker.send_events(300, &mut random);
        if round % 5 == 0 {
            broker.send_bad();
            bad += 1;
        }
        std::thread::sleep(Duration::from_millis(random.random_range(0..2_500)));
        let member = &mut members[random.random_range(0..2_usize)];
        if round % 7 == 6 {
            // It is taken for dead, the other one gets its partitions, and then it goes on.
            member.sleep(Duration::from_secs(8));
            continue;
        }
        member.kill();
        killed += 1;
        match random.random_range(0..10) {
            // The other one gets its partitions.
            0 => std::thread::sleep(Duration::from_secs(8)),
            1 | 2 => member.lose_folder(),
            _ => {}
        }
        member.start();
    }
    broker.send_events(300, &mut random);
    broker.end_windows();

    let expected = broker.expected().await;
    let found = broker.rows_until(|found| expected.newest_are_in(found));
    members.iter_mut().for_each(Member::kill);
    expected.check(&found);
    assert_eq!(broker.dead_letters(), bad);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_stops_its_partition_alone_until_somebody_lets_it_pass() {
    let broker = Broker::start();
    let folder = tempfile::tempdir().unwrap();
    let mut parts = fixture::parts(broker.bootstrap(), folder.path(), None);
    parts.options.flood = FloodOptions { share: 0.5, among: 10, least: 10 };
    // It is tried again and again, and stays what it is.
    parts.kafka.flood_retry = Duration::from_millis(50);
    let worker = WindowsWorker::new(&fixture::view(), parts, Handle::current()).unwrap();
    let shutdown = Shutdown::new();
    let running = tokio::spawn(worker.clone().run(shutdown.clone()));
    for _ in 0..60 {
        broker.send_bad();
    }
    until(|| stopped(&worker).is_some()).await;
    broker.send_events(600, &mut StdRng::seed_from_u64(7));
    broker.end_windows();
    // The others go on, and are done with all that they have.
    let is_done = |one: &LaneHealth| {
        one.progress.is_some() && one.lag.is_some_and(|lag| lag.records == Some(0))
    };
    let others = || worker.health().partitions.into_iter().filter(|one| one.stopped.is_none());
    until(|| others().filter(is_done).count() == PARTITIONS - 1).await;
    let held = stopped(&worker).unwrap();
    assert_eq!(held.partition.to_string(), "events/0");
    assert!(held.stopped.unwrap().contains("cannot become rows"));
    assert!(held.waiting_bytes > 0);
    let behind = || stopped(&worker).and_then(|one| one.lag).and_then(|lag| lag.records);
    until(|| behind().is_some_and(|records| records > 200)).await;
    let letters = broker.dead_letters();
    assert!(letters < 10, "the topic was emptied into the dead letters: {letters}");

    assert!(!worker.let_pass("events/1", 1_000));
    assert!(!worker.let_pass("events/0", 0));
    assert!(worker.let_pass("events/0", 1_000));
    let expected = broker.expected().await;
    let found = broker.rows_until(|found| expected.newest_are_in(found));
    expected.check(&found);
    until(|| worker.health().partitions.iter().filter(|one| is_done(one)).count() == PARTITIONS)
        .await;
    assert_eq!(broker.dead_letters(), 60);
    shutdown.trigger();
    running.await.unwrap().unwrap();
}

fn stopped(worker: &WindowsWorker) -> Option<LaneHealth> {
    worker.health().partitions.into_iter().find(|one| one.stopped.is_some())
}

/// Waits; a test that waits in vain fails.
async fn until(mut so: impl FnMut() -> bool) {
    for _ in 0..1_200 {
        if so() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("it does not become so");
}

#[tokio::test(flavor = "multi_thread")]
async fn states_follow_their_partitions_to_a_worker_that_has_none() {
    let broker = Broker::start();
    let mut random = StdRng::seed_from_u64(7);
    let folder = tempfile::tempdir().unwrap();
    let mut first = Member::new(&broker, folder.path(), 0);
    first.start();
    broker.send_events(2_000, &mut random);
    let sent = broker.expected().await;
    let before = broker.rows_until(|found| sent.newest_are_in(found));
    first.kill();
    // Windows are open, and all that is known of them is in the changelog.
    let mut second = Member::new(&broker, folder.path(), 1);
    second.start();
    broker.send_events(2_000, &mut random);
    broker.end_windows();
    let expected = broker.expected().await;
    let found = broker.rows_until(|found| expected.newest_are_in(found));
    second.kill();
    assert!(found.len() > before.len());
    expected.check(&found);
    assert_eq!(broker.changelog_partitions(), PARTITIONS);
}
