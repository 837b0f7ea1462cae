mod crashes;
mod rows;
mod writers;

use std::{collections::BTreeMap, path::Path, sync::Arc};

use arrow::{
    array::{Array, AsArray, RecordBatch},
    datatypes::{Int64Type, TimestampMicrosecondType, UInt64Type},
};
use trivium_codec::{RowEncoder, Schema, ValueRef};
use trivium_model::{FeatureView, KeyValue, Lane, Timestamp, config::parse_view};

use crate::{Advance, Change, Error, HistoryRow, Outcome, Shape, State, StreamLog};

pub(super) const DAY: i64 = 86_400_000_000;

/// `n/a@1`: key `id` int64, event time `at`, feature `x` int64 and what else is asked for.
pub(super) fn view_with(features: &str) -> FeatureView {
    let config = format!(
        r#"{{ "namespace": "n", "name": "a", "version": 1, "lane": "stream", "description": "d",
        "owner": {{ "team": "t", "contact": "c" }}, "urgency_tier": 1,
        "entities": [{{ "name": "id", "type": "int64" }}], "event_timestamp": "at",
        "features": [{{ "name": "x", "type": "int64", "description": "d" }}{features}],
        "source": {{ "format": "json", "topic": "events", "time_unit": "us" }} }}"#
    );
    parse_view("configs/n/a.v1.json", &config).unwrap()
}

pub(super) fn shape() -> Shape {
    Shape::new(&view_with("")).unwrap()
}

pub(super) fn log(lake: &Path) -> StreamLog {
    StreamLog::volatile(lake, shape().view())
}

pub(super) fn row(id: i64, at: i64, sequence: u64, x: i64) -> HistoryRow {
    let schema = Schema::of_view(&view_with("")).unwrap();
    let row = RowEncoder::new(&schema).encode(Lane::Stream, &[Some(ValueRef::Int64(x))]).unwrap();
    HistoryRow {
        entity: vec![KeyValue::Int64(id)],
        event_time: Timestamp(at),
        sequence,
        row: Some(row),
    }
}

/// Writes rows and commits them with a source's progress.
pub(super) fn append(
    log: &StreamLog,
    state: &mut State,
    rows: &[HistoryRow],
    positions: &[(&str, Option<u64>, u64)],
) -> Result<Outcome, Error> {
    let shape = shape();
    let mut added = Vec::new();
    for (day, batch) in shape.batches(rows).unwrap() {
        added.push(log.write(&shape, day, &batch)?);
    }
    let positions: BTreeMap<String, Advance> = positions
        .iter()
        .map(|(source, from, to)| ((*source).to_owned(), Advance { from: *from, to: *to }))
        .collect();
    log.commit(state, Change { added, positions, ..Change::default() }, Timestamp(1))
}

/// `(id, event time, sequence, x)` of all rows that count, sorted.
pub(super) fn all_rows(log: &StreamLog, state: &State) -> Vec<(i64, i64, u64, i64)> {
    let mut found: Vec<_> = state
        .files
        .values()
        .flat_map(|file| {
            let batches = log.read(file, shape().columns()).unwrap();
            let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
            assert_eq!(rows as u64, file.rows);
            batches.iter().flat_map(rows_of).collect::<Vec<_>>()
        })
        .collect();
    found.sort_unstable();
    found
}

pub(super) fn rows_of(batch: &RecordBatch) -> Vec<(i64, i64, u64, i64)> {
    let ids = batch.column(0).as_primitive::<Int64Type>();
    let times = batch.column(1).as_primitive::<TimestampMicrosecondType>();
    let x = batch.column(2).as_primitive::<Int64Type>();
    let sequences = batch.column(batch.num_columns() - 1).as_primitive::<UInt64Type>();
    (0..batch.num_rows())
        .map(|row| {
            assert!(x.is_valid(row));
            (ids.value(row), times.value(row), sequences.value(row), x.value(row))
        })
        .collect()
}

/// The files of rows on disk.
pub(super) fn files_on_disk(log: &StreamLog) -> Vec<String> {
    let mut found = Vec::new();
    let Ok(days) = std::fs::read_dir(log.folder()) else { return found };
    for day in days {
        let day = day.unwrap();
        let name = day.file_name().into_string().unwrap();
        if name.starts_with("ds=") {
            for file in std::fs::read_dir(day.path()).unwrap() {
                found.push(format!("{name}/{}", file.unwrap().file_name().into_string().unwrap()));
            }
        }
    }
    found.sort();
    found
}

/// What ends a writer at its n-th step.
pub(super) fn killed_at(log: &StreamLog, step: usize) -> StreamLog {
    let left = std::sync::atomic::AtomicUsize::new(step);
    let hook = move |at| match left.fetch_update(
        std::sync::atomic::Ordering::SeqCst,
        std::sync::atomic::Ordering::SeqCst,
        |left| left.checked_sub(1),
    ) {
        Ok(_) => Ok(()),
        Err(_) => Err(Error::Killed(at)),
    };
    StreamLog { hook: Some(Arc::new(hook)), ..log.clone() }
}

/// Does something once, when a writer comes to this step.
pub(super) fn meanwhile(
    log: &StreamLog,
    step: &'static str,
    what: impl Fn() + Send + Sync + 'static,
) -> StreamLog {
    let done = std::sync::atomic::AtomicBool::new(false);
    let hook = move |at: &'static str| {
        if at == step && !done.swap(true, std::sync::atomic::Ordering::SeqCst) {
            what();
        }
        Ok(())
    };
    StreamLog { hook: Some(Arc::new(hook)), ..log.clone() }
}
