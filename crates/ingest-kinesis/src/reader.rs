//! Reads one shard, as long as there is room for what comes.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use aws_sdk_kinesis::{
    Client,
    error::{ProvideErrorMetadata, SdkError},
    operation::get_records::GetRecordsOutput,
    types::{Record as KinesisRecord, ShardIteratorType},
};
use bytes::Bytes;
use rand::RngExt as _;
use tokio::{
    sync::{Notify, mpsc},
    time::Instant,
};
use trivium_ingest::port::{Partition, Record};
use trivium_model::Timestamp;
use trivium_runtime::{Clock, Shutdown};

use crate::{
    KinesisOptions, aggregate, client::told, lanes::Shared, leases::Checkpoint,
    options::READ_EVERY_MIN,
};

/// The header that says which record of Kinesis a message is, or is in.
pub const SEQUENCE_HEADER: &str = "kinesis-sequence-number";

/// What is read from a stream's oldest message on is as old as the stream keeps anything, and not lost.
const EXPIRY_SLACK: Duration = Duration::from_secs(300);

/// What one answer has at most.
const LIMIT_MAX: usize = 10_000;

/// What a lane is given.
pub(crate) enum Item {
    /// A message; where it is a record's last, the record with it.
    Message(Record, Option<Mark>),
    /// The shard has been read to its end.
    End,
}

/// A record of Kinesis.
pub(crate) struct Mark {
    pub sequence: String,
    pub arrived: Timestamp,
}

/// Why there was no answer.
enum Failure {
    /// Iterators live five minutes.
    Expired,
    /// It passes.
    Passing(String),
    /// Somebody has to do something about it.
    Lasting(String),
}

fn sort<E, R>(what: &str, error: &SdkError<E, R>) -> Failure
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
    R: std::fmt::Debug + 'static,
{
    let said = format!("{what}: {}", told(error));
    match error.as_service_error().and_then(ProvideErrorMetadata::code) {
        Some("ExpiredIteratorException") => Failure::Expired,
        Some(
            "AccessDeniedException"
            | "ResourceNotFoundException"
            | "InvalidArgumentException"
            | "ValidationException"
            | "UnrecognizedClientException"
            | "InvalidSignatureException"
            | "KMSAccessDeniedException"
            | "KMSDisabledException"
            | "KMSInvalidStateException"
            | "KMSNotFoundException"
            | "KMSOptInRequired",
        ) => Failure::Lasting(said),
        _ => Failure::Passing(said),
    }
}

/// The pause after so many failures in a row: at random below a bound that doubles.
pub(crate) fn pause(failures: u32) -> Duration {
    const FIRST: Duration = Duration::from_millis(200);
    const MOST: Duration = Duration::from_secs(10);
    let most = FIRST.saturating_mul(1 << failures.saturating_sub(1).min(20)).min(MOST);
    rand::rng().random_range(most / 2..=most)
}

/// Whether a shard still has a record of this number: it may have expired, and in a stream that was made
/// anew under its name shards have the names of the old, and not their numbers. An error says why nobody
/// knows.
pub(crate) async fn has(
    client: &Client,
    partition: &Partition,
    sequence: &str,
) -> Result<bool, String> {
    /// Answers without messages may come before one with some.
    const TRIES: usize = 20;
    let request = client
        .get_shard_iterator()
        .stream_name(&*partition.topic)
        .shard_id(&*partition.name)
        .shard_iterator_type(ShardIteratorType::AtSequenceNumber)
        .starting_sequence_number(sequence);
    let mut iterator = match request.send().await {
        Ok(answer) => answer.shard_iterator,
        Err(error) => match error.as_service_error().and_then(ProvideErrorMetadata::code) {
            Some("InvalidArgumentException") => return Ok(false),
            _ => return Err(format!("GetShardIterator: {}", told(&error))),
        },
    };
    for _ in 0..TRIES {
        let Some(at) = iterator else { return Ok(false) };
        let answer = client.get_records().shard_iterator(at).limit(1).send().await;
        let answer = answer.map_err(|error| format!("GetRecords: {}", told(&error)))?;
        if let Some(first) = answer.records.first() {
            return Ok(first.sequence_number == sequence);
        }
        if answer.millis_behind_latest.is_none_or(|behind| behind == 0) {
            return Ok(false);
        }
        iterator = answer.next_shard_iterator;
        tokio::time::sleep(READ_EVERY_MIN).await;
    }
    Err(format!("GetRecords: {TRIES} answers without messages"))
}

