//! What every row cache must do. An adapter's tests are one line:
//! `trivium_store::row_cache_conformance_tests!(make);`, where `make` is an async function that
//! gives an `Arc<impl RowCache>`, of a cache that may be shared with other tests. Every check marks
//! an epoch of its own.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use trivium_codec::{Row, RowKey};
use trivium_model::Timestamp;

use super::support::{Keys, number, row};
use crate::{
    CacheEntry, CacheEpoch, CacheError, EVICTION_POLICY, FenceId, LeaseToken, RowCache, Stamp,
    WriteId, WriteOp,
};

/// One `#[tokio::test]` for each check of a row cache.
#[macro_export]
macro_rules! row_cache_conformance_tests {
    ($make:path) => {
        mod row_cache_conformance {
            use super::*;
            $crate::row_cache_conformance_tests!(@each $make:
                without_a_marker_nothing_happens, fills_need_their_lease, leases_spare_what_stands,
                fences_end_everything, fences_remember_the_newest, entities_are_forgotten, tombstones_are_values,
                unfencing_twice_does_nothing, fences_of_many_writes, epochs_are_apart,
                markers_do_not_replace_each_other, cached_batches_keep_order,
                large_rows_are_cached, fences_are_listed, servers_show_themselves, strangers_are_not_believed,
                old_epochs_are_swept);
        }
    };
    (@each $make:path: $($check:ident),*) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $check() {
            $crate::conformance::row_cache::$check($make().await).await;
        }
    )*};
}

/// An epoch that no other check uses, above those that [`old_epochs_are_swept`] sweeps.
fn epoch() -> CacheEpoch {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let started = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| since.as_micros() as u64);
    let number = started + NEXT.fetch_add(1, Ordering::Relaxed);
    CacheEpoch { number, marker: (u128::from(number) << 64) | u128::from(std::process::id()) }
}

async fn marked(cache: &(impl RowCache + ?Sized)) -> CacheEpoch {
    let epoch = epoch();
    done(cache.mark(epoch).await);
    epoch
}

fn done<T>(result: Result<T, CacheError>) -> T {
    match result {
        Ok(value) => value,
        Err(error) => unreachable!("a plain step failed: {error}"),
    }
}

fn one<T>(mut results: Vec<Result<T, CacheError>>) -> T {
    assert_eq!(results.len(), 1, "one answer for one key");
    match results.pop() {
        Some(result) => done(result),
        None => unreachable!("one answer for one key"),
    }
}

fn at_rev(rev: u64, value: i64) -> Row {
    row(value, "").with_stamp(rev, Timestamp(1), 0, 7)
}

fn fence_id(id: u128) -> FenceId {
    FenceId { id: WriteId(id), deadline: 1_700_000_000_000_000 + id as u64 }
}

async fn look(cache: &(impl RowCache + ?Sized), epoch: CacheEpoch, key: &RowKey) -> CacheEntry {
    one(cache.look(epoch, std::slice::from_ref(key)).await)
}

/// The entry, in one word, and what matters of it.
async fn seen(cache: &(impl RowCache + ?Sized), epoch: CacheEpoch, key: &RowKey) -> String {
    match look(cache, epoch, key).await {
        CacheEntry::Missing => "missing".to_owned(),
        CacheEntry::Value(row) if row.is_deleted() => format!("deleted {}", row.rev()),
        CacheEntry::Value(row) => format!("value {} {}", row.rev(), number(&row)),
        CacheEntry::Lease => "lease".to_owned(),
        CacheEntry::Fence(mut ids) => {
            ids.sort_unstable_by_key(|fence| fence.id.0);
            let exact = ids.iter().all(|fence| *fence == fence_id(fence.id.0));
            assert!(exact, "deadlines come back as they were given: {ids:?}");
            let ids: Vec<String> = ids.iter().map(|fence| fence.id.0.to_string()).collect();
            format!("fence {}", ids.join(" "))
        }
    }
}

async fn lease(
    cache: &(impl RowCache + ?Sized),
    epoch: CacheEpoch,
    key: &RowKey,
    token: u128,
) -> CacheEntry {
    one(cache.lease(epoch, &[(key.clone(), LeaseToken(token))]).await)
}

