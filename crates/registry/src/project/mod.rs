//! A project: everything that a configs folder says, read and checked as one.
//!
//! The texts come from a request, a commit, or from disk: only [`read_folder`] opens files.
//!
//! Beside the codes of the config parser and of the SQL it has its own: [`CODES`].

mod codes;
pub(crate) mod derived;
mod files;
mod folder;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use trivium_expr::{SourceFilter, WindowFilter};
use trivium_model::{
    Diagnostic, FeatureService, FeatureView, Lane, ServiceRef, ViewRef,
    config::{
        check_project_with, limits::CONFIG_BYTES_MAX, parse_service_with_warnings,
        parse_view_with_warnings, position_within,
    },
};
use trivium_sql::{AuthorQuery, FlinkQuery, scan::SQL_BYTES_MAX};

pub use codes::{
    BAD_EXPRESSION, BAD_FILTER, CODES, DUPLICATE_FILE, FILE_TOO_LARGE, MISSING_CONFIG, MISSING_SQL,
    NEEDLESS_SQL, NOT_A_FILE, NOT_UTF8, TOO_MANY_FILES, UNKNOWN_FILE, UNREADABLE,
};
pub use files::{File, FileKind, Grouped, Stem, group};
pub use folder::{FolderFiles, file_of, read_folder};

/// The most files of one project.
pub const PROJECT_FILES_MAX: usize = 10_000;

/// The longest file of this name, in bytes: what its parser takes. A view with as many features as
/// it may have is a longer text than any query.
pub fn file_bytes_max(path: &str) -> usize {
    if path.ends_with(".sql") { SQL_BYTES_MAX } else { CONFIG_BYTES_MAX }
}

/// A project without errors.
#[derive(Debug, Clone, Default)]
pub struct Project {
    /// The views, by reference.
    pub views: BTreeMap<ViewRef, ProjectView>,
    /// The services, by reference.
    pub services: BTreeMap<ServiceRef, ProjectService>,
    /// What is odd, but refuses nothing.
    pub warnings: Vec<Diagnostic>,
}

/// A view as the project has it.
#[derive(Debug, Clone)]
pub struct ProjectView {
    /// The definition.
    pub view: FeatureView,
    /// Where the JSON is.
    pub config_path: String,
    /// The JSON, byte for byte.
    pub config_text: String,
    /// The SQL of a batch view.
    pub sql: Option<ProjectSql>,
    /// The SQL of a stream view's job.
    pub flink: Option<FlinkQuery>,
}

impl ProjectView {
    /// The text of the SQL, byte for byte, whatever dialect it is in.
    pub fn sql_text(&self) -> Option<&str> {
        let batch = self.sql.as_ref().map(|sql| sql.text.as_str());
        batch.or_else(|| self.flink.as_ref().map(FlinkQuery::text))
    }
}

/// A view's SQL as the project has it.
#[derive(Debug, Clone)]
pub struct ProjectSql {
    /// Where it is.
    pub path: String,
    /// Byte for byte.
    pub text: String,
    /// Parsed and held against the view.
    pub query: AuthorQuery,
}

/// A service as the project has it.
#[derive(Debug, Clone)]
pub struct ProjectService {
    /// The definition.
    pub service: FeatureService,
    /// Where the JSON is.
    pub config_path: String,
    /// The JSON, byte for byte.
    pub config_text: String,
}

/// Reads and checks all files of a configs folder, paths relative to it. All errors come in one
/// go, sorted by path and line; errors that are only the echo of another are left out.
pub fn load_project(files: &[File]) -> Result<Project, Vec<Diagnostic>> {
    load_project_beside(files, &[])
}

/// The same where the caller has files that it could not read, and says so itself: nothing that is
/// found here is the echo of their absence.
pub fn load_project_beside(files: &[File], unread: &[String]) -> Result<Project, Vec<Diagnostic>> {
    let mut project = Project::default();
    let mut found = Vec::new();
    let grouped = group(files, unread, &mut found);
    for pair in grouped.views {
        if let Some(view) = load_view(&pair, &mut found) {
            project.views.insert(view.view.reference(), view);
        }
    }
    for file in grouped.services {
        let (service, diagnostics) = parse_service_with_warnings(&file.path, &file.text);
        found.extend(diagnostics);
        if let Some(service) = service {
            let loaded = ProjectService {
                config_path: file.path.clone(),
                config_text: file.text.clone(),
                service,
            };
            project.services.insert(loaded.service.reference(), loaded);
        }
    }
    // What spans files is only worth saying of files that are right in themselves: a service whose
    // view could not be read would complain of a missing view.
    if unread.is_empty() && !found.iter().any(Diagnostic::is_error) {
        found.extend(check_across(std::iter::empty(), &project));
    }
    sort(&mut found);
    if found.iter().any(Diagnostic::is_error) {
        return Err(found);
    }
    project.warnings = found;
    Ok(project)
}

