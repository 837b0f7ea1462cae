//! Periods of a schedule and the names of their folders.

use trivium_model::{FeatureView, Schedule, TimeSpan, Timestamp};

use crate::Error;

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
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp::parse(text).unwrap()
    }

    #[test]
    fn folders_name_periods_and_sort_as_they_do() {
        let folder = |start: &str, every: &str| {
            let start = at(start);
            Period { start, end: start.plus(every.parse().unwrap()) }.folder()
        };
        assert_eq!(folder("2013-01-01", "1d"), "ds=2013-01-01");
        assert_eq!(folder("2013-01-01T05:00:00", "7d"), "ds=2013-01-01");
        assert_eq!(folder("2013-01-01T05:00:00", "1h"), "period=2013-01-01T05");
        assert_eq!(folder("2013-01-01T05:30:00", "15m"), "period=2013-01-01T0530");
        assert_eq!(folder("2013-01-01T05:30:07", "1s"), "period=2013-01-01T053007");
        assert!(folder("2013-01-01T05:00:00", "15m") < folder("2013-01-01T05:15:00", "15m"));
    }

    #[test]
    fn ranges_are_whole_periods() {
        let schedule = Schedule { every: TimeSpan::DAY, start: at("2013-01-01") };
        assert_eq!(periods(&schedule, at("2013-01-03"), at("2013-01-06")).unwrap().len(), 3);
        for (from, to) in [
            ("2012-12-31", "2013-01-06"),
            ("2013-01-03T01:00:00", "2013-01-06"),
            ("2013-01-03", "2013-01-06T01:00:00"),
            ("2013-01-03", "2013-01-03"),
            ("2013-01-03", "9999-01-03"),
        ] {
            assert!(periods(&schedule, at(from), at(to)).is_err(), "{from} {to}");
        }
    }

    #[test]
    fn a_period_waits_for_what_ends_within_it() {
        let start = at("2013-01-01");
        let day = Period { start: at("2013-01-10"), end: at("2013-01-11") };
        let read = |every: &str, reader: Period| -> Vec<String> {
            let schedule = Schedule { every: every.parse().unwrap(), start };
            periods_read(&schedule, reader).iter().map(Period::folder).collect()
        };
        assert_eq!(read("1d", day), ["ds=2013-01-10"]);
        let hours = read("1h", day);
        assert_eq!((hours.len(), hours[0].as_str()), (24, "period=2013-01-10T00"));
        // Days of a week: the last whole week before.
        assert_eq!(read("7d", day), ["ds=2013-01-01"]);
        let edge = Period { start: at("2013-01-14"), end: at("2013-01-15") };
        assert_eq!(read("7d", edge), ["ds=2013-01-08"]);
        // Nothing is over yet, or nothing has begun.
        let first = Period { start, end: at("2013-01-02") };
        assert!(read("7d", first).is_empty());
        let before = Period { start: at("2012-12-30"), end: at("2012-12-31") };
        assert!(read("1d", before).is_empty());
        assert_eq!(read("1d", Period { start: at("2012-12-30"), end: at("2013-01-03") }).len(), 2);
    }
}
