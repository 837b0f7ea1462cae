//! Windows on a real Kafka: workers are killed at random moments, lose their folders, lose their
//! partitions to each other, and every row is there once.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a whole file of tests")]

mod fixture;

use std::time::Duration;

use fixture::{Broker, Member, PARTITIONS, kills};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use tokio::runtime::Handle;
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
    for round in 0..kills() {
        broker.send_events(300, &mut random);
        if round % 5 == 0 {
            broker.send_bad();
        }
        std::thread::sleep(Duration::from_millis(random.random_range(0..2_500)));
        let member = &mut members[random.random_range(0..2_usize)];
        if round % 7 == 6 {
            // It is taken for dead, the other one gets its partitions, and then it goes on.
            member.sleep(Duration::from_secs(8));
            continue;
        }
        member.kill();
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
    assert_eq!(broker.dead_letters(), kills().div_ceil(5));
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
