//! Tests of configs: one sample of each kind, edited.

mod bad_batches;
mod bad_columns;
mod bad_fields;
mod bad_services;
mod bad_syntax;
mod bad_words;
mod changes;
mod generated;
mod good;
mod jobs;
mod limits;
mod robust;
mod sources;
mod windows;

use expect_test::Expect;

use super::{parse_service_with_warnings, parse_view, parse_view_with_warnings};
use crate::{Diagnostic, FeatureView};

const VIEW_PATH: &str = "configs/flights/carrier_daily.v1.json";
const SERVICE_PATH: &str = "configs/flights/delay_model.v1.service.json";

/// A view that uses every setting.
const VIEW: &str = r#"{
  "$schema": "../../schemas/feature-view.v1.json",
  "namespace": "flights",
  "name": "carrier_daily",
  "version": 1,
  "lane": "batch",
  "description": "Punctuality of a carrier at an origin airport, by day.",
  "owner": { "team": "ops-ml", "contact": "ops-ml@example.com" },
  "urgency_tier": 2,
  "entities": [
    { "name": "carrier", "type": "string", "description": "IATA code." },
    { "name": "origin", "type": "string" }
  ],
  "event_timestamp": "event_ts",
  "created_timestamp": "created_ts",
  "subject": "carrier",
  "time_zone": "America/New_York",
  "features": [
    { "name": "flights", "type": "int64", "description": "Departures.", "default": 0, "tags": ["volume"] },
    { "name": "avg_delay", "type": "float64", "description": "Mean delay, minutes.", "owner": { "team": "x", "contact": "y" } },
    { "name": "delay_sum", "type": "float64", "description": "Sum of delays, minutes." },
    { "name": "fare", "type": { "decimal": { "precision": 10, "scale": 2 } }, "description": "Fare.", "default": "1.50" },
    { "name": "dests", "type": { "list": "string" }, "description": "Destinations.", "default": ["LAX", null] },
    { "name": "vec", "type": { "embedding": { "dimension": 2, "metric": "cosine" } }, "description": "Profile." },
    { "name": "late", "type": "bool", "description": "Whether late." }
  ],
  "schedule": { "every": "1d", "start": "2013-01-01" },
  "ttl": "14d",
  "carryover": { "mode": "last_value", "max_periods": 7 },
  "rollup": {
    "windows": ["7d", "30d"],
    "features": { "flights": "sum", "avg_delay": { "mean": { "sum": "delay_sum", "count": "flights" } } }
  },
  "online": true,
  "quality": [
    { "check": "row_count", "min": 1, "max": 1000 },
    { "check": "not_null", "column": "carrier" },
    { "check": "unique", "columns": ["carrier", "origin"] },
    { "check": "between", "column": "avg_delay", "min": -120, "max": 3000, "severity": "warn" },
    { "check": "accepted_values", "column": "origin", "values": ["JFK", "LGA", "EWR"] },
    { "check": "freshness", "max_age": "1d" },
    { "check": "null_fraction", "column": "fare", "max": 0.5 }
  ],
  "tags": ["punctuality"]
}
"#;

const SERVICE: &str = r#"{
  "$schema": "../../schemas/feature-service.v1.json",
  "namespace": "flights",
  "name": "delay_model",
  "version": 1,
  "description": "Inputs of the delay model.",
  "owner": { "team": "ops-ml", "contact": "ops-ml@example.com" },
  "features": ["carrier_daily@1:flights", "carrier_daily@1:flights_7d"],
  "tags": ["delays"]
}
"#;

/// The sample with each text replaced, which must be there.
fn edited(sample: &str, edits: &[(&str, &str)]) -> String {
    edits.iter().fold(sample.to_owned(), |text, (old, new)| {
        assert!(text.contains(old), "the sample has no {old}");
        text.replacen(old, new, 1)
    })
}

fn view(edits: &[(&str, &str)]) -> FeatureView {
    parse_view(VIEW_PATH, &edited(VIEW, edits)).unwrap_or_else(|found| panic!("{}", lines(&found)))
}

fn lines(found: &[Diagnostic]) -> String {
    found.iter().map(|diagnostic| format!("{diagnostic}\n")).collect()
}

/// An edited view's diagnostics, without the path.
fn check(edits: &[(&str, &str)], expected: Expect) {
    check_view_text(&edited(VIEW, edits), expected);
}

fn check_view_text(text: &str, expected: Expect) {
    let (view, found) = parse_view_with_warnings(VIEW_PATH, text);
    assert_eq!(view.is_none(), found.iter().any(Diagnostic::is_error));
    expected.assert_eq(&lines(&found).replace(&format!("{VIEW_PATH}:"), ""));
}

fn check_service(edits: &[(&str, &str)], expected: Expect) {
    let (service, found) = parse_service_with_warnings(SERVICE_PATH, &edited(SERVICE, edits));
    assert_eq!(service.is_none(), found.iter().any(Diagnostic::is_error));
    expected.assert_eq(&lines(&found).replace(&format!("{SERVICE_PATH}:"), ""));
}
