//! Deleting a subject's embeddings: documents that no row names, by the sentence of
//! `docs/decisions/0008-embeddings.md`. When this begins, no row of before the erasure is left; what a row
//! names was written since, and stays.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::time::Instant;
use trivium_codec::{Row, RowKey, ValueRef};
use trivium_model::Timestamp;
use trivium_store::{
    Condition, Error, Order, ReadOptions, RowWrite, Stamp, WriteOp,
    embedding::{DocumentRef, Owner, Owners, sweep_subject},
};

use super::run::{Held, Stopped};
use crate::{Serving, ViewDefinition};

impl Serving {
    /// In every index of the person's views.
    pub(super) async fn delete_embeddings(
        &self,
        held: &mut Held,
        began: Instant,
    ) -> Result<(), Stopped> {
        let Some(index) = self.stores().embeddings.clone() else { return Ok(()) };
        let definitions = self.definitions();
        let specs: Vec<(Arc<ViewDefinition>, usize)> = definitions
            .all()
            .filter(|view| view.reference.namespace.as_str() == held.job.person.namespace)
            .filter(|view| {
                view.subject_key()
                    .is_some_and(|(name, _)| name.as_str() == held.job.person.join_key)
            })
            .flat_map(|view| {
                view.embeddings.iter().map(move |embedding| (Arc::clone(view), embedding.field))
            })
            .collect();
        if specs.is_empty() {
            return Ok(());
        }
        // A document that a writer was about to put when the tombstone came is there by then.
        let longest_write = std::time::Duration::from_millis(self.options().store_time_ms_max);
        self.wait_holding(held, began + longest_write).await?;
        for (view, field) in specs {
            let Some(spec) = view.embeddings.iter().find(|embedding| embedding.field == field)
            else {
                continue;
            };
            let spec = &spec.spec;
            let subject = Arc::clone(&held.subject);
            let owners = Named { serving: self, subject, view: Arc::clone(&view), field };
            // One that nobody has put into yet is made: empty is what it is to be.
            index.ensure(spec, None).await?;
            // The index's own limits hold for each of its steps.
            let swept = sweep_subject(&*index, spec, &owners, &held.subject, None).await?;
            *held.job.embeddings.entry(spec.to_string()).or_default() += swept.deleted;
            if swept.left > 0 {
                return Err(Stopped::Failed(format!(
                    "{} embeddings in {spec} could not be judged",
                    swept.left
                )));
            }
            self.save(held).await?;
        }
        Ok(())
    }
}

/// Rows as the owners of embeddings. A deleted row, or none, names nothing.
struct Named<'a> {
    serving: &'a Serving,
    subject: Arc<str>,
    view: Arc<ViewDefinition>,
    field: usize,
}

impl Named<'_> {
    async fn row(&self, key: &RowKey) -> Result<Option<Row>, Error> {
        let options = ReadOptions { deadline: self.serving.deadline(), ..ReadOptions::default() };
        let row = self.serving.store_read(std::slice::from_ref(key), &options).await.pop();
        Ok(row.transpose()?.flatten())
    }

    /// What a row that was written since the request names.
    fn named(&self, row: &Row) -> Result<Option<u64>, Error> {
        let corrupt = |error: trivium_codec::Error| Error::Corrupt(error.to_string());
        let reader = self.view.layouts.reader(row).map_err(corrupt)?;
        Ok(match reader.get(self.field).map_err(corrupt)? {
            Some(ValueRef::Bytes(bytes)) => DocumentRef::from_bytes(bytes).map(|named| named.rev),
            _ => None,
        })
    }
}

#[async_trait]
impl Owners for Named<'_> {
    async fn owners(&self, keys: &[RowKey]) -> Vec<Result<Owner, Error>> {
        let options = ReadOptions { deadline: self.serving.deadline(), ..ReadOptions::default() };
        let rows = self.serving.store_read(keys, &options).await;
        rows.into_iter()
            .map(|row| match row? {
                None => Ok(Owner::default()),
                Some(row) if row.is_deleted() => Ok(Owner { rev: row.rev(), names: None }),
                Some(row) => Ok(Owner { rev: row.rev(), names: self.named(&row)? }),
            })
            .collect()
    }

    async fn move_up(&self, key: &RowKey, rev: u64) -> Result<(), Error> {
        let row = self.row(key).await?;
        let order = match row.as_ref().map(Stamp::of) {
            // Older than everything.
            None => Order::At { event_time: Timestamp(i64::MIN), sequence: Some(0) },
            Some(stamp) => Order::Replacing {
                event_time: stamp.event_time,
                sequence: stamp.sequence,
                new_event_time: stamp.event_time,
                new_sequence: stamp.sequence,
            },
        };
        let op = match row {
            Some(row) if !row.is_deleted() => WriteOp::Put(row),
            _ => WriteOp::Delete,
        };
        let write = RowWrite {
            condition: Condition::ExactRev(rev),
            subject: Some(Arc::clone(&self.subject)),
            ttl: self.view.row_ttl(),
            ..RowWrite::new(key.clone(), op, order)
        };
        let seed = u64::try_from(self.serving.wall_now().0).unwrap_or(1);
        let mut outcomes =
            self.serving.stores().writer.write(vec![write], seed, self.serving.deadline()).await;
        outcomes.pop().map_or_else(
            || Err(Error::Unavailable("the store left a row unanswered".to_owned())),
            |outcome| outcome.map(|_| ()),
        )
    }
}
