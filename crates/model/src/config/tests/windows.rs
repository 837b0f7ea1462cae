//! Windows of stream views, right and wrong, and how far their changes reach.

use expect_test::{Expect, expect};

use super::{check_view_text, edited, lines};
use crate::config::{classify_view, parse_view, position_within};
use crate::{DataType, FeatureView, Name, PayloadFormat, StreamJob, TimeSpan, WindowAggregate};

const WINDOWED: &str = r#"{
  "namespace": "flights",
  "name": "carrier_daily",
  "version": 1,
  "lane": "stream",
  "description": "Departures of the last hour.",
  "owner": { "team": "ops-ml", "contact": "ops-ml@example.com" },
  "urgency_tier": 1,
  "entities": [{ "name": "carrier", "type": "string" }],
  "event_timestamp": "event_ts",
  "features": [
    { "name": "departures", "type": "int64", "description": "Flights." },
    { "name": "delay", "type": "float64", "description": "Minutes in all." }
  ],
  "source": { "format": "json", "topic": "flights.departures", "columns": { "minutes": "delay.minutes" } },
  "window": {
    "size": "1h",
    "slide": "5m",
    "allowed_lateness": "10m",
    "columns": [
      { "name": "minutes", "type": "float64" },
      { "name": "flight_id", "type": "string" }
    ],
    "event_id": "flight_id",
    "features": { "departures": "count", "delay": { "sum": "minutes" } },
    "payload_topic": "flights.payloads"
  }
}
"#;

fn check(edits: &[(&str, &str)], expected: Expect) {
    check_view_text(&edited(WINDOWED, edits), expected);
}

fn windowed(edits: &[(&str, &str)]) -> FeatureView {
    parse_view(super::VIEW_PATH, &edited(WINDOWED, edits))
        .unwrap_or_else(|found| panic!("{}", lines(&found)))
}

