//! Every operator and function between every two types, over nulls, NaN, infinities, both zeros and the ends of the
//! types: an expression gives what a real Spark gave for the SQL that is made of it (`testdata/expressions`).
#![expect(clippy::unwrap_used, clippy::panic, reason = "a whole file of tests")]

use std::{borrow::Cow, fmt::Write, path::PathBuf};

use serde_json::{Value, json};
use trivium_expr::{Columns, Datum, Expression};
use trivium_model::{
    DataType, Timestamp,
    json::{day_from_text, day_to_text, decimal_to_text},
};

/// Two columns of each type. In the rows, every value of the first stands beside every value of the second.
fn types() -> Vec<(&'static str, DataType, Vec<Option<&'static str>>)> {
    vec![
        (
            "i",
            DataType::Int32,
            vec![
                None,
                Some("0"),
                Some("-1"),
                Some("7"),
                Some("2147483647"),
                Some("-2147483648"),
                Some("1000"),
            ],
        ),
        (
            "l",
            DataType::Int64,
            vec![
                None,
                Some("0"),
                Some("-1"),
                Some("9007199254740993"),
                Some("9223372036854775807"),
                Some("-9223372036854775808"),
                Some("12"),
            ],
        ),
        (
            "d",
            DataType::Float64,
            vec![
                None,
                Some("0.0"),
                Some("-0.0"),
                Some("NaN"),
                Some("Infinity"),
                Some("-1e300"),
                Some("2.45"),
            ],
        ),
        (
            "f",
            DataType::Float32,
            vec![
                None,
                Some("0.1"),
                Some("-0.0"),
                Some("NaN"),
                Some("-Infinity"),
                Some("16777216"),
                Some("2.5"),
            ],
        ),
        (
            "s",
            DataType::String,
            vec![
                None,
                Some(""),
                Some("Ab c"),
                Some(" 12 "),
                Some("2013-03-04"),
                Some("%_ø"),
                Some("true"),
            ],
        ),
        (
            "p",
            DataType::Decimal { precision: 10, scale: 2 },
            vec![
                None,
                Some("0.00"),
                Some("0.01"),
                Some("-123.45"),
                Some("99999999.99"),
                Some("12.00"),
                Some("-0.50"),
            ],
        ),
        (
            "y",
            DataType::Date,
            vec![
                None,
                Some("1970-01-01"),
                Some("1969-12-31"),
                Some("2013-03-04"),
                Some("2000-02-29"),
                Some("0001-01-01"),
                Some("9999-12-31"),
            ],
        ),
        (
            "t",
            DataType::Timestamp,
            vec![
                None,
                Some("1970-01-01 00:00:00"),
                Some("1969-12-31 23:59:59.999999"),
                Some("2013-03-04 17:30:59.25"),
                Some("2000-02-28 23:59:59.999999"),
                Some("0001-01-01 00:00:00"),
                Some("9999-12-31 23:59:59.999999"),
            ],
        ),
        (
            "b",
            DataType::Bool,
            vec![
                None,
                Some("true"),
                Some("false"),
                Some("true"),
                Some("false"),
                Some("true"),
                Some("false"),
            ],
        ),
    ]
}

const SIDE: usize = 7;

