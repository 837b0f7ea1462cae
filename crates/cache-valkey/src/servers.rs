//! Which servers there are, what they say of themselves, and marking them.

use fred::{
    interfaces::{ClientLike as _, ClusterInterface as _, KeysInterface as _},
    types::{ClusterHash, CustomCommand, Value, config::Server},
};
use futures::future::{join_all, try_join_all};
use trivium_store::{CacheEpoch, CacheError, CacheServer, EVICTION_POLICY, RowCache as _};

use crate::{Error, ValkeyCache, cache::Inner, failure, keys};

impl ValkeyCache {
    /// Looks whether the servers can be used: none has replicas or is one, all evict as they must.
    /// [`RowCache::servers`](trivium_store::RowCache::servers) tells the same without judging.
    pub async fn check(&self) -> Result<(), Error> {
        for CacheServer { run_id, is_replicated, policy } in self.servers().await? {
            if is_replicated {
                let why = "it has replicas or is one: after a failover it would answer with older \
                           rows; a cache runs without";
                return Err(Error::Server { run_id, why: why.to_owned() });
            }
            if policy != EVICTION_POLICY {
                let why = format!(
                    "its `maxmemory-policy` is `{policy}`: set `{EVICTION_POLICY}`, which never evicts a fence"
                );
                return Err(Error::Server { run_id, why });
            }
        }
        Ok(())
    }
}

impl Inner {
    /// Of a cluster the primaries; `None` stands for the one server.
    pub(crate) fn primaries(&self) -> Result<Vec<Option<Server>>, CacheError> {
        if !self.options.cluster {
            return Ok(vec![None]);
        }
        let state = self.connections.pool().next().cached_cluster_state();
        let primaries = state.map(|state| state.unique_primary_nodes()).unwrap_or_default();
        if primaries.is_empty() {
            let message = "the cluster's servers are not known yet".to_owned();
            return Err(CacheError::Refused { message, is_full: false });
        }
        Ok(primaries.into_iter().map(Some).collect())
    }

    /// Sends a command to one server.
    pub(crate) async fn tell(
        &self,
        server: Option<&Server>,
        command: &'static str,
        arguments: Vec<String>,
    ) -> Result<Value, CacheError> {
        let command = CustomCommand::new_static(command, ClusterHash::Random, false);
        let client = match server {
            Some(server) => self.connections.to(server),
            None => self.connections.next(),
        };
        client.custom(command, arguments).await.map_err(|error| failure::sort(&error))
    }

    pub(crate) async fn ask_servers(&self) -> Result<Vec<CacheServer>, CacheError> {
        if self.options.cluster {
            // The layout may have changed since: what is asked must be all that there is.
            let client = self.connections.pool().next();
            let synced =
                tokio::time::timeout(self.options.connect_timeout(), client.sync_cluster()).await;
            synced
                .map_err(|_| CacheError::Unknown("the cluster's layout was not told".to_owned()))?
                .map_err(|error| failure::sort(&error))?;
        }
        let primaries = self.primaries()?;
        let asked = join_all(primaries.iter().map(|server| self.ask(server.as_ref()))).await;
        let mut servers = asked.into_iter().collect::<Result<Vec<CacheServer>, CacheError>>()?;
        servers.sort_by(|one, other| one.run_id.cmp(&other.run_id));
        Ok(servers)
    }

    async fn ask(&self, server: Option<&Server>) -> Result<CacheServer, CacheError> {
        let sections = ["server", "replication", "memory"].map(str::to_owned).to_vec();
        let info = text(self.tell(server, "INFO", sections).await?)?;
        let mut described = described(&info)?;
        if server.is_some() {
            let nodes = text(self.tell(server, "CLUSTER", vec!["NODES".to_owned()]).await?)?;
            described.is_replicated |= has_replica(&nodes);
        }
        Ok(described)
    }

    /// Scripts first: a server that has the marker has been given them.
    pub(crate) async fn mark_all(&self, epoch: CacheEpoch) -> Result<(), CacheError> {
        let scripts = self.scripts_of(epoch);
        for server in self.primaries()? {
            for script in [&scripts.step, &scripts.unfence] {
                let arguments = vec!["LOAD".to_owned(), script.text.clone()];
                let name = text(self.tell(server.as_ref(), "SCRIPT", arguments).await?)?;
                if name != script.name {
                    return Err(failure::odd_answer());
                }
            }
        }
        let marker = bytes::Bytes::copy_from_slice(&epoch.marker.to_le_bytes());
        let set = |bucket| {
            let (client, marker) = (self.connections.next(), marker.clone());
            async move {
                let set =
                    client.set::<(), _, _>(keys::marker(epoch, bucket), marker, None, None, false);
                set.await.map_err(|error| failure::sort(&error))
            }
        };
        try_join_all((0..keys::BUCKETS).map(set)).await?;
        Ok(())
    }
}

pub(crate) fn text(value: Value) -> Result<String, CacheError> {
    value.into_string().ok_or_else(failure::odd_answer)
}

/// What `INFO` says. The run id stands with the replication id, which is another one as soon as the
/// server has had a replica, or has been one: it may have gone back in time since, with the same run id.
fn described(info: &str) -> Result<CacheServer, CacheError> {
    let field = |name: &str| {
        info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
    };
    let needed = |name| field(name).ok_or_else(failure::odd_answer);
    let is_alone = needed("role")? == "master" && needed("connected_slaves")? == "0";
    Ok(CacheServer {
        run_id: format!("{}/{}", needed("run_id")?, needed("master_replid")?),
        is_replicated: !is_alone,
        policy: needed("maxmemory_policy")?.to_owned(),
    })
}

/// Whether `CLUSTER NODES`, as the node itself tells it, lists a replica of it, connected or not.
fn has_replica(nodes: &str) -> bool {
    let lines = || nodes.lines().map(|line| line.split(' ').collect::<Vec<&str>>());
    let own = lines().find(|line| line.get(2).is_some_and(|flags| flags.contains("myself")));
    let own = own.and_then(|line| line.first().copied());
    lines().any(|line| own.is_some() && line.get(3).copied() == own)
}
