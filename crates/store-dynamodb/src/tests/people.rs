//! Rows of persons while they move: each hole opened on purpose, as in `held`, and then everything at once.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
};

use bytes::Bytes;
use rand::RngExt as _;
use trivium_codec::RowKey;
use trivium_model::Timestamp;
use trivium_store::{
    Condition, Error, OnlineRead as _, OnlineWrite as _, Order, ReadOptions, RowWrite,
    SubjectStore as _, SubjectTombstone, Subjects as _, WriteOp, WriteOutcome,
};
use trivium_testkit::{Proxy, Verdict};

use super::{
    held::{Held, complete, copying, start, through},
    moving::{Shuttle, alone, another, copy, moving, pair},
    support::{SEED, SERVER, key, number, open, put, row},
};
use crate::{DynamoStore, State};

fn of_anna(write: RowWrite) -> RowWrite {
    RowWrite { subject: Some(Arc::from("anna")), ..write }
}

async fn write(store: &DynamoStore, write: RowWrite) -> Result<WriteOutcome, Error> {
    store.write(vec![write], SEED, None).await.pop().unwrap()
}

/// Puts a row of Anna's, at an event time that is its value.
async fn applied(store: &DynamoStore, n: i64, value: i64) {
    let told = write(store, of_anna(put(&key("v", n), value, 0))).await;
    assert!(matches!(told, Ok(WriteOutcome::Applied(_))), "{told:?}");
}

async fn live(store: &DynamoStore, n: i64) -> Option<i64> {
    let rows = store.get(&[key("v", n)], &ReadOptions::default()).await;
    rows.into_iter().next().unwrap().unwrap().filter(|row| !row.is_deleted()).as_ref().map(number)
}

fn tombstone(old: Option<&SubjectTombstone>, up_to: i64) -> SubjectTombstone {
    SubjectTombstone {
        up_to: Timestamp(up_to),
        erasure: old.map_or(1, |old| old.erasure + 1),
        version: old.map_or(1, |old| old.version + 1),
        is_open: true,
        job: Bytes::from_static(b"job"),
    }
}

async fn erase(store: &DynamoStore, up_to: i64) {
    let old = store.tombstone("anna").await.unwrap();
    let new = tombstone(old.as_ref(), up_to);
    assert!(store.swap_tombstone("anna", old.as_ref(), &new).await.unwrap());
}

async fn back(store: &DynamoStore) {
    store.migrator().unwrap().back().await.unwrap();
}

/// Every key that the index shows of the subject, in the order of the tables.
async fn keys_of(store: &DynamoStore, subject: &str) -> Vec<RowKey> {
    let (mut keys, mut after) = (Vec::new(), None);
    loop {
        let page = store.keys_of(subject, after.as_deref()).await.unwrap();
        keys.extend(page.keys);
        after = page.next;
        if after.is_none() {
            return keys;
        }
    }
}

/// A put that was on its way when this was done is refused as erased, or told to be.
async fn is_refused(store: &DynamoStore, meanwhile: impl AsyncFnOnce()) {
    let (slow, proxy) = through(store);
    let held = Held::first(&proxy, "TransactWriteItems", vec!["row_bytes".to_owned()]);
    let late = tokio::spawn(async move { write(&slow, of_anna(put(&key("v", 1), 50, 0))).await });
    held.arrived().await;
    meanwhile().await;
    held.let_go();
    let told = late.await.unwrap();
    assert!(matches!(told, Ok(WriteOutcome::Erased(_))), "{told:?}");
    assert_ne!(live(store, 1).await, Some(50));
}

/// The put was sent to the first table; row and tombstone have moved since, and she was erased there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_late_put_meets_the_tombstone_that_has_moved() {
    for was_erased in [false, true] {
        let store = pair().await;
        applied(&store, 1, 4).await;
        if was_erased {
            erase(&store, 10).await;
        }
        is_refused(&store, async || {
            start(&store).await;
            copy(&store).await;
            erase(&store, 100).await;
        })
        .await;
    }
}

/// The same, and the row has been brought back as it was, but its subject's tombstone not yet.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_late_put_meets_the_tombstone_that_is_still_elsewhere() {
    for (was_erased, has_row) in [(false, true), (true, true), (false, false)] {
        let store = pair().await;
        if was_erased {
            erase(&store, 2).await;
        }
        if has_row {
            applied(&store, 1, 4).await;
        }
        is_refused(&store, async || {
            start(&store).await;
            copy(&store).await;
            store.migrator().unwrap().finish().await.unwrap();
            if !has_row {
                // By whoever knows the second table alone: nothing is marked in the first.
                erase(&alone(&store, false), 100).await;
            }
            back(&store).await;
            bring(&store, 1).await;
            if has_row {
                erase(&store, 100).await;
            }
        })
        .await;
    }
}

