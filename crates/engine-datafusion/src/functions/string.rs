//! Text. Positions and lengths count characters, as in Spark.

use std::sync::Arc;

use arrow::{
    array::{
        Array, ArrayRef, AsArray, BooleanArray, Int32Array, ListBuilder, StringArray, StringBuilder,
    },
    datatypes::{DataType, Int32Type},
};
use datafusion::{common::Result, logical_expr::ScalarUDF};

use super::{
    SparkFunction, Takes,
    room::{Room, gather},
};
use crate::types::list_type;

fn texts(array: &ArrayRef) -> &StringArray {
    array.as_string::<i32>()
}

/// Applies to each text that is not null.
fn map_text(
    name: &'static str,
    args: &[ArrayRef],
    apply: impl Fn(&str) -> String,
) -> Result<ArrayRef> {
    Ok(Arc::new(gather(name, texts(&args[0]).iter().map(|text| text.map(&apply)))?))
}

fn upper(args: &[ArrayRef], _: &DataType) -> Result<ArrayRef> {
    map_text("upper", args, str::to_uppercase)
}
fn lower(args: &[ArrayRef], _: &DataType) -> Result<ArrayRef> {
    map_text("lower", args, str::to_lowercase)
}
fn reverse(args: &[ArrayRef], _: &DataType) -> Result<ArrayRef> {
    map_text("reverse", args, |text| text.chars().rev().collect())
}
/// Only the first letter of each word (separated by spaces) is upper case.
fn initcap(args: &[ArrayRef], _: &DataType) -> Result<ArrayRef> {
    map_text("initcap", args, |text| {
        let mut result = String::with_capacity(text.len());
        let mut starts = true;
        for c in text.chars() {
            if starts {
                // Title case: of the several letters that one may become, only the first is large.
                let mut large = c.to_uppercase();
                result.extend(large.next());
                result.extend(large.flat_map(char::to_lowercase));
            } else {
                result.extend(c.to_lowercase());
            }
            starts = c == ' ';
        }
        result
    })
}
fn trim_with(args: &[ArrayRef], start: bool, end: bool) -> ArrayRef {
    let cut = |text: &str, what: &str| {
        let is_cut = |c: char| what.contains(c);
        let mut text = text;
        if start {
            text = text.trim_start_matches(is_cut);
        }
        if end {
            text = text.trim_end_matches(is_cut);
        }
        text.to_owned()
    };
    Arc::new(match args {
        [text, what, ..] => texts(text)
            .iter()
            .zip(texts(what).iter())
            .map(|(text, what)| Some(cut(text?, what?)))
            .collect::<StringArray>(),
        _ => texts(&args[0]).iter().map(|text| text.map(|text| cut(text, " "))).collect(),
    })
}
fn trim(args: &[ArrayRef], _: &DataType) -> Result<ArrayRef> {
    Ok(trim_with(args, true, true))
}
fn ltrim(args: &[ArrayRef], _: &DataType) -> Result<ArrayRef> {
    Ok(trim_with(args, true, false))
}
fn rtrim(args: &[ArrayRef], _: &DataType) -> Result<ArrayRef> {
    Ok(trim_with(args, false, true))
}

fn length(args: &[ArrayRef], _: &DataType) -> Result<ArrayRef> {
    Ok(Arc::new(
        texts(&args[0])
            .iter()
            .map(|text| text.and_then(|text| i32::try_from(text.chars().count()).ok()))
            .collect::<Int32Array>(),
    ))
}

