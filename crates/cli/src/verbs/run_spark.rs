//! `trivium run --engine spark`: the steps of a generated DAG, in this process, with `spark-submit`.
//!
//! Some periods share a job, since a JVM costs more than a day's query.

use std::sync::Arc;

use trivium_model::FeatureView;
use trivium_offline::{
    CheckResult, Period,
    run::{
        RunProgress, RunReport, RunRequest,
        steps::{PublishReport, Steps},
    },
};
use trivium_runtime::Shutdown;
use trivium_spark::{job::JobTable, jobs, scratch::Scratch, submit::Submit};

use crate::{
    failure::{self, Failure},
    parts,
    project::Project,
    sources::Upstream,
    verbs::step::{on_a_thread, spark_tables},
};

/// Periods of one job: what a crash can lose.
const PERIODS_OF_A_JOB: usize = 32;

/// Runs a view's periods on Spark.
pub async fn run(
    project: &Project,
    request: &RunRequest,
    upstream: &Upstream,
    shutdown: &Shutdown,
    progress: &dyn RunProgress,
) -> Result<RunReport, Failure> {
    let offline = |error| failure::offline(&error);
    let view = &request.view;
    let schedule = trivium_offline::schedule(view).map_err(offline)?;
    let periods = trivium_offline::periods(schedule, request.from, request.to).map_err(offline)?;
    let tables = spark_tables(project, request.query.tables(), upstream).await?;
    let steps =
        Steps::new(parts::lake(project), Arc::clone(view), Arc::clone(&request.query), "spark");
    let work = Work {
        steps: steps.map_err(offline)?,
        tables: Arc::new(tables),
        submit: Arc::new(project.submit()),
        shutdown: shutdown.clone(),
        scratch: Arc::new(Scratch::new(&project.data_dir).map_err(|error| failure::spark(&error))?),
    };
    progress.started(periods.len());
    let mut report = RunReport { periods: periods.len(), ..RunReport::default() };
    let mut outcome = Ok(());
    for group in periods.chunks(PERIODS_OF_A_JOB) {
        if shutdown.is_triggered() {
            outcome = Err(failure::offline(&trivium_offline::Error::Stopped));
            break;
        }
        outcome = work.group(view, group.to_vec(), &mut report, progress).await;
        if outcome.is_err() {
            break;
        }
    }
    outcome.map(|()| report)
}

struct Work {
    steps: Steps,
    tables: Arc<Vec<JobTable>>,
    submit: Arc<Submit>,
    scratch: Arc<Scratch>,
    shutdown: Shutdown,
}

impl Work {
    async fn group(
        &self,
        view: &Arc<FeatureView>,
        periods: Vec<Period>,
        report: &mut RunReport,
        progress: &dyn RunProgress,
    ) -> Result<(), Failure> {
        let (steps, tables, submit) =
            (self.steps.clone(), Arc::clone(&self.tables), Arc::clone(&self.submit));
        let (scratch, own, view) = (Arc::clone(&self.scratch), periods, Arc::clone(view));
        let shutdown = self.shutdown.clone();
        let done = on_a_thread(move || {
            let is_stopped = || shutdown.is_triggered();
            let mut done = Done::default();
            let extract = jobs::extraction(&steps, &own, &tables)?;
            let result = submit.run(&extract, &scratch.path().join("extract"), &is_stopped)?;
            let mut good = Vec::new();
            // Those before one that fails stay done, as on the local engine.
            for (at, period) in own.iter().enumerate() {
                let checked = match jobs::check(&steps, at, *period, &result) {
                    Ok(checked) => checked,
                    Err(error) => {
                        done.failed = Some(error);
                        break;
                    }
                };
                done.raw_changed += usize::from(steps.publish_raw(&checked)?.is_some());
                let failed = checked.quality().iter().filter(|check| !check.passed);
                done.checked.push(Judged {
                    period: *period,
                    rows: checked.rows() as u64,
                    raw_sha256: checked.content_hash().to_owned(),
                    warnings: failed.cloned().collect(),
                });
                good.push(*period);
            }
            let publications = steps.publications(&good)?;
            if !publications.is_empty() {
                let job = jobs::publication(&view, &publications)?;
                let result = submit.run(&job, &scratch.path().join("publish"), &is_stopped)?;
                done.published = jobs::publish(&steps, &good, publications, &result)?;
            }
            Ok(done)
        })
        .await?;
        report.raw_changed += done.raw_changed;
        let changed = &done.published.changed;
        report.published_changed += changed.len();
        report.published_rows += changed.iter().map(|one| one.pointer.rows).sum::<u64>();
        let is_changed = |period: &Period| changed.iter().any(|one| one.period == *period);
        report.unchanged += done.checked.iter().filter(|one| !is_changed(&one.period)).count();
        for Judged { period, rows, raw_sha256, warnings } in done.checked {
            report.raw_rows += rows;
            for check in warnings {
                progress.warned(period, &check);
                report.warnings.push((period.folder(), check));
            }
            progress.raw_written(period, &raw_sha256);
            progress.period_done(period, rows);
        }
        done.failed.map_or(Ok(()), |error| Err(failure::spark(&error)))
    }
}

/// What a group of periods came to.
#[derive(Default)]
struct Done {
    raw_changed: usize,
    checked: Vec<Judged>,
    published: PublishReport,
    /// Why the group ended before its last period.
    failed: Option<trivium_spark::Error>,
}

/// A period whose checks let it through.
struct Judged {
    period: Period,
    rows: u64,
    raw_sha256: String,
    /// The checks that did not hold.
    warnings: Vec<CheckResult>,
}
