//! Many senders at once, on a real server: who is shed, who is not, and what is left afterwards.

use std::time::Duration;

use axum::{
    Router,
    body::{Body, Bytes},
    http::HeaderMap,
    routing::post,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
use trivium_runtime::{Kind, Shutdown};

use super::Admission;
use crate::{
    ApiError, ServeOptions, finish,
    grpc::finish_grpc,
    read_body,
    serve::{grpc_with, http_with},
};

const KIB: usize = 1 << 10;

struct World {
    address: std::net::SocketAddr,
    grpc: std::net::SocketAddr,
    admission: Admission,
    shutdown: Shutdown,
}

impl World {
    async fn start(options: ServeOptions) -> Self {
        let router = Router::new().route(
            "/count",
            post(|headers: HeaderMap, body: Body| async move {
                let body: Bytes = read_body(&headers, body, 16 << 20).await?;
                Ok::<_, ApiError>(body.len().to_string())
            }),
        );
        let admission = Admission::new(&options);
        let shutdown = Shutdown::new();
        let http = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = http.local_addr().unwrap();
        let serving =
            http_with(http, finish(router), options.clone(), admission.clone(), shutdown.clone());
        tokio::spawn(serving);
        let (reporter, health) = tonic_health::server::health_reporter();
        reporter.set_service_status("", tonic_health::ServingStatus::Serving).await;
        let services = finish_grpc(tonic::service::Routes::new(health));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let grpc = listener.local_addr().unwrap();
        tokio::spawn(grpc_with(listener, services, options, admission.clone(), shutdown.clone()));
        Self { address, grpc, admission, shutdown }
    }

    /// Begins a request of so many bytes, and sends some.
    async fn begin(&self, bytes: usize, sent: usize) -> TcpStream {
        let mut client = TcpStream::connect(self.address).await.unwrap();
        let head = format!(
            "POST /count HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\
             content-type: application/json\r\ncontent-length: {bytes}\r\n\r\n"
        );
        client.write_all(head.as_bytes()).await.unwrap();
        client.write_all(&vec![b' '; sent]).await.unwrap();
        client
    }

    async fn whole(&self, bytes: usize) -> String {
        end(self.begin(bytes, bytes).await, 0).await
    }

    async fn until_bytes(&self, bytes: usize) {
        while self.admission.bytes_under_way() != bytes as u64 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    async fn until_sending(&self, count: usize) {
        while self.admission.0.sending.load(std::sync::atomic::Ordering::Relaxed) != count {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.shutdown.trigger();
    }
}

/// Sends the rest; the answer.
async fn end(mut client: TcpStream, rest: usize) -> String {
    client.write_all(&vec![b' '; rest]).await.unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn bodies_beyond_the_budget_are_shed_and_the_others_go_on() {
    let options = ServeOptions { body_bytes_under_way_max: 1 << 20, ..ServeOptions::default() };
    let world = World::start(options).await;
    let mut clients = Vec::new();
    for _ in 0..8 {
        clients.push(world.begin(400 * KIB, 100 * KIB).await);
    }
    world.until_bytes(800 * KIB).await;
    // The ninth goes beyond; all of it is sent, and the answer comes through all the same.
    let answer = world.whole(8 << 20).await;
    assert!(answer.starts_with("HTTP/1.1 429"), "{answer}");
    for words in ["retry-after: 1\r\n", "RESOURCE_EXHAUSTED", "too many bytes"] {
        assert!(answer.contains(words), "{words}: {answer}");
    }
    world.until_bytes(800 * KIB).await;
    // One of those that had begun, too: 800 KiB, and 300 more.
    let answer = end(clients.pop().unwrap(), 300 * KIB).await;
    assert!(answer.starts_with("HTTP/1.1 429"), "{answer}");
    world.until_bytes(700 * KIB).await;
    // There is room for the end of each other, one at a time, and for small ones at any time.
    let filler = world.begin(16 << 20, 300 * KIB).await;
    world.until_bytes(1000 * KIB).await;
    let answer = world.whole(16 * KIB).await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("16384"), "{answer}");
    let answer = world.whole(32 * KIB).await;
    assert!(answer.starts_with("HTTP/1.1 429"), "{answer}");
    // Who goes away gives back.
    drop(filler);
    world.until_bytes(700 * KIB).await;
    for client in clients {
        let answer = end(client, 300 * KIB).await;
        assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("409600"), "{answer}");
    }
    world.until_bytes(0).await;
    world.until_sending(0).await;
}

/// Many at once, none of whom waits for another: each is answered, one way or the other, and what was
/// counted at any time was never more than the budget and the small beginnings.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storm_of_large_bodies_leaves_nothing_behind() {
    let budget = 2 << 20;
    let options = ServeOptions { body_bytes_under_way_max: budget, ..ServeOptions::default() };
    let world = World::start(options).await;
    let mut clients = Vec::new();
    for _ in 0..64 {
        clients.push(world.begin(512 * KIB, 1).await);
    }
    let watched = world.admission.clone();
    let watcher = tokio::spawn(async move {
        let mut most = 0;
        loop {
            most = most.max(watched.bytes_under_way());
            if most > budget + 64 * super::SMALL_BODY_BYTES {
                return most;
            }
            tokio::time::sleep(Duration::from_micros(100)).await;
        }
    });
    let ends: Vec<_> =
        clients.into_iter().map(|client| tokio::spawn(end(client, 512 * KIB - 1))).collect();
    let mut served = 0;
    for ended in ends {
        let answer = ended.await.unwrap();
        let is_served = answer.starts_with("HTTP/1.1 200") && answer.ends_with("524288");
        assert!(is_served || answer.starts_with("HTTP/1.1 429"), "{answer}");
        served += u32::from(is_served);
    }
    assert!(served > 0);
    world.until_bytes(0).await;
    assert!(!watcher.is_finished(), "{:?}", watcher.await);
    watcher.abort();
}

#[tokio::test]
async fn who_sends_slowly_is_counted_and_keeps_nobody_else_out() {
    let options = ServeOptions { requests_sending_max: 2, ..ServeOptions::default() };
    let world = World::start(options).await;
    let first = world.begin(100, 50).await;
    let second = world.begin(100, 0).await;
    world.until_sending(2).await;
    let third = world.begin(100, 50).await;
    let answer = end(third, 0).await;
    assert!(answer.starts_with("HTTP/1.1 429") && answer.contains("retry-after"), "{answer}");
    let answer = world.whole(100).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    for (client, rest) in [(first, 50), (second, 100)] {
        let answer = end(client, rest).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
    world.until_sending(0).await;
    world.until_bytes(0).await;
}

#[tokio::test]
async fn grpc_is_counted_alike() {
    let options = ServeOptions { body_bytes_under_way_max: 64 << 10, ..ServeOptions::default() };
    let world = World::start(options).await;
    let channel = tonic::transport::Endpoint::from_shared(format!("http://{}", world.grpc));
    let mut client = HealthClient::new(channel.unwrap().connect().await.unwrap());
    let request = |bytes: usize| HealthCheckRequest { service: "x".repeat(bytes) };
    for _ in 0..3 {
        let status = client.check(request(200 * KIB)).await.unwrap_err();
        assert_eq!(ApiError::from_status(&status).kind, Kind::ResourceExhausted, "{status:?}");
        assert_eq!(status.metadata().get("grpc-retry-pushback-ms").unwrap(), "1000");
        // The same connection goes on.
        client.check(HealthCheckRequest::default()).await.unwrap();
        let status = client.check(request(10 * KIB)).await.unwrap_err();
        assert_eq!(status.code(), tonic::Code::NotFound);
    }
    world.until_bytes(0).await;
}

/// A body that nobody asks for is read to its end all the same, so that the answer comes through.
#[tokio::test]
async fn an_unwanted_body_does_not_hide_the_answer() {
    let world = World::start(ServeOptions::default()).await;
    let mut client = TcpStream::connect(world.address).await.unwrap();
    let head =
        "POST /nosuch HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 8388608\r\n\r\n";
    client.write_all(head.as_bytes()).await.unwrap();
    let answer = end(client, 8 << 20).await;
    assert!(answer.starts_with("HTTP/1.1 404"), "{answer}");
    // Who waits to be asked is not asked for what nobody wants.
    let mut client = TcpStream::connect(world.address).await.unwrap();
    let head = head.replace("host: x", "host: x\r\nexpect: 100-continue");
    client.write_all(head.as_bytes()).await.unwrap();
    let answer = end(client, 0).await;
    assert!(answer.starts_with("HTTP/1.1 404"), "{answer}");
}
