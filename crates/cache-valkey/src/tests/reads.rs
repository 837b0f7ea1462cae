//! Connections that only read.

use std::time::{Duration, Instant};

use trivium_store::RowCache as _;
use trivium_testkit::{Proxy, Valkey, Verdict};

use super::support::{EPOCH, fence, fill, key, lease, look, marked, options, ready, row, write};
use crate::{Options, ValkeyCache};

fn idle(cache: &ValkeyCache) -> usize {
    cache.0.connections.readers().unwrap().idle_count()
}

async fn stocked(server: &Valkey, read_connections: usize) -> ValkeyCache {
    let cache = marked(Options { read_connections, ..options(server.address()) }).await;
    for number in 1..=3 {
        lease(&cache, number, 1).await;
        fill(&cache, number, 1, row(number as u64, &"x".repeat(40_000))).await;
    }
    ready(&cache).await;
    cache
}

/// What is on its way to somebody who has left is nobody else's answer.
#[tokio::test]
async fn an_answer_that_nobody_waits_for_goes_with_its_connection() {
    let server = Valkey::start(&[]).unwrap();
    let cache = stocked(&server, 8).await;
    for round in 0..200 {
        let leaving = cache.clone();
        let left = tokio::spawn(async move { leaving.look(EPOCH, &[key(1), key(3)]).await });
        for _ in 0..round % 7 {
            tokio::task::yield_now().await;
        }
        left.abort();
        assert_eq!(look(&cache, 2).await, "value 2");
        assert_eq!(look(&cache, 4).await, "missing");
    }
    ready(&cache).await;
    assert!(idle(&cache) <= 8);
}

#[tokio::test]
async fn there_are_no_more_than_may_be_and_more_reads_all_the_same() {
    let server = Valkey::start(&[]).unwrap();
    let cache = stocked(&server, 3).await;
    let readers = cache.0.connections.readers().unwrap();
    let since = Instant::now();
    let mut rounds_with_all = 0;
    while rounds_with_all < 10 {
        assert!(since.elapsed() < Duration::from_secs(20), "only {}", idle(&cache));
        let reads = (0..40).map(|number| {
            let cache = cache.clone();
            async move { look(&cache, number % 4).await }
        });
        for (number, read) in futures::future::join_all(reads).await.into_iter().enumerate() {
            let expected = if number % 4 == 0 {
                "missing".to_owned()
            } else {
                format!("value {}", number % 4)
            };
            assert_eq!(read, expected);
        }
        while readers.is_opening() && since.elapsed() < Duration::from_secs(20) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        rounds_with_all += usize::from(idle(&cache) >= 3);
    }
    assert_eq!(idle(&cache), 3);
    let clients = server.command(&["CLIENT", "LIST"]).unwrap();
    // Two for everything else, three for reads, and the one that asks.
    assert_eq!(clients.lines().filter(|line| line.contains("addr=")).count(), 6, "{clients}");
}

/// They are all at an end, and none of the next reads is lost.
#[tokio::test]
async fn connections_that_were_closed_meanwhile_cost_nobody_a_read() {
    let server = Valkey::start(&[]).unwrap();
    let cache = stocked(&server, 8).await;
    let own = |line: &str| {
        let is_own = line.contains("cmd=mget") || line.contains("cmd=script");
        (is_own && line.contains("resp=2")).then(|| {
            line.split(' ').find_map(|field| field.strip_prefix("id=")).unwrap().to_owned()
        })
    };
    for _ in 0..20 {
        ready(&cache).await;
        assert_eq!(look(&cache, 1).await, "value 1");
        let clients = server.command(&["CLIENT", "LIST"]).unwrap();
        let closed: Vec<String> = clients.lines().filter_map(own).collect();
        assert!(!closed.is_empty(), "{clients}");
        for id in closed {
            server.command(&["CLIENT", "KILL", "ID", &id]).unwrap();
        }
        assert_eq!(look(&cache, 2).await, "value 2");
        assert_eq!(look(&cache, 3).await, "value 3");
    }
}

/// However the answer is cut into pieces, and wherever it ends.
#[tokio::test]
async fn an_answer_that_breaks_off_is_none() {
    let server = Valkey::start(&[]).unwrap();
    stocked(&server, 1).await;
    let proxy = Proxy::tcp(server.server().port()).unwrap();
    let through = Options { read_connections: 4, ..options(format!("127.0.0.1:{}", proxy.port())) };
    let cache = marked(through).await;
    ready(&cache).await;
    proxy.judge(|_, piece| {
        let is_read = piece.windows(4).any(|word| word == b"MGET");
        if is_read { Verdict::LoseAnswer } else { Verdict::Pass }
    });
    for _ in 0..5 {
        let read = look(&cache, 1).await;
        assert!(read == "refused" || read == "unknown", "{read}");
    }
    proxy.judge(|_, _| Verdict::Pass);
    let since = Instant::now();
    while look(&cache, 1).await != "value 1" {
        assert!(since.elapsed() < Duration::from_secs(20), "{}", look(&cache, 1).await);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Another epoch is asked about anew, on the same connection.
#[tokio::test]
async fn a_connection_proves_one_epoch_only() {
    let server = Valkey::start(&[]).unwrap();
    let cache = stocked(&server, 1).await;
    assert_eq!(look(&cache, 1).await, "value 1");
    let next = trivium_store::CacheEpoch { number: EPOCH.number + 1, ..EPOCH };
    // Its markers are there, as after a restart from a snapshot; its scripts are not.
    for bucket in 0..crate::keys::BUCKETS {
        let name = String::from_utf8(crate::keys::marker(next, bucket).to_vec()).unwrap();
        let own = String::from_utf8(crate::keys::marker(EPOCH, bucket).to_vec()).unwrap();
        server.command(&["COPY", &own, &name]).unwrap();
    }
    let read = cache.look(next, &[key(1)]).await.pop().unwrap();
    assert_eq!(super::support::show(read), "not marked");
    assert_eq!(fence(&cache, 1, write(1, 100)).await, "fenced");
    assert_eq!(look(&cache, 1).await, "fence 1:100");
}

/// A user and a password are sent, and a wrong one is no way in.
#[tokio::test]
async fn they_say_who_they_are() {
    use crate::{client::Credentials, reads::Readers};
    let server = Valkey::start(&[]).unwrap();
    server.command(&["CONFIG", "SET", "requirepass", "secret"]).unwrap();
    let at = options(server.address()).parsed_servers().unwrap().pop().unwrap();
    for (username, password, is_let_in) in [
        (None, Some("secret"), true),
        (Some("default"), Some("secret"), true),
        (None, Some("wrong"), false),
        (Some("nobody"), Some("secret"), false),
        (None, None, false),
    ] {
        let own = |text: Option<&str>| text.map(str::to_owned);
        let credentials = Credentials::new(own(username), own(password));
        assert!(!format!("{credentials:?}").contains("secret"));
        let readers = Readers::new(at.clone(), credentials, &options(server.address()));
        assert!(readers.take().is_none());
        let since = Instant::now();
        while readers.is_opening() && since.elapsed() < Duration::from_secs(20) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert_eq!(readers.idle_count() == 1, is_let_in, "{username:?} {password:?}");
    }
}
