//! Shares, lineages, aggregates, positions; leases on a real table.

use std::time::{Duration, Instant};

use aws_credential_types::{Credentials, provider::SharedCredentialsProvider};
use aws_sdk_kinesis::{
    primitives::{Blob, DateTime},
    types::Record as KinesisRecord,
};
use bytes::Bytes;
use md5::Digest as _;
use trivium_ingest::port::Partition;
use trivium_model::Timestamp;
use trivium_testkit::DynamoDb;

use crate::{
    KinesisOptions, SEQUENCE_HEADER,
    aggregate::{Part, parts},
    balance::{Seen, Strays, choose},
    client,
    leases::{After, Checkpoint, Lease, LeaseTable},
    reader::{Item, items},
    shards::{Listing, due},
};

const LENGTH: Duration = Duration::from_secs(10);
const NOW: Timestamp = Timestamp(1_000_000);

fn partition(shard: &str) -> Partition {
    Partition { topic: "s".into(), name: shard.into() }
}

fn lease(shard: &str, owner: Option<&str>) -> Lease {
    Lease {
        partition: partition(shard),
        owner: owner.map(str::to_owned),
        epoch: 1,
        renewals: 1,
        checkpoint: Checkpoint { sequence: None, position: 10, read_until: Timestamp(0) },
        parents: Vec::new(),
        ended: false,
    }
}

fn leases(owned: &[(&str, usize)]) -> Vec<Lease> {
    let all = owned.iter().flat_map(|(owner, count)| (0..*count).map(move |at| (*owner, at)));
    all.map(|(owner, at)| lease(&format!("{owner}{at}"), (!owner.is_empty()).then_some(owner)))
        .collect()
}

fn chosen(owned: &[(&str, usize)], me: &str) -> Vec<String> {
    let (leases, now) = (leases(owned), Instant::now());
    let mut seen = Seen::default();
    seen.note(&leases, now);
    let chosen = choose(&leases, &seen, me, LENGTH, now);
    chosen.into_iter().map(|lease| lease.owner.unwrap_or_default()).collect()
}

#[test]
fn a_worker_takes_its_share_and_one_at_a_time_from_the_rich() {
    assert_eq!(chosen(&[("", 7)], "me").len(), 7);
    assert_eq!(chosen(&[("", 7), ("a", 3)], "me").len(), 5);
    assert_eq!(chosen(&[("", 1), ("a", 3), ("me", 3)], "me").len(), 1);
    assert_eq!(chosen(&[("", 2), ("a", 1), ("me", 3)], "me").len(), 0);
    assert_eq!(chosen(&[("a", 5), ("b", 3)], "me"), ["a"]);
    assert_eq!(chosen(&[("a", 2), ("me", 0)], "me"), ["a"]);
    // A difference of one stays: nothing moves for ever.
    assert!(chosen(&[("a", 1)], "me").is_empty());
    assert!(chosen(&[("a", 3), ("me", 2)], "me").is_empty());
    assert!(chosen(&[], "me").is_empty());
}

#[test]
fn a_lease_is_stale_when_it_stood_still_and_not_when_its_watcher_did() {
    let begun = Instant::now();
    let mut leases = leases(&[("a", 4)]);
    let mut seen = Seen::default();
    seen.note(&leases, begun);
    let later = begun + LENGTH;
    for lease in &mut leases[1..] {
        lease.renewals += 1;
    }
    // Long after, it looks again: only what has not moved in between is nobody's.
    seen.note(&leases, later);
    let taken = choose(&leases, &seen, "me", LENGTH, later);
    assert_eq!(taken, leases[..1]);
    let mut ended = leases.clone();
    ended[0].ended = true;
    assert_eq!(choose(&ended, &seen, "me", LENGTH, later).len(), 1);
    assert_ne!(choose(&ended, &seen, "me", LENGTH, later), leases[..1]);
    // Taken by another in between.
    leases[0].epoch += 1;
    seen.note(&leases, later);
    assert_eq!(choose(&leases, &seen, "me", LENGTH, later).len(), 1);
    assert!(choose(&leases[..1], &seen, "me", LENGTH, later).is_empty());
}

#[test]
fn a_lease_that_was_taken_without_an_answer_is_found() {
    let mut strays = Strays::default();
    let leases = leases(&[("me", 2), ("a", 1)]);
    let works = |lease: &Lease| lease.partition.name.ends_with('0');
    assert!(strays.find(&leases, "me", works).is_empty());
    assert_eq!(strays.find(&leases, "me", works), leases[1..2]);
    assert!(strays.find(&leases, "me", |_| true).is_empty());
}

