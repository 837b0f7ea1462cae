//! How to reach OpenSearch, and how indexes are made there.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::Error;

/// Who builds and searches the graphs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Engine {
    /// Lucene: in every build of the plugin, filters while it searches.
    #[default]
    Lucene,
    /// Faiss: needs the plugin's native libraries.
    Faiss,
}

impl Engine {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Lucene => "lucene",
            Self::Faiss => "faiss",
        }
    }
}

/// Options of the index. Credentials are given in code, never here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// Where it is, such as `http://127.0.0.1:9200`.
    pub endpoint: String,
    /// What the names of our indexes begin with.
    #[serde(default = "Options::default_prefix")]
    pub prefix: String,
    /// Who builds the graphs of new indexes.
    #[serde(default)]
    pub engine: Engine,
    /// Primary shards of new indexes.
    #[serde(default = "Options::default_shards")]
    pub shards: u16,
    /// Copies of each shard of new indexes.
    #[serde(default = "Options::default_replicas")]
    pub replicas: u16,
    /// How long a write may stay unseen by searches, in milliseconds.
    #[serde(default = "Options::default_refresh_ms")]
    pub refresh_ms: u64,
    /// How long one request may take, in milliseconds, where the caller's deadline is no sooner.
    #[serde(default = "Options::default_attempt_timeout_ms")]
    pub attempt_timeout_ms: u64,
    /// How many requests of one call are under way at once.
    #[serde(default = "Options::default_requests_in_flight_max")]
    pub requests_in_flight_max: usize,
    /// The indexes that take the place of these ones. [`OpenSearchIndex`](crate::OpenSearchIndex) is one of the
    /// two: who makes it takes [`Options::of_second`] for the other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moving_to: Option<MovingTo>,
}

/// Indexes elsewhere, or of another make; credentials are the same, and so is what is not said here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MovingTo {
    /// As [`Options::endpoint`].
    pub endpoint: String,
    /// As [`Options::prefix`]; another one where the endpoint is the same.
    #[serde(default = "Options::default_prefix")]
    pub prefix: String,
    /// As [`Options::engine`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub engine: Option<Engine>,
    /// As [`Options::shards`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shards: Option<u16>,
    /// As [`Options::replicas`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replicas: Option<u16>,
    /// Everything has been copied and compared: searches ask these indexes.
    #[serde(default)]
    pub complete: bool,
}

impl Options {
    /// The defaults, for a cluster at this address.
    pub fn new(endpoint: impl Into<String>) -> Self {
        Self {
            endpoint: endpoint.into(),
            prefix: Self::default_prefix(),
            engine: Engine::default(),
            shards: Self::default_shards(),
            replicas: Self::default_replicas(),
            refresh_ms: Self::default_refresh_ms(),
            attempt_timeout_ms: Self::default_attempt_timeout_ms(),
            requests_in_flight_max: Self::default_requests_in_flight_max(),
            moving_to: None,
        }
    }

    /// The options of the indexes that take the place of these.
    pub fn of_second(&self) -> Option<Self> {
        let MovingTo { endpoint, prefix, engine, shards, replicas, complete: _ } =
            self.moving_to.clone()?;
        Some(Self {
            endpoint,
            prefix,
            engine: engine.unwrap_or(self.engine),
            shards: shards.unwrap_or(self.shards),
            replicas: replicas.unwrap_or(self.replicas),
            moving_to: None,
            ..self.clone()
        })
    }

    fn default_prefix() -> String {
        "trivium-".to_owned()
    }
    const fn default_shards() -> u16 {
        1
    }
    const fn default_replicas() -> u16 {
        1
    }
    const fn default_refresh_ms() -> u64 {
        1_000
    }
    /// Above a refresh that is waited for.
    const fn default_attempt_timeout_ms() -> u64 {
        10_000
    }
    const fn default_requests_in_flight_max() -> usize {
        4
    }

    pub(crate) const fn attempt_timeout(&self) -> Duration {
        Duration::from_millis(self.attempt_timeout_ms)
    }

    /// Whether they make sense. Asks nobody.
    pub fn check(&self) -> Result<(), Error> {
        let wrong = |option, why: &str| Err(Error::Option { option, why: why.to_owned() });
        let plain = self.endpoint.starts_with("http://");
        if !plain && !self.endpoint.starts_with("https://") {
            return wrong("endpoint", "it starts with neither `http://` nor `https://`");
        }
        if !plain && !cfg!(feature = "tls") {
            return wrong(
                "endpoint",
                "this build has no TLS: give an `http://` endpoint, or build with the feature `tls`",
            );
        }
        let is_prefix = self.prefix.len() <= 32
            && self.prefix.starts_with(|first: char| first.is_ascii_lowercase())
            && self.prefix.bytes().all(|byte| {
                byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_.".contains(&byte)
            });
        if !is_prefix {
            return wrong(
                "prefix",
                "a lower-case letter, then lower-case letters, digits, `-`, `_` and `.`, at most 32 in all",
            );
        }
        for (option, value) in [
            ("shards", u64::from(self.shards)),
            ("refresh_ms", self.refresh_ms),
            ("attempt_timeout_ms", self.attempt_timeout_ms),
            ("requests_in_flight_max", self.requests_in_flight_max as u64),
        ] {
            if value == 0 {
                return wrong(option, "it is 0; give at least 1");
            }
        }
        if let Some(second) = self.of_second() {
            let place = |options: &Self| options.endpoint.trim_end_matches('/').to_owned();
            if place(&second) == place(self) && second.prefix == self.prefix {
                return wrong(
                    "moving_to",
                    "these are the indexes themselves; give another endpoint or prefix",
                );
            }
            if let Err(Error::Option { option, why }) = second.check() {
                return wrong("moving_to", &format!("its {option}: {why}"));
            }
        }
        Ok(())
    }
}
