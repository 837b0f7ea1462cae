//! How a worker talks to Kinesis, and where it agrees with others.

use std::time::Duration;

use aws_credential_types::provider::SharedCredentialsProvider;

use crate::Error;

/// Kinesis gives a shard's messages to all readers together five times a second at most.
pub(crate) const READ_EVERY_MIN: Duration = Duration::from_millis(200);

/// How a worker talks to Kinesis.
#[derive(Debug, Clone)]
pub struct KinesisOptions {
    /// The region of streams and of the leases' table.
    pub region: String,
    /// Who asks; as the environment says (`AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`,
    /// `AWS_SESSION_TOKEN`) where left out.
    pub credentials: Option<SharedCredentialsProvider>,
    /// Where Kinesis is, such as `http://127.0.0.1:4567`; the region's own endpoint where left out.
    pub endpoint: Option<String>,
    /// The DynamoDB table of leases. Workers that share it share the streams' shards; it is made where
    /// it is not there.
    pub lease_table: String,
    /// Where DynamoDB is; the region's own endpoint where left out.
    pub lease_endpoint: Option<String>,
    /// What the worker is called in its leases, for people: it is made unique.
    pub worker: Option<String>,
    /// A lease that has not been renewed for so long is anybody's.
    pub lease: Duration,
    /// How often progress is kept in the leases.
    pub commit_every: Duration,
    /// How often streams are asked for new shards; when one ends they are asked at once.
    pub shards_every: Duration,
    /// How often a shard is read, at most; 200 ms at least.
    pub read_every: Duration,
    /// Bytes of messages that wait in this worker, at most; those that are being written count. One
    /// answer of Kinesis for each shard, of 10 MB at most, may come above it.
    pub waiting_bytes: usize,
    /// Messages that a lane takes at once, at most.
    pub batch_records: usize,
    /// How long lanes may take to end when the worker does.
    pub release_time: Duration,
    /// How long a request to Kinesis or DynamoDB may take.
    pub request_time: Duration,
    /// How often a shard that a flood has stopped is looked at again.
    pub flood_retry: Duration,
}

impl Default for KinesisOptions {
    fn default() -> Self {
        Self {
            region: "us-east-1".to_owned(),
            credentials: None,
            endpoint: None,
            lease_table: "trivium-ingest".to_owned(),
            lease_endpoint: None,
            worker: None,
            lease: Duration::from_secs(15),
            commit_every: Duration::from_secs(1),
            shards_every: Duration::from_secs(30),
            read_every: Duration::from_millis(250),
            waiting_bytes: 64 << 20,
            batch_records: 1_000,
            release_time: Duration::from_secs(20),
            request_time: Duration::from_secs(5),
            flood_retry: Duration::from_secs(30),
        }
    }
}

impl KinesisOptions {
    /// Whether they make sense. Asks nobody.
    pub fn check(&self) -> Result<(), Error> {
        let wrong = |option, why: &str| Err(Error::Option { option, why: why.to_owned() });
        let is_name = |text: &str| {
            (3..=255).contains(&text.len())
                && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte))
        };
        if !is_name(&self.lease_table) {
            let why = "3 to 255 letters, digits, `_`, `-` and `.` make a table's name";
            return wrong("lease_table", why);
        }
        if self.region.trim().is_empty() {
            return wrong("region", "it is empty; give one, such as `eu-central-1`");
        }
        if self.read_every < READ_EVERY_MIN {
            return wrong(
                "read_ms",
                "Kinesis gives a shard's messages five times a second: 200 at least",
            );
        }
        if self.lease < self.commit_every.saturating_mul(3) {
            return wrong(
                "lease_ms",
                "a lease has to outlive some renewals: three times `commit_ms` at least",
            );
        }
        for (option, endpoint) in
            [("endpoint", &self.endpoint), ("lease_endpoint", &self.lease_endpoint)]
        {
            let is = |scheme| endpoint.as_deref().is_some_and(|url| url.starts_with(scheme));
            let tls = endpoint.is_none() || is("https://");
            if !tls && !is("http://") {
                return wrong(option, "it starts with neither `http://` nor `https://`");
            }
            if tls && !cfg!(feature = "tls") {
                let why = "this build has no TLS: give an `http://` endpoint, or build with the feature `tls`";
                return wrong(option, why);
            }
        }
        Ok(())
    }
}
