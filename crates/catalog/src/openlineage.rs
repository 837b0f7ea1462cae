//! OpenLineage events of a published partition: START and COMPLETE, or START and FAIL.
//!
//! A *job* is a view version, a *run* the making of one revision of one of its partitions. The run's id
//! follows from these, so that events that are sent again are the same run. The *output* is the view
//! version as a dataset, the *inputs* are the tables that its SQL reads, named as it names them. All
//! live in one OpenLineage namespace.
//!
//! Numbers in `dataQualityMetrics` are JSON numbers: an int64 beyond 2^53 loses digits there, an infinity
//! is left out.

use serde_json::{Map, Value as Json, json};
use sha2::{Digest, Sha256};
use trivium_model::{ColumnStatistics, FeatureView, Severity, Timestamp};
use trivium_registry::{PartitionRecord, partition::CheckOutcome};

/// Who makes the events.
pub const PRODUCER: &str = concat!("urn:trivium:", env!("CARGO_PKG_VERSION"));
const EVENT_SCHEMA: &str = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent";

/// What all events of a project have in common.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// The OpenLineage namespace of jobs and datasets.
    pub namespace: &'a str,
    /// The view, in its newest form.
    pub view: &'a FeatureView,
    /// The SQL that made the partition, if it is known.
    pub sql: Option<&'a str>,
}

/// A run that published nothing.
#[derive(Debug, Clone)]
pub struct Failed<'a> {
    /// First instant of the period.
    pub start: Timestamp,
    /// First instant after it.
    pub end: Timestamp,
    /// The scheduler's name of the run.
    pub run: &'a str,
    /// When it began, if that is known.
    pub started: Option<Timestamp>,
    /// When it failed.
    pub at: Timestamp,
    /// Why.
    pub message: &'a str,
}

/// The events of a published partition, in order.
pub fn published(place: Place<'_>, record: &PartitionRecord) -> [Json; 2] {
    let run_id = run_id(place, record.start, &record.revision.to_string());
    let mut run = run_facets(record.start, record.end);
    run.insert(
        "processing_engine".to_owned(),
        facet(
            "ProcessingEngineRunFacet",
            "1-1-1",
            json!({
                "name": record.engine, "version": "unknown",
            }),
        ),
    );
    let inputs: Vec<Json> = record
        .tables
        .iter()
        .map(|table| json!({ "namespace": place.namespace, "name": table }))
        .collect();
    let mut output = dataset(place);
    if let Some(facets) = output["facets"].as_object_mut() {
        facets.insert("columnLineage".to_owned(), column_lineage(place, record));
        facets.insert("dataQualityMetrics".to_owned(), metrics(record));
        facets.insert(
            "version".to_owned(),
            facet(
                "DatasetVersionDatasetFacet",
                "1-0-1",
                json!({
                    "datasetVersion": record.content_hash,
                }),
            ),
        );
        if !record.quality.is_empty() {
            let assertions: Vec<Json> = record.quality.iter().map(assertion).collect();
            facets.insert(
                "dataQualityAssertions".to_owned(),
                facet(
                    "DataQualityAssertionsDatasetFacet",
                    "1-1-0",
                    json!({
                        "assertions": assertions,
                    }),
                ),
            );
        }
    }
    output["outputFacets"] = json!({
        "outputStatistics": facet("OutputStatisticsOutputDatasetFacet", "1-0-2", json!({
            "rowCount": record.rows,
        })),
    });
    let event = |kind: &str, at: Timestamp, outputs: Json| {
        event(place, kind, at, &run_id, &run, &inputs, outputs)
    };
    let started = record.started.unwrap_or(record.finished);
    [event("START", started, json!([])), event("COMPLETE", record.finished, json!([output]))]
}

