//! `trivium step`: what the tasks of a generated DAG run.
//!
//! Each step can be run again at any time, also after it was killed: what is there already is not
//! written again.

use std::path::Path;

use serde_json::json;
use trivium_api::ApiError;
use trivium_daggen::Settings;
use trivium_engine::{QueryEngine, Table};
use trivium_model::Timestamp;
use trivium_offline::{
    CheckResult, Layer, Period,
    run::steps::{Checked, PublishReport},
    schedule,
};
use trivium_registry::{Snapshot, project::ProjectView};
use trivium_runtime::Kind;
use trivium_spark::{JobResult, RunFolder, folder::read_definition, job::JobTable, jobs};

use crate::{
    accepted,
    args::{Global, Output},
    args_step::{Run, Step, StepArgs, Which},
    failure::{self, Failure},
    output, parts,
    project::Project,
    sources::Upstream,
    verbs::{alert, table::reached},
};

/// Runs one step.
pub async fn run(global: &Global, args: &StepArgs) -> Result<(), Failure> {
    let project = Project::find(global)?;
    let global = global.clone();
    match &args.step {
        Step::Wait(which) => wait(&global, &project, which).await,
        Step::Start(which) => start(&global, &project, which).await,
        Step::Check(run) => blocking(&project, run, move |_, folder| check(&global, &folder)).await,
        Step::Raw(run) => blocking(&project, run, move |_, folder| raw(&global, &folder)).await,
        Step::Publish(run) => {
            blocking(&project, run, move |project, folder| publish(&global, &project, &folder))
                .await
        }
        Step::Alert => alert::run(&project).await,
        Step::Finish(run) => RunFolder::finish(&run.run).map_err(|error| failure::spark(&error)),
    }
}

/// Opens the run's folder and works on it where waiting for the disk holds nobody up.
async fn blocking(
    project: &Project,
    run: &Run,
    work: impl FnOnce(Project, RunFolder) -> Result<(), Failure> + Send + 'static,
) -> Result<(), Failure> {
    let (project, path) = (project.clone(), run.run.clone());
    let done = tokio::task::spawn_blocking(move || {
        let folder = RunFolder::open(&path, parts::lake(&project))
            .map_err(|error| failure::spark(&error))?;
        work(project, folder)
    });
    done.await.map_err(|error| ApiError::new(Kind::Internal, error.to_string()))?
}

/// The period that the instant lies in, if it is over.
fn period_of(project: &Project, loaded: &ProjectView, at: Timestamp) -> Result<Period, Failure> {
    let schedule = schedule(&loaded.view).map_err(|error| failure::offline(&error))?;
    if at < schedule.start {
        let message = format!("{at} is before the schedule's start, {}", schedule.start);
        return Err(ApiError::invalid(message).at("--at").help("name a later period").into());
    }
    let period = Period::containing(schedule, at);
    let now = Timestamp(project.data_clock().now_micros());
    if period.end > now {
        let message = format!(
            "the period ends at {}, which is not over by the data clock, {now}",
            period.end
        );
        return Err(ApiError::new(Kind::FailedPrecondition, message)
            .at("--at")
            .help("name an earlier period, or wait until it is over")
            .into());
    }
    Ok(period)
}

fn definition(folder: &Path) -> Result<ProjectView, Failure> {
    read_definition(folder).map_err(|error| failure::spark(&error))
}

/// The names of the tables that a view reads.
fn tables_of(loaded: &ProjectView) -> &[String] {
    loaded.sql.as_ref().map_or(&[], |sql| sql.query.tables())
}

/// What the registry accepted, where a source is a view; most projects need not ask.
async fn upstream(global: &Global, project: &Project, which: &Which) -> Result<Upstream, Failure> {
    let snapshot = match project.sources.views().next() {
        None => Snapshot::default(),
        Some(_) => accepted::definitions(global, &which.registry, project).await?,
    };
    Ok(parts::upstream(project, &snapshot))
}

async fn wait(global: &Global, project: &Project, which: &Which) -> Result<(), Failure> {
    let loaded = definition(&which.definition)?;
    let period = period_of(project, &loaded, which.at.0)?;
    let upstream = upstream(global, project, which).await?;
    let missing = project.sources.not_ready(tables_of(&loaded), period, &upstream)?;
    let Some(first) = missing.first() else {
        say(global, &json!({ "ready": true }), || format!("{} can run", period.folder()));
        return Ok(());
    };
    Err(ApiError::new(Kind::Unavailable, format!("not there yet: {}", missing.join(", ")))
        .at(first)
        .help("it is looked for again until the task's time is over")
        .into())
}

async fn start(global: &Global, project: &Project, which: &Which) -> Result<(), Failure> {
    let loaded = definition(&which.definition)?;
    let period = period_of(project, &loaded, which.at.0)?;
    let tables =
        spark_tables(project, tables_of(&loaded), &upstream(global, project, which).await?).await?;
    let folder = RunFolder::start(&project.data_dir, parts::lake(project), &loaded, period)
        .and_then(|folder| {
            let job = jobs::extraction(folder.steps(), &[period], &tables)?;
            job.write(&folder.extract())?;
            Ok(folder)
        })
        .map_err(|error| failure::spark(&error))?;
    let path =
        std::path::absolute(folder.path()).map_err(|error| failure::file(folder.path(), &error))?;
    // Alone on the last line: Airflow passes it on.
    say(global, &json!({ "run": path }), || path.display().to_string());
    Ok(())
}

