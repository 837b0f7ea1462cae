//! A Kafka with topics.

use std::time::{Duration, Instant};

use rdkafka::{
    ClientConfig, Message as _, Offset, TopicPartitionList,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    consumer::{BaseConsumer, Consumer as _},
    error::{KafkaError, RDKafkaErrorCode},
    producer::{BaseProducer, BaseRecord, Producer as _},
};
use trivium_testkit::Kafka;

const PATIENCE: Duration = Duration::from_secs(60);

pub struct Topics {
    kafka: Kafka,
    producer: BaseProducer,
    partitions: i32,
}

pub struct Written {
    pub partition: i32,
    pub key: Option<Vec<u8>>,
    pub value: Vec<u8>,
}

impl Topics {
    pub fn start(names: &[&str], partitions: i32) -> Self {
        let kafka = Kafka::start().unwrap_or_else(|error| panic!("{error}"));
        let mut client = ClientConfig::new();
        client.set("bootstrap.servers", kafka.bootstrap());
        let admin: AdminClient<DefaultClientContext> = client.create().unwrap();
        let topics: Vec<NewTopic<'_>> = names
            .iter()
            .map(|name| NewTopic::new(name, partitions, TopicReplication::Fixed(1)))
            .collect();
        let made = futures::executor::block_on(admin.create_topics(&topics, &AdminOptions::new()));
        for topic in made.unwrap() {
            topic.unwrap();
        }
        let producer = client.create().unwrap();
        Self { kafka, producer, partitions }
    }

    pub fn brokers(&self) -> String {
        self.kafka.bootstrap()
    }

    pub fn send(&self, topic: &str, partition: i32, value: &[u8]) {
        let mut record: BaseRecord<'_, [u8], [u8]> =
            BaseRecord::to(topic).partition(partition).payload(value);
        while let Err((_, back)) = self.producer.send(record) {
            record = back;
            self.producer.poll(Duration::from_millis(10));
        }
    }

    pub fn flush(&self) {
        self.producer.flush(PATIENCE).unwrap();
    }

    /// All messages of a topic that are committed, by partition and offset.
    pub fn committed(&self, topic: &str) -> Vec<Written> {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", self.brokers())
            .set("group.id", "reader")
            .set("enable.auto.commit", "false")
            .set("enable.partition.eof", "true")
            .set("isolation.level", "read_committed")
            .create()
            .unwrap();
        let mut assigned = TopicPartitionList::new();
        for partition in 0..self.partitions {
            assigned.add_partition_offset(topic, partition, Offset::Beginning).unwrap();
        }
        consumer.assign(&assigned).unwrap();
        let mut found = Vec::new();
        let mut ended = 0;
        let begun = Instant::now();
        while ended < self.partitions {
            match consumer.poll(PATIENCE).unwrap() {
                Ok(message) => found.push(Written {
                    partition: message.partition(),
                    key: message.key().map(<[u8]>::to_vec),
                    value: message.payload().unwrap_or_default().to_vec(),
                }),
                Err(KafkaError::PartitionEOF(_)) => ended += 1,
                // A broker that is slow to answer: it is asked again.
                Err(KafkaError::MessageConsumption(
                    RDKafkaErrorCode::AllBrokersDown | RDKafkaErrorCode::BrokerTransportFailure,
                )) if begun.elapsed() < PATIENCE => {}
                Err(error) => panic!("{error}"),
            }
        }
        found
    }
}
