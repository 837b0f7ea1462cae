//! An index in memory that looks at every document: exact, so that others are compared with it. Nothing
//! survives it.

use std::{
    collections::{BTreeMap, HashMap},
    ops::Bound,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use async_trait::async_trait;
use trivium_codec::RowKey;

use super::{
    Document, DocumentId, EmbeddingIndex, Ensured, Hit, IndexSpec, ListPage, Listing, Nearest,
    PutOutcome, Visible, by_nearness, check_document, check_id, check_nearest, check_spec, score,
};
use crate::{Error, check_deadline};

/// How many ids a page has.
const PAGE: usize = 500;

/// Indexes by name. Everything is visible at once, which is more than the port promises.
#[derive(Debug, Default)]
pub struct MemoryIndex {
    indexes: Mutex<HashMap<String, Index>>,
}

#[derive(Debug)]
struct Index {
    spec: IndexSpec,
    /// By rev, then key: the order of listings.
    documents: BTreeMap<(u64, RowKey), Document>,
}

impl MemoryIndex {
    /// Without any index.
    pub fn new() -> Self {
        Self::default()
    }

    /// A panic elsewhere leaves each map whole: every change is a single insert or removal.
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Index>> {
        self.indexes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with<T>(
        &self,
        spec: &IndexSpec,
        deadline: Option<Instant>,
        work: impl FnOnce(&mut Index) -> T,
    ) -> Result<T, Error> {
        check_deadline(deadline)?;
        match self.lock().get_mut(&spec.to_string()) {
            Some(index) => Ok(work(index)),
            None => Err(Error::Unavailable(format!("{spec} has no embedding index yet"))),
        }
    }
}

fn order_of(id: &DocumentId) -> (u64, RowKey) {
    (id.rev, id.key.clone())
}

impl Index {
    fn put(&mut self, spec: &IndexSpec, document: Document) -> Result<PutOutcome, Error> {
        check_document(spec, &document)?;
        let at = order_of(&document.id);
        match self.documents.get(&at) {
            Some(there) if there.is_same(&document) => Ok(PutOutcome::Stored),
            Some(_) => Ok(PutOutcome::Taken),
            None => {
                self.documents.insert(at, document);
                Ok(PutOutcome::Stored)
            }
        }
    }
}

#[async_trait]
impl EmbeddingIndex for MemoryIndex {
    async fn ensure(&self, spec: &IndexSpec, deadline: Option<Instant>) -> Result<Ensured, Error> {
        check_deadline(deadline)?;
        check_spec(spec)?;
        let mut indexes = self.lock();
        let Some(index) = indexes.get_mut(&spec.to_string()) else {
            let index = Index { spec: spec.clone(), documents: BTreeMap::new() };
            indexes.insert(spec.to_string(), index);
            return Ok(Ensured::Created);
        };
        index.spec = index.spec.updated(spec)?;
        Ok(Ensured::Present)
    }

    async fn remove(&self, spec: &IndexSpec, deadline: Option<Instant>) -> Result<(), Error> {
        check_deadline(deadline)?;
        self.lock().remove(&spec.to_string());
        Ok(())
    }

    async fn put(
        &self,
        spec: &IndexSpec,
        documents: Vec<Document>,
        _: Visible,
        deadline: Option<Instant>,
    ) -> Vec<Result<PutOutcome, Error>> {
        let count = documents.len();
        self.with(spec, deadline, |index| {
            documents.into_iter().map(|document| index.put(spec, document)).collect()
        })
        .unwrap_or_else(|error| vec![Err(error); count])
    }

    async fn get(
        &self,
        spec: &IndexSpec,
        ids: &[DocumentId],
        deadline: Option<Instant>,
    ) -> Vec<Result<Option<Document>, Error>> {
        self.with(spec, deadline, |index| {
            let get = |id| check_id(spec, id).map(|()| index.documents.get(&order_of(id)).cloned());
            ids.iter().map(get).collect()
        })
        .unwrap_or_else(|error| vec![Err(error); ids.len()])
    }

    async fn delete(
        &self,
        spec: &IndexSpec,
        ids: &[DocumentId],
        deadline: Option<Instant>,
    ) -> Vec<Result<bool, Error>> {
        self.with(spec, deadline, |index| {
            ids.iter()
                .map(|id| {
                    check_id(spec, id).map(|()| index.documents.remove(&order_of(id)).is_some())
                })
                .collect()
        })
        .unwrap_or_else(|error| vec![Err(error); ids.len()])
    }

    async fn nearest(
        &self,
        spec: &IndexSpec,
        query: &Nearest,
        deadline: Option<Instant>,
    ) -> Result<Vec<Hit>, Error> {
        check_nearest(spec, query)?;
        self.with(spec, deadline, |index| {
            let passes = |document: &&Document| {
                query.filter.as_ref().is_none_or(|filter| filter.passes(document))
            };
            let mut hits: Vec<Hit> = index
                .documents
                .values()
                .filter(passes)
                .map(|document| Hit {
                    id: document.id.clone(),
                    score: score(spec.metric, &document.vector, &query.vector),
                })
                .filter(|hit| query.score_min.is_none_or(|least| hit.score >= least))
                .collect();
            hits.sort_by(by_nearness);
            hits.truncate(query.k);
            hits
        })
    }

    async fn list(
        &self,
        spec: &IndexSpec,
        listing: &Listing,
        after: Option<&str>,
        deadline: Option<Instant>,
    ) -> Result<ListPage, Error> {
        let after = after.map(DocumentId::from_token).transpose()?;
        self.with(spec, deadline, |index| {
            let from = after.as_ref().map_or(Bound::Unbounded, |id| Bound::Excluded(order_of(id)));
            let mut found = index
                .documents
                .range((from, Bound::Unbounded))
                .map(|(_, document)| document)
                .filter(|document| listing.wants(document));
            let ids: Vec<DocumentId> =
                found.by_ref().take(PAGE).map(|document| document.id.clone()).collect();
            let next = found.next().and_then(|_| ids.last()).map(DocumentId::to_token);
            ListPage { ids, next }
        })
    }

    async fn refresh(&self, spec: &IndexSpec, deadline: Option<Instant>) -> Result<(), Error> {
        self.with(spec, deadline, |_| ())
    }
}
