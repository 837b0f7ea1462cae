//! Rows and keys that every implementation reads and writes alike (testdata/vectors/README.md).
//!
//! The files are compared with what this codec makes of the same values; `UPDATE_EXPECT=1` writes
//! them. Once a format version is released its file is never written again: a difference is a
//! break of stored data.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{fs, path::PathBuf};

use bytes::Bytes;
use serde_json::{Value as Json, json};
use trivium_codec::{Header, KeyShape, Row, RowEncoder, Schema, ValueRef};
use trivium_model::{DataType, Distance, KeyValue, Lane, Name, Timestamp, Value, ViewRef};

fn check_file(file: &str, made: &Json) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../testdata/vectors").join(file);
    let text = format!("{:#}\n", made);
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        fs::write(&path, &text).unwrap();
    }
    let stored = fs::read_to_string(&path).unwrap_or_default();
    assert!(stored == text, "{file} is not what the codec makes; UPDATE_EXPECT=1 writes it anew");
}

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
        .collect()
}

/// Numbers that JSON readers may spoil stand as text, floats as the hexadecimal of their bits.
fn value_json(value: Option<&Value>) -> Json {
    match value {
        None => json!({"unset": true}),
        Some(Value::Null) => json!({"null": true}),
        Some(Value::Bool(value)) => json!({"bool": value}),
        Some(Value::Int32(value)) => json!({"int32": value}),
        Some(Value::Int64(value)) => json!({"int64": value.to_string()}),
        Some(Value::Float32(value)) => json!({"float32": format!("{:08x}", value.to_bits())}),
        Some(Value::Float64(value)) => json!({"float64": format!("{:016x}", value.to_bits())}),
        Some(Value::String(value)) => json!({"string": value}),
        Some(Value::Bytes(value)) => json!({"bytes": hex(value)}),
        Some(Value::Timestamp(value)) => json!({"timestamp": value.0.to_string()}),
        Some(Value::Date(value)) => json!({"date": value}),
        Some(Value::Decimal(value)) => json!({"decimal": value.to_string()}),
        Some(Value::List(items)) => {
            json!({"list": items.iter().map(|item| value_json(Some(item))).collect::<Vec<_>>()})
        }
        Some(Value::Embedding(components)) => {
            let bits = components.iter().map(|value| format!("{:08x}", value.to_bits()));
            json!({"embedding": bits.collect::<Vec<_>>()})
        }
    }
}

fn key_json(value: &KeyValue) -> Json {
    match value {
        KeyValue::String(value) => json!({"string": value}),
        KeyValue::Int64(value) => json!({"int64": value.to_string()}),
        KeyValue::Bool(value) => json!({"bool": value}),
        KeyValue::Bytes(value) => json!({"bytes": hex(value)}),
        KeyValue::Date(value) => json!({"date": value}),
        KeyValue::Timestamp(value) => json!({"timestamp": value.0.to_string()}),
    }
}

struct Case {
    name: &'static str,
    fields: Vec<(&'static str, DataType, Option<Value>)>,
    lane: Lane,
    rev: u64,
    event_time: i64,
    sequence: u64,
    write_id: u128,
}

fn case(name: &'static str, fields: Vec<(&'static str, DataType, Option<Value>)>) -> Case {
    Case {
        name,
        fields,
        lane: Lane::Batch,
        rev: 1_388_534_400_000_001,
        event_time: 1_388_534_400_000_000,
        sequence: 0,
        write_id: 0,
    }
}

