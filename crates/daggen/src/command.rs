//! What can be typed, for `trivium-daggen` and for `trivium dags` alike.

use std::{
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use clap::{Args, Parser, Subcommand};
use trivium_model::Diagnostic;
use trivium_runtime::Kind;

use crate::{
    Change, Error, Settings,
    settings::FILE,
    source::{Source, commit_of, fetch, file_in},
    tree,
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
    /// Overwrite, and remove, files that somebody has edited.
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
    /// checked out, and the project file too where it has one. It moves when somebody moves it: see `--fetch`.
    #[arg(long, value_name = "REF")]
    pub git_ref: Option<String>,
    /// Fetch from this remote before each look: with `--fetch origin`, `--git-ref origin/main` is what the server has.
    #[arg(long, value_name = "REMOTE", requires = "git_ref")]
    pub fetch: Option<String>,
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
        tree::sweep(&args.places.out, SystemTime::now())?;
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

/// A reference of a repository that configs are read from.
struct Followed {
    repository: PathBuf,
    reference: String,
    remote: Option<String>,
    /// The project file in there; none where it is somewhere else.
    project: Option<String>,
}

impl Followed {
    fn new(args: &WatchArgs, reference: &str) -> Result<(Self, Source), Error> {
        let (configs, project) = (resolved(&args.places.configs)?, resolved(&args.places.project)?);
        let top = repository_of(&configs)?;
        let inside = |path: &Path| {
            path.strip_prefix(&top).ok().map(|path| path.to_string_lossy().into_owned())
        };
        let source = Source::Git {
            folder: inside(&configs).unwrap_or_default(),
            reference: reference.to_owned(),
            repository: top.clone(),
        };
        let project = inside(&project);
        match &project {
            Some(path) => tracing::info!(path, reference, "settings are those of the reference"),
            None => tracing::warn!(
                path = %args.places.project.display(),
                "settings are those of the file as it stands: it is not in the configs' repository"
            ),
        }
        let (reference, remote) = (reference.to_owned(), args.fetch.clone());
        Ok((Self { repository: top, reference, remote, project }, source))
    }

    fn fetch(&self) -> Result<(), Error> {
        self.remote.as_ref().map_or(Ok(()), |remote| fetch(&self.repository, remote))
    }

    /// The settings that go with the configs; none where the reference has no project file.
    fn settings(&self) -> Result<Option<Settings>, Error> {
        let Some(path) = &self.project else { return Ok(None) };
        let Some(text) = file_in(&self.repository, &self.reference, path)? else { return Ok(None) };
        Settings::parse(&format!("{}:{path}", self.reference), &text).map(Some)
    }
}

/// Watches for ever.
pub fn watch_for_ever(args: &WatchArgs) -> Result<std::convert::Infallible, Error> {
    let (followed, source) = match &args.git_ref {
        None => (None, Source::Folder(args.places.configs.clone())),
        Some(reference) => {
            let (followed, source) = Followed::new(args, reference)?;
            // A server that is away just now has told of the reference before, or the next line fails.
            if let Err(error) = followed.fetch() {
                tracing::warn!(%error, "nothing was fetched");
            }
            // A name that git does not know is told of at once, not with every look.
            commit_of(&followed.repository, reference)?;
            (Some(followed), source)
        }
    };
    let settings = || {
        let of_reference = match &followed {
            None => None,
            Some(followed) => followed.settings()?,
        };
        of_reference.map_or_else(|| Settings::read(&args.places.project), Ok)
    };
    let mut watcher = Watcher::new(source, settings()?)?;
    tracing::info!(dags = %args.places.out.display(), seconds = args.interval, "watching");
    let settings = || {
        followed.as_ref().map_or(Ok(()), Followed::fetch)?;
        settings()
    };
    watch(&mut watcher, &args.places.out, Duration::from_secs(args.interval), settings, tell)
}

/// A path by which two names of one place are told to be one. What is not there is told from where it would be:
/// the working tree need not have what a reference has.
fn resolved(path: &Path) -> Result<PathBuf, Error> {
    let absolute = std::path::absolute(path).map_err(Error::io("find", path))?;
    let mut missing = Vec::new();
    let mut there = absolute.as_path();
    loop {
        match there.canonicalize() {
            Ok(found) => return Ok(missing.iter().rev().fold(found, |path, name| path.join(name))),
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(Error::io("find", path)(error));
            }
            Err(error) => match (there.file_name(), there.parent()) {
                (Some(name), Some(parent)) => {
                    missing.push(name);
                    there = parent;
                }
                _ => return Err(Error::io("find", path)(error)),
            },
        }
    }
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
                match finding.is_error() {
                    true => tracing::warn!(%finding, "its DAG stays as it is"),
                    false => tracing::warn!(%finding, "its DAGs are made all the same"),
                }
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
