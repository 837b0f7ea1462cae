//! Workers on a Kinesis API and a real table of leases: what they read, what they give away, what they do
//! when others die and when shards are split and merged.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a whole file of tests")]

mod fixture;
mod history;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use fixture::{Door, ENTITIES, Event, LEASE, Member, SHARDS, Streams, until};
use trivium_testkit::Verdict;

/// Events of every entity, each newer than the one before.
fn events(from: i64, count: i64) -> Vec<Event> {
    (from..from + count)
        .flat_map(|at| (0..ENTITIES).map(move |id| Event { id, at, x: at * 10 + id }))
        .collect()
}

/// Each of these is an entity of its own: no newer row hides that one is lost.
struct Singles(i64);

impl Singles {
    async fn send(&mut self, streams: &Streams, count: i64) {
        let from = ENTITIES + self.0;
        let event = |id| Event { id, at: 1, x: id };
        streams.send(&(from..from + count).map(event).collect::<Vec<_>>()).await;
        self.0 += count;
    }
    fn all_are_in(&self, door: &Door) -> bool {
        door.entities() as i64 == ENTITIES + self.0
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_message_is_a_row_or_a_dead_letter_whoever_comes_and_goes() {
    let streams = Streams::start().await;
    let door = Door::new();
    let first = Member::start(&streams, &door, |_| {});
    let mut singles = Singles(0);
    singles.send(&streams, 1_000).await;
    streams.send(&events(0, 20)).await;
    streams.send_raw("e", b"{ no json").await;
    until(|| door.applied_all(19)).await;
    assert_eq!(first.shards(), SHARDS);

    // Another comes, and takes one after the other until each has as many; more is sent meanwhile.
    let second = Member::start(&streams, &door, |_| {});
    streams.send(&events(20, 20)).await;
    singles.send(&streams, 1_000).await;
    until(|| first.shards() == SHARDS / 2 && second.shards() == SHARDS / 2).await;
    streams.send(&events(40, 20)).await;
    singles.send(&streams, 1_000).await;
    until(|| door.applied_all(59)).await;
    // The first goes, in order; the second has everything.
    first.stop().await.unwrap();
    until(|| second.shards() == SHARDS).await;
    streams.send(&events(60, 20)).await;
    until(|| door.applied_all(79)).await;
    until(|| singles.all_are_in(&door)).await;
    let letters = streams.dead_letters(1).await;
    let letter = &letters[0];
    // A shard that has moved in the middle of a batch brings its letter twice: its place names it.
    let place =
        |letter: &serde_json::Value| format!("{}/{}", letter["partition"], letter["position"]);
    assert!(letters.iter().all(|other| place(other) == place(letter)), "{letters:?}");
    // Base64 of what was sent.
    assert_eq!((&letter["key"], &letter["value"]), (&"ZQ==".into(), &"eyBubyBqc29u".into()));
    assert_eq!((&letter["reason"], &letter["view"]), (&"undecodable".into(), &"n/a@1".into()));
    assert_eq!(letter["topic"], "events");
    assert!(letter["position"].as_u64().is_some(), "{letter}");
    assert_eq!(letter["headers"][0][0], "kinesis-sequence-number");
    assert!(second.health().iter().all(|lane| lane.lag.unwrap().age < Duration::from_secs(60)));

    // What was done is known: whoever begins after a stop is sent nothing of it again.
    second.stop().await.unwrap();
    assert!(streams.leases().await.values().all(|(owner, ..)| owner.is_none()));
    let rows = door.rows_asked();
    let third = Member::start(&streams, &door, |_| {});
    streams.send(&events(80, 1)).await;
    until(|| door.applied_all(80)).await;
    assert_eq!(door.rows_asked() - rows, ENTITIES as usize);
    third.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_worker_read_is_taken_over_with_nothing_lost() {
    let streams = Streams::start().await;
    let door = Door::new();
    let first = Member::start(&streams, &door, |_| {});
    let mut singles = Singles(0);
    streams.send(&events(0, 2)).await;
    singles.send(&streams, 500).await;
    until(|| door.applied_all(1)).await;
    // Killed while batches are under way: what it has read is nobody's.
    door.go_away(true);
    singles.send(&streams, 500).await;
    until(|| first.health().iter().all(|lane| lane.waiting_bytes > 0)).await;
    first.kill().await;
    // Its lanes went with it.
    tokio::time::sleep(Duration::from_millis(100)).await;
    let asked = door.requests();
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(door.requests(), asked);
    door.go_away(false);
    let second = Member::start(&streams, &door, |_| {});
    until(|| second.shards() == SHARDS).await;
    streams.send(&events(2, 2)).await;
    until(|| door.applied_all(3) && singles.all_are_in(&door)).await;
    second.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_was_cut_off_moves_no_checkpoint_and_ends_its_lanes() {
    let streams = Streams::start().await;
    let door = Door::new();
    let proxy = streams.dynamodb_proxy();
    let first = Member::start(&streams, &door, |options| {
        options.lease_endpoint = Some(format!("http://127.0.0.1:{}", proxy.port()));
    });
    streams.send(&events(0, 2)).await;
    until(|| door.applied_all(1)).await;
    // It reaches its leases no more, and goes on reading: others think it dead. The other one gets no
    // rows written, so that the first is ahead of every checkpoint.
    proxy.judge(|_, _| Verdict::Silence(Duration::ZERO));
    let others = Door::new();
    others.go_away(true);
    let second = Member::start(&streams, &others, |_| {});
    until(|| second.shards() == SHARDS).await;
    assert_eq!(first.shards(), SHARDS);
    let mut singles = Singles(0);
    singles.send(&streams, 500).await;
    streams.send(&events(2, 2)).await;
    until(|| door.applied_all(3) && singles.all_are_in(&door)).await;
    let before = streams.leases().await;
    // It can renew again, and no more than that. What it says now comes too late.
    proxy.judge(|operation, _| match operation {
        "UpdateItem" => Verdict::Pass,
        _ => Verdict::Silence(Duration::ZERO),
    });
    until(|| first.shards() == 0).await;
    assert_eq!(streams.leases().await, before);
    others.go_away(false);
    until(|| others.applied_all(3) && singles.all_are_in(&others)).await;
    first.stop().await.unwrap();
    second.stop().await.unwrap();
    for (shard, (_, position, _)) in streams.leases().await {
        assert!(position > before[&shard].1, "{shard}: {position} after {before:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn order_holds_while_shards_are_split_and_merged() {
    let streams = Streams::start().await;
    let door = Door::new();
    let first = Member::start(&streams, &door, |_| {});
    let second = Member::start(&streams, &door, |_| {});
    let mut singles = Singles(0);
    // All of one event time: the position alone says which message of an entity is the last.
    let tied =
        |x: i64| (0..ENTITIES).map(|id| Event { id, at: 7, x: x * 100 + id }).collect::<Vec<_>>();
    for x in 0..10 {
        streams.send(&tied(x)).await;
    }
    singles.send(&streams, 300).await;
    until(|| first.shards() + second.shards() == SHARDS).await;
    // While the door is away, parents cannot be read to their end.
    door.go_away(true);
    for x in 10..20 {
        streams.send(&tied(x)).await;
    }
    let open = streams.open().await;
    streams.split(&open[0]).await;
    streams.split(&open[1]).await;
    streams.merge(&open[2].0, &open[3].0).await;
    for x in 20..30 {
        streams.send(&tied(x)).await;
    }
    singles.send(&streams, 300).await;
    let asked = door.requests();
    until(|| door.requests() > asked + 50).await;
    // So no child has a lease yet.
    assert_eq!(streams.leases().await.len(), SHARDS);
    door.go_away(false);
    until(|| first.shards() + second.shards() == 5).await;
    let open = streams.open().await;
    streams.merge(&open[1].0, &open[2].0).await;
    for x in 30..40 {
        streams.send(&tied(x)).await;
    }
    singles.send(&streams, 300).await;
    until(|| singles.all_are_in(&door)).await;
    let last = tied(39);
    until(|| last.iter().all(|event| door.has(event))).await;
    until(|| first.shards() + second.shards() == 4).await;
    let leases = streams.leases().await;
    assert_eq!(leases.values().filter(|(.., ended)| *ended).count(), SHARDS + 2, "{leases:?}");
    first.stop().await.unwrap();
    second.stop().await.unwrap();
    assert!(last.iter().all(|event| door.has(event)));
}

#[tokio::test(flavor = "multi_thread")]
async fn while_serving_is_away_little_waits_and_no_progress_is_made() {
    let streams = Streams::start().await;
    let door = Door::new();
    const WAITING: usize = 256 << 10;
    let member = Member::start(&streams, &door, |options| options.waiting_bytes = WAITING);
    streams.send(&events(0, 1)).await;
    until(|| door.applied_all(0)).await;
    until(|| member.health().iter().all(|lane| lane.waiting_bytes == 0)).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let before = streams.leases().await;
    door.go_away(true);
    streams.send(&events(1, 400)).await;
    // It has tried again and again, longer than a lease lasts, and does not read on.
    tokio::time::sleep(LEASE * 2).await;
    let tries = door.requests();
    until(|| door.requests() > tries + 20).await;
    let waiting: usize = member.health().iter().map(|lane| lane.waiting_bytes).sum();
    assert!(waiting > 0 && waiting < 2 * WAITING, "{waiting}");
    assert!(member.health().iter().all(|lane| lane.busy.is_some()));
    assert_eq!(streams.leases().await, before);
    door.go_away(false);
    until(|| door.applied_all(400)).await;
    until(|| member.health().iter().all(|lane| lane.waiting_bytes == 0 && lane.busy.is_none()))
        .await;
    assert_eq!(streams.dead_letters(0).await.len(), 0);
    member.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_and_lost_iterators_cost_time_alone() {
    let streams = Streams::start().await;
    let door = Door::new();
    let proxy = streams.kinesis_proxy();
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&asked);
    proxy.judge(move |operation, _| {
        let number = counted.fetch_add(usize::from(operation == "GetRecords"), Ordering::SeqCst);
        let error = |code: &str| {
            Verdict::Answer(400, format!(r#"{{ "__type": "{code}", "message": "injected" }}"#))
        };
        match (operation, number % 4) {
            ("GetRecords", 0) => error("ProvisionedThroughputExceededException"),
            ("GetRecords", 1) => error("ExpiredIteratorException"),
            ("GetRecords", 2) => Verdict::LoseAnswer,
            _ => Verdict::Pass,
        }
    });
    let begun = std::time::Instant::now();
    let member = Member::start(&streams, &door, |options| {
        options.endpoint = Some(format!("http://127.0.0.1:{}", proxy.port()));
        options.waiting_bytes = 64 << 10;
    });
    let mut singles = Singles(0);
    singles.send(&streams, 2_000).await;
    streams.send(&events(0, 20)).await;
    until(|| door.applied_all(19) && singles.all_are_in(&door)).await;
    // A shard is asked five times a second at most, whatever the answers are.
    let most = begun.elapsed().as_millis() / 200 * SHARDS as u128 + SHARDS as u128;
    assert!(asked.load(Ordering::SeqCst) as u128 <= most, "{asked:?} of {most}");
    assert!(member.health().iter().all(|lane| lane.stopped.is_none()));
    // What does not pass by itself is said.
    proxy.judge(|operation, _| match operation {
        "GetRecords" => Verdict::Answer(
            400,
            r#"{ "__type": "AccessDeniedException", "message": "injected" }"#.to_owned(),
        ),
        _ => Verdict::Pass,
    });
    let said = |lane: &trivium_ingest::LaneHealth| {
        lane.stopped.as_deref().is_some_and(|why| why.contains("AccessDeniedException: injected"))
    };
    until(|| member.health().iter().all(said)).await;
    proxy.judge(|_, _| Verdict::Pass);
    until(|| member.health().iter().all(|lane| lane.stopped.is_none())).await;
    member.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn aggregates_deletes_and_floods() {
    let streams = Streams::start().await;
    let door = Door::new();
    let member = Member::start(&streams, &door, |options| {
        options.flood_retry = Duration::from_secs(3_600);
        // Batches end in the middle of aggregates.
        options.batch_records = 7;
    });
    let parts: Vec<(String, String)> = (0..100)
        .map(|id| (id.to_string(), format!(r#"{{ "id": {id}, "at": 1, "x": {id} }}"#)))
        .collect();
    streams.send_raw("any", &aggregate(&parts)).await;
    until(|| (0..100).all(|id| door.has(&Event { id, at: 1, x: id }))).await;
    until(|| member.health().iter().all(|lane| lane.busy.is_none())).await;

    // A record without data is a message without a value; its key is no JSON, so it is a dead letter.
    streams.send_raw("5", b"").await;
    let letters = streams.dead_letters(1).await;
    assert_eq!((&letters[0]["reason"], &letters[0]["value"]), (&"missing".into(), &().into()));
    assert!(!door.is_deleted(5));

    for _ in 0..50 {
        streams.send_raw("bad", b"no json").await;
    }
    until(|| member.health().iter().any(|lane| lane.stopped.is_some())).await;
    let health = member.health();
    let stopped: Vec<_> = health.iter().filter(|lane| lane.stopped.is_some()).collect();
    assert_eq!(stopped.len(), 1, "{stopped:?}");
    assert!(streams.dead_letters(0).await.len() < 50);
    assert!(!member.let_pass("events/none"));
    assert!(member.let_pass(&stopped[0].partition.to_string()));
    until(|| member.health().iter().all(|lane| lane.stopped.is_none())).await;
    assert_eq!(streams.dead_letters(51).await.len(), 51);
    member.stop().await.unwrap();
}

/// As the Kinesis Producer Library puts messages together.
fn aggregate(parts: &[(String, String)]) -> Vec<u8> {
    use md5::Digest as _;
    fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
        let mut field = vec![number << 3 | 2];
        field.extend(varint(bytes.len()));
        field.extend(bytes);
        field
    }
    fn varint(mut value: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        while value > 0x7F {
            bytes.push(value as u8 | 0x80);
            value >>= 7;
        }
        bytes.push(value as u8);
        bytes
    }
    let mut message: Vec<u8> = parts.iter().flat_map(|(key, _)| field(1, key.as_bytes())).collect();
    for (index, (_, data)) in parts.iter().enumerate() {
        let mut record = vec![1 << 3];
        record.extend(varint(index));
        record.extend(field(3, data.as_bytes()));
        message.extend(field(3, &record));
    }
    let mut bytes = vec![0xF3, 0x89, 0x9A, 0xC2];
    bytes.extend(&message);
    bytes.extend(md5::Md5::digest(&message));
    bytes
}
