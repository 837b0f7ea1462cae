//! One view's DAG file.

use std::num::NonZeroU32;

use minijinja::{AutoEscape, Environment, UndefinedBehavior, Value, context, syntax::SyntaxConfig};
use sha2::{Digest, Sha256};
use trivium_model::{FeatureView, Schedule, TimeSpan, ViewRef};
use trivium_registry::project::{ProjectSql, ProjectView};

use crate::{Error, Settings, python};

const TEMPLATE: &str = include_str!("templates/feature_view.py.j2");
/// How a file begins that is ours.
pub const MARK: &str = "# Made by trivium-daggen ";
/// The line that holds the hash of the sources.
const SOURCES_LINE: &str = "# sources: sha256:";
/// The line that holds the hash of all that stands around it.
const HASH_LINE: &str = "# content: sha256:";
/// Characters of a hash that name a folder.
const SHORT: usize = 16;

/// What a view needs in the DAGs folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Generated {
    /// The DAG's file, relative to the folder.
    pub path: String,
    /// Its text.
    pub text: String,
    /// The view's two files, unchanged, relative to the folder.
    pub definition: Vec<(String, String)>,
    /// The view.
    pub view: ViewRef,
    /// The tables that its SQL names.
    pub tables: Vec<String>,
}

/// Renders DAGs.
pub struct Renderer {
    environment: Environment<'static>,
    settings: Settings,
}

impl Renderer {
    /// With these settings.
    pub fn new(settings: Settings) -> Result<Self, Error> {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        let syntax = SyntaxConfig::builder()
            .trim_blocks(true)
            .lstrip_blocks(true)
            .keep_trailing_newline(true)
            .build()
            .map_err(internal)?;
        environment.set_syntax(syntax);
        // Nothing gets into a file but through the filter, or as one of a few checked names.
        environment.set_auto_escape_callback(|_| AutoEscape::None);
        environment.add_filter("py", |value: Value| python::literal(&value));
        environment
            .add_filter("named", |value: Value, name: String| python::assignment(&name, &value));
        environment.add_template("feature_view.py", TEMPLATE).map_err(internal)?;
        Ok(Self { environment, settings })
    }

    /// The settings.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Goes by others.
    pub fn go_by(&mut self, settings: Settings) {
        self.settings = settings;
    }

    /// The DAG of a batch view; `None` for others.
    pub fn render(&self, loaded: &ProjectView) -> Result<Option<Generated>, Error> {
        let view = &loaded.view;
        let (Some(sql), Some(schedule)) = (&loaded.sql, &view.schedule) else { return Ok(None) };
        let reference = view.reference();
        let stem = format!("{}.v{}", reference.view, reference.version);
        let namespace = reference.namespace.as_str();
        let sources = hash(&[&loaded.config_text, &sql.text]);
        let folder = format!("_trivium/definitions/{}", definition_name(&sources));
        let definition = vec![
            (format!("{folder}/{namespace}/{stem}.json"), loaded.config_text.clone()),
            (format!("{folder}/{namespace}/{stem}.sql"), sql.text.clone()),
        ];
        let conf = self.settings.spark.conf.iter();
        let conf: Vec<Vec<String>> =
            conf.map(|(name, value)| vec![name.clone(), value.clone()]).collect();
        let tier = self.settings.tier(view.urgency_tier);
        let (pool, spark_pool) = self.settings.pools(view.urgency_tier);
        let template = self.environment.get_template("feature_view.py").map_err(internal)?;
        let body = template
            .render(context! {
                reference => reference.to_string(),
                dag_id => format!("{namespace}.{}.v{}", reference.view, reference.version),
                asset => asset(&reference),
                inlets => self.inlets(sql),
                config => format!("{namespace}/{stem}.json"),
                definition => definition_name(&sources).to_owned(),
                description => view.description.clone(),
                docs => docs(view),
                owner => view.owner.team.clone(),
                contact => view.owner.contact.clone(),
                tier_name => view.urgency_tier,
                tier => context! {
                    retries => tier.retries,
                    retry_delay => tier.retry_delay,
                    retry_delay_max => tier.retry_delay_max,
                    task_timeout => tier.task_timeout,
                    wait_timeout => tier.wait_timeout,
                    wait_interval => tier.wait_interval,
                    deadline => tier.deadline,
                    priority => tier.priority,
                    rows_per_second => tier.rows_per_second.map(NonZeroU32::get),
                    pool => pool,
                    spark_pool => spark_pool,
                },
                tags => tags(view, &self.settings),
                start => start(schedule),
                timetable => timetable(schedule),
                // Periods that look back on each other are run one after the other.
                max_active_runs => if looks_behind(view, schedule) > 0 { 1 } else { 4 },
                looks_behind => looks_behind(view, schedule),
                online => view.online,
                every => schedule.every.micros() / 1_000_000,
                openlineage => self.settings.openlineage,
                airflow => context! {
                    command => self.settings.airflow.command.clone(),
                    spark_connection => self.settings.airflow.spark_connection.clone(),
                    catchup => self.settings.airflow.catchup || !is_cron(schedule),
                    tables => self.settings.airflow.tables,
                    catalog => self.settings.airflow.catalog.clone(),
                    deadline_callback => self.settings.airflow.deadline_callback.clone(),
                },
                conf => conf,
            })
            .map_err(internal)?;
        let head = format!(
            "{MARK}{}: change its sources, not this file.\n# from: {namespace}/{stem}.json, {namespace}/{stem}.sql\n{SOURCES_LINE}{sources}\n",
            env!("CARGO_PKG_VERSION"),
        );
        Ok(Some(Generated {
            path: format!("{namespace}/{}_v{}.py", reference.view, reference.version),
            text: marked(&head, &body),
            definition,
            tables: sql.query.tables().to_vec(),
            view: reference,
        }))
    }