/// The events of a run that published nothing, in order.
pub fn failed(place: Place<'_>, failed: &Failed<'_>) -> [Json; 2] {
    let run_id = run_id(place, failed.start, &format!("failed {}", failed.run));
    let run = run_facets(failed.start, failed.end);
    let mut with_error = run.clone();
    with_error.insert(
        "errorMessage".to_owned(),
        facet(
            "ErrorMessageRunFacet",
            "1-0-1",
            json!({
                "message": failed.message, "programmingLanguage": "SQL",
            }),
        ),
    );
    let started = failed.started.unwrap_or(failed.at);
    [
        event(place, "START", started, &run_id, &run, &[], json!([])),
        event(place, "FAIL", failed.at, &run_id, &with_error, &[], json!([dataset(place)])),
    ]
}

/// The run's id: a UUID of version 8 from a hash of what names the run.
fn run_id(place: Place<'_>, start: Timestamp, which: &str) -> String {
    let text = format!("{}\n{}\n{}\n{which}", place.namespace, place.view.reference(), start.0);
    let hash = Sha256::digest(text.as_bytes());
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash[..16]);
    uuid::Builder::from_custom_bytes(bytes).into_uuid().to_string()
}

fn run_facets(start: Timestamp, end: Timestamp) -> Map<String, Json> {
    let nominal = facet(
        "NominalTimeRunFacet",
        "1-0-1",
        json!({
            "nominalStartTime": start.to_string(), "nominalEndTime": end.to_string(),
        }),
    );
    Map::from_iter([("nominalTime".to_owned(), nominal)])
}

fn event(
    place: Place<'_>,
    kind: &str,
    at: Timestamp,
    run_id: &str,
    run: &Map<String, Json>,
    inputs: &[Json],
    outputs: Json,
) -> Json {
    let view = place.view;
    let mut job = Map::from_iter([
        ("documentation".to_owned(), documentation("DocumentationJobFacet", &view.description)),
        ("ownership".to_owned(), ownership("OwnershipJobFacet", view)),
        (
            "jobType".to_owned(),
            facet(
                "JobTypeJobFacet",
                "2-0-4",
                json!({
                    "processingType": "BATCH", "integration": "TRIVIUM", "jobType": "FEATURE_VIEW",
                }),
            ),
        ),
    ]);
    if let Some(sql) = place.sql {
        let sql = facet("SQLJobFacet", "1-1-0", json!({ "query": sql, "dialect": "spark" }));
        job.insert("sql".to_owned(), sql);
    }
    json!({
        "eventType": kind,
        "eventTime": at.to_string(),
        "producer": PRODUCER,
        "schemaURL": EVENT_SCHEMA,
        "run": { "runId": run_id, "facets": run },
        "job": {
            "namespace": place.namespace,
            "name": view.reference().to_string(),
            "facets": job,
        },
        "inputs": inputs,
        "outputs": outputs,
    })
}

/// The view as a dataset, with what its config says.
fn dataset(place: Place<'_>) -> Json {
    let view = place.view;
    let field = |name: &str, data_type: String, description: Option<&str>| {
        let mut field = json!({ "name": name, "type": data_type });
        if let Some(description) = description {
            field["description"] = description.into();
        }
        field
    };
    let mut fields: Vec<Json> = view
        .sorted_entities()
        .into_iter()
        .map(|one| field(&one.name, one.key_type.to_string(), one.description.as_deref()))
        .collect();
    let times = [Some(&view.event_timestamp), view.created_timestamp.as_ref()];
    fields.extend(times.into_iter().flatten().map(|at| field(at, "timestamp".to_owned(), None)));
    let served = view.served_features();
    fields.extend(
        served
            .iter()
            .map(|one| field(&one.name, one.data_type.to_string(), Some(&one.description))),
    );
    json!({
        "namespace": place.namespace,
        "name": view.reference().to_string(),
        "facets": {
            "schema": facet("SchemaDatasetFacet", "1-2-0", json!({ "fields": fields })),
            "documentation": documentation("DocumentationDatasetFacet", &view.description),
            "ownership": ownership("OwnershipDatasetFacet", view),
        },
    })
}

