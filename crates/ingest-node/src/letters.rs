//! Dead letters for operators: listed, replayed, dropped. `trivium dlq` is the command around it.

use std::{collections::BTreeMap, sync::Arc};

use arc_swap::ArcSwap;
use tokio::task::spawn_blocking;
use trivium_api::ApiError;
use trivium_client::Client;
use trivium_ingest::{
    Parts, Reason, Schemas,
    port::{DeadLetters, Letter, LetterError, Partition},
    replay,
};
use trivium_ingest_kafka::{LetterBox, Original};
pub use trivium_ingest_kafka::{Mark, Place, Stored, Waiting};
use trivium_model::Timestamp;
use trivium_node::Followed;
use trivium_runtime::{Kind, Shutdown, SystemClock};

use crate::{
    config::Config,
    run::client_options,
    worker::{of_kafka, routes, schemas, systems},
};

/// Letters that are replayed at once: that many, or so many bytes of them, are in memory.
const ROUND_LETTERS: usize = 10_000;
const ROUND_BYTES: usize = 64 << 20;

/// The words of all reasons.
pub fn reasons() -> Vec<&'static str> {
    Reason::ALL.map(Reason::word).to_vec()
}

/// Which letters are meant; what is left out does not matter.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Filter {
    /// Where they stand.
    pub places: Vec<Place>,
    /// Why they are dead.
    pub reasons: Vec<String>,
    /// Whose rows they are not: `flights/airport_live@1`.
    pub views: Vec<String>,
    /// Where they came from.
    pub topics: Vec<String>,
    /// From which partition there.
    pub partition: Option<String>,
    /// Met first at this instant, or later.
    pub since: Option<Timestamp>,
    /// Met first before this instant.
    pub until: Option<Timestamp>,
}

impl Filter {
    /// Whether it lets all letters through.
    pub fn is_all(&self) -> bool {
        *self == Self::default()
    }

    fn takes(&self, letter: &Stored) -> bool {
        let among = |allowed: &[String], name: &str| {
            allowed.is_empty() || allowed.iter().any(|each| each == letter.says(name))
        };
        let seen = || Timestamp::parse(letter.says("first-seen"));
        (self.places.is_empty() || self.places.contains(&letter.place))
            && among(&self.reasons, "reason")
            && among(&self.views, "view")
            && among(&self.topics, "topic")
            && self.partition.as_ref().is_none_or(|number| number == letter.says("partition"))
            && self.since.is_none_or(|since| seen().is_some_and(|seen| seen >= since))
            && self.until.is_none_or(|until| seen().is_some_and(|seen| seen < until))
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, trivium_ingest_kafka::Error> + Send + 'static,
) -> Result<T, ApiError> {
    let done = spawn_blocking(work).await;
    done.map_err(|error| ApiError::internal(error.to_string()))?.map_err(of_kafka)
}

fn letter_box(config: &Config) -> Result<Arc<LetterBox>, ApiError> {
    let Some(kafka) = &config.work.kafka else {
        let message = "this worker's dead letters are in no topic of Kafka";
        let help =
            "records of a stream are read by Kinesis' own tools: docs/streams.md, \"Kinesis\"";
        return Err(ApiError::new(Kind::FailedPrecondition, message).at("kafka").help(help));
    };
    Ok(Arc::new(LetterBox::new(&kafka.options, &kafka.dead_letters)))
}

/// How many letters wait for somebody.
pub async fn count(config: &Config, filter: &Filter) -> Result<usize, ApiError> {
    places(config, filter).await.map(|letters| letters.len())
}

async fn places(config: &Config, filter: &Filter) -> Result<Vec<Vec<Place>>, ApiError> {
    let (letters, filter) = (letter_box(config)?, filter.clone());
    blocking(move || letters.places(|letter| filter.takes(letter))).await
}

/// The first letters that wait for somebody, at most so many, and how many there are in all.
pub async fn list(
    config: &Config,
    filter: &Filter,
    limit: usize,
) -> Result<(Vec<Waiting>, usize), ApiError> {
    let mut waiting = places(config, filter).await?;
    let total = waiting.len();
    waiting.truncate(limit);
    let letters = letter_box(config)?;
    let listed = blocking(move || letters.load(&waiting, usize::MAX)).await?;
    Ok((listed, total))
}

/// Cuts off what nobody waits for; why not, where that could not be done. The letters are dealt with all
/// the same.
async fn cut(letters: &Arc<LetterBox>) -> Result<Option<String>, ApiError> {
    let asked = Arc::clone(letters);
    let heads = blocking(move || asked.heads()).await?;
    Ok(letters.cut(&heads).await.err().map(|error| error.to_string()))
}

/// A letter that stays.
#[derive(Debug, Clone)]
pub struct Left {
    /// Where.
    pub place: Place,
    /// Why.
    pub why: String,
}

/// What a replay did.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// Letters that are rows now, or behind newer ones, and are gone from the dead letters.
    pub replayed: usize,
    /// Of their rows, those that are now the newest of their entity.
    pub applied: u64,
    /// Those that stay.
    pub left: Vec<Left>,
    /// Why the bytes of those that are gone are still in the topic, if they are.
    pub uncut: Option<String>,
}

