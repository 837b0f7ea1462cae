//! `trivium ls`

use serde_json::json;
use trivium_model::{FeatureView, Lane};

use crate::{
    args::{Global, LsArgs, Output},
    catalog::Catalog,
    failure::Failure,
    output,
    target::{Need, Target},
};

/// Lists views and services.
pub async fn run(global: &Global, args: &LsArgs) -> Result<(), Failure> {
    let target = Target::open_quietly(global, Need::Registry).await?;
    let catalog = Catalog::ask(&target).await?;
    let asked = |namespace: &str| args.namespace.as_deref().is_none_or(|only| only == namespace);
    let views: Vec<&FeatureView> =
        catalog.views.values().filter(|view| asked(view.namespace.as_str())).collect();
    let services: Vec<_> =
        catalog.services.values().filter(|service| asked(service.namespace.as_str())).collect();
    if global.output == Output::Json {
        output::json(&json!({ "views": views, "services": services }));
        return Ok(());
    }
    if views.is_empty() && services.is_empty() {
        match &args.namespace {
            Some(namespace) => output::note(format!("there is nothing in namespace {namespace}")),
            None => output::note(
                "the registry is empty: `trivium apply` brings it what the configs say",
            ),
        }
        return Ok(());
    }
    let mut rows: Vec<Vec<String>> = views
        .iter()
        .map(|view| {
            vec![
                view.reference().to_string(),
                lane(view.lane).to_owned(),
                view.entity_type(),
                view.served_features().len().to_string(),
                view.owner.team.clone(),
                view.description.clone(),
            ]
        })
        .collect();
    rows.extend(services.iter().map(|service| {
        vec![
            service.reference().to_string(),
            "service".to_owned(),
            String::new(),
            service.features.len().to_string(),
            service.owner.team.clone(),
            service.description.clone(),
        ]
    }));
    let headings = ["name", "lane", "entity", "features", "owner", "description"];
    output::table(&headings, &rows, |_, column, _| match column {
        0 => output::GOOD,
        5 => output::FAINT,
        _ => output::plain(0, 0, ""),
    });
    Ok(())
}

/// The lane's word.
pub fn lane(lane: Lane) -> &'static str {
    match lane {
        Lane::Batch => "batch",
        Lane::Stream => "stream",
        Lane::Direct => "direct",
    }
}
