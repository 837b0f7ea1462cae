//! `trivium record`, and what `trivium show --partitions` prints.

use axum::http::Method;
use serde_json::{Value as Json, json};
use trivium_api::ApiError;
use trivium_catalog::openlineage::{self, Place};
use trivium_model::{FeatureView, Lane, Timestamp, ViewRef};
use trivium_offline::{
    Layer, Partition,
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
    args::{Global, Output, RecordArgs},
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
        partition: &Partition,
        facts: &RunFacts,
    ) -> Result<PartitionRecord, Failure> {
        let form = self.form(&partition.pointer.source.sql_sha256);
        let query = form.and_then(|(.., query)| query.as_ref());
        record_of(&self.view, query, partition, facts).map_err(|error| failure::offline(&error))
    }
}

/// The published partitions, oldest first; none is an error.
pub fn published(
    project: &Project,
    view: &ViewRef,
    periods: PeriodArgs,
) -> Result<Vec<Partition>, Failure> {
    let PeriodArgs { date, from, to } = periods;
    let first = date.or(from).map_or(Timestamp(i64::MIN), |at| at.0);
    let last = date.or(to).map_or(Timestamp(i64::MAX), |at| at.0);
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
            (Some(date), ..) => format!("no partition of {view} that begins at {}", date.0),
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
    let global = &args.registry.over(global);
    let target = Target::open_quietly(global, Need::Registry).await?;
    let known = Known::ask(&target, &args.view).await?;
    let project = Project::find(global)?;
    if let (Some(message), Some(date)) = (&args.failed, args.periods.date) {
        return failed(global, args, &project, &known, message, date.0).await;
    }
    let partitions = published(&project, &known.view.reference(), args.periods)?;
    let facts = RunFacts {
        run: args.run_id.clone(),
        started: args.started.map(|at| at.0),
        finished: args.finished.map(|at| at.0),
    };
    let author = args.author.clone().unwrap_or_else(apply::author);
    let mut told = Told { again: args.again, ..Told::default() };
    let mut waiting = Waiting::default();
    for partition in &partitions {
        let record = known.record(partition, &facts)?;
        if waiting.is_full() {
            let recorded = std::mem::take(&mut waiting).send(&target, &author).await?;
            told.tell(&project, &known, recorded).await;
        }
        waiting.push(partition.period.folder(), record)?;
    }
    let recorded = waiting.send(&target, &author).await?;
    told.tell(&project, &known, recorded).await;
    print(global, &known.view.reference(), &told);
    Ok(())
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
    /// The record stands whatever becomes of the events.
    async fn tell(&mut self, project: &Project, known: &Known, recorded: Vec<(Sent, String)>) {
        let Lineage { namespace, sink } = &project.lineage;
        let mut events = Vec::new();
        for (sent, outcome) in recorded {
            if outcome == "RECORDED" || (self.again && outcome == "UNCHANGED") {
                let sql = known.sql(&sent.record);
                let place = Place { namespace, view: &known.view, sql };
                events.extend(openlineage::published(place, &sent.record));
            }
            self.outcomes.push((sent.period, sent.record.revision, outcome));
        }
        let Some(sink) = sink else { return };
        if self.problem.is_none() && !events.is_empty() {
            match sink.send(&events).await {
                Ok(()) => self.events += events.len(),
                Err(problem) => self.problem = Some(problem),
            }
        }
    }
}

async fn failed(
    global: &Global,
    args: &RecordArgs,
    project: &Project,
    known: &Known,
    message: &str,
    start: Timestamp,
) -> Result<(), Failure> {
    let Some(sink) = &project.lineage.sink else {
        return Err(ApiError::new(Kind::FailedPrecondition, "nobody is to be told of failures")
            .at(project.file.display().to_string())
            .help("set `openlineage` in [lineage]")
            .into());
    };
    let schedule = schedule(&known.view).map_err(|error| failure::offline(&error))?;
    let end = start.plus(schedule.every);
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
    match global.output {
        Output::Json => output::json(&json!({ "view": known.view.reference(), "events": 2 })),
        Output::Table => output::line(format!(
            "{} of {}: OpenLineage is told",
            output::paint(output::WARN, "failure"),
            known.view.reference()
        )),
    }
    Ok(())
}

fn print(global: &Global, view: &ViewRef, told: &Told) {
    let Told { outcomes, events, problem, .. } = told;
    if let Some(problem) = problem {
        output::note(format!(
            "{} recorded, but OpenLineage was not told: {}: {}; `trivium record --again` tells it",
            output::paint(output::WARN, "warning:"),
            problem.error.field,
            problem.error.message
        ));
    }
    match global.output {
        Output::Json => {
            let partitions: Vec<Json> = outcomes
                .iter()
                .map(|(period, revision, outcome)| {
                    json!({ "period": period, "revision": revision, "outcome": outcome })
                })
                .collect();
            output::json(&json!({ "view": view, "partitions": partitions, "events": events }));
        }
        Output::Table => {
            let count = |wanted: &str| outcomes.iter().filter(|(.., one)| one == wanted).count();
            output::line(format!(
                "{} {view}: {} partitions, {} known already, {} older than what is known; {events} events to OpenLineage",
                output::paint(output::GOOD, "recorded"),
                count("RECORDED"),
                count("UNCHANGED"),
                count("SUPERSEDED"),
            ));
        }
    }
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