fn cases() -> Vec<Case> {
    use DataType::{Bool, Bytes, Date, Float32, Float64, Int32, Int64, String as Text};
    let list = |item: DataType| DataType::List(Box::new(item));
    let decimal = DataType::Decimal { precision: 38, scale: 10 };
    let embedding = DataType::Embedding { dimension: 3, metric: Distance::Cosine };
    let text = |text: &str| Some(Value::String(text.into()));
    vec![
        case(
            "the example of the overview",
            vec![
                ("flights", Int64, Some(Value::Int64(38))),
                ("avg_dep_delay", Float64, Some(Value::Float64(4.2))),
            ],
        ),
        case(
            "null and unset",
            vec![
                ("a", Int64, Some(Value::Null)),
                ("b", Int64, None),
                ("c", Text, Some(Value::Null)),
                ("d", Text, None),
                ("e", Int64, Some(Value::Int64(0))),
                ("f", Text, text("")),
            ],
        ),
        case(
            "more than eight fields",
            (0..17)
                .map(|number| {
                    let names = [
                        "a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n", "o",
                        "p", "q",
                    ];
                    let value = match number % 3 {
                        0 => Some(Value::Bool(number % 2 == 0)),
                        1 => None,
                        _ => Some(Value::Null),
                    };
                    (names[number], Bool, value)
                })
                .collect(),
        ),
        case(
            "integers at their ends",
            vec![
                ("a", Int32, Some(Value::Int32(i32::MIN))),
                ("b", Int32, Some(Value::Int32(i32::MAX))),
                ("c", Int64, Some(Value::Int64(i64::MIN))),
                ("d", Int64, Some(Value::Int64(i64::MAX))),
                ("e", Int64, Some(Value::Int64((1 << 53) + 1))),
                ("f", Date, Some(Value::Date(-719_529))),
                ("g", DataType::Timestamp, Some(Value::Timestamp(Timestamp(i64::MIN)))),
            ],
        ),
        case(
            "floats keep their bits",
            vec![
                ("nan", Float64, Some(Value::Float64(f64::NAN))),
                ("other_nan", Float64, Some(Value::Float64(f64::from_bits(0xfff4_0000_0000_0001)))),
                ("minus_zero", Float64, Some(Value::Float64(-0.0))),
                ("smallest", Float64, Some(Value::Float64(5e-324))),
                ("infinite", Float32, Some(Value::Float32(f32::NEG_INFINITY))),
                ("small_nan", Float32, Some(Value::Float32(f32::from_bits(0x7fc0_0001)))),
                ("tenth", Float32, Some(Value::Float32(0.1))),
            ],
        ),
        case(
            "decimals",
            vec![
                ("a", decimal.clone(), Some(Value::Decimal(10_i128.pow(38) - 1))),
                ("b", decimal.clone(), Some(Value::Decimal(-(10_i128.pow(38) - 1)))),
                ("c", DataType::Decimal { precision: 9, scale: 2 }, Some(Value::Decimal(-1250))),
            ],
        ),
        case(
            "text and bytes",
            vec![
                ("a", Text, text("héllo \u{1F600}")),
                ("b", Bytes, Some(Value::Bytes(vec![0, 127, 128, 255]))),
                ("c", Text, text("a\0b")),
                ("d", Bytes, Some(Value::Bytes(vec![]))),
            ],
        ),
        case(
            "lists",
            vec![
                (
                    "a",
                    list(Int64),
                    Some(Value::List(vec![Value::Int64(1), Value::Null, Value::Int64(-1)])),
                ),
                (
                    "b",
                    list(Text),
                    Some(Value::List(vec![
                        Value::String("x".into()),
                        Value::Null,
                        Value::String(String::new()),
                        Value::String("é".into()),
                    ])),
                ),
                (
                    "c",
                    list(Bool),
                    Some(Value::List(vec![
                        Value::Bool(true),
                        Value::Bool(false),
                        Value::Null,
                        Value::Bool(true),
                        Value::Null,
                        Value::Null,
                        Value::Null,
                        Value::Null,
                        Value::Bool(true),
                    ])),
                ),
                ("d", list(Float32), Some(Value::List(vec![]))),
                (
                    "e",
                    list(Bytes),
                    Some(Value::List(vec![Value::Bytes(vec![1, 2]), Value::Bytes(vec![])])),
                ),
                ("f", list(decimal), Some(Value::List(vec![Value::Decimal(-1)]))),
                ("g", list(Date), Some(Value::Null)),
                ("h", list(Float64), None),
            ],
        ),
        case(
            "embeddings",
            vec![
                ("a", embedding.clone(), Some(Value::Embedding(vec![0.1, -0.0, 1.0]))),
                ("b", embedding.clone(), Some(Value::Null)),
                ("c", embedding, None),
            ],
        ),
        Case {
            lane: Lane::Direct,
            rev: u64::MAX,
            event_time: -1,
            sequence: u64::MAX,
            write_id: 0x0102_0304_0506_0708_090a_0b0c_0d0e_0f10,
            ..case("a full header", vec![("a", Bool, Some(Value::Bool(true)))])
        },
        Case { lane: Lane::Stream, ..case("from a stream", vec![("a", Text, text("s"))]) },
    ]
}

