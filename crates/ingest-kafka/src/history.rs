//! A consumer of its own for the history: its progress is in the views' logs, and Kafka is told none.
//!
//! The thread that polls also writes: while files are written no message is taken, and lanes, which have
//! another consumer, know nothing of it. What is assigned is read from where the logs stand.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use rdkafka::{
    ClientContext, Message as _, Offset, TopicPartitionList,
    config::RDKafkaLogLevel,
    consumer::{BaseConsumer, Consumer as _, ConsumerContext, RebalanceProtocol},
    error::KafkaError,
    types::RDKafkaRespErr,
};
use trivium_ingest::port::{Partition, Record};
use trivium_ingest_history::{Definitions, Seek, Sink, SinkOptions, SinkParts};
use trivium_runtime::Shutdown;

use crate::{
    Error, KafkaOptions,
    consumer::{fatal, log_line, record},
    unowned::Unowned,
};

/// How long the thread waits for messages before it looks at anything else.
const POLL: Duration = Duration::from_millis(100);
/// How long after a failed commit the next is tried.
const RETRY: Duration = Duration::from_secs(1);
/// How long a seek may take, and how often it is tried: right after an assignment it may be too early.
const SEEK: Duration = Duration::from_secs(5);
const SEEK_TRIES: usize = 50;

/// What the callbacks and the loop share; both run on the one thread.
struct Inner {
    sink: Sink,
    /// Messages that are read and not given to the sink.
    pending: BTreeMap<Partition, Vec<Record>>,
    /// To be done before anything else is given to the sink.
    seeks: Vec<Seek>,
    /// What ends it.
    failed: Option<String>,
}

struct Context {
    inner: Mutex<Inner>,
    unowned: Option<Arc<Unowned>>,
}

impl Context {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log_line(level, facility, message);
    }
    fn error(&self, error: KafkaError, reason: &str) {
        tracing::warn!(%error, reason, "Kafka");
    }
}

fn partition(topic: &str, number: i32) -> Partition {
    Partition { topic: topic.into(), name: number.to_string().into() }
}

fn offset(seek: &Seek) -> Offset {
    let to = seek.to.and_then(|to| i64::try_from(to).ok());
    to.map_or(Offset::Beginning, Offset::Offset)
}

impl ConsumerContext for Context {
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        what: RDKafkaRespErr,
        list: &mut TopicPartitionList,
    ) {
        let partitions: Vec<Partition> =
            list.elements().iter().map(|one| partition(one.topic(), one.partition())).collect();
        let is_cooperative =
            matches!(consumer.rebalance_protocol(), RebalanceProtocol::Cooperative);
        let mut inner = self.inner();
        inner.pending.retain(|partition, _| !partitions.contains(partition));
        let done = match what {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => {
                match inner.sink.assign(&partitions) {
                    Ok(seeks) => {
                        for seek in &seeks {
                            let number = seek.partition.name.parse().unwrap_or_default();
                            let set = list.set_partition_offset(
                                &seek.partition.topic,
                                number,
                                offset(seek),
                            );
                            if let Err(error) = set {
                                inner.failed = Some(format!("{}: {error}", seek.partition));
                            }
                        }
                    }
                    // Without its place in the logs nothing may be read.
                    Err(error) => inner.failed = Some(error.to_string()),
                }
                if let Some(unowned) = &self.unowned {
                    unowned.assigned();
                }
                if is_cooperative {
                    consumer.incremental_assign(list)
                } else {
                    consumer.assign(list)
                }
            }
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS => {
                if consumer.assignment_lost() {
                    inner.sink.forget(&partitions);
                } else {
                    let seeks = inner.sink.revoke(&partitions);
                    inner.seeks.extend(seeks);
                }
                inner.seeks.retain(|seek| !partitions.contains(&seek.partition));
                if is_cooperative {
                    consumer.incremental_unassign(list)
                } else {
                    consumer.unassign()
                }
            }
            other => {
                tracing::warn!(?other, "the group is not agreed");
                inner.sink.forget(&partitions);
                if is_cooperative { Ok(()) } else { consumer.unassign() }
            }
        };
        if let Err(error) = done {
            inner.failed = Some(error.to_string());
        }
    }
}

/// Brings every row of the streams into their history.
pub struct KafkaHistory {
    /// The consumer; its group is not that of the lanes.
    pub kafka: KafkaOptions,
    /// Where rows go, and when.
    pub sink: SinkOptions,
    /// What the sink works with.
    pub parts: SinkParts,
    /// The views that have a history.
    pub definitions: Arc<ArcSwap<Definitions>>,
}

impl KafkaHistory {
    /// Works until the shutdown, on a thread of its own; then what was read is committed.
    pub async fn run(self, shutdown: Shutdown) -> Result<(), Error> {
        let (ended, end) = tokio::sync::oneshot::channel();
        let spawned = std::thread::Builder::new().name("history".to_owned()).spawn(move || {
            // Nobody waits for it any more: then nobody is told.
            let _ = ended.send(self.work(&shutdown));
        });
        spawned.map_err(|error| Error::Failed(format!("no thread for the history: {error}")))?;
        end.await.unwrap_or_else(|_| Err(Error::Failed("the history's thread died".to_owned())))
    }

