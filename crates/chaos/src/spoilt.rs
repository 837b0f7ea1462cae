//! Nodes that break the protocol, each in one way, to show that the checks would find that out. Around the
//! stores that a node is wired with, so that the protocol itself has no such switch.

use std::time::Instant;

use async_trait::async_trait;
use bytes::Bytes;
use trivium_codec::{Row, RowKey};
use trivium_store::{
    Authority, Barrier, CacheEntry, CacheEpoch, CacheError, CacheServer, Checkpoints, Condition,
    EpochRecord, Error, FenceId, FencePage, FencedOutcome, LeaseToken, OnlineRead, OpenPage,
    ReadOptions, RowCache, RowWrite, SubjectPage, SubjectRow, SubjectStore, SubjectTombstone,
    Subjects,
};

/// What is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Spoilt {
    /// Nodes neither fence nor raise barriers.
    Fences,
    /// Nodes fence rows, and leave what is kept together of their entities.
    Entities,
    /// Puts of a person do not meet the person's tombstone.
    Tombstones,
    /// Puts of rows with embeddings are made whatever became of the row that they were made from.
    Vectors,
    /// Nodes answer from copies of any age. (They do what they are asked; it is more than the caller wants.)
    Bounds,
}

impl Spoilt {
    pub const ALL: [Self; 5] =
        [Self::Fences, Self::Entities, Self::Tombstones, Self::Vectors, Self::Bounds];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Fences => "fences",
            Self::Entities => "entities",
            Self::Tombstones => "tombstones",
            Self::Vectors => "vectors",
            Self::Bounds => "bounds",
        }
    }
}

/// Says that fences stand which it does not place: all of them, or those of whole entities.
#[derive(Debug)]
pub struct WithoutFences<C> {
    pub cache: C,
    pub only_entities: bool,
}

impl<C> WithoutFences<C> {
    /// Where the fences that are placed are among these keys.
    fn placed<'a>(&self, keys: impl Iterator<Item = &'a RowKey>) -> Vec<usize> {
        let is_placed = |key: &RowKey| self.only_entities && !key.is_entity();
        keys.enumerate().filter(|(_, key)| is_placed(key)).map(|(index, _)| index).collect()
    }
}

#[async_trait]
impl<C: RowCache> RowCache for WithoutFences<C> {
    async fn look(
        &self,
        epoch: CacheEpoch,
        keys: &[RowKey],
    ) -> Vec<Result<CacheEntry, CacheError>> {
        self.cache.look(epoch, keys).await
    }
    async fn lease(
        &self,
        epoch: CacheEpoch,
        keys: &[(RowKey, LeaseToken)],
    ) -> Vec<Result<CacheEntry, CacheError>> {
        self.cache.lease(epoch, keys).await
    }
    async fn fill(
        &self,
        epoch: CacheEpoch,
        rows: &[(RowKey, LeaseToken, Row)],
    ) -> Vec<Result<bool, CacheError>> {
        self.cache.fill(epoch, rows).await
    }
    async fn fence(
        &self,
        epoch: CacheEpoch,
        fences: &[(RowKey, FenceId)],
    ) -> Vec<Result<(), CacheError>> {
        let placed = self.placed(fences.iter().map(|(key, _)| key));
        let kept: Vec<_> = placed.iter().map(|index| fences[*index].clone()).collect();
        let mut told = vec![Ok(()); fences.len()];
        for (index, outcome) in placed.into_iter().zip(self.cache.fence(epoch, &kept).await) {
            told[index] = outcome;
        }
        told
    }
    async fn unfence(
        &self,
        epoch: CacheEpoch,
        fences: &[(RowKey, FenceId, Option<Row>)],
    ) -> Vec<Result<bool, CacheError>> {
        let placed = self.placed(fences.iter().map(|(key, ..)| key));
        let kept: Vec<_> = placed.iter().map(|index| fences[*index].clone()).collect();
        let mut told = vec![Ok(true); fences.len()];
        for (index, outcome) in placed.into_iter().zip(self.cache.unfence(epoch, &kept).await) {
            told[index] = outcome;
        }
        told
    }
    async fn mark(&self, epoch: CacheEpoch) -> Result<(), CacheError> {
        self.cache.mark(epoch).await
    }
    fn admit(&self, servers: &[String]) {
        self.cache.admit(servers);
    }
    async fn servers(&self) -> Result<Vec<CacheServer>, CacheError> {
        self.cache.servers().await
    }
    async fn fences(&self, epoch: CacheEpoch, cursor: u64) -> Result<FencePage, CacheError> {
        self.cache.fences(epoch, cursor).await
    }
    async fn sweep(&self, before: u64) -> Result<bool, CacheError> {
        self.cache.sweep(before).await
    }
}

