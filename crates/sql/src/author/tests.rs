use expect_test::{Expect, expect};
use proptest::prelude::*;
use trivium_model::{FeatureView, Timestamp, config};

use crate::{AuthorQuery, Period};

fn errors(text: &str) -> Vec<String> {
    match AuthorQuery::parse("q.sql", text) {
        Ok(_) => Vec::new(),
        Err(errors) => errors.iter().map(ToString::to_string).collect(),
    }
}

fn good(text: &str) -> AuthorQuery {
    AuthorQuery::parse("q.sql", text).unwrap_or_else(|errors| panic!("{text}: {errors:?}"))
}

fn view() -> FeatureView {
    config::parse_view(
        "carrier_daily.v1.json",
        r#"{
            "namespace": "flights", "name": "carrier_daily", "version": 1, "lane": "batch",
            "description": "Punctuality.", "owner": { "team": "ops", "contact": "ops@example.com" },
            "urgency_tier": 2,
            "entities": [ { "name": "carrier", "type": "string" }, { "name": "origin", "type": "string" } ],
            "event_timestamp": "event_ts",
            "features": [
                { "name": "flights", "type": "int64", "description": "Departures." },
                { "name": "avg_delay", "type": "float64", "description": "Mean delay, minutes." }
            ],
            "schedule": { "every": "1d", "start": "2013-01-01" }, "online": true
        }"#,
    )
    .unwrap()
}

