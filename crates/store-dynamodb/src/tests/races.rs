//! Random operations by several stores of the same tables, while migrators run to and fro and die, and
//! answers are lost: what they saw could have come from one register a row.

#[expect(dead_code, reason = "more is told by the simulation that it is of")]
#[path = "../../../coherence/tests/simulation/history.rs"]
mod history;

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicU64, Ordering::SeqCst},
};

use history::{History, Told};
use rand::RngExt as _;
use trivium_model::Timestamp;
use trivium_store::{
    Error, OnlineRead as _, OnlineWrite as _, Order, ReadOptions, RowWrite, WriteId, WriteOp,
    WriteOutcome,
};
use trivium_testkit::{Proxy, Verdict};

use super::{
    moving::{Shuttle, alone, another, copy, moving, pair},
    support::{SEED, SERVER, key, number, open, row},
};
use crate::{DynamoStore, State};

const ROWS: usize = 4;
const OPERATIONS: usize = 40;
/// How often each migrator turns round at least.
const TURNS: u64 = 2;

type Shared = Arc<Mutex<History>>;

/// One client's life: each operation with the moments it began and ended at.
async fn client(store: DynamoStore, client: i64, history: Shared, turns: Vec<Arc<AtomicU64>>) {
    for turn in 0..usize::MAX {
        // Long enough that every direction has had its time, however busy the machine is.
        if turn >= OPERATIONS && turns.iter().all(|turns| turns.load(SeqCst) >= TURNS) {
            return;
        }
        let row_of = rand::rng().random_range(0..ROWS);
        let key = key("race", row_of as i64);
        let began = history.lock().unwrap().tick();
        let told = if rand::rng().random_bool(0.5) {
            match store.get(&[key], &ReadOptions::default()).await.pop().unwrap() {
                Ok(row) => Some(Told::Saw {
                    rev: row.as_ref().map_or(0, trivium_codec::Row::rev),
                    number: row.filter(|row| !row.is_deleted()).as_ref().map_or(0, number),
                }),
                Err(_) => None,
            }
        } else {
            let value = client * 1_000_000 + turn as i64 + 1;
            let is_delete = turn % 7 == 3;
            let op = if is_delete { WriteOp::Delete } else { WriteOp::Put(row(value, "")) };
            // Half of the rows are persons'.
            let subject = (row_of % 2 == 1).then(|| Arc::from(format!("racer-{row_of}")));
            let write = RowWrite {
                write_id: WriteId(value as u128),
                subject,
                ..RowWrite::new(key, op, Order::Now { now: Timestamp(0) })
            };
            let number = if is_delete { 0 } else { value };
            match store.write(vec![write], SEED, None).await.pop().unwrap() {
                Ok(WriteOutcome::Applied(stamp)) => Some(Told::Applied { rev: stamp.rev, number }),
                Ok(other) => panic!("{other:?}"),
                Err(Error::Unknown(_)) => None,
                Err(_) => Some(Told::Failed { number }),
            }
        };
        if let Some(told) = told {
            history.lock().unwrap().record(row_of, began, told);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_row_is_linearizable_while_it_moves() {
    let store = pair().await;
    let proxy = Proxy::http(SERVER.server().port()).unwrap();
    let items = ["UpdateItem", "PutItem", "GetItem", "BatchGetItem", "TransactWriteItems"];
    proxy.judge(move |operation, _| match rand::rng().random_range(0..12) {
        _ if !items.contains(&operation) => Verdict::Pass,
        0 => Verdict::LoseAnswer,
        1 => Verdict::PassLate(std::time::Duration::from_millis(30)),
        _ => Verdict::Pass,
    });
    let options = store.options().clone();
    let second = options.moving_to.clone().unwrap().table;
    let lossy = moving(&options.table, &second, proxy.port());
    let shuttles = [Shuttle::start(options), Shuttle::start(lossy.clone())];
    let history = Shared::default();
    let mut clients = tokio::task::JoinSet::new();
    for (number, store) in
        [store.clone(), another(&store), open(lossy), another(&store)].into_iter().enumerate()
    {
        let turns = shuttles.iter().map(Shuttle::turns).collect();
        clients.spawn(client(store, number as i64 + 1, Arc::clone(&history), turns));
    }
    while let Some(ended) = clients.join_next().await {
        ended.unwrap();
    }
    for shuttle in shuttles {
        shuttle.stop().await;
    }
    // What is left is whole, and can be finished in the end.
    let migrator = store.migrator().unwrap();
    match migrator.start().await {
        Ok(_) => copy(&store).await,
        Err(error) => panic!("{error}"),
    }
    assert_eq!(migrator.finish().await.unwrap().state, State::Settled);
    client(alone(&store, false), 9, Arc::clone(&history), Vec::new()).await;
    client(another(&store), 10, Arc::clone(&history), Vec::new()).await;
    history.lock().unwrap().check().unwrap();
}
