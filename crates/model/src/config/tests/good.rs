//! Configs that are right, and what is read from them.

use expect_test::expect;

use super::{SERVICE, SERVICE_PATH, VIEW, VIEW_PATH, check, check_service, edited, lines, view};
use crate::config::{ConfigKind, check_project, check_project_with, parse_service, parse_view};
use crate::{
    Aggregate, Carryover, FeatureService, FeatureView, Lane, QualityRule, Rollup, TimeSpan,
    Timestamp, Value,
};

#[test]
fn the_samples_are_right() {
    check(&[], expect![[""]]);
    check_service(&[], expect![[""]]);
}

#[test]
fn a_window_of_sketches_is_a_number() {
    let view = view(&[
        (
            r#"{ "name": "late", "type": "bool", "description": "Whether late." }"#,
            r#"{ "name": "planes_sketch", "type": "bytes", "description": "Sketch of planes." }"#,
        ),
        (
            r#""flights": "sum""#,
            r#""flights": { "approx_distinct": { "sketch": "planes_sketch" } }"#,
        ),
    ]);
    let rollup = view.rollup.as_ref().unwrap();
    assert_eq!(rollup.sketches(), ["planes_sketch"]);
    let served: Vec<String> =
        view.served_features().iter().map(|f| format!("{} {}", f.name, f.data_type)).collect();
    assert_eq!(served[6..9], ["planes_sketch bytes", "flights_7d int64", "flights_30d int64"]);
    let json = serde_json::to_value(rollup).unwrap();
    assert_eq!(json["features"]["flights"]["approx_distinct"]["sketch"], "planes_sketch");
    assert_eq!(serde_json::from_value::<Rollup>(json).unwrap(), *rollup);
}

#[test]
fn a_view_says_what_its_config_says() {
    let view = view(&[]);
    assert_eq!(view.reference().to_string(), "flights/carrier_daily@1");
    assert_eq!(view.lane, Lane::Batch);
    assert_eq!(view.entity_type(), "carrier+origin");
    let schedule = view.schedule.as_ref().unwrap();
    assert_eq!(schedule.every, TimeSpan::DAY);
    assert_eq!(schedule.start, Timestamp::parse("2013-01-01").unwrap());
    assert_eq!(view.ttl, Some(TimeSpan::from_days(14)));
    assert_eq!(view.carryover, Carryover::LastValue { max_periods: 7 });
    assert_eq!(view.feature("flights").unwrap().default, Some(Value::Int64(0)));
    assert_eq!(view.feature("fare").unwrap().default, Some(Value::Decimal(150)));
    let list = Value::List(vec![Value::String("LAX".into()), Value::Null]);
    assert_eq!(view.feature("dests").unwrap().default, Some(list));
    let rollup = view.rollup.as_ref().unwrap();
    assert!(matches!(rollup.features.get("avg_delay"), Some(Aggregate::Mean { .. })));
    let served: Vec<String> =
        view.served_features().iter().map(|f| format!("{} {}", f.name, f.data_type)).collect();
    assert_eq!(
        served[7..],
        ["flights_7d int64", "flights_30d int64", "avg_delay_7d float64", "avg_delay_30d float64"]
    );
    let QualityRule::AcceptedValues { values, .. } = &view.quality[4].rule else { panic!() };
    assert_eq!(values.len(), 3);
    assert!(view.online);
}

#[test]
fn the_design_sample_is_right() {
    let text = r#"{
  "$schema": "../../schemas/feature-view.v1.json",
  "namespace": "flights", "name": "carrier_daily", "version": 1, "lane": "batch",
  "description": "Punctuality of a carrier at an origin airport, by day.",
  "owner": { "team": "ops-ml", "contact": "ops-ml@example.com" },
  "urgency_tier": 2,
  "entities": [ { "name": "carrier", "type": "string" }, { "name": "origin", "type": "string" } ],
  "event_timestamp": "event_ts",
  "subject": null,
  "features": [
    { "name": "flights", "type": "int64", "description": "Departures.", "default": 0 },
    { "name": "avg_dep_delay", "type": "float64", "description": "Mean departure delay, minutes." }
  ],
  "schedule": { "every": "1d", "start": "2013-01-01" },
  "ttl": "14d",
  "carryover": { "mode": "last_value", "max_periods": 7 },
  "rollup": { "windows": ["7d", "30d"], "features": { "flights": "sum" } },
  "online": true,
  "quality": [ { "check": "row_count", "min": 1 },
               { "check": "between", "column": "avg_dep_delay", "min": -120, "max": 3000, "severity": "warn" } ],
  "tags": ["punctuality"]
}"#;
    parse_view(VIEW_PATH, text).unwrap();
}

