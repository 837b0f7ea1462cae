//! Inputs and payloads of every type, and settings that cannot be.

use std::collections::BTreeMap;

use expect_test::{Expect, expect};

use crate::{
    Settings,
    tables::{Places, input, interval, payload},
};

use super::{SQL, view};

#[test]
fn every_type_has_its_column() {
    let loaded = view(
        &[
            (
                r#"{ "name": "page", "type": "string" }"#,
                r#"{ "name": "page", "type": "string", "path": "site.page`s" },
                   { "name": "site", "type": "bytes", "path": "site.id" },
                   { "name": "seen", "type": "timestamp" }, { "name": "on_day", "type": "date" },
                   { "name": "flags", "type": { "list": "bool" } },
                   { "name": "price", "type": { "decimal": { "precision": 9, "scale": 2 } } }"#,
            ),
            (
                r#"{ "name": "page", "type": "string", "description": "The page." }"#,
                r#"{ "name": "page", "type": "string", "description": "The page." },
                   { "name": "a", "type": "bool", "description": "A." }, { "name": "b", "type": "int32", "description": "B." },
                   { "name": "c", "type": "float32", "description": "C." }, { "name": "d", "type": "bytes", "description": "D." },
                   { "name": "e", "type": "date", "description": "E." },
                   { "name": "f", "type": { "decimal": { "precision": 9, "scale": 2 } }, "description": "F." },
                   { "name": "g", "type": { "list": { "decimal": { "precision": 9, "scale": 2 } } }, "description": "G." },
                   { "name": "h", "type": { "embedding": { "dimension": 3, "metric": "l2" } }, "description": "H." }"#,
            ),
        ],
        "SELECT user_id, `at` AS event_ts, page, TRUE AS a, 1 AS b, CAST(1 AS FLOAT) AS c, site AS d, on_day AS e, price AS f, ARRAY[price] AS g, CAST(NULL AS ARRAY<FLOAT>) AS h FROM clicks",
    );
    let settings = Settings::default();
    let job = loaded.view.job.clone().unwrap();
    let made = input(&loaded.view, &job.inputs[0], Places::Systems(&settings)).unwrap();
    let lines = |lines: &[String]| lines.join("\n") + "\n";
    expect![[r#"
        `user_id` BIGINT
        `site` ROW<`page``s` STRING, `id` BYTES>
        `seen` TIMESTAMP_LTZ(6)
        `on_day` DATE
        `flags` ARRAY<BOOLEAN>
        `price` DECIMAL(9, 2)
        `at` TIMESTAMP_LTZ(3)
        `trivium_time` AS COALESCE(`at`, TO_TIMESTAMP_LTZ(0, 3))
        WATERMARK FOR `trivium_time` AS `trivium_time` - INTERVAL '10' SECOND(2)
        `user_id` AS `user_id`
        `site`.`page``s` AS `page`
        `site`.`id` AS `site`
        `seen` AS `seen`
        `on_day` AS `on_day`
        `flags` AS `flags`
        `price` AS `price`
        `trivium_time` AS `at`
    "#]]
    .assert_eq(&(lines(&made.messages.columns) + &lines(&made.columns)));
    let made = payload(&loaded.view, Places::Systems(&settings));
    expect![[r#"
        `user_id` BIGINT
        `event_ts` TIMESTAMP_LTZ(6)
        `a` BOOLEAN
        `b` INT
        `c` FLOAT
        `d` BYTES
        `e` DATE
        `f` STRING
        `g` ARRAY<STRING>
        `h` ARRAY<FLOAT>
        `page` STRING
        `user_id`
        `event_ts`
        `a`
        `b`
        `c`
        `d`
        `e`
        CAST(CAST(`f` AS DECIMAL(9, 2)) AS STRING)
        CAST(CAST(`g` AS ARRAY<DECIMAL(9, 2)>) AS ARRAY<STRING>)
        `h`
        `page`
    "#]]
    .assert_eq(&(lines(&made.table.columns) + &lines(&made.values)));
}

fn times(unit: &str, expected: Expect) {
    let unit = format!(r#""event_time": "at", "time_unit": "{unit}""#);
    let loaded = view(&[(r#""event_time": "at""#, &unit)], SQL);
    let job = loaded.view.job.clone().unwrap();
    let made = input(&loaded.view, &job.inputs[0], Places::Folder("/x")).unwrap();
    expected.assert_eq(&made.messages.columns[2..4].join("\n"));
}

#[test]
fn numbers_are_instants_by_their_unit() {
    times(
        "s",
        expect![[r#"
        `at` BIGINT
        `trivium_time` AS COALESCE(TO_TIMESTAMP_LTZ(`at`, 0), TO_TIMESTAMP_LTZ(0, 3))"#]],
    );
    times(
        "ms",
        expect![[r#"
        `at` BIGINT
        `trivium_time` AS COALESCE(TO_TIMESTAMP_LTZ(`at`, 3), TO_TIMESTAMP_LTZ(0, 3))"#]],
    );
    times(
        "us",
        expect![[r#"
        `at` BIGINT
        `trivium_time` AS COALESCE(TO_TIMESTAMP_LTZ(`at` / 1000, 3), TO_TIMESTAMP_LTZ(0, 3))"#]],
    );
    times(
        "ns",
        expect![[r#"
        `at` BIGINT
        `trivium_time` AS COALESCE(TO_TIMESTAMP_LTZ(`at` / 1000000, 3), TO_TIMESTAMP_LTZ(0, 3))"#]],
    );
}

#[test]
fn intervals_have_three_digits_at_most() {
    assert_eq!(interval(0, Some(1)), "INTERVAL '0.001' SECOND(2, 3)");
    assert_eq!(interval(999, None), "INTERVAL '999' SECOND(3)");
    assert_eq!(interval(1_000, None), "INTERVAL '0 00:16:40' DAY(3) TO SECOND(3)");
    let long = 100 * 86_400 + 3_725;
    assert_eq!(interval(long, Some(1)), "INTERVAL '100 01:02:05.001' DAY(3) TO SECOND(3)");
}

#[test]
fn kinesis_needs_to_know_whose() {
    let loaded =
        view(&[(r#""topic": "web.clicks""#, r#""topic": "web.clicks", "system": "kinesis""#)], SQL);
    let job = loaded.view.job.clone().unwrap();
    let mut settings = Settings::default();
    let error = input(&loaded.view, &job.inputs[0], Places::Systems(&settings)).unwrap_err();
    expect![[r#"shop/clicks@3: inputs.clicks: it is of Kinesis, and the project does not say whose; add `kinesis = "arn:aws:kinesis:REGION:ACCOUNT:stream/"` to [flink] of the project file"#]].assert_eq(&error.to_string());
    settings.kinesis = Some("arn:aws:kinesis:eu-west-1:123456789012:stream/".to_owned());
    let options = |settings: &Settings| {
        let made = input(&loaded.view, &job.inputs[0], Places::Systems(settings)).unwrap();
        let options = made.messages.options.iter().map(|(key, value)| format!("{key} = {value}"));
        options.collect::<Vec<_>>().join("\n")
    };
    expect![[r#"
        'connector' = 'kinesis'
        'stream.arn' = 'arn:aws:kinesis:eu-west-1:123456789012:stream/web.clicks'
        'aws.region' = 'eu-west-1'
        'source.init.position' = 'TRIM_HORIZON'
        'format' = 'json'
        'json.timestamp-format.standard' = 'ISO-8601'
        'json.ignore-parse-errors' = 'true'"#]]
    .assert_eq(&options(&settings));
    // The project's own replace the job's.
    settings.kinesis_options = BTreeMap::from_iter(
        [("aws.endpoint", "http://127.0.0.1:4567"), ("source.init.position", "LATEST")]
            .map(|(key, value)| (key.to_owned(), value.to_owned())),
    );
    expect![[r#"
        'connector' = 'kinesis'
        'stream.arn' = 'arn:aws:kinesis:eu-west-1:123456789012:stream/web.clicks'
        'aws.region' = 'eu-west-1'
        'source.init.position' = 'LATEST'
        'aws.endpoint' = 'http://127.0.0.1:4567'
        'format' = 'json'
        'json.timestamp-format.standard' = 'ISO-8601'
        'json.ignore-parse-errors' = 'true'"#]]
    .assert_eq(&options(&settings));
}

#[test]
fn settings_that_cannot_be() {
    let refused = |text: &str| {
        Settings::parse("trivium.toml", text)
            .map_or_else(|error| error.to_string(), |_| String::new())
    };
    expect!["trivium.toml:2:1: unknown field `broker`, expected one of `brokers`, `kinesis`, `state`, `image`, `version`, `namespace`, `service_account`, `job_manager_memory`, `task_manager_memory`, `slots`, `conf`, `kafka`, `kinesis_options`; correct the project file"].assert_eq(&refused("[flink]\nbroker = \"a:1\""));
    expect!["trivium.toml: flink.brokers: it is empty, or has blanks; write it in one word"]
        .assert_eq(&refused("[flink]\nbrokers = \"a:1, b:1\""));
    expect!["trivium.toml: flink.kinesis: `arn:aws:s3:::x` is not what ARNs of streams begin with; write `arn:aws:kinesis:REGION:ACCOUNT:stream/`"].assert_eq(&refused("[flink]\nkinesis = \"arn:aws:s3:::x\""));
    expect!["trivium.toml: flink.state: `/tmp` is no URI; write it as in `s3://bucket/flink`"]
        .assert_eq(&refused("[flink]\nstate = \"/tmp\""));
    expect!["trivium.toml: flink.version: `2` is no version; write three numbers, as in `2.3.0`"]
        .assert_eq(&refused("[flink]\nversion = \"2\""));
    expect!["trivium.toml: flink.slots: no task would ever run; write 1 or more"]
        .assert_eq(&refused("[flink]\nslots = 0"));
    expect!["trivium.toml: flink.kafka.a: a name or value is empty, or has a character that does not show; write it on one line"].assert_eq(&refused("[flink.kafka]\n\"a\" = \"b\\nc\""));
    expect!["trivium.toml: flink.kinesis_options.format: it is no option of a source of Kinesis; write those that begin with `aws.` or `source.`"].assert_eq(&refused("[flink.kinesis_options]\n\"format\" = \"csv\""));
    // Sections of others are theirs.
    assert_eq!(refused("[project]\n[spark]\nx = 1"), "");
}
