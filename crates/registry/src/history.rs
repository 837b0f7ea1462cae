//! Everything that was ever accepted, in memory. Accepted forms never change, so an adapter reads
//! each of them once and answers from here.

use std::{collections::BTreeMap, sync::Arc};

use trivium_model::{Feature, ServiceRef, ViewRef};

use crate::{Error, Revision, Snapshot, StoredService, StoredView};

/// The accepted forms of all versions up to one revision.
#[derive(Debug, Clone, Default)]
pub struct History {
    head: Revision,
    views: BTreeMap<ViewRef, Vec<Arc<StoredView>>>,
    services: BTreeMap<ServiceRef, Vec<Arc<StoredService>>>,
}

impl History {
    /// The revision up to which this knows everything.
    pub const fn head(&self) -> Revision {
        self.head
    }

    /// Adds what was accepted after [`History::head`], up to `head`. What breaks the order of
    /// revisions was not written by an apply: corrupt, and nothing is added.
    pub fn extend(
        &mut self,
        head: Revision,
        mut views: Vec<StoredView>,
        mut services: Vec<StoredService>,
    ) -> Result<(), Error> {
        views.sort_by_key(|stored| stored.revision);
        services.sort_by_key(|stored| stored.revision);
        let revisions = views
            .iter()
            .map(|stored| stored.revision)
            .chain(services.iter().map(|stored| stored.revision));
        for revision in revisions {
            if revision <= self.head || revision > head {
                return Err(Error::Corrupt(format!(
                    "a row of revision {} was found between revisions {} and {}",
                    revision.0, self.head.0, head.0
                )));
            }
        }
        self.head = head;
        for stored in views {
            self.views.entry(stored.view.reference()).or_default().push(Arc::new(stored));
        }
        for stored in services {
            self.services.entry(stored.service.reference()).or_default().push(Arc::new(stored));
        }
        Ok(())
    }

    /// The picture at a revision; `None` is the head.
    pub fn snapshot(&self, at: Option<Revision>) -> Result<Snapshot, Error> {
        let revision = at.unwrap_or(self.head);
        if revision > self.head {
            return Err(Error::NotFound(format!(
                "revision {} (the newest is {})",
                revision.0, self.head.0
            )));
        }
        let mut snapshot = Snapshot { revision, ..Snapshot::default() };
        for (reference, forms) in &self.views {
            let known = forms.partition_point(|stored| stored.revision <= revision);
            let Some(current) = forms[..known].last() else { continue };
            snapshot.views.insert(reference.clone(), Arc::clone(current));
            snapshot.layouts.insert(reference.clone(), layouts(&forms[..known]));
        }
        for (reference, forms) in &self.services {
            let known = forms.partition_point(|stored| stored.revision <= revision);
            let Some(current) = forms[..known].last() else { continue };
            snapshot.services.insert(reference.clone(), Arc::clone(current));
        }
        Ok(snapshot)
    }

    /// All accepted forms of a view version, oldest first.
    pub fn view(&self, view: &ViewRef) -> Result<Vec<StoredView>, Error> {
        let forms = self
            .views
            .get(view)
            .ok_or_else(|| Error::NotFound(format!("feature view `{view}`")))?;
        Ok(forms.iter().map(|stored| StoredView::clone(stored)).collect())
    }

    /// All accepted forms of a service version, oldest first.
    pub fn service(&self, service: &ServiceRef) -> Result<Vec<StoredService>, Error> {
        let forms = self
            .services
            .get(service)
            .ok_or_else(|| Error::NotFound(format!("feature service `{service}`")))?;
        Ok(forms.iter().map(|stored| StoredService::clone(stored)).collect())
    }
}

/// The distinct rows that the forms of a view version describe: what a row holds is decided by
/// names and types alone, so forms that differ only in words share one.
fn layouts(forms: &[Arc<StoredView>]) -> Vec<Vec<Feature>> {
    let same_row = |a: &[Feature], b: &[Feature]| {
        a.len() == b.len()
            && a.iter().zip(b).all(|(a, b)| a.name == b.name && a.data_type == b.data_type)
    };
    let mut layouts: Vec<Vec<Feature>> = Vec::new();
    for form in forms {
        let features = form.view.served_features();
        // A layout that comes back moves to the end: the current one is last, in its newest words.
        layouts.retain(|known| !same_row(known, &features));
        layouts.push(features);
    }
    layouts
}
