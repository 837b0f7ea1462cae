//! Reading the topic of dead letters again: what is in it, and what became of it.
//!
//! A letter stays where it is until somebody has dealt with it. Then a *mark* is put behind it in the
//! same topic, which names its place; the topic's head is cut off where nothing but marks and marked
//! letters stand. So letters of any choice can be taken away, although topics forget from the front
//! only, and whoever is killed in between has done less, not something else.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt,
    ops::ControlFlow,
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
const MARKS_AT_ONCE: usize = 1_000;
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
    /// Which message it is, and for which view: of two letters that say the same, one was put twice. A topic that
    /// was made anew has another message at the same place, of another time.
    pub fn origin(&self) -> [&str; 5] {
        ["topic", "partition", "offset", "time", "view"].map(|name| self.says(name))
    }
    /// Whether the message was too large to be put away whole: the rest is where it came from.
    pub fn is_part(&self) -> bool {
        ["value-bytes", "key-bytes"].iter().any(|name| self.about.contains_key(*name))
    }

    /// The message as it was where it came from.
    pub fn complete(&mut self, original: Record) {
        let Record { key, value, headers, .. } = original;
        (self.record.key, self.record.value, self.record.headers) = (key, value, headers);
    }
}

/// What became of a message of which a letter is only a part.
#[derive(Debug, Clone)]
pub enum Original {
    /// It is where it came from.
    There(Record),
    /// It is not there any more.
    Gone,
    /// It came from no topic of Kafka, but from a shard of Kinesis, which is not read here.
    Elsewhere,
}

enum Found {
    Letter(Stored),
    /// Which letter it marks, and where it stands itself.
    Mark(Place, Place),
}

fn failed(error: impl fmt::Display) -> Error {
    Error::Failed(error.to_string())
}

