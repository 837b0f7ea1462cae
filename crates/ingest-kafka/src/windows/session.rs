//! A worker's time in its group, until something fails.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicI32, Ordering},
    },
    time::{Duration, Instant},
};

use rdkafka::{
    ClientContext, Message as _, Offset, Statistics, TopicPartitionList,
    config::RDKafkaLogLevel,
    consumer::{BaseConsumer, Consumer, ConsumerContext, RebalanceProtocol},
    error::{KafkaError, KafkaResult},
    message::{Header, OwnedHeaders},
    types::RDKafkaRespErr,
};
use trivium_codec::KeyShape;
use trivium_ingest::{
    Lag,
    port::{Letter, Partition, Record},
};
use trivium_model::{KeyValue, Name, Timestamp, Value, ViewRef};
use trivium_payload::{VIEW_HEADER, ordered_payload};
use trivium_runtime::Shutdown;
use trivium_windows::{Output, Progress, Row, Step};
use trivium_windows_embedded::Mark;

use super::{
    Job,
    assigned::Assigned,
    changelog,
    transaction::{Sent, Transactions},
};
use crate::{
    Error, consumer,
    dead_letters::{self, Extent},
    unowned::Unowned,
};

/// How long it waits for messages before it looks at anything else.
const POLL: Duration = Duration::from_millis(100);
/// How long messages are gathered for one transaction, once there is one.
const GATHER: Duration = Duration::from_millis(20);
const ASK: Duration = Duration::from_secs(30);
/// How often metrics are told.
const TELL: Duration = Duration::from_secs(1);
const ASK_END: Duration = Duration::from_millis(500);
/// A member that restores much must not be taken for dead meanwhile; its heartbeats go on.
const POLL_INTERVAL: &str = "3600000";
/// A dead letter's value is left out if it is larger: no topic has to take more by default.
const LETTER_BYTES_MAX: usize = 900_000;
/// Records of one transaction, beyond which no further partition is taken into it: the broker gives it a
/// bounded time.
const RECORDS_MAX: usize = 50_000;

struct Context {
    job: Arc<Job>,
    assigned: Mutex<BTreeMap<i32, Assigned>>,
    failure: Mutex<Option<Error>>,
    /// Whether the session ends by an error: then nobody has its partitions.
    is_failing: AtomicBool,
    unowned: Option<Arc<Unowned>>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn failed(what: impl std::fmt::Display) -> Error {
    Error::Failed(what.to_string())
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        consumer::log_line(level, facility, message);
    }

