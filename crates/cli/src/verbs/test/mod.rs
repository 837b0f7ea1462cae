//! `trivium test`: a view as it stands in the working tree, run for one period, and nothing written.

mod compare;
mod print;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use arrow::{array::Array, record_batch::RecordBatch};
use serde::Serialize;
use serde_json::{Map, Value as Json};
use trivium_api::{ApiError, suggest};
use trivium_model::{ColumnStatistics, Diagnostic, FeatureView, Lane, Severity, Timestamp};
use trivium_offline::{
    CheckResult, Layer, Period, RunOptions, RunRequest, Runner,
    columns::{CARRIED_FROM_COLUMN, align, arrow_schema, published_columns},
    lake::read_whole,
    run::Preview,
    schedule, statistics,
};
use trivium_registry::{
    Class, Snapshot, StoredView,
    project::{Project as Definitions, ProjectView, load_project_beside},
};
use trivium_runtime::Kind;
use trivium_sql::AuthorQuery;

use self::compare::Comparison;
use crate::{
    accepted,
    args::{ConfigsArgs, Global, Output},
    args_author::TestArgs,
    configs::Configs,
    failure::{self, Failure},
    frame::Frame,
    output, parts,
    project::Project,
    sources::Upstream,
    verbs::plan,
};

/// Without `--date`, so many periods are tried for rows, newest first.
const PERIODS_TRIED_MAX: i64 = 31;
/// The most rows that a sample shows.
const SAMPLE_ROWS_MAX: usize = 1_000;

/// What a test found.
#[derive(Debug, Serialize)]
struct Report {
    view: String,
    period: PeriodShown,
    /// Rows that the SQL gave.
    rows_from_sql: usize,
    /// Rows that a run would publish.
    rows_published: usize,
    /// Of these, rows of entities without a new one.
    rows_carried: usize,
    /// Partitions of periods before that carryover and windows looked back on.
    looked_back_on: usize,
    /// As `trivium record` would tell them.
    columns: Vec<ColumnStatistics>,
    quality: Vec<CheckResult>,
    rows: Vec<Map<String, Json>>,
    compared: Option<Compared>,
    notes: Vec<String>,
}

#[derive(Debug, Serialize)]
struct PeriodShown {
    name: String,
    start: String,
    end: String,
}

/// The other rows, and how they differ.
#[derive(Debug, Serialize)]
struct Compared {
    /// `flights/carrier_daily@1`.
    with: String,
    /// Where its rows are from: `lake`, or `run` where they were made for the comparison.
    from: &'static str,
    #[serde(flatten)]
    rows: Comparison,
}

/// Runs the view for one period, shows what came of it, and fails where a check with severity
/// `error` does.
pub async fn run(global: &Global, args: &TestArgs) -> Result<(), Failure> {
    let project = Project::find(global)?;
    project.announce_clock();
    let (definitions, mut notes) = definitions(global, &project, &args.view)?;
    let loaded = choose(&definitions, &args.view)?;
    let tested = Tested {
        runner: Runner::new(parts::engine()?, parts::lake(&project), RunOptions::default()),
        upstream: parts::upstream_of_files(global, &project, &definitions).await?,
        now: Timestamp(project.data_clock().now_micros()),
        project: &project,
    };
    let request = tested.request(&loaded.view, &query_of(loaded)?)?;
    let (period, preview) = tested.period(&request, args, &mut notes).await?;
    if let Some(why) = &preview.without_lake {
        notes.push(format!(
            "carryover and windows are over this period alone: what the lake has does not fit the changed columns ({why})"
        ));
    }
    let view = &loaded.view;
    let frame = Frame::new(&preview.published, &published_columns(view))?;
    let accepted = accepted::snapshot(global, Some(&project)).await?;
    let compared = match &accepted {
        Some(accepted) => {
            tested.compared(accepted, &definitions, view, period, &frame, &mut notes).await?
        }
        None => None,
    };
    if compared.is_none() && notes.is_empty() {
        notes.push("no other version is accepted: there is nothing to compare with".to_owned());
    }
    let rows = shown_rows(frame.rows, args).into_iter().map(|row| {
        frame.columns.iter().map(|column| (column.name.clone(), column.json(row))).collect()
    });
    let report = Report {
        view: view.reference().to_string(),
        period: PeriodShown {
            name: period.folder(),
            start: period.start.to_string(),
            end: period.end.to_string(),
        },
        rows_from_sql: preview.raw_rows,
        rows_published: frame.rows,
        rows_carried: carried(&preview.published),
        looked_back_on: preview.looked_back_on,
        columns: statistics::of(view, &preview.published)
            .map_err(|error| failure::offline(&error))?,
        rows: rows.collect(),
        quality: preview.quality,
        compared,
        notes,
    };
    match global.output {
        Output::Json => output::json(&report),
        Output::Table => print::report(&report, &frame, &shown_rows(frame.rows, args)),
    }
    let failed: Vec<String> = report
        .quality
        .iter()
        .filter(|check| !check.passed && check.severity == Severity::Error)
        .map(ToString::to_string)
        .collect();
    if failed.is_empty() {
        return Ok(());
    }
    Err(ApiError::new(Kind::QualityFailed, failed.join("; "))
        .at(format!("{}, {}", report.view, report.period.name))
        .help("a run would not publish this period: mend the SQL, or the check")
        .into())
}

