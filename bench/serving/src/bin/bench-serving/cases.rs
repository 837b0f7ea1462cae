//! What is asked, of whom.

use std::{sync::Arc, time::Duration};

use anyhow::Result;
use bytes::Bytes;
use rand::{RngExt as _, SeedableRng as _, rngs::SmallRng};
use rand_distr::{Distribution as _, Zipf};
use trivium_bench_serving::{
    figures::Sample,
    load::{self, Protocol, Requests},
    wide,
};

use crate::world::{Precomputed, World};

/// Entities of a request.
pub const ENTITIES: [usize; 3] = [1, 10, 100];
/// Connections, one request under way on each.
const CONNECTIONS: [usize; 3] = [1, 8, 32];
/// Different requests of each size, used in turn.
const REQUESTS: usize = 1_000;
/// How much more often the first entities are asked for: what caches are commonly measured with.
const ZIPF_EXPONENT: f64 = 0.99;

/// Which entities are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keys {
    /// All as often as each other.
    Uniform,
    /// Few of them most of the time.
    Zipf,
    /// One in ten has no row: absent rows are not cached, so that these are looked for in the table.
    TenthMissing,
}

/// What a request is.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    pub protocol: Protocol,
    pub keys: Keys,
    pub entities: usize,
    pub connections: usize,
}

impl Shape {
    pub fn name(&self) -> String {
        let keys = match self.keys {
            Keys::Uniform => "",
            Keys::Zipf => " zipf",
            Keys::TenthMissing => " 90% hits",
        };
        let (entities, connections) = (self.entities, self.connections);
        let protocol = self.protocol.word();
        format!("batchget {entities}x{} c{connections} {protocol}{keys}", wide::FEATURES)
    }

    /// The users of each request, the same in every run.
    fn users(&self, rows: usize) -> Vec<Vec<usize>> {
        let mut random = SmallRng::seed_from_u64(7);
        let zipf = Zipf::new(rows as f64, ZIPF_EXPONENT);
        let mut one = || match (self.keys, &zipf) {
            // Ranks are scattered over the rows.
            (Keys::Zipf, Ok(zipf)) => (zipf.sample(&mut random) as usize * 7_919) % rows,
            (Keys::TenthMissing, _) if random.random_range(0..10) == 0 => {
                rows + random.random_range(0..rows)
            }
            _ => random.random_range(0..rows),
        };
        (0..REQUESTS).map(|_| (0..self.entities).map(|_| one()).collect()).collect()
    }
}

/// A case, and what was measured of each contestant.
pub struct Case {
    pub shape: Shape,
    pub ours: Sample,
    pub mget: Sample,
    pub handler: Sample,
}

impl Case {
    pub fn name(&self) -> String {
        self.shape.name()
    }
}

/// How the node is spoken to.
pub const PROTOCOLS: [Protocol; 3] = [Protocol::Rest, Protocol::Grpc, Protocol::Connect];

/// Every case.
pub fn all() -> Vec<Case> {
    let mut cases = Vec::new();
    for keys in [Keys::Uniform, Keys::Zipf] {
        for protocol in PROTOCOLS {
            for entities in ENTITIES {
                for connections in CONNECTIONS {
                    let shape = Shape { protocol, keys, entities, connections };
                    let [ours, mget, handler] = std::array::from_fn(|_| Sample::default());
                    cases.push(Case { shape, ours, mget, handler });
                }
            }
        }
    }
    cases
}

/// Requests to the node.
pub fn node(world: &World, shape: &Shape) -> Requests {
    let body = |users: Vec<usize>| -> Bytes {
        let users = users.into_iter().map(wide::user);
        match shape.protocol {
            Protocol::Rest => load::rest_get(load::REST_GET, users),
            Protocol::Connect => load::connect_get(load::BATCH_GET, users),
            _ => load::grpc_get(users),
        }
    };
    let address = if shape.protocol == Protocol::Grpc { &world.grpc } else { &world.http };
    Requests {
        protocol: shape.protocol,
        address: address.clone(),
        method: load::BATCH_GET.to_owned(),
        bodies: Arc::new(shape.users(world.rows).into_iter().map(body).collect()),
    }
}

/// The same rows, from Valkey itself.
pub fn mget(world: &World, shape: &Shape) -> Requests {
    let body = |users: Vec<usize>| -> Bytes {
        let keys: Vec<String> = users.into_iter().map(raw_key).collect();
        let keys = keys.iter().map(String::as_bytes);
        load::command(std::iter::once("MGET".as_bytes()).chain(keys))
    };
    Requests {
        protocol: Protocol::Resp,
        address: world.valkey.address(),
        method: String::new(),
        bodies: Arc::new(shape.users(world.rows).into_iter().map(body).collect()),
    }
}

/// The key that a row's bytes stand under for the raw client.
pub fn raw_key(row: usize) -> String {
    format!("raw:{}", wide::user(row))
}

/// The same requests, to the handler that answers with bytes.
pub fn handler(precomputed: &Precomputed, shape: &Shape) -> Requests {
    let body = |users: Vec<usize>| {
        let users = users.into_iter().map(wide::user);
        match shape.protocol {
            Protocol::Rest => load::rest_get(&format!("/{}", shape.entities), users),
            Protocol::Connect => load::connect_get(&format!("/message/{}", shape.entities), users),
            _ => load::grpc_get(users),
        }
    };
    let is_grpc = shape.protocol == Protocol::Grpc;
    Requests {
        protocol: shape.protocol,
        address: if is_grpc { precomputed.grpc.clone() } else { precomputed.http.clone() },
        method: format!("/bench.Precomputed/{}", shape.entities),
        bodies: Arc::new(shape.users(precomputed.rows).into_iter().map(body).collect()),
    }
}

/// One turn.
pub async fn drive(
    requests: &Requests,
    shape: &Shape,
    turn: Duration,
    cpu: impl Fn() -> Result<f64>,
) -> Result<Sample> {
    load::drive(requests, shape.connections, turn, cpu).await
}

/// Cases where one row in ten is looked for in the table, ours alone: the table's throughput here is
/// that of DynamoDB Local.
pub async fn with_misses(world: &World, turn: Duration) -> Result<Vec<(Shape, Sample)>> {
    let mut measured = Vec::new();
    for entities in [10, 100] {
        let shape =
            Shape { protocol: Protocol::Grpc, keys: Keys::TenthMissing, entities, connections: 8 };
        let requests = node(world, &shape);
        let sample = drive(&requests, &shape, turn * 4, || world.cpu()).await?;
        measured.push((shape, sample));
    }
    Ok(measured)
}