/// Moves this row, and nothing else.
async fn bring(store: &DynamoStore, n: i64) {
    let end = store.0.end_of(None);
    let way = store.0.way(end).await.unwrap().unwrap();
    way.bring(&crate::item::row_key(&key("v", n)), end).await.unwrap();
}

/// A copy of the tombstone stands beside the row already, and does not count yet: what it says is out of date.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_late_put_is_not_told_by_a_staged_tombstone() {
    let store = pair().await;
    erase(&store, 2).await;
    applied(&store, 1, 4).await;
    is_refused(&store, async || {
        start(&store).await;
        copy(&store).await;
        back(&store).await;
        bring(&store, 1).await;
        let (slow, proxy) = through(&store);
        let held = Held::first(&proxy, "TransactWriteItems", vec!["#subject".to_owned()]);
        let slow = copying(&slow);
        held.arrived().await;
        erase(&store, 100).await;
        // The copying goes on when the put has come.
        tokio::spawn(async move {
            tokio::time::sleep(std::time::Duration::from_secs(2)).await;
            held.let_go();
            slow.await.unwrap();
        });
    })
    .await;
}

/// There was no tombstone, and no place where one would be made; the row was new too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_late_put_meets_the_tombstone_that_was_made_meanwhile() {
    for is_moving in [false, true] {
        let store = pair().await;
        if is_moving {
            start(&store).await;
            copy(&store).await;
        }
        is_refused(&store, async || erase(&store, 100).await).await;
    }
}

/// A stub may expire; then nothing says that the tombstone is made nowhere else.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_put_makes_a_place_for_the_tombstone() {
    let store = pair().await;
    applied(&store, 1, 4).await;
    let inner = &*store.0;
    let stub = crate::people::tombstone_key("anna");
    let stands = inner.first.get_item(stub.clone(), inner.end_of(None)).await.unwrap();
    assert!(stands.is_some_and(|stub| stub.contains_key("expires_at")));
    assert_eq!(store.tombstone("anna").await.unwrap(), None);
    assert_eq!(alone(&store, true).tombstone("anna").await.unwrap(), None);
    // Neither in the way of the one, nor of the other.
    applied(&alone(&store, true), 2, 4).await;
    let nothing = crate::expression::Expression::default();
    assert!(inner.first.delete(stub, nothing, inner.end_of(None)).await.unwrap());
    applied(&store, 1, 5).await;
    erase(&alone(&store, true), 100).await;
    let told = write(&store, of_anna(put(&key("v", 1), 50, 0))).await;
    assert!(matches!(told, Ok(WriteOutcome::Erased(Timestamp(100)))), "{told:?}");
    start(&store).await;
    copy(&store).await;
    assert_eq!(store.tombstone("anna").await.unwrap().map(|found| found.erasure), Some(1));
}

/// The tombstone comes when a row has been copied: it is not handed over, since the index of the other table
/// may have heard of it later than an erasure waits.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_of_before_are_not_handed_over() {
    let store = pair().await;
    applied(&store, 1, 4).await;
    let bens = RowWrite { subject: Some(Arc::from("ben")), ..put(&key("v", 2), 4, 0) };
    write(&store, bens).await.unwrap();
    start(&store).await;
    let (slow, proxy) = through(&store);
    let held = Held::first(
        &proxy,
        "PutItem",
        vec!["staged".to_owned(), "anna".to_owned(), "row_bytes".to_owned()],
    );
    let slow = copying(&slow);
    held.arrived().await;
    erase(&store, 100).await;
    held.let_go();
    slow.await.unwrap();
    let verified = store.migrator().unwrap().verify().await.unwrap();
    assert_eq!(verified.unmoved, 1, "{verified:?}");
    assert!(store.migrator().unwrap().finish().await.is_err());
    let copied = store.migrator().unwrap().copy(crate::Pace::default(), |_| {}).await.unwrap();
    assert_eq!(copied.waiting, 1);
    assert_eq!(keys_of(&store, "anna").await, [key("v", 1)]);
    assert_eq!(live(&store, 1).await, Some(4), "it is there for the erasure");
    // What is newer takes its place, wherever the tombstone is by now.
    let merge = RowWrite { condition: Condition::ExactRev(SEED), ..put(&key("v", 1), 200, 0) };
    let told = write(&store, of_anna(merge)).await;
    assert!(matches!(told, Ok(WriteOutcome::Erased(_))), "{told:?}");
    applied(&store, 1, 200).await;
    assert_eq!(live(&store, 1).await, Some(200));
    copy(&store).await;
    complete(&store).await;
    assert_eq!(store.migrator().unwrap().finish().await.unwrap().state, State::Settled);
    assert_eq!(live(&alone(&store, false), 1).await, Some(200));
}

