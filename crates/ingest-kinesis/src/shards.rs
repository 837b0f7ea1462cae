//! A stream's shards, and which of them can be read.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use aws_sdk_kinesis::{Client, types::Shard};
use trivium_ingest::port::Partition;
use trivium_model::Timestamp;

use crate::{
    client::told,
    leases::{Checkpoint, Lease},
};

/// A stream as Kinesis lists it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Listing {
    /// Each shard with those that it came from.
    pub shards: Vec<(String, Vec<String>)>,
    /// How long messages are kept.
    pub retention: Duration,
}

/// What a stream has now; an error says why nobody knows.
pub(crate) async fn list(client: &Client, stream: &str) -> Result<Listing, String> {
    let summary = client.describe_stream_summary().stream_name(stream).send().await;
    let summary = summary.map_err(|error| told(&error))?;
    let hours = summary
        .stream_description_summary
        .map_or(24, |summary| summary.retention_period_hours)
        .max(1);
    let retention = Duration::from_secs(u64::try_from(hours).unwrap_or(24) * 3_600);
    let mut shards = Vec::new();
    let mut token: Option<String> = None;
    loop {
        // A token stands in the place of the stream's name.
        let request = match token {
            None => client.list_shards().stream_name(stream),
            Some(token) => client.list_shards().next_token(token),
        };
        let answer = request.send().await.map_err(|error| told(&error))?;
        shards.extend(answer.shards.unwrap_or_default().into_iter().map(lineage));
        token = answer.next_token;
        if token.is_none() {
            // Taken at its word, it would end every lease.
            let none = || "a listing without shards".to_owned();
            return if shards.is_empty() { Err(none()) } else { Ok(Listing { shards, retention }) };
        }
    }
}

fn lineage(shard: Shard) -> (String, Vec<String>) {
    let parents = [shard.parent_shard_id, shard.adjacent_parent_shard_id];
    (shard.shard_id, parents.into_iter().flatten().collect())
}

/// What is to be done about a stream's leases.
#[derive(Debug, Default)]
pub(crate) struct Due {
    /// Leases to make: of shards all of whose parents have been read.
    pub made: Vec<Lease>,
    /// Leases of shards that are gone with what was unread in them.
    pub gone: Vec<Lease>,
    /// Leases that say nothing any more: their shards have been read and are gone.
    pub done: Vec<Partition>,
}

/// Compares a stream's shards with its leases. A parent that has neither a lease nor a place in the
/// listing expired before anybody here read it, and is waited for by nobody. Leases have to be made
/// before those that are done are removed: a child begins where its parents' leases end.
pub(crate) fn due(stream: &str, listing: &Listing, leases: &[Lease], now: Timestamp) -> Due {
    let by_shard: HashMap<&str, &Lease> =
        leases.iter().map(|lease| (&*lease.partition.name, lease)).collect();
    let listed: HashSet<&str> = listing.shards.iter().map(|(shard, _)| shard.as_str()).collect();
    let mut due = Due::default();
    for (shard, parents) in &listing.shards {
        if by_shard.contains_key(shard.as_str()) {
            continue;
        }
        let known: Vec<&String> = parents
            .iter()
            .filter(|parent| {
                by_shard.contains_key(parent.as_str()) || listed.contains(parent.as_str())
            })
            .collect();
        let before: Option<Vec<&Lease>> = known
            .iter()
            .map(|parent| by_shard.get(parent.as_str()).copied().filter(|lease| lease.ended))
            .collect();
        // A parent is read first.
        let Some(before) = before else { continue };
        let last = before.iter().map(|lease| lease.checkpoint.position).max();
        // Without parents: as old as what the stream still has.
        let kept = i64::try_from(listing.retention.as_micros()).unwrap_or(i64::MAX);
        let oldest = Timestamp(now.0.saturating_sub(kept));
        let read_until = before.iter().map(|lease| lease.checkpoint.read_until).min();
        let position = last.unwrap_or_else(|| u64::try_from(now.0).unwrap_or_default());
        due.made.push(Lease {
            partition: Partition { topic: stream.into(), name: shard.as_str().into() },
            owner: None,
            epoch: 0,
            renewals: 0,
            checkpoint: Checkpoint {
                sequence: None,
                position,
                read_until: read_until.unwrap_or(oldest),
            },
            parents: parents.clone(),
            ended: false,
        });
    }
    for lease in leases.iter().filter(|lease| !listed.contains(&*lease.partition.name)) {
        if lease.ended {
            due.done.push(lease.partition.clone());
        } else {
            due.gone.push(lease.clone());
        }
    }
    due
}
