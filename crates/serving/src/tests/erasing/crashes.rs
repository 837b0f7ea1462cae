//! Ten thousand persons with rows in several views; some hundred are erased, by nodes that die at any
//! step, beside writers of old rows and of new ones. Afterwards the store itself is looked through.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use serde_json::json;
use trivium_model::Timestamp;

use super::world::{Node, Shared, ordered};
use crate::tests::fixture::NOW;

const PERSONS: i64 = 10_000;
const ERASED: i64 = 300;

/// SplitMix64.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }
}

/// Rows of all persons: a profile, a cart, some visits, and one of no subject.
async fn fill(node: &Node, dice: &mut Dice) {
    for first in (0..PERSONS).step_by(500) {
        let users = first..first + 500;
        let row =
            |user: i64| json!({ "entity": { "user_id": user }, "values": { "a": user, "b": 0 } });
        for view in ["profile", "cart", "plain"] {
            let outcomes = node.put(view, users.clone().map(row).collect()).await;
            assert!(outcomes.iter().all(|outcome| outcome == "APPLIED"));
        }
        let visits = users.flat_map(|user| (0..=dice.below(3)).map(move |page| (user, page)));
        let visits = visits.map(|(user, page)| {
            json!({ "entity": { "user_id": user, "page": format!("p{page}") }, "values": { "a": user, "b": 1 } })
        });
        let visits: Vec<_> = visits.collect();
        for visits in visits.chunks(1_000) {
            node.put("visit", visits.to_vec()).await;
        }
    }
}

/// The user in a row's name.
fn user_of(name: &str) -> i64 {
    let (_, rest) = name.split_once("i:").unwrap();
    rest.chars().take_while(char::is_ascii_digit).collect::<String>().parse().unwrap()
}

async fn write_beside(node: Arc<Node>, users: Vec<i64>, seed: u64) -> BTreeSet<i64> {
    let mut dice = Dice(seed);
    let mut came_back = BTreeSet::new();
    for user in users {
        tokio::time::sleep(Duration::from_millis(dice.below(40))).await;
        // History, run again: of before any request.
        let old = json!({ "entity": { "user_id": user, "page": "old" }, "values": { "a": -1, "b": -1 },
                          "event_time": Timestamp(NOW - 1_000).to_string() });
        node.put("visit", vec![old]).await;
        if dice.below(4) == 0 {
            let new = json!({ "entity": { "user_id": user }, "values": { "a": -2 },
                              "event_time": Timestamp(NOW + 1_000).to_string() });
            // Before the request this is a row of before; after it, the person's own again.
            node.put("cart", vec![new]).await;
            came_back.insert(user);
        }
    }
    came_back
}

#[tokio::test(start_paused = true)]
async fn nothing_of_the_erased_is_left_whoever_dies() {
    let shared = Shared::new(&[]);
    *shared.index_lag.lock().unwrap() = Duration::from_millis(1_500);
    let mut dice = Dice(11);
    let node = Arc::new(shared.node());
    fill(&node, &mut dice).await;
    let before = shared.live();
    assert!(before.len() > 4 * PERSONS as usize, "{}", before.len());

    let erased: Vec<i64> = (0..ERASED).map(|number| number * (PERSONS / ERASED) + 3).collect();
    let mut writers = Vec::new();
    for part in 0..4 {
        let node = Arc::clone(&node);
        let users: Vec<i64> = erased.iter().skip(part).step_by(4).copied().collect();
        writers.push(tokio::spawn(write_beside(node, users, 70 + part as u64)));
    }
    // Each by a node of its own that dies at some step, most of them before the end.
    let mut deaths = 0;
    for &user in &erased {
        let dying = shared.node();
        let calls = dice.below(40) as i64;
        dying.dies_after(calls);
        tokio::spawn(async move { dying.erase(user, "first").await });
        tokio::time::sleep(Duration::from_millis(dice.below(20))).await;
        deaths += 1;
    }
    let mut came_back = BTreeSet::new();
    for writer in writers {
        came_back.extend(writer.await.unwrap());
    }
    // Those who go on die too, for a while.
    for round in 0..60 {
        tokio::time::sleep(Duration::from_secs(6)).await;
        let heir = shared.node();
        if round < 40 {
            heir.dies_after(dice.below(400) as i64);
            deaths += 1;
        }
        let going_on = tokio::spawn(async move { heir.resume().await });
        let _ = tokio::time::timeout(Duration::from_secs(2_000), going_on).await;
    }
    assert!(deaths >= 340);
    // Who was never told that it was begun asks again.
    let mut counted = 0;
    for &user in &erased {
        let report = node.erase(user, "first").await;
        assert_eq!(report["state"], "DONE", "{report}");
        counted += report["rows_verified"].as_u64().unwrap();
    }
    assert!(counted >= 3 * erased.len() as u64, "{counted}");

    let erased: BTreeSet<i64> = erased.into_iter().collect();
    let after = shared.live();
    let mut others: BTreeMap<_, _> = before;
    others.retain(|name, _| name.contains("plain") || !erased.contains(&user_of(name)));
    for (name, row) in &after {
        let user = user_of(name);
        if !erased.contains(&user) || name.contains("plain") {
            assert_eq!(others.get(name), Some(row), "{name}");
        } else {
            // Only what is newer, with nothing of before in it.
            assert!(name.contains("cart") && came_back.contains(&user), "{name}: {row:?}");
            assert_eq!(row, &(NOW + 1_000, vec![Some(-2), None]), "{name}");
        }
    }
    assert!(others.keys().all(|name| after.contains_key(name)), "somebody else lost a row");
    assert_eq!(ordered(&shared).await, erased);
}
