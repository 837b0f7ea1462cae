//! Rows of one entity, kept together in the cache: one key where a reader of several views would ask
//! for several.
//!
//! A key of the whole entity ([`RowKey::entity`]) is treated like the row of every write to it: *each*
//! write of a row of the entity, of whatever view, fences that key together with the row's own, in
//! one step, and takes both out together. So nobody has to know who reads what together: a definition
//! that only some nodes have heard of can do no harm. When the last fence goes the key is missing,
//! never what it was.
//!
//! A reader fills it with rows that it found in the cache after it had taken the lease of the key. A
//! row is in the cache only while the authority holds that very row, and whatever is written from
//! then on ends the lease. So what the key holds are the rows as they are, until somebody fences it.
//!
//! What a crash leaves: a lease, gone after seconds; a fence of a dead writer, taken out when its row's
//! is repaired. Until then the rows are read one by one.

use std::{collections::HashMap, sync::Arc};

use metrics::counter;
use tracing::debug;
use trivium_codec::{Row, RowKey};
use trivium_store::{
    Authority, CacheEntry, CacheEpoch, CacheError, Error, FenceId, LeaseToken, ReadOptions,
    RowCache, Together, together,
};

use crate::{store::Node, write::Ended};

/// What a read found out about an entity.
struct Asked {
    key: RowKey,
    /// Which of the keys asked for are its rows.
    places: Vec<usize>,
    /// Nothing stands there, or something of no use: the rows may be joined anew.
    is_open: bool,
    /// Something of no use stands there.
    is_useless: bool,
}

/// Entities whose rows may be joined, if all of them turn out to be cached.
pub(crate) struct Joinable(Vec<Asked>);

impl<A: Authority + 'static, C: RowCache + 'static> Node<A, C> {
    /// Answers rows out of what is kept of their entities.
    pub(crate) async fn ask_entities(
        &self,
        epoch: CacheEpoch,
        keys: &[RowKey],
        options: &ReadOptions,
        answers: &mut [Option<Result<Option<Row>, Error>>],
    ) -> Joinable {
        let Some(wanted) = &options.together else { return Joinable(Vec::new()) };
        let mut asked = entities_of(keys, wanted);
        let names: Vec<RowKey> = asked.iter().map(|entity| entity.key.clone()).collect();
        if names.is_empty() {
            return Joinable(Vec::new());
        }
        let looked = self.cache.look(epoch, &names).await;
        self.note_health(epoch, &looked);
        // Checked after the answer has come, as for rows.
        if !self.keeper.still_holds(epoch) {
            return Joinable(Vec::new());
        }
        let mut hits = 0;
        for (entity, found) in asked.iter_mut().zip(looked) {
            match found {
                Ok(CacheEntry::Value(joined)) => {
                    let own = entity.places.iter().map(|place| &keys[*place]);
                    for (place, row) in entity.places.iter().zip(together::parted(&joined, own)) {
                        match row {
                            Some(row) => {
                                hits += 1;
                                answers[*place] = Some(Ok(Some(row)));
                            }
                            // Of a view that was not among them then.
                            None => (entity.is_open, entity.is_useless) = (true, true),
                        }
                    }
                }
                Ok(CacheEntry::Missing) => entity.is_open = true,
                Ok(CacheEntry::Lease | CacheEntry::Fence(_)) | Err(_) => {}
            }
        }
        counter!("trivium_cache_reads_total", "answered_by" => "entity").increment(hits);
        asked.retain(|entity| entity.is_open);
        Joinable(asked)
    }

    /// Joins the rows of entities all of whose rows were cached, behind the answer.
    pub(crate) async fn join_later(
        self: &Arc<Self>,
        epoch: CacheEpoch,
        joinable: Joinable,
        is_hit: impl Fn(usize) -> bool,
        options: &ReadOptions,
    ) {
        let Some(wanted) = &options.together else { return };
        let entities: Vec<Asked> = joinable
            .0
            .into_iter()
            .filter(|entity| entity.places.iter().all(|place| is_hit(*place)))
            .collect();
        if entities.is_empty() {
            return;
        }
        let (node, wanted) = (Arc::clone(self), Arc::clone(wanted));
        let work = async move { node.join(epoch, entities, &wanted).await };
        self.follow_up(Box::pin(work)).await;
    }

