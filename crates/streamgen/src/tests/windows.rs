//! Jobs of declared windows: one whole, and what is refused.

use expect_test::{Expect, expect};
use trivium_registry::project::{File, ProjectView, load_project};

use super::generator;
use crate::local::events;

const VIEW: &str = r#"{
  "namespace": "flights", "name": "live", "version": 2, "lane": "stream",
  "description": "Live.", "owner": { "team": "ops", "contact": "ops@example.com" }, "urgency_tier": 1,
  "entities": [{ "name": "origin", "type": "string" }, { "name": "gate", "type": "int64" }],
  "event_timestamp": "event_ts", "time_zone": "Europe/Berlin",
  "features": [
    { "name": "departures", "type": "int64", "description": "Flights." },
    { "name": "delay", "type": "float64", "description": "Mean." },
    { "name": "people", "type": "int64", "description": "Sum." },
    { "name": "carrier", "type": "string", "description": "Last." },
    { "name": "most", "type": "float64", "description": "Largest." }
  ],
  "source": {
    "format": "json", "topic": "departures", "time_unit": "us",
    "columns": { "event_ts": "departure.at", "gate": "departure.gate", "minutes": "delay" }
  },
  "window": {
    "size": "1h", "slide": "5m", "allowed_lateness": "10m",
    "columns": [
      { "name": "minutes", "type": "float64" }, { "name": "people", "type": "int64" },
      { "name": "carrier", "type": "string" }, { "name": "flight_id", "type": "string" },
      { "name": "unused", "type": "bytes" }
    ],
    "event_id": "flight_id",
    "filter": "people > 0 AND origin <> 'it`s;\u00fc'",
    "features": {
      "departures": "count", "delay": { "mean": "minutes" }, "people": { "sum": "people" },
      "carrier": { "last": "carrier" }, "most": { "max": "minutes" }
    },
    "payload_topic": "trivium.live",
    "job": { "parallelism": 2, "state_ttl": "2h" }
  }
}"#;

fn view(edits: &[(&str, &str)]) -> ProjectView {
    let mut json = VIEW.to_owned();
    for (from, to) in edits {
        assert!(json.contains(from), "{from}");
        json = json.replace(from, to);
    }
    let files = [File::new("flights/live.v2.json", json)];
    let project = load_project(&files).unwrap_or_else(|found| panic!("{found:#?}"));
    project.views.into_values().next().unwrap()
}

