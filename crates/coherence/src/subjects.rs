//! Finding a subject's rows, and subjects' tombstones: the authority's business. What is deleted is deleted
//! by ordinary writes, so that the cache hears of it.

use async_trait::async_trait;
use trivium_codec::RowKey;
use trivium_store::{
    Authority, Error, OpenPage, RowCache, SubjectPage, SubjectRow, SubjectStore, SubjectTombstone,
    Subjects,
};

use crate::{CoherentStore, NearCopies};

#[async_trait]
impl<A: Authority + SubjectStore + 'static, C: RowCache + 'static> Subjects
    for CoherentStore<A, C>
{
    async fn keys_of(&self, subject: &str, after: Option<&str>) -> Result<SubjectPage, Error> {
        self.authority().keys_of(subject, after).await
    }
}

#[async_trait]
impl<A: Authority + SubjectStore + 'static, C: RowCache + 'static> SubjectStore
    for CoherentStore<A, C>
{
    async fn rows_of(
        &self,
        subject: &str,
        keys: &[RowKey],
    ) -> Vec<Result<Option<SubjectRow>, Error>> {
        self.authority().rows_of(subject, keys).await
    }
    async fn tombstone(&self, subject: &str) -> Result<Option<SubjectTombstone>, Error> {
        self.authority().tombstone(subject).await
    }
    async fn swap_tombstone(
        &self,
        subject: &str,
        expected: Option<&SubjectTombstone>,
        new: &SubjectTombstone,
    ) -> Result<bool, Error> {
        self.authority().swap_tombstone(subject, expected, new).await
    }
    async fn open_tombstones(&self, after: Option<&str>) -> Result<OpenPage, Error> {
        self.authority().open_tombstones(after).await
    }
    /// A fence keeps the row that was the newest when it was placed. Whoever died after that left it there, though
    /// the row is gone: until its deadline, and somebody's repair. What is of ended epochs the keepers sweep.
    async fn are_forgotten(&self, keys: &[RowKey]) -> bool {
        self.has_forgotten(keys).await
    }
}

#[async_trait]
impl<S: SubjectStore> Subjects for NearCopies<S> {
    async fn keys_of(&self, subject: &str, after: Option<&str>) -> Result<SubjectPage, Error> {
        self.inner().keys_of(subject, after).await
    }
}

#[async_trait]
impl<S: SubjectStore> SubjectStore for NearCopies<S> {
    async fn rows_of(
        &self,
        subject: &str,
        keys: &[RowKey],
    ) -> Vec<Result<Option<SubjectRow>, Error>> {
        self.inner().rows_of(subject, keys).await
    }
    async fn tombstone(&self, subject: &str) -> Result<Option<SubjectTombstone>, Error> {
        self.inner().tombstone(subject).await
    }
    async fn swap_tombstone(
        &self,
        subject: &str,
        expected: Option<&SubjectTombstone>,
        new: &SubjectTombstone,
    ) -> Result<bool, Error> {
        self.inner().swap_tombstone(subject, expected, new).await
    }
    async fn open_tombstones(&self, after: Option<&str>) -> Result<OpenPage, Error> {
        self.inner().open_tombstones(after).await
    }
    /// Copies here are no older than readers allow; that is their bound.
    async fn are_forgotten(&self, keys: &[RowKey]) -> bool {
        self.inner().are_forgotten(keys).await
    }
}