fn documentation(name: &str, description: &str) -> Json {
    facet(name, "1-1-0", json!({ "description": description, "contentType": "text/plain" }))
}

fn ownership(name: &str, view: &FeatureView) -> Json {
    let owner = json!({ "name": format!("team:{}", view.owner.team), "type": "OWNER" });
    facet(name, "1-0-1", json!({ "owners": [owner] }))
}

/// Columns whose table the SQL's text does not tell are left out: a dataset must be named.
fn column_lineage(place: Place<'_>, record: &PartitionRecord) -> Json {
    let mut fields = Map::new();
    for one in &record.lineage {
        let inputs: Vec<Json> = one
            .sources
            .iter()
            .filter_map(|source| {
                let table = source.table.as_ref()?;
                Some(json!({ "namespace": place.namespace, "name": table, "field": source.column }))
            })
            .collect();
        if !inputs.is_empty() {
            fields.insert(one.column.clone(), json!({ "inputFields": inputs }));
        }
    }
    facet("ColumnLineageDatasetFacet", "1-2-0", json!({ "fields": fields }))
}

fn metrics(record: &PartitionRecord) -> Json {
    let columns: Map<String, Json> =
        record.statistics.iter().map(|one| (one.column.clone(), column_metrics(one))).collect();
    facet(
        "DataQualityMetricsDatasetFacet",
        "1-0-0",
        json!({
            "rowCount": record.rows,
            "lastUpdated": record.finished.to_string(),
            "columnMetrics": columns,
        }),
    )
}

fn column_metrics(one: &ColumnStatistics) -> Json {
    let mut metrics = Map::from_iter([
        ("count".to_owned(), Json::from(one.count - one.null_count.min(one.count))),
        ("nullCount".to_owned(), Json::from(one.null_count)),
    ]);
    if let Some(distinct) = one.distinct {
        metrics.insert("distinctCount".to_owned(), distinct.count.into());
    }
    for (name, value) in [("min", &one.min), ("max", &one.max)] {
        if let Some(number) = value.as_ref().and_then(number) {
            metrics.insert(name.to_owned(), number);
        }
    }
    let quantiles: Map<String, Json> = one
        .quantiles
        .iter()
        .filter_map(|(share, value)| Some((share.clone(), number(value)?)))
        .collect();
    if !quantiles.is_empty() {
        metrics.insert("quantiles".to_owned(), quantiles.into());
    }
    metrics.into()
}

/// A JSON number, from a number or from the text of a large or decimal one.
fn number(value: &Json) -> Option<Json> {
    match value {
        Json::Number(_) => Some(value.clone()),
        Json::String(text) => {
            let number: f64 = text.parse().ok()?;
            number.is_finite().then(|| number.into())
        }
        _ => None,
    }
}

fn assertion(check: &CheckOutcome) -> Json {
    let (rule, columns) = match check.check.split_once('(') {
        Some((rule, columns)) => (rule, columns.trim_end_matches(')')),
        None => (check.check.as_str(), ""),
    };
    let mut assertion = json!({
        "assertion": rule,
        "success": check.passed,
        "name": check.check,
        "severity": match check.severity { Severity::Error => "error", Severity::Warn => "warn" },
        "expected": check.expected,
    });
    if !columns.is_empty() && !columns.contains(',') {
        assertion["column"] = columns.into();
    }
    if let Some(found) = &check.found {
        assertion["actual"] = found.as_str().into();
    }
    assertion
}

fn facet(name: &str, version: &str, content: Json) -> Json {
    let mut facet = Map::from_iter([
        ("_producer".to_owned(), PRODUCER.into()),
        (
            "_schemaURL".to_owned(),
            format!("https://openlineage.io/spec/facets/{version}/{name}.json#/$defs/{name}")
                .into(),
        ),
    ]);
    if let Json::Object(content) = content {
        facet.extend(content);
    }
    facet.into()
}

#[cfg(test)]
mod tests;
