//! The period that a query runs for.

use chrono::TimeZone as _;
use chrono_tz::Tz;
use trivium_model::{FeatureView, TimeSpan, Timestamp};

/// A half-open span of time `[start, end)`, and the zone that its day is named in.
///
/// `{{ ds }}` is the day of `start` in that zone. Schedules are cut in UTC, and so is the day of
/// their periods: it is the `ds=` of the partition's folder and of Airflow. `{{ period_start }}` and
/// `{{ period_end }}` are written in UTC, because a zone-less literal is read in the session's
/// zone and every session of ours is UTC: written in another zone they would be other instants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Period {
    /// The first instant that belongs to it.
    pub start: Timestamp,
    /// The first instant after it.
    pub end: Timestamp,
    zone: Tz,
}

/// Why something is no period.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PeriodError {
    /// The zone has no such name.
    #[error("`{0}` is not a time zone: write an IANA name, as in `America/New_York`")]
    Zone(String),
    /// It would be empty or run backwards.
    #[error("the period from {start} ends at {end}: the end must be later")]
    Empty {
        /// The start that was given.
        start: Timestamp,
        /// The end that was given.
        end: Timestamp,
    },
    /// SQL's dates have four digits in the year.
    #[error("the period from {0} lies outside the years 0001 to 9999")]
    Range(Timestamp),
    /// Only batch views have periods.
    #[error("{0} has no schedule, so it has no periods")]
    Schedule(String),
}

impl Period {
    /// A period whose day is named in an IANA zone; UTC if absent.
    pub fn new(start: Timestamp, end: Timestamp, zone: Option<&str>) -> Result<Self, PeriodError> {
        let zone = match zone {
            None => Tz::UTC,
            Some(name) => name.parse().map_err(|_| PeriodError::Zone(name.to_owned()))?,
        };
        if start >= end {
            return Err(PeriodError::Empty { start, end });
        }
        // A day to spare at both ends, for zones.
        let day = TimeSpan::DAY;
        if !start.minus(day).in_calendar() || !end.plus(day).in_calendar() {
            return Err(PeriodError::Range(start));
        }
        Ok(Self { start, end, zone })
    }

    /// The period of a batch view's schedule that `instant` lies in (before the schedule's first
    /// one, the period that would lie there).
    pub fn containing(view: &FeatureView, instant: Timestamp) -> Result<Self, PeriodError> {
        let schedule = view
            .schedule
            .as_ref()
            .ok_or_else(|| PeriodError::Schedule(view.reference().to_string()))?;
        let every = schedule.every.micros().max(1);
        let since = instant.0.saturating_sub(schedule.start.0);
        let start = Timestamp(instant.0.saturating_sub(since.rem_euclid(every)));
        Self::new(start, start.plus(schedule.every), None)
    }

    /// The zone that its day is named in.
    pub fn zone(&self) -> Tz {
        self.zone
    }

    /// The day that it begins on, in its zone: `2013-01-01`.
    pub fn day(&self) -> String {
        match self.start.to_utc() {
            Some(at) => self.zone.from_utc_datetime(&at.naive_utc()).format("%Y-%m-%d").to_string(),
            // `new` has ruled it out.
            None => String::new(),
        }
    }
}
