//! `[airflow]` and `[spark]` of trivium.toml: what the platform team decides for all DAGs.

use std::{collections::BTreeMap, path::Path};

use serde::Deserialize;
use trivium_model::{TimeSpan, ViewRef};

use crate::Error;

/// The settings of one project's DAGs.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Settings {
    /// `[airflow]`.
    pub airflow: Airflow,
    /// `[spark]`, as far as DAGs need it.
    pub spark: Spark,
    /// The views that `[sources]` names, by their names in SQL.
    pub views: BTreeMap<String, ViewRef>,
    /// Whether `[lineage]` names a place for OpenLineage's events.
    pub openlineage: bool,
}

/// `[airflow]`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Airflow {
    /// The `trivium` command on the workers.
    pub command: String,
    /// The Airflow connection to Spark.
    pub spark_connection: String,
    /// The pool of all tasks.
    pub pool: String,
    /// The pool of the tasks that run Spark.
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
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
    pub rows_per_second: Option<u32>,
}

/// The project file, where none is named.
pub const FILE: &str = "trivium.toml";

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

    /// Those of a project file's text; `place` is for messages.
    pub fn parse(place: &str, text: &str) -> Result<Self, Error> {
        let document: Document = toml::from_str(text).map_err(|error| Error::Settings {
            place: place.to_owned(),
            message: error.to_string().trim().to_owned(),
        })?;
        let mut views = BTreeMap::new();
        for (name, source) in document.sources {
            let Some(view) = source.view else { continue };
            let view = view.parse().map_err(|error| Error::Settings {
                place: format!("{place}: sources.{name}.view"),
                message: format!("`{view}` is no view: {error}"),
            })?;
            views.insert(name, view);
        }
        let settings = Self {
            airflow: document.airflow,
            spark: document.spark,
            views,
            openlineage: document.lineage.openlineage.is_some(),
        };
        settings.check(place)?;
        Ok(settings)
    }

    fn check(&self, place: &str) -> Result<(), Error> {
        let wrong = |field: String, message: &str| {
            Err(Error::Settings {
                place: format!("{place}: airflow.{field}"),
                message: message.to_owned(),
            })
        };
        let airflow = &self.airflow;
        for (field, value) in [
            ("command", &airflow.command),
            ("spark_connection", &airflow.spark_connection),
            ("pool", &airflow.pool),
            ("spark_pool", &airflow.spark_pool),
            ("catalog", airflow.catalog.as_ref().unwrap_or(&airflow.pool)),
        ] {
            // They stand in commands that a shell reads and Airflow renders.
            let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
            if value.is_empty() || !value.chars().all(is_plain) {
                return wrong(
                    field.to_owned(),
                    "write letters, digits, `/`, `.`, `_` and `-` alone",
                );
            }
        }
        // Tasks run in folders of their own, which go with them.
        if airflow.catalog.as_ref().is_some_and(|catalog| !catalog.starts_with('/')) {
            return wrong("catalog".to_owned(), "write an absolute path: tasks run anywhere");
        }
        for (name, tier) in &airflow.tiers {
            if !["0", "1", "2", "3"].contains(&name.as_str()) {
                return wrong(format!("tiers.{name}"), "urgency tiers are 0, 1, 2 and 3");
            }
            if tier.retries == Some(0) {
                let message =
                    "at least 1: a task whose worker dies is only run again if it has a try left";
                return wrong(format!("tiers.{name}.retries"), message);
            }
        }
        Ok(())
    }

    /// What an urgency tier means.
    pub fn tier(&self, tier: u8) -> Tier {
        let default = TIERS[usize::from(tier).min(TIERS.len() - 1)];
        let own = self.airflow.tiers.get(&tier.to_string()).copied().unwrap_or_default();
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
            rows_per_second: own.rows_per_second,
        }
    }
}
