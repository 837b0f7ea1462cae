//! The topic of dead letters.

use std::time::Duration;

use async_trait::async_trait;
use futures::future::join_all;
use rdkafka::{
    error::{KafkaError, RDKafkaErrorCode},
    message::{Header, OwnedHeaders},
    producer::{FutureProducer, FutureRecord},
    util::Timeout,
};
use trivium_ingest::port::{DeadLetters, Letter, LetterError};

use crate::{Error, KafkaOptions};

/// How the headers begin that say what a letter is: `trivium-dlq-reason`, …
pub const HEADER_PREFIX: &str = "trivium-dlq-";

/// Puts letters into a topic: key, value and headers as they were, and beside them what was wrong.
pub struct DeadLetterTopic {
    producer: FutureProducer,
    topic: String,
}

impl DeadLetterTopic {
    /// Into this topic, which has to be there.
    pub fn new(options: &KafkaOptions, topic: &str) -> Result<Self, Error> {
        let producer =
            options.producer().create().map_err(|error| Error::Options(error.to_string()))?;
        Ok(Self { producer, topic: topic.to_owned() })
    }
}

/// How much of its message goes along with a letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    /// Key, value and headers.
    Whole,
    /// The value is left where it came from.
    WithoutValue,
    /// Key and headers are, too: only what is wrong is said, and where the message is.
    Place,
}

impl Extent {
    /// The most of a message that goes along in so many bytes.
    pub(crate) fn within(letter: &Letter, bytes: usize) -> Self {
        let record = &letter.record;
        let value = record.value.as_ref().map_or(0, |value| value.len());
        match record.bytes() {
            all if all <= bytes => Self::Whole,
            all if all - value <= bytes => Self::WithoutValue,
            _ => Self::Place,
        }
    }

    pub(crate) fn key(self, letter: &Letter) -> Option<&[u8]> {
        letter.record.key.as_deref().filter(|_| self != Self::Place)
    }

    pub(crate) fn value(self, letter: &Letter) -> Option<&[u8]> {
        letter.record.value.as_deref().filter(|_| self == Self::Whole)
    }
}

/// What a letter says of itself, by the name behind the prefix.
fn about(letter: &Letter) -> Vec<(&'static str, String)> {
    let poison = &letter.poison;
    let view = letter.view.as_ref().map(ToString::to_string).unwrap_or_default();
    let time = letter.record.time.map(|time| time.to_string()).unwrap_or_default();
    [
        ("reason", poison.reason.word().to_owned()),
        ("message", poison.message.clone()),
        ("field", poison.field.clone()),
        ("help", poison.help.clone()),
        ("view", view),
        ("topic", letter.partition.topic.to_string()),
        ("partition", letter.partition.name.to_string()),
        ("offset", letter.record.offset.to_string()),
        ("time", time),
        ("first-seen", letter.first_seen.to_string()),
    ]
    .into_iter()
    .filter(|(_, value)| !value.is_empty())
    .collect()
}

/// The message's headers, and beside them what is wrong with it.
pub(crate) fn headers(letter: &Letter, extent: Extent) -> OwnedHeaders {
    let record = &letter.record;
    let mut about = about(letter);
    if extent != Extent::Whole
        && let Some(value) = &record.value
    {
        about.push(("value-bytes", value.len().to_string()));
    }
    let own = match extent {
        Extent::Place => {
            let key = record.key.as_ref().map_or(0, |key| key.len());
            about.push(("key-bytes", key.to_string()));
            &[]
        }
        _ => &record.headers[..],
    };
    let mut headers = OwnedHeaders::new_with_capacity(own.len() + about.len());
    for (key, value) in own {
        headers = headers.insert(Header { key, value: value.as_deref() });
    }
    for (name, value) in &about {
        let key = format!("{HEADER_PREFIX}{name}");
        headers = headers.insert(Header { key: &key, value: Some(value) });
    }
    headers
}

impl DeadLetterTopic {
    async fn send(&self, letter: &Letter, extent: Extent) -> Result<(), KafkaError> {
        let headers = headers(letter, extent);
        let mut message: FutureRecord<'_, [u8], [u8]> =
            FutureRecord::to(&self.topic).headers(headers);
        if let Some(key) = extent.key(letter) {
            message = message.key(key);
        }
        if let Some(value) = extent.value(letter) {
            message = message.payload(value);
        }
        let queue_full = Timeout::After(Duration::from_secs(10));
        self.producer.send(message, queue_full).await.map(|_| ()).map_err(|(error, _)| error)
    }
}

#[async_trait]
impl DeadLetters for DeadLetterTopic {
    async fn put(&self, letters: Vec<Letter>) -> Result<(), LetterError> {
        let sends = letters.iter().map(|letter| async move {
            let mut sent = self.send(letter, Extent::Whole).await;
            // The topic takes no message of this size: its place says where the rest still is.
            for less in [Extent::WithoutValue, Extent::Place] {
                match sent.as_ref().err().and_then(KafkaError::rdkafka_error_code) {
                    Some(RDKafkaErrorCode::MessageSizeTooLarge) => {
                        sent = self.send(letter, less).await;
                    }
                    _ => break,
                }
            }
            sent
        });
        for sent in join_all(sends).await {
            sent.map_err(|error| LetterError(format!("topic `{}`: {error}", self.topic)))?;
        }
        Ok(())
    }
}
