//! `trivium show`

use axum::http::Method;
use serde_json::json;
use trivium_api::ApiError;
use trivium_model::{Carryover, FeatureService, FeatureView};
use trivium_registry_api::shapes::{ServiceHistoryAnswer, ViewHistoryAnswer};

use crate::{
    args::{Global, Output, ShowArgs},
    catalog::Catalog,
    failure::Failure,
    output,
    target::{Need, Target},
    verbs::{ls, record},
};

/// Shows one view or service, and every form that was accepted.
pub async fn run(global: &Global, args: &ShowArgs) -> Result<(), Failure> {
    if args.name.contains(':') {
        return Err(ApiError::invalid("this names a feature")
            .at(&args.name)
            .help("name its view, without `:feature`")
            .into());
    }
    let target = Target::open_quietly(global, Need::Registry).await?;
    let catalog = Catalog::ask(&target).await?;
    let view = catalog.view(&args.name);
    let service = catalog.service(&args.name);
    match (view, service) {
        (Ok(view), _) if args.partitions => record::list(global, &target, view).await,
        (Err(_), Ok(service)) if args.partitions => {
            Err(ApiError::invalid(format!("{} is a service", service.reference()))
                .at("--partitions")
                .help("name a view: only views have partitions")
                .into())
        }
        (Ok(view), _) => {
            let path = format!("/v1/feature-views/{}", args.name.replace('@', "/"));
            let answer: ViewHistoryAnswer = target.ask(Method::GET, &path, None).await?;
            if global.output == Output::Json {
                output::json(&json!({ "view": view, "revisions": answer.revisions }));
                return Ok(());
            }
            print_view(view);
            print_history(
                answer.revisions.iter().map(|r| (r.revision, &r.at, &r.author, &r.reason)),
            );
            Ok(())
        }
        (Err(_), Ok(service)) => {
            let path = format!("/v1/feature-services/{}", args.name.replace('@', "/"));
            let answer: ServiceHistoryAnswer = target.ask(Method::GET, &path, None).await?;
            if global.output == Output::Json {
                output::json(&json!({ "service": service, "revisions": answer.revisions }));
                return Ok(());
            }
            print_service(service);
            print_history(
                answer.revisions.iter().map(|r| (r.revision, &r.at, &r.author, &r.reason)),
            );
            Ok(())
        }
        (Err(failure), Err(_)) => Err(failure),
    }
}

fn fact(name: &str, value: impl std::fmt::Display) {
    output::line(format!(
        "{} {}",
        output::paint(output::FAINT, format!("{:<12}", format!("{name}:"))),
        output::shown(&value.to_string())
    ));
}

fn print_view(view: &FeatureView) {
    output::line(format!(
        "{}  {}",
        output::paint(output::STRONG, view.reference()),
        output::shown(&view.description)
    ));
    let keys: Vec<String> = view
        .entities
        .iter()
        .map(|entity| format!("{} ({})", entity.name, entity.key_type))
        .collect();
    fact("entity", keys.join(", "));
    fact("lane", ls::lane(view.lane));
    fact("owner", format!("{}, {}", view.owner.team, view.owner.contact));
    fact("urgency", view.urgency_tier);
    if let Some(subject) = &view.subject {
        fact("subject", subject);
    }
    if let Some(schedule) = &view.schedule {
        fact("schedule", format!("every {} from {}", schedule.every, schedule.start));
    }
    fact("ttl", view.ttl.map_or_else(|| "unlimited".to_owned(), |ttl| ttl.to_string()));
    if let Carryover::LastValue { max_periods } = view.carryover {
        fact("carryover", format!("the last value, for {max_periods} periods"));
    }
    fact("online", if view.online { "yes" } else { "no" });
    if !view.tags.is_empty() {
        fact("tags", view.tags.join(", "));
    }
    output::line("");
    let rows: Vec<Vec<String>> = view
        .served_features()
        .iter()
        .map(|feature| {
            let default = feature.default.as_ref().map(|default| {
                trivium_model::json::value_to_json(&feature.data_type, default).to_string()
            });
            vec![
                feature.name.to_string(),
                feature.data_type.to_string(),
                default.unwrap_or_else(|| "null".to_owned()),
                feature.description.clone(),
            ]
        })
        .collect();
    output::table(
        &["feature", "type", "default", "description"],
        &rows,
        |_, column, _| match column {
            0 => output::GOOD,
            3 => output::FAINT,
            _ => output::plain(0, 0, ""),
        },
    );
}

fn print_service(service: &FeatureService) {
    output::line(format!(
        "{}  {}",
        output::paint(output::STRONG, service.reference()),
        output::shown(&service.description)
    ));
    fact("owner", format!("{}, {}", service.owner.team, service.owner.contact));
    output::line("");
    for feature in service.feature_refs() {
        output::line(feature);
    }
}

fn print_history<'a>(history: impl Iterator<Item = (u64, &'a String, &'a String, &'a String)>) {
    output::line("");
    let rows: Vec<Vec<String>> = history
        .map(|(revision, at, author, reason)| {
            vec![revision.to_string(), at.clone(), author.clone(), reason.clone()]
        })
        .collect();
    output::table(&["revision", "at", "author", "reason"], &rows, output::plain);
}
