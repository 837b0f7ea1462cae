//! Rows of other times: with the embedding in themselves, of an older schema, and without the index that
//! they name documents of.

use std::sync::Arc;

use serde_json::json;
use trivium_codec::{RowEncoder, ValueRef};
use trivium_model::{KeyValue, Lane, Timestamp};
use trivium_store::{
    Condition, DoorOp, DoorRequest, DoorRow, MemoryIndex, MemoryStore, Order, WriteDoor as _,
    WriteId, WriteOutcome,
};

use super::{PRODUCT, World, product_before};
use crate::{
    Options, Stores,
    tests::fixture::{Fixture, NOW},
};

fn on(rows: &Arc<MemoryStore>, index: Option<&Arc<MemoryIndex>>, history: &[&str]) -> World {
    let mut stores = Stores::of(Arc::clone(rows));
    if let Some(index) = index {
        stores = stores.with_embeddings(index.clone());
    }
    let fixture = Fixture::on_stores(stores, &[history], Options::default());
    let index = index.map_or_else(Arc::default, Arc::clone);
    World { fixture, index }
}

#[tokio::test]
async fn rows_from_before_the_index_stay_readable() {
    let (rows, index) = (Arc::new(MemoryStore::new()), Arc::new(MemoryIndex::new()));
    let before = on(&rows, None, &[PRODUCT]);
    before.put("lamp", r#"{"price":1,"picture":[1,2]}"#).await;
    let with = on(&rows, Some(&index), &[PRODUCT]);
    let near = r#""vector":[1,2],"k":5"#;
    assert_eq!(with.get("lamp", &["picture", "price"]).await["values"], json!([[1.0, 2.0], 1.0]));
    assert!(with.found(near).await.is_empty());
    with.put("desk", r#"{"picture":[0,1]}"#).await;
    let like = r#""entity":{"seller":7,"sku":"lamp"},"k":5"#;
    assert_eq!(with.found(like).await, ["desk"]);
    // Any put moves the embedding into the index.
    with.put("lamp", r#"{"tags":["x"]}"#).await;
    assert_eq!(with.found(near).await, ["lamp", "desk"]);
    assert_eq!(with.get("lamp", &["picture", "price"]).await["values"], json!([[1.0, 2.0], 1.0]));
    // Without the index again: an error, never bytes or a default; scalars are there.
    let without = on(&rows, None, &[PRODUCT]);
    let read = without.get("lamp", &["picture"]).await;
    assert_eq!((&read["values"], &read["statuses"]), (&json!([null]), &json!(["ERROR"])));
    assert_eq!(without.get("lamp", &["price"]).await["values"], json!([1.0]));
    let told = without.put("lamp", r#"{"price":2}"#).await;
    assert!(told.contains("FAILED"), "{told}");
    assert_eq!(with.get("lamp", &["picture", "price"]).await["values"], json!([[1.0, 2.0], 1.0]));
}

#[tokio::test]
async fn rows_of_an_older_schema_name_documents_too() {
    let (rows, index) = (Arc::new(MemoryStore::new()), Arc::new(MemoryIndex::new()));
    let older = product_before();
    let before = on(&rows, Some(&index), &[&older]);
    before.put("lamp", r#"{"price":1,"picture":[1,2]}"#).await;
    let now = on(&rows, Some(&index), &[&older, PRODUCT]);
    let read = now.get("lamp", &["picture", "sound", "price"]).await;
    assert_eq!(read["values"], json!([[1.0, 2.0], null, 1.0]));
    assert_eq!(now.found(r#""vector":[1,2],"k":5"#).await, ["lamp"]);
    now.put("lamp", r#"{"since":"2013-05-01","sound":[1,2,3]}"#).await;
    let filter = r#""vector":[1,2],"k":5,"filter":{"equals":{"since":"2013-05-01"}}"#;
    assert_eq!(now.found(filter).await, ["lamp"]);
    let read = now.get("lamp", &["picture", "sound"]).await;
    assert_eq!(read["values"], json!([[1.0, 2.0], [1.0, 2.0, 3.0]]));
}

/// Pipelines write whole rows, encoded under the view's own schema; retractions put older ones back.
#[tokio::test]
async fn whole_rows_of_pipelines() {
    let world = World::new();
    let definitions = world.fixture.serving.definitions();
    let view = definitions.view("shop/product@1", "").unwrap();
    let schema = view.layouts.current();
    let encoded = |price: f64| {
        let vector = [price as f32, 1.0];
        let mut slots: Vec<Option<ValueRef<'_>>> = vec![None; schema.fields().len()];
        slots[schema.index_of("price").unwrap()] = Some(ValueRef::Float64(price));
        slots[schema.index_of("picture").unwrap()] =
            Some(ValueRef::Embedding(trivium_codec::EmbeddingRef::new(&vector)));
        RowEncoder::new(schema).encode(Lane::Direct, &slots).unwrap()
    };
    let write = async |op: DoorOp, order: Order, id: u128| {
        let entity = vec![KeyValue::Int64(7), KeyValue::String("lamp".to_owned())];
        let (condition, write_id) = (Condition::None, WriteId(id));
        let row = DoorRow { entity, op, order, condition, write_id };
        let request = DoorRequest {
            view: view.reference.clone(),
            lane: Lane::Direct,
            rows: vec![row],
            deadline: None,
        };
        world.fixture.serving.write(request).await.unwrap().remove(0)
    };
    let put = |price| DoorOp::PutRow { row: encoded(price), schema: schema.fingerprint() };
    let at = |time: i64| Order::At { event_time: Timestamp(time), sequence: Some(1) };
    assert!(matches!(write(put(1.0), at(NOW - 9), 9).await, Ok(WriteOutcome::Applied(_))));
    let read = async || world.get("lamp", &["price", "picture"]).await["values"].clone();
    assert_eq!(read().await, json!([1.0, [1.0, 1.0]]));
    let cheap = r#""vector":[1,1],"k":1,"filter":{"equals":{"price":1}}"#;
    assert_eq!(world.found(cheap).await, ["lamp"]);
    // The same write again is told success, another one of the past is superseded.
    assert!(matches!(write(put(5.0), at(NOW - 20), 9).await, Ok(WriteOutcome::Applied(_))));
    world.put_with("lamp", r#"{"picture":[8,8]}"#, r#","event_time":"2014-01-01T00:00:00Z""#).await;
    assert!(matches!(write(put(2.0), at(NOW - 20), 10).await, Ok(WriteOutcome::Superseded(_))));
    let replacing = Order::Replacing {
        event_time: Timestamp(NOW),
        sequence: 0,
        new_event_time: Timestamp(NOW - 9),
        new_sequence: 1,
    };
    assert!(matches!(write(put(3.0), replacing, 11).await, Ok(WriteOutcome::Applied(_))));
    assert_eq!(read().await, json!([3.0, [3.0, 1.0]]));
    let replacing = Order::Replacing {
        event_time: Timestamp(NOW - 9),
        sequence: 1,
        new_event_time: Timestamp(NOW - 30),
        new_sequence: 1,
    };
    assert!(matches!(write(DoorOp::Delete, replacing, 12).await, Ok(WriteOutcome::Applied(_))));
    world.settle().await;
    assert!(world.documents("picture").await.is_empty());
}
