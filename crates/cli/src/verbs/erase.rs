//! `trivium erase`

use std::collections::BTreeMap;

use axum::http::Method;
use serde::Deserialize;
use serde_json::{Map, Value as Json, json};
use trivium_api::ApiError;

use crate::{
    args::{EraseArgs, Global, Output},
    catalog::Catalog,
    entity,
    failure::Failure,
    output,
    target::{self, Need, Target},
};

/// What is printed of a report.
#[derive(Deserialize)]
struct Report {
    state: String,
    erasure: String,
    up_to: String,
    views: BTreeMap<String, Rows>,
    embeddings: BTreeMap<String, u64>,
    rows_verified: u64,
    offline_order_left: bool,
    problem: String,
}

#[derive(Deserialize)]
struct Rows {
    deleted: u64,
    newer: u64,
}

/// Erases a person, or tells how far that is.
pub async fn run(global: &Global, args: &EraseArgs) -> Result<(), Failure> {
    let target = Target::open(global, Need::Rows).await?;
    let catalog = Catalog::ask(&target).await?;
    let types = catalog.views.values().filter(|view| view.namespace.as_str() == args.namespace);
    let key_type = types
        .flat_map(|view| &view.entities)
        .find(|entity| entity.name.as_str() == args.person.key)
        .map(|entity| entity.key_type);
    // The server says better what is wrong with a key that it does not know.
    let value = match key_type {
        None => Json::String(args.person.value.clone()),
        Some(key_type) => entity::key_json(key_type, &args.person.value)
            .map_err(|message| ApiError::invalid(message).at(args.person.key.as_str()))?,
    };
    let mut body = Map::new();
    body.insert("namespace".into(), args.namespace.as_str().into());
    body.insert("subject".into(), json!({ args.person.key.as_str(): value }));
    let path = if args.status {
        "/v1/subjects/erasure"
    } else {
        body.insert("reason".into(), args.reason.as_str().into());
        body.insert("requested_by".into(), args.requested_by.as_str().into());
        body.insert("request_id".into(), args.request_id.as_str().into());
        "/v1/subjects/erase"
    };
    let answer = target.call(Method::POST, path, Some(&Json::Object(body))).await?;
    if global.output == Output::Json {
        output::raw(&answer);
        return Ok(());
    }
    print(&target::read(&answer)?);
    Ok(())
}

fn print(report: &Report) {
    let (style, word) = match report.state.as_str() {
        "DONE" => (output::GOOD, "erased"),
        "AWAITING_REGISTRY" => {
            (output::WARN, "erased online; the order for the offline store is still to be left")
        }
        _ => (output::WARN, "being erased; it goes on by itself, --status tells how far it is"),
    };
    output::line(format!(
        "{}: writes up to {} are refused",
        output::paint(style, word),
        report.up_to
    ));
    for (view, rows) in &report.views {
        let newer = match rows.newer {
            0 => String::new(),
            newer => format!(", {newer} written since, which stay"),
        };
        output::line(format!("  {view}: {} rows deleted{newer}", rows.deleted));
    }
    for (feature, deleted) in &report.embeddings {
        output::line(format!("  {feature}: {deleted} embeddings deleted"));
    }
    output::line(format!(
        "  {} rows read again and found gone; order for the offline store {}; erasure {}",
        report.rows_verified,
        if report.offline_order_left { "left" } else { "not left yet" },
        report.erasure
    ));
    if !report.problem.is_empty() {
        output::line(format!("  {}", output::paint(output::WARN, &report.problem)));
    }
}
