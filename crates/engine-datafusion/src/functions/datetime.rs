//! Dates and timestamps. Every instant is UTC, as is the session's zone.

use std::sync::Arc;

use arrow::buffer::NullBuffer;
use arrow::{
    array::{Array, ArrayRef, AsArray, PrimitiveArray, StringArray},
    datatypes::{
        DataType, Date32Type, Float64Type, Int32Type, Int64Type, TimestampMicrosecondType,
    },
};
use chrono::{Datelike, Months, NaiveDate};
use datafusion::{
    common::{Result, ScalarValue},
    logical_expr::ScalarUDF,
};

use super::{
    SparkFunction, Takes,
    arithmetic::{map, zip},
    cast,
    format::Pattern,
    overflow,
};
use crate::{
    error::{data_error, invalid_error, unsupported_error},
    types::{spark_name, timestamp_type},
};

/// Microseconds of a day.
pub const DAY_MICROS: i64 = 86_400_000_000;
const EPOCH_DAYS_FROM_CE: i32 = 719_163;

/// The calendar date of a day number.
pub fn civil(day: i32) -> Option<NaiveDate> {
    NaiveDate::from_num_days_from_ce_opt(day.checked_add(EPOCH_DAYS_FROM_CE)?)
}

/// The day number of a calendar date.
pub fn days_of(date: NaiveDate) -> Option<i32> {
    date.num_days_from_ce().checked_sub(EPOCH_DAYS_FROM_CE)
}

/// The day some months later; the last of the month if it has no such day.
pub fn add_months(day: i32, months: i32) -> Option<i32> {
    let date = civil(day)?;
    let count = Months::new(months.unsigned_abs());
    let moved =
        if months < 0 { date.checked_sub_months(count) } else { date.checked_add_months(count) };
    days_of(moved?)
}

fn out() -> datafusion::common::DataFusionError {
    overflow("the date")
}

macro_rules! date_field {
    ($name:ident, $read:expr) => {
        fn $name(args: &[ArrayRef], _: &DataType) -> Result<ArrayRef> {
            Ok(Arc::new(map::<Date32Type, Int32Type>(&args[0], |day| {
                let date = civil(day).ok_or_else(out)?;
                let read: fn(NaiveDate) -> u32 = $read;
                i32::try_from(read(date)).map_err(|_| out())
            })?))
        }
    };
}

fn year(args: &[ArrayRef], _: &DataType) -> Result<ArrayRef> {
    Ok(Arc::new(map::<Date32Type, Int32Type>(&args[0], |day| {
        Ok(civil(day).ok_or_else(out)?.year())
    })?))
}
date_field!(quarter, |date| date.month().div_ceil(3));
date_field!(month, |date| date.month());
date_field!(day, |date| date.day());
date_field!(day_of_year, |date| date.ordinal());
date_field!(day_of_week, |date| date.weekday().num_days_from_sunday() + 1);
date_field!(weekday, |date| date.weekday().num_days_from_monday());
date_field!(week_of_year, |date| date.iso_week().week());

macro_rules! time_field {
    ($name:ident, $unit:expr, $modulus:expr) => {
        fn $name(args: &[ArrayRef], _: &DataType) -> Result<ArrayRef> {
            Ok(Arc::new(map::<TimestampMicrosecondType, Int32Type>(&args[0], |at| {
                i32::try_from(at.div_euclid($unit).rem_euclid($modulus)).map_err(|_| out())
            })?))
        }
    };
}
time_field!(hour, 3_600_000_000, 24);
time_field!(minute, 60_000_000, 60);
time_field!(second, 1_000_000, 60);

fn date_add(args: &[ArrayRef], _: &DataType) -> Result<ArrayRef> {
    Ok(Arc::new(zip::<Date32Type, Int32Type, Date32Type>(&args[0], &args[1], |day, days| {
        day.checked_add(days).ok_or_else(out)
    })?))
}
fn date_sub(args: &[ArrayRef], _: &DataType) -> Result<ArrayRef> {
    Ok(Arc::new(zip::<Date32Type, Int32Type, Date32Type>(&args[0], &args[1], |day, days| {
        day.checked_sub(days).ok_or_else(out)
    })?))
}
fn date_diff(args: &[ArrayRef], _: &DataType) -> Result<ArrayRef> {
    Ok(Arc::new(zip::<Date32Type, Date32Type, Int32Type>(&args[0], &args[1], |end, start| {
        end.checked_sub(start).ok_or_else(out)
    })?))
}
fn months_added(args: &[ArrayRef], _: &DataType) -> Result<ArrayRef> {
    Ok(Arc::new(zip::<Date32Type, Int32Type, Date32Type>(&args[0], &args[1], |day, months| {
        add_months(day, months).ok_or_else(out)
    })?))
}
fn last_day(args: &[ArrayRef], _: &DataType) -> Result<ArrayRef> {
    Ok(Arc::new(map::<Date32Type, Date32Type>(&args[0], |day| {
        let date = civil(day).ok_or_else(out)?;
        let first = date.with_day(1).and_then(|first| first.checked_add_months(Months::new(1)));
        first.and_then(|next| next.pred_opt()).and_then(days_of).ok_or_else(out)
    })?))
}

