//! The source of a stream view.

use indexmap::IndexMap;
use jsonc_parser::ast::Object;
use jsonc_parser::common::Ranged;

use super::codes;
use super::read::Reader;
use super::tree::{get, object, text, word};
use super::view::{Columns, lane_word};
use super::words::suggest;
use crate::source::{FieldPath, StreamSource};
use crate::{Lane, Name};

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
    })
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
