//! Point-in-time joins against a loop that reads every row of every view for every row of the frame.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::sync::Arc;

use arrow::{
    array::*,
    datatypes::{DataType, Field, Int64Type, Schema, TimeUnit},
    record_batch::RecordBatch,
};
use futures::TryStreamExt;
use proptest::prelude::*;
use trivium_engine::{Error, HistoryEngine, HistoryRequest, HistoryView, Source};
use trivium_engine_datafusion::{DataFusionEngine, Options};
use trivium_model::TimeSpan;

#[derive(Debug, Clone)]
struct FrameRow {
    a: Option<i64>,
    b: Option<&'static str>,
    at: Option<i64>,
}

#[derive(Debug, Clone)]
struct ViewRow {
    a: Option<i64>,
    b: Option<&'static str>,
    at: Option<i64>,
    created: Option<i64>,
    sequence: i64,
    value: Option<i64>,
}

fn times(values: Vec<Option<i64>>) -> ArrayRef {
    Arc::new(TimestampMicrosecondArray::from(values).with_timezone("UTC"))
}

fn source(fields: Vec<(&str, ArrayRef)>, batch_rows: usize) -> Source {
    let schema = Arc::new(Schema::new(
        fields
            .iter()
            .map(|(name, column)| Field::new(*name, column.data_type().clone(), true))
            .collect::<Vec<_>>(),
    ));
    let batch = RecordBatch::try_new(
        Arc::clone(&schema),
        fields.into_iter().map(|(_, column)| column).collect(),
    )
    .unwrap();
    let batches = (0..batch.num_rows())
        .step_by(batch_rows)
        .map(|start| batch.slice(start, batch_rows.min(batch.num_rows() - start)))
        .collect();
    Source::Batches { schema, batches }
}

fn frame_source(rows: &[FrameRow]) -> Source {
    source(
        vec![
            ("A", Arc::new(rows.iter().map(|row| row.a).collect::<Int64Array>()) as ArrayRef),
            ("b", Arc::new(rows.iter().map(|row| row.b).collect::<StringArray>())),
            ("at", times(rows.iter().map(|row| row.at).collect())),
            // Named as a column of the views, and none of their business.
            (
                "value",
                Arc::new((0..i64::try_from(rows.len()).unwrap()).map(Some).collect::<Int64Array>()),
            ),
        ],
        3,
    )
}

fn view_source(rows: &[ViewRow]) -> Source {
    source(
        vec![
            ("a", Arc::new(rows.iter().map(|row| row.a).collect::<Int64Array>()) as ArrayRef),
            ("b", Arc::new(rows.iter().map(|row| row.b).collect::<StringArray>())),
            ("at", times(rows.iter().map(|row| row.at).collect())),
            ("created", times(rows.iter().map(|row| row.created).collect())),
            (
                "sequence",
                Arc::new(rows.iter().map(|row| Some(row.sequence)).collect::<Int64Array>()),
            ),
            ("value", Arc::new(rows.iter().map(|row| row.value).collect::<Int64Array>())),
        ],
        4,
    )
}

fn view(rows: &[ViewRow], keys: &[&str], ttl: Option<i64>, name: &str) -> HistoryView {
    HistoryView {
        rows: view_source(rows),
        keys: keys.iter().map(|key| (*key).to_owned()).collect(),
        event_timestamp: "at".to_owned(),
        created_timestamp: Some("created".to_owned()),
        sequence: Some("sequence".to_owned()),
        deleted: None,
        ttl: ttl.map(TimeSpan::from_micros),
        features: vec![
            ("value".to_owned(), format!("{name}_value")),
            ("sequence".to_owned(), format!("{name}_sequence")),
        ],
    }
}

/// What the words say, read literally.
fn expected(
    frame: &[FrameRow],
    rows: &[ViewRow],
    with_b: bool,
    ttl: Option<i64>,
) -> Vec<(Option<i64>, Option<i64>)> {
    frame
        .iter()
        .map(|asked| {
            let Some(at) = asked.at else { return (None, None) };
            let mut newest: Option<&ViewRow> = None;
            for row in rows {
                let Some(row_at) = row.at else { continue };
                let same = row.a.is_some()
                    && row.a == asked.a
                    && (!with_b || (row.b.is_some() && row.b == asked.b));
                let in_time = row_at <= at && ttl.is_none_or(|ttl| at - ttl <= row_at);
                if !same || !in_time {
                    continue;
                }
                let order = |row: &ViewRow| (row.at, row.created, row.sequence);
                if newest.is_none_or(|newest| order(row) >= order(newest)) {
                    newest = Some(row);
                }
            }
            newest.map_or((None, None), |row| (row.value, Some(row.sequence)))
        })
        .collect()
}

