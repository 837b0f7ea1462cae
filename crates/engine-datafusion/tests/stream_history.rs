//! Point-in-time joins over the log of a stream view, against a loop over the messages: what is appended
//! late, deleted, written under one event time, compacted.
#![expect(clippy::unwrap_used, reason = "a whole file of tests")]

use std::{collections::BTreeMap, sync::Arc};

use arrow::{
    array::{ArrayRef, AsArray, Int64Array, RecordBatch, TimestampMicrosecondArray},
    datatypes::Int64Type,
};
use futures::TryStreamExt;
use proptest::prelude::*;
use trivium_codec::{RowEncoder, Schema, ValueRef};
use trivium_engine::{HistoryEngine, HistoryRequest, HistoryView, Source};
use trivium_engine_datafusion::{DataFusionEngine, Options};
use trivium_lake_log::{
    Advance, Change, CompactOptions, DELETED_COLUMN, HistoryRow, Outcome, SEQUENCE_COLUMN, Shape,
    StreamLog,
};
use trivium_model::{FeatureView, KeyValue, Lane, TimeSpan, Timestamp, config::parse_view};

const HOUR: i64 = 3_600_000_000;
const TTL_HOURS: i64 = 30;

#[derive(Debug, Clone)]
struct Message {
    id: i64,
    hour: i64,
    /// None: a delete.
    x: Option<i64>,
}

fn view() -> FeatureView {
    let config = r#"{ "namespace": "n", "name": "a", "version": 1, "lane": "stream", "description": "d",
        "owner": { "team": "t", "contact": "c" }, "urgency_tier": 1,
        "entities": [{ "name": "id", "type": "int64" }], "event_timestamp": "at",
        "features": [{ "name": "x", "type": "int64", "description": "d" }],
        "source": { "format": "json", "topic": "events", "time_unit": "us" } }"#;
    parse_view("configs/n/a.v1.json", config).unwrap()
}

fn messages() -> impl Strategy<Value = Vec<Message>> {
    let one = (0..3_i64, 0..100_i64, prop::option::weighted(0.8, 0..1_000_i64));
    prop::collection::vec(one.prop_map(|(id, hour, x)| Message { id, hour, x }), 0..60)
}

/// The newest message of the entity until then, by event time and then by its place in the topic.
fn expected(messages: &[Message], id: i64, at: i64) -> Option<i64> {
    let newest = messages
        .iter()
        .enumerate()
        .filter(|(_, message)| message.id == id && message.hour <= at)
        .max_by_key(|(offset, message)| (message.hour, *offset))?
        .1;
    newest.x.filter(|_| newest.hour >= at - TTL_HOURS)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn as_a_loop_over_the_messages_says(
        messages in messages(),
        batch in 1..20_usize,
        asked in prop::collection::vec((0..4_i64, 0..140_i64), 1..30),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let view = view();
        let shape = Shape::new(&view).unwrap();
        let log = StreamLog::new(folder.path(), shape.view());
        let schema = Schema::of_view(&view).unwrap();
        let mut encoder = RowEncoder::new(&schema);
        let mut state = log.load().unwrap();
        let rows: Vec<HistoryRow> = messages
            .iter()
            .enumerate()
            .map(|(offset, message)| HistoryRow {
                entity: vec![KeyValue::Int64(message.id)],
                event_time: Timestamp(message.hour * HOUR),
                sequence: offset as u64,
                row: message.x.map(|x| {
                    encoder.encode(Lane::Stream, &[Some(ValueRef::Int64(x))]).unwrap()
                }),
            })
            .collect();
        for (number, rows) in rows.chunks(batch).enumerate() {
            let batches = shape.batches(rows).unwrap();
            let added =
                batches.into_iter().map(|(day, rows)| log.write(&shape, day, &rows).unwrap());
            let from = state.positions.get("t/0").copied();
            let advance = Advance { from, to: from.unwrap_or(0) + rows.len() as u64 };
            let change = Change {
                added: added.collect(),
                positions: BTreeMap::from([("t/0".to_owned(), advance)]),
                ..Change::default()
            };
            prop_assert_eq!(log.commit(&mut state, change, Timestamp(0)).unwrap(), Outcome::Done);
            if number % 3 == 2 {
                let options = CompactOptions { files_min: 2, ..CompactOptions::default() };
                log.compact(&mut state, &shape, &options, Timestamp(0)).unwrap();
            }
        }
        prop_assert_eq!(state.rows(), messages.len() as u64);
        let rows = if state.files.is_empty() {
            Source::Batches { schema: Arc::clone(shape.columns()), batches: Vec::new() }
        } else {
            Source::Parquet(state.files.keys().map(|path| log.folder().join(path)).collect())
        };
        let ids: Int64Array = asked.iter().map(|(id, _)| Some(*id)).collect();
        let times = asked.iter().map(|(_, hour)| hour * HOUR);
        let times = TimestampMicrosecondArray::from_iter_values(times).with_timezone("UTC");
        let frame = RecordBatch::try_from_iter([
            ("id", Arc::new(ids) as ArrayRef),
            ("when", Arc::new(times) as ArrayRef),
        ])
        .unwrap();
        let request = HistoryRequest {
            frame: Source::Batches { schema: frame.schema(), batches: vec![frame] },
            event_timestamp: "when".to_owned(),
            views: vec![HistoryView {
                rows,
                keys: vec!["id".to_owned()],
                event_timestamp: "at".to_owned(),
                created_timestamp: None,
                sequence: Some(SEQUENCE_COLUMN.to_owned()),
                deleted: Some(DELETED_COLUMN.to_owned()),
                ttl: Some(TimeSpan::from_micros(TTL_HOURS * HOUR)),
                features: vec![("x".to_owned(), "a__x".to_owned())],
            }],
        };
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let batches: Vec<RecordBatch> = runtime.block_on(async {
            let engine = DataFusionEngine::new(&Options::default()).unwrap();
            engine.point_in_time(request).await.unwrap().try_collect().await.unwrap()
        });
        let found: Vec<Option<i64>> = batches
            .iter()
            .flat_map(|batch| {
                let column = batch.column_by_name("a__x").unwrap();
                column.as_primitive::<Int64Type>().iter().collect::<Vec<_>>()
            })
            .collect();
        let wanted: Vec<Option<i64>> =
            asked.iter().map(|(id, hour)| expected(&messages, *id, *hour)).collect();
        prop_assert_eq!(found, wanted);
    }
}
