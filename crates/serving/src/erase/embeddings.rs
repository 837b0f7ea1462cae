//! Deleting a subject's embeddings: documents that no row names, by the sentence of
//! `docs/decisions/0008-embeddings.md`. When this begins, no row of before the erasure is left; what a row
//! names was written since, and stays.

use std::sync::Arc;

use tokio::time::Instant;
use trivium_store::embedding::sweep_subject;

use super::run::{Held, Stopped};
use crate::{Serving, ViewDefinition, embedding::RowOwners};

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
            .flat_map(|view| (0..view.embeddings.len()).map(move |part| (Arc::clone(view), part)))
            .collect();
        if specs.is_empty() {
            return Ok(());
        }
        // A document that a writer was about to put when the tombstone came is there by then.
        let longest_write = std::time::Duration::from_millis(self.options().store_time_ms_max);
        self.wait_holding(held, began + longest_write).await?;
        for (view, part) in specs {
            let spec = &view.embeddings[part].spec;
            let owners = RowOwners::new(self, &view, part);
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
