//! Jobs on a real Flink: the example's query over recorded events, every type, and the generated job itself between
//! topics of a real Kafka, killed in the middle, and changed in place.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a whole file of tests")]

mod conditions;
mod example;
mod running;
mod topics;
mod upgrades;
mod windows;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    time::{Duration, Instant},
};

use example::{Departure, departures, expected, shown};
use running::{Job, newest_checkpoint, until};
use serde_json::{Value as Json, json};
use topics::{Topics, Written};
use trivium_model::Timestamp;
use trivium_payload::{AvroSchemas, Decoder, Message};
use trivium_registry::project::{File, ProjectView, load_project, read_folder};
use trivium_streamgen::{
    Settings,
    job::Generator,
    local::{Flink, Rows, events, run},
};

const PATIENCE: Duration = Duration::from_secs(240);

fn project(files: &[File]) -> ProjectView {
    let project = load_project(files).unwrap_or_else(|found| panic!("{found:#?}"));
    project.views.into_values().next().unwrap()
}

/// The example of the documentation, its JSON edited.
fn congestion(edits: &[(&str, &str)]) -> ProjectView {
    let configs =
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/examples/streams/configs");
    let mut files = read_folder(&configs).unwrap().files;
    for (from, to) in edits {
        let file = files.iter_mut().find(|file| file.text.contains(from)).unwrap();
        file.text = file.text.replace(from, to);
    }
    project(&files)
}

fn flink() -> Flink {
    Flink::find(None).unwrap_or_else(|error| panic!("{error}"))
}

fn generator() -> Generator {
    Generator::new(Settings::default()).unwrap()
}

fn run_over(view: &ProjectView, text: &str) -> Rows {
    let events = events(&view.view, "events.jsonl", text).unwrap();
    run(&generator(), &flink(), view, &events).unwrap_or_else(|error| panic!("{error:#?}"))
}

#[test]
fn rows_over_recorded_events_are_those_of_a_calculation_without_flink() {
    let departures = departures(0..600);
    let mut text: String = departures
        .iter()
        .map(|departure| {
            json!({ "input": "departures", "value": departure.message() }).to_string() + "\n"
        })
        .collect();
    // What cannot be read, or says no time, moves nothing and ends nothing.
    for value in [
        json!("{ no json"),
        json!({ "airport": { "code": "JFK" }, "dep_delay": 1e9 }),
        json!({ "airport": "JFK", "dep_delay": "late", "at": "yesterday" }),
        json!([1, 2]),
    ] {
        text.push_str(&format!("{}\n", json!({ "value": value })));
    }
    let rows = run_over(&congestion(&[]), &text);
    assert_eq!(rows.refused, []);
    let seen: BTreeSet<String> =
        rows.rows.into_iter().map(|row| shown(&Json::Object(row))).collect();
    assert_eq!(seen, expected(&departures));
}

/// A message that comes after its windows were given is left out of them, and one that is late within the watermark
/// counts.
#[test]
fn what_comes_too_late_changes_nothing() {
    let mut departures = departures(0..200);
    let last = departures.last().unwrap().at;
    let text = |departures: &[Departure]| -> String {
        departures.iter().map(|one| json!({ "value": one.message() }).to_string() + "\n").collect()
    };
    // 4 minutes late; the watermark is 5 minutes behind.
    departures.push(Departure { origin: "LGA", delay: Some(3), at: last - 240_000 });
    let counted = expected(&departures);
    let mut late = departures.clone();
    // Its last window ended an hour before the newest departure.
    late.push(Departure { origin: "LGA", delay: Some(3), at: departures[0].at });
    assert!(last - departures[0].at > 3_600_000 + 300_000);
    let rows = run_over(&congestion(&[]), &text(&late));
    let seen: BTreeSet<String> =
        rows.rows.into_iter().map(|row| shown(&Json::Object(row))).collect();
    assert_eq!(seen, counted);
}

