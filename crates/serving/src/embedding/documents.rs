//! Getting documents from the indexes, by the rows that name them.

use std::{collections::HashMap, time::Instant};

use futures::future::join_all;
use trivium_codec::RowKey;
use trivium_store::{
    Error,
    embedding::{Document, DocumentId, DocumentRef, EmbeddingIndex, IndexSpec},
};

/// One wanted document: whose it is among the caller's rows, and where it is.
pub(crate) struct Wanted<'a> {
    /// The caller's own numbers for row and feature.
    pub(crate) place: (usize, usize),
    pub(crate) spec: &'a IndexSpec,
    pub(crate) key: &'a RowKey,
    pub(crate) reference: DocumentRef,
}

/// What was found at each place. `None`: not that document, so the row has moved since it was read.
pub(crate) type Fetched = HashMap<(usize, usize), Result<Option<Document>, Error>>;

/// Gets documents in real time, one batch an index.
pub(crate) async fn fetch(
    index: &dyn EmbeddingIndex,
    wanted: Vec<Wanted<'_>>,
    deadline: Option<Instant>,
) -> Fetched {
    let mut batches: Vec<(&IndexSpec, Vec<Wanted<'_>>)> = Vec::new();
    for one in wanted {
        match batches.iter_mut().find(|(spec, _)| *spec == one.spec) {
            Some((_, batch)) => batch.push(one),
            None => batches.push((one.spec, vec![one])),
        }
    }
    let gets = batches.into_iter().map(|(spec, batch)| async move {
        let id = |one: &Wanted<'_>| DocumentId { key: one.key.clone(), rev: one.reference.rev };
        let ids: Vec<DocumentId> = batch.iter().map(id).collect();
        let mut found = index.get(spec, &ids, deadline).await;
        found.resize_with(ids.len(), || Err(no_answer(spec)));
        let judged = batch.into_iter().zip(found).map(|(one, found)| {
            // Another one under the same id: the digest knows.
            let is_it = |document: &Document| one.reference.names(document);
            (one.place, found.map(|document| document.filter(is_it)))
        });
        judged.collect::<Vec<_>>()
    });
    join_all(gets).await.into_iter().flatten().collect()
}

pub(crate) fn no_answer(spec: &IndexSpec) -> Error {
    Error::Unknown(format!("the embedding index of {spec} answered for fewer documents than asked"))
}

/// What a row's embedding being gone for good is told as.
pub(crate) fn lost(spec: &IndexSpec) -> Error {
    Error::Corrupt(format!(
        "the embedding of {spec} that the row names is not in the embedding index"
    ))
}
