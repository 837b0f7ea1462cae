//! What comes before what, where views read views.

use std::collections::{BTreeMap, BTreeSet};

use trivium_api::ApiError;
use trivium_daggen::reads::{Reads, Wrong};
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
        let mut said = BTreeSet::from([first.error.message.clone()]);
        for (also, failure) in failed {
            // Of a circle the same is said of each view: once will do.
            let is_news = said.insert(failure.error.message.clone())
                || !failure.error.message.contains(&also.to_string());
            // Programs have them in the answer.
            if output == Output::Table && is_news {
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
    let mut reads = Reads::new(&project.settings);
    let mut left = Vec::with_capacity(views.len());
    for stored in views {
        let view = stored.view.reference();
        match query(stored) {
            Ok(query) => {
                reads.add(&view, query.tables());
                let upstream = project.settings.views_among(query.tables());
                let upstream = upstream.map(|source| source.view.clone());
                trouble.reads.insert(view, upstream.collect::<Vec<ViewRef>>());
                left.push(stored);
            }
            Err(failure) => trouble.failed.push((view, failure)),
        }
    }
    let circular = refuse_circles(reads.circles(), &mut trouble);
    left.retain(|stored| !circular.contains(&stored.view.reference()));
    Ordered { views: in_order(left, &trouble.reads), trouble }
}

/// Of views that wait for each other none can be run; those that read these are left out when it is their
/// turn, as for any other failure. Gives the views of the circles.
fn refuse_circles(circles: Vec<Wrong>, trouble: &mut Trouble) -> BTreeSet<ViewRef> {
    let mut circular = BTreeSet::new();
    for Wrong { finding, views } in circles {
        let place = format!("{}:{}:{}", finding.path, finding.line, finding.column);
        for view in views {
            // Once, though it may be in several.
            if circular.insert(view.clone()) {
                let error = ApiError::new(Kind::FailedPrecondition, finding.message.clone())
                    .at(place.clone())
                    .help(finding.help.clone());
                trouble.failed.push((view, error.into()));
            }
        }
    }
    circular
}

/// Views without circles, each after those whose rows it reads, and otherwise as they were.
fn in_order<'s>(
    views: Vec<&'s StoredView>,
    reads: &BTreeMap<ViewRef, Vec<ViewRef>>,
) -> Vec<&'s StoredView> {
    let names: Vec<ViewRef> = views.iter().map(|stored| stored.view.reference()).collect();
    let numbers: BTreeMap<&ViewRef, usize> = names.iter().zip(0..).collect();
    let mut readers = vec![Vec::new(); views.len()];
    let mut awaited = vec![0_usize; views.len()];
    for (number, name) in names.iter().enumerate() {
        let upstream = reads.get(name).into_iter().flatten();
        for upstream in upstream.filter_map(|name| numbers.get(name)) {
            readers[*upstream].push(number);
            awaited[number] += 1;
        }
    }
    let mut ordered = Vec::with_capacity(views.len());
    let mut due: Vec<usize> = (0..views.len()).filter(|number| awaited[*number] == 0).collect();
    while !due.is_empty() {
        let mut later = Vec::new();
        for number in due {
            ordered.push(views[number]);
            for &reader in &readers[number] {
                awaited[reader] -= 1;
                if awaited[reader] == 0 {
                    later.push(reader);
                }
            }
        }
        later.sort_unstable();
        due = later;
    }
    ordered
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