/// Whether what was not read yet may have expired.
pub(crate) fn may_have_expired(read_until: Timestamp, now: i64, retention: Duration) -> bool {
    let age = now.saturating_sub(read_until.0).max(0);
    !retention.is_zero()
        && Duration::from_micros(age.unsigned_abs()) > retention.saturating_add(EXPIRY_SLACK)
}

/// The reader of a shard.
pub(crate) struct Reader {
    pub client: Client,
    pub options: KinesisOptions,
    pub clock: Arc<dyn Clock>,
    pub shared: Arc<Shared>,
    pub feed: mpsc::UnboundedSender<Item>,
    /// How long the stream keeps messages.
    pub retention: Duration,
    /// Rung when the shard seems to be no more.
    pub look: Arc<Notify>,
    /// Up to where it has been read.
    pub at: Checkpoint,
    /// Bytes of a message, as the last answers had it.
    pub average: usize,
}

impl Reader {
    /// Reads until the shard's end, or until it is asked to stop.
    pub async fn run(mut self) {
        let stop = self.shared.stop.clone();
        let (mut iterator, mut failures, mut is_told) = (None, 0, false);
        let mut next = Instant::now();
        while self.is_asked_for(next, &stop).await {
            next = Instant::now() + self.options.read_every;
            is_told = self.tell_loss(is_told);
            let answer = tokio::select! {
                answer = self.ask(&mut iterator) => answer,
                () = stop.wait() => return,
            };
            match answer {
                Ok(answer) => {
                    failures = 0;
                    self.shared.trouble(None);
                    iterator = answer.next_shard_iterator.clone();
                    self.pass_on(answer);
                    if iterator.is_none() {
                        let _ = self.feed.send(Item::End);
                        return;
                    }
                }
                Err(Failure::Expired) => iterator = None,
                Err(failure) => {
                    failures += 1;
                    next = Instant::now() + pause(failures).max(self.options.read_every);
                    self.tell(failure, failures);
                }
            }
        }
    }

    /// Waits until there is room and it is time; false: it was asked to stop.
    async fn is_asked_for(&self, next: Instant, stop: &Shutdown) -> bool {
        let due = async {
            tokio::time::sleep_until(next).await;
            loop {
                let room = self.shared.room.notified();
                if self.shared.has_room() {
                    return;
                }
                room.await;
            }
        };
        tokio::select! {
            biased;
            () = stop.wait() => false,
            () = due => true,
        }
    }

    async fn ask(&self, iterator: &mut Option<String>) -> Result<GetRecordsOutput, Failure> {
        let partition = self.shared.tended.partition();
        let at = match iterator.take() {
            Some(iterator) => iterator,
            None => {
                let request = self
                    .client
                    .get_shard_iterator()
                    .stream_name(&*partition.topic)
                    .shard_id(&*partition.name);
                let request = match &self.at.sequence {
                    None => request.shard_iterator_type(ShardIteratorType::TrimHorizon),
                    Some(sequence) => request
                        .shard_iterator_type(ShardIteratorType::AfterSequenceNumber)
                        .starting_sequence_number(sequence),
                };
                let answer = request.send().await;
                let answer = answer.map_err(|error| sort("GetShardIterator", &error))?;
                let none =
                    || Failure::Passing("GetShardIterator: an answer without one".to_owned());
                answer.shard_iterator.ok_or_else(none)?
            }
        };
        let limit = (self.shared.room_bytes() / self.average.max(1)).clamp(1, LIMIT_MAX);
        let limit = i32::try_from(limit).unwrap_or(i32::MAX);
        let answer = self.client.get_records().shard_iterator(&at).limit(limit).send().await;
        answer.map_err(|error| {
            // It goes on at the same place.
            *iterator = Some(at);
            sort("GetRecords", &error)
        })
    }

