//! What can be typed, for `trivium-streamgen` and for `trivium streams` alike.

use std::{
    io::Write,
    path::{Path, PathBuf},
};

use clap::{Args, Parser, Subcommand, ValueEnum};
use serde_json::{Value as Json, json};
use trivium_model::{Diagnostic, ViewRef};
use trivium_registry::project::{Project, ProjectView, load_project_beside, read_folder};
use trivium_runtime::Kind;

use crate::{
    Error, Settings,
    job::Generator,
    local::{self, Flink, Rows},
    settings::FILE,
    tree::{Change, Plan},
};

/// Flink jobs from stream views.
#[derive(Debug, Parser)]
#[command(name = "trivium-streamgen", version, propagate_version = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

/// What can be done with jobs.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Write the jobs of all stream views that have SQL or `window.job`, and remove those of views that went.
    Generate(GenerateArgs),
    /// Run a view's SQL on a local Flink over recorded events, and show the rows.
    Test(TestArgs),
}

/// Where the project is.
#[derive(Debug, Clone, Args)]
pub struct Places {
    /// The configs folder.
    #[arg(long, value_name = "DIR", default_value = "configs")]
    pub configs: PathBuf,
    /// The project file, for its section `flink`.
    #[arg(long, value_name = "FILE", env = "TRIVIUM_PROJECT", default_value = FILE)]
    pub project: PathBuf,
}

/// See [`Verb::Generate`].
#[derive(Debug, Clone, Args)]
pub struct GenerateArgs {
    /// From where.
    #[command(flatten)]
    pub places: Places,
    /// How.
    #[command(flatten)]
    pub how: How,
}

/// How jobs are written.
#[derive(Debug, Clone, Args)]
pub struct How {
    /// The folder of jobs.
    #[arg(long, value_name = "DIR", default_value = "streams")]
    pub out: PathBuf,
    /// Change nothing; exit code 4 where something would change.
    #[arg(long)]
    pub check: bool,
    /// Overwrite, and remove, files that somebody has edited.
    #[arg(long)]
    pub force: bool,
}

/// See [`Verb::Test`].
#[derive(Debug, Clone, Args)]
pub struct TestArgs {
    /// From where.
    #[command(flatten)]
    pub places: Places,
    /// What to run.
    #[command(flatten)]
    pub what: What,
    /// How rows are shown.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub format: Format,
}

/// What is run locally.
#[derive(Debug, Clone, Args)]
pub struct What {
    /// The view, such as flights/airport_congestion@1.
    #[arg(value_name = "VIEW")]
    pub view: String,
    /// The events: lines of `{"input": "NAME", "value": {…}}`.
    #[arg(long, value_name = "FILE")]
    pub events: PathBuf,
    /// The folder of a Flink, with `lib` and `opt`; where it is left out, what scripts/flink-env made.
    #[arg(long, value_name = "DIR", env = "TRIVIUM_FLINK")]
    pub flink: Option<PathBuf>,
}

/// How rows are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Table,
    /// For programs.
    Json,
}

/// How generating ended.
#[derive(Debug)]
pub struct Outcome {
    /// What was done, or with `--check` would be.
    pub changes: Vec<Change>,
    /// What was left alone though it is not as it should be.
    pub left: Vec<Change>,
    /// Jobs that there are to be.
    pub jobs: usize,
    /// Warnings of the configs of stream views.
    pub warnings: Vec<Diagnostic>,
}

impl Outcome {
    /// What it means for the exit code; `None` where all is well.
    pub fn kind(&self, check: bool) -> Option<Kind> {
        if !self.left.is_empty() {
            Some(Kind::FailedPrecondition)
        } else if check && !self.changes.is_empty() {
            Some(Kind::Conflict)
        } else {
            None
        }
    }
}

/// Reads a configs folder. Nothing is made of configs that have errors.
pub fn definitions(configs: &Path) -> Result<Project, Error> {
    let shown = |mut finding: Diagnostic| {
        finding.path = configs.join(&finding.path).display().to_string();
        finding
    };
    let files = read_folder(configs).map_err(Error::io("read", configs))?;
    let unread: Vec<String> = files.findings.iter().map(|finding| finding.path.clone()).collect();
    let loaded = load_project_beside(&files.files, &unread);
    if !files.findings.is_empty() || loaded.is_err() {
        let found = files.findings.into_iter().chain(loaded.err().into_iter().flatten());
        return Err(Error::Findings(found.map(shown).collect()));
    }
    let mut project = loaded.map_err(Error::Findings)?;
    project.warnings = project.warnings.into_iter().map(shown).collect();
    Ok(project)
}

/// Generates once.
pub fn generate(configs: &Path, settings: Settings, how: &How) -> Result<Outcome, Error> {
    let project = definitions(configs)?;
    let generator = Generator::new(settings)?;
    let mut plan = Plan::default();
    for view in project.views.values() {
        if let Some(generated) = generator.render(view)? {
            plan.add(generated);
        }
    }
    let is_blocked = |change: &Change| match change {
        Change::Edited(_) => !how.force,
        Change::Foreign(_) => true,
        _ => false,
    };
    let (left, changes): (Vec<Change>, Vec<Change>) =
        plan.changes(&how.out)?.into_iter().partition(is_blocked);
    if !how.check {
        plan.apply(&how.out, &changes)?;
    }
    let warnings = project.warnings.into_iter().filter(|one| one.code == "sql-unchecked").collect();
    Ok(Outcome { changes, left, jobs: plan.jobs(), warnings })
}

