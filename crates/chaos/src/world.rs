//! The servers and nodes of a run, and the proxies between them.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use serde_json::{Value as Json, json};
use tempfile::TempDir;
use tokio::runtime::Handle;
use trivium_client::{Client, Options};
use trivium_registry_api::RegistryApi;
use trivium_registry_sql::{SqlRegistry, SqliteOptions};
use trivium_runtime::{Shutdown, SystemClock};
use trivium_testkit::{DynamoDb, Proxy, Valkey, Verdict};

use crate::{
    Plan,
    history::History,
    node::{Node, Start, http},
    report::Report,
    rows::files,
};

/// Bytes of a row's text: all rows together are more than the cache may hold.
pub const PAGE: usize = 3_000;
/// How much Valkey may hold.
pub const MEMORY: &str = "4mb";
const NODES: usize = 3;
/// After which a client gives up on a request.
const REQUEST: Duration = Duration::from_millis(2_500);
/// How long a node may need to start on a busy machine, tries and all.
const PATIENCE: Duration = Duration::from_secs(60);

/// A node's place: its process may come and go.
#[derive(Debug)]
pub struct Place {
    pub name: String,
    pub valkey: Proxy,
    pub dynamodb: Proxy,
    /// Where there is an index.
    pub opensearch: Option<Proxy>,
    config: PathBuf,
    process: Mutex<Option<Node>>,
    client: Mutex<Option<Client>>,
}

/// All of it.
#[derive(Debug)]
pub struct World {
    pub places: Vec<Place>,
    pub stopping: AtomicBool,
    pub evicted: AtomicU64,
    pub faults: Mutex<BTreeMap<&'static str, u64>>,
    pub problems: Mutex<Vec<String>>,
    valkey: Mutex<Valkey>,
    plan: Plan,
    began: Instant,
    handle: Handle,
    folder: TempDir,
    // Ends last: nodes look for it while they stop.
    _dynamodb: DynamoDb,
}

