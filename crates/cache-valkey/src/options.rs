//! How to reach the servers, and how long things stay.

use std::time::Duration;

use fred::types::config::Server;
use rand::RngExt as _;
use serde::{Deserialize, Serialize};

use crate::Error;

/// Each is a task and a socket, and answers thousands of reads a second.
const CONNECTIONS_MAX: usize = 256;
/// Each is a socket, here and at a server, which by default takes 10,000 of all nodes.
const READ_CONNECTIONS_MAX: usize = 1_024;

/// Options of the cache. A user and a password come from the environment (`VALKEY_USERNAME`,
/// `VALKEY_PASSWORD`), never from here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// `host:port`: the server, or some of a cluster's.
    pub servers: Vec<String>,
    /// Whether they are a cluster.
    #[serde(default)]
    pub cluster: bool,
    /// Connections to each server.
    #[serde(default = "Options::default_connections")]
    pub connections: usize,
    /// Connections at most that carry one read at a time; more reads at once share the others. Not in a
    /// cluster. 0: none.
    #[serde(default = "Options::default_read_connections")]
    pub read_connections: usize,
    /// How long a connection may take to be made, in milliseconds.
    #[serde(default = "Options::default_connect_timeout_ms")]
    pub connect_timeout_ms: u64,
    /// How long an answer may take, in milliseconds; it is unknown what became of the command then.
    #[serde(default = "Options::default_command_timeout_ms")]
    pub command_timeout_ms: u64,
    /// How long a reader may take to fill a key, in milliseconds.
    #[serde(default = "Options::default_lease_ttl_ms")]
    pub lease_ttl_ms: u64,
    /// How long a row stays at least where nothing changes it, in seconds; up to a quarter more, so
    /// that rows that came together do not go together.
    #[serde(default = "Options::default_value_ttl_seconds")]
    pub value_ttl_seconds: u64,
    /// How many writes one key's fence may hold; more are refused, as by a full cache.
    #[serde(default = "Options::default_fence_writes_max")]
    pub fence_writes_max: u32,
}

impl Options {
    /// The defaults, for one server.
    pub fn new(server: impl Into<String>) -> Self {
        Self {
            servers: vec![server.into()],
            cluster: false,
            connections: Self::default_connections(),
            read_connections: Self::default_read_connections(),
            connect_timeout_ms: Self::default_connect_timeout_ms(),
            command_timeout_ms: Self::default_command_timeout_ms(),
            lease_ttl_ms: Self::default_lease_ttl_ms(),
            value_ttl_seconds: Self::default_value_ttl_seconds(),
            fence_writes_max: Self::default_fence_writes_max(),
        }
    }

    const fn default_connections() -> usize {
        2
    }
    const fn default_read_connections() -> usize {
        64
    }
    const fn default_connect_timeout_ms() -> u64 {
        1_000
    }
    const fn default_command_timeout_ms() -> u64 {
        250
    }
    const fn default_lease_ttl_ms() -> u64 {
        3_000
    }
    const fn default_value_ttl_seconds() -> u64 {
        24 * 3600
    }
    /// Rewriting a fence costs as much as it holds.
    const fn default_fence_writes_max() -> u32 {
        256
    }

    pub(crate) const fn command_timeout(&self) -> Duration {
        Duration::from_millis(self.command_timeout_ms)
    }
    pub(crate) const fn connect_timeout(&self) -> Duration {
        Duration::from_millis(self.connect_timeout_ms)
    }
    pub(crate) fn value_ttl_ms(&self) -> i64 {
        let least = self.value_ttl_seconds.saturating_mul(1_000);
        let jitter = rand::rng().random_range(0..=least / 4);
        i64::try_from(least.saturating_add(jitter)).unwrap_or(i64::MAX)
    }

    pub(crate) fn parsed_servers(&self) -> Result<Vec<Server>, Error> {
        let parse = |text: &String| {
            let (host, port) = text.rsplit_once(':')?;
            let host = host.trim_matches(['[', ']']);
            let is_host = !host.is_empty() && !host.contains('/');
            is_host.then_some(Server::new(host, port.parse().ok()?))
        };
        let servers: Option<Vec<Server>> = self.servers.iter().map(parse).collect();
        let wrong = |why: &str| Error::Option { option: "servers", why: why.to_owned() };
        let servers = servers.ok_or_else(|| wrong("each is `host:port`, without a scheme"))?;
        match (servers.len(), self.cluster) {
            (0, _) => Err(wrong("none is named")),
            (2.., false) => Err(wrong("several servers are a cluster: say `cluster`, or name one")),
            _ => Ok(servers),
        }
    }

    /// Whether they make sense. Asks nobody.
    pub fn check(&self) -> Result<(), Error> {
        self.parsed_servers()?;
        for (option, value) in [
            ("connections", self.connections as u64),
            ("connect_timeout_ms", self.connect_timeout_ms),
            ("command_timeout_ms", self.command_timeout_ms),
            ("lease_ttl_ms", self.lease_ttl_ms),
            ("value_ttl_seconds", self.value_ttl_seconds),
            ("fence_writes_max", u64::from(self.fence_writes_max)),
        ] {
            if value == 0 {
                return Err(Error::Option { option, why: "it is 0; give at least 1".to_owned() });
            }
        }
        let over = |option, max| {
            let why = format!("more than {max} would be made; some few are enough");
            Err(Error::Option { option, why })
        };
        if self.connections > CONNECTIONS_MAX {
            return over("connections", CONNECTIONS_MAX);
        }
        if self.read_connections > READ_CONNECTIONS_MAX {
            return over("read_connections", READ_CONNECTIONS_MAX);
        }
        Ok(())
    }
}