fn listing(shards: &[(&str, &[&str])]) -> Listing {
    let shard = |(name, parents): &(&str, &[&str])| {
        ((*name).to_owned(), parents.iter().map(|parent| (*parent).to_owned()).collect())
    };
    Listing { shards: shards.iter().map(shard).collect(), retention: Duration::ZERO }
}

#[test]
fn children_wait_for_both_parents_and_begin_above_them() {
    let listing = listing(&[("0", &[]), ("1", &[]), ("2", &["0", "1"]), ("3", &["2"])]);
    let made = |leases: &[Lease]| -> Vec<(String, u64)> {
        let made = due("s", &listing, leases, NOW).made.into_iter();
        made.map(|lease| (lease.partition.name.to_string(), lease.checkpoint.position)).collect()
    };
    // Those without parents count from now on.
    assert_eq!(made(&[]), [("0".to_owned(), 1_000_000), ("1".to_owned(), 1_000_000)]);
    let oldest =
        due("s", &Listing { retention: Duration::from_secs(1), ..listing.clone() }, &[], NOW);
    assert_eq!(oldest.made[0].checkpoint.read_until, Timestamp(0));
    let (mut first, mut second) = (lease("0", None), lease("1", None));
    assert!(made(&[first.clone(), second.clone()]).is_empty());
    (first.ended, first.checkpoint.position) = (true, 77);
    assert!(made(&[first.clone(), second.clone()]).is_empty());
    (second.ended, second.checkpoint.position) = (true, 55);
    assert_eq!(made(&[first.clone(), second.clone()]), [("2".to_owned(), 77)]);
    assert!(made(&[first, second, lease("2", None)]).is_empty());
}

#[test]
fn shards_that_are_gone_are_told_and_waited_for_no_more() {
    let listing = listing(&[("2", &["0", "1"])]);
    let mut read = lease("0", None);
    (read.ended, read.checkpoint.position) = (true, 77);
    // One of its parents has been read, the other one is gone with what was in it.
    let found = due("s", &listing, &[read.clone(), lease("1", Some("a"))], NOW);
    assert!(found.made.is_empty());
    assert_eq!((found.gone, found.done), (vec![lease("1", Some("a"))], vec![partition("0")]));
    let mut gone = lease("1", None);
    gone.ended = true;
    let found = due("s", &listing, &[read, gone], NOW);
    assert_eq!(found.made[0].checkpoint.position, 77);
    // Parents that nobody knows are waited for by nobody.
    let found = due("s", &listing, &[], NOW);
    assert_eq!(found.made[0].checkpoint.position, 1_000_000);
}

fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    assert!(bytes.len() < 128);
    [&[number << 3 | 2, bytes.len() as u8], bytes].concat()
}

fn aggregated(message: &[u8]) -> Bytes {
    let digest = md5::Md5::digest(message);
    [&[0xF3, 0x89, 0x9A, 0xC2], message, &digest[..]].concat().into()
}

/// Two keys, three messages; with a hash key and a tag that mean nothing here.
fn three() -> Vec<u8> {
    let record = |key: u8, data: &[u8]| {
        field(3, &[&[1 << 3, key, 2 << 3, 0][..], &field(3, data), &field(4, b"tag")].concat())
    };
    let parts = [field(1, b"a"), field(1, b"b"), field(2, b"17"), record(0, b"x")];
    [parts.concat(), record(1, b"y"), record(0, b"")].concat()
}

#[test]
fn aggregates_are_taken_apart() {
    let part = |key: &'static str, data: &'static str| Part { key: key.into(), data: data.into() };
    let expected = vec![part("a", "x"), part("b", "y"), part("a", "")];
    assert_eq!(parts(&aggregated(&three())), Ok(Some(expected)));
    // Any bytes may begin so.
    let mut other = aggregated(&three()).to_vec();
    other[6] ^= 1;
    assert_eq!(parts(&other.into()), Ok(None));
    for plain in [&b""[..], b"{}", &[0xF3, 0x89, 0x9A, 0xC2], &[0xF3, 0x89, 0x9A, 0xC2, 0, 0]] {
        assert_eq!(parts(&Bytes::copy_from_slice(plain)), Ok(None));
    }
    for (message, why) in [
        (&b""[..], "no messages"),
        (&field(1, b"a"), "no messages"),
        (&field(3, &field(3, b"x")), "no partition key"),
        (&field(3, &[1 << 3, 0]), "does not have"),
        (&[field(1, b"a"), field(3, &[1 << 3, 0])].concat(), "no data"),
        (&[3 << 3 | 2, 9, 1], "cut short"),
        (&[3 << 3 | 3], "no protobuf"),
        (&[0xFF; 11], "no protobuf"),
        (&[3 << 3 | 2, 0].repeat(10_001), "more than 10000 "),
    ] {
        let error = parts(&aggregated(message)).unwrap_err();
        assert!(error.contains(why), "{error}");
    }
}

