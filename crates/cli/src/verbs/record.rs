//! `trivium record`, and what `trivium show --partitions` prints.

use std::collections::HashMap;

use axum::http::Method;
use serde_json::{Value as Json, json};
use trivium_api::ApiError;
use trivium_catalog::openlineage::{self, Place};
use trivium_model::{FeatureView, Lane, Timestamp, ViewRef};
use trivium_offline::{
    Layer, Partition, Period,
    record::{RunFacts, record_of, sql_sha256},
    schedule,
};
use trivium_registry::{PartitionRecord, partition::RECORDS_MAX};
use trivium_registry_api::{
    partitions::{PartitionShape, PartitionsAnswer, RecordAnswer},
    shapes::ViewHistoryAnswer,
};
use trivium_runtime::{Clock as _, Kind, SystemClock};
use trivium_sql::AuthorQuery;

use crate::{
    args::{Global, Instant, Output, RecordArgs},
    args_record::PeriodArgs,
    catalog::Catalog,
    failure::{self, Failure},
    lineage::Lineage,
    output, parts,
    project::{Project, show_instant},
    target::{Need, Target},
    verbs::apply,
};

/// Bytes of one request: below what the registry takes.
const REQUEST_BYTES: usize = 8 << 20;
/// Partitions of a page that is asked for.
const PAGE: usize = 100;
/// Partitions that are shown.
const SHOWN: usize = 50;

/// A view as the registry knows it.
pub struct Known {
    /// The newest form.
    pub view: FeatureView,
    /// The SQL of all forms, newest first, and its hash.
    forms: Vec<(String, String, Option<AuthorQuery>)>,
}

impl Known {
    /// Asks the registry.
    pub async fn ask(target: &Target, name: &str) -> Result<Self, Failure> {
        let catalog = Catalog::ask(target).await?;
        let view = catalog.view(name)?.clone();
        let reference = view.reference();
        if view.lane != Lane::Batch {
            return Err(ApiError::new(
                Kind::FailedPrecondition,
                format!("{reference} is not a batch view"),
            )
            .at(name)
            .help("only batch views have partitions")
            .into());
        }
        let path = format!("/v1/feature-views/{}", name.replace('@', "/"));
        let answer: ViewHistoryAnswer = target.ask(Method::GET, &path, None).await?;
        let texts = answer.revisions.into_iter().rev().filter_map(|form| form.sql);
        let forms = texts.map(|text| {
            // What an older release took and this one cannot read says nothing of where columns come from.
            let query = AuthorQuery::parse(&format!("{reference} (SQL)"), &text).ok();
            (sql_sha256(&text), text, query)
        });
        Ok(Self { view, forms: forms.collect() })
    }

    fn form(&self, sql_sha256: &str) -> Option<&(String, String, Option<AuthorQuery>)> {
        self.forms.iter().find(|(hash, ..)| hash == sql_sha256)
    }

    /// The SQL that made a partition.
    pub fn sql(&self, record: &PartitionRecord) -> Option<&str> {
        self.form(&record.sql_sha256).map(|(_, text, _)| text.as_str())
    }

    /// What the registry is told of a partition.
    pub fn record(
        &self,
        project: &Project,
        partition: &Partition,
        facts: &RunFacts,
    ) -> Result<PartitionRecord, Failure> {
        let form = self.form(&partition.pointer.source.sql_sha256);
        let query = form.and_then(|(.., query)| query.as_ref());
        let mut record = record_of(&self.view, query, partition, facts)
            .map_err(|error| failure::offline(&error))?;
        project.sources.name_views(&mut record);
        Ok(record)
    }
}

