//! An index of embeddings, measured.

use std::time::Instant;

use async_trait::async_trait;

use super::{Metered, one, rows};
use crate::{
    Error,
    embedding::{
        Document, DocumentId, EmbeddingIndex, Ensured, Hit, IndexSpec, ListPage, Listing, Nearest,
        PutOutcome, Visible,
    },
};

#[async_trait]
impl<T: EmbeddingIndex> EmbeddingIndex for Metered<T> {
    async fn ensure(&self, spec: &IndexSpec, deadline: Option<Instant>) -> Result<Ensured, Error> {
        self.timed("ensure", self.inner.ensure(spec, deadline), one).await
    }
    async fn remove(&self, spec: &IndexSpec, deadline: Option<Instant>) -> Result<(), Error> {
        self.timed("remove", self.inner.remove(spec, deadline), one).await
    }
    async fn put(
        &self,
        spec: &IndexSpec,
        documents: Vec<Document>,
        visible: Visible,
        deadline: Option<Instant>,
    ) -> Vec<Result<PutOutcome, Error>> {
        // One that waits for a refresh takes a second; it would hide what the others take.
        let operation = if visible == Visible::Now { "put_and_wait" } else { "put" };
        self.timed(operation, self.inner.put(spec, documents, visible, deadline), rows).await
    }
    async fn get(
        &self,
        spec: &IndexSpec,
        ids: &[DocumentId],
        deadline: Option<Instant>,
    ) -> Vec<Result<Option<Document>, Error>> {
        self.timed("get", self.inner.get(spec, ids, deadline), rows).await
    }
    async fn delete(
        &self,
        spec: &IndexSpec,
        ids: &[DocumentId],
        deadline: Option<Instant>,
    ) -> Vec<Result<bool, Error>> {
        self.timed("delete", self.inner.delete(spec, ids, deadline), rows).await
    }
    async fn nearest(
        &self,
        spec: &IndexSpec,
        query: &Nearest,
        deadline: Option<Instant>,
    ) -> Result<Vec<Hit>, Error> {
        self.timed("nearest", self.inner.nearest(spec, query, deadline), one).await
    }
    async fn list(
        &self,
        spec: &IndexSpec,
        listing: &Listing,
        after: Option<&str>,
        deadline: Option<Instant>,
    ) -> Result<ListPage, Error> {
        self.timed("list", self.inner.list(spec, listing, after, deadline), one).await
    }
    async fn refresh(&self, spec: &IndexSpec, deadline: Option<Instant>) -> Result<(), Error> {
        self.timed("refresh", self.inner.refresh(spec, deadline), one).await
    }
}
