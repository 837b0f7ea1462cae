//! The topic that mirrors the states: made where it is missing, and read to bring a state back.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use rdkafka::{
    Message as _, Offset, TopicPartitionList,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    consumer::{BaseConsumer, Consumer as _},
    error::{KafkaError, RDKafkaErrorCode},
};
use trivium_windows::{Changes, Error as WindowsError, Progress, progress};
use trivium_windows_embedded::{Mark, Shelf};

use super::Job;
use crate::{Error, consumer::ToTheEnd};

/// A folder's state that is older is not caught up with, but read whole: what was removed from a
/// compacted topic is told in it for a day only (`delete.retention.ms`).
const CATCH_UP_MILLIS: i64 = 3_600_000;
/// How long the changelog may lack what the group's offset says there is: transactions end in one topic
/// a little before they do in another.
const PATIENCE: Duration = Duration::from_secs(60);
/// Records that are taken into the folder at once.
const CHUNK: usize = 10_000;
const ASK: Duration = Duration::from_secs(30);
/// The largest record: a tile.
const RECORD_BYTES_MAX: &str = "8388608";

fn failed(what: impl std::fmt::Display) -> Error {
    Error::Failed(what.to_string())
}

fn partitions(consumer: &BaseConsumer, topic: &str) -> Result<usize, Error> {
    let metadata = consumer.fetch_metadata(Some(topic), ASK).map_err(failed)?;
    let found = metadata.topics().iter().find(|one| one.name() == topic);
    Ok(found.map_or(0, |one| one.partitions().len()))
}

/// Sees to it that the changelog is there, with a partition for each of the source's.
pub(super) fn ensure(job: &Job) -> Result<(), Error> {
    let asker: BaseConsumer = job
        .parts
        .kafka
        .client()
        .create()
        .map_err(|error: KafkaError| Error::Options(error.to_string()))?;
    let wanted = partitions(&asker, &job.topic)?;
    if wanted == 0 {
        return Err(failed(format!("the topic `{}` is not there yet", job.topic)));
    }
    let mut found = partitions(&asker, &job.changelog)?;
    if found == 0 {
        make(job, wanted)?;
        // It is made, and not yet known everywhere.
        let begun = Instant::now();
        while found == 0 && begun.elapsed() < ASK {
            std::thread::sleep(Duration::from_millis(100));
            found = partitions(&asker, &job.changelog)?;
        }
    }
    if found < wanted {
        return Err(failed(format!(
            "the changelog `{}` has {found} partitions, and the topic `{}` {wanted}: entities have moved between partitions, and their windows have not; make a new version of the view",
            job.changelog, job.topic
        )));
    }
    Ok(())
}

fn make(job: &Job, partitions: usize) -> Result<(), Error> {
    let admin: AdminClient<DefaultClientContext> =
        job.parts.kafka.client().create().map_err(|error| Error::Options(error.to_string()))?;
    let partitions = i32::try_from(partitions).map_err(failed)?;
    // As many copies as the brokers give new topics.
    let topic = NewTopic::new(&job.changelog, partitions, TopicReplication::Fixed(-1))
        .set("cleanup.policy", "compact")
        .set("max.message.bytes", RECORD_BYTES_MAX);
    let made = job.handle.block_on(admin.create_topics([&topic], &AdminOptions::new()));
    for one in made.map_err(failed)? {
        match one {
            Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((topic, code)) => {
                return Err(failed(format!("the changelog `{topic}` cannot be made: {code}")));
            }
        }
    }
    Ok(())
}

/// Brings the shelf to where the group stands, or further where that is forgotten; says where.
pub(super) fn restore(
    job: &Job,
    partition: i32,
    shelf: &Shelf,
    committed: Option<Progress>,
) -> Result<Option<Progress>, Error> {
    let known = match progress(&job.plan, shelf) {
        Ok(known) => known,
        Err(why @ (WindowsError::OtherDeclaration | WindowsError::Corrupt(_))) => {
            tracing::warn!(view = %job.events.view(), partition, %why, "the folder's state is read anew");
            shelf.clear().map_err(failed)?;
            None
        }
        Err(other) => return Err(failed(other)),
    };
    if known.is_some() && known == committed {
        return Ok(known);
    }
    // Read last: what was cleared has none, and is read whole.
    let mark = shelf.mark().map_err(failed)?;
    let now = job.parts.clock.now_micros() / 1_000;
    let from = mark.filter(|mark| {
        let is_behind =
            committed.is_none_or(|committed| known.is_none_or(|known| known < committed));
        is_behind && (0..CATCH_UP_MILLIS).contains(&(now - mark.at_millis))
    });
    let what = if from.is_some() { "caught_up" } else { "whole" };
    metrics::counter!("trivium_windows_restores_total", "view" => job.events.view().to_string(), "what" => what)
        .increment(1);
    if from.is_none() {
        shelf.clear().map_err(failed)?;
    }
    match replay(job, partition, shelf, from.map(|mark| mark.changelog), committed) {
        Err(Gap::Moved) if from.is_some() => {
            shelf.clear().map_err(failed)?;
            replay(job, partition, shelf, None, committed).map_err(Gap::error)
        }
        replayed => replayed.map_err(Gap::error),
    }
}

