use expect_test::{Expect, expect};
use proptest::prelude::*;
use serde_json::json;

use super::{
    day_from_text, day_to_text, decimal_from_text, decimal_to_text, key_from_json, key_to_json,
    value_from_json, value_to_json,
};
use crate::{DataType, Distance, KeyType, KeyValue, Timestamp, Value};

fn decimal(precision: u8, scale: u8) -> DataType {
    DataType::Decimal { precision, scale }
}

fn embedding(dimension: u32) -> DataType {
    DataType::Embedding { dimension, metric: Distance::Cosine }
}

/// Values that go there and back unchanged, with their one spelling.
fn round_trip(data_type: &DataType, text: &str, value: Value) {
    let json: serde_json::Value = serde_json::from_str(text).unwrap();
    let read = value_from_json(data_type, &json).unwrap();
    assert_eq!(format!("{read:?}"), format!("{value:?}"));
    assert_eq!(value_to_json(data_type, &read).to_string(), text);
}

#[test]
fn values_have_one_spelling() {
    use DataType as D;
    for data_type in [D::Bool, D::String, decimal(5, 2), D::List(Box::new(D::Date)), embedding(1)] {
        round_trip(&data_type, "null", Value::Null);
    }
    round_trip(&D::Bool, "true", Value::Bool(true));
    round_trip(&D::Int32, "-2147483648", Value::Int32(i32::MIN));
    round_trip(&D::Int64, "5", Value::Int64(5));
    round_trip(&D::Int64, "9007199254740992", Value::Int64(1 << 53));
    round_trip(&D::Int64, "\"9007199254740993\"", Value::Int64((1 << 53) + 1));
    round_trip(&D::Int64, "\"-9223372036854775808\"", Value::Int64(i64::MIN));
    round_trip(&D::Float64, "0.1", Value::Float64(0.1));
    round_trip(&D::Float64, "-0.0", Value::Float64(-0.0));
    round_trip(&D::Float64, "5e-324", Value::Float64(5e-324));
    round_trip(&D::Float64, "\"NaN\"", Value::Float64(f64::NAN));
    round_trip(&D::Float64, "\"-Infinity\"", Value::Float64(f64::NEG_INFINITY));
    round_trip(&D::Float32, "0.1", Value::Float32(0.1));
    round_trip(&D::Float32, "\"Infinity\"", Value::Float32(f32::INFINITY));
    round_trip(&D::String, "\"\"", Value::String(String::new()));
    round_trip(&D::Bytes, "\"AP8=\"", Value::Bytes(vec![0, 255]));
    round_trip(&D::Bytes, "\"\"", Value::Bytes(vec![]));
    round_trip(
        &D::Timestamp,
        "\"2014-01-01T00:00:00Z\"",
        Value::Timestamp(Timestamp(1_388_534_400_000_000)),
    );
    round_trip(&D::Timestamp, "\"1969-12-31T23:59:59.999999Z\"", Value::Timestamp(Timestamp(-1)));
    round_trip(&D::Date, "\"2013-01-01\"", Value::Date(15_706));
    round_trip(&decimal(5, 2), "\"-1.50\"", Value::Decimal(-150));
    round_trip(
        &decimal(38, 0),
        "\"99999999999999999999999999999999999999\"",
        Value::Decimal(10i128.pow(38) - 1),
    );
    round_trip(&decimal(38, 38), "\"0.00000000000000000000000000000000000001\"", Value::Decimal(1));
    round_trip(
        &D::List(Box::new(D::Int64)),
        "[1,null,\"9007199254740993\"]",
        Value::List(vec![Value::Int64(1), Value::Null, Value::Int64((1 << 53) + 1)]),
    );
    round_trip(&embedding(2), "[0.5,-1.0]", Value::Embedding(vec![0.5, -1.0]));
}

#[test]
fn other_spellings_that_lose_nothing() {
    let read = |data_type: &DataType, json| value_from_json(data_type, &json).unwrap();
    assert_eq!(read(&DataType::Float64, json!(5)), Value::Float64(5.0));
    assert_eq!(read(&decimal(5, 2), json!(7)), Value::Decimal(700));
    assert_eq!(read(&decimal(5, 2), json!("1.5000")), Value::Decimal(150));
    assert_eq!(read(&DataType::Int64, json!(i64::MAX)), Value::Int64(i64::MAX));
    let midnight = Value::Timestamp(Timestamp(0));
    assert_eq!(read(&DataType::Timestamp, json!("1970-01-01")), midnight);
    assert_eq!(read(&DataType::Timestamp, json!("1970-01-01T00:00:00")), midnight);
    assert_eq!(read(&DataType::Timestamp, json!("1970-01-01T02:00:00+02:00")), midnight);
}

fn refused(data_type: &DataType, json: serde_json::Value, expected: Expect) {
    expected.assert_eq(&value_from_json(data_type, &json).unwrap_err());
}

