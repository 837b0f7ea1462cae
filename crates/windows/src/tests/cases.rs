//! What is worth saying by itself.

use std::collections::BTreeSet;

use trivium_model::{Timestamp, Value};

use super::naive::{event, filtered, newest, run, view};
use crate::{Counts, Error, Event, MemoryState, Plan, Progress, Row, Step, progress};

fn rows(view: &trivium_model::FeatureView, events: &[Event]) -> Vec<Row> {
    let plan = Plan::new(view).unwrap();
    let messages: Vec<Option<Event>> = events.iter().cloned().map(Some).collect();
    let each = (0..=messages.len()).collect();
    run(&plan, &messages, &each, 10_000).unwrap().0
}

/// End in seconds, sequence, events, sum of `n`.
fn shown(rows: &[Row]) -> Vec<(i64, u64, Value, Value)> {
    let of = |row: &Row| {
        (row.end.0 / 1_000_000, row.sequence, row.values[0].clone(), row.values[2].clone())
    };
    rows.iter().map(of).collect()
}

fn at(second: i64, n: i64) -> Event {
    event(1, second, Some(n), None, "", second)
}

#[test]
fn a_window_begins_with_its_first_instant_and_ends_before_its_last() {
    let found = rows(&view(10, 10, 0, false), &[at(0, 1), at(9, 2), at(10, 4), at(20, 8)]);
    let int = Value::Int64;
    assert_eq!(shown(&found), [(10, 3, int(2), int(3)), (20, 4, int(1), int(4))]);
}

#[test]
fn late_events_correct_rows_until_the_lateness_is_over() {
    let late = [at(5, 1), at(10, 2), at(14, 4), at(9, 8), at(15, 16), at(9, 32), at(20, 64)];
    let found = rows(&view(10, 10, 5, false), &late);
    let int = Value::Int64;
    assert_eq!(
        shown(&found),
        [(10, 2, int(1), int(1)), (10, 4, int(2), int(9)), (20, 7, int(3), int(22))]
    );
    let plan = Plan::new(&view(10, 10, 5, true)).unwrap();
    let twice = [late.as_slice(), &late[6..]].concat().into_iter().map(Some).collect::<Vec<_>>();
    let (_, _, outputs) = run(&plan, &twice, &BTreeSet::new(), 100).unwrap();
    let counts = Counts { counted: 6, late: 1, repeated: 1, filtered: 0 };
    assert_eq!(outputs[0].counts, counts);
}

#[test]
fn an_event_that_is_late_for_one_window_counts_in_the_next() {
    // [0, 10) is over when it comes; [5, 15) is not.
    let found = rows(&view(10, 5, 0, false), &[at(1, 1), at(11, 2), at(8, 4), at(16, 8)]);
    let int = Value::Int64;
    let newest: Vec<Row> = newest(&found).into_values().collect();
    assert_eq!(
        shown(&newest),
        [(5, 2, int(1), int(1)), (10, 2, int(1), int(1)), (15, 4, int(2), int(6))]
    );
}

#[test]
fn sums_beyond_their_type_are_null_and_none_is_lost_on_the_way() {
    let view = view(10, 10, 0, false);
    let max = i64::MAX;
    let found =
        rows(&view, &[at(0, max), at(1, max), at(2, -max), at(10, max), at(11, max), at(20, 0)]);
    assert_eq!(found[0].values[2], Value::Int64(max));
    assert_eq!(found[1].values[2], Value::Null);
    // The mean has room.
    assert_eq!(found[1].values[4], Value::Float64(max as f64));
}

#[test]
fn nothing_and_nan() {
    let view = view(10, 10, 0, false);
    let none = event(1, 1, None, None, "", 1);
    let f = |value| event(1, 12, None, Some(value), "", 1);
    let found = rows(&view, &[none, f(f64::NAN), f(1.0), f(f64::INFINITY), at(20, 0)]);
    let mut expected = vec![Value::Null; 11];
    expected[0] = Value::Int64(1);
    expected[1] = Value::Int64(0);
    expected[10] = Value::Int64(0);
    assert_eq!(found[0].values, expected);
    assert_eq!(found[1].values[6], Value::Float64(1.0));
    assert!(matches!(found[1].values[7], Value::Float64(most) if most.is_nan()));
    assert!(matches!(found[1].values[3], Value::Float64(sum) if sum.is_nan()));
}

#[test]
fn a_sum_of_floats_does_not_lose_the_small_ones() {
    let f = |value| event(1, 1, None, Some(value), "", 1);
    let found = rows(&view(10, 10, 0, false), &[f(1.0), f(1e100), f(1.0), f(-1e100), at(10, 0)]);
    assert_eq!(found[0].values[3], Value::Float64(2.0));
}

