use expect_test::{Expect, expect};
use trivium_model::{
    Aggregate, Carryover, DataType, FeatureView, Name, Rollup, TimeSpan, Timestamp, config,
};

use crate::{AuthorQuery, Period, publish::lookback_periods, publish_sql};

fn view() -> FeatureView {
    let mut view = config::parse_view(
        "carrier_daily.v1.json",
        r#"{
            "namespace": "flights", "name": "carrier_daily", "version": 1, "lane": "batch",
            "description": "Punctuality.", "owner": { "team": "ops", "contact": "ops@example.com" },
            "urgency_tier": 2,
            "entities": [ { "name": "carrier", "type": "string" }, { "name": "origin", "type": "string" } ],
            "event_timestamp": "event_ts", "created_timestamp": "created_ts",
            "features": [
                { "name": "flights", "type": "int32", "description": "Departures." },
                { "name": "delay", "type": "float64", "description": "Sum of delays, minutes." },
                { "name": "avg_delay", "type": "float64", "description": "Mean delay, minutes." },
                { "name": "price", "type": { "decimal": { "precision": 10, "scale": 2 } }, "description": "Price." },
                { "name": "tails", "type": { "list": "string" }, "description": "Planes." }
            ],
            "schedule": { "every": "1d", "start": "2013-01-01" }, "online": true
        }"#,
    )
    .unwrap();
    let name = |text| Name::new(text).unwrap();
    view.carryover = Carryover::LastValue { max_periods: 3 };
    view.rollup = Some(Rollup {
        windows: vec![TimeSpan::from_days(7), TimeSpan::from_days(2)],
        features: [
            (name("flights"), Aggregate::Sum),
            (name("price"), Aggregate::Max),
            (name("avg_delay"), Aggregate::Mean { sum: name("delay"), count: name("flights") }),
        ]
        .into_iter()
        .collect(),
    });
    view
}

fn period() -> Period {
    let at = |text| Timestamp::parse(text).unwrap();
    Period::new(at("2013-01-10"), at("2013-01-11"), None).unwrap()
}

fn check(view: &FeatureView, expected: Expect) {
    let sql = publish_sql(view, &period());
    expected.assert_eq(&sql);
    // It is one SELECT with the columns that readers expect, in Spark's dialect.
    let query = AuthorQuery::parse("publish.sql", &sql).unwrap();
    let columns: Vec<&str> =
        query.output_columns().iter().map(|column| column.name.as_str()).collect();
    let mut wanted: Vec<String> =
        view.entities.iter().map(|entity| entity.name.to_string()).collect();
    wanted.push(view.event_timestamp.to_string());
    wanted.extend(view.created_timestamp.iter().map(ToString::to_string));
    wanted.extend(view.served_features().iter().map(|feature| feature.name.to_string()));
    wanted.push("carried_from".to_owned());
    assert_eq!(columns, wanted);
    assert_eq!(query.tables(), ["raw"]);
}