#[test]
fn what_windows_say_is_what_the_view_has() {
    let view = windowed(&[]);
    let window = view.window.clone().unwrap();
    assert_eq!((window.size, window.tile()), ("1h".parse().unwrap(), "5m".parse().unwrap()));
    assert_eq!(window.allowed_lateness, Some("10m".parse::<TimeSpan>().unwrap()));
    let name = |text: &str| Name::new(text).unwrap();
    assert_eq!(window.features[&name("departures")], WindowAggregate::Count(None));
    assert_eq!(window.features[&name("delay")], WindowAggregate::Sum(name("minutes")));
    // As it is stored, and comes back.
    let text = serde_json::to_string(&view).unwrap();
    assert_eq!(serde_json::from_str::<FeatureView>(&text).unwrap(), view);
    assert!(
        text.contains(r#""features":{"departures":"count","delay":{"sum":"minutes"}}"#),
        "{text}"
    );
    // Its messages are events; its rows come as payloads.
    assert_eq!(view.row_source(), None);
    let events = view.events().unwrap();
    assert_eq!(events.row_source().as_deref(), view.source.as_ref());
    let columns: Vec<String> = events.features.iter().map(|f| f.name.to_string()).collect();
    assert_eq!(columns, ["minutes", "flight_id"]);
    assert_eq!(events.events(), None);
}

#[test]
fn windows_of_a_job_are_read_as_what_it_writes() {
    let view =
        windowed(&[("\"payload_topic\"", "\"job\": { \"parallelism\": 3 }, \"payload_topic\"")]);
    let job = view.window.as_ref().unwrap().job.clone().unwrap();
    assert_eq!((job.parallelism, job.checkpoint), (3, StreamJob::CHECKPOINT));
    let source = view.row_source().unwrap();
    assert_eq!((source.format, source.topic.as_str()), (PayloadFormat::Json, "flights.payloads"));
    assert!(source.columns.is_empty());
    // Its events are read as ever.
    assert_eq!(view.events().unwrap().row_source().as_deref(), view.source.as_ref());
    let text = serde_json::to_string(&view).unwrap();
    assert_eq!(serde_json::from_str::<FeatureView>(&text).unwrap(), view);
    check(
        &[("\"payload_topic\"", "\"job\": { \"checkpoint\": \"2d\" }, \"payload_topic\"")],
        expect![[r#"
            26:28: error[out-of-range]: `checkpoint` is longer than a day, at most `1d`
        "#]],
    );
}

#[test]
fn every_aggregate_has_a_type_or_none() {
    let name = Name::new("x").unwrap();
    let decimal = DataType::Decimal { precision: 9, scale: 2 };
    let inputs = [
        DataType::Bool,
        DataType::Int32,
        DataType::Float32,
        decimal,
        DataType::String,
        DataType::Date,
    ];
    let shown = |aggregate: WindowAggregate| -> String {
        let of =
            |input| aggregate.output_type(Some(input)).map_or("-".into(), |out| out.to_string());
        let types: Vec<String> = inputs.iter().map(of).collect();
        format!("{}: {}\n", aggregate.word(), types.join(" "))
    };
    let all: String = [
        WindowAggregate::Count(Some(name.clone())),
        WindowAggregate::Sum(name.clone()),
        WindowAggregate::Min(name.clone()),
        WindowAggregate::Max(name.clone()),
        WindowAggregate::Mean(name.clone()),
        WindowAggregate::Last(name.clone()),
        WindowAggregate::ApproxDistinct(name),
    ]
    .map(shown)
    .concat();
    expect![[r#"
        count: int64 int64 int64 int64 int64 int64
        sum: - int64 float64 decimal(38, 2) - -
        min: bool int32 float32 decimal(9, 2) string date
        max: bool int32 float32 decimal(9, 2) string date
        mean: - float64 float64 float64 - -
        last: bool int32 float32 decimal(9, 2) string date
        approx_distinct: - int64 - - int64 int64
    "#]]
    .assert_eq(&all);
}

#[test]
fn bad_windows() {
    check(
        &[(r#""slide": "5m""#, r#""slide": "7m""#)],
        expect![[r#"
            18:14: error[bad-window]: windows of 1h are no multiple of a slide of 7m, take a length that divides 1h evenly
        "#]],
    );
    check(
        &[(r#""slide": "5m""#, r#""slide": "1s""#)],
        expect![[r#"
            18:14: error[bad-window]: windows of 1h have more than 1000 slides of 1s, take a longer slide
        "#]],
    );
    check(
        &[(r#""lane": "stream""#, r#""lane": "direct""#)],
        expect![[r#"
            15:13: error[wrong-lane]: a direct view cannot have `source`, remove `source`, or make the lane `stream`
            16:13: error[wrong-lane]: a direct view cannot have `window`, remove `window`, or make the lane `stream`; batch views have `rollup`
        "#]],
    );
    check(
        &[(r#""format": "json""#, r#""format": "debezium_json""#)],
        expect![[r#"
            15:25: error[bad-window]: messages of format `debezium_json` are rows and their changes, no events, windows are over `json` or `avro`
        "#]],
    );
    check(
        &[(r#""format": "json""#, r#""format": "json", "system": "kinesis""#)],
        expect![[r#"
            15:43: error[bad-window]: windows are computed over Kafka's topics alone, compute them elsewhere and send payloads, or bring the stream to Kafka
        "#]],
    );
    check(
        &[(r#"{ "sum": "minutes" }"#, r#"{ "sum": "flight_id" }"#)],
        expect![[r#"
            25:60: error[wrong-column-type]: `flight_id` is string, which has no `sum`, take another aggregate, or a column of another type
        "#]],
    );
    check(
        &[(r#"{ "sum": "minutes" }"#, r#"{ "sum": "minute" }"#)],
        expect![[r#"
            25:60: error[unknown-column]: the events have no column `minute`, did you mean `minutes`?
        "#]],
    );
    check(
        &[(r#"{ "sum": "minutes" }"#, r#""sum""#)],
        expect![[r#"
            25:51: error[bad-type]: `delay` in `features` needs more than the word `sum`, write `{"sum": "delay"}`
        "#]],
    );
    check(
        &[(r#"{ "sum": "minutes" }"#, r#"{ "median": "minutes" }"#)],
        expect![[r#"
            25:53: error[unknown-field]: unknown field `median` in an aggregate of a window, did you mean `mean`?
        "#]],
    );
    check(
        &[(r#"{ "sum": "minutes" }"#, r#"{ "last": "flight_id" }"#)],
        expect![[r#"
            25:42: error[wrong-column-type]: `delay` is float64, and `last` gives string, make the feature's type string
        "#]],
    );
    check(
        &[(r#", "delay": { "sum": "minutes" }"#, "")],
        expect![[r#"
            13:15: error[bad-window]: nothing says how `delay` is computed from the events, add it to `window.features`, as in `"delay": "count"`
        "#]],
    );
    check(
        &[(r#""departures": "count""#, r#""departure": "count""#)],
        expect![[r#"
            12:15: error[bad-window]: nothing says how `departures` is computed from the events, add it to `window.features`, as in `"departures": "count"`
            25:19: error[unknown-feature]: `departure` is no feature of the view, did you mean `departures`?
        "#]],
    );
    check(
        &[(r#""event_id": "flight_id""#, r#""event_id": "flight""#)],
        expect![[r#"
            24:17: error[unknown-column]: the events have no column `flight`, did you mean `flight_id`?
        "#]],
    );
    check(
        &[(r#""name": "flight_id", "type""#, r#""name": "carrier", "type""#)],
        expect![[r#"
            22:17: error[name-collision]: `carrier` is a join key or the event timestamp already, remove it, or rename it
            24:17: error[unknown-column]: the events have no column `flight_id`, known: `minutes`
        "#]],
    );
    check(
        &[(r#""flight_id", "type": "string""#, r#""flight_id", "type": { "list": "string" }"#)],
        expect![[r#"
            22:38: error[wrong-column-type]: `flight_id` is of a type that nothing is computed of, leave it out, or take a scalar type
        "#]],
    );
    check(
        &[("flights.payloads", "flights.departures")],
        expect![[r#"
            26:22: error[bad-topic]: `flights.departures` is the source's topic, too, take another: the rows would be read as events
        "#]],
    );
    check(
        &[(r#""columns": { "minutes""#, r#""columns": { "departures""#)],
        expect![[r#"
            15:77: error[unknown-column]: the view has no column `departures`, known: `carrier`, `event_ts`, `minutes`, `flight_id`
        "#]],
    );
    let elsewhere: String =
        classify_view(&windowed(&[]), &windowed(&[("\"topic\": \"", "\"topic\": \"other.")]))
            .iter()
            .map(|d| format!("{d}\n"))
            .collect();
    expect![[r#"
        behaviour: source.topic: flights.departures → other.flights.departures, windows stand at a place in the other topic
    "#]].assert_eq(&elsewhere);
    let mut sorted = windowed(&[]);
    sorted.features.reverse();
    let sorted: String =
        classify_view(&windowed(&[]), &sorted).iter().map(|d| format!("{d}\n")).collect();
    expect![[r#"
        behaviour: features: the order changed: the state of windows stands in it, and would be lost
    "#]]
    .assert_eq(&sorted);
    let (head, rest) = WINDOWED.split_once("  \"source\"").unwrap();
    let (_, rest) = rest.split_once('\n').unwrap();
    check_view_text(
        &format!("{head}{rest}"),
        expect![[r#"
            15:13: error[bad-window]: windows are over the events of a source, and there is none, add it, as in `"source": { "format": "json", "topic": "flights.departures" }`
        "#]],
    );
}

#[test]
fn a_place_in_a_text_is_where_it_was_written() {
    let config = "{\n  \"window\": { \"filter\": \"a = \\\"é\\\" \\u0026\\ud83d\\ude00 é b\" }\n}";
    let text = "a = \"é\" &\u{1f600} é b";
    let of = |wanted: &str| {
        let offset = text.find(wanted).unwrap();
        let (line, column) = position_within(config, &["window", "filter"], offset);
        let line = config.lines().nth(line as usize - 1).unwrap();
        line.chars().skip(column as usize - 1).take(4).collect::<String>()
    };
    assert_eq!(of("a"), "a = ");
    assert_eq!(of("é"), "é\\\" ");
    assert_eq!(of("&"), "\\u00");
    assert_eq!(of("\u{1f600}"), "\\ud8");
    assert_eq!(of(" b"), " b\" ");
    let end = position_within(config, &["window", "filter"], text.len() + 9);
    assert_eq!(end, position_within(config, &["window", "filter"], text.len()));
    assert_eq!(position_within(config, &["window", "size"], 0), (1, 1));
    assert_eq!(position_within("no json", &["window"], 0), (1, 1));
}

#[test]
fn changes_of_windows() {
    let changed = |edits: &[(&str, &str)]| {
        let differences = classify_view(&windowed(&[]), &windowed(edits));
        differences.iter().map(|difference| format!("{difference}\n")).collect::<String>()
    };
    expect![[""]].assert_eq(&changed(&[]));
    // What is so anyway.
    let tumbling = windowed(&[("    \"slide\": \"5m\",\n", "")]);
    let explicit = windowed(&[(r#""slide": "5m""#, r#""slide": "1h""#)]);
    assert_eq!(classify_view(&tumbling, &explicit), []);
    let all = [
        changed(&[(r#""size": "1h""#, r#""size": "2h""#)]),
        changed(&[(r#""slide": "5m""#, r#""slide": "10m""#)]),
        changed(&[(r#""10m""#, r#""20m""#)]),
        changed(&[("    \"event_id\": \"flight_id\",\n", "")]),
        changed(&[("\"event_id\"", "\"filter\": \"minutes > 0\", \"event_id\"")]),
        changed(&[(r#"{ "sum": "minutes" }"#, r#"{ "max": "minutes" }"#)]),
        changed(&[("flights.payloads", "payloads")]),
        changed(&[(
            r#""type": "string" }
    ]"#,
            r#""type": "int64" }
    ]"#,
        )]),
        changed(&[(
            r#""flight_id", "type": "string""#,
            r#""flight_id", "type": "string", "description": "d""#,
        )]),
        changed(&[("delay.minutes", "delayed.minutes")]),
        changed(&[
            (
                r#""Minutes in all." }"#,
                r#""Minutes in all." },
    { "name": "n", "type": "int64", "description": "d" }"#,
            ),
            (r#""departures": "count""#, r#""departures": "count", "n": { "count": "minutes" }"#),
        ]),
    ]
    .concat();
    expect![[r#"
        behaviour: window.size: 1h → 2h, rows are computed of other events
        behaviour: window.slide: 5m → 10m, rows are computed of other events
        behaviour: window.allowed_lateness: 10m → 20m, rows are computed of other events
        behaviour: window.event_id: flight_id → none, other events count
        behaviour: window.filter: none → `minutes > 0`, other events count
        behaviour: window.features.delay: it is computed otherwise, and the windows under way do not have it
        compatible: window.payload_topic: flights.payloads → payloads, rows take another way and mean the same
        behaviour: window.columns: events are read otherwise
        cosmetic: window.columns: a description changed
        behaviour: source.columns.minutes: delay.minutes → delayed.minutes, it is read from elsewhere
        behaviour: window.features.n: it is computed otherwise, and the windows under way do not have it
        compatible: features.n: added as int64: nobody reads it yet, older rows show its default
    "#]].assert_eq(&all);
    let job = |settings: &str| {
        windowed(&[("\"payload_topic\"", &format!("\"job\": {settings}, \"payload_topic\""))])
    };
    let jobs: String = [
        classify_view(&windowed(&[]), &job("{}")),
        classify_view(&job("{}"), &windowed(&[])),
        classify_view(&job("{}"), &job("{ \"parallelism\": 2, \"state_ttl\": \"1h\" }")),
    ]
    .concat()
    .iter()
    .map(|d| format!("{d}\n"))
    .collect();
    expect![[r#"
        behaviour: window.job: added: Flink computes them
        behaviour: window.job: removed: the worker computes them
        behaviour: window.job.state_ttl: none → 1h, state is forgotten at another time
        compatible: window.job.parallelism: 1 → 2, the same rows sooner or later
    "#]]
    .assert_eq(&jobs);
    let (head, rest) = WINDOWED.split_once(",\n  \"window\"").unwrap();
    assert!(rest.ends_with("}\n}\n"));
    let head = head.replace(r#", "columns": { "minutes": "delay.minutes" }"#, "");
    let without = parse_view(super::VIEW_PATH, &format!("{head}\n}}\n")).unwrap();
    let shown: String = classify_view(
        &without,
        &windowed(&[(r#", "columns": { "minutes": "delay.minutes" }"#, "")]),
    )
    .iter()
    .map(|d| format!("{d}\n"))
    .collect();
    expect![[r#"
        behaviour: window: added: rows are computed
    "#]]
    .assert_eq(&shown);
}
