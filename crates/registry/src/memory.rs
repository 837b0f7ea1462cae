//! A registry in memory: for tests, and the measure of what the port promises.

use std::{
    cmp::Reverse,
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use trivium_model::{ServiceRef, Timestamp, ViewRef};

use crate::{
    Apply, AuditEntry, AuditFilter, ErasureOrder, ErasureOrders, Error, History, PartitionFilter,
    PartitionRecord, Partitions, RecordOutcome, Recorded, Registry, Revision, Snapshot,
    StoredService, StoredView,
    partition::{check_records, other_content},
};

/// Keeps everything in memory; gone with the process.
#[derive(Debug, Default)]
pub struct MemoryRegistry(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    history: History,
    audit: Vec<AuditEntry>,
    orders: Vec<ErasureOrder>,
    /// By view, then in the order of lists.
    partitions: BTreeMap<(ViewRef, Reverse<(Timestamp, u64)>), Recorded>,
}

impl MemoryRegistry {
    /// An empty registry.
    pub fn new() -> Self {
        Self::default()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // The state changes only after everything that could fail: it is whole even if poisoned.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Registry for MemoryRegistry {
    async fn head(&self) -> Result<Revision, Error> {
        Ok(self.state().history.head())
    }

    async fn snapshot(&self, at: Option<Revision>) -> Result<Snapshot, Error> {
        self.state().history.snapshot(at)
    }

    async fn apply(&self, change: Apply) -> Result<Revision, Error> {
        change.check()?;
        let mut state = self.state();
        let current = state.history.head();
        if change.base != current {
            return Err(Error::Conflict { planned: change.base, current });
        }
        let revision = current.next();
        let (views, services, audit) = change.into_rows(revision);
        state.history.extend(revision, views, services)?;
        state.audit.extend(audit);
        Ok(revision)
    }

    async fn view_history(&self, view: &ViewRef) -> Result<Vec<StoredView>, Error> {
        self.state().history.view(view)
    }

    async fn service_history(&self, service: &ServiceRef) -> Result<Vec<StoredService>, Error> {
        self.state().history.service(service)
    }

    async fn audit(&self, filter: &AuditFilter) -> Result<Vec<AuditEntry>, Error> {
        Ok(self
            .state()
            .audit
            .iter()
            .filter(|entry| entry.revision >= filter.since)
            .filter(|entry| {
                filter.subject.as_ref().is_none_or(|wanted| entry.action.subject == *wanted)
            })
            .take(filter.limit as usize)
            .cloned()
            .collect())
    }
}

#[async_trait]
impl ErasureOrders for MemoryRegistry {
    async fn leave(&self, order: &ErasureOrder) -> Result<u64, Error> {
        order.check()?;
        let orders = &mut self.state().orders;
        let known = orders.iter().position(|known| known.erasure == order.erasure);
        let place = known.unwrap_or_else(|| {
            orders.push(order.clone());
            orders.len() - 1
        });
        Ok(place as u64 + 1)
    }

    async fn orders(&self, after: u64, limit: u32) -> Result<Vec<(u64, ErasureOrder)>, Error> {
        let state = self.state();
        let orders = (1..).zip(&state.orders).filter(|(number, _)| *number > after);
        Ok(orders.take(limit as usize).map(|(number, order)| (number, order.clone())).collect())
    }
}

#[async_trait]
impl Partitions for MemoryRegistry {
    async fn record(
        &self,
        records: &[PartitionRecord],
        author: &str,
        at: Timestamp,
    ) -> Result<Vec<RecordOutcome>, Error> {
        check_records(records, author)?;
        let mut state = self.state();
        let mut partitions = state.partitions.clone();
        let mut outcomes = Vec::with_capacity(records.len());
        for record in records {
            record.to_text()?;
            state.history.view(&record.view)?;
            let key = |revision| (record.view.clone(), Reverse((record.start, revision)));
            let newest = partitions
                .range(key(u64::MAX)..=key(0))
                .next()
                .map_or(0, |(_, known)| known.partition.revision);
            outcomes.push(match partitions.get(&key(record.revision)) {
                Some(known) if known.partition.content_hash != record.content_hash => {
                    return Err(other_content(record));
                }
                Some(_) => RecordOutcome::Unchanged,
                None if newest > record.revision => RecordOutcome::Superseded,
                None => {
                    let author = author.to_owned();
                    let recorded = Recorded { partition: record.clone(), author, at };
                    partitions.insert(key(record.revision), recorded);
                    RecordOutcome::Recorded
                }
            });
        }
        state.partitions = partitions;
        Ok(outcomes)
    }

    async fn partitions(&self, filter: &PartitionFilter) -> Result<Vec<Recorded>, Error> {
        let state = self.state();
        let mut found: Vec<Recorded> = Vec::new();
        let mut last = None;
        for one in state.partitions.values().filter(|one| one.partition.view == filter.view) {
            let place = one.partition.place();
            let is_newest = last.replace(place.start) != Some(place.start);
            let wanted = (is_newest || filter.all_revisions)
                && filter.from.is_none_or(|from| place.start >= from)
                && filter.to.is_none_or(|to| place.start < to)
                && filter.after.is_none_or(|after| {
                    (place.start, place.revision) < (after.start, after.revision)
                });
            if wanted && found.len() < filter.limit as usize {
                found.push(one.clone());
            }
        }
        Ok(found)
    }
}