    fn stats(&self, statistics: Statistics) {
        let Some(known) = statistics.topics.get(&self.job.topic) else { return };
        let mut assigned = locked(&self.assigned);
        for (partition, known) in &known.partitions {
            if let Some(one) = assigned.get_mut(partition) {
                one.is_known_as(known);
            }
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::warn!(%error, reason, "Kafka");
    }
}

impl ConsumerContext for Context {
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        code: RDKafkaRespErr,
        list: &mut TopicPartitionList,
    ) {
        let is_cooperative =
            matches!(consumer.rebalance_protocol(), RebalanceProtocol::Cooperative);
        let done = match code {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => {
                count_rebalance("assigned");
                if let Err(error) = self.assign(consumer, list) {
                    *locked(&self.failure) = Some(error);
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
            _ => {
                count_rebalance("revoked");
                self.release(consumer, list);
                if is_cooperative {
                    consumer.incremental_unassign(list)
                } else {
                    consumer.unassign()
                }
            }
        };
        if let Err(error) = done {
            *locked(&self.failure) = Some(failed(error));
        }
    }
}

fn count_rebalance(what: &'static str) {
    metrics::counter!("trivium_ingest_rebalances_total", "what" => what).increment(1);
}

impl Context {
    /// Forgets partitions that are taken away. No transaction is under way: what of them was taken in is
    /// committed.
    fn release(&self, consumer: &BaseConsumer<Self>, list: &TopicPartitionList) {
        let mut assigned = locked(&self.assigned);
        for one in list.elements() {
            let Some(gone) = assigned.remove(&one.partition()) else { continue };
            // Its lag is told by whoever has it now.
            if !self.is_failing.load(Ordering::Relaxed) {
                let none = Lag { records: Some(0), age: Duration::ZERO };
                tell_lag(self.job.events.view(), &gone, none);
            }
            // A pause outlives the assignment: whoever gets the partition back would wait for ever.
            if gone.is_paused {
                flow(consumer, gone.partition(), one.partition(), Consumer::resume);
            }
        }
    }

    /// Brings the partitions' states, and says where they are read from.
    fn assign(
        &self,
        consumer: &BaseConsumer<Self>,
        list: &mut TopicPartitionList,
    ) -> Result<(), Error> {
        let job = &self.job;
        // A state may take long to come.
        job.is_busy(true);
        let committed = consumer.committed_offsets(list.clone(), ASK).map_err(failed)?;
        let partitions: Vec<i32> = list.elements().iter().map(|one| one.partition()).collect();
        for partition in partitions {
            let committed = committed.find_partition(&job.topic, partition).and_then(|one| {
                let Offset::Offset(position) = one.offset() else { return None };
                let position = u64::try_from(position).ok()?;
                // Offsets that somebody else has set count no steps.
                Some(Progress { steps: one.metadata().parse().unwrap_or_default(), position })
            });
            let view = job.events.view();
            let name = format!("{}.{}@{}-{partition}", view.namespace, view.view, view.version);
            let shelf = job.parts.folder.shelf(&name).map_err(failed)?;
            let known = changelog::restore(job, partition, &shelf, committed)?;
            let from = match known.or(committed) {
                Some(progress) => Offset::Offset(i64::try_from(progress.position).map_err(failed)?),
                None => Offset::Beginning,
            };
            list.set_partition_offset(&job.topic, partition, from).map_err(failed)?;
            tracing::info!(%view, partition, ?from, "a partition's windows are here");
            let position = known.or(committed).map(|progress| progress.position);
            let name = job.partition(partition);
            let assigned = Assigned::new(name, shelf, job.parts.options.flood, position);
            locked(&self.assigned).insert(partition, assigned);
        }
        Ok(())
    }
}

/// Pauses a partition, or resumes it.
fn flow(
    consumer: &BaseConsumer<Context>,
    name: &Partition,
    partition: i32,
    what: fn(&BaseConsumer<Context>, &TopicPartitionList) -> KafkaResult<()>,
) {
    let mut list = TopicPartitionList::with_capacity(1);
    list.add_partition(&name.topic, partition);
    if let Err(error) = what(consumer, &list) {
        tracing::warn!(%error, partition = %name, "neither paused nor resumed");
    }
}

fn tell_lag(view: &ViewRef, one: &Assigned, lag: Lag) {
    let labels = [("view", view.to_string()), ("partition", one.partition().name.to_string())];
    if let Some(records) = lag.records {
        metrics::gauge!("trivium_windows_lag_records", &labels).set(records as f64);
    }
    metrics::gauge!("trivium_windows_lag_seconds", &labels).set(lag.age.as_secs_f64());
}

/// What one partition has for a transaction.
struct Part {
    partition: i32,
    output: Output,
    letters: Vec<Letter>,
    rows: Vec<(Vec<u8>, Vec<u8>)>,
}

pub(super) struct Session {
    job: Arc<Job>,
    consumer: BaseConsumer<Context>,
    transactions: Transactions,
    keys: KeyShape,
    /// As payloads name it.
    view: String,
    /// The partition that the next transaction begins with.
    next: AtomicI32,
    /// When the metrics were told last.
    told: Instant,
    /// The held partition whose end was asked for last.
    asked: i32,
    shutdown: Shutdown,
}

impl Session {
    /// Joins the group.
    pub fn begin(job: &Arc<Job>, unowned: Option<&Arc<Unowned>>) -> Result<Self, Error> {
        changelog::ensure(job)?;
        let transactions = Transactions::begin(job)?;
        let context = Context {
            job: Arc::clone(job),
            assigned: Mutex::default(),
            failure: Mutex::default(),
            is_failing: AtomicBool::new(false),
            unowned: unowned.cloned(),
        };
        let mut config = job.parts.kafka.consumer();
        config
            .set("group.id", &job.group)
            .set("max.poll.interval.ms", POLL_INTERVAL)
            // Where partitions end, for the lag.
            .set("statistics.interval.ms", "1000");
        let consumer: BaseConsumer<Context> =
            config.create_with_context(context).map_err(|e| Error::Options(e.to_string()))?;
        consumer.subscribe(&[&job.topic]).map_err(failed)?;
        Ok(Self {
            job: Arc::clone(job),
            consumer,
            transactions,
            keys: KeyShape::new(&job.view),
            view: job.events.view().to_string(),
            next: AtomicI32::new(0),
            told: Instant::now(),
            asked: -1,
            shutdown: Shutdown::new(),
        })
    }

    /// Works until the shutdown, or until something fails.
    pub fn work(mut self, shutdown: &Shutdown) -> Result<(), Error> {
        self.shutdown = shutdown.clone();
        let worked = self.turns();
        self.consumer.context().is_failing.store(worked.is_err(), Ordering::Relaxed);
        self.job.is_busy(false);
        worked
    }

    fn turns(&mut self) -> Result<(), Error> {
        while !self.shutdown.is_triggered() {
            let gathered = self.gather()?;
            if let Some(failure) = locked(&self.consumer.context().failure).take() {
                return Err(failure);
            }
            self.job.is_busy(true);
            let done = self.read(gathered).and_then(|()| self.transact());
            self.job.is_busy(false);
            done?;
            self.tell();
        }
        Ok(())
    }

    fn tell(&mut self) {
        let is_due = self.told.elapsed() >= TELL;
        if is_due {
            self.ask_end();
            self.told = Instant::now();
        }
        let (view, now) = (self.job.events.view(), self.job.parts.clock.now_micros());
        let assigned = locked(&self.consumer.context().assigned);
        let mut partitions = Vec::with_capacity(assigned.len());
        for one in assigned.values() {
            let health = one.health(view, now);
            if let (true, Some(lag)) = (is_due, health.lag) {
                tell_lag(view, one, lag);
            }
            partitions.push(health);
        }
        drop(assigned);
        *locked(&self.job.health) = super::WindowsHealth { partitions, failing: None };
    }

    /// Where a partition ends that nothing is fetched from: of one each time, the others in their turn. The
    /// thread waits for the answer.
    fn ask_end(&mut self) {
        let assigned = &self.consumer.context().assigned;
        let held = |(number, one): (&i32, &Assigned)| one.is_held().then_some(*number);
        let held: Vec<i32> = locked(assigned).iter().filter_map(held).collect();
        let next = held.iter().find(|number| **number > self.asked).or(held.first());
        let Some(&number) = next else { return };
        self.asked = number;
        // A broker that is away is told of by the consumer.
        let asked = self.consumer.fetch_watermarks(&self.job.topic, number, ASK_END);
        if let (Ok((_, end)), Some(one)) = (asked, locked(assigned).get_mut(&number)) {
            one.ends_at(end);
        }
    }

    /// Messages of some milliseconds. None while there is work left of the last ones.
    fn gather(&self) -> Result<BTreeMap<i32, Vec<Record>>, Error> {
        let is_busy = || {
            let assigned = locked(&self.consumer.context().assigned);
            assigned.values().any(Assigned::has_work)
        };
        let mut gathered: BTreeMap<i32, Vec<Record>> = BTreeMap::new();
        let (mut count, mut bytes) = (0, 0);
        let mut wait = if is_busy() { Duration::ZERO } else { POLL };
        let mut begun: Option<Instant> = None;
        let kafka = &self.job.parts.kafka;
        let held: usize =
            locked(&self.consumer.context().assigned).values().map(Assigned::held_bytes).sum();
        // Some is left whatever is held: the others go on.
        let room = (kafka.waiting_bytes / 2).saturating_sub(held).max(kafka.waiting_bytes / 16);
        loop {
            match self.consumer.poll(wait) {
                None => break,
                Some(Err(error)) => consumer::fatal(&error)?,
                Some(Ok(message)) => {
                    let record = consumer::record(&message);
                    count += 1;
                    bytes += record.bytes();
                    if let Some(one) =
                        locked(&self.consumer.context().assigned).get_mut(&message.partition())
                    {
                        one.comes(&record);
                    }
                    gathered.entry(message.partition()).or_default().push(record);
                }
            }
            let begun = begun.get_or_insert_with(Instant::now);
            wait = GATHER.saturating_sub(begun.elapsed());
            if count >= kafka.batch_records || bytes >= room || is_busy() {
                break;
            }
        }
        if let Some((code, reason)) = self.consumer.client().fatal_error() {
            return Err(Error::Failed(format!("{code}: {reason}")));
        }
        Ok(gathered)
    }

    /// Puts messages that a flood has stopped in front of those that were gathered, once they are due.
    fn release(&self, gathered: &mut BTreeMap<i32, Vec<Record>>) {
        let passes = std::mem::take(&mut *locked(&self.job.passes));
        for (number, one) in locked(&self.consumer.context().assigned).iter_mut() {
            if let Some(messages) = passes.get(number) {
                one.let_pass(*messages);
            }
            let more = gathered.get(number).is_some_and(|more| !more.is_empty());
            if let Some(mut held) = one.release(self.job.parts.kafka.flood_retry, more) {
                let behind = gathered.entry(*number).or_default();
                held.append(behind);
                *behind = held;
            }
        }
    }

    /// Reads the messages as events, those of partitions that are still this worker's.
    fn read(&self, mut gathered: BTreeMap<i32, Vec<Record>>) -> Result<(), Error> {
        let job = &self.job;
        self.release(&mut gathered);
        for (number, records) in gathered {
            let now = Timestamp(job.parts.clock.now_micros());
            let reading = job.events.read(
                &records,
                &job.parts.schemas,
                &job.parts.options,
                now,
                &self.shutdown,
            );
            // Nothing was taken in: they are read again.
            let said = job.handle.block_on(reading).map_err(failed)?;
            if let Some(one) = locked(&self.consumer.context().assigned).get_mut(&number) {
                one.take_in(job.events.view(), records, said);
                if one.is_held() != one.is_paused {
                    one.is_paused = one.is_held();
                    let what = if one.is_paused { Consumer::pause } else { Consumer::resume };
                    flow(&self.consumer, one.partition(), number, what);
                }
            }
        }
        Ok(())
    }

    fn transact(&self) -> Result<(), Error> {
        let job = &self.job;
        let mut assigned = locked(&self.consumer.context().assigned);
        let mut parts = Vec::new();
        // The end of a slide comes to all partitions at once. Those that this transaction has no room for
        // are first in the next one.
        let first = self.next.load(Ordering::Relaxed);
        let mut order: Vec<i32> = assigned.keys().copied().collect();
        let (before, from): (Vec<i32>, Vec<i32>) = order.drain(..).partition(|one| *one < first);
        let mut records = 0;
        for partition in from.into_iter().chain(before) {
            let Some(one) = assigned.get_mut(&partition) else { continue };
            if !one.has_work() {
                continue;
            }
            if records >= RECORDS_MAX {
                self.next.store(partition, Ordering::Relaxed);
                break;
            }
            if let Some(part) = self.part(partition, one)? {
                records += part.output.changes.len() + part.rows.len() + part.letters.len();
                parts.push(part);
            }
        }
        if parts.is_empty() {
            return Ok(());
        }
        let mut offsets = TopicPartitionList::with_capacity(parts.len());
        for Part { partition, output, .. } in &parts {
            let mut one = offsets.add_partition(&job.topic, *partition);
            let position = i64::try_from(output.progress.position).map_err(failed)?;
            one.set_offset(Offset::Offset(position)).map_err(failed)?;
            one.set_metadata(output.progress.steps.to_string());
        }
        let group =
            self.consumer.group_metadata().ok_or_else(|| failed("the consumer has no group"))?;
        // Who has lost them all may have lost the group's name for it as well, and what names no member is
        // fenced by nobody.
        if self.consumer.assignment_lost() {
            return Err(failed("the partitions are another worker's by now"));
        }
        let ends = self.transactions.commit(
            parts.iter().flat_map(|part| self.sent(part)),
            &offsets,
            &group,
        )?;
        for Part { partition, output, letters, rows } in parts {
            let Some(one) = assigned.get_mut(&partition) else { continue };
            // The meta key is among every step's changes, so that there is an end.
            let changelog = ends.get(&partition).copied().unwrap_or_default();
            let at_millis = job.parts.clock.now_micros() / 1_000;
            one.shelf.apply(&output.changes, Mark { changelog, at_millis }).map_err(failed)?;
            one.is_settled = output.is_settled;
            one.stands_at(output.progress.position);
            self.count(&output, &letters, rows.len());
        }
        Ok(())
    }

    fn count(&self, output: &Output, letters: &[Letter], rows: usize) {
        let view = self.job.events.view().to_string();
        let counts = output.counts;
        for (what, number) in [
            ("counted", counts.counted),
            ("late", counts.late),
            ("repeated", counts.repeated),
            ("filtered", counts.filtered),
        ] {
            metrics::counter!("trivium_windows_events_total", "view" => view.clone(), "outcome" => what)
                .increment(number);
        }
        metrics::counter!("trivium_windows_rows_total", "view" => view).increment(rows as u64);
        for letter in letters {
            let (topic, reason) = (self.job.topic.clone(), letter.poison.reason.word());
            metrics::counter!("trivium_ingest_dead_letters_total", "topic" => topic, "reason" => reason)
                .increment(1);
        }
    }

    /// A step of one partition; none if it comes to nothing.
    fn part(&self, partition: i32, one: &mut Assigned) -> Result<Option<Part>, Error> {
        let mut step = Step::begin(&self.job.plan, &one.shelf).map_err(failed)?;
        let mut letters = Vec::new();
        let mut is_something = false;
        while step.settle().map_err(failed)? {
            let Some((record, said)) = one.waiting.next() else { break };
            is_something = true;
            match said {
                Ok(event) => step.take(record.offset, event.as_ref()).map_err(failed)?,
                Err(poison) => {
                    step.take(record.offset, None).map_err(failed)?;
                    letters.push(self.letter(partition, record, poison));
                }
            }
        }
        let output = step.finish().map_err(failed)?;
        if !is_something && output.is_settled && output.rows.is_empty() {
            one.is_settled = true;
            return Ok(None);
        }
        let rows = output.rows.iter().map(|row| self.payload(row)).collect::<Result<_, _>>()?;
        Ok(Some(Part { partition, output, letters, rows }))
    }

    fn letter(&self, partition: i32, record: Record, poison: trivium_payload::Poison) -> Letter {
        Letter {
            partition: self.job.partition(partition),
            record,
            view: Some(self.job.events.view().clone()),
            poison,
            first_seen: Timestamp(self.job.parts.clock.now_micros()),
        }
    }

    /// A row's key and value as a message.
    fn payload(&self, row: &Row) -> Result<(Vec<u8>, Vec<u8>), Error> {
        let view = &self.job.view;
        let key = self.keys.encode(&row.entity).map_err(failed)?;
        let names = self.keys.key_names().iter().cloned();
        let entity: Vec<(Name, KeyValue)> = names.zip(row.entity.iter().cloned()).collect();
        let features = view.features.iter().map(|feature| feature.name.clone());
        let values: Vec<(Name, Value)> = features.zip(row.values.iter().cloned()).collect();
        let value = ordered_payload(view, &entity, row.end, Some(row.sequence), Some(&values));
        Ok((key.partition().as_bytes().to_vec(), value))
    }

    fn sent<'p>(&'p self, part: &'p Part) -> impl Iterator<Item = Sent<'p>> {
        let job = &self.job;
        let changes = part.output.changes.iter().map(|(key, value)| Sent {
            topic: &job.changelog,
            partition: Some(part.partition),
            key: Some(key),
            value: value.as_deref(),
            headers: None,
        });
        let rows = part.rows.iter().map(|(key, value)| Sent {
            topic: &job.payload_topic,
            partition: None,
            key: Some(key),
            value: Some(value),
            // Whoever reads the topic finds the view without opening the payload.
            headers: Some(
                OwnedHeaders::new_with_capacity(1)
                    .insert(Header { key: VIEW_HEADER, value: Some(&self.view) }),
            ),
        });
        let letters = part.letters.iter().map(|letter| {
            let extent = Extent::within(letter, LETTER_BYTES_MAX);
            Sent {
                topic: &job.parts.dead_letters,
                partition: None,
                key: extent.key(letter),
                value: extent.value(letter),
                headers: Some(dead_letters::headers(letter, extent)),
            }
        });
        changes.chain(rows).chain(letters)
    }
}