/// The working tree's definitions. Where another view's files are wrong, those of the named one
/// alone: its author may be in the middle of both.
fn definitions(
    global: &Global,
    project: &Project,
    name: &str,
) -> Result<(Definitions, Vec<String>), Failure> {
    let mut notes = Vec::new();
    let mut configs = Configs::read(&[], Some(project))?;
    let found = match load_project_beside(&configs.files, &configs.unread()) {
        Ok(definitions) if configs.findings.is_empty() => return Ok((definitions, notes)),
        Ok(_) => Vec::new(),
        Err(found) => found,
    };
    let wrong: Vec<Diagnostic> = configs.findings.iter().cloned().chain(found).collect();
    let stem = name.replace('@', ".v");
    let is_named = |path: &str| path.strip_prefix(&stem).is_some_and(|rest| rest.starts_with('.'));
    if wrong.iter().any(|finding| is_named(&finding.path) && finding.is_error()) {
        // All that is wrong, as `validate` would say it.
        plan::read_configs(global, &ConfigsArgs { paths: Vec::new() })?;
        let findings = wrong.into_iter().map(|finding| configs.shown(finding)).collect();
        return Err(Failure::findings(findings, "correct the files; nothing was run"));
    }
    configs.files.retain(|file| is_named(&file.path));
    let definitions = load_project_beside(&configs.files, &[]).map_err(|findings| {
        let findings = findings.into_iter().map(|finding| configs.shown(finding)).collect();
        Failure::findings(findings, "correct the files; nothing was run")
    })?;
    notes.push("other files have errors: `trivium validate` tells them".to_owned());
    Ok((definitions, notes))
}

/// The view of this name, or its highest version.
fn choose<'d>(definitions: &'d Definitions, name: &str) -> Result<&'d ProjectView, Failure> {
    let named = definitions.views.iter().find(|(reference, _)| reference.to_string() == name);
    let highest = || {
        definitions
            .views
            .iter()
            .rfind(|(reference, _)| format!("{}/{}", reference.namespace, reference.view) == name)
    };
    let Some((_, loaded)) = named.or_else(highest) else {
        let names: Vec<String> = definitions.views.keys().map(ToString::to_string).collect();
        let help = suggest::hint(name, names.iter().map(String::as_str));
        return Err(ApiError::not_found(format!("`{name}` is not in the configs folder"))
            .at(name)
            .help(help)
            .into());
    };
    if loaded.view.lane != Lane::Batch {
        return Err(ApiError::new(
            Kind::FailedPrecondition,
            format!("{} is not a batch view", loaded.view.reference()),
        )
        .at(name)
        .help("only batch views have SQL to test")
        .into());
    }
    Ok(loaded)
}

fn query_of(loaded: &ProjectView) -> Result<AuthorQuery, Failure> {
    let sql = loaded.sql.as_ref().map(|sql| sql.query.clone());
    sql.ok_or_else(|| ApiError::internal("a batch view without SQL was loaded").into())
}

/// What every run of a test needs.
struct Tested<'p> {
    runner: Runner,
    upstream: Upstream,
    now: Timestamp,
    project: &'p Project,
}

