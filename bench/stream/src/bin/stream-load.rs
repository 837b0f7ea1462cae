//! Sends events of vehicles: so many a second, evenly, or as many as go.

use std::{
    fmt::Write as _,
    io::Write as _,
    thread,
    time::{Duration, Instant, SystemTime},
};

use anyhow::{Context as _, Result, ensure};
use clap::Parser;
use rdkafka::{
    ClientConfig,
    error::{KafkaError, RDKafkaErrorCode},
    producer::{BaseProducer, BaseRecord, Producer as _},
};

const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks at what is due.
const TURN: Duration = Duration::from_millis(2);

#[derive(Debug, Parser)]
struct Args {
    /// `host:port`.
    #[arg(long)]
    brokers: String,
    #[arg(long)]
    topic: String,
    /// Events a second; 0: as many as go.
    #[arg(long)]
    rate: f64,
    /// How many in all.
    #[arg(long)]
    events: u64,
    /// Vehicles that events are of, in turns.
    #[arg(long)]
    entities: u64,
}

fn main() -> Result<()> {
    let args = Args::parse();
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", &args.brokers)
        .set("enable.idempotence", "true")
        .set("linger.ms", "5")
        .create()?;
    let begun = Instant::now();
    let (mut sent, mut key, mut value) = (0, String::new(), String::new());
    while sent < args.events {
        let due = if args.rate > 0.0 {
            ((begun.elapsed().as_secs_f64() * args.rate) as u64).min(args.events)
        } else {
            args.events
        };
        while sent < due {
            event(sent, args.entities, &mut key, &mut value)?;
            send(&producer, &args.topic, &key, &value)?;
            sent += 1;
        }
        producer.poll(Duration::ZERO);
        if sent < args.events {
            thread::sleep(TURN);
        }
    }
    producer.flush(PATIENCE)?;
    ensure!(producer.in_flight_count() == 0, "events were not taken");
    let said = serde_json::json!({ "sent": sent, "seconds": begun.elapsed().as_secs_f64() });
    writeln!(std::io::stdout(), "{said}")?;
    Ok(())
}

/// The same as `event` in stream.py.
fn event(number: u64, entities: u64, key: &mut String, value: &mut String) -> Result<()> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_micros();
    key.clear();
    value.clear();
    write!(key, "v{}", number.wrapping_mul(7_919) % entities.max(1))?;
    write!(
        value,
        r#"{{"vehicle":"{key}","at":{now},"odometer":{number},"speed":{:.6},"state":"driving","charging":true}}"#,
        number as f64 / 7.0
    )?;
    Ok(())
}

fn send(producer: &BaseProducer, topic: &str, key: &str, value: &str) -> Result<()> {
    let mut record = BaseRecord::to(topic).key(key).payload(value);
    loop {
        record = match producer.send(record) {
            Ok(()) => return Ok(()),
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), again)) => again,
            Err((error, _)) => return Err(error).context("an event was not taken"),
        };
        producer.poll(Duration::from_millis(10));
    }
}
