//! The cache's steps.

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use fred::{
    clients::{Client, WithOptions},
    interfaces::{ClientLike as _, KeysInterface as _},
    types::{ClusterHash, CustomCommand, Key, Value},
    util::redis_keyslot,
};
use futures::future::join_all;
use tokio::time::timeout;
use trivium_codec::{Row, RowKey};
use trivium_store::{
    CacheEntry, CacheEpoch, CacheError, CacheServer, FenceId, FencePage, LeaseToken, RowCache,
};

use crate::{
    Error, Options,
    admission::Admission,
    client::Connections,
    entry, failure, keys,
    reads::Failed,
    scripts::{LastScripts, Script, Scripts},
    sweep::Sweep,
    traced,
};

/// Keys in one MGET; more go in several, side by side. Bounds what the server does in one go.
const LOOK_KEYS_MAX: usize = 1_000;
/// Keys in one script.
const STEP_KEYS_MAX: usize = 250;

/// A cache in Valkey. Cheap to clone.
#[derive(Clone)]
pub struct ValkeyCache(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) options: Options,
    pub(crate) connections: Connections,
    pub(crate) scripts: LastScripts,
    pub(crate) sweep: Sweep,
    pub(crate) admission: Admission,
}

impl fmt::Debug for ValkeyCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ValkeyCache").field("options", &self.0.options).finish_non_exhaustive()
    }
}

impl ValkeyCache {
    /// Begins to connect, and goes on in the background: until it has, every step is refused.
    /// Needs a Tokio runtime.
    pub fn connect(options: Options) -> Result<Self, Error> {
        let connections = Connections::open(&options)?;
        Ok(Self(Arc::new(Inner {
            options,
            connections,
            scripts: LastScripts::default(),
            sweep: Sweep::default(),
            admission: Admission::default(),
        })))
    }

    /// Waits for the connection, at most so long; whether it is there.
    pub async fn wait(&self, limit: Duration) -> bool {
        let pool = self.0.connections.pool();
        matches!(tokio::time::timeout(limit, pool.wait_for_connect()).await, Ok(Ok(())))
    }

    /// Why there is no connection, as far as is known.
    pub fn problem(&self) -> Option<String> {
        self.0.connections.problem()
    }

    /// How it was made.
    pub fn options(&self) -> &Options {
        &self.0.options
    }
}

/// One command's share of a call: places in the call, and its keys with the marker's before them.
struct Share {
    places: Vec<usize>,
    names: Vec<Key>,
}

