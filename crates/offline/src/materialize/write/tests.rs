use std::{collections::BTreeSet, sync::Mutex};

use async_trait::async_trait;
use trivium_model::Timestamp;
use trivium_runtime::Shutdown;
use trivium_store::{Condition, DoorOp, DoorOutcome, Error as StoreError, Stamp, WriteId};

use super::*;
use crate::{run::Silent, testing::view};

/// A wait never ends early, however slow the machine is: only the lower bound is asserted.
#[tokio::test]
async fn rows_are_kept_apart() {
    let begun = Instant::now();
    let pace = Pace::new(NonZeroU32::new(100).unwrap());
    for _ in 0..3 {
        pace.wait(10).await;
    }
    assert!(begun.elapsed() >= Duration::from_millis(200), "{:?}", begun.elapsed());
}

/// What a door does with a request.
type Mood = fn(usize, usize) -> Taken;

enum Taken {
    All,
    /// The store writes the first half; nobody hears of it.
    HalfUnheard,
    /// Every other row is refused for now.
    EveryOther,
    None(StoreError),
    /// There is too much at once.
    Shed,
}

/// A door with moods: by the number of the request and its rows.
struct Moody {
    mood: Mood,
    requests: Mutex<Vec<usize>>,
    rows: Mutex<BTreeSet<i64>>,
}

fn number(row: &DoorRow) -> i64 {
    match row.entity[..] {
        [KeyValue::Int64(number)] => number,
        _ => panic!("{:?}", row.entity),
    }
}

#[async_trait]
impl WriteDoor for Moody {
    async fn write(&self, request: DoorRequest) -> Result<Vec<DoorOutcome>, DoorError> {
        let rows = request.rows;
        let before = {
            let mut requests = self.requests.lock().unwrap();
            requests.push(rows.len());
            requests.len() - 1
        };
        let mut kept = self.rows.lock().unwrap();
        let mut put = |row: &DoorRow| {
            let Order::At { event_time, sequence } = row.order else { panic!("{:?}", row.order) };
            let stamp = Stamp { event_time, sequence: sequence.unwrap(), ..Stamp::default() };
            match kept.insert(number(row)) {
                true => Ok(WriteOutcome::Applied(stamp)),
                false => Ok(WriteOutcome::Superseded(stamp)),
            }
        };
        let throttled = || DoorError::Store(StoreError::Throttled("slower".to_owned()));
        match (self.mood)(before, rows.len()) {
            Taken::All => Ok(rows.iter().map(put).collect()),
            Taken::HalfUnheard => {
                rows.iter().take(rows.len() / 2).for_each(|row| drop(put(row)));
                Err(DoorError::Store(StoreError::Unknown("too late".to_owned())))
            }
            Taken::EveryOther => Ok(rows
                .iter()
                .enumerate()
                .map(|(place, row)| if place % 2 == 0 { put(row) } else { Err(throttled()) })
                .collect()),
            Taken::None(error) => Err(DoorError::Store(error)),
            Taken::Shed => {
                let (message, pause) = ("too many".to_owned(), Duration::from_millis(1));
                Err(DoorError::Shed { message, pause })
            }
        }
    }
}

fn row(number: i64) -> DoorRow {
    DoorRow {
        entity: vec![KeyValue::Int64(number)],
        op: DoorOp::Delete,
        order: Order::At { event_time: Timestamp(1), sequence: Some(1) },
        condition: Condition::None,
        write_id: WriteId(0),
    }
}

/// Sends so many rows, a hundred at once and one request at a time; the door afterwards.
async fn send(rows: i64, mood: Mood, shutdown: Shutdown) -> (Arc<Moody>, Result<Tally, Error>) {
    send_with(rows, mood, MaterializeOptions { shutdown, ..options() }).await
}

fn options() -> MaterializeOptions {
    MaterializeOptions { batch_rows: 100, in_flight: 1, tries: 4, ..MaterializeOptions::default() }
}

async fn send_with(
    rows: i64,
    mood: Mood,
    options: MaterializeOptions,
) -> (Arc<Moody>, Result<Tally, Error>) {
    let door = Arc::new(Moody { mood, requests: Mutex::default(), rows: Mutex::default() });
    let through: Arc<dyn WriteDoor> = Arc::clone(&door) as _;
    let mut writer = Writer::new(through, Arc::new(view()), &options, Arc::new(Silent));
    let sent = match writer.send((0..rows).map(row).collect()).await {
        Ok(()) => writer.settle().await,
        Err(error) => Err(error),
    };
    (door, sent.map(|()| writer.tally()))
}

#[tokio::test(start_paused = true)]
async fn a_slow_store_gets_smaller_requests() {
    let mood: Mood = |_, rows| if rows > 30 { Taken::HalfUnheard } else { Taken::All };
    let (door, tally) = send(400, mood, Shutdown::new()).await;
    let tally = tally.unwrap();
    assert_eq!(door.rows.lock().unwrap().len(), 400);
    // 50 of the first request and 25 of its second try were written unheard.
    assert_eq!(tally.applied + tally.unchanged, 400);
    assert!(tally.unchanged > 0);
    let requests = door.requests.lock().unwrap();
    assert_eq!(requests[..3], [100, 50, 25]);
    let too_large = requests.iter().filter(|rows| **rows > 30).count();
    assert!(too_large * 3 < requests.len(), "{requests:?}");
}

