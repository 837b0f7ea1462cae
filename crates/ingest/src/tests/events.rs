//! Messages as events.

use std::sync::Arc;

use trivium_model::{FeatureView, KeyValue, StreamSystem, Timestamp, Value, config::parse_view};
use trivium_payload::{AvroSchemas, Message, Reason};
use trivium_registry::{Revision, Snapshot, StoredView};
use trivium_runtime::Shutdown;

use crate::{
    LaneOptions, Schemas,
    events::{Events, Said},
    port::Record,
    routes::Routes,
};

fn view(columns: &serde_json::Value, feature: &serde_json::Value) -> FeatureView {
    let config = serde_json::json!({
        "namespace": "n", "name": "a", "version": 1, "lane": "stream", "description": "d",
        "owner": { "team": "t", "contact": "c" }, "urgency_tier": 1,
        "entities": [{ "name": "b", "type": "int64" }, { "name": "a", "type": "string" }],
        "event_timestamp": "at",
        "features": [{ "name": "events", "type": "int64", "description": "d" }],
        "source": { "format": "json", "topic": "events", "time_unit": "s", "columns": { "a": "$key" } },
        "window": { "size": "10s", "columns": columns, "features": { "events": feature },
            "payload_topic": "rows" },
    });
    parse_view("configs/n/a.v1.json", &config.to_string())
        .unwrap_or_else(|found| panic!("{found:?}"))
}

async fn said(view: &FeatureView, records: &[Record]) -> Vec<Said> {
    let events = Events::new(view).unwrap();
    let (schemas, options) = (Schemas::new(None), LaneOptions::default());
    events
        .read(records, &schemas, &options, Timestamp(i64::MAX / 2), &Shutdown::new())
        .await
        .unwrap()
}

fn record(offset: u64, value: Option<&str>) -> Record {
    Record {
        offset,
        key: Some("k".into()),
        value: value.map(|value| value.to_owned().into()),
        headers: Vec::new(),
        time: Some(Timestamp(1_000_000_000)),
        broken: None,
    }
}

