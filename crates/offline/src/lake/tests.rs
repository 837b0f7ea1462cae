use std::sync::Arc;

use arrow::{
    array::{
        AsArray, Float64Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
    },
    datatypes::Int64Type,
};

use super::*;
use crate::{canonical, columns, testing::view};

type Row<'a> = (&'a str, i64, Option<i64>, Option<f64>);

fn rows(rows: &[Row<'_>]) -> RecordBatch {
    let view = view();
    let schema = columns::arrow_schema(&columns::published_columns(&view));
    let timestamps = |values: Vec<Option<i64>>| {
        Arc::new(TimestampMicrosecondArray::from(values).with_timezone("UTC"))
    };
    let batch = RecordBatch::try_new(
        schema,
        vec![
            Arc::new(StringArray::from_iter_values(rows.iter().map(|row| row.0))),
            timestamps(rows.iter().map(|row| Some(row.1)).collect()),
            Arc::new(Int64Array::from_iter(rows.iter().map(|row| row.2))),
            Arc::new(Float64Array::from_iter(rows.iter().map(|row| row.3))),
            timestamps(vec![None; rows.len()]),
        ],
    )
    .unwrap();
    canonical::sort(&batch).unwrap()
}

fn day(n: i64) -> Period {
    let start = Timestamp(n * 86_400_000_000);
    Period { start, end: Timestamp(start.0 + 86_400_000_000) }
}

fn publish(lake: &Lake, period: Period, batch: &RecordBatch) -> Option<Partition> {
    let view = view();
    let staged = lake
        .stage(Staging {
            view: &view,
            layer: Layer::Published,
            period,
            rows: batch,
            quality: Vec::new(),
            source: RunSource::default(),
        })
        .unwrap()?;
    lake.commit(vec![staged]).unwrap().pop()
}

#[test]
fn a_rerun_changes_nothing_and_a_rewrite_is_one_switch() {
    let folder = tempfile::tempdir().unwrap();
    let lake = Lake::new(folder.path());
    let first = rows(&[("b", 2, Some(1), None), ("a", 1, None, Some(f64::NAN))]);
    let partition = publish(&lake, day(0), &first).unwrap();
    assert_eq!((partition.pointer.sequence, partition.pointer.rows), (1, 2));
    assert!(publish(&lake, day(0), &first).is_none());

    let second = rows(&[("a", 1, None, Some(f64::NAN)), ("b", 2, Some(7), None)]);
    let rewritten = publish(&lake, day(0), &second).unwrap();
    assert_eq!(rewritten.pointer.sequence, 2);
    assert_eq!(rewritten.pointer.replaced_run.as_deref(), Some(partition.pointer.run.as_str()));
    assert!(partition.files()[0].exists(), "a reader may still be in the run before");
    let read = read_whole(&rewritten.files()).unwrap();
    let sequences = read.column(5).as_primitive::<Int64Type>();
    assert_eq!(
        sequences.values().iter().map(|s| crate::sequence::revision_of(*s)).collect::<Vec<_>>(),
        [1, 2],
        "only the entity that changed has a new sequence"
    );
    let third = publish(&lake, day(0), &first).unwrap();
    assert!(!partition.files()[0].exists());
    assert!(rewritten.files()[0].exists());
    assert_eq!(lake.all_partitions(&view().reference(), Layer::Published).unwrap().len(), 1);
    assert_eq!(third.pointer.sequence, 3);
}

#[test]
fn retired_rows_are_remembered_through_later_revisions() {
    let folder = tempfile::tempdir().unwrap();
    let lake = Lake::new(folder.path());
    publish(
        &lake,
        day(0),
        &rows(&[("a", 1, Some(1), None), ("a", 2, Some(2), None), ("b", 1, None, None)]),
    );
    let second = publish(&lake, day(0), &rows(&[("b", 1, None, None)])).unwrap();
    let retired = read_whole(&[second.retired_file().unwrap()]).unwrap();
    assert_eq!(retired.num_rows(), 1, "the newest row of the entity that vanished");
    let third =
        publish(&lake, day(0), &rows(&[("a", 1, None, None), ("b", 0, None, None)])).unwrap();
    let retired = read_whole(&[third.retired_file().unwrap()]).unwrap();
    let names: Vec<_> = retired.column(0).as_string::<i32>().iter().flatten().collect();
    assert_eq!(names, ["a", "b"]);
    assert_eq!(retired.column(3).as_primitive::<Int64Type>().values(), &[2, 3]);
    let empty = publish(&lake, day(0), &rows(&[])).unwrap();
    assert_eq!(empty.pointer.rows, 0);
    assert_eq!(read_whole(&[empty.retired_file().unwrap()]).unwrap().num_rows(), 4);
    let back = publish(&lake, day(0), &rows(&[("b", 1, None, None)])).unwrap();
    assert_eq!((back.pointer.rows, back.pointer.sequence), (1, 5));
}

#[test]
fn a_crash_before_the_switch_leaves_the_old_partition() {
    let folder = tempfile::tempdir().unwrap();
    let lake = Lake::new(folder.path());
    let view = view();
    let first = publish(&lake, day(0), &rows(&[("a", 1, None, None)])).unwrap();
    let stage = |batch: &RecordBatch| {
        lake.stage(Staging {
            view: &view,
            layer: Layer::Published,
            period: day(0),
            rows: batch,
            quality: Vec::new(),
            source: RunSource::default(),
        })
        .unwrap()
        .unwrap()
    };
    let dead = stage(&rows(&[("a", 1, Some(5), None)])).partition().clone();
    let now = lake.partition(&view.reference(), Layer::Published, day(0)).unwrap().unwrap();
    assert_eq!(now.pointer, first.pointer);
    let again = stage(&rows(&[("a", 1, Some(6), None)]));
    assert!(!dead.files()[0].exists(), "the leftover is swept");
    assert!(first.files()[0].exists());
    lake.commit(vec![again]).unwrap();
}

#[test]
fn a_lake_made_anew_goes_on_with_revisions() {
    let folder = tempfile::tempdir().unwrap();
    let lake = Lake::volatile(folder.path());
    let home = lake.view_folder(&view().reference());
    std::fs::create_dir_all(&home).unwrap();
    std::fs::write(home.join("_revisions_after"), "7\n").unwrap();
    let first = publish(&lake, day(0), &rows(&[("a", 1, None, None)])).unwrap();
    assert_eq!(first.pointer.sequence, 8);
    let sequences = read_whole(&first.files()).unwrap();
    let sequence = sequences.column(5).as_primitive::<Int64Type>().value(0);
    assert_eq!(crate::sequence::revision_of(sequence), 8, "the online store goes by it");
    let second = publish(&lake, day(0), &rows(&[("a", 1, Some(1), None)])).unwrap();
    assert_eq!(second.pointer.sequence, 9);
    assert_eq!(lake.all_partitions(&view().reference(), Layer::Published).unwrap().len(), 1);

    for wrong in [&b""[..], b"seven", b"-1", b"65535", b"\xff\n"] {
        std::fs::write(home.join("_revisions_after"), wrong).unwrap();
        let wrong = String::from_utf8_lossy(wrong);
        let view = view();
        let refused = lake.stage(Staging {
            view: &view,
            layer: Layer::Published,
            period: day(1),
            rows: &rows(&[]),
            quality: Vec::new(),
            source: RunSource::default(),
        });
        let refused = refused.unwrap_err();
        let said = refused.to_string();
        assert!(said.contains("_revisions_after") || said.contains("65536"), "{wrong}: {said}");
        if said.contains("_revisions_after") {
            assert_eq!(refused.kind(), trivium_runtime::Kind::InvalidArgument);
            assert!(refused.place().unwrap().ends_with("_revisions_after"), "{refused:?}");
            assert!(refused.help().unwrap().contains("remove the file"));
        }
    }
}

#[test]
fn a_range_reads_its_own_pointers() {
    let folder = tempfile::tempdir().unwrap();
    let lake = Lake::volatile(folder.path());
    for n in 0..40 {
        publish(&lake, day(n), &rows(&[("a", n, None, None)]));
    }
    let view = view().reference();
    let found = |starts: Range<i64>| {
        let before = lake.pointers_read();
        let starts = Timestamp(starts.start)..Timestamp(starts.end);
        let found = lake.partitions(&view, Layer::Published, starts).unwrap();
        let found: Vec<Period> = found.into_iter().map(|one| one.period).collect();
        (found, lake.pointers_read() - before)
    };
    let start = |n: i64| day(n).start.0;
    assert_eq!(found(start(10)..start(13)), (vec![day(10), day(11), day(12)], 3));
    assert_eq!(found(start(10)..start(10) + 1), (vec![day(10)], 1));
    assert_eq!(found(start(10) + 1..start(11)), (vec![], 1), "it may have begun in the day");
    assert_eq!(found(i64::MIN..i64::MAX).0.len(), 40);
    // A name that says nothing of the period: the pointer does.
    let named = lake.view_folder(&view);
    std::fs::rename(named.join(day(11).folder()), named.join("ds=eleven")).unwrap();
    assert_eq!(found(start(10)..start(12)), (vec![day(10), day(11)], 2));
}

#[test]
fn pointers_cannot_lead_out_of_their_folder() {
    let folder = tempfile::tempdir().unwrap();
    let lake = Lake::new(folder.path());
    let partition = publish(&lake, day(0), &rows(&[("a", 1, None, None)])).unwrap();
    let path = partition.folder.join(POINTER_FILE);
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace("part-0.parquet", "../../secret")).unwrap();
    let error = lake.all_partitions(&view().reference(), Layer::Published).unwrap_err();
    assert!(matches!(error, Error::Corrupt { .. }), "{error}");
    std::fs::write(&path, &text[..40]).unwrap();
    assert!(lake.all_partitions(&view().reference(), Layer::Published).is_err());
}

