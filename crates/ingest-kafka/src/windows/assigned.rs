//! A partition whose windows are computed here: its state, and its messages on their way to it.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use rdkafka::statistics;
use trivium_ingest::{
    Flood, FloodOptions, Lag, LaneHealth, Stopped,
    events::Said,
    port::{Partition, Record},
};
use trivium_model::{Timestamp, ViewRef};
use trivium_windows_embedded::Shelf;

use crate::{ends::End, lanes::behind};

/// Messages that a flood has stopped. They are read again: somebody may have mended what they need.
struct Held {
    records: Vec<Record>,
    /// None: somebody has looked at it, and it is tried at once.
    since: Option<Instant>,
    why: String,
}

/// Messages that are read, and not taken in yet.
#[derive(Default)]
pub(super) struct Waiting {
    messages: VecDeque<(Record, Said)>,
    /// When the last message was made that was taken in.
    made: Option<Timestamp>,
}

impl Waiting {
    /// The next message for the state.
    pub fn next(&mut self) -> Option<(Record, Said)> {
        let (record, said) = self.messages.pop_front()?;
        self.made = record.time.or(self.made);
        Some((record, said))
    }
}

/// A partition that is this worker's.
pub(super) struct Assigned {
    partition: Partition,
    pub shelf: Shelf,
    /// Whether no window is over whose rows are not written.
    pub is_settled: bool,
    pub waiting: Waiting,
    flood: Flood,
    held: Option<Held>,
    /// What was told of a flood last: it is tried again and again.
    told: String,
    /// Whether nothing is fetched from it.
    pub is_paused: bool,
    /// The next offset: what is before it is in the state.
    position: Option<u64>,
    /// Behind the last message that came; none has.
    fed: Option<i64>,
    end: End,
}

impl Assigned {
    pub fn new(
        partition: Partition,
        shelf: Shelf,
        flood: FloodOptions,
        position: Option<u64>,
    ) -> Self {
        Self {
            partition,
            shelf,
            is_settled: false,
            waiting: Waiting::default(),
            flood: Flood::new(flood),
            held: None,
            told: String::new(),
            is_paused: false,
            position,
            fed: None,
            end: End::default(),
        }
    }

    pub fn partition(&self) -> &Partition {
        &self.partition
    }

    /// Whether there is something for a transaction.
    pub fn has_work(&self) -> bool {
        !self.is_settled || !self.waiting.messages.is_empty()
    }

    /// A message has come.
    pub fn comes(&mut self, record: &Record) {
        self.fed = Some(behind(record));
    }

    /// Messages and what they say, in their order; those of a flood are held, all of them, and nothing of
    /// them is taken in.
    pub fn take_in(&mut self, view: &ViewRef, records: Vec<Record>, said: Vec<Said>) {
        let poisons = || {
            said.iter()
                .zip(&records)
                .filter_map(|(said, record)| Some((said.as_ref().err()?, record)))
        };
        let (all, bad) = (records.len(), poisons().count());
        let checked = self.flood.check(all, bad, || {
            let first = poisons().next();
            first.map_or_else(String::new, |(poison, record)| {
                format!("{} at {}: {poison}", self.partition, record.offset)
            })
        });
        match checked {
            Ok(()) => {
                self.flood.count(all, bad);
                self.waiting.messages.extend(records.into_iter().zip(said));
            }
            Err(flood) => self.hold(view, records, &flood),
        }
    }

    fn hold(&mut self, view: &ViewRef, records: Vec<Record>, flood: &Stopped) {
        let (why, topic) = (flood.to_string(), self.partition.topic.to_string());
        if self.told != why {
            tracing::error!(%view, partition = %self.partition, why, "the partition is stopped");
            self.told.clone_from(&why);
        }
        metrics::counter!("trivium_ingest_floods_total", "topic" => topic).increment(1);
        self.held = Some(Held { records, since: Some(Instant::now()), why });
    }

    pub fn is_held(&self) -> bool {
        self.held.is_some()
    }

    /// Bytes of messages that a flood has stopped.
    pub fn held_bytes(&self) -> usize {
        self.held.iter().flat_map(|held| &held.records).map(Record::bytes).sum()
    }

    /// Somebody has looked at the flood; nothing, where there is none.
    pub fn let_pass(&mut self, messages: u64) {
        if let Some(held) = &mut self.held {
            self.flood.let_pass(messages);
            held.since = None;
        }
    }

    /// Gives back what is held, if it has been for so long, or if more has come behind it.
    pub fn release(&mut self, after: Duration, has_more: bool) -> Option<Vec<Record>> {
        self.held
            .take_if(|held| has_more || held.since.is_none_or(|since| since.elapsed() >= after))
            .map(|held| held.records)
    }

    /// What is before this offset is in the state.
    pub fn stands_at(&mut self, position: u64) {
        self.position = Some(position);
    }

    /// The partition ends there.
    pub fn ends_at(&mut self, end: i64) {
        self.end.is_at(end);
    }

    /// What librdkafka knows of the partition; of one that is held it knows what was.
    pub fn is_known_as(&mut self, known: &statistics::Partition) {
        let position = self.position.and_then(|position| i64::try_from(position).ok());
        let begin = position.unwrap_or(known.committed_offset.max(known.lo_offset));
        if !self.is_held() {
            self.end.is_known_as(known, self.fed.unwrap_or(begin));
        }
    }

    fn lag(&self, now: i64) -> Option<Lag> {
        let first = self.held.as_ref().and_then(|held| held.records.first());
        let oldest = self.waiting.messages.front().map(|(record, _)| record).or(first);
        // Where nothing was taken in yet, it begins with what came first.
        let at = self.position.or(oldest.map(|record| record.offset))?;
        let at = i64::try_from(at).unwrap_or(i64::MAX);
        let records = u64::try_from(self.end.get()?.saturating_sub(at)).unwrap_or_default();
        let made = oldest.map_or(self.waiting.made, |record| record.time);
        let age = match made {
            Some(made) if records > 0 => now.saturating_sub(made.0),
            _ => 0,
        };
        let age = Duration::from_micros(u64::try_from(age).unwrap_or_default());
        Some(Lag { records: Some(records), age })
    }

    /// How it is; `now` in microseconds.
    pub fn health(&self, view: &ViewRef, now: i64) -> LaneHealth {
        let waiting: usize = self.waiting.messages.iter().map(|(record, _)| record.bytes()).sum();
        LaneHealth {
            partition: self.partition.clone(),
            view: Some(view.clone()),
            progress: self.position,
            waiting_bytes: waiting + self.held_bytes(),
            busy: None,
            lag: self.lag(now),
            stopped: self.held.as_ref().map(|held| held.why.clone()),
        }
    }
}