/// Why a changelog was not read to its end.
enum Gap {
    /// The mark's place is not in it.
    Moved,
    Other(Error),
}

impl Gap {
    fn error(self) -> Error {
        match self {
            Self::Moved => failed("the changelog's beginning cannot be found"),
            Self::Other(error) => error,
        }
    }
}

/// Reads the changelog into the shelf.
fn replay(
    job: &Job,
    partition: i32,
    shelf: &Shelf,
    from: Option<i64>,
    committed: Option<Progress>,
) -> Result<Option<Progress>, Gap> {
    let other = |what: &dyn std::fmt::Display| Gap::Other(failed(what));
    let mut config = job.parts.kafka.consumer();
    config
        // It is in no group; librdkafka wants one named.
        .set("group.id", format!("{}.restore", job.group))
        .set("auto.offset.reset", "error")
        .set("enable.partition.eof", "true");
    config.remove("group.instance.id");
    let consumer: BaseConsumer<ToTheEnd> =
        config.create_with_context(ToTheEnd).map_err(|error| other(&error))?;
    let mut list = TopicPartitionList::new();
    let begin = from.map_or(Offset::Beginning, Offset::Offset);
    list.add_partition_offset(&job.changelog, partition, begin).map_err(|error| other(&error))?;
    consumer.assign(&list).map_err(|error| other(&error))?;
    let mut waiting: BTreeMap<Vec<u8>, Option<Vec<u8>>> = BTreeMap::new();
    let mut next = from.unwrap_or_default();
    let now = || job.parts.clock.now_micros() / 1_000;
    let take = |waiting: &mut BTreeMap<Vec<u8>, Option<Vec<u8>>>, next: i64| {
        let changes: Changes = std::mem::take(waiting).into_iter().collect();
        shelf.apply(&changes, Mark { changelog: next, at_millis: now() }).map_err(|e| other(&e))
    };
    let mut met = Instant::now();
    loop {
        match consumer.poll(Duration::from_millis(500)) {
            None => {}
            Some(Ok(message)) => {
                met = Instant::now();
                next = message.offset() + 1;
                let key = message.key().unwrap_or_default().to_vec();
                waiting.insert(key, message.payload().map(<[u8]>::to_vec));
                if waiting.len() >= CHUNK {
                    take(&mut waiting, next)?;
                }
                continue;
            }
            Some(Err(KafkaError::PartitionEOF(_))) => {
                if !waiting.is_empty() || shelf.mark().map_err(|e| other(&e))?.is_none() {
                    take(&mut waiting, next)?;
                }
                let found = progress(&job.plan, shelf).map_err(|error| {
                    let what = format!(
                        "the changelog `{}`: {error}; to compute anew, delete it and the offsets of the group `{}`",
                        job.changelog, job.group
                    );
                    other(&what)
                })?;
                if committed.is_none_or(|committed| found.is_some_and(|found| found >= committed)) {
                    return Ok(found);
                }
            }
            Some(Err(error)) => match error.rdkafka_error_code() {
                Some(RDKafkaErrorCode::OffsetOutOfRange | RDKafkaErrorCode::AutoOffsetReset) => {
                    return Err(Gap::Moved);
                }
                _ => tracing::warn!(%error, "the changelog"),
            },
        }
        if met.elapsed() > PATIENCE {
            let found = progress(&job.plan, shelf).ok().flatten().unwrap_or_default();
            let wanted = committed.unwrap_or_default();
            let what = format!(
                "the changelog `{}` leads to step {} of partition {partition}, and the group `{}` stands at step {}; if it is gone for good, delete both to compute anew",
                job.changelog, found.steps, job.group, wanted.steps
            );
            return Err(other(&what));
        }
    }
}