fn datum(text: Option<&'static str>, data_type: &DataType) -> Datum<'static> {
    let Some(text) = text else { return Datum::Null };
    match data_type {
        DataType::Int32 => Datum::Int32(text.parse().unwrap()),
        DataType::Int64 => Datum::Int64(text.parse().unwrap()),
        DataType::Float64 => Datum::Float64(text.parse().unwrap()),
        DataType::Float32 => Datum::Float32(text.parse().unwrap()),
        DataType::Decimal { .. } => Datum::Decimal(text.replace('.', "").parse().unwrap()),
        DataType::Date => Datum::Date(day_from_text(text).unwrap()),
        DataType::Timestamp => Datum::Timestamp(Timestamp::parse(text).unwrap()),
        DataType::Bool => Datum::Bool(text == "true"),
        _ => Datum::String(Cow::Borrowed(text)),
    }
}

/// Names, types, and the value that a row has.
type Rows = Vec<Vec<Option<&'static str>>>;

fn grid() -> (Vec<(String, DataType)>, Rows) {
    let types = types();
    let columns = types
        .iter()
        .flat_map(|(letter, data_type, _)| {
            [1, 2].map(|n| (format!("{letter}{n}"), data_type.clone()))
        })
        .collect();
    let rows = (0..SIDE * SIDE)
        .map(|row| {
            types
                .iter()
                .flat_map(|(_, _, values)| [values[row / SIDE], values[row % SIDE]])
                .collect()
        })
        .collect();
    (columns, rows)
}

/// Every operator between every two types, and every function; many are refused.
fn texts(names: &[String]) -> Vec<String> {
    const OPERATORS: [&str; 13] =
        ["+", "-", "*", "/", "%", "=", "<>", "<", ">=", "<=>", "||", "AND", "OR"];
    const OF_TWO: [&str; 11] = [
        "coalesce",
        "nullif",
        "greatest",
        "least",
        "pow",
        "atan2",
        "nanvl",
        "datediff",
        "concat",
        "contains",
        "startswith",
    ];
    const OF_ONE: [&str; 40] = [
        "-",
        "NOT ",
        "abs",
        "sqrt",
        "exp",
        "ln",
        "log10",
        "log2",
        "log1p",
        "sign",
        "degrees",
        "radians",
        "sin",
        "cos",
        "tan",
        "atan",
        "floor",
        "ceil",
        "round",
        "isnan",
        "isnull",
        "lower",
        "upper",
        "trim",
        "rtrim",
        "length",
        "year",
        "quarter",
        "month",
        "day",
        "dayofyear",
        "dayofweek",
        "weekday",
        "weekofyear",
        "hour",
        "minute",
        "second",
        "unix_date",
        "unix_seconds",
        "unix_micros",
    ];
    const CASTS: [&str; 10] = [
        "BOOLEAN",
        "INT",
        "BIGINT",
        "FLOAT",
        "DOUBLE",
        "DECIMAL(12, 1)",
        "DECIMAL(38, 10)",
        "STRING",
        "DATE",
        "TIMESTAMP",
    ];
    const SHAPES: [&str; 19] = [
        "# IS TRUE",
        "# IS NOT FALSE",
        "# DIV 7",
        "# LIKE '%b%'",
        "# LIKE '_'",
        "# NOT LIKE 'A%c'",
        "round(#, 1)",
        "substring(#, 2)",
        "substring(#, -2, 1)",
        "left(#, 2)",
        "right(#, 2)",
        "# > 0.5",
        "# * 2",
        "# + 0.5e0",
        "# = 'a'",
        "# > TIMESTAMP '2000-02-28 23:59:59.999999'",
        "# IN (1, 2.5, NULL)",
        "timestampdiff(HOUR, #, DATE '2013-03-04')",
        "CASE WHEN # > 0 THEN \"it's\" ELSE '%' END",
    ];
    let mut all = Vec::new();
    let seconds: Vec<&String> = names.iter().skip(1).step_by(2).collect();
    for left in names.iter().step_by(2) {
        for right in &seconds {
            all.extend(OPERATORS.map(|op| format!("{left} {op} {right}")));
            all.extend(OF_TWO.map(|function| format!("{function}({left}, {right})")));
            all.push(format!("{left} IN ({right}, NULL)"));
            all.push(format!("{left} BETWEEN {right} AND 100"));
            all.push(format!("CASE {left} WHEN {right} THEN 1 WHEN NULL THEN 2 ELSE 3 END"));
            all.push(format!("if({left} IS NULL, {right}, {left})"));
        }
        all.extend(OF_ONE.map(|function| format!("{function}({left})")));
        all.extend(CASTS.map(|to| format!("CAST({left} AS {to})")));
        all.extend(SHAPES.map(|shape| shape.replace('#', left)));
    }
    all
}

/// As the script writes Spark's values.
fn written(value: &Datum<'_>, data_type: &DataType) -> Value {
    let float = |value: f64| match value {
        value if value.is_nan() => json!("NaN"),
        value if value.is_infinite() => json!(if value > 0.0 { "Infinity" } else { "-Infinity" }),
        // To be compared as a number.
        value => json!(format!("{value:?}")),
    };
    match value {
        Datum::Null | Datum::Opaque | Datum::Bytes(_) => Value::Null,
        Datum::Bool(value) => json!(value),
        Datum::Int32(value) => json!(value),
        Datum::Int64(value) => json!(value.to_string()),
        Datum::Float32(value) => float(f64::from(*value)),
        Datum::Float64(value) => float(*value),
        Datum::String(text) => json!(text),
        Datum::Timestamp(at) => json!(at.0.to_string()),
        Datum::Date(day) => json!(day_to_text(*day)),
        Datum::Decimal(unscaled) => {
            let DataType::Decimal { scale, .. } = data_type else { panic!("{data_type}") };
            json!(decimal_to_text(*unscaled, *scale))
        }
    }
}

/// Java's functions may differ from ours in the last digit; everything else is the same bit by bit.
fn same(theirs: &Value, ours: &Value, data_type: &DataType, close: bool) -> bool {
    let float = matches!(data_type, DataType::Float32 | DataType::Float64);
    let numbers = theirs
        .as_str()
        .zip(ours.as_str())
        .and_then(|(theirs, ours)| Some((theirs.parse::<f64>().ok()?, ours.parse::<f64>().ok()?)));
    if *data_type == DataType::Timestamp && ours.is_null() {
        // Expressions end where the calendar ends (`docs/expressions.md`); Spark goes on.
        let micros = theirs.as_str().and_then(|micros| micros.parse().ok());
        return micros.is_none_or(|micros| !Timestamp(micros).in_calendar());
    }
    match numbers.filter(|_| float) {
        Some((theirs, ours)) => {
            (theirs.is_nan() && ours.is_nan())
                || theirs.to_bits() == ours.to_bits()
                || (close && (theirs - ours).abs() <= 1e-12 * theirs.abs().max(ours.abs()))
        }
        None => theirs == ours,
    }
}

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../testdata/expressions").join(name)
}

