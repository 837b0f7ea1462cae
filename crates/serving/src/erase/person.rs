//! From a namespace and a join key to the name of a subject.

use trivium_api::{ApiError, suggest};
use trivium_codec::KeyShape;
use trivium_model::{KeyType, KeyValue, Name, json::key_to_json};

use super::job::Person;
use crate::Definitions;

impl Definitions {
    /// The type of the join key that names persons in this namespace, if there are views with it.
    pub(super) fn subject_type(
        &self,
        namespace: &str,
        join_key: &str,
    ) -> Result<KeyType, ApiError> {
        let known: Vec<(&str, KeyType)> = self
            .all()
            .filter(|view| view.reference.namespace.as_str() == namespace)
            .filter_map(|view| view.subject_key())
            .map(|(name, key_type)| (name.as_str(), key_type))
            .collect();
        if let Some((_, key_type)) = known.iter().find(|(name, _)| *name == join_key) {
            return Ok(*key_type);
        }
        let mut names: Vec<&str> = known.into_iter().map(|(name, _)| name).collect();
        names.sort_unstable();
        names.dedup();
        if !names.is_empty() {
            return Err(ApiError::not_found(format!(
                "`{join_key}` names no person in namespace `{namespace}`"
            ))
            .at(format!("subject.{join_key}"))
            .help(suggest::hint(join_key, names.iter().copied())));
        }
        let mut namespaces: Vec<&str> = self
            .all()
            .filter(|view| view.subject_key().is_some())
            .map(|view| view.reference.namespace.as_str())
            .collect();
        namespaces.sort_unstable();
        namespaces.dedup();
        Err(ApiError::not_found(format!(
            "no view of namespace `{namespace}` says whose data its rows are"
        ))
        .at("namespace")
        .help(match namespaces.is_empty() {
            true => "a view's config names the join key of persons: `\"subject\": \"user_id\"`"
                .to_owned(),
            false => suggest::hint(namespace, namespaces.iter().copied()),
        }))
    }
}

/// The person, and the name of the subject: spelled as [`crate::ViewDefinition`] spells it of a row's key.
pub(super) fn person(
    namespace: &str,
    join_key: &str,
    value: &KeyValue,
) -> Result<(Person, String), ApiError> {
    let invalid = |message: String| ApiError::invalid(message).at(format!("subject.{join_key}"));
    let name = |text: &str| Name::new(text).map_err(|error| invalid(error.to_string()));
    let view = trivium_model::ViewRef {
        namespace: Name::new(namespace)
            .map_err(|error| ApiError::invalid(error.to_string()).at("namespace"))?,
        // Any will do: only the value's spelling is wanted.
        view: name("any")?,
        version: 1,
    };
    let shape = KeyShape::from_parts(&view, [(name(join_key)?, value.key_type())]);
    let key = shape.encode(std::slice::from_ref(value));
    let key = key.map_err(|error| invalid(error.to_string()))?;
    let part = shape.part(&key, 0).ok_or_else(|| invalid("it makes no key".to_owned()))?;
    let subject = format!("{namespace}#{join_key}#{part}");
    let person = Person {
        namespace: namespace.to_owned(),
        join_key: join_key.to_owned(),
        key_type: value.key_type(),
        value: key_to_json(value),
    };
    Ok((person, subject))
}