#[test]
fn carryover_and_rollup() {
    assert_eq!(lookback_periods(&view()), 6);
    check(
        &view(),
        expect![[r#"
        WITH newest AS (
          SELECT
            `carrier`, `origin`, `event_ts`, `created_ts`, `flights`, `delay`, `avg_delay`, `price`, `tails`, `_period`,
            row_number() OVER (PARTITION BY `carrier`, `origin` ORDER BY `_period` DESC, `event_ts` DESC, `created_ts` DESC NULLS LAST, `flights` ASC NULLS FIRST, `delay` ASC NULLS FIRST, `avg_delay` ASC NULLS FIRST, `price` ASC NULLS FIRST) AS `_newest`
          FROM raw
          WHERE `_period` >= TIMESTAMP '2013-01-07 00:00:00' AND `_period` <= TIMESTAMP '2013-01-10 00:00:00'
        ),
        windows AS (
          SELECT
            `carrier`, `origin`,
            CAST(sum(CAST(`flights` AS BIGINT)) AS BIGINT) AS `flights_7d`,
            CAST(sum(CAST(CASE WHEN `_period` >= TIMESTAMP '2013-01-09 00:00:00' THEN `flights` END AS BIGINT)) AS BIGINT) AS `flights_2d`,
            max(`price`) AS `price_7d`,
            max(CASE WHEN `_period` >= TIMESTAMP '2013-01-09 00:00:00' THEN `price` END) AS `price_2d`,
            CASE WHEN CAST(sum(CAST(`flights` AS BIGINT)) AS BIGINT) <> 0 THEN CAST(CAST(sum(CAST(`delay` AS DOUBLE)) AS DOUBLE) AS DOUBLE) / CAST(CAST(sum(CAST(`flights` AS BIGINT)) AS BIGINT) AS DOUBLE) END AS `avg_delay_7d`,
            CASE WHEN CAST(sum(CAST(CASE WHEN `_period` >= TIMESTAMP '2013-01-09 00:00:00' THEN `flights` END AS BIGINT)) AS BIGINT) <> 0 THEN CAST(CAST(sum(CAST(CASE WHEN `_period` >= TIMESTAMP '2013-01-09 00:00:00' THEN `delay` END AS DOUBLE)) AS DOUBLE) AS DOUBLE) / CAST(CAST(sum(CAST(CASE WHEN `_period` >= TIMESTAMP '2013-01-09 00:00:00' THEN `flights` END AS BIGINT)) AS BIGINT) AS DOUBLE) END AS `avg_delay_2d`
          FROM raw
          WHERE `_period` >= TIMESTAMP '2013-01-04 00:00:00' AND `_period` <= TIMESTAMP '2013-01-10 00:00:00'
          GROUP BY `carrier`, `origin`
        )
        SELECT
          r.`carrier`,
          r.`origin`,
          CASE WHEN r.`_period` < TIMESTAMP '2013-01-10 00:00:00' THEN TIMESTAMP '2013-01-11 00:00:00' ELSE r.`event_ts` END AS `event_ts`,
          r.`created_ts`,
          r.`flights`,
          r.`delay`,
          r.`avg_delay`,
          r.`price`,
          r.`tails`,
          w.`flights_7d`,
          w.`flights_2d`,
          w.`price_7d`,
          w.`price_2d`,
          w.`avg_delay_7d`,
          w.`avg_delay_2d`,
          CASE WHEN r.`_period` < TIMESTAMP '2013-01-10 00:00:00' THEN r.`_period` ELSE CAST(NULL AS TIMESTAMP) END AS `carried_from`
        FROM newest r
        LEFT JOIN windows w ON r.`carrier` = w.`carrier` AND r.`origin` = w.`origin`
        WHERE r.`_period` = TIMESTAMP '2013-01-10 00:00:00' OR r.`_newest` = 1
    "#]],
    );
}

#[test]
fn carryover_alone() {
    let mut view = view();
    view.rollup = None;
    view.created_timestamp = None;
    assert_eq!(lookback_periods(&view), 3);
    check(
        &view,
        expect![[r#"
        WITH newest AS (
          SELECT
            `carrier`, `origin`, `event_ts`, `flights`, `delay`, `avg_delay`, `price`, `tails`, `_period`,
            row_number() OVER (PARTITION BY `carrier`, `origin` ORDER BY `_period` DESC, `event_ts` DESC, `flights` ASC NULLS FIRST, `delay` ASC NULLS FIRST, `avg_delay` ASC NULLS FIRST, `price` ASC NULLS FIRST) AS `_newest`
          FROM raw
          WHERE `_period` >= TIMESTAMP '2013-01-07 00:00:00' AND `_period` <= TIMESTAMP '2013-01-10 00:00:00'
        )
        SELECT
          r.`carrier`,
          r.`origin`,
          CASE WHEN r.`_period` < TIMESTAMP '2013-01-10 00:00:00' THEN TIMESTAMP '2013-01-11 00:00:00' ELSE r.`event_ts` END AS `event_ts`,
          r.`flights`,
          r.`delay`,
          r.`avg_delay`,
          r.`price`,
          r.`tails`,
          CASE WHEN r.`_period` < TIMESTAMP '2013-01-10 00:00:00' THEN r.`_period` ELSE CAST(NULL AS TIMESTAMP) END AS `carried_from`
        FROM newest r
        WHERE r.`_period` = TIMESTAMP '2013-01-10 00:00:00' OR r.`_newest` = 1
    "#]],
    );
}

#[test]
fn rollup_alone() {
    let mut view = view();
    view.carryover = Carryover::None;
    assert_eq!(lookback_periods(&view), 6);
    check(
        &view,
        expect![[r#"
        WITH windows AS (
          SELECT
            `carrier`, `origin`,
            CAST(sum(CAST(`flights` AS BIGINT)) AS BIGINT) AS `flights_7d`,
            CAST(sum(CAST(CASE WHEN `_period` >= TIMESTAMP '2013-01-09 00:00:00' THEN `flights` END AS BIGINT)) AS BIGINT) AS `flights_2d`,
            max(`price`) AS `price_7d`,
            max(CASE WHEN `_period` >= TIMESTAMP '2013-01-09 00:00:00' THEN `price` END) AS `price_2d`,
            CASE WHEN CAST(sum(CAST(`flights` AS BIGINT)) AS BIGINT) <> 0 THEN CAST(CAST(sum(CAST(`delay` AS DOUBLE)) AS DOUBLE) AS DOUBLE) / CAST(CAST(sum(CAST(`flights` AS BIGINT)) AS BIGINT) AS DOUBLE) END AS `avg_delay_7d`,
            CASE WHEN CAST(sum(CAST(CASE WHEN `_period` >= TIMESTAMP '2013-01-09 00:00:00' THEN `flights` END AS BIGINT)) AS BIGINT) <> 0 THEN CAST(CAST(sum(CAST(CASE WHEN `_period` >= TIMESTAMP '2013-01-09 00:00:00' THEN `delay` END AS DOUBLE)) AS DOUBLE) AS DOUBLE) / CAST(CAST(sum(CAST(CASE WHEN `_period` >= TIMESTAMP '2013-01-09 00:00:00' THEN `flights` END AS BIGINT)) AS BIGINT) AS DOUBLE) END AS `avg_delay_2d`
          FROM raw
          WHERE `_period` >= TIMESTAMP '2013-01-04 00:00:00' AND `_period` <= TIMESTAMP '2013-01-10 00:00:00'
          GROUP BY `carrier`, `origin`
        )
        SELECT
          r.`carrier`,
          r.`origin`,
          r.`event_ts`,
          r.`created_ts`,
          r.`flights`,
          r.`delay`,
          r.`avg_delay`,
          r.`price`,
          r.`tails`,
          w.`flights_7d`,
          w.`flights_2d`,
          w.`price_7d`,
          w.`price_2d`,
          w.`avg_delay_7d`,
          w.`avg_delay_2d`,
          CAST(NULL AS TIMESTAMP) AS `carried_from`
        FROM raw r
        LEFT JOIN windows w ON r.`carrier` = w.`carrier` AND r.`origin` = w.`origin`
        WHERE r.`_period` = TIMESTAMP '2013-01-10 00:00:00'
    "#]],
    );
}

#[test]
fn neither() {
    let mut view = view();
    view.carryover = Carryover::None;
    view.rollup = None;
    assert_eq!(lookback_periods(&view), 0);
    check(
        &view,
        expect![[r#"
        SELECT
          r.`carrier`,
          r.`origin`,
          r.`event_ts`,
          r.`created_ts`,
          r.`flights`,
          r.`delay`,
          r.`avg_delay`,
          r.`price`,
          r.`tails`,
          CAST(NULL AS TIMESTAMP) AS `carried_from`
        FROM raw r
        WHERE r.`_period` = TIMESTAMP '2013-01-10 00:00:00'
    "#]],
    );
}

#[test]
fn sums_are_widened() {
    let mut view = view();
    for (data_type, wide) in [
        (DataType::Int32, "BIGINT"),
        (DataType::Int64, "BIGINT"),
        (DataType::Float32, "DOUBLE"),
        (DataType::Decimal { precision: 10, scale: 2 }, "DECIMAL(38, 2)"),
    ] {
        view.features[0].data_type = data_type;
        let sql = publish_sql(&view, &period());
        assert!(
            sql.contains(&format!(
                "CAST(sum(CAST(`flights` AS {wide})) AS {wide}) AS `flights_7d`"
            )),
            "{sql}"
        );
    }
}

#[test]
fn sketches_are_merged_whatever_their_order() {
    let mut view = view();
    let name = |text| Name::new(text).unwrap();
    view.features[2].data_type = DataType::Int64;
    view.features[4].data_type = DataType::Bytes;
    view.carryover = Carryover::None;
    view.created_timestamp = None;
    view.rollup.as_mut().unwrap().features =
        [(name("avg_delay"), Aggregate::ApproxDistinct { sketch: name("tails") })]
            .into_iter()
            .collect();
    check(
        &view,
        expect![[r#"
        WITH windows AS (
          SELECT
            `carrier`, `origin`,
            CASE WHEN count(`tails`) > 0 THEN hll_sketch_estimate(hll_union(hll_union_agg(`tails`), hll_union_agg(`tails`))) END AS `avg_delay_7d`,
            CASE WHEN count(CASE WHEN `_period` >= TIMESTAMP '2013-01-09 00:00:00' THEN `tails` END) > 0 THEN hll_sketch_estimate(hll_union(hll_union_agg(CASE WHEN `_period` >= TIMESTAMP '2013-01-09 00:00:00' THEN `tails` END), hll_union_agg(CASE WHEN `_period` >= TIMESTAMP '2013-01-09 00:00:00' THEN `tails` END))) END AS `avg_delay_2d`
          FROM raw
          WHERE `_period` >= TIMESTAMP '2013-01-04 00:00:00' AND `_period` <= TIMESTAMP '2013-01-10 00:00:00'
          GROUP BY `carrier`, `origin`
        )
        SELECT
          r.`carrier`,
          r.`origin`,
          r.`event_ts`,
          r.`flights`,
          r.`delay`,
          r.`avg_delay`,
          r.`price`,
          r.`tails`,
          w.`avg_delay_7d`,
          w.`avg_delay_2d`,
          CAST(NULL AS TIMESTAMP) AS `carried_from`
        FROM raw r
        LEFT JOIN windows w ON r.`carrier` = w.`carrier` AND r.`origin` = w.`origin`
        WHERE r.`_period` = TIMESTAMP '2013-01-10 00:00:00'
    "#]],
    );
}