    fn work(&self, shutdown: &Shutdown) -> Result<(), Error> {
        let definitions = self.definitions.load_full();
        let sink = Sink::open(self.sink.clone(), self.parts.clone(), Arc::clone(&definitions))
            .map_err(|error| Error::Failed(error.to_string()))?;
        let inner = Inner { sink, pending: BTreeMap::new(), seeks: Vec::new(), failed: None };
        let unowned = Unowned::watch(&self.kafka, &self.kafka.group, shutdown);
        let context = Context { inner: Mutex::new(inner), unowned };
        let consumer: BaseConsumer<Context> = self
            .kafka
            .consumer()
            .create_with_context(context)
            .map_err(|error| Error::Options(error.to_string()))?;
        let worked = self.poll(&consumer, definitions, shutdown);
        // Before the group hears of it: whoever gets the partitions begins where the logs stand.
        if let Some(error) = consumer.context().inner().sink.commit().failed {
            tracing::warn!(error = %chain(&error), "rows are left for whoever comes next");
        }
        worked
    }

    fn poll(
        &self,
        consumer: &BaseConsumer<Context>,
        mut known: Arc<Definitions>,
        shutdown: &Shutdown,
    ) -> Result<(), Error> {
        let mut topics = known.topics();
        subscribe(consumer, &topics)?;
        let mut tried = None;
        while !shutdown.is_triggered() {
            let definitions = self.definitions.load_full();
            if !Arc::ptr_eq(&known, &definitions) {
                let mut inner = consumer.context().inner();
                let seeks = inner.sink.define(Arc::clone(&definitions));
                inner.seeks = seeks.map_err(|error| Error::Failed(error.to_string()))?;
                inner.pending.clear();
                drop(inner);
                if definitions.topics() != topics {
                    topics = definitions.topics();
                    subscribe(consumer, &topics)?;
                }
                known = definitions;
            }
            self.read(consumer)?;
            seek(consumer)?;
            self.give(consumer, shutdown);
            let mut inner = consumer.context().inner();
            if let Some(why) = inner.failed.take() {
                return Err(Error::Failed(why));
            }
            metrics::gauge!("trivium_history_waiting_bytes").set(inner.sink.bytes() as f64);
            let may_try = tried.is_none_or(|tried: Instant| tried.elapsed() >= RETRY);
            if inner.sink.is_due() && may_try {
                let done = inner.sink.commit();
                inner.seeks.extend(done.seeks);
                tried = done.failed.map(|error| {
                    tracing::warn!(error = %chain(&error), "rows are not in their history yet");
                    Instant::now()
                });
            }
            if let Err(error) = inner.sink.tend() {
                tracing::warn!(error = %chain(&error), "the history was not tended");
            }
            drop(inner);
            seek(consumer)?;
        }
        Ok(())
    }

    /// Takes some messages from the consumer; none while too much waits to be written.
    fn read(&self, consumer: &BaseConsumer<Context>) -> Result<(), Error> {
        let is_full = {
            let inner = consumer.context().inner();
            inner.sink.bytes() >= 2 * self.sink.commit_bytes
        };
        if is_full {
            std::thread::sleep(POLL);
            return Ok(());
        }
        let (mut wait, mut bytes) = (POLL, 0);
        for _ in 0..self.kafka.batch_records.max(1) {
            match consumer.poll(wait) {
                None => {
                    if let Some((code, reason)) = consumer.client().fatal_error() {
                        return Err(Error::Fenced(format!("{code}: {reason}")));
                    }
                    return Ok(());
                }
                Some(Err(error)) => fatal(&error)?,
                Some(Ok(message)) => {
                    let from = partition(message.topic(), message.partition());
                    let mut inner = consumer.context().inner();
                    let record = record(&message);
                    bytes += record.bytes();
                    inner.pending.entry(from).or_default().push(record);
                }
            }
            if bytes >= self.sink.commit_bytes {
                break;
            }
            wait = Duration::ZERO;
        }
        Ok(())
    }

    fn give(&self, consumer: &BaseConsumer<Context>, shutdown: &Shutdown) {
        let mut inner = consumer.context().inner();
        for (partition, records) in std::mem::take(&mut inner.pending) {
            // Asked to stop while schemas are waited for: they are read again by whoever comes next.
            if inner.sink.take(&partition, &records, shutdown).is_err() {
                inner.sink.forget(&[partition]);
            }
        }
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text += &format!(": {cause}");
        source = cause.source();
    }
    text
}

/// Reads partitions from where they are to be read; what was read of them from elsewhere is dropped.
fn seek(consumer: &BaseConsumer<Context>) -> Result<(), Error> {
    let seeks = {
        let mut inner = consumer.context().inner();
        let seeks = std::mem::take(&mut inner.seeks);
        for seek in &seeks {
            inner.pending.remove(&seek.partition);
        }
        seeks
    };
    for seek in seeks {
        let number = seek.partition.name.parse().unwrap_or_default();
        let mut tried = 0;
        while let Err(error) = consumer.seek(&seek.partition.topic, number, offset(&seek), SEEK) {
            tried += 1;
            if tried == SEEK_TRIES {
                return Err(Error::Failed(format!("{} is not sought: {error}", seek.partition)));
            }
            std::thread::sleep(POLL);
        }
    }
    Ok(())
}

fn subscribe(consumer: &BaseConsumer<Context>, topics: &[String]) -> Result<(), Error> {
    tracing::info!(?topics, "the topics that have a history");
    if topics.is_empty() {
        consumer.unsubscribe();
        return Ok(());
    }
    let topics: Vec<&str> = topics.iter().map(String::as_str).collect();
    consumer.subscribe(&topics).map_err(|error| Error::Failed(error.to_string()))
}
