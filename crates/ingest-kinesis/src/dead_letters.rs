//! The stream of dead letters, where there is no Kafka.

use async_trait::async_trait;
use aws_sdk_kinesis::{
    Client,
    primitives::Blob,
    types::{PutRecordsRequestEntry, PutRecordsResultEntry},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use trivium_ingest::port::{DeadLetters, Letter, LetterError};

use crate::{
    Error, KinesisOptions,
    client::{kinesis, told},
    reader::pause,
};

/// What every stream takes of one record, its partition key included.
const RECORD_BYTES_MAX: usize = 1 << 20;
/// What one request takes.
const REQUEST_BYTES_MAX: usize = 5 << 20;
const REQUEST_RECORDS_MAX: usize = 500;

/// Puts letters into a stream, as JSON: `reason`, `message`, `field`, `help`, `view`, `topic`, `partition`,
/// `position`, `time`, `first_seen`, and the message itself, `key` and `value` in base64, `headers` as
/// pairs of a name and base64.
#[derive(Debug)]
pub struct DeadLetterStream {
    client: Client,
    stream: String,
}

impl DeadLetterStream {
    /// Into this stream, which has to be there.
    pub fn new(options: &KinesisOptions, stream: &str) -> Result<Self, Error> {
        options.check()?;
        Ok(Self { client: kinesis(options), stream: stream.to_owned() })
    }

    /// Puts as many as one request takes; gives back those that were not taken.
    async fn put_some(
        &self,
        entries: Vec<PutRecordsRequestEntry>,
    ) -> Result<Vec<PutRecordsRequestEntry>, LetterError> {
        let failed = |why: String| LetterError(format!("stream `{}`: {why}", self.stream));
        let request =
            self.client.put_records().stream_name(&self.stream).set_records(Some(entries.clone()));
        let answer = request.send().await.map_err(|error| failed(told(&error)))?;
        if answer.records.len() != entries.len() {
            return Err(failed("the answer is not one of all records".to_owned()));
        }
        let refused = |result: &PutRecordsResultEntry| result.error_code.is_some();
        let results = entries.into_iter().zip(&answer.records);
        let left: Vec<_> =
            results.filter(|(_, result)| refused(result)).map(|(entry, _)| entry).collect();
        let taken = answer.records.len() - left.len();
        match answer.records.iter().find(|result| refused(result)) {
            // Nothing moves: the lane pauses, and puts them again.
            Some(result) if taken == 0 => {
                let code = result.error_code.as_deref().unwrap_or_default();
                Err(failed(format!(
                    "{code}: {}",
                    result.error_message.as_deref().unwrap_or_default()
                )))
            }
            _ => Ok(left),
        }
    }
}

fn bytes_of(entry: &PutRecordsRequestEntry) -> usize {
    entry.data.as_ref().len() + entry.partition_key.as_ref().map_or(0, String::len)
}

/// A letter as a record; a value that a record cannot hold is left out, then the key, then headers, and their
/// lengths are said.
fn entry(letter: &Letter) -> Result<PutRecordsRequestEntry, LetterError> {
    let key = format!("{}/{}", letter.partition.name, letter.record.offset);
    let mut content = content(letter);
    let mut data = content.to_string();
    // An aggregate's keys have no bound of Kinesis' own.
    for (field, bytes) in [("value", "value_bytes"), ("key", "key_bytes"), ("headers", "")] {
        if data.len() + key.len() <= RECORD_BYTES_MAX {
            break;
        }
        if let Some(fields) = content.as_object_mut() {
            fields.remove(field);
            let taken = match field {
                "value" => letter.record.value.as_ref(),
                "key" => letter.record.key.as_ref(),
                _ => None,
            };
            if let Some(taken) = taken {
                fields.insert(bytes.to_owned(), json!(taken.len()));
            }
        }
        data = content.to_string();
    }
    PutRecordsRequestEntry::builder()
        .partition_key(key)
        .data(Blob::new(data))
        .build()
        .map_err(|error| LetterError(error.to_string()))
}

fn content(letter: &Letter) -> Value {
    let (record, poison) = (&letter.record, &letter.poison);
    let base64 = |bytes: &bytes::Bytes| STANDARD.encode(bytes);
    let headers: Vec<Value> = record
        .headers
        .iter()
        .map(|(name, value)| json!([name, value.as_ref().map(base64)]))
        .collect();
    json!({
        "reason": poison.reason.word(),
        "message": poison.message,
        "field": poison.field,
        "help": poison.help,
        "view": letter.view.as_ref().map(ToString::to_string),
        "topic": &*letter.partition.topic,
        "partition": &*letter.partition.name,
        "position": record.offset,
        "time": record.time.map(|time| time.to_string()),
        "first_seen": letter.first_seen.to_string(),
        "key": record.key.as_ref().map(base64),
        "headers": headers,
        "value": record.value.as_ref().map(base64),
    })
}

#[async_trait]
impl DeadLetters for DeadLetterStream {
    async fn put(&self, letters: Vec<Letter>) -> Result<(), LetterError> {
        let mut waiting = letters.iter().map(entry).collect::<Result<Vec<_>, _>>()?;
        while !waiting.is_empty() {
            let mut bytes = 0;
            let fits = |entry: &&PutRecordsRequestEntry| {
                bytes += bytes_of(entry);
                bytes <= REQUEST_BYTES_MAX
            };
            let count = waiting.iter().take(REQUEST_RECORDS_MAX).take_while(fits).count().max(1);
            let rest = waiting.split_off(count);
            waiting = self.put_some(waiting).await?;
            if !waiting.is_empty() {
                tokio::time::sleep(pause(1)).await;
            }
            waiting.extend(rest);
        }
        Ok(())
    }
}
