//! The rollup of a view.

use std::collections::HashSet;

use indexmap::IndexMap;
use jsonc_parser::ast::{Object, Value as Node};
use jsonc_parser::common::Ranged;

use super::codes;
use super::limits::{FEATURES_MAX, ROLLUP_PERIODS_MAX};
use super::read::Reader;
use super::tree::{get, items, json, name, object, span};
use super::view::{Columns, data_type, is_numeric, only_batch};
use super::words::suggest;
use crate::view::rollup_feature_name;
use crate::{Aggregate, DataType, Lane, Name, Rollup, TimeSpan};

/// Builds the rollup; reports features and windows that cannot be merged.
pub(super) fn build(
    reader: &mut Reader<'_>,
    root: &Object<'_>,
    lane: Option<Lane>,
    columns: &Columns,
    every: Option<TimeSpan>,
) -> Option<Rollup> {
    let node = get(root, "rollup")?;
    only_batch(reader, node, "rollup", lane);
    let rollup = object(node)?;
    let mut features = Columns::new();
    for item in items(get(root, "features")).iter().filter_map(object) {
        if let Some(name) = get(item, "name").and_then(name) {
            features.entry(name).or_insert_with(|| get(item, "type").and_then(data_type));
        }
    }
    let windows = windows(reader, rollup, every);
    let mut aggregates = IndexMap::new();
    let mut made: HashSet<String> = HashSet::new();
    for property in get(rollup, "features").and_then(object).map_or(&[][..], |map| &map.properties)
    {
        let Ok(feature) = Name::new(property.name.as_str()) else { continue };
        let start = property.name.range().start;
        let aggregate = aggregate(&property.value);
        match (features.get(&feature), &aggregate) {
            (None, _) => unknown_feature(reader, start, &feature, &features),
            (Some(Some(input)), Some(aggregate)) => {
                let input = (&feature, input);
                check_aggregate(reader, start, &property.value, aggregate, input, &features);
            }
            // What is malformed has been reported.
            (Some(None), _) | (_, None) => {}
        }
        for window in &windows {
            let output = rollup_feature_name(&feature, *window);
            if Name::new(&output).is_err() {
                let message = format!("the rollup's feature `{output}` has too long a name");
                let help = format!("shorten the name `{feature}`");
                reader.error(start, codes::BAD_ROLLUP_NAME, message, help);
            } else if columns.contains_key(output.as_str()) || !made.insert(output.clone()) {
                let message = format!("the rollup makes `{output}`, which exists already");
                let help = format!("rename `{output}` or `{feature}`, or remove the window");
                reader.error(start, codes::NAME_COLLISION, message, help);
            }
        }
        if let Some(aggregate) = aggregate {
            aggregates.insert(feature, aggregate);
        }
    }
    let served = features.len() + made.len();
    if served > FEATURES_MAX {
        let message = format!("the rollup makes {served} features of the view");
        reader.error(
            node.range().start,
            codes::TOO_MANY,
            message,
            format!("at most {FEATURES_MAX}"),
        );
    }
    Some(Rollup { windows, features: aggregates })
}

fn windows(reader: &mut Reader<'_>, rollup: &Object<'_>, every: Option<TimeSpan>) -> Vec<TimeSpan> {
    let mut windows = Vec::new();
    for item in items(get(rollup, "windows")) {
        let Some(window) = span(item) else { continue };
        let start = item.range().start;
        if windows.contains(&window) {
            let message = format!("the window of {window} is written twice");
            reader.error(start, codes::DUPLICATE_ITEM, message, "keep one");
            continue;
        }
        if let Some(every) = every {
            if window.micros() % every.micros() != 0 {
                let message =
                    format!("the window of {window} is not a whole number of periods of {every}");
                reader.error(
                    start,
                    codes::BAD_WINDOW,
                    message,
                    format!("take a multiple of {every}"),
                );
            } else if window.micros() / every.micros() > ROLLUP_PERIODS_MAX {
                let message =
                    format!("the window of {window} has more than {ROLLUP_PERIODS_MAX} periods");
                reader.error(start, codes::BAD_WINDOW, message, "take a shorter one");
            }
        }
        windows.push(window);
    }
    windows
}

fn aggregate(node: &Node<'_>) -> Option<Aggregate> {
    serde_json::from_value(json(node)).ok()
}

fn unknown_feature(reader: &mut Reader<'_>, start: usize, given: &Name, features: &Columns) {
    let message = format!("`{given}` is no feature of the view");
    let help = suggest(given, features.keys().map(Name::as_str));
    reader.error(start, codes::UNKNOWN_FEATURE, message, help);
}

fn check_aggregate(
    reader: &mut Reader<'_>,
    start: usize,
    value: &Node<'_>,
    aggregate: &Aggregate,
    (feature, input): (&Name, &DataType),
    features: &Columns,
) {
    if let Aggregate::ApproxDistinct { sketch } = aggregate {
        return check_distinct(reader, start, value, (feature, input), sketch, features);
    }
    if !is_numeric(input) {
        let message = format!("`{feature}` is {input}, a rollup merges numbers");
        let help = "remove it from the rollup, or make it a number";
        return reader.error(start, codes::WRONG_COLUMN_TYPE, message, help);
    }
    if matches!(aggregate, Aggregate::Count) && !is_integer(input) {
        let message = format!("`{feature}` is {input}, a count is an integer");
        let help = "merge it by `sum`, or make it int64";
        reader.error(start, codes::WRONG_COLUMN_TYPE, message, help);
    }
    let Aggregate::Mean { sum, count } = aggregate else { return };
    let mean = object(value).and_then(|value| get(value, "mean")).and_then(object);
    for (field, given) in [("sum", sum), ("count", count)] {
        let at = mean.and_then(|mean| get(mean, field)).map_or(start, |node| node.range().start);
        match features.get(given) {
            None => unknown_feature(reader, at, given, features),
            Some(Some(input)) if field == "count" && !is_integer(input) => {
                let message = format!("`{given}` is {input}, the count of a mean is an integer");
                let help = "name a feature of type int64 or int32";
                reader.error(at, codes::WRONG_COLUMN_TYPE, message, help);
            }
            Some(Some(input)) if !is_numeric(input) => {
                let message = format!("`{given}` is {input}, the sum of a mean is a number");
                reader.error(at, codes::WRONG_COLUMN_TYPE, message, "name a numeric feature");
            }
            Some(_) => {}
        }
    }
}

fn check_distinct(
    reader: &mut Reader<'_>,
    start: usize,
    value: &Node<'_>,
    (feature, input): (&Name, &DataType),
    sketch: &Name,
    features: &Columns,
) {
    if !is_integer(input) {
        let message = format!("`{feature}` is {input}, a number of distinct values is an integer");
        let help = "name the int64 feature that counts them in a period: its windows have its name";
        reader.error(start, codes::WRONG_COLUMN_TYPE, message, help);
    }
    let node = object(value).and_then(|value| get(value, "approx_distinct")).and_then(object);
    let at = node.and_then(|node| get(node, "sketch")).map_or(start, |node| node.range().start);
    match features.get(sketch) {
        None => unknown_feature(reader, at, sketch, features),
        Some(Some(given)) if *given != DataType::Bytes => {
            let message = format!("`{sketch}` is {given}, a sketch is bytes");
            let help = "name a feature of type bytes, which the SQL makes by `hll_sketch_agg`";
            reader.error(at, codes::WRONG_COLUMN_TYPE, message, help);
        }
        Some(_) => {}
    }
}

const fn is_integer(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Int32 | DataType::Int64)
}
