//! The short form of the model: the smaller worlds in full, and every guard in turn taken out. The
//! larger worlds: `make model`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../model/mod.rs"]
mod model;

use model::{Bounds, Guards, NEEDLESS, check, worlds};

const THREADS: usize = 2;

fn world(name: &str) -> Bounds {
    worlds().into_iter().find(|(known, _)| *known == name).unwrap().1
}

#[test]
fn no_stale_read_with_all_guards() {
    for name in
        ["1 writer, 1 reader", "2 writers, 1 reader, 1 epoch", "2 writers, 2 readers, 1 epoch"]
    {
        let found = check(world(name), Guards::all(), THREADS);
        assert!(found.violation.is_none(), "{name}: {:?}", found.violation);
        assert!(found.is_live, "{name}: the cache never answered");
        println!("{name}: {} states in {:?}", found.states, found.elapsed);
    }
}

#[test]
fn every_guard_is_needed() {
    let small: Vec<Bounds> = [
        "1 writer, 1 reader",
        "2 writers, 1 reader, 1 epoch",
        "2 writers, 1 reader, 1 epoch, expiry",
        "1 writer, 2 readers",
    ]
    .map(world)
    .to_vec();
    for (guard, bit, what) in Guards::EACH {
        if NEEDLESS.contains(guard) {
            continue;
        }
        // The world that needs the fewest states is not the same for all.
        let order: &[usize] = match *guard {
            "join_only_unsent" => &[3],
            "repair_needs_a_row" | "expiry_is_far" | "revs_are_seeded" => &[2],
            "write_raises_epoch" | "refused_adds_nothing" => &[1],
            _ => &[0],
        };
        let found = order.iter().any(|index| {
            check(small[*index], Guards::all().without(*bit), THREADS).violation.is_some()
        });
        assert!(found, "without \"{what}\" ({guard}) nothing goes wrong: is it needed?");
    }
}
