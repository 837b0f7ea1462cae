//! What comes before what, where views read views.

use std::collections::{BTreeMap, BTreeSet};

use trivium_api::ApiError;
use trivium_model::{FeatureView, Timestamp, ViewRef};
use trivium_offline::{periods, schedule};
use trivium_registry::StoredView;
use trivium_runtime::Kind;
use trivium_sql::AuthorQuery;

use crate::{
    failure::{self, Failure},
    project::Project,
    sources::Upstream,
    verbs::run::query,
};

/// Views in such an order that each comes after those whose rows it reads.
pub fn upstream_first<'s>(
    project: &Project,
    views: Vec<&'s StoredView>,
) -> Result<Vec<&'s StoredView>, Failure> {
    let mut reads = BTreeMap::new();
    for stored in &views {
        let query = query(stored)?;
        let upstream = query.tables().iter().filter_map(|name| project.sources.view(name).cloned());
        reads.insert(stored.view.reference(), upstream.collect::<Vec<ViewRef>>());
    }
    let mut left = views;
    let mut ordered: Vec<&StoredView> = Vec::with_capacity(left.len());
    while !left.is_empty() {
        let names: BTreeSet<ViewRef> = left.iter().map(|one| one.view.reference()).collect();
        let is_due = |one: &&StoredView| {
            let upstream = reads.get(&one.view.reference());
            !upstream.is_some_and(|upstream| upstream.iter().any(|name| names.contains(name)))
        };
        let (due, later): (Vec<_>, Vec<_>) = left.into_iter().partition(is_due);
        if due.is_empty() {
            let names: Vec<String> = names.iter().map(ToString::to_string).collect();
            let message = format!("these views read each other's rows: {}", names.join(", "));
            return Err(ApiError::new(Kind::FailedPrecondition, message)
                .at(project.file.display().to_string())
                .help("let one of them read something else: no order would do")
                .into());
        }
        ordered.extend(due);
        left = later;
    }
    Ok(ordered)
}

/// A period whose upstream partitions are not there would come out empty, or without some rows.
pub fn refuse_unpublished(
    project: &Project,
    view: &FeatureView,
    query: &AuthorQuery,
    (from, to): (Timestamp, Timestamp),
    upstream: &Upstream,
) -> Result<(), Failure> {
    if !query.tables().iter().any(|name| project.sources.view(name).is_some()) {
        return Ok(());
    }
    let schedule = schedule(view).map_err(|error| failure::offline(&error))?;
    for period in periods(schedule, from, to).map_err(|error| failure::offline(&error))? {
        let missing = project.sources.not_published(query.tables(), period, upstream)?;
        if let Some(first) = missing.first() {
            let message = format!(
                "{} {} reads what is not published: {}",
                view.reference(),
                period.folder(),
                missing.join(", ")
            );
            return Err(ApiError::new(Kind::FailedPrecondition, message)
                .at(first.split(':').next().unwrap_or_default().to_owned())
                .help("run these partitions first")
                .into());
        }
    }
    Ok(())
}
