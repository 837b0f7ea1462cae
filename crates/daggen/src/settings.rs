//! `[airflow]` and `[spark]` of trivium.toml: what the platform team decides for all DAGs.

use std::{collections::BTreeMap, num::NonZeroU32, path::Path};

use serde::Deserialize;
use trivium_model::{TimeSpan, ViewRef};

use crate::{Error, lines::Lines};

/// The settings of one project's DAGs.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// `[airflow]`.
    pub airflow: Airflow,
    /// `[spark]`, as far as DAGs need it.
    pub spark: Spark,
    /// The views that `[sources]` names, by the names that SQL has for them, in lower case.
    pub views: BTreeMap<String, ViewSource>,
    /// Whether `[lineage]` names a place for OpenLineage's events.
    pub openlineage: bool,
    /// The project file, as messages name it.
    pub file: String,
}

/// `[sources.<name>]` with a view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ViewSource {
    /// Its name in SQL.
    pub name: String,
    /// What it stands for.
    pub view: ViewRef,
    /// Line and column of the section.
    pub at: (u32, u32),
}

/// `[airflow]`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Airflow {
    /// The `trivium` command on the workers.
    pub command: String,
    /// The Airflow connection to Spark.
    pub spark_connection: String,
    /// The pool of all tasks, where a tier has none of its own.
    pub pool: String,
    /// The pool of the tasks that run Spark, where a tier has none of its own.
    pub spark_pool: String,
    /// Whether runs of the past are made up for when a DAG is first seen.
    pub catchup: bool,
    /// Whether each period also goes to the table in the Hive metastore.
    pub tables: bool,
    /// The folder that Amundsen's files go to; without it, none are written.
    pub catalog: Option<String>,
    /// Tags that every DAG has.
    pub tags: Vec<String>,
    /// The dotted path of a callable that Airflow calls when a run is late.
    pub deadline_callback: Option<String>,
    /// What the urgency tiers mean, where it is not the default.
    pub tiers: BTreeMap<String, TierSection>,
}

impl Default for Airflow {
    fn default() -> Self {
        Self {
            command: "trivium".to_owned(),
            spark_connection: "spark_default".to_owned(),
            pool: "default_pool".to_owned(),
            spark_pool: "default_pool".to_owned(),
            catchup: true,
            tables: false,
            catalog: None,
            tags: Vec::new(),
            deadline_callback: None,
            tiers: BTreeMap::new(),
        }
    }
}

/// `[spark]`.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
pub struct Spark {
    /// Settings of every job.
    #[serde(default)]
    pub conf: BTreeMap<String, String>,
}

/// `[airflow.tiers.N]`: what is left out is the tier's default.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TierSection {
    /// Tries after the first; at least 1.
    pub retries: Option<u32>,
    /// The wait before the second try; it doubles.
    pub retry_delay: Option<TimeSpan>,
    /// The longest wait between tries.
    pub retry_delay_max: Option<TimeSpan>,
    /// How long one try of a task may take.
    pub task_timeout: Option<TimeSpan>,
    /// How long a period's input is waited for.
    pub wait_timeout: Option<TimeSpan>,
    /// How often it is looked for.
    pub wait_interval: Option<TimeSpan>,
    /// How long after its period's end a run is late.
    pub deadline: Option<TimeSpan>,
    /// The priority of its tasks.
    pub priority: Option<u32>,
    /// Rows a second that are written online, at most; as fast as it goes, where it is left out.
    pub rows_per_second: Option<u32>,
    /// The pool of its tasks.
    pub pool: Option<String>,
    /// The pool of its tasks that run Spark.
    pub spark_pool: Option<String>,
}