/// Runs a view's SQL over recorded events.
pub fn test(configs: &Path, settings: Settings, what: &What) -> Result<(ProjectView, Rows), Error> {
    let view: ViewRef = what.view.parse().map_err(|error| Error::Invalid {
        place: "VIEW".to_owned(),
        message: format!("`{}` is no view: {error}", what.view),
        help: "name it like flights/airport_congestion@1".to_owned(),
    })?;
    let mut project = definitions(configs)?;
    let Some(mut loaded) = project.views.remove(&view) else {
        return Err(Error::Invalid {
            place: "VIEW".to_owned(),
            message: format!("{} has no view {view}", configs.display()),
            help: "name one that it has".to_owned(),
        });
    };
    // As the person would name the file.
    loaded.flink = loaded.flink.map(|query| query.at(configs));
    let path = what.events.display().to_string();
    let text = std::fs::read_to_string(&what.events).map_err(Error::io("read", &what.events))?;
    let events = local::events(&loaded.view, &path, &text)?;
    let flink = Flink::find(what.flink.as_deref())?;
    let rows = local::run(&Generator::new(settings)?, &flink, &loaded, &events)?;
    Ok((loaded, rows))
}

/// Rows as JSON.
pub fn as_json(rows: &Rows) -> Json {
    let refused = rows.refused.iter();
    json!({
        "rows": rows.rows,
        "refused": refused
            .map(|(payload, why)| json!({ "payload": payload, "why": why }))
            .collect::<Vec<_>>(),
    })
}

/// Rows as a table, columns in the view's order.
pub fn as_table(view: &ProjectView, rows: &Rows) -> String {
    let view = &view.view;
    let names: Vec<&str> = view
        .entities
        .iter()
        .map(|entity| entity.name.as_str())
        .chain([view.event_timestamp.as_str()])
        .chain(view.features.iter().map(|feature| feature.name.as_str()))
        .collect();
    let shown = |value: Option<&Json>| match value {
        None => String::new(),
        Some(Json::String(text)) => text.escape_debug().to_string(),
        Some(value) => value.to_string(),
    };
    let head = names.iter().map(|name| (*name).to_owned()).collect();
    let body = rows.rows.iter().map(|row| names.iter().map(|name| shown(row.get(*name))).collect());
    let lines: Vec<Vec<String>> = std::iter::once(head).chain(body).collect();
    let width = |column: usize| {
        lines.iter().filter_map(|line| line.get(column)).map(|cell| cell.chars().count()).max()
    };
    let widths: Vec<usize> = (0..names.len()).map(|column| width(column).unwrap_or(0)).collect();
    let mut text = String::new();
    for line in &lines {
        let cells = line.iter().zip(&widths);
        let padded: Vec<String> = cells.map(|(cell, width)| format!("{cell:width$}")).collect();
        text.push_str(padded.join("  ").trim_end());
        text.push('\n');
    }
    text
}

/// Runs a command line; gives the exit code.
pub fn run(cli: &Cli, out: &mut dyn Write, err: &mut dyn Write) -> u8 {
    let result = match &cli.verb {
        Verb::Generate(args) => run_generate(args, out, err),
        Verb::Test(args) => run_test(args, out, err),
    };
    match result {
        Ok(None) => 0,
        Ok(Some(kind)) => kind.exit(),
        Err(error) => {
            if let Error::Findings(findings) = &error {
                for finding in findings {
                    let _ = writeln!(err, "{finding}");
                }
            }
            let _ = writeln!(err, "error[{}]: {error}", error.kind().code());
            error.kind().exit()
        }
    }
}

fn run_generate(
    args: &GenerateArgs,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Result<Option<Kind>, Error> {
    let settings = Settings::read(&args.places.project)?;
    let outcome = generate(&args.places.configs, settings, &args.how)?;
    // Who closed the pipe does not want to know.
    for change in &outcome.changes {
        let sign = match change {
            Change::Add(_) => '+',
            Change::Remove(_) => '-',
            _ => '~',
        };
        let _ = writeln!(out, "{sign} {}", change.path());
    }
    let _ = writeln!(out, "{} jobs, {} changes", outcome.jobs, outcome.changes.len());
    for warning in &outcome.warnings {
        let _ = writeln!(err, "{warning}");
    }
    for change in &outcome.left {
        let why = match change {
            Change::Foreign(_) => "is not made by Trivium: move it away",
            _ => "was edited by hand: take the edit back, or use --force",
        };
        let _ = writeln!(err, "{}: {why}", args.how.out.join(change.path()).display());
    }
    Ok(outcome.kind(args.how.check))
}

fn run_test(
    args: &TestArgs,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Result<Option<Kind>, Error> {
    let settings = Settings::read(&args.places.project)?;
    let (view, rows) = test(&args.places.configs, settings, &args.what)?;
    let _ = match args.format {
        Format::Json => writeln!(out, "{:#}", as_json(&rows)),
        Format::Table => write!(out, "{}", as_table(&view, &rows)),
    };
    for (payload, why) in &rows.refused {
        let _ = writeln!(err, "would be dead-lettered: {why}: {payload}");
    }
    Ok((!rows.refused.is_empty()).then_some(Kind::FailedPrecondition))
}