    /// The assets of the views that the SQL reads.
    fn inlets(&self, sql: &ProjectSql) -> Vec<String> {
        let read = self.settings.views_among(sql.query.tables());
        let mut assets: Vec<String> = read.map(|source| asset(&source.view)).collect();
        assets.sort();
        assets.dedup();
        assets
    }
}

/// The name of a view's published partitions among Airflow's assets.
fn asset(view: &ViewRef) -> String {
    format!("trivium://{}/{}/v{}", view.namespace, view.view, view.version)
}

/// Whether a file is one of ours, and if so whether it is as it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// Somebody else's.
    Foreign,
    /// Ours, unchanged.
    Ours,
    /// Ours, and changed since.
    Edited,
}

/// Whose a file is.
pub fn origin(text: &str) -> Origin {
    if !text.starts_with(MARK) {
        return Origin::Foreign;
    }
    let Some((head, rest)) = text.split_once(HASH_LINE) else { return Origin::Edited };
    match rest.split_once('\n') {
        Some((said, body)) if said == hash(&[head, body]) => Origin::Ours,
        _ => Origin::Edited,
    }
}

/// A text by which [`origin`] knows whether it was edited.
fn marked(head: &str, body: &str) -> String {
    format!("{head}{HASH_LINE}{}\n{body}", hash(&[head, body]))
}

/// A file that is the same for all views.
pub fn shipped(body: &str) -> String {
    let head = format!("{MARK}{}, with the DAGs: not to be edited.\n", env!("CARGO_PKG_VERSION"));
    marked(&head, body)
}

/// The name of a definition's folder, by the hash of its files.
fn definition_name(hash: &str) -> &str {
    hash.get(..SHORT).unwrap_or(hash)
}

/// Whether a definition's folder is named by what its files hold.
pub fn is_named_by(name: &str, config: &str, sql: &str) -> bool {
    definition_name(&hash(&[config, sql])) == name
}

/// The folder of the definition that a DAG's text names.
pub fn definition_of(text: &str) -> Option<&str> {
    text.lines().take(4).find_map(|line| line.strip_prefix(SOURCES_LINE)?.get(..SHORT))
}

