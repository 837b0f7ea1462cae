//! The clients: as little work a request as can be, so that the servers are what is measured.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use prost::Message;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use trivium_proto::v1::{BatchGetRequest, FeatureSelection, KeyColumn, StringList, key_column};

use crate::{figures::Sample, unary::Unary, wide};

/// Where features are read over REST.
pub const REST_GET: &str = "/v1/features/online/get";
/// The gRPC method that is measured.
pub const BATCH_GET: &str = "/trivium.v1.OnlineService/BatchGet";

/// How a server is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1 with JSON.
    Rest,
    /// gRPC.
    Grpc,
    /// The messages of gRPC as bodies of HTTP/1.1.
    Connect,
    /// Valkey's own.
    Resp,
}

impl Protocol {
    /// As cases are named.
    pub fn word(self) -> &'static str {
        match self {
            Self::Rest => "rest",
            Self::Grpc => "grpc",
            Self::Connect => "connect",
            Self::Resp => "resp",
        }
    }
}

/// Requests to one server, sent in turn.
#[derive(Clone)]
pub struct Requests {
    /// How.
    pub protocol: Protocol,
    /// `host:port`.
    pub address: String,
    /// The method, where the protocol is gRPC.
    pub method: String,
    /// Whole requests (REST, RESP) or messages (gRPC).
    pub bodies: Arc<Vec<Bytes>>,
}

/// An HTTP/1.1 request with a JSON body.
pub fn http_post(path: &str, body: &str) -> Bytes {
    http_body(path, "application/json", body.as_bytes())
}

fn http_body(path: &str, content_type: &str, body: &[u8]) -> Bytes {
    let length = body.len();
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: bench\r\ncontent-type: {content_type}\r\ncontent-length: {length}\r\n\r\n"
    );
    [head.as_bytes(), body].concat().into()
}

/// All features of some users, over REST.
pub fn rest_get(path: &str, users: impl Iterator<Item = String>) -> Bytes {
    let entities: Vec<String> = users.map(|user| format!("{{\"user_id\":\"{user}\"}}")).collect();
    let view = wide::VIEW;
    http_post(path, &format!("{{\"features\":[\"{view}\"],\"entities\":[{}]}}", entities.join(",")))
}

/// The same over gRPC.
pub fn grpc_get(users: impl Iterator<Item = String>) -> Bytes {
    let features = vec![wide::VIEW.to_owned()];
    grpc_select(FeatureSelection { features, service: String::new() }, users)
}

/// The same message by the Connect protocol.
pub fn connect_get(path: &str, users: impl Iterator<Item = String>) -> Bytes {
    http_body(path, "application/proto", &grpc_get(users))
}

/// What a service reads of some users, over gRPC.
pub fn grpc_service(service: &str, users: impl Iterator<Item = String>) -> Bytes {
    grpc_select(FeatureSelection { features: Vec::new(), service: service.to_owned() }, users)
}

fn grpc_select(selection: FeatureSelection, users: impl Iterator<Item = String>) -> Bytes {
    let request = BatchGetRequest {
        selection: Some(selection),
        entities: vec![KeyColumn {
            name: "user_id".to_owned(),
            values: Some(key_column::Values::Strings(StringList { values: users.collect() })),
        }],
        ..BatchGetRequest::default()
    };
    Bytes::from(request.encode_to_vec())
}

/// A command of Valkey's.
pub fn command<'a>(words: impl Iterator<Item = &'a [u8]>) -> Bytes {
    let (mut count, mut body) = (0, Vec::new());
    for word in words {
        count += 1;
        body.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        body.extend_from_slice(word);
        body.extend_from_slice(b"\r\n");
    }
    let mut command = format!("*{count}\r\n").into_bytes();
    command.extend_from_slice(&body);
    command.into()
}

/// One connection.
enum Connection {
    Http(Stream),
    Grpc(Unary),
    Resp(Stream),
}

