//! Training sets on an engine that joins one row at a time.

mod computed;
mod streams;

use std::{collections::BTreeMap, sync::Mutex};

use arrow::{
    array::{
        Array, ArrayRef, AsArray, DictionaryArray, Float64Array, Int32Array, Int64Array,
        LargeStringArray, ListArray, StringArray, StringViewArray, StructArray, Time32SecondArray,
        TimestampMicrosecondArray, TimestampNanosecondArray, UInt8Array, UInt32Array,
        new_null_array,
    },
    buffer::OffsetBuffer,
    compute::{cast, take},
    datatypes::{DataType as Arrow, Decimal128Type, Int8Type, Int64Type, TimestampMicrosecondType},
};
use async_trait::async_trait;
use futures::{TryStreamExt, stream};
use trivium_model::TimeSpan;
use trivium_registry::{Revision, StoredView};

use super::*;
use crate::{
    Period, canonical, columns,
    lake::{RunSource, Staging, read_whole},
    testing::view,
};

const DAY: i64 = 86_400_000_000;
/// Rows of a piece of an answer.
const PIECE_ROWS: usize = 3;

#[derive(Default)]
struct Engine {
    files: Mutex<Vec<usize>>,
}

fn whole(source: &Source) -> RecordBatch {
    match source {
        Source::Parquet(paths) => {
            let batches: Vec<RecordBatch> =
                paths.iter().map(|path| read_whole(std::slice::from_ref(path)).unwrap()).collect();
            arrow::compute::concat_batches(&batches[0].schema(), &batches).unwrap()
        }
        Source::Batches { schema, batches } => {
            arrow::compute::concat_batches(schema, batches).unwrap()
        }
        Source::Csv { .. } => panic!("csv"),
    }
}

#[async_trait]
impl HistoryEngine for Engine {
    async fn point_in_time(
        &self,
        request: HistoryRequest,
    ) -> Result<BatchStream, trivium_engine::Error> {
        let frame = whole(&request.frame);
        let mut columns: Vec<(String, ArrayRef)> = frame
            .schema()
            .fields()
            .iter()
            .zip(frame.columns())
            .map(|(field, column)| (field.name().clone(), Arc::clone(column)))
            .collect();
        for view in &request.views {
            if let Source::Parquet(files) = &view.rows {
                self.files.lock().unwrap().push(files.len());
            }
            let rows = whole(&view.rows);
            let time = |batch: &RecordBatch, name: &str| {
                batch
                    .column_by_name(name)
                    .unwrap()
                    .as_primitive::<TimestampMicrosecondType>()
                    .clone()
            };
            let (at, of) =
                (time(&frame, &request.event_timestamp), time(&rows, &view.event_timestamp));
            let key = |batch: &RecordBatch, row: usize| {
                let column =
                    batch.column_by_name(&view.keys[0]).unwrap().as_string::<i32>().clone();
                column.is_valid(row).then(|| column.value(row).to_owned())
            };
            // Batches count in int64, streams in uint64.
            let wide = Arrow::Decimal128(20, 0);
            let sequence = cast(rows.column_by_name("_sequence").unwrap(), &wide).unwrap();
            let sequence = sequence.as_primitive::<Decimal128Type>();
            let is_deleted = |row: usize| {
                view.deleted
                    .as_ref()
                    .is_some_and(|name| rows.column_by_name(name).unwrap().as_boolean().value(row))
            };
            let matches: UInt32Array = (0..frame.num_rows())
                .map(|row| {
                    (0..rows.num_rows())
                        .filter(|one| {
                            key(&frame, row).is_some() && key(&rows, *one) == key(&frame, row)
                        })
                        .filter(|one| of.value(*one) <= at.value(row))
                        .filter(|one| {
                            view.ttl
                                .is_none_or(|ttl| of.value(*one) >= at.value(row) - ttl.micros())
                        })
                        .max_by_key(|one| (of.value(*one), sequence.value(*one)))
                        .filter(|one| !is_deleted(*one))
                        .map(|one| one as u32)
                })
                .collect();
            for (feature, column) in &view.features {
                let values = rows.column_by_name(feature).unwrap();
                columns.push((column.clone(), take(values, &matches, None).unwrap()));
            }
        }
        let batch = RecordBatch::try_from_iter_with_nullable(
            columns.into_iter().map(|(name, column)| (name, column, true)),
        );
        // An engine may answer in pieces.
        let batch = batch.unwrap();
        let starts = (0..batch.num_rows()).step_by(PIECE_ROWS);
        let pieces: Vec<_> = starts
            .map(|start| Ok(batch.slice(start, PIECE_ROWS.min(batch.num_rows() - start))))
            .collect();
        Ok(Box::pin(stream::iter(pieces)))
    }
}