/// Nothing is put away by a replay.
struct Nowhere;

#[async_trait::async_trait]
impl DeadLetters for Nowhere {
    async fn put(&self, _: Vec<Letter>) -> Result<(), LetterError> {
        Err(LetterError("a replay puts nothing away".to_owned()))
    }
}

/// Reads the letters' messages once more, by the definitions as they are now, and writes their rows. Those
/// that are rows now are gone from the dead letters afterwards. A second time changes nothing.
pub async fn replay_letters(
    config: &Config,
    filter: &Filter,
    stop: &Shutdown,
) -> Result<Outcome, ApiError> {
    let definitions = Followed::begin(&config.registry).await?.watch().current();
    let door = Client::connect_with(&config.serving, client_options(config)?).await;
    let door = door.map_err(|error| {
        ApiError::new(Kind::Unavailable, error.to_string()).at("serving.url").help("start serving")
    })?;
    let (schemas, door) = (Arc::new(Schemas::new(schemas(&config.work)?)), Arc::new(door));
    let parts = systems(&config.work).into_iter().map(|(system, payloads)| Parts {
        routes: Arc::new(ArcSwap::from_pointee(routes(system, &payloads, &definitions))),
        schemas: Arc::clone(&schemas),
        door: Arc::<Client>::clone(&door),
        letters: Arc::new(Nowhere),
        clock: Arc::new(SystemClock),
        options: config.work.lane.clone(),
    });
    let parts: Vec<Parts> = parts.collect();
    let letters = letter_box(config)?;
    let mut outcome = Outcome::default();
    // Behind which place each partition of the letters' topic is still to be replayed.
    let mut done: BTreeMap<i32, i64> = BTreeMap::new();
    loop {
        let round = read_round(&letters, filter, &done).await?;
        if round.is_empty() {
            break;
        }
        for waiting in &round {
            let Place { partition, offset } = waiting.letter.place;
            let behind = done.entry(partition).or_insert(offset);
            *behind = (*behind).max(offset);
        }
        take_round(&parts, &letters, round, stop, &mut outcome).await?;
    }
    outcome.uncut = cut(&letters).await?;
    Ok(outcome)
}

async fn read_round(
    letters: &Arc<LetterBox>,
    filter: &Filter,
    done: &BTreeMap<i32, i64>,
) -> Result<Vec<Waiting>, ApiError> {
    let (filter, done, letters) = (filter.clone(), done.clone(), Arc::clone(letters));
    let is_next = move |letter: &Stored| {
        let behind = done.get(&letter.place.partition);
        behind.is_none_or(|behind| letter.place.offset > *behind) && filter.takes(letter)
    };
    blocking(move || {
        let mut places = letters.places(is_next)?;
        places.truncate(ROUND_LETTERS);
        letters.load(&places, ROUND_BYTES)
    })
    .await
}

