//! What passes as a stream view's SQL, and what is said of the rest.

use expect_test::{Expect, expect};
use trivium_model::{Diagnostic, config::parse_view};

use super::FlinkQuery;

const VIEW: &str = r#"{
  "namespace": "flights", "name": "congestion", "version": 1, "lane": "stream",
  "description": "Departures.", "owner": { "team": "ops", "contact": "ops@example.com" }, "urgency_tier": 1,
  "entities": [{ "name": "origin", "type": "string" }], "event_timestamp": "event_ts",
  "features": [{ "name": "departures", "type": "int64", "description": "Departures." }],
  "inputs": [{
    "name": "departed", "format": "json", "topic": "flights.departed", "event_time": "at",
    "columns": [{ "name": "origin", "type": "string" }, { "name": "at", "type": "timestamp" }]
  }],
  "source": { "format": "json", "topic": "trivium.congestion" }
}"#;

const GOOD: &str = "-- Departures; by hour: it's simple.
SELECT origin, window_end AS event_ts, COUNT(*) AS departures
FROM TABLE(TUMBLE(TABLE departed, DESCRIPTOR(`at`), INTERVAL '1' HOUR))
GROUP BY origin, window_start, window_end;
-- done; really
";

fn found(sql: &str) -> String {
    let view =
        parse_view("flights/congestion.v1.json", VIEW).unwrap_or_else(|found| panic!("{found:?}"));
    let findings: Vec<Diagnostic> = match FlinkQuery::parse("c.sql", sql) {
        Ok(query) => query.check_against(&view),
        Err(found) => found,
    };
    findings.iter().map(|finding| format!("{finding}\n")).collect()
}

fn check(sql: &str, expected: Expect) {
    expected.assert_eq(&found(sql));
}

#[test]
fn one_query_passes_and_keeps_its_comments() {
    assert_eq!(found(GOOD), "");
    let query = FlinkQuery::parse("c.sql", GOOD).unwrap();
    assert!(query.statement().ends_with("window_start, window_end"), "{}", query.statement());
    assert!(query.statement().starts_with("-- Departures; by hour: it's simple."));
    for sql in [
        "WITH late AS (SELECT origin, `at` FROM departed WHERE origin <> ';') SELECT origin, `at` AS event_ts, CAST(1 AS BIGINT) AS departures FROM late",
        "SELECT d.origin, d.`at` AS event_ts, COUNT(*) OVER (PARTITION BY d.origin ORDER BY d.`at` RANGE BETWEEN INTERVAL '1' HOUR PRECEDING AND CURRENT ROW) AS departures FROM departed AS d",
        "SELECT origin, event_ts, departures FROM (SELECT origin, window_time AS event_ts, COUNT(DISTINCT origin) FILTER (WHERE origin IS NOT NULL) AS departures FROM TABLE(HOP(TABLE departed, DESCRIPTOR(`at`), INTERVAL '5' MINUTE, INTERVAL '1' HOUR)) GROUP BY origin, window_start, window_end, window_time)",
        "SELECT origin, window_end AS event_ts, COUNT(*) AS departures FROM TABLE(TUMBLE(DATA => TABLE departed, TIMECOL => DESCRIPTOR(`at`), SIZE => INTERVAL '10' MINUTES)) GROUP BY origin, window_start, window_end",
        "SELECT origin, CAST(`at` AS TIMESTAMP_LTZ(3)) AS event_ts, departures FROM departed CROSS JOIN UNNEST(ARRAY[1, 2]) AS t (departures)",
    ] {
        assert_eq!(found(sql), "", "{sql}");
    }
}

#[test]
fn blanks_and_comments_are_not_meaning() {
    let of = |sql: &str| FlinkQuery::parse("c.sql", sql).unwrap();
    let spaced = "SELECT origin,window_end AS event_ts,\n COUNT(*) /* all */ AS departures FROM TABLE( TUMBLE(TABLE departed, DESCRIPTOR(`at`), INTERVAL '1' HOUR)) GROUP BY origin, window_start, window_end";
    assert!(of(GOOD).means_the_same(&of(spaced)));
    assert!(!of(GOOD).means_the_same(&of(&spaced.replace("'1'", "'2'"))));
    assert!(!of(spaced).means_the_same(&of(&spaced.replace("/* all */", "/*+ all */"))));
    assert!(!of("SELECT 'a  b'").means_the_same(&of("SELECT 'a b'")));
}

