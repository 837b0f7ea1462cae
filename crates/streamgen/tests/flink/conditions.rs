//! Conditions as the worker evaluates them, and as Flink does what is made of them.

use serde_json::{Value as Json, json};
use trivium_expr::{Columns, Datum, Expression};
use trivium_model::{DataType, Timestamp, Value};

use crate::windows::Dice;

const TYPES: [(&str, DataType, &str); 9] = [
    ("n", DataType::Int64, "\"int64\""),
    ("i", DataType::Int32, "\"int32\""),
    ("f", DataType::Float64, "\"float64\""),
    ("g", DataType::Float32, "\"float32\""),
    ("s", DataType::String, "\"string\""),
    ("b", DataType::Bool, "\"bool\""),
    ("d", DataType::Date, "\"date\""),
    ("t", DataType::Timestamp, "\"timestamp\""),
    (
        "p",
        DataType::Decimal { precision: 18, scale: 2 },
        "{ \"decimal\": { \"precision\": 18, \"scale\": 2 } }",
    ),
];

const CONDITIONS: &[&str] = &[
    "n > 5",
    "n + 1 > n",
    "n - i < 0",
    "n * n > 10",
    "i + i > 2147483647L",
    "i * 3 <> n",
    "-n = n",
    "-i < 0",
    "abs(n) >= 7",
    "abs(i) > i",
    "n % 5 = i % 3",
    "n % i = 0",
    "n DIV 3 > 1",
    "i BETWEEN -3 AND 7.5",
    "n NOT BETWEEN i AND 100",
    "n IN (1, 2, 9223372036854775807, NULL)",
    "n NOT IN (1, 7)",
    "f > 1.5",
    "f < 1.5",
    "f = f",
    "f <> f",
    "f >= g",
    "f <= g",
    "f <> g OR f = g",
    "NOT (f < g)",
    "g > 0.25",
    "isnan(f)",
    "f + 1 > g * 2",
    "f / g > 1",
    "n / i >= 2",
    "- f > 0",
    "abs(g) = g",
    "f BETWEEN -1 AND 3",
    "f IN (0, 1.5, 2.5)",
    "s = 'a'",
    "s < 'b'",
    "s <> 'ü; -- \u{1f600}'",
    "s LIKE 'a%'",
    "s LIKE '%b'",
    "s NOT LIKE '%.+%'",
    "startswith(s, 'a')",
    "endswith(s, 'b')",
    "contains(s, ' ')",
    "length(s) > 1",
    "lower(s) = 'ab'",
    "upper(s) = 'Ü'",
    "trim(s) = 'a'",
    "ltrim(s) = 'a '",
    "s IN ('a', 'ab', \"it's\")",
    "coalesce(s, 'none') = 'none'",
    "nullif(s, 'a') IS NULL",
    "b",
    "NOT b",
    "b = (n > 0)",
    "b IS TRUE",
    "b IS NOT FALSE",
    "b IS NULL OR n IS NOT NULL",
    "b AND f > 0 OR n < 0",
    "n <=> i",
    "s IS DISTINCT FROM 'a'",
    "d > DATE '2013-02-10'",
    "d = t",
    "t >= TIMESTAMP '2013-02-10 00:00:00.000001'",
    "t BETWEEN DATE '2013-02-05' AND TIMESTAMP '2013-02-20 12:00:00'",
    "p > 3.5",
    "p = 12",
    "p < n",
    "p > f",
    "p BETWEEN -1.25 AND 100.001",
    "CASE WHEN b THEN n > 0 WHEN s = 'a' THEN f > 0 ELSE i > 0 END",
    "CASE i WHEN 1 THEN TRUE WHEN 7.0 THEN FALSE END",
    "CAST(i AS BIGINT) * 2 > n",
    "CAST(n AS DOUBLE) > f",
    "if(b, n, i) > 3",
    "coalesce(n, i, 0) = 0",
];

/// What has no equal, and says so.
const REFUSED: &[(&str, &str)] = &[
    ("round(f) > 1", "`round`: it has no equal in Flink"),
    ("s LIKE 'a_'", "`_` in a pattern of LIKE: Flink's passes over no line's end"),
    ("CAST(s AS INT) > 1", "a cast from string to int32: Flink's is another"),
    ("f <=> g", "`<=>` of floats: Flink has no word for it"),
    ("f % 2 = 0", "`%` of floats: it has no equal in Flink"),
    ("b > FALSE", "`>` of bool: it has no equal in Flink"),
    ("greatest(n, i) > 1", "`greatest`: it has no equal in Flink"),
    ("year(d) = 2013", "`year`: it has no equal in Flink"),
];

fn columns() -> Columns {
    let mut columns = Columns::new();
    for (name, data_type, _) in TYPES {
        columns.add(name, data_type);
    }
    columns
}

fn parsed(text: &str) -> Expression {
    Expression::parse(text, &columns()).unwrap_or_else(|wrong| panic!("{text}: {wrong}"))
}

fn as_flink(text: &str) -> Result<String, String> {
    parsed(text).to_flink(&columns(), &|column| format!("`{}`", TYPES[column].0))
}

pub fn refused() {
    for (text, why) in REFUSED {
        assert_eq!(as_flink(text).as_ref().map_err(String::as_str), Err(*why), "{text}");
    }
    // Each sum is written twice: so many would be megabytes.
    let long = format!("{} > 0", vec!["n"; 30].join(" + "));
    let why = as_flink(&long).unwrap_err();
    assert_eq!(why, "the expression: its SQL would be longer than 64 KiB");
}

