//! The connections.

use std::env;

use fred::{
    clients::{Client, Pool, WithOptions},
    interfaces::ClientLike as _,
    types::{
        Builder, ConnectHandle,
        config::{
            ClusterDiscoveryPolicy, Config, ConnectionConfig, Options as SendOptions,
            ReconnectPolicy, Server, ServerConfig, TcpConfig, UnresponsiveConfig,
        },
    },
};

use crate::{Error, Options};

/// Pauses between tries to connect, in milliseconds.
const RECONNECT_MS_MIN: u32 = 20;
const RECONNECT_MS_MAX: u32 = 1_000;
/// A command is sent once. (With more, the client sends those again whose answer was lost with their
/// connection, whatever else it was told.) A redirection counts as an attempt: a step that meets a
/// slot which has just moved fails, the client learns where it is, and the next one finds it.
const ATTEMPTS_MAX: u32 = 1;
/// Commands waiting to be written, for each connection.
const COMMANDS_WAITING_MAX: usize = 10_000;

#[derive(Debug)]
pub(crate) struct Connections {
    pool: Pool,
    task: ConnectHandle,
    send: SendOptions,
}

impl Connections {
    /// Begins to connect, and goes on in the background. Needs a Tokio runtime.
    pub(crate) fn open(options: &Options) -> Result<Self, Error> {
        options.check()?;
        let mut servers = options.parsed_servers()?;
        let server = if options.cluster {
            ServerConfig::Clustered { hosts: servers, policy: ClusterDiscoveryPolicy::default() }
        } else {
            ServerConfig::Centralized { server: servers.swap_remove(0) }
        };
        let get = |name| env::var(name).ok().filter(|value| !value.is_empty());
        let config = Config {
            server,
            username: get("VALKEY_USERNAME"),
            password: get("VALKEY_PASSWORD"),
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
        let task = pool.connect();
        let send = SendOptions {
            timeout: Some(options.command_timeout()),
            max_attempts: Some(ATTEMPTS_MAX),
            fail_fast: true,
            ..SendOptions::default()
        };
        Ok(Self { pool, task, send })
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
    }
}