#[test]
fn wrong_values_name_the_expected_type() {
    use DataType as D;
    refused(&D::Bool, json!(1), expect!["expected bool, found the number 1"]);
    refused(
        &D::Int32,
        json!(2_147_483_648_i64),
        expect!["expected int32 (a number without fraction, 32 bits), found the number 2147483648"],
    );
    refused(
        &D::Int32,
        json!("1"),
        expect![[r#"expected int32 (a number without fraction, 32 bits), found the string "1""#]],
    );
    refused(
        &D::Int64,
        json!("5"),
        expect![[
            r#"expected int64 (a number without fraction; beyond 2^53 as a string), found the string "5""#
        ]],
    );
    refused(
        &D::Int64,
        json!(1.5),
        expect![
            "expected int64 (a number without fraction; beyond 2^53 as a string), found the number 1.5"
        ],
    );
    refused(
        &D::Int64,
        json!(5.0),
        expect![
            "expected int64 (a number without fraction; beyond 2^53 as a string), found the number 5.0"
        ],
    );
    refused(
        &D::Int64,
        json!("9223372036854775808"),
        expect![[
            r#"expected int64 (a number without fraction; beyond 2^53 as a string), found the string "9223372036854775808""#
        ]],
    );
    refused(
        &D::Int64,
        json!("+9007199254740993"),
        expect![[
            r#"expected int64 (a number without fraction; beyond 2^53 as a string), found the string "+9007199254740993""#
        ]],
    );
    refused(
        &D::Float32,
        json!(1e39),
        expect![[
            r#"expected float32 (a number, "NaN", "Infinity" or "-Infinity"), found the number 1e+39"#
        ]],
    );
    refused(
        &D::Float64,
        json!("nan"),
        expect![[
            r#"expected float64 (a number, "NaN", "Infinity" or "-Infinity"), found the string "nan""#
        ]],
    );
    refused(&D::String, json!(5), expect!["expected string, found the number 5"]);
    refused(
        &D::Bytes,
        json!("AP8"),
        expect![[r#"expected bytes (a string of standard base64), found the string "AP8""#]],
    );
    refused(
        &D::Timestamp,
        json!(0),
        expect![[
            r#"expected timestamp (a string such as "2014-01-01T00:00:00Z"), found the number 0"#
        ]],
    );
    refused(
        &D::Timestamp,
        json!("10000-01-01T00:00:00Z"),
        expect![[
            r#"expected timestamp (a string such as "2014-01-01T00:00:00Z"), found the string "10000-01-01T00:00:00Z""#
        ]],
    );
    refused(
        &D::Date,
        json!("2013-1-1"),
        expect![[r#"expected date (a string such as "2014-01-01"), found the string "2013-1-1""#]],
    );
    refused(
        &D::Date,
        json!("0000-01-01"),
        expect![[
            r#"expected date (a string such as "2014-01-01"), found the string "0000-01-01""#
        ]],
    );
    refused(
        &decimal(5, 2),
        json!(1.5),
        expect![[
            r#"expected decimal(5, 2) (a string such as "1.5" with at most 3 digits before and 2 after the point), found the number 1.5"#
        ]],
    );
    refused(
        &decimal(5, 2),
        json!("1000"),
        expect![[
            r#"expected decimal(5, 2) (a string such as "1.5" with at most 3 digits before and 2 after the point), found the string "1000""#
        ]],
    );
    refused(
        &decimal(5, 2),
        json!("1."),
        expect![[
            r#"expected decimal(5, 2) (a string such as "1.5" with at most 3 digits before and 2 after the point), found the string "1.""#
        ]],
    );
    refused(
        &decimal(5, 2),
        json!(".5"),
        expect![[
            r#"expected decimal(5, 2) (a string such as "1.5" with at most 3 digits before and 2 after the point), found the string ".5""#
        ]],
    );
    refused(
        &decimal(5, 2),
        json!("1e2"),
        expect![[
            r#"expected decimal(5, 2) (a string such as "1.5" with at most 3 digits before and 2 after the point), found the string "1e2""#
        ]],
    );
    refused(
        &D::List(Box::new(D::Int32)),
        json!([1, "2"]),
        expect![[
            r#"item 1: expected int32 (a number without fraction, 32 bits), found the string "2""#
        ]],
    );
    refused(
        &D::List(Box::new(D::Int32)),
        json!({"a": 1}),
        expect!["expected list<int32> (an array), found an object"],
    );
    refused(
        &embedding(2),
        json!([1]),
        expect!["expected embedding(2, cosine), found an array of 1 numbers"],
    );
    refused(
        &embedding(2),
        json!([1, null]),
        expect!["component 1: expected a finite float32, found null"],
    );
    refused(&D::String, json!({}), expect!["expected string, found an object"]);
    refused(
        &D::Bool,
        json!("a long text that goes on and on and does not end\n"),
        expect![[
            r#"expected bool, found a string starting with "a long text that goes on and on and does""#
        ]],
    );
}

#[test]
fn keys_are_told_apart() {
    let read = |key_type, json| key_from_json(key_type, &json);
    assert_eq!(read(KeyType::Int64, json!(5)), Ok(KeyValue::Int64(5)));
    assert_eq!(read(KeyType::String, json!("5")), Ok(KeyValue::String("5".into())));
    let large = KeyValue::Int64((1 << 53) + 1);
    assert_eq!(read(KeyType::Int64, json!("9007199254740993")), Ok(large.clone()));
    assert_eq!(key_to_json(&large), json!("9007199254740993"));
    assert_eq!(read(KeyType::Bool, json!(true)), Ok(KeyValue::Bool(true)));
    assert_eq!(read(KeyType::Date, json!("1970-01-02")), Ok(KeyValue::Date(1)));
    let check = |key_type, json, expected: Expect| {
        expected.assert_eq(&read(key_type, json).unwrap_err());
    };
    check(
        KeyType::Int64,
        json!("5"),
        expect![[
            r#"expected int64 (a number without fraction; beyond 2^53 as a string), found the string "5""#
        ]],
    );
    check(
        KeyType::Int64,
        json!(1.5),
        expect![
            "expected int64 (a number without fraction; beyond 2^53 as a string), found the number 1.5"
        ],
    );
    check(
        KeyType::Int64,
        json!(5.0),
        expect![
            "expected int64 (a number without fraction; beyond 2^53 as a string), found the number 5.0"
        ],
    );
    check(KeyType::String, json!(5), expect!["expected string, found the number 5"]);
    check(KeyType::String, json!(1.5), expect!["expected string, found the number 1.5"]);
    check(KeyType::String, json!(null), expect!["expected string, found null"]);
    check(KeyType::Bool, json!(1), expect!["expected bool, found the number 1"]);
    check(
        KeyType::Bytes,
        json!("*"),
        expect![[r#"expected bytes (a string of standard base64), found the string "*""#]],
    );
    check(
        KeyType::Date,
        json!(5),
        expect![[r#"expected date (a string such as "2014-01-01"), found the number 5"#]],
    );
    check(
        KeyType::Timestamp,
        json!("soon"),
        expect![[
            r#"expected timestamp (a string such as "2014-01-01T00:00:00Z"), found the string "soon""#
        ]],
    );
}

fn scalar() -> impl Strategy<Value = (DataType, Value)> {
    use DataType as D;
    // Instants and days of the years 0001 to 9999.
    let micros = -62_135_596_800_000_000..=253_402_300_799_999_999_i64;
    prop_oneof![
        any::<bool>().prop_map(|v| (D::Bool, Value::Bool(v))),
        any::<i32>().prop_map(|v| (D::Int32, Value::Int32(v))),
        any::<i64>().prop_map(|v| (D::Int64, Value::Int64(v))),
        proptest::num::f32::ANY.prop_map(|v| (D::Float32, Value::Float32(v))),
        proptest::num::f64::ANY.prop_map(|v| (D::Float64, Value::Float64(v))),
        any::<String>().prop_map(|v| (D::String, Value::String(v))),
        any::<Vec<u8>>().prop_map(|v| (D::Bytes, Value::Bytes(v))),
        micros.prop_map(|v| (D::Timestamp, Value::Timestamp(Timestamp(v)))),
        (-719_162..=2_932_896_i32).prop_map(|v| (D::Date, Value::Date(v))),
        (-(10i128.pow(20) - 1)..10i128.pow(20), 0u8..=20)
            .prop_map(|(v, scale)| (decimal(20, scale), Value::Decimal(v))),
    ]
}

proptest! {
    /// What is written, as text, is read again as the same value, through JSON and through serde.
    #[test]
    fn values_survive_json((data_type, value) in scalar()) {
        let text = value_to_json(&data_type, &value).to_string();
        let read = value_from_json(&data_type, &serde_json::from_str(&text).unwrap()).unwrap();
        prop_assert_eq!(format!("{value:?}"), format!("{read:?}"));
        let text = serde_json::to_string(&value).unwrap();
        let read: Value = serde_json::from_str(&text).unwrap();
        prop_assert_eq!(format!("{value:?}"), format!("{read:?}"));
    }

    #[test]
    fn decimals_survive_text(unscaled in -(10i128.pow(38) - 1)..10i128.pow(38), scale in 0u8..=38) {
        let text = decimal_to_text(unscaled, scale);
        prop_assert_eq!(decimal_from_text(&text, 38, scale), Some(unscaled));
    }

    #[test]
    fn any_text_is_read_or_refused(text in any::<String>()) {
        for data_type in [DataType::Int64, DataType::Float64, DataType::Bytes, DataType::Timestamp, DataType::Date, decimal(10, 3)] {
            let _ = value_from_json(&data_type, &json!(text));
        }
    }

    #[test]
    fn days_outside_the_calendar_are_shown(days in any::<i32>()) {
        let text = day_to_text(days);
        prop_assert!(day_from_text(&text).is_none_or(|read| read == days));
    }
}
