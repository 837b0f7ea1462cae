//! Valkey, a DynamoDB API, a node, and 100,000 rows in all of them.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use tempfile::TempDir;
use tokio::net::TcpListener;
use trivium_bench_serving::{
    load::{self, Protocol, Requests},
    precomputed::{self, Answers},
    process::Process,
    wide::{self, NOW},
};
use trivium_client::Client;
use trivium_codec::{RowEncoder, Schema};
use trivium_model::{KeyValue, Lane, Timestamp};
use trivium_registry::{Apply, Registry as _, Revision};
use trivium_registry_sql::{SqlRegistry, SqliteOptions};
use trivium_store::{Condition, DoorOp, DoorRequest, DoorRow, Order, WriteDoor, WriteId};
use trivium_testkit::{DynamoDb, Valkey};

use crate::cases::{ENTITIES, Keys, Shape, node, raw_key};

/// Rows of one write.
const ROWS_A_WRITE: usize = 1_000;
/// Entities of one read, when the cache is filled.
const ROWS_A_READ: usize = 100;

/// Everything that runs.
pub struct World {
    pub rows: usize,
    pub http: String,
    pub grpc: String,
    pub valkey: Valkey,
    pub node: Process,
    pub folder: TempDir,
    _dynamodb: DynamoDb,
    cached_before: (f64, f64),
}

impl World {
    /// With so many rows, and so many views (one of which has the rows).
    pub async fn start(rows: usize, views: usize) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let (valkey, dynamodb) = (Valkey::start(&[])?, DynamoDb::start()?);
        define(folder.path(), views).await?;
        let config = folder.path().join("serving.toml");
        std::fs::write(&config, node_config(&dynamodb, &valkey))?;
        let made = serving(&config)?.args(["stores", "init"]).output()?;
        ensure!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let node = Process::start(&mut serving(&config)?)?;
        let said: serde_json::Value = serde_json::from_str(&node.said)?;
        let address = |name: &str, scheme: &str| -> Result<String> {
            let address = said[name].as_str().and_then(|address| address.strip_prefix(scheme));
            Ok(address.context("the node said no address")?.to_owned())
        };
        let (http, grpc) = (address("http", "http://")?, address("grpc", "grpc://")?);
        let mut world = Self {
            rows,
            http,
            grpc,
            valkey,
            node,
            folder,
            _dynamodb: dynamodb,
            cached_before: (0.0, 0.0),
        };
        world.load().await?;
        world.fill().await?;
        world.cached_before = world.answered().await?;
        Ok(world)
    }

    pub fn cpu(&self) -> Result<f64> {
        self.node.cpu_seconds()
    }

    /// Writes every row through the node, and its bytes beside for the raw client.
    async fn load(&self) -> Result<()> {
        let view = wide::view()?;
        let schema = Schema::of_view(&view)?;
        let client = Client::connect(&format!("http://{}", self.grpc)).await?;
        let mut encoder = RowEncoder::new(&schema);
        let all: Vec<usize> = (0..self.rows).collect();
        for (done, batch) in all.chunks(ROWS_A_WRITE).enumerate() {
            let (mut rows, mut raw) = (Vec::new(), Vec::new());
            for &row in batch {
                let encoded = encoder.encode(Lane::Direct, &wide::values(row))?;
                let key = raw_key(row);
                let words = ["SET".as_bytes(), key.as_bytes(), encoded.as_bytes()];
                raw.push(load::command(words.into_iter()));
                rows.push(DoorRow {
                    entity: vec![KeyValue::String(wide::user(row))],
                    op: DoorOp::PutRow { row: encoded, schema: schema.fingerprint() },
                    order: Order::At { event_time: Timestamp(NOW), sequence: Some(1) },
                    condition: Condition::None,
                    write_id: WriteId(0),
                });
            }
            let request =
                DoorRequest { view: view.reference(), lane: Lane::Direct, rows, deadline: None };
            for outcome in client.write(request).await? {
                outcome?;
            }
            load::send_all(&self.raw(raw)).await?;
            if done % 20 == 19 {
                eprintln!("{} rows written", (done + 1) * ROWS_A_WRITE);
            }
        }
        Ok(())
    }

    fn raw(&self, commands: Vec<Bytes>) -> Requests {
        Requests {
            protocol: Protocol::Resp,
            address: self.valkey.address(),
            method: String::new(),
            bodies: std::sync::Arc::new(commands),
        }
    }

    /// Reads every row once, so that all are in the cache: writing leaves them there, unless it was slow.
    async fn fill(&self) -> Result<()> {
        let all: Vec<usize> = (0..self.rows).collect();
        let bodies = all
            .chunks(ROWS_A_READ)
            .map(|users| load::grpc_get(users.iter().map(|&user| wide::user(user))));
        load::send_all(&Requests {
            protocol: Protocol::Grpc,
            address: self.grpc.clone(),
            method: load::BATCH_GET.to_owned(),
            bodies: std::sync::Arc::new(bodies.collect()),
        })
        .await
    }

    /// Rows answered by the cache, and by the table, since the node started.
    async fn answered(&self) -> Result<(f64, f64)> {
        let text = reqwest::get(format!("http://{}/metrics", self.http)).await?.text().await?;
        let of = |by: &str| {
            let name = format!("trivium_cache_reads_total{{answered_by=\"{by}\"}} ");
            let line = text.lines().find_map(|line| line.strip_prefix(&name));
            line.and_then(|value| value.parse().ok()).unwrap_or(0.0)
        };
        Ok((of("cache"), of("authority")))
    }

    /// Which part of the rows came from the cache since everything was loaded.
    pub async fn hit_ratio(&self) -> Result<f64> {
        let (cache, table) = self.answered().await?;
        let (cache, table) = (cache - self.cached_before.0, table - self.cached_before.1);
        Ok(cache / (cache + table).max(1.0))
    }

    /// A handler that answers with what the node answers to the first request of each size.
    pub async fn start_precomputed(&self) -> Result<Precomputed> {
        for protocol in [Protocol::Rest, Protocol::Grpc] {
            for entities in ENTITIES {
                let shape = Shape { protocol, keys: Keys::Uniform, entities, connections: 1 };
                let answer = load::once(&node(self, &shape)).await?;
                let name = format!("{}-{entities}", protocol.word());
                std::fs::write(self.folder.path().join(name), answer)?;
            }
        }
        let mut command = Command::new(std::env::current_exe()?);
        let process = Process::start(command.arg("precomputed").arg(self.folder.path()))?;
        let (http, grpc) = process.said.trim().split_once(' ').context("no addresses")?;
        let (http, grpc) = (http.to_owned(), grpc.to_owned());
        Ok(Precomputed { rows: self.rows, http, grpc, process })
    }
}

