//! What goes wrong. Three lanes, so that faults of different parts overlap; a lane goes through its
//! faults in an order that the seed gives, and each fault ends by taking back what it did.

mod nodes;
mod valkey;
mod wires;

use std::{sync::Arc, thread::JoinHandle, time::Duration};

use anyhow::Result;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng, seq::SliceRandom as _};

use crate::world::World;

/// One kind of fault: its name, and what it does.
type Fault = (&'static str, fn(&mut Lane) -> Result<()>);

/// One fault at a time.
pub struct Lane {
    world: Arc<World>,
    random: StdRng,
    /// What a snapshot of Valkey once held.
    snapshots: Vec<Vec<u8>>,
}

const LANES: [(&str, &[Fault]); 3] =
    [("valkey", valkey::FAULTS), ("nodes", nodes::FAULTS), ("wires", wires::FAULTS)];

/// Starts the lanes. They end, healed, when the run does.
pub fn start(world: &Arc<World>, seed: u64) -> Vec<JoinHandle<()>> {
    let lanes = LANES.iter().zip(1_u64..);
    lanes
        .map(|((name, faults), number)| {
            let random = StdRng::seed_from_u64(seed.wrapping_mul(31).wrapping_add(number));
            let world = Arc::clone(world);
            let mut lane = Lane { world, random, snapshots: Vec::new() };
            std::thread::spawn(move || lane.run(name, faults))
        })
        .collect()
}

impl Lane {
    fn run(&mut self, name: &str, faults: &[Fault]) {
        let mut order: Vec<Fault> = Vec::new();
        self.pause(200..1_500);
        while !self.world.is_stopping() {
            if order.is_empty() {
                order = faults.to_vec();
                order.shuffle(&mut self.random);
            }
            let Some((fault, act)) = order.pop() else { return };
            self.world.count(fault);
            self.world.say(fault);
            if let Err(error) = act(self) {
                self.world.problem(format!("{name}'s lane ended: {fault}: {error:#}"));
                return;
            }
            self.world.say(&format!("{fault} is over"));
            self.pause(500..4_000);
        }
    }

    /// Waits for a time between these milliseconds, or for the end of the run.
    fn pause(&mut self, between: std::ops::Range<u64>) {
        let time = Duration::from_millis(self.random.random_range(between));
        self.world.pause(time);
    }

    /// Some of the nodes, one at least.
    fn some_nodes(&mut self) -> Vec<usize> {
        let count = self.world.places.len();
        let mut nodes: Vec<usize> = (0..count).collect();
        nodes.shuffle(&mut self.random);
        nodes.truncate(self.random.random_range(1..=count));
        nodes
    }
}
