use proptest::prelude::*;

use super::*;

/// From 1900 to 2200, some.
const EVENT_TIME_RANGE: Range<i64> = -2_208_988_800_000_000..7_258_118_400_000_000;

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
fn folders_tell_where_their_periods_begin() {
    let starts = |name: &str| {
        let starts = Period::starts_of_folder(name)?;
        Some(format!("{} to {}", starts.start, starts.end))
    };
    let day = "2013-01-01T00:00:00Z to 2013-01-02T00:00:00Z";
    assert_eq!(starts("ds=2013-01-01").unwrap(), day);
    let second = "2013-01-01T05:30:00Z to 2013-01-01T05:30:01Z";
    assert_eq!(starts("period=2013-01-01T0530").unwrap(), second);
    for name in ["ds=old", "ds=", "period=2013-01-01", "period=-7us", "run-1", "ds=2013-02-30"] {
        assert_eq!(starts(name), None, "{name}");
    }
}

proptest! {
    #[test]
    fn folders_hold_their_own_start(
        start in EVENT_TIME_RANGE,
        unit in prop::sample::select(vec![1, SECOND, 60 * SECOND, 3_600 * SECOND, DAY]),
        length in prop::sample::select(vec![SECOND, 900 * SECOND, 3_600 * SECOND, DAY, 7 * DAY]),
    ) {
        let start = Timestamp(start / unit * unit);
        let period = Period { start, end: Timestamp(start.0 + length) };
        let named = Period::starts_of_folder(&period.folder()).unwrap();
        prop_assert!(named.contains(&start), "{} of {start}", period.folder());
    }
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
