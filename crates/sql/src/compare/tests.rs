//! Pairs of queries and what the step from one to the other is.

use trivium_model::ChangeClass::{self, Behaviour, Breaking, Compatible, Cosmetic};

use crate::{AuthorQuery, changed_parts, compare};

const BASE: &str = "SELECT carrier, origin, TIMESTAMP '{{ period_end }}' AS event_ts, count(*) AS flights, avg(dep_delay) AS avg_delay FROM flights WHERE make_date(year, month, day) = DATE '{{ ds }}' AND dep_delay > 0 GROUP BY carrier, origin";
const ROWS: &str = "SELECT carrier, event_ts, a - b AS d FROM t WHERE x = 1 AND y = 2";

fn parse(text: &str) -> AuthorQuery {
    AuthorQuery::parse("q.sql", text).unwrap_or_else(|errors| panic!("{text}: {errors:?}"))
}

fn check(old: &str, new: &str, class: ChangeClass, reason: &str) {
    let differences = compare(&parse(old), &parse(new));
    let found = differences.iter().map(|difference| difference.class).max();
    let said: Vec<String> = differences.iter().map(ToString::to_string).collect();
    let said = said.join("\n");
    assert_eq!(
        found,
        Some(class),
        "{old}\n{new}\n{said}\nold: {}\nnew: {}",
        parse(old).normalised(),
        parse(new).normalised()
    );
    assert!(said.contains(reason), "{old}\n{new}\nexpected {reason:?} in:\n{said}");
}

/// Both ways: what is the same is the same from either side.
fn same(old: &str, new: &str) {
    check(old, new, Cosmetic, "only the writing changed");
    check(new, old, Cosmetic, "only the writing changed");
}

/// Part of a query replaced.
fn edited(base: &str, from: &str, to: &str) -> String {
    assert!(base.contains(from), "{from:?} is not in {base:?}");
    base.replacen(from, to, 1)
}

