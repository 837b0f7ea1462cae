//! The consumer: one thread that polls, tells the lanes, and commits what they have done.

use std::{
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use rdkafka::{
    ClientContext, Message as _, Offset, Statistics, TopicPartitionList,
    client::OAuthToken,
    config::RDKafkaLogLevel,
    consumer::{BaseConsumer, CommitMode, Consumer as _, ConsumerContext, Rebalance},
    error::{KafkaError, KafkaResult, RDKafkaErrorCode},
    message::{BorrowedMessage, Headers as _, Timestamp as KafkaTime},
};
use tokio::runtime::Handle;
use trivium_ingest::{LaneHealth, Partitions, Parts, port::Record, routes::Routes};
use trivium_model::Timestamp;
use trivium_runtime::Shutdown;

use crate::{
    Error, KafkaOptions,
    lanes::{Flow, Lanes, PartitionId},
    unowned::Unowned,
};

/// How long the thread waits for messages before it looks at anything else.
const POLL: Duration = Duration::from_millis(100);

/// What librdkafka tells.
struct Context {
    lanes: Arc<Lanes>,
    /// Set once the consumer is there.
    flow: std::sync::OnceLock<Arc<dyn Flow>>,
    joined: Arc<AtomicBool>,
    unowned: Option<Arc<Unowned>>,
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log_line(level, facility, message);
    }

    fn stats(&self, statistics: Statistics) {
        for (topic, known) in &statistics.topics {
            for (&partition, known) in &known.partitions {
                self.lanes.is_known_as(&(topic.clone(), partition), known);
            }
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::warn!(%error, reason, "Kafka");
    }

    fn generate_oauth_token(
        &self,
        _: Option<&str>,
    ) -> Result<OAuthToken, Box<dyn std::error::Error>> {
        Err("tokens are not made here".into())
    }
}

/// Of a consumer that reads a partition to its end: that it has is no error to anybody.
pub(crate) struct ToTheEnd;

impl ClientContext for ToTheEnd {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log_line(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        if !matches!(error, KafkaError::PartitionEOF(_)) {
            tracing::warn!(%error, reason, "Kafka");
        }
    }
}

impl ConsumerContext for ToTheEnd {}

/// What librdkafka logs.
pub(crate) fn log_line(level: RDKafkaLogLevel, facility: &str, message: &str) {
    match level {
        RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical => {
            tracing::error!(facility, "{message}");
        }
        // That a position is gone from the log is told so, among others.
        RDKafkaLogLevel::Error | RDKafkaLogLevel::Warning => {
            tracing::warn!(facility, "{message}");
        }
        _ => tracing::debug!(facility, "{message}"),
    }
}

fn ids(list: &TopicPartitionList) -> Vec<PartitionId> {
    list.elements().iter().map(|one| (one.topic().to_owned(), one.partition())).collect()
}

impl ConsumerContext for Context {
    fn pre_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        let Rebalance::Revoke(list) = rebalance else { return };
        metrics::counter!("trivium_ingest_rebalances_total", "what" => "revoked").increment(1);
        // Before anybody else gets them: what is durable is said to be, and nothing is on its way.
        let progress = self.lanes.end(Some(&ids(list)));
        if !consumer.assignment_lost() {
            commit(consumer, &progress, CommitMode::Sync);
        }
    }

    fn post_rebalance(&self, _: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        match rebalance {
            Rebalance::Assign(list) => {
                metrics::counter!("trivium_ingest_rebalances_total", "what" => "assigned")
                    .increment(1);
                self.joined.store(true, Ordering::Relaxed);
                if let Some(unowned) = &self.unowned {
                    unowned.assigned();
                }
                if let Some(flow) = self.flow.get() {
                    self.lanes.begin(ids(list), flow);
                }
            }
            Rebalance::Error(error) => tracing::warn!(%error, "the group is not agreed"),
            Rebalance::Revoke(_) => {}
        }
    }

    fn commit_callback(&self, result: KafkaResult<()>, offsets: &TopicPartitionList) {
        if let Err(error) = result {
            // It is committed with the next progress, or read again, and then it is what is there.
            tracing::warn!(%error, "progress is not committed");
            return;
        }
        let of = |one: rdkafka::topic_partition_list::TopicPartitionListElem<'_>| {
            let Offset::Offset(offset) = one.offset() else { return None };
            one.error().ok()?;
            Some(((one.topic().to_owned(), one.partition()), offset))
        };
        let committed: Vec<(PartitionId, i64)> =
            offsets.elements().into_iter().filter_map(of).collect();
        self.lanes.committed(&committed);
    }
}

