//! A registry in memory: for tests, and the measure of what the port promises.

use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use trivium_model::{ServiceRef, ViewRef};

use crate::{
    Apply, AuditEntry, AuditFilter, ErasureOrder, ErasureOrders, Error, History, Registry,
    Revision, Snapshot, StoredService, StoredView,
};

/// Keeps everything in memory; gone with the process.
#[derive(Debug, Default)]
pub struct MemoryRegistry(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    history: History,
    audit: Vec<AuditEntry>,
    orders: Vec<ErasureOrder>,
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
