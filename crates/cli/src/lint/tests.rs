//! Each code on a view that is clean but for one thing, and the page of all codes.

use std::{collections::BTreeSet, fmt::Write as _};

use expect_test::expect_file;
use trivium_model::config::row;
use trivium_registry::{File, load_project};

use super::{CODES, Findings, lint, words};

const JSON: &str = r##"{
  "namespace": "shop", "name": "basket_daily", "version": 1, "lane": "batch",
  "description": "What a basket held, by day.",
  "owner": { "team": "growth", "contact": "growth@example.com" },
  "urgency_tier": 1,
  "entities": [ { "name": "basket_id", "type": "int64", "description": "A basket, from its first item on." } ],
  "event_timestamp": "event_ts",
  "features": [
    { "name": "items", "type": "int64", "description": "Things put in." },
    { "name": "price", "type": "float64", "description": "What they cost together, euros." }
  ],
  "schedule": { "every": "1d", "start": "2024-01-01" },
  "ttl": "30d",
  "carryover": { "mode": "last_value", "max_periods": 7 },
  "rollup": { "windows": ["7d"], "features": { "items": "sum" } },
  "online": true,
  "quality": [
    { "check": "row_count", "min": 1 },
    { "check": "unique", "columns": ["basket_id"] }
  ],
  "tags": ["baskets"]
}
"##;
const SQL: &str = "WITH o AS (SELECT basket_id, price FROM orders WHERE day = DATE '{{ ds }}')
SELECT basket_id, TIMESTAMP '{{ period_end }}' AS event_ts, count(*) AS items, sum(price) AS price
FROM o GROUP BY basket_id
";

/// Codes found after an edit of the JSON or the SQL, and their lines.
fn found(json: &str, sql: &str, allow: &[String]) -> Vec<String> {
    let files =
        [File::new("shop/basket_daily.v1.json", json), File::new("shop/basket_daily.v1.sql", sql)];
    let project = load_project(&files).unwrap_or_else(|errors| {
        let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
        panic!("{}", lines.join("\n"))
    });
    let findings = lint(&project, allow);
    assert!(findings.iter().all(|finding| !finding.is_error()));
    for finding in &findings {
        let text = if finding.path.ends_with(".sql") { sql } else { json };
        assert!((finding.line as usize) <= text.lines().count(), "{finding}");
        assert!(!finding.help.is_empty());
    }
    findings.into_iter().map(|finding| finding.code.into_owned()).collect()
}

/// What each edit brings: the file, the text, what takes its place, the code.
const CASES: &[(&str, &str, &str, &str)] = &[
    (
        "sql",
        "TIMESTAMP '{{ period_end }}' AS",
        "max(TIMESTAMP '2024-01-01 00:00:00') AS",
        "event-time",
    ),
    (
        "json",
        "\"row_count\", \"min\": 1 },",
        "\"not_null\", \"column\": \"items\" },",
        "no-row-count",
    ),
    (
        "json",
        "\"unique\", \"columns\": [\"basket_id\"]",
        "\"unique\", \"columns\": [\"price\"]",
        "no-unique",
    ),
    (
        "json",
        "\"min\": 1 },\n    { \"check\": \"unique\", \"columns\": [\"basket_id\"] }",
        "\"min\": 1, \"severity\": \"warn\" },\n    { \"check\": \"unique\", \"columns\": [\"basket_id\", \"event_ts\"], \"severity\": \"warn\" }",
        "only-warnings",
    ),
    (
        "json",
        "\"ttl\": \"30d\",\n  \"carryover\": { \"mode\": \"last_value\", \"max_periods\": 7 },\n  \"rollup\": { \"windows\": [\"7d\"], \"features\": { \"items\": \"sum\" } },",
        "\"ttl\": \"47h\",",
        "tight-ttl",
    ),
    ("json", "\"max_periods\": 7", "\"max_periods\": 31", "carryover-over-ttl"),
    ("json", "[\"7d\"]", "[\"7d\", \"38d\"]", "window-over-ttl"),
    ("sql", "SELECT basket_id, price FROM", "SELECT * FROM", "select-star"),
    (
        "sql",
        "SELECT basket_id, price FROM",
        "SELECT basket_id, price, colour FROM",
        "unused-column",
    ),
    ("json", "\"Things put in.\"", "\"The items.\"", "weak-description"),
    ("json", "\"What a basket held, by day.\"", "\"Basket, daily: tbd\"", "weak-description"),
    ("json", "cost together, euros.", "cost together.", "no-unit"),
    ("json", ", \"description\": \"A basket, from its first item on.\"", "", "no-key-description"),
    ("json", ",\n  \"tags\": [\"baskets\"]", "", "no-tags"),
    ("json", "growth@example.com", "ask Ann", "owner-contact"),
    ("json", "growth@example.com", "@ann", "owner-contact"),
];

