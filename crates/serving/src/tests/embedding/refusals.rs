//! Bad searches, and puts of vectors that no index takes: each has its own error, the same over REST and
//! gRPC where both can say it.

use std::fmt::Write as _;

use expect_test::expect_file;
use trivium_proto::v1::{
    self as wire, SearchNearestRequest, search_filter::Kind as FilterKind,
    search_nearest_request::Near, value::Kind,
};

use super::World;

/// A good search with one thing replaced.
fn cases() -> Vec<String> {
    let good = r#"{"feature":"shop/product@1:picture","vector":[1,0],"k":3}"#;
    let with = |from: &str, to: &str| {
        assert!(good.contains(from), "{from}");
        good.replace(from, to)
    };
    let filter = |filter: &str| with(r#""k":3"#, &format!(r#""k":3,"filter":{filter}"#));
    let deep = |levels: usize| {
        format!("{}{}{}", r#"{"all":["#.repeat(levels), r#"{"all":[]}"#, "]}".repeat(levels))
    };
    let wide = vec![r#"{"equals":{"stock":1}}"#; 70].join(",");
    vec![
        "{}".to_owned(),
        with("}", r#","limit":1}"#),
        with(r#""shop/product@1:picture""#, "7"),
        with(":picture", ""),
        with(":picture", ":pictures"),
        with(":picture", ":price"),
        with("@1:picture", "@2:picture"),
        with(r#","vector":[1,0]"#, ""),
        with(r#""vector":[1,0]"#, r#""vector":[1,0],"entity":{"seller":7,"sku":"lamp"}"#),
        with("[1,0]", "[1,0,0]"),
        with("[1,0]", "[1]"),
        with("[1,0]", r#"[1,"NaN"]"#),
        with("[1,0]", "[1,1e39]"),
        with("[1,0]", "[1,1e16]"),
        with("[1,0]", "[0,0]"),
        with("[1,0]", r#""near""#),
        with("[1,0]", "null"),
        with(r#","k":3"#, ""),
        with("3}", "0}"),
        with("3}", "1001}"),
        with("3}", "-1}"),
        with("3}", "1.5}"),
        with("3}", r#""3"}"#),
        with(r#""vector":[1,0]"#, r#""entity":{"seller":7,"sku":"nobody"}"#),
        with(r#""vector":[1,0]"#, r#""entity":{"seller":7,"sku":"bare"}"#),
        with(r#""vector":[1,0]"#, r#""entity":{"seller":7}"#),
        with(r#""vector":[1,0]"#, r#""entity":{"seller":"7","sku":"lamp"}"#),
        with(r#""vector":[1,0]"#, r#""entity":{"seller":7,"sku":"lamp","size":1}"#),
        with(r#""vector":[1,0]"#, r#""entity":7"#),
        with("3}", r#"3,"min_score":"high"}"#),
        with("3}", r#"3,"min_score":"NaN"}"#),
        with("3}", r#"3,"min_score":null}"#),
        with("3}", r#"3,"features":"price"}"#),
        with("3}", r#"3,"features":["price"]}"#),
        with("3}", r#"3,"features":["shop/product@1:prise"]}"#),
        with("3}", r#"3,"features":["shop/basket@1:price"]}"#),
        filter("[]"),
        filter("{}"),
        filter(r#"{"equal":{"stock":1}}"#),
        filter(r#"{"equals":{"stock":1},"all":[]}"#),
        filter(r#"{"equals":{}}"#),
        filter(r#"{"equals":{"stok":1}}"#),
        filter(r#"{"equals":{"stock":"1"}}"#),
        filter(r#"{"equals":{"stock":1.5}}"#),
        filter(r#"{"equals":{"stock":null}}"#),
        filter(r#"{"equals":{"price":"NaN"}}"#),
        filter(r#"{"equals":{"tags":["a"]}}"#),
        filter(r#"{"equals":{"picture":[1,0]}}"#),
        filter(r#"{"equals":{"since":"soon"}}"#),
        filter(&format!(r#"{{"equals":{{"label":"{}"}}}}"#, "x".repeat(8_001))),
        filter(r#"{"range":{"price":5}}"#),
        filter(r#"{"range":{"price":{}}}"#),
        filter(r#"{"range":{"price":{"above":1}}}"#),
        filter(r#"{"range":{"price":{"gt":1,"gte":1}}}"#),
        filter(r#"{"range":{"price":{"gt":"1"}}}"#),
        filter(r#"{"range":{"is_new":{"gt":false}}}"#),
        filter(r#"{"all":{"equals":{"stock":1}}}"#),
        filter(r#"{"all":[{"equals":{"stock":1}},{"equals":{"colour":"red"}}]}"#),
        filter(&deep(9)),
        filter(&format!(r#"{{"all":[{wide}]}}"#)),
    ]
}

fn shown(text: &str) -> String {
    if text.len() <= 200 {
        return text.to_owned();
    }
    format!("{}… ({} bytes)", &text[..120], text.len())
}

async fn refused(world: &World, path: &str, body: &str, golden: &mut String) {
    let (status, answer) =
        world.fixture.post_text(&format!("/v1/features/online/{path}"), body.to_owned()).await;
    assert!(status.is_client_error(), "{status} for {}: {answer}", shown(body));
    let error: serde_json::Value = serde_json::from_str(&answer).unwrap();
    let text = |name: &str| error[name].as_str().unwrap();
    let (message, help) = (text("message"), text("help"));
    write!(
        golden,
        "{path} {}\n  {} {} {}\n  {}\n",
        shown(body),
        status.as_u16(),
        text("code"),
        text("field"),
        shown(message)
    )
    .unwrap();
    if !help.is_empty() {
        writeln!(golden, "  {help}").unwrap();
    }
}

#[tokio::test]
async fn each_bad_search_has_its_own_error() {
    let world = World::new();
    world.put("bare", r#"{"price":1}"#).await;
    world.put("lamp", r#"{"picture":[1,1]}"#).await;
    let mut golden = String::new();
    for body in cases() {
        refused(&world, "search", &body, &mut golden).await;
    }
    let put = |values: &str, more: &str| {
        format!(
            r#"{{"view":"shop/product@1","rows":[{{"entity":{{"seller":7,"sku":"a"}},"values":{{"price":1}}}},{{"entity":{{"seller":7,"sku":"a"}},"values":{values}}}]{more}}}"#
        )
    };
    for (values, more) in [
        (r#"{"picture":[0,0]}"#, ""),
        (r#"{"picture":[1]}"#, ""),
        (r#"{"picture":[1,"NaN"]}"#, ""),
        (r#"{"sound":[1,2,1e16]}"#, ""),
        (r#"{"price":1}"#, r#","wait_for_search":1"#),
    ] {
        refused(&world, "put", &put(values, more), &mut golden).await;
    }
    refused(
        &world,
        "delete",
        r#"{"view":"shop/product@1","rows":[],"wait_for_search":true}"#,
        &mut golden,
    )
    .await;
    assert_eq!(world.documents("picture").await.len(), 1);
    expect_file!["./refusals.txt"].assert_eq(&golden);
}

/// The same mistakes over gRPC, told in the same words; and the same answers.
#[tokio::test]
async fn grpc_says_the_same() {
    let world = World::new();
    world.put("lamp", r#"{"price":1.5,"picture":[1,1]}"#).await;
    world.put("sofa", r#"{"label":"red","picture":[1,0]}"#).await;
    let vector = |components: &[f32]| {
        Some(Near::Vector(wire::Embedding { components: components.to_vec() }))
    };
    let good = SearchNearestRequest {
        feature: "shop/product@1:picture".to_owned(),
        near: vector(&[1.0, 0.0]),
        k: 3,
        ..Default::default()
    };
    let equals = |feature: &str, kind: Kind| {
        let value = Some(wire::Value { kind: Some(kind) });
        let equals = wire::SearchEquals { feature: feature.to_owned(), value };
        Some(wire::SearchFilter { kind: Some(FilterKind::Equals(equals)) })
    };
    let range = |feature: &str, from: Option<f64>| {
        let from = from.map(|from| {
            wire::search_range::From::Gte(wire::Value { kind: Some(Kind::Float64(from)) })
        });
        let range = wire::SearchRange { feature: feature.to_owned(), from, to: None };
        Some(wire::SearchFilter { kind: Some(FilterKind::Range(range)) })
    };
    let with = |change: &dyn Fn(&mut SearchNearestRequest)| {
        let mut request = good.clone();
        change(&mut request);
        request
    };
    let rest = |from: &str, to: &str| {
        r#"{"feature":"shop/product@1:picture","vector":[1,0],"k":3}"#.replace(from, to)
    };
    let filter = |filter: &str| rest("3}", &format!(r#"3,"filter":{filter}}}"#));
    for (request, body) in [
        (with(&|r| r.feature = "shop/product@1".to_owned()), rest(":picture", "")),
        (with(&|r| r.feature = "shop/product@1:price".to_owned()), rest(":picture", ":price")),
        (with(&|r| r.near = None), rest(r#","vector":[1,0]"#, "")),
        (with(&|r| r.near = vector(&[0.0, 0.0])), rest("[1,0]", "[0,0]")),
        (with(&|r| r.k = 0), rest("3}", "0}")),
        (with(&|r| r.k = 1_001), rest("3}", "1001}")),
        (with(&|r| r.filter = equals("stok", Kind::Int32(1))), filter(r#"{"equals":{"stok":1}}"#)),
        (
            with(&|r| r.filter = equals("tags", Kind::Bool(true))),
            filter(r#"{"equals":{"tags":true}}"#),
        ),
        (with(&|r| r.filter = range("price", None)), filter(r#"{"range":{"price":{}}}"#)),
        (
            with(&|r| r.features = vec!["shop/basket@1:price".to_owned()]),
            rest("3}", r#"3,"features":["shop/basket@1:price"]}"#),
        ),
    ] {
        let error = world.fixture.online().search_nearest(request).await.unwrap_err();
        let (_, told) = world.fixture.post_text("/v1/features/online/search", body).await;
        let told: serde_json::Value = serde_json::from_str(&told).unwrap();
        assert!(error.message().contains(told["message"].as_str().unwrap()), "{error:?} {told}");
    }
    for (request, body) in [
        (
            with(&|r| {
                r.features =
                    ["price", "label", "picture"].map(|f| format!("shop/product@1:{f}")).to_vec();
            }),
            rest(
                "3}",
                r#"3,"features":["shop/product@1:price","shop/product@1:label","shop/product@1:picture"]}"#,
            ),
        ),
        (
            with(&|r| r.filter = range("price", Some(1.0))),
            filter(r#"{"range":{"price":{"gte":1}}}"#),
        ),
        (
            with(&|r| {
                let key = |kind| wire::KeyValue { kind: Some(kind) };
                let keys = [
                    ("seller".to_owned(), key(wire::key_value::Kind::Int64(7))),
                    ("sku".to_owned(), key(wire::key_value::Kind::String("lamp".to_owned()))),
                ];
                r.near = Some(Near::Entity(wire::SearchEntity { keys: keys.into() }));
            }),
            rest(r#""vector":[1,0]"#, r#""entity":{"seller":7,"sku":"lamp"}"#),
        ),
        (with(&|r| r.min_score = Some(0.9)), rest("3}", r#"3,"min_score":0.9}"#)),
    ] {
        let answer = world.fixture.online().search_nearest(request).await.unwrap().into_inner();
        let told = world.search(&body).await;
        let hits = told["hits"].as_array().unwrap();
        assert_eq!(answer.hits.len(), hits.len(), "{body}");
        assert_eq!(told["dropped"], answer.dropped);
        assert_eq!(told["freshness"], answer.freshness.as_str());
        assert_eq!(told["features"], serde_json::json!(answer.features));
        for (hit, told) in answer.hits.iter().zip(hits) {
            assert_eq!(told["score"].as_f64().unwrap() as f32, hit.score);
            assert_eq!(told["rev"], hit.rev);
            let statuses: Vec<&str> = hit
                .statuses
                .iter()
                .map(|status| wire::Status::try_from(*status).unwrap().as_str_name())
                .collect();
            let none = Vec::new();
            let told = told["statuses"].as_array().unwrap_or(&none);
            assert_eq!(serde_json::json!(statuses), serde_json::json!(told));
        }
    }
}
