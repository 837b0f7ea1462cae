//! The worker's config: a TOML file, and the environment over it.

#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    ffi::OsString,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::Deserialize;
use trivium_api::ApiError;
use trivium_ingest::{FloodOptions, LaneOptions};
use trivium_ingest_kafka::KafkaOptions;
use trivium_ingest_kinesis::{Error as KinesisError, KinesisOptions};
use trivium_node::{
    Field, Program, RegistrySource, Shape,
    config::{log_format, wrong},
    registry::RegistrySection,
};
use trivium_runtime::telemetry::LogFormat;

use crate::history::{self, History};

/// A config with every field, as `trivium-ingest sample-config` prints it.
pub const SAMPLE: &str = include_str!("../ingest.toml");

/// Every field there is. A test holds this list, the sample and docs/streams.md together.
const FIELDS: &[Field] = &[
    ("listen", "http", Shape::Text),
    ("registry", "url", Shape::Text),
    ("registry", "poll_ms", Shape::Whole),
    ("registry", "state_file", Shape::Text),
    ("serving", "url", Shape::Text),
    ("serving", "key_file", Shape::Text),
    ("serving", "request_ms", Shape::Whole),
    ("serving", "request_rows", Shape::Whole),
    ("kafka", "brokers", Shape::Text),
    ("kafka", "group", Shape::Text),
    ("kafka", "instance", Shape::Text),
    ("kafka", "session_ms", Shape::Whole),
    ("kafka", "payload_topics", Shape::List),
    ("kafka", "dead_letters", Shape::Text),
    ("kafka", "commit_ms", Shape::Whole),
    ("kafka", "waiting_bytes", Shape::Whole),
    ("kafka", "batch_records", Shape::Whole),
    ("kafka", "release_ms", Shape::Whole),
    ("kafka", "properties_file", Shape::Text),
    ("kinesis", "region", Shape::Text),
    ("kinesis", "endpoint", Shape::Text),
    ("kinesis", "lease_table", Shape::Text),
    ("kinesis", "lease_endpoint", Shape::Text),
    ("kinesis", "worker", Shape::Text),
    ("kinesis", "lease_ms", Shape::Whole),
    ("kinesis", "payload_streams", Shape::List),
    ("kinesis", "dead_letters", Shape::Text),
    ("kinesis", "commit_ms", Shape::Whole),
    ("kinesis", "shards_ms", Shape::Whole),
    ("kinesis", "read_ms", Shape::Whole),
    ("kinesis", "waiting_bytes", Shape::Whole),
    ("kinesis", "batch_records", Shape::Whole),
    ("kinesis", "release_ms", Shape::Whole),
    ("flood", "share", Shape::Share),
    ("flood", "among", Shape::Whole),
    ("flood", "least", Shape::Whole),
    ("flood", "retry_ms", Shape::Whole),
    ("history", "lake", Shape::Text),
    ("history", "group", Shape::Text),
    ("history", "lease_table", Shape::Text),
    ("history", "read_ms", Shape::Whole),
    ("history", "commit_ms", Shape::Whole),
    ("history", "commit_bytes", Shape::Whole),
    ("history", "keep_ms", Shape::Whole),
    ("windows", "folder", Shape::Text),
    ("schema_registry", "url", Shape::Text),
    ("log", "format", Shape::Text),
];

/// What the config is called, and what it may say.
const PROGRAM: Program = Program {
    name: "trivium-ingest",
    prefix: "TRIVIUM_INGEST_",
    page: "docs/streams.md",
    fields: FIELDS,
};

/// What a worker is told, checked.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where health and metrics are.
    pub http: SocketAddr,
    /// Where definitions come from.
    pub registry: RegistrySource,
    /// Serving's gRPC.
    pub serving: String,
    /// The file of its key.
    pub key_file: Option<PathBuf>,
    /// How log lines look.
    pub log: LogFormat,
    /// What is done.
    pub work: Work,
}

/// What a worker does, wherever it runs: what it reads, and how it works.
#[derive(Debug, Clone)]
pub struct Work {
    /// How each lane works.
    pub lane: LaneOptions,
    /// Where every row goes besides, if any does.
    pub history: Option<History>,
    /// Where the state of windows is; without it this worker computes none.
    pub windows: Option<PathBuf>,
    /// What is read of Kafka.
    pub kafka: Option<Source<KafkaOptions, String>>,
    /// What is read of Kinesis; without a stream of dead letters they go to Kafka's topic.
    pub kinesis: Option<Source<KinesisOptions, Option<String>>>,
    /// Where Avro's schemas are.
    pub schema_registry: Option<String>,
}