/// What an urgency tier means for a DAG. Spans are in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tier {
    /// Tries after the first.
    pub retries: u32,
    /// The wait before the second try.
    pub retry_delay: i64,
    /// The longest wait between tries.
    pub retry_delay_max: i64,
    /// How long one try of a task may take.
    pub task_timeout: i64,
    /// How long a period's input is waited for.
    pub wait_timeout: i64,
    /// How often it is looked for.
    pub wait_interval: i64,
    /// How long after its period's end a run is late.
    pub deadline: i64,
    /// The priority of its tasks.
    pub priority: u32,
    /// Rows a second that are written online, at most.
    pub rows_per_second: Option<NonZeroU32>,
}

/// The project file, where none is named.
pub const FILE: &str = "trivium.toml";

/// The section of what SQL may name.
const SOURCES: &str = "sources";
const MINUTE: i64 = 60;
const HOUR: i64 = 3_600;

/// Tier 0 wakes somebody up, tier 3 can wait for Monday.
const TIERS: [Tier; 4] = [
    Tier {
        retries: 5,
        retry_delay: 30,
        retry_delay_max: 10 * MINUTE,
        task_timeout: HOUR,
        wait_timeout: 6 * HOUR,
        wait_interval: MINUTE,
        deadline: 2 * HOUR,
        priority: 1_000,
        rows_per_second: None,
    },
    Tier {
        retries: 4,
        retry_delay: MINUTE,
        retry_delay_max: 20 * MINUTE,
        task_timeout: 2 * HOUR,
        wait_timeout: 12 * HOUR,
        wait_interval: 2 * MINUTE,
        deadline: 6 * HOUR,
        priority: 100,
        rows_per_second: None,
    },
    Tier {
        retries: 3,
        retry_delay: 5 * MINUTE,
        retry_delay_max: HOUR,
        task_timeout: 4 * HOUR,
        wait_timeout: 24 * HOUR,
        wait_interval: 5 * MINUTE,
        deadline: 24 * HOUR,
        priority: 10,
        rows_per_second: None,
    },
    Tier {
        retries: 2,
        retry_delay: 15 * MINUTE,
        retry_delay_max: 2 * HOUR,
        task_timeout: 8 * HOUR,
        wait_timeout: 48 * HOUR,
        wait_interval: 15 * MINUTE,
        deadline: 72 * HOUR,
        priority: 1,
        rows_per_second: None,
    },
];

#[derive(Deserialize)]
struct Document {
    #[serde(default)]
    airflow: Airflow,
    #[serde(default)]
    spark: Spark,
    /// What else is in a source is for those who read it.
    #[serde(default)]
    sources: BTreeMap<String, Source>,
    #[serde(default)]
    lineage: Lineage,
}

#[derive(Default, Deserialize)]
struct Lineage {
    openlineage: Option<String>,
}

#[derive(Deserialize)]
struct Source {
    view: Option<String>,
}

impl Settings {
    /// Those of a project file; the defaults where there is none.
    pub fn read(file: &Path) -> Result<Self, Error> {
        match std::fs::read_to_string(file) {
            Ok(text) => Self::parse(&file.display().to_string(), &text),
            // A project without settings; a path that somebody wrote is meant.
            Err(error)
                if error.kind() == std::io::ErrorKind::NotFound && file == Path::new(FILE) =>
            {
                Ok(Self::default())
            }
            Err(error) => Err(Error::io("read", file)(error)),
        }
    }