/// Spark's `substring`: from 1, negative from the end, 0 as 1; a start before the text eats length.
fn slice(text: &str, start: i32, count: i32) -> String {
    let total = i64::try_from(text.chars().count()).unwrap_or(i64::MAX);
    let (start, count) = (i64::from(start), i64::from(count));
    let from = if start > 0 {
        start - 1
    } else if start < 0 {
        total + start
    } else {
        0
    };
    let until = (from + count).clamp(0, total);
    let from = from.clamp(0, total);
    if until <= from {
        return String::new();
    }
    let skip = usize::try_from(from).unwrap_or(0);
    let take = usize::try_from(until - from).unwrap_or(0);
    text.chars().skip(skip).take(take).collect()
}
fn substring(args: &[ArrayRef], _: &DataType) -> Result<ArrayRef> {
    let starts = args[1].as_primitive::<Int32Type>();
    let counts = args.get(2).map(|counts| counts.as_primitive::<Int32Type>());
    let result: StringArray = texts(&args[0])
        .iter()
        .enumerate()
        .map(|(row, text)| {
            let text = text?;
            let start = starts.is_valid(row).then(|| starts.value(row))?;
            let count = match counts {
                Some(counts) => counts.is_valid(row).then(|| counts.value(row))?,
                None => i32::MAX,
            };
            Some(slice(text, start, count))
        })
        .collect();
    Ok(Arc::new(result))
}
fn left(args: &[ArrayRef], _: &DataType) -> Result<ArrayRef> {
    with_count("left", args, |_, _| 0, |text, count| text.chars().take(count).collect())
}
fn right(args: &[ArrayRef], _: &DataType) -> Result<ArrayRef> {
    with_count(
        "right",
        args,
        |_, _| 0,
        |text, count| {
            let total = text.chars().count();
            text.chars().skip(total.saturating_sub(count)).collect()
        },
    )
}
fn repeat(args: &[ArrayRef], _: &DataType) -> Result<ArrayRef> {
    let bytes = |text: &str, count: usize| text.len().saturating_mul(count);
    with_count("repeat", args, bytes, |text, count| text.repeat(count))
}
/// Negative counts are 0. `bytes` says how long the result will be, where it is longer than the text.
fn with_count(
    name: &'static str,
    args: &[ArrayRef],
    bytes: impl Fn(&str, usize) -> usize,
    apply: impl Fn(&str, usize) -> String,
) -> Result<ArrayRef> {
    let mut room = Room::new(name);
    let result: StringArray = texts(&args[0])
        .iter()
        .zip(args[1].as_primitive::<Int32Type>().iter())
        .map(|(text, count)| {
            let (Some(text), Some(count)) = (text, count) else { return Ok(None) };
            let count = usize::try_from(count).unwrap_or(0);
            room.take(bytes(text, count))?;
            Ok(Some(apply(text, count)))
        })
        .collect::<Result<_>>()?;
    Ok(Arc::new(result))
}

fn pad(name: &'static str, args: &[ArrayRef], at_start: bool) -> Result<ArrayRef> {
    let counts = args[1].as_primitive::<Int32Type>();
    let pads = args.get(2).map(texts);
    let mut room = Room::new(name);
    let mut padded = |row: usize, text: &str| -> Result<Option<String>> {
        let pad = match pads {
            Some(pads) if pads.is_null(row) => return Ok(None),
            Some(pads) => pads.value(row),
            None => " ",
        };
        if counts.is_null(row) {
            return Ok(None);
        }
        let wanted = usize::try_from(counts.value(row)).unwrap_or(0);
        let has = text.chars().count();
        if has >= wanted || pad.is_empty() {
            return Ok(Some(text.chars().take(wanted).collect()));
        }
        let fill = wanted - has;
        let pad_characters = pad.chars().count();
        let rest: String = pad.chars().take(fill % pad_characters).collect();
        let whole = fill / pad_characters;
        room.take(text.len().saturating_add(pad.len().saturating_mul(whole)) + rest.len())?;
        let fill = pad.repeat(whole) + &rest;
        Ok(Some(if at_start { fill + text } else { text.to_owned() + &fill }))
    };
    let result: StringArray = texts(&args[0])
        .iter()
        .enumerate()
        .map(|(row, text)| text.map_or(Ok(None), |text| padded(row, text)))
        .collect::<Result<_>>()?;
    Ok(Arc::new(result))
}
fn lpad(args: &[ArrayRef], _: &DataType) -> Result<ArrayRef> {
    pad("lpad", args, true)
}
fn rpad(args: &[ArrayRef], _: &DataType) -> Result<ArrayRef> {
    pad("rpad", args, false)
}