struct ConsumerFlow(Weak<BaseConsumer<Context>>);

impl ConsumerFlow {
    fn with(
        &self,
        id: &PartitionId,
        what: impl FnOnce(&BaseConsumer<Context>, &TopicPartitionList),
    ) {
        let Some(consumer) = self.0.upgrade() else { return };
        let mut list = TopicPartitionList::with_capacity(1);
        list.add_partition(&id.0, id.1);
        what(&consumer, &list);
    }
}

impl Flow for ConsumerFlow {
    fn pause(&self, id: &PartitionId) {
        self.with(id, |consumer, list| {
            if let Err(error) = consumer.pause(list) {
                tracing::warn!(%error, topic = id.0, partition = id.1, "not paused");
            }
        });
    }
    fn resume(&self, id: &PartitionId) {
        self.with(id, |consumer, list| {
            if let Err(error) = consumer.resume(list) {
                tracing::warn!(%error, topic = id.0, partition = id.1, "not resumed");
            }
        });
    }
}

/// Commits progress. What came of it the callback is told.
fn commit(consumer: &BaseConsumer<Context>, progress: &[(PartitionId, i64)], mode: CommitMode) {
    if progress.is_empty() {
        return;
    }
    let mut list = TopicPartitionList::with_capacity(progress.len());
    for ((topic, partition), offset) in progress {
        if let Err(error) = list.add_partition_offset(topic, *partition, Offset::Offset(*offset)) {
            tracing::error!(%error, topic, partition, offset, "progress is not committed");
        }
    }
    if let Err(error) = consumer.commit(&list, mode) {
        // The messages are read again, and their rows are what is there already.
        tracing::warn!(%error, "progress is not committed");
    }
}

/// A worker: a consumer and its lanes. Cheap to clone.
#[derive(Clone)]
pub struct KafkaWorker {
    lanes: Arc<Lanes>,
    options: KafkaOptions,
    parts: Parts,
    /// Whether the group has let it in.
    joined: Arc<AtomicBool>,
}

impl KafkaWorker {
    /// Asks nobody yet. Lanes run on this runtime.
    pub fn new(parts: Parts, options: KafkaOptions, handle: Handle) -> Self {
        let lanes = Arc::new(Lanes::new(parts.clone(), options.clone(), handle));
        Self { lanes, options, parts, joined: Arc::default() }
    }

    /// Whether the group has given it partitions once.
    pub fn has_joined(&self) -> bool {
        self.joined.load(Ordering::Relaxed)
    }

    /// Works until the shutdown, on a thread of its own.
    pub async fn run(self, shutdown: Shutdown) -> Result<(), Error> {
        let (ended, end) = tokio::sync::oneshot::channel();
        let spawned = std::thread::Builder::new().name("kafka".to_owned()).spawn(move || {
            // Nobody waits for it any more: then nobody is told.
            let _ = ended.send(self.work(&shutdown));
        });
        spawned.map_err(|error| Error::Failed(format!("no thread for the consumer: {error}")))?;
        end.await.unwrap_or_else(|_| Err(Error::Failed("the consumer's thread died".to_owned())))
    }

    fn work(&self, shutdown: &Shutdown) -> Result<(), Error> {
        let context = Context {
            lanes: Arc::clone(&self.lanes),
            flow: std::sync::OnceLock::new(),
            joined: Arc::clone(&self.joined),
            unowned: Unowned::watch(&self.options, &self.options.group, shutdown),
        };
        let consumer: BaseConsumer<Context> = self
            .options
            .consumer()
            // Where partitions end, for the lag.
            .set("statistics.interval.ms", "1000")
            .create_with_context(context)
            .map_err(|error| Error::Options(error.to_string()))?;
        let consumer = Arc::new(consumer);
        let flow: Arc<dyn Flow> = Arc::new(ConsumerFlow(Arc::downgrade(&consumer)));
        let _ = consumer.context().flow.set(Arc::clone(&flow));
        let (asked, lanes) = (Arc::downgrade(&consumer), Arc::clone(&self.lanes));
        let until = shutdown.clone();
        let spawned = std::thread::Builder::new()
            .name("kafka-ends".to_owned())
            .spawn(move || crate::ends::follow(&asked, &lanes, &until));
        if let Err(error) = spawned {
            tracing::warn!(%error, "the lag of paused partitions is not known");
        }
        let worked = self.poll(&consumer, &flow, shutdown);
        let progress = self.lanes.end(None);
        commit(&consumer, &progress, CommitMode::Sync);
        worked
    }