impl Inner {
    fn shares<'k>(
        &self,
        epoch: CacheEpoch,
        all: impl Iterator<Item = &'k RowKey> + Clone,
        limit: usize,
    ) -> Vec<Share> {
        let names = keys::rows(epoch, all.clone());
        let share = |(bucket, places): (u16, Vec<usize>)| {
            let mut own = Vec::with_capacity(places.len() + 1);
            own.push(Key::from(keys::marker(epoch, bucket)));
            own.extend(places.iter().filter_map(|&place| names.get(place)).cloned().map(Key::from));
            Share { places, names: own }
        };
        keys::groups(all, self.options.cluster, limit).into_iter().map(share).collect()
    }

    /// Reads keys of a single server, each way: see [`reads`](crate::reads).
    async fn look_alone(
        &self,
        epoch: CacheEpoch,
        keys: &[RowKey],
    ) -> Result<Vec<Result<CacheEntry, CacheError>>, CacheError> {
        let scripts = self.scripts_of(epoch);
        if let Some(readers) = self.connections.readers()
            && let Some(mut reader) = readers.take()
        {
            let looking = reader.look(epoch, &scripts.step.name, keys);
            match timeout(self.options.command_timeout(), looking).await {
                Ok(Ok(entries)) => {
                    readers.give(reader);
                    return Ok(entries);
                }
                Ok(Err(Failed::NotMarked)) => {
                    readers.give(reader);
                    return Err(CacheError::NotMarked);
                }
                Ok(Err(Failed::Answer(error))) => return Err(error),
                Ok(Err(Failed::Connection)) => readers.forget(),
                Err(_) => {
                    readers.forget();
                    return Err(failure::no_answer());
                }
            }
        }
        let names = keys::marked_rows(epoch, keys).into_iter().map(Key::from).collect();
        // Large, and seldom needed.
        let looked = Box::pin(self.look_at(epoch, names)).await?;
        let rest = std::iter::repeat_with(|| Err(failure::odd_answer()));
        Ok(looked.chain(rest).take(keys.len()).collect())
    }

    /// Reads keys, the marker's before them, and makes sure that the server which answered knows the
    /// epoch's scripts, by a second command sent together with the first. Asking *after* reading is
    /// what counts: a server that knows them then has known them all the time, for only marking makes
    /// them known. Were a connection made in between, two servers may have answered.
    async fn look_at(
        &self,
        epoch: CacheEpoch,
        names: Vec<Key>,
    ) -> Result<impl Iterator<Item = Result<CacheEntry, CacheError>> + use<>, CacheError> {
        let scripts = self.scripts_of(epoch);
        let client = if self.options.cluster {
            let marker = names.first().cloned().unwrap_or_else(|| Key::from_static(b""));
            self.connections.to_slot_of(marker.as_bytes())
        } else {
            self.connections.next()
        };
        let made = self.connections.made();
        let read = self.read_and_ask(&client, names, &scripts).await?;
        self.still(made)?;
        let Value::Array(values) = read else { return Err(failure::odd_answer()) };
        let mut values = values.into_iter().map(bytes_of);
        match values.next() {
            Some(Ok(Some(marker))) if marker[..] == epoch.marker.to_le_bytes() => {}
            None => return Err(failure::odd_answer()),
            Some(_) => return Err(CacheError::NotMarked),
        }
        Ok(values.map(|value| entry::parse(value?)))
    }

    /// Whether no connection has been made since. Else what was read may have come on another one than
    /// was asked, or will be, and from another server, where the address leads to several in turn.
    fn still(&self, made: u64) -> Result<(), CacheError> {
        if self.connections.made() == made {
            return Ok(());
        }
        Err(CacheError::Unknown("a connection was made anew meanwhile".to_owned()))
    }

    async fn read_and_ask(
        &self,
        client: &WithOptions<Client>,
        names: Vec<Key>,
        scripts: &Scripts,
    ) -> Result<Value, CacheError> {
        // `futures::join!` polls in this order, so they are sent in it, on one connection; neither is
        // ever sent again or redirected.
        let read = client.mget::<Value, _>(names);
        let (read, known) = futures::join!(read, self.ask_scripts(client, scripts));
        let read = read.map_err(|error| failure::sort(&error))?;
        known?;
        Ok(read)
    }

    async fn ask_scripts(
        &self,
        client: &WithOptions<Client>,
        scripts: &Scripts,
    ) -> Result<(), CacheError> {
        let exists = CustomCommand::new_static("SCRIPT", ClusterHash::FirstKey, false);
        let arguments = vec!["EXISTS".to_owned(), scripts.step.name.clone()];
        let known = client.custom::<Vec<i64>, _>(exists, arguments).await;
        match known.map_err(|error| failure::sort(&error))?[..] {
            [1] => Ok(()),
            _ => Err(CacheError::NotMarked),
        }
    }

    pub(crate) fn scripts_of(&self, epoch: CacheEpoch) -> Arc<Scripts> {
        self.scripts.get(epoch)
    }

    /// Runs a script on a share's keys; one answer for each key.
    async fn run(
        &self,
        script: &Script,
        names: Vec<Key>,
        arguments: Vec<Value>,
    ) -> Result<Vec<Value>, CacheError> {
        let count = names.len() - 1;
        let slot = names.first().map_or(0, |marker| redis_keyslot(marker.as_bytes()));
        // Not the client's own `evalsha`: it takes scripts for commands that may block, and waits for
        // its turn on a second connection, without a limit.
        let command = CustomCommand::new_static("EVALSHA", ClusterHash::Custom(slot), false);
        let mut all = Vec::with_capacity(2 + names.len() + arguments.len());
        all.extend([Value::from(script.name.clone()), number(names.len() as u64)]);
        all.extend(names.into_iter().map(Value::from));
        all.extend(arguments);
        let answer = self.connections.next().custom::<Value, _>(command, all).await;
        match answer.map_err(|error| failure::sort(&error))? {
            Value::Array(answers) if answers.len() == count => Ok(answers),
            _ => Err(failure::odd_answer()),
        }
    }

    /// Runs a step of each share side by side; answers in the order of the call. `start` are the
    /// arguments after the marker, `of` those of one key.
    async fn steps<T>(
        &self,
        epoch: CacheEpoch,
        all: &[RowKey],
        kind: Step,
        of: impl Fn(usize, &mut Vec<Value>),
        read: impl Fn(Value) -> Result<T, CacheError>,
    ) -> Vec<Result<T, CacheError>> {
        if let Err(error) = self.admission.check() {
            return all.iter().map(|_| Err(error.clone())).collect();
        }
        let scripts = self.scripts_of(epoch);
        let script = if kind == Step::Unfence { &scripts.unfence } else { &scripts.step };
        let shares = self.shares(epoch, all.iter(), STEP_KEYS_MAX);
        let runs = shares.into_iter().map(|Share { places, names }| {
            let mut arguments = vec![bytes(&epoch.marker.to_le_bytes())];
            kind.arguments(&self.options, &mut arguments);
            for &place in &places {
                of(place, &mut arguments);
            }
            async move {
                let span = traced::begin("EVALSHA", kind.name(), places.len());
                (places, traced::end(span, self.run(script, names, arguments).await))
            }
        });
        gathered(all.len(), join_all(runs).await, read)
    }
}