#[test]
fn bad_sql() {
    // The text, where the first error is, its code, and a word of it.
    let table: &[(&str, &str, &str, &str)] = &[
        // No SELECT, or more than one.
        ("", "1:1", "sql-empty", "there is no SELECT"),
        ("-- only a comment", "1:1", "sql-empty", "no SELECT"),
        (";", "1:1", "sql-empty", "no SELECT"),
        ("SELECT a FROM t; SELECT b FROM t", "1:18", "sql-statements", "more than one statement"),
        ("SELECT a FROM t; DROP TABLE t", "1:", "sql-statements", "more than one"),
        ("INSERT INTO t SELECT a FROM u", "1:1", "sql-not-select", "only a SELECT"),
        ("DELETE FROM t", "1:", "sql-not-select", "only a SELECT"),
        ("UPDATE t SET a = 1", "1:", "sql-not-select", "only a SELECT"),
        ("CREATE TABLE t AS SELECT a FROM u", "1:", "sql-not-select", "only a SELECT"),
        ("DROP TABLE t", "1:", "sql-not-select", "only a SELECT"),
        ("TRUNCATE TABLE t", "1:", "sql-not-select", "only a SELECT"),
        ("VALUES (1, 2)", "1:", "sql-not-select", "not that of a SELECT"),
        ("TABLE t", "1:", "sql-", ""),
        ("EXPLAIN SELECT a FROM t", "1:", "sql-not-select", "only a SELECT"),
        ("SET x = 1", "1:", "sql-not-select", "only a SELECT"),
        // Syntax.
        ("SELEC a FROM t", "1:1", "sql-syntax", "expected"),
        ("SELECT a FROM", "1:", "sql-syntax", "expected"),
        ("SELECT FROM t", "1:", "sql-", ""),
        ("SELECT a,, b FROM t", "1:10", "sql-syntax", ""),
        ("SELECT a FROM t WHERE", "1:", "sql-syntax", ""),
        ("SELECT a FROM t WHERE (x = 1", "1:", "sql-syntax", ""),
        ("SELECT a FROM t WHERE x = 1)", "1:28", "sql-", ""),
        ("SELECT 'a FROM t", "1:8", "sql-syntax", "nterminated"),
        ("SELECT a FROM t /* no end", "1:", "sql-syntax", ""),
        ("SELECT `a FROM t", "1:", "sql-syntax", ""),
        ("SELECT a\nFROM t\nWHERE x =\nGROUP BY a", "4:", "sql-syntax", ""),
        ("SELECT CASE WHEN a THEN 1 FROM t", "1:", "sql-syntax", ""),
        // Parameters.
        (
            "SELECT a FROM t WHERE d = {{ ds }}",
            "1:27",
            "sql-parameter-outside-literal",
            "write `DATE '{{ ds }}'`",
        ),
        (
            "SELECT a FROM t WHERE d = {{ period_end }}",
            "1:27",
            "sql-parameter-outside-literal",
            "TIMESTAMP '{{ period_end }}'",
        ),
        (
            "SELECT a FROM t WHERE d = '{{ dz }}'",
            "1:28",
            "sql-parameter",
            "`{{ dz }}` is not a parameter",
        ),
        (
            "SELECT a FROM t WHERE d = '{{ period_begin }}'",
            "1:28",
            "sql-parameter",
            "did you mean `{{ period_",
        ),
        ("SELECT a FROM t WHERE d = '{{ ds_nodash }}'", "1:28", "sql-parameter", "not a parameter"),
        (
            "SELECT a FROM t WHERE d = '{{ macros.ds_add(ds, 1) }}'",
            "1:28",
            "sql-parameter",
            "not a parameter",
        ),
        ("SELECT a FROM t WHERE d = '{{ ds '", "1:28", "sql-parameter", "is not closed"),
        ("SELECT a FROM t WHERE d = '{{}}'", "1:28", "sql-parameter", "not a parameter"),
        ("SELECT a FROM t WHERE d = '{{ DS }}'", "1:28", "sql-parameter", "not a parameter"),
        ("SELECT a FROM t WHERE d = '{% if x %}'", "1:28", "sql-parameter", "not a parameter"),
        ("SELECT a FROM t {% if x %} WHERE b {% endif %}", "1:17", "sql-parameter", "`{% if x %}`"),
        ("SELECT a FROM t WHERE d = '${ds}'", "1:28", "sql-parameter", "`${ds}`"),
        ("SELECT a FROM t WHERE d = ${ds}", "1:27", "sql-parameter", ""),
        ("SELECT a FROM t WHERE d = '{# x #}'", "1:28", "sql-parameter", "`{# x #}`"),
        ("SELECT a FROM {{ table }}", "1:15", "sql-parameter", "`{{ table }}`"),
        ("SELECT a FROM t WHERE d = :ds", "1:27", "sql-", ""),
        ("SELECT a FROM t WHERE d = ?", "1:27", "sql-parameter", "`?`"),
        ("SELECT a FROM t WHERE d = }", "1:27", "sql-parameter", "`}`"),
        // What depends on the run.
        ("SELECT now() AS a FROM t", "1:8", "sql-not-repeatable", "`now` depends on when"),
        ("SELECT current_date AS a FROM t", "1:8", "sql-not-repeatable", "`current_date`"),
        ("SELECT current_date() AS a FROM t", "1:8", "sql-not-repeatable", "`current_date`"),
        (
            "SELECT CURRENT_TIMESTAMP AS a FROM t",
            "1:8",
            "sql-not-repeatable",
            "`current_timestamp`",
        ),
        ("SELECT a FROM t WHERE ts < Now()", "1:28", "sql-not-repeatable", "`now`"),
        ("SELECT rand() AS a FROM t", "1:8", "sql-not-repeatable", "`rand`"),
        ("SELECT rand(42) AS a FROM t", "1:8", "sql-not-repeatable", "`rand`"),
        ("SELECT uuid() AS a FROM t", "1:8", "sql-not-repeatable", "`uuid`"),
        (
            "SELECT monotonically_increasing_id() AS a FROM t",
            "1:8",
            "sql-not-repeatable",
            "monotonically",
        ),
        ("SELECT input_file_name() AS a FROM t", "1:8", "sql-not-repeatable", "input_file_name"),
        ("SELECT unix_timestamp() AS a FROM t", "1:8", "sql-not-repeatable", "unix_timestamp"),
        ("SELECT current_user() AS a FROM t", "1:8", "sql-not-repeatable", "current_user"),
        ("SELECT shuffle(xs) AS a FROM t", "1:8", "sql-not-repeatable", "shuffle"),
        ("SELECT a FROM t WHERE d = DATE 'today'", "1:", "sql-not-repeatable", "`today`"),
        ("SELECT a FROM t WHERE d = TIMESTAMP ' NOW '", "1:", "sql-not-repeatable", "`now`"),
        (
            "SELECT a FROM t WHERE x IN (SELECT y FROM u WHERE z > now())",
            "1:55",
            "sql-not-repeatable",
            "`now`",
        ),
        ("SELECT a FROM t TABLESAMPLE (10 PERCENT)", "1:", "sql-", ""),
        ("SELECT a FROM t LIMIT 10", "1:1", "sql-not-repeatable", "LIMIT without ORDER BY"),
        (
            "SELECT a FROM (SELECT a FROM t LIMIT 1) u",
            "1:16",
            "sql-not-repeatable",
            "LIMIT without ORDER BY",
        ),
        // Columns.
        ("SELECT * FROM t", "1:8", "sql-wildcard", "name each column"),
        ("SELECT t.* FROM t", "1:", "sql-wildcard", "name each column"),
        ("SELECT a, * FROM t", "1:11", "sql-wildcard", "`*`"),
        ("SELECT a FROM t UNION ALL SELECT * FROM u", "1:34", "sql-wildcard", "`*`"),
        ("SELECT a, a + 1 FROM t", "1:11", "sql-unnamed-column", "`a + 1` has no name"),
        ("SELECT count(*) FROM t", "1:8", "sql-unnamed-column", "`count(*)`"),
        ("SELECT a, b AS A FROM t", "1:16", "sql-duplicate-column", "first at 1:8"),
        (
            "SELECT t.a, u.a FROM t JOIN u ON t.x = u.x",
            "1:15",
            "sql-duplicate-column",
            "`a` is given twice",
        ),
        (
            "SELECT a, b FROM t UNION ALL SELECT a FROM t",
            "1:30",
            "sql-column-count",
            "gives 1 columns, the first part 2",
        ),
        // Not in feature SQL.
        (
            "WITH RECURSIVE r AS (SELECT 1 AS a) SELECT a FROM r",
            "1:1",
            "sql-unsupported",
            "RECURSIVE",
        ),
        (
            "WITH r AS (SELECT 1 AS a), r AS (SELECT 2 AS a) SELECT a FROM r",
            "1:28",
            "sql-duplicate-query",
            "twice",
        ),
        ("SELECT TOP 5 a FROM t", "1:", "sql-", ""),
        ("SELECT a FROM t FOR UPDATE", "1:", "sql-unsupported", "FOR"),
        ("SELECT a FROM read_files('x')", "1:15", "sql-unsupported", "read_files"),
        ("SELECT 1.5D AS a FROM t", "1:8", "sql-literal", "`1.5D`"),
        ("SELECT r'a\\b' AS a FROM t", "1:8", "sql-literal", "raw strings"),
    ];
    for (text, at, code, word) in table {
        let found = errors(text);
        let first = found.first().unwrap_or_else(|| panic!("no error in {text:?}"));
        assert!(first.starts_with(&format!("q.sql:{at}")), "{text:?}: {first}");
        assert!(first.contains(&format!("error[{code}")), "{text:?}: {first}");
        assert!(first.contains(word), "{text:?}: {first}");
    }
    assert!(table.len() >= 60);
}

