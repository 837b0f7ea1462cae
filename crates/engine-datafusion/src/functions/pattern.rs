//! Regular expressions (already translated, see `regex`) and the functions that pick among their arguments.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, AsArray, BooleanArray, StringArray, make_comparator},
    compute::{SortOptions, interleave},
    datatypes::{DataType, Int32Type, Int64Type, UInt64Type},
};
use datafusion::{
    common::{DataFusionError, Result, ScalarValue},
    logical_expr::ScalarUDF,
};
use regex::{Captures, Regex, Replacer};

use super::{
    SparkFunction, Takes,
    arithmetic::map,
    overflow,
    room::{Room, VALUE_BYTES_MAX},
};
use crate::{
    error::{data_error, invalid_error, unsupported_error},
    types::{common_type, is_float, spark_name},
};

/// The one pattern of a call; `None` if there are no rows or it is null.
fn compiled(pattern: &ArrayRef) -> Result<Option<Regex>> {
    let patterns = pattern.as_string::<i32>();
    if patterns.is_empty() || patterns.is_null(0) {
        return Ok(None);
    }
    Regex::new(patterns.value(0)).map(Some).map_err(|error| invalid_error(error.to_string()))
}

fn rlike(args: &[ArrayRef], gives: &DataType) -> Result<ArrayRef> {
    let Some(regex) = compiled(&args[1])? else {
        return Ok(arrow::array::new_null_array(gives, args[0].len()));
    };
    Ok(Arc::new(
        args[0]
            .as_string::<i32>()
            .iter()
            .map(|text| text.map(|text| regex.is_match(text)))
            .collect::<BooleanArray>(),
    ))
}

/// Empty where nothing matches.
fn regexp_extract(args: &[ArrayRef], gives: &DataType) -> Result<ArrayRef> {
    let groups = args[2].as_primitive::<Int32Type>();
    let Some(regex) = compiled(&args[1])? else {
        return Ok(arrow::array::new_null_array(gives, args[0].len()));
    };
    let group = usize::try_from(groups.value(0))
        .ok()
        .filter(|group| *group < regex.captures_len())
        .ok_or_else(|| {
            data_error(format!("regexp_extract: there is no group {}", groups.value(0)))
        })?;
    let result: StringArray = args[0]
        .as_string::<i32>()
        .iter()
        .map(|text| {
            text.map(|text| {
                let found = regex
                    .captures(text)
                    .and_then(|captures| captures.get(group).map(|part| part.as_str().to_owned()));
                found.unwrap_or_default()
            })
        })
        .collect();
    Ok(Arc::new(result))
}

/// A replacement that stops where a text has grown beyond what it may.
struct Bounded<'a> {
    with: &'a str,
    /// The groups that `with` names.
    groups: Vec<usize>,
    made: usize,
}

impl<'a> Bounded<'a> {
    fn new(with: &'a str) -> Self {
        // The rewriter lets only `${digit}` through.
        let groups = with.split("${").skip(1);
        let groups = groups.filter_map(|rest| rest.split('}').next()?.parse().ok()).collect();
        Self { with, groups, made: 0 }
    }
}

impl Replacer for Bounded<'_> {
    fn replace_append(&mut self, captures: &Captures<'_>, into: &mut String) {
        let groups = self.groups.iter().filter_map(|group| captures.get(*group));
        let grown = groups.map(|part| part.len()).sum::<usize>() + self.with.len();
        self.made = into.len().saturating_add(grown).max(self.made);
        if self.made <= VALUE_BYTES_MAX {
            captures.expand(self.with, into);
        }
    }
}

fn regexp_replace(args: &[ArrayRef], gives: &DataType) -> Result<ArrayRef> {
    let Some(regex) = compiled(&args[1])? else {
        return Ok(arrow::array::new_null_array(gives, args[0].len()));
    };
    let mut with = Bounded::new(args[2].as_string::<i32>().value(0));
    let mut room = Room::new("regexp_replace");
    let result: StringArray = args[0]
        .as_string::<i32>()
        .iter()
        .map(|text| {
            let Some(text) = text else { return Ok(None) };
            with.made = 0;
            let replaced = regex.replace_all(text, with.by_ref()).into_owned();
            room.take(replaced.len().max(with.made))?;
            Ok(Some(replaced))
        })
        .collect::<Result<_>>()?;
    Ok(Arc::new(result))
}