struct Fixture {
    engine: Arc<Engine>,
    history: History,
    _folder: tempfile::TempDir,
}

/// Ten days of `tests/daily@1`: AA every day, UA on day 0; `flights` is the day.
fn fixture(ttl_days: i64) -> Fixture {
    let folder = tempfile::tempdir().unwrap();
    let lake = Lake::volatile(folder.path());
    let view = FeatureView { ttl: Some(TimeSpan::from_days(ttl_days)), ..view() };
    for day in 0..10 {
        let period = Period { start: Timestamp(day * DAY), end: Timestamp((day + 1) * DAY) };
        let carriers: &[&str] = if day == 0 { &["AA", "UA"] } else { &["AA"] };
        let count = carriers.len();
        let schema = columns::arrow_schema(&columns::published_columns(&view));
        let times = vec![period.end.0; count];
        let rows = RecordBatch::try_new(
            Arc::clone(&schema),
            vec![
                Arc::new(StringArray::from(carriers.to_vec())),
                Arc::new(TimestampMicrosecondArray::from(times).with_timezone("UTC")),
                Arc::new(Int64Array::from(vec![day; count])),
                Arc::new(Float64Array::from(vec![None; count])),
                new_null_array(schema.field(4).data_type(), count),
            ],
        )
        .unwrap();
        let staged = lake.stage(Staging {
            view: &view,
            layer: Layer::Published,
            period,
            rows: &canonical::sort(&rows).unwrap(),
            quality: Vec::new(),
            source: RunSource::default(),
        });
        lake.commit(staged.unwrap().into_iter().collect()).unwrap();
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

fn frame(columns: Vec<(&str, ArrayRef)>) -> Source {
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    Source::Batches { schema: batch.schema(), batches: vec![batch] }
}

fn carriers(names: &[&str]) -> ArrayRef {
    Arc::new(StringArray::from(names.to_vec()))
}

fn times(days: &[f64]) -> ArrayRef {
    let micros = days.iter().map(|day| (day * DAY as f64) as i64);
    Arc::new(TimestampMicrosecondArray::from_iter_values(micros))
}

fn ask(
    fixture: &Fixture,
    features: &[&str],
    frame: Source,
    full_names: bool,
) -> Result<RecordBatch, Error> {
    let query = HistoryQuery {
        selection: Selection {
            features: features.iter().map(|text| (*text).to_owned()).collect(),
            service: None,
        },
        frame,
        event_timestamp: "at".to_owned(),
        full_names,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let set = fixture.history.join(query).await?;
        let schema = Arc::clone(&set.schema);
        let batches: Vec<RecordBatch> = set.rows.try_collect().await.unwrap();
        Ok(arrow::compute::concat_batches(&schema, &batches).unwrap())
    })
}

#[test]
fn rows_keep_their_places_and_features_the_order_asked_for() {
    let fixture = fixture(3);
    let frame = frame(vec![
        ("label", Arc::new(Int32Array::from(vec![1, 2, 3, 4, 5]))),
        ("at", times(&[5.0, 4.99, 4.0, 4.01, 0.5])),
        ("carrier", carriers(&["AA", "AA", "UA", "UA", "AA"])),
    ]);
    let asked = ["tests/daily@1:delay", "tests/daily@1:flights"];
    let set = ask(&fixture, &asked, frame.clone(), false).unwrap();
    let names: Vec<&str> =
        set.schema_ref().fields().iter().map(|field| field.name().as_str()).collect();
    assert_eq!(names, ["label", "at", "carrier", "daily__delay", "daily__flights"]);
    let flights: Vec<Option<i64>> = set.column(4).as_primitive::<Int64Type>().iter().collect();
    // At 4.0 the row of UA's day 0 (known at 1.0) is exactly as old as its ttl allows.
    assert_eq!(flights, [Some(4), Some(3), Some(0), None, None]);
    let set = ask(&fixture, &["tests/daily@1"], frame, true).unwrap();
    assert_eq!(set.schema_ref().field(3).name(), "tests/daily@1:flights");
}

#[test]
fn only_partitions_that_can_match_are_read() {
    let fixture = fixture(2);
    let frame = frame(vec![("at", times(&[6.5, 7.0])), ("carrier", carriers(&["AA", "AA"]))]);
    ask(&fixture, &["tests/daily@1:flights"], frame, false).unwrap();
    // Known at 5, 6 and 7.
    assert_eq!(*fixture.engine.files.lock().unwrap(), [3]);
}

#[test]
fn frames_may_be_files_with_other_types_of_the_same_values() {
    let fixture = fixture(3);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.parquet");
    let nanos = TimestampNanosecondArray::from(vec![5 * DAY * 1000, 3 * DAY * 1000]);
    let batch = RecordBatch::try_from_iter(vec![
        ("at", Arc::new(nanos) as ArrayRef),
        ("carrier", carriers(&["AA", "AA"])),
    ])
    .unwrap();
    let file = std::fs::File::create(&path).unwrap();
    let mut writer = parquet::arrow::ArrowWriter::try_new(file, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    let set =
        ask(&fixture, &["tests/daily@1:flights"], Source::Parquet(vec![path]), false).unwrap();
    let flights: Vec<Option<i64>> = set.column(2).as_primitive::<Int64Type>().iter().collect();
    assert_eq!(flights, [Some(4), Some(2)]);
}

#[test]
fn further_columns_come_back_as_they_are() {
    let fixture = fixture(3);
    let labels: DictionaryArray<Int8Type> = ["x", "y", "x", "x"].into_iter().collect();
    let further: Vec<(&str, ArrayRef)> = vec![
        ("Carrier", Arc::new(LargeStringArray::from(vec!["a", "b", "c", "d"]))),
        ("label", Arc::new(labels)),
        ("small", Arc::new(UInt8Array::from(vec![Some(1), None, Some(3), Some(4)]))),
        ("seen", Arc::new(TimestampNanosecondArray::from(vec![1, 2, 3, 4]))),
        ("view", Arc::new(StringViewArray::from(vec![Some("a"), Some("b"), None, Some("d")]))),
        ("of_day", Arc::new(Time32SecondArray::from(vec![1, 2, 3, 4]))),
    ];
    let mut columns = further.clone();
    columns.insert(1, ("at", times(&[5.0, 3.0, 4.0, 0.5])));
    columns.insert(3, ("carrier", carriers(&["AA", "AA", "ZZ", "AA"])));
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    // In pieces that are not those of the answer.
    let pieces = vec![batch.slice(0, 1), batch.slice(1, 0), batch.slice(1, 3)];
    let source = Source::Batches { schema: batch.schema(), batches: pieces };
    let set = ask(&fixture, &["tests/daily@1:flights"], source, false).unwrap();
    let names: Vec<&str> = set.schema_ref().fields().iter().map(|f| f.name().as_str()).collect();
    let order = ["Carrier", "at", "label", "carrier", "small", "seen", "view", "of_day"];
    assert_eq!(names[..8], order);
    for (name, column) in &further {
        assert_eq!(set.column_by_name(name).unwrap().to_data(), column.to_data(), "{name}");
    }
    let flights: Vec<Option<i64>> = set.column(8).as_primitive::<Int64Type>().iter().collect();
    assert_eq!(flights, [Some(4), Some(2), None, None]);
}

#[test]
fn what_is_wrong_is_named() {
    let fixture = fixture(3);
    let good = || frame(vec![("at", times(&[5.0])), ("carrier", carriers(&["AA"]))]);
    let one = ["tests/daily@1:flights"];
    let nanos: ArrayRef = Arc::new(TimestampNanosecondArray::from(vec![1_000_000_001]));
    let no_time: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![None]));
    let number: ArrayRef = Arc::new(Int64Array::from(vec![5]));
    let taken = frame(vec![
        ("at", times(&[5.0])),
        ("carrier", carriers(&["AA"])),
        ("daily__flights", Arc::clone(&number)),
    ]);
    let inner = Arc::new(Field::new("inner", Arrow::Int64, true));
    let nested: ArrayRef = Arc::new(StructArray::from(vec![(inner, Arc::clone(&number))]));
    let key = Arc::clone(&nested);
    let item = Arc::new(Field::new_list_field(nested.data_type().clone(), true));
    let one_item = OffsetBuffer::from_lengths([1]);
    let listed: ArrayRef = Arc::new(ListArray::new(item, one_item, Arc::clone(&nested), None));
    let with = |further: ArrayRef| {
        frame(vec![("at", times(&[5.0])), ("further", further), ("carrier", carriers(&["AA"]))])
    };
    let cases = [
        ask(&fixture, &[], good(), false),
        ask(&fixture, &["tests/daily@1:flight"], good(), false),
        ask(&fixture, &["tests/daily@2:flights"], good(), false),
        ask(&fixture, &["daily"], good(), false),
        ask(&fixture, &["tests/daily@1:flights", "tests/daily@1:flights"], good(), false),
        ask(&fixture, &one, frame(vec![("at", times(&[5.0]))]), false),
        ask(
            &fixture,
            &one,
            frame(vec![("at", times(&[5.0])), ("carrier", Arc::clone(&number))]),
            false,
        ),
        ask(&fixture, &one, frame(vec![("carrier", carriers(&["AA"]))]), false),
        ask(&fixture, &one, frame(vec![("at", number), ("carrier", carriers(&["AA"]))]), false),
        ask(&fixture, &one, frame(vec![("at", no_time), ("carrier", carriers(&["AA"]))]), false),
        ask(&fixture, &one, frame(vec![("at", nanos), ("carrier", carriers(&["AA"]))]), false),
        ask(&fixture, &one, taken, false),
        ask(&fixture, &one, with(nested), false),
        ask(&fixture, &one, with(listed), false),
        ask(&fixture, &one, frame(vec![("at", times(&[5.0])), ("carrier", key)]), false),
    ];
    for outcome in &cases {
        let kind = outcome.as_ref().unwrap_err().kind();
        assert_eq!(kind, trivium_runtime::Kind::InvalidArgument, "{outcome:?}");
    }
    let errors: Vec<String> =
        cases.into_iter().map(|outcome| outcome.unwrap_err().to_string()).collect();
    expect_test::expect![[r#"
        no feature is asked for
        tests/daily@1 has no feature `flight`
        tests/daily@2 is not in the registry
        `daily` is not a view reference: write `namespace/view@version`, as in `flights/carrier_daily@1`
        two features would be named `daily__flights`, one of them tests/daily@1:flights
        the frame has no column `carrier`, which tests/daily@1 is joined by
        the frame's `carrier` is int64, but the join key of tests/daily@1 is string
        the frame has no event time column `at`
        the frame's `at` is int64, not a timestamp
        row 0 of the frame has no `at`
        the frame's `at` has times finer than a microsecond
        the frame has a column `daily__flights` already
        the frame's `further` has columns of its own (a struct or a map)
        the frame's `further` has columns of its own (a struct or a map)
        the frame's `carrier` is struct("inner": int64), but the join key of tests/daily@1 is string"#]]
    .assert_eq(&errors.join("\n"));
}

#[test]
fn the_file_appears_whole() {
    let fixture = fixture(3);
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("training.parquet");
    let query = HistoryQuery {
        selection: Selection { features: vec!["tests/daily@1:flights".to_owned()], service: None },
        frame: frame(vec![("at", times(&[5.0, 2.0])), ("carrier", carriers(&["AA", "ZZ"]))]),
        event_timestamp: "at".to_owned(),
        full_names: false,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let rows = runtime.block_on(async {
        let set = fixture.history.join(query.clone()).await.unwrap();
        let mut pieces = Vec::new();
        let set_again = fixture.history.join(query).await.unwrap();
        write_ipc(set_again, |piece| {
            pieces.extend(piece);
            async { true }
        })
        .await
        .unwrap();
        let read = arrow::ipc::reader::StreamReader::try_new(&*pieces, None).unwrap();
        assert_eq!(read.map(|batch| batch.unwrap().num_rows()).sum::<usize>(), 2);
        write_parquet(set, &out).await.unwrap()
    });
    assert_eq!(rows, 2);
    assert_eq!(read_whole(&[out]).unwrap().num_rows(), 2);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}
