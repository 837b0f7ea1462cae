//! Bad requests over REST: each is answered with its own specific error, never a 5xx, and changes
//! nothing.

use std::sync::Arc;

use axum::{body::Body, http::Request};
use expect_test::expect_file;
use trivium_store::MemoryStore;

use super::fixture::Fixture;
use crate::limits;

const GET: &str = "/v1/features/online/get";
const PUT: &str = "/v1/features/online/put";
const DELETE: &str = "/v1/features/online/delete";

/// Path and body of each bad request.
fn cases() -> Vec<(&'static str, String)> {
    let get = |text: &str| (GET, text.to_owned());
    let put = |text: &str| (PUT, text.to_owned());
    // A good put with one thing replaced.
    let put_with = |from: &str, to: &str| {
        let good = r#"{"view":"shop/every_type@1","rows":[{"entity":{"user_id":1},"values":{"f_int64":1}}]}"#;
        assert!(good.contains(from), "{from}");
        (PUT, good.replace(from, to))
    };
    let value = |feature: &str, json: &str| {
        (
            PUT,
            format!(
                r#"{{"view":"shop/every_type@1","rows":[{{"entity":{{"user_id":1}},"values":{{"f_bool":true}}}},{{"entity":{{"user_id":1}},"values":{{"{feature}":{json}}}}}]}}"#
            ),
        )
    };
    let entity =
        |json: &str| (GET, format!(r#"{{"features":["shop/every_key@1:x"],"entities":[{json}]}}"#));
    let key = |name: &str, json: &str| {
        let mut keys = vec![
            ("k_string", r#""a""#),
            ("k_int64", "1"),
            ("k_bool", "true"),
            ("k_bytes", r#""AA==""#),
            ("k_date", r#""2013-01-01""#),
            ("k_timestamp", r#""2013-01-01T00:00:00Z""#),
        ];
        for (known, text) in &mut keys {
            if *known == name {
                *text = json;
            }
        }
        let fields: Vec<String> =
            keys.iter().map(|(name, text)| format!("\"{name}\":{text}")).collect();
        entity(&format!("{{{}}}", fields.join(",")))
    };
    let many = |count: usize, item: &str| vec![item; count].join(",");

    vec![
        get(""),
        get("{"),
        get("nonsense"),
        get("[]"),
        get("null"),
        get(r#"{"features":["flights/carrier_daily@1:flights"],"entities":[{}]} x"#),
        get(r#"{"features":["flights/carrier_daily@1:flights"]}"#),
        get(r#"{"entities":[]}"#),
        get(r#"{"features":[],"entities":[]}"#),
        get(r#"{"features":null,"entities":[]}"#),
        get(r#"{"feature":["flights/carrier_daily@1:flights"],"entities":[]}"#),
        get(r#"{"features":["flights/carrier_daily@1:flights"],"entities":[],"entities":[]}"#),
        get(r#"{"features":"flights/carrier_daily@1:flights","entities":[]}"#),
        get(r#"{"features":[1],"entities":[]}"#),
        get(r#"{"features":["flights/carrier_daily@1:flights"],"service":"flights/delay_model@1","entities":[]}"#),
        get(r#"{"features":["flights"],"entities":[]}"#),
        get(r#"{"features":["flights/carrier_daily:flights"],"entities":[]}"#),
        get(r#"{"features":["flights/carrier_daily@01:flights"],"entities":[]}"#),
        get(r#"{"features":["flights/carrier_daily@1:Flights!"],"entities":[]}"#),
        get(r#"{"features":["flights/carrier_daily@1:flight"],"entities":[]}"#),
        get(r#"{"features":["flights/carrier_daily@2:flights"],"entities":[]}"#),
        get(r#"{"features":["flights/carier_daily@1"],"entities":[]}"#),
        get(r#"{"features":["flights/offline_only@1:x"],"entities":[]}"#),
        get(r#"{"features":["flights/offline_only@1"],"entities":[]}"#),
        get(r#"{"features":["flights/carrier_daily@1:flights","flights/origin_weather@2:wnd"],"entities":[]}"#),
        get(r#"{"features":["flights/carrier_daily@1:flights","shop/other_origin@1:x"],"entities":[]}"#),
        get(r#"{"service":"flights/delay_model@2","entities":[]}"#),
        get(r#"{"service":"delay_model","entities":[]}"#),
        get(r#"{"service":7,"entities":[]}"#),
        get(r#"{"service":"flights/delay_model@1","entities":[],"consistency":null}"#),
        get(r#"{"service":"flights/delay_model@1","entities":[],"consistency":"cached"}"#),
        get(r#"{"service":"flights/delay_model@1","entities":[],"consistency":{"cached":{}}}"#),
        get(r#"{"service":"flights/delay_model@1","entities":[],"consistency":{"cached":{"max_staleness_ms":-1}}}"#),
        get(r#"{"service":"flights/delay_model@1","entities":[],"consistency":{"cached":{"max_staleness_ms":"1s"}}}"#),
        get(r#"{"features":["flights/carrier_daily@1:flights"],"entities":{}}"#),
        get(r#"{"features":["flights/carrier_daily@1:flights"],"entities":[1]}"#),
        get(r#"{"features":["flights/carrier_daily@1:flights"],"entities":[{"carrier":"AA"}]}"#),
        get(r#"{"features":["flights/carrier_daily@1:flights"],"entities":[{"carrier":"AA","origin":"JFK"},{"carrier":"AA","orign":"JFK"}]}"#),
        get(r#"{"features":["flights/carrier_daily@1:flights"],"entities":[{"carrier":"AA","origin":"JFK","carrier":"UA"}]}"#),
        get(r#"{"features":["flights/carrier_daily@1:flights"],"entities":[{"carrier":5,"origin":"JFK"}]}"#),
        get(r#"{"features":["flights/carrier_daily@1:flights"],"entities":[{"carrier":null,"origin":"JFK"}]}"#),
        get(r#"{"features":["flights/carrier_daily@1:flights"],"entities":[{"carrier":["AA"],"origin":"JFK"}]}"#),
        get(r#"{"features":["flights/carrier_daily@1:flights"],"entities":[{"carrier":{"x":1},"origin":"JFK"}]}"#),
        (GET, format!(r#"{{"features":["flights/origin_weather@2:wind"],"entities":[{{"origin":"{}"}}]}}"#, "x".repeat(2049))),
        (GET, format!(r#"{{"features":["flights/origin_weather@2:wind"],"entities":[{}]}}"#, many(limits::ENTITIES_MAX + 1, r#"{"origin":"J"}"#))),
        (GET, format!(r#"{{"features":[{}],"entities":[]}}"#, many(limits::FEATURES_MAX + 1, r#""flights/origin_weather@2:wind""#))),
        (GET, format!(r#"{{"features":[{}],"entities":[{}]}}"#, many(limits::FEATURES_MAX, r#""flights/origin_weather@2:wind""#), many(251, r#"{"origin":"J"}"#))),
        key("k_int64", r#""5""#),
        key("k_int64", "1.5"),
        key("k_int64", "9223372036854775808"),
        key("k_bool", r#""true""#),
        key("k_bool", "1"),
        key("k_bytes", r#""?""#),
        key("k_date", r#""2013-02-30""#),
        key("k_date", "15706"),
        key("k_timestamp", r#""yesterday""#),
        key("k_string", "5"),
        put(r#"{"rows":[]}"#),
        put(r#"{"view":"shop/every_type@1"}"#),
        put(r#"{"view":"shop/every_type@1","rows":[],"row":1}"#),
        put_with("every_type", "evry_type"),
        put_with("shop/every_type@1", "shop/every_type@1:f_int64"),
        put_with("shop/every_type@1", "flights/offline_only@1"),
        put_with(r#""entity":{"user_id":1},"#, ""),
        put_with(r#","values":{"f_int64":1}"#, ""),
        put_with(r#"{"f_int64":1}"#, "{}"),
        put_with(r#"{"f_int64":1}"#, "[]"),
        put_with(r#"{"f_int64":1}"#, r#"{"f_int64":1,"f_int64":2}"#),
        put_with("user_id", "userid"),
        put_with(r#"{"user_id":1}"#, "{}"),
        put_with(r#"{"user_id":1}"#, r#"{"user_id":"1"}"#),
        put_with(r#""values""#, r#""event_time":"2099-01-01T00:00:00Z","values""#),
        put_with(r#""values""#, r#""event_time":"2014-01-02T00:00:00.000001Z","values""#),
        put_with(r#""values""#, r#""event_time":1388534400,"values""#),
        put_with(r#""values""#, r#""event_time":null,"values""#),
        put_with(r#""values""#, r#""event_time":"soon","values""#),
        put_with(r#""values""#, r#""if_rev":-1,"values""#),
        put_with(r#""values""#, r#""if_rev":1.5,"values""#),
        put_with(r#""values""#, r#""if_rev":null,"values""#),
        put_with(r#""values""#, r#""sequence":3,"values""#),
        put_with(r#""values""#, r#""idempotency_key":"","values""#),
        put_with(r#""values""#, r#""idempotency_key":7,"values""#),
        put_with(r#""values""#, &format!(r#""idempotency_key":"{}","values""#, "k".repeat(65))),
        put_with(r#""values""#, r#""ifrev":1,"values""#),
        value("f_intt64", "1"),
        value("f_bool", "1"),
        value("f_int32", "2147483648"),
        value("f_int32", "1.0"),
        value("f_int64", "9223372036854775808"),
        value("f_int64", r#""5""#),
        value("f_int64", "1e3"),
        value("f_float32", "1e39"),
        value("f_float64", "1e400"),
        value("f_float64", r#""nan""#),
        value("f_string", "1"),
        value("f_bytes", r#""not base64!""#),
        value("f_timestamp", "0"),
        value("f_date", r#""2013-13-01""#),
        value("f_decimal", "1.5"),
        value("f_decimal", r#""1.555""#),
        value("f_decimal", r#""123456789.00""#),
        value("f_list", "1"),
        value("f_list", r#"[1,"x"]"#),
        value("f_vector", "[1.0]"),
        value("f_vector", r#"[1.0,"NaN"]"#),
        value("f_string", &format!("\"{}\"", "x".repeat(limits::VALUE_BYTES_MAX + 1))),
        (PUT, format!(r#"{{"view":"shop/every_type@1","rows":[{}]}}"#, many(limits::WRITE_ROWS_MAX + 1, r#"{"entity":{"user_id":1},"values":{"f_int64":1}}"#))),
        (DELETE, r#"{"view":"shop/every_type@1","rows":[{"entity":{"user_id":1},"values":{}}]}"#.to_owned()),
        (DELETE, r#"{"view":"shop/every_type@1","rows":[{"entity":{}}]}"#.to_owned()),
        (DELETE, r#"{"view":"shop/every_type@1","rows":[{}]}"#.to_owned()),
        (DELETE, r#"{"view":"shop/nothing@1","rows":[]}"#.to_owned()),
        (DELETE, r#"{"view":"shop/every_type@1","rows":[{"entity":{"user_id":1},"event_time":"2099-01-01"}]}"#.to_owned()),
    ]
}

/// Shortened for the golden file.
fn shown(text: &str) -> String {
    if text.len() <= 200 {
        text.to_owned()
    } else {
        format!("{}… ({} bytes)", &text[..120], text.len())
    }
}

#[tokio::test]
async fn each_bad_request_has_its_own_error() {
    let store = Arc::new(MemoryStore::new());
    let fixture = Fixture::on(store.clone());
    let mut golden = String::new();
    for (path, body) in cases() {
        let (status, answer) = fixture.post_text(path, body.clone()).await;
        assert!(status.is_client_error(), "{status} for {}: {answer}", shown(&body));
        let error: serde_json::Value = serde_json::from_str(&answer).unwrap();
        let mut fields: Vec<&String> = error.as_object().unwrap().keys().collect();
        fields.sort();
        assert_eq!(fields, ["code", "field", "help", "message"], "{answer}");
        let text = |name: &str| error[name].as_str().unwrap().to_owned();
        assert!(!text("message").is_empty());
        let lines = [
            format!("{} {}", path.rsplit('/').next().unwrap(), shown(&body)),
            format!("  {} {} {}", status.as_u16(), text("code"), text("field")),
            format!("  {}", shown(&text("message"))),
            format!("  {}", text("help")),
        ];
        for line in lines.iter().map(|line| line.trim_end()).filter(|line| !line.is_empty()) {
            golden.push_str(line);
            golden.push('\n');
        }
    }
    assert!(store.is_empty(), "a refused request changed something");
    expect_file!["./refusals.txt"].assert_eq(&golden);
}

#[tokio::test]
async fn what_is_wrong_outside_the_body_has_the_same_shape() {
    let fixture = Fixture::new();
    let request = |method: &str, path: &str, content_type: &str| {
        let builder = Request::builder().method(method).uri(path);
        let builder = if content_type.is_empty() {
            builder
        } else {
            builder.header("content-type", content_type)
        };
        builder.body(Body::from("{}")).unwrap()
    };
    let mut golden = String::new();
    for (method, path, content_type) in [
        ("POST", GET, ""),
        ("POST", GET, "text/plain"),
        ("POST", PUT, "application/x-www-form-urlencoded"),
        ("GET", GET, "application/json"),
        ("DELETE", DELETE, "application/json"),
        ("POST", "/v1/features/online/fetch", "application/json"),
        ("GET", "/", ""),
    ] {
        let (status, answer) = fixture.send(request(method, path, content_type)).await;
        let asked = format!("{method} {path} {content_type}");
        golden.push_str(&format!("{}\n  {} {answer}\n", asked.trim_end(), status.as_u16()));
    }
    for (path, bytes) in [(GET, limits::READ_BODY_BYTES_MAX), (PUT, limits::WRITE_BODY_BYTES_MAX)] {
        let (status, answer) = fixture.post_text(path, vec![b' '; bytes + 1]).await;
        golden.push_str(&format!(
            "POST {path} {} bytes\n  {} {answer}\n",
            bytes + 1,
            status.as_u16()
        ));
    }
    expect_file!["./refusals_outside.txt"].assert_eq(&golden);
}
