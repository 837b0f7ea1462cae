//! The source of a stream view.

use indexmap::IndexMap;
use jsonc_parser::ast::Object;
use jsonc_parser::common::Ranged;

use super::codes;
use super::read::Reader;
use super::tree::{get, items, name, object, text, word};
use super::view::{Columns, data_type, lane_word};
use super::words::suggest;
use crate::source::{FieldPath, StreamSource};
use crate::window::EventColumn;
use crate::{DataType, Lane, Name};

/// Builds the source; reports columns that the view does not have, and places that the format lacks.
pub(super) fn build(
    reader: &mut Reader<'_>,
    root: &Object<'_>,
    lane: Option<Lane>,
    columns: &Columns,
) -> Option<StreamSource> {
    let node = get(root, "source")?;
    if let Some(lane @ (Lane::Batch | Lane::Direct)) = lane {
        let message = format!("a {} view cannot have `source`", lane_word(lane));
        let help = "remove `source`, or make the lane `stream`";
        reader.error(node.range().start, codes::WRONG_LANE, message, help);
    }
    let source = object(node)?;
    let format: crate::PayloadFormat = get(source, "format").and_then(word)?;
    let topic_node = get(source, "topic")?;
    let topic = text(topic_node)?;
    check_topic(reader, topic_node.range().start, topic);
    check_filter(reader, root, source);
    let (filter_columns, columns) = filter_columns(reader, source, columns);
    let mut places = IndexMap::new();
    for property in get(source, "columns").and_then(object).map_or(&[][..], |map| &map.properties) {
        let Ok(column) = Name::new(property.name.as_str()) else { continue };
        if !columns.contains_key(&column) {
            let message = format!("the view has no column `{column}`");
            let help = suggest(&column, columns.keys().map(Name::as_str));
            reader.error(property.name.range().start, codes::UNKNOWN_COLUMN, message, help);
            continue;
        }
        let Some(Ok(path)) = text(&property.value).map(str::parse::<FieldPath>) else { continue };
        if matches!(path, FieldPath::Event(_)) && !format.is_change_event() {
            let message =
                format!("`{path}` is a place in change events, and messages are {}", format.word());
            let help = "write the field's own path, without `$event.`";
            reader.error(property.value.range().start, codes::BAD_PATH, message, help);
        }
        places.insert(column, path);
    }
    Some(StreamSource {
        format,
        system: get(source, "system").and_then(word).unwrap_or_default(),
        topic: topic.to_owned(),
        columns: places,
        time_unit: get(source, "time_unit").and_then(word),
        filter: get(source, "filter").and_then(text).map(ToOwned::to_owned),
        filter_columns,
    })
}

/// Whether there can be a filter here.
fn check_filter(reader: &mut Reader<'_>, root: &Object<'_>, source: &Object<'_>) {
    let filter = get(source, "filter");
    let columns = get(source, "filter_columns");
    let Some(node) = filter.or(columns) else { return };
    let mut error = |message: &str, help: &str| {
        reader.error(node.range().start, codes::BAD_SOURCE, message, help);
    };
    if get(root, "window").is_some() {
        let message = "windows say themselves which events count";
        error(message, "write the condition as `window.filter`, over `window.columns`");
    } else if get(root, "inputs").is_some() {
        let message = "the view's job writes this topic, and its SQL says what";
        error(message, "write the condition in the SQL");
    } else if filter.is_none() {
        let message = "only `filter` reads `filter_columns`, and there is none";
        error(message, "add it, or remove them");
    }
}

/// The columns that only the filter reads, and all columns that stand in messages.
fn filter_columns(
    reader: &mut Reader<'_>,
    source: &Object<'_>,
    columns: &Columns,
) -> (Vec<EventColumn>, Columns) {
    let (mut found, mut all) = (Vec::new(), columns.clone());
    for item in items(get(source, "filter_columns")).iter().filter_map(object) {
        let Some(node) = get(item, "name") else { continue };
        let Some(name) = name(node) else { continue };
        let type_node = get(item, "type");
        let column_type = type_node.and_then(data_type);
        if let (Some(DataType::List(_) | DataType::Embedding { .. }), Some(at)) =
            (&column_type, type_node)
        {
            let message = format!("`{name}` is of a type that conditions are not written over");
            let help = "leave it out, or take a scalar type";
            reader.error(at.range().start, codes::WRONG_COLUMN_TYPE, message, help);
        }
        let start = node.range().start;
        if columns.contains_key(&name) {
            let message = format!("`{name}` is a column of the view already");
            let help = "the filter may name it: remove it here, or rename it";
            reader.error(start, codes::NAME_COLLISION, message, help);
        } else if all.insert(name.clone(), column_type.clone()).is_some() {
            let message = format!("the column `{name}` is defined twice");
            reader.error(start, codes::DUPLICATE_ITEM, message, "keep one");
        }
        if let Some(data_type) = column_type {
            let description = get(item, "description").and_then(text).map(ToOwned::to_owned);
            found.push(EventColumn { name, data_type, description });
        }
    }
    (found, all)
}

/// Kafka's own rule, which holds for Kinesis' streams, too.
pub(super) fn check_topic(reader: &mut Reader<'_>, start: usize, topic: &str) {
    let is_known = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
    if !topic.trim().is_empty() && (!topic.bytes().all(is_known) || matches!(topic, "." | "..")) {
        let message = "this is no topic's name".to_owned();
        let help = "use letters, digits, `.`, `_` and `-`";
        reader.error(start, codes::BAD_TOPIC, message, help);
    }
}
