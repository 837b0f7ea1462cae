//! `trivium run --date`: what a run of the view's DAG does, in this process.
//!
//! The steps and their order are those of the generated file; each can be done again at any time, so that what
//! was killed is mended by the same command.

use std::num::NonZeroU32;

use serde_json::{Value as Json, json};
use trivium_api::ApiError;
use trivium_offline::{Layer, Period};
use trivium_registry::{Snapshot, StoredView};
use trivium_runtime::{Kind, Shutdown};
use trivium_spark::{jobs, scratch::Scratch};
use trivium_sql::publish::lookback_periods;

use crate::{
    args::{Engine, Global, Instant, RecordArgs, RunArgs, TagArgs},
    args_record::PeriodArgs,
    failure::{self, Failure},
    output, parts,
    project::Project,
    sources::Upstream,
    verbs::{materialize, record, step::on_a_thread, tag},
};

/// Fails where the period's input is not there yet: nobody looks again.
pub fn wait(
    project: &Project,
    tables: &[String],
    period: Period,
    upstream: &Upstream,
) -> Result<(), Failure> {
    let missing = project.sources.not_ready(tables, period, upstream)?;
    let Some(first) = missing.first() else { return Ok(()) };
    Err(ApiError::new(Kind::Unavailable, format!("not there yet: {}", missing.join(", ")))
        .at(first.split(':').next().unwrap_or_default().to_owned())
        .help("a DAG would wait; run it again when it is there")
        .into())
}

/// A run of one period.
pub struct Run<'r> {
    /// The command line.
    pub global: &'r Global,
    /// The verb's.
    pub args: &'r RunArgs,
    /// Where it runs.
    pub project: &'r Project,
    /// What was accepted.
    pub snapshot: &'r Snapshot,
}

impl Run<'_> {
    /// What comes after the period is published; gives what programs are told.
    pub async fn rest(
        &self,
        stored: &StoredView,
        period: Period,
        shutdown: &Shutdown,
    ) -> Result<Json, Failure> {
        let Self { global, args, project, snapshot } = *self;
        let view = &stored.view;
        let settings = &project.settings;
        let mut told = json!({});
        if settings.airflow.tables {
            match args.engine {
                Engine::Spark => {
                    told["table"] = self.table(stored, period, shutdown.clone()).await?
                }
                Engine::Local => output::note(format!(
                    "{} the table in the metastore stays as it is: --engine spark moves it",
                    output::paint(output::WARN, "note:"),
                )),
            }
        }
        let stop_asked = || match shutdown.is_triggered() {
            true => Err(failure::offline(&trivium_offline::Error::Stopped)),
            false => Ok(()),
        };
        stop_asked()?;
        if view.online {
            let rows_per_second = settings.tier(view.urgency_tier).rows_per_second;
            let rows_per_second = rows_per_second.and_then(NonZeroU32::new);
            let loaded =
                materialize::load(global, project, snapshot, &[stored], None, rows_per_second)
                    .await?;
            told["materialized"] = loaded.into_iter().next().unwrap_or_default();
        }
        stop_asked()?;
        let name = view.reference().to_string();
        let first = Instant(period.start);
        if let Some(catalog) = &settings.airflow.catalog {
            let args = TagArgs {
                view: name.clone(),
                date: Some(first),
                out: catalog.into(),
                registry: args.registry.clone(),
            };
            told["tagged"] = tag::tag(global, &args).await?;
        }
        let last = period.shifted(i64::from(lookback_periods(view)));
        let args = RecordArgs {
            view: name,
            // The period, and those behind it that were published again.
            periods: PeriodArgs { date: None, from: Some(first), to: Some(Instant(last.start)) },
            registry: args.registry.clone(),
            author: None,
            run_id: None,
            started: None,
            finished: None,
            again: false,
            failed: None,
        };
        told["recorded"] = record::record(global, &args).await?;
        Ok(told)
    }

    /// Moves the table in the metastore to what is published.
    async fn table(
        &self,
        stored: &StoredView,
        period: Period,
        shutdown: Shutdown,
    ) -> Result<Json, Failure> {
        let (project, view) = (self.project.clone(), stored.view.clone());
        let submit = project.submit();
        let lake = parts::lake(&project);
        let reference = view.reference();
        let published = lake
            .all_partitions(&reference, Layer::Published)
            .map_err(|error| failure::offline(&error))?;
        let reached = 0..=i64::from(lookback_periods(&view));
        let moved = reached.map(|later| period.shifted(later)).collect();
        let table = on_a_thread(move || {
            let scratch = Scratch::new(&project.data_dir)?;
            let job = jobs::table(&view, &lake.view_folder(&reference), &published, &moved)?;
            let done = submit.run(&job, &scratch.path().join("table"), &|| shutdown.is_triggered());
            done.map(|_| format!("{}.{}", reference.namespace, jobs::table_name(&reference)))
        })
        .await?;
        Ok(table.into())
    }
}
