//! Expressions give what a real Spark gave: the recorded answers of `testdata/spark-parity`, and null where Spark
//! failed.
#![expect(clippy::unwrap_used, reason = "a whole file of tests")]

use std::{borrow::Cow, collections::BTreeMap, path::PathBuf};

use serde_json::Value;
use sqlparser::{
    ast::{Expr, SelectItem, SetExpr, Statement, TableFactor},
    parser::Parser,
};
use trivium_expr::{Columns, Datum, Expression};
use trivium_model::{DataType, Timestamp, json::decimal_to_text};
use trivium_sql::SparkDialect;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../testdata/spark-parity")
}

fn read(name: &str) -> Value {
    serde_json::from_str(&std::fs::read_to_string(folder().join(name)).unwrap()).unwrap()
}

/// The cases by their names in `answers.json`.
fn cases() -> Vec<(String, String, bool)> {
    let mut cases = Vec::new();
    for entry in std::fs::read_dir(folder().join("cases")).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        for block in text.split("-- case: ").skip(1) {
            let (name, rest) = block.split_once('\n').unwrap();
            let close = rest.lines().any(|line| line == "-- close");
            let sql: Vec<&str> = rest.lines().filter(|line| !line.starts_with("--")).collect();
            let stem = path.file_stem().unwrap().to_str().unwrap();
            cases.push((format!("{stem}: {}", name.trim()), sql.join("\n"), close));
        }
    }
    cases.sort();
    cases
}

fn type_of(word: &str) -> Option<DataType> {
    if let Some(digits) = word.strip_prefix("decimal(") {
        let (precision, scale) = digits.strip_suffix(')')?.split_once(',')?;
        return Some(DataType::Decimal {
            precision: precision.parse().ok()?,
            scale: scale.parse().ok()?,
        });
    }
    Some(match word {
        "int" => DataType::Int32,
        "bigint" => DataType::Int64,
        "double" => DataType::Float64,
        "float" => DataType::Float32,
        "string" => DataType::String,
        "boolean" => DataType::Bool,
        "date" => DataType::Date,
        "timestamp" => DataType::Timestamp,
        word => DataType::List(Box::new(type_of(word.strip_prefix("array<")?.strip_suffix('>')?)?)),
    })
}

fn float(value: &Value) -> Option<f64> {
    match value {
        Value::String(text) => text.parse().ok(),
        value => value.as_f64(),
    }
}

/// A value of a table.
fn given(value: &Value, data_type: &DataType) -> Datum<'static> {
    if value.is_null() {
        return Datum::Null;
    }
    match data_type {
        DataType::Int32 => Datum::Int32(i32::try_from(value.as_i64().unwrap()).unwrap()),
        DataType::Int64 => Datum::Int64(value.as_i64().unwrap()),
        DataType::Float64 => Datum::Float64(float(value).unwrap()),
        DataType::Float32 => Datum::Float32(float(value).unwrap() as f32),
        DataType::Bool => Datum::Bool(value.as_bool().unwrap()),
        DataType::String => Datum::String(Cow::Owned(value.as_str().unwrap().to_owned())),
        DataType::Decimal { .. } => {
            Datum::Decimal(value.as_str().unwrap().replace('.', "").parse().unwrap())
        }
        DataType::Timestamp => Datum::Timestamp(Timestamp::parse(value.as_str().unwrap()).unwrap()),
        DataType::Date => {
            let at = Timestamp::parse(value.as_str().unwrap()).unwrap();
            Datum::Date(i32::try_from(at.0.div_euclid(86_400_000_000)).unwrap())
        }
        _ => Datum::Opaque,
    }
}

fn same_float(theirs: f64, ours: f64, close: bool) -> bool {
    (theirs.is_nan() && ours.is_nan())
        || theirs.to_bits() == ours.to_bits()
        || (close
            && (theirs == ours || (theirs - ours).abs() <= 1e-12 * theirs.abs().max(ours.abs())))
}

/// Whether our value is what Spark wrote.
fn same(theirs: &Value, ours: &Datum<'_>, data_type: &DataType, close: bool) -> bool {
    match ours {
        Datum::Null => theirs.is_null(),
        Datum::Bool(value) => theirs.as_bool() == Some(*value),
        Datum::Int32(value) => theirs.as_i64() == Some(i64::from(*value)),
        Datum::Int64(value) => theirs.as_str() == Some(value.to_string().as_str()),
        Datum::Float32(value) => {
            float(theirs).is_some_and(|theirs| same_float(theirs, f64::from(*value), close))
        }
        Datum::Float64(value) => {
            float(theirs).is_some_and(|theirs| same_float(theirs, *value, close))
        }
        Datum::String(text) => theirs.as_str() == Some(text.as_ref()),
        Datum::Timestamp(at) => theirs.as_str() == Some(at.0.to_string().as_str()),
        Datum::Date(day) => {
            theirs.as_str() == Some(trivium_model::json::day_to_text(*day).as_str())
        }
        Datum::Decimal(unscaled) => {
            let DataType::Decimal { scale, .. } = data_type else { return false };
            let plain = |text: &str| match text.contains('.') {
                true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
                false => text.to_owned(),
            };
            theirs.as_str().map(plain) == Some(plain(&decimal_to_text(*unscaled, *scale)))
        }
        _ => false,
    }
}

