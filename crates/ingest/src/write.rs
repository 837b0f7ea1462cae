//! Writes a batch's rows through the door until each is taken, or refused for good.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use trivium_model::{KeyValue, Lane as Producer, Timestamp, ViewRef};
use trivium_payload::{Poison, Reason};
use trivium_runtime::Shutdown;
use trivium_store::{
    Condition, DoorError, DoorOp, DoorOutcome, DoorRequest, DoorRow, Order, WriteId, WriteOutcome,
};

use crate::{lane::Parts, routes::Routes};

/// A row that a message asks for.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    /// Its message, by its place in the batch.
    pub record: usize,
    pub entity: Vec<KeyValue>,
    pub event_time: Timestamp,
    pub sequence: u64,
    pub op: DoorOp,
}

/// The rows of one entity in a batch, the newest last. Only the newest is written; the others count
/// where the door refuses it.
pub(crate) type Versions = Vec<Entry>;

/// How a batch's rows ended.
#[derive(Debug, Default)]
pub(crate) struct Written {
    pub applied: u64,
    pub superseded: u64,
    pub erased: u64,
    /// Event times of what was applied.
    pub fresh: Vec<Timestamp>,
    /// Messages whose rows were refused, by their place in the batch.
    pub refused: Vec<(usize, Poison)>,
}

/// What the door says of a row that it did not take.
enum Verdict {
    /// Never.
    Refused(Poison),
    /// Not now.
    Later(Later),
}

/// Why a row was not taken now.
struct Later {
    why: String,
    /// How long the door wants to be left alone.
    asked: Duration,
}

impl From<&DoorError> for Later {
    fn from(error: &DoorError) -> Self {
        Self { why: error.to_string(), asked: error.pause().unwrap_or_default() }
    }
}

/// The row that an error is about, and where in it: `rows[3].entity`.
fn row_of(field: &str) -> Option<(usize, &str)> {
    let (number, rest) = field.strip_prefix("rows[")?.split_once(']')?;
    Some((number.parse().ok()?, rest.strip_prefix('.').unwrap_or(rest)))
}

/// Of a row, by its place in the request. An error that is about another row, or about none, says nothing
/// of this one: it went with the others, or the caller may write nothing at all.
fn verdict(error: &DoorError, place: usize) -> Verdict {
    match error {
        DoorError::Invalid { message, field, help } => match row_of(field) {
            Some((row, field)) if row == place => {
                let poison = Poison::new(Reason::Refused, message.clone()).at(field);
                Verdict::Refused(poison.help(help.clone()))
            }
            _ => Verdict::Later(error.into()),
        },
        DoorError::Store(trivium_store::Error::Invalid(message)) => {
            Verdict::Refused(Poison::new(Reason::Refused, message.clone()))
        }
        // A view or a schema that serving has not heard of yet, a store that is away, or broken: none
        // of it is the message's fault.
        other => Verdict::Later(other.into()),
    }
}

pub(crate) struct Writer<'w> {
    pub parts: &'w Parts,
    /// What the batch was read by.
    pub routes: &'w Arc<Routes>,
    pub stop: &'w Shutdown,
}

/// Why a batch's rows are not all written.
pub(crate) enum Unwritten {
    /// It was asked to stop.
    Asked,
    /// Definitions have changed: what is not taken may mean something else now, or nothing.
    Changed,
}

