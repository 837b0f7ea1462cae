//! The parity cases: the tables, the queries, what Spark said, and how answers are compared.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use arrow::{
    array::*,
    datatypes::{
        DataType, Date32Type, Decimal128Type, Field, Float32Type, Float64Type, Int32Type,
        Int64Type, Schema, TimeUnit, TimestampMicrosecondType,
    },
    record_batch::RecordBatch,
};
use serde_json::{Map, Value, json};
use trivium_engine::{Source, Table};

pub fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../testdata/spark-parity")
}

#[derive(Debug, Clone)]
pub struct Case {
    pub name: String,
    pub sql: String,
    /// The local engine must refuse it.
    pub refused: bool,
    /// Floats may differ in the last digits.
    pub close: bool,
    pub unordered: bool,
    /// Binary columns are sketches: of the same values, whatever their bytes.
    pub sketches: bool,
}

pub fn cases() -> Vec<Case> {
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder().join("cases"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    let mut cases = Vec::new();
    for path in paths {
        let text = std::fs::read_to_string(&path).unwrap();
        for block in text.split("-- case: ").skip(1) {
            let (name, mut rest) = block.split_once('\n').unwrap();
            let mut case = Case {
                name: format!("{}: {}", path.file_stem().unwrap().to_str().unwrap(), name.trim()),
                sql: String::new(),
                refused: false,
                close: false,
                unordered: false,
                sketches: false,
            };
            while let Some((line, after)) = rest.split_once('\n') {
                match line {
                    "-- local: refused" => case.refused = true,
                    "-- close" => case.close = true,
                    "-- unordered" => case.unordered = true,
                    "-- sketches" => case.sketches = true,
                    _ => break,
                }
                rest = after;
            }
            case.sql = rest.trim().to_owned();
            cases.push(case);
        }
    }
    cases
}

#[derive(Debug, Clone)]
pub enum Answer {
    Rows { columns: Vec<(String, String)>, rows: Vec<Vec<Value>> },
    Error(String),
}

pub fn answers() -> BTreeMap<String, Answer> {
    let text = std::fs::read_to_string(folder().join("answers.json")).unwrap();
    let all: Value = serde_json::from_str(&text).unwrap();
    let cases: &Map<String, Value> = all["cases"].as_object().unwrap();
    cases
        .iter()
        .map(|(name, answer)| {
            let answer = match answer.get("error") {
                Some(error) => Answer::Error(error.as_str().unwrap().to_owned()),
                None => Answer::Rows {
                    columns: answer["columns"]
                        .as_array()
                        .unwrap()
                        .iter()
                        .map(|column| {
                            (
                                column[0].as_str().unwrap().to_owned(),
                                column[1].as_str().unwrap().to_owned(),
                            )
                        })
                        .collect(),
                    rows: answer["rows"]
                        .as_array()
                        .unwrap()
                        .iter()
                        .map(|row| row.as_array().unwrap().clone())
                        .collect(),
                },
            };
            (name.clone(), answer)
        })
        .collect()
}

fn arrow_type(kind: &str) -> DataType {
    if let Some(item) = kind.strip_prefix("array<") {
        return DataType::List(Arc::new(Field::new(
            "item",
            arrow_type(item.strip_suffix('>').unwrap()),
            true,
        )));
    }
    if let Some(digits) = kind.strip_prefix("decimal(") {
        let (precision, scale) = digits.strip_suffix(')').unwrap().split_once(',').unwrap();
        return DataType::Decimal128(precision.parse().unwrap(), scale.parse().unwrap());
    }
    match kind {
        "int" => DataType::Int32,
        "bigint" => DataType::Int64,
        "double" => DataType::Float64,
        "float" => DataType::Float32,
        "string" => DataType::Utf8,
        "boolean" => DataType::Boolean,
        "date" => DataType::Date32,
        "timestamp" => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        other => panic!("type {other}"),
    }
}

fn float(value: &Value) -> Option<f64> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(match text.as_str() {
            "NaN" => f64::NAN,
            "Infinity" => f64::INFINITY,
            "-Infinity" => f64::NEG_INFINITY,
            text => text.parse().unwrap(),
        }),
        number => number.as_f64(),
    }
}