fn concat(args: &[ArrayRef], _: &DataType) -> Result<ArrayRef> {
    let parts: Vec<&StringArray> = args.iter().map(texts).collect();
    let rows = parts[0].len();
    let mut builder = StringBuilder::with_capacity(rows, rows * 8);
    let mut room = Room::new("concat");
    let mut text = String::new();
    for row in 0..rows {
        if parts.iter().any(|part| part.is_null(row)) {
            builder.append_null();
            continue;
        }
        room.take(parts.iter().map(|part| part.value(row).len()).sum())?;
        text.clear();
        for part in &parts {
            text.push_str(part.value(row));
        }
        builder.append_value(&text);
    }
    Ok(Arc::new(builder.finish()))
}
/// Nulls are left out; a null separator makes null.
fn concat_ws(args: &[ArrayRef], _: &DataType) -> Result<ArrayRef> {
    let separators = texts(&args[0]);
    let parts: Vec<&StringArray> = args[1..].iter().map(texts).collect();
    let mut room = Room::new("concat_ws");
    let result: StringArray = (0..separators.len())
        .map(|row| {
            if separators.is_null(row) {
                return Ok(None);
            }
            let present: Vec<&str> = parts
                .iter()
                .filter(|part| part.is_valid(row))
                .map(|part| part.value(row))
                .collect();
            join(&mut room, &present, separators.value(row)).map(Some)
        })
        .collect::<Result<_>>()?;
    Ok(Arc::new(result))
}

/// The texts with a separator between them.
pub fn join(room: &mut Room, texts: &[&str], separator: &str) -> Result<String> {
    let own = texts.iter().map(|text| text.len()).sum::<usize>();
    room.take(own.saturating_add(separator.len().saturating_mul(texts.len().saturating_sub(1))))?;
    Ok(texts.join(separator))
}

/// From 1; 0 if it is not there.
fn position(text: &str, what: &str, from: i32) -> i32 {
    if from < 1 {
        return 0;
    }
    let skip = usize::try_from(from - 1).unwrap_or(0);
    let Some(start) = text.char_indices().map(|(at, _)| at).chain([text.len()]).nth(skip) else {
        return 0;
    };
    match text[start..].find(what) {
        Some(at) => i32::try_from(text[..start + at].chars().count() + 1).unwrap_or(0),
        None => 0,
    }
}
fn instr(args: &[ArrayRef], _: &DataType) -> Result<ArrayRef> {
    Ok(Arc::new(
        texts(&args[0])
            .iter()
            .zip(texts(&args[1]).iter())
            .map(|(text, what)| Some(position(text?, what?, 1)))
            .collect::<Int32Array>(),
    ))
}
fn locate(args: &[ArrayRef], _: &DataType) -> Result<ArrayRef> {
    let starts = args.get(2).map(|starts| starts.as_primitive::<Int32Type>());
    let result: Int32Array = texts(&args[0])
        .iter()
        .zip(texts(&args[1]).iter())
        .enumerate()
        .map(|(row, (what, text))| {
            let start = match starts {
                // Spark: a null start gives 0, not null.
                Some(starts) if starts.is_null(row) => return Some(0),
                Some(starts) => starts.value(row),
                None => 1,
            };
            Some(position(text?, what?, start))
        })
        .collect();
    Ok(Arc::new(result))
}