/// SHA-256 over texts, each with its length before it.
fn hash(texts: &[&str]) -> String {
    let mut hasher = Sha256::new();
    for text in texts {
        hasher.update((text.len() as u64).to_be_bytes());
        hasher.update(text.as_bytes());
    }
    hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn internal(error: minijinja::Error) -> Error {
    Error::Internal(format!("the DAG template: {error:#}"))
}

/// The page that Airflow shows. It never ends in `.md`, which Airflow would take for a file's name.
fn docs(view: &FeatureView) -> Vec<String> {
    let mut docs = format!(
        "### {}\n\n{}\n\nOwner: {} ({}), urgency tier {}.\n\n| feature | type | description |\n| --- | --- | --- |\n",
        view.reference(),
        view.description,
        view.owner.team,
        view.owner.contact,
        view.urgency_tier
    );
    for feature in view.served_features() {
        let described =
            view.feature(&feature.name).map_or("", |feature| feature.description.as_str());
        let cell = described.replace('|', "\\|").replace(['\n', '\r'], " ");
        docs.push_str(&format!("| {} | {} | {cell} |\n", feature.name, feature.data_type));
    }
    docs.split_inclusive('\n').map(str::to_owned).collect()
}

/// Airflow's tags have 100 characters at most.
fn tags(view: &FeatureView, settings: &Settings) -> Vec<String> {
    let mut tags = vec![
        "trivium".to_owned(),
        view.namespace.to_string(),
        format!("team:{}", view.owner.team),
        format!("tier:{}", view.urgency_tier),
    ];
    tags.extend(settings.airflow.tags.iter().cloned());
    tags.extend(view.tags.iter().map(ToString::to_string));
    let mut tags: Vec<String> =
        tags.into_iter().map(|tag| tag.chars().take(100).collect()).collect();
    tags.sort();
    tags.dedup();
    tags
}

/// Seconds from the start of a period to that of the last one that looks back on it.
fn looks_behind(view: &FeatureView, schedule: &Schedule) -> i64 {
    let periods = i64::from(trivium_sql::publish::lookback_periods(view));
    schedule.every.micros().saturating_mul(periods) / 1_000_000
}

/// Year, month, day, hour, minute, second of the schedule's start.
fn start(schedule: &Schedule) -> Vec<i64> {
    let text = schedule.start.to_string();
    // `2013-01-01T00:00:00Z`, with a fraction perhaps, which no schedule of Airflow's can have.
    text.split(['-', 'T', ':', 'Z', '.']).take(6).filter_map(|part| part.parse().ok()).collect()
}

/// The constructor call of the timetable whose intervals are the schedule's periods.
///
/// Airflow's own `"@daily"` would run a day when it begins. Cron expressions are said in UTC, where they know
/// no change of clocks; where a period is no cron's, intervals are counted from the start.
fn timetable(schedule: &Schedule) -> String {
    match cron(schedule) {
        Some(cron) => {
            format!("CronDataIntervalTimetable({}, timezone=\"UTC\")", python::string(&cron))
        }
        None => format!(
            "DeltaDataIntervalTimetable(timedelta(seconds={}))",
            schedule.every.micros() / 1_000_000
        ),
    }
}

fn is_cron(schedule: &Schedule) -> bool {
    cron(schedule).is_some()
}

/// The cron expression whose ticks are the edges of the periods, if one is. Configs let no schedule begin
/// anywhere but at an edge of its period's clock: a day at midnight, six hours at 0, 6, 12 or 18.
fn cron(schedule: &Schedule) -> Option<String> {
    const MINUTE: i64 = 60_000_000;
    const HOUR: i64 = 60 * MINUTE;
    let day = TimeSpan::DAY.micros();
    let every = schedule.every.micros();
    let each = |step: i64| if step == 1 { "*".to_owned() } else { format!("*/{step}") };
    if schedule.start.0.rem_euclid(every.clamp(1, day)) != 0 {
        return None;
    }
    if every == day {
        return Some("0 0 * * *".to_owned());
    }
    if every == 7 * day {
        // The epoch was a Thursday.
        let weekday = (schedule.start.0.div_euclid(day) + 4).rem_euclid(7);
        return Some(format!("0 0 * * {weekday}"));
    }
    if every % HOUR == 0 && day % every == 0 {
        return Some(format!("0 {} * * *", each(every / HOUR)));
    }
    if every % MINUTE == 0 && HOUR % every == 0 {
        return Some(format!("{} * * * *", each(every / MINUTE)));
    }
    None
}