fn column(data_type: &DataType, values: &[Value]) -> ArrayRef {
    match data_type {
        DataType::Int32 => {
            Arc::new(values.iter().map(|v| v.as_i64().map(|v| v as i32)).collect::<Int32Array>())
        }
        DataType::Int64 => Arc::new(values.iter().map(Value::as_i64).collect::<Int64Array>()),
        DataType::Float64 => Arc::new(values.iter().map(float).collect::<Float64Array>()),
        DataType::Float32 => {
            Arc::new(values.iter().map(|v| float(v).map(|v| v as f32)).collect::<Float32Array>())
        }
        DataType::Utf8 => Arc::new(values.iter().map(|v| v.as_str()).collect::<StringArray>()),
        DataType::Boolean => Arc::new(values.iter().map(Value::as_bool).collect::<BooleanArray>()),
        DataType::Date32 => Arc::new(
            values
                .iter()
                .map(|v| {
                    v.as_str().map(|v| {
                        (v.parse::<chrono::NaiveDate>().unwrap() - chrono::NaiveDate::default())
                            .num_days() as i32
                    })
                })
                .collect::<Date32Array>(),
        ),
        DataType::Timestamp(..) => Arc::new(
            values
                .iter()
                .map(|v| {
                    v.as_str().map(|v| {
                        chrono::DateTime::parse_from_rfc3339(v).unwrap().timestamp_micros()
                    })
                })
                .collect::<TimestampMicrosecondArray>()
                .with_timezone("UTC"),
        ),
        DataType::Decimal128(precision, scale) => Arc::new(
            values
                .iter()
                .map(|v| v.as_str().map(|v| v.replace('.', "").parse::<i128>().unwrap()))
                .collect::<Decimal128Array>()
                .with_precision_and_scale(*precision, *scale)
                .unwrap(),
        ),
        DataType::List(item) => {
            let flat: Vec<Value> =
                values.iter().filter_map(Value::as_array).flatten().cloned().collect();
            let lengths = values.iter().map(|v| v.as_array().map_or(0, Vec::len));
            let nulls: arrow::buffer::NullBuffer =
                values.iter().map(|v| !v.is_null()).collect::<Vec<_>>().into();
            Arc::new(ListArray::new(
                Arc::clone(item),
                arrow::buffer::OffsetBuffer::from_lengths(lengths),
                column(item.data_type(), &flat),
                Some(nulls),
            ))
        }
        other => panic!("column of {other}"),
    }
}

/// The tables of `tables.json`.
pub fn tables() -> Vec<Table> {
    let text = std::fs::read_to_string(folder().join("tables.json")).unwrap();
    let all: Value = serde_json::from_str(&text).unwrap();
    all.as_object()
        .unwrap()
        .iter()
        .map(|(name, table)| {
            let columns = table["columns"].as_array().unwrap();
            let rows = table["rows"].as_array().unwrap();
            let fields: Vec<Field> = columns
                .iter()
                .map(|c| {
                    Field::new(c[0].as_str().unwrap(), arrow_type(c[1].as_str().unwrap()), true)
                })
                .collect();
            let arrays = fields
                .iter()
                .enumerate()
                .map(|(index, field)| {
                    column(
                        field.data_type(),
                        &rows.iter().map(|row| row[index].clone()).collect::<Vec<_>>(),
                    )
                })
                .collect();
            let schema = Arc::new(Schema::new(fields));
            let batch = RecordBatch::try_new(Arc::clone(&schema), arrays).unwrap();
            Table {
                name: name.clone(),
                source: Source::Batches { schema, batches: vec![batch] },
                time_zone: None,
            }
        })
        .collect()
}

/// Spark's name of a type.
pub fn type_name(data_type: &DataType) -> String {
    match data_type {
        DataType::Boolean => "boolean".to_owned(),
        DataType::Int32 => "int".to_owned(),
        DataType::Int64 => "bigint".to_owned(),
        DataType::Float32 => "float".to_owned(),
        DataType::Float64 => "double".to_owned(),
        DataType::Utf8 => "string".to_owned(),
        DataType::Binary => "binary".to_owned(),
        DataType::Date32 => "date".to_owned(),
        DataType::Null => "void".to_owned(),
        DataType::Timestamp(TimeUnit::Microsecond, Some(zone)) if &**zone == "UTC" => {
            "timestamp".to_owned()
        }
        DataType::Decimal128(precision, scale) => format!("decimal({precision},{scale})"),
        DataType::List(item) => format!("array<{}>", type_name(item.data_type())),
        other => format!("arrow {other}"),
    }
}

