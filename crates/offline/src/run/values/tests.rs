//! What may not be published, value by value.

use std::sync::Arc;

use arrow::{
    array::{
        BinaryArray, Date32Array, Float64Array, Int64Array, ListArray, StringArray,
        TimestampMicrosecondArray,
    },
    buffer::{NullBuffer, OffsetBuffer},
    datatypes::Field,
};
use expect_test::{Expect, expect};
use trivium_model::DataType;

use super::*;
use crate::{
    columns::{ZONE, arrow_schema, arrow_type, author_columns},
    testing::{feature, view},
};

const LAST_DAY: i32 = 2_932_896;
const LAST_MICROS: i64 = 253_402_300_799_999_999;

/// Rows of carriers `A`, `B`, …, with one feature `value`.
fn checked(data_type: &DataType, values: ArrayRef, online: bool) -> Result<(), Error> {
    let mut view = view();
    view.online = online;
    view.features = vec![feature("value", data_type.clone())];
    let columns = author_columns(&view);
    let carriers = (0..values.len()).map(|row| char::from(b'A' + row as u8).to_string());
    let times = TimestampMicrosecondArray::from(vec![0; values.len()]).with_timezone(ZONE);
    let rows = RecordBatch::try_new(
        arrow_schema(&columns),
        vec![Arc::new(StringArray::from_iter_values(carriers)), Arc::new(times), values],
    )
    .unwrap();
    let period = Period { start: Timestamp(0), end: Timestamp(86_400_000_000) };
    Values { view: &view, period, columns: &columns, rows: &rows }.check()
}

fn check(data_type: DataType, values: impl arrow::array::Array + 'static, expected: Expect) {
    let said = match checked(&data_type, Arc::new(values), true) {
        Ok(()) => "published".to_owned(),
        Err(error) => error.to_string(),
    };
    expected.assert_eq(&said);
}

fn times(values: Vec<Option<i64>>) -> TimestampMicrosecondArray {
    TimestampMicrosecondArray::from(values).with_timezone(ZONE)
}

fn lists(item: &DataType, lengths: &[usize], values: ArrayRef) -> ListArray {
    let field = Arc::new(Field::new_list_field(arrow_type(item), true));
    ListArray::new(field, OffsetBuffer::from_lengths(lengths.iter().copied()), values, None)
}

#[test]
fn instants_and_days_are_in_the_calendar() {
    let edges = vec![Some(-62_135_596_800_000_000), None, Some(LAST_MICROS)];
    check(DataType::Timestamp, times(edges), expect!["published"]);
    check(
        DataType::Timestamp,
        times(vec![Some(0), Some(LAST_MICROS + 1)]),
        expect![[
            r#"tests/daily@1, period ds=1970-01-01: column `value` is +10000-01-01T00:00:00Z for entity carrier "B", outside of the years 0001 to 9999"#
        ]],
    );
    check(
        DataType::Timestamp,
        times(vec![Some(i64::MAX)]),
        expect![[
            r#"tests/daily@1, period ds=1970-01-01: column `value` is 9223372036854775807us for entity carrier "A", outside of the years 0001 to 9999"#
        ]],
    );
    check(
        DataType::Timestamp,
        times(vec![Some(-62_135_596_800_000_001)]),
        expect![[
            r#"tests/daily@1, period ds=1970-01-01: column `value` is 0000-12-31T23:59:59.999999Z for entity carrier "A", outside of the years 0001 to 9999"#
        ]],
    );
    check(DataType::Date, Date32Array::from(vec![-719_162, LAST_DAY]), expect!["published"]);
    check(
        DataType::Date,
        Date32Array::from(vec![0, 0, LAST_DAY + 1]),
        expect![[
            r#"tests/daily@1, period ds=1970-01-01: column `value` is +10000-01-01 for entity carrier "C", outside of the years 0001 to 9999"#
        ]],
    );
    check(
        DataType::Date,
        Date32Array::from(vec![i32::MIN]),
        expect![[
            r#"tests/daily@1, period ds=1970-01-01: column `value` is -2147483648d for entity carrier "A", outside of the years 0001 to 9999"#
        ]],
    );
    // What stands behind a null is no value.
    let hidden =
        Date32Array::new(vec![i32::MAX, 0].into(), Some(NullBuffer::from(vec![false, true])));
    check(DataType::Date, hidden, expect!["published"]);
    let list = DataType::List(Box::new(DataType::Date));
    let days = Arc::new(Date32Array::from(vec![0, 1, LAST_DAY + 1]));
    check(
        list,
        lists(&DataType::Date, &[0, 1, 2], days),
        expect![[
            r#"tests/daily@1, period ds=1970-01-01: column `value` is +10000-01-01 for entity carrier "C", outside of the years 0001 to 9999"#
        ]],
    );
    // Views that are not served are held to it too: training sets show them.
    let wrong = Arc::new(Date32Array::from(vec![LAST_DAY + 1]));
    checked(&DataType::Date, wrong, false).unwrap_err();
}