/// The checks that span files, over the whole project and the views that are `known` beside it.
/// Where two contradict each other, the later one is blamed: what is known comes first.
pub(crate) fn check_across<'k>(
    known: impl Iterator<Item = (String, &'k FeatureView)>,
    project: &Project,
) -> Vec<Diagnostic> {
    let views = project.views.values();
    let services = project.services.values();
    let texts: BTreeMap<&str, &str> = views
        .clone()
        .map(|loaded| (loaded.config_path.as_str(), loaded.config_text.as_str()))
        .chain(
            services
                .clone()
                .map(|loaded| (loaded.config_path.as_str(), loaded.config_text.as_str())),
        )
        .collect();
    let views: Vec<_> = known
        .map(|(path, view)| (path, view.clone()))
        .chain(views.map(|loaded| (loaded.config_path.clone(), loaded.view.clone())))
        .collect();
    let owned: Vec<_> = services
        .clone()
        .map(|loaded| (loaded.config_path.clone(), loaded.service.clone()))
        .collect();
    let mut found = check_project_with(&views, &owned, &|path| texts.get(path).copied());
    let views = views.iter().map(|(_, view)| (view.reference(), view)).collect();
    let services = services.map(|loaded| derived::Of {
        service: &loaded.service,
        path: &loaded.config_path,
        text: &loaded.config_text,
    });
    found.extend(derived::check(services, &views));
    found
}

fn load_view(pair: &files::Pair<'_>, found: &mut Vec<Diagnostic>) -> Option<ProjectView> {
    // The SQL is read even if the JSON is wrong or missing: both files' errors in one go.
    let query = pair.sql.and_then(|sql| match Sql::parse(sql, pair.config) {
        Ok(query) => Some(query),
        Err(diagnostics) => {
            found.extend(diagnostics);
            None
        }
    });
    let config = pair.config?;
    let (view, diagnostics) = parse_view_with_warnings(&config.path, &config.text);
    found.extend(diagnostics);
    let view = view?;
    let filters =
        [("window", WindowFilter::of(&view).err()), ("source", SourceFilter::of(&view).err())];
    for (of, wrong) in filters {
        let Some(wrong) = wrong else { continue };
        let at = position_within(&config.text, &[of, "filter"], wrong.offset);
        let (path, code) = (&config.path, BAD_FILTER.code);
        found.push(Diagnostic::error(path, at, code, wrong.message, wrong.help));
    }
    if let Some(wrong) = misfit(pair, config, &view) {
        found.push(wrong);
    }
    let (mut sql, mut flink) = (None, None);
    match query {
        Some(Sql::Spark(batch)) if view.lane == Lane::Batch => {
            found.extend(batch.query.check_against(&view));
            sql = Some(batch);
        }
        Some(Sql::Flink(query)) if view.job.is_some() => {
            found.extend(query.check_against(&view));
            flink = Some(query);
        }
        _ => {}
    }
    Some(ProjectView {
        view,
        config_path: config.path.clone(),
        config_text: config.text.clone(),
        sql,
        flink,
    })
}

/// SQL in the dialect of its view's lane.
enum Sql {
    Spark(ProjectSql),
    Flink(FlinkQuery),
}

impl Sql {
    fn parse(sql: &File, config: Option<&File>) -> Result<Self, Vec<Diagnostic>> {
        #[derive(serde::Deserialize)]
        struct OfLane {
            lane: Lane,
        }
        // Of a config with errors, too, as long as it says its lane.
        let lane = config.and_then(|config| serde_json::from_str::<OfLane>(&config.text).ok());
        if lane.is_some_and(|view| view.lane == Lane::Stream) {
            return FlinkQuery::parse(&sql.path, &sql.text).map(Self::Flink);
        }
        let query = AuthorQuery::parse(&sql.path, &sql.text)?;
        Ok(Self::Spark(ProjectSql { path: sql.path.clone(), text: sql.text.clone(), query }))
    }
}

/// SQL that is missing, or stands beside a view that has no use for it.
fn misfit(pair: &files::Pair<'_>, config: &File, view: &FeatureView) -> Option<Diagnostic> {
    let reference = view.reference();
    let missing = |what: &str| {
        let message = format!("the {what} view `{reference}` has no SQL beside it");
        let help = format!("write its query to `{}`", pair.stem.sql_path());
        (!pair.sql_refused)
            .then(|| Diagnostic::error(&config.path, (1, 1), MISSING_SQL.code, message, help))
    };
    let needless = |sql: &File, why: &str, help: &str| {
        let message = format!("the view `{reference}` {why}");
        Some(Diagnostic::error(&sql.path, (1, 1), NEEDLESS_SQL.code, message, help))
    };
    match (view.lane, pair.sql) {
        (Lane::Batch, None) => missing("batch"),
        (Lane::Stream, None) if view.job.is_some() => missing("stream"),
        (Lane::Stream, Some(sql)) if view.job.is_none() => needless(
            sql,
            "has no `inputs`: nothing could run its SQL",
            "declare in the JSON what the SQL reads, or remove the SQL",
        ),
        (Lane::Direct, Some(sql)) => needless(
            sql,
            "is direct: its rows are put by services",
            "remove the SQL, or make the view's lane `batch`",
        ),
        (Lane::Batch | Lane::Stream | Lane::Direct, _) => None,
    }
}

/// By path, line, column; errors before warnings of the same place; doubles removed.
fn sort(diagnostics: &mut Vec<Diagnostic>) {
    diagnostics.sort_by(|a, b| {
        let key =
            |d: &Diagnostic| (d.path.clone(), d.line, d.column, !d.is_error(), d.message.clone());
        key(a).cmp(&key(b))
    });
    diagnostics.dedup();
}