#[tokio::test]
async fn messages_are_events_or_say_what_is_wrong() {
    let columns =
        serde_json::json!([{ "name": "x", "type": "int64" }, { "name": "s", "type": "string" }]);
    let view = view(&columns, &serde_json::json!({ "count": "x" }));
    let broken = Record { broken: Some("b".to_owned()), ..record(6, Some("{}")) };
    let all = [
        record(0, Some(r#"{ "b": 1, "at": 7, "x": 3, "s": "t", "other": [] }"#)),
        // What is not there is null.
        record(1, Some(r#"{ "b": 1, "at": 7, "s": null }"#)),
        record(2, None),
        record(3, Some("no json")),
        record(4, Some(r#"{ "b": 1, "at": 7, "x": "3" }"#)),
        record(5, Some(r#"{ "b": 1, "at": 4601 }"#)),
        broken,
    ];
    let said = said(&view, &all).await;
    let event = said[0].as_ref().unwrap().as_ref().unwrap();
    assert_eq!(event.entity, [KeyValue::String("k".into()), KeyValue::Int64(1)]);
    assert_eq!(event.time, Timestamp(7_000_000));
    assert_eq!(event.values, [Value::Int64(3), Value::String("t".into())]);
    assert_eq!(said[1].as_ref().unwrap().as_ref().unwrap().values, [Value::Null, Value::Null]);
    assert_eq!(said[2], Ok(None));
    let reasons: Vec<Reason> =
        said[3..].iter().map(|one| one.clone().unwrap_err().reason).collect();
    assert_eq!(
        reasons,
        [Reason::Undecodable, Reason::WrongType, Reason::OutOfBounds, Reason::Undecodable]
    );
    let ahead = said[5].clone().unwrap_err().to_string();
    assert!(ahead.contains("01:16:41") && ahead.contains("1h are let pass"), "{ahead}");
}

#[test]
fn rows_of_windows_are_read_where_the_view_says_they_go() {
    let columns = serde_json::json!([{ "name": "x", "type": "int64" }]);
    let view = view(&columns, &serde_json::json!("count"));
    let stored = StoredView {
        view,
        config_text: String::new(),
        sql_text: None,
        revision: Revision(1),
        author: "a".into(),
        at: Timestamp(0),
        reason: "r".into(),
    };
    let mut snapshot = Snapshot::default();
    snapshot.views.insert(stored.view.reference(), Arc::new(stored.clone()));
    // Its events are not rows.
    let routes = Routes::of(&snapshot, StreamSystem::Kafka, &["more".to_owned()]);
    assert_eq!(routes.topics(), ["more", "rows"]);
    assert_eq!(routes.unread(), []);
    // Windows are Kafka's: Kinesis has no stream of the topic's name.
    assert_eq!(Routes::of(&snapshot, StreamSystem::Kinesis, &[]).topics(), [""; 0]);
    let row = record(0, Some(r#"{ "a": "k", "b": 1, "at": "2013-01-01T00:00:00Z", "events": 3 }"#));
    assert_eq!(routes.decoders("rows", &row).unwrap_err().reason, Reason::Undecodable);
    // Flink writes them as JSON, whose topic says the view.
    let mut by_flink = stored;
    let job = serde_json::from_value(serde_json::json!({
        "parallelism": 1, "checkpoint": "30s", "idle_timeout": "1m",
    }));
    by_flink.view.window.as_mut().unwrap().job = Some(job.unwrap());
    snapshot.views.insert(by_flink.view.reference(), Arc::new(by_flink.clone()));
    let routes = Routes::of(&snapshot, StreamSystem::Kafka, &["more".to_owned()]);
    assert_eq!(routes.topics(), ["more", "rows"]);
    let decoders = routes.decoders("rows", &row).unwrap();
    assert_eq!(decoders.len(), 1);
    let (mut reader, schemas) = (decoders[0].reader(), AvroSchemas::default());
    let message = Message { key: None, value: row.value.as_deref(), headers: &[], time: None };
    let event = reader.read(&message, &schemas).unwrap().unwrap();
    assert_eq!(event.entity, [KeyValue::String("k".into()), KeyValue::Int64(1)]);
    assert_eq!(event.event_time, Timestamp(1_356_998_400_000_000));
}

#[tokio::test]
async fn more_schemas_than_are_kept_are_not_asked_for_for_ever() {
    let config = serde_json::json!({
        "namespace": "n", "name": "a", "version": 1, "lane": "stream", "description": "d",
        "owner": { "team": "t", "contact": "c" }, "urgency_tier": 1,
        "entities": [{ "name": "id", "type": "int64" }], "event_timestamp": "at",
        "features": [{ "name": "events", "type": "int64", "description": "d" }],
        "source": { "format": "avro", "topic": "events" },
        "window": { "size": "10s", "columns": [{ "name": "x", "type": "int64" }],
            "features": { "events": "count" }, "payload_topic": "rows" },
    });
    let view = parse_view("configs/n/a.v1.json", &config.to_string()).unwrap();
    let source = Arc::new(super::Source::default());
    let ids = 1..=1_001_u32;
    source.texts.lock().unwrap().extend(ids.clone().map(|id| (id, super::SCHEMA.to_owned())));
    let records: Vec<Record> = ids.map(|id| super::avro(u64::from(id), id, 1, 10)).collect();
    let schemas = Schemas::new(Some(Arc::clone(&source) as _));
    let said = Events::new(&view)
        .unwrap()
        .read(&records, &schemas, &LaneOptions::default(), Timestamp(1_000), &Shutdown::new())
        .await
        .unwrap();
    // Nearly all are read; what there is no room for is told, and not asked for again and again.
    let read = said.iter().filter(|one| matches!(one, Ok(Some(_)))).count();
    assert!((900..=1_001).contains(&read), "{read}");
    assert!(source.asked.lock().unwrap().len() < 30_000);
}
