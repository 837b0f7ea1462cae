//! Puts of subjects: transactions that are late, lost or cancelled, and writers that stall.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use bytes::Bytes;
use trivium_model::Timestamp;
use trivium_store::{
    Authority as _, Barrier, Error, FencedOutcome, OnlineRead as _, OnlineWrite as _, ReadOptions,
    RowWrite, SubjectStore as _, SubjectTombstone, WriteOutcome,
};
use trivium_testkit::{Proxy, Verdict};

use super::support::{
    SEED, SERVER, delete, key, new_table, new_table_name, number, open, options, put,
};
use crate::{DynamoStore, Options};

async fn behind_a_proxy(attempt_timeout_ms: u64) -> (DynamoStore, DynamoStore, Proxy) {
    let table = new_table_name();
    let direct = open(options(&table, SERVER.server().port()));
    direct.init().await.unwrap();
    let proxy = Proxy::http(SERVER.server().port()).unwrap();
    let options = Options { attempt_timeout_ms, ..options(&table, proxy.port()) };
    (open(options), direct, proxy)
}

fn of_anna(write: RowWrite) -> RowWrite {
    RowWrite { subject: Some(Arc::from("anna")), ..write }
}

async fn write(store: &DynamoStore, write: RowWrite) -> Result<WriteOutcome, Error> {
    store.write(vec![write], SEED, None).await.pop().unwrap()
}

async fn live(store: &DynamoStore, number_of: i64) -> Option<i64> {
    let rows = store.get(&[key("v", number_of)], &ReadOptions::default()).await;
    rows.into_iter().next().unwrap().unwrap().filter(|row| !row.is_deleted()).as_ref().map(number)
}

async fn erase(store: &DynamoStore, up_to: i64) {
    let tombstone = SubjectTombstone {
        up_to: Timestamp(up_to),
        erasure: 1,
        version: 1,
        is_open: true,
        job: Bytes::new(),
    };
    assert!(store.swap_tombstone("anna", None, &tombstone).await.unwrap());
}

fn late(operation: &str, _: &[u8]) -> Verdict {
    match operation {
        "TransactWriteItems" => Verdict::PassLate(Duration::from_secs(2)),
        _ => Verdict::Pass,
    }
}

