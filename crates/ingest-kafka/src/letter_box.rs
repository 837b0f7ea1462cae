//! Reading the topic of dead letters again: what is in it, and what became of it.
//!
//! A letter stays where it is until somebody has dealt with it. Then a *mark* is put behind it in the
//! same topic, which names its place; the topic's head is cut off where nothing but marks and marked
//! letters stand. So letters of any choice can be taken away, although topics forget from the front
//! only, and whoever is killed in between has done less, not something else.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    str::FromStr,
    time::{Duration, Instant},
};

use bytes::Bytes;
use rdkafka::{
    Message as _, Offset, TopicPartitionList,
    admin::{AdminClient, AdminOptions},
    client::DefaultClientContext,
    consumer::{BaseConsumer, Consumer as _},
    error::KafkaError,
    message::{Header, OwnedHeaders},
    producer::{FutureProducer, FutureRecord},
    util::Timeout,
};
use trivium_ingest::port::Record;
use trivium_model::Timestamp;

use crate::{Error, HEADER_PREFIX, KafkaOptions, consumer::record};

/// How long a broker may take to answer.
const PATIENCE: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(200);
/// The header of a mark that says what was done …
const MARK: &str = "trivium-dlq-mark";
/// … and the one that says with which letter.
const MARKED: &str = "trivium-dlq-letter";

/// Where a letter is in its topic: `partition/offset`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The partition of the topic of dead letters.
    pub partition: i32,
    /// The offset in it.
    pub offset: i64,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.partition, self.offset)
    }
}

impl FromStr for Place {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong =
            || format!("`{text}` is no letter's place; write PARTITION/OFFSET, such as `0/42`");
        let (partition, offset) = text.split_once('/').ok_or_else(wrong)?;
        let partition: i32 = partition.parse().map_err(|_| wrong())?;
        let offset: i64 = offset.parse().map_err(|_| wrong())?;
        if partition < 0 || offset < 0 {
            return Err(wrong());
        }
        Ok(Self { partition, offset })
    }
}

/// What became of a letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// Its message is a row now, or behind a newer one.
    Replayed,
    /// Nobody wants it.
    Dropped,
}

impl Mark {
    const fn word(self) -> &'static str {
        match self {
            Self::Replayed => "replayed",
            Self::Dropped => "dropped",
        }
    }
}

/// A letter as it stands in the topic.
#[derive(Debug, Clone)]
pub struct Stored {
    /// Where.
    pub place: Place,
    /// What is said of it, by the name behind `trivium-dlq-`.
    pub about: BTreeMap<String, String>,
    /// The message as it was: its own key, value and headers. Offset and time are those that it had
    /// where it came from.
    pub record: Record,
}

impl Stored {
    /// What is said of it under this name; nothing where nothing is.
    pub fn says(&self, name: &str) -> &str {
        self.about.get(name).map_or("", String::as_str)
    }
    /// Which message it is, and for which view: of two letters that say the same, one was put twice.
    pub fn origin(&self) -> [&str; 4] {
        ["topic", "partition", "offset", "view"].map(|name| self.says(name))
    }
    /// The bytes of a value that was too large to be put away.
    pub fn left_behind(&self) -> Option<u64> {
        self.about.get("value-bytes")?.parse().ok()
    }
}

enum Found {
    Letter(Stored),
    /// Which letter it marks, and where it stands itself.
    Mark(Place, Place),
}

fn failed(error: impl fmt::Display) -> Error {
    Error::Failed(error.to_string())
}

/// The topic of dead letters, for reading. Calls block, but for [`Self::mark`] and [`Self::trim`].
pub struct LetterBox {
    options: KafkaOptions,
    topic: String,
}

impl LetterBox {
    /// Of this topic. Asks nobody yet.
    pub fn new(options: &KafkaOptions, topic: &str) -> Self {
        Self { options: options.clone(), topic: topic.to_owned() }
    }

    fn reader(&self) -> Result<BaseConsumer, Error> {
        // Nothing of a group's is asked for: partitions are assigned by hand, and progress is not kept.
        let mut config = self.options.consumer();
        config.remove("group.instance.id");
        config.set("enable.partition.eof", "true").set("statistics.interval.ms", "0");
        config.set("group.id", format!("{}-letters", self.options.group));
        config.create().map_err(|error| Error::Options(error.to_string()))
    }