/// Whatever could end the statement, or hide its end from what cuts the script, is refused.
#[test]
fn nothing_leaves_the_statement() {
    for sql in [
        "SELECT 1; DROP TABLE x",
        "SELECT 1;; SELECT 2",
        "SELECT 1); DROP TABLE x; SELECT (2",
        "SELECT 'a''; DROP TABLE x; --",
        "SELECT E'\\'; DROP TABLE x; --'",
        "SELECT \"'\"; DROP TABLE x; --'",
        "SELECT 1 // '\n; DROP TABLE x",
        "SELECT 1 // '\n; DROP TABLE x\n'",
        "SELECT 1 /*/ ; DROP TABLE x; /*/",
        "SELECT 1 -- a\r; DROP TABLE x",
        "SELECT 1 -- a\r\n; DROP TABLE x",
        "SELECT 1 -- a\u{2028}kind: Secret",
        "SELECT 'a\u{2029}b'",
        "SELECT 1 /* a\u{feff} */",
        "SELECT `a\u{ffff}`",
        "SELECT 1 /* a",
        "SELECT `a",
        "SELECT (1",
        "SELECT [1)",
        "INSERT INTO x SELECT 1",
        "SET 'a' = 'b'",
        "EXECUTE STATEMENT SET BEGIN INSERT INTO x SELECT 1",
        "CREATE TABLE x (a INT)",
        "ADD JAR '/x.jar'",
        "",
        ";",
        "-- nothing",
        "SELECT '${x}' || ${x}",
        "SELECT {{ ds }}",
    ] {
        assert!(FlinkQuery::parse("c.sql", sql).is_err(), "{sql}");
    }
}

#[test]
fn errors_say_where_and_what_to_do() {
    check(
        "SELECT 1;\n DELETE FROM x",
        expect![[r#"
        c.sql:2:2: error[sql-statements]: there is more than one statement, keep one SELECT; a WITH clause can hold the steps before it
    "#]],
    );
    check(
        "insert into x select 1",
        expect![[r#"
        c.sql:1:1: error[sql-not-select]: only a SELECT is allowed, write one SELECT: the job around it is written for you
    "#]],
    );
    check(
        "SELECT \"origin\" FROM departed",
        expect![[r#"
        c.sql:1:8: error[sql-literal]: double quotes are neither a literal's nor a name's, write literals in `'…'` and names in backticks
    "#]],
    );
    check(
        "SELECT origin, at AS event_ts, 1 AS departures FROM departures",
        expect![[r#"
        c.sql:1:53: error[sql-unknown-input]: the view has no input `departures`, did you mean `departed`?
    "#]],
    );
    check(
        "SELECT Origin, `at` AS event_ts, 1 AS departure FROM departed",
        expect![[r#"
        c.sql:1:1: error[sql-missing-column]: the entity `origin` is missing, add `… AS origin`
        c.sql:1:1: error[sql-missing-column]: the feature `departures` is missing, add `… AS departures`
        c.sql:1:8: error[sql-unknown-column]: `Origin` is no column of flights/congestion@1, did you mean `origin`?
        c.sql:1:34: error[sql-unknown-column]: `departure` is no column of flights/congestion@1, did you mean `departures`?
    "#]],
    );
    check(
        "SELECT * FROM departed",
        expect![[r#"
        c.sql:1:8: error[sql-wildcard]: `*` leaves open which columns the view gets, name each column; `*` is fine in a subquery
    "#]],
    );
    check(
        "SELECT origin, `at`, COUNT(*) FROM departed",
        expect![[r#"
        c.sql:1:16: error[sql-unknown-column]: `at` is no column of flights/congestion@1, add the feature to the JSON, or leave the column out
        c.sql:1:22: error[sql-unnamed-column]: this column has no name, add `AS` and a name
    "#]],
    );
    check(
        "SELECT origin, `at` AS event_ts, 1 AS departures FROM db.departed",
        expect![[r#"
        c.sql:1:55: error[sql-unknown-input]: the view has no input `db.departed`, did you mean `departed`?
    "#]],
    );
    check(
        "SELECT origin, `at` AS event_ts, 1 AS departures FROM",
        expect![[r#"
        c.sql:1:1: warning[sql-unchecked]: Trivium cannot read this part of Flink SQL: expected: identifier, found: EOF, columns and tables are not checked here; `trivium streams test` has Flink check them
    "#]],
    );
    check(
        "SELECT origin, `at` AS event_ts, 1 AS departures FROM TABLE(TUMBLE(TABLE departd, DESCRIPTOR(`at`), INTERVAL '1' HOUR))",
        expect![[r#"
            c.sql:1:74: error[sql-unknown-input]: the view has no input `departd`, did you mean `departed`?
        "#]],
    );
}
