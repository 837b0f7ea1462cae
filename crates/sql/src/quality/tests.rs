use expect_test::expect;
use trivium_model::{
    FeatureView, Name, QualityCheck, QualityRule, Severity, TimeSpan, Timestamp, Value, config,
};

use super::Number;
use crate::{AuthorQuery, Period, evaluate, quality_sql};

fn view(rules: Vec<QualityRule>) -> FeatureView {
    let mut view = config::parse_view(
        "carrier_daily.v1.json",
        r#"{
            "namespace": "flights", "name": "carrier_daily", "version": 1, "lane": "batch",
            "description": "Punctuality.", "owner": { "team": "ops", "contact": "ops@example.com" },
            "urgency_tier": 2,
            "entities": [ { "name": "carrier", "type": "string" } ],
            "event_timestamp": "event_ts",
            "features": [
                { "name": "flights", "type": "int64", "description": "Departures." },
                { "name": "avg_delay", "type": "float64", "description": "Mean delay, minutes." }
            ],
            "schedule": { "every": "1d", "start": "2013-01-01" }, "online": true
        }"#,
    )
    .unwrap();
    view.quality =
        rules.into_iter().map(|rule| QualityCheck { rule, severity: Severity::Warn }).collect();
    view
}

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

fn period() -> Period {
    let at = |text| Timestamp::parse(text).unwrap();
    Period::new(at("2013-01-10"), at("2013-01-11"), None).unwrap()
}

fn all_rules() -> Vec<QualityRule> {
    vec![
        QualityRule::RowCount { min: Some(2), max: None },
        QualityRule::NotNull { column: name("flights") },
        QualityRule::Unique { columns: vec![name("carrier")] },
        QualityRule::Between { column: name("avg_delay"), min: Some(-120.5), max: Some(3000.0) },
        QualityRule::Between { column: name("flights"), min: Some(0.0), max: None },
        QualityRule::AcceptedValues {
            column: name("carrier"),
            values: vec![Value::String("AA".to_owned()), Value::String("it's".to_owned())],
        },
        QualityRule::Freshness { max_age: TimeSpan::from_days(1) },
        QualityRule::NullFraction { column: name("avg_delay"), max: 0.25 },
    ]
}

