//! Each hole that a migration could have, opened on purpose: a request is held in a proxy while the world
//! goes on, and let go when it has become a late one.

use std::{
    sync::{Arc, Condvar, Mutex},
    time::{Duration, Instant},
};

use trivium_store::{
    Authority as _, Barrier, Condition, Error, OnlineRead as _, OnlineWrite as _, ReadOptions,
    RowWrite, Subjects as _, WriteOutcome,
};
use trivium_testkit::{Proxy, Verdict};

use super::{
    moving::{alone, copy, moving, pair},
    support::{SEED, SERVER, delete, key, number, open, put},
};
use crate::{DynamoStore, State, item::row_key};

/// A request that waits in the proxy.
#[derive(Clone)]
pub(super) struct Held(Arc<(Mutex<(bool, bool)>, Condvar)>);

impl Held {
    /// Holds the first request of this operation whose body has all of these in it.
    pub(super) fn first(proxy: &Proxy, operation: &'static str, words: Vec<String>) -> Self {
        let held = Self(Arc::new((Mutex::new((false, false)), Condvar::new())));
        let own = held.clone();
        proxy.judge(move |of, body| {
            let body = String::from_utf8_lossy(body);
            let (state, changed) = &*own.0;
            let mut state = state.lock().unwrap();
            if of == operation && words.iter().all(|word| body.contains(word)) && !state.0 {
                state.0 = true;
                changed.notify_all();
                while !state.1 {
                    state = changed.wait(state).unwrap();
                }
            }
            Verdict::Pass
        });
        held
    }

    pub(super) async fn arrived(&self) {
        let began = Instant::now();
        while !self.0.0.lock().unwrap().0 {
            assert!(began.elapsed() < Duration::from_secs(60), "nothing came to be held");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    pub(super) fn let_go(&self) {
        self.0.0.lock().unwrap().1 = true;
        self.0.1.notify_all();
    }
}

/// The same tables, reached through a proxy.
pub(super) fn through(store: &DynamoStore) -> (DynamoStore, Proxy) {
    let proxy = Proxy::http(SERVER.server().port()).unwrap();
    let options = store.options();
    let second = options.moving_to.clone().unwrap().table;
    (open(moving(&options.table, &second, proxy.port())), proxy)
}

fn second_of(store: &DynamoStore) -> String {
    format!("\"{}\"", store.options().moving_to.clone().unwrap().table)
}

pub(super) async fn write(store: &DynamoStore, write: RowWrite) -> WriteOutcome {
    store.write(vec![write], SEED, None).await.pop().unwrap().unwrap()
}

pub(super) async fn applied(store: &DynamoStore, value: i64) {
    let outcome = write(store, put(&key("v", 1), value, 0)).await;
    assert!(matches!(outcome, WriteOutcome::Applied(_)), "{outcome:?}");
}

pub(super) async fn read(store: &DynamoStore) -> Result<Option<i64>, Error> {
    let rows = store.get(&[key("v", 1)], &ReadOptions::default()).await.pop().unwrap();
    rows.map(|row| row.as_ref().map(number))
}

pub(super) async fn start(store: &DynamoStore) {
    store.migrator().unwrap().start().await.unwrap();
}

/// As DynamoDB removes what has expired.
async fn expire(store: &DynamoStore) {
    let inner = &*store.0;
    let key = row_key(&key("v", 1));
    let nothing = crate::expression::Expression::default();
    assert!(inner.first.delete(key, nothing, inner.end_of(None)).await.unwrap());
}

pub(super) fn copying(store: &DynamoStore) -> tokio::task::JoinHandle<()> {
    let store = store.clone();
    tokio::spawn(async move { copy(&store).await })
}

/// Nothing is unmoved, nothing left over, nothing wrong.
pub(super) async fn complete(store: &DynamoStore) {
    let verified = store.migrator().unwrap().verify().await.unwrap();
    assert_eq!(verified.problem(), None, "{verified:?}");
}

/// A staged copy of an older row comes when a newer one has been handed over already.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_late_staged_copy_takes_the_place_of_nothing() {
    let store = pair().await;
    applied(&store, 4).await;
    start(&store).await;
    let (slow, proxy) = through(&store);
    let held = Held::first(&proxy, "PutItem", vec!["staged".to_owned()]);
    let slow = copying(&slow);
    held.arrived().await;
    applied(&store, 5).await;
    // Handed over, and not yet confirmed: that is when it would be taken.
    let (dying, second_proxy) = through(&store);
    let confirming = Held::first(&second_proxy, "UpdateItem", vec!["REMOVE".to_owned()]);
    let dying = copying(&dying);
    confirming.arrived().await;
    held.let_go();
    slow.await.unwrap();
    assert_eq!(read(&store).await.unwrap(), Some(5));
    confirming.let_go();
    dying.await.unwrap();
    assert_eq!(read(&store).await.unwrap(), Some(5));
    applied(&store, 6).await;
    complete(&store).await;
}

/// A row is written, or its barrier raised, between its copy and the hand-over.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_changes_after_the_copy_is_not_handed_over() {
    for only_barrier in [false, true] {
        let store = pair().await;
        applied(&store, 4).await;
        start(&store).await;
        let (slow, proxy) = through(&store);
        let held = Held::first(&proxy, "TransactWriteItems", vec!["moved_as".to_owned()]);
        let slow = copying(&slow);
        held.arrived().await;
        let barrier = Barrier { epoch: 3, deadline: 9 };
        if only_barrier {
            store.raise_barrier(&key("v", 1), barrier, SEED, None).await.unwrap();
        } else {
            applied(&store, 5).await;
        }
        held.let_go();
        slow.await.unwrap();
        let (row, stands) =
            store.get_with_barrier(&[key("v", 1)], None).await.pop().unwrap().unwrap();
        let expected = if only_barrier { (4, barrier) } else { (5, Barrier::default()) };
        assert_eq!((number(&row.unwrap()), stands), expected);
        complete(&store).await;
    }
}

