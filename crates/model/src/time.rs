//! Instants and lengths of time, in microseconds, UTC.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// Microseconds since 1970-01-01T00:00:00Z.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

/// A length of time: written `90s`, `15m`, `1h`, `14d` or `2w`; stored in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TimeSpan(i64);

const UNITS: [(&str, i64); 5] = [
    ("w", 7 * 86_400_000_000),
    ("d", 86_400_000_000),
    ("h", 3_600_000_000),
    ("m", 60_000_000),
    ("s", 1_000_000),
];

/// Why a text is no length of time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a length of time: write a positive whole number and a unit (`s`, `m`, `h`, `d`, `w`), as in `14d`"
)]
pub struct TimeSpanError(pub String);

impl TimeSpan {
    /// From microseconds.
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }
    /// From whole days of 24 hours.
    pub const fn from_days(days: i64) -> Self {
        Self(days * 86_400_000_000)
    }
    /// In microseconds.
    pub const fn micros(self) -> i64 {
        self.0
    }
    /// One day of 24 hours.
    pub const DAY: Self = Self::from_days(1);
}

impl FromStr for TimeSpan {
    type Err = TimeSpanError;
    fn from_str(text: &str) -> Result<Self, TimeSpanError> {
        let wrong = || TimeSpanError(text.to_owned());
        let (number, factor) = UNITS
            .iter()
            .find_map(|(unit, factor)| text.strip_suffix(unit).map(|number| (number, *factor)))
            .ok_or_else(wrong)?;
        if number.is_empty() || !number.bytes().all(|b| b.is_ascii_digit()) {
            return Err(wrong());
        }
        let count: i64 = number.parse().map_err(|_| wrong())?;
        let micros = count.checked_mul(factor).filter(|micros| *micros > 0).ok_or_else(wrong)?;
        Ok(Self(micros))
    }
}

impl fmt::Display for TimeSpan {
    /// The largest unit that divides it, weeks left out: `14d`, `36h`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (unit, factor) in &UNITS[1..] {
            if self.0 % factor == 0 {
                return write!(f, "{}{unit}", self.0 / factor);
            }
        }
        write!(f, "{}us", self.0)
    }
}
impl Serialize for TimeSpan {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
impl<'de> Deserialize<'de> for TimeSpan {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Days since 1970-01-01 that every surface can spell: years 0001 to 9999.
pub const CALENDAR_DAYS: std::ops::RangeInclusive<i32> = -719_162..=2_932_896;

impl Timestamp {
    /// 0001-01-01T00:00:00Z, the first instant that every surface can spell.
    pub const FIRST: Self = Self(-62_135_596_800_000_000);
    /// The last microsecond of the year 9999.
    pub const LAST: Self = Self(253_402_300_799_999_999);
    /// Whether every surface can spell it: years 0001 to 9999.
    pub const fn in_calendar(self) -> bool {
        self.0 >= Self::FIRST.0 && self.0 <= Self::LAST.0
    }
    /// The instant as chrono sees it; `None` outside chrono's range.
    pub fn to_utc(self) -> Option<chrono::DateTime<chrono::Utc>> {
        chrono::DateTime::from_timestamp_micros(self.0)
    }
    /// From chrono, microseconds kept, the rest cut.
    pub fn from_utc(at: chrono::DateTime<chrono::Utc>) -> Self {
        Self(at.timestamp_micros())
    }
    /// RFC 3339 with an offset, or a bare date (midnight UTC), or a zone-less time (UTC), of the
    /// years 0001 to 9999. Digits below a microsecond are cut.
    pub fn parse(text: &str) -> Option<Self> {
        // An offset may lead out of the years that were written.
        Self::parse_any(text).filter(|at| at.in_calendar())
    }

    fn parse_any(text: &str) -> Option<Self> {
        // chrono would also take years and days of other lengths.
        if text.as_bytes().get(4) != Some(&b'-') || text.starts_with("0000") {
            return None;
        }
        if let Ok(at) = chrono::DateTime::parse_from_rfc3339(text) {
            return Some(Self::from_utc(at.to_utc()));
        }
        if text.len() == 10 {
            let day = chrono::NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?;
            return Some(Self::from_utc(day.and_hms_opt(0, 0, 0)?.and_utc()));
        }
        const ZONE_LESS_BYTES_MIN: usize = "2013-01-01T00:00:00".len();
        ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f"].iter().find_map(|format| {
            let at = chrono::NaiveDateTime::parse_from_str(text, format).ok()?;
            (text.len() >= ZONE_LESS_BYTES_MIN).then(|| Self::from_utc(at.and_utc()))
        })
    }
    /// The instant `span` later; saturates.
    pub const fn plus(self, span: TimeSpan) -> Self {
        Self(self.0.saturating_add(span.0))
    }
    /// The instant `span` earlier; saturates.
    pub const fn minus(self, span: TimeSpan) -> Self {
        Self(self.0.saturating_sub(span.0))
    }
}
impl fmt::Display for Timestamp {
    /// RFC 3339 in UTC, with as many fractional digits as it needs (none, 3 or 6).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.to_utc() {
            Some(at) => f.write_str(&at.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true)),
            None => write!(f, "{}us", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_shown_in_the_largest_unit_but_weeks() {
        for (text, shown) in
            [("90s", "90s"), ("60s", "1m"), ("24h", "1d"), ("36h", "36h"), ("2w", "14d")]
        {
            assert_eq!(text.parse::<TimeSpan>().map(|span| span.to_string()), Ok(shown.to_owned()));
        }
        for text in ["", "d", "0d", "-1d", "1.5d", "1 d", "1D", "1y", "99999999999999999w", "é"] {
            assert!(text.parse::<TimeSpan>().is_err(), "{text}");
        }
    }

    #[test]
    fn instants() {
        let midnight = Some(Timestamp(1_388_534_400_000_000));
        for text in [
            "2014-01-01",
            "2014-01-01T00:00:00",
            "2014-01-01 00:00:00.000",
            "2014-01-01T00:00:00Z",
            "2014-01-01T01:00:00+01:00",
            "2014-01-01T00:00:00.0000009Z",
        ] {
            assert_eq!(Timestamp::parse(text), midnight, "{text}");
        }
        for text in [
            "",
            "2014",
            "2014-1-1",
            "14-01-01",
            "2014-01-01T",
            "2014-01-01T00:00",
            "2014-02-30",
            "0000-01-01",
            "10000-01-01",
            "+2014-01-01",
            "-2014-01-01",
            "2014-01-01T25:00:00Z",
            "2014-1-01T1:2:3",
            "éééé-01-01",
        ] {
            assert_eq!(Timestamp::parse(text), None, "{text}");
        }
        assert_eq!(Timestamp(1).to_string(), "1970-01-01T00:00:00.000001Z");
        assert_eq!(Timestamp(i64::MAX).plus(TimeSpan::DAY), Timestamp(i64::MAX));
    }
}
