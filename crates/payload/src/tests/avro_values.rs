//! What an Avro value is in a column of each type.

use apache_avro::types::Value as Datum;
use trivium_model::{FeatureView, KeyValue, Timestamp, Value, config::parse_view};

use super::{
    avro::{framed_value, message, read, schemas},
    feature,
};
use crate::{Reason, leaf::Reading};

fn view(data_type: &str, zone: &str, source: &str) -> FeatureView {
    let text = format!(
        r#"{{ "namespace": "n", "name": "v", "version": 1, "lane": "stream", {zone}
        "description": "d", "owner": {{ "team": "t", "contact": "c" }}, "urgency_tier": 1,
        "entities": [{{ "name": "k", "type": "string" }}], "event_timestamp": "at",
        "features": [{{ "name": "f", "type": {data_type}, "description": "d" }}],
        "source": {{ "topic": "t", "columns": {{ "at": "$time", "k": "$key" }}, {source} }} }}"#
    );
    parse_view("configs/n/v.v1.json", &text).unwrap_or_else(|found| panic!("{found:?}"))
}

fn read_value(view: &FeatureView, avro: &str, datum: Datum) -> Result<Value, (Reason, String)> {
    let schema = format!(
        r#"{{ "type": "record", "name": "R", "fields": [{{ "name": "f", "type": {avro} }}] }}"#
    );
    let record = Datum::Record(vec![("f".to_owned(), datum)]);
    let bytes = framed_value(1, &schema, record);
    let message = crate::Message { key: Some(b"x"), ..message(&bytes) };
    let event = read(view, &message, &schemas(&[&schema]))
        .map_err(|poison| (poison.reason, poison.to_string()))?
        .unwrap();
    assert_eq!(event.entity, [KeyValue::String("x".into())]);
    Ok(feature(view, &event, "f").unwrap())
}

const PLAIN: &str = r#""format": "avro""#;

fn taken(data_type: &str, avro: &str, datum: Datum, expected: Value) {
    let found = read_value(&view(data_type, "", PLAIN), avro, datum);
    assert_eq!(found, Ok(expected), "{avro} in {data_type}");
}

fn refused(data_type: &str, avro: &str, datum: Datum) -> String {
    let found = read_value(&view(data_type, "", PLAIN), avro, datum);
    let (reason, message) = found.expect_err(&format!("{avro} in {data_type}"));
    assert_eq!(reason, Reason::WrongType, "{avro} in {data_type}: {message}");
    assert!(message.starts_with("f: `f`: "), "{message}");
    message
}

