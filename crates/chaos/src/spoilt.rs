//! A node whose writers do not fence and whose readers do not raise barriers, to show that the checks
//! would find that out. Around the stores that a node is wired with, so that the protocol itself has no
//! such switch.

use std::time::Instant;

use async_trait::async_trait;
use bytes::Bytes;
use trivium_codec::{Row, RowKey};
use trivium_store::{
    Authority, Barrier, CacheEntry, CacheEpoch, CacheError, CacheServer, Checkpoints, EpochRecord,
    Error, FenceId, FencePage, FencedOutcome, LeaseToken, OnlineRead, OpenPage, ReadOptions,
    RowCache, RowWrite, SubjectPage, SubjectRow, SubjectStore, SubjectTombstone, Subjects,
};

/// Says that every fence stands, and places none.
#[derive(Debug)]
pub struct WithoutFences<C>(pub C);

#[async_trait]
impl<C: RowCache> RowCache for WithoutFences<C> {
    async fn look(
        &self,
        epoch: CacheEpoch,
        keys: &[RowKey],
    ) -> Vec<Result<CacheEntry, CacheError>> {
        self.0.look(epoch, keys).await
    }
    async fn lease(
        &self,
        epoch: CacheEpoch,
        keys: &[(RowKey, LeaseToken)],
    ) -> Vec<Result<CacheEntry, CacheError>> {
        self.0.lease(epoch, keys).await
    }
    async fn fill(
        &self,
        epoch: CacheEpoch,
        rows: &[(RowKey, LeaseToken, Row)],
    ) -> Vec<Result<bool, CacheError>> {
        self.0.fill(epoch, rows).await
    }
    async fn fence(
        &self,
        _: CacheEpoch,
        fences: &[(RowKey, FenceId)],
    ) -> Vec<Result<(), CacheError>> {
        vec![Ok(()); fences.len()]
    }
    async fn unfence(
        &self,
        _: CacheEpoch,
        fences: &[(RowKey, FenceId, Option<Row>)],
    ) -> Vec<Result<bool, CacheError>> {
        vec![Ok(true); fences.len()]
    }
    async fn mark(&self, epoch: CacheEpoch) -> Result<(), CacheError> {
        self.0.mark(epoch).await
    }
    fn admit(&self, servers: &[String]) {
        self.0.admit(servers);
    }
    async fn servers(&self) -> Result<Vec<CacheServer>, CacheError> {
        self.0.servers().await
    }
    async fn fences(&self, epoch: CacheEpoch, cursor: u64) -> Result<FencePage, CacheError> {
        self.0.fences(epoch, cursor).await
    }
    async fn sweep(&self, before: u64) -> Result<bool, CacheError> {
        self.0.sweep(before).await
    }
}

/// Reads the row where it was to raise its barrier.
#[derive(Debug)]
pub struct WithoutBarriers<A>(pub A);

#[async_trait]
impl<A: Authority> OnlineRead for WithoutBarriers<A> {
    async fn get(&self, keys: &[RowKey], options: &ReadOptions) -> Vec<Result<Option<Row>, Error>> {
        self.0.get(keys, options).await
    }
}

#[async_trait]
impl<A: Authority> Authority for WithoutBarriers<A> {
    async fn write_fenced(
        &self,
        write: RowWrite,
        fence: Barrier,
        seed_micros: u64,
        deadline: Option<Instant>,
    ) -> Result<FencedOutcome, Error> {
        self.0.write_fenced(write, fence, seed_micros, deadline).await
    }
    async fn raise_barrier(
        &self,
        key: &RowKey,
        _: Barrier,
        _: u64,
        deadline: Option<Instant>,
    ) -> Result<Option<Row>, Error> {
        let mut rows = self.0.get_with_barrier(std::slice::from_ref(key), deadline).await;
        let forgotten = || Err(Error::Unavailable("no row was answered".to_owned()));
        rows.pop().unwrap_or_else(forgotten).map(|(row, _)| row)
    }
    async fn get_with_barrier(
        &self,
        keys: &[RowKey],
        deadline: Option<Instant>,
    ) -> Vec<Result<(Option<Row>, Barrier), Error>> {
        self.0.get_with_barrier(keys, deadline).await
    }
    async fn epoch(&self) -> Result<Option<EpochRecord>, Error> {
        self.0.epoch().await
    }
    async fn swap_epoch(
        &self,
        expected: Option<&EpochRecord>,
        new: &EpochRecord,
    ) -> Result<bool, Error> {
        self.0.swap_epoch(expected, new).await
    }
}

#[async_trait]
impl<A: Checkpoints> Checkpoints for WithoutBarriers<A> {
    async fn load(&self, name: &str) -> Result<Option<Bytes>, Error> {
        self.0.load(name).await
    }
    async fn store(
        &self,
        name: &str,
        expected: Option<&[u8]>,
        value: Bytes,
    ) -> Result<bool, Error> {
        self.0.store(name, expected, value).await
    }
}

#[async_trait]
impl<A: Subjects> Subjects for WithoutBarriers<A> {
    async fn keys_of(&self, subject: &str, after: Option<&str>) -> Result<SubjectPage, Error> {
        self.0.keys_of(subject, after).await
    }
}

#[async_trait]
impl<A: SubjectStore> SubjectStore for WithoutBarriers<A> {
    async fn rows_of(
        &self,
        subject: &str,
        keys: &[RowKey],
    ) -> Vec<Result<Option<SubjectRow>, Error>> {
        self.0.rows_of(subject, keys).await
    }
    async fn tombstone(&self, subject: &str) -> Result<Option<SubjectTombstone>, Error> {
        self.0.tombstone(subject).await
    }
    async fn swap_tombstone(
        &self,
        subject: &str,
        expected: Option<&SubjectTombstone>,
        new: &SubjectTombstone,
    ) -> Result<bool, Error> {
        self.0.swap_tombstone(subject, expected, new).await
    }
    async fn open_tombstones(&self, after: Option<&str>) -> Result<OpenPage, Error> {
        self.0.open_tombstones(after).await
    }
}
