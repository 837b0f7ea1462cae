//! What a read says: order, statuses, defaults, ttl, older layouts.

use std::sync::atomic::Ordering;

use expect_test::{Expect, expect};

use super::fixture::{CARRIER_DAILY, Fixture, NOW, VIEWS, snapshot};
use crate::Definitions;

async fn check(fixture: &Fixture, verb: &str, body: &str, expected: Expect) {
    expected.assert_eq(&fixture.call(verb, body).await);
}

async fn with_rows() -> Fixture {
    let fixture = Fixture::new();
    check(
        &fixture,
        "put",
        r#"{"view":"flights/carrier_daily@1","rows":[
            {"entity":{"carrier":"AA","origin":"JFK"},"values":{"flights":38,"avg_dep_delay":4.2},"event_time":"2014-01-01T00:00:00Z"},
            {"entity":{"origin":"LGA","carrier":"UA"},"values":{"flights":7,"avg_dep_delay":null,"note":"a \"b\""},"event_time":"2013-12-31T12:00:00.5Z"}]}"#,
        expect![[r#"{"results":[{"outcome":"APPLIED","rev":1700000000000000,"event_time":"2014-01-01T00:00:00Z"},{"outcome":"APPLIED","rev":1700000000000000,"event_time":"2013-12-31T12:00:00.500Z"}]}"#]],
    )
    .await;
    check(
        &fixture,
        "put",
        r#"{"view":"flights/origin_weather@2","rows":[{"entity":{"origin":"JFK"},"values":{"wind":3.25}}]}"#,
        expect![[r#"{"results":[{"outcome":"APPLIED","rev":1700000000000000,"event_time":"2014-01-01T00:00:00Z"}]}"#]],
    )
    .await;
    fixture
}

#[tokio::test]
async fn the_answer_is_the_documented_one() {
    check(
        &with_rows().await,
        "get",
        r#"{ "features": ["flights/carrier_daily@1:flights", "flights/carrier_daily@1:avg_dep_delay"],
             "entities": [ { "carrier": "AA", "origin": "JFK" }, { "carrier": "ZZ", "origin": "JFK" } ] }"#,
        expect![[r#"{"features":["flights/carrier_daily@1:flights","flights/carrier_daily@1:avg_dep_delay"],"rows":[{"values":[38,4.2],"event_times":{"flights/carrier_daily@1":"2014-01-01T00:00:00Z"},"revs":{"flights/carrier_daily@1":1700000000000000}},{"values":[0,null],"statuses":["NOT_FOUND","NOT_FOUND"]}]}"#]],
    )
    .await;
}

#[tokio::test]
async fn a_service_mixes_views_and_entity_types() {
    check(
        &with_rows().await,
        "get",
        r#"{"service":"flights/delay_model@1","entities":[{"carrier":"AA","origin":"JFK"},{"carrier":"ZZ","origin":"JFK"},{"carrier":"UA","origin":"LGA"}]}"#,
        expect![[r#"{"features":["flights/carrier_daily@1:flights","flights/origin_weather@2:wind"],"rows":[{"values":[38,3.25],"event_times":{"flights/carrier_daily@1":"2014-01-01T00:00:00Z","flights/origin_weather@2":"2014-01-01T00:00:00Z"},"revs":{"flights/carrier_daily@1":1700000000000000,"flights/origin_weather@2":1700000000000000}},{"values":[0,3.25],"statuses":["NOT_FOUND","PRESENT"],"event_times":{"flights/origin_weather@2":"2014-01-01T00:00:00Z"},"revs":{"flights/origin_weather@2":1700000000000000}},{"values":[7,1.5],"statuses":["PRESENT","NOT_FOUND"],"event_times":{"flights/carrier_daily@1":"2013-12-31T12:00:00.500Z"},"revs":{"flights/carrier_daily@1":1700000000000000}}]}"#]],
    )
    .await;
}

#[tokio::test]
async fn order_length_and_duplicates_are_kept() {
    check(
        &with_rows().await,
        "get",
        r#"{"features":["flights/carrier_daily@1:note","flights/origin_weather@2","flights/carrier_daily@1:note","flights/carrier_daily@1"],
            "entities":[{"carrier":"UA","origin":"LGA"},{"carrier":"UA","origin":"LGA"}]}"#,
        expect![[r#"{"features":["flights/carrier_daily@1:note","flights/origin_weather@2:wind","flights/carrier_daily@1:note","flights/carrier_daily@1:flights","flights/carrier_daily@1:avg_dep_delay","flights/carrier_daily@1:note"],"rows":[{"values":["a \"b\"",1.5,"a \"b\"",7,null,"a \"b\""],"statuses":["PRESENT","NOT_FOUND","PRESENT","PRESENT","NULL","PRESENT"],"event_times":{"flights/carrier_daily@1":"2013-12-31T12:00:00.500Z"},"revs":{"flights/carrier_daily@1":1700000000000000}},{"values":["a \"b\"",1.5,"a \"b\"",7,null,"a \"b\""],"statuses":["PRESENT","NOT_FOUND","PRESENT","PRESENT","NULL","PRESENT"],"event_times":{"flights/carrier_daily@1":"2013-12-31T12:00:00.500Z"},"revs":{"flights/carrier_daily@1":1700000000000000}}]}"#]],
    )
    .await;
    check(
        &with_rows().await,
        "get",
        r#"{"features":["flights/carrier_daily@1:note"],"entities":[]}"#,
        expect![[r#"{"features":["flights/carrier_daily@1:note"],"rows":[]}"#]],
    )
    .await;
}

const FLIGHTS_AND_NOTE: &str = r#"{"features":["flights/carrier_daily@1:flights","flights/carrier_daily@1:note"],"entities":[{"carrier":"AA","origin":"JFK"}]}"#;

/// Unset shows the default; the ttl's last microsecond still counts.
#[tokio::test]
async fn unset_and_expired_show_the_default() {
    let fixture = with_rows().await;
    let first = fixture.call("get", FLIGHTS_AND_NOTE).await;
    expect![[r#"{"features":["flights/carrier_daily@1:flights","flights/carrier_daily@1:note"],"rows":[{"values":[38,"none"],"statuses":["PRESENT","NOT_FOUND"],"event_times":{"flights/carrier_daily@1":"2014-01-01T00:00:00Z"},"revs":{"flights/carrier_daily@1":1700000000000000}}]}"#]]
        .assert_eq(&first);
    let ttl = 14 * 86_400_000_000;
    fixture.data_clock.0.store(NOW + ttl, Ordering::SeqCst);
    assert_eq!(fixture.call("get", FLIGHTS_AND_NOTE).await, first);
    fixture.data_clock.0.store(NOW + ttl + 1, Ordering::SeqCst);
    check(
        &fixture,
        "get",
        FLIGHTS_AND_NOTE,
        expect![[r#"{"features":["flights/carrier_daily@1:flights","flights/carrier_daily@1:note"],"rows":[{"values":[0,"none"],"statuses":["EXPIRED","EXPIRED"],"event_times":{"flights/carrier_daily@1":"2014-01-01T00:00:00Z"},"revs":{"flights/carrier_daily@1":1700000000000000}}]}"#]],
    )
    .await;
}

#[tokio::test]
async fn a_deleted_row_is_not_found() {
    let fixture = with_rows().await;
    check(
        &fixture,
        "delete",
        r#"{"view":"flights/carrier_daily@1","rows":[{"entity":{"carrier":"AA","origin":"JFK"}}]}"#,
        expect![[r#"{"results":[{"outcome":"APPLIED","rev":1700000000000001,"event_time":"2014-01-01T00:00:00.000001Z"}]}"#]],
    )
    .await;
    check(
        &fixture,
        "get",
        FLIGHTS_AND_NOTE,
        expect![[r#"{"features":["flights/carrier_daily@1:flights","flights/carrier_daily@1:note"],"rows":[{"values":[0,"none"],"statuses":["NOT_FOUND","NOT_FOUND"]}]}"#]],
    )
    .await;
}

/// `flights` was an int32, and `note` is new: rows from then are read, and merged into.
#[tokio::test]
async fn rows_of_an_older_layout_are_read_and_merged() {
    let older = CARRIER_DAILY.replace(r#""type": "int64""#, r#""type": "int32""#).replace(
        r#""description": "Mean delay." },
    { "name": "note", "type": "string", "description": "Remark.", "default": "none" }"#,
        r#""description": "Mean delay." }"#,
    );
    assert!(!older.contains("note"));
    let fixture = Fixture::new();
    let mut views = VIEWS;
    let was = [older.as_str()];
    views[0] = &was;
    fixture.serving.swap(Definitions::from_snapshot(&snapshot(1, &views)).unwrap());
    fixture
        .call(
            "put",
            r#"{"view":"flights/carrier_daily@1","rows":[{"entity":{"carrier":"AA","origin":"JFK"},"values":{"flights":38,"avg_dep_delay":4.2}}]}"#,
        )
        .await;
    let both = [older.as_str(), CARRIER_DAILY];
    views[0] = &both;
    fixture.serving.swap(Definitions::from_snapshot(&snapshot(2, &views)).unwrap());
    check(
        &fixture,
        "get",
        FLIGHTS_AND_NOTE,
        expect![[r#"{"features":["flights/carrier_daily@1:flights","flights/carrier_daily@1:note"],"rows":[{"values":[38,"none"],"statuses":["PRESENT","NOT_FOUND"],"event_times":{"flights/carrier_daily@1":"2014-01-01T00:00:00Z"},"revs":{"flights/carrier_daily@1":1700000000000000}}]}"#]],
    )
    .await;
    fixture
        .call(
            "put",
            r#"{"view":"flights/carrier_daily@1","rows":[{"entity":{"carrier":"AA","origin":"JFK"},"values":{"note":"new"}}]}"#,
        )
        .await;
    check(
        &fixture,
        "get",
        r#"{"features":["flights/carrier_daily@1"],"entities":[{"carrier":"AA","origin":"JFK"}]}"#,
        expect![[r#"{"features":["flights/carrier_daily@1:flights","flights/carrier_daily@1:avg_dep_delay","flights/carrier_daily@1:note"],"rows":[{"values":[38,4.2,"new"],"event_times":{"flights/carrier_daily@1":"2014-01-01T00:00:00.000001Z"},"revs":{"flights/carrier_daily@1":1700000000000001}}]}"#]],
    )
    .await;
}

/// Defaults are read with the definitions of the request, not with those of the write.
#[tokio::test]
async fn definitions_are_swapped_as_a_whole() {
    let fixture = with_rows().await;
    let changed = CARRIER_DAILY.replace(r#""default": "none""#, r#""default": "other""#);
    let mut views = VIEWS;
    let history = [changed.as_str()];
    views[0] = &history;
    fixture.serving.swap(Definitions::from_snapshot(&snapshot(2, &views)).unwrap());
    check(
        &fixture,
        "get",
        r#"{"features":["flights/carrier_daily@1:note"],"entities":[{"carrier":"AA","origin":"JFK"}]}"#,
        expect![[r#"{"features":["flights/carrier_daily@1:note"],"rows":[{"values":["other"],"statuses":["NOT_FOUND"],"event_times":{"flights/carrier_daily@1":"2014-01-01T00:00:00Z"},"revs":{"flights/carrier_daily@1":1700000000000000}}]}"#]],
    )
    .await;
}

#[tokio::test]
async fn every_key_type_names_one_row() {
    let fixture = Fixture::new();
    let entity = r#"{"k_string":"a|b#é","k_int64":"9223372036854775807","k_bool":true,"k_bytes":"AP8=","k_date":"2013-01-01","k_timestamp":"2013-01-01T00:00:00.000001Z"}"#;
    fixture
        .call(
            "put",
            &format!(
                r#"{{"view":"shop/every_key@1","rows":[{{"entity":{entity},"values":{{"x":1}}}}]}}"#
            ),
        )
        .await;
    let answer = fixture
        .call(
            "get",
            &format!(
                r#"{{"features":["shop/every_key@1:x"],"entities":[{entity},{}]}}"#,
                entity.replace("true", "false")
            ),
        )
        .await;
    let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
    assert_eq!(answer["rows"][0]["values"][0], 1);
    assert_eq!(answer["rows"][1]["statuses"][0], "NOT_FOUND");
}
