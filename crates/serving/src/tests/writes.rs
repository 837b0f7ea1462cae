//! What a write does: partial puts, order, conditions, idempotency, concurrency, the door.

use std::sync::Arc;

use expect_test::expect;
use trivium_codec::{RowEncoder, ValueRef};
use trivium_model::{KeyValue, Lane, Timestamp};
use trivium_store::{
    Condition, DoorError, DoorOp, DoorRequest, DoorRow, MemoryStore, Order, WriteDoor, WriteId,
    WriteOutcome,
};

use super::fixture::{Fixture, NOW};

fn put_row(rest: &str) -> String {
    format!(
        r#"{{"view":"flights/carrier_daily@1","rows":[{{"entity":{{"carrier":"AA","origin":"JFK"}},{rest}}}]}}"#
    )
}

const READ: &str =
    r#"{"features":["flights/carrier_daily@1"],"entities":[{"carrier":"AA","origin":"JFK"}]}"#;

async fn values(fixture: &Fixture) -> String {
    let answer: serde_json::Value = serde_json::from_str(&fixture.call("get", READ).await).unwrap();
    answer["rows"][0]["values"].to_string()
}

async fn outcome(fixture: &Fixture, verb: &str, body: &str) -> String {
    let answer: serde_json::Value = serde_json::from_str(&fixture.call(verb, body).await).unwrap();
    answer["results"][0]["outcome"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_put_names_what_it_sets_and_null_is_set() {
    let fixture = Fixture::new();
    fixture.call("put", &put_row(r#""values":{"flights":1}"#)).await;
    fixture.call("put", &put_row(r#""values":{"note":"x"}"#)).await;
    assert_eq!(values(&fixture).await, r#"[1,null,"x"]"#);
    fixture.call("put", &put_row(r#""values":{"flights":null,"avg_dep_delay":-0.0}"#)).await;
    assert_eq!(values(&fixture).await, r#"[null,-0.0,"x"]"#);
}

#[tokio::test]
async fn what_is_older_is_superseded_and_a_correction_replaces() {
    let fixture = Fixture::new();
    let at = |time: &str, flights: u32, sequence: &str| {
        put_row(&format!(r#""values":{{"flights":{flights}}},"event_time":"{time}"{sequence}"#))
    };
    assert_eq!(outcome(&fixture, "put", &at("2013-06-02T00:00:00Z", 2, "")).await, "APPLIED");
    assert_eq!(outcome(&fixture, "put", &at("2013-06-01T00:00:00Z", 1, "")).await, "SUPERSEDED");
    assert_eq!(values(&fixture).await, r#"[2,null,"none"]"#.replace("2,", "0,"), "expired by now");
    fixture.data_clock.0.store(1_370_131_200_000_000, std::sync::atomic::Ordering::SeqCst);
    assert_eq!(values(&fixture).await, r#"[2,null,"none"]"#);
    // The later call of one event time wins; a named sequence that is not higher loses.
    assert_eq!(outcome(&fixture, "put", &at("2013-06-02T00:00:00Z", 3, "")).await, "APPLIED");
    assert_eq!(values(&fixture).await, r#"[3,null,"none"]"#);
    let same = r#","sequence":1"#;
    assert_eq!(outcome(&fixture, "put", &at("2013-06-02T00:00:00Z", 4, same)).await, "SUPERSEDED");
    let higher = r#","sequence":2"#;
    assert_eq!(outcome(&fixture, "put", &at("2013-06-02T00:00:00Z", 5, higher)).await, "APPLIED");
    assert_eq!(values(&fixture).await, r#"[5,null,"none"]"#);
}

/// A delete without an event time is later than what it deletes, even than a future row.
#[tokio::test]
async fn a_later_call_wins_over_a_row_of_the_future() {
    let fixture = Fixture::new();
    fixture
        .call("put", &put_row(r#""values":{"flights":1},"event_time":"2014-01-01T20:00:00Z""#))
        .await;
    fixture.call("put", &put_row(r#""values":{"flights":2}"#)).await;
    assert_eq!(values(&fixture).await, r#"[2,null,"none"]"#);
    let delete =
        r#"{"view":"flights/carrier_daily@1","rows":[{"entity":{"carrier":"AA","origin":"JFK"}}]}"#;
    assert_eq!(outcome(&fixture, "delete", delete).await, "APPLIED");
    // And what is older than the delete stays away.
    let late = put_row(r#""values":{"flights":3},"event_time":"2014-01-01T20:00:00Z""#);
    assert_eq!(outcome(&fixture, "put", &late).await, "SUPERSEDED");
    assert_eq!(values(&fixture).await, r#"[0,null,"none"]"#);
}

#[tokio::test]
async fn if_rev_compares_with_the_live_row() {
    let fixture = Fixture::new();
    assert_eq!(
        outcome(&fixture, "put", &put_row(r#""values":{"flights":1},"if_rev":5"#)).await,
        "CONFLICT"
    );
    assert_eq!(
        outcome(&fixture, "put", &put_row(r#""values":{"flights":1},"if_rev":0"#)).await,
        "APPLIED"
    );
    let conflict = fixture.call("put", &put_row(r#""values":{"flights":2},"if_rev":0"#)).await;
    expect![[r#"{"results":[{"outcome":"CONFLICT","rev":1700000000000000,"event_time":"2014-01-01T00:00:00Z"}]}"#]]
        .assert_eq(&conflict);
    let right = put_row(r#""values":{"flights":3},"if_rev":1700000000000000"#);
    assert_eq!(outcome(&fixture, "put", &right).await, "APPLIED");
    assert_eq!(values(&fixture).await, r#"[3,null,"none"]"#);
    let delete = |rev: u64| {
        format!(
            r#"{{"view":"flights/carrier_daily@1","rows":[{{"entity":{{"carrier":"AA","origin":"JFK"}},"if_rev":{rev}}}]}}"#
        )
    };
    assert_eq!(outcome(&fixture, "delete", &delete(1_700_000_000_000_000)).await, "CONFLICT");
    assert_eq!(outcome(&fixture, "delete", &delete(1_700_000_000_000_001)).await, "APPLIED");
    // After a delete there is no live row, for merging and for whole puts.
    assert_eq!(
        outcome(&fixture, "put", &put_row(r#""values":{"flights":4},"if_rev":0"#)).await,
        "APPLIED"
    );
    assert_eq!(values(&fixture).await, r#"[4,null,"none"]"#);
}

/// A retry of an applied put changes nothing and is told the same, whether it merges or not.
#[tokio::test]
async fn a_retry_with_the_same_key_is_told_success() {
    for values_text in [r#"{"flights":1}"#, r#"{"flights":1,"avg_dep_delay":2.0,"note":"x"}"#] {
        let fixture = Fixture::new();
        let body =
            put_row(&format!(r#""values":{values_text},"if_rev":0,"idempotency_key":"order-17""#));
        let first = fixture.call("put", &body).await;
        assert!(first.contains("APPLIED"), "{first}");
        assert_eq!(fixture.call("put", &body).await, first);
        let other = body.replace("order-17", "order-18");
        assert_eq!(outcome(&fixture, "put", &other).await, "CONFLICT");
    }
}

/// Rows of a batch that name the same entity take effect in their order, merges, whole rows and
/// deletes alike.
#[tokio::test]
async fn one_row_many_times_in_a_batch() {
    let fixture = Fixture::new();
    let entity = r#""entity":{"carrier":"AA","origin":"JFK"}"#;
    let body = format!(
        r#"{{"view":"flights/carrier_daily@1","rows":[
          {{{entity},"values":{{"flights":1}}}},
          {{{entity},"values":{{"note":"first"}}}},
          {{"entity":{{"carrier":"UA","origin":"JFK"}},"values":{{"flights":9}}}},
          {{{entity},"values":{{"flights":2,"avg_dep_delay":1.0,"note":"whole"}}}},
          {{{entity},"values":{{"flights":3}}}}]}}"#
    );
    let answer = fixture.call("put", &body).await;
    assert_eq!(answer.matches("APPLIED").count(), 5, "{answer}");
    assert_eq!(values(&fixture).await, r#"[3,1.0,"whole"]"#);
}

/// Each writer sets a feature of its own, over and over, reading its own write back: with a lost
/// update somebody would find an older number.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_merges_lose_no_update() {
    let fixture = Arc::new(Fixture::new());
    let features = ["f_int32", "f_int64", "f_float64", "f_string", "f_date", "f_bool"];
    let mut writers = Vec::new();
    for feature in features {
        let fixture = fixture.clone();
        writers.push(tokio::spawn(async move {
            for round in 0..50 {
                let value = match feature {
                    "f_string" => format!("\"{round}\""),
                    "f_date" => format!("\"2013-01-{:02}\"", round % 28 + 1),
                    "f_bool" => (round % 2 == 0).to_string(),
                    "f_float64" => format!("{round}.5"),
                    _ => round.to_string(),
                };
                let body = format!(
                    r#"{{"view":"shop/every_type@1","rows":[{{"entity":{{"user_id":1}},"values":{{"{feature}":{value}}}}}]}}"#
                );
                let answer = fixture.call("put", &body).await;
                assert!(answer.contains("APPLIED"), "{answer}");
                let read = format!(r#"{{"features":["shop/every_type@1:{feature}"],"entities":[{{"user_id":1}}]}}"#);
                let read = fixture.call("get", &read).await;
                assert!(read.contains(&format!("\"values\":[{value}]")), "{read} {value}");
            }
        }));
    }
    for writer in writers {
        writer.await.unwrap();
    }
}

fn door_row(entity: &[&str], op: DoorOp, order: Order) -> DoorRow {
    DoorRow {
        entity: entity.iter().map(|text| KeyValue::String((*text).to_owned())).collect(),
        op,
        order,
        condition: Condition::None,
        write_id: WriteId(0),
    }
}

#[tokio::test]
async fn pipelines_write_whole_rows_through_the_door() {
    let fixture = Fixture::on(Arc::new(MemoryStore::new()));
    let definitions = fixture.serving.definitions();
    let view = definitions.view("flights/carrier_daily@1", "").unwrap().clone();
    let schema = view.layouts.current();
    let row = RowEncoder::new(schema)
        .encode(Lane::Batch, &[Some(ValueRef::Int64(5)), None, Some(ValueRef::Null)])
        .unwrap();
    let put = |row| DoorOp::PutRow { row, schema: schema.fingerprint() };
    let at =
        |micros, sequence| Order::At { event_time: Timestamp(micros), sequence: Some(sequence) };
    let request =
        |lane, rows| DoorRequest { view: view.reference.clone(), lane, rows, deadline: None };
    let rows = vec![
        door_row(&["AA", "JFK"], put(row.clone()), at(NOW, 1)),
        door_row(&["AA"], put(row.clone()), at(NOW, 1)),
        door_row(&["AA", "JFK"], put(row.clone()), at(NOW + 3 * 86_400_000_000, 1)),
        door_row(&["AA", "JFK"], put(row.clone()), at(NOW, 1)),
        door_row(&["UA", "JFK"], DoorOp::Delete, at(NOW, 1)),
    ];
    let outcomes = fixture.serving.write(request(Lane::Batch, rows)).await.unwrap();
    let told: Vec<String> = outcomes
        .iter()
        .map(|outcome| match outcome {
            Ok(WriteOutcome::Applied(_)) => "applied".to_owned(),
            Ok(other) => format!("{other:?}").chars().take(10).collect(),
            Err(DoorError::Invalid { field, message, .. }) => format!("{field}: {message}"),
            Err(other) => other.to_string(),
        })
        .collect();
    expect![[r#"
        applied
        rows[1].entity: 1 join key values were given, but the entity has 2: carrier, origin
        rows[2].event_time: the event time 2014-01-04T00:00:00Z lies too far in the future
        Superseded
        applied"#]]
    .assert_eq(&told.join("\n"));
    assert_eq!(values(&fixture).await, r#"[5,null,null]"#);

    let stream = fixture.serving.write(request(Lane::Stream, Vec::new())).await;
    assert!(matches!(stream, Err(DoorError::Invalid { .. })), "{stream:?}");
    let mut unknown = request(Lane::Batch, Vec::new());
    unknown.view.version = 9;
    let unknown = fixture.serving.write(unknown).await;
    assert!(matches!(unknown, Err(DoorError::UnknownView(_))), "{unknown:?}");
}

/// A direct put beside a batch lane, merged over the pipeline's row.
#[tokio::test]
async fn a_lane_does_not_forbid_direct_puts() {
    let fixture = Fixture::new();
    fixture.call("put", &put_row(r#""values":{"flights":1}"#)).await;
    assert_eq!(values(&fixture).await, r#"[1,null,"none"]"#);
}

/// The key names one put, or one delete: a delete is not told that it was done by a put.
#[tokio::test]
async fn an_idempotency_key_is_of_one_verb() {
    let fixture = Fixture::new();
    let key = r#""idempotency_key":"order-17""#;
    let put = put_row(&format!(r#""values":{{"flights":1}},{key}"#));
    let delete = put_row(key);
    assert_eq!(outcome(&fixture, "put", &put).await, "APPLIED");
    assert_eq!(outcome(&fixture, "delete", &delete).await, "APPLIED");
    let read = fixture.call("get", READ).await;
    assert!(read.contains(r#""statuses":["NOT_FOUND","NOT_FOUND","NOT_FOUND"]"#), "{read}");
    // A retry of the delete is the same delete.
    let again = fixture.call("delete", &delete).await;
    assert_eq!(again, fixture.call("delete", &delete).await);
}

/// What no surface could spell is not taken.
#[tokio::test]
async fn values_lie_within_the_calendar() {
    let fixture = Fixture::new();
    for (feature, value) in
        [("f_timestamp", "9999-12-31T23:59:59-01:00"), ("f_timestamp", "0001-01-01T00:00:00+01:00")]
    {
        let body = format!(
            r#"{{"view":"shop/every_type@1","rows":[{{"entity":{{"user_id":1}},"values":{{"{feature}":"{value}"}}}}]}}"#
        );
        let (status, answer) = fixture.post_text("/v1/features/online/put", body).await;
        assert_eq!(status.as_u16(), 400, "{answer}");
        assert!(answer.contains("rows[0].values.f_timestamp"), "{answer}");
    }
}
