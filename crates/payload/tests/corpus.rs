//! The fuzz targets' corpora, and mutations of them, in an ordinary test: what `cargo fuzz` does without
//! an end, here with one and always the same.
//!
//! `UPDATE_EXPECT=1` writes the seeds anew; files that fuzzing adds to a corpus stay.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{fs, path::PathBuf};

use apache_avro::{types::Value as Datum, writer::datum::GenericDatumWriter};
use proptest::prelude::*;
use trivium_model::{KeyValue, Name, PayloadFormat, Timestamp, Value};
use trivium_payload::{
    fuzzing::{AVRO, FORMATS, check, view},
    payload,
};

/// Mutations of each format's corpus.
const MUTATIONS: usize = 2_000;

fn folder(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../testdata/fuzz").join(name)
}

const JSON_ROW: &str = r#"{ "k": "a", "n": 7, "at": "2013-01-01", "bool": true, "int32": -1, "int64": "9223372036854775807",
    "float32": 1.5, "float64": "NaN", "string": "h\u00e9", "bytes": "AP8=", "seen": 1357002000123, "day": "2013-01-01",
    "fare": "12.5", "strings": [null, "a"], "times": ["2013-07-01T12:00:00Z"], "fares": [1, "-0.25"],
    "place": [0.5, -1], "a": { "b": { "deep": 2 } }, "rest": [{}] }"#;

fn envelopes() -> Vec<Vec<u8>> {
    let view = view(PayloadFormat::Envelope);
    let name = |text: &str| Name::new(text).unwrap();
    let entity = [(name("k"), KeyValue::String("a".into())), (name("n"), KeyValue::Int64(7))];
    let values = [
        (name("bool"), Value::Bool(true)),
        (name("int32"), Value::Int32(-1)),
        (name("float32"), Value::Float32(f32::NAN)),
        (name("string"), Value::Null),
        (name("bytes"), Value::Bytes(vec![0, 255])),
        (name("seen"), Value::Timestamp(Timestamp(5))),
        (name("day"), Value::Date(5)),
        (name("fare"), Value::Decimal(-12_345)),
        (name("strings"), Value::List(vec![Value::String("x".into()), Value::Null])),
        (name("place"), Value::Embedding(vec![0.5, -1.0])),
    ];
    let put = |values| payload(&view, &entity, Timestamp(5), values);
    vec![put(Some(&values[..])), put(Some(&values[..3])), put(None)]
}