#[test]
fn whatever_an_aggregate_has_been_made_into_is_no_panic() {
    let message = three();
    let mut seed = 1_u64;
    let mut random = move |below: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as usize % below
    };
    for _ in 0..5_000 {
        let mut bytes = message.clone();
        for _ in 0..=random(3) {
            let at = random(bytes.len());
            bytes[at] = random(256) as u8;
        }
        bytes.truncate(1 + random(bytes.len()));
        let _ = parts(&aggregated(&bytes));
    }
}

fn record(sequence: &str, data: Bytes) -> KinesisRecord {
    let record = KinesisRecord::builder()
        .sequence_number(sequence)
        .partition_key("k")
        .data(Blob::new(data))
        .approximate_arrival_timestamp(DateTime::from_secs(1));
    record.build().unwrap()
}

#[test]
fn positions_count_messages_and_marks_stand_at_the_ends_of_records() {
    let mut position = 10;
    let mut all = Vec::new();
    for (sequence, data) in [
        ("5", Bytes::from("x")),
        ("6", aggregated(&three())),
        ("7", aggregated(b"")),
        ("8", Bytes::new()),
    ] {
        all.extend(items(record(sequence, data), Timestamp(1), &mut position));
    }
    // Position, name, mark, value, and whether it is broken.
    type Told<'a> = (u64, String, Option<String>, Option<&'a str>, bool);
    let told: Vec<Told<'_>> = all
        .iter()
        .map(|item| {
            let Item::Message(record, mark) = item else { panic!() };
            let (name, number) = &record.headers[0];
            assert_eq!(name, SEQUENCE_HEADER);
            let number = String::from_utf8(number.as_ref().unwrap().to_vec()).unwrap();
            let value = record.value.as_ref().map(|value| std::str::from_utf8(value));
            (
                record.offset,
                number,
                mark.as_ref().map(|mark| mark.sequence.clone()),
                value.map(|value| value.unwrap_or("?")),
                record.broken.is_some(),
            )
        })
        .collect();
    let mark = |text: &str| Some(text.to_owned());
    assert_eq!(
        told,
        [
            (11, "5".to_owned(), mark("5"), Some("x"), false),
            (12, "6/0".to_owned(), None, Some("x"), false),
            (13, "6/1".to_owned(), None, Some("y"), false),
            (14, "6/2".to_owned(), mark("6"), None, false),
            // What cannot be taken apart is one message, and a dead letter.
            (15, "7".to_owned(), mark("7"), Some("?"), true),
            (16, "8".to_owned(), mark("8"), None, false),
        ]
    );
}

#[test]
fn options_that_cannot_work_are_refused_by_name() {
    let local = KinesisOptions {
        endpoint: Some("http://127.0.0.1:1".to_owned()),
        lease_endpoint: Some("http://127.0.0.1:1".to_owned()),
        ..KinesisOptions::default()
    };
    assert!(local.check().is_ok());
    type Set = fn(&mut KinesisOptions);
    let wrong: [(&str, Set); 5] = [
        ("lease_table", |options| options.lease_table = "a b".to_owned()),
        ("region", |options| options.region = " ".to_owned()),
        ("read_ms", |options| options.read_every = Duration::from_millis(199)),
        ("lease_ms", |options| options.lease = Duration::from_secs(2)),
        ("endpoint", |options| options.endpoint = Some("127.0.0.1:1".to_owned())),
    ];
    for (option, set) in wrong {
        let mut options = local.clone();
        set(&mut options);
        let error = options.check().unwrap_err().to_string();
        assert!(error.contains(&format!("`{option}`")), "{error}");
    }
}

