//! Jobs that are changed in place, as their operator does it: stopped with a savepoint, and started from it as another
//! script. And what is not let through in place, for what would come of it.

use std::{collections::BTreeSet, path::PathBuf};

use serde_json::{Value as Json, json};
use trivium_model::{ChangeClass, Timestamp, config::classify_view};
use trivium_registry::project::ProjectView;
use trivium_streamgen::{Settings, job::Generator};

use crate::{
    assert_written, congestion,
    example::{Departure, departures, expected, shown},
    running::{Job, until},
    topics::Topics,
    windowed, windows,
};

/// How far a change reaches, as plan says.
fn class(old: &ProjectView, new: &ProjectView) -> Option<ChangeClass> {
    let of_config = classify_view(&old.view, &new.view).into_iter().map(|found| found.class).max();
    let of_sql = match (&old.flink, &new.flink) {
        (Some(old), Some(new)) if old.text() != new.text() => {
            assert!(old.means_the_same(new));
            Some(ChangeClass::Cosmetic)
        }
        _ => None,
    };
    of_config.max(of_sql)
}

fn script(view: &ProjectView, topics: &Topics) -> String {
    let settings = Settings { brokers: topics.brokers(), ..Settings::default() };
    Generator::new(settings).unwrap().render(view).unwrap().unwrap().script.1
}

const READ: &str = "flights.departures";
const WRITTEN: &str = "trivium.flights.airport_congestion.v1";
const ELSEWHERE: &str = "trivium.elsewhere";
const OTHER: &str = "flights.other";
const PARTITIONS: usize = 4;
const LAST_SEEN: &str =
    r#"{ "name": "last_seen", "type": "timestamp", "description": "The last departure." }"#;

