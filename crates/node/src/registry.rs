//! Where definitions come from: a registry's database file on this machine, or a running registry.
//!
//! Neither has to be there when the node starts, if it has a state file: both are asked anew every
//! time, and an answer that does not come is an error like any other.

use std::{
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use serde::Deserialize;
use tokio::sync::Mutex;
use trivium_api::ApiError;
use trivium_model::{ServiceRef, ViewRef};
use trivium_registry::{
    Apply, AuditEntry, AuditFilter, Error, Registry, Revision, Snapshot, StoredService, StoredView,
};
use trivium_registry_sql::{SqlRegistry, SqliteOptions};

use crate::config::wrong;

/// Where definitions come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RegistryAddress {
    /// A registry's database file.
    Sqlite(PathBuf),
    /// A running registry.
    Http(String),
}

/// The section `registry` of a config.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RegistrySection {
    /// `sqlite:PATH` or `http://HOST:PORT`.
    pub url: String,
    /// How often it is asked.
    #[serde(default = "default_poll_ms")]
    pub poll_ms: u64,
    /// Where the last definitions are kept.
    pub state_file: Option<PathBuf>,
}

fn default_poll_ms() -> u64 {
    1_000
}

/// Where definitions come from, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegistrySource {
    /// Whom to ask.
    pub address: RegistryAddress,
    /// How often.
    pub poll_ms: u64,
    /// Where the last definitions are kept.
    pub state_file: Option<PathBuf>,
}

impl RegistrySection {
    /// What the types alone do not hold. Relative paths are beside the file.
    pub fn check(self, file: &Path) -> Result<RegistrySource, ApiError> {
        let base = file.parent().unwrap_or_else(|| Path::new(""));
        let url = &self.url;
        if self.poll_ms == 0 {
            return Err(wrong(file, "registry.poll_ms", "it is 0", "give at least 1"));
        }
        let address = if let Some(path) = url.strip_prefix("sqlite:") {
            if path.is_empty() {
                let message = format!("`{url}` names no file");
                return Err(wrong(file, "registry.url", message, "write `sqlite:PATH`"));
            }
            RegistryAddress::Sqlite(base.join(path))
        } else if url.strip_prefix("http://").is_some_and(|host| !host.trim_matches('/').is_empty())
        {
            RegistryAddress::Http(url.trim_end_matches('/').to_owned())
        } else {
            return Err(wrong(
                file,
                "registry.url",
                format!("`{url}` is no address of a registry"),
                "write `sqlite:PATH` for a registry's database file, or `http://HOST:PORT` for a running registry",
            ));
        };
        let state_file = self.state_file.map(|path| base.join(path));
        Ok(RegistrySource { address, poll_ms: self.poll_ms, state_file })
    }
}

/// How long a running registry may take to accept a connection.
pub(crate) const CONNECT_TIME_MAX: Duration = Duration::from_secs(2);
/// How long it may take to answer: definitions of ten thousand views are megabytes.
pub(crate) const ANSWER_TIME_MAX: Duration = Duration::from_secs(20);

/// The registry at this address. Asks nobody yet.
pub fn at(address: &RegistryAddress) -> Result<Arc<dyn Registry>, Error> {
    Ok(match address {
        RegistryAddress::Sqlite(path) => Arc::new(file(path)),
        RegistryAddress::Http(base) => Arc::new(Running::new(base)?),
    })
}

fn not_here<T>(what: &str) -> Result<T, Error> {
    Err(Error::Invalid(format!("a node does not {what}")))
}

/// The database file at this path. Asks nobody yet.
pub(crate) fn file(path: &Path) -> SqliteFile {
    SqliteFile { path: path.to_path_buf(), open: Mutex::default() }
}

/// A registry's database file. Never made here: a registry that a node made would be empty,
/// and every view unknown.
pub(crate) struct SqliteFile {
    path: PathBuf,
    open: Mutex<Option<(FileId, SqlRegistry)>>,
}

/// Which file it is: another one may take its name.
type FileId = (u64, u64);

impl SqliteFile {
    fn id(path: &Path) -> Result<FileId, Error> {
        let about = std::fs::metadata(path)
            .map_err(|error| Error::Unavailable(format!("{}: {error}", path.display())))?;
        Ok((about.dev(), about.ino()))
    }

