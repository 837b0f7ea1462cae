//! `trivium backfill --airflow`: the same range by Airflow's own backfill of the view's DAG.
//!
//! Airflow keeps account of its runs, goes on after a crash, and runs periods anew that it has run before; the
//! journal of local backfills has no part in it.

use std::{
    ffi::OsStr,
    process::{Command, Stdio},
};

use serde_json::json;
use trivium_api::ApiError;
use trivium_registry::StoredView;
use trivium_runtime::Kind;

use super::plan::Plan;
use crate::{
    args::{Global, Output},
    args_author::BackfillArgs,
    failure::{self, Failure},
    output,
    project::show_instant,
};

/// Asks Airflow for the plan's range.
pub async fn create(
    global: &Global,
    plan: &Plan,
    stored: &StoredView,
    args: &BackfillArgs,
    airflow: &OsStr,
) -> Result<(), Failure> {
    let view = &stored.view;
    let dag = format!("{}.{}.v{}", view.namespace, view.name, view.version);
    let parallel = args.parallel.map_or(1, std::num::NonZero::get);
    let (first, last) = plan.range;
    let mut command = Command::new(airflow);
    command
        .args(["backfill", "create", "--dag-id", &dag])
        .args(["--from-date", &show_instant(first.start), "--to-date", &show_instant(last.start)])
        .args(["--max-active-runs", &parallel.to_string(), "--reprocess-behavior", "completed"])
        .stdin(Stdio::null())
        // Standard output is for what this command says.
        .stdout(Stdio::from(std::io::stderr()));
    let done = tokio::task::spawn_blocking(move || command.status()).await;
    let done = done.map_err(|error| ApiError::internal(error.to_string()))?.map_err(|error| {
        let failed = failure::io(&airflow.to_string_lossy(), &error);
        let help = "install Airflow, or name its command after --airflow";
        Failure { error: failed.error.help(help), findings: failed.findings }
    })?;
    if !done.success() {
        let message = format!("Airflow took no backfill of {dag} ({done})");
        return Err(ApiError::new(Kind::FailedPrecondition, message)
            .help("its own output above says why: does it know the DAG, is a backfill of it under way?")
            .into());
    }
    match global.output {
        Output::Json => output::json(&json!({ "plan": plan, "airflow": { "dag": dag } })),
        Output::Table => output::line(format!(
            "{} a backfill of {dag}, {} periods: Airflow runs it while the DAG is not paused",
            output::paint(output::GOOD, "created"),
            plan.periods,
        )),
    }
    Ok(())
}