/// The project's sources that are read, as Spark reads them.
pub async fn spark_tables(
    project: &Project,
    names: &[String],
    upstream: &Upstream,
) -> Result<Vec<JobTable>, Failure> {
    let mut read = Vec::new();
    let engine = parts::engine()?;
    for table in project.sources.tables(names, upstream)? {
        read.push(match project.sources.spark_view(&table, upstream)? {
            Some(view) => view,
            None => spark_table(&*engine, &table).await?,
        });
    }
    Ok(read)
}

async fn spark_table(engine: &dyn QueryEngine, table: &Table) -> Result<JobTable, Failure> {
    let schema = match &table.source {
        trivium_engine::Source::Csv { .. } => {
            let sql = format!("SELECT * FROM `{}`", table.name);
            let schema = engine.describe(&sql, std::slice::from_ref(table)).await;
            Some(schema.map_err(|error| failure::engine(&error))?)
        }
        _ => None,
    };
    jobs::source_table(table, schema.as_ref()).map_err(|error| failure::spark(&error))
}

/// Holds what Spark gave against config and checks.
fn checked(folder: &RunFolder) -> Result<Checked, trivium_spark::Error> {
    let result = JobResult::read(&folder.extract())?;
    jobs::check(folder.steps(), 0, folder.period(), &result)
}

fn check(global: &Global, folder: &RunFolder) -> Result<(), Failure> {
    let checked = checked(folder).map_err(|error| failure::spark(&error))?;
    let period = folder.period().folder();
    for result in checked.quality().iter().filter(|result| !result.passed) {
        output::note(format!(
            "{} {} {period}: {result}",
            output::paint(output::WARN, "warning:"),
            folder.view().reference(),
        ));
    }
    let checks: Vec<&CheckResult> = checked.quality().iter().collect();
    say(global, &json!({ "rows": checked.rows(), "checks": checks }), || {
        format!("{period}: {} rows, {} checks held", checked.rows(), checks.len())
    });
    Ok(())
}

fn raw(global: &Global, folder: &RunFolder) -> Result<(), Failure> {
    let steps = folder.steps();
    let done = || {
        // Judged again: this task may run where the one before it was only marked as done.
        let changed = usize::from(steps.publish_raw(&checked(folder)?)?.is_some());
        let publications = steps.publications(&[folder.period()])?;
        folder.keep_publications(&publications)?;
        jobs::publication(folder.view(), &publications)?.write(&folder.publish())?;
        Ok((changed, publications))
    };
    let (changed, publications) = done().map_err(|error| failure::spark(&error))?;
    let periods: Vec<String> = publications.iter().map(|one| one.period.folder()).collect();
    say(global, &json!({ "raw_changed": changed, "to_publish": periods }), || {
        format!("{changed} raw partitions changed; to publish: {}", listed(&periods))
    });
    Ok(())
}

fn publish(global: &Global, project: &Project, folder: &RunFolder) -> Result<(), Failure> {
    let settings = Settings::read(&project.file).map_err(|error| failure::daggen(&error))?;
    let done = || -> Result<PublishReport, trivium_spark::Error> {
        let result = JobResult::read(&folder.publish())?;
        let publications = folder.publications()?;
        let mut moved = reached(folder.view(), &[folder.period()]);
        moved.extend(publications.iter().map(|one| one.period));
        let report = jobs::publish(folder.steps(), &[folder.period()], publications, &result)?;
        // The table is of all that was ever published: nobody reads that for nothing.
        if !settings.airflow.tables {
            return Ok(report);
        }
        let lake = parts::lake(project);
        let reference = folder.view().reference();
        let published = lake.all_partitions(&reference, Layer::Published)?;
        let root = lake.view_folder(&reference);
        let table = jobs::table(folder.view(), &root, &published, &moved)?;
        table.write(&folder.table())?;
        Ok(report)
    };
    let report = done().map_err(|error| failure::spark(&error))?;
    let folders = |periods: &[Period]| periods.iter().map(Period::folder).collect::<Vec<_>>();
    let changed: Vec<String> = report.changed.iter().map(|one| one.period.folder()).collect();
    let answer = json!({
        "published": changed,
        "unchanged": folders(&report.unchanged),
        "left_to_another_run": folders(&report.left),
    });
    say(global, &answer, || format!("published: {}", listed(&changed)));
    Ok(())
}

fn listed(words: &[String]) -> String {
    if words.is_empty() { "nothing, all is there".to_owned() } else { words.join(", ") }
}

fn say(global: &Global, answer: &serde_json::Value, text: impl FnOnce() -> String) {
    match global.output {
        Output::Json => output::json(answer),
        Output::Table => output::line(text()),
    }
}

/// Runs a blocking piece of a Spark run.
pub async fn on_a_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, trivium_spark::Error> + Send + 'static,
) -> Result<T, Failure> {
    let done = tokio::task::spawn_blocking(work).await;
    let done = done.map_err(|error| ApiError::new(Kind::Internal, error.to_string()))?;
    done.map_err(|error| failure::spark(&error))
}
