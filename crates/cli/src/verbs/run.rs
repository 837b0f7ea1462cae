//! `trivium run`

use std::{sync::Arc, time::Instant};

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value as Json, json};
use trivium_api::ApiError;
use trivium_model::{FeatureView, Lane, Timestamp, ViewRef};
use trivium_offline::{
    CheckResult, Period,
    run::{RunOptions, RunProgress, RunReport, RunRequest, Runner},
    schedule,
};
use trivium_registry::{Snapshot, StoredView};
use trivium_runtime::{Kind, Shutdown};
use trivium_sql::AuthorQuery;

use crate::{
    accepted,
    args::{self, Engine, Global, Output, RunArgs},
    args_record::RegistryArgs,
    catalog::Catalog,
    failure::{self, Failure},
    output, parts,
    project::Project,
    sources::Upstream,
    verbs::{
        order::{Ordered, refuse_unpublished, upstream_first},
        run_spark, table, whole,
    },
};

/// Runs the views, one after the other: each already keeps all cores busy.
pub async fn run(global: &Global, args: &RunArgs) -> Result<(), Failure> {
    if global.server.is_some() && args.date.is_none() {
        return Err(ApiError::new(
            Kind::Unimplemented,
            "runs are done where the lake is, not by a server",
        )
        .at("--server")
        .help("run it in the project, without --server; with --date it says which server is filled")
        .into());
    }
    let project = Project::find(global)?;
    project.announce_clock();
    let snapshot = accepted::definitions(global, &args.registry, &project).await?;
    let registry = registry_place(&project, &args.registry);
    let views = choose(&snapshot, &args.views, &registry)?;
    if views.is_empty() {
        let why = "none is a batch view, and only these have SQL to run; write one and `trivium apply` it (`trivium put` sets the rows of direct ones)";
        nothing_to_do(global, "run", &snapshot, &registry, why);
        return Ok(());
    }
    let asked = views.len();
    let Ordered { views, mut trouble } = upstream_first(&project, views);
    let now = Timestamp(project.data_clock().now_micros());
    // All ranges are looked at before the first query runs.
    let mut planned = Vec::with_capacity(views.len());
    for stored in views {
        match period_range(stored, args, now) {
            Ok(range) => planned.push((stored, range)),
            Err(failure) if asked == 1 => return Err(failure),
            Err(failure) => trouble.failed.push((stored.view.reference(), failure)),
        }
    }
    let shutdown = Shutdown::on_signals().map_err(|error| failure::io("signals", &error))?;
    let options =
        RunOptions { parallel: parallel(), shutdown: shutdown.clone(), ..RunOptions::default() };
    let runner = Runner::new(parts::engine()?, parts::lake(&project), options);
    let upstream = parts::upstream(&project, &snapshot);
    let one = One {
        global,
        args,
        project: &project,
        snapshot: &snapshot,
        upstream: &upstream,
        runner: &runner,
        shutdown: &shutdown,
    };
    let started = Instant::now();
    let mut reports = Vec::new();
    for (stored, range) in planned {
        let view = stored.view.reference();
        if trouble.keeps(&view) {
            continue;
        }
        match one.run(stored, range).await {
            Ok(ran) => reports.push((view.to_string(), ran)),
            // Who stops one means all.
            Err(failure) if shutdown.is_triggered() => return Err(failure),
            // A view that was named alone needs no list of what became of the others.
            Err(failure) if asked == 1 => return Err(failure),
            Err(failure) => trouble.failed.push((view, failure)),
        }
    }
    let seconds = started.elapsed().as_secs_f64();
    let ran = reports.len();
    match global.output {
        Output::Json => {
            let views = reports.into_iter().map(|(view, (report, seconds, rest))| {
                let mut answer = shape(&report);
                answer["view"] = view.into();
                answer["seconds"] = seconds.into();
                if let (Some(answer), Json::Object(rest)) = (answer.as_object_mut(), rest) {
                    answer.extend(rest);
                }
                answer
            });
            let mut answer = json!({ "views": views.collect::<Vec<_>>(), "seconds": seconds });
            if !trouble.failed.is_empty() {
                answer["failed"] = trouble.failed.iter().map(failed).collect();
                let not_run = trouble.not_run.iter();
                answer["not_run"] = not_run
                    .map(|(view, cause)| {
                        json!({ "view": view.to_string(), "because_of": cause.to_string() })
                    })
                    .collect();
            }
            output::json(&answer);
        }
        Output::Table if asked > 1 => {
            let of = if ran < asked { format!("{ran} of {asked}") } else { ran.to_string() };
            output::line(output::paint(output::FAINT, format!("{of} views in {seconds:.1} s")));
        }
        Output::Table => {}
    }
    trouble.told(global.output).map_or(Ok(()), Err)
}

/// A failure for programs.
fn failed((view, failure): &(ViewRef, Failure)) -> Json {
    let ApiError { kind, message, field, help, .. } = &failure.error;
    let code = kind.code();
    json!({ "view": view.to_string(), "code": code, "message": message, "field": field, "help": help })
}