/// A writer looks at the tombstone, stalls, and writes when it is there: nothing lands, whether it waits
/// for the answer or not, and whatever stands behind it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_writer_that_stalled_is_refused() {
    for (patience, is_fenced) in [(20_000, false), (20_000, true), (500, false), (500, true)] {
        let (store, direct, proxy) = behind_a_proxy(patience).await;
        write(&direct, of_anna(put(&key("v", 2), 1, 6))).await.unwrap();
        proxy.judge(late);
        let writers = [1, 2].map(|row| {
            let (store, write) = (store.clone(), of_anna(put(&key("v", row), 50, 7)));
            tokio::spawn(async move {
                if !is_fenced {
                    return store.write(vec![write], SEED, None).await.pop().unwrap();
                }
                let fence = Barrier { epoch: 1, deadline: 9 };
                match store.write_fenced(write, fence, SEED, None).await? {
                    FencedOutcome::Done(outcome, row) => {
                        assert!(row.is_none(), "nothing may go into the cache");
                        Ok(outcome)
                    }
                    FencedOutcome::Barred(barrier) => panic!("{barrier:?}"),
                }
            })
        });
        tokio::time::sleep(Duration::from_millis(300)).await;
        erase(&direct, 100).await;
        for writer in writers {
            match writer.await.unwrap() {
                Ok(WriteOutcome::Erased(Timestamp(100))) if patience > 2_000 => {}
                Err(Error::Unknown(_)) if patience < 2_000 => {}
                other => panic!("{patience} {is_fenced}: {other:?}"),
            }
        }
        tokio::time::sleep(Duration::from_secs(3)).await;
        assert_eq!(live(&direct, 1).await, None);
        assert_eq!(
            live(&direct, 2).await,
            Some(1),
            "what was there before is the eraser's to delete"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_answer_is_settled_or_unknown() {
    let (store, direct, proxy) = behind_a_proxy(1_500).await;
    proxy.judge(|operation, _| match operation {
        "TransactWriteItems" => Verdict::LoseAnswer,
        _ => Verdict::Pass,
    });
    let named = write(&store, of_anna(put(&key("v", 1), 1, 7))).await;
    assert!(matches!(named, Ok(WriteOutcome::Applied(stamp)) if stamp.rev == SEED), "{named:?}");
    let nameless = write(&store, of_anna(put(&key("v", 2), 1, 0))).await;
    assert!(matches!(nameless, Err(Error::Unknown(_))), "{nameless:?}");
    assert_eq!((live(&direct, 1).await, live(&direct, 2).await), (Some(1), Some(1)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cancelled_transactions_are_sorted() {
    let (store, direct, proxy) = behind_a_proxy(20_000).await;
    let cancelled = |row: &str, tombstone: &str| {
        format!(
            r#"{{"__type":"com.amazonaws.dynamodb.v20120810#TransactionCanceledException",
                 "Message":"injected",
                 "CancellationReasons":[{{"Code":"{row}"}},{{"Code":"{tombstone}"}}]}}"#
        )
    };
    // Refused or busy once, then let through.
    let cases = [
        ("ConditionalCheckFailed", "None"),
        ("None", "ConditionalCheckFailed"),
        ("TransactionConflict", "None"),
        ("None", "TransactionConflict"),
        ("ThrottlingError", "None"),
        ("None", "ProvisionedThroughputExceeded"),
    ];
    for (number, (row, tombstone)) in (100..).zip(cases) {
        let sent = Arc::new(AtomicUsize::new(0));
        let (count, answer) = (Arc::clone(&sent), cancelled(row, tombstone));
        proxy.judge(move |operation, _| {
            if operation == "TransactWriteItems" && count.fetch_add(1, SeqCst) == 0 {
                return Verdict::Answer(400, answer.clone());
            }
            Verdict::Pass
        });
        let done = write(&store, of_anna(put(&key("v", number), 1, 7))).await;
        assert!(matches!(done, Ok(WriteOutcome::Applied(_))), "{row} {tombstone}: {done:?}");
        assert_eq!(sent.load(SeqCst), 2, "{row} {tombstone}");
    }
    for (code, status, expected) in [
        ("ValidationException", 400, "invalid"),
        ("ThrottlingException", 400, "throttled"),
        ("AccessDeniedException", 400, "unavailable"),
        ("InternalServerError", 500, "unknown"),
    ] {
        let answer = format!(
            r#"{{"__type":"com.amazonaws.dynamodb.v20120810#{code}","message":"injected"}}"#
        );
        proxy.judge(move |operation, _| match operation {
            "TransactWriteItems" => Verdict::Answer(status, answer.clone()),
            _ => Verdict::Pass,
        });
        let word = match write(&store, of_anna(put(&key("v", 9), 1, 7))).await {
            Err(Error::Throttled(_)) => "throttled",
            Err(Error::Invalid(_)) => "invalid",
            Err(Error::Unavailable(_)) => "unavailable",
            Err(Error::Unknown(_)) => "unknown",
            other => panic!("{code}: {other:?}"),
        };
        assert_eq!(word, expected, "{code}");
    }
    proxy.judge(move |operation, _| match operation {
        "TransactWriteItems" => Verdict::Answer(400, cancelled("ValidationError", "None")),
        _ => Verdict::Pass,
    });
    let refused = write(&store, of_anna(put(&key("v", 9), 1, 7))).await;
    assert!(matches!(refused, Err(Error::Invalid(_))), "{refused:?}");
    assert_eq!(live(&direct, 9).await, None);
}

/// A barrier without a row has a rev already; what is put there goes on from it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn barriers_and_subjects_go_together() {
    let store = new_table().await;
    let low = Barrier { epoch: 3, deadline: 10 };
    assert!(store.raise_barrier(&key("v", 1), low, 500, None).await.unwrap().is_none());
    let anna = of_anna(put(&key("v", 1), 60, 7));
    let barred = store.write_fenced(anna.clone(), low, SEED, None).await.unwrap();
    assert!(matches!(barred, FencedOutcome::Barred(barrier) if barrier == low), "{barred:?}");
    let above = Barrier { epoch: 3, deadline: 11 };
    let done = store.write_fenced(anna, above, SEED, None).await.unwrap();
    let FencedOutcome::Done(WriteOutcome::Applied(stamp), Some(row)) = done else {
        panic!("{done:?}")
    };
    assert_eq!((stamp.rev, row.rev(), number(&row)), (501, 501, 60));
    erase(&store, 100).await;
    // A barrier on an erased person's absent row makes no row, and lets none in.
    let high = Barrier { epoch: 4, deadline: 1 };
    write(&store, RowWrite { subject: Some(Arc::from("anna")), ..delete(&key("v", 1), 100) })
        .await
        .unwrap();
    for row in [1, 2] {
        store.raise_barrier(&key("v", row), high, SEED, None).await.unwrap();
        let fence = Barrier { epoch: 4, deadline: 2 };
        let late = store.write_fenced(of_anna(put(&key("v", row), 70, 0)), fence, SEED, None).await;
        assert!(matches!(late, Ok(FencedOutcome::Done(WriteOutcome::Erased(_), None))), "{late:?}");
        assert_eq!(live(&store, row).await, None);
    }
}