#[test]
fn a_clean_view_has_no_findings() {
    assert_eq!(found(JSON, SQL, &[]), [""; 0]);
    for fine in ["https://example.com/growth", "#growth"] {
        assert_eq!(found(&JSON.replace("growth@example.com", fine), SQL, &[]), [""; 0]);
    }
    // Up to here it is fine: the edges of the cases below.
    for (old, new) in
        [("\"7d\"]", "\"7d\", \"37d\"]"), ("\"max_periods\": 7", "\"max_periods\": 30")]
    {
        assert!(JSON.contains(old));
        assert_eq!(found(&JSON.replace(old, new), SQL, &[]), [""; 0], "{new}");
    }
}

#[test]
fn each_thing_is_found_alone_and_can_be_allowed() {
    let mut seen = BTreeSet::new();
    let mut check = |json: &str, sql: &str, code: &'static str| {
        assert_eq!(found(json, sql, &[]), [code], "{code}");
        assert_eq!(found(json, sql, &[code.to_owned()]), [""; 0], "{code}");
        seen.insert(code);
    };
    for (file, old, new, code) in CASES {
        let text = if *file == "json" { JSON } else { SQL };
        assert!(text.contains(old), "{old}");
        let edited = text.replacen(old, new, 1);
        if *file == "json" { check(&edited, SQL, code) } else { check(JSON, &edited, code) }
    }
    // Names stand in both files.
    for (old, new, code) in [
        ("items", "items__in", "odd-name"),
        ("items", "items_", "odd-name"),
        ("items", "basket_daily_items", "name-repeats-view"),
        ("items", "items_7d", "name-like-window"),
        ("basket_id", "customer_id", "no-subject"),
        ("basket_id", "billing_user_id", "no-subject"),
    ] {
        // Only the key of the rollup would be a window of a window.
        let json = JSON.replace(&format!("\"{old}\""), &format!("\"{new}\""));
        let sql = SQL.replace(old, new);
        check(&json, &sql, code);
    }
    let all: BTreeSet<&str> = CODES.iter().map(|code| code.code).collect();
    assert_eq!(seen, all, "a code without a case");
    assert_eq!(all.len(), CODES.len());
}

#[test]
fn a_direct_view_needs_no_checks() {
    let json = include_str!("../../../../configs/flights/ground_stop.v1.json");
    let project = load_project(&[File::new("flights/ground_stop.v1.json", json)]).unwrap();
    let codes: Vec<String> =
        lint(&project, &[]).into_iter().map(|finding| finding.code.into_owned()).collect();
    assert!(
        !codes.iter().any(|code| code.starts_with("no-row") || code == "no-unique"),
        "{codes:?}"
    );
}

#[test]
fn words_of_persons_and_measures() {
    for person in ["user_id", "customer", "billing_user_id", "email", "passenger_number"] {
        assert!(words::is_person(person), "{person}");
    }
    for thing in ["carrier", "origin", "username_count", "product_id", "user_agent"] {
        assert!(!words::is_person(thing), "{thing}");
    }
    assert!(words::lacks_unit("avg_dep_delay", "Mean departure delay."));
    assert!(!words::lacks_unit("avg_dep_delay", "Mean departure delay, minutes."));
    assert!(!words::lacks_unit("delay_minutes", "Sum of delays."));
    assert!(!words::lacks_unit("flights", "Departures."));
    for (name, description) in [
        ("temperature", "Air, degrees."),
        ("temperature", "Air, in Celsius."),
        ("wind_speed", "Mean, m/s."),
        ("wind_speed", "Mean, metres per second."),
        ("query_time", "Slowest, ms."),
        ("altitude", "Above ground: feet."),
        ("snow_depth", "Inches of snow."),
        ("total_amount", "In units of several currencies."),
    ] {
        assert!(!words::lacks_unit(name, description), "{name}: {description}");
    }
    for (name, description) in [("temperature", "Of the air."), ("wind_speed", "Of gusts.")] {
        assert!(words::lacks_unit(name, description), "{name}: {description}");
    }
    assert!(words::repeats_name("on_time", "On time"));
    assert!(!words::repeats_name("flights", "Departures."));
}

#[test]
fn a_finding_says_where_and_what_to_do() {
    let mut findings = Findings::default();
    findings.at_field(
        ("a.json", JSON),
        "features.price",
        &super::NO_UNIT,
        "it lacks one".to_owned(),
    );
    assert_eq!(
        findings.0[0].to_string(),
        "a.json:10:15: warning[no-unit]: it lacks one, name the unit: minutes, miles, euros, 0 to 1"
    );
}

#[test]
fn the_page_is_up_to_date() {
    let mut text = String::from(
        "# Style\n\n\
         `trivium lint` says what is valid and will still be regretted. Findings are warnings; with `--deny`\n\
         they are errors. `trivium.toml` turns codes off for a project:\n\n\
         ```toml\n[lint]\nallow = [\"no-tags\"]\n```\n\n\
         Some codes judge by words in names and descriptions, and may be wrong: allow them then. Codes never\n\
         change their meaning. This page is printed from the table in `crates/cli/src/lint/mod.rs`.\n\n\
         | code | what is wrong | what to do |\n| --- | --- | --- |\n",
    );
    for code in CODES {
        write!(text, "{}", row(code)).unwrap();
    }
    expect_file!["../../../../docs/lint.md"].assert_eq(&text);
}
