//! How a worker talks to Kafka.

use std::{collections::BTreeMap, time::Duration};

use rdkafka::ClientConfig;

/// How a worker talks to Kafka.
#[derive(Debug, Clone)]
pub struct KafkaOptions {
    /// `host:port`, several by commas.
    pub brokers: String,
    /// The consumer group.
    pub group: String,
    /// The worker's name in the group, for ever: one that is back within the session's time keeps its
    /// partitions, and nobody else's move.
    pub instance: Option<String>,
    /// After so long without a word a worker is taken for dead.
    pub session: Duration,
    /// How often progress is committed.
    pub commit_every: Duration,
    /// Bytes of messages that wait in this worker, at most; those that are being written count.
    pub waiting_bytes: usize,
    /// Messages that a lane takes at once, at most.
    pub batch_records: usize,
    /// How long a lane may take to end when its partition goes to another worker.
    pub release_time: Duration,
    /// How often a partition that a flood has stopped is looked at again.
    pub flood_retry: Duration,
    /// Further settings of librdkafka, for security above all; they go before the worker's own.
    pub more: BTreeMap<String, String>,
}

impl Default for KafkaOptions {
    fn default() -> Self {
        Self {
            brokers: "127.0.0.1:9092".to_owned(),
            group: "trivium-ingest".to_owned(),
            instance: None,
            session: Duration::from_secs(10),
            commit_every: Duration::from_secs(1),
            waiting_bytes: 64 << 20,
            batch_records: 1_000,
            release_time: Duration::from_secs(20),
            flood_retry: Duration::from_secs(30),
            more: BTreeMap::new(),
        }
    }
}

impl KafkaOptions {
    /// What consumers and producers share.
    pub(crate) fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.brokers);
        config.set("client.id", self.instance.as_deref().unwrap_or("trivium-ingest"));
        // A broker that is away is tried again soon, and not in a loop.
        config.set("reconnect.backoff.ms", "100").set("reconnect.backoff.max.ms", "5000");
        for (name, value) in &self.more {
            config.set(name, value);
        }
        config
    }

    pub(crate) fn consumer(&self) -> ClientConfig {
        let mut config = self.client();
        let millis = |time: Duration| time.as_millis().to_string();
        config
            .set("group.id", &self.group)
            .set("session.timeout.ms", millis(self.session))
            .set(
                "heartbeat.interval.ms",
                millis((self.session / 3).max(Duration::from_millis(100))),
            )
            .set("partition.assignment.strategy", "cooperative-sticky")
            // Progress is what is durable, and nothing else.
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("auto.offset.reset", "earliest")
            .set("isolation.level", "read_committed")
            .set("enable.partition.eof", "false")
            .set("allow.auto.create.topics", "false")
            // New topics are found soon.
            .set("topic.metadata.refresh.interval.ms", "10000")
            .set(
                "queued.max.messages.kbytes",
                (self.waiting_bytes / 4 / 1024).max(1024).to_string(),
            );
        if let Some(instance) = &self.instance {
            config.set("group.instance.id", instance);
        }
        config
    }

    pub(crate) fn producer(&self) -> ClientConfig {
        let mut config = self.client();
        config
            .set("acks", "all")
            .set("enable.idempotence", "true")
            .set("message.timeout.ms", "30000")
            // What a topic takes is its own to say.
            .set("message.max.bytes", "1000000000")
            // Letters are few: they go at once.
            .set("linger.ms", "5");
        config
    }
}
