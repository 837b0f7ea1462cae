//! Days and instants, in UTC: their parts, and how Spark reads and writes them.

use chrono::{Datelike, NaiveDate, NaiveTime, Timelike};
use trivium_model::{Timestamp, Value};

pub(crate) const DAY_MICROS: i64 = 86_400_000_000;
const EPOCH_DAYS_FROM_CE: i32 = 719_163;

/// A part of a day or of an instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Year,
    Quarter,
    Month,
    Day,
    DayOfYear,
    DayOfWeek,
    Weekday,
    WeekOfYear,
    Hour,
    Minute,
    Second,
}

impl Part {
    /// The function that gives it, if there is one of this name.
    pub(crate) fn of_function(name: &str) -> Option<Self> {
        Some(match name {
            "year" => Self::Year,
            "quarter" => Self::Quarter,
            "month" => Self::Month,
            "day" | "dayofmonth" => Self::Day,
            "dayofyear" => Self::DayOfYear,
            "dayofweek" => Self::DayOfWeek,
            "weekday" => Self::Weekday,
            "weekofyear" => Self::WeekOfYear,
            "hour" => Self::Hour,
            "minute" => Self::Minute,
            "second" => Self::Second,
            _ => return None,
        })
    }
    pub(crate) const fn function(self) -> &'static str {
        match self {
            Self::Year => "year",
            Self::Quarter => "quarter",
            Self::Month => "month",
            Self::Day => "day",
            Self::DayOfYear => "dayofyear",
            Self::DayOfWeek => "dayofweek",
            Self::Weekday => "weekday",
            Self::WeekOfYear => "weekofyear",
            Self::Hour => "hour",
            Self::Minute => "minute",
            Self::Second => "second",
        }
    }
    /// Whether it is a part of an instant; the others are of days.
    pub(crate) const fn is_of_time(self) -> bool {
        matches!(self, Self::Hour | Self::Minute | Self::Second)
    }
    pub(crate) fn of_day(self, day: i32) -> Option<i32> {
        let date = civil(day)?;
        let part = match self {
            Self::Year => return Some(date.year()),
            Self::Quarter => date.month().div_ceil(3),
            Self::Month => date.month(),
            Self::Day => date.day(),
            Self::DayOfYear => date.ordinal(),
            Self::DayOfWeek => date.weekday().num_days_from_sunday() + 1,
            Self::Weekday => date.weekday().num_days_from_monday(),
            Self::WeekOfYear => date.iso_week().week(),
            Self::Hour | Self::Minute | Self::Second => return None,
        };
        i32::try_from(part).ok()
    }
    pub(crate) fn of_instant(self, at: Timestamp) -> Option<i32> {
        let (unit, modulus) = match self {
            Self::Hour => (3_600_000_000, 24),
            Self::Minute => (60_000_000, 60),
            Self::Second => (1_000_000, 60),
            _ => return None,
        };
        i32::try_from(at.0.div_euclid(unit).rem_euclid(modulus)).ok()
    }
}

fn civil(day: i32) -> Option<NaiveDate> {
    NaiveDate::from_num_days_from_ce_opt(day.checked_add(EPOCH_DAYS_FROM_CE)?)
}

/// The day, if it has a place in the calendar.
pub(crate) fn day(day: i32) -> Option<i32> {
    Value::Date(day).in_calendar().then_some(day)
}

/// The instant, if it has a place in the calendar.
pub(crate) fn instant(micros: i64) -> Option<Timestamp> {
    Some(Timestamp(micros)).filter(|at| at.in_calendar())
}

/// The day of an instant.
pub(crate) fn day_of(at: Timestamp) -> Option<i32> {
    i32::try_from(at.0.div_euclid(DAY_MICROS)).ok()
}

/// `yyyy-MM-dd`.
pub(crate) fn write_date(day: i32) -> Option<String> {
    let date = civil(day)?;
    (0..=9999).contains(&date.year()).then(|| date.format("%Y-%m-%d").to_string())
}

/// `yyyy-MM-dd HH:mm:ss`, then as many digits of the second as there are.
pub(crate) fn write_timestamp(at: Timestamp) -> Option<String> {
    let utc = at.to_utc()?;
    if !(0..=9999).contains(&utc.year()) {
        return None;
    }
    let whole = utc.format("%Y-%m-%d %H:%M:%S").to_string();
    match at.0.rem_euclid(1_000_000) {
        0 => Some(whole),
        fraction => {
            let digits = format!("{fraction:06}");
            Some(format!("{whole}.{}", digits.trim_end_matches('0')))
        }
    }
}

/// A number of `least` to `most` digits at the start, and the rest.
fn digits(text: &str, least: usize, most: usize) -> Option<(u32, &str)> {
    let count = text.bytes().take_while(u8::is_ascii_digit).count();
    if count < least || count > most {
        return None;
    }
    Some((text[..count].parse().ok()?, &text[count..]))
}