/// Flink refuses intervals of four digits in expressions.
#[test]
fn messages_may_be_late_by_hours() {
    let departures = departures(0..600);
    let text: String = departures
        .iter()
        .rev()
        .map(|one| json!({ "value": one.message() }).to_string() + "\n")
        .collect();
    let rows = run_over(&congestion(&[(r#""watermark": "5m""#, r#""watermark": "20h""#)]), &text);
    let seen: BTreeSet<String> =
        rows.rows.into_iter().map(|row| shown(&Json::Object(row))).collect();
    assert_eq!(seen, expected(&departures));

    let view = windowed(
        json!({ "size": "12h", "slide": "2h", "allowed_lateness": "3h", "job": {} }),
        json!({ "format": "json", "topic": "events" }),
    );
    let at = |hour: i64| json!({ "value": { "k": "x", "a": 1, "at": format!("2013-01-01T{hour:02}:59:00Z") } });
    // The second is late by 2 hours and 1 minute.
    let rows = run_over(&view, &format!("{}\n{}\n", at(3), at(1)));
    assert_eq!(rows.refused, []);
    let counts: Vec<i64> = rows.rows.iter().map(|row| row["events"].as_i64().unwrap()).collect();
    assert_eq!(counts, [1, 2, 2, 2, 2, 2, 1]);
}

const EVERYTHING: &str = r#"{
  "namespace": "types", "name": "all", "version": 1, "lane": "stream",
  "description": "All types.", "owner": { "team": "a", "contact": "a@example.com" }, "urgency_tier": 1,
  "entities": [
    { "name": "k_int", "type": "int64" }, { "name": "k_text", "type": "string" },
    { "name": "k_bytes", "type": "bytes" }, { "name": "k_date", "type": "date" },
    { "name": "k_time", "type": "timestamp" }, { "name": "k_bool", "type": "bool" }
  ],
  "event_timestamp": "event_ts",
  "features": [
    { "name": "f_bool", "type": "bool", "description": "." },
    { "name": "f_int32", "type": "int32", "description": "." },
    { "name": "f_int64", "type": "int64", "description": "." },
    { "name": "f_float32", "type": "float32", "description": "." },
    { "name": "f_float64", "type": "float64", "description": "." },
    { "name": "f_nan", "type": "float64", "description": "." },
    { "name": "f_least", "type": "float64", "description": "." },
    { "name": "f_string", "type": "string", "description": "." },
    { "name": "f_bytes", "type": "bytes", "description": "." },
    { "name": "f_timestamp", "type": "timestamp", "description": "." },
    { "name": "f_old", "type": "timestamp", "description": "." },
    { "name": "f_date", "type": "date", "description": "." },
    { "name": "f_decimal", "type": { "decimal": { "precision": 38, "scale": 2 } }, "description": "." },
    { "name": "f_small", "type": { "decimal": { "precision": 9, "scale": 9 } }, "description": "." },
    { "name": "f_decimals", "type": { "list": { "decimal": { "precision": 9, "scale": 2 } } }, "description": "." },
    { "name": "f_texts", "type": { "list": "string" }, "description": "." },
    { "name": "f_times", "type": { "list": "timestamp" }, "description": "." },
    { "name": "f_blobs", "type": { "list": "bytes" }, "description": "." },
    { "name": "f_vector", "type": { "embedding": { "dimension": 3, "metric": "l2" } }, "description": "." },
    { "name": "f_null", "type": "int64", "description": "." }
  ],
  "inputs": [{
    "name": "messages", "format": "json", "topic": "all", "event_time": "event_ts",
    "columns": [
      { "name": "k_int", "type": "int64" }, { "name": "k_text", "type": "string" },
      { "name": "k_bytes", "type": "bytes" }, { "name": "k_date", "type": "date" },
      { "name": "k_time", "type": "timestamp" }, { "name": "k_bool", "type": "bool" },
      { "name": "event_ts", "type": "timestamp" },
      { "name": "f_bool", "type": "bool" }, { "name": "f_int32", "type": "int32" },
      { "name": "f_int64", "type": "int64" }, { "name": "f_float32", "type": "float32" },
      { "name": "f_float64", "type": "float64" }, { "name": "f_nan", "type": "string" },
      { "name": "f_string", "type": "string" },
      { "name": "f_bytes", "type": "bytes" }, { "name": "f_timestamp", "type": "timestamp" },
      { "name": "f_old", "type": "timestamp" },
      { "name": "f_date", "type": "date" },
      { "name": "f_decimal", "type": { "decimal": { "precision": 38, "scale": 2 } } },
      { "name": "f_small", "type": { "decimal": { "precision": 9, "scale": 9 } } },
      { "name": "f_decimals", "type": { "list": { "decimal": { "precision": 9, "scale": 2 } } } },
      { "name": "f_texts", "type": { "list": "string" } },
      { "name": "f_times", "type": { "list": "timestamp" } },
      { "name": "f_blobs", "type": { "list": "bytes" } },
      { "name": "f_vector", "type": { "list": "float32" } },
      { "name": "f_null", "type": "int64" }
    ]
  }],
  "source": { "format": "json", "topic": "trivium.all" }
}"#;

/// What a message says in any type comes out as the worker reads it.
#[test]
fn every_type_goes_through() {
    let select = "SELECT k_int, k_text, k_bytes, k_date, k_time, k_bool, event_ts, f_bool, f_int32, f_int64, f_float32, f_float64, CAST(f_nan AS DOUBLE) AS f_nan, CAST('-Infinity' AS DOUBLE) AS f_least, f_string, f_bytes, f_timestamp, f_old, f_date, f_decimal, f_small, f_decimals, f_texts, f_times, f_blobs, f_vector, f_null FROM messages";
    let view = project(&[
        File::new("types/all.v1.json", EVERYTHING),
        File::new("types/all.v1.sql", select),
    ]);
    let message = json!({
        "k_int": i64::MIN, "k_text": "ü'`;\"", "k_bytes": "AP8=", "k_date": "1969-12-31",
        "k_time": "1969-12-31T23:59:59.999999Z", "k_bool": false, "event_ts": "2013-01-01T10:00:00.5Z",
        "f_bool": true, "f_int32": -7, "f_int64": i64::MAX, "f_float32": 0.1, "f_float64": 1e300,
        "f_nan": "NaN", "f_string": "line\nand\u{1}", "f_bytes": "",
        "f_timestamp": "2013-01-01T10:00:00.123456Z", "f_old": "0001-01-01T00:00:00Z",
        "f_date": "9999-12-31",
        "f_decimal": "123456789012345678.25", "f_small": "-0.000000001", "f_decimals": [1, null, "-0.5"],
        "f_texts": ["a", null, ""], "f_times": ["2013-01-01T10:00:00Z", null], "f_blobs": ["AA==", null],
        "f_vector": [0.5, -1, 3], "f_null": null,
    });
    // One without an event time is left out, first or not.
    let timeless = json!({ "value": { "k_int": 1, "event_ts": null } });
    let text = format!("{timeless}\n{}\n{timeless}\n", json!({ "value": message }));
    let rows = run_over(&view, &text);
    assert_eq!(rows.refused, []);
    assert_eq!(rows.rows.len(), 1);
    let row = Json::Object(rows.rows[0].clone());
    let mut wanted = message;
    wanted["f_least"] = json!("-Infinity");
    // Exact, as text: no reader makes a double of it.
    wanted["f_decimal"] = json!("123456789012345678.25");
    wanted["f_decimals"] = json!(["1.00", null, "-0.50"]);
    wanted["f_vector"] = json!([0.5, -1.0, 3.0]);
    for (column, value) in wanted.as_object().unwrap() {
        assert_eq!(&row[column], value, "{column}");
    }
    assert_eq!(row.as_object().unwrap().len(), wanted.as_object().unwrap().len());
}

#[test]
fn what_flink_refuses_is_told_at_its_place() {
    let refused = |sql: &str| {
        let mut view = congestion(&[]);
        view.flink = Some(trivium_sql::FlinkQuery::parse("c.sql", sql).unwrap());
        let events = events(&view.view, "e", "").unwrap();
        match run(&generator(), &flink(), &view, &events) {
            Err(trivium_streamgen::Error::Findings(found)) => found[0].to_string(),
            other => panic!("{other:?}"),
        }
    };
    let columns = "COUNT(*) AS departures, AVG(dep_delay) AS mean_delay, COUNT(*) AS delayed, 1.0 AS delayed_share, MAX(`at`) AS last_seen";
    let wrong = refused(&format!(
        "-- Wrong.\nSELECT origin, MAX(`at`) AS event_ts, {columns}\nFROM departures\nWHERE gate > 1\nGROUP BY origin"
    ));
    assert!(
        wrong.starts_with("c.sql:4:7: error[sql-flink]: ") && wrong.contains("gate"),
        "{wrong}"
    );
    let changing = refused(&format!(
        "SELECT origin, MAX(`at`) AS event_ts, {columns} FROM departures GROUP BY origin"
    ));
    assert!(changing.contains("aggregate over windows"), "{changing}");
    let narrow = refused(
        "SELECT origin, `at` AS event_ts, 'many' AS departures, dep_delay AS mean_delay, CAST(1 AS BIGINT) AS delayed, 1.0 AS delayed_share, `at` AS last_seen FROM departures",
    );
    assert!(narrow.contains("sql-flink"), "{narrow}");
}

#[test]
fn the_generated_job_writes_each_row_once_though_it_is_killed() {
    let topics = Topics::start(&["flights.departures", "trivium.flights.airport_congestion.v1"], 2);
    let view = congestion(&[(r#""checkpoint": "10s""#, r#""checkpoint": "1s""#)]);
    let settings = Settings { brokers: topics.brokers(), ..Settings::default() };
    let generated = Generator::new(settings).unwrap().render(&view).unwrap().unwrap();
    let (_, script) = generated.script;
    let all = departures(0..1_200);
    let (first, second) = all.split_at(700);
    let send = |departures: &[Departure]| {
        for (number, departure) in departures.iter().enumerate() {
            let message = departure.message().to_string();
            topics.send("flights.departures", (number % 2) as i32, message.as_bytes());
        }
        topics.send("flights.departures", 0, b"{ no json");
        topics.flush();
    };
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let read = || topics.committed("trivium.flights.airport_congestion.v1");

    send(first);
    let job = Job::start(folder, &script, None);
    until(folder, "the first rows", &mut || read().len() > 20);
    // Killed (-9), with whatever it has written and not committed.
    drop(job);
    send(second);
    let checkpoint = newest_checkpoint(folder).unwrap();
    let job = Job::start(folder, &script, Some(&checkpoint));
    // A day later, in both partitions: no window of before is open any more.
    let end = Departure { origin: "ZZZ", delay: None, at: all.last().unwrap().at + 86_400_000 };
    send(&[end.clone(), end]);
    let wanted = expected(&all);
    until(folder, "every row", &mut || read().len() >= wanted.len());
    drop(job);

    assert_written(&view, &[read()], &wanted);
}

/// The rows of topics are those that are wanted, each once; of an entity they are in one partition, in order.
fn assert_written(view: &ProjectView, topics: &[Vec<Written>], wanted: &BTreeSet<String>) {
    let messages = || topics.iter().flatten();
    let seen: Vec<String> =
        messages().map(|message| shown(&serde_json::from_slice(&message.value).unwrap())).collect();
    let distinct: BTreeSet<String> = seen.iter().cloned().collect();
    assert_eq!(&distinct, wanted);
    assert_eq!(seen.len(), wanted.len(), "a row was written twice");
    // Keyed by the entity: one entity is in one partition, in the order of its event times.
    let decoder = Decoder::new(&view.view).unwrap();
    let mut reader = decoder.reader();
    let schemas = AvroSchemas::default();
    let mut last: BTreeMap<String, (i32, i64)> = BTreeMap::new();
    for message in messages() {
        let value: Json = serde_json::from_slice(&message.value).unwrap();
        let key: Json = serde_json::from_slice(message.key.as_ref().unwrap()).unwrap();
        assert_eq!(key, json!({ "origin": value["origin"] }));
        let read = Message {
            key: message.key.as_deref(),
            value: Some(&message.value),
            headers: &[],
            time: None,
        };
        let event =
            reader.read(&read, &schemas).unwrap_or_else(|why| panic!("{why}: {value}")).unwrap();
        assert!(event.row.is_some());
        let now = (message.partition, event.event_time.0);
        if let Some(before) = last.insert(value["origin"].to_string(), now) {
            assert!(before.0 == now.0 && before.1 < now.1, "{before:?} {now:?}");
        }
    }
    assert_eq!(last.len(), 3);
}

fn windowed(settings: Json, source: Json) -> ProjectView {
    project(&[File::new("w/all.v1.json", windows::view(&settings, &source))])
}

/// Tumbling windows over recorded events, in every type; what is late is late for both.
#[test]
fn declared_windows_over_recorded_events_are_those_of_the_worker() {
    let view = windowed(
        json!({ "size": "10s", "job": {} }),
        json!({ "format": "json", "topic": "events" }),
    );
    // Files have no positions: of one instant there is one event. And Flink makes their watermarks at once only where
    // time goes on by more than a fifth of a second.
    let number = std::cell::Cell::new(0);
    let time = |micros: i64| {
        number.set(number.get() + 1);
        json!(Timestamp(micros.div_euclid(250_000) * 250_000 + number.get() % 1_000).to_string())
    };
    let mut messages = windows::messages(1, 600, &time, &|message| message);
    // The worker would tell their clocks by the messages' own times, which files do not have.
    messages.retain(|message| !message.contains("\"21"));
    messages.dedup();
    let by_worker = windows::computed(&view.view, &messages, Timestamp(i64::MAX / 2));
    assert!(by_worker.len() > 100, "{}", by_worker.len());
    let lines: String =
        messages.iter().map(|text| json!({ "value": text }).to_string() + "\n").collect();
    let rows = run_over(&view, &lines);
    assert_eq!(rows.refused, []);
    let payloads: Vec<Vec<u8>> =
        rows.rows.into_iter().map(|row| Json::Object(row).to_string().into_bytes()).collect();
    let mut by_flink = windows::written(&view.view, payloads.iter().map(Vec::as_slice));
    // At the end of files all windows end, that of the last event, too.
    let last = by_flink.pop_last().unwrap();
    assert!(last.0.0 > by_worker.last_key_value().unwrap().0.0);
    windows::assert_same(&view.view, &by_worker, &by_flink);
}

/// Sliding windows of Kafka's messages: late ones, some twice, some left out, times as numbers, fields in objects.
#[test]
fn a_job_of_declared_windows_gives_the_workers_rows() {
    let view = windowed(
        json!({
            "size": "60s", "slide": "15s", "allowed_lateness": "20s", "event_id": "id",
            "filter": "(n > -900 OR f >= 0 OR s IS NULL) AND NOT (k = 'x' AND p < 3.5) AND (i % 7 <> 0 OR b)",
            "job": { "checkpoint": "1s" }
        }),
        json!({
            "format": "json", "topic": "events", "time_unit": "us",
            "columns": { "at": "e.when", "k": "e.key", "s": "payload" }
        }),
    );
    let topics = Topics::start(&["events", "rows"], 1);
    let shape = |mut message: Json| {
        message["e"] = json!({ "when": message["at"].take(), "key": message["k"].take() });
        message["payload"] = message["s"].take();
        message
    };
    let messages = windows::messages(2, 900, &|micros| json!(micros), &shape);
    for message in &messages {
        topics.send("events", 0, message.as_bytes());
    }
    topics.flush();
    // Made in this century, but not in the next one.
    let now = Timestamp(4_000_000_000_000_000);
    let by_worker = windows::computed(&view.view, &messages, now);
    assert!(by_worker.len() > 100, "{}", by_worker.len());
    let settings = Settings { brokers: topics.brokers(), ..Settings::default() };
    let generated = Generator::new(settings).unwrap().render(&view).unwrap().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let job = Job::start(folder.path(), &generated.script.1, None);
    let begun = Instant::now();
    let mut rows = Vec::new();
    while rows.len() < by_worker.len() {
        let log = std::fs::read_to_string(folder.path().join("log")).unwrap_or_default();
        assert!(begun.elapsed() < PATIENCE, "{} of {}\n{log}", rows.len(), by_worker.len());
        std::thread::sleep(Duration::from_millis(500));
        rows = topics.committed("rows");
    }
    drop(job);
    let by_flink = windows::written(&view.view, rows.iter().map(|row| row.value.as_slice()));
    windows::assert_same(&view.view, &by_worker, &by_flink);
}

#[test]
fn conditions_are_of_a_row_what_the_worker_says() {
    conditions::refused();
    let (config, sql) = conditions::view();
    let view = project(&[File::new("w/all.v1.json", config), File::new("w/all.v1.sql", sql)]);
    let (events, expected) = conditions::rows(150);
    let rows = run_over(&view, &events);
    assert_eq!(rows.refused, []);
    conditions::assert_same(&expected, &rows.rows);
}