#[test]
fn values_and_rows_fit_into_the_online_store() {
    let text = |bytes: usize| "x".repeat(bytes);
    let fits = StringArray::from(vec![text(1), text(VALUE_BYTES_MAX)]);
    check(DataType::String, fits, expect!["published"]);
    let long = StringArray::from(vec![text(1), text(VALUE_BYTES_MAX + 1)]);
    check(
        DataType::String,
        long.clone(),
        expect![[
            r#"tests/daily@1, period ds=1970-01-01: feature `value` takes 1048577 bytes for entity carrier "B", more than the limit of 1048576 for one value"#
        ]],
    );
    checked(&DataType::String, Arc::new(long), false).unwrap();
    let bytes = vec![7; VALUE_BYTES_MAX + 1];
    check(
        DataType::Bytes,
        BinaryArray::from(vec![&*bytes]),
        expect![[
            r#"tests/daily@1, period ds=1970-01-01: feature `value` takes 1048577 bytes for entity carrier "A", more than the limit of 1048576 for one value"#
        ]],
    );
    let strings = DataType::List(Box::new(DataType::String));
    let items = Arc::new(StringArray::from(vec![text(VALUE_BYTES_MAX / 2); 3]));
    check(
        strings,
        lists(&DataType::String, &[1, 2], items),
        expect![[
            r#"tests/daily@1, period ds=1970-01-01: feature `value` takes 1048584 bytes for entity carrier "B", more than the limit of 1048576 for one value"#
        ]],
    );
    let doubles = DataType::List(Box::new(DataType::Float64));
    let many = Arc::new(Float64Array::from(vec![1.0; 100_000]));
    check(
        doubles,
        lists(&DataType::Float64, &[100_000], many),
        expect![[
            r#"tests/daily@1, period ds=1970-01-01: feature `value` takes 1200000 bytes for entity carrier "A", more than the limit of 1048576 for one value"#
        ]],
    );
    check(DataType::Int64, Int64Array::from(vec![i64::MAX]), expect!["published"]);
}

#[test]
fn rows_of_many_long_values_are_refused() {
    let mut view = view();
    view.features =
        (0..5).map(|n| feature(&format!("text_{n}"), DataType::String)).collect::<Vec<_>>();
    let columns = author_columns(&view);
    let check = |bytes: usize| {
        let mut arrays: Vec<ArrayRef> = vec![
            Arc::new(StringArray::from(vec!["AA", "UA"])),
            Arc::new(TimestampMicrosecondArray::from(vec![0; 2]).with_timezone(ZONE)),
        ];
        let text = "x".repeat(bytes);
        arrays.extend((0..5).map(|_| Arc::new(StringArray::from(vec!["", &text])) as ArrayRef));
        let rows = RecordBatch::try_new(arrow_schema(&columns), arrays).unwrap();
        let period = Period { start: Timestamp(0), end: Timestamp(86_400_000_000) };
        Values { view: &view, period, columns: &columns, rows: &rows }.check()
    };
    check(ROW_BYTES_MAX / 5 - 100).unwrap();
    expect![[r#"tests/daily@1, period ds=1970-01-01: entity carrier "UA": the row takes 4194378 bytes, more than the limit of 4194304; `text_4` has the most, 838860"#]].assert_eq(&check(ROW_BYTES_MAX / 5).unwrap_err().to_string());
}
