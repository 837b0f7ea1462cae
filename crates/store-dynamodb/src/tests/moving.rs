//! A store whose table is being replaced keeps every promise of one whose is not: the whole suites, with
//! migrators running forward, back, and stopping in the middle all the while.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
};

use super::support::{SERVER, new_table_name, open, options};
use crate::{DynamoStore, MovingTo, Options, Pace};

/// Two tables: the store that knows both.
pub(super) async fn pair() -> DynamoStore {
    pair_at(SERVER.server().port()).await
}

async fn pair_at(port: u16) -> DynamoStore {
    let (first, second) = (new_table_name(), new_table_name());
    let store = open(moving(&first, &second, port));
    store.init().await.unwrap();
    store
}

pub(super) fn moving(first: &str, second: &str, port: u16) -> Options {
    let options = options(first, port);
    let moving_to = MovingTo {
        table: second.to_owned(),
        region: options.region.clone(),
        endpoint: options.endpoint.clone(),
    };
    Options { moving_to: Some(moving_to), ..options }
}

/// Another store of the same tables, that has heard of nothing yet.
pub(super) fn another(store: &DynamoStore) -> DynamoStore {
    open(store.options().clone())
}

pub(super) fn alone(store: &DynamoStore, first: bool) -> DynamoStore {
    let options = store.options().clone();
    let second = options.moving_to.clone().unwrap();
    let table = if first { options.table.clone() } else { second.table };
    open(Options { table, moving_to: None, ..options })
}

pub(super) async fn copy(store: &DynamoStore) {
    store.migrator().unwrap().copy(Pace::default(), |_| {}).await.unwrap();
}

/// Moves to and fro until it is stopped, or for as long as the process runs.
pub(super) struct Shuttle {
    stop: Arc<AtomicBool>,
    /// How often it has turned round.
    turns: Arc<AtomicU64>,
    ended: tokio::sync::oneshot::Receiver<()>,
}

impl Shuttle {
    pub(super) fn start(options: Options) -> Self {
        Self::start_for(options, || true)
    }

    /// One that rests while nobody uses the pair: a move that nobody looks at costs the server as much.
    pub(super) fn start_for(options: Options, is_used: fn() -> bool) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let turns = Arc::new(AtomicU64::new(0));
        let turned = Arc::clone(&turns);
        let (end, ended) = tokio::sync::oneshot::channel();
        // A thread and runtime of its own: each test of the suites has one, and ends with it.
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(shuttle(options, is_used, &stopped, &turned));
            let _ = end.send(());
        });
        Self { stop, turns, ended }
    }

    pub(super) fn turns(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.turns)
    }

    pub(super) async fn stop(self) {
        self.stop.store(true, SeqCst);
        self.ended.await.unwrap();
    }
}

async fn shuttle(options: Options, is_used: fn() -> bool, stopped: &AtomicBool, turns: &AtomicU64) {
    let store = open(options);
    let migrator = store.migrator().unwrap();
    for turn in 0_u64.. {
        while !is_used() && !stopped.load(SeqCst) {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        if stopped.load(SeqCst) {
            return;
        }
        // Another shuttle may turn it round at any moment, and answers may be lost.
        let turned = match turn % 2 {
            0 => migrator.start().await,
            _ => migrator.back().await,
        };
        match turned {
            Ok(_) => turns.fetch_add(1, SeqCst),
            Err(_) => continue,
        };
        // Every third time it dies on the way.
        let copying = migrator.copy(Pace::default(), |_| {});
        if turn % 3 == 2 {
            let patience = std::time::Duration::from_millis(20 + turn * 37 % 300);
            drop(tokio::time::timeout(patience, copying).await);
        } else {
            drop(copying.await);
        }
    }
}

/// The suite of stores; its random part with fewer seeds, since each request is several here.
macro_rules! suite {
    ($make:path) => {
        trivium_store::conformance_tests!(@each $make:
            order_and_length_are_kept, newer_wins, ties_and_sequences, now_always_wins,
            deletes_leave_tombstones, conditions, exact_conditions, replacing,
            retries_are_recognised, duplicates_in_a_batch, one_bad_write_harms_no_other,
            large_values, many_keys, tricky_keys, counters_are_linearizable,
            concurrent_batches_do_not_block_each_other, reads_never_go_back,
            deadlines_in_the_past, checkpoints_compare_and_set, checkpoints_contend);
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn agrees_with_the_model() {
            for seed in 1..=2 {
                trivium_store::conformance::agrees_with_the_model(&*$make().await, seed).await;
            }
        }
    };
}

mod to_and_fro {
    use std::sync::{LazyLock, Mutex, Weak};

    use tokio::sync::OnceCell;
    use trivium_testkit::DynamoDb;

    use super::*;

    /// Of its own: what moves all the while would have the others wait.
    static MOVING: LazyLock<DynamoDb> = LazyLock::new(|| DynamoDb::start().unwrap());
    /// The stores that checks have.
    static HELD: Mutex<Vec<Weak<DynamoStore>>> = Mutex::new(Vec::new());

    fn is_held() -> bool {
        HELD.lock().unwrap().iter().any(|store| store.strong_count() > 0)
    }

    /// One pair for all: what one check leaves moves while the next one runs.
    async fn make() -> Arc<DynamoStore> {
        static PAIR: OnceCell<Options> = OnceCell::const_new();
        let options = PAIR
            .get_or_init(async || {
                let store = pair_at(MOVING.server().port()).await;
                drop(Shuttle::start_for(store.options().clone(), is_held));
                store.options().clone()
            })
            .await;
        let store = Arc::new(open(options.clone()));
        HELD.lock().unwrap().push(Arc::downgrade(&store));
        store
    }
    suite!(make);

    mod people {
        use super::*;
        // But for the two that count what an index shows: of what moves it shows more, or less, for a while.
        trivium_store::subject_conformance_tests!(@each make:
            older_puts_are_refused, puts_of_now_go_above, rows_of_before_are_told_from_later_ones,
            merges_of_erased_rows_are_refused, erased_retries_are_recognised,
            tombstones_only_go_forward, subjects_have_bounds,
            erasing_and_writing_race);
    }

    // One of the checks moves the epoch record: nobody else does.
    trivium_store::authority_conformance_tests!(make);
}

/// All has moved, and rows are made in the second table.
mod moved {
    use super::*;

    async fn make() -> Arc<DynamoStore> {
        static PAIR: tokio::sync::OnceCell<Options> = tokio::sync::OnceCell::const_new();
        let options = PAIR
            .get_or_init(async || {
                let store = pair().await;
                store.migrator().unwrap().start().await.unwrap();
                copy(&store).await;
                store.options().clone()
            })
            .await;
        Arc::new(open(options.clone()))
    }
    suite!(make);
    trivium_store::subject_conformance_tests!(make);

    async fn make_own() -> Arc<DynamoStore> {
        let store = pair().await;
        store.migrator().unwrap().start().await.unwrap();
        Arc::new(store)
    }
    trivium_store::authority_conformance_tests!(make_own);
}
