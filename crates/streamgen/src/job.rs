//! One view's job: a script of Flink SQL, and the manifest of it.

use std::fmt::Write as _;

use minijinja::{AutoEscape, Environment, UndefinedBehavior, Value, context};
use sha2::{Digest as _, Sha256};
use trivium_model::{FeatureView, StreamJob};
use trivium_registry::project::ProjectView;

use crate::{
    Error, Settings,
    tables::{self, Input, Places, duration, literal},
    windows,
};

/// What our files begin with, after the sign of a comment.
pub const MARK: &str = "Made by trivium-streamgen ";

/// The longest name that the operator lets a deployment have.
const DEPLOYMENT_NAME_MAX: usize = 45;

/// One view's two files, paths relative to the folder of jobs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Generated {
    /// `flights/congestion.v1.sql`, and its text.
    pub script: (String, String),
    /// `flights/congestion.v1.yaml`, and its text.
    pub manifest: (String, String),
}

/// Makes jobs.
#[derive(Debug)]
pub struct Generator {
    environment: Environment<'static>,
    settings: Settings,
}

fn internal(error: impl std::fmt::Display) -> Error {
    Error::Internal(error.to_string())
}

/// A script for a local run, and where in it the author's query begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalScript {
    /// The text.
    pub text: String,
    /// The line of the query's first line, from 1.
    pub query_line: u32,
}

/// What a script is put together from.
#[derive(Debug)]
pub(crate) struct Parts {
    /// With the source that rows are read from.
    pub view: FeatureView,
    /// How it runs.
    pub job: StreamJob,
    /// Tables that are read.
    pub inputs: Vec<Input>,
    /// Names and queries of what stands between them and the statement.
    pub views: Vec<(String, String)>,
    /// Gives the rows.
    pub statement: String,
    /// Whether an author wrote it.
    pub has_sql: bool,
}

impl Parts {
    /// Of a stream view with SQL, or windows that Flink computes; none of others.
    fn of(loaded: &ProjectView, places: Places<'_>) -> Result<Option<Self>, Error> {
        let (Some(query), Some(job)) = (&loaded.flink, &loaded.view.job) else {
            return windows::parts(loaded, places);
        };
        let inputs = job.inputs.iter().map(|input| tables::input(&loaded.view, input, places));
        Ok(Some(Self {
            view: loaded.view.clone(),
            job: job.clone(),
            inputs: inputs.collect::<Result<_, Error>>()?,
            views: Vec::new(),
            statement: query.statement().to_owned(),
            has_sql: true,
        }))
    }
}

impl Generator {
    /// By these settings.
    pub fn new(settings: Settings) -> Result<Self, Error> {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        // Every value that is put in is quoted before.
        environment.set_auto_escape_callback(|_| AutoEscape::None);
        environment
            .add_template("job", include_str!("templates/job.sql.j2"))
            .and_then(|()| {
                environment.add_template("deployment", include_str!("templates/deployment.yaml.j2"))
            })
            .map_err(internal)?;
        Ok(Self { environment, settings })
    }

    /// The job of a stream view with inputs, or windows that Flink computes; `None` for others.
    pub fn render(&self, loaded: &ProjectView) -> Result<Option<Generated>, Error> {
        let places = Places::Systems(&self.settings);
        let Some(parts) = Parts::of(loaded, places)? else { return Ok(None) };
        let (view, job) = (&loaded.view, parts.job.clone());
        let reference = view.reference();
        let field = if parts.has_sql { "job.checkpoint" } else { "window.job.checkpoint" };
        self.check_commits(&job, &format!("{}: {field}", loaded.config_path))?;
        let stem = format!("{}/{}.v{}", reference.namespace, reference.view, reference.version);
        let mut settings = vec![
            ("pipeline.name", reference.to_string()),
            // State is spread over so many groups of keys for ever.
            ("pipeline.max-parallelism", "128".to_owned()),
            ("parallelism.default", job.parallelism.to_string()),
            ("execution.checkpointing.interval", duration(job.checkpoint)),
            ("execution.checkpointing.mode", "EXACTLY_ONCE".to_owned()),
            (
                "execution.checkpointing.externalized-checkpoint-retention",
                "RETAIN_ON_CANCELLATION".to_owned(),
            ),
            ("table.exec.source.idle-timeout", duration(job.idle_timeout)),
        ];
        if let Some(ttl) = job.state_ttl {
            settings.push(("table.exec.state.ttl", duration(ttl)));
        }
        let sql = if parts.has_sql { format!(", {stem}.sql") } else { String::new() };
        let body = self.script(parts, settings, places)?;
        let head = format!(
            "{MARK}{}: change its sources, not this file.\n# from: {stem}.json{sql}\n",
            env!("CARGO_PKG_VERSION")
        );
        let script = marked(&head, &body, "-- ");
        let manifest = marked(&head, &self.manifest(view, job.parallelism, &script)?, "# ");
        Ok(Some(Generated {
            script: (format!("{stem}.sql"), script),
            manifest: (format!("{stem}.yaml"), manifest),
        }))
    }

