//! A query held against the view that it stands beside.

use std::collections::BTreeSet;

use sqlparser::ast::{Select, SetExpr};
use trivium_model::{Diagnostic, FeatureView};

use crate::{
    AuthorQuery, OutputColumn,
    scan::{nearest, position},
};

pub(crate) fn check(query: &AuthorQuery, view: &FeatureView) -> Vec<Diagnostic> {
    let mut errors = Vec::new();
    let given: BTreeSet<&str> = query.columns.iter().map(|column| column.name.as_str()).collect();
    let wanted = wanted(view);
    let missing: Vec<&(&str, &str)> =
        wanted.iter().filter(|(name, _)| !given.contains(name)).collect();

    for column in &query.columns {
        if wanted.iter().any(|(name, _)| *name == column.name) {
            continue;
        }
        let near = nearest(&column.name, missing.iter().map(|(name, _)| *name));
        let help = match near {
            Some(near) => format!("did you mean `{near}`?"),
            None => "add the feature to the JSON, or leave the column out".to_owned(),
        };
        errors.push(Diagnostic::error(
            &query.path,
            column.position,
            "sql-unknown-column",
            format!("`{}` is no column of {}", column.name, view.reference()),
            help,
        ));
    }
    let start = first_select(&query.query.body)
        .map_or((1, 1), |select| position(select.select_token.0.span.start));
    for (name, what) in missing {
        let extra = query
            .columns
            .iter()
            .map(|column| column.name.as_str())
            .filter(|given| wanted.iter().all(|(name, _)| name != given));
        let help = match nearest(name, extra) {
            Some(near) => format!("`{near}` is there: name it `{name}`"),
            None => format!("add `… AS {name}`"),
        };
        errors.push(Diagnostic::error(
            &query.path,
            start,
            "sql-missing-column",
            format!("the {what} `{name}` is missing"),
            help,
        ));
    }
    errors.extend(event_time(query, view));
    errors.sort_by_key(|error| (error.line, error.column));
    errors
}

/// The columns that the view wants, and what each is.
pub(crate) fn wanted(view: &FeatureView) -> Vec<(&str, &'static str)> {
    let entities = view.entities.iter().map(|entity| (entity.name.as_str(), "entity"));
    let times = std::iter::once((view.event_timestamp.as_str(), "event timestamp"))
        .chain(view.created_timestamp.iter().map(|name| (name.as_str(), "created timestamp")));
    let features = view.features.iter().map(|feature| (feature.name.as_str(), "feature"));
    entities.chain(times).chain(features).collect()
}

/// What is added up over a period is known when the period ends, not when it begins.
fn event_time(query: &AuthorQuery, view: &FeatureView) -> Option<Diagnostic> {
    let column = query.columns.iter().find(|column| view.event_timestamp == *column.name)?;
    let OutputColumn { names_period_only: true, .. } = column else { return None };
    if !query.aggregates {
        return None;
    }
    Some(Diagnostic::error(
        &query.path,
        column.position,
        "sql-event-time",
        format!(
            "`{}` is the period's start, but the query aggregates over the period: training sets would see the rest of the period before it happened",
            column.name
        ),
        format!("write `TIMESTAMP '{{{{ period_end }}}}' AS {}`", column.name),
    ))
}

fn first_select(body: &SetExpr) -> Option<&Select> {
    match body {
        SetExpr::Select(select) => Some(select),
        SetExpr::Query(query) => first_select(&query.body),
        SetExpr::SetOperation { left, .. } => first_select(left),
        _ => None,
    }
}
