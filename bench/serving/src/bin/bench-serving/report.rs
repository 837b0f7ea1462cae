//! The table, one line a case, and what was aimed at.

use std::path::Path;

use anyhow::Result;
use trivium_bench_serving::{
    figures::{Lines, Sample},
    load::Protocol,
};

use crate::{
    cases::{Case, Keys, Shape},
    feast::Compared,
};

/// Of the raw client's throughput, at 100 entities, where all keys hit.
const MGET_AIM: [(Protocol, f64); 3] =
    [(Protocol::Grpc, 0.5), (Protocol::Connect, 0.5), (Protocol::Rest, 0.25)];
/// Of the handler's throughput, at one entity.
const HANDLER_AIM: f64 = 0.5;
/// The p99 of one connection may be this many times the raw client's, and so many microseconds more.
const P99_AIM: (f64, f64) = (2.0, 300.0);
/// Of Feast's Python server, at 100 entities.
const FEAST_AIM: f64 = 200.0;

pub fn print(
    cases: &[Case],
    partly: &[(Shape, Sample)],
    hits: f64,
    feast: Option<&[Compared]>,
    out: &Path,
) -> Result<()> {
    let mut lines = Lines::append("serving", out)?;
    println!(
        "{:<34} {:>8} {:>8} {:>6} {:>8} {:>6}  {:>7} {:>7} {:>7}  {:>7} {:>7} {:>7}  {:>7} {:>7}",
        "case",
        "ours/s",
        "mget/s",
        "ratio",
        "handl/s",
        "ratio",
        "p50 µs",
        "mget",
        "handl",
        "p99 µs",
        "mget",
        "handl",
        "CPU µs",
        "handl"
    );
    for case in cases {
        let Case { ours, mget, handler, .. } = case;
        let name = case.name();
        println!(
            "{name:<34} {:>8.0} {:>8.0} {:>6.2} {:>8.0} {:>6.2}  {:>7.0} {:>7.0} {:>7.0}  {:>7.0} {:>7.0} {:>7.0}  {:>7.1} {:>7.1}",
            ours.rate(),
            mget.rate(),
            ours.rate() / mget.rate(),
            handler.rate(),
            ours.rate() / handler.rate(),
            ours.micros(0.5),
            mget.micros(0.5),
            handler.micros(0.5),
            ours.micros(0.99),
            mget.micros(0.99),
            handler.micros(0.99),
            ours.cpu_micros(),
            handler.cpu_micros(),
        );
        for (against, theirs) in [("mget", mget), ("handler", handler)] {
            lines.line(&name, against, ours.rate(), theirs.rate(), "req/s")?;
            for (word, quantile) in [("p50", 0.5), ("p99", 0.99)] {
                let (own, other) = (ours.micros(quantile), theirs.micros(quantile));
                lines.line(&format!("{name} {word}"), against, own, other, "us")?;
            }
        }
        let (own, other) = (ours.cpu_micros(), handler.cpu_micros());
        lines.line(&format!("{name} cpu"), "handler", own, other, "us")?;
    }
    println!(
        "\nmget: a tight client's MGET of the same row bytes from the same Valkey. handl: a handler that returns the same \
         bytes. CPU: of the server's process. Of all rows, {:.4} came from Valkey. Load {} at the end.",
        hits,
        lines.load1()
    );
    for (shape, sample) in partly {
        println!("{}: {:.0} req/s (the rest from DynamoDB Local)", shape.name(), sample.rate());
        lines.line(&shape.name(), "alone", sample.rate(), sample.rate(), "req/s")?;
    }
    let verdict = |met: bool| if met { "met" } else { "MISSED" };
    for case in cases.iter().filter(|case| case.shape.keys == Keys::Uniform) {
        let ratio = |theirs: &Sample| case.ours.rate() / theirs.rate();
        if case.shape.entities == 100 {
            let aim = MGET_AIM.iter().find(|(protocol, _)| *protocol == case.shape.protocol);
            let aim = aim.map_or(0.0, |(_, aim)| *aim);
            let ratio = ratio(&case.mget);
            println!("aim {}: {aim} of mget: {ratio:.2} {}", case.name(), verdict(ratio >= aim));
        }
        if case.shape.entities == 1 {
            let ratio = ratio(&case.handler);
            let met = verdict(ratio >= HANDLER_AIM);
            println!("aim {}: {HANDLER_AIM} of the handler: {ratio:.2} {met}", case.name());
        }
        if case.shape.connections == 1 {
            let (own, raw) = (case.ours.micros(0.99), case.mget.micros(0.99));
            let most = raw * P99_AIM.0 + P99_AIM.1;
            println!(
                "aim {}: p99 below {most:.0} µs: {own:.0} {}",
                case.name(),
                verdict(own <= most)
            );
        }
    }
    match feast {
        None => println!("Feast: not compared; `make bench-serving` does, or --feast"),
        Some(compared) => {
            for Compared { name, ours, feast } in compared {
                let (rate, cpu) =
                    (ours.rate() / feast.rate(), feast.cpu_micros() / ours.cpu_micros());
                println!(
                    "{name}: ours {:.0}/s, Feast {:.1}/s: {rate:.0} times; CPU {:.0} µs, Feast {:.0} µs: {cpu:.0} times",
                    ours.rate(),
                    feast.rate(),
                    ours.cpu_micros(),
                    feast.cpu_micros(),
                );
                lines.line(name, "feast-python", ours.rate(), feast.rate(), "req/s")?;
                let (own, theirs) = (ours.cpu_micros(), feast.cpu_micros());
                lines.line(&format!("{name} cpu"), "feast-python", own, theirs, "us")?;
                if name.contains("100x") {
                    println!(
                        "aim {name}: {FEAST_AIM} times Feast: {rate:.0} {}",
                        verdict(rate >= FEAST_AIM)
                    );
                }
            }
        }
    }
    Ok(())
}
