//! `trivium dags`

use std::process::{Command, Stdio};

use serde_json::json;
use trivium_api::ApiError;
use trivium_daggen::{
    Change,
    command::{GenerateArgs, Places, difference, generate},
};
use trivium_model::ViewRef;
use trivium_runtime::Kind;

use crate::{
    args::{Global, Output},
    args_dags::{DagsArgs, DagsVerb, Folder, TestArgs},
    failure::{self, Failure},
    output,
    project::{Project, show_instant},
};

/// Generates, shows or tests DAGs.
pub async fn run(global: &Global, args: &DagsArgs) -> Result<(), Failure> {
    let project = Project::find(global)?;
    match &args.verb {
        DagsVerb::Generate(args) => {
            generate_dags(global, &project, &args.folder, args.check, args.force)
        }
        DagsVerb::Diff(folder) => diff(&project, folder),
        DagsVerb::Test(args) => {
            let (project, args) = (project.clone(), test_of(args)?);
            let done = tokio::task::spawn_blocking(move || args.run(&project)).await;
            done.map_err(|error| ApiError::new(Kind::Internal, error.to_string()))?
        }
    }
}

fn arguments(project: &Project, folder: &Folder, check: bool, force: bool) -> GenerateArgs {
    let places = Places {
        configs: project.configs.clone(),
        out: folder.out.clone(),
        project: project.file.clone(),
    };
    GenerateArgs { places, check, force }
}

fn generate_dags(
    global: &Global,
    project: &Project,
    folder: &Folder,
    check: bool,
    force: bool,
) -> Result<(), Failure> {
    let outcome = generate(&arguments(project, folder, check, force))
        .map_err(|error| failure::daggen(&error))?;
    let paths = |changes: &[Change]| {
        changes.iter().map(|change| change.path().to_owned()).collect::<Vec<_>>()
    };
    match global.output {
        Output::Json => output::json(&json!({
            "dags": outcome.dags,
            "changes": paths(&outcome.changes),
            "left": paths(&outcome.left),
            "findings": outcome.findings,
        })),
        Output::Table => {
            for change in &outcome.changes {
                output::line(format!("{} {}", sign(change), change.path()));
            }
            output::line(format!("{} DAGs, {} changes", outcome.dags, outcome.changes.len()));
        }
    }
    let is_wrong = outcome.findings.iter().any(trivium_model::Diagnostic::is_error);
    if !is_wrong && global.output == Output::Table {
        outcome.findings.iter().for_each(output::finding);
    }
    let Some(kind) = outcome.kind(check) else { return Ok(()) };
    if is_wrong {
        let help = "correct the files; their DAGs stay as they are until then";
        return Err(Failure::findings(outcome.findings, help));
    }
    let (message, help) = match outcome.left.first() {
        Some(Change::Foreign(path)) => (
            format!("{path} is not made by Trivium"),
            "move it away: a DAG of a view belongs there",
        ),
        Some(edited) => (
            format!("{} was edited by hand", edited.path()),
            "bring the edit into the view's files and use --force",
        ),
        None => (
            format!("{} files are not what the configs give", outcome.changes.len()),
            "run `trivium dags generate` and commit what it writes",
        ),
    };
    Err(ApiError::new(kind, message).at(folder.out.display().to_string()).help(help).into())
}

fn sign(change: &Change) -> char {
    match change {
        Change::Add(_) => '+',
        Change::Remove(_) => '-',
        _ => '~',
    }
}

fn diff(project: &Project, folder: &Folder) -> Result<(), Failure> {
    let (text, findings) = difference(&arguments(project, folder, true, true))
        .map_err(|error| failure::daggen(&error))?;
    if findings.iter().any(trivium_model::Diagnostic::is_error) {
        if !text.is_empty() {
            output::line(text.trim_end());
        }
        let help = "correct the files; their DAGs stay as they are until then";
        return Err(Failure::findings(findings, help));
    }
    findings.iter().for_each(output::finding);
    if text.is_empty() {
        output::note("the DAGs are what the configs give");
    } else {
        output::line(text.trim_end());
    }
    Ok(())
}

/// A test of a DAG, its arguments checked.
struct Test {
    view: ViewRef,
    date: String,
    folder: Folder,
    airflow: std::ffi::OsString,
}

fn test_of(args: &TestArgs) -> Result<Test, Failure> {
    let view: ViewRef = args.view.parse().map_err(|error| {
        ApiError::invalid(format!("`{}` is no view: {error}", args.view))
            .at("VIEW")
            .help("name it like flights/carrier_daily@1")
    })?;
    Ok(Test {
        view,
        date: show_instant(args.date.0),
        folder: args.folder.clone(),
        airflow: args.airflow.clone(),
    })
}

impl Test {
    fn run(&self, project: &Project) -> Result<(), Failure> {
        let ViewRef { namespace, view, version } = &self.view;
        let file = self.folder.out.join(namespace.as_str()).join(format!("{view}_v{version}.py"));
        if !file.is_file() {
            return Err(ApiError::not_found("the view has no DAG there")
                .at(file.display().to_string())
                .help("`trivium dags generate` writes it")
                .into());
        }
        let absolute = |path: &std::path::Path| {
            std::path::absolute(path).map_err(|error| failure::file(path, &error))
        };
        let dag = format!("{namespace}.{view}.v{version}");
        let mut command = Command::new(&self.airflow);
        command
            .args(["dags", "test", &dag, &self.date])
            .env("AIRFLOW__CORE__DAGS_FOLDER", absolute(&self.folder.out)?)
            .env("AIRFLOW__CORE__LOAD_EXAMPLES", "False")
            .env("TRIVIUM_PROJECT", absolute(&project.file)?)
            // The DAG leaves its deadline out: Airflow would fail over it, with all tasks done.
            .env("TRIVIUM_DAGS_TEST", "1")
            .stdin(Stdio::null());
        let status = command.status().map_err(|error| {
            let help = "install Airflow, or name its command with --airflow";
            let failed = failure::io(&self.airflow.to_string_lossy(), &error);
            Failure { error: failed.error.help(help), findings: failed.findings }
        })?;
        if status.success() {
            output::line(format!("{} {dag} for {}", output::paint(output::GOOD, "ran"), self.date));
            return Ok(());
        }
        Err(ApiError::new(Kind::FailedPrecondition, format!("the run of {dag} failed ({status})"))
            .help("Airflow's own output above says which task, and why")
            .into())
    }
}