/// Year, month and day at the start (`yyyy`, `yyyy-M`, `yyyy-M-d`), whether the day was there, and the rest.
fn leading_date(text: &str) -> Option<(NaiveDate, bool, &str)> {
    let (negative, unsigned) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (year, rest) = digits(unsigned, 4, 6)?;
    let year = i32::try_from(year).ok()?;
    let year = if negative { -year } else { year };
    let Some(rest) = rest.strip_prefix('-') else {
        return Some((NaiveDate::from_ymd_opt(year, 1, 1)?, false, rest));
    };
    let (month, rest) = digits(rest, 1, 2)?;
    let Some(rest) = rest.strip_prefix('-') else {
        return Some((NaiveDate::from_ymd_opt(year, month, 1)?, false, rest));
    };
    let (day, rest) = digits(rest, 1, 2)?;
    Some((NaiveDate::from_ymd_opt(year, month, day)?, true, rest))
}

fn days_of(date: NaiveDate) -> Option<i32> {
    date.num_days_from_ce().checked_sub(EPOCH_DAYS_FROM_CE)
}

/// As Spark casts text to a date: a time after it is ignored.
pub(crate) fn read_date(text: &str) -> Option<i32> {
    let (date, whole, rest) = leading_date(text)?;
    let ends = rest.is_empty() || (whole && (rest.starts_with(' ') || rest.starts_with('T')));
    ends.then(|| days_of(date)).flatten().and_then(day)
}

/// As Spark casts text to a timestamp: `yyyy-M-d[ T]H:m:s[.ffffff][zone]` and its prefixes; UTC without a zone. Zones
/// are offsets, not names.
pub(crate) fn read_timestamp(text: &str) -> Option<Timestamp> {
    let (date, whole, rest) = leading_date(text)?;
    let midnight = i64::from(days_of(date)?).checked_mul(DAY_MICROS)?;
    if rest.is_empty() {
        return instant(midnight);
    }
    if !whole {
        return None;
    }
    let (hour, rest) = digits(rest.strip_prefix([' ', 'T'])?, 1, 2)?;
    // Spark reads a zone only after the seconds.
    let (minute, second, fraction, rest, zone) = match rest.strip_prefix(':') {
        None => (0, 0, 0, rest, ""),
        Some(rest) => {
            let (minute, rest) = digits(rest, 1, 2)?;
            match rest.strip_prefix(':') {
                None => (minute, 0, 0, rest, ""),
                Some(rest) => {
                    let (second, rest) = digits(rest, 1, 2)?;
                    let (fraction, rest) = read_fraction(rest);
                    (minute, second, fraction, "", rest.trim_start())
                }
            }
        }
    };
    if !rest.is_empty() {
        return None;
    }
    let time = NaiveTime::from_hms_opt(hour, minute, second)?;
    let seconds = i64::from(time.num_seconds_from_midnight()) - read_offset(zone)?;
    instant(midnight.checked_add(seconds * 1_000_000 + fraction)?)
}

/// `.ffffff` in microseconds; digits beyond the sixth are cut.
fn read_fraction(text: &str) -> (i64, &str) {
    let Some(rest) = text.strip_prefix('.') else {
        return (0, text);
    };
    let count = rest.bytes().take_while(u8::is_ascii_digit).count();
    let read = rest.bytes().take(count).map(|byte| i64::from(byte - b'0'));
    let micros = read.chain(std::iter::repeat(0)).take(6).fold(0, |sum, digit| sum * 10 + digit);
    (micros, &rest[count..])
}

/// An offset from UTC in seconds: nothing, `Z`, `UTC`, `GMT`, `+H[H][:mm[:ss]]`.
fn read_offset(text: &str) -> Option<i64> {
    let text = text.strip_prefix("UTC").or_else(|| text.strip_prefix("GMT")).unwrap_or(text);
    if text.is_empty() || text == "Z" {
        return Some(0);
    }
    let (sign, rest) = match (text.strip_prefix('+'), text.strip_prefix('-')) {
        (Some(rest), _) => (1, rest),
        (_, Some(rest)) => (-1, rest),
        _ => return None,
    };
    let mut parts = rest.split(':');
    let part = |part: Option<&str>| match part {
        None => Some(0),
        Some(part) => digits(part, 1, 2)
            .filter(|(_, rest)| rest.is_empty())
            .map(|(value, _)| i64::from(value)),
    };
    let (hours, minutes, seconds) = (part(parts.next())?, part(parts.next())?, part(parts.next())?);
    if parts.next().is_some() || hours > 18 || minutes > 59 || seconds > 59 {
        return None;
    }
    Some(sign * (hours * 3600 + minutes * 60 + seconds))
}
