//! After all faults: every node serves reads and writes of every row again, and all tell the same.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};

use crate::{
    clients::{Shared, read_both, read_rows, write_rows},
    history::{Outcome, What},
    rows::{HOT, PERSON, ROWS, TWIN, TWINS, VECTOR, VECTORS},
    world::World,
};

/// Long enough for a busy machine; nothing is said about speed.
const PATIENCE: Duration = Duration::from_secs(180);
/// Few enough that a busy DynamoDB Local answers all of them within a node's patience.
const BATCH: usize = 40;
/// How this caller is called in the history.
const SETTLER: u16 = 999;

/// Puts every row and twin once, so that there is something to read. Through one node.
pub async fn fill(world: &World, shared: &Shared) -> Result<()> {
    for rows in [0..ROWS, TWIN..TWIN + TWINS] {
        write_all(world, shared, 0, &rows.collect::<Vec<_>>()).await?;
    }
    write_all(world, shared, 0, &vectors(world)).await?;
    Ok(())
}

/// The rows with embeddings that there are.
fn vectors(world: &World) -> Vec<u32> {
    if world.has_index() { (VECTOR..VECTOR + VECTORS).collect() } else { Vec::new() }
}

/// Waits until all nodes read the cache, writes every row through every node, and reads every row
/// through every node.
pub async fn settle(world: &World, shared: &Shared) -> Result<()> {
    let began = Instant::now();
    while !world.places.iter().all(|place| place.uses_cache() == Some(true)) {
        if began.elapsed() > PATIENCE {
            bail!("after all faults the cache is not in use again");
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let rows: Vec<u32> = (0..ROWS).collect();
    let twins: Vec<u32> = (TWIN..TWIN + TWINS).collect();
    let mut last = HashMap::new();
    for node in 0..world.places.len() {
        last.extend(write_all(world, shared, node, &rows).await?);
        last.extend(write_all(world, shared, node, &twins).await?);
        last.extend(write_all(world, shared, node, &vectors(world)).await?);
    }
    for node in 0..world.places.len() {
        // Twice: from the table, then from the cache, as far as it goes.
        for round in 0..2 {
            let some = if round == 0 { &rows[..] } else { &rows[..HOT as usize * 10] };
            let mut read = read_all(world, shared, node, some).await?;
            read.extend(read_all(world, shared, node, &vectors(world)).await?);
            for (row, seen) in read {
                let (rev, number) = last.get(&row).copied().unwrap_or_default();
                if seen != (What::Saw { rev, number, page: number }) {
                    bail!("row {row} is {seen:?} on node {node}; last written: {rev}, {number}");
                }
            }
        }
        // Together with their twins: row by row, then as one.
        for _ in 0..2 {
            let began = Instant::now();
            for rows in rows[..TWINS as usize].chunks(BATCH) {
                let mut read = read_both(world, shared, SETTLER, node, rows).await;
                while read.is_empty() || read.iter().any(|(_, seen)| *seen == What::Nothing) {
                    if began.elapsed() > PATIENCE {
                        bail!("the service cannot be read through node {node}");
                    }
                    read = read_both(world, shared, SETTLER, node, rows).await;
                }
                for (row, seen) in read {
                    let (rev, number) = last.get(&row).copied().unwrap_or_default();
                    if seen != (What::Saw { rev, number, page: number }) {
                        bail!("the service says {seen:?} of row {row} on node {node}");
                    }
                }
            }
        }
        // Whatever there ever was of persons: the check knows what may be left.
        let of_persons: Vec<u32> =
            shared.history.rows().into_iter().filter(|row| *row >= PERSON).collect();
        read_all(world, shared, node, &of_persons).await?;
    }
    Ok(())
}

/// The rev and the number of every row, each applied once at least.
async fn write_all(
    world: &World,
    shared: &Shared,
    node: usize,
    rows: &[u32],
) -> Result<HashMap<u32, (u64, i64)>> {
    let began = Instant::now();
    let mut applied = HashMap::new();
    let mut left = rows.to_vec();
    while !left.is_empty() {
        let batch: Vec<u32> = left.split_off(left.len().saturating_sub(BATCH));
        let told = write_rows(world, shared, SETTLER, node, &batch).await;
        for (row, what) in batch.into_iter().zip(told) {
            match what {
                What::Write { put: Some(number), outcome: Outcome::Applied(rev), .. } => {
                    applied.insert(row, (rev, number));
                }
                _ => left.push(row),
            }
        }
        if began.elapsed() > PATIENCE {
            bail!("{} rows cannot be written through node {node}", left.len());
        }
    }
    Ok(applied)
}

async fn read_all(
    world: &World,
    shared: &Shared,
    node: usize,
    rows: &[u32],
) -> Result<Vec<(u32, What)>> {
    let began = Instant::now();
    let mut read = Vec::new();
    let mut left = rows.to_vec();
    while !left.is_empty() {
        let batch: Vec<u32> = left.split_off(left.len().saturating_sub(BATCH));
        let seen = read_rows(world, shared, SETTLER, node, &batch, None).await;
        for (row, what) in batch.into_iter().zip(seen) {
            if what == What::Nothing { left.push(row) } else { read.push((row, what)) }
        }
        if began.elapsed() > PATIENCE {
            bail!("{} rows cannot be read through node {node}", left.len());
        }
    }
    Ok(read)
}
