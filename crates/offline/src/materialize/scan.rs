//! Passes over partitions, on a thread that may wait for the disk, some rows ahead of the writer.

use std::{collections::HashMap, path::Path, sync::Arc};

use arrow::{
    array::AsArray,
    datatypes::Int64Type,
    row::{RowConverter, Rows},
};
use tokio::sync::mpsc;
use trivium_codec::RowEncoder;
use trivium_model::Timestamp;
use trivium_store::{Condition, DoorOp, DoorRow, Order, WriteId};

use super::{
    Change, KEYS_MAX, ViewData,
    lookup::{Key, Stamp, Want, key_columns, key_converter},
};
use crate::{
    Error,
    encode::PublishedBatch,
    lake::{RETIRED_AT_COLUMN, read_batches},
    sequence::revision_of,
};

/// Pieces that are read ahead: one is sent, one waits, one is read.
const PIECES_AHEAD: usize = 2;

/// A piece of a partition.
#[derive(Debug, Default)]
pub(super) struct Piece {
    /// Rows to write at their stamps.
    pub(super) rows: Vec<DoorRow>,
    /// Entities whose newest row may stand in another partition.
    pub(super) late: Vec<(Key, Want)>,
}

type Pieces<T> = mpsc::Receiver<Result<T, Error>>;

/// Runs a pass; `send` answers false where nobody reads on.
fn pass<T: Send + 'static>(
    work: impl FnOnce(&mut dyn FnMut(T) -> bool) -> Result<(), Error> + Send + 'static,
) -> Pieces<T> {
    let (sender, receiver) = mpsc::channel(PIECES_AHEAD);
    tokio::task::spawn_blocking(move || {
        let mut send = |piece| sender.blocking_send(Ok(piece)).is_ok();
        if let Err(error) = work(&mut send) {
            // Nobody reads on: nobody wants the error.
            drop(sender.blocking_send(Err(error)));
        }
    });
    receiver
}

/// Calls `visit` with each batch of a partition and its keys, and which rows are the last of their
/// entity. A batch's last row is known to be so only when the next one is there: it is held back
/// and visited with its own batch then.
fn for_each_newest(
    data: &ViewData,
    converter: &RowConverter,
    paths: &[std::path::PathBuf],
    columns: Option<&[String]>,
    mut visit: impl FnMut(&PublishedBatch, &Rows, usize) -> Result<bool, Error>,
) -> Result<(), Error> {
    let mut held: Option<(PublishedBatch, Rows)> = None;
    for path in paths {
        for batch in read_batches(path, columns)? {
            let batch = PublishedBatch::new(&data.view, &data.schema, &batch?)
                .map_err(|message| Error::corrupt(path, message))?;
            if batch.len() == 0 {
                continue;
            }
            let keys = converter.convert_columns(batch.key_arrays())?;
            if let Some((held, held_keys)) = &held {
                let last = held.len() - 1;
                if held_keys.row(last) != keys.row(0) && !visit(held, held_keys, last)? {
                    return Ok(());
                }
            }
            for row in 0..batch.len() - 1 {
                if keys.row(row) != keys.row(row + 1) && !visit(&batch, &keys, row)? {
                    return Ok(());
                }
            }
            held = Some((batch, keys));
        }
    }
    if let Some((held, keys)) = &held {
        visit(held, keys, held.len() - 1)?;
    }
    Ok(())
}

/// The newest row of each entity that changed since the loaded revision.
pub(super) fn forward(
    data: Arc<ViewData>,
    change: Change,
    newest_before: Option<Timestamp>,
    batch_rows: usize,
) -> Pieces<Piece> {
    pass(move |send| {
        let partition = &data.partitions[change.index];
        let converter = key_converter(&data.view)?;
        let mut encoder = RowEncoder::new(&data.schema);
        let fingerprint = data.schema.fingerprint();
        let mut piece = Piece::default();
        for_each_newest(&data, &converter, &partition.files(), None, |batch, keys, row| {
            let (event_time, sequence) = (batch.event_time(row), batch.sequence(row));
            if newest_before.is_some_and(|before| event_time <= before) {
                let want = Want { entity: batch.entity(row), replaces: Vec::new(), write: true };
                piece.late.push((Key::from(keys.row(row).as_ref()), want));
            } else if revision_of(sequence) > change.loaded {
                let mut values = Vec::new();
                let encoded = batch
                    .encode(row, &mut encoder, &mut values)
                    .map_err(|message| batch.refused(&data.view, row, message))?;
                piece.rows.push(DoorRow {
                    entity: batch.entity(row),
                    op: DoorOp::PutRow { row: encoded, schema: fingerprint },
                    order: Order::At { event_time, sequence: Some(sequence.cast_unsigned()) },
                    condition: Condition::None,
                    write_id: WriteId(0),
                });
            }
            if piece.rows.len() >= batch_rows || piece.late.len() >= batch_rows {
                return Ok(send(std::mem::take(&mut piece)));
            }
            Ok(true)
        })?;
        send(piece);
        Ok(())
    })
}

