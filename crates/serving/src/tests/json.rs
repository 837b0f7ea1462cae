//! JSON of values: what is put is read back as it was, spelled by the one set of rules.

use expect_test::expect;
use proptest::prelude::*;
use trivium_codec::ValueRef;
use trivium_model::{DataType, Timestamp, Value, json::value_to_json};

use super::fixture::Fixture;
use crate::{json_buffer::JsonBuffer, json_out::write_value, json_text::parse};

#[tokio::test]
async fn every_type_comes_back_as_it_was_put() {
    let fixture = Fixture::new();
    let values = r#"{"f_bool":true,"f_int32":-2147483648,"f_int64":"9007199254740993","f_float32":0.1,"f_float64":-0.0,"f_string":"é \"\\\u0001\n","f_bytes":"AP8=","f_timestamp":"2013-01-01T00:00:00.000001Z","f_date":"2013-12-31","f_decimal":"-12.50","f_list":[1,null,"9223372036854775807"],"f_texts":["","a"],"f_vector":[1.5,-2.0]}"#;
    let more = r#"{"f_float32":"NaN","f_float64":"-Infinity","f_int64":9007199254740992,"f_texts":[],"f_string":"","f_decimal":0}"#;
    fixture
        .call(
            "put",
            &format!(
                r#"{{"view":"shop/every_type@1","rows":[{{"entity":{{"user_id":1}},"values":{values}}},{{"entity":{{"user_id":2}},"values":{more}}}]}}"#
            ),
        )
        .await;
    let answer = fixture
        .call(
            "get",
            r#"{"features":["shop/every_type@1"],"entities":[{"user_id":1},{"user_id":2}]}"#,
        )
        .await;
    let rows = answer.split_once("\"rows\":").unwrap().1;
    expect![[r#"[{"values":[true,-2147483648,"9007199254740993",0.1,-0.0,"é \"\\\u0001\n","AP8=","2013-01-01T00:00:00.000001Z","2013-12-31","-12.50",[1,null,"9223372036854775807"],["","a"],[1.5,-2.0]],"event_times":{"shop/every_type@1":"2014-01-01T00:00:00Z"},"revs":{"shop/every_type@1":1700000000000000}},{"values":[null,null,9007199254740992,"NaN","-Infinity","",null,null,null,"0.00",null,[],null],"statuses":["NOT_FOUND","NOT_FOUND","PRESENT","PRESENT","PRESENT","PRESENT","NOT_FOUND","NOT_FOUND","NOT_FOUND","PRESENT","NOT_FOUND","PRESENT","NOT_FOUND"],"event_times":{"shop/every_type@1":"2014-01-01T00:00:00Z"},"revs":{"shop/every_type@1":1700000000000000}}]}"#]]
        .assert_eq(rows);
}

fn typed_value() -> impl Strategy<Value = (DataType, Value)> {
    prop_oneof![
        any::<bool>().prop_map(|v| (DataType::Bool, Value::Bool(v))),
        any::<i32>().prop_map(|v| (DataType::Int32, Value::Int32(v))),
        any::<i64>().prop_map(|v| (DataType::Int64, Value::Int64(v))),
        (-4i64..4).prop_map(|d| (DataType::Int64, Value::Int64((1 << 53) + d))),
        (-4i64..4).prop_map(|d| (DataType::Int64, Value::Int64(-(1 << 53) + d))),
        any::<u32>().prop_map(|v| (DataType::Float32, Value::Float32(f32::from_bits(v)))),
        any::<u64>().prop_map(|v| (DataType::Float64, Value::Float64(f64::from_bits(v)))),
        any::<String>().prop_map(|v| (DataType::String, Value::String(v))),
        any::<Vec<u8>>().prop_map(|v| (DataType::Bytes, Value::Bytes(v))),
        any::<i64>().prop_map(|v| (DataType::Timestamp, Value::Timestamp(Timestamp(v)))),
        (-62_135_596_800_000_000i64..253_402_300_800_000_000)
            .prop_map(|v| (DataType::Timestamp, Value::Timestamp(Timestamp(v)))),
        (-62_135_596_800i64..253_402_300_800)
            .prop_map(|v| (DataType::Timestamp, Value::Timestamp(Timestamp(v * 1_000_000)))),
        any::<i32>().prop_map(|v| (DataType::Date, Value::Date(v))),
        (0u8..5, -1_000_000i128..1_000_000)
            .prop_map(|(scale, v)| (DataType::Decimal { precision: 20, scale }, Value::Decimal(v))),
        prop::collection::vec(any::<Option<i64>>(), 0..4).prop_map(|items| (
            DataType::List(Box::new(DataType::Int64)),
            Value::List(items.into_iter().map(|v| v.map_or(Value::Null, Value::Int64)).collect())
        )),
    ]
}

proptest! {
    /// The writer without a tree and the model's, which has one, spell everything alike; but for a float in the
    /// middle of two shortest spellings, which may have either.
    #[test]
    fn the_writer_spells_as_the_model_does((data_type, value) in typed_value()) {
        let mut out = Vec::new();
        write_value(&mut out, ValueRef::from(&value), &data_type);
        let written: serde_json::Value = serde_json::from_slice(&out).unwrap();
        let expected = value_to_json(&data_type, &value);
        if let (Value::Float32(float), Some(number)) = (&value, written.as_f64()) {
            prop_assert_eq!(number as f32, *float);
            return Ok(());
        }
        prop_assert_eq!(written, expected, "{:?}", String::from_utf8_lossy(&out));
    }
}

/// Texts near JSON: tokens in any order.
fn near_json() -> impl Strategy<Value = String> {
    let token = prop::sample::select(vec![
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "\"a\"",
        "\"\\u00e9\"",
        "\"\\ud83d\\ude00\"",
        "\"\\ud83d\"",
        "\"\\x\"",
        "\"\u{1}\"",
        "\"é",
        "0",
        "-0",
        "01",
        "1.5",
        "1.",
        ".5",
        "1e5",
        "1E+5",
        "1e",
        "-",
        "true",
        "tru",
        "false",
        "null",
        " ",
        "\n",
        "\u{a0}",
        "12345678901234567890",
        "1e400",
    ]);
    prop::collection::vec(token, 0..8).prop_map(|tokens| tokens.concat())
}

proptest! {
    /// Our reader takes what serde_json takes, and reads the same. (A number beyond the
    /// doubles is one by the grammar; ours refuses it when it becomes a value.)
    #[test]
    fn the_reader_agrees_with_serde(text in near_json()) {
        let ours = parse(text.as_bytes());
        let theirs: Result<serde_json::Value, _> = serde_json::from_str(&text);
        match (ours, theirs) {
            (Ok(node), Ok(theirs)) => {
                if !text.contains('{') {
                    prop_assert_eq!(node.to_json().unwrap(), theirs);
                }
            }
            (Ok(_), Err(error)) => {
                prop_assert!(error.to_string().contains("out of range"), "{} {}", text, error);
            }
            (Err(error), Ok(_)) => prop_assert!(false, "{}: {}", text, error),
            (Err(_), Err(_)) => {}
        }
    }

    /// Not one bit of a double is lost on the way in.
    #[test]
    fn doubles_are_read_exactly(bits in any::<u64>()) {
        let value = f64::from_bits(bits);
        prop_assume!(value.is_finite());
        let text = zmij::Buffer::new().format_finite(value).to_owned();
        let node = parse(text.as_bytes()).unwrap().to_json().unwrap();
        prop_assert_eq!(node.as_f64().unwrap().to_bits(), bits);
    }
}

#[test]
fn numbers_of_every_length_are_copied_whole() {
    for length in 0..40 {
        let text: String = ('a'..='z').cycle().take(length).collect();
        for comma in [false, true] {
            let mut out = JsonBuffer::with_capacity(0);
            let mut expected = String::new();
            // Past the room that is made at once, with something else in between.
            for _ in 0..40 {
                out.append(|out| out.push(b'['));
                out.number(comma, &text);
                expected.push('[');
                expected.push_str(if comma { "," } else { "" });
                expected.push_str(&text);
                assert_eq!(out.len(), expected.len());
            }
            assert_eq!(String::from_utf8(out.into_bytes()).unwrap(), expected);
        }
    }
}

#[test]
fn deep_nesting_is_refused() {
    let error = parse("[".repeat(100_000).as_bytes()).unwrap_err();
    expect!["the request body is not JSON: values are nested too deeply at line 1 column 34"]
        .assert_eq(&error.to_string());
}