struct Table {
    columns: Columns,
    /// Rows by their first column.
    rows: BTreeMap<i64, Vec<Datum<'static>>>,
}

fn tables() -> BTreeMap<String, Table> {
    let all = read("tables.json");
    let mut tables = BTreeMap::new();
    for (name, table) in all.as_object().unwrap() {
        let mut columns = Columns::new();
        let mut types = Vec::new();
        for column in table["columns"].as_array().unwrap() {
            let data_type = type_of(column[1].as_str().unwrap()).unwrap();
            columns.add(column[0].as_str().unwrap(), data_type.clone());
            types.push(data_type);
        }
        let rows = table["rows"].as_array().unwrap().iter().filter_map(|row| {
            let row = row.as_array().unwrap();
            let values = row.iter().zip(&types).map(|(value, data_type)| given(value, data_type));
            Some((row[0].as_i64()?, values.collect()))
        });
        tables.insert(name.clone(), Table { columns, rows: rows.collect() });
    }
    tables
}

/// The expressions of a SELECT from at most one table that gives each row as it is, and the table's name.
fn select(sql: &str) -> Option<(Vec<Expr>, Option<String>)> {
    let statements = Parser::parse_sql(&SparkDialect, sql).ok()?;
    let [Statement::Query(query)] = statements.as_slice() else { return None };
    let SetExpr::Select(select) = &*query.body else { return None };
    let grouped = match &select.group_by {
        sqlparser::ast::GroupByExpr::Expressions(items, _) => !items.is_empty(),
        sqlparser::ast::GroupByExpr::All(_) => true,
    };
    if query.with.is_some() || select.distinct.is_some() || grouped || select.having.is_some() {
        return None;
    }
    let table = match select.from.as_slice() {
        [] => None,
        [from] if from.joins.is_empty() => match &from.relation {
            TableFactor::Table { name, .. } => Some(name.to_string()),
            _ => return None,
        },
        _ => return None,
    };
    let items = select.projection.iter().map(|item| match item {
        SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => {
            Some(expr.clone())
        }
        _ => None,
    });
    Some((items.collect::<Option<_>>()?, table))
}

#[test]
fn what_spark_gave() {
    let (tables, answers) = (tables(), read("answers.json"));
    let none = Table { columns: Columns::new(), rows: BTreeMap::new() };
    let (mut compared, mut expressions, mut wrong) = (0, 0, Vec::new());
    for (name, sql, close) in cases() {
        let Some((items, table)) = select(&sql) else { continue };
        let table = match table {
            Some(table) => match tables.get(&table) {
                Some(table) => table,
                None => continue,
            },
            None => &none,
        };
        let answer = &answers["cases"][&name];
        let Some(rows) = answer["rows"].as_array() else { continue };
        // Which row of the table an answer's row is, tells its id.
        let by_id = items.first().is_some_and(|first| first.to_string() == "id");
        if !by_id && !table.rows.is_empty() {
            continue;
        }
        for (place, item) in items.iter().enumerate() {
            let text = item.to_string();
            let Ok(expression) = Expression::parse(&text, &table.columns) else { continue };
            expressions += 1;
            let said = answer["columns"][place][1].as_str().unwrap();
            if type_of(said).as_ref() != Some(expression.data_type()) {
                wrong.push(format!("{name}: {text} is {said}, ours {}", expression.data_type()));
                continue;
            }
            for row in rows {
                let values = match row[0].as_i64().filter(|_| by_id) {
                    Some(id) => table.rows.get(&id).unwrap(),
                    None => &Vec::new(),
                };
                let ours = expression.evaluate(&|column| values[column].borrowed());
                compared += 1;
                if !same(&row[place], &ours, expression.data_type(), close) {
                    wrong.push(format!(
                        "{name}: {text} gives {} and not {ours:?} in {row}",
                        row[place]
                    ));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // So that a change of the cases' form does not make this compare nothing.
    assert!(expressions > 300 && compared > 1200, "{expressions} expressions, {compared} values");
}

/// Where a single value fails in Spark, it is refused here, or null.
#[test]
fn where_spark_failed() {
    let answers = read("answers.json");
    let (mut refused, mut null) = (0, 0);
    for (name, sql, _) in cases() {
        let Some((items, None)) = select(&sql) else { continue };
        let ([item], Some(error)) = (items.as_slice(), answers["cases"][&name]["error"].as_str())
        else {
            continue;
        };
        match Expression::parse(&item.to_string(), &Columns::new()) {
            Err(_) => refused += 1,
            Ok(expression) => {
                let ours = expression.evaluate(&|_| Datum::Null);
                assert_eq!(ours, Datum::Null, "{name}: {item}: {error}");
                null += 1;
            }
        }
    }
    assert!(null >= 5 && refused >= 1, "{null} were null, {refused} were refused");
}