/// What each view is run with.
struct One<'r> {
    global: &'r Global,
    args: &'r RunArgs,
    project: &'r Project,
    snapshot: &'r Snapshot,
    upstream: &'r Upstream,
    runner: &'r Runner,
    shutdown: &'r Shutdown,
}

impl One<'_> {
    /// Runs a view; gives its report, the seconds it took, and what programs are told beside it.
    async fn run(
        &self,
        stored: &StoredView,
        (from, to): (Timestamp, Timestamp),
    ) -> Result<(RunReport, f64, Json), Failure> {
        let Self { global, args, project, snapshot, upstream, runner, shutdown } = *self;
        let view = &stored.view;
        let query = query(stored)?;
        match args.date {
            Some(_) => {
                let period = Period { start: from, end: to };
                whole::wait(project, query.tables(), period, upstream)?;
            }
            None => refuse_unpublished(project, view, &query, (from, to), upstream)?,
        }
        let progress = Progress::new(&view.reference().to_string());
        // Looked up here: a view before may have published what this one reads.
        let tables = project.sources.tables(query.tables(), upstream)?;
        let request =
            RunRequest { view: Arc::new(view.clone()), query: Arc::new(query), tables, from, to };
        let begun = Instant::now();
        let outcome = match args.engine {
            Engine::Local => {
                runner.run(request, &progress).await.map_err(|error| failure::offline(&error))
            }
            Engine::Spark => run_spark::run(project, &request, upstream, shutdown, &progress).await,
        };
        progress.bar.finish_and_clear();
        let report = outcome?;
        let seconds = begun.elapsed().as_secs_f64();
        if global.output == Output::Table {
            print(view, &report, seconds);
        }
        let rest = match args.date {
            Some(_) => {
                let period = Period { start: from, end: to };
                let run = whole::Run { global, args, project, snapshot };
                run.rest(stored, period, shutdown).await?
            }
            None => {
                let table = table::follow(project, args.engine, view, (from, to), shutdown).await?;
                table.map_or(json!({}), |table| json!({ "table": table }))
            }
        };
        Ok((report, seconds, rest))
    }
}

/// A report for programs.
pub fn shape(report: &RunReport) -> Json {
    json!({
        "periods": report.periods,
        "raw_rows": report.raw_rows,
        "raw_changed": report.raw_changed,
        "published_changed": report.published_changed,
        "published_rows": report.published_rows,
        "unchanged": report.unchanged,
        "warnings": report.warnings.iter().map(|(period, check)| json!({
            "period": period, "check": check.to_string(),
        })).collect::<Vec<_>>(),
    })
}

/// The range that is asked for, in periods of the view's schedule.
fn period_range(
    stored: &StoredView,
    args: &RunArgs,
    now: Timestamp,
) -> Result<(Timestamp, Timestamp), Failure> {
    let Some(date) = args.date else { return range(&stored.view, args.from, args.to, now) };
    let first = Some(first_instant(&stored.view, date)?);
    range(&stored.view, first, first, now)
        .map_err(|failure| Failure { error: failure.error.at("--date"), ..failure })
}

/// The first instant of the period that an instant lies in.
fn first_instant(view: &FeatureView, at: args::Instant) -> Result<args::Instant, Failure> {
    let schedule = schedule(view).map_err(|error| failure::offline(&error))?;
    Ok(args::Instant(Period::containing(schedule, at.0).start))
}

/// As many queries at once as there are cores: each is one thread's work.
pub fn parallel() -> usize {
    std::thread::available_parallelism().map_or(2, usize::from)
}

/// What a run did, in a line.
pub fn print(view: &FeatureView, report: &RunReport, seconds: f64) {
    let unchanged = if report.unchanged > 0 {
        format!(", {} unchanged", report.unchanged)
    } else {
        String::new()
    };
    output::line(format!(
        "{} {}: {} periods, {} rows from SQL, {} partitions published with {} rows{unchanged}, {seconds:.1} s",
        output::paint(output::GOOD, "ran"),
        view.reference(),
        report.periods,
        report.raw_rows,
        report.published_changed,
        report.published_rows,
    ));
}

/// The registry, as messages name it.
pub fn registry_place(project: &Project, registry: &RegistryArgs) -> String {
    registry.named().map_or_else(
        || parts::registry_path(project).display().to_string(),
        |url| format!("the registry {url}"),
    )
}

