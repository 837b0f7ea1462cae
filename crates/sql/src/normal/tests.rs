use expect_test::{Expect, expect};
use proptest::prelude::*;

use crate::AuthorQuery;

fn check(text: &str, expected: Expect) {
    let query = AuthorQuery::parse("q.sql", text).unwrap();
    expected.assert_eq(&query.normalised());
}

#[test]
fn shapes() {
    check(
        "select F.carrier, count(1) as N from Flights F where (F.x > 1 and F.a = 'x') group by 1",
        expect![
            "SELECT `t0_0`.`carrier` AS `carrier`, count(*) AS `n` FROM `flights` AS `t0_0` WHERE (('x' = `t0_0`.`a`) AND (1 < `t0_0`.`x`)) GROUP BY `t0_0`.`carrier`"
        ],
    );
    check(
        "WITH d AS (SELECT id, ts, a FROM t) SELECT d.id, d.ts, d.a + 1 AS f FROM d JOIN (SELECT id FROM d) e ON d.id = e.id",
        expect![
            "WITH `q_46464361f3b4a15765d3eacb57eb610b` AS (SELECT `t0_0`.`a` AS `a`, `t0_0`.`id` AS `id`, `t0_0`.`ts` AS `ts` FROM `t` AS `t0_0`), `q_600c27bdb52241a745116c4a2cb428ae` AS (SELECT `t0_0`.`id` AS `id` FROM `q_46464361f3b4a15765d3eacb57eb610b` AS `t0_0`) SELECT (1 + `t0_0`.`a`) AS `f`, `t0_0`.`id` AS `id`, `t0_0`.`ts` AS `ts` FROM `q_46464361f3b4a15765d3eacb57eb610b` AS `t0_0` INNER JOIN `q_600c27bdb52241a745116c4a2cb428ae` AS `t0_1` ON (`t0_0`.`id` = `t0_1`.`id`)"
        ],
    );
}

/// Queries made of parts that nest.
fn expression() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("a".to_owned()),
        Just("t.b".to_owned()),
        Just("c".to_owned()),
        Just("1".to_owned()),
        Just("2.5".to_owned()),
        Just("'x y'".to_owned()),
        Just("\"it's\"".to_owned()),
        Just("DATE '{{ds}}'".to_owned()),
        Just("NULL".to_owned()),
    ];
    leaf.prop_recursive(4, 24, 3, |inner| {
        let two = (inner.clone(), inner.clone());
        prop_oneof![
            (
                two.clone(),
                prop::sample::select(vec![
                    "+", "-", "*", "/", "=", "<>", "<", ">", "<=", ">=", "AND", "OR", "||", "<=>",
                    "DIV",
                ])
            )
                .prop_map(|((a, b), op)| format!("({a} {op} {b})")),
            inner.clone().prop_map(|a| format!("(NOT {a})")),
            inner.clone().prop_map(|a| format!("({a} IS NULL)")),
            (inner.clone(), two.clone())
                .prop_map(|(a, (b, c))| format!("({a} BETWEEN {b} AND {c})")),
            (inner.clone(), two.clone()).prop_map(|(a, (b, c))| format!("({a} IN (1, {b}, {c}))")),
            (inner.clone(), two.clone())
                .prop_map(|(a, (b, c))| format!("CASE WHEN {a} THEN {b} ELSE {c} END")),
            (inner.clone(), two.clone())
                .prop_map(|(a, (b, c))| format!("CASE {a} WHEN {b} THEN {c} END")),
            two.clone().prop_map(|(a, b)| format!("coalesce({a}, {b})")),
            inner.clone().prop_map(|a| format!("CAST({a} AS DOUBLE)")),
            inner.clone().prop_map(|a| format!("int({a})")),
            two.prop_map(|(a, b)| format!("sum({a}) OVER (PARTITION BY {b} ORDER BY c DESC)")),
            inner.prop_map(|a| format!("(SELECT max(u.x) FROM u WHERE u.y = {a})")),
        ]
    })
}

fn query() -> impl Strategy<Value = String> {
    (expression(), expression(), expression(), 0..6usize).prop_map(|(a, b, c, shape)| match shape {
        0 => format!("SELECT id, ts, {a} AS f FROM t WHERE {b} OR {c}"),
        1 => format!("WITH q AS (SELECT id, ts, {a} AS a, {b} AS c FROM t) SELECT id, ts, {c} AS f FROM q t"),
        2 => format!("SELECT t.id, t.ts, {a} AS f FROM t JOIN (SELECT id, {b} AS a FROM t) u ON t.id = u.id AND {c}"),
        3 => format!("SELECT id, ts, max({a}) AS f FROM t GROUP BY id, ts, {b} HAVING {c}"),
        4 => format!("SELECT id, ts, {a} AS f FROM t UNION ALL SELECT id, ts, {b} FROM t WHERE {c}"),
        _ => format!("SELECT id, ts, {a} AS f, {b} AS g FROM t ORDER BY {c}, f, 1 LIMIT 5"),
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(500) })]

    #[test]
    fn idempotent_and_cosmetic(text in query()) {
        let query = AuthorQuery::parse("q.sql", &text).unwrap();
        let once = query.normalised();
        let again = AuthorQuery::parse("q.sql", &once)
            .unwrap_or_else(|errors| panic!("{text}\n{once}\n{errors:?}"));
        prop_assert_eq!(&once, &again.normalised(), "from {}", text);

        let differences = crate::compare(&query, &again);
        prop_assert!(
            differences.iter().all(|d| d.class == trivium_model::ChangeClass::Cosmetic),
            "{}\n{}\n{:?}", text, once, differences
        );

        // Written again from the tree, in another layout.
        let written = query.query.to_string().replace("SELECT", "select\n ").replace(" AS ", " as ");
        let written = AuthorQuery::parse("q.sql", &written)
            .unwrap_or_else(|errors| panic!("{text}\n{written}\n{errors:?}"));
        prop_assert_eq!(&once, &written.normalised(), "from {}", text);
    }
}
