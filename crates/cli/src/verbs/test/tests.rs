//! Comparisons of rows that lie in memory.

use std::sync::Arc;

use arrow::{
    array::{
        ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
    },
    datatypes::{Field, Schema},
};
use trivium_model::{DataType, FeatureView, config::parse_view};
use trivium_offline::columns::Column;

use super::{
    compare::{Comparison, compare},
    shown_rows,
};
use crate::{args_author::TestArgs, frame::Frame};

fn view() -> FeatureView {
    let text = include_str!("../../../init/customer_daily.v1.json");
    parse_view("shop/customer_daily.v1.json", text).unwrap()
}

fn frame(columns: &[(&str, DataType, ArrayRef)]) -> Frame {
    let fields: Vec<Field> = columns
        .iter()
        .map(|(name, _, array)| Field::new(*name, array.data_type().clone(), true))
        .collect();
    let arrays = columns.iter().map(|(_, _, array)| Arc::clone(array)).collect();
    let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).unwrap();
    let columns: Vec<Column> = columns
        .iter()
        .map(|(name, data_type, _)| Column {
            name: (*name).to_owned(),
            data_type: data_type.clone(),
            nullable: true,
        })
        .collect();
    Frame::new(&batch, &columns).unwrap()
}

fn ints(values: &[Option<i64>]) -> ArrayRef {
    Arc::new(Int64Array::from(values.to_vec()))
}

fn rows(keys: &[i64], times: &[i64], orders: &[Option<i64>]) -> Frame {
    let keys: Vec<Option<i64>> = keys.iter().copied().map(Some).collect();
    let times = TimestampMicrosecondArray::from(times.to_vec()).with_timezone("UTC");
    frame(&[
        ("customer_id", DataType::Int64, ints(&keys)),
        ("event_ts", DataType::Timestamp, Arc::new(times)),
        ("orders", DataType::Int64, ints(orders)),
    ])
}

fn compared(old: &Frame, new: &Frame) -> Comparison {
    compare(&view(), old, new).unwrap().unwrap()
}

#[test]
fn rows_are_matched_by_key() {
    let old = rows(&[1, 2, 3], &[10, 10, 10], &[Some(5), None, Some(7)]);
    let new = rows(&[2, 3, 4], &[10, 10, 10], &[Some(0), Some(7), Some(1)]);
    let found = compared(&old, &new);
    assert_eq!((found.added, found.removed, found.changed, found.unchanged), (1, 1, 1, 1));
    assert_eq!(found.changed_by_column.get("orders"), Some(&1));
    let changed = found.first.iter().find(|row| row.kind == "changed").unwrap();
    assert_eq!(changed.key.get("customer_id"), Some(&2.into()));
    let change = &changed.columns["orders"];
    assert_eq!((change.old.to_string(), change.new.to_string()), ("null".into(), "0".into()));
    // The event time is a value like others, where a key has one row.
    let later = rows(&[2, 3, 4], &[10, 11, 10], &[Some(0), Some(7), Some(1)]);
    assert_eq!(compared(&new, &later).changed_by_column.get("event_ts"), Some(&1));
}

#[test]
fn several_rows_of_a_key_are_told_apart_by_time() {
    let old = rows(&[1, 1, 2], &[10, 20, 10], &[Some(1), Some(2), Some(3)]);
    let new = rows(&[1, 1, 2], &[20, 30, 10], &[Some(2), Some(9), Some(3)]);
    let found = compared(&old, &new);
    assert_eq!((found.added, found.removed, found.changed, found.unchanged), (1, 1, 0, 2));
    // Even times do not tell these apart: each is counted once.
    let twins = rows(&[1, 1], &[10, 10], &[Some(1), Some(2)]);
    let one = rows(&[1], &[10], &[Some(1)]);
    let found = compared(&twins, &one);
    assert_eq!((found.removed, found.unchanged), (1, 1));
}

#[test]
fn columns_of_one_side_and_other_types() {
    let old = rows(&[1], &[10], &[Some(5)]);
    let keys = ints(&[Some(1)]);
    let new = frame(&[
        ("customer_id", DataType::Int64, keys),
        ("orders", DataType::Float64, Arc::new(Float64Array::from(vec![5.0]))),
        ("spent", DataType::Float64, Arc::new(Float64Array::from(vec![1.0]))),
    ]);
    let found = compared(&old, &new);
    assert_eq!(found.columns_added, ["spent"]);
    assert_eq!(found.columns_removed, ["event_ts"]);
    let text = frame(&[("customer_id", DataType::String, Arc::new(StringArray::from(vec!["1"])))]);
    assert!(compare(&view(), &old, &text).unwrap().unwrap_err().contains("customer_id"));
}

#[test]
fn samples_are_even_and_bounded() {
    let args = |rows, sample| TestArgs { view: String::new(), date: None, rows, sample };
    assert_eq!(shown_rows(3, &args(10, None)), [0, 1, 2]);
    assert_eq!(shown_rows(30, &args(2, None)), [0, 1]);
    assert_eq!(shown_rows(10, &args(0, Some(0.25))), [3, 7]);
    assert_eq!(shown_rows(3, &args(0, Some(0.01))), [0]);
    assert_eq!(shown_rows(0, &args(0, Some(0.5))).len(), 0);
    assert_eq!(shown_rows(100_000, &args(0, Some(1.0))).len(), 1_000);
}
