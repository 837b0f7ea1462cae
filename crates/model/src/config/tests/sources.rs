//! Sources of stream views, right and wrong, and how far their changes reach.

use expect_test::{Expect, expect};

use super::{check_view_text, edited, lines};
use crate::config::{classify_view, parse_view};
use crate::{FeatureView, FieldPath, Name, PayloadFormat, StreamSystem, TimeUnit};

const STREAM: &str = r#"{
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
  "source": {
    "format": "json",
    "topic": "flights.departures",
    "columns": { "carrier": "$key", "event_ts": "departure.at", "delay": "$header.delay.minutes" },
    "time_unit": "ms"
  }
}
"#;

fn check(edits: &[(&str, &str)], expected: Expect) {
    check_view_text(&edited(STREAM, edits), expected);
}

fn stream(edits: &[(&str, &str)]) -> FeatureView {
    parse_view(super::VIEW_PATH, &edited(STREAM, edits))
        .unwrap_or_else(|found| panic!("{}", lines(&found)))
}

#[test]
fn what_a_source_says_is_what_the_view_has() {
    let source = stream(&[]).source.unwrap();
    assert_eq!((source.format, source.system), (PayloadFormat::Json, StreamSystem::Kafka));
    assert_eq!(
        (source.topic.as_str(), source.time_unit),
        ("flights.departures", Some(TimeUnit::Millis))
    );
    let path = |column: &str| source.columns[&Name::new(column).unwrap()].clone();
    assert_eq!(path("carrier"), FieldPath::Key(Vec::new()));
    assert_eq!(path("event_ts"), FieldPath::Value(vec!["departure".into(), "at".into()]));
    assert_eq!(path("delay"), FieldPath::Header("delay.minutes".into()));
    // As it is stored, and comes back.
    let view = stream(&[]);
    let text = serde_json::to_string(&view).unwrap();
    assert_eq!(serde_json::from_str::<FeatureView>(&text).unwrap(), view);
    assert!(text.contains(r#""columns":{"carrier":"$key","event_ts":"departure.at""#), "{text}");
}

#[test]
fn paths_are_written_one_way() {
    for text in
        ["a", "a.b.c", "$key", "$key.a.b", "$header.x-y.z", "$time", "$event.source.ts_ms", "a b.ü"]
    {
        assert_eq!(text.parse::<FieldPath>().unwrap().to_string(), text);
    }
    let long = format!("a{}", ".a".repeat(16));
    let wide = "a".repeat(501);
    for text in [
        "", ".", "a.", ".a", "a..b", "$", "$kez", "$key.", "$header", "$header.", "$time.a",
        "$event", "$event.", "a\nb", &long, &wide,
    ] {
        assert!(text.parse::<FieldPath>().is_err(), "{text}");
    }
}

#[test]
fn bad_sources() {
    check(
        &[(r#""departure.at""#, r#""departure..at""#)],
        expect![[r#"
        15:49: error[bad-path]: `departure..at` is no place in a message, write `a.b` for a field of the value, or `$key`, `$key.a`, `$header.name`, `$time`, `$event.a`
    "#]],
    );
    check(
        &[(r#""departure.at""#, r#""$event.ts_ms""#)],
        expect![[r#"
        15:49: error[bad-path]: `$event.ts_ms` is a place in change events, and messages are json, write the field's own path, without `$event.`
    "#]],
    );
    check(
        &[("flights.departures", "flights/departures")],
        expect![[r#"
        14:14: error[bad-topic]: this is no topic's name, use letters, digits, `.`, `_` and `-`
    "#]],
    );
    check(
        &[("\"delay\": \"$header", "\"delai\": \"$header")],
        expect![[r#"
        15:65: error[unknown-column]: the view has no column `delai`, did you mean `delay`?
    "#]],
    );
    check(
        &[(r#""format": "json""#, r#""format": "envelope""#)],
        expect![[r#"
        15:5: error[unknown-field]: unknown field `columns` in a source of format `envelope`, known: `topic`, `system`, `format`
        16:5: error[unknown-field]: unknown field `time_unit` in a source of format `envelope`, known: `topic`, `system`, `format`
    "#]],
    );
    check(
        &[(r#""format": "json""#, r#""format": "jsonl""#)],
        expect![[r#"
        13:15: error[unknown-word]: `format` cannot be `jsonl`, did you mean `json`?
    "#]],
    );
    check(
        &[(r#""lane": "stream""#, r#""lane": "direct""#)],
        expect![[r#"
        12:13: error[wrong-lane]: a direct view cannot have `source`, remove `source`, or make the lane `stream`
    "#]],
    );
    check(
        &[(r#""time_unit": "ms""#, r#""time_unit": "millis""#)],
        expect![[r#"
        16:18: error[unknown-word]: `time_unit` cannot be `millis`, known: `s`, `ms`, `us`, `ns`
    "#]],
    );
}

#[test]
fn changes_of_sources() {
    let changed = |edits: &[(&str, &str)]| {
        let differences = classify_view(&stream(&[]), &stream(edits));
        differences.iter().map(|difference| format!("{difference}\n")).collect::<String>()
    };
    expect![[r#"
        compatible: source.topic: flights.departures → departures, rows come from elsewhere and mean the same
    "#]].assert_eq(&changed(&[("flights.departures", "departures")]));
    expect![[r#"
        compatible: source.system: kafka → kinesis, rows come from elsewhere and mean the same
        compatible: source.topic: flights.departures → departures, rows come from elsewhere and mean the same
    "#]].assert_eq(&changed(&[(
        "flights.departures\",",
        "departures\", \"system\": \"kinesis\",",
    )]));
    expect![[r#"
        behaviour: source.time_unit: ms → us, numbers mean other instants
    "#]]
    .assert_eq(&changed(&[("\"ms\"", "\"us\"")]));
    expect![[r#"
        behaviour: source.columns.event_ts: departure.at → departed.at, it is read from elsewhere
    "#]]
    .assert_eq(&changed(&[("departure.at", "departed.at")]));
    expect![[r#"
        behaviour: source.format: json → debezium_json, messages are read otherwise
    "#]]
    .assert_eq(&changed(&[(r#""format": "json""#, r#""format": "debezium_json""#)]));
    // A path that says what is so anyway.
    expect![[r#"
        behaviour: source.columns.delay: $header.delay.minutes → delay, it is read from elsewhere
    "#]]
    .assert_eq(&changed(&[
        (r#""$key", "#, r#""$key", "delay": "delay", "#),
        (r#", "delay": "$header.delay.minutes""#, ""),
    ]));
    // The place of a feature that is added.
    expect![[r#"
        compatible: features.gate: added as string: nobody reads it yet, older rows show its default
    "#]].assert_eq(&changed(&[
        (r#""description": "Minutes." }]"#, r#""description": "Minutes." }, { "name": "gate", "type": "string", "description": "Gate." }]"#),
        (r#""carrier": "$key""#, r#""carrier": "$key", "gate": "departure.gate""#),
    ]));
    let without = edited(STREAM, &[]);
    let (head, _) = without.split_once(",\n  \"source\"").unwrap();
    let without = parse_view(super::VIEW_PATH, &format!("{head}\n}}\n")).unwrap();
    let shown: String =
        classify_view(&without, &stream(&[])).iter().map(|d| format!("{d}\n")).collect();
    expect![[r#"
        behaviour: source: added: rows come from elsewhere
    "#]]
    .assert_eq(&shown);
}

const FILTER: (&str, &str) = (
    r#""time_unit": "ms""#,
    r#""time_unit": "ms", "filter": "kind = 'd' AND delay > 0",
    "filter_columns": [{ "name": "kind", "type": "string", "description": "Which." }]"#,
);

#[test]
fn what_a_filter_reads() {
    let view =
        stream(&[FILTER, (r#""carrier": "$key""#, r#""carrier": "$key", "kind": "$header.k""#)]);
    let source = view.source.as_ref().unwrap();
    assert_eq!(source.filter.as_deref(), Some("kind = 'd' AND delay > 0"));
    assert_eq!(source.filter_columns[0].name, "kind");
    assert_eq!(source.columns["kind"], FieldPath::Header("k".into()));
    let text = serde_json::to_string(&view).unwrap();
    assert_eq!(serde_json::from_str::<FeatureView>(&text).unwrap(), view);
    // As views without one are stored, so they stay.
    assert!(!serde_json::to_string(&stream(&[])).unwrap().contains("filter"));
}

#[test]
fn bad_filters() {
    check(
        &[FILTER, (r#""filter": "kind = 'd' AND delay > 0","#, "")],
        expect![[r#"
        17:23: error[bad-source]: only `filter` reads `filter_columns`, and there is none, add it, or remove them
    "#]],
    );
    check(
        &[FILTER, (r#""name": "kind""#, r#""name": "delay""#)],
        expect![[r#"
        17:34: error[name-collision]: `delay` is a column of the view already, the filter may name it: remove it here, or rename it
    "#]],
    );
    check(
        &[
            FILTER,
            (r#"[{ "name": "kind","#, r#"[{ "name": "kind", "type": "bool" }, { "name": "kind","#),
        ],
        expect![[r#"
            17:70: error[duplicate-item]: the column `kind` is defined twice, keep one
        "#]],
    );
    check(
        &[FILTER, (r#""type": "string", "desc"#, r#""type": { "list": "string" }, "desc"#)],
        expect![[r#"
        17:50: error[wrong-column-type]: `kind` is of a type that conditions are not written over, leave it out, or take a scalar type
    "#]],
    );
    check(
        &[FILTER, (r#""format": "json""#, r#""format": "envelope""#)],
        expect![[r#"
        15:5: error[unknown-field]: unknown field `columns` in a source of format `envelope`, known: `topic`, `system`, `format`
        16:5: error[unknown-field]: unknown field `time_unit` in a source of format `envelope`, known: `topic`, `system`, `format`
        16:24: error[unknown-field]: unknown field `filter` in a source of format `envelope`, known: `topic`, `system`, `format`
        17:5: error[unknown-field]: unknown field `filter_columns` in a source of format `envelope`, known: `topic`, `system`, `format`
    "#]],
    );
    check(
        &[
            FILTER,
            (
                r#""source": {"#,
                r#""window": { "size": "1h", "columns": [{ "name": "late", "type": "int64" }],
                   "features": { "delay": { "mean": "late" } }, "payload_topic": "p" },
                "source": {"#,
            ),
            (r#", "delay": "$header.delay.minutes""#, ""),
        ],
        expect![[r#"
            18:34: error[bad-source]: windows say themselves which events count, write the condition as `window.filter`, over `window.columns`
        "#]],
    );
}

#[test]
fn changes_of_filters() {
    let changed = |old: &[(&str, &str)], new: &[(&str, &str)]| {
        let differences = classify_view(&stream(old), &stream(new));
        differences.iter().map(|difference| format!("{difference}\n")).collect::<String>()
    };
    expect![[r#"
        behaviour: source.filter: none → `kind = 'd' AND delay > 0`, other messages are the view's
        behaviour: source.filter_columns: the filter reads messages otherwise
    "#]]
    .assert_eq(&changed(&[], &[FILTER]));
    expect![[r#"
        behaviour: source.filter: `kind = 'd' AND delay > 0` → `kind = 'd' AND delay > 1`, other messages are the view's
    "#]].assert_eq(&changed(&[FILTER], &[FILTER, ("delay > 0", "delay > 1")]));
    expect![[r#"
        cosmetic: source.filter_columns: a description changed
    "#]]
    .assert_eq(&changed(&[FILTER], &[FILTER, ("Which.", "What.")]));
    let at = (r#""carrier": "$key""#, r#""carrier": "$key", "kind": "$header.k""#);
    expect![[r#"
        behaviour: source.columns.kind: kind → $header.k, it is read from elsewhere
    "#]]
    .assert_eq(&changed(&[FILTER], &[FILTER, at]));
}