#[test]
fn what_spark_gave_for_the_sql() {
    let (columns, rows) = grid();
    let mut known = Columns::new();
    for (name, data_type) in &columns {
        known.add(name.as_str(), data_type.clone());
    }
    let names: Vec<String> = columns.iter().map(|(name, _)| name.clone()).collect();
    let texts = texts(&names);
    let read: Vec<(&String, Expression)> = texts
        .iter()
        .filter_map(|text| Some((text, Expression::parse(text, &known).ok()?)))
        .collect();

    let spark = |data_type: &DataType| match data_type {
        DataType::Int32 => "int".to_owned(),
        DataType::Int64 => "bigint".to_owned(),
        DataType::Float32 => "float".to_owned(),
        DataType::Float64 => "double".to_owned(),
        DataType::Bool => "boolean".to_owned(),
        DataType::Decimal { precision, scale } => format!("decimal({precision},{scale})"),
        other => other.to_string(),
    };
    let mut asked = "{\n\"columns\": ".to_owned();
    let named: Vec<_> =
        columns.iter().map(|(name, data_type)| json!([name, spark(data_type)])).collect();
    write!(asked, "{},\n\"rows\": {},\n\"expressions\": [\n", json!(named), json!(rows)).unwrap();
    let lines: Vec<String> = read
        .iter()
        .map(|(text, expression)| {
            let sql = expression.to_sql(&|column| names[column].clone());
            json!([text, spark(expression.data_type()), sql]).to_string()
        })
        .collect();
    write!(asked, "{}\n]\n}}\n", lines.join(",\n")).unwrap();
    if std::env::var_os("UPDATE_EXPRESSIONS").is_some() {
        std::fs::write(path("asked.json"), &asked).unwrap();
    }
    let kept = std::fs::read_to_string(path("asked.json")).unwrap_or_default();
    assert!(
        kept == asked,
        "other expressions or SQL than Spark was asked: see testdata/expressions/README.md"
    );

    let answers: Value =
        serde_json::from_str(&std::fs::read_to_string(path("answers.json")).unwrap_or_default())
            .unwrap_or_default();
    let answers = answers["answers"].as_array().unwrap();
    assert_eq!(answers.len(), read.len());
    let rows: Vec<Vec<Datum<'static>>> = rows
        .iter()
        .map(|row| {
            row.iter().zip(&columns).map(|(text, (_, data_type))| datum(*text, data_type)).collect()
        })
        .collect();
    let (mut wrong, mut nulls) = (Vec::new(), 0);
    for ((text, expression), answer) in read.iter().zip(answers) {
        let sql = expression.to_sql(&|column| names[column].clone());
        let data_type = expression.data_type();
        if answer[0].as_str() != Some(&spark(data_type)) {
            wrong.push(format!("{text} is a {data_type}, but Spark says {}: {sql}", answer[0]));
            continue;
        }
        let close = ["exp", "ln", "log", "sin", "cos", "tan", "pow", "atan"]
            .iter()
            .any(|name| text.starts_with(name));
        for (row, theirs) in rows.iter().zip(answer[1].as_array().unwrap()) {
            let ours = written(&expression.evaluate(&|column| row[column].borrowed()), data_type);
            nulls += usize::from(ours.is_null());
            if !same(theirs, &ours, data_type, close) {
                wrong.push(format!("{text} gives {ours}, Spark {theirs}, of {row:?}: {sql}"));
                break;
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), read.len(), wrong.join("\n"));
    assert!(read.len() > 700 && nulls > 5_000, "{} expressions, {nulls} nulls", read.len());
}