/// Reads the row where it was to raise its barrier; or lets puts pass by tombstones.
#[derive(Debug)]
pub struct SpoiltTable<A> {
    pub table: A,
    pub barriers: bool,
    pub tombstones: bool,
    pub vectors: bool,
}

#[async_trait]
impl<A: Authority> OnlineRead for SpoiltTable<A> {
    async fn get(&self, keys: &[RowKey], options: &ReadOptions) -> Vec<Result<Option<Row>, Error>> {
        self.table.get(keys, options).await
    }
}

#[async_trait]
impl<A: Authority + SubjectStore> Authority for SpoiltTable<A> {
    async fn write_fenced(
        &self,
        mut write: RowWrite,
        fence: Barrier,
        seed_micros: u64,
        deadline: Option<Instant>,
    ) -> Result<FencedOutcome, Error> {
        if let (false, Some(subject)) = (self.tombstones, &write.subject)
            && self.table.tombstone(subject).await?.is_some()
        {
            // Nobody's, to the table.
            write.subject = None;
        }
        if !self.vectors && write.key.sort().starts_with("vector#") {
            write.condition = Condition::None;
        }
        self.table.write_fenced(write, fence, seed_micros, deadline).await
    }
    async fn raise_barrier(
        &self,
        key: &RowKey,
        to: Barrier,
        seed_micros: u64,
        deadline: Option<Instant>,
    ) -> Result<Option<Row>, Error> {
        if self.barriers {
            return self.table.raise_barrier(key, to, seed_micros, deadline).await;
        }
        let mut rows = self.table.get_with_barrier(std::slice::from_ref(key), deadline).await;
        let forgotten = || Err(Error::Unavailable("no row was answered".to_owned()));
        rows.pop().unwrap_or_else(forgotten).map(|(row, _)| row)
    }
    async fn get_with_barrier(
        &self,
        keys: &[RowKey],
        deadline: Option<Instant>,
    ) -> Vec<Result<(Option<Row>, Barrier), Error>> {
        self.table.get_with_barrier(keys, deadline).await
    }
    async fn epoch(&self) -> Result<Option<EpochRecord>, Error> {
        self.table.epoch().await
    }
    async fn swap_epoch(
        &self,
        expected: Option<&EpochRecord>,
        new: &EpochRecord,
    ) -> Result<bool, Error> {
        self.table.swap_epoch(expected, new).await
    }
}

#[async_trait]
impl<A: Checkpoints> Checkpoints for SpoiltTable<A> {
    async fn load(&self, name: &str) -> Result<Option<Bytes>, Error> {
        self.table.load(name).await
    }
    async fn store(
        &self,
        name: &str,
        expected: Option<&[u8]>,
        value: Bytes,
    ) -> Result<bool, Error> {
        self.table.store(name, expected, value).await
    }
}

#[async_trait]
impl<A: Subjects> Subjects for SpoiltTable<A> {
    async fn keys_of(&self, subject: &str, after: Option<&str>) -> Result<SubjectPage, Error> {
        self.table.keys_of(subject, after).await
    }
}

#[async_trait]
impl<A: SubjectStore> SubjectStore for SpoiltTable<A> {
    async fn rows_of(
        &self,
        subject: &str,
        keys: &[RowKey],
    ) -> Vec<Result<Option<SubjectRow>, Error>> {
        self.table.rows_of(subject, keys).await
    }
    async fn tombstone(&self, subject: &str) -> Result<Option<SubjectTombstone>, Error> {
        self.table.tombstone(subject).await
    }
    async fn swap_tombstone(
        &self,
        subject: &str,
        expected: Option<&SubjectTombstone>,
        new: &SubjectTombstone,
    ) -> Result<bool, Error> {
        self.table.swap_tombstone(subject, expected, new).await
    }
    async fn open_tombstones(&self, after: Option<&str>) -> Result<OpenPage, Error> {
        self.table.open_tombstones(after).await
    }
}
