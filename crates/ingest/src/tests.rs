//! Lanes over a door that fails as doors do.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex},
    time::Duration,
};

use arc_swap::ArcSwap;
use async_trait::async_trait;
use bytes::Bytes;
use serde_json::json;
use trivium_model::{KeyValue, StreamSystem, Timestamp, config::parse_view};
use trivium_payload::Reason;
use trivium_registry::{Revision, Snapshot, StoredView};
use trivium_runtime::{FixedClock, Shutdown};
use trivium_store::{
    DoorError, DoorOp, DoorOutcome, DoorRequest, Error, Order, Stamp, WriteDoor, WriteId,
    WriteOutcome,
};

use crate::{
    FloodOptions, Lane, LaneOptions, LaneReport, Parts, Schemas, Stopped,
    port::{DeadLetters, Letter, LetterError, Partition, Record, SchemaError, SchemaSource},
    routes::Routes,
};

mod events;
mod pauses;

const NOW: i64 = 1_000_000_000;

/// What the door says of a request, before it looks at the rows.
#[derive(Clone)]
enum Say {
    /// Nothing of it was taken.
    All(DoorError),
    /// Every other row was not.
    Half(DoorError),
}

/// Event time, sequence, and whether it is gone, by view and entity.
type Rows = HashMap<(String, Vec<KeyValue>), (i64, u64, bool)>;

/// Newest wins.
#[derive(Default)]
struct Door {
    rows: Mutex<Rows>,
    say: Mutex<VecDeque<Say>>,
    /// Requests, with their rows.
    requests: Mutex<Vec<usize>>,
    /// This view is not known.
    unknown: Mutex<Option<String>>,
    /// Rows from this event time on are refused.
    refused_from: Mutex<Option<i64>>,
}

#[async_trait]
impl WriteDoor for Door {
    async fn write(&self, request: DoorRequest) -> Result<Vec<DoorOutcome>, DoorError> {
        self.requests.lock().unwrap().push(request.rows.len());
        let say = self.say.lock().unwrap().pop_front();
        if let Some(Say::All(error)) = &say {
            return Err(error.clone());
        }
        if self.unknown.lock().unwrap().as_ref() == Some(&request.view.to_string()) {
            return Err(DoorError::UnknownView(request.view));
        }
        let refused_from = *self.refused_from.lock().unwrap();
        let mut rows = self.rows.lock().unwrap();
        let mut outcomes = Vec::new();
        for (index, row) in request.rows.into_iter().enumerate() {
            if let Some(Say::Half(error)) = &say
                && index % 2 == 0
            {
                outcomes.push(Err(error.clone()));
                continue;
            }
            let Order::At { event_time, sequence: Some(sequence) } = row.order else { panic!() };
            if refused_from.is_some_and(|from| event_time.0 >= from) {
                outcomes.push(Err(DoorError::Invalid {
                    message: "it lies in the future".into(),
                    field: format!("rows[{index}].event_time"),
                    help: "set the clock".into(),
                }));
                continue;
            }
            let deleted = matches!(row.op, DoorOp::Delete);
            let key = (request.view.to_string(), row.entity);
            let stamp = Stamp { rev: 1, event_time, sequence, write_id: WriteId(0), deleted };
            let older =
                rows.get(&key).is_none_or(|(at, seq, _)| (*at, *seq) < (event_time.0, sequence));
            outcomes.push(Ok(if older {
                rows.insert(key, (event_time.0, sequence, deleted));
                WriteOutcome::Applied(stamp)
            } else {
                WriteOutcome::Superseded(stamp)
            }));
        }
        Ok(outcomes)
    }
}

#[derive(Default)]
struct Letters {
    put: Mutex<Vec<Letter>>,
    failures: Mutex<usize>,
}

#[async_trait]
impl DeadLetters for Letters {
    async fn put(&self, letters: Vec<Letter>) -> Result<(), LetterError> {
        let mut failures = self.failures.lock().unwrap();
        if *failures > 0 {
            *failures -= 1;
            return Err(LetterError("the broker is away".into()));
        }
        self.put.lock().unwrap().extend(letters);
        Ok(())
    }
}