    fn poll(
        &self,
        consumer: &BaseConsumer<Context>,
        flow: &Arc<dyn Flow>,
        shutdown: &Shutdown,
    ) -> Result<(), Error> {
        let mut topics = Vec::new();
        let mut known: Option<Arc<Routes>> = None;
        let mut committed = Instant::now();
        while !shutdown.is_triggered() {
            let routes = self.parts.routes.load();
            if !known.as_ref().is_some_and(|known| Arc::ptr_eq(known, &routes)) {
                let wanted = routes.topics();
                if wanted != topics {
                    subscribe(consumer, &wanted)?;
                    topics = wanted;
                }
                known = Some(Arc::clone(&routes));
            }
            drop(routes);
            match consumer.poll(POLL) {
                Some(Ok(message)) => {
                    let id = (message.topic().to_owned(), message.partition());
                    self.lanes.feed(&id, record(&message), flow);
                }
                Some(Err(error)) => fatal(&error)?,
                None => {
                    if let Some((code, reason)) = consumer.client().fatal_error() {
                        return Err(Error::Fenced(format!("{code}: {reason}")));
                    }
                }
            }
            if committed.elapsed() >= self.options.commit_every {
                committed = Instant::now();
                if let Some(why) = self.lanes.died() {
                    return Err(Error::Failed(why));
                }
                let progress = self.lanes.progress();
                commit(consumer, &progress, CommitMode::Async);
                self.lanes.tell_lag();
            }
        }
        Ok(())
    }
}

impl Partitions for KafkaWorker {
    fn health(&self) -> Vec<LaneHealth> {
        self.lanes.health()
    }

    fn let_pass(&self, partition: &str, messages: u64) -> bool {
        self.lanes.let_pass(partition, messages)
    }
}

fn subscribe(consumer: &BaseConsumer<Context>, topics: &[String]) -> Result<(), Error> {
    tracing::info!(?topics, "the topics to read");
    if topics.is_empty() {
        consumer.unsubscribe();
        return Ok(());
    }
    let topics: Vec<&str> = topics.iter().map(String::as_str).collect();
    consumer.subscribe(&topics).map_err(|error| Error::Failed(error.to_string()))
}

/// Most errors pass: librdkafka goes on trying.
pub(crate) fn fatal(error: &KafkaError) -> Result<(), Error> {
    match error.rdkafka_error_code() {
        Some(RDKafkaErrorCode::Fatal | RDKafkaErrorCode::FencedInstanceId) => {
            Err(Error::Fenced(error.to_string()))
        }
        // These do not pass by themselves, and a worker that reads nothing looks idle.
        Some(
            RDKafkaErrorCode::TopicAuthorizationFailed
            | RDKafkaErrorCode::GroupAuthorizationFailed
            | RDKafkaErrorCode::Authentication
            | RDKafkaErrorCode::SaslAuthenticationFailed,
        ) => Err(Error::Failed(error.to_string())),
        Some(RDKafkaErrorCode::UnknownTopicOrPartition) => {
            tracing::warn!(%error, "a topic is not there yet");
            Ok(())
        }
        _ => {
            tracing::warn!(%error, "Kafka");
            Ok(())
        }
    }
}

pub(crate) fn record(message: &BorrowedMessage<'_>) -> Record {
    let time = match message.timestamp() {
        KafkaTime::CreateTime(millis) | KafkaTime::LogAppendTime(millis) => {
            Some(Timestamp(millis.saturating_mul(1_000)))
        }
        KafkaTime::NotAvailable => None,
    };
    let (headers, broken) = match headers(message) {
        Some(headers) => (headers, None),
        None => (Vec::new(), Some("the name of a header is not UTF-8".to_owned())),
    };
    Record {
        offset: u64::try_from(message.offset()).unwrap_or_default(),
        key: message.key().map(Bytes::copy_from_slice),
        value: message.payload().map(Bytes::copy_from_slice),
        headers,
        time,
        broken,
    }
}

/// The headers; none where one has a name that is not UTF-8, over which rdkafka panics: such a message
/// would end every worker that meets it.
fn headers(message: &BorrowedMessage<'_>) -> Option<Vec<(String, Option<Bytes>)>> {
    let Some(headers) = message.headers() else { return Some(Vec::new()) };
    let read = || -> Vec<(String, Option<Bytes>)> {
        let header = |header: rdkafka::message::Header<'_, &[u8]>| {
            (header.key.to_owned(), header.value.map(Bytes::copy_from_slice))
        };
        headers.iter().map(header).collect()
    };
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(read)).ok()
}