/// A put that had to delete a row of before, and failed then, must not be told that nothing was changed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_deleted_on_the_way_is_not_denied() {
    let store = pair().await;
    applied(&store, 1, 4).await;
    start(&store).await;
    let tombstones = crate::people::tombstone_key("anna");
    let end = store.0.end_of(None);
    store.0.way(end).await.unwrap().unwrap().bring(&tombstones, end).await.unwrap();
    erase(&store, 100).await;
    let (failing, proxy) = through(&store);
    proxy.judge(|operation, body| {
        let body = String::from_utf8_lossy(body);
        if operation == "TransactWriteItems" && body.contains("row_bytes") {
            let answer = r#"{"__type":"com.amazonaws.dynamodb.v20120810#ThrottlingException","message":"injected"}"#;
            return Verdict::Answer(400, answer.to_owned());
        }
        Verdict::Pass
    });
    let told = write(&failing, of_anna(put(&key("v", 1), 200, 0))).await;
    assert!(matches!(told, Err(Error::Unknown(_))), "{told:?}");
    assert_eq!(live(&store, 1).await, None);
    applied(&store, 1, 200).await;
}

/// A row that is handed over in spite of that was copied before the tombstone came: so it is found.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_that_moves_under_the_erasure_is_found() {
    let store = pair().await;
    applied(&store, 1, 4).await;
    start(&store).await;
    let (slow, proxy) = through(&store);
    let held =
        Held::first(&proxy, "TransactWriteItems", vec!["moved_as".to_owned(), "v#".to_owned()]);
    let slow = copying(&slow);
    held.arrived().await;
    // The index of where it goes knows it before the tombstone is there, and it is listed once.
    let second = alone(&store, false);
    assert_eq!(keys_of(&second, "anna").await, [key("v", 1)]);
    erase(&store, 100).await;
    assert_eq!(keys_of(&store, "anna").await, [key("v", 1)]);
    held.let_go();
    slow.await.unwrap();
    assert_eq!(keys_of(&store, "anna").await, [key("v", 1)]);
    let found = store.rows_of("anna", &[key("v", 1)]).await.pop().unwrap().unwrap().unwrap();
    assert_eq!((found.stamp.event_time, found.erasure), (Timestamp(4), 0));
}

/// What one writer was told of its puts, by what it wrote.
type Told = Arc<Mutex<HashMap<i64, WriteOutcome>>>;

