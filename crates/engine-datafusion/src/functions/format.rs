//! Dates and timestamps as text: Spark's casts, and the patterns of `date_format` and its kin that are proven.

use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, NaiveTime, Timelike};

use super::datetime::{DAY_MICROS, civil, days_of};

/// `yyyy-MM-dd`.
pub fn write_date(day: i32) -> Option<String> {
    let date = civil(day)?;
    (0..=9999).contains(&date.year()).then(|| date.format("%Y-%m-%d").to_string())
}

/// `yyyy-MM-dd HH:mm:ss`, then as many digits of the second as there are.
pub fn write_timestamp(micros: i64) -> Option<String> {
    let at = DateTime::from_timestamp_micros(micros)?;
    if !(0..=9999).contains(&at.year()) {
        return None;
    }
    let whole = at.format("%Y-%m-%d %H:%M:%S").to_string();
    let fraction = micros.rem_euclid(1_000_000);
    if fraction == 0 {
        return Some(whole);
    }
    let digits = format!("{fraction:06}");
    Some(format!("{whole}.{}", digits.trim_end_matches('0')))
}

/// A number of `least` to `most` digits at the start, and the rest.
fn digits(text: &str, least: usize, most: usize) -> Option<(u32, &str)> {
    let count = text.bytes().take_while(u8::is_ascii_digit).count();
    if count < least || count > most {
        return None;
    }
    Some((text[..count].parse().ok()?, &text[count..]))
}

/// Year, month and day at the start (`yyyy`, `yyyy-M`, `yyyy-M-d`), and the rest.
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

/// As Spark casts text to a date: a time after it is ignored.
pub fn read_date(text: &str) -> Option<i32> {
    let (date, whole, rest) = leading_date(text)?;
    let ends = rest.is_empty() || (whole && (rest.starts_with(' ') || rest.starts_with('T')));
    ends.then(|| days_of(date)).flatten()
}

/// As Spark casts text to a timestamp: `yyyy-M-d[ T]H:m:s[.ffffff][zone]` and its prefixes; UTC without a zone.
pub fn read_timestamp(text: &str) -> Option<i64> {
    read_zoned(text).map(|(micros, _)| micros)
}

/// As [`read_timestamp`], and whether the text named a zone.
pub fn read_zoned(text: &str) -> Option<(i64, bool)> {
    let (date, whole, rest) = leading_date(text)?;
    let midnight = i64::from(days_of(date)?).checked_mul(DAY_MICROS)?;
    if rest.is_empty() {
        return Some((midnight, false));
    }
    if !whole {
        return None;
    }
    let rest = rest.strip_prefix([' ', 'T'])?;
    let (hour, rest) = digits(rest, 1, 2)?;
    // Spark reads a zone only after the seconds.
    let (minute, second, fraction, rest, zone) = match rest.strip_prefix(':') {
        None => (0, 0, 0, rest, ""),
        Some(rest) => {
            let (minute, rest) = digits(rest, 1, 2)?;
            match rest.strip_prefix(':') {
                None => (minute, 0, 0, rest, ""),
                Some(rest) => {
                    let (second, rest) = digits(rest, 1, 2)?;
                    let (fraction, rest) = fraction(rest);
                    (minute, second, fraction, "", rest.trim_start())
                }
            }
        }
    };
    if !rest.is_empty() {
        return None;
    }
    let time = NaiveTime::from_hms_opt(hour, minute, second)?;
    let offset = read_offset(zone)?;
    let seconds = i64::from(time.num_seconds_from_midnight()) - offset;
    Some((midnight.checked_add(seconds * 1_000_000 + fraction)?, !zone.is_empty()))
}

/// `.ffffff` in microseconds; digits beyond the sixth are cut.
fn fraction(text: &str) -> (i64, &str) {
    let Some(rest) = text.strip_prefix('.') else {
        return (0, text);
    };
    let count = rest.bytes().take_while(u8::is_ascii_digit).count();
    let mut micros = 0;
    for index in 0..6 {
        let digit = if index < count { rest.as_bytes()[index] - b'0' } else { 0 };
        micros = micros * 10 + i64::from(digit);
    }
    (micros, &rest[count..])
}

