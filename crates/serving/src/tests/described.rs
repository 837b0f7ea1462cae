//! The OpenAPI description and the code say the same.

use serde_json::Value as Json;

use super::fixture::Fixture;

fn schema<'a>(document: &'a Json, name: &str) -> &'a Json {
    &document["components"]["schemas"][name]
}

#[tokio::test]
async fn every_described_field_is_taken() {
    let fixture = Fixture::new();
    let document = serde_json::to_value(crate::openapi()).unwrap();
    let answer = fixture.call("get", &schema(&document, "OnlineGet")["example"].to_string()).await;
    assert!(answer.contains("NOT_FOUND"), "{answer}");
    for (verb, row) in [("put", "OnlinePutRow"), ("delete", "OnlineDeleteRow")] {
        let fields: Vec<&String> =
            schema(&document, row)["properties"].as_object().unwrap().keys().collect();
        assert!(fields.len() >= 5, "{fields:?}");
        for field in fields {
            let body = format!(r#"{{"view":"shop/every_type@1","rows":[{{"{field}":{{}}}}]}}"#);
            let (status, answer) =
                fixture.post_text(&format!("/v1/features/online/{verb}"), body).await;
            assert!(status.is_client_error() && !answer.contains("unknown field"), "{answer}");
        }
    }
    for (schema_name, verb) in [("OnlineSearch", "search"), ("OnlinePut", "put")] {
        for field in schema(&document, schema_name)["properties"].as_object().unwrap().keys() {
            let body = format!(r#"{{"{field}":{{}}}}"#);
            let (status, answer) =
                fixture.post_text(&format!("/v1/features/online/{verb}"), body).await;
            assert!(status.is_client_error() && !answer.contains("unknown field"), "{answer}");
        }
    }
    let (_, refused) = fixture.post_text("/v1/features/online/get", "{}").await;
    let refused: Json = serde_json::from_str(&refused).unwrap();
    for field in schema(&document, "Error")["properties"].as_object().unwrap().keys() {
        assert!(refused.get(field).is_some(), "{field}");
    }
}

#[test]
fn every_route_is_described() {
    let document = serde_json::to_value(crate::openapi()).unwrap();
    let paths: Vec<&String> = document["paths"].as_object().unwrap().keys().collect();
    assert_eq!(
        paths,
        [
            "/v1/features/online/delete",
            "/v1/features/online/get",
            "/v1/features/online/put",
            "/v1/features/online/search",
            "/v1/subjects/erase",
            "/v1/subjects/erasure"
        ]
    );
}
