//! The SQL of a view's quality checks, and what its one row means.
//!
//! **Reads** one table, [`STAGED`]: the rows that the author's SQL gave for one period, cast to
//! the view's types, before they become the raw partition. Carried rows and windows are not among
//! them: carried rows always look fresh, and always would satisfy `row_count`.
//!
//! **Gives** one row. For check `i` it has `c<i>_failing` (BIGINT, never null: rows that break it)
//! and `c<i>_low`, `c<i>_high` (what was seen; may be null), in the order of
//! [`QualityQuery::checks`]. [`evaluate`] turns the row into results.
//!
//! Beside the author's checks stand the platform's own, which are always errors: no null in any
//! entity column or in the event timestamp, because such a row could be found by nobody.
//!
//! - `unique`: rows that share their values with another row fail, all of them; nulls are equal.
//! - `between`: NaN fails; null does not. Bounds belong to the range.
//! - `accepted_values`: null does not fail.
//! - `freshness`: the age is the period's end minus the newest event time. Where no row is, or the
//!   age is too great, every row fails, and the check fails even with no row at all.
//! - `null_fraction`: of no rows it is 0.

use trivium_model::{
    DataType, FeatureView, Name, QualityRule, Severity, TimeSpan, Timestamp, Value,
};

use crate::{Period, literal};

/// The table of the rows to check.
pub const STAGED: &str = "staged";

/// The SQL of all checks of a view, and what its columns mean.
#[derive(Debug, Clone, PartialEq)]
pub struct QualityQuery {
    /// One SELECT with one row.
    pub sql: String,
    /// The checks: first the platform's, then the author's.
    pub checks: Vec<PlannedCheck>,
    /// The end of the period, which freshness is measured from.
    pub period_end: Timestamp,
}

/// One check of a [`QualityQuery`].
#[derive(Debug, Clone, PartialEq)]
pub struct PlannedCheck {
    /// What must hold.
    pub rule: QualityRule,
    /// What a failure does.
    pub severity: Severity,
    /// Whether the platform, and not the author, asks for it.
    pub built_in: bool,
}

/// A value of the query's row. Timestamps are microseconds UTC.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Number {
    /// BIGINT, or a timestamp's microseconds.
    Integer(i64),
    /// DOUBLE.
    Float(f64),
}

/// What a check saw.
#[derive(Debug, Clone, PartialEq)]
pub enum Observation {
    /// `row_count`: the rows.
    Rows(u64),
    /// `not_null`: the nulls.
    Nulls(u64),
    /// `unique`: how many combinations of values occur more than once.
    RepeatedValues(u64),
    /// `between`: smallest and largest value (NaN is the largest); absent where all are null.
    Range(Option<(f64, f64)>),
    /// `accepted_values`: rows with other values.
    OtherValues(u64),
    /// `freshness`: how old the newest row is; absent where no row is. Negative ages are possible.
    AgeMicros(Option<i64>),
    /// `null_fraction`: the share, 0 to 1.
    Fraction(f64),
}

/// How one check went.
#[derive(Debug, Clone, PartialEq)]
pub struct CheckResult {
    /// The word in the config: `row_count`, `between`, …
    pub check: &'static str,
    /// The column; several for `unique`, none for `row_count` and `freshness`.
    pub columns: Vec<Name>,
    /// Whether it held.
    pub passed: bool,
    /// What a failure does.
    pub severity: Severity,
    /// Rows that break it; all rows where the check is about the partition as a whole.
    pub failing_rows: u64,
    /// What was seen.
    pub observed: Observation,
    /// What must hold, in words: `between -120 and 3000`.
    pub expected: String,
}

/// Why a row cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the quality query gave {found} columns, expected {expected}: run its SQL unchanged")]
pub struct RowError {
    found: usize,
    expected: usize,
}

/// Columns of the result for each check.
const COLUMNS_PER_CHECK: usize = 3;

