//! A batch: its messages read, and the rows of each entity put together.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use trivium_model::{KeyValue, ViewRef};
use trivium_payload::{AvroSchemas, Decoder, Event, Message, Poison, Reader, Reason, Unread};
use trivium_runtime::Shutdown;
use trivium_store::DoorOp;

use crate::{
    Schemas,
    lane::{LaneOptions, Stopped},
    port::Record,
    routes::Routes,
    write::{Entry, Versions},
};

/// What a batch's messages ask for.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    /// By view, in the order of their first message; of each, entities in the same order.
    pub views: Vec<(ViewRef, Vec<Versions>)>,
    /// Messages that ask for nothing that could be done.
    pub poisoned: Vec<(usize, Option<ViewRef>, Poison)>,
    /// How many messages are about nothing that a view keeps.
    pub passed: Vec<(ViewRef, u64)>,
    /// Schemas that are needed first; then the rest says nothing yet.
    pub schemas: BTreeSet<u32>,
}

/// The schemas that a batch can be read under.
pub(crate) struct Brought<'s> {
    pub known: &'s AvroSchemas,
    /// Those that cannot be had, and why.
    pub refused: &'s BTreeMap<u32, String>,
}

/// The entities of a view, found again by their join keys.
#[derive(Default)]
struct Entities {
    versions: Vec<Versions>,
    by_keys: HashMap<Vec<KeyValue>, usize>,
}

impl Entities {
    fn add(&mut self, entry: Entry) {
        let at = *self.by_keys.entry(entry.entity.clone()).or_insert_with(|| {
            self.versions.push(Vec::with_capacity(1));
            self.versions.len() - 1
        });
        let versions = &mut self.versions[at];
        // Nearly always at the end; messages of a partition may come out of order.
        let newer = |other: &Entry| {
            (other.event_time, other.sequence) <= (entry.event_time, entry.sequence)
        };
        let place = versions.iter().rposition(newer).map_or(0, |place| place + 1);
        versions.insert(place, entry);
    }
}

/// Reads messages of one topic.
pub(crate) fn read(
    routes: &Routes,
    schemas: &Brought<'_>,
    topic: &str,
    records: &[Record],
) -> Batch {
    let (mut poisoned, mut needed) = (Vec::new(), BTreeSet::new());
    let mut asked: Vec<(usize, Arc<Decoder>)> = Vec::new();
    for (number, record) in records.iter().enumerate() {
        if let Some(broken) = &record.broken {
            poisoned.push((number, None, Poison::new(Reason::Undecodable, broken.clone())));
            continue;
        }
        match routes.decoders(topic, record) {
            Ok(decoders) => asked.extend(decoders.into_iter().map(|decoder| (number, decoder))),
            Err(poison) => poisoned.push((number, None, poison)),
        }
    }
    // The views, in the order of their first message.
    let mut decoders: Vec<Arc<Decoder>> = Vec::new();
    for (_, decoder) in &asked {
        if !decoders.iter().any(|known| Arc::ptr_eq(known, decoder)) {
            decoders.push(Arc::clone(decoder));
        }
    }
    let (mut views, mut passed) = (Vec::new(), Vec::new());
    for decoder in &decoders {
        let mut about_nothing = 0;
        let mut entities = Entities::default();
        let mut reader = decoder.reader();
        for (number, _) in asked.iter().filter(|(_, asked)| Arc::ptr_eq(asked, decoder)) {
            match event(&mut reader, &records[*number], schemas.known) {
                Ok(Some(event)) => {
                    entities.add(entry(*number, &records[*number], event, decoder));
                }
                Ok(None) => about_nothing += 1,
                Err(Unread::Poison(poison)) => {
                    poisoned.push((*number, Some(decoder.view().clone()), poison));
                }
                Err(Unread::SchemaNeeded(id)) => match schemas.refused.get(&id) {
                    Some(why) => {
                        let why = format!("the Avro schema {id} is not known: {why}");
                        let poison = Poison::new(Reason::Undecodable, why).at("schema");
                        poisoned.push((*number, Some(decoder.view().clone()), poison));
                    }
                    None => {
                        needed.insert(id);
                    }
                },
            }
        }
        if about_nothing > 0 {
            passed.push((decoder.view().clone(), about_nothing));
        }
        if !entities.versions.is_empty() {
            views.push((decoder.view().clone(), entities.versions));
        }
    }
    Batch { views, poisoned, passed, schemas: needed }
}

/// The messages, read; schemas that they name are brought first.
pub(crate) async fn bring_and_read(
    routes: &Routes,
    schemas: &Schemas,
    options: &LaneOptions,
    topic: &str,
    records: &[Record],
    stop: &Shutdown,
) -> Result<Batch, Stopped> {
    let mut rounds = Rounds::default();
    loop {
        let brought = Brought { known: schemas.known(), refused: rounds.refused() };
        let batch = read(routes, &brought, topic, records);
        if batch.schemas.is_empty() {
            return Ok(batch);
        }
        rounds.next(&batch.schemas, schemas, options, stop).await?;
    }
}

/// Brings the schemas that messages name, round by round, and not for ever: more than one round is needed only
/// where more schemas are named than are kept.
#[derive(Default)]
pub(crate) struct Rounds {
    rounds: usize,
    refused: BTreeMap<u32, String>,
}

impl Rounds {
    const MOST: usize = 20;

    /// Schemas that cannot be had, and why.
    pub fn refused(&self) -> &BTreeMap<u32, String> {
        &self.refused
    }

    pub async fn next(
        &mut self,
        needed: &BTreeSet<u32>,
        schemas: &Schemas,
        options: &LaneOptions,
        stop: &Shutdown,
    ) -> Result<(), Stopped> {
        if self.rounds == Self::MOST {
            let why = "one batch names more schemas than are kept";
            self.refused.extend(needed.iter().map(|id| (*id, why.to_owned())));
            return Ok(());
        }
        self.rounds += 1;
        schemas.bring(needed, &mut self.refused, options, stop).await
    }
}

pub(crate) fn event(
    reader: &mut Reader<'_>,
    record: &Record,
    schemas: &AvroSchemas,
) -> Result<Option<Event>, Unread> {
    let headers: Vec<(&str, &[u8])> = record
        .headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_deref().unwrap_or_default()))
        .collect();
    let message = Message {
        key: record.key.as_deref(),
        value: record.value.as_deref(),
        headers: &headers,
        time: record.time,
    };
    reader.read(&message, schemas)
}

fn entry(number: usize, record: &Record, event: Event, decoder: &Decoder) -> Entry {
    let op = match event.row {
        Some(row) => DoorOp::PutRow { row, schema: decoder.fingerprint() },
        None => DoorOp::Delete,
    };
    Entry {
        record: number,
        entity: event.entity,
        event_time: event.event_time,
        sequence: event.sequence.unwrap_or(record.offset),
        op,
    }
}
