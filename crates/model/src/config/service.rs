//! Builds a service from a tree whose form has been checked. What its expressions say is checked where the types of
//! its features are known: in the registry.

use std::collections::HashSet;

use jsonc_parser::ast::Object;
use jsonc_parser::common::Ranged;

use super::codes;
use super::read::Reader;
use super::tree::{feature_path, flag, get, items, name, object, text};
use super::view::{check_decimal, check_tags, data_type, owner, tags, version};
use crate::{DataType, DerivedFeature, FeatureService, Name, ServiceFeature, ServiceInput};

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
    // Both are built before either can fail: all errors in one go.
    let inputs = inputs(reader, root, &features);
    let derived = derived(reader, root, &features);
    Some(FeatureService {
        namespace: get(root, "namespace").and_then(name)?,
        name: get(root, "name").and_then(name)?,
        version: version(root)?,
        description: get(root, "description").and_then(text)?.to_owned(),
        owner: owner(root)?,
        features,
        inputs: inputs?,
        derived: derived?,
        precomputed: get(root, "precomputed").and_then(flag).unwrap_or(false),
        tags: tags(root),
    })
}

fn inputs(
    reader: &mut Reader<'_>,
    root: &Object<'_>,
    features: &[ServiceFeature],
) -> Option<Vec<ServiceInput>> {
    let mut names = HashSet::new();
    let built: Vec<_> = items(get(root, "inputs"))
        .iter()
        .map(|item| {
            let item = object(item)?;
            take_name(reader, item, &mut names, "inputs");
            shadow(reader, item, features);
            Some(ServiceInput {
                data_type: scalar(reader, item, "an input")?,
                name: get(item, "name").and_then(name)?,
                description: get(item, "description").and_then(text)?.to_owned(),
            })
        })
        .collect();
    built.into_iter().collect()
}

fn derived(
    reader: &mut Reader<'_>,
    root: &Object<'_>,
    features: &[ServiceFeature],
) -> Option<Vec<DerivedFeature>> {
    let mut names = HashSet::new();
    let built: Vec<_> = items(get(root, "derived"))
        .iter()
        .map(|item| {
            let item = object(item)?;
            take_name(reader, item, &mut names, "derived features");
            twin(reader, root, item, features);
            Some(DerivedFeature {
                data_type: scalar(reader, item, "a derived feature")?,
                name: get(item, "name").and_then(name)?,
                description: get(item, "description").and_then(text)?.to_owned(),
                sql: get(item, "sql").and_then(text)?.to_owned(),
            })
        })
        .collect();
    built.into_iter().collect()
}

fn take_name(
    reader: &mut Reader<'_>,
    item: &Object<'_>,
    names: &mut HashSet<Name>,
    what: &'static str,
) {
    let Some((node, name)) = get(item, "name").and_then(|node| Some((node, name(node)?))) else {
        return;
    };
    if names.contains(&name) {
        let message = format!("two {what} are named `{name}`");
        reader.error(node.range().start, codes::NAME_COLLISION, message, "rename one");
    } else {
        names.insert(name);
    }
}

/// An input of a feature's name would take its place in the expressions that name it without its view.
fn shadow(reader: &mut Reader<'_>, item: &Object<'_>, features: &[ServiceFeature]) {
    let Some((node, name)) = get(item, "name").and_then(|node| Some((node, name(node)?))) else {
        return;
    };
    if let Some(listed) = features.iter().find(|listed| listed.feature == name) {
        let message = format!(
            "the input `{name}` has the name of the feature `{}@{}:{name}`",
            listed.view, listed.version
        );
        let help = "rename the input: in an expression the name would be both";
        reader.error(node.range().start, codes::NAME_COLLISION, message, help);
    }
}

/// A view may have the service's name: then its features' full names are written as those of derived ones.
fn twin(
    reader: &mut Reader<'_>,
    root: &Object<'_>,
    item: &Object<'_>,
    features: &[ServiceFeature],
) {
    let Some(node) = get(item, "name") else { return };
    let Some(derived) = name(node) else { return };
    let service = (get(root, "name").and_then(name), version(root));
    let is_twin = |listed: &&ServiceFeature| {
        listed.feature == derived && service == (Some(listed.view.clone()), Some(listed.version))
    };
    if let Some(listed) = features.iter().find(is_twin) {
        let message = format!(
            "`{derived}` would have the full name of the feature `{}@{}:{derived}`",
            listed.view, listed.version
        );
        reader.error(node.range().start, codes::NAME_COLLISION, message, "rename it");
    }
}

fn scalar(reader: &mut Reader<'_>, item: &Object<'_>, what: &str) -> Option<DataType> {
    let node = get(item, "type")?;
    let data_type = data_type(node)?;
    if matches!(data_type, DataType::List(_) | DataType::Embedding { .. }) {
        let message = format!("{what} cannot be of type {data_type}");
        let help = "take a scalar type: expressions give single values";
        reader.error(node.range().start, codes::BAD_TYPE, message, help);
        return None;
    }
    check_decimal(reader, node, &data_type).then_some(data_type)
}
