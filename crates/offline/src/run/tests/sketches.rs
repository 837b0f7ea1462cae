//! Sketches in raw partitions: their one form, and what is no sketch.

use arrow::array::BinaryArray;
use trivium_model::{Aggregate, DataType, Rollup, TimeSpan};
use trivium_sketch::Sketch;

use super::*;
use crate::{
    run::sketches::{normalised, unmergeable},
    testing::{feature, name},
};

fn sketched() -> FeatureView {
    let mut view = view();
    view.features.push(feature("planes", DataType::Bytes));
    view.rollup = Some(Rollup {
        windows: vec![TimeSpan::from_days(7)],
        features: [(name("flights"), Aggregate::ApproxDistinct { sketch: name("planes") })]
            .into_iter()
            .collect(),
    });
    view
}

fn sketch(lg_k: i64, planes: impl IntoIterator<Item = i64>) -> Option<Vec<u8>> {
    let mut sketch = Sketch::new(lg_k).unwrap();
    planes.into_iter().for_each(|plane| sketch.add_integer(plane));
    Some(sketch.bytes())
}

fn day(day: i64) -> Period {
    Period { start: Timestamp(day * DAY), end: Timestamp((day + 1) * DAY) }
}

fn rows(carriers: &[&str], planes: &[Option<Vec<u8>>]) -> RecordBatch {
    let count = carriers.len();
    RecordBatch::try_new(
        columns::arrow_schema(&columns::author_columns(&sketched())),
        vec![
            Arc::new(StringArray::from_iter_values(carriers)),
            timestamps(vec![Some(DAY); count]),
            Arc::new(Int64Array::from(vec![1; count])),
            Arc::new(Float64Array::from(vec![0.5; count])),
            Arc::new(BinaryArray::from_iter(planes)),
        ],
    )
    .unwrap()
}

fn raw(at: i64, rows: RecordBatch) -> RawRows {
    crate::run::extract::raw_rows(&sketched(), day(at), &rows, Vec::new()).unwrap()
}

#[test]
fn the_same_values_are_the_same_partition_whoever_saw_them_in_whichever_order() {
    let accepted = |planes: &[Option<Vec<u8>>]| {
        crate::run::extract::accept(&sketched(), day(0), &[rows(&["AA", "DL", "UA"], planes)])
    };
    // A set with room, as Spark leaves it: a table of 32 words, of which 8 are taken.
    let mut loose = sketch(12, 0..8).unwrap();
    let coupons = loose.split_off(12);
    let mut table = [[0; 4]; 32];
    for coupon in coupons.chunks(4).map(|coupon| <[u8; 4]>::try_from(coupon).unwrap()) {
        let mut at = usize::from(coupon[0]) % 32;
        while table[at] != [0; 4] {
            let number = u32::from_le_bytes(coupon) & ((1 << 26) - 1);
            at = (at + (number as usize >> 5 | 1)) % 32;
        }
        table[at] = coupon;
    }
    loose[5] = 0;
    loose.extend(table.concat());
    let one = [sketch(12, 0..8), sketch(10, 0..5_000), None];
    let other = [Some(loose), sketch(10, (0..5_000).rev()), None];
    assert_ne!(rows(&["AA", "DL", "UA"], &one), rows(&["AA", "DL", "UA"], &other));
    let (one, other) = (accepted(&one).unwrap(), accepted(&other).unwrap());
    assert_eq!(one, other);
    assert_eq!(raw(0, one.clone()).content_hash, raw(0, other).content_hash);
    assert!(one.column(4).is_null(2));

    // Bytes that no window is merged from are the author's.
    let view = FeatureView { rollup: None, ..sketched() };
    let free = rows(&["AA"], &[Some(b"any".to_vec())]);
    assert_eq!(normalised(&view, day(0), free.clone()).unwrap(), free);
}

#[test]
fn what_is_no_sketch_is_named_by_view_column_and_entity() {
    let mut cut = sketch(12, 0..5).unwrap();
    cut.pop();
    for (bytes, why) in [
        (Vec::new(), "0 bytes, fewer than its head has"),
        (b"not a sketch".to_vec(), "its head is another"),
        (cut, "27 bytes, not 28"),
    ] {
        let spoiled = rows(&["AA", "UA"], &[sketch(12, 0..5), Some(bytes)]);
        let error =
            crate::run::extract::accept(&sketched(), day(0), std::slice::from_ref(&spoiled))
                .unwrap_err();
        assert_eq!(
            error.to_string(),
            format!(
                "tests/daily@1, period ds=1970-01-01: column `planes` for entity carrier \"UA\": no \
                 sketch of distinct values: {why}"
            )
        );
        assert!(error.help().unwrap().contains("hll_sketch_agg"));
        // In a partition that is older than its rollup, it is found when the publication fails.
        let window = [raw(3, rows(&["AA"], &[sketch(12, 0..5)])), raw(4, spoiled)];
        let error = unmergeable(&sketched(), &window).unwrap().to_string();
        assert!(
            error.starts_with("tests/daily@1, period ds=1970-01-05: column `planes`"),
            "{error}"
        );
    }
}

#[test]
fn sketches_of_two_sizes_are_named_with_their_periods() {
    let window = |second: i64| {
        [
            raw(3, rows(&["AA", "UA"], &[sketch(10, 0..5), sketch(12, 0..5)])),
            raw(4, rows(&["AA", "UA"], &[None, sketch(second, 0..5)])),
        ]
    };
    // Of two entities they never meet.
    assert!(unmergeable(&sketched(), &window(12)).is_none());
    assert_eq!(
        unmergeable(&sketched(), &window(11)).unwrap().to_string(),
        "tests/daily@1, period ds=1970-01-05: column `planes` for entity carrier \"UA\": a sketch of \
         `lgConfigK` 11, and one of 12 in period ds=1970-01-04; a window merges sketches of one size"
    );
}
