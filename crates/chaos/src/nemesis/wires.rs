//! What lies between nodes and their stores: cut, slow, silent; and a DynamoDB that refuses.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use anyhow::Result;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use trivium_testkit::{Proxy, Verdict};

use super::{Fault, Lane};
use crate::world::Place;

pub(super) const FAULTS: &[Fault] = &[
    ("valkey's wire: cut", |lane| {
        for _ in 0..lane.random.random_range(1..6) {
            for node in lane.some_nodes() {
                lane.world.places[node].valkey.cut();
            }
            lane.pause(20..600);
        }
        Ok(())
    }),
    ("valkey's wire: lost answers", |lane| spoil(lane, valkey, 15, |_| Verdict::LoseAnswer)),
    ("valkey's wire: late", |lane| {
        spoil(lane, valkey, 25, |random| {
            Verdict::PassLate(Duration::from_millis(random.random_range(20..900)))
        })
    }),
    ("valkey's wire: one node is partitioned off", |lane| {
        spoil(lane, valkey, 100, |_| Verdict::Silence(Duration::from_millis(700)))
    }),
    ("dynamodb: throttled", |lane| {
        spoil(lane, dynamodb, 40, |random| {
            let code = match random.random_range(0..3) {
                0 => "ProvisionedThroughputExceededException",
                1 => "ThrottlingException",
                _ => "RequestLimitExceeded",
            };
            Verdict::Answer(400, error(code))
        })
    }),
    ("dynamodb: 500", |lane| {
        spoil(lane, dynamodb, 30, |random| match random.random_range(0..2) {
            0 => Verdict::Answer(500, error("InternalServerError")),
            _ => Verdict::Answer(503, error("ServiceUnavailable")),
        })
    }),
    ("dynamodb: silent", |lane| {
        spoil(lane, dynamodb, 20, |_| Verdict::Silence(Duration::from_millis(1_500)))
    }),
    ("dynamodb: lost answers", |lane| spoil(lane, dynamodb, 20, |_| Verdict::LoseAnswer)),
    ("opensearch: 429, 500, 503", |lane| {
        spoil(lane, opensearch, 30, |random| {
            let status = [429, 500, 503][random.random_range(0..3)];
            Verdict::Answer(status, NO_INDEX.to_owned())
        })
    }),
    ("opensearch: silent", |lane| {
        spoil(lane, opensearch, 20, |_| Verdict::Silence(Duration::from_millis(1_500)))
    }),
    ("opensearch: lost answers", |lane| spoil(lane, opensearch, 25, |_| Verdict::LoseAnswer)),
    ("opensearch: late", |lane| {
        spoil(lane, opensearch, 20, |random| {
            Verdict::PassLate(Duration::from_millis(random.random_range(50..3_000)))
        })
    }),
    ("opensearch: cut", |lane| {
        for _ in 0..lane.random.random_range(1..6) {
            for node in lane.some_nodes() {
                if let Some(opensearch) = &lane.world.places[node].opensearch {
                    opensearch.cut();
                }
            }
            lane.pause(20..600);
        }
        Ok(())
    }),
    // Up to well beyond the attempt's timeout (0.8 s) and the write window (2.5 s).
    ("dynamodb: late", |lane| {
        spoil(lane, dynamodb, 15, |random| {
            Verdict::PassLate(Duration::from_millis(random.random_range(50..4_000)))
        })
    }),
];

/// What another server's answer in its place is like.
const NO_INDEX: &str = r#"{"error":{"type":"injected","reason":"injected"},"status":503}"#;

fn error(code: &str) -> String {
    format!(r#"{{"__type":"com.amazonaws.dynamodb.v20120810#{code}","message":"injected"}}"#)
}

fn valkey(place: &Place) -> Option<&Proxy> {
    Some(&place.valkey)
}

fn dynamodb(place: &Place) -> Option<&Proxy> {
    Some(&place.dynamodb)
}

fn opensearch(place: &Place) -> Option<&Proxy> {
    place.opensearch.as_ref()
}

/// For a while so many of a hundred requests, on this wire of some nodes, meet that.
fn spoil(
    lane: &mut Lane,
    wire: fn(&Place) -> Option<&Proxy>,
    percent: u64,
    verdict: fn(&mut StdRng) -> Verdict,
) -> Result<()> {
    let mut nodes = lane.some_nodes();
    if percent == 100 {
        nodes.truncate(1);
    }
    for node in &nodes {
        let (seed, turn) = (lane.random.random::<u64>(), AtomicU64::new(0));
        // Without an index there is no such wire.
        let Some(wire) = wire(&lane.world.places[*node]) else { return Ok(()) };
        wire.judge(move |_, _| {
            // Connections are judged side by side: each turn has its own chance.
            let turn = turn.fetch_add(1, Relaxed);
            let mut random = StdRng::seed_from_u64(seed.wrapping_add(turn));
            if random.random_range(0..100) < percent { verdict(&mut random) } else { Verdict::Pass }
        });
    }
    lane.pause(800..4_000);
    for node in nodes {
        if let Some(wire) = wire(&lane.world.places[node]) {
            wire.judge(|_, _| Verdict::Pass);
        }
    }
    Ok(())
}
