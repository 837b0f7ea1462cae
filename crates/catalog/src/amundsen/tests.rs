use trivium_model::config::parse_view;
use trivium_registry::{conformance::partitions::record, partition::SourceColumn};

use super::*;

const VIEW: &str = r#"{
  "namespace": "flights", "name": "daily", "version": 1, "lane": "batch",
  "description": "Ü \"quoted\",\nof two lines.", "owner": { "team": "ops", "contact": "Ops@example.com" }, "urgency_tier": 2,
  "entities": [ { "name": "origin", "type": "string" }, { "name": "carrier", "type": "int64", "description": "Who." } ],
  "event_timestamp": "event_ts",
  "features": [ { "name": "delay", "type": "float64", "description": "Minutes.", "tags": ["late"] } ],
  "schedule": { "every": "1d", "start": "2013-01-01" }, "online": true, "tags": ["punctuality", "late"]
}"#;

fn source(table: Option<&str>, column: &str) -> SourceColumn {
    SourceColumn { table: table.map(str::to_owned), column: column.to_owned() }
}

fn made() -> Graph {
    let view = parse_view("flights/daily.v1.json", VIEW).unwrap();
    let mut record = record(3, 2);
    record.tables =
        vec!["raw.flights".to_owned(), "weather".to_owned(), "flights/hourly@2".to_owned()];
    record.lineage[0].sources = vec![
        source(Some("raw.flights"), "dep_delay"),
        source(Some("weather"), "*"),
        source(Some("flights/hourly@2"), "delay"),
        source(None, "x"),
    ];
    // Of an older form of the view.
    let mut gone = record.lineage[0].clone();
    gone.column = "gone".to_owned();
    record.lineage.push(gone);
    graph(&Facts {
        view: &view,
        sql: Some("SELECT \"a\",\n 'b'"),
        record: &record,
        oldest: ("ds=1970-01-01", Timestamp(0)),
        newest: ("ds=1970-01-04", record.start),
    })
}

#[test]
fn every_relation_has_both_its_ends() {
    let graph = made();
    let of_upstream = "trivium://lake.flights/hourly_v2/delay";
    for relation in &graph.relations {
        for end in [&relation.start, &relation.end] {
            let is_there = graph.nodes.contains_key(end) || end.1 == of_upstream;
            assert!(is_there, "{relation:?} has no {end:?}");
        }
    }
    // A view that is read is the table that its own document tells of.
    assert!(graph.relations.iter().any(|one| one.start.1 == of_upstream));
    assert!(!graph.nodes.keys().any(|(_, key)| key == of_upstream));
    assert!(graph.nodes.keys().any(|(_, key)| key == "trivium://lake.flights/hourly_v2"));
    assert!(
        graph.relations.iter().any(|one| one.kind.0 == "HAS_DOWNSTREAM" && one.start.0 == "Column")
    );
}

/// One file of a label has one heading.
#[test]
fn nodes_of_a_label_have_the_same_attributes() {
    let graph = made();
    let mut known: BTreeMap<&str, Vec<(&str, bool)>> = BTreeMap::new();
    for ((label, _), attributes) in &graph.nodes {
        let names: Vec<(&str, bool)> =
            attributes.iter().map(|(name, cell)| (*name, matches!(cell, Cell::Bare(_)))).collect();
        assert_eq!(known.entry(label).or_insert_with(|| names.clone()), &names, "{label}");
    }
    assert_eq!(known.len(), 15, "{:?}", known.keys());
}

#[test]
fn texts_are_quoted_and_numbers_are_not() {
    let files = made().files();
    // Python's csv ends lines so; an expectation cannot hold it.
    assert!(files.values().all(|file| file.ends_with("\r\n")));
    let text = |path: &str| files[path].replace("\r\n", "\n");
    expect_test::expect![[r#"
        "LABEL","KEY","description_source","description"
        "Description","flights.daily/delay/1/_description","description","Minutes."
        "Description","trivium://lake.flights/daily_v1/_description","description","Ü ""quoted"",
        of two lines."
        "Description","trivium://lake.flights/daily_v1/carrier/_description","description","Who."
        "Description","trivium://lake.flights/daily_v1/delay/_description","description","Minutes."
    "#]]
    .assert_eq(&text("nodes/Description_0.csv"));
    expect_test::expect![[r#"
        "LABEL","KEY","name","col_type","sort_order:UNQUOTED"
        "Column","trivium://lake.flights/daily_v1/carrier","carrier","int64",0
        "Column","trivium://lake.flights/daily_v1/delay","delay","float64",3
        "Column","trivium://lake.flights/daily_v1/event_ts","event_ts","timestamp",2
        "Column","trivium://lake.flights/daily_v1/origin","origin","string",1
        "Column","trivium://sources.raw/flights/dep_delay","dep_delay","unknown",0
    "#]]
    .assert_eq(&text("nodes/Column_0.csv"));
    expect_test::expect![[r#"
        "START_KEY","START_LABEL","END_KEY","END_LABEL","TYPE","REVERSE_TYPE"
        "trivium://lake.flights/hourly_v2","Table","trivium://lake.flights/daily_v1","Table","HAS_DOWNSTREAM","HAS_UPSTREAM"
        "trivium://sources.default/weather","Table","trivium://lake.flights/daily_v1","Table","HAS_DOWNSTREAM","HAS_UPSTREAM"
        "trivium://sources.raw/flights","Table","trivium://lake.flights/daily_v1","Table","HAS_DOWNSTREAM","HAS_UPSTREAM"
    "#]]
        .assert_eq(&text("relationships/Table_Table_HAS_DOWNSTREAM_0.csv"));
    assert_eq!(files, made().files());
}
