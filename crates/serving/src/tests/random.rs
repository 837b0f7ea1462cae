//! No body, however odd, gives a 5xx or a panic.

use axum::body::Body;
use proptest::{prelude::*, test_runner::Config};
use serde_json::{Value as Json, json};

use super::fixture::Fixture;

/// Words that requests are made of, so that random ones come deep into the code.
fn word() -> impl Strategy<Value = String> {
    prop::sample::select(vec![
        "features",
        "entities",
        "service",
        "view",
        "rows",
        "entity",
        "values",
        "event_time",
        "if_rev",
        "idempotency_key",
        "sequence",
        "flights/carrier_daily@1:flights",
        "flights/carrier_daily@1",
        "shop/every_type@1",
        "shop/every_key@1:x",
        "flights/delay_model@1",
        "user_id",
        "carrier",
        "origin",
        "f_int64",
        "f_string",
        "f_list",
        "f_vector",
        "2013-01-01",
        "JFK",
        "",
        "é\u{0}\"",
    ])
    .prop_map(str::to_owned)
}

fn any_json() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        any::<i64>().prop_map(Json::from),
        any::<f64>().prop_map(Json::from),
        word().prop_map(Json::from),
        any::<String>().prop_map(Json::from),
    ];
    leaf.prop_recursive(4, 64, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Json::from),
            prop::collection::vec((word(), inner), 0..6)
                .prop_map(|entries| Json::Object(entries.into_iter().collect())),
        ]
    })
}

/// Requests of the right shape with random parts in them.
fn near_request() -> impl Strategy<Value = Json> {
    let features =
        prop::collection::vec(prop_oneof![word().prop_map(Json::from), any_json()], 0..4);
    let object = || {
        prop::collection::vec((word(), any_json()), 0..4)
            .prop_map(|entries| Json::Object(entries.into_iter().collect()))
    };
    prop_oneof![
        (features, prop::collection::vec(object(), 0..3))
            .prop_map(|(features, entities)| json!({ "features": features, "entities": entities })),
        (object(), object(), any_json(), any_json()).prop_map(
            |(entity, values, time, rev)| json!({
                "view": "shop/every_type@1",
                "rows": [{ "entity": entity, "values": values, "event_time": time, "if_rev": rev }],
            })
        ),
    ]
}

fn check(bodies: Vec<Vec<u8>>) -> Result<(), TestCaseError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let fixture = Fixture::new();
        for body in bodies {
            for verb in ["get", "put", "delete"] {
                let path = format!("/v1/features/online/{verb}");
                let (status, answer) = fixture.post_text(&path, Body::from(body.clone())).await;
                prop_assert!(!status.is_server_error(), "{} {}", status, answer);
                prop_assert!(serde_json::from_str::<Json>(&answer).is_ok(), "{}", answer);
            }
        }
        Ok(())
    })
}

proptest! {
    #![proptest_config(Config { cases: 256, ..Config::default() })]

    #[test]
    fn random_json(body in any_json()) {
        check(vec![body.to_string().into_bytes()])?;
    }

    #[test]
    fn requests_with_random_parts(body in near_request()) {
        check(vec![body.to_string().into_bytes()])?;
    }

    #[test]
    fn random_bytes(body in any::<Vec<u8>>()) {
        check(vec![body])?;
    }

    /// A good request with a byte changed, cut or doubled.
    #[test]
    fn broken_requests(at in 0usize..200, byte in any::<u8>(), how in 0u8..3) {
        let mut body = br#"{"view":"shop/every_type@1","rows":[{"entity":{"user_id":1},"values":{"f_int64":1,"f_list":[1,null]},"event_time":"2013-01-01T00:00:00Z","if_rev":0,"idempotency_key":"k"}]}"#.to_vec();
        let at = at % body.len();
        match how {
            0 => body[at] = byte,
            1 => body.truncate(at),
            _ => body.insert(at, byte),
        }
        check(vec![body])?;
    }
}