    /// What is written between two checkpoints is one transaction, which brokers end by themselves after its timeout: rows
    /// that were not committed by then are lost. Half of it is left to whoever has to start the job anew.
    fn check_commits(&self, job: &StreamJob, place: &str) -> Result<(), Error> {
        let allowed = self.settings.transaction_timeout()?;
        if job.checkpoint.micros() / 1_000 <= allowed / 2 {
            return Ok(());
        }
        Err(Error::Invalid {
            place: place.to_owned(),
            message: format!(
                "a checkpoint each {} is too rare: brokers give up what is not committed {} s after it was begun",
                job.checkpoint,
                allowed / 1_000
            ),
            help: format!(
                "write half of that at most, or set \"transaction.timeout.ms\" in [flink.kafka] of the project file, to at least {}; brokers have to allow it (`transaction.max.timeout.ms`)",
                job.checkpoint.micros() / 500
            ),
        })
    }

    /// The same query over files of a folder, for one run that ends.
    pub fn local(&self, loaded: &ProjectView, folder: &str) -> Result<Option<LocalScript>, Error> {
        let folder = format!("file://{folder}");
        let places = Places::Folder(&folder);
        let Some(parts) = Parts::of(loaded, places)? else { return Ok(None) };
        let settings = vec![
            ("pipeline.name", loaded.view.reference().to_string()),
            ("parallelism.default", "1".to_owned()),
            ("table.dml-sync", "true".to_owned()),
        ];
        let text = self.script(parts, settings, places)?;
        let before = text.split("`trivium_rows` AS\n").next().unwrap_or_default();
        let query_line = u32::try_from(before.lines().count() + 1).unwrap_or(u32::MAX);
        Ok(Some(LocalScript { text, query_line }))
    }

    fn script(
        &self,
        parts: Parts,
        mut settings: Vec<(&str, String)>,
        places: Places<'_>,
    ) -> Result<String, Error> {
        let view = &parts.view;
        let zone = view.time_zone.clone().unwrap_or_else(|| "UTC".to_owned());
        settings.extend([
            ("execution.runtime-mode", "STREAMING".to_owned()),
            ("table.local-time-zone", zone),
            // A hint in the query cannot say where a table is.
            ("table.dynamic-table-options.enabled", "false".to_owned()),
        ]);
        let settings: Vec<Vec<String>> =
            settings.into_iter().map(|(key, value)| vec![literal(key), literal(&value)]).collect();
        let inputs: Vec<Value> = parts.inputs.into_iter().map(Value::from).collect();
        let template = self.environment.get_template("job").map_err(internal)?;
        let body = template
            .render(context! {
                settings => settings,
                inputs => inputs,
                payload => Value::from(tables::payload(view, places)),
                views => parts.views,
                statement => parts.statement,
            })
            .map_err(internal)?;
        Ok(format!("{}\n", body.trim()))
    }

