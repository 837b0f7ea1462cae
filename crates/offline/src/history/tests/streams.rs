//! Training sets of stream views: files of their log, deletes, forms of the view.

use trivium_codec::{RowEncoder, Schema as RowSchema, ValueRef};
use trivium_lake_log::{Advance, Change, HistoryRow, Outcome, Shape, StreamLog};
use trivium_model::{DataType, KeyValue};

use super::*;
use crate::testing::feature;

fn stream_view() -> FeatureView {
    FeatureView {
        lane: Lane::Stream,
        schedule: None,
        ttl: Some(TimeSpan::from_days(2)),
        // Not a column of messages.
        created_timestamp: Some(crate::testing::name("known_at")),
        ..view()
    }
}

/// Carrier, event time in days, sequence, `flights`; without it a delete.
type Row = (&'static str, f64, u64, Option<i64>);

/// Each of these is a file, or more than one where it has rows of several days.
fn history(view: &FeatureView, written_as: &FeatureView, files: &[&[Row]]) -> Fixture {
    let folder = tempfile::tempdir().unwrap();
    let lake = Lake::volatile(folder.path());
    let shape = Shape::new(written_as).unwrap();
    let log = StreamLog::new(folder.path(), shape.view());
    let schema = RowSchema::of_view(written_as).unwrap();
    let mut state = log.load().unwrap();
    for rows in files {
        let mut encoder = RowEncoder::new(&schema);
        let rows: Vec<HistoryRow> = rows
            .iter()
            .map(|(carrier, day, sequence, flights)| {
                let mut values = vec![None; schema.len()];
                values[schema.index_of("flights").unwrap()] = flights.map(ValueRef::Int64);
                HistoryRow {
                    entity: vec![KeyValue::String((*carrier).to_owned())],
                    event_time: Timestamp((day * DAY as f64) as i64),
                    sequence: *sequence,
                    row: flights.map(|_| encoder.encode(Lane::Stream, &values).unwrap()),
                }
            })
            .collect();
        let added = shape
            .batches(&rows)
            .unwrap()
            .into_iter()
            .map(|(day, batch)| log.write(&shape, day, &batch).unwrap())
            .collect();
        let from = state.positions.get("t/0").copied();
        let advance = Advance { from, to: from.unwrap_or(0) + 1 };
        let positions = BTreeMap::from([("t/0".to_owned(), advance)]);
        let change = Change { added, positions, ..Change::default() };
        assert_eq!(log.commit(&mut state, change, Timestamp(0)).unwrap(), Outcome::Done);
    }
    let stored = StoredView {
        view: view.clone(),
        config_text: String::new(),
        sql_text: None,
        revision: Revision(1),
        author: String::new(),
        at: Timestamp(0),
        reason: String::new(),
    };
    let snapshot = Snapshot {
        views: BTreeMap::from([(view.reference(), Arc::new(stored))]),
        ..Snapshot::default()
    };
    let engine = Arc::new(Engine::default());
    let history = History::new(Arc::clone(&engine) as _, lake, Arc::new(snapshot));
    Fixture { engine, history, _folder: folder }
}

fn flights(fixture: &Fixture, at: &[f64], of: &[&str]) -> Vec<Option<i64>> {
    let frame = frame(vec![("at", times(at)), ("carrier", carriers(of))]);
    let set = ask(fixture, &["tests/daily@1:flights"], frame, false).unwrap();
    set.column(2).as_primitive::<Int64Type>().iter().collect()
}

#[test]
fn the_newest_row_of_all_files_is_seen_and_nothing_after_a_delete() {
    let view = stream_view();
    let fixture = history(
        &view,
        &view,
        &[
            &[("AA", 5.0, 7, Some(1)), ("UA", 5.0, 8, Some(2)), ("AA", 5.5, 9, None)],
            // Came late, and comes before what is there.
            &[("UA", 4.5, 10, Some(3)), ("AA", 5.25, 11, Some(4)), ("AA", 5.5, 8, Some(5))],
            &[("AA", 6.0, 12, Some(6)), ("UA", 5.0, u64::MAX, Some(7))],
        ],
    );
    let at = [4.9, 5.0, 5.3, 5.5, 5.9, 6.0, 8.0, 8.1];
    let of_aa = [None, Some(1), Some(4), None, None, Some(6), Some(6), None];
    assert_eq!(flights(&fixture, &at, &["AA"; 8]), of_aa);
    let of_ua = [Some(3), Some(7), Some(7), Some(7), Some(7), Some(7), None, None];
    assert_eq!(flights(&fixture, &at, &["UA"; 8]), of_ua);
}

#[test]
fn only_files_that_can_match_are_read() {
    let view = stream_view();
    let days: Vec<Vec<Row>> =
        (0..10).map(|day| vec![("AA", f64::from(day), 1, Some(i64::from(day)))]).collect();
    let files: Vec<&[Row]> = days.iter().map(Vec::as_slice).collect();
    let fixture = history(&view, &view, &files);
    assert_eq!(flights(&fixture, &[6.5, 7.0], &["AA", "AA"]), [Some(6), Some(7)]);
    // 5, 6 and 7.
    assert_eq!(*fixture.engine.files.lock().unwrap(), [3]);
    assert_eq!(flights(&fixture, &[], &[]), [] as [Option<i64>; 0]);
    let unlimited = FeatureView { ttl: None, ..view.clone() };
    let fixture = history(&unlimited, &view, &files);
    assert_eq!(flights(&fixture, &[3.0], &["AA"]), [Some(3)]);
    assert_eq!(*fixture.engine.files.lock().unwrap(), [4]);
}

#[test]
fn files_of_an_older_form_of_the_view_have_nulls_for_what_is_new() {
    let older = stream_view();
    let mut newer = older.clone();
    newer.features.push(feature("late", DataType::Bool));
    let rows: [Row; 2] = [("AA", 5.0, 1, Some(1)), ("AA", 5.5, 2, None)];
    let fixture = history(&newer, &older, &[&rows]);
    let frame = frame(vec![("at", times(&[5.1, 5.6])), ("carrier", carriers(&["AA", "AA"]))]);
    let asked = ["tests/daily@1:late", "tests/daily@1:flights"];
    let set = ask(&fixture, &asked, frame, false).unwrap();
    assert_eq!(set.column(2).null_count(), 2);
    let flights: Vec<_> = set.column(3).as_primitive::<Int64Type>().iter().collect();
    assert_eq!(flights, [Some(1), None]);
}

#[test]
fn a_stream_without_history_yet_has_nulls_and_a_view_of_calls_has_none_at_all() {
    let view = stream_view();
    let fixture = history(&view, &view, &[]);
    assert_eq!(flights(&fixture, &[5.0], &["AA"]), [None]);
    let direct = FeatureView { lane: Lane::Direct, ..view.clone() };
    let fixture = history(&direct, &view, &[]);
    let frame = frame(vec![("at", times(&[5.0])), ("carrier", carriers(&["AA"]))]);
    let error = ask(&fixture, &["tests/daily@1:flights"], frame, false).unwrap_err();
    assert!(error.to_string().starts_with("tests/daily@1 has no history: "), "{error}");
}