/// The topic of dead letters, for reading. What is not async blocks: it waits for the broker.
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
        config.set("enable.partition.eof", "true");
        config.set("group.id", format!("{}-letters", self.options.group));
        config.create().map_err(|error| Error::Options(error.to_string()))
    }

    /// Where each partition begins and ends now.
    fn bounds(&self, reader: &BaseConsumer) -> Result<BTreeMap<i32, (i64, i64)>, Error> {
        let metadata = reader.fetch_metadata(Some(&self.topic), PATIENCE).map_err(failed)?;
        let topic = metadata.topics().iter().find(|topic| topic.name() == self.topic);
        let partitions = topic.map_or(&[][..], |topic| topic.partitions());
        if partitions.is_empty() {
            let why = format!("there is no topic `{}`: make it, or name another", self.topic);
            return Err(Error::Failed(why));
        }
        let bounds = partitions.iter().map(|partition| {
            let bounds = reader.fetch_watermarks(&self.topic, partition.id(), PATIENCE);
            Ok((partition.id(), bounds.map_err(failed)?))
        });
        bounds.collect()
    }

    /// Tells of everything that is in the topic now, each partition in its order, until it is enough.
    fn walk(&self, mut each: impl FnMut(Found) -> ControlFlow<()>) -> Result<(), Error> {
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
            if place.offset < high && each(found(place, record(&message))).is_break() {
                return Ok(());
            }
            // What comes while this is read is for the next time.
            if place.offset + 1 >= high {
                waiting.remove(&place.partition);
            }
        }
        Ok(())
    }

    /// Where the letters are that nobody has dealt with, and that are `wanted`: of each all its places,
    /// for one that was put twice is one letter. In the order of their first places.
    pub fn places(&self, wanted: impl Fn(&Stored) -> bool) -> Result<Vec<Vec<Place>>, Error> {
        let mut waiting: BTreeMap<Place, [String; 5]> = BTreeMap::new();
        self.walk(|found| {
            match found {
                Found::Letter(letter) => {
                    if wanted(&letter) {
                        waiting.insert(letter.place, letter.origin().map(str::to_owned));
                    }
                }
                // Marks stand behind their letters.
                Found::Mark(letter, _) => {
                    waiting.remove(&letter);
                }
            }
            ControlFlow::Continue(())
        })?;
        let mut by_origin: HashMap<[String; 5], usize> = HashMap::new();
        let mut letters: Vec<Vec<Place>> = Vec::new();
        for (place, origin) in waiting {
            let at = *by_origin.entry(origin).or_insert(letters.len());
            match letters.get_mut(at) {
                Some(places) => places.push(place),
                None => letters.push(vec![place]),
            }
        }
        Ok(letters)
    }

    /// Reads letters, each at its first place, until they take so many bytes of memory: at least one, and
    /// of each partition the first ones.
    pub fn load(&self, letters: &[Vec<Place>], bytes: usize) -> Result<Vec<Waiting>, Error> {
        let first = |places: &Vec<Place>| Some((*places.first()?, places.clone()));
        let mut wanted: BTreeMap<Place, Vec<Place>> = letters.iter().filter_map(first).collect();
        let (mut loaded, mut taken) = (Vec::new(), 0);
        if wanted.is_empty() {
            return Ok(loaded);
        }
        self.walk(|found| {
            if let Found::Letter(letter) = found
                && let Some(places) = wanted.remove(&letter.place)
            {
                taken += letter.record.bytes();
                loaded.push(Waiting { letter, places });
            }
            match taken < bytes && !wanted.is_empty() {
                true => ControlFlow::Continue(()),
                false => ControlFlow::Break(()),
            }
        })?;
        loaded.sort_by_key(|waiting| waiting.letter.place);
        Ok(loaded)
    }

    /// A message where it came from, if it is still there: for letters whose value was too large.
    pub fn original(&self, letter: &Stored) -> Result<Original, Error> {
        let (topic, partition) = (letter.says("topic"), letter.says("partition"));
        // Kafka counts its partitions; the shards of streams have names.
        let Ok(partition) = partition.parse::<i32>() else { return Ok(Original::Elsewhere) };
        let Ok(offset) = i64::try_from(letter.record.offset) else { return Ok(Original::Gone) };
        let reader = self.reader()?;
        let Ok((low, high)) = reader.fetch_watermarks(topic, partition, PATIENCE) else {
            return Ok(Original::Gone);
        };
        if offset < low || offset >= high {
            return Ok(Original::Gone);
        }
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(topic, partition, Offset::Offset(offset)).map_err(failed)?;
        reader.assign(&list).map_err(failed)?;
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            match reader.poll(POLL) {
                // Compaction may have taken it.
                Some(Ok(found)) if found.offset() == offset => {
                    return Ok(Original::There(record(&found)));
                }
                Some(Ok(_) | Err(KafkaError::PartitionEOF(_))) => return Ok(Original::Gone),
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
        for places in places.chunks(MARKS_AT_ONCE) {
            let sends = places.iter().map(|place| self.send_mark(&producer, *place, mark));
            futures::future::try_join_all(sends).await?;
        }
        Ok(())
    }

    async fn send_mark(
        &self,
        producer: &FutureProducer,
        place: Place,
        mark: Mark,
    ) -> Result<(), Error> {
        let text = place.to_string();
        let headers = OwnedHeaders::new_with_capacity(2)
            .insert(Header { key: MARK, value: Some(mark.word()) })
            .insert(Header { key: MARKED, value: Some(&text) });
        // Beside its letter, so that a partition's head can be judged by itself.
        let message: FutureRecord<'_, [u8], [u8]> =
            FutureRecord::to(&self.topic).partition(place.partition).headers(headers);
        let sent = producer.send(message, Timeout::After(PATIENCE)).await;
        sent.map(|_| ()).map_err(|(error, _)| failed(error))
    }

    /// How much of each partition's head nobody waits for any more: all before the first letter that is
    /// not marked.
    pub fn heads(&self) -> Result<Heads, Error> {
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
            ControlFlow::Continue(())
        })?;
        // What has come since the walk stays: nobody has looked at it.
        let head = |(partition, end)| {
            let first = unmarked.iter().find(|place| place.partition == partition);
            (partition, first.map_or(end, |place| place.offset))
        };
        Ok(Heads(ends.into_iter().map(head).collect()))
    }

    /// Cuts off the heads. Asks for the right to delete records.
    pub async fn cut(&self, heads: &Heads) -> Result<(), Error> {
        if heads.0.is_empty() {
            return Ok(());
        }
        let mut list = TopicPartitionList::new();
        for (&partition, &head) in &heads.0 {
            list.add_partition_offset(&self.topic, partition, Offset::Offset(head))
                .map_err(failed)?;
        }
        let admin: AdminClient<DefaultClientContext> =
            self.options.client().create().map_err(|error| Error::Options(error.to_string()))?;
        let options = AdminOptions::new().operation_timeout(Some(PATIENCE));
        let cut = admin.delete_records(&list, &options).await.map_err(failed)?;
        cut.elements().iter().try_for_each(|one| one.error()).map_err(failed)
    }
}

/// Where the heads of a topic's partitions end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heads(BTreeMap<i32, i64>);

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
    // What is said of it stands last and begins with the reason. Headers of that kind before are the
    // message's own: it was a letter once, and somebody sent it anew.
    let ours = record.headers.iter().rposition(|(header, _)| *header == reason);
    let said = record.headers.split_off(ours.unwrap_or(record.headers.len()));
    let about: BTreeMap<String, String> = said
        .iter()
        .filter_map(|(name, value)| {
            Some((name.strip_prefix(HEADER_PREFIX)?.to_owned(), text(value.as_ref())))
        })
        .collect();
    record.offset = about.get("offset").and_then(|offset| offset.parse().ok()).unwrap_or_default();
    record.time = about.get("time").and_then(|time| Timestamp::parse(time));
    Found::Letter(Stored { place, about, record })
}