    /// Where each partition begins and ends now.
    fn bounds(&self, reader: &BaseConsumer) -> Result<BTreeMap<i32, (i64, i64)>, Error> {
        let metadata = reader.fetch_metadata(Some(&self.topic), PATIENCE).map_err(failed)?;
        let topic = metadata.topics().iter().find(|topic| topic.name() == self.topic);
        let partitions = topic.map_or(&[][..], |topic| topic.partitions());
        if partitions.is_empty() {
            return Err(Error::Failed(format!("there is no topic `{}`", self.topic)));
        }
        let bounds = partitions.iter().map(|partition| {
            let bounds = reader.fetch_watermarks(&self.topic, partition.id(), PATIENCE);
            Ok((partition.id(), bounds.map_err(failed)?))
        });
        bounds.collect()
    }

    /// Tells of everything that is in the topic now, each partition in its order.
    fn walk(&self, mut each: impl FnMut(Found)) -> Result<(), Error> {
        let reader = self.reader()?;
        let mut waiting = self.bounds(&reader)?;
        waiting.retain(|_, (low, high)| low < high);
        let mut list = TopicPartitionList::new();
        for (&partition, &(low, _)) in &waiting {
            list.add_partition_offset(&self.topic, partition, Offset::Offset(low))
                .map_err(failed)?;
        }
        reader.assign(&list).map_err(failed)?;
        let mut heard = Instant::now();
        while !waiting.is_empty() {
            let message = match reader.poll(POLL) {
                Some(Ok(message)) => message,
                Some(Err(KafkaError::PartitionEOF(partition))) => {
                    waiting.remove(&partition);
                    continue;
                }
                Some(Err(error)) => return Err(failed(error)),
                None if heard.elapsed() > PATIENCE => {
                    return Err(Error::Failed(format!("`{}` is not read to its end", self.topic)));
                }
                None => continue,
            };
            heard = Instant::now();
            let place = Place { partition: message.partition(), offset: message.offset() };
            let Some(&(_, high)) = waiting.get(&place.partition) else { continue };
            if place.offset < high {
                each(found(place, record(&message)));
            }
            // What comes while this is read is for the next time.
            if place.offset + 1 >= high {
                waiting.remove(&place.partition);
            }
        }
        Ok(())
    }

    /// The letters that nobody has dealt with, each with all places where it stands: a letter that was
    /// put twice is one, the first of them. What `keep` gives back is kept in memory, and nothing else.
    pub fn read(
        &self,
        mut keep: impl FnMut(Stored) -> Option<Stored>,
    ) -> Result<Vec<Waiting>, Error> {
        let mut letters: BTreeMap<Place, Stored> = BTreeMap::new();
        self.walk(|found| match found {
            Found::Letter(letter) => letters.extend(keep(letter).map(|kept| (kept.place, kept))),
            // Marks stand behind their letters.
            Found::Mark(letter, _) => {
                letters.remove(&letter);
            }
        })?;
        let mut by_origin: BTreeMap<[String; 4], usize> = BTreeMap::new();
        let mut waiting: Vec<Waiting> = Vec::new();
        for (place, letter) in letters {
            let origin = letter.origin().map(str::to_owned);
            match by_origin.get(&origin) {
                Some(&at) => waiting[at].places.push(place),
                None => {
                    by_origin.insert(origin, waiting.len());
                    waiting.push(Waiting { letter, places: vec![place] });
                }
            }
        }
        Ok(waiting)
    }