#[test]
fn one_writer_of_a_view_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let lake = Lake::new(folder.path());
    let lock = lake.lock(&view()).unwrap();
    let locked = lake.lock(&view()).unwrap_err();
    assert!(matches!(locked, Error::Locked { .. }));
    assert!(locked.place().unwrap().ends_with("_lock"), "{locked:?}");
    drop(lock);
    lake.lock(&view()).unwrap();
}

#[test]
fn pointers_keep_statistics_and_older_ones_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let lake = Lake::new(folder.path());
    let batch = rows(&[("a", 1, None, Some(f64::NAN)), ("b", 2, Some(7), Some(2.0))]);
    let partition = publish(&lake, day(0), &batch).unwrap();
    let read = lake.partition(&view().reference(), Layer::Published, day(0)).unwrap().unwrap();
    assert_eq!(read.pointer, partition.pointer);
    let delay = read.pointer.statistics.iter().find(|one| one.column == "delay").unwrap();
    assert_eq!((delay.count, delay.null_count, delay.nan_count), (2, 0, Some(1)));
    assert_eq!(delay.quantiles["0.01"], 2.0);

    let path = partition.folder.join(POINTER_FILE);
    let mut pointer: serde_json::Value =
        serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    assert!(pointer.as_object_mut().unwrap().remove("statistics").is_some());
    std::fs::write(&path, pointer.to_string()).unwrap();
    let old = lake.partition(&view().reference(), Layer::Published, day(0)).unwrap().unwrap();
    assert!(old.pointer.statistics.is_empty());
    assert!(publish(&lake, day(0), &batch).is_none(), "the same rows still change nothing");
}