    /// Those of a project file's text; `file` is for messages.
    pub fn parse(file: &str, text: &str) -> Result<Self, Error> {
        let lines = Lines::new(file, text);
        let document: Document = toml::from_str(text).map_err(|error| Error::Settings {
            place: error.span().map_or_else(|| file.to_owned(), |span| lines.offset(span.start)),
            // It lists the settings that there are, where one is unknown.
            message: error.message().trim().replace('\n', ", "),
            help: "correct the project file",
        })?;
        let mut names: Vec<(&str, (u32, u32))> = document
            .sources
            .keys()
            .map(|name| (name.as_str(), lines.at(&[SOURCES, name])))
            .collect();
        names.sort_by_key(|(_, at)| *at);
        let mut known: BTreeMap<String, (&str, u32)> = BTreeMap::new();
        for (name, (line, _)) in &names {
            if let Some((first, line)) = known.insert(in_sql(name), (name, *line)) {
                return Err(Error::Settings {
                    place: lines.place(&[SOURCES, name]),
                    message: format!(
                        "SQL cannot tell `{name}` from `{first}` of line {line}: case is nothing there"
                    ),
                    help: "rename one of them",
                });
            }
        }
        let mut views = BTreeMap::new();
        for (name, source) in document.sources {
            let Some(view) = source.view else { continue };
            let view = view.parse().map_err(|error| Error::Settings {
                place: lines.place(&[SOURCES, &name, "view"]),
                message: format!("`{view}` is no view: {error}"),
                help: "write it with its version, such as `flights/carrier_daily@1`",
            })?;
            let at = lines.at(&[SOURCES, &name]);
            views.insert(in_sql(&name), ViewSource { name, view, at });
        }
        let settings = Self {
            airflow: document.airflow,
            spark: document.spark,
            views,
            openlineage: document.lineage.openlineage.is_some(),
            file: file.to_owned(),
        };
        settings.check(&lines)?;
        Ok(settings)
    }

    /// The sources that are views, among tables that SQL names.
    pub fn views_among(&self, tables: &[String]) -> impl Iterator<Item = &ViewSource> {
        tables.iter().filter_map(|table| self.views.get(&in_sql(table)))
    }

    /// Whether every view has the same DAG by both. Where in its file a setting stands is nothing to a DAG.
    pub fn give_the_same(&self, other: &Self) -> bool {
        let Self { airflow, spark, views, openlineage, file: _ } = self;
        let named = |views: &BTreeMap<String, ViewSource>| {
            views
                .iter()
                .map(|(name, source)| (name.clone(), source.view.clone()))
                .collect::<Vec<_>>()
        };
        *airflow == other.airflow
            && *spark == other.spark
            && *openlineage == other.openlineage
            && named(views) == named(&other.views)
    }