/// The handler's process.
pub struct Precomputed {
    pub rows: usize,
    pub http: String,
    pub grpc: String,
    process: Process,
}

impl Precomputed {
    pub fn cpu(&self) -> Result<f64> {
        self.process.cpu_seconds()
    }
}

/// What that process does.
pub async fn precomputed(folder: &Path) -> Result<()> {
    let http = TcpListener::bind("127.0.0.1:0").await?;
    let grpc = TcpListener::bind("127.0.0.1:0").await?;
    let answer = |protocol: &str, entities: usize| -> Result<Bytes> {
        Ok(std::fs::read(folder.join(format!("{protocol}-{entities}")))?.into())
    };
    let mut answers = Vec::new();
    for entities in ENTITIES {
        let (rest, grpc) = (answer("rest", entities)?, answer("grpc", entities)?);
        answers.push(Answers { name: entities.to_string(), rest, grpc });
    }
    writeln!(std::io::stdout(), "{} {}", http.local_addr()?, grpc.local_addr()?)?;
    precomputed::serve(http, grpc, answers).await
}

/// The registry's file, with the view and as many others as asked for.
async fn define(folder: &Path, views: usize) -> Result<()> {
    let registry =
        SqlRegistry::open_sqlite(&folder.join("registry.db"), &SqliteOptions::default()).await?;
    let mut parsed = vec![(wide::view()?, wide::config("wide"), None)];
    let parts = (0..wide::PARTS).map(wide::part);
    for name in parts.chain((1..views).map(|number| format!("other_{number:05}"))) {
        let config = wide::small_config(&name);
        let view = trivium_model::config::parse_view(&format!("bench/{name}.v1.json"), &config)
            .map_err(|errors| anyhow::anyhow!("{errors:?}"))?;
        parsed.push((view, config, None));
    }
    let mut services = Vec::new();
    for (name, precomputed) in [("apart", false), ("joined", true)] {
        let config = wide::service_config(name, precomputed);
        let path = format!("bench/{name}.v1.service.json");
        let service = trivium_model::config::parse_service(&path, &config)
            .map_err(|errors| anyhow::anyhow!("{errors:?}"))?;
        services.push((service, config));
    }
    let apply = Apply {
        base: Revision(0),
        author: "bench".to_owned(),
        reason: String::new(),
        at: Timestamp(NOW),
        views: parsed,
        services,
        audit: Vec::new(),
    };
    registry.apply(apply).await?;
    Ok(())
}

fn node_config(dynamodb: &DynamoDb, valkey: &Valkey) -> String {
    format!(
        "[registry]\nurl = \"sqlite:registry.db\"\n\n\
         [dynamodb]\ntable = \"bench\"\nregion = \"eu-central-1\"\nendpoint = \"{}\"\n\
         attempt_timeout_ms = 20000\nlimit_ms = 60000\n\n\
         [valkey]\nservers = [\"{}\"]\ncommand_timeout_ms = 2000\n\n\
         [clock]\ndata = \"2014-01-01\"\n\n\
         [listen]\nhttp = \"127.0.0.1:0\"\ngrpc = \"127.0.0.1:0\"\n",
        dynamodb.endpoint(),
        valkey.address(),
    )
}

/// The node's command, built into the same folder as this bench.
fn serving(config: &Path) -> Result<Command> {
    let program: PathBuf = std::env::current_exe()?.with_file_name("trivium-serving");
    ensure!(program.exists(), "{} is not there: `make bench-serving` builds it", program.display());
    let mut command = Command::new(program);
    command.env("AWS_ACCESS_KEY_ID", "local").env("AWS_SECRET_ACCESS_KEY", "local");
    command.env("TRIVIUM_LOG", "warn").arg("--config").arg(config);
    Ok(command)
}