/// A schema registry.
#[derive(Default)]
struct Source {
    texts: Mutex<HashMap<u32, String>>,
    /// So often it is away first.
    away: Mutex<usize>,
    asked: Mutex<Vec<u32>>,
}

#[async_trait]
impl SchemaSource for Source {
    async fn schema(&self, id: u32) -> Result<String, SchemaError> {
        self.asked.lock().unwrap().push(id);
        let mut away = self.away.lock().unwrap();
        if *away > 0 {
            *away -= 1;
            return Err(SchemaError::Away("it is away".into()));
        }
        let text = self.texts.lock().unwrap().get(&id).cloned();
        text.ok_or_else(|| SchemaError::Unknown("there is none of this id".into()))
    }
}

fn stored(name: &str, source: serde_json::Value) -> StoredView {
    let mut config = json!({
        "namespace": "n", "name": name, "version": 1, "lane": "stream", "description": "d",
        "owner": { "team": "t", "contact": "c" }, "urgency_tier": 1,
        "entities": [{ "name": "id", "type": "int64" }], "event_timestamp": "at",
        "features": [{ "name": "x", "type": "int64", "description": "d" }],
    });
    if !source.is_null() {
        config["source"] = source;
    }
    let view = parse_view(&format!("configs/n/{name}.v1.json"), &config.to_string()).unwrap();
    StoredView {
        view,
        config_text: config.to_string(),
        sql_text: None,
        revision: Revision(1),
        author: "a".into(),
        at: Timestamp(0),
        reason: "r".into(),
    }
}

fn snapshot(views: Vec<StoredView>) -> Snapshot {
    let mut snapshot = Snapshot::default();
    for view in views {
        snapshot.views.insert(view.view.reference(), Arc::new(view));
    }
    snapshot
}

fn json_source() -> serde_json::Value {
    json!({ "format": "json", "topic": "events", "time_unit": "us" })
}

struct Fixture {
    door: Arc<Door>,
    letters: Arc<Letters>,
    schemas: Arc<Source>,
    routes: Arc<ArcSwap<Routes>>,
    lane: Lane,
    stop: Shutdown,
}

fn options() -> LaneOptions {
    LaneOptions {
        request_rows: 10,
        pause_first: Duration::from_millis(1),
        pause_most: Duration::from_millis(2),
        flood: FloodOptions { share: 0.5, among: 20, least: 20 },
        patience: Duration::from_millis(20),
        ..LaneOptions::default()
    }
}

fn fixture_of(views: Vec<StoredView>, topic: &str) -> Fixture {
    fixture_with(views, topic, options())
}

fn fixture_with(views: Vec<StoredView>, topic: &str, options: LaneOptions) -> Fixture {
    let routes = Routes::of(&snapshot(views), StreamSystem::Kafka, &["payloads".to_owned()]);
    let routes = Arc::new(ArcSwap::from_pointee(routes));
    let (door, letters) = (Arc::new(Door::default()), Arc::new(Letters::default()));
    let partition = Partition { topic: topic.into(), name: "0".into() };
    let schemas = Arc::new(Source::default());
    let parts = Parts {
        routes: Arc::clone(&routes),
        schemas: Arc::new(Schemas::new(Some(Arc::clone(&schemas) as _))),
        door: Arc::clone(&door) as _,
        letters: Arc::clone(&letters) as _,
        clock: Arc::new(FixedClock(NOW)),
        options,
    };
    let lane = Lane::new(partition, parts);
    Fixture { door, letters, schemas, routes, lane, stop: Shutdown::new() }
}

fn fixture() -> Fixture {
    fixture_of(vec![stored("a", json_source())], "events")
}

impl Fixture {
    async fn take(&mut self, records: &[Record]) -> Result<LaneReport, Stopped> {
        self.lane.take(records, &self.stop).await
    }
    fn row(&self, view: &str, id: i64) -> Option<(i64, u64, bool)> {
        let key = (view.to_owned(), vec![KeyValue::Int64(id)]);
        self.door.rows.lock().unwrap().get(&key).copied()
    }
    fn say(&self, what: impl IntoIterator<Item = Say>) {
        self.door.say.lock().unwrap().extend(what);
    }
    fn reasons(&self) -> Vec<(u64, Reason)> {
        let letters = self.letters.put.lock().unwrap();
        letters.iter().map(|letter| (letter.record.offset, letter.poison.reason)).collect()
    }
}

