//! The connections.

use std::{
    env, fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use async_trait::async_trait;
use fred::{
    clients::{Client, Pool, WithOptions},
    interfaces::{ClientLike as _, EventInterface as _},
    types::{
        Builder, ConnectHandle, RespVersion,
        config::{
            ClusterDiscoveryPolicy, Config, ConnectionConfig, CredentialProvider,
            Options as SendOptions, ReconnectPolicy, Server, ServerConfig, TcpConfig,
            UnresponsiveConfig,
        },
    },
};
use tokio::{sync::broadcast::error::RecvError, task::JoinHandle};

use crate::{Error, Options, reads::Readers};

/// Pauses between tries to connect, in milliseconds.
const RECONNECT_MS_MIN: u32 = 20;
const RECONNECT_MS_MAX: u32 = 1_000;
/// A command is sent once. (With more, the client sends those again whose answer was lost with their
/// connection, whatever else it was told.) A redirection counts as an attempt: a step that meets a
/// slot which has just moved fails, the client learns where it is, and the next one finds it.
const ATTEMPTS_MAX: u32 = 1;
/// Commands waiting to be written, for each connection.
const COMMANDS_WAITING_MAX: usize = 10_000;

/// Who we are to a server, and how many connections the client has made: it asks for the one after it
/// has connected and before it sends any command, so whoever finds the number unchanged around two
/// answers knows that they came from one server. (Connections for reads are not counted.)
#[derive(Default)]
pub(crate) struct Credentials {
    pub(crate) username: Option<String>,
    pub(crate) password: Option<String>,
    made: AtomicU64,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("username", &self.username).finish_non_exhaustive()
    }
}

impl Credentials {
    pub(crate) fn new(username: Option<String>, password: Option<String>) -> Arc<Self> {
        Arc::new(Self { username, password, made: AtomicU64::new(0) })
    }

    fn of_environment() -> Arc<Self> {
        let get = |name| env::var(name).ok().filter(|value| !value.is_empty());
        Self::new(get("VALKEY_USERNAME"), get("VALKEY_PASSWORD"))
    }
}

#[async_trait]
impl CredentialProvider for Credentials {
    async fn fetch(
        &self,
        _: Option<&Server>,
    ) -> Result<(Option<String>, Option<String>), fred::error::Error> {
        self.made.fetch_add(1, Ordering::SeqCst);
        Ok((self.username.clone(), self.password.clone()))
    }
}

#[derive(Debug)]
pub(crate) struct Connections {
    pool: Pool,
    task: ConnectHandle,
    send: SendOptions,
    credentials: Arc<Credentials>,
    problem: Problem,
    watch: JoinHandle<()>,
    readers: Option<Arc<Readers>>,
}

/// What the client last heard of its connections, unless it has one. Steps are only told that there
/// is none: that a password is wrong would be known to nobody.
#[derive(Debug, Clone, Default)]
struct Problem(Arc<Mutex<Option<String>>>);

impl Problem {
    fn get(&self) -> MutexGuard<'_, Option<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn watch(self, client: Client) {
        let (mut errors, mut made) = (client.error_rx(), client.reconnect_rx());
        loop {
            tokio::select! {
                error = errors.recv() => match error {
                    Ok((error, _)) => self.note(error.to_string()),
                    Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => return,
                },
                connected = made.recv() => match connected {
                    Ok(_) => *self.get() = None,
                    Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => return,
                },
            }
        }
    }

    /// Logged once, not with each try.
    fn note(&self, problem: String) {
        let mut last = self.get();
        if last.as_ref() != Some(&problem) {
            tracing::warn!(
                problem,
                "no connection to Valkey; rows are read from the table meanwhile"
            );
            *last = Some(problem);
        }
    }
}

impl Connections {
    /// Begins to connect, and goes on in the background. Needs a Tokio runtime.
    pub(crate) fn open(options: &Options) -> Result<Self, Error> {
        options.check()?;
        let mut servers = options.parsed_servers()?;
        let credentials = Credentials::of_environment();
        let (server, readers) = if options.cluster {
            let policy = ClusterDiscoveryPolicy::default();
            (ServerConfig::Clustered { hosts: servers, policy }, None)
        } else {
            let server = servers.swap_remove(0);
            let readers = Readers::new(server.clone(), credentials.clone(), options);
            (ServerConfig::Centralized { server }, Some(readers))
        };
        let config = Config {
            server,
            credential_provider: Some(Arc::clone(&credentials) as _),
            // Its HELLO, answered, shows that there is a server; and its frames are what the client
            // works with, where those of RESP2 are turned into them, value by value.
            version: RespVersion::RESP3,
            // A server that is not there yet is not a reason to give up.
            fail_fast: false,
            ..Config::default()
        };
        let connection = ConnectionConfig {
            connection_timeout: options.connect_timeout(),
            internal_command_timeout: options.connect_timeout(),
            max_command_attempts: ATTEMPTS_MAX,
            max_command_buffer_len: COMMANDS_WAITING_MAX,
            tcp: TcpConfig { nodelay: Some(true), ..TcpConfig::default() },
            // A connection that has been silent for so long is dead, and a new one may not be.
            unresponsive: UnresponsiveConfig {
                max_timeout: Some(options.command_timeout() * 4),
                interval: options.command_timeout(),
            },
            ..ConnectionConfig::default()
        };
        let mut builder = Builder::from_config(config);
        builder.set_connection_config(connection);
        builder.set_policy(ReconnectPolicy::new_exponential(
            0,
            RECONNECT_MS_MIN,
            RECONNECT_MS_MAX,
            2,
        ));
        let pool = builder.build_pool(options.connections);
        let pool =
            pool.map_err(|error| Error::Option { option: "connections", why: error.to_string() })?;
        let problem = Problem::default();
        let watch = tokio::spawn(problem.clone().watch(pool.next().clone()));
        let task = pool.connect();
        let send = SendOptions {
            timeout: Some(options.command_timeout()),
            max_attempts: Some(ATTEMPTS_MAX),
            fail_fast: true,
            ..SendOptions::default()
        };
        Ok(Self { pool, task, send, credentials, problem, watch, readers })
    }

    /// How many connections the client has made so far, to whatever server.
    pub(crate) fn made(&self) -> u64 {
        self.credentials.made.load(Ordering::SeqCst)
    }
    /// Why there is no connection, as far as is known.
    pub(crate) fn problem(&self) -> Option<String> {
        self.problem.get().clone()
    }
    /// Those that only read. A cluster has none.
    pub(crate) fn readers(&self) -> Option<&Arc<Readers>> {
        self.readers.as_ref()
    }
    /// The next connection.
    pub(crate) fn next(&self) -> WithOptions<Client> {
        self.pool.next().with_options(&self.send)
    }
    /// The next connection, to this server of a cluster.
    pub(crate) fn to(&self, server: &Server) -> WithOptions<Client> {
        let send = SendOptions { cluster_node: Some(server.clone()), ..self.send.clone() };
        self.pool.next().with_options(&send)
    }
    /// The next connection, to where this key's slot of a cluster lies.
    pub(crate) fn to_slot_of(&self, key: &[u8]) -> WithOptions<Client> {
        let slot = fred::util::redis_keyslot(key);
        let hash = fred::types::ClusterHash::Custom(slot);
        let send = SendOptions { cluster_hash: Some(hash), ..self.send.clone() };
        self.pool.next().with_options(&send)
    }
    pub(crate) fn pool(&self) -> &Pool {
        &self.pool
    }
}

impl Drop for Connections {
    fn drop(&mut self) {
        self.task.abort();
        self.watch.abort();
    }
}
