use bytes::Bytes;
use expect_test::{Expect, expect};
use proptest::prelude::*;
use trivium_model::{DataType, Distance, KeyType, KeyValue, Lane, Name, Timestamp, Value, ViewRef};

use crate::{
    Error, HEADER_BYTES, Header, KeyShape, KeyValueRef, Layouts, PARTITION_BYTES_MAX, Projection,
    ROW_BYTES_MAX, Row, RowEncoder, RowKey, Schema, ValueRef,
};

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

fn schema(fields: &[(&str, DataType)]) -> Schema {
    Schema::new(fields.iter().map(|(field, data_type)| (name(field), data_type.clone()))).unwrap()
}

fn list(item: DataType) -> DataType {
    DataType::List(Box::new(item))
}

fn decimal(precision: u8, scale: u8) -> DataType {
    DataType::Decimal { precision, scale }
}

fn encode(schema: &Schema, values: &[Option<Value>]) -> Result<Row, Error> {
    let values: Vec<Option<ValueRef<'_>>> =
        values.iter().map(|value| value.as_ref().map(ValueRef::from)).collect();
    RowEncoder::new(schema).encode(Lane::Batch, &values)
}

fn decode(schema: &Schema, row: &Row) -> Vec<Option<Value>> {
    let reader = row.reader(schema).unwrap();
    reader.verify().unwrap();
    (0..schema.len()).map(|index| reader.get(index).unwrap().map(ValueRef::to_owned)).collect()
}

/// Floats by their bits: NaN and -0.0 must come back as they were.
fn bits(value: &Option<Value>) -> String {
    match value {
        Some(Value::Float32(value)) => format!("f32 {:08x}", value.to_bits()),
        Some(Value::Float64(value)) => format!("f64 {:016x}", value.to_bits()),
        Some(Value::Embedding(values)) => {
            format!("{:?}", values.iter().map(|value| value.to_bits()).collect::<Vec<_>>())
        }
        Some(Value::List(items)) => {
            format!("{:?}", items.iter().cloned().map(|item| bits(&Some(item))).collect::<Vec<_>>())
        }
        other => format!("{other:?}"),
    }
}

fn all_bits(values: &[Option<Value>]) -> Vec<String> {
    values.iter().map(bits).collect()
}

fn roundtrip(fields: &[(&str, DataType)], values: &[Option<Value>]) {
    let schema = schema(fields);
    let row = encode(&schema, values).unwrap();
    assert_eq!(all_bits(&decode(&schema, &row)), all_bits(values));
}

#[test]
fn corners_of_every_type() {
    use DataType::{
        Bool, Bytes, Date, Float32, Float64, Int32, Int64, String, Timestamp as Instant,
    };
    let corners: Vec<(DataType, Vec<Value>)> = vec![
        (Bool, vec![Value::Bool(false), Value::Bool(true)]),
        (Int32, [i32::MIN, -1, 0, i32::MAX].map(Value::Int32).to_vec()),
        (Int64, [i64::MIN, -1, 0, (1 << 53) + 1, i64::MAX].map(Value::Int64).to_vec()),
        (
            Float32,
            [f32::MIN, -0.0, f32::MIN_POSITIVE, f32::NEG_INFINITY, f32::from_bits(0x7fa0_0001)]
                .map(Value::Float32)
                .to_vec(),
        ),
        (
            Float64,
            [f64::MAX, -0.0, 5e-324, f64::INFINITY, f64::from_bits(0xfff4_0000_0000_0001)]
                .map(Value::Float64)
                .to_vec(),
        ),
        (
            String,
            ["", "a\0b", "ä\u{1F600}", &"x".repeat(1 << 20)]
                .map(|text| Value::String(text.into()))
                .to_vec(),
        ),
        (Bytes, [vec![], vec![0, 255, 128], vec![7; 1 << 20]].map(Value::Bytes).to_vec()),
        (Instant, [i64::MIN, 0, i64::MAX].map(|at| Value::Timestamp(Timestamp(at))).to_vec()),
        (Date, [i32::MIN, 0, i32::MAX].map(Value::Date).to_vec()),
        (
            decimal(38, 10),
            [-(10_i128.pow(38) - 1), 0, 10_i128.pow(38) - 1].map(Value::Decimal).to_vec(),
        ),
        (decimal(1, 1), [-9, 9].map(Value::Decimal).to_vec()),
        (
            DataType::Embedding { dimension: 3, metric: Distance::Dot },
            vec![Value::Embedding(vec![-0.0, f32::NAN, f32::MAX])],
        ),
    ];
    for (data_type, values) in corners {
        for value in &values {
            roundtrip(&[("f", data_type.clone())], &[Some(value.clone())]);
            // Between neighbours that are there, null and unset.
            let fields =
                [("a", String), ("f", data_type.clone()), ("g", data_type.clone()), ("z", String)];
            let text = |text: &str| Some(Value::String(text.into()));
            for neighbour in [None, Some(Value::Null), Some(value.clone())] {
                roundtrip(
                    &fields,
                    &[text("left"), Some(value.clone()), neighbour.clone(), text("right")],
                );
                roundtrip(&fields, &[None, neighbour, Some(value.clone()), Some(Value::Null)]);
            }
        }
        if !matches!(data_type, DataType::Embedding { .. }) {
            let mut items = values;
            items.insert(1, Value::Null);
            items.push(Value::Null);
            roundtrip(&[("f", list(data_type.clone()))], &[Some(Value::List(items))]);
            roundtrip(&[("f", list(data_type.clone()))], &[Some(Value::List(vec![]))]);
            roundtrip(&[("f", list(data_type))], &[Some(Value::List(vec![Value::Null; 9]))]);
        }
    }
}

