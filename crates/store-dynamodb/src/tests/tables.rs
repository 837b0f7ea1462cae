//! Making tables and refusing wrong ones.

use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType,
};
use trivium_store::{Error as StoreError, OnlineRead as _, ReadOptions};

use super::support::{SERVER, key, new_table_name, open, options};
use crate::{DynamoStore, Error, Options};

#[tokio::test]
async fn init_is_repeatable_and_check_finds_it_right() {
    let store = open(options(&new_table_name(), SERVER.server().port()));
    let error = store.check().await.unwrap_err();
    assert!(matches!(error, Error::NoTable { .. }), "{error}");
    let (one, other) = tokio::join!(store.init(), store.init());
    one.unwrap();
    other.unwrap();
    store.init().await.unwrap();
    store.check().await.unwrap();
}

#[tokio::test]
async fn a_wrong_table_is_refused_with_all_that_is_wrong() {
    let name = new_table_name();
    let store = open(options(&name, SERVER.server().port()));
    let key = |name: &str, kind| {
        KeySchemaElement::builder().attribute_name(name).key_type(kind).build().unwrap()
    };
    let attribute = |name: &str, kind| {
        AttributeDefinition::builder().attribute_name(name).attribute_type(kind).build().unwrap()
    };
    let made = store
        .0
        .first
        .client
        .create_table()
        .table_name(&name)
        .billing_mode(BillingMode::PayPerRequest);
    made.key_schema(key("pk", KeyType::Hash))
        .key_schema(key("version", KeyType::Range))
        .attribute_definitions(attribute("pk", ScalarAttributeType::S))
        .attribute_definitions(attribute("version", ScalarAttributeType::N))
        .send()
        .await
        .unwrap();
    let error = store.check().await.unwrap_err().to_string();
    for part in [
        name.as_str(),
        "its key is `pk S HASH, version N RANGE`, not `pk S HASH, sk S RANGE`",
        "no global secondary index `subject`",
        "time to live is not enabled on `expires_at`",
    ] {
        assert!(error.contains(part), "{error}");
    }
    assert!(matches!(store.init().await, Err(Error::Schema { .. })), "init mends no table");
}

#[tokio::test]
async fn a_missing_table_and_a_missing_server_are_told_apart() {
    // A first request may find the server still warming up.
    let port = SERVER.server().port();
    assert!(matches!(open(options("no-such", port)).check().await, Err(Error::NoTable { .. })));
    // Tried again until the limit: long enough for one answer on a busy machine.
    let no_table = open(Options { limit_ms: 3_000, ..options("no-such", port) });
    let rows = no_table.get(&[key("v", 1)], &ReadOptions::default()).await;
    let [Err(StoreError::Unavailable(why))] = &rows[..] else { panic!("{rows:?}") };
    assert!(why.contains("ResourceNotFound"), "{why}");

    let nobody = open(Options { limit_ms: 300, ..options("table", 1) });
    let error = nobody.check().await.unwrap_err();
    assert!(matches!(error, Error::Store { source: StoreError::Unavailable(_), .. }), "{error:?}");
    assert!(error.to_string().contains("`table`"), "{error}");
}

#[test]
fn options_are_read_strictly_and_checked() {
    let read = |text| serde_json::from_str::<Options>(text);
    assert_eq!(read(r#"{"table": "rows", "region": "r"}"#).unwrap(), Options::new("rows", "r"));
    assert!(read(r#"{"table": "rows", "region": "r", "secret": "x"}"#).is_err());
    let good = options("rows", 8000);
    let wrong = [
        ("table", Options { table: "a b".to_owned(), ..good.clone() }),
        ("region", Options { region: String::new(), ..good.clone() }),
        ("limit_ms", Options { limit_ms: 0, ..good.clone() }),
        ("grace_seconds", Options { grace_seconds: 10, ..good.clone() }),
        ("endpoint", Options { endpoint: Some("localhost:8000".to_owned()), ..good.clone() }),
        #[cfg(not(feature = "tls"))]
        ("endpoint", Options { endpoint: None, ..good.clone() }),
    ];
    for (expected, options) in wrong {
        match DynamoStore::new(options) {
            Err(Error::Option { option, .. }) => assert_eq!(option, expected),
            other => panic!("{expected}: {other:?}"),
        }
    }
    DynamoStore::new(good).unwrap();
}
