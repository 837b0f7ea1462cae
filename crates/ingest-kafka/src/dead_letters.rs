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

impl DeadLetterTopic {
    async fn send(&self, letter: &Letter, value: Option<&[u8]>) -> Result<(), KafkaError> {
        let record = &letter.record;
        let mut about = about(letter);
        if value.is_none()
            && let Some(value) = &record.value
        {
            about.push(("value-bytes", value.len().to_string()));
        }
        let mut headers = OwnedHeaders::new_with_capacity(record.headers.len() + about.len());
        for (key, value) in &record.headers {
            headers = headers.insert(Header { key, value: value.as_deref() });
        }
        for (name, value) in &about {
            let key = format!("{HEADER_PREFIX}{name}");
            headers = headers.insert(Header { key: &key, value: Some(value) });
        }
        let mut message: FutureRecord<'_, [u8], [u8]> =
            FutureRecord::to(&self.topic).headers(headers);
        if let Some(key) = &record.key {
            message = message.key(&key[..]);
        }
        if let Some(value) = value {
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
            let sent = self.send(letter, letter.record.value.as_deref()).await;
            match sent.as_ref().err().and_then(KafkaError::rdkafka_error_code) {
                // The topic takes no message of this size: its place says where the value still is.
                Some(RDKafkaErrorCode::MessageSizeTooLarge) if letter.record.value.is_some() => {
                    self.send(letter, None).await
                }
                _ => sent,
            }
        });
        for sent in join_all(sends).await {
            sent.map_err(|error| LetterError(format!("topic `{}`: {error}", self.topic)))?;
        }
        Ok(())
    }
}