fn replace(args: &[ArrayRef], _: &DataType) -> Result<ArrayRef> {
    let with = args.get(2).map(texts);
    let mut room = Room::new("replace");
    let result: StringArray = texts(&args[0])
        .iter()
        .zip(texts(&args[1]).iter())
        .enumerate()
        .map(|(row, (text, what))| {
            let with = match with {
                Some(with) if with.is_null(row) => return Ok(None),
                Some(with) => with.value(row),
                None => "",
            };
            let (Some(text), Some(what)) = (text, what) else { return Ok(None) };
            if what.is_empty() {
                return Ok(Some(text.to_owned()));
            }
            if with.len() > what.len() {
                let more = text.matches(what).count().saturating_mul(with.len() - what.len());
                room.take(text.len().saturating_add(more))?;
            }
            Ok(Some(text.replace(what, with)))
        })
        .collect::<Result<_>>()?;
    Ok(Arc::new(result))
}
fn translate(args: &[ArrayRef], _: &DataType) -> Result<ArrayRef> {
    let result =
        texts(&args[0]).iter().zip(texts(&args[1]).iter()).zip(texts(&args[2]).iter()).map(
            |((text, from), to)| {
                let (text, from, to) = (text?, from?, to?);
                let to: Vec<char> = to.chars().collect();
                Some(
                    text.chars()
                        .filter_map(|c| match from.chars().position(|f| f == c) {
                            Some(at) => to.get(at).copied(),
                            None => Some(c),
                        })
                        .collect::<String>(),
                )
            },
        );
    Ok(Arc::new(gather("translate", result)?))
}

fn compare_text(args: &[ArrayRef], apply: impl Fn(&str, &str) -> bool) -> ArrayRef {
    Arc::new(
        texts(&args[0])
            .iter()
            .zip(texts(&args[1]).iter())
            .map(|(text, what)| Some(apply(text?, what?)))
            .collect::<BooleanArray>(),
    )
}
fn starts_with(args: &[ArrayRef], _: &DataType) -> Result<ArrayRef> {
    Ok(compare_text(args, |text, what| text.starts_with(what)))
}
fn ends_with(args: &[ArrayRef], _: &DataType) -> Result<ArrayRef> {
    Ok(compare_text(args, |text, what| text.ends_with(what)))
}
fn contains(args: &[ArrayRef], _: &DataType) -> Result<ArrayRef> {
    Ok(compare_text(args, |text, what| text.contains(what)))
}
/// `LIKE`: `%` any text, `_` one character, `\` escapes. The pattern's escapes are checked when the SQL is read.
fn like(args: &[ArrayRef], _: &DataType) -> Result<ArrayRef> {
    Ok(compare_text(args, |text, pattern| {
        let pattern: Vec<char> = pattern.chars().collect();
        let text: Vec<char> = text.chars().collect();
        matches_like(&text, &pattern)
    }))
}
/// Greedy with one point to fall back to: linear memory, no recursion.
fn matches_like(text: &[char], pattern: &[char]) -> bool {
    let (mut t, mut p) = (0, 0);
    let mut back: Option<(usize, usize)> = None;
    loop {
        let step = match pattern.get(p) {
            Some('%') => {
                back = Some((t, p + 1));
                p += 1;
                continue;
            }
            Some('_') if t < text.len() => Some(1),
            Some('\\') if t < text.len() && pattern.get(p + 1) == Some(&text[t]) => Some(2),
            Some('\\') => None,
            Some(c) if text.get(t) == Some(c) => Some(1),
            None if t == text.len() => return true,
            _ => None,
        };
        match (step, back) {
            (Some(width), _) => {
                t += 1;
                p += width;
            }
            (None, Some((start, after))) if start < text.len() => {
                back = Some((start + 1, after));
                t = start + 1;
                p = after;
            }
            _ => return false,
        }
    }
}