/// Two erasures of one person, beside her writers, two migrators and lost answers. Whatever is there when both are
/// done was let in by the second; what the sweeps deleted never comes back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_comes_back_while_rows_move() {
    const ROWS: i64 = 6;
    let store = pair().await;
    let proxy = Proxy::http(SERVER.server().port()).unwrap();
    let items = ["UpdateItem", "PutItem", "GetItem", "BatchGetItem", "TransactWriteItems"];
    proxy.judge(move |operation, _| match rand::rng().random_range(0..16) {
        _ if !items.contains(&operation) => Verdict::Pass,
        0 => Verdict::LoseAnswer,
        1 => Verdict::PassLate(std::time::Duration::from_millis(30)),
        _ => Verdict::Pass,
    });
    let options = store.options().clone();
    let second = options.moving_to.clone().unwrap().table;
    let lossy = moving(&options.table, &second, proxy.port());
    let shuttles = [Shuttle::start(options.clone()), Shuttle::start(lossy.clone())];
    let (stop, told) = (Arc::new(AtomicBool::new(false)), Told::default());
    let mut writers = tokio::task::JoinSet::new();
    for (writer, store) in (1_i64..).zip([another(&store), open(lossy.clone()), another(&store)]) {
        let (stop, told) = (Arc::clone(&stop), Arc::clone(&told));
        writers.spawn(async move {
            for turn in 0.. {
                if stop.load(SeqCst) {
                    break;
                }
                let n = rand::rng().random_range(0..ROWS);
                // The value says at which event time it was put; both erasures lie in between.
                let time = rand::rng().random_range(0..3_000) * 1_000_000 + writer * 100_000 + turn;
                let order = Order::At { event_time: Timestamp(time), sequence: Some(0) };
                let op = WriteOp::Put(row(time, ""));
                let put = of_anna(RowWrite::new(key("p", n), op, order));
                if let Ok(outcome) = write(&store, put).await {
                    told.lock().unwrap().insert(time, outcome);
                }
            }
        });
    }
    let eraser = open(lossy);
    let mut bars = Vec::new();
    for up_to in [1_000_000_000, 2_000_000_000] {
        // Something has to be there first.
        let began = std::time::Instant::now();
        let before = told.lock().unwrap().len();
        while told.lock().unwrap().len() < before + 40 {
            assert!(began.elapsed() < std::time::Duration::from_secs(120), "nothing is written");
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        let bar = loop {
            let Ok(old) = eraser.tombstone("anna").await else { continue };
            if let Some(old) = &old
                && old.up_to == Timestamp(up_to)
            {
                break old.clone();
            }
            let new = tombstone(old.as_ref(), up_to);
            if let Ok(true) = eraser.swap_tombstone("anna", old.as_ref(), &new).await {
                break new;
            }
        };
        sweep(&eraser, &bar).await;
        // From now on there is nothing of before, whatever the migrators do.
        for _ in 0..10 {
            for n in 0..ROWS {
                let rows = store.rows_of("anna", &[key("p", n)]).await.pop().unwrap();
                let Ok(Some(found)) = rows else { continue };
                assert!(found.erasure >= bar.erasure, "{n}: {found:?}, {bar:?}");
                assert!(found.stamp.event_time > bar.up_to, "{n}: {found:?}, {bar:?}");
            }
        }
        bars.push(bar);
    }
    stop.store(true, SeqCst);
    while let Some(ended) = writers.join_next().await {
        ended.unwrap();
    }
    for shuttle in shuttles {
        shuttle.stop().await;
    }
    let refused = told
        .lock()
        .unwrap()
        .values()
        .filter(|told| matches!(told, WriteOutcome::Erased(_)))
        .count();
    let admitted = told
        .lock()
        .unwrap()
        .values()
        .filter(|told| matches!(told, WriteOutcome::Applied(_)))
        .count();
    assert!(refused > 0 && admitted > 0, "{refused} {admitted}");
    let last = bars.pop().unwrap();
    sweep(&store, &last).await;
    store.migrator().unwrap().start().await.unwrap();
    copy(&store).await;
    store.migrator().unwrap().finish().await.unwrap();
    let settled = alone(&store, false);
    settled.check().await.unwrap();
    assert_eq!(settled.tombstone("anna").await.unwrap().map(|found| found.bar()), Some(last.bar()));
    for n in 0..ROWS {
        let rows = settled.rows_of("anna", &[key("p", n)]).await.pop().unwrap();
        if let Some(found) = rows.unwrap() {
            assert!(found.stamp.event_time > last.up_to, "{n}: {found:?}");
        }
    }
    nothing_of_before(&store, last.up_to.0).await;
}

/// As an erasure does: until the index shows nothing of before.
async fn sweep(store: &DynamoStore, bar: &SubjectTombstone) {
    loop {
        let mut found = 0;
        let mut after: Option<String> = None;
        loop {
            let Ok(page) = store.keys_of("anna", after.as_deref()).await else { continue };
            for key in &page.keys {
                let row = loop {
                    let rows = store.rows_of("anna", std::slice::from_ref(key)).await;
                    if let Some(Ok(row)) = rows.into_iter().next() {
                        break row;
                    }
                };
                let Some(row) = row.filter(|row| row.erasure < bar.erasure) else { continue };
                found += 1;
                let order = Order::Replacing {
                    event_time: row.stamp.event_time,
                    sequence: row.stamp.sequence,
                    new_event_time: bar.up_to,
                    new_sequence: u64::MAX,
                };
                let delete = RowWrite {
                    condition: Condition::ExactRev(row.stamp.rev),
                    ..RowWrite::new(key.clone(), WriteOp::Delete, order)
                };
                // Whatever came of it: it is looked at again.
                let _ = write(store, of_anna(delete)).await;
            }
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        if found == 0 {
            return;
        }
    }
}

/// Past all stores: no item of either table holds a value of hers that is not newer.
async fn nothing_of_before(store: &DynamoStore, up_to: i64) {
    let inner = &*store.0;
    for table in [&inner.first, inner.second.as_ref().unwrap()] {
        let mut after = None;
        loop {
            let (items, next) = table.page(after, 100, inner.end_of(None)).await.unwrap();
            for item in items {
                let time = crate::item::number::<i64>(&item, "event_time").unwrap();
                assert!(
                    !item.contains_key("row_bytes") || time.is_some_and(|time| time > up_to),
                    "{item:?}"
                );
            }
            after = next;
            if after.is_none() {
                break;
            }
        }
    }
}
