use expect_test::{Expect, expect};

use crate::AuthorQuery;

/// Each column with its sources; `?` is a table or column that the text does not tell.
fn check(text: &str, expected: Expect) {
    let query = AuthorQuery::parse("q.sql", text).unwrap_or_else(|e| panic!("{text}: {e:?}"));
    let mut out = format!("tables: {}\n", query.tables().join(", "));
    for column in query.output_columns() {
        let sources: Vec<String> = column
            .sources
            .iter()
            .map(|source| {
                let part = |part: &Option<String>| part.clone().unwrap_or_else(|| "?".to_owned());
                format!("{}.{}", part(&source.table), part(&source.column))
            })
            .collect();
        out.push_str(&format!("{}: {}\n", column.name, sources.join(", ")));
    }
    expected.assert_eq(&out);
}

#[test]
fn one_table() {
    check(
        "SELECT Carrier, DATE '{{ ds }}' AS day, count(*) AS n, avg(f.dep_delay - f.arr_delay) AS d, 1 AS one FROM Flights f GROUP BY 1",
        expect![[r#"
            tables: flights
            carrier: flights.carrier
            day: 
            n: flights.?
            d: flights.arr_delay, flights.dep_delay
            one: 
        "#]],
    );
    check(
        "SELECT a.b AS x, c[0].d AS y, lake.t.e AS z FROM lake.t",
        expect![[r#"
        tables: lake.t
        x: lake.t.a
        y: lake.t.c
        z: lake.t.e
    "#]],
    );
}

#[test]
fn joins() {
    check(
        "SELECT f.carrier, p.seats, speed, coalesce(f.x, p.y) AS xy FROM flights f LEFT JOIN lake.planes p ON f.tail = p.tail",
        expect![[r#"
            tables: flights, lake.planes
            carrier: flights.carrier
            seats: lake.planes.seats
            speed: ?.speed
            xy: flights.x, lake.planes.y
        "#]],
    );
    check(
        "SELECT t.id, name FROM t LEFT SEMI JOIN u ON t.id = u.id",
        expect![[r#"
            tables: t, u
            id: t.id
            name: t.name
        "#]],
    );
}

#[test]
fn subqueries() {
    check(
        "WITH d AS (SELECT id, max(v) AS top FROM events GROUP BY id), e AS (SELECT * FROM d) SELECT id, top * 2 AS double, (SELECT min(w) FROM limits WHERE limits.k = e.id) AS low FROM e WHERE id IN (SELECT id FROM allowed)",
        expect![[r#"
            tables: allowed, events, limits
            id: events.id
            double: events.v
            low: limits.w
        "#]],
    );
    check(
        "SELECT q.a, q.b AS c FROM (SELECT x AS a, y + z AS b FROM t) q",
        expect![[r#"
            tables: t
            a: t.x
            c: t.y, t.z
        "#]],
    );
    check(
        "SELECT a FROM (SELECT * FROM t) q JOIN (SELECT * FROM u) r",
        expect![[r#"
        tables: t, u
        a: ?.a
    "#]],
    );
    check(
        "WITH t AS (SELECT a FROM t) SELECT a FROM t UNION ALL SELECT b FROM u",
        expect![[r#"
            tables: t, u
            a: t.a, u.b
        "#]],
    );
    check(
        "SELECT q.x, q.y FROM (SELECT a, b FROM t) q (x, y)",
        expect![[r#"
        tables: t
        x: t.a
        y: t.b
    "#]],
    );
}

#[test]
fn names_that_are_no_columns() {
    check(
        "SELECT transform(xs, x -> x + y) AS t, timestampdiff(DAY, a, b) AS d, e.v AS v FROM t LATERAL VIEW explode(zs) e AS v",
        expect![[r#"
            tables: t
            t: t.xs, t.y
            d: t.a, t.b
            v: t.zs
        "#]],
    );
    check(
        "SELECT upper(a) AS b, b || 'x' AS c, max(d) AS d, d + 1 AS e FROM t",
        expect![[r#"
        tables: t
        b: t.a
        c: t.a
        d: t.d
        e: t.d
    "#]],
    );
    check(
        "SELECT sum(a) OVER w AS s FROM t WINDOW w AS (PARTITION BY b ORDER BY c)",
        expect![[r#"
            tables: t
            s: t.a, t.b, t.c
        "#]],
    );
}