#[test]
fn windows_become_a_job() {
    let generated = generator().render(&view(&[])).unwrap().unwrap();
    let (path, script) = generated.script;
    assert_eq!(path, "flights/live.v2.sql");
    let body = script.split_once("\nSET ").unwrap().1;
    expect![[r#"
        'pipeline.name' = 'flights/live@2';
        SET 'pipeline.max-parallelism' = '128';
        SET 'parallelism.default' = '2';
        SET 'execution.checkpointing.interval' = '30000 ms';
        SET 'execution.checkpointing.mode' = 'EXACTLY_ONCE';
        SET 'execution.checkpointing.externalized-checkpoint-retention' = 'RETAIN_ON_CANCELLATION';
        SET 'table.exec.source.idle-timeout' = '60000 ms';
        SET 'table.exec.state.ttl' = '7200000 ms';
        SET 'execution.runtime-mode' = 'STREAMING';
        SET 'table.local-time-zone' = 'UTC';
        SET 'table.dynamic-table-options.enabled' = 'false';

        -- An input's messages as they are, and what the query sees of them: none without an event time.
        CREATE TEMPORARY TABLE `trivium_messages` (
          `departure` ROW<`gate` BIGINT, `at` BIGINT>,
          `origin` STRING,
          `delay` DOUBLE,
          `people` BIGINT,
          `carrier` STRING,
          `flight_id` STRING,
          `unused` BYTES,
          `trivium_made` TIMESTAMP_LTZ(3) METADATA FROM 'timestamp' VIRTUAL,
          `trivium_offset` BIGINT METADATA FROM 'offset' VIRTUAL,
          `trivium_time` AS CASE WHEN `departure`.`gate` IS NOT NULL AND `origin` IS NOT NULL AND `departure`.`at` IS NOT NULL AND `departure`.`at` BETWEEN -62135596800000000 AND 253402300799999999 AND (`trivium_made` < TO_TIMESTAMP_LTZ(0, 3) OR CAST(TO_TIMESTAMP_LTZ(`departure`.`at`, 6) AS TIMESTAMP_LTZ(6)) <= `trivium_made` + INTERVAL '1' HOUR) THEN CAST(CAST(TO_TIMESTAMP_LTZ(`departure`.`at`, 6) AS TIMESTAMP_LTZ(6)) AS TIMESTAMP_LTZ(3)) ELSE TO_TIMESTAMP_LTZ(0, 3) END,
          WATERMARK FOR `trivium_time` AS `trivium_time` - INTERVAL '600.001' SECOND(3, 3)
        ) WITH (
          'connector' = 'kafka',
          'topic' = 'departures',
          'properties.bootstrap.servers' = '127.0.0.1:9092',
          'properties.group.id' = 'trivium-flights.live.v2',
          'properties.auto.offset.reset' = 'earliest',
          'properties.isolation.level' = 'read_committed',
          'scan.startup.mode' = 'group-offsets',
          'format' = 'json',
          'json.timestamp-format.standard' = 'ISO-8601',
          'json.ignore-parse-errors' = 'true',
          'scan.watermark.emit.strategy' = 'on-event'
        );
        CREATE TEMPORARY VIEW `trivium_events` AS SELECT
          `trivium_time` AS `trivium_time`,
          CONCAT(DATE_FORMAT(CAST(TO_TIMESTAMP_LTZ(`departure`.`at`, 6) AS TIMESTAMP_LTZ(6)), 'yyyy-MM-dd HH:mm:ss.SSSSSS'), LPAD(CAST(`trivium_offset` AS STRING), 19, '0')) AS `trivium_order`,
          ((UNIX_TIMESTAMP(DATE_FORMAT(CAST(TO_TIMESTAMP_LTZ(`departure`.`at`, 6) AS TIMESTAMP_LTZ(6)), 'yyyy-MM-dd HH:mm:ss')) - MOD(MOD(UNIX_TIMESTAMP(DATE_FORMAT(CAST(TO_TIMESTAMP_LTZ(`departure`.`at`, 6) AS TIMESTAMP_LTZ(6)), 'yyyy-MM-dd HH:mm:ss')), 300) + 300, 300)) / 300) AS `trivium_tile`,
          CASE WHEN `flight_id` IS NULL THEN `trivium_offset` END AS `trivium_alone`,
          PROCTIME() AS `trivium_processed`,
          `departure`.`gate` AS `gate`,
          `origin` AS `origin`,
          `delay` AS `minutes`,
          `people` AS `people`,
          `carrier` AS `carrier`,
          `flight_id` AS `flight_id`
        FROM `trivium_messages` WHERE `departure`.`gate` IS NOT NULL AND `origin` IS NOT NULL AND `departure`.`at` IS NOT NULL AND `departure`.`at` BETWEEN -62135596800000000 AND 253402300799999999 AND (`trivium_made` < TO_TIMESTAMP_LTZ(0, 3) OR CAST(TO_TIMESTAMP_LTZ(`departure`.`at`, 6) AS TIMESTAMP_LTZ(6)) <= `trivium_made` + INTERVAL '1' HOUR) AND ((`people` > CAST('0' AS BIGINT)) AND (`origin` <> CAST(U&'it\0060s\003b\00fc' AS STRING)));

        CREATE TEMPORARY VIEW `trivium_counted` AS
        SELECT * FROM (
          SELECT *, ROW_NUMBER() OVER (PARTITION BY `gate`, `origin`, `trivium_tile`, `flight_id`, `trivium_alone` ORDER BY `trivium_processed` ASC) AS `trivium_nth`
          FROM `trivium_events`
        ) WHERE `trivium_nth` = 1
        ;

        -- What the worker reads: of an entity, the newest row counts.
        CREATE TEMPORARY TABLE `trivium_payload` (
          `gate` BIGINT,
          `origin` STRING,
          `event_ts` TIMESTAMP_LTZ(6),
          `carrier` STRING,
          `delay` DOUBLE,
          `departures` BIGINT,
          `most` DOUBLE,
          `people` BIGINT
        ) WITH (
          'connector' = 'kafka',
          'topic' = 'trivium.live',
          'properties.bootstrap.servers' = '127.0.0.1:9092',
          'properties.transaction.timeout.ms' = '900000',
          'sink.delivery-guarantee' = 'exactly-once',
          'sink.transactional-id-prefix' = 'trivium-flights.live.v2',
          'key.format' = 'json',
          'key.json.timestamp-format.standard' = 'ISO-8601',
          'key.fields' = 'gate;origin',
          'value.format' = 'json',
          'value.json.timestamp-format.standard' = 'ISO-8601',
          'value.fields-include' = 'ALL'
        );

        CREATE TEMPORARY VIEW `trivium_rows` AS
        SELECT
          `gate`,
          `origin`,
          `window_end` AS `event_ts`,
          COUNT(*) AS `departures`,
          CAST(SUM(CAST(`minutes` AS DOUBLE)) AS DOUBLE) / CAST(COUNT(`minutes`) AS DOUBLE) AS `delay`,
          CASE WHEN SUM(CAST(`people` AS DECIMAL(19, 0))) BETWEEN CAST('-9223372036854775808' AS BIGINT) AND CAST('9223372036854775807' AS BIGINT) THEN CAST(SUM(CAST(`people` AS DECIMAL(19, 0))) AS BIGINT) END AS `people`,
          CAST(SUBSTRING(MAX(CONCAT(`trivium_order`, CAST(`carrier` AS STRING))) FROM 46) AS STRING) AS `carrier`,
          COALESCE(MAX(CASE WHEN CAST(`minutes` AS STRING) = 'NaN' THEN `minutes` END), MAX(CASE WHEN CAST(`minutes` AS STRING) <> 'NaN' THEN `minutes` END)) AS `most`
        FROM TABLE(HOP(TABLE `trivium_counted`, DESCRIPTOR(`trivium_time`), INTERVAL '300' SECOND(3), INTERVAL '3600' SECOND(4)))
        GROUP BY `gate`, `origin`, `window_start`, `window_end`
        ;

        INSERT INTO `trivium_payload` SELECT
          `gate`,
          `origin`,
          `event_ts`,
          `carrier`,
          `delay`,
          `departures`,
          `most`,
          `people`
        FROM `trivium_rows`;
    "#]].assert_eq(body);
    assert!(generated.manifest.1.contains("parallelism: 2"), "{}", generated.manifest.1);
    // Where workers compute them, nobody asks for a job.
    let by_worker = [(",\n    \"job\": { \"parallelism\": 2, \"state_ttl\": \"2h\" }", "")];
    assert!(generator().render(&view(&by_worker)).unwrap().is_none());
}

/// By their order, the job's state would have its keys the other way round.
#[test]
fn the_order_of_entities_makes_no_other_job() {
    let (origin, gate) =
        (r#"{ "name": "origin", "type": "string" }"#, r#"{ "name": "gate", "type": "int64" }"#);
    let turned = view(&[(&format!("[{origin}, {gate}]"), &format!("[{gate}, {origin}]"))]);
    let scripts = [view(&[]), turned].map(|view| generator().render(&view).unwrap().unwrap());
    assert_eq!(scripts[0], scripts[1]);
}

#[test]
fn windows_over_recorded_events_have_one_input() {
    let script = generator().local(&view(&[]), "/x").unwrap().unwrap().text;
    assert!(script.contains("'path' = 'file:///x/in/events'"), "{script}");
    // Files have no positions, and messages in them no times.
    assert!(!script.contains("METADATA") && !script.contains("trivium_made"), "{script}");
    let found = events(&view(&[]).view, "e", "{\"value\": 1}\n").unwrap();
    assert_eq!(found["events"], "1\n");
}

fn refused(edits: &[(&str, &str)], expected: Expect) {
    let error = generator().render(&view(edits)).unwrap_err();
    expected.assert_eq(&error.to_string());
}

#[test]
fn what_flink_would_do_otherwise_is_refused() {
    refused(
        &[(r#""json", "topic""#, r#""avro", "topic""#)],
        expect![
            "flights/live.v2.json: source.format: a job does not read messages of format `avro`; send them as JSON, or remove `window.job`: the worker computes it"
        ],
    );
    refused(
        &[("\"departure.gate\"", "\"$key.gate\"")],
        expect![
            "flights/live.v2.json: source.columns.gate: a job does not read `$key.gate`; let it stand in the message's value, or remove `window.job`: the worker computes it"
        ],
    );
    refused(
        &[
            ("\"departure.gate\"", "\"departure.at\""),
            (r#""gate", "type": "int64""#, r#""gate", "type": "string""#),
        ],
        expect![
            "flights/live.v2.json: source.columns.event_ts: a job cannot read one field as two types, as for `gate` and `event_ts`; declare one of them, or remove `window.job`: the worker computes it"
        ],
    );
    refused(
        &[("\"minutes\": \"delay\"", "\"minutes\": \"departure\"")],
        expect![
            "flights/live.v2.json: source.columns.minutes: a job cannot read one field as two types, as for `gate` and `minutes`; declare one of them, or remove `window.job`: the worker computes it"
        ],
    );
    refused(
        &[("\"minutes\": \"delay\"", "\"minutes\": \"trivium_x\"")],
        expect![
            "flights/live.v2.json: source.columns.minutes: in a job, names that begin with `trivium_` are its own; rename the message's field, or remove `window.job`: the worker computes it"
        ],
    );
    refused(
        &[("\"unused\"", "\"window_end\"")],
        expect![
            "flights/live.v2.json: `window_end`: in a job, `window_end` is a column of Flink's or the job's own; rename it, or remove `window.job`: the worker computes it"
        ],
    );
    refused(
        &[
            (r#""carrier", "type": "string", "desc"#, r#""carrier", "type": "bytes", "desc"#),
            (r#""carrier", "type": "string" }"#, r#""carrier", "type": "bytes" }"#),
        ],
        expect![
            "flights/live.v2.json: window.features.carrier: Flink has no `last` of bytes; send it as text, or remove `window.job`: the worker computes it"
        ],
    );
    refused(
        &[
            (
                r#""people", "type": "int64", "desc"#,
                r#""people", "type": { "decimal": { "precision": 38, "scale": 2 } }, "desc"#,
            ),
            (
                r#""people", "type": "int64" }"#,
                r#""people", "type": { "decimal": { "precision": 29, "scale": 2 } } }"#,
            ),
        ],
        expect![
            "flights/live.v2.json: window.features.people: Flink's sum of decimal(29, 2) begins anew where it is beyond 38 digits, unseen; declare `people` with 28 digits at most, or remove `window.job`: the worker computes it"
        ],
    );
    refused(
        &[("people > 0", "round(minutes) > 0e0")],
        expect![
            "flights/live.v2.json:25:16: window.filter: for a job, `round`: it has no equal in Flink; write it otherwise, or remove `window.job`: the worker computes it"
        ],
    );
}
