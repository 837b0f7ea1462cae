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
use trivium_node::{
    Field, Program, RegistrySource, Shape,
    config::{log_format, wrong},
    registry::RegistrySection,
};
use trivium_runtime::telemetry::LogFormat;

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
    ("flood", "share", Shape::Share),
    ("flood", "among", Shape::Whole),
    ("flood", "least", Shape::Whole),
    ("flood", "retry_ms", Shape::Whole),
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
    /// How each lane works.
    pub lane: LaneOptions,
    /// How Kafka is talked to.
    pub kafka: KafkaOptions,
    /// Topics whose messages name their views.
    pub payload_topics: Vec<String>,
    /// The topic of dead letters.
    pub dead_letters: String,
    /// Where Avro's schemas are.
    pub schema_registry: Option<String>,
    /// How log lines look.
    pub log: LogFormat,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    #[serde(default)]
    listen: Listen,
    registry: RegistrySection,
    serving: Serving,
    kafka: Kafka,
    #[serde(default)]
    flood: Flood,
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
#[serde(deny_unknown_fields)]
struct Serving {
    url: String,
    key_file: Option<PathBuf>,
    #[serde(default = "request_ms")]
    request_ms: u64,
    #[serde(default = "request_rows")]
    request_rows: usize,
}

fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
fn request_ms() -> u64 {
    ms(LaneOptions::default().request_time)
}
fn request_rows() -> usize {
    LaneOptions::default().request_rows
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
        PROGRAM.parse::<Document>(file, text, variables)?.check(file)
    }
}

impl Document {
    /// What the types alone do not hold. Relative paths are beside the file.
    fn check(self, file: &Path) -> Result<Config, ApiError> {
        let Self { listen, registry, serving, kafka, flood, schema_registry, log } = self;
        let base = file.parent().unwrap_or_else(|| Path::new(""));
        for (field, value) in [
            ("serving.request_ms", serving.request_ms),
            ("serving.request_rows", serving.request_rows as u64),
            ("kafka.session_ms", kafka.session_ms),
            ("kafka.commit_ms", kafka.commit_ms),
            ("kafka.waiting_bytes", kafka.waiting_bytes as u64),
            ("kafka.batch_records", kafka.batch_records as u64),
            ("flood.among", flood.among as u64),
            ("flood.least", flood.least as u64),
            ("flood.retry_ms", flood.retry_ms),
        ] {
            if value == 0 {
                return Err(wrong(file, field, "it is 0", "give at least 1"));
            }
        }
        if !(flood.share > 0.0 && flood.share <= 1.0) {
            let message = format!("{} is no share", flood.share);
            return Err(wrong(file, "flood.share", message, "write more than 0, and at most 1"));
        }
        for (field, text) in [
            ("kafka.brokers", &kafka.brokers),
            ("kafka.group", &kafka.group),
            ("kafka.dead_letters", &kafka.dead_letters),
            ("serving.url", &serving.url),
        ] {
            if text.trim().is_empty() {
                return Err(wrong(file, field, "it is empty", "name it"));
            }
        }
        if kafka.payload_topics.contains(&kafka.dead_letters) {
            let message = format!("`{}` is a payload topic, too", kafka.dead_letters);
            let help = "take another topic: dead letters would be read as messages";
            return Err(wrong(file, "kafka.dead_letters", message, help));
        }
        if let Some(url) = &schema_registry.url
            && url.strip_prefix("http://").is_none_or(|host| host.trim_matches('/').is_empty())
        {
            let message = format!("`{url}` is no address of a schema registry");
            return Err(wrong(file, "schema_registry.url", message, "write `http://HOST:PORT`"));
        }
        let more = match &kafka.properties_file {
            None => BTreeMap::new(),
            Some(path) => properties(&base.join(path))?,
        };
        let ms = Duration::from_millis;
        Ok(Config {
            http: listen.http,
            registry: registry.check(file)?,
            serving: serving.url,
            key_file: serving.key_file.map(|path| base.join(path)),
            lane: LaneOptions {
                request_rows: serving.request_rows,
                request_time: ms(serving.request_ms),
                flood: FloodOptions { share: flood.share, among: flood.among, least: flood.least },
                ..LaneOptions::default()
            },
            kafka: KafkaOptions {
                brokers: kafka.brokers,
                group: kafka.group,
                instance: kafka.instance,
                session: ms(kafka.session_ms),
                commit_every: ms(kafka.commit_ms),
                waiting_bytes: kafka.waiting_bytes,
                batch_records: kafka.batch_records,
                release_time: ms(kafka.release_ms),
                flood_retry: ms(flood.retry_ms),
                more,
            },
            payload_topics: kafka.payload_topics,
            dead_letters: kafka.dead_letters,
            schema_registry: schema_registry.url.map(|url| url.trim_end_matches('/').to_owned()),
            log: log_format(file, log.format.as_deref())?,
        })
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