#[test]
fn null_is_not_unset() {
    let schema = schema(&[("a", DataType::Int64), ("b", DataType::String)]);
    let row = encode(&schema, &[None, Some(Value::Null)]).unwrap();
    assert_eq!(decode(&schema, &row), [None, Some(Value::Null)]);
}

#[test]
fn the_bytes_are_the_documented_ones() {
    fn check(fields: &[(&str, DataType)], values: &[Option<Value>], expected: Expect) {
        let schema = schema(fields);
        let row = encode(&schema, values).unwrap().with_stamp(0x0102, Timestamp(-2), 3, 0xfe);
        let bytes = row.as_bytes();
        let hex =
            |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect::<Vec<_>>().join(" ");
        let lines: Vec<String> = bytes.chunks(8).map(hex).collect();
        expected.assert_eq(&lines.join("\n"));
    }
    check(
        &[
            ("n", DataType::Int32),
            ("t", DataType::String),
            ("u", DataType::Int64),
            ("l", list(DataType::Bool)),
        ],
        &[
            Some(Value::Int32(258)),
            Some(Value::String("hé".into())),
            None,
            Some(Value::List(vec![Value::Bool(true), Value::Null])),
        ],
        expect![[r#"
            01 00 00 00 58 00 00 00
            46 f4 3e 79 82 5b 5d 33
            fe ff ff ff ff ff ff ff
            02 01 00 00 00 00 00 00
            03 00 00 00 00 00 00 00
            fe 00 00 00 00 00 00 00
            00 00 00 00 00 00 00 00
            00 04 02 01 00 00 00 00
            00 00 00 00 00 00 03 00
            00 00 0a 00 00 00 68 c3
            a9 02 00 00 00 02 01 00"#]],
    );
    check(
        &[("b", DataType::Bool)],
        &[Some(Value::Null)],
        expect![[r#"
        01 00 00 00 3b 00 00 00
        ea 41 f4 23 ae e2 2d 63
        fe ff ff ff ff ff ff ff
        02 01 00 00 00 00 00 00
        03 00 00 00 00 00 00 00
        fe 00 00 00 00 00 00 00
        00 00 00 00 00 00 00 00
        01 00 00"#]],
    );
}

#[test]
fn fingerprints_never_change() {
    let fingerprint = |fields: &[(&str, DataType)]| schema(fields).fingerprint().to_string();
    let text = [
        fingerprint(&[("flights", DataType::Int64), ("avg_dep_delay", DataType::Float64)]),
        fingerprint(&[("a", DataType::Bool), ("b", DataType::Int32), ("c", DataType::Float32)]),
        fingerprint(&[("a", DataType::String), ("b", DataType::Bytes), ("c", DataType::Date)]),
        fingerprint(&[
            ("a", decimal(18, 2)),
            ("b", list(decimal(38, 0))),
            ("c", DataType::Timestamp),
        ]),
        fingerprint(&[("e", DataType::Embedding { dimension: 384, metric: Distance::Cosine })]),
        fingerprint(&[("e", DataType::Embedding { dimension: 384, metric: Distance::L2 })]),
        fingerprint(&[("e", DataType::Embedding { dimension: 384, metric: Distance::Dot })]),
    ];
    expect![[r#"
        f1df4cd2ce228046
        4208886b4718d5fa
        1624966c0ef03448
        eb5d8065ad8f37c6
        2b0fbad52594e720
        96db7f5e68981051
        a2e212d53e6cbf63"#]]
    .assert_eq(&text.join("\n"));
    assert_ne!(
        fingerprint(&[("a", DataType::Bool), ("b", DataType::Bool)]),
        fingerprint(&[("b", DataType::Bool), ("a", DataType::Bool)]),
    );
}

#[test]
fn what_cannot_be_written_is_refused_by_name() {
    fn check(data_type: DataType, value: Value, expected: Expect) {
        let error = encode(&schema(&[("f", data_type)]), &[Some(value)]).unwrap_err();
        expected.assert_eq(&error.to_string());
    }
    check(DataType::Int64, Value::Int32(1), expect!["`f` is int64, but the value is int32"]);
    check(
        DataType::Float64,
        Value::String("1".into()),
        expect!["`f` is float64, but the value is string"],
    );
    check(
        decimal(3, 1),
        Value::Decimal(1000),
        expect!["`f` is decimal(3, 1), but the value is a decimal with more digits"],
    );
    check(
        decimal(3, 1),
        Value::Decimal(i128::MIN),
        expect!["`f` is decimal(3, 1), but the value is a decimal with more digits"],
    );
    check(
        DataType::Embedding { dimension: 2, metric: Distance::L2 },
        Value::Embedding(vec![1.0; 3]),
        expect!["`f` is embedding(2, l2), but the value is an embedding of 3"],
    );
    check(
        list(DataType::Int32),
        Value::List(vec![Value::Int32(1), Value::Int64(2)]),
        expect!["`f[1]` is int32, but the value is int64"],
    );
    check(
        list(DataType::Int32),
        Value::List(vec![Value::List(vec![])]),
        expect!["`f[0]` is int32, but the value is list"],
    );
    check(
        DataType::String,
        Value::String("x".repeat(ROW_BYTES_MAX)),
        expect![
            "the row would take 16777278 bytes, more than the limit of 16777216; shorten its strings, bytes or lists"
        ],
    );
    check(
        list(DataType::String),
        Value::List(vec![Value::String("x".repeat(ROW_BYTES_MAX / 2)); 3]),
        expect![
            "the row would take 16777295 bytes, more than the limit of 16777216; shorten its strings, bytes or lists"
        ],
    );
    let error = encode(&schema(&[("f", DataType::Bool)]), &[]).unwrap_err();
    expect!["0 values were given for 1 fields; give one for each field, `None` where it is unset"]
        .assert_eq(&error.to_string());
}

#[test]
fn bad_schemas_are_refused() {
    let check = |fields: Vec<(Name, DataType)>, expected: Expect| {
        expected.assert_eq(&Schema::new(fields).unwrap_err().to_string());
    };
    check(vec![], expect!["these fields make no row schema: there is none"]);
    check(
        vec![(name("a"), DataType::Bool), (name("a"), DataType::Int32)],
        expect!["these fields make no row schema: `a` stands there twice"],
    );
    check(
        vec![(name("a"), list(list(DataType::Bool)))],
        expect!["these fields make no row schema: `a` is list<list<bool>>; a list holds scalars"],
    );
    let many = (0..=crate::FIELDS_MAX).map(|number| (name(&format!("f{number}")), DataType::Bool));
    check(many.collect(), expect!["these fields make no row schema: 16385 of them, at most 16384"]);
}

#[test]
fn rows_that_cannot_be_read_say_why() {
    let schema = schema(&[("a", DataType::Int64), ("b", DataType::String)]);
    let row = encode(&schema, &[Some(Value::Int64(1)), Some(Value::String("é".into()))]).unwrap();
    let check = |change: &dyn Fn(&mut Vec<u8>), expected: Expect| {
        let mut bytes = row.as_bytes().to_vec();
        change(&mut bytes);
        let read =
            Row::from_bytes(Bytes::from(bytes)).and_then(|row| row.reader(&schema)?.verify());
        expected.assert_eq(&read.unwrap_err().to_string());
    };
    let set = |at: usize, value: u8| move |bytes: &mut Vec<u8>| bytes[at] = value;
    let resize = |length: usize| {
        move |bytes: &mut Vec<u8>| {
            bytes.resize(length, 0);
            if length >= 8 {
                bytes[4..8].copy_from_slice(&(length as u32).to_le_bytes());
            }
        }
    };
    let full = row.as_bytes().len();
    check(&set(0, 2), expect!["row format version 2 is not known here; upgrade this process"]);
    check(&set(1, 2), expect!["the row's bytes are corrupt: a reserved bit of the header is set"]);
    check(&set(1, 1), expect!["the row's bytes are corrupt: a tombstone has values"]);
    check(&set(2, 3), expect!["the row's bytes are corrupt: the header names no lane"]);
    check(&set(3, 1), expect!["the row's bytes are corrupt: a reserved bit of the header is set"]);
    check(
        &set(4, 0),
        expect!["the row's bytes are corrupt: the row's length is not the one in its header"],
    );
    check(
        &set(8, 0),
        expect!["the row was written under schema 0ff087b8699cfc00, not 0ff087b8699cfcfc"],
    );
    check(
        &set(HEADER_BYTES, 0xff),
        expect!["the row's bytes are corrupt: a bitmap has bits without a field"],
    );
    check(
        &set(HEADER_BYTES + 1, 0x80),
        expect!["the row's bytes are corrupt: a bitmap has bits without a field"],
    );
    check(
        &set(HEADER_BYTES + 2 + 8, 0xff),
        expect!["the row's bytes are corrupt: a value lies outside of the row"],
    );
    check(&set(full - 1, 0xff), expect!["the row's bytes are corrupt: a string is not UTF-8"]);
    check(&resize(0), expect!["the row's bytes are corrupt: the row is shorter than a header"]);
    check(
        &resize(HEADER_BYTES - 1),
        expect!["the row's bytes are corrupt: the row is shorter than a header"],
    );
    check(
        &resize(HEADER_BYTES),
        expect!["the row's bytes are corrupt: the row ends before its schema does"],
    );
    check(
        &resize(full - 1),
        expect!["the row's bytes are corrupt: a value lies outside of the row"],
    );
    check(
        &resize(full + 1),
        expect!["the row's bytes are corrupt: the row goes on after its last value"],
    );
}

#[test]
fn a_stamp_is_put_in_place_or_into_a_copy() {
    let schema = schema(&[("a", DataType::Int64)]);
    let row = encode(&schema, &[Some(Value::Int64(7))]).unwrap();
    let before = row.as_bytes().as_ptr();
    let row = row.with_stamp(1, Timestamp(2), 3, 4);
    assert_eq!(row.as_bytes().as_ptr(), before, "nobody else had it: no copy");
    let other = row.clone().with_stamp(u64::MAX, Timestamp(i64::MIN), u64::MAX, u128::MAX);
    let stamp = |header: Header| (header.rev, header.event_time, header.sequence, header.write_id);
    assert_eq!(stamp(row.header()), (1, Timestamp(2), 3, 4));
    assert_eq!(stamp(other.header()), (u64::MAX, Timestamp(i64::MIN), u64::MAX, u128::MAX));
    assert_eq!(decode(&schema, &row), decode(&schema, &other));
}

#[test]
fn tombstones_keep_their_stamp_and_have_no_values() {
    let schema = schema(&[("a", DataType::Int64)]);
    let row = encode(&schema, &[None]).unwrap().with_stamp(1, Timestamp(2), 3, 4);
    let tombstone = Row::tombstone(&row.header());
    assert_eq!(tombstone.header(), Header { deleted: true, ..row.header() });
    assert!(tombstone.is_deleted() && !row.is_deleted());
    assert_eq!(tombstone.reader(&schema).map(|_| ()), Err(Error::Deleted));
    assert_eq!(Row::from_bytes(tombstone.as_bytes().clone()), Ok(tombstone));
}

#[test]
fn rows_of_older_schemas_are_read_by_the_current_one() {
    let was = schema(&[
        ("gone", DataType::String),
        ("count", DataType::Int32),
        ("ratio", DataType::Float32),
        ("price", decimal(9, 2)),
        ("same", DataType::String),
    ]);
    let is = schema(&[
        ("same", DataType::String),
        ("new", DataType::Bool),
        ("count", DataType::Int64),
        ("ratio", DataType::Float64),
        ("price", decimal(18, 2)),
    ]);
    let old = encode(
        &was,
        &[
            None,
            Some(Value::Int32(-5)),
            Some(Value::Float32(0.1)),
            Some(Value::Decimal(1234)),
            Some(Value::String("s".into())),
        ],
    )
    .unwrap();
    let new = encode(
        &is,
        &[
            Some(Value::Null),
            Some(Value::Bool(true)),
            Some(Value::Int64(i64::MAX)),
            None,
            Some(Value::Decimal(1)),
        ],
    )
    .unwrap();
    let layouts = Layouts::new(is.clone(), [is.clone(), was.clone(), was]).unwrap();
    let read = |row: &Row| -> Vec<Option<Value>> {
        let reader = layouts.reader(row).unwrap();
        (0..is.len()).map(|index| reader.get(index).unwrap().map(ValueRef::to_owned)).collect()
    };
    assert_eq!(
        read(&old),
        [
            Some(Value::String("s".into())),
            None,
            Some(Value::Int64(-5)),
            Some(Value::Float64(f64::from(0.1_f32))),
            Some(Value::Decimal(1234)),
        ]
    );
    assert_eq!(read(&new), decode(&is, &new));
    // The short way says the same where it says anything: not of nulls, unset values, other widths
    // and older rows.
    let slot = |index| layouts.fixed_slot(index);
    assert!(slot(0).is_none(), "a string has no fixed width");
    let reader = layouts.reader(&new).unwrap();
    assert_eq!(reader.fixed::<1>(&slot(1).unwrap()), Some([1]));
    assert_eq!(reader.fixed(&slot(2).unwrap()), Some(i64::MAX.to_le_bytes()));
    assert_eq!(reader.fixed::<4>(&slot(2).unwrap()), None);
    assert_eq!(reader.fixed::<8>(&slot(3).unwrap()), None);
    assert_eq!(reader.fixed(&slot(4).unwrap()), Some(1_i128.to_le_bytes()));
    assert_eq!(layouts.reader(&old).unwrap().fixed::<8>(&slot(2).unwrap()), None);
    let unknown = schema(&[("x", DataType::Bool)]);
    let row = encode(&unknown, &[None]).unwrap();
    assert!(matches!(layouts.reader(&row), Err(Error::OtherSchema { .. })));
    assert!(layouts.reader(&old).unwrap().get(5).is_err());
    for (current, written) in [
        (DataType::Int32, DataType::Int64),
        (DataType::Float32, DataType::Float64),
        (DataType::Float64, DataType::Int32),
        (decimal(9, 2), decimal(18, 2)),
        (decimal(18, 3), decimal(9, 2)),
        (DataType::String, DataType::Bytes),
        (list(DataType::Int64), list(DataType::Int32)),
    ] {
        let (current, written) = (schema(&[("a", current)]), schema(&[("a", written)]));
        assert!(matches!(Projection::new(&current, &written), Err(Error::NotWidened { .. })));
    }
}

fn shape(keys: &[(&str, KeyType)]) -> KeyShape {
    let view = ViewRef { namespace: name("flights"), view: name("carrier_daily"), version: 12 };
    KeyShape::from_parts(&view, keys.iter().map(|(key, key_type)| (name(key), *key_type)))
}

#[test]
fn keys_are_readable() {
    fn check(keys: &[(&str, KeyType)], values: &[KeyValue], expected: Expect) {
        let shape = shape(keys);
        let key = shape.encode(values).unwrap();
        assert_eq!(shape.decode(&key).unwrap(), values);
        assert_eq!(RowKey::from_bytes(key.as_bytes()).unwrap(), key);
        expected.assert_eq(&format!("{key:?}"));
    }
    let text = |text: &str| KeyValue::String(text.into());
    check(
        &[("origin", KeyType::String), ("carrier", KeyType::String)],
        &[text("AA"), text("JFK")],
        expect!["flights#carrier+origin#s:AA|s:JFK carrier_daily#12"],
    );
    check(&[("a", KeyType::String)], &[text("")], expect!["flights#a#s: carrier_daily#12"]);
    check(
        &[("a", KeyType::String)],
        &[text("a|b#c%d\0\n\u{7f}é:/+ ")],
        expect!["flights#a#s:a%7Cb%23c%25d%00%0A%7Fé:/+  carrier_daily#12"],
    );
    check(
        &[("a", KeyType::Int64)],
        &[KeyValue::Int64(i64::MIN)],
        expect!["flights#a#i:-9223372036854775808 carrier_daily#12"],
    );
    check(
        &[("a", KeyType::Bool)],
        &[KeyValue::Bool(true)],
        expect!["flights#a#b:1 carrier_daily#12"],
    );
    check(
        &[("a", KeyType::Bytes)],
        &[KeyValue::Bytes(vec![0, 255, 254, 253])],
        expect!["flights#a#x:AP_-_Q carrier_daily#12"],
    );
    check(
        &[("a", KeyType::Date)],
        &[KeyValue::Date(15_706)],
        expect!["flights#a#d:2013-01-01 carrier_daily#12"],
    );
    check(
        &[("a", KeyType::Date)],
        &[KeyValue::Date(-719_529)],
        expect!["flights#a#d:-0001-12-31 carrier_daily#12"],
    );
    check(
        &[("a", KeyType::Date)],
        &[KeyValue::Date(i32::MIN)],
        expect!["flights#a#d:-5877641-06-23 carrier_daily#12"],
    );
    check(
        &[("a", KeyType::Date)],
        &[KeyValue::Date(i32::MAX)],
        expect!["flights#a#d:5881580-07-11 carrier_daily#12"],
    );
    check(
        &[("a", KeyType::Timestamp)],
        &[KeyValue::Timestamp(Timestamp(-1))],
        expect!["flights#a#t:-1 carrier_daily#12"],
    );
}

#[test]
fn wrong_keys_say_why() {
    let shape = shape(&[("origin", KeyType::String), ("flight", KeyType::Int64)]);
    let check = |values: &[KeyValue], expected: Expect| {
        expected.assert_eq(&shape.encode(values).unwrap_err().to_string());
    };
    check(&[], expect!["0 join key values were given, but the entity has 2: flight, origin"]);
    check(
        &[KeyValue::String("5".into()), KeyValue::String("x".into())],
        expect!["join key `flight` is int64, but the value is string"],
    );
    check(
        &[KeyValue::Int64(5), KeyValue::String("#".repeat(PARTITION_BYTES_MAX / 3))],
        expect![
            "the entity key takes 2074 bytes, more than the limit of 2048; use shorter join key values"
        ],
    );
    for id in [
        "s:",
        "i:5",
        "i:+5|s:a",
        "i:05|s:a",
        "i:5|s:%41",
        "i:5|s:%2",
        "i:5|s:%é",
        "i:5|s:a|s:b",
        "i:5|i:5",
    ] {
        let text = format!("flights#flight+origin#{id}\0carrier_daily#12");
        let key = RowKey::from_bytes(text.as_bytes()).unwrap();
        assert!(shape.decode(&key).is_err(), "{id}");
    }
    for text in ["", "\0", "a#b#c", "a#b\0c#1", "a#b#c\0d", "a#b#c\0d#1\0"] {
        assert!(RowKey::from_bytes(text.as_bytes()).is_err(), "{text:?}");
    }
}

fn any_scalar_type() -> impl Strategy<Value = DataType> {
    prop_oneof![
        Just(DataType::Bool),
        Just(DataType::Int32),
        Just(DataType::Int64),
        Just(DataType::Float32),
        Just(DataType::Float64),
        Just(DataType::String),
        Just(DataType::Bytes),
        Just(DataType::Timestamp),
        Just(DataType::Date),
        (1..=38_u8).prop_map(|precision| decimal(precision, precision / 2)),
    ]
}

fn any_value(data_type: &DataType) -> BoxedStrategy<Value> {
    let some = match data_type {
        DataType::Bool => any::<bool>().prop_map(Value::Bool).boxed(),
        DataType::Int32 => any::<i32>().prop_map(Value::Int32).boxed(),
        DataType::Int64 => any::<i64>().prop_map(Value::Int64).boxed(),
        DataType::Float32 => any::<u32>().prop_map(|b| Value::Float32(f32::from_bits(b))).boxed(),
        DataType::Float64 => any::<u64>().prop_map(|b| Value::Float64(f64::from_bits(b))).boxed(),
        DataType::String => ".{0,20}".prop_map(Value::String).boxed(),
        DataType::Bytes => {
            proptest::collection::vec(any::<u8>(), 0..20).prop_map(Value::Bytes).boxed()
        }
        DataType::Timestamp => any::<i64>().prop_map(|at| Value::Timestamp(Timestamp(at))).boxed(),
        DataType::Date => any::<i32>().prop_map(Value::Date).boxed(),
        DataType::Decimal { precision, .. } => {
            let limit = 10_i128.pow(u32::from(*precision)) - 1;
            (-limit..=limit).prop_map(Value::Decimal).boxed()
        }
        DataType::List(item) => {
            proptest::collection::vec(any_value(item), 0..12).prop_map(Value::List).boxed()
        }
        DataType::Embedding { dimension, .. } => {
            proptest::collection::vec(any::<f32>(), *dimension as usize)
                .prop_map(Value::Embedding)
                .boxed()
        }
    };
    prop_oneof![1 => Just(Value::Null), 6 => some].boxed()
}

fn any_row() -> impl Strategy<Value = (Vec<DataType>, Vec<Option<Value>>)> {
    let data_type = prop_oneof![
        4 => any_scalar_type(),
        2 => any_scalar_type().prop_map(list),
        1 => (1..5_u32).prop_map(|dimension| DataType::Embedding { dimension, metric: Distance::L2 }),
    ];
    proptest::collection::vec(data_type, 1..30).prop_flat_map(|types| {
        let values: Vec<_> = types.iter().map(|t| proptest::option::of(any_value(t))).collect();
        (Just(types), values)
    })
}

fn any_key_value() -> impl Strategy<Value = KeyValue> {
    prop_oneof![
        "[|#%:a\\x00é\u{1F600}]{0,6}".prop_map(KeyValue::String),
        ".{0,8}".prop_map(KeyValue::String),
        any::<i64>().prop_map(KeyValue::Int64),
        any::<bool>().prop_map(KeyValue::Bool),
        proptest::collection::vec(any::<u8>(), 0..6).prop_map(KeyValue::Bytes),
        any::<i32>().prop_map(KeyValue::Date),
        any::<i64>().prop_map(|at| KeyValue::Timestamp(Timestamp(at))),
    ]
}

proptest! {
    #[test]
    fn any_row_comes_back((types, values) in any_row()) {
        let fields = types.into_iter().enumerate().map(|(i, t)| (name(&format!("f{i}")), t));
        let schema = Schema::new(fields).unwrap();
        let row = encode(&schema, &values).unwrap();
        let row = Row::from_bytes(row.into_bytes()).unwrap();
        prop_assert_eq!(all_bits(&decode(&schema, &row)), all_bits(&values));
    }

    /// Two entities never have one key, nor do two row keys one text.
    #[test]
    fn keys_are_injective(
        a in proptest::collection::vec(any_key_value(), 1..4),
        b in proptest::collection::vec(any_key_value(), 1..4),
    ) {
        let key = |values: &[KeyValue]| {
            let keys = values.iter().enumerate().map(|(i, v)| (name(&format!("k{i}")), v.key_type()));
            let view = ViewRef { namespace: name("n"), view: name("v"), version: 1 };
            let shape = KeyShape::from_parts(&view, keys);
            let key = shape.encode(values).unwrap();
            let borrowed: Vec<KeyValueRef<'_>> = values.iter().map(KeyValueRef::from).collect();
            assert_eq!(shape.encode_ref(&borrowed).unwrap(), key);
            assert_eq!(shape.decode(&key).unwrap(), values);
            assert_eq!(RowKey::from_bytes(key.as_bytes()).unwrap(), key);
            key
        };
        let (key_a, key_b) = (key(&a), key(&b));
        prop_assert_eq!(a == b, key_a == key_b);
        prop_assert_eq!(a == b, key_a.as_bytes() == key_b.as_bytes());
        // The id alone is injective too, whatever the entity type.
        let id = |key: &RowKey| key.partition().splitn(3, '#').nth(2).map(str::to_owned);
        prop_assert_eq!(a == b, id(&key_a) == id(&key_b));
    }
}
