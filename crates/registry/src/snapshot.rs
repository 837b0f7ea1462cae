//! One consistent picture of the registry, swapped as a whole by those who watch it.

use std::{collections::BTreeMap, sync::Arc};

use trivium_model::{Feature, FeatureRef, Name, ServiceRef, ViewRef};

use crate::{Revision, StoredService, StoredView};

/// Everything that is current at one revision.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Snapshot {
    /// The revision.
    pub revision: Revision,
    /// The newest accepted form of each view version.
    pub views: BTreeMap<ViewRef, Arc<StoredView>>,
    /// The newest accepted form of each service version.
    pub services: BTreeMap<ServiceRef, Arc<StoredService>>,
    /// Each distinct list of served features that a view version ever had, oldest first, the
    /// current one last: rows written under an older list stay readable.
    pub layouts: BTreeMap<ViewRef, Vec<Vec<Feature>>>,
}

impl Snapshot {
    /// The view version.
    pub fn view(&self, view: &ViewRef) -> Option<&Arc<StoredView>> {
        self.views.get(view)
    }

    /// The service version.
    pub fn service(&self, service: &ServiceRef) -> Option<&Arc<StoredService>> {
        self.services.get(service)
    }

    /// The versions of a view, lowest first.
    pub fn view_versions<'s>(
        &'s self,
        namespace: &Name,
        view: &Name,
    ) -> impl DoubleEndedIterator<Item = &'s Arc<StoredView>> + use<'s> {
        let first = ViewRef { namespace: namespace.clone(), view: view.clone(), version: 0 };
        let last = ViewRef { version: u32::MAX, ..first.clone() };
        self.views.range(first..=last).map(|(_, stored)| stored)
    }

    /// The highest version of a view.
    pub fn latest_view(&self, namespace: &Name, view: &Name) -> Option<&Arc<StoredView>> {
        self.view_versions(namespace, view).next_back()
    }

    /// The versions of a service, lowest first.
    pub fn service_versions<'s>(
        &'s self,
        namespace: &Name,
        service: &Name,
    ) -> impl DoubleEndedIterator<Item = &'s Arc<StoredService>> + use<'s> {
        let first =
            ServiceRef { namespace: namespace.clone(), service: service.clone(), version: 0 };
        let last = ServiceRef { version: u32::MAX, ..first.clone() };
        self.services.range(first..=last).map(|(_, stored)| stored)
    }

    /// The highest version of a service.
    pub fn latest_service(&self, namespace: &Name, service: &Name) -> Option<&Arc<StoredService>> {
        self.service_versions(namespace, service).next_back()
    }

    /// The services that list a feature of this view version.
    pub fn readers<'s>(
        &'s self,
        view: &'s ViewRef,
    ) -> impl Iterator<Item = &'s Arc<StoredService>> + 's {
        self.services.values().filter(move |stored| {
            stored.service.namespace == view.namespace
                && stored
                    .service
                    .features
                    .iter()
                    .any(|listed| listed.view == view.view && listed.version == view.version)
        })
    }

    /// The services that list this feature.
    pub fn feature_readers<'s>(
        &'s self,
        feature: &'s FeatureRef,
    ) -> impl Iterator<Item = &'s Arc<StoredService>> + 's {
        self.services
            .values()
            .filter(move |stored| stored.service.feature_refs().any(|listed| listed == *feature))
    }

    /// The namespaces that have a view or a service, sorted.
    pub fn namespaces(&self) -> Vec<Name> {
        let mut namespaces: Vec<Name> = self
            .views
            .keys()
            .map(|view| &view.namespace)
            .chain(self.services.keys().map(|service| &service.namespace))
            .cloned()
            .collect();
        namespaces.sort();
        namespaces.dedup();
        namespaces
    }
}
