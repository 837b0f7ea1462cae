//! How to reach the table.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::Error;

/// Options of the store. Credentials come from the environment (`AWS_ACCESS_KEY_ID`,
/// `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`) or from a provider given in code, never from here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// The table.
    pub table: String,
    /// The region.
    pub region: String,
    /// Where it is, such as `http://127.0.0.1:8000`; the region's own endpoint where left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// How long a connection may take to be made, in milliseconds.
    #[serde(default = "Options::default_connect_timeout_ms")]
    pub connect_timeout_ms: u64,
    /// How long one request may take to be answered, in milliseconds.
    #[serde(default = "Options::default_attempt_timeout_ms")]
    pub attempt_timeout_ms: u64,
    /// How long a call without a deadline tries for each row or hundred rows, in milliseconds.
    #[serde(default = "Options::default_limit_ms")]
    pub limit_ms: u64,
    /// How many requests of one call are under way at once.
    #[serde(default = "Options::default_requests_in_flight_max")]
    pub requests_in_flight_max: usize,
    /// How long rows are kept after their ttl, and tombstones after their delete, in seconds: above
    /// every deadline of a write, every ttl of a cache, and as late as data may come.
    #[serde(default = "Options::default_grace_seconds")]
    pub grace_seconds: u64,
    /// The table that rows are moving to, or may. It is harmless where none do. See the crate's `migrate`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moving_to: Option<MovingTo>,
}

/// Another table, perhaps in another region or behind another endpoint; credentials are the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MovingTo {
    /// The table.
    pub table: String,
    /// The region.
    pub region: String,
    /// As [`Options::endpoint`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
}

impl Options {
    /// The shortest grace: a write that stalled for longer than this, or a cached row that is older,
    /// could come after the tombstone that was to keep it away is gone.
    pub const GRACE_SECONDS_MIN: u64 = 3600;

    /// The defaults, for a table in a region.
    pub fn new(table: impl Into<String>, region: impl Into<String>) -> Self {
        Self {
            table: table.into(),
            region: region.into(),
            endpoint: None,
            connect_timeout_ms: Self::default_connect_timeout_ms(),
            attempt_timeout_ms: Self::default_attempt_timeout_ms(),
            limit_ms: Self::default_limit_ms(),
            requests_in_flight_max: Self::default_requests_in_flight_max(),
            grace_seconds: Self::default_grace_seconds(),
            moving_to: None,
        }
    }

    /// The options of the table that rows move to.
    pub(crate) fn of_second(&self) -> Option<Self> {
        let MovingTo { table, region, endpoint } = self.moving_to.clone()?;
        Some(Self { table, region, endpoint, moving_to: None, ..self.clone() })
    }

    /// What the table is called where it is told from every other. The endpoint does not count: nodes
    /// may reach one table on several ways.
    pub(crate) fn identity(&self) -> String {
        format!("{}/{}", self.region, self.table)
    }

    const fn default_connect_timeout_ms() -> u64 {
        1_000
    }
    /// DynamoDB answers within tens of milliseconds; a second is beyond its worst.
    const fn default_attempt_timeout_ms() -> u64 {
        1_000
    }
    const fn default_limit_ms() -> u64 {
        5_000
    }
    const fn default_requests_in_flight_max() -> usize {
        32
    }
    const fn default_grace_seconds() -> u64 {
        7 * 24 * 3600
    }

    pub(crate) const fn connect_timeout(&self) -> Duration {
        Duration::from_millis(self.connect_timeout_ms)
    }
    pub(crate) const fn attempt_timeout(&self) -> Duration {
        Duration::from_millis(self.attempt_timeout_ms)
    }
    pub(crate) const fn limit(&self) -> Duration {
        Duration::from_millis(self.limit_ms)
    }

    /// Whether they make sense. Asks nobody.
    pub fn check(&self) -> Result<(), Error> {
        let wrong = |option, why: &str| Err(Error::Option { option, why: why.to_owned() });
        let is_name = |text: &str| {
            (3..=255).contains(&text.len())
                && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte))
        };
        if !is_name(&self.table) {
            return wrong(
                "table",
                "3 to 255 letters, digits, `_`, `-` and `.` make a table's name",
            );
        }
        if self.region.is_empty() {
            return wrong("region", "it is empty; give one, such as `eu-central-1`");
        }
        for (option, value) in [
            ("connect_timeout_ms", self.connect_timeout_ms),
            ("attempt_timeout_ms", self.attempt_timeout_ms),
            ("limit_ms", self.limit_ms),
            ("requests_in_flight_max", self.requests_in_flight_max as u64),
        ] {
            if value == 0 {
                return wrong(option, "it is 0; give at least 1");
            }
        }
        if self.grace_seconds < Self::GRACE_SECONDS_MIN {
            return wrong(
                "grace_seconds",
                "less than an hour is not above every deadline and cache ttl",
            );
        }
        let plain =
            self.endpoint.as_deref().is_some_and(|endpoint| endpoint.starts_with("http://"));
        let https =
            self.endpoint.as_deref().is_none_or(|endpoint| endpoint.starts_with("https://"));
        if !plain && !https {
            return wrong("endpoint", "it starts with neither `http://` nor `https://`");
        }
        if https && !cfg!(feature = "tls") {
            return wrong(
                "endpoint",
                "this build has no TLS: give an `http://` endpoint, or build with the feature `tls`",
            );
        }
        if let Some(second) = self.of_second() {
            if second.identity() == self.identity() {
                return wrong("moving_to", "it is the table itself; name another");
            }
            if let Err(Error::Option { option, why }) = second.check() {
                return wrong("moving_to", &format!("its {option}: {why}"));
            }
        }
        Ok(())
    }
}
