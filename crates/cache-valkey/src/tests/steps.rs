//! The steps on a single server.

use trivium_store::{CacheEntry, CacheEpoch, LeaseToken, RowCache as _, Stamp, WriteOp};
use trivium_testkit::Valkey;

use super::support::{
    EPOCH, fence, fill, key, lease, look, marked, options, ready, row, show, unfence, write,
};

async fn ttl(server: &Valkey, number: i64) -> i64 {
    let key = key(number);
    let name = crate::keys::rows(EPOCH, std::iter::once(&key)).remove(0);
    let text = String::from_utf8(name.to_vec()).unwrap();
    server.command(&["PTTL", &text]).unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_reader_fills_what_it_leased() {
    let server = Valkey::start(&[]).unwrap();
    let cache = marked(options(server.address())).await;
    assert_eq!(look(&cache, 1).await, "missing");
    assert_eq!(lease(&cache, 1, 10).await, "missing");
    assert_eq!(look(&cache, 1).await, "lease");
    assert!((1..=3_000).contains(&ttl(&server, 1).await));
    assert_eq!(lease(&cache, 1, 11).await, "lease", "somebody else's");
    assert_eq!(fill(&cache, 1, 11, row(5, "")).await, "false");
    assert_eq!(fill(&cache, 1, 10, row(5, "")).await, "true");
    assert_eq!(look(&cache, 1).await, "value 5");
    assert!(ttl(&server, 1).await > 3_600_000);
    assert_eq!(lease(&cache, 1, 12).await, "value 5");
    assert_eq!(fill(&cache, 1, 10, row(6, "")).await, "false", "the lease is used up");
    // Rows come back as they were, tombstones too.
    let gone = Stamp { rev: 9, deleted: true, ..Stamp::default() }.apply_to(WriteOp::Delete);
    lease(&cache, 2, 1).await;
    fill(&cache, 2, 1, gone.clone()).await;
    match cache.look(EPOCH, &[key(2)]).await.pop().unwrap().unwrap() {
        CacheEntry::Value(found) => assert_eq!(found, gone),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn fences_take_the_place_of_anything_and_stay() {
    let server = Valkey::start(&[]).unwrap();
    let cache = marked(options(server.address())).await;
    // Of a lease: the reader's fill does nothing, even when the fence is gone.
    lease(&cache, 1, 10).await;
    assert_eq!(fence(&cache, 1, write(1, 100)).await, "fenced");
    assert_eq!(ttl(&server, 1).await, -1, "a fence never expires");
    assert_eq!(look(&cache, 1).await, "fence 1:100");
    assert_eq!(lease(&cache, 1, 11).await, "fence 1:100");
    assert_eq!(fill(&cache, 1, 10, row(5, "")).await, "false");
    assert_eq!(unfence(&cache, 1, write(1, 100), None).await, "true");
    assert_eq!(look(&cache, 1).await, "missing");
    assert_eq!(unfence(&cache, 1, write(1, 100), Some(row(5, ""))).await, "false");
    assert_eq!(look(&cache, 1).await, "missing");
    // Of a value: it is remembered, and comes back where no write was applied.
    lease(&cache, 2, 10).await;
    fill(&cache, 2, 10, row(5, "")).await;
    fence(&cache, 2, write(1, 100)).await;
    assert_eq!(ttl(&server, 2).await, -1, "nor one that took the place of a value");
    unfence(&cache, 2, write(1, 100), None).await;
    assert_eq!(look(&cache, 2).await, "value 5");
    assert!(ttl(&server, 2).await > 0);
    // Of one that is there already: it stays one.
    fence(&cache, 2, write(1, 100)).await;
    fence(&cache, 2, write(1, 100)).await;
    unfence(&cache, 2, write(1, 100), Some(row(6, ""))).await;
    assert_eq!(look(&cache, 2).await, "value 6");
}

#[tokio::test]
async fn the_newest_row_seen_remains() {
    let server = Valkey::start(&[]).unwrap();
    let cache = marked(options(server.address())).await;
    for write_id in 1..=3 {
        fence(&cache, 1, write(write_id, 100 + write_id as u64)).await;
    }
    assert_eq!(look(&cache, 1).await, "fence 1:101 2:102 3:103");
    assert_eq!(unfence(&cache, 1, write(2, 999), None).await, "false", "another deadline");
    // Revs that differ in each half of their bits, and beyond what a double holds.
    let high = (1 << 53) + 1;
    unfence(&cache, 1, write(2, 102), Some(row(high, "new"))).await;
    assert_eq!(look(&cache, 1).await, "fence 1:101 3:103");
    unfence(&cache, 1, write(1, 101), Some(row(high - 1, "old"))).await;
    unfence(&cache, 1, write(3, 103), Some(row(0xffff_ffff, "older"))).await;
    assert_eq!(look(&cache, 1).await, format!("value {high}"));
    // A fence holds so many and no more.
    let cache = marked(crate::Options { fence_writes_max: 2, ..options(server.address()) }).await;
    let fenced = [fence(&cache, 9, write(1, 1)).await, fence(&cache, 9, write(2, 2)).await];
    assert_eq!(fenced, ["fenced", "fenced"]);
    assert_eq!(fence(&cache, 9, write(3, 3)).await, "full");
    assert_eq!(fence(&cache, 9, write(2, 2)).await, "fenced");
    assert_eq!(look(&cache, 9).await, "fence 1:1 2:2");
}

#[tokio::test]
async fn many_keys_in_one_go() {
    let server = Valkey::start(&[]).unwrap();
    let cache = marked(options(server.address())).await;
    let numbers: Vec<i64> = (0..2_500).collect();
    let leases: Vec<_> = numbers.iter().map(|&n| (key(n), LeaseToken(n as u128))).collect();
    for lease in cache.lease(EPOCH, &leases).await {
        assert_eq!(show(lease), "missing");
    }
    let rows: Vec<_> = numbers
        .iter()
        .map(|&n| (key(n), LeaseToken(n as u128 - (n % 2) as u128), row(n as u64 + 1, "x")))
        .collect();
    for (number, filled) in cache.fill(EPOCH, &rows).await.into_iter().enumerate() {
        assert_eq!(filled.unwrap(), number % 2 == 0);
    }
    let keys: Vec<_> = [7, 2, 7, 99_999, 4].map(key).to_vec();
    ready(&cache).await;
    // One MGET, whatever the number of keys, and on a connection's first read SCRIPT EXISTS; INFO counts
    // itself.
    for expected in [2, 1, 1] {
        let before = commands(&server);
        let found: Vec<String> = cache.look(EPOCH, &keys).await.into_iter().map(show).collect();
        assert_eq!(found, ["lease", "value 3", "lease", "missing", "value 5"]);
        assert_eq!(commands(&server) - before, expected + 1);
    }
    let all: Vec<_> = numbers.iter().map(|&n| key(n)).collect();
    for (number, found) in cache.look(EPOCH, &all).await.into_iter().enumerate() {
        let expected =
            if number % 2 == 0 { format!("value {}", number + 1) } else { "lease".to_owned() };
        assert_eq!(show(found), expected);
    }
    assert!(cache.look(EPOCH, &[]).await.is_empty());
}

fn commands(server: &Valkey) -> u64 {
    let info = server.command(&["INFO", "stats"]).unwrap();
    let line = info.lines().find_map(|line| line.strip_prefix("total_commands_processed:"));
    line.unwrap().trim().parse().unwrap()
}

#[tokio::test]
async fn epochs_do_not_see_each_other_and_old_ones_are_swept() {
    let server = Valkey::start(&[]).unwrap();
    let cache = marked(options(server.address())).await;
    lease(&cache, 1, 10).await;
    fill(&cache, 1, 10, row(5, "")).await;
    fence(&cache, 2, write(1, 100)).await;
    server.command(&["SET", "t1:not-ours", "1"]).unwrap();
    let next = CacheEpoch { number: 9, marker: 0xbeef };
    assert_eq!(show(cache.look(next, &[key(1)]).await.pop().unwrap()), "not marked");
    cache.mark(next).await.unwrap();
    assert_eq!(show(cache.look(next, &[key(1)]).await.pop().unwrap()), "missing");
    // The same number with another marker is not this epoch.
    let other = CacheEpoch { marker: 1, ..next };
    assert_eq!(show(cache.look(other, &[key(1)]).await.pop().unwrap()), "not marked");
    assert_eq!(look(&cache, 1).await, "value 5");
    let mut calls = 0;
    while cache.sweep(9).await.unwrap() {
        calls += 1;
        assert!(calls < 100);
    }
    let left = server.command(&["KEYS", "*"]).unwrap();
    assert!(left.lines().all(|name| name.starts_with("t1:9:") || name == "t1:not-ours"), "{left}");
    assert_eq!(left.lines().count(), 256 + 1);
    assert_eq!(look(&cache, 1).await, "not marked");
}