#[test]
fn rows() {
    let mut made = Vec::new();
    for case in cases() {
        let fields =
            case.fields.iter().map(|(field, data_type, _)| (name(field), data_type.clone()));
        let schema = Schema::new(fields).unwrap();
        let values: Vec<Option<ValueRef<'_>>> =
            case.fields.iter().map(|(_, _, value)| value.as_ref().map(ValueRef::from)).collect();
        let row = RowEncoder::new(&schema).encode(case.lane, &values).unwrap().with_stamp(
            case.rev,
            Timestamp(case.event_time),
            case.sequence,
            case.write_id,
        );
        made.push(row_json(case.name, &schema, &row));
        if case.name == "a full header" {
            made.push(row_json("a tombstone", &schema, &Row::tombstone(&row.header())));
        }
    }
    // What stands in the file is read back, not only what was just made.
    for vector in &made {
        let row = Row::from_bytes(Bytes::from(unhex(vector["row"].as_str().unwrap()))).unwrap();
        let fields = vector["schema"].as_array().unwrap().iter().map(|field| {
            let data_type = serde_json::from_value(field["type"].clone()).unwrap();
            (name(field["name"].as_str().unwrap()), data_type)
        });
        let schema = Schema::new(fields).unwrap();
        assert_eq!(&row_json(vector["name"].as_str().unwrap(), &schema, &row), vector);
    }
    check_file("rows.v1.json", &json!({ "rows": made }));
}

fn row_json(name: &str, schema: &Schema, row: &Row) -> Json {
    let Header { rev, event_time, sequence, write_id, lane, deleted, fingerprint } = row.header();
    let values: Vec<Json> = if deleted {
        Vec::new()
    } else {
        let reader = row.reader(schema).unwrap();
        reader.verify().unwrap();
        (0..schema.len())
            .map(|index| value_json(reader.get(index).unwrap().map(ValueRef::to_owned).as_ref()))
            .collect()
    };
    let fields =
        schema.fields().iter().map(|field| json!({"name": field.name, "type": field.data_type}));
    json!({
        "name": name,
        "schema": fields.collect::<Vec<_>>(),
        "fingerprint": fingerprint.to_string(),
        "lane": lane,
        "deleted": deleted,
        "rev": rev.to_string(),
        "event_time": event_time.0.to_string(),
        "sequence": sequence.to_string(),
        "write_id": format!("{write_id:032x}"),
        "values": values,
        "row": hex(row.as_bytes()),
    })
}