async fn fill(
    cache: &(impl RowCache + ?Sized),
    epoch: CacheEpoch,
    key: &RowKey,
    token: u128,
    row: Row,
) -> bool {
    one(cache.fill(epoch, &[(key.clone(), LeaseToken(token), row)]).await)
}

async fn fence(cache: &(impl RowCache + ?Sized), epoch: CacheEpoch, key: &RowKey, id: u128) {
    one(cache.fence(epoch, &[(key.clone(), fence_id(id))]).await);
}

async fn unfence(
    cache: &(impl RowCache + ?Sized),
    epoch: CacheEpoch,
    key: &RowKey,
    id: u128,
    row: Option<Row>,
) -> bool {
    one(cache.unfence(epoch, &[(key.clone(), fence_id(id), row)]).await)
}

/// A key with a value in it.
async fn filled(cache: &(impl RowCache + ?Sized), epoch: CacheEpoch, key: &RowKey, rev: u64) {
    assert!(matches!(lease(cache, epoch, key, 1).await, CacheEntry::Missing));
    assert!(fill(cache, epoch, key, 1, at_rev(rev, rev as i64)).await);
}

/// Without its epoch's marker a cache does nothing, and says so; the steps leave no trace.
pub async fn without_a_marker_nothing_happens(cache: Arc<impl RowCache>) {
    let (keys, epoch) = (Keys::new(), epoch());
    let key = keys.key("a");
    let token = LeaseToken(1);
    let not_marked = |result: Option<CacheError>| {
        assert!(matches!(result, Some(CacheError::NotMarked)), "{result:?}")
    };
    let mut results = cache.look(epoch, &[key.clone(), keys.key("b")]).await;
    assert_eq!(results.len(), 2);
    not_marked(results.pop().and_then(Result::err));
    not_marked(results.pop().and_then(Result::err));
    not_marked(cache.lease(epoch, &[(key.clone(), token)]).await.pop().and_then(Result::err));
    let fills = [(key.clone(), token, at_rev(1, 1))];
    not_marked(cache.fill(epoch, &fills).await.pop().and_then(Result::err));
    not_marked(cache.fence(epoch, &[(key.clone(), fence_id(1))]).await.pop().and_then(Result::err));
    let unfences = [(key.clone(), fence_id(1), Some(at_rev(1, 1)))];
    not_marked(cache.unfence(epoch, &unfences).await.pop().and_then(Result::err));
    // Another marker of the same number is no marker.
    done(cache.mark(CacheEpoch { marker: !epoch.marker, ..epoch }).await);
    not_marked(cache.look(epoch, std::slice::from_ref(&key)).await.pop().and_then(Result::err));
    not_marked(cache.fence(epoch, &[(key.clone(), fence_id(1))]).await.pop().and_then(Result::err));
    done(cache.mark(epoch).await);
    assert_eq!(seen(&*cache, epoch, &key).await, "missing");
}

/// Who took the lease fills, once; nobody else does.
pub async fn fills_need_their_lease(cache: Arc<impl RowCache>) {
    let (keys, epoch) = (Keys::new(), marked(&*cache).await);
    let key = keys.key("a");
    assert!(!fill(&*cache, epoch, &key, 1, at_rev(1, 1)).await, "a fill without a lease");
    assert_eq!(seen(&*cache, epoch, &key).await, "missing");
    assert!(matches!(lease(&*cache, epoch, &key, 1).await, CacheEntry::Missing));
    assert_eq!(seen(&*cache, epoch, &key).await, "lease");
    assert!(!fill(&*cache, epoch, &key, 2, at_rev(2, 2)).await, "a fill by another's lease");
    assert!(fill(&*cache, epoch, &key, 1, at_rev(3, 3)).await);
    assert_eq!(seen(&*cache, epoch, &key).await, "value 3 3");
    assert!(!fill(&*cache, epoch, &key, 1, at_rev(4, 4)).await, "a second fill");
    assert_eq!(seen(&*cache, epoch, &key).await, "value 3 3");
}

