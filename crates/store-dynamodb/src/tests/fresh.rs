//! Rows that are taken for new: all that holds of stores, with every first try a put; and when it is one.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, atomic::Ordering},
    time::Duration,
};

use trivium_store::{
    Authority as _, Barrier, FencedOutcome, OnlineWrite as _, RowWrite, WriteOutcome,
};
use trivium_testkit::{Proxy, Verdict};

use super::support::{
    SEED, SERVER, key, new_table, new_table_name, open, options, put, shared_table,
};
use crate::{DynamoStore, item::row_key};

fn pinned(store: DynamoStore) -> Arc<DynamoStore> {
    store.0.fresh.is_pinned.store(true, Ordering::Relaxed);
    Arc::new(store)
}

async fn make() -> Arc<DynamoStore> {
    pinned(shared_table().await)
}
trivium_store::conformance_tests!(make);

async fn make_own() -> Arc<DynamoStore> {
    pinned(new_table().await)
}
trivium_store::authority_conformance_tests!(make_own);

async fn item(store: &DynamoStore, number: i64) -> BTreeMap<String, String> {
    let inner = &*store.0;
    let item = inner.get_item(row_key(&key("v", number)), inner.end_of(None)).await;
    let item = item.unwrap().unwrap().into_iter();
    item.map(|(name, value)| (name, format!("{value:?}"))).collect()
}

#[tokio::test]
async fn a_put_leaves_the_item_that_an_update_leaves() {
    let (updating, putting) = (new_table().await, pinned(new_table().await));
    let fence = Some(Barrier { epoch: 7, deadline: 9 });
    let ttl = Some(Duration::from_secs(1_000));
    let cases = [(None, 0, None), (None, 5, ttl), (fence, 5, None), (fence, 0, ttl)];
    for (number, (fence, id, ttl)) in (0..).zip(cases) {
        let write = RowWrite { ttl, ..put(&key("v", number), 3, id) };
        let mut told = Vec::new();
        for store in [&updating, &*putting] {
            told.push(match fence {
                None => store.write(vec![write.clone()], SEED, None).await.pop().unwrap().unwrap(),
                Some(fence) => {
                    match store.write_fenced(write.clone(), fence, SEED, None).await.unwrap() {
                        FencedOutcome::Done(outcome, Some(_)) => outcome,
                        other => panic!("{other:?}"),
                    }
                }
            });
        }
        assert!(matches!(told[0], WriteOutcome::Applied(_)), "{told:?}");
        assert_eq!(told[0], told[1]);
        assert_eq!(item(&updating, number).await, item(&putting, number).await);
    }
}

#[tokio::test]
async fn puts_are_tried_after_a_run_of_new_rows_until_one_is_not() {
    let store = new_table().await;
    let write = async |numbers: std::ops::Range<i64>, value: i64| {
        let writes = numbers.map(|number| put(&key("v", number), value, 0)).collect();
        for outcome in store.write(writes, SEED, None).await {
            assert!(matches!(outcome, Ok(WriteOutcome::Applied(_))), "{outcome:?}");
        }
        store.0.fresh.is_likely()
    };
    assert!(!write(0..31, 1).await);
    assert!(write(31..32, 1).await);
    assert!(write(32..100, 1).await);
    assert!(!write(0..1, 2).await, "a row that was there");
    assert!(!write(100..131, 1).await);
    assert!(write(131..132, 1).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_row_is_one_put_and_one_that_was_there_an_update_more() {
    let table = new_table_name();
    open(options(&table, SERVER.server().port())).init().await.unwrap();
    let proxy = Proxy::http(SERVER.server().port()).unwrap();
    let store = open(options(&table, proxy.port()));
    let sent: Arc<Mutex<Vec<String>>> = Arc::default();
    let noted = Arc::clone(&sent);
    proxy.judge(move |operation, _| {
        noted.lock().unwrap().push(operation.to_owned());
        Verdict::Pass
    });
    let sends = async |number: i64, value: i64| {
        let outcome = store.write(vec![put(&key("v", number), value, 0)], SEED, None).await;
        assert!(matches!(outcome[0], Ok(WriteOutcome::Applied(_))), "{outcome:?}");
        std::mem::take(&mut *sent.lock().unwrap())
    };
    assert_eq!(sends(1, 1).await, ["UpdateItem"]);
    store.0.fresh.is_pinned.store(true, Ordering::Relaxed);
    assert_eq!(sends(2, 1).await, ["PutItem"]);
    assert_eq!(sends(2, 2).await, ["PutItem", "UpdateItem"]);
}