#[tokio::test(start_paused = true)]
async fn a_store_that_recovers_gets_full_requests_again() {
    let mood: Mood = |before, _| if before == 0 { Taken::HalfUnheard } else { Taken::All };
    let (door, _) = send(2_000, mood, Shutdown::new()).await;
    assert_eq!(door.requests.lock().unwrap().iter().rev().nth(1), Some(&100));
}

#[tokio::test(start_paused = true)]
async fn only_rows_that_were_refused_are_sent_again() {
    let mood: Mood = |before, _| if before < 2 { Taken::EveryOther } else { Taken::All };
    let (door, tally) = send(40, mood, Shutdown::new()).await;
    let tally = tally.unwrap();
    assert_eq!((tally.applied, tally.unchanged), (40, 0));
    assert_eq!(door.requests.lock().unwrap().iter().sum::<usize>(), 40 + 20 + 10);
}

/// By the test's own clock, which no machine slows: half of two requests' rows go a second time.
#[tokio::test(start_paused = true)]
async fn rows_that_are_sent_again_keep_the_pace() {
    let mood: Mood = |before, _| if before < 2 { Taken::EveryOther } else { Taken::All };
    let options =
        MaterializeOptions { rows_per_second: NonZeroU32::new(100), in_flight: 4, ..options() };
    let begun = Instant::now();
    let (door, tally) = send_with(200, mood, options).await;
    assert_eq!(tally.unwrap().applied, 200);
    let sent: usize = door.requests.lock().unwrap().iter().sum();
    assert!(sent > 200, "{sent}");
    // The last request is not waited out.
    let last = *door.requests.lock().unwrap().last().unwrap();
    let least = Duration::from_secs(1) * (sent - last) as u32 / 100;
    assert!(begun.elapsed() >= least, "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_pace_ends_when_the_run_is_stopped() {
    let options = MaterializeOptions { rows_per_second: NonZeroU32::new(1), ..options() };
    let (shutdown, begun) = (options.shutdown.clone(), Instant::now());
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(3)).await;
        shutdown.trigger();
    });
    let (door, tally) = send_with(100, |_, _| Taken::All, options).await;
    assert!(matches!(tally, Err(Error::Stopped)), "{tally:?}");
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    assert!((1..10).contains(&door.requests.lock().unwrap().len()));
}

#[tokio::test(start_paused = true)]
async fn a_store_that_takes_nothing_is_given_up() {
    let throttled: Mood = |_, _| Taken::None(StoreError::Throttled("slower".to_owned()));
    let (door, tally) = send(100, throttled, Shutdown::new()).await;
    assert_eq!(tally.unwrap_err().kind(), trivium_runtime::Kind::ResourceExhausted);
    assert_eq!(door.requests.lock().unwrap().len(), 4);
    // What cannot change is not tried again.
    let failed: Mood = |_, _| Taken::None(StoreError::Failed("no disk".to_owned()));
    let (door, tally) = send(100, failed, Shutdown::new()).await;
    tally.unwrap_err();
    assert_eq!(door.requests.lock().unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_sheds_is_come_back_to() {
    let mood: Mood = |before, _| if before < 3 { Taken::Shed } else { Taken::All };
    let (_, tally) = send(100, mood, Shutdown::new()).await;
    assert_eq!(tally.unwrap().applied, 100);
    let (door, tally) = send(100, |_, _| Taken::Shed, Shutdown::new()).await;
    assert_eq!(tally.unwrap_err().kind(), trivium_runtime::Kind::ResourceExhausted);
    assert_eq!(door.requests.lock().unwrap().len(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_pause_ends_when_the_run_is_stopped() {
    let throttled: Mood = |_, _| Taken::None(StoreError::Throttled("slower".to_owned()));
    let shutdown = Shutdown::new();
    let stop = shutdown.clone();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(50)).await;
        stop.trigger();
    });
    let (door, tally) = send(100, throttled, shutdown).await;
    assert!(matches!(tally, Err(Error::Stopped)), "{tally:?}");
    assert_eq!(door.requests.lock().unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn nothing_more_is_sent_when_the_run_is_stopped() {
    let shutdown = Shutdown::new();
    shutdown.trigger();
    let (door, tally) = send(100, |_, _| Taken::All, shutdown).await;
    assert!(matches!(tally, Err(Error::Stopped)), "{tally:?}");
    assert_eq!(door.requests.lock().unwrap().len(), 0);
}

/// A row that many others write, say: full requests of the others stay full.
#[tokio::test(start_paused = true)]
async fn what_a_few_rows_meet_does_not_shrink_full_requests() {
    // Refused three times, taken the fourth.
    let mood: Mood = |before, rows| match rows {
        1 if before < 3 => Taken::None(StoreError::Throttled("hot".to_owned())),
        _ => Taken::All,
    };
    let door = Arc::new(Moody { mood, requests: Mutex::default(), rows: Mutex::default() });
    let through: Arc<dyn WriteDoor> = Arc::clone(&door) as _;
    let mut writer = Writer::new(through, Arc::new(view()), &options(), Arc::new(Silent));
    writer.send(vec![row(0)]).await.unwrap();
    writer.settle().await.unwrap();
    writer.send((1..=200).map(row).collect()).await.unwrap();
    writer.settle().await.unwrap();
    assert_eq!(*door.requests.lock().unwrap(), [1, 1, 1, 1, 100, 100]);
}
