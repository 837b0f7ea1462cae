//! A DynamoDB that throttles, fails, is late, or whose answers are lost: through a proxy.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use trivium_store::{
    Authority as _, Barrier, Condition, Error, FencedOutcome, OnlineRead as _, OnlineWrite as _,
    ReadOptions, RowWrite, WriteOutcome,
};
use trivium_testkit::{Proxy, Verdict};

use super::support::{SEED, SERVER, key, new_table_name, number, open, options, put};
use crate::{DynamoStore, Options};

/// Longer than any attempts take on a busy machine.
const LIMIT_MS: u64 = 60_000;

/// A table, and a store that reaches it through a proxy, and gives up after so long.
async fn behind_a_proxy(limit_ms: u64) -> (DynamoStore, DynamoStore, Proxy) {
    let table = new_table_name();
    let direct = open(options(&table, SERVER.server().port()));
    direct.init().await.unwrap();
    let proxy = Proxy::http(SERVER.server().port()).unwrap();
    let quick = Options { attempt_timeout_ms: 3_000, limit_ms, ..options(&table, proxy.port()) };
    (open(quick), direct, proxy)
}

fn error(code: &str) -> String {
    format!(r#"{{"__type":"com.amazonaws.dynamodb.v20120810#{code}","message":"injected"}}"#)
}

async fn write(store: &DynamoStore, write: RowWrite) -> Result<WriteOutcome, Error> {
    store.write(vec![write], SEED, None).await.pop().unwrap()
}

async fn live(store: &DynamoStore, number_of: i64) -> Option<i64> {
    let rows = store.get(&[key("v", number_of)], &ReadOptions::default()).await;
    rows.into_iter().next().unwrap().unwrap().as_ref().map(number)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refusals_of_writes_are_sorted_and_sent_once() {
    let (store, direct, proxy) = behind_a_proxy(LIMIT_MS).await;
    let cases = [
        (400, "ProvisionedThroughputExceededException", "throttled"),
        (400, "ThrottlingException", "throttled"),
        (400, "RequestLimitExceeded", "throttled"),
        (400, "TransactionConflictException", "throttled"),
        (400, "ValidationException", "invalid"),
        (400, "ResourceNotFoundException", "unavailable"),
        (400, "AccessDeniedException", "unavailable"),
        (500, "InternalServerError", "unknown"),
        (503, "ServiceUnavailable", "unknown"),
    ];
    for (status, code, expected) in cases {
        let sent = Arc::new(AtomicUsize::new(0));
        let count = sent.clone();
        proxy.judge(move |operation, _| {
            if operation != "UpdateItem" {
                return Verdict::Pass;
            }
            count.fetch_add(1, SeqCst);
            Verdict::Answer(status, error(code))
        });
        let word = match write(&store, put(&key("v", 1), 1, 7)).await {
            Err(Error::Throttled(_)) => "throttled",
            Err(Error::Invalid(_)) => "invalid",
            Err(Error::Unavailable(_)) => "unavailable",
            Err(Error::Unknown(_)) => "unknown",
            other => panic!("{code}: {other:?}"),
        };
        // A transaction on the row is soon over.
        let times = if code == "TransactionConflictException" { 8 } else { 1 };
        assert_eq!((word, sent.load(SeqCst)), (expected, times), "{code}");
    }
    assert_eq!(live(&direct, 1).await, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_answer_is_settled_by_the_write_id_or_unknown() {
    let (store, direct, proxy) = behind_a_proxy(LIMIT_MS).await;
    let losing = |operation: &str, _: &[u8]| match operation {
        "UpdateItem" => Verdict::LoseAnswer,
        _ => Verdict::Pass,
    };
    proxy.judge(losing);
    // It was applied, and the row says by whom.
    let settled = write(&store, put(&key("v", 1), 1, 7)).await;
    assert!(
        matches!(settled, Ok(WriteOutcome::Applied(stamp)) if stamp.rev == SEED),
        "{settled:?}"
    );
    let fence = Barrier { epoch: 1, deadline: 5 };
    let fenced = store.write_fenced(put(&key("v", 2), 2, 8), fence, SEED, None).await.unwrap();
    match fenced {
        FencedOutcome::Done(WriteOutcome::Applied(_), Some(row)) => assert_eq!(number(&row), 2),
        other => panic!("{other:?}"),
    }
    // Without a name nobody can tell.
    let nameless = write(&store, put(&key("v", 3), 3, 0)).await;
    assert!(matches!(nameless, Err(Error::Unknown(_))), "{nameless:?}");
    assert_eq!(live(&direct, 3).await, Some(3));
    // A refusal that was lost: the row is another's, and the attempt may have been anything.
    let conflicting = RowWrite { condition: Condition::Rev(1), ..put(&key("v", 1), 9, 9) };
    let refused = write(&store, conflicting).await;
    assert!(matches!(refused, Err(Error::Unknown(_))), "{refused:?}");
    // What comes after a write in doubt, of the same row and batch, is not tried.
    proxy.judge(|operation, body| match operation {
        "UpdateItem" if !String::from_utf8_lossy(body).contains("i:5") => Verdict::LoseAnswer,
        _ => Verdict::Pass,
    });
    let batch = vec![put(&key("v", 4), 1, 0), put(&key("v", 4), 2, 0), put(&key("v", 5), 1, 0)];
    let outcomes = store.write(batch, SEED, None).await;
    assert!(matches!(outcomes[0], Err(Error::Unknown(_))), "{outcomes:?}");
    assert!(matches!(outcomes[1], Err(Error::Unavailable(_))), "{outcomes:?}");
    assert!(matches!(outcomes[2], Ok(WriteOutcome::Applied(_))), "{outcomes:?}");
    assert_eq!(live(&direct, 4).await, Some(1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_that_is_late_is_unknown_and_a_barrier_keeps_it_away() {
    let (store, direct, proxy) = behind_a_proxy(LIMIT_MS).await;
    proxy.judge(|operation, _| match operation {
        "UpdateItem" => Verdict::PassLate(Duration::from_secs(8)),
        _ => Verdict::Pass,
    });
    let key = key("v", 1);
    let fence = Barrier { epoch: 1, deadline: 5 };
    let late = store.write_fenced(put(&key, 1, 7), fence, SEED, None).await;
    assert!(matches!(late, Err(Error::Unknown(_))), "{late:?}");
    // It gave up at its attempt's limit: the row is not there yet.
    assert!(direct.raise_barrier(&key, fence, SEED, None).await.unwrap().is_none());
    tokio::time::sleep(Duration::from_secs(8)).await;
    assert_eq!(live(&direct, 1).await, None, "it came, and was refused");
    let after = Barrier { epoch: 1, deadline: 6 };
    let retried = direct.write_fenced(put(&key, 1, 7), after, SEED, None).await.unwrap();
    assert!(matches!(retried, FencedOutcome::Done(WriteOutcome::Applied(_), _)), "{retried:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reads_are_tried_again_and_never_take_a_failure_for_missing() {
    let (store, direct, proxy) = behind_a_proxy(LIMIT_MS).await;
    let writes = (0..250).map(|n| put(&key("v", n), n, 0)).collect();
    direct.write(writes, SEED, None).await;
    let keys: Vec<_> = (0..260).map(|n| key("v", n)).collect();
    let expected: Vec<Option<i64>> = (0..260).map(|n| (n < 250).then_some(n)).collect();

    // Every kind of failure once for each request, then success.
    let turn = Arc::new(AtomicUsize::new(0));
    proxy.judge(move |operation, body| {
        if operation != "BatchGetItem" {
            return Verdict::Pass;
        }
        match turn.fetch_add(1, SeqCst) {
            0 => Verdict::Answer(400, error("ProvisionedThroughputExceededException")),
            1 => Verdict::Answer(500, error("InternalServerError")),
            2 => Verdict::LoseAnswer,
            3 => Verdict::Silence(Duration::from_secs(4)),
            // Nothing is done; all that was asked for is left over.
            4..8 => Verdict::Answer(200, unprocessed(body)),
            _ => Verdict::Pass,
        }
    });
    let found = store.get(&keys, &ReadOptions::default()).await;
    let found: Vec<Option<i64>> =
        found.into_iter().map(|row| row.unwrap().as_ref().map(number)).collect();
    assert_eq!(found, expected);

    // One chunk is never processed: its rows are errors, the others are not.
    proxy.judge(|operation, body| {
        let is_first = String::from_utf8_lossy(body).contains(r#""n#k#i:7""#);
        match operation {
            "BatchGetItem" if is_first => Verdict::Answer(200, unprocessed(body)),
            _ => Verdict::Pass,
        }
    });
    // As long as the other chunks take on this machine.
    let mut patience = Duration::from_secs(1);
    let found = loop {
        let deadline = Instant::now() + patience;
        let options = ReadOptions { deadline: Some(deadline), ..ReadOptions::default() };
        let found = store.get(&keys, &options).await;
        assert!(deadline.elapsed() < Duration::from_secs(20), "it kept to the deadline");
        patience *= 2;
        if found[100..].iter().all(Result::is_ok) || patience > Duration::from_secs(20) {
            break found;
        }
    };
    for (n, row) in found.into_iter().enumerate() {
        match row {
            Err(Error::Throttled(_)) => assert!(n < 100, "row {n} of another chunk failed"),
            Ok(row) => assert_eq!((n >= 100, row.as_ref().map(number)), (true, expected[n])),
            Err(error) => panic!("{error}"),
        }
    }
    for (verdict, word) in [
        (Verdict::Answer(400, error("ValidationException")), "invalid"),
        (Verdict::Answer(503, error("ServiceUnavailable")), "unavailable"),
        (Verdict::Silence(Duration::from_secs(5)), "unknown"),
    ] {
        proxy.judge(move |_, _| verdict.clone());
        let deadline = Some(Instant::now() + Duration::from_secs(2));
        let rows = store.get(&keys[..1], &ReadOptions { deadline, ..ReadOptions::default() }).await;
        let seen = match &rows[..] {
            [Err(Error::Invalid(_))] => "invalid",
            [Err(Error::Unavailable(_))] => "unavailable",
            [Err(Error::Unknown(_))] => "unknown",
            other => panic!("{other:?}"),
        };
        assert_eq!(seen, word);
    }
}

/// An answer to BatchGetItem that processed nothing of it.
fn unprocessed(body: &[u8]) -> String {
    let body: serde_json::Value = serde_json::from_slice(body).unwrap();
    serde_json::json!({ "Responses": {}, "UnprocessedKeys": body["RequestItems"] }).to_string()
}

/// Errors go to logs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_cannot_be_read_is_not_repeated() {
    let (store, _, proxy) = behind_a_proxy(4_000).await;
    proxy.judge(|operation, _| match operation {
        "BatchGetItem" | "UpdateItem" => {
            Verdict::Answer(200, r#"{"Responses":{"t":[{"row":{"S":"secret"}}"#.to_owned())
        }
        _ => Verdict::Pass,
    });
    let read = store.get(&[key("v", 1)], &ReadOptions::default()).await.pop().unwrap();
    let written = write(&store, put(&key("v", 1), 1, 7)).await;
    for error in [read.unwrap_err(), written.unwrap_err()] {
        assert!(!format!("{error} {error:?}").contains("secret"), "{error:?}");
    }
}