async fn take_round(
    systems: &[Parts],
    letters: &Arc<LetterBox>,
    round: Vec<Waiting>,
    stop: &Shutdown,
    outcome: &mut Outcome,
) -> Result<(), ApiError> {
    let mut by_source: BTreeMap<Partition, Vec<Waiting>> = BTreeMap::new();
    for mut waiting in round {
        let letter = &mut waiting.letter;
        if letter.is_part() {
            let (reader, asked) = (Arc::clone(letters), letter.clone());
            let original = blocking(move || reader.original(&asked)).await?;
            if let Err(why) = whole(letter, original) {
                outcome.left.push(Left { place: waiting.letter.place, why });
                continue;
            }
        }
        let partition =
            Partition { topic: letter.says("topic").into(), name: letter.says("partition").into() };
        by_source.entry(partition).or_default().push(waiting);
    }
    let mut places = Vec::new();
    for (partition, waiting) in by_source {
        // A topic is read by the system that has views of it; of Kafka's there may be none yet.
        let has_views = |parts: &&Parts| !parts.routes.load().views_of(&partition.topic).is_empty();
        let Some(parts) = systems.iter().find(has_views).or(systems.first()) else { continue };
        // Another view of the topic may take the message; that says nothing of the one whose letter it is.
        let views: Vec<String> = parts
            .routes
            .load()
            .views_of(&partition.topic)
            .iter()
            .map(ToString::to_string)
            .collect();
        let is_read = |one: &Waiting| {
            let view = one.letter.says("view");
            view.is_empty() || views.iter().any(|known| known == view)
        };
        let (waiting, others): (Vec<Waiting>, Vec<Waiting>) =
            waiting.into_iter().partition(is_read);
        outcome.left.extend(others.into_iter().map(|one| {
            let view = one.letter.says("view");
            let why = format!("`{view}` takes no rows from `{}`: it has windows over it, is not served online, or is gone", partition.topic);
            Left { place: one.letter.place, why }
        }));
        if waiting.is_empty() {
            continue;
        }
        let records = waiting.iter().map(|each| each.letter.record.clone()).collect();
        let replayed = match replay(parts, partition, records, stop).await {
            Ok(replayed) => replayed,
            Err(trivium_ingest::Stopped::Asked) => {
                let message = "the replay was stopped; what it did is done".to_owned();
                return Err(ApiError::new(Kind::Unavailable, message).help("run it again"));
            }
            Err(stopped) => {
                let why = stopped.to_string();
                let places = waiting.iter().map(|waiting| waiting.letter.place);
                outcome.left.extend(places.map(|place| Left { place, why: why.clone() }));
                continue;
            }
        };
        outcome.applied += replayed.report.applied;
        for waiting in waiting {
            match replayed.refused.iter().find(|refused| is_same(refused, &waiting.letter)) {
                Some(refused) => {
                    let why = refused.poison.to_string();
                    outcome.left.push(Left { place: waiting.letter.place, why });
                }
                None => {
                    outcome.replayed += 1;
                    places.extend(waiting.places);
                }
            }
        }
    }
    letters.mark(&places, Mark::Replayed).await.map_err(of_kafka)
}

/// Makes a letter that is only a part whole; or says why it cannot be.
fn whole(letter: &mut Stored, original: Original) -> Result<(), String> {
    match original {
        Original::There(record) => {
            letter.complete(record);
            Ok(())
        }
        Original::Gone => {
            Err("it was too large to be put away whole, and is not where it came from any more"
                .to_owned())
        }
        Original::Elsewhere => Err(format!(
            "it was too large to be put away whole, and stands in the shard `{}` of Kinesis' stream `{}`, from which nothing is replayed; while the stream keeps it, send it to the stream anew",
            letter.says("partition"),
            letter.says("topic"),
        )),
    }
}

/// Whether what was refused now is this letter. One of a message that named no view that is known is
/// about the message.
fn is_same(refused: &Letter, letter: &Stored) -> bool {
    let view = refused.view.as_ref().map(ToString::to_string);
    refused.record.offset == letter.record.offset
        && (letter.says("view").is_empty() || view.is_none_or(|view| view == letter.says("view")))
}

/// Takes letters away for good; gives how many, and why their bytes are still in the topic, if they are.
pub async fn discard(
    config: &Config,
    filter: &Filter,
) -> Result<(usize, Option<String>), ApiError> {
    let waiting = places(config, filter).await?;
    let places: Vec<Place> = waiting.iter().flatten().copied().collect();
    let letters = letter_box(config)?;
    letters.mark(&places, Mark::Dropped).await.map_err(of_kafka)?;
    Ok((waiting.len(), cut(&letters).await?))
}
