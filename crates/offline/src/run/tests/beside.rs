//! Runs of one view beside each other: the lock is held for each group alone.

use super::{steps::day, *};

impl Fixture {
    /// Another run of the same view, whose engine has these flights.
    fn beside(&self, flights: &[(i64, Vec<Flight>)]) -> Self {
        let other = Self {
            engine: Arc::new(Engine::default()),
            lake: self.lake.clone(),
            view: Arc::clone(&self.view),
            parallel: 1,
            _folder: tempfile::tempdir().unwrap(),
        };
        for (at, flights) in flights {
            other.day(*at, flights);
        }
        other
    }

    /// While this day's query is under way, another run does its steps for that one.
    fn meanwhile(&self, at: i64, other: Self, theirs: i64) {
        let meanwhile: Meanwhile = Box::new(move || {
            other.lake.lock(&other.view).expect("nobody has it for long");
            other.all(day(theirs));
        });
        *self.engine.meanwhile.lock().unwrap() = Some((at, meanwhile));
    }

    /// Rows of the published partitions, whichever their revisions.
    fn content(&self) -> Vec<String> {
        let rows = |one: String| one.splitn(3, ' ').nth(2).unwrap().to_owned();
        self.published().into_iter().map(rows).collect()
    }

    /// The same flights, run by nobody else.
    fn alone(&self, days: i64) -> Vec<String> {
        let alone = Self::new(Engine::default(), LAST_VALUE);
        for (at, flights) in self.engine.flights.lock().unwrap().iter() {
            alone.day(*at, flights);
        }
        alone.run(0, days).unwrap();
        alone.content()
    }
}

/// Days with a carrier of their own each: what looks back on a day shows it.
fn five_days() -> Fixture {
    let mut fixture = Fixture::new(Engine::default(), LAST_VALUE);
    // One query after the other, so that the first group is written when the third day's begins.
    fixture.parallel = 1;
    for (at, carrier) in ["AA", "B6", "DL", "EV", "UA"].into_iter().enumerate() {
        fixture.day(at as i64, &[(Some(carrier), 0, at as i64)]);
    }
    fixture
}

#[test]
fn what_came_to_stand_behind_a_run_is_published_again() {
    let fixture = five_days();
    fixture.run(0, 3).unwrap();
    fixture.day(2, &[(Some("DL"), 0, 22)]);
    // Published for the first time, from the old third day.
    let flights = fixture.engine.flights.lock().unwrap()[&3].clone();
    fixture.meanwhile(2, fixture.beside(&[(3, flights)]), 3);
    let report = fixture.run(0, 3).unwrap();
    assert_eq!((report.raw_changed, report.published_changed), (1, 2));
    assert_eq!(fixture.content(), fixture.alone(4));
}

#[test]
fn a_change_of_what_a_run_looked_back_on_is_an_error() {
    let fixture = five_days();
    fixture.run(0, 5).unwrap();
    fixture.day(3, &[(Some("EV"), 0, 33)]);
    let changed = vec![(Some("B6"), 0, 11)];
    fixture.meanwhile(3, fixture.beside(&[(1, changed.clone())]), 1);
    let error = fixture.run(2, 4).unwrap_err();
    assert_eq!(error.kind(), Kind::FailedPrecondition);
    expect_test::expect![[
        r#"tests/daily@1, period ds=1970-01-03: another run changed a period that it looks back on"#
    ]]
    .assert_eq(&error.to_string());
    assert_eq!(error.place().as_deref(), Some("tests/daily@1 ds=1970-01-03"));
    assert!(error.help().unwrap().contains("same command again"));
    fixture.day(1, &changed);
    fixture.run(2, 4).unwrap();
    assert_eq!(fixture.content(), fixture.alone(5), "the same command mends it");
}

#[test]
fn a_change_of_the_runs_own_period_is_an_error() {
    let fixture = five_days();
    fixture.run(0, 5).unwrap();
    // This run has nothing to publish, until another one changes what is published.
    fixture.meanwhile(1, fixture.beside(&[(0, vec![(Some("AA"), 0, 77)])]), 0);
    let error = fixture.run(0, 2).unwrap_err();
    assert_eq!(error.kind(), Kind::FailedPrecondition);
    fixture.run(0, 2).unwrap();
    assert_eq!(fixture.content(), fixture.alone(5));
}

#[test]
fn what_is_written_before_a_conflict_stays() {
    let fixture = five_days();
    fixture.run(0, 5).unwrap();
    for at in 2..4 {
        fixture.day(at, &[(Some("XX"), 0, at)]);
    }
    // The fifth day looks back on the fourth, which the group writes before it.
    let changed = vec![(Some("YY"), 0, 33)];
    fixture.meanwhile(4, fixture.beside(&[(3, changed)]), 3);
    fixture.run(2, 5).unwrap_err();
    let content = fixture.content();
    assert!(content[2].contains("XX:2"), "the first group is written: {content:?}");
    assert!(content[3].contains("YY:33"), "it is the other run's: {content:?}");
    fixture.run(2, 5).unwrap();
    assert_eq!(fixture.content(), fixture.alone(5));
}