/// A system that messages come from.
#[derive(Debug, Clone)]
pub struct Source<Options, Letters> {
    /// How it is talked to.
    pub options: Options,
    /// Topics or streams whose messages name their views.
    pub payload_topics: Vec<String>,
    /// The topic or stream of dead letters.
    pub dead_letters: Letters,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    #[serde(default)]
    listen: Listen,
    registry: Option<RegistrySection>,
    #[serde(default)]
    serving: Serving,
    kafka: Option<Kafka>,
    kinesis: Option<Kinesis>,
    #[serde(default)]
    flood: Flood,
    #[serde(default)]
    history: history::Section,
    #[serde(default)]
    windows: Windows,
    #[serde(default)]
    schema_registry: SchemaRegistry,
    #[serde(default)]
    log: Log,
}

#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Listen {
    http: SocketAddr,
}

impl Default for Listen {
    fn default() -> Self {
        Self { http: SocketAddr::from(([127, 0, 0, 1], 7410)) }
    }
}

#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Serving {
    url: Option<String>,
    key_file: Option<PathBuf>,
    request_ms: u64,
    request_rows: usize,
}

impl Default for Serving {
    fn default() -> Self {
        let LaneOptions { request_time, request_rows, .. } = LaneOptions::default();
        Self { url: None, key_file: None, request_ms: ms(request_time), request_rows }
    }
}

fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Kafka {
    brokers: String,
    group: String,
    instance: Option<String>,
    session_ms: u64,
    payload_topics: Vec<String>,
    dead_letters: String,
    commit_ms: u64,
    waiting_bytes: usize,
    batch_records: usize,
    release_ms: u64,
    properties_file: Option<PathBuf>,
}