#[test]
fn base_edits() {
    let table: &[(&str, &str, &str, ChangeClass, &str)] = &[
        // Writing.
        (BASE, "SELECT carrier", "-- by day\nSELECT /* key */ carrier", Cosmetic, ""),
        (BASE, " FROM", "\n\n  FROM", Cosmetic, ""),
        (BASE, "SELECT", "select", Cosmetic, ""),
        (BASE, "count(*)", "COUNT(*)", Cosmetic, ""),
        (BASE, "count(*)", "count(1)", Cosmetic, ""),
        (BASE, "avg(dep_delay)", "AVG(Dep_Delay)", Cosmetic, ""),
        (BASE, "avg(dep_delay)", "avg(`dep_delay`)", Cosmetic, ""),
        (BASE, "AS avg_delay", "avg_delay", Cosmetic, ""),
        (BASE, "AS avg_delay", "AS AVG_DELAY", Cosmetic, ""),
        (BASE, "{{ ds }}", "{{ds}}", Cosmetic, ""),
        (BASE, "FROM flights", "FROM flights AS f", Cosmetic, ""),
        (BASE, "FROM flights", "FROM Flights", Cosmetic, ""),
        (BASE, "carrier, origin, TIMESTAMP", "flights.carrier, origin, TIMESTAMP", Cosmetic, ""),
        (BASE, "dep_delay > 0", "0 < dep_delay", Cosmetic, ""),
        (BASE, "dep_delay > 0", "(dep_delay > 0)", Cosmetic, ""),
        (BASE, "dep_delay > 0", "((dep_delay) > (0))", Cosmetic, ""),
        (BASE, "= DATE '{{ ds }}'", "== DATE '{{ ds }}'", Cosmetic, ""),
        (
            BASE,
            "make_date(year, month, day) = DATE '{{ ds }}'",
            "DATE '{{ ds }}' = make_date(year, month, day)",
            Cosmetic,
            "",
        ),
        (
            BASE,
            "make_date(year, month, day) = DATE '{{ ds }}' AND dep_delay > 0",
            "dep_delay > 0 AND make_date(year, month, day) = DATE '{{ ds }}'",
            Cosmetic,
            "",
        ),
        (BASE, "GROUP BY carrier, origin", "GROUP BY origin, carrier", Cosmetic, ""),
        (BASE, "GROUP BY carrier, origin", "GROUP BY 1, 2", Cosmetic, ""),
        (BASE, "GROUP BY carrier, origin", "GROUP BY 2, carrier", Cosmetic, ""),
        (
            BASE,
            "GROUP BY carrier, origin",
            "GROUP BY carrier, origin, TIMESTAMP '{{ period_end }}'",
            Behaviour,
            "GROUP BY changed",
        ),
        (BASE, "SELECT carrier, origin", "SELECT origin, carrier", Cosmetic, ""),
        (BASE, "SELECT carrier", "SELECT ALL carrier", Cosmetic, ""),
        // Columns.
        (
            BASE,
            "avg(dep_delay) AS avg_delay",
            "avg(dep_delay) AS avg_delay, max(dep_delay) AS max_delay",
            Compatible,
            "sql.columns.max_delay: the column was added as `max(dep_delay)`",
        ),
        (
            BASE,
            ", avg(dep_delay) AS avg_delay",
            "",
            Breaking,
            "sql.columns.avg_delay: the column was removed",
        ),
        (BASE, "AS avg_delay", "AS mean_delay", Breaking, "renamed to `mean_delay`"),
        (
            BASE,
            "avg(dep_delay)",
            "avg(arr_delay)",
            Behaviour,
            "`avg(dep_delay)` became `avg(arr_delay)`",
        ),
        (BASE, "avg(dep_delay)", "max(dep_delay)", Behaviour, "sql.columns.avg_delay"),
        (BASE, "avg(dep_delay)", "avg(DISTINCT dep_delay)", Behaviour, "sql.columns.avg_delay"),
        (BASE, "avg(dep_delay)", "avg(coalesce(dep_delay, 0))", Behaviour, "sql.columns.avg_delay"),
        (
            BASE,
            "avg(dep_delay)",
            "avg(dep_delay) FILTER (WHERE dep_delay > 1)",
            Behaviour,
            "sql.columns.avg_delay",
        ),
        (BASE, "count(*)", "count(dep_delay)", Behaviour, "`count(*)` became `count(dep_delay)`"),
        (BASE, "count(*)", "count(DISTINCT dest)", Behaviour, "sql.columns.flights"),
        (BASE, "'{{ period_end }}'", "'{{ period_start }}'", Behaviour, "sql.columns.event_ts"),
        (
            BASE,
            "count(*) AS flights, avg(dep_delay) AS avg_delay",
            "avg(dep_delay) AS flights, count(*) AS avg_delay",
            Behaviour,
            "sql.columns.flights",
        ),
        // Clauses.
        (BASE, "dep_delay > 0", "dep_delay >= 0", Behaviour, "WHERE changed"),
        (BASE, "dep_delay > 0", "dep_delay > 1", Behaviour, "sql.where"),
        (BASE, "dep_delay > 0", "dep_delay > 0.0", Behaviour, "sql.where"),
        (BASE, "dep_delay > 0", "dep_delay < 0", Behaviour, "sql.where"),
        (BASE, " AND dep_delay > 0", " OR dep_delay > 0", Behaviour, "sql.where"),
        (BASE, " AND dep_delay > 0", "", Behaviour, "sql.where"),
        (
            BASE,
            "FROM flights",
            "FROM flights_clean",
            Behaviour,
            "FROM changed: `flights` became `flights_clean`",
        ),
        (BASE, "FROM flights", "FROM lake.flights", Behaviour, "sql.from"),
        (
            BASE,
            "GROUP BY carrier, origin",
            "GROUP BY carrier, origin, dest",
            Behaviour,
            "GROUP BY changed",
        ),
        (
            BASE,
            "GROUP BY carrier, origin",
            "GROUP BY carrier, origin HAVING count(*) > 1",
            Behaviour,
            "HAVING was added: `count(*) > 1`",
        ),
        (BASE, "SELECT carrier", "SELECT DISTINCT carrier", Behaviour, "DISTINCT was added"),
        (
            BASE,
            "GROUP BY carrier, origin",
            "GROUP BY carrier, origin ORDER BY flights DESC LIMIT 10",
            Behaviour,
            "LIMIT was added",
        ),
        (
            BASE,
            "FROM flights WHERE",
            "FROM flights JOIN planes USING (tailnum) WHERE",
            Behaviour,
            "sql.from",
        ),
        (BASE, "= DATE '{{ ds }}'", "= DATE '2013-01-01'", Behaviour, "sql.where"),
        // Rows without aggregation.
        (ROWS, "a - b", "b - a", Behaviour, "sql.columns.d"),
        (ROWS, "x = 1 AND y = 2", "y = 2 AND x = 1", Cosmetic, ""),
        (ROWS, "x = 1 AND y = 2", "NOT (x <> 1) AND y = 2", Cosmetic, ""),
        (ROWS, "x = 1 AND y = 2", "x = 1 AND y = 2 AND x = 1", Cosmetic, ""),
        (ROWS, "x = 1", "x = 1L", Behaviour, "sql.where"),
        (ROWS, "x = 1", "x = '1'", Behaviour, "sql.where"),
        (ROWS, "x = 1", "x <=> 1", Behaviour, "sql.where"),
        (ROWS, "a - b AS d", "a - b AS d, count(*) AS n", Behaviour, "it makes one row of all"),
        (
            ROWS,
            "a - b AS d",
            "a - b AS d, explode(items) AS item",
            Behaviour,
            "several rows of one",
        ),
        (
            ROWS,
            "a - b AS d",
            "a - b AS d, row_number() OVER (PARTITION BY carrier ORDER BY event_ts) AS n",
            Compatible,
            "sql.columns.n",
        ),
        (
            ROWS,
            "a - b AS d",
            "a - b AS d, (SELECT max(z) FROM u) AS z",
            Compatible,
            "sql.columns.z",
        ),
    ];
    for (base, from, to, class, reason) in table {
        check(base, &edited(base, from, to), *class, reason);
    }
}