/// A stream that reads no more of an answer than it must.
struct Stream {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Stream {
    async fn connect(address: &str) -> Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::with_capacity(256 << 10) })
    }

    async fn more(&mut self) -> Result<()> {
        ensure!(self.stream.read_buf(&mut self.buffer).await? > 0, "the server hung up");
        Ok(())
    }

    /// Where the body of the answer starts; it ends with the buffer.
    async fn http(&mut self, request: &[u8]) -> Result<usize> {
        self.stream.write_all(request).await?;
        self.buffer.clear();
        let (start, length) = loop {
            self.more().await?;
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
            self.more().await?;
        }
        Ok(start)
    }

    /// The answer to one command: how many values are there, of an array or by itself.
    async fn resp(&mut self, command: &[u8]) -> Result<usize> {
        self.stream.write_all(command).await?;
        self.buffer.clear();
        let (kind, count, mut at) = self.line(0).await?;
        match kind {
            b'*' => {}
            b'+' | b':' => return Ok(1),
            _ => bail!("{}", String::from_utf8_lossy(&self.buffer)),
        }
        let mut found = 0;
        for _ in 0..count {
            let (_, length, start) = self.line(at).await?;
            let Ok(length) = usize::try_from(length) else {
                at = start;
                continue;
            };
            at = start + length + 2;
            while self.buffer.len() < at {
                self.more().await?;
            }
            found += 1;
        }
        Ok(found)
    }

    /// A line that begins there: its kind, its number, and where the next begins.
    async fn line(&mut self, from: usize) -> Result<(u8, i64, usize)> {
        loop {
            let found = self.buffer.get(from..).and_then(|rest| {
                let end = rest.iter().position(|&byte| byte == b'\n')?;
                Some((rest[0], &rest[1..end.saturating_sub(1)], from + end + 1))
            });
            if let Some((kind, number, next)) = found {
                let number = std::str::from_utf8(number).ok().and_then(|text| text.parse().ok());
                return Ok((kind, number.unwrap_or(0), next));
            }
            self.more().await?;
        }
    }
}

impl Connection {
    async fn open(requests: &Requests) -> Result<Self> {
        Ok(match requests.protocol {
            Protocol::Rest | Protocol::Connect => {
                Self::Http(Stream::connect(&requests.address).await?)
            }
            Protocol::Resp => Self::Resp(Stream::connect(&requests.address).await?),
            Protocol::Grpc => {
                Self::Grpc(Unary::connect(&requests.address, &requests.method).await?)
            }
        })
    }

    async fn call(&mut self, body: &Bytes) -> Result<()> {
        match self {
            Self::Http(stream) => stream.http(body).await.map(|_| ()),
            Self::Resp(stream) => stream.resp(body).await.map(|_| ()),
            Self::Grpc(client) => client.call(body).await.map(|_| ()),
        }
    }
}

/// The body of the answer to the first request; of a command, how many values are there, as text.
pub async fn once(requests: &Requests) -> Result<Bytes> {
    let body = requests.bodies.first().context("no request")?;
    match Connection::open(requests).await? {
        Connection::Http(mut stream) => {
            let start = stream.http(body).await?;
            Ok(Bytes::copy_from_slice(&stream.buffer[start..]))
        }
        Connection::Resp(mut stream) => Ok(stream.resp(body).await?.to_string().into()),
        Connection::Grpc(mut client) => Ok(Bytes::copy_from_slice(client.call(body).await?)),
    }
}

/// One turn: each connection sends one request after the other. `cpu` tells what the server has used.
pub async fn drive(
    requests: &Requests,
    connections: usize,
    turn: Duration,
    cpu: impl Fn() -> Result<f64>,
) -> Result<Sample> {
    let stop = Arc::new(AtomicBool::new(false));
    let mut clients = tokio::task::JoinSet::new();
    let apart = (requests.bodies.len() / connections).max(1);
    for number in 0..connections {
        let mut connection = Connection::open(requests).await?;
        let (stop, bodies) = (stop.clone(), requests.bodies.clone());
        clients.spawn(async move {
            let mut sample = Sample::default();
            for body in bodies.iter().cycle().skip(number * apart) {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                let start = Instant::now();
                connection.call(body).await?;
                sample.latency.record(start.elapsed().as_nanos() as u64)?;
                sample.requests += 1;
            }
            anyhow::Ok(sample)
        });
    }
    let (start, before) = (Instant::now(), cpu()?);
    tokio::time::sleep(turn).await;
    stop.store(true, Ordering::Relaxed);
    let mut total = Sample::default();
    while let Some(sample) = clients.join_next().await {
        total.add(sample??);
    }
    total.seconds = start.elapsed().as_secs_f64();
    total.cpu_seconds = cpu()? - before;
    Ok(total)
}

/// Sends every request once, over one connection.
pub async fn send_all(requests: &Requests) -> Result<()> {
    let mut connection = Connection::open(requests).await?;
    for body in requests.bodies.iter() {
        connection.call(body).await?;
    }
    Ok(())
}
