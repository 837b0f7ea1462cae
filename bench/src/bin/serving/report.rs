//! The table, and one line a case.

use std::path::Path;

use anyhow::Result;
use trivium_bench_serving::{
    figures::{Lines, Sample},
    load::Protocol,
};

use crate::load::Case;

pub(crate) fn print(
    cases: &[Case],
    results: &[(Sample, Sample)],
    engine: &[Sample],
    out: &Path,
) -> Result<()> {
    let mut lines = Lines::append("embedded", out)?;
    let load1 = lines.load1();
    println!(
        "{:<26} {:>9} {:>9} {:>6}  {:>9} {:>6}  {:>8} {:>8} {:>8} {:>8}  {:>8} {:>8}",
        "case",
        "ours/s",
        "precomp/s",
        "ratio",
        "engine/s",
        "ratio",
        "p50 µs",
        "(precomp)",
        "p99 µs",
        "(precomp)",
        "CPU µs",
        "(precomp)"
    );
    for ((case, (ours, floor)), engine) in cases.iter().zip(results).zip(engine) {
        println!(
            "{:<26} {:>9.0} {:>9.0} {:>6.2}  {:>9.0} {:>6.2}  {:>8.0} {:>8.0} {:>8.0} {:>8.0}  {:>8.1} {:>8.1}",
            case.name(),
            ours.rate(),
            floor.rate(),
            ours.rate() / floor.rate(),
            engine.rate(),
            ours.rate() / engine.rate(),
            ours.micros(0.5),
            floor.micros(0.5),
            ours.micros(0.99),
            floor.micros(0.99),
            ours.cpu_micros(),
            floor.cpu_micros(),
        );
        let mut line = |suffix: &str, against: &str, own: f64, theirs: f64, unit: &str| {
            lines.line(&format!("{}{suffix}", case.name()), against, own, theirs, unit)
        };
        line("", "precomputed", ours.rate(), floor.rate(), "req/s")?;
        line("", "mget", ours.rate(), engine.rate(), "req/s")?;
        line(" p50", "precomputed", ours.micros(0.5), floor.micros(0.5), "us")?;
        line(" p99", "precomputed", ours.micros(0.99), floor.micros(0.99), "us")?;
        line(" cpu", "precomputed", ours.cpu_micros(), floor.cpu_micros(), "us")?;
    }
    println!(
        "\nprecomp: a handler that returns the same bytes. engine: the bare engine's multi-get of the same \
         rows, no server. Clients and server share the machine; load {load1} at the end."
    );
    for (name, protocol, aim) in [("gRPC", Protocol::Grpc, 0.5), ("JSON", Protocol::Rest, 0.25)] {
        for ((case, (ours, floor)), _) in cases.iter().zip(results).zip(engine) {
            if case.protocol == protocol && case.entities == 100 {
                let ratio = ours.rate() / floor.rate();
                let verdict = if ratio >= aim { "met" } else { "MISSED" };
                println!(
                    "aim {name} 100×50 c{} at least {aim} of precomputed: {ratio:.2} {verdict}",
                    case.connections
                );
            }
        }
    }
    Ok(())
}
