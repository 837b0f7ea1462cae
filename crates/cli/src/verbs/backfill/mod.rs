//! `trivium backfill`: a range of periods of one view, planned, resumable.

mod airflow;
mod journal;
mod plan;

#[cfg(test)]
mod tests;

use std::{
    sync::{Arc, mpsc},
    time::Instant,
};

use serde_json::json;
use trivium_api::ApiError;
use trivium_offline::{
    CheckResult, Period, RunOptions, RunProgress, RunReport, RunRequest, Runner,
};
use trivium_registry::StoredView;
use trivium_runtime::{Kind, Shutdown};

use self::{journal::Journal, plan::Plan};
use crate::{
    accepted,
    args::{Engine, Global, Output},
    args_author::BackfillArgs,
    failure::{self, Failure},
    output, parts,
    project::Project,
    sources::Upstream,
    verbs::{
        materialize, order,
        run::{self, Progress},
        run_spark, table,
    },
};

/// Periods that are made durable together, and so what a kill can lose: few, because a backfill is
/// long and its queries cost more than the wait for the disk.
const GROUP_PERIODS: usize = 8;

/// Plans, says so, and runs what is not finished.
pub async fn run(global: &Global, args: &BackfillArgs) -> Result<(), Failure> {
    if global.server.is_some() && !args.materialize && args.airflow.is_none() {
        return Err(ApiError::new(
            Kind::Unimplemented,
            "backfills are done where the lake is, not by a server",
        )
        .at("--server")
        .help("run it in the project; with --materialize, --server says which server is filled")
        .into());
    }
    if args.engine == Engine::Spark && args.parallel.is_some() {
        return Err(ApiError::invalid("Spark is given the periods of a job together")
            .at("--parallel")
            .help("leave it out: how much Spark does at once is said in [spark] of trivium.toml")
            .into());
    }
    let project = Project::find(global)?;
    project.announce_clock();
    let snapshot = accepted::of_project(&project).await?.unwrap_or_default();
    let chosen = run::choose(&snapshot, std::slice::from_ref(&args.view), "")?;
    let stored = *chosen.first().ok_or_else(|| ApiError::internal("no view was chosen"))?;
    if args.materialize && !stored.view.online {
        return Err(ApiError::new(
            Kind::FailedPrecondition,
            format!("{} is not served online", stored.view.reference()),
        )
        .at("--materialize")
        .help("its config says `\"online\": false`")
        .into());
    }
    let plan = Plan::make(&project, &snapshot, stored, args)?;
    if global.output == Output::Table {
        plan.print(args);
    }
    if args.dry_run {
        if global.output == Output::Json {
            output::json(&json!({ "plan": plan, "dry_run": true }));
        }
        return Ok(());
    }
    if let Some(airflow) = &args.airflow {
        return airflow::create(global, &plan, stored, args, airflow).await;
    }
    let started = Instant::now();
    let shutdown = Shutdown::on_signals().map_err(|error| failure::io("signals", &error))?;
    let report = if plan.to_run.is_empty() {
        RunReport::default()
    } else {
        let upstream = parts::upstream(&project, &snapshot);
        fill(&project, stored, &upstream, &plan, args, &shutdown).await?
    };
    if global.output == Output::Table && !plan.to_run.is_empty() {
        run::print(&stored.view, &report, started.elapsed().as_secs_f64());
    }
    let table = if args.engine == Engine::Spark || !plan.to_run.is_empty() {
        let (first, last) = plan.range;
        let ran = (first.start, last.end);
        table::follow(&project, args.engine, &stored.view, ran, &shutdown).await?
    } else {
        None
    };
    let materialized = if args.materialize {
        let rows_per_second = project.settings.tier(stored.view.urgency_tier).rows_per_second;
        let options = materialize::options(shutdown, rows_per_second);
        materialize::load(global, &project, &snapshot, &[stored], None, options).await?
    } else {
        Vec::new()
    };
    if global.output == Output::Json {
        output::json(&json!({
            "plan": plan,
            "ran": run::shape(&report),
            "table": table,
            "materialized": materialized,
            "seconds": started.elapsed().as_secs_f64(),
        }));
    }
    Ok(())
}

