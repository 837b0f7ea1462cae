//! Removing documents that no row names, and a subject's. The one sentence that permits it:
//!
//! > A document (key, `d`) with `d` ≤ the row's rev, which the row does not name, will never be named.
//!
//! since whoever wrote it drew `d` above the rev that it had read, and its row write is conditional on
//! exactly that rev. Proof and surroundings: `docs/decisions/0008-embeddings.md`.

use std::{collections::BTreeMap, sync::Arc, time::Instant};

use async_trait::async_trait;
use trivium_codec::RowKey;
use trivium_model::Timestamp;

use super::{DocumentId, EmbeddingIndex, IndexSpec, Listing};
use crate::Error;

/// What the sweeper must know of a row.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Owner {
    /// The row's rev, tombstones included; 0: there is none at all.
    pub rev: u64,
    /// The rev of the document that it names for the index's feature.
    pub names: Option<u64>,
}

/// The rows that documents belong to, seen from one index's feature.
#[async_trait]
pub trait Owners: Send + Sync {
    /// The rows as they are now, read strongly, in the order of the keys.
    async fn owners(&self, keys: &[RowKey]) -> Vec<Result<Owner, Error>>;
    /// Writes the row again as it is (one that is absent: a tombstone older than everything), if it has
    /// exactly this rev. Only its rev grows; where it has another one already, nothing happens.
    async fn move_up(&self, key: &RowKey, rev: u64) -> Result<(), Error>;
}

/// What a sweep did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Swept {
    /// Documents looked at.
    pub listed: u64,
    /// Documents deleted.
    pub deleted: u64,
    /// Rows that had to be moved up first.
    pub moved: u64,
    /// Documents left for the next sweep: their row kept moving, or could not be read.
    pub left: u64,
}

/// Times a row is moved up for one document: a writer whose ids are taken draws the next one, so that a
/// leftover lies as far above the row as writers met there.
const MOVES_MAX: usize = 16;

/// Deletes the documents put before `written_before` that no row names. Safe beside any writer; the age
/// only keeps it from moving rows under writes that are under way.
pub async fn sweep(
    index: &(impl EmbeddingIndex + ?Sized),
    spec: &IndexSpec,
    owners: &(impl Owners + ?Sized),
    written_before: Timestamp,
    deadline: Option<Instant>,
) -> Result<Swept, Error> {
    let listing = Listing { written_before: Some(written_before), ..Listing::default() };
    let mut swept = Swept::default();
    let mut after: Option<String> = None;
    loop {
        let page = index.list(spec, &listing, after.as_deref(), deadline).await?;
        swept.listed += page.ids.len() as u64;
        let leftovers = leftovers_of(owners, page.ids, &mut swept).await;
        for result in index.delete(spec, &leftovers, deadline).await {
            swept.deleted += u64::from(result?);
        }
        after = page.next;
        if after.is_none() {
            return Ok(swept);
        }
    }
}

/// Those of the documents that will never be named.
async fn leftovers_of(
    owners: &(impl Owners + ?Sized),
    ids: Vec<DocumentId>,
    swept: &mut Swept,
) -> Vec<DocumentId> {
    let mut open = ids;
    let mut leftovers = Vec::new();
    for round in 0..=MOVES_MAX {
        let keys: Vec<RowKey> = {
            let mut keys: Vec<RowKey> = open.iter().map(|id| id.key.clone()).collect();
            keys.sort();
            keys.dedup();
            keys
        };
        if keys.is_empty() {
            break;
        }
        let found = owners.owners(&keys).await;
        let rows: BTreeMap<&RowKey, Owner> =
            keys.iter().zip(found).filter_map(|(key, row)| Some((key, row.ok()?))).collect();
        let mut above = Vec::new();
        for id in std::mem::take(&mut open) {
            match rows.get(&id.key) {
                Some(row) if row.names == Some(id.rev) => {}
                Some(row) if id.rev <= row.rev => leftovers.push(id),
                Some(row) if round < MOVES_MAX => above.push((id, row.rev)),
                _ => swept.left += 1,
            }
        }
        let mut moved: Vec<&RowKey> = Vec::new();
        for (id, rev) in &above {
            // Nothing depends on it having worked: the row is read again.
            if !moved.contains(&&id.key) && owners.move_up(&id.key, *rev).await.is_ok() {
                swept.moved += 1;
            }
            moved.push(&id.key);
        }
        open = above.into_iter().map(|(id, _)| id).collect();
    }
    leftovers
}

/// Deletes the documents of a subject that no row names, until a listing after a refresh finds none; what a
/// row names is left, and so is what could not be judged (`left`). Safe beside any writer.
pub async fn sweep_subject(
    index: &(impl EmbeddingIndex + ?Sized),
    spec: &IndexSpec,
    owners: &(impl Owners + ?Sized),
    subject: &str,
    deadline: Option<Instant>,
) -> Result<Swept, Error> {
    let listing = Listing { subject: Some(Arc::from(subject)), ..Listing::default() };
    let mut total = Swept::default();
    loop {
        index.refresh(spec, deadline).await?;
        let mut round = Swept::default();
        let mut after: Option<String> = None;
        loop {
            let page = index.list(spec, &listing, after.as_deref(), deadline).await?;
            round.listed += page.ids.len() as u64;
            let leftovers = leftovers_of(owners, page.ids, &mut round).await;
            for result in index.delete(spec, &leftovers, deadline).await {
                round.deleted += u64::from(result?);
            }
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        total.listed += round.listed;
        total.deleted += round.deleted;
        total.moved += round.moved;
        total.left = round.left;
        if round.deleted == 0 {
            return Ok(total);
        }
    }
}

/// Deletes every document of a subject, until a listing after a refresh finds none; tells how many. The
/// subject's rows have to be gone, and its writes refused, before the last listing: else more may come.
pub async fn delete_subject(
    index: &(impl EmbeddingIndex + ?Sized),
    spec: &IndexSpec,
    subject: &str,
    deadline: Option<Instant>,
) -> Result<u64, Error> {
    let listing = Listing { subject: Some(Arc::from(subject)), ..Listing::default() };
    let mut deleted = 0;
    loop {
        index.refresh(spec, deadline).await?;
        let mut after: Option<String> = None;
        let mut found = false;
        loop {
            let page = index.list(spec, &listing, after.as_deref(), deadline).await?;
            found |= !page.ids.is_empty();
            for result in index.delete(spec, &page.ids, deadline).await {
                deleted += u64::from(result?);
            }
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        if !found {
            return Ok(deleted);
        }
    }
}
