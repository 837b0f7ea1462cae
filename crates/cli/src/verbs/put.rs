//! `trivium put`

use axum::http::Method;
use serde::Deserialize;
use serde_json::{Map, Value as Json, json};
use trivium_api::{ApiError, error::ErrorBody};
use trivium_runtime::Kind;

use crate::{
    args::{Global, Output, PutArgs, WriteTerms},
    catalog::Catalog,
    entity,
    failure::Failure,
    grpc, output,
    project::show_instant,
    target::{self, Address, Need, Target},
};

/// The answer to a write.
#[derive(Debug, Deserialize)]
struct Answer {
    results: Vec<WriteResult>,
}

#[derive(Debug, Deserialize)]
struct WriteResult {
    outcome: String,
    #[serde(default)]
    rev: Json,
    event_time: Option<String>,
    error: Option<ErrorBody>,
}

/// Sets features of one entity.
pub async fn run(global: &Global, args: &PutArgs) -> Result<(), Failure> {
    let make = |catalog: &Catalog| -> Result<Json, Failure> {
        let view = catalog.view(&args.view)?;
        let mut row = Map::new();
        row.insert("entity".into(), entity::entity(&args.entity, &[view])?.into());
        row.insert("values".into(), entity::values(&args.set, view)?.into());
        add_terms(&mut row, &args.terms);
        let mut request = Map::new();
        request.insert("view".into(), args.view.clone().into());
        request.insert("rows".into(), json!([row]));
        if args.wait_for_search {
            request.insert("wait_for_search".into(), true.into());
        }
        Ok(request.into())
    };
    let body = send(global, "/v1/features/online/put", make).await?;
    print(global, &args.view, &body)
}

/// Event time, `if_rev` and idempotency key, where they were given.
pub fn add_terms(row: &mut Map<String, Json>, terms: &WriteTerms) {
    if let Some(event_time) = terms.event_time {
        row.insert("event_time".into(), show_instant(event_time.0).into());
    }
    if let Some(rev) = terms.if_rev {
        // As a string, because JSON's numbers end at 2^53.
        row.insert("if_rev".into(), rev.to_string().into());
    }
    if let Some(key) = &terms.idempotency_key {
        row.insert("idempotency_key".into(), key.clone().into());
    }
}

/// Makes the request by what the registry holds, and sends it.
pub async fn send(
    global: &Global,
    path: &str,
    make: impl FnOnce(&Catalog) -> Result<Json, Failure>,
) -> Result<Vec<u8>, Failure> {
    if let Some(Address::Grpc(base)) = target::address(global)? {
        let client = grpc::Client::connect(&base, global).await?;
        let catalog = client.catalog().await?;
        let request = make(&catalog)?;
        return client.write(path, &catalog, &request).await;
    }
    let target = Target::open(global, Need::Rows).await?;
    let catalog = Catalog::ask(&target).await?;
    let request = make(&catalog)?;
    Ok(target.call(Method::POST, path, Some(&request)).await?.to_vec())
}

/// Prints how a write ended; a refused one is a failure.
pub fn print(global: &Global, view: &str, body: &[u8]) -> Result<(), Failure> {
    let answer: Answer = target::read(body)?;
    let Some(result) = answer.results.first() else {
        return Err(ApiError::internal("the answer has no result").into());
    };
    let rev = match &result.rev {
        Json::String(text) => text.clone(),
        other => other.to_string(),
    };
    if let Some(error) = &result.error {
        let kind = Kind::from_code(&error.code).unwrap_or(Kind::Internal);
        return Err(ApiError::new(kind, &error.message).at(&error.field).help(&error.help).into());
    }
    if result.outcome == "CONFLICT" {
        return Err(ApiError::new(
            Kind::Conflict,
            format!("the row is at rev {rev}: nothing was changed"),
        )
        .at(view)
        .help("read it again and decide again; --if-rev 0 means: only where no row is")
        .into());
    }
    if global.output == Output::Json {
        output::raw(body);
        return Ok(());
    }
    let event_time = result.event_time.as_deref().unwrap_or("-");
    let (style, word) = match result.outcome.as_str() {
        "SUPERSEDED" => {
            (output::WARN, "superseded (a row at least as new stands there; nothing was changed)")
        }
        "ERASED" => (
            output::WARN,
            "refused (the person has been erased up to this time; nothing was changed)",
        ),
        _ => (output::GOOD, "applied"),
    };
    output::line(format!(
        "{} {view}, event time {event_time}, rev {rev}",
        output::paint(style, word)
    ));
    Ok(())
}
