//! `trivium get`

use axum::http::Method;
use serde::Deserialize;
use serde_json::{Map, Value as Json, json};

use crate::{
    args::{GetArgs, Global, Output},
    catalog::{Catalog, Selected},
    entity,
    failure::Failure,
    grpc, output,
    target::{self, Address, Need, Target},
};

/// The REST answer, as far as a table shows it.
#[derive(Debug, Deserialize)]
struct Answer {
    features: Vec<String>,
    rows: Vec<AnswerRow>,
}

#[derive(Debug, Deserialize)]
struct AnswerRow {
    values: Vec<Json>,
    #[serde(default)]
    statuses: Option<Vec<String>>,
    #[serde(default)]
    event_times: Map<String, Json>,
    #[serde(default)]
    revs: Map<String, Json>,
}

/// Reads one entity's features.
pub async fn run(global: &Global, args: &GetArgs) -> Result<(), Failure> {
    let body = match target::address(global)? {
        Some(Address::Grpc(base)) => {
            let client = grpc::Client::connect(&base, global).await?;
            let catalog = client.catalog().await?;
            let (selected, entity, inputs) = request(&catalog, args)?;
            client.get(&selected, &catalog, &entity, &inputs).await?
        }
        _ => {
            let target = Target::open(global, Need::Rows).await?;
            let catalog = Catalog::ask(&target).await?;
            let (selected, entity, inputs) = request(&catalog, args)?;
            let request = match selected {
                Selected::Features(features) => {
                    json!({ "features": features, "entities": [entity] })
                }
                Selected::Service(service) => {
                    json!({ "service": service.to_string(), "entities": [entity], "inputs": inputs })
                }
            };
            target.call(Method::POST, "/v1/features/online/get", Some(&request)).await?.to_vec()
        }
    };
    match global.output {
        Output::Json => output::raw(&body),
        Output::Table => print(&target::read(&body)?),
    }
    Ok(())
}

/// What is read, of whom, with which inputs.
type Request = (Selected, Map<String, Json>, Map<String, Json>);

fn request(catalog: &Catalog, args: &GetArgs) -> Result<Request, Failure> {
    let (selected, views) = catalog.select(&args.names, &args.features, args.service.as_deref())?;
    let service = match &selected {
        Selected::Features(_) => None,
        Selected::Service(service) => catalog.services.get(service),
    };
    let inputs = entity::inputs(&args.input, service)?;
    Ok((selected, entity::entity(&args.entity, &views)?, inputs))
}

fn print(answer: &Answer) {
    let Some(row) = answer.rows.first() else { return };
    let status = |index: usize| {
        row.statuses
            .as_ref()
            .and_then(|statuses| statuses.get(index))
            .map_or("PRESENT", String::as_str)
    };
    let rows: Vec<Vec<String>> = answer
        .features
        .iter()
        .zip(&row.values)
        .enumerate()
        .map(|(index, (feature, value))| {
            let view = feature.split(':').next().unwrap_or(feature);
            let event_time = row.event_times.get(view).map(text).unwrap_or_default();
            vec![feature.clone(), text(value), status(index).to_owned(), event_time]
        })
        .collect();
    output::table(&["feature", "value", "status", "event time"], &rows, |_, column, cell| {
        match (column, cell) {
            (2, "PRESENT") => output::GOOD,
            (2, "ERROR") => output::BAD,
            (2, _) => output::WARN,
            (3, _) => output::FAINT,
            _ => output::plain(0, 0, ""),
        }
    });
    for (view, rev) in &row.revs {
        output::line(output::paint(output::FAINT, format!("{view} rev {}", text(rev))));
    }
}

fn text(value: &Json) -> String {
    match value {
        Json::String(text) => text.clone(),
        other => other.to_string(),
    }
}