#[test]
fn optional_fields_may_be_null_or_absent() {
    let absent = view(&[
        ("  \"created_timestamp\": \"created_ts\",\n", ""),
        ("  \"time_zone\": \"America/New_York\",\n", ""),
        ("  \"ttl\": \"14d\",\n", ""),
        ("  \"online\": true,\n", ""),
    ]);
    let null = view(&[
        ("\"created_ts\"", "null"),
        ("\"America/New_York\"", "null"),
        ("\"14d\"", "null"),
        ("\"online\": true", "\"online\": null"),
    ]);
    assert_eq!(absent, null);
    assert!(absent.online && absent.ttl.is_none());
}

#[test]
fn defaults_keep_their_type() {
    let default = |data_type: &str, json: &str| {
        let new = format!("\"type\": {data_type}, \"default\": {json}, \"description\"");
        let view = view(&[("\"type\": \"bool\", \"description\"", &new)]);
        view.feature("late").unwrap().default.clone()
    };
    assert_eq!(default("\"int64\"", "\"9223372036854775807\""), Some(Value::Int64(i64::MAX)));
    assert_eq!(default("\"int64\"", "-9223372036854775808"), Some(Value::Int64(i64::MIN)));
    assert_eq!(default("\"float64\"", "0.1"), Some(Value::Float64(0.1)));
    assert_eq!(default("\"float64\"", "5"), Some(Value::Float64(5.0)));
    assert_eq!(default("\"float32\"", "0.1"), Some(Value::Float32(0.1)));
    assert!(matches!(default("\"float64\"", "\"NaN\""), Some(Value::Float64(v)) if v.is_nan()));
    assert!(
        matches!(default("\"float64\"", "-0.0"), Some(Value::Float64(v)) if v.is_sign_negative())
    );
    assert_eq!(default("\"bytes\"", "\"AP8=\""), Some(Value::Bytes(vec![0, 255])));
    assert_eq!(default("\"date\"", "\"1970-01-02\""), Some(Value::Date(1)));
    let second = Some(Value::Timestamp(Timestamp(1_000_000)));
    assert_eq!(default("\"timestamp\"", "\"1970-01-01T01:00:01+01:00\""), second);
    assert_eq!(
        default("{\"decimal\": {\"precision\": 3, \"scale\": 1}}", "7"),
        Some(Value::Decimal(70))
    );
    assert_eq!(default("\"string\"", "\"\""), Some(Value::String(String::new())));
    assert_eq!(default("\"string\"", "null"), None);
}

#[test]
fn periods_that_align() {
    for (every, start) in [
        ("1m", "2013-01-01T00:07:00Z"),
        ("15m", "2013-01-01T06:45:00Z"),
        ("1h", "2013-01-01T05:00:00+01:00"),
        ("8h", "2013-01-01"),
        ("1d", "1969-12-31"),
        ("24h", "2013-01-01"),
        ("1w", "2013-01-07"),
    ] {
        let new = format!("\"every\": \"{every}\", \"start\": \"{start}\"");
        let windows = format!("\"windows\": [\"{every}\"]");
        view(&[
            ("\"every\": \"1d\", \"start\": \"2013-01-01\"", &new),
            ("\"windows\": [\"7d\", \"30d\"]", &windows),
        ]);
    }
}

#[test]
fn other_lanes_have_no_schedule() {
    for lane in ["stream", "direct"] {
        let text = edited(VIEW, &[("\"lane\": \"batch\"", &format!("\"lane\": \"{lane}\""))]);
        let from = text.find("  \"schedule\"").unwrap();
        let to = text.find("  \"online\"").unwrap();
        let text = format!("{}{}", &text[..from], &text[to..]);
        assert!(parse_view(VIEW_PATH, &text).unwrap().schedule.is_none());
    }
}

#[test]
fn what_is_read_survives_being_stored() {
    let edits = [
        ("\"default\": \"1.50\"", "\"default\": \"-99999999.99\""),
        ("\"type\": \"bool\", ", "\"type\": \"float64\", \"default\": \"NaN\", "),
        ("\"min\": -120", "\"min\": -0.1234567890123456789"),
        (
            "\"column\": \"origin\", \"values\": [\"JFK\", \"LGA\", \"EWR\"]",
            "\"column\": \"fare\", \"values\": [\"0.10\", 3]",
        ),
    ];
    let before = view(&edits);
    let text = serde_json::to_string(&before).unwrap();
    let after: FeatureView = serde_json::from_str(&text).unwrap();
    assert_eq!(format!("{before:?}"), format!("{after:?}"));
    assert_eq!(crate::config::classify_view(&before, &after), []);
    let before = parse_service(SERVICE_PATH, SERVICE).unwrap();
    let text = serde_json::to_string(&before).unwrap();
    assert_eq!(serde_json::from_str::<FeatureService>(&text).unwrap(), before);
}

