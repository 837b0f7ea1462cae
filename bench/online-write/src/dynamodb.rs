//! Through a serving node into a DynamoDB API behind Valkey, beside bare UpdateItems.

use std::{path::Path, process::Command, sync::Arc};

use anyhow::{Context as _, Result, ensure};
use trivium_bench_serving::process::Process;
use trivium_testkit::{DynamoDb, Valkey};

use crate::{
    Args,
    project::{Project, View, beside, reference, said},
    raw, rows,
    rows::Expected,
    table::{self, Wanted},
};

/// The view that is loaded.
pub const VIEW: &str = "small";
/// Rows that the tight client writes before anything is measured: DynamoDB Local compiles itself then.
const ROWS_FIRST: usize = 10_000;

/// A turn of each.
pub struct Round {
    /// Seconds of `trivium materialize`.
    pub ours: f64,
    /// CPU of it and of the node, in seconds.
    pub ours_cpu: f64,
    /// Seconds of the bare UpdateItems.
    pub raw: f64,
}

/// Turns of both, each into a fresh table.
pub async fn compare(project: &Project, args: &Args) -> Result<Vec<Round>> {
    let view = View { name: VIEW, rows: args.table_rows };
    let expected = Expected::of(VIEW)?;
    let wanted = Wanted::of(&expected, view.rows)?;
    let dynamodb = DynamoDb::start()?;
    let warming = Wanted::of(&expected, ROWS_FIRST)?;
    bare(project, &dynamodb, "first", &warming, args.in_flight).await?;
    let mut rounds = Vec::with_capacity(args.rounds);
    for number in 0..args.rounds {
        let (ours, raw) = (format!("ours-{number}"), format!("raw-{number}"));
        // Who goes first changes.
        let (of_node, raw) = if number % 2 == 0 {
            let of_node = through_node(project, &dynamodb, &ours, &view, &wanted).await?;
            (of_node, bare(project, &dynamodb, &raw, &wanted, args.in_flight).await?)
        } else {
            let raw = bare(project, &dynamodb, &raw, &wanted, args.in_flight).await?;
            (through_node(project, &dynamodb, &ours, &view, &wanted).await?, raw)
        };
        let (ours, ours_cpu) = of_node;
        eprintln!("round {}: ours {ours:.1} s, UpdateItems {raw:.1} s", number + 1);
        rounds.push(Round { ours, ours_cpu, raw });
    }
    Ok(rounds)
}

/// Seconds, and seconds of CPU.
async fn through_node(
    project: &Project,
    dynamodb: &DynamoDb,
    table: &str,
    view: &View,
    wanted: &Wanted,
) -> Result<(f64, f64)> {
    let valkey = Valkey::start(&[])?;
    let config = config(project, dynamodb, table, Some(&valkey))?;
    said(serving(&config)?.args(["stores", "init"]))?;
    let node = Process::start(&mut serving(&config)?)?;
    let addresses: serde_json::Value = serde_json::from_str(&node.said)?;
    let grpc = addresses["grpc"].as_str().context("the node said no address")?;
    let before = node.cpu_seconds()?;
    let took = project.materialize(view, Some(grpc))?;
    let cpu = took.cpu + node.cpu_seconds()? - before;
    for row in rows::sample(view.rows) {
        check_served(project, grpc, row)?;
    }
    let address = address(dynamodb);
    wanted.check(&address, table).await?;
    drop(node);
    table::delete(&address, table).await?;
    Ok((took.wall.as_secs_f64(), cpu))
}

/// A row, as the node serves it.
fn check_served(project: &Project, grpc: &str, row: usize) -> Result<()> {
    let mut command = project.trivium()?;
    command.args(["get", &reference(VIEW), "--entity", &format!("driver={row}")]);
    let output = said(command.args(["--output", "json", "--server", grpc]))?;
    let answer = String::from_utf8(output.stdout)?;
    for n in 0..rows::FEATURES {
        let value = serde_json::json!(rows::value(row, n)).to_string();
        ensure!(answer.contains(&value), "driver {row}: no {value} in {answer}");
    }
    Ok(())
}

/// Seconds.
async fn bare(
    project: &Project,
    dynamodb: &DynamoDb,
    table: &str,
    wanted: &Wanted,
    in_flight: usize,
) -> Result<f64> {
    // A node makes the table, so that it is the same, with the same index.
    said(serving(&config(project, dynamodb, table, None)?)?.args(["stores", "init"]))?;
    let address = address(dynamodb);
    let updates = Arc::new(wanted.updates(table));
    let took = raw::send_all(&address, &updates, in_flight).await?;
    wanted.check(&address, table).await?;
    table::delete(&address, table).await?;
    Ok(took.as_secs_f64())
}

fn address(dynamodb: &DynamoDb) -> String {
    dynamodb.endpoint().trim_start_matches("http://").to_owned()
}

/// A node's config. The limits of time are those of a busy machine: the materializer has 4,000 rows under
/// way, for which DynamoDB Local on cores that others use takes longer than the ten seconds of the default.
fn config(
    project: &Project,
    dynamodb: &DynamoDb,
    table: &str,
    valkey: Option<&Valkey>,
) -> Result<std::path::PathBuf> {
    let mut text = format!(
        "[registry]\nurl = \"sqlite:{}\"\n\n\
         [dynamodb]\ntable = \"{table}\"\nregion = \"eu-central-1\"\nendpoint = \"{}\"\n\
         attempt_timeout_ms = 20000\nlimit_ms = 60000\n\n\
         [clock]\ndata = \"{}\"\n\n\
         [coherence]\nwrite_window_ms = 120000\n\n\
         [limits]\nstore_time_ms_max = 60000\nrequest_ms_max = 60000\n\n\
         [listen]\nhttp = \"127.0.0.1:0\"\ngrpc = \"127.0.0.1:0\"\n",
        project.registry().display(),
        dynamodb.endpoint(),
        rows::PERIOD_END,
    );
    if let Some(valkey) = valkey {
        let server = valkey.address();
        text.push_str(&format!(
            "\n[valkey]\nservers = [\"{server}\"]\ncommand_timeout_ms = 2000\n"
        ));
    }
    let path = project.path().join(format!("{table}.toml"));
    std::fs::write(&path, text)?;
    Ok(path)
}

/// The node's command.
fn serving(config: &Path) -> Result<Command> {
    let mut command = Command::new(beside("trivium-serving")?);
    command.env("AWS_ACCESS_KEY_ID", "local").env("AWS_SECRET_ACCESS_KEY", "local");
    command.env("TRIVIUM_LOG", "warn").arg("--config").arg(config);
    Ok(command)
}