#[test]
fn what_the_filter_leaves_out_moves_time_on() {
    let view = filtered(view(10, 10, 0, true));
    let plan = Plan::new(&view).unwrap();
    let null = event(1, 33, None, None, "", 9);
    // One that is left out has not been met: the next one of its id counts.
    let twice = Event { values: at(31, 2).values, ..at(32, 2) };
    let messages =
        [at(31, -1), twice.clone(), twice, null, at(40, -1), at(30, 1)].map(Some).to_vec();
    let (rows, _, outputs) = run(&plan, &messages, &BTreeSet::new(), 100).unwrap();
    assert_eq!(shown(&rows), [(40, 5, Value::Int64(1), Value::Int64(2))]);
    assert_eq!(outputs[0].counts, Counts { counted: 1, late: 1, repeated: 1, filtered: 3 });
}

#[test]
fn a_filter_is_a_condition_and_another_one_has_another_state() {
    let one = view(10, 10, 0, false);
    let mut other = filtered(one.clone());
    let plans = [Plan::new(&one).unwrap(), Plan::new(&other).unwrap()];
    assert_ne!(plans[0].fingerprint, plans[1].fingerprint);
    other.window.as_mut().unwrap().filter = Some("n + 1".to_owned());
    let wrong = Plan::new(&other).unwrap_err();
    assert_eq!(
        wrong,
        "`window.filter`, at byte 0: a filter is true or false, and this is int64; write a condition, such as `delay > 15`"
    );
    other.window.as_mut().unwrap().filter = Some("n > 1 AND nn = 2".to_owned());
    let wrong = Plan::new(&other).unwrap_err();
    assert!(wrong.starts_with("`window.filter`, at byte 10: "), "{wrong}");
}

#[test]
fn a_message_that_ends_many_windows_is_taken_in_several_steps() {
    let plan = Plan::new(&view(10, 10, 0, false)).unwrap();
    let mut messages: Vec<Option<Event>> =
        (0..500).map(|id| Some(event(id, 1, Some(id), None, "", 0))).collect();
    messages.push(Some(at(10, 0)));
    let (rows, _, outputs) = run(&plan, &messages, &BTreeSet::new(), 40).unwrap();
    assert_eq!(rows.len(), 500);
    assert!(rows.iter().all(|row| row.sequence == 501));
    assert!(outputs.iter().all(|output| output.rows.len() <= 40));
    assert_eq!(outputs.iter().filter(|output| !output.is_settled).count(), 12);
}

#[test]
fn messages_that_were_taken_in_are_passed_over_and_other_windows_refused() {
    let (one, other) = (view(10, 10, 0, false), view(10, 10, 5, false));
    let plan = Plan::new(&one).unwrap();
    let mut state = MemoryState::default();
    assert_eq!(progress(&plan, &state), Ok(None));
    let mut step = Step::begin(&plan, &state).unwrap();
    step.take(7, Some(&at(1, 1))).unwrap();
    state.apply(step.finish().unwrap().changes);
    assert_eq!(progress(&plan, &state), Ok(Some(Progress { steps: 1, position: 8 })));
    let mut step = Step::begin(&plan, &state).unwrap();
    step.take(7, Some(&at(1, 1))).unwrap();
    assert_eq!(step.finish().unwrap().counts.counted, 0);
    let other = Plan::new(&other).unwrap();
    assert_eq!(progress(&other, &state), Err(Error::OtherDeclaration));
    assert!(matches!(Step::begin(&other, &state), Err(Error::OtherDeclaration)));
}

#[test]
fn an_event_from_the_future_is_told_by_its_message() {
    let one = at(4_000, 1);
    let now = Timestamp(400_000_000);
    assert!(one.is_ahead(Some(Timestamp(399_999_999)), now));
    assert!(!one.is_ahead(Some(now), now));
    assert!(!one.is_ahead(None, now));
    // The producer's clock is wrong, and so is its message's time.
    assert!(one.is_ahead(Some(now), Timestamp(399_999_999)));
    assert!(one.is_ahead(None, Timestamp(399_999_999)));
}

#[test]
fn an_entity_of_many_events_is_forgotten_in_steps() {
    let view = view(10, 10, 0, true);
    let plan = Plan::new(&view).unwrap();
    let mut state = MemoryState::default();
    let mut step = Step::begin(&plan, &state).unwrap();
    for id in 0..25_000 {
        step.take(id, Some(&event(1, 5, Some(1), None, "", id as i64))).unwrap();
    }
    state.apply(step.finish().unwrap().changes);
    let mut changes = Vec::new();
    for (offset, second) in (25_000..).zip([20, 21, 22, 23]) {
        let mut step = Step::begin(&plan, &state).unwrap();
        while !step.settle().unwrap() {}
        step.take(offset, Some(&at(second, 1))).unwrap();
        let output = step.finish().unwrap();
        changes.push(output.changes.len());
        state.apply(output.changes);
    }
    // Each of the first took a part of the 25,000 ids; the last had nothing left to take.
    assert!(changes[..3].iter().all(|count| (4_000..10_500).contains(count)), "{changes:?}");
    assert!(changes[3] < 10, "{changes:?}");
}
