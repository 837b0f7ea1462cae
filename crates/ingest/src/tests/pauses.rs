//! How long a lane waits until it tries again.

use std::time::{Duration, Instant};

use super::{Fixture, Say, event, fixture_with, json_source, options, record, stored};
use crate::LaneOptions;
use trivium_store::DoorError;

const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// So often that a bound which is crossed at random is crossed here.
const TRIES: usize = 1_000;

/// The shortest and the longest of many pauses.
fn range(pause: impl Fn() -> Duration) -> (Duration, Duration) {
    let pauses: Vec<Duration> = (0..TRIES).map(|_| pause()).collect();
    (*pauses.iter().min().unwrap(), *pauses.iter().max().unwrap())
}

#[test]
fn pauses_double_up_to_the_longest_and_are_at_random() {
    let options = LaneOptions {
        pause_first: millis(50),
        pause_most: millis(1_000),
        ..LaneOptions::default()
    };
    // A request that was taken in part is no failure, and pauses all the same.
    let mosts = [50, 50, 100, 200, 400, 800, 1_000, 1_000].map(millis);
    for (failures, most) in mosts.into_iter().enumerate() {
        let (shortest, longest) = range(|| options.pause(failures as u32));
        assert!(shortest >= most / 2 && longest <= most, "{failures}: {shortest:?}, {longest:?}");
        // All of it is used: workers that failed together come back one after the other.
        assert!(longest - shortest > most / 4, "{failures}: {shortest:?}, {longest:?}");
    }
    for failures in [21, 40, u32::MAX] {
        let (shortest, longest) = range(|| options.pause(failures));
        assert!(shortest >= millis(500) && longest <= millis(1_000));
    }
}

#[test]
fn no_pause_is_nothing_and_none_is_too_long_whatever_is_configured() {
    let of = |first, most| LaneOptions {
        pause_first: first,
        pause_most: most,
        ..LaneOptions::default()
    };
    for options in [of(Duration::ZERO, Duration::ZERO), of(millis(5), Duration::ZERO)] {
        for failures in [0, 1, 30] {
            let (shortest, longest) = range(|| options.pause(failures));
            assert!(shortest > Duration::ZERO && longest <= millis(1), "{longest:?}");
        }
    }
    let (shortest, _) = range(|| of(Duration::ZERO, millis(50)).pause(9));
    assert!(shortest > Duration::ZERO);
    // A first pause beyond the longest; numbers that have no double.
    assert!(range(|| of(millis(90), millis(7)).pause(1)).1 <= millis(7));
    assert!(
        range(|| of(Duration::MAX, Duration::MAX).pause_asked(30, Duration::MAX)).0 > millis(1)
    );
}

#[test]
fn a_pause_that_was_asked_for_is_the_least_up_to_the_longest() {
    let options = LaneOptions {
        pause_first: millis(50),
        pause_most: millis(10_000),
        ..LaneOptions::default()
    };
    // Shorter than what is waited anyway, longer, and beyond the longest pause.
    for (failures, asked, least, most) in [
        (1, 0, 25, 50),
        (1, 10, 25, 50),
        (1, 1_000, 1_000, 1_500),
        (6, 1_000, 1_000, 1_600),
        (20, 1_000, 5_000, 10_000),
        (1, 9_000, 9_000, 10_000),
        (1, 60_000, 10_000, 10_000),
    ] {
        let (shortest, longest) = range(|| options.pause_asked(failures, millis(asked)));
        assert!(shortest >= millis(least) && longest <= millis(most), "{shortest:?}, {longest:?}");
        assert!(longest - shortest >= millis(most - least) / 2, "{shortest:?}, {longest:?}");
    }
}

fn shed(pause: Duration) -> DoorError {
    DoorError::Shed { message: "too many requests are under way".into(), pause }
}

fn lane(pause_most: Duration) -> Fixture {
    let options = LaneOptions { pause_most, ..options() };
    fixture_with(vec![stored("a", json_source())], "events", options)
}

#[tokio::test]
async fn who_sheds_is_left_alone_for_as_long_as_it_asks() {
    let mut lane = lane(millis(10_000));
    let asked = millis(60);
    // Of a whole request, and of its rows.
    lane.say([Say::All(shed(asked)), Say::Half(shed(asked)), Say::All(shed(asked))]);
    let begun = Instant::now();
    let report = lane.take(&[event(0, 1, 10), event(1, 2, 10), record(2, "bad")]).await.unwrap();
    assert!(begun.elapsed() >= asked * 3, "it came again after {:?}", begun.elapsed());
    assert_eq!((report.applied, report.letters), (2, 1), "shedding is nobody's fault");
    // Two rows, and then the one that was shed.
    assert_eq!(*lane.door.requests.lock().unwrap(), [2, 2, 1, 1]);
}

#[tokio::test]
async fn nobody_is_left_alone_for_longer_than_the_longest_pause() {
    let mut lane = lane(millis(5));
    lane.say([Say::All(shed(Duration::from_secs(86_400)))]);
    let records = [event(0, 1, 10)];
    let took = tokio::time::timeout(Duration::from_secs(60), lane.take(&records)).await;
    assert_eq!(took.unwrap().unwrap().applied, 1);
}
