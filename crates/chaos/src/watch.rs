//! What the nodes count of themselves, summed up over all their lives.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use crate::world::{World, locked};

/// Counters of the cache, by name and labels.
#[derive(Debug, Default)]
pub struct Watched {
    /// By process, as last seen.
    lives: Mutex<BTreeMap<(String, String), f64>>,
}

impl Watched {
    /// Looks at all nodes. What a node counts between the last look and its death is not seen.
    pub fn look(&self, world: &World) {
        for place in &world.places {
            let Some(address) = place.address() else { continue };
            let Some(page) = place.page("/metrics") else { continue };
            let mut lives = locked(&self.lives);
            for line in page.lines().filter(|line| line.starts_with("trivium_cache_")) {
                if let Some((name, value)) = line.rsplit_once(' ')
                    && let Ok(value) = value.parse()
                {
                    lives.insert((name.to_owned(), address.clone()), value);
                }
            }
        }
    }

    /// Looks every second until the run ends.
    pub fn run(self: &Arc<Self>, world: &Arc<World>) -> std::thread::JoinHandle<()> {
        let (watched, world) = (Arc::clone(self), Arc::clone(world));
        std::thread::spawn(move || {
            while !world.is_stopping() {
                watched.look(&world);
                world.pause(Duration::from_secs(1));
            }
        })
    }

    /// All of them, summed up.
    pub fn totals(&self) -> BTreeMap<String, f64> {
        let mut totals: BTreeMap<String, f64> = BTreeMap::new();
        for ((name, _), value) in locked(&self.lives).iter() {
            let name = name.trim_start_matches("trivium_cache_");
            // A gauge is no sum.
            if name.contains("_total") {
                *totals.entry(name.to_owned()).or_default() += value;
            }
        }
        totals
    }

    /// Rows that Valkey answered.
    pub fn hits(&self) -> f64 {
        self.answered_by("cache")
    }

    /// Rows that came out of what is kept together of an entity.
    pub fn joined(&self) -> f64 {
        self.answered_by("entity")
    }

    fn answered_by(&self, who: &str) -> f64 {
        let name = format!("reads_total{{answered_by=\"{who}\"}}");
        self.totals().get(&name).copied().unwrap_or(0.0)
    }
}
