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
use trivium_ingest_kafka::LetterBox;
pub use trivium_ingest_kafka::{Mark, Place, Stored, Waiting};
use trivium_model::Timestamp;
use trivium_node::Followed;
use trivium_runtime::{Kind, Shutdown, SystemClock};

use crate::{
    config::Config,
    run::{client_options, of_kafka, routes, schemas},
};

/// Letters that are replayed at once: that many, or so many bytes of them, are in memory.
const ROUND_LETTERS: usize = 10_000;
const ROUND_BYTES: usize = 64 << 20;

/// The words of all reasons.
pub fn reasons() -> Vec<&'static str> {
    Reason::ALL.map(Reason::word).to_vec()
}

/// Which letters are meant; what is left out does not matter.
#[derive(Debug, Clone, Default)]
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
    /// Whether it says anything at all.
    pub fn is_all(&self) -> bool {
        let Self { places, reasons, views, topics, partition, since, until } = self;
        [places.is_empty(), reasons.is_empty(), views.is_empty(), topics.is_empty()] == [true; 4]
            && partition.is_none()
            && since.is_none()
            && until.is_none()
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

fn letter_box(config: &Config) -> Arc<LetterBox> {
    Arc::new(LetterBox::new(&config.kafka, &config.dead_letters))
}

/// The letters that wait for somebody, as they stand. Without `values` their values are left out.
pub async fn list(
    config: &Config,
    filter: &Filter,
    values: bool,
) -> Result<Vec<Waiting>, ApiError> {
    let (letters, filter) = (letter_box(config), filter.clone());
    let keep = move |mut letter: Stored| {
        if !values {
            let bytes = letter.record.value.take().map(|value| value.len().to_string());
            if let Some(bytes) = bytes {
                letter.about.insert("bytes".to_owned(), bytes);
            }
        }
        filter.takes(&letter).then_some(letter)
    };
    blocking(move || letters.read(keep)).await
}

/// A letter that stays.
#[derive(Debug, Clone)]
pub struct Left {
    /// The letter.
    pub waiting: Waiting,
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
    let parts = Parts {
        routes: Arc::new(ArcSwap::from_pointee(routes(config, &definitions))),
        schemas: Arc::new(Schemas::new(schemas(config)?)),
        door: Arc::new(door),
        letters: Arc::new(Nowhere),
        clock: Arc::new(SystemClock),
        options: config.lane.clone(),
    };
    let letters = letter_box(config);
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
    letters.trim().await.map_err(of_kafka)?;
    Ok(outcome)
}

async fn read_round(
    letters: &Arc<LetterBox>,
    filter: &Filter,
    done: &BTreeMap<i32, i64>,
) -> Result<Vec<Waiting>, ApiError> {
    let (filter, done, letters) = (filter.clone(), done.clone(), Arc::clone(letters));
    let (mut count, mut bytes) = (0, 0);
    let keep = move |letter: Stored| {
        let is_done =
            done.get(&letter.place.partition).is_some_and(|behind| letter.place.offset <= *behind);
        if is_done || count >= ROUND_LETTERS || bytes >= ROUND_BYTES || !filter.takes(&letter) {
            return None;
        }
        count += 1;
        bytes += letter.record.bytes();
        Some(letter)
    };
    blocking(move || letters.read(keep)).await
}

async fn take_round(
    parts: &Parts,
    letters: &Arc<LetterBox>,
    round: Vec<Waiting>,
    stop: &Shutdown,
    outcome: &mut Outcome,
) -> Result<(), ApiError> {
    let mut by_source: BTreeMap<Partition, Vec<Waiting>> = BTreeMap::new();
    for mut waiting in round {
        let letter = &mut waiting.letter;
        if let Some(bytes) = letter.left_behind() {
            let (reader, asked) = (Arc::clone(letters), letter.clone());
            let Some(original) = blocking(move || reader.original(&asked)).await? else {
                let why = format!("its value of {bytes} bytes is not where it came from any more");
                outcome.left.push(Left { waiting, why });
                continue;
            };
            letter.record.value = original.value;
        }
        let partition =
            Partition { topic: letter.says("topic").into(), name: letter.says("partition").into() };
        by_source.entry(partition).or_default().push(waiting);
    }
    let mut places = Vec::new();
    for (partition, waiting) in by_source {
        let records = waiting.iter().map(|each| each.letter.record.clone()).collect();
        let replayed = match replay(parts, partition, records, stop).await {
            Ok(replayed) => replayed,
            Err(trivium_ingest::Stopped::Asked) => {
                let message = "the replay was stopped; what it did is done".to_owned();
                return Err(ApiError::new(Kind::Unavailable, message).help("run it again"));
            }
            Err(stopped) => {
                let why = stopped.to_string();
                let left = waiting.into_iter().map(|waiting| Left { waiting, why: why.clone() });
                outcome.left.extend(left);
                continue;
            }
        };
        outcome.applied += replayed.report.applied;
        for waiting in waiting {
            match replayed.refused.iter().find(|refused| is_same(refused, &waiting.letter)) {
                Some(refused) => {
                    outcome.left.push(Left { waiting, why: refused.poison.to_string() });
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

/// Whether what was refused now is this letter. One of a message that named no view that is known is
/// about the message.
fn is_same(refused: &Letter, letter: &Stored) -> bool {
    let view = refused.view.as_ref().map(ToString::to_string);
    refused.record.offset == letter.record.offset
        && (letter.says("view").is_empty() || view.is_none_or(|view| view == letter.says("view")))
}

/// Takes letters away for good; gives how many.
pub async fn discard(config: &Config, filter: &Filter) -> Result<usize, ApiError> {
    let waiting = list(config, filter, false).await?;
    let places: Vec<Place> = waiting.iter().flat_map(|each| each.places.clone()).collect();
    let letters = letter_box(config);
    letters.mark(&places, Mark::Dropped).await.map_err(of_kafka)?;
    letters.trim().await.map_err(of_kafka)?;
    Ok(waiting.len())
}