/// A lease goes where nothing is, and nowhere else.
pub async fn leases_spare_what_stands(cache: Arc<impl RowCache>) {
    let (keys, epoch) = (Keys::new(), marked(&*cache).await);
    let key = keys.key("a");
    assert!(matches!(lease(&*cache, epoch, &key, 1).await, CacheEntry::Missing));
    assert!(matches!(lease(&*cache, epoch, &key, 2).await, CacheEntry::Lease));
    assert!(!fill(&*cache, epoch, &key, 2, at_rev(2, 2)).await);
    assert!(fill(&*cache, epoch, &key, 1, at_rev(1, 1)).await);
    let found = lease(&*cache, epoch, &key, 3).await;
    assert!(matches!(&found, CacheEntry::Value(row) if row.rev() == 1), "{found:?}");
    fence(&*cache, epoch, &key, 8).await;
    let found = lease(&*cache, epoch, &key, 4).await;
    assert!(matches!(&found, CacheEntry::Fence(ids) if ids == &[fence_id(8)]), "{found:?}");
    assert_eq!(seen(&*cache, epoch, &key).await, "fence 8");
}

/// A fence ends a lease and hides a value; taken down without a row it leaves what it found.
pub async fn fences_end_everything(cache: Arc<impl RowCache>) {
    let (keys, epoch) = (Keys::new(), marked(&*cache).await);
    let leased = keys.key("leased");
    lease(&*cache, epoch, &leased, 1).await;
    fence(&*cache, epoch, &leased, 1).await;
    assert_eq!(seen(&*cache, epoch, &leased).await, "fence 1");
    assert!(!fill(&*cache, epoch, &leased, 1, at_rev(1, 1)).await, "the lease is over");
    assert!(unfence(&*cache, epoch, &leased, 1, None).await);
    assert_eq!(seen(&*cache, epoch, &leased).await, "missing");
    assert!(!fill(&*cache, epoch, &leased, 1, at_rev(1, 1)).await, "and stays over");

    let value = keys.key("value");
    filled(&*cache, epoch, &value, 5).await;
    fence(&*cache, epoch, &value, 1).await;
    assert_eq!(seen(&*cache, epoch, &value).await, "fence 1");
    assert!(unfence(&*cache, epoch, &value, 1, None).await);
    assert_eq!(seen(&*cache, epoch, &value).await, "value 5 5");

    let nothing = keys.key("nothing");
    fence(&*cache, epoch, &nothing, 1).await;
    assert!(unfence(&*cache, epoch, &nothing, 1, Some(at_rev(9, 9))).await);
    assert_eq!(seen(&*cache, epoch, &nothing).await, "value 9 9");
}

/// What stood for a whole entity does not come back when a write of one of its rows is over.
pub async fn entities_are_forgotten(cache: Arc<impl RowCache>) {
    let (keys, epoch) = (Keys::new(), marked(&*cache).await);
    let (row, entity) = (keys.key("a"), keys.key("a").entity());
    filled(&*cache, epoch, &row, 5).await;
    filled(&*cache, epoch, &entity, 5).await;
    for key in [&row, &entity] {
        fence(&*cache, epoch, key, 1).await;
        fence(&*cache, epoch, key, 2).await;
        assert_eq!(seen(&*cache, epoch, key).await, "fence 1 2");
        assert!(unfence(&*cache, epoch, key, 1, None).await);
        assert!(unfence(&*cache, epoch, key, 2, None).await);
    }
    assert_eq!(seen(&*cache, epoch, &row).await, "value 5 5");
    assert_eq!(seen(&*cache, epoch, &entity).await, "missing");
    assert!(!fill(&*cache, epoch, &entity, 1, at_rev(1, 1)).await, "its lease is over");
}

