//! Inputs and jobs of stream views, right and wrong, and how far their changes reach.

use expect_test::{Expect, expect};

use super::{check_view_text, edited, lines};
use crate::config::{classify_view, parse_view};
use crate::{DataType, FeatureView, InputFormat, StreamJob, TimeSpan, TimeUnit};

const JOB: &str = r#"{
  "namespace": "flights",
  "name": "carrier_daily",
  "version": 1,
  "lane": "stream",
  "description": "Departures as they happen.",
  "owner": { "team": "ops-ml", "contact": "ops-ml@example.com" },
  "urgency_tier": 1,
  "entities": [{ "name": "carrier", "type": "string" }],
  "event_timestamp": "event_ts",
  "features": [{ "name": "delay", "type": "float64", "description": "Minutes." }],
  "inputs": [
    {
      "name": "departed",
      "format": "json",
      "topic": "flights.departed",
      "columns": [
        { "name": "carrier", "type": "string", "path": "carrier.code" },
        { "name": "delay", "type": "float64" },
        { "name": "at", "type": "timestamp" }
      ],
      "event_time": "at",
      "watermark": "1m",
      "time_unit": "ms"
    }
  ],
  "job": { "parallelism": 2, "state_ttl": "2h" },
  "source": { "format": "json", "topic": "trivium.carrier_daily" }
}
"#;

fn check(edits: &[(&str, &str)], expected: Expect) {
    check_view_text(&edited(JOB, edits), expected);
}

fn view(edits: &[(&str, &str)]) -> FeatureView {
    parse_view(super::VIEW_PATH, &edited(JOB, edits))
        .unwrap_or_else(|found| panic!("{}", lines(&found)))
}

#[test]
fn what_a_job_says_is_what_the_view_has() {
    let job = view(&[]).job.unwrap();
    assert_eq!((job.parallelism, job.state_ttl), (2, Some("2h".parse().unwrap())));
    assert_eq!(
        (job.checkpoint, job.idle_timeout),
        (StreamJob::CHECKPOINT, StreamJob::IDLE_TIMEOUT)
    );
    let input = job.input("departed").unwrap();
    assert_eq!((input.format, input.time_unit), (InputFormat::Json, Some(TimeUnit::Millis)));
    assert_eq!(input.watermark, "1m".parse::<TimeSpan>().unwrap());
    assert_eq!(input.columns[0].steps(), ["carrier", "code"]);
    assert_eq!(input.columns[2].steps(), ["at"]);
    assert_eq!(input.columns[2].data_type, DataType::Timestamp);
    // As it is stored, and comes back.
    let view = view(&[]);
    let text = serde_json::to_string(&view).unwrap();
    assert_eq!(serde_json::from_str::<FeatureView>(&text).unwrap(), view);
}

