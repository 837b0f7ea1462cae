//! Messages as events, for the windows over them.

use std::collections::{BTreeMap, BTreeSet};

use trivium_codec::Schema;
use trivium_model::{FeatureView, Timestamp, Value, ViewRef};
use trivium_payload::{Decoder, Event as Payload, Poison, Reader, Reason, Unread};
use trivium_runtime::Shutdown;
use trivium_windows::{AHEAD_MAX, Event};

use crate::{LaneOptions, Schemas, Stopped, batch, batch::Rounds, port::Record};

/// What a message says; none where it is no event.
pub type Said = Result<Option<Event>, Poison>;

/// Reads the messages of a view with windows.
#[derive(Debug, Clone)]
pub struct Events {
    decoder: Decoder,
    schema: Schema,
}

impl Events {
    /// Of this view's events; says why they cannot be read.
    pub fn new(view: &FeatureView) -> Result<Self, String> {
        let events = view.events().ok_or_else(|| "the view has no `window`".to_owned())?;
        let schema = Schema::of_view(&events).map_err(|error| error.to_string())?;
        Ok(Self { decoder: Decoder::new(&events)?, schema })
    }

    /// The view.
    pub fn view(&self) -> &ViewRef {
        self.decoder.view()
    }

    /// What each of the messages says, in their order. Waits for Avro's schemas.
    pub async fn read(
        &self,
        records: &[Record],
        schemas: &Schemas,
        options: &LaneOptions,
        now: Timestamp,
        stop: &Shutdown,
    ) -> Result<Vec<Said>, Stopped> {
        let mut rounds = Rounds::default();
        loop {
            let mut needed = BTreeSet::new();
            let said = self.said(records, schemas, now, rounds.refused(), &mut needed);
            if needed.is_empty() {
                return Ok(said);
            }
            rounds.next(&needed, schemas, options, stop).await?;
        }
    }

    fn said(
        &self,
        records: &[Record],
        schemas: &Schemas,
        now: Timestamp,
        refused: &BTreeMap<u32, String>,
        needed: &mut BTreeSet<u32>,
    ) -> Vec<Said> {
        let mut reader = self.decoder.reader();
        let mut one = |record: &Record| match self.event(&mut reader, record, schemas, now) {
            Ok(event) => Ok(event),
            Err(Unread::Poison(poison)) => Err(poison),
            Err(Unread::SchemaNeeded(id)) => match refused.get(&id) {
                Some(why) => {
                    let why = format!("the Avro schema {id} is not known: {why}");
                    Err(Poison::new(Reason::Undecodable, why).at("schema"))
                }
                None => {
                    needed.insert(id);
                    Ok(None)
                }
            },
        };
        records.iter().map(&mut one).collect()
    }

    fn event(
        &self,
        reader: &mut Reader<'_>,
        record: &Record,
        schemas: &Schemas,
        now: Timestamp,
    ) -> Result<Option<Event>, Unread> {
        if let Some(broken) = &record.broken {
            return Err(Poison::new(Reason::Undecodable, broken.clone()).into());
        }
        // What has no value says nothing of an event, and need not have a key of one.
        if record.value.is_none() {
            return Ok(None);
        }
        let Some(Payload { entity, event_time, row: Some(row), .. }) =
            batch::event(reader, record, schemas.known())?
        else {
            return Ok(None);
        };
        let wrong = |error: trivium_codec::Error| {
            Unread::from(Poison::new(Reason::Undecodable, error.to_string()))
        };
        let row = row.reader(&self.schema).map_err(wrong)?;
        let values: Result<Vec<Value>, _> = (0..self.schema.len())
            .map(|index| Ok(row.get(index)?.map_or(Value::Null, |value| value.to_owned())))
            .collect();
        let event = Event { entity, time: event_time, values: values.map_err(wrong)? };
        if event.is_ahead(record.time, now) {
            let made = record.time.map_or(now, |time| time.min(now));
            let message = format!(
                "the event is of {}, and its message of {made}: windows that are not over would end",
                event.time
            );
            let help = format!("mend the producer's clock; {AHEAD_MAX} are let pass");
            return Err(Poison::new(Reason::OutOfBounds, message)
                .at("event_time")
                .help(help)
                .into());
        }
        Ok(Some(event))
    }
}