#[test]
fn refused_rows() {
    let schema =
        Schema::new([(name("a"), DataType::Int64), (name("b"), DataType::String)]).unwrap();
    let values = [Some(ValueRef::Int64(1)), Some(ValueRef::String("é"))];
    let good = RowEncoder::new(&schema).encode(Lane::Batch, &values).unwrap();
    let mut made = Vec::new();
    let mut refuse = |why: &str, bytes: Vec<u8>| {
        let read = Row::from_bytes(Bytes::from(bytes.clone()))
            .and_then(|row| row.reader(&schema)?.verify());
        assert!(read.is_err(), "{why}");
        made.push(json!({"name": why, "row": hex(&bytes)}));
    };
    let set = |at: usize, value: u8| {
        let mut bytes = good.as_bytes().to_vec();
        bytes[at] = value;
        bytes
    };
    let cut = |length: usize| {
        let mut bytes = good.as_bytes()[..length].to_vec();
        bytes[4..8].copy_from_slice(&(length as u32).to_le_bytes());
        bytes
    };
    refuse("nothing", Vec::new());
    refuse("a format version that is not known", set(0, 9));
    refuse("a flag that is not known", set(1, 0x80));
    refuse("a tombstone with values", set(1, 1));
    refuse("a lane that is not known", set(2, 3));
    refuse("a reserved byte that is not zero", set(3, 1));
    refuse("a length that is not the row's", set(4, 0));
    refuse("another schema's fingerprint", set(8, good.as_bytes()[8] ^ 1));
    refuse("a value both null and unset", {
        let mut bytes = set(56, 1);
        bytes[57] = 1;
        bytes
    });
    refuse("a bit for a field that is not there", set(56, 4));
    refuse("an offset outside of the row", set(66, 0xff));
    refuse("text that is not UTF-8", set(good.as_bytes().len() - 1, 0xff));
    refuse("a row without its fixed section", cut(58));
    refuse("a row without its last byte", cut(good.as_bytes().len() - 1));
    refuse("a row with a byte too many", {
        let mut bytes = good.as_bytes().to_vec();
        bytes.push(0);
        let length = bytes.len() as u32;
        bytes[4..8].copy_from_slice(&length.to_le_bytes());
        bytes
    });
    let fields =
        schema.fields().iter().map(|field| json!({"name": field.name, "type": field.data_type}));
    let schema = fields.collect::<Vec<_>>();
    check_file("refused.v1.json", &json!({ "schema": schema, "rows": made }));
}

#[test]
fn keys() {
    let text = |text: &str| KeyValue::String(text.into());
    let cases: Vec<Vec<(&str, KeyValue)>> = vec![
        vec![("carrier", text("AA")), ("origin", text("JFK"))],
        vec![("a", text(""))],
        vec![("a", text("a|b#c%d"))],
        vec![("a", text("\0\t\n\u{1f}\u{7f}"))],
        vec![("a", text("s:x")), ("b", text("|s:x"))],
        vec![("a", text("é e\u{301} \u{1F600} ~/+=&?"))],
        vec![("a", KeyValue::Int64(5))],
        vec![("a", KeyValue::Int64(i64::MIN)), ("b", KeyValue::Int64(i64::MAX))],
        vec![("a", KeyValue::Bool(true)), ("b", KeyValue::Bool(false))],
        vec![("a", KeyValue::Bytes(vec![]))],
        vec![("a", KeyValue::Bytes(vec![0, 255, 254, 253])), ("b", text("5"))],
        vec![("a", KeyValue::Date(15_706)), ("b", KeyValue::Date(-1))],
        vec![("a", KeyValue::Date(-719_529)), ("b", KeyValue::Date(2_932_897))],
        vec![("a", KeyValue::Date(i32::MIN)), ("b", KeyValue::Date(i32::MAX))],
        vec![
            ("a", KeyValue::Timestamp(Timestamp(-1))),
            ("b", KeyValue::Timestamp(Timestamp(1_388_534_400_000_000))),
        ],
    ];
    let view = ViewRef { namespace: name("flights"), view: name("carrier_daily"), version: 1 };
    let made: Vec<Json> = cases
        .iter()
        .map(|entity| {
            let keys = entity.iter().map(|(key, value)| (name(key), value.key_type()));
            let shape = KeyShape::from_parts(&view, keys);
            let values: Vec<KeyValue> = entity.iter().map(|(_, value)| value.clone()).collect();
            let key = shape.encode(&values).unwrap();
            assert_eq!(shape.decode(&key).unwrap(), values);
            let keys = entity.iter().map(|(key, value)| {
                json!({"name": key, "type": value.key_type(), "value": key_json(value)})
            });
            json!({
                "view": view,
                "keys": keys.collect::<Vec<_>>(),
                "partition": key.partition(),
                "sort": key.sort(),
            })
        })
        .collect();
    check_file("keys.v1.json", &json!({ "keys": made }));
}