/// An expression in place of another.
fn expr(old: &str, new: &str, class: ChangeClass) {
    let query = |expr: &str| format!("SELECT id, ts, {expr} AS f FROM t");
    check(&query(old), &query(new), class, "");
    check(&query(new), &query(old), class, "");
}

#[test]
fn expressions() {
    let table: &[(&str, &str, ChangeClass)] = &[
        ("a + b", "b + a", Cosmetic),
        ("a * b", "b * a", Cosmetic),
        ("(a + b) + c", "a + b + c", Cosmetic),
        ("a + (b + c)", "a + b + c", Behaviour),
        ("(a + b) * c", "a + b * c", Behaviour),
        ("a + (b * c)", "a + b * c", Cosmetic),
        ("a - b", "b - a", Behaviour),
        ("a / b", "b / a", Behaviour),
        ("a DIV b + c", "(a DIV b) + c", Cosmetic),
        ("a DIV b + c", "a DIV (b + c)", Behaviour),
        ("a || b", "b || a", Behaviour),
        ("a < b", "b > a", Cosmetic),
        ("a <= b", "b >= a", Cosmetic),
        ("a < b", "b < a", Behaviour),
        ("a <> b", "b != a", Cosmetic),
        ("a IS NOT NULL", "NOT (a IS NULL)", Cosmetic),
        ("NOT a IN (1, 2)", "a NOT IN (2, 1)", Cosmetic),
        ("a IN (1, 2, 3)", "a IN (3, 2, 1)", Cosmetic),
        ("a IN (1, 2, 3)", "a IN (1, 2)", Behaviour),
        ("a BETWEEN 1 AND 2", "a >= 1 AND a <= 2", Cosmetic),
        ("a NOT BETWEEN 1 AND 2", "NOT (1 <= a AND 2 >= a)", Cosmetic),
        ("a BETWEEN 1 AND 2", "a BETWEEN 2 AND 1", Behaviour),
        ("a IS NOT DISTINCT FROM b", "b <=> a", Cosmetic),
        ("1", "1.0", Behaviour),
        ("1.0", "1.00", Behaviour),
        ("1e3", "1E3", Cosmetic),
        ("-a", "a", Behaviour),
        ("+a", "a", Cosmetic),
        ("'AA'", "'aa'", Behaviour),
        ("'AA'", "\"AA\"", Cosmetic),
        ("'a''b'", "\"a'b\"", Behaviour),
        ("'u0041'", "'\\u0041'", Behaviour),
        ("'a  b'", "'a b'", Behaviour),
        ("CAST(a AS INT)", "CAST(a AS INTEGER)", Cosmetic),
        ("CAST(a AS INT)", "int(a)", Cosmetic),
        ("CAST(a AS INT)", "a::int", Cosmetic),
        ("CAST(a AS INT)", "CAST(a AS BIGINT)", Behaviour),
        ("CAST(a AS INT)", "try_cast(a AS INT)", Behaviour),
        ("CAST(a AS DECIMAL(10, 2))", "CAST(a AS NUMERIC(10, 2))", Cosmetic),
        ("CAST(a AS DECIMAL(10, 2))", "CAST(a AS DECIMAL(12, 2))", Behaviour),
        ("CASE WHEN a > 1 THEN 1 ELSE NULL END", "CASE WHEN 1 < a THEN 1 END", Cosmetic),
        ("CASE a WHEN 1 THEN 'x' END", "CASE WHEN a = 1 THEN 'x' END", Cosmetic),
        (
            "CASE WHEN a > 1 THEN 1 WHEN a > 2 THEN 2 END",
            "CASE WHEN a > 2 THEN 2 WHEN a > 1 THEN 1 END",
            Behaviour,
        ),
        ("CASE WHEN a THEN 1 ELSE 0 END", "CASE WHEN a THEN 1 END", Behaviour),
        ("coalesce(a, 0)", "a", Behaviour),
        ("coalesce(a, b)", "coalesce(b, a)", Behaviour),
        ("coalesce(a, 0)", "COALESCE( a,0 )", Cosmetic),
        (
            "sum(a) OVER (PARTITION BY b, c ORDER BY d)",
            "sum(a) OVER (PARTITION BY c, b ORDER BY d ASC NULLS FIRST)",
            Cosmetic,
        ),
        ("sum(a) OVER (ORDER BY d)", "sum(a) OVER (ORDER BY d DESC)", Behaviour),
        ("sum(a) OVER (ORDER BY d)", "sum(a) OVER (ORDER BY d NULLS LAST)", Behaviour),
        ("sum(a) OVER (ORDER BY d, e)", "sum(a) OVER (ORDER BY e, d)", Behaviour),
        ("sum(a) OVER (PARTITION BY b)", "sum(a) OVER (PARTITION BY c)", Behaviour),
        (
            "sum(a) OVER (ORDER BY d ROWS UNBOUNDED PRECEDING)",
            "sum(a) OVER (ORDER BY d ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)",
            Cosmetic,
        ),
        (
            "sum(a) OVER (ORDER BY d ROWS BETWEEN 1 PRECEDING AND CURRENT ROW)",
            "sum(a) OVER (ORDER BY d ROWS BETWEEN 2 PRECEDING AND CURRENT ROW)",
            Behaviour,
        ),
        (
            "sum(a) OVER (ORDER BY d ROWS UNBOUNDED PRECEDING)",
            "sum(a) OVER (ORDER BY d RANGE UNBOUNDED PRECEDING)",
            Behaviour,
        ),
        ("transform(xs, x -> x + a)", "transform(xs, x -> a + x)", Cosmetic),
        ("transform(xs, x -> x + a)", "transform(xs, x -> x - a)", Behaviour),
        ("s.field", "t.s.field", Cosmetic),
        ("xs[0]", "t.xs[0]", Cosmetic),
        ("xs[0]", "xs[1]", Behaviour),
        ("timestampdiff(DAY, a, b)", "timestampdiff(HOUR, a, b)", Behaviour),
        ("timestampdiff(DAY, a, b)", "timestampdiff(day, t.a, t.b)", Cosmetic),
        ("a LIKE 'x%'", "a LIKE 'X%'", Behaviour),
        ("NOT a LIKE 'x%'", "a NOT LIKE 'x%'", Cosmetic),
        ("a RLIKE 'x'", "a REGEXP 'x'", Cosmetic),
        ("(a AND b) OR c", "c OR (b AND a)", Cosmetic),
        ("a AND (b OR c)", "a AND b OR c", Behaviour),
        ("ts + INTERVAL 1 HOUR", "ts + INTERVAL 1 DAY", Behaviour),
        ("ts + INTERVAL 1 HOUR", "INTERVAL 1 HOUR + ts", Cosmetic),
        ("EXTRACT(YEAR FROM ts)", "extract(year FROM ts)", Cosmetic),
        ("(SELECT max(u.a) FROM u)", "(SELECT max(v.a) FROM u AS v)", Cosmetic),
        ("(SELECT max(u.a) FROM u)", "(SELECT max(u.b) FROM u)", Behaviour),
        (
            "EXISTS (SELECT 1 FROM u WHERE u.id = t.id)",
            "EXISTS (SELECT 1 FROM u x WHERE t.id = x.id)",
            Cosmetic,
        ),
        (
            "EXISTS (SELECT 1 FROM u WHERE u.id = t.id)",
            "NOT EXISTS (SELECT 1 FROM u WHERE u.id = t.id)",
            Behaviour,
        ),
    ];
    for (old, new, class) in table {
        expr(old, new, *class);
    }
}

