//! Builds a service from a tree whose form has been checked.

use std::collections::HashSet;

use jsonc_parser::ast::Object;
use jsonc_parser::common::Ranged;

use super::codes;
use super::read::Reader;
use super::tree::{feature_path, flag, get, items, name, text};
use super::view::{check_tags, owner, tags, version};
use crate::FeatureService;

pub(super) fn build(reader: &mut Reader<'_>, root: &Object<'_>) -> Option<FeatureService> {
    check_tags(reader, root);
    let mut features = Vec::new();
    let mut seen = HashSet::new();
    for item in items(get(root, "features")) {
        let Some(written) = text(item) else { continue };
        let Some(feature) = feature_path(written) else { continue };
        if seen.insert(feature.clone()) {
            features.push(feature);
        } else {
            let message = format!("the feature `{written}` is listed twice");
            reader.error(item.range().start, codes::DUPLICATE_ITEM, message, "keep one");
        }
    }
    Some(FeatureService {
        namespace: get(root, "namespace").and_then(name)?,
        name: get(root, "name").and_then(name)?,
        version: version(root)?,
        description: get(root, "description").and_then(text)?.to_owned(),
        owner: owner(root)?,
        features,
        precomputed: get(root, "precomputed").and_then(flag).unwrap_or(false),
        tags: tags(root),
    })
}