/// A value as the record writes it; floats as numbers or their words.
pub fn value(array: &ArrayRef, row: usize) -> Value {
    if array.is_null(row) {
        return Value::Null;
    }
    let number = |value: f64| {
        if value.is_nan() {
            json!("NaN")
        } else if value.is_infinite() {
            json!(if value > 0.0 { "Infinity" } else { "-Infinity" })
        } else {
            json!(format!("{value:?}"))
        }
    };
    match array.data_type() {
        DataType::Boolean => json!(array.as_boolean().value(row)),
        DataType::Int32 => json!(array.as_primitive::<Int32Type>().value(row)),
        DataType::Int64 => json!(array.as_primitive::<Int64Type>().value(row).to_string()),
        DataType::Float32 => number(f64::from(array.as_primitive::<Float32Type>().value(row))),
        DataType::Float64 => number(array.as_primitive::<Float64Type>().value(row)),
        DataType::Utf8 => json!(array.as_string::<i32>().value(row)),
        DataType::Binary => json!(
            array
                .as_binary::<i32>()
                .value(row)
                .iter()
                .map(|b| format!("{b:02x}"))
                .collect::<String>()
        ),
        DataType::Date32 => {
            let day = chrono::NaiveDate::default()
                + chrono::Duration::days(i64::from(array.as_primitive::<Date32Type>().value(row)));
            json!(day.to_string())
        }
        DataType::Timestamp(..) => {
            json!(array.as_primitive::<TimestampMicrosecondType>().value(row).to_string())
        }
        DataType::Decimal128(..) => {
            json!(array.as_primitive::<Decimal128Type>().value_as_string(row))
        }
        DataType::List(_) => {
            let items = array.as_list::<i32>().value(row);
            Value::Array((0..items.len()).map(|index| value(&items, index)).collect())
        }
        other => json!(format!("unprintable {other}")),
    }
}

/// Whether two values of a type are the same; zeros have signs, floats may be close.
pub fn same(theirs: &Value, ours: &Value, kind: &str, close: bool) -> bool {
    if let Some(item) = kind.strip_prefix("array<") {
        return match (theirs, ours) {
            (Value::Array(theirs), Value::Array(ours)) => {
                theirs.len() == ours.len()
                    && theirs
                        .iter()
                        .zip(ours)
                        .all(|(a, b)| same(a, b, &item[..item.len() - 1], close))
            }
            (Value::Null, Value::Null) => true,
            _ => false,
        };
    }
    if matches!(kind, "double" | "float") {
        return match (float(theirs), float(ours)) {
            (None, None) => true,
            (Some(a), Some(b)) if a.is_nan() || b.is_nan() => a.is_nan() && b.is_nan(),
            (Some(a), Some(b)) if close => a == b || (a - b).abs() <= 1e-12 * a.abs().max(b.abs()),
            (Some(a), Some(b)) => a.to_bits() == b.to_bits(),
            _ => false,
        };
    }
    if let (true, Value::String(theirs), Value::String(ours)) =
        (kind.starts_with("decimal"), theirs, ours)
    {
        // Spark may print more zeros than the type has digits.
        let plain = |text: &str| text.trim_end_matches('0').trim_end_matches('.').to_owned();
        return theirs.contains('.') == ours.contains('.')
            && (theirs == ours || plain(theirs) == plain(ours));
    }
    theirs == ours
}

/// Whether two sketches are of the same values and size.
pub fn same_sketch(theirs: &Value, ours: &Value) -> bool {
    let canonical = |value: &Value| {
        value.as_str().map(|text| {
            let byte = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
            let bytes: Vec<u8> = (0..text.len()).step_by(2).map(byte).collect();
            trivium_sketch::Sketch::read(&bytes).unwrap().canonical()
        })
    };
    canonical(theirs) == canonical(ours)
}