#[test]
fn tables_and_joins() {
    let join = |join: &str| format!("SELECT f.id, f.ts, p.seats AS seats FROM {join}");
    let on = "f JOIN p ON f.tail = p.tail";
    let table: &[(&str, &str, ChangeClass)] = &[
        (on, "f INNER JOIN p ON p.tail = f.tail", Cosmetic),
        (on, "f LEFT JOIN p ON f.tail = p.tail", Behaviour),
        (on, "f JOIN p ON f.tail = p.number", Behaviour),
        (on, "f JOIN p USING (tail)", Behaviour),
        (on, "f CROSS JOIN p", Behaviour),
        ("f LEFT JOIN p ON f.tail = p.tail", "f LEFT OUTER JOIN p ON f.tail = p.tail", Cosmetic),
        ("f LEFT JOIN p ON f.tail = p.tail", "p LEFT JOIN f ON f.tail = p.tail", Behaviour),
        ("f LEFT JOIN p ON f.tail = p.tail", "f RIGHT JOIN p ON f.tail = p.tail", Behaviour),
        (
            "f LEFT JOIN p ON f.tail = p.tail AND p.year > 2000",
            "f LEFT JOIN p ON f.tail = p.tail WHERE p.year > 2000",
            Behaviour,
        ),
        (
            "f LEFT JOIN p ON f.tail = p.tail AND p.year > 2000",
            "f LEFT JOIN p ON 2000 < p.year AND p.tail = f.tail",
            Cosmetic,
        ),
        ("a f JOIN b p ON f.tail = p.tail", "b f JOIN a p ON f.tail = p.tail", Behaviour),
        ("f JOIN p ON f.tail = p.tail", "f JOIN p ON f.tail = p.tail AND TRUE", Behaviour),
    ];
    for (old, new, class) in table {
        check(&join(old), &join(new), *class, "");
    }
    // Aliases: renamed they are the same, swapped they are not.
    let old = "SELECT f.id, f.ts, p.seats FROM flights f JOIN planes p ON f.tail = p.tail";
    same(old, "SELECT x.id, x.ts, y.seats FROM flights x JOIN planes AS y ON y.tail = x.tail");
    check(
        old,
        "SELECT p.id, p.ts, f.seats FROM flights f JOIN planes p ON f.tail = p.tail",
        Behaviour,
        "sql.columns.seats",
    );
    // The same text under aliases that bind to the other table.
    check(
        old,
        "SELECT f.id, f.ts, p.seats FROM flights p JOIN planes f ON f.tail = p.tail",
        Behaviour,
        "sql.columns.seats",
    );
}

