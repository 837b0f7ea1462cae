//! Workers on a real Kafka: what they read, what they give away, what they do when others die.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a whole file of tests")]

mod fixture;
mod history;
mod letters;
mod unowned;

use std::time::Duration;

use fixture::{Broker, Door, ENTITIES, Event, Member, until};

/// Events of every entity, each newer than the one before.
fn events(from: i64, count: i64) -> Vec<Event> {
    (from..from + count)
        .flat_map(|at| (0..ENTITIES).map(move |id| Event { id, at, x: at * 10 + id }))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_message_is_a_row_or_a_dead_letter_whoever_comes_and_goes() {
    let broker = Broker::start();
    let door = Door::new();
    let first = Member::start(&broker, &door, |_| {});
    // Each of these is an entity of its own: no newer row hides that one is lost.
    let sent = std::cell::Cell::new(0);
    let single = |count: i64| {
        let from = fixture::ENTITIES + sent.get();
        let event = |id| Event { id, at: 1, x: id };
        broker.send(&(from..from + count).map(event).collect::<Vec<_>>());
        sent.set(sent.get() + count);
    };
    single(1_000);
    broker.send(&events(0, 20));
    broker.send_raw("e", b"{ no json", &[("h", "v")]);
    until(|| door.applied_all(19)).await;

    // Another comes, and each has some; while that happens, more is sent.
    let second = Member::start(&broker, &door, |_| {});
    broker.send(&events(20, 20));
    single(1_000);
    until(|| first.partitions() > 0 && second.partitions() > 0).await;
    broker.send(&events(40, 20));
    single(1_000);
    until(|| door.applied_all(59)).await;
    // The first goes, in order; the second has everything.
    single(1_000);
    let gone = first.stop().await;
    gone.unwrap();
    until(|| second.partitions() == fixture::PARTITIONS).await;
    broker.send(&events(60, 20));
    until(|| door.applied_all(79)).await;
    until(|| door.entities() as i64 == fixture::ENTITIES + sent.get()).await;
    let letters = broker.dead_letters(1);
    assert_eq!(letters.len(), 1, "{letters:?}");
    let letter = &letters[0];
    assert_eq!(
        (letter.key.as_deref(), letter.value.as_deref()),
        (Some(&b"e"[..]), Some(&b"{ no json"[..]))
    );
    assert_eq!(letter.header("h"), Some("v"));
    assert_eq!(letter.header("trivium-dlq-reason"), Some("undecodable"));
    assert_eq!(letter.header("trivium-dlq-view"), Some("n/a@1"));
    assert_eq!(letter.header("trivium-dlq-topic"), Some("events"));
    assert!(letter.header("trivium-dlq-offset").unwrap().parse::<u64>().is_ok());

    // What was done is known: whoever begins after a stop is sent nothing of it again.
    second.stop().await.unwrap();
    let requests = door.rows_asked();
    let third = Member::start(&broker, &door, |_| {});
    broker.send(&events(80, 1));
    until(|| door.applied_all(80)).await;
    assert_eq!(door.rows_asked() - requests, ENTITIES as usize);
    third.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partition_that_is_paused_when_it_moves_flows_when_it_is_back() {
    let broker = Broker::start();
    let door = Door::new();
    let first = Member::start(&broker, &door, |options| options.waiting_bytes = 64 << 10);
    broker.send(&events(0, 1));
    until(|| door.applied_all(0)).await;
    door.go_away(true);
    broker.send(&events(1, 500));
    until(|| first.health().iter().all(|lane| lane.waiting_bytes > 0)).await;
    // Some of them go to another worker while they are paused, and come back when it goes.
    let second = Member::start(&broker, &door, |_| {});
    until(|| first.partitions() > 0 && second.partitions() > 0).await;
    assert!(first.partitions() < fixture::PARTITIONS);
    second.stop().await.unwrap();
    until(|| first.partitions() == fixture::PARTITIONS).await;
    door.go_away(false);
    until(|| door.applied_all(500)).await;
    first.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_that_librdkafka_cannot_pass_on_are_dead_letters_too() {
    let broker = Broker::start();
    let door = Door::new();
    let member = Member::start(&broker, &door, |_| {});
    // More than a topic takes together with what is said of it.
    let large = vec![b'x'; 1_048_400];
    broker.send_raw("large", &large, &[]);
    broker.send(&events(0, 1));
    until(|| door.applied_all(0)).await;
    let letters = broker.dead_letters(1);
    assert_eq!(letters[0].header("trivium-dlq-value-bytes"), Some("1048400"));
    assert_eq!(
        (letters[0].key.as_deref(), letters[0].value.as_deref()),
        (Some(&b"large"[..]), None)
    );
    member.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn while_serving_is_away_little_waits_and_nothing_is_a_dead_letter() {
    let broker = Broker::start();
    let door = Door::new();
    const WAITING: usize = 64 << 10;
    let member = Member::start(&broker, &door, |options| options.waiting_bytes = WAITING);
    broker.send(&events(0, 1));
    until(|| door.applied_all(0)).await;
    door.go_away(true);
    broker.send(&events(1, 2_000));
    // It has tried again and again, and does not read on.
    let tries = door.requests();
    until(|| door.requests() > tries + 20).await;
    let waiting: usize = member.health().iter().map(|lane| lane.waiting_bytes).sum();
    // A lane is paused when it is above its share: by less than a message of the least batch.
    assert!(waiting > 0 && waiting < 2 * WAITING, "{waiting}");
    assert!(member.health().iter().any(|lane| lane.busy.is_some()));
    let lag = || -> u64 {
        member.health().iter().filter_map(|lane| lane.lag).filter_map(|lag| lag.records).sum()
    };
    // All that was sent and is not written: of each entity the first is.
    until(|| lag() == 2_000 * ENTITIES as u64).await;
    assert!(member.health().iter().any(|lane| lane.lag.is_some_and(|lag| !lag.age.is_zero())));
    door.go_away(false);
    until(|| door.applied_all(2_000)).await;
    until(|| member.health().iter().all(|lane| lane.waiting_bytes == 0 && lane.busy.is_none()))
        .await;
    until(|| lag() == 0).await;
    assert_eq!(broker.dead_letters(0).len(), 0);
    member.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn marks_of_transactions_are_no_lag() {
    let broker = Broker::start();
    let door = Door::new();
    let no_lag = |member: &Member| {
        let lanes = member.health();
        lanes.len() == fixture::PARTITIONS
            && lanes.iter().all(|lane| lane.lag.is_some_and(|lag| lag.records == Some(0)))
    };
    let first = Member::start(&broker, &door, |_| {});
    broker.send_in_transaction(&events(0, 5));
    until(|| door.applied_all(4)).await;
    until(|| no_lag(&first)).await;
    first.stop().await.unwrap();
    // Nor for who begins behind the last message, and in front of its mark.
    let second = Member::start(&broker, &door, |_| {});
    until(|| no_lag(&second)).await;
    second.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_dies_and_comes_back_costs_nothing() {
    let mut broker = Broker::start();
    let door = Door::new();
    let member = Member::start(&broker, &door, |_| {});
    broker.send(&events(0, 50));
    until(|| door.applied_all(49)).await;
    broker.kill_and_restart();
    broker.send(&events(50, 50));
    until(|| door.applied_all(99)).await;
    member.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_stops_its_partition_alone_until_somebody_lets_it_pass() {
    let broker = Broker::start();
    let door = Door::new();
    let member =
        Member::start(&broker, &door, |options| options.flood_retry = Duration::from_secs(3_600));
    for _ in 0..100 {
        broker.send_raw("bad", b"no json", &[]);
    }
    until(|| member.health().iter().any(|lane| lane.stopped.is_some())).await;
    broker.send(&events(0, 5));
    let stopped: Vec<_> =
        member.health().into_iter().filter(|lane| lane.stopped.is_some()).collect();
    let [stopped] = &stopped[..] else { panic!("{stopped:?}") };
    // The others go on.
    let others = || {
        member.health().into_iter().filter(|lane| lane.stopped.is_none() && lane.progress.is_some())
    };
    until(|| others().count() > 0).await;
    assert!(!door.applied_all(4), "the stopped partition went on");
    let letters = broker.dead_letters(0).len();
    assert!(letters < 100, "the topic was emptied into the dead letters: {letters}");
    assert!(!member.let_pass("events/none"));
    assert!(member.let_pass(&stopped.partition.to_string()));
    until(|| door.applied_all(4)).await;
    until(|| member.health().iter().all(|lane| lane.stopped.is_none())).await;
    assert_eq!(broker.dead_letters(100).len(), 100);
    member.stop().await.unwrap();
}
