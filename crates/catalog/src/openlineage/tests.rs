use std::{collections::BTreeMap, path::Path};

use jsonschema::{Draft, Registry, Validator};
use trivium_model::config::parse_view;
use trivium_registry::{conformance::partitions::record, partition::SourceColumn};

use super::*;

const VIEW: &str = r#"{
  "namespace": "flights", "name": "daily", "version": 1, "lane": "batch",
  "description": "Ü \"quoted\".", "owner": { "team": "ops", "contact": "ops@example.com" }, "urgency_tier": 2,
  "entities": [ { "name": "origin", "type": "string" }, { "name": "carrier", "type": "int64" } ],
  "event_timestamp": "event_ts",
  "features": [ { "name": "delay", "type": "float64", "description": "Minutes." },
                { "name": "sum", "type": { "decimal": { "precision": 9, "scale": 2 } }, "description": "Sum." } ],
  "schedule": { "every": "1d", "start": "2013-01-01" }, "online": true
}"#;

fn view() -> FeatureView {
    parse_view("flights/daily.v1.json", VIEW).unwrap()
}

/// A schema of `testdata/openlineage`, by its name.
fn read(name: &str) -> Json {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/openlineage");
    let text = std::fs::read_to_string(folder.join(format!("{name}.json")));
    serde_json::from_str(&text.unwrap_or_else(|error| panic!("{name}: {error}"))).unwrap()
}

/// What OpenLineage publishes.
#[derive(Default)]
struct Schemas(BTreeMap<String, Validator>);

impl Schemas {
    fn validator(&mut self, name: &str, pointer: &str) -> &Validator {
        self.0.entry(format!("{name}{pointer}")).or_insert_with(|| {
            let event = read("OpenLineage");
            let id = event["$id"].as_str().unwrap().to_owned();
            let document = read(name);
            let own = document["$id"].as_str().unwrap().to_owned();
            let registry = Registry::new()
                .add(&id, event)
                .unwrap()
                .add(&own, document)
                .unwrap()
                .prepare()
                .unwrap();
            jsonschema::options()
                .with_draft(Draft::Draft202012)
                .with_registry(&registry)
                .should_validate_formats(true)
                .build(&json!({ "$ref": format!("{own}#{pointer}") }))
                .unwrap()
        })
    }

    fn errors(&mut self, name: &str, pointer: &str, what: &Json) -> Vec<String> {
        self.validator(name, pointer)
            .iter_errors(what)
            .map(|error| format!("{name}: {error}"))
            .collect()
    }

    /// An event, and each facet by the schema that it names.
    fn check(&mut self, event: &Json) -> Vec<String> {
        let mut errors = self.errors("OpenLineage", "/$defs/RunEvent", event);
        let mut facets = vec![&event["run"]["facets"], &event["job"]["facets"]];
        for dataset in ["inputs", "outputs"] {
            for one in event[dataset].as_array().unwrap() {
                facets.extend([&one["facets"], &one["outputFacets"], &one["inputFacets"]]);
            }
        }
        for (key, facet) in facets.iter().filter_map(|facets| facets.as_object()).flatten() {
            let url = facet["_schemaURL"].as_str().unwrap();
            let (document, pointer) = url.split_once('#').unwrap();
            let name = document.rsplit('/').next().unwrap().trim_end_matches(".json");
            assert_eq!(read(name)["$id"], document, "the version of {name}");
            assert!(
                read(name)["properties"].get(key).is_some(),
                "{name} stands under another key than {key}"
            );
            errors.extend(self.errors(name, pointer, facet));
        }
        errors
    }
}

fn events() -> Vec<Json> {
    let view = view();
    let mut one = record(3, 2);
    one.lineage[0]
        .sources
        .push(SourceColumn { table: Some("flights".to_owned()), column: "arr_delay".to_owned() });
    let place = Place { namespace: "trivium", view: &view, sql: Some("SELECT 1") };
    let fail = Failed {
        start: one.start,
        end: one.end,
        run: "r",
        started: None,
        at: one.finished,
        message: "row_count: found 0, expected at least 1",
    };
    published(place, &one).into_iter().chain(failed(place, &fail)).collect()
}

#[test]
fn events_are_what_openlineage_publishes() {
    let mut schemas = Schemas::default();
    for event in events() {
        assert_eq!(schemas.check(&event), [""; 0], "{event:#}");
    }
}

