//! Rows as columns, and what compaction makes of them.

use std::sync::Arc;

use arrow::{
    array::{Array, AsArray, RecordBatch, StringArray},
    datatypes::{DataType as Arrow, Decimal128Type, Float32Type, Int64Type, UInt64Type},
};
use chrono::NaiveDate;
use trivium_codec::{EmbeddingRef, ListRef, RowEncoder, Schema, ValueRef};
use trivium_model::{KeyValue, Lane, Timestamp, Value};

use super::{DAY, all_rows, append, log, row, rows_of, shape, view_with};
use crate::{Change, CompactOptions, HistoryRow, Outcome, Shape, State};

#[test]
fn every_type_null_unset_and_deleted() {
    let view = view_with(
        r#", { "name": "text", "type": "string", "description": "d" },
        { "name": "price", "type": { "decimal": { "precision": 10, "scale": 2 } }, "description": "d" },
        { "name": "seen", "type": "timestamp", "description": "d" },
        { "name": "tags", "type": { "list": "string" }, "description": "d" },
        { "name": "near", "type": { "embedding": { "dimension": 2, "metric": "cosine" } }, "description": "d" }"#,
    );
    let shape = Shape::new(&view).unwrap();
    let schema = Schema::of_view(&view).unwrap();
    let mut encoder = RowEncoder::new(&schema);
    let tags = [Value::String("a".into()), Value::Null];
    let full = [
        Some(ValueRef::Int64(7)),
        Some(ValueRef::String("t")),
        Some(ValueRef::Decimal(1_234)),
        Some(ValueRef::Timestamp(Timestamp(5))),
        Some(ValueRef::List(ListRef::new(&tags))),
        Some(ValueRef::Embedding(EmbeddingRef::new(&[0.5, 2.0]))),
    ];
    let mut rows = Vec::new();
    for (sequence, values) in [full, [Some(ValueRef::Null); 6], [None; 6]].into_iter().enumerate() {
        let row = encoder.encode(Lane::Stream, &values).unwrap();
        rows.push(HistoryRow {
            entity: vec![KeyValue::Int64(1)],
            event_time: Timestamp(9),
            sequence: u64::MAX - sequence as u64,
            row: Some(row),
        });
    }
    rows.push(HistoryRow { row: None, ..rows[0].clone() });
    let batches = shape.batches(&rows).unwrap();
    assert_eq!(batches.len(), 1);
    let (day, batch) = batches.into_iter().next().unwrap();
    assert_eq!(day.to_string(), "1970-01-01");
    let types: Vec<String> = batch
        .schema()
        .fields()
        .iter()
        .map(|field| format!("{} {}", field.name(), field.data_type()))
        .collect();
    expect_types(&types);
    assert_eq!(batch.column(2).as_primitive::<Int64Type>().value(0), 7);
    assert_eq!(batch.column(3).as_string::<i32>().value(0), "t");
    assert_eq!(batch.column(4).as_primitive::<Decimal128Type>().value(0), 1_234);
    let tags = batch.column(6).as_list::<i32>().value(0);
    assert_eq!((tags.len(), tags.is_null(1)), (2, true));
    let near = batch.column(7).as_list::<i32>().value(0);
    assert_eq!(near.as_primitive::<Float32Type>().values(), &[0.5, 2.0]);
    for column in &batch.columns()[2..8] {
        assert_eq!((1..4).filter(|row| column.is_null(*row)).count(), 3);
    }
    let deleted: Vec<_> = batch.column(8).as_boolean().iter().flatten().collect();
    assert_eq!(deleted, [false, false, false, true]);
    assert_eq!(batch.column(9).as_primitive::<UInt64Type>().value(0), u64::MAX);

    // And through a file; the smallest sequence first.
    let folder = tempfile::tempdir().unwrap();
    let log = log(folder.path());
    let file = log.write(&shape, day, &batch).unwrap();
    assert_eq!(file.rows, 4);
    let read = log.read(&file, shape.columns()).unwrap();
    assert_eq!(read[0].schema(), *shape.columns());
    assert_eq!(read[0].column(9).as_primitive::<UInt64Type>().value(0), u64::MAX - 2);
    assert_eq!(read[0].column(7).as_list::<i32>().value(3).len(), 2);
}