fn record(offset: u64, value: &str) -> Record {
    let value = Some(Bytes::copy_from_slice(value.as_bytes()));
    Record { offset, key: None, value, headers: Vec::new(), time: Some(Timestamp(5)), broken: None }
}

fn event(offset: u64, id: i64, at: i64) -> Record {
    record(offset, &format!(r#"{{ "id": {id}, "at": {at}, "x": {offset} }}"#))
}

fn unavailable() -> DoorError {
    DoorError::Store(Error::Unavailable("it is away".into()))
}

#[tokio::test]
async fn of_an_entity_the_newest_row_is_written_and_once() {
    let mut lane = fixture();
    let records =
        [event(0, 1, 10), event(1, 2, 10), event(2, 1, 30), event(3, 1, 20), event(4, 2, 10)];
    let report = lane.take(&records).await.unwrap();
    assert_eq!(
        report,
        LaneReport { records: 5, applied: 2, superseded: 3, ..LaneReport::default() }
    );
    assert_eq!(lane.row("n/a@1", 1), Some((30, 2, false)));
    // An equal event time: the later message corrects the earlier one.
    assert_eq!(lane.row("n/a@1", 2), Some((10, 4, false)));
    assert_eq!(*lane.door.requests.lock().unwrap(), [2]);
    // The same once more, as after a crash, in other batches: nothing changes.
    let report = lane.take(&records[..3]).await.unwrap();
    assert_eq!((report.applied, report.superseded), (0, 3));
    assert_eq!(lane.row("n/a@1", 1), Some((30, 2, false)));
}

#[tokio::test]
async fn what_is_away_for_a_while_costs_nothing() {
    let mut lane = fixture();
    let unknown_schema = DoorError::Invalid {
        message: "schema 5 is none of `n/a@1`".into(),
        field: "schema_fingerprint".into(),
        help: String::new(),
    };
    let invalid =
        DoorError::Invalid { message: "no key".into(), field: String::new(), help: String::new() };
    lane.say([
        Say::All(unavailable()),
        Say::Half(DoorError::Store(Error::Throttled("slow".into()))),
        Say::Half(unknown_schema),
        Say::All(DoorError::UnknownView("n/a@1".parse().unwrap())),
        // Of a whole request: no message's fault.
        Say::All(invalid),
        Say::All(DoorError::Store(Error::Failed("it is broken".into()))),
    ]);
    let records: Vec<Record> = (0..25).map(|at| event(at, at as i64, 10)).collect();
    let report = lane.take(&records).await.unwrap();
    assert_eq!((report.applied, report.letters), (25, 0));
    assert!((0..25).all(|id| lane.row("n/a@1", id).is_some()));
    let requests = lane.door.requests.lock().unwrap();
    assert!(requests.iter().all(|rows| *rows <= 10), "{requests:?}");
}

#[tokio::test]
async fn poison_is_put_away_whole_and_the_rest_is_written() {
    let mut lane = fixture();
    *lane.letters.failures.lock().unwrap() = 2;
    let mut records = vec![event(7, 1, 10), record(8, "{"), event(9, 2, 10), record(10, "{}")];
    records[1].key = Some(Bytes::from_static(b"k"));
    records[1].headers = vec![("h".into(), Some(Bytes::from_static(b"v")))];
    let report = lane.take(&records).await.unwrap();
    assert_eq!((report.applied, report.letters), (2, 2));
    assert_eq!(lane.reasons(), [(8, Reason::Undecodable), (10, Reason::Missing)]);
    let letters = lane.letters.put.lock().unwrap();
    assert_eq!(letters[0].record, records[1]);
    assert_eq!(letters[0].partition.to_string(), "events/0");
    assert_eq!(letters[0].view.as_ref().unwrap().to_string(), "n/a@1");
    assert_eq!(letters[0].first_seen, Timestamp(NOW));
}

#[tokio::test]
async fn a_refused_row_does_not_take_the_older_ones_with_it() {
    let mut lane = fixture();
    *lane.door.refused_from.lock().unwrap() = Some(100);
    let records =
        [event(0, 1, 10), event(1, 1, 20), event(2, 1, 100), event(3, 1, 200), event(4, 2, 300)];
    let report = lane.take(&records).await.unwrap();
    assert_eq!(lane.row("n/a@1", 1), Some((20, 1, false)));
    assert_eq!(lane.row("n/a@1", 2), None);
    assert_eq!((report.applied, report.superseded, report.letters), (1, 1, 3));
    assert_eq!(lane.reasons(), [2, 3, 4].map(|offset| (offset, Reason::Refused)));
    assert_eq!(lane.letters.put.lock().unwrap()[0].poison.field, "event_time");
}

#[tokio::test]
async fn a_request_that_is_refused_for_one_row_blames_that_row_alone() {
    let mut lane = fixture();
    let of_row = |row: usize| {
        let field = format!("rows[{row}].entity");
        DoorError::Invalid { message: "the key is too long".into(), field, help: String::new() }
    };
    // The second of three, then the first of the two that are left; rows of another number blame nobody.
    lane.say([Say::All(of_row(1)), Say::All(of_row(0)), Say::All(of_row(7)), Say::Half(of_row(9))]);
    let records = [event(0, 1, 10), event(1, 2, 10), event(2, 3, 10)];
    let report = lane.take(&records).await.unwrap();
    assert_eq!((report.applied, report.letters), (1, 2));
    assert_eq!(lane.reasons(), [(0, Reason::Refused), (1, Reason::Refused)]);
    assert_eq!(lane.row("n/a@1", 3), Some((10, 2, false)));
    assert_eq!(lane.letters.put.lock().unwrap()[0].poison.field, "entity");
}

#[tokio::test]
async fn definitions_that_change_while_rows_are_refused_are_heard() {
    let mut lane =
        fixture_of(vec![stored("a", json_source()), stored("b", json_source())], "events");
    // One of the topic's views goes, and serving does not know it any more.
    *lane.door.unknown.lock().unwrap() = Some("n/a@1".into());
    let routes = Arc::clone(&lane.routes);
    let left = snapshot(vec![stored("b", json_source())]);
    let changing = async {
        tokio::time::sleep(Duration::from_millis(3)).await;
        routes.store(Arc::new(Routes::of(&left, StreamSystem::Kafka, &[])));
    };
    let records = [event(0, 1, 10)];
    let (report, ()) = tokio::join!(lane.lane.take(&records, &lane.stop), changing);
    assert_eq!(report.unwrap().applied, 1);
    assert_eq!((lane.row("n/a@1", 1), lane.row("n/b@1", 1)), (None, Some((10, 0, false))));
}

#[tokio::test]
async fn a_flood_stops_the_partition_and_empties_nothing() {
    let mut lane = fixture();
    let good = |from: u64| (from..from + 20).map(|at| event(at, at as i64, 10));
    // A few bad ones are no flood, nor is a short batch of nothing else.
    let mut records: Vec<Record> = good(0).collect();
    records.extend((20..30).map(|at| record(at, "bad")));
    assert_eq!(lane.take(&records).await.unwrap().letters, 10);
    let bad: Vec<Record> = (30..80).map(|at| record(at, "bad")).collect();
    let stopped = lane.take(&bad).await.unwrap_err();
    let Stopped::Flood { bad: 50, all: 50, first } = &stopped else { panic!("{stopped}") };
    assert!(first.contains("events/0 at 30"), "{first}");
    assert_eq!(lane.reasons().len(), 10, "nothing was put away");
    // Again and again, until somebody says so.
    assert_eq!(lane.take(&bad).await.unwrap_err(), stopped);
    lane.lane.let_pass(20);
    assert_eq!(lane.take(&bad[..25]).await.unwrap().letters, 25);
    assert!(lane.take(&bad[25..]).await.is_err());
    // What serving refuses counts, too.
    let mut lane = fixture();
    *lane.door.refused_from.lock().unwrap() = Some(0);
    let refused: Vec<Record> = good(0).collect();
    assert!(matches!(lane.take(&refused).await, Err(Stopped::Flood { bad: 20, .. })));
    assert!(lane.reasons().is_empty());
}

#[tokio::test]
async fn a_stop_moves_nothing() {
    let mut lane = fixture();
    lane.say(std::iter::repeat_n(Say::All(unavailable()), 1_000_000));
    let stop = lane.stop.clone();
    let stopping = async {
        tokio::time::sleep(Duration::from_millis(20)).await;
        stop.trigger();
    };
    let records = [event(0, 1, 10)];
    let (stopped, ()) = tokio::join!(lane.lane.take(&records, &lane.stop), stopping);
    assert_eq!(stopped, Err(Stopped::Asked));
    // Letters that nobody takes stop no less.
    let mut lane = fixture();
    *lane.letters.failures.lock().unwrap() = usize::MAX;
    let stop = lane.stop.clone();
    let stopping = async {
        tokio::time::sleep(Duration::from_millis(20)).await;
        stop.trigger();
    };
    let records = [record(0, "bad")];
    let (stopped, ()) = tokio::join!(lane.lane.take(&records, &lane.stop), stopping);
    assert_eq!(stopped, Err(Stopped::Asked));
}

#[tokio::test]
async fn a_topic_feeds_many_views_and_payloads_name_their_own() {
    let mut lane = fixture_of(
        vec![
            stored("a", json_source()),
            stored(
                "b",
                json!({ "format": "json", "topic": "events", "columns": { "at": "$time", "id": "x" } }),
            ),
            stored(
                "elsewhere",
                json!({ "format": "json", "topic": "events", "system": "kinesis" }),
            ),
        ],
        "events",
    );
    // The second has no `at` for the first.
    let records = [event(0, 1, 10), record(1, r#"{ "x": 9 }"#)];
    let report = lane.take(&records).await.unwrap();
    assert_eq!((report.applied, report.letters), (3, 1));
    assert_eq!(lane.row("n/b@1", 0), Some((5, 0, false)));
    assert_eq!(lane.row("n/b@1", 9), Some((5, 1, false)));
    let letter = lane.letters.put.lock().unwrap()[0].clone();
    assert_eq!(letter.view.unwrap().to_string(), "n/a@1");

    let view = stored("p", serde_json::Value::Null);
    let payload = |at: i64| {
        let entity = [(trivium_model::Name::new("id").unwrap(), KeyValue::Int64(1))];
        Bytes::from(trivium_payload::payload(&view.view, &entity, Timestamp(at), Some(&[])))
    };
    // Its payloads are the history's, and not wrong.
    let mut kept = stored("kept", serde_json::Value::Null);
    kept.view.online = false;
    let views = vec![view.clone(), stored("a", json_source()), kept];
    let mut lane = fixture_of(views, "payloads");
    let of = |offset: u64, value: Bytes| Record { value: Some(value), ..record(offset, "") };
    let mut named = of(1, payload(30));
    named.headers = vec![("trivium-view".into(), Some(Bytes::from_static(b"n/a@1")))];
    let mut offline = of(3, payload(40));
    offline.headers = vec![("trivium-view".into(), Some(Bytes::from_static(b"n/kept@1")))];
    let records = [of(0, payload(20)), named, record(2, "\u{1}"), offline];
    let report = lane.take(&records).await.unwrap();
    assert_eq!((report.records, report.applied, report.letters), (4, 1, 2));
    assert_eq!(lane.row("n/p@1", 1), Some((20, 0, false)));
    assert_eq!(lane.reasons(), [(1, Reason::UnknownView), (2, Reason::Undecodable)]);
}

#[tokio::test]
async fn a_filter_passes_over_what_is_not_the_views() {
    let source = |filter: &str| {
        json!({ "format": "json", "topic": "events", "time_unit": "us", "filter": filter,
            "filter_columns": [{ "name": "kind", "type": "string" }] })
    };
    let views =
        vec![stored("a", source("kind = 'a'")), stored("b", source("kind = 'b' OR id = 7"))];
    let mut lane = fixture_of(views, "events");
    let of = |offset: u64, id: i64, kind: &str| {
        record(offset, &format!(r#"{{ "id": {id}, "at": 10, "kind": "{kind}" }}"#))
    };
    let other = record(3, r#"{ "kind": "c", "id": {} }"#);
    let records = [of(0, 1, "a"), of(1, 2, "b"), of(2, 7, "a"), other, record(4, "{}")];
    let report = lane.take(&records).await.unwrap();
    assert_eq!((report.applied, report.letters), (4, 1));
    assert_eq!(lane.reasons(), [(3, Reason::WrongType)], "the second asks for the key, too");
    for (view, id, is_there) in [
        ("n/a@1", 1, true),
        ("n/a@1", 2, false),
        ("n/a@1", 7, true),
        ("n/b@1", 1, false),
        ("n/b@1", 2, true),
        ("n/b@1", 7, true),
    ] {
        assert_eq!(lane.row(view, id).is_some(), is_there, "{view} {id}");
    }
}

#[tokio::test]
async fn definitions_change_between_batches() {
    let mut lane = fixture_of(Vec::new(), "events");
    // Nobody reads the topic: its messages wait, in case that somebody does again.
    let waits = lane.take(&[event(0, 1, 10)]).await;
    assert!(matches!(waits, Err(Stopped::Unread(_))), "{waits:?}");
    let views = snapshot(vec![stored("a", json_source())]);
    lane.routes.store(Arc::new(Routes::of(&views, StreamSystem::Kafka, &[])));
    assert_eq!(lane.routes.load().topics(), ["events"]);
    assert_eq!(lane.take(&[event(1, 1, 10)]).await.unwrap().applied, 1);
}

const SCHEMA: &str = r#"{ "type": "record", "name": "r", "fields": [
    { "name": "id", "type": "long" },
    { "name": "at", "type": { "type": "long", "logicalType": "timestamp-micros" } },
    { "name": "x", "type": "long" } ] }"#;

/// `id`, `at` and `x` as Avro's longs, under this schema.
fn avro(offset: u64, schema: u32, id: i64, at: i64) -> Record {
    let zigzag = |value: i64| {
        let mut rest = ((value << 1) ^ (value >> 63)) as u64;
        let mut bytes = Vec::new();
        while rest >= 0x80 {
            bytes.push(rest as u8 | 0x80);
            rest >>= 7;
        }
        bytes.push(rest as u8);
        bytes
    };
    let mut value = vec![0];
    value.extend(schema.to_be_bytes());
    value.extend([id, at, 7].into_iter().flat_map(zigzag));
    Record { value: Some(value.into()), ..record(offset, "") }
}

#[tokio::test]
async fn schemas_are_brought_once_and_those_that_do_not_exist_blame_the_message() {
    let view = stored("a", json!({ "format": "avro", "topic": "events" }));
    let mut lane = fixture_of(vec![view], "events");
    lane.schemas.texts.lock().unwrap().extend([(5, SCHEMA.to_owned()), (6, "{".to_owned())]);
    *lane.schemas.away.lock().unwrap() = 2;
    let records = [avro(0, 5, 1, 10), avro(1, 6, 2, 10), avro(2, 7, 3, 10), avro(3, 5, 4, 10)];
    let report = lane.take(&records).await.unwrap();
    assert_eq!((report.applied, report.letters), (2, 2));
    assert_eq!(lane.reasons(), [(1, Reason::Undecodable), (2, Reason::Undecodable)]);
    assert_eq!(*lane.schemas.asked.lock().unwrap(), [5, 5, 5, 6, 7]);
    // What is known is not asked for again; what does not exist may do so later.
    lane.schemas.texts.lock().unwrap().insert(7, SCHEMA.to_owned());
    let report = lane.take(&records).await.unwrap();
    assert_eq!((report.applied, report.letters), (1, 1));
    assert_eq!(*lane.schemas.asked.lock().unwrap(), [5, 5, 5, 6, 7, 7]);
}