#[test]
fn a_wrong_event_is_found_out() {
    let mut schemas = Schemas::default();
    let good = events().remove(1);
    let spoilt = |spoil: &dyn Fn(&mut Json)| {
        let mut event = good.clone();
        spoil(&mut event);
        event
    };
    for wrong in [
        spoilt(&|event| event["eventType"] = "DONE".into()),
        spoilt(&|event| event["run"]["runId"] = "1".into()),
        spoilt(&|event| event["eventTime"] = "yesterday".into()),
        spoilt(&|event| {
            event["outputs"][0]["facets"]["dataQualityMetrics"]["columnMetrics"]["delay"]["max"] =
                "Infinity".into();
        }),
        spoilt(&|event| event["job"]["facets"]["sql"]["query"] = Json::Null),
        spoilt(&|event| event["outputs"][0]["facets"]["schema"]["fields"][0]["name"] = 1.into()),
    ] {
        assert_ne!(schemas.check(&wrong), [""; 0], "{wrong:#}");
    }
}

#[test]
fn runs_are_told_apart_and_known_again() {
    let view = view();
    let place = Place { namespace: "trivium", view: &view, sql: None };
    let id = |event: &Json| event["run"]["runId"].as_str().unwrap().to_owned();
    let [start, complete] = published(place, &record(3, 2));
    assert_eq!(id(&start), id(&complete));
    assert_eq!([start, complete.clone()], published(place, &record(3, 2)));
    let elsewhere = Place { namespace: "other", ..place };
    for other in [
        published(place, &record(3, 3)),
        published(place, &record(4, 2)),
        published(elsewhere, &record(3, 2)),
    ] {
        assert_ne!(id(&other[0]), id(&complete));
    }
}

#[test]
fn what_is_said_of_a_partition() {
    let complete = events().remove(1);
    expect_test::expect![[r#"
        {
          "_producer": "urn:trivium:0.1.0",
          "_schemaURL": "https://openlineage.io/spec/facets/1-2-0/ColumnLineageDatasetFacet.json#/$defs/ColumnLineageDatasetFacet",
          "fields": {
            "delay": {
              "inputFields": [
                {
                  "namespace": "trivium",
                  "name": "flights",
                  "field": "arr_delay"
                }
              ]
            }
          }
        }"#]]
        .assert_eq(&format!("{:#}", complete["outputs"][0]["facets"]["columnLineage"]));
    expect_test::expect![[r#"
        {
          "delay": {
            "count": 6,
            "nullCount": 1,
            "distinctCount": 6,
            "max": 0.1,
            "quantiles": {
              "0.5": 0.1
            }
          }
        }"#]]
    .assert_eq(&format!(
        "{:#}",
        complete["outputs"][0]["facets"]["dataQualityMetrics"]["columnMetrics"]
    ));
    expect_test::expect![[r#"
        [
          {
            "assertion": "between",
            "success": false,
            "name": "between(delay)",
            "severity": "warn",
            "expected": "-120 to 'quoted' 3000",
            "column": "delay",
            "actual": "0.5 (3 rows)"
          }
        ]"#]]
    .assert_eq(&format!(
        "{:#}",
        complete["outputs"][0]["facets"]["dataQualityAssertions"]["assertions"]
    ));
    expect_test::expect![[r#"
        [
          {
            "name": "carrier",
            "type": "int64"
          },
          {
            "name": "origin",
            "type": "string"
          },
          {
            "name": "event_ts",
            "type": "timestamp"
          },
          {
            "name": "delay",
            "type": "float64",
            "description": "Minutes."
          },
          {
            "name": "sum",
            "type": "decimal(9, 2)",
            "description": "Sum."
          }
        ]"#]]
    .assert_eq(&format!("{:#}", complete["outputs"][0]["facets"]["schema"]["fields"]));
}

#[test]
fn large_numbers_are_numbers_and_infinities_are_left_out() {
    assert_eq!(number(&"9223372036854775807".into()), Some(9_223_372_036_854_775_807f64.into()));
    assert_eq!(number(&"-1.50".into()), Some((-1.5).into()));
    assert_eq!(number(&"Infinity".into()), None);
    assert_eq!(number(&"2013-01-01".into()), None);
}
