//! Builds a view from a tree whose form has been checked, and checks what it means.

use std::collections::{HashMap, HashSet};

use indexmap::IndexMap;
use jsonc_parser::ast::{Object, Value as Node};
use jsonc_parser::common::Ranged;

use super::codes;
use super::limits::DEFAULT_BYTES_MAX;
use super::read::Reader;
use super::tree::{flag, get, instant, integer, items, json, name, object, span, text, word};
use super::words::suggest;
use crate::json::value_from_json;
use crate::types::{DECIMAL_PRECISION_MAX, EMBEDDING_DIMENSION_MAX};
use crate::{
    Carryover, DataType, Entity, Feature, FeatureView, Lane, Name, Owner, Schedule, TimeSpan, Value,
};

/// The columns that the SQL of a view gives, with their types (`None` where the type is wrong).
pub(super) type Columns = IndexMap<Name, Option<DataType>>;

/// Builds the view; `None` where something required is missing or malformed, which is reported.
pub(super) fn build(reader: &mut Reader<'_>, root: &Object<'_>) -> Option<FeatureView> {
    let lane = get(root, "lane").and_then(word::<Lane>);
    let columns = columns(reader, root);
    let entities = entities(root);
    let features = features(reader, root);
    let subject = subject(reader, root);
    let job = super::job::build(reader, root, lane);
    let of_events = super::window::source_columns(root, &columns);
    let source = super::source::build(reader, root, lane, of_events.as_ref().unwrap_or(&columns));
    let window = super::window::build(reader, root, lane, &columns);
    let schedule = schedule(reader, root, lane);
    let every = schedule.as_ref().map(|schedule| schedule.every);
    let ttl = get(root, "ttl").and_then(span);
    check_ttl(reader, root, ttl, every);
    let carryover = carryover(reader, root, lane);
    let rollup = super::rollup::build(reader, root, lane, &columns, every);
    let quality = super::quality::build(reader, root, &columns);
    check_effect(reader, root, lane);
    Some(FeatureView {
        namespace: get(root, "namespace").and_then(name)?,
        name: get(root, "name").and_then(name)?,
        version: version(root)?,
        lane: lane?,
        description: get(root, "description").and_then(text)?.to_owned(),
        owner: owner(root)?,
        urgency_tier: get(root, "urgency_tier")
            .and_then(integer)
            .and_then(|tier| u8::try_from(tier).ok())?,
        entities: entities?,
        event_timestamp: get(root, "event_timestamp").and_then(name)?,
        created_timestamp: get(root, "created_timestamp").and_then(name),
        subject,
        time_zone: get(root, "time_zone").and_then(text).map(ToOwned::to_owned),
        features: features?,
        source,
        job,
        window,
        schedule,
        ttl,
        carryover,
        rollup,
        online: get(root, "online").and_then(flag).unwrap_or(true),
        quality,
        tags: tags(root),
    })
}

pub(super) fn version(root: &Object<'_>) -> Option<u32> {
    get(root, "version").and_then(integer).and_then(|version| u32::try_from(version).ok())
}

pub(super) fn owner(parent: &Object<'_>) -> Option<Owner> {
    let owner = get(parent, "owner").and_then(object)?;
    Some(Owner {
        team: get(owner, "team").and_then(text)?.to_owned(),
        contact: get(owner, "contact").and_then(text)?.to_owned(),
    })
}

pub(super) fn tags(parent: &Object<'_>) -> Vec<String> {
    items(get(parent, "tags")).iter().filter_map(text).map(ToOwned::to_owned).collect()
}

/// Reports tags that are written twice.
pub(super) fn check_tags(reader: &mut Reader<'_>, parent: &Object<'_>) {
    let mut seen = HashSet::new();
    for item in items(get(parent, "tags")) {
        if let Some(tag) = text(item)
            && !seen.insert(tag)
        {
            let message = format!("tag `{tag}` is written twice");
            reader.error(item.range().start, codes::DUPLICATE_ITEM, message, "keep one");
        }
    }
}

/// Collects the names of all columns and reports those that are taken twice.
fn columns(reader: &mut Reader<'_>, root: &Object<'_>) -> Columns {
    let mut columns = Columns::new();
    let mut roles: HashMap<Name, &str> = HashMap::new();
    let mut take = |reader: &mut Reader<'_>,
                    node: Option<&Node<'_>>,
                    data_type: Option<DataType>,
                    role: &'static str| {
        let (Some(node), Some(name)) = (node, node.and_then(name)) else { return };
        let Some(before) = roles.get(&name) else {
            roles.insert(name.clone(), role);
            columns.insert(name, data_type);
            return;
        };
        let start = node.range().start;
        let (code, message) = match (*before, role) {
            ("a join key", "a join key") => {
                (codes::DUPLICATE_ENTITY, format!("the entity `{name}` is defined twice"))
            }
            ("a feature", "a feature") => {
                (codes::DUPLICATE_FEATURE, format!("the feature `{name}` is defined twice"))
            }
            (before, role) => {
                (codes::NAME_COLLISION, format!("`{name}` is {before} and cannot be {role} too"))
            }
        };
        reader.error(start, code, message, "rename one of them");
    };
    for entity in items(get(root, "entities")).iter().filter_map(object) {
        let key_type = get(entity, "type").and_then(word::<crate::KeyType>);
        let data_type = key_type.map(crate::KeyType::data_type);
        take(reader, get(entity, "name"), data_type, "a join key");
    }
    let instant = Some(DataType::Timestamp);
    take(reader, get(root, "event_timestamp"), instant.clone(), "the event timestamp");
    take(reader, get(root, "created_timestamp"), instant, "the created timestamp");
    for feature in items(get(root, "features")).iter().filter_map(object) {
        let data_type = get(feature, "type").and_then(data_type);
        take(reader, get(feature, "name"), data_type, "a feature");
    }
    columns
}

