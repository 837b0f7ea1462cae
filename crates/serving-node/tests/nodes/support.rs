//! Real servers, a registry, and nodes as processes of their own.

use std::{
    io::{BufRead as _, BufReader, Read as _},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Output, Stdio},
    sync::{Arc, LazyLock, Mutex},
    thread,
    time::{Duration, Instant},
};

use reqwest::{Client, Response, StatusCode};
use serde_json::{Value as Json, json};
use tempfile::TempDir;
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
use trivium_registry::Registry as _;
use trivium_registry_api::RegistryApi;
use trivium_registry_sql::{SqlRegistry, SqliteOptions};
use trivium_runtime::{Shutdown, SystemClock};
use trivium_store_dynamodb::{Credentials, DynamoStore, Options, SharedCredentialsProvider};
use trivium_testkit::{DynamoDb, Valkey};

/// One for all tests; each has a table of its own.
pub static DYNAMODB: LazyLock<DynamoDb> = LazyLock::new(|| DynamoDb::start().unwrap());

/// Long enough for a busy machine; nothing is said about speed.
pub const PATIENCE: Duration = Duration::from_secs(60);

pub const SESSION: &str = r#"{
  "namespace": "shop", "name": "session", "version": 1, "lane": "direct",
  "description": "What a person does now.", "owner": { "team": "shop", "contact": "shop@example.com" },
  "urgency_tier": 1, "entities": [ { "name": "user_id", "type": "int64" } ],
  "event_timestamp": "event_ts", "subject": "user_id", "ttl": "1h",
  "features": [
    { "name": "clicks", "type": "int64", "description": "Clicks.", "default": 0 },
    { "name": "page", "type": "string", "description": "The page." }
  ],
  "online": true
}"#;

pub const CART: &str = r#"{
  "namespace": "shop", "name": "cart", "version": 1, "lane": "direct",
  "description": "The cart.", "owner": { "team": "shop", "contact": "shop@example.com" },
  "urgency_tier": 1, "entities": [ { "name": "user_id", "type": "int64" } ],
  "event_timestamp": "event_ts",
  "features": [ { "name": "items", "type": "int64", "description": "Items." } ],
  "online": true
}"#;

/// A table, a cache, definitions, and a folder for configs.
pub struct World {
    pub folder: TempDir,
    pub table: &'static str,
    pub valkey: Option<Mutex<Valkey>>,
}

impl World {
    /// With a table that is there, and a cache.
    pub async fn new(table: &'static str) -> Self {
        let world = Self::without_cache(table).await;
        Self { valkey: Some(Mutex::new(Valkey::start(&[]).unwrap())), ..world }
    }

    pub async fn without_cache(table: &'static str) -> Self {
        Self::of(table, SESSION).await
    }

    /// Without a cache, with rows that are nobody's.
    pub async fn without_people(table: &'static str) -> Self {
        Self::of(table, &SESSION.replace("\"subject\": \"user_id\", ", "")).await
    }

    async fn of(table: &'static str, session: &str) -> Self {
        let world = Self { folder: tempfile::tempdir().unwrap(), table, valkey: None };
        world.apply(&[("shop/session.v1.json", session)]).await;
        let made = world.command(&world.config("init", ""), &["stores", "init"]);
        assert!(made.status.success(), "{made:?}");
        world
    }

    pub fn registry(&self) -> PathBuf {
        self.folder.path().join("registry.db")
    }

    pub async fn open_registry(&self) -> SqlRegistry {
        SqlRegistry::open_sqlite(&self.registry(), &SqliteOptions::default()).await.unwrap()
    }

    /// Applies a whole project.
    pub async fn apply(&self, files: &[(&str, &str)]) {
        let registry = Arc::new(self.open_registry().await);
        let base = registry.head().await.unwrap();
        let server = RegistryServer::start(registry, 0).await;
        let files: Vec<Json> =
            files.iter().map(|(path, text)| json!({ "path": path, "text": text })).collect();
        let body = json!({ "files": files, "base_revision": base.0, "author": "test" });
        let answer = http().post(format!("{}/v1/apply", server.base)).json(&body).send().await;
        let answer = answer.unwrap();
        assert_eq!(answer.status(), StatusCode::OK, "{:?}", answer.text().await);
        server.stop().await;
    }

    /// Writes a config; `more` is TOML of its own sections, or of `[listen]` where it begins without
    /// one.
    pub fn config(&self, name: &str, more: &str) -> PathBuf {
        self.config_with(name, "sqlite:registry.db", more)
    }