/// An offset from UTC in seconds: nothing, `Z`, `UTC`, `GMT`, `+H[H][:mm[:ss]]`. Named zones are not read.
fn read_offset(text: &str) -> Option<i64> {
    let text = text.strip_prefix("UTC").or_else(|| text.strip_prefix("GMT")).unwrap_or(text);
    if text.is_empty() || text == "Z" {
        return Some(0);
    }
    let (sign, rest) = match text.as_bytes()[0] {
        b'+' => (1, &text[1..]),
        b'-' => (-1, &text[1..]),
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

/// One piece of a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Year,
    Month,
    Day,
    Hour,
    Minute,
    Second,
    /// Digits of the fraction.
    Fraction(usize),
    MonthShort,
    MonthLong,
    WeekdayShort,
    WeekdayLong,
    /// Without padding.
    MonthBare,
    DayBare,
    HourBare,
    Literal(String),
}

/// A pattern of `date_format`, `to_date`, `to_timestamp`, `from_unixtime`, `unix_timestamp`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern(Vec<Piece>);

impl Pattern {
    /// `None` if it has a letter that is not proven.
    pub fn new(text: &str) -> Option<Self> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            if first == '\'' {
                let quoted = &rest[1..];
                let end = quoted.find('\'')?;
                let literal = if end == 0 { "'" } else { &quoted[..end] };
                pieces.push(Piece::Literal(literal.to_owned()));
                rest = &quoted[end + 1..];
                continue;
            }
            if !first.is_ascii_alphabetic() {
                if "[]{}#".contains(first) {
                    return None;
                }
                pieces.push(Piece::Literal(first.to_string()));
                rest = &rest[first.len_utf8()..];
                continue;
            }
            let count = rest.chars().take_while(|c| *c == first).count();
            pieces.push(match (first, count) {
                ('y', 4) => Piece::Year,
                ('M', 2) => Piece::Month,
                ('M', 1) => Piece::MonthBare,
                ('M', 3) => Piece::MonthShort,
                ('M', 4) => Piece::MonthLong,
                ('d', 2) => Piece::Day,
                ('d', 1) => Piece::DayBare,
                ('H', 2) => Piece::Hour,
                ('H', 1) => Piece::HourBare,
                ('m', 2) => Piece::Minute,
                ('s', 2) => Piece::Second,
                ('S', 1..=6) => Piece::Fraction(count),
                ('E', 1..=3) => Piece::WeekdayShort,
                ('E', 4) => Piece::WeekdayLong,
                _ => return None,
            });
            rest = &rest[count..];
        }
        Some(Self(pieces))
    }

    /// The text of an instant.
    pub fn write(&self, micros: i64) -> Option<String> {
        let at = DateTime::from_timestamp_micros(micros)?;
        if !(0..=9999).contains(&at.year()) {
            return None;
        }
        let mut text = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Year => text.push_str(&format!("{:04}", at.year())),
                Piece::Month => text.push_str(&format!("{:02}", at.month())),
                Piece::MonthBare => text.push_str(&at.month().to_string()),
                Piece::MonthShort => text.push_str(&at.format("%b").to_string()),
                Piece::MonthLong => text.push_str(&at.format("%B").to_string()),
                Piece::Day => text.push_str(&format!("{:02}", at.day())),
                Piece::DayBare => text.push_str(&at.day().to_string()),
                Piece::Hour => text.push_str(&format!("{:02}", at.hour())),
                Piece::HourBare => text.push_str(&at.hour().to_string()),
                Piece::Minute => text.push_str(&format!("{:02}", at.minute())),
                Piece::Second => text.push_str(&format!("{:02}", at.second())),
                Piece::Fraction(count) => {
                    text.push_str(&format!("{:06}", micros.rem_euclid(1_000_000))[..*count]);
                }
                Piece::WeekdayShort => text.push_str(&at.format("%a").to_string()),
                Piece::WeekdayLong => text.push_str(&at.format("%A").to_string()),
                Piece::Literal(literal) => text.push_str(literal),
            }
        }
        Some(text)
    }

    /// Whether text can be read by it: fixed-width numbers and literals only.
    pub fn reads(&self) -> bool {
        self.0.iter().all(|piece| {
            !matches!(
                piece,
                Piece::WeekdayShort
                    | Piece::WeekdayLong
                    | Piece::MonthShort
                    | Piece::MonthLong
                    | Piece::MonthBare
                    | Piece::DayBare
                    | Piece::HourBare
            )
        }) && self.0.contains(&Piece::Year)
    }

    /// The instant that a text names; strict, as Spark is: every digit must be there.
    pub fn read(&self, text: &str) -> Option<i64> {
        let (mut year, mut month, mut day) = (1970, 1, 1);
        let (mut hour, mut minute, mut second, mut micros) = (0, 0, 0, 0);
        let mut rest = text;
        for piece in &self.0 {
            let width = match piece {
                Piece::Literal(literal) => {
                    rest = rest.strip_prefix(literal.as_str())?;
                    continue;
                }
                Piece::Year => 4,
                Piece::Fraction(count) => *count,
                _ => 2,
            };
            let field = rest.get(..width)?;
            if !field.bytes().all(|b| b.is_ascii_digit()) {
                return None;
            }
            let value: u32 = field.parse().ok()?;
            rest = &rest[width..];
            match piece {
                Piece::Year => year = i32::try_from(value).ok()?,
                Piece::Month => month = value,
                Piece::Day => day = value,
                Piece::Hour => hour = value,
                Piece::Minute => minute = value,
                Piece::Second => second = value,
                Piece::Fraction(count) => {
                    micros = i64::from(value) * 10i64.pow(u32::try_from(6 - count).ok()?);
                }
                _ => return None,
            }
        }
        if !rest.is_empty() {
            return None;
        }
        let at = NaiveDateTime::new(
            NaiveDate::from_ymd_opt(year, month, day)?,
            NaiveTime::from_hms_opt(hour, minute, second)?,
        );
        at.and_utc().timestamp_micros().checked_add(micros)
    }
}
