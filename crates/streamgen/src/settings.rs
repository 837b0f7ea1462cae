//! `[flink]` of trivium.toml: what the platform team decides for all jobs.

use std::{collections::BTreeMap, path::Path};

use serde::Deserialize;
use trivium_model::LineIndex;
use trivium_sql::flink::is_hidden;

use crate::Error;

/// The project file, where none is named.
pub const FILE: &str = "trivium.toml";

/// The setting of Kafka's clients that says how long a transaction may be open, and what it is where nobody says: as long as
/// brokers allow by themselves.
const TRANSACTION_TIMEOUT: &str = "transaction.timeout.ms";
pub(crate) const TRANSACTION_TIMEOUT_MS: i64 = 900_000;

/// `[flink]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Kafka's brokers as the job reaches them: `host:port`, several by commas.
    pub brokers: String,
    /// What the ARN of a Kinesis stream is before its name: `arn:aws:kinesis:REGION:ACCOUNT:stream/`.
    pub kinesis: Option<String>,
    /// The folder for checkpoints, savepoints and what high availability needs, shared by all machines: a URI.
    pub state: String,
    /// The image: Flink's own, with the connectors in `/opt/flink/lib`.
    pub image: String,
    /// The version of Flink in that image.
    pub version: String,
    /// The Kubernetes namespace; the one that `kubectl` is told, where it is left out.
    pub namespace: Option<String>,
    /// The Kubernetes account that jobs run as.
    pub service_account: String,
    /// Memory of the process that leads a job, as Flink writes it.
    pub job_manager_memory: String,
    /// Memory of each process that works, as Flink writes it.
    pub task_manager_memory: String,
    /// Tasks of one process that works.
    pub slots: u32,
    /// Further settings of Flink's, for all jobs.
    pub conf: BTreeMap<String, String>,
    /// Further settings of Kafka's clients, for all inputs and payloads. They stand in files that are checked in.
    pub kafka: BTreeMap<String, String>,
    /// Further options of tables of Kinesis, or others than the job's own. They stand in files that are checked in.
    pub kinesis_options: BTreeMap<String, String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            brokers: "127.0.0.1:9092".to_owned(),
            kinesis: None,
            state: "file:///flink-state".to_owned(),
            image: "flink:2.3.0".to_owned(),
            version: "2.3.0".to_owned(),
            namespace: None,
            service_account: "flink".to_owned(),
            job_manager_memory: "1600m".to_owned(),
            task_manager_memory: "2g".to_owned(),
            slots: 1,
            conf: BTreeMap::new(),
            kafka: BTreeMap::new(),
            kinesis_options: BTreeMap::new(),
        }
    }
}

#[derive(Deserialize)]
struct Document {
    #[serde(default)]
    flink: Settings,
}

impl Settings {
    /// Those of a project file; the defaults where there is none.
    pub fn read(file: &Path) -> Result<Self, Error> {
        match std::fs::read_to_string(file) {
            Ok(text) => Self::parse(&file.display().to_string(), &text),
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
        let document: Document = toml::from_str(text).map_err(|error| Error::Invalid {
            place: error.span().map_or_else(
                || file.to_owned(),
                |span| {
                    let (line, column) = LineIndex::new(text).position(span.start);
                    format!("{file}:{line}:{column}")
                },
            ),
            message: error.message().trim().replace('\n', ", "),
            help: "correct the project file".to_owned(),
        })?;
        document.flink.check(file)?;
        Ok(document.flink)
    }

    fn check(&self, file: &str) -> Result<(), Error> {
        let wrong = |field: &str, message: String, help: &str| {
            let place = format!("{file}: flink.{field}");
            Err(Error::Invalid { place, message, help: help.to_owned() })
        };
        let optional = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
        let texts = [
            ("brokers", self.brokers.clone()),
            ("kinesis", optional(&self.kinesis)),
            ("state", self.state.clone()),
            ("image", self.image.clone()),
            ("version", self.version.clone()),
            ("namespace", optional(&self.namespace)),
            ("service_account", self.service_account.clone()),
            ("job_manager_memory", self.job_manager_memory.clone()),
            ("task_manager_memory", self.task_manager_memory.clone()),
        ];
        for (field, text) in texts {
            if text.is_empty() || text.contains(|c: char| c.is_control() || c.is_whitespace()) {
                return wrong(
                    field,
                    "it is empty, or has blanks".to_owned(),
                    "write it in one word",
                );
            }
        }
        if let Some(arn) = &self.kinesis
            && (region(arn).is_none() || !arn.ends_with(":stream/"))
        {
            let message = format!("`{arn}` is not what ARNs of streams begin with");
            let help = "write `arn:aws:kinesis:REGION:ACCOUNT:stream/`";
            return wrong("kinesis", message, help);
        }
        if self.state.split_once("://").is_none() {
            let message = format!("`{}` is no URI", self.state);
            return wrong("state", message, "write it as in `s3://bucket/flink`");
        }
        let number = self.version.split('.').collect::<Vec<_>>();
        let is_number = |part: &&str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        if number.len() != 3 || !number.iter().all(is_number) {
            let message = format!("`{}` is no version", self.version);
            return wrong("version", message, "write three numbers, as in `2.3.0`");
        }
        if self.slots == 0 {
            return wrong("slots", "no task would ever run".to_owned(), "write 1 or more");
        }
        let maps = [
            ("conf", &self.conf),
            ("kafka", &self.kafka),
            ("kinesis_options", &self.kinesis_options),
        ];
        for (section, settings) in maps {
            for (name, value) in settings {
                if name.is_empty()
                    || (name.clone() + value).contains(|c| is_hidden(c) || matches!(c, '\n' | '\t'))
                {
                    let field = format!("{section}.{}", name.escape_debug());
                    let message = "a name or value is empty, or has a character that does not show";
                    return wrong(&field, message.to_owned(), "write it on one line");
                }
            }
        }
        // Flink would say so when the job starts; and the format is the input's.
        let is_own = |name: &&String| !name.starts_with("aws.") && !name.starts_with("source.");
        if let Some(name) = self.kinesis_options.keys().find(is_own) {
            let message = "it is no option of a source of Kinesis";
            let help = "write those that begin with `aws.` or `source.`";
            return wrong(&format!("kinesis_options.{name}"), message.to_owned(), help);
        }
        Ok(())
    }

    /// How long a transaction of a job may be open, in milliseconds.
    pub fn transaction_timeout(&self) -> Result<i64, Error> {
        let Some(said) = self.kafka.get(TRANSACTION_TIMEOUT) else {
            return Ok(TRANSACTION_TIMEOUT_MS);
        };
        said.parse().ok().filter(|timeout| *timeout > 0).ok_or_else(|| Error::Invalid {
            place: format!("flink.kafka.{TRANSACTION_TIMEOUT}"),
            message: format!("`{said}` is no number of milliseconds"),
            help: "write a whole number above 0".to_owned(),
        })
    }

    /// Flink's version as the operator writes it: `v2_3`.
    pub fn operator_version(&self) -> String {
        let mut parts = self.version.split('.');
        let (major, minor) = (parts.next().unwrap_or("0"), parts.next().unwrap_or("0"));
        format!("v{major}_{minor}")
    }
}

/// The region of an ARN.
pub(crate) fn region(arn: &str) -> Option<&str> {
    let mut parts = arn.split(':');
    let is_kinesis = parts.next() == Some("arn") && parts.nth(1) == Some("kinesis");
    parts.next().filter(|region| is_kinesis && !region.is_empty())
}