/// A share's places in the call, and the answers to its keys.
type Answered<V> = (Vec<usize>, Result<Vec<V>, CacheError>);

/// The answers of all shares, in the order of the call. A key without an answer has failed.
fn gathered<V, T>(
    count: usize,
    shares: Vec<Answered<V>>,
    read: impl Fn(V) -> Result<T, CacheError>,
) -> Vec<Result<T, CacheError>> {
    let mut results: Vec<Option<Result<T, CacheError>>> = Vec::with_capacity(count);
    results.resize_with(count, || None);
    for (places, answers) in shares {
        match answers {
            Ok(answers) => {
                for (place, answer) in places.into_iter().zip(answers) {
                    results[place] = Some(read(answer));
                }
            }
            Err(error) => {
                for place in places {
                    results[place] = Some(Err(error.clone()));
                }
            }
        }
    }
    let answer = |result: Option<_>| result.unwrap_or_else(|| Err(failure::odd_answer()));
    results.into_iter().map(answer).collect()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Lease,
    Fill,
    Fence,
    Unfence,
}

impl Step {
    const fn name(self) -> &'static str {
        match self {
            Self::Lease => "lease",
            Self::Fill => "fill",
            Self::Fence => "fence",
            Self::Unfence => "unfence",
        }
    }

    /// What stands between the marker and the keys' own arguments: see the scripts.
    fn arguments(self, options: &Options, arguments: &mut Vec<Value>) {
        let (word, limit) = match self {
            Self::Lease => ("lease", options.lease_ttl_ms),
            Self::Fill => ("fill", 0),
            Self::Fence => ("fence", u64::from(options.fence_writes_max)),
            Self::Unfence => return,
        };
        arguments.extend([Value::from_static_str(word), number(limit), Value::from_static_str("")]);
    }
}

fn bytes(bytes: &[u8]) -> Value {
    Value::Bytes(Bytes::copy_from_slice(bytes))
}
fn number(number: u64) -> Value {
    Value::Integer(i64::try_from(number).unwrap_or(i64::MAX))
}

fn bytes_of(value: Value) -> Result<Option<Bytes>, CacheError> {
    match value {
        Value::Null => Ok(None),
        Value::Bytes(bytes) => Ok(Some(bytes)),
        Value::String(text) => Ok(Some(text.into_inner())),
        _ => Err(failure::odd_answer()),
    }
}

fn is_one(value: Value) -> Result<bool, CacheError> {
    match value {
        Value::Integer(1) => Ok(true),
        Value::Integer(0) => Ok(false),
        _ => Err(failure::odd_answer()),
    }
}

#[async_trait]
impl RowCache for ValkeyCache {
    async fn look(
        &self,
        epoch: CacheEpoch,
        keys: &[RowKey],
    ) -> Vec<Result<CacheEntry, CacheError>> {
        let inner = &*self.0;
        let refused = |error: CacheError| keys.iter().map(|_| Err(error.clone())).collect();
        if let Err(error) = inner.admission.check() {
            return refused(error);
        }
        if !inner.options.cluster {
            // Answers come in the order of the call; nearly always of one command.
            let looks = keys.chunks(LOOK_KEYS_MAX).map(|keys| async move {
                let span = traced::begin("MGET", "", keys.len());
                let looked = traced::end(span, inner.look_alone(epoch, keys).await);
                looked.unwrap_or_else(|error| keys.iter().map(|_| Err(error.clone())).collect())
            });
            let mut looks: Vec<_> = looks.collect();
            return match looks.pop() {
                Some(only) if looks.is_empty() => only.await,
                last => join_all(looks.into_iter().chain(last)).await.concat(),
            };
        }
        let shares = inner.shares(epoch, keys.iter(), LOOK_KEYS_MAX);
        let looks = shares.into_iter().map(|Share { places, names }| async move {
            let span = traced::begin("MGET", "", places.len());
            let entries = traced::end(span, inner.look_at(epoch, names).await);
            (places, entries.map(Iterator::collect))
        });
        gathered(keys.len(), join_all(looks).await, |entry| entry)
    }

