//! Checks across the files of a project.

use std::collections::HashMap;

use jsonc_parser::ast::Value as Node;
use jsonc_parser::common::Ranged;

use super::codes;
use super::limits::DIAGNOSTICS_MAX;
use super::read::Reader;
use super::tree::{get, items, object, property};
use super::words::suggest;
use crate::{Diagnostic, FeatureService, FeatureView, KeyType, Name, ServiceRef, ViewRef};

/// Checks what no single file can know: that a join key has one type in its namespace, that each
/// version is defined once, and that services read features that exist. Positions are 1:1 because
/// no texts are at hand: see [`check_project_with`].
pub fn check_project(
    views: &[(String, FeatureView)],
    services: &[(String, FeatureService)],
) -> Vec<Diagnostic> {
    check_project_with(views, services, &|_| None)
}

/// As [`check_project`], with positions for every path whose text `text_of` gives.
pub fn check_project_with<'t>(
    views: &[(String, FeatureView)],
    services: &[(String, FeatureService)],
    text_of: &dyn Fn(&str) -> Option<&'t str>,
) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    let mut report = |path: &str, place: Place, code, message: String, help: String| {
        if found.len() >= DIAGNOSTICS_MAX {
            return;
        }
        let at = text_of(path).map_or((1, 1), |text| place.position(text));
        found.push(Diagnostic::error(path, at, code, message, help));
    };

    let mut versions: HashMap<ViewRef, (&str, &FeatureView)> = HashMap::new();
    let mut key_types: HashMap<(&Name, &Name), (KeyType, &str)> = HashMap::new();
    for (path, view) in views {
        let reference = view.reference();
        if let Some((before, _)) = versions.get(&reference) {
            let message = format!("{reference} is defined in `{before}` too");
            let help = format!("keep one, or make this version {}", view.version.saturating_add(1));
            report(path, Place::Field("version"), codes::DUPLICATE_VERSION, message, help);
        } else {
            versions.insert(reference, (path, view));
        }
        for (index, entity) in view.entities.iter().enumerate() {
            let key = (&view.namespace, &entity.name);
            let (first, before) = *key_types.entry(key).or_insert((entity.key_type, path));
            if first != entity.key_type {
                let message = format!(
                    "join key `{}` is {} here and {first} in `{before}`",
                    entity.name, entity.key_type
                );
                let help = format!(
                    "one name has one type in the namespace `{}`: use {first}, or another name",
                    view.namespace
                );
                report(path, Place::EntityType(index), codes::KEY_TYPE_CONFLICT, message, help);
            }
        }
    }

    let mut served: HashMap<ViewRef, Vec<Name>> = HashMap::new();
    let mut services_seen: HashMap<ServiceRef, &str> = HashMap::new();
    let mut offline = Vec::new();
    for (path, service) in services {
        let reference = service.reference();
        if let Some(before) = services_seen.get(&reference) {
            let message = format!("{reference} is defined in `{before}` too");
            let help =
                format!("keep one, or make this version {}", service.version.saturating_add(1));
            report(path, Place::Field("version"), codes::DUPLICATE_VERSION, message, help);
        } else {
            services_seen.insert(reference, path);
        }
        for (index, feature) in service.feature_refs().enumerate() {
            let place = Place::Item("features", index);
            let Some((_, view)) = versions.get(&feature.view) else {
                let (message, help) = unknown_view(&feature.view, versions.keys());
                report(path, place, codes::UNKNOWN_VIEW, message, help);
                continue;
            };
            let served = served.entry(feature.view.clone()).or_insert_with(|| {
                view.served_features().into_iter().map(|served| served.name).collect()
            });
            if !served.contains(&feature.feature) {
                let message = format!("{} has no feature `{}`", feature.view, feature.feature);
                let known = served.iter().map(Name::as_str);
                let help = suggest(&feature.feature, known);
                report(path, place, codes::UNKNOWN_FEATURE, message, help);
            } else if !view.online {
                let message = format!("{} is not served online", feature.view);
                offline.push((path, place, message));
            }
        }
    }
    for (path, place, message) in offline {
        let at = text_of(path).map_or((1, 1), |text| place.position(text));
        let help = "set its `online` to true, or read it from history only";
        let warning = Diagnostic::error(path, at, codes::NOT_ONLINE, message, help).into_warning();
        found.push(warning);
    }
    found.sort_by(|a, b| (&a.path, a.line, a.column).cmp(&(&b.path, b.line, b.column)));
    found
}

fn unknown_view<'v>(
    wanted: &ViewRef,
    known: impl Iterator<Item = &'v ViewRef>,
) -> (String, String) {
    let mut names: Vec<&ViewRef> =
        known.filter(|known| known.namespace == wanted.namespace).collect();
    names.sort();
    let versions: Vec<String> = names
        .iter()
        .filter(|known| known.view == wanted.view)
        .map(|known| format!("`{}@{}`", known.view, known.version))
        .collect();
    let help = if versions.is_empty() {
        suggest(&wanted.view, names.iter().map(|known| known.view.as_str()))
    } else {
        format!("its versions: {}", versions.join(", "))
    };
    (format!("the view {wanted} does not exist"), help)
}

/// A place in a config, found again in its text.
#[derive(Clone, Copy)]
enum Place {
    Field(&'static str),
    Item(&'static str, usize),
    EntityType(usize),
}

impl Place {
    fn position(self, text: &str) -> (u32, u32) {
        let mut reader = Reader::new("", text);
        let Some(root) = reader.root(text) else { return (1, 1) };
        let node = match self {
            Self::Field(field) => get(&root, field),
            Self::Item(field, index) => items(get(&root, field)).get(index),
            Self::EntityType(index) => items(get(&root, "entities"))
                .get(index)
                .and_then(object)
                .and_then(|entity| property(entity, "type"))
                .map(|property| &property.value),
        };
        node.map_or((1, 1), |node: &Node<'_>| reader.position(node.range().start))
    }
}