/// A hand-over of a migration that was turned back comes when the row stands again as it did.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hand_over_of_an_older_migration_is_refused() {
    let store = pair().await;
    applied(&store, 4).await;
    start(&store).await;
    let (slow, proxy) = through(&store);
    let held = Held::first(&proxy, "TransactWriteItems", vec!["moved_as".to_owned()]);
    let slow = {
        let slow = slow.clone();
        tokio::spawn(async move {
            let migrator = slow.migrator().unwrap();
            migrator.copy(crate::Pace::default(), |_| {}).await
        })
    };
    held.arrived().await;
    copy(&store).await;
    store.migrator().unwrap().back().await.unwrap();
    copy(&store).await;
    held.let_go();
    let ended = slow.await.unwrap();
    assert!(ended.is_err(), "it is told that it is over: {ended:?}");
    assert_eq!(read(&store).await.unwrap(), Some(4));
    complete(&store).await;
    assert_eq!(store.migrator().unwrap().finish().await.unwrap().state, State::Settled);
    let first = alone(&store, true);
    first.check().await.unwrap();
    assert_eq!(read(&first).await.unwrap(), Some(4));
}

/// A write that was on its way to the first table goes to the second.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_late_write_follows_its_row() {
    let store = pair().await;
    applied(&store, 4).await;
    let (slow, proxy) = through(&store);
    let held = Held::first(&proxy, "UpdateItem", vec!["row_bytes".to_owned()]);
    let late = tokio::spawn(async move { applied(&slow, 5).await });
    held.arrived().await;
    start(&store).await;
    copy(&store).await;
    held.let_go();
    late.await.unwrap();
    assert_eq!(read(&store).await.unwrap(), Some(5));
    complete(&store).await;
}

/// A store that has heard of nothing makes a row after the migration has looked everywhere.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_is_not_made_behind_the_migrations_back() {
    let store = pair().await;
    let (slow, proxy) = through(&store);
    let held = Held::first(&proxy, "TransactWriteItems", Vec::new());
    let late = tokio::spawn(async move { applied(&slow, 5).await });
    held.arrived().await;
    start(&store).await;
    copy(&store).await;
    held.let_go();
    late.await.unwrap();
    assert_eq!(read(&store).await.unwrap(), Some(5));
    complete(&store).await;
    assert_eq!(store.migrator().unwrap().finish().await.unwrap().state, State::Settled);
    assert_eq!(read(&alone(&store, false)).await.unwrap(), Some(5));
}

/// A row expires between its copy and the hand-over: what was staged never counts.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_has_expired_is_not_brought_back() {
    let store = pair().await;
    applied(&store, 4).await;
    start(&store).await;
    let (slow, proxy) = through(&store);
    let held = Held::first(&proxy, "TransactWriteItems", vec!["moved_as".to_owned()]);
    let slow = copying(&slow);
    held.arrived().await;
    expire(&store).await;
    assert_eq!(read(&store).await.unwrap(), None);
    let only_new = RowWrite { condition: Condition::ExactRev(0), ..put(&key("v", 1), 1, 0) };
    let outcome = write(&store, only_new).await;
    assert!(matches!(outcome, WriteOutcome::Applied(stamp) if stamp.rev == SEED), "{outcome:?}");
    held.let_go();
    slow.await.unwrap();
    assert_eq!(read(&store).await.unwrap(), Some(1));
    complete(&store).await;
}

