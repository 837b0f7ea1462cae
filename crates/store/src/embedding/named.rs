//! Searching among the documents that rows name.

use std::{collections::HashMap, time::Instant};

use trivium_codec::RowKey;

use super::{EmbeddingIndex, Hit, IndexSpec, K_MAX, Nearest, Owner, Owners};
use crate::Error;

/// What a search found.
#[derive(Debug, Clone, Default)]
pub struct Found {
    /// Documents that their rows named when these were read, nearest first.
    pub hits: Vec<Hit>,
    /// Hits that no row named: uncommitted, superseded or deleted.
    pub dropped: u64,
    /// Whether so many were dropped that there may be more, farther than [`K_MAX`] documents.
    pub is_cut_off: bool,
}

/// The nearest documents that rows name. Those that no row names take places among the nearest, so more
/// are asked for than wanted, and more again where too few are left. A row that cannot be read is an
/// error: without it, nobody knows whether a hit is one.
pub async fn nearest_named(
    index: &(impl EmbeddingIndex + ?Sized),
    spec: &IndexSpec,
    owners: &(impl Owners + ?Sized),
    query: &Nearest,
    deadline: Option<Instant>,
) -> Result<Found, Error> {
    // A leftover in five is far more than a sweeper leaves.
    let mut asked = (query.k + query.k / 4 + 8).min(K_MAX);
    let mut rows: HashMap<RowKey, Owner> = HashMap::new();
    loop {
        let candidates =
            index.nearest(spec, &Nearest { k: asked, ..query.clone() }, deadline).await?;
        let mut unread: Vec<RowKey> = candidates
            .iter()
            .map(|hit| &hit.id.key)
            .filter(|key| !rows.contains_key(key))
            .cloned()
            .collect();
        unread.sort();
        unread.dedup();
        if !unread.is_empty() {
            let read = owners.owners(&unread).await;
            for (key, owner) in unread.into_iter().zip(read) {
                rows.insert(key, owner?);
            }
        }
        let all = candidates.len();
        let names = |hit: &Hit| rows.get(&hit.id.key).and_then(|row| row.names) == Some(hit.id.rev);
        let mut hits: Vec<Hit> = candidates.into_iter().filter(names).collect();
        let is_all = all < asked;
        if hits.len() >= query.k || is_all || asked == K_MAX {
            let is_cut_off = hits.len() < query.k && !is_all;
            let dropped = (all - hits.len()) as u64;
            hits.truncate(query.k);
            return Ok(Found { hits, dropped, is_cut_off });
        }
        asked = (asked * 2).min(K_MAX);
    }
}
