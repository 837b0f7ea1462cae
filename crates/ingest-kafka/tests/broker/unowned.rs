//! A cooperative rebalance that is cut off between its two rounds.

use std::{
    sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    time::{Duration, Instant},
};

use rdkafka::{
    ClientConfig, ClientContext, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _, ConsumerContext},
    types::RDKafkaRespErr,
};
use trivium_ingest_kafka::KafkaOptions;

use crate::{
    events,
    fixture::{Broker, Door, Member, PARTITIONS, until},
};

/// Is gone when it has to give partitions up: it does not say that it has, and does not join again.
#[derive(Default)]
struct Gone {
    has_joined: AtomicBool,
    partitions: AtomicUsize,
    has_to_give: AtomicBool,
}

impl ClientContext for Gone {}

impl ConsumerContext for Gone {
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        code: RDKafkaRespErr,
        list: &mut TopicPartitionList,
    ) {
        if code == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS {
            consumer.incremental_assign(list).unwrap();
            self.partitions.fetch_add(list.count(), SeqCst);
            self.has_joined.store(true, SeqCst);
        } else {
            self.has_to_give.store(true, SeqCst);
        }
    }
}

fn join(broker: &Broker, instance: &str) -> BaseConsumer<Gone> {
    let consumer: BaseConsumer<Gone> = ClientConfig::new()
        .set("bootstrap.servers", broker.bootstrap())
        .set("group.id", KafkaOptions::default().group)
        .set("group.instance.id", instance)
        .set("partition.assignment.strategy", "cooperative-sticky")
        .set("enable.auto.commit", "false")
        .create_with_context(Gone::default())
        .unwrap();
    consumer.subscribe(&["events"]).unwrap();
    consumer
}

#[tokio::test(flavor = "multi_thread")]
async fn partitions_that_nobody_has_are_found() {
    let broker = Broker::start();
    let one = join(&broker, "one");
    let begun = Instant::now();
    let poll = |consumer: &BaseConsumer<Gone>| {
        assert!(begun.elapsed() < Duration::from_secs(120), "the group is not agreed");
        drop(consumer.poll(Duration::from_millis(20)));
    };
    // All are the first one's; then it is to give half of them up.
    while one.context().partitions.load(SeqCst) < PARTITIONS {
        poll(&one);
    }
    let other = join(&broker, "other");
    while !one.context().has_to_give.load(SeqCst) || !other.context().has_joined.load(SeqCst) {
        poll(&one);
        poll(&other);
    }
    assert_eq!(other.context().partitions.load(SeqCst), 0);
    // Nothing that ends in order would leave the group so.
    std::mem::forget((one, other));

    let door = Door::new();
    let named = |name: &'static str| {
        move |options: &mut KafkaOptions| options.instance = Some(name.to_owned())
    };
    let one = Member::start(&broker, &door, named("one"));
    let other = Member::start(&broker, &door, named("other"));
    broker.send(&events(0, 1));
    until(|| door.applied_all(0)).await;
    let counts = || [one.partitions(), other.partitions()];
    until(|| !counts().contains(&0) && counts().iter().sum::<usize>() == PARTITIONS).await;
    one.stop().await.unwrap();
    other.stop().await.unwrap();
}