/// A view that gives each condition as a column, and its SQL.
pub fn view() -> (String, String) {
    let feature = |number: usize| json!({ "name": format!("c{number}"), "type": "string", "description": "." });
    let features: Vec<Json> = (0..CONDITIONS.len()).map(feature).collect();
    let types = TYPES.iter().map(|(name, _, of)| {
        let of: Json = serde_json::from_str(of).unwrap();
        json!({ "name": name, "type": of })
    });
    let mut declared: Vec<Json> = types.collect();
    declared.push(json!({ "name": "k", "type": "int64" }));
    declared.push(json!({ "name": "at", "type": "timestamp" }));
    let config = json!({
        "namespace": "w", "name": "all", "version": 1, "lane": "stream", "description": ".",
        "owner": { "team": "a", "contact": "a@example.com" }, "urgency_tier": 1,
        "entities": [{ "name": "k", "type": "int64" }], "event_timestamp": "at", "features": features,
        "inputs": [{
            "name": "m", "format": "json", "topic": "m", "event_time": "at", "columns": declared,
        }],
        "source": { "format": "json", "topic": "rows" },
    });
    let conditions = CONDITIONS.iter().enumerate().map(|(number, text)| {
        let sql = as_flink(text).unwrap_or_else(|why| panic!("{text}: {why}"));
        format!("CAST({sql} AS STRING) AS c{number}")
    });
    let conditions: Vec<String> = conditions.collect();
    (config.to_string(), format!("SELECT k, `at`,\n{}\nFROM m", conditions.join(",\n")))
}

fn row(dice: &mut Dice) -> Vec<(Json, Value)> {
    let whole = |dice: &mut Dice| match dice.of(8) {
        0 => i64::MAX,
        1 => i64::MIN,
        _ => dice.of(20) as i64 - 8,
    };
    let float = |dice: &mut Dice| match dice.of(8) {
        0 => (json!("NaN"), f64::NAN),
        1 => (json!("Infinity"), f64::INFINITY),
        2 => (json!(-0.0), -0.0),
        _ => {
            let value = dice.of(20) as f64 * 0.5 - 4.0;
            (json!(value), value)
        }
    };
    let texts =
        ["a", "ab", "b", " a ", "Ab", "ü", "ü; -- \u{1f600}", "a.+b", "it's", "", "a b", "a\nb"];
    let (n, i) = (whole(dice), whole(dice).clamp(i64::from(i32::MIN), i64::from(i32::MAX)) as i32);
    let ((f, as_f), (g, as_g)) = (float(dice), float(dice));
    let s = texts[dice.of(12) as usize];
    let b = dice.is(2);
    let day = dice.of(28) as i32 + 1;
    // 2013-02-01 is day 15,737.
    let date = 15_736 + day;
    let midnight = i64::from(date) * 86_400_000_000;
    let at = Timestamp(midnight + if dice.is(3) { 0 } else { dice.of(86_400) as i64 * 1_000_001 });
    let cents = dice.of(3_000) as i64 - 1_000;
    let sign = if cents < 0 { "-" } else { "" };
    let p = format!("{sign}{}.{:02}", cents.abs() / 100, cents.abs() % 100);
    let values = vec![
        (json!(n), Value::Int64(n)),
        (json!(i), Value::Int32(i)),
        (f, Value::Float64(as_f)),
        (g, Value::Float32(as_g as f32)),
        (json!(s), Value::String(s.to_owned())),
        (json!(b), Value::Bool(b)),
        (json!(format!("2013-02-{day:02}")), Value::Date(date)),
        (json!(at.to_string()), Value::Timestamp(at)),
        (json!(p), Value::Decimal(i128::from(cents))),
    ];
    let nothing = |value| if dice.is(6) { (Json::Null, Value::Null) } else { value };
    values.into_iter().map(nothing).collect()
}

/// Rows as recorded events, and each with what all conditions are of it.
pub fn rows(count: usize) -> (String, Vec<Vec<Json>>) {
    let conditions: Vec<Expression> = CONDITIONS.iter().map(|text| parsed(text)).collect();
    let (mut dice, mut lines, mut expected) = (Dice(7), String::new(), Vec::new());
    for number in 0..count {
        let row = row(&mut dice);
        let at = Timestamp(1_356_998_400_000_000 + number as i64 * 1_000_000);
        let mut message = json!({ "k": number, "at": at.to_string() });
        for ((name, ..), (value, _)) in TYPES.iter().zip(&row) {
            message[*name] = value.clone();
        }
        lines.push_str(&format!("{}\n", json!({ "value": message })));
        let of = |condition: &Expression| match condition.evaluate(&|at| Datum::of(&row[at].1)) {
            Datum::Bool(true) => json!("TRUE"),
            Datum::Bool(false) => json!("FALSE"),
            _ => Json::Null,
        };
        expected.push(conditions.iter().map(of).collect());
    }
    (lines, expected)
}

/// Names the conditions that differ.
pub fn assert_same(expected: &[Vec<Json>], found: &[serde_json::Map<String, Json>]) {
    assert_eq!(expected.len(), found.len());
    let mut differing = Vec::new();
    for (number, text) in CONDITIONS.iter().enumerate() {
        let rows = expected.iter().zip(found);
        let wrong = rows.filter(|(wanted, row)| row[&format!("c{number}")] != wanted[number]);
        let rows: Vec<_> =
            wrong.map(|(wanted, row)| (&row["k"], &wanted[number])).take(3).collect();
        if !rows.is_empty() {
            differing.push(format!("{text}: {rows:?}"));
        }
        // A condition that is always the same says nothing.
        let first = &expected[0][number];
        assert!(expected.iter().any(|row| row[number] != *first), "{text} is always {first}");
    }
    assert!(differing.is_empty(), "not the same in Flink:\n{}", differing.join("\n"));
}