impl Default for Kafka {
    fn default() -> Self {
        let options = KafkaOptions::default();
        Self {
            brokers: options.brokers,
            group: options.group,
            instance: None,
            session_ms: ms(options.session),
            payload_topics: Vec::new(),
            dead_letters: "trivium-dead-letters".to_owned(),
            commit_ms: ms(options.commit_every),
            waiting_bytes: options.waiting_bytes,
            batch_records: options.batch_records,
            release_ms: ms(options.release_time),
            properties_file: None,
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Kinesis {
    region: String,
    endpoint: Option<String>,
    lease_table: String,
    lease_endpoint: Option<String>,
    worker: Option<String>,
    lease_ms: u64,
    payload_streams: Vec<String>,
    dead_letters: Option<String>,
    commit_ms: u64,
    shards_ms: u64,
    read_ms: u64,
    waiting_bytes: usize,
    batch_records: usize,
    release_ms: u64,
}

impl Default for Kinesis {
    fn default() -> Self {
        let options = KinesisOptions::default();
        Self {
            region: options.region,
            endpoint: None,
            lease_table: options.lease_table,
            lease_endpoint: None,
            worker: None,
            lease_ms: ms(options.lease),
            payload_streams: Vec::new(),
            dead_letters: None,
            commit_ms: ms(options.commit_every),
            shards_ms: ms(options.shards_every),
            read_ms: ms(options.read_every),
            waiting_bytes: options.waiting_bytes,
            batch_records: options.batch_records,
            release_ms: ms(options.release_time),
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Flood {
    share: f64,
    among: usize,
    least: usize,
    retry_ms: u64,
}

impl Default for Flood {
    fn default() -> Self {
        let FloodOptions { share, among, least } = FloodOptions::default();
        Self { share, among, least, retry_ms: ms(KafkaOptions::default().flood_retry) }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Windows {
    folder: Option<PathBuf>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct SchemaRegistry {
    url: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Log {
    format: Option<String>,
}

impl Config {
    /// Reads the file, and the environment over it.
    pub fn read(file: &Path) -> Result<Self, ApiError> {
        Self::parse(file, &PROGRAM.text(file)?, std::env::vars_os())
    }

    fn parse(
        file: &Path,
        text: &str,
        variables: impl Iterator<Item = (OsString, OsString)>,
    ) -> Result<Self, ApiError> {
        let mut document = PROGRAM.parse::<Document>(file, text, variables)?;
        let Some(registry) = document.registry.take() else {
            let help = "say where definitions come from: its `url`";
            return Err(wrong(file, "registry", "the section is missing", help));
        };
        let Some(serving) = document.serving.url.take() else {
            let help = "say where rows are written: serving's gRPC";
            return Err(wrong(file, "serving.url", "it is missing", help));
        };
        named(file, &[("serving.url", &serving)])?;
        Ok(Self {
            http: document.listen.http,
            registry: registry.check(file)?,
            serving,
            key_file: document.serving.key_file.take().map(|path| beside(file).join(path)),
            log: log_format(file, document.log.format.as_deref())?,
            work: document.work(file)?,
        })
    }
}

impl Work {
    /// Of a config whose worker runs beside serving and the registry: what it says of these, of its own
    /// address and of logs has no effect.
    pub fn read(file: &Path) -> Result<Self, ApiError> {
        PROGRAM.parse::<Document>(file, &PROGRAM.text(file)?, std::env::vars_os())?.work(file)
    }
}

fn beside(file: &Path) -> &Path {
    file.parent().unwrap_or_else(|| Path::new(""))
}

impl Document {
    /// What the types alone do not hold. Relative paths are beside the file.
    fn work(self, file: &Path) -> Result<Work, ApiError> {
        let Self { serving, kafka, kinesis, flood, history, windows, schema_registry, .. } = self;
        let base = beside(file);
        not_zero(
            file,
            &[
                ("serving.request_ms", serving.request_ms),
                ("serving.request_rows", serving.request_rows as u64),
                ("flood.among", flood.among as u64),
                ("flood.least", flood.least as u64),
                ("flood.retry_ms", flood.retry_ms),
            ],
        )?;
        if !(flood.share > 0.0 && flood.share <= 1.0) {
            let message = format!("{} is no share", flood.share);
            return Err(wrong(file, "flood.share", message, "write more than 0, and at most 1"));
        }
        if flood.least > flood.among {
            let message = format!("{} is more than `flood.among`", flood.least);
            return Err(wrong(
                file,
                "flood.least",
                message,
                "give at most that: else nothing is a flood",
            ));
        }
        if kafka.is_none() && kinesis.is_none() {
            let message = "neither `[kafka]` nor `[kinesis]` is there";
            return Err(wrong(file, "kafka", message, "say where messages come from"));
        }
        let no_topic = kafka.is_none();
        let retry = Duration::from_millis(flood.retry_ms);
        let kafka = kafka.map(|kafka| kafka.check(file, base, retry)).transpose()?;
        let kinesis = kinesis.map(|kinesis| kinesis.check(file, no_topic, retry)).transpose()?;
        if let Some(url) = &schema_registry.url
            && url.strip_prefix("http://").is_none_or(|host| host.trim_matches('/').is_empty())
        {
            // It is not shown: there may be a password in it.
            let message = "it is no address of a schema registry";
            return Err(wrong(file, "schema_registry.url", message, "write `http://HOST:PORT`"));
        }
        let history = history.check(
            file,
            kafka.as_ref().map(|kafka| &kafka.options),
            kinesis.as_ref().map(|kinesis| &kinesis.options),
        )?;
        if windows.folder.is_some() && no_topic {
            let message = "windows are computed over Kafka's topics, and there is no `[kafka]`";
            return Err(wrong(file, "windows.folder", message, "add it, or leave windows out"));
        }
        let ms = Duration::from_millis;
        Ok(Work {
            lane: LaneOptions {
                request_rows: serving.request_rows,
                request_time: ms(serving.request_ms),
                flood: FloodOptions { share: flood.share, among: flood.among, least: flood.least },
                ..LaneOptions::default()
            },
            history,
            windows: windows.folder.map(|folder| base.join(folder)),
            kafka,
            kinesis,
            schema_registry: schema_registry.url.map(|url| url.trim_end_matches('/').to_owned()),
        })
    }
}

fn not_zero(file: &Path, fields: &[(&str, u64)]) -> Result<(), ApiError> {
    match fields.iter().find(|(_, value)| *value == 0) {
        Some((field, _)) => Err(wrong(file, field, "it is 0", "give at least 1")),
        None => Ok(()),
    }
}

fn named(file: &Path, fields: &[(&str, &str)]) -> Result<(), ApiError> {
    match fields.iter().find(|(_, text)| text.trim().is_empty()) {
        Some((field, _)) => Err(wrong(file, field, "it is empty", "name it")),
        None => Ok(()),
    }
}

/// Dead letters that were read as messages would be dead letters again.
fn apart(file: &Path, field: &str, letters: &str, payloads: &[String]) -> Result<(), ApiError> {
    if payloads.iter().any(|payload| payload == letters) {
        let message = format!("`{letters}` is read for payloads, too");
        let help = "take another: dead letters would be read as messages";
        return Err(wrong(file, field, message, help));
    }
    Ok(())
}

impl Kafka {
    fn check(
        self,
        file: &Path,
        base: &Path,
        flood_retry: Duration,
    ) -> Result<Source<KafkaOptions, String>, ApiError> {
        not_zero(
            file,
            &[
                ("kafka.session_ms", self.session_ms),
                ("kafka.commit_ms", self.commit_ms),
                ("kafka.waiting_bytes", self.waiting_bytes as u64),
                ("kafka.batch_records", self.batch_records as u64),
            ],
        )?;
        named(
            file,
            &[
                ("kafka.brokers", &self.brokers),
                ("kafka.group", &self.group),
                ("kafka.dead_letters", &self.dead_letters),
            ],
        )?;
        apart(file, "kafka.dead_letters", &self.dead_letters, &self.payload_topics)?;
        let more = match &self.properties_file {
            None => BTreeMap::new(),
            Some(path) => properties(&base.join(path))?,
        };
        let ms = Duration::from_millis;
        let options = KafkaOptions {
            brokers: self.brokers,
            group: self.group,
            instance: self.instance,
            session: ms(self.session_ms),
            commit_every: ms(self.commit_ms),
            waiting_bytes: self.waiting_bytes,
            batch_records: self.batch_records,
            release_time: ms(self.release_ms),
            flood_retry,
            more,
        };
        let (payload_topics, dead_letters) = (self.payload_topics, self.dead_letters);
        Ok(Source { options, payload_topics, dead_letters })
    }
}

impl Kinesis {
    /// Without a topic of Kafka, dead letters need a stream.
    fn check(
        self,
        file: &Path,
        no_topic: bool,
        flood_retry: Duration,
    ) -> Result<Source<KinesisOptions, Option<String>>, ApiError> {
        not_zero(
            file,
            &[
                ("kinesis.commit_ms", self.commit_ms),
                ("kinesis.shards_ms", self.shards_ms),
                ("kinesis.waiting_bytes", self.waiting_bytes as u64),
                ("kinesis.batch_records", self.batch_records as u64),
            ],
        )?;
        match &self.dead_letters {
            Some(stream) => {
                named(file, &[("kinesis.dead_letters", stream)])?;
                apart(file, "kinesis.dead_letters", stream, &self.payload_streams)?;
            }
            None if no_topic => {
                let message = "dead letters have no place to go";
                let help = "name a stream for them; without one they go to Kafka's topic";
                return Err(wrong(file, "kinesis.dead_letters", message, help));
            }
            None => {}
        }
        let ms = Duration::from_millis;
        let options = KinesisOptions {
            region: self.region,
            endpoint: self.endpoint,
            lease_table: self.lease_table,
            lease_endpoint: self.lease_endpoint,
            worker: self.worker,
            lease: ms(self.lease_ms),
            commit_every: ms(self.commit_ms),
            shards_every: ms(self.shards_ms),
            read_every: ms(self.read_ms),
            waiting_bytes: self.waiting_bytes,
            batch_records: self.batch_records,
            release_time: ms(self.release_ms),
            flood_retry,
            ..KinesisOptions::default()
        };
        options.check().map_err(|error| match error {
            KinesisError::Option { option, why } => {
                wrong(file, &format!("kinesis.{option}"), why, "change it")
            }
            error => wrong(file, "kinesis", error.to_string(), "change it"),
        })?;
        let (payload_topics, dead_letters) = (self.payload_streams, self.dead_letters);
        Ok(Source { options, payload_topics, dead_letters })
    }
}

/// Settings of librdkafka, which may be secret and so stand in a file of their own.
fn properties(file: &Path) -> Result<BTreeMap<String, String>, ApiError> {
    let text = PROGRAM.text(file).map_err(|error| error.help("name a file that can be read"))?;
    toml::from_str(&text).map_err(|_| {
        // What stands there may be a secret.
        ApiError::invalid("it is not lines of `name = \"value\"`")
            .at(file.display().to_string())
            .help("quote names with dots: `\"sasl.password\" = \"…\"`")
    })
}
