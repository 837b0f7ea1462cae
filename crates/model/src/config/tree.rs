//! Takes from the tree what is well-formed. Everything else is `None`, because `read` has reported it.

use jsonc_parser::ast::{Object, ObjectProp, Value as Node};
use serde::Deserialize;
use serde::de::{IntoDeserializer, value::Error as WordError};
use serde_json::Value as Json;

use super::limits::SPAN_DAYS_MAX;
use crate::{Name, ServiceFeature, TimeSpan, Timestamp};

/// `view@version:feature`.
pub(super) fn feature_path(text: &str) -> Option<ServiceFeature> {
    let (view, rest) = text.split_once('@')?;
    let (version, feature) = rest.split_once(':')?;
    let canonical = version.bytes().all(|b| b.is_ascii_digit()) && !version.starts_with('0');
    Some(ServiceFeature {
        view: Name::new(view).ok()?,
        version: version.parse().ok().filter(|_| canonical)?,
        feature: Name::new(feature).ok()?,
    })
}

pub(super) fn span_of(text: &str) -> Option<TimeSpan> {
    // One spelling a number, and few enough digits that the product cannot overflow.
    let plain = !text.starts_with('0') && text.len() <= 10;
    let span: TimeSpan = text.parse().ok().filter(|_| plain)?;
    (span <= TimeSpan::from_days(SPAN_DAYS_MAX)).then_some(span)
}

/// A property as it stands, null included.
pub(super) fn property<'a, 't>(object: &'a Object<'t>, name: &str) -> Option<&'a ObjectProp<'t>> {
    object.properties.iter().find(|property| property.name.as_str() == name)
}

/// A field's value; null is absent.
pub(super) fn get<'a, 't>(object: &'a Object<'t>, name: &str) -> Option<&'a Node<'t>> {
    let value = &property(object, name)?.value;
    (!matches!(value, Node::NullKeyword(_))).then_some(value)
}

pub(super) fn text<'a>(node: &'a Node<'_>) -> Option<&'a str> {
    if let Node::StringLit(literal) = node { Some(&literal.value) } else { None }
}

pub(super) fn name(node: &Node<'_>) -> Option<Name> {
    Name::new(text(node)?).ok()
}

pub(super) fn span(node: &Node<'_>) -> Option<TimeSpan> {
    span_of(text(node)?)
}

pub(super) fn instant(node: &Node<'_>) -> Option<Timestamp> {
    Timestamp::parse(text(node)?)
}

pub(super) fn integer(node: &Node<'_>) -> Option<u64> {
    if let Node::NumberLit(literal) = node { literal.value.parse().ok() } else { None }
}

pub(super) fn number(node: &Node<'_>) -> Option<f64> {
    if let Node::NumberLit(literal) = node { literal.value.parse().ok() } else { None }
}

pub(super) fn flag(node: &Node<'_>) -> Option<bool> {
    if let Node::BooleanLit(literal) = node { Some(literal.value) } else { None }
}

/// An enum value by its word.
pub(super) fn word<'de, T: Deserialize<'de>>(node: &'de Node<'_>) -> Option<T> {
    let deserializer: serde::de::value::StrDeserializer<'de, WordError> =
        text(node)?.into_deserializer();
    T::deserialize(deserializer).ok()
}

pub(super) fn object<'a, 't>(node: &'a Node<'t>) -> Option<&'a Object<'t>> {
    if let Node::Object(object) = node { Some(object) } else { None }
}

/// The items of an array; none if it is absent or something else.
pub(super) fn items<'a, 't>(node: Option<&'a Node<'t>>) -> &'a [Node<'t>] {
    if let Some(Node::Array(array)) = node { &array.elements } else { &[] }
}

/// The tree as plain JSON. Numbers keep their digits as far as doubles and 64 bits hold them.
pub(super) fn json(node: &Node<'_>) -> Json {
    match node {
        Node::StringLit(literal) => Json::String(literal.value.clone().into_owned()),
        Node::NumberLit(literal) => serde_json::from_str(literal.value).unwrap_or(Json::Null),
        Node::BooleanLit(literal) => Json::Bool(literal.value),
        Node::NullKeyword(_) => Json::Null,
        Node::Array(array) => Json::Array(array.elements.iter().map(json).collect()),
        Node::Object(object) => Json::Object(
            object
                .properties
                .iter()
                .map(|property| (property.name.as_str().to_owned(), json(&property.value)))
                .collect(),
        ),
    }
}