/// Of all rows seen under a fence the one with the highest rev is left, whatever came when. Revs
/// are compared as whole numbers of 64 bits.
pub async fn fences_remember_the_newest(cache: Arc<impl RowCache>) {
    let (keys, epoch) = (Keys::new(), marked(&*cache).await);
    let key = keys.key("a");
    filled(&*cache, epoch, &key, 5).await;
    for id in 1..=4 {
        fence(&*cache, epoch, &key, id).await;
    }
    assert_eq!(seen(&*cache, epoch, &key).await, "fence 1 2 3 4");
    assert!(unfence(&*cache, epoch, &key, 3, Some(at_rev(10, 10))).await);
    assert!(unfence(&*cache, epoch, &key, 1, Some(at_rev(9, 9))).await);
    assert!(unfence(&*cache, epoch, &key, 2, None).await);
    assert_eq!(seen(&*cache, epoch, &key).await, "fence 4");
    assert!(unfence(&*cache, epoch, &key, 4, Some(at_rev(7, 7))).await);
    assert_eq!(seen(&*cache, epoch, &key).await, "value 10 10");
    // Too close for a double, and of unequal lengths in decimal.
    let bases = [1_700_000_000_000_000_u64, (1 << 53) + 1, u64::MAX - 1, 9, 99];
    for (index, base) in bases.into_iter().enumerate() {
        for (first, second) in [(base, base + 1), (base + 1, base)] {
            let key = keys.key(&format!("{index} {first}"));
            fence(&*cache, epoch, &key, 1).await;
            fence(&*cache, epoch, &key, 2).await;
            assert!(unfence(&*cache, epoch, &key, 1, Some(at_rev(first, 1))).await);
            assert!(unfence(&*cache, epoch, &key, 2, Some(at_rev(second, 1))).await);
            assert_eq!(seen(&*cache, epoch, &key).await, format!("value {} 1", base + 1));
        }
    }
}

/// A tombstone is a row like any other, and replaces what it deleted.
pub async fn tombstones_are_values(cache: Arc<impl RowCache>) {
    let (keys, epoch) = (Keys::new(), marked(&*cache).await);
    let key = keys.key("a");
    filled(&*cache, epoch, &key, 5).await;
    fence(&*cache, epoch, &key, 1).await;
    let tombstone = Stamp { rev: 6, deleted: true, ..Stamp::default() }.apply_to(WriteOp::Delete);
    assert!(unfence(&*cache, epoch, &key, 1, Some(tombstone)).await);
    assert_eq!(seen(&*cache, epoch, &key).await, "deleted 6");
}

/// Taking down what is gone does nothing, above all not over a newer value.
pub async fn unfencing_twice_does_nothing(cache: Arc<impl RowCache>) {
    let (keys, epoch) = (Keys::new(), marked(&*cache).await);
    let key = keys.key("a");
    assert!(!unfence(&*cache, epoch, &key, 1, Some(at_rev(1, 1))).await);
    assert_eq!(seen(&*cache, epoch, &key).await, "missing");
    fence(&*cache, epoch, &key, 1).await;
    assert!(unfence(&*cache, epoch, &key, 1, Some(at_rev(2, 2))).await);
    assert!(!unfence(&*cache, epoch, &key, 1, Some(at_rev(99, 99))).await);
    assert_eq!(seen(&*cache, epoch, &key).await, "value 2 2");
    fence(&*cache, epoch, &key, 2).await;
    assert!(!unfence(&*cache, epoch, &key, 1, Some(at_rev(99, 99))).await);
    assert_eq!(seen(&*cache, epoch, &key).await, "fence 2");
    assert!(unfence(&*cache, epoch, &key, 2, None).await);
    assert_eq!(seen(&*cache, epoch, &key).await, "value 2 2", "what did nothing added nothing");
    // The same id with another deadline is another write.
    fence(&*cache, epoch, &key, 3).await;
    let other = FenceId { deadline: 1, ..fence_id(3) };
    assert!(!one(cache.unfence(epoch, &[(key.clone(), other, None)]).await));
    assert_eq!(seen(&*cache, epoch, &key).await, "fence 3");
    // Fencing twice under one id is fencing once.
    fence(&*cache, epoch, &key, 3).await;
    assert!(unfence(&*cache, epoch, &key, 3, None).await);
    assert_eq!(seen(&*cache, epoch, &key).await, "value 2 2");
}

/// Dozens of writes may be under way on one key.
pub async fn fences_of_many_writes(cache: Arc<impl RowCache>) {
    let (keys, epoch) = (Keys::new(), marked(&*cache).await);
    let key = keys.key("a");
    let all: Vec<_> = (1..=100).map(|id| (key.clone(), fence_id(id))).collect();
    assert!(cache.fence(epoch, &all).await.iter().all(Result::is_ok), "one key many times");
    let found = look(&*cache, epoch, &key).await;
    assert!(matches!(&found, CacheEntry::Fence(ids) if ids.len() == 100), "{found:?}");
    let all: Vec<_> =
        (1..=100).map(|id| (key.clone(), fence_id(id), Some(at_rev(id as u64, 0)))).collect();
    assert!(cache.unfence(epoch, &all).await.into_iter().all(done));
    assert_eq!(seen(&*cache, epoch, &key).await, "value 100 0");
}