    fn manifest(
        &self,
        view: &FeatureView,
        parallelism: u32,
        script: &str,
    ) -> Result<String, Error> {
        let settings = &self.settings;
        let name = deployment_name(view);
        let state = settings.state.trim_end_matches('/');
        let folder = format!("{state}/{}/{}/v{}", view.namespace, view.name, view.version);
        let mut conf: Vec<(String, String)> = [
            ("execution.checkpointing.dir", format!("{folder}/checkpoints")),
            ("execution.checkpointing.savepoint-dir", format!("{folder}/savepoints")),
            ("high-availability.type", "kubernetes".to_owned()),
            ("high-availability.storageDir", format!("{folder}/ha")),
            ("state.backend.type", "rocksdb".to_owned()),
            ("execution.checkpointing.incremental", "true".to_owned()),
            ("taskmanager.numberOfTaskSlots", settings.slots.to_string()),
        ]
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value))
        .collect();
        for (key, value) in &settings.conf {
            match conf.iter_mut().find(|(known, _)| known == key) {
                Some((_, known)) => known.clone_from(value),
                None => conf.push((key.clone(), value.clone())),
            }
        }
        let conf: Vec<Vec<String>> =
            conf.into_iter().map(|(key, value)| vec![yaml(&key), yaml(&value)]).collect();
        let mut indented = String::with_capacity(script.len() * 2);
        for line in script.lines() {
            let line = if line.is_empty() { "\n".to_owned() } else { format!("    {line}\n") };
            indented.push_str(&line);
        }
        let template = self.environment.get_template("deployment").map_err(internal)?;
        let jar = format!("local:///opt/flink/opt/flink-sql-gateway-{}.jar", settings.version);
        let manifest = template
            .render(context! {
                name => yaml(&name),
                namespace => settings.namespace.as_deref().map(yaml),
                labels => mapping(&[
                    ("app.kubernetes.io/managed-by", "trivium"),
                    ("trivium/namespace", &label(view.namespace.as_str())),
                    ("trivium/view", &label(view.name.as_str())),
                    ("trivium/version", &view.version.to_string()),
                    ("trivium/urgency-tier", &view.urgency_tier.to_string()),
                ]),
                annotations => mapping(&[
                    ("trivium/owner", &view.owner.team),
                    ("trivium/contact", &view.owner.contact),
                ]),
                script => indented.trim_end(),
                hash => yaml(&hash(&[script])),
                image => yaml(&settings.image),
                flink_version => settings.operator_version(),
                service_account => yaml(&settings.service_account),
                conf => conf,
                job_manager_memory => yaml(&settings.job_manager_memory),
                task_manager_memory => yaml(&settings.task_manager_memory),
                jar => yaml(&jar),
                parallelism => parallelism,
            })
            .map_err(internal)?;
        Ok(format!("{}\n", manifest.trim()))
    }
}

/// A text as YAML: as JSON writes it, which is YAML, too.
fn yaml(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn mapping(pairs: &[(&str, &str)]) -> String {
    let pairs: Vec<String> =
        pairs.iter().map(|(key, value)| format!("{}: {}", yaml(key), yaml(value))).collect();
    format!("{{ {} }}", pairs.join(", "))
}

/// Kubernetes' labels end in a letter or a digit.
fn label(name: &str) -> String {
    name.trim_end_matches('_').to_owned()
}

/// A name that only this version of this view has, of the characters that Kubernetes lets names have.
fn deployment_name(view: &FeatureView) -> String {
    let (namespace, name) = (view.namespace.as_str(), view.name.as_str());
    let plain = format!("{namespace}--{name}--v{}", view.version).replace('_', "-");
    let is_one = |name: &str| !name.contains("__") && !name.ends_with('_');
    if plain.len() <= DEPLOYMENT_NAME_MAX && is_one(namespace) && is_one(name) {
        return plain;
    }
    let hash: String = hash(&[&view.reference().to_string()]).chars().take(10).collect();
    let kept: String = plain.chars().take(DEPLOYMENT_NAME_MAX - hash.len() - 1).collect();
    format!("{}-{hash}", kept.trim_end_matches('-'))
}

pub(crate) fn hash(parts: &[&str]) -> String {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update(part.as_bytes());
    }
    hasher.finalize().iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// A text by which [`origin`] knows whether it was edited.
fn marked(head: &str, body: &str, comment: &str) -> String {
    let head = format!("{comment}{}", head.replace("# ", comment));
    format!("{head}{comment}{HASH}{}\n{body}", hash(&[&head, body]))
}

const HASH: &str = "sha256: ";

/// Whose a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// Somebody else's.
    Foreign,
    /// Ours, unchanged.
    Ours,
    /// Ours, and changed since.
    Edited,
}

/// Whose a file is, by its text.
pub fn origin(text: &str) -> Origin {
    let comments = ["-- ", "# "];
    let Some(comment) = comments
        .iter()
        .find(|by| text.strip_prefix(*by).is_some_and(|rest| rest.starts_with(MARK)))
    else {
        return Origin::Foreign;
    };
    let Some((head, rest)) = text.split_once(&format!("{comment}{HASH}")) else {
        return Origin::Edited;
    };
    match rest.split_once('\n') {
        Some((said, body)) if said == hash(&[head, body]) => Origin::Ours,
        _ => Origin::Edited,
    }
}
