//! The example's departures, and what its view says of them, calculated without Flink.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value as Json, json};
use trivium_model::Timestamp;

#[derive(Debug, Clone)]
pub struct Departure {
    pub origin: &'static str,
    pub delay: Option<i64>,
    /// Milliseconds since 1970.
    pub at: i64,
}

const BEGIN_MS: i64 = 1_357_034_400_000;
const STEP_MS: i64 = 20_000;
const SLIDE_MS: i64 = 600_000;
const WINDOW_MS: i64 = 3_600_000;

fn instant(ms: i64) -> String {
    Timestamp(ms * 1_000).to_string()
}

impl Departure {
    pub fn message(&self) -> Json {
        json!({ "airport": { "code": self.origin }, "dep_delay": self.delay, "at": instant(self.at), "gate": 7 })
    }
}

/// Departures in the order of their times, some without a delay.
pub fn departures(numbers: std::ops::Range<i64>) -> Vec<Departure> {
    let origins = ["JFK", "LGA", "EWR"];
    numbers
        .map(|number| Departure {
            origin: origins[(number % 7 % 3) as usize],
            delay: (number % 11 != 0).then_some(number * 7 % 40 - 5),
            at: BEGIN_MS + number * STEP_MS,
        })
        .collect()
}

/// The rows as [`shown`] shows them.
pub fn expected(departures: &[Departure]) -> BTreeSet<String> {
    let mut windows: BTreeMap<(&str, i64), Vec<&Departure>> = BTreeMap::new();
    for departure in departures {
        let first = departure.at.div_euclid(SLIDE_MS) * SLIDE_MS + SLIDE_MS;
        for end in (first..first + WINDOW_MS).step_by(SLIDE_MS as usize) {
            windows.entry((departure.origin, end)).or_default().push(departure);
        }
    }
    windows
        .into_iter()
        .map(|((origin, end), of)| {
            let count = of.len() as i64;
            let delays: Vec<i64> = of.iter().filter_map(|departure| departure.delay).collect();
            let mean = (!delays.is_empty())
                .then(|| delays.iter().sum::<i64>() as f64 / delays.len() as f64);
            let delayed = delays.iter().filter(|delay| **delay >= 15).count() as i64;
            // Half up, to four digits.
            let share = (delayed * 20_000 + count) / (2 * count);
            let last = of.iter().map(|departure| departure.at).max();
            shown(&json!({
                "origin": origin, "event_ts": instant(end), "departures": count, "mean_delay": mean,
                "delayed": delayed, "delayed_share": format!("{}.{:04}", share / 10_000, share % 10_000),
                "last_seen": last.map(instant),
            }))
        })
        .collect()
}

/// A row as text, instants in one form.
pub fn shown(row: &Json) -> String {
    let time = |name: &str| {
        let text = row[name].as_str().unwrap_or_else(|| panic!("{name} in {row}"));
        Timestamp::parse(text).unwrap_or_else(|| panic!("{name} in {row}"))
    };
    format!(
        "{} {} {} {} {} {} {}",
        row["origin"],
        time("event_ts"),
        row["departures"],
        row["mean_delay"],
        row["delayed"],
        row["delayed_share"],
        time("last_seen")
    )
}