/// Each of the changes, one upon the other. Windows last an hour and end every ten minutes, so that each stop is within six
/// of an airport's: what was counted before it has to be there after it.
#[test]
fn what_changes_in_place_keeps_the_state() {
    let topics = Topics::start(&[READ, WRITTEN, ELSEWHERE, OTHER], PARTITIONS as i32);
    let last = format!(",\n    {LAST_SEEN}\n  ]");
    let moved = format!("\"features\": [\n    {LAST_SEEN},");
    let changes: [(&str, Vec<(&str, &str)>); 7] = [
        ("more tasks", vec![(r#""parallelism": 2"#, r#""parallelism": 3"#)]),
        ("fewer tasks", vec![(r#""parallelism": 3"#, r#""parallelism": 1"#)]),
        ("checkpoints", vec![(r#""checkpoint": "1s""#, r#""checkpoint": "2s""#)]),
        ("idleness", vec![(r#""idle_timeout": "10m""#, r#""idle_timeout": "20m""#)]),
        (
            "what is written of it, and in which order",
            vec![
                ("-- The last hour, every ten minutes;", "-- An hour;\n--"),
                (&last, "\n  ]"),
                ("\"features\": [", &moved),
            ],
        ),
        ("where rows are written to", vec![(WRITTEN, ELSEWHERE)]),
        // Not in place.
        ("where messages are read from", vec![(READ, OTHER)]),
    ];
    let all = departures(0..200 * (changes.len() as i64 + 1));
    let mut parts = all.chunks(200);
    let end = Departure { origin: "ZZZ", delay: None, at: all.last().unwrap().at + 86_400_000 };
    let wanted = expected(&all);
    let send = |topic: &str, departures: &[Departure]| {
        for (number, departure) in departures.iter().enumerate() {
            let message = departure.message().to_string();
            topics.send(topic, (number % PARTITIONS) as i32, message.as_bytes());
        }
        topics.flush();
    };
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let read = || [WRITTEN, ELSEWHERE].map(|topic| topics.committed(topic));
    // The rows of all windows that are over by what has been sent, and of no other.
    let until_rows = |what: &str, sent: &[Departure]| {
        // The watermark is five minutes behind, and partitions are a minute apart at most.
        let over = sent.last().unwrap().at - 360_000;
        let is_over = |row: &&String| {
            let end = row.split(' ').nth(1).and_then(Timestamp::parse).unwrap();
            end.0 <= over * 1_000
        };
        let rows = expected(sent).iter().filter(is_over).count();
        until(folder, what, &mut || read().iter().map(Vec::len).sum::<usize>() >= rows);
        let mut seen = BTreeSet::new();
        for row in read().iter().flatten() {
            let row = shown(&serde_json::from_slice(&row.value).unwrap());
            assert!(wanted.contains(&row), "{what}: {row}");
            assert!(seen.insert(row.clone()), "{what}: twice {row}");
        }
    };
    let mut edits = vec![
        (r#""checkpoint": "10s""#, r#""checkpoint": "1s""#),
        // A partition that is idle holds nothing up, and would be late when it goes on.
        (r#""idle_timeout": "30s""#, r#""idle_timeout": "10m""#),
    ];
    let mut view = congestion(&edits);
    let mut sent = 0;
    let mut send_part = || {
        let part = parts.next().unwrap();
        send(READ, part);
        sent += part.len();
        &all[..sent]
    };
    let so_far = send_part();
    let mut job = Job::start(folder, &script(&view, &topics), None);
    until_rows("the first rows", so_far);
    for (number, (what, change)) in changes.iter().enumerate() {
        let savepoint = job.stop_with_savepoint();
        edits.extend(change);
        let changed = congestion(&edits);
        let is_last = number + 1 == changes.len();
        let reaches = class(&view, &changed).unwrap();
        assert_eq!(reaches > ChangeClass::Compatible, is_last, "{what}: {reaches}");
        let so_far = send_part();
        if is_last {
            // Messages of the old topic alone, but for the time in the new one.
            send(OTHER, &vec![end.clone(); PARTITIONS]);
        }
        job = Job::start(folder, &script(&changed, &topics), Some(&savepoint));
        until_rows(what, so_far);
        view = changed;
    }
    send(READ, &vec![end; PARTITIONS]);
    until(folder, "every row", &mut || read().iter().map(Vec::len).sum::<usize>() >= wanted.len());
    drop(job);
    assert_written(&view, &read(), &wanted);
    assert!(read().iter().all(|rows| !rows.is_empty()));
}

/// Of declared windows, whose state has the ids of events, too.
#[test]
fn windows_by_flink_are_changed_in_place() {
    let view = |job: Json, written: &str| {
        windowed(
            json!({
                "size": "60s", "slide": "15s", "allowed_lateness": "20s", "event_id": "id",
                "payload_topic": written, "job": job,
            }),
            json!({ "format": "json", "topic": "events", "time_unit": "us" }),
        )
    };
    let topics = Topics::start(&["events", "rows", "elsewhere"], 1);
    let views = [
        view(json!({ "checkpoint": "1s", "idle_timeout": "1s" }), "rows"),
        view(json!({ "checkpoint": "2s", "idle_timeout": "1s" }), "elsewhere"),
        // Of the two one has no partition, and has to be idle.
        view(json!({ "checkpoint": "2s", "idle_timeout": "2s", "parallelism": 2 }), "elsewhere"),
    ];
    let mut messages = windows::messages(3, 900, &|micros| json!(micros), &|message| message);
    let end = messages.pop().unwrap();
    let time = |message: &String| {
        let message: Json = serde_json::from_str(message).ok()?;
        message["k"].is_string().then_some(())?;
        message["at"].as_i64()
    };
    // With several tasks, an event that is late may count: the last third has none.
    let ordered = messages.split_off(600);
    let far = 4_000_000_000_000_000;
    let newest = messages.iter().filter_map(time).filter(|at| *at < far).max().unwrap();
    let mut ordered: Vec<(i64, String)> = ordered
        .into_iter()
        .filter_map(|message| Some((time(&message)?, message)))
        .filter(|(at, _)| (newest..far).contains(at))
        .collect();
    ordered.sort_by_key(|(at, _)| *at);
    assert!(ordered.len() > 100, "{}", ordered.len());
    messages.extend(ordered.into_iter().map(|(_, message)| message));
    let now = Timestamp(far);
    let all: Vec<String> = messages.iter().cloned().chain([end.clone()]).collect();
    let by_worker = windows::computed(&views[0].view, &all, now);

    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let read = || ["rows", "elsewhere"].map(|topic| topics.committed(topic));
    let count = || read().iter().map(Vec::len).sum::<usize>();
    let mut savepoint: Option<PathBuf> = None;
    let parts = [&messages[..300], &messages[300..600], &messages[600..]];
    for (number, part) in parts.into_iter().enumerate() {
        for message in part {
            topics.send("events", 0, message.as_bytes());
        }
        let is_last = number + 1 == views.len();
        if is_last {
            topics.send("events", 0, end.as_bytes());
        }
        topics.flush();
        if number > 0 {
            let reaches = class(&views[number - 1], &views[number]);
            assert_eq!(reaches, Some(ChangeClass::Compatible));
        }
        let before = count();
        let job = Job::start(folder, &script(&views[number], &topics), savepoint.as_deref());
        let wanted = if is_last { by_worker.len() } else { before + 50 };
        until(folder, "rows of windows", &mut || count() >= wanted);
        if is_last {
            break;
        }
        savepoint = Some(job.stop_with_savepoint());
    }
    let rows = read();
    assert!(rows.iter().all(|rows| !rows.is_empty()));
    let payloads = rows.iter().flatten().map(|row| row.value.as_slice());
    let by_flink = windows::written(&views[0].view, payloads);
    windows::assert_same(&views[0].view, &by_worker, &by_flink);
}
