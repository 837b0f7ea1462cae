//! The windows of a stream view.

use std::collections::HashSet;

use indexmap::IndexMap;
use jsonc_parser::ast::{Object, Value as Node};
use jsonc_parser::common::Ranged;

use super::change::{ChangeClass, Difference};
use super::codes;
use super::limits::WINDOW_TILES_MAX;
use super::read::Reader;
use super::source::check_topic;
use super::tree::{get, items, json, name, object, span, text};
use super::view::{Columns, data_type, lane_word};
use super::words::suggest;
use crate::window::{EventColumn, StreamWindow, WindowAggregate};
use crate::{DataType, FeatureView, Lane, Name, TimeSpan};

/// Builds the windows; reports columns and features that do not fit each other.
pub(super) fn build(
    reader: &mut Reader<'_>,
    root: &Object<'_>,
    lane: Option<Lane>,
    columns: &Columns,
) -> Option<StreamWindow> {
    let node = get(root, "window")?;
    let window = object(node)?;
    if let Some(lane @ (Lane::Batch | Lane::Direct)) = lane {
        let message = format!("a {} view cannot have `window`", lane_word(lane));
        let help = "remove `window`, or make the lane `stream`; batch views have `rollup`";
        reader.error(node.range().start, codes::WRONG_LANE, message, help);
    }
    check_source(reader, root, node);
    let size = get(window, "size").and_then(span);
    let slide = get(window, "slide").and_then(span);
    check_slide(reader, window, size, slide);
    let events = event_columns(reader, root, window);
    if let Some(id) = get(window, "event_id")
        && let Some(given) = name(id)
        && !events.contains_key(&given)
    {
        unknown_column(reader, id.range().start, &given, &events);
    }
    let features = features(reader, root, window, columns, &events);
    let topic_node = get(window, "payload_topic")?;
    let topic = text(topic_node)?;
    check_topic(reader, topic_node.range().start, topic);
    let read = get(root, "source").and_then(object).and_then(|source| get(source, "topic"));
    if read.and_then(text) == Some(topic) {
        let message = format!("`{topic}` is the source's topic, too");
        let help = "take another: the rows would be read as events";
        reader.error(topic_node.range().start, codes::BAD_TOPIC, message, help);
    }
    let built = items(get(window, "columns")).iter().map(|item| {
        let item = object(item)?;
        Some(EventColumn {
            name: get(item, "name").and_then(name)?,
            data_type: get(item, "type").and_then(data_type)?,
            description: get(item, "description").and_then(text).map(ToOwned::to_owned),
        })
    });
    Some(StreamWindow {
        size: size?,
        slide,
        allowed_lateness: get(window, "allowed_lateness").and_then(span),
        columns: built.collect::<Option<_>>()?,
        event_id: get(window, "event_id").and_then(name),
        filter: get(window, "filter").and_then(text).map(ToOwned::to_owned),
        features,
        payload_topic: topic.to_owned(),
        job: get(window, "job").and_then(object).map(|job| super::job::settings(reader, Some(job))),
    })
}

/// The columns that `source.columns` may place: those of the events, where there are windows over them.
pub(super) fn source_columns(root: &Object<'_>, columns: &Columns) -> Option<Columns> {
    let window = get(root, "window").and_then(object)?;
    let features: HashSet<Name> = items(get(root, "features"))
        .iter()
        .filter_map(|item| get(object(item)?, "name").and_then(name))
        .collect();
    let mut found: Columns = columns
        .iter()
        .filter(|(name, _)| !features.contains(*name))
        .map(|(name, data_type)| (name.clone(), data_type.clone()))
        .collect();
    for item in items(get(window, "columns")).iter().filter_map(object) {
        if let Some(name) = get(item, "name").and_then(name) {
            found.entry(name).or_insert_with(|| get(item, "type").and_then(data_type));
        }
    }
    Some(found)
}

fn check_source(reader: &mut Reader<'_>, root: &Object<'_>, node: &Node<'_>) {
    let Some(source_node) = get(root, "source") else {
        let message = "windows are over the events of a source, and there is none".to_owned();
        let help = "add it, as in `\"source\": { \"format\": \"json\", \"topic\": \"flights.departures\" }`";
        return reader.error(node.range().start, codes::BAD_WINDOW, message, help);
    };
    let Some(source) = object(source_node) else { return };
    let format = get(source, "format");
    if let Some(at) = format
        && let Some(word @ ("envelope" | "debezium_json" | "debezium_avro")) = text(at)
    {
        let message = format!("messages of format `{word}` are rows and their changes, no events");
        let help = "windows are over `json` or `avro`";
        reader.error(at.range().start, codes::BAD_WINDOW, message, help);
    }
    if let Some(at) = get(source, "system")
        && text(at) == Some("kinesis")
    {
        let message = "windows are computed over Kafka's topics alone".to_owned();
        let help = "compute them elsewhere and send payloads, or bring the stream to Kafka";
        reader.error(at.range().start, codes::BAD_WINDOW, message, help);
    }
}

