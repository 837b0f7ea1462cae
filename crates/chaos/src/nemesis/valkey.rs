//! Valkey dies, stalls, forgets, remembers too much, fills up, is replaced by a replica.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use rand::RngExt as _;
use trivium_testkit::Valkey;

use super::{Fault, Lane};
use crate::world::MEMORY;

pub(super) const FAULTS: &[Fault] = &[
    ("valkey: kill -9, back empty", restart_empty),
    ("valkey: SIGSTOP", stop),
    ("valkey: back from an old snapshot", restart_from_snapshot),
    ("valkey: FLUSHALL", flush),
    ("valkey: a replica, promoted", promote),
    ("valkey: a replica", replica),
    ("valkey: next to no memory", squeeze),
    ("valkey: another eviction policy", other_policy),
];

fn restart_empty(lane: &mut Lane) -> Result<()> {
    lane.world.note_evictions();
    lane.world.valkey().server().signal("KILL")?;
    lane.pause(0..3_000);
    lane.world.valkey().restart()?;
    Ok(())
}

/// From a moment to well beyond timeouts and leases.
fn stop(lane: &mut Lane) -> Result<()> {
    lane.world.valkey().server().signal("STOP")?;
    lane.pause(50..4_000);
    lane.world.valkey().server().signal("CONT")?;
    Ok(())
}

/// The snapshot is a little old, or of an epoch long gone.
fn restart_from_snapshot(lane: &mut Lane) -> Result<()> {
    lane.world.note_evictions();
    let taken = {
        let valkey = lane.world.valkey();
        let folder = valkey.server().folder().to_owned();
        let (name, dump) = ("chaos.rdb", folder.join("chaos.rdb"));
        valkey.command(&["CONFIG", "SET", "dir", &folder.display().to_string()])?;
        valkey.command(&["CONFIG", "SET", "dbfilename", name])?;
        valkey.command(&["SAVE"])?;
        std::fs::read(&dump).context("reading the snapshot")?
    };
    lane.snapshots.push(taken);
    lane.pause(0..2_500);
    let which = if lane.random.random() {
        lane.snapshots.len() - 1
    } else {
        lane.random.random_range(0..lane.snapshots.len())
    };
    // At once, or after a time in which nodes may have given it up.
    let mut valkey = lane.world.valkey();
    valkey.restart_from(&lane.snapshots[which])?;
    drop(valkey);
    if lane.snapshots.len() > 4 {
        lane.snapshots.remove(1);
    }
    Ok(())
}

fn flush(lane: &mut Lane) -> Result<()> {
    lane.world.valkey().command(&["FLUSHALL"])?;
    Ok(())
}

/// Attached, and away again. No node may use the cache meanwhile.
fn replica(lane: &mut Lane) -> Result<()> {
    let replica = attach(lane)?;
    watch_refusal(lane)?;
    drop(replica);
    Ok(())
}

/// Attached and made the primary, with older data than the one it replaces; nodes are turned to it
/// one after the other, while the old one lives or dies. Later they are turned back.
fn promote(lane: &mut Lane) -> Result<()> {
    let replica = attach(lane)?;
    if lane.random.random() {
        watch_refusal(lane)?;
    }
    replica.command(&["REPLICAOF", "NO", "ONE"])?;
    let dies = lane.random.random();
    if dies {
        lane.world.note_evictions();
        lane.world.valkey().server().signal("KILL")?;
    }
    turn(lane, replica.server().port());
    lane.pause(500..3_000);
    if dies {
        lane.world.valkey().restart()?;
    }
    let port = lane.world.valkey().server().port();
    turn(lane, port);
    drop(replica);
    Ok(())
}

fn turn(lane: &mut Lane, port: u16) {
    for node in 0..lane.world.places.len() {
        lane.world.places[node].valkey.retarget(port);
        lane.pause(0..400);
    }
}

fn attach(lane: &mut Lane) -> Result<Valkey> {
    let port = lane.world.valkey().server().port().to_string();
    let replica = Valkey::start(&["--replicaof", "127.0.0.1", &port])?;
    let began = Instant::now();
    let is_up = || {
        replica
            .command(&["INFO", "replication"])
            .is_ok_and(|info| info.contains("master_link_status:up"))
    };
    while !is_up() {
        anyhow::ensure!(began.elapsed() < Duration::from_secs(30), "the replica does not sync");
        thread::sleep(Duration::from_millis(20));
    }
    Ok(replica)
}

/// Every node leaves the cache, and stays away while there is a replica.
fn watch_refusal(lane: &mut Lane) -> Result<()> {
    const SOON: Duration = Duration::from_secs(20);
    for place in &lane.world.places {
        let began = Instant::now();
        // One that does not answer is down or stopped, and asked again by clients only later.
        while place.uses_cache() == Some(true) {
            if began.elapsed() > SOON {
                lane.world.problem(format!("{} uses a cache that has a replica", place.name));
                return Ok(());
            }
            thread::sleep(Duration::from_millis(20));
        }
    }
    let until = Instant::now() + Duration::from_millis(lane.random.random_range(100..1_500));
    while Instant::now() < until {
        for place in &lane.world.places {
            // Twice: a node that was stopped may answer by a lease that is over a moment later.
            if place.uses_cache() == Some(true) && {
                thread::sleep(Duration::from_secs(1));
                place.uses_cache() == Some(true)
            } {
                lane.world.problem(format!("{} uses a cache that has a replica", place.name));
                return Ok(());
            }
        }
        thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

/// So little that even fences find no room at times.
fn squeeze(lane: &mut Lane) -> Result<()> {
    lane.world.note_evictions();
    let memory = if lane.random.random() { "2mb" } else { "1kb" };
    lane.world.valkey().command(&["CONFIG", "SET", "maxmemory", memory])?;
    lane.pause(1_000..4_000);
    lane.world.valkey().command(&["CONFIG", "SET", "maxmemory", MEMORY])?;
    lane.world.note_evictions();
    Ok(())
}

/// One that evicts nothing: it must be refused all the same.
fn other_policy(lane: &mut Lane) -> Result<()> {
    let set = |policy| ["CONFIG", "SET", "maxmemory-policy", policy];
    lane.world.valkey().command(&set("noeviction"))?;
    lane.pause(500..2_500);
    lane.world.valkey().command(&set("volatile-lru"))?;
    Ok(())
}
