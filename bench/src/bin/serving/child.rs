//! The server processes: serving on the embedded store, and the handler that only returns bytes.

use std::{
    collections::HashMap,
    convert::Infallible,
    future::Future,
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    pin::Pin,
    process::{Child, Command, Stdio},
    sync::Arc,
    task::{Context, Poll},
};

use anyhow::{Context as _, Result, ensure};
use arc_swap::ArcSwap;
use axum::{Router, http, routing::post};
use bytes::{Buf, BufMut, Bytes};
use clap::Args;
use tokio::net::TcpListener;
use tonic::{
    Status,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
    server::{NamedService, UnaryService},
    transport::server::TcpIncoming,
};
use trivium_codec::{RowEncoder, Schema, ValueRef};
use trivium_model::{FeatureView, KeyValue, Lane, Timestamp};
use trivium_registry::{Revision, Snapshot, StoredView};
use trivium_runtime::{FixedClock, Shutdown, SystemClock};
use trivium_serving::{Definitions, Options, Serving, Stores};
use trivium_store::{Condition, DoorOp, DoorRequest, DoorRow, Order, WriteDoor, WriteId};
use trivium_store_embedded::EmbeddedStore;

use crate::{ENTITIES, FEATURES, ROWS};

/// The method that is measured.
pub(crate) const BATCH_GET: &str = "/trivium.v1.OnlineService/BatchGet";
/// 2014-01-01T00:00:00Z
const NOW: i64 = 1_388_534_400_000_000;

#[derive(Debug, Args)]
pub(crate) struct ServerArgs {
    /// `ours` or `precomputed`.
    role: String,
    /// Where data and answers are.
    folder: PathBuf,
}

/// A server process; it ends with this value.
pub(crate) struct Server {
    child: Child,
    pub(crate) http: String,
    pub(crate) grpc: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        // It holds nothing that needs a clean end.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    pub(crate) fn start(role: &str, folder: &Path) -> Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(["serve", role])
            .arg(folder)
            .stdout(Stdio::piped())
            .spawn()?;
        let output = child.stdout.take().context("no output")?;
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line)?;
        let (http, grpc) = line.trim().split_once(' ').context("the server did not start")?;
        Ok(Self { child, http: http.to_owned(), grpc: grpc.to_owned() })
    }

    /// CPU that the process has used, in seconds.
    pub(crate) fn cpu_seconds(&self) -> Result<f64> {
        const TICKS_A_SECOND: f64 = 100.0;
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        let after_name = stat.rsplit_once(')').context("/proc/…/stat")?.1;
        let fields: Vec<&str> = after_name.split_whitespace().collect();
        let ticks = |index: usize| fields.get(index).and_then(|field| field.parse::<f64>().ok());
        Ok((ticks(11).context("utime")? + ticks(12).context("stime")?) / TICKS_A_SECOND)
    }
}

pub(crate) async fn serve(args: ServerArgs) -> Result<()> {
    let http = TcpListener::bind("127.0.0.1:0").await?;
    let grpc = TcpListener::bind("127.0.0.1:0").await?;
    let addresses = format!("{} {}\n", http.local_addr()?, grpc.local_addr()?);
    let announce = || -> Result<()> {
        let mut output = std::io::stdout();
        output.write_all(addresses.as_bytes())?;
        Ok(output.flush()?)
    };
    if args.role == "ours" {
        let serving = ours(&args.folder).await?;
        announce()?;
        trivium_api::serve(
            http,
            trivium_api::finish(serving.router()),
            grpc,
            trivium_api::grpc::finish_grpc(serving.grpc()),
            trivium_api::ServeOptions::default(),
            Shutdown::new(),
        )
        .await?;
        return Ok(());
    }
    let mut router = Router::new();
    let mut answers = HashMap::new();
    for entities in ENTITIES {
        let rest = Bytes::from(std::fs::read(args.folder.join(format!("rest-{entities}")))?);
        let handler = move |_: Bytes| {
            let rest = rest.clone();
            async move { ([(http::header::CONTENT_TYPE, "application/json")], rest) }
        };
        router = router.route(&format!("/{entities}"), post(handler));
        let grpc = Bytes::from(std::fs::read(args.folder.join(format!("grpc-{entities}")))?);
        answers.insert(format!("/{}/{entities}", Precomputed::NAME), grpc);
    }
    announce()?;
    let precomputed = Precomputed(Arc::new(answers));
    let grpc = tonic::transport::Server::builder()
        .add_service(precomputed)
        .serve_with_incoming(TcpIncoming::from(grpc).with_nodelay(Some(true)));
    let http = async move {
        let listener = axum::serve::ListenerExt::tap_io(http, |stream| {
            let _ = stream.set_nodelay(true);
        });
        axum::serve(listener, router).await
    };
    let (http, grpc) = tokio::join!(http, grpc);
    http?;
    Ok(grpc?)
}

/// The features, as a model has them: counts, amounts in cents, and means with all their digits.
const KINDS: [(&str, &str); 3] = [("count", "int64"), ("amount", "float64"), ("mean", "float64")];