/// The n-th part between delimiters, from 1, negative from the end; empty beyond. 0 is refused when the SQL is read.
fn split_part(args: &[ArrayRef], _: &DataType) -> Result<ArrayRef> {
    let result: StringArray = texts(&args[0])
        .iter()
        .zip(texts(&args[1]).iter())
        .zip(args[2].as_primitive::<Int32Type>().iter())
        .map(|((text, delimiter), index)| match (text, delimiter, index) {
            (Some(_), Some(_), Some(0)) => Err(crate::error::data_error(
                "split_part: the part's number is not 0, it counts from 1",
            )),
            (Some(text), Some(delimiter), Some(index)) => {
                let parts: Vec<&str> =
                    if delimiter.is_empty() { vec![text] } else { text.split(delimiter).collect() };
                let at = if index > 0 {
                    usize::try_from(index - 1).ok()
                } else {
                    parts
                        .len()
                        .checked_sub(usize::try_from(index.unsigned_abs()).unwrap_or(usize::MAX))
                };
                Ok(Some(
                    at.and_then(|at| parts.get(at))
                        .map_or(String::new(), |part| (*part).to_owned()),
                ))
            }
            _ => Ok(None),
        })
        .collect::<Result<Vec<Option<String>>>>()?
        .into_iter()
        .collect();
    Ok(Arc::new(result))
}
/// By a literal delimiter: patterns are refused when the SQL is read.
fn split(args: &[ArrayRef], _: &DataType) -> Result<ArrayRef> {
    let mut builder = ListBuilder::new(StringBuilder::new());
    for (text, delimiter) in texts(&args[0]).iter().zip(texts(&args[1]).iter()) {
        match (text, delimiter) {
            (Some(text), Some(delimiter)) => {
                for part in text.split(delimiter) {
                    builder.values().append_value(part);
                }
                builder.append(true);
            }
            _ => builder.append(false),
        }
    }
    Ok(Arc::new(builder.finish()))
}
fn ascii(args: &[ArrayRef], _: &DataType) -> Result<ArrayRef> {
    Ok(Arc::new(
        texts(&args[0])
            .iter()
            .map(|text| {
                text.map(|text| {
                    text.chars().next().map_or(0, |c| i32::try_from(u32::from(c)).unwrap_or(0))
                })
            })
            .collect::<Int32Array>(),
    ))
}

/// This module's functions.
pub fn functions() -> Vec<Arc<ScalarUDF>> {
    use Takes::{Int, Text};
    let text = |name, kernel| SparkFunction::fixed(name, &[Text], 0, DataType::Utf8, kernel);
    vec![
        text("upper", upper),
        text("lower", lower),
        text("reverse", reverse),
        text("initcap", initcap),
        SparkFunction::fixed("trim", &[Text, Text], 1, DataType::Utf8, trim),
        SparkFunction::fixed("ltrim", &[Text, Text], 1, DataType::Utf8, ltrim),
        SparkFunction::fixed("rtrim", &[Text, Text], 1, DataType::Utf8, rtrim),
        SparkFunction::fixed("length", &[Text], 0, DataType::Int32, length),
        SparkFunction::fixed("ascii", &[Text], 0, DataType::Int32, ascii),
        SparkFunction::fixed("substring", &[Text, Int, Int], 1, DataType::Utf8, substring),
        SparkFunction::fixed("left", &[Text, Int], 0, DataType::Utf8, left),
        SparkFunction::fixed("right", &[Text, Int], 0, DataType::Utf8, right),
        SparkFunction::fixed("repeat", &[Text, Int], 0, DataType::Utf8, repeat),
        SparkFunction::fixed("lpad", &[Text, Int, Text], 1, DataType::Utf8, lpad),
        SparkFunction::fixed("rpad", &[Text, Int, Text], 1, DataType::Utf8, rpad),
        SparkFunction::repeated("concat", Text, DataType::Utf8, concat),
        SparkFunction::repeated("concat_ws", Text, DataType::Utf8, concat_ws),
        SparkFunction::fixed("instr", &[Text, Text], 0, DataType::Int32, instr),
        SparkFunction::fixed("locate", &[Text, Text, Int], 1, DataType::Int32, locate),
        SparkFunction::fixed("replace", &[Text, Text, Text], 1, DataType::Utf8, replace),
        SparkFunction::fixed("translate", &[Text, Text, Text], 0, DataType::Utf8, translate),
        SparkFunction::fixed("startswith", &[Text, Text], 0, DataType::Boolean, starts_with),
        SparkFunction::fixed("endswith", &[Text, Text], 0, DataType::Boolean, ends_with),
        SparkFunction::fixed("contains", &[Text, Text], 0, DataType::Boolean, contains),
        SparkFunction::fixed("op like", &[Text, Text], 0, DataType::Boolean, like),
        SparkFunction::fixed("split_part", &[Text, Text, Int], 0, DataType::Utf8, split_part),
        SparkFunction::fixed("split", &[Text, Text], 0, list_type(DataType::Utf8), split),
    ]
}
