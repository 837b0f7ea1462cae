//! The topic of dead letters, read again.

use trivium_ingest::port::{DeadLetters as _, Letter, Partition, Record};
use trivium_ingest_kafka::{DeadLetterTopic, KafkaOptions, LetterBox, Mark, Place};
use trivium_model::Timestamp;

use crate::fixture::Broker;

fn letter(offset: u64) -> Letter {
    Letter {
        partition: Partition { topic: "events".into(), name: "0".into() },
        record: Record {
            offset,
            key: None,
            value: Some(vec![b'x'; 100].into()),
            headers: Vec::new(),
            time: None,
            broken: None,
        },
        view: None,
        poison: trivium_ingest::Poison::new(trivium_ingest::Reason::Undecodable, "no JSON"),
        first_seen: Timestamp(0),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_large_is_left_where_it_came_from_and_headers_of_old_are_the_messages() {
    let broker = Broker::start();
    let options = KafkaOptions { brokers: broker.bootstrap(), ..KafkaOptions::default() };
    let topic = DeadLetterTopic::new(&options, "dead").unwrap();
    let large = || Some(vec![b'k'; 1_200_000].into());
    let whole = letter(0);
    let mut without_value = letter(1);
    without_value.record.value = large();
    without_value.record.headers.push(("own".to_owned(), Some("1".into())));
    let mut place = letter(2);
    (place.record.key, place.record.value) = (large(), None);
    // A letter of old that somebody has mended, and sent anew with its headers.
    let mut again = letter(3);
    for (name, value) in [("view", "a/old@1"), ("value-bytes", "7"), ("place", "0/9")] {
        again.record.headers.push((format!("trivium-dlq-{name}"), Some(value.into())));
    }
    topic.put(vec![whole, without_value, place, again]).await.unwrap();
    let letters = LetterBox::new(&options, "dead");
    let found = tokio::task::block_in_place(|| {
        letters.load(&letters.places(|_| true).unwrap(), usize::MAX).unwrap()
    });
    let of = |offset| &found.iter().find(|one| one.letter.record.offset == offset).unwrap().letter;
    assert!(!of(0).is_part() && of(0).record.value.is_some());
    assert!(of(1).is_part() && of(1).record.value.is_none() && of(1).record.headers.len() == 1);
    assert_eq!(of(1).says("value-bytes"), "1200000");
    assert!(of(2).is_part() && of(2).record.key.is_none() && of(2).says("reason") == "undecodable");
    assert_eq!(of(2).says("key-bytes"), "1200000");
    assert!(!of(3).is_part() && of(3).record.value.is_some());
    assert_eq!((of(3).says("view"), of(3).says("place")), ("", ""));
    assert_eq!(of(3).record.headers.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn letters_that_are_dealt_with_hide_none_that_wait() {
    let broker = Broker::start();
    let options = KafkaOptions { brokers: broker.bootstrap(), ..KafkaOptions::default() };
    let topic = DeadLetterTopic::new(&options, "dead").unwrap();
    // The second is put twice: a worker died in between.
    for offset in [0, 1, 1, 2, 3, 4] {
        topic.put(vec![letter(offset)]).await.unwrap();
    }
    let letters = LetterBox::new(&options, "dead");
    let at = |offset| Place { partition: 0, offset };
    let all = |letters: &LetterBox| tokio::task::block_in_place(|| letters.places(|_| true));
    let found = all(&letters).unwrap();
    assert_eq!(found, [vec![at(0)], vec![at(1), at(2)], vec![at(3)], vec![at(4)], vec![at(5)]]);
    letters.mark(&[at(1), at(2), at(3), at(4)], Mark::Dropped).await.unwrap();
    // The first still waits, so nothing can be cut off; behind what is dealt with the last is found.
    letters.cut(&tokio::task::block_in_place(|| letters.heads()).unwrap()).await.unwrap();
    let waiting = all(&letters).unwrap();
    assert_eq!(waiting, [vec![at(0)], vec![at(5)]]);
    let load = |bytes| tokio::task::block_in_place(|| letters.load(&waiting, bytes)).unwrap();
    let offsets = |loaded: Vec<trivium_ingest_kafka::Waiting>| -> Vec<u64> {
        loaded.iter().map(|waiting| waiting.letter.record.offset).collect()
    };
    assert_eq!(offsets(load(usize::MAX)), [0, 4]);
    // However little memory there is, one is loaded, and it is the first.
    assert_eq!(offsets(load(1)), [0]);
    letters.mark(&[at(0)], Mark::Replayed).await.unwrap();
    letters.cut(&tokio::task::block_in_place(|| letters.heads()).unwrap()).await.unwrap();
    assert_eq!(all(&letters).unwrap(), [vec![at(5)]]);
    assert_eq!(broker.dead_letters_begin(), 5);
}
