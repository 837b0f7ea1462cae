use crate::AuthorQuery;

fn parse(text: &str) -> AuthorQuery {
    AuthorQuery::parse("q.sql", text).unwrap_or_else(|errors| panic!("{text}: {errors:?}"))
}

#[test]
fn wildcards_are_found_and_counts_are_none() {
    assert!(
        parse("SELECT id, count(*) AS n, a * b AS c FROM t GROUP BY id, a * b")
            .wildcards()
            .is_empty()
    );
    let query =
        parse("SELECT id, n FROM (SELECT *\n  FROM t) x JOIN (SELECT y.* FROM y) z ON true");
    assert_eq!(query.wildcards().iter().map(|at| at.0).collect::<Vec<_>>(), [1, 2]);
}

#[test]
fn unused_columns_of_subqueries() {
    let unused = |text: &str| -> Vec<String> {
        parse(text).unused_columns().into_iter().map(|(name, _)| name).collect()
    };
    assert_eq!(
        unused("WITH w AS (SELECT id, ts, a AS x, b + 1 AS y FROM t) SELECT id, ts, X AS f FROM w"),
        ["y"]
    );
    assert_eq!(unused("SELECT id, f FROM (SELECT id, f, `left_over` FROM t) d"), ["left_over"]);
    for fine in [
        "SELECT id, a FROM t",
        "SELECT id FROM (SELECT q.* FROM (SELECT id, b FROM t) q) d",
        "SELECT id FROM (SELECT id, a AS b FROM t) d WHERE d.b > 1",
        "SELECT id FROM (SELECT id, a FROM t UNION ALL SELECT id, c FROM u) d",
        "SELECT id FROM t WHERE a IN (SELECT b FROM u)",
        "SELECT id FROM (SELECT DISTINCT id, a FROM t) d",
        "WITH w(x, y) AS (SELECT id, a FROM t) SELECT x AS id FROM w",
        "SELECT id FROM u NATURAL JOIN (SELECT id, a FROM t) d",
    ] {
        assert!(unused(fine).is_empty(), "{fine}: {:?}", unused(fine));
    }
    let query = parse("SELECT id FROM (\n  SELECT id,\n    a AS spare FROM t) d");
    assert_eq!(query.unused_columns(), [("spare".to_owned(), (3, 10))]);
}
