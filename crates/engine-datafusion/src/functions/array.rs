//! Arrays.

use std::sync::Arc;

use arrow::{
    array::{
        Array, ArrayRef, AsArray, BooleanArray, Int32Array, ListArray, StringArray, UInt32Array,
        make_comparator,
    },
    buffer::{NullBuffer, OffsetBuffer},
    compute::{SortOptions, concat, interleave, sort, take},
    datatypes::{DataType, Field, Int32Type},
};
use datafusion::{
    common::{Result, ScalarValue},
    logical_expr::ScalarUDF,
};

use super::{
    SparkFunction,
    room::{Room, check_together},
    string::join,
};
use crate::{
    error::{data_error, invalid_error, unsupported_error},
    types::{common_type, list_type, spark_name},
};

fn item_type(name: &str, list: &DataType) -> Result<DataType> {
    match list {
        DataType::List(item) => Ok(item.data_type().clone()),
        other => Err(invalid_error(format!("`{name}` takes an array, not {}", spark_name(other)))),
    }
}

fn type_array(
    _: &str,
    given: &[DataType],
    _: &[Option<&ScalarValue>],
) -> Result<(Vec<DataType>, DataType)> {
    let mut item = DataType::Null;
    for other in given {
        item = common_type(&item, other).ok_or_else(|| {
            unsupported_error(format!(
                "an array of {} and {}",
                spark_name(&item),
                spark_name(other)
            ))
        })?;
    }
    if item == DataType::Null {
        return Err(unsupported_error("an array without a typed item"));
    }
    Ok((vec![item.clone(); given.len()], list_type(item)))
}
fn array(args: &[ArrayRef], gives: &DataType) -> Result<ArrayRef> {
    let item = item_type("array", gives)?;
    check_together("array", args)?;
    let rows = args[0].len();
    let sources: Vec<&dyn Array> = args.iter().map(AsRef::as_ref).collect();
    let picks: Vec<(usize, usize)> =
        (0..rows).flat_map(|row| (0..sources.len()).map(move |source| (source, row))).collect();
    let values = interleave(&sources, &picks)?;
    let offsets = OffsetBuffer::from_lengths(vec![sources.len(); rows]);
    Ok(Arc::new(ListArray::new(Arc::new(Field::new("item", item, true)), offsets, values, None)))
}

fn type_of_list(
    name: &str,
    given: &[DataType],
    gives: DataType,
) -> Result<(Vec<DataType>, DataType)> {
    match given {
        [list] => {
            item_type(name, list)?;
            Ok((given.to_vec(), gives))
        }
        _ => Err(invalid_error(format!("`{name}` takes one array"))),
    }
}
fn type_size(
    name: &str,
    given: &[DataType],
    _: &[Option<&ScalarValue>],
) -> Result<(Vec<DataType>, DataType)> {
    type_of_list(name, given, DataType::Int32)
}
/// Null for null (`spark.sql.legacy.sizeOfNull` is off in ANSI mode).
fn size(args: &[ArrayRef], _: &DataType) -> Result<ArrayRef> {
    let lists = args[0].as_list::<i32>();
    Ok(Arc::new(
        (0..lists.len())
            .map(|row| lists.is_valid(row).then(|| lists.value_length(row)))
            .collect::<Int32Array>(),
    ))
}

fn type_contains(
    name: &str,
    given: &[DataType],
    _: &[Option<&ScalarValue>],
) -> Result<(Vec<DataType>, DataType)> {
    let [list, value] = given else {
        return Err(invalid_error(format!("`{name}` takes an array and a value")));
    };
    let item = item_type(name, list)?;
    let common =
        common_type(&item, value).filter(|common| *common == item && *value != DataType::Null);
    match common {
        Some(item) => Ok((vec![list.clone(), item], DataType::Boolean)),
        None => Err(unsupported_error(format!(
            "`{name}` of {} in {}",
            spark_name(value),
            spark_name(list)
        ))),
    }
}
fn array_contains(args: &[ArrayRef], _: &DataType) -> Result<ArrayRef> {
    let lists = args[0].as_list::<i32>();
    let compare = make_comparator(lists.values(), &args[1], SortOptions::default())?;
    let result: BooleanArray = (0..lists.len())
        .map(|row| {
            if lists.is_null(row) || args[1].is_null(row) {
                return None;
            }
            let (mut has_null, mut found) = (false, false);
            let offsets = lists.value_offsets();
            for at in usize::try_from(offsets[row]).ok()?..usize::try_from(offsets[row + 1]).ok()? {
                if lists.values().is_null(at) {
                    has_null = true;
                } else if compare(at, row).is_eq() {
                    found = true;
                }
            }
            if found {
                Some(true)
            } else if has_null {
                None
            } else {
                Some(false)
            }
        })
        .collect();
    Ok(Arc::new(result))
}

