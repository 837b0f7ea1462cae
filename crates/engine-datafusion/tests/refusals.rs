//! What is refused or wrong is said by name, with its place.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod parity;

use expect_test::{Expect, expect};
use futures::TryStreamExt;
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

/// What only the rows bring to light.
async fn check_run(sql: &str, expected: Expect) {
    let engine = DataFusionEngine::new(&Options::default()).unwrap();
    let error = match engine.query(sql, &parity::tables()).await {
        Err(error) => error,
        Ok(rows) => rows.try_collect::<Vec<_>>().await.unwrap_err(),
    };
    let kind = format!("{error:?}");
    let kind = kind.split(['(', ' ']).next().unwrap();
    expected.assert_eq(&format!("{kind}: {error}"));
}

#[tokio::test]
async fn texts_have_a_greatest_length() {
    for (sql, function) in [
        ("SELECT repeat('x', 1000000000) AS v", "repeat"),
        ("SELECT repeat(s, 2147483647) AS v FROM strings", "repeat"),
        ("SELECT repeat(repeat('x', 30000), 30000) AS v", "repeat"),
        ("SELECT repeat(repeat(concat(s, 'x'), 10000), 100000) AS v FROM strings", "repeat"),
        ("SELECT length(repeat(s, 1000000000)) AS v FROM strings", "repeat"),
        ("SELECT id FROM strings WHERE repeat(s, 1000000000) = 'x'", "repeat"),
        ("SELECT lpad(s, 2147483647, 'xy') AS v FROM strings", "lpad"),
        ("SELECT rpad(s, 2147483647) AS v FROM strings", "rpad"),
        ("SELECT lpad('x', 100000000, 'y') AS v", "lpad"),
        ("SELECT replace(repeat('x', 30000), 'x', repeat('y', 30000)) AS v", "replace"),
        (
            "SELECT replace(repeat(concat(s, 'x'), 30000), 'x', repeat('y', 30000)) AS v FROM strings",
            "replace",
        ),
        (
            "SELECT concat_ws(repeat(concat(s, 'x'), 700000), 'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j', 'k', 'l', 'm', 'n', 'o', 'p', 'q', 'r', 's') AS v FROM strings",
            "concat_ws",
        ),
        (
            "SELECT array_join(split(repeat('x,', 10000), ','), repeat('y', 30000)) AS v",
            "array_join",
        ),
        (
            "SELECT regexp_replace(repeat(concat(s, 'x'), 100000), '(.+)', '{}') AS v FROM strings",
            "regexp_replace",
        ),
    ] {
        let engine = DataFusionEngine::new(&Options::default()).unwrap();
        let sql = &sql.replace("{}", &"$1".repeat(200));
        let error = match engine.query(sql, &parity::tables()).await {
            Err(error) => error,
            Ok(rows) => match rows.try_collect::<Vec<_>>().await {
                Err(error) => error,
                Ok(_) => panic!("{sql}: was answered"),
            },
        };
        let said = error.to_string();
        assert!(matches!(error, Error::Data(_)), "{sql}: {error:?}");
        assert!(said.contains(&format!("`{function}` would make")), "{sql}: {said}");
        assert!(said.contains("limit") || said.contains("for one batch"), "{sql}: {said}");
    }
    check_run("SELECT repeat(s, 1000000000) AS v FROM strings", expect!["Data: the query failed on the data: `repeat` would make a text of 11000000000 bytes, more than the limit of 16777216; lower its count, or shorten what it is given"]).await;
    check_run("SELECT repeat('x', 100000) AS v", expect!["Data: the query failed on the data: `repeat` would make a constant of 100000 bytes, more than the limit of 32768; lower its count, or shorten what it is given"]).await;
}
#[tokio::test]
async fn subqueries_of_several_rows() {
    check_run("SELECT (SELECT i FROM small) AS v", expect!["Data: the query failed on the data: a subquery that stands for one value gave more than one row; aggregate it, or add ORDER BY and LIMIT 1"]).await;
    check_run("SELECT id, (SELECT i FROM small) AS v FROM small", expect!["Data: the query failed on the data: a subquery that stands for one value gave more than one row; aggregate it, or add ORDER BY and LIMIT 1"]).await;
    check_run("SELECT id FROM small WHERE i = (SELECT i FROM small)", expect!["Data: the query failed on the data: a subquery that stands for one value gave more than one row; aggregate it, or add ORDER BY and LIMIT 1"]).await;
    check_run(
        "SELECT id FROM small WHERE i > (SELECT o.w FROM others o WHERE o.g = small.g)",
        expect!["Invalid: Correlated scalar subquery must be aggregated to return at most one row"],
    )
    .await;
}
#[tokio::test]
async fn counts_of_windows() {
    check(
        "SELECT ntile(0) OVER (ORDER BY id) AS v FROM small",
        expect!["1:8: `ntile` takes a number from 1 to 2147483647, not 0"],
    )
    .await;
    check(
        "SELECT ntile(3000000000) OVER (ORDER BY id) AS v FROM small",
        expect!["1:8: `ntile` takes a number from 1 to 2147483647, not 3000000000"],
    )
    .await;
    check(
        "SELECT nth_value(i, 0) OVER (ORDER BY id) AS v FROM small",
        expect!["1:8: `nth_value` takes a number from 1 to 2147483647, not 0"],
    )
    .await;
    check(
        "SELECT lead(i, 2147483648) OVER (ORDER BY id) AS v FROM small",
        expect!["1:8: `lead` takes a number from 0 to 2147483647, not 2147483648"],
    )
    .await;
    check(
        "SELECT lag(i, 2147483648) OVER (ORDER BY id) AS v FROM small",
        expect!["1:8: `lag` takes a number from 0 to 2147483647, not 2147483648"],
    )
    .await;
    check("SELECT sum(i) OVER (ORDER BY id ROWS BETWEEN 2147483648 PRECEDING AND CURRENT ROW) AS v FROM small", expect!["1:8: a bound of a ROWS frame is at most 2147483647, not 2147483648"]).await;
    // Spark's greatest offset is an int's.
    let engine = DataFusionEngine::new(&Options::default()).unwrap();
    let sql = "SELECT lead(i, 2147483647) OVER (ORDER BY id) AS a, lag(i, 2147483647, 7) OVER (ORDER BY id) AS b, nth_value(i, 2147483647) OVER (ORDER BY id) AS c, ntile(2147483647) OVER (ORDER BY id) AS d FROM small";
    let rows: Vec<_> =
        engine.query(sql, &parity::tables()).await.unwrap().try_collect().await.unwrap();
    for batch in &rows {
        for row in 0..batch.num_rows() {
            assert!(parity::value(batch.column(0), row).is_null());
            assert_eq!(parity::value(batch.column(1), row), 7);
            assert!(parity::value(batch.column(2), row).is_null());
            assert_eq!(parity::value(batch.column(3), row), row + 1);
        }
    }
}
#[tokio::test]
async fn groups_of_replacements() {
    check("SELECT regexp_replace(s, 'a', '$9') AS v FROM strings", expect!["1:8: the replacement '$9' of `regexp_replace` names group 9, but the pattern has 0; put the part in parentheses, or name another"]).await;
    check("SELECT regexp_replace(s, '(a)(?:b)', 'x$1$2') AS v FROM strings", expect!["1:8: the replacement 'x$1$2' of `regexp_replace` names group 2, but the pattern has 1; put the part in parentheses, or name another"])
        .await;
    check("SELECT regexp_replace(s, 'a', '$é') AS v FROM strings", expect!["1:8: the replacement '$é' is not proven equal to Spark on this engine; rewrite it, or run this view with `--engine spark`"]).await;
    let engine = DataFusionEngine::new(&Options::default()).unwrap();
    let sql = "SELECT regexp_replace(s, '(a)', '[$0$1]') AS v FROM strings";
    engine.describe(sql, &parity::tables()).await.unwrap();
}