pub fn locked<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl World {
    /// Starts the servers, makes the table, registers the view, and starts the nodes.
    pub async fn start(plan: &Plan) -> Result<Arc<Self>> {
        let folder = TempDir::with_prefix("trivium-chaos-")?;
        register(folder.path().join("registry.db")).await?;
        let (handle, plan) = (Handle::current(), plan.clone());
        // Runs may share a server.
        static RUNS: AtomicU32 = AtomicU32::new(0);
        let run = RUNS.fetch_add(1, Relaxed);
        let started = tokio::task::spawn_blocking(move || {
            let dynamodb = DynamoDb::start()?;
            let valkey = Valkey::start(&[
                "--maxmemory",
                MEMORY,
                // So that a snapshot can be told where to go.
                "--enable-protected-configs",
                "yes",
                // A replica leaves its backlog behind, which would be all the memory there is.
                "--repl-backlog-size",
                "16kb",
            ])?;
            let mut places = Vec::new();
            for number in 0..NODES {
                let name = format!("node{number}");
                let valkey = Proxy::tcp(valkey.server().port())?;
                let dynamodb = Proxy::http(dynamodb.server().port())?;
                let opensearch = match &plan.index {
                    Some(index) => Some(Proxy::http(index.server().port())?),
                    None => None,
                };
                let config = folder.path().join(format!("{name}.toml"));
                let mut text = config_text(&valkey, &dynamodb);
                if let Some(opensearch) = &opensearch {
                    text.push_str(&index_text(opensearch, run));
                }
                std::fs::write(&config, text)?;
                let (process, client) = (Mutex::default(), Mutex::default());
                places.push(Place { name, valkey, dynamodb, opensearch, config, process, client });
            }
            let world = Self {
                places,
                stopping: AtomicBool::new(false),
                evicted: AtomicU64::new(0),
                faults: Mutex::default(),
                problems: Mutex::default(),
                valkey: Mutex::new(valkey),
                plan,
                began: Instant::now(),
                handle,
                folder,
                _dynamodb: dynamodb,
            };
            if let Some(place) = world.places.first() {
                // A fresh server on a busy machine takes longer than a node waits.
                let (began, start) = (Instant::now(), world.start_of(place));
                while let Err(error) = start.verb(&["stores", "init"]) {
                    if began.elapsed() > PATIENCE {
                        return Err(error);
                    }
                }
            }
            for place in &world.places {
                world.start_node(place)?;
            }
            anyhow::Ok(Arc::new(world))
        });
        started.await?
    }

    fn start_of<'a>(&'a self, place: &'a Place) -> Start<'a> {
        Start {
            program: &self.plan.program,
            config: &place.config,
            log: self.folder.path(),
            spoilt: self.plan.spoilt,
        }
    }

    /// Says what happens, and when.
    pub fn say(&self, what: &str) {
        println!("[{:>8.3} s] {what}", self.began.elapsed().as_secs_f64());
    }

    /// Something other than a violation that must not be.
    pub fn problem(&self, what: String) {
        self.say(&format!("PROBLEM: {what}"));
        locked(&self.problems).push(what);
    }

    pub fn count(&self, fault: &'static str) {
        *locked(&self.faults).entry(fault).or_default() += 1;
    }

    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Relaxed)
    }

    /// Waits so long, or until the run ends.
    pub fn pause(&self, how_long: Duration) {
        let until = Instant::now() + how_long;
        while !self.is_stopping() && Instant::now() < until {
            thread::sleep(
                until.saturating_duration_since(Instant::now()).min(Duration::from_millis(20)),
            );
        }
    }

    pub fn valkey(&self) -> MutexGuard<'_, Valkey> {
        locked(&self.valkey)
    }

    /// Starts a node at its place, again and again: its stores may be spoilt just now.
    pub fn start_node(&self, place: &Place) -> Result<()> {
        let began = Instant::now();
        let log = self.folder.path().join(format!("{}.log", place.name));
        let start = Start { log: &log, ..self.start_of(place) };
        let node = loop {
            match start.run() {
                Ok(node) => break node,
                Err(error) if began.elapsed() > PATIENCE => {
                    let said = std::fs::read_to_string(&log).unwrap_or_default();
                    bail!("{} does not start: {error:#}; it said: {said}", place.name);
                }
                Err(_) => thread::sleep(Duration::from_millis(200)),
            }
        };
        // A client's connection is a task.
        let _entered = self.handle.enter();
        let options = Options { request_timeout: REQUEST, ..Options::default() };
        *locked(&place.client) = Some(Client::connect_lazily(&node.grpc, options)?);
        *locked(&place.process) = Some(node);
        Ok(())
    }

    /// Turns proxies, and what is behind them, back to what they should be.
    pub fn heal(&self) -> Result<()> {
        let port = self.valkey().server().port();
        for place in &self.places {
            place.dynamodb.judge(|_, _| Verdict::Pass);
            if let Some(opensearch) = &place.opensearch {
                opensearch.judge(|_, _| Verdict::Pass);
            }
            place.valkey.judge(|_, _| Verdict::Pass);
            place.valkey.retarget(port);
            if locked(&place.process).is_none() {
                self.start_node(place)?;
            }
        }
        Ok(())
    }

    /// Takes note of what has been evicted since Valkey's last start.
    pub fn note_evictions(&self) {
        let info = self.valkey().command(&["INFO", "stats"]).unwrap_or_default();
        let count = info.lines().find_map(|line| line.strip_prefix("evicted_keys:"));
        let count = count.and_then(|count| count.trim().parse().ok()).unwrap_or(0);
        self.evicted.fetch_add(count, Relaxed);
        // Counted again from here.
        let _ = self.valkey().command(&["CONFIG", "RESETSTAT"]);
    }

    /// Whether there are rows with embeddings.
    pub fn has_index(&self) -> bool {
        self.plan.index.is_some()
    }

    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Where something was found, copies the nodes' logs, and writes the rows it was found in, to
    /// where they stay.
    pub fn keep(&self, report: &mut Report, history: &History) -> Result<()> {
        if report.is_clean() || self.plan.spoilt.is_some() {
            return Ok(());
        }
        let kept = std::env::temp_dir().join(format!("trivium-chaos-{}", std::process::id()));
        std::fs::create_dir_all(&kept)?;
        for place in &self.places {
            let name = format!("{}.log", place.name);
            std::fs::copy(self.folder.path().join(&name), kept.join(&name))?;
        }
        for ops in history.by_row() {
            let Some(row) = ops.first().map(|op| op.row) else { continue };
            if report.violations.iter().any(|violation| violation.row == row) {
                let lines: Vec<String> = ops.iter().map(|op| format!("{op:?}\n")).collect();
                std::fs::write(kept.join(format!("row{row}.txt")), lines.concat())?;
            }
        }
        report.kept = Some(kept);
        Ok(())
    }
}