    /// Of a node that knows of no cache, whatever the others have.
    pub fn config_without_cache(&self, name: &str) -> PathBuf {
        let path = self.config(name, "");
        let text = std::fs::read_to_string(&path).unwrap();
        let (before, rest) = text.split_once("[valkey]").unwrap();
        let (_, after) = rest.split_once("[coherence]").unwrap();
        std::fs::write(&path, format!("{before}[coherence]{after}")).unwrap();
        path
    }

    pub fn config_with(&self, name: &str, registry: &str, more: &str) -> PathBuf {
        let valkey = match &self.valkey {
            Some(valkey) => {
                let address = valkey.lock().unwrap().address();
                // A busy machine is no outage.
                format!("[valkey]\nservers = [\"{address}\"]\ncommand_timeout_ms = 2000\n")
            }
            None => String::new(),
        };
        let text = format!(
            "[registry]\nurl = \"{registry}\"\npoll_ms = 50\nstate_file = \"{name}.state.json\"\n\n\
             [dynamodb]\ntable = \"{}\"\nregion = \"eu-central-1\"\nendpoint = \"{}\"\n\
             attempt_timeout_ms = 20000\nlimit_ms = 60000\n\n{valkey}\n\
             [coherence]\nhold_off_ms = 200\nhold_off_ms_max = 1000\n\n\
             [listen]\nhttp = \"127.0.0.1:0\"\ngrpc = \"127.0.0.1:0\"\n{more}",
            self.table,
            DYNAMODB.endpoint(),
        );
        let path = self.folder.path().join(format!("{name}.toml"));
        std::fs::write(&path, text).unwrap();
        path
    }

    /// The table, past all nodes. Nothing is written through it.
    pub fn table_itself(&self) -> DynamoStore {
        let options = Options {
            endpoint: Some(DYNAMODB.endpoint()),
            ..Options::new(self.table, "eu-central-1")
        };
        let credentials = Credentials::new("local", "local", None, None, "test");
        DynamoStore::with_credentials(options, SharedCredentialsProvider::new(credentials)).unwrap()
    }

    /// Runs a verb to its end.
    pub fn command(&self, config: &Path, arguments: &[&str]) -> Output {
        command(config).args(arguments).output().unwrap()
    }

    /// Begins a verb.
    pub fn spawn(&self, config: &Path, arguments: &[&str]) -> Child {
        command(config).args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }
}

fn command(config: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_trivium-serving"));
    for (name, _) in std::env::vars_os() {
        if ["TRIVIUM_", "OTEL_"].iter().any(|prefix| name.to_string_lossy().starts_with(prefix)) {
            command.env_remove(name);
        }
    }
    command.env("AWS_ACCESS_KEY_ID", "local").env("AWS_SECRET_ACCESS_KEY", "local");
    command.arg("--config").arg(config);
    command
}

/// A registry that runs in this process.
pub struct RegistryServer {
    pub base: String,
    shutdown: Shutdown,
    task: tokio::task::JoinHandle<()>,
}

impl RegistryServer {
    pub async fn start(registry: Arc<SqlRegistry>, port: u16) -> Self {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let api = RegistryApi::new(registry.clone(), Arc::new(SystemClock)).with_orders(registry);
        let router = trivium_api::finish(api.router());
        let (shutdown, options) = (Shutdown::new(), trivium_api::ServeOptions::default());
        let served = trivium_api::serve::serve_http(listener, router, options, shutdown.clone());
        let task = tokio::spawn(async move { served.await.unwrap() });
        Self { base, shutdown, task }
    }

    pub fn port(&self) -> u16 {
        self.base.rsplit_once(':').unwrap().1.parse().unwrap()
    }

    pub async fn stop(self) {
        self.shutdown.trigger();
        self.task.await.unwrap();
    }
}

/// Runs the node, says its pid, and kills it when the pipe on its own stdin closes: with this process,
/// however that ends.
const WATCH: &str =
    r#""$@" & echo $!; exec >/dev/null; read -r _; kill -9 $! 2>/dev/null; wait $!"#;

/// A node's process.
pub struct Node {
    watcher: Child,
    pipe: Option<ChildStdin>,
    pub pid: u32,
    pub http: String,
    pub grpc: String,
    log: Arc<Mutex<String>>,
}

impl Node {
    pub fn start(config: &Path) -> Self {
        Self::start_with(config, &[])
    }