fn type_element(
    name: &str,
    given: &[DataType],
    _: &[Option<&ScalarValue>],
) -> Result<(Vec<DataType>, DataType)> {
    match given {
        [list, DataType::Int32] => Ok((given.to_vec(), item_type(name, list)?)),
        _ => Err(invalid_error(format!("`{name}` takes an array and an int"))),
    }
}
fn pick(args: &[ArrayRef], at: impl Fn(i32, i32) -> Result<i32>) -> Result<ArrayRef> {
    let lists = args[0].as_list::<i32>();
    let indexes = args[1].as_primitive::<Int32Type>();
    let picks: UInt32Array = (0..lists.len())
        .map(|row| {
            if lists.is_null(row) || indexes.is_null(row) {
                return Ok(None);
            }
            let length = lists.value_length(row);
            let index = at(indexes.value(row), length)?;
            Ok(u32::try_from(lists.value_offsets()[row] + index).ok())
        })
        .collect::<Result<_>>()?;
    Ok(take(lists.values(), &picks, None)?)
}
/// From 1, negative from the end; outside is an error in ANSI mode.
fn element_at(args: &[ArrayRef], _: &DataType) -> Result<ArrayRef> {
    pick(args, |index, length| {
        let at = if index > 0 { index - 1 } else { length + index };
        if index == 0 || at < 0 || at >= length {
            return Err(data_error(format!("element_at: {index} is outside an array of {length}")));
        }
        Ok(at)
    })
}

fn type_same_list(
    name: &str,
    given: &[DataType],
    _: &[Option<&ScalarValue>],
) -> Result<(Vec<DataType>, DataType)> {
    match given {
        [list] => type_of_list(name, std::slice::from_ref(list), list.clone()),
        [list, DataType::Boolean] if name == "sort_array" => {
            item_type(name, list)?;
            Ok((given.to_vec(), list.clone()))
        }
        _ => Err(invalid_error(format!("`{name}` takes one array"))),
    }
}
/// Rebuilds each list by `apply`.
fn map_lists(
    lists: &ListArray,
    gives: &DataType,
    apply: impl Fn(usize, ArrayRef) -> Result<ArrayRef>,
) -> Result<ArrayRef> {
    let item = item_type("array", gives)?;
    let mut parts = Vec::with_capacity(lists.len());
    let mut lengths = Vec::with_capacity(lists.len());
    for row in 0..lists.len() {
        if lists.is_null(row) {
            lengths.push(0);
            continue;
        }
        let part = apply(row, lists.value(row))?;
        lengths.push(part.len());
        parts.push(part);
    }
    let values = if parts.is_empty() {
        arrow::array::new_empty_array(&item)
    } else {
        concat(&parts.iter().map(AsRef::as_ref).collect::<Vec<_>>())?
    };
    let nulls: Option<NullBuffer> = lists.nulls().cloned();
    Ok(Arc::new(ListArray::new(
        Arc::new(Field::new("item", item, true)),
        OffsetBuffer::from_lengths(lengths),
        values,
        nulls,
    )))
}
/// Nulls first ascending, last descending.
fn sort_array(args: &[ArrayRef], gives: &DataType) -> Result<ArrayRef> {
    let ascending = args.get(1).map(|flags| flags.as_boolean());
    let sorted = map_lists(args[0].as_list::<i32>(), gives, |row, list| {
        let up = ascending.is_none_or(|flags| flags.value(row));
        Ok(sort(&list, Some(SortOptions { descending: !up, nulls_first: up }))?)
    })?;
    Ok(sorted)
}