/// The same, and the copy itself comes when the row is being made anew in the second table.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_late_copy_of_what_has_expired_is_removed() {
    let store = pair().await;
    applied(&store, 4).await;
    start(&store).await;
    let (slow, proxy) = through(&store);
    let staging = Held::first(&proxy, "PutItem", vec!["staged".to_owned()]);
    let slow = copying(&slow);
    staging.arrived().await;
    expire(&store).await;
    let (writer, writers_proxy) = through(&store);
    let words = vec![second_of(&store), "row_bytes".to_owned()];
    let making = Held::first(&writers_proxy, "UpdateItem", words);
    let writing = tokio::spawn(async move {
        let only_new = RowWrite { condition: Condition::ExactRev(0), ..put(&key("v", 1), 1, 0) };
        write(&writer, only_new).await
    });
    making.arrived().await;
    staging.let_go();
    slow.await.unwrap();
    assert_eq!(read(&store).await.unwrap(), None, "what was staged has not been handed over");
    making.let_go();
    let outcome = writing.await.unwrap();
    assert!(matches!(outcome, WriteOutcome::Applied(stamp) if stamp.rev == SEED), "{outcome:?}");
    assert_eq!(read(&store).await.unwrap(), Some(1));
    complete(&store).await;
}

/// Rows of a subject are found wherever they are, once each, and nothing that is merely staged.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn subjects_are_found_in_both_tables() {
    let store = pair().await;
    let of = |n: i64| RowWrite { subject: Some(Arc::from("person")), ..put(&key("v", n), n, 0) };
    for n in 1..=6 {
        write(&store, of(n)).await;
    }
    start(&store).await;
    // Staged and no further.
    let (slow, proxy) = through(&store);
    let held = Held::first(&proxy, "TransactWriteItems", vec!["moved_as".to_owned()]);
    let slow = copying(&slow);
    held.arrived().await;
    // The others have moved by then: a row that moves between two pages is on both.
    let migrator = store.migrator().unwrap();
    while migrator.verify().await.unwrap().unmoved > 1 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let all = async || {
        let (mut keys, mut after) = (Vec::new(), None);
        loop {
            let page = store.keys_of("person", after.as_deref()).await.unwrap();
            keys.extend(page.keys.iter().map(|key| key.partition().to_owned()));
            after = page.next;
            if after.is_none() {
                keys.sort_unstable();
                return keys;
            }
        }
    };
    let expected: Vec<String> = (1..=6).map(|n| key("v", n).partition().to_owned()).collect();
    assert_eq!(all().await, expected);
    held.let_go();
    slow.await.unwrap();
    assert_eq!(all().await, expected);
    write(&store, delete(&key("v", 1), 99)).await;
    let expected: Vec<String> = (2..=6).map(|n| key("v", n).partition().to_owned()).collect();
    assert_eq!(all().await, expected);
}

/// As above, and nobody makes the row anew: the copy is removed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn copies_of_what_has_expired_are_removed() {
    let store = pair().await;
    applied(&store, 4).await;
    start(&store).await;
    let (slow, proxy) = through(&store);
    let held = Held::first(&proxy, "TransactWriteItems", vec!["moved_as".to_owned()]);
    let slow = copying(&slow);
    held.arrived().await;
    expire(&store).await;
    held.let_go();
    slow.await.unwrap();
    assert_eq!(read(&store).await.unwrap(), None);
    complete(&store).await;
}

/// A row that has been brought back, and whose older marker still stands beside it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_counts_from_the_moment_it_is_back() {
    let store = pair().await;
    applied(&store, 4).await;
    start(&store).await;
    copy(&store).await;
    store.migrator().unwrap().back().await.unwrap();
    let (slow, proxy) = through(&store);
    let held = Held::first(&proxy, "UpdateItem", vec!["REMOVE".to_owned()]);
    let slow = copying(&slow);
    held.arrived().await;
    assert_eq!(read(&store).await.unwrap(), Some(4));
    applied(&store, 5).await;
    held.let_go();
    slow.await.unwrap();
    assert_eq!(read(&store).await.unwrap(), Some(5));
    complete(&store).await;
}