#[test]
fn all_errors_in_one_go() {
    let found = errors("SELECT\n  now() AS a,\n  rand() AS b,\n  c + 1\nFROM t\nLIMIT 3");
    expect![[r#"
        q.sql:1:1: error[sql-not-repeatable]: LIMIT without ORDER BY keeps rows by chance, order by columns that are unique together, or leave LIMIT out
        q.sql:2:3: error[sql-not-repeatable]: `now` depends on when or where the query runs, use `'{{ ds }}'`, `'{{ period_start }}'` or `'{{ period_end }}'`, so that a rerun gives the same
        q.sql:3:3: error[sql-not-repeatable]: `rand` depends on when or where the query runs, derive what looks random from the data, as in `hash(id)`
        q.sql:4:3: error[sql-unnamed-column]: the column `c + 1` has no name, name it: `… AS feature_name`"#]].assert_eq(&found.join("\n"));
    let found =
        errors("SELECT '{{ x }}' AS a,\n  '{{ ds }}' AS b, {{ ds }} AS c FROM t WHERE '${y}' = a");
    expect![[r#"
        q.sql:1:9: error[sql-parameter]: `{{ x }}` is not a parameter, the only parameters are `{{ ds }}`, `{{ period_start }}` and `{{ period_end }}`, inside literals, as in `DATE '{{ ds }}'`
        q.sql:2:20: error[sql-parameter-outside-literal]: `{{ ds }}` stands outside a literal, write `DATE '{{ ds }}'`
        q.sql:2:48: error[sql-parameter]: `${y}` is not a parameter, the only parameters are `{{ ds }}`, `{{ period_start }}` and `{{ period_end }}`, inside literals, as in `DATE '{{ ds }}'`"#]].assert_eq(&found.join("\n"));
}

#[test]
fn good_sql() {
    for text in [
        "SELECT a FROM t;",
        "SELECT a FROM t -- {{ anything }} in a comment\n",
        "(SELECT a FROM t)",
        "SELECT a FROM t WHERE ts >= TIMESTAMP '{{ period_start }}' AND ts < '{{period_end}}'",
        "SELECT t.a AS `order`, b AS b FROM `lake`.`t` t",
        "WITH x AS (SELECT * FROM t) SELECT a FROM x UNION ALL SELECT b FROM y",
        "SELECT a, explode(items) AS item FROM t LATERAL VIEW explode(xs) e AS x",
        "SELECT unix_timestamp(ts) AS u, to_date('{{ ds }}') AS d FROM t",
        "SELECT a FROM t ORDER BY a LIMIT 10",
        "SELECT 'it\\'s' AS a, \"x\" AS b, 'a''b' AS c FROM t",
        "SELECT a.now AS n, b.`current_date` AS d FROM t",
        "SELECT transform(xs, x -> x + 1) AS ys, map('a', 1)['a'] AS m FROM t",
        "SELECT a FROM t QUALIFY row_number() OVER (PARTITION BY a ORDER BY ts DESC) = 1",
        "SELECT a, count(*) FILTER (WHERE b > 1) AS n FROM t GROUP BY a WITH ROLLUP",
        "SELECT a FROM t LEFT ANTI JOIN u ON t.id = u.id",
        "SELECT col1 AS a FROM VALUES (1), (2) AS v (col1)",
        "SELECT percentile_approx(x, 0.5) AS p FROM t TABLESAMPLE_NOT",
    ] {
        good(text);
    }
}

fn against(text: &str, expected: Expect) {
    let found: Vec<String> =
        good(text).check_against(&view()).iter().map(ToString::to_string).collect();
    expected.assert_eq(&found.join("\n"));
}

#[test]
fn columns_of_the_view() {
    against(
        "SELECT origin, Carrier, TIMESTAMP '{{ period_end }}' AS event_ts, avg(d) AS avg_delay, count(*) AS FLIGHTS FROM f GROUP BY 1, 2",
        expect![[""]],
    );
    against(
        "SELECT origin, TIMESTAMP '{{ period_end }}' AS event_ts, avg(d) AS avg_dealy,\n count(*) AS flights, max(d) AS worst FROM f GROUP BY 1, 2",
        expect![[r#"
            q.sql:1:1: error[sql-missing-column]: the entity `carrier` is missing, add `… AS carrier`
            q.sql:1:1: error[sql-missing-column]: the feature `avg_delay` is missing, `avg_dealy` is there: name it `avg_delay`
            q.sql:1:68: error[sql-unknown-column]: `avg_dealy` is no column of flights/carrier_daily@1, did you mean `avg_delay`?
            q.sql:2:33: error[sql-unknown-column]: `worst` is no column of flights/carrier_daily@1, add the feature to the JSON, or leave the column out"#]],
    );
}

#[test]
fn aggregates_are_known_at_the_end() {
    let query = |time: &str, rest: &str| {
        format!(
            "SELECT carrier, origin, {time} AS event_ts, count(*) AS flights, avg(d) AS avg_delay FROM f {rest}"
        )
    };
    let leaks = |text: &str| {
        good(text).check_against(&view()).iter().any(|error| error.code == "sql-event-time")
    };
    let grouped = "GROUP BY carrier, origin";
    assert!(leaks(&query("DATE '{{ ds }}'", grouped)));
    assert!(leaks(&query("TIMESTAMP '{{ period_start }}'", grouped)));
    assert!(leaks(&query("CAST('{{ ds }}' AS TIMESTAMP)", grouped)));
    assert!(leaks(&format!(
        "SELECT carrier, origin, event_ts, flights, avg_delay FROM ({}) x",
        query("DATE '{{ ds }}'", grouped)
    )));
    assert!(!leaks(&query("TIMESTAMP '{{ period_end }}'", grouped)));
    assert!(!leaks(&query("max(time_hour)", grouped)));
    // One row stays one row.
    assert!(!leaks(
        "SELECT carrier, origin, DATE '{{ ds }}' AS event_ts, flights, avg_delay FROM f"
    ));
}

#[test]
fn the_checked_in_configs() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../configs/flights");
    let mut found = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "sql") {
            continue;
        }
        let query = good(&std::fs::read_to_string(&path).unwrap());
        let json = std::fs::read_to_string(path.with_extension("json")).unwrap();
        let name = path.with_extension("json");
        let name = name.file_name().unwrap().to_str().unwrap();
        let view = config::parse_view(&format!("configs/flights/{name}"), &json).unwrap();
        assert_eq!(query.check_against(&view), vec![], "{name}");
        found += 1;
    }
    assert!(found >= 4);
}

fn period(zone: Option<&str>) -> Period {
    let start = Timestamp::parse("2013-01-01T05:00:00Z").unwrap();
    Period::new(start, Timestamp::parse("2013-01-02T05:00:00Z").unwrap(), zone).unwrap()
}

#[test]
fn rendering() {
    let query = good(
        "SELECT '{{ds}}' AS a, -- {{ ds }}\n '{{ period_start }}/{{ period_end }}' AS b, x FROM t",
    );
    let rendered = query.render(&period(None));
    expect![[r#"
        SELECT '2013-01-01' AS a, -- {{ ds }}
         '2013-01-01 05:00:00/2013-01-02 05:00:00' AS b, x FROM t"#]]
    .assert_eq(&rendered);
    assert!(query.render(&period(Some("America/New_York"))).starts_with("SELECT '2013-01-01'"));
    let early = Timestamp::parse("2013-01-01T00:00:00Z").unwrap();
    let late = Timestamp::parse("2013-01-01T00:00:00.5Z").unwrap();
    let rendered = query.render(&Period::new(early, late, Some("America/New_York")).unwrap());
    assert!(rendered.contains("'2012-12-31'"));
    assert!(rendered.contains("/2013-01-01 00:00:00.500000'"));

    // Engines speak of the rendered text; authors read theirs.
    let rendered = query.render(&period(None));
    let column = |line: &str, what: &str| line.find(what).map(|at| at as u32 + 1).unwrap();
    for (line, what) in [(1, "AS a"), (2, "AS b"), (2, ", x")] {
        let there = column(rendered.lines().nth(line - 1).unwrap(), what);
        let here = column(query.text().lines().nth(line - 1).unwrap(), what);
        let line = u32::try_from(line).unwrap();
        assert_eq!(query.author_position(&period(None), (line, there)), (line, here), "{what}");
    }
}

#[test]
fn periods() {
    let at = |text| Timestamp::parse(text).unwrap();
    let day = Period::containing(&view(), at("2013-02-03T04:05:06Z")).unwrap();
    assert_eq!((day.start, day.end), (at("2013-02-03"), at("2013-02-04")));
    assert_eq!(day.day(), "2013-02-03");
    assert!(Period::new(at("2013-01-02"), at("2013-01-02"), None).is_err());
    assert!(Period::new(at("2013-01-02"), at("2013-01-03"), Some("Mars/Base")).is_err());
    assert!(Period::new(Timestamp(i64::MIN), at("2013-01-03"), None).is_err());
}

#[test]
fn nesting_has_a_limit() {
    let deep = |open: &str, middle: &str, close: &str, times: usize| {
        format!("SELECT {}{middle}{} AS a FROM t", open.repeat(times), close.repeat(times))
    };
    for text in [
        deep("(", "1", ")", 10_000),
        deep("NOT ", "x", "", 10_000),
        deep("- ", "1", "", 10_000),
        deep("x + ", "1", "", 10_000),
        deep("", "x", " IS NULL", 10_000),
        deep("", "x", "[0]", 10_000),
        deep("", "x", "::int", 10_000),
        deep("", "x", ".y", 10_000),
        deep("f(", "x", ")", 10_000),
        deep("CASE WHEN x THEN ", "1", " END", 10_000),
        deep("CASE WHEN a THEN b ELSE ", "1", " END", 10_000),
        deep("(SELECT ", "1", ")", 10_000),
        deep("array<", "x", ">", 1_000),
        deep("CAST(x AS ARRAY<", "INT", ">)", 1_000),
        deep("transform(x, y -> ", "1", ")", 1_000),
        format!("SELECT a FROM t{}", " UNION ALL SELECT a FROM t".repeat(10_000)),
        format!("SELECT a FROM {}t{}", "(".repeat(10_000), ")".repeat(10_000)),
        format!("SELECT a FROM t{}", " JOIN (u".repeat(1_000)),
        format!("{}SELECT a FROM t{}", "(".repeat(10_000), ")".repeat(10_000)),
        "/*".repeat(10_000),
        format!("SELECT '{}' AS a FROM t", "{{ ds }}".repeat(10_000)),
        format!("SELECT {} AS a FROM t", "'{{ ds }}', ".repeat(10_000)),
        format!("SELECT '{}' AS a FROM t", "x".repeat(300_000)),
    ] {
        assert!(!errors(&text).is_empty(), "{}", &text[..40]);
    }
}

/// The parser must not double its work at each level of what the limits let through: this would
/// not end.
#[test]
fn deep_but_allowed() {
    for (open, middle, close) in [
        ("(", "x", ")"),
        ("f(", "x", ")"),
        ("f(1 + (", "x", "))"),
        ("CASE WHEN x THEN ", "1", " END"),
        ("CASE WHEN (x = ", "1", ") THEN 2 END"),
        ("(SELECT ", "1", ")"),
        ("CAST(", "x", " AS INT)"),
        ("x[", "0", "]"),
        ("NOT ", "x", ""),
        ("transform(x, y -> ", "1", ")"),
        ("(x, ", "1", ")"),
        ("x IN (", "1", ")"),
        ("x BETWEEN 1 AND ", "1", ""),
        ("struct(x AS ", "y", ")"),
    ] {
        let nested = format!("{}{middle}{}", open.repeat(44), close.repeat(44));
        errors(&format!("SELECT {nested} AS a FROM t WHERE {nested} = 1"));
    }
    for (open, middle, close) in [
        ("(", "t", ")"),
        ("(t JOIN ", "t", ")"),
        ("((t JOIN ", "t", "))"),
        ("(SELECT a FROM ", "t", ")"),
        ("((SELECT a FROM ", "t", "))"),
    ] {
        errors(&format!("SELECT a FROM {}{middle}{}", open.repeat(44), close.repeat(44)));
    }
}

#[test]
fn long_queries_within_the_limits() {
    let conditions: Vec<String> = (0..150).map(|n| format!("t.x{n} = {n}")).collect();
    let text = format!("SELECT a FROM t WHERE {}", conditions.join(" AND "));
    let query = good(&text);
    assert_eq!(query.normalised(), good(&query.normalised()).normalised());
    let sum: Vec<String> = (0..490).map(|n| format!("x{n}")).collect();
    let query = good(&format!("SELECT {} AS a FROM t", sum.join(" + ")));
    assert_eq!(query.output_columns()[0].sources.len(), 490);
    query.normalised();
    let columns: Vec<String> = (0..2000).map(|n| format!("x{n} + 1 AS y{n}")).collect();
    good(&format!("SELECT {} FROM t", columns.join(", "))).normalised();
    let list: Vec<String> = (0..5000).map(|n| n.to_string()).collect();
    good(&format!("SELECT a FROM t WHERE x IN ({})", list.join(", "))).normalised();
    // Aliases of aliases, and BETWEEN of BETWEEN, must not double at each step.
    let aliases: Vec<String> = (1..60).map(|n| format!("a{0} + a{0} AS a{n}", n - 1)).collect();
    good(&format!("SELECT x AS a0, {} FROM (SELECT x FROM t) u", aliases.join(", "))).normalised();
    let mut nested = "x".to_owned();
    for _ in 0..15 {
        nested = format!("({nested} BETWEEN 1 AND CASE {nested} WHEN 1 THEN 2 END)");
        if nested.len() > 20_000 {
            break;
        }
    }
    let _ = AuthorQuery::parse("q.sql", &format!("SELECT {nested} AS a FROM t"))
        .map(|query| query.normalised());
    let mut ctes = vec!["c0 AS (SELECT x FROM t)".to_owned()];
    for n in 1..40 {
        ctes.push(format!("c{n} AS (SELECT a.x FROM c{0} a JOIN c{0} b ON a.x = b.x)", n - 1));
    }
    good(&format!("WITH {} SELECT x FROM c39", ctes.join(", "))).normalised();
}

const SEEDS: [&str; 6] = [
    "SELECT carrier, count(*) AS n FROM flights f LEFT JOIN planes p ON f.t = p.t WHERE d = DATE '{{ ds }}' GROUP BY 1",
    "WITH q (a, b) AS (SELECT x, y FROM t) SELECT a, sum(b) OVER (PARTITION BY a ORDER BY b ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) AS s FROM q",
    "SELECT a.b[0].c AS x, transform(xs, y -> y + 1) AS z FROM t LATERAL VIEW explode(xs) e AS v",
    "SELECT CASE a WHEN 1 THEN 'x' ELSE \"y\" END AS c, a BETWEEN 1 AND 2 AS b FROM t UNION ALL SELECT 1, x IN (1, 2) FROM u",
    "SELECT a AS b, EXISTS (SELECT 1 FROM u WHERE u.i = t.i) AS e FROM t ORDER BY b, 1 LIMIT 3",
    "SELECT INTERVAL 1 DAY AS i, CAST(x AS DECIMAL(10, 2)) AS d, x::int AS y, X'00' AS h FROM VALUES (1) AS v (x)",
];

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(500) })]

    #[test]
    fn any_text_is_read_without_panic(text in "\\PC{0,60}") {
        let _ = AuthorQuery::parse("q.sql", &text);
        let _ = AuthorQuery::parse("q.sql", &format!("SELECT {text} FROM t"));
        let _ = AuthorQuery::parse("q.sql", &format!("SELECT a FROM t WHERE '{text}"));
    }

    #[test]
    fn mutated_sql_is_read_without_panic(
        seed in 0..SEEDS.len(),
        other in 0..SEEDS.len(),
        cuts in prop::collection::vec((0..200usize, 0..200usize, 0..30usize), 1..4),
    ) {
        let mut text: Vec<char> = SEEDS[seed].chars().collect();
        let donor: Vec<char> = SEEDS[other].chars().collect();
        for (to, from, length) in cuts {
            let to = to.min(text.len());
            let end = (to + length / 2).min(text.len());
            let from = from.min(donor.len());
            let until = (from + length).min(donor.len());
            text.splice(to..end, donor[from..until].iter().copied());
        }
        let text: String = text.into_iter().collect();
        if let Ok(query) = AuthorQuery::parse("q.sql", &text) {
            query.normalised();
            query.check_against(&view());
            query.render(&period(None));
            let original = good(SEEDS[seed]);
            crate::compare(&original, &query);
        }
    }
}
