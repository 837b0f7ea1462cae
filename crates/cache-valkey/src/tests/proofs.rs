//! What a connection proves: readers under way while the address leads to another server, again and again,
//! one that has the marker and older rows.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use trivium_store::{CacheEntry, CacheError, RowCache as _};
use trivium_testkit::{Proxy, Valkey};

use super::support::{
    EPOCH, connected, fence, fill, key, lease, look, marked, options, row, unfence, write,
};
use crate::{Options, ValkeyCache};

const OLD: u64 = 5;
const NEW: u64 = 6;
const READERS: usize = 8;
/// A busy machine takes its time; nothing is said about speed.
const PATIENCE: Duration = Duration::from_secs(60);

/// A marked server whose row has become newer, and a snapshot of before.
async fn outdated() -> (Valkey, Vec<u8>) {
    let server = Valkey::start(&[]).unwrap();
    let cache = marked(options(server.address())).await;
    lease(&cache, 1, 1).await;
    fill(&cache, 1, 1, row(OLD, "")).await;
    server.command(&["SAVE"]).unwrap();
    let snapshot = std::fs::read(server.server().folder().join("dump.rdb")).unwrap();
    fence(&cache, 1, write(1, 100)).await;
    unfence(&cache, 1, write(1, 100), Some(row(NEW, ""))).await;
    assert_eq!(look(&cache, 1).await, format!("value {NEW}"));
    (server, snapshot)
}

#[derive(Default)]
struct Seen {
    stop: AtomicBool,
    newest: AtomicU64,
    other: AtomicU64,
    failed: AtomicU64,
}

/// Readers that go on until they are told to stop; none may see the older row.
fn readers(cache: &Arc<ValkeyCache>, seen: &Arc<Seen>) -> Vec<tokio::task::JoinHandle<()>> {
    let reader = |_| {
        let (cache, seen) = (cache.clone(), seen.clone());
        tokio::spawn(async move {
            while !seen.stop.load(SeqCst) {
                match cache.look(EPOCH, &[key(1)]).await.pop().unwrap() {
                    Ok(CacheEntry::Value(row)) => {
                        assert_eq!(row.rev(), NEW, "an older server was believed");
                        seen.newest.fetch_add(1, SeqCst);
                    }
                    Ok(entry) => panic!("{entry:?}"),
                    Err(CacheError::NotMarked) => {
                        seen.other.fetch_add(1, SeqCst);
                    }
                    Err(_) => {
                        seen.failed.fetch_add(1, SeqCst);
                        tokio::task::yield_now().await;
                    }
                }
            }
        })
    };
    (0..READERS).map(reader).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_that_moves_to_and_fro_never_brings_older_rows() {
    let (newer, snapshot) = outdated().await;
    let mut older = Valkey::start(&[]).unwrap();
    older.restart_from(&snapshot).unwrap();
    let proxy = Proxy::tcp(newer.server().port()).unwrap();
    let several = Options { connections: 3, ..options(format!("127.0.0.1:{}", proxy.port())) };
    let cache = Arc::new(connected(several).await);
    let seen = Arc::new(Seen::default());
    let readers = readers(&cache, &seen);
    let began = Instant::now();
    for round in 0_u64.. {
        let (newest, other) = (seen.newest.load(SeqCst), seen.other.load(SeqCst));
        if (round >= 50 && newest >= 500 && other >= 20)
            || readers.iter().any(|one| one.is_finished())
        {
            break;
        }
        assert!(began.elapsed() < PATIENCE, "{newest} reads, {other} of the other server");
        // Long enough to connect, or hardly so: whatever stands between two steps is hit some time.
        proxy.retarget(older.server().port());
        tokio::time::sleep(Duration::from_millis(round * 7 % 45)).await;
        proxy.retarget(newer.server().port());
        tokio::time::sleep(Duration::from_millis(round * 11 % 60)).await;
    }
    seen.stop.store(true, SeqCst);
    for reader in readers {
        reader.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_killed_and_comes_back_older_again_and_again_is_never_believed() {
    let (mut server, snapshot) = outdated().await;
    let several = Options { connections: 3, ..options(server.address()) };
    let cache = Arc::new(connected(several).await);
    assert_eq!(look(&cache, 1).await, format!("value {NEW}"));
    let seen = Arc::new(Seen::default());
    let readers = readers(&cache, &seen);
    let began = Instant::now();
    for round in 0.. {
        if (round >= 10 && seen.other.load(SeqCst) >= 50)
            || readers.iter().any(|one| one.is_finished())
        {
            break;
        }
        assert!(began.elapsed() < PATIENCE, "not connected again");
        server.restart_from(&snapshot).unwrap();
        tokio::time::sleep(Duration::from_millis(round * 13 % 90)).await;
    }
    seen.stop.store(true, SeqCst);
    for reader in readers {
        reader.await.unwrap();
    }
}
