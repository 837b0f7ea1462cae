use super::*;

fn unknown(sql: &str) -> Vec<(String, (u32, u32))> {
    let query = AuthorQuery::parse("a.sql", sql).unwrap();
    query.unknown_functions().into_iter().map(|call| (call.name, call.position)).collect()
}

#[test]
fn the_list_is_sorted_and_has_what_the_checks_know() {
    assert!(NAMES.is_sorted() && NAMES.len() > 400, "{}", NAMES.len());
    assert!(LIST.starts_with("# The functions of Spark "), "{LIST:.60}");
    let known = functions::AGGREGATES.iter().chain(&functions::GENERATORS);
    let missing: Vec<&&str> = known.filter(|name| !has_function(name)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn what_spark_does_not_have_is_told_wherever_it_stands() {
    let sql = "WITH a AS (SELECT k, conut(*) AS n FROM t GROUP BY k)\n\
               SELECT k, Sum(n) AS n, lenght(upper(k)) AS l,\n\
               mine.score(k) AS s, row_nubmer() OVER (ORDER BY k) AS r\n\
               FROM a WHERE trmi(k) <> '' ORDER BY soundx(k)";
    assert_eq!(
        unknown(sql),
        [
            ("conut".to_owned(), (1, 22)),
            ("lenght".to_owned(), (2, 24)),
            ("row_nubmer".to_owned(), (3, 21)),
            ("trmi".to_owned(), (4, 14)),
            ("soundx".to_owned(), (4, 37)),
        ]
    );
}

#[test]
fn what_the_grammar_knows_is_no_unknown_function() {
    let sql = "SELECT CAST(a AS INT) AS a, trim(BOTH 'x' FROM b) AS b, position('x' IN b) AS c,\n\
               extract(YEAR FROM d) AS d, timestampdiff(DAY, d, e) AS e, substring(b FROM 2) AS f,\n\
               percentile_cont(0.5) WITHIN GROUP (ORDER BY a) AS g, named_struct('a', a) AS h,\n\
               IF(a > 1, 1, 2) AS i, struct(a, b) AS j, COALESCE(a, 1) AS k, first(a) AS l,\n\
               dateadd(DAY, 1, d) AS m, try_cast(b AS INT) AS n, char(65) AS o, ceil(a) AS p\n\
               FROM t";
    assert_eq!(unknown(sql), []);
}

#[test]
fn the_nearest_name_is_named() {
    assert_eq!(nearest_function("conut"), Some("count"));
    assert_eq!(nearest_function("zzz"), None);
}