/// Runs the plan's periods, noting each in the journal when it is durable.
async fn fill(
    project: &Project,
    stored: &StoredView,
    upstream: &Upstream,
    plan: &Plan,
    args: &BackfillArgs,
    shutdown: &Shutdown,
) -> Result<RunReport, Failure> {
    let query = Arc::new(run::query(stored)?);
    for (first, last) in plan.segments() {
        let range = (first.start, last.end);
        order::refuse_unpublished(project, &stored.view, &query, range, upstream)?;
    }
    let tables = project.sources.tables(query.tables(), upstream)?;
    let view = Arc::new(stored.view.clone());
    let journal = Journal::open(&plan.journal, plan.is_new)?;
    let (notes, to_write) = mpsc::channel();
    let journal = tokio::task::spawn_blocking(move || keep(journal, &to_write));
    let options = RunOptions {
        parallel: args.parallel.map_or_else(run::parallel, std::num::NonZero::get),
        group_periods: GROUP_PERIODS,
        shutdown: shutdown.clone(),
        ..RunOptions::default()
    };
    let runner = Runner::new(parts::engine()?, parts::lake(project), options);
    let progress = Noted { bar: Progress::new(&view.reference().to_string()), notes };
    progress.bar.bar.set_length(plan.to_run.len() as u64);
    let mut total = RunReport::default();
    let mut outcome = Ok(());
    for (first, last) in plan.segments() {
        let request = RunRequest {
            view: Arc::clone(&view),
            query: Arc::clone(&query),
            tables: tables.clone(),
            from: first.start,
            to: last.end,
        };
        let ran = match args.engine {
            Engine::Local => {
                runner.run(request, &progress).await.map_err(|error| failure::offline(&error))
            }
            Engine::Spark => run_spark::run(project, &request, upstream, shutdown, &progress).await,
        };
        match ran {
            Ok(report) => add(&mut total, report),
            Err(failure) => {
                outcome = Err(failure);
                break;
            }
        }
    }
    progress.bar.bar.finish_and_clear();
    // The last sender: the journal ends with what was told until now.
    drop(progress);
    let journal = journal.await.map_err(|error| ApiError::internal(error.to_string()))?;
    outcome?;
    // What fails here loses no partition, only that it is known to be there.
    let mut journal = journal?;
    let complete = tokio::task::spawn_blocking(move || journal.complete());
    complete.await.map_err(|error| ApiError::internal(error.to_string()))??;
    Ok(total)
}

/// Writes what is told until nobody tells any more; the journal, or the first failure to write it.
fn keep(mut journal: Journal, notes: &mpsc::Receiver<Note>) -> Result<Journal, Failure> {
    let mut lost = None;
    for Note { period, raw_sha256 } in notes {
        if let Err(failure) = journal.note(&period.folder(), &raw_sha256) {
            lost.get_or_insert(failure);
        }
    }
    lost.map_or(Ok(journal), Err)
}

fn add(total: &mut RunReport, report: RunReport) {
    total.periods += report.periods;
    total.raw_rows += report.raw_rows;
    total.raw_changed += report.raw_changed;
    total.published_changed += report.published_changed;
    total.published_rows += report.published_rows;
    total.unchanged += report.unchanged;
    total.warnings.extend(report.warnings);
}

/// A period whose raw rows are durable.
struct Note {
    period: Period,
    raw_sha256: String,
}

/// Moves the bar and tells the journal.
struct Noted {
    bar: Progress,
    /// To the thread that waits for the disk. Its length is bounded by the plan's: a note a period.
    notes: mpsc::Sender<Note>,
}

impl RunProgress for Noted {
    // The bar's length is the plan's: a run may have several segments.
    fn started(&self, _: usize) {}

    fn raw_written(&self, period: Period, content_hash: &str) {
        let note = Note { period, raw_sha256: content_hash.to_owned() };
        // Nobody listens where that thread died, which is told at the end.
        let _ = self.notes.send(note);
    }

    fn period_done(&self, _: Period, _: u64) {
        self.bar.bar.inc(1);
    }

    fn warned(&self, period: Period, check: &CheckResult) {
        self.bar.warned(period, check);
    }
}
