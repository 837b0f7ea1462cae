//! Feature services: the named, versioned list of features that one model reads.

use serde::{Deserialize, Serialize};

use crate::{DataType, FeatureRef, Name, Owner, ServiceRef, ViewRef};

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
    /// What only the caller knows, and sends with a read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inputs: Vec<ServiceInput>,
    /// Features that are computed when the service is read; in answers they come after the others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub derived: Vec<DerivedFeature>,
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

/// A value that a caller sends with a read, and that a training set's frame has as a column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceInput {
    /// Its name, in requests, in frames and in expressions.
    pub name: Name,
    /// Its type: no list and no embedding.
    #[serde(rename = "type")]
    pub data_type: DataType,
    /// What it means, with the unit.
    pub description: String,
}

/// A feature that is computed when the service is read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DerivedFeature {
    /// Its name; `namespace/service@version:name` in answers.
    pub name: Name,
    /// Its type, which is that of the expression.
    #[serde(rename = "type")]
    pub data_type: DataType,
    /// What it means, with the unit.
    pub description: String,
    /// An expression over the inputs and the service's features: `docs/expressions.md`.
    pub sql: String,
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
    /// The full name of a derived feature: `namespace/service@version:name`. A service's reference is written as
    /// a view's is.
    pub fn derived_ref(&self, derived: &DerivedFeature) -> FeatureRef {
        FeatureRef {
            view: ViewRef {
                namespace: self.namespace.clone(),
                view: self.name.clone(),
                version: self.version,
            },
            feature: derived.name.clone(),
        }
    }
    /// The features with their full names, in order; without the derived ones.
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