/// What one epoch holds no other sees.
pub async fn epochs_are_apart(cache: Arc<impl RowCache>) {
    let keys = Keys::new();
    let (one, other) = (marked(&*cache).await, marked(&*cache).await);
    let key = keys.key("a");
    filled(&*cache, one, &key, 5).await;
    assert_eq!(seen(&*cache, other, &key).await, "missing");
    fence(&*cache, other, &key, 1).await;
    assert_eq!(seen(&*cache, one, &key).await, "value 5 5");
}

/// Two nodes try to enable the same number: both markers stand, and the record says which counts.
pub async fn markers_do_not_replace_each_other(cache: Arc<impl RowCache>) {
    let (keys, epoch) = (Keys::new(), marked(&*cache).await);
    let key = keys.key("a");
    filled(&*cache, epoch, &key, 5).await;
    done(cache.mark(CacheEpoch { marker: epoch.marker ^ 1, ..epoch }).await);
    assert_eq!(seen(&*cache, epoch, &key).await, "value 5 5");
}

/// Batches keep order and length, across shards, with keys named twice, and may be empty.
pub async fn cached_batches_keep_order(cache: Arc<impl RowCache>) {
    let (keys, epoch) = (Keys::new(), marked(&*cache).await);
    let all: Vec<RowKey> = (0..700).map(|number| keys.numbered(number)).collect();
    let leases: Vec<_> = all.iter().step_by(2).map(|key| (key.clone(), LeaseToken(3))).collect();
    for found in cache.lease(epoch, &leases).await {
        assert!(matches!(done(found), CacheEntry::Missing));
    }
    let fills: Vec<_> = (0..700)
        .step_by(2)
        .map(|index| (all[index].clone(), LeaseToken(3), at_rev(1, index as i64)))
        .collect();
    assert!(cache.fill(epoch, &fills).await.into_iter().all(done));
    let mut asked: Vec<usize> = (0..700).rev().collect();
    asked.extend([4, 4, 5]);
    let wanted: Vec<RowKey> = asked.iter().map(|index| all[*index].clone()).collect();
    let found = cache.look(epoch, &wanted).await;
    assert_eq!(found.len(), asked.len());
    for (index, found) in asked.into_iter().zip(found) {
        match done(found) {
            CacheEntry::Value(row) => assert_eq!((number(&row), index % 2), (index as i64, 0)),
            other => assert!(matches!(other, CacheEntry::Missing) && index % 2 == 1, "{other:?}"),
        }
    }
    // A key twice in one call of leases: the first has it.
    let key = keys.key("twice");
    let twice = [(key.clone(), LeaseToken(1)), (key.clone(), LeaseToken(2))];
    let found: Vec<CacheEntry> = cache.lease(epoch, &twice).await.into_iter().map(done).collect();
    assert!(matches!(found.as_slice(), [CacheEntry::Missing, CacheEntry::Lease]), "{found:?}");
    assert!(cache.look(epoch, &[]).await.is_empty());
    assert!(cache.lease(epoch, &[]).await.is_empty());
    assert!(cache.fill(epoch, &[]).await.is_empty());
    assert!(cache.fence(epoch, &[]).await.is_empty());
    assert!(cache.unfence(epoch, &[]).await.is_empty());
}

/// Rows of some 200 KB come back whole.
pub async fn large_rows_are_cached(cache: Arc<impl RowCache>) {
    let (keys, epoch) = (Keys::new(), marked(&*cache).await);
    let key = keys.key("a");
    let large = row(1, &"äx".repeat(70_000)).with_stamp(1, Timestamp(1), 0, 0);
    lease(&*cache, epoch, &key, 1).await;
    assert!(fill(&*cache, epoch, &key, 1, large.clone()).await);
    fence(&*cache, epoch, &key, 1).await;
    assert!(unfence(&*cache, epoch, &key, 1, None).await);
    let found = look(&*cache, epoch, &key).await;
    assert!(matches!(&found, CacheEntry::Value(row) if *row == large), "{found:?}");
}

