//! Feature services: the named, versioned list of features that one model reads.

use serde::{Deserialize, Serialize};

use crate::{FeatureRef, Name, Owner, ServiceRef, ViewRef};

/// A named, versioned list of features.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeatureService {
    /// The tenant.
    pub namespace: Name,
    /// The service.
    pub name: Name,
    /// From 1.
    pub version: u32,
    /// Which model, for what.
    pub description: String,
    /// Who answers for it.
    pub owner: Owner,
    /// The features, in the order of the model's input.
    pub features: Vec<ServiceFeature>,
    /// Whether the rows of an entity that it reads are kept together, as one, in the cache.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub precomputed: bool,
    /// Words to find it by.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
}

/// One feature that a service lists, written `view@version:feature`, in the service's namespace.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ServiceFeature {
    /// The view.
    pub view: Name,
    /// Its version.
    pub version: u32,
    /// The feature.
    pub feature: Name,
}

impl FeatureService {
    /// `namespace/name@version`.
    pub fn reference(&self) -> ServiceRef {
        ServiceRef {
            namespace: self.namespace.clone(),
            service: self.name.clone(),
            version: self.version,
        }
    }
    /// The features with their full names, in order.
    pub fn feature_refs(&self) -> impl Iterator<Item = FeatureRef> + '_ {
        self.features.iter().map(|listed| FeatureRef {
            view: ViewRef {
                namespace: self.namespace.clone(),
                view: listed.view.clone(),
                version: listed.version,
            },
            feature: listed.feature.clone(),
        })
    }
}
