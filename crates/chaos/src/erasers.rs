//! Clients that erase persons, again and again, while everybody writes them.

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use serde_json::{Value as Json, json};

use crate::{
    clients::Shared,
    history::What,
    rows::{PERSONS, of_person},
    world::World,
};

/// One of them.
pub struct Eraser {
    world: Arc<World>,
    shared: Arc<Shared>,
    number: u16,
    random: StdRng,
}

impl Eraser {
    pub fn new(world: &Arc<World>, shared: &Arc<Shared>, number: u16, seed: u64) -> Self {
        let random = StdRng::seed_from_u64(seed.wrapping_mul(1_000_003) ^ u64::from(number));
        Self { world: Arc::clone(world), shared: Arc::clone(shared), number, random }
    }

    /// Erases until the run ends.
    pub async fn run(mut self) {
        while !self.world.is_stopping() {
            let person = if self.random.random() {
                self.random.random_range(0..PERSONS)
            } else {
                PERSONS + self.shared.fresh.fetch_add(1, Relaxed)
            };
            self.erase(person).await;
            let pause = self.random.random_range(200..1_500);
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
    }

    /// One request, sent again until it is done: any node goes on with it.
    async fn erase(&mut self, person: u32) {
        let request = format!("{:016x}", self.random.random::<u64>());
        let body = json!({ "namespace": "chaos", "subject": { "id": person },
                           "request_id": request, "requested_by": "chaos" });
        // Any row of the person's: an erasure is of all.
        let row = of_person(person, 0);
        let place = self.shared.history.begin(row, self.number, 0, What::Erase);
        while !self.world.is_stopping() {
            let node = self.random.random_range(0..self.world.places.len());
            let (world, text) = (Arc::clone(&self.world), body.to_string());
            let asked = tokio::task::spawn_blocking(move || {
                world.places[node].ask("/v1/subjects/erase", &text)
            });
            let report: Option<Json> = asked.await.ok().flatten();
            if report.is_some_and(|report| report["state"] == "DONE") {
                self.shared.history.end(place, What::Erase);
                self.shared.count("erase", What::Erase);
                return;
            }
            self.shared.count("erase", What::Nothing);
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}
