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
    check("SELECT id,\n  soundex(s) AS v FROM strings", expect![""]).await;
}
#[tokio::test]
async fn unknown_tables_and_columns() {
    check("SELECT id FROM flihgts", expect![""]).await;
    check("SELECT nope FROM lists", expect![""]).await;
    check("SELECT g FROM small s JOIN others o ON s.g = o.g", expect![""]).await;
}
#[tokio::test]
async fn clauses() {
    check("SELECT id FROM small SORT BY id", expect![""]).await;
    check("INSERT INTO small SELECT * FROM small", expect![""]).await;
    check("SELECT 1 AS a; SELECT 2 AS b", expect![""]).await;
    check("SELECT id FROM small WHERE", expect![""]).await;
    check("SELECT id + 1 FROM small", expect![""]).await;
}
#[tokio::test]
async fn unclear_precedence() {
    check("SELECT 10 DIV 3 + 1 AS v", expect![""]).await;
    check("SELECT 1 + 'a' || 'b' AS v", expect![""]).await;
    check("SELECT 1 = 1 = true AS v", expect![""]).await;
    check("SELECT 1.5D", expect![""]).await;
}
#[tokio::test]
async fn types() {
    check("SELECT id FROM texts WHERE n = 12", expect![""]).await;
    check("SELECT id FROM small WHERE i", expect![""]).await;
    check("SELECT sum(g) AS v FROM small", expect![""]).await;
    check("SELECT d = 'x' OR b AS v FROM small", expect![""]).await;
    check("SELECT lower(id) AS v FROM small", expect![""]).await;
    check("SELECT lower() AS v FROM small", expect![""]).await;
}
#[tokio::test]
async fn deep_nesting_is_bounded() {
    let sql = format!("SELECT {}1{} AS v", "(".repeat(2000), ")".repeat(2000));
    check(&sql, expect![""]).await;
}