fn months_between(args: &[ArrayRef], _: &DataType) -> Result<ArrayRef> {
    Ok(Arc::new(zip::<TimestampMicrosecondType, TimestampMicrosecondType, Float64Type>(
        &args[0],
        &args[1],
        |left, right| {
            let split = |at: i64| -> Option<(NaiveDate, i64)> {
                let day = civil(i32::try_from(at.div_euclid(DAY_MICROS)).ok()?)?;
                Some((day, at.rem_euclid(DAY_MICROS).div_euclid(1_000_000)))
            };
            let (a, a_seconds) = split(left).ok_or_else(out)?;
            let (b, b_seconds) = split(right).ok_or_else(out)?;
            let months =
                |date: NaiveDate| date.year() * 12 + i32::try_from(date.month0()).unwrap_or(0);
            let is_last =
                |date: NaiveDate| date.succ_opt().is_some_and(|next| next.month() != date.month());
            let whole = f64::from(months(a) - months(b));
            if a.day() == b.day() || (is_last(a) && is_last(b)) {
                return Ok(whole);
            }
            // A month counts 31 days, as in Spark; the result has eight digits after the point.
            let seconds =
                (i64::from(a.day()) - i64::from(b.day())) * 86_400 + a_seconds - b_seconds;
            let exact = whole + seconds as f64 / (31.0 * 86_400.0);
            Ok((exact * 1e8).round() / 1e8)
        },
    )?))
}

/// The day number of a date, if there is such a day. Arithmetic alone, because a local run asks it of
/// every row of its sources for every day (after Howard Hinnant's `days_from_civil`).
fn day_number(year: i32, month: i32, day: i32) -> Option<i32> {
    const LENGTHS: [i32; 12] = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let length = LENGTHS.get(usize::try_from(month - 1).ok()?)?;
    let leaps = month == 2 && year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    if day < 1 || day > length + i32::from(leaps) || !(0..=9999).contains(&year) {
        // What lies outside is rare, and chrono's to judge.
        let date = NaiveDate::from_ymd_opt(year, month.try_into().ok()?, day.try_into().ok()?)?;
        return days_of(date);
    }
    let shifted = if month <= 2 { year - 1 } else { year };
    let era = shifted.div_euclid(400);
    let of_era = shifted.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    Some(era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468)
}

fn make_date(args: &[ArrayRef], _: &DataType) -> Result<ArrayRef> {
    let [years, months, days] =
        [0, 1, 2].map(|index: usize| args[index].as_primitive::<Int32Type>());
    let nulls =
        NullBuffer::union(NullBuffer::union(years.nulls(), months.nulls()).as_ref(), days.nulls());
    let is_null = |row: usize| nulls.as_ref().is_some_and(|nulls| nulls.is_null(row));
    let parts = years.values().iter().zip(months.values()).zip(days.values());
    let mut numbers = Vec::with_capacity(years.len());
    for (row, ((year, month), day)) in parts.enumerate() {
        match day_number(*year, *month, *day) {
            Some(number) => numbers.push(number),
            None if is_null(row) => numbers.push(0),
            None => {
                return Err(data_error(format!(
                    "make_date({year}, {month}, {day}): there is no such day"
                )));
            }
        }
    }
    Ok(Arc::new(PrimitiveArray::<Date32Type>::new(numbers.into(), nulls)))
}

/// The literal text of an argument that is the same for all rows.
fn constant(array: &ArrayRef) -> Option<&str> {
    let texts = array.as_string::<i32>();
    (!texts.is_empty() && texts.is_valid(0)).then(|| texts.value(0))
}