#[test]
fn the_query() {
    let query = quality_sql(&view(all_rules()), &period());
    expect![[r#"
        SELECT
          a.`c0_failing`,
          a.`c0_low`,
          a.`c0_high`,
          a.`c1_failing`,
          a.`c1_low`,
          a.`c1_high`,
          a.`c2_failing`,
          a.`c2_low`,
          a.`c2_high`,
          a.`c3_failing`,
          a.`c3_low`,
          a.`c3_high`,
          u4.`c4_failing`,
          u4.`c4_low`,
          u4.`c4_high`,
          a.`c5_failing`,
          a.`c5_low`,
          a.`c5_high`,
          a.`c6_failing`,
          a.`c6_low`,
          a.`c6_high`,
          a.`c7_failing`,
          a.`c7_low`,
          a.`c7_high`,
          a.`c8_failing`,
          a.`c8_low`,
          a.`c8_high`,
          a.`c9_failing`,
          a.`c9_low`,
          a.`c9_high`
        FROM (
          SELECT
            count(CASE WHEN `carrier` IS NULL THEN 1 END) AS `c0_failing`,
            CAST(NULL AS BIGINT) AS `c0_low`,
            CAST(NULL AS BIGINT) AS `c0_high`,
            count(CASE WHEN `event_ts` IS NULL THEN 1 END) AS `c1_failing`,
            CAST(NULL AS BIGINT) AS `c1_low`,
            CAST(NULL AS BIGINT) AS `c1_high`,
            count(*) AS `c2_failing`,
            CAST(NULL AS BIGINT) AS `c2_low`,
            CAST(NULL AS BIGINT) AS `c2_high`,
            count(CASE WHEN `flights` IS NULL THEN 1 END) AS `c3_failing`,
            CAST(NULL AS BIGINT) AS `c3_low`,
            CAST(NULL AS BIGINT) AS `c3_high`,
            count(CASE WHEN isnan(`avg_delay`) OR CAST(`avg_delay` AS DOUBLE) < (-1.205E2) OR CAST(`avg_delay` AS DOUBLE) > 3E3 THEN 1 END) AS `c5_failing`,
            min(CAST(`avg_delay` AS DOUBLE)) AS `c5_low`,
            max(CAST(`avg_delay` AS DOUBLE)) AS `c5_high`,
            count(CASE WHEN `flights` < CAST('0' AS BIGINT) THEN 1 END) AS `c6_failing`,
            min(CAST(`flights` AS DOUBLE)) AS `c6_low`,
            max(CAST(`flights` AS DOUBLE)) AS `c6_high`,
            count(CASE WHEN `carrier` IS NOT NULL AND `carrier` NOT IN ('AA', CAST(X'69742773' AS STRING)) THEN 1 END) AS `c7_failing`,
            CAST(NULL AS BIGINT) AS `c7_low`,
            CAST(NULL AS BIGINT) AS `c7_high`,
            count(*) AS `c8_failing`,
            max(`event_ts`) AS `c8_low`,
            CAST(NULL AS BIGINT) AS `c8_high`,
            count(CASE WHEN `avg_delay` IS NULL THEN 1 END) AS `c9_failing`,
            count(*) AS `c9_low`,
            CAST(NULL AS BIGINT) AS `c9_high`
          FROM staged
        ) a
        CROSS JOIN (
          SELECT
            coalesce(sum(g.`_rows`), CAST(0 AS BIGINT)) AS `c4_failing`,
            count(*) AS `c4_low`,
            CAST(NULL AS BIGINT) AS `c4_high`
          FROM (SELECT `carrier`, count(*) AS `_rows` FROM staged GROUP BY `carrier` HAVING count(*) > 1) g
        ) u4
    "#]].assert_eq(&query.sql);
    let parsed = AuthorQuery::parse("quality.sql", &query.sql).unwrap();
    assert_eq!(parsed.tables(), ["staged"]);
    assert_eq!(parsed.output_columns().len(), query.checks.len() * 3);
    for (at, column) in parsed.output_columns().iter().enumerate() {
        assert!(column.name.starts_with(&format!("c{}_", at / 3)), "{}", column.name);
    }
}

#[test]
fn only_unique_still_counts() {
    let query =
        quality_sql(&view(vec![QualityRule::Unique { columns: vec![name("carrier")] }]), &period());
    AuthorQuery::parse("quality.sql", &query.sql).unwrap();
}

#[test]
fn results() {
    let query = quality_sql(&view(all_rules()), &period());
    let int = |value: i64| Some(Number::Integer(value));
    let noon = Timestamp::parse("2013-01-09T12:00:00Z").unwrap().0;
    let good = [
        [int(0), None, None],
        [int(0), None, None],
        [int(4), None, None],
        [int(0), None, None],
        [int(0), int(0), None],
        [int(0), Some(Number::Float(-3.5)), Some(Number::Float(20.0))],
        [int(0), Some(Number::Float(1.0)), Some(Number::Float(9.0))],
        [int(0), None, None],
        [int(4), int(period().end.0), None],
        [int(1), int(4), None],
    ];
    let results = evaluate(&query, good.as_flattened()).unwrap();
    assert!(results.iter().all(|result| result.passed && result.failing_rows == 0), "{results:?}");

    let bad = [
        [int(1), None, None],
        [int(0), None, None],
        [int(1), None, None],
        [int(1), None, None],
        [int(2), int(1), None],
        [int(3), Some(Number::Float(-500.0)), Some(Number::Float(f64::NAN))],
        [int(2), Some(Number::Float(-1.0)), Some(Number::Float(9.0))],
        [int(1), None, None],
        [int(1), int(noon), None],
        [int(1), int(1), None],
    ];
    let shown: Vec<String> = evaluate(&query, bad.as_flattened())
        .unwrap()
        .iter()
        .map(|result| {
            let columns: Vec<&str> = result.columns.iter().map(Name::as_str).collect();
            format!(
                "{} {}({}) {:?}: {} rows, saw {}, wanted {}",
                if result.passed { "ok" } else { "FAILED" },
                result.check,
                columns.join(", "),
                result.severity,
                result.failing_rows,
                result.observed,
                result.expected,
            )
        })
        .collect();
    expect![[r#"
        FAILED not_null(carrier) Error: 1 rows, saw 1 nulls, wanted no null
        ok not_null(event_ts) Error: 0 rows, saw 0 nulls, wanted no null
        FAILED row_count() Warn: 1 rows, saw 1 rows, wanted rows at least 2
        FAILED not_null(flights) Warn: 1 rows, saw 1 nulls, wanted no null
        FAILED unique(carrier) Warn: 2 rows, saw 1 repeated values, wanted no two rows with the same values
        FAILED between(avg_delay) Warn: 3 rows, saw -500 to NaN, wanted values between -120.5 and 3000
        FAILED between(flights) Warn: 2 rows, saw -1 to 9, wanted values at least 0
        FAILED accepted_values(carrier) Warn: 1 rows, saw 1 rows with other values, wanted one of "AA", "it's"
        FAILED freshness() Warn: 1 rows, saw 36h old, wanted newest row at most 1d before the period's end
        FAILED null_fraction(avg_delay) Warn: 1 rows, saw 1, wanted at most 0.25 of the rows null"#]].assert_eq(&shown.join("\n"));

    let empty = [[int(0), None, None]; 10];
    let results = evaluate(&query, empty.as_flattened()).unwrap();
    let failed: Vec<&str> =
        results.iter().filter(|result| !result.passed).map(|result| result.check).collect();
    assert_eq!(failed, ["row_count", "freshness"]);

    assert!(evaluate(&query, &[None]).is_err());
}