    /// Gives an answer's messages to the lane.
    fn pass_on(&mut self, answer: GetRecordsOutput) {
        let behind = answer.millis_behind_latest.unwrap_or_default().max(0).saturating_mul(1_000);
        let count = answer.records.len();
        let mut bytes = 0;
        for record in answer.records {
            let sequence = record.sequence_number.clone();
            let arrived = arrival(&record).unwrap_or(self.at.read_until);
            for item in items(record, arrived, &mut self.at.position) {
                if let Item::Message(record, _) = &item {
                    bytes += record.bytes();
                    self.shared.waiting.fetch_add(record.bytes(), Ordering::AcqRel);
                }
                // Its other end is gone: then it is asked to stop.
                let _ = self.feed.send(item);
            }
            self.at.sequence = Some(sequence);
            self.at.read_until = arrived;
        }
        if count > 0 {
            self.average = bytes.div_ceil(count);
        } else {
            self.at.read_until = Timestamp(self.clock.now_micros().saturating_sub(behind));
            self.shared.caught_up(self.at.read_until);
        }
    }

    /// Says when what was not read yet is older than the stream keeps it, once until that has passed.
    fn tell_loss(&self, is_told: bool) -> bool {
        let now = self.clock.now_micros();
        if !may_have_expired(self.at.read_until, now, self.retention) {
            return false;
        }
        if !is_told {
            let (partition, from) = (self.shared.tended.partition(), self.at.read_until);
            let topic = partition.topic.to_string();
            metrics::counter!(self.shared.names.expired, "topic" => topic).increment(1);
            tracing::error!(
                %partition, %from, kept_hours = self.retention.as_secs() / 3_600,
                "messages since then may have expired before they were read: \
                 send again what has, and let the stream keep messages longer"
            );
        }
        true
    }

    fn tell(&self, failure: Failure, failures: u32) {
        const TOLD_FROM: u32 = 3;
        let partition = self.shared.tended.partition();
        match failure {
            Failure::Lasting(why) => {
                if failures == 1 {
                    self.look.notify_one();
                }
                tracing::error!(%partition, why, "the shard cannot be read");
                self.shared.trouble(Some(why));
            }
            Failure::Passing(why) if failures >= TOLD_FROM => {
                tracing::warn!(%partition, why, failures, "tried again");
            }
            Failure::Passing(why) => tracing::debug!(%partition, why, "tried again"),
            Failure::Expired => {}
        }
    }
}

fn arrival(record: &KinesisRecord) -> Option<Timestamp> {
    let at = record.approximate_arrival_timestamp.as_ref()?;
    let micros = at.secs().saturating_mul(1_000_000);
    Some(Timestamp(micros.saturating_add(i64::from(at.subsec_nanos() / 1_000))))
}

/// The messages of a record: itself, or those that are put together in it. Each has the next position.
pub(crate) fn items(record: KinesisRecord, arrived: Timestamp, position: &mut u64) -> Vec<Item> {
    let sequence = record.sequence_number;
    let data = Bytes::from(record.data.into_inner());
    let mut message = |key: Option<Bytes>, data: Bytes, number: String, broken| {
        *position += 1;
        Record {
            offset: *position,
            key: key.filter(|key| !key.is_empty()),
            // Kinesis has no messages without a value: an empty one stands for it.
            value: Some(data).filter(|data| !data.is_empty()),
            headers: vec![(SEQUENCE_HEADER.to_owned(), Some(Bytes::from(number)))],
            time: Some(arrived),
            broken,
        }
    };
    let whole = |broken, data| (record.partition_key.map(Bytes::from), data, broken);
    let (key, data, broken) = match aggregate::parts(&data) {
        Ok(None) => whole(None, data),
        Err(why) => whole(Some(why), data),
        Ok(Some(parts)) => {
            let last = parts.len() - 1;
            let mark =
                |number| (number == last).then(|| Mark { sequence: sequence.clone(), arrived });
            let parts = parts.into_iter().enumerate();
            let item = |(number, part): (usize, aggregate::Part)| {
                let name = format!("{sequence}/{number}");
                Item::Message(message(Some(part.key), part.data, name, None), mark(number))
            };
            return parts.map(item).collect();
        }
    };
    let record = message(key, data, sequence.clone(), broken);
    vec![Item::Message(record, Some(Mark { sequence, arrived }))]
}