fn logical(base: &str, word: &str) -> String {
    format!(r#"{{ "type": "{base}", "logicalType": "{word}" }}"#)
}

const FIXED: &str = r#"{ "type": "fixed", "name": "F", "size": 2 }"#;
const SYMBOLS: &str = r#"{ "type": "enum", "name": "E", "symbols": ["A", "B"] }"#;

#[test]
fn plain_values_are_what_they_are() {
    let text = |text: &str| Value::String(text.to_owned());
    taken("\"bool\"", "\"boolean\"", Datum::Boolean(true), Value::Bool(true));
    taken("\"int32\"", "\"int\"", Datum::Int(-5), Value::Int32(-5));
    taken("\"int64\"", "\"int\"", Datum::Int(-5), Value::Int64(-5));
    taken("\"int64\"", "\"long\"", Datum::Long(i64::MIN), Value::Int64(i64::MIN));
    taken("\"int32\"", "\"long\"", Datum::Long(7), Value::Int32(7));
    taken("\"float32\"", "\"float\"", Datum::Float(1.1), Value::Float32(1.1));
    taken("\"float64\"", "\"float\"", Datum::Float(0.5), Value::Float64(0.5));
    taken("\"float64\"", "\"double\"", Datum::Double(1.1), Value::Float64(1.1));
    taken("\"float32\"", "\"double\"", Datum::Double(1.1), Value::Float32(1.1));
    taken("\"float64\"", "\"double\"", Datum::Double(f64::INFINITY), Value::Float64(f64::INFINITY));
    taken("\"float64\"", "\"int\"", Datum::Int(i32::MAX), Value::Float64(2_147_483_647.0));
    taken(
        "\"float64\"",
        "\"long\"",
        Datum::Long(i64::MIN),
        Value::Float64(-9_223_372_036_854_775_808.0),
    );
    taken("\"float32\"", "\"int\"", Datum::Int(1 << 24), Value::Float32(16_777_216.0));
    taken("\"string\"", "\"string\"", Datum::String("é".into()), text("é"));
    taken("\"string\"", SYMBOLS, Datum::Enum(1, "B".into()), text("B"));
    taken("\"bytes\"", "\"bytes\"", Datum::Bytes(vec![0, 255]), Value::Bytes(vec![0, 255]));
    taken("\"bytes\"", FIXED, Datum::Fixed(2, vec![1, 2]), Value::Bytes(vec![1, 2]));
    let union = r#"["null", "long", "string"]"#;
    taken("\"int64\"", union, Datum::Union(1, Box::new(Datum::Long(3))), Value::Int64(3));
    taken("\"int64\"", union, Datum::Union(0, Box::new(Datum::Null)), Value::Null);
    taken("\"string\"", "\"null\"", Datum::Null, Value::Null);
    let nan = read_value(&view("\"float32\"", "", PLAIN), "\"float\"", Datum::Float(f32::NAN));
    assert!(matches!(nan, Ok(Value::Float32(value)) if value.is_nan()), "{nan:?}");

    refused("\"int32\"", "\"long\"", Datum::Long(1 << 31));
    refused("\"int64\"", "\"double\"", Datum::Double(1.0));
    refused("\"int64\"", "\"string\"", Datum::String("9223372036854775807".into()));
    refused("\"float64\"", "\"long\"", Datum::Long((1 << 53) + 1));
    refused("\"float32\"", "\"int\"", Datum::Int((1 << 24) + 1));
    refused("\"float32\"", "\"double\"", Datum::Double(1e300));
    refused("\"float64\"", "\"string\"", Datum::String("NaN".into()));
    refused("\"string\"", "\"double\"", Datum::Double(f64::NAN));
    refused("\"string\"", "\"bytes\"", Datum::Bytes(b"x".to_vec()));
    refused("\"bytes\"", "\"string\"", Datum::String("YQ==".into()));
    refused("\"bool\"", "\"int\"", Datum::Int(1));
    refused("\"int64\"", "\"boolean\"", Datum::Boolean(true));
    refused("\"string\"", "\"int\"", Datum::Int(1));
    refused("\"int32\"", SYMBOLS, Datum::Enum(1, "B".into()));
    refused("\"int64\"", union, Datum::Union(2, Box::new(Datum::String("3".into()))));
    let map = r#"{ "type": "map", "values": "int" }"#;
    assert!(refused("\"int64\"", map, Datum::Map([].into())).contains("found a map"));
}

#[test]
fn times_are_instants() {
    let at = |micros: i64| Value::Timestamp(Timestamp(micros));
    let instant = "\"timestamp\"";
    taken(instant, &logical("long", "timestamp-millis"), Datum::TimestampMillis(-1), at(-1_000));
    taken(instant, &logical("long", "timestamp-micros"), Datum::TimestampMicros(-1), at(-1));
    taken(instant, &logical("long", "timestamp-nanos"), Datum::TimestampNanos(-1), at(-1));
    taken(
        instant,
        &logical("long", "local-timestamp-millis"),
        Datum::LocalTimestampMillis(5),
        at(5_000),
    );
    taken(instant, &logical("int", "date"), Datum::Date(1), at(86_400_000_000));
    taken(instant, "\"string\"", Datum::String("1970-01-01T00:00:01Z".into()), at(1_000_000));
    taken("\"date\"", &logical("int", "date"), Datum::Date(-1), Value::Date(-1));
    taken("\"date\"", "\"string\"", Datum::String("1970-01-02".into()), Value::Date(1));
    // In columns of numbers they are the number.
    taken("\"int64\"", &logical("int", "time-millis"), Datum::TimeMillis(7), Value::Int64(7));
    taken("\"int64\"", &logical("long", "time-micros"), Datum::TimeMicros(7), Value::Int64(7));
    taken(
        "\"int64\"",
        &logical("long", "timestamp-millis"),
        Datum::TimestampMillis(7),
        Value::Int64(7),
    );

    refused("\"date\"", &logical("long", "timestamp-millis"), Datum::TimestampMillis(0));
    refused("\"date\"", "\"int\"", Datum::Int(5));
    let wrong = refused(instant, "\"long\"", Datum::Long(5));
    assert!(wrong.contains("set `source.time_unit`"), "{wrong}");
    refused(instant, &logical("long", "timestamp-millis"), Datum::TimestampMillis(i64::MAX));
    let far = read_value(
        &view(instant, "", PLAIN),
        &logical("long", "timestamp-micros"),
        Datum::TimestampMicros(i64::MAX),
    );
    assert_eq!(far.unwrap_err().0, Reason::OutOfBounds);
    // A logical type that does not fit means nothing.
    let wrong = refused(instant, &logical("string", "timestamp-millis"), Datum::String("5".into()));
    assert!(wrong.contains("such as"), "{wrong}");
}

#[test]
fn plain_numbers_count_what_the_source_says() {
    let unit = view("\"timestamp\"", "", r#""format": "avro", "time_unit": "s""#);
    let at = |micros: i64| Ok(Value::Timestamp(Timestamp(micros)));
    assert_eq!(read_value(&unit, "\"long\"", Datum::Long(5)), at(5_000_000));
    assert_eq!(read_value(&unit, "\"int\"", Datum::Int(5)), at(5_000_000));
    // A type that says it itself is right.
    let millis = logical("long", "timestamp-millis");
    assert_eq!(read_value(&unit, &millis, Datum::TimestampMillis(5)), at(5_000));
    let items = view(r#"{ "list": "timestamp" }"#, "", r#""format": "avro", "time_unit": "s""#);
    let longs = r#"{ "type": "array", "items": "long" }"#;
    let list = read_value(&items, longs, Datum::Array(vec![Datum::Long(1)]));
    assert_eq!(list, Ok(Value::List(vec![Value::Timestamp(Timestamp(1_000_000))])));
    let days = view("\"date\"", "", r#""format": "avro", "time_unit": "s""#);
    assert_eq!(read_value(&days, "\"int\"", Datum::Int(5)).unwrap_err().0, Reason::WrongType);
}

#[test]
fn times_that_name_no_zone_are_in_the_views() {
    let zoned = view("\"timestamp\"", r#""time_zone": "America/New_York","#, PLAIN);
    let at = |text: &str| Ok(Value::Timestamp(Timestamp::parse(text).unwrap()));
    let shown = |text: &str| Timestamp::parse(text).unwrap().0;
    let local = logical("long", "local-timestamp-micros");
    for (given, expected) in [
        ("2013-01-01T00:00:00.25Z", "2013-01-01T05:00:00.25Z"),
        ("2013-07-01T12:00:00Z", "2013-07-01T16:00:00Z"),
        // In the gap, and of the two the earlier.
        ("2013-03-10T02:30:00Z", "2013-03-10T07:30:00Z"),
        ("2013-11-03T01:30:00Z", "2013-11-03T05:30:00Z"),
    ] {
        let datum = Datum::LocalTimestampMicros(shown(given));
        assert_eq!(read_value(&zoned, &local, datum), at(expected), "{given}");
    }
    let day = Datum::Date(15_706);
    assert_eq!(read_value(&zoned, &logical("int", "date"), day), at("2013-01-01T05:00:00Z"));
    let text = Datum::String("2013-01-01".into());
    assert_eq!(read_value(&zoned, "\"string\"", text), at("2013-01-01T05:00:00Z"));
    let instant = Datum::TimestampMicros(5);
    let found = read_value(&zoned, &logical("long", "timestamp-micros"), instant);
    assert_eq!(found, Ok(Value::Timestamp(Timestamp(5))));
    // The ends of 64 bits, and of what chrono counts.
    for far in [i64::MIN, i64::MAX, 8_210_266_876_799_999_999, -8_334_601_228_800_000_000] {
        let found = read_value(&zoned, &local, Datum::LocalTimestampMicros(far));
        assert_eq!(found.unwrap_err().0, Reason::OutOfBounds);
    }
}

#[test]
fn names_of_kafka_connect_count_like_logical_types() {
    let named = |base: &str, name: &str| {
        format!(r#"{{ "type": "{base}", "connect.version": 1, "connect.name": "{name}" }}"#)
    };
    let at = |micros: i64| Value::Timestamp(Timestamp(micros));
    let instant = "\"timestamp\"";
    for (name, expected) in [
        ("io.debezium.time.Timestamp", 5_000_000),
        ("org.apache.kafka.connect.data.Timestamp", 5_000_000),
        ("io.debezium.time.MicroTimestamp", 5_000),
        ("io.debezium.time.NanoTimestamp", 5),
    ] {
        taken(instant, &named("long", name), Datum::Long(5_000), at(expected));
    }
    for name in ["io.debezium.time.Date", "org.apache.kafka.connect.data.Date"] {
        taken("\"date\"", &named("int", name), Datum::Int(9), Value::Date(9));
    }
    let zoned = named("string", "io.debezium.time.ZonedTimestamp");
    taken(instant, &zoned, Datum::String("1970-01-01T01:00:00+01:00".into()), at(0));
    taken(
        "\"int64\"",
        &named("long", "io.debezium.time.MicroTime"),
        Datum::Long(9),
        Value::Int64(9),
    );
    refused("\"date\"", &named("int", "io.debezium.time.Time"), Datum::Int(9));
    // Without a unit in the name or in the source nobody knows.
    refused(instant, &named("long", "io.debezium.time.Other"), Datum::Long(5));
    let decimal = r#"{ "type": "bytes", "connect.name": "org.apache.kafka.connect.data.Decimal",
        "connect.parameters": { "scale": "2" } }"#;
    let fare = r#"{ "decimal": { "precision": 9, "scale": 3 } }"#;
    taken(fare, decimal, Datum::Bytes(vec![0x04, 0xe2]), Value::Decimal(12_500));
}

#[test]
fn decimals_are_exact() {
    let column = |precision: u8, scale: u8| {
        format!(r#"{{ "decimal": {{ "precision": {precision}, "scale": {scale} }} }}"#)
    };
    let bytes = |scale: u8| {
        format!(
            r#"{{ "type": "bytes", "logicalType": "decimal", "precision": 60, "scale": {scale} }}"#
        )
    };
    let digits = |bytes: &[u8]| Datum::Decimal(bytes.to_vec().into());
    taken(&column(9, 2), &bytes(2), digits(&[0x04, 0xe2]), Value::Decimal(1_250));
    taken(&column(9, 4), &bytes(2), digits(&[0x04, 0xe2]), Value::Decimal(125_000));
    taken(&column(9, 1), &bytes(2), digits(&[0x04, 0xe2]), Value::Decimal(125));
    taken(&column(9, 2), &bytes(2), digits(&[0xff, 0xff]), Value::Decimal(-1));
    taken(&column(2, 0), &bytes(0), digits(&[99]), Value::Decimal(99));
    taken(&column(38, 0), &bytes(0), digits(&[[0; 20], [1; 20]].concat()[8..32]), {
        Value::Decimal(i128::from_be_bytes([0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1]))
    });
    let fixed = r#"{ "type": "fixed", "name": "F", "size": 3, "logicalType": "decimal",
        "precision": 6, "scale": 1 }"#;
    taken(&column(9, 2), fixed, digits(&[0xff, 0xff, 0xf6]), Value::Decimal(-100));
    taken(&column(9, 2), "\"int\"", Datum::Int(-5), Value::Decimal(-500));
    taken(&column(38, 0), "\"long\"", Datum::Long(i64::MIN), Value::Decimal(i128::from(i64::MIN)));
    taken(&column(9, 2), "\"string\"", Datum::String("1.5".into()), Value::Decimal(150));

    for (column, avro, datum) in [
        (column(9, 1), bytes(2), digits(&[0x04, 0xe3])),
        (column(2, 0), bytes(0), digits(&[100])),
        (column(38, 0), bytes(0), digits(&[1; 17])),
        (column(38, 38), bytes(0), digits(&[1, 0])),
        (column(9, 2), "\"bytes\"".to_owned(), Datum::Bytes(vec![1])),
        (column(9, 2), "\"double\"".to_owned(), Datum::Double(1.5)),
        (column(3, 2), "\"int\"".to_owned(), Datum::Int(10)),
        ("\"int64\"".to_owned(), bytes(0), digits(&[1])),
        ("\"float64\"".to_owned(), bytes(0), digits(&[1])),
        ("\"bytes\"".to_owned(), bytes(0), digits(&[1])),
    ] {
        refused(&column, &avro, datum);
    }
}

#[test]
fn an_identifier_is_text() {
    let text = "00112233-4455-6677-8899-aabbccddeeff";
    let uuid = || Datum::Uuid(text.parse().unwrap());
    let fixed = r#"{ "type": "fixed", "name": "U", "size": 16, "logicalType": "uuid" }"#;
    for avro in [&logical("string", "uuid"), fixed] {
        taken("\"string\"", avro, uuid(), Value::String(text.into()));
        refused("\"int64\"", avro, uuid());
    }
    let bytes = (0..16).map(|index| index * 0x11).collect();
    taken("\"bytes\"", fixed, uuid(), Value::Bytes(bytes));
}

#[test]
fn arrays_are_lists_and_embeddings() {
    let array = |items: &str| format!(r#"{{ "type": "array", "items": {items} }}"#);
    let list = r#"{ "list": "int64" }"#;
    let ints = Datum::Array(vec![Datum::Int(1), Datum::Int(2)]);
    taken(list, &array("\"int\""), ints, Value::List(vec![Value::Int64(1), Value::Int64(2)]));
    taken(list, &array("\"int\""), Datum::Array(Vec::new()), Value::List(Vec::new()));
    let wrong = refused(
        r#"{ "list": "int32" }"#,
        &array("\"long\""),
        Datum::Array(vec![Datum::Long(1), Datum::Long(1 << 40)]),
    );
    assert!(wrong.contains("item 1: expected int32"), "{wrong}");
    refused("\"int64\"", &array("\"int\""), Datum::Array(Vec::new()));
    refused(list, "\"int\"", Datum::Int(1));
    refused(list, &array(&array("\"int\"")), Datum::Array(vec![Datum::Array(Vec::new())]));

    let embedding = r#"{ "embedding": { "dimension": 2, "metric": "cosine" } }"#;
    let expected = || Value::Embedding(vec![0.5, -1.0]);
    let floats =
        |values: &[f32]| Datum::Array(values.iter().map(|value| Datum::Float(*value)).collect());
    taken(embedding, &array("\"float\""), floats(&[0.5, -1.0]), expected());
    let doubles = Datum::Array(vec![Datum::Double(0.5), Datum::Double(-1.0)]);
    taken(embedding, &array("\"double\""), doubles, expected());
    assert!(refused(embedding, &array("\"float\""), floats(&[0.5; 3])).contains("of 3 numbers"));
    assert!(refused(embedding, &array("\"float\""), floats(&[0.5])).contains("of 1 numbers"));
    refused(embedding, &array("\"float\""), floats(&[0.5, f32::NAN]));
    let nulls = array(r#"["null", "float"]"#);
    let item = |index: u32, value: Datum| Datum::Union(index, Box::new(value));
    let with_null = Datum::Array(vec![item(1, Datum::Float(0.5)), item(0, Datum::Null)]);
    refused(embedding, &nulls, with_null);
}

#[test]
fn clocks_at_the_ends_of_time_show_what_no_calendar_has() {
    const HOUR: i64 = 3_600_000_000;
    for zone in ["Europe/Berlin", "America/New_York", "Pacific/Apia", "UTC"] {
        let reading = Reading { time_unit: None, zone: zone.parse().ok(), numbered_days: false };
        // The first and the last that chrono knows, and what is near.
        for end in [-8_334_601_228_800_000_000_i64, 8_210_266_876_799_000_000, i64::MIN, i64::MAX] {
            for hours in -15..=15 {
                let micros = end.saturating_add(hours * HOUR);
                let local = reading.local(micros);
                assert!(!local.in_calendar(), "{zone} {micros}: {local:?}");
            }
        }
    }
}