/// The views that are named, or all batch views.
pub fn choose<'s>(
    snapshot: &'s Snapshot,
    names: &[String],
    registry: &str,
) -> Result<Vec<&'s StoredView>, Failure> {
    let catalog = Catalog::from(snapshot);
    let mut chosen = Vec::new();
    for name in names {
        let reference = catalog.view(name)?.reference();
        if let Some(stored) = snapshot.views.get(&reference) {
            if stored.view.lane != Lane::Batch {
                return Err(ApiError::new(
                    Kind::FailedPrecondition,
                    format!("{reference} is not a batch view"),
                )
                .at(name)
                .help("its rows are put by services: `trivium put`")
                .into());
            }
            chosen.push(&**stored);
        }
    }
    if names.is_empty() {
        let batch = snapshot.views.values().filter(|stored| stored.view.lane == Lane::Batch);
        chosen.extend(batch.map(|stored| &**stored));
        if snapshot.views.is_empty() {
            return Err(ApiError::new(Kind::FailedPrecondition, "the registry has no views")
                .at(registry)
                .help("run `trivium apply` first")
                .into());
        }
    }
    Ok(chosen)
}

/// Says that there is nothing to do, and why: that is no failure, but silence would look like one.
pub fn nothing_to_do(global: &Global, doing: &str, snapshot: &Snapshot, registry: &str, why: &str) {
    let count = snapshot.views.len();
    let views = if count == 1 { "view" } else { "views" };
    output::note(format!("nothing to {doing}: of the {count} {views} of {registry}, {why}"));
    if global.output == Output::Json {
        output::json(&json!({ "views": [], "seconds": 0.0 }));
    }
}

/// The view's accepted SQL.
pub fn query(stored: &StoredView) -> Result<AuthorQuery, Failure> {
    let reference = stored.view.reference();
    let text = stored.sql_text.as_deref().unwrap_or_default();
    AuthorQuery::parse(&format!("{reference} (SQL)"), text).map_err(|findings| {
        // It was accepted once: another version of Trivium, then.
        Failure::findings(
            findings,
            "the accepted SQL is not understood by this version: apply it anew",
        )
    })
}

/// `[from, to)`: whole periods, the last one included.
pub fn range(
    view: &FeatureView,
    from: Option<args::Instant>,
    to: Option<args::Instant>,
    now: Timestamp,
) -> Result<(Timestamp, Timestamp), Failure> {
    let schedule = schedule(view).map_err(|error| failure::offline(&error))?;
    let every = schedule.every.micros();
    let from = from.map_or(schedule.start, |from| from.0);
    if from < schedule.start {
        let message = format!(
            "{from} is before the schedule's start of {}, {}",
            view.reference(),
            schedule.start
        );
        return Err(ApiError::invalid(message)
            .at("--from")
            .help("name a later period, or the views that are meant")
            .into());
    }
    // Half a period cannot be run.
    let starts = |field: &'static str, at: Timestamp| {
        let into = (at.0 - schedule.start.0).rem_euclid(every);
        if into == 0 {
            return Ok(());
        }
        let start = Timestamp(at.0 - into);
        let message =
            format!("{at} is inside a period of {}, which begins at {start}", schedule.every);
        let help = format!("name a period by its start, such as {start}; both ends are included");
        Err(Failure::from(ApiError::invalid(message).at(field).help(help)))
    };
    starts("--from", from)?;
    let to = match to {
        Some(to) => {
            starts("--to", to.0)?;
            if to.0 < from {
                return Err(ApiError::invalid("the range ends before it begins")
                    .at("--to")
                    .help("name a period at or after --from; both are included")
                    .into());
            }
            Timestamp(to.0.0.saturating_add(every))
        }
        None => {
            let whole = (now.0 - schedule.start.0).div_euclid(every).max(0);
            Timestamp(schedule.start.0 + whole * every)
        }
    };
    if to <= from {
        return Err(ApiError::new(
            Kind::FailedPrecondition,
            format!("{} has no period between --from and the data clock, {now}", view.reference()),
        )
        .help("name the last period with --to, or wait until one is over")
        .into());
    }
    if to > now {
        return Err(ApiError::new(
            Kind::FailedPrecondition,
            format!(
                "the last period of {} ends at {to}, which is not over by the data clock, {now}",
                view.reference()
            ),
        )
        .at("--to")
        .help("name an earlier period")
        .into());
    }
    Ok((from, to))
}

/// A bar on a terminal; warnings above it.
pub struct Progress {
    /// Hidden where standard error is no terminal.
    pub bar: ProgressBar,
}

impl Progress {
    /// For one view.
    pub fn new(name: &str) -> Self {
        let bar = ProgressBar::new(0);
        let style = ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len} {elapsed}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.set_message(name.to_owned());
        Self { bar }
    }
}

impl RunProgress for Progress {
    fn started(&self, periods: usize) {
        self.bar.set_length(periods as u64);
    }
    fn period_done(&self, _: Period, _: u64) {
        self.bar.inc(1);
    }
    fn warned(&self, period: Period, check: &CheckResult) {
        // Asked before: the bar is locked while it is suspended.
        let view = self.bar.message();
        self.bar.suspend(|| {
            output::note(format!(
                "{} {view} {}: {check}",
                output::paint(output::WARN, "warning:"),
                period.folder()
            ));
        });
    }
}