/// Tables of two workers.
async fn two(dynamodb: &DynamoDb) -> (LeaseTable, LeaseTable) {
    let credentials = Credentials::new("a", "b", None, None, "test");
    let options = KinesisOptions {
        lease_endpoint: Some(dynamodb.endpoint()),
        credentials: Some(SharedCredentialsProvider::new(credentials)),
        ..KinesisOptions::default()
    };
    let table = |me| LeaseTable::new(client::dynamodb(&options), "leases", me);
    let (a, b) = (table("a"), table("b"));
    while !a.prepare().await.unwrap() {}
    assert!(b.prepare().await.unwrap());
    (a, b)
}

fn checkpoint(sequence: &str, position: u64) -> Checkpoint {
    Checkpoint { sequence: Some(sequence.to_owned()), position, read_until: Timestamp(5) }
}

#[tokio::test]
async fn leases_are_written_by_whoever_has_them_and_by_nobody_else() {
    let dynamodb = DynamoDb::start().unwrap();
    let (a, b) = two(&dynamodb).await;
    let mut new = lease("0", None);
    new.parents = vec!["p".to_owned(), "q".to_owned()];
    // As one that goes on with what a history knows.
    new.checkpoint = checkpoint("9", 10);
    assert!(a.create(&new).await.unwrap());
    let mut other = new.clone();
    other.checkpoint.position = 99;
    assert!(!b.create(&other).await.unwrap());
    assert_eq!(b.load("s").await.unwrap(), [new.clone()]);
    assert_eq!(b.load("other").await.unwrap(), []);

    // Of two that saw the same, one gets it.
    let taken = a.take(&new).await.unwrap().unwrap();
    assert_eq!((taken.owner.as_deref(), taken.epoch, taken.renewals), (Some("a"), 2, 2));
    assert_eq!(b.take(&new).await.unwrap(), None);
    let id = partition("0");
    assert!(a.keep(&id, 2, &checkpoint("17", 20), After::Keep).await.unwrap());
    let seen = b.load("s").await.unwrap().remove(0);
    assert_eq!((seen.renewals, &seen.checkpoint), (3, &checkpoint("17", 20)));
    // A write that was given up and comes late moves nothing back.
    assert!(!a.keep(&id, 2, &checkpoint("16", 19), After::Keep).await.unwrap());
    // It was renewed since it was seen.
    assert!(a.keep(&id, 2, &checkpoint("17", 20), After::Keep).await.unwrap());
    assert_eq!(b.take(&seen).await.unwrap(), None);

    // Once it is another's, whoever had it moves nothing, and neither does who had it before in its name.
    let seen = b.load("s").await.unwrap().remove(0);
    assert_eq!(b.take(&seen).await.unwrap().unwrap().epoch, 3);
    for after in [After::Keep, After::Release, After::End] {
        assert!(!a.keep(&id, 2, &checkpoint("99", 99), after).await.unwrap());
        assert!(!a.keep(&id, 3, &checkpoint("99", 99), after).await.unwrap());
        assert!(!b.keep(&id, 2, &checkpoint("99", 99), after).await.unwrap());
    }
    let now = b.load("s").await.unwrap().remove(0);
    assert_eq!((now.owner.as_deref(), now.checkpoint), (Some("b"), checkpoint("17", 20)));

    assert!(b.keep(&id, 3, &checkpoint("18", 21), After::Release).await.unwrap());
    assert!(!b.keep(&id, 3, &checkpoint("18", 21), After::Keep).await.unwrap());
    let free = a.load("s").await.unwrap().remove(0);
    assert_eq!(free.owner, None);
    assert_eq!(a.take(&free).await.unwrap().unwrap().checkpoint, checkpoint("18", 21));
    // What has not ended is not removed; what has is nobody's for ever.
    a.delete(&id).await.unwrap();
    assert!(a.keep(&id, 4, &checkpoint("19", 22), After::End).await.unwrap());
    let ended = a.load("s").await.unwrap().remove(0);
    assert_eq!(
        (ended.ended, &ended.owner, &ended.checkpoint),
        (true, &None, &checkpoint("19", 22))
    );
    assert_eq!(a.take(&ended).await.unwrap(), None);
    a.delete(&id).await.unwrap();
    assert_eq!(a.load("s").await.unwrap(), []);

    // A shard that is gone ends whoever has it, as it was seen.
    assert!(a.create(&new).await.unwrap());
    let seen = a.take(&new).await.unwrap().unwrap();
    assert!(!b.end(&new).await.unwrap());
    assert!(b.end(&seen).await.unwrap());
    assert!(!a.keep(&id, 2, &checkpoint("17", 20), After::Keep).await.unwrap());
}
