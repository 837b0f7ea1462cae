//! The view's table in the metastore follows what is published.

use std::collections::BTreeSet;

use trivium_model::{FeatureView, Timestamp};
use trivium_offline::{Layer, Period, periods, schedule};
use trivium_runtime::Shutdown;
use trivium_spark::{jobs, scratch::Scratch};
use trivium_sql::publish::lookback_periods;

use crate::{
    args::Engine,
    failure::{self, Failure},
    output, parts,
    project::Project,
    verbs::step::on_a_thread,
};

/// The periods, and those behind them that are published again when one of them changes. A run that
/// was killed may have published any of them without moving the table.
pub fn reached(view: &FeatureView, run: &[Period]) -> BTreeSet<Period> {
    let behind = 0..=i64::from(lookback_periods(view));
    run.iter().flat_map(|period| behind.clone().map(|later| period.shifted(later))).collect()
}

/// After a run of `[from, to)`; gives the table's name where it was moved. Only Spark can: after a
/// run on the local engine it is told that the table stays.
pub async fn follow(
    project: &Project,
    engine: Engine,
    view: &FeatureView,
    (from, to): (Timestamp, Timestamp),
    shutdown: &Shutdown,
) -> Result<Option<String>, Failure> {
    if !project.settings.airflow.tables {
        return Ok(None);
    }
    let reference = view.reference();
    if engine == Engine::Local {
        output::note(format!(
            "{} the table of {reference} in the metastore stays as it is: --engine spark moves it",
            output::paint(output::WARN, "note:"),
        ));
        return Ok(None);
    }
    let offline = |error| failure::offline(&error);
    let run = periods(schedule(view).map_err(offline)?, from, to).map_err(offline)?;
    let moved = reached(view, &run);
    let lake = parts::lake(project);
    let published = lake.all_partitions(&reference, Layer::Published).map_err(offline)?;
    let (project, view, shutdown) = (project.clone(), view.clone(), shutdown.clone());
    on_a_thread(move || {
        let scratch = Scratch::new(&project.data_dir)?;
        let job = jobs::table(&view, &lake.view_folder(&reference), &published, &moved)?;
        let submit = project.submit();
        let done = submit.run(&job, &scratch.path().join("table"), &|| shutdown.is_triggered());
        done.map(|_| format!("{}.{}", reference.namespace, jobs::table_name(&reference)))
    })
    .await
    .map(Some)
}