fn entities(root: &Object<'_>) -> Option<Vec<Entity>> {
    let build = |entity: &Object<'_>| {
        Some(Entity {
            name: get(entity, "name").and_then(name)?,
            key_type: get(entity, "type").and_then(word)?,
            description: get(entity, "description").and_then(text).map(ToOwned::to_owned),
        })
    };
    items(get(root, "entities")).iter().map(|item| build(object(item)?)).collect()
}

/// A type that is well-formed; whether its digits fit is checked with the feature.
pub(super) fn data_type(node: &Node<'_>) -> Option<DataType> {
    serde_json::from_value(json(node)).ok()
}

fn features(reader: &mut Reader<'_>, root: &Object<'_>) -> Option<Vec<Feature>> {
    check_tags(reader, root);
    // Every feature is built, so that every feature's errors are reported.
    let built: Vec<_> = items(get(root, "features"))
        .iter()
        .map(|item| object(item).and_then(|item| feature(reader, item)))
        .collect();
    built.into_iter().collect()
}

fn feature(reader: &mut Reader<'_>, item: &Object<'_>) -> Option<Feature> {
    check_tags(reader, item);
    let type_node = get(item, "type");
    let data_type = type_node.and_then(data_type);
    let sound = match (type_node, &data_type) {
        (Some(node), Some(data_type)) => check_decimal(reader, node, data_type),
        _ => false,
    };
    let default = match (get(item, "default"), &data_type) {
        (Some(node), Some(data_type)) if sound => default(reader, node, data_type),
        _ => None,
    };
    Some(Feature {
        name: get(item, "name").and_then(name)?,
        data_type: data_type?,
        description: get(item, "description").and_then(text)?.to_owned(),
        default,
        owner: owner(item),
        tags: tags(item),
    })
}

/// Whether values can be checked against the type; reports a scale that is too large. Digits and
/// dimensions out of range, and nested lists, have been reported.
pub(super) fn check_decimal(
    reader: &mut Reader<'_>,
    node: &Node<'_>,
    data_type: &DataType,
) -> bool {
    let inner = if let DataType::List(inner) = data_type { inner } else { data_type };
    match inner {
        DataType::Decimal { precision, scale } => {
            let in_range =
                (1..=DECIMAL_PRECISION_MAX).contains(precision) && *scale <= DECIMAL_PRECISION_MAX;
            if in_range && scale > precision {
                let message = format!("{inner} has more digits after the point than in all");
                let help = format!("write a `scale` of at most {precision}");
                reader.error(node.range().start, codes::BAD_TYPE, message, help);
            }
            in_range && scale <= precision
        }
        DataType::List(_) => false,
        DataType::Embedding { dimension, .. } => {
            inner == data_type && (1..=EMBEDDING_DIMENSION_MAX).contains(dimension)
        }
        _ => true,
    }
}

fn default(reader: &mut Reader<'_>, node: &Node<'_>, data_type: &DataType) -> Option<Value> {
    let start = node.range().start;
    let bytes = node.range().end.saturating_sub(start);
    if bytes > DEFAULT_BYTES_MAX {
        let message = format!("the default has {bytes} bytes");
        let help = format!("keep it below {DEFAULT_BYTES_MAX}");
        reader.error(start, codes::TOO_LARGE, message, help);
        return None;
    }
    match value_from_json(data_type, &json(node)) {
        Ok(value) => Some(value),
        Err(error) => {
            let message = format!("the default does not fit: {error}");
            let help = format!("write a value of type {data_type}, or remove it");
            reader.error(start, codes::BAD_DEFAULT, message, help);
            None
        }
    }
}

fn subject(reader: &mut Reader<'_>, root: &Object<'_>) -> Option<Name> {
    let node = get(root, "subject")?;
    let subject = name(node)?;
    let known: Vec<Name> = items(get(root, "entities"))
        .iter()
        .filter_map(|item| get(object(item)?, "name").and_then(name))
        .collect();
    if !known.contains(&subject) {
        let message = format!("subject `{subject}` is no join key of the view");
        let help = suggest(&subject, known.iter().map(Name::as_str));
        reader.error(node.range().start, codes::UNKNOWN_SUBJECT, message, help);
    }
    Some(subject)
}

/// The word used in configs.
pub(super) const fn lane_word(lane: Lane) -> &'static str {
    match lane {
        Lane::Batch => "batch",
        Lane::Stream => "stream",
        Lane::Direct => "direct",
    }
}