fn type_extreme(
    name: &str,
    given: &[DataType],
    _: &[Option<&ScalarValue>],
) -> Result<(Vec<DataType>, DataType)> {
    match given {
        [list] => type_of_list(name, given, item_type(name, list)?),
        _ => Err(invalid_error(format!("`{name}` takes one array"))),
    }
}
fn extreme(args: &[ArrayRef], gives: &DataType, descending: bool) -> Result<ArrayRef> {
    let lists = args[0].as_list::<i32>();
    let mut parts = Vec::with_capacity(lists.len());
    for row in 0..lists.len() {
        let sorted = if lists.is_null(row) {
            arrow::array::new_null_array(gives, 1)
        } else {
            sort(&lists.value(row), Some(SortOptions { descending, nulls_first: false }))?
        };
        parts.push(if sorted.is_empty() {
            arrow::array::new_null_array(gives, 1)
        } else {
            sorted.slice(0, 1)
        });
    }
    if parts.is_empty() {
        return Ok(arrow::array::new_empty_array(gives));
    }
    Ok(concat(&parts.iter().map(AsRef::as_ref).collect::<Vec<_>>())?)
}
fn array_min(args: &[ArrayRef], gives: &DataType) -> Result<ArrayRef> {
    extreme(args, gives, false)
}
fn array_max(args: &[ArrayRef], gives: &DataType) -> Result<ArrayRef> {
    extreme(args, gives, true)
}

fn type_join(
    name: &str,
    given: &[DataType],
    _: &[Option<&ScalarValue>],
) -> Result<(Vec<DataType>, DataType)> {
    match given {
        [DataType::List(item), DataType::Utf8] if *item.data_type() == DataType::Utf8 => {
            Ok((given.to_vec(), DataType::Utf8))
        }
        [DataType::List(item), DataType::Utf8, DataType::Utf8]
            if *item.data_type() == DataType::Utf8 =>
        {
            Ok((given.to_vec(), DataType::Utf8))
        }
        _ => Err(invalid_error(format!("`{name}` takes an array of strings and a separator"))),
    }
}
/// Nulls are left out, or replaced by the third argument.
fn array_join(args: &[ArrayRef], _: &DataType) -> Result<ArrayRef> {
    let lists = args[0].as_list::<i32>();
    let separators = args[1].as_string::<i32>();
    let replacements = args.get(2).map(|texts| texts.as_string::<i32>());
    let mut room = Room::new("array_join");
    let result: StringArray = (0..lists.len())
        .map(|row| {
            if lists.is_null(row)
                || separators.is_null(row)
                || replacements.is_some_and(|texts| texts.is_null(row))
            {
                return Ok(None);
            }
            let items = lists.value(row);
            let parts: Vec<&str> = items
                .as_string::<i32>()
                .iter()
                .filter_map(|item| item.or_else(|| replacements.map(|texts| texts.value(row))))
                .collect();
            join(&mut room, &parts, separators.value(row)).map(Some)
        })
        .collect::<Result<_>>()?;
    Ok(Arc::new(result))
}

/// The first of each value, in order; nulls are equal.
fn array_distinct(args: &[ArrayRef], gives: &DataType) -> Result<ArrayRef> {
    map_lists(args[0].as_list::<i32>(), gives, |_, list| {
        let compare = make_comparator(&list, &list, SortOptions::default())?;
        let mut kept: Vec<u32> = Vec::new();
        for at in 0..list.len() {
            if !kept.iter().any(|earlier| compare(*earlier as usize, at).is_eq()) {
                kept.push(u32::try_from(at).unwrap_or(u32::MAX));
            }
        }
        Ok(take(&list, &UInt32Array::from(kept), None)?)
    })
}

/// This module's functions.
pub fn functions() -> Vec<Arc<ScalarUDF>> {
    vec![
        SparkFunction::free("array", type_array, array),
        SparkFunction::free("size", type_size, size),
        SparkFunction::free("array_contains", type_contains, array_contains),
        SparkFunction::free("element_at", type_element, element_at),
        SparkFunction::free("sort_array", type_same_list, sort_array),
        SparkFunction::free("array_min", type_extreme, array_min),
        SparkFunction::free("array_max", type_extreme, array_max),
        SparkFunction::free("array_join", type_join, array_join),
        SparkFunction::free("array_distinct", type_same_list, array_distinct),
    ]
}
