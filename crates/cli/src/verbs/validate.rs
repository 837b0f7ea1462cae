//! `trivium validate`

use serde_json::json;
use trivium_daggen::reads::Reads;
use trivium_engine::{Error as EngineError, QueryEngine};
use trivium_model::Diagnostic;
use trivium_offline::columns;
use trivium_registry::project::{
    Project as Definitions, ProjectView, load_project, load_project_beside,
};
use trivium_sql::spark::{self, UnknownFunction};

use crate::{
    accepted,
    args::{ConfigsArgs, Global, Output},
    codes,
    configs::Configs,
    failure::Failure,
    output, parts,
    project::Project,
    sources::Upstream,
    version_rule::{self, Compared},
};

/// Checks the configs, where the project declares the tables the SQL's types, and where there is a
/// registry the version rule.
pub async fn run(global: &Global, args: &ConfigsArgs) -> Result<(), Failure> {
    // Configs can be checked without a project; then nothing is known of the tables.
    let project = match Project::find(global) {
        Ok(project) => Some(project),
        Err(failure) if global.project.is_some() || args.paths.is_empty() => return Err(failure),
        Err(_) => None,
    };
    let configs = Configs::read(&args.paths, project.as_ref())?;
    let mut findings = configs.findings.clone();
    let mut counts = (0, 0);
    let mut compared = None;
    // Of the project file, which is beside the configs.
    let mut of_project = Vec::new();
    match load_project_beside(&configs.files, &configs.unread()) {
        Ok(definitions) => {
            findings.extend(definitions.warnings.iter().cloned());
            counts = (definitions.views.len(), definitions.services.len());
            if let Some(project) = &project {
                let checked =
                    check(global, project, &definitions, |view| asked(&configs, view)).await?;
                findings.extend(checked.types);
                of_project = checked.sources;
            }
            compared = accepted::snapshot(global, project.as_ref())
                .await?
                .map(|accepted| version_rule::compare(&accepted, &definitions));
            if let Some(compared) = &mut compared {
                findings.append(&mut compared.findings);
            }
        }
        Err(found) => findings.extend(found),
    }
    let errors = |findings: &[Diagnostic]| findings.iter().filter(|f| f.is_error()).count();
    let errors_of_all = errors(&findings);
    findings.retain(|finding| configs.is_asked(&finding.path));
    let elsewhere = errors_of_all - errors(&findings);
    let shown = findings.into_iter().map(|finding| configs.shown(finding));
    // Whichever files are named: what SQL may read is one for all of them.
    let findings: Vec<Diagnostic> = of_project.into_iter().chain(shown).collect();
    if findings.iter().any(Diagnostic::is_error) {
        return Err(Failure::findings(findings, "correct the files; nothing was changed"));
    }
    let (views, services) = counts;
    match global.output {
        Output::Json => {
            let mut answer = json!({
                "views": views,
                "services": services,
                "findings": findings,
                "compared_with_revision": compared.as_ref().map(|compared| compared.revision),
                "changes": compared.as_ref().map_or(&[][..], |compared| &compared.changes),
            });
            if elsewhere > 0 {
                answer["errors_elsewhere"] = elsewhere.into();
            }
            output::json(&answer);
        }
        // What spans files could not be judged: the others are not there to be counted.
        Output::Table if elsewhere > 0 => {
            findings.iter().for_each(output::finding);
            output::line(format!("{} as far as it was checked", output::paint(output::WARN, "ok")));
            output::note(format!(
                "note: {elsewhere} error{} in other files of {}: types, and what spans files, were not checked",
                if elsewhere == 1 { "" } else { "s" },
                configs.root.display(),
            ));
        }
        Output::Table => {
            findings.iter().for_each(output::finding);
            output::line(format!(
                "{} {}: {views} view{}, {services} service{}",
                output::paint(output::GOOD, "ok"),
                configs.root.display(),
                if views == 1 { "" } else { "s" },
                if services == 1 { "" } else { "s" },
            ));
            if project.is_none() {
                output::note("note: outside of a project, the SQL's types were not checked");
            }
            say_compared(compared.as_ref());
        }
    }
    Ok(())
}