/// The first instant of the unit that holds an instant.
fn truncate(unit: &str, at: i64) -> Option<i64> {
    let fixed = |micros: i64| at.div_euclid(micros).checked_mul(micros);
    match unit {
        "MICROSECOND" => return Some(at),
        "MILLISECOND" => return fixed(1_000),
        "SECOND" => return fixed(1_000_000),
        "MINUTE" => return fixed(60_000_000),
        "HOUR" => return fixed(3_600_000_000),
        "DAY" | "DD" => return fixed(DAY_MICROS),
        _ => {}
    }
    let day = i32::try_from(at.div_euclid(DAY_MICROS)).ok()?;
    i64::from(truncate_day(unit, day)?).checked_mul(DAY_MICROS)
}

fn truncate_day(unit: &str, day: i32) -> Option<i32> {
    let date = civil(day)?;
    let first = match unit {
        "WEEK" => {
            return day.checked_sub(i32::try_from(date.weekday().num_days_from_monday()).ok()?);
        }
        "MON" | "MONTH" | "MM" => date.with_day(1)?,
        "QUARTER" => NaiveDate::from_ymd_opt(date.year(), date.month0() / 3 * 3 + 1, 1)?,
        "YEAR" | "YYYY" | "YY" => NaiveDate::from_ymd_opt(date.year(), 1, 1)?,
        _ => return None,
    };
    days_of(first)
}

/// Units of `date_trunc`; those of `trunc` are the last seven.
pub const TRUNCATE_UNITS: [&str; 15] = [
    "MICROSECOND",
    "MILLISECOND",
    "SECOND",
    "MINUTE",
    "HOUR",
    "DAY",
    "DD",
    "WEEK",
    "MON",
    "MONTH",
    "MM",
    "QUARTER",
    "YEAR",
    "YYYY",
    "YY",
];

fn date_trunc(args: &[ArrayRef], gives: &DataType) -> Result<ArrayRef> {
    let Some(unit) = constant(&args[0]) else {
        return Ok(arrow::array::new_null_array(gives, args[1].len()));
    };
    let unit = unit.to_ascii_uppercase();
    let result = map::<TimestampMicrosecondType, TimestampMicrosecondType>(&args[1], |at| {
        truncate(&unit, at).ok_or_else(out)
    })?;
    Ok(Arc::new(result.with_data_type(timestamp_type())))
}

fn trunc(args: &[ArrayRef], gives: &DataType) -> Result<ArrayRef> {
    let Some(unit) = constant(&args[1]) else {
        return Ok(arrow::array::new_null_array(gives, args[0].len()));
    };
    let unit = unit.to_ascii_uppercase();
    Ok(Arc::new(map::<Date32Type, Date32Type>(&args[0], |day| {
        truncate_day(&unit, day).ok_or_else(out)
    })?))
}

/// Text, date or timestamp, and perhaps a pattern.
fn type_to_date(
    name: &str,
    given: &[DataType],
    _: &[Option<&ScalarValue>],
) -> Result<(Vec<DataType>, DataType)> {
    type_reading(name, given, DataType::Date32)
}
fn type_to_timestamp(
    name: &str,
    given: &[DataType],
    _: &[Option<&ScalarValue>],
) -> Result<(Vec<DataType>, DataType)> {
    type_reading(name, given, timestamp_type())
}
fn type_unix(
    name: &str,
    given: &[DataType],
    _: &[Option<&ScalarValue>],
) -> Result<(Vec<DataType>, DataType)> {
    match given {
        [DataType::Date32 | DataType::Timestamp(..)] => {
            Ok((vec![timestamp_type()], DataType::Int64))
        }
        _ => type_reading(name, given, DataType::Int64),
    }
}
fn type_reading(
    name: &str,
    given: &[DataType],
    gives: DataType,
) -> Result<(Vec<DataType>, DataType)> {
    use DataType::{Date32, Null, Timestamp, Utf8};
    match given {
        [Utf8 | Null] => Ok((vec![Utf8], gives)),
        [Utf8 | Null, Utf8 | Null] => Ok((vec![Utf8, Utf8], gives)),
        [Date32 | Timestamp(..)] => Ok((given.to_vec(), gives)),
        [other, ..] if given.len() <= 2 => {
            Err(unsupported_error(format!("`{name}` of {}", spark_name(other))))
        }
        _ => Err(invalid_error(format!("`{name}` takes one or two arguments"))),
    }
}

