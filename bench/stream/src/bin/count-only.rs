//! Reads a topic from its beginning, and counts. What a consumer of librdkafka costs that does nothing.

use std::{
    io::Write as _,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use clap::Parser;
use rdkafka::{
    ClientConfig, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _},
};

const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Debug, Parser)]
struct Args {
    /// `host:port`.
    #[arg(long)]
    brokers: String,
    #[arg(long)]
    topic: String,
    /// How many there are.
    #[arg(long)]
    messages: u64,
}

fn main() -> Result<()> {
    let args = Args::parse();
    let begun = Instant::now();
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", &args.brokers)
        .set("group.id", "count-only")
        .set("enable.auto.commit", "false")
        .create()?;
    let metadata = consumer.fetch_metadata(Some(&args.topic), PATIENCE)?;
    let topic = metadata.topics().first().context("the topic is not there")?;
    let mut list = TopicPartitionList::new();
    for partition in topic.partitions() {
        list.add_partition_offset(&args.topic, partition.id(), Offset::Beginning)?;
    }
    consumer.assign(&list)?;
    let mut counted = 0;
    while counted < args.messages {
        let message = consumer.poll(PATIENCE).context("no message came")?;
        message?;
        counted += 1;
    }
    let seconds = begun.elapsed().as_secs_f64();
    let said = serde_json::json!({ "seconds": seconds, "processor": processor()? });
    writeln!(std::io::stdout(), "{said}")?;
    Ok(())
}

/// Seconds of the processor that this process has used.
fn processor() -> Result<f64> {
    const TICKS: f64 = 100.0;
    let text = std::fs::read_to_string("/proc/self/stat")?;
    let (_, fields) = text.rsplit_once(')').context("no fields")?;
    let fields: Vec<&str> = fields.split_whitespace().collect();
    ensure!(fields.len() > 12, "too few fields");
    Ok((fields[11].parse::<f64>()? + fields[12].parse::<f64>()?) / TICKS)
}