/// The query of a view's checks for one period. `view` has passed validation.
pub fn quality_sql(view: &FeatureView, period: &Period) -> QualityQuery {
    let keys = view.entities.iter().map(|entity| &entity.name);
    let built_in = keys.chain([&view.event_timestamp]).map(|column| PlannedCheck {
        rule: QualityRule::NotNull { column: column.clone() },
        severity: Severity::Error,
        built_in: true,
    });
    let authors = view.quality.iter().map(|check| PlannedCheck {
        rule: check.rule.clone(),
        severity: check.severity,
        built_in: false,
    });
    let checks: Vec<PlannedCheck> = built_in.chain(authors).collect();

    let mut aggregates = Vec::new();
    let mut selected = Vec::new();
    let mut joins = Vec::new();
    for (i, check) in checks.iter().enumerate() {
        let columns = [format!("`c{i}_failing`"), format!("`c{i}_low`"), format!("`c{i}_high`")];
        if let QualityRule::Unique { columns: unique } = &check.rule {
            let list: Vec<String> = unique.iter().map(|name| literal::name(name)).collect();
            let list = list.join(", ");
            selected.extend(columns.iter().map(|column| format!("u{i}.{column}")));
            joins.push(format!(
                "CROSS JOIN (\n  SELECT\n    coalesce(sum(g.`_rows`), CAST(0 AS BIGINT)) AS {},\n    count(*) AS {},\n    CAST(NULL AS BIGINT) AS {}\n  FROM (SELECT {list}, count(*) AS `_rows` FROM {STAGED} GROUP BY {list} HAVING count(*) > 1) g\n) u{i}",
                columns[0], columns[1], columns[2],
            ));
            continue;
        }
        selected.extend(columns.iter().map(|column| format!("a.{column}")));
        let [failing, low, high] = rule_aggregates(view, &check.rule);
        let pairs = [failing, low, high].into_iter().zip(&columns);
        aggregates.extend(pairs.map(|(aggregate, column)| format!("    {aggregate} AS {column}")));
    }
    let mut sql = format!(
        "SELECT\n  {}\nFROM (\n  SELECT\n{}\n  FROM {STAGED}\n) a",
        selected.join(",\n  "),
        aggregates.join(",\n"),
    );
    for join in joins {
        sql.push('\n');
        sql.push_str(&join);
    }
    sql.push('\n');
    QualityQuery { sql, checks, period_end: period.end }
}

/// The aggregates of one check over all rows: failing, low, high.
fn rule_aggregates(view: &FeatureView, rule: &QualityRule) -> [String; COLUMNS_PER_CHECK] {
    let none = || "CAST(NULL AS BIGINT)".to_owned();
    let rows = || "count(*)".to_owned();
    let nulls =
        |column: &Name| format!("count(CASE WHEN {} IS NULL THEN 1 END)", literal::name(column));
    match rule {
        QualityRule::RowCount { .. } => [rows(), none(), none()],
        QualityRule::NotNull { column } => [nulls(column), none(), none()],
        QualityRule::NullFraction { column, .. } => [nulls(column), rows(), none()],
        QualityRule::Freshness { .. } => {
            [rows(), format!("max({})", literal::name(&view.event_timestamp)), none()]
        }
        QualityRule::Between { column, min, max } => {
            let data_type = column_type(view, column);
            let is_float = matches!(data_type, DataType::Float32 | DataType::Float64);
            let name = literal::name(column);
            let double = format!("CAST({name} AS DOUBLE)");
            let mut wrong = Vec::new();
            if is_float {
                wrong.push(format!("isnan({name})"));
            }
            // Whole bounds are compared as whole numbers: doubles are not exact beyond 2^53.
            let bound = |value: f64| match whole(value) {
                Some(whole) if !is_float => (name.clone(), literal::bigint(whole)),
                _ => (double.clone(), literal::double(value)),
            };
            if let Some(min) = min {
                let (value, bound) = bound(*min);
                wrong.push(format!("{value} < {bound}"));
            }
            if let Some(max) = max {
                let (value, bound) = bound(*max);
                wrong.push(format!("{value} > {bound}"));
            }
            if wrong.is_empty() {
                wrong.push("FALSE".to_owned());
            }
            [
                format!("count(CASE WHEN {} THEN 1 END)", wrong.join(" OR ")),
                format!("min({double})"),
                format!("max({double})"),
            ]
        }
        QualityRule::AcceptedValues { column, values } => {
            let data_type = column_type(view, column);
            let name = literal::name(column);
            let literals: Vec<String> =
                values.iter().filter_map(|value| literal::value(&data_type, value)).collect();
            let mut wrong = format!("{name} IS NOT NULL");
            if !literals.is_empty() {
                wrong.push_str(&format!(" AND {name} NOT IN ({})", literals.join(", ")));
            }
            [format!("count(CASE WHEN {wrong} THEN 1 END)"), none(), none()]
        }
        // Written by its own subquery.
        QualityRule::Unique { .. } => [none(), none(), none()],
    }
}

/// The type of a column of the staged rows.
fn column_type(view: &FeatureView, column: &Name) -> DataType {
    if let Some(feature) = view.feature(column) {
        return feature.data_type.clone();
    }
    let entity = view.entities.iter().find(|entity| entity.name == *column);
    entity.map_or(DataType::Timestamp, |entity| entity.key_type.data_type())
}

fn whole(value: f64) -> Option<i64> {
    const LIMIT: f64 = 9_007_199_254_740_992.0; // 2^53
    #[allow(clippy::cast_possible_truncation)]
    (value.fract() == 0.0 && value.abs() <= LIMIT).then_some(value as i64)
}

/// What the row of the query means. `row` has the query's columns in order.
pub fn evaluate(
    query: &QualityQuery,
    row: &[Option<Number>],
) -> Result<Vec<CheckResult>, RowError> {
    let expected = query.checks.len() * COLUMNS_PER_CHECK;
    if row.len() != expected {
        return Err(RowError { found: row.len(), expected });
    }
    let results = query.checks.iter().zip(row.chunks(COLUMNS_PER_CHECK));
    Ok(results.map(|(check, values)| result(query, check, values)).collect())
}

