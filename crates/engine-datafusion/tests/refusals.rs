//! What is refused or wrong is said by name, with its place.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod parity;

use expect_test::{Expect, expect};
use trivium_engine::{Error, QueryEngine};
use trivium_engine_datafusion::{DataFusionEngine, Options};

async fn check(sql: &str, expected: Expect) {
    let engine = DataFusionEngine::new(&Options::default()).unwrap();
    let error = engine.describe(sql, &parity::tables()).await.unwrap_err();
    let at = match &error {
        Error::Invalid { position, .. } | Error::Unsupported { position, .. } => *position,
        _ => None,
    };
    let place = at.map_or(String::new(), |(line, column)| format!("{line}:{column}: "));
    expected.assert_eq(&format!("{place}{error}"));
}

#[tokio::test]
async fn unknown_functions() {
    check("SELECT id,\n  soundex(s) AS v FROM strings", expect!["2:3: function `soundex` is not proven equal to Spark on this engine; rewrite it, or run this view with `--engine spark`"]).await;
}
#[tokio::test]
async fn unknown_tables_and_columns() {
    check("SELECT id FROM flihgts", expect!["1:16: there is no table `flihgts`; there are: floats, lists, nums, others, small, strings, texts, times"]).await;
    check("SELECT nope FROM lists", expect!["there is no column `nope`; there are: a, id, n, s"])
        .await;
    check(
        "SELECT g FROM small s JOIN others o ON s.g = o.g",
        expect!["`g` is in more than one table; name the table"],
    )
    .await;
}
#[tokio::test]
async fn clauses() {
    check("SELECT id FROM small SORT BY id", expect!["1:1: SORT BY is not proven equal to Spark on this engine; rewrite it, or run this view with `--engine spark`"]).await;
    check("INSERT INTO small SELECT * FROM small", expect!["1:1: the SQL must be a SELECT"]).await;
    check("SELECT 1 AS a; SELECT 2 AS b", expect!["the SQL must be exactly one SELECT"]).await;
    check(
        "SELECT id FROM small WHERE",
        expect!["the SQL cannot be parsed: Expected: an expression, found: EOF"],
    )
    .await;
    check("SELECT id + 1 FROM small", expect!["1:8: this column has no name; add AS and a name"])
        .await;
}
#[tokio::test]
async fn unclear_precedence() {
    check(
        "SELECT 10 DIV 3 + 1 AS v",
        expect!["1:8: add parentheses: what `DIV` applies to is not clear here"],
    )
    .await;
    check(
        "SELECT 1 + 'a' || 'b' AS v",
        expect!["1:8: add parentheses: what `+` applies to is not clear here"],
    )
    .await;
    check(
        "SELECT 1 = 1 = true AS v",
        expect!["1:8: add parentheses: what `=` applies to is not clear here"],
    )
    .await;
    check("SELECT 1.5D", expect!["1:8: a number with a type suffix is not proven equal to Spark on this engine; rewrite it, or run this view with `--engine spark`"]).await;
}
#[tokio::test]
async fn types() {
    check("SELECT id FROM texts WHERE n = 12", expect!["= of string and int (cast one of them) is not proven equal to Spark on this engine; rewrite it, or run this view with `--engine spark`"]).await;
    check(
        "SELECT id FROM small WHERE i",
        expect!["Cannot create filter with non-boolean predicate 'small.i' returning Int32"],
    )
    .await;
    check("SELECT sum(g) AS v FROM small", expect!["`sum` of string (cast it to a number) is not proven equal to Spark on this engine; rewrite it, or run this view with `--engine spark`"]).await;
    check("SELECT d = 'x' OR b AS v FROM small", expect!["= of double and string (cast one of them) is not proven equal to Spark on this engine; rewrite it, or run this view with `--engine spark`"]).await;
    check("SELECT lower(id) AS v FROM small", expect!["argument 1 of `lower`, which is int and not a string (cast it), is not proven equal to Spark on this engine; rewrite it, or run this view with `--engine spark`"]).await;
    check("SELECT lower() AS v FROM small", expect!["`lower` takes 1 arguments, not 0"]).await;
}
#[tokio::test]
async fn deep_nesting_is_bounded() {
    let sql = format!("SELECT {}1{} AS v", "(".repeat(2000), ")".repeat(2000));
    check(&sql, expect!["the engine ran out of nesting: at most 64 levels"]).await;
}