#[test]
fn subqueries_and_set_operations() {
    let with = "WITH daily AS (SELECT id, max(ts) AS ts, count(*) AS n FROM events GROUP BY id) SELECT id, ts, n FROM daily";
    same(with, &with.replace("daily", "per_day"));
    same(
        with,
        "SELECT d.id, d.ts, d.n FROM (SELECT id, max(ts) AS ts, count(*) AS n FROM events GROUP BY 1) d",
    );
    same(
        with,
        &with.replace(
            "SELECT id, max(ts) AS ts, count(*) AS n",
            "SELECT id, count(*) AS n, max(ts) AS ts",
        ),
    );
    same(with, &format!("WITH unused AS (SELECT 1 AS one), {}", &with["WITH ".len()..]));
    check(with, &with.replace("count(*)", "sum(k)"), Behaviour, "FROM changed: `daily` reads");
    check(with, &with.replace("events", "clicks"), Behaviour, "sql.from");
    // A name in WITH hides the table of that name.
    check(
        "SELECT id, ts FROM events",
        "WITH events AS (SELECT id, ts FROM raw_events) SELECT id, ts FROM events",
        Behaviour,
        "sql.from",
    );
    same(
        "SELECT id, ts, a AS f FROM (SELECT id, ts, x AS a FROM t) q",
        "WITH q (id, ts, a) AS (SELECT id, ts, x FROM t) SELECT id, ts, a AS f FROM q",
    );
    let union = "SELECT id, ts, a AS f FROM t UNION ALL SELECT id, ts, b FROM u";
    same(union, "SELECT id, ts, a AS f FROM t UNION ALL (SELECT id, ts, b AS other FROM u)");
    same(
        &format!("SELECT id, ts, f FROM ({union}) q"),
        &format!("SELECT id, ts, f FROM ({} AS other FROM u) q", union.trim_end_matches(" FROM u")),
    );
    check(union, &union.replace("UNION ALL", "UNION"), Behaviour, "sql.set_operation");
    check(union, &union.replace(", b FROM", ", c FROM"), Behaviour, "sql.columns.f");
    check(
        union,
        &format!("{union} UNION ALL SELECT id, ts, c FROM v"),
        Behaviour,
        "sql.set_operation",
    );
    check(
        union,
        "SELECT id, ts, a AS f, d FROM t UNION ALL SELECT id, ts, b, d FROM u",
        Compatible,
        "sql.columns.d",
    );
    check(
        "SELECT id, ts, a AS f FROM t UNION SELECT id, ts, b FROM u",
        "SELECT id, ts, a AS f, d FROM t UNION SELECT id, ts, b, d FROM u",
        Behaviour,
        "compar",
    );
    check(
        "SELECT DISTINCT id, ts FROM t",
        "SELECT DISTINCT id, ts, a FROM t",
        Behaviour,
        "SELECT DISTINCT compares all columns",
    );
    same(
        "SELECT id, ts, sum(a) OVER w AS f FROM t WINDOW w AS (PARTITION BY id ORDER BY ts)",
        "SELECT id, ts, sum(a) OVER (PARTITION BY id ORDER BY ts) AS f FROM t",
    );
    same(
        "SELECT id, ts FROM t ORDER BY ts, id LIMIT 5",
        "SELECT id, ts FROM t ORDER BY 2 ASC, 1 LIMIT 5",
    );
    check(
        "SELECT id, ts FROM t ORDER BY ts, id LIMIT 5",
        "SELECT id, ts FROM t ORDER BY ts, id LIMIT 6",
        Behaviour,
        "LIMIT changed: `LIMIT 5` became `LIMIT 6`",
    );
    // GROUP BY ALL groups by whatever is added.
    check(
        "SELECT id, max(ts) AS ts FROM t GROUP BY ALL",
        "SELECT id, max(ts) AS ts, kind FROM t GROUP BY ALL",
        Behaviour,
        "GROUP BY changed",
    );
    same(
        "SELECT id, max(ts) AS ts FROM t GROUP BY ALL",
        "SELECT id, max(ts) AS ts FROM t GROUP BY id",
    );
    // An alias that comes before the table's column in ORDER BY.
    check(
        "SELECT id, ts FROM t ORDER BY delay, id LIMIT 5",
        "SELECT id, ts, -delay AS delay FROM t ORDER BY delay, id LIMIT 5",
        Behaviour,
        "ORDER BY changed",
    );
    // What stands for an alias changes with the alias.
    check(
        "SELECT id, ts, a AS b, b + 1 AS c FROM t",
        "SELECT id, ts, a2 AS b, b + 1 AS c FROM t",
        Behaviour,
        "sql.columns.c",
    );
}

