//! What fuzzing checks, shared by the `cargo fuzz` target and an ordinary test over its corpus.
//! Not for anybody else.

use std::sync::LazyLock;

use bytes::Bytes;
use trivium_model::{DataType, Distance, KeyType, Lane, Name, Timestamp, Value, ViewRef};

use crate::{HEADER_BYTES, Header, KeyShape, Row, RowEncoder, RowKey, Schema, ValueRef};

fn name(text: &str) -> Name {
    match Name::new(text) {
        Ok(name) => name,
        Err(error) => unreachable!("{error}"),
    }
}

/// One schema with a field of every type, lists of every scalar, and a few small ones.
pub static SCHEMAS: LazyLock<Vec<Schema>> = LazyLock::new(|| {
    let scalars = [
        DataType::Bool,
        DataType::Int32,
        DataType::Int64,
        DataType::Float32,
        DataType::Float64,
        DataType::String,
        DataType::Bytes,
        DataType::Timestamp,
        DataType::Date,
        DataType::Decimal { precision: 20, scale: 4 },
    ];
    let embedding = DataType::Embedding { dimension: 2, metric: Distance::Cosine };
    let lists = scalars.iter().map(|item| DataType::List(Box::new(item.clone())));
    let everything: Vec<DataType> =
        scalars.iter().cloned().chain(lists).chain([embedding.clone()]).collect();
    let small = |types: &[DataType]| types.to_vec();
    [
        everything,
        small(&[DataType::Int64]),
        small(&[DataType::String, DataType::String]),
        small(&[DataType::List(Box::new(DataType::String))]),
        small(&[embedding]),
        vec![DataType::Bool; 17],
    ]
    .into_iter()
    .map(|types| {
        let fields = types.into_iter().enumerate().map(|(i, t)| (name(&format!("f{i}")), t));
        match Schema::new(fields) {
            Ok(schema) => schema,
            Err(error) => unreachable!("{error}"),
        }
    })
    .collect()
});

static SHAPES: LazyLock<Vec<KeyShape>> = LazyLock::new(|| {
    let all = [
        KeyType::String,
        KeyType::Int64,
        KeyType::Bool,
        KeyType::Bytes,
        KeyType::Date,
        KeyType::Timestamp,
    ];
    let view = ViewRef { namespace: name("n"), view: name("v"), version: 1 };
    let single = all.iter().map(|key_type| vec![*key_type]);
    single
        .chain([vec![KeyType::String, KeyType::String], all.to_vec()])
        .map(|types| {
            let keys = types.into_iter().enumerate().map(|(i, t)| (name(&format!("k{i}")), t));
            KeyShape::from_parts(&view, keys)
        })
        .collect()
});

/// Runs one input through everything that reads bytes from outside. Panics where the codec does, or
/// where what it accepts does not come back the same. The first byte says what the rest is: a whole
/// row, the body of a row of some schema, or an entity id.
pub fn check(input: &[u8]) {
    let Some((&mode, rest)) = input.split_first() else { return };
    match mode % 3 {
        0 => {
            if let Ok(row) = Row::from_bytes(Bytes::copy_from_slice(rest)) {
                SCHEMAS.iter().for_each(|schema| check_row(&row, schema));
            }
        }
        1 => {
            let Some((&number, body)) = rest.split_first() else { return };
            let schema = &SCHEMAS[usize::from(number) % SCHEMAS.len()];
            check_row(&with_header(schema, body), schema);
        }
        _ => check_key(rest),
    }
}

/// A row whose header is right, whatever its body is.
pub fn with_header(schema: &Schema, body: &[u8]) -> Row {
    let header = Header {
        rev: 1,
        event_time: Timestamp(2),
        sequence: 3,
        write_id: 4,
        lane: Lane::Stream,
        deleted: false,
        fingerprint: schema.fingerprint(),
    };
    let mut bytes = vec![0; HEADER_BYTES];
    bytes.extend_from_slice(body);
    let row_bytes = bytes.len() as u32;
    if let Some(head) = bytes.first_chunk_mut() {
        header.write_to(head, row_bytes);
    }
    Row::trusted(Bytes::from(bytes))
}

fn check_row(row: &Row, schema: &Schema) {
    let _ = (row.header(), format!("{row:?}"));
    let Ok(reader) = row.reader(schema) else { return };
    for index in 0..=schema.len() {
        if let Ok(Some(value)) = reader.get(index) {
            let _ = value.to_owned();
        }
    }
    if reader.verify().is_err() {
        return;
    }
    let values: Vec<Option<Value>> = (0..schema.len())
        .map(|index| match reader.get(index) {
            Ok(value) => value.map(ValueRef::to_owned),
            Err(error) => unreachable!("a verified row cannot be read: {error}"),
        })
        .collect();
    let borrowed: Vec<Option<ValueRef<'_>>> =
        values.iter().map(|value| value.as_ref().map(ValueRef::from)).collect();
    // Only a decimal with too many digits may stand in the bytes and not be written again.
    let Ok(again) = RowEncoder::new(schema).encode(row.header().lane, &borrowed) else { return };
    let Ok(reader) = again.reader(schema) else { unreachable!("what we wrote cannot be read") };
    for (index, value) in values.iter().enumerate() {
        let read = reader.get(index).map(|value| value.map(ValueRef::to_owned));
        // By their debug form: NaN is not equal to itself.
        assert_eq!(format!("{read:?}"), format!("{:?}", Ok::<_, crate::Error>(value.clone())));
    }
}

fn check_key(id: &[u8]) {
    let _ = RowKey::from_bytes(id);
    for shape in SHAPES.iter() {
        let names: Vec<&str> = shape.key_names().iter().map(Name::as_str).collect();
        let mut bytes = format!("n#{}#", names.join("+")).into_bytes();
        bytes.extend_from_slice(id);
        bytes.extend_from_slice(b"\0v#1");
        let Ok(key) = RowKey::from_bytes(&bytes) else { continue };
        let _ = (key.partition(), key.sort());
        if let Ok(values) = shape.decode(&key) {
            assert_eq!(shape.encode(&values).as_ref(), Ok(&key), "one entity, two keys");
        }
    }
}