fn expect_types(types: &[String]) {
    assert_eq!(types.len(), 10, "{types:?}");
    assert_eq!(types[0], "id Int64");
    assert_eq!(types[8..], ["_deleted Boolean", "_sequence UInt64"]);
}

#[test]
fn rows_go_to_the_day_of_their_event_time() {
    let rows = [row(1, -1, 0, 0), row(1, 0, 1, 0), row(1, DAY - 1, 2, 0), row(1, DAY, 3, 0)];
    let days: Vec<(String, usize)> = shape()
        .batches(&rows)
        .unwrap()
        .into_iter()
        .map(|(day, batch)| (day.to_string(), batch.num_rows()))
        .collect();
    let expected = [("1969-12-31", 1), ("1970-01-01", 2), ("1970-01-02", 1)];
    assert_eq!(days, expected.map(|(day, rows)| (day.to_owned(), rows)));
    assert!(shape().batches(&[row(1, i64::MAX, 0, 0)]).is_err());
}

#[test]
fn a_row_of_another_form_is_refused() {
    let other = Shape::new(&view_with(r#", { "name": "y", "type": "int64", "description": "d" }"#));
    let error = other.unwrap().batches(&[row(1, 0, 0, 0)]).unwrap_err();
    assert!(error.to_string().starts_with("n/a@1: "), "{error}");
}

#[test]
fn compaction_sorts_and_keeps_what_differs_in_anything() {
    let folder = tempfile::tempdir().unwrap();
    let log = log(folder.path());
    let mut state = State::default();
    // The last of each is the same row, as after a topic that was copied; the one before differs in its value.
    let files = [
        vec![row(2, 5, 1, 1), row(1, 9, 9, 1), row(1, 5, 3, 1), row(3, 1, 1, 1)],
        vec![row(2, 4, 2, 1), row(1, 9, 9, 2), row(1, 5, 2, 1), row(3, 1, 1, 1)],
        vec![row(9, DAY, 0, 0)],
    ];
    for (n, rows) in files.iter().enumerate() {
        let n = n as u64;
        let done = append(&log, &mut state, rows, &[("t/0", (n > 0).then_some(n), n + 1)]).unwrap();
        assert_eq!(done, Outcome::Done);
    }
    let options = CompactOptions { files_min: 2, ..CompactOptions::default() };
    assert_eq!(log.compact(&mut state, &shape(), &options, Timestamp(0)).unwrap(), 2);
    assert_eq!(log.compact(&mut state, &shape(), &options, Timestamp(0)).unwrap(), 0);
    let file = state.files.values().find(|file| file.day() == "ds=1970-01-01").unwrap();
    let batches = log.read(file, shape().columns()).unwrap();
    let expected = [
        (1, 5, 2, 1),
        (1, 5, 3, 1),
        (1, 9, 9, 1),
        (1, 9, 9, 2),
        (2, 4, 2, 1),
        (2, 5, 1, 1),
        (3, 1, 1, 1),
    ];
    assert_eq!(rows_of(&batches[0]), expected);
    assert_eq!((file.event_time_min_micros.0, file.event_time_max_micros.0), (1, 9));
    assert_eq!(all_rows(&log, &state).len(), 8);
}

#[test]
fn files_of_an_older_form_of_the_view_are_read_and_compacted() {
    let folder = tempfile::tempdir().unwrap();
    let log = log(folder.path());
    let mut state = State::default();
    for n in 0..2_u64 {
        let from = (n > 0).then_some(n);
        let rows = [row(1, n.cast_signed(), n, 4)];
        let done = append(&log, &mut state, &rows, &[("t/0", from, n + 1)]).unwrap();
        assert_eq!(done, Outcome::Done);
    }
    let wider = view_with(r#", { "name": "y", "type": "string", "description": "d" }"#);
    let wider = Shape::new(&wider).unwrap();
    assert_ne!(wider.columns_id(), shape().columns_id());
    let options = CompactOptions { files_min: 2, ..CompactOptions::default() };
    assert_eq!(log.compact(&mut state, &wider, &options, Timestamp(0)).unwrap(), 2);
    let file = state.files.values().next().unwrap();
    assert_eq!(file.columns, wider.columns_id());
    let batches = log.read(file, wider.columns()).unwrap();
    assert_eq!(batches[0].num_rows(), 2);
    assert_eq!(batches[0].column(3).data_type(), &Arrow::Utf8);
    assert_eq!(batches[0].column(3).null_count(), 2);
}

#[test]
fn files_of_a_newer_form_of_the_view_are_left_to_who_knows_it() {
    let folder = tempfile::tempdir().unwrap();
    let log = log(folder.path());
    let mut state = State::default();
    let wider = view_with(r#", { "name": "y", "type": "string", "description": "d" }"#);
    let wider = Shape::new(&wider).unwrap();
    // Of the newest day three files, each with a value that the view had no column for before; one of the former.
    for n in 0..6_u64 {
        let from = (n > 0).then_some(n);
        let rows = [row(1, n.cast_signed(), n, 4)];
        let done = append(&log, &mut state, &rows, &[("t/0", from, n + 1)]).unwrap();
        assert_eq!(done, Outcome::Done);
    }
    let options = CompactOptions { files_min: 2, ..CompactOptions::default() };
    let before: Vec<_> = state.files.values().take(3).cloned().collect();
    let added: Vec<_> = before
        .iter()
        .map(|file| {
            let rows = log.read(file, wider.columns()).unwrap().remove(0);
            let mut columns = rows.columns().to_vec();
            let place = wider.columns().index_of("y").unwrap();
            columns[place] = Arc::new(StringArray::from(vec!["said"; rows.num_rows()]));
            let rows = RecordBatch::try_new(Arc::clone(wider.columns()), columns).unwrap();
            log.write(&wider, NaiveDate::from_ymd_opt(1970, 1, 1).unwrap(), &rows).unwrap()
        })
        .collect();
    let removed = before.iter().map(|file| file.path.clone()).collect();
    let change = Change { added, removed, ..Change::default() };
    assert_eq!(log.commit(&mut state, change, Timestamp(0)).unwrap(), Outcome::Done);
    // Those of the form that is known here, and no others.
    assert_eq!(log.compact(&mut state, &shape(), &options, Timestamp(0)).unwrap(), 3);
    assert_eq!(log.compact(&mut state, &shape(), &options, Timestamp(0)).unwrap(), 0);
    let said = |state: &State| -> usize {
        let rows = state.files.values().flat_map(|file| log.read(file, wider.columns()).unwrap());
        rows.map(|rows| rows.num_rows() - rows.column_by_name("y").unwrap().null_count()).sum()
    };
    assert_eq!((said(&state), state.files.len()), (3, 4));
    assert_eq!(log.compact(&mut state, &wider, &options, Timestamp(0)).unwrap(), 4);
    assert_eq!((said(&state), state.files.len()), (3, 1));
}

#[test]
fn no_more_is_put_together_than_memory_has_room_for() {
    let folder = tempfile::tempdir().unwrap();
    let log = log(folder.path());
    let mut state = State::default();
    for n in 0..7_u64 {
        let from = (n > 0).then_some(n);
        let rows = [row(1, n.cast_signed(), n, 4)];
        let done = append(&log, &mut state, &rows, &[("t/0", from, n + 1)]).unwrap();
        assert_eq!(done, Outcome::Done);
    }
    let options = CompactOptions { files_min: 2, memory_bytes: 1, ..CompactOptions::default() };
    let mut compacted = Vec::new();
    while let count @ 1.. = log.compact(&mut state, &shape(), &options, Timestamp(0)).unwrap() {
        compacted.push(count);
    }
    assert_eq!(compacted, [2; 6], "two at a time, whatever they take");
    assert_eq!(all_rows(&log, &state).len(), 7);
}
