//! `trivium run --date`: what a run of the view's DAG does, in this process.
//!
//! The steps and their order are those of the generated file; each can be done again at any time, so that what
//! was killed is mended by the same command.

use serde_json::{Value as Json, json};
use trivium_api::ApiError;
use trivium_offline::Period;
use trivium_registry::{Snapshot, StoredView};
use trivium_runtime::{Kind, Shutdown};
use trivium_sql::publish::lookback_periods;

use crate::{
    args::{Global, Instant, RecordArgs, RunArgs, TagArgs},
    args_record::PeriodArgs,
    failure::{self, Failure},
    project::Project,
    sources::Upstream,
    verbs::{materialize, record, table, tag},
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
        let ran = (period.start, period.end);
        if let Some(table) = table::follow(project, args.engine, view, ran, shutdown).await? {
            told["table"] = table.into();
        }
        let stop_asked = || match shutdown.is_triggered() {
            true => Err(failure::offline(&trivium_offline::Error::Stopped)),
            false => Ok(()),
        };
        stop_asked()?;
        if view.online {
            let rows_per_second = settings.tier(view.urgency_tier).rows_per_second;
            let options = materialize::options(shutdown.clone(), rows_per_second);
            let loaded =
                materialize::load(global, project, snapshot, &[stored], None, options).await?;
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
}
