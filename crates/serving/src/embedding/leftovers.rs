//! What a request leaves behind: documents that it took the place of, and those of its attempts that came
//! to nothing. Whether one of them may go is decided by its row, read again: a document with a rev up to
//! the row's, which the row does not name, will never be named.

use std::{collections::HashMap, sync::Arc, time::Instant};

use trivium_codec::{Row, RowKey};
use trivium_runtime::trace;
use trivium_store::embedding::{DocumentId, Owner, Owners as _};

use super::{draft::Part, indexes::CLEANING_TIME_MAX, owners::RowOwners};
use crate::{Serving, definitions::ViewDefinition, write::Write};

/// Gathered while a request writes.
#[derive(Debug, Default)]
pub(crate) struct Leftovers {
    /// Write, index in the view's embeddings, rev.
    candidates: Vec<(usize, usize, u64)>,
    /// Documents that searches see, the same way.
    seen: Vec<(usize, usize, u64)>,
    /// What each row names in the end that searches may not see.
    unseen: Vec<(usize, usize)>,
}

impl Leftovers {
    /// A document was written for a row that is not written yet.
    pub(crate) fn made(&mut self, at: usize, part: usize, rev: u64, is_seen: bool) {
        self.candidates.push((at, part, rev));
        if is_seen {
            self.seen.push((at, part, rev));
        }
    }

    /// The write will take the place of this row.
    pub(crate) fn superseding(&mut self, view: &ViewDefinition, at: usize, row: Option<&Row>) {
        let Some(row) = row else { return };
        for (part, feature) in view.embeddings.iter().enumerate() {
            // One that cannot be read is the sweeper's.
            if let Ok(Some(named)) = view.named(row, feature) {
                self.candidates.push((at, part, named.rev));
            }
        }
    }

    /// The row was written with these embeddings; none of a delete.
    pub(crate) fn applied(&mut self, at: usize, parts: &[Part]) {
        for (part, held) in parts.iter().enumerate() {
            let Some(named) = held.named() else { continue };
            let one = (at, part, named.rev);
            self.candidates.retain(|candidate| *candidate != one);
            if !self.seen.contains(&one) {
                self.unseen.push((at, part));
            }
        }
    }

    /// The write had been applied before: what it names may not be seen yet.
    pub(crate) fn applied_before(&mut self, view: &ViewDefinition, at: usize) {
        self.unseen.extend((0..view.embeddings.len()).map(|part| (at, part)));
    }

    /// Whether a refresh has to come before searches see what a write's row names for a feature.
    pub(crate) fn is_unseen(&self, at: usize, part: usize) -> bool {
        self.unseen.contains(&(at, part))
    }
}

impl Serving {
    /// Deletes what will never be named, beside the request that left it. Best effort: the sweeper finds
    /// what is missed here.
    pub(crate) fn clean(
        &self,
        view: &Arc<ViewDefinition>,
        writes: &[Write],
        leftovers: &mut Leftovers,
    ) {
        let mut by_part: HashMap<usize, Vec<DocumentId>> = HashMap::new();
        for (at, part, rev) in leftovers.candidates.drain(..) {
            let id = DocumentId { key: writes[at].key.clone(), rev };
            by_part.entry(part).or_default().push(id);
        }
        if by_part.is_empty() {
            return;
        }
        let Some(indexes) = self.indexes() else { return };
        let Some(permit) = indexes.may_clean() else { return };
        let (index, serving) = (Arc::clone(&indexes.index), self.clone());
        let view = Arc::clone(view);
        tokio::spawn(trace::carried(async move {
            let _permit = permit;
            let deadline = Instant::now().checked_add(CLEANING_TIME_MAX);
            for (part, ids) in by_part {
                let owners = RowOwners::new(&serving, &view, part);
                let leftovers = never_named(&owners, ids).await;
                if leftovers.is_empty() {
                    continue;
                }
                let spec = &view.embeddings[part].spec;
                for result in index.delete(spec, &leftovers, deadline).await {
                    if let Err(error) = result {
                        tracing::debug!(index = %spec, %error, "a leftover stays for the sweeper");
                    }
                }
            }
        }));
    }
}

/// Those that no row will ever name.
async fn never_named(owners: &RowOwners<'_>, ids: Vec<DocumentId>) -> Vec<DocumentId> {
    let mut keys: Vec<RowKey> = ids.iter().map(|id| id.key.clone()).collect();
    keys.sort();
    keys.dedup();
    let read = owners.owners(&keys).await;
    let rows: HashMap<&RowKey, Owner> =
        keys.iter().zip(read).filter_map(|(key, row)| Some((key, row.ok()?))).collect();
    let is_certain = |id: &DocumentId| {
        rows.get(&id.key).is_some_and(|row| id.rev <= row.rev && row.names != Some(id.rev))
    };
    ids.iter().filter(|id| is_certain(id)).cloned().collect()
}
