//! The server processes: serving on the embedded store, and the handler that only returns bytes.

use std::{
    io::Write,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

use anyhow::{Context as _, Result, ensure};
use arc_swap::ArcSwap;
use bytes::Bytes;
use clap::Args;
use tokio::net::TcpListener;
use trivium_bench_serving::{
    precomputed::{self, Answers},
    process::Process,
    wide::{self, NOW},
};
use trivium_codec::{RowEncoder, Schema};
use trivium_model::{KeyValue, Lane, Timestamp};
use trivium_runtime::{FixedClock, Shutdown, SystemClock};
use trivium_serving::{Definitions, Options, Serving, Stores};
use trivium_store::{Condition, DoorOp, DoorRequest, DoorRow, Order, WriteDoor, WriteId};
use trivium_store_embedded::EmbeddedStore;

use crate::{ENTITIES, ROWS};

#[derive(Debug, Args)]
pub(crate) struct ServerArgs {
    /// `ours` or `precomputed`.
    role: String,
    /// Where data and answers are.
    folder: PathBuf,
}

/// A server process; it ends with this value.
pub(crate) struct Server {
    pub(crate) process: Process,
    pub(crate) http: String,
    pub(crate) grpc: String,
}

impl Server {
    pub(crate) fn start(role: &str, folder: &Path) -> Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        let process = Process::start(command.args(["serve", role]).arg(folder))?;
        let (http, grpc) = process.said.trim().split_once(' ').context("no addresses")?;
        Ok(Self { http: http.to_owned(), grpc: grpc.to_owned(), process })
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
    let answer = |protocol: &str, entities: usize| -> Result<Bytes> {
        Ok(std::fs::read(args.folder.join(format!("{protocol}-{entities}")))?.into())
    };
    let mut answers = Vec::new();
    for entities in ENTITIES {
        let (rest, grpc) = (answer("rest", entities)?, answer("grpc", entities)?);
        answers.push(Answers { name: entities.to_string(), rest, grpc });
    }
    announce()?;
    precomputed::serve(http, grpc, answers).await
}

async fn ours(folder: &Path) -> Result<Serving> {
    let view = wide::view()?;
    let schema = Schema::of_view(&view)?;
    let store = EmbeddedStore::open(trivium_store_embedded::Options::new(folder.join("ours")))?;
    let serving = Serving::new(
        Stores::of(Arc::new(store)),
        Arc::new(ArcSwap::from_pointee(Definitions::from_snapshot(&wide::snapshot()?)?)),
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
                entity: vec![KeyValue::String(wide::user(row))],
                op: DoorOp::PutRow {
                    row: encoder.encode(Lane::Direct, &wide::values(row))?,
                    schema: schema.fingerprint(),
                },
                order: Order::At { event_time: Timestamp(NOW), sequence: Some(1) },
                condition: Condition::None,
                write_id: WriteId(0),
            });
        }
        let request =
            DoorRequest { view: view.reference(), lane: Lane::Direct, rows, deadline: None };
        let outcomes = serving.write(request).await?;
        ensure!(outcomes.iter().all(Result::is_ok), "a row was not written");
    }
    Ok(serving)
}