    pub(crate) async fn database(&self) -> Result<SqlRegistry, Error> {
        let mut open = self.open.lock().await;
        let id = Self::id(&self.path)?;
        if let Some((opened, database)) = &*open
            && *opened == id
        {
            return Ok(database.clone());
        }
        let database = SqlRegistry::open_sqlite(&self.path, &SqliteOptions::default()).await?;
        *open = Some((id, database.clone()));
        Ok(database)
    }
}

#[async_trait]
impl Registry for SqliteFile {
    async fn head(&self) -> Result<Revision, Error> {
        self.database().await?.head().await
    }
    async fn snapshot(&self, at: Option<Revision>) -> Result<Snapshot, Error> {
        self.database().await?.snapshot(at).await
    }
    async fn apply(&self, _: Apply) -> Result<Revision, Error> {
        not_here("apply")
    }
    async fn view_history(&self, _: &ViewRef) -> Result<Vec<StoredView>, Error> {
        not_here("tell histories")
    }
    async fn service_history(&self, _: &ServiceRef) -> Result<Vec<StoredService>, Error> {
        not_here("tell histories")
    }
    async fn audit(&self, _: &AuditFilter) -> Result<Vec<AuditEntry>, Error> {
        not_here("tell the audit log")
    }
}

/// A running registry, asked for its snapshot unless it still is the one that is known here.
struct Running {
    url: String,
    client: reqwest::Client,
    known: std::sync::Mutex<Option<Snapshot>>,
}

impl Running {
    fn new(base: &str) -> Result<Self, Error> {
        let client = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIME_MAX)
            .timeout(ANSWER_TIME_MAX)
            .build()
            .map_err(|error| Error::Invalid(error.to_string()))?;
        Ok(Self { url: format!("{base}/v1/snapshot"), client, known: std::sync::Mutex::default() })
    }

    fn known(&self) -> std::sync::MutexGuard<'_, Option<Snapshot>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn away(&self, error: &reqwest::Error) -> Error {
        let why = if error.is_timeout() { "it did not answer in time" } else { "it is away" };
        Error::Unavailable(format!("{}: {why}", self.url))
    }

    /// Brings what is known up to date.
    async fn ask(&self) -> Result<Revision, Error> {
        let known = self.known().as_ref().map(|snapshot| snapshot.revision);
        let mut request = self.client.get(&self.url);
        if let Some(Revision(number)) = known {
            request = request.header("if-none-match", format!("\"{number}\""));
        }
        if let Some(parent) = trivium_runtime::trace::traceparent() {
            request = request.header("traceparent", parent);
        }
        let answer = request.send().await.map_err(|error| self.away(&error))?;
        match (answer.status().as_u16(), known) {
            (304, Some(known)) => Ok(known),
            (200, _) => {
                let text = answer.text().await.map_err(|error| self.away(&error))?;
                let snapshot = Snapshot::from_text(&text)?;
                let revision = snapshot.revision;
                *self.known() = Some(snapshot);
                Ok(revision)
            }
            (404, _) => Err(Error::Invalid(format!(
                "{}: there is no such thing; is it a registry, of this release or a newer one?",
                self.url
            ))),
            (status, _) => Err(Error::Unavailable(format!(
                "{}: it answered with HTTP status {status}",
                self.url
            ))),
        }
    }
}

#[async_trait]
impl Registry for Running {
    async fn head(&self) -> Result<Revision, Error> {
        self.ask().await
    }
    async fn snapshot(&self, at: Option<Revision>) -> Result<Snapshot, Error> {
        if at.is_some() {
            return not_here("look at older revisions");
        }
        // Whoever asked for the head just now was given all of it.
        if self.known().is_none() {
            self.ask().await?;
        }
        let known = self.known().clone();
        known.ok_or_else(|| Error::Unavailable(format!("{}: no answer", self.url)))
    }
    async fn apply(&self, _: Apply) -> Result<Revision, Error> {
        not_here("apply")
    }
    async fn view_history(&self, _: &ViewRef) -> Result<Vec<StoredView>, Error> {
        not_here("tell histories")
    }
    async fn service_history(&self, _: &ServiceRef) -> Result<Vec<StoredService>, Error> {
        not_here("tell histories")
    }
    async fn audit(&self, _: &AuditFilter) -> Result<Vec<AuditEntry>, Error> {
        not_here("tell the audit log")
    }
}