async fn join(request: HistoryRequest) -> Result<RecordBatch, Error> {
    let engine = DataFusionEngine::new(&Options::default())?;
    let batches: Vec<RecordBatch> = engine.point_in_time(request).await?.try_collect().await?;
    Ok(arrow::compute::concat_batches(&batches[0].schema(), &batches).unwrap())
}

fn long(batch: &RecordBatch, name: &str) -> Vec<Option<i64>> {
    batch
        .column_by_name(name)
        .unwrap_or_else(|| panic!("no column {name}"))
        .as_primitive::<Int64Type>()
        .iter()
        .collect()
}

fn key_a() -> impl Strategy<Value = Option<i64>> {
    prop_oneof![1 => Just(None), 9 => (0..3_i64).prop_map(Some)]
}
fn key_b() -> impl Strategy<Value = Option<&'static str>> {
    prop_oneof![1 => Just(None), 4 => Just(Some("")), 5 => Just(Some("x"))]
}
fn at() -> impl Strategy<Value = Option<i64>> {
    prop_oneof![1 => Just(None), 12 => (-8..8_i64).prop_map(Some)]
}
fn frame_row() -> impl Strategy<Value = FrameRow> {
    (key_a(), key_b(), at()).prop_map(|(a, b, at)| FrameRow { a, b, at })
}
fn view_row() -> impl Strategy<Value = ViewRow> {
    (
        key_a(),
        key_b(),
        at(),
        prop_oneof![Just(None), (0..3_i64).prop_map(Some)],
        0..4_i64,
        prop_oneof![Just(None), (0..100_i64).prop_map(Some)],
    )
        .prop_map(|(a, b, at, created, sequence, value)| ViewRow {
            a,
            b,
            at,
            created,
            sequence,
            value,
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn agrees_with_a_loop(
        frame in prop::collection::vec(frame_row(), 0..12),
        first in prop::collection::vec(view_row(), 0..30),
        second in prop::collection::vec(view_row(), 0..30),
        ttl in prop_oneof![Just(None), (0..6_i64).prop_map(Some)],
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let request = HistoryRequest {
            frame: frame_source(&frame),
            event_timestamp: "at".to_owned(),
            views: vec![view(&first, &["a", "b"], ttl, "first"), view(&second, &["a"], None, "second")],
        };
        let result = runtime.block_on(join(request)).unwrap();
        prop_assert_eq!(result.num_rows(), frame.len());
        prop_assert_eq!(long(&result, "value"), (0..frame.len() as i64).map(Some).collect::<Vec<_>>());
        prop_assert_eq!(long(&result, "A"), frame.iter().map(|row| row.a).collect::<Vec<_>>());
        for (name, rows, with_b, ttl) in [("first", &first, true, ttl), ("second", &second, false, None)] {
            let wanted = expected(&frame, rows, with_b, ttl);
            prop_assert_eq!(long(&result, &format!("{name}_value")), wanted.iter().map(|(value, _)| *value).collect::<Vec<_>>());
            prop_assert_eq!(long(&result, &format!("{name}_sequence")), wanted.iter().map(|(_, sequence)| *sequence).collect::<Vec<_>>());
        }
    }
}

fn one(at: i64, value: Option<i64>) -> ViewRow {
    ViewRow { a: Some(1), b: Some("x"), at: Some(at), created: None, sequence: at, value }
}
fn asked(at: i64) -> FrameRow {
    FrameRow { a: Some(1), b: Some("x"), at: Some(at) }
}

#[tokio::test]
async fn edges_of_the_ttl_count() {
    let frame = [asked(9), asked(10), asked(15), asked(16)];
    let request = HistoryRequest {
        frame: frame_source(&frame),
        event_timestamp: "at".to_owned(),
        views: vec![view(&[one(10, Some(7))], &["a"], Some(5), "v")],
    };
    let result = join(request).await.unwrap();
    assert_eq!(long(&result, "v_value"), [None, Some(7), Some(7), None]);
}

/// A delete hides what is older than it, and is itself hidden by what is newer.
#[tokio::test]
async fn after_a_delete_there_is_no_row() {
    let at = [10, 20, 30, 30, 40];
    let deleted = [false, true, false, true, false];
    let rows = source(
        vec![
            ("a", Arc::new(Int64Array::from(vec![1; 5])) as ArrayRef),
            ("at", times(at.iter().map(|at| Some(*at)).collect())),
            ("_sequence", Arc::new(UInt64Array::from(vec![1, 2, u64::MAX, 4, 5]))),
            ("_deleted", Arc::new(BooleanArray::from(deleted.to_vec()))),
            ("value", Arc::new(Int64Array::from(vec![1, 2, 3, 4, 5]))),
        ],
        2,
    );
    let view = HistoryView {
        rows,
        created_timestamp: None,
        sequence: Some("_sequence".to_owned()),
        deleted: Some("_deleted".to_owned()),
        features: vec![("value".to_owned(), "v_value".to_owned())],
        ..view(&[], &["a"], Some(15), "v")
    };
    let request = |view: HistoryView| HistoryRequest {
        frame: frame_source(&[asked(9), asked(10), asked(20), asked(24), asked(30), asked(41)]),
        event_timestamp: "at".to_owned(),
        views: vec![view],
    };
    let result = join(request(view.clone())).await.unwrap();
    // The delete at 30 has the smaller sequence: the row is the newest, although the file has it first.
    let expected = [None, Some(1), None, None, Some(3), Some(5)];
    assert_eq!(long(&result, "v_value"), expected);
    let wrong = HistoryView { deleted: Some("value".to_owned()), ..view };
    let Err(Error::Invalid { message, .. }) = join(request(wrong)).await else { panic!() };
    assert!(message.contains("must be a boolean"), "{message}");
}

#[tokio::test]
async fn a_null_in_the_newest_row_stays_null() {
    let request = HistoryRequest {
        frame: frame_source(&[asked(5), asked(5)]),
        event_timestamp: "at".to_owned(),
        views: vec![view(&[one(1, Some(1)), one(2, None)], &["a"], None, "v")],
    };
    let result = join(request).await.unwrap();
    assert_eq!(
        (long(&result, "v_value"), long(&result, "v_sequence")),
        (vec![None, None], vec![Some(2), Some(2)])
    );
}

#[tokio::test]
async fn no_rows_on_either_side() {
    let empty = HistoryRequest {
        frame: frame_source(&[]),
        event_timestamp: "at".to_owned(),
        views: vec![view(&[], &["a"], None, "v")],
    };
    let result = join(empty).await.unwrap();
    assert_eq!((result.num_rows(), result.num_columns()), (0, 6));
    assert_eq!(
        *result.schema().field(2).data_type(),
        DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
    );
}

#[tokio::test]
async fn wrong_requests_are_told_apart() {
    let request = |change: fn(&mut HistoryView)| {
        let mut view = view(&[one(1, Some(1))], &["a"], None, "v");
        change(&mut view);
        HistoryRequest {
            frame: frame_source(&[asked(1)]),
            event_timestamp: "at".to_owned(),
            views: vec![view],
        }
    };
    for (change, wanted) in [
        (
            (|view| view.keys = vec!["c".to_owned()]) as fn(&mut HistoryView),
            "the entity frame has no column `c`",
        ),
        (
            |view| view.features = vec![("nothing".to_owned(), "x".to_owned())],
            "the view has no column `nothing`",
        ),
        (
            |view| view.features = vec![("value".to_owned(), "value".to_owned())],
            "two columns `value`",
        ),
        (|view| view.event_timestamp = "b".to_owned(), "must be a timestamp or a date, not string"),
        (|view| view.keys = vec![], "at least one join key"),
    ] {
        match join(request(change)).await {
            Err(Error::Invalid { message, .. }) => assert!(message.contains(wanted), "{message}"),
            other => panic!("{wanted}: {other:?}"),
        }
    }
}