    /// With variables of its own.
    pub fn start_with(config: &Path, variables: &[(&str, &str)]) -> Self {
        let mut wanted = command(config);
        wanted.envs(variables.iter().copied());
        let mut watcher = Command::new("sh");
        watcher.args(["-c", WATCH, "sh"]).arg(wanted.get_program()).args(wanted.get_args());
        for (name, value) in wanted.get_envs() {
            match value {
                Some(value) => watcher.env(name, value),
                None => watcher.env_remove(name),
            };
        }
        let mut watcher = watcher
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = Arc::new(Mutex::new(String::new()));
        let mut stderr = BufReader::new(watcher.stderr.take().unwrap());
        let kept = Arc::clone(&log);
        thread::spawn(move || {
            let mut line = String::new();
            while stderr.read_line(&mut line).is_ok_and(|count| count > 0) {
                kept.lock().unwrap().push_str(&line);
                line.clear();
            }
        });
        let mut stdout = BufReader::new(watcher.stdout.take().unwrap());
        let mut line = |what: &str| {
            let mut line = String::new();
            stdout.read_line(&mut line).unwrap();
            if line.is_empty() {
                thread::sleep(Duration::from_millis(200));
                panic!("the node said no {what}: {}", log.lock().unwrap());
            }
            line
        };
        let pid = line("pid").trim().parse().unwrap();
        let addresses: Json = serde_json::from_str(&line("addresses")).unwrap();
        thread::spawn(move || stdout.read_to_end(&mut Vec::new()));
        let address = |name: &str| addresses[name].as_str().unwrap().to_owned();
        let pipe = watcher.stdin.take();
        let grpc = address("grpc").replace("grpc://", "http://");
        Self { watcher, pipe, pid, http: address("http"), grpc, log }
    }

    pub fn signal(&self, name: &str) {
        let kill = format!("kill -{name} {}", self.pid);
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    }

    /// Waits for the end; the exit code.
    pub fn wait(&mut self) -> Option<i32> {
        drop(self.pipe.take());
        self.watcher.wait().unwrap().code()
    }

    /// Whether the process is there no more.
    pub fn has_ended(&self) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid)).unwrap_or_default();
        stat.rsplit_once(')').is_none_or(|(_, rest)| rest.trim_start().starts_with('Z'))
    }

    pub fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    pub async fn send(&self, path: &str, body: &Json) -> (StatusCode, Json) {
        read(http().post(format!("{}{path}", self.http)).json(body).send().await.unwrap()).await
    }

    pub async fn fetch(&self, path: &str) -> (StatusCode, Json) {
        read(http().get(format!("{}{path}", self.http)).send().await.unwrap()).await
    }

    pub async fn page(&self, path: &str) -> String {
        let answer = http().get(format!("{}{path}", self.http)).send().await.unwrap();
        answer.text().await.unwrap()
    }

    /// Puts one row; its result.
    pub async fn put(&self, user: i64, values: Json, more: Json) -> Json {
        let mut row = json!({ "entity": { "user_id": user }, "values": values });
        row.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let body = json!({ "view": "shop/session@1", "rows": [row] });
        let (status, mut answer) = self.send("/v1/features/online/put", &body).await;
        assert_eq!(status, 200, "{answer}");
        answer["results"][0].take()
    }

    /// Rows of these users.
    pub async fn get(&self, users: &[i64]) -> Json {
        self.get_with(users, json!({})).await
    }

    pub async fn get_with(&self, users: &[i64], more: Json) -> Json {
        let entities: Vec<Json> = users.iter().map(|user| json!({ "user_id": user })).collect();
        let mut body = json!({ "features": ["shop/session@1"], "entities": entities });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let (status, mut answer) = self.send("/v1/features/online/get", &body).await;
        assert_eq!(status, 200, "{answer}");
        answer["rows"].take()
    }

    /// What the gRPC health service says of the whole; 1: serving, 2: not serving.
    pub async fn grpc_health(&self) -> i32 {
        let channel = tonic::transport::Endpoint::from_shared(self.grpc.clone()).unwrap();
        let mut client = HealthClient::new(channel.connect().await.unwrap());
        client.check(HealthCheckRequest::default()).await.unwrap().into_inner().status
    }

    /// Waits until this holds of `/healthz`.
    pub async fn until_health(&self, what: &str, holds: impl Fn(&Json) -> bool) {
        let began = Instant::now();
        loop {
            let (_, health) = self.fetch("/healthz").await;
            if holds(&health) {
                return;
            }
            assert!(began.elapsed() < PATIENCE, "{what}: {health}; {}", self.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub async fn until_cached(&self) {
        self.until_health("the cache is in use", |health| health["cache"]["in_use"] == true).await;
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        drop(self.pipe.take());
        // The shell has killed the node by then.
        let _ = self.watcher.wait();
    }
}

async fn read(answer: Response) -> (StatusCode, Json) {
    let status = answer.status();
    let text = answer.text().await.unwrap();
    (status, serde_json::from_str(&text).unwrap_or_else(|_| panic!("no JSON: {status} {text}")))
}

pub fn http() -> Client {
    Client::builder().timeout(PATIENCE).build().unwrap()
}

/// A port that was free just now.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
