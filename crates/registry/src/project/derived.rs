//! The derived features of services, typed over the features that the services list.

use std::collections::BTreeMap;

use trivium_expr::OnDemand;
use trivium_model::{
    DataType, Diagnostic, FeatureService, FeatureView, ViewRef, config::position_in_item,
};

use super::codes::BAD_EXPRESSION;

/// A service and where it was read.
pub(crate) struct Of<'s> {
    pub(crate) service: &'s FeatureService,
    pub(crate) path: &'s str,
    /// The JSON.
    pub(crate) text: &'s str,
}

/// What is wrong with the derived features of these services. Services that list what no view has are passed over:
/// that is said elsewhere.
pub(crate) fn check<'s>(
    services: impl Iterator<Item = Of<'s>>,
    views: &BTreeMap<ViewRef, &FeatureView>,
) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    for Of { service, path, text } in services.filter(|of| !of.service.derived.is_empty()) {
        let Some(types) = types_of(service, views) else { continue };
        for wrong in OnDemand::of(service, &types).err().unwrap_or_default() {
            let at = position_in_item(text, ("derived", wrong.index), "sql", wrong.problem.offset);
            let name = service.derived.get(wrong.index).map_or("?", |derived| &derived.name);
            let message = format!("`{name}`: {}", wrong.problem.message);
            found.push(Diagnostic::error(
                path,
                at,
                BAD_EXPRESSION.code,
                message,
                wrong.problem.help,
            ));
        }
    }
    found
}

/// The types of the features that a service lists; `None` if one of them is in no view.
fn types_of(
    service: &FeatureService,
    views: &BTreeMap<ViewRef, &FeatureView>,
) -> Option<Vec<DataType>> {
    let mut served: BTreeMap<ViewRef, Vec<trivium_model::Feature>> = BTreeMap::new();
    let mut types = Vec::with_capacity(service.features.len());
    for listed in service.feature_refs() {
        let view = views.get(&listed.view)?;
        let features = served.entry(listed.view).or_insert_with(|| view.served_features());
        let feature = features.iter().find(|feature| feature.name == listed.feature)?;
        types.push(feature.data_type.clone());
    }
    Some(types)
}