    /// A message where it came from, if it is still there: for letters whose value was too large.
    pub fn original(&self, letter: &Stored) -> Result<Option<Record>, Error> {
        let reader = self.reader()?;
        let (topic, partition) = (letter.says("topic"), letter.says("partition"));
        let Ok(partition) = partition.parse::<i32>() else { return Ok(None) };
        let Ok(offset) = i64::try_from(letter.record.offset) else { return Ok(None) };
        let Ok((low, high)) = reader.fetch_watermarks(topic, partition, PATIENCE) else {
            return Ok(None);
        };
        if offset < low || offset >= high {
            return Ok(None);
        }
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(topic, partition, Offset::Offset(offset)).map_err(failed)?;
        reader.assign(&list).map_err(failed)?;
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            match reader.poll(POLL) {
                // Compaction may have taken it.
                Some(Ok(found)) => return Ok((found.offset() == offset).then(|| record(&found))),
                Some(Err(KafkaError::PartitionEOF(_))) => return Ok(None),
                Some(Err(error)) => return Err(failed(error)),
                None => {}
            }
        }
        Err(Error::Failed(format!("{topic}/{partition} is not read at {offset}")))
    }

    /// Marks letters; returns when all marks are durable.
    pub async fn mark(&self, places: &[Place], mark: Mark) -> Result<(), Error> {
        let producer: FutureProducer =
            self.options.producer().create().map_err(|error| Error::Options(error.to_string()))?;
        let sends = places.iter().map(|place| {
            let text = place.to_string();
            let headers = OwnedHeaders::new_with_capacity(2)
                .insert(Header { key: MARK, value: Some(mark.word()) })
                .insert(Header { key: MARKED, value: Some(&text) });
            // Beside its letter, so that a partition's head can be judged by itself.
            let message: FutureRecord<'_, [u8], [u8]> =
                FutureRecord::to(&self.topic).partition(place.partition).headers(headers);
            let producer = &producer;
            async move { producer.send(message, Timeout::After(PATIENCE)).await }
        });
        for sent in futures::future::join_all(sends).await {
            sent.map_err(|(error, _)| failed(error))?;
        }
        Ok(())
    }

    /// Where the head of each partition may be cut: before the first letter that is not marked.
    fn heads(&self) -> Result<BTreeMap<i32, i64>, Error> {
        let mut unmarked = BTreeSet::new();
        let mut ends: BTreeMap<i32, i64> = BTreeMap::new();
        self.walk(|found| {
            let place = match found {
                Found::Letter(letter) => {
                    unmarked.insert(letter.place);
                    letter.place
                }
                Found::Mark(letter, place) => {
                    unmarked.remove(&letter);
                    place
                }
            };
            ends.insert(place.partition, place.offset + 1);
        })?;
        // What has come since the walk stays: nobody has looked at it.
        let head = |(partition, end)| {
            let first = unmarked.iter().find(|place| place.partition == partition);
            (partition, first.map_or(end, |place| place.offset))
        };
        Ok(ends.into_iter().map(head).collect())
    }

    /// Cuts off the topic's head, as far as nothing there waits for anybody.
    pub async fn trim(&self) -> Result<(), Error> {
        let mut list = TopicPartitionList::new();
        for (partition, head) in self.heads()? {
            list.add_partition_offset(&self.topic, partition, Offset::Offset(head))
                .map_err(failed)?;
        }
        if list.count() == 0 {
            return Ok(());
        }
        let admin: AdminClient<DefaultClientContext> =
            self.options.client().create().map_err(|error| Error::Options(error.to_string()))?;
        let options = AdminOptions::new().operation_timeout(Some(PATIENCE));
        admin.delete_records(&list, &options).await.map_err(failed)?;
        Ok(())
    }
}

/// A letter that waits for somebody.
#[derive(Debug, Clone)]
pub struct Waiting {
    /// The letter, as it was put first.
    pub letter: Stored,
    /// Where it stands.
    pub places: Vec<Place>,
}

fn text(value: Option<&Bytes>) -> String {
    value.map(|bytes| String::from_utf8_lossy(bytes).into_owned()).unwrap_or_default()
}

/// Splits what stands in the topic into the message as it was and what is said of it.
fn found(place: Place, mut record: Record) -> Found {
    let last = |name: &str| record.headers.iter().rfind(|(header, _)| header == name);
    // A letter always has a reason: headers that its message came with make no mark of it.
    let reason = format!("{HEADER_PREFIX}reason");
    if last(MARK).is_some()
        && last(&reason).is_none()
        && let Some((_, value)) = last(MARKED)
        && let Ok(letter) = text(value.as_ref()).parse()
    {
        return Found::Mark(letter, place);
    }
    let mut about = BTreeMap::new();
    record.headers.retain(|(name, value)| {
        let Some(name) = name.strip_prefix(HEADER_PREFIX) else { return true };
        about.insert(name.to_owned(), text(value.as_ref()));
        false
    });
    record.offset = about.get("offset").and_then(|offset| offset.parse().ok()).unwrap_or_default();
    record.time = about.get("time").and_then(|time| Timestamp::parse(time));
    Found::Letter(Stored { place, about, record })
}
