//! Creating documents: each under the first rev above its row's that is free, or that has the same document.

use futures::{StreamExt as _, stream};
use trivium_store::{
    DoorError, Error,
    embedding::{Document, DocumentId, DocumentRef, IndexSpec, PutOutcome, Visible},
};

use super::{documents::no_answer, draft::said, put::Request};

/// Ids that are looked at together for a free one.
const PROBES: u64 = 64;
/// Times that this is done: more ids than one row's writers can have left before the sweeper came.
const DRAWS_MAX: usize = 16;

/// Rows whose ids are looked at at a time.
const DRAWS_AT_A_TIME: usize = 16;

/// A document that is there.
pub(crate) struct Made {
    pub(crate) reference: DocumentRef,
    /// Whether searches see it already.
    pub(crate) is_seen: bool,
}

/// Creates documents of one index, each under the first rev from its own that is free, or that has the
/// same document: what an earlier attempt at the same put has left is used.
pub(crate) async fn create(
    request: &Request<'_>,
    spec: &IndexSpec,
    documents: Vec<(usize, Document)>,
) -> Vec<(usize, Result<Made, DoorError>)> {
    let (index, deadline) = (&*request.indexes.index, request.deadline);
    let mut made = Vec::with_capacity(documents.len());
    if documents.is_empty() {
        return made;
    }
    let mut open = documents;
    if let Err(error) = request.indexes.ensure(spec, deadline).await {
        return open.into_iter().map(|(place, _)| (place, Err(refused(error.clone())))).collect();
    }
    for _ in 0..DRAWS_MAX {
        let batch: Vec<Document> = open.iter().map(|(_, document)| document.clone()).collect();
        let count = batch.len();
        let mut put = index.put(spec, batch, request.visible, deadline).await;
        put.resize_with(count, || Err(no_answer(spec)));
        let mut taken = Vec::new();
        for ((place, document), result) in open.into_iter().zip(put) {
            match result {
                Ok(PutOutcome::Stored) => {
                    let is_seen = request.visible == Visible::Now;
                    let reference = DocumentRef::of(&document);
                    made.push((place, Ok(Made { reference, is_seen })));
                }
                Ok(PutOutcome::Taken) => taken.push((place, document)),
                Err(error) => made.push((place, Err(refused(error)))),
            }
        }
        open = Vec::new();
        // Side by side: rows with many leftovers must not wait for each other until the deadline.
        let draws = taken.into_iter().map(|(place, document)| async move {
            let drawn = next_free(request, spec, &document).await;
            (place, document, drawn)
        });
        let mut draws = stream::iter(draws).buffered(DRAWS_AT_A_TIME);
        while let Some((place, document, drawn)) = draws.next().await {
            match drawn {
                Ok(Drawn::Same(reference)) => {
                    made.push((place, Ok(Made { reference, is_seen: false })));
                }
                Ok(Drawn::Free(rev)) => {
                    let id = DocumentId { rev, ..document.id };
                    open.push((place, Document { id, ..document }));
                }
                Err(error) => made.push((place, Err(refused(error)))),
            }
        }
        if open.is_empty() {
            return made;
        }
    }
    let crowded = || {
        DoorError::Store(Error::Throttled(format!(
            "the embedding index of {spec} holds too many leftovers of this row; they are swept"
        )))
    };
    made.extend(open.into_iter().map(|(place, _)| (place, Err(crowded()))));
    made
}

enum Drawn {
    /// Nothing is there, or nothing was.
    Free(u64),
    /// The same document but for its event time, which nobody reads: a put without an event time has
    /// another one in each attempt, and would leave a document behind every time.
    Same(DocumentRef),
}

async fn next_free(
    request: &Request<'_>,
    spec: &IndexSpec,
    document: &Document,
) -> Result<Drawn, Error> {
    let first = document.id.rev;
    let id = |rev| DocumentId { key: document.id.key.clone(), rev };
    let ids: Vec<DocumentId> =
        (0..PROBES).map_while(|step| first.checked_add(step)).map(id).collect();
    let found = request.indexes.index.get(spec, &ids, request.deadline).await;
    for (id, found) in ids.into_iter().zip(found) {
        let Some(there) = found? else { return Ok(Drawn::Free(id.rev)) };
        let rev = id.rev;
        let ours = Document { id, event_time: there.event_time, ..document.clone() };
        if there.is_same(&ours) {
            return Ok(Drawn::Same(DocumentRef::of(&there)));
        }
        if rev == u64::MAX {
            break;
        }
    }
    Ok(Drawn::Free(first.saturating_add(PROBES)))
}

/// An index's error before the row was written: whatever became of the document, nothing was.
pub(crate) fn refused(error: Error) -> DoorError {
    DoorError::Store(match error {
        Error::Unknown(_) => Error::Unavailable(said(&error)),
        other => other,
    })
}
