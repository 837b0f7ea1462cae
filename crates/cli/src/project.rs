//! `trivium.toml`: where configs, data and sources are, and which clock the data go by.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use serde::Deserialize;
use trivium_api::{ApiError, suggest};
use trivium_daggen::lines::Lines;
use trivium_model::Timestamp;
use trivium_runtime::{Clock, FixedClock, Kind, SystemClock};
use trivium_spark::submit::Submit;

use crate::{
    args::{Global, Instant},
    failure::{self, Failure},
    lineage::{self, Lineage, LineageSection},
    lint, output,
    sources::{SourceSection, Sources},
};

/// The file's name.
pub use trivium_daggen::settings::FILE;

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
    #[serde(default, rename = "airflow")]
    _airflow: serde::de::IgnoredAny,
    /// Of the generator of jobs, in the same way.
    #[serde(default, rename = "flink")]
    _flink: serde::de::IgnoredAny,
    #[serde(default)]
    alerts: AlertsSection,
}

#[derive(Debug, Clone, Default, Deserialize)]
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
    /// What SQL may name as tables.
    pub sources: Sources,
    /// What DAGs are made by, and which sources are views.
    pub settings: trivium_daggen::Settings,
    spark: SparkSection,
    alerts: AlertsSection,
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
        let name = file.display().to_string();
        let settings = trivium_daggen::Settings::parse(&name, &text)
            .map_err(|error| failure::daggen(&error))?;
        let sources = Sources::read(document.sources, &Lines::new(&name, &text), &base)?;
        let configs = base.join(expand_path(&document.project.configs));
        let data_dir = base.join(expand_path(&document.project.data_dir));
        let lineage = document.lineage.read(file, &base)?;
        // One that a variable begins is looked up when there is an alert.
        let is_address =
            |url: &str| ["http://", "https://", "${"].iter().any(|by| url.starts_with(by));
        if document.alerts.webhook.as_ref().is_some_and(|url| !is_address(url)) {
            return Err(wrong(
                Lines::new(&name, &text).place(&["alerts", "webhook"]),
                "no webhook is there".to_owned(),
                "write `http://HOST:PORT/PATH`, or `https://`",
            ));
        }
        let spark = document.spark;
        Ok(Self {
            file: file.to_path_buf(),
            configs,
            data_dir,
            data_clock,
            lint_allow,
            lineage,
            sources,
            settings,
            spark,
            alerts: document.alerts,
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

    /// Where alerts go. Looked up when there is one to send: the address may hold a secret that only workers have.
    pub fn alerts(&self) -> Result<Alerts, Failure> {
        let AlertsSection { webhook, file } = &self.alerts;
        let place = |field: &str| format!("{}: alerts.{field}", self.file.display());
        let filled = |field: &str, text: &Option<String>| {
            text.as_deref().map(expand).transpose().map_err(|message| -> Failure {
                ApiError::invalid(message)
                    .at(place(field))
                    .help("set it, or write the value itself")
                    .into()
            })
        };
        let webhook = filled("webhook", webhook)?.map(|url| url.to_string_lossy().into_owned());
        if webhook.as_ref().is_some_and(|webhook| !lineage::is_reachable(webhook)) {
            return Err(ApiError::invalid("this build cannot reach it")
                .at(place("webhook"))
                .help(lineage::NO_TLS)
                .into());
        }
        let base = self.file.parent().unwrap_or_else(|| Path::new(""));
        Ok(Alerts { webhook, file: filled("file", file)?.map(|path| base.join(path)) })
    }

    /// How Spark is reached.
    pub fn submit(&self) -> Submit {
        // A path is one of the project's; a bare name is for PATH to know.
        let command = match self.spark.submit.contains('/') {
            true => {
                let base = self.file.parent().unwrap_or_else(|| Path::new(""));
                base.join(expand_path(Path::new(&self.spark.submit))).into_os_string()
            }
            false => self.spark.submit.clone().into(),
        };
        Submit { command, master: self.spark.master.clone(), conf: self.spark.conf.clone() }
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

fn expand_path(path: &Path) -> PathBuf {
    expand(&path.to_string_lossy()).unwrap_or_else(|_| path.to_path_buf())
}

/// `~/…` is the home folder; `${NAME}` and `${NAME:-otherwise}` are environment variables.
pub(crate) fn expand(path: &str) -> Result<PathBuf, String> {
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