fn check_slide(
    reader: &mut Reader<'_>,
    window: &Object<'_>,
    size: Option<TimeSpan>,
    slide: Option<TimeSpan>,
) {
    let (Some(size), Some(slide), Some(node)) = (size, slide, get(window, "slide")) else { return };
    let start = node.range().start;
    if size.micros() % slide.micros() != 0 {
        let message = format!("windows of {size} are no multiple of a slide of {slide}");
        let help = format!("take a length that divides {size} evenly");
        reader.error(start, codes::BAD_WINDOW, message, help);
    } else if size.micros() / slide.micros() > WINDOW_TILES_MAX {
        let message =
            format!("windows of {size} have more than {WINDOW_TILES_MAX} slides of {slide}");
        reader.error(start, codes::BAD_WINDOW, message, "take a longer slide");
    }
}

/// The events' columns by name, with their types (`None` where the type is wrong).
fn event_columns(reader: &mut Reader<'_>, root: &Object<'_>, window: &Object<'_>) -> Columns {
    let mut taken: HashSet<Name> = items(get(root, "entities"))
        .iter()
        .filter_map(|item| get(object(item)?, "name").and_then(name))
        .collect();
    taken.extend(get(root, "event_timestamp").and_then(name));
    let mut found = Columns::new();
    for item in items(get(window, "columns")).iter().filter_map(object) {
        let Some(node) = get(item, "name") else { continue };
        let Some(name) = name(node) else { continue };
        let start = node.range().start;
        if taken.contains(&name) {
            let message = format!("`{name}` is a join key or the event timestamp already");
            reader.error(start, codes::NAME_COLLISION, message, "remove it, or rename it");
            continue;
        }
        let input = get(item, "type").and_then(data_type);
        if let (Some(DataType::List(_) | DataType::Embedding { .. }), Some(at)) =
            (&input, get(item, "type"))
        {
            let message = format!("`{name}` is of a type that nothing is computed of");
            let help = "leave it out, or take a scalar type";
            reader.error(at.range().start, codes::WRONG_COLUMN_TYPE, message, help);
        }
        if found.insert(name.clone(), input).is_some() {
            let message = format!("the column `{name}` is defined twice");
            reader.error(start, codes::DUPLICATE_ITEM, message, "keep one");
        }
    }
    found
}

fn unknown_column(reader: &mut Reader<'_>, start: usize, given: &Name, events: &Columns) {
    let message = format!("the events have no column `{given}`");
    let help = suggest(given, events.keys().map(Name::as_str));
    reader.error(start, codes::UNKNOWN_COLUMN, message, help);
}