#[test]
fn a_path_says_the_kind() {
    assert_eq!(ConfigKind::of_path("a/b.v1.json"), Some(ConfigKind::View));
    assert_eq!(ConfigKind::of_path("a/b.v1.service.json"), Some(ConfigKind::Service));
    assert_eq!(ConfigKind::of_path("a/b.v1.sql"), None);
}

fn project(view_edits: &[(&str, &str)], service_edits: &[(&str, &str)]) -> String {
    let service_text = edited(SERVICE, service_edits);
    let other_path = "configs/flights/other.v1.json";
    let other_text = edited(VIEW, &[("\"carrier_daily\"", "\"other\"")]);
    let other_text = edited(&other_text, view_edits);
    let views = [
        (VIEW_PATH.to_owned(), view(&[])),
        (other_path.to_owned(), parse_view(other_path, &other_text).unwrap()),
    ];
    let services = [(SERVICE_PATH.to_owned(), parse_service(SERVICE_PATH, &service_text).unwrap())];
    let text_of = |path: &str| match path {
        VIEW_PATH => Some(VIEW),
        SERVICE_PATH => Some(service_text.as_str()),
        _ => Some(other_text.as_str()),
    };
    let found = check_project_with(&views, &services, &text_of);
    assert_eq!(found.len(), check_project(&views, &services).len());
    lines(&found)
}

#[test]
fn files_of_a_project_agree() {
    expect![[""]].assert_eq(&project(&[], &[]));
    expect![[r#"
        configs/flights/other.v1.json:12:33: error[key-type-conflict]: join key `origin` is int64 here and string in `configs/flights/carrier_daily.v1.json`, one name has one type in the namespace `flights`: use string, or another name
    "#]].assert_eq(&project(
        &[
            ("\"origin\", \"type\": \"string\"", "\"origin\", \"type\": \"int64\""),
            ("\"values\": [\"JFK\", \"LGA\", \"EWR\"]", "\"values\": [1]"),
        ],
        &[],
    ));
    expect![[r#"
        configs/flights/delay_model.v1.service.json:8:43: error[unknown-feature]: flights/carrier_daily@1 has no feature `flights_8d`, did you mean `flights_7d`?
    "#]]
        .assert_eq(&project(&[], &[("carrier_daily@1:flights_7d", "carrier_daily@1:flights_8d")]));
    expect![[r#"
        configs/flights/delay_model.v1.service.json:8:43: error[unknown-view]: the view flights/carrier_daily@2 does not exist, its versions: `carrier_daily@1`
    "#]]
        .assert_eq(&project(&[], &[("carrier_daily@1:flights_7d", "carrier_daily@2:flights_7d")]));
    expect![[r#"
        configs/flights/delay_model.v1.service.json:8:43: error[unknown-view]: the view flights/carier_daily@1 does not exist, did you mean `carrier_daily`?
    "#]]
        .assert_eq(&project(&[], &[("carrier_daily@1:flights_7d", "carier_daily@1:flights_7d")]));
    expect![[r#"
        configs/flights/delay_model.v1.service.json:8:43: warning[not-online]: flights/other@1 is not served online, set its `online` to true, or read it from history only
    "#]].assert_eq(&project(
        &[("\"online\": true", "\"online\": false")],
        &[("carrier_daily@1:flights_7d", "other@1:flights_7d")],
    ));
}

#[test]
fn a_version_is_defined_once() {
    let views = [(VIEW_PATH.to_owned(), view(&[])), ("elsewhere.json".to_owned(), view(&[]))];
    let service = parse_service(SERVICE_PATH, SERVICE).unwrap();
    let services = [(SERVICE_PATH.to_owned(), service.clone()), ("twice.json".to_owned(), service)];
    expect![[r#"
        elsewhere.json:1:1: error[duplicate-version]: flights/carrier_daily@1 is defined in `configs/flights/carrier_daily.v1.json` too, keep one, or make this version 2
        twice.json:1:1: error[duplicate-version]: flights/delay_model@1 is defined in `configs/flights/delay_model.v1.service.json` too, keep one, or make this version 2
    "#]].assert_eq(&lines(&check_project(&views, &services)));
}