/// A cache that lists its fences lists them all, and nothing else; one that cannot lists none.
pub async fn fences_are_listed(cache: Arc<impl RowCache>) {
    let (keys, epoch, other) = (Keys::new(), marked(&*cache).await, marked(&*cache).await);
    filled(&*cache, epoch, &keys.key("value"), 1).await;
    fence(&*cache, other, &keys.key("of another epoch"), 1).await;
    let fenced: Vec<RowKey> = (0..60).map(|number| keys.numbered(number)).collect();
    for key in &fenced {
        fence(&*cache, epoch, key, 1).await;
        fence(&*cache, epoch, key, 2).await;
    }
    let (mut found, mut cursor, mut pages) = (Vec::new(), 0, 0);
    loop {
        let (page, next) = done(cache.fences(epoch, cursor).await);
        for (key, mut ids) in page {
            ids.sort_unstable_by_key(|fence| fence.id.0);
            assert_eq!(ids, [fence_id(1), fence_id(2)]);
            assert!(fenced.contains(&key), "{key:?} is not fenced");
            if !found.contains(&key) {
                found.push(key);
            }
        }
        pages += 1;
        assert!(pages < 100_000, "listing fences does not end");
        if next == 0 {
            break;
        }
        cursor = next;
    }
    assert!(found.is_empty() || found.len() == fenced.len(), "{} of 60 listed", found.len());
}

/// The servers say who they are, sorted, and are fit for use.
pub async fn servers_show_themselves(cache: Arc<impl RowCache>) {
    let servers = done(cache.servers().await);
    assert!(!servers.is_empty());
    assert!(servers.iter().all(|server| !server.run_id.is_empty() && !server.is_replicated));
    assert!(servers.iter().all(|server| server.policy == EVICTION_POLICY), "{servers:?}");
    assert!(servers.is_sorted_by_key(|server| server.run_id.clone()));
    assert_eq!(done(cache.servers().await), servers, "and stay who they are");
}

/// A server that was not admitted is not believed, marker or not. Wants a cache of its own: it
/// admits others for a moment.
pub async fn strangers_are_not_believed(cache: Arc<impl RowCache>) {
    let (keys, epoch) = (Keys::new(), marked(&*cache).await);
    let key = keys.key("a");
    filled(&*cache, epoch, &key, 5).await;
    let ids: Vec<String> =
        done(cache.servers().await).into_iter().map(|server| server.run_id).collect();
    cache.admit(&["another".to_owned()]);
    let found = cache.look(epoch, std::slice::from_ref(&key)).await;
    assert!(matches!(found.as_slice(), [Err(CacheError::NotMarked)]), "{found:?}");
    let found = cache.fence(epoch, &[(key.clone(), fence_id(1))]).await;
    assert!(matches!(found.as_slice(), [Err(CacheError::NotMarked)]), "{found:?}");
    cache.admit(&ids);
    assert_eq!(seen(&*cache, epoch, &key).await, "value 5 5");
}

/// What earlier epochs left goes, markers included; what later ones hold stays.
pub async fn old_epochs_are_swept(cache: Arc<impl RowCache>) {
    let keys = Keys::new();
    let young = marked(&*cache).await;
    let old = CacheEpoch { number: 3, marker: young.marker };
    done(cache.mark(old).await);
    let key = keys.key("a");
    fence(&*cache, old, &key, 1).await;
    filled(&*cache, old, &keys.key("b"), 1).await;
    filled(&*cache, young, &key, 5).await;
    let mut rounds = 0;
    while done(cache.sweep(4).await) {
        rounds += 1;
        assert!(rounds < 10_000, "sweeping does not end");
    }
    let found = cache.look(old, std::slice::from_ref(&key)).await;
    assert!(matches!(found.as_slice(), [Err(CacheError::NotMarked)]), "{found:?}");
    assert_eq!(seen(&*cache, young, &key).await, "value 5 5");
    done(cache.mark(old).await);
    assert_eq!(seen(&*cache, old, &key).await, "missing");
    assert_eq!(seen(&*cache, old, &keys.key("b")).await, "missing");
}
