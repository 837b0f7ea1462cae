//! What comes before what, where views read views.

use std::collections::{BTreeMap, BTreeSet};

use trivium_api::ApiError;
use trivium_model::{FeatureView, Timestamp, ViewRef};
use trivium_offline::{periods, schedule};
use trivium_registry::StoredView;
use trivium_runtime::Kind;
use trivium_sql::AuthorQuery;

use crate::{
    args::Output,
    failure::{self, Failure},
    output,
    project::Project,
    sources::Upstream,
    verbs::run::query,
};

/// Views, and what is known of them before any is run.
pub struct Ordered<'s> {
    /// Each after those whose rows it reads.
    pub views: Vec<&'s StoredView>,
    /// What kept others from being run.
    pub trouble: Trouble,
}

/// What could not be run, and what for want of it.
#[derive(Default)]
pub struct Trouble {
    /// The views that each of the others reads.
    reads: BTreeMap<ViewRef, Vec<ViewRef>>,
    /// Those that failed, in the order in which they did.
    pub failed: Vec<(ViewRef, Failure)>,
    /// Those that were not run, each with the one whose failure is to blame.
    pub not_run: Vec<(ViewRef, ViewRef)>,
}

impl Trouble {
    /// Whether a view is left out for another's sake; then it is noted.
    pub fn keeps(&mut self, view: &ViewRef) -> bool {
        let Some(cause) = self.reads.get(view).into_iter().flatten().find_map(|up| self.cause(up))
        else {
            return false;
        };
        let cause = cause.clone();
        self.not_run.push((view.clone(), cause));
        true
    }

    fn cause(&self, view: &ViewRef) -> Option<&ViewRef> {
        let failed =
            self.failed.iter().find(|(failed, _)| failed == view).map(|(failed, _)| failed);
        let for_another = || self.not_run.iter().find(|(not_run, _)| not_run == view);
        failed.or_else(|| for_another().map(|(_, cause)| cause))
    }

    /// The first failure, with all that came of it; people are told of the others before it.
    pub fn told(self, output: Output) -> Option<Failure> {
        let mut failed = self.failed.into_iter();
        let (view, mut first) = failed.next()?;
        let mut more = Vec::new();
        for (also, failure) in failed {
            // Programs have them in the answer.
            if output == Output::Table {
                let ApiError { message, field, .. } = &failure.error;
                let place = if field.is_empty() { String::new() } else { format!(" ({field})") };
                let text = format!("{also}: {message}{place}");
                failure.findings.iter().for_each(output::finding);
                let word = output::paint(output::BAD, "error:");
                output::note(format!("{word} {}", output::shown(&text)));
            }
            more.push(also.to_string());
        }
        let mut message = first.error.message;
        if !message.contains(&view.to_string()) {
            message = format!("{view}: {message}");
        }
        let not_run = self.not_run.iter().map(|(view, cause)| match more.is_empty() {
            true => view.to_string(),
            false => format!("{view} (for {cause})"),
        });
        let not_run: Vec<String> = not_run.collect();
        if !not_run.is_empty() {
            message = format!("{message}; not run because of it: {}", not_run.join(", "));
        }
        if !more.is_empty() {
            message = format!("{message}; failed, too: {}", more.join(", "));
        }
        first.error.message = message;
        Some(first)
    }
}

/// Views in such an order that each comes after those whose rows it reads.
pub fn upstream_first<'s>(project: &Project, views: Vec<&'s StoredView>) -> Ordered<'s> {
    let mut trouble = Trouble::default();
    let mut left = Vec::with_capacity(views.len());
    for stored in views {
        let view = stored.view.reference();
        match query(stored) {
            Ok(query) => {
                let tables = query.tables().iter();
                let upstream = tables.filter_map(|name| project.sources.view(name).cloned());
                trouble.reads.insert(view, upstream.collect::<Vec<ViewRef>>());
                left.push(stored);
            }
            Err(failure) => trouble.failed.push((view, failure)),
        }
    }
    let mut ordered: Vec<&StoredView> = Vec::with_capacity(left.len());
    while !left.is_empty() {
        let names: BTreeSet<ViewRef> = left.iter().map(|one| one.view.reference()).collect();
        let is_due = |one: &&StoredView| {
            let upstream = trouble.reads.get(&one.view.reference());
            !upstream.is_some_and(|upstream| upstream.iter().any(|name| names.contains(name)))
        };
        let (due, later): (Vec<_>, Vec<_>) = left.into_iter().partition(is_due);
        if due.is_empty() {
            refuse_circle(project, names, &mut trouble);
            break;
        }
        ordered.extend(due);
        left = later;
    }
    Ordered { views: ordered, trouble }
}

/// Of views that wait for each other, and of those that read these, none can be run.
fn refuse_circle(project: &Project, names: BTreeSet<ViewRef>, trouble: &mut Trouble) {
    let listed: Vec<String> = names.iter().map(ToString::to_string).collect();
    let mut names = names.into_iter();
    let Some(first) = names.next() else { return };
    let message = format!("these views read each other's rows: {}", listed.join(", "));
    let error = ApiError::new(Kind::FailedPrecondition, message)
        .at(project.file.display().to_string())
        .help(
            "let one of them read something else: no order would do; `trivium validate` says where",
        );
    trouble.not_run.extend(names.map(|name| (name, first.clone())));
    trouble.failed.push((first, error.into()));
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