/// The rows that went since the loaded revision. With `is_loaded`, without those of entities of
/// which the partition has a newer row.
pub(super) fn retired(
    data: Arc<ViewData>,
    change: Change,
    is_loaded: bool,
) -> Pieces<HashMap<Key, Want>> {
    pass(move |send| {
        let partition = &data.partitions[change.index];
        let Some(path) = partition.retired_file() else { return Ok(()) };
        let converter = key_converter(&data.view)?;
        let columns = key_columns(&data.view);
        let mut wants: HashMap<Key, Want> = HashMap::new();
        let mut flush = |wants: &mut HashMap<Key, Want>| -> Result<bool, Error> {
            if !is_loaded {
                return Ok(send(std::mem::take(wants)));
            }
            for_each_newest(
                &data,
                &converter,
                &partition.files(),
                Some(&columns),
                |batch, keys, row| {
                    if let Some(want) = wants.get_mut(keys.row(row).as_ref()) {
                        let newest = Stamp {
                            event_time: batch.event_time(row),
                            sequence: batch.sequence(row),
                        };
                        want.replaces.retain(|old| *old > newest);
                    }
                    Ok(true)
                },
            )?;
            wants.retain(|_, want| !want.replaces.is_empty());
            Ok(wants.is_empty() || send(std::mem::take(wants)))
        };
        for_each_retired(&data, &converter, &path, change.loaded, |key, entity, stamp| {
            wants
                .entry(key)
                .or_insert_with(|| Want { entity, replaces: Vec::new(), write: false })
                .replaces
                .push(stamp);
            if wants.len() >= KEYS_MAX { flush(&mut wants) } else { Ok(true) }
        })?;
        if !wants.is_empty() {
            flush(&mut wants)?;
        }
        Ok(())
    })
}

fn for_each_retired(
    data: &ViewData,
    converter: &RowConverter,
    path: &Path,
    loaded: u64,
    mut visit: impl FnMut(Key, Vec<trivium_model::KeyValue>, Stamp) -> Result<bool, Error>,
) -> Result<(), Error> {
    for batch in read_batches(path, None)? {
        let batch = batch?;
        let retired_at = batch
            .column_by_name(RETIRED_AT_COLUMN)
            .and_then(|column| column.as_primitive_opt::<Int64Type>())
            .ok_or_else(|| Error::corrupt(path, format!("no `{RETIRED_AT_COLUMN}`")))?
            .clone();
        let rows = PublishedBatch::new(&data.view, &data.schema, &batch)
            .map_err(|message| Error::corrupt(path, message))?;
        let keys = converter.convert_columns(rows.key_arrays())?;
        for row in 0..rows.len() {
            if retired_at.value(row).cast_unsigned() <= loaded {
                continue;
            }
            let stamp = Stamp { event_time: rows.event_time(row), sequence: rows.sequence(row) };
            if !visit(Key::from(keys.row(row).as_ref()), rows.entity(row), stamp)? {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// The entities of one partition that another does not list: both are sorted by entity, so one pass
/// over each.
pub(super) fn vanished(
    data: Arc<ViewData>,
    former: usize,
    head: usize,
) -> Pieces<Vec<(Key, Want)>> {
    pass(move |send| {
        let converter = key_converter(&data.view)?;
        let columns = key_columns(&data.view);
        let mut head_keys =
            KeyCursor::new(&data, &converter, &data.partitions[head].files(), &columns)?;
        let mut gone = Vec::new();
        let files = data.partitions[former].files();
        for_each_newest(&data, &converter, &files, Some(&columns), |batch, keys, row| {
            let key = keys.row(row);
            if !head_keys.contains(key.as_ref())? {
                let stamp =
                    Stamp { event_time: batch.event_time(row), sequence: batch.sequence(row) };
                let want = Want { entity: batch.entity(row), replaces: vec![stamp], write: false };
                gone.push((Key::from(key.as_ref()), want));
            }
            if gone.len() >= KEYS_MAX {
                return Ok(send(std::mem::take(&mut gone)));
            }
            Ok(true)
        })?;
        if !gone.is_empty() {
            send(gone);
        }
        Ok(())
    })
}

/// Walks the sorted keys of a partition.
struct KeyCursor<'a> {
    data: &'a ViewData,
    converter: &'a RowConverter,
    batches: Box<dyn Iterator<Item = Result<arrow::record_batch::RecordBatch, Error>>>,
    keys: Option<Rows>,
    row: usize,
}

impl<'a> KeyCursor<'a> {
    fn new(
        data: &'a ViewData,
        converter: &'a RowConverter,
        paths: &[std::path::PathBuf],
        columns: &[String],
    ) -> Result<Self, Error> {
        let mut batches: Box<dyn Iterator<Item = _>> = Box::new(std::iter::empty());
        for path in paths {
            batches = Box::new(batches.chain(read_batches(path, Some(columns))?));
        }
        Ok(Self { data, converter, batches, keys: None, row: 0 })
    }

    /// Whether the key is there. Keys must be asked for in order.
    fn contains(&mut self, wanted: &[u8]) -> Result<bool, Error> {
        loop {
            if let Some(keys) = &self.keys {
                while self.row < keys.num_rows() {
                    match keys.row(self.row).as_ref().cmp(wanted) {
                        std::cmp::Ordering::Less => self.row += 1,
                        std::cmp::Ordering::Equal => return Ok(true),
                        std::cmp::Ordering::Greater => return Ok(false),
                    }
                }
            }
            let Some(batch) = self.batches.next() else { return Ok(false) };
            let batch = PublishedBatch::new(&self.data.view, &self.data.schema, &batch?)
                .map_err(Error::Internal)?;
            self.keys = Some(self.converter.convert_columns(batch.key_arrays())?);
            self.row = 0;
        }
    }
}
