//! The table, one line a case, and what was aimed at.

use std::path::Path;

use anyhow::Result;
use trivium_bench_serving::figures::Lines;

use crate::{dynamodb::Round, embedded::Compared, feast::Ended};

/// Of Feast's rows a second.
const FEAST_AIM: f64 = 100.0;
/// Of the tight client's rows a second.
const UPDATE_ITEM_AIM: f64 = 0.6;

/// Where figures go.
pub struct Report {
    lines: Lines,
}

impl Report {
    /// Appends to this file.
    pub fn begin(out: &Path) -> Result<Self> {
        Ok(Self { lines: Lines::append("online-write", out)? })
    }

    /// Into the embedded store.
    pub fn embedded(&mut self, rows: usize, compared: &Compared) -> Result<()> {
        let count = rows as f64;
        let ours: Vec<f64> = compared.ours.iter().map(|one| one.wall.as_secs_f64()).collect();
        let cpu: Vec<f64> = compared.ours.iter().map(|one| one.cpu).collect();
        let (seconds, cpu) = (Spread::of(&ours), Spread::of(&cpu));
        let rate = count / seconds.median;
        println!("\n{rows} rows x {} features into the embedded store", crate::rows::FEATURES);
        heading();
        line("trivium materialize", count, seconds, cpu.median);
        let case = format!("{rows}x{} embedded", crate::rows::FEATURES);
        match &compared.feast {
            None => {
                println!("Feast: not compared; `make bench-online-write` does, or --feast");
                self.lines.line(&case, "alone", rate, rate, "rows/s")?;
            }
            Some(Ended::Stopped(limit)) => {
                let theirs = count / limit.as_secs_f64();
                println!("feast materialize into SQLite: stopped after {} s", limit.as_secs());
                println!(
                    "aim: {FEAST_AIM} times Feast: more than {:.0} times {}",
                    rate / theirs,
                    if rate / theirs >= FEAST_AIM { "met" } else { "not known" }
                );
                self.lines.line(&case, "feast (stopped)", rate, theirs, "rows/s")?;
            }
            Some(Ended::Took(took)) => {
                let theirs = Spread::of(&[took.wall.as_secs_f64()]);
                line("feast materialize into SQLite", count, theirs, took.cpu);
                let ratio = rate * theirs.median / count;
                let of_cpu = took.cpu / cpu.median;
                println!("aim: {FEAST_AIM} times Feast: {ratio:.0} {}", verdict(ratio, FEAST_AIM));
                println!("CPU: {of_cpu:.0} times less a row than Feast");
                self.lines.line(&case, "feast", rate, count / theirs.median, "rows/s")?;
                let micros = |seconds: f64| seconds * 1e6 / count;
                let (own, other) = (micros(cpu.median), micros(took.cpu));
                self.lines.line(&format!("{case} cpu"), "feast", own, other, "us/row")?;
            }
        }
        self.load();
        Ok(())
    }

    /// Into the DynamoDB API.
    pub fn dynamodb(&mut self, rows: usize, rounds: &[Round]) -> Result<()> {
        let count = rows as f64;
        let of = |value: fn(&Round) -> f64| -> Vec<f64> { rounds.iter().map(value).collect() };
        let ours = Spread::of(&of(|round| round.ours));
        let raw = Spread::of(&of(|round| round.raw));
        let cpu = Spread::of(&of(|round| round.ours_cpu));
        let ratio = Spread::of(&of(|round| round.raw / round.ours));
        println!(
            "\n{rows} rows x {} features into DynamoDB Local behind Valkey",
            crate::rows::FEATURES
        );
        heading();
        line("trivium materialize, and the node", count, ours, cpu.median);
        line("bare UpdateItems", count, raw, f64::NAN);
        println!(
            "aim: {UPDATE_ITEM_AIM} of UpdateItem: {:.2} ({:.2}-{:.2}) {}",
            ratio.median,
            ratio.least,
            ratio.most,
            verdict(ratio.median, UPDATE_ITEM_AIM)
        );
        let case = format!("{rows}x{} dynamodb", crate::rows::FEATURES);
        // Not of the medians: what the machine did in a round hit both.
        let own = count / ours.median;
        self.lines.line(&case, "update-item", own, own / ratio.median, "rows/s")?;
        self.load();
        Ok(())
    }

    fn load(&self) {
        println!("load {} at the beginning; stores were read and compared", self.lines.load1());
    }
}

fn heading() {
    println!("{:<34} {:>10} {:>10} {:>17} {:>10}", "", "rows/s", "s", "range", "CPU us/row");
}

fn line(name: &str, rows: f64, seconds: Spread, cpu: f64) {
    let range = format!("{:.2}-{:.2}", seconds.least, seconds.most);
    let cpu = if cpu.is_nan() { "-".to_owned() } else { format!("{:.2}", cpu * 1e6 / rows) };
    println!(
        "{name:<34} {:>10.0} {:>10.2} {range:>17} {cpu:>10}",
        rows / seconds.median,
        seconds.median
    );
}

fn verdict(ratio: f64, aim: f64) -> &'static str {
    if ratio >= aim { "met" } else { "MISSED" }
}

/// Of some turns.
#[derive(Debug, Clone, Copy)]
struct Spread {
    least: f64,
    median: f64,
    most: f64,
}

impl Spread {
    fn of(figures: &[f64]) -> Self {
        let mut sorted = figures.to_vec();
        sorted.sort_by(f64::total_cmp);
        let at = |place: usize| sorted.get(place).copied().unwrap_or(f64::NAN);
        let last = sorted.len().saturating_sub(1);
        // Between the two in the middle where there are two.
        let median = f64::midpoint(at(last / 2), at(sorted.len() / 2));
        Self { least: at(0), median, most: at(last) }
    }
}
