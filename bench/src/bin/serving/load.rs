//! The clients: as little work a request as can be, so that the servers are what is measured.

use std::{
    collections::HashMap,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use hdrhistogram::Histogram;
use prost::Message;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tonic::{
    Request,
    transport::{Channel, Endpoint},
};
use trivium_proto::v1::{BatchGetRequest, FeatureSelection, KeyColumn, StringList, key_column};

use crate::{
    ROWS,
    child::{BATCH_GET, BytesCodec, Server, encoded_rows, user},
};

/// Different requests of each size, used in turn.
const REQUESTS: usize = 64;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    Rest,
    Grpc,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Case {
    pub(crate) protocol: Protocol,
    pub(crate) entities: usize,
    pub(crate) connections: usize,
}

impl Case {
    pub(crate) fn name(&self) -> String {
        let protocol = if self.protocol == Protocol::Rest { "rest" } else { "grpc" };
        format!("batchget {}x{} c{} {protocol}", self.entities, crate::FEATURES, self.connections)
    }
}

/// What was measured, over all turns.
pub(crate) struct Sample {
    pub(crate) requests: u64,
    pub(crate) seconds: f64,
    pub(crate) cpu_seconds: f64,
    /// Nanoseconds.
    pub(crate) latency: Histogram<u64>,
}

impl Default for Sample {
    fn default() -> Self {
        // Three digits always are a valid precision.
        #[allow(clippy::expect_used)]
        let latency = Histogram::new(3).expect("a histogram of three digits");
        Self { requests: 0, seconds: 0.0, cpu_seconds: 0.0, latency }
    }
}

impl Sample {
    pub(crate) fn add(&mut self, other: Self) {
        self.requests += other.requests;
        self.seconds += other.seconds;
        self.cpu_seconds += other.cpu_seconds;
        // Same precision on both sides, resizing: it cannot fail.
        let _ = self.latency.add(&other.latency);
    }
    pub(crate) fn rate(&self) -> f64 {
        self.requests as f64 / self.seconds.max(1e-9)
    }
    pub(crate) fn micros(&self, quantile: f64) -> f64 {
        self.latency.value_at_quantile(quantile) as f64 / 1_000.0
    }
    pub(crate) fn cpu_micros(&self) -> f64 {
        self.cpu_seconds * 1e6 / self.requests.max(1) as f64
    }
}

fn users(entities: usize, number: usize) -> impl Iterator<Item = String> {
    // Scattered over the rows, the same in every run.
    (0..entities).map(move |index| user((number * 7_919 + index * 104_729) % ROWS))
}

pub(crate) fn rest_request(path: &str, entities: usize, number: usize) -> Vec<u8> {
    let entities: Vec<String> =
        users(entities, number).map(|user| format!("{{\"user_id\":\"{user}\"}}")).collect();
    let body = format!("{{\"features\":[\"bench/wide@1\"],\"entities\":[{}]}}", entities.join(","));
    format!(
        "POST {path} HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

pub(crate) fn grpc_request(entities: usize, number: usize) -> Bytes {
    let request = BatchGetRequest {
        selection: Some(FeatureSelection {
            features: vec!["bench/wide@1".to_owned()],
            service: String::new(),
        }),
        entities: vec![KeyColumn {
            name: "user_id".to_owned(),
            values: Some(key_column::Values::Strings(StringList {
                values: users(entities, number).collect(),
            })),
        }],
        consistency: None,
    };
    Bytes::from(request.encode_to_vec())
}

/// One keep-alive connection that reads no more of HTTP than it must.
struct Http {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Http {
    async fn connect(address: &str) -> Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::with_capacity(256 << 10) })
    }

    /// Where the body of the answer starts; it ends with the buffer.
    async fn call(&mut self, request: &[u8]) -> Result<usize> {
        self.stream.write_all(request).await?;
        self.buffer.clear();
        let (start, length) = loop {
            ensure!(self.stream.read_buf(&mut self.buffer).await? > 0, "the server hung up");
            if let Some(head) = self.buffer.windows(4).position(|window| window == b"\r\n\r\n") {
                let text = std::str::from_utf8(&self.buffer[..head])?;
                ensure!(text.starts_with("HTTP/1.1 200"), "{text}");
                let length = text
                    .lines()
                    .find_map(|line| line.strip_prefix("content-length: "))
                    .context("no content-length")?;
                break (head + 4, length.parse::<usize>()?);
            }
        };
        while self.buffer.len() < start + length {
            ensure!(self.stream.read_buf(&mut self.buffer).await? > 0, "the server hung up");
        }
        Ok(start)
    }
}

pub(crate) async fn rest_once(server: &Server, request: &[u8]) -> Result<Vec<u8>> {
    let mut http = Http::connect(&server.http).await?;
    let start = http.call(request).await?;
    Ok(http.buffer[start..].to_vec())
}

async fn grpc_connect(server: &Server) -> Result<Channel> {
    let endpoint = Endpoint::from_shared(format!("http://{}", server.grpc))?.tcp_nodelay(true);
    Ok(endpoint.connect().await?)
}

async fn grpc_call(
    client: &mut tonic::client::Grpc<Channel>,
    path: axum::http::uri::PathAndQuery,
    request: Bytes,
) -> Result<Bytes> {
    client.ready().await?;
    Ok(client.unary(Request::new(request), path, BytesCodec).await?.into_inner())
}

fn grpc_client(channel: Channel) -> tonic::client::Grpc<Channel> {
    tonic::client::Grpc::new(channel).max_decoding_message_size(usize::MAX)
}

pub(crate) async fn grpc_once(server: &Server, path: &str, request: Bytes) -> Result<Bytes> {
    grpc_call(&mut grpc_client(grpc_connect(server).await?), path.parse()?, request).await
}

/// One turn against a server.
pub(crate) async fn run(
    server: &Server,
    case: &Case,
    turn: Duration,
    precomputed: bool,
) -> Result<Sample> {
    let stop = Arc::new(AtomicBool::new(false));
    let mut clients = tokio::task::JoinSet::new();
    for connection in 0..case.connections {
        let stop = stop.clone();
        let case = *case;
        match case.protocol {
            Protocol::Rest => {
                let path = if precomputed {
                    format!("/{}", case.entities)
                } else {
                    "/v1/features/online/get".to_owned()
                };
                let requests: Vec<Vec<u8>> = (0..REQUESTS)
                    .map(|number| rest_request(&path, case.entities, number))
                    .collect();
                let mut http = Http::connect(&server.http).await?;
                clients.spawn(async move {
                    let mut sample = Sample::default();
                    for number in (0..).map(|n: usize| (n + connection) % REQUESTS) {
                        if stop.load(Ordering::Relaxed) {
                            break;
                        }
                        let start = Instant::now();
                        http.call(&requests[number]).await?;
                        sample.latency.record(start.elapsed().as_nanos() as u64)?;
                        sample.requests += 1;
                    }
                    anyhow::Ok(sample)
                });
            }
            Protocol::Grpc => {
                let path: axum::http::uri::PathAndQuery = if precomputed {
                    format!("/bench.Precomputed/{}", case.entities).parse()?
                } else {
                    BATCH_GET.parse()?
                };
                let requests: Vec<Bytes> =
                    (0..REQUESTS).map(|number| grpc_request(case.entities, number)).collect();
                let mut client = grpc_client(grpc_connect(server).await?);
                clients.spawn(async move {
                    let mut sample = Sample::default();
                    for number in (0..).map(|n: usize| (n + connection) % REQUESTS) {
                        if stop.load(Ordering::Relaxed) {
                            break;
                        }
                        let start = Instant::now();
                        grpc_call(&mut client, path.clone(), requests[number].clone()).await?;
                        sample.latency.record(start.elapsed().as_nanos() as u64)?;
                        sample.requests += 1;
                    }
                    anyhow::Ok(sample)
                });
            }
        }
    }
    let (start, cpu) = (Instant::now(), server.cpu_seconds()?);
    tokio::time::sleep(turn).await;
    stop.store(true, Ordering::Relaxed);
    let mut total = Sample::default();
    while let Some(sample) = clients.join_next().await {
        total.add(sample??);
    }
    total.seconds = start.elapsed().as_secs_f64();
    total.cpu_seconds = server.cpu_seconds()? - cpu;
    Ok(total)
}

/// The bare engine's multi-get of as many rows, from as many threads as there are connections, at
/// most one a processor.
pub(crate) fn run_engine(engine: &Engine, case: &Case, turn: Duration) -> Result<Sample> {
    let threads = case.connections.min(std::thread::available_parallelism()?.get());
    let end = Instant::now() + turn;
    let start = Instant::now();
    let workers: Vec<_> = (0..threads)
        .map(|thread| {
            let (engine, entities) = (engine.clone(), case.entities);
            std::thread::spawn(move || engine.work(entities, thread, end))
        })
        .collect();
    let mut total = Sample::default();
    for worker in workers {
        match worker.join() {
            Ok(sample) => total.add(sample?),
            Err(_) => bail!("a worker panicked"),
        }
    }
    total.seconds = start.elapsed().as_secs_f64();
    Ok(total)
}

/// The bare engine with the same rows.
#[derive(Clone)]
pub(crate) struct Engine {
    rows: fjall::Keyspace,
    keys: Arc<HashMap<String, Vec<u8>>>,
    _database: fjall::Database,
}

impl Engine {
    pub(crate) fn open(folder: &Path) -> Result<Self> {
        let database = fjall::Database::builder(folder.join("engine")).open()?;
        let rows = database.keyspace("rows", fjall::KeyspaceCreateOptions::default)?;
        let mut keys = HashMap::new();
        for (index, (key, row)) in encoded_rows()?.into_iter().enumerate() {
            rows.insert(key.as_bytes(), row.as_bytes().as_ref())?;
            keys.insert(user(index), key.as_bytes().to_vec());
        }
        Ok(Self { rows, keys: Arc::new(keys), _database: database })
    }

    fn work(&self, entities: usize, thread: usize, end: Instant) -> Result<Sample> {
        let requests: Vec<Vec<&Vec<u8>>> = (0..REQUESTS)
            .map(|number| users(entities, number).filter_map(|user| self.keys.get(&user)).collect())
            .collect();
        let mut sample = Sample::default();
        let mut number = thread;
        while Instant::now() < end {
            let start = Instant::now();
            let mut found = 0;
            for key in &requests[number % REQUESTS] {
                found += usize::from(self.rows.get(key)?.is_some());
            }
            ensure!(found == entities, "a row is missing");
            sample.latency.record(start.elapsed().as_nanos() as u64)?;
            sample.requests += 1;
            number += 1;
        }
        Ok(sample)
    }
}