    async fn join(&self, epoch: CacheEpoch, entities: Vec<Asked>, wanted: &Together) {
        let useless = entities.iter().filter(|entity| entity.is_useless);
        self.forget(epoch, useless.map(|entity| entity.key.clone()).collect()).await;
        let leases: Vec<(RowKey, LeaseToken)> = entities
            .iter()
            .map(|entity| (entity.key.clone(), LeaseToken(self.environment.random.next())))
            .collect();
        let taken = self.cache.lease(epoch, &leases).await;
        let ours: Vec<(RowKey, LeaseToken, Vec<RowKey>)> = leases
            .into_iter()
            .zip(taken)
            .filter(|(_, taken)| matches!(taken, Ok(CacheEntry::Missing)))
            .map(|((entity, token), _)| {
                let rows = wanted.with(&entity);
                (entity, token, rows)
            })
            .collect();
        // After the leases: whatever is written from now on ends them.
        let all: Vec<RowKey> = ours.iter().flat_map(|(.., rows)| rows.iter().cloned()).collect();
        if all.is_empty() {
            return;
        }
        let mut looked = self.cache.look(epoch, &all).await.into_iter();
        if !self.keeper.still_holds(epoch) {
            return;
        }
        let mut fills = Vec::new();
        for (entity, token, rows) in ours {
            let found: Vec<Option<Row>> = looked
                .by_ref()
                .take(rows.len())
                .map(|entry| match entry {
                    Ok(CacheEntry::Value(row)) => Some(row),
                    _ => None,
                })
                .collect();
            // One that is not there is in no cache either: its entity's rows stay apart.
            let Some(found) = found.into_iter().collect::<Option<Vec<Row>>>() else { continue };
            if let Some(joined) = together::join(rows.iter().zip(&found)) {
                fills.push((entity, token, joined));
            }
        }
        if !fills.is_empty() {
            let filled = self.cache.fill(epoch, &fills).await;
            let count = filled.iter().filter(|filled| matches!(filled, Ok(true))).count();
            counter!("trivium_cache_entities_joined_total").increment(count as u64);
        }
    }

    /// Takes away what stands for these entities, as a write would that changed nothing.
    async fn forget(&self, epoch: CacheEpoch, entities: Vec<RowKey>) {
        if entities.is_empty() {
            return;
        }
        let fences: Vec<(RowKey, FenceId)> =
            entities.into_iter().map(|entity| (entity, self.fence_id_now(epoch))).collect();
        let placed = self.cache.fence(epoch, &fences).await;
        let placed = fences.into_iter().zip(placed).filter(|(_, placed)| placed.is_ok());
        let mut ended: Vec<Ended> = placed.map(|((entity, id), _)| (entity, id, None)).collect();
        // Twice: no repair finds an id that stays here, and each takes a place that writers need.
        for _ in 0..2 {
            let results = self.cache.unfence(epoch, &ended).await;
            let failed = ended.into_iter().zip(results).filter(|(_, result)| result.is_err());
            ended = failed.map(|(one, _)| one).collect();
            if ended.is_empty() {
                return;
            }
        }
        debug!(count = ended.len(), "entities stay fenced; their rows are read one by one");
        counter!("trivium_cache_fences_left_total").increment(ended.len() as u64);
    }

    /// Fences rows, and with each its entity: in one step, side by side.
    pub(crate) async fn fence(
        &self,
        epoch: CacheEpoch,
        fences: &[(RowKey, FenceId)],
    ) -> Vec<Result<(), CacheError>> {
        let both: Vec<(RowKey, FenceId)> =
            fences.iter().flat_map(|(key, id)| [(key.clone(), *id), (key.entity(), *id)]).collect();
        pairs(self.cache.fence(epoch, &both).await, |(), ()| ())
    }

    /// Takes writes out of the fences of their rows and of their entities.
    pub(crate) async fn take_out(
        &self,
        epoch: CacheEpoch,
        ended: &[Ended],
    ) -> Vec<Result<bool, CacheError>> {
        let both: Vec<Ended> = ended
            .iter()
            .flat_map(|(key, id, newest)| {
                [(key.clone(), *id, newest.clone()), (key.entity(), *id, None)]
            })
            .collect();
        pairs(self.cache.unfence(epoch, &both).await, |row, _| row)
    }
}

/// The entities of those keys whose rows are kept together.
fn entities_of(keys: &[RowKey], wanted: &Together) -> Vec<Asked> {
    let mut entities: Vec<Asked> = Vec::new();
    let mut known: HashMap<&str, usize> = HashMap::new();
    for (place, key) in keys.iter().enumerate() {
        if !wanted.holds(key) {
            continue;
        }
        let index = *known.entry(key.partition()).or_insert_with(|| {
            entities.push(Asked {
                key: key.entity(),
                places: Vec::new(),
                is_open: false,
                is_useless: false,
            });
            entities.len() - 1
        });
        entities[index].places.push(place);
    }
    entities
}

/// The results of both of each pair, as one: the first's, where both went well.
fn pairs<T>(
    results: Vec<Result<T, CacheError>>,
    both: impl Fn(T, T) -> T,
) -> Vec<Result<T, CacheError>> {
    let mut results = results.into_iter();
    let mut joined = Vec::with_capacity(results.len() / 2);
    while let (Some(row), Some(entity)) = (results.next(), results.next()) {
        joined.push(row.and_then(|row| entity.map(|entity| both(row, entity))));
    }
    joined
}
