//! From the entities of a request to row keys.

use trivium_api::ApiError;
use trivium_codec::{KeyValueRef, RowKey};
use trivium_model::{KeyType, KeyValue, json::key_from_json};

use crate::{
    definitions::ViewDefinition,
    json_text::{Node, Text},
    plan::{KeySet, ReadPlan},
};

/// One join key value: borrowed from the request where its bytes are there as they are.
#[derive(Debug, Clone)]
pub(crate) enum KeyCell<'a> {
    Borrowed(KeyValueRef<'a>),
    Owned(KeyValue),
}

impl KeyCell<'_> {
    pub(crate) fn as_ref(&self) -> KeyValueRef<'_> {
        match self {
            Self::Borrowed(value) => *value,
            Self::Owned(value) => KeyValueRef::from(value),
        }
    }
}

/// The values of all join keys, in their order, from an entity object of a JSON request, into
/// `cells`, which is used again for the next entity. `path` is only put together where something is
/// wrong.
pub(crate) fn cells_of_json<'a>(
    keys: &KeySet,
    entity: &'a [(Text<'_>, Node<'_>)],
    cells: &mut Vec<Option<KeyCell<'a>>>,
    path: impl Fn() -> String,
) -> Result<(), ApiError> {
    cells_beside(keys, entity, cells, &path, |name, _| {
        Err(keys.unknown(name, format!("{}.{name}", path())))
    })
}

/// The same where other things may stand beside the join keys: `other` takes or refuses them.
pub(crate) fn cells_beside<'a>(
    keys: &KeySet,
    entity: &'a [(Text<'_>, Node<'_>)],
    cells: &mut Vec<Option<KeyCell<'a>>>,
    path: impl Fn() -> String,
    mut other: impl FnMut(&str, &Node<'_>) -> Result<(), ApiError>,
) -> Result<(), ApiError> {
    cells.clear();
    cells.resize(keys.len(), None);
    for (name, node) in entity {
        let Some(index) = keys.index_of(name) else {
            other(name, node)?;
            continue;
        };
        let (_, key_type) = &keys.as_slice()[index];
        if cells[index].is_some() {
            return Err(ApiError::invalid(format!("join key `{name}` stands twice"))
                .at(format!("{}.{name}", path())));
        }
        cells[index] = Some(match (key_type, node) {
            (KeyType::String, Node::Text(text)) => KeyCell::Borrowed(KeyValueRef::String(text)),
            (_, other) => KeyCell::Owned(
                other.to_json().and_then(|json| key_from_json(*key_type, &json)).map_err(
                    |message| ApiError::invalid(message).at(format!("{}.{name}", path())),
                )?,
            ),
        });
    }
    check_complete(keys, cells, path)
}

/// An error that names the first join key that is missing.
pub(crate) fn check_complete(
    keys: &KeySet,
    cells: &[Option<KeyCell<'_>>],
    path: impl Fn() -> String,
) -> Result<(), ApiError> {
    match cells.iter().position(Option::is_none) {
        Some(index) => Err(keys.missing(index, &path())),
        None => Ok(()),
    }
}

/// The value of a cell; [`check_complete`] has seen that there is one.
fn value<'c>(cell: &'c Option<KeyCell<'_>>) -> KeyValueRef<'c> {
    cell.as_ref().map_or(KeyValueRef::Bool(false), KeyCell::as_ref)
}

/// The row key of one view.
pub(crate) fn row_key(
    view: &ViewDefinition,
    cells: &[Option<KeyCell<'_>>],
    path: impl Fn() -> String,
) -> Result<RowKey, ApiError> {
    view.keys
        .encode_iter(cells.iter().map(value))
        .map_err(|error| ApiError::invalid(error.to_string()).at(path()))
}

/// The row keys of every view of a plan for one entity, in the order of the views.
pub(crate) fn push_row_keys(
    plan: &ReadPlan,
    cells: &[Option<KeyCell<'_>>],
    row_keys: &mut Vec<RowKey>,
    path: impl Fn() -> String,
) -> Result<(), ApiError> {
    for planned in &plan.views {
        let values = planned.key_slots.iter().map(|slot| value(&cells[*slot]));
        let key = planned
            .view
            .keys
            .encode_iter(values)
            .map_err(|error| ApiError::invalid(error.to_string()).at(path()))?;
        row_keys.push(key);
    }
    Ok(())
}
