//! Serving nodes die and stall. One at a time: the others have to go on.

use anyhow::Result;
use rand::RngExt as _;

use super::{Fault, Lane};

pub(super) const FAULTS: &[Fault] =
    &[("node: kill -9", kill), ("node: SIGSTOP", stop), ("node: kill -9", kill)];

fn kill(lane: &mut Lane) -> Result<()> {
    let node = lane.random.random_range(0..lane.world.places.len());
    lane.world.places[node].kill()?;
    lane.pause(100..2_500);
    lane.world.start_node(&lane.world.places[node])
}

/// Beyond every lease, timeout and write window (2.5 s), and then it goes on where it was.
fn stop(lane: &mut Lane) -> Result<()> {
    let node = lane.random.random_range(0..lane.world.places.len());
    lane.world.places[node].signal("STOP")?;
    lane.pause(3_000..5_500);
    lane.world.places[node].signal("CONT")
}