/// The view that is read: 50 features of one join key.
pub(crate) fn view() -> Result<FeatureView> {
    let features: Vec<serde_json::Value> = (0..FEATURES)
        .map(|index| {
            let (kind, data_type) = KINDS[index % KINDS.len()];
            serde_json::json!({ "name": format!("{kind}_{index:02}"), "type": data_type, "description": "X." })
        })
        .collect();
    let config = serde_json::json!({
        "namespace": "bench", "name": "wide", "version": 1, "lane": "direct", "description": "X.",
        "owner": { "team": "bench", "contact": "bench@example.com" }, "urgency_tier": 3,
        "entities": [{ "name": "user_id", "type": "string" }],
        "event_timestamp": "event_ts", "features": features, "online": true,
    });
    trivium_model::config::parse_view("bench/wide.v1.json", &config.to_string())
        .map_err(|errors| anyhow::anyhow!("{errors:?}"))
}

pub(crate) fn user(index: usize) -> String {
    format!("user-{index:06}")
}

/// The same values in every run.
fn values(row: usize) -> Vec<Option<ValueRef<'static>>> {
    let mut state = row as u64 + 1;
    (0..FEATURES)
        .map(|index| {
            // splitmix64
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut mixed = state;
            mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            mixed ^= mixed >> 31;
            let mean = (mixed >> 11) as f64 / (1_u64 << 53) as f64 * 1_000.0;
            Some(match KINDS[index % KINDS.len()].0 {
                "count" => ValueRef::Int64((mean * 10.0) as i64),
                "amount" => ValueRef::Float64((mean * 100.0).round() / 100.0),
                _ => ValueRef::Float64(mean),
            })
        })
        .collect()
}

pub(crate) fn encoded_rows() -> Result<Vec<(trivium_codec::RowKey, trivium_codec::Row)>> {
    let view = view()?;
    let shape = trivium_codec::KeyShape::new(&view);
    let schema = Schema::of_view(&view)?;
    let mut encoder = RowEncoder::new(&schema);
    (0..ROWS)
        .map(|row| {
            let key = shape.encode(&[KeyValue::String(user(row))])?;
            Ok((key, encoder.encode(Lane::Direct, &values(row))?))
        })
        .collect()
}

async fn ours(folder: &Path) -> Result<Serving> {
    let view = view()?;
    let reference = view.reference();
    let schema = Schema::of_view(&view)?;
    let mut snapshot = Snapshot { revision: Revision(1), ..Snapshot::default() };
    snapshot.layouts.insert(reference.clone(), vec![view.served_features()]);
    let stored = StoredView {
        view,
        config_text: String::new(),
        sql_text: None,
        revision: Revision(1),
        author: "bench".to_owned(),
        at: Timestamp(NOW),
        reason: String::new(),
    };
    snapshot.views.insert(reference.clone(), Arc::new(stored));
    let store = EmbeddedStore::open(trivium_store_embedded::Options::new(folder.join("ours")))?;
    let serving = Serving::new(
        Stores::of(Arc::new(store)),
        Arc::new(ArcSwap::from_pointee(Definitions::from_snapshot(&snapshot)?)),
        Arc::new(FixedClock(NOW)),
        Arc::new(SystemClock),
        Options::default(),
    );
    let mut encoder = RowEncoder::new(&schema);
    let all: Vec<usize> = (0..ROWS).collect();
    for batch in all.chunks(1_000) {
        let mut rows = Vec::with_capacity(batch.len());
        for &row in batch {
            rows.push(DoorRow {
                entity: vec![KeyValue::String(user(row))],
                op: DoorOp::PutRow {
                    row: encoder.encode(Lane::Direct, &values(row))?,
                    schema: schema.fingerprint(),
                },
                order: Order::At { event_time: Timestamp(NOW), sequence: Some(1) },
                condition: Condition::None,
                write_id: WriteId(0),
            });
        }
        let request =
            DoorRequest { view: reference.clone(), lane: Lane::Direct, rows, deadline: None };
        let outcomes = serving.write(request).await?;
        ensure!(outcomes.iter().all(Result::is_ok), "a row was not written");
    }
    Ok(serving)
}

/// Returns the bytes that stand for the path, whatever was asked.
#[derive(Clone)]
struct Precomputed(Arc<HashMap<String, Bytes>>);

impl NamedService for Precomputed {
    const NAME: &'static str = "bench.Precomputed";
}

impl tower::Service<http::Request<tonic::body::Body>> for Precomputed {
    type Response = http::Response<tonic::body::Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }
    fn call(&mut self, request: http::Request<tonic::body::Body>) -> Self::Future {
        let answer = self.0.get(request.uri().path()).cloned().unwrap_or_default();
        Box::pin(async move {
            let mut grpc = tonic::server::Grpc::new(BytesCodec);
            Ok(grpc.unary(Answer(answer), request).await)
        })
    }
}

struct Answer(Bytes);

impl UnaryService<Bytes> for Answer {
    type Response = Bytes;
    type Future = std::future::Ready<Result<tonic::Response<Bytes>, Status>>;
    fn call(&mut self, _: tonic::Request<Bytes>) -> Self::Future {
        std::future::ready(Ok(tonic::Response::new(self.0.clone())))
    }
}

/// Messages as the bytes that they are.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct BytesCodec;

impl Codec for BytesCodec {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;
    fn encoder(&mut self) -> Self {
        Self
    }
    fn decoder(&mut self) -> Self {
        Self
    }
}
impl Encoder for BytesCodec {
    type Item = Bytes;
    type Error = Status;
    fn encode(&mut self, item: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put(item);
        Ok(())
    }
}
impl Decoder for BytesCodec {
    type Item = Bytes;
    type Error = Status;
    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(buffer.copy_to_bytes(buffer.remaining())))
    }
}
