//! Put, get, search, delete.

use std::sync::{Arc, atomic::Ordering};

use expect_test::expect;
use serde_json::json;
use trivium_store::{MemoryStore, embedding::EmbeddingIndex as _};

use super::{PRODUCT, World};
use crate::{Options, Stores, tests::fixture::Fixture};

#[tokio::test]
async fn a_mixed_row_is_put_read_and_found() {
    let world = World::new();
    let put = world.put("lamp", r#"{"price":5.5,"stock":3,"picture":[1,0]}"#).await;
    expect![[r#"{"results":[{"outcome":"APPLIED","rev":1700000000000000,"event_time":"2014-01-01T00:00:00Z"}]}"#]]
        .assert_eq(&put);
    let row = world.get("lamp", &["picture", "price", "sound", "stock"]).await;
    assert_eq!(row["values"], json!([[1.0, 0.0], 5.5, null, 3]));
    assert_eq!(row["statuses"], json!(["PRESENT", "PRESENT", "NOT_FOUND", "PRESENT"]));
    world.put("sofa", r#"{"picture":[0,2],"label":"red"}"#).await;
    world.put("desk", r#"{"picture":[3,3],"price":2.0}"#).await;
    let answer = world
        .fixture
        .call(
            "search",
            r#"{"feature":"shop/product@1:picture","vector":[1,0],"k":2,
                "features":["shop/product@1:price","shop/product@1:picture"]}"#,
        )
        .await;
    expect![[r#"{"features":["shop/product@1:price","shop/product@1:picture"],"hits":[{"entity":{"seller":7,"sku":"lamp"},"score":1.0,"rev":1700000000000000,"event_time":"2014-01-01T00:00:00Z","values":[5.5,[1.0,0.0]]},{"entity":{"seller":7,"sku":"desk"},"score":0.70710677,"rev":1700000000000000,"event_time":"2014-01-01T00:00:00Z","values":[2.0,[3.0,3.0]]}],"dropped":0,"is_cut_off":false,"freshness":"a search sees a write after the next refresh of the embedding index; a put with wait_for_search waits for it"}"#]].assert_eq(&answer);
    let like = r#""entity":{"seller":7,"sku":"sofa"},"k":5"#;
    assert_eq!(world.found(like).await, ["desk", "lamp"]);
    world.delete("desk").await;
    assert_eq!(world.found(like).await, ["lamp"]);
    let row = world.get("desk", &["picture"]).await;
    assert_eq!((&row["values"], &row["statuses"]), (&json!([null]), &json!(["NOT_FOUND"])));
    world.settle().await;
    assert_eq!(world.documents("picture").await.len(), 2);
}

/// What is stored holds references; a document carries whose it is and what is filtered by.
#[tokio::test]
async fn documents_carry_subject_metadata_and_the_vector() {
    let world = World::new();
    world.put("lamp", r#"{"price":5.5,"label":"red","tags":["a"],"picture":[1,0.5]}"#).await;
    let [id] = &world.documents("picture").await[..] else { panic!() };
    let spec = world.spec("picture");
    let document =
        world.index.get(&spec, std::slice::from_ref(id), None).await.remove(0).unwrap().unwrap();
    assert_eq!(*document.vector, [1.0, 0.5]);
    assert_eq!(document.subject.as_deref(), Some("shop#seller#i:7"));
    expect![[r#"[("price", Float(5.5)), ("label", Text("red"))]"#]]
        .assert_eq(&format!("{:?}", document.metadata));
}

/// A put of scalars keeps the embedding; one of a scalar that searches filter by moves its document.
#[tokio::test]
async fn scalars_and_filters_never_part() {
    let world = World::new();
    world.put("lamp", r#"{"price":5.5,"tags":["a"],"picture":[1,0]}"#).await;
    let before = world.documents("picture").await;
    world.put("lamp", r#"{"tags":["b"]}"#).await;
    world.settle().await;
    assert_eq!(world.documents("picture").await, before);
    let cheap = r#""vector":[1,0],"k":5,"filter":{"range":{"price":{"lt":3}}}"#;
    assert!(world.found(cheap).await.is_empty());
    world.put("lamp", r#"{"price":2.5}"#).await;
    world.settle().await;
    let after = world.documents("picture").await;
    assert_eq!(after.len(), 1);
    assert_ne!(after, before);
    assert_eq!(world.found(cheap).await, ["lamp"]);
    assert_eq!(world.get("lamp", &["picture", "tags"]).await["values"], json!([[1.0, 0.0], ["b"]]));
    world.put("lamp", r#"{"picture":null}"#).await;
    assert_eq!(world.get("lamp", &["picture"]).await["statuses"], json!(["NULL"]));
    assert!(world.found(cheap).await.is_empty());
}

#[tokio::test]
async fn every_kind_of_filter() {
    let world = World::new();
    let red = r#"{"price":1.5,"stock":3,"label":"red","is_new":true,"since":"2013-05-01","picture":[1,0]}"#;
    world.put("red", red).await;
    let blue = r#"{"price":8,"stock":-2,"label":"blue","is_new":false,"since":"2012-05-01","picture":[1,1]}"#;
    world.put("blue", blue).await;
    world.put("bare", r#"{"picture":[0,1]}"#).await;
    for (filter, expected) in [
        (r#"{"all":[]}"#, &["red", "blue", "bare"][..]),
        (r#"{"equals":{"label":"red"}}"#, &["red"]),
        (r#"{"equals":{"label":"red","stock":-2}}"#, &[]),
        (r#"{"equals":{"is_new":false}}"#, &["blue"]),
        (r#"{"equals":{"since":"2013-05-01"}}"#, &["red"]),
        (r#"{"range":{"since":{"lt":"2013-01-01"}}}"#, &["blue"]),
        (r#"{"range":{"price":{"gte":1.5,"lte":8}}}"#, &["red", "blue"]),
        (r#"{"range":{"price":{"gt":1.5}}}"#, &["blue"]),
        (r#"{"range":{"label":{"gt":"blue"}}}"#, &["red"]),
        (r#"{"all":[{"range":{"stock":{"lt":5}}},{"equals":{"label":"blue"}}]}"#, &["blue"]),
    ] {
        let rest = format!(r#""vector":[1,0],"k":5,"filter":{filter}"#);
        assert_eq!(world.found(&rest).await, expected, "{filter}");
    }
    assert_eq!(world.found(r#""vector":[1,0],"k":5,"min_score":0.5"#).await, ["red", "blue"]);
}

#[tokio::test]
async fn what_has_expired_is_not_found() {
    let world = World::new();
    world.put("lamp", r#"{"picture":[1,0]}"#).await;
    let rest = r#""vector":[1,0],"k":5"#;
    assert_eq!(world.found(rest).await, ["lamp"]);
    world.fixture.data_clock.0.fetch_add(8 * 86_400_000_000, Ordering::SeqCst);
    let answer = world.search(&format!(r#"{{"feature":"shop/product@1:picture",{rest}}}"#)).await;
    assert_eq!((&answer["hits"], &answer["dropped"]), (&json!([]), &json!(1)));
    assert_eq!(world.get("lamp", &["picture"]).await["statuses"], json!(["EXPIRED"]));
}

/// Without an index embeddings stand in the rows, and what is asked of one is refused.
#[tokio::test]
async fn without_an_index_nothing_is_searched() {
    let stores = Stores::of(Arc::new(MemoryStore::new()));
    let fixture = Fixture::on_stores(stores, &[&[PRODUCT]], Options::default());
    let entity = r#""entity":{"seller":7,"sku":"lamp"}"#;
    let row = format!(r#"{{{entity},"values":{{"picture":[0,0]}}}}"#);
    fixture.call("put", &format!(r#"{{"view":"shop/product@1","rows":[{row}]}}"#)).await;
    let body = r#"{"features":["shop/product@1:picture"],"entities":[{"seller":7,"sku":"lamp"}]}"#;
    assert!(fixture.call("get", body).await.contains("[0.0,0.0]"));
    let mut told = String::new();
    for (verb, body) in [
        ("search", r#"{"feature":"shop/product@1:picture","vector":[1,0],"k":1}"#.to_owned()),
        ("put", format!(r#"{{"view":"shop/product@1","wait_for_search":true,"rows":[{row}]}}"#)),
    ] {
        let (status, answer) =
            fixture.post_text(&format!("/v1/features/online/{verb}"), body).await;
        told.push_str(&format!("{} {answer}\n", status.as_u16()));
    }
    expect![[r#"
        422 {"code":"FAILED_PRECONDITION","message":"`shop/product@1:picture` cannot be searched: this server has no embedding index","field":"feature","help":"embeddings are searched where an index is configured; see docs/serving.md"}
        422 {"code":"FAILED_PRECONDITION","message":"no search will see the put: this server has no embedding index","field":"wait_for_search","help":"embeddings are searched where an index is configured; see docs/serving.md"}
    "#]].assert_eq(&told);
}
