use std::sync::Arc;

use arrow::{
    array::{
        BooleanArray, Date32Array, Decimal128Array, Float32Array, Float64Array, Int64Array,
        ListArray, StringArray, TimestampMicrosecondArray,
    },
    datatypes::Int32Type,
};
use expect_test::{Expect, expect};
use proptest::prelude::*;
use trivium_model::KeyType;

use super::*;
use crate::{columns, testing::view};

fn check(data_type: &DataType, array: ArrayRef, expected: Expect) {
    let one = of_column("x", data_type, &array, VALUES_MAX).unwrap();
    let text = serde_json::to_string_pretty(&one).unwrap();
    assert_eq!(serde_json::from_str::<ColumnStatistics>(&text).unwrap(), one);
    expected.assert_eq(&serde_json::to_string(&one).unwrap());
}

#[test]
fn integers() {
    let array = Int64Array::from_iter((1..=200).map(|n| (n % 2 == 0).then_some(n)));
    check(
        &DataType::Int64,
        Arc::new(array),
        expect![[
            r#"{"column":"x","type":"int64","count":200,"null_count":100,"null_fraction":0.5,"distinct":{"count":100,"exact":true},"min":2,"max":200,"mean":101.0,"quantiles":{"0.01":2,"0.05":10,"0.25":50,"0.5":100,"0.75":150,"0.95":190,"0.99":198}}"#
        ]],
    );
    check(
        &DataType::Int64,
        Arc::new(Int64Array::from(vec![i64::MIN, i64::MAX])),
        expect![[
            r#"{"column":"x","type":"int64","count":2,"null_count":0,"null_fraction":0.0,"distinct":{"count":2,"exact":true},"min":"-9223372036854775808","max":"9223372036854775807","mean":0.0,"quantiles":{"0.01":"-9223372036854775808","0.05":"-9223372036854775808","0.25":"-9223372036854775808","0.5":"-9223372036854775808","0.75":"9223372036854775807","0.95":"9223372036854775807","0.99":"9223372036854775807"}}"#
        ]],
    );
}

#[test]
fn floats_tell_nan_from_null() {
    let values = [None, Some(f64::NAN), Some(-0.0), Some(0.0), Some(1.5), Some(f64::INFINITY)];
    check(
        &DataType::Float64,
        Arc::new(Float64Array::from_iter(values)),
        expect![[
            r#"{"column":"x","type":"float64","count":6,"null_count":1,"null_fraction":0.16666666666666666,"nan_count":1,"distinct":{"count":3,"exact":true},"min":0.0,"max":"Infinity","mean":"Infinity","quantiles":{"0.01":0.0,"0.05":0.0,"0.25":0.0,"0.5":0.0,"0.75":1.5,"0.95":"Infinity","0.99":"Infinity"}}"#
        ]],
    );
    let values = Float32Array::from(vec![0.1, 0.2, f32::NAN]);
    check(
        &DataType::Float32,
        Arc::new(values),
        expect![[
            r#"{"column":"x","type":"float32","count":3,"null_count":0,"null_fraction":0.0,"nan_count":1,"distinct":{"count":2,"exact":true},"min":0.1,"max":0.2,"mean":0.15000000223517418,"quantiles":{"0.01":0.1,"0.05":0.1,"0.25":0.1,"0.5":0.1,"0.75":0.2,"0.95":0.2,"0.99":0.2}}"#
        ]],
    );
}

#[test]
fn other_types() {
    let decimals = Decimal128Array::from(vec![Some(-150), None, Some(1_000_000)])
        .with_precision_and_scale(18, 2)
        .unwrap();
    let decimal = DataType::Decimal { precision: 18, scale: 2 };
    check(
        &decimal,
        Arc::new(decimals),
        expect![[
            r#"{"column":"x","type":"decimal(18, 2)","count":3,"null_count":1,"null_fraction":0.3333333333333333,"distinct":{"count":2,"exact":true},"min":"-1.50","max":"10000.00","mean":4999.25,"quantiles":{"0.01":"-1.50","0.05":"-1.50","0.25":"-1.50","0.5":"-1.50","0.75":"10000.00","0.95":"10000.00","0.99":"10000.00"}}"#
        ]],
    );
    check(
        &DataType::Date,
        Arc::new(Date32Array::from(vec![0, 15_706])),
        expect![[
            r#"{"column":"x","type":"date","count":2,"null_count":0,"null_fraction":0.0,"distinct":{"count":2,"exact":true},"min":"1970-01-01","max":"2013-01-01"}"#
        ]],
    );
    let instants =
        TimestampMicrosecondArray::from(vec![Some(1), None, Some(1)]).with_timezone("UTC");
    check(
        &DataType::Timestamp,
        Arc::new(instants),
        expect![[
            r#"{"column":"x","type":"timestamp","count":3,"null_count":1,"null_fraction":0.3333333333333333,"distinct":{"count":1,"exact":true},"min":"1970-01-01T00:00:00.000001Z","max":"1970-01-01T00:00:00.000001Z"}"#
        ]],
    );
    let flags = BooleanArray::from(vec![Some(true), None, Some(true)]);
    check(
        &DataType::Bool,
        Arc::new(flags),
        expect![[
            r#"{"column":"x","type":"bool","count":3,"null_count":1,"null_fraction":0.3333333333333333,"distinct":{"count":1,"exact":true}}"#
        ]],
    );
    let texts = StringArray::from(vec![Some("né"), Some(""), None, Some("né")]);
    check(
        &DataType::String,
        Arc::new(texts),
        expect![[
            r#"{"column":"x","type":"string","count":4,"null_count":1,"null_fraction":0.25,"distinct":{"count":2,"exact":true},"lengths":{"min":0,"max":2,"mean":1.3333333333333333}}"#
        ]],
    );
    let lists = ListArray::from_iter_primitive::<Int32Type, _, _>([
        Some(vec![Some(1), None]),
        None,
        Some(vec![]),
    ]);
    check(
        &DataType::List(Box::new(DataType::Int32)),
        Arc::new(lists),
        expect![[
            r#"{"column":"x","type":"list<int32>","count":3,"null_count":1,"null_fraction":0.3333333333333333,"lengths":{"min":0,"max":2,"mean":1.0}}"#
        ]],
    );
    check(
        &DataType::Int64,
        Arc::new(Int64Array::from(Vec::<i64>::new())),
        expect![[
            r#"{"column":"x","type":"int64","count":0,"null_count":0,"null_fraction":0.0,"distinct":{"count":0,"exact":true}}"#
        ]],
    );
}

