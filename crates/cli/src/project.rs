//! `trivium.toml`: where configs, data and sources are, and which clock the data go by.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use serde::Deserialize;
use trivium_api::{ApiError, suggest};
use trivium_engine::{Source, Table};
use trivium_model::Timestamp;
use trivium_offline::Period;
use trivium_runtime::{Clock, FixedClock, Kind, SystemClock};
use trivium_spark::submit::Submit;

use crate::{
    args::{Global, Instant},
    failure::{self, Failure},
    lineage::{Lineage, LineageSection},
    lint, output,
};

/// The file's name.
pub const FILE: &str = "trivium.toml";

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    project: ProjectSection,
    #[serde(default)]
    clock: ClockSection,
    #[serde(default)]
    sources: BTreeMap<String, SourceSection>,
    #[serde(default)]
    lint: LintSection,
    #[serde(default)]
    lineage: LineageSection,
    #[serde(default)]
    spark: SparkSection,
    /// The generator's: it checks it ([`trivium_daggen::Settings`]).
    #[serde(default)]
    airflow: toml::Table,
    #[serde(default)]
    alerts: AlertsSection,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct AlertsSection {
    webhook: Option<String>,
    file: Option<String>,
}

/// Where alerts go.
#[derive(Debug, Clone, Default)]
pub struct Alerts {
    /// Is sent each by POST.
    pub webhook: Option<String>,
    /// Gets each as a line.
    pub file: Option<PathBuf>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct SparkSection {
    submit: String,
    master: Option<String>,
    conf: BTreeMap<String, String>,
}

impl Default for SparkSection {
    fn default() -> Self {
        Self { submit: "spark-submit".to_owned(), master: None, conf: BTreeMap::new() }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ProjectSection {
    #[serde(default = "default_configs")]
    configs: PathBuf,
    #[serde(default = "default_data_dir")]
    data_dir: PathBuf,
}

fn default_configs() -> PathBuf {
    PathBuf::from("configs")
}
fn default_data_dir() -> PathBuf {
    PathBuf::from(".trivium")
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct ClockSection {
    data: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct LintSection {
    #[serde(default)]
    allow: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SourceSection {
    format: Format,
    path: Paths,
    null: Option<String>,
    time_zone: Option<String>,
    ready: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Format {
    Csv,
    Parquet,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Paths {
    One(String),
    Many(Vec<String>),
}

/// A project, its paths made absolute or relative to where the command runs.
#[derive(Debug, Clone)]
pub struct Project {
    /// The project file.
    pub file: PathBuf,
    /// The configs folder.
    pub configs: PathBuf,
    /// Registry, lake and online store.
    pub data_dir: PathBuf,
    /// The instant that the data clock stands at, if it is fixed.
    pub data_clock: Option<Timestamp>,
    /// Codes that `trivium lint` leaves out.
    pub lint_allow: Vec<String>,
    /// Who is told of published partitions.
    pub lineage: Lineage,
    sources: BTreeMap<String, SourcePaths>,
    spark: SparkSection,
    alerts: Alerts,
}

#[derive(Debug, Clone)]
struct SourcePaths {
    format: Format,
    paths: Vec<PathBuf>,
    null: Option<String>,
    time_zone: Option<String>,
    /// The file whose presence says that a period's rows are there, with `{{ ds }}` and the like.
    ready: Option<PathBuf>,
}

impl Project {
    /// The project that the command runs in.
    pub fn find(global: &Global) -> Result<Self, Failure> {
        let file = match &global.project {
            Some(file) if file.is_dir() => file.join(FILE),
            Some(file) => file.clone(),
            None => search()?,
        };
        let mut project = Self::read(&file)?;
        if let Some(dir) = &global.data_dir {
            project.data_dir.clone_from(dir);
        }
        Ok(project)
    }

    /// Reads a project file.
    pub fn read(file: &Path) -> Result<Self, Failure> {
        let text = std::fs::read_to_string(file).map_err(|error| failure::file(file, &error))?;
        let wrong = |place: String, message: String, help: &str| -> Failure {
            ApiError::invalid(message).at(place).help(help).into()
        };
        let document: Document = toml::from_str(&text).map_err(|error| {
            let place = match error.span() {
                Some(span) => {
                    let (line, column) = trivium_model::LineIndex::new(&text).position(span.start);
                    format!("{}:{line}:{column}", file.display())
                }
                None => file.display().to_string(),
            };
            wrong(place, error.message().trim().replace('\n', ", "), "correct the project file")
        })?;
        let base = file.parent().map_or_else(PathBuf::new, Path::to_path_buf);
        let data_clock = match &document.clock.data {
            None => None,
            Some(text) => Some(
                text.parse::<Instant>()
                    .map_err(|help| {
                        wrong(
                            format!("{}: clock.data", file.display()),
                            format!("`{text}` is no instant"),
                            &help,
                        )
                    })?
                    .0,
            ),
        };
        let lint_allow = document.lint.allow;
        if let Some(unknown) = lint_allow.iter().find(|code| !lint::is_code(code)) {
            let codes = lint::CODES.iter().map(|code| code.code);
            return Err(wrong(
                format!("{}: lint.allow", file.display()),
                format!("`{unknown}` is no code of `trivium lint`"),
                &suggest::hint(unknown, codes),
            ));
        }
        let mut sources = BTreeMap::new();
        for (name, section) in document.sources {
            let place = format!("{}: sources.{name}", file.display());
            let listed = match &section.path {
                Paths::One(path) => std::slice::from_ref(path),
                Paths::Many(paths) => paths.as_slice(),
            };
            if listed.is_empty() {
                return Err(wrong(place, "no path is listed".into(), "name a file or a folder"));
            }
            if section.format == Format::Parquet && section.null.is_some() {
                return Err(wrong(
                    format!("{place}.null"),
                    "Parquet knows null by itself".into(),
                    "remove `null`",
                ));
            }
            let paths = listed
                .iter()
                .map(|path| expand(path).map(|path| base.join(path)))
                .collect::<Result<_, _>>()
                .map_err(|message| {
                    wrong(format!("{place}.path"), message, "set it, or write a path without it")
                })?;
            let ready = section.ready.as_deref().map(expand).transpose().map_err(|message| {
                wrong(format!("{place}.ready"), message, "set it, or write a path without it")
            })?;
            let ready = ready.map(|path| base.join(path));
            let SourceSection { format, null, time_zone, .. } = section;
            sources.insert(name, SourcePaths { format, paths, null, time_zone, ready });
        }
        let configs = base.join(expand_path(&document.project.configs));
        let data_dir = base.join(expand_path(&document.project.data_dir));
        let lineage = document.lineage.read(file, &base)?;
        if !document.airflow.is_empty() {
            trivium_daggen::Settings::parse(&file.display().to_string(), &text)
                .map_err(|error| failure::daggen(&error))?;
        }
        let alerts = Alerts {
            // May hold a secret: the environment's, then.
            webhook: expanded("alerts.webhook", document.alerts.webhook, &wrong, file)?,
            file: expanded("alerts.file", document.alerts.file, &wrong, file)?
                .map(|path| base.join(path)),
        };
        let spark = document.spark;
        Ok(Self {
            file: file.to_path_buf(),
            configs,
            data_dir,
            data_clock,
            lint_allow,
            lineage,
            sources,
            spark,
            alerts,
        })
    }

    /// The clock of ttl and default event times.
    pub fn data_clock(&self) -> Arc<dyn Clock> {
        match self.data_clock {
            Some(instant) => Arc::new(FixedClock(instant.0)),
            None => Arc::new(SystemClock),
        }
    }

    /// Says so, loudly, where the data clock is fixed: values would look stale, or fresh, without reason.
    pub fn announce_clock(&self) {
        if let Some(instant) = self.data_clock {
            output::note(format!(
                "{} the data clock is fixed at {} ({}): ttl and default event times go by it",
                output::paint(output::WARN, "note:"),
                show_instant(instant),
                self.file.display(),
            ));
        }
    }

    /// Where alerts go.
    pub fn alerts(&self) -> &Alerts {
        &self.alerts
    }

    /// How Spark is reached.
    pub fn submit(&self) -> Submit {
        // A path is one of the project's; a bare name is for PATH to know.
        let command = match self.spark.submit.contains('/') {
            true => expand_path(Path::new(&self.spark.submit)).into_os_string(),
            false => self.spark.submit.clone().into(),
        };
        Submit { command, master: self.spark.master.clone(), conf: self.spark.conf.clone() }
    }

    /// What the sources of these names do not have yet of a period: the file that each would wait for.
    pub fn not_ready(&self, names: &[String], period: Period) -> Result<Vec<String>, Failure> {
        let mut missing = Vec::new();
        for (name, source) in &self.sources {
            if !names.iter().any(|asked| asked.eq_ignore_ascii_case(name)) {
                continue;
            }
            let Some(pattern) = &source.ready else { continue };
            let folder = period.folder();
            let day = folder.split_once('=').map_or(folder.as_str(), |(_, value)| value);
            let path = PathBuf::from(pattern.to_string_lossy().replace("{{ ds }}", day));
            if !path.exists() {
                missing.push(format!("sources.{name}: {}", path.display()));
            }
        }
        Ok(missing)
    }

    /// The sources as tables that SQL may name. Files are looked up, not read.
    pub fn tables(&self) -> Result<Vec<Table>, Failure> {
        self.sources
            .iter()
            .map(|(name, source)| {
                let mut files = Vec::new();
                for path in &source.paths {
                    files.extend(files_of(path, source.format).map_err(|failure| {
                        Failure {
                            error: failure.error.help(format!(
                                "sources.{name} of {} names it",
                                self.file.display()
                            )),
                            findings: failure.findings,
                        }
                    })?);
                }
                let location = match source.format {
                    Format::Csv => Source::Csv { paths: files, null: source.null.clone() },
                    Format::Parquet => Source::Parquet(files),
                };
                Ok(Table {
                    name: name.clone(),
                    source: location,
                    time_zone: source.time_zone.clone(),
                })
            })
            .collect()
    }
}

/// An instant as people and programs read it.
pub fn show_instant(instant: Timestamp) -> String {
    chrono::DateTime::from_timestamp_micros(instant.0).map_or_else(
        || format!("{} µs", instant.0),
        |time| time.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true),
    )
}

fn search() -> Result<PathBuf, Failure> {
    let here =
        std::env::current_dir().map_err(|error| failure::io("the current folder", &error))?;
    for folder in here.ancestors() {
        let file = folder.join(FILE);
        if file.is_file() {
            // Where it stands beside us, messages stay short.
            return Ok(if folder == here { PathBuf::from(FILE) } else { file });
        }
    }
    Err(ApiError::new(Kind::NotFound, format!("there is no {FILE} here or in a folder above"))
        .at(here.display().to_string())
        .help("go to a project, name one with --project, or write one with `trivium init DIR`")
        .into())
}

/// Files of a source: the file itself, or those of a folder with the format's ending, by name.
fn files_of(path: &Path, format: Format) -> Result<Vec<PathBuf>, Failure> {
    let about = std::fs::metadata(path).map_err(|error| failure::file(path, &error))?;
    if about.is_file() {
        return Ok(vec![path.to_path_buf()]);
    }
    let ending = match format {
        Format::Csv => "csv",
        Format::Parquet => "parquet",
    };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(path).map_err(|error| failure::file(path, &error))? {
        let file = entry.map_err(|error| failure::file(path, &error))?.path();
        if file.extension().is_some_and(|extension| extension == ending) {
            files.push(file);
        }
    }
    files.sort();
    if files.is_empty() {
        return Err(ApiError::not_found(format!("the folder has no .{ending} files"))
            .at(path.display().to_string())
            .into());
    }
    Ok(files)
}

/// A text of the project file with its variables filled in.
fn expanded(
    field: &str,
    text: Option<String>,
    wrong: &impl Fn(String, String, &str) -> Failure,
    file: &Path,
) -> Result<Option<String>, Failure> {
    let text = text.as_deref().map(expand).transpose().map_err(|message| {
        let place = format!("{}: {field}", file.display());
        wrong(place, message, "set it, or write the value itself")
    })?;
    Ok(text.map(|path| path.to_string_lossy().into_owned()))
}

fn expand_path(path: &Path) -> PathBuf {
    expand(&path.to_string_lossy()).unwrap_or_else(|_| path.to_path_buf())
}

/// `~/…` is the home folder; `${NAME}` and `${NAME:-otherwise}` are environment variables.
fn expand(path: &str) -> Result<PathBuf, String> {
    let mut text = path.to_owned();
    if let Some(after) = path.strip_prefix("${")
        && let Some((inside, rest)) = after.split_once('}')
    {
        let (name, otherwise) = match inside.split_once(":-") {
            Some((name, otherwise)) => (name, Some(otherwise)),
            None => (inside, None),
        };
        let value = std::env::var(name).ok().filter(|value| !value.is_empty());
        let Some(value) = value.as_deref().or(otherwise) else {
            return Err(format!("the environment variable {name} is not set"));
        };
        text = format!("{value}{rest}");
    }
    if let Some(rest) = text.strip_prefix("~/") {
        let home = std::env::home_dir().ok_or("there is no home folder for `~`")?;
        return Ok(home.join(rest));
    }
    Ok(PathBuf::from(text))
}
