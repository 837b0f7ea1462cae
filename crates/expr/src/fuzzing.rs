//! What fuzzing checks, shared by the `cargo fuzz` target and an ordinary test over its corpus.
//! Not for anybody else.

use trivium_model::{DataType, Timestamp, Value};

use crate::{Columns, Datum, Expression};

/// A column of every type.
pub fn columns() -> Columns {
    let mut columns = Columns::new();
    columns.add("i", DataType::Int32);
    columns.add("l", DataType::Int64);
    columns.add("f", DataType::Float32);
    columns.add("d", DataType::Float64);
    columns.add("s", DataType::String);
    columns.add("b", DataType::Bool);
    columns.add("at", DataType::Timestamp);
    columns.add("day", DataType::Date);
    columns.add("p", DataType::Decimal { precision: 10, scale: 2 });
    columns.add("items", DataType::List(Box::new(DataType::String)));
    columns.add_qualified("carrier", "delay", DataType::Float64);
    columns.add_qualified("airport", "delay", DataType::Float64);
    columns.add_qualified("airport", "flights", DataType::Int64);
    columns.add("raw", DataType::Bytes);
    columns
}

/// A row of them.
pub fn row() -> Vec<Value> {
    vec![
        Value::Int32(7),
        Value::Int64(-5),
        Value::Float32(1.5),
        Value::Float64(2.5),
        Value::String("Kiruna, Søndre".to_owned()),
        Value::Bool(true),
        // 2013-03-04T17:30:59.25Z, a Monday.
        Value::Timestamp(Timestamp(1_362_418_259_250_000)),
        Value::Date(15_768),
        Value::Decimal(1_250),
        Value::List(vec![]),
        Value::Float64(12.5),
        Value::Float64(-1.0),
        Value::Int64(3),
        Value::Bytes(vec![1, 255]),
    ]
}

/// Reads a text, and evaluates and writes what could be read; whether it could.
///
/// # Panics
///
/// Where a value is not of the expression's type or a problem does not stand in the text.
pub fn check(text: &str) -> bool {
    match Expression::parse(text, &columns()) {
        Ok(expression) => {
            let values = row();
            for values in [values.as_slice(), &[]] {
                let value =
                    expression.evaluate(&|at| values.get(at).map_or(Datum::Null, Datum::of));
                let value = value.into_value();
                assert!(value.fits(expression.data_type()), "{text} gives {value:?}");
                assert!(value.in_calendar(), "{text} gives {value:?}");
            }
            assert!(!expression.to_sql(&|at| format!("c{at}")).is_empty(), "{text}");
            true
        }
        Err(problem) => {
            assert!(text.is_char_boundary(problem.offset), "{text}: {problem:?}");
            false
        }
    }
}
