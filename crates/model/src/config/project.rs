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
            for (at, input) in service.inputs.iter().enumerate() {
                let place = Place::Within("inputs", at, "name");
                // Said of the first view that has the key.
                let is_first = !service.feature_refs().take(index).any(|before| {
                    before.view == feature.view || has_key(&versions, &before.view, &input.name)
                });
                if is_first && view.entities.iter().any(|entity| entity.name == input.name) {
                    let message = format!(
                        "the input `{}` has the name of a join key of {}",
                        input.name, feature.view
                    );
                    let help = "rename the input: in a request and in a frame the name is the key";
                    report(path, place, codes::NAME_COLLISION, message, help.to_owned());
                }
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

/// Line and column, both from 1, of a byte of a text that a config has at this path of fields, such as
/// `["window", "filter"]`: of what was written, escapes and all. 1:1 where nothing stands there.
pub fn position_within(config: &str, path: &[&str], offset: usize) -> (u32, u32) {
    let mut reader = Reader::new("", config);
    let Some(root) = reader.root(config) else { return (1, 1) };
    let Some((last, parents)) = path.split_last() else { return (1, 1) };
    let parent = parents.iter().try_fold(&root, |inner, field| get(inner, field).and_then(object));
    let text = parent.and_then(|inner| get(inner, last));
    position_of(&mut reader, config, text, offset)
}

fn position_of(
    reader: &mut Reader<'_>,
    config: &str,
    text: Option<&Node<'_>>,
    offset: usize,
) -> (u32, u32) {
    let Some(Node::StringLit(literal)) = text else { return (1, 1) };
    let start = literal.range.start + 1;
    let written = config.get(start..literal.range.end.saturating_sub(1)).unwrap_or_default();
    reader.position(start + as_written(written, offset))
}

/// Where a byte of a text stands in the text as JSON writes it, quotes left out.
fn as_written(written: &str, offset: usize) -> usize {
    let (mut at, mut decoded) = (0, 0);
    while decoded < offset {
        let Some(rest) = written.get(at..) else { break };
        let Some(first) = rest.chars().next() else { break };
        if first != '\\' {
            at += first.len_utf8();
            decoded += first.len_utf8();
            continue;
        }
        let unit = |from: usize| {
            let digits = rest.get(from..from + 6).and_then(|unit| unit.strip_prefix("\\u"))?;
            u32::from_str_radix(digits, 16).ok()
        };
        let (taken, made) = match (unit(0), unit(6)) {
            (Some(0xd800..=0xdbff), Some(0xdc00..=0xdfff)) => (12, 4),
            (Some(unit), _) => (6, char::from_u32(unit).map_or(3, char::len_utf8)),
            // `\n`, `\"`
            (None, _) => (2, 1),
        };
        at += taken;
        decoded += made;
    }
    at
}

fn has_key(versions: &HashMap<ViewRef, (&str, &FeatureView)>, view: &ViewRef, key: &Name) -> bool {
    let view = versions.get(view).map(|(_, view)| view);
    view.is_some_and(|view| view.entities.iter().any(|entity| entity.name == *key))
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

/// The same for a field of the item `index` of the list `list`.
pub fn position_in_item(
    config: &str,
    (list, index): (&str, usize),
    field: &str,
    offset: usize,
) -> (u32, u32) {
    let mut reader = Reader::new("", config);
    let Some(root) = reader.root(config) else { return (1, 1) };
    let item = items(get(&root, list)).get(index).and_then(object);
    position_of(&mut reader, config, item.and_then(|item| get(item, field)), offset)
}

/// A place in a config, found again in its text.
#[derive(Clone, Copy)]
enum Place {
    Field(&'static str),
    Item(&'static str, usize),
    EntityType(usize),
    /// A field of an item of a list.
    Within(&'static str, usize, &'static str),
}

impl Place {
    fn position(self, text: &str) -> (u32, u32) {
        let mut reader = Reader::new("", text);
        let Some(root) = reader.root(text) else { return (1, 1) };
        let node = match self {
            Self::Field(field) => get(&root, field),
            Self::Item(field, index) => items(get(&root, field)).get(index),
            Self::Within(list, index, field) => items(get(&root, list))
                .get(index)
                .and_then(object)
                .and_then(|item| get(item, field)),
            Self::EntityType(index) => items(get(&root, "entities"))
                .get(index)
                .and_then(object)
                .and_then(|entity| property(entity, "type"))
                .map(|property| &property.value),
        };
        node.map_or((1, 1), |node: &Node<'_>| reader.position(node.range().start))
    }
}