#[test]
fn huge_sums_are_not_lost() {
    let values = [1.0, 1e100, 1.0, -1e100];
    let one = of_column(
        "x",
        &DataType::Float64,
        &(Arc::new(Float64Array::from(values.to_vec())) as ArrayRef),
        VALUES_MAX,
    );
    assert_eq!(one.unwrap().mean, Some(Json::from(0.5)));
}

#[test]
fn memory_is_bounded_and_what_is_lost_is_small() {
    let many = 5 * DISTINCT_MAX as i64;
    let array: ArrayRef = Arc::new(Int64Array::from_iter_values((0..many).map(|n| n * 7 % many)));
    let one = of_column("x", &DataType::Int64, &array, 1_000).unwrap();
    let distinct = one.distinct.unwrap();
    assert!(!distinct.exact);
    let error = (distinct.count as f64 / many as f64 - 1.0).abs();
    assert!(error < 0.02, "{distinct:?}");
    let median = one.quantiles["0.5"].as_i64().unwrap();
    assert!((median as f64 / many as f64 - 0.5).abs() < 0.05, "{median}");
    assert_eq!((one.min, one.max), (Some(0.into()), Some((many - 1).into())));

    let numbers = Numbers::of(0..many, 1_000);
    assert!((500..=1_000).contains(&numbers.values.len()), "{}", numbers.values.len());
    assert!(numbers.distinct.hashes.len() < 2 * DISTINCT_MAX);
    let kept: Vec<i64> = Numbers::of(0..10i64, 4).values;
    assert_eq!(kept, [0, 4, 8], "each fourth");
}

#[test]
fn as_many_as_the_bound_are_counted_exactly() {
    let mut counter = Counter::default();
    for round in 0..3 {
        for n in 0..DISTINCT_MAX as i64 {
            counter.add_hash(Number::hash(if round == 1 {
                DISTINCT_MAX as i64 - 1 - n
            } else {
                n
            }));
        }
    }
    assert_eq!(counter.count(), Distinct { count: DISTINCT_MAX as u64, exact: true });
}

/// Nothing that stands in a row's text, or in a join key, is repeated.
#[test]
fn persons_are_not_repeated() {
    let mut view = view();
    view.entities[0].key_type = KeyType::Int64;
    view.features.push(crate::testing::feature("note", DataType::String));
    let schema = columns::arrow_schema(&columns::published_columns(&view));
    let instant = || Arc::new(TimestampMicrosecondArray::from(vec![1]).with_timezone("UTC"));
    let rows = RecordBatch::try_new(
        schema,
        vec![
            Arc::new(Int64Array::from(vec![777_001])),
            instant(),
            Arc::new(Int64Array::from(vec![5])),
            Arc::new(Float64Array::from(vec![0.5])),
            Arc::new(StringArray::from(vec!["secretly"])),
            instant(),
        ],
    )
    .unwrap();
    let statistics = of(&view, &rows).unwrap();
    let names: Vec<&str> = statistics.iter().map(|one| one.column.as_str()).collect();
    assert_eq!(names, ["carrier", "event_ts", "flights", "delay", "note", "carried_from"]);
    let text = serde_json::to_string(&statistics).unwrap();
    assert!(!text.contains("777001") && !text.contains("secretly"), "{text}");
    assert_eq!(statistics[0].distinct, Some(Distinct { count: 1, exact: true }));
    assert_eq!(statistics[2].quantiles["0.99"], 5);
}

proptest! {
    #[test]
    fn quantiles_are_nearest_ranks(values in prop::collection::vec(-50i64..50, 1..200)) {
        let array: ArrayRef = Arc::new(Int64Array::from(values.clone()));
        let one = of_column("x", &DataType::Int64, &array, VALUES_MAX).unwrap();
        let mut sorted = values;
        sorted.sort_unstable();
        for (name, hundredths) in QUANTILES {
            let wanted = *sorted
                .iter()
                .find(|value| {
                    let below = sorted.iter().filter(|other| other <= value).count();
                    below * 100 >= hundredths * sorted.len()
                })
                .unwrap();
            prop_assert_eq!(&one.quantiles[name], &Json::from(wanted));
        }
        sorted.dedup();
        prop_assert_eq!(one.distinct, Some(Distinct { count: sorted.len() as u64, exact: true }));
    }
}