/// Reports a setting that only batch views have.
pub(super) fn only_batch(
    reader: &mut Reader<'_>,
    node: &Node<'_>,
    field: &str,
    lane: Option<Lane>,
) {
    if let Some(lane @ (Lane::Stream | Lane::Direct)) = lane {
        let message = format!("a {} view cannot have `{field}`", lane_word(lane));
        let help = format!("remove `{field}`, or make the lane `batch`");
        reader.error(node.range().start, codes::WRONG_LANE, message, help);
    }
}

/// Warns of settings that do nothing.
fn check_effect(reader: &mut Reader<'_>, root: &Object<'_>, lane: Option<Lane>) {
    if let (Some(Lane::Stream | Lane::Direct), Some(node)) = (lane, get(root, "quality"))
        && !items(Some(node)).is_empty()
    {
        let message = "the checks are never run: only batch views have partitions";
        reader.warn(node.range().start, codes::NO_EFFECT, message, "remove them");
    }
    if let (Some(Lane::Direct), Some(node)) = (lane, get(root, "online"))
        && flag(node) == Some(false)
    {
        let message = "a direct view that is not online keeps nothing";
        reader.warn(node.range().start, codes::NO_EFFECT, message, "set `online` to true");
    }
}

fn schedule(reader: &mut Reader<'_>, root: &Object<'_>, lane: Option<Lane>) -> Option<Schedule> {
    let Some(node) = get(root, "schedule") else {
        if lane == Some(Lane::Batch) {
            let help =
                "add it, as in `\"schedule\": { \"every\": \"1d\", \"start\": \"2013-01-01\" }`";
            let message = "a batch view must have a schedule";
            reader.error(root.range.start, codes::MISSING_SCHEDULE, message, help);
        }
        return None;
    };
    only_batch(reader, node, "schedule", lane);
    let schedule = object(node)?;
    let every_node = get(schedule, "every")?;
    let every = span(every_node)?;
    if !aligned(every) {
        let message = format!("periods of {every} do not align with days");
        let help = "take at least a minute and either a length that divides a day evenly, or whole days up to 366";
        reader.error(every_node.range().start, codes::BAD_PERIOD, message, help);
        return None;
    }
    let start_node = get(schedule, "start")?;
    let start = instant(start_node)?;
    let step = every.micros().min(TimeSpan::DAY.micros());
    if start.0.rem_euclid(step) != 0 {
        let message = format!("periods of {every} cannot start at {start}");
        let help = if every < TimeSpan::DAY {
            format!("start at midnight UTC, or a multiple of {every} after it")
        } else {
            "start at midnight UTC".to_owned()
        };
        reader.error(start_node.range().start, codes::UNALIGNED_START, message, help);
    }
    // Zones reach a day beyond the period, and SQL's years have four digits.
    let (before, after) = (start.minus(TimeSpan::DAY), start.plus(every).plus(TimeSpan::DAY));
    if !before.in_calendar() || !after.in_calendar() {
        let message = format!("the period from {start} lies at the edge of the calendar");
        let help = "start between 0001-01-02 and the last period that ends by 9999-12-30";
        reader.error(start_node.range().start, codes::START_OUT_OF_RANGE, message, help);
    }
    Some(Schedule { every, start })
}

/// Whether periods of this length start at the same times each day, or at midnight.
fn aligned(every: TimeSpan) -> bool {
    const MINUTE_MICROS: i64 = 60_000_000;
    const DAYS_MAX: i64 = 366;
    let (day, every) = (TimeSpan::DAY.micros(), every.micros());
    if every < day {
        every >= MINUTE_MICROS && day % every == 0
    } else {
        every % day == 0 && every / day <= DAYS_MAX
    }
}

fn check_ttl(
    reader: &mut Reader<'_>,
    root: &Object<'_>,
    ttl: Option<TimeSpan>,
    every: Option<TimeSpan>,
) {
    if let (Some(node), Some(ttl), Some(every)) = (get(root, "ttl"), ttl, every)
        && ttl < every
    {
        let message = format!("the ttl of {ttl} is shorter than the period of {every}");
        let help = format!("make it at least {every}, or rows expire before new ones come");
        reader.error(node.range().start, codes::TTL_TOO_SHORT, message, help);
    }
}

fn carryover(reader: &mut Reader<'_>, root: &Object<'_>, lane: Option<Lane>) -> Carryover {
    let Some(node) = get(root, "carryover") else { return Carryover::None };
    only_batch(reader, node, "carryover", lane);
    let build = || {
        let carryover = object(node)?;
        match get(carryover, "mode").and_then(text)? {
            "last_value" => {
                let periods = get(carryover, "max_periods").and_then(integer)?;
                Some(Carryover::LastValue { max_periods: u32::try_from(periods).ok()? })
            }
            _ => None,
        }
    };
    build().unwrap_or(Carryover::None)
}

pub(crate) const fn is_numeric(data_type: &DataType) -> bool {
    matches!(
        data_type,
        DataType::Int32
            | DataType::Int64
            | DataType::Float32
            | DataType::Float64
            | DataType::Decimal { .. }
    )
}
