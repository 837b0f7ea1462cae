//! Periods of a schedule and the names of their folders.

use std::ops::Range;

use chrono::{NaiveDate, NaiveDateTime, NaiveTime};
use trivium_model::{FeatureView, Schedule, TimeSpan, Timestamp};

use crate::Error;

const SECOND: i64 = 1_000_000;
const DAY: i64 = TimeSpan::DAY.micros();

/// One period of a schedule: `[start, end)`.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
pub struct Period {
    /// First instant.
    pub start: Timestamp,
    /// First instant after it; the event time of what is aggregated over the period.
    pub end: Timestamp,
}

impl Period {
    /// The folder's name: `ds=2013-01-01` where periods are whole days, `period=2013-01-01T05`
    /// (minutes and seconds only where they are not zero) below. In UTC, so that no change of a
    /// zone's offset gives two periods one name; names sort as periods do.
    pub fn folder(&self) -> String {
        let Some(start) = self.start.to_utc() else {
            // Outside of what calendars name; still one name for one period.
            return format!("period={}us", self.start.0);
        };
        let length = self.end.0 - self.start.0;
        if length % TimeSpan::DAY.micros() == 0 {
            return format!("ds={}", start.format("%Y-%m-%d"));
        }
        let second_of_day = self.start.0.rem_euclid(TimeSpan::DAY.micros()) / 1_000_000;
        let format = match (second_of_day % 3600, second_of_day % 60) {
            (0, _) => "%Y-%m-%dT%H",
            (_, 0) => "%Y-%m-%dT%H%M",
            _ => "%Y-%m-%dT%H%M%S",
        };
        format!("period={}", start.format(format))
    }

    /// The period of a schedule that an instant lies in; the one that would lie there, before the first.
    pub fn containing(schedule: &Schedule, at: Timestamp) -> Self {
        let into = at.0.saturating_sub(schedule.start.0).rem_euclid(schedule.every.micros().max(1));
        let start = Timestamp(at.0.saturating_sub(into));
        Self { start, end: start.plus(schedule.every) }
    }

    /// Where the periods begin whose folder has this name: somewhere in the day or second that it
    /// names. `None` where the name is not one that [`Self::folder`] gives to days that calendars name.
    pub fn starts_of_folder(name: &str) -> Option<Range<Timestamp>> {
        let (at, length) = match name.split_once('=')? {
            ("ds", day) => {
                (NaiveDate::parse_from_str(day, "%Y-%m-%d").ok()?.and_time(NaiveTime::MIN), DAY)
            }
            ("period", second) => {
                let (day, time) = second.split_once('T')?;
                // The formats leave out minutes and seconds that are zero.
                let time = match time.len() {
                    2 => format!("{time}0000"),
                    4 => format!("{time}00"),
                    _ => time.to_owned(),
                };
                let text = format!("{day}T{time}");
                (NaiveDateTime::parse_from_str(&text, "%Y-%m-%dT%H%M%S").ok()?, SECOND)
            }
            _ => return None,
        };
        let start = Timestamp(at.and_utc().timestamp_micros());
        let end = Timestamp(start.0.checked_add(length)?);
        Some(start..end)
    }

    /// The period that begins `count` periods later (earlier if negative); saturates.
    pub fn shifted(&self, count: i64) -> Self {
        let by = (self.end.0 - self.start.0).saturating_mul(count);
        Self {
            start: Timestamp(self.start.0.saturating_add(by)),
            end: Timestamp(self.end.0.saturating_add(by)),
        }
    }
}

/// The periods of a schedule that a reader's period waits for: those that end within it, and where none does,
/// because they are longer, the last one before. None before the schedule's start.
pub fn periods_read(schedule: &Schedule, reader: Period) -> Vec<Period> {
    let every = schedule.every.micros();
    let start = schedule.start.0;
    // The number of whole periods until then.
    let ended = |at: Timestamp| at.0.saturating_sub(start).div_euclid(every).max(0);
    let last = ended(reader.end);
    let first = ended(reader.start).min(last - 1).max(0);
    (first..last)
        .map(|index| {
            let start = Timestamp(start.saturating_add(index.saturating_mul(every)));
            Period { start, end: start.plus(schedule.every) }
        })
        .collect()
}

/// The most periods of one run: an hourly view over eleven years. More is a mistyped date.
pub const PERIODS_MAX: usize = 100_000;

/// The schedule's periods that lie in `[from, to)`, oldest first; periods that are only partly in
/// it are an error, because half a period cannot be run.
pub fn periods(schedule: &Schedule, from: Timestamp, to: Timestamp) -> Result<Vec<Period>, Error> {
    let every = schedule.every.micros();
    if from < schedule.start {
        return Err(Error::invalid(
            "from",
            format!("{from} is before the schedule's start, {}", schedule.start),
            format!("begin at {} or later", schedule.start),
        ));
    }
    if to <= from {
        return Err(Error::invalid(
            "to",
            format!("the range from {from} to {to} is empty"),
            "name a later end; it is exclusive here",
        ));
    }
    for (field, edge) in [("from", from), ("to", to)] {
        let into = (edge.0 - schedule.start.0) % every;
        if into != 0 {
            let before = Timestamp(edge.0 - into);
            return Err(Error::invalid(
                field,
                format!("{edge} is inside a period of {}", schedule.every),
                format!("use an edge of a period: {before} or {}", before.plus(schedule.every)),
            ));
        }
    }
    let count = usize::try_from((to.0 - from.0) / every).unwrap_or(usize::MAX);
    if count > PERIODS_MAX {
        return Err(Error::invalid(
            "to",
            format!("{count} periods in one run are more than {PERIODS_MAX}"),
            "run it in pieces",
        ));
    }
    Ok((0..count)
        .map(|ordinal| {
            let start = Timestamp(from.0 + every * ordinal as i64);
            Period { start, end: start.plus(schedule.every) }
        })
        .collect())
}

/// The schedule of a batch view.
pub fn schedule(view: &FeatureView) -> Result<&Schedule, Error> {
    view.schedule.as_ref().filter(|schedule| schedule.every.micros() > 0).ok_or_else(|| {
        Error::invalid(
            "view",
            format!("{} has no schedule: it is not a batch view", view.reference()),
            "only batch views have periods to run and to load",
        )
    })
}

#[cfg(test)]
mod tests;
