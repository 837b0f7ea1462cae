//! The producer: rows, states, dead letters and offsets, all of them or none.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use rdkafka::{
    ClientContext, Message as _, TopicPartitionList,
    consumer::ConsumerGroupMetadata,
    error::{KafkaError, RDKafkaErrorCode},
    message::{DeliveryResult, OwnedHeaders},
    producer::{BaseProducer, BaseRecord, Producer as _, ProducerContext},
};

use super::Job;
use crate::Error;

/// After so long without an end Kafka takes a transaction back: those of a worker that died keep
/// readers waiting for so long, where no other takes its name.
const TRANSACTION: Duration = Duration::from_secs(15);
const DELIVERY: Duration = Duration::from_secs(10);
const PATIENCE: Duration = Duration::from_secs(30);

/// Where records went: behind the last one of each partition of the changelog.
#[derive(Default)]
struct Delivered {
    changelog: String,
    ends: Mutex<HashMap<i32, i64>>,
    failed: Mutex<Option<String>>,
}

impl ClientContext for Delivered {}

impl ProducerContext for Delivered {
    type DeliveryOpaque = ();
    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        match result {
            Ok(message) if message.topic() == self.changelog => {
                let mut ends = self.ends.lock().unwrap_or_else(PoisonError::into_inner);
                let end = ends.entry(message.partition()).or_default();
                *end = (*end).max(message.offset() + 1);
            }
            Ok(_) => {}
            Err((error, message)) => {
                let why = format!("a record for `{}` is not taken: {error}", message.topic());
                *self.failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(why);
            }
        }
    }
}

/// A record that becomes readable with all others of its transaction.
pub(super) struct Sent<'r> {
    pub topic: &'r str,
    /// By its key, where it is none.
    pub partition: Option<i32>,
    pub key: Option<&'r [u8]>,
    pub value: Option<&'r [u8]>,
    pub headers: Option<OwnedHeaders>,
}

pub(super) struct Transactions {
    producer: BaseProducer<Delivered>,
}

fn failed(what: &str, error: &KafkaError) -> Error {
    Error::Failed(format!("{what}: {error}"))
}

impl Transactions {
    /// Ends what another producer of this name has under way.
    pub fn begin(job: &Job) -> Result<Self, Error> {
        let millis = |time: Duration| time.as_millis().to_string();
        let mut config = job.parts.kafka.producer();
        config
            .set("transactional.id", &job.transactional_id)
            .set("transaction.timeout.ms", millis(TRANSACTION))
            .set("message.timeout.ms", millis(DELIVERY))
            // As Java's producers and Flink choose partitions by key.
            .set("partitioner", "murmur2_random");
        let context = Delivered { changelog: job.changelog.clone(), ..Delivered::default() };
        let producer: BaseProducer<Delivered> =
            config.create_with_context(context).map_err(|e| Error::Options(e.to_string()))?;
        producer.init_transactions(PATIENCE).map_err(|e| failed("no transactions", &e))?;
        Ok(Self { producer })
    }

    /// One transaction; gives where the changelog's partitions end behind it. An error leaves nothing
    /// that can be read, or leaves it unknown: then the group's offset tells.
    pub fn commit<'r>(
        &self,
        records: impl Iterator<Item = Sent<'r>>,
        offsets: &TopicPartitionList,
        group: &ConsumerGroupMetadata,
    ) -> Result<HashMap<i32, i64>, Error> {
        let context = self.producer.context();
        context.ends.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.producer.begin_transaction().map_err(|e| failed("no transaction", &e))?;
        for record in records {
            self.send(record)?;
        }
        self.producer
            .send_offsets_to_transaction(offsets, group, PATIENCE)
            .map_err(|e| failed("the group's offsets are not taken", &e))?;
        if let Err(error) = self.producer.commit_transaction(PATIENCE) {
            let why = context.failed.lock().unwrap_or_else(PoisonError::into_inner).take();
            let why = why.map_or_else(String::new, |why| format!("; {why}"));
            return Err(Error::Failed(format!("the transaction is not committed: {error}{why}")));
        }
        Ok(std::mem::take(&mut *context.ends.lock().unwrap_or_else(PoisonError::into_inner)))
    }

    fn send(&self, sent: Sent<'_>) -> Result<(), Error> {
        let mut record: BaseRecord<'_, [u8], [u8]> = BaseRecord::to(sent.topic);
        if let Some(partition) = sent.partition {
            record = record.partition(partition);
        }
        if let Some(key) = sent.key {
            record = record.key(key);
        }
        if let Some(value) = sent.value {
            record = record.payload(value);
        }
        if let Some(headers) = sent.headers {
            record = record.headers(headers);
        }
        loop {
            match self.producer.send(record) {
                Ok(()) => break,
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                    record = back;
                    self.producer.poll(Duration::from_millis(50));
                }
                Err((error, _)) => return Err(failed("a record is not taken", &error)),
            }
        }
        // Delivery reports are as many as records.
        self.producer.poll(Duration::ZERO);
        Ok(())
    }
}