/// The published partitions, oldest first; none is an error.
pub fn published(
    project: &Project,
    view: &FeatureView,
    periods: PeriodArgs,
) -> Result<Vec<Partition>, Failure> {
    let PeriodArgs { date, from, to } = periods;
    let schedule = schedule(view).map_err(|error| failure::offline(&error))?;
    let view = &view.reference();
    // An instant is its period's, as in all other steps of a run.
    let start = |at: Instant| Period::containing(schedule, at.0).start;
    let first = date.or(from).map_or(Timestamp(i64::MIN), start);
    let last = date.or(to).map_or(Timestamp(i64::MAX), start);
    if last < first {
        return Err(ApiError::invalid("the range ends before it begins")
            .at("--to")
            .help("name a period at or after --from; both are included")
            .into());
    }
    let after = Timestamp(last.0.saturating_add(1));
    let found = parts::lake(project)
        .partitions(view, Layer::Published, first..after)
        .map_err(|error| failure::offline(&error))?;
    if found.is_empty() {
        let which = match (date, from, to) {
            (Some(date), ..) => format!("no partition of {view} at {}", date.0),
            (None, None, None) => format!("no partition of {view}"),
            _ => format!("no partition of {view} between --from and --to"),
        };
        return Err(ApiError::not_found(format!("{which} is published"))
            .at(parts::lake(project).view_folder(view).display().to_string())
            .help("`trivium run` publishes partitions")
            .into());
    }
    Ok(found)
}

/// Records partitions that are published, or tells that none was.
pub async fn run(global: &Global, args: &RecordArgs) -> Result<(), Failure> {
    check(args)?;
    let answer = match (&args.failed, args.periods.date) {
        (Some(message), Some(date)) => failed(global, args, message, date.0).await?,
        _ => record(global, args).await?,
    };
    if global.output == Output::Json {
        output::json(&answer);
    }
    Ok(())
}

/// What the registry would refuse without saying which argument it was.
fn check(args: &RecordArgs) -> Result<(), Failure> {
    if args.run_id.as_ref().is_some_and(|id| id.trim().is_empty() || id.contains(char::is_control))
    {
        let help = "give the scheduler's name of the run, or leave --run-id out";
        return Err(ApiError::invalid("the run's name is empty, or no single line")
            .at("--run-id")
            .help(help)
            .into());
    }
    if let (Some(started), Some(finished)) = (args.started, args.finished)
        && started.0 > finished.0
    {
        let message =
            format!("the run would have ended at {}, before it began at {}", finished.0, started.0);
        return Err(ApiError::invalid(message)
            .at("--started")
            .help("give an instant that is not after --finished")
            .into());
    }
    Ok(())
}

/// The registry, the view and the project.
async fn open(global: &Global, args: &RecordArgs) -> Result<(Target, Known, Project), Failure> {
    let global = &args.registry.over(global);
    let target = Target::open_quietly(global, Need::Registry).await?;
    let known = Known::ask(&target, &args.view).await?;
    Ok((target, known, Project::find(global)?))
}

/// Records partitions that are published; says so to people, and gives what programs are told.
pub async fn record(global: &Global, args: &RecordArgs) -> Result<Json, Failure> {
    let (target, known, project) = open(global, args).await?;
    let partitions = published(&project, &known.view, args.periods)?;
    let facts = RunFacts {
        run: args.run_id.clone(),
        started: args.started.map(|at| at.0),
        finished: args.finished.map(|at| at.0),
    };
    let author = args.author.clone().unwrap_or_else(apply::author);
    let mut told = Told { again: args.again, ..Told::default() };
    let mut waiting = Waiting::default();
    for partition in &partitions {
        let record = known.record(&project, partition, &facts)?;
        if waiting.is_full() {
            told.flush(std::mem::take(&mut waiting), &project, &known, &target, &author).await?;
        }
        waiting.push(partition.period.folder(), record)?;
    }
    told.flush(waiting, &project, &known, &target, &author).await?;
    Ok(report(global, &known.view.reference(), &told))
}

/// What became of each partition.
#[derive(Default)]
struct Told {
    /// Whether OpenLineage is told of what was known, too.
    again: bool,
    /// Period, revision, outcome.
    outcomes: Vec<(String, u64, String)>,
    events: usize,
    /// Why OpenLineage was told no more.
    problem: Option<Failure>,
}