fn type_extreme(
    name: &str,
    given: &[DataType],
    _: &[Option<&ScalarValue>],
) -> Result<(Vec<DataType>, DataType)> {
    if given.len() < 2 {
        return Err(invalid_error(format!("`{name}` takes at least two arguments")));
    }
    let mut common = DataType::Null;
    for other in given {
        common = common_type(&common, other).ok_or_else(|| {
            unsupported_error(format!(
                "`{name}` of {} and {}",
                spark_name(&common),
                spark_name(other)
            ))
        })?;
    }
    if matches!(common, DataType::List(_) | DataType::Null) {
        return Err(unsupported_error(format!("`{name}` of {}", spark_name(&common))));
    }
    Ok((vec![common.clone(); given.len()], common))
}

/// Nulls are left out; NaN is greatest.
fn extreme(args: &[ArrayRef], gives: &DataType, greatest: bool) -> Result<ArrayRef> {
    // One zero and one NaN, so that ties keep the first argument, as in Spark.
    let keys = args
        .iter()
        .map(|arg| {
            if is_float(gives) { super::arithmetic::plain_floats(arg) } else { Ok(Arc::clone(arg)) }
        })
        .collect::<Result<Vec<_>>>()?;
    let rows = args[0].len();
    let mut picks: Vec<usize> = vec![0; rows];
    for candidate in 1..args.len() {
        for best in 0..candidate {
            let compare = make_comparator(&keys[candidate], &keys[best], SortOptions::default())?;
            for (row, pick) in picks.iter_mut().enumerate() {
                if *pick != best || keys[candidate].is_null(row) {
                    continue;
                }
                let ordering = compare(row, row);
                let better = if greatest { ordering.is_gt() } else { ordering.is_lt() };
                if keys[best].is_null(row) || better {
                    *pick = candidate;
                }
            }
        }
    }
    let sources: Vec<&dyn Array> = args.iter().map(AsRef::as_ref).collect();
    let picks: Vec<(usize, usize)> =
        picks.into_iter().enumerate().map(|(row, source)| (source, row)).collect();
    Ok(interleave(&sources, &picks)?)
}
fn greatest(args: &[ArrayRef], gives: &DataType) -> Result<ArrayRef> {
    extreme(args, gives, true)
}
fn least(args: &[ArrayRef], gives: &DataType) -> Result<ArrayRef> {
    extreme(args, gives, false)
}

fn type_rank(
    _: &str,
    given: &[DataType],
    _: &[Option<&ScalarValue>],
) -> Result<(Vec<DataType>, DataType)> {
    Ok((given.to_vec(), DataType::Int32))
}
/// DataFusion's ranks are unsigned, Spark's are int.
fn rank(args: &[ArrayRef], _: &DataType) -> Result<ArrayRef> {
    use arrow::datatypes::Int32Type as Int;
    let out = || overflow("the rank");
    Ok(match args[0].data_type() {
        DataType::UInt64 => Arc::new(map::<UInt64Type, Int>(&args[0], |value| {
            i32::try_from(value).map_err(|_| out())
        })?),
        DataType::Int64 => Arc::new(map::<Int64Type, Int>(&args[0], |value| {
            i32::try_from(value).map_err(|_| out())
        })?),
        other => return Err(DataFusionError::Internal(format!("a rank of type {other}"))),
    })
}

/// This module's functions.
pub fn functions() -> Vec<Arc<ScalarUDF>> {
    use Takes::{Int, Text};
    vec![
        SparkFunction::fixed("op rlike", &[Text, Text], 0, DataType::Boolean, rlike),
        SparkFunction::fixed(
            "regexp_extract",
            &[Text, Text, Int],
            0,
            DataType::Utf8,
            regexp_extract,
        ),
        SparkFunction::fixed(
            "regexp_replace",
            &[Text, Text, Text],
            0,
            DataType::Utf8,
            regexp_replace,
        ),
        SparkFunction::free("greatest", type_extreme, greatest),
        SparkFunction::free("least", type_extreme, least),
        SparkFunction::free("op rank", type_rank, rank),
    ]
}
