//! The quality checks of a view.

use std::collections::HashSet;

use jsonc_parser::ast::{Object, Value as Node};
use jsonc_parser::common::Ranged;

use super::codes;
use super::read::Reader;
use super::tree::{get, integer, items, json, name, number, object, span, text, word};
use super::view::{Columns, is_numeric};
use super::words::suggest;
use crate::json::value_from_json;
use crate::{DataType, Name, QualityCheck, QualityRule, Severity, Value};

/// Builds the checks that are well-formed; reports those that cannot work.
pub(super) fn build(
    reader: &mut Reader<'_>,
    root: &Object<'_>,
    columns: &Columns,
) -> Vec<QualityCheck> {
    let mut checks = Vec::new();
    for check in items(get(root, "quality")).iter().filter_map(object) {
        if let Some(rule) = rule(reader, check, columns) {
            let severity = get(check, "severity").and_then(word).unwrap_or(Severity::Error);
            checks.push(QualityCheck { rule, severity });
        }
    }
    checks
}

fn rule(reader: &mut Reader<'_>, check: &Object<'_>, columns: &Columns) -> Option<QualityRule> {
    Some(match get(check, "check").and_then(text)? {
        "row_count" => {
            let min = get(check, "min").and_then(integer);
            let max = get(check, "max").and_then(integer);
            bounds(reader, check, min, max);
            QualityRule::RowCount { min, max }
        }
        "not_null" => QualityRule::NotNull { column: column(reader, check, columns)?.0 },
        "unique" => QualityRule::Unique { columns: unique(reader, check, columns) },
        "between" => {
            let min = get(check, "min").and_then(number);
            let max = get(check, "max").and_then(number);
            bounds(reader, check, min, max);
            let (column, data_type) = column(reader, check, columns)?;
            if let Some(data_type) = data_type.filter(|data_type| !is_numeric(data_type)) {
                let help = "`between` works on numbers: take another check or column";
                wrong_column_type(reader, check, "column", &column, &data_type, help);
            }
            QualityRule::Between { column, min, max }
        }
        "accepted_values" => {
            let (column, data_type) = column(reader, check, columns)?;
            let values = data_type
                .map_or_else(Vec::new, |data_type| accepted(reader, check, &column, &data_type));
            QualityRule::AcceptedValues { column, values }
        }
        "freshness" => QualityRule::Freshness { max_age: get(check, "max_age").and_then(span)? },
        "null_fraction" => QualityRule::NullFraction {
            column: column(reader, check, columns)?.0,
            max: get(check, "max").and_then(number)?,
        },
        _ => return None,
    })
}

/// Reports bounds that say nothing or contradict.
fn bounds<T: PartialOrd + std::fmt::Display>(
    reader: &mut Reader<'_>,
    check: &Object<'_>,
    min: Option<T>,
    max: Option<T>,
) {
    // A malformed bound has been reported and is not an absent one.
    let start = check.range.start;
    match (min, max) {
        (Some(min), Some(max)) if min > max => {
            let message = format!("`min` {min} is larger than `max` {max}");
            reader.error(start, codes::BAD_BOUNDS, message, "swap them");
        }
        (None, None) if get(check, "min").is_none() && get(check, "max").is_none() => {
            let message = "the check has neither `min` nor `max`";
            reader.error(start, codes::BAD_BOUNDS, message, "give one of them, or both");
        }
        _ => {}
    }
}

fn column(
    reader: &mut Reader<'_>,
    check: &Object<'_>,
    columns: &Columns,
) -> Option<(Name, Option<DataType>)> {
    known(reader, get(check, "column")?, columns)
}

fn known(
    reader: &mut Reader<'_>,
    node: &Node<'_>,
    columns: &Columns,
) -> Option<(Name, Option<DataType>)> {
    let given = name(node)?;
    match columns.get(&given) {
        Some(data_type) => Some((given, data_type.clone())),
        None => {
            let message = format!("`{given}` is no column of the view's SQL");
            let help = suggest(&given, columns.keys().map(Name::as_str));
            reader.error(node.range().start, codes::UNKNOWN_COLUMN, message, help);
            None
        }
    }
}

fn unique(reader: &mut Reader<'_>, check: &Object<'_>, columns: &Columns) -> Vec<Name> {
    let mut taken = Vec::new();
    for node in items(get(check, "columns")) {
        let Some((given, data_type)) = known(reader, node, columns) else { continue };
        if taken.contains(&given) {
            let message = format!("column `{given}` is written twice");
            reader.error(node.range().start, codes::DUPLICATE_ITEM, message, "keep one");
            continue;
        }
        if let Some(data_type @ (DataType::List(_) | DataType::Embedding { .. })) = data_type {
            let message = format!("column `{given}` is {data_type}");
            let help = "`unique` works on scalars: take another column";
            reader.error(node.range().start, codes::WRONG_COLUMN_TYPE, message, help);
        }
        taken.push(given);
    }
    taken
}

fn wrong_column_type(
    reader: &mut Reader<'_>,
    check: &Object<'_>,
    field: &str,
    column: &Name,
    data_type: &DataType,
    help: &str,
) {
    let at = get(check, field).map_or(check.range.start, |node| node.range().start);
    let message = format!("column `{column}` is {data_type}");
    reader.error(at, codes::WRONG_COLUMN_TYPE, message, help);
}

fn accepted(
    reader: &mut Reader<'_>,
    check: &Object<'_>,
    column: &Name,
    data_type: &DataType,
) -> Vec<Value> {
    if matches!(data_type, DataType::List(_) | DataType::Embedding { .. }) {
        let help = "`accepted_values` works on scalars: take another check or column";
        wrong_column_type(reader, check, "column", column, data_type, help);
        return Vec::new();
    }
    let mut values = Vec::new();
    let mut seen = HashSet::new();
    for node in items(get(check, "values")) {
        let at = node.range().start;
        match value_from_json(data_type, &json(node)) {
            Ok(Value::Null) => {
                let help = "remove it: null is always accepted, `not_null` refuses it";
                reader.error(at, codes::BAD_VALUE, "null is no accepted value", help);
            }
            Ok(value) => {
                if seen.insert(format!("{value:?}")) {
                    values.push(value);
                } else {
                    let message = "the value is written twice";
                    reader.error(at, codes::DUPLICATE_ITEM, message, "keep one");
                }
            }
            Err(error) => {
                let message = format!("the value does not fit `{column}`: {error}");
                let help = format!("write a value of type {data_type}");
                reader.error(at, codes::BAD_VALUE, message, help);
            }
        }
    }
    values
}