/// Instants read from text by a constant pattern.
fn read_by(
    name: &str,
    texts: &ArrayRef,
    pattern: &ArrayRef,
) -> Result<PrimitiveArray<TimestampMicrosecondType>> {
    let Some(pattern_text) = constant(pattern) else {
        return Ok(PrimitiveArray::new_null(texts.len()));
    };
    let pattern = Pattern::new(pattern_text)
        .filter(Pattern::reads)
        .ok_or_else(|| unsupported_error(format!("the pattern '{pattern_text}' of `{name}`")))?;
    texts
        .as_string::<i32>()
        .iter()
        .map(|text| match text {
            None => Ok(None),
            Some(text) => match pattern.read(text) {
                Some(at) => Ok(Some(at)),
                None => {
                    Err(data_error(format!("`{name}`: '{text}' does not match '{pattern_text}'")))
                }
            },
        })
        .collect()
}

fn to_date(args: &[ArrayRef], gives: &DataType) -> Result<ArrayRef> {
    match args {
        [value] => cast::convert(value, gives, false),
        [text, pattern, ..] => {
            let read = read_by("to_date", text, pattern)?.with_data_type(timestamp_type());
            cast::convert(&(Arc::new(read) as ArrayRef), gives, false)
        }
        [] => Err(invalid_error("`to_date` takes a value")),
    }
}
fn to_timestamp(args: &[ArrayRef], gives: &DataType) -> Result<ArrayRef> {
    match args {
        [value] => cast::convert(value, gives, false),
        [text, pattern, ..] => {
            Ok(Arc::new(read_by("to_timestamp", text, pattern)?.with_data_type(gives.clone())))
        }
        [] => Err(invalid_error("`to_timestamp` takes a value")),
    }
}
fn unix_timestamp(args: &[ArrayRef], _: &DataType) -> Result<ArrayRef> {
    let at: ArrayRef = match args {
        [value] if *value.data_type() == DataType::Utf8 => {
            let pattern: ArrayRef = Arc::new(StringArray::from(vec!["yyyy-MM-dd HH:mm:ss"]));
            Arc::new(read_by("unix_timestamp", value, &pattern)?)
        }
        [value] => Arc::clone(value),
        [text, pattern, ..] => Arc::new(read_by("unix_timestamp", text, pattern)?),
        [] => return Err(invalid_error("`unix_timestamp` takes a value")),
    };
    // Towards 1970, unlike `unix_seconds`.
    Ok(Arc::new(map::<TimestampMicrosecondType, Int64Type>(&at, |at| Ok(at / 1_000_000))?))
}

fn write_by(
    name: &str,
    at: &PrimitiveArray<TimestampMicrosecondType>,
    pattern: &str,
) -> Result<ArrayRef> {
    let parsed = Pattern::new(pattern)
        .ok_or_else(|| unsupported_error(format!("the pattern '{pattern}' of `{name}`")))?;
    let texts: StringArray = at
        .iter()
        .map(|at| at.map(|at| parsed.write(at).ok_or_else(out)).transpose())
        .collect::<Result<Vec<_>>>()?
        .into_iter()
        .collect();
    Ok(Arc::new(texts))
}

fn date_format(args: &[ArrayRef], gives: &DataType) -> Result<ArrayRef> {
    match constant(&args[1]) {
        Some(pattern) => write_by("date_format", args[0].as_primitive(), pattern),
        None => Ok(arrow::array::new_null_array(gives, args[0].len())),
    }
}
fn from_unixtime(args: &[ArrayRef], gives: &DataType) -> Result<ArrayRef> {
    let at = map::<Int64Type, TimestampMicrosecondType>(&args[0], |seconds| {
        seconds.checked_mul(1_000_000).ok_or_else(out)
    })?;
    match args.get(1).map(constant) {
        None => write_by("from_unixtime", &at, "yyyy-MM-dd HH:mm:ss"),
        Some(Some(pattern)) => write_by("from_unixtime", &at, pattern),
        Some(None) => Ok(arrow::array::new_null_array(gives, at.len())),
    }
}

macro_rules! from_units {
    ($name:ident, $micros:expr) => {
        fn $name(args: &[ArrayRef], _: &DataType) -> Result<ArrayRef> {
            let at = map::<Int64Type, TimestampMicrosecondType>(&args[0], |units| {
                units.checked_mul($micros).ok_or_else(out)
            })?;
            Ok(Arc::new(at.with_data_type(timestamp_type())))
        }
    };
}
from_units!(timestamp_seconds, 1_000_000);
from_units!(timestamp_millis, 1_000);
from_units!(timestamp_micros, 1);

