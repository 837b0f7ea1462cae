//! In-process nearest-neighbour indexes side by side, one thread, cosine: the figures of
//! `docs/decisions/0008-embeddings.md`.
//!
//! ```text
//! cargo run --release -- <candidate> [documents] [dimension]
//! ```
//! One candidate a process, so that memory is its own; `all` starts one process for each. Recall is
//! against an exact scan in f64. Vectors are noisy copies of a few hundred centres, as embeddings of
//! things that come in kinds are; uniform ones have no neighbours worth finding.

mod candidates;

use std::{env, process::Command, time::Instant};

use anyhow::{Result, bail};
use candidates::{Candidate, NAMES};

const QUERIES: usize = 500;
const K: usize = 10;

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
    /// Near enough to a normal one.
    fn normal(&mut self) -> f32 {
        let sum: f64 = (0..6).map(|_| (self.next() >> 11) as f64 / (1_u64 << 53) as f64).sum();
        ((sum - 3.0) * 1.414) as f32
    }
}

/// Unit vectors.
fn vectors(count: usize, dimension: usize, seed: u64) -> Vec<Vec<f32>> {
    let mut centres = Random(1);
    let centres: Vec<Vec<f32>> =
        (0..300).map(|_| (0..dimension).map(|_| centres.normal()).collect()).collect();
    let mut random = Random(seed);
    (0..count)
        .map(|_| {
            let centre = &centres[(random.next() % 300) as usize];
            let mut vector: Vec<f32> = centre.iter().map(|c| c + 0.7 * random.normal()).collect();
            let norm = vector.iter().map(|c| c * c).sum::<f32>().sqrt();
            vector.iter_mut().for_each(|c| *c /= norm);
            vector
        })
        .collect()
}

/// The `k` nearest that pass, exactly.
fn exact(data: &[Vec<f32>], query: &[f32], k: usize, pass: &dyn Fn(usize) -> bool) -> Vec<usize> {
    let dot = |v: &[f32]| -> f64 {
        v.iter().zip(query).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
    };
    let mut all: Vec<(f64, usize)> =
        (0..data.len()).filter(|&i| pass(i)).map(|i| (dot(&data[i]), i)).collect();
    all.sort_by(|a, b| b.0.total_cmp(&a.0));
    all.into_iter().take(k).map(|(_, i)| i).collect()
}

fn rss_mb() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap_or("");
    line.split_whitespace().nth(1).and_then(|kb| kb.parse::<f64>().ok()).unwrap_or(0.0) / 1024.0
}

fn recall(found: &[Vec<usize>], truth: &[Vec<usize>]) -> f64 {
    let hits: usize = found
        .iter()
        .zip(truth)
        .map(|(found, truth)| truth.iter().filter(|i| found.contains(i)).count())
        .sum();
    hits as f64 / truth.iter().map(Vec::len).sum::<usize>().max(1) as f64
}

fn run(name: &str, documents: usize, dimension: usize) -> Result<()> {
    let data = vectors(documents, dimension, 2);
    let queries = vectors(QUERIES, dimension, 3);
    let truth = |pass: &dyn Fn(usize) -> bool| -> Vec<Vec<usize>> {
        queries.iter().map(|query| exact(&data, query, K, pass)).collect()
    };
    let before = rss_mb();
    let started = Instant::now();
    let Some(mut index) = Candidate::new(name, &data)? else { bail!("no candidate `{name}`") };
    let build = started.elapsed();
    let memory = rss_mb() - before;

    let measure = |index: &Candidate, pass: Option<&dyn Fn(usize) -> bool>| -> Result<(f64, f64)> {
        let started = Instant::now();
        let found: Result<Vec<_>> =
            queries.iter().map(|query| index.search(query, K, pass)).collect();
        let rate = QUERIES as f64 / started.elapsed().as_secs_f64();
        let all = |_: usize| true;
        Ok((recall(&found?, &truth(pass.unwrap_or(&all))), rate))
    };
    let (plain, plain_rate) = measure(&index, None)?;
    let one_in = |n: usize| move |i: usize| i % n == 0;
    let tenth = one_in(10);
    let hundredth = one_in(100);
    let (tenth, tenth_rate) = measure(&index, Some(&tenth))?;
    let (hundredth, hundredth_rate) = measure(&index, Some(&hundredth))?;
    // Three quarters go: what is left must still be found.
    let removed = index.remove((0..documents).filter(|i| i % 4 != 0))?;
    let kept = one_in(4);
    let after = if removed {
        let started = Instant::now();
        let found: Result<Vec<_>> =
            queries.iter().map(|query| index.search(query, K, None)).collect();
        let rate = QUERIES as f64 / started.elapsed().as_secs_f64();
        format!("{:.3} {rate:.0}/s", recall(&found?, &truth(&kept)))
    } else {
        "-".to_owned()
    };
    println!(
        "| {name} | {:.1} s | {memory:.0} MB | {plain:.3} {plain_rate:.0}/s | {tenth:.3} {tenth_rate:.0}/s | {hundredth:.3} {hundredth_rate:.0}/s | {after} |",
        build.as_secs_f64()
    );
    Ok(())
}

fn main() -> Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let name = arguments.first().map_or("all", String::as_str);
    let number = |at: usize, default: usize| -> Result<usize> {
        Ok(arguments.get(at).map(|text| text.parse()).transpose()?.unwrap_or(default))
    };
    let (documents, dimension) = (number(1, 20_000)?, number(2, 128)?);
    if name != "all" {
        return run(name, documents, dimension);
    }
    println!(
        "{documents} documents, {dimension} components, {QUERIES} queries, k = {K}, one thread"
    );
    println!(
        "| index | build | memory | recall, queries | filter 10 % | filter 1 % | 3/4 removed |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- |");
    for name in NAMES {
        let status = Command::new(env::current_exe()?)
            .args([name, &documents.to_string(), &dimension.to_string()])
            .status()?;
        if !status.success() {
            bail!("`{name}` failed");
        }
    }
    Ok(())
}