/// Whether the version rule was held, and what it lets through.
fn say_compared(compared: Option<&Compared>) {
    let Some(compared) = compared else {
        output::note(
            "note: there is no registry here: not compared with accepted versions (--server asks one)",
        );
        return;
    };
    let changes: Vec<String> = compared
        .changes
        .iter()
        .map(|change| format!("{} ({})", change.subject, change.class))
        .collect();
    if !changes.is_empty() {
        let revision = compared.revision;
        output::note(format!("note: against revision {revision}: {}", changes.join(", ")));
    }
}

/// Before an apply of `changed`: what the engine would refuse is refused at once, not at the first
/// run, and so are sources that are views which nobody has, or which read each other. Files that are wrong in
/// themselves are left to the plan. Gives the warnings, of which people have been told.
pub async fn refuse_wrong_types(
    global: &Global,
    configs: &Configs,
    changed: &[&str],
) -> Result<Vec<Diagnostic>, Failure> {
    let Ok(project) = Project::find(global) else { return Ok(Vec::new()) };
    let Ok(definitions) = load_project(&configs.files) else { return Ok(Vec::new()) };
    let checked = check(global, &project, &definitions, |view| {
        changed.contains(&view.view.reference().to_string().as_str()) && asked(configs, view)
    })
    .await?;
    let types = checked.types.into_iter().map(|finding| configs.shown(finding));
    let findings: Vec<Diagnostic> = checked.sources.into_iter().chain(types).collect();
    if findings.iter().any(Diagnostic::is_error) {
        return Err(Failure::findings(findings, "correct the files; nothing was changed"));
    }
    if global.output == Output::Table {
        findings.iter().for_each(output::finding);
    }
    Ok(findings)
}

/// Whether the view has SQL that the command line names.
fn asked(configs: &Configs, view: &ProjectView) -> bool {
    view.sql.as_ref().is_some_and(|sql| configs.is_asked(&sql.path))
}

/// What the project makes of its views.
struct Checked {
    /// Of the sections of the project file.
    sources: Vec<Diagnostic>,
    /// Of the views' SQL; paths as the definitions have them.
    types: Vec<Diagnostic>,
}

/// Holds the sources that are views against the views that there are, asks the engine what the SQL of some
/// views gives, and holds it against their configs.
async fn check(
    global: &Global,
    project: &Project,
    definitions: &Definitions,
    is_due: impl Fn(&ProjectView) -> bool,
) -> Result<Checked, Failure> {
    let upstream = parts::upstream_of_files(global, project, definitions).await?;
    let mut reads = Reads::new(&project.settings);
    for (reference, view) in &definitions.views {
        if let Some(sql) = &view.sql {
            reads.add(reference, sql.query.tables());
        }
    }
    let wrong = reads.wrong(|view| upstream.knows(view));
    let sources = wrong.into_iter().map(|wrong| wrong.finding).collect();
    Ok(Checked { sources, types: check_types(project, definitions, &upstream, is_due).await? })
}

/// Asks the engine what the SQL of some views gives, and holds it against their configs.
async fn check_types(
    project: &Project,
    definitions: &Definitions,
    upstream: &Upstream,
    is_due: impl Fn(&ProjectView) -> bool,
) -> Result<Vec<Diagnostic>, Failure> {
    let batch: Vec<&ProjectView> = definitions.views.values().filter(|view| is_due(view)).collect();
    if batch.is_empty() {
        return Ok(Vec::new());
    }
    let engine = parts::engine()?;
    let mut findings = Vec::new();
    for view in batch {
        findings.extend(check_view(&*engine, project, upstream, view).await?);
    }
    Ok(findings)
}

