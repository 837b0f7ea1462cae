//! The store that the serving wrapper sees.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex},
    time::Instant,
};

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::Semaphore;
use trivium_codec::{Row, RowKey};
use trivium_runtime::{Shutdown, trace};
use trivium_store::{
    Authority, Checkpoints, Error, OnlineRead, OnlineWrite, ReadOptions, RowCache, RowWrite,
    WriteOutcome, check_deadline,
};

use crate::{Environment, Options, breaker::Breaker, flights::Flights, keeper::Keeper};

/// An authority behind a shared cache, with the authority's promise: every row is linearizable.
///
/// Everybody who writes these rows goes through it: a write past the barriers and the cache is not
/// seen by whoever reads the cache.
///
/// Without [`CoherentStore::run`] under way somewhere in the process it serves from the authority
/// alone, and stays correct.
#[derive(Debug)]
pub struct CoherentStore<A, C> {
    node: Arc<Node<A, C>>,
}

impl<A, C> Clone for CoherentStore<A, C> {
    fn clone(&self) -> Self {
        Self { node: Arc::clone(&self.node) }
    }
}

/// One serving node. Any number of them share the authority and the cache.
#[derive(Debug)]
pub(crate) struct Node<A, C> {
    pub(crate) authority: Arc<A>,
    pub(crate) cache: Arc<C>,
    pub(crate) options: Arc<Options>,
    pub(crate) environment: Environment,
    pub(crate) keeper: Keeper<A, C>,
    pub(crate) breaker: Breaker,
    pub(crate) flights: Flights,
    /// Bounds spawned follow-ups.
    pub(crate) followups: Arc<Semaphore>,
    /// Keys that this node is repairing.
    pub(crate) repairing: Mutex<HashSet<RowKey>>,
}

impl<A: Authority + 'static, C: RowCache + 'static> CoherentStore<A, C> {
    /// A node that serves the authority's rows, from the machine's clocks.
    pub fn new(authority: A, cache: C, options: Options) -> Self {
        Self::in_environment(authority, cache, options, Environment::system())
    }

    /// The same, with clocks and randomness given.
    pub fn in_environment(
        authority: A,
        cache: C,
        options: Options,
        environment: Environment,
    ) -> Self {
        let (authority, cache, options) = (Arc::new(authority), Arc::new(cache), Arc::new(options));
        let keeper = Keeper::new(
            Arc::clone(&authority),
            Arc::clone(&cache),
            Arc::clone(&options),
            environment.clone(),
        );
        let node = Node {
            keeper,
            breaker: Breaker::new(options.breaker_failures, options.breaker_pause_max),
            flights: Flights::default(),
            followups: Arc::new(Semaphore::new(options.followups_max)),
            repairing: Mutex::default(),
            authority,
            cache,
            options,
            environment,
        };
        Self { node: Arc::new(node) }
    }

    /// Keeps this node's epoch lease, and the cache's state with the other nodes, and tidies up after
    /// dead writers, until shutdown.
    pub async fn run(&self, shutdown: &Shutdown) {
        futures::join!(self.node.keeper.run(shutdown), self.node.tidy(shutdown));
    }

    /// One round of [`CoherentStore::run`], for those who keep time themselves.
    pub async fn keep(&self) -> Result<(), Error> {
        self.node.keeper.round().await
    }

    pub(crate) fn authority(&self) -> &A {
        &self.node.authority
    }

    pub(crate) async fn has_forgotten(&self, keys: &[RowKey]) -> bool {
        self.node.has_forgotten(keys).await
    }

    /// Whether this node may read the cache at this moment.
    pub fn has_lease(&self) -> bool {
        self.node.keeper.lease().is_some()
    }
}

impl<A: Authority + 'static, C: RowCache + 'static> Node<A, C> {
    /// Does work that nobody waits for: beside the caller while there is room, else before it goes
    /// on, so that what is under way stays bounded.
    pub(crate) async fn follow_up(&self, work: impl Future<Output = ()> + Send + 'static) {
        match Arc::clone(&self.followups).try_acquire_owned() {
            Ok(permit) => {
                tokio::spawn(trace::carried(async move {
                    work.await;
                    drop(permit);
                }));
            }
            Err(_) => work.await,
        }
    }
}

#[async_trait]
impl<A: Authority + 'static, C: RowCache + 'static> OnlineRead for CoherentStore<A, C> {
    async fn get(&self, keys: &[RowKey], options: &ReadOptions) -> Vec<Result<Option<Row>, Error>> {
        if let Err(error) = check_deadline(options.deadline) {
            return vec![Err(error); keys.len()];
        }
        self.node.get(keys, options).await
    }
}

#[async_trait]
impl<A: Authority + 'static, C: RowCache + 'static> OnlineWrite for CoherentStore<A, C> {
    async fn write(
        &self,
        writes: Vec<RowWrite>,
        seed_micros: u64,
        deadline: Option<Instant>,
    ) -> Vec<Result<WriteOutcome, Error>> {
        let count = writes.len();
        if let Err(error) = check_deadline(deadline) {
            return vec![Err(error); count];
        }
        let node = Arc::clone(&self.node);
        // In a task of its own: a caller that hangs up must not leave fences standing.
        let write = async move { Box::pin(node.write(writes, seed_micros, deadline)).await };
        let task = tokio::spawn(trace::carried(write));
        match task.await {
            Ok(outcomes) => outcomes,
            Err(error) => vec![Err(Error::Unknown(format!("the write broke off: {error}"))); count],
        }
    }
}

#[async_trait]
impl<A: Authority + Checkpoints + 'static, C: RowCache + 'static> Checkpoints
    for CoherentStore<A, C>
{
    async fn load(&self, name: &str) -> Result<Option<Bytes>, Error> {
        self.node.authority.load(name).await
    }

    async fn store(
        &self,
        name: &str,
        expected: Option<&[u8]>,
        value: Bytes,
    ) -> Result<bool, Error> {
        self.node.authority.store(name, expected, value).await
    }
}