impl Place {
    /// Whoever wants to ask this node; `None`: it is down.
    pub fn client(&self) -> Option<Client> {
        locked(&self.client).clone()
    }

    pub fn signal(&self, name: &str) -> Result<()> {
        locked(&self.process).as_ref().context("there is no process")?.signal(name)
    }

    /// Kills the process; nobody asks it from then on.
    pub fn kill(&self) -> Result<()> {
        self.signal("KILL")?;
        *locked(&self.process) = None;
        *locked(&self.client) = None;
        Ok(())
    }

    /// One page of the node's; `None`: it does not answer.
    pub fn page(&self, path: &str) -> Option<String> {
        let address = locked(&self.process).as_ref()?.http.clone();
        http(&address, path, None).ok()
    }

    /// Asks the node over REST; `None`: no answer, or no good one.
    pub fn ask(&self, path: &str, body: &str) -> Option<Json> {
        let address = self.address()?;
        serde_json::from_str(&http(&address, path, Some(body)).ok()?).ok()
    }

    /// Which process it is, so that counters can be told apart.
    pub fn address(&self) -> Option<String> {
        locked(&self.process).as_ref().map(|node| node.http.clone())
    }

    /// Whether the node reads the cache; `None`: it does not answer.
    pub fn uses_cache(&self) -> Option<bool> {
        let health: Json = serde_json::from_str(&self.page("/healthz")?).ok()?;
        health["cache"]["in_use"].as_bool()
    }
}

/// Short times, so that much happens in a run; each fault outlasts them.
fn config_text(valkey: &Proxy, dynamodb: &Proxy) -> String {
    format!(
        "[registry]\nurl = \"sqlite:registry.db\"\n\n\
         [dynamodb]\ntable = \"chaos\"\nregion = \"eu-central-1\"\nendpoint = \"http://127.0.0.1:{}\"\n\
         connect_timeout_ms = 500\nattempt_timeout_ms = 800\nlimit_ms = 2000\n\n\
         [valkey]\nservers = [\"127.0.0.1:{}\"]\nconnect_timeout_ms = 500\ncommand_timeout_ms = 200\n\
         lease_ttl_ms = 1000\nvalue_ttl_seconds = 600\n\n\
         [coherence]\nlease_ms = 600\nrenew_every_ms = 150\nwrite_window_ms = 2500\n\
         pause_ms_max = 1500\nhold_off_ms = 200\nhold_off_ms_max = 800\n\n\
         [limits]\nstore_time_ms_max = 2000\nrequest_ms_max = 5000\n\n\
         [erasure]\nindex_lag_ms = 0\nwait_ms_max = 1000\nlease_ms = 2000\nresume_every_ms = 400\n\n\
         [listen]\nhttp = \"127.0.0.1:0\"\ngrpc = \"127.0.0.1:0\"\n",
        dynamodb.port(),
        valkey.port(),
    )
}

/// Nothing is swept: a sweeper moves a row up where a document lies above it, and the check knows no version
/// that nobody wrote.
fn index_text(opensearch: &Proxy, run: u32) -> String {
    format!(
        "\n[opensearch]\nendpoint = \"http://127.0.0.1:{}\"\nprefix = \"chaos-{run}-\"\nreplicas = 0\n\
         refresh_ms = 200\nattempt_timeout_ms = 800\n\n[sweep]\nevery_ms = 86400000\n",
        opensearch.port(),
    )
}

/// Accepts the definitions, through a registry that runs only for that.
async fn register(file: PathBuf) -> Result<()> {
    let registry = SqlRegistry::open_sqlite(&file, &SqliteOptions::default()).await?;
    let router = RegistryApi::new(Arc::new(registry), Arc::new(SystemClock)).router();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?.to_string();
    let (shutdown, options) = (Shutdown::new(), trivium_api::ServeOptions::default());
    let router = trivium_api::finish(router);
    let served = trivium_api::serve::serve_http(listener, router, options, shutdown.clone());
    let task = tokio::spawn(served);
    let files: Vec<Json> =
        files().into_iter().map(|(path, text)| json!({ "path": path, "text": text })).collect();
    let body = json!({ "files": files, "base_revision": 0, "author": "chaos" }).to_string();
    tokio::task::spawn_blocking(move || http(&address, "/v1/apply", Some(&body))).await??;
    shutdown.trigger();
    task.await?.map_err(|error| anyhow::anyhow!("the registry: {error}"))
}
