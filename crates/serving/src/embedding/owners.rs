//! The rows that documents belong to, for the sweeper.

use async_trait::async_trait;
use trivium_codec::RowKey;
use trivium_model::Timestamp;
use trivium_store::{
    Condition, DoorError, Error, Order, ReadOptions, RowWrite, WriteId, WriteOp,
    embedding::{Owner, Owners},
};

use crate::{Serving, definitions::ViewDefinition};

/// Rows read and moved at once.
const BATCH: usize = 500;

/// What a write id becomes when its row is moved up, and back again. A store would take a write under the
/// row's own id for a retry and change nothing; a retry of the write that made the row has to know it.
const MOVED: u128 = 0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c834;

fn moved(id: WriteId) -> WriteId {
    // An id that would become none stays; no hash and no random id is this constant.
    if id.0 == 0 || id.0 == MOVED { id } else { WriteId(id.0 ^ MOVED) }
}

/// Whether a row, moved up since or not, was made by this very write.
pub(crate) fn is_retry(row: WriteId, write: WriteId) -> bool {
    write.0 != 0 && (row == write || row == moved(write))
}

/// The rows of one view, seen from one of its embeddings.
pub(crate) struct RowOwners<'a> {
    serving: &'a Serving,
    view: &'a ViewDefinition,
    part: usize,
}

impl<'a> RowOwners<'a> {
    /// `part`: index in the view's embeddings.
    pub(crate) fn new(serving: &'a Serving, view: &'a ViewDefinition, part: usize) -> Self {
        Self { serving, view, part }
    }
}

#[async_trait]
impl Owners for RowOwners<'_> {
    async fn owners(&self, keys: &[RowKey]) -> Vec<Result<Owner, Error>> {
        let mut owners = Vec::with_capacity(keys.len());
        for batch in keys.chunks(BATCH) {
            let options =
                ReadOptions { deadline: self.serving.deadline(), ..ReadOptions::default() };
            let rows = self.serving.store_read(batch, &options).await;
            owners.extend(rows.into_iter().map(|row| {
                let Some(row) = row? else { return Ok(Owner::default()) };
                let names = self.view.named(&row, &self.view.embeddings[self.part])?;
                Ok(Owner { rev: row.rev(), names: names.map(|named| named.rev) })
            }));
        }
        owners
    }

    async fn move_up(&self, key: &RowKey, rev: u64) -> Result<(), Error> {
        let deadline = self.serving.deadline();
        let options = ReadOptions { deadline, ..ReadOptions::default() };
        let read = self.serving.store_read(std::slice::from_ref(key), &options).await;
        let row = match read.into_iter().next() {
            Some(row) => row?,
            None => return Ok(()),
        };
        if row.as_ref().map_or(0, trivium_codec::Row::rev) != rev {
            return Ok(());
        }
        let mut write_id = WriteId(0);
        let (op, order) = match row {
            None => {
                let oldest = Timestamp(i64::MIN);
                (WriteOp::Delete, Order::At { event_time: oldest, sequence: Some(0) })
            }
            Some(row) => {
                let header = row.header();
                write_id = moved(WriteId(header.write_id));
                let order = Order::Replacing {
                    event_time: header.event_time,
                    sequence: header.sequence,
                    new_event_time: header.event_time,
                    new_sequence: header.sequence,
                };
                (if row.is_deleted() { WriteOp::Delete } else { WriteOp::Put(row) }, order)
            }
        };
        let write = RowWrite {
            key: key.clone(),
            op,
            order,
            condition: Condition::ExactRev(rev),
            write_id,
            ttl: self.view.row_ttl(),
            subject: self.view.subject_of(key),
        };
        match self.serving.store_write(vec![write], deadline).await.into_iter().next() {
            Some(Err(DoorError::Store(error))) => Err(error),
            _ => Ok(()),
        }
    }
}