    async fn lease(
        &self,
        epoch: CacheEpoch,
        leases: &[(RowKey, LeaseToken)],
    ) -> Vec<Result<CacheEntry, CacheError>> {
        let all: Vec<RowKey> = leases.iter().map(|(key, _)| key.clone()).collect();
        let of = |place: usize, arguments: &mut Vec<Value>| {
            arguments.push(bytes(&leases[place].1.0.to_le_bytes()));
        };
        let read = |value: Value| match value {
            Value::Bytes(found) => entry::parse(Some(found)),
            Value::String(found) => entry::parse(Some(found.into_inner())),
            _ => Err(failure::odd_answer()),
        };
        self.0.steps(epoch, &all, Step::Lease, of, read).await
    }

    async fn fill(
        &self,
        epoch: CacheEpoch,
        rows: &[(RowKey, LeaseToken, Row)],
    ) -> Vec<Result<bool, CacheError>> {
        let all: Vec<RowKey> = rows.iter().map(|(key, ..)| key.clone()).collect();
        let of = |place: usize, arguments: &mut Vec<Value>| {
            let (_, token, row) = &rows[place];
            arguments.push(bytes(&token.0.to_le_bytes()));
            arguments.push(Value::Bytes(row.as_bytes().clone()));
            arguments.push(Value::Integer(self.0.options.value_ttl_ms()));
        };
        self.0.steps(epoch, &all, Step::Fill, of, is_one).await
    }

    async fn fence(
        &self,
        epoch: CacheEpoch,
        fences: &[(RowKey, FenceId)],
    ) -> Vec<Result<(), CacheError>> {
        let all: Vec<RowKey> = fences.iter().map(|(key, _)| key.clone()).collect();
        let of = |place: usize, arguments: &mut Vec<Value>| {
            let (key, fence) = &fences[place];
            arguments.push(Value::Bytes(entry::fence_bytes(*fence, key.is_entity())));
        };
        let read = |value: Value| match is_one(value)? {
            true => Ok(()),
            false => Err(CacheError::Refused {
                message: "the key's fence holds as many writes as it may".to_owned(),
                is_full: true,
            }),
        };
        self.0.steps(epoch, &all, Step::Fence, of, read).await
    }

    async fn unfence(
        &self,
        epoch: CacheEpoch,
        fences: &[(RowKey, FenceId, Option<Row>)],
    ) -> Vec<Result<bool, CacheError>> {
        let all: Vec<RowKey> = fences.iter().map(|(key, ..)| key.clone()).collect();
        let of = |place: usize, arguments: &mut Vec<Value>| {
            let (_, fence, newest) = &fences[place];
            let newest = newest.as_ref().map_or_else(Bytes::new, |row| row.as_bytes().clone());
            arguments.push(Value::Bytes(entry::write_bytes(*fence)));
            arguments.push(Value::Bytes(newest));
            arguments.push(Value::Integer(self.0.options.value_ttl_ms()));
        };
        self.0.steps(epoch, &all, Step::Unfence, of, is_one).await
    }

    async fn mark(&self, epoch: CacheEpoch) -> Result<(), CacheError> {
        self.0.mark_all(epoch).await
    }
    fn admit(&self, servers: &[String]) {
        self.0.admission.admit(servers);
    }
    async fn servers(&self) -> Result<Vec<CacheServer>, CacheError> {
        let servers = self.0.ask_servers().await?;
        self.0.admission.see(servers.iter().map(|server| server.run_id.clone()).collect());
        Ok(servers)
    }
    async fn fences(&self, epoch: CacheEpoch, cursor: u64) -> Result<FencePage, CacheError> {
        self.list_fences(epoch, cursor).await
    }
    async fn sweep(&self, before: u64) -> Result<bool, CacheError> {
        self.0.sweep_some(before).await
    }
}