impl Told {
    /// Tells OpenLineage, then the registry: a kill in between costs the same events once more, never all of
    /// them. The record is made whatever becomes of the events.
    async fn flush(
        &mut self,
        waiting: Waiting,
        project: &Project,
        known: &Known,
        target: &Target,
        author: &str,
    ) -> Result<(), Failure> {
        let Lineage { namespace, sink } = &project.lineage;
        if let Some(sink) = sink
            && self.problem.is_none()
        {
            let revisions = recorded_revisions(target, &waiting.sent).await?;
            let mut events = Vec::new();
            for Sent { record, .. } in &waiting.sent {
                let before = revisions.get(&record.start);
                let is_news = before.is_none_or(|before| *before < record.revision);
                if is_news || (self.again && before == Some(&record.revision)) {
                    let place = Place { namespace, view: &known.view, sql: known.sql(record) };
                    events.extend(openlineage::published(place, record));
                }
            }
            if !events.is_empty() {
                match sink.send(&events).await {
                    Ok(()) => self.events += events.len(),
                    Err(problem) => self.problem = Some(problem),
                }
            }
        }
        let recorded = waiting.send(target, author).await?;
        self.outcomes.extend(
            recorded
                .into_iter()
                .map(|(sent, outcome)| (sent.period, sent.record.revision, outcome)),
        );
        Ok(())
    }
}

/// The newest revision that the registry knows of each of these periods.
async fn recorded_revisions(
    target: &Target,
    sent: &[Sent],
) -> Result<HashMap<Timestamp, u64>, Failure> {
    let (Some(first), Some(last)) = (sent.first(), sent.last()) else { return Ok(HashMap::new()) };
    let view = &first.record.view;
    let (from, to) = (first.record.start, Timestamp(last.record.start.0.saturating_add(1)));
    let range = format!("from={}&to={}", show_instant(from), show_instant(to));
    let mut found = HashMap::new();
    let mut after = String::new();
    loop {
        let path = format!("/v1/partitions?view={view}&{range}&limit={PAGE}{after}");
        let page: PartitionsAnswer = target.ask(Method::GET, &path, None).await?;
        for one in page.partitions {
            found.insert(Timestamp(one.start_micros), one.revision);
        }
        match page.next {
            Some(next) => after = format!("&after={next}"),
            None => return Ok(found),
        }
    }
}

async fn failed(
    global: &Global,
    args: &RecordArgs,
    message: &str,
    start: Timestamp,
) -> Result<Json, Failure> {
    let (_, known, project) = open(global, args).await?;
    let Some(sink) = &project.lineage.sink else {
        return Err(ApiError::new(Kind::FailedPrecondition, "nobody is to be told of failures")
            .at(project.file.display().to_string())
            .help("set `openlineage` in [lineage]")
            .into());
    };
    if message.trim().is_empty() {
        return Err(ApiError::invalid("no reason is given")
            .at("--failed")
            .help("say what went wrong, such as the error of the task")
            .into());
    }
    let schedule = schedule(&known.view).map_err(|error| failure::offline(&error))?;
    let at = start;
    let Period { start, end } = Period::containing(schedule, at);
    if end <= schedule.start {
        let reference = known.view.reference();
        return Err(ApiError::invalid(format!(
            "{reference} has no period at {at}: its schedule starts at {}",
            schedule.start
        ))
        .at("--date")
        .help("name a day or instant of the run that failed")
        .into());
    }
    let now = Timestamp(SystemClock.now_micros());
    let event = openlineage::Failed {
        start,
        end,
        run: args.run_id.as_deref().unwrap_or_default(),
        started: args.started.map(|at| at.0),
        at: args.finished.map_or(now, |at| at.0),
        message,
    };
    let sql = known.forms.first().map(|(_, text, _)| text.as_str());
    let place = Place { namespace: &project.lineage.namespace, view: &known.view, sql };
    sink.send(&openlineage::failed(place, &event)).await?;
    if global.output == Output::Table {
        output::line(format!(
            "{} of {}: OpenLineage is told",
            output::paint(output::WARN, "failure"),
            known.view.reference()
        ));
    }
    Ok(json!({ "view": known.view.reference(), "events": 2 }))
}