fn features(
    reader: &mut Reader<'_>,
    root: &Object<'_>,
    window: &Object<'_>,
    columns: &Columns,
    events: &Columns,
) -> IndexMap<Name, WindowAggregate> {
    let mut found = IndexMap::new();
    let wanted: Vec<(&Node<'_>, Name)> = items(get(root, "features"))
        .iter()
        .filter_map(|item| get(object(item)?, "name").and_then(|node| Some((node, name(node)?))))
        .collect();
    let map = get(window, "features").and_then(object);
    for property in map.map_or(&[][..], |map| &map.properties) {
        let Ok(feature) = Name::new(property.name.as_str()) else { continue };
        let start = property.name.range().start;
        if !wanted.iter().any(|(_, name)| *name == feature) {
            let message = format!("`{feature}` is no feature of the view");
            let help = suggest(&feature, wanted.iter().map(|(_, name)| name.as_str()));
            reader.error(start, codes::UNKNOWN_FEATURE, message, help);
            continue;
        }
        let Ok(aggregate) = serde_json::from_value::<WindowAggregate>(json(&property.value)) else {
            continue;
        };
        let given = columns.get(&feature).and_then(Option::as_ref);
        check_aggregate(reader, start, &property.value, &feature, given, &aggregate, events);
        found.insert(feature, aggregate);
    }
    if map.is_some() {
        for (node, name) in wanted.iter().filter(|(_, name)| !found.contains_key(name)) {
            // What is written and malformed has been reported.
            if map.is_some_and(|map| get(map, name.as_str()).is_some()) {
                continue;
            }
            let message = format!("nothing says how `{name}` is computed from the events");
            let help = format!("add it to `window.features`, as in `\"{name}\": \"count\"`");
            reader.error(node.range().start, codes::BAD_WINDOW, message, help);
        }
    }
    found
}

fn check_aggregate(
    reader: &mut Reader<'_>,
    start: usize,
    value: &Node<'_>,
    feature: &Name,
    given: Option<&DataType>,
    aggregate: &WindowAggregate,
    events: &Columns,
) {
    let at = object(value)
        .and_then(|value| get(value, aggregate.word()))
        .map_or(start, |node| node.range().start);
    let input = match aggregate.column() {
        None => None,
        Some(column) => match events.get(column) {
            None => return unknown_column(reader, at, column, events),
            // What is malformed has been reported.
            Some(None) => return,
            Some(Some(input)) => Some(input),
        },
    };
    let Some(output) = aggregate.output_type(input) else {
        if let (Some(input), Some(column)) = (input, aggregate.column())
            && !matches!(input, DataType::List(_) | DataType::Embedding { .. })
        {
            let message = format!("`{column}` is {input}, which has no `{}`", aggregate.word());
            let help = "take another aggregate, or a column of another type";
            reader.error(at, codes::WRONG_COLUMN_TYPE, message, help);
        }
        return;
    };
    if let Some(given) = given
        && *given != output
    {
        let message = format!("`{feature}` is {given}, and `{}` gives {output}", aggregate.word());
        let help = format!("make the feature's type {output}");
        reader.error(start, codes::WRONG_COLUMN_TYPE, message, help);
    }
}

/// What differs between the windows of two configs: another window gives other values.
pub(super) fn classify(old: &FeatureView, new: &FeatureView) -> Vec<Difference> {
    use ChangeClass::{Behaviour, Compatible, Cosmetic};
    let mut found = Vec::new();
    let mut add =
        |class, field: String, what: String| found.push(Difference { class, field, what });
    let (Some(before), Some(after)) = (&old.window, &new.window) else {
        match (&old.window, &new.window) {
            (None, Some(_)) => add(Behaviour, "window".into(), "added: rows are computed".into()),
            (Some(_), None) => {
                add(Behaviour, "window".into(), "removed: rows come from elsewhere".into());
            }
            _ => {}
        }
        return found;
    };
    let shown = |span: Option<TimeSpan>| span.map_or("none".to_owned(), |span| span.to_string());
    for (field, from, to) in [
        ("size", before.size.to_string(), after.size.to_string()),
        ("slide", before.tile().to_string(), after.tile().to_string()),
        ("allowed_lateness", shown(before.allowed_lateness), shown(after.allowed_lateness)),
    ] {
        if from != to {
            let what = format!("{from} → {to}, rows are computed of other events");
            add(Behaviour, format!("window.{field}"), what);
        }
    }
    let id = |window: &StreamWindow| {
        window.event_id.as_ref().map_or("none".to_owned(), ToString::to_string)
    };
    if before.event_id != after.event_id {
        let what = format!("{} → {}, other events count", id(before), id(after));
        add(Behaviour, "window.event_id".into(), what);
    }
    let filter = |window: &StreamWindow| {
        window.filter.as_ref().map_or("none".to_owned(), |text| format!("`{text}`"))
    };
    if before.filter != after.filter {
        let what = format!("{} → {}, other events count", filter(before), filter(after));
        add(Behaviour, "window.filter".into(), what);
    }
    match (&before.job, &after.job) {
        (None, Some(_)) => add(Behaviour, "window.job".into(), "added: Flink computes them".into()),
        (Some(_), None) => {
            add(Behaviour, "window.job".into(), "removed: the worker computes them".into());
        }
        _ => {}
    }
    let names: indexmap::IndexSet<&Name> =
        before.features.keys().chain(after.features.keys()).collect();
    for name in names {
        if before.features.get(name) != after.features.get(name) {
            let what = "it is computed otherwise, and the windows under way do not have it";
            add(Behaviour, format!("window.features.{name}"), what.into());
        }
    }
    let types = |window: &StreamWindow| -> Vec<(Name, DataType)> {
        window.columns.iter().map(|one| (one.name.clone(), one.data_type.clone())).collect()
    };
    if types(before) != types(after) {
        add(Behaviour, "window.columns".into(), "events are read otherwise".into());
    } else if before.columns != after.columns {
        add(Cosmetic, "window.columns".into(), "a description changed".into());
    }
    if before.payload_topic != after.payload_topic {
        let (from, to) = (&before.payload_topic, &after.payload_topic);
        let what = format!("{from} → {to}, rows take another way and mean the same");
        add(Compatible, "window.payload_topic".into(), what);
    }
    found
}
