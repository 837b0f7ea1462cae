//! The registry's read side, out of the definitions that this node serves: whoever writes through a
//! node, or asks it what there is, needs no second address. Nothing is changed here.

use async_trait::async_trait;
use trivium_model::{ServiceRef, ViewRef};
use trivium_registry::{
    Apply, AuditEntry, AuditFilter, Error, Registry, Revision, Snapshot, SnapshotWatch,
    StoredService, StoredView,
};

/// What the node knows, as a registry tells it. Of each version only the newest form.
pub struct Mirror(pub SnapshotWatch);

#[async_trait]
impl Registry for Mirror {
    async fn head(&self) -> Result<Revision, Error> {
        Ok(self.0.current().revision)
    }
    async fn snapshot(&self, at: Option<Revision>) -> Result<Snapshot, Error> {
        let snapshot = self.0.current();
        match at {
            Some(at) if at != snapshot.revision => Err(Error::NotFound(format!(
                "revision {} (a serving node knows only {})",
                at.0, snapshot.revision.0
            ))),
            _ => Ok(Snapshot::clone(&snapshot)),
        }
    }
    async fn apply(&self, _: Apply) -> Result<Revision, Error> {
        let message = "a serving node changes no definitions: apply at the registry";
        Err(Error::Invalid(message.to_owned()))
    }
    async fn view_history(&self, view: &ViewRef) -> Result<Vec<StoredView>, Error> {
        match self.0.current().view(view) {
            Some(stored) => Ok(vec![StoredView::clone(stored)]),
            None => Err(Error::NotFound(format!("feature view `{view}`"))),
        }
    }
    async fn service_history(&self, service: &ServiceRef) -> Result<Vec<StoredService>, Error> {
        match self.0.current().service(service) {
            Some(stored) => Ok(vec![StoredService::clone(stored)]),
            None => Err(Error::NotFound(format!("feature service `{service}`"))),
        }
    }
    async fn audit(&self, _: &AuditFilter) -> Result<Vec<AuditEntry>, Error> {
        let message = "a serving node has no audit log: ask the registry";
        Err(Error::Invalid(message.to_owned()))
    }
}