fn result(query: &QualityQuery, check: &PlannedCheck, values: &[Option<Number>]) -> CheckResult {
    let value = |at: usize| values.get(at).copied().flatten();
    let integer = |at: usize| match value(at) {
        Some(Number::Integer(value)) => Some(value),
        #[allow(clippy::cast_possible_truncation)]
        Some(Number::Float(value)) => Some(value as i64),
        None => None,
    };
    let float = |at: usize| match value(at) {
        #[allow(clippy::cast_precision_loss)]
        Some(Number::Integer(value)) => Some(value as f64),
        Some(Number::Float(value)) => Some(value),
        None => None,
    };
    let failing = integer(0).and_then(|rows| u64::try_from(rows).ok()).unwrap_or(0);
    let low = integer(1).and_then(|rows| u64::try_from(rows).ok()).unwrap_or(0);
    let (check_word, columns, passed, observed, expected) = match &check.rule {
        QualityRule::RowCount { min, max } => (
            "row_count",
            vec![],
            min.is_none_or(|min| failing >= min) && max.is_none_or(|max| failing <= max),
            Observation::Rows(failing),
            range_in_words("rows", min.map(|n| n.to_string()), max.map(|n| n.to_string())),
        ),
        QualityRule::NotNull { column } => (
            "not_null",
            vec![column.clone()],
            failing == 0,
            Observation::Nulls(failing),
            "no null".to_owned(),
        ),
        QualityRule::Unique { columns } => (
            "unique",
            columns.clone(),
            failing == 0,
            Observation::RepeatedValues(low),
            "no two rows with the same values".to_owned(),
        ),
        QualityRule::Between { column, min, max } => (
            "between",
            vec![column.clone()],
            failing == 0,
            Observation::Range(float(1).zip(float(2))),
            range_in_words("values", min.map(|n| n.to_string()), max.map(|n| n.to_string())),
        ),
        QualityRule::AcceptedValues { column, values } => (
            "accepted_values",
            vec![column.clone()],
            failing == 0,
            Observation::OtherValues(failing),
            format!("one of {}", values_in_words(values)),
        ),
        QualityRule::Freshness { max_age } => {
            let age = integer(1).map(|newest| query.period_end.0.saturating_sub(newest));
            (
                "freshness",
                vec![],
                age.is_some_and(|age| age <= max_age.micros()),
                Observation::AgeMicros(age),
                format!("newest row at most {max_age} before the period's end"),
            )
        }
        QualityRule::NullFraction { column, max } => {
            #[allow(clippy::cast_precision_loss)]
            let fraction = if low == 0 { 0.0 } else { failing as f64 / low as f64 };
            (
                "null_fraction",
                vec![column.clone()],
                fraction <= *max,
                Observation::Fraction(fraction),
                format!("at most {max} of the rows null"),
            )
        }
    };
    CheckResult {
        check: check_word,
        columns,
        passed,
        severity: check.severity,
        failing_rows: if passed { 0 } else { failing },
        observed,
        expected,
    }
}

fn range_in_words(what: &str, min: Option<String>, max: Option<String>) -> String {
    match (min, max) {
        (Some(min), Some(max)) => format!("{what} between {min} and {max}"),
        (Some(min), None) => format!("{what} at least {min}"),
        (None, Some(max)) => format!("{what} at most {max}"),
        (None, None) => format!("any {what}"),
    }
}

fn values_in_words(values: &[Value]) -> String {
    let words: Vec<String> = values
        .iter()
        .map(|value| match value {
            Value::String(text) => format!("{text:?}"),
            Value::Bool(value) => value.to_string(),
            Value::Int32(value) => value.to_string(),
            Value::Int64(value) => value.to_string(),
            Value::Float32(value) => value.to_string(),
            Value::Float64(value) => value.to_string(),
            Value::Timestamp(at) => at.to_string(),
            Value::Date(days) => trivium_model::json::day_to_text(*days),
            other => format!("{other:?}"),
        })
        .collect();
    words.join(", ")
}

impl std::fmt::Display for Observation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Rows(rows) => write!(f, "{rows} rows"),
            Self::Nulls(rows) => write!(f, "{rows} nulls"),
            Self::RepeatedValues(groups) => write!(f, "{groups} repeated values"),
            Self::Range(Some((low, high))) => write!(f, "{low} to {high}"),
            Self::Range(None) => f.write_str("only nulls"),
            Self::OtherValues(rows) => write!(f, "{rows} rows with other values"),
            Self::AgeMicros(Some(age)) => write!(f, "{} old", age_in_words(*age)),
            Self::AgeMicros(None) => f.write_str("no rows"),
            Self::Fraction(fraction) => write!(f, "{fraction}"),
        }
    }
}

fn age_in_words(micros: i64) -> String {
    let sign = if micros < 0 { "-" } else { "" };
    let span = TimeSpan::from_micros(i64::try_from(micros.unsigned_abs()).unwrap_or(i64::MAX));
    format!("{sign}{span}")
}

#[cfg(test)]
mod tests;
