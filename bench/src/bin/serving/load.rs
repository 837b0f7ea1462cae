//! What is asked of each contestant.

use std::{
    collections::HashMap,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Result, bail, ensure};
use bytes::Bytes;
use trivium_bench_serving::{
    figures::Sample,
    load::{self, Protocol, Requests},
    wide::{self, user},
};

use crate::{ROWS, child::Server};

/// Different requests of each size, used in turn.
const REQUESTS: usize = 64;

#[derive(Debug, Clone, Copy)]
pub(crate) struct Case {
    pub(crate) protocol: Protocol,
    pub(crate) entities: usize,
    pub(crate) connections: usize,
}

impl Case {
    pub(crate) fn name(&self) -> String {
        let protocol = self.protocol.word();
        format!("batchget {}x{} c{} {protocol}", self.entities, wide::FEATURES, self.connections)
    }
}

fn users(entities: usize, number: usize) -> impl Iterator<Item = String> {
    // Scattered over the rows, the same in every run.
    (0..entities).map(move |index| user((number * 7_919 + index * 104_729) % ROWS))
}

/// What is sent to a server, ours or the one that only returns bytes.
pub(crate) fn requests(
    server: &Server,
    protocol: Protocol,
    entities: usize,
    precomputed: bool,
) -> Requests {
    let path = if precomputed { format!("/{entities}") } else { load::REST_GET.to_owned() };
    let body = |number| -> Bytes {
        match protocol {
            Protocol::Rest => load::rest_get(&path, users(entities, number)),
            _ => load::grpc_get(users(entities, number)),
        }
    };
    let address = if protocol == Protocol::Rest { &server.http } else { &server.grpc };
    let method = if precomputed {
        format!("/bench.Precomputed/{entities}")
    } else {
        load::BATCH_GET.to_owned()
    };
    let bodies = Arc::new((0..REQUESTS).map(body).collect());
    Requests { protocol, address: address.clone(), method, bodies }
}

/// One turn against a server.
pub(crate) async fn run(
    server: &Server,
    case: &Case,
    turn: Duration,
    precomputed: bool,
) -> Result<Sample> {
    let requests = requests(server, case.protocol, case.entities, precomputed);
    load::drive(&requests, case.connections, turn, || server.process.cpu_seconds()).await
}

/// The bare engine's multi-get of as many rows, from as many threads as there are connections, at
/// most one a processor.
pub(crate) fn run_engine(engine: &Engine, case: &Case, turn: Duration) -> Result<Sample> {
    let threads = case.connections.min(std::thread::available_parallelism()?.get());
    let end = Instant::now() + turn;
    let start = Instant::now();
    let workers: Vec<_> = (0..threads)
        .map(|thread| {
            let (engine, entities) = (engine.clone(), case.entities);
            std::thread::spawn(move || engine.work(entities, thread, end))
        })
        .collect();
    let mut total = Sample::default();
    for worker in workers {
        match worker.join() {
            Ok(sample) => total.add(sample?),
            Err(_) => bail!("a worker panicked"),
        }
    }
    total.seconds = start.elapsed().as_secs_f64();
    Ok(total)
}

/// The bare engine with the same rows.
#[derive(Clone)]
pub(crate) struct Engine {
    rows: fjall::Keyspace,
    keys: Arc<HashMap<String, Vec<u8>>>,
    _database: fjall::Database,
}

impl Engine {
    pub(crate) fn open(folder: &Path) -> Result<Self> {
        let database = fjall::Database::builder(folder.join("engine")).open()?;
        let rows = database.keyspace("rows", fjall::KeyspaceCreateOptions::default)?;
        let mut keys = HashMap::new();
        for (index, (key, row)) in wide::encoded_rows(ROWS)?.into_iter().enumerate() {
            rows.insert(key.as_bytes(), row.as_bytes().as_ref())?;
            keys.insert(user(index), key.as_bytes().to_vec());
        }
        Ok(Self { rows, keys: Arc::new(keys), _database: database })
    }

    fn work(&self, entities: usize, thread: usize, end: Instant) -> Result<Sample> {
        let requests: Vec<Vec<&Vec<u8>>> = (0..REQUESTS)
            .map(|number| users(entities, number).filter_map(|user| self.keys.get(&user)).collect())
            .collect();
        let mut sample = Sample::default();
        let mut number = thread;
        while Instant::now() < end {
            let start = Instant::now();
            let mut found = 0;
            for key in &requests[number % REQUESTS] {
                found += usize::from(self.rows.get(key)?.is_some());
            }
            ensure!(found == entities, "a row is missing");
            sample.latency.record(start.elapsed().as_nanos() as u64)?;
            sample.requests += 1;
            number += 1;
        }
        Ok(sample)
    }
}