#[test]
fn rows_come_of_sql_or_of_windows() {
    let window = r#""window": { "size": "1h", "columns": [{ "name": "d", "type": "float64" }], "features": { "delay": { "mean": "d" } }, "payload_topic": "p" },"#;
    check(
        &[(r#""job": {"#, &format!("{window}\n  \"job\": {{"))],
        expect![[r#"
        27:13: error[bad-window]: a view with `inputs` has its rows from its SQL, not from windows of events, make the windows in the SQL, or remove `inputs` and the SQL
    "#]],
    );
}

#[test]
fn bad_inputs() {
    check(
        &[(r#""lane": "stream""#, r#""lane": "direct""#)],
        expect![[r#"
        12:13: error[wrong-lane]: a direct view cannot have `inputs`, remove `inputs`, or make the lane `stream`
        27:10: error[wrong-lane]: a direct view cannot have `job`, remove `job`, or make the lane `stream`
        28:13: error[wrong-lane]: a direct view cannot have `source`, remove `source`, or make the lane `stream`
    "#]],
    );
    check(
        &[(r#""event_time": "at""#, r#""event_time": "att""#)],
        expect![[r#"
        22:21: error[unknown-column]: the input has no column `att`, did you mean `at`?
    "#]],
    );
    check(
        &[(r#""event_time": "at""#, r#""event_time": "delay""#)],
        expect![[r#"
        22:21: error[bad-type]: the event time `delay` is of type float64, make its type `timestamp`; with `time_unit` it may be a number in messages
    "#]],
    );
    check(
        &[(r#""name": "departed""#, r#""name": "trivium_x""#)],
        expect![[r#"
        14:15: error[name-collision]: tables whose names begin with `trivium_` are the job's own, rename it
    "#]],
    );
    check(
        &[("carrier.code", "$key.code")],
        expect![[r#"
        18:56: error[bad-path]: `$key.code` is not in the value, name a field of the value, as in `departure.at`
    "#]],
    );
    check(
        &[("carrier.code", "trivium_time")],
        expect![[r#"
        18:56: error[bad-path]: fields whose names begin with `trivium_` are the job's own, leave it out
    "#]],
    );
    check(
        &[("carrier.code", "delay.code")],
        expect![[r#"
        17:18: error[bad-path]: `carrier` and `delay` stand in one place, or one within the other, declare one of them
    "#]],
    );
    check(
        &[(r#""name": "delay", "type": "float64" }"#, r#""name": "carrier", "type": "string" }"#)],
        expect![[r#"
            19:19: error[duplicate-item]: the column `carrier` is declared twice, keep one
        "#]],
    );
    check(
        &[(
            r#""name": "delay", "type": "float64" }"#,
            r#""name": "delay", "type": { "list": "timestamp" } }"#,
        )],
        expect![[r#"
            19:36: error[bad-type]: in a list, numbers cannot be read as instants, write `{ "list": "int64" }`, or leave the column out
        "#]],
    );
    check(
        &[(
            r#""name": "delay", "type": "float64" }"#,
            r#""name": "delay", "type": { "embedding": { "dimension": 3, "metric": "l2" } } }"#,
        )],
        expect![[r#"
            19:36: error[bad-type]: an input has no embeddings, for Flink has none, write `{ "list": "float32" }`
        "#]],
    );
    check(
        &[("flights.departed", "flights/departed")],
        expect![[r#"
        16:16: error[bad-topic]: this is no topic's name, use letters, digits, `.`, `_` and `-`
    "#]],
    );
    check(
        &[("flights.departed", "trivium.carrier_daily")],
        expect![[r#"
        16:16: error[bad-source]: `trivium.carrier_daily` is the topic that the job writes, let `source` name a topic of the view's own
    "#]],
    );
    check(
        &[(r#"{ "format": "json", "topic": "trivium.carrier_daily" }"#, "null")],
        expect![[r#"
        12:13: error[missing-field]: a view with `inputs` has no `source`, add the topic that its job writes and the worker reads, as in `"source": { "format": "json", "topic": "trivium.flights.congestion.v1" }`
    "#]],
    );
    check(
        &[(
            r#"{ "format": "json", "topic""#,
            r#"{ "format": "avro", "system": "kinesis", "time_unit": "ms", "topic""#,
        )],
        expect![[r#"
            28:25: error[bad-source]: the view's job writes this topic, and not as `avro`, write `json`
            28:43: error[bad-source]: the view's job writes this topic once in effect, which Kinesis cannot do, write `kafka`; inputs may be of Kinesis
            28:67: error[bad-source]: the view's job writes this topic: columns stand under their names, instants as text, remove `time_unit`
        "#]],
    );
    check(
        &[(r#""parallelism": 2"#, r#""parallelism": 0"#)],
        expect![[r#"
        27:27: error[out-of-range]: `parallelism` is 0, write a whole number from 1 to 128
    "#]],
    );
    check(
        &[(r#""state_ttl": "2h""#, r#""checkpoint": "2d""#)],
        expect![[r#"
        27:44: error[out-of-range]: `checkpoint` is longer than a day, at most `1d`
    "#]],
    );
    check(
        &[(r#""watermark": "1m""#, r#""watermark": 60"#)],
        expect![[r#"
        23:20: error[wrong-type]: `watermark` is the number 60, write a string
    "#]],
    );
    let (head, rest) = JOB.split_once("  \"inputs\"").unwrap();
    let (_, tail) = rest.split_once("\n  ],\n").unwrap();
    check_view_text(
        &format!("{head}{tail}"),
        expect![[r#"
            12:10: error[missing-field]: a job without `inputs` reads nothing, add `inputs`, or remove `job`: without SQL, rows are read from `source`
        "#]],
    );
}

#[test]
fn changes_of_jobs() {
    let changed = |edits: &[(&str, &str)]| {
        let differences = classify_view(&view(&[]), &view(edits));
        differences.iter().map(|difference| format!("{difference}\n")).collect::<String>()
    };
    // Each would be restored from state of the other, and be wrong: `streamgen/tests/flink`.
    expect![[r#"
        behaviour: inputs.departed.topic: flights.departed → departed, a job that goes on from its state would read the old one, too
        behaviour: inputs.departed.watermark: 1m → 2m, other messages come too late for their windows
    "#]].assert_eq(&changed(&[("flights.departed", "departed"), ("\"1m\"", "\"2m\"")]));
    expect![[r#"
        behaviour: inputs.departed.system: kafka → kinesis, the job's state does not say where to go on there
    "#]]
    .assert_eq(&changed(&[(
        r#""topic": "flights.departed""#,
        r#""system": "kinesis", "topic": "flights.departed""#,
    )]));
    expect![[r#"
        behaviour: job: `flights` is written, too: the job's state may not fit that
        compatible: features.flights: added as int64: nobody reads it yet, older rows show its default
    "#]]
    .assert_eq(&changed(&[(
        r#""features": ["#,
        r#""features": [{ "name": "flights", "type": "int64", "description": "." }, "#,
    )]));
    expect![[r#"
        behaviour: job.state_ttl: 2h → none, state is forgotten at another time
        behaviour: job.idle_timeout: 1m → 5s, messages of a partition that paused so long come too late for their windows
        compatible: job.parallelism: 2 → 1, the same rows sooner or later
        compatible: job.checkpoint: 30s → 10s, the same rows sooner or later
    "#]]
    .assert_eq(&changed(&[(
        r#""parallelism": 2, "state_ttl": "2h""#,
        r#""checkpoint": "10s", "idle_timeout": "5s""#,
    )]));
    expect![[r#"
        compatible: job.idle_timeout: 1m → 2m, windows wait longer for a partition that pauses, and miss nothing for it
    "#]]
    .assert_eq(&changed(&[(r#""parallelism": 2"#, r#""parallelism": 2, "idle_timeout": "2m""#)]));
    expect![[r#"
        compatible: source.topic: trivium.carrier_daily → t, rows come from elsewhere and mean the same
    "#]]
    .assert_eq(&changed(&[("trivium.carrier_daily", "t")]));
    expect![[r#"
        behaviour: inputs.departed.time_unit: ms → us, numbers mean other instants
        behaviour: inputs.departed.columns: changed: the job reads messages otherwise
    "#]]
    .assert_eq(&changed(&[("\"ms\"", "\"us\""), ("carrier.code", "carrier.id")]));
    expect![[r#"
        behaviour: inputs.departed: removed
        behaviour: inputs.departures: added
    "#]]
    .assert_eq(&changed(&[(r#""name": "departed""#, r#""name": "departures""#)]));
    let widened = |of: &str| view(&[(r#""delay", "type": "float64", "description""#, of)]);
    let differences = classify_view(
        &widened(r#""delay", "type": "float32", "description""#),
        &widened(r#""delay", "type": "float64", "description""#),
    );
    expect![[r#"
        behaviour: job: `delay` is written as float64: the job's state may not fit that
        compatible: features.delay.type: float32 → float64, wider: every old value fits
    "#]]
    .assert_eq(&differences.iter().map(|difference| format!("{difference}\n")).collect::<String>());
}
