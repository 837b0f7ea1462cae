//! What a precomputed service brings: the same 50 features, in five views of ten, read row by row and
//! as one.

use std::{path::Path, sync::Arc, time::Duration};

use anyhow::{Result, ensure};
use trivium_bench_serving::{
    figures::{Lines, Sample},
    load::{self, Protocol, Requests},
    wide::{self, NOW},
};
use trivium_client::Client;
use trivium_codec::{RowEncoder, Schema, ValueRef};
use trivium_model::{KeyValue, Lane, Timestamp};
use trivium_store::{Condition, DoorOp, DoorRequest, DoorRow, Order, WriteDoor, WriteId};

use crate::world::World;

/// Entities that have rows in all parts: fewer than of the wide view, for DynamoDB Local's sake.
const USERS: usize = 2_000;
const ENTITIES: usize = 100;
/// Different requests, used in turn.
const REQUESTS: usize = 200;

/// A number of connections, and what was measured of both.
pub struct Compared {
    connections: usize,
    joined: Sample,
    apart: Sample,
}

/// Loads the parts, then both services in turns.
pub async fn compare(world: &World, turn: Duration, rounds: usize) -> Result<Vec<Compared>> {
    write_parts(world).await?;
    let requests = |service: &str| {
        let body = |number: usize| {
            let users = (0..ENTITIES).map(|index| (number * 7_919 + index * 104_729) % USERS);
            load::grpc_service(service, users.map(wide::user))
        };
        Requests {
            protocol: Protocol::Grpc,
            address: world.grpc.clone(),
            method: load::BATCH_GET.to_owned(),
            bodies: Arc::new((0..REQUESTS).map(body).collect()),
        }
    };
    let (apart, joined) = (requests(wide::APART), requests(wide::JOINED));
    // Rows come into the cache, then into one; and both services answer the same.
    for requests in [&apart, &joined, &joined, &joined] {
        load::send_all(requests).await?;
    }
    let names = |answer: &[u8]| String::from_utf8_lossy(answer).replace("joined", "apart");
    let (one, other) = (load::once(&apart).await?, load::once(&joined).await?);
    ensure!(names(&one) == names(&other), "the services answer differently");
    let mut compared = Vec::new();
    for connections in [1, 8] {
        let (mut as_one, mut by_row) = (Sample::default(), Sample::default());
        for _ in 0..rounds {
            as_one.add(load::drive(&joined, connections, turn, || world.cpu()).await?);
            by_row.add(load::drive(&apart, connections, turn, || world.cpu()).await?);
        }
        compared.push(Compared { connections, joined: as_one, apart: by_row });
    }
    Ok(compared)
}

async fn write_parts(world: &World) -> Result<()> {
    let client = Client::connect(&format!("http://{}", world.grpc)).await?;
    for number in 0..wide::PARTS {
        let name = wide::part(number);
        let path = format!("bench/{name}.v1.json");
        let view = trivium_model::config::parse_view(&path, &wide::small_config(&name))
            .map_err(|errors| anyhow::anyhow!("{errors:?}"))?;
        let schema = Schema::of_view(&view)?;
        let mut encoder = RowEncoder::new(&schema);
        let mut rows = Vec::with_capacity(USERS);
        for user in 0..USERS {
            let value =
                |feature| Some(ValueRef::Float64((user * 50 + number * 10 + feature) as f64));
            let values: Vec<_> = (0..10).map(value).collect();
            rows.push(DoorRow {
                entity: vec![KeyValue::String(wide::user(user))],
                op: DoorOp::PutRow {
                    row: encoder.encode(Lane::Direct, &values)?,
                    schema: schema.fingerprint(),
                },
                order: Order::At { event_time: Timestamp(NOW), sequence: Some(1) },
                condition: Condition::None,
                write_id: WriteId(0),
            });
        }
        let request =
            DoorRequest { view: view.reference(), lane: Lane::Direct, rows, deadline: None };
        for outcome in client.write(request).await? {
            outcome?;
        }
    }
    Ok(())
}

/// The table, and one line a case.
pub fn print(compared: &[Compared], out: &Path) -> Result<()> {
    let mut lines = Lines::append("serving", out)?;
    for Compared { connections, joined, apart } in compared {
        let name = format!("service of {} views {ENTITIES}x50 c{connections} grpc", wide::PARTS);
        println!(
            "{name}: precomputed {:.0}/s, row by row {:.0}/s: {:.2} times; CPU {:.0} and {:.0} µs, p50 {:.0} and {:.0} µs",
            joined.rate(),
            apart.rate(),
            joined.rate() / apart.rate(),
            joined.cpu_micros(),
            apart.cpu_micros(),
            joined.micros(0.5),
            apart.micros(0.5),
        );
        lines.line(&name, "row by row", joined.rate(), apart.rate(), "req/s")?;
    }
    Ok(())
}