fn report(global: &Global, view: &ViewRef, told: &Told) -> Json {
    let Told { outcomes, events, problem, .. } = told;
    if let Some(problem) = problem {
        output::note(format!(
            "{} recorded, but OpenLineage was not told: {}: {}; `trivium record --again` tells it",
            output::paint(output::WARN, "warning:"),
            problem.error.field,
            problem.error.message
        ));
    }
    if global.output == Output::Table {
        let count = |wanted: &str| outcomes.iter().filter(|(.., one)| one == wanted).count();
        output::line(format!(
            "{} {view}: {} partitions, {} known already, {} older than what is known; {events} events to OpenLineage",
            output::paint(output::GOOD, "recorded"),
            count("RECORDED"),
            count("UNCHANGED"),
            count("SUPERSEDED"),
        ));
    }
    let partitions: Vec<Json> = outcomes
        .iter()
        .map(|(period, revision, outcome)| {
            json!({ "period": period, "revision": revision, "outcome": outcome })
        })
        .collect();
    json!({ "view": view, "partitions": partitions, "events": events })
}

/// A record and its period's name.
struct Sent {
    period: String,
    record: PartitionRecord,
}

/// Records on their way to the registry.
#[derive(Default)]
struct Waiting {
    sent: Vec<Sent>,
    shapes: Vec<Json>,
    bytes: usize,
}

impl Waiting {
    fn is_full(&self) -> bool {
        self.sent.len() >= RECORDS_MAX || self.bytes >= REQUEST_BYTES
    }

    fn push(&mut self, period: String, record: PartitionRecord) -> Result<(), Failure> {
        let shape = serde_json::to_value(PartitionShape::from(record.clone()))
            .map_err(|error| ApiError::internal(error.to_string()))?;
        self.bytes += shape.to_string().len();
        self.shapes.push(shape);
        self.sent.push(Sent { period, record });
        Ok(())
    }

    /// What was sent, and what became of it.
    async fn send(self, target: &Target, author: &str) -> Result<Vec<(Sent, String)>, Failure> {
        if self.sent.is_empty() {
            return Ok(Vec::new());
        }
        let body = json!({ "partitions": self.shapes, "author": author });
        let answer: RecordAnswer = target.ask(Method::POST, "/v1/partitions", Some(&body)).await?;
        Ok(self.sent.into_iter().zip(answer.outcomes).collect())
    }
}

/// Prints the newest recorded partitions of a view.
pub async fn list(global: &Global, target: &Target, view: &FeatureView) -> Result<(), Failure> {
    let reference = view.reference();
    let path = format!("/v1/partitions?view={reference}&limit={SHOWN}");
    let answer: PartitionsAnswer = target.ask(Method::GET, &path, None).await?;
    if global.output == Output::Json {
        output::json(&answer);
        return Ok(());
    }
    if answer.partitions.is_empty() {
        output::line(format!(
            "no partition of {reference} is recorded: `trivium record {reference}`"
        ));
        return Ok(());
    }
    let rows: Vec<Vec<String>> = answer
        .partitions
        .iter()
        .map(|one| {
            let failed = one.quality.iter().filter(|check| !check.passed).count();
            let checks = match (one.quality.len(), failed) {
                (0, _) => "none".to_owned(),
                (all, 0) => format!("{all} passed"),
                (all, failed) => format!("{failed} of {all} failed"),
            };
            vec![
                show_instant(Timestamp(one.start_micros)),
                one.revision.to_string(),
                one.rows.to_string(),
                checks,
                one.engine.clone(),
                show_instant(Timestamp(one.finished_micros)),
                one.author.clone(),
            ]
        })
        .collect();
    let headings = ["period", "revision", "rows", "checks", "engine", "published", "recorded by"];
    output::table(&headings, &rows, |_, column, cell| {
        if column == 3 && cell.ends_with("failed") { output::WARN } else { output::plain(0, 0, "") }
    });
    if answer.next.is_some() {
        output::note(format!("older ones: `--output json`, or GET {path}&after=…"));
    }
    Ok(())
}