macro_rules! to_units {
    ($name:ident, $micros:expr) => {
        fn $name(args: &[ArrayRef], _: &DataType) -> Result<ArrayRef> {
            Ok(Arc::new(map::<TimestampMicrosecondType, Int64Type>(&args[0], |at| {
                Ok(at.div_euclid($micros))
            })?))
        }
    };
}
to_units!(unix_seconds, 1_000_000);
to_units!(unix_millis, 1_000);
to_units!(unix_micros, 1);

fn unix_date(args: &[ArrayRef], _: &DataType) -> Result<ArrayRef> {
    Ok(Arc::new(map::<Date32Type, Int32Type>(&args[0], Ok)?))
}
fn date_from_unix_date(args: &[ArrayRef], _: &DataType) -> Result<ArrayRef> {
    Ok(Arc::new(map::<Int32Type, Date32Type>(&args[0], Ok)?))
}

/// This module's functions.
pub fn functions() -> Vec<Arc<ScalarUDF>> {
    use Takes::{Date, Int, Long, Text, Timestamp};
    let of_date = |name, kernel| SparkFunction::fixed(name, &[Date], 0, DataType::Int32, kernel);
    let of_time =
        |name, kernel| SparkFunction::fixed(name, &[Timestamp], 0, DataType::Int32, kernel);
    vec![
        of_date("year", year),
        of_date("quarter", quarter),
        of_date("month", month),
        of_date("day", day),
        of_date("dayofmonth", day),
        of_date("dayofyear", day_of_year),
        of_date("dayofweek", day_of_week),
        of_date("weekday", weekday),
        of_date("weekofyear", week_of_year),
        of_date("unix_date", unix_date),
        of_time("hour", hour),
        of_time("minute", minute),
        of_time("second", second),
        SparkFunction::fixed("date_add", &[Date, Int], 0, DataType::Date32, date_add),
        SparkFunction::fixed("date_sub", &[Date, Int], 0, DataType::Date32, date_sub),
        SparkFunction::fixed("datediff", &[Date, Date], 0, DataType::Int32, date_diff),
        SparkFunction::fixed("add_months", &[Date, Int], 0, DataType::Date32, months_added),
        SparkFunction::fixed("last_day", &[Date], 0, DataType::Date32, last_day),
        SparkFunction::fixed(
            "months_between",
            &[Timestamp, Timestamp],
            0,
            DataType::Float64,
            months_between,
        ),
        SparkFunction::fixed("make_date", &[Int, Int, Int], 0, DataType::Date32, make_date),
        SparkFunction::fixed("date_trunc", &[Text, Timestamp], 0, timestamp_type(), date_trunc),
        SparkFunction::fixed("trunc", &[Date, Text], 0, DataType::Date32, trunc),
        SparkFunction::free("to_date", type_to_date, to_date),
        SparkFunction::free("to_timestamp", type_to_timestamp, to_timestamp),
        SparkFunction::free("unix_timestamp", type_unix, unix_timestamp),
        SparkFunction::fixed("date_format", &[Timestamp, Text], 0, DataType::Utf8, date_format),
        SparkFunction::fixed("from_unixtime", &[Long, Text], 1, DataType::Utf8, from_unixtime),
        SparkFunction::fixed("timestamp_seconds", &[Long], 0, timestamp_type(), timestamp_seconds),
        SparkFunction::fixed("timestamp_millis", &[Long], 0, timestamp_type(), timestamp_millis),
        SparkFunction::fixed("timestamp_micros", &[Long], 0, timestamp_type(), timestamp_micros),
        SparkFunction::fixed("unix_seconds", &[Timestamp], 0, DataType::Int64, unix_seconds),
        SparkFunction::fixed("unix_millis", &[Timestamp], 0, DataType::Int64, unix_millis),
        SparkFunction::fixed("unix_micros", &[Timestamp], 0, DataType::Int64, unix_micros),
        SparkFunction::fixed(
            "date_from_unix_date",
            &[Int],
            0,
            DataType::Date32,
            date_from_unix_date,
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn day_numbers_are_those_of_the_calendar() {
        for year in [-5, 0, 1, 1582, 1900, 1969, 1970, 2000, 2012, 2013, 9999, 10_000] {
            for month in 0..=13 {
                for day in 0..=32 {
                    let expected = u32::try_from(month)
                        .ok()
                        .zip(u32::try_from(day).ok())
                        .and_then(|(month, day)| NaiveDate::from_ymd_opt(year, month, day))
                        .and_then(days_of);
                    assert_eq!(day_number(year, month, day), expected, "{year}-{month}-{day}");
                }
            }
        }
    }
}