/// Whether it could be the name of a source: no catalog's, and no file's.
fn is_plain(name: &str) -> bool {
    name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// One view's query against the tables' columns.
async fn check_view(
    engine: &dyn QueryEngine,
    project: &Project,
    upstream: &Upstream,
    loaded: &ProjectView,
) -> Result<Vec<Diagnostic>, Failure> {
    let (Some(sql), Some(schedule)) = (&loaded.sql, &loaded.view.schedule) else {
        return Ok(Vec::new());
    };
    // All of them, and first: an engine tells of one thing at a time, and ends at what it does not prove.
    let unknown = sql.query.unknown_functions();
    let mut findings: Vec<Diagnostic> =
        unknown.iter().map(|call| unknown_function(&sql.path, call)).collect();
    let known: Vec<&str> = project.sources.names().collect();
    let mut read = sql.query.tables().iter();
    if let Some(name) = read.find(|name| !known.iter().any(|own| own.eq_ignore_ascii_case(name))) {
        let help = match trivium_api::nearest(name, known.iter().copied()) {
            Some(near) => format!("did you mean `{near}`? The project has: {}", known.join(", ")),
            None if is_plain(name) => {
                format!("declare [sources.{name}] in trivium.toml; it has: {}", known.join(", "))
            }
            None => format!(
                "SQL reads sources by their names alone; the project has: {}",
                known.join(", ")
            ),
        };
        let at = position_of(&sql.text, name);
        let message = format!("the project has no source `{name}`");
        findings.push(Diagnostic::error(&sql.path, at, codes::UNKNOWN_TABLE.code, message, help));
        return Ok(findings);
    }
    // Of a view that nobody has, no columns are known; that it is so is told by itself.
    if project.settings.views_among(sql.query.tables()).any(|source| !upstream.knows(&source.view))
    {
        return Ok(findings);
    }
    let period =
        trivium_sql::Period::containing(&loaded.view, schedule.start).map_err(|error| {
            trivium_api::ApiError::invalid(error.to_string()).at(&loaded.config_path)
        })?;
    let wrong = |at: Option<(u32, u32)>, code: &'static str, message: String, help: String| {
        let at = at.map_or((1, 1), |at| sql.query.author_position(&period, at));
        Diagnostic::error(&sql.path, at, code, message, help)
    };
    let tables = project.sources.tables(sql.query.tables(), upstream)?;
    let found = match engine.describe(&sql.query.render(&period), &tables).await {
        Ok(schema) => {
            let columns = columns::author_columns(&loaded.view);
            match columns::check_schema(&schema, &columns) {
                Ok(()) => None,
                Err(misfit) => {
                    Some(wrong(None, codes::COLUMN_TYPE.code, misfit.message, misfit.help))
                }
            }
        }
        Err(EngineError::Invalid { message, position }) => {
            let found = wrong(position, codes::QUERY.code, message, String::new());
            // Told above.
            let is_told = |call: &UnknownFunction| call.position == (found.line, found.column);
            (!unknown.iter().any(is_told)).then_some(found)
        }
        // Spark runs it; what it gives is held against the config there, before it is published.
        Err(EngineError::Unsupported { what, help, position }) => {
            let message = format!(
                "{what} is not proven equal to Spark on the local engine, which refuses it"
            );
            Some(wrong(position, codes::NOT_PROVEN.code, message, help).into_warning())
        }
        Err(error) => return Err(crate::failure::engine(&error)),
    };
    findings.extend(found);
    Ok(findings)
}

/// A name that Spark does not have, nor then the local engine.
fn unknown_function(path: &str, call: &UnknownFunction) -> Diagnostic {
    let help = match spark::nearest_function(&call.name) {
        Some(near) => format!("did you mean `{near}`?"),
        None => "Spark has none of that name: take one that it has".to_owned(),
    };
    let message = format!("there is no function `{}`", call.name);
    Diagnostic::error(path, call.position, codes::QUERY.code, message, help)
}

/// Where a word first stands in the SQL; comments may mislead it, and then a person still finds it.
fn position_of(text: &str, word: &str) -> (u32, u32) {
    let lower = text.to_lowercase();
    let offset = lower.find(&word.to_lowercase()).unwrap_or(0);
    trivium_model::LineIndex::new(text).position(offset)
}