impl Writer<'_> {
    /// Returns when every entity's newest row that is not refused is in the store, or a newer one.
    pub async fn write(
        &self,
        view: &ViewRef,
        mut entities: Vec<Versions>,
        written: &mut Written,
    ) -> Result<(), Unwritten> {
        let options = &self.parts.options;
        let mut failures = 0;
        while !entities.is_empty() {
            if self.stop.is_triggered() {
                return Err(Unwritten::Asked);
            }
            let rest = entities.split_off(entities.len().min(options.request_rows.max(1)));
            let count = entities.len();
            let (mut left, later) = tokio::select! {
                done = self.once(view, entities, written) => done,
                // The rows may be written all the same: they are met again as what they are.
                () = self.stop.wait() => return Err(Unwritten::Asked),
            };
            // Part of a request that was taken is an answer, too.
            failures = if left.len() < count { 0 } else { failures + 1 };
            left.extend(rest);
            entities = left;
            if let Some(Later { why, asked }) = later {
                metrics::counter!("trivium_ingest_retries_total", "view" => view.to_string())
                    .increment(1);
                let pause = options.pause_asked(failures, asked);
                tracing::warn!(
                    %view, rows = entities.len(), pause_ms = pause.as_millis() as u64, why,
                    "rows are not taken now; they are sent again"
                );
                tokio::select! {
                    () = tokio::time::sleep(pause) => {}
                    () = self.stop.wait() => return Err(Unwritten::Asked),
                }
                if !Arc::ptr_eq(self.routes, &self.parts.routes.load_full()) {
                    return Err(Unwritten::Changed);
                }
            }
        }
        Ok(())
    }

    /// One request: the entities that are not done with, and why.
    async fn once(
        &self,
        view: &ViewRef,
        entities: Vec<Versions>,
        written: &mut Written,
    ) -> (Vec<Versions>, Option<Later>) {
        let rows: Vec<DoorRow> =
            entities.iter().filter_map(|versions| versions.last()).map(row).collect();
        let request = DoorRequest {
            view: view.clone(),
            lane: Producer::Stream,
            rows,
            deadline: Instant::now().checked_add(self.parts.options.request_time),
        };
        let outcomes = match self.parts.door.write(request).await {
            Ok(outcomes) if outcomes.len() == entities.len() => outcomes,
            Ok(_) => {
                let why = "the door answered for another number of rows".to_owned();
                return (entities, Some(Later { why, asked: Duration::ZERO }));
            }
            // Some doors refuse a request for one of its rows, and then none was tried.
            Err(error) => {
                let place = match &error {
                    DoorError::Invalid { field, .. } => row_of(field).map(|(row, _)| row),
                    _ => None,
                };
                return match place.filter(|place| *place < entities.len()) {
                    Some(place) => (without(entities, place, &error, written), None),
                    // Whoever may write nothing, or too many rows, blames no message.
                    None => (entities, Some(Later::from(&error))),
                };
            }
        };
        let (mut left, mut later): (_, Option<Later>) = (Vec::new(), None);
        for (place, (mut versions, outcome)) in entities.into_iter().zip(outcomes).enumerate() {
            match self.ended(outcome, place, &versions, written) {
                None => {}
                Some(Verdict::Later(reason)) => {
                    // The first says why; the longest pause that one asks for is for all.
                    let asked = reason.asked;
                    let later = later.get_or_insert(reason);
                    later.asked = later.asked.max(asked);
                    left.push(versions);
                }
                Some(Verdict::Refused(poison)) => {
                    if let Some(newest) = versions.pop() {
                        written.refused.push((newest.record, poison));
                    }
                    if !versions.is_empty() {
                        left.push(versions);
                    }
                }
            }
        }
        (left, later)
    }

    fn ended(
        &self,
        outcome: DoorOutcome,
        place: usize,
        versions: &Versions,
        written: &mut Written,
    ) -> Option<Verdict> {
        match outcome {
            Ok(WriteOutcome::Applied(_)) => {
                written.applied += 1;
                written.superseded += versions.len() as u64 - 1;
                written.fresh.extend(versions.last().map(|newest| newest.event_time));
            }
            // The person asked to be forgotten, and this is from before.
            Ok(WriteOutcome::Erased(_)) => written.erased += versions.len() as u64,
            Ok(WriteOutcome::Superseded(_) | WriteOutcome::Conflict(_)) => {
                written.superseded += versions.len() as u64;
            }
            Err(error) => return Some(verdict(&error, place)),
        }
        None
    }
}

/// The entities but for the newest row of this one, which is refused.
fn without(
    mut entities: Vec<Versions>,
    place: usize,
    error: &DoorError,
    written: &mut Written,
) -> Vec<Versions> {
    if let Verdict::Refused(poison) = verdict(error, place)
        && let Some(newest) = entities[place].pop()
    {
        written.refused.push((newest.record, poison));
        if entities[place].is_empty() {
            entities.swap_remove(place);
        }
    }
    entities
}

fn row(entry: &Entry) -> DoorRow {
    DoorRow {
        entity: entry.entity.clone(),
        op: entry.op.clone(),
        order: Order::At { event_time: entry.event_time, sequence: Some(entry.sequence) },
        condition: Condition::None,
        write_id: WriteId(0),
    }
}