#[test]
fn the_same_text_is_no_difference() {
    assert!(compare(&parse(BASE), &parse(BASE)).is_empty());
}

#[test]
fn changed_parts_are_shown_in_normal_form() {
    let shown = |old: &str, new: &str| -> Vec<String> {
        let text = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        let parts = changed_parts(&parse(old), &parse(new));
        parts
            .into_iter()
            .map(|part| format!("{}: {} -> {}", part.field, text(part.old), text(part.new)))
            .collect()
    };
    assert!(shown(BASE, &edited(BASE, "count(*)", "COUNT(1)")).is_empty());
    let new = edited(BASE, "count(*) AS flights", "sum(1) AS flights, 1 AS one");
    let new = edited(&new, " AND dep_delay > 0", "");
    assert_eq!(
        shown(BASE, &new),
        [
            "sql.columns.flights: count(*) -> sum(1)",
            "sql.columns.one: - -> 1",
            "sql.where: ((0 < `t0_0`.`dep_delay`) AND (DATE '{{ ds }}' = make_date(`t0_0`.`year`, \
             `t0_0`.`month`, `t0_0`.`day`))) -> (DATE '{{ ds }}' = make_date(`t0_0`.`year`, \
             `t0_0`.`month`, `t0_0`.`day`))",
        ]
    );
    // A subquery is shown where it stands, not by its hash; what only reads it is not repeated.
    let nested = "WITH w AS (SELECT id, ts, x FROM (SELECT id, ts, a AS x FROM t) i) SELECT id, ts, x FROM w";
    let found = shown(nested, &edited(nested, "a AS x", "b AS x"));
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].starts_with("sql.from: "), "{found:?}");
    assert!(found[0].contains("`t0_0`.`a` AS `x`"), "{found:?}");
    assert!(found[0].contains("`t0_0`.`b` AS `x`"), "{found:?}");
    assert!(!found[0].contains("q_"), "{found:?}");
}