fn jsons() -> Vec<Vec<u8>> {
    let few = r#"{"k":"a","n":7,"at":5,"seen":"2013-03-10 02:30:00","a":null}"#;
    [JSON_ROW, few, "null", "[]", r#"{"k":null,"k":"b","n":7.0,"at":1e3,"a":{"b":[]}}"#]
        .map(|text| text.as_bytes().to_vec())
        .to_vec()
}

fn changes() -> Vec<Vec<u8>> {
    let change = |op: &str| {
        format!(r#"{{ "before": {JSON_ROW}, "n": 7, "after": {JSON_ROW}, "op": "{op}" }}"#)
    };
    let wrapped = format!(r#"{{ "schema": null, "payload": {} }}"#, change("u"));
    [change("c"), change("d"), change("m"), change("t"), wrapped, r#"{"payload":null}"#.to_owned()]
        .map(String::into_bytes)
        .to_vec()
}

fn record(fields: Vec<(&str, Datum)>) -> Datum {
    Datum::Record(fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

fn variant(index: u32, value: Datum) -> Datum {
    Datum::Union(index, Box::new(value))
}

fn avro_row(wide: bool) -> Datum {
    let text = |text: &str| Datum::String(text.to_owned());
    let null = || variant(0, Datum::Null);
    let deep = record(vec![("deep", Datum::Double(2.5))]);
    let map = Datum::Map([("b".to_owned(), variant(1, deep))].into());
    let rest = Datum::Map([("x".to_owned(), Datum::Bytes(vec![1]))].into());
    record(vec![
        ("k", text("a")),
        ("n", Datum::Long(7)),
        ("at", variant(1, Datum::Long(1_357_002_000_123))),
        ("bool", if wide { variant(1, Datum::Boolean(true)) } else { null() }),
        (
            "int32",
            if wide { variant(1, Datum::Long(-5)) } else { variant(2, Datum::TimeMillis(5)) },
        ),
        ("int64", Datum::Int(i32::MIN)),
        ("float32", if wide { variant(1, Datum::Double(0.1)) } else { variant(2, Datum::Long(3)) }),
        ("float64", variant(0, Datum::Double(f64::NAN))),
        (
            "string",
            if wide { variant(2, Datum::Enum(1, "B".into())) } else { variant(1, text("é")) },
        ),
        (
            "bytes",
            if wide {
                variant(1, Datum::Fixed(2, vec![0, 255]))
            } else {
                variant(0, Datum::Bytes(vec![7]))
            },
        ),
        (
            "seen",
            if wide {
                variant(1, Datum::LocalTimestampMicros(5))
            } else {
                variant(0, text("2013-01-01"))
            },
        ),
        (
            "day",
            if wide { variant(1, Datum::Date(15_706)) } else { variant(0, text("2013-01-01")) },
        ),
        (
            "fare",
            if wide {
                variant(0, Datum::Decimal([0, 0xff, 0x9c].into()))
            } else {
                variant(2, Datum::Long(-4))
            },
        ),
        ("strings", Datum::Array(vec![null(), variant(1, text("x"))])),
        ("times", Datum::Array(vec![Datum::TimestampMillis(5)])),
        (
            "fares",
            if wide { variant(1, Datum::Array(vec![Datum::Decimal([5].into())])) } else { null() },
        ),
        ("place", Datum::Array(vec![Datum::Double(0.5), Datum::Double(-1.0)])),
        ("a", if wide { variant(1, map) } else { null() }),
        ("rest", Datum::Array(if wide { vec![rest] } else { Vec::new() })),
    ])
}

fn linked(depth: usize) -> Datum {
    let next = match depth {
        0 => variant(0, Datum::Null),
        1 => variant(2, Datum::Map([("b".to_owned(), linked(0))].into())),
        _ => variant(1, linked(depth - 1)),
    };
    record(vec![
        ("k", Datum::String("a".into())),
        ("n", Datum::Int(7)),
        ("at", Datum::Long(5)),
        ("strings", Datum::Array(vec![Datum::Null; depth])),
        ("a", next),
    ])
}

fn framed(id: usize, value: Datum) -> Vec<u8> {
    let schema = apache_avro::Schema::parse_str(&AVRO[id - 1]).unwrap();
    let writer = GenericDatumWriter::builder(&schema).build().unwrap();
    let datum = writer.write_value_to_vec(value).unwrap();
    [&[0, 0, 0, 0, u8::try_from(id).unwrap()], &datum[..]].concat()
}

/// A message that brings its schema: see `check`.
fn with_schema(id: usize, value: Datum) -> Vec<u8> {
    let length = u16::try_from(AVRO[id - 1].len()).unwrap().to_be_bytes();
    [&[1][..], &length, AVRO[id - 1].as_bytes(), &framed(id, value)[5..]].concat()
}

fn avros() -> Vec<Vec<u8>> {
    let mut seeds = vec![framed(1, avro_row(true)), framed(1, avro_row(false))];
    seeds.extend([0, 1, 2, 40].map(|depth| framed(2, linked(depth))));
    seeds.extend([with_schema(1, avro_row(true)), with_schema(2, linked(3))]);
    seeds
}

fn avro_changes() -> Vec<Vec<u8>> {
    let change = |op: &str, before: bool, after: bool| {
        let side = |is_there: bool, wide: bool| {
            if is_there { variant(1, avro_row(wide)) } else { variant(0, Datum::Null) }
        };
        record(vec![
            ("before", side(before, false)),
            ("after", side(after, true)),
            ("n", Datum::Long(7)),
            ("op", Datum::String(op.to_owned())),
        ])
    };
    let mut seeds: Vec<Vec<u8>> =
        [("c", false, true), ("u", true, true), ("d", true, false), ("m", false, false)]
            .map(|(op, before, after)| framed(3, change(op, before, after)))
            .to_vec();
    seeds.push(with_schema(3, change("u", true, true)));
    seeds
}

fn seeds(format: PayloadFormat) -> Vec<Vec<u8>> {
    match format {
        PayloadFormat::Envelope => envelopes(),
        PayloadFormat::Json => jsons(),
        PayloadFormat::DebeziumJson => changes(),
        PayloadFormat::Avro => avros(),
        PayloadFormat::DebeziumAvro => avro_changes(),
    }
}

fn corpus(format: PayloadFormat, name: &str) -> Vec<Vec<u8>> {
    let folder = folder(name);
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        fs::create_dir_all(&folder).unwrap();
        for (number, bytes) in seeds(format).into_iter().enumerate() {
            fs::write(folder.join(format!("seed-{number}")), bytes).unwrap();
        }
    }
    let mut paths: Vec<PathBuf> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let corpus: Vec<Vec<u8>> = paths.iter().map(|path| fs::read(path).unwrap()).collect();
    for seed in seeds(format) {
        assert!(corpus.contains(&seed), "{name} lacks a seed: UPDATE_EXPECT=1 writes it");
    }
    corpus
}

#[test]
fn the_corpora_and_their_mutations_are_events_or_poison() {
    // SplitMix64: the same mutations every time.
    let mut state = 0_u64;
    let mut random = move |limit: usize| {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % limit.max(1) as u64) as usize
    };
    for (format, name) in FORMATS {
        let corpus = corpus(format, name);
        let mut events = corpus.iter().filter(|input| check(format, input)).count();
        assert!(events > 0, "{name}: no seed is an event");
        for number in 0..MUTATIONS {
            let mut input = corpus[number % corpus.len()].clone();
            for _ in 0..=random(3) {
                let at = random(input.len());
                match random(6) {
                    0 if !input.is_empty() => input[at] ^= 1 << random(8),
                    1 if !input.is_empty() => input[at] = [0, 1, 0x7f, 0x80, 0xff][random(5)],
                    2 => input.truncate(at),
                    3 => input.insert(at, random(256) as u8),
                    4 if !input.is_empty() => {
                        let to = at + random(input.len() - at);
                        input.extend_from_within(at..to);
                    }
                    _ => {
                        let other = &corpus[random(corpus.len())];
                        let from = random(other.len());
                        input.truncate(at);
                        input.extend_from_slice(&other[from..]);
                    }
                }
            }
            // The frame again, or hardly anything would get past it.
            let schema = corpus[number % corpus.len()].first_chunk::<5>();
            if let (Some(&[0, 0, 0, 0, id]), Some(frame)) = (schema, input.first_chunk_mut()) {
                *frame = [0, 0, 0, 0, id];
            }
            events += usize::from(check(format, &input));
        }
        assert!(events > MUTATIONS / 100, "{name}: only {events} of the mutations are events");
    }
}

proptest! {
    #[test]
    fn any_bytes_are_an_event_or_poison(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        for (format, _) in FORMATS {
            check(format, &bytes);
        }
    }
}