impl Tested<'_> {
    fn request(&self, view: &FeatureView, query: &AuthorQuery) -> Result<RunRequest, Failure> {
        Ok(RunRequest {
            view: Arc::new(view.clone()),
            query: Arc::new(query.clone()),
            tables: self.project.sources.tables(query.tables(), &self.upstream)?,
            from: Timestamp(0),
            to: Timestamp(0),
        })
    }

    async fn preview(&self, request: &RunRequest, period: Period) -> Result<Preview, Failure> {
        self.runner.preview(request, period).await.map_err(|error| failure::offline(&error))
    }

    /// The period that was asked for, or the newest that is over and has rows.
    async fn period(
        &self,
        request: &RunRequest,
        args: &TestArgs,
        notes: &mut Vec<String>,
    ) -> Result<(Period, Preview), Failure> {
        let view = &request.view;
        let schedule = schedule(view).map_err(|error| failure::offline(&error))?;
        let at = |ordinal: i64| {
            let first = Period { start: schedule.start, end: schedule.start.plus(schedule.every) };
            first.shifted(ordinal)
        };
        let ordinal =
            |instant: Timestamp| (instant.0 - schedule.start.0).div_euclid(schedule.every.micros());
        if let Some(date) = args.date {
            if date.0 < schedule.start {
                return Err(ApiError::invalid(format!(
                    "{} is before the schedule's start, {}",
                    date.0, schedule.start
                ))
                .at("--date")
                .help("name a day at or after it")
                .into());
            }
            let period = at(ordinal(date.0));
            if period.end > self.now {
                notes.push(format!("{} is not over by the data clock", period.folder()));
            }
            let preview = self.preview(request, period).await?;
            return Ok((period, preview));
        }
        let last = ordinal(self.now) - 1;
        if last < 0 {
            return Err(ApiError::new(
                Kind::FailedPrecondition,
                format!(
                    "no period of {} is over by the data clock, {}",
                    view.reference(),
                    self.now
                ),
            )
            .help("name one with --date, or begin the schedule earlier")
            .into());
        }
        let newest = self.preview(request, at(last)).await?;
        if newest.raw_rows > 0 {
            return Ok((at(last), newest));
        }
        for back in 1..=PERIODS_TRIED_MAX.min(last) {
            let preview = self.preview(request, at(last - back)).await?;
            if preview.raw_rows > 0 {
                notes.push(format!(
                    "the newest periods have no rows, so this is {}",
                    at(last - back).folder()
                ));
                return Ok((at(last - back), preview));
            }
        }
        notes.push("no period was found that has rows: name one with --date".to_owned());
        Ok((at(last), newest))
    }

    /// The rows beside those of the version that was accepted before: of the same number, if the
    /// working tree changes it, else of the number before.
    async fn compared(
        &self,
        accepted: &Snapshot,
        definitions: &Definitions,
        view: &FeatureView,
        period: Period,
        new: &Frame,
        notes: &mut Vec<String>,
    ) -> Result<Option<Compared>, Failure> {
        let Some(other) = other_version(accepted, definitions, view) else { return Ok(None) };
        let reference = other.view.reference();
        let cannot = |why: String| format!("not compared with {reference}: {why}");
        let (from, rows) = match self.rows_of(other, period).await {
            Ok(found) => found,
            Err(failure) => {
                notes.push(cannot(failure.error.to_string()));
                return Ok(None);
            }
        };
        let old = Frame::new(&rows, &published_columns(&other.view))?;
        match compare::compare(view, &old, new)? {
            Ok(rows) => Ok(Some(Compared { with: reference.to_string(), from, rows })),
            Err(why) => {
                notes.push(cannot(why));
                Ok(None)
            }
        }
    }

    /// An accepted version's rows of the period: as published, or else run as it was accepted.
    async fn rows_of(
        &self,
        stored: &StoredView,
        period: Period,
    ) -> Result<(&'static str, RecordBatch), Failure> {
        let view = &stored.view;
        let lake = parts::lake(self.project);
        let offline = |error: trivium_offline::Error| failure::offline(&error);
        let partition =
            lake.partition(&view.reference(), Layer::Published, period).map_err(offline)?;
        if let Some(partition) = partition.filter(|found| found.period == period) {
            let rows = read_whole(&partition.files()).map_err(offline)?;
            let rows = align(&rows, &arrow_schema(&published_columns(view)))
                .map_err(|message| ApiError::new(Kind::DataLoss, message))?;
            return Ok(("lake", rows));
        }
        let text = stored.sql_text.as_deref().unwrap_or_default();
        let query = AuthorQuery::parse("the accepted SQL", text)
            .map_err(|findings| Failure::findings(findings, "apply it anew"))?;
        let preview = self.preview(&self.request(view, &query)?, period).await?;
        Ok(("run", preview.published))
    }
}

/// What the working tree's version is held against.
fn other_version<'s>(
    accepted: &'s Snapshot,
    definitions: &Definitions,
    view: &FeatureView,
) -> Option<&'s StoredView> {
    let reference = view.reference();
    let same = accepted.view(&reference);
    let before = accepted
        .view_versions(&view.namespace, &view.name)
        .rfind(|stored| stored.view.version < view.version && stored.view.lane == Lane::Batch);
    let name = reference.to_string();
    let is_changed = trivium_registry::plan(accepted, definitions).changes.iter().any(|change| {
        change.subject == name && !matches!(change.class, Class::New | Class::Cosmetic)
    });
    let chosen = if is_changed { same.or(before) } else { before.or(same) };
    chosen.map(AsRef::as_ref).filter(|stored| stored.view.lane == Lane::Batch)
}

/// Rows of entities that the period's SQL gave none for.
fn carried(rows: &RecordBatch) -> usize {
    rows.column_by_name(CARRIED_FROM_COLUMN)
        .map_or(0, |column| column.len() - column.logical_null_count())
}

/// Which rows are shown: the first ones, or some of all, evenly.
fn shown_rows(count: usize, args: &TestArgs) -> Vec<usize> {
    match args.sample {
        None => (0..count.min(args.rows)).collect(),
        Some(share) => {
            let upto = |rows: usize| (rows as f64 * share).floor();
            // At least one of few.
            let picked = (0..count).filter(|row| upto(row + 1) > upto(*row));
            let picked: Vec<usize> = picked.take(SAMPLE_ROWS_MAX).collect();
            if picked.is_empty() { (0..count.min(1)).collect() } else { picked }
        }
    }
}