    fn check(&self, lines: &Lines<'_>) -> Result<(), Error> {
        let wrong = |path: &[&str], message: &str, help: &'static str| {
            Err(Error::Settings { place: lines.place(path), message: message.to_owned(), help })
        };
        let airflow = &self.airflow;
        let plain = |path: &[&str], value: &str| {
            // They stand in commands that a shell reads and Airflow renders.
            let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
            if value.is_empty() || !value.chars().all(is_plain) {
                let message =
                    format!("`{}` has what a shell may read otherwise", value.escape_debug());
                let help = "write letters, digits, `/`, `.`, `_` and `-` alone";
                return wrong(path, &message, help);
            }
            Ok(())
        };
        plain(&["airflow", "command"], &airflow.command)?;
        plain(&["airflow", "spark_connection"], &airflow.spark_connection)?;
        plain(&["airflow", "pool"], &airflow.pool)?;
        plain(&["airflow", "spark_pool"], &airflow.spark_pool)?;
        if let Some(catalog) = &airflow.catalog {
            plain(&["airflow", "catalog"], catalog)?;
        }
        // Tasks run in folders of their own, which go with them.
        if airflow.catalog.as_ref().is_some_and(|catalog| !catalog.starts_with('/')) {
            let message = "the path is relative, and tasks run anywhere";
            return wrong(&["airflow", "catalog"], message, "write an absolute path");
        }
        if let Some(callback) = &airflow.deadline_callback
            && !is_dotted_path(callback)
        {
            let message = format!("`{}` is no dotted path of Python", callback.escape_debug());
            let help = "write module and callable, such as `company.alerts.late`";
            return wrong(&["airflow", "deadline_callback"], &message, help);
        }
        if airflow.tags.iter().any(|tag| tag.trim().is_empty() || tag.contains(char::is_control)) {
            let message = "a tag is empty, or has a character that does not show";
            return wrong(&["airflow", "tags"], message, "write a word, or remove it");
        }
        for (name, tier) in &airflow.tiers {
            let path = ["airflow", "tiers", name];
            let Some(number) = ["0", "1", "2", "3"].iter().position(|known| known == name) else {
                let message = "urgency tiers are 0, 1, 2 and 3";
                return wrong(&path, message, "take one of these");
            };
            if tier.retries == Some(0) {
                let message =
                    "at least 1: a task whose worker dies is only run again if it has a try left";
                return wrong(&[&path[..], &["retries"]].concat(), message, "write 1 or more");
            }
            if tier.rows_per_second == Some(0) {
                let message = "no row would ever be written";
                let help = "write 1 or more, or leave it out: as fast as it goes";
                return wrong(&[&path[..], &["rows_per_second"]].concat(), message, help);
            }
            for (field, pool) in [("pool", &tier.pool), ("spark_pool", &tier.spark_pool)] {
                if let Some(pool) = pool {
                    plain(&[&path[..], &[field]].concat(), pool)?;
                }
            }
            let whole = self.tier(u8::try_from(number).unwrap_or_default());
            if whole.wait_interval > whole.wait_timeout {
                let field = match tier.wait_interval {
                    Some(_) => "wait_interval",
                    None => "wait_timeout",
                };
                let message = format!(
                    "wait_interval is {} s, wait_timeout {} s: nobody would look a second time",
                    whole.wait_interval, whole.wait_timeout
                );
                let help = "let wait_timeout be the longer of the two";
                return wrong(&[&path[..], &[field]].concat(), &message, help);
            }
        }
        for (name, value) in &self.spark.conf {
            // Of a file of properties, each is a line.
            if name.is_empty()
                || name.contains(char::is_control)
                || value.contains(char::is_control)
            {
                let message = "a name or value of Spark's is empty, or has a line's end or another character that does not show";
                return wrong(&["spark", "conf", name], message, "write it on one line");
            }
        }
        Ok(())
    }

    /// What an urgency tier means.
    pub fn tier(&self, tier: u8) -> Tier {
        let default = TIERS[usize::from(tier).min(TIERS.len() - 1)];
        let none = TierSection::default();
        let own = self.airflow.tiers.get(&tier.to_string()).unwrap_or(&none);
        let seconds = |own: Option<TimeSpan>, default: i64| {
            own.map_or(default, |span| (span.micros() / 1_000_000).max(1))
        };
        Tier {
            retries: own.retries.unwrap_or(default.retries),
            retry_delay: seconds(own.retry_delay, default.retry_delay),
            retry_delay_max: seconds(own.retry_delay_max, default.retry_delay_max),
            task_timeout: seconds(own.task_timeout, default.task_timeout),
            wait_timeout: seconds(own.wait_timeout, default.wait_timeout),
            wait_interval: seconds(own.wait_interval, default.wait_interval),
            deadline: seconds(own.deadline, default.deadline),
            priority: own.priority.unwrap_or(default.priority),
            rows_per_second: own.rows_per_second.and_then(NonZeroU32::new),
        }
    }

    /// The pools of a tier's tasks: of all, and of those that run Spark.
    pub fn pools(&self, tier: u8) -> (&str, &str) {
        let Airflow { pool, spark_pool, tiers, .. } = &self.airflow;
        let own = tiers.get(&tier.to_string());
        let pool = own.and_then(|own| own.pool.as_ref()).unwrap_or(pool);
        let spark_pool = own.and_then(|own| own.spark_pool.as_ref()).unwrap_or(spark_pool);
        (pool, spark_pool)
    }
}

/// A table's name as SQL looks it up: without case.
fn in_sql(name: &str) -> String {
    name.to_ascii_lowercase()
}

/// Whether it is a module's name and that of something in it.
fn is_dotted_path(text: &str) -> bool {
    let is_name = |part: &str| {
        part.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && part.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    text.contains('.') && text.split('.').all(is_name)
}
