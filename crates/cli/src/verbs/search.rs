//! `trivium search`

use axum::http::Method;
use serde::Deserialize;
use serde_json::{Map, Value as Json, json};
use trivium_api::ApiError;
use trivium_model::{FeatureRef, FeatureView};

use crate::{
    args::{Global, Output, SearchArgs},
    catalog::Catalog,
    entity,
    failure::Failure,
    grpc, output,
    target::{self, Address, Need, Target},
};

/// The REST answer, as far as a table shows it.
#[derive(Debug, Deserialize)]
struct Answer {
    features: Vec<String>,
    hits: Vec<Hit>,
    dropped: u64,
    is_cut_off: bool,
}

#[derive(Debug, Deserialize)]
struct Hit {
    entity: Map<String, Json>,
    score: Json,
    event_time: String,
    #[serde(default)]
    values: Vec<Json>,
}

/// Searches near a vector or an entity.
pub async fn run(global: &Global, args: &SearchArgs) -> Result<(), Failure> {
    let path = "/v1/features/online/search";
    let body = match target::address(global)? {
        Some(Address::Grpc(base)) => {
            let client = grpc::Client::connect(&base, global).await?;
            let catalog = client.catalog().await?;
            client.search(&catalog, &request(&catalog, args)?).await?
        }
        _ => {
            let target = Target::open(global, Need::Rows).await?;
            let catalog = Catalog::ask(&target).await?;
            target.call(Method::POST, path, Some(&request(&catalog, args)?)).await?.to_vec()
        }
    };
    match global.output {
        Output::Json => output::raw(&body),
        Output::Table => print(&target::read(&body)?),
    }
    Ok(())
}

/// The view of a feature's full name.
pub fn view_of<'c>(catalog: &'c Catalog, feature: &str) -> Result<&'c FeatureView, Failure> {
    let reference: FeatureRef = feature.parse().map_err(|_| {
        ApiError::invalid(format!("`{feature}` names no feature"))
            .at("FEATURE")
            .help("name one embedding feature, as in `shop/products@1:picture`")
    })?;
    catalog.view(&reference.view.to_string())
}

/// The JSON of REST.
fn request(catalog: &Catalog, args: &SearchArgs) -> Result<Json, Failure> {
    let view = view_of(catalog, &args.feature)?;
    let mut request = Map::new();
    request.insert("feature".into(), args.feature.clone().into());
    request.insert("k".into(), args.k.into());
    match &args.vector {
        Some(text) => {
            let vector: Json = serde_json::from_str(text).map_err(|error| {
                ApiError::invalid(format!("the vector is no JSON: {error}"))
                    .at("--vector")
                    .help("write it as in `--vector '[0.1, 0.9]'`")
            })?;
            request.insert("vector".into(), vector);
        }
        None => {
            request.insert("entity".into(), entity::entity(&args.entity, &[view])?.into());
        }
    }
    let mut filters = Vec::new();
    for condition in &args.conditions {
        let name = &condition.pair.key;
        let value = entity::value("--where", &condition.pair, view)?;
        filters.push(match condition.word {
            "equals" => json!({ "equals": { name: value } }),
            bound => json!({ "range": { name: { bound: value } } }),
        });
    }
    if !filters.is_empty() {
        request.insert("filter".into(), json!({ "all": filters }));
    }
    if let Some(score) = args.min_score {
        request.insert("min_score".into(), score.into());
    }
    if !args.show.is_empty() {
        let reference = view.reference();
        let full = |name: &String| {
            if name.contains('/') { name.clone() } else { format!("{reference}:{name}") }
        };
        let features: Vec<String> = args.show.iter().map(full).collect();
        request.insert("features".into(), features.into());
    }
    Ok(request.into())
}

fn print(answer: &Answer) {
    let Some(first) = answer.hits.first() else {
        output::line("nothing was found");
        return note(answer);
    };
    let mut head: Vec<&str> = first.entity.keys().map(String::as_str).collect();
    head.extend(["score", "event time"]);
    head.extend(
        answer.features.iter().map(|name| name.split_once(':').map_or("", |(_, name)| name)),
    );
    let rows: Vec<Vec<String>> = answer
        .hits
        .iter()
        .map(|hit| {
            let mut row: Vec<String> = hit.entity.values().map(text).collect();
            row.extend([text(&hit.score), hit.event_time.clone()]);
            row.extend(hit.values.iter().map(text));
            row
        })
        .collect();
    output::table(&head, &rows, output::plain);
    note(answer);
}

fn note(answer: &Answer) {
    if answer.dropped > 0 {
        let note = format!(
            "{} documents that belong to no row as it is now were left out",
            answer.dropped
        );
        output::line(output::paint(output::FAINT, note));
    }
    if answer.is_cut_off {
        output::line(output::paint(output::WARN, "there may be more: too many were left out"));
    }
}

fn text(value: &Json) -> String {
    match value {
        Json::String(text) => text.clone(),
        other => other.to_string(),
    }
}
