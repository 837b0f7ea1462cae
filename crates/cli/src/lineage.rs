//! Where OpenLineage events go: `[lineage]` of `trivium.toml`.

use std::{
    fs::File,
    io::{Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use serde::Deserialize;
use serde_json::Value as Json;
use trivium_api::ApiError;

use crate::{
    failure::{self, Failure},
    target::client_with,
};

/// Tries of one event, the first among them.
const TRIES: u32 = 3;
/// The wait before the second try; each further one is twice as long.
const WAIT: Duration = Duration::from_millis(200);
/// How long a server may take for one event.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(5);
/// The path of OpenLineage's own servers and clients.
const PATH: &str = "/api/v1/lineage";

/// `[lineage]` as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LineageSection {
    openlineage: Option<String>,
    namespace: Option<String>,
}

/// Where events go, and under which name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lineage {
    /// The OpenLineage namespace of the project's jobs and datasets.
    pub namespace: String,
    /// Where events go; nowhere if absent.
    pub sink: Option<Sink>,
}

/// Where events go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sink {
    /// One event a line, at the end of this file.
    File(PathBuf),
    /// One POST an event.
    Http(String),
}

impl LineageSection {
    /// Checks the section; `base` is the project's folder.
    pub fn read(self, file: &Path, base: &Path) -> Result<Lineage, Failure> {
        let wrong = |field: &str, message: String, help: &str| -> Failure {
            ApiError::invalid(message)
                .at(format!("{}: lineage.{field}", file.display()))
                .help(help)
                .into()
        };
        let namespace = self.namespace.unwrap_or_else(|| "trivium".to_owned());
        if namespace.is_empty() || namespace.chars().any(|c| c.is_control() || c.is_whitespace()) {
            let help = "write a word or a URI, such as `trivium`";
            return Err(wrong("namespace", format!("`{namespace}` is no namespace"), help));
        }
        let sink = match self.openlineage {
            None => None,
            Some(text) => Some(sink(&text, base).ok_or_else(|| {
                let help = format!("write `file:PATH`, or {NO_TLS}");
                wrong("openlineage", format!("`{text}` is no place for events"), &help)
            })?),
        };
        Ok(Lineage { namespace, sink })
    }
}

fn sink(text: &str, base: &Path) -> Option<Sink> {
    if let Some(path) = text.strip_prefix("file:") {
        return (!path.is_empty()).then(|| Sink::File(base.join(path)));
    }
    let (scheme, rest) = text.split_once("://")?;
    if !is_reachable(text) {
        return None;
    }
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    if host.is_empty() || rest.contains([' ', '?', '#', '@']) {
        return None;
    }
    Some(Sink::Http(match path {
        "" => format!("{scheme}://{host}{PATH}"),
        path => format!("{scheme}://{host}/{path}"),
    }))
}

/// Whether this build speaks the address's scheme.
pub fn is_reachable(address: &str) -> bool {
    address.starts_with("http://") || (cfg!(feature = "tls") && address.starts_with("https://"))
}

/// What a build without TLS says of `https://`.
pub const NO_TLS: &str = "write `http://HOST:PORT`; HTTPS needs a build with the feature `tls`, or a proxy before the server";

impl Sink {
    /// Sends events in order; ends at the first that cannot be sent.
    pub async fn send(&self, events: &[Json]) -> Result<(), Failure> {
        match self {
            Self::File(path) => append(path, events).map_err(|error| failure::file(path, &error)),
            Self::Http(url) => {
                let client = client_with(ANSWER_TIME_MAX)?;
                for event in events {
                    post(&client, url, event).await?;
                }
                Ok(())
            }
        }
    }
}

/// Appends events, each as one line in one write. Other writers wait; what one that died left of a
/// line becomes a line of its own.
fn append(path: &Path, events: &[Json]) -> std::io::Result<()> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder)?;
    }
    let mut file = File::options().read(true).append(true).create(true).open(path)?;
    file.lock()?;
    if file.metadata()?.len() > 0 {
        let mut last = [0];
        file.seek(SeekFrom::End(-1))?;
        file.read_exact(&mut last)?;
        if last != *b"\n" {
            file.write_all(b"\n")?;
        }
    }
    for event in events {
        file.write_all(format!("{event}\n").as_bytes())?;
    }
    file.sync_data()
}

/// Whoever gets an event twice knows it by its run's id and its kind.
async fn post(client: &reqwest::Client, url: &str, event: &Json) -> Result<(), Failure> {
    let mut wait = WAIT;
    let mut tries = 1;
    loop {
        let answer = client.post(url).json(event).send().await;
        let problem = match answer {
            Ok(answer) if answer.status().is_success() => return Ok(()),
            Ok(answer) => {
                let status = answer.status();
                let message = format!("the server answered {}", status.as_u16());
                if !(status.is_server_error() || status.as_u16() == 429) {
                    return Err(ApiError::invalid(message)
                        .at(url)
                        .help("is it an OpenLineage server?")
                        .into());
                }
                message
            }
            Err(error) if error.is_timeout() => "the server did not answer in time".to_owned(),
            Err(_) => "the server cannot be reached".to_owned(),
        };
        if tries == TRIES {
            return Err(ApiError::new(trivium_runtime::Kind::Unavailable, problem)
                .at(url)
                .help("`trivium record --again` sends what was not sent")
                .into());
        }
        tokio::time::sleep(wait).await;
        (tries, wait) = (tries + 1, wait * 2);
    }
}

#[cfg(test)]
mod tests;
