//! `trivium run --engine spark`: the steps of a generated DAG, in this process, with `spark-submit`.
//!
//! Some periods share a job, since a JVM costs more than a day's query.

use std::sync::Arc;

use trivium_model::FeatureView;
use trivium_offline::{
    CheckResult, Period,
    run::{RunProgress, RunReport, RunRequest, steps::Steps},
};
use trivium_runtime::Shutdown;
use trivium_spark::{job::JobTable, jobs, submit::Submit};
use uuid::Uuid;

use crate::{
    failure::{self, Failure},
    parts,
    project::Project,
    verbs::step::{on_a_thread, spark_tables},
};

/// Periods of one job: what a crash can lose.
const PERIODS_OF_A_JOB: usize = 32;

/// Runs a view's periods on Spark.
pub async fn run(
    project: &Project,
    request: &RunRequest,
    shutdown: &Shutdown,
    progress: &dyn RunProgress,
) -> Result<RunReport, Failure> {
    let offline = |error| failure::offline(&error);
    let view = &request.view;
    let schedule = trivium_offline::schedule(view).map_err(offline)?;
    let periods = trivium_offline::periods(schedule, request.from, request.to).map_err(offline)?;
    let tables = spark_tables(project, request.query.tables()).await?;
    let steps =
        Steps::new(parts::lake(project), Arc::clone(view), Arc::clone(&request.query), "spark");
    let work = Work {
        steps: steps.map_err(offline)?,
        tables: Arc::new(tables),
        submit: Arc::new(project.submit()),
        folder: project.data_dir.join("runs").join(format!("spark-{}", Uuid::now_v7().simple())),
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
    // What Spark wrote there is in the lake by now, or not wanted.
    let folder = work.folder.clone();
    let _ = tokio::task::spawn_blocking(move || std::fs::remove_dir_all(folder)).await;
    outcome.map(|()| report)
}

struct Work {
    steps: Steps,
    tables: Arc<Vec<JobTable>>,
    submit: Arc<Submit>,
    folder: std::path::PathBuf,
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
        let (folder, own, view) = (self.folder.clone(), periods, Arc::clone(view));
        let (checked, raw_changed, published) = on_a_thread(move || {
            let extract = jobs::extraction(&steps, &own, &tables)?;
            let result = submit.run(&extract, &folder.join("extract"))?;
            let checked = jobs::check(&steps, &own, &result)?;
            let mut raw_changed = 0;
            for (_, one) in &checked {
                raw_changed += usize::from(steps.publish_raw(one)?.is_some());
            }
            let publications = steps.publications(&own)?;
            let published = if publications.is_empty() {
                None
            } else {
                let job = jobs::publication(&view, &publications)?;
                let result = submit.run(&job, &folder.join("publish"))?;
                Some(jobs::publish(&steps, &own, publications, &result)?)
            };
            let told: Vec<(Period, usize, Vec<CheckResult>)> = checked
                .into_iter()
                .map(|(period, one)| {
                    let failed = one.quality().iter().filter(|check| !check.passed);
                    (period, one.rows(), failed.cloned().collect())
                })
                .collect();
            Ok((told, raw_changed, published))
        })
        .await?;
        report.raw_changed += raw_changed;
        let changed = published.as_ref().map_or(0, |published| published.changed.len());
        report.published_changed += changed;
        report.published_rows += published
            .iter()
            .flat_map(|published| &published.changed)
            .map(|partition| partition.pointer.rows)
            .sum::<u64>();
        report.unchanged += checked.len().saturating_sub(changed);
        for (period, rows, failed) in checked {
            report.raw_rows += rows as u64;
            for check in failed {
                progress.warned(period, &check);
                report.warnings.push((period.folder(), check));
            }
            progress.period_done(period, rows as u64);
        }
        Ok(())
    }
}
