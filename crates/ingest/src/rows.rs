//! Messages read for whoever keeps every row, not only the newest of an entity.

use trivium_codec::Row;
use trivium_model::{KeyValue, Timestamp, ViewRef};
use trivium_payload::Poison;
use trivium_runtime::Shutdown;
use trivium_store::DoorOp;

use crate::{LaneOptions, Schemas, Stopped, batch, port::Record, routes::Routes, write::Entry};

/// A row that a message asks for, as a lane would write it.
#[derive(Debug, Clone, PartialEq)]
pub struct StreamRow {
    /// Its message's place in the partition.
    pub offset: u64,
    /// Join key values, in the order of the sorted join key names.
    pub entity: Vec<KeyValue>,
    /// When the fact was true.
    pub event_time: Timestamp,
    /// Orders rows of one event time.
    pub sequence: u64,
    /// The row; none: the entity's row is deleted.
    pub row: Option<Row>,
}

/// What messages of one topic say.
#[derive(Debug, Default)]
pub struct StreamRows {
    /// By view, in the order of their messages.
    pub views: Vec<(ViewRef, Vec<StreamRow>)>,
    /// Messages that cannot become rows, by their offset; without a view, rows of none.
    pub poisoned: Vec<(u64, Option<ViewRef>, Poison)>,
}

/// Reads messages as lanes do; schemas that they name are brought first, for as long as that takes.
pub async fn read_rows(
    routes: &Routes,
    schemas: &Schemas,
    options: &LaneOptions,
    topic: &str,
    records: &[Record],
    stop: &Shutdown,
) -> Result<StreamRows, Stopped> {
    let read = batch::bring_and_read(routes, schemas, options, topic, records, stop).await?;
    let mut views = Vec::with_capacity(read.views.len());
    for (view, entities) in read.views {
        let mut rows: Vec<StreamRow> =
            entities.into_iter().flatten().map(|entry| row_of(entry, records)).collect();
        rows.sort_by_key(|row| row.offset);
        views.push((view, rows));
    }
    let poisoned = read.poisoned.into_iter();
    let poisoned = poisoned.map(|(number, view, poison)| (records[number].offset, view, poison));
    Ok(StreamRows { views, poisoned: poisoned.collect() })
}

fn row_of(entry: Entry, records: &[Record]) -> StreamRow {
    let Entry { record, entity, event_time, sequence, op } = entry;
    let row = match op {
        DoorOp::PutRow { row, .. } => Some(row),
        _ => None,
    };
    StreamRow { offset: records[record].offset, entity, event_time, sequence, row }
}
