//! The fuzz target's corpus, and mutations of it, in an ordinary test: what `cargo fuzz` does
//! without an end, here with one and always the same.
//!
//! `UPDATE_EXPECT=1` writes the seeds anew; files that fuzzing adds to the corpus stay.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{fs, path::PathBuf};

use trivium_codec::{
    HEADER_BYTES, Row, RowEncoder, Schema, ValueRef,
    fuzzing::{SCHEMAS, check},
};
use trivium_model::{DataType, Lane, Timestamp, Value};

/// Mutations in all; some seconds of work unoptimised.
const MUTATIONS: usize = 60_000;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../testdata/fuzz/row")
}

fn sample(data_type: &DataType, variant: usize) -> Value {
    match data_type {
        DataType::Bool => Value::Bool(variant == 1),
        DataType::Int32 => Value::Int32(-7),
        DataType::Int64 => Value::Int64(i64::MAX),
        DataType::Float32 => Value::Float32(f32::NAN),
        DataType::Float64 => Value::Float64(-0.0),
        DataType::String => Value::String("héllo".into()),
        DataType::Bytes => Value::Bytes(vec![0, 255]),
        DataType::Timestamp => Value::Timestamp(Timestamp(1_388_534_400_000_000)),
        DataType::Date => Value::Date(16_071),
        DataType::Decimal { .. } => Value::Decimal(-12_345),
        DataType::List(item) => Value::List(vec![sample(item, 1), Value::Null, sample(item, 0)]),
        DataType::Embedding { dimension, .. } => Value::Embedding(vec![0.5; *dimension as usize]),
    }
}

fn row(schema: &Schema, pick: impl Fn(usize, &DataType) -> Option<Value>) -> Row {
    let values: Vec<Option<Value>> = schema
        .fields()
        .iter()
        .enumerate()
        .map(|(index, field)| pick(index, &field.data_type))
        .collect();
    let values: Vec<Option<ValueRef<'_>>> =
        values.iter().map(|value| value.as_ref().map(ValueRef::from)).collect();
    RowEncoder::new(schema).encode(Lane::Direct, &values).unwrap()
}

fn seeds() -> Vec<(String, Vec<u8>)> {
    let mut seeds = Vec::new();
    for (number, schema) in SCHEMAS.iter().enumerate() {
        let full = row(schema, |index, data_type| Some(sample(data_type, index % 2)));
        let mixed = row(schema, |index, data_type| match index % 3 {
            0 => Some(Value::Null),
            1 => None,
            _ => Some(sample(data_type, 1)),
        });
        for (word, row) in [("full", &full), ("mixed", &mixed)] {
            let body = &row.as_bytes()[HEADER_BYTES..];
            seeds.push((format!("row-{number}-{word}"), [&[0], &row.as_bytes()[..]].concat()));
            seeds.push((format!("body-{number}-{word}"), [&[1, number as u8], body].concat()));
        }
        let tombstone = Row::tombstone(&full.header());
        seeds.push((format!("tombstone-{number}"), [&[0], &tombstone.as_bytes()[..]].concat()));
    }
    let ids = [
        "s:",
        "s:a%7Cb%23c%25",
        "i:-5",
        "b:1",
        "x:AP8",
        "d:2013-01-01",
        "d:-0001-12-31",
        "t:-1",
        "s:a|s:b",
        "s:|i:0|b:0|x:|d:1970-01-01|t:0",
    ];
    for (number, id) in ids.iter().enumerate() {
        seeds.push((format!("key-{number}"), [&[2], id.as_bytes()].concat()));
    }
    seeds
}

#[test]
fn the_corpus_and_its_mutations_are_read_or_refused() {
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        fs::create_dir_all(folder()).unwrap();
        for (name, bytes) in seeds() {
            fs::write(folder().join(name), bytes).unwrap();
        }
    }
    let mut paths: Vec<PathBuf> =
        fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let corpus: Vec<Vec<u8>> = paths.iter().map(|path| fs::read(path).unwrap()).collect();
    assert!(corpus.len() >= seeds().len(), "the corpus is not complete: {} files", corpus.len());
    corpus.iter().for_each(|input| check(input));

    // SplitMix64: the same mutations every time.
    let mut state = 0_u64;
    let mut random = move |limit: usize| {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % limit.max(1) as u64) as usize
    };
    for number in 0..MUTATIONS {
        let mut input = corpus[number % corpus.len()].clone();
        for _ in 0..=random(4) {
            let at = random(input.len());
            match random(6) {
                0 if !input.is_empty() => input[at] ^= 1 << random(8),
                1 if !input.is_empty() => input[at] = [0, 1, 0x7f, 0x80, 0xff][random(5)],
                2 => input.truncate(at),
                3 => input.insert(at, random(256) as u8),
                4 if input.len() >= at + 4 => {
                    let number = [0, 1, 0x7fff_ffff, u32::MAX, random(300) as u32][random(5)];
                    input[at..at + 4].copy_from_slice(&number.to_le_bytes());
                }
                _ => {
                    let other = &corpus[random(corpus.len())];
                    let from = random(other.len());
                    input.truncate(at);
                    input.extend_from_slice(&other[from..]);
                }
            }
        }
        // The length in the header again, or hardly anything would get past it.
        if input.first() == Some(&0) && input.len() >= 9 {
            let length = input.len() as u32 - 1;
            input[5..9].copy_from_slice(&length.to_le_bytes());
        }
        check(&input);
    }
}
