//! What can be typed, for `trivium-daggen` and for `trivium dags` alike.

use std::{path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand};
use trivium_model::Diagnostic;
use trivium_runtime::Kind;

use crate::{
    Change, Error, Settings,
    settings::FILE,
    source::{Source, commit_of},
    watch::{Look, Watcher, watch},
};

/// Airflow DAGs from feature views.
#[derive(Debug, Parser)]
#[command(name = "trivium-daggen", version, propagate_version = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

/// What the generator does.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Write the DAGs of all batch views, and remove those of views that went.
    Generate(GenerateArgs),
    /// Keep the DAGs up to date for ever: look at the configs every few seconds.
    Watch(WatchArgs),
}

/// From where to where.
#[derive(Debug, Clone, Args)]
pub struct Places {
    /// The configs folder.
    #[arg(long, value_name = "DIR", default_value = "configs")]
    pub configs: PathBuf,
    /// The DAGs folder: the one that Airflow reads.
    #[arg(long, value_name = "DIR", default_value = "dags")]
    pub out: PathBuf,
    /// The project file, for its sections `airflow` and `spark`.
    #[arg(long, value_name = "FILE", env = "TRIVIUM_PROJECT", default_value = FILE)]
    pub project: PathBuf,
}

/// See [`Verb::Generate`].
#[derive(Debug, Clone, Args)]
pub struct GenerateArgs {
    /// From where to where.
    #[command(flatten)]
    pub places: Places,
    /// Change nothing; exit code 4 where something would change.
    #[arg(long)]
    pub check: bool,
    /// Overwrite, and remove, DAGs that somebody has edited.
    #[arg(long)]
    pub force: bool,
}

/// See [`Verb::Watch`].
#[derive(Debug, Clone, Args)]
pub struct WatchArgs {
    /// From where to where.
    #[command(flatten)]
    pub places: Places,
    /// Seconds between two looks.
    #[arg(long, value_name = "SECONDS", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub interval: u64,
    /// Read the configs from this branch, tag or commit of the repository that `--configs` is in, whatever is
    /// checked out.
    #[arg(long, value_name = "REF")]
    pub git_ref: Option<String>,
}

/// How generating ended.
#[derive(Debug)]
pub struct Outcome {
    /// What was done, or with `--check` would be.
    pub changes: Vec<Change>,
    /// What was left alone though it is not as it should be.
    pub left: Vec<Change>,
    /// What is wrong in the configs.
    pub findings: Vec<Diagnostic>,
    /// DAGs that there are to be.
    pub dags: usize,
}

impl Outcome {
    /// What it means for the exit code; `None` where all is well.
    pub fn kind(&self, check: bool) -> Option<Kind> {
        if self.findings.iter().any(Diagnostic::is_error) {
            Some(Kind::InvalidArgument)
        } else if !self.left.is_empty() {
            Some(Kind::FailedPrecondition)
        } else if check && !self.changes.is_empty() {
            Some(Kind::Conflict)
        } else {
            None
        }
    }
}

/// Generates once.
pub fn generate(args: &GenerateArgs) -> Result<Outcome, Error> {
    let settings = Settings::read(&args.places.project)?;
    let mut watcher = Watcher::new(Source::Folder(args.places.configs.clone()), settings)?;
    let look = watcher.look()?;
    let changes = look.plan.changes(&args.places.out)?;
    let is_blocked = |change: &Change| match change {
        Change::Edited(_) => !args.force,
        Change::Foreign(_) => true,
        _ => false,
    };
    let (left, changes): (Vec<Change>, Vec<Change>) =
        changes.into_iter().partition(|change| is_blocked(change));
    if !args.check {
        look.plan.apply(&args.places.out, &changes, args.force)?;
    }
    Ok(Outcome {
        changes,
        left,
        findings: look.wrong.into_values().flatten().collect(),
        dags: look.plan.dags(),
    })
}

/// What generating would change, as a unified diff and a line for each definition that would go, and what is
/// wrong in the configs; empty where nothing would change.
pub fn difference(args: &GenerateArgs) -> Result<(String, Vec<Diagnostic>), Error> {
    let settings = Settings::read(&args.places.project)?;
    let look = Watcher::new(Source::Folder(args.places.configs.clone()), settings)?.look()?;
    let mut text = String::new();
    for change in look.plan.changes(&args.places.out)? {
        let path = change.path();
        if change.definition().is_some() {
            text.push_str(&format!("removed: {path}\n"));
            continue;
        }
        let now = std::fs::read_to_string(args.places.out.join(path)).unwrap_or_default();
        let then = look.plan.text(path).unwrap_or_default();
        let diff = similar::TextDiff::from_lines(now.as_str(), then);
        let (old, new) = (format!("a/{path}"), format!("b/{path}"));
        text.push_str(&diff.unified_diff().context_radius(3).header(&old, &new).to_string());
    }
    Ok((text, look.wrong.into_values().flatten().collect()))
}

/// Watches for ever.
pub fn watch_for_ever(args: &WatchArgs) -> Result<std::convert::Infallible, Error> {
    let settings = Settings::read(&args.places.project)?;
    let source = match &args.git_ref {
        None => Source::Folder(args.places.configs.clone()),
        Some(reference) => {
            let configs = std::path::absolute(&args.places.configs)
                .map_err(Error::io("find", &args.places.configs))?;
            let top = repository_of(&configs)?;
            // A name that git does not know is told of at once, not with every look.
            commit_of(&top, reference)?;
            let folder = configs.strip_prefix(&top).unwrap_or(&configs);
            Source::Git {
                folder: folder.to_string_lossy().into_owned(),
                reference: reference.clone(),
                repository: top,
            }
        }
    };
    let mut watcher = Watcher::new(source, settings)?;
    tracing::info!(dags = %args.places.out.display(), seconds = args.interval, "watching");
    let settings = || Settings::read(&args.places.project);
    watch(&mut watcher, &args.places.out, Duration::from_secs(args.interval), settings, tell)
}

/// The nearest folder above that is a repository.
fn repository_of(folder: &std::path::Path) -> Result<PathBuf, Error> {
    let found = folder.ancestors().find(|folder| folder.join(".git").exists());
    found.map(std::path::Path::to_path_buf).ok_or_else(|| Error::Git {
        doing: "rev-parse".to_owned(),
        message: format!("{} is in no git repository", folder.display()),
    })
}

fn tell(outcome: &Result<(Vec<Change>, Look), Error>) {
    match outcome {
        Err(error) => tracing::error!(%error, "the configs could not be turned into DAGs"),
        Ok((changes, look)) => {
            for finding in look.wrong.values().flatten() {
                tracing::warn!(%finding, "its DAG stays as it is");
            }
            for change in changes {
                let path = change.path();
                match change {
                    Change::Add(_) => tracing::info!(path, "written"),
                    Change::Update(_) => tracing::info!(path, "written anew"),
                    Change::Remove(_) => tracing::info!(path, "removed"),
                    Change::Edited(_) => {
                        tracing::warn!(
                            path,
                            "edited by hand, left alone: `generate --force` overwrites it"
                        );
                    }
                    Change::Foreign(_) => {
                        tracing::warn!(path, "not made by Trivium, left alone: move it away");
                    }
                }
            }
        }
    }
}
