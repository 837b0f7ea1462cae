//! `trivium streams`

use serde_json::json;
use trivium_api::ApiError;
use trivium_runtime::Kind;
use trivium_streamgen::{
    Settings,
    command::{How, What, as_json, as_table, generate, test},
    tree::Change,
};

use crate::{
    args::{Global, Output},
    args_streams::{StreamsArgs, StreamsVerb},
    failure::{self, Failure},
    output,
    project::Project,
};

/// Generates jobs, or runs the SQL of one.
pub async fn run(global: &Global, args: &StreamsArgs) -> Result<(), Failure> {
    let project = Project::find(global)?;
    let settings = Settings::read(&project.file).map_err(failure::streamgen)?;
    match &args.verb {
        StreamsVerb::Generate(how) => generate_jobs(global, &project, settings, how),
        StreamsVerb::Test(what) => {
            let what = what.clone();
            let format = global.output;
            let configs = project.configs.clone();
            // Flink takes its time.
            let run = move || test_view(format, &configs, settings, &what);
            let done = tokio::task::spawn_blocking(run).await;
            done.map_err(|error| ApiError::new(Kind::Internal, error.to_string()))?
        }
    }
}

fn generate_jobs(
    global: &Global,
    project: &Project,
    settings: Settings,
    how: &How,
) -> Result<(), Failure> {
    let outcome = generate(&project.configs, settings, how).map_err(failure::streamgen)?;
    let paths = |changes: &[Change]| {
        changes.iter().map(|change| change.path().to_owned()).collect::<Vec<_>>()
    };
    match global.output {
        Output::Json => output::json(&json!({
            "jobs": outcome.jobs,
            "changes": paths(&outcome.changes),
            "left": paths(&outcome.left),
            "findings": outcome.warnings,
        })),
        Output::Table => {
            for change in &outcome.changes {
                let sign = match change {
                    Change::Add(_) => '+',
                    Change::Remove(_) => '-',
                    _ => '~',
                };
                output::line(format!("{sign} {}", change.path()));
            }
            output::line(format!("{} jobs, {} changes", outcome.jobs, outcome.changes.len()));
            outcome.warnings.iter().for_each(output::finding);
        }
    }
    let Some(kind) = outcome.kind(how.check) else { return Ok(()) };
    let (message, help) = match outcome.left.first() {
        Some(Change::Foreign(path)) => (
            format!("{path} is not made by Trivium"),
            "move it away: a job of a view belongs there",
        ),
        Some(edited) => (
            format!("{} was edited by hand", edited.path()),
            "bring the edit into the view's files and use --force",
        ),
        None => (
            format!("{} files are not what the configs give", outcome.changes.len()),
            "run `trivium streams generate` and commit what it writes",
        ),
    };
    Err(ApiError::new(kind, message).at(how.out.display().to_string()).help(help).into())
}

fn test_view(
    format: Output,
    configs: &std::path::Path,
    settings: Settings,
    what: &What,
) -> Result<(), Failure> {
    let (view, rows) = test(configs, settings, what).map_err(failure::streamgen)?;
    match format {
        Output::Json => output::json(&as_json(&rows)),
        Output::Table => output::line(as_table(&view, &rows).trim_end()),
    }
    let Some((payload, why)) = rows.refused.first() else { return Ok(()) };
    let message = format!(
        "{} of {} payloads would be dead-lettered, first: {why}",
        rows.refused.len(),
        rows.refused.len() + rows.rows.len()
    );
    Err(ApiError::new(Kind::FailedPrecondition, message)
        .at(payload)
        .help("let the query give what the view's columns take, and no null join key or event time")
        .into())
}
