//! `trivium materialize`

use std::{
    num::NonZeroU32,
    sync::Arc,
    time::{Duration, Instant},
};

use serde_json::{Value as Json, json};
use trivium_api::ApiError;
use trivium_model::{FeatureView, Timestamp};
use trivium_offline::{
    Partition, Period,
    materialize::{MaterializeOptions, MaterializeProgress, MaterializeReport, Materializer},
};
use trivium_registry::{Snapshot, StoredView};
use trivium_runtime::{Kind, Shutdown};

use crate::{
    accepted,
    args::{self, Global, MaterializeArgs, Output},
    failure::{self, Failure},
    output, parts,
    project::Project,
    target,
    verbs::run::{Progress, choose, nothing_to_do, registry_place},
};

/// Loads the views, one after the other.
pub async fn run(global: &Global, args: &MaterializeArgs) -> Result<(), Failure> {
    let project = Project::find(global)?;
    project.announce_clock();
    let snapshot = accepted::definitions(global, &args.registry, &project).await?;
    let registry = registry_place(&project, &args.registry);
    let mut views = choose(&snapshot, &args.views, &registry)?;
    if let Some(offline) = views.iter().find(|stored| !stored.view.online && !args.views.is_empty())
    {
        return Err(ApiError::new(
            Kind::FailedPrecondition,
            format!("{} is not served online", offline.view.reference()),
        )
        .help("its config says `\"online\": false`")
        .into());
    }
    let any_batch = !views.is_empty();
    views.retain(|stored| stored.view.online);
    if views.is_empty() {
        let why = if any_batch {
            "no batch view is served online (their configs say `\"online\": false`)"
        } else {
            "none is a batch view; what `trivium put` sets in direct ones is online at once"
        };
        nothing_to_do(global, "materialize", &snapshot, &registry, why);
        return Ok(());
    }
    let started = Instant::now();
    let shutdown = Shutdown::on_signals().map_err(|error| failure::io("signals", &error))?;
    let options = options(shutdown, args.rows_per_second);
    let loaded = load(global, &project, &snapshot, &views, args.to, options).await?;
    match global.output {
        Output::Json => output::json(&json!({
            "views": loaded,
            "seconds": started.elapsed().as_secs_f64(),
        })),
        Output::Table if loaded.len() > 1 => output::line(output::paint(
            output::FAINT,
            format!("{} views in {:.1} s", loaded.len(), started.elapsed().as_secs_f64()),
        )),
        Output::Table => {}
    }
    Ok(())
}

/// Those of a load that this stops, at this pace.
pub fn options(shutdown: Shutdown, rows_per_second: Option<NonZeroU32>) -> MaterializeOptions {
    MaterializeOptions { shutdown, rows_per_second, ..MaterializeOptions::default() }
}

/// Loads these views, says so of each, and gives what programs are told.
pub async fn load(
    global: &Global,
    project: &Project,
    snapshot: &Snapshot,
    views: &[&StoredView],
    to: Option<args::Instant>,
    options: MaterializeOptions,
) -> Result<Vec<Json>, Failure> {
    let (door, checkpoints) = match target::address(global)? {
        Some(target::Address::Rest(base) | target::Address::Grpc(base)) => {
            parts::remote_door(&base, target::client_options(global)).await?
        }
        None => {
            let store = parts::store(project)?;
            let serving = parts::serving(
                project,
                snapshot,
                Arc::clone(&store),
                parts::Lifetime::Short,
                None,
            )?;
            let door: Arc<dyn trivium_store::WriteDoor> = Arc::new(serving);
            let checkpoints: Arc<dyn trivium_store::Checkpoints> = store;
            (door, checkpoints)
        }
    };
    let materializer = Materializer::new(parts::lake(project), door, checkpoints, options);
    let mut loaded = Vec::new();
    for stored in views {
        let view = &stored.view;
        let to = to.map(|to| end_of(view, to)).transpose()?;
        let progress = Arc::new(Bar(Progress::new(&view.reference().to_string())));
        let begun = Instant::now();
        let outcome =
            materializer.run(Arc::new(view.clone()), to, Arc::clone(&progress) as _).await;
        progress.0.bar.finish_and_clear();
        let report = outcome.map_err(|error| failure::offline(&error))?;
        let seconds = begun.elapsed().as_secs_f64();
        if global.output == Output::Table {
            print(view, &report, seconds);
        }
        loaded.push(json!({
            "view": view.reference().to_string(),
            "partitions": report.partitions,
            "partitions_changed": report.partitions_changed,
            "rows_written": report.rows_written,
            "unchanged": report.unchanged,
            "superseded": report.superseded,
            "retracted": report.retracted,
            "erased": report.erased,
            "seconds": seconds,
        }));
    }
    Ok(loaded)
}

/// The end of the period that begins at the last one to load.
fn end_of(view: &FeatureView, to: args::Instant) -> Result<Timestamp, Failure> {
    let schedule = trivium_offline::schedule(view).map_err(|error| failure::offline(&error))?;
    Ok(Period::containing(schedule, to.0).end)
}

fn print(view: &FeatureView, report: &MaterializeReport, seconds: f64) {
    let mut more = String::new();
    for (count, word) in [
        (report.unchanged, "unchanged"),
        (report.superseded, "superseded by newer ones"),
        (report.retracted, "retracted"),
        (report.erased, "refused: their persons are erased"),
    ] {
        if count > 0 {
            more.push_str(&format!(", {count} {word}"));
        }
    }
    output::line(format!(
        "{} {}: {} of {} partitions changed, {} rows written{more}, {seconds:.1} s",
        output::paint(output::GOOD, "materialized"),
        view.reference(),
        report.partitions_changed,
        report.partitions,
        report.rows_written,
    ));
}

struct Bar(Progress);

impl MaterializeProgress for Bar {
    fn started(&self, _: usize, rows: u64) {
        self.0.bar.set_length(rows);
    }
    fn rows(&self, count: u64) {
        self.0.bar.inc(count);
    }
    fn sent_again(&self, rows: usize, pause: Duration, error: &trivium_offline::Error) {
        self.0.bar.suspend(|| {
            output::note(format!(
                "{} {rows} rows were not taken and are sent again in {:.1} s: {}",
                output::paint(output::WARN, "warning:"),
                pause.as_secs_f64(),
                failure::chain(error),
            ));
        });
    }
    fn partition_done(&self, _: &Partition) {}
}
